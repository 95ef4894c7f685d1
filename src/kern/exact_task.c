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
    return (2 * p->kk + 1) * p->t->exact_n + ROOM;
}

/* Numbers, exponents and squared lengths of a packed panel. */
typedef struct {
    float *value, *squares;
    int32_t *e;
} panel;

static panel panel_at(const exact_product *p, size_t i)
{
    size_t n = p->kk * p->t->exact_n;
    float *f = p->packed + i * exact_panel_floats(p);
    return (panel){f, f + 2 * n + ROOM, (int32_t *)(void *)(f + n)};
}

/* By blocks of k: numbers decoded past the end of one are written over by the
 * next, exponents after numbers, squares after both. */
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
    memset(b.squares, 0, wide * sizeof *b.squares);
    for (size_t k = 0; k < p->kk; k += EXACT_BLOCK) {
        size_t kc = smaller(EXACT_BLOCK, p->kk - k);
        stage(t, from + (ptrdiff_t)k * p->b.rs, p->b.cs, p->b.rs, smaller(wide, p->n - j),
              wide, kc, staged);
        t->exact_decode(wide * kc, staged, 1, b.value + k * wide, b.e + k * wide);
        t->exact_squares(wide, kc, b.value + k * wide, b.squares);
    }
}

/* ---- multiplying ---- */
typedef struct {
    size_t batch, tile0, tile1, panel0, panel1;
    half *staged;
    float *a, *squares; /* of the tiles: numbers of one block, squared lengths */
    int32_t *least, *sums, *bias;
} rect;

static size_t sums_of_tile(const exact_product *p)
{
    return p->t->exact_m * p->t->exact_n;
}

static size_t task_panels(const exact_product *p)
{
    return ceil_div(EXACT_COLUMNS, p->t->exact_n) + 1;
}

/* In the order in which lay_out gives it away; all but the staged are 4 bytes. */
size_t exact_own_bytes(const exact_product *p)
{
    size_t rows = EXACT_TILES * p->t->exact_m;
    size_t words = STAGE_LANES * EXACT_BLOCK / 2 + ROOM;
    words += 2 * (rows * EXACT_BLOCK + ROOM) + 2 * rows;
    words += task_panels(p) * EXACT_TILES * sums_of_tile(p);
    return words * sizeof(float);
}

static void lay_out(const exact_product *p, rect *r, void *own)
{
    size_t rows = EXACT_TILES * p->t->exact_m;
    r->staged = own;
    r->a = (float *)own + STAGE_LANES * EXACT_BLOCK / 2 + ROOM;
    r->least = (int32_t *)(void *)(r->a + rows * EXACT_BLOCK + ROOM);
    r->squares = (float *)(void *)(r->least + rows * EXACT_BLOCK + ROOM);
    r->bias = (int32_t *)(void *)(r->squares + rows);
    r->sums = r->bias + rows;
}

/* What b's exponent must be over, instead of a's own. */
static void pack_tiles(const exact_product *p, rect *r, size_t k0, size_t kc)
{
    const kern_table *t = p->t;
    size_t wide = t->exact_m;
    for (size_t i = r->tile0; i < r->tile1; i++) {
        const half *from = (const half *)p->a.p + (ptrdiff_t)r->batch * p->a.batch +
                           (ptrdiff_t)(i * wide) * p->a.rs + (ptrdiff_t)k0 * p->a.cs;
        size_t at = (i - r->tile0) * wide * kc;
        stage(t, from, p->a.rs, p->a.cs, smaller(wide, p->m - i * wide), wide, kc,
              r->staged);
        t->exact_decode(wide * kc, r->staged, 0x1p16f, r->a + at, r->least + at);
        t->exact_squares(wide, kc, r->a + at, r->squares + (i - r->tile0) * wide);
    }
    size_t n = (r->tile1 - r->tile0) * wide * kc;
    for (size_t i = 0; i < n; i++) r->least[i] = EXACT_LEAST - 1 - r->least[i];
}

static void start_sums(const exact_product *p, rect *r)
{
    size_t rows = (r->tile1 - r->tile0) * p->t->exact_m, wide = p->t->exact_n;
    int32_t *sum = r->sums;
    for (size_t i = 0; i < rows; i++) {
        size_t row = r->tile0 * p->t->exact_m + i;
        int64_t b = row < p->m ? exact_bias(p, row) : 0;
        /* One that does not fit is seen again when the sum is finished. */
        r->bias[i] = b > INT32_MAX ? INT32_MAX : b < -INT32_MAX ? -INT32_MAX : (int32_t)b;
    }
    for (size_t j = r->panel0; j < r->panel1; j++)
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < wide; c++) *sum++ = r->bias[i];
}

