/* emu_net_values.h - cases of functions of one number, of whole numbers, and of
 * norms. Images are [2,3,7,9] unless a case says otherwise. */
#ifndef EMU_NET_VALUES_H
#define EMU_NET_VALUES_H

#include "emu_net.h"

#define IMAGE "tensor<fp16, [2, 3, 7, 9]> in_a"
#define T_IMAGE "tensor<fp16, [2, 3, 7, 9]>"
enum { NI = 2, CI = 3, HI = 7, WI = 9, IMAGES = NI * CI * HI * WI };
#define HALF(x) half_to_double(half_from_double(x))

#define BACK WORDS("half_word", "fp16")
#define AS_HALF(type, name) LET(type, "out", "cast(dtype = half_word, x = " name ")")
/* ---- functions ---- */
#define EACH(name, expr)                                            \
    static void name(const double *a, const double *b, double *out) \
    {                                                               \
        for (int i = 0; i < IMAGES; i++) {                          \
            double x = a[i];                                        \
            out[i] = expr;                                          \
        }                                                           \
    }
EACH(w_exp2, pow(2, x))
EACH(w_atan, atan(x))
EACH(w_clip, fmin(fmax(x, -1), 2))
EACH(w_threshold, fmax(x, 0.5))
EACH(w_relu6, fmin(fmax(x, 0), 6))
EACH(w_leaky, x >= 0 ? x : HALF(0.1) * x)
EACH(w_clamped, fmin(x >= 0 ? x : HALF(0.1) * x, 2))
EACH(w_thresholded, x >= 0.5 ? x : 0)
EACH(w_elu, x > 0 ? x : 0.5 * (exp(x) - 1))
EACH(w_hard, fmin(fmax(0.25 * x + 0.5, 0), 1))
EACH(w_scaled, 1.5 * tanh(0.75 * x))
EACH(w_softplus, log(1 + exp(x)))
EACH(w_softsign, x / (1 + fabs(x)))
EACH(w_prelu, x > 0 ? x : net_value(0, i / (HI * WI) % CI) * x)
EACH(w_floor_div, floor(x / 0.75))
EACH(w_floor_div_two, floor(x / b[i]))
EACH(w_fill, x + 2.5)

static double whole(double x)
{
    return net_away ? round(x) : nearbyint(x);
}
EACH(w_quant, fmin(fmax(whole(x / HALF(0.03)) + 8, 0), 255))
EACH(w_quant_axis, fmin(fmax(whole(x / net_value(0, i / (HI * WI) % CI)) - 3, -128), 127))
EACH(w_dequant, (fmin(fmax(floor(x), 0), 255) - 8) * HALF(0.03))

#define ALPHA(v) CONST("fp16", "alpha", v)
#define BETA(v) CONST("fp16", "beta", v)
#define F1(op) LET(T_IMAGE, "out", op "(x = in_a)")
#define F2(op, a) ALPHA(a) LET(T_IMAGE, "out", op "(alpha = alpha, x = in_a)")
#define F3(op, a, b) \
    ALPHA(a) BETA(b) LET(T_IMAGE, "out", op "(alpha = alpha, beta = beta, x = in_a)")
#define P_C(n)                     \
    {                              \
        n, 1, {CI}, 0.25, 0.125, 5 \
    }

/* ---- norms ---- */
#define AT(n, c, h, w) ((((n)*CI + (c)) * HI + (h)) * WI + (w))
static void w_batch_norm(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++) {
        int c = i / (HI * WI) % CI;
        y[i] = net_value(2, c) * (a[i] - net_value(0, c)) /
                   sqrt(net_value(1, c) + HALF(0.001)) +
               net_value(3, c);
    }
}

