/* cache.c - keep what was compiled, and find it again; see cache.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/str.h"
#include "dev/ane/cache.h"

#define ENTRY ".entry"
#define VERDICT ".verdict"

static bool path_of(const ane_cache *c, const char *name, const char *suffix,
                    char out[ANE_PATH])
{
    char path[2 * ANE_PATH];
    int n = snprintf(path, sizeof path, "%s/%s%s", c->root, name, suffix);
    if (n < 0 || n >= ANE_PATH) return false;
    memcpy(out, path, (size_t)n + 1);
    return true;
}

/* ---- opening ---- */
/* Private from the start, and even if it was made otherwise before: what is in
 * it is loaded on the engine. */
static bool make_private_root(ane_cache *c)
{
    struct stat st;
    char *slash = strrchr(c->root, '/');
    *slash = 0;
    rc r = file_make_dirs(c->root);
    *slash = '/';
    if (r != OK || (mkdir(c->root, 0700) && errno != EEXIST) || lstat(c->root, &st))
        return false;
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !chmod(c->root, 0700);
}

void ane_cache_off(ane_cache *c, const char *why)
{
    c->on = false;
    c->why = why;
}

void ane_cache_open(ane_cache *c, const char *state, uint64_t mb)
{
    *c = (ane_cache){.max_bytes = mb << 20, .why = "off: told so"};
    if (!mb) return;
    c->why = "off: no folder to keep programs in";
    if (!state || !*state) return;
    int n = snprintf(c->root, sizeof c->root, "%s/ane/programs", state);
    c->why = "off: its folder cannot be used";
    c->usable = n > 0 && (size_t)n + 64 < sizeof c->root && make_private_root(c);
    if (c->usable) ane_cache_sweep(c->root);
    err_clear();
}

static void verdict_path(const ane_cache *c, char out[ANE_PATH])
{
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64,
             (uint64_t)XXH3_64bits(c->machine, strlen(c->machine)));
    path_of(c, hash, VERDICT, out);
}

/* The machine's text and a word; whatever else is no verdict. */
static ane_verdict read_verdict(const ane_cache *c)
{
    ane_verdict v = ANE_CACHE_UNKNOWN;
    char path[ANE_PATH], *text;
    size_t n, len = strlen(c->machine);
    arena *mem = arena_new();
    verdict_path(c, path);
    if (mem && file_read(mem, path, 4096, &text, &n) == OK &&
        !strncmp(text, c->machine, len)) {
        if (!strcmp(text + len, "\nworks\n")) v = ANE_CACHE_WORKS;
        if (!strcmp(text + len, "\nfails\n")) v = ANE_CACHE_FAILS;
    }
    err_clear();
    arena_free(mem);
    return v;
}

void ane_cache_select(ane_cache *c, const char *machine)
{
    if (!c->usable) return;
    snprintf(c->machine, sizeof c->machine, "%s", machine);
    c->verdict = read_verdict(c);
    c->on = c->verdict != ANE_CACHE_FAILS;
    c->why = c->on ? "on: programs were loaded without compiling here"
                   : "off: the system did not load a program without compiling";
}

void ane_cache_settle(ane_cache *c, bool works)
{
    char path[ANE_PATH], text[600];
    c->verdict = works ? ANE_CACHE_WORKS : ANE_CACHE_FAILS;
    c->on = works;
    c->why = works ? "on: programs were loaded without compiling here"
                   : "off: the system did not load a program without compiling";
    verdict_path(c, path);
    int n = snprintf(text, sizeof text, "%s\n%s\n", c->machine,
                     works ? "works" : "fails");
    if (file_replace(path, text, (size_t)n) != OK) c->failed++;
    err_clear();
}

void ane_cache_name(const ane_cache *c, const uint64_t key[2], int form,
                    char out[ANE_CACHE_NAME])
{
    char text[700];
    int n = snprintf(text, sizeof text, "%s %" PRIx64 " %" PRIx64 " %d", c->machine,
                     key[0], key[1], form);
    XXH128_hash_t h = XXH3_128bits(text, (size_t)n);
    snprintf(out, ANE_CACHE_NAME, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64,
             (uint64_t)h.low64);
}

/* ---- finding ---- */
static void hash_bytes(const void *p, size_t n, uint64_t out[2])
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    out[0] = h.low64;
    out[1] = h.high64;
}

static bool is_whole(const char *dir, const ane_kept_file *f)
{
    char path[2 * ANE_PATH];
    uint64_t hash[2];
    file_map_ map;
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, f->name);
    if (lstat(path, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->bytes ||
        file_map(path, &map) != OK)
        return false;
    hash_bytes(map.p, map.n, hash);
    file_unmap(&map);
    return hash[0] == f->hash[0] && hash[1] == f->hash[1];
}

static bool all_whole(const ane_cache *c, const char *name, const ane_entry *e)
{
    char dir[ANE_PATH];
    bool ok = path_of(c, name, "", dir) && !strcmp(e->machine, c->machine);
    for (int i = 0; ok && i < e->n; i++)
        if (e->files[i].as == ANE_KEPT) ok = is_whole(dir, &e->files[i]);
    return ok;
}

bool ane_cache_has(ane_cache *c, const char *name)
{
    char path[ANE_PATH];
    ane_entry e;
    arena *mem = arena_new();
    if (!path_of(c, name, ENTRY, path) || !file_exists(path)) {
        arena_free(mem);
        return false;
    }
    bool ok = mem && ane_entry_read(mem, path, &e) == OK && all_whole(c, name, &e);
    err_clear();
    arena_free(mem);
    if (!ok) ane_cache_drop(c, name);
    return ok;
}

