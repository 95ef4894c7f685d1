/* `exact` as programs see it: what is counted, convolutions of every form, Winograd's
 * against the direct sums where both are exact. */
#include <math.h>
#include <stdlib.h>
#include "dev_help.h"

typedef struct {
    kern *k;
    device *d;
} engine;

static engine open_engine(const char *uri)
{
    engine e;
    assert_ok(kern_open(2, NULL, &e.k));
    assert_ok(dev_open(uri, e.k, &e.d));
    return e;
}

static void close_engine(engine *e)
{
    dev_close(e->d);
    kern_close(e->k);
}

/* Runs a program of one input and one output. */
static dev_stats run_one(const char *uri, const char *text, const double *x, double *y)
{
    engine e = open_engine(uri);
    dev_program *p = load(e.d, text);
    dev_ports ports;
    dev_stats stats;
    assert_ok(dev_ports_of(p, &ports));
    dev_surface *s[2] = {surface_of(e.d, &ports.in[0].type),
                         surface_of(e.d, &ports.out[0].type)};
    put_values(s[0], MIL_FP16, x, (size_t)mil_count(&ports.in[0].type));
    assert_ok(run_and_wait(p, s, 1, s + 1, 1, &stats));
    get_values(s[1], MIL_FP16, y, (size_t)mil_count(&ports.out[0].type));
    dev_drop(s[0]), dev_drop(s[1]);
    dev_unload(p);
    close_engine(&e);
    return stats;
}

static void what_is_lost_is_counted_when_asked(void **state)
{
    double x[128], y[128];
    const char *text = PROGRAM(ROW32 " x",
                               CONST("fp16", "tiny", "0x1p-14")
                                   LET(ROW32, "small", "mul(x = x, y = tiny)")
                                       LET(ROW32, "y", "mul(x = small, y = tiny)"),
                               "y");
    for (int i = 0; i < 128; i++) x[i] = i % 2 ? 0.25 : 32;
    dev_stats s = run_one("emu:m4,exact,count", text, x, y);
    assert_true(s.exact && s.counted);
    assert_int_equal(s.flushed, 64); /* 2^-30; 2^-23 is a subnormal */
    assert_true(y[0] == 0x1p-23 && y[1] == 0);
    s = run_one("emu:m4,exact", text, x, y);
    assert_true(s.exact && !s.counted);
    assert_int_equal(s.flushed, 0);
    s = run_one("emu:m4", text, x, y);
    assert_true(!s.exact && !s.counted);
}

static double one_product(const char *uri, double first, double second)
{
    double x[64], y[1024];
    const char *text = PROGRAM(
        "tensor<fp16, [1, 1, 2, 32]> x",
        CONST("bool", "no", "false") CONST("bool", "yes", "true")
            LET("tensor<fp16, [1, 1, 32, 32]>", "y",
                "matmul(transpose_x = yes, transpose_y = no, x = x, y = x)"),
        "y");
    for (int i = 0; i < 64; i++) x[i] = i < 32 ? first : second;
    run_one(uri, text, x, y);
    return y[0];
}

static void reported_differences_of_chips_are_switches(void **state)
{
    assert_true(isinf(one_product("emu:m4,exact", 128, 128)));
    assert_true(one_product("emu:m3ultra,exact", 128, 128) == 0);
    assert_true(isinf(one_product("emu:m3pro,exact", 128, 128)));
    /* 180^2 + 19^2 = 32761 rounds to 32768 */
    assert_true(one_product("emu:m4,exact", 180, 19) == 32768);
    assert_true(isinf(one_product("emu:m4,exact,rules=all", 180, 19)));
}

/* ---- convolutions ---- */
typedef struct {
    int n, ch, h, w, outs, groups, kh, kw, stride[2], dilation[2], pad[4];
    bool bias;
} conv;

static int extent(int in, int pad, int k, int stride, int dilation)
{
    return (in + pad - dilation * (k - 1) - 1) / stride + 1;
}

static int out_h(const conv *c)
{
    return extent(c->h, c->pad[0] + c->pad[1], c->kh, c->stride[0], c->dilation[0]);
}

static int out_w(const conv *c)
{
    return extent(c->w, c->pad[2] + c->pad[3], c->kw, c->stride[1], c->dilation[1]);
}

static double weight_at(int i)
{
    return (i * 7 + i / 5) % 9 - 4;
}

