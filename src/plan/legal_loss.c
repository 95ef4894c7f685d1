/* legal_loss.c - cross-entropy and its gradient in ops of the engine.
 *
 * Over the vocabulary, in the pieces that the classifier hands out:
 *
 *   m = max x     e = exp(x - m)     s = sum of e
 *   loss = mean of (m + ln s - x[target])          the host's, of three rows
 *   dx = e (d/s) - relu(code . bits)
 *
 * Token ids cannot be compared in fp16 beyond 2048. So the host writes each target's
 * number in n bits of +-d/2, and d below them (target_code); every row of the
 * vocabulary has the constant code of its own bits, +-1, and 1 - n/2. Their product
 * is n d/2 + d (1 - n/2) = d at the target, and a whole d less for each bit that
 * differs: 0 or below everywhere else. All of it is exact.
 *
 * What fp16 loses: x - m is rounded to 2^-11 of itself, so e is off by up to (m - x)
 * 2^-11 of itself, half a per cent where it is e^-10 of the largest; e below 2^-25 is
 * 0. An element of dx is off by no more than (m - x + 4) 2^-11 of itself and 2^-25
 * (2 + d/s), where the host's is by 2^-12 and 2^-25. The same e are summed, in wide
 * sums, so the gradient of a column adds up to 0 as it should. */
#include "plan/legal.h"

#include <math.h>

/* Sums end at 2^15 (rule mac_cliff), so they are kept to 2^TOP. */
enum { TOP = 14, GROUP = 32 };

typedef struct {
    int n;
    ir_node **x, **e; /* logits in pieces [1,rows,1,T], and e^(x - base) */
    ir_node *base;    /* [1,1,1,T]: their largest */
    ir_node *sum;     /* of e, times 2^-places: it must not overflow */
    int places;
} softmax_parts;

static const ir_node *named(const ir_node *x)
{
    while (x->op == IR_reshape) x = x->in[0];
    return x;
}

/* x, or what it is joined of, in order; at most `max` are written. */
static int pieces_of(ir_node *x, int64_t columns, ir_node **out, int max)
{
    const ir_node *join = named(x);
    bool apart = join->op == IR_concat && plan_outermost(join->shape, join->attr.axis);
    for (int i = 0; apart && i < join->n_in; i++)
        apart = ir_count(join->in[i]->shape) % columns == 0;
    if (!apart) {
        if (max > 0) out[0] = x;
        return 1;
    }
    int n = 0;
    for (int i = 0; i < join->n_in; i++)
        n += pieces_of(join->in[i], columns, out + n, max > n ? max - n : 0);
    return n;
}

/* How many rows are added at once: few, or all if they cannot be parted evenly. */
static int64_t group_of(int64_t rows)
{
    if (rows <= GROUP) return rows;
    for (int64_t n = GROUP; n > 3; n--)
        if (rows % n == 0) return n;
    return rows;
}

/* Sum over the rows of e, which is at most 1, times 2^-places. Products with ones are
 * added in wide sums, but chips drop those below 2^-16, and a sum of 32000 may be 1
 * beside terms of 2^-17. So groups of rows are added first, each sum lifted to just
 * below where sums end, and then groups of groups. Convolutions, whose weights are so
 * few numbers that they are no blobs. */
static ir_node *sum_of(legal *l, ir_node *e, int places)
{
    static const int one[] = {1, 1}, none[4] = {0};
    ir_graph *g = l->to;
    ir_node *x = e;
    int lifted = 0, top = 0; /* x is a sum times 2^lifted, and at most 2^top */
    if (!e) return NULL;
    for (int64_t rows = e->shape.d[1], columns = e->shape.d[3], n; x; rows /= n) {
        n = group_of(rows);
        int more = ir_target_bits(n), by = n < rows ? TOP - more - top : -places - lifted;
        ir_node *ones = ir_fill(g, IR_FP16, ir_s4(1, n, 1, 1), ldexp(1, by));
        x = ir_reshape(g, x, ir_s4(1, n, rows / n, columns));
        x = ir_conv(g, x, ones, one, none, one, 1);
        if (n == rows) break;
        lifted += by;
        top += more + by;
    }
    return x;
}

/* The gradient needs the same as the loss: the nodes made twice become one. */
static bool take_apart(legal *l, ir_node *logits, softmax_parts *p)
{
    ir_graph *g = l->to;
    int axis = 1;
    int64_t columns = logits->shape.d[3], vocab = logits->shape.d[1];
    p->x = arena_array(g->mem, PLAN_LEAVES, sizeof *p->x);
    p->e = arena_array(g->mem, PLAN_LEAVES, sizeof *p->e);
    if (!p->x || !p->e) return false;
    p->n = pieces_of(logits, columns, p->x, PLAN_LEAVES);
    if (p->n > PLAN_LEAVES) p->n = 1, p->x[0] = logits;
    for (p->places = 0; ldexp((double)vocab, -p->places) > ldexp(2, TOP);) p->places++;
    p->base = p->sum = NULL;
    for (int i = 0; i < p->n; i++) {
        int64_t rows = ir_count(p->x[i]->shape) / columns;
        p->x[i] = ir_reshape(g, p->x[i], ir_s4(1, rows, 1, columns));
        ir_node *most = ir_reduce(g, IR_reduce_max, p->x[i], 1, &axis, true);
        p->base = i ? ir_binary(g, IR_maximum, p->base, most) : most;
    }
    for (int i = 0; i < p->n; i++) {
        p->e[i] = ir_unary(g, IR_exp, ir_sub(g, p->x[i], p->base));
        ir_node *sum = sum_of(l, p->e[i], p->places);
        p->sum = i ? ir_add(g, p->sum, sum) : sum;
    }
    return p->sum != NULL;
}

