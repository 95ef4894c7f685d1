/* dev_suite.h - the conformance suite's frame: which devices, one open device
 * for each check, and the two lists that a driver may stand on. */
#ifndef DEV_SUITE_H
#define DEV_SUITE_H

#include <pthread.h>
#include <sys/wait.h>
#include "dev_help.h"
#include "base/arena.h"

/* FAKE_LIB, where it is defined, is a library that stands in for Apple's. */
static const char *const uris[] = {
    "null:m4",
    "emu:m4",
    "emu:m1,faithful",
    "emu:m4,wide",
    "emu:m4,isa=scalar",
    "emu:m4,exact",
    "emu:m4,exact,count",
#ifdef FAKE_LIB
    "ane:client,lib=" FAKE_LIB,
    "ane:memory,lib=" FAKE_LIB,
#endif
};

/* Rows of the two lists, ended by NULL. `never`: cannot be asked of that
 * device (a URI may be a prefix). `expected_to_fail`: known faults; each must
 * still fail, so that a repaired one is taken off the list. */
typedef struct {
    const char *uri, *test, *reason;
} exception;
typedef struct {
    const char *name;
    void (*body)(void **);
} check;
typedef struct {
    const check *checks;
    int n;
    const exception *never, *expected_to_fail;
} suite;
#define CHECK(f) \
    {            \
#f, f    \
    }

typedef struct {
    const char *uri;
    kern *k;
    device *d;
    dev_caps caps;
} bench;

static inline device *open_with(const bench *b, const char *words)
{
    char uri[320];
    device *d = NULL;
    snprintf(uri, sizeof uri, "%s%s", b->uri, words);
    assert_ok(dev_open(uri, b->k, &d));
    return d;
}

static inline int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    if (!b) return -1;
    b->uri = *state;
    *state = b;
    if (kern_open(2, NULL, &b->k) != OK) return -1;
    if (dev_open(b->uri, b->k, &b->d) != OK) return -1;
    return dev_caps_of(b->d, &b->caps) == OK ? 0 : -1;
}

static inline int tear_down(void **state)
{
    bench *b = *state;
    dev_close(b->d);
    kern_close(b->k);
    free(b);
    return 0;
}

/* Results can only be asked of a device that computes. */
#define EXPECT_RAMP(b, s, n, first, step)                       \
    do {                                                        \
        if ((b)->caps.computes) assert_ramp(s, n, first, step); \
    } while (0)

#define ADD_ONE                                                                         \
    PROGRAM(ROW32 " in_a",                                                              \
            CONST("fp16", "one", "0x1p+0") LET(ROW32, "sum", "add(x = in_a, y = one)"), \
            "sum")
#define DOUBLE \
    PROGRAM(ROW32 " in_a", LET(ROW32, "twice", "add(x = in_a, y = in_a)"), "twice")

/* A few milliseconds of work: 64 products of 128 x 128, one after another. */
static inline dev_program *load_slow(device *d)
{
    str s = {0};
    str_add(
        &s,
        "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
        "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 1, 128, 128]> in_a) {\n"
        "bool no = const()[name = string(\"no\"), val = bool(false)];\n");
    for (int i = 0; i < 64; i++) {
        char from[16] = "in_a";
        if (i) snprintf(from, sizeof from, "mm_%d", i - 1);
        str_addf(&s,
                 "tensor<fp16, [1, 1, 128, 128]> mm_%d = matmul(transpose_x = no, "
                 "transpose_y = no, x = %s, y = in_a)[name = string(\"mm_%d\")];\n",
                 i, from, i);
    }
    str_add(&s, "} -> (mm_63); }\n");
    assert_ok(str_done(&s));
    dev_program *p = load(d, str_text(&s));
    str_free(&s);
    return p;
}

/* ---- running it ---- */
static inline bool listed(const exception *list, const char *uri, const char *test)
{
    for (; list->uri; list++)
        if (str_starts(uri, list->uri) && !strcmp(list->test, test)) return true;
    return false;
}

/* A check in a process of its own. */
typedef struct {
    const char *uri;
    const check *check;
} alone;
static inline int run_alone(const alone *it)
{
    pid_t child = fork();
    if (child == 0) {
        const struct CMUnitTest one[] = {
            {it->check->name, it->check->body, set_up, tear_down, (void *)it->uri}};
        exit(cmocka_run_group_tests(one, NULL, NULL) ? 1 : 0);
    }
    int status = 0;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static inline void fails_as_expected(void **state)
{
    const alone *it = *state;
    if (run_alone(it) == 0)
        fail_msg("%s passes %s: take it off the list", it->uri, it->check->name);
}

/* A real engine counts compiles for the whole process, so each check has one. */
static inline void passes_alone(void **state)
{
    const alone *it = *state;
    if (run_alone(it) != 0) fail_msg("%s fails %s", it->uri, it->check->name);
}

/* A row that names no device or no test guards nothing. */
static inline void the_lists_name_what_exists(void **state)
{
    const suite *s = *state;
    const exception *lists[] = {s->never, s->expected_to_fail};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (const exception *e = lists[i]; e->uri; e++) {
            bool uri = false, test = false;
            for (size_t u = 0; u < COUNT_OF(uris); u++)
                uri |= str_starts(uris[u], e->uri);
            for (int c = 0; c < s->n; c++) test |= !strcmp(s->checks[c].name, e->test);
            assert_true(uri && test && *e->reason);
        }
}

/* Every check on every device, then the tests that are of no single device. */
static inline int run_suite(const suite *s, const struct CMUnitTest *once, size_t n_once)
{
    enum { MOST = 256 };
    static struct CMUnitTest tests[MOST];
    static char names[MOST][128];
    static alone lone[MOST];
    size_t n = 0;
    alarm(300); /* a queue that hangs must end the test, not the day */
    for (size_t u = 0; u < COUNT_OF(uris); u++)
        for (int c = 0; c < s->n && n + n_once + 1 < MOST; c++) {
            const check *it = &s->checks[c];
            if (listed(s->never, uris[u], it->name)) continue;
            snprintf(names[n], sizeof names[n], "%s: %s", uris[u], it->name);
            lone[n] = (alone){uris[u], it};
            tests[n] = listed(s->expected_to_fail, uris[u], it->name)
                           ? (struct CMUnitTest){names[n], fails_as_expected, NULL, NULL,
                                                 &lone[n]}
                       : str_starts(uris[u], "ane:")
                           ? (struct CMUnitTest){names[n], passes_alone, NULL, NULL,
                                                 &lone[n]}
                           : (struct CMUnitTest){names[n], it->body, set_up, tear_down,
                                                 (void *)uris[u]};
            n++;
        }
    tests[n++] = (struct CMUnitTest){"the_lists_name_what_exists",
                                     the_lists_name_what_exists, NULL, NULL, (void *)s};
    for (size_t i = 0; i < n_once; i++) tests[n++] = once[i];
    return _cmocka_run_group_tests("device", tests, n, NULL, NULL);
}

#endif
