/* place.c - engine or host for each node, and why.
 *
 * By rule first: what is not fp16, what no program can hold, what the device
 * refuses, goes to the host. Then weight gradients: they end in a sum that the
 * optimizer reads on the host and nothing on the engine waits for them, so
 * they are the host's work to overlap, unless the engine is predicted to be
 * done earlier. */
#include "plan/passes.h"

#include <math.h>
#include <string.h>

/* ---- what the engine cannot do ---- */
static const char *shape_limit(planner *b, const ir_node *n)
{
    const dev_profile *c = b->chip;
    int rank = n->shape.rank;
    int64_t axis = c && c->max_axis > 0 ? c->max_axis : 16384;
    int64_t channels = c && c->max_channels > 0 ? c->max_channels : 65536;
    bool over = false;
    for (int i = 0; i < rank; i++) {
        bool spatial = i + 2 >= rank && !(rank == 3 && i == 1);
        over |= n->shape.d[i] > (spatial ? axis : channels);
    }
    return plan_guards(b, RULE_axis_limit, over)
               ? "rule axis_limit: an axis is longer than the engine's"
               : NULL;
}

static const char *conv_limit(planner *b, const ir_node *n)
{
    const ir_node *w = n->in[1];
    bool fixed = w->op == IR_constant ||
                 (w->op == IR_param && b->p->options.weights == PLAN_BAKED);
    int64_t widest = b->chip && b->chip->family == DEV_H13 ? 13 : 15;
    if (plan_guards(b, RULE_conv_runtime_weight, !fixed))
        return "rule conv_runtime_weight: the weight is not a constant";
    if (plan_guards(b, RULE_conv_kernel_width, w->shape.d[3] > widest))
        return "rule conv_kernel_width: the kernel is too wide";
    return NULL;
}

static const char *op_limit(planner *b, const ir_node *n)
{
    const char *why = NULL;
    if (n->op == IR_conv && (why = conv_limit(b, n)) != NULL) return why;
    if (b->chip && !dev_op_supported(ir_op_mil(n->op), b->chip->family, &why))
        return why ? why : "the device does not have this op";
    return NULL;
}

/* Surfaces hold fp16 on every chip: some refuse other types as inputs and
 * outputs, or a cast to int32, and none gains by them. */
static const char *type_limit(planner *b, ir_type t)
{
    dev_rule r = t == IR_INT32  ? RULE_cast_int32
                 : t == IR_BOOL ? RULE_bool_io
                                : RULE_fp16_io;
    if (t == IR_FP16 || plan_guard_off(b->p, r)) return NULL;
    plan_guards(b, r, true);
    return "values that are not fp16 stay on the host";
}

/* A FREE value is made again inside the program, from what it is made of. */
static const char *free_limit(planner *b, const ir_node *n)
{
    const char *why = NULL;
    bool again = b->info[n->id].at == PLACE_FREE;
    if (!(again && n->type == IR_BOOL) && (why = type_limit(b, n->type)) != NULL)
        return why;
    if ((why = shape_limit(b, n)) != NULL || !again) return why;
    if (n->op != IR_constant && (why = op_limit(b, n)) != NULL) return why;
    if (plan_is_view(b, n) && n->op == IR_slice)
        return NULL; /* the piece is the operand */
    for (int i = 0; i < n->n_in && !why; i++) why = free_limit(b, n->in[i]);
    return why;
}

static const char *host_cause(planner *b, const ir_node *n)
{
    const char *why = NULL;
    if (!ir_op_in_dialect(n->op))
        return "no op of the engine: table look-ups and losses are the host's";
    if ((why = type_limit(b, n->type)) != NULL) return why;
    if ((why = shape_limit(b, n)) != NULL || (why = op_limit(b, n)) != NULL) return why;
    for (int i = 0; i < n->n_in && !why; i++) why = free_limit(b, n->in[i]);
    return why;
}

/* ---- weight gradients ---- */
static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static void count_uses(planner *b)
{
    const ir_graph *g = b->g;
    for (int i = 0; i < g->n_nodes; i++) b->info[i].grad_only = true;
    for (int i = 0; i < g->n_outputs; i++) {
        node_info *at = &b->info[g->outputs[i].node->id];
        at->n_uses++;
        if (!starts(g->outputs[i].name, "grad:")) at->grad_only = false;
    }
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int j = 0; j < g->nodes[i]->n_in; j++) {
            node_info *in = &b->info[g->nodes[i]->in[j]->id];
            in->n_uses++;
            if (!b->info[i].grad_only) in->grad_only = false;
        }
}

