/* build.c - the nodes of one item as a graph of their own.
 *
 * A program sees nothing of the model's names: its inputs are i000, i001, ...
 * and its outputs o000, o001, ..., so two layers that compute the same thing
 * become the same text. */
#include "plan/legal.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const planner *b;
    const plan_item *item;
    ir_graph *to;
    ir_node **map; /* by old node id */
    ir_node **in;  /* of each port: the value, in some shape */
} builder;

/* x in another shape, without a reshape of a reshape. */
static ir_node *shaped(ir_graph *g, ir_node *x, ir_shape s)
{
    if (!x || ir_shape_eq(x->shape, s)) return x;
    if (x->op == IR_reshape) x = x->in[0];
    return ir_shape_eq(x->shape, s) ? x : ir_reshape(g, x, s);
}

/* The port that holds exactly this view, if any. */
static ir_node *imported(const builder *k, plan_view v)
{
    for (int i = 0; i < k->item->n_in; i++)
        if (plan_view_eq(k->item->in[i].view, v)) return k->in[i];
    return NULL;
}

/* n again in the new graph: imported, made already, or made from operands. */
static ir_node *value(builder *k, const ir_node *n)
{
    ir_graph *g = k->to;
    if (k->map[n->id]) return k->map[n->id];
    ir_node *x = imported(k, plan_view_of(k->b, n)), *y;
    if (x) {
        y = shaped(g, x, n->shape);
    } else if (n->op == IR_constant) {
        y = n->uniform ? ir_fill(g, n->type, n->shape, n->data[0])
                       : ir_const(g, n->type, n->shape, n->data);
    } else if (n->op == IR_reshape) {
        y = shaped(g, value(k, n->in[0]), n->shape);
    } else {
        ir_node **in = arena_array(g->mem, (size_t)n->n_in + 1, sizeof *in);
        if (!in) return NULL;
        for (int i = 0; i < n->n_in; i++)
            if (!(in[i] = value(k, n->in[i]))) return NULL;
        y = ir_make(g, n->op, n->n_in, in, n->type, n->shape, &n->attr);
    }
    return k->map[n->id] = y;
}

static ir_shape port_dims(const plan_port *p)
{
    return ir_s4(p->shape.d[0], p->shape.d[1], p->shape.d[2], p->shape.d[3]);
}

/* A port's rows without their padding. */
static ir_node *unpadded(builder *k, ir_node *x, const plan_port *p)
{
    int64_t from[4] = {0}, size[4];
    if (!x || p->row == p->stride) return x;
    for (int i = 0; i < 4; i++) size[i] = p->shape.d[i];
    size[3] = p->row;
    return ir_slice(k->to, x, from, size);
}

/* A result as its port wants it: same elements in other rows, or each row
 * followed by zeros. */
static ir_node *padded(builder *k, ir_node *x, const plan_port *p)
{
    ir_shape s = port_dims(p);
    if (p->row == p->stride) return shaped(k->to, x, s);
    s.d[3] = p->row;
    x = shaped(k->to, x, s);
    if (plan_keeps_costly(k->b->p, RULE_concat_refused))
        return legal_place(k->to, x, 3, p->stride, 0);
    s.d[3] = p->stride - p->row;
    ir_node *pair[2] = {x, ir_fill(k->to, IR_FP16, s, 0)};
    return ir_concat(k->to, 2, pair, 3);
}

static rc start(planner *b, const plan_item *item, builder *k)
{
    *k = (builder){.b = b, .item = item, .to = ir_new()};
    if (!k->to) return E_MEMORY;
    k->map = arena_array(k->to->mem, (size_t)b->g->n_nodes + 1, sizeof *k->map);
    k->in = arena_array(k->to->mem, (size_t)item->n_in + 1, sizeof *k->in);
    return k->map && k->in ? OK : E_MEMORY;
}

static rc fill(planner *b, builder *k)
{
    const plan_item *item = k->item;
    char name[16];
    int streamed = 0, baked = 0;
    for (int i = 0; i < item->n_in; i++) {
        const plan_port *p = &item->in[i];
        if (p->baked) {
            snprintf(name, sizeof name, "w%03d", baked++);
            k->in[i] = ir_param(k->to, name, plan_view_shape(p->view));
        } else {
            plan_port_name(b, false, streamed++, name);
            k->in[i] = unpadded(
                k, ir_input(k->to, name, p->view.base->type, port_dims(p)), p);
        }
    }
    for (int i = 0; i < item->n_nodes; i++) value(k, item->nodes[i]);
    for (int i = 0; i < item->n_out; i++) {
        plan_port_name(b, true, i, name);
        ir_output(k->to, name,
                  padded(k, value(k, item->out[i].view.base), &item->out[i]));
    }
    return ir_rc(k->to);
}

rc plan_build_program(planner *b, const plan_item *item, ir_graph **out)
{
    builder k;
    rc r = start(b, item, &k);
    if (r == OK) r = fill(b, &k);
    if (r != OK) {
        ir_free(k.to);
        return r;
    }
    *out = k.to;
    return OK;
}

/* Host values keep their shape and type; there are no ports and no padding. */
rc plan_build_eval(planner *b, const plan_item *item, ir_graph **out)
{
    builder k;
    rc r = start(b, item, &k);
    for (int i = 0; r == OK && i < item->n_in; i++) {
        const plan_view v = item->in[i].view;
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        k.in[i] = ir_input(k.to, name, v.base->type, plan_view_shape(v));
    }
    for (int i = 0; r == OK && i < item->n_nodes; i++) value(&k, item->nodes[i]);
    for (int i = 0; r == OK && i < item->n_out; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        ir_output(k.to, name, value(&k, item->out[i].view.base));
    }
    if (r == OK && !item->n_out) ir_output(k.to, "y", value(&k, item->nodes[0]));
    if (r == OK) r = ir_rc(k.to);
    if (r != OK) {
        ir_free(k.to);
        return r;
    }
    *out = k.to;
    return OK;
}
