/* gradients.c - what ends in the gradient of a param.
 *
 * Weight gradients are summed up in fp32 arrays that the optimizer reads on the
 * host, and nothing on the engine waits for them. So a product that is nothing
 * but a weight gradient is the host's to compute, beside the engine's next
 * programs, from the fp16 operands where they lie and with fp32 sums; unless
 * a pass is predicted to take less time with all of them on the engine. */
#include "plan/passes.h"

#include <stdio.h>
#include <string.h>

bool plan_is_gradient(const char *output)
{
    return strncmp(output, "grad:", 5) == 0;
}

/* Both operands are read where they lie, so they must be stored values. */
static bool plain_product(const planner *b, const ir_node *n)
{
    if (n->op != IR_matmul || n->type != IR_FP16) return false;
    for (int i = 0; i < 2; i++) {
        ir_shape s = n->in[i]->shape;
        const ir_node *base = plan_view_of(b, n->in[i]).base;
        bool stored = b->info[base->id].at != PLACE_FREE && base->op != IR_param;
        if (!stored || base->type != IR_FP16) return false;
        for (int k = 0; k + 2 < s.rank; k++)
            if (s.d[k] != 1) return false;
        if (plan_row_stride(b, n->in[i]) < 0) return false;
    }
    return true;
}

/* A product with a vector (weight gradient of a norm): its result is so small
 * that handing it out costs less than handing out the operands. */
static bool thin(const ir_node *n)
{
    int r = n->shape.rank;
    return n->shape.d[r - 1] == 1 || n->shape.d[r - 2] == 1;
}

/* A product worth handing its operands out for. */
static bool weight_gradient(const planner *b, const ir_node *n)
{
    return b->info[n->id].grad_only && b->info[n->id].n_uses > 0 && plain_product(b, n) &&
           !thin(n);
}

/* All go one way; which, the plan's variant says, and why is written when the
 * variants have been weighed (weigh.c). */
static rc place_products(planner *b)
{
    bool host = b->variant.dw == PLAN_DW_HOST;
    char *cause = arena_take(b->mem, PLAN_CAUSE_MAX);
    if (!cause) return E_MEMORY;
    snprintf(cause, PLAN_CAUSE_MAX, "weight gradient: %s %s",
             b->p->options.dw == PLAN_DW_AUTO ? "on the" : "plan.dw says",
             host ? "host" : "engine");
    for (int i = 0; i < b->g->n_nodes; i++) {
        node_info *at = &b->info[i];
        if (at->at != PLACE_ENGINE || !weight_gradient(b, b->g->nodes[i])) continue;
        b->p->dw_cause = cause;
        at->cause = cause;
        if (host) at->at = PLACE_HOST;
    }
    return OK;
}

/* ---- sums into gradients ---- */
/* The end of the way: computed straight into the gradient, or stored and
 * then added. */
static rc add_sink(planner *b, const ir_node *n, const char *param, int64_t at,
                   const char *cause)
{
    TRY(plan_grow(b->mem, (void **)&b->sinks, b->n_sinks, &b->cap_sinks,
                  sizeof *b->sinks));
    node_info *info = &b->info[n->id];
    bool direct = info->at == PLACE_HOST && info->n_uses == 1 &&
                  (plain_product(b, n) ||
                   (n->op == IR_embedding_dw && plan_row_stride(b, n->in[1]) > 0));
    if (direct) info->sink = b->n_sinks;
    b->sinks[b->n_sinks++] = (grad_sink){n, param, at, !direct, cause};
    return OK;
}

/* `grads += n`: sums, views and joins fall away as long as nothing else reads
 * them, down to what is computed straight into the gradient. */
static rc sink_into(planner *b, const ir_node *n, const char *param, int64_t at)
{
    node_info *info = &b->info[n->id];
    bool alone = info->n_uses == 1;
    if (alone && (n->op == IR_reshape ||
                  (n->op == IR_cast && n->type != IR_INT32 &&
                   n->in[0]->type != IR_INT32 && n->in[0]->type != IR_BOOL))) {
        info->at = PLACE_SUNK;
        return sink_into(b, n->in[0], param, at);
    }
    if (alone && n->op == IR_add && ir_shape_eq(n->in[0]->shape, n->in[1]->shape) &&
        n->in[0] != n->in[1] && n->type != IR_INT32) {
        info->at = PLACE_SUNK;
        TRY(sink_into(b, n->in[0], param, at));
        return sink_into(b, n->in[1], param, at);
    }
    if (alone && n->op == IR_concat && plan_outermost(n->shape, n->attr.axis)) {
        info->at = PLACE_SUNK;
        for (int i = 0; i < n->n_in; i++) {
            TRY(sink_into(b, n->in[i], param, at));
            at += ir_count(n->in[i]->shape);
        }
        return OK;
    }
    return add_sink(b, n, param, at, "gradients are summed in fp32 on the host");
}

static rc place_sinks(planner *b)
{
    for (int i = 0; i < b->g->n_outputs; i++) {
        const char *name = b->g->outputs[i].name;
        if (plan_is_gradient(name))
            TRY(sink_into(b, b->g->outputs[i].node, name + strlen("grad:"), 0));
    }
    return OK;
}

rc plan_place_gradients(planner *b)
{
    TRY(place_products(b));
    return place_sinks(b);
}
