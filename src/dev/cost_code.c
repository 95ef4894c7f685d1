/* cost_code.c - what each MIL operation of a program is to the model of time. */
#include "dev/cost.h"

static double count_of(const dev_code *c, int value)
{
    return value < 0 ? 0 : (double)mil_count(&c->values[value].type);
}

/* Of [.., m, n] with k products each; a constant on either side is a weight. Both
 * products of attention count as one. */
static void add_product(dev_cost *cost, const dev_code *c, const dev_op *o)
{
    const mil_type *r = &c->values[o->out[0]].type;
    double n = (double)r->d[r->rank - 1], m = r->rank > 1 ? (double)r->d[r->rank - 2] : 1;
    double count = (double)mil_count(r), k = dev_flops(c, o) / (2 * count);
    if (o->arg[1] >= 0 && c->values[o->arg[1]].constant)
        dev_cost_conv(cost, k, n, 1, count / n, 16);
    else if (c->values[o->arg[0]].constant) dev_cost_conv(cost, k, m, 1, count / m, 16);
    else dev_cost_matmul(cost, count / (m * n), m, k, n);
}

static void add_conv(dev_cost *cost, const dev_code *c, const dev_op *o)
{
    const mil_type *w = &c->values[o->arg[1]].type;
    double taps = 1, out = (double)w->d[0], in = (double)w->d[1];
    for (int i = 2; i < w->rank; i++) taps *= (double)w->d[i];
    double pixels = count_of(c, o->out[0]) / out;
    if (c->values[o->arg[1]].constant) dev_cost_conv(cost, in, out, taps, pixels, 16);
    else dev_cost_matmul(cost, 1, out, in * taps, pixels);
}

static void add_each(dev_cost *cost, const dev_code *c, const dev_op *o)
{
    double count = count_of(c, o->out[0]);
    int operands = 0;
    for (int i = 0; i < DEV_SLOTS; i++)
        operands += o->arg[i] >= 0 && !c->values[o->arg[i]].constant &&
                    count_of(c, o->arg[i]) == count;
    dev_cost_each(cost, count, operands ? operands : 1);
}

enum { NORM_PASSES = 7 };

static void add_op(dev_cost *cost, const dev_code *c, const dev_op *o)
{
    if (!o->n_out || c->values[o->out[0]].constant) return;
    double count = count_of(c, o->out[0]);
    int passes = 1;
    switch (dev_op_class_of(o->kind)) {
    case DEV_CONST:
        return;
    case DEV_MATMUL:
    case DEV_SDPA:
        add_product(cost, c, o);
        return;
    case DEV_CONV:
        add_conv(cost, c, o);
        return;
    case DEV_REDUCE:
    case DEV_WINDOW:
        dev_cost_each(cost, count_of(c, o->arg[0]), 1);
        return;
    case DEV_VIEW:
        if (o->kind == DEV_OP_transpose) dev_cost_move(cost, count);
        return;
    case DEV_CONCAT:
    case DEV_TAKE:
    case DEV_SHUFFLE:
    case DEV_PICK:
    case DEV_STACK:
        dev_cost_move(cost, count);
        return;
    case DEV_SOFTMAX:
        passes = DEV_SOFTMAX_PASSES;
        break;
    case DEV_NORM:
        passes = NORM_PASSES;
        break;
    default:
        add_each(cost, c, o);
        return;
    }
    for (int i = 0; i < passes; i++) dev_cost_each(cost, count, 1);
}

double dev_cost_code(const dev_profile *chip, const dev_code *c)
{
    dev_cost cost = dev_cost_launch(chip, NULL);
    double bytes = 0;
    for (int i = 0; i < c->n_ops; i++) add_op(&cost, c, &c->ops[i]);
    for (int i = 0; i < c->n_in; i++) bytes += 2 * count_of(c, c->in[i]);
    for (int i = 0; i < c->n_out; i++) bytes += 2 * count_of(c, c->out[i]);
    dev_cost_surfaces(&cost, bytes);
    return dev_cost_ms(&cost);
}
