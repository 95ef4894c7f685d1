/* internal.h - between the files of the gen room. */
#ifndef GEN_INTERNAL_H
#define GEN_INTERNAL_H

#include "exec/exec.h"
#include "gen/gen.h"
#include "plan/plan.h"

/* COLUMNS: tokens a step can take. WINDOW_MAX bounds the memory of keys and
 * values for models made for very long texts. */
enum { COLUMNS = 32, WINDOW_MAX = 2048 };

struct gen {
    const model *m;
    kern *k;
    plan *plan;
    exec *exec;
    int window;     /* tokens kept */
    int width;      /* columns of a keys surface: window rounded up to 32 */
    int64_t length; /* tokens fed so far: the next one's position */
    arena *mem;
    float *cosine, *sine; /* [hd, COLUMNS] */
    float *place, *mask;  /* [COLUMNS, width], [share * COLUMNS, width] */
    float *fresh;         /* [kv_heads * hd, COLUMNS]: new keys or values */
    double *angle;        /* 2 * hd */
    float *all, *logits;  /* [vocab, COLUMNS], [vocab] of the last token */
    int32_t *order;       /* [vocab]: for sampling */
};

/* step.c: forget everything fed. */
rc gen_forget(gen *g);
/* Feed n tokens (checked); g->logits are those after the last one. */
rc gen_feed(gen *g, const int32_t *ids, size_t n);

/* sample.c: draw from logits[n] (changed); number `count` of a seed. order is
 * scratch for n. */
int32_t sample_draw(float *logits, int n, const gen_options *o, uint64_t count,
                    int32_t *order);

#endif
