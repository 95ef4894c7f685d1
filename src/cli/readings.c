/* readings.c - the part of `anneal device info` that is of this machine and of
 * now: what the system says it is, which meters there are, what they read. */
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"

static const struct {
    const char *name, *unit;
} readings[DEV_READINGS] = {
    [DEV_WATTS] = {"watts", "W"},  [DEV_GBS] = {"gbs", "GB/s"},
    [DEV_BUSY] = {"busy", ""},     [DEV_LOADS] = {"loads", ""},
    [DEV_LOADED] = {"loaded", ""}, [DEV_BYTES] = {"bytes", "B"},
};

/* ---- as text ---- */
static void print_fact(void *ctx, const dev_fact *f)
{
    (void)ctx;
    if (!strcmp(f->kind, "machine")) printf("  %-16s %s\n", f->name, f->had);
    if (!strcmp(f->kind, "meter")) printf("  meter            %s: %s\n", f->name, f->had);
}

static void print_reading(const dev_sample *s, int i)
{
    bool known = s->valid & 1u << i;
    bool least = s->at_least & 1u << i;
    if (known)
        printf("  %-16s %s%g%s%s\n", readings[i].name, least ? "at least " : "",
               s->value[i], *readings[i].unit ? " " : "", readings[i].unit);
    else printf("  %-16s unknown\n", readings[i].name);
}

/* ---- as JSON ---- */
typedef struct {
    json_t *machine, *meters;
} lists;

static void keep_fact(void *ctx, const dev_fact *f)
{
    lists *l = ctx;
    if (!strcmp(f->kind, "machine"))
        json_object_set_new(l->machine, f->name, json_string(f->had));
    if (!strcmp(f->kind, "meter"))
        json_array_append_new(l->meters,
                              json_pack("{s:s,s:s}", "of", f->name, "channel", f->had));
}

static json_t *readings_json(const dev_sample *s)
{
    json_t *o = json_object(), *least = json_array();
    for (int i = 0; i < DEV_READINGS; i++) {
        if (s->valid & 1u << i) cli_real(o, readings[i].name, s->value[i]);
        if (s->at_least & 1u << i)
            json_array_append_new(least, json_string(readings[i].name));
    }
    if (json_array_size(least)) json_object_set_new(o, "at_least", least);
    else json_decref(least);
    return o;
}

rc cli_readings(device *d, const char *uri, json_t *o)
{
    dev_sample s;
    lists l = {0};
    TRY(dev_sample_of(d, &s));
    if (!o) {
        TRY(dev_facts_of(uri, print_fact, NULL));
        puts("now:");
        for (int i = 0; i < DEV_READINGS; i++) print_reading(&s, i);
        return OK;
    }
    l.machine = json_object();
    l.meters = json_array();
    json_object_set_new(o, "machine", l.machine);
    json_object_set_new(o, "meters", l.meters);
    json_object_set_new(o, "readings", readings_json(&s));
    return dev_facts_of(uri, keep_fact, &l);
}
