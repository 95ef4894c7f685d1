/* soft.c - opening, describing and loading of software devices. */
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "dev/cost.h"
#include "dev/soft.h"

/* caps.uri is the long form of what was opened: whoever records it can open the
 * same device again. A disputed rule that rules=all makes hold is no longer
 * reported as disputed, so a planner keeps it like any other. */
static void fill_caps(soft_device *d)
{
    const soft_params *p = &d->params;
    dev_caps *c = &d->caps;
    snprintf(c->uri, sizeof c->uri, "%s:%s%s%s%s%s%s%s", d->base.driver->name,
             p->profile->name,
             !d->execute                   ? ""
             : p->arithmetic == SOFT_WIDE  ? ",wide"
             : p->arithmetic == SOFT_EXACT ? ",exact"
                                           : ",fast",
             p->count ? ",count" : "", p->faithful ? ",faithful" : "",
             p->rules_all ? ",rules=all" : "", *p->isa ? ",isa=" : "", p->isa);
    snprintf(c->model, sizeof c->model, "%s", p->profile->name);
    c->profile = p->profile;
    c->computes = d->execute != NULL;
    c->wide = c->computes && p->arithmetic == SOFT_WIDE;
    c->hardware = d->hardware;
    c->drops = c->computes && !d->hardware && p->arithmetic == SOFT_EXACT;
    c->counts = c->drops && p->count;
    c->programs_max = p->programs_max ? p->programs_max : p->profile->programs_max;
    c->compiles_max = p->compiles_max;
    c->queue_depth = p->profile->queue_depth;
    for (int i = 0; i < DEV_RULES; i++) {
        c->rule_holds[i] = dev_rule_holds((dev_rule)i, p->profile->family);
        c->rule_disputed[i] = c->rule_holds[i] && dev_rule_at((dev_rule)i)->disputed &&
                              !p->rules_all;
    }
    if (p->rules_all) {
        c->surface_min_bytes = 49152;
        c->surface_align = 16384;
    }
}

/* Locks come first, so that soft_stop is safe however far this got. */
rc soft_start(soft_device *d, const dev_driver *driver, const soft_params *p, kern *k,
              soft_execute *execute)
{
    d->base.driver = driver;
    d->params = *p;
    d->execute = execute;
    d->k = k;
    if (pthread_mutex_init(&d->lock, NULL) || pthread_cond_init(&d->work, NULL) ||
        pthread_cond_init(&d->done, NULL))
        return err_fail(E_FAILED, "no lock could be made for the device");
    bool computes = execute && !d->hardware;
    if (computes && *p->isa && (!k || strcmp(p->isa, kern_isa(k)) != 0)) {
        rc bad = kern_open(k ? kern_threads(k) : 0, p->isa, &d->own);
        if (bad == E_CONFIG) return E_DEVICE; /* the URI names it, not a setting */
        TRY(bad);
        d->k = d->own;
    }
    if (computes && !d->k) {
        TRY(kern_open(0, NULL, &d->own));
        d->k = d->own;
    }
    fill_caps(d);
    d->sampled_at_ms = clock_ms();
    return soft_queue_open(d);
}

void soft_stop(soft_device *d)
{
    soft_queue_close(d);
    if (d->own) kern_close(d->own);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->work);
    pthread_cond_destroy(&d->done);
}

/* ---- programs ---- */
static rc reserve(soft_device *d, int slots)
{
    rc r = OK;
    pthread_mutex_lock(&d->lock);
    if (d->caps.compiles_max && d->compiles >= d->caps.compiles_max)
        r = err_hint(err_fail(E_BUDGET,
                              "the compile budget is used up: a process compiles "
                              "%d programs",
                              d->caps.compiles_max),
                     "share equal programs, or open the device anew");
    else if (d->caps.programs_max && d->loaded + slots > d->caps.programs_max)
        r = err_hint(
            err_fail(E_BUDGET, "all %d program slots are taken", d->caps.programs_max),
            "unload a program first");
    pthread_mutex_unlock(&d->lock);
    return r;
}

/* Ports are the declared values in binding order. */
static rc make_ports(soft_program *p)
{
    dev_code *c = p->code;
    p->in = arena_array(c->mem, (size_t)c->n_in + 1, sizeof *p->in);
    p->out = arena_array(c->mem, (size_t)c->n_out + 1, sizeof *p->out);
    if (!p->in || !p->out) return E_MEMORY;
    for (int i = 0; i < c->n_in; i++) {
        const dev_value *v = &c->values[c->in[c->in_order[i]]];
        p->in[i] = (dev_port){v->name, v->type};
    }
    for (int i = 0; i < c->n_out; i++) {
        const dev_value *v = &c->values[c->out[c->out_order[i]]];
        p->out[i] = (dev_port){v->name, v->type};
    }
    p->ports = (dev_ports){c->n_in, c->n_out, p->in, p->out};
    return OK;
}

