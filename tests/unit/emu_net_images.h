/* emu_net_images.h - cases of ops that look at images: pooling, sizes, transposed
 * convolution. */
#ifndef EMU_NET_IMAGES_H
#define EMU_NET_IMAGES_H

#include "emu_net_values.h"

/* ---- pooling: kernel, stride, first place, result size; how many are counted ---- */
typedef enum { MOST, MEAN, MEAN_INSIDE, LENGTH } pool_kind;
static void pooled(const double *a, double *y, pool_kind kind, int kh, int kw, int sh,
                   int sw, int top, int left, int bottom, int right, int oh, int ow)
{
    for (int i = 0; i < NI * CI; i++)
        for (int p = 0; p < oh; p++)
            for (int q = 0; q < ow; q++) {
                double most = -INFINITY, sum = 0, squares = 0, inside = 0, all = 0;
                for (int u = 0; u < kh; u++)
                    for (int v = 0; v < kw; v++) {
                        int h = p * sh + u - top, w = q * sw + v - left;
                        if (h >= HI + bottom || w >= WI + right) continue;
                        all++;
                        if (h < 0 || h >= HI || w < 0 || w >= WI) continue;
                        double x = a[(i * HI + h) * WI + w];
                        inside++;
                        sum += x;
                        squares += x * x;
                        most = fmax(most, x);
                    }
                *y++ = kind == MOST     ? most
                       : kind == LENGTH ? sqrt(squares)
                                        : sum / (kind == MEAN ? all : inside);
            }
}
#define POOL(name, ...)                                           \
    static void name(const double *a, const double *b, double *y) \
    {                                                             \
        pooled(a, y, __VA_ARGS__);                                \
    }
/* (7 - 3) / 2 + 1 = 3, (9 - 2) / 2 + 1 = 4 */
POOL(w_max_valid, MOST, 3, 2, 2, 2, 0, 0, 0, 0, 3, 4)
/* same, k 3x2, s 2x2: 4 x 5; pads 2 (1,1) and 1 (0,1) */
POOL(w_max_same, MOST, 3, 2, 2, 2, 1, 0, 1, 1, 4, 5)
POOL(w_max_lower, MOST, 3, 2, 2, 2, 1, 1, 1, 0, 4, 5)
POOL(w_avg_lower, MEAN_INSIDE, 3, 2, 2, 2, 1, 1, 1, 0, 4, 5)
/* custom 1,0,1,1: (7 + 1 - 3) / 2 + 1 = 3, (9 + 2 - 3) / 3 + 1 = 3 */
POOL(w_max_custom, MOST, 3, 3, 2, 3, 1, 1, 0, 1, 3, 3)
POOL(w_avg_custom, MEAN, 3, 3, 2, 3, 1, 1, 0, 1, 3, 3)
POOL(w_avg_inside, MEAN_INSIDE, 3, 3, 2, 3, 1, 1, 0, 1, 3, 3)
/* ceil: (7 - 2) / 2 = 2.5 -> 4; (9 - 2) / 3 = 2.3 -> 4, whose last begins at 9 = the
 * end, and goes: 3 */
POOL(w_max_ceil, MOST, 2, 2, 2, 3, 0, 0, 0, 0, 4, 3)
POOL(w_avg_ceil, MEAN, 2, 2, 2, 3, 0, 0, 0, 0, 4, 3)
POOL(w_l2_valid, LENGTH, 3, 2, 2, 2, 0, 0, 0, 0, 3, 4)
POOL(w_avg_all, MEAN, 7, 9, 1, 1, 0, 0, 0, 0, 1, 1)
static void w_max_flat(const double *a, const double *b,
                       double *y) /* [2,4,16], k 3, s 2 */
{
    for (int i = 0; i < 8; i++)
        for (int q = 0; q < 7; q++)
            *y++ = fmax(a[i * 16 + 2 * q],
                        fmax(a[i * 16 + 2 * q + 1], a[i * 16 + 2 * q + 2]));
}
#define SIZES(k, s, t) INTS("2", "kernel", k) INTS("2", "steps", s) WORDS("edge", t)
#define POOLED(op, type, more)                                              \
    LET(type, "out",                                                        \
        op "(kernel_sizes = kernel, pad_type = edge, strides = steps, x = " \
           "in_a" more ")")
