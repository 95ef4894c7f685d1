/* cache.h - programs that were compiled before are loaded without compiling.
 *
 * Apple's service keeps every compiled program, and loads it for whoever names
 * it right: an in-memory model by its identifier, a hash of text and weights; a
 * model in a folder by the folder's path and its key (decompiled framework of
 * iOS 17 to 26; pmetal, oMLX and TurboCider load that way on macOS 26 and 27).
 * So what anneal keeps is what makes it name a program right the next time, in
 * STATE/ane/programs:
 *   NAME.entry    what belongs to the program, with checksums; written last, and
 *                 at once: an entry that is torn is no entry
 *   NAME/         route client: model.mil and weights, where the service looks
 *                 for them (TurboCider leaves them there too); route memory:
 *                 files that the framework left beside them and that cannot be
 *                 made again from the program (h3.c-ane puts such back)
 *   HASH.verdict  whether loading without compiling worked on this system
 * NAME is a hash of the text, the weights, how they are given, the route, the
 * system's build, the chip, the framework and anneal's version.
 *
 * Nothing here is needed: what fails is counted and noted, and the program is
 * compiled. Processes share the folder: a program is written under its lock. */
#ifndef DEV_ANE_CACHE_H
#define DEV_ANE_CACHE_H

#include "dev/ane/stage.h"

typedef enum { ANE_CACHE_UNKNOWN, ANE_CACHE_WORKS, ANE_CACHE_FAILS } ane_verdict;

typedef struct {
    bool usable; /* there is a folder, and nobody turned it off */
    bool on;
    ane_verdict verdict;
    char root[ANE_PATH], machine[512];
    const char *why; /* it is on, or not; static */
    uint64_t max_bytes;
    /* Since opening: loaded without compiling; not there; there, but refused by
     * the system; kept for the next time; could not be kept. */
    uint64_t loads, misses, refused, stored, failed;
} ane_cache;

enum { ANE_CACHE_NAME = 33, ANE_CACHE_MB = 1024 };

/* Prepare it in `state` (NULL: remember nothing; it stays off), sweep what killed
 * runs left. `mb` is the most it may hold, 0 = off. */
void ane_cache_open(ane_cache *c, const char *state, uint64_t mb);
/* For this route on this system: read the verdict. It is on unless it is known
 * to fail, but not proved before it is settled. */
void ane_cache_select(ane_cache *c, const char *machine);
void ane_cache_settle(ane_cache *c, bool works);
void ane_cache_off(ane_cache *c, const char *why);

void ane_cache_name(const ane_cache *c, const uint64_t key[2], int form,
                    char out[ANE_CACHE_NAME]);

/* All of these are called with the lock beside the program's folder held. */
/* Is it kept whole? An entry that is torn is removed. */
bool ane_cache_has(ane_cache *c, const char *name);
/* Put back into the open stage `s` what belongs there beside the source. */
rc ane_cache_restore(ane_cache *c, const char *name, ane_stage *s, const dev_source *src);
/* Keep a program that was compiled in folder `dir` and loaded. `in_place`: dir is
 * the folder in the cache. False, counted, if that failed. */
bool ane_cache_store(ane_cache *c, const char *name, const char *dir, bool in_place,
                     const dev_source *src);
void ane_cache_drop(ane_cache *c, const char *name);
/* It was used now. */
void ane_cache_touch(ane_cache *c, const char *name);

/* ---- cache_list.c ---- */
/* Remove the longest unused until it holds no more than `max_bytes`. */
void ane_cache_trim(const char *root, uint64_t max_bytes);
/* Remove what no entry names and nobody is writing. */
void ane_cache_sweep(const char *root);

/* ---- entries.c: NAME.entry ---- */
typedef enum { ANE_KEPT, ANE_IS_TEXT, ANE_IS_WEIGHT } ane_kept_as;
typedef struct {
    ane_kept_as as;
    int weight; /* which, for ANE_IS_WEIGHT */
    uint64_t bytes, hash[2];
    const char *name; /* below the folder */
} ane_kept_file;
typedef struct {
    const char *machine;
    int n;
    ane_kept_file *files;
    uint64_t bytes; /* on disk, of the files that are kept */
} ane_entry;
rc ane_entry_write(const char *path, const ane_entry *e);
/* E_FORMAT if it is not whole. */
rc ane_entry_read(arena *mem, const char *path, ane_entry *out);

#endif
