/* Every gradient agrees with central differences of the oracle, over a table
 * of shapes; an op that has a gradient and no row here fails. */
#include "test.h"
#include "base/rng.h"
#include "ir/ir.h"

/* Operands as "3,4|4": real shapes; "i7" is int32 ids below `rows` (the third
 * is -1 when `skip`); "=" is the operand before it again; "b3,4" is bool;
 * "f1" is fp32. */
typedef struct {
    ir_op op;
    const char *on;
    ir_attr a;
    double lo, hi; /* range of values, both 0 = -1..1 */
    ir_shape to;   /* reshape */
    ir_type type;  /* cast */
    int rows;
    bool skip;
} row;

#define TO(...) .to = {sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}}
static const row rows[] = {
    {IR_add, .on = "3,4|3,4"},
    {IR_add, .on = "2,1,4|3,1"},
    {IR_add, .on = "1,5,1,3|1,5,1,1"},
    {IR_add, .on = "3|="},
    {IR_sub, .on = "3,4|4"},
    {IR_sub, .on = "1|1,3,1,5"},
    {IR_sub, .on = "2,3|="},
    {IR_mul, .on = "3,4|3,4"},
    {IR_mul, .on = "1,5,1,3|1,1,1,3"},
    {IR_mul, .on = "2,3|="},
    {IR_mul, .on = "2,1,3|4,1"},
    {IR_real_div, .on = "3,4|4", .lo = 0.5, .hi = 2},
    {IR_real_div, .on = "5|=", .lo = 0.5, .hi = 2},
    {IR_real_div, .on = "1|1,3,1,5", .lo = 0.5, .hi = 2},
    {IR_maximum, .on = "3,4|4"},
    {IR_maximum, .on = "7|7"},
    {IR_minimum, .on = "3,4|3,1"},
    {IR_minimum, .on = "7|7"},
    {IR_pow, .on = "3,4|4", .lo = 0.5, .hi = 2},
    {IR_pow, .on = "2,3|1", .lo = 0.5, .hi = 2},
    {IR_abs, .on = "3,5"},
    {IR_exp, .on = "3,5"},
    {IR_log, .on = "7", .lo = 0.5, .hi = 3},
    {IR_sqrt, .on = "7", .lo = 0.5, .hi = 3},
    {IR_rsqrt, .on = "7", .lo = 0.5, .hi = 3},
    {IR_tanh, .on = "3,5"},
    {IR_sigmoid, .on = "3,5"},
    {IR_relu, .on = "3,5"},
    {IR_silu, .on = "3,5", .lo = -3, .hi = 3},
    {IR_gelu, .on = "3,5", .lo = -3, .hi = 3},
    {IR_softmax, .on = "1,5,1,3", .a.axis = 1},
    {IR_softmax, .on = "2,3,5", .a.axis = 2},
    {IR_softmax, .on = "2,3,5", .a.axis = 0},
    {IR_softmax, .on = "1,3,1,5", .a.axis = 3},
    {IR_reduce_sum, .on = "3,4,2", .a = {.n_axes = 1, .axes = {1}, .keep = true}},
    {IR_reduce_sum, .on = "3,4,2", .a = {.n_axes = 2, .axes = {0, 2}}},
    {IR_reduce_sum, .on = "3,4", .a = {.n_axes = 2, .axes = {0, 1}}},
    {IR_reduce_mean, .on = "1,5,1,3", .a = {.n_axes = 1, .axes = {1}, .keep = true}},
    {IR_reduce_mean, .on = "3,4,2", .a = {.n_axes = 2, .axes = {1, 2}}},
    {IR_reduce_max, .on = "3,4,2", .a = {.n_axes = 1, .axes = {1}, .keep = true}},
    {IR_reduce_max, .on = "1,5,1,3", .a = {.n_axes = 2, .axes = {1, 3}}},
    {IR_matmul, .on = "3,5|5,2"},
    {IR_matmul, .on = "5,3|5,2", .a.tx = true},
    {IR_matmul, .on = "3,5|2,5", .a.ty = true},
    {IR_matmul, .on = "5,3|2,5", .a = {.tx = true, .ty = true}},
    {IR_matmul, .on = "2,3,4,5|2,3,5,2"},
    {IR_matmul, .on = "2,3,5,4|3,2,5", .a = {.tx = true, .ty = true}},
    {IR_matmul, .on = "1,3,4,5|2,1,5,2"},
    {IR_matmul, .on = "5,3|2,5,2", .a.tx = true},
    {IR_matmul, .on = "3,3|="},
    {IR_matmul, .on = "3,4|=", .a.ty = true},
    {IR_conv, .on = "1,3,1,5|4,3,1,1",
     .a = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1}},
    {IR_conv, .on = "1,3,2,5|4,3,1,1",
     .a = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1}},
    {IR_conv, .on = "2,4,5,6|6,2,3,2",
     .a = {.stride = {2, 1}, .dilation = {1, 2}, .groups = 2, .pad = {1, 0, 2, 1}}},
    {IR_conv, .on = "1,4,1,7|4,1,1,3",
     .a = {.stride = {1, 2}, .dilation = {1, 1}, .groups = 4, .pad = {0, 0, 2, 0}}},
    {IR_conv_dx, .on = "6,2,3,2|2,6,2,7",
     .a = {.stride = {2, 1},
           .dilation = {1, 2},
           .groups = 2,
           .pad = {1, 0, 2, 1},
           .in_shape = {2, 4, 5, 6}}},
    {IR_conv_dw, .on = "2,4,5,6|2,6,2,7",
     .a = {.stride = {2, 1},
           .dilation = {1, 2},
           .groups = 2,
           .pad = {1, 0, 2, 1},
           .in_shape = {6, 2, 3, 2}}},
    {IR_reshape, .on = "3,4", TO(2, 6)},
    {IR_reshape, .on = "1,6,1,2", TO(1, 2, 3, 1, 2)},
    {IR_transpose, .on = "2,3,4", .a.perm = {2, 0, 1}},
    {IR_transpose, .on = "2,3,1,2,2", .a.perm = {3, 0, 2, 1, 4}},
    {IR_slice, .on = "3,5", .a = {.begin = {1, 0}, .size = {2, 3}}},
    {IR_slice, .on = "1,5,1,4", .a = {.begin = {0, 2, 0, 1}, .size = {1, 2, 1, 2}}},
    {IR_concat, .on = "2,3|2,1|2,2", .a.axis = 1},
    {IR_concat, .on = "2,3|=", .a.axis = 0},
    {IR_concat, .on = "1,2,3", .a.axis = 1},
    {IR_split, .on = "1,6,1,2", .a = {.axis = 1, .parts = 3, .index = 1}},
    {IR_split, .on = "4", .a = {.axis = 0, .parts = 2, .index = 1}},
    {IR_tile, .on = "1,3,1,2", .a.reps = {1, 2, 1, 3}},
    {IR_tile, .on = "2,3", .a.reps = {3, 1}},
    {IR_tile, .on = "2,1,2,1,2", .a.reps = {2, 2, 1, 3, 2}},
    {IR_cast, .on = "3,4", .type = IR_FP32},
    {IR_cast, .on = "3,4", .type = IR_FP16},
    {IR_select, .on = "b3,4|3,4|3,4"},
    {IR_select, .on = "b3,1|4|1"},
    {IR_select, .on = "b4|2,4|="},
    {IR_rms_norm, .on = "1,6,1,3|1,6,1,1", .a = {.axis = 1, .eps = 1e-2}},
    {IR_rms_norm, .on = "2,3,5|5", .a = {.axis = 2, .eps = 1e-5}},
    {IR_rms_norm, .on = "3,4,2|4,1", .a = {.axis = 1, .eps = 0.1}},
    {IR_rms_norm, .on = "1,3,4,5|1,1,4,1", .a = {.axis = 2, .eps = 1e-5}},
    {IR_rms_scale, .on = "1,6,1,3", .a = {.axis = 1, .eps = 1e-2}},
    {IR_rms_scale, .on = "3,4,2", .a = {.axis = 0, .eps = 1e-5}},
    {IR_layer_norm, .on = "1,6,1,3|1,6,1,1|1,6,1,1", .a = {.axis = 1, .eps = 1e-2}},
    {IR_layer_norm, .on = "2,3,5|5|5", .a = {.axis = 2, .eps = 1e-5}},
    {IR_rope, .on = "1,12,1,6",
     .a = {.heads = 3, .head_dim = 4, .batch = 2, .theta = 100}},
    {IR_rope, .on = "1,12,1,5",
     .a = {.heads = 2, .head_dim = 6, .batch = 1, .theta = 100, .interleaved = true}},
    {IR_rope, .on = "1,4,1,5",
     .a = {.heads = 1, .head_dim = 4, .batch = 1, .theta = 1e4, .inverse = true}},
    {IR_attention, .on = "1,6,1,5|1,6,1,5|1,6,1,5",
     .a = {.heads = 2, .kv_heads = 2, .head_dim = 3, .batch = 1, .scale = 0.7}},
    {IR_attention, .on = "1,12,1,4|1,6,1,4|1,6,1,4",
     .a = {.heads = 4, .kv_heads = 2, .head_dim = 3, .batch = 1, .scale = 0.7}},
    {IR_attention, .on = "1,6,1,6|1,6,1,6|1,6,1,6",
     .a = {.heads = 2, .kv_heads = 2, .head_dim = 3, .batch = 2, .scale = 0.7}},
    {IR_attention, .on = "1,12,1,6|1,4,1,6|1,4,1,6",
     .a = {.heads = 6, .kv_heads = 2, .head_dim = 2, .batch = 3, .scale = 0.7}},
    {IR_attention, .on = "1,4,1,3|=|=",
     .a = {.heads = 1, .kv_heads = 1, .head_dim = 4, .batch = 1, .scale = 0.5}},
    {IR_embedding, .on = "5,3|i7", .rows = 5},
    {IR_cross_entropy, .on = "1,5,1,7|i7", .rows = 5},
    {IR_cross_entropy, .on = "1,5,1,7|i7", .rows = 5, .skip = true},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

