/* weigh.c - decisions that only whole plans can be asked about.
 *
 * What a decision gains depends on what overlaps with what, and that is known
 * when a plan is complete. So each question is answered by building plans that
 * differ in nothing else and comparing the time of a pass, forward and backward,
 * as the timeline has it. They are asked one after the other, in the order of the
 * table below, each of the best plan so far.
 *
 * What is taken unless something else gains has a merit that is not time (it is
 * more accurate, or smaller); the row says which, and how much of a pass outweighs
 * it. That is at most about what the model of time can tell (docs/time.md). */
#include "plan/cost.h"
#include "plan/timeline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const ir_graph *given;
    const dev_caps *caps;
    const plan_options *o;
    plan *best;
    plan_variant v;      /* best's */
    bool fitted;         /* the usual plan was refused, and best is what was not */
    const char *refused; /* why */
    int n_made, cap_made;
    plan_choice *made;
    arena *mem; /* of made, until a plan is kept */
} task;

/* `ways` are those of the field of a variant that set() writes, the usual first;
 * count() is how many of them can be asked about for this plan (below 2: none). */
enum { WAYS = 4 };
typedef struct {
    const char *what, *why;
    double least;
    const char *ways[WAYS];
    int (*count)(const task *t);
    void (*set)(plan_variant *v, int way);
} decision;

static double pass_of(const plan *p)
{
    return plan_times_of(p).pass;
}

/* ---- what is asked ---- */
static int count_gradients(const task *t)
{
    bool open = !t->o || t->o->dw == PLAN_DW_AUTO;
    return open && !t->fitted && t->best->dw_cause ? 2 : 0;
}

static void set_gradients(plan_variant *v, int way)
{
    v->dw = way ? PLAN_DW_ENGINE : PLAN_DW_HOST;
}

