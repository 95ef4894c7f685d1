/* exact_task.c - the work of one thread in the engine's own product: packing a
 * panel of B, multiplying a rectangle, telling which sums might overflow. */
#include <math.h>
#include <string.h>
#include "kern/exact.h"

#define STAGE_LANES 64 /* more than any tile is wide */
#define ROOM 16        /* numbers that decoding may write behind the last */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* ---- packing ---- */

/* [kc][wide] from lanes `lane` apart and steps of k `step` apart; lanes that do
 * not exist are zero. */
static void stage(const kern_table *t, const half *p, ptrdiff_t lane, ptrdiff_t step,
                  size_t lanes, size_t wide, size_t kc, half *out)
{
    if (lanes < wide) memset(out, 0, wide * kc * sizeof *out);
    if (step == 1 && lane >= 0 && lane != 1) {
        t->transpose(2, lanes, kc, p, (size_t)lane, out, wide);
        return;
    }
    for (size_t k = 0; k < kc; k++, p += step, out += wide) {
        if (lane == 1) memcpy(out, p, lanes * sizeof *out);
        else
            for (size_t i = 0; i < lanes; i++) out[i] = p[(ptrdiff_t)i * lane];
    }
}

size_t exact_panel_floats(const exact_product *p)
{
    return 2 * p->kk * p->t->exact_n + ROOM + 2 * p->n_blocks;
}

/* Numbers and exponents of a packed panel; for each block of k, the greatest
 * length of a column and the greatest number. */
typedef struct {
    float *value, *length, *top;
    int32_t *e;
} panel;

static panel panel_at(const exact_product *p, size_t i)
{
    size_t n = p->kk * p->t->exact_n;
    float *f = p->packed + i * exact_panel_floats(p);
    float *length = f + 2 * n + ROOM;
    return (panel){f, length, length + p->n_blocks, (int32_t *)(void *)(f + n)};
}

/* The greatest Euclidean length among [kc][wide]'s columns, and number. Lengths
 * come from float sums of squares: each step errs by 2^-24 at most. */
static void measure(const kern_table *t, size_t wide, size_t kc, const float *v,
                    float *length, float *top)
{
    float squares[STAGE_LANES] = {0}, most = 0;
    t->exact_squares(wide, kc, v, squares);
    for (size_t i = 0; i < wide; i++) most = squares[i] > most ? squares[i] : most;
    *length = sqrtf(most) * (1 + 0x1p-12f);
    *top = t->exact_top(wide * kc, v);
}

/* By blocks of k: numbers decoded past the end of one are written over by the
 * next, exponents after numbers, bounds after both. */
void exact_pack_task(void *ctx, size_t task, int who)
{
    const exact_product *p = ctx;
    const kern_table *t = p->t;
    size_t batch = p->batch0 + task / p->panels, wide = t->exact_n;
    size_t j = (p->panel0 + task % p->panels) * wide;
    panel b = panel_at(p, task);
    half *staged = p->own[who].p;
    const half *from = (const half *)p->b.p + (ptrdiff_t)batch * p->b.batch +
                       (ptrdiff_t)j * p->b.cs;
    for (size_t k = 0; k < p->kk; k += EXACT_BLOCK) {
        size_t kc = smaller(EXACT_BLOCK, p->kk - k);
        stage(t, from + (ptrdiff_t)k * p->b.rs, p->b.cs, p->b.rs, smaller(wide, p->n - j),
              wide, kc, staged);
        t->exact_decode(wide * kc, staged, 1, 1, b.value + k * wide, b.e + k * wide);
    }
    for (size_t q = 0; q * EXACT_BLOCK < p->kk; q++)
        measure(t, wide, smaller(EXACT_BLOCK, p->kk - q * EXACT_BLOCK),
                b.value + q * EXACT_BLOCK * wide, b.length + q, b.top + q);
}

/* ---- multiplying ---- */

/* What is known of the sums of a tile: none is over `bound`, or they are watched. */
typedef struct {
    double bound;
    bool watched;
} limits;

typedef struct {
    size_t batch, tile0, tile1, panel0, panel1;
    half *staged;
    float *a;            /* of the tiles: numbers of one block */
    float *length, *top; /* of each tile's part of the block */
    int32_t *least, *bias;
    int32_t *sums, *over; /* [panels][tiles][exact_m][exact_n]; over if watched */
    limits *known;        /* [panels][tiles] */
} rect;

static size_t sums_of_tile(const exact_product *p)
{
    return p->t->exact_m * p->t->exact_n;
}

/* Tiles of a task, at most. */
static size_t task_tiles(const exact_product *p)
{
    return (ceil_div(EXACT_COLUMNS, p->t->exact_n) + 1) * EXACT_TILES;
}

