/* train.c - what one training step needs beyond products: gradient norms, the
 * AdamW update, cross-entropy.
 *
 * Work is cut in pieces whose size depends on the shape alone and partial
 * sums are joined in ascending order, so bits do not depend on the number of
 * threads. */
#include <math.h>
#include <stdatomic.h>
#include "base/arena.h"
#include "kern/table.h"

#define MAX_PIECES 256
#define ADAMW_PIECE 16384 /* 28 bytes each: half a megabyte */
#define CE_ROWS 1024      /* rows of logits in one piece */
#define CE_COLS 16        /* columns joined by one task */

/* ---- sums over a whole tensor ---- */

typedef struct {
    const kern_table *table;
    const float *x;
    size_t n, piece;
    double part[MAX_PIECES];
    atomic_bool bad;
} whole;

static size_t cut(whole *w)
{
    w->piece = (w->n / MAX_PIECES + 1024) / 1024 * 1024;
    return (w->n + w->piece - 1) / w->piece;
}

static size_t piece_len(const whole *w, size_t i)
{
    size_t left = w->n - i * w->piece;
    return left < w->piece ? left : w->piece;
}

static void square_piece(void *ctx, size_t i)
{
    whole *w = ctx;
    w->part[i] = w->table->sum_squares(piece_len(w, i), w->x + i * w->piece);
}

double kern_sum_squares(kern *k, size_t n, const float *x)
{
    whole w = {.table = k->table, .x = x, .n = n};
    size_t pieces = cut(&w);
    kern_for(k, pieces, square_piece, &w);
    double sum = 0;
    for (size_t i = 0; i < pieces; i++) sum += w.part[i];
    return sum;
}

static void check_piece(void *ctx, size_t i)
{
    whole *w = ctx;
    if (atomic_load(&w->bad)) return;
    if (w->table->count_bad(KERN_F32, piece_len(w, i), w->x + i * w->piece))
        atomic_store(&w->bad, true);
}

bool kern_all_finite(kern *k, size_t n, const float *x)
{
    whole w = {.table = k->table, .x = x, .n = n};
    kern_for(k, cut(&w), check_piece, &w);
    return !w.bad;
}

/* ---- AdamW ---- */

typedef struct {
    const kern_table *table;
    size_t n;
    float *w, *m, *v;
    const float *g;
    half *w16;
    const kern_adamw_args *args;
} update;

static void update_piece(void *ctx, size_t i)
{
    const update *u = ctx;
    size_t at = i * ADAMW_PIECE, left = u->n - at;
    u->table->adamw(left < ADAMW_PIECE ? left : ADAMW_PIECE, u->w + at, u->m + at,
                    u->v + at, u->g + at, u->w16 ? u->w16 + at : NULL, u->args);
}

void kern_adamw(kern *k, size_t n, float *w, float *m, float *v, const float *g,
                half *w16, const kern_adamw_args *args)
{
    update u = {k->table, n, w, m, v, g, w16, args};
    kern_for(k, (n + ADAMW_PIECE - 1) / ADAMW_PIECE, update_piece, &u);
}

/* ---- cross-entropy ----
 * Pass 1 reads each piece of CE_ROWS rows once and leaves, per column, its
 * maximum and its sum of exp(x - maximum); the pieces of a column are joined
 * in double. Pass 2 reads the logits again and writes the gradient. */

typedef struct {
    const kern_table *table;
    kern_type type;
    size_t n_cols, stride, n_pieces;
    const kern_ce_part *parts;
    const int32_t *targets;
    float d_scale;
    double *loss;
    float *max, *sum;    /* [n_pieces][n_cols] */
    float *top, *factor; /* [n_cols] maximum of a column; d_scale / its sum */
    float *hit;          /* [n_cols] logit of the target, read before pass 2 */
} entropy;

typedef struct {
    const kern_ce_part *part;
    size_t row, n_rows;
} rows_piece;

static rows_piece find_piece(const entropy *e, size_t i)
{
    const kern_ce_part *p = e->parts;
    for (;; p++) {
        size_t pieces = (p->rows + CE_ROWS - 1) / CE_ROWS;
        if (i < pieces) {
            size_t row = i * CE_ROWS, left = p->rows - row;
            return (rows_piece){p, row, left < CE_ROWS ? left : CE_ROWS};
        }
        i -= pieces;
    }
}

static void *element(const entropy *e, const void *p, size_t row, size_t col)
{
    return (char *)p + kern_size(e->type) * (row * e->stride + col);
}

/* The part and row in it of column c's target. */
static rows_piece target_of(const entropy *e, size_t c)
{
    const kern_ce_part *p = e->parts;
    size_t row = (size_t)e->targets[c];
    while (row >= p->rows) row -= p++->rows;
    return (rows_piece){p, row, 1};
}

static float unit_of(const kern_ce_part *p)
{
    return p->unit == 0 ? 1 : p->unit;
}

