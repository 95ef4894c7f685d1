/* exact_golden.h - products of published size from published inputs, on the software
 * engine: what the golden tests, quick and slow, share. Inputs are NumPy's random
 * numbers, from a generator written down here and shown equal to NumPy's. */
#ifndef EXACT_GOLDEN_H
#define EXACT_GOLDEN_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "dev_help.h"

/* ---- NumPy's default_rng: SeedSequence, PCG64, ziggurat ---- */
__extension__ typedef unsigned __int128 wide_int;
typedef struct {
    wide_int state, inc;
    double w[256], f[256]; /* widths of the ziggurat's steps, heights */
    uint64_t k[256];       /* certainly inside, of 2^52 */
} numpy;

static uint32_t hash_step(uint32_t v, uint32_t *c, uint32_t factor)
{
    v ^= *c;
    *c *= factor;
    v *= *c;
    return v ^ v >> 16;
}

static void seed_words(uint32_t seed, uint64_t out[4])
{
    uint32_t pool[4], c = 0x43b0d7e5u, word[8];
    for (int i = 0; i < 4; i++) pool[i] = hash_step(i ? 0 : seed, &c, 0x931e8875u);
    for (int s = 0; s < 4; s++)
        for (int d = 0; d < 4; d++) {
            if (s == d) continue;
            uint32_t y = hash_step(pool[s], &c, 0x931e8875u);
            uint32_t v = 0xca01f9ddu * pool[d] - 0x4973f715u * y;
            pool[d] = v ^ v >> 16;
        }
    c = 0x8b51f9ddu;
    for (int i = 0; i < 8; i++) word[i] = hash_step(pool[i % 4], &c, 0x58f38dedu);
    for (int i = 0; i < 4; i++) out[i] = word[2 * i] | (uint64_t)word[2 * i + 1] << 32;
}

static void pcg_step(numpy *r)
{
    const wide_int factor = (wide_int)0x2360ed051fc65da4u << 64 | 0x4385df649fccf645u;
    r->state = r->state * factor + r->inc;
}

static uint64_t next_word(numpy *r)
{
    pcg_step(r);
    uint64_t x = (uint64_t)(r->state >> 64) ^ (uint64_t)r->state;
    unsigned turn = (unsigned)(r->state >> 122);
    return x >> turn | x << (-turn & 63);
}

static double next_unit(numpy *r)
{
    return (double)(next_word(r) >> 11) * 0x1p-53;
}

#define TAIL 3.6541528853610088
#define AREA 0.0049286732339746519 /* of each step; 1e-15 from the true one */

/* expl, logl: rounded once, so that no machine's exp has a say. */
static double height(double x)
{
    return (double)expl((long double)(-0.5 * x * x));
}

/* 256 steps of equal area under exp(-x^2 / 2); Marsaglia and Tsang 2000. NumPy's
 * tables hold what this recurrence gives in double, its rounding errors, which grow
 * towards the top, and all. Whoever ran it had an exp that rounded the height of
 * step 38, 0.498 of a unit above a double, up instead of down: every later step
 * follows from that (read off the tables of NumPy 1.24's libnpyrandom.a; all 768
 * entries are equal so). */
static void build_steps(numpy *r)
{
    double x = TAIL, f = height(x), top = f;
    r->w[255] = x * 0x1p-52;
    r->f[255] = f;
    for (int i = 254; i >= 0; i--) {
        double y = i ? sqrt(-2 * (double)logl((long double)(f + AREA / x))) : 0;
        r->k[i + 1] = (uint64_t)rint(y / x * 0x1p52);
        x = y;
        f = height(x);
        if (i == 38) f = nextafter(f, 1);
        r->w[i] = x * 0x1p-52;
        r->f[i] = f;
    }
    r->k[0] = (uint64_t)rint(TAIL * top / AREA * 0x1p52);
    r->w[0] = AREA / top * 0x1p-52;
}

static void numpy_seed(numpy *r, uint32_t seed)
{
    uint64_t s[4];
    seed_words(seed, s);
    r->state = 0;
    r->inc = ((wide_int)s[2] << 64 | s[3]) << 1 | 1;
    pcg_step(r);
    r->state += (wide_int)s[0] << 64 | s[1];
    pcg_step(r);
    build_steps(r);
}

static double next_normal(numpy *r)
{
    for (;;) {
        uint64_t word = next_word(r), size = word >> 9 & 0xfffffffffffffu;
        unsigned i = (unsigned)(word & 0xff);
        double x = (double)size * r->w[i];
        if (word >> 8 & 1) x = -x;
        if (size < r->k[i]) return x;
        if (i == 0) {
            for (;;) {
                double a = -0.27366123732975828 * log1p(-next_unit(r)); /* 1 / TAIL */
                double b = -log1p(-next_unit(r));
                if (b + b <= a * a) continue;
                return size >> 8 & 1 ? -(TAIL + a) : TAIL + a;
            }
        }
        if ((r->f[i - 1] - r->f[i]) * next_unit(r) + r->f[i] < exp(-0.5 * x * x))
            return x;
    }
}

