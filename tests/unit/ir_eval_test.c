/* The oracle gives values worked out by hand, and composed ops equal their
 * definitions in simpler ones. Every op must have a case. */
#include "test.h"
#include "base/rng.h"
#include "ir/ir.h"

/* Sums of a few dozen doubles near 1 in two orders differ by some 1e-15. */
#define NEAR 1e-12

static bool seen[IR_OPS];

/* A graph, its inputs bound to values. */
typedef struct {
    ir_graph *g;
    arena *mem;
    ir_binding bind[8];
    int n;
} bench;

static void set_up(bench *b)
{
    *b = (bench){.g = ir_new(), .mem = arena_new()};
    assert_non_null(b->g);
}

static void tear_down(bench *b)
{
    ir_free(b->g);
    arena_free(b->mem);
}

static ir_node *given(bench *b, const char *name, ir_type t, ir_shape s, const double *v)
{
    b->bind[b->n++] = (ir_binding){name, v};
    return ir_input(b->g, name, t, s);
}

static ir_node *random_value(bench *b, const char *name, ir_shape s)
{
    int64_t n = ir_count(s);
    double *v = arena_array(b->mem, (size_t)n, sizeof *v);
    for (int64_t i = 0; i < n; i++) v[i] = rng_normal(3, rng_stream(name), (uint64_t)i);
    return given(b, name, IR_FP16, s, v);
}

static const double *value(bench *b, ir_node *y)
{
    double **v;
    if (!y) fail_msg("%s", err_text());
    char name[24];
    snprintf(name, sizeof name, "out%d", b->g->n_outputs);
    ir_output(b->g, name, y);
    if (ir_eval(b->g, b->mem, b->n, b->bind, &v) != OK) fail_msg("%s", err_text());
    for (int i = 0; i <= y->id; i++) seen[b->g->nodes[i]->op] = true;
    return v[y->id];
}

static void gives(bench *b, ir_node *y, const double *want)
{
    const double *v = value(b, y);
    for (int64_t i = 0; i < ir_count(y->shape); i++)
        if (!(fabs(v[i] - want[i]) <= NEAR * fmax(1, fabs(want[i]))))
            fail_msg("%s: element %d is %.15g, wanted %.15g", ir_op_name(y->op), (int)i,
                     v[i], want[i]);
}

static void equal(bench *b, ir_node *y, ir_node *z)
{
    if (!y || !z) fail_msg("%s", err_text());
    assert_true(ir_shape_eq(y->shape, z->shape));
    gives(b, y, value(b, z));
}

#define V(...) ((double[]){__VA_ARGS__})

static void elementwise_ops(void **state)
{
    static const struct {
        ir_op op;
        double x, y, want;
    } cases[] = {
        {IR_add, 2, 3, 5},
        {IR_sub, 2, 3, -1},
        {IR_mul, 2, 3, 6},
        {IR_real_div, 3, 2, 1.5},
        {IR_maximum, 2, 3, 3},
        {IR_minimum, 2, 3, 2},
        {IR_pow, 2, 3, 8},
        {IR_greater_equal, 2, 3, 0},
        {IR_greater_equal, 3, 3, 1},
        {IR_abs, -2, 0, 2},
        {IR_exp, 1, 0, 2.718281828459045},
        {IR_log, 10, 0, 2.302585092994046},
        {IR_sqrt, 9, 0, 3},
        {IR_rsqrt, 4, 0, 0.5},
        {IR_tanh, 0.5, 0, 0.46211715726000975},
        {IR_sigmoid, 1, 0, 0.7310585786300049},
        {IR_relu, -1, 0, 0},
        {IR_relu, 2, 0, 2},
        {IR_silu, 1, 0, 0.7310585786300049},
        {IR_gelu, 1, 0, 0.8411919906082768},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bench b;
        set_up(&b);
        ir_node *x = given(&b, "x", IR_FP16, ir_s1(1), &cases[i].x);
        ir_node *y = given(&b, "y", IR_FP16, ir_s1(1), &cases[i].y);
        ir_node *in[] = {x, y};
        bool two = cases[i].op <= IR_pow || cases[i].op == IR_greater_equal;
        gives(&b,
              ir_make(b.g, cases[i].op, two ? 2 : 1, in, IR_FP16, (ir_shape){0}, NULL),
              &cases[i].want);
        tear_down(&b);
    }
}

