/* The emitter: how every operation is spelled, what is shared, what is refused;
 * and on random graphs, that text read back prints as it was written. */
#include "mil_help.h"
#include "base/rng.h"

static ir_node *fill(ir_graph *g, int64_t c, int64_t s, double v)
{
    return ir_fill(g, IR_FP16, ir_s4(1, c, 1, s), v);
}

static ir_node *ramp(ir_graph *g, ir_shape s, double step)
{
    double v[512];
    int64_t n = ir_count(s);
    assert_true(n <= 512);
    for (int64_t i = 0; i < n; i++) v[i] = (double)i * step;
    return ir_const(g, IR_FP16, s, v);
}

/* Emit with default options; the program must read back to the same text. */
static mil_emitted emit_with(arena *mem, const ir_graph *g, const mil_emit_options *o)
{
    mil_emitted e;
    assert_ok(ir_rc(g));
    assert_ok(mil_emit(mem, g, o, 0, NULL, &e));
    str again = reprint(mem, e.text.p, e.text.n);
    assert_string_equal(str_text(&again), str_text(&e.text));
    str_free(&again);
    return e;
}

/* ---- every operation ---- */

static ir_node *elementwise(ir_graph *g, ir_node *x, ir_node *y)
{
    static const ir_op binary[] = {IR_add,     IR_sub,     IR_mul, IR_real_div,
                                   IR_maximum, IR_minimum, IR_pow};
    static const ir_op unary[] = {IR_abs,  IR_exp,     IR_log,  IR_sqrt, IR_rsqrt,
                                  IR_tanh, IR_sigmoid, IR_relu, IR_silu, IR_gelu};
    for (size_t i = 0; i < COUNT_OF(binary); i++) x = ir_binary(g, binary[i], x, y);
    for (size_t i = 0; i < COUNT_OF(unary); i++) x = ir_unary(g, unary[i], x);
    ir_node *other = ir_cast(g, y, IR_FP16);
    return ir_select(g, ir_greater_equal(g, x, y), x, other);
}

static ir_graph *graph_of_every_op(void)
{
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 4, 32));
    ir_node *y = ir_input(g, "y", IR_FP16, ir_s4(1, 8, 4, 1));
    ir_node *w = ir_param(g, "w", ir_s4(6, 4, 3, 3));
    ir_node *m = ir_param(g, "m", ir_s4(1, 8, 32, 5));
    ir_output(g, "pointwise", elementwise(g, x, y));
    ir_output(g, "conv",
              ir_conv(g, x, w, (int[]){2, 1}, (int[]){1, 1, 0, 2}, (int[]){1, 2}, 2));
    ir_output(g, "product", ir_matmul(g, ir_softmax(g, x, 3), m, false, false));
    ir_output(g, "product_t", ir_matmul(g, m, x, true, true));
    ir_node *s = ir_slice(g, x, (int64_t[]){0, 2, 0, 16}, (int64_t[]){1, 4, 4, 16});
    ir_node *t = ir_transpose(g, s, (int[]){0, 3, 2, 1});
    ir_node *r = ir_reshape(g, t, ir_s4(1, 4, 4, 16));
    ir_output(g, "joined", ir_concat(g, 3, (ir_node *[]){s, r, s}, 2));
    ir_output(g, "tiled", ir_tile(g, y, (int64_t[]){1, 1, 2, 3}));
    ir_output(g, "sum", ir_reduce(g, IR_reduce_sum, x, 2, (int[]){1, 3}, true));
    ir_output(g, "mean", ir_reduce(g, IR_reduce_mean, x, 2, (int[]){1, 3}, false));
    ir_output(g, "largest",
              ir_reduce(g, IR_reduce_max, x, 4, (int[]){0, 1, 2, 3}, false));
    assert_ok(ir_rc(g));
    return g;
}

