/* Much and long: ten thousand runs grow nothing, two devices train in two
 * threads, and work that is queued when a device closes is done. */
#include <dirent.h>
#include <pthread.h>
#include "fake_help.h"

static const char *const routes[] = {"ane:client,lib=" FAKE_LIB,
                                     "ane:memory,lib=" FAKE_LIB};
#define SUM_OF_TWO                                                                       \
    PROGRAM(ROW32 " in_a, " ROW32 " in_b", LET(ROW32, "sum", "add(x = in_a, y = in_b)"), \
            "sum")

/* ---- what may not grow ---- */
/* A sanitizer keeps a history of its own, which grows. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RSS_COUNTS = 0 };
#else
enum { RSS_COUNTS = 1 };
#endif
typedef struct {
    int64_t objects;
    long rss_kib; /* 0 where the system does not say */
    int files;
} used;

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n;
}

static used now(void)
{
    used u = {.objects = fake.live_objects(), .files = open_files()};
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &pages, &resident) == 2)
        u.rss_kib = resident * (sysconf(_SC_PAGESIZE) / 1024);
    if (f) fclose(f);
    return u;
}

enum { SETS = 6, PORTS = 3 };

/* One run on the set; every seventh time its output surface is a new one. */
static void run_once(device *d, dev_program *p, dev_surface **s, int i)
{
    if (i % 7 == 0) {
        dev_drop(s[2]);
        s[2] = surface(d, 4, 32, 0);
    }
    assert_ok(run_and_wait(p, s, 2, s + 2, 1, NULL));
    if (i % 500 == 0) assert_ramp(s[2], 128, 1, 1);
}

static void ten_thousand_runs_grow_nothing(void **state)
{
    const bench *b = *state;
    for (size_t r = 0; r < COUNT_OF(routes); r++) {
        device *d;
        dev_surface *s[SETS][PORTS];
        used before = {0};
        assert_ok(dev_open(routes[r], b->k, &d));
        dev_program *p = load(d, SUM_OF_TWO);
        for (int i = 0; i < SETS; i++) {
            for (int k = 0; k < PORTS; k++) s[i][k] = surface(d, 4, 32, 0);
            put_ramp(s[i][0], 128, 0, 1);
            put_ramp(s[i][1], 128, 1, 0);
        }
        uint64_t ran = fake.evaluations();
        for (int i = 0; i < 11000; i++) {
            if (i == 1000) before = now(); /* every set has been bound */
            run_once(d, p, s[i % SETS], i);
        }
        used after = now();
        assert_int_equal(fake.evaluations() - ran, 11000);
        /* Requests are objects, and each is bound to surfaces: the number of
         * both is that after 1,000 runs. */
        assert_int_equal(after.objects, before.objects);
        assert_int_equal(after.files, before.files);
        /* 10,000 runs that keep as little as 100 bytes each would be 1,000 KiB. */
        print_message("%s: %ld KiB more\n", routes[r], after.rss_kib - before.rss_kib);
        if (RSS_COUNTS && after.rss_kib - before.rss_kib > 900)
            fail_msg("%s: %ld KiB more", routes[r], after.rss_kib - before.rss_kib);
        expect_nothing_staged(b);
        for (int i = 0; i < SETS * PORTS; i++) dev_drop(s[i / PORTS][i % PORTS]);
        dev_unload(p);
        dev_close(d);
    }
    expect_no_misuse();
}

/* ---- two devices ---- */
typedef struct {
    const bench *b;
    const char *uri;
    char *run;
    rc result;
    char why[512];
} trainer;

static void *train_in_thread(void *arg)
{
    trainer *t = arg;
    device *d = NULL;
    kern *k = NULL;
    train_result result;
    bench own = *t->b;
    t->result = kern_open(2, NULL, &k);
    own.k = k;
    if (t->result == OK) t->result = dev_open(t->uri, k, &d);
    if (t->result == OK) t->result = train_small(&own, d, t->run, NULL, &result);
    if (t->result != OK) snprintf(t->why, sizeof t->why, "%s", err_text());
    dev_close(d);
    kern_close(k);
    return NULL;
}

