/* The text of a graph: the golden form, the way back, and what is refused
 * where. */
#include "test.h"
#include "base/arena.h"
#include "ir/ir.h"

static ir_graph *parsed(const char *text)
{
    ir_graph *g;
    assert_ok(ir_parse(text, strlen(text), "t.ir", &g));
    assert_ok(ir_verify(g));
    return g;
}

/* tests/golden/ir/NAME.exact; GOLDEN=write makes it anew. */
static void assert_golden(const char *name, const char *text)
{
    char path[256], *want;
    size_t n;
    arena *mem = arena_new();
    const char *mode = getenv("GOLDEN");
    snprintf(path, sizeof path, "tests/golden/ir/%s.exact", name);
    if (mode && !strcmp(mode, "write")) assert_ok(file_replace(path, text, strlen(text)));
    assert_ok(file_read(mem, path, 0, &want, &n));
    assert_string_equal(text, want);
    arena_free(mem);
}

/* One node of every op, with every attribute different from its default. */
static ir_graph *every_op(void)
{
    ir_graph *g = ir_new();
    const int two[] = {2, 1}, pad[] = {1, 0, 2, 1}, one[] = {1, 2};
    double v[] = {0, 0, 0, -1e4, 0.1, 0.1, 3, -0.0};
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 1, 6));
    ir_node *w = ir_param(g, "a \"name\" with \\ and \n", ir_s2(5, 8));
    ir_node *ids = ir_input(g, "ids", IR_INT32, ir_s1(6));
    ir_scope(g, "layer.0.attn", false);
    ir_node *c = ir_const(g, IR_FP16, ir_s4(1, 8, 1, 1), v);
    for (int op = IR_add; op <= IR_pow; op++) ir_binary(g, (ir_op)op, x, c);
    for (int op = IR_abs; op <= IR_gelu; op++) ir_unary(g, (ir_op)op, x);
    ir_softmax(g, x, 3);
    for (int op = IR_reduce_sum; op <= IR_reduce_max; op++)
        ir_reduce(g, (ir_op)op, x, 2, (int[]){1, 3}, op != IR_reduce_mean);
    ir_matmul(g, x, x, true, false);
    ir_scope(g, "layer.0.conv", true);
    ir_node *image = ir_input(g, "image", IR_FP16, ir_s4(2, 4, 5, 6));
    ir_node *k = ir_param(g, "k", ir_s4(6, 2, 3, 2));
    ir_node *y = ir_conv(g, image, k, two, pad, one, 2), *dx[2], *wrt[] = {image, k};
    assert_ok(ir_grad(g, y, ir_fill(g, IR_FP16, y->shape, -0.3), 2, wrt, dx));
    ir_scope(g, "", false);
    ir_reshape(g, x, (ir_shape){5, {1, 2, 4, 3, 2}});
    ir_transpose(g, x, (int[]){3, 0, 2, 1});
    ir_slice(g, x, (int64_t[]){0, 2, 0, 1}, (int64_t[]){1, 3, 1, 4});
    ir_concat(g, 3, (ir_node *[]){x, c, x}, 3);
    ir_split(g, x, 1, 4, 2);
    ir_tile(g, x, (int64_t[]){2, 1, 3, 1});
    ir_cast(g, x, IR_FP32);
    ir_select(g, ir_greater_equal(g, x, c), x, c);
    ir_rms_norm(g, x, c, 1, 1e-5);
    ir_rms_scale(g, x, 1, 1e-6);
    ir_layer_norm(g, x, c, c, 1, 0);
    ir_rope(g, x, 2, 4, 3, 1e6, true, true);
    ir_node *kv = ir_slice(g, x, (int64_t[]){0, 0, 0, 0}, (int64_t[]){1, 4, 1, 6});
    ir_node *a = ir_attention(g, x, kv, kv, 4, 2, 2, 3, 0.70710678118654757), *dkv;
    assert_ok(ir_grad(g, a, NULL, 1, &kv, &dkv));
    ir_node *table = ir_param(g, "table", ir_s2(9, 8));
    ir_node *d,
        *loss = ir_cross_entropy(g, ir_linear(g, w, ir_embedding(g, table, ids)), ids);
    assert_ok(ir_grad(g, loss, NULL, 1, &table, &d));
    ir_output(g, "loss", loss);
    ir_output(g, "d.table", d);
    ir_node *code = ir_make(g, IR_target_code, 2,
                            (ir_node *[]){ids, ir_fill(g, IR_FP32, ir_s1(1), 1)}, IR_FP16,
                            (ir_shape){0}, &(ir_attr){.vocab = 5});
    ir_node *row = ir_reshape(
        g, ir_slice(g, code, (int64_t[]){0, 0, 0, 0}, (int64_t[]){1, 1, 1, 6}),
        ir_s4(1, 1, 1, 6));
    ir_output(g, "loss.parts",
              ir_make(g, IR_target_loss, 4, (ir_node *[]){loss->in[0], ids, row, row},
                      IR_FP32, (ir_shape){0}, &(ir_attr){.scale = 4}));
    assert_ok(ir_verify(g));
    return g;
}

