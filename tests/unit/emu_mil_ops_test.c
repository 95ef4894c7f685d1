/* MIL ops and arguments that the graph's dialect never writes, which a program
 * from elsewhere may hold: against plain loops, in both arithmetics and on every
 * instruction set there is. With emu_ops_test this covers dev/ops.def. */
#include "dev_help.h"
#include "emu_net_ops.h"

enum { N = 128 };
/* in_a and in_b are [1,4,1,32]; element i of the result is want(a, b, i). */
typedef struct {
    const char *op; /* the row of dev/ops.def that it covers */
    const char *what, *body;
    double lo, hi;
    double (*want)(const double *a, const double *b, int i);
} op_case;

#define ROUND(x) half_to_double(half_from_double(x))
#define BOOLS "tensor<bool, [1, 4, 1, 32]>"
#define ONE_ZERO CONST("fp16", "one", "0x1p+0") CONST("fp16", "zero", "0x0p+0")
/* A comparison, made visible by select. */
#define COMPARE(op)                                        \
    ONE_ZERO LET(BOOLS, "test", op "(x = in_a, y = in_b)") \
        LET(ROW32, "out", "select(a = one, b = zero, cond = test)")
#define UNARY(op) LET(ROW32, "out", op "(x = in_a)")
#define EACH(name, expr)                                        \
    static double name(const double *a, const double *b, int i) \
    {                                                           \
        double x = a[i], y = b[i];                              \
        (void)x;                                                \
        (void)y;                                                \
        return expr;                                            \
    }
EACH(is_equal, x == y)
EACH(is_not_equal, x != y)
EACH(is_greater, x > y)
EACH(is_greater_equal, x >= y)
EACH(is_less, x < y)
EACH(is_less_equal, x <= y)
EACH(is_not_less, !(x < y))
EACH(inverted, 1 / x)
EACH(inverted_eps, 1 / (x + 0.25))
EACH(log_eps, log(x + 0.25))
EACH(rsqrt_eps, 1 / sqrt(x + 0.25))
EACH(squared, x *x)
EACH(erf_of, erf(x))
EACH(sine, sin(x))
EACH(cosine, cos(x))
EACH(floored, floor(x))
EACH(ceiled, ceil(x))
EACH(rounded, nearbyint(x)) /* ties to even */
EACH(sign_of, (x > 0) - (x < 0))
EACH(same, x)
EACH(gelu_exact, 0.5 * x * (1 + erf(x / sqrt(2))))
EACH(gelu_tanh, 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))))
EACH(truncated, trunc(x))
EACH(cast_bool, x != 0)
EACH(byte_of, x<0 ? 0 : x> 255 ? 255 : trunc(x))
EACH(dequantized, (i % 32 - 3 - 8) * 0.5 + x)

static double softmax_of(const double *a, const double *b, int i)
{
    double most = -INFINITY, sum = 0;
    const double *row = a + i / 32 * 32;
    for (int k = 0; k < 32; k++) most = fmax(most, row[k]);
    for (int k = 0; k < 32; k++) sum += exp(row[k] - most);
    return exp(a[i] - most) / sum;
}

/* Smallest of a row, spread by adding in_b. */
static double row_minimum(const double *a, const double *b, int i)
{
    double least = INFINITY;
    for (int k = 0; k < 32; k++) least = fmin(least, a[i / 32 * 32 + k]);
    return least + b[i];
}

static double sum_of_all(const double *a, const double *b, int i)
{
    double sum = 0;
    for (int k = 0; k < N; k++) sum += a[k];
    return sum + b[i];
}

/* x [4, 32] W^T + bias with W[o][k] = (o == k) * 2 + (o == 0) and bias 0.5. */
static double linear_of(const double *a, const double *b, int i)
{
    double sum = 0;
    for (int k = 0; i % 32 == 0 && k < 32; k++) sum += a[i / 32 * 32 + k];
    return sum + 2 * a[i] + 0.5;
}

/* Each row of 32 attends to the four rows: q = k = v = in_a as [1, 1, 4, 32]. */
static double attention_of(const double *a, const double *b, int i)
{
    double score[4], most = -INFINITY, sum = 0, out = 0;
    for (int s = 0; s < 4; s++) {
        score[s] = 0;
        for (int e = 0; e < 32; e++) score[s] += a[i / 32 * 32 + e] * a[s * 32 + e];
        score[s] /= sqrt(32);
        most = fmax(most, score[s]);
    }
    for (int s = 0; s < 4; s++) sum += score[s] = exp(score[s] - most);
    for (int s = 0; s < 4; s++) out += score[s] / sum * a[s * 32 + i % 32];
    return out;
}