typedef struct {
    ir_graph *g;
    ir_node *in[4], *y;
    int n_in;
    ir_binding bind[5];
    double *value[4], *seed;
} trial;

static uint64_t counter;
static double between(double lo, double hi)
{
    return lo + (hi - lo) * rng_unit(7, 1, counter++);
}

static ir_node *operand(trial *t, const row *r, const char *spec)
{
    static const char *const names[] = {"x0", "x1", "x2", "x3"};
    int i = t->n_in;
    ir_type type = IR_FP16;
    ir_shape s = {0};
    if (*spec == '=') return t->in[i - 1];
    if (*spec == 'i') type = IR_INT32, spec++;
    if (*spec == 'b') type = IR_BOOL, spec++;
    if (*spec == 'f') type = IR_FP32, spec++;
    for (char *end; *spec && *spec != '|'; spec = *end == ',' ? end + 1 : end)
        s.d[s.rank++] = strtoll(spec, &end, 10);
    int64_t n = ir_count(s);
    double *v = calloc((size_t)n, sizeof *v);
    double lo = r->lo == r->hi ? -1 : r->lo, hi = r->lo == r->hi ? 1 : r->hi;
    for (int64_t k = 0; k < n; k++) {
        v[k] = between(lo, hi);
        if (type == IR_BOOL) v[k] = v[k] > 0;
        if (type == IR_INT32) v[k] = r->skip && k == 2 ? -1 : floor(between(0, r->rows));
    }
    t->value[i] = v;
    t->bind[i] = (ir_binding){names[i], v};
    return ir_input(t->g, names[i], type, s);
}

