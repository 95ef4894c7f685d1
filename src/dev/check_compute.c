/* check_compute.c - one program, one run, numbers in and out. */
#include <math.h>
#include <string.h>
#include "dev/check.h"
#include "dev/probe_case.h"

enum { PORTS = 8 };

static rc surface_of(device *d, const dev_port *p, dev_surface **out)
{
    probe_port port = {.name = p->name, .type = p->type};
    return probe_surface(d, &port, out);
}

static rc copy(dev_surface *s, const dev_port *p, const half *from, half *to)
{
    size_t bytes = (size_t)mil_count(&p->type) * sizeof(half);
    void *host;
    TRY(dev_map(s, &host));
    if (from) memcpy(host, from, bytes);
    else if (to) memcpy(to, host, bytes);
    return dev_unmap(s);
}

static rc run(dev_program *p, const dev_ports *ports, dev_surface **s,
              const half *const *in, half *const *out)
{
    uint64_t ticket;
    for (int i = 0; i < ports->n_in; i++) {
        TRY(surface_of(p->dev, &ports->in[i], &s[i]));
        TRY(copy(s[i], &ports->in[i], in[i], NULL));
    }
    dev_surface **to = s + ports->n_in;
    for (int i = 0; i < ports->n_out; i++)
        TRY(surface_of(p->dev, &ports->out[i], &to[i]));
    TRY(dev_run(p, s, ports->n_in, to, ports->n_out, &ticket));
    TRY(dev_wait(p->dev, ticket, NULL));
    for (int i = 0; i < ports->n_out; i++) TRY(copy(to[i], &ports->out[i], NULL, out[i]));
    return OK;
}

rc check_compute(device *d, const char *name, const char *text, const half *const *in,
                 half *const *out)
{
    return check_compute_with(d, name, text, NULL, in, out);
}

rc check_compute_with(device *d, const char *name, const char *text,
                      const mil_blob_file *weights, const half *const *in,
                      half *const *out)
{
    dev_surface *s[PORTS] = {NULL};
    dev_program *p = NULL;
    dev_ports ports;
    str spelled = {0};
    str_add(&spelled, text);
    rc r = probe_spell(d, &spelled);
    dev_source src = {name, spelled.p, spelled.n, weights, weights != NULL};
    if (r == OK) r = dev_load(d, &src, &p);
    if (r == OK) r = dev_ports_of(p, &ports);
    if (r == OK && ports.n_in + ports.n_out > PORTS)
        r = err_fail(E_SHAPE, "a check has at most %d ports", PORTS);
    if (r == OK) r = run(p, &ports, s, in, out);
    dev_unload(p);
    for (int i = 0; i < PORTS; i++) dev_drop(s[i]);
    str_free(&spelled);
    return r;
}

double check_distance(const half *had, const half *want, size_t n)
{
    double far = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double h = half_to_double(had[i]), w = half_to_double(want[i]);
        if (!isfinite(h) || !isfinite(w)) return INFINITY;
        far += (h - w) * (h - w);
        size += w * w;
    }
    return size > 0 ? sqrt(far / size) : far > 0 ? INFINITY : 0;
}