ir_node *legal_loss(legal *l, const ir_node *n, ir_node *const *in)
{
    softmax_parts p;
    if (n->in[0]->type != IR_FP16) return legal_copy(l, n, in);
    if (!take_apart(l, in[0], &p)) return NULL;
    ir_node *all[] = {in[0], in[1], p.base, p.sum};
    ir_attr a = {.scale = ldexp(1, p.places)};
    return ir_make(l->to, IR_target_loss, 4, all, IR_FP32, (ir_shape){0}, &a);
}

/* Rows [at, at + rows) of the vocabulary's code: [1,1,rows,bits+1]. */
static ir_node *code_of(legal *l, int64_t at, int64_t rows, int bits)
{
    int64_t width = bits + 1;
    double *v = mem_take(mem_mul(sizeof *v, (size_t)(rows * width)));
    if (!v) return NULL;
    for (int64_t r = 0; r < rows; r++) {
        for (int i = 0; i < bits; i++) v[r * width + i] = (at + r) >> i & 1 ? 1 : -1;
        v[r * width + bits] = 1 - bits / 2.0;
    }
    ir_node *code = ir_const(l->to, IR_FP16, ir_s4(1, 1, rows, width), v);
    mem_drop(v);
    return code;
}

ir_node *legal_loss_dx(legal *l, const ir_node *n, ir_node *const *in)
{
    ir_graph *g = l->to;
    softmax_parts p;
    ir_shape s = n->shape;
    int64_t at = 0, columns = s.d[3];
    int bits = ir_target_bits(s.d[1]);
    if (!take_apart(l, in[0], &p)) return NULL;
    ir_attr a = {.vocab = s.d[1]};
    ir_node *targets = ir_make(g, IR_target_code, 2, in + 1, IR_FP16, (ir_shape){0}, &a);
    ir_node *d = legal_cut(l, targets, 1, bits, 1);
    if (p.places) d = ir_mul(g, d, ir_scalar(g, ldexp(1, -p.places)));
    d = ir_div(g, d, p.sum);
    targets = ir_reshape(g, targets, ir_s4(1, 1, bits + 1, columns));
    for (int i = 0; i < p.n; i++) {
        int64_t rows = p.x[i]->shape.d[1];
        ir_node *code = code_of(l, at, rows, bits);
        if (!code) return NULL;
        ir_node *hit = legal_product(l, code, targets, false, false);
        hit = ir_reshape(g, ir_unary(g, IR_relu, hit), p.x[i]->shape);
        ir_node *y = ir_sub(g, ir_mul(g, p.e[i], d), hit);
        p.e[i] = ir_reshape(g, y, ir_s4(1, 1, rows, columns));
        at += rows;
    }
    return ir_reshape(g, legal_join(l, p.n, p.e, 2), s);
}

/* What reads a piece of the gradient takes the piece, so that it is not joined. */
ir_node *legal_loss_piece(legal *l, const ir_node *n, ir_node *const *in)
{
    const ir_attr *a = &n->attr;
    ir_shape s = n->in[0]->shape;
    int64_t at = 0, inner = ir_count(s), count = ir_count(n->shape);
    if (named(n->in[0])->op != IR_cross_entropy_dx) return legal_copy(l, n, in);
    int cut = 0;
    while (cut + 1 < s.rank && a->size[cut] == s.d[cut]) cut++;
    for (int i = 0; i < s.rank; i++) {
        inner /= s.d[i];
        at += a->begin[i] * inner;
        if (i != cut && a->size[i] != s.d[i]) return legal_copy(l, n, in);
    }
    if (!plan_outermost(s, cut)) return legal_copy(l, n, in);
    ir_node *x = in[0];
    for (int i = 0; x;) {
        while (x->op == IR_reshape) x = x->in[0];
        int64_t size = ir_count(x->shape);
        if (at == 0 && size == count) return ir_reshape(l->to, x, n->shape);
        if (x->op != IR_concat || !plan_outermost(x->shape, x->attr.axis)) break;
        for (i = 0; i < x->n_in && at >= ir_count(x->in[i]->shape); i++)
            at -= ir_count(x->in[i]->shape);
        if (i == x->n_in || at + count > ir_count(x->in[i]->shape)) break;
        x = x->in[i];
    }
    return legal_copy(l, n, in);
}
