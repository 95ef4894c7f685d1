/* args.h - words a person typed, checked against verbs.def. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include "api/config.h"
#include "base/arena.h"
#include "base/err.h"

typedef struct {
    const char *verb, *name;
    char letter;
    const char *arg, *help;
} cli_flag;
typedef struct args args;
typedef struct {
    const char *name, *group, *usage, *about;
    rc (*run)(args *a);
} cli_verb;

/* What --json promises (verbs.def says how it is written). */
typedef struct {
    const char *verb, *of, *keys;
} cli_keys_row;
const cli_keys_row *cli_keys_at(size_t i); /* NULL past the end */

const cli_verb *cli_verb_at(size_t i); /* NULL past the end */
/* Those that are shown: a row without help is for the command itself, when it
 * spawns itself. */
const cli_flag *cli_flag_at(size_t i);
const cli_verb *cli_find(const char *name);

struct args {
    const cli_verb *verb;
    arena *mem;
    const char **value; /* per row of the flag table: NULL, or its last argument */
    int n_given;
    int *given_row;
    const char **given; /* all flags, in order */
    const char **word;
    int n_word; /* what is not a flag, in order */
};

/* argv after the verb. E_USAGE with a suggestion for unknown flags. */
rc args_parse(const cli_verb *v, int argc, char **argv, arena *mem, args *out);
bool args_has(const args *a, const char *flag);
/* Every value of a flag that may be given again, in order; NULL past the end. */
const char *args_nth(const args *a, const char *flag, int nth);
const char *args_text(const args *a, const char *flag, const char *otherwise);
rc args_int(const args *a, const char *flag, int64_t min, int64_t max, int64_t otherwise,
            int64_t *out);
rc args_real(const args *a, const char *flag, double min, double max, double otherwise,
             double *out);
/* Wants between min and max words; the message names `what`. */
rc args_words(const args *a, int min, int max, const char *what);
/* Words from the i-th on are key=value settings. */
rc args_settings(const args *a, int from, config *c);

/* RUN: a name under --runs, else a path. */
const char *args_run(const args *a, const char *word);
/* Where a run of this name is made: under --runs, unless it is a path. */
const char *args_new_run(const args *a, const char *name);

#endif
