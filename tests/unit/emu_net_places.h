/* emu_net_places.h - cases of ops that only move numbers, and of constants that
 * are stored packed. Nothing is rounded, so equality is asked but for the constants
 * that are computed. */
#ifndef EMU_NET_PLACES_H
#define EMU_NET_PLACES_H

#include "emu_net_values.h"

#define FOR_EACH(C, H, W)                 \
    for (int n = 0; n < 2; n++)           \
        for (int c = 0; c < (C); c++)     \
            for (int h = 0; h < (H); h++) \
                for (int w = 0; w < (W); w++)
#define PLACE(name, C, H, W, expr)                                \
    static void name(const double *a, const double *b, double *y) \
    {                                                             \
        FOR_EACH(C, H, W) *y++ = expr;                            \
    }
static int mirror(int i, int n)
{
    return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
}
static int nearest_end(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}
#define IN(h, H, w, W) ((h) >= 0 && (h) < (H) && (w) >= 0 && (w) < (W))
PLACE(p_stack, 6, 7, 9, c < 3 ? a[AT(n, c, h, w)] : b[AT(n, c - 3, h, w)])
PLACE(p_stack_last, 3, 7, 18, w % 2 ? b[AT(n, c, h, w / 2)] : a[AT(n, c, h, w / 2)])
PLACE(p_pad, 3, 10, 14, IN(h - 1, 7, w - 3, 9) ? a[AT(n, c, h - 1, w - 3)] : 1.5)
PLACE(p_reflect, 3, 10, 14, a[AT(n, c, mirror(h - 1, 7), mirror(w - 3, 9))])
PLACE(p_replicate, 3, 10, 14, a[AT(n, c, nearest_end(h - 1, 7), nearest_end(w - 3, 9))])
PLACE(p_steps, 3, 3, 4, a[AT(n, c, 1 + 2 * h, 8 - 2 * w)])
PLACE(p_reverse, 3, 7, 9, a[AT(n, 2 - c, h, 8 - w)])
PLACE(p_reverse_all, 3, 7, 9, a[AT(1 - n, 2 - c, 6 - h, 8 - w)])
PLACE(p_crop, 3, 4, 6, a[AT(n, c, h + 1, w + 3)])
static void p_squeeze(const double *a, const double *b, double *y)
{
    for (int c = 0; c < 3; c++)
        for (int w = 0; w < 9; w++) *y++ = a[AT(1, c, 2, w)];
}
static void p_update(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++) y[i] = a[i];
    for (int n = 0; n < 2; n++)
        for (int h = 0; h < 3; h++)
            for (int w = 0; w < 4; w++)
                y[AT(n, 1, 1 + 2 * h, 8 - 2 * w)] = b[(n * 3 + h) * 4 + w];
}
static const int picked[4] = {2, 0, 2, 1};
PLACE(p_gather, 4, 7, 9, a[AT(n, picked[c], h, w)])
/* in_b [5] holds places of the width, some from the end */
PLACE(p_gather_fed, 3, 7, 5, a[AT(n, c, h, ((int)b[w] + 9) % 9)])
/* in_b [2,2]: channels of each image */
PLACE(p_gather_batch, 2, 7, 9, a[AT(n, (int)b[n * 2 + c], h, w)])
PLACE(p_along, 3, 4, 9, a[AT(n, c, ((int)b[((n * 3 + c) * 4 + h) * 9 + w] + 7) % 7, w)])
/* in_b [6,2]: image and channel */
static void p_gather_nd(const double *a, const double *b, double *y)
{
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 63; k++)
            *y++ = a[((int)b[2 * i] * 3 + (int)b[2 * i + 1]) * 63 + k];
}
/* Blocks on [2,12,4,6] */
#define BLOCKS(name, C, H, W, expr)                               \
    static void name(const double *a, const double *b, double *y) \
    {                                                             \
        FOR_EACH(C, H, W) *y++ = expr;                            \
    }
