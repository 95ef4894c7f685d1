/* host_eval.c - a piece of the graph computed on the host: PLAN_HOST_EVAL.
 *
 * Each node's value is made whole, in fp32, by vector kernels and all threads, where
 * host_layout.c has put it; what lies on a surface is converted once. Products read
 * fp16 surfaces as they lie, and write them. An op that has no kernel goes to the
 * oracle, one element after the other in double. */
#include "exec/host_eval.h"

#include <string.h>

bool host_on_surface(const exec *x, int buffer)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    return q->home == PLAN_SURFACE || q->home == PLAN_WEIGHT;
}

static bool is_leaf(const ir_node *n)
{
    return n->op == IR_input || n->op == IR_constant;
}

/* ---- a step ---- */
static rc take_input(exec *x, const plan_step *s, host_eval *e, const ir_node *n)
{
    int k = e->input[n->id], buffer = s->in[k];
    const plan_buffer *q = &x->p->buffers[buffer];
    node_value *at = &e->at[n->id];
    if (at->direct) {
        void *p;
        TRY(exec_map(x, buffer, &p));
        e->raw[k] = (host_matrix){p, KERN_F16, q->row_stride};
    } else if (at->own) {
        TRY(exec_read(x, buffer, at->own));
        at->v = at->own;
    } else {
        void *p;
        TRY(exec_memory(x, buffer, &p));
        at->v = p;
    }
    return OK;
}

static host_matrix operand(const host_eval *e, const plan *p, const plan_step *s,
                           const ir_node *n)
{
    const ir_node *from = e->at[n->id].root;
    int64_t width = n->shape.d[n->shape.rank - 1];
    if (!e->at[from->id].direct) return (host_matrix){e->at[from->id].v, KERN_F32, width};
    host_matrix m = e->raw[e->input[from->id]];
    const plan_buffer *q = &p->buffers[s->in[e->input[from->id]]];
    if (q->row == q->row_stride) m.stride = width;
    return m;
}

static rc multiply(exec *x, const plan_step *s, host_eval *e, const ir_node *n)
{
    host_matrix in[2];
    node_value *at = &e->at[n->id];
    for (int j = 0; j < 2; j++) in[j] = operand(e, x->p, s, n->in[j]);
    if (!at->direct) return host_matmul(x->k, n, in, at->own, KERN_F32);
    int buffer = s->out[e->output[n->id]];
    void *p;
    TRY(exec_map(x, buffer, &p));
    TRY(host_matmul(x->k, n, in, p, KERN_F16));
    return exec_unmap(x, buffer);
}

/* By the oracle. */
static rc compute_slowly(host_eval *e, const ir_node *n)
{
    if (!e->slow && !(e->slow = arena_new())) return E_MEMORY;
    arena_reset(e->slow);
    size_t count = (size_t)ir_count(n->shape);
    const double **in = arena_array(e->slow, (size_t)n->n_in + 1, sizeof *in);
    double *y = arena_array(e->slow, count, sizeof *y);
    if (!in || !y) return E_MEMORY;
    for (int j = 0; j < n->n_in; j++) {
        size_t size = (size_t)ir_count(n->in[j]->shape);
        const float *v = e->at[e->at[n->in[j]->id].root->id].v;
        double *to = arena_array(e->slow, size, sizeof *to);
        if (!to) return E_MEMORY;
        for (size_t i = 0; i < size; i++) to[i] = (double)v[i];
        in[j] = to;
    }
    TRY(ir_eval_node(n, in, y));
    for (size_t i = 0; i < count; i++) e->at[n->id].own[i] = (float)y[i];
    return OK;
}

bool host_compute(const host_op *o)
{
    switch (o->n->op) {
    case IR_reduce_sum:
    case IR_reduce_mean:
    case IR_reduce_max:
        return host_reduce(o);
    case IR_softmax:
        return host_softmax(o);
    case IR_rms_norm:
    case IR_rms_scale:
        return host_norm(o);
    case IR_rope:
        return host_rope(o);
    case IR_target_code:
        return host_target_code(o);
    case IR_transpose:
    case IR_slice:
    case IR_split:
    case IR_tile:
        return host_move(o);
    default:
        return host_each(o);
    }
}

static rc compute(exec *x, const plan_step *s, host_eval *e, const ir_node *n)
{
    node_value *at = &e->at[n->id];
    if (n->op == IR_matmul && host_multiplies(n)) {
        TRY(multiply(x, s, e, n));
    } else if (n->op == IR_concat) {
        for (int j = 0; j < n->n_in; j++)
            host_join(x->k, n, j, e->at[e->at[n->in[j]->id].root->id].v, at->own);
    } else {
        host_op o = {.k = x->k, .n = n, .out = at->own, .table = at->table};
        for (int j = 0; j < n->n_in && j < 3; j++)
            o.in[j] = e->at[e->at[n->in[j]->id].root->id].v;
        if (!host_compute(&o)) TRY(compute_slowly(e, n));
    }
    at->v = at->own;
    return OK;
}

/* Those of a surface without its padding, as a device counts what it writes. */
static rc count_infinities(exec *x, int buffer, uint64_t *n)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    size_t count = (size_t)ir_count(q->logical), row = (size_t)q->row;
    void *p;
    if (!host_on_surface(x, buffer)) return OK;
    TRY(exec_map(x, buffer, &p));
    if (q->row == q->row_stride) row = count;
    for (size_t i = 0; i < count / row; i++)
        *n += kern_count_bad(x->k, KERN_F16, row, (half *)p + i * (size_t)q->row_stride);
    return exec_unmap(x, buffer);
}

/* A value of several pieces lies in as many buffers. */
static rc hand_out(exec *x, const plan_step *s, host_eval *e, uint64_t *infinities)
{
    const ir_graph *g = e->g;
    for (int i = 0, k = 0; i < g->n_outputs; i++) {
        const node_value *at = &e->at[e->at[g->outputs[i].node->id].root->id];
        int64_t left = ir_count(g->outputs[i].node->shape);
        for (const float *v = at->v; left > 0; k++) {
            int64_t n = ir_count(x->p->buffers[s->out[k]].logical);
            if (!at->direct) TRY(exec_write(x, s->out[k], v));
            if (!at->direct) v += n;
            TRY(count_infinities(x, s->out[k], infinities));
            left -= n;
        }
    }
    return OK;
}

rc host_eval_run(exec *x, int step)
{
    const plan_step *s = &x->p->steps[step];
    host_work *w = &x->work[step];
    host_eval *e = w->eval;
    const ir_graph *g = e->g;
    w->infinities = 0;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_input) TRY(take_input(x, s, e, g->nodes[i]));
    for (int i = 0; i < g->n_nodes; i++)
        if (!is_leaf(g->nodes[i]) && !host_is_view(g->nodes[i]))
            TRY(compute(x, s, e, g->nodes[i]));
    TRY(hand_out(x, s, e, &w->infinities));
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_input && e->at[i].direct)
            TRY(exec_unmap(x, s->in[e->input[i]]));
    return OK;
}
