/* timing.c - how long one update takes, without files or data: the same pass
 * and the same AdamW as a run's, on random tokens. */
#include <stdlib.h>
#include "base/clock.h"
#include "base/rng.h"
#include "train/internal.h"

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

static rc allocate(run *r, int batch)
{
    size_t floats = mem_mul(r->mo->n_floats, sizeof(float));
    size_t tokens = (size_t)batch * (size_t)r->mo->config.seq;
    r->m = mem_take(floats);
    r->v = mem_take(floats);
    r->grads = mem_take(floats);
    r->ids = mem_take(tokens * sizeof *r->ids);
    r->targets = mem_take(tokens * sizeof *r->targets);
    if (!r->m || !r->v || !r->grads || !r->ids || !r->targets) return E_MEMORY;
    for (size_t i = 0; i < tokens; i++) {
        r->ids[i] = (int32_t)rng_below(1, 1, i, (uint64_t)r->mo->config.vocab);
        r->targets[i] = (int32_t)rng_below(1, 2, i, (uint64_t)r->mo->config.vocab);
    }
    return OK;
}

static rc one_update(run *r, double *ms, double *flops)
{
    double before = clock_ms(), loss;
    exec_stats stats;
    step_clear(r);
    TRY(session_step(&r->step, r->ids, r->targets, SCALE_START, &loss, &stats));
    if (r->resident) TRY(resident_gradients(r->resident));
    if (r->window) TRY(window_watch(r->window, r->step.exec));
    double squares = kern_sum_squares(r->job->k, r->mo->n_floats, r->grads);
    TRY(step_window(r, false, NULL, NULL));
    r->s.updates++;
    TRY(step_stay(r, 1e-4, squares > 0 ? 1.0 / SCALE_START : 0));
    TRY(step_apply(r, 1e-4, squares > 0 ? 1.0 / SCALE_START : 0));
    *ms = clock_ms() - before;
    *flops = stats.flops;
    return OK;
}

static rc measure(run *r, int repeat, double *each, train_timing *out)
{
    double *ms = mem_take(sizeof *ms * (size_t)repeat), warm;
    if (!ms) return E_MEMORY;
    dev_mean watts = {0};
    dev_sample unused;
    rc e = one_update(r, &warm, &out->flops);
    if (!e) e = dev_sample_of(r->job->dev, &unused); /* what was before is over */
    for (int i = 0; !e && i < repeat; i++) {
        e = one_update(r, &ms[i], &out->flops);
        if (each) each[i] = ms[i];
        dev_mean_add(&watts, r->job->dev, DEV_WATTS);
    }
    out->watts = dev_mean_of(&watts);
    if (!e) {
        qsort(ms, (size_t)repeat, sizeof *ms, by_value);
        out->ms = ms[repeat / 2];
        out->min_ms = ms[0];
    }
    mem_drop(ms);
    return e;
}

rc train_time(const model_config *c, int batch, int repeat, const plan_options *o,
              device *d, kern *k, double *each, train_timing *out)
{
    train_job job = {.dev = d, .k = k};
    run r = {.job = &job,
             .arrays = {.fd = -1},
             .o = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1}};
    *out = (train_timing){0};
    rc e = model_new(c, &r.mo);
    if (!e) model_init(r.mo, 1);
    if (!e) e = allocate(&r, batch);
    if (!e)
        e = session_open(r.mo, MODEL_GRAD, batch, r.mo->config.seq, o, d, k, r.grads,
                         &r.step);
    if (!e) e = window_new(r.step.plan, &r.window);
    if (!e && r.step.plan->update) {
        r.rest = mem_take(mem_mul(r.mo->n_floats, sizeof(float)));
        e = r.rest ? resident_open(&r) : E_MEMORY;
    }
    if (!e) {
        out->loads = r.step.plan->loads;
        out->launches = r.step.plan->launches;
        out->predicted = plan_times_of(r.step.plan);
        e = measure(&r, repeat, each, out);
    }
    window_free(r.window);
    session_unload(&r.step);
    resident_close(r.resident);
    session_close(&r.step);
    mem_drop(r.rest);
    mem_drop(r.m);
    mem_drop(r.v);
    mem_drop(r.grads);
    mem_drop(r.ids);
    mem_drop(r.targets);
    model_free(r.mo);
    return e;
}