#define AB(n, c, h, w) ((((n)*12 + (c)) * 4 + (h)) * 6 + (w))
BLOCKS(p_to_space, 3, 8, 12, a[AB(n, (h % 2 * 2 + w % 2) * 3 + c, h / 2, w / 2)])
BLOCKS(p_shuffle, 3, 8, 12, a[AB(n, c * 4 + h % 2 * 2 + w % 2, h / 2, w / 2)])
BLOCKS(p_to_depth, 48, 2, 3, a[AB(n, c % 12, h * 2 + c / 24, w * 2 + c / 12 % 2)])
BLOCKS(p_unshuffle, 48, 2, 3, a[AB(n, c / 4, h * 2 + c / 2 % 2, w * 2 + c % 2)])
/* [2,12,4,6] with pads 1 1 0 2 in blocks of 2 x 4: [16,12,3,2] */
static void p_to_batch(const double *a, const double *b, double *y)
{
    for (int n = 0; n < 16; n++)
        for (int c = 0; c < 12; c++)
            for (int h = 0; h < 3; h++)
                for (int w = 0; w < 2; w++) {
                    int k = n / 2, p = h * 2 + k / 4 - 1, q = w * 4 + k % 4;
                    *y++ = IN(p, 4, q, 6) ? a[AB(n % 2, c, p, q)] : 0;
                }
}
/* [12,2,4,6] in blocks of 3 x 2 with crops 1 2 0 3: [2,2,9,9] */
static void p_from_batch(const double *a, const double *b, double *y)
{
    for (int n = 0; n < 2; n++)
        for (int c = 0; c < 2; c++)
            for (int h = 0; h < 9; h++)
                for (int w = 0; w < 9; w++) {
                    int p = h + 1, q = w, k = p % 3 * 2 + q % 2;
                    *y++ = a[(((k * 2 + n) * 2 + c) * 4 + p / 3) * 6 + q / 2];
                }
}
#define WIDE "tensor<fp16, [2, 12, 4, 6]> in_a"
#define TO(type, op, key) \
    CONST("int32", "two", "2") LET(type, "out", op "(" key " = two, x = in_a)")

/* ---- packed constants, added to in_a [2,4] ---- */
static void p_lut(const double *a, const double *b, double *y)
{
    static const double table[4] = {0.5, -1, 2, 8};
    static const int at[8] = {0, 3, 2, 1, 3, 3, 0, 2};
    for (int i = 0; i < 8; i++) y[i] = a[i] + table[at[i]];
}
/* Bytes 3 and 200 of two tables, one for each row. */
static void p_lut_bytes(const double *a, const double *b, double *y)
{
    for (int i = 0; i < 8; i++)
        y[i] = a[i] + net_value(0, (i / 4) * 256 + (i % 2 ? 200 : 3));
}
static void p_sparse(const double *a, const double *b, double *y)
{
    static const double w[8] = {0, 1.5, 0, 0, -2, 0, 3, 4};
    for (int i = 0; i < 8; i++) y[i] = a[i] + w[i];
}
static void p_blocks(const double *a, const double *b, double *y)
{
    static const double q[8] = {-3, 4, 5, -6, 100, -100, 7, 8};
    for (int i = 0; i < 8; i++) {
        int k = i / 4 * 2 + i % 4 / 2;
        y[i] = a[i] + (q[i] - (k - 1)) * (0.5 + 0.25 * k);
    }
}
#define FLAT "tensor<fp16, [2, 4]> in_a"
#define PLUS LET("tensor<fp16, [2, 4]>", "out", "add(x = in_a, y = w_1)")
#define T_FLAT "tensor<fp16, [2, 4]>"
#define T_FLAT_HALF "tensor<fp16, [2, 2]>"

#define PADDED(words, mode)                    \
    INTS("4", "pads", "[1, 2, 3, 2]")          \
    CONST("fp16", "much", "1.5")               \
    WORDS("how", mode)                         \
    LET("tensor<fp16, [2, 3, 10, 14]>", "out", \
        "pad(constant_val = much, mode = how, pad = pads, x = in_a)")
