/* process.c - Darwin's threads, signals, processes and libraries.
 *
 * Threads: objects made by a static initialiser begin with a signature where
 * those of Linux have zeros; the rest is as large, or larger, and zero.
 *
 * Signals: code for Apple's arm64 may keep 128 bytes below the stack pointer,
 * where Linux puts what it saves before it calls a handler. So handlers run on
 * a stack of their own, which every thread gets.
 *
 * Processes: nobody here can start a Mach-O file, so a program that starts
 * another, or itself again, gets this loader started with that file. Under an
 * emulator of the processor, LOADER_WITH names the emulator. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include "loader.h"

/* ---- threads ------------------------------------------------------------------- */
#define MUTEX_SIGN 0x32AAABA7u
#define COND_SIGN 0x3CB0B1BBu
_Static_assert(sizeof(pthread_mutex_t) <= 64 && sizeof(pthread_cond_t) <= 48 &&
                   sizeof(pthread_attr_t) <= 64 && sizeof(pthread_mutexattr_t) <= 16,
               "objects of Linux fit into Darwin's");

/* Whoever comes first takes the signature away; the zeros behind it stay. */
static void *settle(void *object, uint64_t sign)
{
    atomic_compare_exchange_strong((_Atomic uint64_t *)object, &sign, 0);
    return object;
}

static int from_pthread_mutex_lock(void *m)
{
    return pthread_mutex_lock(settle(m, MUTEX_SIGN));
}
static int from_pthread_mutex_trylock(void *m)
{
    return pthread_mutex_trylock(settle(m, MUTEX_SIGN));
}
static int from_pthread_mutex_destroy(void *m)
{
    return pthread_mutex_destroy(settle(m, MUTEX_SIGN));
}
static int from_pthread_mutexattr_settype(pthread_mutexattr_t *a, int type)
{
    return pthread_mutexattr_settype(a, type == 2 ? PTHREAD_MUTEX_RECURSIVE
                                                  : PTHREAD_MUTEX_NORMAL);
}
static int from_pthread_cond_wait(void *c, void *m)
{
    return pthread_cond_wait(settle(c, COND_SIGN), settle(m, MUTEX_SIGN));
}
static int from_pthread_cond_timedwait(void *c, void *m, const struct timespec *until)
{
    int e = pthread_cond_timedwait(settle(c, COND_SIGN), settle(m, MUTEX_SIGN), until);
    return e == ETIMEDOUT ? 60 : e;
}
static int from_pthread_cond_signal(void *c)
{
    return pthread_cond_signal(settle(c, COND_SIGN));
}
static int from_pthread_cond_broadcast(void *c)
{
    return pthread_cond_broadcast(settle(c, COND_SIGN));
}
static int from_pthread_cond_destroy(void *c)
{
    return pthread_cond_destroy(settle(c, COND_SIGN));
}

/* Behind the signature are eight bytes of zeros, of which Linux takes four. */
static int from_pthread_once(uint64_t *o, void (*run)(void))
{
    return pthread_once((pthread_once_t *)(o + 1), run);
}

typedef struct {
    void *(*run)(void *);
    void *p;
} thread_start;

static void signal_stack(void *p, size_t bytes)
{
    sigaltstack(&(stack_t){.ss_sp = p, .ss_size = bytes}, NULL);
}

static void *run_thread(void *p)
{
    thread_start s = *(thread_start *)p;
    size_t bytes = 65536;
    void *stack = malloc(bytes);
    free(p);
    if (stack) signal_stack(stack, bytes);
    void *result = s.run(s.p);
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(stack);
    return result;
}

static int from_pthread_create(pthread_t *out, const pthread_attr_t *a,
                               void *(*run)(void *), void *p)
{
    thread_start *s = malloc(sizeof *s);
    if (!s) return 35;
    *s = (thread_start){run, p};
    int e = pthread_create(out, a, run_thread, s);
    if (e) free(s);
    return e == EAGAIN ? 35 : e;
}
static int from_pthread_attr_setdetachstate(pthread_attr_t *a, int state)
{
    return pthread_attr_setdetachstate(a, state == 2 ? PTHREAD_CREATE_DETACHED
                                                     : PTHREAD_CREATE_JOINABLE);
}
static int from_pthread_key_create(unsigned long *k, void (*drop)(void *))
{
    pthread_key_t key;
    int e = pthread_key_create(&key, drop);
    if (!e) *k = key;
    return e;
}

