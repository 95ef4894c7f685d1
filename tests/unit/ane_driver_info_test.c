/* What the driver asks the machine about itself: chip, number of engines,
 * meters. What IOReport answers is the fake's; what sysctl does is put in the
 * table of symbols. */
#include <dlfcn.h>
#include <string.h>
#include <time.h>
#include "test.h"
#include "base/clock.h"
#include "dev/ane/ane.h"

static ane_sys sys;
static const char *brand;
static void (*set_meters)(const char *which);
static void (*move_meters)(int64_t steps);

/* A control of the fake, by name. */
#define control(at, name) find_control((at), sizeof *(at), name)
static void find_control(void *at, size_t size, const char *name)
{
    void *p = dlsym(dlopen(FAKE_LIB, RTLD_NOW), name);
    assert_non_null(p);
    assert_int_equal(size, sizeof p);
    memcpy(at, &p, sizeof p);
}

static int open_sys(void **state)
{
    if (ane_sys_open(&sys, FAKE_LIB) != OK) return -1;
    control(&set_meters, "fake_ane_meters");
    control(&move_meters, "fake_ane_meters_move");
    return 0;
}

/* ---- chip ---- */
static int answer(const char *name, void *out, size_t *n, void *in, size_t m)
{
    if (!brand || strcmp(name, "machdep.cpu.brand_string") || in || m) return -1;
    if (strlen(brand) + 1 > *n) return -1;
    strcpy(out, brand);
    *n = strlen(brand) + 1;
    return 0;
}

static void the_processors_name_tells_the_chip(void **state)
{
    static const struct {
        const char *brand, *profile;
    } cases[] = {
        {"Apple M4 Pro", "m4pro"},
        {"Apple M1", "m1"},
        {"Apple M6", "m6"},
        {"Apple M4", "m4"},
        {"Apple M99", "m4"}, /* the engine calls itself h16 */
        {NULL, "m4"},
    };
    const dev_profile *p;
    int engines;
    sys.sysctlbyname = answer;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        brand = cases[i].brand;
        assert_ok(ane_chip(&sys, &p, &engines));
        assert_string_equal(p->name, cases[i].profile);
        assert_int_equal(engines, 1);
    }
    sys.sysctlbyname = NULL;
    assert_ok(ane_chip(&sys, &p, &engines));
    assert_string_equal(p->name, "m4");
}

