/* emu_counts_test.c - what `exact,count` says of each product of a program is what
 * looking at every pair of numbers says: products of two that are not zero, those
 * dropped, sums that overflowed. */
#include <math.h>
#include <stdlib.h>
#include "dev_help.h"

/* ---- the engine ---- */
typedef struct {
    kern *k;
    device *d;
    dev_program *p;
    dev_ports ports;
    dev_surface *s[8]; /* inputs, then outputs */
} engine;

static engine open_engine(const char *uri, const char *text)
{
    engine e = {0};
    assert_ok(kern_open(2, NULL, &e.k));
    assert_ok(dev_open(uri, e.k, &e.d));
    e.p = load(e.d, text);
    assert_ok(dev_ports_of(e.p, &e.ports));
    for (int i = 0; i < e.ports.n_in; i++) e.s[i] = surface_of(e.d, &e.ports.in[i].type);
    for (int i = 0; i < e.ports.n_out; i++)
        e.s[e.ports.n_in + i] = surface_of(e.d, &e.ports.out[i].type);
    return e;
}

static void close_engine(engine *e)
{
    for (int i = 0; i < e->ports.n_in + e->ports.n_out; i++) dev_drop(e->s[i]);
    dev_unload(e->p);
    dev_close(e->d);
    kern_close(e->k);
}

static void give(engine *e, int input, const double *v)
{
    put_values(e->s[input], MIL_FP16, v, (size_t)mil_count(&e->ports.in[input].type));
}

static dev_stats go(engine *e)
{
    dev_stats stats;
    int n = e->ports.n_in;
    assert_ok(run_and_wait(e->p, e->s, n, e->s + n, e->ports.n_out, &stats));
    return stats;
}

static dev_product product(engine *e, const char *name)
{
    dev_counts c;
    assert_ok(dev_counts_of(e->p, &c));
    for (int i = 0; i < c.n; i++)
        if (!strcmp(c.product[i].name, name)) return c.product[i];
    fail_msg("no product '%s'", name);
    return (dev_product){0};
}

static void check(engine *e, const char *name, const char *op, const dev_product *want)
{
    dev_product had = product(e, name);
    assert_string_equal(had.op, op);
    if (had.products != want->products || had.dropped != want->dropped ||
        had.saturated != want->saturated)
        fail_msg(
            "%s: had %llu products, %llu dropped, %llu over; wanted %llu, %llu, %llu",
            name, (unsigned long long)had.products, (unsigned long long)had.dropped,
            (unsigned long long)had.saturated, (unsigned long long)want->products,
            (unsigned long long)want->dropped, (unsigned long long)want->saturated);
}

/* ---- every pair, one after another (kern/exact.h) ---- */
static int exponent(double v)
{
    int e;
    frexp(v, &e);
    return e - 1 < -14 ? -14 : e - 1;
}

typedef struct {
    int64_t sum;
    bool over;
} accumulator;

static void add(accumulator *a, dev_product *c, double x, double y)
{
    if (x == 0 || y == 0) return;
    bool dropped = exponent(x) + exponent(y) <= -17;
    c->products++;
    c->dropped += dropped;
    if (!dropped) a->sum += llround(ldexp(x * y, 16));
    a->over |= llabs(a->sum) >= (int64_t)1 << 31;
}

/* Numbers of all sizes, zeros and subnormals among them. */
static double some(int i)
{
    static const double sizes[] = {0,         1,        -0.5,     0x1p-8,  0x1.8p-9,
                                   -0x1p-10,  0x1p-15,  -0x1p-24, 200,     -0x1.4p-7,
                                   0x1.ffcp7, 0x1p-11,  0,        -0x1p-6, 0x1.04p-8,
                                   65504,     0x1.8p-14};
    return sizes[(unsigned)(i * i * 7 + i * 11 + i / 5) % COUNT_OF(sizes)];
}

#define XYS                           \
    "tensor<fp16, [1, 2, 6, 16]> x, " \
    "tensor<fp16, [1, 2, 16, 32]> y"

