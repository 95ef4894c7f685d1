/* vec_avx512.h - the vector words of vec_scalar.h with 16 lanes, for
 * processors with AVX-512 F, BW, VL and DQ. */
#ifndef KERN_VEC_H
#define KERN_VEC_H

#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kern/table.h"

#define VL 16
/* 28 registers of sums, 2 of B, 1 of A: 31 of 32. */
#define TILE_M 14
#define TILE_V 2
#define TABLE kern_table_avx512
#define TABLE_NAME "avx512"

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

static inline vm m_first(size_t n)
{
    return (vm)((1u << n) - 1);
}

static inline vf v_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(m_first(n), p);
}
static inline void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    _mm512_mask_storeu_ps(p, m_first(n), x);
}
static inline vf v_loadh(const half *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline vf v_loadh_n(const half *p, size_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m_first(n), p));
}
static inline __m256i v_to_half(vf x)
{
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline void v_storeh(half *p, vf x)
{
    _mm256_storeu_si256((__m256i *)p, v_to_half(x));
}
static inline void v_storeh_n(half *p, vf x, size_t n)
{
    _mm256_mask_storeu_epi16(p, m_first(n), v_to_half(x));
}

static inline vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_mac(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf v_abs(vf a)
{
    return _mm512_abs_ps(a);
}
static inline vf v_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
#define V_ROUND(a, how) _mm512_roundscale_ps(a, (how) | _MM_FROUND_NO_EXC)
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
static inline vf v_scale(vf a, vf n)
{
    return _mm512_scalef_ps(a, n);
}

static inline vm v_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline vm v_le(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
static inline vm v_eq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
static inline vm v_nan(vf a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}
static inline vm m_and(vm a, vm b)
{
    return (vm)(a & b);
}
static inline vm m_or(vm a, vm b)
{
    return (vm)(a | b);
}
static inline bool m_any(vm a)
{
    return a != 0;
}
static inline unsigned m_count(vm a)
{
    return (unsigned)_mm_popcnt_u32(a);
}
static inline vf v_pick(vm m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline vm m_bytes(const uint8_t *p)
{
    return _mm_cmpneq_epi8_mask(_mm_loadu_si128((const __m128i *)p), _mm_setzero_si128());
}

static inline vi v_bits(vf a)
{
    return _mm512_castps_si512(a);
}
static inline vf i_float(vi a)
{
    return _mm512_castsi512_ps(a);
}
static inline vi i_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}
static inline vi i_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}
static inline vi i_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}
static inline vi i_and(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}
static inline vi i_or(vi a, vi b)
{
    return _mm512_or_si512(a, b);
}
static inline vi i_shl(vi a, int n)
{
    return _mm512_slli_epi32(a, (unsigned)n);
}
static inline vi i_sar(vi a, int n)
{
    return _mm512_srai_epi32(a, (unsigned)n);
}
static inline vi v_int(vf a)
{
    return _mm512_cvtps_epi32(a);
}
static inline vf i_whole(vi a)
{
    return _mm512_cvtepi32_ps(a);
}

static inline float v_sum(vf a)
{
    return _mm512_reduce_add_ps(a);
}
static inline float v_top(vf a)
{
    return _mm512_reduce_max_ps(a);
}
static inline float v_bottom(vf a)
{
    return _mm512_reduce_min_ps(a);
}

typedef struct {
    __m512d lo, hi;
} vd;
static inline vd d_zero(void)
{
    return (vd){_mm512_setzero_pd(), _mm512_setzero_pd()};
}
static inline vd d_add_squares(vd s, vf a)
{
    __m512d lo = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
    __m512d hi = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
    return (vd){_mm512_fmadd_pd(lo, lo, s.lo), _mm512_fmadd_pd(hi, hi, s.hi)};
}
static inline double d_sum(vd s)
{
    return _mm512_reduce_add_pd(_mm512_add_pd(s.lo, s.hi));
}

static inline vi i_load(const int32_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline void i_store(int32_t *p, vi x)
{
    _mm512_storeu_si512(p, x);
}
static inline vi i_abs(vi a)
{
    return _mm512_abs_epi32(a);
}
static inline vi i_max(vi a, vi b)
{
    return _mm512_max_epi32(a, b);
}
/* Half is added towards the sign (0xea: a & b | c), then cut off. */
static inline vi i_away(vf a)
{
    vi half_of = _mm512_ternarylogic_epi32(v_bits(a), i_set(INT32_MIN),
                                           v_bits(v_set(0.5f)), 0xea);
    return _mm512_cvttps_epi32(v_add(a, i_float(half_of)));
}
static inline vi i_add_gt(vi sum, vi x, vi a, vi b)
{
    return _mm512_mask_add_epi32(sum, _mm512_cmpgt_epi32_mask(a, b), sum, x);
}
static inline vf v_fma_gt(vf x, vf y, vf sum, vi a, vi b)
{
    return _mm512_mask3_fmadd_ps(x, y, sum, _mm512_cmpgt_epi32_mask(a, b));
}

static inline vf v_load16(const uint16_t *p)
{
    return i_float(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)));
}
static inline void v_store16(uint16_t *p, vf x)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(v_bits(x)));
}

/* Rows become columns: first within pairs, then fours of each 128-bit lane,
 * then the lanes themselves. */
static inline void v_transpose(vf x[VL])
{
    vf y[VL];
    for (int i = 0; i < VL; i += 2) {
        y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
#define PD(v) _mm512_castps_pd(v)
#define PS(v) _mm512_castpd_ps(v)
    for (int i = 0; i < VL; i += 4) {
        x[i] = PS(_mm512_unpacklo_pd(PD(y[i]), PD(y[i + 2])));
        x[i + 1] = PS(_mm512_unpackhi_pd(PD(y[i]), PD(y[i + 2])));
        x[i + 2] = PS(_mm512_unpacklo_pd(PD(y[i + 1]), PD(y[i + 3])));
        x[i + 3] = PS(_mm512_unpackhi_pd(PD(y[i + 1]), PD(y[i + 3])));
    }
#undef PD
#undef PS
    for (int i = 0; i < 4; i++) {
        y[i] = _mm512_shuffle_f32x4(x[i], x[i + 4], 0x88);
        y[i + 4] = _mm512_shuffle_f32x4(x[i], x[i + 4], 0xdd);
        y[i + 8] = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0x88);
        y[i + 12] = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        x[i] = _mm512_shuffle_f32x4(y[i], y[i + 8], 0x88);
        x[i + 8] = _mm512_shuffle_f32x4(y[i], y[i + 8], 0xdd);
    }
}

#endif
