/* report.c - a stand-in for IOReport and for sysctlbyname.
 *
 * IOReport hands out dictionaries: of a group's channels, of the channels that
 * were subscribed to, of a sample; each has an array "IOReportChannels", and
 * functions tell name, unit and value of what is in it. Signatures as public
 * programs declare them (socpowerbuddy, macmon, anemon); the library itself is
 * private, so who owns what is theirs too: Copy and Create give a reference,
 * Get does not. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "fake.h"
#include "state.h"

enum { STATES = 32 };

static const struct {
    const char *set, *group, *subgroup, *name, *unit;
    int format, state;
    int64_t first, step;
    int refused;
} rows[] = {
#define CHANNEL(set, group, subgroup, name, unit, format, state, first, step, refused, \
                source)                                                                \
    {set, group, subgroup, name, unit, format, state, first, step, refused},
#include "channels.def"
#undef CHANNEL
};
enum { ROWS = sizeof rows / sizeof *rows };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *set;       /* NULL: no meters */
static int64_t moved;         /* steps that a test asked for */
static char known[16][2][96]; /* sysctl: name, text */
static int n_known;

FAKE_EXPORT void fake_ane_meters(const char *which)
{
    pthread_mutex_lock(&lock);
    set = which;
    moved = 0;
    pthread_mutex_unlock(&lock);
}

FAKE_EXPORT void fake_ane_meters_move(int64_t steps)
{
    pthread_mutex_lock(&lock);
    moved += steps;
    pthread_mutex_unlock(&lock);
}

/* ---- values ---- */
static id number_of(id channel, const char *key)
{
    return fake_lookup_value(channel, key);
}

static int row_of(CFDictionaryRef channel)
{
    return (int)fake_whole(number_of(fake_id(channel), "row"));
}

static int64_t wrapped(int64_t a, uint64_t b)
{
    return (int64_t)((uint64_t)a + b);
}

static int64_t value_of(int row, int64_t at)
{
    return wrapped(rows[row].first, (uint64_t)rows[row].step * (uint64_t)at);
}

/* A channel as it stands in a list: its row, and a value where it has one. */
static id new_channel(int row, const int64_t *value)
{
    id c = fake_dictionary_new();
    fake_put(c, "row", fake_number_new(row));
    fake_put(c, "name", fake_string(rows[row].name));
    fake_put(c, "unit", fake_string(rows[row].unit));
    if (value) fake_put(c, "value", fake_number_new(*value));
    return c;
}

static id list_of(id dictionary)
{
    return fake_lookup_value(dictionary, "IOReportChannels");
}

static id new_list(size_t n, id *array)
{
    id d = fake_dictionary_new();
    *array = fake_array_new(n);
    fake_put(d, "IOReportChannels", *array);
    return d;
}

/* ---- groups and subscriptions ---- */
static bool is_text(CFStringRef text, const char *wanted)
{
    return !strcmp(((const fake_bytes *)fake_id(text))->p, wanted);
}

CFMutableDictionaryRef IOReportCopyChannelsInGroup(CFStringRef group,
                                                   CFStringRef subgroup, uint64_t a,
                                                   uint64_t b, uint64_t c)
{
    int found[ROWS], n = 0;
    id array;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < ROWS && set; i++)
        if (!strcmp(rows[i].set, set) && is_text(group, rows[i].group) &&
            (!subgroup || is_text(subgroup, rows[i].subgroup)))
            found[n++] = i;
    pthread_mutex_unlock(&lock);
    if (!n || fake_fails()) return NULL;
    id all = new_list((size_t)n, &array);
    for (int i = 0; i < n; i++) ((fake_array *)array)->v[i] = new_channel(found[i], NULL);
    return (CFMutableDictionaryRef)(void *)all;
}

IOReportSubscriptionRef IOReportCreateSubscription(void *a, CFMutableDictionaryRef wanted,
                                                   CFMutableDictionaryRef *chosen,
                                                   uint64_t channel, CFTypeRef b)
{
    const fake_array *list = (const fake_array *)list_of(fake_id(wanted));
    *chosen = NULL;
    if (fake_fails()) return NULL;
    for (size_t i = 0; i < list->n; i++)
        if (rows[row_of((CFDictionaryRef)(void *)list->v[i])].refused) return NULL;
    *chosen = (CFMutableDictionaryRef)(void *)objc_retain(fake_id(wanted));
    return (IOReportSubscriptionRef)(void *)fake_dictionary_new();
}

