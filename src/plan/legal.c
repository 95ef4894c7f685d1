/* legal.c - the graph a device can hold: drive the rewrites, twice or three times.
 *
 * Round one takes layers apart (attention, norms, rotary positions); round two
 * brings primitive ops under the device's rules; if the variant says so, round three
 * makes losses of the engine's ops, by the pieces of logits that round two made. After
 * each round the graph is simplified, so that the parts of a forward attention and those
 * its gradient made for itself become one. The result is ordinary IR: the oracle computes
 * the same values from it as from the graph given, which tests use. */
#include "plan/legal.h"

#include <string.h>

ir_node *legal_copy(legal *l, const ir_node *n, ir_node *const *in)
{
    switch (n->op) {
    case IR_input:
        return ir_input(l->to, n->name, n->type, n->shape);
    case IR_param:
        return ir_param(l->to, n->name, n->shape);
    case IR_constant:
        return n->uniform ? ir_fill(l->to, n->type, n->shape, n->data[0])
                          : ir_const(l->to, n->type, n->shape, n->data);
    default:
        return ir_make(l->to, n->op, n->n_in, in, n->type, n->shape, &n->attr);
    }
}

/* ---- the two rounds; an op without a row stays as it is ---- */
static const legal_rule layers[IR_OPS] = {
    [IR_attention] = legal_attention, [IR_attention_dx] = legal_attention_dx,
    [IR_rope] = legal_rope,           [IR_rms_scale] = legal_rms_scale,
    [IR_rms_norm] = legal_rms_norm,   [IR_layer_norm] = legal_layer_norm,
    [IR_gelu] = legal_gelu,           [IR_rsqrt] = legal_rsqrt,
    [IR_split] = legal_split,         [IR_conv] = legal_conv,
};

static const legal_rule primitives[IR_OPS] = {
    [IR_concat] = legal_concat,
    [IR_tile] = legal_tile,
    [IR_slice] = legal_slice,
    [IR_reduce_sum] = legal_reduce,
    [IR_reduce_mean] = legal_reduce,
    [IR_matmul] = legal_matmul,
    [IR_mul] = legal_mul,
    [IR_real_div] = legal_mul,
};

static const legal_rule losses[IR_OPS] = {
    [IR_cross_entropy] = legal_loss,
    [IR_cross_entropy_dx] = legal_loss_dx,
    [IR_slice] = legal_loss_piece,
};

/* The host does these as they are; a long product has pieces there as well, which
 * share their weights and the loss's logits with those of the engine. */
static bool stays_whole(const planner *b, const ir_node *n)
{
    return n->op != IR_matmul && plan_moves(b, n);
}

/* One old node after the other, in order, so operands are always there. */
static rc rewrite(planner *b, const ir_graph *from, const legal_rule *rules, ir_graph *to)
{
    legal l = {.b = b, .to = to};
    size_t n = (size_t)from->n_nodes;
    ir_node **map = arena_array(to->mem, n ? n : 1, sizeof *map);
    if (!map) return E_MEMORY;
    for (int i = 0; i < from->n_nodes; i++) {
        const ir_node *old = from->nodes[i];
        ir_node **in = arena_array(to->mem, (size_t)old->n_in + 1, sizeof *in);
        if (!in) return E_MEMORY;
        for (int j = 0; j < old->n_in; j++) in[j] = map[old->in[j]->id];
        ir_scope(to, old->scope, old->backward);
        to->made_for = old->made_for;
        /* Rules speak of fp16 values; what is not fp16 stays on the host. */
        bool ours = rules[old->op] && !stays_whole(b, old) &&
                    (old->type == IR_FP16 || old->op == IR_cross_entropy);
        map[i] = ours ? rules[old->op](&l, old, in) : legal_copy(&l, old, in);
        /* nothing made, and no constructor complained: no memory for its parts */
        if (!map[i] && ir_rc(to) == OK) return E_MEMORY;
        if (ir_rc(to) != OK)
            return err_while(ir_rc(to), "rewriting %s of '%s'", ir_op_name(old->op),
                             old->scope);
    }
    for (int i = 0; i < from->n_outputs; i++)
        ir_output(to, from->outputs[i].name, map[from->outputs[i].node->id]);
    return ir_rc(to);
}

static rc round_of(planner *b, const ir_graph *from, const legal_rule *rules,
                   ir_graph **out)
{
    ir_graph *to = ir_new();
    if (!to) return E_MEMORY;
    rc r = rewrite(b, from, rules, to);
    if (r == OK) r = ir_simplify(to, out, NULL);
    ir_free(to);
    return r;
}

rc plan_legal(planner *b)
{
    plan *p = b->p;
    ir_graph *flat;
    TRY_WHILE(round_of(b, p->given, layers, &flat), "taking layers apart");
    rc r = round_of(b, flat, primitives, &p->legal);
    ir_free(flat);
    if (r != OK) return err_while(r, "bringing ops under the device's rules");
    if (b->variant.loss_on_engine) {
        flat = p->legal;
        p->legal = NULL;
        r = round_of(b, flat, losses, &p->legal);
        ir_free(flat);
        if (r != OK) return err_while(r, "making losses of the engine's ops");
    }
    b->g = p->legal;
    return OK;
}
