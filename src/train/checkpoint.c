/* checkpoint.c - a checkpoint is complete or absent.
 *
 * Everything is written into RUN/.new-NNNNNNNN, each file forced to the disk,
 * state.json last with the checksums of the others; then the folder gets its
 * name step-NNNNNNNN by one rename, and the run's folder is forced to the
 * disk too. Whatever fails before the rename leaves older checkpoints as they
 * were. Removing goes the other way: first the name is taken away
 * (.old-NNNNNNNN), then the files. docs/checkpoint.md has the whole form. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "train/state.h"

enum { FILES_MAX = 8, TOKENIZER_LIMIT = 256 << 20 };
#define REST_FILE "rest.safetensors" /* only with resident weights */
static const char *const rest_prefix[] = {"rest."};
static const char *const moment_prefix[] = {"exp_avg.", "exp_avg_sq."};

char *checkpoint_dir(arena *mem, const char *run_dir, int64_t step)
{
    return arena_printf(mem, "%s/step-%08lld", run_dir, (long long)step);
}

/* The step of a folder's name, or -1. */
static int64_t step_of(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    int64_t step;
    if (strncmp(name, prefix, n) || strlen(name + n) < 8) return -1;
    return str_to_int(name + n, &step) == OK && step >= 0 ? step : -1;
}

