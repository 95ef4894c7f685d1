/* timeline.h - when each part of a step is predicted to run, and where. */
#ifndef PLAN_TIMELINE_H
#define PLAN_TIMELINE_H

#include "plan/plan.h"

/* BESIDE: the host's second thread, while the engine goes on. STAGING: new
 * weights on their way to surfaces. */
typedef enum {
    PLAN_LANE_ENGINE,
    PLAN_LANE_HOST,
    PLAN_LANE_BESIDE,
    PLAN_LANE_STAGING,
    PLAN_LANES
} plan_lane;
const char *plan_lane_name(int lane);

typedef struct {
    plan_lane lane;
    const char *name, *scope, *cause; /* scope "" = of the whole step */
    double from_ms, ms;
} plan_block;

/* Steps go in order, each in its lane after what it waits for, as exec issues
 * them; then, when gradients are made, the update: optimizer, staging, and baked
 * programs' compiles. In `mem`; returns when all is done through *end_ms. */
rc plan_blocks(const plan *p, arena *mem, plan_block **out, int *n, double *end_ms);

/* A step in parts, in ms. What overlaps is in `step` and `pass` once, in `serial`
 * as often as it is done. */
typedef struct {
    double step, pass; /* with the update, and without: forward and backward */
    double engine, host, staging, optimizer;
    double serial; /* a step in which nothing runs beside anything else */
    double floor;  /* AdamW at the bandwidth of memory, 28 bytes a parameter
                      (cost.h); 0 = no moments, or no known chip */
} plan_times;
plan_times plan_times_of(const plan *p);

/* Lanes as lines of letters, and what each letter is. */
rc plan_print_timeline(const plan *p, str *out);

#endif
