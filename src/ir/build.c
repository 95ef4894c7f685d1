/* build.c - constructors: operands in, a checked node out, NULL on failure. */
#include "ir/table.h"

ir_node *ir_make(ir_graph *g, ir_op op, int n_in, ir_node *const *in, ir_type t,
                 ir_shape hint, const ir_attr *attr)
{
    static const ir_attr none;
    ir_draft d = {.op = op,
                  .n_in = n_in,
                  .in = in,
                  .attr = attr ? *attr : none,
                  .type = t,
                  .shape = hint};
    if (g->failed != OK) return NULL;
    if (op == IR_input || op == IR_param || op == IR_constant)
        return ir_give_up(g, err_fail(E_SHAPE, "%s: a leaf is made with ir_%s",
                                      ir_op_name(op),
                                      op == IR_constant ? "const" : ir_op_name(op)));
    for (int i = 0; i < n_in; i++)
        if (!in[i])
            return ir_give_up(
                g, err_fail(E_SHAPE, "%s: operand %d is missing", ir_op_name(op), i));
    rc failed = ir_draft_check(&d);
    return failed == OK ? ir_append(g, &d) : ir_give_up(g, failed);
}

static ir_node *make1(ir_graph *g, ir_op op, ir_node *x, const ir_attr *attr)
{
    return ir_make(g, op, 1, &x, IR_FP16, (ir_shape){0}, attr);
}

static ir_node *make2(ir_graph *g, ir_op op, ir_node *x, ir_node *y, const ir_attr *attr)
{
    ir_node *in[] = {x, y};
    return ir_make(g, op, 2, in, IR_FP16, (ir_shape){0}, attr);
}

static ir_node *make3(ir_graph *g, ir_op op, ir_node *x, ir_node *y, ir_node *z,
                      const ir_attr *attr)
{
    ir_node *in[] = {x, y, z};
    return ir_make(g, op, 3, in, IR_FP16, (ir_shape){0}, attr);
}

ir_node *ir_binary(ir_graph *g, ir_op op, ir_node *x, ir_node *y)
{
    return make2(g, op, x, y, NULL);
}

ir_node *ir_unary(ir_graph *g, ir_op op, ir_node *x)
{
    return make1(g, op, x, NULL);
}

ir_node *ir_add(ir_graph *g, ir_node *x, ir_node *y)
{
    return make2(g, IR_add, x, y, NULL);
}

ir_node *ir_sub(ir_graph *g, ir_node *x, ir_node *y)
{
    return make2(g, IR_sub, x, y, NULL);
}

ir_node *ir_mul(ir_graph *g, ir_node *x, ir_node *y)
{
    return make2(g, IR_mul, x, y, NULL);
}

ir_node *ir_div(ir_graph *g, ir_node *x, ir_node *y)
{
    return make2(g, IR_real_div, x, y, NULL);
}

ir_node *ir_softmax(ir_graph *g, ir_node *x, int axis)
{
    return make1(g, IR_softmax, x, &(ir_attr){.axis = axis});
}

ir_node *ir_reduce(ir_graph *g, ir_op op, ir_node *x, int n_axes, const int *axes,
                   bool keep)
{
    ir_attr a = {.n_axes = n_axes, .keep = keep};
    for (int i = 0; i < n_axes && i < IR_RANK; i++) a.axes[i] = axes[i];
    return make1(g, op, x, &a);
}

ir_node *ir_matmul(ir_graph *g, ir_node *x, ir_node *y, bool tx, bool ty)
{
    return make2(g, IR_matmul, x, y, &(ir_attr){.tx = tx, .ty = ty});
}

ir_node *ir_conv(ir_graph *g, ir_node *x, ir_node *w, const int stride[2],
                 const int pad[4], const int dilation[2], int groups)
{
    ir_attr a = {.groups = groups};
    for (int i = 0; i < 2; i++) a.stride[i] = stride[i], a.dilation[i] = dilation[i];
    for (int i = 0; i < 4; i++) a.pad[i] = pad[i];
    return make2(g, IR_conv, x, w, &a);
}

ir_node *ir_reshape(ir_graph *g, ir_node *x, ir_shape s)
{
    return ir_make(g, IR_reshape, 1, &x, IR_FP16, s, NULL);
}

ir_node *ir_transpose(ir_graph *g, ir_node *x, const int *perm)
{
    ir_attr a = {0};
    for (int i = 0; x && i < x->shape.rank; i++) a.perm[i] = perm[i];
    return make1(g, IR_transpose, x, &a);
}