/* ---- signals ------------------------------------------------------------------- */
static const struct {
    int darwin, linux_one;
} signals[] = {
    {10, SIGBUS},  {12, SIGSYS},  {16, SIGURG}, {17, SIGSTOP}, {18, SIGTSTP},
    {19, SIGCONT}, {20, SIGCHLD}, {23, SIGIO},  {30, SIGUSR1}, {31, SIGUSR2},
};

int linux_signal(int darwin)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].darwin == darwin) return signals[i].linux_one;
    return darwin;
}

int darwin_signal(int linux_one)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].linux_one == linux_one) return signals[i].darwin;
    return linux_one;
}

typedef struct {
    void (*run)(int sig);
    uint32_t mask;
    int flags;
} darwin_sigaction;
_Static_assert(sizeof(darwin_sigaction) == 16, "struct sigaction of Darwin");
enum { DARWIN_RESTART = 2, DARWIN_RESETHAND = 4, DARWIN_NOCLDSTOP = 8, SIGNALS = 65 };

static darwin_sigaction actions[SIGNALS]; /* by Linux's numbers */

static void run_handler(int sig)
{
    actions[sig].run(darwin_signal(sig));
}

static int from_sigaction(int sig, const darwin_sigaction *next, darwin_sigaction *old)
{
    static char stack[65536];
    int s = linux_signal(sig);
    if (s <= 0 || s >= SIGNALS) {
        errno = EINVAL;
        return -1;
    }
    darwin_sigaction before = actions[s];
    if (next) {
        bool ours = next->run != SIG_DFL && next->run != SIG_IGN;
        struct sigaction to = {.sa_handler = ours ? run_handler : next->run};
        to.sa_flags = SA_ONSTACK | (next->flags & DARWIN_RESTART ? SA_RESTART : 0) |
                      (next->flags & DARWIN_RESETHAND ? SA_RESETHAND : 0) |
                      (next->flags & DARWIN_NOCLDSTOP ? SA_NOCLDSTOP : 0);
        for (int i = 1; i < 32; i++)
            if (next->mask & 1u << (i - 1)) sigaddset(&to.sa_mask, linux_signal(i));
        if (getpid() == gettid()) signal_stack(stack, sizeof stack);
        actions[s] = *next;
        if (sigaction(s, &to, NULL)) return -1;
    }
    if (old) *old = before;
    return 0;
}

/* A set is 32 bits, signal i the bit i - 1. */
static int from_sigemptyset(uint32_t *set)
{
    *set = 0;
    return 0;
}
static int from_sigaddset(uint32_t *set, int sig)
{
    *set |= 1u << (sig - 1);
    return 0;
}
static int from_sigismember(const uint32_t *set, int sig)
{
    return *set >> (sig - 1) & 1;
}
static int from_pthread_sigmask(int how, const uint32_t *set, uint32_t *old)
{
    static const int hows[] = {0, SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK};
    sigset_t to, had;
    sigemptyset(&to);
    for (int i = 1; set && i < 32; i++)
        if (*set & 1u << (i - 1)) sigaddset(&to, linux_signal(i));
    int e = pthread_sigmask(hows[how & 3], set ? &to : NULL, &had);
    if (!e && old) *old = 0;
    for (int i = 1; !e && old && i < 32; i++)
        if (sigismember(&had, linux_signal(i)) > 0) *old |= 1u << (i - 1);
    return e;
}

static void (*from_signal(int sig, void (*run)(int)))(int)
{
    darwin_sigaction old;
    darwin_sigaction next = {run, 0, DARWIN_RESTART};
    return from_sigaction(sig, &next, &old) ? SIG_ERR : old.run;
}
static int from_raise(int sig)
{
    return raise(linux_signal(sig));
}
static int from_kill(pid_t pid, int sig)
{
    return kill(pid, linux_signal(sig));
}

