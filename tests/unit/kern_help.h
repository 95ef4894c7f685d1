/* kern_help.h - what the tests of kern share. */
#ifndef KERN_HELP_H
#define KERN_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/arena.h"
#include "kern/kern.h"

static const char *const isas[] = {"scalar", "avx2", "avx512", "neon"};
#define N_ISAS (sizeof isas / sizeof isas[0])

/* NULL where this processor has no such instruction set. */
static inline kern *open_isa(int threads, const char *isa)
{
    kern *k = NULL;
    rc code = kern_open(threads, isa, &k);
    if (code != OK) assert_int_equal(code, E_CONFIG);
    return k;
}

/* Uniform in [0, 1), a function of seed and i. */
static inline double uniform(uint64_t seed, uint64_t i)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + i * 0xd1342543de82ef95u + 1;
    x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 29) * 0x94d049bb133111ebu;
    return (double)((x ^ x >> 32) >> 11) * 0x1p-53;
}

static inline double load_value(kern_type t, const void *p, size_t i)
{
    return t == KERN_F16 ? (double)half_to_float(((const half *)p)[i])
                         : (double)((const float *)p)[i];
}

static inline void store_value(kern_type t, void *p, size_t i, double v)
{
    if (t == KERN_F16) ((half *)p)[i] = half_from_double(v);
    else ((float *)p)[i] = (float)v;
}

static inline void fill_random(kern_type t, size_t n, void *p, uint64_t seed, double low,
                               double high)
{
    for (size_t i = 0; i < n; i++)
        store_value(t, p, i, low + (high - low) * uniform(seed, i));
}

#endif
