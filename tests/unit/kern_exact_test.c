/* The engine's own product: against whole-number sums written down once more
 * here, in the documented order, for every instruction set; equal bits for any
 * number of threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kern_help.h"

/* e(x) with the floor that subnormals have; exponent 31 is a number too. */
static int expo(half h)
{
    int f = h >> 10 & 31;
    return f ? f - 15 : -14;
}

static double ordinary(half h)
{
    double m = (h & 0x3ff) / 1024.0 + (h >> 10 & 31 ? 1 : 0);
    return ldexp(h & 0x8000 ? -m : m, expo(h));
}

/* A product has 22 bits, so doubles hold it and its sum whole. */
static half oracle(size_t kk, const half *a, ptrdiff_t as, const half *b, ptrdiff_t bs,
                   double bias, float alpha, uint64_t *dropped, uint64_t *saturated)
{
    double sum = round(bias * 65536);
    bool over = fabs(sum) >= 0x1p31;
    for (size_t k = 0; k < kk; k++) {
        half x = a[(ptrdiff_t)k * as], y = b[(ptrdiff_t)k * bs];
        bool drop = expo(x) + expo(y) <= -17;
        if (drop && (x & 0x7fff) && (y & 0x7fff)) ++*dropped;
        if (!drop && !over) sum += round(ordinary(x) * ordinary(y) * 65536);
        over |= fabs(sum) >= 0x1p31;
    }
    if (over) {
        ++*saturated;
        return sum < 0 ? 0xfc00 : 0x7c00;
    }
    return half_from_double_away(sum / 65536 * alpha + 0.0);
}

/* Numbers of every kind: mostly about one, or over the whole range. */
static half number(uint64_t seed, size_t i, int kind)
{
    double u = uniform(seed, 3 * i), v = uniform(seed, 3 * i + 1);
    if (kind == 0) return half_from_double(4 * u - 2);
    if (kind == 3) return half_from_double(120 * u - 60);
    if (kind == 1) return half_from_double((u < 0.5 ? -1 : 1) * exp2(20 * v - 14));
    return (half)(uniform(seed, 3 * i + 2) * 65536); /* any bits */
}

typedef struct {
    size_t m, n, k, batch;
    bool ta, tb;
    int kind;
    bool bias;
    float alpha;
} shape;
static const shape shapes[] = {
    {1, 1, 1, 1, 0, 0, 0, 0, 1},        {3, 5, 7, 1, 0, 0, 0, 1, 1},
    {17, 33, 65, 2, 0, 1, 0, 1, 1},     {40, 70, 300, 1, 1, 0, 1, 0, 1},
    {9, 530, 31, 3, 1, 1, 1, 1, 1},     {50, 20, 520, 1, 0, 0, 2, 1, 1},
    {33, 35, 12, 1, 0, 1, 2, 0, 0.25f}, {8, 32, 256, 1, 0, 0, 1, 0, 1},
    {2, 40, 0, 1, 0, 0, 0, 1, 1},       {20, 60, 900, 1, 0, 1, 3, 1, 1},
    {5, 100, 300, 2, 0, 0, 3, 0, 1},
};

