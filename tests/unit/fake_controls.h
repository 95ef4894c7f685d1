/* fake_controls.h - the fake framework's controls, looked up in the library that
 * the driver opens too (one that is linked would be another copy), and the
 * folder and the count of leftovers that every test on it needs. */
#ifndef FAKE_CONTROLS_H
#define FAKE_CONTROLS_H

#include <dlfcn.h>
#include "fake.h"
#include "test.h"

#define FAKE_CONTROLS(X)                          \
    X(uint64_t, calls, (void))                    \
    X(uint64_t, misuses, (void))                  \
    X(uint64_t, evaluations, (void))              \
    X(uint64_t, recalled, (void))                 \
    X(int64_t, live_objects, (void))              \
    X(int, loaded, (void))                        \
    X(int, compiles, (void))                      \
    X(int, most_in_flight, (void))                \
    X(const char *, last_misuse, (void))          \
    X(void, absent, (int))                        \
    X(void, daemon, (const char *))               \
    X(void, fail_at, (uint64_t))                  \
    X(void, hide, (const char *))                 \
    X(void, keys, (int))                          \
    X(void, limits, (int compiles, int loads))    \
    X(void, meters, (const char *))               \
    X(void, recode, (const char *, const char *)) \
    X(void, reset, (void))                        \
    X(void, symbols, (int))                       \
    X(void, system, (int))                        \
    X(void, tell, (const char *))                 \
    X(void, wide, (int))
static struct {
#define X(result, name, types) result(*name) types;
    FAKE_CONTROLS(X)
#undef X
} fake;

/* POSIX lets a function's address travel through void *; ISO C has no cast. */
static inline int open_fake(void **state)
{
    void *lib = dlopen(FAKE_LIB, RTLD_NOW | RTLD_LOCAL), *p;
    (void)state;
    if (!lib) return -1;
#define X(result, name, types)                           \
    if (!(p = dlsym(lib, "fake_ane_" #name))) return -1; \
    memcpy(&fake.name, &p, sizeof p);
    FAKE_CONTROLS(X)
#undef X
    return 0;
}

/* As a process that has compiled nothing yet, and may compile much. */
static inline void fake_begin(const char *temp)
{
    setenv("TMPDIR", temp, 1);
    fake.reset();
    fake.limits(1 << 20, 128);
}

/* 0, or -1 when programs, more than `kept` objects or misuses are left. */
static inline int fake_end(int64_t kept)
{
    int bad = fake.loaded() || fake.live_objects() != kept || fake.misuses();
    if (bad)
        print_error("%d loaded, %lld objects left; %s\n", fake.loaded(),
                    (long long)(fake.live_objects() - kept), fake.last_misuse());
    fake.reset();
    unsetenv("TMPDIR");
    return bad ? -1 : 0;
}

/* For tests that need no more: *state is their folder. */
static inline int fake_set_up(void **state)
{
    char *dir = test_mkdir();
    fake_begin(dir);
    *state = dir;
    return 0;
}

static inline int fake_tear_down(void **state)
{
    int code = fake_end(0);
    test_rmdir(*state);
    return code;
}

#endif
