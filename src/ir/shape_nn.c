/* shape_nn.c - shape rules of products, convolutions and the layers of
 * transformers. Sequences are [1, C, 1, T], T = batch * seq. */
#include "ir/table.h"

#include <math.h>

static rc need_real(const ir_draft *d, int n)
{
    for (int i = 0; i < n; i++) {
        if (!ir_is_real(d->in[i]->type))
            return ir_bad(d, "operand %d must be fp16 or fp32, got %s", i,
                          ir_type_name(d->in[i]->type));
        if (d->in[i]->type != d->in[0]->type)
            return ir_bad(d, "operands must be of one type, got %s and %s",
                          ir_type_name(d->in[0]->type), ir_type_name(d->in[i]->type));
    }
    return OK;
}

/* [1, C, 1, T]; *c and *t may be NULL. */
static rc need_sequence(const ir_draft *d, int i, int64_t *c, int64_t *t)
{
    ir_shape s = d->in[i]->shape;
    char a[64];
    if (s.rank != 4 || s.d[0] != 1 || s.d[2] != 1)
        return ir_bad(d, "operand %d must be [1,C,1,T], got %s", i, ir_shape_text(a, s));
    if (c) *c = s.d[1];
    if (t) *t = s.d[3];
    return OK;
}

static rc need_ids(const ir_draft *d, int i, int64_t t)
{
    const ir_node *n = d->in[i];
    char a[64];
    if (n->type != IR_INT32 || n->shape.rank != 1)
        return ir_bad(d, "ids must be int32 [T], got %s %s", ir_type_name(n->type),
                      ir_shape_text(a, n->shape));
    if (t && n->shape.d[0] != t)
        return ir_bad(d, "%lld ids for %lld columns", (long long)n->shape.d[0],
                      (long long)t);
    return OK;
}

/* Matrices are the last two axes; leading axes are batches and broadcast. */
rc ir_rule_matmul(ir_draft *d)
{
    ir_shape x = d->in[0]->shape, y = d->in[1]->shape, out;
    char a[64], b[64];
    TRY(need_real(d, 2));
    if (x.rank < 2 || y.rank < 2)
        return ir_bad(d, "operands must have rank 2 or more, got %s and %s",
                      ir_shape_text(a, x), ir_shape_text(b, y));
    int64_t m = x.d[x.rank - 2], kx = x.d[x.rank - 1];
    int64_t ky = y.d[y.rank - 2], n = y.d[y.rank - 1];
    if (d->attr.tx) {
        int64_t swap = m;
        m = kx;
        kx = swap;
    }
    if (d->attr.ty) {
        int64_t swap = n;
        n = ky;
        ky = swap;
    }
    if (kx != ky)
        return ir_bad(d, "inner sizes differ: %s%s by %s%s", ir_shape_text(a, x),
                      d->attr.tx ? " transposed" : "", ir_shape_text(b, y),
                      d->attr.ty ? " transposed" : "");
    for (int i = 1; i <= 2; i++) x.d[x.rank - i] = y.d[y.rank - i] = 1;
    if (!ir_broadcast(x, y, &out))
        return ir_bad(d, "batches of %s and %s do not broadcast", ir_shape_text(a, x),
                      ir_shape_text(b, y));
    out.d[out.rank - 2] = m;
    out.d[out.rank - 1] = n;
    d->shape = out;
    d->type = d->in[0]->type;
    return OK;
}

/* The result of x [N,C,H,W] by w [O,C/g,kh,kw]. */
static rc conv_shape(const ir_draft *d, ir_shape x, ir_shape w, ir_shape *out)
{
    const ir_attr *a = &d->attr;
    char s[64], t[64];
    if (x.rank != 4 || w.rank != 4)
        return ir_bad(d, "input and weight must have rank 4, got %s and %s",
                      ir_shape_text(s, x), ir_shape_text(t, w));
    if (a->groups < 1 || x.d[1] % a->groups || w.d[0] % a->groups)
        return ir_bad(d, "%d groups do not divide %lld inputs and %lld outputs",
                      a->groups, (long long)x.d[1], (long long)w.d[0]);
    if (w.d[1] != x.d[1] / a->groups)
        return ir_bad(d, "weight %s wants %lld channels a group, the input %s has %lld",
                      ir_shape_text(s, w), (long long)w.d[1], ir_shape_text(t, x),
                      (long long)(x.d[1] / a->groups));
    *out = ir_s4(x.d[0], w.d[0], 0, 0);
    for (int i = 0; i < 2; i++) {
        int before = a->pad[2 * i], after = a->pad[2 * i + 1];
        if (a->stride[i] < 1 || a->stride[i] > IR_MAX_STEP || a->dilation[i] < 1 ||
            a->dilation[i] > IR_MAX_STEP || before < 0 || after < 0 ||
            before > IR_MAX_STEP || after > IR_MAX_STEP)
            return ir_bad(d, "stride, dilation and padding must be 1, 1 and 0 to 2^20");
        int64_t reach = (w.d[2 + i] - 1) * a->dilation[i] + 1;
        int64_t room = x.d[2 + i] + before + after - reach;
        if (room < 0)
            return ir_bad(d, "a kernel reaching %lld does not fit %lld with padding",
                          (long long)reach, (long long)(x.d[2 + i] + before + after));
        out->d[2 + i] = room / a->stride[i] + 1;
    }
    return OK;
}

