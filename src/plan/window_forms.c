/* window_forms.c - factors, forms and the small inputs they come in by. */
#include <math.h>
#include <string.h>
#include "plan/window.h"

enum { PLACES = 32, ROWS_MAX = 4096 };

int plan_form_value(const plan_window *w, int form, const int *k)
{
    const plan_form *f = &w->forms[form];
    int sum = 0;
    for (int i = 0; i < f->n; i++) sum += f->times[i] * k[f->factor[i]];
    return sum;
}

/* All 11 bits of c must survive, so no subnormal numbers but powers of two. */
int plan_window_misfit(const plan_window *w, const int *k, int *by)
{
    for (int i = 0; i < w->n_scales; i++) {
        const plan_scale *s = &w->scales[i];
        int own;
        double c = frexp(fabs(s->c), &own);
        int e = own - 1 + plan_form_value(w, s->form, k);
        int least = c == 0.5 ? -24 : -14;
        *by = e > 15 ? e - 15 : e < least ? e - least : 0;
        if (*by) return i;
    }
    return -1;
}

/* ---- forms ---- */
/* The number of a form; terms are ascending, and none is 0. */
static rc intern(window *s, const plan_form *f, int *out)
{
    plan_window *w = s->w;
    for (int i = 0; i < w->n_forms; i++) {
        const plan_form *g = &w->forms[i];
        bool same = g->n == f->n;
        for (int j = 0; same && j < f->n; j++)
            same = g->factor[j] == f->factor[j] && g->times[j] == f->times[j];
        if (!same) continue;
        *out = i;
        return OK;
    }
    TRY(plan_grow(s->b->mem, (void **)&w->forms, w->n_forms, &s->cap_forms,
                  sizeof *w->forms));
    w->forms[w->n_forms] = *f;
    *out = w->n_forms++;
    return OK;
}

int window_form_of(window *s, int factor)
{
    plan_form f = {.n = 1, .factor = {factor}, .times = {1}};
    int out;
    return intern(s, &f, &out) == OK ? out : -1;
}

int window_single(const window *s, int form)
{
    const plan_form *f = &s->w->forms[form];
    return f->n == 1 && f->times[0] == 1 ? f->factor[0] : -1;
}

rc window_sum(window *s, int a, int b, int times, int *out)
{
    plan_form x = s->w->forms[a], y = s->w->forms[b], z = {0};
    for (int i = 0, j = 0; i < x.n || j < y.n;) {
        bool from_x = i < x.n && (j == y.n || x.factor[i] <= y.factor[j]);
        bool from_y = j < y.n && (i == x.n || y.factor[j] <= x.factor[i]);
        int factor = from_x ? x.factor[i] : y.factor[j];
        int sum = (from_x ? x.times[i++] : 0) + (from_y ? times * y.times[j++] : 0);
        if (!sum) continue;
        if (z.n == PLAN_TERMS)
            return err_fail(E_RULE, "a value carries more than %d factors",
                            (int)PLAN_TERMS);
        z.factor[z.n] = factor;
        z.times[z.n++] = sum;
    }
    return intern(s, &z, out);
}

/* ---- scopes ---- */
rc window_start(window *s)
{
    planner *b = s->b;
    size_t n = (size_t)s->from->n_nodes + 1;
    struct {
        void **at;
        size_t size;
    } by_node[] = {
        {(void **)&s->map, sizeof *s->map},
        {(void **)&s->form, sizeof *s->form},
        {(void **)&s->weight, sizeof *s->weight},
        {(void **)&s->weight_factor, sizeof *s->weight_factor},
        {(void **)&s->scores, sizeof *s->scores},
        {(void **)&s->gradient, sizeof *s->gradient},
        {(void **)&s->output, sizeof *s->output},
        {(void **)&s->partner, sizeof *s->partner},
    };
    if (!(s->w = arena_take(b->mem, sizeof *s->w))) return E_MEMORY;
    for (size_t i = 0; i < sizeof by_node / sizeof *by_node; i++)
        if (!(*by_node[i].at = arena_array(b->mem, n, by_node[i].size))) return E_MEMORY;
    for (int i = 0; i < s->from->n_nodes; i++) s->weight_factor[i] = -1;
    for (int i = 0; i < s->from->n_outputs; i++)
        s->training |= plan_is_gradient(s->from->outputs[i].name);
    s->cap_factors = s->cap_forms = s->cap_scales = s->cap_inputs = s->cap_sites = 0;
    s->cap_owns = s->n_made = s->n_owners = 0;
    s->owns = NULL;
    for (int i = 0; i < s->n_keys; i++) {
        window_key *k = &s->keys[i];
        *k = (window_key){
            .scope = k->scope, .backward = k->backward, .input = -1, .wanted = k->rows};
    }
    int none;
    return intern(s, &(plan_form){0}, &none);
}