static const char products_text[] = PROGRAM(
    XYS,
    CONST("bool", "no", "false") CONST("bool", "yes", "true")
        CONST("fp16", "small", "0x1p-2")
            LET("tensor<fp16, [1, 2, 6, 32]>", "a",
                "matmul(transpose_x = no, transpose_y = no, x = x, y = y)")
                LET("tensor<fp16, [1, 2, 6, 16]>", "z", "mul(x = x, y = small)")
                    LET("tensor<fp16, [1, 2, 32, 6]>", "b",
                        "matmul(transpose_x = yes, transpose_y = yes, x = y, y = z)")
                        LET("tensor<fp16, [1, 2, 6, 6]>", "c",
                            "matmul(transpose_x = no, transpose_y = yes, x = z, y = x)"),
    "a, b, c");

static void fill(double *v, int n, int from)
{
    for (int i = 0; i < n; i++) v[i] = some(i + from);
}

/* z of the program, in its own arithmetic. */
static double quarter(double x)
{
    return half_to_double(half_from_double_away(x / 4));
}

static void products_of_matrices_are_counted_one_by_one(void **state)
{
    double x[192], y[1024];
    dev_product a = {0}, b = {0}, c = {0};
    engine e = open_engine("emu:m4,exact,count", products_text);
    fill(x, 192, 3), fill(y, 1024, 40);
    give(&e, 0, x), give(&e, 1, y);
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < 6; i++) {
            for (int j = 0; j < 32; j++) {
                accumulator one = {0}, two = {0};
                for (int k = 0; k < 16; k++) {
                    double u = x[(n * 6 + i) * 16 + k], v = y[(n * 16 + k) * 32 + j];
                    add(&one, &a, u, v);
                    add(&two, &b, quarter(u), v);
                }
                a.saturated += one.over, b.saturated += two.over;
            }
            for (int j = 0; j < 6; j++) {
                accumulator one = {0};
                for (int k = 0; k < 16; k++)
                    add(&one, &c, quarter(x[(n * 6 + i) * 16 + k]),
                        x[(n * 6 + j) * 16 + k]);
                c.saturated += one.over;
            }
        }
    assert_true(a.dropped && a.saturated && a.dropped < a.products);
    dev_stats s = go(&e);
    check(&e, "a", "matmul", &a);
    check(&e, "b", "matmul", &b);
    check(&e, "c", "matmul", &c);
    assert_int_equal(s.dropped_products, a.dropped + b.dropped + c.dropped);
    assert_int_equal(s.saturated, a.saturated + b.saturated + c.saturated);
    close_engine(&e);
}

static void runs_of_a_program_add_up(void **state)
{
    double x[192], y[1024];
    dev_counts once, thrice;
    engine e = open_engine("emu:m4,exact,count", products_text);
    fill(x, 192, 3), fill(y, 1024, 40);
    give(&e, 0, x), give(&e, 1, y);
    assert_ok(dev_counts_of(e.p, &once));
    assert_true(once.runs == 0 && once.n == 3 && once.product[0].products == 0);
    dev_stats s = go(&e);
    assert_ok(dev_counts_of(e.p, &once));
    uint64_t products = once.product[1].products;
    go(&e), go(&e);
    assert_ok(dev_counts_of(e.p, &thrice));
    assert_true(products > 0 && s.flushed > 0 && s.infinities > 0);
    assert_int_equal(thrice.runs, 3);
    assert_int_equal(thrice.flushed, 3 * s.flushed);
    assert_int_equal(thrice.infinities, 3 * s.infinities);
    assert_int_equal(thrice.product[1].products, 3 * products);
    close_engine(&e);
}

/* ---- convolutions: x [2,4,5,7], w [6,4/g,3,3], padded by 1 ---- */
enum { N = 2, CH = 4, H = 5, W = 7, OUTS = 6, K = 3 };

static double weight(int i)
{
    static const double sizes[] = {1, 0, -0x1p-9, 3, 0x1p-12, -2, 0};
    return sizes[(unsigned)(i * i + i / 3) % COUNT_OF(sizes)];
}

