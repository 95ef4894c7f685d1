/* Simplification keeps the meaning, shares equal work and drops the rest. */
#include "test.h"
#include "base/rng.h"
#include "ir/ir.h"

static ir_graph *simple(const ir_graph *g)
{
    ir_graph *out;
    if (ir_simplify(g, &out, NULL) != OK) fail_msg("%s", err_text());
    if (ir_verify(out) != OK) fail_msg("%s", err_text());
    return out;
}

static int count(const ir_graph *g, ir_op op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) n += g->nodes[i]->op == op;
    return n;
}

/* The graph whose output "y" is `y`, simplified; returns what "y" became. */
static ir_node *reduced(ir_graph *g, ir_node *y, ir_graph **out)
{
    if (!y) fail_msg("%s", err_text());
    ir_output(g, "y", y);
    *out = simple(g);
    return (*out)->outputs[0].node;
}

typedef ir_node *(*build)(ir_graph *g, ir_node *x);
static ir_node *add_zero(ir_graph *g, ir_node *x)
{
    return ir_sub(g, ir_add(g, ir_scalar(g, 0), x), ir_scalar(g, 0));
}
static ir_node *times_one(ir_graph *g, ir_node *x)
{
    return ir_div(g, ir_mul(g, x, ir_scalar(g, 1)), ir_scalar(g, 1));
}
static ir_node *reshape_back(ir_graph *g, ir_node *x)
{
    return ir_reshape(g, ir_reshape(g, ir_reshape(g, x, ir_s2(4, 6)), ir_s1(24)),
                      x->shape);
}
static ir_node *transpose_back(ir_graph *g, ir_node *x)
{
    x = ir_transpose(g, x, (int[]){0, 3, 1, 2});
    return ir_transpose(g, ir_transpose(g, x, (int[]){0, 3, 2, 1}), (int[]){0, 2, 1, 3});
}
static ir_node *casts(ir_graph *g, ir_node *x)
{
    return ir_cast(g, ir_cast(g, ir_cast(g, x, IR_FP16), IR_FP32), IR_FP16);
}
static ir_node *whole(ir_graph *g, ir_node *x)
{
    x = ir_slice(g, x, (int64_t[]){0, 0, 0, 0}, x->shape.d);
    x = ir_split(g, ir_tile(g, x, (int64_t[]){1, 1, 1, 1}), 1, 1, 0);
    return ir_concat(g, 1, &x, 1);
}
static ir_node *same_choice(ir_graph *g, ir_node *x)
{
    ir_node *c = ir_greater_equal(g, x, ir_scalar(g, 0));
    return ir_select(g, c, x, x);
}
static ir_node *reduce_nothing(ir_graph *g, ir_node *x)
{
    return ir_reduce(g, IR_reduce_max, x, 2, (int[]){0, 2}, true);
}

static void identities_vanish(void **state)
{
    static const build cases[] = {add_zero, times_one, reshape_back, transpose_back,
                                  casts,    whole,     same_choice,  reduce_nothing};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ir_graph *g = ir_new(), *out;
        ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 4, 1, 6));
        ir_node *y = reduced(g, cases[i](g, x), &out);
        if (y->op != IR_input) fail_msg("case %d leaves %s", (int)i, ir_op_name(y->op));
        assert_int_equal(out->n_nodes, 1);
        ir_free(g);
        ir_free(out);
    }
}

static void what_looks_like_an_identity_stays(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s1(4));
    ir_node *zero = ir_fill(g, IR_FP16, ir_s2(3, 1), 0);
    ir_output(g, "wider", ir_add(g, x, zero));
    ir_output(g, "infinite", ir_mul(g, x, ir_scalar(g, 0)));
    ir_output(g, "negated", ir_sub(g, ir_scalar(g, 0), x));
    ir_node *f = ir_input(g, "f", IR_FP32, ir_s1(4));
    ir_output(g, "rounded", ir_cast(g, ir_cast(g, f, IR_FP16), IR_FP32));
    ir_graph *out = simple(g);
    assert_int_equal(count(out, IR_add), 1);
    assert_int_equal(count(out, IR_mul), 1);
    assert_int_equal(count(out, IR_sub), 1);
    assert_int_equal(count(out, IR_cast), 2);
    ir_free(g);
    ir_free(out);
}