#define PADS(v) INTS("4", "pads", v)

/* ---- sizes ---- */
static double grid(const char *mode, int i, double in, double out)
{
    double spacing = (in - 1) / (out - 1), at = i * spacing;
    if (*mode == 'D') at = i * ((in - in / out) / (out - 1));
    if (*mode == 'O') at = 0.5 * (fmax(1, in - 1) / out) + i * (fmax(1, in - 1) / out);
    if (*mode == 'U') at = i * (in / out) + 0.5 * (in / out) - 0.5;
    if (*mode == 'A' && out == 1) at = (in - 1) / 2;
    if (*mode == 'S' && out == 1) at = 0;
    return fmin(in - 1, fmax(0, at));
}
static void bilinear(const double *a, double *y, const char *mode, int oh, int ow)
{
    for (int i = 0; i < NI * CI; i++)
        for (int p = 0; p < oh; p++)
            for (int q = 0; q < ow; q++, y++) {
                double v = grid(mode, p, HI, oh), u = grid(mode, q, WI, ow);
                *y = 0; /* every place weighs by its distance */
                for (int h = 0; h < HI; h++)
                    for (int w = 0; w < WI; w++)
                        *y += a[(i * HI + h) * WI + w] * fmax(0, 1 - fabs(v - h)) *
                              fmax(0, 1 - fabs(u - w));
            }
}
#define BILINEAR(name, mode, oh, ow)                              \
    static void name(const double *a, const double *b, double *y) \
    {                                                             \
        bilinear(a, y, mode, oh, ow);                             \
    }
BILINEAR(w_default, "D", 10, 5)
BILINEAR(w_align, "A", 10, 1)
BILINEAR(w_strict, "S", 14, 1)
BILINEAR(w_offset, "O", 10, 12)
BILINEAR(w_unalign, "U", 14, 18)
BILINEAR(w_up_align, "S", 14, 18)
BILINEAR(w_up_half, "U", 10, 18)
#define RESIZED(mode, h, w)                                                     \
    WORDS("sampling", mode)                                                     \
    CONST("int32", "high", h)                                                   \
    CONST("int32", "wide", w)                                                   \
    LET("tensor<fp16, [2, 3, " h ", " w "]>", "out",                            \
        "resize_bilinear(sampling_mode = sampling, target_size_height = high, " \
        "target_size_width = wide, x = in_a)")
static void nearest(const double *a, double *y, int oh, int ow)
{
    for (int i = 0; i < NI * CI; i++)
        for (int p = 0; p < oh; p++)
            for (int q = 0; q < ow; q++)
                *y++ = a[(i * HI + p * HI / oh) * WI + q * WI / ow];
}
static void w_nearest(const double *a, const double *b, double *y)
{
    nearest(a, y, 10, 5);
}
static void w_twice(const double *a, const double *b, double *y)
{
    nearest(a, y, 14, 13);
}

/* ---- transposed convolution ---- */
/* Scatter x [N,I,H,W] through weight [I,O/g,kh,kw]: the definition itself. */
static void scatter(const double *a, double *y, int g, int o, int kh, int kw, int sh,
                    int sw, int dh, int dw, int top, int left, int oh, int ow, bool bias)
{
    int per = CI / g, og = o / g;
    for (int i = 0; i < NI * o * oh * ow; i++)
        y[i] = bias ? net_value(1, i / (oh * ow) % o) : 0;
    for (int i = 0; i < IMAGES; i++) {
        int n = i / (CI * HI * WI), c = i / (HI * WI) % CI, h = i / WI % HI, w = i % WI;
        for (int k = 0; k < og * kh * kw; k++) {
            int f = k / (kh * kw), p = h * sh + k / kw % kh * dh - top,
                q = w * sw + k % kw * dw - left;
            if (p < 0 || p >= oh || q < 0 || q >= ow) continue;
            y[((n * o + c / per * og + f) * oh + p) * ow + q] +=
                a[i] * net_value(0, c * og * kh * kw + k);
        }
    }
}
#define SCATTER(name, ...)                                        \
    static void name(const double *a, const double *b, double *y) \
    {                                                             \
        scatter(a, y, __VA_ARGS__);                               \
    }