static void set_up(trial *t, const row *r)
{
    *t = (trial){.g = ir_new()};
    for (const char *p = r->on; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        t->in[t->n_in] = operand(t, r, p);
        t->n_in++;
    }
    t->y = ir_make(t->g, r->op, t->n_in, t->in, r->type, r->to, &r->a);
    if (!t->y) fail_msg("%s %s: %s", ir_op_name(r->op), r->on, err_text());
    int64_t n = ir_count(t->y->shape);
    t->seed = calloc((size_t)n, sizeof(double));
    for (int64_t k = 0; k < n; k++) t->seed[k] = between(-1, 1);
}

static void tear_down(trial *t)
{
    for (int i = 0; i < t->n_in; i++) free(t->value[i]);
    free(t->seed);
    ir_free(t->g);
}

static int bindings(trial *t, ir_binding *out)
{
    int n = 0;
    for (int i = 0; i < t->n_in; i++)
        if (t->value[i]) out[n++] = t->bind[i];
    out[n++] = (ir_binding){"seed", t->seed};
    return n;
}

/* sum of y * seed */
static double objective(trial *t)
{
    ir_binding b[5];
    double **v, sum = 0;
    arena *mem = arena_new();
    int n = bindings(t, b);
    if (ir_eval(t->g, mem, n, b, &v) != OK) fail_msg("%s", err_text());
    for (int64_t k = 0; k < ir_count(t->y->shape); k++)
        sum += v[t->y->id][k] * t->seed[k];
    arena_free(mem);
    return sum;
}

/* Central differences with step 1e-5 are off by about 1e-10 (curvature) and
 * 1e-11 (rounding of sums near 1); 1e-7 of the largest leaves room for both. */
