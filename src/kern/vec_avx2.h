/* vec_avx2.h - the vector words of vec_scalar.h with 8 lanes, for processors
 * with AVX2, FMA and F16C. A mask is a vector of all-ones lanes. */
#ifndef KERN_VEC_H
#define KERN_VEC_H

#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kern/table.h"

#define VL 8
/* 12 registers of sums, 2 of B, 1 of A: 15 of 16. */
#define TILE_M 6
#define TILE_V 2
#define TABLE kern_table_avx2
#define TABLE_NAME "avx2"

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

static inline vi first_lanes(size_t n)
{
    vi lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}
static inline vm m_first(size_t n)
{
    return _mm256_castsi256_ps(first_lanes(n));
}

static inline vf v_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, first_lanes(n));
}
static inline void v_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    _mm256_maskstore_ps(p, first_lanes(n), x);
}
static inline vf v_loadh(const half *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline vf v_loadh_n(const half *p, size_t n)
{
    half h[VL] = {0};
    memcpy(h, p, n * sizeof *h);
    return v_loadh(h);
}
static inline void v_storeh(half *p, vf x)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline void v_storeh_n(half *p, vf x, size_t n)
{
    half h[VL];
    v_storeh(h, x);
    memcpy(p, h, n * sizeof *h);
}

static inline vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_mac(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vf v_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf v_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
#define V_ROUND(a, how) _mm256_round_ps(a, (how) | _MM_FROUND_NO_EXC)
static inline vf v_floor(vf a)
{
    return V_ROUND(a, _MM_FROUND_TO_NEG_INF);
}
static inline vf v_ceil(vf a)
{
    return V_ROUND(a, _MM_FROUND_TO_POS_INF);
}
static inline vf v_rint(vf a)
{
    return V_ROUND(a, _MM_FROUND_TO_NEAREST_INT);
}

static inline vm v_lt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline vm v_le(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LE_OQ);
}
static inline vm v_eq(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
static inline vm v_nan(vf a)
{
    return _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
}
static inline vm m_and(vm a, vm b)
{
    return _mm256_and_ps(a, b);
}
static inline vm m_or(vm a, vm b)
{
    return _mm256_or_ps(a, b);
}
static inline bool m_any(vm a)
{
    return _mm256_movemask_ps(a) != 0;
}
static inline unsigned m_count(vm a)
{
    return (unsigned)__builtin_popcount((unsigned)_mm256_movemask_ps(a));
}
static inline vf v_pick(vm m, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, m);
}
static inline vm m_bytes(const uint8_t *p)
{
    vi wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(wide, _mm256_setzero_si256()));
}

static inline vi v_bits(vf a)
{
    return _mm256_castps_si256(a);
}
static inline vf i_float(vi a)
{
    return _mm256_castsi256_ps(a);
}
static inline vi i_set(int32_t x)
{
    return _mm256_set1_epi32(x);
}
static inline vi i_add(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}
static inline vi i_sub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}
static inline vi i_and(vi a, vi b)
{
    return _mm256_and_si256(a, b);
}
static inline vi i_or(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}
static inline vi i_shl(vi a, int n)
{
    return _mm256_slli_epi32(a, n);
}
static inline vi i_sar(vi a, int n)
{
    return _mm256_srai_epi32(a, n);
}
static inline vi v_int(vf a)
{
    return _mm256_cvtps_epi32(a);
}
static inline vf i_whole(vi a)
{
    return _mm256_cvtepi32_ps(a);
}

/* a * 2^n in two steps, so that neither power leaves the range of floats
 * while the result is in it. n is whole, -300 < n < 300. */
static inline vf v_scale(vf a, vf n)
{
    vi e = v_int(n), low = i_sar(e, 1), high = i_sub(e, low), bias = i_set(127);
    a = v_mul(a, i_float(i_shl(i_add(low, bias), 23)));
    return v_mul(a, i_float(i_shl(i_add(high, bias), 23)));
}

static inline float v_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float v_top(vf a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline float v_bottom(vf a)
{
    return -v_top(_mm256_xor_ps(a, _mm256_set1_ps(-0.0f)));
}

typedef struct {
    __m256d lo, hi;
} vd;
static inline vd d_zero(void)
{
    return (vd){_mm256_setzero_pd(), _mm256_setzero_pd()};
}
static inline vd d_add_squares(vd s, vf a)
{
    __m256d lo = _mm256_cvtps_pd(_mm256_castps256_ps128(a));
    __m256d hi = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
    return (vd){_mm256_fmadd_pd(lo, lo, s.lo), _mm256_fmadd_pd(hi, hi, s.hi)};
}
static inline double d_sum(vd s)
{
    double x[4];
    _mm256_storeu_pd(x, _mm256_add_pd(s.lo, s.hi));
    return (x[0] + x[1]) + (x[2] + x[3]);
}

static inline vi i_load(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
static inline void i_store(int32_t *p, vi x)
{
    _mm256_storeu_si256((__m256i *)p, x);
}
static inline vi i_abs(vi a)
{
    return _mm256_abs_epi32(a);
}
static inline vi i_max(vi a, vi b)
{
    return _mm256_max_epi32(a, b);
}
/* Half is added towards the sign, then cut off. */
static inline vi i_away(vf a)
{
    vf sign = _mm256_and_ps(a, _mm256_set1_ps(-0.0f));
    return _mm256_cvttps_epi32(v_add(a, _mm256_or_ps(sign, v_set(0.5f))));
}
static inline vi i_add_gt(vi sum, vi x, vi a, vi b)
{
    return _mm256_add_epi32(sum, _mm256_and_si256(x, _mm256_cmpgt_epi32(a, b)));
}
static inline vf v_fma_gt(vf x, vf y, vf sum, vi a, vi b)
{
    vf kept = _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b));
    return _mm256_fmadd_ps(x, _mm256_and_ps(y, kept), sum);
}

static inline vf v_load16(const uint16_t *p)
{
    return i_float(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static inline void v_store16(uint16_t *p, vf x)
{
    vi packed = _mm256_packus_epi32(v_bits(x), v_bits(x)); /* within 128-bit lanes */
    __m256i whole = _mm256_permute4x64_epi64(packed, 0x88);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(whole));
}

/* Rows become columns: within pairs, fours, then the two 128-bit lanes. */
static inline void v_transpose(vf x[VL])
{
    vf y[VL];
    for (int i = 0; i < VL; i += 2) {
        y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
#define PD(v) _mm256_castps_pd(v)
#define PS(v) _mm256_castpd_ps(v)
    for (int i = 0; i < VL; i += 4) {
        x[i] = PS(_mm256_unpacklo_pd(PD(y[i]), PD(y[i + 2])));
        x[i + 1] = PS(_mm256_unpackhi_pd(PD(y[i]), PD(y[i + 2])));
        x[i + 2] = PS(_mm256_unpacklo_pd(PD(y[i + 1]), PD(y[i + 3])));
        x[i + 3] = PS(_mm256_unpackhi_pd(PD(y[i + 1]), PD(y[i + 3])));
    }
#undef PD
#undef PS
    for (int i = 0; i < 4; i++) {
        y[i] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x20);
        y[i + 4] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x31);
    }
    for (int i = 0; i < VL; i++) x[i] = y[i];
}

#endif
