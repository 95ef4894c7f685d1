/* weigh.h - between asking whole plans (weigh.c) and what they are asked
 * (decisions.c). */
#ifndef PLAN_WEIGH_H
#define PLAN_WEIGH_H

#include "plan/passes.h"

/* What is known while one graph is weighed. */
typedef struct {
    const ir_graph *given;
    const dev_caps *caps;
    const plan_options *o;
    plan *best;
    plan_variant v;      /* best's */
    bool fitted;         /* the usual plan was refused, and best is what was not */
    const char *refused; /* why */
    int n_made, cap_made;
    plan_choice *made;
    arena *mem; /* of made, until a plan is kept */
} weighing;

/* `ways` are those of the field of a variant that set() writes, the usual first;
 * count() is how many of them can be asked about for this plan (below 2: none). */
enum { WAYS = 4 };
typedef struct {
    const char *what, *why;
    double least;
    const char *ways[WAYS];
    int (*count)(const weighing *w);
    void (*set)(plan_variant *v, int way);
} decision;
/* In the order in which they are asked; NULL past the end. */
const decision *plan_decision_at(size_t i);

#endif
