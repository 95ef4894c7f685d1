/* Half floats: every half, every boundary between halves, and a million
 * floats, against a definition that shares nothing with the code. */
#include <float.h>
#include "test.h"
#include "base/half.h"
#include "base/rng.h"

static uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* The value by the definition of the format, in double. */
static double meaning(half h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY)
               : e     ? ldexp(1024 + m, e - 25)
                       : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

/* The nearest half by searching the ordered list of all finite ones; the
 * place of infinity is that of 65536, the next half if there were one. */
static half nearest(double d, bool away)
{
    if (isnan(d)) return 0x7e00;
    double v = fabs(d);
    unsigned lo = 0, hi = 0x7c00;
    if (v >= 65536) lo = hi;
    while (hi - lo > 1) {
        unsigned mid = (lo + hi) / 2;
        if (meaning((half)mid) <= v) lo = mid;
        else hi = mid;
    }
    if (lo != hi) {
        double below = v - meaning((half)lo);
        double above = (hi == 0x7c00 ? 65536 : meaning((half)hi)) - v;
        if (above < below || (above == below && (away || (lo & 1)))) lo = hi;
    }
    return (half)(lo | (signbit(d) ? 0x8000u : 0));
}

static bool is_nan(half h)
{
    return (h & 0x7fff) > 0x7c00;
}

static void check_double(double d)
{
    half even = half_from_double(d), away = half_from_double_away(d);
    if (isnan(d)) {
        assert_true(is_nan(even) && is_nan(away));
        return;
    }
    if (even != nearest(d, false) || away != nearest(d, true)) {
        print_error("%a: even %04x wanted %04x, away %04x wanted %04x\n", d, even,
                    nearest(d, false), away, nearest(d, true));
        fail();
    }
}

static void check_float(float f)
{
    check_double(f);
    /* a float is a double: the two ways must agree in every bit, NaN too */
    assert_int_equal(half_from_float(f), half_from_double(f));
    assert_int_equal(half_from_float_away(f), half_from_double_away(f));
}

static void every_half_has_its_value(void **state)
{
    for (unsigned u = 0; u < 65536; u++) {
        half h = (half)u;
        float f = half_to_float(h);
        if (is_nan(h)) {
            /* NaN stays NaN, keeps sign and payload, and is made quiet */
            assert_true(isnan(f) && isnan(half_to_double(h)));
            assert_int_equal(float_bits(f),
                             (u & 0x8000) << 16 | 0x7fc00000 | (u & 0x1ff) << 13);
            assert_int_equal(half_from_float(f), u | 0x200);
            continue;
        }
        assert_true(f == meaning(h) && !!signbit(f) == (int)(u >> 15));
        assert_true(half_to_double(h) == meaning(h));
        assert_int_equal(half_from_float(f), h);
        assert_int_equal(half_from_float_away(f), h);
        assert_int_equal(half_from_double(meaning(h)), h);
        assert_int_equal(half_from_double_away(meaning(h)), h);
    }
}

static void boundaries_between_halves_round_right(void **state)
{
    for (unsigned u = 0; u < 0x7c00; u++) {
        double lo = meaning((half)u), hi = u == 0x7bff ? 65536 : meaning((half)(u + 1));
        double tie = (lo + hi) / 2; /* exact in float: one bit more than a half */
        for (int sign = -1; sign <= 1; sign += 2) {
            float t = (float)(sign * tie);
            check_float(t);
            check_float(nextafterf(t, 0));
            check_float(nextafterf(t, sign * FLT_MAX));
            check_double(nextafter(sign * tie, 0));
            check_double(nextafter(sign * tie, sign * 1e9));
        }
    }
}

static void doubles_round_once(void **state)
{
    /* Through float this would round twice: up to the tie, then up again. */
    double d = 1 + 0x1p-11 - 0x1p-40;
    assert_int_equal(half_from_double_away(d), 0x3c00);
    assert_int_equal(half_from_float_away((float)d), 0x3c01);
    static const double edge[] = {
        0,       65504,   65519.99,       65520,   65536,  1e5,         1e300, INFINITY,
        0x1p-24, 0x1p-25, 0x1.000001p-25, 0x1p-26, 1e-300, DBL_MIN / 4, NAN};
    for (size_t i = 0; i < COUNT_OF(edge); i++)
        check_double(edge[i]), check_double(-edge[i]);
}