static void every_op_of_the_dialect_has_its_spelling(void **state)
{
    arena *mem = arena_new();
    ir_graph *g = graph_of_every_op();
    mil_emitted e = emit_with(mem, g, NULL);
    assert_golden("every_op", str_text(&e.text));
    for (int op = 0; op < IR_OPS; op++) {
        char call[64];
        const char *mil = ir_op_mil((ir_op)op);
        if (!ir_op_in_dialect((ir_op)op) || !mil[0]) continue;
        snprintf(call, sizeof call, " = %s(", mil);
        assert_text_has(str_text(&e.text), call);
    }
    assert_int_equal(e.n_files, 0);
    str_free(&e.text);
    e = emit_with(mem, g, &(mil_emit_options){.old_spelling = true});
    assert_golden("every_op_old", str_text(&e.text));
    str_free(&e.text);
    ir_free(g);
    arena_free(mem);
}

static void an_op_outside_the_dialect_is_refused(void **state)
{
    arena *mem = arena_new();
    mil_emitted e;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 1, 6));
    ir_output(g, "y", ir_rms_norm(g, x, ir_param(g, "w", ir_s4(1, 8, 1, 1)), 1, 1e-5));
    assert_fails(mil_emit(mem, g, NULL, 0, NULL, &e), E_UNIMPL,
                 "wanted an op that MIL has, had rms_norm\n  while writing rms_norm 'y'");
    assert_null(e.text.p);
    ir_free(g);
    arena_free(mem);
}

/* ---- constants ---- */

static void a_uniform_constant_is_a_scalar_only_where_broadcasting_allows(void **state)
{
    arena *mem = arena_new();
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 1, 32));
    ir_node *v = ir_input(g, "v", IR_FP16, ir_s4(1, 8, 1, 1));
    ir_output(g, "a", ir_mul(g, x, fill(g, 8, 32, 0.5))); /* as large as x */
    ir_output(g, "b", ir_sub(g, ir_scalar(g, 0.5), x));   /* [1] */
    ir_output(g, "c", ir_add(g, v, fill(g, 1, 4, 0.5)));  /* widens v: stays */
    ir_output(g, "d",
              ir_matmul(g, ir_fill(g, IR_FP16, ir_s4(1, 8, 3, 1), 0.25), x, false,
                        false)); /* no broadcasting */
    mil_emitted e = emit_with(mem, g, NULL);
    assert_golden("uniform", str_text(&e.text));
    str_free(&e.text);
    ir_free(g);
    arena_free(mem);
}

static void large_constants_go_to_the_weight_file(void **state)
{
    arena *mem = arena_new();
    ir_graph *g = ir_new();
    const void *data;
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 64, 1, 32));
    ir_node *big = ramp(g, ir_s4(1, 64, 1, 2), 0.5);
    ir_node *y = ir_mul(g, x, ramp(g, ir_s4(1, 64, 1, 1), 0.5));
    ir_output(g, "y", ir_concat(g, 2, (ir_node *[]){y, big}, 3));
    ir_output(g, "z", ir_concat(g, 2, (ir_node *[]){big, y}, 3)); /* stored once */
    mil_emitted e = emit_with(mem, g, NULL);
    assert_int_equal(e.n_files, 1);
    assert_string_equal(e.files[0].path, "@model_path/weights/weight.bin");
    assert_int_equal(e.files[0].size, 128 + 256);
    assert_ok(mil_blob_read(e.files[0].bytes, e.files[0].size, 64, MIL_FP16, 256, &data));
    for (int i = 0; i < 128; i++)
        assert_true(half_to_double(((const half *)data)[i]) == i * 0.5);
    str_free(&e.text);
    /* fewer inline: both, in one file or in a file each */
    mil_emit_options o = {.inline_max = 1, .blob_path = "@model_path/weights/k.bin"};
    e = emit_with(mem, g, &o);
    assert_int_equal(e.n_files, 1);
    assert_text_has(str_text(&e.text),
                    "path = string(\"@model_path/weights/k.bin\"), offset = uint64(256)");
    str_free(&e.text);
    o.blob_each = true;
    e = emit_with(mem, g, &o);
    assert_int_equal(e.n_files, 2);
    assert_string_equal(e.files[0].path, "@model_path/weights/k0.bin");
    assert_string_equal(e.files[1].path, "@model_path/weights/k1.bin");
    assert_ok(mil_blob_read(e.files[1].bytes, e.files[1].size, 64, MIL_FP16, 256, &data));
    str_free(&e.text);
    ir_free(g);
    arena_free(mem);
}

