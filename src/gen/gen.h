/* gen.h - model and prompt -> text. Keys and values are kept between tokens. */
#ifndef GEN_GEN_H
#define GEN_GEN_H

#include "base/err.h"
#include "kern/kern.h"
#include "dev/device.h"
#include "model/model.h"

typedef struct gen gen;
typedef struct {
    double temperature, top_p;
    int top_k;
    uint64_t seed;
} gen_options; /* temperature 0 = greedy */
typedef struct {
    double first_ms, tokens_per_s;
    int n_tokens;
} gen_stats;

/* model, device and kern are borrowed. */
rc gen_open(const model *m, device *d, kern *k, gen **out);
void gen_close(gen *g);
/* Feed a prompt (>= 1 token), then draw up to n tokens; emit() gets each and
 * may return false to stop; `end` (or -1) stops too. Longer than the model's
 * seq: the window slides (documented). */
typedef bool (*gen_emit)(void *ctx, int32_t id);
rc gen_run(gen *g, const int32_t *prompt, size_t n_prompt, size_t n, int32_t end,
           const gen_options *o, gen_emit emit, void *ctx, gen_stats *stats);
/* Logits after the last prompt token (tests): [vocab]. */
rc gen_logits(gen *g, const int32_t *prompt, size_t n_prompt, float *logits);

#endif