static double pixel(const double *x, int n, int ch, int y, int z)
{
    bool in = y >= 0 && y < H && z >= 0 && z < W;
    return in ? x[((n * CH + ch) * H + y) * W + z] : 0;
}

static char *conv_text(int groups, bool bias)
{
    str t = {0};
    int per = CH / groups;
    str_addf(&t,
             "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
             "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [2, 4, 5, 7]> x) {\n"
             "tensor<fp16, [6, %d, 3, 3]> w = const()[name = string(\"w\"), val = "
             "tensor<fp16, [6, %d, 3, 3]>([",
             per, per);
    for (int i = 0; i < OUTS * per * K * K; i++)
        str_addf(&t, "%s%a", i ? ", " : "", weight(i));
    str_addf(&t,
             "])];\n"
             "tensor<fp16, [6]> b = const()[name = string(\"b\"), val = tensor<fp16, [6]>"
             "([0, 1, 0, 1, 0, 1])];\n"
             "tensor<int32, [2]> one = const()[name = string(\"one\"), val = "
             "tensor<int32, [2]>([1, 1])];\n"
             "tensor<int32, [4]> pa = const()[name = string(\"pa\"), val = "
             "tensor<int32, [4]>([1, 1, 1, 1])];\n"
             "int32 g = const()[name = string(\"g\"), val = int32(%d)];\n"
             "string kind = const()[name = string(\"kind\"), val = string(\"custom\")];\n"
             "tensor<fp16, [2, 6, 5, 7]> y = conv(%sdilations = one, groups = g, pad = "
             "pa, pad_type = kind, strides = one, weight = w, x = x)[name = "
             "string(\"y\")];\n} -> (y); }\n",
             groups, bias ? "bias = b, " : "");
    return t.p;
}

static dev_product directly(const double *x, int groups)
{
    dev_product c = {0};
    int per = CH / groups, outs = OUTS / groups;
    accumulator a = {0}; /* no sum of these is near 2^15 */
    for (int at = 0; at < N * OUTS * H * W; at++) {
        int z = at % W, y = at / W % H, o = at / W / H % OUTS, n = at / W / H / OUTS;
        for (int k = 0; k < per * K * K; k++)
            add(&a, &c, weight(o * per * K * K + k),
                pixel(x, n, o / outs * per + k / (K * K), y + k / K % K - 1,
                      z + k % K - 1));
    }
    return c;
}

/* F(2,3) along the width: four sums of three rows for each pair of results
 * (winograd.c). */
static dev_product by_winograd(const double *x)
{
    dev_product c = {0};
    accumulator a = {0};
    for (int at = 0; at < N * OUTS * H * ((W + 1) / 2); at++) {
        int pair = at % ((W + 1) / 2), y = at / ((W + 1) / 2) % H;
        int o = at / ((W + 1) / 2) / H % OUTS, n = at / ((W + 1) / 2) / H / OUTS;
        for (int k = 0; k < CH * K; k++) {
            double d[4], g[3];
            for (int i = 0; i < 4; i++)
                d[i] = pixel(x, n, k / K, y + k % K - 1, 2 * pair + i - 1);
            for (int i = 0; i < 3; i++) g[i] = weight((o * CH * K + k) * K + i);
            double v[4] = {d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]};
            double u[4] = {g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2,
                           g[2]};
            for (int i = 0; i < 4; i++)
                add(&a, &c, half_to_double(half_from_double_away(u[i])),
                    half_to_double(half_from_double_away(v[i])));
        }
    }
    return c;
}

static void check_conv(const char *uri, int groups, bool bias, const double *x,
                       dev_product want)
{
    char *text = conv_text(groups, bias);
    engine e = open_engine(uri, text);
    give(&e, 0, x);
    go(&e);
    assert_true(want.dropped > 0 && want.dropped < want.products);
    check(&e, "y", "conv", &want);
    close_engine(&e);
    mem_drop(text);
}

