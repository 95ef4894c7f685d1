/* host_ops.c - the host's share of a step, on the kernels of `kern`.
 *
 * Gradients are summed in fp32 into the caller's arrays. Each element belongs
 * to one task and its terms come in a fixed order, so the bits do not depend
 * on the number of threads. */
#include "exec/internal.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32 }; /* channels of a task in table look-ups */

/* ---- operands ---- */
/* A surface is mapped for the time of the op; host memory is just there. */
static rc open_operand(exec *x, int buffer, void **out)
{
    return x->surfaces[buffer] ? exec_map(x, buffer, out) : exec_memory(x, buffer, out);
}

static rc close_operand(exec *x, int buffer)
{
    return x->surfaces[buffer] ? exec_unmap(x, buffer) : OK;
}

static rc check_ids(const int32_t *ids, size_t n, int64_t vocab)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return err_fail(E_NUMERIC,
                            "token id %d at %zu is not in the vocabulary of %lld",
                            (int)ids[i], i, (long long)vocab);
    return OK;
}

/* What takes the form of the operands out of a sum. */
static float undo_of(const exec *x, const plan_step *s)
{
    return 1 / exec_window_form(x, s->form);
}

/* ---- embedding ---- */
typedef struct {
    exec *x;
    const int32_t *ids;
    float *table;  /* [V,D]: master or gradient */
    half *columns; /* [D rows of T] */
    size_t width, n_ids, stride;
    float factor; /* of what is added */
} lookup;

/* columns[d][t] = table[ids[t]][d] */
static void gather(void *ctx, size_t task)
{
    const lookup *l = ctx;
    size_t from = task * BLOCK, n = l->width - from < BLOCK ? l->width - from : BLOCK;
    half row[BLOCK];
    for (size_t t = 0; t < l->n_ids; t++) {
        kern_convert(l->x->k, KERN_F32, KERN_F16, n,
                     l->table + (size_t)l->ids[t] * l->width + from, row);
        for (size_t i = 0; i < n; i++) l->columns[(from + i) * l->stride + t] = row[i];
    }
}

/* table[ids[t]][d] += factor * columns[d][t], in order of t */
static void scatter(void *ctx, size_t task)
{
    const lookup *l = ctx;
    size_t from = task * BLOCK, n = l->width - from < BLOCK ? l->width - from : BLOCK;
    for (size_t t = 0; t < l->n_ids; t++) {
        float *row = l->table + (size_t)l->ids[t] * l->width + from;
        for (size_t i = 0; i < n; i++)
            row[i] += l->factor * half_to_float(l->columns[(from + i) * l->stride + t]);
    }
}

/* Forward and back: the same walk over ids, in tasks of some channels. */
static rc look_up(exec *x, const plan_step *s, bool back)
{
    int columns = back ? s->in[1] : s->out[0], table = back ? s->out[0] : s->in[0];
    const ir_node *n = s->node;
    ir_shape y = back ? n->in[1]->shape : n->shape;
    const plan_buffer *q = &x->p->buffers[columns];
    lookup l = {.x = x, .width = (size_t)y.d[1], .n_ids = (size_t)y.d[3]};
    l.factor = undo_of(x, s);
    int64_t vocab = back ? n->attr.vocab : n->in[0]->shape.d[0];
    void *ids, *weights, *p;
    l.stride = q->row == q->row_stride ? l.n_ids : (size_t)q->row_stride;
    TRY(exec_memory(x, back ? s->in[0] : s->in[1], &ids));
    TRY(exec_memory(x, table, &weights));
    TRY(check_ids(ids, l.n_ids, vocab));
    l.ids = ids;
    l.table = weights;
    TRY(open_operand(x, columns, &p));
    l.columns = p;
    kern_for(x->k, (l.width + BLOCK - 1) / BLOCK, back ? scatter : gather, &l);
    return close_operand(x, columns);
}

/* ---- loss ---- */
/* The logits and their gradient may be cut differently: parts for the kernel
 * end wherever either does. */
static int cut_parts(exec *x, const plan_step *s, void *const *logits, void *const *d,
                     int n_d, host_work *w)
{
    const plan_buffer *q = x->p->buffers;
    int64_t columns = s->node->in[0]->shape.d[3], row = 0,
            rows = s->node->in[0]->shape.d[1];
    int64_t first_x = 0, first_d = 0;
    int count = 0;
    for (int i = 0, j = 0; row < rows; count++) {
        const plan_buffer *a = &q[s->in[i]], *b = n_d ? &q[s->out[j]] : NULL;
        int64_t stride = a->row == a->row_stride ? columns : a->row_stride;
        int64_t end_x = first_x + ir_count(a->logical) / columns;
        int64_t end_d = b ? first_d + ir_count(b->logical) / columns : end_x;
        int64_t end = end_x < end_d ? end_x : end_d;
        w->parts[count].rows = (size_t)(end - row);
        w->parts[count].logits = (half *)logits[i] + (row - first_x) * stride;
        w->parts[count].unit = 1 / exec_window_form(x, s->logits_form);
        w->parts[count].d = b ? (half *)d[j] + (row - first_d) * stride : NULL;
        row = end;
        if (end == end_x) first_x = end, i++;
        if (end == end_d) first_d = end, j++;
    }
    return count;
}

