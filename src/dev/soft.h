/* soft.h - what drivers without hardware share: parameters, surfaces in plain
 * memory, a queue served by one worker thread, limits, and the bookkeeping of
 * programs. The emu driver adds a compiler and an executor; the null driver
 * adds nothing. Functions with the signature of a dev_driver slot can stand in
 * its table as they are. */
#ifndef DEV_SOFT_H
#define DEV_SOFT_H

#include <pthread.h>
#include "dev/code.h"

enum { SOFT_SURFACES = 128 }; /* per run: rule surface_slots */
enum { SOFT_RESULTS = 4096 }; /* runs whose result is kept */
enum { SOFT_DEPTH_MAX = 127 };
enum { SOFT_WORKERS = 8 };
typedef enum { SOFT_FAST, SOFT_WIDE, SOFT_EXACT } soft_arithmetic;

/* "m4,wide,faithful,rules=all,isa=avx2,compiles=none,fail=3" */
typedef struct {
    const dev_profile *profile;
    soft_arithmetic arithmetic;
    bool count;       /* exact: dropped products are counted */
    bool faithful;    /* do the wrong thing instead of refusing it */
    bool rules_all;   /* disputed rules hold as well */
    char isa[16];     /* "" = that of the kern given */
    int compiles_max; /* 0 = no limit: compiles=none */
    int programs_max; /* 0 = the profile's */
    uint64_t fail;    /* the n-th run fails (tests of error handling); 0 none */
} soft_params;
/* `computes`: arithmetic and isa are accepted. */
rc soft_params_parse(const char *driver, bool computes, const char *text,
                     soft_params *out);
/* One of those words, for drivers with words of their own. */
rc soft_params_word(const char *driver, bool computes, const char *word, soft_params *p);

typedef struct soft_device soft_device;
typedef struct soft_program soft_program;
typedef struct {
    dev_surface base;
    dev_shape shape;
    size_t bytes; /* usable, >= the packed tensor */
    void *mem;
    /* Guarded by the device's lock. */
    bool mapped, invalid; /* invalid: the run that should write it failed */
    int writers, readers; /* runs in flight */
    int writing, reading; /* of those, runs that have started */
} soft_surface;

/* What a broken rule does in faithful mode; bits. */
enum {
    SOFT_RUN_FAILS = 1, /* every run ends with status 0x1d */
    SOFT_ZEROS = 2,     /* outputs are zeros */
    SOFT_POISONS = 4    /* after a run, every run of the device fails */
};

struct soft_program {
    dev_program base;
    dev_code *code;     /* owned */
    dev_port *in, *out; /* binding order; in code->mem */
    dev_ports ports;
    double predicted_ms; /* < 0 unknown */
    int n_warnings;
    const char **warnings;
    unsigned wrong; /* SOFT_* bits */
    /* Guarded by the device's lock. */
    int in_flight;
    int *busy, own_busy; /* is it running? Handles of one program share one */
};

typedef struct {
    soft_program *program;
    uint64_t ticket;
    unsigned wrong;
    int n;
    soft_surface *s[SOFT_SURFACES]; /* inputs, then outputs */
} soft_job;

typedef struct {
    uint64_t ticket; /* 0 = empty */
    rc code;
    err_saved *error;
    dev_stats stats;
} soft_result;

/* Compute one job; called by a worker, one at a time for each program. */
typedef rc soft_execute(soft_device *d, soft_job *job, dev_stats *stats);

struct soft_device {
    device base;
    soft_params params;
    dev_caps caps;
    kern *k, *own;         /* own: opened for isa=, closed with the device */
    soft_execute *execute; /* NULL: runs do nothing */
    bool hardware;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    int workers, started; /* workers wanted (set before soft_start; 0 = 1), running */
    pthread_t worker[SOFT_WORKERS];
    bool stop, poisoned;
    soft_job *jobs;
    int head, n_jobs; /* ring of queue_depth: runs that have not started */
    int n_running;
    soft_result *results;
    uint64_t next; /* tickets given */
    /* readings */
    int compiles, loaded;
    size_t bytes;
    double busy_ms, busy_from_ms; /* some run was on the engine; since when */
    double sampled_busy_ms, sampled_at_ms;
};

/* Fill in a zeroed device that its driver allocated; on failure the caller
 * frees it. soft_stop waits for the queue and ends the workers. `hardware`, set
 * before: the engine is a real one, so no kernels are opened for it. */
rc soft_start(soft_device *d, const dev_driver *driver, const soft_params *p, kern *k,
              soft_execute *execute);
void soft_stop(soft_device *d);

/* Loading, shared: budget and slots, reading, rules, ports, prediction. p is
 * zeroed memory of the driver. soft_unload gives the slot back after the last
 * run has ended; the driver frees p itself. */
rc soft_load(soft_device *d, const dev_source *src, soft_program *p);
/* soft_load without budget and slots, for drivers that count themselves. */
rc soft_read(soft_device *d, const dev_source *src, soft_program *p);
void soft_loaded(soft_program *p); /* count it: loading has succeeded */
/* Other weights for a loaded program, which is a compile and counted as one:
 * E_BUDGET when there is none left. All change or none. */
rc soft_rebind(soft_program *p, const mil_blob_file *files, int n);
void soft_unload(soft_program *p);
/* Wait until no run of p is in flight. */
void soft_settle(soft_program *p);

rc soft_caps(device *d, dev_caps *out);
rc soft_ports(dev_program *p, dev_ports *out);
/* The bytes of a surface of this shape; E_SHAPE if there can be none. */
rc soft_surface_bytes(const dev_shape *shape, size_t *out);
rc soft_surface_new(device *d, const dev_shape *shape, dev_surface **out);
rc soft_map(dev_surface *s, void **host);
rc soft_unmap(dev_surface *s);
void soft_drop(dev_surface *s);
rc soft_run(dev_program *p, dev_surface *const *in, int n_in, dev_surface *const *out,
            int n_out, uint64_t *ticket);
rc soft_wait(device *d, uint64_t ticket, dev_stats *stats);
rc soft_sample(device *d, dev_sample *out);
rc soft_supports(device *d, const char *op, int n, const mil_type *types,
                 const char **why);
size_t soft_warnings(dev_program *p, const char *const **out);

/* queue.c */
rc soft_queue_open(soft_device *d);
void soft_queue_close(soft_device *d);
/* Blocks while queue_depth runs are in flight. */
rc soft_enqueue(soft_device *d, const soft_job *job, uint64_t *ticket);

/* judge.c: rules. Strict refuses (E_RULE) what a rule that holds forbids;
 * faithful notes in p->wrong or *wrong what the chip then does, or fails as
 * the chip's compiler does. Disputed rules only warn unless rules=all. */
rc soft_judge_program(soft_device *d, soft_program *p);
rc soft_judge_run(soft_device *d, soft_program *p, soft_surface *const *s,
                  unsigned *wrong);

/* Bytes of a packed tensor; SIZE_MAX if it does not fit a number. */
size_t soft_tensor_bytes(const mil_type *t);

#endif