static const net_case place_cases[] = {
    {"stack",
     "then one axis",
     IMAGE ", " T_IMAGE " in_b",
     CONST("int32", "along", "1") INTS("4", "flat", "[2, 6, 7, 9]")
         LET("tensor<fp16, [2, 2, 3, 7, 9]>", "pile",
             "stack(axis = along, values = (in_a, in_b))")
             LET("tensor<fp16, [2, 6, 7, 9]>", "out", "reshape(shape = flat, x = pile)"),
     -4,
     4,
     -4,
     4,
     {{0}},
     p_stack,
     0,
     0},
    {"stack",
     "behind",
     IMAGE ", " T_IMAGE " in_b",
     CONST("int32", "along", "-1") INTS("4", "flat", "[2, 3, 7, 18]")
         LET("tensor<fp16, [2, 3, 7, 9, 2]>", "pile",
             "stack(axis = along, values = (in_a, in_b))")
             LET("tensor<fp16, [2, 3, 7, 18]>", "out", "reshape(shape = flat, x = pile)"),
     -4,
     4,
     -4,
     4,
     {{0}},
     p_stack_last,
     0,
     0},
    {"pad", "constant", IMAGE, PADDED("", "constant"), -4, 4, 0, 0, {{0}}, p_pad, 0, 0},
    {"pad", "reflect", IMAGE, PADDED("", "reflect"), -4, 4, 0, 0, {{0}}, p_reflect, 0, 0},
    {"pad",
     "replicate",
     IMAGE,
     PADDED("", "replicate"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_replicate,
     0,
     0},
    {"slice_by_index",
     "steps and masks",
     IMAGE,
     INTS("4", "from", "[0, 0, 1, 5]") INTS("4", "upto", "[2, 3, -1, 0]")
         INTS("4", "step", "[1, 1, 2, -2]")
             CONST("tensor<bool, [4]>", "edge", "[false, false, false, true]")
                 LET("tensor<fp16, [2, 3, 3, 4]>", "out",
                     "slice_by_index(begin = from, begin_mask = edge, end = upto, stride "
                     "= step, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_steps,
     0,
     0},
    {"slice_by_index",
     "squeezed",
     IMAGE,
     INTS("4", "from", "[-1, 0, 2, 0]") INTS("4", "upto", "[0, 0, 0, 0]")
         CONST("tensor<bool, [4]>", "whole", "[false, true, false, true]")
             CONST("tensor<bool, [4]>", "one", "[true, false, true, false]")
                 LET("tensor<fp16, [3, 9]>", "out",
                     "slice_by_index(begin = from, end = upto, end_mask = whole, "
                     "squeeze_mask = one, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_squeeze,
     0,
     0},
    {"slice_update",
     "",
     IMAGE ", tensor<fp16, [2, 3, 4]> in_b",
     INTS("4", "from", "[0, 1, 1, 8]") INTS("4", "upto", "[2, 2, 7, 0]")
         INTS("4", "step", "[1, 1, 2, -2]")
             CONST("tensor<bool, [4]>", "one", "[false, true, false, false]")
                 LET(T_IMAGE, "out",
                     "slice_update(begin = from, end = upto, squeeze_mask = one, stride "
                     "= step, update = in_b, x = in_a)"),
     -4,
     4,
     -4,
     4,
     {{0}},
     p_update,
     0,
     0},
    {"reverse",
     "two axes",
     IMAGE,
     INTS("2", "axes", "[-1, 1]") LET(T_IMAGE, "out", "reverse(axes = axes, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_reverse,
     0,
     0},
    {"reverse",
     "all",
     IMAGE,
     LET(T_IMAGE, "out", "reverse(x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_reverse_all,
     0,
     0},
    {"crop",
     "",
     IMAGE,
     INTS("2", "high", "[1, 2]") INTS("2", "wide", "[3, 0]")
         LET("tensor<fp16, [2, 3, 4, 6]>", "out",
             "crop(crop_height = high, crop_width = wide, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_crop,
     0,
     0},
    {"gather",
     "constant places",
     IMAGE,
     CONST("int32", "along", "1") INTS("4", "at", "[2, 0, -1, 1]")
         LET("tensor<fp16, [2, 4, 7, 9]>", "out",
             "gather(axis = along, indices = at, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_gather,
     0,
     0},
    {"gather",
     "places fed",
     IMAGE ", tensor<int32, [5]> in_b",
     CONST("int32", "along", "-1") LET("tensor<fp16, [2, 3, 7, 5]>", "out",
                                       "gather(axis = along, indices = in_b, x = in_a)"),
     -4,
     4,
     -9,
     9,
     {{0}},
     p_gather_fed,
     0,
     0},
    {"gather",
     "for each image",
     IMAGE ", tensor<uint16, [2, 2]> in_b",
     CONST("int32", "along", "1") CONST("int32", "shared", "1")
         LET("tensor<fp16, [2, 2, 7, 9]>", "out",
             "gather(axis = along, batch_dims = shared, indices = in_b, x = in_a)"),
     -4,
     4,
     0,
     3,
     {{0}},
     p_gather_batch,
     0,
     0},
    {"gather_along_axis",
     "",
     IMAGE ", tensor<int32, [2, 3, 4, 9]> in_b",
     CONST("int32", "along", "2")
         LET("tensor<fp16, [2, 3, 4, 9]>", "out",
             "gather_along_axis(axis = along, indices = in_b, x = in_a)"),
     -4,
     4,
     -7,
     7,
     {{0}},
     p_along,
     0,
     0},
    {"gather_nd",
     "",
     IMAGE ", tensor<int32, [6, 2]> in_b",
     LET("tensor<fp16, [6, 7, 9]>", "out", "gather_nd(indices = in_b, x = in_a)"),
     -4,
     4,
     0,
     2,
     {{0}},
     p_gather_nd,
     0,
     0},
    {"depth_to_space",
     "",
     WIDE,
     TO("tensor<fp16, [2, 3, 8, 12]>", "depth_to_space", "block_size"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_to_space,
     0,
     0},
    {"pixel_shuffle",
     "",
     WIDE,
     TO("tensor<fp16, [2, 3, 8, 12]>", "pixel_shuffle", "upscale_factor"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_shuffle,
     0,
     0},
    {"space_to_depth",
     "",
     WIDE,
     TO("tensor<fp16, [2, 48, 2, 3]>", "space_to_depth", "block_size"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_to_depth,
     0,
     0},
    {"pixel_unshuffle",
     "",
     WIDE,
     TO("tensor<fp16, [2, 48, 2, 3]>", "pixel_unshuffle", "downscale_factor"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_unshuffle,
     0,
     0},
    {"space_to_batch",
     "",
     WIDE,
     INTS("2", "form", "[2, 4]")
         CONST("tensor<int32, [2, 2]>", "pads", "[[1, 1], [0, 2]]")
             LET("tensor<fp16, [16, 12, 3, 2]>", "out",
                 "space_to_batch(block_shape = form, paddings = pads, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_to_batch,
     0,
     0},
    {"batch_to_space",
     "",
     "tensor<fp16, [12, 2, 4, 6]> in_a",
     INTS("2", "form", "[3, 2]") CONST("tensor<int32, [2, 2]>", "cut", "[[1, 2], [0, 3]]")
         LET("tensor<fp16, [2, 2, 9, 9]>", "out",
             "batch_to_space(block_shape = form, crops = cut, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     p_from_batch,
     0,
     0},
    /* indices 0 3 2 1 | 3 3 0 2, two bits each, the lowest first */
    {"constexpr_lut_to_dense",
     "packed",
     FLAT,
     T_FLAT " w_1 = constexpr_lut_to_dense()[indices = tensor<uint8, [2]>([108, 143]), "
            "lut = tensor<fp16, [4]>([0.5, -1, 2, 8]), name = string(\"w_1\"), shape = "
            "tensor<uint32, [2]>([2, 4])];\n" PLUS,
     -1,
     1,
     0,
     0,
     {{0}},
     p_lut,
     0,
     0},
    {"constexpr_lut_to_dense",
     "bytes",
     FLAT,
     CONST("tensor<uint8, [2, 4]>", "at", "[[3, 200, 3, 200], [3, 200, 3, 200]]")
         LET(T_FLAT, "w_1", "constexpr_lut_to_dense(indices = at, lut = table)") PLUS,
     -1,
     1,
     0,
     0,
     {{"table", 4, {2, 1, 256, 1}, -4, 0.125, 61}},
     p_lut_bytes,
     0,
     0},
    {"constexpr_sparse_to_dense",
     "",
     FLAT,
     T_FLAT " w_1 = constexpr_sparse_to_dense()[mask = tensor<uint8, [1]>([210]), name = "
            "string(\"w_1\"), nonzero_data = tensor<fp16, [4]>([1.5, -2, 3, 4]), shape = "
            "tensor<uint32, [2]>([2, 4])];\n" PLUS,
     -1,
     1,
     0,
     0,
     {{0}},
     p_sparse,
     0,
     0},
    {"constexpr_blockwise_shift_scale",
     "",
     FLAT,
     CONST("tensor<int8, [2, 4]>", "held", "[[-3, 4, 5, -6], [100, -100, 7, 8]]") CONST(
         "tensor<int8, [2, 2]>", "zero",
         "[[-1, 0], [1, 2]]") CONST(T_FLAT_HALF, "size", "[[0.5, 0.75], [1, 1.25]]")
         LET(T_FLAT, "w_1",
             "constexpr_blockwise_shift_scale(data = held, offset = zero, scale = size)")
             PLUS,
     -1,
     1,
     0,
     0,
     {{0}},
     p_blocks,
     0,
     0},
};

#endif
