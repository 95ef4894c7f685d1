/* What the driver asks the machine about itself: chip, number of engines,
 * energy. The fake framework's values stand in for Core Foundation; what the
 * system would answer is put in the table of symbols. */
#include <time.h>
#include "test.h"
#include "base/clock.h"
#include "dev/ane/ane.h"

static ane_sys sys;
static const char *brand;
static struct {
    const char *name, *unit;
    int64_t count;
} channels[4];
static int n_channels;
static bool no_channels, no_subscription, no_samples;

static int open_sys(void **state)
{
    return ane_sys_open(&sys, FAKE_LIB) == OK ? 0 : -1;
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

/* ---- energy ---- */
static ane_dict make_samples(void)
{
    ane_id list[4], keys[1], dict, array;
    for (int i = 0; i < n_channels; i++) assert_ok(ane_make_number(&sys, i, &list[i]));
    assert_ok(ane_make_array(&sys, list, (size_t)n_channels, &array));
    for (int i = 0; i < n_channels; i++) ane_drop(&sys, list[i]);
    assert_ok(ane_make_text(&sys, "IOReportChannels", &keys[0]));
    assert_ok(ane_make_dict(&sys, keys, &array, 1, &dict));
    ane_drop(&sys, keys[0]);
    ane_drop(&sys, array);
    atomic_fetch_sub(&sys.live, 1); /* the caller counts it as the system's */
    return (ane_dict)dict;
}

static ane_dict copy_channels(ane_string group, ane_string sub, uint64_t a, uint64_t b,
                              uint64_t c)
{
    char text[32];
    assert_true(ane_get_text(&sys, group, text, sizeof text));
    assert_string_equal(text, "Energy Model");
    return no_channels ? NULL : make_samples();
}

static ane_subscription subscribe(void *a, ane_dict all, ane_dict *chosen, uint64_t b,
                                  ane_ref c)
{
    if (no_subscription) return NULL;
    *chosen = make_samples();
    return (ane_subscription)(uintptr_t)make_samples();
}

static ane_dict take(ane_subscription s, ane_dict chosen, ane_ref c)
{
    return no_samples ? NULL : make_samples();
}

static ane_dict subtract(ane_dict before, ane_dict after, ane_ref c)
{
    return make_samples();
}

static int channel_of(ane_dict c)
{
    int64_t i = -1;
    assert_true(ane_get_number(&sys, c, &i));
    return (int)i;
}

/* Get rule: the text belongs to the channel. */
static ane_string borrowed(const char *text)
{
    static ane_id kept[2];
    static int turn;
    ane_drop(&sys, kept[turn]);
    assert_ok(ane_make_text(&sys, text, &kept[turn]));
    ane_string s = (ane_string)kept[turn];
    turn ^= 1;
    return s;
}

static ane_string name_of(ane_dict c)
{
    return borrowed(channels[channel_of(c)].name);
}

static ane_string unit_of(ane_dict c)
{
    return borrowed(channels[channel_of(c)].unit);
}

static int64_t value_of(ane_dict c, int which)
{
    return channels[channel_of(c)].count;
}

static void install(void)
{
    sys.IOReportCopyChannelsInGroup = copy_channels;
    sys.IOReportCreateSubscription = subscribe;
    sys.IOReportCreateSamples = take;
    sys.IOReportCreateSamplesDelta = subtract;
    sys.IOReportChannelGetChannelName = name_of;
    sys.IOReportChannelGetUnitLabel = unit_of;
    sys.IOReportSimpleGetIntegerValue = value_of;
    no_channels = no_subscription = no_samples = false;
}

static void watts_are_energy_by_time(void **state)
{
    double watts, from;
    install();
    n_channels = 4;
    channels[0].name = "PCPU", channels[0].unit = "mJ", channels[0].count = 1 << 20;
    channels[1].name = "ANE0", channels[1].unit = "mJ", channels[1].count = 30;
    channels[2].name = "ANE1", channels[2].unit = "uJ", channels[2].count = 10000;
    channels[3].name = "ANE2", channels[3].unit = "furlongs", channels[3].count = 5;
    ane_report *r = ane_report_open(&sys);
    assert_non_null(r);
    from = clock_ms();
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_true(ane_report_watts(r, &watts));
    double most = 0.04 / 0.02; /* J in at least 20 ms */
    assert_true(watts > 0 && watts <= most);
    assert_true(watts >= 0.04 / ((clock_ms() - from + 5) / 1e3) * 0.9);
    n_channels = 1; /* no channel of the engine: absent, not zero */
    assert_false(ane_report_watts(r, &watts));
    no_samples = true;
    assert_false(ane_report_watts(r, &watts));
    ane_report_close(r);
}

static void meters_that_are_not_there_are_absent(void **state)
{
    ane_sys bare = sys;
    install();
    bare.IOReportCreateSamples = NULL;
    assert_null(ane_report_open(&bare));
    no_channels = true;
    assert_null(ane_report_open(&sys));
    no_channels = false, no_subscription = true;
    assert_null(ane_report_open(&sys));
    no_subscription = false, no_samples = true;
    assert_null(ane_report_open(&sys));
    ane_report_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_processors_name_tells_the_chip),
        cmocka_unit_test(the_engines_name_tells_the_family),
        cmocka_unit_test(without_a_name_the_chip_is_unknown),
        cmocka_unit_test(watts_are_energy_by_time),
        cmocka_unit_test(meters_that_are_not_there_are_absent),
    };
    return cmocka_run_group_tests(tests, open_sys, NULL);
}
