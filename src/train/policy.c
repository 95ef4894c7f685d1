/* policy.c - what a weight policy (plan.weights) asks of a run.
 *
 * Baked weights are constants of programs, and compiling programs costs far
 * more than running them. So one set serves plan.bake_every passes. Passes with
 * weights of another update would give gradients of a model that is gone;
 * instead the gradients of these passes are summed, and make one update: a set
 * is compiled once for each update, and plan.bake_every is accumulation, times
 * train.accum.
 *
 * Resident weights are updated on the engine from the gradients of one pass,
 * which nothing there adds up. */
#include "train/internal.h"

enum { PASSES_MAX = 1 << 20 };

const char *policy_name(plan_weights w)
{
    static const char *const names[] = {"streamed", "baked", "resident", "auto"};
    return names[w];
}

plan_weights policy_of(const run *r)
{
    return r->step.plan->options.weights;
}

bool policy_rest(const run *r)
{
    return policy_of(r) == PLAN_RESIDENT;
}

rc policy_check(const plan_options *p, train_options *o)
{
    if (p->weights == PLAN_RESIDENT && o->accum > 1) {
        err_fail(E_CONFIG,
                 "train.accum is %d, but resident weights are updated after each pass",
                 o->accum);
        return err_hint(E_CONFIG, "take a larger train.batch, or plan.weights=streamed");
    }
    if (p->weights != PLAN_BAKED && p->bake_every > 1) {
        err_fail(E_CONFIG, "plan.bake_every is %d, but plan.weights is %s", p->bake_every,
                 policy_name(p->weights));
        return err_hint(E_CONFIG, "plan.weights=baked, or train.accum for the same "
                                  "passes an update");
    }
    if (p->weights != PLAN_BAKED) return OK;
    int every = p->bake_every ? p->bake_every : 1;
    if (every < 1)
        return err_fail(E_CONFIG, "plan.bake_every is %d, wanted at least 1", every);
    if (every > o->steps) {
        err_fail(E_CONFIG, "plan.bake_every is %d, more than the %lld updates of the run",
                 every, (long long)o->steps);
        return err_hint(E_CONFIG,
                        "each update takes plan.bake_every passes: plan.bake_every=1");
    }
    if ((int64_t)every * o->accum > PASSES_MAX)
        return err_fail(E_CONFIG,
                        "train.accum times plan.bake_every is %lld passes an update, "
                        "wanted at most %d",
                        (long long)every * o->accum, (int)PASSES_MAX);
    o->accum *= every;
    return OK;
}

/* Both the programs that train and those that evaluate must fit, or the first
 * evaluation would end the run. */
rc policy_fits(const session *step, const session *held)
{
    const dev_caps *c = &step->plan->caps;
    int step_loads = step->plan->loads, held_loads = held ? held->plan->loads : 0;
    int all = step_loads + held_loads;
    int slots = all + (step->plan->rebakes > 0);
    bool compiles = c->compiles_max && all > c->compiles_max;
    if (!compiles && !(c->programs_max && slots > c->programs_max)) return OK;
    err_fail(
        E_BUDGET,
        "rule '%s': plan.weights=%s needs %d programs to train and %d to evaluate, a "
        "process %s %d",
        compiles ? "compile_budget" : "program_slots",
        policy_name(step->plan->options.weights), step_loads, held_loads,
        compiles ? "compiles" : "holds", compiles ? c->compiles_max : c->programs_max);
    return err_hint(E_BUDGET, "plan.weights=streamed lets equal layers share programs");
}
