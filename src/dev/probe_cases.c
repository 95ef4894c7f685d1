/* probe_cases.c - for each rule the smallest program that breaks it and no
 * other. The rules, their symptoms and sources are in rules.def. */
#include <math.h>
#include <stdio.h>
#include "dev/probe_case.h"

#define NAMED(type, name, expr) \
    type " " name " = " expr "[name = string(\"" name "\")];\n"
#define FIXED(type, name, val) \
    type " " name " = const()[name = string(\"" name "\"), val = " type "(" val ")];\n"
#define ROWS "tensor<fp16, [1, 4, 1, 32]>"
#define SQUARE "tensor<fp16, [1, 1, 32, 32]>"
#define WEIGHT "tensor<fp16, [4, 4, 1, 1]>"
#define NO FIXED("bool", "no", "false")
#define ONE FIXED("fp16", "one", "0x1p+0")
#define INTS4(name, val) FIXED("tensor<int32, [4]>", name, val)

/* clang-format off */
#define TYPE4(n, ch, h, w) {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {n, ch, h, w}}
#define T_ROWS TYPE4(1, 4, 1, 32)
#define T_SQUARE TYPE4(1, 1, 32, 32)

/* One input of ramp 1, 2, .. 8 and what becomes of it. */
#define IN                                    \
    {                                         \
        {                                     \
            "in_a", T_ROWS, {1, 1}, {0, 0}, 0 \
        }                                     \
    }
#define OUT(base, slope)                              \
    {                                                 \
        {                                             \
            "out_a", T_ROWS, {base, slope}, {0, 0}, 0 \
        }                                             \
    }
/* clang-format on */
#define PLUS_ONE ONE NAMED(ROWS, "out_a", "add(x = in_a, y = one)")

/* ---- cases whose size is the chip's limit ---- */
static void longest_axis(probe_case *c, const dev_caps *caps, str *body)
{
    int64_t width = (caps->profile ? caps->profile->max_axis : 65536) + 32;
    c->in[0].type.d[3] = c->out[0].type.d[3] = width;
    str_addf(body,
             ONE "tensor<fp16, [1, 1, 1, %lld]> out_a = add(x = in_a, y = one)[name = "
                 "string(\"out_a\")];\n",
             (long long)width);
}

/* Width 64, kernel two wider than allowed, one in its middle. */
static void widest_kernel(probe_case *c, const dev_caps *caps, str *body)
{
    int width = caps->profile && caps->profile->family == DEV_H13 ? 15 : 17;
    str_addf(body,
             "tensor<fp16, [4, 1, 1, %d]> weight = const()[name = string(\"weight\"), "
             "val = tensor<fp16, [4, 1, 1, %d]>([",
             width, width);
    for (int o = 0; o < 4; o++) {
        str_add(body, o ? ", [[[" : "[[[");
        for (int i = 0; i < width; i++)
            str_addf(body, "%s%s", i ? ", " : "", i == width / 2 ? "0x1p+0" : "0x0p+0");
        str_add(body, "]]]");
    }
    str_addf(
        body,
        "])];\n" FIXED("tensor<int32, [2]>", "ones", "[1, 1]") FIXED("int32", "many", "4")
            FIXED("string", "custom",
                  "\"custom\"") "tensor<int32, [4]> pads = const()[name = "
                                "string(\"pads\"), val = "
                                "tensor<int32, [4]>([0, 0, %d, %d])];\n" NAMED(
                                    ROWS, "out_a",
                                    "conv(dilations = ones, groups = many, pad = pads, "
                                    "pad_type = "
                                    "custom, strides = ones, weight = weight, x = in_a)"),
        width / 2, width / 2);
}

static void longest_chain(probe_case *c, const dev_caps *caps, str *body)
{
    str_add(body, ONE);
    for (int i = 0; i < 400; i++) {
        char from[16] = "in_a", to[16] = "out_a";
        if (i) snprintf(from, sizeof from, "v_%d", i - 1);
        if (i < 399) snprintf(to, sizeof to, "v_%d", i);
        str_addf(body, ROWS " %s = add(x = %s, y = one)[name = string(\"%s\")];\n", to,
                 from, to);
    }
}