/* valid: (7 - 1) 2 + 3 = 15, (9 - 1) 1 + 2 = 10 */
SCATTER(w_deconv, 1, 4, 3, 2, 2, 1, 1, 1, 0, 0, 15, 10, false)
/* groups 3, custom 1 0 2 1, dilation 2 1: 6 2 + 4 + 1 - 1 = 16, 8 3 + 3 - 3 = 24 */
SCATTER(w_deconv_groups, 3, 6, 3, 3, 2, 3, 2, 1, 1, 2, 16, 24, true)
/* same: 14, 18 of 15, 19; the one more goes behind */
SCATTER(w_deconv_same, 1, 2, 3, 3, 2, 2, 1, 1, 0, 0, 14, 18, false)
/* output_shape 16 x 18 of 15 x 19 - 1 */
SCATTER(w_deconv_shape, 1, 2, 3, 3, 2, 2, 1, 1, 0, 1, 16, 18, false)
#define DECONV(type, more) \
    LET(type, "out", "conv_transpose(" more "weight = weight, x = in_a)")

/* ---- images at given places: every place weighs by its distance ---- */
static double outside(const double *a, int h, int w, char edge)
{
    int n[2] = {HI, WI}, at[2] = {h, w};
    for (int k = 0; k < 2; k++) {
        if (at[k] >= 0 && at[k] < n[k]) continue;
        if (edge == 'c') return 1.5;
        if (edge == 'z') return 0;
        if (edge == 'b') at[k] = at[k] < 0 ? 0 : n[k] - 1;
        while (edge == 'r' && (at[k] < 0 || at[k] >= n[k]))
            at[k] = at[k] < 0 ? -at[k] : 2 * n[k] - 2 - at[k];
        while (edge == 's' && (at[k] < 0 || at[k] >= n[k]))
            at[k] = at[k] < 0 ? -1 - at[k] : 2 * n[k] - 1 - at[k];
    }
    return a[at[0] * WI + at[1]];
}
static double tent(const double *a, double h, double w, char edge)
{
    double sum = 0;
    for (int i = -40; i < 60; i++)
        for (int j = -40; j < 60; j++) {
            double weight = fmax(0, 1 - fabs(h - i)) * fmax(0, 1 - fabs(w - j));
            if (weight > 0) sum += weight * outside(a, i, j, edge);
        }
    return sum;
}
/* in_b [2,4,5,2]: width, height */
static void resampled(const double *a, const double *b, double *y, char edge, int unit)
{
    for (int i = 0; i < NI * CI; i++)
        for (int k = 0; k < 20; k++) {
            const double *at = b + (i / CI * 20 + k) * 2;
            double w = at[0], h = at[1];
            if (unit == 1) w = (w + 1) / 2 * (WI - 1), h = (h + 1) / 2 * (HI - 1);
            if (unit == 2) w = ((w + 1) * WI - 1) / 2, h = ((h + 1) * HI - 1) / 2;
            if (unit == 3) w = w * WI - 0.5, h = h * HI - 0.5;
            *y++ = edge == 'n' ? outside(a + i * HI * WI, (int)floor(h + 0.5),
                                         (int)floor(w + 0.5), 'b')
                               : tent(a + i * HI * WI, h, w, edge);
        }
}
#define RESAMPLED(name, edge, unit)                               \
    static void name(const double *a, const double *b, double *y) \
    {                                                             \
        resampled(a, b, y, edge, unit);                           \
    }
