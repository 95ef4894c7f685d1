/* loose.c - a dataset without a folder.
 *
 * Its files are made in a memory file system, opened, and their names removed at
 * once: they are there for as long as somebody has their descriptors, so nothing
 * is left of them when the process ends, however it ends. Such a dataset is named
 * by the numbers, "fd:5,6,7,8" in the order of names below, and outlives exec
 * where they do. Only Linux can open a file again by its descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/shared.h"
#include "data/data.h"
#include "data/loose.h"

static const char *const names[] = {"meta.json", "tokenizer.json", "train.bin",
                                    "heldout.bin"};
enum { N_NAMES = sizeof names / sizeof *names };

static bool numbers(const char *dir, int fd[N_NAMES])
{
    return sscanf(dir, "fd:%d,%d,%d,%d", &fd[0], &fd[1], &fd[2], &fd[3]) == N_NAMES;
}

char *loose_path(arena *mem, const char *dir, const char *name)
{
    int fd[N_NAMES];
    if (!numbers(dir, fd)) return file_join(mem, dir, name);
    for (int i = 0; i < N_NAMES; i++)
        if (!strcmp(names[i], name)) return arena_printf(mem, "/proc/self/fd/%d", fd[i]);
    return file_join(mem, dir, name);
}

static rc open_all(arena *mem, const char *dir, int fd[N_NAMES])
{
    for (int i = 0; i < N_NAMES; i++) fd[i] = -1;
    for (int i = 0; i < N_NAMES; i++) {
        char *path = file_join(mem, dir, names[i]);
        if (!path) return E_MEMORY;
        fd[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (fd[i] < 0) return file_fail("read", path, errno);
    }
    return OK;
}

rc data_loosen(const char *dir, arena *mem, const char **out)
{
    int fd[N_NAMES];
    rc r = open_all(mem, dir, fd);
    if (r == OK) r = file_remove_tree(dir);
    if (r == OK) *out = arena_printf(mem, "fd:%d,%d,%d,%d", fd[0], fd[1], fd[2], fd[3]);
    if (r == OK && !*out) r = E_MEMORY;
    for (int i = 0; r != OK && i < N_NAMES; i++)
        if (fd[i] >= 0) close(fd[i]);
    return r;
}

rc data_loose_keep(const char *dir, bool keep)
{
    int fd[N_NAMES];
    if (!numbers(dir, fd)) return OK;
    for (int i = 0; i < N_NAMES; i++) TRY(shared_keep(fd[i], keep));
    return OK;
}

void data_loose_close(const char *dir)
{
    int fd[N_NAMES];
    for (int i = 0; numbers(dir, fd) && i < N_NAMES; i++) close(fd[i]);
}