static char *conv_text(const conv *c)
{
    str t = {0};
    int k = c->ch / c->groups * c->kh * c->kw;
    str_addf(&t,
             "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
             "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [%d, %d, %d, %d]> x) {\n"
             "tensor<fp16, [%d, %d, %d, %d]> w = const()[name = string(\"w\"), val = "
             "tensor<fp16, [%d, %d, %d, %d]>([",
             c->n, c->ch, c->h, c->w, c->outs, c->ch / c->groups, c->kh, c->kw, c->outs,
             c->ch / c->groups, c->kh, c->kw);
    for (int i = 0; i < c->outs * k; i++)
        str_addf(&t, "%s%g", i ? ", " : "", weight_at(i));
    str_addf(&t,
             "])];\ntensor<fp16, [%d]> b = const()[name = string(\"b\"), val = "
             "tensor<fp16, [%d]>([",
             c->outs, c->outs);
    for (int i = 0; i < c->outs; i++) str_addf(&t, "%s%d", i ? ", " : "", i % 5 - 2);
    str_addf(
        &t,
        "])];\ntensor<int32, [2]> st = const()[name = string(\"st\"), val = "
        "tensor<int32, [2]>([%d, %d])];\n"
        "tensor<int32, [2]> di = const()[name = string(\"di\"), val = "
        "tensor<int32, [2]>([%d, %d])];\n"
        "tensor<int32, [4]> pa = const()[name = string(\"pa\"), val = "
        "tensor<int32, [4]>([%d, %d, %d, %d])];\n"
        "int32 g = const()[name = string(\"g\"), val = int32(%d)];\n"
        "string kind = const()[name = string(\"kind\"), val = string(\"custom\")];\n"
        "tensor<fp16, [%d, %d, %d, %d]> y = conv(%sdilations = di, groups = g, pad = "
        "pa, pad_type = kind, strides = st, weight = w, x = x)[name = "
        "string(\"y\")];\n} -> (y); }\n",
        c->stride[0], c->stride[1], c->dilation[0], c->dilation[1], c->pad[0], c->pad[1],
        c->pad[2], c->pad[3], c->groups, c->n, c->outs, out_h(c), out_w(c),
        c->bias ? "bias = b, " : "");
    return t.p;
}

static double pixel(const conv *c, const double *x, int n, int ch, int y, int z)
{
    if (y < 0 || y >= c->h || z < 0 || z >= c->w) return 0;
    return x[((n * c->ch + ch) * c->h + y) * c->w + z];
}

static double direct(const conv *c, const double *x, int n, int o, int oy, int ox)
{
    int per = c->ch / c->groups, g = o / (c->outs / c->groups);
    double sum = c->bias ? o % 5 - 2 : 0;
    for (int i = 0; i < per; i++)
        for (int a = 0; a < c->kh; a++)
            for (int b = 0; b < c->kw; b++)
                sum += weight_at(((o * per + i) * c->kh + a) * c->kw + b) *
                       pixel(c, x, n, g * per + i,
                             oy * c->stride[0] + a * c->dilation[0] - c->pad[0],
                             ox * c->stride[1] + b * c->dilation[1] - c->pad[2]);
    return sum;
}

/* Small whole numbers: every sum is exact in any form, so bits must agree. */
static void check_conv(const char *uri, const conv *c)
{
    size_t n_x = (size_t)(c->n * c->ch * c->h * c->w);
    size_t n_y = (size_t)(c->n * c->outs * out_h(c) * out_w(c));
    double *x = malloc(n_x * sizeof *x), *y = malloc(n_y * sizeof *y);
    char *text = conv_text(c);
    for (size_t i = 0; i < n_x; i++) x[i] = (double)((i * 5 + i / 7) % 7) - 3;
    run_one(uri, text, x, y);
    for (size_t i = 0; i < n_y; i++) {
        int ox = (int)i % out_w(c), oy = (int)i / out_w(c) % out_h(c);
        int o = (int)i / out_w(c) / out_h(c) % c->outs;
        int n = (int)i / out_w(c) / out_h(c) / c->outs;
        double want = half_to_double(half_from_double_away(direct(c, x, n, o, oy, ox)));
        if (y[i] != want)
            fail_msg("%s, kernel %dx%d: [%d,%d,%d,%d] had %g, wanted %g", uri, c->kh,
                     c->kw, n, o, oy, ox, y[i], want);
    }
    mem_drop(text);
    free(x), free(y);
}

