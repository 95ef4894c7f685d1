/* map.c - the hash maps of map.h. Slots are a power of two and at most half
 * (pairs) or three quarters (words) full. */
#include <string.h>
#include <xxhash.h>
#include "data/map.h"

#define FIRST_SLOTS 64u
#define BLOCK ((size_t)64 << 10)

static rc rehash(word_map *m, size_t slots)
{
    uint32_t *slot = mem_take(mem_mul(slots, sizeof *slot));
    if (!slot) return E_MEMORY;
    for (size_t k = 0; k < m->n; k++) {
        size_t i = m->entry[k].hash & (slots - 1);
        while (slot[i]) i = (i + 1) & (slots - 1);
        slot[i] = (uint32_t)k + 1;
    }
    mem_drop(m->slot);
    m->slot = slot, m->slots = slots;
    return OK;
}

static rc grow_words(word_map *m)
{
    if (m->n >= UINT32_MAX / 2) return err_fail(E_MEMORY, "too many different words");
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : FIRST_SLOTS / 2;
        word_entry *more = mem_take(mem_mul(cap, sizeof *more));
        if (!more) return E_MEMORY;
        if (m->n) memcpy(more, m->entry, m->n * sizeof *more);
        mem_drop(m->entry);
        m->entry = more, m->cap = cap;
    }
    if (4 * (m->n + 1) <= 3 * m->slots) return OK;
    return rehash(m, m->slots ? 2 * m->slots : FIRST_SLOTS);
}

static char *keep_key(word_map *m, const char *p, size_t n)
{
    if (!m->keys && !(m->keys = arena_new())) return NULL;
    if (n > m->block_cap - m->block_used) {
        size_t cap = n > BLOCK ? n : BLOCK;
        char *block = arena_take(m->keys, cap);
        if (!block) return NULL;
        m->block = block, m->block_used = 0, m->block_cap = cap;
    }
    char *key = m->block + m->block_used;
    if (n) memcpy(key, p, n);
    m->block_used += n;
    return key;
}

static size_t find(const word_map *m, const char *p, size_t n, uint32_t hash)
{
    size_t i = hash & (m->slots - 1);
    for (; m->slot[i]; i = (i + 1) & (m->slots - 1)) {
        const word_entry *e = &m->entry[m->slot[i] - 1];
        if (e->hash == hash && e->n == n && !memcmp(e->p, p, n)) break;
    }
    return i;
}

word_entry *word_map_get(const word_map *m, const char *p, size_t n)
{
    if (!m->slots) return NULL;
    size_t i = find(m, p, n, (uint32_t)XXH3_64bits(p, n));
    return m->slot[i] ? &m->entry[m->slot[i] - 1] : NULL;
}

rc word_map_put(word_map *m, const char *p, size_t n, word_entry **out, bool *fresh)
{
    uint32_t hash = (uint32_t)XXH3_64bits(p, n);
    if (fresh) *fresh = false;
    if (m->slots) {
        size_t i = find(m, p, n, hash);
        if (m->slot[i]) {
            *out = &m->entry[m->slot[i] - 1];
            return OK;
        }
    }
    TRY(grow_words(m));
    char *key = keep_key(m, p, n);
    if (!key) return E_MEMORY;
    size_t i = find(m, p, n, hash);
    m->entry[m->n] = (word_entry){.p = key, .n = (uint32_t)n, .hash = hash};
    *out = &m->entry[m->n];
    m->slot[i] = (uint32_t)++m->n;
    if (fresh) *fresh = true;
    return OK;
}

void word_map_clear(word_map *m)
{
    if (m->slots) memset(m->slot, 0, m->slots * sizeof *m->slot);
    if (m->keys) arena_reset(m->keys);
    m->n = 0;
    m->block_used = m->block_cap = 0;
}

void word_map_free(word_map *m)
{
    mem_drop(m->entry);
    mem_drop(m->slot);
    arena_free(m->keys);
    *m = (word_map){0};
}

static rc grow_pairs(pair_map *m)
{
    pair_map more = {.slots = m->slots ? 2 * m->slots : FIRST_SLOTS, .n = m->n};
    more.slot = mem_take(mem_mul(more.slots, sizeof *more.slot));
    if (!more.slot) return E_MEMORY;
    for (size_t i = 0; i < more.slots; i++) more.slot[i].key = PAIR_FREE;
    for (size_t k = 0; k < m->slots; k++) {
        if (m->slot[k].key == PAIR_FREE) continue;
        size_t i = pair_slot(&more, m->slot[k].key);
        while (more.slot[i].key != PAIR_FREE) i = (i + 1) & (more.slots - 1);
        more.slot[i] = m->slot[k];
    }
    pair_map_free(m);
    *m = more;
    return OK;
}

rc pair_map_put(pair_map *m, uint64_t key, uint32_t **value)
{
    if (2 * (m->n + 1) > m->slots) TRY(grow_pairs(m));
    size_t i = pair_slot(m, key);
    while (m->slot[i].key != key && m->slot[i].key != PAIR_FREE)
        i = (i + 1) & (m->slots - 1);
    if (m->slot[i].key == PAIR_FREE) {
        m->slot[i] = (pair_entry){key, PAIR_NONE};
        m->n++;
    }
    *value = &m->slot[i].value;
    return OK;
}

void pair_map_free(pair_map *m)
{
    mem_drop(m->slot);
    *m = (pair_map){0};
}
