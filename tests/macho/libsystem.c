/* libsystem.c - the names of Darwin's C library, given by the one of Linux.
 *
 * Most are the same function. The rest differ in one of three ways: numbers
 * (flags of open, clocks, names of sysconf), layouts (struct stat), or the way
 * of the arguments behind "..." (loader.h). Files are in files.c, threads and
 * processes in process.c; here is what remains, and the search through all. */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "loader.h"

/* ---- a variable number of arguments ---------------------------------------------- */
int loader_printf(const char *format, void *stack);
int loader_printf(const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vprintf(format, v);
}
STACK_TO(printf, 1);
int loader_fprintf(FILE *f, const char *format, void *stack);
int loader_fprintf(FILE *f, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vfprintf(f, format, v);
}
STACK_TO(fprintf, 2);
int loader_snprintf(char *p, size_t n, const char *format, void *stack);
int loader_snprintf(char *p, size_t n, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vsnprintf(p, n, format, v);
}
STACK_TO(snprintf, 3);
int loader_sscanf(const char *text, const char *format, void *stack);
int loader_sscanf(const char *text, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vsscanf(text, format, v);
}
STACK_TO(sscanf, 2);
int loader_fscanf(FILE *f, const char *format, void *stack);
int loader_fscanf(FILE *f, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return vfscanf(f, format, v);
}
STACK_TO(fscanf, 2);

json_t *loader_json_pack(const char *format, void *stack);
json_t *loader_json_pack(const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return json_vpack_ex(NULL, 0, format, v);
}
STACK_TO(json_pack, 1);
json_t *loader_json_pack_ex(json_error_t *e, size_t how, const char *format, void *stack);
json_t *loader_json_pack_ex(json_error_t *e, size_t how, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return json_vpack_ex(e, how, format, v);
}
STACK_TO(json_pack_ex, 3);
int loader_json_unpack(json_t *j, const char *format, void *stack);
int loader_json_unpack(json_t *j, const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return json_vunpack_ex(j, NULL, 0, format, v);
}
STACK_TO(json_unpack, 2);
int loader_json_unpack_ex(json_t *j, json_error_t *e, size_t how, const char *format,
                          void *stack);
int loader_json_unpack_ex(json_t *j, json_error_t *e, size_t how, const char *format,
                          void *stack)
{
    WITH_STACK(v, stack);
    return json_vunpack_ex(j, e, how, format, v);
}
STACK_TO(json_unpack_ex, 4);
json_t *loader_json_sprintf(const char *format, void *stack);
json_t *loader_json_sprintf(const char *format, void *stack)
{
    WITH_STACK(v, stack);
    return json_vsprintf(format, v);
}
STACK_TO(json_sprintf, 1);

/* Apple passes a va_list as a pointer to the slots. */
static int from_vsnprintf(char *p, size_t n, const char *format, void *slots)
{
    return loader_snprintf(p, n, format, slots);
}
static int from_vfprintf(FILE *f, const char *format, void *slots)
{
    return loader_fprintf(f, format, slots);
}
static int from_vprintf(const char *format, void *slots)
{
    return loader_printf(format, slots);
}

/* ---- numbers ------------------------------------------------------------------- */
typedef struct {
    int darwin, linux_one;
} pair;

static int linux_of(const pair *list, int darwin)
{
    for (; list->darwin >= 0; list++)
        if (list->darwin == darwin) return list->linux_one;
    return -1;
}

static int from_clock_gettime(int clock, struct timespec *out)
{
    static const pair clocks[] = {
        {0, CLOCK_REALTIME},           {4, CLOCK_MONOTONIC_RAW},
        {6, CLOCK_MONOTONIC},          {12, CLOCK_PROCESS_CPUTIME_ID},
        {16, CLOCK_THREAD_CPUTIME_ID}, {-1, -1},
    };
    return clock_gettime(linux_of(clocks, clock), out);
}

static long from_sysconf(int what)
{
    static const pair words[] = {
        {5, _SC_OPEN_MAX},          {29, _SC_PAGESIZE},    {57, _SC_NPROCESSORS_CONF},
        {58, _SC_NPROCESSORS_ONLN}, {200, _SC_PHYS_PAGES}, {-1, -1},
    };
    return sysconf(linux_of(words, what));
}

static char *from_setlocale(int part, const char *name)
{
    static const pair parts[] = {
        {0, LC_ALL},     {1, LC_COLLATE}, {2, LC_CTYPE},    {3, LC_MONETARY},
        {4, LC_NUMERIC}, {5, LC_TIME},    {6, LC_MESSAGES}, {-1, -1},
    };
    return setlocale(linux_of(parts, part), name);
}

