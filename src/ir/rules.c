/* rules.c - identities: an op that does nothing, or undoes the op before it.
 *
 * Only exact ones: beyond the sign of a zero, a rule changes no bit of what a
 * device computes. So x*0 stays (x may be infinite), and factors on both sides
 * of a rounding step are not gathered. */
#include "ir/simplify.h"

static bool is_all(const ir_node *n, double v)
{
    return n->op == IR_constant && n->uniform && n->data[0] == v;
}

/* x, if it already has the shape and type of the result. */
static ir_node *if_same(const ir_draft *d, ir_node *x)
{
    return ir_shape_eq(x->shape, d->shape) && x->type == d->type ? x : NULL;
}

static ir_node *again(ir_simplifier *s, ir_op op, ir_node *x, ir_shape to,
                      const ir_attr *a)
{
    static const ir_attr none;
    ir_draft d = {.op = op, .n_in = 1, .in = &x, .attr = a ? *a : none, .shape = to};
    return ir_emit(s, d);
}

/* Neutral elements on the right, or on either side. */
static ir_node *neutral(const ir_draft *d, double v, bool either)
{
    if (is_all(d->in[1], v)) return if_same(d, d->in[0]);
    if (either && is_all(d->in[0], v)) return if_same(d, d->in[1]);
    return NULL;
}

static ir_node *reshape_rule(ir_simplifier *s, const ir_draft *d)
{
    ir_node *x = d->in[0];
    if (if_same(d, x)) return x;
    if (x->op == IR_reshape) return again(s, IR_reshape, x->in[0], d->shape, NULL);
    return NULL;
}

/* Axes of size 1 may move freely: if the others keep their order it is a
 * reshape (or nothing). */
static ir_node *transpose_rule(ir_simplifier *s, const ir_draft *d)
{
    ir_node *x = d->in[0];
    bool in_order = true;
    for (int i = 0, last = -1; i < d->shape.rank; i++) {
        if (d->shape.d[i] == 1) continue;
        in_order &= d->attr.perm[i] > last;
        last = d->attr.perm[i];
    }
    if (in_order) return again(s, IR_reshape, x, d->shape, NULL);
    if (x->op != IR_transpose) return NULL;
    ir_attr both = {0};
    for (int i = 0; i < d->shape.rank; i++) both.perm[i] = x->attr.perm[d->attr.perm[i]];
    return again(s, IR_transpose, x->in[0], (ir_shape){0}, &both);
}

static ir_node *slice_rule(ir_simplifier *s, const ir_draft *d)
{
    ir_node *x = d->in[0];
    if (if_same(d, x)) return x;
    if (x->op != IR_slice) return NULL;
    ir_attr both = d->attr;
    for (int i = 0; i < d->shape.rank; i++) both.begin[i] += x->attr.begin[i];
    return again(s, IR_slice, x->in[0], (ir_shape){0}, &both);
}

/* A type and back loses nothing if the first step is to the wider one. */
static ir_node *cast_rule(const ir_draft *d)
{
    ir_node *x = d->in[0];
    if (if_same(d, x)) return x;
    if (x->op == IR_cast && x->type == IR_FP32 && x->in[0]->type == IR_FP16)
        return if_same(d, x->in[0]);
    return NULL;
}

static ir_node *select_rule(const ir_draft *d)
{
    const ir_node *c = d->in[0];
    if (d->in[1] == d->in[2]) return if_same(d, d->in[1]);
    if (c->op == IR_constant && c->uniform)
        return if_same(d, d->in[c->data[0] != 0 ? 1 : 2]);
    return NULL;
}

/* Over axes of one element there is nothing to reduce. */
static ir_node *reduce_rule(ir_simplifier *s, const ir_draft *d)
{
    for (int i = 0; i < d->attr.n_axes; i++)
        if (d->in[0]->shape.d[d->attr.axes[i]] != 1) return NULL;
    return again(s, IR_reshape, d->in[0], d->shape, NULL);
}

ir_node *ir_rewrite(ir_simplifier *s, const ir_draft *d)
{
    switch (d->op) {
    case IR_add:
        return neutral(d, 0, true);
    case IR_sub:
        return neutral(d, 0, false);
    case IR_mul:
        return neutral(d, 1, true);
    case IR_real_div:
    case IR_pow:
        return neutral(d, 1, false);
    case IR_reshape:
        return reshape_rule(s, d);
    case IR_transpose:
        return transpose_rule(s, d);
    case IR_slice:
        return slice_rule(s, d);
    case IR_cast:
        return cast_rule(d);
    case IR_select:
        return select_rule(d);
    case IR_concat:
    case IR_split:
    case IR_tile:
        return d->n_in == 1 ? if_same(d, d->in[0]) : NULL;
    case IR_reduce_sum:
    case IR_reduce_mean:
    case IR_reduce_max:
        return reduce_rule(s, d);
    default:
        return NULL;
    }
}
