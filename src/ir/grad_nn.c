/* grad_nn.c - gradients of products, convolutions and the layers of
 * transformers. Each repeats the forward line it undoes. */
#include "ir/grad.h"

/* z = X Y, X = x or x^T, Y = y or y^T: dX = dz Y^T, dY = X^T dz. The flags are
 * chosen so that nothing is ever transposed by itself; the weight gradient of
 * a linear layer is one product dz x^T over all columns. */
void ir_grad_matmul(ir_back *b)
{
    const bool tx = b->n->attr.tx, ty = b->n->attr.ty;
    ir_node *x = b->n->in[0], *y = b->n->in[1], *d = b->dy;
    if (ir_wants(b, 0))
        ir_give(b, 0,
                tx ? ir_matmul(b->g, y, d, ty, true) : ir_matmul(b->g, d, y, false, !ty));
    if (ir_wants(b, 1))
        ir_give(b, 1,
                ty ? ir_matmul(b->g, d, x, true, tx) : ir_matmul(b->g, x, d, !tx, false));
}

/* ---- conv ---- */
static ir_node *conv_back(ir_back *b, ir_op op, ir_node *x, ir_node *y, ir_shape in)
{
    ir_attr a = b->n->attr;
    ir_node *args[] = {x, y};
    for (int i = 0; i < 4; i++) a.in_shape[i] = in.d[i];
    return ir_make(b->g, op, 2, args, IR_FP16, (ir_shape){0}, &a);
}

static ir_node *conv_again(ir_back *b, ir_node *x, ir_node *w)
{
    const ir_attr *a = &b->n->attr;
    return ir_conv(b->g, x, w, a->stride, a->pad, a->dilation, a->groups);
}

/* A 1x1 convolution of one image is a matrix product, which devices have. */
static bool is_linear(const ir_node *n)
{
    const ir_attr *a = &n->attr;
    const ir_shape x = n->in[0]->shape, w = n->in[1]->shape;
    return x.d[0] == 1 && w.d[2] == 1 && w.d[3] == 1 && a->groups == 1 &&
           a->stride[0] == 1 && a->stride[1] == 1 &&
           !(a->pad[0] | a->pad[1] | a->pad[2] | a->pad[3]);
}

static void give_linear(ir_back *b)
{
    ir_graph *g = b->g;
    ir_node *x = b->n->in[0], *w = b->n->in[1];
    const int64_t o = w->shape.d[0], c = w->shape.d[1],
                  cols = x->shape.d[2] * x->shape.d[3];
    ir_node *d = ir_reshape(g, b->dy, ir_s4(1, 1, o, cols));
    if (ir_wants(b, 0)) {
        ir_node *dx = ir_matmul(g, ir_reshape(g, w, ir_s4(1, 1, o, c)), d, true, false);
        ir_give(b, 0, ir_reshape(g, dx, x->shape));
    }
    if (ir_wants(b, 1)) {
        ir_node *dw = ir_matmul(g, d, ir_reshape(g, x, ir_s4(1, 1, c, cols)), false,
                                true);
        ir_give(b, 1, ir_reshape(g, dw, w->shape));
    }
}

void ir_grad_conv(ir_back *b)
{
    ir_node *x = b->n->in[0], *w = b->n->in[1];
    if (is_linear(b->n)) {
        give_linear(b);
        return;
    }
    if (ir_wants(b, 0)) ir_give(b, 0, conv_back(b, IR_conv_dx, w, b->dy, x->shape));
    if (ir_wants(b, 1)) ir_give(b, 1, conv_back(b, IR_conv_dw, x, b->dy, w->shape));
}

/* conv is linear in each operand, so its gradients are each other. */
void ir_grad_conv_dx(ir_back *b) /* n = conv_dx(w, dy) */
{
    ir_node *w = b->n->in[0], *dy = b->n->in[1];
    if (ir_wants(b, 0)) ir_give(b, 0, conv_back(b, IR_conv_dw, b->dy, dy, w->shape));
    if (ir_wants(b, 1)) ir_give(b, 1, conv_again(b, b->dy, w));
}

void ir_grad_conv_dw(ir_back *b) /* n = conv_dw(x, dy) */
{
    ir_node *x = b->n->in[0], *dy = b->n->in[1];
    if (ir_wants(b, 0)) ir_give(b, 0, conv_back(b, IR_conv_dx, b->dy, dy, x->shape));
    if (ir_wants(b, 1)) ir_give(b, 1, conv_again(b, x, b->dy));
}

