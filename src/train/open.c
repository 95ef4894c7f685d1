/* open.c - everything a run needs before its first step: the folder and its
 * lock, the log, the data and the model.
 * What it was doing before is found by restore.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "train/internal.h"

static void fill_options(train_options *o)
{
    if (o->accum == 0) o->accum = 1;
    if (o->eps == 0) o->eps = 1e-8;
    if (o->loss_scale == 0) o->loss_scale = SCALE_START;
}

static rc check_options(const train_options *o)
{
    if (o->steps < 1)
        return err_fail(E_CONFIG, "train.steps is %lld, wanted at least 1",
                        (long long)o->steps);
    if (o->batch < 1)
        return err_fail(E_CONFIG, "train.batch is %d, wanted at least 1", o->batch);
    if (o->accum < 1)
        return err_fail(E_CONFIG, "train.accum is %d, wanted at least 1", o->accum);
    if (!(o->lr >= 0 && isfinite(o->lr)))
        return err_fail(E_CONFIG, "train.lr is %g, wanted a number not below 0", o->lr);
    if (!(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1))
        return err_fail(E_CONFIG,
                        "train.beta1 and train.beta2 are %g and %g, wanted 0 "
                        "to below 1",
                        o->beta1, o->beta2);
    if (!(o->loss_scale > 0 && o->loss_scale <= SCALE_MAX))
        return err_fail(E_CONFIG, "train.loss_scale is %g, wanted above 0, at most %d",
                        o->loss_scale, SCALE_MAX);
    return OK;
}

/* ---- the folder ---- */

static rc open_log(run *r, const char *path)
{
    file_map_ map = {0};
    bool torn = false;
    if (!r->taken && file_exists(path)) {
        TRY(file_map(path, &map));
        torn = map.n && map.p[map.n - 1] != '\n';
        file_unmap(&map);
    }
    TRY(file_append(path, &r->log));
    /* a killed run may have left half a line: what follows begins anew */
    return torn ? file_write(r->log, "\n", 1) : OK;
}

static rc save_recipe(const char *path, const char *text)
{
    char *had = NULL;
    size_t n = 0;
    if (!text) return OK;
    arena *mem = arena_new();
    if (!mem) return E_MEMORY;
    bool same = file_exists(path) && file_read(mem, path, 0, &had, &n) == OK &&
                n == strlen(text) && !memcmp(had, text, n);
    arena_free(mem);
    return same ? OK : file_replace(path, text, strlen(text));
}

/* Starting over: only what a run writes is removed, and only under its lock. */
static rc forget_run(const char *dir)
{
    char **names;
    size_t n = 0;
    arena *mem = arena_new();
    rc bad = mem ? file_list(mem, dir, &names, &n) : E_MEMORY;
    for (size_t i = 0; bad == OK && i < n; i++) {
        if (!str_starts(names[i], "step-") && !str_starts(names[i], ".new-") &&
            !str_starts(names[i], ".old-") && !str_starts(names[i], "bad-") &&
            strcmp(names[i], "events.jsonl"))
            continue;
        char *path = file_join(mem, dir, names[i]);
        bad = path ? file_remove_tree(path) : E_MEMORY;
    }
    arena_free(mem);
    return bad;
}

static rc lock_folder(run *r, str *path)
{
    const char *dir = r->job->run_dir;
    str_clear(path);
    str_addf(path, "%s/lock", dir);
    TRY(str_done(path));
    rc bad = file_lock(path->p, &r->lock);
    r->locked = bad == OK;
    if (bad != E_BUSY) return bad;
    err_fail(E_BUSY, "the run %s is in use by another training", dir);
    return err_hint(E_BUSY,
                    "wait for it, stop it, or give this one another name: -n NAME");
}

static rc newest_step(const char *dir, int64_t *out)
{
    int64_t *steps;
    size_t n = 0;
    arena *mem = arena_new();
    rc bad = mem ? OK : E_MEMORY;
    if (bad == OK && file_is_dir(dir)) bad = checkpoint_list(mem, dir, &steps, &n);
    *out = bad == OK && n ? steps[n - 1] : -1;
    arena_free(mem);
    return bad;
}

