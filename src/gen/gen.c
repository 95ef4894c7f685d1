/* gen.c - model and prompt -> text: one plan that continues a sequence, loaded
 * once; the prompt fed in chunks of columns, then token by token.
 *
 * A text longer than the model's window slides: each new token takes the place
 * of the oldest one. Of a prompt that is longer only the end is read. */
#include <math.h>
#include "base/clock.h"
#include "gen/internal.h"

static rc take_arrays(gen *g)
{
    const model_config *c = &g->m->config;
    size_t hd = (size_t)c->head_dim, width = (size_t)g->width, vocab = (size_t)c->vocab,
           share = (size_t)(c->heads / c->kv_heads);
    struct {
        float **at;
        size_t n;
    } all[] = {{&g->cosine, hd * COLUMNS},
               {&g->sine, hd * COLUMNS},
               {&g->place, width * COLUMNS},
               {&g->mask, share * width * COLUMNS},
               {&g->fresh, (size_t)c->kv_heads * hd * COLUMNS},
               {&g->all, vocab * COLUMNS},
               {&g->logits, vocab}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(*all[i].at = arena_array(g->mem, all[i].n, sizeof(float)))) return E_MEMORY;
    g->angle = arena_array(g->mem, 2 * hd, sizeof *g->angle);
    g->order = arena_array(g->mem, vocab, sizeof *g->order);
    return g->angle && g->order ? OK : E_MEMORY;
}

static rc load(gen *g, device *d)
{
    static const plan_options streamed;
    dev_caps caps;
    ir_graph *graph;
    TRY(take_arrays(g));
    TRY(dev_caps_of(d, &caps));
    if (!caps.computes) {
        err_fail(E_DEVICE, "%s runs no programs, so it writes no text", caps.uri);
        return err_hint(E_DEVICE, "-d emu:m4 computes; `anneal device ls` lists others");
    }
    TRY(model_decode_graph(&g->m->config, COLUMNS, g->width, &graph));
    rc r = plan_build(graph, &caps, &streamed, &g->plan);
    ir_free(graph);
    if (r == OK) r = exec_open(g->plan, d, g->k, &g->exec);
    for (int i = 0; r == OK && i < g->m->n_params; i++) {
        const model_param *p = &g->m->params[i];
        /* without a gradient, weights are only read */
        float *w = (float *)(uintptr_t)(g->m->weights + p->offset);
        r = exec_bind(g->exec, p->name, w, NULL);
    }
    if (r == OK) r = exec_stage(g->exec);
    return r == OK ? gen_forget(g) : r;
}

rc gen_open(const model *m, device *d, kern *k, gen **out)
{
    arena *mem = arena_new();
    gen *g = mem ? arena_take(mem, sizeof *g) : NULL;
    if (!g) {
        arena_free(mem);
        return E_MEMORY;
    }
    int window = m->config.seq < WINDOW_MAX ? m->config.seq : WINDOW_MAX;
    *g = (gen){
        .m = m, .k = k, .mem = mem, .window = window, .width = (window + 31) / 32 * 32};
    rc r = load(g, d);
    if (r == OK) *out = g;
    else gen_close(g);
    return r;
}

void gen_close(gen *g)
{
    if (!g) return;
    if (g->exec) exec_close(g->exec);
    if (g->plan) plan_free(g->plan);
    arena_free(g->mem);
}

static rc prompt(gen *g, const int32_t *ids, size_t n)
{
    size_t window = (size_t)g->window;
    if (!n) return err_fail(E_CONFIG, "the prompt is empty, wanted at least 1 token");
    TRY(gen_forget(g));
    return n > window ? gen_feed(g, ids + (n - window), window) : gen_feed(g, ids, n);
}

rc gen_logits(gen *g, const int32_t *ids, size_t n, float *logits)
{
    TRY(prompt(g, ids, n));
    for (int i = 0; i < g->m->config.vocab; i++) logits[i] = g->logits[i];
    return OK;
}

static rc draw(gen *g, const gen_options *o, uint64_t count, int32_t *id)
{
    for (int i = 0; i < g->m->config.vocab; i++)
        if (!isfinite(g->logits[i]))
            return err_fail(E_NUMERIC, "the logit of token %d is not finite", i);
    *id = sample_draw(g->logits, g->m->config.vocab, o, count, g->order);
    return OK;
}

rc gen_run(gen *g, const int32_t *ids, size_t n_ids, size_t n, int32_t end,
           const gen_options *o, gen_emit emit, void *ctx, gen_stats *stats)
{
    gen_stats unwanted;
    double from = clock_ms(), first = from;
    int32_t id;
    if (!stats) stats = &unwanted;
    *stats = (gen_stats){0};
    TRY(prompt(g, ids, n_ids));
    for (size_t i = 0; i < n; i++) {
        if (i) TRY(gen_feed(g, &id, 1));
        TRY(draw(g, o, i, &id));
        if (!i) stats->first_ms = (first = clock_ms()) - from;
        if (id == end) break;
        stats->n_tokens++;
        if (emit && !emit(ctx, id)) break;
    }
    /* the first token's time is the prompt's: speed is of those after it */
    double seconds = (clock_ms() - first) / 1000;
    if (stats->n_tokens > 1 && seconds > 0)
        stats->tokens_per_s = (stats->n_tokens - 1) / seconds;
    return OK;
}
