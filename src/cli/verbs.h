/* verbs.h - one function per row of verbs.def. Each prints its product on
 * stdout and returns an rc; main prints the error chain. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include <jansson.h>
#include "base/process.h"
#include "cli/args.h"
#include "api/session.h"
#include "dev/check.h"

#define VERB(name, group, usage, about) rc verb_##name(args *a);
#define FLAG(verb, name, letter, arg, help)
#define KEYS(verb, of, keys)
#include "cli/verbs.def"
#undef VERB
#undef FLAG
#undef KEYS

/* Set by the first interrupt; a second one ends the process. */
extern atomic_int cli_stop;
void cli_catch_interrupt(void);

/* ---- restart in memory (again.c) ---- */
/* First of all in main: what an earlier image of this process left for this one,
 * and the words it was started with. */
void cli_again_begin(char **argv);
/* Is there something to go on with? Then files and flags are not asked again. */
bool cli_again_waits(void);
/* Train: what waits, else as c and r say. After E_RESTART put away what is not to
 * be lost, then start. */
rc cli_again_train(arena *mem, const config *c, session_run *r, train_result *out);
/* Does not come back, unless the run is to stop or the system refuses: then it is
 * saved. */
rc cli_again_start(arena *mem, session_run *r, train_result *out);

/* ---- saving a living run (living.c) ----
 * A run listens at a socket of mode 0600 in a memory file system ($XDG_RUNTIME_DIR
 * or /dev/shm, on Linux); whoever connects asks it to save, and reads
 *   "saved PATH" or "failed TEXT". */
/* -1: there is no such place, or it cannot be used; then only SIGUSR1 asks.
 * handed: the descriptor from the image before, or -1. */
int cli_living_open(const char *run_dir, int handed);
void cli_living_close(const char *run_dir, int fd);
/* Where that is, made if it is not there yet; NULL: nowhere. */
const char *cli_living_place(arena *mem);
/* NULL, or why there is no such place. */
const char *cli_living_lacks(void);
/* For train_ask: ctx is a cli_living. */
typedef struct {
    int fd, caller; /* listening; connected and to be answered, or -1 */
} cli_living;
bool cli_living_asked(void *living);
void cli_living_told(void *living, rc bad, const char *text);
/* Ask the run in run_dir, or that of a process (pid > 0), and wait for what it
 * says. *said in the arena; *by: its process. */
rc cli_living_save(arena *mem, const char *run_dir, int64_t pid, const char **said,
                   int64_t *by);

/* Print one JSON object and a newline; takes the reference. */
rc cli_put_json(json_t *o);
/* Of the terminal behind a file descriptor; 0 = none, or unknown. */
int cli_columns(int fd);
/* Adds a real number, or nothing when it is not finite. */
void cli_real(json_t *o, const char *key, double v);

/* A list of objects, as a table under its name; and one value as its cells show it
 * (table.c). */
void cli_table(const char *name, json_t *rows);
void cli_cell(const json_t *v, str *out);

/* A configuration with the flags every verb shares (device) applied. */
rc cli_config(const args *a, config **out);
/* Set device.state to the user's cache folder: $XDG_CACHE_HOME/anneal, else
 * ~/Library/Caches/anneal (macOS) or ~/.cache/anneal; without a home it stays
 * empty, and nothing is remembered. */
rc cli_state(arena *mem, config *c);

/* Print what is known of the device's machine and what its meters read now, or
 * add machine, meters and readings to an object (readings.c). */
rc cli_readings(device *d, const char *uri, json_t *o);
/* What `auto` asks of the command: to make a self-check of the chip where none
 * is remembered, and to say on stderr which device was taken and why (auto.c). */
const machine_host *cli_host(const args *a);

/* ---- device check (check.c) ---- */
/* Everything asked of one device, in children of this command if it is a chip. */
rc cli_check(const args *a, const config *c);
/* One question, in this process: --only QUESTION. What a parent reads. */
rc cli_check_only(const args *a, const config *c, const char *question);
/* Run `device check URI --only QUESTION` in a child; its JSON object in *out
 * (NULL if it gave none), and how it ended. `opened`: it got as far as to ask. */
typedef struct {
    process_result end;
    json_t *said;
    bool opened;
} cli_child;
rc cli_ask_child(const config *c, const char *uri, const char *question, cli_child *out);
void cli_child_free(cli_child *ch);
/* Why a child gave no answer: its first error, or how it ended. */
const char *cli_child_why(const cli_child *ch, char *text, size_t size);
/* A sight as JSON, and back. */
json_t *cli_sight_json(const dev_sight *s, bool spoiled);
bool cli_sight_read(const json_t *o, dev_sight *s, bool *spoiled);

/* `device cache ...`, and what a device says of it: into o, or printed if NULL
 * (device_cache.c). */
rc cli_device_cache(args *a);
rc cli_cache_info(device *d, json_t *o);

/* NumPy's name of a surface's elements. */
const char *cli_npy_descr(mil_dtype t);

/* A plan's step as a picture (plan_svg.c). */
rc cli_plan_svg(const plan *p, str *out);

/* One step of a training plan, on first weights and random tokens (trial.c). */
typedef struct {
    const plan *plan;
    const machine *m;
    const model_config *model;
    int batch;
    const char *init;  /* folder of the first weights, or NULL: by the seed */
    uint64_t seed;     /* of tokens too */
    double loss_scale; /* 0 = where a dynamic one begins */
} cli_trial;
typedef rc cli_look(void *ctx, exec *x); /* after the step */
/* tap (of every run) and look may be NULL; both get ctx. */
rc cli_try_step(const cli_trial *t, exec_tap tap, cli_look *look, void *ctx);

/* What such a step counts (dev_counts_of), added to a plan's text, or to its JSON
 * as `counts` (counts.c). */
rc cli_print_counts(const cli_trial *t, str *text);
rc cli_add_counts(const cli_trial *t, str *json);

/* Carry out such a step, and write
 * under dir all that `anneal run` needs to repeat each of its runs:
 *   NAME.mil  NAME.weights/...  call-NNN-NAME/{in,out}.PORT.npy  (dump.c) */
rc cli_dump_step(const cli_trial *t, const char *dir);

/* The file of a recipe: a path, or a name under recipes/; NULL if neither. */
rc cli_recipe(const args *a, const char *word, const char **path);

/* The MODEL folder of a word: a run's name, or a path. Notes go to stderr. */
rc cli_model(const args *a, const char *word, const char **dir);

/* Trains with a view chosen by --show, until a limit of the flags; used by
 * train and demo. r says which run, and how it begins. */
rc cli_train(const args *a, const config *c, session_run *r, train_result *out);

/* A command, "settings", or all commands with NULL. */
rc cli_help(const char *topic);
rc cli_unknown_verb(const char *word); /* E_USAGE with the nearest */

extern const char cli_demo_recipe[];

#endif