/* In the order in which lay_out gives it away; all but the first two are 4 bytes. */
size_t exact_own_bytes(const exact_product *p)
{
    size_t rows = EXACT_TILES * p->t->exact_m;
    size_t words = STAGE_LANES * EXACT_BLOCK / 2 + ROOM;
    words += 2 * (rows * EXACT_BLOCK + ROOM) + 2 * EXACT_TILES + rows;
    words += 2 * task_tiles(p) * sums_of_tile(p);
    return task_tiles(p) * sizeof(limits) + words * sizeof(float);
}

static void lay_out(const exact_product *p, rect *r, void *own)
{
    size_t rows = EXACT_TILES * p->t->exact_m;
    r->known = own;
    r->staged = (half *)(void *)(r->known + task_tiles(p));
    r->a = (float *)(void *)r->staged + STAGE_LANES * EXACT_BLOCK / 2 + ROOM;
    r->length = r->a + rows * EXACT_BLOCK + ROOM;
    r->top = r->length + EXACT_TILES;
    r->least = (int32_t *)(void *)(r->top + EXACT_TILES);
    r->bias = r->least + rows * EXACT_BLOCK + ROOM;
    r->sums = r->bias + rows;
    r->over = r->sums + task_tiles(p) * sums_of_tile(p);
}

/* What b's exponent must be over, instead of a's own. */
static void pack_tiles(const exact_product *p, rect *r, size_t k0, size_t kc)
{
    const kern_table *t = p->t;
    size_t wide = t->exact_m;
    for (size_t i = r->tile0; i < r->tile1; i++) {
        const half *from = (const half *)p->a.p + (ptrdiff_t)r->batch * p->a.batch +
                           (ptrdiff_t)(i * wide) * p->a.rs + (ptrdiff_t)k0 * p->a.cs;
        size_t tile = i - r->tile0, at = tile * wide * kc;
        stage(t, from, p->a.rs, p->a.cs, smaller(wide, p->m - i * wide), wide, kc,
              r->staged);
        t->exact_decode(wide * kc, r->staged, 0x1p16f, 0, r->a + at, r->least + at);
        measure(t, wide, kc, r->a + at, r->length + tile, r->top + tile);
    }
    size_t n = (r->tile1 - r->tile0) * wide * kc;
    for (size_t i = 0; i < n; i++) r->least[i] = EXACT_LEAST - 1 - r->least[i];
}

/* All sums of a row begin with its bias. */
static void start_sums(const exact_product *p, rect *r)
{
    size_t rows = (r->tile1 - r->tile0) * p->t->exact_m, wide = p->t->exact_n;
    int32_t *sum = r->sums;
    limits *known = r->known;
    for (size_t i = 0; i < rows; i++) {
        size_t row = r->tile0 * p->t->exact_m + i;
        int64_t b = row < p->m ? exact_bias(p, row) : 0;
        /* INT32_MIN: over, to either side. */
        r->bias[i] = b > INT32_MAX || b <= INT32_MIN ? INT32_MIN : (int32_t)b;
    }
    for (size_t j = r->panel0; j < r->panel1; j++)
        for (size_t i = 0; i < rows; i++) {
            if (i % p->t->exact_m == 0) *known++ = (limits){0, false};
            double size = fabs((double)r->bias[i]);
            if (size > known[-1].bound) known[-1].bound = size;
            for (size_t c = 0; c < wide; c++) *sum++ = r->bias[i];
        }
}

/* Before a tile's first sum that might overflow. */
static void watch(const exact_product *p, const rect *r, size_t tile, int32_t *sum,
                  int32_t *over)
{
    for (size_t i = 0; i < sums_of_tile(p); i++) {
        size_t row = tile * p->t->exact_m + i / p->t->exact_n;
        bool bad = sum[i] == INT32_MIN;
        over[i] = !bad ? 0 : exact_bias(p, row) < 0 ? -1 : 1;
        if (bad) sum[i] = 0;
    }
}

/* Add one block of k to a tile. */
static void add_block(const exact_product *p, const rect *r, size_t tile, size_t q,
                      const panel *b, limits *known, int32_t *sum, int32_t *over)
{
    const kern_table *t = p->t;
    size_t i = tile - r->tile0, k0 = q * EXACT_BLOCK,
           kc = smaller(EXACT_BLOCK, p->kk - k0);
    size_t m = smaller(t->exact_m, p->m - tile * t->exact_m), at = i * t->exact_m * kc;
    const float *value = b->value + k0 * t->exact_n;
    const int32_t *e = b->e + k0 * t->exact_n;
    double block = (double)r->length[i] * b->length[q] + (double)kc / 2 + 1;
    double each = (double)r->top[i] * b->top[q];
    const double whole = 0x1p22 - 1, most = 0x1p31 - 1;
    known->bound += block;
    if (!known->watched && !(known->bound < most)) {
        known->watched = true;
        watch(p, r, tile, sum, over);
    }
    if (known->watched)
        t->exact_watch(m, kc, r->a + at, r->least + at, value, e, sum, over);
    else
        t->exact_tile(block < whole  ? EXACT_SUMS
                      : each < whole ? EXACT_EACH
                                     : EXACT_ANY,
                      m, kc, r->a + at, r->least + at, value, e, sum);
}

