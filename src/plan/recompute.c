/* recompute.c - values of the forward pass that the backward pass makes again.
 *
 * A value that is FREE is stored nowhere: every program that needs it makes its
 * own, from what is stored. So making one again is a matter of placing it so, and
 * the variant says which:
 *
 *   ELEMENTS  results of one elementwise op on values that are stored anyhow
 *   LAYERS    all of a layer but what the next one reads: then little more than
 *             the layers' inputs is stored (Chen et al., 2016)
 *
 * What the host reads, and what is an output, has to be stored. */
#include "plan/passes.h"

#include <string.h>

/* What reads each node. */
typedef struct {
    bool *outside;  /* another layer, an output, or the host */
    bool *backward; /* the backward pass */
} readers;

static bool on_engine(const planner *b, const ir_node *n)
{
    return b->info[n->id].at == PLACE_ENGINE;
}

/* Through names for the same memory, to the value that is stored. */
static void read_by(const planner *b, readers *r, const ir_node *value, bool outside,
                    bool backward)
{
    const ir_node *base = plan_view_of(b, value).base;
    r->outside[base->id] |= outside;
    r->backward[base->id] |= backward;
    if (b->info[base->id].at == PLACE_ENGINE || b->info[base->id].at == PLACE_HOST)
        return;
    for (int i = 0; i < base->n_in; i++) read_by(b, r, base->in[i], outside, backward);
}

static rc find_readers(const planner *b, readers *r)
{
    const ir_graph *g = b->g;
    size_t n = (size_t)g->n_nodes + 1;
    r->outside = arena_array(b->mem, n, sizeof *r->outside);
    r->backward = arena_array(b->mem, n, sizeof *r->backward);
    if (!r->outside || !r->backward) return E_MEMORY;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *q = g->nodes[i];
        place_at at = b->info[i].at;
        if (at == PLACE_GIVEN || at == PLACE_FREE) continue;
        for (int j = 0; j < q->n_in; j++) {
            const ir_node *x = plan_view_of(b, q->in[j]).base;
            bool far = at != PLACE_ENGINE || strcmp(q->scope, x->scope) != 0;
            read_by(b, r, q->in[j], far, q->backward);
        }
    }
    for (int i = 0; i < g->n_outputs; i++) read_by(b, r, g->outputs[i].node, true, false);
    return OK;
}

static bool elementwise(const ir_node *n)
{
    switch (n->op) {
    case IR_matmul:
    case IR_conv:
    case IR_softmax:
    case IR_reduce_sum:
    case IR_reduce_mean:
    case IR_reduce_max:
    case IR_transpose:
    case IR_slice:
    case IR_concat:
    case IR_tile:
        return false;
    default:
        return true;
    }
}

/* Are the operands of n there for the backward pass, too? */
static bool stored_anyhow(const planner *b, const readers *r, const ir_node *n)
{
    plan_view leaf[PLAN_LEAVES];
    int count = 0;
    for (int i = 0; i < n->n_in; i++) count = plan_leaves(b, n->in[i], leaf, count);
    for (int i = 0; i < count && i < PLAN_LEAVES; i++) {
        const ir_node *x = leaf[i].base;
        if (on_engine(b, x) && !r->backward[x->id] && !r->outside[x->id]) return false;
    }
    return count <= PLAN_LEAVES;
}

rc plan_place_again(planner *b)
{
    readers r;
    plan_recompute kind = b->variant.recompute;
    if (kind <= PLAN_RECOMPUTE_NONE) return OK;
    TRY(find_readers(b, &r));
    for (int i = 0; i < b->g->n_nodes; i++) {
        const ir_node *n = b->g->nodes[i];
        if (!on_engine(b, n) || n->backward || r.outside[i] ||
            plan_layer_of(n->scope) < 0)
            continue;
        if (kind == PLAN_RECOMPUTE_ELEMENTS &&
            !(r.backward[i] && elementwise(n) && stored_anyhow(b, &r, n)))
            continue;
        b->info[i].at = PLACE_FREE;
        b->info[i].cause = "made again in the backward pass";
    }
    return OK;
}