static void constants_are_rounded_once_and_never_to_infinity(void **state)
{
    arena *mem = arena_new();
    mil_emitted e;
    /* 1 + 2^-11 is a tie; 2^-40 above it must not be lost on the way */
    const double v[] = {1 + ldexp(1, -11), 1 + ldexp(1, -11) + ldexp(1, -40), 65519,
                        -INFINITY};
    for (int i = 0; i < 2; i++) {
        ir_graph *g = ir_new();
        ir_node *x = ir_input(g, "x", IR_FP16, ir_s1(4));
        const double w[] = {v[0], v[1], i ? 65520 : v[2], v[3]};
        ir_output(g, "y", ir_mul(g, x, ir_const(g, IR_FP16, ir_s1(4), w)));
        assert_ok(ir_rc(g));
        rc r = mil_emit(mem, g, NULL, 0, NULL, &e);
        if (i)
            assert_fails(r, E_NUMERIC, "the constant 65520 is beyond the range of fp16");
        else {
            assert_ok(r);
            assert_text_has(str_text(&e.text),
                            "([0x1p+0, 0x1.004p+0, 0x1.ffcp+15, -inf])");
        }
        str_free(&e.text);
        ir_free(g);
    }
    arena_free(mem);
}

/* ---- params ---- */

static ir_graph *two_params(void)
{
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 1, 4, 32));
    ir_node *a = ir_param(g, "a", ir_s4(1, 1, 4, 4)),
            *b = ir_param(g, "b", ir_s4(1, 1, 4, 4));
    ir_output(g, "y", ir_matmul(g, a, ir_matmul(g, b, x, false, false), false, false));
    return g;
}

static void params_are_inputs_or_baked(void **state)
{
    arena *mem = arena_new();
    ir_graph *g = two_params();
    double v[16];
    const void *data;
    mil_emitted e = emit_with(mem, g, NULL), f;
    const mil_func *main_ = mil_find_func(e.program, "main");
    assert_int_equal(main_->n_in, 3);
    assert_string_equal(main_->in[1].name, "a");
    str_free(&e.text);
    for (int i = 0; i < 16; i++) v[i] = 1;
    const ir_binding baked[] = {{"b", v}, {"a", v}};
    assert_ok(mil_emit(mem, g, NULL, 2, baked, &e));
    main_ = mil_find_func(e.program, "main");
    assert_int_equal(main_->n_in, 1);
    /* 16 equal values: still two chunks, for the text must not depend on them */
    assert_ok(mil_blob_read(e.files[0].bytes, e.files[0].size, 64, MIL_FP16, 32, &data));
    assert_ok(mil_blob_read(e.files[0].bytes, e.files[0].size, 192, MIL_FP16, 32, &data));
    v[3] = 7;
    assert_ok(mil_emit(mem, g, NULL, 2, baked, &f));
    assert_string_equal(str_text(&e.text), str_text(&f.text));
    str_free(&e.text);
    str_free(&f.text);
    assert_fails(mil_emit(mem, g, NULL, 1, &(ir_binding){"x", v}, &e), E_FORMAT,
                 "values were given for 'x', which is no param");
    ir_free(g);
    arena_free(mem);
}

/* ---- names and outputs ---- */

static void given_names_stay_and_made_up_ones_step_aside(void **state)
{
    arena *mem = arena_new();
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "mul_0", IR_FP16, ir_s2(4, 32));
    ir_node *y = ir_param(g, "int_1", ir_s2(4, 32));
    ir_node *k = ir_fill(g, IR_FP16, ir_s2(4, 32), 2);
    ir_output(g, "const_0", ir_softmax(g, ir_mul(g, ir_mul(g, x, y), k), 1));
    mil_emitted e = emit_with(mem, g, NULL);
    assert_golden("names", str_text(&e.text));
    str_free(&e.text);
    ir_free(g);
    arena_free(mem);
}

