/* host_layout.c - before the first step: where each value of a piece of the graph will
 * lie that the host computes (host_eval.c).
 *
 * A value takes a block of scratch from the node that makes it to the last that reads
 * it; blocks are taken again by values of the same size. A reshape is its operand.
 * What only products read stays on its surface, and a product that is nothing but a
 * result is written to one. Equal layers share one graph, and so all of this. */
#include "exec/host_eval.h"

bool host_is_view(const ir_node *n)
{
    return n->op == IR_reshape || (n->op == IR_cast && n->type != IR_INT32 &&
                                   n->type != IR_BOOL && n->in[0]->type != IR_INT32);
}

/* ---- what is read and written where it lies ---- */
/* Rows of a matrix are those of the surface. */
static bool lies_in_rows(const plan_buffer *q, const ir_node *n)
{
    return q->row == q->row_stride || q->row == n->shape.d[n->shape.rank - 1];
}

/* Inputs that only products read. */
static void find_direct(const exec *x, const plan_step *s, host_eval *e)
{
    const ir_graph *g = e->g;
    for (int i = 0; i < g->n_nodes; i++)
        e->at[i].direct = g->nodes[i]->op == IR_input &&
                          host_on_surface(x, s->in[e->input[i]]);
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        for (int j = 0; j < n->n_in && !host_is_view(n); j++) {
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
    return e->g->n_outputs == s->n_out && host_on_surface(x, s->out[at]) &&
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
        for (int j = 0; j < g->nodes[i]->n_in && !host_is_view(g->nodes[i]); j++) {
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
            bool there = !host_on_surface(x, s->in[e->input[i]]) && q->type != IR_INT32;
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
        e->at[i].root = host_is_view(n) ? e->at[n->in[0]->id].root : n;
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
