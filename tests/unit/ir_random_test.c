/* Random graphs: tame enough for fp16, wide enough to count, and kept in
 * meaning by simplification and by a trip through text. */
#include "test.h"
#include "random_graph.h"

enum { GRAPHS = 500, EACH = 20 };

static ir_graph *make(uint64_t seed)
{
    ir_graph *g = random_graph(seed);
    if (!g) fail_msg("seed %d: %s", (int)seed, err_text());
    assert_ok(ir_verify(g));
    return g;
}

/* What a generator of random graphs is expected to reach: not what only the
 * host does. */
static bool expected(ir_op op)
{
    return op != IR_conv_dx && op != IR_conv_dw && op != IR_attention_dx &&
           op != IR_embedding && op != IR_embedding_dw && op != IR_cross_entropy &&
           op != IR_cross_entropy_dx && op != IR_target_code && op != IR_target_loss;
}

static void every_op_occurs_often(void **state)
{
    int count[IR_OPS] = {0}, most = 0;
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        ir_graph *g = make(seed);
        random_coverage(g, count);
        if (g->n_nodes > most) most = g->n_nodes;
        ir_free(g);
    }
    printf("largest %d nodes;", most);
    for (int op = 0; op < IR_OPS; op++)
        printf(" %s %d", ir_op_name((ir_op)op), count[op]);
    printf("\n");
    for (int op = 0; op < IR_OPS; op++)
        if (expected((ir_op)op) && count[op] < EACH)
            fail_msg("%s occurs %d times in %d graphs", ir_op_name((ir_op)op), count[op],
                     GRAPHS);
}

static void values_stay_far_from_overflow(void **state)
{
    double worst = 0;
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        ir_graph *g = make(seed);
        arena *mem = arena_new();
        ir_binding bind[RANDOM_POOL];
        int n;
        double **v;
        assert_true(random_values(g, seed, mem, bind, &n));
        assert_ok(ir_eval(g, mem, n, bind, &v));
        for (int i = 0; i < g->n_nodes; i++)
            for (int64_t k = 0; v[i] && k < ir_count(g->nodes[i]->shape); k++) {
                if (!isfinite(v[i][k]))
                    fail_msg("seed %d: %%%d is not finite", (int)seed, i);
                if (fabs(v[i][k]) > worst) worst = fabs(v[i][k]);
            }
        arena_free(mem);
        ir_free(g);
    }
    printf("largest magnitude %.1f\n", worst);
    assert_true(worst < 16384); /* half of where the engine's products end */
}

static void compare(const ir_graph *a, const ir_graph *b, uint64_t seed)
{
    arena *mem = arena_new();
    ir_binding bind[RANDOM_POOL];
    int n;
    double **va, **vb;
    assert_true(random_values(a, seed, mem, bind, &n));
    assert_ok(ir_eval(a, mem, n, bind, &va));
    assert_ok(ir_eval(b, mem, n, bind, &vb));
    for (int o = 0; o < a->n_outputs; o++) {
        const double *x = va[a->outputs[o].node->id];
        const double *y = vb[ir_find(b, a->outputs[o].name)->id];
        for (int64_t i = 0; i < ir_count(a->outputs[o].node->shape); i++)
            /* only foldings of constants may differ, by a rounding of double */
            if (!(fabs(x[i] - y[i]) <= 1e-12 * fmax(1, fabs(x[i]))))
                fail_msg("seed %d, %s[%d]: %.17g and %.17g", (int)seed,
                         a->outputs[o].name, (int)i, x[i], y[i]);
    }
    arena_free(mem);
}

static void simplification_keeps_the_meaning(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        ir_graph *g = make(seed), *out;
        assert_ok(ir_simplify(g, &out, NULL));
        assert_ok(ir_verify(out));
        assert_true(out->n_nodes <= g->n_nodes);
        compare(g, out, seed);
        ir_free(g);
        ir_free(out);
    }
}

static void text_is_read_back_to_the_same_text(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        str a = {0}, b = {0};
        ir_graph *g = make(seed), *back;
        assert_ok(ir_print(g, &a));
        assert_ok(ir_parse(a.p, a.n, "random.ir", &back));
        assert_ok(ir_verify(back));
        assert_ok(ir_print(back, &b));
        assert_string_equal(str_text(&a), str_text(&b));
        str_free(&a);
        str_free(&b);
        ir_free(g);
        ir_free(back);
    }
}

/* The tolerance tool itself: rounding of 2^-11 moves outputs by that order. */
static void noise_is_small_and_not_zero(void **state)
{
    double worst = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        ir_graph *g = make(seed);
        arena *mem = arena_new();
        ir_binding bind[RANDOM_POOL];
        int n;
        double **v;
        assert_true(random_values(g, seed, mem, bind, &n));
        assert_ok(ir_eval(g, mem, n, bind, &v));
        for (int o = 0; o < g->n_outputs; o++) {
            const double *y = v[g->outputs[o].node->id];
            int64_t count = ir_count(g->outputs[o].node->shape);
            double noise = random_noise(g, g->outputs[o].name, y, n, bind), size = 0;
            for (int64_t i = 0; i < count; i++) size += y[i] * y[i];
            size = sqrt(size / (double)count);
            assert_true(noise >= 0);
            worst = fmax(worst, noise / (size + 0.01));
        }
        arena_free(mem);
        ir_free(g);
    }
    printf("largest relative noise %.2g\n", worst);
    assert_true(worst > 1e-5 && worst < 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_occurs_often),
        cmocka_unit_test(values_stay_far_from_overflow),
        cmocka_unit_test(simplification_keeps_the_meaning),
        cmocka_unit_test(text_is_read_back_to_the_same_text),
        cmocka_unit_test(noise_is_small_and_not_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
