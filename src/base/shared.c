/* shared.c - the two ways of getting nameless memory, and one of mapping it. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/file.h"
#include "base/shared.h"
#include "base/str.h"

static rc refused(size_t n, int error)
{
    char bytes[32];
    const char *why = strerror(error);
    err_fail(E_MEMORY, "no shared memory of %s: %c%s", str_bytes(bytes, (double)n),
             tolower((unsigned char)why[0]), why + 1);
    return err_hint(E_MEMORY, "`ulimit -a` shows the limits of this shell");
}

#ifdef __linux__
static int nameless(void)
{
    return memfd_create("anneal", MFD_CLOEXEC);
}

/* posix_fallocate would write the pages one by one where the kernel cannot. */
static int reserve(int fd, size_t n)
{
    if (ftruncate(fd, (off_t)n)) return errno;
    if (n && fallocate(fd, 0, 0, (off_t)n) && errno != EOPNOTSUPP && errno != ENOSYS)
        return errno;
    return 0;
}
#else
/* The name stands for as long as it takes to remove it. */
static int nameless(void)
{
    for (int turn = 0; turn < 100; turn++) {
        char name[32]; /* at most 31 characters on macOS */
        snprintf(name, sizeof name, "/anneal.%ld.%d", (long)getpid(), turn);
        int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0) {
            shm_unlink(name);
            fcntl(fd, F_SETFD, FD_CLOEXEC);
            return fd;
        }
        if (errno != EEXIST) return -1;
    }
    return -1;
}

static int reserve(int fd, size_t n)
{
    return ftruncate(fd, (off_t)n) ? errno : 0;
}
#endif

static int map(shared *s)
{
    if (!s->n) return 0;
    void *p = mmap(NULL, s->n, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (p == MAP_FAILED) return errno;
    s->p = p;
    return 0;
}

rc shared_new(size_t n, shared *out)
{
    *out = (shared){.fd = -1, .n = n};
    void *probe = mem_take(1); /* the tests' failing allocations fail this one too */
    if (!probe) return E_MEMORY;
    mem_drop(probe);
    out->fd = nameless();
    int error = out->fd < 0 ? errno : 0;
    if (!error && n > SIZE_MAX / 2) error = EFBIG;
    if (!error) error = reserve(out->fd, n);
    if (!error) error = map(out);
    if (!error) return OK;
    shared_close(out);
    return refused(n, error);
}

rc shared_open(int fd, shared *out)
{
    struct stat st;
    *out = (shared){.fd = fd};
    int error = fstat(fd, &st) || fcntl(fd, F_SETFD, FD_CLOEXEC) ? errno : 0;
    if (!error && (st.st_size <= 0 || (uint64_t)st.st_size > SIZE_MAX)) error = EINVAL;
    if (!error) {
        out->n = (size_t)st.st_size;
        error = map(out);
    }
    if (!error) return OK;
    *out = (shared){.fd = -1};
    return err_fail(E_FORMAT, "descriptor %d is no shared memory: %s", fd,
                    strerror(error));
}

rc shared_keep(int fd, bool keep)
{
    if (fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC) == 0) return OK;
    return file_fail("hand on", "a descriptor", errno);
}

void shared_unmap(shared *s)
{
    if (s->p) munmap(s->p, s->n);
    s->p = NULL;
}

void shared_close(shared *s)
{
    shared_unmap(s);
    if (s->fd >= 0) close(s->fd);
    *s = (shared){.fd = -1};
}
