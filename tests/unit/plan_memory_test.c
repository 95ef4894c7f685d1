/* plan_memory_test.c - whichever allocation fails, planning and opening give
 * back what they took and say that memory ran out. */
#include "small_run.h"

static llama_shape tiny(void)
{
    llama_shape s = run_small;
    s.layers = 1, s.batch = 1;
    return s;
}

static void planning_survives_any_failed_allocation(void **state)
{
    (void)state;
    llama m = llama_new(tiny());
    dev_caps caps = caps_of("m4");
    for (int windows = PLAN_WINDOW_OFF; windows <= PLAN_WINDOW_ON; windows++) {
        plan_options o = {.window = (plan_windows)windows};
        rc r = E_MEMORY;
        long n = 1;
        for (; r != OK; n += 1 + n / 40) {
            plan *p = NULL;
            mem_fail_at(n);
            r = plan_build(m.g, &caps, &o, &p);
            mem_fail_at(0);
            if (r != OK) assert_int_equal(r, E_MEMORY);
            assert_true((r == OK) == (p != NULL));
            plan_free(p);
        }
        assert_true(n > 100);
    }
    ir_free(m.g);
}

static void opening_survives_any_failed_allocation(void **state)
{
    static const plan_options options[] = {
        {.window = PLAN_WINDOW_ON},
        {.host_said = true, .host = (1u << PLAN_MOVABLES) - 1}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        run r = run_open(tiny(), "emu:m4,compiles=none", &options[i]);
        rc code = E_MEMORY;
        for (long n = 1; code != OK; n += 1 + n / 40) {
            exec *x = NULL;
            mem_fail_at(n);
            code = exec_open(r.p, r.d, r.k, &x);
            mem_fail_at(0);
            if (code != OK) assert_int_equal(code, E_MEMORY);
            exec_close(x);
        }
        run_start(&r);
        run_step(&r, NULL);
        run_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planning_survives_any_failed_allocation),
        cmocka_unit_test(opening_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests_name("plan_memory", tests, NULL, NULL);
}
