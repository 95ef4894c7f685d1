/* emu_bounds_cases.h - programs to compare arithmetics on: of one op where its
 * result is fp16, else with a cast or a select behind it, which lose nothing. Ops
 * that are not here have theirs in emu_net_*.h.
 *
 * T_EVERY has room for each of the 65536 fp16 numbers. */
#ifndef EMU_BOUNDS_CASES_H
#define EMU_BOUNDS_CASES_H

#include "emu_net_axes.h"
#include "emu_net_images.h"
#include "emu_net_places.h"

#define T_EVERY "tensor<fp16, [1, 64, 1, 1024]>"
#define T_BOOLS "tensor<bool, [1, 64, 1, 1024]>"
#define EVERY T_EVERY " in_a"
#define EVERY_TWO EVERY ", " T_EVERY " in_b"
#define CASE(name, kind, operands, text, ...)                               \
    {                                                                       \
        .op = name, .what = kind, .in = operands, .body = text, __VA_ARGS__ \
    }
#define MORE .lo = 0 /* nothing more to say */
#define ONE(op) CASE(#op, "", EVERY, LET(T_EVERY, "out", #op "(x = in_a)"), MORE)
#define ONE_AS(op, kind, before, args) \
    CASE(#op, kind, EVERY, before LET(T_EVERY, "out", #op "(" args ", x = in_a)"), MORE)
#define TO_TYPE(op, type, before, args) \
    CASE(#op, "", EVERY, before LET(type, "out", #op "(" args ", x = in_a)"), MORE)
#define TWO(op) \
    CASE(#op, "", EVERY_TWO, LET(T_EVERY, "out", #op "(x = in_a, y = in_b)"), MORE)
#define POWER(v)          \
    CASE("pow", v, EVERY, \
         CONST("fp16", "much", v) LET(T_EVERY, "out", "pow(x = in_a, y = much)"), MORE)
#define ONE_ZERO CONST("fp16", "one", "0x1p+0") CONST("fp16", "zero", "0x0p+0")
#define SEEN LET(T_EVERY, "out", "select(a = one, b = zero, cond = test)")
#define COMPARED(op)         \
    CASE(#op, "", EVERY_TWO, \
         ONE_ZERO LET(T_BOOLS, "test", #op "(x = in_a, y = in_b)") SEEN, MORE)
#define CUT(dtype)                                                                   \
    CASE("cast", dtype, EVERY,                                                       \
         WORDS("cut", dtype) BACK LET("tensor<" dtype ", [1, 64, 1, 1024]>", "held", \
                                      "cast(dtype = cut, x = in_a)")                 \
             AS_HALF(T_EVERY, "held"),                                               \
         MORE)
#define REDUCE(op)                                                    \
    CASE(#op, "of 64", EVERY,                                         \
         INTS("1", "axes", "[1]")                                     \
             YES LET("tensor<fp16, [1, 1, 1, 1024]>", "out",          \
                     #op "(axes = axes, keep_dims = yes, x = in_a)"), \
         MORE)
#define ALONG(v) CONST("int32", "along", v)
#define T_SQUARE "tensor<fp16, [1, 4, 96, 96]>"
#define T_HEADS "tensor<fp16, [1, 2, 24, 16]>"
/* Near 2^-9: with operands near 2^-8 a product is dropped whole. */
#define LITTLE(name, rank, ...)                          \
    {                                                    \
        name, rank, {__VA_ARGS__}, 0x1.ep-9, 0x1p-17, 13 \
    }
#define SOME(name, rank, ...)                       \
    {                                               \
        name, rank, {__VA_ARGS__}, -0.75, 0.125, 13 \
    }

static const net_case bound_cases[] = {
    TWO(add),
    TWO(sub),
    TWO(mul),
    TWO(real_div),
    TWO(maximum),
    TWO(minimum),
    TWO(pow),
    POWER("0.5"),
    POWER("-0.5"),
    POWER("-1"),
    POWER("2"),
    POWER("3"),
    TWO(floor_div),
    COMPARED(equal),
    COMPARED(not_equal),
    COMPARED(greater),
    COMPARED(greater_equal),
    COMPARED(less),
    COMPARED(less_equal),
    CASE("logical_not", "", EVERY_TWO,
         ONE_ZERO LET(T_BOOLS, "less", "less(x = in_a, y = in_b)")
             LET(T_BOOLS, "test", "logical_not(x = less)") SEEN,
         MORE),
    CASE("select", "", EVERY_TWO,
         LET(T_BOOLS, "test", "less(x = in_a, y = in_b)")
             LET(T_EVERY, "out", "select(a = in_a, b = in_b, cond = test)"),
         MORE),
    ONE(abs),
    ONE(exp),
    ONE(exp2),
    ONE(log),
    ONE(sqrt),
    ONE(rsqrt),
    ONE(inverse),
    ONE(tanh),
    ONE(sigmoid),
    ONE(relu),
    ONE(silu),
    ONE(gelu),
    ONE_AS(gelu, "tanh", WORDS("kind", "TANH_APPROXIMATION"), "mode = kind"),
    ONE(square),
    ONE(erf),
    ONE(sin),
    ONE(cos),
    ONE(atan),
    ONE(floor),
    ONE(ceil),
    ONE(round),
    ONE(sign),
    ONE(identity),
    ONE(relu6),
    ONE(softplus),
    ONE(softsign),
    ONE_AS(clip, "", ALPHA("-0x1p+0") BETA("0x1p+1"), "alpha = alpha, beta = beta"),
    ONE_AS(threshold, "", ALPHA("0x1p-1"), "alpha = alpha"),
    ONE_AS(leaky_relu, "", ALPHA("0.1"), "alpha = alpha"),
    ONE_AS(clamped_relu, "", ALPHA("0.1") BETA("2"), "alpha = alpha, beta = beta"),
    ONE_AS(thresholded_relu, "", ALPHA("0.5"), "alpha = alpha"),
    ONE_AS(elu, "0.5", ALPHA("0.5"), "alpha = alpha"),
    ONE_AS(elu, "0.3", ALPHA("0.3"), "alpha = alpha"),
    ONE_AS(sigmoid_hard, "", ALPHA("0.3") BETA("0.5"), "alpha = alpha, beta = beta"),
    ONE_AS(scaled_tanh, "1.5", ALPHA("1.5") BETA("0.75"), "alpha = alpha, beta = beta"),
    ONE_AS(scaled_tanh, "0.3", ALPHA("0.3") BETA("0.1"), "alpha = alpha, beta = beta"),
    CASE("prelu", "each number", EVERY,
         LET(T_EVERY, "out", "prelu(alpha = slope, x = in_a)"),
         .param = {SOME("slope", 1, 64)}),
    CUT("int32"),
    CUT("uint8"),
    CUT("bool"),
    CASE("quantize", "ties", EVERY,
         BACK CONST("fp16", "size", "0x1p-1") WORDS("byte", "int8")
             LET("tensor<int8, [1, 64, 1, 1024]>", "held",
                 "quantize(input = in_a, output_dtype = byte, scale = size)")
                 AS_HALF(T_EVERY, "held"),
         MORE),
    REDUCE(reduce_sum),
    REDUCE(reduce_mean),
    REDUCE(reduce_max),
    REDUCE(reduce_min),
    REDUCE(reduce_sum_square),
    REDUCE(reduce_l1_norm),
    REDUCE(reduce_l2_norm),
    REDUCE(reduce_log_sum),
    CASE("softmax", "of 64", EVERY,
         ALONG("1") LET(T_EVERY, "out", "softmax(axis = along, x = in_a)"), MORE),
    CASE("softmax", "of 1024", EVERY,
         ALONG("3") LET(T_EVERY, "out", "softmax(axis = along, x = in_a)"), MORE),
    CASE("matmul", "", T_SQUARE " in_a, " T_SQUARE " in_b",
         LET(T_SQUARE, "out", "matmul(x = in_a, y = in_b)"), MORE),
    CASE("linear", "little weights", "tensor<fp16, [200, 32]> in_a",
         LET("tensor<fp16, [200, 40]>", "out", "linear(weight = w_1, x = in_a)"),
         .param = {LITTLE("w_1", 2, 40, 32)}),
    CASE("linear", "bias", "tensor<fp16, [200, 32]> in_a",
         LET("tensor<fp16, [200, 40]>", "out",
             "linear(bias = b_1, weight = w_1, x = in_a)"),
         .param = {SOME("w_1", 2, 40, 32), SOME("b_1", 1, 40)}),
    CASE("conv", "little weights", IMAGE,
         LET("tensor<fp16, [2, 4, 5, 7]>", "out", "conv(weight = w_1, x = in_a)"),
         .param = {LITTLE("w_1", 4, 4, 3, 3, 3)}),
    CASE("conv", "", IMAGE,
         LET("tensor<fp16, [2, 4, 5, 7]>", "out", "conv(weight = w_1, x = in_a)"),
         .param = {SOME("w_1", 4, 4, 3, 3, 3)}),
    CASE("conv_transpose", "little weights", IMAGE,
         DECONV("tensor<fp16, [2, 4, 9, 11]>", ""), MORE,
         .param = {LITTLE("weight", 4, 3, 4, 3, 3)}),
    CASE("scaled_dot_product_attention", "", T_HEADS " in_a, " T_HEADS " in_b",
         LET(T_HEADS, "out",
             "scaled_dot_product_attention(key = in_b, query = in_a, value = in_b)"),
         MORE),
    TO_TYPE(reshape, "tensor<fp16, [64, 1024]>", INTS("2", "form", "[64, 1024]"),
            "shape = form"),
    TO_TYPE(transpose, "tensor<fp16, [1, 1024, 1, 64]>",
            INTS("4", "perm", "[0, 3, 2, 1]"), "perm = perm"),
    TO_TYPE(expand_dims, "tensor<fp16, [1, 1, 64, 1, 1024]>", INTS("1", "axes", "[0]"),
            "axes = axes"),
    TO_TYPE(squeeze, "tensor<fp16, [64, 1024]>", INTS("2", "axes", "[0, 2]"),
            "axes = axes"),
    TO_TYPE(slice_by_size, "tensor<fp16, [1, 62, 1, 1024]>",
            INTS("4", "from", "[0, 1, 0, 0]") INTS("4", "size", "[1, 62, 1, 1024]"),
            "begin = from, size = size"),
    TO_TYPE(tile, "tensor<fp16, [1, 64, 2, 1024]>", INTS("4", "reps", "[1, 1, 2, 1]"),
            "reps = reps"),
    CASE("split", "", EVERY,
         CONST("int32", "two", "2")
             ALONG("1") "        tensor<fp16, [1, 32, 1, 1024]> out, tensor<fp16, [1, "
                        "32, 1, 1024]> "
                        "rest = split(axis = along, num_splits = two, x = in_a)[name = "
                        "string(\"parts\")];\n",
         MORE),
    CASE("concat", "", EVERY_TWO,
         ALONG("2") NO LET("tensor<fp16, [1, 64, 2, 1024]>", "out",
                           "concat(axis = along, interleave = no, values = (in_a, "
                           "in_b))"),
         MORE),
    /* Constants are made when a program is loaded; here they are only seen. */
    CASE("const", "", IMAGE,
         ALONG("0") NO LET("tensor<fp16, [5, 3, 7, 9]>", "out",
                           "concat(axis = along, interleave = no, values = (in_a, "
                           "w_1))"),
         .param = {SOME("w_1", 4, 3, 3, 7, 9)}),
    CASE("fill", "", IMAGE,
         INTS("4", "form", "[1, 3, 7, 9]") CONST("fp16", "much", "2.1")
             LET("tensor<fp16, [1, 3, 7, 9]>", "full", "fill(shape = form, value = much)")
                 ALONG("0") NO LET("tensor<fp16, [3, 3, 7, 9]>", "out",
                                   "concat(axis = along, interleave = no, values = "
                                   "(in_a, full))"),
         MORE),
    CASE("constexpr_affine_dequantize", "", "tensor<fp16, [2, 4]> in_a",
         "        tensor<fp16, [1, 4]> w_1 = constexpr_affine_dequantize()[axis = "
         "int32(1), name = string(\"w_1\"), quantized_data = tensor<int8, [1, 4]>([[-3, "
         "-128, 127, 8]]), scale = fp16(0.1), zero_point = int8(8)];\n" ALONG("0")
             NO LET("tensor<fp16, [3, 4]>", "out",
                    "concat(axis = along, interleave = no, values = (in_a, w_1))"),
         MORE),
};

#endif