static void an_output_that_is_no_new_value_is_a_copy(void **state)
{
    arena *mem = arena_new();
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s2(4, 32)), *y = ir_unary(g, IR_relu, x);
    double v[128] = {0};
    ir_output(g, "first", y);
    ir_output(g, "second", y);
    ir_output(g, "from_input", x);
    ir_output(g, "from_const", ramp(g, ir_s2(1, 2), 1));
    ir_output(g, "from_param", ir_param(g, "p", ir_s2(4, 32)));
    assert_ok(ir_rc(g));
    mil_emitted e;
    assert_ok(mil_emit(mem, g, NULL, 1, &(ir_binding){"p", v}, &e));
    assert_golden("copies", str_text(&e.text));
    str_free(&e.text);
    ir_free(g);
    arena_free(mem);
}

static void a_name_that_mil_cannot_spell_is_refused(void **state)
{
    arena *mem = arena_new();
    mil_emitted e;
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "model.embed_tokens.weight", IR_FP16, ir_s2(4, 32));
    ir_output(g, "y", ir_unary(g, IR_relu, x));
    assert_fails(mil_emit(mem, g, NULL, 0, NULL, &e), E_FORMAT,
                 "the input 'model.embed_tokens.weight' is not a name of MIL");
    ir_free(g);
    g = ir_new();
    ir_input(g, "x", IR_FP16, ir_s2(4, 32));
    assert_fails(mil_emit(mem, g, NULL, 0, NULL, &e), E_SHAPE,
                 "a program needs at least one output");
    ir_free(g);
    arena_free(mem);
}

/* Nodes nobody reads change nothing: not a number in a name, not a constant. */
static void dead_nodes_leave_no_trace(void **state)
{
    arena *mem = arena_new();
    str text[2];
    for (int dead = 0; dead < 2; dead++) {
        ir_graph *g = ir_new();
        ir_node *x = ir_input(g, "x", IR_FP16, ir_s2(4, 32));
        if (dead) ir_softmax(g, ir_mul(g, x, ramp(g, ir_s2(4, 32), 1)), 1);
        ir_node *y = ir_add(g, x, ir_scalar(g, 1));
        if (dead) ir_transpose(g, y, (int[]){1, 0});
        ir_output(g, "out", ir_mul(g, y, y));
        mil_emitted e = emit_with(mem, g, NULL);
        text[dead] = e.text;
        assert_int_equal(e.n_files, 0);
        ir_free(g);
    }
    assert_string_equal(str_text(&text[0]), str_text(&text[1]));
    str_free(&text[0]);
    str_free(&text[1]);
    arena_free(mem);
}

/* ---- random graphs ---- */

typedef struct {
    ir_graph *g;
    ir_node *pool[64];
    int n;
    uint64_t seed, at;
} maker;

static int64_t pick(maker *m, int64_t n)
{
    return (int64_t)rng_below(m->seed, 1, m->at++, (uint64_t)n);
}

/* The later of two: long chains, with few dead ends. */
static ir_node *any(maker *m)
{
    int64_t i = pick(m, m->n), j = pick(m, m->n);
    return m->pool[i > j ? i : j];
}

/* A node of the same shape as x, or a constant that broadcasts to it. */
static ir_node *partner(maker *m, ir_node *x)
{
    ir_shape s = x->shape;
    for (int i = 0; i < 8; i++) {
        ir_node *y = any(m);
        if (ir_shape_eq(y->shape, s)) return y;
    }
    for (int i = 0; i < s.rank; i++)
        if (pick(m, 2)) s.d[i] = 1;
    if (pick(m, 2)) return ir_fill(m->g, IR_FP16, s, (double)pick(m, 9) / 4 - 1);
    return ir_count(s) > 512 ? ir_scalar(m->g, 3) : ramp(m->g, s, 1.0 / 3);
}

