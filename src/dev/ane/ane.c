/* ane.c - Apple's Neural Engine as a driver.
 *
 * Reading, judging and queueing are those of every device (dev/soft.h); here
 * the engine is opened, programs are brought to it, and runs are handed over.
 * A worker blocks while the engine computes, so there are two for each engine:
 * one program computes while the next is being submitted. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "dev/ane/ane.h"
#include "dev/ane/facts.h"
#include "dev/cache.h"
#include "dev/known.h"

extern const dev_driver dev_ane_driver;
enum { WORKERS_PER_ENGINE = 2 };

/* ---- runs ---- */
static rc ane_execute(soft_device *soft, soft_job *job, dev_stats *stats)
{
    ane_device *d = (ane_device *)soft;
    ane_program *p = (ane_program *)job->program;
    ane_id objects[SOFT_SURFACES];
    const void *keys[SOFT_SURFACES];
    for (int i = 0; i < job->n; i++) {
        objects[i] = ((ane_surface *)job->s[i])->object;
        keys[i] = job->s[i];
    }
    TRY(ane_release_to_engine(d, job));
    TRY(ane_model_run(&d->e, p->model, objects, keys, job->n));
    TRY(ane_take_from_engine(d, job));
    stats->flops = p->soft.code->flops;
    return OK;
}

/* ---- opening ---- */
/* What a compiled program depends on beside its text and weights. The number is
 * ours: another one when programs are staged or compiled otherwise than before. */
static void select_cache(ane_device *d, const char *lib)
{
    char machine[512];
    ane_facts f;
    ane_facts_read(d->e.sys.sysctlbyname, &f);
    snprintf(machine, sizeof machine, "anneal 1; route %s; chip %s; build %s; lib %s",
             d->e.route->name, f.chip, f.build, lib);
    ane_cache_select(&d->e.cache, machine);
}

/* The trial, kept and then loaded without compiling: was it, with the numbers
 * of the trial? */
static bool cache_works(ane_device *d)
{
    uint64_t loads = d->e.cache.loads;
    bool ok = ane_trial(d) == OK && d->e.cache.on && d->e.cache.loads > loads;
    err_clear();
    return ok;
}

/* With the cache on until it fails; where nothing is known of it yet, the trial
 * tells. */
static rc try_route(ane_device *d, const ane_route *route, const char *lib)
{
    ane_cache *c = &d->e.cache;
    TRY(ane_engine_use(&d->e, route));
    select_cache(d, lib);
    rc r = ane_trial(d);
    if (r != OK && c->on) { /* is the cache to blame? */
        ane_cache_off(c, "off: the trial failed with it");
        r = ane_trial(d);
        if (r == OK) ane_cache_settle(c, false);
    }
    if (r == OK && c->on && c->verdict == ANE_CACHE_UNKNOWN)
        ane_cache_settle(c, cache_works(d));
    return r;
}

/* The client route does not leak, so it is tried first. */
static rc choose_route(ane_device *d, const ane_route *forced, const char *lib)
{
    static const ane_route *const order[] = {&ane_client_route, &ane_memory_route};
    err_saved first;
    if (forced)
        TRY_WHILE(try_route(d, forced, lib), "trying the %s route to the engine",
                  forced->name);
    if (forced) return OK;
    rc r = try_route(d, order[0], lib);
    if (r == OK) return OK;
    err_save(r, &first);
    r = try_route(d, order[1], lib);
    if (r == OK) {
        err_clear();
        return OK;
    }
    first.text[strcspn(first.text, "\n")] = 0;
    err_while(r, "trying the %s route to the engine", order[1]->name);
    return err_while(r, "the %s route had failed: %.200s", order[0]->name, first.text);
}

static void name_it(ane_device *d, const ane_params *p)
{
    dev_caps *c = &d->soft.caps;
    static const char *const weights[] = {"", ",weights=pairs", ",weights=files"};
    snprintf(c->uri, sizeof c->uri, "ane:%s%s%s%s%s%s%s%s", d->e.route->name,
             *p->lib ? ",lib=" : "", p->lib, *p->staging ? ",staging=" : "", p->staging,
             weights[p->weights], p->cache_mb ? "" : ",cache=off",
             p->no_rules         ? ",rules=none"
             : p->soft.rules_all ? ",rules=all"
                                 : "");
    /* Surfaces are this large anyway; a plan that knows it counts right. */
    c->surface_min_bytes = d->least_bytes;
    c->surface_align = ANE_PAGE;
}