/* Kernel 1, 2, 4 along each channel's row, zeros around it. */
static double conv_same(const double *a, const double *b, int i)
{
    int x = i % 32;
    return (x ? a[i - 1] : 0) + 2 * a[i] + (x < 31 ? 4 * a[i + 1] : 0);
}

static double conv_biased(const double *a, const double *b, int i)
{
    double sum = 0;
    for (int c = 0; c < 4; c++) sum += a[c * 32 + i % 32];
    return sum + 1 + i / 32;
}

static double split_swapped(const double *a, const double *b, int i)
{
    int c = i / 32; /* channels 1 and 3 first, as one and three of them */
    return a[(c == 0 ? 3 : c - 1) * 32 + i % 32];
}

static double halves_swapped(const double *a, const double *b, int i)
{
    return a[i / 32 * 32 + (i + 16) % 32];
}

static double first_with_second(const double *a, const double *b, int i)
{
    return a[i] + b[i % 32];
}

#define WORDS(name, val) CONST("string", name, "\"" val "\"")
#define INTS(n, name, val) CONST("tensor<int32, [" n "]>", name, val)
static const op_case cases[] = {
    {"equal", "", COMPARE("equal"), -2, 2, is_equal},
    {"not_equal", "", COMPARE("not_equal"), -2, 2, is_not_equal},
    {"greater", "", COMPARE("greater"), -2, 2, is_greater},
    {"greater_equal", "", COMPARE("greater_equal"), -2, 2, is_greater_equal},
    {"less", "", COMPARE("less"), -2, 2, is_less},
    {"less_equal", "", COMPARE("less_equal"), -2, 2, is_less_equal},
    {"logical_not", "",
     ONE_ZERO LET(BOOLS, "test", "less(x = in_a, y = in_b)")
         LET(BOOLS, "other", "logical_not(x = test)")
             LET(ROW32, "out", "select(a = one, b = zero, cond = other)"),
     -2, 2, is_not_less},
    {"inverse", "", UNARY("inverse"), 0.5, 4, inverted},
    {"inverse", "epsilon",
     CONST("fp16", "eps_1", "0x1p-2")
         LET(ROW32, "out", "inverse(epsilon = eps_1, x = in_a)"),
     0.5, 4, inverted_eps},
    {"log", "epsilon",
     CONST("fp16", "eps_1", "0x1p-2") LET(ROW32, "out", "log(epsilon = eps_1, x = in_a)"),
     2, 4, log_eps},
    {"rsqrt", "epsilon",
     CONST("fp16", "eps_1", "0x1p-2")
         LET(ROW32, "out", "rsqrt(epsilon = eps_1, x = in_a)"),
     0.5, 4, rsqrt_eps},
    {"square", "", UNARY("square"), -4, 4, squared},
    {"erf", "", UNARY("erf"), -3, 3, erf_of},
    {"sin", "", UNARY("sin"), -20, 20, sine},
    {"cos", "", UNARY("cos"), -20, 20, cosine},
    {"floor", "", UNARY("floor"), -4, 4, floored},
    {"ceil", "", UNARY("ceil"), -4, 4, ceiled},
    {"round", "", UNARY("round"), -4, 4, rounded},
    {"sign", "", UNARY("sign"), -2, 2, sign_of},
    {"identity", "",
     LET(ROW32, "held", "identity(x = in_a)") LET(ROW32, "out", "identity(x = held)"), -4,
     4, same},
    {"gelu", "exact is the default", UNARY("gelu"), -4, 4, gelu_exact},
    {"gelu", "exact",
     WORDS("kind", "EXACT") LET(ROW32, "out", "gelu(mode = kind, x = in_a)"), -4, 4,
     gelu_exact},
    {"gelu", "tanh",
     WORDS("kind", "TANH_APPROXIMATION") LET(ROW32, "out", "gelu(mode = kind, x = in_a)"),
     -4, 4, gelu_tanh},
    {"cast", "to int32 and back",
     WORDS("whole", "int32") WORDS("back", "fp16")
         LET("tensor<int32, [1, 4, 1, 32]>", "cut", "cast(dtype = whole, x = in_a)")
             LET(ROW32, "out", "cast(dtype = back, x = cut)"),
     -100, 100, truncated},
    {"cast", "to bool and back",
     WORDS("truth", "bool") WORDS("back", "fp16")
         LET(BOOLS, "cut", "cast(dtype = truth, x = in_a)")
             LET(ROW32, "out", "cast(dtype = back, x = cut)"),
     -2, 2, cast_bool},
    {"cast", "to uint8 saturates",
     WORDS("whole", "uint8") WORDS("back", "fp16")
         LET("tensor<uint8, [1, 4, 1, 32]>", "cut", "cast(dtype = whole, x = in_a)")
             LET(ROW32, "out", "cast(dtype = back, x = cut)"),
     -300, 600, byte_of},
    {"constexpr_affine_dequantize", "",
     "        tensor<fp16, [1, 1, 1, 32]> w = constexpr_affine_dequantize()[axis = "
     "int32(1), name = "
     "string(\"w\"), quantized_data = tensor<int8, [1, 1, 1, 32]>([[[[-3, -2, -1, 0, 1, "
     "2, "
     "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, "
     "25, "
     "26, 27, 28]]]]), scale = fp16(0x1p-1), zero_point = int8(8)];\n" LET(
         ROW32, "out", "add(x = in_a, y = w)"),
     -4, 4, dequantized},
    {"softmax", "axis counted from the end",
     CONST("int32", "last", "-1") LET(ROW32, "out", "softmax(axis = last, x = in_a)"), -4,
     4, softmax_of},
    {"softmax", "axis absent", UNARY("softmax"), -4, 4, softmax_of},
    {"reduce_min", "",
     INTS("1", "axes", "[-1]") CONST("bool", "yes", "true")
         LET("tensor<fp16, [1, 4, 1, 1]>", "least",
             "reduce_min(axes = axes, keep_dims = yes, x = in_a)")
             LET(ROW32, "out", "add(x = least, y = in_b)"),
     -4, 4, row_minimum},
    {"reduce_sum", "of everything, to a scalar",
     LET("fp16", "total", "reduce_sum(x = in_a)")
         LET(ROW32, "out", "add(x = in_b, y = total)"),
     -1, 2, sum_of_all},
    {"linear", "with bias",
     INTS("2", "flat", "[4, 32]") INTS("4", "form", "[1, 4, 1, 32]")
         INTS("2", "row", "[1, 32]") INTS("2", "tall", "[32, 1]")
     /* W = 2 I + ones in its first row, from comparisons of two ramps */
     CONST("tensor<fp16, [1, 32]>", "count",
           "[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, "
           "21, 22, "
           "23, 24, 25, 26, 27, 28, 29, 30, 31]]") ONE_ZERO CONST("fp16", "two", "0x1p+1")
         CONST("tensor<fp16, [32]>", "bias", "0x1p-1") LET(
             "tensor<fp16, [32, 1]>", "down", "reshape(shape = tall, x = count)")
             LET("tensor<bool, [32, 32]>", "eye", "equal(x = down, y = count)") LET(
                 "tensor<fp16, [32, 32]>", "twos",
                 "select(a = two, b = zero, cond = eye)")
                 LET("tensor<bool, [32, 1]>", "top", "equal(x = down, y = zero)") LET(
                     "tensor<fp16, [32, 1]>", "ones",
                     "select(a = one, b = zero, cond = top)")
                     LET("tensor<fp16, [32, 32]>", "weight", "add(x = twos, y = ones)")
                         LET("tensor<fp16, [4, 32]>", "rows",
                             "reshape(shape = flat, x = in_a)")
                             LET("tensor<fp16, [4, 32]>", "made",
                                 "linear(bias = bias, weight = weight, x = rows)")
                                 LET(ROW32, "out", "reshape(shape = form, x = made)"),
     -1, 1, linear_of},
    {"scaled_dot_product_attention", "",
     INTS("4", "flat", "[1, 1, 4, 32]") INTS("4", "form", "[1, 4, 1, 32]")
         LET("tensor<fp16, [1, 1, 4, 32]>", "rows", "reshape(shape = flat, x = in_a)")
             LET("tensor<fp16, [1, 1, 4, 32]>", "made",
                 "scaled_dot_product_attention(key = rows, query = rows, value = rows)")
                 LET(ROW32, "out", "reshape(shape = form, x = made)"),
     -1, 1, attention_of},
    {"conv", "one axis, same padding, groups",
     INTS("3", "flat", "[1, 4, 32]") INTS("4", "form", "[1, 4, 1, 32]")
         CONST("tensor<fp16, [4, 1, 3]>", "weight",
               "[[[1, 2, 4]], [[1, 2, 4]], [[1, 2, 4]], [[1, 2, 4]]]")
             WORDS("kind", "same") CONST("int32", "many", "4") LET(
                 "tensor<fp16, [1, 4, 32]>", "rows", "reshape(shape = flat, x = in_a)")
                 LET("tensor<fp16, [1, 4, 32]>", "made",
                     "conv(groups = many, pad_type = kind, weight = weight, x = rows)")
                     LET(ROW32, "out", "reshape(shape = form, x = made)"),
     -1, 1, conv_same},
    {"conv", "bias",
     CONST("tensor<fp16, [4, 4, 1, 1]>", "weight", "0x1p+0")
         CONST("tensor<fp16, [4]>", "bias", "[1, 2, 3, 4]")
             LET(ROW32, "out", "conv(bias = bias, weight = weight, x = in_a)"),
     -1, 1, conv_biased},
    {"expand_dims", "",
     INTS("1", "at", "[0]") INTS("4", "form", "[1, 4, 1, 32]")
         LET("tensor<fp16, [1, 1, 4, 1, 32]>", "more", "expand_dims(axes = at, x = in_a)")
             LET(ROW32, "out", "reshape(shape = form, x = more)"),
     -4, 4, same},
    {"squeeze", "some axes, then all",
     INTS("1", "at", "[2]") INTS("4", "form", "[1, -1, 1, 32]")
         LET("tensor<fp16, [1, 4, 32]>", "less_1", "squeeze(axes = at, x = in_a)")
             LET("tensor<fp16, [4, 32]>", "less_2", "squeeze(x = less_1)")
                 LET(ROW32, "out", "reshape(shape = form, x = less_2)"),
     -4, 4, same},
    {"split", "sizes",
     INTS("2", "sizes", "[3, 1]") CONST("int32", "axis", "1") CONST(
         "bool", "no",
         "false") "        tensor<fp16, [1, 3, 1, 32]> three, tensor<fp16, [1, 1, 1, "
                  "32]> last = "
                  "split(axis = axis, split_sizes = sizes, x = in_a)[name = "
                  "string(\"parts\")];\n" LET(
                      ROW32, "out",
                      "concat(axis = axis, interleave = no, values = (last, three))"),
     -4, 4, split_swapped},
    {"split", "equal parts of the width",
     CONST("int32", "two", "2") CONST("int32", "axis", "-1") CONST(
         "bool", "no",
         "false") "        tensor<fp16, [1, 4, 1, 16]> left, tensor<fp16, [1, 4, 1, 16]> "
                  "right = "
                  "split(axis = axis, num_splits = two, x = in_a)[name = "
                  "string(\"parts\")];\n" LET(
                      ROW32, "out",
                      "concat(axis = axis, interleave = no, values = (right, left))"),
     -4, 4, halves_swapped},
    {"slice_by_size", "to the end",
     INTS("4", "from", "[0, 0, 0, 0]") INTS("4", "size", "[1, 1, 1, -1]")
         LET("tensor<fp16, [1, 1, 1, 32]>", "row",
             "slice_by_size(begin = from, size = size, x = in_b)")
             LET(ROW32, "out", "add(x = in_a, y = row)"),
     -4, 4, first_with_second},
};

