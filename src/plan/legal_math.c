/* legal_math.c - sums, products and scalars under the engine's arithmetic. */
#include "plan/legal.h"

#include <math.h>
#include "base/half.h"

/* Sum over axes a..z (neighbours) as a product with a constant: the engine
 * adds products in a wide accumulator, but reduce_sum in fp16. */
static ir_node *sum_run(legal *l, ir_node *x, int a, int z, double weight)
{
    ir_graph *g = l->to;
    if (!x) return NULL;
    ir_shape s = x->shape;
    int64_t outer = 1, n = 1, inner = 1;
    for (int i = 0; i < s.rank; i++) {
        if (i < a) outer *= s.d[i];
        else if (i <= z) n *= s.d[i], s.d[i] = 1;
        else inner *= s.d[i];
    }
    ir_node *y;
    if (inner == 1) {
        ir_node *ones = ir_fill(g, IR_FP16, ir_s4(1, 1, n, 1), weight);
        y = ir_matmul(g, ir_reshape(g, x, ir_s4(1, 1, outer, n)), ones, false, false);
    } else {
        ir_node *ones = ir_fill(g, IR_FP16, ir_s4(1, outer, 1, n), weight);
        y = ir_matmul(g, ones, ir_reshape(g, x, ir_s4(1, outer, n, inner)), false, false);
    }
    return ir_reshape(g, y, s);
}

/* Axes that are neighbours are summed at once. */
ir_node *legal_reduce(legal *l, const ir_node *n, ir_node *const *in)
{
    const ir_attr *a = &n->attr;
    ir_node *x = in[0];
    if (!plan_guards(l->b, RULE_reduce_narrow, true)) return legal_copy(l, n, in);
    for (int i = 0; i < a->n_axes && x;) {
        int last = i;
        while (last + 1 < a->n_axes && a->axes[last + 1] == a->axes[last] + 1) last++;
        double weight = 1;
        for (int k = i; k <= last && n->op == IR_reduce_mean; k++)
            weight /= (double)x->shape.d[a->axes[k]];
        x = sum_run(l, x, a->axes[i], a->axes[last], weight);
        i = last + 1;
    }
    return ir_reshape(l->to, x, n->shape);
}

/* ---- products ---- */
/* Which axis of the product is too long? Rows and columns: pieces are joined.
 * The inner axis: pieces are added. */
static ir_node *in_pieces(legal *l, ir_node *x, ir_node *y, bool tx, bool ty, int which,
                          int64_t n)
{
    int count = 0, r = x->shape.rank;
    int64_t size = plan_piece(n);
    ir_node **part = arena_array(l->to->mem, (size_t)(n / size + 1), sizeof *part),
            *sum = NULL;
    if (!part) return NULL;
    for (int64_t at = 0; at < n; at += size) {
        int64_t len = n - at < size ? n - at : size;
        bool cut_x = which != 1, cut_y = which != 0;
        int x_axis = (which == 0) == !tx ? r - 2 : r - 1;
        int y_axis = (which == 1) == !ty ? r - 1 : r - 2;
        ir_node *px = cut_x ? legal_cut(l, x, x_axis, at, len) : x;
        ir_node *py = cut_y ? legal_cut(l, y, y_axis, at, len) : y;
        part[count] = legal_product(l, px, py, tx, ty);
        sum = which != 2 || !sum ? part[count] : ir_add(l->to, sum, part[count]);
        count++;
    }
    return which == 2 ? sum : legal_join(l, count, part, which == 0 ? r - 2 : r - 1);
}

/* Pieces of a product are products again, until every axis fits. */
ir_node *legal_product(legal *l, ir_node *x, ir_node *y, bool tx, bool ty)
{
    if (!x || !y) return NULL;
    int r = x->shape.rank;
    int64_t m = x->shape.d[tx ? r - 1 : r - 2], k = x->shape.d[tx ? r - 2 : r - 1];
    int64_t n = y->shape.d[ty ? r - 2 : r - 1];
    int64_t widest = l->b->chip && l->b->chip->max_axis > PLAN_CHUNK
                         ? l->b->chip->max_axis
                         : PLAN_CHUNK;
    if (plan_guards(l->b, RULE_axis_limit,
                    m > PLAN_CHUNK || k > PLAN_CHUNK || n > widest)) {
        if (m > PLAN_CHUNK) return in_pieces(l, x, y, tx, ty, 0, m);
        if (k > PLAN_CHUNK) return in_pieces(l, x, y, tx, ty, 2, k);
        return in_pieces(l, x, y, tx, ty, 1, n);
    }
    return ir_matmul(l->to, x, y, tx, ty);
}

