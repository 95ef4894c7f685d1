/* job_settings.c - which settings hold.
 *
 * Settings come from the command line, else the recipe, else, when going on,
 * the recipe that the run saved, else the defaults. A run begins with its first
 * checkpoint: from then on it keeps its data, model, seed and batch. Before, a
 * start that failed binds nothing. */
#include <stdlib.h>
#include <string.h>

#include "api/job.h"
#include "base/file.h"

/* Paths are kept whole, so that a run can be gone on with from any folder. */
static rc whole_paths(config *c)
{
    static const opt_id paths[] = {OPT_data_text, OPT_data_dir, OPT_data_tokenizer,
                                   OPT_model_init};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const char *text = config_text(c, paths[i]);
        bool word = paths[i] == OPT_data_tokenizer &&
                    (!strcmp(text, "byte") || str_starts(text, "bpe:"));
        char *whole = *text && !word ? realpath(text, NULL) : NULL;
        rc e = whole ? config_set(c, opt_at(paths[i])->name, whole) : OK;
        free(whole);
        TRY(e);
    }
    return OK;
}

/* Nor does a recipe name a library: the word is left out of a saved URI. */
static rc without_library(config *c)
{
    str uri = {0};
    const char *p = config_text(c, OPT_device_uri), *colon = strchr(p, ':');
    if (!colon || !strstr(colon, "lib=")) return OK;
    str_addn(&uri, p, (size_t)(colon - p));
    char mark = ':';
    for (p = colon; *p; p += 1 + strcspn(p + 1, ",")) {
        if (str_starts(p + 1, "lib=")) continue;
        str_addc(&uri, mark);
        str_addn(&uri, p + 1, strcspn(p + 1, ","));
        mark = ',';
    }
    rc e = str_done(&uri);
    if (!e) e = config_set(c, "device.uri", str_text(&uri));
    str_free(&uri);
    return e;
}

rc job_settings_kept(config *c)
{
    TRY(whole_paths(c));
    return without_library(c);
}

/* The run's own recipe has whole paths; what is said now may have others. */
static rc conflict(const config *old, const config *now, const char **key)
{
    config *whole;
    TRY(config_copy(now, &whole));
    rc e = whole_paths(whole);
    *key = e ? NULL : config_conflict(old, whole);
    config_free(whole);
    return e;
}

static rc take_from(config *now, const char *path, bool bound, const char *run_dir)
{
    config *old;
    TRY(config_new(&old));
    rc e = config_read(old, path);
    for (int i = 0; !e && i < OPT_COUNT; i++)
        if (!config_is_set(now, (opt_id)i))
            e = config_set(now, opt_at((opt_id)i)->name, config_text(old, (opt_id)i));
    const char *key = NULL;
    if (!e && bound) e = conflict(old, now, &key);
    if (key) {
        e = err_fail(E_CONFIG, "setting '%s' may not change when going on with %s", key,
                     run_dir);
        err_hint(E_CONFIG, "take another name with -n NAME, or start over with --force");
    }
    config_free(old);
    return e;
}

rc job_settings(const config *c, const session_run *r, bool begun, arena *mem,
                config **out)
{
    bool bound = begun && !r->anew;
    char *path = file_join(mem, r->run_dir, "recipe.conf");
    if (!path) return E_MEMORY;
    TRY(config_copy(c, out));
    if (!file_exists(path) || !(bound || r->own_recipe)) return OK;
    return take_from(*out, path, bound, r->run_dir);
}
