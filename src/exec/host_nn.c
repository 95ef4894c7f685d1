/* host_nn.c - sums, softmax, norms, rotary positions and products on the host, fp32.
 *
 * A value with an axis is [outer, n, inner], n along the axis. Each element of a result
 * belongs to one task and its terms come in a fixed order. */
#include "exec/host_eval.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 256, ROWS = 16 }; /* of a task */

/* Axes first..last of s. */
typedef struct {
    const host_op *o;
    int64_t outer, n, inner;
    int64_t cuts; /* of the columns of one outer */
    kern_reduce_op reduce;
    float factor;
} lines;

static lines lines_of(const host_op *o, int first, int last)
{
    ir_shape s = o->n->in[0]->shape;
    lines l = {.o = o, .outer = 1, .n = 1, .inner = 1};
    for (int i = 0; i < s.rank; i++)
        *(i < first ? &l.outer : i > last ? &l.inner : &l.n) *= s.d[i];
    l.cuts = (l.inner + COLUMNS - 1) / COLUMNS;
    return l;
}

/* The columns of a task, and the first of them. */
static int64_t columns_of(const lines *l, size_t task, int64_t *outer, int64_t *first)
{
    *outer = (int64_t)task / l->cuts;
    *first = (int64_t)task % l->cuts * COLUMNS;
    return l->inner - *first < COLUMNS ? l->inner - *first : COLUMNS;
}

/* ---- sums ---- */
static void reduce_columns(void *ctx, size_t task)
{
    const lines *l = ctx;
    int64_t outer, first, n = columns_of(l, task, &outer, &first);
    float *z = l->o->out + outer * l->inner + first;
    kern_reduce_cols(l->o->k, l->reduce, KERN_F32, (size_t)l->n, (size_t)n,
                     l->o->in[0] + outer * l->n * l->inner + first, (size_t)l->inner, z);
    for (int64_t i = 0; i < n; i++) z[i] *= l->factor;
}

static void reduce_rows(void *ctx, size_t task)
{
    const lines *l = ctx;
    for (int64_t r = (int64_t)task * ROWS; r < l->outer && r < (int64_t)(task + 1) * ROWS;
         r++)
        l->o->out[r] = l->factor * kern_reduce_row(l->o->k, l->reduce, KERN_F32,
                                                   (size_t)l->n, l->o->in[0] + r * l->n);
}

bool host_reduce(const host_op *o)
{
    const ir_attr *a = &o->n->attr;
    for (int i = 1; i < a->n_axes; i++)
        if (a->axes[i] != a->axes[i - 1] + 1) return false;
    lines l = lines_of(o, a->axes[0], a->axes[a->n_axes - 1]);
    l.reduce = o->n->op == IR_reduce_max ? KERN_MAX : KERN_SUM;
    l.factor = o->n->op == IR_reduce_mean ? 1 / (float)l.n : 1;
    if (l.inner == 1)
        kern_for(o->k, (size_t)((l.outer + ROWS - 1) / ROWS), reduce_rows, &l);
    else kern_for(o->k, (size_t)(l.outer * l.cuts), reduce_columns, &l);
    return true;
}

static void softmax_rows(void *ctx, size_t task)
{
    const lines *l = ctx;
    for (int64_t r = (int64_t)task * ROWS; r < l->outer && r < (int64_t)(task + 1) * ROWS;
         r++)
        kern_softmax_row(l->o->k, KERN_F32, (size_t)l->n, l->o->in[0] + r * l->n,
                         l->o->out + r * l->n);
}

bool host_softmax(const host_op *o)
{
    int axis = o->n->attr.axis;
    lines l = lines_of(o, axis, axis);
    if (l.inner != 1) return false;
    kern_for(o->k, (size_t)((l.outer + ROWS - 1) / ROWS), softmax_rows, &l);
    return true;
}

/* ---- norms: r = 1 / sqrt(mean(x^2) + eps), and x r w ---- */
static void norm_columns(void *ctx, size_t task)
{
    const lines *l = ctx;
    const ir_node *n = l->o->n;
    int64_t outer, first, count = columns_of(l, task, &outer, &first);
    const float *x = l->o->in[0] + outer * l->n * l->inner + first, *w = l->o->in[1];
    float r[COLUMNS] = {0}, square[COLUMNS];
    size_t m = (size_t)count;
    for (int64_t i = 0; i < l->n; i++) {
        const float *row = x + i * l->inner;
        kern_binary(l->o->k, KERN_MUL, KERN_F32, m, row, 1, row, 1, square);
        kern_binary(l->o->k, KERN_ADD, KERN_F32, m, r, 1, square, 1, r);
    }
    for (int64_t c = 0; c < count; c++)
        r[c] = 1 / sqrtf(r[c] / (float)l->n + (float)n->attr.eps);
    if (n->op == IR_rms_scale) {
        memcpy(l->o->out + outer * l->inner + first, r, m * sizeof *r);
        return;
    }
    float *z = l->o->out + outer * l->n * l->inner + first;
    for (int64_t i = 0; i < l->n; i++) {
        kern_binary(l->o->k, KERN_MUL, KERN_F32, m, x + i * l->inner, 1, r, 1, square);
        kern_binary(l->o->k, KERN_MUL, KERN_F32, m, square, 1, w + i, 0,
                    z + i * l->inner);
    }
}

