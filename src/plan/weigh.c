/* weigh.c - decisions that only whole plans can be asked about.
 *
 * What a decision gains depends on what overlaps with what, and that is known
 * when a plan is complete. So each question is answered by building plans that
 * differ in nothing else and comparing the time of a pass, forward and backward,
 * as the timeline has it. They are asked one after the other, in the order of
 * decisions.c, each of the best plan so far.
 *
 * What is taken unless something else gains has a merit that is not time (it is
 * more accurate, or smaller); the row says which, and how much of a pass outweighs
 * it. That is at most about what the model of time can tell (docs/time.md). */
#include "plan/weigh.h"
#include "plan/cost.h"
#include "plan/timeline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double pass_of(const plan *p)
{
    return plan_times_of(p).pass;
}

/* ---- asking ---- */
bool plan_refused(const plan_options *o, rc r)
{
    bool limit = o && o->memory_limit_bytes > 0;
    return r == E_RULE || r == E_BUDGET || (r == E_MEMORY && limit);
}

/* Another plan; *out NULL, and *why, if it may not be. */
static rc build_other(const weighing *w, plan_variant v, plan **out, const char **why)
{
    *out = NULL;
    *why = "";
    rc r = plan_build_one(w->given, w->caps, w->o, v, out);
    if (!plan_refused(w->o, r)) return r;
    *why = arena_text(w->mem, err_text());
    err_clear();
    return *why ? OK : E_MEMORY;
}

static void keep(weighing *w, plan *other, plan_variant v, bool take)
{
    plan_free(take ? w->best : other);
    if (take) w->best = other, w->v = v;
}

static rc add_choice(weighing *w, plan_choice c)
{
    TRY(plan_grow(w->mem, (void **)&w->made, w->n_made, &w->cap_made, sizeof *w->made));
    w->made[w->n_made++] = c;
    return OK;
}

/* Each further way has to be better than the best so far by the least gain. Those
 * not taken are told, each with the time of its own plan. */
