/* grad_layout.c - gradients of ops that move elements or reduce axes. What a
 * forward op drops comes back as zeros; what it repeats comes back summed. */
#include "ir/grad.h"

#include <string.h>

void ir_grad_reshape(ir_back *b)
{
    ir_give(b, 0, ir_reshape(b->g, b->dy, b->n->in[0]->shape));
}

void ir_grad_transpose(ir_back *b)
{
    int back[IR_RANK] = {0};
    for (int i = 0; i < b->n->shape.rank; i++) back[b->n->attr.perm[i]] = i;
    ir_give(b, 0, ir_transpose(b->g, b->dy, back));
}

/* Casts between reals pass the gradient; others have derivative zero. */
void ir_grad_cast(ir_back *b)
{
    const ir_node *x = b->n->in[0];
    if (ir_is_real(x->type) && ir_is_real(b->n->type))
        ir_give(b, 0, ir_cast(b->g, b->dy, x->type));
}

/* x with `before` zeros in front along axis, up to `total` elements. */
static ir_node *pad(ir_graph *g, ir_node *x, int axis, int64_t before, int64_t total)
{
    ir_node *parts[3];
    int n = 0;
    if (!x) return NULL;
    ir_shape zeros = x->shape;
    const int64_t after = total - before - x->shape.d[axis];
    zeros.d[axis] = before;
    if (before > 0) parts[n++] = ir_fill(g, x->type, zeros, 0);
    parts[n++] = x;
    zeros.d[axis] = after;
    if (after > 0) parts[n++] = ir_fill(g, x->type, zeros, 0);
    return n == 1 ? x : ir_concat(g, n, parts, axis);
}

void ir_grad_slice(ir_back *b)
{
    const ir_shape s = b->n->in[0]->shape;
    ir_node *d = b->dy;
    for (int i = 0; i < s.rank; i++) d = pad(b->g, d, i, b->n->attr.begin[i], s.d[i]);
    ir_give(b, 0, d);
}

void ir_grad_split(ir_back *b)
{
    const ir_attr *a = &b->n->attr;
    const int64_t part = b->n->shape.d[a->axis];
    ir_give(b, 0, pad(b->g, b->dy, a->axis, a->index * part, a->parts * part));
}

void ir_grad_concat(ir_back *b)
{
    const int axis = b->n->attr.axis;
    int64_t begin[IR_RANK] = {0};
    for (int i = 0; i < b->n->n_in; i++) {
        const ir_shape s = b->n->in[i]->shape;
        if (ir_wants(b, i)) ir_give(b, i, ir_slice(b->g, b->dy, begin, s.d));
        begin[axis] += s.d[axis];
    }
}

/* Axis by axis, so that the rank never passes 4: [outer, reps, size, inner]
 * summed over its axis 1. */
void ir_grad_tile(ir_back *b)
{
    const ir_shape x = b->n->in[0]->shape;
    ir_shape s = b->n->shape;
    ir_node *d = b->dy;
    for (int i = 0; i < s.rank; i++) {
        int64_t outer = 1, inner = 1, reps = b->n->attr.reps[i];
        if (reps == 1) continue;
        for (int k = 0; k < i; k++) outer *= s.d[k];
        for (int k = i + 1; k < s.rank; k++) inner *= s.d[k];
        d = ir_reshape(b->g, d, ir_s4(outer, reps, x.d[i], inner));
        d = ir_reduce(b->g, IR_reduce_sum, d, 1, (int[]){1}, false);
        s.d[i] = x.d[i];
        d = ir_reshape(b->g, d, s);
    }
    ir_give(b, 0, d);
}

/* ---- reductions ---- */
/* dy with its reduced axes kept as 1. */
static ir_node *kept(ir_back *b, ir_node *x)
{
    ir_shape s = b->n->in[0]->shape;
    for (int i = 0; i < b->n->attr.n_axes; i++) s.d[b->n->attr.axes[i]] = 1;
    return ir_shape_eq(s, x->shape) ? x : ir_reshape(b->g, x, s);
}

static void spread(ir_back *b, double factor)
{
    const ir_shape s = b->n->in[0]->shape;
    int64_t reps[IR_RANK];
    ir_node *d = ir_scaled(b->g, kept(b, b->dy), factor);
    for (int i = 0; d && i < s.rank; i++) reps[i] = s.d[i] / d->shape.d[i];
    ir_give(b, 0, ir_tile(b->g, d, reps));
}

void ir_grad_reduce_sum(ir_back *b)
{
    spread(b, 1);
}

void ir_grad_reduce_mean(ir_back *b)
{
    spread(b, (double)ir_count(b->n->shape) / (double)ir_count(b->n->in[0]->shape));
}

/* Elements equal to the largest share its gradient evenly. */
void ir_grad_reduce_max(ir_back *b)
{
    ir_graph *g = b->g;
    const ir_attr *a = &b->n->attr;
    ir_node *x = b->n->in[0];
    ir_node *zero = ir_number(g, x, 0), *one = ir_number(g, x, 1);
    ir_node *is_max = ir_select(g, ir_greater_equal(g, x, kept(b, b->n)), one, zero);
    ir_node *ties = ir_sum(g, is_max, a->n_axes, a->axes, 1);
    ir_give(b, 0, ir_mul(g, is_max, ir_div(g, kept(b, b->dy), ties)));
}

/* p (dy - sum dy p) */
void ir_grad_softmax(ir_back *b)
{
    ir_node *sum = ir_sum1(b->g, ir_mul(b->g, b->dy, b->n), b->n->attr.axis, 1);
    ir_give(b, 0, ir_mul(b->g, b->n, ir_sub(b->g, b->dy, sum)));
}
