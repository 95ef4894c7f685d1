/* vec_neon.h - the vector words of vec_scalar.h with 4 lanes, for 64-bit ARM.
 * A mask is a vector of all-ones lanes. */
#ifndef KERN_VEC_H
#define KERN_VEC_H

#include <arm_neon.h>
#include <math.h>
#include <string.h>
#include "kern/table.h"

#define VL 4
/* 24 registers of sums, 4 of B, 1 of A: 29 of 32. */
#define TILE_M 6
#define TILE_V 4
#define TABLE kern_table_neon
#define TABLE_NAME "neon"

typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;

static inline vm m_first(size_t n)
{
    static const uint32_t lane[VL] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(lane), vdupq_n_u32((uint32_t)n));
}

static inline vf v_set(float x)
{
    return vdupq_n_f32(x);
}
static inline vf v_load(const float *p)
{
    return vld1q_f32(p);
}
static inline vf v_load_n(const float *p, size_t n)
{
    float f[VL] = {0};
    memcpy(f, p, n * sizeof *f);
    return vld1q_f32(f);
}
static inline void v_store(float *p, vf x)
{
    vst1q_f32(p, x);
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    float f[VL];
    vst1q_f32(f, x);
    memcpy(p, f, n * sizeof *f);
}
static inline vf v_loadh(const half *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline vf v_loadh_n(const half *p, size_t n)
{
    half h[VL] = {0};
    memcpy(h, p, n * sizeof *h);
    return v_loadh(h);
}
static inline void v_storeh(half *p, vf x)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}
static inline void v_storeh_n(half *p, vf x, size_t n)
{
    half h[VL];
    v_storeh(h, x);
    memcpy(p, h, n * sizeof *h);
}

static inline vf v_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
static inline vf v_mac(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
static inline vf v_max(vf a, vf b)
{
    return vmaxq_f32(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return vminq_f32(a, b);
}
static inline vf v_abs(vf a)
{
    return vabsq_f32(a);
}
static inline vf v_sqrt(vf a)
{
    return vsqrtq_f32(a);
}
static inline vf v_floor(vf a)
{
    return vrndmq_f32(a);
}
static inline vf v_ceil(vf a)
{
    return vrndpq_f32(a);
}
static inline vf v_rint(vf a)
{
    return vrndnq_f32(a);
}

static inline vm v_lt(vf a, vf b)
{
    return vcltq_f32(a, b);
}
static inline vm v_le(vf a, vf b)
{
    return vcleq_f32(a, b);
}
static inline vm v_eq(vf a, vf b)
{
    return vceqq_f32(a, b);
}
static inline vm v_nan(vf a)
{
    return vmvnq_u32(vceqq_f32(a, a));
}
static inline vm m_and(vm a, vm b)
{
    return vandq_u32(a, b);
}
static inline vm m_or(vm a, vm b)
{
    return vorrq_u32(a, b);
}
static inline bool m_any(vm a)
{
    return vmaxvq_u32(a) != 0;
}
static inline unsigned m_count(vm a)
{
    return vaddvq_u32(vshrq_n_u32(a, 31));
}
static inline vf v_pick(vm m, vf yes, vf no)
{
    return vbslq_f32(m, yes, no);
}
static inline vm m_bytes(const uint8_t *p)
{
    const uint32_t wide[VL] = {p[0], p[1], p[2], p[3]};
    vm x = vld1q_u32(wide);
    return vtstq_u32(x, x);
}

static inline vi v_bits(vf a)
{
    return vreinterpretq_s32_f32(a);
}
static inline vf i_float(vi a)
{
    return vreinterpretq_f32_s32(a);
}
static inline vi i_set(int32_t x)
{
    return vdupq_n_s32(x);
}
static inline vi i_add(vi a, vi b)
{
    return vaddq_s32(a, b);
}
static inline vi i_sub(vi a, vi b)
{
    return vsubq_s32(a, b);
}
static inline vi i_and(vi a, vi b)
{
    return vandq_s32(a, b);
}
static inline vi i_or(vi a, vi b)
{
    return vorrq_s32(a, b);
}
static inline vi i_shl(vi a, int n)
{
    return vshlq_s32(a, vdupq_n_s32(n));
}
static inline vi i_sar(vi a, int n)
{
    return vshlq_s32(a, vdupq_n_s32(-n));
}
static inline vi v_int(vf a)
{
    return vcvtnq_s32_f32(a);
}
static inline vf i_whole(vi a)
{
    return vcvtq_f32_s32(a);
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
    return vaddvq_f32(a);
}
static inline float v_top(vf a)
{
    return vmaxvq_f32(a);
}
static inline float v_bottom(vf a)
{
    return vminvq_f32(a);
}

typedef struct {
    float64x2_t lo, hi;
} vd;
static inline vd d_zero(void)
{
    return (vd){vdupq_n_f64(0), vdupq_n_f64(0)};
}
static inline vd d_add_squares(vd s, vf a)
{
    float64x2_t lo = vcvt_f64_f32(vget_low_f32(a)), hi = vcvt_high_f64_f32(a);
    return (vd){vfmaq_f64(s.lo, lo, lo), vfmaq_f64(s.hi, hi, hi)};
}
static inline double d_sum(vd s)
{
    return vaddvq_f64(vaddq_f64(s.lo, s.hi));
}

static inline vi i_load(const int32_t *p)
{
    return vld1q_s32(p);
}
static inline void i_store(int32_t *p, vi x)
{
    vst1q_s32(p, x);
}
static inline vi i_abs(vi a)
{
    return vabsq_s32(a);
}
static inline vi i_max(vi a, vi b)
{
    return vmaxq_s32(a, b);
}
static inline vi i_away(vf a)
{
    return vcvtaq_s32_f32(a);
}
static inline vi i_add_gt(vi sum, vi x, vi a, vi b)
{
    vi kept = vandq_s32(x, vreinterpretq_s32_u32(vcgtq_s32(a, b)));
    return vaddq_s32(sum, kept);
}
static inline vf v_fma_gt(vf x, vf y, vf sum, vi a, vi b)
{
    uint32x4_t kept = vandq_u32(vreinterpretq_u32_f32(y), vcgtq_s32(a, b));
    return vfmaq_f32(sum, x, vreinterpretq_f32_u32(kept));
}

static inline vf v_load16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vmovl_u16(vld1_u16(p)));
}
static inline void v_store16(uint16_t *p, vf x)
{
    vst1_u16(p, vmovn_u32(vreinterpretq_u32_f32(x)));
}

static inline void v_transpose(vf x[VL])
{
    float32x4x2_t a = vtrnq_f32(x[0], x[1]), b = vtrnq_f32(x[2], x[3]);
    x[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    x[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    x[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    x[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

#endif
