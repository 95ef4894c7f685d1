/* grad_each.c - gradients of elementwise ops. x, y are the operands, n the
 * result, d its gradient; each function says the derivative it applies. */
#include "ir/grad.h"

static ir_node *one_minus(ir_graph *g, ir_node *x)
{
    return ir_sub(g, ir_number(g, x, 1), x);
}

/* c ? x : 0 and c ? 0 : x */
static ir_node *where(ir_graph *g, ir_node *c, ir_node *x)
{
    return ir_select(g, c, x, ir_number(g, x, 0));
}

static ir_node *where_not(ir_graph *g, ir_node *c, ir_node *x)
{
    return ir_select(g, c, ir_number(g, x, 0), x);
}

void ir_grad_add(ir_back *b)
{
    ir_give(b, 0, b->dy);
    ir_give(b, 1, b->dy);
}

void ir_grad_sub(ir_back *b)
{
    ir_give(b, 0, b->dy);
    if (!ir_wants(b, 1)) return; /* negated when small */
    ir_give(b, 1, ir_scaled(b->g, ir_sum_to(b->g, b->dy, b->n->in[1]->shape), -1));
}

void ir_grad_mul(ir_back *b)
{
    for (int i = 0; i < 2; i++)
        if (ir_wants(b, i)) ir_give(b, i, ir_mul(b->g, b->dy, b->n->in[1 - i]));
}

/* d/dx = 1/y, d/dy = -(x/y)/y */
void ir_grad_real_div(ir_back *b)
{
    ir_node *q = ir_div(b->g, b->dy, b->n->in[1]);
    ir_give(b, 0, q);
    if (!ir_wants(b, 1)) return;
    q = ir_sum_to(b->g, ir_mul(b->g, q, b->n), b->n->in[1]->shape);
    ir_give(b, 1, ir_scaled(b->g, q, -1));
}

/* Equal operands: the first is the one chosen, as in the forward pass. */
void ir_grad_maximum(ir_back *b)
{
    ir_node *c = ir_greater_equal(b->g, b->n->in[0], b->n->in[1]);
    if (ir_wants(b, 0)) ir_give(b, 0, where(b->g, c, b->dy));
    if (ir_wants(b, 1)) ir_give(b, 1, where_not(b->g, c, b->dy));
}

void ir_grad_minimum(ir_back *b)
{
    ir_node *c = ir_greater_equal(b->g, b->n->in[0], b->n->in[1]);
    if (ir_wants(b, 0)) ir_give(b, 0, where_not(b->g, c, b->dy));
    if (ir_wants(b, 1)) ir_give(b, 1, where(b->g, c, b->dy));
}

/* d/dx = y x^(y-1), d/dy = x^y ln x */
void ir_grad_pow(ir_back *b)
{
    ir_graph *g = b->g;
    ir_node *x = b->n->in[0], *y = b->n->in[1];
    if (ir_wants(b, 0)) {
        ir_node *less = ir_sub(g, y, ir_number(g, y, 1));
        ir_give(b, 0, ir_mul(g, b->dy, ir_mul(g, y, ir_binary(g, IR_pow, x, less))));
    }
    if (ir_wants(b, 1))
        ir_give(b, 1, ir_mul(g, b->dy, ir_mul(g, b->n, ir_unary(g, IR_log, x))));
}

void ir_grad_abs(ir_back *b)
{
    ir_node *x = b->n->in[0];
    ir_node *c = ir_greater_equal(b->g, x, ir_number(b->g, x, 0));
    ir_give(b, 0, ir_select(b->g, c, b->dy, ir_scaled(b->g, b->dy, -1)));
}

void ir_grad_exp(ir_back *b)
{
    ir_give(b, 0, ir_mul(b->g, b->dy, b->n));
}

void ir_grad_log(ir_back *b)
{
    ir_give(b, 0, ir_div(b->g, b->dy, b->n->in[0]));
}

/* 0.5 / sqrt x */
void ir_grad_sqrt(ir_back *b)
{
    ir_give(b, 0, ir_div(b->g, ir_scaled(b->g, b->dy, 0.5), b->n));
}

/* -0.5 x^(-3/2), multiplied from the left so that no power of n stands alone */
void ir_grad_rsqrt(ir_back *b)
{
    ir_node *d = ir_scaled(b->g, b->dy, -0.5);
    for (int i = 0; i < 3; i++) d = ir_mul(b->g, d, b->n);
    ir_give(b, 0, d);
}

/* 1 - n^2 */
void ir_grad_tanh(ir_back *b)
{
    ir_give(b, 0, ir_mul(b->g, b->dy, one_minus(b->g, ir_mul(b->g, b->n, b->n))));
}

/* n (1 - n) */
void ir_grad_sigmoid(ir_back *b)
{
    ir_give(b, 0, ir_mul(b->g, b->dy, ir_mul(b->g, b->n, one_minus(b->g, b->n))));
}

void ir_grad_relu(ir_back *b)
{
    ir_node *x = b->n->in[0];
    ir_node *off = ir_greater_equal(b->g, ir_number(b->g, x, 0), x);
    ir_give(b, 0, where_not(b->g, off, b->dy));
}

/* n = x s: s + n (1 - s) */
void ir_grad_silu(ir_back *b)
{
    ir_node *s = ir_unary(b->g, IR_sigmoid, b->n->in[0]);
    ir_node *slope = ir_add(b->g, s, ir_mul(b->g, b->n, one_minus(b->g, s)));
    ir_give(b, 0, ir_mul(b->g, b->dy, slope));
}

/* n = x h with h = (1 + t)/2, t = tanh(A (x + B x^3)):
 * h + x (1 - t^2) A/2 (1 + 3 B x^2) */
void ir_grad_gelu(ir_back *b)
{
    ir_graph *g = b->g;
    ir_node *x = b->n->in[0], *one = ir_number(g, x, 1);
    ir_node *square = ir_mul(g, x, x);
    ir_node *inner = ir_mul(g, x, ir_add(g, one, ir_scaled(g, square, IR_GELU_B)));
    ir_node *t = ir_unary(g, IR_tanh, ir_scaled(g, inner, IR_GELU_A));
    ir_node *h = ir_scaled(g, ir_add(g, one, t), 0.5);
    ir_node *rise = ir_add(g, one, ir_scaled(g, square, 3 * IR_GELU_B));
    ir_node *slope = one_minus(g, ir_mul(g, t, t));
    ir_node *turn = ir_mul(g, ir_scaled(g, x, IR_GELU_A / 2), slope);
    ir_give(b, 0, ir_mul(g, b->dy, ir_add(g, h, ir_mul(g, turn, rise))));
}

void ir_grad_select(ir_back *b)
{
    if (ir_wants(b, 1)) ir_give(b, 1, where(b->g, b->n->in[0], b->dy));
    if (ir_wants(b, 2)) ir_give(b, 2, where_not(b->g, b->n->in[0], b->dy));
}