static void two_trainings_at_once_are_each_as_alone(void **state)
{
    const bench *b = *state;
    int64_t live = fake.live_objects();
    trainer all[5] = {{.uri = "emu:m4"},
                      {.uri = routes[0]},
                      {.uri = routes[1]},
                      {.uri = routes[0]},
                      {.uri = routes[1]}};
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "run%d", i);
        all[i].b = b;
        all[i].run = copy_path(b->dir, name);
    }
    train_in_thread(&all[0]);
    pthread_t thread[5];
    for (int i = 1; i < 5; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, train_in_thread, &all[i]), 0);
    for (int i = 1; i < 5; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < 5; i++) {
        if (all[i].result != OK) fail_msg("%s: %s", all[i].uri, all[i].why);
        expect_same_end(all[0].run, all[i].run);
    }
    for (int i = 0; i < 5; i++) free(all[i].run);
    assert_int_equal(fake.live_objects(), live);
    assert_int_equal(fake.loaded(), 0);
    expect_nothing_staged(b);
    expect_no_misuse();
}

/* ---- a full queue ---- */
enum { PROGRAMS = 8, DEPTH = 127 };

/* sum = in_a + in_b + i, so that equal programs are not one. */
static void adder_text(char *text, size_t size, int i)
{
    snprintf(
        text, size,
        PROGRAM(ROW32 " in_a, " ROW32 " in_b",
                "        fp16 c = const()[name = string(\"c\"), val = fp16(%d)];\n" LET(
                    ROW32, "ab", "add(x = in_a, y = in_b)")
                    LET(ROW32, "sum", "add(x = ab, y = c)"),
                "sum"),
        i);
}

static dev_program *adder(device *d, int i)
{
    char text[2048];
    adder_text(text, sizeof text, i);
    return load(d, text);
}

static void a_full_queue_is_waited_for_in_any_order(void **state)
{
    const bench *b = *state;
    int64_t live = fake.live_objects();
    for (size_t r = 0; r < COUNT_OF(routes); r++) {
        device *d;
        dev_program *p[PROGRAMS];
        dev_surface *in[2], *out[DEPTH];
        uint64_t ticket[DEPTH];
        assert_ok(dev_open(routes[r], b->k, &d));
        for (int i = 0; i < PROGRAMS; i++) p[i] = adder(d, i);
        for (int i = 0; i < 2; i++) in[i] = surface(d, 4, 32, 0);
        put_ramp(in[0], 128, 0, 1);
        put_ramp(in[1], 128, 1, 0);
        for (int i = 0; i < DEPTH; i++) {
            out[i] = surface(d, 4, 32, 0);
            assert_ok(dev_run(p[i % PROGRAMS], in, 2, &out[i], 1, &ticket[i]));
        }
        for (int i = 0; i < DEPTH; i++) /* 53 and 127 have no common divisor */
            assert_ok(dev_wait(d, ticket[i * 53 % DEPTH], NULL));
        for (int i = 0; i < DEPTH; i++) assert_ramp(out[i], 128, 1 + i % PROGRAMS, 1);
        for (int i = 0; i < DEPTH; i++) dev_drop(out[i]);
        dev_drop(in[0]);
        dev_drop(in[1]);
        for (int i = 0; i < PROGRAMS; i++) dev_unload(p[i]);
        dev_close(d);
    }
    assert_int_equal(fake.live_objects(), live);
    expect_no_misuse();
}

/* Surfaces, programs and the device go while runs are queued: each waits for
 * what uses it, and all runs are made. */
