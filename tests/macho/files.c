/* files.c - Darwin's calls on files, whose flags, structs and error numbers
 * differ from those of Linux.
 *
 * The numbers are those of abi.c, which was compiled against Apple's own open
 * headers too. Errors are translated late: what failed here has left Linux's
 * number in errno, and the first look at it through __error takes it over. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include "loader.h"

/* ---- errors: the same numbers up to 34, except one ------------------------------- */
static const struct {
    int darwin, linux_one;
} errors[] = {
    {11, EDEADLK},   {35, EAGAIN},       {36, EINPROGRESS}, {45, ENOTSUP},
    {60, ETIMEDOUT}, {61, ECONNREFUSED}, {62, ELOOP},       {63, ENAMETOOLONG},
    {66, ENOTEMPTY}, {69, EDQUOT},       {77, ENOLCK},      {78, ENOSYS},
    {84, EOVERFLOW}, {89, ECANCELED},    {92, EILSEQ},
};

int *darwin_errno(void)
{
    static _Thread_local int shown;
    if (!errno) return &shown;
    shown = errno > 34 ? 5 : errno; /* what Darwin does not have is an EIO */
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].linux_one == errno) shown = errors[i].darwin;
    errno = 0;
    return &shown;
}

int linux_errno(int darwin)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].darwin == darwin) return errors[i].linux_one;
    return darwin;
}

static char *from_strerror(int e)
{
    return strerror(linux_errno(e));
}

/* ---- opening ------------------------------------------------------------------- */
static const struct {
    int darwin, linux_one;
} opens[] = {
    {0x4, O_NONBLOCK}, {0x8, O_APPEND}, {0x100, O_NOFOLLOW},     {0x200, O_CREAT},
    {0x400, O_TRUNC},  {0x800, O_EXCL}, {0x100000, O_DIRECTORY}, {0x1000000, O_CLOEXEC},
};

int linux_open_flags(int darwin)
{
    int how = darwin & O_ACCMODE, known = O_ACCMODE;
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
        known |= opens[i].darwin;
        if (darwin & opens[i].darwin) how |= opens[i].linux_one;
    }
    if (darwin & ~known) {
        fprintf(stderr, "loader: open with flags %#x, of which not all are known\n",
                (unsigned)darwin);
        abort();
    }
    return how;
}

int loader_open(const char *path, int how, const uint64_t *stack);
int loader_open(const char *path, int how, const uint64_t *stack)
{
    int flags = linux_open_flags(how);
    return open(path, flags, flags & O_CREAT ? (mode_t)*stack : 0);
}
STACK_TO(open, 2);

enum { DARWIN_GETFL = 3, DARWIN_SETFL = 4, DARWIN_NOCACHE = 48, DARWIN_FULLFSYNC = 51 };

int loader_fcntl(int fd, int what, const uint64_t *stack);
int loader_fcntl(int fd, int what, const uint64_t *stack)
{
    if (what == F_DUPFD || what == F_GETFD || what == F_SETFD)
        return fcntl(fd, what, (int)*stack);
    if (what == DARWIN_FULLFSYNC) return fsync(fd);
    if (what == DARWIN_NOCACHE) return 0;
    if (what == DARWIN_SETFL) return fcntl(fd, F_SETFL, linux_open_flags((int)*stack));
    if (what == DARWIN_GETFL) {
        int had = fcntl(fd, F_GETFL), how = had < 0 ? had : had & O_ACCMODE;
        for (size_t i = 0; had >= 0 && i < sizeof opens / sizeof *opens; i++)
            if (had & opens[i].linux_one) how |= opens[i].darwin;
        return how;
    }
    errno = EINVAL;
    return -1;
}
STACK_TO(fcntl, 2);

int loader_ioctl(int fd, unsigned long what, void **stack);
int loader_ioctl(int fd, unsigned long what, void **stack)
{
    if (what == 0x40087468) return ioctl(fd, TIOCGWINSZ, *stack);
    errno = EINVAL;
    return -1;
}
STACK_TO(ioctl, 2);

/* ---- what a file is -------------------------------------------------------------- */
typedef struct {
    int32_t device;
    uint16_t mode, links;
    uint64_t inode;
    uint32_t user, group;
    int32_t device_is, pad;
    struct timespec read, written, changed, born;
    int64_t size, blocks;
    int32_t block_bytes;
    uint32_t flags, generation;
    int32_t spare;
    int64_t spares[2];
} darwin_stat;
_Static_assert(sizeof(darwin_stat) == 144, "struct stat of Darwin");