/* Both operands are read where they lie, so they must be stored values. */
static bool plain_product(const planner *b, const ir_node *n)
{
    if (n->op != IR_matmul || n->type != IR_FP16) return false;
    for (int i = 0; i < 2; i++) {
        ir_shape s = n->in[i]->shape;
        const ir_node *base = plan_view_of(b, n->in[i]).base;
        if (base->op == IR_constant || base->op == IR_param || base->type != IR_FP16)
            return false;
        for (int k = 0; k + 2 < s.rank; k++)
            if (s.d[k] != 1) return false;
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

static bool weight_gradient(const planner *b, const ir_node *n)
{
    return b->info[n->id].grad_only && b->info[n->id].n_uses > 0 && plain_product(b, n) &&
           !thin(n);
}

/* All weight gradients go one way: on the host they overlap the rest of the
 * engine's work, on the engine they add to it and their fp16 results must
 * still be added up on the host. */
static bool gradients_on_host(const planner *b, double *host_ms, double *engine_ms)
{
    double rest = 0, dw = 0, bytes = 0;
    for (int i = 0; i < b->g->n_nodes; i++) {
        const ir_node *n = b->g->nodes[i];
        if (weight_gradient(b, n)) {
            dw += ir_flops(n);
            bytes += 2.0 * (double)ir_count(n->shape);
        } else {
            rest += ir_flops(n);
        }
    }
    double rest_ms = plan_cost_program(b, rest, 0, 0);
    *host_ms = plan_cost_host(dw, 0);
    *engine_ms = plan_cost_program(b, dw, bytes, 0) + plan_cost_host(0, 3 * bytes);
    return fmax(rest_ms, *host_ms) <= rest_ms + *engine_ms;
}

static rc place_gradients(planner *b)
{
    double host_ms, engine_ms;
    plan_dw want = b->p->options.dw;
    bool host = gradients_on_host(b, &host_ms, &engine_ms);
    const char *cause;
    if (want != PLAN_DW_AUTO) {
        host = want == PLAN_DW_HOST;
        cause = arena_printf(b->mem, "weight gradient: plan.dw says %s",
                             host ? "host" : "engine");
    } else {
        cause = arena_printf(
            b->mem,
            "weight gradient: all of them take %.3g ms on the host beside the "
            "engine, or %.3g ms more of the engine",
            host_ms, engine_ms);
    }
    if (!cause) return E_MEMORY;
    for (int i = 0; i < b->g->n_nodes; i++) {
        node_info *at = &b->info[i];
        if (at->at != PLACE_ENGINE || !weight_gradient(b, b->g->nodes[i])) continue;
        at->cause = cause;
        if (host) at->at = PLACE_HOST;
    }
    return OK;
}

/* ---- sums into gradients ---- */
static rc add_sink(planner *b, const ir_node *n, const char *param, int64_t at,
                   const char *cause)
{
    TRY(plan_grow(b->mem, (void **)&b->sinks, b->n_sinks, &b->cap_sinks,
                  sizeof *b->sinks));
    node_info *info = &b->info[n->id];
    bool direct = info->at == PLACE_HOST && info->n_uses == 1 &&
                  (n->op == IR_embedding_dw || plain_product(b, n));
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
        if (starts(name, "grad:"))
            TRY(sink_into(b, b->g->outputs[i].node, name + strlen("grad:"), 0));
    }
    return OK;
}

/* ---- values read in parts ---- */
/* A concat that only losses and outputs read is not made: they read its parts. */
static void place_joins(planner *b)
{
    const ir_graph *g = b->g;
    for (int i = g->n_nodes - 1; i >= 0; i--) b->info[i].parts_do = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const ir_node *n = g->nodes[i];
        node_info *at = &b->info[i];
        bool join = n->op == IR_concat && n->type == IR_FP16 && at->parts_do &&
                    at->at != PLACE_SUNK && plan_outermost(n->shape, n->attr.axis);
        for (int j = 0; join && j < n->n_in; j++) {
            const ir_node *base = plan_view_of(b, n->in[j]).base;
            place_at p = b->info[base->id].at;
            if (p == PLACE_FREE || p == PLACE_GIVEN) join = false;
        }
        if (join)
            at->at = PLACE_JOINED, at->cause = "its readers take the parts one by one";
        bool loss = n->op == IR_cross_entropy || n->op == IR_cross_entropy_dx;
        for (int j = 0; j < n->n_in; j++) {
            bool can = (loss && j == 0) || join || (n->op == IR_reshape && at->parts_do);
            if (!can) b->info[n->in[j]->id].parts_do = false;
        }
    }
}

