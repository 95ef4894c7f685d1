/* train.c - `anneal train RECIPE|RUN [key=value ...]`. */
#include <stdio.h>
#include <string.h>

#include "api/session.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/verbs.h"

/* recipes/tiny.conf -> "tiny" */
static const char *name_of(arena *mem, const char *recipe)
{
    const char *base = file_base(recipe), *dot = strrchr(base, '.');
    return arena_textn(mem, base, dot ? (size_t)(dot - base) : strlen(base));
}

/* The first word is a run that exists, a recipe file, or a recipe's name under
 * recipes/. */
static rc find(const args *a, config *c, const char **run_dir)
{
    const char *word = a->word[0], *run = args_run(a, word);
    const char *named = arena_printf(a->mem, "recipes/%s.conf", word);
    const char *name = args_text(a, "name", NULL);
    if (!run || !named) return E_MEMORY;
    char *saved = file_join(a->mem, run, "recipe.conf");
    if (saved && file_exists(saved)) {
        *run_dir = run;
        if (name)
            return err_fail(E_USAGE, "%s is a run already; --name is for new ones", run);
        return OK;
    }
    const char *recipe = str_ends(word, ".conf") || file_exists(word) ? word : named;
    if (!file_exists(recipe)) {
        err_fail(E_USAGE, "no recipe or run '%s'", word);
        return err_hint(E_USAGE, "recipes are files such as recipes/text.conf; "
                                 "`anneal runs ls` lists runs");
    }
    TRY(config_read(c, recipe));
    if (!name) name = name_of(a->mem, recipe);
    *run_dir = name ? args_run(a, name) : NULL;
    return *run_dir ? OK : E_MEMORY;
}

static rc dry_run(const config *c, const char *run_dir)
{
    arena *mem = arena_new();
    prepared p;
    str text = {0};
    machine m = {0};
    rc e = mem ? session_prepare(c, mem, file_join(mem, run_dir, "../.data"), &p)
               : E_MEMORY;
    if (!e) e = machine_open(c, &m);
    if (!e) e = config_print(c, &text);
    if (!e) fputs(str_text(&text), stdout);
    if (!e)
        fprintf(stderr, "%zu parameters; nothing trained (--dry-run)\n",
                model_param_count(&p.model));
    str_free(&text);
    machine_close(&m);
    arena_free(mem);
    return e;
}

static rc start(args *a, config *c)
{
    const char *run_dir = NULL;
    train_result r;
    TRY(find(a, c, &run_dir));
    TRY(args_settings(a, 1, c));
    if (args_has(a, "dry-run")) return dry_run(c, run_dir);
    if (args_has(a, "force") && file_is_dir(run_dir)) TRY(file_remove_tree(run_dir));
    rc e = cli_train(a, c, run_dir, &r);
    if (!e || e == E_STOPPED)
        fprintf(stderr,
                r.finished
                    ? "finished at step %lld: %s\n"
                    : "stopped at step %lld, saved; the same command goes on: %s\n",
                (long long)r.step, run_dir);
    return e;
}

rc verb_train(args *a)
{
    config *c;
    TRY(args_words(a, 1, -1, "a recipe or a run"));
    TRY(config_new(&c));
    rc e = start(a, c);
    config_free(c);
    return e;
}