static void broadcasting_follows_numpy(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *x = given(&b, "x", IR_FP16, (ir_shape){3, {2, 1, 3}}, V(1, 2, 3, 4, 5, 6));
    ir_node *y = given(&b, "y", IR_FP16, ir_s2(2, 1), V(10, 20));
    gives(&b, ir_add(b.g, x, y), V(11, 12, 13, 21, 22, 23, 14, 15, 16, 24, 25, 26));
    ir_node *c = ir_greater_equal(b.g, x, ir_scalar(b.g, 3));
    gives(&b, ir_select(b.g, c, y, ir_scalar(b.g, 0)),
          V(0, 0, 10, 0, 0, 20, 10, 10, 10, 20, 20, 20));
    tear_down(&b);
}

static void layout_ops_move_elements(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *x = given(&b, "x", IR_FP16, ir_s2(2, 3), V(1, 2, 3, 4, 5, 6));
    ir_node *w = ir_param(b.g, "w", ir_s2(2, 1));
    b.bind[b.n++] = (ir_binding){"w", V(8, 9)};
    gives(&b, ir_transpose(b.g, x, (int[]){1, 0}), V(1, 4, 2, 5, 3, 6));
    gives(&b, ir_reshape(b.g, x, ir_s2(3, 2)), V(1, 2, 3, 4, 5, 6));
    gives(&b, ir_slice(b.g, x, (int64_t[]){0, 1}, (int64_t[]){2, 2}), V(2, 3, 5, 6));
    gives(&b, ir_concat(b.g, 2, (ir_node *[]){x, w}, 1), V(1, 2, 3, 8, 4, 5, 6, 9));
    gives(&b, ir_split(b.g, x, 1, 3, 2), V(3, 6));
    gives(&b, ir_tile(b.g, x, (int64_t[]){1, 2}), V(1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6));
    gives(&b, ir_cast(b.g, ir_mul(b.g, x, ir_scalar(b.g, -0.5)), IR_INT32),
          V(0, -1, -1, -2, -2, -3));
    gives(
        &b,
        ir_transpose(b.g, ir_reshape(b.g, x, (ir_shape){3, {1, 2, 3}}), (int[]){2, 0, 1}),
        V(1, 4, 2, 5, 3, 6));
    tear_down(&b);
}

static void reductions_reduce(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *x = given(&b, "x", IR_FP16, (ir_shape){3, {2, 2, 2}},
                       V(1, 2, 3, 4, 5, 6, 7, -8));
    gives(&b, ir_reduce(b.g, IR_reduce_sum, x, 1, (int[]){1}, true), V(4, 6, 12, -2));
    gives(&b, ir_reduce(b.g, IR_reduce_mean, x, 2, (int[]){0, 2}, false), V(3.5, 1.5));
    gives(&b, ir_reduce(b.g, IR_reduce_max, x, 1, (int[]){2}, false), V(2, 4, 6, 7));
    double e = exp(1), s = 1 + e;
    ir_node *y = given(&b, "y", IR_FP16, ir_s2(2, 2), V(0, 1000, 1, 1000));
    gives(&b, ir_softmax(b.g, y, 0), V(1 / s, 0.5, e / s, 0.5));
    tear_down(&b);
}

