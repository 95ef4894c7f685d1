/* half.c - binary16 in whole numbers: 1 sign, 5 exponent (bias 15), 10 fraction
 * bits. Every conversion from a wider format is one rounding of an integer
 * significand, so float and double share one function and the rounding mode is
 * one bit in it. This is the reference; the wide forms must give its bits. */
#include <stdbool.h>
#include <string.h>
#include "base/half.h"
#include "base/half_wide.h"

enum { EXP_MAX = 15, EXP_MIN = -14, FRACTION = 10, BIAS = 15 };
#define QUIET 0x0200u

/* The half nearest to m * 2^(e - p), where m has its leading one at bit p and
 * p >= 23. Below 2^EXP_MIN the unit stays 2^-24, so more bits are dropped; a
 * carry out of the fraction steps the exponent by itself, up to infinity. */
static half round_half(half sign, int e, uint64_t m, int p, bool away)
{
    if (e > EXP_MAX) return sign | HALF_INF;
    if (e < EXP_MIN - FRACTION - 1) return sign;
    int drop = p - FRACTION + (e < EXP_MIN ? EXP_MIN - e : 0);
    uint64_t kept = m >> drop, tie = (uint64_t)1 << (drop - 1);
    uint64_t rest = m & ((tie << 1) - 1);
    if (rest > tie || (rest == tie && (away || (kept & 1)))) kept++;
    if (e >= EXP_MIN) kept += (uint64_t)(e + BIAS - 1) << FRACTION;
    return (half)(sign | kept);
}

static half float_half(float f, bool away)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    half sign = (half)(u >> 16 & 0x8000u);
    uint32_t field = u >> 23 & 0xffu, fraction = u & 0x7fffffu;
    if (field == 0xffu)
        return sign | HALF_INF | (half)(fraction ? QUIET | fraction >> 13 : 0);
    return round_half(sign, (int)field - 127, fraction | 0x800000u, 23, away);
}

static half double_half(double d, bool away)
{
    uint64_t u;
    memcpy(&u, &d, sizeof u);
    half sign = (half)(u >> 48 & 0x8000u);
    uint64_t fraction = u & 0xfffffffffffffu;
    int field = (int)(u >> 52 & 0x7ffu);
    if (field == 0x7ff)
        return sign | HALF_INF | (half)(fraction ? QUIET | fraction >> 42 : 0);
    return round_half(sign, field - 1023, fraction | (uint64_t)1 << 52, 52, away);
}

half half_from_float(float f)
{
    return float_half(f, false);
}
half half_from_float_away(float f)
{
    return float_half(f, true);
}
half half_from_double(double d)
{
    return double_half(d, false);
}
half half_from_double_away(double d)
{
    return double_half(d, true);
}

float half_to_float(half h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t field = h >> 10 & 0x1fu, fraction = h & 0x3ffu, u;
    if (field == 0x1fu) u = 0x7f800000u | (fraction ? (fraction | QUIET) << 13 : 0);
    else if (field) u = (field + 127 - BIAS) << 23 | fraction << 13;
    else if (!fraction) u = 0;
    else {
        /* A float has room to give a subnormal half its leading one. */
        uint32_t e = 127 + EXP_MIN;
        while (!(fraction & 0x400u)) fraction <<= 1, e--;
        u = e << 23 | (fraction & 0x3ffu) << 13;
    }
    u |= sign;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

double half_to_double(half h)
{
    return half_to_float(h);
}

#if defined(__x86_64__)
/* Every processor with AVX2 has F16C. */
static bool wide(void)
{
    return __builtin_cpu_supports("avx2");
}
#elif defined(__aarch64__)
static bool wide(void)
{
    return true;
}
#else
static bool wide(void)
{
    return false;
}
size_t half_wide_to_floats(const half *in, float *out, size_t n)
{
    return 0;
}
size_t half_wide_from_floats(const float *in, half *out, size_t n)
{
    return 0;
}
size_t half_wide_from_floats_away(const float *in, half *out, size_t n)
{
    return 0;
}
#endif

void half_to_floats(const half *in, float *out, size_t n)
{
    for (size_t i = wide() ? half_wide_to_floats(in, out, n) : 0; i < n; i++)
        out[i] = half_to_float(in[i]);
}

void half_from_floats(const float *in, half *out, size_t n)
{
    for (size_t i = wide() ? half_wide_from_floats(in, out, n) : 0; i < n; i++)
        out[i] = half_from_float(in[i]);
}

void half_from_floats_away(const float *in, half *out, size_t n)
{
    for (size_t i = wide() ? half_wide_from_floats_away(in, out, n) : 0; i < n; i++)
        out[i] = half_from_float_away(in[i]);
}
