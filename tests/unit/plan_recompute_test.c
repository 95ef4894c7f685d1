/* plan_recompute_test.c - values made again in the backward pass are the same values,
 * take less memory, and are what a plan falls back on that would not fit. */
#include "plan/passes.h"
#include "small_run.h"

enum { KINDS = 3 };
static const plan_recompute kinds[KINDS] = {PLAN_RECOMPUTE_NONE, PLAN_RECOMPUTE_ELEMENTS,
                                            PLAN_RECOMPUTE_LAYERS};

static double kept(const run *r)
{
    return r->p->memory.activations;
}

/* Gradients of one step, all params one after the other. */
static float *gradients(run *r, size_t *n)
{
    exec_stats stats;
    run_start(r);
    run_step(r, &stats);
    *n = 0;
    for (int i = 0; i < r->m.n; i++) *n += (size_t)ir_count(r->m.param[i]->shape);
    float *all = calloc(*n, sizeof *all), *at = all;
    for (int i = 0; i < r->m.n; i++) {
        size_t count = (size_t)ir_count(r->m.param[i]->shape);
        memcpy(at, r->g[i], count * sizeof *at);
        at += count;
    }
    return all;
}

/* Programs do the same arithmetic on the same values in both passes. */
static void made_again_have_the_same_bits(const char *where, plan_options o,
                                          llama_shape s)
{
    float *want = NULL;
    size_t n;
    double memory = 0;
    for (int k = 0; k < KINDS; k++) {
        o.recompute = kinds[k];
        run r = run_open(s, where, &o);
        float *g = gradients(&r, &n);
        if (k == 0) {
            want = g;
        } else {
            assert_memory_equal(g, want, n * sizeof *g);
            assert_true(kept(&r) <= memory);
            free(g);
        }
        memory = kept(&r);
        run_close(&r);
    }
    free(want);
}

static void gradients_are_those_of_values_kept(void **state)
{
    (void)state;
    for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++)
        for (int odd = 0; odd < 2; odd++) {
            llama_shape s = run_small;
            s.tied = odd;
            if (odd) s.seq = 11, s.batch = 3;
            plan_options o = {.dw = (plan_dw)dw};
            made_again_have_the_same_bits("emu:m4", o, s);
            made_again_have_the_same_bits("emu:m1", o, s);
        }
}

static void windows_move_them_alike(void **state)
{
    (void)state;
    plan_options o = {.window = PLAN_WINDOW_ON, .dw = PLAN_DW_ENGINE};
    made_again_have_the_same_bits("emu:m4,exact", o, run_small);
}

static void whole_layers_leave_little_more_than_their_inputs(void **state)
{
    (void)state;
    llama_shape s = run_small;
    dev_caps caps = caps_of("m4");
    double had[KINDS];
    s.layers = 8, s.vocab = 64;
    llama m = llama_new(s);
    for (int k = 0; k < KINDS; k++) {
        plan_options o = {.dw = PLAN_DW_ENGINE, .recompute = kinds[k]};
        plan *p;
        assert_ok(plan_build(m.g, &caps, &o, &p));
        had[k] = p->memory.activations;
        plan_free(p);
    }
    assert_true(had[1] < had[0]);
    assert_true(had[2] < 0.5 * had[0]);
    ir_free(m.g);
}

static double all_of(const plan *p)
{
    const plan_memory *m = &p->memory;
    return m->weights + m->moments + m->gradients + m->surfaces + m->activations +
           m->host;
}

static double needs(const llama *m, const dev_caps *caps, plan_recompute kind)
{
    plan *p;
    plan_options o = {.dw = PLAN_DW_ENGINE, .recompute = kind};
    assert_ok(plan_build(m->g, caps, &o, &p));
    double all = all_of(p);
    plan_free(p);
    return all;
}

static void what_would_not_fit_is_made_again(void **state)
{
    (void)state;
    llama_shape s = run_small;
    dev_caps caps = caps_of("m4");
    s.layers = 8;
    llama m = llama_new(s);
    double most = needs(&m, &caps, PLAN_RECOMPUTE_ELEMENTS),
           least = needs(&m, &caps, PLAN_RECOMPUTE_LAYERS);
    assert_true(least < most);
    plan_options o = {.memory_limit_bytes = (least + most) / 2};
    plan *p;
    assert_ok(plan_build(m.g, &caps, &o, &p));
    assert_true(all_of(p) <= o.memory_limit_bytes);
    bool told = false;
    for (int i = 0; i < p->n_notes; i++)
        told |= strstr(p->notes[i], "layers are made again") != NULL &&
                strstr(p->notes[i], "the limit is") != NULL;
    assert_true(told);
    plan_free(p);
    o.recompute = PLAN_RECOMPUTE_NONE; /* what the user says is done */
    assert_fails(plan_build(m.g, &caps, &o, &p), E_MEMORY, "the limit is");
    ir_free(m.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_values_kept),
        cmocka_unit_test(windows_move_them_alike),
        cmocka_unit_test(whole_layers_leave_little_more_than_their_inputs),
        cmocka_unit_test(what_would_not_fit_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
