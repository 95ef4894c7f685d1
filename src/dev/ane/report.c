/* report.c - energy and traffic of the engine.
 *
 * A group of channels is subscribed to once; the difference of two samples and
 * the time between them is a rate. What stands in the tables of a chip is not
 * always there: groups are refused, channels stand still while the engine
 * works or jump once in minutes by what they missed (anemon and vpipe, macOS
 * 27). So a counter is believed after it has moved in two intervals in a row,
 * and no longer once it stands still while runs are made. Until then the
 * reading is absent; a believed counter that rests with the engine reads 0. */
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/clock.h"
#include "dev/ane/report.h"

typedef enum { ENERGY, BYTES, HISTOGRAM } meter_kind;
enum { WATTS = DEV_WATTS, GBS = DEV_GBS };
/* Formats of channels: socpowerbuddy, ane-guide ch. 33. */
enum { FORMAT_SIMPLE = 1, FORMAT_STATE = 2 };

static const struct {
    int reading;
    meter_kind kind;
    const char *group, *subgroup, *channel;
    double per_second;
} rows[] = {
#define METER(reading, kind, group, subgroup, channel, per_second, source) \
    {reading, kind, group, subgroup, channel, per_second},
#include "dev/ane/meters.def"
#undef METER
};
enum { ROWS = sizeof rows / sizeof *rows };

typedef struct {
    ane_mutable_dict channels, chosen; /* of the group; those subscribed to */
    ane_subscription subscription;     /* NULL: this meter is not there */
    ane_dict last;
    double at_ms;
    bool moved, believed;
    char name[96];
} meter;

struct ane_report {
    const ane_sys *a;
    pthread_mutex_t lock;
    double every_ms, at_ms;
    bool worked;
    meter m[ROWS];
    dev_sample now; /* the last reading */
};

/* What an interval gave. `amount` NaN: no channel, or one that makes no sense. */
typedef struct {
    double amount;      /* J, bytes, or moments counted */
    double rate;        /* histograms: GB/s */
    double counts, top; /* moments, and those in the last, open state */
} total;

/* ---- names ---- */
static const char *skip_digits(const char *p)
{
    while (isdigit((unsigned char)*p)) p++;
    return p;
}

static const char *skip_die(const char *name)
{
    if (strncmp(name, "DIE", 3)) return name;
    const char *p = name + 3 + (name[3] == '_'), *end = skip_digits(p);
    return end > p && (*end == ' ' || *end == '_') ? end + 1 : name;
}

static bool is_channel(const char *pattern, const char *name)
{
    for (name = skip_die(name); *pattern; pattern++) {
        if (*pattern == '#') {
            name = skip_digits(name);
        } else if (*pattern == '%') {
            if (strncmp(name, "RD", 2) && strncmp(name, "WR", 2)) return false;
            name += 2;
        } else if (*pattern != *name++) {
            return false;
        }
    }
    return !*name;
}

static bool is_ours(const ane_sys *a, int row, ane_dict channel, char *name, size_t size)
{
    int format = rows[row].kind == HISTOGRAM ? FORMAT_STATE : FORMAT_SIMPLE;
    return ane_get_text(a, a->IOReportChannelGetChannelName(channel), name, size) &&
           is_channel(rows[row].channel, name) &&
           a->IOReportChannelGetFormat(channel) == format;
}

/* How much one of the channel's counts is; NaN for another kind of unit. */
static double unit_of(const ane_sys *a, meter_kind kind, ane_dict channel, char *text,
                      size_t size)
{
    static const struct {
        const char *name;
        meter_kind kind;
        double amount;
    } units[] = {{"mJ", ENERGY, 1e-3},
                 {"uJ", ENERGY, 1e-6},
                 {"nJ", ENERGY, 1e-9},
                 {"J", ENERGY, 1},
                 {"B", BYTES, 1}};
    if (!ane_get_text(a, a->IOReportChannelGetUnitLabel(channel), text, size)) return NAN;
    text[strcspn(text, " ")] = 0; /* labels may be filled up */
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].kind == kind && !strcmp(text, units[i].name)) return units[i].amount;
    return NAN;
}

/* ---- counters ---- */
/* Below zero: the counter began anew or went round, or holds the least number
 * in place of a value (SiliconScope, macOS 27 on M3 Max). */
static void add_counter(const ane_sys *a, meter_kind kind, ane_dict channel, total *t)
{
    char text[16];
    int64_t n = a->IOReportSimpleGetIntegerValue(channel, 0);
    double unit = unit_of(a, kind, channel, text, sizeof text);
    t->amount += n < 0 ? (double)NAN : unit * (double)n;
}

