/* device_cache.c - `anneal device cache ls|clear [URI]`: the compiled programs
 * that are kept in device.state. No device is opened for it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/session.h"
#include "base/str.h"
#include "cli/verbs.h"
#include "dev/cache.h"

static json_t *one_json(const dev_cached *p)
{
    return json_pack("{s:s,s:s,s:s,s:I,s:I}", "name", p->name, "route", p->route,
                     "system", p->system, "bytes", (json_int_t)p->bytes, "used",
                     (json_int_t)p->used);
}

static void print_one(const dev_cached *p)
{
    char size[32], day[32] = "";
    time_t when = (time_t)p->used;
    struct tm t;
    if (localtime_r(&when, &t)) strftime(day, sizeof day, "%Y-%m-%d %H:%M", &t);
    printf("%-32s  %-7s %-10s %10s  %s\n", p->name, p->route,
           *p->system ? p->system : "-", str_bytes(size, (double)p->bytes), day);
}

static rc list(const args *a, const char *state, const char *uri)
{
    dev_cached *all;
    size_t n;
    double total = 0;
    char size[32];
    TRY(dev_cache_list(a->mem, state, uri, &all, &n));
    json_t *programs = json_array();
    for (size_t i = 0; i < n; i++) {
        total += (double)all[i].bytes;
        json_array_append_new(programs, one_json(&all[i]));
        if (!args_has(a, "json")) print_one(&all[i]);
    }
    if (args_has(a, "json"))
        return cli_put_json(
            json_pack("{s:I,s:o}", "bytes", (json_int_t)total, "programs", programs));
    json_decref(programs);
    printf("%zu programs, %s\n", n, str_bytes(size, total));
    return OK;
}

static rc clear(const args *a, const char *state, const char *uri)
{
    uint64_t bytes;
    size_t n;
    char size[32];
    TRY(dev_cache_clear(state, uri, &n, &bytes));
    if (args_has(a, "json"))
        return cli_put_json(
            json_pack("{s:I,s:I}", "removed", (json_int_t)n, "bytes", (json_int_t)bytes));
    printf("%zu programs removed, %s\n", n, str_bytes(size, (double)bytes));
    return OK;
}

rc cli_device_cache(args *a)
{
    const char *what = a->n_word > 1 ? a->word[1] : "ls";
    bool clears = !strcmp(what, "clear");
    bool named = a->n_word > 2 && !strchr(a->word[2], '.');
    config *c;
    if (!clears && strcmp(what, "ls"))
        return err_fail(E_USAGE, "wanted `device cache ls` or `clear`, had '%s'", what);
    const char *uri = named ? a->word[2] : NULL;
    TRY(config_new(&c));
    rc e = args_settings(a, a->n_word < 2 ? a->n_word : named ? 3 : 2, c);
    const char *state = e ? NULL : config_text(c, OPT_device_state);
    if (!e) e = clears ? clear(a, state, uri) : list(a, state, uri);
    config_free(c);
    return e;
}

rc cli_cache_info(device *d, json_t *o)
{
    dev_cache c;
    TRY(dev_cache_of(d, &c));
    if (o)
        json_object_set_new(
            o, "cache",
            json_pack("{s:b,s:s,s:I,s:I,s:I,s:I,s:I}", "on", c.on, "why", c.why, "loads",
                      (json_int_t)c.loads, "misses", (json_int_t)c.misses, "refused",
                      (json_int_t)c.refused, "stored", (json_int_t)c.stored, "failed",
                      (json_int_t)c.failed));
    else if (c.max_bytes) printf("  %-16s %s\n", "programs kept", c.why);
    if (!o && c.refused + c.failed)
        printf("  %-16s %llu refused by the system, %llu could not be kept\n", "",
               (unsigned long long)c.refused, (unsigned long long)c.failed);
    return OK;
}
