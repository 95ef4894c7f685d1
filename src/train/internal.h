/* internal.h - between the files of the train room.
 *
 *   session.c   a model's graph planned, loaded and bound: one call, one pass
 *   open.c      a run's folder, log, data and model, until it can step
 *   restore.c   the checkpoint it goes on from
 *   step.c      one update: batches, gradients, norm, AdamW
 *   window.c    factors of exponent windows
 *   counts.c    products dropped, where the device counts them
 *   policy.c    what a weight policy asks of a run
 *   resident.c  weights and moments that stay on the engine
 *   held.c      the loss on text never trained on
 *   report.c    events
 *   keep.c      checkpoints of a run, due or asked for
 *   budget.c    compiles and program slots: what is loaded when
 *   hand.c      over a restart in memory
 *   run.c       the loop */
#ifndef TRAIN_INTERNAL_H
#define TRAIN_INTERNAL_H

#include "base/file.h"
#include "base/shared.h"
#include "train/train.h"

/* ---- session.c ---- */
typedef struct {
    plan *plan;
    exec *exec;
    int batch, seq;
} session;
/* Plan and load a form of a model; weights (and grads, laid out like them; NULL
 * where the form has none) are bound and staged. */
rc session_open(model *mo, model_form form, int batch, int seq, const plan_options *o,
                device *d, kern *k, float *grads, session *out);
/* The same in two steps: the plan alone, which needs no weights, then the rest.
 * After a failure the session is still to be closed. */
rc session_layout(const model_config *c, model_form form, int batch, int seq,
                  const plan_options *o, device *d, session *out);
rc session_load(session *s, model *mo, device *d, kern *k, float *grads);
void session_unload(session *s); /* gives its slots back; the plan stays */
void session_close(session *s);  /* of a zeroed session too */
/* ids and targets: batch * seq. scale 0: the form has no gradients. */
rc session_step(session *s, const int32_t *ids, const int32_t *targets, double scale,
                double *loss, exec_stats *stats);

/* ---- policy.c ---- */
const char *policy_name(plan_weights w);
/* Refuses what the policy cannot do; o->accum becomes the passes an update
 * really takes. */
rc policy_check(const plan_options *p, train_options *o);
/* E_BUDGET if no process can hold the programs of both; plans are enough. With
 * held NULL: of the first. */
rc policy_fits(const session *step, const session *held);
typedef struct run run;
plan_weights policy_of(const run *r); /* as planned: never AUTO */
bool policy_rest(const run *r);       /* it has r->rest */

/* ---- schedule.c ---- */
enum { SCALE_START = 1024, SCALE_MIN = 1, SCALE_MAX = 65536, SCALE_PATIENCE = 200 };
/* Count this step and move the loss scale. */
void scale_after(const train_options *o, bool overflow, train_state *s);
/* Nothing is left to halve. */
bool scale_at_floor(const train_options *o, const train_state *s);

/* ---- window.c ---- */
typedef struct train_window train_window;
/* What window_after did. burst: the product that was infinite, or NULL. */
typedef struct {
    int raised, lowered, cut;
    const char *burst;
} window_moves;
/* *out NULL for a plan without windows. */
rc window_new(const plan *p, train_window **out);
void window_free(train_window *t);
const int *window_factors(const train_window *t); /* for exec_window */
/* Look at the products of one pass. */
rc window_watch(train_window *t, exec *x);
/* The step is over: move the factors for the next. scope: where the first infinity
 * was made, NULL = nowhere known. True: it came of a factor, which has stepped
 * back. */
bool window_after(train_window *t, bool overflow, const char *scope, const model *mo,
                  kern *k, window_moves *moves);
void window_forget(train_window *t); /* the passes of a step that failed */
/* Give another plan of the model the factors of the same names. t may be NULL. */
rc window_lend(const train_window *t, const plan *p, exec *x);
/* As a JSON object: *text is t's until the next call. */
rc window_save(train_window *t, const char **text);
rc window_load(train_window *t, const char *text);

/* ---- the run ---- */
typedef struct resident resident;
struct run {
    const train_job *job;
    train_options o; /* job's, zeros filled */
    file_lock_ lock;
    bool locked;
    file *log; /* events.jsonl */
    bool hold; /* events wait in `kept`: memory_only */
    str kept;  /* lines that are not in the file yet */
    int64_t lost_lines;
    int64_t found_step; /* newest checkpoint in the folder when `hold` began; -1 = none */
    bool anew;          /* the folder is still to be emptied */
    event event;
    err_saved log_error; /* first event that could not be written */
    dataset *data;
    data_facts facts;
    model *mo;
    float *m, *v, *grads;   /* laid out like mo->weights */
    shared arrays;          /* where weights, m, v, rest are, if they can be handed on */
    int32_t *ids, *targets; /* one micro-batch */
    train_state s;
    session step, held;   /* held is opened by the first evaluation */
    train_window *window; /* NULL = off */
    resident *resident;   /* NULL = weights are the host's */
    float *rest;          /* resident: what fp32 weights have lost; laid out alike */
    double began_ms, wall_before_s;
    int64_t began_step, saved_step; /* of the newest checkpoint, -1 = none */
    int64_t good_step;              /* newest that is known to give a finite loss */
    int64_t bad_since;              /* step of the first of `overflows` */
    int overflows;                  /* in a row, of any kind */
    int hopeless;                   /* of these, with no scale left to halve */
    /* Of the last step: what exec_stats says, and by kind of the plan, NULL where
     * the device does not count. */
    uint64_t products, dropped, saturated, flushed;
    exec_count *kinds;
    int compiles;           /* of the last step, for baked weights */
    double tokens, step_ms; /* of this invocation, for tokens per second */
    /* restarts in memory */
    dev_caps caps;
    bool taken;         /* this image goes on for another */
    bool in_round;      /* the update is made, what follows it is not */
    int restarts;       /* so far */
    int stuck;          /* images in a row, this one not counted, without progress */
    int64_t image_step; /* where this image began */
    double image_ms;    /* and when */
    bool evaluated;     /* this image has */
};