RESAMPLED(w_at_constant, 'c', 0)
RESAMPLED(w_at_border, 'b', 1)
RESAMPLED(w_at_reflection, 'r', 2)
RESAMPLED(w_at_symmetric, 's', 3)
RESAMPLED(w_at_nearest, 'n', 0)
#define RESAMPLE(mode, edge, unit, align)                                           \
    WORDS("how", mode)                                                              \
    WORDS("rim", edge)                                                              \
    WORDS("unit", unit)                                                             \
    CONST("bool", "corners", align)                                                 \
    CONST("fp16", "much", "1.5")                                                    \
    LET("tensor<fp16, [2, 3, 4, 5]>", "out",                                        \
        "resample(align_corners = corners, coordinates = in_b, coordinates_mode = " \
        "unit, padding_mode = rim, padding_value = much, sampling_mode = how, x = " \
        "in_a)")
#define PLACES IMAGE ", tensor<fp16, [2, 4, 5, 2]> in_b"
/* weight [2,6] is the matrix; the result is 5 x 6 */
static void w_affine(const double *a, const double *b, double *y)
{
    for (int i = 0; i < NI * CI; i++)
        for (int p = 0; p < 5; p++)
            for (int q = 0; q < 6; q++) {
                double u = -1 + 0.4 * q, v = -1 + 0.5 * p, m[6];
                for (int k = 0; k < 6; k++) m[k] = net_value(0, i / CI * 6 + k);
                *y++ = tent(a + i * HI * WI,
                            (m[3] * u + m[4] * v + m[5] + 1) / 2 * (HI - 1),
                            (m[0] * u + m[1] * v + m[2] + 1) / 2 * (WI - 1), 'z');
            }
}
static const net_case image_cases[] = {
    {"resample",
     "constant",
     PLACES,
     RESAMPLE("bilinear", "constant", "unnormalized", "false"),
     -4,
     4,
     -3,
     11,
     {{0}},
     w_at_constant,
     0,
     0},
    {"resample",
     "border",
     PLACES,
     RESAMPLE("bilinear", "border", "normalized_minus_one_to_one", "true"),
     -4,
     4,
     -1.5,
     1.5,
     {{0}},
     w_at_border,
     0,
     0},
    {"resample",
     "reflection",
     PLACES,
     RESAMPLE("bilinear", "reflection", "normalized_minus_one_to_one", "false"),
     -4,
     4,
     -4,
     4,
     {{0}},
     w_at_reflection,
     0,
     0},
    {"resample",
     "symmetric",
     PLACES,
     RESAMPLE("bilinear", "symmetric", "normalized_zero_to_one", "false"),
     -4,
     4,
     -2,
     3,
     {{0}},
     w_at_symmetric,
     0,
     0},
    {"resample",
     "nearest",
     PLACES,
     RESAMPLE("nearest", "border", "unnormalized", "false"),
     -4,
     4,
     -3,
     11,
     {{0}},
     w_at_nearest,
     0,
     0},
    {"affine",
     "",
     IMAGE,
     WORDS("how", "bilinear") WORDS("rim", "constant")
         WORDS("unit", "normalized_minus_one_to_one") YES CONST("fp16", "none", "0")
             CONST("int32", "high", "5") CONST("int32", "wide", "6")
                 LET("tensor<fp16, [2, 3, 5, 6]>", "out",
                     "affine(align_corners = yes, coordinates_mode = unit, output_height "
                     "= high, output_width = wide, padding_mode = rim, padding_value = "
                     "none, sampling_mode = how, transform_matrix = matrix, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{"matrix", 2, {2, 6}, -0.75, 0.25, 7}},
     w_affine,
     0,
     0},
    {"max_pool",
     "valid",
     IMAGE,
     SIZES("[3, 2]", "[2, 2]", "valid")
         POOLED("max_pool", "tensor<fp16, [2, 3, 3, 4]>", ""),
     -4,
     4,
     0,
     0,
     {{0}},
     w_max_valid,
     0,
     0},
    {"max_pool",
     "same",
     IMAGE,
     SIZES("[3, 2]", "[2, 2]", "same")
         POOLED("max_pool", "tensor<fp16, [2, 3, 4, 5]>", ""),
     -4,
     -1,
     0,
     0,
     {{0}},
     w_max_same,
     0,
     0},
    {"max_pool",
     "same_lower",
     IMAGE,
     SIZES("[3, 2]", "[2, 2]", "same_lower")
         POOLED("max_pool", "tensor<fp16, [2, 3, 4, 5]>", ""),
     -4,
     4,
     0,
     0,
     {{0}},
     w_max_lower,
     0,
     0},
    {"max_pool",
     "custom",
     IMAGE,
     PADS("[1, 0, 1, 1]") SIZES("[3, 3]", "[2, 3]", "custom")
         POOLED("max_pool", "tensor<fp16, [2, 3, 3, 3]>", ", pad = pads"),
     -4,
     -1,
     0,
     0,
     {{0}},
     w_max_custom,
     0,
     0},
    {"max_pool",
     "ceil",
     IMAGE,
     YES SIZES("[2, 2]", "[2, 3]", "valid")
         POOLED("max_pool", "tensor<fp16, [2, 3, 4, 3]>", ", ceil_mode = yes"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_max_ceil,
     0,
     0},
    {"max_pool",
     "one axis",
     "tensor<fp16, [2, 4, 16]> in_a",
     INTS("1", "kernel", "[3]") INTS("1", "steps", "[2]") WORDS("edge", "valid")
         POOLED("max_pool", "tensor<fp16, [2, 4, 7]>", ""),
     -4,
     4,
     0,
     0,
     {{0}},
     w_max_flat,
     0,
     0},
    {"avg_pool",
     "custom",
     IMAGE,
     PADS("[1, 0, 1, 1]") SIZES("[3, 3]", "[2, 3]", "custom")
         POOLED("avg_pool", "tensor<fp16, [2, 3, 3, 3]>", ", pad = pads"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_avg_custom,
     0,
     0},
    {"avg_pool",
     "without padding",
     IMAGE,
     YES PADS("[1, 0, 1, 1]") SIZES("[3, 3]", "[2, 3]", "custom")
         POOLED("avg_pool", "tensor<fp16, [2, 3, 3, 3]>",
                ", exclude_padding_from_average = yes, pad = pads"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_avg_inside,
     0,
     0},
    {"avg_pool",
     "same_lower",
     IMAGE,
     YES SIZES("[3, 2]", "[2, 2]", "same_lower")
         POOLED("avg_pool", "tensor<fp16, [2, 3, 4, 5]>",
                ", exclude_padding_from_average = yes"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_avg_lower,
     0,
     0},
    {"avg_pool",
     "ceil",
     IMAGE,
     YES SIZES("[2, 2]", "[2, 3]", "valid")
         POOLED("avg_pool", "tensor<fp16, [2, 3, 4, 3]>", ", ceil_mode = yes"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_avg_ceil,
     0,
     0},
    {"avg_pool",
     "of the image",
     IMAGE,
     SIZES("[7, 9]", "[1, 1]", "valid")
         POOLED("avg_pool", "tensor<fp16, [2, 3, 1, 1]>", ""),
     -4,
     4,
     0,
     0,
     {{0}},
     w_avg_all,
     0,
     0},
    {"l2_pool",
     "valid",
     IMAGE,
     SIZES("[3, 2]", "[2, 2]", "valid")
         POOLED("l2_pool", "tensor<fp16, [2, 3, 3, 4]>", ""),
     -4,
     4,
     0,
     0,
     {{0}},
     w_l2_valid,
     0,
     0},
    {"resize_bilinear",
     "default",
     IMAGE,
     RESIZED("DEFAULT", "10", "5"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_default,
     0,
     0},
    {"resize_bilinear",
     "align",
     IMAGE,
     RESIZED("ALIGN_CORNERS", "10", "1"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_align,
     0,
     0},
    {"resize_bilinear",
     "strict",
     IMAGE,
     RESIZED("STRICT_ALIGN_CORNERS", "14", "1"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_strict,
     0,
     0},
    {"resize_bilinear",
     "offset",
     IMAGE,
     RESIZED("OFFSET_CORNERS", "10", "12"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_offset,
     0,
     0},
    {"resize_bilinear",
     "unalign",
     IMAGE,
     RESIZED("UNALIGN_CORNERS", "14", "18"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_unalign,
     0,
     0},
    {"upsample_bilinear",
     "align",
     IMAGE,
     CONST("int32", "two", "2") LET("tensor<fp16, [2, 3, 14, 18]>", "out",
                                    "upsample_bilinear(scale_factor_height = two, "
                                    "scale_factor_width = two, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_up_align,
     0,
     0},
    {"upsample_bilinear",
     "half",
     IMAGE,
     NO CONST("int32", "two", "2") CONST("fp32", "some", "1.5")
         LET("tensor<fp16, [2, 3, 10, 18]>", "out",
             "upsample_bilinear(align_corners = no, scale_factor_height = some, "
             "scale_factor_width = two, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_up_half,
     0,
     0},
    {"resize_nearest_neighbor",
     "",
     IMAGE,
     CONST("int32", "high", "10") CONST("int32", "wide", "5")
         LET("tensor<fp16, [2, 3, 10, 5]>", "out",
             "resize_nearest_neighbor(target_size_height = high, target_size_width = "
             "wide, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_nearest,
     0,
     0},
    {"upsample_nearest_neighbor",
     "",
     IMAGE,
     CONST("fp32", "two", "2") CONST("fp32", "some", "1.5")
         LET("tensor<fp16, [2, 3, 14, 13]>", "out",
             "upsample_nearest_neighbor(scale_factor_height = two, scale_factor_width = "
             "some, x = in_a)"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_twice,
     0,
     0},
    /* in exact up to 40 products are rounded to 2^-16, or dropped */
    {"conv_transpose",
     "valid",
     IMAGE,
     INTS("2", "steps", "[2, 1]")
         DECONV("tensor<fp16, [2, 4, 15, 10]>", "strides = steps, "),
     -2,
     2,
     0,
     0,
     {{"weight", 4, {3, 4, 3, 2}, -0.75, 0.125, 13}},
     w_deconv,
     0,
     0x1p-10},
    {"conv_transpose",
     "groups, dilation, bias",
     IMAGE,
     INTS("2", "steps", "[2, 3]") INTS("2", "apart", "[2, 1]") PADS("[1, 0, 2, 1]")
         CONST("int32", "many", "3") WORDS("edge", "custom")
             DECONV("tensor<fp16, [2, 6, 16, 24]>",
                    "bias = bias, dilations = apart, groups = many, pad = pads, pad_type "
                    "= edge, strides = steps, "),
     -2,
     2,
     0,
     0,
     {{"weight", 4, {3, 2, 3, 3}, -0.75, 0.125, 13}, {"bias", 1, {6}, -1, 0.25, 7}},
     w_deconv_groups,
     0,
     0x1p-10},
    {"conv_transpose",
     "same",
     IMAGE,
     INTS("2", "steps", "[2, 2]") WORDS("edge", "same")
         DECONV("tensor<fp16, [2, 2, 14, 18]>", "pad_type = edge, strides = steps, "),
     -2,
     2,
     0,
     0,
     {{"weight", 4, {3, 2, 3, 3}, -0.75, 0.125, 13}},
     w_deconv_same,
     0,
     0x1p-10},
    {"conv_transpose",
     "of a wanted shape",
     IMAGE,
     INTS("2", "steps", "[2, 2]") PADS("[0, 0, 1, 0]") INTS("4", "form", "[2, 2, 16, 18]")
         WORDS("edge", "custom") DECONV(
             "tensor<fp16, [2, 2, 16, 18]>",
             "output_shape = form, pad = pads, pad_type = edge, strides = steps, "),
     -2,
     2,
     0,
     0,
     {{"weight", 4, {3, 2, 3, 3}, -0.75, 0.125, 13}},
     w_deconv_shape,
     0,
     0x1p-10},
};

#endif
