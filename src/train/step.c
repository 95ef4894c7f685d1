/* step.c - one update.
 *
 *   for each micro-batch: g += d(scale * loss)        (fp32, by the plan)
 *   norm = |g| / (scale * accum)
 *   overflow?  skip the update, halve the scale
 *   w, m, v = adamw(w, m, v, g * min(1, clip/norm) / (scale * accum))
 *
 * The division by the scale, the mean over micro-batches and the clip are one
 * factor that AdamW applies as it reads g, so that g is read twice in all:
 * for the norm, and here. AdamW writes the fp16 copy for the device in the
 * same pass where the device's surface allows it.
 *
 * The norm is a sum of squares in double: no fp32 gradient can overflow it,
 * so it is finite exactly when every gradient is. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "train/internal.h"

enum { HOPELESS = 20, ZERO_PIECE = 1 << 18 };

typedef struct {
    double loss;
    uint64_t infinities;
    char scope[64]; /* where the first was made, "" = nowhere */
} pass;

typedef struct {
    float *p;
    size_t n;
} span;

static void zero_piece(void *ctx, size_t i)
{
    const span *s = ctx;
    size_t at = i * ZERO_PIECE, n = s->n - at < ZERO_PIECE ? s->n - at : ZERO_PIECE;
    memset(s->p + at, 0, n * sizeof(float));
}

void step_clear(run *r)
{
    span g = {r->grads, r->mo->n_floats};
    kern_for(r->job->k, (g.n + ZERO_PIECE - 1) / ZERO_PIECE, zero_piece, &g);
}

static rc micro_batches(run *r, pass *p)
{
    exec_stats stats;
    double loss;
    step_clear(r);
    counts_clear(r);
    r->compiles = 0;
    for (int i = 0; i < r->o.accum; i++) {
        TRY(dataset_batch(r->data, r->o.seed, r->s.example, r->o.batch, r->mo->config.seq,
                          r->ids, r->targets));
        TRY(session_step(&r->step, r->ids, r->targets, r->s.loss_scale, &loss, &stats));
        if (r->resident) TRY(resident_gradients(r->resident));
        if (r->window) TRY(window_watch(r->window, r->step.exec));
        r->s.example += (uint64_t)r->o.batch;
        p->loss += loss / r->o.accum;
        p->infinities += stats.infinities;
        counts_add(r, &stats);
        r->compiles += stats.compiles;
        if (stats.first_infinity && !p->scope[0])
            snprintf(p->scope, sizeof p->scope, "%s", stats.first_infinity);
    }
    return OK;
}

rc step_window(run *r, bool overflow, const char *scope, bool *ours)
{
    window_moves moves;
    bool unwanted;
    if (!ours) ours = &unwanted;
    *ours = false;
    if (!r->window) return OK;
    *ours = window_after(r->window, overflow, scope, r->mo, r->job->k, &moves);
    if (r->log) report_window(r, &moves);
    return exec_window(r->step.exec, window_factors(r->window), overflow);
}

static kern_adamw_args adamw_args(const run *r, double lr, double grad_scale)
{
    double t = (double)r->s.updates;
    return (kern_adamw_args){.lr = (float)lr,
                             .beta1 = (float)r->o.beta1,
                             .beta2 = (float)r->o.beta2,
                             .eps = (float)r->o.eps,
                             .weight_decay = (float)r->o.weight_decay,
                             .grad_scale = (float)grad_scale,
                             .bias1 = (float)(1 - pow(r->o.beta1, t)),
                             .bias2 = (float)(1 - pow(r->o.beta2, t))};
}

rc step_stay(run *r, double lr, double grad_scale)
{
    if (!r->resident) return OK;
    kern_adamw_args a = adamw_args(r, lr, grad_scale);
    return resident_update(r->resident, &a);
}

rc step_apply(run *r, double lr, double grad_scale)
{
    kern_adamw_args a = adamw_args(r, lr, grad_scale);
    TRY(exec_halves_begin(r->step.exec));
    rc bad = OK; /* the masters are made whole even if the device is lost */
    for (int i = 0; i < r->mo->n_params; i++) {
        const model_param *p = &r->mo->params[i];
        size_t at = p->offset;
        if (r->resident && plan_stays(r->step.plan, p->name)) continue;
        half *w16 = exec_half(r->step.exec, p->name);
        a.half_scale = exec_half_scale(r->step.exec, p->name);
        a.weight_decay = p->decay ? (float)r->o.weight_decay : 0;
        kern_adamw(r->job->k, p->count, r->mo->weights + at, r->m + at, r->v + at,
                   r->grads + at, w16, &a);
        if (!w16 && bad == OK) bad = exec_stage_param(r->step.exec, p->name);
    }
    if (bad == OK) return exec_halves_end(r->step.exec);
    err_saved why;
    err_save(bad, &why);
    exec_halves_end(r->step.exec);
    return err_restore(&why);
}

/* The weight of a scope ("layer.3 backward") farthest from zero: where numbers
 * go bad, one has usually run away. NULL scope: of all. */