/* ---- processes ------------------------------------------------------------------- */
static int from__NSGetExecutablePath(char *out, uint32_t *size)
{
    char *path = realpath(loader_program(), NULL);
    size_t n = path ? strlen(path) + 1 : 0;
    int fits = n && n <= *size;
    if (fits) memcpy(out, path, n);
    else if (n) *size = (uint32_t)n;
    free(path);
    return fits ? 0 : -1;
}

static char ***from__NSGetEnviron(void)
{
    return &environ;
}

static bool is_macho(const char *path)
{
    uint32_t magic = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, &magic, 4) == 4 && magic == MACHO_MAGIC;
    if (fd >= 0) close(fd);
    return is;
}

/* The words that start a program: this loader with it, if it is a Mach-O file.
 * To be freed; NULL: no memory. */
static char **words_of(const char *path, char *const *argv)
{
    static char self[4096];
    char *with = getenv("LOADER_WITH");
    size_t n = 0, at = 0;
    while (argv[n]) n++;
    char **words = calloc(n + 4, sizeof *words);
    if (!words) return NULL;
    bool load = is_macho(path);
    if (load) {
        ssize_t got = readlink("/proc/self/exe", self, sizeof self - 1);
        self[got < 0 ? 0 : got] = 0;
        if (with) words[at++] = with;
        words[at++] = self;
        words[at++] = (char *)path;
    }
    for (size_t i = load ? 1 : 0; i < n; i++) words[at++] = argv[i];
    return words;
}

/* A place in Darwin's two objects is one pointer, to one of ours. */
static int from_posix_spawn(pid_t *pid, const char *path,
                            posix_spawn_file_actions_t **todo, posix_spawnattr_t **how,
                            char *const *argv, char *const *env)
{
    char **words = words_of(path, argv);
    if (!words) return ENOMEM;
    int e = posix_spawnp(pid, is_macho(path) ? words[0] : path, todo ? *todo : NULL,
                         how ? *how : NULL, words, env);
    free(words);
    return e;
}

static int from_execve(const char *path, char *const *argv, char *const *env)
{
    char **words = words_of(path, argv);
    if (!words) return errno = ENOMEM, -1;
    execvpe(is_macho(path) ? words[0] : path, words, env);
    free(words);
    return -1;
}

/* Only ever asked for to be nameless at once; what stands for it cannot be read
 * or written either, in our programs' eyes: they map it. */
static int from_shm_open(const char *name, int how)
{
    (void)how;
    return memfd_create(name, 0);
}
static int from_shm_unlink(const char *name)
{
    (void)name;
    return 0;
}

static int from_posix_spawn_file_actions_init(posix_spawn_file_actions_t **a)
{
    *a = malloc(sizeof **a);
    return *a ? posix_spawn_file_actions_init(*a) : ENOMEM;
}
static int from_posix_spawn_file_actions_destroy(posix_spawn_file_actions_t **a)
{
    int e = posix_spawn_file_actions_destroy(*a);
    free(*a);
    return e;
}
static int from_posix_spawn_file_actions_addopen(posix_spawn_file_actions_t **a, int fd,
                                                 const char *path, int how, mode_t mode)
{
    return posix_spawn_file_actions_addopen(*a, fd, path, linux_open_flags(how), mode);
}
static int from_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t **a, int from,
                                                 int to)
{
    return posix_spawn_file_actions_adddup2(*a, from, to);
}
static int from_posix_spawn_file_actions_addclose(posix_spawn_file_actions_t **a, int fd)
{
    return posix_spawn_file_actions_addclose(*a, fd);
}

static pid_t from_waitpid(pid_t pid, int *status, int how)
{
    int s = 0;
    pid_t got = waitpid(pid, &s, how); /* WNOHANG and WUNTRACED are the same */
    if (got > 0 && status)
        *status = WIFSIGNALED(s) ? (s & ~0x7f) | darwin_signal(WTERMSIG(s)) : s;
    return got;
}

/* ---- memory in use, and facts of the machine ----------------------------------------
 */
static uint32_t task_self = 1;

