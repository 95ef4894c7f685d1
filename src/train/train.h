/* train.h - many steps: optimizer, schedule, scaling, checkpoint, resume.
 *
 * The trainer emits events and never prints. A run is a folder:
 *   recipe.conf  events.jsonl  lock  step-NNNNNNNN/  best -> (in state.json)
 * A step folder is a complete checkpoint (committed by rename) and a MODEL:
 *   model.safetensors optim.safetensors state.json config.json tokenizer.json */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/event.h"
#include "data/data.h"
#include "dev/device.h"
#include "exec/exec.h"
#include "model/model.h"
#include "plan/timeline.h"

typedef enum { TRAIN_COSINE, TRAIN_LINEAR, TRAIN_CONSTANT } train_schedule;
typedef struct {
    int64_t steps;
    int batch, accum;
    double lr, min_lr;
    int64_t warmup;
    train_schedule schedule;
    double weight_decay, beta1, beta2, eps, clip; /* clip 0 = off */
    bool scale_dynamic;
    double loss_scale; /* start (0 = 1024), or the fixed value */
    uint64_t seed;
    int64_t eval_every, checkpoint_every; /* 0 = never (but at the end, always) */
    int keep;                             /* last n and the best; 0 = all */
    int64_t eval_windows;                 /* held-out windows per evaluation, spread
                                             evenly over the text; 0 = all */
    bool memory_only;                     /* write nothing until asked (train_ask) */
    bool save_end;                        /* ... but the last step, when the run ends */
    int64_t restart_every; /* restart in memory after so many updates; 0 = only
                              when the device's compiles are used up */
    double restart_pause;  /* least seconds between two restarts; 0 = as the
                              device wants it */
} train_options;

/* ---- restart in memory (hand.c) ----
 * A process may compile only so many programs. When they are used up, the run
 * is handed over to another image of the same process: train_run leaves weights,
 * moments and all that it knows in memory that survives exec, and returns
 * E_RESTART; the caller starts itself anew and passes what it was left to the
 * next train_run, which goes on with the next update as if nothing had been.
 * Who cannot start itself anew (a library in another program) does not allow it,
 * and gets E_BUDGET with a checkpoint saved, as before. */
typedef struct train_hand train_hand;
/* A text of the caller's that is handed on with the state. */
typedef struct {
    const char *p;
    size_t n;
} train_part;
enum { TRAIN_PARTS = 6 };
/* What train_result.handed is the number of. E_FORMAT if it is nothing of ours,
 * damaged, or was left by another process or another version. */
rc train_hand_open(int fd, train_hand **out);
/* Part i of the caller's; empty if there was none. Valid until closed. */
train_part train_hand_part(const train_hand *h, int i);
void train_hand_close(train_hand *h); /* NULL is fine; what was not taken is lost */

/* Somebody may ask a living run to save itself. asked() is called between
 * steps, in the run's thread; after true the run saves and tells the path of the
 * checkpoint, or with an rc why not. A save that fails does not end the run. */
typedef struct {
    bool (*asked)(void *ctx);
    void (*told)(void *ctx, rc bad, const char *text);
    void *ctx;
} train_ask;

/* How far an evaluation is, after each batch: windows done, of all of it. Said to who
 * watches, and no event: nothing of it is kept. */
typedef struct {
    void (*put)(void *ctx, int64_t step, uint64_t done, uint64_t of); /* may be NULL */
    void *ctx;
} train_progress;

/* What the caller resolved: everything a run needs. Borrowed while it runs. */
typedef struct {
    train_options options;
    model_config model;
    const char *init_dir; /* NULL = random */
    plan_options plan;
    const char *data_dir;      /* dataset folder */
    const char *run_dir;       /* runs/NAME */
    bool anew;                 /* drop what the run holds first */
    const char *recipe_text;   /* resolved, saved in the run */
    const char *settings_json; /* the same as a JSON object, or NULL */
    device *dev;
    kern *k;
    const char *still_writes; /* what the device writes of a run that writes nothing,
                                 or NULL: a note says so */
    event_sink sink;          /* also written to events.jsonl */
    train_progress progress;
    int64_t stop_after;
    double stop_minutes;     /* this invocation only; 0 = none */
    const atomic_int *stop;  /* set non-zero to stop cleanly */
    const train_ask *ask;    /* NULL = nobody asks */
    bool may_restart;        /* the caller can start itself anew */
    const train_part *parts; /* TRAIN_PARTS of them, or NULL */
    train_hand *taken;       /* go on from here; the caller closes it */
} train_job;

typedef struct {
    int64_t step;
    double loss, held_out, nats_per_byte, tokens_per_s;
    bool finished, stopped;
    int64_t saved_step; /* of the newest checkpoint; -1 = none */
    int handed;         /* with E_RESTART: the descriptor to open in the next image,
                           made to survive exec; else -1 */
} train_result;