rc ir_rule_conv(ir_draft *d)
{
    TRY(need_real(d, 2));
    d->type = d->in[0]->type;
    return conv_shape(d, d->in[0]->shape, d->in[1]->shape, &d->shape);
}

/* in_shape must be the operand that makes dy of this shape. */
static rc conv_back(ir_draft *d, ir_shape x, ir_shape w)
{
    ir_shape out;
    char a[64], b[64];
    TRY(need_real(d, 2));
    d->type = d->in[0]->type;
    TRY(ir_shape_check(ir_op_name(d->op), d->shape));
    TRY(conv_shape(d, x, w, &out));
    if (!ir_shape_eq(out, d->in[1]->shape))
        return ir_bad(d, "the forward result would be %s, dy is %s",
                      ir_shape_text(a, out), ir_shape_text(b, d->in[1]->shape));
    return OK;
}

rc ir_rule_conv_dx(ir_draft *d)
{
    const int64_t *s = d->attr.in_shape;
    d->shape = ir_s4(s[0], s[1], s[2], s[3]);
    return conv_back(d, d->shape, d->in[0]->shape);
}

rc ir_rule_conv_dw(ir_draft *d)
{
    const int64_t *s = d->attr.in_shape;
    d->shape = ir_s4(s[0], s[1], s[2], s[3]);
    return conv_back(d, d->in[0]->shape, d->shape);
}

/* Weight and bias vary along the axis alone: [1,C,1,1] for axis 1 of rank 4. */
rc ir_rule_norm(ir_draft *d)
{
    TRY(need_real(d, d->n_in));
    TRY(ir_rule_reduce1(d));
    d->shape = d->in[0]->shape;
    for (int i = 1; i < d->n_in; i++) {
        ir_shape w = d->in[i]->shape, out;
        char a[64], b[64];
        int64_t n = d->shape.d[d->attr.axis];
        int at = w.rank - d->shape.rank + d->attr.axis; /* the axis, seen from w */
        if (ir_count(w) != n || !ir_broadcast(w, d->shape, &out) ||
            !ir_shape_eq(out, d->shape) || (at < 0 ? n != 1 : w.d[at] != n))
            return ir_bad(
                d, "operand %d must have %lld elements along axis %d of %s, got %s", i,
                (long long)n, d->attr.axis, ir_shape_text(a, d->shape),
                ir_shape_text(b, w));
    }
    return OK;
}

static rc check_heads(const ir_draft *d, int i, int heads)
{
    int64_t c, t;
    TRY(need_sequence(d, i, &c, &t));
    if (heads < 1 || d->attr.head_dim < 1 || c != (int64_t)heads * d->attr.head_dim)
        return ir_bad(d, "operand %d has %lld channels, wanted %d heads of %d", i,
                      (long long)c, heads, d->attr.head_dim);
    if (d->attr.batch < 1 || t % d->attr.batch)
        return ir_bad(d, "%lld columns are not %d sequences of one length", (long long)t,
                      d->attr.batch);
    return OK;
}

rc ir_rule_rope(ir_draft *d)
{
    TRY(ir_rule_same(d));
    TRY(check_heads(d, 0, d->attr.heads));
    if (d->attr.head_dim % 2)
        return ir_bad(d, "head_dim must be even, got %d", d->attr.head_dim);
    if (!(d->attr.theta > 0) || isinf(d->attr.theta))
        return ir_bad(d, "theta must be finite and above 0, got %g", d->attr.theta);
    return OK;
}

