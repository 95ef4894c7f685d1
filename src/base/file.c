/* file.c - files by descriptor, without a buffer in between: what file_write
 * returned OK for is in the system, so a reader of events.jsonl sees whole
 * lines and a failed write is seen where it happened.
 *
 * The fault hook counts write, sync and rename. A write that is made to fail
 * writes its first half, as a full disk would: readers must cope with torn
 * files, not only with missing ones. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/str.h"

struct file {
    int fd;
    uint64_t written;
    char *path; /* for messages */
};

#define READ_LIMIT ((size_t)1 << 30)
#define WRITE_PIECE ((size_t)1 << 30) /* macOS refuses more than INT_MAX at once */

static atomic_long fail_at;

void file_fail_at(long n)
{
    atomic_store(&fail_at, n);
}

/* Count one operation; once the count is used up every one fails. */
static bool must_fail(void)
{
    long left = atomic_load(&fail_at);
    while (left > 1)
        if (atomic_compare_exchange_weak(&fail_at, &left, left - 1)) return false;
    return left == 1;
}

rc file_fail(const char *verb, const char *path, int error)
{
    const char *why = strerror(error);
    rc r = err_fail(E_IO, "cannot %s %s: %c%s", verb, path,
                    tolower((unsigned char)why[0]), why + 1);
    /* What was complete is untouched: files are written beside and renamed. */
    if (error != ENOSPC) return r;
    return err_hint(r, "make room there or name another folder, and say the same again");
}

/* name: what messages call it. */
static rc open_for_writing(const char *path, const char *name, int how, file **out)
{
    size_t n = strlen(name) + 1;
    file *f = mem_take(sizeof *f);
    char *copy = f ? mem_take(n) : NULL;
    if (!copy) {
        mem_drop(f);
        return E_MEMORY;
    }
    memcpy(copy, name, n);
    f->path = copy;
    f->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0666);
    if (f->fd < 0) {
        int error = errno;
        mem_drop(copy);
        mem_drop(f);
        return file_fail("write", name, error);
    }
    *out = f;
    return OK;
}

rc file_create(const char *path, file **out)
{
    return open_for_writing(path, path, O_TRUNC, out);
}

rc file_append(const char *path, file **out)
{
    return open_for_writing(path, path, O_APPEND, out);
}

static rc write_all(file *f, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(f->fd, p, n < WRITE_PIECE ? n : WRITE_PIECE);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return file_fail("write", f->path, errno);
        p += done, n -= (size_t)done;
        f->written += (uint64_t)done;
    }
    return OK;
}

rc file_write(file *f, const void *bytes, size_t n)
{
    if (!must_fail()) return write_all(f, bytes, n);
    TRY(write_all(f, bytes, n / 2));
    return file_fail("write", f->path, ENOSPC);
}

rc file_write_at(file *f, uint64_t at, const void *bytes, size_t n)
{
    const char *p = bytes;
    if (must_fail()) return file_fail("write", f->path, ENOSPC);
    while (n) {
        ssize_t done = pwrite(f->fd, p, n < WRITE_PIECE ? n : WRITE_PIECE, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return file_fail("write", f->path, errno);
        p += done, at += (uint64_t)done, n -= (size_t)done;
    }
    return OK;
}

static rc sync_fd(int fd, const char *path)
{
    if (must_fail()) return file_fail("sync", path, ENOSPC);
#if defined(F_FULLFSYNC)
    /* fsync on macOS stops at the drive's cache; not every volume has this */
    if (fcntl(fd, F_FULLFSYNC) == 0) return OK;
#endif
    /* EINVAL: a pipe or a terminal has nothing to sync */
    if (fsync(fd) && errno != EINVAL) return file_fail("sync", path, errno);
    return OK;
}

rc file_sync(file *f)
{
    return sync_fd(f->fd, f->path);
}

rc file_close(file *f)
{
    rc r = close(f->fd) ? file_fail("close", f->path, errno) : OK;
    mem_drop(f->path);
    mem_drop(f);
    return r;
}

void file_drop(file *f)
{
    if (!f) return;
    close(f->fd);
    mem_drop(f->path);
    mem_drop(f);
}

uint64_t file_written(const file *f)
{
    return f->written;
}

static rc write_whole(const char *path, const char *name, const void *bytes, size_t n,
                      bool sync)
{
    file *f;
    TRY(open_for_writing(path, name, O_TRUNC, &f));
    rc r = file_write(f, bytes, n);
    if (r == OK && sync) r = file_sync(f);
    if (r == OK) return file_close(f);
    file_drop(f);
    return r;
}

/* The folder of a path, into `dir`. */
static rc folder_of(const char *path, str *dir)
{
    const char *base = file_base(path);
    if (base == path) str_add(dir, ".");
    else str_addn(dir, path, base - path == 1 ? 1 : (size_t)(base - path) - 1);
    return str_done(dir);
}

/* A terminal, a pipe, /dev/null: renaming over it would take it from everyone. */
static bool no_plain_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int rename_error(const char *from, const char *to)
{
    return must_fail() ? ENOSPC : rename(from, to) ? errno : 0;
}

/* A message names the file that was asked for, not the one in between. */
rc file_replace(const char *path, const void *bytes, size_t n)
{
    if (no_plain_file(path)) return write_whole(path, path, bytes, n, false);
    str tmp = {0}, dir = {0};
    int error;
    str_addf(&tmp, "%s.tmp", path);
    rc r = str_done(&tmp);
    if (r == OK) r = folder_of(path, &dir);
    if (r == OK) {
        r = write_whole(tmp.p, path, bytes, n, true);
        if (r == OK && (error = rename_error(tmp.p, path)))
            r = file_fail("write", path, error);
        if (r != OK) unlink(tmp.p);
        else r = file_sync_dir(dir.p);
    }
    str_free(&tmp);
    str_free(&dir);
    return r;
}

static rc open_for_reading(const char *path, int *fd, struct stat *st)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return file_fail("read", path, errno);
    int error = fstat(*fd, st) ? errno : S_ISDIR(st->st_mode) ? EISDIR : 0;
    if (!error) return OK;
    close(*fd);
    return file_fail("read", path, error);
}

