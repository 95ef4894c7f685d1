/* Elementwise kernels against the C library in double, on every instruction
 * set: error in units in the last place, special values, lengths and steps. */
#include <float.h>
#include "test.h"
#include "kern_help.h"

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double silu(double x)
{
    return x == -INFINITY ? -0.0 : x / (1 + exp(-x));
}
static double gelu(double x)
{
    if (x == -INFINITY) return -0.0;
    return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static double rsqrt_(double x)
{
    return 1 / sqrt(x);
}
static double inverse(double x)
{
    return 1 / x;
}
static double relu(double x)
{
    return x > 0 || isnan(x) ? x : 0;
}
static double square(double x)
{
    return x * x;
}
static double negative(double x)
{
    return -x;
}
static double same(double x)
{
    return x;
}
static double sign(double x)
{
    return x > 0 ? 1 : x < 0 ? -1 : x;
}

/* Allowed error in units in the last place of fp32: the 4 that kern.h states,
 * or what IEEE arithmetic of one or two operations gives. */
static const struct {
    const char *name;
    kern_unary_op op;
    double (*want)(double);
    double ulp;
} unary[] = {
    {"neg", KERN_U_NEG, negative, 0},
    {"abs", KERN_U_ABS, fabs, 0},
    {"exp", KERN_U_EXP, exp, 4},
    {"log", KERN_U_LOG, log, 4},
    {"sqrt", KERN_U_SQRT, sqrt, 0.5},
    {"rsqrt", KERN_U_RSQRT, rsqrt_, 1.5},
    {"inverse", KERN_U_INVERSE, inverse, 0.5},
    {"tanh", KERN_U_TANH, tanh, 4},
    {"sigmoid", KERN_U_SIGMOID, sigmoid, 4},
    {"relu", KERN_U_RELU, relu, 0},
    {"silu", KERN_U_SILU, silu, 4},
    {"gelu", KERN_U_GELU_TANH, gelu, 4},
    {"square", KERN_U_SQUARE, square, 0.5},
    {"erf", KERN_U_ERF, erf, 4},
    {"sin", KERN_U_SIN, sin, 4},
    {"cos", KERN_U_COS, cos, 4},
    {"floor", KERN_U_FLOOR, floor, 0},
    {"ceil", KERN_U_CEIL, ceil, 0},
    {"round", KERN_U_ROUND, round, 0},
    {"sign", KERN_U_SIGN, sign, 0},
    {"copy", KERN_U_COPY, same, 0},
};
_Static_assert(COUNT_OF(unary) == KERN_UNARY_COUNT, "an operation has no case");

/* A unit in the last place of fp32 at v; at least that of 2^-119: products
 * with a subnormal (silu far left) keep its absolute error. */
static double ulp_at(double v)
{
    int e;
    frexp(v, &e);
    return ldexp(1, (e < -118 ? -118 : e) - 24);
}

static double ulps(double had, double want)
{
    if (isnan(want)) return isnan(had) ? 0 : INFINITY;
    if (fabs(want) > FLT_MAX) want = copysign(ldexp(1, 128), want);
    if (isinf(had)) had = copysign(ldexp(1, 128), had);
    return fabs(had - want) / ulp_at(want);
}

enum { POINTS = 60000 };

static const float edges[] = {
    0,
    -0.0f,
    1,
    -1,
    0.5f,
    -0.5f,
    1.5f,
    -1.5f,
    2.5f,
    -2.5f,
    0.49999997f,
    -0.49999997f,
    8388609,
    -8388609,
    INFINITY,
    -INFINITY,
    NAN,
    FLT_MAX,
    -FLT_MAX,
    FLT_MIN,
    -FLT_MIN,
    FLT_TRUE_MIN,
    -FLT_TRUE_MIN,
    1e-40f,
    88.7228f,
    88.8f,
    89,
    -87.3365f,
    -103.2f,
    -103.98f,
    -104.5f,
    -150,
    0.6f,
    0.59999996f,
    16,
    -16,
    -16.000002f,
    32768,
    40000,
    -1e10f,
    1e30f,
    3.1415927f,
    1.5707964f,
    4,
    3.9999998f,
    0.99999994f,
    1.0000001f,
    1.3333334f,
    0.6666667f,
};

/* Edges, then every magnitude, then the middle range that matters most. */
static void points(float *x)
{
    size_t n = COUNT_OF(edges);
    memcpy(x, edges, sizeof edges);
    for (size_t i = n; i < POINTS; i++) {
        double u = uniform(20, i), v = uniform(21, i);
        double mag = i % 2 ? exp2(-149 + 276.9 * u) : 110 * u * u;
        x[i] = (float)(v < 0.5 ? -mag : mag);
    }
}

static void errors_are_within_their_bounds(void **state)
{
    (void)state;
    float *x = malloc(POINTS * 4), *z = malloc(POINTS * 4);
    points(x);
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (size_t op = 0; op < COUNT_OF(unary); op++) {
            double worst = 0;
            kern_unary(k, unary[op].op, KERN_F32, POINTS, x, z);
            for (size_t i = 0; i < POINTS; i++) {
                double want = unary[op].want((double)x[i]), err = ulps(z[i], want);
                if (err > worst) worst = err;
                if (!(err <= unary[op].ulp))
                    fail_msg("%s %s(%.9g): wanted %.9g, had %.9g, %.2f ulp", isas[v],
                             unary[op].name, x[i], want, z[i], err);
                if (want == 0 && fabsf(x[i]) < 1e30f) /* a zero has its sign */
                    assert_int_equal(!signbit(z[i]), !signbit(want));
            }
            if (unary[op].ulp > 2)
                print_message("%-7s %-8s worst %.2f ulp\n", isas[v], unary[op].name,
                              worst);
        }
        kern_close(k);
    }
    free(x);
    free(z);
}

