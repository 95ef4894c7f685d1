/* run.c - the loop: step, evaluate, save, until the end, a limit, a stop or an
 * error. However it ends, the last thing said is an event, and unless the
 * numbers or the disk failed, the last step has a checkpoint: also when the
 * device was lost, since the masters are the host's. */
#include <math.h>
#include <stdio.h>
#include "base/clock.h"
#include "train/internal.h"

static bool every(int64_t step, int64_t n)
{
    return n > 0 && step % n == 0;
}

static bool asked_to_stop(const run *r)
{
    return r->job->stop && *r->job->stop;
}

static bool limit_reached(const run *r)
{
    const train_job *j = r->job;
    if (j->stop_after > 0 && r->s.step - r->began_step >= j->stop_after) return true;
    return j->stop_minutes > 0 && clock_ms() - r->began_ms >= j->stop_minutes * 60000;
}

static rc evaluate(run *r)
{
    if (r->s.held_out_step == r->s.step) return OK;
    rc bad = run_evaluate(r);
    return bad == E_STOPPED ? OK : bad; /* the loop sees the stop itself */
}

/* What follows the update of a step; what of it is done is not done again. */
static rc end_round(run *r)
{
    int64_t step = r->s.step;
    if (step < r->o.steps && every(step, r->o.eval_every)) TRY(evaluate(r));
    if (step < r->o.steps && !r->o.memory_only && !run_spoilt_now(r) &&
        every(step, r->o.checkpoint_every))
        TRY(run_save(r));
    r->in_round = false;
    if (r->log_error.code == OK) return OK;
    run_keep(r);
    return err_restore(&r->log_error);
}

static rc one_round(run *r)
{
    int64_t before = r->s.step;
    rc bad = run_step(r);
    r->in_round = r->s.step > before;
    TRY(bad);
    return end_round(r);
}

/* Also when nothing is used up. */
static rc restart_due(run *r)
{
    int64_t n = r->o.restart_every;
    if (n <= 0 || r->s.step - r->image_step < n) return OK;
    return run_restart(r, "train.restart_every updates are made");
}

/* The last update may be the one that spoilt the weights. */
static rc finish_whole(run *r, train_result *out)
{
    TRY(evaluate(r));
    bool held = r->s.held_out_step == r->s.step;
    if (held ? !isfinite(r->s.held_out) : run_spoilt_now(r)) return run_spoilt(r);
    TRY(run_keep(r));
    if (held) TRY(run_saved_is_good(r));
    run_serve(r);
    report_done(r);
    out->finished = true;
    return run_keep(r);
}

static const char *how_kept(const run *r)
{
    return r->saved_step == r->s.step ? "the same command goes on"
                                      : "nothing is kept of it (train.memory_only)";
}

static rc finish(run *r, train_result *out)
{
    if (r->s.step >= r->o.steps) return finish_whole(r, out);
    TRY(run_keep(r));
    run_serve(r);
    out->stopped = true;
    if (asked_to_stop(r)) {
        report_note(r, "stopped at step %lld; %s", (long long)r->s.step, how_kept(r));
        return err_fail(E_STOPPED, "stopped at step %lld of %lld, %s",
                        (long long)r->s.step, (long long)r->o.steps,
                        r->saved_step == r->s.step ? "saved" : "not saved");
    }
    report_note(r, "stopped at step %lld by a limit of this call; %s",
                (long long)r->s.step, how_kept(r));
    return OK;
}

/* A device that was lost in the last evaluation leaves it to be made. */
static bool evaluated(const run *r)
{
    return r->s.held_out_step == r->s.step ||
           !dataset_held_windows(r->data, r->mo->config.seq);
}

static rc begin(run *r)
{
    if (r->taken) return r->in_round ? end_round(r) : OK;
    TRY(budget_step(r));
    report_start(r);
    report_doubts(r);
    if (r->caps.hardware && r->job->still_writes)
        report_note(r, "%s", r->job->still_writes);
    if (r->o.restart_every > 0 && !r->job->may_restart)
        report_note(r, "train.restart_every is for a program that can start itself "
                       "anew, and is passed over");
    return OK;
}

static rc loop(run *r)
{
    TRY(begin(r));
    while (r->s.step < r->o.steps && !asked_to_stop(r) && !limit_reached(r)) {
        run_serve(r);
        TRY(restart_due(r));
        TRY(one_round(r));
    }
    return OK;
}

static rc go(run *r, train_result *out)
{
    if (!r->taken && r->s.step >= r->o.steps && evaluated(r)) {
        report_note(r, "the run is finished: step %lld of %lld", (long long)r->s.step,
                    (long long)r->o.steps);
        report_done(r);
        out->finished = true;
        return OK;
    }
    rc bad = loop(r);
    if (bad != OK && bad != E_STOPPED) return bad;
    if (r->saved_step == r->o.steps && !evaluated(r)) r->saved_step = -1; /* with it */
    return finish(r, out);
}

/* The next image has all of what this one has used up. */
static rc in_next_image(run *r, rc bad, train_result *out)
{
    if (bad == E_BUDGET && r->job->may_restart) {
        char why[400];
        snprintf(why, sizeof why, "%s", err_first());
        bad = run_restart(r, why);
        if (bad == E_STOPPED) return finish(r, out);
    }
    return bad == E_RESTART ? hand_over(r, &out->handed) : bad;
}

/* The device failed, the run did not: keep what was trained. */
static rc keep_last(run *r, rc bad)
{
    bool lost = err_exit(bad) == err_exit(E_DEVICE) || bad == E_MEMORY;
    if (!lost || r->s.step <= r->began_step || r->saved_step == r->s.step ||
        run_spoilt_now(r))
        return bad;
    err_saved why;
    err_save(bad, &why);
    rc kept = run_keep(r);
    bad = err_restore(&why);
    if (kept != OK || r->saved_step != r->s.step) return bad;
    return err_hint(bad, "step %lld is saved; the same command goes on",
                    (long long)r->s.step);
}

static void fill_result(const run *r, train_result *out)
{
    out->step = r->s.step;
    out->saved_step = r->saved_step;
    out->loss = r->s.loss;
    out->held_out = r->s.held_out;
    out->nats_per_byte = r->s.nats_per_byte;
    out->tokens_per_s = r->step_ms > 0 ? r->tokens / (r->step_ms / 1000) : 0;
}

rc train_run(const train_job *job, train_result *out)
{
    run r;
    *out = (train_result){.saved_step = -1, .handed = -1};
    rc bad = run_open(job, &r);
    bool opened = bad == OK;
    if (opened) {
        bad = go(&r, out);
        if (bad == E_RESTART || bad == E_BUDGET) bad = in_next_image(&r, bad, out);
        if (bad != OK) bad = keep_last(&r, bad);
    }
    bool handed = out->handed >= 0;
    if (handed)
        bad = err_fail(E_RESTART, "handed over at step %lld", (long long)r.s.step);
    err_saved why; /* outlives what is said while the rest is put away */
    if (bad != OK) err_save(bad, &why);
    bool failed = bad != OK && bad != E_STOPPED && !handed;
    if (failed && (r.log || (r.hold && opened))) report_failed(&r, err_text());
    fill_result(&r, out);
    run_close(&r);
    return bad == OK ? OK : err_restore(&why);
}