static ir_node *random_slice(maker *m, ir_node *x)
{
    int64_t begin[IR_RANK], size[IR_RANK];
    for (int i = 0; i < x->shape.rank; i++) {
        begin[i] = pick(m, x->shape.d[i]);
        size[i] = 1 + pick(m, x->shape.d[i] - begin[i]);
    }
    return ir_slice(m->g, x, begin, size);
}

static ir_node *random_transpose(maker *m, ir_node *x)
{
    int perm[IR_RANK];
    for (int i = 0; i < x->shape.rank; i++) {
        int j = (int)pick(m, i + 1);
        perm[i] = perm[j];
        perm[j] = i;
    }
    return ir_transpose(m->g, x, perm);
}

static ir_node *random_reduce(maker *m, ir_node *x)
{
    int axes[IR_RANK], n = 0;
    for (int i = 0; i < x->shape.rank; i++)
        if (pick(m, 2)) axes[n++] = i;
    if (!n) axes[n++] = 0;
    return ir_reduce(m->g, (ir_op)(IR_reduce_sum + pick(m, 3)), x, n, axes, pick(m, 2));
}

static ir_node *random_matmul(maker *m, ir_node *x)
{
    ir_shape s = x->shape;
    if (s.rank < 2) return ir_unary(m->g, IR_tanh, x);
    s.d[s.rank - 2] = s.d[s.rank - 1];
    s.d[s.rank - 1] = 1 + pick(m, 4);
    if (ir_count(s) > 512) return ir_matmul(m->g, x, x, false, true);
    return ir_matmul(m->g, x, ramp(m->g, s, 0.01), false, false);
}

static ir_node *random_node(maker *m)
{
    ir_node *x = any(m);
    int64_t reps[IR_RANK] = {1, 1, 1, 1, 1};
    int axis = (int)pick(m, x->shape.rank);
    switch (pick(m, 11)) {
    case 0:
        return ir_unary(m->g, (ir_op)(IR_abs + pick(m, IR_gelu - IR_abs + 1)), x);
    case 1:
        return ir_binary(m->g, (ir_op)(IR_add + pick(m, IR_pow - IR_add + 1)), x,
                         partner(m, x));
    case 2:
        return ir_binary(m->g, (ir_op)(IR_add + pick(m, IR_pow - IR_add + 1)),
                         partner(m, x), x);
    case 3:
        return ir_softmax(m->g, x, axis);
    case 4:
        return random_slice(m, x);
    case 5:
        return random_transpose(m, x);
    case 6:
        return random_reduce(m, x);
    case 7:
        return ir_concat(m->g, 2, (ir_node *[]){x, x}, axis);
    case 8:
        return ir_reshape(m->g, x, ir_s2(1, ir_count(x->shape)));
    case 9:
        reps[axis] = 1 + pick(m, 2);
        return ir_tile(m->g, x, reps);
    default: {
        ir_node *c = ir_greater_equal(m->g, x, partner(m, x));
        return ir_select(m->g, c, partner(m, x), x);
    }
    }
}

static ir_graph *random_graph(uint64_t seed)
{
    maker m = {.g = ir_new(), .seed = seed};
    int n_inputs = 1 + (int)pick(&m, 3), n_nodes = 1 + (int)pick(&m, 40);
    for (int i = 0; i < n_inputs; i++) {
        char name[16];
        ir_shape s = {1 + (int)pick(&m, 4), {0}};
        for (int j = 0; j < s.rank; j++) s.d[j] = 1 + pick(&m, 4);
        snprintf(name, sizeof name, "in%d", i);
        m.pool[m.n++] = pick(&m, 3) ? ir_input(m.g, name, IR_FP16, s)
                                    : ir_param(m.g, name, s);
    }
    while (n_nodes-- > 0 && m.n < 60) {
        ir_node *x = pick(&m, 8) ? random_node(&m) : random_matmul(&m, any(&m));
        assert_ok(ir_rc(m.g));
        if (ir_count(x->shape) < 1 << 12) m.pool[m.n++] = x;
    }
    int n_out = 1 + (int)pick(&m, 8);
    for (int i = 0; i < n_out; i++) {
        char name[16];
        snprintf(name, sizeof name, "out%d", i);
        ir_output(m.g, name, m.pool[i ? pick(&m, m.n) : m.n - 1]);
    }
    assert_ok(ir_rc(m.g));
    return m.g;
}