/* An operand with all the axes of the result, its batches repeated. */
static ir_node *full_batch(legal *l, ir_node *x, ir_shape out)
{
    ir_shape s = out;
    int more = out.rank - x->shape.rank;
    for (int i = 0; i < out.rank; i++) s.d[i] = i < more ? 1 : x->shape.d[i - more];
    x = ir_reshape(l->to, x, s);
    for (int i = 0; i + 2 < out.rank; i++)
        if (s.d[i] != out.d[i]) x = legal_repeat(l, x, i, out.d[i]);
    return x;
}

/* Operands of equal batch and of rank 4 at most. */
ir_node *legal_matmul(legal *l, const ir_node *n, ir_node *const *in)
{
    ir_graph *g = l->to;
    ir_node *v[2] = {in[0], in[1]};
    ir_shape s = n->shape;
    bool equal = true;
    int64_t batch = 1;
    if (!v[0] || !v[1]) return NULL;
    for (int i = 0; i + 2 < s.rank; i++) batch *= s.d[i];
    for (int k = 0; k < 2; k++) {
        equal &= v[k]->shape.rank == s.rank;
        for (int i = 0; equal && i + 2 < s.rank; i++) equal = v[k]->shape.d[i] == s.d[i];
    }
    bool repeat = plan_guards(l->b, RULE_matmul_batch, !equal);
    bool flat = plan_guards(l->b, RULE_matmul_rank, s.rank > 4);
    for (int k = 0; k < 2; k++) {
        if (repeat || flat) v[k] = full_batch(l, v[k], s);
        if (!v[k]) return NULL;
        ir_shape f = v[k]->shape;
        if (flat)
            v[k] = ir_reshape(g, v[k], ir_s4(1, batch, f.d[s.rank - 2], f.d[s.rank - 1]));
    }
    return ir_reshape(g, legal_product(l, v[0], v[1], n->attr.tx, n->attr.ty), s);
}

/* ---- a scalar that fp16 cannot hold ---- */
/* x * c for a c below 2^-14 or above 2^15 in magnitude: a factor within, then
 * powers of two, so that no constant vanishes or turns infinite. */
static ir_node *scaled(legal *l, ir_node *x, ir_shape s, double c)
{
    ir_graph *g = l->to;
    if (c == 0) return ir_fill(g, IR_FP16, s, 0);
    int up = 0;
    for (; fabs(c) < ldexp(1, -14) && up > -8; up--) c = ldexp(c, 12);
    for (; fabs(c) > ldexp(1, 15) && up < 8; up++) c = ldexp(c, -12);
    x = ir_mul(g, x, ir_scalar(g, c));
    for (; up; up += up > 0 ? -1 : 1)
        x = ir_mul(g, x, ir_scalar(g, ldexp(1, up > 0 ? 12 : -12)));
    return x;
}

/* Multiplication or division by one constant. */
ir_node *legal_mul(legal *l, const ir_node *n, ir_node *const *in)
{
    int at = n->op == IR_mul && n->in[0]->op == IR_constant ? 0 : 1;
    const ir_node *c = n->in[at], *x = n->in[1 - at];
    if (c->op != IR_constant || !c->uniform || !isfinite(c->data[0]) ||
        !ir_shape_eq(x->shape, n->shape) ||
        !plan_keeps(l->b->p, RULE_mul_zero_after_reduce))
        return legal_copy(l, n, in);
    double v = fabs(c->data[0]);
    bool fits = v >= ldexp(1, -14) && v <= ldexp(1, 15);
    if (!plan_guards(l->b, RULE_mul_zero_after_reduce,
                     !fits && (n->op == IR_mul || v > 0)))
        return legal_copy(l, n, in);
    return scaled(l, in[1 - at], n->shape, n->op == IR_mul ? c->data[0] : 1 / c->data[0]);
}

/* ---- convolutions whose weight is computed or streamed ---- */
/* The engine takes constant weights only. A 1x1 convolution is a product. */
ir_node *legal_conv(legal *l, const ir_node *n, ir_node *const *in)
{
    ir_graph *g = l->to;
    const ir_attr *a = &n->attr;
    ir_shape x = n->in[0]->shape, w = n->in[1]->shape, y = n->shape;
    bool simple = w.d[2] == 1 && w.d[3] == 1 && a->groups == 1 && a->stride[0] == 1 &&
                  a->stride[1] == 1 && !a->pad[0] && !a->pad[1] && !a->pad[2] &&
                  !a->pad[3];
    bool fixed = n->in[1]->op == IR_constant ||
                 (n->in[1]->op == IR_param && l->b->p->options.weights == PLAN_BAKED);
    if (!plan_guards(l->b, RULE_conv_runtime_weight, !fixed && simple))
        return legal_copy(l, n, in);
    ir_node *wm = ir_reshape(g, in[1], ir_s4(1, 1, w.d[0], w.d[1]));
    ir_node *xm = ir_reshape(g, in[0], ir_s4(1, x.d[0], x.d[1], x.d[2] * x.d[3]));
    return ir_reshape(g, ir_matmul(g, wm, xm, false, false), y);
}
