/* Functions of one number in `exact`, against all that is published of a chip's
 * results: the largest errors that the M6 microarchitecture study found, to all
 * their digits and at their places; single values of libane (M3 Pro) and
 * MidasMulli (M5); what ane-guide ch. 3 and ANEForge found at the ends. */
#include <math.h>
#include <stdlib.h>
#include "dev_help.h"

enum { ALL = 65536 };

typedef struct {
    kern *k;
    device *d;
} engine;

static engine open_engine(const char *uri)
{
    engine e;
    assert_ok(kern_open(1, NULL, &e.k));
    assert_ok(dev_open(uri, e.k, &e.d));
    return e;
}

static void close_engine(engine *e)
{
    dev_close(e->d);
    kern_close(e->k);
}

/* y[h] = f(h) for every fp16 number. */
static half *all_results(engine *e, const char *expr)
{
    char text[1024];
    const char *type = "tensor<fp16, [1, 64, 1, 1024]>";
    dev_surface *s[2];
    void *at;
    half *y = malloc(ALL * sizeof *y);
    snprintf(
        text, sizeof text,
        "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
        "\"3505.4.1\"}})]\n{ func main<ios18>(%s x) {\n"
        "string exact = const()[name = string(\"exact\"), val = string(\"EXACT\")];\n"
        "string tanh = const()[name = string(\"tanh\"), val = "
        "string(\"TANH_APPROXIMATION\")];\n"
        "fp16 eps = const()[name = string(\"eps\"), val = fp16(0x1.a38p-14)];\n"
        "fp16 none = const()[name = string(\"none\"), val = fp16(0)];\n"
        "%s y = %s[name = string(\"y\")];\n} -> (y); }\n",
        type, type, expr);
    dev_program *p = load(e->d, text);
    for (int i = 0; i < 2; i++) s[i] = surface(e->d, 64, 1024, 0);
    assert_ok(dev_map(s[0], &at));
    for (int i = 0; i < ALL; i++) ((half *)at)[i] = (half)i;
    assert_ok(dev_unmap(s[0]));
    assert_ok(run_and_wait(p, s, 1, s + 1, 1, NULL));
    assert_ok(dev_map(s[1], &at));
    memcpy(y, at, ALL * sizeof *y);
    assert_ok(dev_unmap(s[1]));
    dev_drop(s[0]), dev_drop(s[1]);
    dev_unload(p);
    return y;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double silu(double x)
{
    return x / (1 + exp(-x));
}
static double gelu(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2));
}
static double rsqrt(double x)
{
    return 1 / sqrt(x);
}
static double inverse(double x)
{
    return 1 / x;
}

/* The study's grid leaves out what is nearer to 0 than `from`. Places are where
 * the units of the last place are most; its numbers there, to their digits. */
typedef struct {
    const char *what, *expr;
    double (*f)(double);
    double from, to;
    double most, ulps, at; /* 0: not compared */
} published;
static const published rows[] = {
    {"sigmoid", "sigmoid(x = x)", sigmoid, -10, 10, 3.355e-3, 810.8, -9.9375},
    {"tanh", "tanh(x = x)", tanh, -10, 10, 1.613e-3, 11.0, 0},
    {"gelu", "gelu(mode = exact, x = x)", gelu, -10, 10, 6.159e-3, 0, 0},
    {"gelu, tanh", "gelu(mode = tanh, x = x)", gelu, -10, 10, 6.159e-3, 0, 0},
    {"silu", "silu(x = x)", silu, -10, 10, 1.491e-2, 0, 0},
    {"exp", "exp(x = x)", exp, -10, 10, 1.008e2, 9.1, 9.703125},
    {"log", "log(epsilon = none, x = x)", log, 9.8e-4, 1000, 6.638e-3, 91.0, 1.00390625},
    {"sqrt", "sqrt(x = x)", sqrt, 9.8e-4, 1000, 1.810e-2, 1.2, 0.002054},
    {"rsqrt", "rsqrt(epsilon = none, x = x)", rsqrt, 0.015625, 64, 8.139e-3, 2.1, 0.0332},
    {"inverse", "inverse(epsilon = eps, x = x)", inverse, 0.015625, 64, 4.375e-1, 13.5,
     0.01587},
    {"erf", "erf(x = x)", erf, -4, 4, 8.642e-4, 3.0, 0},
    {"sin", "sin(x = x)", sin, -8, 8, 6.329e-4, 0, 0},
};

/* To as many digits as are published. */
static bool same_digits(double had, double want, int digits)
{
    char a[32], b[32];
    snprintf(a, sizeof a, "%.*e", digits - 1, had);
    snprintf(b, sizeof b, "%.*e", digits - 1, want);
    return !strcmp(a, b);
}