static void close_all(ane_device *d)
{
    if (d->soft.base.driver) soft_stop(&d->soft);
    ane_report_close(d->report);
    ane_engine_close(&d->e);
    mem_drop(d);
}

/* What a report says of this machine, unless the tables or the chip alone were
 * asked for. The trial's own answer is newer than any report. */
static rc learn(ane_device *d, const char *params, const ane_params *p, const char *state)
{
    dev_caps *c = &d->soft.caps;
    dev_machine m;
    dev_report known;
    if (p->no_rules || p->soft.rules_all) return OK;
    bool uniform = c->rule_holds[RULE_uniform_surfaces];
    int compiles = c->compiles_max;
    if (ane_machine(params, &m) != OK) return err_clear(), OK; /* nothing is known */
    TRY(dev_report_read(state, &m, &known));
    dev_report_apply(&known, d->e.route->name, c);
    c->rule_holds[RULE_uniform_surfaces] = uniform;
    if (known.seen[RULE_surface_minimum] < 0) d->least_bytes = ANE_PAGE;
    if (compiles != c->profile->compiles_max) c->compiles_max = compiles; /* asked for */
    d->e.compiles_max = c->compiles_max;
    d->e.programs_max = c->programs_max;
    return OK;
}

static rc start(ane_device *d, ane_params *p, const char *params, const char *state)
{
    int engines;
    TRY(ane_sys_open(&d->e.sys, *p->lib ? p->lib : NULL));
    TRY(ane_chip(&d->e.sys, &p->soft.profile, &engines));
    if (p->soft.compiles_max < 0) p->soft.compiles_max = p->soft.profile->compiles_max;
    d->e.compiles_max = p->soft.compiles_max;
    d->e.programs_max = p->soft.profile->programs_max;
    d->e.weights = p->weights;
    if (!strcmp(p->staging, "ram"))
        TRY(ane_ram_folder(d->e.staging, sizeof d->e.staging));
    else snprintf(d->e.staging, sizeof d->e.staging, "%s", p->staging);
    TRY(ane_engine_open(&d->e));
    /* Who asks for files in memory does not want copies on a disk; who asks what
     * the chip refuses wants it asked. */
    ane_cache_open(&d->e.cache, *p->staging || p->no_rules ? NULL : state, p->cache_mb);
    d->soft.hardware = true;
    d->soft.workers = engines * WORKERS_PER_ENGINE;
    TRY(soft_start(&d->soft, &dev_ane_driver, &p->soft, NULL, ane_execute));
    /* Whoever asks the chip what it refuses does not want our answer. */
    if (p->no_rules) {
        memset(d->soft.caps.rule_holds, 0, sizeof d->soft.caps.rule_holds);
        d->exact_sizes = true;
        d->e.programs_max = 0;
    }
    d->least_bytes = ANE_SURFACE_LEAST;
    TRY(choose_route(d, p->route, p->lib));
    if (p->no_rules) /* the trial's answer is one of ours, too */
        d->soft.caps.rule_holds[RULE_uniform_surfaces] = false;
    TRY(learn(d, params, p, state));
    name_it(d, p);
    d->report = ane_report_open(&d->e.sys, ANE_REPORT_EVERY_MS);
    return OK;
}

static rc ane_open(const char *text, kern *k, const char *state, device **out)
{
    ane_params params;
    (void)k; /* the engine computes */
    TRY(ane_params_parse(text, &params));
    ane_device *d = mem_take(sizeof *d);
    if (!d) return E_MEMORY;
    rc r = start(d, &params, text, state);
    if (r != OK) {
        err_saved why;
        err_save(r, &why);
        close_all(d);
        return err_restore(&why);
    }
    *out = &d->soft.base;
    return OK;
}

static void ane_close(device *d)
{
    close_all((ane_device *)d);
}