static bool depends(const ir_node *n, const ir_node *on)
{
    if (n == on) return true;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i]->id >= on->id && depends(n->in[i], on)) return true;
    return false;
}

/* The loss and its gradient read the logits once, together. */
static void place_losses(planner *b)
{
    for (int i = 0; i < b->g->n_nodes; i++) {
        const ir_node *d = b->g->nodes[i];
        if (d->op != IR_cross_entropy_dx) continue;
        for (int k = 0; k < b->g->n_nodes; k++) {
            const ir_node *n = b->g->nodes[k];
            if (n->op != IR_cross_entropy || n->in[0] != d->in[0] ||
                n->in[1] != d->in[1] || b->info[k].partner || b->info[i].partner ||
                depends(d, n))
                continue;
            b->info[k].partner = d;
            b->info[i].partner = n;
        }
    }
}

/* Is every reader of the gradient of long logits a slice that is one piece? */
static bool pieces_only(const planner *b, const ir_node *d)
{
    int64_t rows = d->shape.d[1], piece = plan_piece(rows), wanted = 0;
    if (rows <= PLAN_CHUNK || d->type != IR_FP16) return false;
    bool *same = mem_take((size_t)b->g->n_nodes);
    bool only = same != NULL;
    if (same) same[d->id] = true;
    for (int i = d->id + 1; only && i < b->g->n_nodes; i++) {
        const ir_node *n = b->g->nodes[i];
        for (int j = 0; only && j < n->n_in; j++) {
            if (!same[n->in[j]->id]) continue;
            if (n->op == IR_reshape) {
                same[i] = true;
                continue;
            }
            int64_t at = 0, inner = ir_count(n->in[0]->shape), size = ir_count(n->shape);
            for (int k = 0; n->op == IR_slice && k < n->in[0]->shape.rank; k++) {
                inner /= n->in[0]->shape.d[k];
                at += n->attr.begin[k] * inner;
            }
            int64_t row = ir_count(d->shape) / rows;
            wanted++;
            only = n->op == IR_slice && at % (piece * row) == 0 &&
                   size ==
                       (rows * row - at < piece * row ? rows * row - at : piece * row);
        }
    }
    for (int i = 0; only && i < b->g->n_outputs; i++)
        only = !same[b->g->outputs[i].node->id];
    mem_drop(same);
    return only && wanted > 0;
}

/* A bool value may not be an input or output: each program makes its own. */
static bool stays_inside(planner *b, const ir_node *n)
{
    if (n->type != IR_BOOL || plan_guard_off(b->p, RULE_bool_io)) return false;
    plan_guards(b, RULE_bool_io, true);
    return true;
}

rc plan_place(planner *b)
{
    size_t n = (size_t)b->g->n_nodes;
    b->info = arena_array(b->mem, n + 1, sizeof *b->info);
    if (!b->info) return E_MEMORY;
    for (int i = 0; i < b->g->n_nodes; i++)
        if (b->g->nodes[i]->op == IR_cross_entropy_dx)
            b->info[i].pieces = pieces_only(b, b->g->nodes[i]);
    for (int i = 0; i < b->g->n_nodes; i++) {
        const ir_node *node = b->g->nodes[i];
        node_info *at = &b->info[i];
        at->sink = at->item = -1;
        if (node->op == IR_input || node->op == IR_param) at->at = PLACE_GIVEN;
        else if (node->op == IR_constant || plan_is_view(b, node) ||
                 stays_inside(b, node))
            at->at = PLACE_FREE;
        else if ((at->cause = host_cause(b, node)) != NULL) at->at = PLACE_HOST;
        else at->at = PLACE_ENGINE;
    }
    count_uses(b);
    TRY(place_gradients(b));
    TRY(place_sinks(b));
    place_joins(b);
    place_losses(b);
    return OK;
}
