/* arena.h - one lifetime, one arena: everything taken is given back at once.
 *
 * Memory is zeroed and 64-byte aligned. A failed take returns NULL and starts
 * an E_MEMORY chain. Not for two threads at once. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include "base/err.h"

typedef struct arena arena;

arena *arena_new(void);     /* NULL when out of memory */
void arena_free(arena *a);  /* NULL is fine */
void arena_reset(arena *a); /* keep the blocks, forget the contents */
void *arena_take(arena *a, size_t bytes);
/* count * size with overflow checked (NULL and E_MEMORY on overflow). */
void *arena_array(arena *a, size_t count, size_t size);
char *arena_text(arena *a, const char *text); /* copy */
char *arena_textn(arena *a, const char *text, size_t n);
char *arena_printf(arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
size_t arena_bytes(const arena *a); /* taken so far */

/* Tests: make the n-th allocation from now (1 = next) of malloc, arena and
 * mem_* fail once; 0 switches it off. */
void mem_fail_at(long n);
/* malloc family with the fault hook and an E_MEMORY chain on failure;
 * memory is zeroed and 64-byte aligned. */
void *mem_take(size_t bytes);
void mem_drop(void *p);
/* a*b or a+b, with overflow turned into SIZE_MAX (which no allocation gives). */
size_t mem_mul(size_t a, size_t b);
size_t mem_add(size_t a, size_t b);

#endif
