/* half_neon.c - half.h for aarch64, four elements at a time. The conversion
 * rounds ties to even; ties away as explained in half_avx2.c. */
#include "base/half_wide.h"

#if defined(__aarch64__)
#include <arm_neon.h>

size_t half_wide_to_floats(const half *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(in + i))));
    return i;
}

size_t half_wide_from_floats(const float *in, half *out, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(in + i))));
    return i;
}

size_t half_wide_from_floats_away(const float *in, half *out, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t x = vld1q_f32(in + i), size = vabsq_f32(x);
        uint16x4_t h = vreinterpret_u16_f16(vcvt_f16_f32(x));
        uint16x4_t next = vadd_u16(h, vdup_n_u16(1));
        float32x4_t lo = vabsq_f32(vcvt_f32_f16(vreinterpret_f16_u16(h)));
        float32x4_t hi = vabsq_f32(vcvt_f32_f16(vreinterpret_f16_u16(next)));
        uint32x4_t tie = vceqq_f32(vsubq_f32(size, lo), vsubq_f32(hi, size));
        vst1_u16(out + i, vsub_u16(h, vmovn_u32(tie)));
    }
    return i;
}
#else
typedef int half_neon_is_empty; /* ISO C wants something in every file */
#endif
