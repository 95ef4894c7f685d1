/* bpe_learn.c - the merges of byte-pair encoding, one at a time.
 *
 * Each merge joins the most frequent neighbouring pair everywhere. Doing that
 * by counting anew would read all words for every merge; instead the count of
 * every pair is kept, with the list of words it comes in, and a merge visits
 * those words alone and corrects the counts around the places it changes.
 *
 * The most frequent pair comes from a heap whose entries may be too high: a
 * count that has fallen is noticed when the entry reaches the top and is put
 * back with the true number. A count only rises for pairs with the newest
 * token, and these enter the heap when that merge is done. */
#include <string.h>
#include "data/bpe_train.h"

#define NONE UINT32_MAX

typedef struct {
    uint64_t key;
    int64_t count;
    uint32_t list; /* first node of its words, NONE = no more */
} pair_info;

typedef struct {
    uint32_t word, next;
} node;

typedef struct {
    int64_t count;
    uint32_t pair;
} candidate;

/* A word as tokens: sym[start .. start + n) */
typedef struct {
    size_t start;
    uint32_t n;
    int64_t count;
} word;

typedef struct {
    word *word;
    size_t n_words;
    int32_t *sym;
    pair_map map; /* key -> index of `pair` */
    pair_info *pair;
    size_t n_pairs, cap_pairs;
    node *node;
    size_t n_nodes, cap_nodes;
    uint32_t free_nodes;
    candidate *heap;
    size_t n_heap, cap_heap;
} learner;

/* Room for one more in an array of `size`-byte things. */
static rc grow(void **array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return OK;
    size_t more = *cap ? mem_mul(2, *cap) : 1024;
    if (more >= NONE) return err_fail(E_MEMORY, "too many pairs of tokens in the text");
    void *p = mem_take(mem_mul(more, size));
    if (!p) return E_MEMORY;
    if (n) memcpy(p, *array, n * size);
    mem_drop(*array);
    *array = p, *cap = more;
    return OK;
}

/* More often first; of equals the lower pair. */
static bool before(const learner *l, candidate a, candidate b)
{
    if (a.count != b.count) return a.count > b.count;
    return l->pair[a.pair].key < l->pair[b.pair].key;
}

static rc heap_push(learner *l, uint32_t pair)
{
    void *heap = l->heap;
    rc r = grow(&heap, l->n_heap, &l->cap_heap, sizeof *l->heap);
    l->heap = heap;
    TRY(r);
    candidate c = {l->pair[pair].count, pair};
    size_t i = l->n_heap++;
    for (; i && before(l, c, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = c;
    return OK;
}

static candidate heap_pop(learner *l)
{
    candidate top = l->heap[0], c = l->heap[--l->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < l->n_heap) {
        if (child + 1 < l->n_heap && before(l, l->heap[child + 1], l->heap[child]))
            child++;
        if (!before(l, l->heap[child], c)) break;
        l->heap[i] = l->heap[child];
        i = child;
    }
    l->heap[i] = c;
    return top;
}

/* A pair has one more or fewer place in a word. The same word is listed once
 * for all places that are visited in a row. */
static rc change(learner *l, int32_t a, int32_t b, int64_t by, uint32_t in)
{
    uint32_t *index;
    TRY(pair_map_put(&l->map, PAIR_KEY(a, b), &index));
    if (*index == PAIR_NONE) {
        void *pairs = l->pair;
        rc r = grow(&pairs, l->n_pairs, &l->cap_pairs, sizeof *l->pair);
        l->pair = pairs;
        TRY(r);
        *index = (uint32_t)l->n_pairs++;
        l->pair[*index] = (pair_info){.key = PAIR_KEY(a, b), .list = NONE};
    }
    pair_info *p = &l->pair[*index];
    p->count += by;
    if (by < 0 || (p->list != NONE && l->node[p->list].word == in)) return OK;
    uint32_t at = l->free_nodes;
    if (at == NONE) {
        void *nodes = l->node;
        rc r = grow(&nodes, l->n_nodes, &l->cap_nodes, sizeof *l->node);
        l->node = nodes;
        TRY(r);
        at = (uint32_t)l->n_nodes++;
    } else l->free_nodes = l->node[at].next;
    l->node[at] = (node){in, p->list};
    p->list = at;
    return OK;
}

static rc start(learner *l, const word_map *words)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < words->n; i++) n = mem_add(n, words->entry[i].n);
    l->free_nodes = NONE;
    l->word = mem_take(mem_mul(words->n, sizeof *l->word));
    l->sym = l->word ? mem_take(mem_mul(n, sizeof *l->sym)) : NULL;
    if (!l->sym) return E_MEMORY;
    for (size_t i = 0; i < words->n; i++) {
        const word_entry *e = &words->entry[i];
        if (e->n < 2) continue;
        uint32_t w = (uint32_t)l->n_words++;
        l->word[w] = (word){at, e->n, (int64_t)e->value};
        for (size_t k = 0; k < e->n; k++) l->sym[at + k] = (unsigned char)e->p[k];
        for (size_t k = 0; k + 1 < e->n; k++)
            TRY(change(l, l->sym[at + k], l->sym[at + k + 1], l->word[w].count, w));
        at += e->n;
    }
    for (size_t i = 0; i < l->n_pairs; i++)
        if (l->pair[i].count > 0) TRY(heap_push(l, (uint32_t)i));
    return OK;
}

