/* verify.c - is this graph what the constructors would have made? Runs after
 * every pass in tests and debug builds, so it trusts no field. */
#include "ir/table.h"

#include <string.h>

static rc verify_leaf(const ir_node *n)
{
    if (n->op == IR_constant) {
        if (!n->data) return err_fail(E_SHAPE, "constant %%%d has no values", n->id);
    } else if (!n->name || !n->name[0]) {
        return err_fail(E_SHAPE, "%s %%%d has no name", ir_op_name(n->op), n->id);
    }
    return OK;
}

static rc verify_operands(const ir_graph *g, const ir_node *n)
{
    if (n->n_in < 0 || (n->n_in > 0 && !n->in))
        return err_fail(E_SHAPE, "%%%d: no list of operands", n->id);
    for (int i = 0; i < n->n_in; i++) {
        const ir_node *x = n->in[i];
        if (!x || x->id < 0 || x->id >= n->id || g->nodes[x->id] != x)
            return err_fail(E_SHAPE,
                            "%%%d: operand %d is not an earlier node of this graph",
                            n->id, i);
    }
    return OK;
}

static rc verify_node(const ir_graph *g, const ir_node *n)
{
    char a[64], b[64];
    TRY(verify_operands(g, n));
    if (!n->scope) return err_fail(E_SHAPE, "%%%d has no scope", n->id);
    ir_draft d = {.op = n->op,
                  .n_in = n->n_in,
                  .in = n->in,
                  .attr = n->attr,
                  .type = n->type,
                  .shape = n->shape};
    TRY_WHILE(ir_draft_check(&d), "checking %%%d", n->id);
    if (!ir_shape_eq(d.shape, n->shape) || d.type != n->type)
        return err_fail(E_SHAPE, "%%%d: %s gives %s %s, the node says %s %s", n->id,
                        ir_op_name(n->op), ir_type_name(d.type),
                        ir_shape_text(a, d.shape), ir_type_name(n->type),
                        ir_shape_text(b, n->shape));
    if (!ir_attr_equal(&d.attr, &n->attr))
        return err_fail(E_SHAPE, "%%%d: %s carries attributes it does not have", n->id,
                        ir_op_name(n->op));
    return n->n_in == 0 ? verify_leaf(n) : OK;
}

rc ir_verify(const ir_graph *g)
{
    TRY(ir_rc(g));
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        if (!n || n->id != i) return err_fail(E_SHAPE, "node %d has another number", i);
        TRY(verify_node(g, n));
        if (n->n_in == 0 && n->op != IR_constant && ir_find(g, n->name) != n)
            return err_fail(E_SHAPE, "%%%d: the name '%s' is of another node", i,
                            n->name);
    }
    for (int i = 0; i < g->n_outputs; i++) {
        const ir_node *n = g->outputs[i].node;
        if (!n || n->id < 0 || n->id >= g->n_nodes || g->nodes[n->id] != n)
            return err_fail(E_SHAPE, "output '%s' is not a node of this graph",
                            g->outputs[i].name);
    }
    return OK;
}

/* Device values are fp16; fp32 stands only beside a cast, bool only between a
 * comparison and a select. */
static rc verify_type(const ir_node *n)
{
    bool bridge = n->op == IR_cast || n->op == IR_input;
    if (n->type == IR_BOOL && n->op == IR_greater_equal) return OK;
    if (n->type != IR_FP16 && !(n->type == IR_FP32 && bridge))
        return err_fail(E_SHAPE, "%%%d: %s is not a type of device values", n->id,
                        ir_type_name(n->type));
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i]->type == IR_FP32 && n->op != IR_cast)
            return err_fail(E_SHAPE, "%%%d: %s computes in fp32, devices in fp16", n->id,
                            ir_op_name(n->op));
    return OK;
}

rc ir_verify_dialect(const ir_graph *g)
{
    TRY(ir_verify(g));
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        if (!ir_op_in_dialect(n->op))
            return err_fail(E_SHAPE, "%%%d: %s is not an op of device programs", i,
                            ir_op_name(n->op));
        TRY(verify_type(n));
    }
    for (int i = 0; i < g->n_outputs; i++)
        if (g->outputs[i].node->type == IR_BOOL)
            return err_fail(E_SHAPE, "output '%s' is bool", g->outputs[i].name);
    return OK;
}

double ir_flops(const ir_node *n)
{
    const ir_attr *a = &n->attr;
    double out = (double)ir_count(n->shape);
    switch (n->op) {
    case IR_matmul: {
        const ir_shape x = n->in[0]->shape;
        return 2 * out * (double)x.d[x.rank - (a->tx ? 2 : 1)];
    }
    case IR_conv: { /* each result sums over one weight row */
        const ir_shape w = n->in[1]->shape;
        return 2 * out * (double)ir_count(w) / (double)w.d[0];
    }
    case IR_conv_dx: { /* as the forward pass: each dy meets a weight row */
        const ir_shape w = n->in[0]->shape;
        return 2 * (double)ir_count(n->in[1]->shape) * (double)ir_count(w) /
               (double)w.d[0];
    }
    case IR_conv_dw:
        return 2 * (double)ir_count(n->in[1]->shape) * out / (double)n->shape.d[0];
    case IR_attention: /* q.k and p.v, both seq x seq for every channel */
        return 4 * out * (double)n->shape.d[3] / a->batch;
    case IR_attention_dx: /* by itself: scores, dy.v unless to v, and the product */
        return (a->index == 2 ? 4 : 6) * (double)ir_count(n->in[0]->shape) *
               (double)n->shape.d[3] / a->batch;
    default:
        return 0;
    }
}

/* ---- two graphs ---- */
static bool same_node(const ir_node *x, const ir_node *y)
{
    if (x->op != y->op || x->type != y->type || !ir_shape_eq(x->shape, y->shape) ||
        x->n_in != y->n_in || x->uniform != y->uniform || !x->name != !y->name ||
        !ir_attr_equal(&x->attr, &y->attr) || (x->name && strcmp(x->name, y->name) != 0))
        return false;
    for (int i = 0; i < x->n_in; i++)
        if (x->in[i]->id != y->in[i]->id) return false;
    size_t values = x->uniform ? 1 : (size_t)ir_count(x->shape);
    return x->op != IR_constant ||
           memcmp(x->data, y->data, values * sizeof *x->data) == 0;
}

bool ir_same(const ir_graph *x, const ir_graph *y)
{
    bool same = x->n_nodes == y->n_nodes && x->n_outputs == y->n_outputs;
    for (int i = 0; same && i < x->n_nodes; i++)
        same = same_node(x->nodes[i], y->nodes[i]);
    for (int i = 0; same && i < x->n_outputs; i++)
        same = x->outputs[i].node->id == y->outputs[i].node->id &&
               strcmp(x->outputs[i].name, y->outputs[i].name) == 0;
    return same;
}