/* ---- results ---- */
/* True: it overflowed. */
static bool put(const exact_product *p, size_t e, int32_t sum, int over)
{
    float alpha = p->tail && p->tail->alpha != 0 ? p->tail->alpha : 1;
    half *c = (half *)p->c.p + e;
    if (p->tail && p->tail->raw) {
        ((int32_t *)p->c.p)[e] = !over ? sum : over < 0 ? INT32_MIN : INT32_MAX;
        return over;
    }
    const int32_t most = 32760 * 65536; /* from here a sum rounds to 32768 */
    if (p->tail && p->tail->low_cliff && !over && (sum >= most || sum <= -most))
        over = sum < 0 ? -1 : 1;
    if (!over) *c = half_from_double_away((double)sum * alpha * 0x1p-16);
    else if (p->tail && p->tail->over_zero) *c = 0;
    else *c = (half)(HALF_INF | (over < 0 ? 0x8000 : 0));
    return over;
}

/* A finished tile into C; mostly none of its sums can have overflowed. */
static uint64_t finish(const exact_product *p, const rect *r, size_t tile, size_t column,
                       bool watched, const int32_t *sum, const int32_t *over)
{
    const kern_table *t = p->t;
    size_t i0 = tile * t->exact_m, rows = smaller(t->exact_m, p->m - i0);
    size_t j0 = (p->panel0 + column) * t->exact_n, cols = smaller(t->exact_n, p->n - j0);
    bool raw = p->tail && p->tail->raw;
    bool scaled = p->tail && p->tail->alpha != 0 && p->tail->alpha != 1;
    bool plain = !p->tail || raw || (!scaled && !p->tail->low_cliff);
    uint64_t n_over = 0;
    for (size_t i = 0; i < rows; i++, sum += t->exact_n, over += t->exact_n) {
        ptrdiff_t e = (ptrdiff_t)r->batch * p->c.batch + (ptrdiff_t)(i0 + i) * p->c.rs +
                      (ptrdiff_t)j0;
        if (watched || !plain) {
            for (size_t j = 0; j < cols; j++)
                n_over += put(p, (size_t)e + j, sum[j], watched ? over[j] : 0);
        } else if (raw) {
            memcpy((int32_t *)p->c.p + e, sum, cols * sizeof *sum);
        } else {
            t->exact_store(cols, sum, (half *)p->c.p + e);
        }
    }
    return n_over;
}

static rect rect_of(const exact_product *p, size_t i)
{
    size_t tm = i % p->tasks_m, tn = i / p->tasks_m % p->tasks_n;
    return (rect){.batch = p->batch0 + i / p->tasks_m / p->tasks_n,
                  .tile0 = tm * p->n_tiles / p->tasks_m,
                  .tile1 = (tm + 1) * p->n_tiles / p->tasks_m,
                  .panel0 = tn * p->panels / p->tasks_n,
                  .panel1 = (tn + 1) * p->panels / p->tasks_n};
}

void exact_multiply_task(void *ctx, size_t task, int who)
{
    exact_product *p = ctx;
    rect r = rect_of(p, task);
    uint64_t n_over = 0;
    lay_out(p, &r, p->own[who].p);
    start_sums(p, &r);
    for (size_t q = 0; q < p->n_blocks; q++) {
        size_t k0 = q * EXACT_BLOCK, at = 0;
        if (p->kk) pack_tiles(p, &r, k0, smaller(EXACT_BLOCK, p->kk - k0));
        for (size_t j = r.panel0; j < r.panel1; j++) {
            panel b = panel_at(p, (r.batch - p->batch0) * p->panels + j);
            for (size_t i = r.tile0; i < r.tile1; i++, at++) {
                int32_t *sum = r.sums + at * sums_of_tile(p);
                int32_t *over = r.over + at * sums_of_tile(p);
                add_block(p, &r, i, q, &b, &r.known[at], sum, over);
                if (q + 1 == p->n_blocks)
                    n_over += finish(p, &r, i, j, r.known[at].watched, sum, over);
            }
        }
    }
    if (n_over) atomic_fetch_add_explicit(&p->saturated, n_over, memory_order_relaxed);
}
