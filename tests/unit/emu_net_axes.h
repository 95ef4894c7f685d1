/* emu_net_axes.h - cases of ops along axes: sums, order, einsum. */
#ifndef EMU_NET_AXES_H
#define EMU_NET_AXES_H

#include "emu_net_values.h"

/* ---- sums over channels and width, and others ---- */
static void sums(const double *a, double *y, int kind)
{
    for (int n = 0; n < NI; n++)
        for (int h = 0; h < HI; h++) {
            double squares = 0, sizes = 0, sum = 0, powers = 0;
            for (int c = 0; c < CI; c++)
                for (int w = 0; w < WI; w++) {
                    double x = a[AT(n, c, h, w)];
                    squares += x * x;
                    sizes += fabs(x);
                    sum += x;
                    powers += exp(x);
                }
            *y++ = kind == 0   ? squares
                   : kind == 1 ? sizes
                   : kind == 2 ? sqrt(squares)
                   : kind == 3 ? log(sum)
                               : log(powers);
        }
}
#define SUMS(name, kind)                                          \
    static void name(const double *a, const double *b, double *y) \
    {                                                             \
        sums(a, y, kind);                                         \
    }
SUMS(w_squares, 0)
SUMS(w_sizes, 1)
SUMS(w_length, 2)
SUMS(w_log_sum, 3)
SUMS(w_log_sum_exp, 4)
#define REDUCED(op)              \
    INTS("2", "axes", "[-1, 1]") \
    NO LET("tensor<fp16, [2, 7]>", "out", op "(axes = axes, keep_dims = no, x = in_a)")
static void w_cumsum(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++) {
        int c = i / (HI * WI) % CI;
        y[i] = a[i] + (c ? y[i - HI * WI] : 0);
    }
}
static void w_cumsum_back(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++) {
        y[i] = 0;
        for (int w = i % WI + 1; w < WI; w++) y[i] += a[i - i % WI + w];
    }
}

/* ---- order ---- */
/* How many of the axis come before: larger (or smaller), or equal and earlier. */
static int rank_of(const double *a, int i, int step, int n, bool up)
{
    int at = i / step % n, before = 0;
    for (int k = 0; k < n; k++) {
        double x = a[i + (k - at) * step];
        before += up ? x < a[i] : x > a[i];
        before += x == a[i] && k < at;
    }
    return before;
}
static void w_argmax(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++)
        if (!rank_of(a, i, WI, HI, false)) y[i / (HI * WI) * WI + i % WI] = i / WI % HI;
}
static void w_argmin(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++)
        if (!rank_of(a, i, 1, WI, true)) y[i / WI] = i % WI;
}
static void w_argsort(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++)
        y[i + (rank_of(a, i, WI, HI, true) - i / WI % HI) * WI] = i / WI % HI;
}
static void w_argsort_down(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++)
        y[i / WI * WI + rank_of(a, i, 1, WI, false)] = i % WI;
}
static void w_top_values(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++) {
        int r = rank_of(a, i, 1, WI, false);
        if (r < 5) y[i / WI * 5 + r] = a[i];
    }
}
static void w_top_places(const double *a, const double *b, double *y)
{
    for (int i = 0; i < IMAGES; i++) {
        int r = rank_of(a, i, WI * HI, CI, true);
        if (r < 2)
            y[(i / (WI * HI * CI) * 2 + r) * HI * WI + i % (WI * HI)] = i / (WI * HI) %
                                                                        CI;
    }
}

/* ---- einsum ---- */
static void w_einsum(const double *a, const double *b, double *y) /* nchw,nwhu->nchu */
{
    for (int n = 0; n < NI; n++)
        for (int c = 0; c < CI; c++)
            for (int h = 0; h < HI; h++)
                for (int u = 0; u < 5; u++, y++) {
                    *y = 0;
                    for (int w = 0; w < WI; w++)
                        *y += a[AT(n, c, h, w)] * b[((n * WI + w) * HI + h) * 5 + u];
                }
}
static void w_einsum_two(const double *a, const double *b, double *y) /* nchw,wcv->vhn */
{
    for (int v = 0; v < 4; v++)
        for (int h = 0; h < HI; h++)
            for (int n = 0; n < NI; n++, y++) {
                *y = 0;
                for (int c = 0; c < CI; c++)
                    for (int w = 0; w < WI; w++)
                        *y += a[AT(n, c, h, w)] * b[(w * CI + c) * 4 + v];
            }
}
static void w_einsum_outer(const double *a, const double *b, double *y) /* i,j->ji */
{
    for (int j = 0; j < 20; j++)
        for (int i = 0; i < 40; i++) *y++ = a[i] * b[j];
}