/* The mean over counted columns, and d/d logits = (softmax - onehot) d / n. */
static rc compute_loss(exec *x, const plan_step *s, host_work *w)
{
    const ir_node *n = s->node;
    bool back = n->op == IR_cross_entropy_dx;
    int at_d = s->n_parts + 1;
    int n_d = back ? s->n_out - (s->n_loss ? 1 : 0) : 0;
    const plan_buffer *q = &x->p->buffers[s->in[0]];
    size_t columns = (size_t)n->in[0]->shape.d[3], counted = 0;
    size_t stride = q->row == q->row_stride ? columns : (size_t)q->row_stride;
    void *p, *ids;
    double sum = 0, d = s->factor;
    for (int i = 0; i < s->n_parts; i++) TRY(open_operand(x, s->in[i], &w->map[i]));
    for (int i = 0; i < n_d; i++)
        TRY(open_operand(x, s->out[i], &w->map[s->n_parts + i]));
    TRY(exec_memory(x, s->in[s->n_parts], &ids));
    if (back && s->n_in > at_d) {
        TRY(exec_memory(x, s->in[at_d], &p));
        d = *(float *)p;
    }
    d *= (double)exec_window_form(x, s->form);
    for (size_t i = 0; i < columns; i++) counted += ((int32_t *)ids)[i] >= 0;
    int n_parts = cut_parts(x, s, w->map, w->map + s->n_parts, n_d, w);
    TRY(kern_cross_entropy(x->k, KERN_F16, (size_t)n_parts, w->parts, columns, stride,
                           ids, (float)(counted ? d / (double)counted : 0), w->loss));
    for (size_t i = 0; i < columns; i++) sum += w->loss[i];
    if (s->n_loss) {
        TRY(exec_memory(x, s->out[s->n_out - 1], &p));
        *(float *)p = (float)(counted ? sum / (double)counted : 0);
    }
    for (int i = 0; i < s->n_parts; i++) TRY(close_operand(x, s->in[i]));
    for (int i = 0; i < n_d; i++) TRY(close_operand(x, s->out[i]));
    return OK;
}

/* What is left of a loss whose sums the engine has made: each column reads one logit. */
static rc finish_loss(exec *x, const plan_step *s, host_work *w)
{
    const ir_node *n = s->node;
    int64_t columns = n->in[0]->shape.d[3], vocab = n->in[0]->shape.d[1];
    const plan_buffer *q = x->p->buffers;
    float *base = w->floats, *sums = base + columns;
    void *p, *memory;
    double all = 0;
    int64_t counted = 0;
    TRY(exec_memory(x, s->in[s->n_parts], &memory));
    const int32_t *ids = memory;
    for (int64_t t = 0; t < columns; t++)
        if (ids[t] >= vocab)
            return err_fail(E_SHAPE,
                            "target %d of column %lld is outside the vocabulary of %lld",
                            (int)ids[t], (long long)t, (long long)vocab);
    TRY(exec_read(x, s->in[s->n_parts + 1], base));
    TRY(exec_read(x, s->in[s->n_parts + 2], sums));
    for (int64_t i = 0, row = 0; i < s->n_parts; i++) {
        const plan_buffer *part = &q[s->in[i]];
        int64_t stride = part->row == part->row_stride ? columns : part->row_stride;
        int64_t rows = ir_count(part->logical) / columns;
        TRY(open_operand(x, s->in[i], &p));
        for (int64_t t = 0; t < columns; t++) {
            int64_t at = ids[t] - row;
            if (ids[t] < 0 || at < 0 || at >= rows) continue;
            double logit = half_to_float(((const half *)p)[at * stride + t]);
            all += (double)base[t] + log((double)sums[t] * n->attr.scale) - logit;
            counted++;
        }
        TRY(close_operand(x, s->in[i]));
        row += rows;
    }
    TRY(exec_memory(x, s->out[0], &p));
    *(float *)p = (float)(counted ? all / (double)counted : 0);
    return OK;
}

