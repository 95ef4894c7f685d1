/* grad.c - reverse-mode differentiation: walk the graph backward from y, hand
 * each node's gradient to the function of its op, sum what arrives at each
 * operand. Nodes are numbered in order, so when the walk reaches a node every
 * user of it has already given its share. */
#include "ir/grad.h"

#include <math.h>

typedef void (*gradient)(ir_back *b);
static const gradient gradients[IR_OPS] = {
#define OP(name, mil, args, dialect, attrs, shape, eval, value, grad, ...) ir_grad_##grad,
#include "ir/ops.def"
#undef OP
};

void ir_grad_leaf(ir_back *b)
{
    (void)b;
}

void ir_grad_stop(ir_back *b)
{
    (void)b;
}

void ir_grad_missing(ir_back *b)
{
    ir_give_up(b->g, err_fail(E_FAILED, "%s has no gradient", ir_op_name(b->n->op)));
}

bool ir_wants(const ir_back *b, int i)
{
    return b->need[b->n->in[i]->id];
}

/* Of x + f(x) the gradient of x is a sum, which undoes the addition. */
static bool begins_branch(const ir_node *x)
{
    return x->op == IR_add || x->op == IR_embedding || x->op == IR_input;
}

void ir_give(ir_back *b, int i, ir_node *dx)
{
    const ir_node *x = b->n->in[i];
    if (!dx || !b->need[x->id]) return;
    dx = ir_sum_to(b->g, dx, x->shape);
    ir_node **sum = &b->sums[x->id];
    ir_op made_for = b->g->made_for;
    if (begins_branch(x)) b->g->made_for = IR_add;
    *sum = *sum ? ir_add(b->g, *sum, dx) : dx;
    b->g->made_for = made_for;
}

ir_node *ir_number(ir_graph *g, const ir_node *x, double v)
{
    return x ? ir_fill(g, x->type, ir_s1(1), v) : NULL;
}

ir_node *ir_scaled(ir_graph *g, ir_node *x, double factor)
{
    return factor == 1 ? x : ir_mul(g, x, ir_number(g, x, factor));
}

/* Over the adjacent axes first..last: [outer, n, inner] by a constant. */
static ir_node *sum_run(ir_graph *g, ir_node *x, int first, int last, double weight)
{
    int64_t outer = 1, n = 1, inner = 1;
    ir_shape out = x->shape;
    for (int i = 0; i < out.rank; i++) {
        int64_t *part = i < first ? &outer : i > last ? &inner : &n;
        *part *= out.d[i];
        if (part == &n) out.d[i] = 1;
    }
    if (inner == 1) { /* one product, its rows are the outer axes */
        ir_node *ones = ir_fill(g, x->type, ir_s4(1, 1, n, 1), weight);
        x = ir_reshape(g, x, ir_s4(1, 1, outer, n));
        return ir_reshape(g, ir_matmul(g, x, ones, false, false), out);
    }
    ir_node *ones = ir_fill(g, x->type, ir_s4(1, outer, 1, n), weight);
    x = ir_reshape(g, x, ir_s4(1, outer, n, inner));
    return ir_reshape(g, ir_matmul(g, ones, x, false, false), out);
}

/* Runs of axes from the last: columns go before channels, which leaves the
 * smaller operand for the second product. Of the factor 1/C of a mean, half
 * the bits go into the constant and the rest after the sum: the engine drops
 * products whose exponents add to -17 or less and overflows at 2^15 (source:
 * ANEForge, M6 study), and this keeps clear of both ends. */
ir_node *ir_sum(ir_graph *g, ir_node *x, int n_axes, const int *axes, double factor)
{
    double inside = exp2(round(log2(fabs(factor)) / 2)); /* exact in fp16 */
    int real[IR_RANK], n = 0;
    if (!x) return NULL;
    for (int i = 0; i < n_axes; i++)
        if (x->shape.d[axes[i]] > 1) real[n++] = axes[i];
    if (n == 0) return ir_scaled(g, x, factor);
    factor /= inside;
    while (n > 0 && x) {
        int last = real[--n], first = last;
        while (n > 0 && real[n - 1] == first - 1) first = real[--n];
        x = sum_run(g, x, first, last, inside);
        inside = 1;
    }
    return ir_scaled(g, x, factor);
}

ir_node *ir_sum1(ir_graph *g, ir_node *x, int axis, double factor)
{
    return ir_sum(g, x, 1, &axis, factor);
}

ir_node *ir_sum_to(ir_graph *g, ir_node *x, ir_shape s)
{
    int axes[IR_RANK], n = 0;
    if (!x || ir_shape_eq(x->shape, s)) return x;
    int more = x->shape.rank - s.rank;
    for (int i = 0; i < x->shape.rank; i++)
        if (i < more || s.d[i - more] == 1) axes[n++] = i;
    x = ir_sum(g, x, n, axes, 1);
    return x && !ir_shape_eq(x->shape, s) ? ir_reshape(g, x, s) : x;
}

/* need[id]: does a gradient have to pass here on its way to a wanted node? */
static rc mark_needed(const ir_graph *g, int n, ir_node *const *wrt, char *need)
{
    for (int i = 0; i < n; i++) {
        if (!wrt[i] || wrt[i]->id >= g->n_nodes || g->nodes[wrt[i]->id] != wrt[i])
            return err_fail(E_SHAPE, "gradient: wanted node %d is not of this graph", i);
        need[wrt[i]->id] = 1;
    }
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_in; k++)
            if (need[g->nodes[i]->in[k]->id]) need[i] = 1;
    return OK;
}

static void walk(ir_graph *g, ir_node *y, ir_node *seed, ir_node **sums, const char *need)
{
    g->backward = true;
    g->scope = y->scope;
    sums[y->id] = seed ? seed : ir_fill(g, y->type, y->shape, 1);
    for (int i = y->id; i >= 0 && g->failed == OK; i--) {
        ir_node *n = g->nodes[i];
        if (!need[i] || !sums[i]) continue;
        ir_back b = {g, n, sums[i], sums, need};
        g->scope = n->scope;
        g->made_for = n->made_for;
        gradients[n->op](&b);
    }
}

rc ir_grad(ir_graph *g, ir_node *y, ir_node *seed, int n, ir_node *const *wrt,
           ir_node **out)
{
    TRY(ir_rc(g));
    if (!y || !ir_is_real(y->type))
        return err_fail(E_SHAPE, "gradient: y must be a real value");
    if (seed && (!ir_shape_eq(seed->shape, y->shape) || seed->type != y->type)) {
        char a[64], b[64];
        return err_fail(E_SHAPE, "gradient: seed must be %s %s as y, got %s %s",
                        ir_type_name(y->type), ir_shape_text(a, y->shape),
                        ir_type_name(seed->type), ir_shape_text(b, seed->shape));
    }
    size_t count = (size_t)g->n_nodes;
    ir_node **sums = mem_take(mem_mul(count, sizeof *sums));
    char *need = mem_take(count);
    rc result = sums && need ? mark_needed(g, n, wrt, need) : E_MEMORY;
    if (result == OK) {
        const char *scope = g->scope;
        bool backward = g->backward;
        ir_op made_for = g->made_for;
        walk(g, y, seed, sums, need);
        g->scope = scope;
        g->backward = backward;
        g->made_for = made_for;
        for (int i = 0; i < n; i++) out[i] = need[y->id] ? sums[wrt[i]->id] : NULL;
        result = ir_rc(g);
    }
    mem_drop(need);
    mem_drop(sums);
    return result;
}
