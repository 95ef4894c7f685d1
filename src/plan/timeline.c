/* timeline.c - a plan's steps one after the other and beside each other. */
#include "plan/timeline.h"

#include <math.h>

static int lane_of(const plan_step *s)
{
    return s->engine ? 0 : s->background ? 2 : 1;
}

double plan_timeline(const plan *p, double *start)
{
    double free_at[3] = {0}, end = 0;
    for (int i = 0; i < p->n_steps; i++) {
        const plan_step *s = &p->steps[i];
        double t = free_at[lane_of(s)];
        for (int j = 0; j < s->n_wait; j++) {
            const plan_step *w = &p->steps[s->wait[j]];
            t = fmax(t, start[s->wait[j]] + w->predicted_ms);
        }
        start[i] = t;
        free_at[lane_of(s)] = t + s->predicted_ms;
        end = fmax(end, t + s->predicted_ms);
    }
    return end;
}
