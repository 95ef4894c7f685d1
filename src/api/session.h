/* session.h - settings turned into open things: kernels, device, data, model.
 * What both the public library and the command line stand on. */
#ifndef API_SESSION_H
#define API_SESSION_H

#include "api/config.h"
#include "base/event.h"
#include "gen/gen.h"

/* Kernels and a device, opened as device.* says. */
typedef struct {
    kern *k;
    device *dev;
} machine;
rc machine_open(const config *c, machine *out);
void machine_close(machine *m);

/* The dataset of a configuration: data.dir, or data.text tokenised under
 * cache_root. Fills model.vocab (0 = the tokenizer's) and finishes the model's
 * settings. */
typedef struct {
    const char *dir;
    model_config model;
} prepared;
rc session_prepare(const config *c, arena *mem, const char *cache_root, prepared *out);

typedef struct {
    const char *run_dir;
    event_sink sink;
    int64_t stop_after;
    double stop_minutes;
    const volatile int *stop;
} session_run;
/* Train, or go on with, the run in run_dir: settings of `c` against those the
 * run was made with (E_CONFIG names the first that may not change), data
 * prepared beside the runs, device opened, trained. */
rc session_train(const config *c, const session_run *r, train_result *out);

/* The MODEL folder that a path names: itself, or the newest complete step of a
 * run. E_IO with a hint otherwise. */
rc session_model_dir(arena *mem, const char *path, const char **out);

/* A model ready to write text. */
typedef struct writer writer;
rc writer_open(const config *c, const char *model_dir, writer **out);
void writer_close(writer *w);
typedef bool (*writer_emit)(void *ctx, int32_t id, const char *bytes, size_t n);
rc writer_run(writer *w, const char *prompt, size_t n_tokens, const gen_options *o,
              writer_emit emit, void *ctx, gen_stats *stats);

/* Loss on a text (or folder), or with text NULL on the held-out part of the
 * data the run was trained on. */
rc session_eval(const config *c, const char *path, const char *text,
                const char *cache_root, eval_result *out);

#endif
