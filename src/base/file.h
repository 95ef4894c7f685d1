/* file.h - files that can be made to fail. Every byte anneal writes goes
 * through here, so that tests can fail write n and check what is left. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/arena.h"

typedef struct file file;

/* Writing: create (truncates) or append; close reports a late error.
 * There is no buffer: every file_write is one system call, so gather small
 * pieces in a str first. file_sync forces the bytes to the disk. After an
 * error of write or sync the file stays to be closed by file_drop (close,
 * ignore errors; NULL is fine); file_close ends it whatever it returns. */
rc file_create(const char *path, file **out);
rc file_append(const char *path, file **out);
rc file_write(file *f, const void *bytes, size_t n);
/* Write over bytes already written (a header known last); not for append. */
rc file_write_at(file *f, uint64_t at, const void *bytes, size_t n);
rc file_sync(file *f);
rc file_close(file *f);
void file_drop(file *f);
uint64_t file_written(const file *f);
/* Write text to path.tmp, sync, rename over path: complete or absent. What is there
 * and no plain file (/dev/stdout) is written to instead. Messages name path. */
rc file_replace(const char *path, const void *bytes, size_t n);

/* Reading. file_read gives a NUL-terminated copy (the NUL is not counted);
 * refuses more than `limit` bytes (0 = 1 GiB). */
rc file_read(arena *a, const char *path, size_t limit, char **bytes, size_t *n);
/* Map read-only; unmap with file_unmap. An empty file maps to n = 0. */
typedef struct {
    const uint8_t *p;
    size_t n;
} file_map_;
rc file_map(const char *path, file_map_ *out);
void file_unmap(file_map_ *m);

/* E_IO "cannot VERB PATH: reason of the system", from an errno value. */
rc file_fail(const char *verb, const char *path, int error);

/* Folders and names. */
bool file_exists(const char *path);
bool file_is_dir(const char *path);
rc file_size(const char *path, uint64_t *out);
rc file_make_dirs(const char *path); /* like mkdir -p */
/* A folder that stands for `name` until it is renamed: messages call it that. */
rc file_make_dirs_for(const char *path, const char *name);
rc file_rename(const char *from, const char *to);
rc file_sync_dir(const char *path);
rc file_remove(const char *path); /* one file or empty folder */
rc file_remove_tree(const char *path);
/* Names in a folder, sorted, without "." and ".."; in the arena. */
rc file_list(arena *a, const char *dir, char ***names, size_t *n);
rc file_copy(const char *from, const char *to);
/* dir + "/" + name in the arena. */
char *file_join(arena *a, const char *dir, const char *name);
const char *file_base(const char *path); /* part after the last '/' */

/* flock(2) on path, created if missing; E_BUSY if another process holds it. */
typedef struct {
    int fd;
} file_lock_;
rc file_lock(const char *path, file_lock_ *out);
void file_unlock(file_lock_ *l);

/* Tests: the n-th write/sync/rename from now (1 = next) fails with "no space
 * left on device" and every later one too until reset with 0. */
void file_fail_at(long n);

#endif