/* Join a and b in one word. `out` trails `k`, so left neighbours are tokens
 * that are done and may be the new one. */
static rc merge_word(learner *l, uint32_t w, int32_t a, int32_t b, int32_t made)
{
    word *at = &l->word[w];
    int32_t *s = l->sym + at->start;
    uint32_t out = 0;
    for (uint32_t k = 0; k < at->n; k++) {
        if (s[k] != a || k + 1 == at->n || s[k + 1] != b) {
            s[out++] = s[k];
            continue;
        }
        if (out) {
            TRY(change(l, s[out - 1], a, -at->count, w));
            TRY(change(l, s[out - 1], made, at->count, w));
        }
        if (k + 2 < at->n) {
            TRY(change(l, b, s[k + 2], -at->count, w));
            TRY(change(l, made, s[k + 2], at->count, w));
        }
        s[out++] = made;
        k++;
    }
    at->n = out;
    return OK;
}

static rc merge_everywhere(learner *l, uint32_t pair, int32_t made)
{
    size_t known = l->n_pairs;
    int32_t a = (int32_t)(l->pair[pair].key >> 32), b = (int32_t)l->pair[pair].key;
    for (uint32_t i = l->pair[pair].list, next; i != NONE; i = next) {
        next = l->node[i].next;
        TRY(merge_word(l, l->node[i].word, a, b, made));
        l->node[i].next = l->free_nodes;
        l->free_nodes = i;
    }
    l->pair[pair].list = NONE;
    l->pair[pair].count = 0;
    for (size_t i = known; i < l->n_pairs; i++)
        if (l->pair[i].count > 0) TRY(heap_push(l, (uint32_t)i));
    return OK;
}

static rc learn(learner *l, size_t most, int32_t (*pair)[2], size_t *n)
{
    while (*n < most && l->n_heap) {
        candidate c = heap_pop(l);
        int64_t count = l->pair[c.pair].count;
        if (count < 1) continue;
        if (count != c.count) {
            TRY(heap_push(l, c.pair));
            continue;
        }
        pair[*n][0] = (int32_t)(l->pair[c.pair].key >> 32);
        pair[*n][1] = (int32_t)l->pair[c.pair].key;
        TRY(merge_everywhere(l, c.pair, (int32_t)(256 + *n)));
        ++*n;
    }
    return OK;
}

rc bpe_learn(const word_map *words, size_t most, int32_t (*pair)[2], size_t *n_merges)
{
    learner l = {0};
    *n_merges = 0;
    rc r = start(&l, words);
    if (r == OK) r = learn(&l, most, pair, n_merges);
    mem_drop(l.word);
    mem_drop(l.sym);
    pair_map_free(&l.map);
    mem_drop(l.pair);
    mem_drop(l.node);
    mem_drop(l.heap);
    return r;
}
