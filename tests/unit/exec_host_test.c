/* exec_host_test.c - parts of a model that a plan gives to the host: the values are
 * those of the oracle, forward and back, in any shape. */
#include "exec/host_eval.h"
#include "plan/passes.h"
#include "small_run.h"

static void check_shape(llama_shape s, const char *where, unsigned parts, plan_options o)
{
    char what[96];
    o.host_said = true, o.host = parts;
    snprintf(what, sizeof what, "%s parts %#x dim %d columns %dx%d", where, parts, s.dim,
             s.batch, s.seq);
    run r = run_open(s, where, &o);
    int moved = 0;
    for (int i = 0; i < r.p->n_steps; i++)
        moved += !r.p->steps[i].engine && r.p->steps[i].host == PLAN_HOST_EVAL;
    assert_true(moved > 0);
    run_start(&r);
    run_equals_oracle(&r, what, 1e-2);
    run_close(&r);
}

static void each_part_gives_the_oracles_values(void **state)
{
    static const char *const chips[] = {"m1", "emu:m4", "emu:m1,rules=all"};
    (void)state;
    for (size_t c = 0; c < COUNT_OF(chips); c++)
        for (int part = 0; part <= PLAN_MOVABLES; part++)
            for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
                llama_shape s = run_small; /* a batch of 2, two heads a key */
                s.tied = s.interleaved = dw == PLAN_DW_HOST;
                unsigned parts = part < PLAN_MOVABLES ? 1u << part
                                                      : (1u << PLAN_MOVABLES) - 1;
                check_shape(s, chips[c], parts, (plan_options){.dw = (plan_dw)dw});
            }
}

static void tiles_of_queries_do_not_matter(void **state)
{
    static const int kv_heads[] = {4, 2, 1};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kv_heads); i++) {
        llama_shape s = run_small;
        s.kv_heads = kv_heads[i], s.seq = 96, s.batch = 1 + (int)i % 2;
        check_shape(s, i ? "emu:m4" : "emu:m1,rules=all", 1u << PLAN_MOVE_softmax,
                    (plan_options){.dw = PLAN_DW_HOST, .tiles = 2});
    }
}

/* Logits that the host makes and the engine's loss reads, in pieces too. */
static void losses_of_the_engine_read_them(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        llama_shape s = run_small;
        s.tied = i == 0;
        if (i == 2) s.layers = 1, s.vocab = 20001, s.seq = 33;
        check_shape(s, i ? "emu:m4" : "emu:m1",
                    i == 1 ? (1u << PLAN_MOVABLES) - 1 : 1u << PLAN_MOVE_classifier,
                    (plan_options){.dw = PLAN_DW_ENGINE, .loss = PLAN_LOSS_ENGINE});
    }
}

/* What is moved stays right whatever else a plan decides. */
static void other_decisions_do_not_matter(void **state)
{
    const unsigned all = (1u << PLAN_MOVABLES) - 1;
    const plan_variant variants[] = {
        {.recompute = PLAN_RECOMPUTE_LAYERS, .dw = PLAN_DW_ENGINE},
        {.recompute = PLAN_RECOMPUTE_ELEMENTS, .dw = PLAN_DW_HOST, .tiles = 2},
        {.packed = PLAN_PACK_ALL, .dw = PLAN_DW_ENGINE},
        {.packed = PLAN_PACK_BACKWARD, .dw = PLAN_DW_HOST, .loss_on_engine = true}};
    const unsigned parts[] = {all, 1u << PLAN_MOVE_norms | 1u << PLAN_MOVE_residuals,
                              1u << PLAN_MOVE_activations | 1u << PLAN_MOVE_rotary};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(variants); i++)
        for (size_t j = 0; j < COUNT_OF(parts); j++) {
            llama_shape s = run_small;
            s.seq = 64;
            plan_variant v = variants[i];
            char what[64];
            v.layers = 1, v.on_host = parts[j];
            run r = run_open(s, "emu:m4", NULL);
            run_replan(&r, NULL, v);
            snprintf(what, sizeof what, "variant %zu, parts %#x", i, parts[j]);
            run_start(&r);
            run_equals_oracle(&r, what, 1e-2);
            run_close(&r);
        }
}

