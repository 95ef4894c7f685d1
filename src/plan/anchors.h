/* anchors.h - published timings, what the model of time says of each, and how
 * far it is off (anchors.def, docs/time.md). */
#ifndef PLAN_ANCHORS_H
#define PLAN_ANCHORS_H

#include "dev/cost.h"

typedef struct {
    const char *name;
    const dev_profile *chip;
    bool sure; /* scored: chip and what ran are certain */
    int what;
    double a[4];
    double measured;
    const char *unit, *source;
} plan_anchor;

/* false past the end */
bool plan_anchor_at(int i, plan_anchor *out);
/* Kept out of the fit: the SHA-256 of the name ends in an odd digit. */
bool plan_anchor_held_out(const plan_anchor *a);
/* A training step as a whole. */
bool plan_anchor_is_step(const plan_anchor *a);
/* In the anchor's unit. k: NULL = the table's constants. */
double plan_anchor_predict(const plan_anchor *a, const dev_costs *k);
/* Predicted time over measured time, less 1: above 0 is too slow. */
double plan_anchor_error(const plan_anchor *a, const dev_costs *k);

/* The middle of |error| over anchors that are sure and held out (or not), of
 * one chip or of all (NULL); NaN without any. *n: how many. */
double plan_anchor_median(const dev_profile *chip, bool held_out, const dev_costs *k,
                          int *n);

/* How far predictions of a chip may be trusted: half of the timings kept out of
 * the fit are predicted closer than this (a part of 1). Those of the chip, or of
 * all where it has fewer than 5. */
double plan_error_band(const dev_profile *chip);

#endif
