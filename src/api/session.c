/* session.c - open what the settings name: devices, models; evaluate. */
#include "api/session.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* The program around us may find out about a chip before `auto` decides, and is
 * told what it decided. */
static rc open_uri(const config *c, const char *uri, bool quiet, machine *out)
{
    const char *state = config_text(c, OPT_device_state);
    const machine_host *host = config_host_of(c);
    char chip[512];
    dev_caps caps;
    if (!*state) state = NULL;
    bool told = host && dev_auto_chip(uri, chip, sizeof chip);
    if (told && host->before_auto && state && !quiet)
        TRY(host->before_auto(c, chip, state, host->ctx));
    TRY(dev_open_at(uri, out->k, state, &out->dev));
    if (!told || !host->after_auto) return OK;
    TRY(dev_caps_of(out->dev, &caps));
    host->after_auto(chip, caps.uri, dev_why(out->dev), host->ctx);
    return OK;
}

static rc open_device(const config *c, machine *out)
{
    const char *uri = config_text(c, OPT_device_uri);
    if (!config_bool(c, OPT_train_memory_only)) return open_uri(c, uri, false, out);
    str silent = {0};
    rc r = dev_quiet_uri(uri, &silent, &out->still_writes);
    if (r == OK) r = open_uri(c, silent.p, true, out);
    str_free(&silent);
    return r;
}

rc machine_open(const config *c, machine *out)
{
    *out = (machine){0};
    TRY_WHILE(kern_open((int)config_int(c, OPT_device_threads),
                        config_text(c, OPT_device_isa), &out->k),
              "opening the host's kernels");
    const char *blas = config_text(c, OPT_device_blas);
    rc e = strcmp(blas, "auto") ? kern_use_blas(out->k, blas, NULL) : OK;
    if (!e) e = open_device(c, out);
    if (e) machine_close(out);
    return e;
}

void machine_close(machine *m)
{
    if (m->dev) dev_close(m->dev);
    if (m->k) kern_close(m->k);
    *m = (machine){0};
}

static rc not_there(const char *path)
{
    if (file_is_dir(path))
        err_fail(E_IO, "%s is neither a run nor a model: it has no config.json", path);
    else err_fail(E_IO, "no run or model at %s", path);
    return err_hint(E_IO, "`anneal runs ls` lists runs; a MODEL is a folder with "
                          "config.json and model.safetensors");
}

/* The newest checkpoint that is whole; what is passed over is told. */
static rc newest_whole(arena *mem, const char *run, const char **out, str *notes)
{
    int64_t *steps;
    size_t n;
    TRY(checkpoint_list(mem, run, &steps, &n));
    for (size_t i = n; i-- > 0;) {
        char *dir = checkpoint_dir(mem, run, steps[i]);
        if (!dir) return E_MEMORY;
        if (checkpoint_verify(dir, NULL) == OK) return *out = dir, OK;
        if (notes) str_addf(notes, "%s cannot be used: %s\n", dir, err_first());
    }
    if (n) {
        err_fail(E_FORMAT, "none of the %zu checkpoints in %s is whole", n, run);
        return err_hint(E_FORMAT, "`anneal checkpoint ls %s` says what is wrong", run);
    }
    char *recipe = file_join(mem, run, "recipe.conf");
    if (!recipe || !file_exists(recipe)) return not_there(run);
    err_fail(E_IO, "no checkpoint in %s yet", run);
    return err_hint(E_IO, "`anneal train %s` makes one", run);
}

rc session_model_dir(arena *mem, const char *path, const char **out, str *notes)
{
    char *config_path = file_join(mem, path, "config.json");
    char *state_path = file_join(mem, path, "state.json");
    if (!config_path || !state_path) return E_MEMORY;
    *out = path;
    if (file_exists(state_path)) return checkpoint_verify(path, NULL);
    if (file_exists(config_path)) return OK;
    return file_is_dir(path) ? newest_whole(mem, path, out, notes) : not_there(path);
}

rc session_tokenizer(const char *model_dir, tokenizer **out)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tokenizer.json", model_dir);
    if (file_exists(path)) return tokenizer_open(path, out);
    err_fail(E_IO,
             "the model in %s has no tokenizer.json, so it reads and writes no text",
             model_dir);
    return err_hint(E_IO, "put the tokenizer.json it was trained with into the folder");
}

/* The dataset a checkpoint was trained on: its run's recipe stands in the folder
 * above the step, the tokenised texts beside the run. */
static rc data_of_run(arena *mem, const char *dir, const char **data)
{
    const char *recipe = arena_printf(mem, "%s/../recipe.conf", dir);
    const char *cache = arena_printf(mem, "%s/../../.data", dir);
    config *run;
    if (!recipe || !cache) return E_MEMORY;
    if (!file_exists(recipe)) {
        err_fail(E_USAGE,
                 "%s is no run's checkpoint, so it has no held-out text of its own", dir);
        return err_hint(E_USAGE, "name one with --text PATH");
    }
    TRY(config_new(&run));
    rc e = config_read(run, recipe);
    if (!e) e = session_data(run, mem, cache, data);
    config_free(run);
    return e;
}

static rc data_of_text(arena *mem, const char *dir, const char *text,
                       const char *cache_root, const char **data)
{
    tokenizer *t;
    data_options o = {.held_out = 1,
                      .tokenizer_path = file_join(mem, dir, "tokenizer.json")};
    if (!o.tokenizer_path) return E_MEMORY;
    TRY(session_tokenizer(dir, &t)); /* for its error, before the text is read */
    tokenizer_free(t);
    return data_cached(1, &text, &o, cache_root, mem, data);
}

rc session_eval(const config *c, const char *dir, const char *text,
                const char *cache_root, int64_t max_windows, eval_result *out)
{
    arena *mem = arena_new();
    model *mo = NULL;
    machine m = {0};
    const char *data = NULL;
    rc e = mem ? machine_open(c, &m) : E_MEMORY;
    if (!e)
        e = text ? data_of_text(mem, dir, text, cache_root, &data)
                 : data_of_run(mem, dir, &data);
    if (!e) e = model_load(dir, &mo);
    if (!e) e = train_eval(mo, data, m.dev, m.k, max_windows, out);
    machine_close(&m);
    model_free(mo);
    arena_free(mem);
    return e;
}
