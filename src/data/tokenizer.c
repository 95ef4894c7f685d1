/* tokenizer.c - opening, saving and the plain questions. */
#include <string.h>
#include "base/file.h"
#include "data/tokenizer.h"

rc tokenizer_byte(tokenizer **out)
{
    str json = {0};
    rc r = tokenizer_write(NULL, 0, false, &json);
    if (r == OK) r = tokenizer_parse(json.p, json.n, "the byte tokenizer", out);
    str_free(&json);
    return r;
}

rc tokenizer_open(const char *path, tokenizer **out)
{
    arena *a = arena_new();
    char *bytes, *inner = NULL;
    size_t n;
    rc r = a ? OK : E_MEMORY;
    if (r == OK && file_is_dir(path)) {
        inner = file_join(a, path, "tokenizer.json");
        if (inner) path = inner;
        else r = E_MEMORY;
    }
    if (r == OK) r = file_read(a, path, (size_t)256 << 20, &bytes, &n);
    if (r == OK) r = tokenizer_parse(bytes, n, path, out);
    arena_free(a);
    return r;
}

rc tokenizer_save(const tokenizer *t, const char *path)
{
    return file_replace(path, t->json, t->json_n);
}

void tokenizer_free(tokenizer *t)
{
    if (!t) return;
    for (int i = 0; i < t->n_steps; i++) pcre2_code_free(t->step[i].code);
    pair_map_free(&t->merge);
    word_map_free(&t->words);
    nfc_free(t->nfc);
    arena_free(t->mem);
}

int tokenizer_vocab(const tokenizer *t)
{
    return t->vocab;
}

int tokenizer_end(const tokenizer *t)
{
    return t->end;
}

const char *tokenizer_kind(const tokenizer *t)
{
    return t->byte ? "byte" : "bpe";
}

const char *tokenizer_piece(const tokenizer *t, int32_t id, size_t *n)
{
    bool known = id >= 0 && id < t->vocab && !t->piece[id].special;
    *n = known ? t->piece[id].n : 0;
    return known ? t->piece[id].p : "";
}

rc token_list_add(token_list *l, const int32_t *id, size_t n)
{
    size_t need = mem_add(l->n, n), cap = l->cap ? l->cap : 256;
    while (cap < need) cap = mem_mul(cap, 2);
    if (need > l->cap) {
        int32_t *more = mem_take(mem_mul(cap, sizeof *more));
        if (!more) return E_MEMORY;
        if (l->n) memcpy(more, l->id, l->n * sizeof *more);
        mem_drop(l->id);
        l->id = more, l->cap = cap;
    }
    if (n) memcpy(l->id + l->n, id, n * sizeof *id);
    l->n += n;
    return OK;
}

void token_list_free(token_list *l)
{
    mem_drop(l->id);
    *l = (token_list){0};
}
