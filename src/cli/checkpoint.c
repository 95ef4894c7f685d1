/* checkpoint.c - `anneal checkpoint ls RUN`, `show RUN|DIR`, `save RUN`. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/session.h"
#include "base/file.h"
#include "cli/verbs.h"

static json_t *as_json(const char *dir, const train_state *s, bool good)
{
    json_t *o = json_object();
    json_object_set_new(o, "path", json_string(dir));
    json_object_set_new(o, "complete", json_boolean(good));
    if (!good) return o;
    json_object_set_new(o, "step", json_integer(s->step));
    cli_real(o, "loss", s->loss);
    cli_real(o, "held_out", s->held_out);
    cli_real(o, "loss_scale", s->loss_scale);
    json_object_set_new(o, "best_step", json_integer(s->best_step));
    cli_real(o, "wall_s", s->wall_s);
    return o;
}

/* best: the step that the newest state calls best. */
static void print(const char *dir, const train_state *s, int64_t best)
{
    printf("%s  step %lld  loss %.4f", dir, (long long)s->step, s->loss);
    if (isfinite(s->held_out)) printf("  held-out %.4f", s->held_out);
    printf("  loss scale %g%s\n", s->loss_scale, best == s->step ? "  best" : "");
}

static rc list(const args *a, const char *run)
{
    int64_t *steps, best = -1;
    size_t n;
    json_t *all = args_has(a, "json") ? json_array() : NULL;
    TRY(checkpoint_list(a->mem, run, &steps, &n));
    train_state *s = arena_array(a->mem, n + 1, sizeof *s);
    const char **bad = arena_array(a->mem, n + 1, sizeof *bad);
    if (!s || !bad) return E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        char *dir = checkpoint_dir(a->mem, run, steps[i]);
        if (!dir) return E_MEMORY;
        rc e = checkpoint_verify(dir, &s[i]);
        bad[i] = e ? arena_text(a->mem, err_first()) : NULL;
        if (!e) best = s[i].best_step;
    }
    for (size_t i = 0; i < n; i++) {
        char *dir = checkpoint_dir(a->mem, run, steps[i]);
        if (!dir) return E_MEMORY;
        if (all) json_array_append_new(all, as_json(dir, &s[i], !bad[i]));
        else if (bad[i]) printf("%s  damaged: %s\n", dir, bad[i]);
        else print(dir, &s[i], best);
    }
    if (!all) return n ? OK : puts("no checkpoints yet") < 0 ? E_IO : OK;
    json_t *o = json_object();
    json_object_set_new(o, "checkpoints", all);
    return cli_put_json(o);
}

static rc one(const args *a, const char *path)
{
    const char *dir;
    train_state s;
    TRY(cli_model(a, path, &dir));
    TRY(checkpoint_verify(dir, &s));
    if (args_has(a, "json")) return cli_put_json(as_json(dir, &s, true));
    print(dir, &s, s.best_step);
    return OK;
}

/* A living run, found by its name or its process. */
static rc save(const args *a)
{
    int64_t pid, by;
    const char *run = NULL, *said;
    TRY(args_int(a, "pid", 1, INT32_MAX, 0, &pid));
    if (a->n_word > 1 && !(run = args_run(a, a->word[1]))) return E_MEMORY;
    if (!run && !pid) {
        err_fail(E_USAGE, "wanted a run, or the number of its process");
        return err_hint(E_USAGE, "anneal checkpoint save RUN, or --pid N");
    }
    TRY(cli_living_save(a->mem, run, pid, &said, &by));
    if (args_has(a, "json"))
        return cli_put_json(json_pack("{s:s,s:I}", "path", said, "pid", (json_int_t)by));
    if (*said) puts(said);
    else fprintf(stderr, "asked process %lld to save\n", (long long)by);
    return OK;
}

rc verb_checkpoint(args *a)
{
    static const char usage[] =
        "`checkpoint ls RUN`, `checkpoint show RUN` or `checkpoint save RUN`";
    TRY(args_words(a, 1, 2, usage));
    if (!strcmp(a->word[0], "save")) return save(a);
    if (!args_has(a, "pid")) TRY(args_words(a, 2, 2, usage));
    const char *run = a->n_word > 1 ? args_run(a, a->word[1]) : NULL;
    if (!run || args_has(a, "pid"))
        return err_fail(E_USAGE, "--pid is for `checkpoint save`");
    if (!strcmp(a->word[0], "ls")) return list(a, run);
    if (!strcmp(a->word[0], "show")) return one(a, run);
    return err_fail(E_USAGE, "wanted %s, had '%s'", usage, a->word[0]);
}
