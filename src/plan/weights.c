/* weights.c - which weight policy, where the user leaves it open.
 *
 * A policy changes what an update costs, so whole steps are compared, not passes:
 * the best streamed plan with the best resident one (weigh.c). Streamed weights are
 * the usual: resident ones are trained in other roundings, and baked ones need the
 * system's compiler for each update. Either has to gain LEAST of a step.
 *
 * A baked plan has a program for each launch that reads weights, so that compiling
 * them alone is a bound, and mostly more than the whole streamed step. */
#include "plan/cost.h"
#include "plan/passes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LEAST = 0.05;
static const char why[] =
    "what is not streamed has to gain 5 % of a step: resident weights train in other "
    "roundings, baked ones need a compiler";

static double compiling(const plan *p)
{
    int programs = 0;
    for (int i = 0; i < p->n_steps; i++) {
        const plan_step *s = &p->steps[i];
        bool reads = false;
        for (int k = 0; s->engine && k < s->n_in; k++)
            reads |= p->buffers[s->in[k]].home == PLAN_WEIGHT;
        programs += reads;
    }
    int every = p->options.bake_every;
    return plan_compile_of(p->caps.profile)->ms * programs / (every > 1 ? every : 1);
}

static const char *const names[] = {
    [PLAN_STREAMED] = "streamed", [PLAN_BAKED] = "baked", [PLAN_RESIDENT] = "resident"};

typedef struct {
    plan *best;
    plan_weights at;
    double ms[PLAN_WEIGHTS_AUTO];         /* of a step; 0 = not built */
    char refused[PLAN_WEIGHTS_AUTO][256]; /* why not */
} contest;

static rc enter(contest *c, const ir_graph *given, const dev_caps *caps,
                const plan_options *o, plan_weights w)
{
    plan *p;
    plan_options mine = *o;
    mine.weights = w;
    rc r = plan_weigh(given, caps, &mine, &p);
    if (plan_refused(o, r)) {
        snprintf(c->refused[w], sizeof c->refused[w], "%s", err_text());
        err_clear();
        return OK;
    }
    if (r != OK) return r;
    c->ms[w] = p->step_ms;
    bool take = !c->best || p->step_ms < (1 - LEAST) * c->best->step_ms;
    plan_free(take ? c->best : p);
    if (take) c->best = p, c->at = w;
    return OK;
}

static rc tell(const contest *c, double compile_ms)
{
    plan *p = c->best;
    plan_choice *all = arena_array(p->mem, (size_t)p->n_choices + PLAN_WEIGHTS_AUTO,
                                   sizeof *all);
    if (!all) return E_MEMORY;
    memcpy(all, p->choices, (size_t)p->n_choices * sizeof *all);
    p->choices = all;
    for (int w = 0; w < PLAN_WEIGHTS_AUTO; w++) {
        bool refused = *c->refused[w], bound = w == PLAN_BAKED && !refused && !c->ms[w];
        double ms = refused ? NAN : bound ? compile_ms : c->ms[w];
        if (w == (int)c->at || ms == 0) continue;
        const char *cause = refused ? arena_text(p->mem, c->refused[w]) : why;
        if (!cause) return E_MEMORY;
        all[p->n_choices++] = (plan_choice){
            "weights", names[c->at], bound ? "baked over" : names[w], p->step_ms, ms,
            cause,     true};
    }
    return OK;
}

/* What else the user says that resident weights cannot do; NULL: nothing. */
static const char *resident_cannot(const plan_options *o)
{
    if (o->accumulates)
        return "several passes make an update, and nothing adds up what stays on the "
               "engine";
    if (o->host_said && o->host) return "plan.host names parts that need weights there";
    if (o->pack > PLAN_PACK_NONE) return "plan.pack says that weights are joined";
    return o->dw == PLAN_DW_HOST ? "plan.dw says host" : NULL;
}

static rc choose(const ir_graph *given, const dev_caps *caps, const plan_options *o,
                 contest *c)
{
    TRY(enter(c, given, caps, o, PLAN_STREAMED));
    const plan *streamed = c->best;
    bool training = !streamed || streamed->memory.moments > 0;
    bool windows = streamed ? streamed->window != NULL : o->window == PLAN_WINDOW_ON;
    if (!caps->profile || !training || windows) return OK;
    double compile_ms = streamed ? compiling(streamed) : 0;
    bool compiles = !streamed || compile_ms < streamed->step_ms;
    const char *cannot = resident_cannot(o);
    if (cannot) snprintf(c->refused[PLAN_RESIDENT], sizeof c->refused[0], "%s", cannot);
    else TRY(enter(c, given, caps, o, PLAN_RESIDENT));
    if (compiles) TRY(enter(c, given, caps, o, PLAN_BAKED));
    return c->best ? tell(c, compile_ms) : OK;
}

rc plan_build(const ir_graph *given, const dev_caps *caps, const plan_options *o,
              plan **out)
{
    if (!o || o->weights != PLAN_WEIGHTS_AUTO) return plan_weigh(given, caps, o, out);
    contest c = {0};
    plan_options streamed = *o;
    streamed.weights = PLAN_STREAMED;
    rc r = choose(given, caps, o, &c);
    if (r == OK && !c.best) r = plan_weigh(given, caps, &streamed, &c.best);
    if (r != OK) {
        plan_free(c.best);
        return r;
    }
    *out = c.best;
    return OK;
}
