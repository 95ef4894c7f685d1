/* writer.c - a model, its tokenizer and a generator, ready to write text. */
#include "api/session.h"

#include <string.h>

#include "base/file.h"

struct writer {
    arena *mem;
    model *m;
    machine box;
    tokenizer *tok;
    gen *g;
};

rc writer_open(const config *c, const char *model_dir, writer **out)
{
    arena *mem = arena_new();
    writer *w = mem ? arena_take(mem, sizeof *w) : NULL;
    if (!w) return arena_free(mem), E_MEMORY;
    w->mem = mem;
    rc e = session_tokenizer(model_dir, &w->tok);
    if (!e) e = model_load(model_dir, &w->m);
    if (!e) e = machine_open(c, &w->box);
    if (!e) e = gen_open(w->m, w->box.dev, w->box.k, &w->g);
    if (e) return writer_close(w), e;
    *out = w;
    return OK;
}

void writer_close(writer *w)
{
    if (!w) return;
    if (w->g) gen_close(w->g);
    machine_close(&w->box);
    if (w->tok) tokenizer_free(w->tok);
    model_free(w->m);
    arena_free(w->mem);
}

typedef struct {
    const tokenizer *tok;
    writer_emit emit;
    void *ctx;
} relay;

static bool pass_on(void *ctx, int32_t id)
{
    relay *r = ctx;
    size_t n;
    const char *bytes = tokenizer_piece(r->tok, id, &n);
    return r->emit(r->ctx, id, bytes, n);
}

/* An empty prompt starts as documents do: after the end of another. */
static rc prompt_ids(const writer *w, const char *prompt, token_list *ids)
{
    int end = tokenizer_end(w->tok);
    if (*prompt) return tokenizer_encode(w->tok, prompt, strlen(prompt), ids);
    if (end < 0 || end >= w->m->config.vocab)
        return err_fail(E_USAGE,
                        "the prompt is empty and the tokenizer has no end token");
    ids->id = mem_take(sizeof *ids->id);
    if (!ids->id) return E_MEMORY;
    ids->id[0] = end;
    ids->n = ids->cap = 1;
    return OK;
}

rc writer_run(writer *w, const char *prompt, size_t n_tokens, const gen_options *o,
              writer_emit emit, void *ctx, gen_stats *stats)
{
    token_list ids = {0};
    relay r = {w->tok, emit, ctx};
    rc e = prompt_ids(w, prompt, &ids);
    if (!e)
        e = gen_run(w->g, ids.id, ids.n, n_tokens, tokenizer_end(w->tok), o, pass_on, &r,
                    stats);
    token_list_free(&ids);
    return e;
}
