/* check_numbers.c - points of the chip's arithmetic that others measured on
 * chips and published; sources are in checks.def. Each is put so that IEEE
 * arithmetic in fp16 with a wide sum would give another answer. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"
#include "dev/check.h"
#include "dev/probe_case.h"

#define HEAD                                                                  \
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", " \
    "\"3505.4.1\"}})]\n{ func main<ios18>("
#define ROWS "tensor<fp16, [1, 4, 1, 32]>"
#define SQUARE "tensor<fp16, [1, 1, 32, 32]>"
enum { ROW = 4 * 32, SIDE = 32 };

static const char product_text[] = HEAD SQUARE
    " in_a, " SQUARE " in_b) {\n"
    "bool no = const()[name = string(\"no\"), val = bool(false)];\n" SQUARE
    " out_a = matmul(transpose_x = no, transpose_y = no, x = in_a, y = "
    "in_b)[name = string(\"out_a\")];\n} -> (out_a); }\n";

static rc settle(rc r, dev_sight *out)
{
    return r == OK ? OK : probe_refused(out, DEV_SEEN_REFUSED, r, true);
}

/* ---- sums that the output stage rounds ----
 * A row of 32 numbers first + k * step (k = 0..7, four times) times ones: the
 * sum is 32 first + 112 step, and every number is exact in fp16. */
static rc sum_of(device *d, double first, double step, double *sum)
{
    half a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE];
    const half *in[] = {a, b};
    half *out[] = {c};
    for (int i = 0; i < SIDE * SIDE; i++) {
        a[i] = half_from_double(first + step * (i % 8));
        b[i] = half_from_double(1);
    }
    TRY(check_compute(d, "sum", product_text, in, out));
    *sum = half_to_double(c[0]);
    return OK;
}

static rc expect_sum(device *d, double first, double step, double want, dev_sight *out)
{
    double had;
    rc r = sum_of(d, first, step, &had);
    if (r != OK) return settle(r, out);
    check_say(out, had == want ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG,
              "a sum of %g became %g, wanted %g", 32 * first + 112 * step, had, want);
    return OK;
}

rc numbers_half_away(device *d, const dev_caps *caps, dev_sight *out)
{
    TRY(expect_sum(d, 127.625, 0.125, 4100, out)); /* 4098 */
    if (out->seen != DEV_SEEN_RIGHT) return OK;
    TRY(expect_sum(d, -63.8125, -0.0625, -2050, out)); /* -2049 */
    if (out->seen != DEV_SEEN_RIGHT) return OK;
    return expect_sum(d, 63.8125, 0.0625, 2050, out);
}

rc numbers_largest_sum(device *d, const dev_caps *caps, dev_sight *out)
{
    return expect_sum(d, 1023.5, 0, 32752, out);
}

/* ---- functions at one point ---- */
static rc point(device *d, const char *op, half in, half *result)
{
    char text[512];
    half a[ROW], b[ROW];
    const half *from[] = {a};
    half *to[] = {b};
    for (int i = 0; i < ROW; i++) a[i] = in;
    snprintf(text, sizeof text,
             HEAD ROWS
             " in_a) {\n" ROWS
             " out_a = %s(x = in_a)[name = string(\"out_a\")];\n} -> (out_a); }\n",
             op);
    TRY(check_compute(d, op, text, from, to));
    *result = b[0];
    return OK;
}

rc numbers_tanh(device *d, const dev_caps *caps, dev_sight *out)
{
    const half in = 0x2E66, want = 0x2E5D;
    half had = 0;
    rc r = point(d, "tanh", in, &had);
    if (r != OK) return settle(r, out);
    check_say(out, had == want ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG,
              "tanh of 0x%04X is 0x%04X, wanted 0x%04X", in, had, want);
    return OK;
}

rc numbers_exp(device *d, const dev_caps *caps, dev_sight *out)
{
    const half first = half_from_double(11.09375), before = half_from_double(11.0859375);
    half a = 0, b = 0;
    rc r = point(d, "exp", first, &a);
    if (r == OK) r = point(d, "exp", before, &b);
    if (r != OK) return settle(r, out);
    bool right = isinf(half_to_double(a)) && isfinite(half_to_double(b));
    check_say(out, right ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG,
              "exp of 11.094 is %g, of 11.086 %g", half_to_double(a), half_to_double(b));
    return OK;
}

/* ---- weights of one byte: (q - zero point) * scale ---- */
rc numbers_int8(device *d, const dev_caps *caps, dev_sight *out)
{
    str text = {0};
    half a[ROW], b[ROW];
    const half *in[] = {a};
    half *to[] = {b};
    str_add(&text, HEAD ROWS " in_a) {\ntensor<fp16, [1, 1, 1, 32]> w = "
                             "constexpr_affine_dequantize()[axis = int32(1), name = "
                             "string(\"w\"), quantized_data = tensor<int8, [1, 1, 1, "
                             "32]>([");
    for (int i = 0; i < SIDE; i++) str_addf(&text, "%s%d", i ? ", " : "", 8 * i - 128);
    str_add(&text, "]), scale = fp16(0x1p-1), zero_point = int8(8)];\n" ROWS
                   " out_a = add(x = in_a, y = w)[name = string(\"out_a\")];\n"
                   "} -> (out_a); }\n");
    for (int i = 0; i < ROW; i++) a[i] = half_from_double(0);
    rc r = str_done(&text);
    if (r == OK) r = check_compute(d, "int8", str_text(&text), in, to);
    str_free(&text);
    if (r != OK) return settle(r, out);
    out->seen = DEV_SEEN_RIGHT;
    for (int i = 0; i < ROW; i++) {
        double want = 0.5 * (8 * (i % SIDE) - 128 - 8), had = half_to_double(b[i]);
        if (had == want) continue;
        check_say(out, DEV_SEEN_WRONG, "weight %d was unpacked to %g, wanted %g",
                  i % SIDE, had, want);
        break;
    }
    return OK;
}