static int by_step(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

rc checkpoint_list(arena *mem, const char *run_dir, int64_t **steps, size_t *n)
{
    char **names;
    size_t n_names;
    *n = 0;
    TRY(file_list(mem, run_dir, &names, &n_names));
    *steps = arena_array(mem, n_names + 1, sizeof **steps);
    if (!*steps) return E_MEMORY;
    for (size_t i = 0; i < n_names; i++) {
        int64_t step = step_of(names[i], "step-");
        if (step >= 0) (*steps)[(*n)++] = step;
    }
    qsort(*steps, *n, sizeof **steps, by_step);
    return OK;
}

/* ---- saving ---- */

static rc copy_tokenizer(arena *mem, const char *from, const char *dir)
{
    char *bytes, *to = file_join(mem, dir, "tokenizer.json");
    size_t n;
    if (!to) return E_MEMORY;
    TRY(file_read(mem, from, TOKENIZER_LIMIT, &bytes, &n));
    return file_replace(to, bytes, n);
}

static rc write_files(arena *mem, const char *dir, const model *mo, const float *m,
                      const float *v, const train_state *s, const char *tokenizer_path)
{
    char **names;
    size_t n;
    state_file files[FILES_MAX];
    TRY(model_save(mo, dir));
    if (m && v) {
        const float *flat[] = {m, v};
        char *path = file_join(mem, dir, "optim.safetensors");
        if (!path) return E_MEMORY;
        TRY(model_write(mo, 2, flat, moment_prefix, path));
    }
    if (s->rest) {
        char *path = file_join(mem, dir, REST_FILE);
        if (!path) return E_MEMORY;
        TRY(model_write(mo, 1, &s->rest, rest_prefix, path));
    }
    if (tokenizer_path) TRY(copy_tokenizer(mem, tokenizer_path, dir));
    TRY(file_list(mem, dir, &names, &n));
    if (n > FILES_MAX) return err_fail(E_FAILED, "%zu files in %s", n, dir);
    for (size_t i = 0; i < n; i++) {
        char *path = file_join(mem, dir, names[i]);
        if (!path) return E_MEMORY;
        TRY(state_hash(path, &files[i]));
        files[i].name = names[i];
    }
    char *path = file_join(mem, dir, "state.json");
    if (!path) return E_MEMORY;
    TRY(state_write(path, s, (int)n, files));
    return file_sync_dir(dir);
}

static rc remove_if_there(const char *path)
{
    return file_exists(path) ? file_remove_tree(path) : OK;
}

/* Give the finished folder its name; a folder that has it already (one that
 * did not verify) steps aside first. */
static rc commit(const char *run_dir, const char *new, const char *old, const char *dir)
{
    bool replaced = file_exists(dir);
    if (replaced) {
        TRY(remove_if_there(old));
        TRY(file_rename(dir, old));
    }
    rc r = file_rename(new, dir);
    if (r != OK) {
        if (replaced) rename(old, dir); /* as it was; the first failure is the one told */
        return r;
    }
    TRY(file_sync_dir(run_dir));
    return replaced ? remove_if_there(old) : OK;
}

rc checkpoint_save(const char *run_dir, const model *mo, const float *m, const float *v,
                   const train_state *s, const char *tokenizer_path)
{
    arena *mem = arena_new();
    long long step = (long long)s->step;
    char *dir = mem ? checkpoint_dir(mem, run_dir, s->step) : NULL;
    char *new = dir ? arena_printf(mem, "%s/.new-%08lld", run_dir, step) : NULL;
    char *old = new ? arena_printf(mem, "%s/.old-%08lld", run_dir, step) : NULL;
    rc r = old ? remove_if_there(new) : E_MEMORY;
    if (r == OK) r = file_make_dirs(new);
    if (r == OK) r = write_files(mem, new, mo, m, v, s, tokenizer_path);
    if (r == OK) r = commit(run_dir, new, old, dir);
    if (r != OK && new) {
        err_saved saved;
        err_save(r, &saved);
        remove_if_there(new);
        r = err_restore(&saved);
        err_while(r, "saving the checkpoint of step %lld in %s", step, run_dir);
    }
    arena_free(mem);
    return r;
}

rc checkpoint_prune(const char *run_dir, int keep, int64_t newest, int64_t best_step)
{
    arena *mem = arena_new();
    int64_t *steps;
    char **names;
    size_t n = 0, n_names = 0;
    rc r = mem ? checkpoint_list(mem, run_dir, &steps, &n) : E_MEMORY;
    while (n && steps[n - 1] > newest) n--;
    for (size_t i = 0; r == OK && keep > 0 && i + (size_t)keep < n; i++) {
        if (steps[i] == best_step) continue;
        char *dir = checkpoint_dir(mem, run_dir, steps[i]);
        char *old = arena_printf(mem, "%s/.old-%08lld", run_dir, (long long)steps[i]);
        r = dir && old ? remove_if_there(old) : E_MEMORY;
        if (r == OK) r = file_rename(dir, old);
    }
    if (r == OK) r = file_list(mem, run_dir, &names, &n_names);
    for (size_t i = 0; r == OK && i < n_names; i++) {
        if (step_of(names[i], ".old-") < 0 && step_of(names[i], ".new-") < 0) continue;
        char *path = file_join(mem, run_dir, names[i]);
        r = path ? file_remove_tree(path) : E_MEMORY;
    }
    arena_free(mem);
    return r;
}

/* ---- reading ---- */

static rc verify(arena *mem, const char *dir, train_state *s)
{
    int n;
    state_file *files, had;
    char *path = file_join(mem, dir, "state.json");
    if (!path) return E_MEMORY;
    TRY(state_read(mem, path, s, &n, &files));
    for (int i = 0; i < n; i++) {
        path = file_join(mem, dir, files[i].name);
        if (!path) return E_MEMORY;
        TRY(state_hash(path, &had));
        if (had.bytes != files[i].bytes)
            return err_fail(E_FORMAT, "%s is %llu bytes, state.json says %llu", path,
                            (unsigned long long)had.bytes,
                            (unsigned long long)files[i].bytes);
        if (had.xxh3 != files[i].xxh3)
            return err_fail(E_FORMAT, "the checksum of %s is not the one in state.json",
                            path);
    }
    return OK;
}

rc checkpoint_verify(const char *dir, train_state *s)
{
    train_state unwanted;
    arena *mem = arena_new();
    rc r = mem ? verify(mem, dir, s ? s : &unwanted) : E_MEMORY;
    arena_free(mem);
    return r == OK ? OK : err_while(r, "checking %s", dir);
}

rc checkpoint_read(const char *dir, model *mo, float *m, float *v)
{
    float *flat[] = {m, v};
    str path = {0};
    TRY(model_load_weights(mo, dir));
    if (!m || !v) return OK;
    str_addf(&path, "%s/optim.safetensors", dir);
    rc r = str_done(&path);
    if (r == OK) r = model_read(mo, 2, flat, moment_prefix, path.p);
    str_free(&path);
    return r;
}

rc checkpoint_rest(const char *dir, const model *mo, float *rest)
{
    str path = {0};
    str_addf(&path, "%s/%s", dir, REST_FILE);
    rc r = str_done(&path);
    memset(rest, 0, mo->n_floats * sizeof *rest);
    if (r == OK && file_exists(path.p)) r = model_read(mo, 1, &rest, rest_prefix, path.p);
    str_free(&path);
    return r;
}

rc checkpoint_window(arena *mem, const char *dir, char **text)
{
    char *path = file_join(mem, dir, "state.json");
    return path ? state_window(mem, path, text) : E_MEMORY;
}

rc checkpoint_load(const char *dir, model *mo, float *m, float *v, train_state *s)
{
    TRY(checkpoint_verify(dir, s));
    return checkpoint_read(dir, mo, m, v);
}
