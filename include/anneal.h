/* anneal.h - train transformers on neural engines, from C.
 *
 *   anneal *a;
 *   if (anneal_new(&a)) return 1;
 *   if (anneal_read_recipe(a, "recipes/text.conf") ||
 *       anneal_set(a, "data.text", "book.txt") ||
 *       anneal_train(a, "runs/book", NULL))
 *       fprintf(stderr, "%s\n", anneal_error(a));
 *   anneal_free(a);
 *
 * Every call that can fail returns 0 or an ANNEAL_E_ code; anneal_error() has
 * the text: the fault, lines of context, hints. The library never prints,
 * exits or reads the environment. Handles are independent: two runs in two
 * threads work; one handle is for one thread at a time, except anneal_stop() and
 * anneal_save(). */
#ifndef ANNEAL_H
#define ANNEAL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ANNEAL_VERSION "0.1.0"

#if defined(__GNUC__)
#define ANNEAL_API __attribute__((visibility("default")))
#else
#define ANNEAL_API
#endif

/* What a call returns. The number is the exit code the command would give. */
enum {
    ANNEAL_OK = 0,
    ANNEAL_E_FAILED = 1,   /* files, memory, formats */
    ANNEAL_E_SETTING = 2,  /* a setting is unknown or out of range */
    ANNEAL_E_DEVICE = 3,   /* no such device, or it refused */
    ANNEAL_E_NUMERIC = 4,  /* the numbers went bad */
    ANNEAL_E_STOPPED = 130 /* stopped by anneal_stop(); the state is saved */
};

typedef struct anneal anneal;             /* settings, callback, last error */
typedef struct anneal_model anneal_model; /* a model ready to write text */

ANNEAL_API const char *anneal_version(void);
ANNEAL_API int anneal_new(anneal **out);
ANNEAL_API void anneal_free(anneal *a); /* NULL is fine */
/* Text of the last failure of this handle; "" if none. */
ANNEAL_API const char *anneal_error(const anneal *a);

/* Settings by name and value, as in recipes ("model.layers", "6").
 *
 * What is learned of a machine (compiled programs, reports of its chip) is kept
 * in the folder device.state, and nowhere if that is empty. With it, device.uri
 * "auto" takes a chip that a self-check found to be right; the self-check itself
 * is made by the command, `anneal device info auto`, in the same folder: a
 * library has no program to start anew. */
ANNEAL_API int anneal_set(anneal *a, const char *name, const char *value);
ANNEAL_API int anneal_read_recipe(anneal *a, const char *path);

/* One JSON object per event (kinds in the documentation), without newline. The
 * callback runs in the thread that called anneal_train. */
typedef void (*anneal_event_fn)(void *ctx, const char *json, size_t bytes);
ANNEAL_API void anneal_on_event(anneal *a, anneal_event_fn fn, void *ctx);

typedef struct {
    int64_t step;         /* updates done, over all invocations */
    double loss;          /* of the last step, nats per token */
    double held_out;      /* nats per token; NaN if never evaluated */
    double nats_per_byte; /* NaN if never evaluated */
    double tokens_per_s;
    int finished, stopped; /* all steps done; ended early but saved */
} anneal_result;

/* Limits of one anneal_train call; the schedule is untouched. 0 = none. */
ANNEAL_API void anneal_limit(anneal *a, int64_t updates, double minutes);
/* Train, or go on with the run in run_dir. out may be NULL. */
ANNEAL_API int anneal_train(anneal *a, const char *run_dir, anneal_result *out);
/* Ask a running anneal_train to save and return (ANNEAL_E_STOPPED); safe in a
 * signal handler and from other threads. Between runs it stops the next one. */
ANNEAL_API void anneal_stop(anneal *a);
/* Ask a running anneal_train for a checkpoint between two steps, and to go on; also
 * with train.memory_only, which else writes nothing. A "checkpoint" event has the
 * path, a "note" why none could be made. Safe where anneal_stop is; between runs the
 * next one makes it. */
ANNEAL_API void anneal_save(anneal *a);

/* Loss of a model folder (or run) on a text file, or on the run's own held-out
 * text when text_path is NULL. Both in nats; either may be NULL. A text is
 * tokenised once and kept under runs/.data of the current folder. */
ANNEAL_API int anneal_eval(anneal *a, const char *model_dir, const char *text_path,
                           double *per_token, double *per_byte);

typedef struct {
    double temperature; /* 0 = always the likeliest */
    double top_p;       /* 0 or 1 = off */
    int top_k;          /* 0 = off */
    uint64_t seed;
} anneal_sampling;
/* Return non-zero to stop. `bytes` may end inside a UTF-8 character. */
typedef int (*anneal_text_fn)(void *ctx, const char *text, size_t bytes);

ANNEAL_API int anneal_open_model(anneal *a, const char *model_dir, anneal_model **out);
ANNEAL_API void anneal_close_model(anneal_model *m);
ANNEAL_API int anneal_generate(anneal_model *m, const char *prompt, int tokens,
                               const anneal_sampling *s, anneal_text_fn fn, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