/* "  32GB/s" -> 32. */
static bool edge_of(const ane_sys *a, ane_dict channel, int i, double *edge)
{
    char text[32], *end;
    if (!ane_get_text(a, a->IOReportStateGetNameForIndex(channel, i), text, sizeof text))
        return false;
    *edge = strtod(text, &end);
    return end > text && !strcmp(end, "GB/s");
}

/* Moments are spread over their state's width; the last state is open and
 * counts as its edge. A link that is looked at more often than the table says
 * was on all the time. */
static void add_histogram(const ane_sys *a, int row, ane_dict channel, double seconds,
                          total *t)
{
    double lower = 0, upper, counts = 0, sum = 0, top = 0;
    int n = a->IOReportStateGetCount(channel);
    for (int i = 0; i < n; i++, lower = upper) {
        int64_t c = a->IOReportStateGetResidency(channel, i);
        if (c < 0 || !edge_of(a, channel, i, &upper) || upper <= lower) {
            t->amount = NAN;
            return;
        }
        counts += (double)c;
        sum += (double)c * (i == n - 1 ? upper : (lower + upper) / 2);
        top = (double)c;
    }
    t->amount += counts;
    t->counts += counts;
    t->top += top;
    t->rate += sum / fmax(rows[row].per_second * seconds, counts);
}

static total total_of(const ane_sys *a, int row, ane_dict difference, double seconds)
{
    total t = {0};
    char name[64];
    int found = 0;
    ane_ref list = ane_get(a, difference, "IOReportChannels");
    long n = ane_get_count(a, list);
    for (long i = 0; i < n; i++) {
        ane_dict channel = ane_get_item(a, list, i);
        if (!is_ours(a, row, channel, name, sizeof name)) continue;
        found++;
        if (rows[row].kind == HISTOGRAM) add_histogram(a, row, channel, seconds, &t);
        else add_counter(a, rows[row].kind, channel, &t);
    }
    if (!found) t.amount = NAN;
    return t;
}

/* ---- one meter ---- */
static void release(const ane_sys *a, ane_ref r)
{
    if (r) a->CFRelease(r);
}

static void close_meter(const ane_sys *a, meter *m)
{
    release(a, m->last);
    release(a, m->subscription);
    release(a, m->chosen);
    release(a, m->channels);
    *m = (meter){0};
}

/* The first channel of ours tells the meter's name; none: no meter. */
static bool name_meter(const ane_sys *a, int row, meter *m)
{
    char name[64], unit[16];
    ane_ref list = ane_get(a, m->channels, "IOReportChannels");
    long n = ane_get_count(a, list);
    for (long i = 0; i < n; i++) {
        ane_dict channel = ane_get_item(a, list, i);
        if (!is_ours(a, row, channel, name, sizeof name)) continue;
        unit_of(a, rows[row].kind, channel, unit, sizeof unit);
        snprintf(m->name, sizeof m->name, "%s%s%s: %s%s%s%s", rows[row].group,
                 rows[row].subgroup ? "/" : "",
                 rows[row].subgroup ? rows[row].subgroup : "", name, *unit ? " (" : "",
                 unit, *unit ? ")" : "");
        return true;
    }
    return false;
}

static void open_meter(const ane_sys *a, int row, meter *m)
{
    ane_id group = NULL, subgroup = NULL;
    if (ane_make_text(a, rows[row].group, &group) == OK &&
        (!rows[row].subgroup || ane_make_text(a, rows[row].subgroup, &subgroup) == OK))
        m->channels = a->IOReportCopyChannelsInGroup((ane_string)group,
                                                     (ane_string)subgroup, 0, 0, 0);
    ane_drop(a, group);
    ane_drop(a, subgroup);
    if (m->channels && name_meter(a, row, m))
        m->subscription = a->IOReportCreateSubscription(NULL, m->channels, &m->chosen, 0,
                                                        NULL);
    if (m->subscription)
        m->last = a->IOReportCreateSamples(m->subscription, m->chosen, NULL);
    m->at_ms = clock_ms();
    if (!m->last) close_meter(a, m);
}