static void moving_axes_of_one_is_a_reshape(void **state)
{
    (void)state;
    ir_graph *g = ir_new(), *out;
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 4, 1, 6));
    ir_node *y = reduced(g, ir_transpose(g, x, (int[]){1, 0, 2, 3}), &out);
    assert_int_equal(y->op, IR_reshape);
    ir_free(g);
    ir_free(out);
}

static void equal_nodes_become_one(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s1(4)), *w = ir_param(g, "w", ir_s1(4));
    ir_scope(g, "first", false);
    ir_node *a = ir_unary(g, IR_exp, ir_mul(g, x, w));
    ir_scope(g, "second", true);
    ir_node *b = ir_unary(g, IR_exp, ir_mul(g, w, x));  /* commuted */
    ir_node *c = ir_sub(g, x, w), *d = ir_sub(g, w, x); /* not equal */
    ir_output(g, "p", a);
    ir_output(g, "q", b);
    ir_output(g, "r", ir_add(g, c, d));
    ir_graph *out;
    ir_node **map;
    assert_int_equal(ir_simplify(g, &out, &map), OK);
    assert_ptr_equal(map[a->id], map[b->id]);
    assert_ptr_not_equal(map[c->id], map[d->id]);
    assert_string_equal(map[b->id]->scope, "first");
    assert_false(map[b->id]->backward);
    assert_int_equal(count(out, IR_exp), 1);
    assert_int_equal(count(out, IR_sub), 2);
    assert_ptr_equal(ir_find(out, "q"), map[a->id]);
    ir_free(g);
    ir_free(out);
}

static void dead_nodes_go_and_their_names_with_them(void **state)
{
    (void)state;
    ir_graph *g = ir_new(), *out;
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s1(4)),
            *z = ir_input(g, "z", IR_FP16, ir_s1(4));
    ir_node *never = ir_greater_equal(g, x, x);
    ir_node *dead = ir_unary(g, IR_exp, z), **map;
    ir_output(g, "y", ir_select(g, never, x, x));
    assert_int_equal(ir_simplify(g, &out, &map), OK);
    assert_int_equal(out->n_nodes, 1);
    assert_null(map[dead->id]);
    assert_null(map[never->id]);
    assert_null(ir_find(out, "z"));
    assert_non_null(ir_find(out, "x"));
    assert_int_equal(ir_verify(out), OK);
    ir_free(g);
    ir_free(out);
}

static void constants_fold(void **state)
{
    (void)state;
    ir_graph *g = ir_new(), *out;
    double v[] = {1, 2, 3, 4};
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s1(2));
    ir_node *c = ir_transpose(g, ir_const(g, IR_FP16, ir_s2(2, 2), v), (int[]){1, 0});
    c = ir_reduce(g, IR_reduce_sum, c, 1, (int[]){0}, false); /* 3, 7 */
    c = ir_mul(g, c, ir_add(g, ir_scalar(g, 0.5), ir_fill(g, IR_FP16, ir_s1(2), 1.5)));
    ir_node *y = reduced(g, ir_add(g, x, c), &out);
    assert_int_equal(out->n_nodes, 3);
    assert_int_equal(y->in[1]->op, IR_constant);
    assert_float_equal(y->in[1]->data[0], 6, 0);
    assert_float_equal(y->in[1]->data[1], 14, 0);
    ir_free(g);
    ir_free(out);
}

static void constants_a_device_cannot_hold_do_not_fold(void **state)
{
    (void)state;
    ir_graph *g = ir_new(), *out;
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s1(2));
    ir_node *big = ir_mul(g, ir_scalar(g, 60000), ir_scalar(g, 2));
    ir_node *y = reduced(g, ir_add(g, x, big), &out);
    assert_int_equal(y->in[1]->op, IR_mul);
    ir_free(g);
    ir_free(out);
}

