/* session.c - open what the settings name, run, close. */
#include "api/session.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

rc machine_open(const config *c, machine *out)
{
    *out = (machine){0};
    TRY_WHILE(kern_open((int)config_int(c, OPT_device_threads),
                        config_text(c, OPT_device_isa), &out->k),
              "opening the host's kernels");
    rc e = dev_open(config_text(c, OPT_device_uri), out->k, &out->dev);
    if (e) machine_close(out);
    return e;
}

void machine_close(machine *m)
{
    if (m->dev) dev_close(m->dev);
    if (m->k) kern_close(m->k);
    *m = (machine){0};
}

static rc data_dir_of(const config *c, arena *mem, const char *cache_root,
                      const char **dir)
{
    const char *text = config_text(c, OPT_data_text);
    *dir = config_text(c, OPT_data_dir);
    if (**dir) return OK;
    if (!*text) {
        err_fail(E_CONFIG,
                 "nothing to learn from: neither data.text nor data.dir is set");
        return err_hint(E_CONFIG, "add data.text=FILE");
    }
    data_options o;
    config_data(c, &o);
    return data_cached(1, &text, &o, cache_root, mem, dir);
}

rc session_prepare(const config *c, arena *mem, const char *cache_root, prepared *out)
{
    TRY(data_dir_of(c, mem, cache_root, &out->dir));
    dataset *d;
    TRY(dataset_open(out->dir, &d));
    data_facts facts;
    dataset_facts(d, &facts);
    dataset_close(d);
    config_model(c, &out->model);
    if (*config_text(c, OPT_model_init)) {
        const char *init;
        TRY(session_model_dir(mem, config_text(c, OPT_model_init), &init));
        TRY(model_config_load(init, &out->model));
        if (config_is_set(c, OPT_model_seq))
            out->model.seq = (int)config_int(c, OPT_model_seq);
    }
    if (!out->model.vocab) out->model.vocab = facts.vocab;
    if (out->model.vocab < facts.vocab)
        return err_fail(E_CONFIG, "model.vocab is %d but the tokenizer has %d ids",
                        out->model.vocab, facts.vocab);
    return model_config_finish(&out->model);
}

/* A run keeps its data, model and order. Settings that were not given this
 * time come from the run. */
static rc against_saved(const config *c, const char *run_dir, config **out)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/recipe.conf", run_dir);
    TRY(config_copy(c, out));
    if (!file_exists(path)) return OK;
    config *old;
    TRY(config_new(&old));
    rc e = config_read(old, path);
    for (int i = 0; !e && i < OPT_COUNT; i++)
        if (!config_is_set(c, (opt_id)i))
            e = config_set(*out, opt_at((opt_id)i)->name, config_text(old, (opt_id)i));
    const char *key = e ? NULL : config_conflict(old, *out);
    if (key) {
        e = err_fail(E_CONFIG, "setting '%s' may not change when going on with %s", key,
                     run_dir);
        err_hint(E_CONFIG, "take another name with -n NAME, or start over with --force");
    }
    config_free(old);
    return e;
}

/* runs/NAME -> runs/.data, where tokenised texts are kept. */
static const char *cache_beside(arena *mem, const char *run_dir)
{
    const char *slash = strrchr(run_dir, '/');
    return slash ? arena_printf(mem, "%.*s/.data", (int)(slash - run_dir), run_dir)
                 : ".data";
}

static rc train_with(const config *c, const session_run *r, arena *mem, machine *m,
                     train_result *out)
{
    prepared p;
    str recipe = {0};
    const char *cache = cache_beside(mem, r->run_dir), *init = NULL;
    if (!cache) return E_MEMORY;
    TRY(session_prepare(c, mem, cache, &p));
    if (*config_text(c, OPT_model_init))
        TRY(session_model_dir(mem, config_text(c, OPT_model_init), &init));
    TRY(machine_open(c, m));
    train_job job = {.model = p.model,
                     .init_dir = init,
                     .data_dir = p.dir,
                     .run_dir = r->run_dir,
                     .dev = m->dev,
                     .k = m->k,
                     .sink = r->sink,
                     .stop_after = r->stop_after,
                     .stop_minutes = r->stop_minutes,
                     .stop = r->stop};
    config_plan(c, &job.plan);
    TRY(config_train(c, &job.options));
    rc e = config_print(c, &recipe);
    job.recipe_text = str_text(&recipe);
    if (!e) e = train_run(&job, out);
    str_free(&recipe);
    return e;
}

rc session_train(const config *c, const session_run *r, train_result *out)
{
    arena *mem = arena_new();
    config *now = NULL;
    machine m = {0};
    *out = (train_result){.loss = NAN, .held_out = NAN, .nats_per_byte = NAN};
    rc e = mem ? against_saved(c, r->run_dir, &now) : E_MEMORY;
    if (!e) e = train_with(now, r, mem, &m, out);
    machine_close(&m);
    config_free(now);
    arena_free(mem);
    return e;
}

rc session_model_dir(arena *mem, const char *path, const char **out)
{
    char *config_path = file_join(mem, path, "config.json");
    if (!config_path) return E_MEMORY;
    *out = path;
    if (file_exists(config_path)) return OK;
    if (!file_is_dir(path)) {
        err_fail(E_IO, "no run or model at %s", path);
        return err_hint(
            E_IO, "`anneal runs ls` lists runs; a MODEL is a folder with config.json "
                  "and model.safetensors");
    }
    int64_t *steps;
    size_t n;
    TRY(checkpoint_list(mem, path, &steps, &n));
    for (size_t i = n; i-- > 0;) {
        train_state s;
        char *dir = checkpoint_dir(mem, path, steps[i]);
        if (!dir) return E_MEMORY;
        if (checkpoint_verify(dir, &s) == OK) return *out = dir, OK;
    }
    return err_fail(E_IO, "no complete checkpoint in %s", path);
}

/* The dataset a checkpoint was trained on: its run's recipe stands in the
 * folder above the step. */
static rc data_of_run(arena *mem, const char *dir, const char *cache_root,
                      const char **data)
{
    const char *slash = strrchr(dir, '/');
    char *path = slash ? arena_printf(mem, "%.*s/recipe.conf", (int)(slash - dir), dir)
                       : arena_text(mem, "recipe.conf");
    if (!path) return E_MEMORY;
    if (!file_exists(path)) {
        err_fail(E_USAGE,
                 "%s is no run's checkpoint, so it has no held-out text of its own", dir);
        return err_hint(E_USAGE, "name one with --text PATH");
    }
    config *run;
    TRY(config_new(&run));
    rc e = config_read(run, path);
    if (!e) e = data_dir_of(run, mem, cache_root, data);
    config_free(run);
    return e;
}

rc session_eval(const config *c, const char *path, const char *text,
                const char *cache_root, eval_result *out)
{
    arena *mem = arena_new();
    model *mo = NULL;
    machine m = {0};
    const char *dir = NULL, *data = NULL;
    rc e = mem ? session_model_dir(mem, path, &dir) : E_MEMORY;
    if (!e) e = model_load(dir, &mo);
    if (!e && text) {
        data_options o = {.held_out = 1,
                          .tokenizer_path = file_join(mem, dir, "tokenizer.json")};
        e = data_cached(1, &text, &o, cache_root, mem, &data);
    } else if (!e) e = data_of_run(mem, dir, cache_root, &data);
    if (!e) e = machine_open(c, &m);
    if (!e) e = train_eval(mo, data, m.dev, m.k, 0, out);
    machine_close(&m);
    model_free(mo);
    arena_free(mem);
    return e;
}
