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
    const char *still_writes; /* the device, with train.memory_only; static, or NULL */
} machine;
/* With train.memory_only it writes nothing, and asks nobody to try a chip. */
rc machine_open(const config *c, machine *out);
void machine_close(machine *m);

/* The dataset of a configuration: data.dir, or data.text tokenised under
 * cache_root. *dir is in the arena. */
rc session_data(const config *c, arena *mem, const char *cache_root, const char **dir);

/* The model that the settings describe. With model.init (a MODEL, or a run by its
 * path or by its name beside run_dir) it has that model's shape, which is then
 * said in the settings, and *init is the MODEL folder; else *init is NULL. */
rc session_model(config *c, arena *mem, const char *run_dir, const char **init,
                 model_config *out);

typedef struct {
    const char *run_dir;
    bool own_recipe; /* what is not set comes from the run's recipe.conf */
    bool anew;       /* start over: what the run holds is dropped */
    event_sink sink;
    train_progress progress;
    int64_t stop_after;
    double stop_minutes;
    const atomic_int *stop;
    const train_ask *ask;
    bool may_restart;       /* the program can start itself anew (train/train.h) */
    train_hand *taken;      /* set by session_take_over */
    const char *memory_dir; /* a folder in a memory file system, where tokens are
                               made for a run that writes nothing; or NULL */
} session_run;
/* The settings and the run that another image of this process handed over: what
 * it was told, not what files say now. *c to be freed; texts in the arena. */
rc session_take_over(train_hand *h, arena *mem, config **c, session_run *r);

/* A training that is ready to start: settings of `c` against those the run was
 * made with (E_CONFIG names the first that may not change), device opened, data
 * tokenised beside the runs, all that train_check refuses refused. Nothing of
 * the run is written yet. */
typedef struct session_job session_job;
rc session_job_open(const config *c, const session_run *r, session_job **out);
void session_job_close(session_job *j); /* NULL is fine */
const train_job *session_job_of(const session_job *j);
/* What its step would be on its device; free with plan_free. */
rc session_plan(const session_job *j, plan **out);
/* Train, or go on with, the run in run_dir. E_RESTART, where r->may_restart: the
 * caller's next image opens out->handed (train_hand_open) and goes on. */
rc session_train(const config *c, const session_run *r, train_result *out);

/* The MODEL folder that a path names: itself, or the newest complete step of a
 * run. A checkpoint is verified; those of a run that are damaged are passed over
 * and named in `notes`, a line each (may be NULL). E_IO with a hint where there
 * is none; E_FORMAT where none is whole. What follows takes such a folder. */
rc session_model_dir(arena *mem, const char *path, const char **out, str *notes);
/* E_IO with a hint where a MODEL has none. */
rc session_tokenizer(const char *model_dir, tokenizer **out);

/* A model ready to write text. */
typedef struct writer writer;
rc writer_open(const config *c, const char *model_dir, writer **out);
void writer_close(writer *w);
typedef bool (*writer_emit)(void *ctx, int32_t id, const char *bytes, size_t n);
rc writer_run(writer *w, const char *prompt, size_t n_tokens, const gen_options *o,
              writer_emit emit, void *ctx, gen_stats *stats);

/* Loss of a MODEL on a text or folder (tokenised under cache_root), or with text
 * NULL on the held-out part of the data its run was trained on; on at most
 * max_windows of it, evenly spread (0 = all). */
rc session_eval(const config *c, const char *model_dir, const char *text,
                const char *cache_root, int64_t max_windows, eval_result *out);

#endif
