/* window.c - choosing the factors of exponent windows (plan/window.c).
 *
 * After every step the engine says how large each product's largest element
 * was. In true units that is an exponent E; stored, E plus the product's form.
 * A factor is moved so that what is stored lies near 2^TARGET, the middle of
 * the window: 6 places below the cliff at 2^15, and high enough that rounding
 * products to 2^-16 is far below the rounding of an fp16 result.
 *
 *   infinite   every factor of that product steps back by BACK; no update. Where
 *              no product was, or the step before was lost too, all of that
 *              scope do: something between its products left fp16
 *   > 2^HIGH   lowered to TARGET at once
 *   < TARGET   raised, once in PERIOD good steps, if the largest of them all
 *              leaves SLACK places or more: so factors do not flutter
 *   < 2^-4     most of the sum may have been dropped, and the rest say little:
 *              raised by WEAK_STEP, and looked at again after the next step
 *   all zero   says nothing; raised by CLIMB at a time until it is stored times
 *              2^CLIMB_MAX, since all its products may have been dropped, step
 *              after step
 *
 * An operand that is multiplied is watched too: its factor goes no further than
 * to 2^OPERAND, since the array would read what is infinite there as 65536 and
 * say nothing. A factor that has stepped back for its scope stays below that by a
 * ceiling, which rises by one each period.
 *
 * Then no number may leave fp16: what is too large for it is cut. All of it is
 * whole numbers, so a resumed run goes on with the same bits. */
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "train/internal.h"

enum {
    TARGET = 9,
    HIGH = 12,
    OPERAND = 12,
    SLACK = 3,
    BACK = 4,
    PERIOD = 16,
    CLIMB = 4,
    CLIMB_MAX = 12,
    WEAK = 13, /* so far below the middle most of a sum may have been dropped */
    WEAK_STEP = 8,
    STAGED_MAX = 13, /* exponent of the largest staged weight */
    MOST = 100,      /* no ceiling */
    NONE = INT_MIN
};

struct train_window {
    arena *mem;
    const plan_window *w;
    int *k;          /* by factor */
    int *most;       /* by factor: its ceiling */
    bool *back;      /* by factor: has stepped back in this step */
    int *now, *high; /* by site: true exponents of this step, of this period */
    float *peaks;
    int64_t good; /* steps since the period began */
    int burst;    /* first site that was infinite in this step, -1 = none */
    bool lost;    /* so was the step before */
    window_moves moves;
    str text;
};

rc window_new(const plan *p, train_window **out)
{
    *out = NULL;
    if (!p->window) return OK;
    arena *mem = arena_new();
    train_window *t = mem ? arena_take(mem, sizeof *t) : NULL;
    if (!t) {
        arena_free(mem);
        return E_MEMORY;
    }
    size_t sites = (size_t)p->window->n_sites + 1;
    *t = (train_window){.mem = mem, .w = p->window, .burst = -1, .good = PERIOD - 1};
    t->k = arena_array(mem, (size_t)p->window->n_factors + 1, sizeof *t->k);
    t->most = arena_array(mem, (size_t)p->window->n_factors + 1, sizeof *t->most);
    t->back = arena_array(mem, (size_t)p->window->n_factors + 1, sizeof *t->back);
    t->now = arena_array(mem, sites, sizeof *t->now);
    t->high = arena_array(mem, sites, sizeof *t->high);
    t->peaks = arena_array(mem, sites, sizeof *t->peaks);
    if (!t->k || !t->most || !t->back || !t->now || !t->high || !t->peaks) {
        arena_free(mem);
        return E_MEMORY;
    }
    for (int i = 0; i < t->w->n_sites; i++) t->now[i] = t->high[i] = NONE;
    for (int v = 0; v < t->w->n_factors; v++) t->most[v] = MOST;
    *out = t;
    return OK;
}

void window_free(train_window *t)
{
    if (!t) return;
    str_free(&t->text);
    arena_free(t->mem);
}

