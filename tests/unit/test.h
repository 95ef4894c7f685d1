/* test.h - what every test program includes: cmocka, and three helpers on top
 * of it: a temporary folder, comparisons that print the numbers, and checks on
 * the text of an error. */
#ifndef TEST_H
#define TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/err.h"
#include "base/file.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* The call must return OK; else the whole error chain is the message. */
#define assert_ok(call) test_ok_((call), #call, __FILE__, __LINE__)
static inline void test_ok_(rc r, const char *call, const char *where, int line)
{
    if (r == OK) return;
    print_error("%s is %s: %s\n", call, err_name(r), err_text());
    _fail(where, line);
}

/* The call must fail with `code`, and the chain must contain `part`
 * (NULL: any text). */
#define assert_fails(call, code, part) \
    test_fails_((call), (code), (part), #call, __FILE__, __LINE__)
static inline void test_fails_(rc r, rc code, const char *part, const char *call,
                               const char *where, int line)
{
    if (r != code) {
        print_error("%s is %s, wanted %s: %s\n", call, err_name(r), err_name(code),
                    err_text());
        _fail(where, line);
    }
    if (part && !strstr(err_text(), part)) {
        print_error("%s: wanted '%s' in the error, had: %s\n", call, part, err_text());
        _fail(where, line);
    }
}

#define assert_text_has(text, part) test_text_has_((text), (part), __FILE__, __LINE__)
static inline void test_text_has_(const char *text, const char *part, const char *where,
                                  int line)
{
    if (strstr(text, part)) return;
    print_error("wanted '%s' in: %s\n", part, text);
    _fail(where, line);
}

/* |had - want| <= tolerance, and not NaN. */
#define assert_near(had, want, tolerance) \
    test_near_((had), (want), (tolerance), #had, __FILE__, __LINE__)
static inline void test_near_(double had, double want, double tolerance, const char *what,
                              const char *where, int line)
{
    if (had == want || fabs(had - want) <= tolerance) return;
    print_error("%s: had %.17g, wanted %.17g within %.3g, off by %.3g\n", what, had, want,
                tolerance, had - want);
    _fail(where, line);
}

/* |had - want| <= relative * |want|. */
#define assert_rel(had, want, relative) \
    test_near_((had), (want), (relative)*fabs((double)(want)), #had, __FILE__, __LINE__)

/* Every element within relative * (root mean square of want): the measure for
 * tensors, where single elements may cancel to nothing. Prints the worst. */
#define assert_all_rel(had, want, n, relative) \
    test_all_rel_((had), (want), (n), (relative), #had, __FILE__, __LINE__)
static inline void test_all_rel_(const float *had, const float *want, size_t n,
                                 double relative, const char *what, const char *where,
                                 int line)
{
    double squares = 0, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) squares += (double)want[i] * want[i];
    double scale = n ? sqrt(squares / (double)n) : 0;
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)had[i] - want[i]);
        if (!(off <= worst)) worst = off, at = i;
        if (isnan(off)) break;
    }
    if (worst <= relative * scale) return;
    print_error(
        "%s[%zu]: had %.9g, wanted %.9g, off by %.3g, allowed %.3g (%.3g of rms %.3g)\n",
        what, at, had[at], want[at], worst, relative * scale, relative, scale);
    _fail(where, line);
}

/* A fresh folder for the running test; test_rmdir removes it with all that is
 * in it. Setup and teardown forms keep it in *state:
 *   cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)
 *   const char *dir = *state;                                               */
static inline char *test_mkdir(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%.400s/anneal-test-XXXXXX",
             base && *base ? base : "/tmp");
    if (!mkdtemp(path)) {
        print_error("cannot make a temporary folder %s\n", path);
        abort();
    }
    char *copy = malloc(strlen(path) + 1);
    if (!copy) abort();
    return strcpy(copy, path);
}

static inline void test_rmdir(char *dir)
{
    file_remove_tree(dir);
    free(dir);
}

static inline int test_dir_setup(void **state)
{
    *state = test_mkdir();
    return 0;
}

static inline int test_dir_teardown(void **state)
{
    test_rmdir(*state);
    return 0;
}

/* dir/name in a buffer that the fourth later call uses again. */
static inline const char *test_path(const char *dir, const char *name)
{
    static char paths[4][1024];
    static unsigned turn;
    char path[sizeof paths[0]]; /* dir may be one of the four */
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return strcpy(paths[turn++ % 4], path);
}

#endif
