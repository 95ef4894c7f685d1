/* internal.h - the parts of an exec. */
#ifndef EXEC_INTERNAL_H
#define EXEC_INTERNAL_H

#include <pthread.h>
#include "exec/exec.h"

/* A step is WAITING until issued; an engine step is then FLYING until some
 * thread, LANDING, waits for its ticket; a host step is FLYING while queued or
 * run. */
typedef enum { STEP_WAITING, STEP_FLYING, STEP_LANDING, STEP_DONE } step_state;

typedef struct {
    const char *name;
    float *weights, *grad;
    int64_t count;
    int factor; /* window: of its staged copies, -1 = none */
} binding;

typedef struct host_eval host_eval;

/* What one host step needs, made at open so that a step allocates nothing. */
typedef struct {
    host_eval *eval;     /* EVAL */
    uint64_t infinities; /* EVAL: written by the last run */
    float *floats;       /* LOSS, of sums: their base, and these */
    double *loss;        /* LOSS: by column */
    kern_ce_part *parts;
    void **map; /* LOSS */
} host_work;

struct exec {
    const plan *p;
    device *d;
    kern *k;
    arena *mem;
    dev_program **programs;
    dev_surface **surfaces; /* by buffer; NULL off the device; slots shared */
    dev_surface **slots;
    bool *lent;   /* by buffer: the surface is the caller's */
    int *mapping; /* by buffer: first buffer with the same surface */
    void **host;  /* by buffer: HOST and INPUT memory */
    int n_bindings;
    binding *bindings;
    int *bound;         /* by buffer: MASTER, GRAD, WEIGHT -> binding */
    host_work *work;    /* by step */
    dev_surface **args; /* ports of the run being issued */

    /* Shared by the caller's thread and the worker, under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t moved;
    step_state *state; /* by step */
    uint64_t *ticket;  /* by step */
    int *mapped;       /* by buffer with its own or its slot's surface */
    void **address;
    int *queue;
    int queue_n, queue_at;
    bool stop, threaded;
    err_saved failure; /* first of this step; code OK = none */
    int failed_step;
    exec_stats stats;
    int infinite_step; /* first with infinities, or -1 */
    pthread_t worker;
    int *counted_at;             /* by program: where its products begin in `counted` */
    exec_count *counted, *kinds; /* at the end of the last step; NULL: no counts */
    exec_tap tap;                /* of the next step, or NULL */
    void *tap_ctx;
    int *power;     /* window: by factor; NULL = off */
    float *numbers; /* window: one input, or one output of peaks */
    bool halves_open;
    bool renew; /* the last step failed */
    /* Baked weights: by program, does it hold others than the masters? Under
     * `lock` while the baker runs. */
    bool *stale;
    bool baking, baker_runs;
    pthread_t baker;
    err_saved bake_failure;
};

/* Map the surface of a buffer, which others of its slot may have mapped too. */
rc exec_map(exec *x, int buffer, void **out);
rc exec_unmap(exec *x, int buffer);

/* host_ops.c: carry out one host step. */
rc exec_host_prepare(exec *x, int step);
rc exec_host_run(exec *x, int step);
void exec_host_release(exec *x, int step);

/* host_eval.c: EVAL */
rc host_eval_prepare(exec *x, int step);
rc host_eval_run(exec *x, int step);
void host_eval_release(exec *x, int step);

/* worker.c */
rc exec_worker_start(exec *x);
void exec_worker_stop(exec *x);
void exec_worker_give(exec *x, int step);
/* Wait until step `i`, issued before, is done; OK or the step's failure. */
rc exec_await(exec *x, int i);
/* Record the first failure of a step. Called with the lock held or not. */
void exec_fail(exec *x, int step, rc code);
rc exec_run_host(exec *x, int step);

/* io.c: a buffer's elements, row-major without padding, as fp32 and back. */
rc exec_read(exec *x, int buffer, float *out);
rc exec_write(exec *x, int buffer, const float *in);
/* out += elements times the factor. */
rc exec_add(exec *x, int buffer, float factor, float *out);
rc exec_memory(exec *x, int buffer, void **out); /* host homes only */

/* window.c */
rc exec_window_open(exec *x);
float exec_window_weight(const exec *x, const binding *b); /* its staged copies' */
float exec_window_form(const exec *x, int form);           /* 2^form */

/* counts.c: at the end of a step, when no run is in flight. */
rc exec_counts_open(exec *x);
rc exec_counts_check(exec *x, int program); /* does the device count what is planned? */
rc exec_counts_step(exec *x);

/* exec.c: compile a program; its ports must be the plan's, in its order. */
rc exec_load(exec *x, int program, const mil_blob_file *files, int n_files);

/* bake.c: programs that hold `param` (NULL: any) as a constant are stale now. */
void exec_bake_stale(exec *x, const char *param);
/* Compile what is stale; `beside`: on a thread of its own, to be joined. E_BUDGET
 * before anything is compiled, if there is no room for all of it. */
rc exec_bake(exec *x, bool beside);
rc exec_bake_wait(exec *x, int program); /* until it is not stale */
void exec_bake_join(exec *x);

/* tap.c: show a run's inputs or outputs. */
rc exec_show_call(exec *x, int step, bool outputs);

#endif