static void closing_with_work_queued_lets_it_end(void **state)
{
    const bench *b = *state;
    int64_t live = fake.live_objects();
    for (size_t r = 0; r < COUNT_OF(routes); r++) {
        device *d;
        uint64_t ticket, ran = fake.evaluations();
        assert_ok(dev_open(routes[r], b->k, &d));
        ran = fake.evaluations();
        dev_program *p[2] = {adder(d, 1), adder(d, 2)};
        dev_surface *s[4];
        for (int i = 0; i < 4; i++) s[i] = surface(d, 4, 32, 0);
        put_ramp(s[0], 128, 0, 1);
        put_ramp(s[1], 128, 1, 0);
        for (int i = 0; i < 100; i++)
            assert_ok(dev_run(p[i % 2], s, 2, s + 2 + i % 2, 1, &ticket));
        if (r == 0) { /* programs first, or surfaces first */
            dev_unload(p[0]), dev_unload(p[1]);
            for (int i = 0; i < 4; i++) dev_drop(s[i]);
        } else {
            for (int i = 3; i >= 0; i--) dev_drop(s[i]);
            dev_unload(p[1]), dev_unload(p[0]);
        }
        dev_close(d);
        assert_int_equal(fake.evaluations() - ran, 100);
        assert_int_equal(fake.loaded(), 0);
    }
    assert_int_equal(fake.live_objects(), live);
    expect_no_misuse();
}

/* ---- programs that come and go ---- */
enum { COMERS = 4, TIMES = 30 };
typedef struct {
    device *d;
    int which;
    const char *fault;
} comer;

/* Load, run, unload once; NULL if the numbers are right. */
static const char *come_once(device *d, int add, dev_surface **s)
{
    char text[2048];
    dev_program *p;
    void *m;
    const char *fault = NULL;
    adder_text(text, sizeof text, add);
    if (try_load(d, text, NULL, 0, &p)) return "not loaded";
    if (run_and_wait(p, s, 2, s + 2, 1, NULL)) fault = "not run";
    else if (dev_map(s[2], &m)) fault = "not mapped";
    else {
        if (half_to_double(((half *)m)[5]) != add) fault = "wrong numbers";
        if (dev_unmap(s[2])) fault = "not unmapped";
    }
    dev_unload(p);
    return fault;
}

/* Half of the programs are those of the other threads, so that one thread
 * unloads what another is about to load. */
static void *come_and_go(void *arg)
{
    comer *c = arg;
    dev_shape shape = {MIL_FP16, 4, {1, 4, 1, 32}, 49152};
    dev_surface *s[3] = {NULL};
    for (int i = 0; i < 3 && !c->fault; i++)
        if (dev_surface_new(c->d, &shape, &s[i])) c->fault = "no surface";
    for (int i = 0; i < TIMES && !c->fault; i++)
        c->fault = come_once(c->d, i % 2 ? 7 : 100 + c->which, s);
    for (int i = 0; i < 3; i++) dev_drop(s[i]);
    return NULL;
}

static void programs_come_and_go_in_many_threads(void **state)
{
    const bench *b = *state;
    int64_t live = fake.live_objects();
    for (size_t r = 0; r < COUNT_OF(routes); r++) {
        char uri[300];
        device *d[2];
        comer all[COMERS];
        pthread_t thread[COMERS];
        snprintf(uri, sizeof uri, "%s,compiles=none", routes[r]);
        for (int i = 0; i < 2; i++) assert_ok(dev_open(uri, b->k, &d[i]));
        for (int i = 0; i < COMERS; i++) {
            all[i] = (comer){.d = d[i / 2], .which = i};
            assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, &all[i]), 0);
        }
        for (int i = 0; i < COMERS; i++) pthread_join(thread[i], NULL);
        for (int i = 0; i < COMERS; i++)
            if (all[i].fault) fail_msg("%s, thread %d: %s", uri, i, all[i].fault);
        for (int i = 0; i < 2; i++) dev_close(d[i]);
        assert_int_equal(fake.loaded(), 0);
        expect_nothing_staged(b);
    }
    assert_int_equal(fake.live_objects(), live);
    expect_no_misuse();
}

int main(void)
{
#define ON_BENCH(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    /* The driver counts compiles per process: what needs many comes last. */
    const struct CMUnitTest tests[] = {
        ON_BENCH(ten_thousand_runs_grow_nothing),
        ON_BENCH(two_trainings_at_once_are_each_as_alone),
        ON_BENCH(a_full_queue_is_waited_for_in_any_order),
        ON_BENCH(closing_with_work_queued_lets_it_end),
        ON_BENCH(programs_come_and_go_in_many_threads),
    };
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