/* What the chip's own arithmetic adds: in sums a rounding to fp16 for each of up
 * to N terms; the published errors of its tables. */
static double chip_error(const char *op, double most)
{
    return str_starts(op, "reduce_sum") || str_starts(op, "reduce_mean")
               ? N * ldexp(most, -11)
           : !strcmp(op, "sigmoid") ? 0.0034
           : !strcmp(op, "tanh")    ? 0.0016
                                    : 0;
}

/* In fast every op rounds once, and no case has more than three roundings that
 * reach the result; sums cancel, so they are measured against the largest
 * value. Wide computes in fp32 and only the surface rounds. */
static double allowed(const op_case *c, const char *uri, double want, double most)
{
    if (strstr(uri, "exact")) return chip_error(c->op, most) + 3 * ldexp(most, -11);
    return strstr(uri, "wide") ? ldexp(fabs(want), -11) + ldexp(most, -19) + 0x1p-24
                               : 3 * ldexp(most, -11) + 0x1p-24;
}

static int n_wrong;

static void check(device *d, const char *uri, const op_case *c)
{
    double a[N], b[N], had[N], want[N], most = 0;
    str text = {0};
    str_addf(&text,
             "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
             "\"3505.4.1\"}})]\n{ func main<ios18>(" ROW32 " in_a, " ROW32 " in_b) {\n"
             "        " ROW32
             " used = abs(x = in_b)[name = string(\"used\")];\n%s} -> (out, "
             "used); }\n",
             c->body);
    assert_ok(str_done(&text));
    dev_program *p = NULL;
    rc r = try_load(d, text.p, NULL, 0, &p);
    if (r != OK) print_error("%s %s:\n%s\n", c->op, c->what, text.p);
    assert_ok(r);
    dev_surface *s[4];
    for (int i = 0; i < 4; i++) s[i] = surface(d, 4, 32, 0);
    for (int i = 0; i < N; i++) {
        /* Every eighth pair is equal, and the ends of the range occur. */
        double at = (double)(i * 37 % 128) / 127;
        a[i] = ROUND(c->lo + (c->hi - c->lo) * at);
        b[i] = i % 8 == 3 ? a[i]
                          : ROUND(c->lo + (c->hi - c->lo) * (double)(i * 53 % 128) / 127);
    }
    put_values(s[0], MIL_FP16, a, N);
    put_values(s[1], MIL_FP16, b, N);
    assert_ok(run_and_wait(p, s, 2, s + 2, 2, NULL));
    get_values(s[2], MIL_FP16, had, N);
    for (int i = 0; i < N; i++) {
        want[i] = c->want(a, b, i);
        most = fmax(most, fabs(want[i]));
    }
    for (int i = 0; i < N; i++) {
        if (fabs(had[i] - want[i]) <= allowed(c, uri, want[i], most)) continue;
        print_error("%s %s on %s [%d]: in %g, %g; had %.9g, wanted %.9g\n", c->op,
                    c->what, uri, i, a[i], b[i], had[i], want[i]);
        n_wrong++;
        break;
    }
    dev_unload(p);
    for (int i = 0; i < 4; i++) dev_drop(s[i]);
    str_free(&text);
}