static void the_printed_form_is_kept(void **state)
{
    (void)state;
    bool seen[IR_OPS] = {false};
    str out = {0};
    ir_graph *g = every_op();
    for (int i = 0; i < g->n_nodes; i++) seen[g->nodes[i]->op] = true;
    for (int op = 0; op < IR_OPS; op++)
        if (!seen[op]) fail_msg("no %s in the golden text", ir_op_name((ir_op)op));
    assert_ok(ir_print(g, &out));
    assert_golden("every_op", str_text(&out));
    str_free(&out);
    ir_free(g);
}

static void text_is_read_back_to_the_same_graph(void **state)
{
    (void)state;
    str a = {0}, b = {0};
    ir_graph *g = every_op();
    assert_ok(ir_print(g, &a));
    ir_graph *back = parsed(str_text(&a));
    assert_int_equal(back->n_nodes, g->n_nodes);
    for (int i = 0; i < g->n_nodes; i++) {
        assert_string_equal(back->nodes[i]->scope, g->nodes[i]->scope);
        assert_int_equal(back->nodes[i]->backward, g->nodes[i]->backward);
        assert_true(ir_shape_eq(back->nodes[i]->shape, g->nodes[i]->shape));
    }
    assert_ok(ir_print(back, &b));
    assert_string_equal(str_text(&a), str_text(&b));
    str_free(&a);
    str_free(&b);
    ir_free(g);
    ir_free(back);
}

static void spaces_comments_and_order_are_free(void **state)
{
    (void)state;
    str a = {0};
    ir_graph *g = parsed("# a graph\r\n\n  ir 1 # version\n"
                         "%0=input\"x\":fp16[ 1, 4 ]\t\r\n"
                         "  scope \"s\"\n"
                         "%1 = rms_scale ( % 0 ) eps = 0.5 axis=1 : fp16 [1,1] # tail\n"
                         "output \"y\" %1");
    assert_ok(ir_print(g, &a));
    assert_string_equal(str_text(&a), "ir 1\n%0 = input \"x\" : fp16[1,4]\nscope \"s\"\n"
                                      "%1 = rms_scale(%0) axis=1 eps=0.5 : fp16[1,1]\n"
                                      "output \"y\" %1\n");
    str_free(&a);
    ir_free(g);
}

static void every_double_survives(void **state)
{
    static const double reals[] = {
        0.1,   1e-300, -0.0,     1.0 / 3,   5e-324,   1.7976931348623157e308,
        65504, 1e22,   INFINITY, -INFINITY, 123456789};
    (void)state;
    ir_graph *g = ir_new();
    str out = {0};
    ir_const(g, IR_FP32, ir_s1(COUNT_OF(reals)), reals);
    ir_fill(g, IR_FP32, ir_s1(2), NAN);
    assert_ok(ir_print(g, &out));
    ir_graph *back = parsed(str_text(&out));
    assert_memory_equal(back->nodes[0]->data, reals, sizeof reals);
    assert_true(isnan(back->nodes[1]->data[0]));
    str_free(&out);
    ir_free(g);
    ir_free(back);
}

static void every_op_is_documented(void **state)
{
    static const char *const about[IR_OPS] = {
#define OP(name, mil, args, dialect, attrs, shape, eval, value, grad, about) about,
#include "ir/ops.def"
#undef OP
    };
    (void)state;
    char *doc;
    size_t n;
    arena *mem = arena_new();
    assert_ok(file_read(mem, "docs/ir.md", 0, &doc, &n));
    for (int op = 0; op < IR_OPS; op++) {
        char name[40], text[160];
        size_t at = 0;
        snprintf(name, sizeof name, "\n| `%s` |", ir_op_name((ir_op)op));
        assert_text_has(doc, name);
        for (const char *p = about[op]; *p; p++) { /* a bar is escaped in a table */
            if (*p == '|') text[at++] = '\\';
            text[at++] = *p;
        }
        text[at] = 0;
        assert_text_has(doc, text);
    }
    arena_free(mem);
}