/* ---- resident.c: plan.weights=resident; none of it otherwise ---- */
rc resident_open(run *r); /* r->resident; state goes to the engine */
void resident_close(resident *t);
rc resident_gradients(resident *t); /* of the last pass, into r->grads */
/* AdamW for what stays there. On failure nothing has changed. */
rc resident_update(resident *t, const kern_adamw_args *a);
rc resident_pull(resident *t); /* weights, moments and r->rest, to save them */

/* open.c. After a failure the run is still to be closed. */
rc run_open(const train_job *job, run *r);
void run_close(run *r);
/* The run's folder, its lock, recipe and log: before anything is written to it.
 * Does nothing when that is done. */
rc run_folder(run *r);
rc run_log_flush(run *r);

/* keep.c */
/* The checkpoint of this step, unless there is one. */
rc run_save(run *r);
/* Where a run keeps its last step: with memory_only only if told to. */
rc run_keep(run *r);
bool run_spoilt_now(const run *r); /* the last loss was no number */
void run_serve(run *r);            /* save if somebody asks */

/* budget.c */
/* Refuse a plan that no process may load. Whether restarts are to be expected. */
rc budget_check(run *r, bool *restarts);
/* Load, bind, stage what is needed next. E_RESTART: in another image. */
rc budget_step(run *r);
rc budget_held(run *r);
/* The step's programs give their slots back; what stays on the engine comes to
 * the host before. On failure both are as they were. */
rc budget_unload_step(run *r);
/* A restart because of `why`, paced. E_RESTART; E_BUDGET when the last ones
 * brought nothing; E_STOPPED when asked to while waiting; if the caller cannot
 * restart, OK: whatever must fail then fails by itself. */
rc run_restart(run *r, const char *why);

/* hand.c */
rc hand_arrays(run *r); /* mo->weights, m, v, rest in shared memory */
rc hand_over(run *r, int *fd);
rc hand_take(run *r); /* fills weights, moments, r->s and the rest */

/* restore.c: fills weights, moments and r->s. */
rc run_restore(run *r);
/* The state of the image before, told what has changed about the machine. */
rc run_go_on(run *r, const train_state *had);

/* step.c: advances r->s by one step. E_NUMERIC when it is hopeless. */
rc run_step(run *r);
/* E_NUMERIC for weights that give no number at the end of a run. */
rc run_spoilt(run *r);
void step_clear(run *r); /* gradients to zero */
/* Exponent windows for the next step: before AdamW, which stages the weights;
 * after an overflow it does not run, so they are staged here. *ours (may be
 * NULL): the overflow came of a factor. */
rc step_window(run *r, bool overflow, const char *scope, bool *ours);
/* What stays on the engine is updated there; before step_apply. On failure
 * nothing was. */
rc step_stay(run *r, double lr, double grad_scale);
/* AdamW over all other params with r->grads times grad_scale; update r->s.updates. */
rc step_apply(run *r, double lr, double grad_scale);

/* counts.c */
rc counts_open(run *r); /* its plan is made */
void counts_clear(run *r);
void counts_add(run *r, const exec_stats *s); /* one pass of the step */
void counts_report(event *e, const run *r);

/* run.c: the newest checkpoint has just given a finite loss. */
rc run_saved_is_good(run *r);

/* held.c */
/* r: whose evaluation it is, to stop it and to say how far it is; or NULL. */
rc held_loss(session *s, dataset *data, int64_t max_windows, const run *r, int32_t *ids,
             int32_t *targets, eval_result *out);
rc run_evaluate(run *r);
rc held_layout(run *r, const model_config *c); /* r->held's plan, after r->step's */
/* A held-out number that is not there is NaN in r->s. */

/* report.c */
double run_seconds(const run *r);
void report_start(run *r);
void report_step(run *r, double norm, double lr, double ms);
void report_overflow(run *r, const exec_stats *stats, double loss);
void report_window(run *r, const window_moves *m); /* nothing if nothing moved */
void report_eval(run *r);
void report_checkpoint(run *r, const char *dir);
void report_note(run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void report_doubts(run *r); /* a note for each disputed rule the programs break */
void report_restart(run *r, const char *dir);
void report_taken(run *r); /* goes to the file with the next event */
void report_done(run *r);
void report_failed(run *r, const char *text);

#endif
