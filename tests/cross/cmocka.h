/* cmocka.h - the words of cmocka that the tests use, so that they can be built
 * for a machine whose cmocka is not here. Prints TAP lines; the first failure
 * ends the program, so that what comes after it counts as not run. */
#ifndef CROSS_CMOCKA_H
#define CROSS_CMOCKA_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
    void *state;
};

static jmp_buf cross_skipped;

static inline void _fail(const char *file, int line)
{
    printf("not ok %s:%d\n", file, line);
    exit(1);
}

static inline void skip(void)
{
    longjmp(cross_skipped, 1);
}

static inline int cross_one(const struct CMUnitTest *t, void *group)
{
    void *state = t->state ? t->state : group;
    if (t->setup && t->setup(&state)) _fail(t->name, 0);
    bool ran = !setjmp(cross_skipped);
    if (ran) t->run(&state);
    if (t->teardown && t->teardown(&state)) _fail(t->name, 0);
    printf("ok %s%s\n", t->name, ran ? "" : " # SKIP by itself");
    fflush(stdout);
    return 0;
}

static inline int cross_run(const struct CMUnitTest *tests, size_t n,
                            int (*setup)(void **state), int (*teardown)(void **state))
{
    void *state = NULL;
    printf("1..%zu\n", n);
    if (setup && setup(&state)) _fail("setup", 0);
    for (size_t i = 0; i < n; i++) cross_one(&tests[i], state);
    if (teardown && teardown(&state)) _fail("teardown", 0);
    return 0;
}

#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
    {                                                       \
#f, f, setup, teardown, NULL                        \
    }
#define cmocka_unit_test(f) cmocka_unit_test_setup_teardown(f, NULL, NULL)
#define cmocka_run_group_tests(tests, setup, teardown) \
    cross_run(tests, sizeof(tests) / sizeof *(tests), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) \
    cmocka_run_group_tests(tests, setup, teardown)

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
#define assert_string_equal(a, b) assert_true(!strcmp(a, b))
#define assert_string_not_equal(a, b) assert_true(strcmp(a, b))
#define assert_memory_equal(a, b, n) assert_true(!memcmp(a, b, n))
#define assert_memory_not_equal(a, b, n) assert_true(memcmp(a, b, n))
/* As cmocka has it: equal, or off by less than the given difference. */
#define assert_float_equal(a, b, e) \
    assert_true((float)((a) - (b)) <= (float)(e) && (float)((b) - (a)) <= (float)(e))
#define print_error(...) printf(__VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)
#define fail_msg(...)              \
    do {                           \
        printf(__VA_ARGS__);       \
        _fail(__FILE__, __LINE__); \
    } while (0)
#define fail() _fail(__FILE__, __LINE__)

#endif
