/* device.c - which drivers there are, and the one door to them.
 *
 * A URI is "driver:parameters". Each public call checks what no driver should
 * have to check (null handles, surfaces of another device) and goes through
 * the driver's table. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/str.h"
#include "dev/cache.h"
#include "dev/device.h"
#include "dev/known.h"
#include "dev/profile.h"

extern const dev_driver dev_ane_driver, dev_emu_driver, dev_null_driver;

static const dev_driver *const drivers[] = {&dev_ane_driver, &dev_emu_driver,
                                            &dev_null_driver};

size_t dev_driver_count(void)
{
    return sizeof drivers / sizeof *drivers;
}

const dev_driver *dev_driver_at(size_t i)
{
    return i < dev_driver_count() ? drivers[i] : NULL;
}

/* "auto, ane, emu:MODEL, null:MODEL; MODEL is m1, m1max, ..." */
static rc no_device(const char *uri, const char *word)
{
    const char *names[8];
    size_t n = 0;
    str all = {0};
    str_add(&all, "auto");
    names[n++] = "auto";
    for (size_t i = 0; i < dev_driver_count(); i++) {
        str_addf(&all, ", %s", drivers[i]->form);
        names[n++] = drivers[i]->name;
    }
    str_add(&all, "; MODEL is one of");
    for (size_t i = 0; i < dev_profile_count(); i++)
        str_addf(&all, "%s %s", i ? "," : "", dev_profile_at(i)->name);
    rc r = err_fail(E_DEVICE, "no device '%s'; there are: %s", uri, str_text(&all));
    str_free(&all);
    const char *near = err_nearest(word, names, n);
    if (!near) return r;
    const char *rest = strchr(uri, ':');
    return err_hint(r, "did you mean '%s%s'?", near,
                    rest && strcmp(near, "auto")                  ? rest
                    : strcmp(near, "emu") && strcmp(near, "null") ? ""
                                                                  : ":m4");
}

static rc no_driver(const char *uri)
{
    char word[32];
    size_t n = strcspn(uri, ":");
    if (n >= sizeof word) n = sizeof word - 1;
    memcpy(word, uri, n);
    word[n] = 0;
    return no_device(uri, word);
}

const dev_driver *dev_driver_of(const char *uri, const char **params)
{
    size_t n = strcspn(uri, ":");
    *params = uri[n] ? uri + n + 1 : "";
    for (size_t i = 0; i < dev_driver_count(); i++)
        if (strlen(drivers[i]->name) == n && !strncmp(drivers[i]->name, uri, n))
            return drivers[i];
    return NULL;
}

rc dev_open(const char *uri, kern *k, device **out)
{
    return dev_open_at(uri, k, NULL, out);
}

bool dev_auto_chip(const char *uri, char *out, size_t size)
{
    if (strcmp(uri, "auto") && !str_starts(uri, "auto:")) return false;
    int n = snprintf(out, size, "%s%s", dev_ane_driver.name, uri + 4);
    return n > 0 && (size_t)n < size;
}

void dev_probe_uri(const char *uri, bool unlimited, char *out, size_t size)
{
    snprintf(out, size, "%s%srules=none%s", uri, strchr(uri, ':') ? "," : ":",
             unlimited ? ",compiles=none" : "");
}

rc dev_quiet_uri(const char *uri, str *out, const char **still)
{
    char chip[512];
    const char *params;
    bool chosen = dev_auto_chip(uri, chip, sizeof chip);
    const dev_driver *driver = dev_driver_of(chosen ? chip : uri, &params);
    str words = {0};
    *still = NULL;
    rc r = driver && driver->quiet ? driver->quiet(params, &words, still) : OK;
    str_add(out, uri);
    if (words.n) str_addf(out, "%c%s", strchr(uri, ':') ? ',' : ':', str_text(&words));
    str_free(&words);
    return r == OK ? str_done(out) : r;
}

/* Is the chip to be trusted? *why says so or why not. */
static rc chip_trusted(const char *chip, const char *state, bool *trusted, str *why)
{
    dev_machine m;
    dev_self_known self = {0};
    *trusted = false;
    rc r = dev_machine_of(chip, &m);
    if (r == E_MEMORY) return r;
    if (r == OK) TRY(dev_self_read(state, &m, &self));
    *trusted = r == OK && self.there && self.passed;
    if (r != OK) str_addf(why, "%s", err_first());
    else if (!state) str_add(why, "nothing is remembered of this machine's engine");
    else if (!self.there) str_addf(why, "%s", self.detail);
    else
        str_addf(why, "its self-check of %s %s%s%s", self.date,
                 self.passed ? "passed" : "failed", self.passed ? "" : ": ",
                 self.passed ? "" : self.detail);
    err_clear();
    return OK;
}

/* The software M4 stands in for whatever cannot be used. */
static rc open_auto(const char *chip, kern *k, const char *state, device **out)
{
    str why = {0};
    bool trusted;
    rc r = chip_trusted(chip, state, &trusted, &why);
    if (r == OK && trusted) {
        rc had = dev_open_at(chip, k, state, out);
        if (had == E_MEMORY) r = had;
        else if (had != OK) {
            str_clear(&why);
            str_addf(&why, "the engine does not open: %s", err_first());
            err_clear();
        }
    }
    if (r == OK && !*out) r = dev_open_at("emu:m4", k, state, out);
    if (r == OK) snprintf((*out)->why, sizeof(*out)->why, "%s", str_text(&why));
    str_free(&why);
    return r;
}

