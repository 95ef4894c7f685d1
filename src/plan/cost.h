/* cost.h - predicted times of a plan's parts (cost.c) and of the whole
 * (timeline.c). In ms; 0 where the device has no profile. */
#ifndef PLAN_COST_H
#define PLAN_COST_H

#include "dev/cost.h"
#include "plan/passes.h"

/* One operation. params: those of the graph are constants. */
void plan_cost_node(dev_cost *c, const ir_node *n, bool params);
/* A launch of a program; bytes: of its surfaces. */
double plan_cost_program(const planner *b, const ir_graph *g, double bytes);
/* What a program of a trained model's size takes that is compiled as new, in ms:
 * the middle, least and most of what was published of `chip`. */
typedef struct {
    const char *chip;
    double ms, low, high;
    const char *source;
} plan_compile;
/* Of another chip nothing is: then an M4's (chip is not its name). */
const plan_compile *plan_compile_of(const dev_profile *chip);
double plan_cost_compile(const planner *b, int programs);

double plan_cost_host(const planner *b, dev_host_work w, double n);
/* A weight gradient on the host. */
double plan_cost_gradient(const planner *b, const ir_node *n);
double plan_cost_host_step(const planner *b, const plan_step *s);
enum { PLAN_OPTIMIZER_BYTES = 28 }; /* a param: w, m, v twice, g */
double plan_cost_optimizer(const planner *b, double params);

#endif
