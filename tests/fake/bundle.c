/* bundle.c - see bundle.h. */
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "bundle.h"

bool bundle_make(const char *dir)
{
    bool ok = file_make_dirs(dir) == OK;
    err_clear();
    return ok;
}

bool bundle_write(const char *dir, const char *name, id data)
{
    const fake_bytes *d = (const fake_bytes *)data;
    arena *mem = arena_new();
    const char *path = file_join(mem, dir, name);
    bool ok = path && file_replace(path, d->p, d->n) == OK;
    err_clear();
    arena_free(mem);
    return ok;
}

bool bundle_has(const char *dir, const char *name, id data)
{
    const fake_bytes *d = (const fake_bytes *)data;
    arena *mem = arena_new();
    const char *path = file_join(mem, dir, name);
    char *bytes;
    size_t n;
    bool ok = path && file_read(mem, path, SIZE_MAX, &bytes, &n) == OK && n == d->n &&
              !memcmp(bytes, d->p, n);
    err_clear();
    arena_free(mem);
    return ok;
}

static bool links(arena *mem, const char *path)
{
    struct stat st;
    char **names;
    size_t n;
    if (lstat(path, &st)) return false;
    if (S_ISLNK(st.st_mode)) return true;
    if (!S_ISDIR(st.st_mode) || file_list(mem, path, &names, &n) != OK) return false;
    for (size_t i = 0; i < n; i++)
        if (links(mem, file_join(mem, path, names[i]))) return true;
    return false;
}

bool bundle_has_links(const char *dir)
{
    arena *mem = arena_new();
    bool any = links(mem, dir);
    err_clear();
    arena_free(mem);
    return any;
}

void bundle_remove(const char *dir)
{
    struct stat st;
    if (!lstat(dir, &st)) file_remove_tree(dir);
    err_clear();
}