/* ---- programs ---- */
static rc ane_load(device *dev, const dev_source *src, dev_program **out)
{
    ane_device *d = (ane_device *)dev;
    ane_program *p = mem_take(sizeof *p);
    if (!p) return E_MEMORY;
    rc r = soft_read(&d->soft, src, &p->soft);
    if (r == OK) {
        r = ane_model_get(&d->e, src, &p->soft.ports, &p->model);
        if (r != OK) dev_code_free(p->soft.code);
    }
    if (r != OK) {
        mem_drop(p);
        return r;
    }
    p->soft.busy = &p->model->busy;
    *out = &p->soft.base;
    return OK;
}

/* Weights are baked in by the compiler, and what is staged is not read again
 * (maderix/ANE 9, libane; Orion saw otherwise): other weights are another
 * program, and it takes the place of the old one once it is there. */
static rc ane_reload(dev_program *program, const mil_blob_file *files, int n)
{
    ane_program *p = (ane_program *)program;
    ane_device *d = (ane_device *)program->dev;
    const dev_code *c = p->soft.code;
    ane_model *fresh;
    soft_settle(&p->soft);
    TRY(dev_code_bind(p->soft.code, files, n));
    dev_source src = {c->mil->file, c->mil->source, c->mil->source_bytes, files, n};
    TRY(ane_model_get(&d->e, &src, &p->soft.ports, &fresh));
    pthread_mutex_lock(&d->soft.lock);
    ane_model *old = p->model;
    p->model = fresh;
    p->soft.busy = &fresh->busy;
    pthread_mutex_unlock(&d->soft.lock);
    ane_model_put(&d->e, old);
    return OK;
}

static void ane_unload(dev_program *program)
{
    ane_program *p = (ane_program *)program;
    soft_settle(&p->soft);
    ane_model_put(&((ane_device *)program->dev)->e, p->model);
    dev_code_free(p->soft.code);
    mem_drop(p);
}

static rc ane_cache_facts(device *dev, dev_cache *out)
{
    ane_engine *e = &((ane_device *)dev)->e;
    pthread_mutex_lock(&e->loading);
    const ane_cache *c = &e->cache;
    *out = (dev_cache){c->on,     c->why,     c->max_bytes, c->loads,
                       c->misses, c->refused, c->stored,    c->failed};
    pthread_mutex_unlock(&e->loading);
    return OK;
}

/* From nothing: as if this system had never been asked. */
static rc ane_cache_try(device *dev, bool *works)
{
    ane_device *d = (ane_device *)dev;
    ane_cache *c = &d->e.cache;
    *works = false;
    if (!c->usable) return err_fail(E_DEVICE, "no program can be kept: %s", c->why);
    c->verdict = ANE_CACHE_UNKNOWN;
    c->on = true;
    rc r = ane_trial(d);
    ane_cache_settle(c, r == OK && cache_works(d));
    *works = c->on;
    return r;
}

static rc ane_sample(device *dev, dev_sample *out)
{
    ane_device *d = (ane_device *)dev;
    int compiles, programs;
    TRY(soft_sample(dev, out));
    ane_budget_now(&compiles, &programs);
    out->value[DEV_LOADS] = compiles;
    out->value[DEV_LOADED] = programs;
    if (d->report) ane_report_read(d->report, out->value[DEV_BUSY] > 0, out);
    return OK;
}

const dev_driver dev_ane_driver = {
    .name = "ane",
    .form = "ane",
    .about = "Apple's Neural Engine, on macOS on Apple silicon",
    .open = ane_open,
    .close = ane_close,
    .caps = soft_caps,
    .load = ane_load,
    .reload = ane_reload,
    .unload = ane_unload,
    .ports = soft_ports,
    .surface = ane_surface_new,
    .map = ane_map,
    .unmap = ane_unmap,
    .drop = ane_surface_drop,
    .run = soft_run,
    .wait = soft_wait,
    .sample = ane_sample,
    .supports = soft_supports,
    .warnings = soft_warnings,
    .chip = true,
    .facts = ane_tell_facts,
    .machine = ane_machine,
    .quiet = ane_quiet,
    .ask = ane_ask,
    .cache = ane_cache_facts,
    .cache_try = ane_cache_try,
};
