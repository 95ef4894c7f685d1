/* names.c - a set of names in an arena: open addressing, at most half full.
 *
 * A name found once has one address for ever, so the reader compares pointers,
 * and its mark answers "is this defined here?" without a second look-up. An
 * outgrown table stays in the arena; all of them together are no larger than
 * the last. */
#include <string.h>
#include "mil/mil_in.h"

uint64_t mil_hash(const void *bytes, size_t n, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u ^ seed;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* The slot that holds the name, or the free one where it belongs. */
static mil_name **find(mil_name **slot, size_t cap, const char *text, size_t n)
{
    size_t i = (size_t)mil_hash(text, n, 0) & (cap - 1);
    while (slot[i] && (strncmp(slot[i]->text, text, n) || slot[i]->text[n]))
        i = (i + 1) & (cap - 1);
    return &slot[i];
}

static bool widen(mil_names *set)
{
    size_t cap = set->cap ? set->cap * 2 : 64;
    mil_name **slot = arena_array(set->mem, cap, sizeof *slot);
    if (!slot) return false;
    for (size_t i = 0; i < set->cap; i++)
        if (set->slot[i])
            *find(slot, cap, set->slot[i]->text,
                  strlen(set->slot[i]->text)) = set->slot[i];
    set->slot = slot, set->cap = cap;
    return true;
}

mil_name *mil_name_of(mil_names *set, const char *text, size_t n)
{
    mil_name *known = set->cap ? *find(set->slot, set->cap, text, n) : NULL;
    if (known) return known;
    if (2 * set->n >= set->cap && !widen(set)) return NULL;
    mil_name *name = arena_take(set->mem, sizeof *name + n + 1);
    if (!name) return NULL;
    memcpy(name->text, text, n);
    set->n++;
    return *find(set->slot, set->cap, text, n) = name;
}

/* Spelled out rather than isalpha(), which follows the locale. */
bool mil_is_name(const char *text)
{
    size_t n = text ? strlen(text) : 0;
    const char *first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    if (!n || n > MIL_NAME_MAX || !strchr(first, text[0])) return false;
    for (size_t i = 1; i < n; i++)
        if (!strchr(first, text[i]) && !strchr("0123456789@", text[i])) return false;
    return strcmp(text, "true") && strcmp(text, "false");
}

/* `array` is the address of a pointer of any type, so it is copied as bytes.
 * What was outgrown stays in the arena: at most as much again. */
rc mil_grow(arena *mem, void *array, int n, int *cap, size_t size)
{
    if (n < *cap) return OK;
    int more = *cap ? *cap * 2 : 4;
    void *old, *p = arena_array(mem, (size_t)more, size);
    if (!p) return E_MEMORY;
    memcpy(&old, array, sizeof old);
    if (n) memcpy(p, old, (size_t)n * size);
    memcpy(array, &p, sizeof p);
    *cap = more;
    return OK;
}
