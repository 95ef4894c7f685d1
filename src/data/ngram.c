/* ngram.c - what a table of counts achieves on the same split: the yardstick a
 * trained model has to beat.
 *
 * Symbols are the 256 bytes and the end of a document (256), which both models
 * predict like any byte; the sum is divided by the bytes of the text.
 *   bigram   p(c|b)  = (n(bc) + 0.01) / (n(b) + 0.01 * 257)
 *   trigram  p(c|ab) = (n(abc) + t(ab) p(c|b)) / (n(ab) + t(ab)), where t is
 *            the number of different followers, and p(c|b), p(c) are made in
 *            the same way from the next shorter context (Witten and Bell, "The
 *            zero-frequency problem", 1991, method C). */
#include <math.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/file.h"
#include "data/data.h"
#include "data/tokens.h"

#define SYMBOLS 257u
#define END 256u
#define ADD 0.01

typedef struct {
    uint64_t n1[SYMBOLS], followed[SYMBOLS], all; /* followed: n(b) as a context */
    uint64_t n2[SYMBOLS * SYMBOLS];
    uint32_t t1[SYMBOLS];
    uint64_t pair[SYMBOLS * SYMBOLS]; /* n(ab) as a context */
    uint32_t t2[SYMBOLS * SYMBOLS];
    uint32_t n3[SYMBOLS * SYMBOLS * SYMBOLS];
} counts;

static void count(counts *k, unsigned a, unsigned b, unsigned c)
{
    uint32_t *n3 = &k->n3[(a * SYMBOLS + b) * SYMBOLS + c];
    k->n1[c]++, k->all++;
    k->followed[b]++;
    k->t1[b] += k->n2[b * SYMBOLS + c]++ == 0;
    k->pair[a * SYMBOLS + b]++;
    k->t2[a * SYMBOLS + b] += *n3 == 0;
    if (*n3 < UINT32_MAX) ++*n3;
}

static double bigram_p(const counts *k, unsigned b, unsigned c)
{
    double n = (double)k->n2[b * SYMBOLS + c], all = (double)k->followed[b];
    return (n + ADD) / (all + ADD * SYMBOLS);
}

static double trigram_p(const counts *k, unsigned a, unsigned b, unsigned c)
{
    double p = ((double)k->n1[c] + ADD) / ((double)k->all + ADD * SYMBOLS);
    double t = k->t1[b], n = (double)k->followed[b];
    if (n > 0) p = ((double)k->n2[b * SYMBOLS + c] + t * p) / (n + t);
    t = k->t2[a * SYMBOLS + b], n = (double)k->pair[a * SYMBOLS + b];
    if (n > 0) p = (k->n3[(a * SYMBOLS + b) * SYMBOLS + c] + t * p) / (n + t);
    return p;
}

typedef struct {
    counts *k;
    bool score;
    unsigned a, b;
    double bigram, trigram; /* nats so far */
} walk;

static void see(walk *w, unsigned c)
{
    if (w->score) {
        w->bigram -= log(bigram_p(w->k, w->b, c));
        w->trigram -= log(trigram_p(w->k, w->a, w->b, c));
    } else count(w->k, w->a, w->b, c);
    w->a = w->b, w->b = c;
}

static void walk_tokens(walk *w, const tokens *t, const tokenizer *tok)
{
    int32_t end = tokenizer_end(tok);
    w->a = w->b = END;
    for (uint64_t i = 0; i < t->h.count; i++) {
        int32_t id = tokens_at(t, i);
        size_t n;
        const char *p = tokenizer_piece(tok, id, &n);
        if (id == end) see(w, END);
        else
            for (size_t j = 0; j < n; j++) see(w, (unsigned char)p[j]);
    }
}

static rc measure(const tokens *train, const tokens *held, const tokenizer *tok,
                  double *bigram, double *trigram)
{
    if (!train->h.text_bytes || !held->h.text_bytes)
        return err_fail(E_FORMAT,
                        "the dataset has %llu training and %llu held-out bytes, "
                        "wanted some of both",
                        (unsigned long long)train->h.text_bytes,
                        (unsigned long long)held->h.text_bytes);
    counts *k = mem_take(sizeof *k);
    if (!k) return E_MEMORY;
    walk w = {.k = k};
    walk_tokens(&w, train, tok);
    w.score = true;
    walk_tokens(&w, held, tok);
    *bigram = w.bigram / (double)held->h.text_bytes;
    *trigram = w.trigram / (double)held->h.text_bytes;
    mem_drop(k);
    return OK;
}

rc data_ngram(const char *dir, double *bigram, double *trigram)
{
    arena *a = arena_new();
    tokenizer *tok = NULL;
    tokens train = {0}, held = {0};
    char *train_path = a ? file_join(a, dir, "train.bin") : NULL;
    char *held_path = train_path ? file_join(a, dir, "heldout.bin") : NULL;
    rc r = held_path ? tokenizer_open(dir, &tok) : E_MEMORY;
    if (r == OK) r = tokens_open(train_path, &train);
    if (r == OK) r = tokens_open(held_path, &held);
    if (r == OK) r = measure(&train, &held, tok, bigram, trigram);
    tokens_close(&train);
    tokens_close(&held);
    tokenizer_free(tok);
    arena_free(a);
    return r;
}
