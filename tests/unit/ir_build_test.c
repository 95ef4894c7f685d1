/* Constructors: shapes they give, what they refuse and in which words. */
#include "test.h"
#include "ir/ir.h"

static void has_shape(const ir_node *n, const char *type, const char *want)
{
    char text[64];
    assert_non_null(n);
    assert_string_equal(ir_type_name(n->type), type);
    assert_string_equal(ir_shape_text(text, n->shape), want);
}

static void shapes_follow_their_rules(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 1, 6));
    ir_node *w = ir_param(g, "w", ir_s2(12, 8));
    ir_node *c = ir_param(g, "c", ir_s4(1, 8, 1, 1));
    has_shape(ir_linear(g, w, x), "fp16", "[1,12,1,6]");
    has_shape(ir_add(g, x, c), "fp16", "[1,8,1,6]");
    has_shape(ir_reduce(g, IR_reduce_sum, x, 2, (int[]){1, 3}, true), "fp16",
              "[1,1,1,1]");
    has_shape(ir_reduce(g, IR_reduce_sum, x, 2, (int[]){1, 3}, false), "fp16", "[1,1]");
    has_shape(ir_transpose(g, x, (int[]){0, 3, 2, 1}), "fp16", "[1,6,1,8]");
    has_shape(ir_split(g, x, 1, 4, 3), "fp16", "[1,2,1,6]");
    has_shape(ir_tile(g, x, (int64_t[]){2, 1, 1, 3}), "fp16", "[2,8,1,18]");
    has_shape(ir_concat(g, 2, (ir_node *[]){x, c}, 3), "fp16", "[1,8,1,7]");
    has_shape(ir_rms_norm(g, x, c, 1, 1e-5), "fp16", "[1,8,1,6]");
    has_shape(ir_rms_scale(g, x, 1, 1e-5), "fp16", "[1,1,1,6]");
    has_shape(ir_greater_equal(g, x, c), "bool", "[1,8,1,6]");
    ir_node *k = ir_input(g, "k", IR_FP16, ir_s4(1, 4, 1, 6));
    has_shape(ir_attention(g, x, k, k, 4, 2, 2, 2, 0.5), "fp16", "[1,8,1,6]");
    ir_node *ids = ir_input(g, "ids", IR_INT32, ir_s1(6));
    has_shape(ir_embedding(g, w, ids), "fp16", "[1,8,1,6]");
    has_shape(ir_cross_entropy(g, x, ids), "fp32", "[1]");
    ir_node *image = ir_input(g, "image", IR_FP16, ir_s4(2, 4, 9, 7));
    ir_node *kernel = ir_param(g, "kernel", ir_s4(6, 2, 3, 3));
    has_shape(
        ir_conv(g, image, kernel, (int[]){2, 1}, (int[]){1, 1, 0, 0}, (int[]){1, 2}, 2),
        "fp16", "[2,6,5,3]");
    assert_int_equal(ir_verify(g), OK);
    ir_free(g);
}

static void the_first_failure_is_kept(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 1, 6));
    ir_node *w = ir_param(g, "w", ir_s2(12, 9));
    ir_scope(g, "layer.3.mlp", false);
    ir_node *y = ir_linear(g, w, x);
    assert_null(y);
    assert_null(ir_add(g, y, x));
    assert_null(ir_unary(g, IR_exp, NULL));
    err_clear();
    assert_int_equal(ir_rc(g), E_SHAPE);
    assert_string_equal(err_first(),
                        "linear: weight [12,9] wants [1,9,1,T], got [1,8,1,6]");
    assert_non_null(strstr(err_text(), "layer.3.mlp"));
    assert_int_equal(ir_verify(g), E_SHAPE);
    ir_free(g);
}

/* One refusal: build with g holding x [1,8,1,6] fp16 and i [6] int32. */
typedef ir_node *(*build)(ir_graph *g, ir_node *x, ir_node *i);
static ir_node *bad_broadcast(ir_graph *g, ir_node *x, ir_node *i)
{
    (void)i;
    return ir_add(g, x, ir_fill(g, IR_FP16, ir_s4(1, 7, 1, 6), 1));
}
static ir_node *bad_types(ir_graph *g, ir_node *x, ir_node *i)
{
    return ir_mul(g, x, i);
}
static ir_node *bad_axis(ir_graph *g, ir_node *x, ir_node *i)
{
    (void)i;
    return ir_softmax(g, x, 4);
}
static ir_node *bad_reshape(ir_graph *g, ir_node *x, ir_node *i)
{
    (void)i;
    return ir_reshape(g, x, ir_s2(7, 7));
}
static ir_node *bad_slice(ir_graph *g, ir_node *x, ir_node *i)
{
    (void)i;
    return ir_slice(g, x, (int64_t[]){0, 4, 0, 0}, (int64_t[]){1, 5, 1, 6});
}
static ir_node *bad_heads(ir_graph *g, ir_node *x, ir_node *i)
{
    (void)i;
    return ir_rope(g, x, 4, 3, 1, 1e4, false, false);
}
static ir_node *bad_size(ir_graph *g, ir_node *x, ir_node *i)
{
    (void)x, (void)i;
    return ir_input(g, "huge", IR_FP16, ir_s4(INT32_MAX, INT32_MAX, 1, 1));
}
static ir_node *bad_name(ir_graph *g, ir_node *x, ir_node *i)
{
    (void)x, (void)i;
    return ir_input(g, "x", IR_FP16, ir_s1(1));
}
static ir_node *bad_ids(ir_graph *g, ir_node *x, ir_node *i)
{
    (void)i;
    return ir_cross_entropy(g, x, ir_input(g, "few", IR_INT32, ir_s1(5)));
}