static void check(kern *k, const shape *s, uint64_t seed)
{
    size_t an = s->batch * s->m * s->k, bn = s->batch * s->n * s->k;
    size_t cn = s->batch * s->m * s->n;
    half *a = calloc(an + 1, 2), *b = calloc(bn + 1, 2), *c = calloc(cn, 2);
    half *bias = calloc(s->m, 2);
    for (size_t i = 0; i < an; i++) a[i] = number(seed, i, s->kind);
    for (size_t i = 0; i < bn; i++) b[i] = number(seed + 1, i, s->kind);
    for (size_t i = 0; i < s->m; i++) bias[i] = number(seed + 2, i, s->kind);
    ptrdiff_t ars = s->ta ? 1 : (ptrdiff_t)s->k, acs = s->ta ? (ptrdiff_t)s->m : 1;
    ptrdiff_t brs = s->tb ? 1 : (ptrdiff_t)s->n, bcs = s->tb ? (ptrdiff_t)s->k : 1;
    uint64_t sat = 0, drop = 0, want_sat = 0, want_drop = 0;
    kern_exact_tail tail = {.alpha = s->alpha,
                            .bias = s->bias ? bias : NULL,
                            .saturated = &sat,
                            .dropped = &drop};
    kern_mat am = {a, KERN_F16, ars, acs, (ptrdiff_t)(s->m * s->k)};
    kern_mat bm = {b, KERN_F16, brs, bcs, (ptrdiff_t)(s->n * s->k)};
    kern_out cm = {.p = c,
                   .type = KERN_F16,
                   .rs = (ptrdiff_t)s->n,
                   .batch = (ptrdiff_t)(s->m * s->n)};
    assert_int_equal(kern_exact_gemm(k, s->batch, s->m, s->n, s->k, am, bm, cm, &tail),
                     OK);
    for (size_t q = 0; q < s->batch; q++)
        for (size_t i = 0; i < s->m; i++)
            for (size_t j = 0; j < s->n; j++) {
                half want = oracle(
                    s->k, a + (ptrdiff_t)(q * s->m * s->k) + (ptrdiff_t)i * ars, acs,
                    b + (ptrdiff_t)(q * s->n * s->k) + (ptrdiff_t)j * bcs, brs,
                    s->bias ? ordinary(bias[i]) : 0, s->alpha, &want_drop, &want_sat);
                half had = c[(q * s->m + i) * s->n + j];
                if (had != want)
                    fail_msg("%s, shape %d, (%zu, %zu): wanted %04x, had %04x",
                             kern_isa(k), (int)(s - shapes), i, j, want, had);
            }
    assert_int_equal(sat, want_sat);
    assert_int_equal(drop, want_drop);
    free(a), free(b), free(c), free(bias);
}

static void test_every_set_gives_the_documented_sums(void **state)
{
    for (size_t i = 0; i < N_ISAS; i++)
        for (int threads = 1; threads < 4; threads += 2) {
            kern *k = open_isa(threads, isas[i]);
            if (!k) continue;
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                check(k, &shapes[s], 11 * s);
            kern_close(k);
        }
}

/* Products of all pairs of significands of a kind, at every exponent that is
 * kept, alone and next to a product so large that other kernels are taken. */
static void check_pairs(kern *k, int e, double beside)
{
    enum { STEP = 3, N = 1024 / STEP };
    static half a[N][2], b[2][N];
    static int32_t c[N][N];
    half big = half_from_double(beside);
    for (int i = 0; i < N; i++) {
        a[i][0] = b[0][i] = big;
        a[i][1] = half_from_double(ldexp(1024 + STEP * i, -10 + e / 2));
        b[1][i] = half_from_double(-ldexp(1025 + STEP * i, -10 + e - e / 2));
    }
    kern_exact_tail tail = {.raw = true};
    kern_mat am = {a, KERN_F16, 2, 1, 0}, bm = {b, KERN_F16, N, 1, 0};
    kern_out cm = {.p = c, .type = KERN_F32, .rs = N};
    assert_int_equal(kern_exact_gemm(k, 1, N, N, 2, am, bm, cm, &tail), OK);
    double first = round(ordinary(big) * ordinary(big) * 65536);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double p = ordinary(a[i][1]) * ordinary(b[1][j]) * 65536;
            if (c[i][j] != (int32_t)(first + round(p)))
                fail_msg("%s: (%d, %d) at 2^%d beside %g", kern_isa(k), i, j, e, beside);
        }
}

static void test_every_half_is_rounded_away(void **state)
{
    for (size_t i = 0; i < N_ISAS; i++) {
        kern *k = open_isa(1, isas[i]);
        if (!k) continue;
        for (int e = -16; e <= 2; e += 3) {
            check_pairs(k, e, 0);
            check_pairs(k, e, 7.9);
            check_pairs(k, e, 9);
        }
        check_pairs(k, 12, 0);
        kern_close(k);
    }
}