/* A run in memory holds no lock until it is first saved: another of its name may
 * have been, and is neither mixed with nor pruned. */
static rc check_ours(run *r)
{
    int64_t newest;
    if (!r->hold || r->anew) return OK;
    TRY(newest_step(r->job->run_dir, &newest));
    if (newest == r->found_step) return OK;
    err_fail(E_BUSY, "%s holds another run: step %lld was not there when this one began",
             r->job->run_dir, (long long)newest);
    return err_hint(E_BUSY, "move that folder away, and ask again");
}

static rc fill_folder(run *r, str *path)
{
    const char *dir = r->job->run_dir;
    if (!r->locked) {
        TRY(file_make_dirs(dir));
        TRY(lock_folder(r, path));
        rc bad = check_ours(r);
        if (bad != OK) {
            file_unlock(&r->lock);
            r->locked = false;
            return bad;
        }
        if (r->anew) TRY(forget_run(dir));
        r->anew = false;
        str_clear(path);
        str_addf(path, "%s/recipe.conf", dir);
        TRY(str_done(path));
        TRY(save_recipe(path->p, r->job->recipe_text));
    }
    str_clear(path);
    str_addf(path, "%s/events.jsonl", dir);
    TRY(str_done(path));
    return open_log(r, path->p);
}

rc run_folder(run *r)
{
    str path = {0};
    if (r->log) return OK;
    rc bad = fill_folder(r, &path);
    str_free(&path);
    return bad;
}

/* ---- model and data ---- */

/* model.init: what the recipe leaves open comes from the MODEL. */
static rc config_from(const char *dir, model_config *c)
{
    model_config from;
    TRY(model_config_load(dir, &from));
    if (!c->layers) c->layers = from.layers;
    if (!c->dim) c->dim = from.dim;
    if (!c->hidden) c->hidden = from.hidden;
    if (!c->heads) c->heads = from.heads;
    if (!c->kv_heads) c->kv_heads = from.kv_heads;
    if (!c->head_dim) c->head_dim = from.head_dim;
    if (!c->seq) c->seq = from.seq;
    if (!c->vocab) c->vocab = from.vocab;
    if (c->rope_theta == 0) c->rope_theta = from.rope_theta;
    if (c->norm_eps == 0) c->norm_eps = from.norm_eps;
    c->tied = from.tied;
    c->qk_norm = from.qk_norm;
    return OK;
}

/* The saved model says which token ends a text. */
static rc end_of_texts(const dataset *data, model_config *c)
{
    tokenizer *t;
    TRY(tokenizer_open(dataset_tokenizer_path(data), &t));
    if (tokenizer_end(t) >= 0) c->end = tokenizer_end(t) + 1;
    tokenizer_free(t);
    return OK;
}

static rc open_data(run *r, model_config *c)
{
    TRY(dataset_open(r->job->data_dir, &r->data));
    dataset_facts(r->data, &r->facts);
    TRY(end_of_texts(r->data, c));
    if (!c->vocab) c->vocab = r->facts.vocab;
    if (r->facts.vocab > c->vocab) {
        err_fail(E_CONFIG, "model.vocab is %d, the data has %d token ids", c->vocab,
                 r->facts.vocab);
        if (r->job->init_dir)
            return err_hint(E_CONFIG, "take the model's own tokenizer: data.tokenizer=%s",
                            r->job->init_dir);
        return err_hint(E_CONFIG, "model.vocab=%d, or leave it out", r->facts.vocab);
    }
    return OK;
}

/* Everything that can be wrong with what was asked for, found before the first
 * byte is written: a failed start leaves no folder behind. */
