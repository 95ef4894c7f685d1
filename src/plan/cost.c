/* cost.c - predicted times of a plan: what each operation of a program is to the
 * model of time (dev/cost.h), and what the host's steps are. */
#include "plan/cost.h"

#include <math.h>
#include <string.h>

/* ---- programs ---- */
/* Known when a program is compiled, also turned or cut. Params of a program's own
 * graph are baked into it; in the plan's graph they are if the plan bakes. */
static bool constant(const ir_node *n, bool params)
{
    if (n->op == IR_constant) return true;
    if (n->op == IR_param) return params;
    bool joined = n->op == IR_concat;
    for (int i = 0; joined && i < n->n_in; i++) joined = constant(n->in[i], params);
    if (joined) return true;
    bool same = n->op == IR_reshape || n->op == IR_transpose || n->op == IR_slice ||
                n->op == IR_cast;
    return same && constant(n->in[0], params);
}

static void add_matmul(dev_cost *c, const ir_node *n, bool params)
{
    const ir_shape s = n->shape, x = n->in[0]->shape;
    double rows = (double)s.d[s.rank - 2], columns = (double)s.d[s.rank - 1];
    double k = (double)x.d[x.rank - (n->attr.tx ? 2 : 1)];
    double batch = (double)ir_count(s) / (rows * columns);
    if (constant(n->in[0], params)) dev_cost_conv(c, k, rows, 1, columns * batch, 16);
    else if (constant(n->in[1], params))
        dev_cost_conv(c, k, columns, 1, rows * batch, 16);
    else dev_cost_matmul(c, batch, rows, k, columns);
}

static void add_conv(dev_cost *c, const ir_node *n, bool params)
{
    const ir_shape w = n->in[1]->shape;
    double out = (double)w.d[0], in = (double)w.d[1];
    double taps = (double)(w.d[2] * w.d[3]), pixels = (double)ir_count(n->shape) / out;
    if (constant(n->in[1], params)) dev_cost_conv(c, in, out, taps, pixels, 16);
    else dev_cost_matmul(c, 1, out, in * taps, pixels);
}

/* Values that are spread over an axis cost nothing beside the whole one. */
static void add_each(dev_cost *c, const ir_node *n)
{
    int64_t count = ir_count(n->shape);
    int operands = 0;
    for (int i = 0; i < n->n_in; i++)
        operands += ir_count(n->in[i]->shape) == count && n->in[i]->op != IR_constant;
    dev_cost_each(c, (double)count, operands ? operands : 1);
}

void plan_cost_node(dev_cost *c, const ir_node *n, bool params)
{
    double count = (double)ir_count(n->shape);
    switch (n->op) {
    case IR_input:
    case IR_param:
    case IR_constant:
    case IR_reshape:
        return;
    case IR_matmul:
        add_matmul(c, n, params);
        return;
    case IR_conv:
        add_conv(c, n, params);
        return;
    case IR_softmax:
        for (int i = 0; i < DEV_SOFTMAX_PASSES; i++) dev_cost_each(c, count, 1);
        return;
    case IR_reduce_sum:
    case IR_reduce_mean:
    case IR_reduce_max:
        dev_cost_each(c, (double)ir_count(n->in[0]->shape), 1);
        return;
    case IR_transpose:
    case IR_slice:
    case IR_concat:
    case IR_tile:
        if (!constant(n, params)) dev_cost_move(c, count);
        return;
    default:
        add_each(c, n);
    }
}

double plan_cost_program(const planner *b, const ir_graph *g, double bytes)
{
    if (!b->chip) return 0;
    dev_cost c = dev_cost_launch(b->chip, NULL);
    for (int i = 0; i < g->n_nodes; i++) plan_cost_node(&c, g->nodes[i], true);
    dev_cost_surfaces(&c, bytes);
    return dev_cost_ms(&c);
}

/* The first stands in for chips that have no row. */
static const plan_compile compiles[] = {
    {"m4", 58, 55, 62, "60 programs in 3.3 to 3.7 s; maderix/ANE 1.7"},
    {"m1", 129, 117, 142, "60 programs in 7 to 8.5 s; maderix/ANE 1.7"},
    {"m4max", 55, 30, 80, "30 to 80 ms, and a load of 30 each; Orion"},
};

const plan_compile *plan_compile_of(const dev_profile *chip)
{
    for (size_t i = 0; i < sizeof compiles / sizeof *compiles; i++)
        if (!strcmp(compiles[i].chip, chip->name)) return &compiles[i];
    return compiles;
}

double plan_cost_compile(const planner *b, int programs)
{
    return b->chip ? plan_compile_of(b->chip)->ms * programs : 0;
}

/* ---- the host ---- */
double plan_cost_host(const planner *b, dev_host_work w, double n)
{
    return b->chip ? dev_host_ms(b->chip, NULL, w, n) : 0;
}

