/* sums_bench.c - how far the engine's sums are off, over how many products they have.
 *
 *   make build/sums_bench && build/sums_bench > sums.csv
 *
 * C = A B of 256 x 256 results with sums over k, of normal numbers rounded to
 * fp16, as training meets them: a forward product has activations near 1 and
 * weights of k^-1/2; a backward one has gradients of 2^-12 in place of the
 * activations; a weight gradient sums activations times gradients. Errors are
 * relative, root of mean squares, against sums in fp64 of the same fp16
 * operands. Three arithmetics: sums in fp32 (`fast`), the engine's (`exact`),
 * and the engine's with one operand times the power of two that exponent windows
 * would choose (`window`): the largest result is stored near 2^9. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/arena.h"
#include "base/rng.h"
#include "kern/kern.h"

enum { SIDE = 256, RESULTS = SIDE * SIDE, TARGET = 9, LARGEST = 15 };

typedef struct {
    const char *name;
    double a, b;         /* size of the operands */
    double a_pow, b_pow; /* and the power of k that it has besides */
} kind;

static const kind kinds[] = {
    {"forward", 1, 1, 0, -0.5},
    {"dx", 0x1p-12, 1, 0, -0.5},
    {"dw", 0x1p-12, 1, 0, 0},
};

typedef struct {
    kern *kern;
    half *a, *b, *scaled, *c;
    double *want;
    size_t k;
} work;

static void check(rc code)
{
    if (code == OK) return;
    fprintf(stderr, "sums_bench: %s\n", err_text());
    exit(1);
}

static void *take(size_t bytes)
{
    void *p = mem_take(bytes);
    check(p ? OK : E_MEMORY);
    return p;
}

static void fill(half *to, size_t n, double size, uint64_t stream)
{
    for (size_t i = 0; i < n; i++)
        to[i] = half_from_double(size * rng_normal(1, stream, i));
}

/* B lies transposed: row j has the k elements of column j. */
static void reference(void *ctx, size_t row)
{
    work *w = ctx;
    for (size_t j = 0; j < SIDE; j++) {
        double sum = 0;
        for (size_t i = 0; i < w->k; i++)
            sum += half_to_double(w->a[row * w->k + i]) *
                   half_to_double(w->b[j * w->k + i]);
        w->want[row * SIDE + j] = sum;
    }
}

/* Of c, which is 2^factor too large. */
static double error_of(const work *w, int factor)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < RESULTS; i++) {
        double d = ldexp(half_to_double(w->c[i]), -factor) - w->want[i];
        off += d * d;
        all += w->want[i] * w->want[i];
    }
    return sqrt(off / all);
}

/* The power of two that brings the largest result near 2^TARGET, as far as it
 * leaves A in fp16. */
static int window_of(const work *w)
{
    double largest = 0, operand = 0;
    for (size_t i = 0; i < RESULTS; i++) largest = fmax(largest, fabs(w->want[i]));
    for (size_t i = 0; i < SIDE * w->k; i++)
        operand = fmax(operand, fabs(half_to_double(w->a[i])));
    int factor = TARGET - (ilogb(largest) + 1), room = LARGEST - (ilogb(operand) + 1);
    int most = factor < room ? factor : room;
    return most < LARGEST ? most : LARGEST; /* a number of a program is fp16 too */
}

static double engine(work *w, int factor, double *dropped)
{
    uint64_t n = 0;
    kern_exact_tail tail = {.dropped = &n};
    ptrdiff_t k = (ptrdiff_t)w->k;
    for (size_t i = 0; i < SIDE * w->k; i++)
        w->scaled[i] = half_from_double(ldexp(half_to_double(w->a[i]), factor));
    check(kern_exact_gemm(w->kern, 1, SIDE, SIDE, w->k,
                          (kern_mat){w->scaled, KERN_F16, k, 1, 0},
                          (kern_mat){w->b, KERN_F16, 1, k, 0},
                          (kern_out){w->c, KERN_F16, SIDE, 0, false}, &tail));
    *dropped = (double)n / ((double)RESULTS * (double)w->k);
    return error_of(w, factor);
}

static double wide_sums(work *w)
{
    ptrdiff_t k = (ptrdiff_t)w->k;
    check(kern_gemm(w->kern, 1, SIDE, SIDE, w->k, (kern_mat){w->a, KERN_F16, k, 1, 0},
                    (kern_mat){w->b, KERN_F16, 1, k, 0},
                    (kern_out){w->c, KERN_F16, SIDE, 0, false}, NULL));
    return error_of(w, 0);
}

static void row(kern *kn, const kind *s, size_t k)
{
    work w = {.kern = kn, .k = k};
    w.a = take(SIDE * k * sizeof(half));
    w.b = take(SIDE * k * sizeof(half));
    w.scaled = take(SIDE * k * sizeof(half));
    w.c = take(RESULTS * sizeof(half));
    w.want = take(RESULTS * sizeof(double));
    fill(w.a, SIDE * k, s->a * pow((double)k, s->a_pow), rng_stream("a"));
    fill(w.b, SIDE * k, s->b * pow((double)k, s->b_pow), rng_stream("b"));
    kern_for(kn, SIDE, reference, &w);
    int factor = window_of(&w);
    double plain, moved;
    double fast = wide_sums(&w), exact = engine(&w, 0, &plain);
    double window = engine(&w, factor, &moved);
    printf("%s,%zu,%.3e,%.3e,%.3e,%d,%.4f,%.4f\n", s->name, k, fast, exact, window,
           factor, plain, moved);
    mem_drop(w.a);
    mem_drop(w.b);
    mem_drop(w.scaled);
    mem_drop(w.c);
    mem_drop(w.want);
}

int main(void)
{
    kern *k;
    check(kern_open(0, "auto", &k));
    puts("kind,k,fast,exact,window,factor,dropped,dropped with window");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t n = 512; n <= 8192; n *= 2) row(k, &kinds[i], n);
    kern_close(k);
    return 0;
}