/* One product and one sum each, that tell the rules apart. */
static half one(kern *k, size_t n, const half *a, const half *b)
{
    half c = 0x1234;
    kern_mat am = {a, KERN_F16, (ptrdiff_t)n, 1, 0}, bm = {b, KERN_F16, 1, 1, 0};
    kern_out cm = {.p = &c, .type = KERN_F16, .rs = 1};
    assert_int_equal(kern_exact_gemm(k, 1, 1, 1, n, am, bm, cm, NULL), OK);
    return c;
}

static half h(double x)
{
    return half_from_double(x);
}

static void test_rules_of_the_accumulator(void **state)
{
    kern *k = open_isa(1, NULL);
    /* 1.98 units, but exponents -8 and -9: dropped whole. */
    assert_int_equal(one(k, 1, (half[]){h(0x1.68p-8)}, (half[]){h(0x1.68p-9)}), 0);
    /* Exponents -8 and -8: kept, and 1.5 units round away to 2. */
    assert_int_equal(one(k, 1, (half[]){h(0x1.8p-8)}, (half[]){h(0x1p-8)}), h(0x1p-15));
    assert_int_equal(one(k, 1, (half[]){h(-0x1.8p-8)}, (half[]){h(0x1p-8)}), h(-0x1p-15));
    /* A subnormal counts as 2^-14: kept against 2^-2, where 2^-17 would not be. */
    assert_int_equal(one(k, 1, (half[]){h(0x1p-15)}, (half[]){h(0.5)}), h(0x1p-16));
    /* No negative zero. */
    assert_int_equal(one(k, 1, (half[]){h(-1)}, (half[]){h(0)}), 0);
    /* Output: half away from zero. */
    assert_int_equal(one(k, 2, (half[]){h(2048), h(1)}, (half[]){h(1), h(1)}), h(2050));
    assert_int_equal(one(k, 2, (half[]){h(2048), h(1)}, (half[]){h(-1), h(-1)}),
                     h(-2050));
    assert_int_equal(one(k, 2, (half[]){h(4096), h(2)}, (half[]){h(1), h(1)}), h(4100));
    /* The cliff is on the sum: 32767 becomes a finite 32768, 32768 infinite, and
     * a sum that was infinite on the way stays so. */
    half far[] = {h(32752), h(15), h(1), h(-100)}, ones[] = {h(1), h(1), h(1), h(1)};
    assert_int_equal(one(k, 1, far, ones), h(32752));
    assert_int_equal(one(k, 2, far, ones), h(32768));
    assert_int_equal(one(k, 3, far, ones), 0x7c00);
    assert_int_equal(one(k, 4, far, ones), 0x7c00);
    /* The other order never reaches it. */
    half near[] = {h(-100), h(32752), h(15), h(1)};
    assert_int_equal(one(k, 4, near, ones), half_from_double_away(32668));
    /* Infinity is 65536 and NaN 98304: numbers that overflow the sum. */
    assert_int_equal(one(k, 1, (half[]){0xfc00}, (half[]){h(1)}), 0xfc00);
    assert_int_equal(one(k, 1, (half[]){0x7e00}, (half[]){h(1)}), 0x7c00);
    assert_int_equal(one(k, 1, (half[]){0x7c00}, (half[]){h(0.25)}), h(16384));
    assert_int_equal(one(k, 1, (half[]){0x7c00}, (half[]){0}), 0);
    kern_close(k);
}

