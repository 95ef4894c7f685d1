/* fit.h - the fit of the model of time (src/dev/cost.def), for tools/fit_time.c
 * and the test that asks whether the table is what the fit gives.
 *
 * Least mean |log(predicted / measured)| over the anchors that are not held out,
 * each constant in turn moved by a factor, as long as that helps, with factors
 * ever closer to 1; from the starts in the table, so always the same way. A
 * share of the array is at most all of it. A training step as a whole counts for
 * FIT_STEP anchors: it is what predictions are for. */
#ifndef FIT_H
#define FIT_H

#include <math.h>
#include <string.h>
#include "plan/anchors.h"

enum { FIT_STEP = 4, FIT_MAX = 512 };
typedef struct {
    plan_anchor a[FIT_MAX];
    int n, constants;
} fit_set;

static inline void fit_collect(fit_set *s)
{
    plan_anchor a;
    *s = (fit_set){.constants = DEV_COSTS};
    for (int i = 0; plan_anchor_at(i, &a); i++)
        if (a.sure && !plan_anchor_held_out(&a)) s->a[s->n++] = a;
}

/* Below a percent an error is noise: no corner at 0. */
static inline double fit_loss(const fit_set *s, const dev_costs *k)
{
    double sum = 0, weight = 0;
    for (int i = 0; i < s->n; i++) {
        double e = log1p(plan_anchor_error(&s->a[i], k));
        double w = plan_anchor_is_step(&s->a[i]) ? FIT_STEP : 1;
        sum += w * sqrt(e * e + 1e-4);
        weight += w;
    }
    return sum / weight;
}

static inline double fit_constants(const fit_set *s, dev_costs *k)
{
    for (int i = 0; i < DEV_COSTS; i++) k->v[i] = dev_cost_at(i)->start;
    double best = fit_loss(s, k);
    for (double step = 0.4; step > 5e-4; step *= 0.7) {
        for (int round = 0, better = 1; better && round < 40; round++) {
            better = 0;
            for (int i = 0; i < DEV_COSTS; i++)
                for (int up = 0; up < 2; up++) {
                    double was = k->v[i];
                    k->v[i] = up ? was * (1 + step) : was / (1 + step);
                    bool share = !strncmp(dev_cost_at(i)->unit, "of ", 3);
                    double loss = share && k->v[i] > 1 ? INFINITY : fit_loss(s, k);
                    if (loss < best - 1e-9) best = loss, better = 1;
                    else k->v[i] = was;
                }
        }
    }
    return best;
}

#endif
