/* legal_shape.c - moving values about: joins of two, no tile, no slice that an
 * older engine clamps. */
#include "plan/legal.h"

/* Ones that put n rows (or columns) in place at..at+n of `all`. */
static ir_node *placing(ir_graph *g, ir_shape s, bool rows, int64_t n, int64_t all,
                        int64_t at)
{
    double *v = mem_take(mem_mul((size_t)ir_count(s), sizeof *v));
    if (!v) return NULL;
    for (int64_t o = 0; o < s.d[1]; o++)
        for (int64_t i = 0; i < n; i++)
            v[o * n * all + (rows ? (at + i) * n + i : i * all + at + i)] = 1;
    ir_node *ones = ir_const(g, IR_FP16, s, v);
    mem_drop(v);
    return ones;
}

/* x in place `at` of a longer axis, zeros elsewhere, as a product: each sum has
 * one term, so it is exact below the engine's 32768. */
ir_node *legal_place(ir_graph *g, ir_node *x, int axis, int64_t all, int64_t at)
{
    if (!x) return NULL;
    ir_shape s = x->shape;
    int64_t outer = 1, n = s.d[axis], inner = 1;
    for (int i = 0; i < s.rank; i++)
        *(i < axis ? &outer : &inner) *= i == axis ? 1 : s.d[i];
    s.d[axis] = all;
    if (inner == 1) {
        ir_node *ones = placing(g, ir_s4(1, 1, n, all), false, n, all, at);
        x = ir_reshape(g, x, ir_s4(1, 1, outer, n));
        return ir_reshape(g, ir_matmul(g, x, ones, false, false), s);
    }
    ir_node *ones = placing(g, ir_s4(1, outer, all, n), true, n, all, at);
    x = ir_reshape(g, x, ir_s4(1, outer, n, inner));
    return ir_reshape(g, ir_matmul(g, ones, x, false, false), s);
}

/* Where concat is refused (by some sources, on the M1), its two halves are put
 * in place by products and added. */
static ir_node *join_two(legal *l, ir_node *x, ir_node *y, int axis)
{
    enum { MOST = 1 << 22 }; /* ones in a constant */
    ir_node *pair[] = {x, y};
    if (!x || !y) return NULL;
    int64_t nx = x->shape.d[axis], all = nx + y->shape.d[axis], outer = 1;
    for (int i = 0; i < axis; i++) outer *= x->shape.d[i];
    bool keep = plan_keeps_costly(l->b->p, RULE_concat_refused) && x->type == IR_FP16;
    if (!keep || all > MOST / all / outer) return ir_concat(l->to, 2, pair, axis);
    plan_guards(l->b, RULE_concat_refused, true);
    ir_node *upper = legal_place(l->to, y, axis, all, nx);
    return ir_add(l->to, legal_place(l->to, x, axis, all, 0), upper);
}

ir_node *legal_join(legal *l, int n, ir_node *const *x, int axis)
{
    if (n == 1) return x[0];
    ir_node *upper = legal_join(l, n - n / 2, x + n / 2, axis);
    return join_two(l, legal_join(l, n / 2, x, axis), upper, axis);
}

/* Doubling: as many joins as the number has digits. */
ir_node *legal_repeat(legal *l, ir_node *x, int axis, int64_t times)
{
    if (times == 1) return x;
    ir_node *low = legal_repeat(l, x, axis, times / 2);
    return join_two(l, low, times % 2 ? legal_repeat(l, x, axis, times - times / 2) : low,
                    axis);
}

static ir_node *swap_last(ir_graph *g, ir_node *x)
{
    if (!x) return NULL;
    int r = x->shape.rank, perm[IR_RANK];
    for (int i = 0; i < r; i++) perm[i] = i;
    perm[r - 1] = r - 2;
    perm[r - 2] = r - 1;
    return ir_transpose(g, x, perm);
}

/* On M1 and M2 a slice along the width that does not begin at 0 makes large
 * values infinite (rule slice_clamp): there the width is turned into the
 * height, cut, and turned back. */
static ir_node *cut_all(legal *l, ir_node *x, const int64_t *begin, const int64_t *size)
{
    ir_graph *g = l->to;
    if (!x) return NULL;
    int r = x->shape.rank;
    if (!plan_guards(l->b, RULE_slice_clamp, begin[r - 1] != 0 && x->op != IR_constant))
        return ir_slice(g, x, begin, size);
    int64_t b[IR_RANK], s[IR_RANK];
    for (int i = 0; i < r; i++) b[i] = begin[i], s[i] = size[i];
    if (r == 1) {
        ir_shape column = ir_s2(x->shape.d[0], 1);
        b[1] = 0, s[1] = 1;
        return ir_reshape(g, ir_slice(g, ir_reshape(g, x, column), b, s), ir_s1(size[0]));
    }
    b[r - 1] = begin[r - 2], b[r - 2] = begin[r - 1];
    s[r - 1] = size[r - 2], s[r - 2] = size[r - 1];
    if (b[r - 1]) { /* both: the height first, while it still is the height */
        int64_t b1[IR_RANK] = {0}, s1[IR_RANK];
        for (int i = 0; i < r; i++) s1[i] = x->shape.d[i];
        b1[r - 2] = begin[r - 2], s1[r - 2] = size[r - 2];
        x = ir_slice(g, x, b1, s1);
        b[r - 1] = 0;
    }
    return swap_last(g, ir_slice(g, swap_last(g, x), b, s));
}

ir_node *legal_cut(legal *l, ir_node *x, int axis, int64_t begin, int64_t size)
{
    int64_t b[IR_RANK] = {0}, s[IR_RANK] = {0};
    if (!x) return NULL;
    for (int i = 0; i < x->shape.rank; i++) s[i] = x->shape.d[i];
    b[axis] = begin;
    s[axis] = size;
    return cut_all(l, x, b, s);
}

ir_node *legal_slice(legal *l, const ir_node *n, ir_node *const *in)
{
    return cut_all(l, in[0], n->attr.begin, n->attr.size);
}

ir_node *legal_split(legal *l, const ir_node *n, ir_node *const *in)
{
    const ir_attr *a = &n->attr;
    int64_t size = n->shape.d[a->axis];
    return legal_cut(l, in[0], a->axis, size * a->index, size);
}

ir_node *legal_concat(legal *l, const ir_node *n, ir_node *const *in)
{
    plan_guards(l->b, RULE_concat_pairs, n->n_in > 2);
    if (plan_guard_off(l->b->p, RULE_concat_pairs)) return legal_copy(l, n, in);
    return legal_join(l, n->n_in, in, n->attr.axis);
}

ir_node *legal_tile(legal *l, const ir_node *n, ir_node *const *in)
{
    ir_node *x = in[0];
    if (!plan_guards(l->b, RULE_tile_poison, true)) return legal_copy(l, n, in);
    for (int i = 0; i < n->shape.rank; i++) x = legal_repeat(l, x, i, n->attr.reps[i]);
    return x;
}