/* Train or go on. Goes on from the newest complete checkpoint in run_dir that
 * verifies (a bad one is named in a `note` event and skipped). E_BUSY if the
 * run is in use; E_NUMERIC when the loss goes bad for good (names the scope
 * where it began and the last good checkpoint); E_STOPPED after a clean stop
 * (state saved); E_RESTART when it is to be gone on with by another image; with
 * E_BUDGET a device that cannot hold the plan in any process, before anything is
 * written, or restarts that bring nothing. */
rc train_run(const train_job *job, train_result *out);
/* What train_run refuses before it writes anything: options out of range, data
 * that cannot be opened, a model that cannot be, text shorter than a window.
 * *out: the model as it would be trained, vocabulary and all. */
rc train_check(const train_job *job, model_config *out);

/* lr of update `step` (0-based). */
double train_lr(const train_options *o, int64_t step);

/* Mean loss over held-out windows of a dataset with given weights (at most
 * max_windows, spread evenly; 0 = all). */
typedef struct {
    double held_out, nats_per_byte;
    uint64_t tokens;
} eval_result;
rc train_eval(model *m, const char *data_dir, device *d, kern *k, int64_t max_windows,
              eval_result *out);
/* Loss and unscaled mean-loss gradients (fp32, flat like m->weights) of one
 * batch ids[B*(T+1)] row-major. loss_scale is applied and taken out again. */
rc train_grad(model *m, int batch, int seq, const int32_t *ids, double loss_scale,
              device *d, kern *k, double *loss, float *grads);

/* Time `repeat` whole updates (forward, backward, AdamW) on random tokens, after
 * one that is not counted; no files, no data. (timing.c) */
typedef struct {
    double ms, min_ms; /* median, least */
    double flops;      /* 2*MAC of every matmul of one update */
    plan_times predicted;
    double watts; /* of the engine meanwhile; NaN = no meter */
    int loads, launches;
} train_timing;
/* each: the time of every update in order, room for `repeat`; may be NULL. */
rc train_time(const model_config *c, int batch, int repeat, const plan_options *o,
              device *d, kern *k, double *each, train_timing *out);

/* ---- checkpoints (checkpoint.c) ---- */
typedef struct {
    int64_t step;     /* batches seen, skipped updates included */
    int64_t updates;  /* AdamW's t: updates really made */
    uint64_t example; /* next training example */
    double loss_scale;
    int64_t good_steps; /* since the scale last changed */
    double loss;        /* of the last step; NaN = none */
    double held_out, nats_per_byte;
    int64_t held_out_step; /* last evaluation; step -1 = none */
    double best_held_out;
    int64_t best_step; /* among checkpoints; step -1 = none */
    double wall_s;
    const char *window; /* factors of exponent windows, JSON; NULL = off. Written
                           only: checkpoint_window reads it */
    const float *rest;  /* resident weights: what fp32 has lost of them, laid out like
                           the weights; NULL = none. Written only: checkpoint_rest */
    uint64_t data_checksum;
    uint64_t seed;
    int batch, accum;
    /* Not needed to go on; a change is told by a `note` event. */
    char device[512], isa[16];
    char blas[16];    /* "" = our kernels */
    char weights[16]; /* plan.weights, "" = streamed */
    int threads;
    int64_t steps;
    double lr;
} train_state;
/* Save into run_dir/step-NNNNNNNN via a temporary folder and rename; a folder
 * of that name is replaced. m, v may be NULL (model only), and so may
 * tokenizer_path. On failure the temporary folder is removed. */
rc checkpoint_save(const char *run_dir, const model *mo, const float *m, const float *v,
                   const train_state *s, const char *tokenizer_path);
/* Complete checkpoints, oldest first (steps), in the arena. */
rc checkpoint_list(arena *mem, const char *run_dir, int64_t **steps, size_t *n);
char *checkpoint_dir(arena *mem, const char *run_dir, int64_t step);
/* Verify checksums and read; m, v may be NULL. E_FORMAT: damaged or of another
 * format version. */
rc checkpoint_load(const char *dir, model *mo, float *m, float *v, train_state *s);
rc checkpoint_verify(const char *dir, train_state *s); /* s may be NULL */
/* What was saved as train_state.window, in the arena; NULL if nothing was. */
rc checkpoint_window(arena *mem, const char *dir, char **text);
/* What was saved as train_state.rest; zeros if nothing was. */
rc checkpoint_rest(const char *dir, const model *mo, float *rest);
/* Of the checkpoints up to step `newest`, remove all but the last `keep` (0 =
 * keep all) and the best. Later ones are left alone: a run that went on from an
 * older checkpoint has not replaced them yet. What an interrupted save or
 * prune left behind goes too. */
rc checkpoint_prune(const char *run_dir, int keep, int64_t newest, int64_t best_step);

#endif