static void ops_agree_with_plain_loops(void **state)
{
    static const char *const isas[] = {"scalar", "avx2", "avx512", "neon"};
    static const char *const words[] = {"fast", "wide", "exact"};
    for (size_t k = 0; k < COUNT_OF(isas); k++)
        for (size_t w = 0; w < COUNT_OF(words); w++) {
            char uri[64];
            kern *pool;
            device *d;
            snprintf(uri, sizeof uri, "emu:m4,%s,isa=%s", words[w], isas[k]);
            if (kern_open(2, isas[k], &pool) != OK) continue;
            assert_ok(dev_open(uri, pool, &d));
            for (size_t i = 0; i < COUNT_OF(cases); i++) check(d, uri, &cases[i]);
            dev_close(d);
            kern_close(pool);
        }
    assert_int_equal(n_wrong, 0);
}

/* What the dialect has is in emu_ops_test; the rest of the engine's ops here. */
static void every_op_of_the_engine_has_a_case(void **state)
{
    for (int k = 0; k < DEV_OPS; k++) {
        const char *op = dev_op_text((dev_op_kind)k);
        bool found = net_op((dev_op_kind)k);
        for (int i = 0; i < IR_OPS; i++)
            found |= ir_op_in_dialect((ir_op)i) && !strcmp(ir_op_mil((ir_op)i), op);
        for (size_t i = 0; i < COUNT_OF(cases); i++) found |= !strcmp(cases[i].op, op);
        if (!found) fail_msg("op '%s' has no case", op);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_of_the_engine_has_a_case),
        cmocka_unit_test(ops_agree_with_plain_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
