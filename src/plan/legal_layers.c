/* legal_layers.c - layers of transformers in primitive ops.
 *
 * Everything here is arranged so that fp16 cannot lose a value unseen: what
 * may overflow is divided by its largest element first. */
#include "plan/legal.h"

#include <math.h>

/* Queries of a tile: rows of scores are multiples of 32, as those of surfaces. */
static int64_t tile_width(const legal *l, const ir_node *n)
{
    enum { ROW = 32 };
    int64_t tiles = l->b->variant.tiles, seq = n->shape.d[3] / n->attr.batch;
    if (tiles <= 1) return 0;
    return ((seq + tiles - 1) / tiles + ROW - 1) / ROW * ROW;
}

ir_node *legal_attention(legal *l, const ir_node *n, ir_node *const *in)
{
    return ir_attention_parts(l->to, in, &n->attr, tile_width(l, n));
}

ir_node *legal_attention_dx(legal *l, const ir_node *n, ir_node *const *in)
{
    return ir_attention_dx_parts(l->to, in, &n->attr, tile_width(l, n));
}

/* cos or signed sin of every (row of a head, column): [1,1,head_dim,T]. The
 * partner of row r is r +- head_dim/2 (half) or its neighbour (interleaved);
 * the first of a pair takes -sin, the second +sin. */
static ir_node *rope_table(legal *l, const ir_node *n, bool sine)
{
    const ir_attr *a = &n->attr;
    int64_t hd = a->head_dim, t = n->shape.d[3], seq = t / a->batch;
    double *v = mem_take(mem_mul(sizeof *v, (size_t)(hd * t)));
    if (!v) return NULL;
    for (int64_t r = 0; r < hd; r++) {
        int64_t pair = a->interleaved ? r / 2 : r % (hd / 2);
        bool second = a->interleaved ? r % 2 : r >= hd / 2;
        double rate = pow(a->theta, -2.0 * (double)pair / (double)hd);
        double sign = (second ? 1 : -1) * (a->inverse ? -1 : 1);
        for (int64_t c = 0; c < t; c++) {
            double angle = (double)(c % seq) * rate;
            v[r * t + c] = sine ? sign * sin(angle) : cos(angle);
        }
    }
    ir_node *table = ir_const(l->to, IR_FP16, ir_s4(1, 1, hd, t), v);
    mem_drop(v);
    return table;
}

static bool same_turns(const ir_node *x, const ir_node *y)
{
    const ir_attr *a = &x->attr, *b = &y->attr;
    return x->shape.d[3] == y->shape.d[3] && a->head_dim == b->head_dim &&
           a->batch == b->batch && a->theta == b->theta &&
           a->interleaved == b->interleaved && a->inverse == b->inverse;
}

/* Both tables, made once for all rotations that are equal. */
static bool find_tables(legal *l, const ir_node *n, ir_node **cosine, ir_node **sine)
{
    int i = 0, most = (int)(sizeof l->turns / sizeof *l->turns);
    while (i < l->n_turns && !same_turns(l->turns[i].rope, n)) i++;
    if (i < l->n_turns) {
        *cosine = l->turns[i].cosine;
        *sine = l->turns[i].sine;
        return true;
    }
    *cosine = rope_table(l, n, false);
    *sine = rope_table(l, n, true);
    if (!*cosine || !*sine) return false;
    i = i < most ? l->n_turns++ : 0;
    l->turns[i].rope = n;
    l->turns[i].cosine = *cosine;
    l->turns[i].sine = *sine;
    return true;
}

/* y = x * cos + partner(x) * sin, pairs swapped by slices of axis 2, never of
 * the width, which older engines clamp. */
ir_node *legal_rope(legal *l, const ir_node *n, ir_node *const *in)
{
    ir_graph *g = l->to;
    const ir_attr *a = &n->attr;
    int64_t h = a->heads, hd = a->head_dim, t = n->shape.d[3];
    ir_shape heads = ir_s4(1, h, hd, t);
    ir_shape pairs = a->interleaved ? ir_s4(1, h * hd / 2, 2, t) : heads;
    int64_t mid = pairs.d[2] / 2;
    ir_node *cosine, *sine;
    if (!find_tables(l, n, &cosine, &sine)) return NULL;
    ir_node *x = ir_reshape(g, in[0], heads), *p = ir_reshape(g, in[0], pairs);
    ir_node *swapped[] = {legal_cut(l, p, 2, mid, mid), legal_cut(l, p, 2, 0, mid)};
    ir_node *partner = ir_reshape(g, ir_concat(g, 2, swapped, 2), heads);
    ir_node *turned = ir_mul(g, partner, sine), *kept = ir_mul(g, x, cosine);
    return ir_reshape(g, ir_add(g, kept, turned), n->shape);
}

