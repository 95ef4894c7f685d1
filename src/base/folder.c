/* folder.c - the part of file.h that is about names rather than bytes. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/str.h"

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

rc file_size(const char *path, uint64_t *out)
{
    struct stat st;
    if (stat(path, &st)) return file_fail("read", path, errno);
    *out = (uint64_t)st.st_size;
    return OK;
}

/* Another process may make the same folder meanwhile, so "exists" is only
 * looked at after mkdir refused. */
static rc make_dir(const char *path, const char *name)
{
    if (mkdir(path, 0777) == 0 || file_is_dir(path)) return OK;
    return file_fail("make folder", name, errno);
}

rc file_make_dirs(const char *path)
{
    return file_make_dirs_for(path, path);
}

rc file_make_dirs_for(const char *path, const char *name)
{
    str s = {0};
    str_add(&s, path);
    rc r = str_done(&s);
    for (char *p = s.p; r == OK && *p; p++) {
        if (*p != '/' || p == s.p) continue;
        *p = 0;
        r = make_dir(s.p, s.p);
        *p = '/';
    }
    if (r == OK) r = make_dir(s.p, name);
    str_free(&s);
    return r;
}

rc file_remove(const char *path)
{
    return remove(path) ? file_fail("remove", path, errno) : OK;
}

/* Links are removed, not followed. */
rc file_remove_tree(const char *path)
{
    struct stat st;
    if (lstat(path, &st)) return file_fail("remove", path, errno);
    if (!S_ISDIR(st.st_mode)) return file_remove(path);
    arena *a = arena_new();
    char **names;
    size_t n;
    rc r = a ? file_list(a, path, &names, &n) : E_MEMORY;
    for (size_t i = 0; r == OK && i < n; i++) {
        char *inner = file_join(a, path, names[i]);
        r = inner ? file_remove_tree(inner) : E_MEMORY;
    }
    arena_free(a);
    return r == OK ? file_remove(path) : r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Read all names, growing the array in the arena by doubling. */
static rc read_names(arena *a, DIR *d, const char *dir, char ***names, size_t *n)
{
    size_t cap = 0;
    *names = NULL, *n = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(d);
        if (!entry) return errno ? file_fail("list", dir, errno) : OK;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (*n == cap) {
            cap = cap ? 2 * cap : 16;
            char **more = arena_array(a, cap, sizeof *more);
            if (!more) return E_MEMORY;
            if (*n) memcpy(more, *names, *n * sizeof *more);
            *names = more;
        }
        (*names)[*n] = arena_text(a, entry->d_name);
        if (!(*names)[*n]) return E_MEMORY;
        ++*n;
    }
}

rc file_list(arena *a, const char *dir, char ***names, size_t *n)
{
    DIR *d = opendir(dir);
    if (!d) return file_fail("list", dir, errno);
    rc r = read_names(a, d, dir, names, n);
    closedir(d);
    if (r == OK && *n) qsort(*names, *n, sizeof **names, by_name);
    return r;
}

char *file_join(arena *a, const char *dir, const char *name)
{
    return arena_printf(a, str_ends(dir, "/") ? "%s%s" : "%s/%s", dir, name);
}

const char *file_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
