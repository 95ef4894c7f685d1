/* small_run.h - a small Llama planned, opened and given data, for tests of
 * planner and exec; and what the oracle says about it. */
#ifndef SMALL_RUN_H
#define SMALL_RUN_H

#include "exec/exec.h"
#include "oracle_device.h"
#include "plan/passes.h"
#include "small_llama.h"

typedef struct {
    llama m;
    plan *p;
    exec *x;
    kern *k;
    device *d; /* NULL: the oracle */
    oracle_device dev;
    float *w[LLAMA_PARAMS], *g[LLAMA_PARAMS];
    int32_t *ids, *targets;
} run;

/* On a device by its URI, or on the oracle for a chip by its name. */
static inline run run_open_threads(llama_shape s, const char *where,
                                   const plan_options *o, int threads)
{
    run r = {.m = llama_new(s)};
    dev_caps caps;
    assert_ok(kern_open(threads, NULL, &r.k));
    if (strchr(where, ':')) {
        assert_ok(dev_open(where, r.k, &r.d));
        assert_ok(dev_caps_of(r.d, &caps));
    } else {
        caps = caps_of(where);
    }
    assert_ok(plan_build(r.m.g, &caps, o, &r.p));
    r.dev = (oracle_device){.base = {.driver = &oracle_driver}, .p = r.p};
    return r;
}

static inline run run_open(llama_shape s, const char *where, const plan_options *o)
{
    return run_open_threads(s, where, o, 2);
}

/* The plan of one variant, before run_start. */
static inline void run_replan(run *r, const plan_options *o, plan_variant v)
{
    dev_caps caps = r->p->caps;
    plan_free(r->p);
    assert_ok(plan_build_one(r->m.g, &caps, o, v, &r->p));
    r->dev.p = r->p;
}

static inline void run_start(run *r)
{
    size_t t = (size_t)(r->m.s.batch * r->m.s.seq);
    assert_ok(exec_open(r->p, r->d ? r->d : &r->dev.base, r->k, &r->x));
    for (int i = 0; i < r->m.n; i++) {
        r->w[i] = llama_fill(&r->m, i);
        r->g[i] = calloc((size_t)ir_count(r->m.param[i]->shape), sizeof(float));
        assert_ok(
            exec_bind(r->x, r->m.param[i]->name, r->w[i], r->m.s.grads ? r->g[i] : NULL));
    }
    assert_ok(exec_stage(r->x));
    r->ids = calloc(t, sizeof *r->ids);
    r->targets = calloc(t, sizeof *r->targets);
    for (size_t i = 0; i < t; i++) {
        r->ids[i] = (int32_t)rng_below(1, 1, i, (uint64_t)r->m.s.vocab);
        r->targets[i] = (int32_t)rng_below(1, 2, i, (uint64_t)r->m.s.vocab);
    }
    r->targets[t - 1] = -1;
    assert_ok(exec_input(r->x, "ids", r->ids, t * sizeof *r->ids));
    if (!r->m.s.grads) return;
    assert_ok(exec_input(r->x, "targets", r->targets, t * sizeof *r->targets));
    assert_ok(exec_input(r->x, "loss_scale", &(float){256}, sizeof(float)));
}

static inline void run_close(run *r)
{
    exec_close(r->x);
    assert_int_equal(r->dev.loads, 0);
    assert_int_equal(r->dev.surfaces, 0);
    plan_free(r->p);
    dev_close(r->d);
    kern_close(r->k);
    for (int i = 0; i < r->m.n; i++) free(r->w[i]), free(r->g[i]);
    free(r->ids);
    free(r->targets);
    ir_free(r->m.g);
}

/* Gradients of a fresh step. */
static inline void run_step(run *r, exec_stats *stats)
{
    for (int i = 0; i < r->m.n; i++)
        memset(r->g[i], 0, (size_t)ir_count(r->m.param[i]->shape) * sizeof(float));
    assert_ok(exec_step(r->x, stats));
}

static inline double *run_doubles(arena *mem, size_t n, const float *f, const int32_t *i)
{
    double *v = arena_array(mem, n, sizeof *v);
    for (size_t k = 0; k < n; k++) v[k] = f ? (double)f[k] : (double)i[k];
    return v;
}

static inline double **run_oracle(run *r, arena *mem)
{
    ir_binding bind[LLAMA_PARAMS + 3];
    int n = 0;
    size_t t = (size_t)(r->m.s.batch * r->m.s.seq);
    double **v;
    for (int i = 0; i < r->m.n; i++)
        bind[n++] = (ir_binding){
            r->m.param[i]->name,
            run_doubles(mem, (size_t)ir_count(r->m.param[i]->shape), r->w[i], NULL)};
    bind[n++] = (ir_binding){"ids", run_doubles(mem, t, NULL, r->ids)};
    bind[n++] = (ir_binding){"targets", run_doubles(mem, t, NULL, r->targets)};
    bind[n++] = (ir_binding){"loss_scale", run_doubles(mem, 1, &(float){256}, NULL)};
    assert_ok(ir_eval(r->m.g, mem, n, bind, &v));
    return v;
}

static inline double run_off(const float *had, const double *want, size_t n)
{
    double num = 0, den = 0;
    for (size_t i = 0; i < n; i++) {
        num += (had[i] - want[i]) * (had[i] - want[i]);
        den += want[i] * want[i];
    }
    return den > 0 ? sqrt(num / den) : sqrt(num);
}

/* A step has the oracle's loss, and gradients with relative errors up to `allowed`.
 * Values between programs are fp16: 2^-11 each, and no more than a few dozen of them
 * between a weight and the loss; errors add up at random. Logits of up to 8 are off by
 * 2^-9 each, which averages out over many columns. */
static inline void run_equals_oracle(run *r, const char *what, double allowed)
{
    arena *mem = arena_new();
    double **v = run_oracle(r, mem);
    float loss;
    exec_stats stats;
    run_step(r, &stats);
    assert_int_equal(stats.launches, r->p->launches);
    assert_ok(exec_output(r->x, "loss", &loss, 1));
    double want = v[ir_find(r->m.g, "loss")->id][0];
    double near = r->m.s.batch * r->m.s.seq >= 32 ? 1e-3 : 4e-3;
    if (!(fabs(loss - want) <= near))
        fail_msg("%s: loss %g, not %g", what, (double)loss, want);
    for (int i = 0; i < r->m.n; i++) {
        char name[80];
        snprintf(name, sizeof name, "grad:%s", r->m.param[i]->name);
        double e = run_off(r->g[i], v[ir_find(r->m.g, name)->id],
                           (size_t)ir_count(r->m.param[i]->shape));
        if (!(e <= allowed)) fail_msg("%s, %s: relative error %.3g", what, name, e);
    }
    arena_free(mem);
}

static const llama_shape run_small = {.layers = 2,
                                      .dim = 64,
                                      .hidden = 96,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .head_dim = 16,
                                      .vocab = 96,
                                      .batch = 2,
                                      .seq = 32,
                                      .grads = true};

#endif
