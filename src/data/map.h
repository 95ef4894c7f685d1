/* map.h - the two hash maps of this room, both open addressing with room to
 * spare: byte strings to numbers, and pairs of ids to numbers. Walking
 * `entry[0..n)` gives the order of insertion, so nothing depends on hashes. */
#ifndef DATA_MAP_H
#define DATA_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"

typedef struct {
    const char *p;
    uint32_t n;
    uint32_t hash;
    uint64_t value;
} word_entry;

typedef struct {
    word_entry *entry;
    uint32_t *slot; /* 1 + index of the entry, 0 = free */
    size_t n, cap, slots;
    arena *keys;
    char *block; /* keys are packed into blocks of the arena */
    size_t block_used, block_cap;
} word_map;

/* The entry of a key, made with value 0 if it is not there (`*fresh` says so;
 * may be NULL). Valid until the next word_map_put. */
rc word_map_put(word_map *m, const char *p, size_t n, word_entry **out, bool *fresh);
word_entry *word_map_get(const word_map *m, const char *p, size_t n); /* or NULL */
void word_map_clear(word_map *m); /* forget the words, keep the memory */
void word_map_free(word_map *m);

/* Key and value side by side: a look-up is one miss of the cache, not two. */
typedef struct {
    uint64_t key; /* a << 32 | b, PAIR_FREE = free slot */
    uint32_t value;
} pair_entry;

typedef struct {
    pair_entry *slot;
    size_t n, slots;
} pair_map;

#define PAIR_FREE UINT64_MAX
#define PAIR_NONE UINT32_MAX
#define PAIR_KEY(a, b) ((uint64_t)(uint32_t)(a) << 32 | (uint32_t)(b))

/* The place of the value of a key, made as PAIR_NONE if it is not there. Valid
 * until the next pair_map_put. */
rc pair_map_put(pair_map *m, uint64_t key, uint32_t **value);
void pair_map_free(pair_map *m);

static inline size_t pair_slot(const pair_map *m, uint64_t key)
{
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32) & (m->slots - 1);
}

/* PAIR_NONE if the key is not there. */
static inline uint32_t pair_map_get(const pair_map *m, uint64_t key)
{
    if (!m->slots) return PAIR_NONE;
    size_t i = pair_slot(m, key);
    while (m->slot[i].key != key) {
        if (m->slot[i].key == PAIR_FREE) return PAIR_NONE;
        i = (i + 1) & (m->slots - 1);
    }
    return m->slot[i].value;
}

#endif
