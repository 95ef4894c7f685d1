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
static rc find(const args *a, config *c, session_run *r)
{
    const char *word = a->word[0], *run = args_run(a, word);
    const char *name = args_text(a, "name", NULL), *recipe;
    if (!run) return E_MEMORY;
    char *saved = file_join(a->mem, run, "recipe.conf");
    if (!saved) return E_MEMORY;
    if (file_exists(saved)) {
        r->run_dir = run;
        r->own_recipe = true;
        if (!name) return OK;
        err_fail(E_USAGE, "%s is a run already; --name is for new ones", run);
        return err_hint(E_USAGE, "to start from its weights, model.init=%s", run);
    }
    TRY(cli_recipe(a, word, &recipe));
    if (!recipe) {
        err_fail(E_USAGE, "no recipe or run '%s'", word);
        return err_hint(E_USAGE, "recipes are files such as recipes/text.conf; "
                                 "`anneal runs ls` lists runs");
    }
    TRY(config_read(c, recipe));
    if (!name) name = name_of(a->mem, recipe);
    r->run_dir = name ? args_new_run(a, name) : NULL;
    return r->run_dir ? OK : E_MEMORY;
}

static void print_plan(const train_job *t, const plan *p)
{
    const plan_memory *m = &p->memory;
    char text[8][32];
    double all = m->weights + m->moments + m->gradients + m->surfaces + m->activations +
                 m->host;
    printf("\n# %s parameters, %d programs, %d launches a step, predicted %.3g ms a step "
           "on %s\n"
           "# memory %s: weights %s, moments %s, gradients %s, surfaces %s, activations "
           "%s, host %s\n",
           str_count(text[7], (double)model_param_count(&t->model)), p->loads,
           p->launches, p->step_ms, p->caps.uri, str_bytes(text[0], all),
           str_bytes(text[1], m->weights), str_bytes(text[2], m->moments),
           str_bytes(text[3], m->gradients), str_bytes(text[4], m->surfaces),
           str_bytes(text[5], m->activations), str_bytes(text[6], m->host));
}

/* The resolved recipe, runnable as it is, and as comments what it would take. */
static rc dry_run(const config *c, const session_run *r)
{
    session_job *j;
    plan *p = NULL;
    TRY(session_job_open(c, r, &j));
    rc e = session_plan(j, &p);
    if (!e) {
        fputs(session_job_of(j)->recipe_text, stdout);
        print_plan(session_job_of(j), p);
        fputs("nothing trained (--dry-run)\n", stderr);
    }
    plan_free(p);
    session_job_close(j);
    return e;
}

static void say_end(const session_run *r, const train_result *out)
{
    const char *where = r->run_dir;
    bool saved = out->saved_step == out->step;
    if (!saved) where = "nothing is kept of it (train.memory_only)";
    fprintf(stderr,
            out->finished ? "finished at step %lld: %s\n"
            : saved       ? "stopped at step %lld, saved; the same command goes on: %s\n"
                          : "stopped at step %lld; %s\n",
            (long long)out->step, where);
}

static rc start(args *a, config *c)
{
    session_run r = {.anew = args_has(a, "force")};
    train_result out;
    if (!cli_again_waits()) {
        TRY(find(a, c, &r));
        TRY(args_settings(a, 1, c));
        if (args_has(a, "dry-run")) return dry_run(c, &r);
    }
    rc e = cli_train(a, c, &r, &out);
    if (!e && strcmp(args_text(a, "show", ""), "none")) say_end(&r, &out);
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