const int *window_factors(const train_window *t)
{
    return t->k;
}

static int form_of(const train_window *t, int site)
{
    return plan_form_value(t->w, t->w->sites[site].form, t->k);
}

rc window_watch(train_window *t, exec *x)
{
    TRY(exec_peaks(x, t->peaks));
    for (int i = 0; i < t->w->n_sites; i++) {
        float p = t->peaks[i];
        if (!isfinite(p) && (t->burst < 0 || i < t->burst)) t->burst = i;
        if (!(p > 0) || !isfinite(p)) continue;
        int e = ilogb(p) + 1 - form_of(t, i);
        if (e > t->now[i]) t->now[i] = e;
    }
    return OK;
}

/* ---- moving ---- */
/* How far factor v may go for the products that are moved by it, or the operands
 * that it is on: the least room. NONE: nobody has said anything. `seen` by site. */
static int room(const train_window *t, int v, const int *seen, bool operands)
{
    int least = NONE, to = operands ? OPERAND : TARGET;
    for (int i = 0; i < t->w->n_sites; i++) {
        const plan_site *s = &t->w->sites[i];
        if (s->factor != v || s->operand != operands || seen[i] == NONE) continue;
        int k = t->k[v] + to - (seen[i] + form_of(t, i));
        if (least == NONE || k < least) least = k;
    }
    return least;
}

/* Weights whose staged copies would come near the end of fp16. */
static int weight_most(const model *mo, kern *k, const char *param)
{
    for (int i = 0; i < mo->n_params; i++) {
        const model_param *p = &mo->params[i];
        if (strcmp(p->name, param) != 0) continue;
        const float *w = mo->weights + p->offset;
        float top = fmaxf(kern_reduce_row(k, KERN_MAX, KERN_F32, p->count, w),
                          -kern_reduce_row(k, KERN_MIN, KERN_F32, p->count, w));
        if (top == 0) return CLIMB_MAX;
        return isfinite(top) ? STAGED_MAX - ilogb(top) : 0;
    }
    return 0;
}

static void move(train_window *t, int v, int k)
{
    if (k > t->k[v]) t->moves.raised++;
    else if (k < t->k[v]) t->moves.lowered++;
    t->k[v] = k;
}

/* A product came too near the cliff, or an operand too near the end of fp16. */
static void lower_one(train_window *t, int v, const int *seen)
{
    int k = room(t, v, seen, false), o = room(t, v, seen, true);
    if (k == NONE || (o != NONE && o < k)) k = o;
    if (k != NONE && t->k[v] - k > HIGH - TARGET) move(t, v, k);
}

/* At once. */
static void lower(train_window *t)
{
    for (int v = 0; v < t->w->n_factors; v++) lower_one(t, v, t->now);
}

/* Products of fp16 values that are all dropped are seen again when 12 places
 * larger, so that is as far as the factors of one are raised together. */
static int climb(const train_window *t, int v)
{
    int most = INT_MIN;
    for (int i = 0; i < t->w->n_sites; i++)
        if (t->w->sites[i].factor == v && !t->w->sites[i].operand && form_of(t, i) > most)
            most = form_of(t, i);
    int step = CLIMB_MAX - most < CLIMB ? CLIMB_MAX - most : CLIMB;
    return most > INT_MIN && step > 0 ? t->k[v] + step : t->k[v];
}

/* By what the whole period has shown. True: it is worth another look soon. */
static bool raise_all(train_window *t, const model *mo, kern *kern_)
{
    bool again = false;
    for (int v = 0; v < t->w->n_factors; v++) {
        const plan_factor *f = &t->w->factors[v];
        int k = room(t, v, t->high, false), limit = room(t, v, t->high, true);
        bool seen = k != NONE;
        if (!seen) k = climb(t, v);
        lower_one(t, v, t->high); /* others of its forms have just been raised */
        if (seen && k - t->k[v] < SLACK) continue;
        bool weak = !seen || k - t->k[v] > WEAK;
        if (seen && weak) k = t->k[v] + WEAK_STEP;
        if (limit != NONE && k > limit) k = limit, weak = false;
        if (k > t->most[v]) k = t->most[v], weak = false;
        if (f->at == PLAN_ON_WEIGHT) {
            int most = weight_most(mo, kern_, f->param);
            if (k > most) k = most, t->moves.cut++;
        }
        if (k <= t->k[v]) continue;
        move(t, v, k);
        again |= weak;
    }
    for (int v = 0; v < t->w->n_factors; v++)
        if (t->most[v] < MOST) t->most[v]++;
    return again;
}