/* Normalizes the elements whose place over `keep` axes is the same. */
static void norm_over(const double *a, double *y, bool n, bool c, bool h, bool w,
                      double eps, bool centre)
{
    for (int i = 0; i < IMAGES; i++) {
        double sum = 0, squares = 0, count = 0;
        for (int j = 0; j < IMAGES; j++) {
            if ((!w && i % WI != j % WI) || (!h && i / WI % HI != j / WI % HI) ||
                (!c && i / (WI * HI) % CI != j / (WI * HI) % CI) ||
                (!n && i / (WI * HI * CI) != j / (WI * HI * CI)))
                continue;
            sum += a[j];
            squares += a[j] * a[j];
            count++;
        }
        double mean = sum / count;
        y[i] = centre ? (a[i] - mean) / sqrt(squares / count - mean * mean + eps)
                      : a[i] / sqrt(squares + eps);
    }
}
static void w_layer_last(const double *a, const double *b, double *y)
{
    norm_over(a, y, false, false, false, true, HALF(0.001), true);
    for (int i = 0; i < IMAGES; i++)
        y[i] = y[i] * net_value(0, i % WI) + net_value(1, i % WI);
}
static void w_layer_channels(const double *a, const double *b, double *y)
{
    norm_over(a, y, false, true, false, false, 1e-5, true);
}
static void w_layer_two(const double *a, const double *b, double *y)
{
    norm_over(a, y, false, true, false, true, 1e-5, true);
    for (int i = 0; i < IMAGES; i++)
        y[i] *= net_value(0, i / (HI * WI) % CI * WI + i % WI);
}
static void w_layer_all(const double *a, const double *b, double *y)
{
    norm_over(a, y, true, true, true, true, 1e-5, true);
}
static void w_instance(const double *a, const double *b, double *y)
{
    norm_over(a, y, false, false, true, true, 1e-5, true);
    for (int i = 0; i < IMAGES; i++)
        y[i] = y[i] * net_value(0, i / (HI * WI) % CI) + net_value(1, i / (HI * WI) % CI);
}
static void w_l2_norm(const double *a, const double *b, double *y)
{
    norm_over(a, y, false, true, true, true, 1e-6, false);
}
/* [1,8,1,16] over size channels, alpha 0.5, beta 0.75, k 1.5 */
static void local(const double *a, double *y, int before, int after)
{
    for (int c = 0; c < 8; c++)
        for (int i = 0; i < 16; i++) {
            double sum = 0;
            for (int j = c - before; j <= c + after; j++)
                if (j >= 0 && j < 8) sum += a[j * 16 + i] * a[j * 16 + i];
            y[c * 16 + i] = a[c * 16 + i] /
                            pow(1.5 + 0.5 * sum / (before + after + 1), 0.75);
        }
}
static void w_local3(const double *a, const double *b, double *y)
{
    local(a, y, 1, 1);
}
static void w_local4(const double *a, const double *b, double *y)
{
    local(a, y, 2, 1);
}
/* Group norm as MIL says it: channels in two groups of [1,4,1,16], normalized. */
static void w_group(const double *a, const double *b, double *y)
{
    for (int g = 0; g < 2; g++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < 64; i++) sum += a[g * 64 + i];
        for (int i = 0; i < 64; i++)
            squares += (a[g * 64 + i] - sum / 64) * (a[g * 64 + i] - sum / 64);
        for (int i = 0; i < 64; i++)
            y[g * 64 + i] = (a[g * 64 + i] - sum / 64) / sqrt(squares / 64 + 1e-5);
    }
}
#define ROW128 "tensor<fp16, [1, 8, 1, 16]> in_a"
#define T_ROW128 "tensor<fp16, [1, 8, 1, 16]>"
#define LRN(n)                                                                       \
    CONST("int32", "near", n)                                                        \
    ALPHA("0x1p-1")                                                                  \
    BETA("0x1.8p-1")                                                                 \
    CONST("fp16", "k_1", "0x1.8p+0")                                                 \
    LET(T_ROW128, "out",                                                             \
        "local_response_norm(alpha = alpha, beta = beta, k = k_1, size = near, x = " \
        "in_a)")