static rc check_job(run *r, model_config *c)
{
    TRY(check_options(&r->o));
    TRY(policy_check(&r->job->plan, &r->o));
    *c = r->job->model;
    if (r->job->init_dir) TRY(config_from(r->job->init_dir, c));
    TRY(open_data(r, c));
    TRY(model_config_finish(c));
    if (dataset_windows(r->data, c->seq)) return OK;
    err_fail(E_CONFIG, "the text has %llu tokens to train on, one window wants %d",
             (unsigned long long)r->facts.tokens, c->seq + 1);
    return err_hint(E_CONFIG, "give more text, or a shorter model.seq");
}

static rc take_heap(run *r)
{
    size_t n = mem_mul(r->mo->n_floats, sizeof(float));
    r->mo->weights = mem_take(n);
    r->m = mem_take(n);
    r->v = mem_take(n);
    if (policy_rest(r)) r->rest = mem_take(n);
    bool all = r->mo->weights && r->m && r->v && (r->rest || !policy_rest(r));
    return all ? OK : E_MEMORY;
}

static rc take_memory(run *r, bool restarts)
{
    size_t columns = (size_t)r->o.batch * (size_t)r->mo->config.seq;
    r->ids = mem_take(mem_mul(columns, sizeof(int32_t)));
    r->targets = mem_take(mem_mul(columns, sizeof(int32_t)));
    if (!r->ids || !r->targets) return E_MEMORY;
    TRY(window_new(r->step.plan, &r->window));
    TRY(counts_open(r));
    if (r->job->taken) return OK; /* it brings its own */
    return restarts ? hand_arrays(r) : take_heap(r);
}

/* Where it stands: as it was handed over, else as the newest checkpoint says. */
static rc restore(run *r)
{
    if (r->job->taken) return hand_take(r);
    if (!r->hold) {
        TRY(run_folder(r));
        TRY(checkpoint_prune(r->job->run_dir, 0, 0, -1)); /* of a killed save */
    } else TRY(newest_step(r->job->run_dir, &r->found_step));
    TRY(run_restore(r));
    r->began_step = r->image_step = r->s.step;
    return OK;
}

rc run_open(const train_job *job, run *r)
{
    double now = clock_ms();
    *r = (run){.job = job,
               .o = job->options,
               .anew = job->anew,
               .hold = job->options.memory_only,
               .saved_step = -1,
               .found_step = -1,
               .good_step = -1,
               .lock = {-1},
               .arrays = {.fd = -1},
               .began_ms = now,
               .image_ms = now};
    model_config c;
    bool restarts;
    fill_options(&r->o);
    TRY(check_job(r, &c));
    TRY(dev_caps_of(job->dev, &r->caps));
    TRY(session_layout(&c, MODEL_GRAD, r->o.batch, c.seq, &job->plan, job->dev,
                       &r->step));
    TRY(model_new_bare(&c, &r->mo));
    TRY(budget_check(r, &restarts));
    TRY(take_memory(r, restarts));
    return restore(r);
}

rc train_check(const train_job *job, model_config *out)
{
    run r = {.job = job, .o = job->options, .lock = {-1}, .arrays = {.fd = -1}};
    fill_options(&r.o);
    rc bad = check_job(&r, out);
    run_close(&r);
    return bad;
}

void run_close(run *r)
{
    window_free(r->window);
    session_close(&r->held);
    session_unload(&r->step); /* the plan outlives what stays by it */
    resident_close(r->resident);
    session_close(&r->step);
    if (r->data) dataset_close(r->data);
    if (r->arrays.fd >= 0) {
        r->mo->weights = r->m = r->v = r->rest = NULL;
        shared_close(&r->arrays);
    }
    model_free(r->mo);
    mem_drop(r->m);
    mem_drop(r->v);
    mem_drop(r->rest);
    mem_drop(r->grads);
    mem_drop(r->kinds);
    mem_drop(r->ids);
    mem_drop(r->targets);
    if (r->log) file_drop(r->log);
    if (r->locked) file_unlock(&r->lock);
    str_free(&r->kept);
    event_free(&r->event);
}
