/* report.c - energy of the engine.
 *
 * The group "Energy Model" has one channel per consumer, counting energy since
 * some beginning; two samples and the time between them give power. Channels
 * of the engine are named ANE, ANE0, ANE1 ...; the unit is a label, "mJ", "uJ"
 * or "nJ" (macmon, socpowerbuddy; ane-guide ch. 33). */
#include <math.h>
#include <string.h>
#include "base/arena.h"
#include "base/clock.h"
#include "dev/ane/report.h"

struct ane_report {
    const ane_sys *a;
    ane_id channels; /* of the group */
    ane_dict chosen; /* those subscribed to */
    ane_subscription subscription;
    ane_dict last;
    double at_ms;
};

static double unit_of(const ane_sys *a, ane_string label)
{
    static const struct {
        const char *name;
        double joules;
    } units[] = {{"mJ", 1e-3}, {"uJ", 1e-6}, {"nJ", 1e-9}, {"J", 1}};
    char text[16];
    if (!ane_get_text(a, label, text, sizeof text)) return NAN;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strncmp(text, units[i].name, strlen(units[i].name))) return units[i].joules;
    return NAN;
}

/* Joules of the engine's channels in a difference of two samples; NaN if none. */
static double engine_joules(const ane_sys *a, ane_dict difference)
{
    ane_ref list = ane_get(a, difference, "IOReportChannels");
    double sum = NAN;
    char name[64];
    long n = ane_get_count(a, list);
    for (long i = 0; i < n; i++) {
        ane_dict c = ane_get_item(a, list, i);
        if (!ane_get_text(a, a->IOReportChannelGetChannelName(c), name, sizeof name) ||
            strncmp(name, "ANE", 3))
            continue;
        double j = unit_of(a, a->IOReportChannelGetUnitLabel(c)) *
                   (double)a->IOReportSimpleGetIntegerValue(c, 0);
        if (!isnan(j)) sum = isnan(sum) ? j : sum + j;
    }
    return sum;
}

static void release(const ane_sys *a, ane_ref r)
{
    if (r) a->CFRelease(r);
}

static bool has_symbols(const ane_sys *a)
{
    return a->IOReportCopyChannelsInGroup && a->IOReportCreateSubscription &&
           a->IOReportCreateSamples && a->IOReportCreateSamplesDelta &&
           a->IOReportChannelGetChannelName && a->IOReportChannelGetUnitLabel &&
           a->IOReportSimpleGetIntegerValue;
}

ane_report *ane_report_open(const ane_sys *a)
{
    ane_id group;
    if (!has_symbols(a)) return NULL;
    ane_report *r = mem_take(sizeof *r);
    void *pool = a->objc_autoreleasePoolPush();
    if (r && ane_make_text(a, "Energy Model", &group) == OK) {
        r->a = a;
        r->channels = (ane_id)(uintptr_t)a->IOReportCopyChannelsInGroup((ane_string)group,
                                                                        NULL, 0, 0, 0);
        if (r->channels)
            r->subscription = a->IOReportCreateSubscription(NULL, (ane_dict)r->channels,
                                                            &r->chosen, 0, NULL);
        if (r->subscription)
            r->last = a->IOReportCreateSamples(r->subscription, r->chosen, NULL);
        r->at_ms = clock_ms();
        ane_drop(a, group);
    }
    a->objc_autoreleasePoolPop(pool);
    if (r && r->last) return r;
    ane_report_close(r);
    return NULL;
}

void ane_report_close(ane_report *r)
{
    if (!r) return;
    release(r->a, r->last);
    release(r->a, r->subscription);
    release(r->a, r->chosen);
    release(r->a, r->channels);
    mem_drop(r);
}

bool ane_report_watts(ane_report *r, double *watts)
{
    const ane_sys *a = r->a;
    double now = clock_ms(), joules = NAN;
    void *pool = a->objc_autoreleasePoolPush();
    ane_dict sample = a->IOReportCreateSamples(r->subscription, r->chosen, NULL);
    *watts = NAN;
    if (!sample) {
        a->objc_autoreleasePoolPop(pool);
        return false;
    }
    ane_dict difference = a->IOReportCreateSamplesDelta(r->last, sample, NULL);
    if (difference) joules = engine_joules(a, difference);
    release(a, difference);
    release(a, r->last);
    r->last = sample;
    a->objc_autoreleasePoolPop(pool);
    double gone = (now - r->at_ms) / 1e3;
    r->at_ms = now;
    *watts = gone > 0 ? joules / gone : NAN;
    return isfinite(*watts);
}