static void sum_of_blobs(probe_case *c, const dev_caps *caps, str *body)
{
    for (int i = 0; i < c->n_blobs; i++) {
        char from[16] = "in_a", to[16] = "out_a";
        if (i) snprintf(from, sizeof from, "v_%d", i - 1);
        if (i < c->n_blobs - 1) snprintf(to, sizeof to, "v_%d", i);
        str_addf(body, ROWS " %s = add(x = %s, y = w_%d)[name = string(\"%s\")];\n", to,
                 from, i, to);
    }
}

/* ---- the table ---- */
/* clang-format off */
static const probe_case cases[DEV_RULES] = {
    /* Equal bytes, other shapes: bound as declared they are swapped. */
    [RULE_input_order] = {
        .in = {{"in_b", TYPE4(1, 8, 1, 32), {64, 1}, {0, 0}, 0},
               {"in_a", TYPE4(1, 4, 1, 64), {0, 1}, {0, 0}, 0}},
        .out = {{"out_a", TYPE4(1, 8, 1, 32), {64, 0}, {-64, 0}, 0}},
        .declared = true, .shows = true,
        .body = INTS4("form", "[1, 8, 1, 32]")
            NAMED("tensor<fp16, [1, 8, 1, 32]>", "formed", "reshape(shape = form, x = in_a)")
            NAMED("tensor<fp16, [1, 8, 1, 32]>", "out_a", "sub(x = in_b, y = formed)")},
    [RULE_output_order] = {
        .in = {{"in_a", TYPE4(1, 8, 1, 32), {0, 1}, {0, 0}, 0}},
        .out = {{"out_b", TYPE4(1, 8, 1, 32), {1, 1}, {0, 2}, 0},
                {"out_a", TYPE4(1, 4, 1, 64), {0, 2}, {1, 1}, 0}},
        .declared = true, .shows = true,
        .body = ONE INTS4("form", "[1, 4, 1, 64]")
            NAMED("tensor<fp16, [1, 8, 1, 32]>", "out_b", "add(x = in_a, y = one)")
            NAMED("tensor<fp16, [1, 8, 1, 32]>", "twice", "add(x = in_a, y = in_a)")
            NAMED("tensor<fp16, [1, 4, 1, 64]>", "out_a", "reshape(shape = form, x = twice)")},
    [RULE_slot_sizes] = {
        .in = {{"in_a", T_ROWS, {1, 1}, {0, 0}, 65536},
               {"in_b", T_ROWS, {1, 0}, {0, 0}, 49152}},
        .out = OUT(2, 1), .also = "uniform_surfaces",
        .body = NAMED(ROWS, "out_a", "add(x = in_a, y = in_b)")},
    [RULE_uniform_surfaces] = {
        .in = {{"in_a", T_ROWS, {1, 1}, {0, 0}, 49152},
               {"in_b", T_ROWS, {1, 0}, {0, 0}, 65536}},
        .out = OUT(2, 1),
        .body = NAMED(ROWS, "out_a", "add(x = in_a, y = in_b)")},
    [RULE_surface_minimum] = {
        .in = {{"in_a", T_ROWS, {1, 1}, {0, 0}, 16384}},
        .out = {{"out_a", T_ROWS, {2, 1}, {0, 0}, 16384}}, .body = PLUS_ONE},
    [RULE_surface_pages] = {
        .in = {{"in_a", T_ROWS, {1, 1}, {0, 0}, 49152 + 64}},
        .out = {{"out_a", T_ROWS, {2, 1}, {0, 0}, 49152 + 64}}, .body = PLUS_ONE},
    [RULE_row_multiple] = {
        .in = {{"in_a", TYPE4(1, 4, 1, 40), {1, 1}, {0, 0}, 0}},
        .out = {{"out_a", TYPE4(1, 4, 1, 40), {2, 1}, {0, 0}, 0}},
        .body = ONE NAMED("tensor<fp16, [1, 4, 1, 40]>", "out_a", "add(x = in_a, y = one)")},
    [RULE_packed_from_zero] = {.ask = probe_packed},
    [RULE_inputs_used] = {
        .in = {{"in_a", T_ROWS, {1, 1}, {0, 0}, 0}, {"in_b", T_ROWS, {1, 0}, {0, 0}, 0}},
        .out = OUT(2, 1), .body = PLUS_ONE},
    [RULE_outputs_computed] = {
        .in = IN,
        .out = {{"in_a", T_ROWS, {1, 1}, {0, 0}, 0}, {"out_a", T_ROWS, {2, 1}, {0, 0}, 0}},
        .body = PLUS_ONE},
    [RULE_surface_slots] = {.ask = probe_many_surfaces},
    [RULE_rank_limit] = {
        .in = IN, .out = OUT(2, 1),
        .body = ONE FIXED("tensor<int32, [6]>", "deep", "[1, 2, 2, 1, 1, 32]")
            INTS4("form", "[1, 4, 1, 32]")
            NAMED("tensor<fp16, [1, 2, 2, 1, 1, 32]>", "folded",
                  "reshape(shape = deep, x = in_a)")
            NAMED("tensor<fp16, [1, 2, 2, 1, 1, 32]>", "sum", "add(x = folded, y = one)")
            NAMED(ROWS, "out_a", "reshape(shape = form, x = sum)")},
    [RULE_matmul_rank] = {
        .in = {{"in_a", T_SQUARE, {1, 0}, {0, 0}, 0}},
        .out = {{"out_a", T_SQUARE, {32, 0}, {0, 0}, 0}},
        .body = NO FIXED("tensor<int32, [5]>", "deep", "[1, 1, 1, 32, 32]")
            INTS4("form", "[1, 1, 32, 32]")
            NAMED("tensor<fp16, [1, 1, 1, 32, 32]>", "folded",
                  "reshape(shape = deep, x = in_a)")
            NAMED("tensor<fp16, [1, 1, 1, 32, 32]>", "product",
                  "matmul(transpose_x = no, transpose_y = no, x = folded, y = folded)")
            NAMED(SQUARE, "out_a", "reshape(shape = form, x = product)")},
    [RULE_matmul_batch] = {
        .in = {{"in_a", TYPE4(1, 2, 32, 32), {1, 0}, {0, 0}, 0},
               {"in_b", T_SQUARE, {1, 0}, {0, 0}, 0}},
        .out = {{"out_a", TYPE4(1, 2, 32, 32), {32, 0}, {0, 0}, 0}},
        .body = NO NAMED("tensor<fp16, [1, 2, 32, 32]>", "out_a",
                         "matmul(transpose_x = no, transpose_y = no, x = in_a, y = in_b)")},
    [RULE_axis_limit] = {
        .in = {{"in_a", TYPE4(1, 1, 1, 0), {1, 1}, {0, 0}, 0}},
        .out = {{"out_a", TYPE4(1, 1, 1, 0), {2, 1}, {0, 0}, 0}}, .prepare = longest_axis},
    [RULE_concat_pairs] = {
        .in = {{"in_a", T_ROWS, {1, 1}, {0, 0}, 0}},
        .out = {{"out_a", TYPE4(1, 12, 1, 32), {1, 1}, {0, 0}, 0}}, .also = "concat_refused",
        .body = NO FIXED("int32", "axis", "1")
            NAMED("tensor<fp16, [1, 12, 1, 32]>", "out_a",
                  "concat(axis = axis, interleave = no, values = (in_a, in_a, in_a))")},
    [RULE_concat_refused] = {
        .in = {{"in_a", T_ROWS, {1, 1}, {0, 0}, 0}},
        .out = {{"out_a", TYPE4(1, 8, 1, 32), {1, 1}, {0, 0}, 0}},
        .body = NO FIXED("int32", "axis", "1")
            NAMED("tensor<fp16, [1, 8, 1, 32]>", "out_a",
                  "concat(axis = axis, interleave = no, values = (in_a, in_a))")},
    [RULE_tile_poison] = {.ask = probe_poison},
    [RULE_rsqrt_refused] = {
        .in = {{"in_a", T_ROWS, {4, 0}, {0, 0}, 0}}, .out = OUT(0.5, 0),
        .body = FIXED("fp16", "zero", "0x0p+0")
            NAMED(ROWS, "out_a", "rsqrt(epsilon = zero, x = in_a)")},
    [RULE_gelu_refused] = {
        .in = {{"in_a", T_ROWS, {8, 0}, {0, 0}, 0}}, .out = OUT(8, 0),
        .body = FIXED("string", "form", "\"TANH_APPROXIMATION\"")
            NAMED(ROWS, "out_a", "gelu(mode = form, x = in_a)")},
    [RULE_conv_bias] = {
        .in = {{"in_a", T_ROWS, {1, 0}, {0, 0}, 0}}, .out = OUT(6, 0),
        .body = FIXED(WEIGHT, "weight", "0x1p+0") FIXED("tensor<fp16, [4]>", "bias", "0x1p+1")
            NAMED(ROWS, "out_a", "conv(bias = bias, weight = weight, x = in_a)")},
    [RULE_conv_runtime_weight] = {
        .in = {{"in_a", T_ROWS, {1, 0}, {0, 0}, 0},
               {"in_w", TYPE4(4, 4, 1, 32), {1, 0}, {0, 0}, 0}},
        .out = OUT(4, 0), .shows = true,
        .body = INTS4("from", "[0, 0, 0, 0]") INTS4("size", "[4, 4, 1, 1]")
            NAMED(WEIGHT, "weight", "slice_by_size(begin = from, size = size, x = in_w)")
            NAMED(ROWS, "out_a", "conv(weight = weight, x = in_a)")},
    [RULE_conv_kernel_width] = {.in = IN, .out = OUT(1, 1), .prepare = widest_kernel},
    [RULE_grouped_conv_limit] = {
        .in = {{"in_a", TYPE4(1, 6, 1, 32), {1, 0}, {0, 0}, 0}},
        .out = {{"out_a", TYPE4(1, 8, 1, 32), {1, 0}, {0, 0}, 0}}, .unsound = true,
        .body = FIXED("tensor<fp16, [8, 1, 1, 1]>", "weight", "0x1p+0")
            FIXED("int32", "many", "4")
            NAMED("tensor<fp16, [1, 8, 1, 32]>", "out_a",
                  "conv(groups = many, weight = weight, x = in_a)")},
    /* Equal scores; the mask leaves keys 0, 8, 16 and 24, where the value is 1.
     * Without it the result is the mean of 1, 2, .. 8. */
    [RULE_sdpa_mask] = {
        .in = {{"in_k", T_SQUARE, {0, 0}, {0, 0}, 0},
               {"in_m", T_SQUARE, {0, -10000}, {0, 0}, 0},
               {"in_q", T_SQUARE, {0, 0}, {0, 0}, 0},
               {"in_v", T_SQUARE, {1, 1}, {0, 0}, 0}},
        .out = {{"out_a", T_SQUARE, {1, 0}, {4.5, 0}, 0}}, .shows = true,
        .body = INTS4("order", "[0, 1, 3, 2]")
            NAMED(SQUARE, "values", "transpose(perm = order, x = in_v)")
            NAMED(SQUARE, "out_a",
                  "scaled_dot_product_attention(attn_mask = in_m, key = in_k, query = in_q, "
                  "value = values)")},
    [RULE_inline_bool] = {
        .in = {{"in_a", T_SQUARE, {1, 0}, {0, 0}, 0}},
        .out = {{"out_a", T_SQUARE, {32, 0}, {0, 0}, 0}},
        .body = NAMED(SQUARE, "out_a",
                      "matmul(transpose_x = bool(false), transpose_y = bool(true), x = in_a, "
                      "y = in_a)")},
    [RULE_build_info] = {.in = IN, .out = OUT(2, 1), .body = PLUS_ONE, .no_version = true},
    [RULE_risky_names] = {
        .in = IN, .out = OUT(3, 1),
        .body = ONE NAMED(ROWS, "mean", "add(x = in_a, y = one)")
            NAMED(ROWS, "out_a", "add(x = mean, y = one)")},
    [RULE_blob_count] = {.in = IN, .out = OUT(18, 1), .n_blobs = 17, .prepare = sum_of_blobs},
    [RULE_blob_single_file] = {
        .in = IN, .out = OUT(3, 1), .n_blobs = 2, .one_file = true, .prepare = sum_of_blobs},
    /* 2^30 elements that one number stands for. */
    [RULE_baked_bytes] = {
        .in = IN, .out = OUT(2, 1),
        .body = FIXED("tensor<fp16, [1, 65536, 1, 16384]>", "large", "0x1p+0")
            INTS4("from", "[0, 0, 0, 0]") INTS4("size", "[1, 4, 1, 32]")
            NAMED(ROWS, "part", "slice_by_size(begin = from, size = size, x = large)")
            NAMED(ROWS, "out_a", "add(x = in_a, y = part)")},
    [RULE_graph_depth] = {.in = IN, .out = OUT(401, 1), .prepare = longest_chain},
    [RULE_mul_zero_after_reduce] = {
        .in = IN, .out = OUT(1, 1),
        .body = FIXED("tensor<int32, [1]>", "axes", "[1]") FIXED("bool", "yes", "true")
            FIXED("fp16", "zero", "0x0p+0")
            NAMED("tensor<fp16, [1, 1, 1, 32]>", "sum",
                  "reduce_sum(axes = axes, keep_dims = yes, x = in_a)")
            NAMED("tensor<fp16, [1, 1, 1, 32]>", "none", "mul(x = sum, y = zero)")
            NAMED(ROWS, "out_a", "add(x = in_a, y = none)")},
    [RULE_fp16_io] = {
        .in = {{"in_a", {.dtype = MIL_FP32, .tensor = true, .rank = 4, .d = {1, 4, 1, 32}},
                {1, 1}, {0, 0}, 0}},
        .out = OUT(2, 1),
        .body = ONE FIXED("string", "half", "\"fp16\"")
            NAMED(ROWS, "narrow", "cast(dtype = half, x = in_a)")
            NAMED(ROWS, "out_a", "add(x = narrow, y = one)")},
    [RULE_cast_int32] = {
        .in = {{"in_a", T_ROWS, {1.5, 1}, {0, 0}, 0}}, .out = OUT(1, 1),
        .body = FIXED("string", "half", "\"fp16\"") FIXED("string", "whole", "\"int32\"")
            NAMED("tensor<int32, [1, 4, 1, 32]>", "cut", "cast(dtype = whole, x = in_a)")
            NAMED(ROWS, "out_a", "cast(dtype = half, x = cut)")},
    [RULE_bool_io] = {
        .in = IN,
        .out = {{"out_a", {.dtype = MIL_BOOL, .tensor = true, .rank = 4, .d = {1, 4, 1, 32}},
                 {1, 0}, {0, 0}, 0}},
        .also = "fp16_io",
        .body = ONE NAMED("tensor<bool, [1, 4, 1, 32]>", "out_a",
                          "greater_equal(x = in_a, y = one)")},
    [RULE_slice_clamp] = {
        .in = {{"in_a", TYPE4(1, 4, 1, 64), {5000, 0}, {0, 0}, 0}},
        .out = {{"out_a", T_ROWS, {5000, 0}, {INFINITY, 0}, 0}}, .shows = true,
        .body = INTS4("from", "[0, 0, 0, 32]") INTS4("size", "[1, 4, 1, 32]")
            NAMED(ROWS, "out_a", "slice_by_size(begin = from, size = size, x = in_a)")},
    [RULE_mac_cliff] = {
        .in = {{"in_a", T_SQUARE, {32, 0}, {0, 0}, 0}},
        .out = {{"out_a", T_SQUARE, {32768, 0}, {INFINITY, 0}, 0}}, .shows = true,
        .body = NO NAMED(SQUARE, "out_a",
                         "matmul(transpose_x = no, transpose_y = no, x = in_a, y = in_a)")},
    /* A running sum of 3/4 in fp16 stands still at 2048, whichever way halves are
     * rounded. (One of ones does so at 2048 or, if halves go away from zero, at
     * 4096, where it had first made up what is lost after.) */
    [RULE_reduce_narrow] = {
        .in = {{"in_a", TYPE4(1, 4096, 1, 32), {0.75, 0}, {0, 0}, 0}},
        .out = {{"out_a", TYPE4(1, 1, 1, 32), {3072, 0}, {2048, 0}, 0}}, .shows = true,
        .body = FIXED("tensor<int32, [1]>", "axes", "[1]") FIXED("bool", "yes", "true")
            NAMED("tensor<fp16, [1, 1, 1, 32]>", "out_a",
                  "reduce_sum(axes = axes, keep_dims = yes, x = in_a)")},
    [RULE_compile_budget] = {.ask = probe_budget},
    [RULE_program_slots] = {.ask = probe_slots},
    [RULE_queue_depth] = {.ask = probe_queue},
    [RULE_one_in_flight] = {.ask = probe_overlap},
};
/* clang-format on */

const probe_case *probe_case_of(dev_rule r)
{
    return &cases[r];
}

bool probe_also_holds(dev_rule r, const uint8_t *holds)
{
    return cases[r].also && holds[dev_rule_find(cases[r].also)];
}
