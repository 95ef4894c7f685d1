/* decisions.c - what whole plans are asked, one row each, in the order in which it is
 * asked.
 *
 * A row names the ways, the usual one first, and by how much of a pass another has to
 * be shorter; its count() says how many ways there are for this plan, its set() writes
 * one into a variant. The passes that the variant goes to do the rest. */
#include "plan/weigh.h"

static int count_gradients(const weighing *w)
{
    bool open = !w->o || w->o->dw == PLAN_DW_AUTO;
    return open && !w->fitted && w->best->dw_cause ? 2 : 0;
}

static void set_gradients(plan_variant *v, int way)
{
    v->dw = way ? PLAN_DW_ENGINE : PLAN_DW_HOST;
}

/* Of as many queries as surfaces have in a row, or more. */
static int count_tiles(const weighing *w)
{
    const ir_graph *g = w->given;
    int64_t most = 0;
    for (int i = 0; i < g->n_nodes && (!w->o || !w->o->tiles); i++) {
        const ir_node *n = g->nodes[i];
        int64_t seq = n->op == IR_attention ? n->shape.d[3] / n->attr.batch : 0;
        if (seq > most) most = seq;
    }
    return most > 128 ? 4 : most > 64 ? 3 : most > 32 ? 2 : 0;
}

static void set_tiles(plan_variant *v, int way)
{
    v->tiles = 1 << way;
}

/* Of a training pass. A test of a model reports its loss, and that stays the host's
 * in fp32. With exponent windows the host puts a factor on the gradient. Of fewer
 * targets than LEAST_TARGETS a pass has an overflow with the largest loss scale:
 * codes are up to bits/2 times larger than the gradient itself (legal_loss.c). */
enum { LEAST_TARGETS = 64 };
static int count_loss(const weighing *w)
{
    bool open = !w->o || w->o->loss == PLAN_LOSS_AUTO;
    const ir_graph *g = w->best->given;
    if (!open || w->best->window) return 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        if (n->op == IR_cross_entropy_dx && n->type == IR_FP16 &&
            n->shape.d[3] >= LEAST_TARGETS)
            return 2;
    }
    return 0;
}

static void set_loss(plan_variant *v, int way)
{
    v->loss_on_engine = way == 1;
}

static int count_recompute(const weighing *w)
{
    bool open = !w->o || w->o->recompute == PLAN_RECOMPUTE_AUTO;
    return open && !w->fitted && w->best->memory.moments > 0 ? 3 : 0;
}

static void set_recompute(plan_variant *v, int way)
{
    v->recompute = way == 1   ? PLAN_RECOMPUTE_ELEMENTS
                   : way == 2 ? PLAN_RECOMPUTE_LAYERS
                              : PLAN_RECOMPUTE_NONE;
}

static int count_windows(const weighing *w)
{
    return w->best->window ? 2 : 0;
}

static void set_windows(plan_variant *v, int way)
{
    v->scale_operands = way == 1;
}

/* Values on their way to the host carry no factors (windows), and weights have to be
 * there. What is no part of the model is not asked about. */
static int count_moves(const weighing *w, int part)
{
    const plan *p = w->best;
    bool open = !(w->o && w->o->host_said) && !w->fitted && !p->window &&
                p->options.weights == PLAN_STREAMED;
    for (int i = 0; open && i < p->legal->n_nodes; i++)
        if (p->legal->nodes[i]->type == IR_FP16 &&
            plan_movable_of(p->legal->nodes[i]) == part)
            return 2;
    return 0;
}

#define MOVABLE(name, ...)                                  \
    static int count_##name(const weighing *w)              \
    {                                                       \
        return count_moves(w, PLAN_MOVE_##name);            \
    }                                                       \
    static void set_##name(plan_variant *v, int way)        \
    {                                                       \
        unsigned bit = 1u << PLAN_MOVE_##name;              \
        v->on_host = (v->on_host & ~bit) | (way ? bit : 0); \
    }
#include "plan/movable.def"
#undef MOVABLE

/* Not where weights have factors of their own or stay on the engine. */
static int count_packed(const weighing *w)
{
    bool training = w->best->memory.moments > 0;
    bool open = !w->o || w->o->pack == PLAN_PACK_AUTO;
    return !open || !w->best->joinable ? 0 : training ? 3 : 2;
}

static void set_packed(plan_variant *v, int way)
{
    v->packed = way == 1 ? PLAN_PACK_ALL : way == 2 ? PLAN_PACK_BACKWARD : PLAN_PACK_NONE;
}

static const decision decisions[] = {
    {"weight gradients",
     "the host sums in fp32, so the engine has to gain 5 % of a pass",
     0.05,
     {"host", "engine"},
     count_gradients,
     set_gradients},
    {"cross-entropy",
     "the host's gradient is rounded once, so the engine has to gain 5 % of a pass",
     0.05,
     {"host", "engine"},
     count_loss,
     set_loss},
    {"query tiles",
     "each step to more has to gain 1 % of a pass",
     0.01,
     {"1", "2", "4", "8"},
     count_tiles,
     set_tiles},
    {"values of the forward pass",
     "made again they take less memory; a gain of 1 % is one",
     0.01,
     {"kept", "elements made again", "layers made again"},
     count_recompute,
     set_recompute},
    {"factors of exponent windows",
     "on a weight or the loss they cost the engine nothing",
     0.01,
     {"on weights and the loss", "on operands"},
     count_windows,
     set_windows},
#define MOVABLE(name, ...)                                                          \
    {#name,                                                                         \
     "the engine need not wait for its own, so the host has to gain 5 % of a pass", \
     0.05,                                                                          \
     {"engine", "host"},                                                            \
     count_##name,                                                                  \
     set_##name},
#include "plan/movable.def"
#undef MOVABLE
    {"products of one value",
     "apart each is counted by itself, and joined has to gain 2 %",
     0.02,
     {"apart", "joined", "joined in the backward pass"},
     count_packed,
     set_packed},
};

const decision *plan_decision_at(size_t i)
{
    return i < sizeof decisions / sizeof *decisions ? &decisions[i] : NULL;
}
