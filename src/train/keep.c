/* keep.c - the checkpoints of a run: at their time, at its end, or because
 * somebody asked. With memory_only a run has no folder until it is first asked;
 * its events wait in memory and go to the file with the checkpoint. */
#include <math.h>
#include "train/internal.h"

static void score(train_state *s)
{
    bool fresh = s->held_out_step == s->step && isfinite(s->held_out);
    if (!fresh || s->best_held_out <= s->held_out) return;
    s->best_held_out = s->held_out;
    s->best_step = s->step;
}

rc run_save(run *r)
{
    train_state *s = &r->s;
    if (r->saved_step == s->step) return run_log_flush(r);
    TRY(run_folder(r));
    score(s);
    s->wall_s = run_seconds(r);
    s->window = NULL;
    s->rest = r->rest;
    if (r->resident) TRY(resident_pull(r->resident));
    if (r->window) TRY(window_save(r->window, &s->window));
    rc bad = checkpoint_save(r->job->run_dir, r->mo, r->m, r->v, s,
                             dataset_tokenizer_path(r->data));
    if (bad != OK && r->saved_step >= 0)
        err_hint(bad,
                 "%s/step-%08lld is complete; make room and the same command goes on",
                 r->job->run_dir, (long long)r->saved_step);
    TRY(bad);
    r->saved_step = s->step;
    if (r->lost_lines)
        report_note(r, "%lld earlier events were more than could be kept",
                    (long long)r->lost_lines);
    r->lost_lines = 0;
    arena *mem = arena_new();
    char *dir = mem ? checkpoint_dir(mem, r->job->run_dir, s->step) : NULL;
    if (dir) report_checkpoint(r, dir);
    arena_free(mem);
    TRY(run_log_flush(r));
    /* Until these weights are known to be good, one that is stays beside them. */
    int keep = r->o.keep == 1 && r->good_step >= 0 ? 2 : r->o.keep;
    return checkpoint_prune(r->job->run_dir, keep, s->step, s->best_step);
}

rc run_keep(run *r)
{
    return r->o.memory_only && !r->o.save_end ? OK : run_save(r);
}

rc run_saved_is_good(run *r)
{
    if (r->good_step == r->saved_step) return OK;
    r->good_step = r->saved_step;
    if (!r->locked) return OK; /* memory_only: nothing of ours is there */
    return checkpoint_prune(r->job->run_dir, r->o.keep, r->saved_step, r->s.best_step);
}

bool run_spoilt_now(const run *r)
{
    return r->overflows && !isfinite(r->s.loss);
}

/* The run goes on whatever becomes of it. */
void run_serve(run *r)
{
    const train_ask *a = r->job->ask;
    if (!a || !a->asked(a->ctx)) return;
    rc bad = OK;
    if (run_spoilt_now(r))
        bad = err_fail(E_NUMERIC, "the loss is not finite at step %lld: nothing is saved",
                       (long long)r->s.step);
    if (bad == OK) bad = run_save(r);
    arena *mem = arena_new();
    char *dir = mem ? checkpoint_dir(mem, r->job->run_dir, r->s.step) : NULL;
    if (bad == OK && !dir) bad = E_MEMORY;
    if (bad != OK) report_note(r, "could not save as asked: %s", err_first());
    a->told(a->ctx, bad, bad == OK ? dir : err_first());
    arena_free(mem);
    err_clear();
}