/* By the book: the sum of squares of 1024 values of 20 is beyond fp16, and the
 * inverse of its root a silent zero. What the guard below is for. */
static ir_node *naive_inverse_rms(legal *l, ir_node *x, int axis, double eps)
{
    ir_graph *g = l->to;
    if (!x) return NULL;
    double each = 1 / (double)x->shape.d[axis];
    ir_node *s = ir_reduce(g, IR_reduce_sum, ir_mul(g, x, x), 1, &axis, true);
    ir_node *least = ir_scalar(g, eps);
    s = ir_add(g, ir_mul(g, s, ir_scalar(g, each)), least);
    return ir_binary(g, IR_pow, s, ir_scalar(g, -0.5));
}

/* 1 / sqrt(mean(x^2) + eps) without a square that can overflow: with
 * m = max|x|, y = x / m has squares of at most 1, and
 *   r = (mean(y^2) + (sqrt(eps)/m)^2)^-0.5 / m.
 * m is kept from 0 so far that (sqrt(eps)/m)^2 <= 2^14. */
static ir_node *inverse_rms(legal *l, ir_node *x, int axis, double eps)
{
    ir_graph *g = l->to;
    if (!plan_guards(l->b, RULE_mac_cliff, true))
        return naive_inverse_rms(l, x, axis, eps);
    double root = sqrt(eps), least = fmax(ldexp(1, -14), root / 128);
    ir_node *m = ir_reduce(g, IR_reduce_max, ir_unary(g, IR_abs, x), 1, &axis, true);
    m = ir_binary(g, IR_maximum, m, ir_scalar(g, least));
    ir_node *y = ir_div(g, x, m);
    ir_node *s = ir_reduce(g, IR_reduce_mean, ir_mul(g, y, y), 1, &axis, true);
    ir_node *e = ir_div(g, ir_scalar(g, root), m);
    s = ir_add(g, s, ir_mul(g, e, e));
    return ir_div(g, ir_binary(g, IR_pow, s, ir_scalar(g, -0.5)), m);
}

ir_node *legal_rms_scale(legal *l, const ir_node *n, ir_node *const *in)
{
    return inverse_rms(l, in[0], n->attr.axis, n->attr.eps);
}

ir_node *legal_rms_norm(legal *l, const ir_node *n, ir_node *const *in)
{
    ir_node *r = inverse_rms(l, in[0], n->attr.axis, n->attr.eps);
    return ir_mul(l->to, ir_mul(l->to, in[0], r), in[1]);
}

ir_node *legal_layer_norm(legal *l, const ir_node *n, ir_node *const *in)
{
    ir_graph *g = l->to;
    int axis = n->attr.axis;
    ir_node *mean = ir_reduce(g, IR_reduce_mean, in[0], 1, &axis, true);
    ir_node *x = ir_sub(g, in[0], mean);
    x = ir_mul(g, x, inverse_rms(l, x, axis, n->attr.eps));
    return ir_add(g, ir_mul(g, x, in[1]), in[2]);
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the cube of x cut to +-10,
 * where tanh has long been 1, so that it makes no infinity. */
ir_node *legal_gelu(legal *l, const ir_node *n, ir_node *const *in)
{
    ir_graph *g = l->to;
    if (!plan_guards(l->b, RULE_gelu_refused, true)) return legal_copy(l, n, in);
    ir_node *x = ir_binary(g, IR_minimum, in[0], ir_scalar(g, 10));
    x = ir_binary(g, IR_maximum, x, ir_scalar(g, -10));
    ir_node *of_cube = ir_scalar(g, 0.044715), *one_half = ir_scalar(g, 0.5);
    ir_node *c = ir_mul(g, ir_mul(g, x, x), of_cube);
    c = ir_mul(g, x, ir_add(g, c, ir_scalar(g, 1)));
    ir_node *t = ir_unary(g, IR_tanh, ir_mul(g, c, ir_scalar(g, sqrt(2 / acos(-1.0)))));
    t = ir_add(g, ir_mul(g, t, one_half), one_half);
    return ir_mul(g, in[0], t);
}

ir_node *legal_rsqrt(legal *l, const ir_node *n, ir_node *const *in)
{
    if (!plan_guards(l->b, RULE_rsqrt_refused, true)) return legal_copy(l, n, in);
    return ir_binary(l->to, IR_pow, in[0], ir_scalar(l->to, -0.5));
}