static void random_floats_round_right(void **state)
{
    for (uint64_t i = 0; i < 1000000; i++) {
        uint32_t w[4];
        rng_block(1, 2, i, w);
        /* half of them over all floats, half where halves have values */
        if (i & 1) w[0] = (w[0] & 0x80ffffffu) | (98 + w[1] % 48) << 23;
        check_float(bits_float(w[0]));
    }
}

/* Run all forms on n floats from index `from`, at odd places and lengths. */
static void compare_wide(const float *in, size_t n)
{
    half even[257], away[257];
    half_from_floats(in, even + 1, n);
    half_from_floats_away(in, away + 1, n);
    for (size_t i = 0; i < n; i++) {
        half want = half_from_float(in[i]), want_away = half_from_float_away(in[i]);
        if (even[i + 1] == want && away[i + 1] == want_away) continue;
        print_error("%a (%08x): even %04x wanted %04x, away %04x wanted %04x\n", in[i],
                    float_bits(in[i]), even[i + 1], want, away[i + 1], want_away);
        fail();
    }
}

static void wide_to_float_has_the_scalar_bits(void **state)
{
    half in[65536 + 1];
    static float out[65536 + 1];
    for (unsigned u = 0; u < 65536; u++) in[u + 1] = (half)u;
    half_to_floats(in + 1, out + 1, 65536);
    for (unsigned u = 0; u < 65536; u++)
        assert_int_equal(float_bits(out[u + 1]), float_bits(half_to_float((half)u)));
}

static void wide_from_float_has_the_scalar_bits(void **state)
{
    float in[256];
    size_t n = 0;
    for (unsigned u = 0; u < 0x8000; u++) {
        /* a half, its upper boundary and the floats beside both; NaNs too */
        float f = half_to_float((half)u), g = half_to_float((half)(u + 1));
        float tie = (f + g) / 2;
        const float some[] = {f,   nextafterf(f, 0),   nextafterf(f, INFINITY),
                              tie, nextafterf(tie, 0), nextafterf(tie, INFINITY)};
        for (size_t i = 0; i < COUNT_OF(some); i++) {
            in[n++] = some[i], in[n++] = -some[i];
            if (n == 253 || n == 252) compare_wide(in, n), n = 0;
        }
    }
    compare_wide(in, n);
    for (uint64_t i = 0; i < 2000000; i += 100) {
        for (n = 0; n < 100; n++) {
            uint32_t w[4];
            rng_block(3, 4, i + n, w);
            if (n & 1) w[0] = (w[0] & 0x80ffffffu) | (98 + w[1] % 48) << 23;
            in[n] = bits_float(w[0]);
        }
        compare_wide(in, n);
    }
}

static void wide_forms_do_any_length(void **state)
{
    float in[40], back[40];
    half h[40];
    for (int i = 0; i < 40; i++) in[i] = (float)i + 0.25f;
    for (size_t n = 0; n < 40; n++) {
        memset(h, 0xff, sizeof h);
        half_from_floats_away(in, h, n);
        assert_int_equal(h[n], 0xffff);
        half_to_floats(h, back, n);
        for (size_t i = 0; i < n; i++) assert_true(back[i] == in[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_has_its_value),
        cmocka_unit_test(boundaries_between_halves_round_right),
        cmocka_unit_test(doubles_round_once),
        cmocka_unit_test(random_floats_round_right),
        cmocka_unit_test(wide_to_float_has_the_scalar_bits),
        cmocka_unit_test(wide_from_float_has_the_scalar_bits),
        cmocka_unit_test(wide_forms_do_any_length),
    };
    return cmocka_run_group_tests_name("base half", tests, NULL, NULL);
}
