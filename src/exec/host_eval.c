/* host_eval.c - a piece of the graph computed on the host: PLAN_HOST_EVAL.
 *
 * Each node's value is made whole, in fp32, by vector kernels and all threads; a value
 * lies in scratch until its last reader is done, and what lies on a surface is
 * converted once. Products read fp16 surfaces as they lie, and write them. An op
 * that has no kernel goes to the oracle, one element after the other in double.
 *
 * Layers that are equal share one graph, and so what was prepared for it. */
#include "exec/host_eval.h"

#include <string.h>

typedef struct {
    const ir_node *root; /* itself, or what it only gives another shape */
    float *own;          /* of roots: scratch, or a constant; NULL for the others */
    const float *v;      /* of roots: the value, once it is there */
    const float *table;  /* rope */
    bool direct;         /* input: products read the surface; else: it is written to an
                            fp16 surface straight away */
} node_value;

struct host_eval {
    const ir_graph *g;
    node_value *at;      /* by node */
    host_matrix *raw;    /* by input, while mapped */
    int *input, *output; /* by node: index in step.in, step.out; -1 */
    arena *slow;         /* the oracle's, reset each time */
};

static bool is_view(const ir_node *n)
{
    return n->op == IR_reshape ||
           (n->op == IR_cast && n->type != IR_INT32 && n->in[0]->type != IR_INT32);
}

static bool is_leaf(const ir_node *n)
{
    return n->op == IR_input || n->op == IR_constant;
}

/* ---- what is read and written where it lies ---- */
/* Rows of a matrix are those of the surface. */
static bool lies_in_rows(const plan_buffer *q, const ir_node *n)
{
    return q->row == q->row_stride || q->row == n->shape.d[n->shape.rank - 1];
}

static bool on_surface(const exec *x, int buffer)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    return q->home == PLAN_SURFACE || q->home == PLAN_WEIGHT;
}

/* Inputs that only products read. */
static void find_direct(const exec *x, const plan_step *s, host_eval *e)
{
    const ir_graph *g = e->g;
    for (int i = 0; i < g->n_nodes; i++)
        e->at[i].direct = g->nodes[i]->op == IR_input &&
                          on_surface(x, s->in[e->input[i]]);
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        for (int j = 0; j < n->n_in && !is_view(n); j++) {
            const ir_node *from = e->at[n->in[j]->id].root;
            if (from->op != IR_input) continue;
            bool rows = lies_in_rows(&x->p->buffers[s->in[e->input[from->id]]], n->in[j]);
            if (n->op != IR_matmul || !host_multiplies(n) || !rows)
                e->at[from->id].direct = false;
        }
    }
    for (int i = 0; i < g->n_outputs; i++)
        e->at[e->at[g->outputs[i].node->id].root->id].direct = false;
}

/* A product that is nothing but one output, on a surface in tight rows. */
static bool goes_out(const exec *x, const plan_step *s, const host_eval *e,
                     const ir_node *n, int readers)
{
    int at = e->output[n->id];
    if (at < 0 || readers > 1 || n->op != IR_matmul || !host_multiplies(n)) return false;
    const plan_buffer *q = &x->p->buffers[s->out[at]];
    return e->g->n_outputs == s->n_out && on_surface(x, s->out[at]) &&
           q->row == q->row_stride;
}

/* ---- scratch ---- */
typedef struct {
    size_t n;
    float *p;
    bool taken;
} block;

static float *take(exec *x, block *all, int *n_blocks, size_t n)
{
    int i = 0;
    while (i < *n_blocks && (all[i].taken || all[i].n != n)) i++;
    if (i == *n_blocks) {
        all[i] = (block){n, arena_array(x->mem, n, sizeof(float)), true};
        if (!all[i].p) return NULL;
        ++*n_blocks;
    }
    all[i].taken = true;
    return all[i].p;
}

static void give_back(block *all, int n_blocks, const float *p)
{
    for (int i = 0; i < n_blocks; i++)
        if (all[i].p == p) all[i].taken = false;
}

static rc make_constant(exec *x, const ir_node *n, float **out)
{
    size_t count = (size_t)ir_count(n->shape);
    float *v = arena_array(x->mem, count, sizeof *v);
    if (!v) return E_MEMORY;
    for (size_t i = 0; i < count; i++) v[i] = (float)n->data[n->uniform ? 0 : i];
    *out = v;
    return OK;
}

/* Read on each side of the step's inputs and outputs. */
static void count_readers(const host_eval *e, int *last, int *readers)
{
    const ir_graph *g = e->g;
    for (int i = 0; i < g->n_nodes; i++)
        for (int j = 0; j < g->nodes[i]->n_in && !is_view(g->nodes[i]); j++) {
            int from = e->at[g->nodes[i]->in[j]->id].root->id;
            last[from] = i;
            readers[from]++;
        }
    for (int i = 0; i < g->n_outputs; i++) {
        int from = e->at[g->outputs[i].node->id].root->id;
        last[from] = g->n_nodes;
        readers[from]++;
    }
}

/* In place where an op goes element by element: blocks are found again by their very
 * size, so no operand that is spread over an axis lies there. */
