/* oracle_device.h - a device for tests of the planner: it runs a plan's
 * programs by the oracle, in double, and rounds to fp16 only what is stored on
 * surfaces. What it gets wrong, the plan got wrong. */
#ifndef ORACLE_DEVICE_H
#define ORACLE_DEVICE_H

#include "base/half.h"
#include "dev/device.h"
#include "plan/plan.h"
#include "test.h"

typedef struct {
    device base;
    const plan *p;                        /* set before exec_open */
    long runs, loads, surfaces, fail_run; /* fail_run: this run fails */
} oracle_device;
typedef struct {
    dev_program base;
    const plan_program *q;
    dev_port *ports;
} oracle_program;
typedef struct {
    dev_surface base;
    void *bytes;
    size_t n;
    int maps;
} oracle_surface;

static rc oracle_load(device *d, const dev_source *src, dev_program **out)
{
    oracle_device *o = (oracle_device *)d;
    oracle_program *g = calloc(1, sizeof *g);
    g->base = (dev_program){d->driver, d};
    for (int i = 0; i < o->p->n_programs; i++)
        if (strcmp(o->p->programs[i].name, src->name) == 0) g->q = &o->p->programs[i];
    assert_non_null(g->q);
    g->ports = calloc((size_t)(g->q->n_in + g->q->n_out) + 1, sizeof *g->ports);
    for (int i = 0; i < g->q->n_in; i++) g->ports[i].name = g->q->in_names[i];
    for (int i = 0; i < g->q->n_out; i++)
        g->ports[g->q->n_in + i].name = g->q->out_names[i];
    o->loads++;
    *out = &g->base;
    return OK;
}

static void oracle_unload(dev_program *p)
{
    oracle_program *g = (oracle_program *)p;
    ((oracle_device *)p->dev)->loads--;
    free(g->ports);
    free(g);
}

static rc oracle_ports(dev_program *p, dev_ports *out)
{
    oracle_program *g = (oracle_program *)p;
    *out = (dev_ports){g->q->n_in, g->q->n_out, g->ports, g->ports + g->q->n_in};
    return OK;
}

static rc oracle_surface_new(device *d, const dev_shape *shape, dev_surface **out)
{
    oracle_surface *s = calloc(1, sizeof *s);
    s->base = (dev_surface){d->driver, d};
    s->n = shape->bytes;
    s->bytes = malloc(s->n);
    memset(s->bytes, 0x7e, s->n); /* NaN: nothing may read what nobody wrote */
    ((oracle_device *)d)->surfaces++;
    *out = &s->base;
    return OK;
}

static rc oracle_map(dev_surface *s, void **host)
{
    *host = ((oracle_surface *)s)->bytes;
    ((oracle_surface *)s)->maps++;
    return OK;
}

static rc oracle_unmap(dev_surface *s)
{
    assert_true(--((oracle_surface *)s)->maps >= 0);
    return OK;
}

static void oracle_drop(dev_surface *s)
{
    ((oracle_device *)s->dev)->surfaces--;
    free(((oracle_surface *)s)->bytes);
    free(s);
}

static rc oracle_run(dev_program *p, dev_surface *const *in, int n_in,
                     dev_surface *const *out, int n_out, uint64_t *ticket)
{
    oracle_device *o = (oracle_device *)p->dev;
    const plan_program *q = ((oracle_program *)p)->q;
    arena *mem = arena_new();
    ir_binding *bind = arena_array(mem, (size_t)n_in + 1, sizeof *bind);
    double **values;
    if (++o->runs == o->fail_run) {
        arena_free(mem);
        return err_fail(E_DEVICE, "run %ld made to fail", o->runs);
    }
    for (int i = 0; i < n_in; i++) {
        const half *h = ((oracle_surface *)in[i])->bytes;
        size_t n = (size_t)ir_count(ir_find(q->graph, q->in_names[i])->shape);
        assert_true(((oracle_surface *)in[i])->n >= 2 * n);
        double *v = arena_array(mem, n, sizeof *v);
        for (size_t k = 0; k < n; k++) v[k] = half_to_double(h[k]);
        bind[i] = (ir_binding){q->in_names[i], v};
    }
    rc r = ir_eval(q->graph, mem, n_in, bind, &values);
    for (int i = 0; i < n_out && r == OK; i++) {
        const ir_node *y = ir_find(q->graph, q->out_names[i]);
        half *h = ((oracle_surface *)out[i])->bytes;
        size_t n = (size_t)ir_count(y->shape);
        assert_true(((oracle_surface *)out[i])->n >= 2 * n);
        for (size_t k = 0; k < n; k++) h[k] = half_from_double(values[y->id][k]);
    }
    arena_free(mem);
    *ticket = (uint64_t)o->runs;
    return r;
}

static rc oracle_wait(device *d, uint64_t ticket, dev_stats *stats)
{
    (void)d, (void)ticket;
    if (stats) *stats = (dev_stats){.predicted_ms = -1};
    return OK;
}

static const dev_driver oracle_driver = {
    .name = "oracle",
    .load = oracle_load,
    .unload = oracle_unload,
    .ports = oracle_ports,
    .surface = oracle_surface_new,
    .map = oracle_map,
    .unmap = oracle_unmap,
    .drop = oracle_drop,
    .run = oracle_run,
    .wait = oracle_wait,
};

/* Capabilities of a chip as a strict software engine states them. */
static inline dev_caps caps_of(const char *model)
{
    dev_caps c = {.profile = dev_profile_find(model), .computes = true};
    assert_non_null(c.profile);
    snprintf(c.model, sizeof c.model, "%s", model);
    for (int i = 0; i < DEV_RULES; i++) {
        c.rule_holds[i] = dev_rule_holds((dev_rule)i, c.profile->family);
        c.rule_disputed[i] = dev_rule_at((dev_rule)i)->disputed;
    }
    return c;
}

#endif