/* ---- weight gradients ---- */
/* Operand j as a matrix of `rows` by `cols`, after its transposition. */
static kern_mat matrix(const exec *x, const plan_step *s, int j, const void *p)
{
    const plan_buffer *q = &x->p->buffers[s->in[j]];
    const ir_node *n = s->node;
    ir_shape shape = n->in[j]->shape;
    int64_t width = shape.d[shape.rank - 1];
    ptrdiff_t stride = (ptrdiff_t)(q->row == q->row_stride ? width : q->row_stride);
    bool turned = j == 0 ? n->attr.tx : n->attr.ty;
    return (kern_mat){p, KERN_F16, turned ? 1 : stride, turned ? stride : 1, 0};
}

static void product_size(const ir_node *n, size_t *m, size_t *cols, size_t *inner)
{
    ir_shape a = n->in[0]->shape, c = n->shape;
    *m = (size_t)c.d[c.rank - 2];
    *cols = (size_t)c.d[c.rank - 1];
    *inner = (size_t)a.d[n->attr.tx ? a.rank - 2 : a.rank - 1];
}

/* GRAD[at...] += X Y, fp16 operands, fp32 sums. */
static rc multiply(exec *x, const plan_step *s)
{
    size_t m, n, k;
    void *p[2], *grad;
    product_size(s->node, &m, &n, &k);
    TRY(exec_memory(x, s->out[0], &grad));
    for (int j = 0; j < 2; j++) TRY(open_operand(x, s->in[j], &p[j]));
    kern_out c = {(float *)grad + s->at, KERN_F32, (ptrdiff_t)n, 0, true};
    kern_tail tail = {.alpha = undo_of(x, s)};
    rc r = kern_gemm(x->k, 1, m, n, k, matrix(x, s, 0, p[0]), matrix(x, s, 1, p[1]), c,
                     s->form ? &tail : NULL);
    for (int j = 0; j < 2; j++) TRY(close_operand(x, s->in[j]));
    return r;
}

/* GRAD[at...] += each part of a stored value. */
static rc accumulate(exec *x, const plan_step *s)
{
    void *p;
    TRY(exec_memory(x, s->out[0], &p));
    float *grad = (float *)p + s->at, undo = s->form ? undo_of(x, s) : 1;
    for (int j = 0; j < s->n_in; j++) {
        TRY(exec_add(x, s->in[j], undo, grad));
        grad += ir_count(x->p->buffers[s->in[j]].logical);
    }
    return OK;
}

/* ---- one step ---- */
rc exec_host_run(exec *x, int step)
{
    const plan_step *s = &x->p->steps[step];
    switch (s->host) {
    case PLAN_HOST_EMBEDDING:
        return look_up(x, s, false);
    case PLAN_HOST_EMBEDDING_DW:
        return look_up(x, s, true);
    case PLAN_HOST_LOSS:
        if (s->node->op == IR_target_loss) return finish_loss(x, s, &x->work[step]);
        return compute_loss(x, s, &x->work[step]);
    case PLAN_HOST_MATMUL:
        return multiply(x, s);
    case PLAN_HOST_ADD:
        return accumulate(x, s);
    case PLAN_HOST_EVAL:
        return host_eval_run(x, step);
    }
    return err_fail(E_FAILED, "no host work of kind %d", (int)s->host);
}

/* Scratch of a step, taken at open. */
rc exec_host_prepare(exec *x, int step)
{
    const plan_step *s = &x->p->steps[step];
    host_work *w = &x->work[step];
    size_t operands = (size_t)(s->n_in + s->n_out) + 1;
    if (s->host == PLAN_HOST_EVAL) return host_eval_prepare(x, step);
    if (s->host == PLAN_HOST_MATMUL) {
        size_t m, n, k;
        product_size(s->node, &m, &n, &k);
        return kern_gemm_reserve(x->k, m, n, k);
    }
    if (s->host == PLAN_HOST_LOSS && s->node->op == IR_target_loss) {
        size_t columns = (size_t)s->node->in[0]->shape.d[3];
        w->floats = arena_array(x->mem, 2 * columns, sizeof *w->floats);
        return w->floats ? OK : E_MEMORY;
    }
    if (s->host == PLAN_HOST_LOSS) {
        w->loss = arena_array(x->mem, (size_t)s->node->in[0]->shape.d[3],
                              sizeof *w->loss);
        w->parts = arena_array(x->mem, operands, sizeof *w->parts);
        w->map = arena_array(x->mem, operands, sizeof *w->map);
        return w->loss && w->parts && w->map ? OK : E_MEMORY;
    }
    return OK;
}

void exec_host_release(exec *x, int step)
{
    host_eval_release(x, step);
}
