/* rows.c - run work that is done a row at a time: pooling, norms, sums of squares,
 * sorting, resizing.
 *
 * What a row is, lower_rows.c decides (an image of a channel, an axis, all that is
 * normalized together); what is done with it, a function of row_*.c. Here a row is
 * widened to floats, which hold every fp16 and fp32 number, and its results, in
 * double, are rounded once. A row is one thread's, so bits do not depend on how
 * many there are. */
#include <math.h>
#include <string.h>
#include "dev/emu/emu.h"

typedef struct {
    const emu_plan *p;
    const emu_node *n;
    atomic_ullong bad;
} rows_run;

/* On the chip NaN is read as +infinity. */
static void widen(const emu_plan *p, const emu_val *v, size_t from, size_t n, float *x)
{
    const char *at = p->base[v->v.root] + v->v.off * (int64_t)emu_size(v);
    if (v->store == MIL_FP16) half_to_floats((const half *)at + from, x, n);
    else if (v->store == MIL_FP32) memcpy(x, (const float *)at + from, n * sizeof *x);
    else
        for (size_t i = 0; i < n; i++) x[i] = (float)mil_element(v->store, at, from + i);
    for (size_t i = 0; p->exact && v->store == MIL_FP16 && i < n; i++)
        x[i] = x[i] == x[i] ? x[i] : INFINITY;
}

/* Scratch of a unit: n floats, m doubles (first, for their alignment), and twice
 * n numbers for sorting. */
static void unit(void *ctx, size_t index)
{
    rows_run *w = ctx;
    const emu_plan *p = w->p;
    const emu_rows *e = &w->n->rows;
    const emu_val *x = &p->vals[w->n->in[0]], *z = &p->vals[w->n->out];
    double *y = (double *)(void *)(p->scratch + index * e->bytes);
    float *f = (float *)(y + e->m);
    emu_row r = {.p = p, .e = e, .extra = (int32_t *)(f + e->n)};
    r.chip = p->exact && x->store == MIL_FP16;
    char *to = emu_at(p, w->n->out);
    uint64_t bad = 0;
    for (r.row = index * e->rows / e->units; r.row < (index + 1) * e->rows / e->units;
         r.row++) {
        widen(p, x, r.row * e->n, e->n, f);
        e->fn(&r, f, y);
        emu_round(p, z->store, e->m, y, to + r.row * e->m * emu_size(z));
        if (z->store == MIL_FP16 || z->store == MIL_FP32)
            bad += kern_count_bad(p->k, emu_kern_type(z->store), e->m,
                                  to + r.row * e->m * emu_size(z));
    }
    atomic_fetch_add(&w->bad, bad);
}

uint64_t emu_rows_run(const emu_plan *p, const emu_node *n)
{
    rows_run w = {.p = p, .n = n};
    atomic_init(&w.bad, 0);
    if (n->rows.units == 1) unit(&w, 0);
    else kern_for(p->k, n->rows.units, unit, &w);
    return atomic_load(&w.bad);
}

double emu_param(const emu_row *r, int k, size_t i, double absent)
{
    int v = r->e->par[k - 1];
    return v < 0 ? absent : mil_element(r->p->vals[v].store, emu_at(r->p, v), i);
}
