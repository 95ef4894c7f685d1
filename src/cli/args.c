/* args.c - flags come from the table, so a flag that is not in it cannot be
 * read, and one that is shows in help, completion and man page. */
#include "cli/args.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/verbs.h"

static const cli_verb verbs[] = {
#define VERB(name, group, usage, about) {#name, group, usage, about, verb_##name},
#define FLAG(verb, name, letter, arg, help)
#define KEYS(verb, of, keys)
#include "cli/verbs.def"
#undef VERB
#undef FLAG
#undef KEYS
};
static const cli_flag flags[] = {
#define VERB(name, group, usage, about)
#define FLAG(verb, name, letter, arg, help) {#verb, name, letter, arg, help},
#define KEYS(verb, of, keys)
#include "cli/verbs.def"
#undef VERB
#undef FLAG
#undef KEYS
};
static const cli_keys_row key_rows[] = {
#define VERB(name, group, usage, about)
#define FLAG(verb, name, letter, arg, help)
#define KEYS(verb, of, keys) {#verb, of, keys},
#include "cli/verbs.def"
#undef VERB
#undef FLAG
#undef KEYS
};
enum {
    N_KEYS = sizeof key_rows / sizeof key_rows[0],
    N_VERBS = sizeof verbs / sizeof verbs[0],
    N_FLAGS = sizeof flags / sizeof flags[0]
};

const cli_verb *cli_verb_at(size_t i)
{
    return i < N_VERBS ? &verbs[i] : NULL;
}

const cli_flag *cli_flag_at(size_t i)
{
    for (size_t k = 0; k < N_FLAGS; k++)
        if (flags[k].help && i-- == 0) return &flags[k];
    return NULL;
}

const cli_keys_row *cli_keys_at(size_t i)
{
    return i < N_KEYS ? &key_rows[i] : NULL;
}

const cli_verb *cli_find(const char *name)
{
    for (size_t i = 0; i < N_VERBS; i++)
        if (!strcmp(verbs[i].name, name)) return &verbs[i];
    return NULL;
}

rc cli_unknown_verb(const char *word)
{
    const char *names[N_VERBS];
    for (size_t i = 0; i < N_VERBS; i++) names[i] = verbs[i].name;
    const char *near = err_nearest(word, names, N_VERBS);
    if (near) return err_fail(E_USAGE, "no command '%s'; did you mean '%s'?", word, near);
    err_fail(E_USAGE, "no command '%s'", word);
    return err_hint(E_USAGE, "`anneal help` lists them");
}

static int find_flag(const char *verb, const char *name, size_t n)
{
    for (int i = 0; i < N_FLAGS; i++)
        if (!strcmp(flags[i].verb, verb) && strlen(flags[i].name) == n &&
            !strncmp(flags[i].name, name, n))
            return i;
    return -1;
}

static int find_letter(const char *verb, char c)
{
    for (int i = 0; i < N_FLAGS; i++)
        if (!strcmp(flags[i].verb, verb) && flags[i].letter == c) return i;
    return -1;
}

static rc unknown_flag(const cli_verb *v, const char *word)
{
    const char *names[N_FLAGS];
    size_t n = 0;
    for (int i = 0; i < N_FLAGS; i++)
        if (!strcmp(flags[i].verb, v->name) && flags[i].help) names[n++] = flags[i].name;
    const char *near = word[1] == '-' ? err_nearest(word + 2, names, n) : NULL;
    if (near)
        return err_fail(E_USAGE, "'%s' has no flag '%s'; did you mean '--%s'?", v->name,
                        word, near);
    err_fail(E_USAGE, "'%s' has no flag '%s'", v->name, word);
    return err_hint(E_USAGE, "`anneal help %s` lists them", v->name);
}