static rc write_back(const ane_cache *c, const char *name, const ane_kept_file *f,
                     ane_stage *s, const dev_source *src)
{
    char from[2 * ANE_PATH];
    if (f->as == ANE_IS_TEXT) return ane_stage_put(s, f->name, src->mil, src->mil_bytes);
    if (f->as == ANE_IS_WEIGHT)
        return f->weight >= 0 && f->weight < src->n_files
                   ? ane_stage_put(s, f->name, src->files[f->weight].bytes,
                                   src->files[f->weight].size)
                   : err_fail(E_FORMAT, "entry %s names a weight that is not there",
                              name);
    snprintf(from, sizeof from, "%s/%s/%s", c->root, name, f->name);
    file_map_ map;
    TRY(file_map(from, &map));
    rc r = ane_stage_put(s, f->name, map.p, map.n);
    file_unmap(&map);
    return r;
}

rc ane_cache_restore(ane_cache *c, const char *name, ane_stage *s, const dev_source *src)
{
    char path[ANE_PATH];
    ane_entry e = {0};
    arena *mem = arena_new();
    rc r = mem && path_of(c, name, ENTRY, path) ? ane_entry_read(mem, path, &e)
                                                : E_MEMORY;
    if (r == OK && e.n) r = ane_stage_make(s);
    for (int i = 0; r == OK && i < e.n; i++) r = write_back(c, name, &e.files[i], s, src);
    arena_free(mem);
    return r;
}

void ane_cache_touch(ane_cache *c, const char *name)
{
    char path[ANE_PATH];
    if (path_of(c, name, ENTRY, path)) utimensat(AT_FDCWD, path, NULL, 0);
}

/* ---- keeping ---- */
/* What a file of the folder is: one of ours, one that the source gives again, or
 * one to keep. */
static bool describe(const char *dir, const char *name, const dev_source *src,
                     ane_kept_file *f)
{
    char path[2 * ANE_PATH];
    file_map_ map;
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (lstat(path, &st) || !S_ISREG(st.st_mode) || file_map(path, &map) != OK)
        return false;
    *f = (ane_kept_file){.as = ANE_KEPT, .bytes = map.n, .name = name};
    hash_bytes(map.p, map.n, f->hash);
    if (map.n == src->mil_bytes && !memcmp(map.p, src->mil, map.n)) f->as = ANE_IS_TEXT;
    for (int i = 0; i < src->n_files && f->as == ANE_KEPT; i++)
        if (map.n == src->files[i].size && !memcmp(map.p, src->files[i].bytes, map.n)) {
            f->as = ANE_IS_WEIGHT;
            f->weight = i;
        }
    file_unmap(&map);
    return true;
}

/* Route client: the sources, which stay where they were staged. */
static rc list_sources(arena *mem, const dev_source *src, ane_entry *e)
{
    e->files = arena_array(mem, (size_t)src->n_files + 1, sizeof *e->files);
    if (!e->files) return E_MEMORY;
    e->files[0] = (ane_kept_file){.bytes = src->mil_bytes, .name = "model.mil"};
    hash_bytes(src->mil, src->mil_bytes, e->files[0].hash);
    for (e->n = 1; e->n <= src->n_files; e->n++) {
        const mil_blob_file *w = &src->files[e->n - 1];
        ane_kept_file *f = &e->files[e->n];
        *f = (ane_kept_file){.bytes = w->size};
        hash_bytes(w->bytes, w->size, f->hash);
        TRY(ane_stage_name(w->path, &f->name));
    }
    return OK;
}

/* Route memory: what the framework left there. */
static rc keep_others(const ane_cache *c, arena *mem, const char *name, const char *dir,
                      const dev_source *src, ane_entry *e)
{
    char **names, to[ANE_PATH], from[2 * ANE_PATH], at[2 * ANE_PATH];
    size_t n;
    TRY(file_list(mem, dir, &names, &n));
    e->files = arena_array(mem, n + 1, sizeof *e->files);
    if (!e->files || !path_of(c, name, "", to)) return E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        ane_kept_file *f = &e->files[e->n];
        if (!strcmp(names[i], "model.mil") || !describe(dir, names[i], src, f)) continue;
        e->n++;
        if (f->as != ANE_KEPT) continue;
        snprintf(from, sizeof from, "%s/%s", dir, names[i]);
        snprintf(at, sizeof at, "%s/%s", to, names[i]);
        TRY(file_make_dirs(to));
        TRY(file_copy(from, at));
    }
    return OK;
}

bool ane_cache_store(ane_cache *c, const char *name, const char *dir, bool in_place,
                     const dev_source *src)
{
    char path[ANE_PATH];
    ane_entry e = {.machine = c->machine};
    arena *mem = arena_new();
    rc r = mem && path_of(c, name, ENTRY, path) ? OK : E_MEMORY;
    if (r == OK && in_place) r = list_sources(mem, src, &e);
    else if (r == OK) r = keep_others(c, mem, name, dir, src, &e);
    for (int i = 0; r == OK && i < e.n; i++)
        if (e.files[i].as == ANE_KEPT) e.bytes += e.files[i].bytes;
    bool large = e.bytes > c->max_bytes; /* would push out all others, and stay */
    if (r == OK && !large) r = ane_entry_write(path, &e);
    arena_free(mem);
    err_clear();
    if (r == OK && !large) {
        c->stored++;
        ane_cache_trim(c->root, c->max_bytes);
        return true;
    }
    if (!large) c->failed++;
    ane_cache_drop(c, name);
    return false;
}

void ane_cache_drop(ane_cache *c, const char *name)
{
    char path[ANE_PATH];
    struct stat st;
    if (path_of(c, name, ENTRY, path) && !lstat(path, &st)) file_remove(path);
    if (path_of(c, name, "", path) && !lstat(path, &st)) file_remove_tree(path);
    err_clear();
}
