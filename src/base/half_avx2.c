/* half_avx2.c - half.h for x86 with F16C, eight elements at a time.
 *
 * The instruction rounds ties to even. For ties away from zero: with `lo` the
 * rounded magnitude and `hi` the next half above it, the value was a tie that
 * went down exactly when it lies as far from lo as from hi; then take hi. Both
 * distances are exact near a tie, so no other value passes the test, and
 * infinity and NaN compare false. */
#include "base/half_wide.h"

#if defined(__x86_64__)
#include <immintrin.h>

size_t half_wide_to_floats(const half *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i,
                         _mm256_cvtph_ps(_mm_loadu_si128((const void *)(in + i))));
    return i;
}

size_t half_wide_from_floats(const float *in, half *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(in + i);
        _mm_storeu_si128((void *)(out + i),
                         _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    }
    return i;
}

size_t half_wide_from_floats_away(const float *in, half *out, size_t n)
{
    const __m256 no_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    const __m128i one = _mm_set1_epi16(1);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(in + i), size = _mm256_and_ps(x, no_sign);
        __m128i h = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
        __m128i next = _mm_add_epi16(h, one);
        __m256 lo = _mm256_and_ps(_mm256_cvtph_ps(h), no_sign);
        __m256 hi = _mm256_and_ps(_mm256_cvtph_ps(next), no_sign);
        __m256 tie = _mm256_cmp_ps(_mm256_sub_ps(size, lo), _mm256_sub_ps(hi, size),
                                   _CMP_EQ_OQ);
        __m256i wide = _mm256_castps_si256(tie);
        __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(wide),
                                         _mm256_extracti128_si256(wide, 1));
        /* the mask is -1 where the tie went down: h - (-1) is the next half */
        _mm_storeu_si128((void *)(out + i), _mm_sub_epi16(h, narrow));
    }
    return i;
}
#else
typedef int half_avx2_is_empty; /* ISO C wants something in every file */
#endif