static rc decide(weighing *w, const decision *d)
{
    int n = d->count(w), taken = 0;
    double ms[WAYS] = {pass_of(w->best)};
    const char *why[WAYS];
    for (int way = 1; way < n; way++) {
        plan *other;
        plan_variant v = w->v;
        d->set(&v, way);
        TRY(build_other(w, v, &other, &why[way]));
        ms[way] = other ? pass_of(other) : NAN;
        if (!other) continue;
        bool take = ms[way] < (1 - d->least) * ms[taken];
        keep(w, other, v, take);
        if (take) taken = way;
    }
    for (int way = 0; way < n; way++)
        if (way != taken)
            TRY(add_choice(w, (plan_choice){d->what, d->ways[taken], d->ways[way],
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
static rc weigh_layers(weighing *w)
{
    const plan *p = w->best;
    int n = layers_of(p->legal), next = 0;
    const char *why;
    if (n < 2 || p->options.weights != PLAN_STREAMED) return OK;
    dev_cost launch = dev_cost_launch(w->caps->profile, NULL);
    double single = pass_of(p), next_ms = INFINITY;
    double gain = dev_cost_ms(&launch) * (p->launches - p->loads);
    bool training = p->memory.moments > 0, small = gain <= LEAST_OF_LAYERS * single;
    for (int k = 2; k <= n && !training && !small; k++) {
        plan *other;
        plan_variant v = w->v;
        v.layers = k;
        if (n % k) continue;
        TRY(build_other(w, v, &other, &why));
        if (!other) break;
        double ms = pass_of(other);
        bool fits = other->loads <= w->best->loads;
        if (fits && ms < next_ms) next = k, next_ms = ms;
        keep(w, other, v, fits && ms < (1 - LEAST_OF_LAYERS) * pass_of(w->best));
        if (!fits) break; /* a rule cut it: larger ones are cut, too */
    }
    bool one = w->v.layers == 1;
    const char *taken = arena_printf(w->mem, "%d", w->v.layers);
    const char *other = !one   ? "1"
                        : next ? arena_printf(w->mem, "%d", next)
                               : "several about";
    if (!taken || !other) return E_MEMORY;
    return add_choice(
        w, (plan_choice){
               "layers a program", taken, other, pass_of(w->best),
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
static rc tell_fitted(weighing *w)
{
    plan *p = w->best;
    static const char *const again[] = {"", "", "; elementwise results are made again",
                                        "; layers are made again"};
    planner b = {.p = p, .mem = p->mem};
    const char **had = p->notes;
    int n = p->n_notes;
    if (!w->fitted) return OK;
    p->notes = arena_array(p->mem, (size_t)n + 1, sizeof *p->notes);
    if (!p->notes) return E_MEMORY;
    for (int i = 0; i < n; i++) p->notes[i] = had[i];
    b.cap_notes = n + 1;
    return plan_note(&b, "the usual plan was refused (%s): weight gradients on the %s%s",
                     w->refused, w->v.dw == PLAN_DW_HOST ? "host" : "engine",
                     again[w->v.recompute]);
}

/* The plan that was kept says what it was chosen by. */
static rc tell(weighing *w)
{
    plan *p = w->best;
    p->choices = arena_array(p->mem, (size_t)w->n_made + 1, sizeof *p->choices);
    if (!p->choices) return E_MEMORY;
    for (int i = 0; i < w->n_made; i++) {
        plan_choice *c = &p->choices[i];
        *c = w->made[i];
        c->taken = arena_text(p->mem, c->taken);
        c->other = arena_text(p->mem, c->other);
        c->why = arena_text(p->mem, c->why);
        if (!c->taken || !c->other || !c->why) return E_MEMORY;
        if (strcmp(c->what, plan_decision_at(0)->what) == 0) say_gradients(p, c);
    }
    p->n_choices = w->n_made;
    return tell_fitted(w);
}

static rc weigh(weighing *w)
{
    const decision *d;
    for (size_t i = 0; (d = plan_decision_at(i)); i++) TRY(decide(w, d));
    return weigh_layers(w);
}

/* What the usual plan is, and, should a rule or the memory refuse it, what takes
 * less: weight gradients on the engine read no values of the forward pass that have
 * to be stored for the host, and those made again are not stored at all. */
static rc build_first(weighing *w)
{
    bool dw = !w->o || w->o->dw == PLAN_DW_AUTO;
    bool again = !w->o || w->o->recompute == PLAN_RECOMPUTE_AUTO;
    w->v.layers = 1;
    w->v.tiles = w->o ? w->o->tiles : 0;
    w->v.loss_on_engine = w->o && w->o->loss == PLAN_LOSS_ENGINE;
    w->v.dw = dw ? PLAN_DW_HOST : w->o->dw;
    w->v.recompute = again ? PLAN_RECOMPUTE_NONE : w->o->recompute;
    w->v.packed = w->o ? w->o->pack : PLAN_PACK_AUTO;
    w->v.on_host = w->o && w->o->host_said ? w->o->host : 0;
    plan_variant usual = w->v;
    TRY(build_other(w, usual, &w->best, &w->refused));
    if (w->best) return OK;
    const char *why;
    if (dw) {
        w->v.dw = PLAN_DW_ENGINE;
        TRY(build_other(w, w->v, &w->best, &why));
    }
    for (int k = PLAN_RECOMPUTE_ELEMENTS; again && !w->best && k <= PLAN_RECOMPUTE_LAYERS;
         k++) {
        w->v.recompute = (plan_recompute)k;
        TRY(build_other(w, w->v, &w->best, &why));
    }
    w->fitted = w->best != NULL;
    return w->best ? OK : plan_build_one(w->given, w->caps, w->o, usual, &w->best);
}

rc plan_weigh(const ir_graph *given, const dev_caps *caps, const plan_options *o,
              plan **out)
{
    weighing w = {.given = given, .caps = caps, .o = o, .mem = arena_new()};
    rc r = w.mem ? build_first(&w) : E_MEMORY;
    if (r == OK && caps->profile) r = weigh(&w);
    if (r == OK) r = tell(&w);
    arena_free(w.mem);
    if (r != OK) {
        plan_free(w.best);
        return r;
    }
    *out = w.best;
    return OK;
}