/* Lengths come from float sums of squares: each step errs by 2^-24 at most. */
static bool is_safe(const exact_product *p, double a_squares, double b_squares,
                    double bias)
{
    double k = (double)p->kk, slack = 1 + k * 0x1p-22 + 1e-6;
    return sqrt(a_squares) * sqrt(b_squares) * slack + k / 2 + bias < 0x1p31 - 1;
}

static double largest(const float *x, size_t n)
{
    float top = 0;
    for (size_t i = 0; i < n; i++)
        if (!(x[i] <= top)) top = x[i];
    return top;
}

static void put(const exact_product *p, size_t batch, size_t i, size_t j, int64_t sum,
                bool over)
{
    ptrdiff_t e = (ptrdiff_t)batch * p->c.batch + (ptrdiff_t)i * p->c.rs + (ptrdiff_t)j;
    float alpha = p->tail && p->tail->alpha != 0 ? p->tail->alpha : 1;
    if (p->tail && p->tail->raw)
        ((int32_t *)p->c.p)[e] = !over ? (int32_t)sum : sum < 0 ? INT32_MIN : INT32_MAX;
    else if (over) ((half *)p->c.p)[e] = (half)(HALF_INF | (sum < 0 ? 0x8000 : 0));
    else ((half *)p->c.p)[e] = half_from_double_away((double)sum * alpha * 0x1p-16);
}

/* One by one: those that are safe from the kernel's sums, the others in order. */
static uint64_t put_each(const exact_product *p, const rect *r, size_t i0, size_t rows,
                         const float *a_squares, const int32_t *bias, size_t j0,
                         size_t cols, const float *b_squares, const int32_t *sum)
{
    uint64_t over = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            int64_t s = sum[i * p->t->exact_n + j];
            bool safe = is_safe(p, a_squares[i], b_squares[j], fabs((double)bias[i]));
            bool bad = !safe && exact_in_order(p, r->batch, i0 + i, j0 + j, &s);
            over += bad;
            put(p, r->batch, i0 + i, j0 + j, s, bad);
        }
    return over;
}

/* A finished tile into C; mostly none of its sums can have overflowed. */
static uint64_t finish(const exact_product *p, const rect *r, size_t tile, size_t column,
                       const panel *b, const int32_t *sum)
{
    const kern_table *t = p->t;
    size_t i0 = tile * t->exact_m, rows = smaller(t->exact_m, p->m - i0);
    size_t j0 = (p->panel0 + column) * t->exact_n, cols = smaller(t->exact_n, p->n - j0);
    const float *squares = r->squares + (tile - r->tile0) * t->exact_m;
    const int32_t *bias = r->bias + (tile - r->tile0) * t->exact_m;
    double most = 0;
    for (size_t i = 0; i < rows; i++) most = fmax(most, fabs((double)bias[i]));
    bool plain = !p->tail || p->tail->raw || p->tail->alpha == 0 || p->tail->alpha == 1;
    if (!plain || !is_safe(p, largest(squares, rows), largest(b->squares, cols), most))
        return put_each(p, r, i0, rows, squares, bias, j0, cols, b->squares, sum);
    for (size_t i = 0; i < rows; i++, sum += t->exact_n) {
        ptrdiff_t e = (ptrdiff_t)r->batch * p->c.batch + (ptrdiff_t)(i0 + i) * p->c.rs +
                      (ptrdiff_t)j0;
        if (p->tail && p->tail->raw)
            memcpy((int32_t *)p->c.p + e, sum, cols * sizeof *sum);
        else t->exact_store(cols, sum, (half *)p->c.p + e);
    }
    return 0;
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
    const kern_table *t = p->t;
    rect r = rect_of(p, task);
    uint64_t over = 0;
    lay_out(p, &r, p->own[who].p);
    memset(r.squares, 0, EXACT_TILES * t->exact_m * sizeof *r.squares);
    start_sums(p, &r);
    for (size_t q = 0; q < p->n_blocks; q++) {
        size_t k0 = q * EXACT_BLOCK, kc = smaller(EXACT_BLOCK, p->kk - k0);
        int32_t *sum = r.sums;
        if (kc) pack_tiles(p, &r, k0, kc);
        for (size_t j = r.panel0; j < r.panel1; j++) {
            panel b = panel_at(p, (r.batch - p->batch0) * p->panels + j);
            for (size_t i = r.tile0; i < r.tile1; i++, sum += sums_of_tile(p)) {
                size_t at = (i - r.tile0) * t->exact_m * kc, back = k0 * t->exact_n;
                t->exact_tile(smaller(t->exact_m, p->m - i * t->exact_m), kc, r.a + at,
                              r.least + at, b.value + back, b.e + back, sum);
                if (q + 1 == p->n_blocks) over += finish(p, &r, i, j, &b, sum);
            }
        }
    }
    if (over) atomic_fetch_add_explicit(&p->saturated, over, memory_order_relaxed);
}
