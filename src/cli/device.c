/* device.c - `anneal device ls | info [URI] | check [URI]`; `cache` is in
 * device_cache.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/session.h"
#include "cli/verbs.h"
#include "dev/cost.h"

static rc list(const args *a)
{
    json_t *all = args_has(a, "json") ? json_array() : NULL;
    for (size_t i = 0; i < dev_driver_count(); i++) {
        const dev_driver *d = dev_driver_at(i);
        if (!all) {
            printf("%-6s %s\n", d->name, d->about);
            continue;
        }
        json_array_append_new(all,
                              json_pack("{s:s,s:s}", "name", d->name, "about", d->about));
    }
    if (all) return cli_put_json(json_pack("{s:o}", "drivers", all));
    fputs("\nchips:", stdout);
    for (size_t i = 0; i < dev_profile_count(); i++)
        printf(" %s", dev_profile_at(i)->name);
    puts("\nfor example emu:m4, emu:m1,faithful, emu:m4,wide, null:m5");
    return OK;
}

typedef struct {
    const char *name, *unit;
    double value;
} fact;

static int facts_of(const dev_caps *c, fact *f)
{
    const dev_profile *p = c->profile;
    int n = 0;
    f[n++] = (fact){"programs_max", "", c->programs_max};
    f[n++] = (fact){"compiles_max", "", c->compiles_max};
    f[n++] = (fact){"queue_depth", "", c->queue_depth};
    if (!p) return n;
    f[n++] = (fact){"cores", "", p->cores};
    f[n++] = (fact){"peak_tflops", "TFLOP/s", p->peak_tflops};
    f[n++] = (fact){"gemm_tflops", "TFLOP/s", p->gemm_tflops};
    f[n++] = (fact){"clock_mhz", "MHz", p->clock_mhz};
    f[n++] = (fact){"dispatch_us", "us", p->dispatch_us};
    f[n++] = (fact){"weight_gbs", "GB/s", p->weight_gbs};
    f[n++] = (fact){"activation_gbs", "GB/s", p->activation_gbs};
    f[n++] = (fact){"dram_gbs", "GB/s", p->dram_gbs};
    f[n++] = (fact){"idle_off_ms", "ms", p->idle_off_ms};
    f[n++] = (fact){"wake_ms", "ms", p->wake_ms};
    return n;
}

/* Of this chip, as published: by what drew it. */
static json_t *power_of(const dev_profile *chip)
{
    json_t *rows = json_array();
    const dev_power *w;
    for (size_t i = 0; chip && (w = dev_power_at(i)); i++)
        if (!strcmp(w->chip, chip->name))
            json_array_append_new(rows, json_pack("{s:s,s:s,s:f,s:s}", "rail", w->rail,
                                                  "doing", w->doing, "watts", w->watts,
                                                  "source", w->source));
    return rows;
}

static void print_power(const dev_profile *chip)
{
    const dev_power *w;
    for (size_t i = 0; chip && (w = dev_power_at(i)); i++)
        if (!strcmp(w->chip, chip->name))
            printf("  %-16s %g W, %s: %s (%s)\n", "power", w->watts, w->rail, w->doing,
                   w->source);
}

static rc info(const args *a, device *d, const dev_caps *c)
{
    fact f[32];
    int n = facts_of(c, f);
    if (args_has(a, "json")) {
        json_t *o = json_pack("{s:s,s:s,s:b}", "uri", c->uri, "model", c->model,
                              "computes", c->computes);
        for (int i = 0; i < n; i++) cli_real(o, f[i].name, f[i].value);
        json_object_set_new(o, "exact",
                            json_string(c->profile ? dev_exact_of(c->profile) : ""));
        if (c->profile) json_object_set_new(o, "source", json_string(c->profile->source));
        json_object_set_new(o, "power", power_of(c->profile));
        json_object_set_new(o, "learned", json_string(c->learned));
        rc e = cli_cache_info(d, o);
        if (!e) e = cli_readings(d, c->uri, o);
        if (e) json_decref(o);
        return e ? e : cli_put_json(o);
    }
    printf("%s%s%s%s\n", c->uri, c->profile ? "  " : "",
           c->profile ? c->profile->chip : "",
           c->computes ? "" : "  (plans and counts, computes nothing)");
    for (int i = 0; i < n; i++)
        if (isfinite(f[i].value))
            printf("  %-16s %g %s\n", f[i].name, f[i].value, f[i].unit);
        else printf("  %-16s unknown\n", f[i].name);
    if (c->profile)
        printf("  %-16s %s\n  %-16s %s\n", "exact", dev_exact_of(c->profile), "source",
               c->profile->source);
    print_power(c->profile);
    if (*c->learned) printf("  rules            %s\n", c->learned);
    TRY(cli_cache_info(d, NULL));
    return cli_readings(d, c->uri, NULL);
}

/* Words after the URI, and the URI's place if it is left out. */
static bool is_setting(const char *word)
{
    size_t key = strcspn(word, "=:");
    return word[key] == '=' && memchr(word, '.', key);
}

static rc settings_of(const args *a, config **out)
{
    bool uri = a->n_word > 1 && !is_setting(a->word[1]);
    TRY(config_new(out));
    rc e = uri ? config_set(*out, "device.uri", a->word[1]) : OK;
    if (!e) e = args_settings(a, uri ? 2 : 1, *out);
    if (e) config_free(*out);
    return e;
}

static rc show_one(const args *a, const config *c)
{
    machine m;
    dev_caps caps;
    TRY(machine_open(c, &m));
    rc e = dev_caps_of(m.dev, &caps);
    if (!e) e = info(a, m.dev, &caps);
    machine_close(&m);
    return e;
}

rc verb_device(args *a)
{
    const char *what = a->n_word ? a->word[0] : "ls";
    const char *only = args_text(a, "only", NULL);
    config *c;
    if (!strcmp(what, "ls")) {
        TRY(args_words(a, 0, 1, ""));
        return list(a);
    }
    if (!strcmp(what, "cache")) return cli_device_cache(a);
    bool checks = !strcmp(what, "check");
    if (!checks && strcmp(what, "info"))
        return err_fail(E_USAGE,
                        "wanted `device ls`, `info`, `check` or `cache`, had '%s'", what);
    TRY(settings_of(a, &c));
    rc e = !checks ? show_one(a, c) : only ? cli_check_only(a, c, only) : cli_check(a, c);
    config_free(c);
    return e;
}