rc window_at(window *s, const ir_node *n)
{
    for (int i = 0; i < s->n_keys; i++) {
        s->key = i;
        if (s->keys[i].backward == n->backward && strcmp(s->keys[i].scope, n->scope) == 0)
            return OK;
    }
    TRY(plan_grow(s->b->mem, (void **)&s->keys, s->n_keys, &s->cap_keys,
                  sizeof *s->keys));
    const char *scope = arena_text(s->b->mem, n->scope);
    if (!scope) return E_MEMORY;
    s->key = s->n_keys++;
    s->keys[s->key] = (window_key){.scope = scope, .backward = n->backward, .input = -1};
    return OK;
}

static const char *way(const window_key *k)
{
    return k->backward ? " backward" : "";
}

/* ---- factors ---- */
rc window_factor(window *s, plan_factor_at at, const char *name, const char *param,
                 const char *cause, int *out)
{
    plan_window *w = s->w;
    for (int i = 0; i < w->n_factors; i++)
        if (w->factors[i].at == at && strcmp(w->factors[i].name, name) == 0) {
            *out = i;
            return OK;
        }
    TRY(plan_grow(s->b->mem, (void **)&w->factors, w->n_factors, &s->cap_factors,
                  sizeof *w->factors));
    TRY(plan_grow(s->b->mem, (void **)&s->owns, w->n_factors, &s->cap_owns,
                  sizeof *s->owns));
    plan_factor f = {at, arena_text(s->b->mem, name), NULL, cause};
    if (param) f.param = arena_text(s->b->mem, param);
    if (!f.name || (param && !f.param)) return E_MEMORY;
    s->owns[w->n_factors] = false;
    w->factors[w->n_factors] = f;
    *out = w->n_factors++;
    return OK;
}

rc window_value_factor(window *s, const ir_node *x, const char *cause, int *out)
{
    window_key *k = &s->keys[s->key];
    for (int i = 0; x && i < s->n_owners; i++)
        if (s->owners[i].x == x && s->owners[i].key == s->key) {
            *out = s->owners[i].factor;
            return OK;
        }
    const char *name = arena_printf(s->b->mem, "%s%s/value.%d", k->scope, way(k),
                                    k->n_values++);
    if (!name) return E_MEMORY;
    TRY(window_factor(s, PLAN_ON_VALUE, name, NULL, cause, out));
    TRY(plan_grow(s->b->mem, (void **)&s->owners, s->n_owners, &s->cap_owners,
                  sizeof *s->owners));
    if (x) s->owners[s->n_owners++] = (window_owner){x, s->key, *out};
    return OK;
}

/* ---- numbers ---- */
static rc open_input(window *s, window_key *k)
{
    plan_window *w = s->w;
    TRY(plan_grow(s->b->mem, (void **)&w->inputs, w->n_inputs, &s->cap_inputs,
                  sizeof *w->inputs));
    int rows = s->round ? k->wanted : ROWS_MAX;
    const char *name = arena_printf(s->b->mem, "window:%s%s", k->scope, way(k));
    if (!name) return E_MEMORY;
    k->numbers = ir_input(s->l.to, name, IR_FP16, ir_s4(1, rows, 1, PLACES));
    k->input = w->n_inputs;
    w->inputs[w->n_inputs++] = (plan_scales){name, rows};
    return k->numbers ? OK : ir_rc(s->l.to);
}

/* The row of this scope's input with c * 2^form. */
static rc row_of(window *s, double c, int form, int *row)
{
    plan_window *w = s->w;
    window_key *k = &s->keys[s->key];
    if (k->input < 0) TRY(open_input(s, k));
    for (int i = 0; i < w->n_scales; i++) {
        const plan_scale *q = &w->scales[i];
        if (q->input != k->input || q->form != form || q->c != c) continue;
        *row = q->row;
        return OK;
    }
    if (k->rows == ROWS_MAX)
        return err_fail(E_RULE, "'%s' wants more than %d numbers", k->scope,
                        (int)ROWS_MAX);
    TRY(plan_grow(s->b->mem, (void **)&w->scales, w->n_scales, &s->cap_scales,
                  sizeof *w->scales));
    *row = k->rows++;
    w->scales[w->n_scales++] = (plan_scale){k->input, *row, form, c};
    return OK;
}

/* x times row's number. The slice begins at 0 of the width: older engines clamp
 * others. */
static ir_node *times_row(window *s, ir_node *x, int row)
{
    ir_graph *g = s->l.to;
    ir_shape one = {x->shape.rank, {1, 1, 1, 1, 1}};
    ir_node *c = ir_slice(g, s->keys[s->key].numbers, (int64_t[]){0, row, 0, 0},
                          (int64_t[]){1, 1, 1, 1});
    s->w->n_muls++;
    return ir_mul(g, x, one.rank == 4 ? c : ir_reshape(g, c, one));
}

/* key -1: of any scope. */
static bool made(window *s, ir_node **x, int key, int from, int to)
{
    for (int i = 0; i < s->n_made; i++) {
        const window_made *m = &s->made[i];
        if (m->x != *x || m->from != from || m->to != to) continue;
        if (key >= 0 && m->key != key) continue;
        *x = m->y;
        return true;
    }
    return false;
}