static void largest_errors_are_the_published(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const published *r = &rows[i];
        engine e = open_engine("emu:m6,exact");
        half *y = all_results(&e, r->expr);
        double most = 0, ulps = 0, at = 0;
        for (int h = 0; h < ALL; h++) {
            double x = half_to_double((half)h);
            if (!(x >= r->from && x <= r->to) || x == 0) continue;
            double want = r->f(x), error = fabs(half_to_double(y[h]) - want);
            int e2;
            frexp(want, &e2);
            double ulp = error / ldexp(1, (e2 < -13 ? -13 : e2) - 11);
            most = fmax(most, error);
            if (ulp > ulps) at = x;
            ulps = fmax(ulps, ulp);
        }
        print_message("%s: %.3e, published %.3e; %.1f ulp at %.4g, published %.1f\n",
                      r->what, most, r->most, ulps, at, r->ulps);
        assert_true(same_digits(most, r->most, 4));
        if (r->ulps > 0) assert_true(fabs(ulps - r->ulps) < 0.051);
        if (r->at != 0) assert_true(fabs(at / r->at - 1) < 2e-4);
        free(y);
        close_engine(&e);
    }
}

/* libane: tanh(0x2E66) = 0x2E5D on M3 Pro. MidasMulli: tanh(x) sigmoid(x) on M5. */
static void single_values_are_the_published(void **state)
{
    static const struct {
        double x;
        half y;
    } midas[] = {{-2, 0xaf5a},          {-1, 0xb28f},         {-0.5, 0xb195},
                 {-0.1, 0xaa0d},        {0.1, 0x2aad},        {0.5, 0x349b},
                 {1, 0x3874},           {2, 0x3acb},          {78 / 127.0, 0x35aa},
                 {105 / 127.0, 0x3785}, {99 / 127.0, 0x371f}, {107 / 127.0, 0x37a6},
                 {76 / 127.0, 0x3584},  {.0968, 0x2a74},      {.7744, 0x3715},
                 {.8389, 0x379f}};
    engine e = open_engine("emu:m5,exact");
    half *t = all_results(&e, "tanh(x = x)"), *s = all_results(&e, "sigmoid(x = x)");
    assert_int_equal(t[0x2e66], 0x2e5d);
    for (size_t i = 0; i < sizeof midas / sizeof *midas; i++) {
        half x = half_from_double(midas[i].x);
        double product = half_to_double(t[x]) * half_to_double(s[x]);
        assert_int_equal(half_from_double_away(product), midas[i].y);
    }
    free(t), free(s);
    close_engine(&e);
}

static void check_ends(engine *e, const char *expr, const double (*at)[2], size_t n)
{
    half *y = all_results(e, expr);
    for (size_t i = 0; i < n; i++) {
        double had = half_to_double(y[half_from_double(at[i][0])]);
        if (had != at[i][1] || (had == 0 && signbit(had)))
            fail_msg("%s at %g: had %g, wanted %g", expr, at[i][0], had, at[i][1]);
    }
    free(y);
}
#define ENDS(expr, ...)                                    \
    check_ends(&e, expr, (const double[][2]){__VA_ARGS__}, \
               sizeof((const double[][2]){__VA_ARGS__}) / sizeof(double[2]))

/* M1 (ane-guide ch. 3): NaN is read as infinity, what has no value is 0, no zero
 * is negative; log(0); the first infinity of exp. gelu(0): ANEForge. */
static void ends_are_the_published(void **state)
{
    engine e = open_engine("emu:m4,exact");
    const double inf = INFINITY, nan = NAN;
    ENDS("relu(x = x)", {nan, inf}, {-inf, 0}, {-1, 0});
    ENDS("sigmoid(x = x)", {nan, 1}, {inf, 1}, {-inf, 0});
    ENDS("tanh(x = x)", {nan, 1}, {-inf, -1});
    ENDS("erf(x = x)", {nan, 1}, {-inf, -1});
    ENDS("exp(x = x)", {nan, inf}, {-inf, 0}, {11.1015625, inf});
    ENDS("sqrt(x = x)", {-1, 0}, {-0.0, 0}, {inf, inf}, {4, 2});
    ENDS("rsqrt(epsilon = none, x = x)", {-1, 0}, {0, inf}, {-0.0, inf}, {4, 0.5});
    ENDS("inverse(epsilon = none, x = x)", {0, inf}, {-0.0, inf}, {inf, 0}, {2, 0.5});
    ENDS("inverse(epsilon = none, x = x)", {-inf, 0}, {-2, -0.5}, {-1.5, -0.66650390625});
    ENDS("log(epsilon = none, x = x)", {-1, 0}, {0, -45440}, {inf, 0}, {1, 0});
    ENDS("gelu(mode = exact, x = x)", {0, -0x1.8b4p-11}, {-inf, 0}, {nan, inf});
    ENDS("cos(x = x)", {inf, 0}, {0, 1});
    ENDS("square(x = x)", {256, inf}, {-0.0, 0});
    close_engine(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_errors_are_the_published),
        cmocka_unit_test(single_values_are_the_published),
        cmocka_unit_test(ends_are_the_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