static void check_operand(trial *t, const row *r, int i, const double *got)
{
    const double step = 1e-5, tolerance = 1e-7;
    double most = 1;
    int64_t n = ir_count(t->in[i]->shape);
    for (int64_t k = 0; k < n; k++) most = fmax(most, fabs(got[k]));
    for (int64_t k = 0; k < n; k++) {
        double old = t->value[i][k];
        t->value[i][k] = old + step;
        double up = objective(t);
        t->value[i][k] = old - step;
        double want = (up - objective(t)) / (2 * step);
        t->value[i][k] = old;
        if (!(fabs(want - got[k]) <= tolerance * most))
            fail_msg("%s %s: operand %d, element %d: gradient %.12g, differences %.12g",
                     ir_op_name(r->op), r->on, i, (int)k, got[k], want);
    }
}

static void check_row(const row *r)
{
    trial t;
    ir_node *dx[4];
    ir_binding b[5];
    double **v;
    arena *mem = arena_new();
    set_up(&t, r);
    ir_node *seed = ir_input(t.g, "seed", t.y->type, t.y->shape);
    if (ir_grad(t.g, t.y, seed, t.n_in, t.in, dx) != OK)
        fail_msg("%s: %s", ir_op_name(r->op), err_text());
    assert_int_equal(ir_verify(t.g), OK);
    ir_output(t.g, "y", t.y);
    char name[] = "d0";
    for (int i = 0; i < t.n_in; i++, name[1]++)
        if (dx[i] && t.value[i]) ir_output(t.g, name, dx[i]);
    int n = bindings(&t, b);
    if (ir_eval(t.g, mem, n, b, &v) != OK) fail_msg("%s", err_text());
    for (int i = 0; i < t.n_in; i++) {
        if (!t.value[i] || t.in[i]->type == IR_INT32 || t.in[i]->type == IR_BOOL)
            continue;
        assert_non_null(dx[i]);
        assert_true(ir_shape_eq(dx[i]->shape, t.in[i]->shape));
        assert_int_equal(dx[i]->type, t.in[i]->type);
        check_operand(&t, r, i, v[dx[i]->id]);
    }
    tear_down(&t);
    arena_free(mem);
}

static void every_gradient_agrees_with_differences(void **state)
{
    (void)state;
    for (int i = 0; i < ROWS; i++) check_row(&rows[i]);
}

static void every_differentiable_op_has_a_row(void **state)
{
    static const char *const gradient[IR_OPS] = {
#define OP(name, mil, args, dialect, attrs, shape, eval, value, grad, ...) #grad,
#include "ir/ops.def"
#undef OP
    };
    (void)state;
    for (int op = 0; op < IR_OPS; op++) {
        bool found = strcmp(gradient[op], "leaf") == 0 ||
                     strcmp(gradient[op], "stop") == 0 ||
                     strcmp(gradient[op], "missing") == 0;
        for (int i = 0; i < ROWS; i++) found |= rows[i].op == (ir_op)op;
        if (!found) fail_msg("no gradient case for %s", ir_op_name((ir_op)op));
    }
}

/* ---- the walk ---- */
static void a_value_used_twice_gets_the_sum(void **state)
{
    (void)state;
    /* y = x * exp(x) + x: y' = exp(x) (1 + x) + 1 */
    ir_graph *g = ir_new();
    arena *mem = arena_new();
    double x = 0.3, **v;
    ir_node *in = ir_input(g, "x", IR_FP32, ir_s1(1)), *dx;
    ir_node *y = ir_add(g, ir_mul(g, in, ir_unary(g, IR_exp, in)), in);
    assert_int_equal(ir_grad(g, y, NULL, 1, &in, &dx), OK);
    ir_output(g, "dx", dx);
    assert_int_equal(ir_eval(g, mem, 1, &(ir_binding){"x", &x}, &v), OK);
    assert_float_equal(v[dx->id][0], exp(x) * (1 + x) + 1, 1e-14); /* a few roundings */
    arena_free(mem);
    ir_free(g);
}

static void what_y_does_not_read_has_no_gradient(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s1(3)),
            *z = ir_input(g, "z", IR_FP16, ir_s1(3));
    ir_node *c = ir_greater_equal(g, x, z);
    ir_node *y = ir_select(g, c, x, ir_scalar(g, 0));
    ir_node *wrt[] = {z, x}, *out[2];
    assert_int_equal(ir_grad(g, y, NULL, 2, wrt, out), OK);
    assert_null(out[0]); /* only through a comparison */
    assert_non_null(out[1]);
    ir_free(g);
}

