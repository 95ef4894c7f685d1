/* What devices and processes share: compiles and slots are counted over both
 * routes; a folder that another process is using is not taken from under it; a
 * load that is refused once is tried again after a pause. */
#include <math.h>
#include <pthread.h>
#include <unistd.h>
#include "dev_help.h"
#include "base/clock.h"
#include "base/str.h"
#include "dev/ane/ane.h"
#include "fake_controls.h"

#define CLIENT "ane:client,compiles=none,lib=" FAKE_LIB
#define MEMORY "ane:memory,compiles=none,lib=" FAKE_LIB
static const char *const routes[] = {CLIENT, MEMORY};

static const char twice[] = PROGRAM(
    ROW32 " in_a", LET(ROW32, "made", "add(x = in_a, y = in_a)"), "made"),
                  square[] = PROGRAM(ROW32 " in_a",
                                     LET(ROW32, "made", "mul(x = in_a, y = in_a)"),
                                     "made");

/* ---- one count for all ---- */
static void both_routes_use_up_one_budget(void **state)
{
    device *d[2];
    dev_program *p[2];
    dev_sample s;
    int compiles, programs, before, none;
    for (int i = 0; i < 2; i++) assert_ok(dev_open(routes[i], NULL, &d[i]));
    ane_budget_now(&before, &none);
    assert_int_equal(none, 0); /* the trials have gone */
    for (int i = 0; i < 2; i++) p[i] = load(d[i], twice);
    ane_budget_now(&compiles, &programs);
    assert_int_equal(compiles - before, 2); /* equal, but on two routes */
    assert_int_equal(programs, 2);
    for (int i = 0; i < 2; i++) {
        assert_ok(dev_sample_of(d[i], &s));
        assert_near(s.value[DEV_LOADED], 2, 0);
    }
    /* A budget that both have used up together ends both. */
    char uri[300];
    for (int i = 0; i < 2; i++) {
        device *e;
        snprintf(uri, sizeof uri, "ane:%s,compiles=%d,lib=" FAKE_LIB,
                 i ? "memory" : "client", compiles);
        assert_fails(dev_open(uri, NULL, &e), E_BUDGET, "compile budget");
    }
    for (int i = 0; i < 2; i++) dev_unload(p[i]), dev_close(d[i]);
    ane_budget_now(&compiles, &programs);
    assert_int_equal(programs, 0);
}

/* ---- another process's folder ---- */
typedef struct {
    dev_program *p;
    double ms;
} leaving;

static void *leave(void *arg)
{
    leaving *l = arg;
    double start = clock_ms();
    dev_unload(l->p);
    l->ms = clock_ms() - start;
    return NULL;
}

/* The framework removes a program's folder when it unloads it: with another
 * process staging the same program there, that has to wait. */
static void unloading_waits_for_who_stages_the_same(void **state)
{
    device *d;
    ane_stage other;
    pthread_t t;
    assert_ok(dev_open(MEMORY, NULL, &d));
    leaving l = {load(d, twice), 0};
    dev_source src = {"twice", twice, strlen(twice), NULL, 0};
    char dir[ANE_PATH], text[ANE_PATH + 16];
    snprintf(dir, sizeof dir, "%s", ((ane_program *)l.p)->model->fixed);
    snprintf(text, sizeof text, "%s/model.mil", dir);
    assert_ok(ane_stage_open(&other, dir, NULL, 0));
    assert_ok(ane_stage_write(&other, &src));
    assert_int_equal(pthread_create(&t, NULL, leave, &l), 0);
    usleep(150000);
    assert_true(file_exists(text)); /* still ours */
    ane_stage_leave(&other);
    pthread_join(t, NULL);
    assert_true(l.ms >= 100);
    assert_false(file_exists(dir));
    dev_close(d);
}

typedef struct {
    device *d;
    dev_program *p;
    double ms;
} coming;

static void *come(void *arg)
{
    coming *c = arg;
    double start = clock_ms();
    c->p = load(c->d, square);
    c->ms = clock_ms() - start;
    return NULL;
}

/* Whoever compiles the same program waits, and compiles files of its own. */
static void compiling_waits_for_who_stages_the_same(void **state)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        ane_stage other;
        pthread_t t;
        coming c = {0};
        char dir[ANE_PATH];
        assert_ok(dev_open(routes[i], NULL, &c.d));
        c.p = load(c.d, square);
        snprintf(dir, sizeof dir, "%s", ((ane_program *)c.p)->model->dir);
        dev_unload(c.p);
        dev_source wrong = {"wrong", twice, strlen(twice), NULL, 0};
        assert_ok(ane_stage_open(&other, dir, NULL, 0));
        assert_ok(ane_stage_write(&other, &wrong));
        assert_int_equal(pthread_create(&t, NULL, come, &c), 0);
        usleep(150000);
        ane_stage_leave(&other);
        pthread_join(t, NULL);
        assert_true(c.ms >= 100);
        dev_surface *x = surface(c.d, 4, 32, 0), *y = surface(c.d, 4, 32, 0);
        put_ramp(x, 128, 3, 0);
        assert_ok(run_and_wait(c.p, &x, 1, &y, 1, NULL));
        assert_ramp(y, 128, 9, 0); /* a square, not a sum */
        dev_drop(x);
        dev_drop(y);
        dev_unload(c.p);
        dev_close(c.d);
    }
}

/* ---- once more ---- */
/* The least time of a load whose k-th call is refused, of three, since a busy
 * machine may pause any; 0: it failed. */
static double refused_load_ms(device *d, uint64_t k)
{
    double least = INFINITY;
    for (int turn = 0; turn < 3 && least >= 100; turn++) {
        dev_program *p = NULL;
        double start = clock_ms();
        fake.fail_at(k);
        rc r = try_load(d, twice, NULL, 0, &p);
        fake.fail_at(0);
        least = r == OK ? fmin(least, clock_ms() - start) : 0;
        dev_unload(p);
    }
    return least;
}

/* Of all calls that loading makes, just one is made again after a pause. */
static void a_load_that_is_refused_is_tried_again_after_a_pause(void **state)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        device *d;
        int again = 0;
        assert_ok(dev_open(routes[i], NULL, &d));
        uint64_t before = fake.calls();
        dev_unload(load(d, twice));
        uint64_t n = fake.calls() - before;
        for (uint64_t k = 1; k <= n; k++) again += refused_load_ms(d, k) >= 100;
        assert_int_equal(again, 1);
        dev_close(d);
    }
}

int main(void)
{
#define ON_FAKE(f) cmocka_unit_test_setup_teardown(f, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        ON_FAKE(both_routes_use_up_one_budget),
        ON_FAKE(unloading_waits_for_who_stages_the_same),
        ON_FAKE(compiling_waits_for_who_stages_the_same),
        ON_FAKE(a_load_that_is_refused_is_tried_again_after_a_pause),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
