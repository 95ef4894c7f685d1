/* Twenty steps of training on `exact` give the same bits for every instruction set
 * of this machine, the host's own kernels included. Their hashes are printed, so that
 * machines can be compared (tests/e2e/neon_slow.sh). */
#include <xxhash.h>
#include "small_run.h"

enum { STEPS = 20 };

static void update(run *r, float *const *m, float *const *v, int step)
{
    kern_adamw_args a = {.lr = 3e-3f,
                         .beta1 = 0.9f,
                         .beta2 = 0.95f,
                         .eps = 1e-8f,
                         .weight_decay = 0.1f,
                         .grad_scale = 1 / 256.0f};
    a.bias1 = a.bias2 = 1;
    for (int i = 0; i < step; i++) a.bias1 *= a.beta1, a.bias2 *= a.beta2;
    a.bias1 = 1 - a.bias1;
    a.bias2 = 1 - a.bias2;
    for (int i = 0; i < r->m.n; i++)
        kern_adamw(r->k, (size_t)ir_count(r->m.param[i]->shape), r->w[i], m[i], v[i],
                   r->g[i], NULL, &a);
    assert_ok(exec_stage(r->x));
}

static uint64_t train(const char *isa, const plan_options *o)
{
    run r = {.m = llama_new(run_small)};
    dev_caps caps;
    float *m[LLAMA_PARAMS], *v[LLAMA_PARAMS];
    assert_ok(kern_open(2, isa, &r.k));
    assert_ok(dev_open("emu:m4,exact", r.k, &r.d));
    assert_ok(dev_caps_of(r.d, &caps));
    assert_ok(plan_build(r.m.g, &caps, o, &r.p));
    run_start(&r);
    for (int i = 0; i < r.m.n; i++) {
        m[i] = calloc((size_t)ir_count(r.m.param[i]->shape), sizeof(float));
        v[i] = calloc((size_t)ir_count(r.m.param[i]->shape), sizeof(float));
    }
    for (int step = 1; step <= STEPS; step++) {
        run_step(&r, NULL);
        update(&r, m, v, step);
    }
    XXH64_state_t *h = XXH64_createState();
    XXH64_reset(h, 0);
    for (int i = 0; i < r.m.n; i++)
        XXH64_update(h, r.w[i], (size_t)ir_count(r.m.param[i]->shape) * sizeof(float));
    uint64_t hash = XXH64_digest(h);
    XXH64_freeState(h);
    for (int i = 0; i < r.m.n; i++) free(m[i]), free(v[i]);
    run_close(&r);
    return hash;
}

static void twenty_steps_have_the_same_bits_everywhere(void **state)
{
    static const char *const isas[] = {"avx512", "avx2", "neon", "scalar"};
    static const plan_dw where[] = {PLAN_DW_HOST, PLAN_DW_ENGINE};
    uint64_t hash[COUNT_OF(where)] = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        kern *k;
        if (kern_open(1, isas[i], &k) != OK) continue;
        kern_close(k);
        for (size_t dw = 0; dw < COUNT_OF(where); dw++) {
            uint64_t had = train(isas[i], &(plan_options){.dw = where[dw]});
            if (hash[dw] && had != hash[dw])
                fail_msg("%s has other bits than the sets before it", isas[i]);
            hash[dw] = had;
        }
    }
    print_message("20 steps: %016llx, engine dW %016llx\n", (unsigned long long)hash[0],
                  (unsigned long long)hash[1]);
}

/* Rules hold in every arithmetic alike, so a plan for one suits the other. */
static void a_plan_for_fast_is_one_for_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < dev_profile_count(); i++) {
        str text[2] = {{0}};
        for (int k = 0; k < 2; k++) {
            char uri[64];
            kern *own;
            device *d;
            dev_caps caps;
            plan *p;
            llama m = llama_new(run_small);
            snprintf(uri, sizeof uri, "emu:%s%s", dev_profile_at(i)->name,
                     k ? ",exact" : "");
            assert_ok(kern_open(1, NULL, &own));
            assert_ok(dev_open(uri, own, &d));
            assert_ok(dev_caps_of(d, &caps));
            assert_ok(plan_build(m.g, &caps, &(plan_options){0}, &p));
            /* exact is assumed of some chips, which is the one line more */
            p->n_notes -= k && !dev_profile_at(i)->exact_measured;
            assert_ok(plan_print(p, &text[k]));
            exec *x; /* which loads every program */
            assert_ok(exec_open(p, d, own, &x));
            exec_close(x);
            plan_free(p);
            dev_close(d);
            kern_close(own);
            ir_free(m.g);
        }
        assert_string_equal(text[0].p, text[1].p);
        str_free(&text[0]);
        str_free(&text[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_for_fast_is_one_for_exact),
        cmocka_unit_test(twenty_steps_have_the_same_bits_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
