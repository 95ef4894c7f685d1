/* kern_bench.c - how fast the kernels are on this machine, beside its own peak.
 *
 *   make build/kern_bench && build/kern_bench [-t threads] [-i isa] [-r repeats] [-c]
 * [word]
 *
 * -c makes A cold: copies of it are taken in turn, more than any cache holds.
 * `word` keeps the rows whose name contains it. Each product is timed many
 * times with a short measurement of the peak between; the best and the upper
 * quartile are shown, so that a busy machine blurs the result less. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/clock.h"
#include "kern/kern.h"

/* Orientation of A and B: N is row by row, T is stored transposed. */
typedef struct {
    const char *name;
    size_t batch, m, n, k;
    const char *turn;
    kern_type a, b, c;
    bool add;
} product;

#define H KERN_F16
#define F KERN_F32
static const product products[] = {
    {"fwd qkv/o s512", 1, 768, 512, 768, "NN", H, H, H, false},
    {"fwd up s512", 1, 2048, 512, 768, "NN", H, H, H, false},
    {"fwd down s512", 1, 768, 512, 2048, "NN", H, H, H, false},
    {"fwd qkv/o s256", 1, 768, 256, 768, "NN", H, H, H, false},
    {"fwd up s256", 1, 2048, 256, 768, "NN", H, H, H, false},
    {"fwd down s256", 1, 768, 256, 2048, "NN", H, H, H, false},
    {"dx up s512", 1, 768, 512, 2048, "TN", H, H, H, false},
    {"dx down s512", 1, 2048, 512, 768, "TN", H, H, H, false},
    {"dx o s512", 1, 768, 512, 768, "TN", H, H, H, false},
    {"dw qkv/o s512", 1, 768, 768, 512, "NT", H, H, F, true},
    {"dw up s512", 1, 2048, 768, 512, "NT", H, H, F, true},
    {"dw down s512", 1, 768, 2048, 512, "NT", H, H, F, true},
    {"dw up s256", 1, 2048, 768, 256, "NT", H, H, F, true},
    {"classifier 8000", 1, 8000, 256, 768, "NN", H, H, H, false},
    {"classifier 32000", 1, 32000, 256, 768, "NN", H, H, H, false},
    {"classifier dx", 1, 768, 256, 16000, "TN", H, H, H, false},
    {"classifier dw", 1, 32000, 768, 256, "NT", H, H, F, true},
    {"att qk s256", 12, 256, 256, 64, "TN", H, H, H, false},
    {"att pv s256", 12, 64, 256, 256, "NN", H, H, H, false},
    {"att pv^T s256", 12, 64, 256, 256, "NT", H, H, H, false},
    {"att qk s512", 12, 512, 512, 64, "TN", H, H, H, false},
    {"att pv s512", 12, 64, 512, 512, "NN", H, H, H, false},
    {"att pv^T s512", 12, 64, 512, 512, "NT", H, H, H, false},
    {"demo 160", 1, 160, 4096, 160, "NN", H, H, H, false},
    {"demo 432", 1, 432, 4096, 160, "NN", H, H, H, false},
    {"demo dw", 1, 160, 160, 4096, "NT", H, H, F, true},
    {"square 2048 f32", 1, 2048, 2048, 2048, "NN", F, F, F, false},
    {"one column", 1, 2048, 1, 768, "NN", H, H, H, false},
};

typedef struct {
    kern *k;
    int repeats;
    bool cold;
    double *ms;
} bench;

#define COLD_BYTES ((size_t)160 << 20)

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *make(kern_type t, size_t n)
{
    void *p = mem_take(n * kern_size(t));
    if (!p) {
        fprintf(stderr, "kern_bench: %s\n", err_text());
        exit(1);
    }
    for (size_t i = 0; i < n; i++) {
        float v = (float)(i * 2654435761u % 1000) * 0.001f - 0.5f;
        if (t == KERN_F16) ((half *)p)[i] = half_from_float(v);
        else ((float *)p)[i] = v;
    }
    return p;
}

static kern_mat matrix(const void *p, kern_type t, size_t rows, size_t cols, bool turned)
{
    ptrdiff_t r = (ptrdiff_t)rows, c = (ptrdiff_t)cols;
    return turned ? (kern_mat){p, t, 1, r, r * c} : (kern_mat){p, t, c, 1, r * c};
}