static void refusals_say_what_was_wanted(void **state)
{
    static const struct {
        build make;
        const char *text;
    } cases[] = {
        {bad_broadcast, "add: [1,8,1,6] and [1,7,1,6] do not broadcast"},
        {bad_types, "mul: operands must be of one type, got fp16 and int32"},
        {bad_axis, "softmax: axis must be 0 to 3 for [1,8,1,6], got 4"},
        {bad_reshape, "reshape: [1,8,1,6] has 48 elements, [7,7] has 49"},
        {bad_slice, "slice: axis 1 has 8 elements, wanted 5 from 4"},
        {bad_heads, "rope: operand 0 has 8 channels, wanted 4 heads of 3"},
        {bad_size, "input: more than 2^40 elements"},
        {bad_name, "input: the name 'x' is taken"},
        {bad_ids, "cross_entropy: 5 ids for 6 columns"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ir_graph *g = ir_new();
        ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 1, 6));
        ir_node *ids = ir_input(g, "i", IR_INT32, ir_s1(6));
        assert_null(cases[i].make(g, x, ids));
        assert_int_equal(ir_rc(g), E_SHAPE);
        assert_string_equal(err_first(), cases[i].text);
        ir_free(g);
    }
}

static void names_find_their_nodes(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s1(4));
    ir_node *w = ir_param(g, "w", ir_s1(4));
    ir_node *y = ir_mul(g, x, w);
    ir_output(g, "y", y);
    assert_ptr_equal(ir_find(g, "x"), x);
    assert_ptr_equal(ir_find(g, "w"), w);
    assert_ptr_equal(ir_find(g, "y"), y);
    assert_null(ir_find(g, "z"));
    ir_free(g);
}

static void equal_constants_share_their_values(void **state)
{
    (void)state;
    double v[] = {1, 2, 3}, same[] = {7, 7, 7};
    ir_graph *g = ir_new();
    ir_node *a = ir_const(g, IR_FP16, ir_s1(3), v);
    ir_node *b = ir_const(g, IR_FP16, ir_s2(1, 3), v);
    ir_node *c = ir_const(g, IR_FP16, ir_s1(3), same);
    assert_ptr_equal(a->data, b->data);
    assert_true(c->uniform);
    ir_free(g);
}

static void a_graph_prints(void **state)
{
    (void)state;
    ir_graph *g = ir_new();
    str out = {0};
    double v[] = {0, 0, 0, 1};
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 4, 1, 4));
    ir_scope(g, "layer.0", true);
    ir_node *m = ir_const(g, IR_FP16, ir_s1(4), v);
    ir_node *y = ir_softmax(g, ir_add(g, ir_mul(g, x, ir_scalar(g, 0.1)), m), 1);
    ir_output(g, "y", y);
    assert_int_equal(ir_print(g, &out), OK);
    assert_string_equal(str_text(&out), "ir 1\n"
                                        "%0 = input \"x\" : fp16[1,4,1,4]\n"
                                        "scope \"layer.0\" backward\n"
                                        "%1 = constant {0*3 1} : fp16[4]\n"
                                        "%2 = constant all 0.1 : fp16[1]\n"
                                        "%3 = mul(%0, %2) : fp16[1,4,1,4]\n"
                                        "%4 = add(%3, %1) : fp16[1,4,1,4]\n"
                                        "%5 = softmax(%4) axis=1 : fp16[1,4,1,4]\n"
                                        "output \"y\" %5\n");
    str_free(&out);
    ir_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_follow_their_rules),
        cmocka_unit_test(the_first_failure_is_kept),
        cmocka_unit_test(refusals_say_what_was_wanted),
        cmocka_unit_test(names_find_their_nodes),
        cmocka_unit_test(equal_constants_share_their_values),
        cmocka_unit_test(a_graph_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
