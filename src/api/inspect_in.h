/* inspect_in.h - between the files of inspect. */
#ifndef API_INSPECT_IN_H
#define API_INSPECT_IN_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <jansson.h>
#include "base/arena.h"
#include "base/err.h"

enum { INSPECT_ROWS = 4096 };

/* What is looked at, and what is said of it. */
typedef struct {
    const char *path, *name; /* name: the last part of the path */
    const uint8_t *p;
    size_t n;
    arena *mem;
    json_t *o;
} inspect;

/* Whether `size` bytes stand at `at`; no sum of it can wrap. */
static inline bool inspect_has(const inspect *f, uint64_t at, uint64_t size)
{
    return at <= f->n && size <= f->n - at;
}
/* Little-endian numbers; the caller has asked inspect_has. */
static inline uint64_t inspect_number(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    while (bytes--) v = v << 8 | p[bytes];
    return v;
}
static inline uint32_t inspect_u32(const inspect *f, size_t at)
{
    return (uint32_t)inspect_number(f->p + at, 4);
}
static inline uint64_t inspect_u64(const inspect *f, size_t at)
{
    return inspect_number(f->p + at, 8);
}

void inspect_kind(inspect *f, const char *kind, const char *about);
void inspect_problem(inspect *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Members of an object. Bytes that are not text become dots; a number that is not
 * finite is left out. */
void inspect_text(json_t *o, const char *key, const char *text);
void inspect_textn(json_t *o, const char *key, const uint8_t *p, size_t n);
void inspect_int(json_t *o, const char *key, uint64_t v);
void inspect_real(json_t *o, const char *key, double v);
void inspect_hex(json_t *o, const char *key, uint64_t v);
/* A new row of the list `key`; NULL when the list is full, which is said once. */
json_t *inspect_row(inspect *f, const char *key);
/* Numbers of `n` elements: the least, the most, and how many are not finite. `type`
 * is a MIL or safetensors name; others are passed over. */
void inspect_range(json_t *o, const char *type, const uint8_t *p, size_t n);

/* One function for each family; true = it is that, and all is said. */
bool inspect_mil(inspect *f);    /* MIL text */
bool inspect_blob(inspect *f);   /* weight files */
bool inspect_hwx(inspect *f);    /* compiled for the engine */
bool inspect_e5(inspect *f);     /* E5 bundles' tables */
bool inspect_ours(inspect *f);   /* tensors, tokens, arrays, settings, events */
void inspect_folder(inspect *f); /* checkpoint, run, dataset, model, bundle */

#endif