/* The driver reads its own parameters; here only the word before ':' counts. */
rc dev_open_at(const char *uri, kern *k, const char *state, device **out)
{
    char chip[512];
    *out = NULL;
    if (!uri || !*uri) return no_device("", "");
    if (dev_auto_chip(uri, chip, sizeof chip)) return open_auto(chip, k, state, out);
    const char *params;
    const dev_driver *driver = dev_driver_of(uri, &params);
    if (!driver) return no_driver(uri);
    TRY_WHILE(driver->open(params, k, state, out), "opening device '%s'", uri);
    return OK;
}

const char *dev_why(const device *d)
{
    return d->why;
}

rc dev_machine_of(const char *uri, dev_machine *out)
{
    const char *params;
    const dev_driver *driver = dev_driver_of(uri, &params);
    *out = (dev_machine){{0}, {0}, {0}, {0}};
    if (!driver) return no_driver(uri);
    if (!driver->machine)
        return err_fail(E_UNIMPL, "device '%s' stands on no machine of its own", uri);
    return driver->machine(params, out);
}

rc dev_facts_of(const char *uri, dev_fact_sink *put, void *ctx)
{
    const char *params;
    const dev_driver *driver = dev_driver_of(uri, &params);
    if (!driver) return no_driver(uri);
    return driver->facts ? driver->facts(params, put, ctx) : OK;
}

void dev_close(device *d)
{
    if (d) d->driver->close(d);
}

rc dev_caps_of(device *d, dev_caps *out)
{
    return d->driver->caps(d, out);
}

rc dev_load(device *d, const dev_source *src, dev_program **out)
{
    *out = NULL;
    TRY_WHILE(d->driver->load(d, src, out), "loading program '%s'",
              src->name ? src->name : "?");
    return OK;
}

rc dev_reload(dev_program *p, const mil_blob_file *files, int n)
{
    return p->driver->reload(p, files, n);
}

void dev_unload(dev_program *p)
{
    if (p) p->driver->unload(p);
}

rc dev_ports_of(dev_program *p, dev_ports *out)
{
    return p->driver->ports(p, out);
}

rc dev_surface_new(device *d, const dev_shape *shape, dev_surface **out)
{
    *out = NULL;
    return d->driver->surface(d, shape, out);
}

rc dev_map(dev_surface *s, void **host)
{
    *host = NULL;
    return s->driver->map(s, host);
}

rc dev_unmap(dev_surface *s)
{
    return s->driver->unmap(s);
}

void dev_drop(dev_surface *s)
{
    if (s) s->driver->drop(s);
}

/* A driver casts surfaces to its own type, so they must be its own. */
static rc check_surfaces(dev_program *p, const char *what, dev_surface *const *s, int n,
                         int want)
{
    if (n != want)
        return err_fail(E_DEVICE, "the program has %d %s, but %d surfaces were given",
                        want, what, n);
    for (int i = 0; i < n; i++) {
        if (!s[i]) return err_fail(E_DEVICE, "%s %d has no surface", what, i);
        if (s[i]->dev != p->dev)
            return err_fail(E_DEVICE, "the surface of %s %d belongs to another device",
                            what, i);
    }
    return OK;
}

rc dev_run(dev_program *p, dev_surface *const *in, int n_in, dev_surface *const *out,
           int n_out, uint64_t *ticket)
{
    dev_ports ports;
    *ticket = 0;
    TRY(p->driver->ports(p, &ports));
    TRY(check_surfaces(p, "inputs", in, n_in, ports.n_in));
    TRY(check_surfaces(p, "outputs", out, n_out, ports.n_out));
    return p->driver->run(p, in, n_in, out, n_out, ticket);
}

rc dev_wait(device *d, uint64_t ticket, dev_stats *stats)
{
    return d->driver->wait(d, ticket, stats);
}

rc dev_counts_of(dev_program *p, dev_counts *out)
{
    dev_caps caps;
    *out = (dev_counts){0};
    TRY(dev_caps_of(p->dev, &caps));
    if (p->driver->counts && caps.counts) return p->driver->counts(p, out);
    err_fail(E_UNIMPL, "%s does not count products", caps.uri);
    return err_hint(E_UNIMPL, "emu:m4,exact,count does");
}

rc dev_sample_of(device *d, dev_sample *out)
{
    return d->driver->sample(d, out);
}

void dev_mean_add(dev_mean *m, device *d, int reading)
{
    dev_sample s;
    if (dev_sample_of(d, &s) != OK || !(s.valid & 1u << reading)) return;
    m->sum += s.value[reading];
    m->n++;
}

double dev_mean_of(const dev_mean *m)
{
    return m->n ? m->sum / m->n : (double)NAN;
}

rc dev_cache_of(device *d, dev_cache *out)
{
    *out = (dev_cache){.why = "off: this device compiles nothing that could be kept"};
    return d->driver->cache ? d->driver->cache(d, out) : OK;
}

rc dev_cache_try(device *d, bool *works)
{
    *works = false;
    if (d->driver->cache_try) return d->driver->cache_try(d, works);
    return err_fail(E_DEVICE, "a device of '%s' keeps no programs", d->driver->name);
}

rc dev_supports(device *d, const char *op, int n, const mil_type *types, const char **why)
{
    const char *unused;
    return d->driver->supports(d, op, n, types, why ? why : &unused);
}

size_t dev_warnings(dev_program *p, const char *const **out)
{
    *out = NULL;
    return p->driver->warnings ? p->driver->warnings(p, out) : 0;
}