static void the_engines_name_tells_the_family(void **state)
{
    static const struct {
        const char *name, *profile;
    } cases[] = {
        {"h13", "m1"},  {"h13g", "m1"}, {"h14g", "m2pro"}, {"h15", "m3pro"},
        {"h17s", "m5"}, {"h18g", "m6"}, {"h25", "m6"},     {"h11", NULL},
        {"m11", NULL},  {"", NULL},     {"h", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const dev_profile *p = ane_profile_of(cases[i].name);
        if (!cases[i].profile) assert_null(p);
        else assert_string_equal(p->name, cases[i].profile);
    }
}

static void without_a_name_the_chip_is_unknown(void **state)
{
    ane_sys mute = sys;
    const dev_profile *p;
    int engines;
    mute.state[ANE_SEL_sub_type] = ANE_NO_METHOD;
    assert_fails(ane_chip(&mute, &p, &engines), E_DEVICE, "'nothing'");
}

/* ---- meters ---- */
static ane_report *report;
static double began, asked; /* when the last two readings were asked for */

#define WATTS (1u << DEV_WATTS)
#define GBS (1u << DEV_GBS)

static void open_report(const char *which)
{
    set_meters(which);
    report = ane_report_open(&sys, 0);
}

/* One interval of at least 20 ms in which the engine did `steps` runs. */
static dev_sample interval(int64_t steps)
{
    dev_sample s = {0};
    move_meters(steps);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    began = asked;
    asked = clock_ms();
    ane_report_read(report, steps != 0, &s);
    return s;
}

/* The value of a reading is `amount` by the time of the last interval: more
 * than 20 ms, and less than from asking for the one before until now. */
static void assert_amount(const dev_sample *s, int reading, double amount)
{
    assert_true(s->valid & 1u << reading);
    assert_true(s->value[reading] <= amount / 0.02 * 1.0001); /* clock of 0.1 us */
    assert_true(s->value[reading] >= amount / ((clock_ms() - began) / 1e3));
}

static void a_rate_is_amount_by_time(void **state)
{
    open_report("m1");
    assert_non_null(report);
    assert_string_equal(ane_report_meter(report, 0), "Energy Model: ANE0 (mJ)");
    assert_string_equal(ane_report_meter(report, 1),
                        "AMC Stats/Perf Counters: ANE0 DCS RD (B)");
    assert_null(ane_report_meter(report, 2));
    assert_int_equal(interval(1).valid, 0); /* one move may be of anything */
    dev_sample s = interval(1);
    assert_int_equal(s.valid, WATTS | GBS);
    assert_int_equal(s.at_least, 0);
    assert_amount(&s, DEV_WATTS, 0.040);
    assert_amount(&s, DEV_GBS, 0.040); /* 30 and 10 MB, not the fabric's */
    ane_report_close(report);
}

static void a_counter_that_rests_with_the_engine_reads_nothing(void **state)
{
    open_report("m1");
    interval(1);
    assert_int_equal(interval(1).valid, WATTS | GBS);
    dev_sample s = interval(0); /* no runs */
    assert_int_equal(s.valid, WATTS | GBS);
    assert_near(s.value[DEV_WATTS], 0, 0);
    assert_near(s.value[DEV_GBS], 0, 0);
    s = (dev_sample){0};
    ane_report_read(report, true, &s); /* there were runs: it stands still */
    assert_int_equal(s.valid, 0);
    assert_int_equal(interval(1).valid, 0); /* and must prove itself again */
    assert_int_equal(interval(1).valid, WATTS | GBS);
    ane_report_close(report);
}

static void a_counter_that_never_moves_is_absent(void **state)
{
    open_report("m4");
    interval(1);
    dev_sample s = interval(1);
    assert_int_equal(s.valid, GBS); /* the energy stands still */
    assert_amount(&s, DEV_GBS, 0.070);
    assert_int_equal(s.at_least, 0); /* bytes count, not the histogram of one link */
    ane_report_close(report);
}

static void where_bytes_are_refused_the_histogram_tells(void **state)
{
    open_report("m6");
    assert_string_equal(ane_report_meter(report, 0), "PMP/DCS BW: ANE0 L0 RD (events)");
    assert_null(ane_report_meter(report, 1));
    interval(1);
    dev_sample s = interval(1);
    assert_int_equal(s.valid, GBS);
    assert_int_equal(s.at_least, 0);
    /* 40 moments at 9.5 GB/s on two links and 40 at 1.5, of 4444 in a second */
    assert_amount(&s, DEV_GBS, 40 * (9.5 + 9.5 + 1.5) / 4444);
    /* Looked at more often than that: on all the time. */
    s = interval(1000);
    assert_near(s.value[DEV_GBS], 9.5 + 9.5 + 1.5, 1e-9);
    ane_report_close(report);
}

static void a_histogram_that_ends_is_a_lower_bound(void **state)
{
    open_report("m5max");
    interval(1);
    dev_sample s = interval(1);
    assert_int_equal(s.valid, WATTS | GBS);
    assert_int_equal(s.at_least, GBS);
    assert_amount(&s, DEV_WATTS, 0.040); /* of both dies */
    assert_amount(&s, DEV_GBS, 60 * 32.0 / 4444);
    ane_report_close(report);
}

static void what_makes_no_sense_is_absent(void **state)
{
    static const char *const sets[] = {"odd", "anew"};
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        open_report(sets[i]);
        assert_non_null(report); /* there are channels of the engine */
        for (int k = 0; k < 4; k++) assert_int_equal(interval(1).valid, 0);
        ane_report_close(report);
    }
}