/* ---- the published runs ---- */
/* Agreement wanted: sums of a million squares in double err less. */
static void assert_published(const char *what, int size, double had, double want)
{
    print_message("%s %d: %.17g, published %.17g\n", what, size, had, want);
    assert_true(fabs(had / want - 1) < 1e-12);
}

static json_t *published(const char *kind)
{
    json_t *all = json_load_file("tests/data/golden/ane-published.json", 0, NULL);
    assert_non_null(all);
    json_t *list = json_incref(json_object_get(all, kind));
    assert_non_null(list);
    json_decref(all);
    /* The first is enough under an emulator of another processor. */
    while (getenv("EMULATED") && json_array_size(list) > 1) json_array_remove(list, 1);
    return list;
}

enum { ROWS = 256 };
/* Y = X W^T on the engine, as a program. */
static void multiply_on(const char *chip, int n, const half *x, const half *w, half *y)
{
    kern *k;
    device *d;
    dev_program *p;
    dev_surface *s[3];
    uint64_t ticket;
    char text[2048], uri[64];
    void *at;
    const int64_t rows[3] = {n, ROWS, ROWS};
    snprintf(text, sizeof text,
             "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
             "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 1, %d, %d]> a_w, "
             "tensor<fp16, [1, 1, %d, %d]> b_x) {\n"
             "bool no = const()[name = string(\"no\"), val = bool(false)];\n"
             "bool yes = const()[name = string(\"yes\"), val = bool(true)];\n"
             "tensor<fp16, [1, 1, %d, %d]> out = matmul(transpose_x = no, transpose_y = "
             "yes, x = b_x, y = a_w)[name = string(\"out\")];\n} -> (out); }\n",
             n, n, ROWS, n, ROWS, n);
    snprintf(uri, sizeof uri, "emu:%s,exact", chip);
    assert_ok(kern_open(2, NULL, &k));
    assert_ok(dev_open(uri, k, &d));
    dev_source src = {.name = "golden", .mil = text, .mil_bytes = strlen(text)};
    assert_ok(dev_load(d, &src, &p));
    for (int i = 0; i < 3; i++) {
        dev_shape shape = {.dtype = MIL_FP16, .rank = 4, .d = {1, 1, rows[i], n}};
        assert_ok(dev_surface_new(d, &shape, &s[i]));
    }
    assert_ok(dev_map(s[0], &at));
    memcpy(at, w, (size_t)n * (size_t)n * sizeof *w);
    assert_ok(dev_unmap(s[0]));
    assert_ok(dev_map(s[1], &at));
    memcpy(at, x, ROWS * (size_t)n * sizeof *x);
    assert_ok(dev_unmap(s[1]));
    assert_ok(dev_run(p, s, 2, s + 2, 1, &ticket));
    assert_ok(dev_wait(d, ticket, NULL));
    assert_ok(dev_map(s[2], &at));
    memcpy(y, at, ROWS * (size_t)n * sizeof *y);
    assert_ok(dev_unmap(s[2]));
    for (int i = 0; i < 3; i++) dev_drop(s[i]);
    dev_unload(p);
    dev_close(d);
    kern_close(k);
}