static void time_product(bench *b, const product *s)
{
    size_t a_len = s->batch * s->m * s->k;
    size_t copies = b->cold ? COLD_BYTES / (a_len * kern_size(s->a)) + 1 : 1;
    void *a = make(s->a, a_len * copies), *x = make(s->b, s->batch * s->k * s->n);
    void *c = make(s->c, s->batch * s->m * s->n);
    kern_mat am = matrix(a, s->a, s->m, s->k, s->turn[0] == 'T');
    kern_mat bm = matrix(x, s->b, s->k, s->n, s->turn[1] == 'T');
    kern_out out = {c, s->c, (ptrdiff_t)s->n, (ptrdiff_t)(s->m * s->n), s->add};
    double flops = 2.0 * (double)(s->batch * s->m * s->n) * (double)s->k, peak = 0;
    for (int i = -1; i < b->repeats; i++) {
        am.p = (char *)a + (size_t)(i + 1) % copies * a_len * kern_size(s->a);
        double start = clock_ms();
        rc code = kern_gemm(b->k, s->batch, s->m, s->n, s->k, am, bm, out, NULL);
        if (code != OK) {
            fprintf(stderr, "kern_bench: %s\n", err_text());
            exit(1);
        }
        if (i >= 0) b->ms[i] = clock_ms() - start;
        double p = i % 4 ? 0 : kern_peak_gflops(b->k, 4);
        if (p > peak) peak = p;
    }
    qsort(b->ms, (size_t)b->repeats, sizeof *b->ms, ascending);
    double best = flops / b->ms[0] / 1e6, quarter = flops / b->ms[b->repeats / 4] / 1e6;
    printf("%-18s %3zu x %5zux%5zux%5zu %s %8.1f %8.1f %8.1f %6.1f%% %6.1f%%\n", s->name,
           s->batch, s->m, s->n, s->k, s->turn, best, quarter, peak, 100 * best / peak,
           100 * quarter / peak);
    fflush(stdout);
    mem_drop(a);
    mem_drop(x);
    mem_drop(c);
}

static double best_ms(bench *b)
{
    qsort(b->ms, (size_t)b->repeats, sizeof *b->ms, ascending);
    return b->ms[0];
}

static void nothing(void *ctx, size_t i)
{
    (void)ctx;
    (void)i;
}

static void busy(void *ctx, size_t i)
{
    double end = clock_ms() + *(const double *)ctx;
    (void)i;
    while (clock_ms() < end) continue;
}

static void time_handing_over(bench *b)
{
    enum { CALLS = 100 };
    double task_ms = 0.005;
    size_t n = (size_t)kern_threads(b->k);
    for (int i = 0; i < b->repeats; i++) {
        double start = clock_ms();
        for (int j = 0; j < CALLS; j++) kern_for(b->k, n, busy, &task_ms);
        b->ms[i] = (clock_ms() - start) / CALLS;
    }
    printf("%-18s %8.2f us a call of a 5 us task for each thread\n", "pool",
           best_ms(b) * 1000);
}

static void time_pool(bench *b)
{
    enum { CALLS = 1000 };
    for (int i = 0; i < b->repeats; i++) {
        double start = clock_ms();
        for (int j = 0; j < CALLS; j++) kern_for(b->k, 8, nothing, NULL);
        b->ms[i] = clock_ms() - start;
    }
    printf("%-18s %8.2f us a call of 8 empty tasks\n", "pool", best_ms(b) * 1000 / CALLS);
}

static void time_adamw(bench *b)
{
    enum { N = 20000000 };
    float *p[4];
    for (int i = 0; i < 4; i++) p[i] = make(KERN_F32, N);
    half *w16 = make(KERN_F16, N);
    for (size_t i = 0; i < N; i++) p[2][i] *= p[2][i];
    kern_adamw_args args = {1e-4f, 0.9f, 0.95f, 1e-8f, 0.1f, 1, 0.5f, 0.5f};
    for (int i = 0; i < b->repeats; i++) {
        double start = clock_ms();
        kern_adamw(b->k, N, p[0], p[1], p[2], p[3], w16, &args);
        b->ms[i] = clock_ms() - start;
    }
    double ms = best_ms(b);
    printf("%-18s %8.2f ms for 20 M, %.1f GB/s (30 bytes each)\n", "adamw", ms,
           30.0 * N / ms / 1e6);
    for (int i = 0; i < b->repeats; i++) {
        double start = clock_ms();
        kern_sum_squares(b->k, N, p[0]);
        b->ms[i] = clock_ms() - start;
    }
    ms = best_ms(b);
    printf("%-18s %8.2f ms for 20 M, %.1f GB/s\n", "sum of squares", ms,
           4.0 * N / ms / 1e6);
    for (int i = 0; i < 4; i++) mem_drop(p[i]);
    mem_drop(w16);
}