static void lse_piece(void *ctx, size_t i, int who)
{
    (void)who;
    const entropy *e = ctx;
    rows_piece r = find_piece(e, i);
    e->table->lse(e->type, r.n_rows, e->n_cols, element(e, r.part->logits, r.row, 0),
                  unit_of(r.part), e->stride, e->max + i * e->n_cols,
                  e->sum + i * e->n_cols);
}

static void join_column(const entropy *e, size_t c)
{
    float top = -INFINITY;
    for (size_t i = 0; i < e->n_pieces; i++) {
        float max = e->max[i * e->n_cols + c];
        if (max > top || isnan(max)) top = max;
        if (isnan(max)) break;
    }
    double sum = 0;
    for (size_t i = 0; i < e->n_pieces; i++) {
        float max = e->max[i * e->n_cols + c];
        if (max > -INFINITY || isnan(max))
            sum += exp((double)max - (double)top) * e->sum[i * e->n_cols + c];
    }
    bool ignored = e->targets[c] < 0;
    e->top[c] = top;
    e->factor[c] = ignored ? 0 : (float)(e->d_scale / sum);
    e->loss[c] = ignored ? 0 : log(sum) + (double)top - (double)e->hit[c];
}

static void join_columns(void *ctx, size_t i, int who)
{
    (void)who;
    const entropy *e = ctx;
    for (size_t c = i * CE_COLS; c < (i + 1) * CE_COLS && c < e->n_cols; c++) {
        if (e->targets[c] >= 0) {
            rows_piece r = target_of(e, c);
            const void *x = element(e, r.part->logits, r.row, c);
            e->hit[c] = unit_of(r.part) * (e->type == KERN_F16
                                               ? half_to_float(*(const half *)x)
                                               : *(const float *)x);
        }
        join_column(e, c);
    }
}

static void gradient_piece(void *ctx, size_t i, int who)
{
    (void)who;
    const entropy *e = ctx;
    rows_piece r = find_piece(e, i);
    e->table->softmax_cols(e->type, r.n_rows, e->n_cols,
                           element(e, r.part->logits, r.row, 0), unit_of(r.part),
                           element(e, r.part->d, r.row, 0), e->stride, e->top, e->factor);
}

/* softmax - 1 at the target, rounded once like every other element. */
static void put_targets(const entropy *e)
{
    for (size_t c = 0; c < e->n_cols; c++) {
        if (e->targets[c] < 0) continue;
        double p = exp((double)e->hit[c] - (double)e->top[c]) * (double)e->factor[c];
        float d = (float)(p - (double)e->d_scale);
        rows_piece r = target_of(e, c);
        void *z = element(e, r.part->d, r.row, c);
        if (e->type == KERN_F16) *(half *)z = half_from_float(d);
        else *(float *)z = d;
    }
}

static rc check_targets(const entropy *e, size_t vocab)
{
    for (size_t c = 0; c < e->n_cols; c++)
        if (e->targets[c] >= 0 && (size_t)e->targets[c] >= vocab)
            return err_fail(E_SHAPE,
                            "target %d of column %zu is outside the vocabulary of %zu",
                            (int)e->targets[c], c, vocab);
    return OK;
}

static rc entropy_scratch(kern *k, entropy *e)
{
    size_t plane = mem_mul(e->n_pieces, e->n_cols);
    size_t floats = mem_add(mem_mul(2, plane), mem_mul(3, e->n_cols));
    TRY(kern_scratch_grow(&k->shared, mem_mul(floats, sizeof(float))));
    e->max = k->shared.p;
    e->sum = e->max + plane;
    e->top = e->sum + plane;
    e->factor = e->top + e->n_cols;
    e->hit = e->factor + e->n_cols;
    return OK;
}

rc kern_cross_entropy(kern *k, kern_type t, size_t n_parts, const kern_ce_part *parts,
                      size_t n_cols, size_t stride, const int32_t *targets, float d_scale,
                      double *loss)
{
    entropy e = {.table = k->table,
                 .type = t,
                 .n_cols = n_cols,
                 .stride = stride,
                 .parts = parts,
                 .targets = targets,
                 .d_scale = d_scale,
                 .loss = loss};
    size_t vocab = 0;
    bool gradient = false;
    for (size_t i = 0; i < n_parts; i++) {
        vocab += parts[i].rows;
        e.n_pieces += (parts[i].rows + CE_ROWS - 1) / CE_ROWS;
        gradient |= parts[i].d != NULL;
    }
    for (size_t i = 0; i < n_parts; i++)
        if (gradient && !parts[i].d)
            return err_fail(E_SHAPE,
                            "part %zu of the logits has no gradient, others have", i);
    TRY(check_targets(&e, vocab));
    pool_hold(k->pool);
    rc code = entropy_scratch(k, &e);
    if (code == OK) {
        pool_run(k->pool, e.n_pieces, lse_piece, &e);
        pool_run(k->pool, (n_cols + CE_COLS - 1) / CE_COLS, join_columns, &e);
        if (gradient) {
            pool_run(k->pool, e.n_pieces, gradient_piece, &e);
            put_targets(&e);
        }
    }
    pool_release(k->pool);
    return code;
}
