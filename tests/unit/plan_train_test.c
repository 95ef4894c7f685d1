/* plan_train_test.c - a small transformer, planned and carried out, gives the
 * loss and the gradients that the oracle gives for the graph it was made of. */
#include "exec/exec.h"
#include "oracle_device.h"
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
static run run_open(llama_shape s, const char *where, const plan_options *o)
{
    run r = {.m = llama_new(s)};
    dev_caps caps;
    assert_ok(kern_open(2, NULL, &r.k));
    if (strchr(where, ':')) {
        assert_ok(dev_open(where, r.k, &r.d));
        assert_ok(dev_caps_of(r.d, &caps));
    } else {
        caps = caps_of(where);
    }
    assert_ok(plan_build(r.m.g, &caps, o, &r.p));
    r.dev = (oracle_device){.base = {&oracle_driver}, .p = r.p};
    return r;
}

static void run_start(run *r)
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

static void run_close(run *r)
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

static double *doubles(arena *mem, size_t n, const float *f, const int32_t *i)
{
    double *v = arena_array(mem, n, sizeof *v);
    for (size_t k = 0; k < n; k++) v[k] = f ? (double)f[k] : (double)i[k];
    return v;
}

static double **oracle(run *r, arena *mem)
{
    ir_binding bind[LLAMA_PARAMS + 3];
    int n = 0;
    size_t t = (size_t)(r->m.s.batch * r->m.s.seq);
    double **v;
    for (int i = 0; i < r->m.n; i++)
        bind[n++] = (ir_binding){
            r->m.param[i]->name,
            doubles(mem, (size_t)ir_count(r->m.param[i]->shape), r->w[i], NULL)};
    bind[n++] = (ir_binding){"ids", doubles(mem, t, NULL, r->ids)};
    bind[n++] = (ir_binding){"targets", doubles(mem, t, NULL, r->targets)};
    bind[n++] = (ir_binding){"loss_scale", doubles(mem, 1, &(float){256}, NULL)};
    assert_ok(ir_eval(r->m.g, mem, n, bind, &v));
    return v;
}

static double off(const float *had, const double *want, size_t n)
{
    double num = 0, den = 0;
    for (size_t i = 0; i < n; i++) {
        num += (had[i] - want[i]) * (had[i] - want[i]);
        den += want[i] * want[i];
    }
    return sqrt(num / den);
}

/* fp16 values between programs: relative error 2^-11 each, and no more than a
 * few dozen of them between a weight and the loss; errors add up at random. */
static void check_against_oracle(run *r, double allowed)
{
    arena *mem = arena_new();
    double **v = oracle(r, mem);
    float loss;
    exec_stats stats;
    assert_ok(exec_step(r->x, &stats));
    assert_int_equal(stats.launches, r->p->launches);
    assert_ok(exec_output(r->x, "loss", &loss, 1));
    assert_near(loss, v[ir_find(r->m.g, "loss")->id][0], 1e-3);
    for (int i = 0; i < r->m.n; i++) {
        char name[80];
        snprintf(name, sizeof name, "grad:%s", r->m.param[i]->name);
        size_t n = (size_t)ir_count(r->m.param[i]->shape);
        double e = off(r->g[i], v[ir_find(r->m.g, name)->id], n);
        if (!(e <= allowed)) print_error("%s: relative error %.3g\n", name, e);
        assert_true(e <= allowed);
    }
    arena_free(mem);
}

static const llama_shape small = {.layers = 2,
                                  .dim = 64,
                                  .hidden = 96,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_dim = 16,
                                  .vocab = 96,
                                  .batch = 2,
                                  .seq = 32,
                                  .grads = true};

static void gradients_equal_the_oracles(void **state)
{
    (void)state;
    const char *chips[] = {"m1", "m4", "emu:m1", "emu:m4"};
    for (int tied = 0; tied < 2; tied++)
        for (size_t c = 0; c < COUNT_OF(chips); c++)
            for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
                llama_shape s = small;
                s.tied = tied;
                s.interleaved = dw == PLAN_DW_HOST;
                run r = run_open(s, chips[c], &(plan_options){.dw = (plan_dw)dw});
                run_start(&r);
                check_against_oracle(&r, strchr(chips[c], ':') ? 1e-2 : 4e-3);
                run_close(&r);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_equal_the_oracles),
    };
    return cmocka_run_group_tests_name("plan_train", tests, NULL, NULL);
}