static void time_entropy(bench *b)
{
    enum { VOCAB = 32000, COLS = 256 };
    half *x = make(KERN_F16, (size_t)VOCAB * COLS),
         *d = make(KERN_F16, (size_t)VOCAB * COLS);
    int32_t targets[COLS];
    double loss[COLS];
    for (int i = 0; i < COLS; i++) targets[i] = i * 100;
    kern_ce_part part = {x, d, VOCAB};
    for (int i = 0; i < b->repeats; i++) {
        double start = clock_ms();
        kern_cross_entropy(b->k, KERN_F16, 1, &part, COLS, COLS, targets, 1, loss);
        b->ms[i] = clock_ms() - start;
    }
    printf("%-18s %8.2f ms for 32000 x 256\n", "cross-entropy", best_ms(b));
    mem_drop(x);
    mem_drop(d);
}

static void time_unary(bench *b)
{
    enum { N = 65536 };
    static const char *const names[] = {
#define KUN(name) #name,
#include "kern/elementwise.def"
    };
    half *x = make(KERN_F16, N), *z = make(KERN_F16, N);
    for (int op = 0; op < KERN_UNARY_COUNT; op++) {
        for (int i = 0; i < b->repeats; i++) {
            double start = clock_ms();
            kern_unary(b->k, op, KERN_F16, N, x, z);
            b->ms[i] = clock_ms() - start;
        }
        printf("unary %-12s %8.3f ns each\n", names[op], best_ms(b) * 1e6 / N);
    }
    for (int i = 0; i < b->repeats; i++) {
        double start = clock_ms();
        for (size_t row = 0; row < N; row += 256)
            kern_softmax_row(b->k, KERN_F16, 256, x + row, z + row);
        b->ms[i] = clock_ms() - start;
    }
    printf("softmax rows of 256 %7.3f ns each\n", best_ms(b) * 1e6 / N);
    for (size_t size = 2; size <= 4; size += 2) {
        for (int i = 0; i < b->repeats; i++) {
            double start = clock_ms();
            kern_transpose(b->k, size, 128, 256, x, 256, z, 128);
            b->ms[i] = clock_ms() - start;
        }
        printf("transpose %zu bytes    %7.3f ns each\n", size,
               best_ms(b) * 1e6 / (128 * 256));
    }
    mem_drop(x);
    mem_drop(z);
}

int main(int argc, char **argv)
{
    bench b = {.repeats = 40};
    int threads = 0, c;
    const char *isa = NULL;
    while ((c = getopt(argc, argv, "ct:i:r:")) != -1) {
        if (c == 't') threads = atoi(optarg);
        else if (c == 'i') isa = optarg;
        else if (c == 'c') b.cold = true;
        else if (c == 'r') b.repeats = atoi(optarg);
        else return 2;
    }
    const char *word = optind < argc ? argv[optind] : "";
    if (b.repeats < 1) b.repeats = 1;
    b.ms = mem_take((size_t)b.repeats * sizeof *b.ms);
    if (!b.ms || kern_open(threads, isa, &b.k) != OK) {
        fprintf(stderr, "kern_bench: %s\n", err_text());
        return 1;
    }
    printf("%s, %d threads\n%-18s %27s %4s %8s %8s %8s\n", kern_isa(b.k),
           kern_threads(b.k), "", "batch x m x n x k", "", "best", "quartile",
           "peak GF/s");
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        if (strstr(products[i].name, word)) time_product(&b, &products[i]);
    if (strstr("pool", word)) time_pool(&b), time_handing_over(&b);
    if (strstr("adamw", word)) time_adamw(&b);
    if (strstr("entropy", word)) time_entropy(&b);
    if (strstr("unary", word)) time_unary(&b);
    kern_close(b.k);
    mem_drop(b.ms);
    return 0;
}