/* One flag at argv[*i]; its argument is after '=' or the next word. */
static rc take_flag(const cli_verb *v, int argc, char **argv, int *i, args *out)
{
    const char *word = argv[*i], *eq = strchr(word, '=');
    bool is_long = word[1] == '-';
    size_t n = eq ? (size_t)(eq - word) - 2 : strlen(word) - 2;
    int f = is_long ? find_flag(v->name, word + 2, n) : find_letter(v->name, word[1]);
    if (f < 0) return unknown_flag(v, word);
    if (!flags[f].arg) {
        if (eq || (!is_long && word[2]))
            return err_fail(E_USAGE, "flag '%s' takes no argument", word);
        out->value[f] = "";
        return OK;
    }
    if (is_long && eq) out->value[f] = eq + 1;
    else if (!is_long && word[2]) out->value[f] = word + 2;
    else if (*i + 1 < argc) out->value[f] = argv[++*i];
    else return err_fail(E_USAGE, "flag '%s' wants %s", word, flags[f].arg);
    out->given_row[out->n_given] = f;
    out->given[out->n_given++] = out->value[f];
    return OK;
}

rc args_parse(const cli_verb *v, int argc, char **argv, arena *mem, args *out)
{
    *out = (args){.verb = v, .mem = mem};
    out->value = arena_array(mem, N_FLAGS, sizeof *out->value);
    out->word = arena_array(mem, (size_t)argc + 1, sizeof *out->word);
    out->given = arena_array(mem, (size_t)argc + 1, sizeof *out->given);
    out->given_row = arena_array(mem, (size_t)argc + 1, sizeof *out->given_row);
    if (!out->value || !out->word || !out->given || !out->given_row) return E_MEMORY;
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        if (!only_words && !strcmp(argv[i], "--")) only_words = true;
        else if (!only_words && argv[i][0] == '-' && argv[i][1])
            TRY(take_flag(v, argc, argv, &i, out));
        else out->word[out->n_word++] = argv[i];
    }
    return OK;
}

const char *args_text(const args *a, const char *flag, const char *otherwise)
{
    int f = find_flag(a->verb->name, flag, strlen(flag));
    return f >= 0 && a->value[f] ? a->value[f] : otherwise;
}

const char *args_nth(const args *a, const char *flag, int nth)
{
    for (int i = 0; i < a->n_given; i++)
        if (!strcmp(flags[a->given_row[i]].name, flag) && nth-- == 0) return a->given[i];
    return NULL;
}

bool args_has(const args *a, const char *flag)
{
    return args_text(a, flag, NULL) != NULL;
}

rc args_int(const args *a, const char *flag, int64_t min, int64_t max, int64_t otherwise,
            int64_t *out)
{
    const char *t = args_text(a, flag, NULL);
    *out = otherwise;
    if (!t) return OK;
    if (str_to_int(t, out))
        return err_fail(E_USAGE, "--%s wants a whole number, had '%s'", flag, t);
    if (*out < min || *out > max)
        return err_fail(E_USAGE, "--%s is from %lld to %lld, not %s", flag,
                        (long long)min, (long long)max, t);
    return OK;
}

rc args_real(const args *a, const char *flag, double min, double max, double otherwise,
             double *out)
{
    const char *t = args_text(a, flag, NULL);
    *out = otherwise;
    if (!t) return OK;
    if (str_to_real(t, out) || !isfinite(*out))
        return err_fail(E_USAGE, "--%s wants a number, had '%s'", flag, t);
    if (*out < min || *out > max)
        return err_fail(E_USAGE, "--%s is from %g to %g, not %s", flag, min, max, t);
    return OK;
}

rc args_words(const args *a, int min, int max, const char *what)
{
    if (a->n_word < min) {
        err_fail(E_USAGE, "wanted %s", what);
        return err_hint(E_USAGE, "anneal %s %s", a->verb->name, a->verb->usage);
    }
    if (max >= 0 && a->n_word > max)
        return err_fail(E_USAGE, "'%s' is one word too many after `anneal %s`",
                        a->word[max], a->verb->name);
    return OK;
}

rc args_settings(const args *a, int from, config *c)
{
    for (int i = from; i < a->n_word; i++) TRY(config_set_pair(c, a->word[i]));
    const char *uri = args_text(a, "device", NULL);
    if (uri) TRY(config_set(c, "device.uri", uri));
    config_host(c, cli_host(a));
    return *config_text(c, OPT_device_state) ? OK : cli_state(a->mem, c);
}

const char *args_new_run(const args *a, const char *name)
{
    if (strchr(name, '/')) return name;
    return file_join(a->mem, args_text(a, "runs", "runs"), name);
}

const char *args_run(const args *a, const char *word)
{
    const char *run = args_new_run(a, word);
    return run && !file_is_dir(run) && file_is_dir(word) ? word : run;
}
