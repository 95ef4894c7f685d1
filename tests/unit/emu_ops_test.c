/* Every op of the device dialect, over shapes, arithmetics and instruction
 * sets, against the oracle in double through the text that the emitter writes.
 *
 * Tolerance: with fp16 tensors every op rounds its result once, so a value is
 * off by at most 2^-11 of its size for each op on its way (k, given per case)
 * plus half a step of the smallest fp16. Sums are in fp32 and add less than
 * that again: hence 2k. Wide runs the same programs in fp32: 2^-20 of the
 * largest value holds for every case. */
#include "emu_help.h"

typedef struct {
    ir_graph *g;
    ir_node *in[3];
    int n_in;
    ir_node *baked; /* param given as a constant, or NULL */
} build;

static ir_node *input(build *b, ir_shape s)
{
    static const char *const names[] = {"in0", "in1", "in2"};
    b->in[b->n_in] = ir_input(b->g, names[b->n_in], IR_FP16, s);
    return b->in[b->n_in++];
}

typedef struct {
    ir_op op;
    const char *what;
    double k, lo, hi; /* roundings; range of the inputs */
    ir_node *(*make)(build *b, int shape);
} op_case;

enum { SHAPES = 4 };
static const ir_shape full[SHAPES] = {
    {4, {1, 5, 1, 32}}, {4, {1, 64, 1, 96}}, {3, {3, 7, 33}}, {2, {130, 70}}};
/* The same rank with repeated axes. */
static const ir_shape part[SHAPES] = {
    {4, {1, 5, 1, 1}}, {4, {1, 1, 1, 96}}, {3, {3, 1, 33}}, {1, {70}}};