static void test_bias_begins_the_sum_and_raw_sums_come_out(void **state)
{
    kern *k = open_isa(2, NULL);
    half a[2] = {h(1), h(1)}, b[1] = {h(1)};
    /* 0.3 units round to none, 0.5 units to one. */
    float bias[2] = {0.3f * 0x1p-16f, 0.5f * 0x1p-16f};
    int32_t c[2];
    kern_exact_tail tail = {.bias = bias, .bias_type = KERN_F32, .raw = true};
    kern_mat am = {a, KERN_F16, 1, 1, 0}, bm = {b, KERN_F16, 1, 1, 0};
    kern_out cm = {.p = c, .type = KERN_F32, .rs = 1};
    assert_int_equal(kern_exact_gemm(k, 1, 2, 1, 1, am, bm, cm, &tail), OK);
    assert_int_equal(c[0], 65536);
    assert_int_equal(c[1], 65537);
    bias[0] = INFINITY;
    bias[1] = -40000;
    assert_int_equal(kern_exact_gemm(k, 1, 2, 1, 1, am, bm, cm, &tail), OK);
    assert_int_equal(c[0], INT32_MAX);
    assert_int_equal(c[1], INT32_MIN);
    am.type = KERN_F32;
    assert_int_equal(kern_exact_gemm(k, 1, 2, 1, 1, am, bm, cm, &tail), E_SHAPE);
    kern_close(k);
}

static void test_chips_that_differ_have_switches(void **state)
{
    kern *k = open_isa(1, NULL);
    half a[2] = {h(32752), h(-32752)}, b[3] = {h(1), h(1), h(1)}, c[2];
    float near[2] = {7.5, -8}, over[2] = {16, -16};
    uint64_t saturated = 0;
    kern_exact_tail tail = {
        .bias = near, .bias_type = KERN_F32, .saturated = &saturated, .low_cliff = true};
    kern_mat am = {a, KERN_F16, 1, 1, 0}, bm = {b, KERN_F16, 1, 1, 0};
    kern_out cm = {.p = c, .type = KERN_F16, .rs = 1};
    assert_int_equal(kern_exact_gemm(k, 1, 2, 1, 1, am, bm, cm, &tail), OK);
    assert_int_equal(c[0], h(32752));
    assert_int_equal(c[1], 0xfc00);
    assert_int_equal(saturated, 1);
    tail.over_zero = true;
    tail.low_cliff = false;
    assert_int_equal(kern_exact_gemm(k, 1, 2, 1, 1, am, bm, cm, &tail), OK);
    assert_int_equal(c[1], h(-32768));
    tail.bias = over;
    assert_int_equal(kern_exact_gemm(k, 1, 2, 1, 1, am, bm, cm, &tail), OK);
    assert_true(c[0] == 0 && c[1] == 0 && saturated == 3);
    kern_close(k);
}

/* fp16 results for sums of every length, against one rounding of a double. */
static void test_results_round_halves_away(void **state)
{
    for (size_t i = 0; i < N_ISAS; i++) {
        kern *k = open_isa(1, isas[i]);
        if (!k) continue;
        enum { N = 4096 };
        static float bias[N];
        static half c[N];
        half zero = 0;
        for (size_t j = 0; j < N; j++) {
            int32_t s = (int32_t)(uniform(5, j) * 0x1p31);
            s >>= j % 31;
            bias[j] = (float)(s & ~0xff) * 0x1p-16f * (j & 1 ? -1.0f : 1.0f);
            if (s < 1 << 24) bias[j] = (float)s * 0x1p-16f * (j & 1 ? -1.0f : 1.0f);
        }
        kern_exact_tail tail = {.bias = bias, .bias_type = KERN_F32};
        kern_mat am = {&zero, KERN_F16, 0, 0, 0}, bm = {&zero, KERN_F16, 0, 0, 0};
        kern_out cm = {.p = c, .type = KERN_F16, .rs = 1};
        assert_int_equal(kern_exact_gemm(k, 1, N, 1, 1, am, bm, cm, &tail), OK);
        for (size_t j = 0; j < N; j++)
            assert_int_equal(c[j], half_from_double_away((double)bias[j] + 0.0));
        kern_close(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_set_gives_the_documented_sums),
        cmocka_unit_test(test_every_half_is_rounded_away),
        cmocka_unit_test(test_rules_of_the_accumulator),
        cmocka_unit_test(test_bias_begins_the_sum_and_raw_sums_come_out),
        cmocka_unit_test(test_chips_that_differ_have_switches),
        cmocka_unit_test(test_results_round_halves_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