/* A sum of products in fp64; eight sums at a time, as one waits for itself. */
static double dot_in_double(const float *x, const float *w, int n)
{
    double s[8] = {0};
    for (int k = 0; k < n; k += 8)
        for (int j = 0; j < 8; j++) s[j] += (double)x[k + j] * (double)w[k + j];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static inline void check_gemm(const json_t *row)
{
    static numpy r;
    int n = (int)json_integer_value(json_object_get(row, "N"));
    size_t all = (size_t)n * (size_t)n, some = (size_t)n * ROWS;
    float *x = malloc(some * sizeof *x), *w = malloc(all * sizeof *w);
    half *hx = malloc(some * 2), *hw = malloc(all * 2), *y = malloc(some * 2);
    double *want = malloc(some * sizeof *want), size = 0;
    numpy_seed(&r, 0);
    for (size_t i = 0; i < all; i++) {
        float v = (float)next_normal(&r) / sqrtf((float)n);
        if (i < some) x[i] = v; /* the rows that are compared */
    }
    for (size_t i = 0; i < all; i++) w[i] = (float)next_normal(&r) / sqrtf((float)n);
    half_from_floats(x, hx, some);
    half_from_floats(w, hw, all);
    for (size_t j = 0; j < (size_t)n; j++)
        for (size_t i = 0; i < ROWS; i++)
            want[i * (size_t)n + j] = dot_in_double(x + i * (size_t)n, w + j * (size_t)n,
                                                    n);
    for (size_t i = 0; i < some; i++) size += want[i] * want[i];
    const json_t *chips = json_object_get(row, "chips");
    for (size_t c = 0; c < json_array_size(chips); c++) {
        double error = 0;
        multiply_on(json_string_value(json_array_get(chips, c)), n, hx, hw, y);
        for (size_t i = 0; i < some; i++) error += pow(half_to_double(y[i]) - want[i], 2);
        assert_published(json_string_value(json_array_get(chips, c)), n,
                         sqrt(error / size),
                         json_real_value(json_object_get(row, "relerr")));
    }
    free(x), free(w), free(hx), free(hw), free(y), free(want);
}

/* ---- convolutions: 64 x 64 places, 3 x 3, a zero around ---- */
enum { SIDE = 64, PLACES = SIDE * SIDE };

/* w [C, C, 3, 3] is written into the program: a weight is a constant. */
static void convolve_on(const char *chip, int c, const half *x, const half *w, half *y)
{
    kern *k;
    device *d;
    dev_surface *s[2];
    uint64_t ticket;
    str text = {0};
    char uri[64];
    void *at;
    size_t bytes = (size_t)c * PLACES * sizeof *x;
    str_addf(&text,
             "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
             "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, %d, 64, 64]> x) {\n"
             "string same = const()[name = string(\"same\"), val = string(\"same\")];\n"
             "tensor<fp16, [%d, %d, 3, 3]> w = const()[name = string(\"w\"), val = "
             "tensor<fp16, [%d, %d, 3, 3]>([",
             c, c, c, c, c);
    for (int i = 0; i < c * c * 9; i++)
        str_addf(&text, "%s%a", i ? ", " : "", half_to_double(w[i]));
    str_addf(
        &text,
        "])];\ntensor<fp16, [1, %d, 64, 64]> out = conv(pad_type = same, weight = w, "
        "x = x)[name = string(\"out\")];\n} -> (out); }\n",
        c);
    snprintf(uri, sizeof uri, "emu:%s,exact", chip);
    assert_ok(kern_open(2, NULL, &k));
    assert_ok(dev_open(uri, k, &d));
    dev_program *p = load(d, text.p);
    for (int i = 0; i < 2; i++) {
        dev_shape shape = {.dtype = MIL_FP16, .rank = 4, .d = {1, c, SIDE, SIDE}};
        assert_ok(dev_surface_new(d, &shape, &s[i]));
    }
    assert_ok(dev_map(s[0], &at));
    memcpy(at, x, bytes);
    assert_ok(dev_unmap(s[0]));
    assert_ok(dev_run(p, s, 1, s + 1, 1, &ticket));
    assert_ok(dev_wait(d, ticket, NULL));
    assert_ok(dev_map(s[1], &at));
    memcpy(y, at, bytes);
    assert_ok(dev_unmap(s[1]));
    dev_drop(s[0]), dev_drop(s[1]);
    dev_unload(p);
    dev_close(d);
    kern_close(k);
    str_free(&text);
}

/* One output channel in fp64, from the fp32 image. */
static void convolve_in_double(int c, const float *x, const double *w, double *y)
{
    memset(y, 0, PLACES * sizeof *y);
    for (int i = 0; i < c; i++)
        for (int ky = 0; ky < 3; ky++)
            for (int kx = 0; kx < 3; kx++, w++)
                for (int r = ky == 0; r < SIDE - (ky == 2); r++)
                    for (int q = kx == 0; q < SIDE - (kx == 2); q++)
                        y[r * SIDE + q] +=
                            *w * (double)x[(i * SIDE + r + ky - 1) * SIDE + q + kx - 1];
}

static inline void check_conv(const json_t *row)
{
    static numpy r;
    int c = (int)json_integer_value(json_object_get(row, "C"));
    int batch = (int)json_integer_value(json_object_get(row, "B"));
    size_t image = (size_t)c * PLACES, n_w = (size_t)c * (size_t)c * 9;
    float *x = malloc(image * sizeof *x);
    double *w = malloc(n_w * sizeof *w), *want = malloc(image * sizeof *want), size = 0;
    half *hx = malloc(image * 2), *hw = malloc(n_w * 2), *y = malloc(image * 2);
    numpy_seed(&r, 1);
    for (size_t i = 0; i < image * (size_t)batch; i++) {
        float v = (float)next_normal(&r);
        if (i < image) x[i] = v; /* the first of the batch */
    }
    for (size_t i = 0; i < n_w; i++) {
        w[i] = (double)(float)next_normal(&r) * sqrt(2.0 / (9 * c));
        hw[i] = half_from_double(w[i]);
    }
    half_from_floats(x, hx, image);
    for (int o = 0; o < c; o++)
        convolve_in_double(c, x, w + (size_t)o * (size_t)c * 9, want + o * PLACES);
    for (size_t i = 0; i < image; i++) size += want[i] * want[i];
    const json_t *chips = json_object_get(row, "chips");
    for (size_t q = 0; q < json_array_size(chips); q++) {
        double error = 0;
        convolve_on(json_string_value(json_array_get(chips, q)), c, hx, hw, y);
        for (size_t i = 0; i < image; i++)
            error += pow(half_to_double(y[i]) - want[i], 2);
        assert_published(json_string_value(json_array_get(chips, q)), c,
                         sqrt(error / size),
                         json_real_value(json_object_get(row, "relerr")));
    }
    free(x), free(w), free(want), free(hx), free(hw), free(y);
}

static inline void check_all(const char *kind, void (*check)(const json_t *row))
{
    json_t *list = published(kind);
    for (size_t i = 0; i < json_array_size(list); i++) check(json_array_get(list, i));
    json_decref(list);
}

#endif
