/* place.c - engine or host for each node, and why.
 *
 * By rule first: what is not fp16, what no program can hold, what the device
 * refuses, goes to the host. Then as the variant says, for weight gradients
 * (gradients.c) and parts that may be moved (movable.c).
 * What costs nothing to make again (constants, other names for stored memory,
 * comparisons) is placed nowhere: each program makes its own. */
#include "plan/passes.h"

/* ---- what the engine cannot do ---- */
/* Heights and widths have one limit, channels and batches another. */
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

/* The engine could, but the variant says otherwise. */
static const char *moved_cause(planner *b, const ir_node *n)
{
    int part = plan_movable_of(n);
    if (!b->moved[part])
        b->moved[part] = arena_printf(b->mem, "%s: %s", plan_movable_name(part),
                                      b->p->options.host_said
                                          ? "plan.host says so"
                                          : "a pass is predicted to take less time so");
    return b->moved[part];
}

/* NULL: the engine can do it. */
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

/* ---- who reads what ---- */
/* From the outputs back: how many read a node, and whether all of them end in
 * gradients. */
static void count_uses(planner *b)
{
    const ir_graph *g = b->g;
    for (int i = 0; i < g->n_nodes; i++) b->info[i].grad_only = true;
    for (int i = 0; i < g->n_outputs; i++) {
        node_info *at = &b->info[g->outputs[i].node->id];
        at->n_uses++;
        if (!plan_is_gradient(g->outputs[i].name)) at->grad_only = false;
    }
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int j = 0; j < g->nodes[i]->n_in; j++) {
            node_info *in = &b->info[g->nodes[i]->in[j]->id];
            in->n_uses++;
            if (!b->info[i].grad_only) in->grad_only = false;
        }
}

/* ---- values read in parts ---- */
/* A concat that only losses and outputs read is not made: they read its parts. */
static void place_joins(planner *b)
{
    const ir_graph *g = b->g;
    for (int i = g->n_nodes - 1; i >= 0; i--) b->info[i].parts_do = true;
    for (int i = 0; i < g->n_outputs; i++) /* many of a few bytes: one surface */
        if (plan_is_peaks(g->outputs[i].name))
            b->info[g->outputs[i].node->id].parts_do = false;
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
        bool loss = plan_is_loss(n);
        for (int j = 0; j < n->n_in; j++) {
            bool can = (loss && j == 0) || join || (n->op == IR_reshape && at->parts_do);
            if (!can) b->info[n->in[j]->id].parts_do = false;
        }
    }
}

bool plan_is_loss(const ir_node *n)
{
    return n->op == IR_cross_entropy || n->op == IR_cross_entropy_dx ||
           n->op == IR_target_loss;
}

/* The kernel of losses reads logits, and writes their gradient, in rows of one
 * distance. Pieces of odd sizes may lie otherwise; the slow path takes those. */
bool plan_loss_fits(const planner *b, const ir_node *n)
{
    plan_view part[PLAN_LEAVES];
    int count = plan_parts_of(b, n->in[0], part, PLAN_LEAVES);
    int64_t columns = n->in[0]->shape.d[3], stride = 0;
    if (n->in[0]->type != IR_FP16 || n->in[1]->op != IR_input || count > PLAN_LEAVES)
        return false;
    for (int i = 0; i < count; i++) {
        const ir_node *base = part[i].base;
        int64_t width = base->shape.d[base->shape.rank - 1],
                own = plan_row_stride(b, base);
        if (b->info[base->id].at == PLACE_GIVEN || b->info[base->id].at == PLACE_FREE)
            return false;
        if (own == width) own = columns; /* packed: rows of any length */
        else if (width != columns) return false;
        if (stride && own != stride) return false;
        stride = own;
    }
    return n->op != IR_cross_entropy_dx || plan_pieces_stride(b, n) == stride;
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
                depends(d, n) || !plan_loss_fits(b, d))
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
                 stays_inside(b, node) || plan_joins_weights(b, node))
            at->at = PLACE_FREE;
        else if (plan_moves(b, node)) {
            at->at = PLACE_HOST;
            at->moved = true;
            if (!(at->cause = moved_cause(b, node))) return E_MEMORY;
        } else if ((at->cause = host_cause(b, node)) != NULL) at->at = PLACE_HOST;
        else at->at = PLACE_ENGINE;
    }
    count_uses(b);
    TRY(plan_place_gradients(b));
    place_joins(b);
    place_losses(b);
    return plan_place_again(b);
}
