/* vec_scalar.h - the vector words with one lane, in plain C: the portable
 * twin. The words are the same in every vec_*.h; read this one to learn them.
 *
 *   vf, vi, vm   float lanes, 32-bit integer lanes, a mask of lanes
 *   *_n          the first n lanes only, n < VL
 *   *h           half floats in memory, widened or rounded to nearest even */
#ifndef KERN_VEC_H
#define KERN_VEC_H

#include <math.h>
#include <string.h>
#include "kern/table.h"

#define VL 1
#define TILE_M 4 /* rows of a register tile */
#define TILE_V 4 /* vectors in one of its rows */
#define TABLE kern_table_scalar
#define TABLE_NAME "scalar"

typedef float vf;
typedef int32_t vi;
typedef bool vm;

static inline vf v_set(float x)
{
    return x;
}
static inline vf v_load(const float *p)
{
    return *p;
}
static inline vf v_load_n(const float *p, size_t n)
{
    return n ? *p : 0;
}
static inline void v_store(float *p, vf x)
{
    *p = x;
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    if (n) *p = x;
}
static inline vf v_loadh(const half *p)
{
    return half_to_float(*p);
}
static inline vf v_loadh_n(const half *p, size_t n)
{
    return n ? half_to_float(*p) : 0;
}
static inline void v_storeh(half *p, vf x)
{
    *p = half_from_float(x);
}
static inline void v_storeh_n(half *p, vf x, size_t n)
{
    if (n) *p = half_from_float(x);
}

static inline vf v_add(vf a, vf b)
{
    return a + b;
}
static inline vf v_sub(vf a, vf b)
{
    return a - b;
}
static inline vf v_mul(vf a, vf b)
{
    return a * b;
}
static inline vf v_div(vf a, vf b)
{
    return a / b;
}
/* a * b + c: the product is exact in double, so that errors of products can
 * be found as fma(a, b, -a * b) here too. */
static inline vf v_fma(vf a, vf b, vf c)
{
    return (float)((double)a * b + c);
}
/* a * b + c for long sums, as fast as there is. */
static inline vf v_mac(vf a, vf b, vf c)
{
    return a * b + c;
}
/* NaN in b comes through; NaN in a need not (see max_nan). */
static inline vf v_max(vf a, vf b)
{
    return a > b ? a : b;
}
static inline vf v_min(vf a, vf b)
{
    return a < b ? a : b;
}
static inline vf v_abs(vf a)
{
    return fabsf(a);
}
static inline vf v_sqrt(vf a)
{
    return sqrtf(a);
}
static inline vf v_floor(vf a)
{
    return floorf(a);
}
static inline vf v_ceil(vf a)
{
    return ceilf(a);
}
static inline vf v_rint(vf a)
{
    return rintf(a);
} /* to nearest, ties to even */

static inline vm v_lt(vf a, vf b)
{
    return a < b;
}
static inline vm v_le(vf a, vf b)
{
    return a <= b;
}
static inline vm v_eq(vf a, vf b)
{
    return a == b;
}
static inline vm v_nan(vf a)
{
    return a != a;
}
static inline vm m_and(vm a, vm b)
{
    return a & b;
}
static inline vm m_or(vm a, vm b)
{
    return a | b;
}
static inline vm m_first(size_t n)
{
    return n > 0;
}
static inline bool m_any(vm a)
{
    return a;
}
static inline unsigned m_count(vm a)
{
    return a;
}
static inline vf v_pick(vm m, vf yes, vf no)
{
    return m ? yes : no;
}
static inline vm m_bytes(const uint8_t *p)
{
    return *p != 0;
}

static inline vi v_bits(vf a)
{
    vi i;
    memcpy(&i, &a, 4);
    return i;
}
static inline vf i_float(vi a)
{
    vf f;
    memcpy(&f, &a, 4);
    return f;
}
static inline vi i_set(int32_t x)
{
    return x;
}
static inline vi i_add(vi a, vi b)
{
    return (vi)((uint32_t)a + (uint32_t)b);
}
static inline vi i_sub(vi a, vi b)
{
    return (vi)((uint32_t)a - (uint32_t)b);
}
static inline vi i_and(vi a, vi b)
{
    return a & b;
}
static inline vi i_or(vi a, vi b)
{
    return a | b;
}
static inline vi i_shl(vi a, int n)
{
    return (vi)((uint32_t)a << n);
}
static inline vi i_sar(vi a, int n)
{
    return a >> n;
} /* keeps the sign */
static inline vi v_int(vf a)
{
    return (vi)a;
} /* a is whole */
static inline vf i_whole(vi a)
{
    return (vf)a;
}

/* a * 2^n; n is whole, -300 < n < 300, or NaN. */
static inline vf v_scale(vf a, vf n)
{
    return n == n ? ldexpf(a, (int)n) : n;
}

static inline float v_sum(vf a)
{
    return a;
}
static inline float v_top(vf a)
{
    return a;
}
static inline float v_bottom(vf a)
{
    return a;
}

/* Sums in double. */
typedef double vd;
static inline vd d_zero(void)
{
    return 0;
}
static inline vd d_add_squares(vd s, vf a)
{
    return s + (double)a * a;
}
static inline double d_sum(vd s)
{
    return s;
}

/* 16-bit words in 32-bit lanes, as they are. */
/* Integer words of exact.h. Sums wrap; i_away rounds halves away from zero. */
static inline vi i_load(const int32_t *p)
{
    return *p;
}
static inline void i_store(int32_t *p, vi x)
{
    *p = x;
}
static inline vi i_abs(vi a)
{
    return a < 0 ? (vi)(0u - (uint32_t)a) : a;
}
static inline vi i_max(vi a, vi b)
{
    return a > b ? a : b;
}
static inline vi i_away(vf a)
{
    if (!(a < 0x1p31f && a > -0x1p31f)) return INT32_MIN;
    return (vi)(a + (a < 0 ? -0.5f : 0.5f));
}
/* sum + x where a > b, else sum. */
static inline vi i_add_gt(vi sum, vi x, vi a, vi b)
{
    return a > b ? (vi)((uint32_t)sum + (uint32_t)x) : sum;
}
/* sum + x * y, rounded once, where a > b, else sum. */
static inline vf v_fma_gt(vf x, vf y, vf sum, vi a, vi b)
{
    return a > b ? v_fma(x, y, sum) : sum;
}

static inline vf v_load16(const uint16_t *p)
{
    return i_float(*p);
}
static inline void v_store16(uint16_t *p, vf x)
{
    *p = (uint16_t)v_bits(x);
}

/* x[i][j] becomes x[j][i]. */
static inline void v_transpose(vf x[VL])
{
    (void)x;
}

#endif
