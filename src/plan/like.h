/* like.h - the training steps of the published trainers, as plans on paper.
 *
 * What others built can only be compared by one model of time. These are their
 * launches (which products, what crosses each surface, constant or given
 * weights), their host's work, and what of it overlaps, as their sources and
 * reports say (maderix/ANE 5-6, fspecii/ane-trainer); the times are this
 * model's (dev/cost.h). They are predicted, never run.
 *
 *   SEED       one layer, weights baked, 6 launches; weight gradients overlap
 *              the whole next step
 *   STATIC     the same programs in each layer, the classifier on the host;
 *              weight gradients overlap the backward pass
 *   DYNAMIC    weights part of each program's one input, norms and the gradient
 *              of silu on the host: 9 launches a layer with fp32 surfaces; for
 *              grouped queries, which those could not do, the later 10 launches
 *              with fp16 surfaces that keep their weights
 *   DW_ENGINE  weights as inputs of their own; a layer's forward pass is one
 *              launch, weight gradients are three; classifier and softmax on
 *              the engine, its own weight gradient on the host               */
#ifndef PLAN_LIKE_H
#define PLAN_LIKE_H

#include "base/str.h"
#include "dev/cost.h"

typedef enum {
    PLAN_LIKE_SEED,
    PLAN_LIKE_STATIC,
    PLAN_LIKE_DYNAMIC,
    PLAN_LIKE_DW_ENGINE,
    PLAN_LIKES
} plan_like;
/* "seed", ...; NULL past the end. */
const char *plan_like_name(int like);
/* PLAN_LIKES if there is none. */
plan_like plan_like_find(const char *name);

/* Sizes of a model; vocab 0 = its layers alone. */
typedef struct {
    int dim, hidden, heads, kv_heads, head_dim, layers, seq, vocab;
} plan_dims;

enum { PLAN_LIKE_PROGRAMS = 12 };
typedef struct {
    const char *name;
    bool backward;
    int calls;                  /* a step */
    double in_bytes, out_bytes; /* a call */
    double flops, ms;           /* a call */
} plan_like_program;

/* Parts of the host's time that were published are told apart. In ms. */
typedef enum {
    PLAN_HOST_STAGING,     /* values to and from surfaces */
    PLAN_HOST_CLASSIFIER,  /* its products that are waited for; DYNAMIC: the loss */
    PLAN_HOST_ELEMENTWISE, /* sums of branches, look-ups, else the loss */
    PLAN_HOST_SILU,        /* its gradient */
    PLAN_HOST_NORMS,
    PLAN_HOST_PARTS
} plan_host_part;
const char *plan_host_part_name(int part);

typedef struct {
    plan_like like;
    const dev_profile *chip;
    int n_programs, launches, loads; /* loads: a process needs at first */
    plan_like_program programs[PLAN_LIKE_PROGRAMS];
    double engine_ms[2], host_ms[2][PLAN_HOST_PARTS]; /* forward, backward */
    double dw_ms;     /* weight gradients on the host, overlapping */
    double waited_ms; /* what of them sticks out */
    double flops;     /* 2*MAC of all products, wherever they run */
    double step_ms;   /* what they timed: without optimizer */
    int vocab;        /* of the classifier, after compaction */
} plan_likeness;

/* k: NULL = the table's constants. chip must not be NULL. */
void plan_like_predict(plan_like like, const plan_dims *m, const dev_profile *chip,
                       const dev_costs *k, plan_likeness *out);
/* Of the host beside staging; staging; both without what overlaps. */
double plan_like_host_ms(const plan_likeness *l);
double plan_like_staging_ms(const plan_likeness *l);
rc plan_like_print(const plan_likeness *l, str *out);
rc plan_like_json(const plan_likeness *l, str *out);

#endif
