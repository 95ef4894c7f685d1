/* budget.c - compiles and program slots.
 *
 * A process may compile only so many programs, and unloading one gives no
 * compile back; only so many are loaded at a time. So what a step needs and what
 * an evaluation needs are loaded when they are first used, and before they are
 * it is known how many compiles that takes:
 *
 *   more than a process gets   refused by the planner, before the run begins
 *   more than are left         restart in memory: another image has all of them
 *   more slots than are free   the other of the two is unloaded, which is the one
 *                              that was used longest ago
 *
 * Weights that are baked (policy.c) take compiles at every update: a step for
 * which too few are left fails with E_BUDGET before it has done anything, and is
 * the first of the next image.
 *
 * Compiles and slots are the device's own readings, not our count. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "train/internal.h"

/* Quick restarts exhaust the system's compile service (slavko, ANEForge). */
#define CHIP_PAUSE_S 2.0
enum { STUCK = 2, LOOK_EVERY_US = 10000 };

static int left(const run *r, int max, int reading)
{
    dev_sample now;
    if (!max || dev_sample_of(r->job->dev, &now) != OK || !(now.valid & 1u << reading))
        return INT_MAX;
    return now.value[reading] < max ? max - (int)now.value[reading] : 0;
}

/* ---- before the run begins ---- */

static bool evaluates(const run *r)
{
    return dataset_held_windows(r->data, r->mo->config.seq) > 0;
}

/* A run that cannot restart must have room for both in one process. */
static rc both_fit(run *r)
{
    int max = r->caps.compiles_max, loads = r->step.plan->loads;
    if (policy_of(r) == PLAN_BAKED) {
        TRY(held_layout(r, &r->mo->config));
        return policy_fits(&r->step, &r->held);
    }
    /* evaluating takes no more programs than forward and backward do */
    if (!max || loads <= max - loads || !evaluates(r)) return OK;
    TRY(held_layout(r, &r->mo->config));
    int held = r->held.plan->loads;
    if (loads + held <= max) return OK;
    err_fail(E_BUDGET,
             "a step has %d programs to compile and an evaluation %d, and %s lets a "
             "process compile %d",
             loads, held, r->caps.uri, max);
    return err_hint(E_BUDGET,
                    "`anneal train` restarts itself in memory; a program that "
                    "cannot wants compiles=%d",
                    loads + held);
}

/* Each of them in a process of its own. */
static rc each_fits(run *r, bool *restarts)
{
    int max = r->caps.compiles_max, loads = r->step.plan->loads;
    TRY(policy_fits(&r->step, NULL));
    *restarts = r->o.restart_every > 0 || (max && r->step.plan->rebakes > 0);
    if (!max || loads <= max - loads || !evaluates(r)) return OK;
    TRY(held_layout(r, &r->mo->config));
    *restarts |= loads + r->held.plan->loads > max;
    return OK;
}

rc budget_check(run *r, bool *restarts)
{
    *restarts = false;
    return r->job->may_restart ? each_fits(r, restarts) : both_fit(r);
}

/* ---- restarting ---- */

static bool stop_asked(const run *r)
{
    return r->job->stop && *r->job->stop;
}

/* At least so long after this image began. */
static rc pace(run *r)
{
    double s = r->o.restart_pause > 0 ? r->o.restart_pause
               : r->caps.hardware     ? CHIP_PAUSE_S
                                      : 0;
    while (clock_ms() - r->image_ms < 1e3 * s) {
        if (stop_asked(r)) return err_fail(E_STOPPED, "stopped before a restart");
        usleep(LOOK_EVERY_US);
        run_serve(r);
    }
    return OK;
}

rc run_restart(run *r, const char *why)
{
    if (!r->job->may_restart) return OK;
    if (stop_asked(r)) return err_fail(E_STOPPED, "stopped instead of a restart");
    bool progress = r->s.step > r->image_step || r->evaluated;
    if (!progress && r->stuck >= STUCK) {
        err_fail(E_BUDGET, "%d restarts in memory brought nothing at step %lld: %s",
                 r->stuck, (long long)r->s.step, why);
        return err_hint(E_BUDGET, "the device compiles fewer programs than it says: give "
                                  "compiles=N what it really does");
    }
    TRY(pace(r));
    r->stuck = progress ? 1 : r->stuck + 1;
    return err_fail(E_RESTART, "%s", why);
}

/* ---- loading ---- */

static void drop_step(run *r)
{
    session_unload(&r->step);
    resident_close(r->resident); /* after what uses its surfaces */
    r->resident = NULL;
}

rc budget_unload_step(run *r)
{
    if (r->resident) TRY(resident_pull(r->resident));
    drop_step(r);
    return OK;
}

static rc load(run *r, session *s, session *other, float *grads, const char *what)
{
    int loads = s->plan->loads, compiles = left(r, r->caps.compiles_max, DEV_LOADS);
    char why[160];
    if (compiles < loads) {
        snprintf(why, sizeof why, "%s wants %d compiles, of %d this process has %d left",
                 what, loads, r->caps.compiles_max, compiles);
        TRY(run_restart(r, why));
    }
    int slots = loads + (s->plan->rebakes > 0); /* one is made beside the old */
    if (left(r, r->caps.programs_max, DEV_LOADED) < slots) {
        if (other == &r->step) TRY(budget_unload_step(r));
        else session_unload(other);
    }
    return session_load(s, r->mo, r->job->dev, r->job->k, grads);
}

rc budget_step(run *r)
{
    if (r->step.exec) return OK;
    if (!r->grads) r->grads = mem_take(mem_mul(r->mo->n_floats, sizeof(float)));
    if (!r->grads) return E_MEMORY;
    /* Baked weights use up the compiles: what evaluates is compiled before, where
     * no other image will have any. */
    if (policy_of(r) == PLAN_BAKED && !r->job->may_restart && r->held.plan)
        TRY(budget_held(r));
    rc bad = load(r, &r->step, &r->held, r->grads, "a step");
    if (bad == OK && policy_rest(r)) bad = resident_open(r);
    if (bad == OK && r->window)
        bad = exec_window(r->step.exec, window_factors(r->window), true);
    if (bad != OK) drop_step(r); /* the host has all of it still */
    return bad;
}

rc budget_held(run *r)
{
    if (r->held.exec) return exec_stage(r->held.exec);
    if (!r->held.plan) TRY(held_layout(r, &r->mo->config));
    rc bad = load(r, &r->held, &r->step, NULL, "an evaluation");
    if (bad != OK) session_unload(&r->held);
    return bad;
}