/* Rows that are padded or packed, and a vocabulary of two pieces. */
static void odd_shapes_are_right(void **state)
{
    static const int sizes[][3] = {{257, 1, 10}, {20001, 1, 7}, {96, 3, 11}, {33, 1, 1}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (int part = 0; part < PLAN_MOVABLES; part++) {
            llama_shape s = run_small;
            s.layers = 1, s.dim = 24, s.hidden = 40, s.head_dim = 6;
            s.vocab = sizes[i][0], s.batch = sizes[i][1], s.seq = sizes[i][2];
            s.tied = part % 2;
            if (s.seq == 1) continue;
            check_shape(s, part % 2 ? "emu:m4" : "emu:m1", 1u << part,
                        (plan_options){.dw = PLAN_DW_HOST});
        }
}

/* Rows of many parts at once, in a batch, with the weights as constants. */
static void baked_weights_are_the_hosts_too(void **state)
{
    (void)state;
    check_shape(run_small, "emu:m4", (1u << PLAN_MOVABLES) - 1,
                (plan_options){.weights = PLAN_BAKED, .dw = PLAN_DW_HOST});
}

static void logits_are_the_oracles_without_gradients(void **state)
{
    (void)state;
    for (int part = 0; part < PLAN_MOVABLES; part++) {
        llama_shape s = run_small;
        s.grads = false, s.batch = 1, s.vocab = 20001, s.seq = 7;
        plan_options o = {.host_said = true, .host = 1u << part};
        run r = run_open(s, "emu:m1", &o);
        size_t n = (size_t)(s.vocab * s.seq);
        float *logits = malloc(n * sizeof *logits);
        arena *mem = arena_new();
        run_start(&r);
        assert_ok(exec_step(r.x, NULL));
        assert_ok(exec_output(r.x, "logits", logits, n));
        double **v = run_oracle(&r, mem);
        assert_true(run_off(logits, v[ir_find(r.m.g, "logits")->id], n) < 4e-3);
        arena_free(mem);
        free(logits);
        run_close(&r);
    }
}

static void a_step_allocates_nothing_and_threads_change_no_bit(void **state)
{
    (void)state;
    plan_options o = {.host_said = true, .host = (1u << PLAN_MOVABLES) - 1};
    run a = run_open_threads(run_small, "emu:m4", &o, 1);
    run b = run_open_threads(run_small, "emu:m4", &o, 3);
    run_start(&a);
    run_start(&b);
    run_step(&a, NULL);
    run_step(&b, NULL);
    for (int i = 0; i < a.m.n; i++)
        assert_memory_equal(a.g[i], b.g[i], (size_t)ir_count(a.m.param[i]->shape) * 4);
    mem_fail_at(1);
    rc code = exec_step(a.x, NULL);
    mem_fail_at(0);
    assert_ok(code);
    run_close(&a);
    run_close(&b);
}

/* An infinity that the host writes is told as those of programs are. */
static void infinities_of_the_host_are_counted(void **state)
{
    (void)state;
    llama_shape s = run_small;
    plan_options o = {.host_said = true, .host = 1u << PLAN_MOVE_norms};
    run r = run_open(s, "emu:m4", &o);
    exec_stats stats;
    run_start(&r);
    run_step(&r, &stats);
    assert_int_equal(stats.infinities, 0);
    for (int i = 0; i < s.dim; i++) r.w[1][i] = 60000; /* of layer 0's first norm */
    run_step(&r, &stats);
    assert_true(stats.infinities > 0);
    assert_string_equal(stats.first_infinity, "layer.0");
    run_close(&r);
}

static void what_cannot_be_moved_is_refused(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_of("m4");
    plan *p = NULL;
    plan_options o = {.host_said = true, .host = 1, .weights = PLAN_RESIDENT};
    assert_fails(plan_build(m.g, &caps, &o, &p), E_CONFIG, "plan.host");
    o = (plan_options){.host_said = true, .host = 1, .window = PLAN_WINDOW_ON};
    assert_fails(plan_build(m.g, &caps, &o, &p), E_CONFIG, "plan.window=off");
    ir_free(m.g);
}

/* Of a layer each part is one step a direction, or two where products stand between,
 * and equal layers share what was prepared. */
static void equal_layers_share_their_graphs(void **state)
{
    (void)state;
    llama_shape s = run_small;
    s.layers = 5;
    llama m = llama_new(s);
    dev_caps caps = caps_of("m4");
    for (int part = 0; part < PLAN_MOVABLES; part++) {
        plan_options o = {.host_said = true, .host = 1u << part, .dw = PLAN_DW_HOST};
        plan *p;
        int steps = 0, graphs = 0;
        assert_ok(plan_build(m.g, &caps, &o, &p));
        for (int i = 0; i < p->n_steps; i++) {
            bool first = p->steps[i].graph != NULL;
            steps += first;
            for (int j = 0; j < i; j++) first &= p->steps[j].graph != p->steps[i].graph;
            graphs += first;
            if (p->steps[i].graph)
                assert_string_equal(p->steps[i].what, plan_movable_name(part));
        }
        bool layers = part != PLAN_MOVE_classifier;
        assert_true(steps >= (layers ? 2 * s.layers : 2) && steps <= 5 * s.layers);
        assert_true(graphs <= 8);
        assert_true(p->loads <= 14);
        plan_free(p);
    }
    ir_free(m.g);
}

static void settings_name_parts(void **state)
{
    bool said;
    unsigned parts;
    (void)state;
    assert_ok(plan_host_parse("auto", &said, &parts));
    assert_false(said);
    assert_ok(plan_host_parse("none", &said, &parts));
    assert_true(said && parts == 0);
    assert_ok(plan_host_parse("rotary,norms", &said, &parts));
    assert_true(said && parts == (1u << PLAN_MOVE_rotary | 1u << PLAN_MOVE_norms));
    assert_fails(plan_host_parse("norm", &said, &parts), E_CONFIG, "norms, softmax");
    assert_fails(plan_host_parse("norms,", &said, &parts), E_CONFIG, "plan.host");
    assert_fails(plan_host_parse("", &said, &parts), E_CONFIG, "plan.host");
}

/* ---- kernels against the oracle's loops ---- */
static void check_op(kern *k, const ir_node *n)
{
    arena *mem = arena_new();
    const double *in[3] = {NULL};
    host_op o = {.k = k, .n = n};
    assert_non_null(n);
    for (int j = 0; j < n->n_in; j++) {
        size_t count = (size_t)ir_count(n->in[j]->shape);
        double *v = arena_array(mem, count, sizeof *v);
        float *f = arena_array(mem, count, sizeof *f);
        for (size_t i = 0; i < count; i++) {
            f[i] = (float)(0.25 + 2 * rng_unit(3, (uint64_t)j, i));
            if (n->op == IR_select && j == 0) f[i] = (float)(i % 3 == 0);
            v[i] = (double)f[i];
        }
        in[j] = v;
        o.in[j] = f;
    }
    size_t count = (size_t)ir_count(n->shape);
    double *want = arena_array(mem, count, sizeof *want);
    o.out = arena_array(mem, count, sizeof *o.out);
    if (n->op == IR_rope) {
        float *table = arena_array(mem, host_rope_floats(n), sizeof *table);
        host_rope_table(n, table);
        o.table = table;
    }
    assert_ok(ir_eval_node(n, in, want));
    if (!host_compute(&o)) fail_msg("%s has no kernel", ir_op_name(n->op));
    for (size_t i = 0; i < count; i++) /* sums of 300 terms of fp32 */
        if (!(fabs(o.out[i] - want[i]) <= 2e-5 * (1 + fabs(want[i]))))
            fail_msg("%s: element %zu is %g, not %g", ir_op_name(n->op), i,
                     (double)o.out[i], want[i]);
    arena_free(mem);
}

static void kernels_compute_what_the_oracle_does(void **state)
{
    (void)state;
    kern *k;
    assert_ok(kern_open(2, NULL, &k));
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(2, 3, 5, 301));
    ir_node *small = ir_input(g, "s", IR_FP16, ir_s4(1, 3, 1, 301));
    ir_node *column = ir_input(g, "c", IR_FP16, ir_s4(1, 3, 1, 1));
    ir_node *row = ir_input(g, "r", IR_FP16, ir_s1(301));
    ir_node *thin = ir_input(g, "t", IR_FP16, ir_s4(2, 3, 5, 1));
    ir_node *narrow = ir_input(g, "n", IR_FP16, ir_s4(1, 3, 5, 1));
    ir_node *heads = ir_input(g, "h", IR_FP16, ir_s4(1, 24, 1, 34));
    for (int op = IR_add; op <= IR_pow; op++) {
        ir_node *const other[] = {x, small, column, row, thin, narrow};
        for (size_t i = 0; i < COUNT_OF(other); i++)
            check_op(k, ir_binary(g, (ir_op)op, x, other[i]));
        check_op(k, ir_binary(g, (ir_op)op, narrow, small));
    }
    for (int op = IR_abs; op <= IR_gelu; op++) check_op(k, ir_unary(g, (ir_op)op, x));
    check_op(k, ir_greater_equal(g, x, small));
    check_op(k, ir_select(g, ir_greater_equal(g, x, small), column, row));
    check_op(k, ir_softmax(g, x, 3));
    for (int axis = 0; axis < 4; axis++) {
        ir_node *w = ir_input(g, (const char *[]){"w0", "w1", "w2", "w3"}[axis], IR_FP16,
                              ir_s4(axis == 0 ? 2 : 1, axis == 1 ? 3 : 1,
                                    axis == 2 ? 5 : 1, axis == 3 ? 301 : 1));
        check_op(k, ir_rms_norm(g, x, w, axis, 1e-5));
        check_op(k, ir_rms_scale(g, x, axis, 1e-5));
        for (int op = IR_reduce_sum; op <= IR_reduce_max; op++)
            check_op(k, ir_reduce(g, (ir_op)op, x, 1, &axis, true));
    }
    check_op(k, ir_reduce(g, IR_reduce_mean, x, 2, (int[]){1, 2}, true));
    check_op(k, ir_transpose(g, x, (int[]){2, 0, 3, 1}));
    check_op(k, ir_slice(g, x, (int64_t[]){1, 0, 2, 7}, (int64_t[]){1, 3, 2, 200}));
    check_op(k, ir_split(g, x, 1, 3, 2));
    check_op(k, ir_tile(g, small, (int64_t[]){2, 1, 3, 2}));
    for (int turn = 0; turn < 4; turn++)
        check_op(k, ir_rope(g, heads, 3, 8, 2, 10000, turn & 1, turn & 2));
    ir_free(g);
    kern_close(k);
}

/* Two places know which ops have kernels: what they take is predicted by that. */
static void what_is_predicted_as_fast_is(void **state)
{
    (void)state;
    for (int op = 0; op < IR_OPS; op++)
        if (host_is_each((ir_op)op)) assert_true(plan_host_has((ir_op)op));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_gives_the_oracles_values),
        cmocka_unit_test(tiles_of_queries_do_not_matter),
        cmocka_unit_test(losses_of_the_engine_read_them),
        cmocka_unit_test(other_decisions_do_not_matter),
        cmocka_unit_test(odd_shapes_are_right),
        cmocka_unit_test(baked_weights_are_the_hosts_too),
        cmocka_unit_test(logits_are_the_oracles_without_gradients),
        cmocka_unit_test(a_step_allocates_nothing_and_threads_change_no_bit),
        cmocka_unit_test(infinities_of_the_host_are_counted),
        cmocka_unit_test(what_cannot_be_moved_is_refused),
        cmocka_unit_test(equal_layers_share_their_graphs),
        cmocka_unit_test(settings_name_parts),
        cmocka_unit_test(kernels_compute_what_the_oracle_does),
        cmocka_unit_test(what_is_predicted_as_fast_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