/* Of what can be asked only MACH_TASK_BASIC_INFO (20), of it the resident size. */
static int from_task_info(uint32_t task, uint32_t what, uint64_t *out, uint32_t *n)
{
    unsigned long total = 0, resident = 0;
    FILE *f = what == 20 && *n >= 12 ? fopen("/proc/self/statm", "r") : NULL;
    if (!f) return 4; /* KERN_INVALID_ARGUMENT */
    int got = fscanf(f, "%lu %lu", &total, &resident);
    fclose(f);
    memset(out, 0, 48);
    out[0] = total * (unsigned long)sysconf(_SC_PAGESIZE);
    out[1] = resident * (unsigned long)sysconf(_SC_PAGESIZE);
    return got == 2 ? 0 : 5;
}

/* ---- libraries ------------------------------------------------------------------- */
/* Apple's, which the fake stands in for, and the fake itself by a short name.
 * A program that asks for any other has to do without. */
static const char *const faked[] = {
    "fake",
    "/usr/lib/libobjc.A.dylib",
    "/usr/lib/libSystem.B.dylib",
    "/usr/lib/libIOReport.dylib",
    "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation",
    "/System/Library/Frameworks/Foundation.framework/Foundation",
    "/System/Library/Frameworks/IOSurface.framework/IOSurface",
    "/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine",
};

static void *from_dlopen(const char *path, int how)
{
    (void)how;
    for (size_t i = 0; i < sizeof faked / sizeof *faked; i++)
        if (!strcmp(faked[i], path)) return (void *)&faked[i];
    return NULL;
}
static void *from_dlsym(void *library, const char *name)
{
    (void)library;
    return loader_find(fake_names, name);
}
static int from_dlclose(void *library)
{
    (void)library;
    return 0;
}
static const char *from_dlerror(void)
{
    return "not on this system";
}

const loader_name process_names[] = {
    /* clang-format off */
    SAME(_exit) SAME(abort) SAME(alarm) SAME(atexit) SAME(exit) SAME(getenv)
    SAME(geteuid) SAME(gethostname) SAME(getpid) SAME(getppid) SAME(getuid)
    SAME(pthread_attr_destroy) SAME(pthread_attr_init) SAME(pthread_attr_setstacksize)
    SAME(pthread_cond_init) SAME(pthread_detach) SAME(pthread_equal)
    SAME(pthread_getspecific) SAME(pthread_join) SAME(pthread_key_delete)
    SAME(pthread_mutex_init) SAME(pthread_mutex_unlock) SAME(pthread_mutexattr_destroy)
    SAME(pthread_mutexattr_init) SAME(pthread_self) SAME(pthread_setspecific)
    SAME(sched_yield) SAME(setenv) SAME(sleep) SAME(unsetenv) SAME(usleep)
    OURS(_NSGetEnviron) OURS(_NSGetExecutablePath) OURS(dlclose) OURS(dlerror)
    OURS(dlopen) OURS(dlsym) OURS(execve) OURS(kill) OURS(posix_spawn)
    OURS(posix_spawn_file_actions_addclose) OURS(posix_spawn_file_actions_adddup2)
    OURS(posix_spawn_file_actions_addopen) OURS(posix_spawn_file_actions_destroy)
    OURS(posix_spawn_file_actions_init) OURS(pthread_attr_setdetachstate)
    OURS(pthread_cond_broadcast) OURS(pthread_cond_destroy) OURS(pthread_cond_signal)
    OURS(pthread_cond_timedwait) OURS(pthread_cond_wait) OURS(pthread_create)
    OURS(pthread_key_create) OURS(pthread_mutex_destroy) OURS(pthread_mutex_lock)
    OURS(pthread_mutex_trylock) OURS(pthread_mutexattr_settype) OURS(pthread_once)
    OURS(pthread_sigmask) OURS(raise) OURS(shm_open) OURS(shm_unlink) OURS(sigaction)
    OURS(sigaddset) OURS(sigemptyset) OURS(sigismember) OURS(signal) OURS(task_info)
    OURS(waitpid)
    /* clang-format on */
    {"environ", &environ},
    {"mach_task_self_", &task_self},
    {NULL, NULL},
};