/* Every variable has the type of a node, constants are used, and the text
 * read back prints the same: over graphs of every op and shape up to rank 4. */
static void random_graphs_survive_the_round_trip(void **state)
{
    size_t ops = 0, files = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        arena *mem = arena_new();
        ir_graph *g = random_graph(seed);
        mil_emit_options o = {.old_spelling = seed % 2,
                              .inline_max = seed % 3 ? 0 : 4,
                              .blob_each = seed % 5 == 0};
        mil_emitted e = emit_with(mem, g, &o), again = emit_with(mem, g, &o);
        assert_string_equal(str_text(&e.text), str_text(&again.text));
        const mil_func *f = mil_find_func(e.program, "main");
        assert_int_equal(f->n_out, g->n_outputs);
        ops += (size_t)f->n_op;
        files += (size_t)e.n_files;
        str_free(&e.text);
        str_free(&again.text);
        ir_free(g);
        arena_free(mem);
    }
    assert_true(ops > 8000); /* the graphs are not trivial */
    assert_true(files > 50);
}

/* Each constant that is declared is read by an operation after it. */
static void no_constant_is_left_unused(void **state)
{
    for (uint64_t seed = 1000; seed < 1100; seed++) {
        arena *mem = arena_new();
        ir_graph *g = random_graph(seed);
        mil_emitted e = emit_with(mem, g, NULL);
        const mil_func *f = mil_find_func(e.program, NULL);
        for (int i = 0; i < f->n_op; i++) {
            char read[300], tuple[300];
            if (strcmp(f->op[i].op, "const")) continue;
            snprintf(read, sizeof read, "= %s", f->op[i].out[0].name);
            snprintf(tuple, sizeof tuple, "(%s", f->op[i].out[0].name);
            assert_true(strstr(str_text(&e.text), read) ||
                        strstr(str_text(&e.text), tuple));
        }
        str_free(&e.text);
        ir_free(g);
        arena_free(mem);
    }
}

static void running_out_of_memory_is_an_error(void **state)
{
    ir_graph *g = graph_of_every_op();
    rc r = E_MEMORY;
    for (long n = 1; r != OK; n++) {
        arena *mem = arena_new();
        mil_emitted e;
        mil_emit_options o = {.inline_max = 1};
        mem_fail_at(n);
        r = mil_emit(mem, g, &o, 0, NULL, &e);
        mem_fail_at(0);
        assert_true(r == OK || r == E_MEMORY);
        str_free(&e.text);
        arena_free(mem);
        assert_true(n < 10000);
    }
    ir_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_of_the_dialect_has_its_spelling),
        cmocka_unit_test(an_op_outside_the_dialect_is_refused),
        cmocka_unit_test(a_uniform_constant_is_a_scalar_only_where_broadcasting_allows),
        cmocka_unit_test(large_constants_go_to_the_weight_file),
        cmocka_unit_test(constants_are_rounded_once_and_never_to_infinity),
        cmocka_unit_test(params_are_inputs_or_baked),
        cmocka_unit_test(given_names_stay_and_made_up_ones_step_aside),
        cmocka_unit_test(an_output_that_is_no_new_value_is_a_copy),
        cmocka_unit_test(a_name_that_mil_cannot_spell_is_refused),
        cmocka_unit_test(dead_nodes_leave_no_trace),
        cmocka_unit_test(random_graphs_survive_the_round_trip),
        cmocka_unit_test(no_constant_is_left_unused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