/* ---- a product, bit for bit ---- */
enum { M = 64, K = 256 };
static const char large_text[] = HEAD
    "tensor<fp16, [1, 1, 64, 256]> in_a, tensor<fp16, [1, 1, 256, 64]> in_b) {\n"
    "bool no = const()[name = string(\"no\"), val = bool(false)];\n"
    "tensor<fp16, [1, 1, 64, 64]> out_a = matmul(transpose_x = no, transpose_y = no, "
    "x = in_a, y = in_b)[name = string(\"out_a\")];\n} -> (out_a); }\n";

static rc on_exact(const dev_caps *caps, const char *text, const mil_blob_file *weights,
                   const half *const *in, half *const *out)
{
    char uri[64];
    device *twin;
    snprintf(uri, sizeof uri, "emu:%s,exact", caps->profile ? caps->profile->name : "m4");
    TRY(dev_open(uri, NULL, &twin));
    rc r = check_compute_with(twin, "twin", text, weights, in, out);
    dev_close(twin);
    return r;
}

/* Both devices on the same input; n_out numbers come out. */
static rc both(device *d, const dev_caps *caps, const char *text,
               const mil_blob_file *weights, const half *const *in, int n_out,
               dev_sight *out)
{
    half *all = mem_take(2 * (size_t)n_out * sizeof *all);
    if (!all) return E_MEMORY;
    half *had[] = {all}, *want[] = {all + n_out};
    rc r = check_compute_with(d, "exact", text, weights, in, had);
    if (r == OK) r = on_exact(caps, text, weights, in, want);
    int differ = 0;
    for (int i = 0; i < n_out; i++) differ += had[0][i] != want[0][i];
    if (r == OK) {
        out->value = check_distance(had[0], want[0], (size_t)n_out);
        check_say(out, differ ? DEV_SEEN_WRONG : DEV_SEEN_RIGHT,
                  "%d of %d numbers differ, a distance of %.3g", differ, n_out,
                  out->value);
    }
    mem_drop(all);
    return settle(r, out);
}

static void fill_normal(half *h, int n, uint64_t stream, double size)
{
    for (int i = 0; i < n; i++)
        h[i] = half_from_double(size * rng_normal(1, stream, (uint64_t)i));
}

rc numbers_product(device *d, const dev_caps *caps, dev_sight *out)
{
    half *all = mem_take((size_t)(2 * M * K) * sizeof *all);
    if (!all) return E_MEMORY;
    const half *in[] = {all, all + M * K};
    fill_normal(all, 2 * M * K, 1, 1 / sqrt(K));
    rc r = both(d, caps, large_text, NULL, in, M * M, out);
    mem_drop(all);
    return r;
}

/* ---- a convolution, bit for bit: 16 channels, 8 x 32, kernel 3 x 3 ---- */
enum { CH = 16, IMAGE = CH * 8 * 32, KERNEL = CH * CH * 9 };
static const char conv_text[] = HEAD
    "tensor<fp16, [1, 16, 8, 32]> in_a) {\n"
    "tensor<fp16, [16, 16, 3, 3]> w = const()[name = string(\"w\"), val = "
    "tensor<fp16, [16, 16, 3, 3]>(BLOBFILE(path = "
    "string(\"@model_path/weights/w.bin\"), offset = uint64(64)))];\n"
    "tensor<int32, [2]> ones = const()[name = string(\"ones\"), val = "
    "tensor<int32, [2]>([1, 1])];\n"
    "tensor<int32, [4]> pads = const()[name = string(\"pads\"), val = "
    "tensor<int32, [4]>([1, 1, 1, 1])];\n"
    "int32 one = const()[name = string(\"one\"), val = int32(1)];\n"
    "string kind = const()[name = string(\"kind\"), val = string(\"custom\")];\n"
    "tensor<fp16, [1, 16, 8, 32]> out_a = conv(dilations = ones, groups = one, pad = "
    "pads, pad_type = kind, strides = ones, weight = w, x = in_a)[name = "
    "string(\"out_a\")];\n} -> (out_a); }\n";

rc numbers_conv(device *d, const dev_caps *caps, dev_sight *out)
{
    half *all = mem_take((IMAGE + KERNEL) * sizeof *all);
    mil_blob_writer *w = NULL;
    mil_blob_file weights = {.path = "@model_path/weights/w.bin"};
    uint64_t offset;
    if (!all) return E_MEMORY;
    const half *in[] = {all};
    fill_normal(all, IMAGE, 2, 1);
    fill_normal(all + IMAGE, KERNEL, 3, sqrt(2.0 / (9 * CH)));
    rc r = mil_blob_new(&w);
    if (r == OK)
        r = mil_blob_add(w, MIL_FP16, all + IMAGE, KERNEL * sizeof *all, &offset);
    if (r == OK) r = mil_blob_bytes(w, &weights.bytes, &weights.size);
    if (r == OK) r = both(d, caps, conv_text, &weights, in, IMAGE, out);
    if (w) mil_blob_free(w);
    mem_drop(all);
    return r;
}
