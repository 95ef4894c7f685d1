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
    plan_variant v; /* best's */
    int n_made, cap_made;
    plan_choice *made;
    arena *mem; /* of made, until a plan is kept */
} task;

/* `ways` are those of the field of a variant that set() writes, the usual first;
 * count() is how many of them can be asked about for this plan (below 2: none). */
typedef struct {
    const char *what, *why;
    double least;
    const char *ways[4];
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
    return (!t->o || t->o->dw == PLAN_DW_AUTO) && t->best->dw_cause ? 2 : 0;
}

static void set_gradients(plan_variant *v, int way)
{
    v->dw = way ? PLAN_DW_ENGINE : PLAN_DW_HOST;
}

static const decision decisions[] = {
    {"weight gradients",
     "the host sums in fp32, so the engine has to gain 5 % of a pass",
     0.05,
     {"host", "engine"},
     count_gradients,
     set_gradients},
};

/* ---- asking ---- */
/* Another plan that no rule forbids; *out NULL if one does. */
static rc build_other(const task *t, plan_variant v, plan **out)
{
    *out = NULL;
    rc r = plan_build_one(t->given, t->caps, t->o, v, out);
    bool limit = t->o && t->o->memory_limit_bytes > 0;
    if (r != E_RULE && r != E_BUDGET && !(r == E_MEMORY && limit)) return r;
    err_clear();
    return OK;
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

/* Each further way has to be better than the best so far by the least gain. */
static rc decide(task *t, const decision *d)
{
    int n = d->count(t), taken = 0, next = -1;
    double next_ms = INFINITY;
    for (int way = 1; way < n; way++) {
        plan *other;
        plan_variant v = t->v;
        d->set(&v, way);
        TRY(build_other(t, v, &other));
        if (!other) continue;
        double had = pass_of(t->best), ms = pass_of(other);
        bool take = ms < (1 - d->least) * had;
        keep(t, other, v, take);
        if (take || ms < next_ms) next = take ? taken : way, next_ms = take ? had : ms;
        if (take) taken = way;
    }
    if (next < 0) return OK;
    return add_choice(t, (plan_choice){d->what, d->ways[taken], d->ways[next],
                                       pass_of(t->best), next_ms, d->why});
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
        TRY(build_other(t, v, &other));
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
                   : "each step to more has to gain 5 % of a pass, and no more loads"});
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
        if (!c->taken || !c->other) return E_MEMORY;
        if (strcmp(c->what, decisions[0].what) == 0) say_gradients(p, c);
    }
    p->n_choices = t->n_made;
    return OK;
}

static rc weigh(task *t)
{
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++)
        TRY(decide(t, &decisions[i]));
    return weigh_layers(t);
}

rc plan_build(const ir_graph *given, const dev_caps *caps, const plan_options *o,
              plan **out)
{
    plan_dw dw = o && o->dw != PLAN_DW_AUTO ? o->dw : PLAN_DW_HOST;
    task t = {.given = given, .caps = caps, .o = o, .v = {.dw = dw, .layers = 1}};
    TRY(plan_build_one(given, caps, o, t.v, &t.best));
    t.mem = arena_new();
    rc r = t.mem ? OK : E_MEMORY;
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
