/* cmocka.h - the words of cmocka that our tests use, so that they can be built
 * without it: for a machine whose cmocka is not here, and for a checker that
 * must see every instruction a program runs. Prints TAP lines; a test that
 * fails ends there, the next one runs. */
#ifndef CROSS_CMOCKA_H
#define CROSS_CMOCKA_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fields in cmocka's order: some tests fill them without the macros. */
struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    int (*setup_func)(void **state);
    int (*teardown_func)(void **state);
    void *initial_state;
};

enum { CROSS_FAILED = 1, CROSS_SKIPPED = 2 };
static jmp_buf cross_out;

static inline _Noreturn void _fail(const char *file, int line)
{
    printf("# %s:%d\n", file, line);
    longjmp(cross_out, CROSS_FAILED);
}

static inline _Noreturn void cross_skip(void)
{
    longjmp(cross_out, CROSS_SKIPPED);
}

static inline int cross_one(const struct CMUnitTest *t, void *group_state)
{
    void *volatile state = t->initial_state ? t->initial_state : group_state;
    void *s = state;
    volatile int result = 0;
    if (t->setup_func && t->setup_func(&s)) return CROSS_FAILED;
    state = s;
    int how = setjmp(cross_out);
    if (how == 0) {
        s = state;
        t->test_func(&s);
        state = s;
    } else {
        result = how;
    }
    s = state;
    if (t->teardown_func && t->teardown_func(&s) && !result) result = CROSS_FAILED;
    return result;
}

static inline int cross_run(const struct CMUnitTest *tests, size_t n,
                            int (*setup)(void **state), int (*teardown)(void **state))
{
    void *state = NULL;
    int failed = 0;
    printf("1..%d\n", (int)n);
    if (setup && setup(&state)) {
        printf("not ok - the setup of all tests\n");
        return (int)n;
    }
    for (size_t i = 0; i < n; i++) {
        int r = cross_one(&tests[i], state);
        printf("%s %d - %s%s\n", r == CROSS_FAILED ? "not ok" : "ok", (int)i + 1,
               tests[i].name, r == CROSS_SKIPPED ? " # SKIP" : "");
        fflush(stdout);
        failed += r == CROSS_FAILED;
    }
    if (teardown) teardown(&state);
    return failed;
}

/* clang-format off */
#define cmocka_unit_test(f) {#f, f, NULL, NULL, NULL}
#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
    {#f, f, setup, teardown, NULL}
/* clang-format on */
#define cmocka_run_group_tests(tests, setup, teardown) \
    cross_run(tests, sizeof(tests) / sizeof *(tests), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) \
    cmocka_run_group_tests(tests, setup, teardown)
#define _cmocka_run_group_tests(name, tests, n, setup, teardown) \
    cross_run(tests, n, setup, teardown)

#define print_error(...) printf(__VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)
#define skip() cross_skip()
#define fail() _fail(__FILE__, __LINE__)
#define fail_msg(...)              \
    do {                           \
        printf("# " __VA_ARGS__);  \
        printf("\n");              \
        _fail(__FILE__, __LINE__); \
    } while (0)
#define assert_true(c)                       \
    do {                                     \
        if (!(c)) _fail(__FILE__, __LINE__); \
    } while (0)
#define assert_false(c) assert_true(!(c))
#define assert_null(p) assert_true((p) == NULL)
#define assert_non_null(p) assert_true((p) != NULL)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_ptr_not_equal(a, b) assert_true((const void *)(a) != (const void *)(b))
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define assert_int_not_equal(a, b) assert_true((long long)(a) != (long long)(b))
/* As cmocka has it: equal, or off by less than the given difference. */
#define assert_float_equal(a, b, e) \
    assert_true((float)((a) - (b)) <= (float)(e) && (float)((b) - (a)) <= (float)(e))
#define assert_in_range(a, least, most) assert_true((a) >= (least) && (a) <= (most))
#define assert_string_equal(a, b) assert_true(!strcmp(a, b))
#define assert_string_not_equal(a, b) assert_true(strcmp(a, b) != 0)
#define assert_memory_equal(a, b, n) assert_true(!memcmp(a, b, n))
#define assert_memory_not_equal(a, b, n) assert_true(memcmp(a, b, n) != 0)

#endif