static ir_node *binary(build *b, int i, ir_op op)
{
    ir_node *x = input(b, full[i]);
    return ir_binary(b->g, op, x, input(b, i % 2 ? full[i] : part[i]));
}
static ir_node *broadcast(build *b, int i, ir_op op)
{
    ir_node *y = input(b, part[i]);
    return ir_binary(b->g, op, y, input(b, full[i]));
}
#define BINARY(op)                             \
    static ir_node *op##_full(build *b, int i) \
    {                                          \
        return binary(b, i, IR_##op);          \
    }                                          \
    static ir_node *op##_part(build *b, int i) \
    {                                          \
        return broadcast(b, i, IR_##op);       \
    }
/* clang-format off */
BINARY(add) BINARY(sub) BINARY(mul) BINARY(real_div)
BINARY(maximum) BINARY(minimum) BINARY(pow)
#define UNARY(op)                                          \
    static ir_node *op##_one(build *b, int i)              \
    {                                                      \
        return ir_unary(b->g, IR_##op, input(b, full[i])); \
    }
UNARY(abs) UNARY(exp) UNARY(log) UNARY(sqrt) UNARY(rsqrt)
UNARY(tanh) UNARY(sigmoid) UNARY(relu) UNARY(silu) UNARY(gelu)
    /* clang-format on */

    static ir_node *pow_const(build *b, int i)
{
    static const double e[SHAPES] = {-0.5, 2, 0.5, 3};
    return ir_binary(b->g, IR_pow, input(b, full[i]), ir_scalar(b->g, e[i]));
}
static ir_node *softmax_last(build *b, int i)
{
    return ir_softmax(b->g, input(b, full[i]), full[i].rank - 1);
}
static ir_node *softmax_first(build *b, int i)
{
    return ir_softmax(b->g, input(b, full[i]), full[i].rank == 4 ? 1 : 0);
}
static ir_node *reduce(build *b, int i, ir_op op)
{
    static const int axes[SHAPES][2] = {{1, 3}, {1, 0}, {0, 2}, {1, 0}};
    static const int n[SHAPES] = {2, 1, 2, 1};
    return ir_reduce(b->g, op, input(b, full[i]), n[i], axes[i], i != 2);
}
static ir_node *sums(build *b, int i)
{
    return reduce(b, i, IR_reduce_sum);
}
static ir_node *means(build *b, int i)
{
    return reduce(b, i, IR_reduce_mean);
}
static ir_node *maxima(build *b, int i)
{
    return reduce(b, i, IR_reduce_max);
}

static ir_node *product(build *b, int i, bool tx, bool ty)
{
    static const int64_t m[SHAPES] = {1, 37, 64, 3}, k[SHAPES] = {16, 70, 5, 128},
                         n[SHAPES] = {32, 65, 96, 1}, h[SHAPES] = {1, 3, 2, 4};
    ir_node *x = input(b, ir_s4(1, h[i], tx ? k[i] : m[i], tx ? m[i] : k[i]));
    ir_node *y = input(b, ir_s4(1, h[i], ty ? n[i] : k[i], ty ? k[i] : n[i]));
    return ir_matmul(b->g, x, y, tx, ty);
}
static ir_node *matmul_nn(build *b, int i)
{
    return product(b, i, false, false);
}
static ir_node *matmul_tn(build *b, int i)
{
    return product(b, i, true, false);
}
static ir_node *matmul_nt(build *b, int i)
{
    return product(b, i, false, true);
}
static ir_node *matmul_tt(build *b, int i)
{
    return product(b, i, true, true);
}
/* Heads split off and put back, as attention does it. */
static ir_node *matmul_heads(build *b, int i)
{
    int64_t h = i + 1, hd = 16, s = 32;
    ir_node *q = ir_reshape(b->g, input(b, ir_s4(1, h * hd, 1, s)), ir_s4(1, h, hd, s));
    ir_node *k = ir_reshape(b->g, input(b, ir_s4(1, h * hd, 1, s)), ir_s4(1, h, hd, s));
    ir_node *qt = ir_transpose(b->g, q, (int[]){0, 1, 3, 2});
    ir_node *p = ir_matmul(b->g, qt, k, false, false);
    ir_node *o = ir_matmul(b->g, p, k, false, true);
    return ir_reshape(b->g, ir_transpose(b->g, o, (int[]){0, 1, 3, 2}),
                      ir_s4(1, h * hd, 1, s));
}

static ir_node *conv(build *b, int i)
{
    static const int stride[SHAPES][2] = {{1, 1}, {1, 1}, {2, 1}, {1, 2}};
    static const int pad[SHAPES][4] = {{0}, {1, 1, 1, 1}, {0, 2, 1, 0}, {0}};
    static const int dilation[SHAPES][2] = {{1, 1}, {1, 1}, {1, 1}, {1, 2}};
    static const int groups[SHAPES] = {1, 1, 2, 4};
    static const ir_shape w[SHAPES] = {
        {4, {8, 4, 1, 1}}, {4, {6, 4, 3, 3}}, {4, {4, 2, 3, 2}}, {4, {8, 1, 1, 3}}};
    ir_node *x = input(b, ir_s4(i + 1, 4, 6, 32));
    b->baked = ir_param(b->g, "weight", w[i]);
    return ir_conv(b->g, x, b->baked, stride[i], pad[i], dilation[i], groups[i]);
}
static ir_node *reshape(build *b, int i)
{
    static const int64_t width[SHAPES] = {5, 48, 7, 35};
    return ir_reshape(b->g, input(b, full[i]),
                      ir_s2(ir_count(full[i]) / width[i], width[i]));
}
static ir_node *reshape_transposed(build *b, int i)
{
    ir_node *x = ir_transpose(b->g, input(b, ir_s4(2, 4, i + 3, 32)),
                              (int[]){0, 2, 1, 3});
    return ir_reshape(b->g, x, ir_s4(1, 2 * (i + 3), 4, 32));
}
static ir_node *transpose(build *b, int i)
{
    static const int perm[SHAPES][4] = {{0, 3, 2, 1}, {3, 1, 0, 2}, {2, 0, 1, 0}, {1, 0}};
    return ir_transpose(b->g, input(b, full[i]), perm[i]);
}
static ir_node *add_transposed(build *b, int i)
{
    ir_node *x = input(b, ir_s2(40 + i, 33)), *y = input(b, ir_s2(33, 40 + i));
    return ir_add(b->g, ir_transpose(b->g, x, (int[]){1, 0}), y);
}
static ir_node *slice(build *b, int i)
{
    int64_t begin[4] = {0}, size[4];
    int last = full[i].rank - 1, at = i % 2 ? last : last == 3 ? 1 : 0;
    for (int a = 0; a <= last; a++) size[a] = full[i].d[a];
    begin[at] = 1;
    size[at] -= 2;
    return ir_slice(b->g, input(b, full[i]), begin, size);
}
static ir_node *concat(build *b, int i)
{
    ir_node *x = input(b, full[i]), *y = input(b, full[i]);
    ir_node *list[3] = {x, ir_add(b->g, x, y), y};
    return ir_concat(b->g, i == 1 ? 2 : 3, list, i % 2 ? full[i].rank - 1 : 0);
}
static ir_node *tile(build *b, int i)
{
    int64_t reps[4] = {1, 1, 1, 1};
    reps[i % 2 ? full[i].rank - 1 : 0] = 3;
    return ir_tile(b->g, input(b, full[i]), reps);
}
static ir_node *tile_then_exp(build *b, int i)
{
    ir_node *x = ir_tile(b->g, input(b, ir_s4(1, 4, 1, 1)), (int64_t[]){1, 1, i + 1, 40});
    return ir_unary(b->g, IR_exp, x);
}
static ir_node *cast(build *b, int i)
{
    ir_node *x = ir_cast(b->g, input(b, full[i]), IR_FP32);
    return ir_cast(b->g, ir_unary(b->g, IR_exp, x), IR_FP16);
}
static ir_node *choose(build *b, int i)
{
    ir_node *x = input(b, full[i]), *y = input(b, part[i]);
    return ir_select(b->g, ir_greater_equal(b->g, x, y), x, y);
}
/* A chain in which everything can be fused, and a value that leaves half way. */
static ir_node *chain(build *b, int i)
{
    ir_node *x = input(b, full[i]), *y = input(b, part[i]);
    ir_node *z = ir_add(b->g, ir_mul(b->g, x, x), ir_scalar(b->g, 0.5));
    ir_output(b->g, "middle", z);
    ir_node *s = ir_unary(b->g, IR_sigmoid, ir_sub(b->g, z, y));
    return ir_mul(b->g, ir_mul(b->g, s, z), ir_binary(b->g, IR_maximum, x, s));
}

#define BOTH(op, k, lo, hi)                   \
    {IR_##op, "full", k, lo, hi, op##_full},  \
    {                                         \
        IR_##op, "part", k, lo, hi, op##_part \
    }
#define ONE(op, k, lo, hi)               \
    {                                    \
        IR_##op, "", k, lo, hi, op##_one \
    }
static const op_case cases[] = {
    BOTH(add, 1, -4, 4),
    BOTH(sub, 1, -4, 4),
    BOTH(mul, 1, -4, 4),
    BOTH(real_div, 1, 0.5, 4),
    BOTH(maximum, 1, -4, 4),
    BOTH(minimum, 1, -4, 4),
    BOTH(pow, 2, 0.25, 3),
    ONE(abs, 1, -4, 4),
    ONE(exp, 1, -4, 4),
    ONE(log, 1, 0.1, 4),
    ONE(sqrt, 1, 0, 4),
    ONE(rsqrt, 1, 0.1, 4),
    ONE(tanh, 1, -4, 4),
    ONE(sigmoid, 1, -4, 4),
    ONE(relu, 1, -4, 4),
    ONE(silu, 1, -4, 4),
    ONE(gelu, 1, -4, 4),
    {IR_pow, "constant", 1, 0.25, 3, pow_const},
    {IR_softmax, "last axis", 1, -4, 4, softmax_last},
    {IR_softmax, "first axis", 1, -4, 4, softmax_first},
    {IR_reduce_sum, "", 1, -1, 2, sums},
    {IR_reduce_mean, "", 1, -1, 2, means},
    {IR_reduce_max, "", 1, -4, 4, maxima},
    {IR_matmul, "nn", 1, -1, 1, matmul_nn},
    {IR_matmul, "tn", 1, -1, 1, matmul_tn},
    {IR_matmul, "nt", 1, -1, 1, matmul_nt},
    {IR_matmul, "tt", 1, -1, 1, matmul_tt},
    /* the first product's rounding goes through 32 terms of the second */
    {IR_matmul, "heads", 8, -1, 1, matmul_heads},
    {IR_conv, "", 1, -1, 1, conv},
    {IR_reshape, "", 1, -4, 4, reshape},
    {IR_reshape, "of a transpose", 1, -4, 4, reshape_transposed},
    {IR_transpose, "", 1, -4, 4, transpose},
    {IR_transpose, "then add", 1, -4, 4, add_transposed},
    {IR_slice, "", 1, -4, 4, slice},
    {IR_concat, "", 1, -4, 4, concat},
    {IR_tile, "", 1, -4, 4, tile},
    {IR_tile, "then exp", 1, -2, 2, tile_then_exp},
    {IR_cast, "", 1, -4, 4, cast},
    {IR_select, "", 1, -4, 4, choose},
    {IR_greater_equal, "", 1, -4, 4, choose},
    {IR_mul, "chain", 8, -1, 1, chain},
};

static double *numbers(arena *mem, size_t n, uint64_t seed, double lo, double hi)
{
    double *v = arena_array(mem, n, sizeof *v);
    for (size_t i = 0; i < n; i++) v[i] = test_number(seed, i, lo, hi);
    return v;
}

/* What the chip's own arithmetic adds: half a unit of 2^-16 for each product,
 * or two where it is dropped (a case sums at most 100); sums in fp16, a rounding
 * for each of up to 100 terms; and activation tables, whose published errors
 * are 0.0034 for sigmoid and 0.0016 for tanh. */
static double chip_error(const op_case *c, double most)
{
    switch (c->op) {
    case IR_matmul:
    case IR_conv:
        return 100 * 0x1p-15;
    case IR_reduce_sum:
    case IR_reduce_mean:
        return 100 * ldexp(most, -11);
    /* Largest errors of the tables on M6, as published (exact_tables_test). */
    case IR_sigmoid:
        return 3.4e-3;
    case IR_tanh:
        return 1.7e-3;
    case IR_gelu:
        return 6.2e-3 + 0.001; /* one table for both modes, whichever is asked for */
    case IR_silu:
        return 1.5e-2;
    case IR_log:
        return 6.7e-3;
    case IR_exp: /* 10 units of the last place */
        return 10 * ldexp(most, -10);
    case IR_sqrt:
    case IR_rsqrt:
    case IR_pow:      /* by a root where the exponent is a half */
    case IR_real_div: /* an inverse, rounded, times the other */
        return 3 * ldexp(most, -10);
    case IR_softmax: /* x - max, up to 8, is rounded to fp16 before exp */
        return 2 * ldexp(most, -8);
    default:
        return 0;
    }
}

static void compare(const op_case *c, int shape, const char *uri, const char *name,
                    const double *had, const double *want, size_t n)
{
    bool wide = strstr(uri, "wide"), exact = strstr(uri, "exact");
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (size_t i = 0; i < n; i++) {
        double step = ldexp(1, -24), size = fabs(want[i]);
        /* Results of the surface are fp16 in both: one rounding more for wide.
         * Values that cancel are measured against the largest. */
        double allowed = wide ? ldexp(size, -11) + ldexp(most, -20) + step
                              : 2 * c->k * ldexp(c->k > 1 ? most : size, -11) + step +
                                    ldexp(most, -18);
        if (exact) allowed += chip_error(c, most);
        if (fabs(had[i] - want[i]) <= allowed) continue;
        print_error(
            "%s %s, shape %d on %s, %s[%zu]: had %.9g, wanted %.9g, allowed %.3g\n",
            ir_op_name(c->op), c->what, shape, uri, name, i, had[i], want[i], allowed);
        fail();
    }
}

static void check(device *d, const char *uri, const op_case *c, int shape)
{
    build b = {.g = ir_new()};
    ir_output(b.g, "result", c->make(&b, shape));
    arena *mem = arena_new();
    ir_binding bind[4];
    int n = 0;
    double **want;
    for (; n < b.n_in; n++)
        bind[n] = (ir_binding){b.in[n]->name,
                               numbers(mem, (size_t)ir_count(b.in[n]->shape),
                                       100 + (uint64_t)n, c->lo, c->hi)};
    if (b.baked)
        bind[n] = (ir_binding){
            "weight", numbers(mem, (size_t)ir_count(b.baked->shape), 99, c->lo, c->hi)};
    test_program t = test_load_graph(d, b.g, b.baked ? 1 : 0, &bind[n]);
    for (int i = 0; i < b.n_in; i++) test_input(&t, bind[i].name, bind[i].v);
    test_run(d, &t);
    assert_ok(ir_eval(b.g, mem, n + (b.baked ? 1 : 0), bind, &want));
    for (int i = 0; i < b.g->n_outputs; i++) {
        size_t count = 0;
        const double *had = test_output(&t, b.g->outputs[i].name, &count);
        compare(c, shape, uri, b.g->outputs[i].name, had, want[b.g->outputs[i].node->id],
                count);
    }
    assert_int_equal(t.stats.infinities, 0);
    test_unload(&t);
    arena_free(mem);
    ir_free(b.g);
}

/* Opening is cheap, the compile budget small: a device for each case. */
static void ops_agree_with_the_oracle(void **state)
{
    (void)state;
    static const char *const isas[] = {"scalar", "avx2", "avx512", "neon"};
    static const char *const words[] = {"fast", "wide", "exact"};
    int ran = 0;
    for (size_t k = 0; k < COUNT_OF(isas); k++)
        for (size_t w = 0; w < COUNT_OF(words); w++) {
            char uri[64];
            kern *pool;
            snprintf(uri, sizeof uri, "emu:m4,%s,isa=%s", words[w], isas[k]);
            if (kern_open(2, isas[k], &pool) != OK) continue;
            for (size_t i = 0; i < COUNT_OF(cases); i++) {
                device *d;
                assert_ok(dev_open(uri, pool, &d));
                for (int s = 0; s < SHAPES; s++, ran++) check(d, uri, &cases[i], s);
                dev_close(d);
            }
            kern_close(pool);
        }
    print_message("%d programs\n", ran);
}

static void every_op_of_the_dialect_has_a_case(void **state)
{
    (void)state;
    for (int op = 0; op < IR_OPS; op++) {
        bool found = !ir_op_in_dialect((ir_op)op) || !*ir_op_mil((ir_op)op) ||
                     op == IR_constant;
        for (size_t i = 0; i < COUNT_OF(cases); i++) found |= cases[i].op == (ir_op)op;
        if (!found) print_error("op '%s' has no case\n", ir_op_name((ir_op)op));
        assert_true(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_of_the_dialect_has_a_case),
        cmocka_unit_test(ops_agree_with_the_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