static void products_multiply(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *x = given(&b, "x", IR_FP16, ir_s2(2, 3), V(1, 2, 3, 4, 5, 6));
    ir_node *y = given(&b, "y", IR_FP16, ir_s2(3, 2), V(1, 0, 2, 1, 0, 3));
    gives(&b, ir_matmul(b.g, x, y, false, false), V(5, 11, 14, 23));
    gives(&b, ir_matmul(b.g, y, x, true, true), V(5, 14, 11, 23));
    gives(&b, ir_matmul(b.g, x, x, false, true), V(14, 32, 32, 77));
    /* a batch is the same product for each */
    ir_node *p = random_value(&b, "p", (ir_shape){5, {1, 2, 3, 4, 5}});
    ir_node *q = random_value(&b, "q", ir_s4(2, 1, 4, 2));
    ir_node *all = ir_matmul(b.g, p, q, true, false);
    ir_node *one = ir_slice(b.g, p, (int64_t[]){0, 1, 2, 0, 0},
                            (int64_t[]){1, 1, 1, 4, 5});
    ir_node *other = ir_slice(b.g, q, (int64_t[]){1, 0, 0, 0}, (int64_t[]){1, 1, 4, 2});
    equal(&b, ir_slice(b.g, all, (int64_t[]){0, 1, 2, 0, 0}, (int64_t[]){1, 1, 1, 5, 2}),
          ir_matmul(b.g, one, other, true, false));
    tear_down(&b);
}

static void convolutions_convolve(void **state)
{
    const int one[] = {1, 1}, none[4] = {0};
    bench b;
    (void)state;
    set_up(&b);
    ir_node *x = given(&b, "x", IR_FP16, ir_s4(1, 1, 2, 3), V(1, 2, 3, 4, 5, 6));
    ir_node *w = given(&b, "w", IR_FP16, ir_s4(1, 1, 2, 2), V(1, 10, 100, 1000));
    gives(&b, ir_conv(b.g, x, w, one, none, one, 1), V(5421, 6532));
    gives(&b, ir_conv(b.g, x, w, (int[]){2, 2}, (int[]){1, 0, 0, 1}, one, 1),
          V(2100, 300)); /* rows -1 and 0; columns 0,1 and 2,3 */
    gives(&b, ir_conv(b.g, x, w, one, none, (int[]){1, 2}, 1), V(1 + 30 + 400 + 6000));
    /* groups keep channels apart: a 1x1 of two groups is two linear layers */
    ir_node *u = random_value(&b, "u", ir_s4(1, 4, 1, 5));
    ir_node *k = random_value(&b, "k", ir_s4(6, 2, 1, 1));
    ir_node *half[2];
    for (int i = 0; i < 2; i++) {
        ir_node *wi = ir_split(b.g, ir_reshape(b.g, k, ir_s2(6, 2)), 0, 2, i);
        half[i] = ir_linear(b.g, wi, ir_split(b.g, u, 1, 2, i));
    }
    equal(&b, ir_conv(b.g, u, k, one, none, one, 2), ir_concat(b.g, 2, half, 1));
    ir_node *dy = given(&b, "dy", IR_FP16, ir_s4(1, 1, 1, 2), V(1, 2));
    ir_attr a = {
        .stride = {1, 1}, .dilation = {1, 1}, .groups = 1, .in_shape = {1, 1, 2, 3}};
    gives(&b,
          ir_make(b.g, IR_conv_dx, 2, (ir_node *[]){w, dy}, IR_FP16, (ir_shape){0}, &a),
          V(1, 12, 20, 100, 1200, 2000));
    a.in_shape[3] = 2;
    gives(&b,
          ir_make(b.g, IR_conv_dw, 2, (ir_node *[]){x, dy}, IR_FP16, (ir_shape){0}, &a),
          V(5, 8, 14, 17));
    tear_down(&b);
}