/* The factor that pushes this number out of fp16 most gives way. */
static void give_way(train_window *t, const plan_form *f, int by)
{
    int at = 0, most = INT_MIN;
    for (int i = 0; i < f->n; i++) {
        int pushes = f->times[i] * t->k[f->factor[i]] * (by > 0 ? 1 : -1);
        if (pushes > most) most = pushes, at = i;
    }
    int times = f->times[at], each = abs(times);
    int less = (abs(by) + each - 1) / each;
    t->k[f->factor[at]] -= (by > 0) == (times > 0) ? less : -less;
    t->moves.cut++;
}

/* Each turn brings one number in; if they quarrel for too long, none is used. */
static void fit(train_window *t)
{
    int by, bad;
    for (int turn = 0; (bad = plan_window_misfit(t->w, t->k, &by)) >= 0; turn++) {
        if (turn < 16 * t->w->n_scales) {
            give_way(t, &t->w->forms[t->w->scales[bad].form], by);
            continue;
        }
        for (int v = 0; v < t->w->n_factors; v++) t->k[v] = 0;
        t->moves.cut += t->w->n_factors;
        return;
    }
}

/* Every factor that raised what is stored in this form steps back, once. */
static bool step_back(train_window *t, const plan_form *f)
{
    bool any = false;
    for (int i = 0; i < f->n; i++) {
        int v = f->factor[i];
        if (f->times[i] < 0 || t->k[v] <= 0 || t->back[v]) continue;
        move(t, v, t->k[v] - BACK);
        t->back[v] = any = true;
    }
    return any;
}

/* All that raised something in this scope, which gets a ceiling there. */
static bool scope_back(train_window *t, const char *scope)
{
    bool any = false;
    for (int i = 0; i < t->w->n_sites; i++) {
        const plan_site *s = &t->w->sites[i];
        if (strcmp(s->scope, scope) == 0) any |= step_back(t, &t->w->forms[s->form]);
    }
    for (int v = 0; v < t->w->n_factors; v++)
        if (t->back[v]) t->most[v] = t->k[v];
    return any;
}

/* An infinity came of what burst, if anything did, or of something in that scope.
 * False: no factor raised it, so the numbers themselves are too large. */
static bool give_back(train_window *t, const char *scope)
{
    bool any = false;
    memset(t->back, 0, (size_t)t->w->n_factors * sizeof *t->back);
    if (t->burst >= 0) {
        t->moves.burst = t->w->sites[t->burst].name;
        any = step_back(t, &t->w->forms[t->w->sites[t->burst].form]);
    }
    if (scope && (t->burst < 0 || t->lost)) any |= scope_back(t, scope);
    return any;
}

bool window_after(train_window *t, bool overflow, const char *scope, const model *mo,
                  kern *k, window_moves *moves)
{
    bool ours = false;
    t->moves = (window_moves){0};
    for (int i = 0; i < t->w->n_sites; i++)
        if (t->now[i] > t->high[i]) t->high[i] = t->now[i];
    if (t->burst >= 0 || overflow) ours = give_back(t, scope);
    if (!ours) lower(t);
    t->lost = ours;
    if (!overflow && ++t->good >= PERIOD) {
        t->good = raise_all(t, mo, k) ? PERIOD - 1 : 0;
        for (int i = 0; i < t->w->n_sites; i++) t->high[i] = NONE;
    }
    if (ours || t->burst >= 0) { /* what was measured under it means little */
        for (int i = 0; i < t->w->n_sites; i++) t->high[i] = NONE;
        t->good = 0;
    }
    fit(t);
    for (int i = 0; i < t->w->n_sites; i++) t->now[i] = NONE;
    t->burst = -1;
    *moves = t->moves;
    return ours;
}