/* The weight has one value for each place along the axis. */
bool host_norm(const host_op *o)
{
    const ir_node *n = o->n;
    int axis = n->attr.axis;
    lines l = lines_of(o, axis, axis);
    if (n->op == IR_rms_norm) {
        ir_shape w = n->in[1]->shape, x = n->shape;
        int at = axis - (x.rank - w.rank);
        if (at < 0 || w.d[at] != l.n || ir_count(w) != l.n) return false;
    }
    kern_for(o->k, (size_t)(l.outer * l.cuts), norm_columns, &l);
    return true;
}

/* ---- rotary positions: pairs of rows, as the oracle's ir_eval_rope ---- */
size_t host_rope_floats(const ir_node *n)
{
    const ir_attr *a = &n->attr;
    return (size_t)(a->head_dim / 2 * 2) * (size_t)(n->shape.d[3] / a->batch);
}

void host_rope_table(const ir_node *n, float *out)
{
    const ir_attr *a = &n->attr;
    const int64_t seq = n->shape.d[3] / a->batch, pairs = a->head_dim / 2;
    for (int64_t i = 0; i < pairs; i++) {
        double rate = pow(a->theta, -2.0 * (double)i / a->head_dim);
        for (int64_t j = 0; j < seq; j++) {
            double angle = (double)j * rate * (a->inverse ? -1 : 1);
            out[i * seq + j] = (float)cos(angle);
            out[(pairs + i) * seq + j] = (float)sin(angle);
        }
    }
}

static void turn_pair(void *ctx, size_t task)
{
    const host_op *o = ctx;
    const ir_attr *a = &o->n->attr;
    const int64_t t = o->n->shape.d[3], seq = t / a->batch, pairs = a->head_dim / 2;
    int64_t head = (int64_t)task / pairs, i = (int64_t)task % pairs;
    int64_t c1 = head * a->head_dim + (a->interleaved ? 2 * i : i);
    int64_t c2 = c1 + (a->interleaved ? 1 : pairs);
    const float *cosine = o->table + i * seq, *sine = o->table + (pairs + i) * seq;
    for (int64_t b = 0; b < a->batch; b++) {
        const float *x1 = o->in[0] + c1 * t + b * seq, *x2 = o->in[0] + c2 * t + b * seq;
        float *y1 = o->out + c1 * t + b * seq, *y2 = o->out + c2 * t + b * seq;
        for (int64_t j = 0; j < seq; j++) {
            y1[j] = x1[j] * cosine[j] - x2[j] * sine[j];
            y2[j] = x1[j] * sine[j] + x2[j] * cosine[j];
        }
    }
}

bool host_rope(const host_op *o)
{
    const ir_attr *a = &o->n->attr;
    kern_for(o->k, (size_t)a->heads * (size_t)(a->head_dim / 2), turn_pair,
             (void *)(uintptr_t)o);
    return true;
}

/* Left to the oracle, which says so, if an id is none of the vocabulary's. */
bool host_target_code(const host_op *o)
{
    const int64_t bits = o->n->shape.d[1] - 1, t = o->n->shape.d[3];
    int64_t counted = 0;
    for (int64_t j = 0; j < t; j++) {
        if (o->in[0][j] >= (float)o->n->attr.vocab) return false;
        counted += o->in[0][j] >= 0;
    }
    for (int64_t j = 0; j < t; j++) {
        bool counts = o->in[0][j] >= 0;
        int64_t id = counts ? (int64_t)o->in[0][j] : 0;
        float d = counts ? o->in[1][0] / (float)counted : 0;
        for (int64_t i = 0; i < bits; i++)
            o->out[i * t + j] = id >> i & 1 ? d / 2 : -d / 2;
        o->out[bits * t + j] = d;
    }
    return true;
}

/* ---- products ---- */
typedef struct {
    int64_t batch, m, n, k;
} size;

static size size_of(const ir_node *n)
{
    ir_shape s = n->shape, x = n->in[0]->shape;
    size z = {1, s.d[s.rank - 2], s.d[s.rank - 1], 0};
    z.k = x.d[n->attr.tx ? x.rank - 2 : x.rank - 1];
    z.batch = ir_count(s) / (z.m * z.n);
    return z;
}

static int64_t batch_of(const ir_node *n, int j)
{
    ir_shape s = n->in[j]->shape;
    return ir_count(s) / (s.d[s.rank - 2] * s.d[s.rank - 1]);
}

bool host_multiplies(const ir_node *n)
{
    int64_t batch = size_of(n).batch;
    for (int j = 0; j < 2; j++) {
        int64_t own = batch_of(n, j);
        if (own != 1 && own != batch) return false;
    }
    return true;
}

static kern_mat matrix_of(const ir_node *n, int j, host_matrix x)
{
    ir_shape s = n->in[j]->shape;
    bool turned = j ? n->attr.ty : n->attr.tx;
    ptrdiff_t stride = (ptrdiff_t)x.stride;
    ptrdiff_t batch = batch_of(n, j) > 1 ? (ptrdiff_t)s.d[s.rank - 2] * stride : 0;
    return (kern_mat){x.p, x.type, turned ? 1 : stride, turned ? stride : 1, batch};
}

rc host_matmul(kern *k, const ir_node *n, const host_matrix in[2], void *out,
               kern_type type)
{
    size z = size_of(n);
    kern_out c = {out, type, (ptrdiff_t)z.n, (ptrdiff_t)(z.m * z.n), false};
    return kern_gemm(k, (size_t)z.batch, (size_t)z.m, (size_t)z.n, (size_t)z.k,
                     matrix_of(n, 0, in[0]), matrix_of(n, 1, in[1]), c, NULL);
}

rc host_matmul_reserve(kern *k, const ir_node *n)
{
    size z = size_of(n);
    return kern_gemm_reserve(k, (size_t)z.m, (size_t)z.n, (size_t)z.k);
}
