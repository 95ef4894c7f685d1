/* weigh.c - decisions that only whole plans can be asked about.
 *
 * What a decision gains depends on what overlaps with what, and that is known
 * when a plan is complete. So two questions are answered by building both plans
 * and comparing the time of a pass, forward and backward, as the timeline has it:
 *
 *   weight gradients   on the host, beside the engine, or on the engine
 *   layers a program   one, or several in one launch
 *
 * The first of each pair has a merit that is not time: the host sums gradients in
 * fp32, and one layer a program is the least memory and the smallest program to
 * compile. The second has to gain LEAST of the pass, which is about what the model
 * of time can tell (docs/time.md). While training it is one layer whatever the
 * time: an overflow is told, and answered, by the program that made an infinity. */
#include "plan/cost.h"
#include "plan/timeline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LEAST = 0.05;

typedef struct {
    const ir_graph *given;
    const dev_caps *caps;
    const plan_options *o;
    plan *best;
    plan_variant v; /* best's */
    plan_choice made[2];
    int n_made;
    char cause[PLAN_CAUSE_MAX]; /* of weight gradients; "" = not weighed */
} task;

static double pass_of(const plan *p)
{
    return plan_times_of(p).pass;
}

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

static rc weigh_gradients(task *t)
{
    plan *other;
    plan_variant engine = {PLAN_DW_ENGINE, 1};
    if ((t->o && t->o->dw != PLAN_DW_AUTO) || !t->best->dw_cause) return OK;
    TRY(build_other(t, engine, &other));
    if (!other) return OK;
    double on_host = pass_of(t->best), on_engine = pass_of(other);
    bool take = on_engine < (1 - LEAST) * on_host;
    keep(t, other, engine, take);
    snprintf(
        t->cause, sizeof t->cause,
        "weight gradients: a pass of %.3g ms with them on the host, of %.3g ms on the "
        "engine",
        on_host, on_engine);
    t->made[t->n_made++] = (plan_choice){
        "weight gradients",
        take ? "engine" : "host",
        take ? "host" : "engine",
        take ? on_engine : on_host,
        take ? on_host : on_engine,
        "the host sums in fp32, so the engine has to gain 5 % of a pass"};
    return OK;
}

/* ---- layers ---- */
static int layers_of(const ir_graph *g)
{
    int most = -1;
    for (int i = 0; i < g->n_nodes; i++) {
        int layer = plan_layer_of(g->nodes[i]->scope);
        if (layer > most) most = layer;
    }
    return most + 1;
}

/* Several can gain no more than the launches they save. Baked programs take longer
 * to compile by an amount that nobody has published: these keep to one layer, too. */
static rc weigh_layers(task *t)
{
    const plan *p = t->best;
    int n = layers_of(p->legal), next = 0;
    if (n < 2 || p->options.weights != PLAN_STREAMED) return OK;
    dev_cost launch = dev_cost_launch(t->caps->profile, NULL);
    double single = pass_of(p), next_ms = INFINITY;
    double gain = dev_cost_ms(&launch) * (p->launches - p->loads);
    bool training = p->memory.moments > 0, small = gain <= LEAST * single;
    for (int k = 2; k <= n && !training && !small; k++) {
        plan *other;
        plan_variant v = {t->v.dw, k};
        if (n % k) continue;
        TRY(build_other(t, v, &other));
        if (!other) break;
        double ms = pass_of(other);
        bool fits = other->loads <= t->best->loads;
        if (fits && ms < next_ms) next = k, next_ms = ms;
        keep(t, other, v, fits && ms < (1 - LEAST) * pass_of(t->best));
        if (!fits) break; /* a rule cut it: larger ones are cut, too */
    }
    bool one = t->v.layers == 1;
    const char *taken = arena_printf(t->best->mem, "%d", t->v.layers);
    const char *other = !one   ? "1"
                        : next ? arena_printf(t->best->mem, "%d", next)
                               : "several about";
    if (!taken || !other) return E_MEMORY;
    t->made[t->n_made++] = (plan_choice){
        "layers a program",
        taken,
        other,
        pass_of(t->best),
        !one   ? single
        : next ? next_ms
               : single - gain,
        training ? "while training one, so that an infinity is told by its layer"
        : one && !next
            ? "the launches that could be saved are not 5 % of a pass"
            : "each step to more has to gain 5 % of a pass, and no more loads"};
    return OK;
}

/* The plan that was kept says what it was chosen by. */
static rc tell(task *t)
{
    plan *p = t->best;
    if (*t->cause) memcpy(p->dw_cause, t->cause, sizeof t->cause);
    p->choices = arena_array(p->mem, (size_t)t->n_made + 1, sizeof *p->choices);
    if (!p->choices) return E_MEMORY;
    memcpy(p->choices, t->made, (size_t)t->n_made * sizeof *p->choices);
    p->n_choices = t->n_made;
    return OK;
}

rc plan_build(const ir_graph *given, const dev_caps *caps, const plan_options *o,
              plan **out)
{
    plan_dw dw = o && o->dw != PLAN_DW_AUTO ? o->dw : PLAN_DW_HOST;
    task t = {.given = given, .caps = caps, .o = o, .v = {dw, 1}};
    TRY(plan_build_one(given, caps, o, t.v, &t.best));
    rc r = caps->profile ? weigh_gradients(&t) : OK;
    if (r == OK && caps->profile) r = weigh_layers(&t);
    if (r == OK) r = tell(&t);
    if (r != OK) {
        plan_free(t.best);
        return r;
    }
    *out = t.best;
    return OK;
}
