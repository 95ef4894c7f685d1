/* exact.c - the engine's own product: cutting it into tasks, what sums
 * begin with, and counting what is dropped. exact.h says what is computed. */
#include <math.h>
#include <string.h>
#include "base/arena.h"
#include "kern/exact.h"

/* Floats of B packed at a time. */
#define PACKED_FLOATS ((size_t)4 << 20)

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* ---- numbers ---- */
/* h is significand * 2^(exponent - 10). */
static int exponent(half h)
{
    int field = h >> 10 & 31;
    return (field ? field : 1) - 15;
}

static int64_t fraction_of(half h)
{
    return (h & 0x3ff) | (h & 0x7c00 ? 0x400 : 0);
}

/* A bias in fp32 has its own infinities; NaN is one of them. */
int64_t exact_bias(const exact_product *p, size_t i)
{
    const void *bias = p->tail ? p->tail->bias : NULL;
    if (!bias) return 0;
    if (p->tail->bias_type == KERN_F16) {
        half h = ((const half *)bias)[i];
        double v = ldexp((double)fraction_of(h), exponent(h) + 6);
        return (int64_t)round(h & 0x8000 ? -v : v);
    }
    double v = (double)((const float *)bias)[i] * 65536.0;
    const double most = 0x1p40;
    return (int64_t)round(v < -most ? -most : v < most ? v : most);
}

/* ---- counting ---- */
enum { BINS = 32, ZERO = 31, STRIP = 32 };

/* Of a number: exponent + 14, or ZERO. */
static unsigned bin(half h)
{
    unsigned field = h >> 10 & 31;
    return h & 0x7fff ? field - (field != 0) : ZERO;
}

/* How many numbers of each exponent stand at each of kc steps of k: `lanes` of
 * them, `lane` apart. Neighbours along k fall into different rows of the table,
 * so no step waits for the one before; strips of lanes share cache lines where
 * it is the lanes that are neighbours. */
static void count_exponents(const half *x, ptrdiff_t lane, ptrdiff_t step, size_t lanes,
                            size_t kc, uint32_t count[][BINS])
{
    memset(count, 0, kc * sizeof *count);
    for (size_t i0 = 0; i0 < lanes; i0 += STRIP) {
        size_t i1 = smaller(i0 + STRIP, lanes);
        for (size_t i = i0; i < i1; i++) {
            const half *p = x + (ptrdiff_t)i * lane;
            for (size_t k = 0; k < kc; k++, p += step) count[k][bin(*p)]++;
        }
    }
}

/* Products of no zeros, and those among them whose exponents are too low. */
static void count_pairs(const uint32_t a[BINS], const uint32_t b[BINS],
                        uint64_t *products, uint64_t *dropped)
{
    uint64_t below = 0, all = 0; /* of B: exponents under what a needs; all */
    int next = 0;
    for (int e = 0; e < ZERO; e++) all += b[e];
    for (int e = ZERO; e-- > 0;) {
        while (next < ZERO && e - 14 + next - 14 < EXACT_LEAST) below += b[next++];
        *dropped += a[e] * below;
        *products += a[e] * all;
    }
}

/* Whether a product is dropped depends on its exponents alone, so counting
 * exponents on both sides is enough: it takes m + n steps for each k, not m n. */
void exact_count_task(void *ctx, size_t task, int who)
{
    (void)who;
    exact_product *p = ctx;
    uint32_t a[EXACT_COUNTED][BINS], b[EXACT_COUNTED][BINS];
    size_t blocks = ceil_div(p->kk, EXACT_COUNTED), k0 = task % blocks * EXACT_COUNTED;
    size_t kc = smaller(EXACT_COUNTED, p->kk - k0);
    ptrdiff_t batch = (ptrdiff_t)(task / blocks), k = (ptrdiff_t)k0;
    uint64_t products = 0, dropped = 0;
    count_exponents((const half *)p->a.p + batch * p->a.batch + k * p->a.cs, p->a.rs,
                    p->a.cs, p->m, kc, a);
    count_exponents((const half *)p->b.p + batch * p->b.batch + k * p->b.rs, p->b.cs,
                    p->b.rs, p->n, kc, b);
    for (size_t i = 0; i < kc; i++) count_pairs(a[i], b[i], &products, &dropped);
    atomic_fetch_add_explicit(&p->products, products, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->dropped, dropped, memory_order_relaxed);
}

