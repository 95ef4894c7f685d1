/* timeline.h - when each step of a plan is predicted to run. */
#ifndef PLAN_TIMELINE_H
#define PLAN_TIMELINE_H

#include "plan/plan.h"

/* Steps go in order, each in its lane (engine, host, beside) after what it waits
 * for, as exec issues them. start[i] in ms; returns the end of all. */
double plan_timeline(const plan *p, double *start);

#endif