static int as_darwin(int code, const struct stat *s, darwin_stat *out)
{
    if (code) return code;
    *out = (darwin_stat){
        .device = (int32_t)s->st_dev,
        .mode = (uint16_t)s->st_mode, /* the same bits on both */
        .links = (uint16_t)s->st_nlink,
        .inode = s->st_ino,
        .user = s->st_uid,
        .group = s->st_gid,
        .device_is = (int32_t)s->st_rdev,
        .read = s->st_atim,
        .written = s->st_mtim,
        .changed = s->st_ctim,
        .born = s->st_ctim,
        .size = s->st_size,
        .blocks = s->st_blocks,
        .block_bytes = (int32_t)s->st_blksize,
    };
    return 0;
}

static int from_stat(const char *path, darwin_stat *out)
{
    struct stat s;
    return as_darwin(stat(path, &s), &s, out);
}
static int from_lstat(const char *path, darwin_stat *out)
{
    struct stat s;
    return as_darwin(lstat(path, &s), &s, out);
}
static int from_fstat(int fd, darwin_stat *out)
{
    struct stat s;
    return as_darwin(fstat(fd, &s), &s, out);
}

static int from_utimensat(int folder, const char *path, const struct timespec t[2],
                          int how)
{
    if (folder == -2 && !t && !how) return utimensat(AT_FDCWD, path, NULL, 0);
    errno = EINVAL; /* nobody asks for more */
    return -1;
}

typedef struct {
    uint64_t inode, seek;
    uint16_t bytes, name_bytes;
    uint8_t type; /* the same numbers on both */
    char name[1024];
} darwin_dirent;
_Static_assert(sizeof(darwin_dirent) == 1048, "struct dirent of Darwin");

static darwin_dirent *from_readdir(DIR *d)
{
    static _Thread_local darwin_dirent out;
    struct dirent *e = readdir(d);
    if (!e) return NULL;
    size_t n = strlen(e->d_name);
    out = (darwin_dirent){e->d_ino, 0, sizeof out, (uint16_t)n, e->d_type, {0}};
    memcpy(out.name, e->d_name, n);
    return &out;
}

static void *from_mmap(void *at, size_t n, int how, int flags, int fd, off_t offset)
{
    int same = MAP_SHARED | MAP_PRIVATE | MAP_FIXED;
    return mmap(at, n, how, (flags & same) | (flags & 0x1000 ? MAP_ANONYMOUS : 0), fd,
                offset);
}

/* Linux counts the most memory used in KiB. The times agree, little end first. */
static int from_getrusage(int who, struct rusage *out)
{
    int code = getrusage(who, out);
    if (!code) out->ru_maxrss *= 1024;
    return code;
}

const loader_name files_names[] = {
    /* clang-format off */
    SAME(access) SAME(chdir) SAME(chmod) SAME(close) SAME(closedir) SAME(dup) SAME(dup2)
    SAME(fclose) SAME(fdopen) SAME(feof) SAME(ferror) SAME(fflush) SAME(fgets)
    SAME(fileno) SAME(flock) SAME(fopen) SAME(fputc) SAME(fputs) SAME(fread) SAME(fseek)
    SAME(fseeko) SAME(fsync) SAME(ftell) SAME(ftello) SAME(ftruncate) SAME(fwrite)
    SAME(getc) SAME(getchar) SAME(getcwd) SAME(isatty) SAME(link) SAME(lseek)
    SAME(mkdir) SAME(mkdtemp) SAME(mkfifo) SAME(mkstemp) SAME(mprotect) SAME(munmap)
    SAME(opendir) SAME(pipe) SAME(pread) SAME(putc) SAME(putchar) SAME(puts)
    SAME(pwrite) SAME(read) SAME(readlink) SAME(realpath) SAME(remove) SAME(rename)
    SAME(rewind) SAME(rmdir) SAME(symlink) SAME(truncate) SAME(umask) SAME(ungetc)
    SAME(unlink) SAME(write)
    OURS(fcntl) OURS(fstat) OURS(getrusage) OURS(ioctl) OURS(lstat) OURS(mmap)
    OURS(open) OURS(readdir) OURS(stat) OURS(strerror)
    OURS(utimensat)
    /* clang-format on */
    {"__error", (void *)darwin_errno},
    {NULL, NULL},
};
