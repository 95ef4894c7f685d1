/* restore.c - where a run stood.
 *
 * Going on means: from the newest checkpoint whose files hash to what its
 * state.json says. A damaged one is told and passed over. What would silently
 * make a different run of it (another model, data, seed or batch) is refused
 * by name; what a user may change on the way is told. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "train/internal.h"
#include "train/state.h"

static rc same(const char *key, int64_t had, int64_t wanted)
{
    if (had == wanted) return OK;
    err_fail(E_CONFIG, "%s was %lld and is now %lld", key, (long long)had,
             (long long)wanted);
    return err_hint(E_CONFIG, "a run keeps its model, data, seed and batch; give another "
                              "name for a new run: -n NAME");
}

static rc same_model(const model_config *had, const model_config *now)
{
    TRY(same("model.layers", had->layers, now->layers));
    TRY(same("model.dim", had->dim, now->dim));
    TRY(same("model.hidden", had->hidden, now->hidden));
    TRY(same("model.heads", had->heads, now->heads));
    TRY(same("model.kv_heads", had->kv_heads, now->kv_heads));
    TRY(same("model.head_dim", had->head_dim, now->head_dim));
    TRY(same("model.seq", had->seq, now->seq));
    TRY(same("model.vocab", had->vocab, now->vocab));
    TRY(same("model.tied", had->tied, now->tied));
    TRY(same("model.qk_norm", had->qk_norm, now->qk_norm));
    if (had->rope_theta != now->rope_theta)
        return err_fail(E_CONFIG, "model.rope_theta was %g and is now %g",
                        had->rope_theta, now->rope_theta);
    if (had->norm_eps != now->norm_eps)
        return err_fail(E_CONFIG, "model.norm_eps was %g and is now %g", had->norm_eps,
                        now->norm_eps);
    return OK;
}

static void begin_anew(run *r)
{
    r->s = (train_state){.loss_scale = r->o.loss_scale,
                         .loss = (double)NAN,
                         .held_out = (double)NAN,
                         .nats_per_byte = (double)NAN,
                         .held_out_step = -1,
                         .best_held_out = (double)NAN,
                         .best_step = -1,
                         .data_checksum = dataset_checksum(r->data),
                         .seed = r->o.seed,
                         .batch = r->o.batch,
                         .accum = r->o.accum};
}

static rc check_going_on(run *r, const char *dir, const train_state *s)
{
    model_config had;
    TRY(model_config_load(dir, &had));
    TRY(same_model(&had, &r->mo->config));
    TRY(same("train.batch", s->batch, r->o.batch));
    TRY(same(policy_of(r) == PLAN_BAKED ? "train.accum times plan.bake_every"
                                        : "train.accum",
             s->accum, r->o.accum));
    TRY(same("train.seed", (int64_t)s->seed, (int64_t)r->o.seed));
    if (s->data_checksum == dataset_checksum(r->data)) return OK;
    err_fail(E_CONFIG, "the data or its tokenizer is not what %s was trained on",
             r->job->run_dir);
    return err_hint(E_CONFIG, "put the text back, or give a new run a name: -n NAME");
}

/* What the caller's devices are called, for state.json and the notes. */
static rc describe_device(run *r)
{
    dev_caps caps;
    TRY(dev_caps_of(r->job->dev, &caps));
    snprintf(r->s.device, sizeof r->s.device, "%s", caps.uri);
    snprintf(r->s.isa, sizeof r->s.isa, "%s", kern_isa(r->job->k));
    const char *blas = kern_blas(r->job->k);
    snprintf(r->s.blas, sizeof r->s.blas, "%s", blas ? blas : "");
    r->s.threads = kern_threads(r->job->k);
    plan_weights w = policy_of(r);
    snprintf(r->s.weights, sizeof r->s.weights, "%s",
             w == PLAN_STREAMED ? "" : policy_name(w));
    r->s.steps = r->o.steps;
    r->s.lr = r->o.lr;
    return OK;
}