static const net_case value_cases[] = {
    {"exp2", "", IMAGE, F1("exp2"), -4, 4, 0, 0, {{0}}, w_exp2, 0, 0},
    {"atan", "", IMAGE, F1("atan"), -8, 8, 0, 0, {{0}}, w_atan, 0, 0},
    {"clip",
     "",
     IMAGE,
     F3("clip", "-0x1p+0", "0x1p+1"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_clip,
     0,
     0},
    {"threshold",
     "",
     IMAGE,
     F2("threshold", "0x1p-1"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_threshold,
     0,
     0},
    {"relu6", "", IMAGE, F1("relu6"), -4, 9, 0, 0, {{0}}, w_relu6, 0, 0},
    {"leaky_relu", "", IMAGE, F2("leaky_relu", "0.1"), -4, 4, 0, 0, {{0}}, w_leaky, 0, 0},
    {"clamped_relu",
     "",
     IMAGE,
     F3("clamped_relu", "0.1", "2"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_clamped,
     0,
     0},
    {"thresholded_relu",
     "",
     IMAGE,
     F2("thresholded_relu", "0.5"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_thresholded,
     0,
     0},
    {"elu", "", IMAGE, F2("elu", "0.5"), -4, 4, 0, 0, {{0}}, w_elu, 0, 0},
    {"sigmoid_hard",
     "",
     IMAGE,
     F3("sigmoid_hard", "0.25", "0.5"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_hard,
     0,
     0},
    {"scaled_tanh",
     "",
     IMAGE,
     F3("scaled_tanh", "1.5", "0.75"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_scaled,
     0,
     0},
    {"softplus", "", IMAGE, F1("softplus"), -9, 9, 0, 0, {{0}}, w_softplus, 0, 0},
    {"softsign", "", IMAGE, F1("softsign"), -9, 9, 0, 0, {{0}}, w_softsign, 0, 0},
    {"prelu",
     "",
     IMAGE,
     LET(T_IMAGE, "out", "prelu(alpha = slope, x = in_a)"),
     -4,
     4,
     0,
     0,
     {P_C("slope")},
     w_prelu,
     0,
     0},
    {"floor_div",
     "by a number",
     IMAGE,
     ALPHA("0.75") LET(T_IMAGE, "out", "floor_div(x = in_a, y = alpha)"),
     -9,
     9,
     0,
     0,
     {{0}},
     w_floor_div,
     0,
     1.0 / 12},
    /* in exact the quotient is rounded first, perhaps to the next whole number */
    {"floor_div",
     "by a tensor",
     IMAGE ", " T_IMAGE " in_b",
     LET(T_IMAGE, "out", "floor_div(x = in_a, y = in_b)"),
     -9,
     9,
     0.5,
     4,
     {{0}},
     w_floor_div_two,
     0,
     1.0 / 18},
    {"fill",
     "",
     IMAGE,
     INTS("4", "form", "[1, 3, 1, 9]") CONST("fp16", "much", "2.5")
         LET("tensor<fp16, [1, 3, 1, 9]>", "full", "fill(shape = form, value = much)")
             LET(T_IMAGE, "out", "add(x = in_a, y = full)"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_fill,
     0,
     0},
    {"quantize",
     "to uint8",
     IMAGE,
     BACK CONST("fp16", "size", "0.03") CONST("uint8", "zero", "8") WORDS("byte", "uint8")
         LET("tensor<uint8, [2, 3, 7, 9]>", "held",
             "quantize(input = in_a, output_dtype = byte, scale = size, zero_point = "
             "zero)") AS_HALF(T_IMAGE, "held"),
     -4,
     9,
     0,
     0,
     {{0}},
     w_quant,
     0,
     0},
    {"quantize",
     "along an axis",
     IMAGE,
     BACK INTS("1", "three", "[-3]") CONST("int32", "along", "1")
         CONST("tensor<int8, [3]>", "zero", "[-3, -3, -3]") WORDS("byte", "int8")
             LET("tensor<int8, [2, 3, 7, 9]>", "held",
                 "quantize(axis = along, input = in_a, output_dtype = byte, scale = "
                 "slope, zero_point = zero)") AS_HALF(T_IMAGE, "held"),
     -60,
     60,
     0,
     0,
     {{"slope", 1, {CI}, 0.3, 0.1, 7}},
     w_quant_axis,
     0,
     0},
    {"dequantize",
     "",
     IMAGE,
     WORDS("byte", "uint8") CONST("fp16", "size", "0.03") CONST("uint8", "zero", "8")
         LET("tensor<uint8, [2, 3, 7, 9]>", "held", "cast(dtype = byte, x = in_a)") LET(
             T_IMAGE, "out", "dequantize(input = held, scale = size, zero_point = zero)"),
     0,
     250,
     0,
     0,
     {{0}},
     w_dequant,
     0,
     0},
    /* in exact gain and offset are fp16: two roundings more */
    {"batch_norm",
     "",
     IMAGE,
     CONST("fp16", "little", "0.001")
         LET(T_IMAGE, "out",
             "batch_norm(beta = b_1, epsilon = little, gamma = g_1, mean = m_1, variance "
             "= v_1, x = in_a)"),
     -4,
     4,
     0,
     0,
     {P_C("m_1"), {"v_1", 1, {CI}, 0.5, 0.25, 3}, P_C("g_1"), P_C("b_1")},
     w_batch_norm,
     0,
     0x1p-9},
    {"layer_norm",
     "last axis",
     IMAGE,
     CONST("fp16", "little", "0.001") INTS("1", "axes", "[-1]") LET(
         T_IMAGE, "out",
         "layer_norm(axes = axes, beta = b_1, epsilon = little, gamma = g_1, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{"g_1", 1, {WI}, 0.5, 0.25, 7}, {"b_1", 1, {WI}, -1, 0.25, 7}},
     w_layer_last,
     0,
     0},
    {"layer_norm",
     "channels",
     IMAGE,
     INTS("1", "axes", "[1]") LET(T_IMAGE, "out", "layer_norm(axes = axes, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_layer_channels,
     0,
     0},
    {"layer_norm",
     "two axes apart",
     IMAGE,
     INTS("2", "axes", "[3, 1]")
         LET(T_IMAGE, "out", "layer_norm(axes = axes, gamma = g_1, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{"g_1", 2, {CI, WI}, 0.5, 0.25, 7}},
     w_layer_two,
     0,
     0},
    {"layer_norm",
     "of everything",
     IMAGE,
     LET(T_IMAGE, "out", "layer_norm(x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_layer_all,
     0,
     0},
    {"instance_norm",
     "",
     IMAGE,
     LET(T_IMAGE, "out", "instance_norm(beta = b_1, gamma = g_1, x = in_a)"),
     -4,
     4,
     0,
     0,
     {P_C("g_1"), P_C("b_1")},
     w_instance,
     0,
     0},
    {"l2_norm", "", IMAGE, F1("l2_norm"), -4, 4, 0, 0, {{0}}, w_l2_norm, 0, 0},
    {"local_response_norm",
     "3 channels",
     ROW128,
     LRN("3"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_local3,
     0,
     0},
    {"local_response_norm",
     "4 channels",
     ROW128,
     LRN("4"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_local4,
     0,
     0},
    {"layer_norm",
     "as group norm",
     ROW128,
     INTS("4", "grouped", "[1, 2, 4, 16]") INTS("4", "plain", "[1, 8, 1, 16]") INTS(
         "2", "axes", "[2, 3]") LET("tensor<fp16, [1, 2, 4, 16]>", "groups",
                                    "reshape(shape = grouped, x = in_a)")
         LET("tensor<fp16, [1, 2, 4, 16]>", "even", "layer_norm(axes = axes, x = groups)")
             LET(T_ROW128, "out", "reshape(shape = plain, x = even)"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_group,
     0,
     0},
};

#endif