bool window_made_anywhere(window *s, ir_node **x, int from, int to)
{
    return made(s, x, -1, from, to);
}

rc window_reform(window *s, ir_node **x, int from, int to)
{
    int form, row;
    if (from == to || made(s, x, s->key, from, to)) return OK;
    TRY(window_sum(s, to, from, -1, &form));
    TRY(row_of(s, 1, form, &row));
    TRY(plan_grow(s->b->mem, (void **)&s->made, s->n_made, &s->cap_made,
                  sizeof *s->made));
    ir_node *y = times_row(s, *x, row);
    if (!y) return ir_rc(s->l.to);
    s->made[s->n_made++] = (window_made){*x, s->key, from, to, y};
    *x = y;
    return OK;
}

rc window_free_mul(window *s, ir_node *x, int from, int to, double c, ir_node **y)
{
    int form, row;
    TRY(window_sum(s, to, from, -1, &form));
    TRY(row_of(s, c, form, &row));
    *y = times_row(s, x, row);
    s->w->n_muls--; /* it was there before */
    return *y ? OK : ir_rc(s->l.to);
}

/* ---- products ---- */
/* The largest magnitude, or several whose largest it is: [1,1,1,32]. */
static ir_node *largest(ir_graph *g, ir_node *y)
{
    int64_t n = ir_count(y->shape), width = y->shape.d[y->shape.rank - 1];
    if (n % PLACES == 0 && width % PLACES && n / PLACES <= 65536) width = PLACES;
    bool lanes = width % PLACES == 0;
    ir_shape s = lanes ? ir_s4(1, n / width, width / PLACES, PLACES)
                       : ir_s4(1, n / width, 1, width);
    y = ir_unary(g, IR_abs, ir_reshape(g, y, s));
    y = ir_reduce(g, IR_reduce_max, y, 2, (int[]){1, lanes ? 2 : 3}, true);
    return lanes ? y : ir_mul(g, y, ir_fill(g, IR_FP16, ir_s4(1, 1, 1, PLACES), 1));
}

/* A site for x, which a factor may be moved for. */
static rc add_site(window *s, const ir_node *n, plan_site site, int number, ir_node *x)
{
    plan_window *w = s->w;
    window_key *k = &s->keys[s->key];
    TRY(plan_grow(s->b->mem, (void **)&w->sites, w->n_sites, &s->cap_sites,
                  sizeof *w->sites));
    TRY(plan_grow(s->b->mem, (void **)&k->peaks, k->n_peaks, &k->cap_peaks,
                  sizeof *k->peaks));
    if (!k->name) k->name = arena_printf(s->b->mem, "peaks:%s%s", k->scope, way(k));
    site.name = arena_printf(s->b->mem, "%s%s/%s.%d", k->scope, way(k),
                             site.operand ? "operand" : "product", number);
    if (!k->name || !site.name) return E_MEMORY;
    site.scope = k->name + strlen("peaks:");
    site.kind = !n->backward ? PLAN_FORWARD : s->gradient[n->id] ? PLAN_DW : PLAN_DX;
    if (s->training && site.factor >= 0) { /* the rest are not moved */
        site.peaks = k->name;
        site.row = k->n_peaks;
        k->peaks[k->n_peaks++] = largest(s->l.to, x);
    }
    w->sites[w->n_sites++] = site;
    return ir_rc(s->l.to);
}

rc window_site(window *s, const ir_node *n, ir_node *y, int form, int factor,
               const char *cause)
{
    return add_site(s, n, (plan_site){.form = form, .factor = factor, .cause = cause},
                    s->keys[s->key].n_sites++, y);
}

rc window_operand(window *s, const ir_node *n, ir_node *x, int form)
{
    window_key *k = &s->keys[s->key];
    int factor = window_single(s, form);
    if (factor < 0 || s->w->factors[factor].at == PLAN_ON_WEIGHT) return OK;
    for (int i = 0; i < k->n_watched; i++)
        if (k->watched[i] == x) return OK;
    TRY(plan_grow(s->b->mem, (void **)&k->watched, k->n_watched, &k->cap_watched,
                  sizeof *k->watched));
    k->watched[k->n_watched++] = x;
    return add_site(s, n,
                    (plan_site){.operand = true,
                                .form = form,
                                .factor = factor,
                                .cause = "an operand, which is to stay in fp16"},
                    k->n_operands++, x);
}

rc window_peaks(window *s)
{
    for (int i = 0; s->training && i < s->n_keys; i++) {
        window_key *k = &s->keys[i];
        if (!k->n_peaks) continue;
        ir_scope(s->l.to, k->scope, k->backward);
        ir_node *all = legal_join(&s->l, k->n_peaks, k->peaks, 1);
        if (!all) return ir_rc(s->l.to) == OK ? E_MEMORY : ir_rc(s->l.to);
        ir_output(s->l.to, k->name, all);
    }
    return OK;
}