/* ---- samples ---- */
CFDictionaryRef IOReportCreateSamples(IOReportSubscriptionRef subscription,
                                      CFMutableDictionaryRef chosen, CFTypeRef a)
{
    const fake_array *list = (const fake_array *)list_of(fake_id(chosen));
    id array;
    if (!subscription || fake_fails()) return NULL;
    pthread_mutex_lock(&lock);
    int64_t at = moved + (int64_t)fake_ane_evaluations();
    pthread_mutex_unlock(&lock);
    id all = new_list(list->n, &array);
    for (size_t i = 0; i < list->n; i++) {
        int row = row_of((CFDictionaryRef)(void *)list->v[i]);
        int64_t value = value_of(row, at);
        ((fake_array *)array)->v[i] = new_channel(row, &value);
    }
    return (CFDictionaryRef)(void *)all;
}

CFDictionaryRef IOReportCreateSamplesDelta(CFDictionaryRef before, CFDictionaryRef after,
                                           CFTypeRef a)
{
    const fake_array *x = (const fake_array *)list_of(fake_id(before));
    const fake_array *y = (const fake_array *)list_of(fake_id(after));
    id array;
    if (fake_fails()) return NULL;
    id all = new_list(y->n, &array);
    for (size_t i = 0; i < y->n; i++) {
        int64_t from = fake_whole(number_of(x->v[i], "value"));
        int64_t to = fake_whole(number_of(y->v[i], "value"));
        int row = row_of((CFDictionaryRef)(void *)y->v[i]);
        int64_t value = to == INT64_MIN ? to : wrapped(to, 0 - (uint64_t)from);
        ((fake_array *)array)->v[i] = new_channel(row, &value);
    }
    return (CFDictionaryRef)(void *)all;
}

/* ---- what is asked of a channel ---- */
CFStringRef IOReportChannelGetChannelName(CFDictionaryRef channel)
{
    return (CFStringRef)(void *)fake_lookup_value(fake_id(channel), "name");
}

CFStringRef IOReportChannelGetUnitLabel(CFDictionaryRef channel)
{
    return (CFStringRef)(void *)fake_lookup_value(fake_id(channel), "unit");
}

int32_t IOReportChannelGetFormat(CFDictionaryRef channel)
{
    return rows[row_of(channel)].format;
}

/* Of a histogram this is garbage on the real thing as well. */
int64_t IOReportSimpleGetIntegerValue(CFDictionaryRef channel, int32_t a)
{
    if (rows[row_of(channel)].format != 1)
        fake_misuse("a histogram was read as a counter");
    return fake_whole(number_of(fake_id(channel), "value"));
}

int32_t IOReportStateGetCount(CFDictionaryRef channel)
{
    if (rows[row_of(channel)].format != 2)
        fake_misuse("a counter was asked for its states");
    return STATES;
}

CFStringRef IOReportStateGetNameForIndex(CFDictionaryRef channel, int32_t i)
{
    static id names[STATES];
    char text[16];
    pthread_mutex_lock(&lock);
    for (int k = 0; !names[0] && k < STATES; k++) {
        snprintf(text, sizeof text, "%4dGB/s", STATES - k);
        names[STATES - 1 - k] = fake_constant(text);
    }
    pthread_mutex_unlock(&lock);
    return (CFStringRef)(void *)names[i];
}

int64_t IOReportStateGetResidency(CFDictionaryRef channel, int32_t i)
{
    if (i != rows[row_of(channel)].state) return 0;
    return fake_whole(number_of(fake_id(channel), "value"));
}

/* ---- sysctl ---- */
FAKE_EXPORT void fake_ane_sysctl(const char *name, const char *text)
{
    pthread_mutex_lock(&lock);
    if (!name) n_known = 0;
    else if (n_known < 16) {
        snprintf(known[n_known][0], sizeof known[0][0], "%s", name);
        snprintf(known[n_known++][1], sizeof known[0][1], "%s", text);
    }
    pthread_mutex_unlock(&lock);
}

int sysctlbyname(const char *name, void *old, size_t *n_old, void *next, size_t n_next)
{
    const char *text = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_known; i++)
        if (!strcmp(known[i][0], name)) text = known[i][1];
    pthread_mutex_unlock(&lock);
    errno = text ? ENOMEM : ENOENT;
    if (!text || next || n_next) return -1;
    int64_t number;
    char end;
    bool whole = sscanf(text, "%lld%c", (long long *)&number, &end) == 1;
    size_t n = whole ? sizeof number : strlen(text) + 1;
    if (n > *n_old) return -1;
    memcpy(old, whole ? (const void *)&number : (const void *)text, n);
    *n_old = n;
    return 0;
}
