/* arena.c - memory by lifetime, and the one door to the allocator.
 *
 * An arena is a list of blocks; a take moves a mark forward in the current
 * one. A reset keeps the blocks, so a step that takes the same again allocates
 * nothing. Fresh blocks are zero already (calloc); `dirty` remembers how far a
 * block was ever used, so that only that part is cleared when taken anew. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"

#define ALIGN 64u
#define BLOCK_FIRST ((size_t)64 << 10)
#define BLOCK_LAST ((size_t)8 << 20)

typedef struct block {
    struct block *next;
    size_t cap, used, dirty;
    unsigned char *p;
} block;

struct arena {
    block *first, *now;
    size_t grow; /* bytes of the next block */
    size_t bytes;
};

static atomic_long fail_at;

void mem_fail_at(long n)
{
    atomic_store(&fail_at, n);
}

/* True once, when the armed counter runs out. */
static bool must_fail(void)
{
    long left = atomic_load(&fail_at);
    while (left > 0)
        if (atomic_compare_exchange_weak(&fail_at, &left, left - 1)) return left == 1;
    return false;
}

size_t mem_mul(size_t a, size_t b)
{
    return b && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

size_t mem_add(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static void *no_memory(size_t bytes)
{
    if (bytes == SIZE_MAX)
        err_fail(E_MEMORY, "out of memory: the size asked for does not fit a number");
    else err_fail(E_MEMORY, "out of memory: wanted %zu bytes", bytes);
    return NULL;
}

/* calloc gives large blocks as untouched zero pages, which posix_memalign does
 * not; so align by hand and keep the address to free just before the block. */
static void *raw_take(size_t bytes)
{
    size_t room = mem_add(bytes, ALIGN + sizeof(void *));
    if (room > PTRDIFF_MAX) return NULL; /* no object is larger */
    unsigned char *raw = calloc(1, room);
    if (!raw) return NULL;
    uintptr_t at = (uintptr_t)raw + sizeof(void *);
    size_t skip = sizeof(void *) + (size_t)((ALIGN - at % ALIGN) % ALIGN);
    void *p = raw + skip;
    memcpy((unsigned char *)p - sizeof raw, &raw, sizeof raw);
    return p;
}

void *mem_take(size_t bytes)
{
    void *p = must_fail() ? NULL : raw_take(bytes);
    return p ? p : no_memory(bytes);
}

void mem_drop(void *p)
{
    if (!p) return;
    void *raw;
    memcpy(&raw, (unsigned char *)p - sizeof raw, sizeof raw);
    free(raw);
}

arena *arena_new(void)
{
    arena *a = mem_take(sizeof *a);
    if (a) a->grow = BLOCK_FIRST;
    return a;
}

void arena_free(arena *a)
{
    if (!a) return;
    for (block *b = a->first, *next; b; b = next) {
        next = b->next;
        mem_drop(b->p);
        mem_drop(b);
    }
    mem_drop(a);
}

void arena_reset(arena *a)
{
    for (block *b = a->first; b; b = b->next) b->used = 0;
    a->now = a->first;
    a->bytes = 0;
}

/* A block with `need` bytes free at or after the current one, or a new one. */
static block *block_with(arena *a, size_t need)
{
    for (; a->now; a->now = a->now->next) {
        if (a->now->cap - a->now->used >= need) return a->now;
        if (!a->now->next) break;
    }
    size_t cap = need > a->grow ? need : a->grow;
    block *b = raw_take(sizeof *b);
    unsigned char *p = b ? raw_take(cap) : NULL;
    if (!p) {
        mem_drop(b);
        return NULL;
    }
    b->cap = cap, b->p = p;
    if (a->grow < BLOCK_LAST) a->grow *= 2;
    if (a->now) a->now->next = b;
    else a->first = b;
    return a->now = b;
}

void *arena_take(arena *a, size_t bytes)
{
    size_t need = mem_add(bytes ? bytes : 1, ALIGN - 1) & ~(size_t)(ALIGN - 1);
    bool hopeless = bytes > SIZE_MAX - 2 * ALIGN;
    block *b = must_fail() || hopeless ? NULL : block_with(a, need);
    if (!b) return no_memory(bytes);
    unsigned char *p = b->p + b->used;
    if (b->used < b->dirty) {
        size_t old = b->dirty - b->used;
        memset(p, 0, old < need ? old : need);
    }
    b->used += need;
    if (b->dirty < b->used) b->dirty = b->used;
    a->bytes += bytes;
    return p;
}

void *arena_array(arena *a, size_t count, size_t size)
{
    return arena_take(a, mem_mul(count, size));
}

char *arena_textn(arena *a, const char *text, size_t n)
{
    char *p = arena_take(a, mem_add(n, 1));
    if (p && n) memcpy(p, text, n);
    return p;
}

char *arena_text(arena *a, const char *text)
{
    return arena_textn(a, text, strlen(text));
}

char *arena_printf(arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_take(a, (size_t)n + 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

size_t arena_bytes(const arena *a)
{
    return a->bytes;
}
