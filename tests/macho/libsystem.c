/* libsystem.c - the names of Darwin's C library, given by the one of Linux.
 *
 * Most are the same function. The rest differ in one of three ways: numbers
 * (flags of open, clocks, names of sysconf), layouts (struct stat), or the way
 * of the arguments behind "...": Apple's arm64 puts all of them on the stack in
 * slots of eight bytes, while Linux begins in registers. A va_list whose
 * register areas are used up reads exactly those slots. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "loader.h"

typedef struct {
    void *stack, *x_end, *v_end;
    int32_t x_left, v_left; /* 0: no registers left, all is on the stack */
} va_words;
_Static_assert(sizeof(va_words) == sizeof(va_list), "a va_list of arm64 Linux");

#define WITH_STACK(v, stack) \
    va_list v;               \
    memcpy(&v, &(va_words){stack, NULL, NULL, 0, 0}, sizeof v)

int loader_printf(const char *format, void *stack);
int loader_printf(const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vprintf(format, v);
}
int loader_fprintf(FILE *f, const char *format, void *stack);
int loader_fprintf(FILE *f, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vfprintf(f, format, v);
}
int loader_snprintf(char *p, size_t n, const char *format, void *stack);
int loader_snprintf(char *p, size_t n, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vsnprintf(p, n, format, v);
}
int loader_sscanf(const char *text, const char *format, void *stack);
int loader_sscanf(const char *text, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vsscanf(text, format, v);
}

/* Hand the stack over as the next plain argument. */
#define STACK_TO(name, reg)                                               \
    __asm__(".text\n.global from_" #name "\nfrom_" #name ":\n mov x" #reg \
            ", sp\n b loader_" #name "\n");                               \
    void from_##name(void)
STACK_TO(printf, 1);
STACK_TO(fprintf, 2);
STACK_TO(snprintf, 3);
STACK_TO(sscanf, 2);

/* Apple passes a va_list as a pointer to the slots. */
static int from_vsnprintf(char *p, size_t n, const char *format, void *slots)
{
    return loader_snprintf(p, n, format, slots);
}

static int from_clock_gettime(unsigned clock, struct timespec *out)
{
    return clock_gettime(clock == 6 ? CLOCK_MONOTONIC : CLOCK_REALTIME, out);
}
static long from_sysconf(int what)
{
    errno = EINVAL;
    return what == 29   ? sysconf(_SC_PAGESIZE)
           : what == 58 ? sysconf(_SC_NPROCESSORS_ONLN)
                        : -1;
}

/* No library of Apple's is here: what is optional must do without. */
static void *from_dlopen(const char *path, int how)
{
    (void)path, (void)how;
    return NULL;
}
static const char *from_dlerror(void)
{
    return "not on this system";
}

typedef struct {
    double sin, cos;
} two;
static two from_sincos(double x)
{
    return (two){sin(x), cos(x)};
}
typedef struct {
    float sin, cos;
} two_floats;
static two_floats from_sincosf(float x)
{
    return (two_floats){sinf(x), cosf(x)};
}
static void from_pattern16(char *to, const char *pattern, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = pattern[i & 15];
}

/* A Darwin mutex made by its initialiser holds a signature, ours zeros. */
static int from_lock(pthread_mutex_t *m)
{
    uint64_t sign;
    memcpy(&sign, m, sizeof sign);
    if (sign == 0x32AAABA7) memset(m, 0, sizeof *m);
    return pthread_mutex_lock(m);
}

/* Only the signals whose numbers differ and that the command asks for. */
static void (*from_signal(int sig, void (*run)(int)))(int)
{
    return signal(sig == 25 ? SIGXFSZ : sig, run);
}

static uint64_t guard = 0x5aa5c33c0ff0a55a;
void loader_tlv_thunk(void);

#define SAME(f) {"_" #f, (void *)f},
static const struct {
    const char *name;
    void *is;
} names[] = {
    /* clang-format off */
    SAME(atexit) SAME(calloc) SAME(close) SAME(cos) SAME(cosf) SAME(erfc) SAME(exp)
    SAME(exp2) SAME(fclose) SAME(ferror) SAME(fflush) SAME(fopen) SAME(fputc) SAME(fputs)
    SAME(fread) SAME(free) SAME(fsync) SAME(fwrite) SAME(getenv) SAME(geteuid)
    SAME(isalnum) SAME(isalpha) SAME(isatty) SAME(iscntrl) SAME(isxdigit) SAME(ldexp)
    SAME(ldexpf) SAME(localeconv) SAME(log) SAME(log2) SAME(logf) SAME(memchr)
    SAME(memcmp) SAME(memcpy) SAME(memmove) SAME(memset) SAME(bzero) SAME(nanosleep)
    SAME(pow) SAME(pread) SAME(putchar) SAME(puts) SAME(pwrite) SAME(qsort) SAME(read)
    SAME(sin) SAME(sinf) SAME(strcat) SAME(strchr) SAME(strcmp) SAME(strcpy)
    SAME(strcspn) SAME(strerror) SAME(strlen) SAME(strncmp) SAME(strpbrk) SAME(strrchr)
    SAME(strspn) SAME(strstr) SAME(strtod) SAME(strtol) SAME(strtoll) SAME(tanh)
    SAME(tolower) SAME(toupper) SAME(write)
    SAME(pthread_cond_broadcast) SAME(pthread_cond_destroy) SAME(pthread_cond_init)
    SAME(pthread_cond_signal) SAME(pthread_cond_wait) SAME(pthread_create)
    SAME(pthread_join) SAME(pthread_mutex_destroy) SAME(pthread_mutex_init)
    SAME(pthread_mutex_unlock)
    /* clang-format on */
    {"_pthread_mutex_lock", (void *)from_lock},
    {"_printf", (void *)from_printf},
    {"_fprintf", (void *)from_fprintf},
    {"_snprintf", (void *)from_snprintf},
    {"_sscanf", (void *)from_sscanf},
    {"_vsnprintf", (void *)from_vsnprintf},
    {"_clock_gettime", (void *)from_clock_gettime},
    {"_sysconf", (void *)from_sysconf},
    {"_signal", (void *)from_signal},
    {"_dlopen", (void *)from_dlopen},
    {"_dlerror", (void *)from_dlerror},
    {"_memset_pattern16", (void *)from_pattern16},
    {"___sincos_stret", (void *)from_sincos},
    {"___sincosf_stret", (void *)from_sincosf},
    {"___error", (void *)__errno_location},
    {"___stdoutp", &stdout},
    {"___stderrp", &stderr},
    {"___stack_chk_guard", &guard},
    {"__tlv_bootstrap", (void *)loader_tlv_thunk},
};

void *libsystem_find(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, name)) return names[i].is;
    return NULL;
}