static void an_op_without_gradient_is_refused(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 3, 1, 2)), *out;
    ir_node *ids = ir_input(g, "ids", IR_INT32, ir_s1(2));
    ir_node *in[] = {ids, x};
    ir_node *y = ir_make(g, IR_embedding_dw, 2, in, IR_FP16, (ir_shape){0},
                         &(ir_attr){.vocab = 5});
    assert_int_equal(ir_grad(g, y, NULL, 1, &x, &out), E_FAILED);
    assert_string_equal(err_first(), "embedding_dw has no gradient");
    ir_free(g);
}

static void gradients_carry_the_scope_they_undo(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 4, 1, 3)), *dw;
    ir_node *w = ir_param(g, "w", ir_s2(5, 4));
    ir_scope(g, "layer.0.mlp", false);
    ir_node *h = ir_linear(g, w, x);
    ir_scope(g, "loss", false);
    ir_node *y = ir_reduce(g, IR_reduce_sum, h, 2, (int[]){1, 3}, true);
    assert_int_equal(ir_grad(g, y, NULL, 1, &w, &dw), OK);
    assert_string_equal(dw->scope, "layer.0.mlp");
    assert_true(dw->backward);
    assert_false(y->backward);
    assert_string_equal(g->scope, "loss");
    assert_false(g->backward);
    ir_free(g);
}

/* One product of [O,T] by [I,T]^T, with nothing broadcast on the way. */
static void the_weight_gradient_of_linear_is_one_product(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 4, 1, 6)), *dw;
    ir_node *w = ir_param(g, "w", ir_s2(5, 4));
    ir_node *y = ir_linear(g, w, x);
    ir_node *seed = ir_input(g, "dy", IR_FP16, y->shape);
    int before = g->n_nodes, products = 0;
    assert_int_equal(ir_grad(g, y, seed, 1, &w, &dw), OK);
    assert_int_equal(dw->op, IR_reshape);
    assert_true(ir_shape_eq(dw->shape, ir_s2(5, 4)));
    ir_node *m = dw->in[0];
    assert_int_equal(m->op, IR_matmul);
    assert_true(m->attr.ty && !m->attr.tx);
    assert_true(ir_shape_eq(m->in[0]->shape, ir_s4(1, 1, 5, 6)));
    assert_true(ir_shape_eq(m->in[1]->shape, ir_s4(1, 1, 4, 6)));
    for (int i = before; i < g->n_nodes; i++) {
        products += g->nodes[i]->op == IR_matmul;
        assert_true(g->nodes[i]->op == IR_matmul || g->nodes[i]->op == IR_reshape);
    }
    assert_int_equal(products, 1);
    ir_free(g);
}

/* The engine sums reduce_sum in fp16: gradients of layers may not use it. */
static void sums_on_sequences_are_products(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 6, 1, 5));
    ir_node *w = ir_param(g, "w", ir_s4(1, 6, 1, 1)),
            *b = ir_param(g, "b", ir_s4(1, 6, 1, 1));
    ir_node *h = ir_layer_norm(g, ir_rms_norm(g, x, w, 1, 1e-5), w, b, 1, 1e-5);
    ir_node *y = ir_softmax(g, ir_attention(g, h, h, h, 3, 3, 2, 1, 0.5), 1);
    y = ir_reshape(g, y, ir_s4(1, 3, 2, 5)); /* a norm inside heads */
    ir_node *hw = ir_param(g, "hw", ir_s4(1, 1, 2, 1));
    y = ir_rms_norm(g, y, hw, 2, 1e-5);
    ir_node *wrt[] = {x, w, b, hw}, *out[4];
    int before = g->n_nodes;
    assert_int_equal(ir_grad(g, y, NULL, 4, wrt, out), OK);
    for (int i = before; i < g->n_nodes; i++) {
        assert_int_not_equal(g->nodes[i]->op, IR_reduce_sum);
        assert_int_not_equal(g->nodes[i]->op, IR_reduce_mean);
    }
    ir_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gradient_agrees_with_differences),
        cmocka_unit_test(every_differentiable_op_has_a_row),
        cmocka_unit_test(a_value_used_twice_gets_the_sum),
        cmocka_unit_test(what_y_does_not_read_has_no_gradient),
        cmocka_unit_test(an_op_without_gradient_is_refused),
        cmocka_unit_test(gradients_carry_the_scope_they_undo),
        cmocka_unit_test(the_weight_gradient_of_linear_is_one_product),
        cmocka_unit_test(sums_on_sequences_are_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