static void every_half_is_rounded_once_from_fp32(void **state)
{
    (void)state;
    enum { ALL = 65536 };
    half *x = malloc(ALL * 2), *z = malloc(ALL * 2);
    float *x32 = malloc(ALL * 4), *z32 = malloc(ALL * 4);
    for (size_t i = 0; i < ALL; i++) x[i] = (half)i;
    half_to_floats(x, x32, ALL);
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (size_t op = 0; op < COUNT_OF(unary); op++) {
            kern_unary(k, unary[op].op, KERN_F16, ALL, x, z);
            kern_unary(k, unary[op].op, KERN_F32, ALL, x32, z32);
            for (size_t i = 0; i < ALL; i++) {
                if (isnan(z32[i])) assert_true(isnan(half_to_float(z[i])));
                else assert_int_equal(z[i], half_from_float(z32[i]));
            }
        }
        kern_close(k);
    }
    free(x);
    free(z);
    free(x32);
    free(z32);
}

static double apply(kern_binary_op op, double x, double y)
{
    switch (op) {
    case KERN_ADD:
        return x + y;
    case KERN_SUB:
        return x - y;
    case KERN_MUL:
        return x * y;
    case KERN_DIV:
        return x / y;
    case KERN_MAX2:
        return isnan(x) || isnan(y) ? NAN : x > y ? x : y;
    case KERN_MIN2:
        return isnan(x) || isnan(y) ? NAN : x < y ? x : y;
    case KERN_POW:
        return pow(x, y);
    default:
        return NAN;
    }
}