/* The rate since the last time, if the counter is to be believed. */
static bool read_meter(const ane_sys *a, int row, meter *m, bool worked, total *t,
                       double *rate)
{
    double now = clock_ms(), seconds = (now - m->at_ms) / 1e3;
    ane_dict sample = a->IOReportCreateSamples(m->subscription, m->chosen, NULL);
    if (!sample || seconds <= 0) {
        release(a, sample);
        return false;
    }
    ane_dict difference = a->IOReportCreateSamplesDelta(m->last, sample, NULL);
    *t = (total){.amount = NAN};
    if (difference) *t = total_of(a, row, difference, seconds);
    release(a, difference);
    release(a, m->last);
    m->last = sample;
    m->at_ms = now;
    bool moves = t->amount > 0;
    if (moves && m->moved) m->believed = true;
    if (isnan(t->amount) || (!moves && worked)) m->believed = false;
    m->moved = moves;
    *rate = rows[row].kind == ENERGY  ? t->amount / seconds
            : rows[row].kind == BYTES ? t->amount / seconds / 1e9
                                      : t->rate;
    return m->believed;
}

/* ---- all of them ---- */
static bool has_symbols(const ane_sys *a)
{
    return a->IOReportCopyChannelsInGroup && a->IOReportCreateSubscription &&
           a->IOReportCreateSamples && a->IOReportCreateSamplesDelta &&
           a->IOReportChannelGetChannelName && a->IOReportChannelGetUnitLabel &&
           a->IOReportChannelGetFormat && a->IOReportSimpleGetIntegerValue &&
           a->IOReportStateGetCount && a->IOReportStateGetNameForIndex &&
           a->IOReportStateGetResidency;
}

ane_report *ane_report_open(const ane_sys *a, double every_ms)
{
    int found = 0;
    if (!has_symbols(a)) return NULL;
    ane_report *r = mem_take(sizeof *r);
    if (!r) return NULL;
    if (pthread_mutex_init(&r->lock, NULL)) {
        mem_drop(r);
        return NULL;
    }
    r->a = a;
    r->every_ms = every_ms;
    void *pool = a->objc_autoreleasePoolPush();
    for (int i = 0; i < ROWS; i++) {
        open_meter(a, i, &r->m[i]);
        found += r->m[i].subscription != NULL;
    }
    a->objc_autoreleasePoolPop(pool);
    r->at_ms = clock_ms();
    if (found) return r;
    ane_report_close(r);
    return NULL;
}

void ane_report_close(ane_report *r)
{
    if (!r) return;
    void *pool = r->a->objc_autoreleasePoolPush();
    for (int i = 0; i < ROWS; i++) close_meter(r->a, &r->m[i]);
    r->a->objc_autoreleasePoolPop(pool);
    pthread_mutex_destroy(&r->lock);
    mem_drop(r);
}

/* The row of the i-th meter subscribed to, ROWS past the end. */
static int row_at(const ane_report *r, int i)
{
    int k = 0;
    while (r && k < ROWS && (!r->m[k].subscription || i-- > 0)) k++;
    return r ? k : ROWS;
}

const char *ane_report_meter(const ane_report *r, int i)
{
    int k = row_at(r, i);
    return k < ROWS ? r->m[k].name : NULL;
}

const char *ane_report_unit(const ane_report *r, int i)
{
    int k = row_at(r, i);
    return k < ROWS ? (rows[k].reading == WATTS ? "watts" : "gbs") : NULL;
}

static void read_all(ane_report *r)
{
    r->now = (dev_sample){0};
    for (int i = 0; i < ROWS; i++) {
        unsigned bit = 1u << rows[i].reading;
        total t;
        double rate;
        if (!r->m[i].subscription || (r->now.valid & bit)) continue;
        if (!read_meter(r->a, i, &r->m[i], r->worked, &t, &rate)) continue;
        r->now.value[rows[i].reading] = rate;
        r->now.valid |= bit;
        if (t.top > 0.1 * t.counts) r->now.at_least |= bit; /* anemon's bound */
    }
}

void ane_report_read(ane_report *r, bool worked, dev_sample *out)
{
    pthread_mutex_lock(&r->lock);
    double now = clock_ms();
    r->worked |= worked;
    if (now - r->at_ms >= r->every_ms) {
        void *pool = r->a->objc_autoreleasePoolPush();
        read_all(r);
        r->a->objc_autoreleasePoolPop(pool);
        r->at_ms = now;
        r->worked = false;
    }
    for (int i = 0; i < DEV_READINGS; i++)
        if (r->now.valid & 1u << i) out->value[i] = r->now.value[i];
    out->valid |= r->now.valid;
    out->at_least |= r->now.at_least;
    pthread_mutex_unlock(&r->lock);
}