static void norms_equal_their_definitions(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_graph *g = b.g;
    const int axis[] = {1};
    ir_node *x = random_value(&b, "x", ir_s4(1, 6, 1, 5));
    ir_node *w = random_value(&b, "w", ir_s4(1, 6, 1, 1));
    ir_node *c = random_value(&b, "c", ir_s4(1, 6, 1, 1));
    ir_node *eps = ir_scalar(g, 0.01);
    ir_node *ms = ir_reduce(g, IR_reduce_mean, ir_mul(g, x, x), 1, axis, true);
    ir_node *r = ir_unary(g, IR_rsqrt, ir_add(g, ms, eps));
    equal(&b, ir_rms_scale(g, x, 1, 0.01), r);
    equal(&b, ir_rms_norm(g, x, w, 1, 0.01), ir_mul(g, ir_mul(g, x, r), w));
    ir_node *xc = ir_sub(g, x, ir_reduce(g, IR_reduce_mean, x, 1, axis, true));
    ir_node *var = ir_reduce(g, IR_reduce_mean, ir_mul(g, xc, xc), 1, axis, true);
    ir_node *xh = ir_div(g, xc, ir_unary(g, IR_sqrt, ir_add(g, var, eps)));
    equal(&b, ir_layer_norm(g, x, w, c, 1, 0.01), ir_add(g, ir_mul(g, xh, w), c));
    tear_down(&b);
}

static void rope_turns_pairs_by_position(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *x = random_value(&b, "x", ir_s4(1, 8, 1, 6));
    const double *v = b.bind[0].v;
    ir_node *half = ir_rope(b.g, x, 2, 4, 2, 100, false, false);
    ir_node *inter = ir_rope(b.g, x, 2, 4, 2, 100, true, false);
    const double *h = value(&b, half), *n = value(&b, inter);
    /* column 5 is position 2 of sequence 1; pair 1 turns by 2 * 100^(-2/4) */
    double c = cos(0.2), s = sin(0.2);
    assert_float_equal(h[5 * 6 + 5], v[5 * 6 + 5] * c - v[7 * 6 + 5] * s, NEAR);
    assert_float_equal(h[7 * 6 + 5], v[5 * 6 + 5] * s + v[7 * 6 + 5] * c, NEAR);
    assert_float_equal(n[6 * 6 + 5], v[6 * 6 + 5] * c - v[7 * 6 + 5] * s, NEAR);
    assert_float_equal(n[7 * 6 + 5], v[6 * 6 + 5] * s + v[7 * 6 + 5] * c, NEAR);
    for (int ch = 0; ch < 8; ch++) assert_float_equal(h[ch * 6 + 3], v[ch * 6 + 3], 0);
    equal(&b, ir_rope(b.g, half, 2, 4, 2, 100, false, true), x);
    equal(&b, ir_rope(b.g, inter, 2, 4, 2, 100, true, true), x);
    tear_down(&b);
}

/* For every way heads are grouped and sequences batched; whole, and in tiles of
 * every width, of which the last may be narrower. So do the gradients. */
