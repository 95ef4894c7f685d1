/* encode.c - from pieces to ids.
 *
 * A piece is a list of byte tokens in which the neighbouring pair of the lowest
 * rank is merged, the leftmost first, until no pair has a rank. A heap of
 * (rank, place) finds it, so a piece of n bytes costs n log n, however long.
 * Entries are not taken out when a merge makes them stale: an entry counts only
 * if the pair at its place still has its rank.
 *
 * Texts repeat their words, so the ids of short pieces are remembered. */
#include <string.h>
#include "data/tokenizer.h"

#define REMEMBER 64u                 /* bytes: longer pieces rarely come back */
#define MOST_WORDS ((size_t)1 << 18) /* then all are forgotten */
#define NONE UINT32_MAX

typedef struct {
    int32_t id;
    uint32_t rank; /* of the pair with the next one, NONE if it has none */
    uint32_t prev, next;
} symbol;

struct encoder {
    const tokenizer *t;
    splitter *split;
    word_map words; /* piece -> place in `pool` << 8 | count */
    token_list pool;
    symbol *sym;    /* [room] */
    uint64_t *heap; /* [3 * room], rank << 32 | place */
    size_t room, n_heap;
    token_list *out;
};

rc encoder_new(const tokenizer *t, encoder **out)
{
    encoder *e = mem_take(sizeof *e);
    if (!e) return E_MEMORY;
    e->t = t;
    rc r = splitter_new(t, &e->split);
    if (r == OK) *out = e;
    else encoder_free(e);
    return r;
}

void encoder_free(encoder *e)
{
    if (!e) return;
    splitter_free(e->split);
    word_map_free(&e->words);
    token_list_free(&e->pool);
    mem_drop(e->sym);
    mem_drop(e->heap);
    mem_drop(e);
}

static void heap_push(encoder *e, uint32_t rank, uint32_t place)
{
    uint64_t v = (uint64_t)rank << 32 | place;
    size_t i = e->n_heap++;
    for (; i && e->heap[(i - 1) / 2] > v; i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = v;
}

static uint64_t heap_pop(encoder *e)
{
    uint64_t top = e->heap[0], v = e->heap[--e->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < e->n_heap) {
        if (child + 1 < e->n_heap && e->heap[child + 1] < e->heap[child]) child++;
        if (e->heap[child] >= v) break;
        e->heap[i] = e->heap[child];
        i = child;
    }
    e->heap[i] = v;
    return top;
}

static rc make_room(encoder *e, size_t n)
{
    if (n <= e->room) return OK;
    size_t room = n < 256 ? 256 : n;
    mem_drop(e->sym);
    mem_drop(e->heap);
    e->room = 0;
    e->heap = NULL;
    e->sym = mem_take(mem_mul(room, sizeof *e->sym));
    if (e->sym) e->heap = mem_take(mem_mul(room, 3 * sizeof *e->heap));
    if (!e->heap) return E_MEMORY;
    e->room = room;
    return OK;
}

/* Note the rank of the pair that begins at `place`. */
static void rank_pair(encoder *e, uint32_t place)
{
    symbol *s = &e->sym[place];
    s->rank = NONE;
    if (s->next == NONE) return;
    s->rank = pair_map_get(&e->t->merge, PAIR_KEY(s->id, e->sym[s->next].id));
    if (s->rank != NONE) heap_push(e, s->rank, place);
}

static rc start_symbols(encoder *e, const char *p, size_t n)
{
    TRY(make_room(e, n));
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)p[i];
        int32_t id = e->t->letter[byte];
        if (id < 0) id = e->t->unknown;
        if (id < 0)
            return err_fail(E_FORMAT,
                            "the text has the byte 0x%02x, for which the tokenizer "
                            "has no token",
                            byte);
        e->sym[i] = (symbol){.id = id,
                             .rank = NONE,
                             .prev = i ? (uint32_t)i - 1 : NONE,
                             .next = i + 1 < n ? (uint32_t)i + 1 : NONE};
    }
    e->n_heap = 0;
    for (size_t i = 0; i + 1 < n; i++) rank_pair(e, (uint32_t)i);
    return OK;
}

static rc merge_piece(encoder *e, const char *p, size_t n)
{
    TRY(start_symbols(e, p, n));
    while (e->n_heap) {
        uint64_t top = heap_pop(e);
        uint32_t rank = (uint32_t)(top >> 32), place = (uint32_t)top;
        symbol *s = &e->sym[place];
        if (s->rank != rank) continue;
        symbol *gone = &e->sym[s->next];
        s->id = e->t->merged[rank];
        s->next = gone->next;
        gone->rank = NONE;
        if (s->next != NONE) e->sym[s->next].prev = place;
        rank_pair(e, place);
        if (s->prev != NONE) rank_pair(e, s->prev);
    }
    for (uint32_t i = 0; i != NONE; i = e->sym[i].next)
        TRY(token_list_add(e->out, &e->sym[i].id, 1));
    return OK;
}

static rc encode_piece(encoder *e, const char *p, size_t n)
{
    const word_entry *whole = e->t->whole_words ? word_map_get(&e->t->words, p, n) : NULL;
    if (!whole) return merge_piece(e, p, n);
    int32_t id = (int32_t)whole->value;
    return token_list_add(e->out, &id, 1);
}

static rc remember(encoder *e, const char *p, size_t n, const int32_t *id, size_t n_ids)
{
    word_entry *w;
    if (e->words.n >= MOST_WORDS) {
        word_map_clear(&e->words);
        e->pool.n = 0;
    }
    size_t at = e->pool.n;
    TRY(token_list_add(&e->pool, id, n_ids));
    TRY(word_map_put(&e->words, p, n, &w, NULL));
    w->value = (uint64_t)at << 8 | n_ids;
    return OK;
}

static rc add_bytes(encoder *e, const char *p, size_t n)
{
    int32_t id[256];
    for (size_t k; n; p += k, n -= k) {
        k = n < 256 ? n : 256;
        for (size_t i = 0; i < k; i++) id[i] = (unsigned char)p[i];
        TRY(token_list_add(e->out, id, k));
    }
    return OK;
}

static rc take_piece(void *ctx, const char *p, size_t n, int32_t added)
{
    encoder *e = ctx;
    if (added >= 0) return token_list_add(e->out, &added, 1);
    if (e->t->byte) return add_bytes(e, p, n);
    if (n > REMEMBER) return encode_piece(e, p, n);
    const word_entry *w = word_map_get(&e->words, p, n);
    if (w)
        return token_list_add(e->out, e->pool.id + (w->value >> 8),
                              (size_t)(w->value & 255));
    size_t before = e->out->n;
    TRY(encode_piece(e, p, n));
    return remember(e, p, n, e->out->id + before, e->out->n - before);
}

rc encoder_add(encoder *e, const char *text, size_t n, token_list *out)
{
    e->out = out;
    return splitter_add(e->split, text, n, take_piece, e);
}

rc encoder_end(encoder *e, token_list *out)
{
    e->out = out;
    return splitter_end(e->split, take_piece, e);
}

rc tokenizer_encode(const tokenizer *t, const char *text, size_t n, token_list *out)
{
    encoder *e;
    size_t before = out->n;
    TRY(encoder_new(t, &e));
    rc r = encoder_add(e, text, n, out);
    if (r == OK) r = encoder_end(e, out);
    encoder_free(e);
    if (r != OK) out->n = before;
    return r;
}
