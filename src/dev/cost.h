/* cost.h - predicted time of programs on an engine and of work on its host.
 *
 * A caller tells what a program does, operation by operation, and reads the
 * time of one launch; the host's work is asked for by kind. What is known of a
 * chip are rows (profiles.def, hosts.def); what is not are constants fitted to
 * published timings (cost.def, docs/time.md). All of it is prediction. */
#ifndef DEV_COST_H
#define DEV_COST_H

#include <stdint.h>
#include "dev/code.h"
#include "dev/device.h"
#include "dev/profile.h"

typedef enum {
#define COST(name, ...) COST_##name,
#include "dev/cost.def"
#undef COST
    DEV_COSTS
} dev_cost_id;
typedef struct {
    double v[DEV_COSTS];
} dev_costs;
const dev_costs *dev_costs_table(void);
typedef struct {
    const char *name, *unit, *about;
    double start; /* where the fit begins */
} dev_cost_row;
const dev_cost_row *dev_cost_at(int i);

/* ---- one launch ---- */
typedef struct {
    const dev_profile *chip;
    const dev_costs *k;
    double us; /* so far */
} dev_cost;
/* k: NULL = the table's. */
dev_cost dev_cost_launch(const dev_profile *chip, const dev_costs *k);
/* A convolution (or linear layer) with a constant weight [out, in, taps]: pixels
 * are columns, or height x width x batch, of its result. bits: 16, or 8 when
 * both operands are int8. */
void dev_cost_conv(dev_cost *c, double in, double out, double taps, double pixels,
                   int bits);
/* batch products [m,k] x [k,n] of two values computed or given while running. */
void dev_cost_matmul(dev_cost *c, double batch, double m, double k, double n);
/* An elementwise operation, or a pass of a reduction, over n elements with
 * `operands` values (constants of a channel are none). */
void dev_cost_each(dev_cost *c, double n, int operands);
enum { DEV_SOFTMAX_PASSES = 4 }; /* largest; difference and exp; sum; quotient */
/* n elements put elsewhere: transpose, slice, concat. */
void dev_cost_move(dev_cost *c, double n);
/* Surfaces read and written by the launch. */
void dev_cost_surfaces(dev_cost *c, double bytes);
/* The same through a Python binding, which copies on the host (ANEForge). */
void dev_cost_python(dev_cost *c, double bytes);
double dev_cost_ms(const dev_cost *c);
/* A launch of a program that was read (cost_code.c). */
double dev_cost_code(const dev_profile *chip, const dev_code *c);

/* ---- the host, in ms ---- */
typedef struct {
    const char *name;
    double ghz, clusters, gbs;
    const char *source;
} dev_host;
/* The row of a profile as published: with unknowns. */
const dev_host *dev_host_of(const dev_profile *chip);
typedef enum {
    DEV_HOST_BLAS,   /* FLOP of fp32 products */
    DEV_HOST_PASS,   /* elements passed over by vector code */
    DEV_HOST_EXP,    /* elements of a softmax or sigmoid */
    DEV_HOST_COPY,   /* bytes copied */
    DEV_HOST_CAST,   /* fp32 bytes converted to or from fp16 */
    DEV_HOST_SCALAR, /* the same, one by one */
    DEV_HOST_MEMORY, /* bytes at the bandwidth of memory: the floor */
} dev_host_work;
double dev_host_ms(const dev_profile *chip, const dev_costs *k, dev_host_work w,
                   double n);

/* ---- power, as published ---- */
typedef struct {
    const char *chip, *rail, *doing;
    double watts;
    const char *source;
} dev_power;
const dev_power *dev_power_at(size_t i); /* NULL past the end */
/* Of the chip's engine under that very load; NULL: not published. */
const dev_power *dev_power_while(const dev_profile *chip, const char *doing);
/* Of the engine while it trains, else under a load that lasts; other loads draw
 * several times more or less, and do not stand in for it. NULL: not published. */
const dev_power *dev_power_training(const dev_profile *chip);

#endif
