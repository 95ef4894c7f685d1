/* cache.h - compiled programs that a driver keeps for the next time, in the
 * folder `state` of dev_open_at. Only Apple's driver keeps any. */
#ifndef DEV_CACHE_H
#define DEV_CACHE_H

#include "base/arena.h"
#include "dev/device.h"

typedef struct {
    const char *name;   /* a hash */
    const char *route;  /* "client" or "memory" */
    const char *system; /* build of the system that compiled it, "" = unknown */
    uint64_t bytes;     /* that we keep of it; the system's copy is its own */
    int64_t used;       /* seconds since 1970, last */
    long used_ns;
} dev_cached;

/* Those that a device of this URI would use (NULL or "" = all), longest unused
 * first. No folder is no error: there are none. E_DEVICE for a driver that keeps
 * nothing. */
rc dev_cache_list(arena *mem, const char *state, const char *uri, dev_cached **out,
                  size_t *n);
/* Remove those of them that nobody is writing just now; *n it was, of *bytes.
 * Whether loading without compiling works is then asked anew. */
rc dev_cache_clear(const char *state, const char *uri, size_t *n, uint64_t *bytes);

/* What an opened device does with it. */
struct dev_cache {
    bool on;
    const char *why; /* "on: ..." or "off: ...", static */
    uint64_t max_bytes;
    /* Programs since opening: loaded without compiling; not found; found but
     * refused by the system, so compiled; kept; could not be kept. */
    uint64_t loads, misses, refused, stored, failed;
};
/* A driver that keeps nothing says so: off. */
rc dev_cache_of(device *d, dev_cache *out);
/* Try it: compile a small program, unload it, load it again without compiling,
 * and compare its numbers. What came of it is remembered for this system, and
 * from then on holds for the device. Not beside other loads. E_DEVICE where nothing can
 * be kept. */
rc dev_cache_try(device *d, bool *works);

#endif
