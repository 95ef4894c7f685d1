/* abi.c - sizes, offsets and numbers of 64-bit Darwin, typed once more.
 *
 * Compiled against tools/macos/sdk it finds a slip in our declarations. It was
 * also compiled, unchanged, against Apple's own open-source headers (macOS 15,
 * as shipped in zig 0.14), so the numbers here are theirs. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <mach/mach.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IS(what, n) _Static_assert((long long)(what) == (n), #what " is " #n)
#define SIZE(type, n) IS(sizeof(type), n)
#define AT(type, field, n) IS(offsetof(type, field), n)

SIZE(time_t, 8);
SIZE(off_t, 8);
SIZE(mode_t, 2);
SIZE(sigset_t, 4);
SIZE(struct timeval, 16);
SIZE(((struct timeval){0}).tv_usec, 4);
SIZE(struct timespec, 16);

SIZE(struct stat, 144);
AT(struct stat, st_mode, 4);
AT(struct stat, st_ino, 8);
AT(struct stat, st_mtimespec, 48);
AT(struct stat, st_mtime, 48);
AT(struct stat, st_size, 96);
AT(struct stat, st_blksize, 112);
SIZE(struct dirent, 1048);
AT(struct dirent, d_reclen, 16);
AT(struct dirent, d_type, 20);
AT(struct dirent, d_name, 21);

SIZE(pthread_t, 8);
SIZE(pthread_key_t, 8);
SIZE(pthread_attr_t, 64);
SIZE(pthread_mutex_t, 64);
SIZE(pthread_mutexattr_t, 16);
SIZE(pthread_cond_t, 48);
SIZE(pthread_condattr_t, 16);
SIZE(pthread_once_t, 16);
IS(PTHREAD_MUTEX_RECURSIVE, 2);
IS(PTHREAD_CREATE_DETACHED, 2);

SIZE(struct sigaction, 16);
AT(struct sigaction, sa_mask, 8);
AT(struct sigaction, sa_flags, 12);
SIZE(struct rusage, 144);
AT(struct rusage, ru_maxrss, 32);
SIZE(struct rlimit, 16);
SIZE(struct winsize, 8);
SIZE(struct lconv, 96);
SIZE(struct tm, 56);
SIZE(clockid_t, 4);
SIZE(clock_t, 8);
SIZE(struct mach_task_basic_info, 48);
AT(struct mach_task_basic_info, resident_size, 8);
IS(MACH_TASK_BASIC_INFO_COUNT, 12);
IS(MACH_TASK_BASIC_INFO, 20);

IS(O_NONBLOCK, 4);
IS(O_APPEND, 8);
IS(O_NOFOLLOW, 0x100);
IS(O_CREAT, 0x200);
IS(O_TRUNC, 0x400);
IS(O_EXCL, 0x800);
IS(O_DIRECTORY, 0x100000);
IS(O_CLOEXEC, 0x1000000);
IS(AT_FDCWD, -2);
IS(F_NOCACHE, 48);
IS(F_FULLFSYNC, 51);
IS(LOCK_EX | LOCK_NB, 6);
IS(MAP_PRIVATE, 2);
IS(MAP_FIXED, 0x10);
IS(MAP_ANON, 0x1000);
IS(TIOCGWINSZ, 0x40087468);
IS(CLOCK_MONOTONIC, 6);
IS(CLOCK_MONOTONIC_RAW, 4);
IS(CLOCK_PROCESS_CPUTIME_ID, 12);
IS(CLOCK_THREAD_CPUTIME_ID, 16);
IS(_SC_OPEN_MAX, 5);
IS(_SC_PAGESIZE, 29);
IS(_SC_NPROCESSORS_CONF, 57);
IS(_SC_NPROCESSORS_ONLN, 58);
IS(_SC_PHYS_PAGES, 200);
IS(RTLD_LAZY | RTLD_LOCAL, 5);
IS(RTLD_NOW, 2);
IS(RTLD_GLOBAL, 8);
IS(RLIMIT_FSIZE, 1);
IS(RLIMIT_AS, 5);
IS(RLIMIT_NOFILE, 8);
IS(RUSAGE_CHILDREN, -1);
IS(LC_ALL, 0);
IS(LC_CTYPE, 2);
IS(LC_NUMERIC, 4);
IS(LC_TIME, 5);
IS(PATH_MAX, 1024);
IS(SSIZE_MAX, LONG_MAX);
IS(_IOLBF, 1);
IS(BUFSIZ, 1024);
IS(S_ISDIR(0040755) && S_ISREG(0100644) && S_ISLNK(0120777), 1);
IS(CLOCKS_PER_SEC, 1000000);

IS(EAGAIN, 35);
IS(EWOULDBLOCK, 35);
IS(EDEADLK, 11);
IS(EINPROGRESS, 36);
IS(ENOTSUP, 45);
IS(ETIMEDOUT, 60);
IS(ELOOP, 62);
IS(ENAMETOOLONG, 63);
IS(ENOTEMPTY, 66);
IS(EDQUOT, 69);
IS(ENOSYS, 78);
IS(EOVERFLOW, 84);
IS(ECANCELED, 89);
IS(EILSEQ, 92);
IS(ENOSPC, 28);
IS(EISDIR, 21);
IS(SIGBUS, 10);
IS(SIGSYS, 12);
IS(SIGSTOP, 17);
IS(SIGCONT, 19);
IS(SIGCHLD, 20);
IS(SIGXFSZ, 25);
IS(SIGWINCH, 28);
IS(SIGUSR1, 30);
IS(SIGUSR2, 31);
IS(SIG_BLOCK, 1);
IS(SIG_SETMASK, 3);
IS(SA_RESTART, 2);
IS(SA_RESETHAND, 4);
IS(SA_NOCLDSTOP, 8);
IS(SA_SIGINFO, 0x40);
IS(WNOHANG, 1);

/* The formats: a wrong one is a warning, and those are errors here. */
void abi_formats(void);
void abi_formats(void)
{
    int64_t i = 0;
    uint64_t u = 0;
    printf("%" PRId64 " %" PRIu64 " %" PRIx64 " %" PRIdMAX "\n", i, u, u, (intmax_t)0);
    printf("%zu %" PRIu32 " %" PRIdPTR "\n", sizeof i, (uint32_t)0, (intptr_t)0);
}

/* The signatures that the static initialisers carry. */
struct signs {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    pthread_once_t once;
};
extern const struct signs abi_signs;
const struct signs abi_signs = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                                PTHREAD_ONCE_INIT};