rc ir_rule_attention(ir_draft *d)
{
    const ir_attr *a = &d->attr;
    char s[64], t[64];
    TRY(need_real(d, 3));
    TRY(check_heads(d, 0, a->heads));
    TRY(check_heads(d, 1, a->kv_heads));
    TRY(check_heads(d, 2, a->kv_heads));
    if (a->heads % a->kv_heads)
        return ir_bad(d, "heads must be a multiple of kv_heads, got %d and %d", a->heads,
                      a->kv_heads);
    if (d->in[0]->shape.d[3] != d->in[1]->shape.d[3] ||
        d->in[0]->shape.d[3] != d->in[2]->shape.d[3])
        return ir_bad(d, "q %s and k, v %s have different columns",
                      ir_shape_text(s, d->in[0]->shape),
                      ir_shape_text(t, d->in[1]->shape));
    if (!isfinite(a->scale)) return ir_bad(d, "scale must be finite, got %g", a->scale);
    d->shape = d->in[0]->shape;
    d->type = d->in[0]->type;
    return OK;
}

rc ir_rule_attention_dx(ir_draft *d)
{
    char s[64], t[64];
    TRY(need_real(d, 4));
    TRY(ir_rule_attention(d));
    if (!ir_shape_eq(d->in[3]->shape, d->shape))
        return ir_bad(d, "dy must be %s as q, got %s", ir_shape_text(s, d->shape),
                      ir_shape_text(t, d->in[3]->shape));
    if (d->attr.index < 0 || d->attr.index > 2)
        return ir_bad(d, "index must be 0, 1 or 2, got %d", d->attr.index);
    d->shape = d->in[d->attr.index]->shape;
    return OK;
}

rc ir_rule_embedding(ir_draft *d)
{
    ir_shape table = d->in[0]->shape;
    char a[64];
    TRY(need_real(d, 1));
    TRY(need_ids(d, 1, 0));
    if (table.rank != 2)
        return ir_bad(d, "the table must be [V,D], got %s", ir_shape_text(a, table));
    d->shape = ir_s4(1, table.d[1], 1, d->in[1]->shape.d[0]);
    d->type = d->in[0]->type;
    return OK;
}

rc ir_rule_embedding_dw(ir_draft *d)
{
    int64_t c, t;
    TRY(need_sequence(d, 1, &c, &t));
    TRY(need_ids(d, 0, t));
    if (!ir_is_real(d->in[1]->type))
        return ir_bad(d, "dy must be fp16 or fp32, got %s", ir_type_name(d->in[1]->type));
    d->shape = ir_s2(d->attr.vocab, c);
    d->type = d->in[1]->type;
    return OK;
}

rc ir_rule_cross_entropy(ir_draft *d)
{
    int64_t t;
    TRY(need_real(d, 1));
    TRY(need_sequence(d, 0, NULL, &t));
    TRY(need_ids(d, 1, t));
    d->shape = ir_s1(1);
    d->type = IR_FP32;
    return OK;
}

static rc need_one(const ir_draft *d, int i)
{
    char a[64];
    if (d->in[i]->type == IR_FP32 && ir_shape_eq(d->in[i]->shape, ir_s1(1))) return OK;
    return ir_bad(d, "d must be fp32 [1], got %s %s", ir_type_name(d->in[i]->type),
                  ir_shape_text(a, d->in[i]->shape));
}

rc ir_rule_cross_entropy_dx(ir_draft *d)
{
    TRY(ir_rule_cross_entropy(d));
    TRY(need_one(d, 2));
    d->shape = d->in[0]->shape;
    d->type = d->in[0]->type;
    return OK;
}

int ir_target_bits(int64_t vocab)
{
    int n = 1;
    while (n < 62 && (int64_t)1 << n < vocab) n++;
    return n;
}

rc ir_rule_target_code(ir_draft *d)
{
    TRY(need_ids(d, 0, 0));
    TRY(need_one(d, 1));
    if (d->attr.vocab < 1)
        return ir_bad(d, "vocab must be 1 or more, got %lld", (long long)d->attr.vocab);
    d->shape = ir_s4(1, ir_target_bits(d->attr.vocab) + 1, 1, d->in[0]->shape.d[0]);
    d->type = IR_FP16;
    return OK;
}

rc ir_rule_target_loss(ir_draft *d)
{
    char a[64];
    TRY(ir_rule_cross_entropy(d));
    for (int i = 2; i < 4; i++)
        if (!ir_is_real(d->in[i]->type) ||
            !ir_shape_eq(d->in[i]->shape, ir_s4(1, 1, 1, d->in[0]->shape.d[3])))
            return ir_bad(d, "operand %d must have one value a column, got %s %s", i,
                          ir_type_name(d->in[i]->type),
                          ir_shape_text(a, d->in[i]->shape));
    if (!(d->attr.scale > 0) || isinf(d->attr.scale))
        return ir_bad(d, "scale must be finite and above 0, got %g", d->attr.scale);
    return OK;
}
