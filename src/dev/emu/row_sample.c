/* row_sample.c - images sampled at places that are values: resample and affine. A
 * row is an image of one channel; parameter 1 says where its places are. The
 * roundings of the chip's texture unit are not known; here there is one. */
#include <math.h>
#include "dev/emu/emu.h"

/* Beyond any image; what is no number goes there too. */
#define FAR 1e9

/* A coordinate as a place on an axis of n. */
static double place(const dev_attrs *a, double x, int64_t n)
{
    double size = (double)n;
    if (a->unit == DEV_UNIT_MINUS_ONE_TO_ONE)
        x = a->align ? (x + 1) / 2 * (size - 1) : ((x + 1) * size - 1) / 2;
    if (a->unit == DEV_UNIT_ZERO_TO_ONE) x = a->align ? x * (size - 1) : x * size - 0.5;
    return x > -FAR && x < FAR ? x : x < 0 ? -FAR : FAR;
}

/* The place whose number stands at i, also beyond the edges; -1 for the padding. */
static int64_t inside(const dev_attrs *a, int64_t i, int64_t n)
{
    int64_t period = a->edge == DEV_EDGE_REFLECTION ? 2 * (n - 1) : 2 * n;
    if (i >= 0 && i < n) return i;
    if (a->edge == DEV_EDGE_CONSTANT) return -1;
    if (a->edge == DEV_EDGE_BORDER || period == 0) return i < 0 ? 0 : n - 1;
    i = (i % period + period) % period;
    if (i < n) return i;
    return a->edge == DEV_EDGE_REFLECTION ? period - i : period - 1 - i;
}

static double at(const emu_row *r, const float *x, int64_t h, int64_t w)
{
    const dev_attrs *a = &r->e->op->a;
    h = inside(a, h, r->e->d[0]);
    w = inside(a, w, r->e->d[1]);
    return h < 0 || w < 0 ? a->value[0] : (double)x[h * r->e->d[1] + w];
}

static double sample(const emu_row *r, const float *x, double h, double w)
{
    if (r->e->op->a.nearest)
        return at(r, x, (int64_t)floor(h + 0.5), (int64_t)floor(w + 0.5));
    int64_t i = (int64_t)floor(h), j = (int64_t)floor(w);
    double s = h - (double)i, t = w - (double)j;
    double top = at(r, x, i, j), low = s > 0 ? at(r, x, i + 1, j) : 0;
    if (t > 0) {
        top += t * (at(r, x, i, j + 1) - top);
        if (s > 0) low += t * (at(r, x, i + 1, j + 1) - low);
    }
    return s > 0 ? top + s * (low - top) : top;
}

static size_t image_of(const emu_row *r)
{
    return r->row / (size_t)r->p->code->values[r->e->op->arg[0]].type.d[1];
}

/* coordinates [B,H',W',2], width first. */
void emu_row_resample(const emu_row *r, const float *x, double *y)
{
    const int64_t *d = r->e->d;
    const dev_attrs *a = &r->e->op->a;
    size_t first = image_of(r) * r->e->m;
    for (size_t i = 0; i < r->e->m; i++) {
        double w = place(a, emu_param(r, 1, 2 * (first + i), 0), d[1]);
        double h = place(a, emu_param(r, 1, 2 * (first + i) + 1, 0), d[0]);
        y[i] = sample(r, x, h, w);
    }
}

/* Places of the result from -1 to 1, through the matrix. */
void emu_row_affine(const emu_row *r, const float *x, double *y)
{
    const int64_t *d = r->e->d;
    const dev_attrs *a = &r->e->op->a;
    double m[6];
    bool one = emu_count(&r->p->vals[r->e->par[0]]) == 6;
    for (size_t k = 0; k < 6; k++)
        m[k] = emu_param(r, 1, (one ? 0 : image_of(r) * 6) + k, 0);
    for (int64_t i = 0; i < d[2]; i++)
        for (int64_t j = 0; j < d[3]; j++) {
            double v = d[2] > 1 ? 2 * (double)i / (double)(d[2] - 1) - 1 : -1;
            double u = d[3] > 1 ? 2 * (double)j / (double)(d[3] - 1) - 1 : -1;
            *y++ = sample(r, x, place(a, m[3] * u + m[4] * v + m[5], d[0]),
                          place(a, m[0] * u + m[1] * v + m[2], d[1]));
        }
}