static const model_param *largest_weight(const run *r, const char *scope, float *size)
{
    const model_param *worst = NULL;
    char part[64] = "";
    int layer;
    *size = -1;
    if (scope && sscanf(scope, "layer.%d", &layer) == 1)
        snprintf(part, sizeof part, ".layers.%d.", layer);
    for (int i = 0; i < r->mo->n_params; i++) {
        const model_param *p = &r->mo->params[i];
        if (!strstr(p->name, part)) continue;
        for (size_t j = 0; j < p->count; j++) {
            float w = fabsf(r->mo->weights[p->offset + j]);
            if (!(w <= *size)) *size = w, worst = p;
            if (isnan(w)) return worst;
        }
    }
    return worst;
}

/* A checkpoint made after the update that spoilt the weights is no state to go
 * on from: it steps aside under another name. */
static void set_aside(run *r, arena *mem)
{
    char *from = checkpoint_dir(mem, r->job->run_dir, r->saved_step);
    char *to = arena_printf(mem, "%s/bad-%08lld", r->job->run_dir,
                            (long long)r->saved_step);
    if (!from || !to || r->saved_step <= r->good_step) return;
    if (file_exists(to) && file_remove_tree(to)) return;
    if (file_rename(from, to)) return;
    report_note(r, "%s holds spoilt weights and is now called %s", from, to);
}

/* Where the next start goes on from. */
static rc hint_good(run *r)
{
    err_saved why;
    int64_t *steps;
    size_t n = 0;
    arena *mem = arena_new();
    err_save(E_NUMERIC, &why);
    if (mem) set_aside(r, mem);
    if (mem && checkpoint_list(mem, r->job->run_dir, &steps, &n)) n = 0;
    err_restore(&why);
    if (n)
        err_hint(E_NUMERIC, "the last good checkpoint is %s/step-%08lld", r->job->run_dir,
                 (long long)steps[n - 1]);
    arena_free(mem);
    return err_hint(E_NUMERIC, "try a smaller train.lr or a longer train.warmup");
}

rc run_spoilt(run *r)
{
    float size;
    const model_param *w = largest_weight(r, NULL, &size);
    err_fail(E_NUMERIC,
             "the held-out loss is not finite at step %lld; the largest weight is %g in "
             "%s",
             (long long)r->s.step, (double)size, w ? w->name : "none");
    return hint_good(r);
}

static rc give_up(run *r, const pass *p)
{
    float size;
    const char *scope = p->scope[0] ? p->scope : "head";
    if (r->resident && resident_pull(r->resident) != OK) err_clear();
    const model_param *w = largest_weight(r, p->scope[0] ? p->scope : NULL, &size);
    err_fail(E_NUMERIC,
             "the %s since step %lld: the first infinity is made in %s, whose largest "
             "weight is %g in %s",
             isfinite(p->loss) ? "gradients are not finite" : "loss is not finite",
             (long long)r->bad_since, scope, (double)size, w ? w->name : "none");
    return hint_good(r);
}

/* An update that must not be made. Halving the scale helps gradients; when
 * there is nothing left to halve, 20 in a row are the end. */
static rc overflowed(run *r, const pass *p, bool of_window)
{
    exec_stats stats = {.infinities = p->infinities,
                        .first_infinity = p->scope[0] ? p->scope : NULL};
    bool floor = !of_window && scale_at_floor(&r->o, &r->s);
    if (!r->overflows++) r->bad_since = r->s.step;
    r->hopeless = floor ? r->hopeless + 1 : 0;
    if (!of_window) scale_after(&r->o, true, &r->s);
    report_overflow(r, &stats, p->loss);
    if (floor && (!isfinite(p->loss) || r->hopeless >= HOPELESS)) return give_up(r, p);
    return OK;
}

/* Whatever a device does, r->s and the masters are those of a whole number of
 * steps when this returns, so that they can be saved. */
rc run_step(run *r)
{
    TRY(budget_step(r));
    double before = clock_ms(), lr = train_lr(&r->o, r->s.step);
    train_state was = r->s;
    pass p = {0};
    rc bad = micro_batches(r, &p);
    if (bad != OK && r->window) window_forget(r->window);
    if (bad == OK) bad = exec_halves_begin(r->step.exec);
    if (bad != OK) {
        r->s = was;
        return bad;
    }
    double unscale = 1 / (r->s.loss_scale * r->o.accum);
    double squares = kern_sum_squares(r->job->k, r->mo->n_floats, r->grads);
    double norm = sqrt(squares) * unscale;
    r->s.step++;
    r->s.loss = p.loss;
    if (isfinite(p.loss)) TRY(run_saved_is_good(r));
    bool overflow = !isfinite(norm) || !isfinite(p.loss) || p.infinities, ours;
    TRY(step_window(r, overflow, p.scope[0] ? p.scope : NULL, &ours));
    if (overflow) return overflowed(r, &p, ours);
    r->overflows = r->hopeless = 0;
    r->s.updates++;
    double clip = r->o.clip > 0 && norm > r->o.clip ? r->o.clip / norm : 1;
    err_saved why;
    bad = step_stay(r, lr, unscale * clip);
    if (bad != OK) { /* nothing was updated */
        r->s = was;
        return bad;
    }
    bad = step_apply(r, lr, unscale * clip);
    err_save(bad, &why); /* the update is made, and counts */
    double ms = clock_ms() - before;
    report_step(r, norm, lr, ms);
    scale_after(&r->o, false, &r->s);
    r->step_ms += ms;
    r->tokens += (double)r->o.batch * r->o.accum * r->mo->config.seq;
    return bad == OK ? OK : err_restore(&why);
}
