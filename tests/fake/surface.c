/* surface.c - a stand-in for IOSurface: memory with a lock count.
 *
 * The lock says that the processor looks at the memory; the engine must not run
 * on it meanwhile. What Apple's code does not report is counted as misuse: an
 * address asked for without a lock, an unlock that does not match. */
#include <stdlib.h>
#include <string.h>
#include "methods.h"

#define X(name, text) CFStringRef name;
IOSURFACE_KEYS(X)
#undef X

void fake_make_surface_keys(void)
{
#define X(name, text) name = (CFStringRef)fake_constant(text);
    IOSURFACE_KEYS(X)
#undef X
}

enum { READ_ONLY = 1, PAGE = 16384 };
/* IOReturn values, IOKit/IOReturn.h. */
#define NOT_PERMITTED ((int)0xe00002e2u)
#define CANNOT_LOCK ((int)0xe00002ccu)

static size_t size_at(id properties, const char *key)
{
    id v = fake_lookup_value(properties, key);
    return fake_is(v, CLASS_number) && fake_whole(v) > 0 ? (size_t)fake_whole(v) : 0;
}

static fake_surface *it(IOSurfaceRef s)
{
    return (fake_surface *)(void *)s;
}

IOSurfaceRef IOSurfaceCreate(CFDictionaryRef wanted)
{
    id properties = fake_id(wanted);
    if (fake_fails() || !fake_is(properties, CLASS_dictionary)) return NULL;
    fake_surface want = {.width = size_at(properties, "IOSurfaceWidth"),
                         .height = size_at(properties, "IOSurfaceHeight"),
                         .element = size_at(properties, "IOSurfaceBytesPerElement"),
                         .row = size_at(properties, "IOSurfaceBytesPerRow"),
                         .alloc = size_at(properties, "IOSurfaceAllocSize")};
    if (!want.width || !want.height || want.row / want.width < want.element) return NULL;
    if (!want.alloc) want.alloc = want.row * want.height;
    if (want.alloc / want.row < want.height || want.alloc > SIZE_MAX / 2) return NULL;
    /* Whole pages of the chip's size, as the kernel gives. */
    size_t bytes = (want.alloc + PAGE - 1) / PAGE * PAGE;
    void *base = aligned_alloc(PAGE, bytes);
    if (!base) return NULL;
    memset(base, 0, bytes);
    id o = fake_new(CLASS_surface);
    fake_surface *s = (fake_surface *)o;
    s->base = base;
    s->width = want.width;
    s->height = want.height;
    s->element = want.element;
    s->row = want.row;
    s->alloc = want.alloc;
    return (IOSurfaceRef)(void *)o;
}

void fake_drop_surface(id o)
{
    fake_surface *s = (fake_surface *)o;
    if (atomic_load(&s->writing) || atomic_load(&s->reading))
        fake_misuse("a surface was released while locked");
    free(s->base);
}

/* The engine may be reading or writing it: Apple's lock would wait. */
IOReturn IOSurfaceLock(IOSurfaceRef ref, IOSurfaceLockOptions options, uint32_t *seed)
{
    fake_surface *s = it(ref);
    if (fake_fails()) return CANNOT_LOCK;
    if (atomic_load(&s->running)) fake_misuse("a surface was locked during a run on it");
    atomic_fetch_add(options & READ_ONLY ? &s->reading : &s->writing, 1);
    if (seed) *seed = 0;
    return 0;
}

IOReturn IOSurfaceUnlock(IOSurfaceRef ref, IOSurfaceLockOptions options, uint32_t *seed)
{
    fake_surface *s = it(ref);
    bool told = fake_fails(); /* the lock goes, with an error */
    atomic_int *count = options & READ_ONLY ? &s->reading : &s->writing;
    int had = atomic_load(count);
    do {
        if (had > 0) continue;
        fake_misuse("a surface was unlocked that was not locked so");
        return NOT_PERMITTED;
    } while (!atomic_compare_exchange_weak(count, &had, had - 1));
    if (seed) *seed = 0;
    return told ? NOT_PERMITTED : 0;
}

void *IOSurfaceGetBaseAddress(IOSurfaceRef ref)
{
    fake_surface *s = it(ref);
    if (fake_fails()) return NULL;
    if (!atomic_load(&s->writing) && !atomic_load(&s->reading))
        fake_misuse("the address of a surface was taken without a lock");
    return s->base;
}

size_t IOSurfaceGetAllocSize(IOSurfaceRef s)
{
    return it(s)->alloc;
}

size_t IOSurfaceGetWidth(IOSurfaceRef s)
{
    return it(s)->width;
}

size_t IOSurfaceGetHeight(IOSurfaceRef s)
{
    return it(s)->height;
}

size_t IOSurfaceGetBytesPerRow(IOSurfaceRef s)
{
    return it(s)->row;
}

size_t IOSurfaceGetBytesPerElement(IOSurfaceRef s)
{
    return it(s)->element;
}