static void a_counter_may_go_round(void **state)
{
    open_report("round");
    interval(1);
    for (int k = 0; k < 4; k++) {
        dev_sample s = interval(1);
        assert_amount(&s, DEV_WATTS, 0.045);
    }
    ane_report_close(report);
}

static void before_its_interval_is_over_nothing_is_read(void **state)
{
    dev_sample s = {0};
    set_meters("m1");
    report = ane_report_open(&sys, 60000);
    for (int k = 0; k < 4; k++) {
        move_meters(1);
        ane_report_read(report, true, &s);
    }
    assert_int_equal(s.valid, 0);
    ane_report_close(report);
}

static void meters_that_are_not_there_are_absent(void **state)
{
    static const char *const needed[] = {
        "IOReportCopyChannelsInGroup",   "IOReportCreateSubscription",
        "IOReportCreateSamples",         "IOReportCreateSamplesDelta",
        "IOReportChannelGetChannelName", "IOReportChannelGetUnitLabel",
        "IOReportChannelGetFormat",      "IOReportSimpleGetIntegerValue",
        "IOReportStateGetCount",         "IOReportStateGetNameForIndex",
        "IOReportStateGetResidency",
    };
    set_meters("m1");
    for (int i = 0; ane_sym_at(i); i++)
        for (size_t k = 0; k < COUNT_OF(needed); k++) {
            ane_sys bare = sys;
            if (strcmp(ane_sym_at(i)->name, needed[k])) continue;
            memset((char *)&bare + ane_sym_at(i)->at, 0, sizeof(void *));
            assert_null(ane_report_open(&bare, 0));
        }
    set_meters(NULL);
    assert_null(ane_report_open(&sys, 0));
    assert_null(ane_report_meter(NULL, 0));
    ane_report_close(NULL);
}

/* Every call of the system's that can fail, in opening and in three readings:
 * what fails is absent, and nothing stays behind. */
static void any_call_may_fail_and_leaves_nothing(void **state)
{
    uint64_t (*calls)(void);
    void (*fail_at)(uint64_t);
    int64_t (*live)(void);
    control(&calls, "fake_ane_calls");
    control(&fail_at, "fake_ane_fail_at");
    control(&live, "fake_ane_live_objects");
    open_report("m6"); /* names of states are made, once and for all */
    interval(1);
    ane_report_close(report);
    uint64_t before = calls(), n_calls = 0;
    int64_t objects = live();
    long held = atomic_load(&sys.live);
    for (uint64_t n = 0; n <= n_calls; n++) {
        fail_at(n);
        open_report(n % 2 ? "m6" : "m1");
        for (int k = 0; report && k < 3; k++) {
            dev_sample s = {0};
            move_meters(1);
            ane_report_read(report, true, &s);
        }
        ane_report_close(report);
        fail_at(0);
        if (!n) n_calls = 2 * (calls() - before);
        assert_int_equal(live(), objects);
        assert_int_equal(atomic_load(&sys.live), held);
    }
    assert_true(n_calls > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_processors_name_tells_the_chip),
        cmocka_unit_test(the_engines_name_tells_the_family),
        cmocka_unit_test(without_a_name_the_chip_is_unknown),
        cmocka_unit_test(a_rate_is_amount_by_time),
        cmocka_unit_test(a_counter_that_rests_with_the_engine_reads_nothing),
        cmocka_unit_test(a_counter_that_never_moves_is_absent),
        cmocka_unit_test(where_bytes_are_refused_the_histogram_tells),
        cmocka_unit_test(a_histogram_that_ends_is_a_lower_bound),
        cmocka_unit_test(what_makes_no_sense_is_absent),
        cmocka_unit_test(a_counter_may_go_round),
        cmocka_unit_test(before_its_interval_is_over_nothing_is_read),
        cmocka_unit_test(any_call_may_fail_and_leaves_nothing),
        cmocka_unit_test(meters_that_are_not_there_are_absent),
    };
    return cmocka_run_group_tests(tests, open_sys, NULL);
}
