/* window.c - the numbers of exponent windows: in by small inputs, as factors of
 * staged weights and of what the host sums; and out, the largest magnitudes. */
#include <math.h>
#include <string.h>
#include "exec/internal.h"

enum { PLACES = 32 };

static int factor_of(const plan_window *w, const char *param)
{
    for (int i = 0; i < w->n_factors; i++)
        if (w->factors[i].at == PLAN_ON_WEIGHT && strcmp(w->factors[i].param, param) == 0)
            return i;
    return -1;
}

static rc write_input(exec *x, int input)
{
    const plan_window *w = x->p->window;
    size_t n = (size_t)w->inputs[input].rows * PLACES;
    for (size_t i = 0; i < n; i++) x->numbers[i] = 0;
    for (int i = 0; i < w->n_scales; i++) {
        const plan_scale *s = &w->scales[i];
        if (s->input != input) continue;
        float v = (float)ldexp(s->c, plan_form_value(w, s->form, x->power));
        for (int j = 0; j < PLACES; j++) x->numbers[s->row * PLACES + j] = v;
    }
    return exec_input(x, w->inputs[input].name, x->numbers, n * sizeof *x->numbers);
}

static rc write_inputs(exec *x)
{
    for (int i = 0; i < x->p->window->n_inputs; i++) TRY(write_input(x, i));
    return OK;
}

rc exec_window_open(exec *x)
{
    const plan_window *w = x->p->window;
    size_t most = 1;
    for (int i = 0; i < x->n_bindings; i++)
        x->bindings[i].factor = w ? factor_of(w, x->bindings[i].name) : -1;
    if (!w) return OK;
    for (int i = 0; i < w->n_inputs; i++)
        if (most < (size_t)w->inputs[i].rows) most = (size_t)w->inputs[i].rows;
    for (int i = 0; i < x->p->n_outputs; i++) {
        size_t n = (size_t)ir_count(x->p->outputs[i].shape) / PLACES;
        if (strncmp(x->p->outputs[i].name, "peaks:", 6) == 0 && most < n) most = n;
    }
    x->power = arena_array(x->mem, (size_t)w->n_factors + 1, sizeof *x->power);
    x->numbers = arena_array(x->mem, most * PLACES, sizeof *x->numbers);
    if (!x->power || !x->numbers) return E_MEMORY;
    return write_inputs(x);
}

float exec_window_form(const exec *x, int form)
{
    return form ? (float)ldexp(1, plan_form_value(x->p->window, form, x->power)) : 1;
}

float exec_window_weight(const exec *x, const binding *b)
{
    return b->factor < 0 ? 1 : (float)ldexp(1, x->power[b->factor]);
}

float exec_half_scale(const exec *x, const char *param)
{
    for (int i = 0; i < x->n_bindings; i++)
        if (strcmp(x->bindings[i].name, param) == 0)
            return exec_window_weight(x, &x->bindings[i]);
    return 1;
}

rc exec_window(exec *x, const int *k, bool stage)
{
    const plan_window *w = x->p->window;
    int by;
    if (!w) return err_fail(E_CONFIG, "the plan has no exponent windows");
    int bad = plan_window_misfit(w, k, &by);
    if (bad >= 0)
        return err_fail(E_NUMERIC, "row %d of %s would be 2^%d times what fp16 can hold",
                        w->scales[bad].row, w->inputs[w->scales[bad].input].name, by);
    for (int i = 0; i < w->n_factors; i++) {
        bool moved = x->power[i] != k[i];
        x->power[i] = k[i];
        if (moved && stage && w->factors[i].at == PLAN_ON_WEIGHT)
            TRY(exec_stage_param(x, w->factors[i].param));
    }
    return write_inputs(x);
}

static rc read_peaks(exec *x, const plan_output *o, float *out)
{
    const plan_window *w = x->p->window;
    TRY(exec_output(x, o->name, x->numbers, (size_t)ir_count(o->shape)));
    for (int i = 0; i < w->n_sites; i++) {
        if (!w->sites[i].peaks || strcmp(w->sites[i].peaks, o->name) != 0) continue;
        const float *row = x->numbers + w->sites[i].row * PLACES;
        float most = 0;
        for (int j = 0; j < PLACES; j++)
            if (!(row[j] <= most)) most = isfinite(row[j]) ? row[j] : (float)INFINITY;
        out[i] = most;
    }
    return OK;
}

rc exec_peaks(exec *x, float *out)
{
    const plan_window *w = x->p->window;
    if (!w) return err_fail(E_CONFIG, "the plan has no exponent windows");
    for (int i = 0; i < w->n_sites; i++) out[i] = 0;
    for (int i = 0; i < x->p->n_outputs; i++)
        if (strncmp(x->p->outputs[i].name, "peaks:", 6) == 0)
            TRY(read_peaks(x, &x->p->outputs[i], out));
    return OK;
}
