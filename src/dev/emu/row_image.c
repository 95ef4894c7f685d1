/* row_image.c - a row is an image of one channel: pooling and bilinear resizing.
 *
 * d holds height and width, in and out. Pooling goes through the elementwise unit,
 * not the products (M6 study: pool mode of the PE), so its sums have no limit of
 * 32768; how that unit rounds them inside is not known. */
#include <math.h>
#include "dev/emu/emu.h"

/* The part of a window that lies on the image, and how many places of it lie on
 * image or padding: one that hangs over the padding's end loses what hangs. */
typedef struct {
    int64_t y0, y1, x0, x1;
    double places;
} window;

static double span(const dev_attrs *a, int i, int64_t at, int64_t size, int64_t *lo,
                   int64_t *hi)
{
    int64_t begin = at * a->stride[i] - a->pad[2 * i], end = begin + a->kernel[i];
    int64_t edge = size + a->pad[2 * i + 1];
    if (end > edge) end = edge;
    *lo = begin < 0 ? 0 : begin;
    *hi = end > size ? size : end;
    return (double)(a->exclude ? *hi - *lo : end - begin);
}

typedef double pooling(const window *w, const float *x, int64_t width);

static inline void each_window(const emu_row *r, const float *x, double *y, pooling *f)
{
    const int64_t *d = r->e->d;
    const dev_attrs *a = &r->e->op->a;
    window w;
    for (int64_t i = 0; i < d[2]; i++) {
        double high = span(a, 0, i, d[0], &w.y0, &w.y1);
        for (int64_t j = 0; j < d[3]; j++) {
            w.places = high * span(a, 1, j, d[1], &w.x0, &w.x1);
            *y++ = f(&w, x, d[1]);
        }
    }
}

/* A NaN stays one. */
static double greatest(const window *w, const float *x, int64_t width)
{
    float most = -INFINITY;
    for (int64_t i = w->y0; i < w->y1; i++)
        for (int64_t j = w->x0; j < w->x1; j++) {
            float v = x[i * width + j];
            most = v > most || v != v ? v : most;
        }
    return (double)most;
}

static double average(const window *w, const float *x, int64_t width)
{
    double sum = 0;
    for (int64_t i = w->y0; i < w->y1; i++)
        for (int64_t j = w->x0; j < w->x1; j++) sum += (double)x[i * width + j];
    return sum / w->places;
}

static double length(const window *w, const float *x, int64_t width)
{
    double sum = 0;
    for (int64_t i = w->y0; i < w->y1; i++)
        for (int64_t j = w->x0; j < w->x1; j++)
            sum += (double)x[i * width + j] * (double)x[i * width + j];
    return sqrt(sum);
}

void emu_row_max_pool(const emu_row *r, const float *x, double *y)
{
    each_window(r, x, y, greatest);
}

void emu_row_avg_pool(const emu_row *r, const float *x, double *y)
{
    each_window(r, x, y, average);
}

void emu_row_l2_pool(const emu_row *r, const float *x, double *y)
{
    each_window(r, x, y, length);
}

/* ---- bilinear ---- */
/* Where result place i of n_out samples an axis of n_in places. */
static double sample(int mode, int64_t i, int64_t n_in, int64_t n_out)
{
    double in = (double)n_in, out = (double)n_out, at = 0, delta;
    switch (mode) {
    case DEV_SAMPLE_STRICT_ALIGN:
        if (n_out > 1) at = (double)i * (in - 1) / (out - 1);
        break;
    case DEV_SAMPLE_ALIGN:
        at = n_out > 1 ? (double)i * (in - 1) / (out - 1) : (in - 1) / 2;
        break;
    case DEV_SAMPLE_DEFAULT:
        at = (double)i * in / out;
        break;
    case DEV_SAMPLE_OFFSET:
        delta = (n_in > 2 ? in - 1 : 1) / out;
        at = ((double)i + 0.5) * delta;
        break;
    default:
        at = ((double)i + 0.5) * in / out - 0.5;
        break;
    }
    return at < 0 ? 0 : at > in - 1 ? in - 1 : at;
}

void emu_row_bilinear(const emu_row *r, const float *x, double *y)
{
    const int64_t *d = r->e->d;
    int mode = r->e->op->a.mode;
    for (int64_t i = 0; i < d[2]; i++) {
        double v = sample(mode, i, d[0], d[2]);
        int64_t y0 = (int64_t)v, y1 = y0 + 1 < d[0] ? y0 + 1 : y0;
        double t = v - (double)y0;
        for (int64_t j = 0; j < d[3]; j++) {
            double u = sample(mode, j, d[1], d[3]);
            int64_t x0 = (int64_t)u, x1 = x0 + 1 < d[1] ? x0 + 1 : x0;
            double s = u - (double)x0;
            double a = (double)x[y0 * d[1] + x0], b = (double)x[y0 * d[1] + x1];
            double c = (double)x[y1 * d[1] + x0], e = (double)x[y1 * d[1] + x1];
            double top = s > 0 ? a + s * (b - a) : a, low = s > 0 ? c + s * (e - c) : c;
            *y++ = t > 0 ? top + t * (low - top) : top;
        }
    }
}