/* Added up in fp32: each element is read and written. */
double plan_cost_gradient(const planner *b, const ir_node *n)
{
    return plan_cost_host(b, DEV_HOST_BLAS, ir_flops(n)) +
           plan_cost_host(b, DEV_HOST_MEMORY, 8 * (double)ir_count(n->shape));
}

double plan_host_flops(const plan_step *s)
{
    double flops = 0;
    if (!s->graph) return s->host == PLAN_HOST_MATMUL ? ir_flops(s->node) : 0;
    for (int i = 0; i < s->graph->n_nodes; i++) flops += ir_flops(s->graph->nodes[i]);
    return flops;
}

bool plan_host_has(ir_op op)
{
    switch (op) {
    case IR_conv:
    case IR_conv_dx:
    case IR_conv_dw:
    case IR_layer_norm:
    case IR_attention:
    case IR_attention_dx:
    case IR_embedding:
    case IR_embedding_dw:
    case IR_cross_entropy:
    case IR_cross_entropy_dx:
    case IR_target_loss:
        return false;
    default:
        return true;
    }
}

/* A norm reads its operand for the sum of squares and again to scale it; a rotation
 * is two products and a sum. */
enum { NORM_PASSES = 2, ROPE_PASSES = 3 };

/* An op of the host's vector kernels; those that have none are done one element
 * after the other, in double. */
static double host_node(const planner *b, const ir_node *n)
{
    double count = (double)ir_count(n->shape);
    switch (n->op) {
    case IR_input:
    case IR_param:
    case IR_constant:
    case IR_reshape:
    case IR_cast:
        return 0;
    case IR_matmul:
        return plan_cost_host(b, DEV_HOST_BLAS, ir_flops(n));
    case IR_softmax:
    case IR_pow:
    case IR_exp:
    case IR_log:
    case IR_tanh:
    case IR_sigmoid:
    case IR_silu:
    case IR_gelu:
        return plan_cost_host(b, DEV_HOST_EXP, count);
    case IR_rms_norm:
    case IR_rms_scale:
        return plan_cost_host(b, DEV_HOST_PASS,
                              NORM_PASSES * (double)ir_count(n->in[0]->shape));
    case IR_rope:
        return plan_cost_host(b, DEV_HOST_PASS, ROPE_PASSES * count);
    case IR_reduce_sum:
    case IR_reduce_mean:
    case IR_reduce_max:
        return plan_cost_host(b, DEV_HOST_PASS, (double)ir_count(n->in[0]->shape));
    default:
        if (plan_host_has(n->op)) return plan_cost_host(b, DEV_HOST_PASS, count);
        return plan_cost_host(b, DEV_HOST_EXP, fmax(count, ir_flops(n) / 2));
    }
}

/* What lies on surfaces is fp16, and computed in fp32. */
static double host_graph(const planner *b, const plan_step *s)
{
    double ms = 0;
    for (int i = 0; i < s->graph->n_nodes; i++) ms += host_node(b, s->graph->nodes[i]);
    for (int i = 0; i < s->n_in + s->n_out; i++) {
        int at = i < s->n_in ? s->in[i] : s->out[i - s->n_in];
        const plan_buffer *q = &b->p->buffers[at];
        if (q->home == PLAN_SURFACE)
            ms += plan_cost_host(b, DEV_HOST_CAST, 4 * (double)ir_count(q->logical));
    }
    return ms;
}

double plan_cost_host_step(const planner *b, const plan_step *s)
{
    double count = (double)ir_count(s->node->shape);
    switch (s->host) {
    case PLAN_HOST_MATMUL:
        return plan_cost_gradient(b, s->node);
    case PLAN_HOST_EMBEDDING:
        return plan_cost_host(b, DEV_HOST_CAST, 4 * count);
    case PLAN_HOST_EMBEDDING_DW: /* as many rows as there are ids, not the table */
        return plan_cost_host(b, DEV_HOST_PASS, (double)ir_count(s->node->in[1]->shape));
    case PLAN_HOST_LOSS: /* of target_loss one element a column is left */
        if (s->node->op == IR_target_loss)
            count = (double)ir_count(s->node->in[2]->shape);
        else count = (double)ir_count(s->node->in[0]->shape);
        return plan_cost_host(b, DEV_HOST_EXP, count);
    case PLAN_HOST_ADD:
        return plan_cost_host(b, DEV_HOST_PASS, count);
    case PLAN_HOST_EVAL:
        return host_graph(b, s);
    }
    return 0;
}

/* AdamW reads and writes w, m and v, reads g, and writes the fp16 copy: 28 bytes
 * and more. It runs on all cores, but no faster than it was seen to copy. */
double plan_cost_optimizer(const planner *b, double params)
{
    return fmax(plan_cost_host(b, DEV_HOST_MEMORY, PLAN_OPTIMIZER_BYTES * params),
                plan_cost_host(b, DEV_HOST_COPY, PLAN_OPTIMIZER_BYTES * params));
}
