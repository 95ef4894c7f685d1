/* exec.h - carry out one plan: stage inputs, run programs, do the host's steps
 * overlapped with the engine's, give back results. No allocation in a step. */
#ifndef EXEC_EXEC_H
#define EXEC_EXEC_H

#include "base/rng.h"
#include "dev/device.h"
#include "kern/kern.h"
#include "plan/plan.h"

typedef struct exec exec;
/* Of products of numbers that are both not zero: those dropped whole, and sums
 * that overflowed. */
typedef struct {
    uint64_t products, dropped, saturated;
} exec_count;
typedef struct {
    double ms, engine_ms, host_ms, wait_ms, staging_ms;
    double flops;               /* of all matmul-like work, engine and host */
    uint64_t infinities;        /* seen by the engine in this step */
    const char *first_infinity; /* scope of the first program that made one, or NULL */
    int launches;
    uint64_t saturated; /* sums, where the device has the chip's arithmetic */
    /* Where the device counts (dev_caps.counts), else 0 and NULL. */
    uint64_t products, dropped, flushed;
    const exec_count *kinds; /* by kind of the plan; until the next step */
    int compiles;            /* for weights that are baked, since the last step */
    double compile_ms;       /* beside the engine where it could be */
} exec_stats;

/* Load the plan's programs and make its surfaces. plan, device and kern are
 * borrowed and must outlive it. */
rc exec_open(const plan *p, device *d, kern *k, exec **out);
void exec_close(exec *x);

/* fp32 master weights of a param (NULL grad where the plan has none). Both are
 * borrowed. Call for every param, then exec_stage. */
rc exec_bind(exec *x, const char *param, float *weights, float *grad);
/* Write all (or one) weights to their surfaces as fp16. Programs with baked
 * weights are compiled by the first exec_stage; after that by the next step,
 * each before it runs, and the caller's weights may not change until then. That
 * step fails with E_BUDGET before it does anything if the device has not enough
 * compiles left for all of them. */
rc exec_stage(exec *x);
rc exec_stage_param(exec *x, const char *param);
/* The fp16 copy of a param, writable between steps, when its surface holds the
 * weights packed in order (so that AdamW can write it in the same pass): NULL
 * otherwise. Call exec_halves_begin before and exec_halves_end after. */
rc exec_halves_begin(exec *x);
half *exec_half(exec *x, const char *param);
rc exec_halves_end(exec *x);

/* Value of a named input for the next step (copied): int32 ids or fp32. */
rc exec_input(exec *x, const char *name, const void *data, size_t bytes);
/* The surface of a named fp16 input, for a value that is kept and changed
 * between steps: its rows begin *stride elements apart. Not during a step. */
rc exec_map_input(exec *x, const char *name, half **out, size_t *stride);
rc exec_unmap_input(exec *x, const char *name);
/* The weight files of a program with the weights as they are, in `mem` or the
 * plan. */
rc exec_files(const exec *x, int program, arena *mem, mil_blob_file **files,
              int *n_files);
/* What a program of the plan has counted since exec_open (dev_counts_of), of all its
 * calls together. Not during a step. */
rc exec_counts(exec *x, int program, dev_counts *out);
/* ---- surfaces given from outside (state that stays on the engine) ----
 * A place is where the plan keeps a named value on a surface of its own: a
 * weight, a kept fp16 input, an output. -1: there is none. A surface that is put
 * there (of the place's shape) is used from the next step on and stays the
 * caller's; so one plan's output becomes another's input, and the next step's.
 * A weight that is put there has no exec_half. Not during a step; the first time
 * not between exec_halves_begin and its end either. */
int exec_place(const exec *x, const char *name);
const dev_shape *exec_place_shape(const exec *x, int place);
dev_surface *exec_place_get(const exec *x, int place);
void exec_place_put(exec *x, int place, dev_surface *s);
rc exec_place_read(exec *x, int place, float *out);
rc exec_place_write(exec *x, int place, const float *in);
/* What the device doubts of a program of the plan (dev_warnings). */
size_t exec_warnings(const exec *x, int program, const char *const **lines);
/* One pass over all steps. Gradients are added to what the grad buffers hold. */
rc exec_step(exec *x, exec_stats *stats);
/* A named output of the last step, as fp32. */
rc exec_output(exec *x, const char *name, float *out, size_t n);

/* ---- exponent windows (plan.window; plan.h says what a factor is) ----
 * Set all factors, k by factor; before the first call they are 0. Every number
 * that follows from them must be one fp16 can hold (plan_window_misfit). Weights
 * are staged with the new factors from now on, and if `stage`, those whose
 * factor has changed at once. Not during a step. */
rc exec_window(exec *x, const int *k, bool stage);
/* The largest magnitude, by site of the plan's window, in the last step, as the
 * engine stored it (infinity when it overflowed). All 0 without peaks. */
rc exec_peaks(exec *x, float *out);
/* What exec_half's copy of a param must be multiplied by: 1 without a window. */
float exec_half_scale(const exec *x, const char *param);

/* What goes in and comes out of each run of the next step, as the engine sees
 * it (padding included): `tap` is called for every input port before a run and
 * for every output port after it, with fp16 data of the port's shape. Whoever
 * keeps it can repeat any run by itself. Runs do not overlap in such a step. */
typedef struct {
    int call;                   /* engine runs of the step, from 0 */
    const char *program, *port; /* names of the plan's program and its port */
    bool output;
    const dev_shape *shape;
    const void *data; /* only during the call */
} exec_port;
typedef rc (*exec_tap)(void *ctx, const exec_port *port);
void exec_tap_next(exec *x, exec_tap tap, void *ctx);

#endif