static void bad_text_is_refused_where_it_is_bad(void **state)
{
#define X "ir 1\n%0 = input \"x\" : fp16[2,3]\n"
    static const struct {
        const char *text, *error;
        rc code;
    } cases[] = {
        {"", "t.ir:1:1: wanted 'ir 1' first", E_FORMAT},
        {"ir 2\n", "t.ir:1:4: wanted 1 to 1, had 2", E_FORMAT},
        {"ir 1 1\n", "t.ir:1:6: wanted end of line, had '1'", E_FORMAT},
        {X "%2 = exp(%0) : fp16[2,3]\n",
         "t.ir:3:1: nodes are numbered in order: wanted %1, had %2", E_FORMAT},
        {X "%1 = exq(%0) : fp16[2,3]\n",
         "t.ir:3:6: no op 'exq'\n  hint: did you mean 'exp'", E_FORMAT},
        {X "%1 = exp(%1) : fp16[2,3]\n", "t.ir:3:11: wanted 0 to 0, had 1", E_FORMAT},
        {X "%1 = exp(%-1) : fp16[2,3]\n", "t.ir:3:11: wanted 0 to 0, had -1", E_FORMAT},
        {X "%1 = exp(%0 : fp16[2,3]\n", "t.ir:3:13: wanted ')', had ':'", E_FORMAT},
        {X "%1 = exp(%0) : fp17[2,3]\n",
         "t.ir:3:16: wanted fp16, fp32, int32 or bool, had 'fp17'", E_FORMAT},
        {X "%1 = exp(%0) : fp16[2,4]\n",
         "t.ir:3:25: exp gives fp16[2,3], the text says fp16[2,4]", E_FORMAT},
        {X "%1 = exp(%0) : fp16[2,3,1,1,1,1]\n", "a shape has at most 5 axes", E_FORMAT},
        {X "%1 = exp(%0) : fp16[0]\n", "t.ir:3:21: wanted 1 to 2147483647, had 0",
         E_FORMAT},
        {X "%1 = exp(%0) : fp16[9223372036854775808]\n", "is not a whole number",
         E_FORMAT},
        {X "%1 = exp(%0) axis=1 : fp16[2,3]\n", "t.ir:3:14: exp has no attribute 'axis'",
         E_FORMAT},
        {X "%1 = softmax(%0) axs=1 : fp16[2,3]\n", "did you mean 'axis'", E_FORMAT},
        {X "%1 = softmax(%0) : fp16[2,3]\n", "softmax wants the attribute 'axis'",
         E_FORMAT},
        {X "%1 = softmax(%0) axis=1 axis=1 : fp16[2,3]\n",
         "attribute 'axis' is given twice", E_FORMAT},
        {X "%1 = softmax(%0) axis=2 : fp16[2,3]\n",
         "softmax: axis must be 0 to 1 for [2,3], got 2\n  while reading t.ir:3:1",
         E_SHAPE},
        {X "%1 = transpose(%0) perm=[1] : fp16[3,2]\n", "perm takes 2 values, got 1",
         E_FORMAT},
        {X "%1 = transpose(%0) perm=[1,0,2] : fp16[3,2]\n", "perm takes at most 2 values",
         E_FORMAT},
        {X "%1 = transpose(%0) perm=[1,1] : fp16[3,2]\n",
         "perm must hold each of 0 to 1 once", E_SHAPE},
        {X "%1 = matmul(%0, %0) tx=yes ty=false : fp16[3,3]\n",
         "t.ir:3:24: tx is true or false, had 'yes'", E_FORMAT},
        {X "%1 = rms_scale(%0) axis=1 eps=1..2 : fp16[2,1]\n",
         "t.ir:3:31: '1..2' is not a number", E_FORMAT},
        {X "%1 = rms_scale(%0) axis=1 eps=nan : fp16[2,1]\n", "eps must be finite",
         E_SHAPE},
        {X "%1 = constant {1 2} : fp16[3]\n", "2 values for a shape of 3", E_FORMAT},
        {X "%1 = constant {1*4} : fp16[3]\n", "more values than the 3 of the shape",
         E_FORMAT},
        {X "%1 = constant {1*9223372036854775807 1} : fp16[3]\n", "more values than",
         E_FORMAT},
        {X "%1 = constant {1 x} : fp16[2]\n", "t.ir:3:18: 'x' is not a number", E_FORMAT},
        {X "%1 = constant {1 2 : fp16[2]\n", "wanted '}'", E_FORMAT},
        {X "%1 = constant {0*9} : fp16[65536,65536]\n",
         "more than 16777216 listed values", E_FORMAT},
        {X "%1 = constant all 0 : fp16[1073741824,1073741824]\n",
         "more than 2^40 elements", E_SHAPE},
        {X "%1 = input \"x\" : fp16[1]\n", "input: the name 'x' is taken", E_SHAPE},
        {X "%1 = input \"\" : fp16[1]\n", "a name is wanted", E_SHAPE},
        {X "%1 = input \"y : fp16[1]\n",
         "t.ir:3:24: wanted '\"', had the end of the line", E_FORMAT},
        {X "%1 = input \"\\x00\" : fp16[1]\n", "wanted \\\", \\\\ or \\x01 to \\xff",
         E_FORMAT},
        {X "output \"x\" %0\n", "output: the name 'x' is taken", E_SHAPE},
        {X "output \"y\" %0 %0\n", "t.ir:3:15: wanted end of line, had '%'", E_FORMAT},
        {X "scope \"y\" forward\n", "t.ir:3:11: wanted backward or end of line",
         E_FORMAT},
        {X "outptu \"y\" %0\n", "t.ir:3:1: wanted %n = ..., scope or output", E_FORMAT},
        {X "\xff\n", "t.ir:3:1: wanted a statement, had the byte 0xff", E_FORMAT},
        {X "%1 = exp(%0) : fp16[2,3", "wanted ']', had the end", E_FORMAT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ir_graph *g;
        assert_fails(ir_parse(cases[i].text, strlen(cases[i].text), "t.ir", &g),
                     cases[i].code, cases[i].error);
    }
}

static void the_dialect_is_checked(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {X "%1 = rms_scale(%0) axis=1 eps=0 : fp16[2,1]\n",
         "rms_scale is not an op of device programs"},
        {"ir 1\n%0 = input \"i\" : int32[2]\n", "int32 is not a type of device values"},
        {"ir 1\n%0 = input \"i\" : fp32[2]\n%1 = exp(%0) : fp32[2]\n",
         "fp32 is not a type of device values"},
        {X "%1 = greater_equal(%0, %0) : bool[2,3]\noutput \"c\" %1\n",
         "output 'c' is bool"},
        {X "%1 = exp(%0) : fp16[2,3]\n", NULL},
        {X "%1 = cast(%0) : fp32[2,3]\n%2 = cast(%1) : fp16[2,3]\n", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ir_graph *g = parsed(cases[i].text);
        if (cases[i].error) assert_fails(ir_verify_dialect(g), E_SHAPE, cases[i].error);
        else assert_ok(ir_verify_dialect(g));
        ir_free(g);
    }
}

static void a_damaged_graph_does_not_verify(void **state)
{
    static const char text[] = X "%1 = softmax(%0) axis=1 : fp16[2,3]\noutput \"y\" %1\n";
    (void)state;
    for (int i = 0; i < 6; i++) {
        ir_graph *g = parsed(text);
        ir_node *y = g->nodes[1], *x = g->nodes[0];
        if (i == 0) y->shape.d[0] = 3;
        if (i == 1) y->type = IR_FP32;
        if (i == 2) y->in[0] = y;
        if (i == 3) y->id = 0;
        if (i == 4) y->attr.perm[0] = 1;
        if (i == 5) x->name = NULL;
        assert_int_equal(ir_verify(g), E_SHAPE);
        ir_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_printed_form_is_kept),
        cmocka_unit_test(text_is_read_back_to_the_same_graph),
        cmocka_unit_test(spaces_comments_and_order_are_free),
        cmocka_unit_test(every_double_survives),
        cmocka_unit_test(every_op_is_documented),
        cmocka_unit_test(bad_text_is_refused_where_it_is_bad),
        cmocka_unit_test(the_dialect_is_checked),
        cmocka_unit_test(a_damaged_graph_does_not_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
