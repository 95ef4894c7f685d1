/* profile.h - what is known of each chip, each rule, and each op per chip.
 *
 * Rows live in profiles.def, rules.def and support.def. Every hardware row
 * carries its source; where sources disagree the row is disputed. */
#ifndef DEV_PROFILE_H
#define DEV_PROFILE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

/* Engine families in order of age; M(n) is H(n+12). */
typedef enum {
    DEV_H13,
    DEV_H14,
    DEV_H15,
    DEV_H16,
    DEV_H17,
    DEV_H18,
    DEV_FAMILIES
} dev_family;

#define DEV_UNKNOWN NAN
static inline bool dev_known(double v)
{
    return !isnan(v);
}

/* A chip. Times in us, rates in GB/s and TFLOP/s, clocks in MHz, power in W. */
struct dev_profile {
    const char *name; /* "m4" */
    const char *chip; /* "Apple M4" */
    dev_family family;
    int engines, cores;
    double peak_tflops; /* what utilisation is quoted against */
    double gemm_tflops; /* best measured matmul rate */
    double clock_mhz;
    int clock_steps;
    double dispatch_us; /* floor of one launch */
    double weight_gbs, activation_gbs, dram_gbs;
    double idle_off_ms, wake_ms; /* power-off after, cost of waking */
    int max_axis, max_channels;  /* W/H and contraction; channels */
    int programs_max, compiles_max, queue_depth;
    bool slice_clamp, winograd; /* arithmetic switches */
    bool old_mil;               /* program(1.0)/ios16 spelling */
    bool exact_measured;        /* its own results are behind `exact` */
    const char *source;         /* of the numbers */
};
const struct dev_profile *dev_profile_find(const char *name); /* NULL if none */
size_t dev_profile_count(void);
const struct dev_profile *dev_profile_at(size_t i);
const char *dev_family_name(dev_family f);
/* "measured" or "assumed": is what `exact` computes the chip's own arithmetic, or
 * that which all measured chips share? */
const char *dev_exact_of(const struct dev_profile *p);

/* Rules. class: what kind of limit; guard: who keeps it. */
typedef enum {
#define RULE(id, ...) RULE_##id,
#include "dev/rules.def"
#undef RULE
    DEV_RULES
} dev_rule;
typedef struct {
    const char *id;    /* "binding_order" */
    const char *kind;  /* "surface", "op", "program", "arithmetic", "limit" */
    const char *guard; /* "planner", "emitter", "driver", "none" */
    const char *where; /* "all", "h13", "h13-h14", "h16" ... families where it holds */
    bool disputed;
    const char *text;    /* what holds, one sentence */
    const char *symptom; /* what happens when broken */
    const char *source;
} dev_rule_row;
const dev_rule_row *dev_rule_at(dev_rule r);
int dev_rule_find(const char *id); /* -1 if none */
bool dev_rule_holds(dev_rule r, dev_family f);
/* Is f among "all", "h13" or "h13-h14"? */
bool dev_where(const char *where, dev_family f);

/* Op support per family: may a program for family f hold this MIL op? *why
 * says why not (static). Unknown ops are not supported. */
bool dev_op_supported(const char *mil_op, dev_family f, const char **why);
size_t dev_support_count(void);
const char *dev_support_op(size_t i); /* name of row i, NULL past the end */
const char *dev_support_source(size_t i);

#endif