/* ---- cutting ---- */
static void set_shape(exact_product *p, const kern_table *t)
{
    p->t = t;
    p->n_tiles = ceil_div(p->m, t->exact_m);
    p->n_panels = ceil_div(p->n, t->exact_n);
    p->n_blocks = p->kk ? ceil_div(p->kk, EXACT_BLOCK) : 1;
    p->tasks_m = ceil_div(p->n_tiles, EXACT_TILES);
}

static size_t panels_at_a_time(const exact_product *p)
{
    size_t panels = PACKED_FLOATS / exact_panel_floats(p);
    size_t least = ceil_div(EXACT_COLUMNS, p->t->exact_n);
    return smaller(panels < least ? least : panels, p->n_panels);
}

static rc get_scratch(kern *k, exact_product *p, size_t panels)
{
    size_t floats = mem_mul(panels, exact_panel_floats(p));
    TRY(kern_scratch_grow(&k->shared, mem_mul(floats, sizeof(float))));
    for (int i = 0; i < k->n_threads; i++)
        TRY(kern_scratch_grow(&k->own[i], exact_own_bytes(p)));
    p->packed = k->shared.p;
    p->own = k->own;
    return OK;
}

static rc run_group(kern *k, exact_product *p)
{
    p->tasks_n = ceil_div(p->panels * p->t->exact_n, EXACT_COLUMNS);
    TRY(get_scratch(k, p, p->n_batch * p->panels));
    pool_run(k->pool, p->n_batch * p->panels, exact_pack_task, p);
    pool_run(k->pool, p->n_batch * p->tasks_n * p->tasks_m, exact_multiply_task, p);
    return OK;
}

/* As many products of a batch at a time as fit, or one in several parts. */
static rc run_product(kern *k, exact_product *p, size_t n_batch)
{
    size_t panels = panels_at_a_time(p), all = p->n_panels * exact_panel_floats(p);
    size_t group = all < PACKED_FLOATS ? PACKED_FLOATS / all : 1;
    if (p->tail && (p->tail->dropped || p->tail->products))
        pool_run(k->pool, n_batch * ceil_div(p->kk, EXACT_COUNTED), exact_count_task, p);
    for (p->batch0 = 0; p->batch0 < n_batch; p->batch0 += p->n_batch) {
        p->n_batch = smaller(group, n_batch - p->batch0);
        for (p->panel0 = 0; p->panel0 < p->n_panels; p->panel0 += p->panels) {
            p->panels = smaller(panels, p->n_panels - p->panel0);
            TRY(run_group(k, p));
        }
    }
    return OK;
}

rc kern_exact_gemm(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
                   kern_mat b, kern_out c, const kern_exact_tail *tail)
{
    if (a.type != KERN_F16 || b.type != KERN_F16)
        return err_fail(E_SHAPE, "the engine's own product wants fp16, had fp32");
    if (m == 0 || n == 0 || n_batch == 0) return OK;
    exact_product p = {.m = m, .n = n, .kk = kk, .a = a, .b = b, .c = c, .tail = tail};
    set_shape(&p, k->table);
    pool_hold(k->pool);
    rc code = run_product(k, &p, n_batch);
    pool_release(k->pool);
    if (tail && tail->saturated) *tail->saturated += p.saturated;
    if (tail && tail->products) *tail->products += p.products;
    if (tail && tail->dropped) *tail->dropped += p.dropped;
    return code;
}

rc kern_exact_reserve(kern *k, size_t m, size_t n, size_t kk)
{
    if (m == 0 || n == 0) return OK;
    exact_product p = {.m = m, .n = n, .kk = kk};
    set_shape(&p, k->table);
    size_t panels = panels_at_a_time(&p), batch = PACKED_FLOATS / exact_panel_floats(&p);
    pool_hold(k->pool);
    rc code = get_scratch(k, &p, panels > batch ? panels : batch);
    pool_release(k->pool);
    return code;
}