static void binary_operations_agree_with_c(void **state)
{
    (void)state;
    enum { N = 40000 };
    size_t e = COUNT_OF(edges);
    float *x = malloc(N * 4), *y = malloc(N * 4), *z = malloc(N * 4);
    for (size_t i = 0; i < N; i++) {
        double u = uniform(30, i), v = uniform(31, i), w = uniform(32, i);
        x[i] = (float)(exp2(-149 + 277 * u) * (w < 0.3 ? -1 : 1));
        y[i] = (float)(i % 3 ? 40 * (v - 0.5) : floor(20 * (v - 0.5)));
        if (i % 5 == 0) x[i] = (float)(1 + (u - 0.5) * 0.01), y[i] *= 400;
        if (i % 7 == 0) x[i] = (float)(10 * u);
        if (i < e * e) x[i] = edges[i / e], y[i] = edges[i % e];
    }
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (int op = 0; op < KERN_BINARY_COUNT; op++) {
            kern_binary(k, op, KERN_F32, N, x, 1, y, 1, z);
            double worst = 0, allowed = op == KERN_POW ? 4 : 0.5;
            for (size_t i = 0; i < N; i++) {
                double want = apply(op, (double)x[i], (double)y[i]),
                       err = ulps(z[i], want);
                if (err > worst) worst = err;
                if (!(err <= allowed))
                    fail_msg("%s op %d (%.9g, %.9g): wanted %.9g, had %.9g, %.2f ulp",
                             isas[v], op, x[i], y[i], want, z[i], err);
            }
            if (op == KERN_POW)
                print_message("%-7s pow      worst %.2f ulp\n", isas[v], worst);
        }
        kern_close(k);
    }
    free(x);
    free(y);
    free(z);
}

static void any_length_and_step_stays_inside(void **state)
{
    (void)state;
    enum { MAX = 70 };
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (int t = KERN_F16; t <= KERN_F32; t++)
            for (size_t n = 0; n < MAX; n++)
                for (int steps = 0; steps < 4; steps++) {
                    float x[MAX], y[MAX], z[MAX + 1];
                    fill_random(t, MAX, x, n, -2, 2);
                    fill_random(t, MAX, y, n + 99, -2, 2);
                    memset(z, 0x77, sizeof z);
                    kern_binary(k, KERN_SUB, t, n, x, steps & 1, y, steps >> 1, z);
                    for (size_t i = 0; i < n; i++) {
                        double a = load_value(t, x, steps & 1 ? i : 0);
                        double b = load_value(t, y, steps >> 1 ? i : 0);
                        float want = 0;
                        store_value(t, &want, 0, a - b);
                        assert_true(load_value(t, z, i) == load_value(t, &want, 0));
                    }
                    assert_int_equal(((uint8_t *)z)[n * kern_size(t)], 0x77);
                    /* In place. */
                    kern_binary(k, KERN_SUB, t, n, x, 1, y, steps >> 1, x);
                    if (steps & 1 && n) assert_memory_equal(x, z, n * kern_size(t));
                }
        kern_close(k);
    }
}

static void select_takes_x_where_the_byte_is_set(void **state)
{
    (void)state;
    enum { MAX = 50 };
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (int t = KERN_F16; t <= KERN_F32; t++)
            for (size_t n = 0; n < MAX; n++)
                for (int steps = 0; steps < 8; steps++) {
                    int sc = steps & 1, sx = steps >> 1 & 1, sy = steps >> 2;
                    uint8_t c[MAX];
                    float x[MAX], y[MAX], z[MAX + 1];
                    fill_random(t, MAX, x, n, 1, 2);
                    fill_random(t, MAX, y, n, 3, 4);
                    for (size_t i = 0; i < MAX; i++) c[i] = uniform(5, i + n) < 0.5;
                    memset(z, 0x77, sizeof z);
                    kern_select(k, t, n, c, sc, x, sx, y, sy, z);
                    for (size_t i = 0; i < n; i++) {
                        double want = c[sc ? i : 0] ? load_value(t, x, sx ? i : 0)
                                                    : load_value(t, y, sy ? i : 0);
                        assert_true(load_value(t, z, i) == want);
                    }
                    assert_int_equal(((uint8_t *)z)[n * kern_size(t)], 0x77);
                }
        kern_close(k);
    }
}

