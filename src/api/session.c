/* session.c - open what the settings name: devices, models; evaluate. */
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
    err_fail(E_IO, "no complete checkpoint in %s", path);
    return err_hint(E_IO, "`anneal train %s` makes one", path);
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
    if (!e) e = session_data(run, mem, cache_root, data);
    config_free(run);
    return e;
}

rc session_eval(const config *c, const char *path, const char *text,
                const char *cache_root, int64_t max_windows, eval_result *out)
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
    if (!e) e = train_eval(mo, data, m.dev, m.k, max_windows, out);
    machine_close(&m);
    model_free(mo);
    arena_free(mem);
    return e;
}