/* Read up to n bytes, fewer only at the end of the file. */
static rc read_some(int fd, const char *path, char *p, size_t n, size_t *got)
{
    for (*got = 0; *got < n;) {
        ssize_t done = read(fd, p + *got,
                            n - *got < WRITE_PIECE ? n - *got : WRITE_PIECE);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return file_fail("read", path, errno);
        if (done == 0) break;
        *got += (size_t)done;
    }
    return OK;
}

static rc too_large(const char *path, size_t limit)
{
    return err_fail(E_FORMAT, "%s is too large: wanted at most %zu bytes", path, limit);
}

/* A pipe or a /proc file does not know its size beforehand. */
static rc read_unsized(int fd, const char *path, size_t limit, arena *a, char **bytes,
                       size_t *n)
{
    str s = {0};
    char piece[4096];
    size_t got;
    rc r;
    while ((r = read_some(fd, path, piece, sizeof piece, &got)) == OK && got) {
        str_addn(&s, piece, got);
        if (s.n > limit) r = too_large(path, limit);
        if (r != OK || (r = str_done(&s)) != OK) break;
    }
    if (r == OK) {
        *bytes = arena_textn(a, str_text(&s), s.n);
        *n = s.n;
        if (!*bytes) r = E_MEMORY;
    }
    str_free(&s);
    return r;
}

rc file_read(arena *a, const char *path, size_t limit, char **bytes, size_t *n)
{
    int fd;
    struct stat st;
    rc r;
    if (!limit) limit = READ_LIMIT;
    TRY(open_for_reading(path, &fd, &st));
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        r = read_unsized(fd, path, limit, a, bytes, n);
    } else if ((uint64_t)st.st_size > limit) {
        r = too_large(path, limit);
    } else {
        char *p = arena_take(a, mem_add((size_t)st.st_size, 1));
        r = p ? read_some(fd, path, p, (size_t)st.st_size, n) : E_MEMORY;
        *bytes = p;
    }
    close(fd);
    return r;
}

rc file_map(const char *path, file_map_ *out)
{
    int fd;
    struct stat st;
    *out = (file_map_){0};
    TRY(open_for_reading(path, &fd, &st));
    if ((uint64_t)st.st_size > SIZE_MAX) {
        close(fd);
        return too_large(path, SIZE_MAX);
    }
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            int error = errno;
            close(fd);
            return file_fail("map", path, error);
        }
        out->p = p, out->n = (size_t)st.st_size;
    }
    close(fd);
    return OK;
}

void file_unmap(file_map_ *m)
{
    if (m->p) munmap((void *)(uintptr_t)m->p, m->n);
    *m = (file_map_){0};
}

rc file_rename(const char *from, const char *to)
{
    int error = rename_error(from, to);
    if (!error) return OK;
    file_fail("rename", from, error);
    return err_while(E_IO, "giving it the name %s", to);
}

rc file_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return file_fail("sync", path, errno);
    rc r = sync_fd(fd, path);
    close(fd);
    return r;
}

rc file_copy(const char *from, const char *to)
{
    int fd;
    struct stat st;
    file *f = NULL;
    size_t got, room = (size_t)1 << 20;
    TRY(open_for_reading(from, &fd, &st));
    char *piece = mem_take(room);
    rc r = piece ? file_create(to, &f) : E_MEMORY;
    while (r == OK && (r = read_some(fd, from, piece, room, &got)) == OK && got)
        r = file_write(f, piece, got);
    mem_drop(piece);
    close(fd);
    if (r == OK) return file_close(f);
    file_drop(f);
    return err_while(r, "copying %s to %s", from, to);
}

rc file_lock(const char *path, file_lock_ *out)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return file_fail("lock", path, errno);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int error = errno;
        close(fd);
        if (error != EWOULDBLOCK) return file_fail("lock", path, error);
        return err_fail(E_BUSY, "%s is locked by another process", path);
    }
    out->fd = fd;
    return OK;
}

void file_unlock(file_lock_ *l)
{
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
}
