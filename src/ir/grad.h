/* grad.h - between the reverse walk (grad.c) and the gradient of each op. */
#ifndef IR_GRAD_H
#define IR_GRAD_H

#include "ir/table.h"

/* One step of the walk: node n has gradient dy; its gradient function gives
 * each operand its share. */
typedef struct {
    ir_graph *g;
    ir_node *n, *dy;
    ir_node **sums;   /* by node id: gradient so far, or NULL */
    const char *need; /* by node id: does it lead to a wanted node? */
} ir_back;

bool ir_wants(const ir_back *b, int i);
/* Adds dx to the gradient of operand i. dx may have the shape operand i was
 * broadcast to; it is summed back. */
void ir_give(ir_back *b, int i, ir_node *dx);

#define OP(name, mil, args, dialect, attrs, shape, eval, value, grad, ...) \
    void ir_grad_##grad(ir_back *b);
#include "ir/ops.def"
#undef OP

/* ---- pieces of gradients ---- */
/* factor * sum over axes, kept as 1, as products with a constant of ones:
 * the engine accumulates products wide and reduce_sum in fp16 (source:
 * ANEForge, numerics). */
ir_node *ir_sum(ir_graph *g, ir_node *x, int n_axes, const int *axes, double factor);
ir_node *ir_sum1(ir_graph *g, ir_node *x, int axis, double factor);
/* x summed to a shape that broadcasts to x's. */
ir_node *ir_sum_to(ir_graph *g, ir_node *x, ir_shape s);
ir_node *ir_scaled(ir_graph *g, ir_node *x, double factor);
/* One value of x's type, shape [1]; NULL if x is. */
ir_node *ir_number(ir_graph *g, const ir_node *x, double v);

#endif
