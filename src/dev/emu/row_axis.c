/* row_axis.c - a row is an axis, or several: reductions beyond sum, maximum and
 * minimum; running sums; the places of the greatest; sorting.
 *
 * Reductions of the chip add in fp16 (rule reduce_narrow): so does `exact`, one
 * after another, rounding each square or magnitude first. In which order the chip
 * adds is not known. */
#include <math.h>
#include "dev/emu/emu.h"

static double narrow(const emu_row *r, double x)
{
    return r->chip ? half_to_double(half_from_double_away(x)) : x;
}

static double add(const emu_row *r, double sum, double x)
{
    return narrow(r, sum + narrow(r, x));
}

static double sum_square(const emu_row *r, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < r->e->n; i++) sum = add(r, sum, (double)x[i] * (double)x[i]);
    return sum;
}

void emu_row_sum_square(const emu_row *r, const float *x, double *y)
{
    *y = sum_square(r, x);
}

void emu_row_l2(const emu_row *r, const float *x, double *y)
{
    *y = sqrt(sum_square(r, x));
}

void emu_row_l1(const emu_row *r, const float *x, double *y)
{
    double sum = 0;
    for (size_t i = 0; i < r->e->n; i++) sum = add(r, sum, fabs((double)x[i]));
    *y = sum;
}

void emu_row_log_sum(const emu_row *r, const float *x, double *y)
{
    double sum = 0;
    for (size_t i = 0; i < r->e->n; i++) sum = add(r, sum, (double)x[i]);
    *y = log(sum);
}

/* The greatest is taken off first; a row that has an infinity has its sum. */
void emu_row_log_sum_exp(const emu_row *r, const float *x, double *y)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < r->e->n; i++) most = (double)x[i] > most ? (double)x[i] : most;
    if (isinf(most)) {
        *y = most;
        return;
    }
    for (size_t i = 0; i < r->e->n; i++) sum += exp((double)x[i] - most);
    *y = most + log(sum);
}

/* Added wide and rounded where it stands: ANEForge makes it a product with ones. */
void emu_row_cumsum(const emu_row *r, const float *x, double *y)
{
    const dev_attrs *a = &r->e->op->a;
    double sum = 0;
    size_t n = r->e->n;
    for (size_t k = 0; k < n; k++) {
        size_t i = a->reverse ? n - 1 - k : k;
        if (a->exclusive) y[i] = sum;
        sum += (double)x[i];
        if (!a->exclusive) y[i] = sum;
    }
}

/* Of equal ones the first. */
void emu_row_arg_max(const emu_row *r, const float *x, double *y)
{
    size_t at = 0;
    for (size_t i = 1; i < r->e->n; i++)
        if (x[i] > x[at]) at = i;
    *y = (double)at;
}

void emu_row_arg_min(const emu_row *r, const float *x, double *y)
{
    size_t at = 0;
    for (size_t i = 1; i < r->e->n; i++)
        if (x[i] < x[at]) at = i;
    *y = (double)at;
}

/* Merge sort of places, so that equal numbers keep their order. */
static const int32_t *sorted(const emu_row *r, const float *x)
{
    size_t n = r->e->n;
    int32_t *from = r->extra, *to = r->extra + n;
    bool up = r->e->op->a.ascending;
    for (size_t i = 0; i < n; i++) from[i] = (int32_t)i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = lo + width < n ? lo + width : n;
            size_t hi = lo + 2 * width < n ? lo + 2 * width : n;
            for (size_t a = lo, b = mid, k = lo; k < hi; k++) {
                bool second = a == mid || (b < hi && (up ? x[from[b]] < x[from[a]]
                                                         : x[from[b]] > x[from[a]]));
                to[k] = second ? from[b++] : from[a++];
            }
        }
        int32_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

/* argsort, and topk's places or values: the first m in order. */
void emu_row_sorted(const emu_row *r, const float *x, double *y)
{
    const int32_t *at = sorted(r, x);
    for (size_t i = 0; i < r->e->m; i++)
        y[i] = r->e->places ? (double)at[i] : (double)x[at[i]];
}