static rc lay_out(exec *x, const plan_step *s, host_eval *e, int *last, int *readers,
                  block *blocks)
{
    const ir_graph *g = e->g;
    int n_blocks = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        node_value *at = &e->at[i];
        bool in_place = host_is_each(n->op);
        if (at->root != n) continue;
        if (n->op == IR_constant) {
            TRY(make_constant(x, n, &at->own));
            at->v = at->own;
            continue;
        }
        if (n->op == IR_input) {
            const plan_buffer *q = &x->p->buffers[s->in[e->input[i]]];
            bool there = !on_surface(x, s->in[e->input[i]]) && q->type != IR_INT32;
            if (at->direct || there) continue;
        } else {
            at->direct = goes_out(x, s, e, n, readers[i]);
        }
        for (int turn = 0; turn < 2; turn++) { /* give back and take, or the other way */
            if (turn == in_place) {
                size_t count = (size_t)ir_count(n->shape);
                if (!at->direct && !(at->own = take(x, blocks, &n_blocks, count)))
                    return E_MEMORY;
                continue;
            }
            for (int j = 0; j < n->n_in; j++) {
                const ir_node *from = e->at[n->in[j]->id].root;
                if (last[from->id] == i) give_back(blocks, n_blocks, e->at[from->id].own);
            }
        }
    }
    return OK;
}

/* ---- at open ---- */
static rc prepare_node(exec *x, host_eval *e, const ir_node *n)
{
    if (n->op == IR_matmul && host_multiplies(n)) return host_matmul_reserve(x->k, n);
    if (n->op != IR_rope) return OK;
    float *table = arena_array(x->mem, host_rope_floats(n), sizeof *table);
    if (!table) return E_MEMORY;
    host_rope_table(n, table);
    e->at[n->id].table = table;
    return OK;
}

static rc find_places(exec *x, const plan_step *s, host_eval *e)
{
    const ir_graph *g = e->g;
    int inputs = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        e->input[i] = n->op == IR_input ? inputs++ : -1;
        e->output[i] = -1;
        e->at[i].root = is_view(n) ? e->at[n->in[0]->id].root : n;
    }
    if (inputs != s->n_in)
        return err_fail(E_FAILED, "host step %s has %d inputs, its graph %d", s->what,
                        s->n_in, inputs);
    for (int i = 0; i < g->n_outputs; i++)
        e->output[e->at[g->outputs[i].node->id].root->id] = i;
    find_direct(x, s, e);
    size_t n = (size_t)g->n_nodes + 1;
    int *last = mem_take(2 * n * sizeof *last);
    block *blocks = mem_take(n * sizeof *blocks);
    rc r = last && blocks ? OK : E_MEMORY;
    if (r == OK) {
        count_readers(e, last, last + n);
        r = lay_out(x, s, e, last, last + n, blocks);
    }
    mem_drop(blocks);
    mem_drop(last);
    for (int i = 0; r == OK && i < g->n_nodes; i++) r = prepare_node(x, e, g->nodes[i]);
    return r;
}

rc host_eval_prepare(exec *x, int step)
{
    const plan_step *s = &x->p->steps[step];
    for (int i = 0; i < step; i++)
        if (x->p->steps[i].graph == s->graph) {
            x->work[step].eval = x->work[i].eval;
            return OK;
        }
    size_t n = (size_t)s->graph->n_nodes + 1;
    host_eval *e = arena_take(x->mem, sizeof *e);
    if (!e) return E_MEMORY;
    x->work[step].eval = e;
    e->g = s->graph;
    e->at = arena_array(x->mem, n, sizeof *e->at);
    e->raw = arena_array(x->mem, n, sizeof *e->raw);
    e->input = arena_array(x->mem, n, sizeof *e->input);
    e->output = arena_array(x->mem, n, sizeof *e->output);
    if (!e->at || !e->raw || !e->input || !e->output) return E_MEMORY;
    return find_places(x, s, e);
}

void host_eval_release(exec *x, int step)
{
    host_eval *e = x->work[step].eval;
    if (e) arena_free(e->slow), e->slow = NULL;
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

/* A value of several pieces lies in as many buffers. */
static rc hand_out(exec *x, const plan_step *s, host_eval *e)
{
    const ir_graph *g = e->g;
    for (int i = 0, k = 0; i < g->n_outputs; i++) {
        const node_value *at = &e->at[e->at[g->outputs[i].node->id].root->id];
        int64_t left = ir_count(g->outputs[i].node->shape);
        for (const float *v = at->v; left > 0; k++) {
            int64_t n = ir_count(x->p->buffers[s->out[k]].logical);
            if (!at->direct) TRY(exec_write(x, s->out[k], v));
            if (!at->direct) v += n;
            left -= n;
        }
    }
    return OK;
}

rc host_eval_run(exec *x, int step)
{
    const plan_step *s = &x->p->steps[step];
    host_eval *e = x->work[step].eval;
    const ir_graph *g = e->g;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_input) TRY(take_input(x, s, e, g->nodes[i]));
    for (int i = 0; i < g->n_nodes; i++)
        if (!is_leaf(g->nodes[i]) && !is_view(g->nodes[i]))
            TRY(compute(x, s, e, g->nodes[i]));
    TRY(hand_out(x, s, e));
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_input && e->at[i].direct)
            TRY(exec_unmap(x, s->in[e->input[i]]));
    return OK;
}