/* On failure p holds nothing. */
rc soft_read(soft_device *d, const dev_source *src, soft_program *p)
{
    p->base = (dev_program){d->base.driver, &d->base};
    p->busy = &p->own_busy;
    rc r = dev_code_new(src, &p->code);
    if (r == OK) r = make_ports(p);
    if (r == OK) {
        p->predicted_ms = dev_cost_code(d->params.profile, p->code);
        r = soft_judge_program(d, p);
    }
    if (r != OK) {
        dev_code_free(p->code);
        p->code = NULL;
    }
    return r;
}

rc soft_load(soft_device *d, const dev_source *src, soft_program *p)
{
    TRY(reserve(d, 1));
    return soft_read(d, src, p);
}

/* The slot is there already. Runs in flight end with the weights they began
 * with. */
rc soft_rebind(soft_program *p, const mil_blob_file *files, int n)
{
    soft_device *d = (soft_device *)p->base.dev;
    soft_settle(p);
    TRY(reserve(d, 0));
    TRY(dev_code_bind(p->code, files, n));
    pthread_mutex_lock(&d->lock);
    d->compiles++;
    pthread_mutex_unlock(&d->lock);
    return OK;
}

void soft_loaded(soft_program *p)
{
    soft_device *d = (soft_device *)p->base.dev;
    pthread_mutex_lock(&d->lock);
    d->compiles++;
    d->loaded++;
    pthread_mutex_unlock(&d->lock);
}

void soft_unload(soft_program *p)
{
    soft_device *d = (soft_device *)p->base.dev;
    soft_settle(p);
    pthread_mutex_lock(&d->lock);
    d->loaded--; /* the slot; the compile budget is not given back */
    pthread_mutex_unlock(&d->lock);
    dev_code_free(p->code);
}

rc soft_ports(dev_program *program, dev_ports *out)
{
    *out = ((soft_program *)program)->ports;
    return OK;
}

size_t soft_warnings(dev_program *program, const char *const **out)
{
    soft_program *p = (soft_program *)program;
    *out = p->warnings;
    return (size_t)p->n_warnings;
}

/* Judged in the caller's thread, so that a refusal is the call's own error and
 * not that of a ticket. */
rc soft_run(dev_program *program, dev_surface *const *in, int n_in,
            dev_surface *const *out, int n_out, uint64_t *ticket)
{
    soft_program *p = (soft_program *)program;
    soft_device *d = (soft_device *)program->dev;
    soft_job job = {.program = p, .n = n_in + n_out};
    for (int i = 0; i < n_in; i++) job.s[i] = (soft_surface *)in[i];
    for (int i = 0; i < n_out; i++) job.s[n_in + i] = (soft_surface *)out[i];
    TRY(soft_judge_run(d, p, job.s, &job.wrong));
    return soft_enqueue(d, &job, ticket);
}

/* ---- questions ---- */
rc soft_caps(device *dev, dev_caps *out)
{
    *out = ((soft_device *)dev)->caps;
    return OK;
}

/* The chip's answer first, then that of the software engine, then the limits on
 * axes that hold for any op. */
rc soft_supports(device *dev, const char *op, int n, const mil_type *types,
                 const char **why)
{
    soft_device *d = (soft_device *)dev;
    const dev_profile *f = d->params.profile;
    const char *reason = NULL;
    if (!dev_op_supported(op, f->family, &reason)) {
        *why = reason;
        return err_fail(E_RULE, "op '%s' does not run on %s: %s", op,
                        dev_family_name(f->family), reason);
    }
    if (dev_op_find(op) < 0) reason = "software engines do not have it";
    for (int i = 0; i < n && !reason; i++) {
        const mil_type *t = &types[i];
        if (t->rank > 5) reason = "a tensor has at most 5 axes";
        for (int a = 0; a < t->rank && !reason; a++)
            if (t->d[a] > (a >= t->rank - 2 && !(t->rank == 3 && a == 1)
                               ? f->max_axis
                               : f->max_channels))
                reason = "an axis is longer than the chip allows";
    }
    *why = reason;
    if (!reason) return OK;
    return err_fail(dev_op_find(op) < 0 ? E_UNIMPL : E_RULE, "op '%s' cannot run: %s", op,
                    reason);
}

/* Busy: the share of the time since the last sample in which at least one run
 * was being served, those included that have not ended yet. */
rc soft_sample(device *dev, dev_sample *out)
{
    soft_device *d = (soft_device *)dev;
    *out = (dev_sample){0};
    pthread_mutex_lock(&d->lock);
    double now = clock_ms();
    double gone = now - d->sampled_at_ms;
    double busy_ms = d->busy_ms + (d->n_running ? now - d->busy_from_ms : 0);
    double busy = gone > 0 ? (busy_ms - d->sampled_busy_ms) / gone : 0;
    out->value[DEV_BUSY] = busy > 1 ? 1 : busy;
    out->value[DEV_LOADS] = d->compiles;
    out->value[DEV_LOADED] = d->loaded;
    out->value[DEV_BYTES] = (double)d->bytes;
    d->sampled_at_ms = now;
    d->sampled_busy_ms = busy_ms;
    pthread_mutex_unlock(&d->lock);
    out->valid = 1u << DEV_BUSY | 1u << DEV_LOADS | 1u << DEV_LOADED | 1u << DEV_BYTES;
    return OK;
}