static void convolutions_of_every_form_add_up(void **state)
{
    static const conv forms[] = {
        {1, 4, 5, 7, 4, 1, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, false},
        {2, 6, 6, 9, 4, 1, 3, 3, {1, 1}, {1, 1}, {0, 2, 1, 0}, true}, /* odd width */
        {1, 3, 8, 8, 5, 1, 3, 3, {1, 1}, {1, 1}, {2, 0, 0, 3}, true},
        {1, 4, 9, 8, 4, 4, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, true}, /* depthwise */
        {1, 8, 9, 11, 6, 2, 3, 3, {2, 2}, {1, 1}, {1, 0, 0, 1}, true},
        {1, 4, 12, 12, 4, 2, 3, 2, {1, 2}, {2, 3}, {2, 1, 3, 0}, false},
        {2, 4, 6, 6, 8, 1, 1, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}, true},
        {1, 4, 7, 16, 4, 1, 5, 4, {3, 1}, {1, 1}, {0, 4, 2, 1}, true},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        check_conv("emu:m4,exact", &forms[i]);
        check_conv("emu:m6,exact", &forms[i]); /* the first three by Winograd */
        check_conv("emu:m5,exact,isa=scalar", &forms[i]);
    }
}

/* ---- int8 ---- */

/* conv of n channels and height h, all of x at `x`, the weight alternating between
 * w[0] and w[1] along the height; scales 2^-sx and 2^-sw. One result. */
static double int8_conv(int n, int h, int x, const int w[2], int sx, int sw)
{
    str t = {0};
    double y[1], *in = malloc((size_t)(n * h) * sizeof *in);
    str_addf(&t,
             "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
             "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, %d, %d, 1]> x) {\n"
             "fp16 sx = const()[name = string(\"sx\"), val = fp16(0x1p-%d)];\n"
             "string t8 = const()[name = string(\"t8\"), val = string(\"int8\")];\n"
             "string kind = const()[name = string(\"kind\"), val = string(\"valid\")];\n"
             "tensor<int8, [1, %d, %d, 1]> q = quantize(input = x, output_dtype = t8, "
             "scale = sx)[name = string(\"q\")];\n"
             "tensor<fp16, [1, %d, %d, 1]> d = dequantize(input = q, scale = sx)[name = "
             "string(\"d\")];\n"
             "tensor<fp16, [1, %d, %d, 1]> w = constexpr_affine_dequantize()[axis = "
             "int32(0), name = string(\"w\"), quantized_data = tensor<int8, [1, %d, %d, "
             "1]>([",
             n, h, sx, n, h, n, h, n, h, n, h);
    for (int i = 0; i < n * h; i++) str_addf(&t, "%s%d", i ? ", " : "", w[i % h % 2]);
    str_addf(
        &t,
        "]), scale = fp16(0x1p-%d), zero_point = int8(0)];\n"
        "tensor<fp16, [1, 1, 1, 1]> y = conv(pad_type = kind, weight = w, x = d)[name "
        "= string(\"y\")];\n} -> (y); }\n",
        sw);
    for (int i = 0; i < n * h; i++) in[i] = ldexp(x, -sx);
    run_one("emu:m6,exact", t.p, in, y);
    str_free(&t);
    free(in);
    return y[0];
}

/* The M6 study's: 2^30 is exact, 2^31 infinite, whatever the scale; no limit of
 * 32768. */
static void int8_sums_have_31_bits(void **state)
{
    const int low[2] = {-128, -128}, high[2] = {127, 127}, both[2] = {127, -127};
    assert_true(int8_conv(16384, 1, 127, high, 6, 6) == 64512);
    assert_true(int8_conv(2048, 1, 127, high, 7, 7) == 2016);
    assert_true(int8_conv(4096, 2, 127, both, 7, 7) == 0);
    assert_true(int8_conv(65536, 1, -128, low, 8, 8) == 16384);
    assert_true(int8_conv(65536, 1, -128, low, 9, 9) == 4096);
    assert_true(isinf(int8_conv(65536, 2, -128, low, 9, 9)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_lost_is_counted_when_asked),
        cmocka_unit_test(reported_differences_of_chips_are_switches),
        cmocka_unit_test(int8_sums_have_31_bits),
        cmocka_unit_test(convolutions_of_every_form_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