/* ---- norms ---- */
/* n = xh w with xh = x r, r = rms_scale(x):
 * dx = r (w dy - xh mean(w dy xh)), dw = sum of dy xh */
void ir_grad_rms_norm(ir_back *b)
{
    ir_graph *g = b->g;
    const int axis = b->n->attr.axis;
    ir_node *x = b->n->in[0], *w = b->n->in[1];
    ir_node *r = ir_rms_scale(g, x, axis, b->n->attr.eps);
    ir_node *xh = ir_mul(g, x, r);
    if (ir_wants(b, 1)) ir_give(b, 1, ir_mul(g, b->dy, xh));
    if (!ir_wants(b, 0)) return;
    ir_node *d = ir_mul(g, b->dy, w);
    ir_node *mean = ir_sum1(g, ir_mul(g, d, xh), axis, 1.0 / (double)x->shape.d[axis]);
    ir_give(b, 0, ir_mul(g, r, ir_sub(g, d, ir_mul(g, xh, mean))));
}

/* n = (mean x^2 + eps)^(-1/2): dx = -x n^3 dy / C */
void ir_grad_rms_scale(ir_back *b)
{
    ir_graph *g = b->g;
    ir_node *x = b->n->in[0];
    ir_node *d = ir_scaled(g, b->dy, -1.0 / (double)x->shape.d[b->n->attr.axis]);
    for (int i = 0; i < 2; i++) d = ir_mul(g, d, b->n);
    ir_give(b, 0, ir_mul(g, ir_mul(g, x, b->n), d));
}

/* n = xh w + b with xc = x - mean x, xh = xc r, r = rms_scale(xc):
 * dx = r (w dy - mean(w dy) - xh mean(w dy xh)) */
void ir_grad_layer_norm(ir_back *b)
{
    ir_graph *g = b->g;
    const int axis = b->n->attr.axis;
    ir_node *x = b->n->in[0], *w = b->n->in[1];
    const double each = 1.0 / (double)x->shape.d[axis];
    ir_node *xc = ir_sub(g, x, ir_sum1(g, x, axis, each));
    ir_node *r = ir_rms_scale(g, xc, axis, b->n->attr.eps);
    ir_node *xh = ir_mul(g, xc, r);
    if (ir_wants(b, 1)) ir_give(b, 1, ir_mul(g, b->dy, xh));
    ir_give(b, 2, b->dy);
    if (!ir_wants(b, 0)) return;
    ir_node *d = ir_mul(g, b->dy, w);
    ir_node *along = ir_mul(g, xh, ir_sum1(g, ir_mul(g, d, xh), axis, each));
    ir_node *rest = ir_sub(g, d, ir_sum1(g, d, axis, each));
    ir_give(b, 0, ir_mul(g, r, ir_sub(g, rest, along)));
}

/* A rotation: back by the other way round. */
void ir_grad_rope(ir_back *b)
{
    const ir_attr *a = &b->n->attr;
    ir_give(b, 0,
            ir_rope(b->g, b->dy, a->heads, a->head_dim, a->batch, a->theta,
                    a->interleaved, !a->inverse));
}

/* Ops of their own until a planner takes them apart together with the forward op
 * (parts.c has the formulas). */
void ir_grad_attention(ir_back *b)
{
    ir_node *in[] = {b->n->in[0], b->n->in[1], b->n->in[2], b->dy};
    static const int order[] = {2, 0, 1}; /* dS comes after what needs none */
    for (int i = 0; i < 3; i++) {
        ir_attr a = b->n->attr;
        a.index = order[i];
        if (ir_wants(b, a.index))
            ir_give(b, a.index,
                    ir_make(b->g, IR_attention_dx, 4, in, IR_FP16, (ir_shape){0}, &a));
    }
}

/* ---- embedding and loss ---- */
void ir_grad_embedding(ir_back *b)
{
    ir_node *in[] = {b->n->in[1], b->dy};
    ir_attr a = {.vocab = b->n->in[0]->shape.d[0]};
    if (ir_wants(b, 0))
        ir_give(b, 0, ir_make(b->g, IR_embedding_dw, 2, in, IR_FP16, (ir_shape){0}, &a));
}

void ir_grad_cross_entropy(ir_back *b)
{
    ir_node *in[] = {b->n->in[0], b->n->in[1], b->dy};
    if (ir_wants(b, 0))
        ir_give(b, 0,
                ir_make(b->g, IR_cross_entropy_dx, 3, in, IR_FP16, (ir_shape){0}, NULL));
}
