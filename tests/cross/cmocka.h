/* cmocka.h - the few words of cmocka that the tests of kern use, so that they
 * can be built for a machine whose cmocka is not here. Prints TAP lines; the
 * first failure ends the program. */
#ifndef CROSS_CMOCKA_H
#define CROSS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

static inline void _fail(const char *file, int line)
{
    printf("not ok %s:%d\n", file, line);
    exit(1);
}

static inline int cross_run(const struct CMUnitTest *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *state = NULL;
        tests[i].run(&state);
        printf("ok %s\n", tests[i].name);
        fflush(stdout);
    }
    return 0;
}

#define cmocka_unit_test(f) \
    {                       \
#f, f               \
    }
#define cmocka_run_group_tests(tests, setup, teardown) \
    cross_run(tests, sizeof(tests) / sizeof *(tests))
#define assert_true(c)                       \
    do {                                     \
        if (!(c)) _fail(__FILE__, __LINE__); \
    } while (0)
#define assert_false(c) assert_true(!(c))
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define assert_memory_equal(a, b, n) assert_true(!memcmp(a, b, n))
#define print_error(...) printf(__VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)
#define fail_msg(...)              \
    do {                           \
        printf(__VA_ARGS__);       \
        _fail(__FILE__, __LINE__); \
    } while (0)

#endif
