/* bench_text.c - programs to measure with, written as MIL text: chains of 1 x 1
 * convolutions in three forms of weights, products of two inputs, a program that
 * does next to nothing. Every convolution has weights of its own, so that a chain
 * is as heavy to fetch as it looks. */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/rng.h"
#include "cli/bench.h"

static void begin(const bench_lab *l, bench_program *p)
{
    bool old = l->caps.profile && l->caps.profile->old_mil;
    p->old = old;
    if (l->caps.profile) p->cost = dev_cost_launch(l->caps.profile, NULL);
    p->word = old ? "tensor<string, []>" : "string";
    str_addf(&p->text,
             "program(%s)\n[buildInfo = dict<%s, %s>({{\"coremlc-version\", "
             "\"3505.4.1\"}})]\n{ func main<%s>(",
             old ? "1.0" : "1.3", p->word, p->word, old ? "ios16" : "ios18");
}

static const char *half_scalar(const bench_program *p)
{
    return p->old ? "tensor<fp16, []>" : "fp16";
}

static void number(bench_program *p, const char *name, const char *value)
{
    str_addf(&p->text, "%s %s = const()[name = %s(\"%s\"), val = %s(%s)];\n",
             half_scalar(p), name, p->word, name, half_scalar(p), value);
}

static void text_const(bench_program *p, const char *name, const char *value)
{
    str_addf(&p->text, "%s %s = const()[name = %s(\"%s\"), val = %s(\"%s\")];\n", p->word,
             name, p->word, name, p->word, value);
}

/* Weights drawn so that a layer keeps the size of what goes through it: uniform of
 * variance 1 / channels; as int8, in 127 steps. A pattern whose length is a prime is
 * laid over a matrix, from another place in each layer: no two layers are alike, and
 * a matrix of 8192 x 8192 is made in no time. */
static rc weights(bench_program *p, int layer, int channels, mil_dtype t,
                  uint64_t *offset)
{
    enum { PATTERN = 65521 };
    size_t n = (size_t)channels * (size_t)channels, width = mil_dtype_bytes(t);
    double most = sqrt(3.0 / channels);
    char *pattern = mem_take(PATTERN * width), *w = mem_take(n * width);
    for (size_t i = 0; pattern && i < PATTERN; i++) {
        double unit = 2 * rng_unit(1, 4, i) - 1;
        if (t == MIL_INT8) ((int8_t *)pattern)[i] = (int8_t)lround(unit * 127);
        else ((half *)pattern)[i] = half_from_float((float)(unit * most));
    }
    size_t from = (size_t)layer * 509 % PATTERN;
    for (size_t at = 0, part; pattern && w && at < n; at += part, from = 0) {
        part = n - at < PATTERN - from ? n - at : PATTERN - from;
        memcpy(w + at * width, pattern + from * width, part * width);
    }
    rc e = pattern && w ? mil_blob_add(p->blob, t, w, n * width, offset) : E_MEMORY;
    mem_drop(pattern);
    mem_drop(w);
    return e;
}

/* The weight w<i> of a layer, from the file: as it is, or from int8. */
static void weight_text(bench_program *p, bench_form form, int i, int c, uint64_t offset)
{
    const char *q = form == BENCH_FP16 ? "fp16" : "int8";
    const char *scalar = p->old ? "tensor<uint64, []>" : "uint64";
    if (form == BENCH_FP16)
        str_addf(&p->text,
                 "tensor<fp16, [%d, %d, 1, 1]> w%d = const()[name = %s(\"w%d\"), "
                 "val = ",
                 c, c, i, p->word, i);
    else
        str_addf(
            &p->text,
            "tensor<fp16, [%d, %d, 1, 1]> w%d = constexpr_affine_dequantize()[axis = "
            "int32(0), name = %s(\"w%d\"), quantized_data = ",
            c, c, i, p->word, i);
    str_addf(&p->text,
             "tensor<%s, [%d, %d, 1, 1]>(BLOBFILE(path = "
             "%s(\"@model_path/weights/w.bin\"), offset = %s(%llu)))",
             q, c, c, p->word, scalar, (unsigned long long)offset);
    if (form != BENCH_FP16) {
        char step[40];
        snprintf(step, sizeof step, "%a",
                 (double)half_to_float(half_from_float((float)(sqrt(3.0 / c) / 127))));
        str_addf(&p->text, ", scale = %s(%s), zero_point = int8(0)", half_scalar(p),
                 step);
    }
    str_add(&p->text, "];\n");
}