static void note_changes(run *r, const train_state *had)
{
    const train_state *now = &r->s;
    if (strcmp(had->device, now->device))
        report_note(r, "device was %s and is now %s", had->device, now->device);
    if (strcmp(had->isa, now->isa))
        report_note(r, "instruction set was %s and is now %s", had->isa, now->isa);
    if (strcmp(had->blas, now->blas))
        report_note(r, "the host's BLAS was %s and is now %s",
                    *had->blas ? had->blas : "own", *now->blas ? now->blas : "own");
    if (strcmp(had->weights, now->weights))
        report_note(r, "plan.weights was %s and is now %s",
                    *had->weights ? had->weights : policy_name(PLAN_STREAMED),
                    *now->weights ? now->weights : policy_name(PLAN_STREAMED));
    if (had->threads != now->threads)
        report_note(r, "device.threads was %d and is now %d", had->threads, now->threads);
    if (had->steps != now->steps)
        report_note(r, "train.steps was %lld and is now %lld", (long long)had->steps,
                    (long long)now->steps);
    if (had->lr != now->lr)
        report_note(r, "train.lr was %g and is now %g", had->lr, now->lr);
}

/* The factors go on too. */
static rc restore_window(run *r, const char *dir)
{
    char *text;
    arena *mem = arena_new();
    rc bad = mem ? checkpoint_window(mem, dir, &text) : E_MEMORY;
    if (bad == OK && text && r->window) bad = window_load(r->window, text);
    else if (bad == OK && (text || r->window))
        report_note(r, "plan.window was %s and is now %s", text ? "on" : "off",
                    text ? "off" : "on");
    arena_free(mem);
    return bad;
}

rc run_go_on(run *r, const train_state *had)
{
    TRY(same("train.batch", had->batch, r->o.batch));
    TRY(same("train.accum", had->accum, r->o.accum));
    TRY(same("train.seed", (int64_t)had->seed, (int64_t)r->o.seed));
    if (had->data_checksum != dataset_checksum(r->data))
        return err_fail(E_CONFIG, "the data in %s has changed", r->job->data_dir);
    r->s = *had;
    TRY(describe_device(r));
    report_taken(r);
    note_changes(r, had);
    return OK;
}

static rc go_on_from(run *r, const char *dir)
{
    train_state had;
    TRY(checkpoint_verify(dir, &had));
    TRY(check_going_on(r, dir, &had));
    TRY(checkpoint_read(dir, r->mo, r->m, r->v));
    if (r->rest) TRY(checkpoint_rest(dir, r->mo, r->rest));
    r->s = had;
    r->wall_before_s = had.wall_s;
    r->saved_step = had.step;
    r->good_step = isfinite(had.loss) ? had.step : -1;
    if (!r->o.scale_dynamic) r->s.loss_scale = r->o.loss_scale;
    TRY(describe_device(r));
    report_restart(r, dir);
    note_changes(r, &had);
    return restore_window(r, dir);
}

static rc first_weights(run *r)
{
    begin_anew(r);
    TRY(describe_device(r));
    if (r->job->init_dir) return model_load_weights(r->mo, r->job->init_dir);
    model_init(r->mo, r->o.seed);
    return OK;
}

/* Newest first; one that is damaged is told and passed over. */
static rc newest_whole(run *r, arena *mem)
{
    int64_t *steps;
    size_t n;
    if (r->anew || !file_is_dir(r->job->run_dir)) return first_weights(r);
    TRY(checkpoint_list(mem, r->job->run_dir, &steps, &n));
    for (size_t i = n; i-- > 0;) {
        char *dir = checkpoint_dir(mem, r->job->run_dir, steps[i]);
        if (!dir) return E_MEMORY;
        rc bad = go_on_from(r, dir);
        if (bad != E_FORMAT && bad != E_IO) return bad;
        report_note(r, "%s cannot be used: %s", dir, err_first());
    }
    if (!n) return first_weights(r);
    err_fail(E_FORMAT, "none of the %zu checkpoints in %s is whole", n, r->job->run_dir);
    return err_hint(E_FORMAT, "--force starts the run anew");
}

rc run_restore(run *r)
{
    arena *mem = arena_new();
    rc bad = mem ? newest_whole(r, mem) : E_MEMORY;
    arena_free(mem);
    return bad;
}