static void attention_equals_its_parts(void **state)
{
    static const int shapes[][5] = {
        /* heads, kv heads, head size, batch, seq */
        {2, 2, 3, 1, 5}, {4, 2, 3, 1, 5}, {3, 1, 2, 1, 4}, {2, 2, 3, 2, 4},
        {6, 2, 2, 3, 4}, {1, 1, 1, 1, 1}, {4, 4, 2, 2, 1}, {4, 1, 2, 2, 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const int *s = shapes[i];
        ir_attr a = {.heads = s[0],
                     .kv_heads = s[1],
                     .head_dim = s[2],
                     .batch = s[3],
                     .scale = 0.6};
        bench b;
        set_up(&b);
        ir_node *in[] = {
            random_value(&b, "q", ir_s4(1, s[0] * s[2], 1, s[3] * s[4])),
            random_value(&b, "k", ir_s4(1, s[1] * s[2], 1, s[3] * s[4])),
            random_value(&b, "v", ir_s4(1, s[1] * s[2], 1, s[3] * s[4])),
            random_value(&b, "dy", ir_s4(1, s[0] * s[2], 1, s[3] * s[4])),
        };
        ir_node *y = ir_attention(b.g, in[0], in[1], in[2], s[0], s[1], s[2], s[3], 0.6);
        for (int width = 0; width <= s[4] + 1; width++) {
            int before = b.g->n_nodes;
            ir_node *parts = ir_attention_parts(b.g, in, &a, width);
            for (int n = before; n < parts->id; n++)
                assert_true(ir_op_in_dialect(b.g->nodes[n]->op));
            equal(&b, y, parts);
        }
        for (a.index = 0; a.index < 3; a.index++) {
            ir_node *dx = ir_make(b.g, IR_attention_dx, 4, in, IR_FP16, (ir_shape){0},
                                  &a);
            assert_true(ir_shape_eq(dx->shape, in[a.index]->shape));
            for (int width = 0; width <= s[4] + 1; width++) {
                int before = b.g->n_nodes;
                ir_node *parts = ir_attention_dx_parts(b.g, in, &a, width);
                for (int n = before; n < parts->id; n++)
                    assert_true(ir_op_in_dialect(b.g->nodes[n]->op));
                equal(&b, dx, parts);
            }
        }
        tear_down(&b);
    }
}

/* What tiles are for: scores of keys that no query of a tile sees are not made. */
static void tiles_leave_out_what_is_masked(void **state)
{
    static const int groups[] = {1, 2};
    bench b;
    (void)state;
    set_up(&b);
    ir_node *x = random_value(&b, "x", ir_s4(1, 4, 1, 24));
    for (int batch = 1; batch <= 2; batch++)
        for (size_t r = 0; r < 2; r++)
            for (int tiles = 1; tiles <= 4; tiles++) {
                int seq = 24 / batch, width = seq / tiles, before = b.g->n_nodes;
                ir_attr a = {.heads = 2,
                             .kv_heads = 2 / groups[r],
                             .head_dim = 2,
                             .batch = batch,
                             .scale = 1};
                ir_node *kv = ir_slice(b.g, x, (int64_t[]){0, 0, 0, 0},
                                       (int64_t[]){1, 2 * a.kv_heads, 1, 24});
                ir_attention_parts(b.g, (ir_node *[]){x, kv, kv}, &a, width);
                int64_t scores = 0;
                for (int i = before; i < b.g->n_nodes; i++)
                    if (b.g->nodes[i]->op == IR_softmax)
                        scores += ir_count(b.g->nodes[i]->shape);
                assert_int_equal(scores,
                                 2 * batch * width * width * tiles * (tiles + 1) / 2);
            }
    tear_down(&b);
}

/* By hand: two positions, one head of size 1. */
static void attention_is_causal(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *q = given(&b, "q", IR_FP16, ir_s4(1, 1, 1, 2), V(1, 2));
    ir_node *k = given(&b, "k", IR_FP16, ir_s4(1, 1, 1, 2), V(3, 4));
    ir_node *v = given(&b, "v", IR_FP16, ir_s4(1, 1, 1, 2), V(5, 7));
    double e = exp(0.5 * 2 * 4 - 0.5 * 2 * 3);
    gives(&b, ir_attention(b.g, q, k, v, 1, 1, 1, 1, 0.5), V(5, (5 + 7 * e) / (1 + e)));
    tear_down(&b);
}

static void embedding_and_loss(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *table = given(&b, "table", IR_FP16, ir_s2(3, 2), V(1, 2, 3, 4, 5, 6));
    ir_node *ids = given(&b, "ids", IR_INT32, ir_s1(3), V(2, 0, 2));
    ir_node *e = ir_embedding(b.g, table, ids);
    gives(&b, e, V(5, 1, 5, 6, 2, 6));
    gives(&b,
          ir_make(b.g, IR_embedding_dw, 2, (ir_node *[]){ids, e}, IR_FP16, (ir_shape){0},
                  &(ir_attr){.vocab = 3}),
          V(1, 2, 0, 0, 10, 12));
    /* columns: uniform over two; certain of the first; not counted */
    ir_node *x = given(&b, "x", IR_FP16, ir_s4(1, 2, 1, 3), V(0, 50, 9, 0, 0, 3));
    ir_node *y = given(&b, "y", IR_INT32, ir_s1(3), V(1, 0, -1));
    ir_node *d = given(&b, "d", IR_FP32, ir_s1(1), V(8));
    gives(&b, ir_cross_entropy(b.g, x, y), V((log(2) + log(1 + exp(-50))) / 2));
    gives(&b,
          ir_make(b.g, IR_cross_entropy_dx, 3, (ir_node *[]){x, y, d}, IR_FP16,
                  (ir_shape){0}, NULL),
          V(2, 0, 0, -2, 0, 0));
    tear_down(&b);
}

/* Of 5 ids in 3 bits: 5 = 101, 2 = 010, and one that is not counted. Columns of two
 * logits whose sums are known: m + ln(s 4) - x[id]. */
static void a_loss_in_parts(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *ids = given(&b, "ids", IR_INT32, ir_s1(3), V(4, 2, -1));
    ir_node *d = given(&b, "d", IR_FP32, ir_s1(1), V(8));
    gives(&b,
          ir_make(b.g, IR_target_code, 2, (ir_node *[]){ids, d}, IR_FP16, (ir_shape){0},
                  &(ir_attr){.vocab = 5}),
          V(-2, -2, 0, -2, 2, 0, 2, -2, 0, 4, 4, 0));
    ir_node *x = given(&b, "x", IR_FP16, ir_s4(1, 2, 1, 3), V(0, 5, 9, 1, 2, 3));
    ir_node *y = given(&b, "y", IR_INT32, ir_s1(3), V(1, 0, -1));
    ir_node *m = given(&b, "m", IR_FP16, ir_s4(1, 1, 1, 3), V(1, 5, 9));
    ir_node *s = given(&b, "s", IR_FP16, ir_s4(1, 1, 1, 3), V(2, 0.25, 7));
    gives(&b,
          ir_make(b.g, IR_target_loss, 4, (ir_node *[]){x, y, m, s}, IR_FP32,
                  (ir_shape){0}, &(ir_attr){.scale = 4}),
          V((1 + log(8) - 1 + 5 + log(1) - 5) / 2));
    tear_down(&b);
}

/* One bit tells two ids apart, two bits four; no vocabulary has none. */
static void ids_need_as_many_bits_as_tell_them_apart(void **state)
{
    static const int64_t cases[][2] = {{1, 1},      {2, 1},      {3, 2},
                                       {4, 2},      {5, 3},      {32000, 15},
                                       {32768, 15}, {32769, 16}, {151936, 18}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(ir_target_bits(cases[i][0]), cases[i][1]);
}

static void an_unknown_id_is_refused(void **state)
{
    static const double bad[][2] = {{3, 0}, {-1, 0}, {0.5, 0}, {NAN, 0}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        bench b;
        double **v;
        set_up(&b);
        ir_node *table = given(&b, "table", IR_FP16, ir_s2(3, 1), V(1, 2, 3));
        ir_node *ids = given(&b, "ids", IR_INT32, ir_s1(2), bad[i]);
        ir_output(b.g, "e", ir_embedding(b.g, table, ids));
        assert_int_equal(ir_eval(b.g, b.mem, b.n, b.bind, &v), E_SHAPE);
        assert_non_null(strstr(err_first(), "is not one of 3 rows"));
        tear_down(&b);
    }
}

static void only_what_outputs_need_is_computed(void **state)
{
    bench b;
    double **v;
    (void)state;
    set_up(&b);
    ir_node *x = given(&b, "x", IR_FP16, ir_s1(1), V(1));
    ir_node *unbound = ir_input(b.g, "unbound", IR_FP16, ir_s1(1));
    ir_node *dead = ir_unary(b.g, IR_exp, unbound), *y = ir_unary(b.g, IR_exp, x);
    ir_output(b.g, "y", y);
    assert_int_equal(ir_eval(b.g, b.mem, b.n, b.bind, &v), OK);
    assert_null(v[dead->id]);
    ir_output(b.g, "dead", dead);
    assert_int_equal(ir_eval(b.g, b.mem, b.n, b.bind, &v), E_SHAPE);
    assert_string_equal(err_first(), "input 'unbound' has no value");
    tear_down(&b);
}

static void every_op_had_a_case(void **state)
{
    (void)state;
    for (int op = 0; op < IR_OPS; op++)
        if (!seen[op]) fail_msg("no case for %s", ir_op_name((ir_op)op));
}

static void flops_count_multiply_adds_twice(void **state)
{
    bench b;
    (void)state;
    set_up(&b);
    ir_node *x = random_value(&b, "x", ir_s4(2, 3, 4, 5));
    ir_node *y = random_value(&b, "y", ir_s4(2, 3, 4, 7));
    assert_float_equal(ir_flops(ir_matmul(b.g, x, y, true, false)), 2. * 6 * 5 * 7 * 4,
                       0);
    ir_node *w = random_value(&b, "w", ir_s4(6, 3, 1, 2));
    const int one[] = {1, 1}, none[4] = {0};
    ir_node *c = ir_conv(b.g, x, w, one, none, one, 1), *wrt[] = {x, w}, *d[2];
    assert_float_equal(ir_flops(c), 2. * 2 * 6 * 4 * 4 * 3 * 2, 0);
    assert_int_equal(ir_grad(b.g, c, NULL, 2, wrt, d), OK);
    assert_float_equal(ir_flops(d[0]), ir_flops(c), 0);
    assert_float_equal(ir_flops(d[1]), ir_flops(c), 0);
    ir_node *q = random_value(&b, "q", ir_s4(1, 12, 1, 8)),
            *k = random_value(&b, "k", ir_s4(1, 6, 1, 8));
    ir_attr a = {.heads = 4, .kv_heads = 2, .head_dim = 3, .batch = 2, .scale = 1};
    int before = b.g->n_nodes;
    double sum = 0;
    ir_node *in[] = {q, k, k, q};
    ir_attention_parts(b.g, in, &a, 0);
    for (int i = before; i < b.g->n_nodes; i++) sum += ir_flops(b.g->nodes[i]);
    assert_float_equal(ir_flops(ir_attention(b.g, q, k, k, 4, 2, 3, 2, 1)), sum, 0);
    for (a.index = 0; a.index < 3; a.index++) /* scores, dy.v unless to v, a product */
        assert_float_equal(
            ir_flops(ir_make(b.g, IR_attention_dx, 4, in, IR_FP16, (ir_shape){0}, &a)),
            (a.index == 2 ? 2 : 3) * sum / 2, 0);
    tear_down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise_ops),
        cmocka_unit_test(broadcasting_follows_numpy),
        cmocka_unit_test(layout_ops_move_elements),
        cmocka_unit_test(reductions_reduce),
        cmocka_unit_test(products_multiply),
        cmocka_unit_test(convolutions_convolve),
        cmocka_unit_test(norms_equal_their_definitions),
        cmocka_unit_test(rope_turns_pairs_by_position),
        cmocka_unit_test(attention_equals_its_parts),
        cmocka_unit_test(tiles_leave_out_what_is_masked),
        cmocka_unit_test(attention_is_causal),
        cmocka_unit_test(embedding_and_loss),
        cmocka_unit_test(a_loss_in_parts),
        cmocka_unit_test(ids_need_as_many_bits_as_tell_them_apart),
        cmocka_unit_test(an_unknown_id_is_refused),
        cmocka_unit_test(only_what_outputs_need_is_computed),
        cmocka_unit_test(every_op_had_a_case),
        cmocka_unit_test(flops_count_multiply_adds_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