static void chain_figures(bench_form form, int depth, int channels, double pixels,
                          bench_program *p)
{
    if (p->cost.chip) {
        /* int8 weights alone become fp16 before they are multiplied (ane-guide ch. 7);
         * steps to and from int8 go with the tensors' own transfers */
        for (int i = 0; i < depth; i++)
            dev_cost_conv(&p->cost, channels, channels, 1, pixels,
                          form == BENCH_W8A8 ? 8 : 16);
        dev_cost_surfaces(&p->cost, 4 * channels * pixels);
    }
    p->flops = 2.0 * channels * channels * pixels * depth;
    p->weight_bytes = (double)channels * channels * depth * (form == BENCH_FP16 ? 2 : 1);
}

rc bench_chain(const bench_lab *l, bench_form form, int depth, int channels, int high,
               int wide, bench_program *p)
{
    char type[64], from[16] = "x";
    snprintf(type, sizeof type, "[1, %d, %d, %d]", channels, high, wide);
    begin(l, p);
    chain_figures(form, depth, channels, (double)high * wide, p);
    if (!bench_runs(l, p->flops, p->weight_bytes)) {
        str_free(&p->text);
        return OK;
    }
    TRY(mil_blob_new(&p->blob));
    str_addf(&p->text, "tensor<fp16, %s> x) {\n", type);
    text_const(p, "kind", "valid");
    if (form == BENCH_W8A8) {
        number(p, "step", "0x1p-4");
        text_const(p, "eight", "int8");
    }
    for (int i = 0; i < depth; i++) {
        uint64_t offset = 0;
        TRY(weights(p, i, channels, form == BENCH_FP16 ? MIL_FP16 : MIL_INT8, &offset));
        weight_text(p, form, i, channels, offset);
        if (form == BENCH_W8A8) {
            str_addf(
                &p->text,
                "tensor<int8, %s> q%d = quantize(input = %s, output_dtype = eight, "
                "scale = step)[name = %s(\"q%d\")];\n"
                "tensor<fp16, %s> d%d = dequantize(input = q%d, scale = step)[name = "
                "%s(\"d%d\")];\n",
                type, i, from, p->word, i, type, i, i, p->word, i);
            snprintf(from, sizeof from, "d%d", i);
        }
        str_addf(&p->text,
                 "tensor<fp16, %s> y%d = conv(pad_type = kind, weight = w%d, x = "
                 "%s)[name = %s(\"y%d\")];\n",
                 type, i, i, from, p->word, i);
        snprintf(from, sizeof from, "y%d", i);
    }
    str_addf(&p->text, "} -> (%s); }\n", from);
    return str_done(&p->text);
}

rc bench_product(const bench_lab *l, int64_t m, int64_t n, int64_t k, bench_program *p)
{
    const char *truth = l->caps.profile && l->caps.profile->old_mil ? "tensor<bool, []>"
                                                                    : "bool";
    begin(l, p);
    str_addf(
        &p->text,
        "tensor<fp16, [1, 1, %lld, %lld]> a, tensor<fp16, [1, 1, %lld, %lld]> b) {\n"
        "%s no = const()[name = %s(\"no\"), val = %s(false)];\n"
        "tensor<fp16, [1, 1, %lld, %lld]> y = matmul(transpose_x = no, transpose_y = "
        "no, x = a, y = b)[name = %s(\"y\")];\n} -> (y); }\n",
        (long long)m, (long long)k, (long long)k, (long long)n, truth, p->word, truth,
        (long long)m, (long long)n, p->word);
    double rows = (double)m, columns = (double)n, inner = (double)k;
    if (p->cost.chip) {
        dev_cost_matmul(&p->cost, 1, rows, inner, columns);
        dev_cost_surfaces(&p->cost,
                          2 * (rows * inner + inner * columns + rows * columns));
    }
    p->flops = 2 * rows * columns * inner;
    return str_done(&p->text);
}

rc bench_small(const bench_lab *l, bench_program *p)
{
    begin(l, p);
    str_addf(&p->text,
             "tensor<fp16, [1, 64, 1, 512]> x) {\n"
             "tensor<fp16, [1, 64, 1, 512]> y = relu(x = x)[name = %s(\"y\")];\n} -> "
             "(y); }\n",
             p->word);
    if (p->cost.chip) {
        dev_cost_each(&p->cost, 64 * 512, 1);
        dev_cost_surfaces(&p->cost, 2 * 2 * 64 * 512);
    }
    return str_done(&p->text);
}

double bench_predicted(const bench_program *p)
{
    return p->cost.chip ? dev_cost_ms(&p->cost) : (double)NAN;
}

void bench_program_free(bench_program *p)
{
    str_free(&p->text);
    mil_blob_free(p->blob);
    *p = (bench_program){0};
}
