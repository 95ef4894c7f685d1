/* run.c - the loop: step, evaluate, save, until the end, a limit, a stop or an
 * error. However it ends, the last thing said is an event, and unless the
 * numbers or the disk failed, the last step has a checkpoint: also when the
 * device was lost, since the masters are the host's. */
#include <math.h>
#include "base/clock.h"
#include "train/internal.h"

static bool every(int64_t step, int64_t n)
{
    return n > 0 && step % n == 0;
}

static rc save(run *r)
{
    train_state *s = &r->s;
    if (r->saved_step == s->step) return OK;
    bool fresh = s->held_out_step == s->step && isfinite(s->held_out);
    if (fresh && !(s->best_held_out <= s->held_out)) {
        s->best_held_out = s->held_out;
        s->best_step = s->step;
    }
    s->wall_s = run_seconds(r);
    s->window = NULL;
    if (r->window) TRY(window_save(r->window, &s->window));
    rc bad = checkpoint_save(r->job->run_dir, r->mo, r->m, r->v, s,
                             dataset_tokenizer_path(r->data));
    if (bad != OK && r->saved_step >= 0)
        err_hint(bad,
                 "%s/step-%08lld is complete; make room and the same command goes on",
                 r->job->run_dir, (long long)r->saved_step);
    TRY(bad);
    r->saved_step = s->step;
    arena *mem = arena_new();
    char *dir = mem ? checkpoint_dir(mem, r->job->run_dir, s->step) : NULL;
    if (dir) report_checkpoint(r, dir);
    arena_free(mem);
    /* Until these weights are known to be good, one that is stays beside them. */
    int keep = r->o.keep == 1 && r->good_step >= 0 ? 2 : r->o.keep;
    return checkpoint_prune(r->job->run_dir, keep, s->step, s->best_step);
}

rc run_saved_is_good(run *r)
{
    if (r->good_step == r->saved_step) return OK;
    r->good_step = r->saved_step;
    return checkpoint_prune(r->job->run_dir, r->o.keep, r->saved_step, r->s.best_step);
}

/* The weights as they are gave a loss that is no number: nothing to keep. */
static bool spoilt(const run *r)
{
    return r->overflows && !isfinite(r->s.loss);
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

static rc one_round(run *r)
{
    TRY(run_step(r));
    int64_t step = r->s.step;
    if (step < r->o.steps && every(step, r->o.eval_every)) TRY(evaluate(r));
    if (step < r->o.steps && !r->o.memory_only && !spoilt(r) &&
        every(step, r->o.checkpoint_every))
        TRY(save(r));
    if (r->log_error.code == OK) return OK;
    save(r);
    return err_restore(&r->log_error);
}

/* The last update may be the one that spoilt the weights. */
static rc finish_whole(run *r, train_result *out)
{
    TRY(evaluate(r));
    bool held = r->s.held_out_step == r->s.step;
    if (held ? !isfinite(r->s.held_out) : spoilt(r)) return run_spoilt(r);
    TRY(save(r));
    if (held) TRY(run_saved_is_good(r));
    report_done(r);
    out->finished = true;
    return OK;
}

static rc finish(run *r, train_result *out)
{
    if (asked_to_stop(r) && r->s.step < r->o.steps) {
        TRY(save(r));
        report_note(r, "stopped at step %lld; the same command goes on",
                    (long long)r->s.step);
        out->stopped = true;
        return err_fail(E_STOPPED, "stopped at step %lld of %lld, saved",
                        (long long)r->s.step, (long long)r->o.steps);
    }
    if (r->s.step >= r->o.steps) return finish_whole(r, out);
    TRY(save(r));
    report_note(r,
                "stopped at step %lld by a limit of this call; the same command goes on",
                (long long)r->s.step);
    out->stopped = true;
    return OK;
}

/* A device that was lost in the last evaluation leaves it to be made. */
static bool evaluated(const run *r)
{
    return r->s.held_out_step == r->s.step ||
           !dataset_held_windows(r->data, r->mo->config.seq);
}

static rc go(run *r, train_result *out)
{
    if (r->s.step >= r->o.steps && evaluated(r)) {
        report_note(r, "the run is finished: step %lld of %lld", (long long)r->s.step,
                    (long long)r->o.steps);
        report_done(r);
        out->finished = true;
        return OK;
    }
    TRY(run_open_device(r));
    report_start(r);
    report_doubts(r);
    while (r->s.step < r->o.steps && !asked_to_stop(r) && !limit_reached(r))
        TRY(one_round(r));
    if (r->saved_step == r->o.steps && !evaluated(r)) r->saved_step = -1; /* with it */
    return finish(r, out);
}

/* The device failed, the run did not: keep what was trained. */
static rc keep_last(run *r, rc bad)
{
    bool lost = err_exit(bad) == err_exit(E_DEVICE) || bad == E_MEMORY;
    if (!lost || r->s.step <= r->began_step || r->saved_step == r->s.step || spoilt(r))
        return bad;
    err_saved why;
    err_save(bad, &why);
    rc kept = save(r);
    bad = err_restore(&why);
    if (kept != OK) return bad;
    return err_hint(bad, "step %lld is saved; the same command goes on",
                    (long long)r->s.step);
}

static void fill_result(const run *r, train_result *out)
{
    out->step = r->s.step;
    out->loss = r->s.loss;
    out->held_out = r->s.held_out;
    out->nats_per_byte = r->s.nats_per_byte;
    out->tokens_per_s = r->step_ms > 0 ? r->tokens / (r->step_ms / 1000) : 0;
}

rc train_run(const train_job *job, train_result *out)
{
    run r;
    *out = (train_result){0};
    rc bad = run_open(job, &r);
    if (bad == OK) {
        bad = go(&r, out);
        if (bad != OK) bad = keep_last(&r, bad);
    }
    err_saved why; /* outlives what is said while the rest is put away */
    if (bad != OK) err_save(bad, &why);
    if (bad != OK && bad != E_STOPPED && r.log) report_failed(&r, err_text());
    fill_result(&r, out);
    run_close(&r);
    return bad == OK ? OK : err_restore(&why);
}
