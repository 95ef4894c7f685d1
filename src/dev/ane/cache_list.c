/* cache_list.c - the cache's folder as a whole: what is in it, the longest
 * unused removed, leftovers swept, all of it cleared. None of this needs a
 * device, and none of it waits: what another process is writing is left alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/str.h"
#include "dev/ane/ane.h"
#include "dev/cache.h"

#define ENTRY ".entry"

static char *root_of(arena *mem, const char *state)
{
    return state && *state ? arena_printf(mem, "%s/ane/programs", state) : NULL;
}

/* A word of the machine's text: "route client; ..." */
static const char *word_after(arena *mem, const char *machine, const char *mark)
{
    const char *at = strstr(machine, mark);
    if (!at) return "";
    at += strlen(mark);
    return arena_textn(mem, at, strcspn(at, ";"));
}

/* False if it is no entry, or a torn one (the next use of it removes it). */
static bool read_one(arena *mem, const char *root, const char *base, dev_cached *out)
{
    ane_entry e;
    struct stat st;
    const char *path = file_join(mem, root, base);
    if (!path || stat(path, &st) || ane_entry_read(mem, path, &e) != OK) return false;
#ifdef __APPLE__
    struct timespec used = st.st_mtimespec;
#else
    struct timespec used = st.st_mtim;
#endif
    *out = (dev_cached){.name = arena_textn(mem, base, strlen(base) - strlen(ENTRY)),
                        .route = word_after(mem, e.machine, "route "),
                        .system = word_after(mem, e.machine, "build "),
                        .bytes = e.bytes + (uint64_t)st.st_size,
                        .used = (int64_t)used.tv_sec,
                        .used_ns = used.tv_nsec};
    return out->name && out->route && out->system;
}

static int by_use(const void *a, const void *b)
{
    const dev_cached *x = a, *y = b;
    if (x->used != y->used) return x->used < y->used ? -1 : 1;
    if (x->used_ns != y->used_ns) return x->used_ns < y->used_ns ? -1 : 1;
    return strcmp(x->name, y->name);
}

static rc list(arena *mem, const char *root, dev_cached **out, size_t *n)
{
    char **names;
    size_t all;
    *n = 0;
    *out = NULL;
    if (!root || !file_is_dir(root)) return OK;
    TRY(file_list(mem, root, &names, &all));
    *out = arena_array(mem, all + 1, sizeof **out);
    if (!*out) return E_MEMORY;
    for (size_t i = 0; i < all; i++)
        if (str_ends(names[i], ENTRY) && read_one(mem, root, names[i], &(*out)[*n]))
            (*n)++;
    err_clear();
    qsort(*out, *n, sizeof **out, by_use);
    return OK;
}

/* The route a URI forces, "" for any. */
static rc route_of(const char *uri, const char **route)
{
    ane_params p;
    *route = "";
    if (!uri || !*uri) return OK;
    size_t n = strcspn(uri, ":");
    if (n != 3 || strncmp(uri, "ane", 3))
        return err_fail(E_DEVICE, "a device of '%.*s' keeps no programs", (int)n, uri);
    TRY(ane_params_parse(uri[n] ? uri + n + 1 : "", &p));
    if (p.route) *route = p.route->name;
    return OK;
}

rc dev_cache_list(arena *mem, const char *state, const char *uri, dev_cached **out,
                  size_t *n)
{
    const char *route;
    size_t all, k = 0;
    *n = 0;
    TRY(route_of(uri, &route));
    TRY(list(mem, root_of(mem, state), out, &all));
    for (size_t i = 0; i < all; i++)
        if (!*route || !strcmp(route, (*out)[i].route)) (*out)[k++] = (*out)[i];
    *n = k;
    return OK;
}

/* Under its lock, which closing the stage removes with the folder. */
static bool remove_one(arena *mem, const char *root, const char *name)
{
    ane_stage s;
    const char *dir = file_join(mem, root, name);
    const char *entry = dir ? arena_printf(mem, "%s" ENTRY, dir) : NULL;
    if (!entry || ane_stage_open(&s, dir, NULL, 0) != OK) {
        err_clear();
        return false;
    }
    bool gone = !file_exists(entry) || file_remove(entry) == OK;
    ane_stage_close(&s);
    err_clear();
    return gone;
}

void ane_cache_trim(const char *root, uint64_t max_bytes)
{
    arena *mem = arena_new();
    dev_cached *all;
    size_t n;
    uint64_t total = 0;
    if (mem && list(mem, root, &all, &n) == OK) {
        for (size_t i = 0; i < n; i++) total += all[i].bytes;
        for (size_t i = 0; i < n && total > max_bytes; i++)
            if (remove_one(mem, root, all[i].name)) total -= all[i].bytes;
    }
    err_clear();
    arena_free(mem);
}

/* Folders and half-written entries that no entry names. */
void ane_cache_sweep(const char *root)
{
    arena *mem = arena_new();
    char **names;
    size_t n = 0;
    if (!mem || file_list(mem, root, &names, &n) != OK) n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *path = file_join(mem, root, names[i]);
        const char *entry = path ? arena_printf(mem, "%s" ENTRY, path) : NULL;
        if (!entry) continue;
        if (str_ends(names[i], ANE_LOCK_SUFFIX)) {
            size_t len = strlen(names[i]) - strlen(ANE_LOCK_SUFFIX);
            const char *name = arena_textn(mem, names[i], len);
            entry = name ? arena_printf(mem, "%s/%s" ENTRY, root, name) : NULL;
            if (entry && !file_exists(entry)) remove_one(mem, root, name);
        } else if (file_is_dir(path) && !file_exists(entry)) {
            remove_one(mem, root, names[i]);
        }
    }
    err_clear();
    arena_free(mem);
}

static void forget_verdicts(arena *mem, const char *root, const char *route)
{
    char **names, *text;
    size_t n, size;
    if (file_list(mem, root, &names, &n) != OK) n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *path = file_join(mem, root, names[i]);
        if (!path || !str_ends(names[i], ".verdict")) continue;
        const char *of = file_read(mem, path, 4096, &text, &size) == OK
                             ? word_after(mem, text, "route ")
                             : "";
        if (!*route || (of && !strcmp(of, route))) file_remove(path);
    }
    err_clear();
}

rc dev_cache_clear(const char *state, const char *uri, size_t *n, uint64_t *bytes)
{
    arena *mem = arena_new();
    dev_cached *all = NULL;
    size_t count = 0;
    *n = 0;
    *bytes = 0;
    if (!mem) return E_MEMORY;
    const char *root = root_of(mem, state);
    rc r = dev_cache_list(mem, state, uri, &all, &count);
    for (size_t i = 0; r == OK && i < count; i++) {
        if (!remove_one(mem, root, all[i].name)) continue;
        *bytes += all[i].bytes;
        (*n)++;
    }
    if (r == OK && root && file_is_dir(root)) {
        const char *route = "";
        route_of(uri, &route);
        forget_verdicts(mem, root, route);
        ane_cache_sweep(root);
    }
    arena_free(mem);
    return r;
}