/* ---- a transformer block, as training sees it ---- */
/* Copy g, attention expanded in tiles of so many queries, as a planner would. */
static ir_graph *expanded(const ir_graph *g, int64_t width)
{
    ir_graph *out = ir_new();
    ir_node *map[400], *in[8];
    assert_true(g->n_nodes <= 400);
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        ir_scope(out, n->scope, n->backward);
        for (int k = 0; k < n->n_in; k++) in[k] = map[n->in[k]->id];
        if (n->op == IR_input) map[i] = ir_input(out, n->name, n->type, n->shape);
        else if (n->op == IR_param) map[i] = ir_param(out, n->name, n->shape);
        else if (n->op == IR_constant && n->uniform)
            map[i] = ir_fill(out, n->type, n->shape, n->data[0]);
        else if (n->op == IR_constant) map[i] = ir_const(out, n->type, n->shape, n->data);
        else if (n->op == IR_attention)
            map[i] = ir_attention_parts(out, in, &n->attr, width);
        else if (n->op == IR_attention_dx)
            map[i] = ir_attention_dx_parts(out, in, &n->attr, width);
        else map[i] = ir_make(out, n->op, n->n_in, in, n->type, n->shape, &n->attr);
    }
    for (int i = 0; i < g->n_outputs; i++)
        ir_output(out, g->outputs[i].name, map[g->outputs[i].node->id]);
    assert_int_equal(ir_verify(out), OK);
    return out;
}

/* norm, q k v, rope, attention with 4 heads of 2 over 2 kv heads, out, mlp */
static ir_node *block(ir_graph *g, ir_node *x, int layer, int batch, ir_node **w,
                      int *n_w)
{
    static const struct {
        const char *name;
        int64_t o, i;
    } mats[] = {{"q", 8, 6}, {"k", 4, 6},   {"v", 4, 6},
                {"o", 6, 8}, {"up", 10, 6}, {"down", 6, 10}};
    ir_node *m[6], *norm[2];
    char name[40];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "layer.%d.%s", layer, mats[i].name);
        w[(*n_w)++] = m[i] = ir_param(g, name, ir_s2(mats[i].o, mats[i].i));
    }
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "layer.%d.norm%d", layer, i);
        w[(*n_w)++] = norm[i] = ir_param(g, name, ir_s4(1, 6, 1, 1));
    }
    snprintf(name, sizeof name, "layer.%d", layer);
    ir_scope(g, name, false);
    ir_node *h = ir_rms_norm(g, x, norm[0], 1, 1e-5);
    ir_node *q = ir_rope(g, ir_linear(g, m[0], h), 4, 2, batch, 1e4, false, false);
    ir_node *k = ir_rope(g, ir_linear(g, m[1], h), 2, 2, batch, 1e4, false, false);
    ir_node *a = ir_attention(g, q, k, ir_linear(g, m[2], h), 4, 2, 2, batch, 0.7);
    x = ir_add(g, x, ir_linear(g, m[3], a));
    h = ir_rms_norm(g, x, norm[1], 1, 1e-5);
    h = ir_unary(g, IR_silu, ir_linear(g, m[4], h));
    return ir_add(g, x, ir_linear(g, m[5], h));
}

static ir_graph *training(int layers, int batch, int *n_w)
{
    ir_graph *g = ir_new();
    ir_node *w[512], *d[512];
    int64_t t = 6;
    *n_w = 0;
    ir_node *ids = ir_input(g, "ids", IR_INT32, ir_s1(t)),
            *y = ir_input(g, "y", IR_INT32, ir_s1(t));
    ir_node *table = w[(*n_w)++] = ir_param(g, "table", ir_s2(9, 6));
    ir_node *x = ir_embedding(g, table, ids);
    for (int i = 0; i < layers; i++) x = block(g, x, i, batch, w, n_w);
    ir_scope(g, "loss", false);
    ir_node *loss = ir_cross_entropy(g, ir_linear(g, table, x), y);
    if (ir_grad(g, loss, NULL, *n_w, w, d) != OK) fail_msg("%s", err_text());
    ir_output(g, "loss", loss);
    for (int i = 0; i < *n_w; i++) {
        char name[48];
        snprintf(name, sizeof name, "d.%s", w[i]->name);
        ir_output(g, name, d[i]);
    }
    assert_int_equal(ir_verify(g), OK);
    return g;
}