static void conversion_gives_the_bits_of_the_scalar_twin(void **state)
{
    (void)state;
    enum { N = 65536 };
    half *h = malloc(N * 2), *back = malloc(N * 2);
    float *f = malloc(N * 4);
    for (size_t i = 0; i < N; i++) h[i] = (half)i;
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        kern_convert(k, KERN_F16, KERN_F32, N, h, f);
        kern_convert(k, KERN_F32, KERN_F16, N, f, back);
        for (size_t i = 0; i < N; i++) {
            float want = half_to_float(h[i]);
            if (isnan(want)) assert_true(isnan(f[i]) && isnan(half_to_float(back[i])));
            else assert_true(f[i] == want && back[i] == h[i]);
        }
        kern_convert(k, KERN_F16, KERN_F16, N, h, back);
        assert_memory_equal(h, back, N * 2);
        kern_close(k);
    }
    free(h);
    free(back);
    free(f);
}

static void bad_numbers_are_counted(void **state)
{
    (void)state;
    enum { N = 77 };
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(2, isas[v]);
        if (!k) continue;
        float x[N];
        half h[N];
        kern_fill(KERN_F32, N, 65504, x);
        kern_fill(KERN_F16, N, -65504, h);
        assert_int_equal(kern_count_bad(k, KERN_F32, N, x), 0);
        assert_int_equal(kern_count_bad(k, KERN_F16, N, h), 0);
        assert_true(kern_all_finite(k, N, x));
        x[3] = NAN, x[40] = INFINITY, x[76] = -INFINITY;
        h[0] = HALF_INF, h[76] = 0x7e00;
        assert_int_equal(kern_count_bad(k, KERN_F32, N, x), 3);
        assert_int_equal(kern_count_bad(k, KERN_F16, N, h), 2);
        assert_int_equal(kern_count_bad(k, KERN_F32, 76, x), 2);
        assert_int_equal(kern_count_bad(k, KERN_F32, 0, x), 0);
        assert_false(kern_all_finite(k, N, x));
        assert_false(kern_all_finite(k, 4, x));
        assert_true(kern_all_finite(k, 3, x));
        assert_true(kern_all_finite(k, 0, x));
        kern_close(k);
    }
}

static void transpose_moves_every_element(void **state)
{
    (void)state;
    static const size_t dims[][2] = {{0, 3},   {3, 0},   {1, 1},   {1, 40}, {40, 1},
                                     {16, 16}, {17, 33}, {64, 48}, {50, 70}};
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (size_t d = 0; d < COUNT_OF(dims); d++)
            for (size_t size = 1; size <= 4; size *= 2) {
                size_t rows = dims[d][0], cols = dims[d][1], xs = cols + 3, zs = rows + 2;
                uint8_t *x = malloc((rows * xs + 1) * size),
                        *z = malloc((cols * zs + 1) * size);
                for (size_t i = 0; i < rows * xs * size; i++)
                    x[i] = (uint8_t)(i * 7 + i / 251);
                memset(z, 0x99, (cols * zs + 1) * size);
                kern_transpose(k, size, rows, cols, x, xs, z, zs);
                for (size_t i = 0; i < rows; i++)
                    for (size_t j = 0; j < cols; j++)
                        assert_memory_equal(z + (j * zs + i) * size,
                                            x + (i * xs + j) * size, size);
                for (size_t j = 0; j < cols; j++) /* the gap is left alone */
                    assert_int_equal(z[(j * zs + rows) * size], 0x99);
                free(x);
                free(z);
            }
        kern_close(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_within_their_bounds),
        cmocka_unit_test(every_half_is_rounded_once_from_fp32),
        cmocka_unit_test(binary_operations_agree_with_c),
        cmocka_unit_test(any_length_and_step_stays_inside),
        cmocka_unit_test(select_takes_x_where_the_byte_is_set),
        cmocka_unit_test(conversion_gives_the_bits_of_the_scalar_twin),
        cmocka_unit_test(bad_numbers_are_counted),
        cmocka_unit_test(transpose_moves_every_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