static const net_case axis_cases[] = {
    /* in exact 27 terms are added in fp16 */
    {"reduce_sum_square",
     "",
     IMAGE,
     REDUCED("reduce_sum_square"),
     -2,
     2,
     0,
     0,
     {{0}},
     w_squares,
     0,
     54 * 0x1p-11},
    {"reduce_l1_norm",
     "",
     IMAGE,
     REDUCED("reduce_l1_norm"),
     -2,
     2,
     0,
     0,
     {{0}},
     w_sizes,
     0,
     27 * 0x1p-11},
    {"reduce_l2_norm",
     "",
     IMAGE,
     REDUCED("reduce_l2_norm"),
     -2,
     2,
     0,
     0,
     {{0}},
     w_length,
     0,
     54 * 0x1p-11},
    {"reduce_log_sum",
     "",
     IMAGE,
     REDUCED("reduce_log_sum"),
     0.25,
     2,
     0,
     0,
     {{0}},
     w_log_sum,
     0,
     27 * 0x1p-11},
    {"reduce_log_sum_exp",
     "",
     IMAGE,
     REDUCED("reduce_log_sum_exp"),
     -2,
     2,
     0,
     0,
     {{0}},
     w_log_sum_exp,
     0,
     0},
    {"cumsum",
     "channels",
     IMAGE,
     CONST("int32", "along", "1") LET(T_IMAGE, "out", "cumsum(axis = along, x = in_a)"),
     -2,
     2,
     0,
     0,
     {{0}},
     w_cumsum,
     0,
     0},
    {"cumsum",
     "exclusive, from the end",
     IMAGE,
     YES CONST("int32", "along", "-1")
         LET(T_IMAGE, "out",
             "cumsum(axis = along, exclusive = yes, reverse = yes, x = in_a)"),
     -2,
     2,
     0,
     0,
     {{0}},
     w_cumsum_back,
     0,
     0},
    {"reduce_argmax",
     "",
     IMAGE,
     BACK NO CONST("int32", "along", "2")
         LET("tensor<int32, [2, 3, 9]>", "place",
             "reduce_argmax(axis = along, keep_dims = no, x = in_a)")
             AS_HALF("tensor<fp16, [2, 3, 9]>", "place"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_argmax,
     0,
     0},
    {"reduce_argmin",
     "",
     IMAGE,
     BACK YES WORDS("small", "uint16")
         LET("tensor<uint16, [2, 3, 7, 1]>", "place",
             "reduce_argmin(keep_dims = yes, output_dtype = small, x = in_a)")
             AS_HALF("tensor<fp16, [2, 3, 7, 1]>", "place"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_argmin,
     0,
     0},
    {"argsort",
     "up",
     IMAGE,
     BACK YES CONST("int32", "along", "2") LET(
         "tensor<int32, [2, 3, 7, 9]>", "place",
         "argsort(ascending = yes, axis = along, x = in_a)") AS_HALF(T_IMAGE, "place"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_argsort,
     0,
     0},
    {"argsort",
     "down",
     IMAGE,
     BACK LET("tensor<int32, [2, 3, 7, 9]>", "place", "argsort(x = in_a)")
         AS_HALF(T_IMAGE, "place"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_argsort_down,
     0,
     0},
    {"topk",
     "values",
     IMAGE,
     CONST("int32", "k_5",
           "5") "tensor<fp16, [2, 3, 7, 5]> out, tensor<int32, [2, 3, 7, 5]> place = "
                "topk(k = k_5, x = in_a)[name = string(\"top\")];\n",
     -4,
     4,
     0,
     0,
     {{0}},
     w_top_values,
     0,
     0},
    {"topk",
     "places",
     IMAGE,
     BACK YES CONST("int32", "k_2", "2") CONST(
         "int32", "along",
         "1") "tensor<fp16, [2, 2, 7, 9]> top, tensor<int32, [2, 2, 7, 9]> place = "
              "topk(ascending = yes, axis = along, k = k_2, x = in_a)[name = "
              "string(\"top_2\")];\n" AS_HALF("tensor<fp16, [2, 2, 7, 9]>", "place"),
     -4,
     4,
     0,
     0,
     {{0}},
     w_top_places,
     0,
     0},
    {"einsum",
     "nchw,nwhu->nchu",
     IMAGE ", tensor<fp16, [2, 9, 7, 5]> in_b",
     WORDS("sum", "nchw,nwhu->nchu") LET("tensor<fp16, [2, 3, 7, 5]>", "out",
                                         "einsum(equation = sum, values = (in_a, in_b))"),
     -1,
     1,
     -1,
     1,
     {{0}},
     w_einsum,
     0,
     0x1p-12},
    {"einsum",
     "nchw,wcv->vhn",
     IMAGE ", tensor<fp16, [9, 3, 4]> in_b",
     WORDS("sum", "nchw,wcv->vhn") LET("tensor<fp16, [4, 7, 2]>", "out",
                                       "einsum(equation = sum, values = (in_a, in_b))"),
     -1,
     1,
     -1,
     1,
     {{0}},
     w_einsum_two,
     0,
     0x1p-12},
    {"einsum",
     "i,j->ji",
     "tensor<fp16, [40]> in_a, tensor<fp16, [20]> in_b",
     WORDS("sum", "i,j->ji") LET("tensor<fp16, [20, 40]>", "out",
                                 "einsum(equation = sum, values = (in_a, in_b))"),
     -1,
     1,
     -1,
     1,
     {{0}},
     w_einsum_outer,
     0,
     0x1p-12},
};

#endif
