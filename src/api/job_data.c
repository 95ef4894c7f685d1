/* job_data.c - the text that a run learns from, as tokens.
 *
 * A text becomes tokens once, in a folder beside the runs (runs/.data) that
 * every run of the same text and tokenizer uses. A run that writes nothing uses
 * that if it is there; else its tokens are files in memory without a name
 * (data/loose.c). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/job.h"
#include "base/file.h"

rc session_data(const config *c, arena *mem, const char *cache_root, const char **dir)
{
    const char *text = config_text(c, OPT_data_text);
    const char *made = config_text(c, OPT_data_dir);
    if (*made) return (*dir = arena_text(mem, made)) ? OK : E_MEMORY;
    if (!*text) {
        err_fail(E_CONFIG,
                 "nothing to learn from: neither data.text nor data.dir is set");
        return err_hint(E_CONFIG, "add data.text=FILE");
    }
    data_options o;
    config_data(c, &o);
    return data_cached(1, &text, &o, cache_root, mem, dir);
}

/* runs/NAME -> runs/.data, where tokenised texts are kept. */
static const char *cache_beside(arena *mem, const char *run_dir)
{
    const char *slash = strrchr(run_dir, '/');
    return slash ? arena_printf(mem, "%.*s/.data", (int)(slash - run_dir), run_dir)
                 : ".data";
}

/* Tokens that are there already, else without a folder. */
static rc data_in_memory(const config *c, arena *mem, const session_run *r,
                         const char *cache, const char **dir)
{
    const char *text = config_text(c, OPT_data_text);
    data_options o;
    if (*config_text(c, OPT_data_dir) || !*text) return session_data(c, mem, cache, dir);
    config_data(c, &o);
    TRY(data_cached_find(1, &text, &o, cache, mem, dir));
    if (*dir) return OK;
    if (!r->memory_dir) {
        err_fail(E_CONFIG,
                 "train.memory_only writes nothing, and there is no memory "
                 "file system for the tokens of %s",
                 text);
        return err_hint(E_CONFIG, "`anneal data %s -o DIR` once, then data.dir=DIR",
                        text);
    }
    char *made = arena_printf(mem, "%s/data-%ld", r->memory_dir, (long)getpid());
    if (!made) return E_MEMORY;
    TRY(data_build(1, &text, &o, made, NULL));
    return data_loosen(made, mem, dir);
}

rc job_data(const config *c, arena *mem, const session_run *r, const char **dir)
{
    const char *cache = cache_beside(mem, r->run_dir);
    if (!cache) return E_MEMORY;
    if (!config_bool(c, OPT_train_memory_only)) return session_data(c, mem, cache, dir);
    return data_in_memory(c, mem, r, cache, dir);
}

rc job_tokenizer(config *now, arena *mem, const char *init)
{
    if (!init || config_is_set(now, OPT_data_tokenizer)) return OK;
    char *path = file_join(mem, init, "tokenizer.json");
    if (!path) return E_MEMORY;
    return file_exists(path) ? config_set(now, "data.tokenizer", path) : OK;
}