/* Of as many queries as surfaces have in a row, or more. */
static int count_tiles(const task *t)
{
    const ir_graph *g = t->given;
    int64_t most = 0;
    for (int i = 0; i < g->n_nodes && (!t->o || !t->o->tiles); i++) {
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
static int count_loss(const task *t)
{
    bool open = !t->o || t->o->loss == PLAN_LOSS_AUTO;
    const ir_graph *g = t->best->given;
    if (!open || t->best->window) return 0;
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

static int count_recompute(const task *t)
{
    bool open = !t->o || t->o->recompute == PLAN_RECOMPUTE_AUTO;
    return open && !t->fitted && t->best->memory.moments > 0 ? 3 : 0;
}

static void set_recompute(plan_variant *v, int way)
{
    v->recompute = way == 1   ? PLAN_RECOMPUTE_ELEMENTS
                   : way == 2 ? PLAN_RECOMPUTE_LAYERS
                              : PLAN_RECOMPUTE_NONE;
}

static int count_windows(const task *t)
{
    return t->best->window ? 2 : 0;
}

static void set_windows(plan_variant *v, int way)
{
    v->scale_operands = way == 1;
}

/* Values on their way to the host carry no factors (windows), and weights have to be
 * there. What is no part of the model is not asked about. */
static int count_moves(const task *t, int part)
{
    const plan *p = t->best;
    bool open = !(t->o && t->o->host_said) && !t->fitted && !p->window &&
                p->options.weights == PLAN_STREAMED;
    for (int i = 0; open && i < p->legal->n_nodes; i++)
        if (p->legal->nodes[i]->type == IR_FP16 &&
            plan_movable_of(p->legal->nodes[i]) == part)
            return 2;
    return 0;
}

#define MOVABLE(name, ...)                                  \
    static int count_##name(const task *t)                  \
    {                                                       \
        return count_moves(t, PLAN_MOVE_##name);            \
    }                                                       \
    static void set_##name(plan_variant *v, int way)        \
    {                                                       \
        unsigned bit = 1u << PLAN_MOVE_##name;              \
        v->on_host = (v->on_host & ~bit) | (way ? bit : 0); \
    }
#include "plan/movable.def"
#undef MOVABLE

/* Not where weights have factors of their own or stay on the engine. */
static int count_packed(const task *t)
{
    bool training = t->best->memory.moments > 0;
    bool open = !t->o || t->o->pack == PLAN_PACK_AUTO;
    return !open || !t->best->joinable ? 0 : training ? 3 : 2;
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

/* ---- asking ---- */
bool plan_refused(const plan_options *o, rc r)
{
    bool limit = o && o->memory_limit_bytes > 0;
    return r == E_RULE || r == E_BUDGET || (r == E_MEMORY && limit);
}

/* Another plan; *out NULL, and *why, if it may not be. */
static rc build_other(const task *t, plan_variant v, plan **out, const char **why)
{
    *out = NULL;
    *why = "";
    rc r = plan_build_one(t->given, t->caps, t->o, v, out);
    if (!plan_refused(t->o, r)) return r;
    *why = arena_text(t->mem, err_text());
    err_clear();
    return *why ? OK : E_MEMORY;
}

static void keep(task *t, plan *other, plan_variant v, bool take)
{
    plan_free(take ? t->best : other);
    if (take) t->best = other, t->v = v;
}

static rc add_choice(task *t, plan_choice c)
{
    TRY(plan_grow(t->mem, (void **)&t->made, t->n_made, &t->cap_made, sizeof *t->made));
    t->made[t->n_made++] = c;
    return OK;
}

/* Each further way has to be better than the best so far by the least gain. Those
 * not taken are told, each with the time of its own plan. */
static rc decide(task *t, const decision *d)
{
    int n = d->count(t), taken = 0;
    double ms[WAYS] = {pass_of(t->best)};
    const char *why[WAYS];
    for (int way = 1; way < n; way++) {
        plan *other;
        plan_variant v = t->v;
        d->set(&v, way);
        TRY(build_other(t, v, &other, &why[way]));
        ms[way] = other ? pass_of(other) : NAN;
        if (!other) continue;
        bool take = ms[way] < (1 - d->least) * ms[taken];
        keep(t, other, v, take);
        if (take) taken = way;
    }
    for (int way = 0; way < n; way++)
        if (way != taken)
            TRY(add_choice(t, (plan_choice){d->what, d->ways[taken], d->ways[way],
                                            ms[taken], ms[way],
                                            isnan(ms[way]) ? why[way] : d->why, false}));
    return OK;
}

/* ---- layers ---- */
static const double LEAST_OF_LAYERS = 0.05;

static int layers_of(const ir_graph *g)
{
    int most = -1;
    for (int i = 0; i < g->n_nodes; i++) {
        int layer = plan_layer_of(g->nodes[i]->scope);
        if (layer > most) most = layer;
    }
    return most + 1;
}

/* Several in one launch can gain no more than the launches they save. While
 * training it is one whatever the time: an overflow is told, and answered, by the
 * program that made an infinity. Baked programs take longer to compile by an amount
 * that nobody has published: these keep to one layer, too. */
static rc weigh_layers(task *t)
{
    const plan *p = t->best;
    int n = layers_of(p->legal), next = 0;
    const char *why;
    if (n < 2 || p->options.weights != PLAN_STREAMED) return OK;
    dev_cost launch = dev_cost_launch(t->caps->profile, NULL);
    double single = pass_of(p), next_ms = INFINITY;
    double gain = dev_cost_ms(&launch) * (p->launches - p->loads);
    bool training = p->memory.moments > 0, small = gain <= LEAST_OF_LAYERS * single;
    for (int k = 2; k <= n && !training && !small; k++) {
        plan *other;
        plan_variant v = t->v;
        v.layers = k;
        if (n % k) continue;
        TRY(build_other(t, v, &other, &why));
        if (!other) break;
        double ms = pass_of(other);
        bool fits = other->loads <= t->best->loads;
        if (fits && ms < next_ms) next = k, next_ms = ms;
        keep(t, other, v, fits && ms < (1 - LEAST_OF_LAYERS) * pass_of(t->best));
        if (!fits) break; /* a rule cut it: larger ones are cut, too */
    }
    bool one = t->v.layers == 1;
    const char *taken = arena_printf(t->mem, "%d", t->v.layers);
    const char *other = !one   ? "1"
                        : next ? arena_printf(t->mem, "%d", next)
                               : "several about";
    if (!taken || !other) return E_MEMORY;
    return add_choice(
        t, (plan_choice){
               "layers a program", taken, other, pass_of(t->best),
               !one   ? single
               : next ? next_ms
                      : single - gain,
               training ? "while training one, so that an infinity is told by its layer"
               : one && !next
                   ? "the launches that could be saved are not 5 % of a pass"
                   : "each step to more has to gain 5 % of a pass, and no more loads",
               false});
}

/* ---- telling ---- */
static void say_gradients(plan *p, const plan_choice *c)
{
    bool host = strcmp(c->taken, "host") == 0;
    snprintf(p->dw_cause, PLAN_CAUSE_MAX,
             "weight gradients: a pass of %.3g ms with them on the host, of %.3g ms on "
             "the engine",
             host ? c->ms : c->other_ms, host ? c->other_ms : c->ms);
}

/* Why it is not the usual plan. */
static rc tell_fitted(task *t)
{
    plan *p = t->best;
    static const char *const again[] = {"", "", "; elementwise results are made again",
                                        "; layers are made again"};
    planner b = {.p = p, .mem = p->mem};
    const char **had = p->notes;
    int n = p->n_notes;
    if (!t->fitted) return OK;
    p->notes = arena_array(p->mem, (size_t)n + 1, sizeof *p->notes);
    if (!p->notes) return E_MEMORY;
    for (int i = 0; i < n; i++) p->notes[i] = had[i];
    b.cap_notes = n + 1;
    return plan_note(&b, "the usual plan was refused (%s): weight gradients on the %s%s",
                     t->refused, t->v.dw == PLAN_DW_HOST ? "host" : "engine",
                     again[t->v.recompute]);
}

/* The plan that was kept says what it was chosen by. */
static rc tell(task *t)
{
    plan *p = t->best;
    p->choices = arena_array(p->mem, (size_t)t->n_made + 1, sizeof *p->choices);
    if (!p->choices) return E_MEMORY;
    for (int i = 0; i < t->n_made; i++) {
        plan_choice *c = &p->choices[i];
        *c = t->made[i];
        c->taken = arena_text(p->mem, c->taken);
        c->other = arena_text(p->mem, c->other);
        c->why = arena_text(p->mem, c->why);
        if (!c->taken || !c->other || !c->why) return E_MEMORY;
        if (strcmp(c->what, decisions[0].what) == 0) say_gradients(p, c);
    }
    p->n_choices = t->n_made;
    return tell_fitted(t);
}

static rc weigh(task *t)
{
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++)
        TRY(decide(t, &decisions[i]));
    return weigh_layers(t);
}

/* What the usual plan is, and, should a rule or the memory refuse it, what takes
 * less: weight gradients on the engine read no values of the forward pass that have
 * to be stored for the host, and those made again are not stored at all. */
static rc build_first(task *t)
{
    bool dw = !t->o || t->o->dw == PLAN_DW_AUTO;
    bool again = !t->o || t->o->recompute == PLAN_RECOMPUTE_AUTO;
    t->v.layers = 1;
    t->v.tiles = t->o ? t->o->tiles : 0;
    t->v.loss_on_engine = t->o && t->o->loss == PLAN_LOSS_ENGINE;
    t->v.dw = dw ? PLAN_DW_HOST : t->o->dw;
    t->v.recompute = again ? PLAN_RECOMPUTE_NONE : t->o->recompute;
    t->v.packed = t->o ? t->o->pack : PLAN_PACK_AUTO;
    t->v.on_host = t->o && t->o->host_said ? t->o->host : 0;
    plan_variant usual = t->v;
    TRY(build_other(t, usual, &t->best, &t->refused));
    if (t->best) return OK;
    const char *why;
    if (dw) {
        t->v.dw = PLAN_DW_ENGINE;
        TRY(build_other(t, t->v, &t->best, &why));
    }
    for (int k = PLAN_RECOMPUTE_ELEMENTS; again && !t->best && k <= PLAN_RECOMPUTE_LAYERS;
         k++) {
        t->v.recompute = (plan_recompute)k;
        TRY(build_other(t, t->v, &t->best, &why));
    }
    t->fitted = t->best != NULL;
    return t->best ? OK : plan_build_one(t->given, t->caps, t->o, usual, &t->best);
}

rc plan_weigh(const ir_graph *given, const dev_caps *caps, const plan_options *o,
              plan **out)
{
    task t = {.given = given, .caps = caps, .o = o, .mem = arena_new()};
    rc r = t.mem ? build_first(&t) : E_MEMORY;
    if (r == OK && caps->profile) r = weigh(&t);
    if (r == OK) r = tell(&t);
    arena_free(t.mem);
    if (r != OK) {
        plan_free(t.best);
        return r;
    }
    *out = t.best;
    return OK;
}
