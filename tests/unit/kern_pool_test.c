/* The pool: every number once, any count of threads, several callers, quick
 * opening and closing. */
#include <pthread.h>
#include <stdatomic.h>
#include "test.h"
#include "kern_help.h"

enum { MAX = 1000 };

typedef struct {
    atomic_int seen[MAX];
} tally;

static void mark(void *ctx, size_t i)
{
    tally *t = ctx;
    atomic_fetch_add(&t->seen[i], 1);
}

static void every_number_runs_once(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 7, 64, MAX};
    for (int threads = 1; threads <= 5; threads++) {
        kern *k = open_isa(threads, NULL);
        assert_int_equal(kern_threads(k), threads);
        for (size_t c = 0; c < COUNT_OF(counts); c++) {
            tally t = {0};
            kern_for(k, counts[c], mark, &t);
            for (size_t i = 0; i < MAX; i++) assert_int_equal(t.seen[i], i < counts[c]);
        }
        kern_close(k);
    }
}

typedef struct {
    kern *k;
    int *owner; /* plain memory: the thread sanitizer sees two calls at once */
    int me;
    bool disturbed;
} visitor;

static void visit(void *ctx, size_t i)
{
    visitor *v = ctx;
    if (i == 0) {
        *v->owner = v->me;
        for (volatile int wait = 0; wait < 1000; wait++) continue;
        if (*v->owner != v->me) v->disturbed = true;
    }
}

static void *visit_often(void *arg)
{
    visitor *v = arg;
    for (int turn = 0; turn < 500; turn++) kern_for(v->k, 2, visit, v);
    return NULL;
}

static void calls_are_served_one_after_another(void **state)
{
    (void)state;
    kern *k = open_isa(2, NULL);
    int owner = 0;
    visitor v[3];
    pthread_t th[3];
    for (int i = 0; i < 3; i++) {
        v[i] = (visitor){k, &owner, i + 1, false};
        assert_int_equal(pthread_create(&th[i], NULL, visit_often, &v[i]), 0);
    }
    for (int i = 0; i < 3; i++) pthread_join(th[i], NULL);
    for (int i = 0; i < 3; i++) assert_false(v[i].disturbed);
    kern_close(k);
}

static void many_jobs_with_and_without_sleep(void **state)
{
    (void)state;
    kern *k = open_isa(4, NULL);
    tally t = {0};
    for (int turn = 0; turn < 3000; turn++) {
        kern_for(k, 5, mark, &t);
        if (turn % 500 == 0) usleep(2000); /* the workers fall asleep */
    }
    for (size_t i = 0; i < 5; i++) assert_int_equal(t.seen[i], 3000);
    kern_close(k);
}

static void opens_and_closes_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        kern *k = open_isa(1 + i % 4, NULL);
        if (i % 3 == 0) {
            tally t = {0};
            kern_for(k, 10, mark, &t);
        }
        kern_close(k);
    }
    kern_close(NULL);
}

static void bad_settings_are_refused_with_a_hint(void **state)
{
    (void)state;
    kern *k = NULL;
    assert_fails(kern_open(1, "avx1024", &k), E_CONFIG, "no instruction set 'avx1024'");
    assert_text_has(err_text(), "isa=");
    assert_fails(kern_open(-1, NULL, &k), E_CONFIG, "threads must be");
    assert_fails(kern_open(100000, NULL, &k), E_CONFIG, "threads must be");
    assert_ok(kern_open(0, "auto", &k));
    assert_true(kern_threads(k) >= 1);
    kern_close(k);
}

static void no_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    for (long n = 1; n <= 4; n++) {
        kern *k = NULL;
        mem_fail_at(n);
        assert_int_equal(kern_open(2, NULL, &k), E_MEMORY);
        mem_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_runs_once),
        cmocka_unit_test(calls_are_served_one_after_another),
        cmocka_unit_test(many_jobs_with_and_without_sleep),
        cmocka_unit_test(opens_and_closes_at_once),
        cmocka_unit_test(bad_settings_are_refused_with_a_hint),
        cmocka_unit_test(no_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