/* ---- what clang calls on its own account ------------------------------------------ */
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
static void from_pattern4(char *to, const char *pattern, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = pattern[i & 3];
}
static void from_pattern8(char *to, const char *pattern, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = pattern[i & 7];
}
static void from_pattern16(char *to, const char *pattern, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = pattern[i & 15];
}

static void overrun(void)
{
    fputs("loader: the guard of the stack was overwritten\n", stderr);
    abort();
}

/* All names are bound before the program starts. */
static void bound_late(void)
{
    fputs("loader: a name was to be bound late\n", stderr);
    abort();
}

static uint64_t guard = 0x5aa5c33c0ff0a55a;
void loader_tlv_thunk(void);

static const loader_name names[] = {
    /* clang-format off */
    SAME(acos) SAME(asin) SAME(atan) SAME(atan2) SAME(atof) SAME(atoi) SAME(bsearch)
    SAME(bzero) SAME(calloc) SAME(ceil) SAME(copysign) SAME(cos) SAME(cosf) SAME(erf)
    SAME(erfc) SAME(erff) SAME(exp) SAME(exp2) SAME(exp2f) SAME(expf) SAME(expm1)
    SAME(fabs) SAME(floor) SAME(fmod) SAME(free) SAME(gettimeofday) SAME(gmtime_r)
    SAME(hypot) SAME(isalnum) SAME(isalpha) SAME(iscntrl) SAME(isdigit) SAME(isgraph)
    SAME(islower) SAME(isprint) SAME(ispunct) SAME(isspace) SAME(isupper)
    SAME(isxdigit) SAME(frexp) SAME(ilogb) SAME(ldexp) SAME(ldexpf) SAME(localeconv) SAME(localtime_r) SAME(log)
    SAME(log10) SAME(log1p) SAME(log2) SAME(log2f) SAME(logf) SAME(lround) SAME(malloc)
    SAME(memchr) SAME(memcmp) SAME(memcpy) SAME(memmem) SAME(memmove) SAME(memset)
    SAME(nanosleep) SAME(pow) SAME(powf) SAME(qsort) SAME(realloc) SAME(rint)
    SAME(round) SAME(sin) SAME(sinf) SAME(sqrt) SAME(strcasecmp) SAME(strcat)
    SAME(strchr) SAME(strcmp) SAME(strcpy) SAME(strcspn) SAME(strdup) SAME(strftime)
    SAME(strlen) SAME(strncasecmp) SAME(strncmp) SAME(strndup) SAME(strnlen)
    SAME(strpbrk) SAME(strrchr) SAME(strspn) SAME(strstr) SAME(strtod) SAME(strtok_r)
    SAME(strtol) SAME(strtoll) SAME(strtoul) SAME(strtoull) SAME(tan) SAME(tanh)
    SAME(tanhf) SAME(time) SAME(tolower) SAME(toupper) SAME(trunc)
    OURS(clock_gettime) OURS(fprintf) OURS(fscanf) OURS(json_pack) OURS(json_pack_ex)
    OURS(json_sprintf) OURS(json_unpack) OURS(json_unpack_ex) OURS(printf)
    OURS(setlocale) OURS(snprintf) OURS(sscanf) OURS(sysconf) OURS(vfprintf)
    OURS(vprintf) OURS(vsnprintf)
    /* clang-format on */
    {"memset_pattern4", (void *)from_pattern4},
    {"memset_pattern8", (void *)from_pattern8},
    {"memset_pattern16", (void *)from_pattern16},
    {"__exp10", (void *)exp10},
    {"__sincos_stret", (void *)from_sincos},
    {"__sincosf_stret", (void *)from_sincosf},
    {"__stdinp", &stdin},
    {"__stdoutp", &stdout},
    {"__stderrp", &stderr},
    {"__stack_chk_fail", (void *)overrun},
    {"__stack_chk_guard", &guard},
    {"_tlv_bootstrap", (void *)loader_tlv_thunk},
    {NULL, NULL},
};

void *loader_find(const loader_name *list, const char *name)
{
    for (; list->name; list++)
        if (!strcmp(list->name, name)) return list->is;
    return NULL;
}

/* Ours come first: of jansson's names some are here, since their arguments
 * come another way. */
void *libsystem_find(const char *name)
{
    if (!strcmp(name, "dyld_stub_binder")) return (void *)bound_late;
    if (*name++ != '_') return NULL;
    const loader_name *const lists[] = {names, files_names, process_names, library_names};
    void *found = NULL;
    for (size_t i = 0; !found && i < sizeof lists / sizeof *lists; i++)
        found = loader_find(lists[i], name);
    return found;
}
