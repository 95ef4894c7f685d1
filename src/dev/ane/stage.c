/* stage.c - staging folders: made under a lock, removed on every path. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/str.h"
#include "dev/ane/stage.h"

/* No other folder: a file beside them could take the place of the program. */
#define MODEL_PATH "@model_path/"
#define WEIGHTS "weights/"

/* ---- the lock ---- */
/* The holder before us removes the file: a lock on a file that has no name any
 * more guards nothing. */
static bool still_named(const ane_stage *s)
{
    struct stat mine, named;
    return fstat(s->lock.fd, &mine) == 0 && stat(s->lock_path, &named) == 0 &&
           mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

static rc try_lock(ane_stage *s)
{
    TRY(file_lock(s->lock_path, &s->lock));
    if (still_named(s)) {
        s->locked = true;
        return OK;
    }
    file_unlock(&s->lock);
    return err_fail(E_BUSY, "%s was removed meanwhile", s->lock_path);
}

static rc wait_for_lock(ane_stage *s, double wait_ms)
{
    double until = clock_ms() + wait_ms;
    for (;;) {
        rc r = try_lock(s);
        if (r != E_BUSY) return r;
        if (clock_ms() >= until)
            return err_hint(err_while(r,
                                      "waiting %.0f s for another process that stages "
                                      "the same program",
                                      wait_ms / 1e3),
                            "end that process, or try again");
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

/* ---- the folder ---- */
/* The name is known beforehand, so somebody else may have put a link or a
 * folder of theirs there to read or change what is written. */
static rc check_free(const char *dir)
{
    struct stat st;
    if (lstat(dir, &st)) return errno == ENOENT ? OK : file_fail("look at", dir, errno);
    if (st.st_uid != geteuid()) return err_fail(E_IO, "%s belongs to another user", dir);
    return file_remove_tree(dir); /* left by a process that was killed */
}

static rc make_private(const char *dir)
{
    if (mkdir(dir, 0700)) return file_fail("make folder", dir, errno);
    return OK;
}

rc ane_stage_open(ane_stage *s, const char *dir, const char *elsewhere, double wait_ms)
{
    *s = (ane_stage){0};
    int n = snprintf(s->dir, sizeof s->dir, "%s", dir);
    int k = snprintf(s->lock_path, sizeof s->lock_path, "%s" ANE_LOCK_SUFFIX, dir);
    int m = elsewhere
                ? snprintf(s->real, sizeof s->real, "%s/%s", elsewhere, file_base(dir))
                : snprintf(s->real, sizeof s->real, "%s", dir);
    if (n < 0 || k < 0 || m < 0 || (size_t)n >= sizeof s->dir ||
        (size_t)k >= sizeof s->lock_path || (size_t)m >= sizeof s->real)
        return err_fail(E_IO, "the path of the staging folder %.60s... is too long", dir);
    TRY(wait_for_lock(s, wait_ms));
    return OK;
}

rc ane_stage_name(const char *path, const char **rest)
{
    const char *name = path + strlen(MODEL_PATH WEIGHTS);
    *rest = path + strlen(MODEL_PATH);
    if (str_starts(path, MODEL_PATH WEIGHTS) && *name && *name != '/' &&
        !strstr(name, "..") && !str_ends(path, "/"))
        return OK;
    return err_fail(E_FORMAT, "a weight file is '%s'; wanted '@model_path/weights/NAME'",
                    path);
}

static rc write_file(const char *path, const void *bytes, size_t n)
{
    file *f;
    TRY(file_create(path, &f));
    rc r = n ? file_write(f, bytes, n) : OK;
    if (r == OK) return file_close(f);
    file_drop(f);
    return r;
}

static rc write_weights(ane_stage *s, arena *mem, const dev_source *src)
{
    for (int i = 0; i < src->n_files; i++) {
        const char *rest;
        TRY(ane_stage_name(src->files[i].path, &rest));
        char *path = arena_printf(mem, "%s/%s", s->real, rest);
        if (!path) return E_MEMORY;
        char *slash = strrchr(path, '/');
        *slash = 0;
        TRY(file_make_dirs(path));
        *slash = '/';
        TRY(write_file(path, src->files[i].bytes, src->files[i].size));
    }
    return OK;
}

rc ane_stage_make(ane_stage *s)
{
    bool linked = strcmp(s->dir, s->real) != 0;
    TRY(check_free(s->dir));
    if (linked) TRY(check_free(s->real));
    TRY(make_private(s->real));
    if (linked && symlink(s->real, s->dir)) return file_fail("link", s->dir, errno);
    return OK;
}

rc ane_stage_put(ane_stage *s, const char *name, const void *bytes, size_t n)
{
    char path[2 * ANE_PATH];
    int k = snprintf(path, sizeof path, "%s/%s", s->real, name);
    if (k < 0 || (size_t)k >= sizeof path) return err_fail(E_IO, "%s is too long", name);
    return write_file(path, bytes, n);
}

static rc write_all(ane_stage *s, arena *mem, const dev_source *src)
{
    TRY(ane_stage_make(s));
    char *mil = arena_printf(mem, "%s/model.mil", s->real);
    char *weights = arena_printf(mem, "%s/weights", s->real);
    if (!mil || !weights) return E_MEMORY;
    TRY(file_make_dirs(weights)); /* looked for even where there are none */
    TRY(write_file(mil, src->mil, src->mil_bytes));
    return write_weights(s, mem, src);
}

rc ane_stage_write(ane_stage *s, const dev_source *src)
{
    arena *mem = arena_new();
    if (!mem) return E_MEMORY;
    rc r = write_all(s, mem, src);
    arena_free(mem);
    return r == OK ? r : err_while(r, "staging the program in %s", s->real);
}

/* Cleaning up after an error must not hide that error. Is it gone? */
static bool remove_quietly(const char *path)
{
    struct stat st;
    err_saved before;
    if (lstat(path, &st)) return true;
    err_save(E_FAILED, &before);
    if (file_remove_tree(path) == OK) return true;
    err_restore(&before);
    return false;
}

/* A lock that is kept, though free, tells the next sweep of the folder. */
static void let_go(ane_stage *s, bool keep)
{
    if (!keep) unlink(s->lock_path);
    file_unlock(&s->lock);
    s->locked = false;
}

void ane_stage_leave(ane_stage *s)
{
    if (s->locked) let_go(s, false);
}

void ane_stage_close(ane_stage *s)
{
    if (!s->locked) return;
    bool gone = remove_quietly(s->real);
    if (gone && strcmp(s->dir, s->real)) gone = remove_quietly(s->dir);
    let_go(s, !gone);
}

void ane_stage_sweep(const char *temp, const char *elsewhere)
{
    arena *mem = arena_new();
    char **names;
    size_t n = 0;
    if (!mem || file_list(mem, temp, &names, &n) != OK) n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!str_ends(names[i], ANE_LOCK_SUFFIX)) continue;
        size_t len = strlen(names[i]) - strlen(ANE_LOCK_SUFFIX);
        char *name = arena_textn(mem, names[i], len);
        char *dir = name ? file_join(mem, temp, name) : NULL;
        ane_stage s;
        if (dir && ane_stage_open(&s, dir, elsewhere, 0) == OK) ane_stage_close(&s);
    }
    err_clear();
    arena_free(mem);
}