ir_node *ir_slice(ir_graph *g, ir_node *x, const int64_t *begin, const int64_t *size)
{
    ir_attr a = {0};
    for (int i = 0; x && i < x->shape.rank; i++)
        a.begin[i] = begin[i], a.size[i] = size[i];
    return make1(g, IR_slice, x, &a);
}

ir_node *ir_concat(ir_graph *g, int n, ir_node *const *x, int axis)
{
    return ir_make(g, IR_concat, n, x, IR_FP16, (ir_shape){0}, &(ir_attr){.axis = axis});
}

ir_node *ir_split(ir_graph *g, ir_node *x, int axis, int parts, int index)
{
    return make1(g, IR_split, x,
                 &(ir_attr){.axis = axis, .parts = parts, .index = index});
}

ir_node *ir_tile(ir_graph *g, ir_node *x, const int64_t *reps)
{
    ir_attr a = {0};
    for (int i = 0; x && i < x->shape.rank; i++) a.reps[i] = reps[i];
    return make1(g, IR_tile, x, &a);
}

ir_node *ir_cast(ir_graph *g, ir_node *x, ir_type t)
{
    return ir_make(g, IR_cast, 1, &x, t, (ir_shape){0}, NULL);
}

ir_node *ir_select(ir_graph *g, ir_node *c, ir_node *a, ir_node *b)
{
    return make3(g, IR_select, c, a, b, NULL);
}

ir_node *ir_greater_equal(ir_graph *g, ir_node *x, ir_node *y)
{
    return make2(g, IR_greater_equal, x, y, NULL);
}

ir_node *ir_rms_norm(ir_graph *g, ir_node *x, ir_node *w, int axis, double eps)
{
    return make2(g, IR_rms_norm, x, w, &(ir_attr){.axis = axis, .eps = eps});
}

ir_node *ir_rms_scale(ir_graph *g, ir_node *x, int axis, double eps)
{
    return make1(g, IR_rms_scale, x, &(ir_attr){.axis = axis, .eps = eps});
}

ir_node *ir_layer_norm(ir_graph *g, ir_node *x, ir_node *w, ir_node *b, int axis,
                       double eps)
{
    return make3(g, IR_layer_norm, x, w, b, &(ir_attr){.axis = axis, .eps = eps});
}

ir_node *ir_rope(ir_graph *g, ir_node *x, int heads, int head_dim, int batch,
                 double theta, bool interleaved, bool inverse)
{
    return make1(g, IR_rope, x,
                 &(ir_attr){.heads = heads,
                            .head_dim = head_dim,
                            .batch = batch,
                            .theta = theta,
                            .interleaved = interleaved,
                            .inverse = inverse});
}

ir_node *ir_attention(ir_graph *g, ir_node *q, ir_node *k, ir_node *v, int heads,
                      int kv_heads, int head_dim, int batch, double scale)
{
    return make3(g, IR_attention, q, k, v,
                 &(ir_attr){.heads = heads,
                            .kv_heads = kv_heads,
                            .head_dim = head_dim,
                            .batch = batch,
                            .scale = scale});
}

ir_node *ir_embedding(ir_graph *g, ir_node *table, ir_node *ids)
{
    return make2(g, IR_embedding, table, ids, NULL);
}

ir_node *ir_cross_entropy(ir_graph *g, ir_node *logits, ir_node *ids)
{
    return make2(g, IR_cross_entropy, logits, ids, NULL);
}

/* As a product of matrices, because that form needs no transpose on either
 * side and its weight gradient is one product over all columns. */
ir_node *ir_linear(ir_graph *g, ir_node *w, ir_node *x)
{
    char a[64], b[64];
    if (g->failed != OK) return NULL;
    if (!w || !x)
        return ir_give_up(g,
                          err_fail(E_SHAPE, "linear: operand %d is missing", w ? 1 : 0));
    const ir_shape ws = w->shape, xs = x->shape;
    if (ws.rank != 2 || xs.rank != 4 || xs.d[0] != 1 || xs.d[2] != 1 ||
        xs.d[1] != ws.d[1])
        return ir_give_up(
            g, err_fail(E_SHAPE, "linear: weight %s wants [1,%lld,1,T], got %s",
                        ir_shape_text(a, ws), (long long)(ws.rank == 2 ? ws.d[1] : 0),
                        ir_shape_text(b, xs)));
    ir_node *wm = ir_reshape(g, w, ir_s4(1, 1, ws.d[0], ws.d[1]));
    ir_node *xm = ir_reshape(g, x, ir_s4(1, 1, xs.d[1], xs.d[3]));
    return ir_reshape(g, ir_matmul(g, wm, xm, false, false),
                      ir_s4(1, ws.d[0], 1, xs.d[3]));
}