static void the_gradient_reads_the_forward_probabilities(void **state)
{
    static const struct {
        int batch, width, tiles, masks; /* a single last query sees all: no mask */
    } rows[] = {{1, 0, 1, 1}, {1, 3, 2, 2}, {1, 2, 3, 3}, {2, 0, 1, 1}, {2, 2, 2, 1}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int n_w, masks = 0;
        ir_graph *g = training(2, rows[i].batch, &n_w),
                 *parts = expanded(g, rows[i].width), *out = simple(parts);
        assert_true(count(parts, IR_softmax) > count(out, IR_softmax));
        assert_int_equal(count(out, IR_softmax), 2 * rows[i].tiles); /* 2 layers */
        for (int k = 0; k < out->n_nodes; k++)
            masks += out->nodes[k]->op == IR_constant && !out->nodes[k]->uniform;
        assert_int_equal(masks, rows[i].masks);
        for (int k = 0; k < out->n_nodes; k++) /* and they are forward nodes */
            if (out->nodes[k]->op == IR_softmax) assert_false(out->nodes[k]->backward);
        ir_free(g);
        ir_free(parts);
        ir_free(out);
    }
}

static const double *values_of(arena *mem, const ir_graph *g, const char *name)
{
    static ir_binding b[64];
    int n = 0;
    double **v;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *x = g->nodes[i];
        if (x->op != IR_input && x->op != IR_param) continue;
        int64_t size = ir_count(x->shape);
        double *data = arena_array(mem, (size_t)size, sizeof *data);
        for (int64_t k = 0; k < size; k++)
            data[k] = x->type == IR_INT32
                          ? (double)rng_below(1, rng_stream(x->name), (uint64_t)k, 9)
                          : 0.5 * rng_normal(1, rng_stream(x->name), (uint64_t)k);
        b[n++] = (ir_binding){x->name, data};
    }
    if (ir_eval(g, mem, n, b, &v) != OK) fail_msg("%s", err_text());
    return v[ir_find(g, name)->id];
}

static void a_simplified_training_step_means_the_same(void **state)
{
    (void)state;
    int n_w;
    ir_graph *g = training(2, 2, &n_w), *parts = expanded(g, 0), *out = simple(parts);
    arena *mem = arena_new();
    assert_true(out->n_nodes < parts->n_nodes);
    for (int o = 0; o < g->n_outputs; o++) {
        const char *name = g->outputs[o].name;
        const double *a = values_of(mem, g, name), *b = values_of(mem, out, name);
        for (int64_t i = 0; i < ir_count(g->outputs[o].node->shape); i++)
            if (!(fabs(a[i] - b[i]) <= 1e-12)) /* other order of the same sums */
                fail_msg("%s[%d]: %.15g and %.15g", name, (int)i, a[i], b[i]);
    }
    arena_free(mem);
    ir_free(g);
    ir_free(parts);
    ir_free(out);
}

static void simplifying_twice_changes_nothing(void **state)
{
    (void)state;
    int n_w;
    str a = {0}, b = {0};
    ir_graph *g = training(3, 1, &n_w), *once = simple(g), *twice = simple(once);
    assert_int_equal(ir_print(once, &a), OK);
    assert_int_equal(ir_print(twice, &b), OK);
    assert_string_equal(str_text(&a), str_text(&b));
    str_free(&a);
    str_free(&b);
    ir_free(g);
    ir_free(once);
    ir_free(twice);
}

/* Work counted in nodes, not seconds: each layer adds the same. */
static void a_graph_grows_linearly_with_its_layers(void **state)
{
    (void)state;
    int size[3], n_w;
    for (int i = 0; i < 3; i++) {
        ir_graph *g = training(10 * (i + 1), 1, &n_w), *out = simple(g);
        size[i] = out->n_nodes;
        ir_free(g);
        ir_free(out);
    }
    assert_int_equal(size[2] - size[1], size[1] - size[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identities_vanish),
        cmocka_unit_test(what_looks_like_an_identity_stays),
        cmocka_unit_test(moving_axes_of_one_is_a_reshape),
        cmocka_unit_test(equal_nodes_become_one),
        cmocka_unit_test(dead_nodes_go_and_their_names_with_them),
        cmocka_unit_test(constants_fold),
        cmocka_unit_test(constants_a_device_cannot_hold_do_not_fold),
        cmocka_unit_test(the_gradient_reads_the_forward_probabilities),
        cmocka_unit_test(a_simplified_training_step_means_the_same),
        cmocka_unit_test(simplifying_twice_changes_nothing),
        cmocka_unit_test(a_graph_grows_linearly_with_its_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