static void products_of_convolutions_are_those_the_engine_makes(void **state)
{
    static const double sizes[] = {1, -0x1p-6, 0, 0x1p-3, 2, -0x1p-8, 0x3p-7};
    double x[N * CH * H * W];
    for (int i = 0; i < N * CH * H * W; i++)
        x[i] = sizes[(unsigned)(i * 5 + i / 7) % COUNT_OF(sizes)];
    for (int bias = 0; bias < 2; bias++) {
        check_conv("emu:m4,exact,count", 1, bias, x, directly(x, 1));
        check_conv("emu:m4,exact,count", 2, bias, x, directly(x, 2));
        check_conv("emu:m6,exact,count", 2, bias, x, directly(x, 2));
        check_conv("emu:m6,exact,count", 1, bias, x, by_winograd(x));
    }
}

/* ---- int8: whole sums, nothing is dropped ---- */
static void products_of_int8_are_counted_and_none_is_dropped(void **state)
{
    static const int w[2][8] = {{1, 0, 3, -4, 0, 6, 7, 8}, {0, 0, 1, 1, 2, 2, 3, 0}};
    str t = {0};
    double x[8 * 32];
    dev_product want = {0};
    str_add(&t, "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
                "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 8, 1, 32]> x) {\n"
                "fp16 sx = const()[name = string(\"sx\"), val = fp16(0x1p-3)];\n"
                "string t8 = const()[name = string(\"t8\"), val = string(\"int8\")];\n"
                "string kind = const()[name = string(\"kind\"), val = "
                "string(\"valid\")];\n"
                "tensor<int8, [1, 8, 1, 32]> q = quantize(input = x, output_dtype = t8, "
                "scale = sx)[name = string(\"q\")];\n"
                "tensor<fp16, [1, 8, 1, 32]> d = dequantize(input = q, scale = sx)[name "
                "= string(\"d\")];\n"
                "tensor<fp16, [2, 8, 1, 1]> w = constexpr_affine_dequantize()[axis = "
                "int32(0), name = string(\"w\"), quantized_data = tensor<int8, [2, 8, 1, "
                "1]>([");
    for (int i = 0; i < 16; i++) str_addf(&t, "%s%d", i ? ", " : "", w[i / 8][i % 8]);
    str_add(&t, "]), scale = fp16(0x1p-3), zero_point = int8(0)];\n"
                "tensor<fp16, [1, 2, 1, 32]> y = conv(pad_type = kind, weight = w, x = "
                "d)[name = string(\"y\")];\n} -> (y); }\n");
    for (int i = 0; i < 256; i++) x[i] = i % 5 % 3 * 0.125;
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < 256; i++) want.products += w[o][i / 32] != 0 && x[i] != 0;
    engine e = open_engine("emu:m6,exact,count", t.p);
    give(&e, 0, x);
    go(&e);
    check(&e, "y", "conv", &want);
    close_engine(&e);
    str_free(&t);
}

/* ---- where there are none ---- */
static void devices_that_do_not_count_say_so(void **state)
{
    static const char *const uris[] = {"emu:m4", "emu:m4,wide", "emu:m4,exact",
                                       "emu:m4,wide,count", "null:m4"};
    for (size_t i = 0; i < COUNT_OF(uris); i++) {
        dev_counts c;
        dev_caps caps;
        engine e = open_engine(uris[i], products_text);
        assert_ok(dev_caps_of(e.d, &caps));
        assert_false(caps.counts);
        go(&e);
        assert_fails(dev_counts_of(e.p, &c), E_UNIMPL, "does not count products");
        assert_int_equal(c.n, 0);
        close_engine(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_matrices_are_counted_one_by_one),
        cmocka_unit_test(runs_of_a_program_add_up),
        cmocka_unit_test(products_of_convolutions_are_those_the_engine_makes),
        cmocka_unit_test(products_of_int8_are_counted_and_none_is_dropped),
        cmocka_unit_test(devices_that_do_not_count_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