void window_forget(train_window *t)
{
    for (int i = 0; i < t->w->n_sites; i++) t->now[i] = NONE;
    t->burst = -1;
}

rc window_lend(const train_window *t, const plan *p, exec *x)
{
    const plan_window *w = p->window;
    int by;
    if (!t || !w) return OK;
    int *k = mem_take(mem_mul((size_t)w->n_factors + 1, sizeof *k));
    if (!k) return E_MEMORY;
    for (int i = 0; i < w->n_factors; i++) {
        k[i] = 0;
        for (int v = 0; v < t->w->n_factors; v++)
            if (strcmp(t->w->factors[v].name, w->factors[i].name) == 0) k[i] = t->k[v];
    }
    if (plan_window_misfit(w, k, &by) >= 0)
        for (int i = 0; i < w->n_factors; i++) k[i] = 0;
    rc r = exec_window(x, k, true);
    mem_drop(k);
    return r;
}

/* ---- in state.json ----
 * {"good": 3, "lost": false, "factors": {NAME: k, ...}, "most": {NAME: k, ...},
 *  "high": {SITE: exponent, ...}} */
rc window_save(train_window *t, const char **text)
{
    json_t *factors = json_object(), *most = json_object(), *high = json_object();
    for (int i = 0; i < t->w->n_factors; i++)
        json_object_set_new(factors, t->w->factors[i].name, json_integer(t->k[i]));
    for (int i = 0; i < t->w->n_factors; i++)
        if (t->most[i] < MOST)
            json_object_set_new(most, t->w->factors[i].name, json_integer(t->most[i]));
    for (int i = 0; i < t->w->n_sites; i++)
        if (t->high[i] != NONE)
            json_object_set_new(high, t->w->sites[i].name, json_integer(t->high[i]));
    json_t *all = json_pack("{s:I, s:b, s:o, s:o, s:o}", "good", (json_int_t)t->good,
                            "lost", t->lost, "factors", factors, "most", most, "high",
                            high);
    char *line = all ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    str_clear(&t->text);
    if (line) str_add(&t->text, line);
    free(line);
    *text = t->text.p;
    return line ? str_done(&t->text) : err_fail(E_MEMORY, "no memory for the factors");
}

static rc load_each(const json_t *all, const char *name, int *out)
{
    const json_t *one = json_object_get(all, name);
    if (!one) return OK;
    json_int_t v = json_integer_value(one);
    if (!json_is_integer(one) || v < -1000 || v > 1000)
        return err_fail(E_FORMAT, "'window': %.200s is no exponent", name);
    *out = (int)v;
    return OK;
}

rc window_load(train_window *t, const char *text)
{
    json_error_t error;
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    const json_t *factors = json_object_get(all, "factors"),
                 *most = json_object_get(all, "most"),
                 *high = json_object_get(all, "high"),
                 *good = json_object_get(all, "good");
    rc r = json_is_object(factors) && json_is_object(high) && json_is_integer(good)
               ? OK
               : err_fail(E_FORMAT, "'window' is malformed");
    for (int i = 0; r == OK && i < t->w->n_factors; i++)
        if (!(r = load_each(factors, t->w->factors[i].name, &t->k[i])))
            r = load_each(most, t->w->factors[i].name, &t->most[i]);
    for (int i = 0; r == OK && i < t->w->n_sites; i++)
        r = load_each(high, t->w->sites[i].name, &t->high[i]);
    if (r == OK) {
        t->good = json_integer_value(good);
        t->lost = json_is_true(json_object_get(all, "lost"));
    }
    json_decref(all);
    if (r == OK) fit(t);
    return r;
}
