/* Memory that runs out at any allocation is an error, never a crash, and never
 * a graph that looks whole. */
#include "test.h"
#include "base/arena.h"
#include "ir/ir.h"

/* Every way a graph is made or read, in one go. */
static rc whole_story(void)
{
    str text = {0};
    ir_graph *g = ir_new(), *small = NULL, *back = NULL;
    if (!g) return E_MEMORY;
    ir_scope(g, "layer.0", false);
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 1, 6)), *dw, **map;
    ir_node *w = ir_param(g, "w", ir_s2(8, 8)), *c = ir_param(g, "c", ir_s4(1, 8, 1, 1));
    ir_node *h = ir_linear(g, w, ir_rms_norm(g, x, c, 1, 1e-5));
    h = ir_attention(g, h, h, h, 2, 2, 4, 2, 0.5);
    ir_output(g, "h", h);
    rc result = ir_rc(g);
    if (result == OK) result = ir_grad(g, h, NULL, 1, &w, &dw);
    if (result == OK) ir_output(g, "dw", dw);
    if (result == OK) result = ir_verify(g);
    if (result == OK) result = ir_simplify(g, &small, &map);
    if (result == OK) result = ir_print(small, &text);
    if (result == OK) result = ir_parse(text.p, text.n, "t.ir", &back);
    if (result == OK && back->n_nodes != small->n_nodes) result = E_FAILED;
    str_free(&text);
    ir_free(g);
    ir_free(small);
    ir_free(back);
    return result;
}

static rc evaluation(void)
{
    static const double v[6] = {1, 2, 3, 4, 5, 6};
    ir_graph *g = ir_new();
    arena *mem = arena_new();
    double **values;
    rc result = g && mem ? OK : E_MEMORY;
    if (result == OK) {
        ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 2, 1, 3));
        ir_output(g, "y", ir_attention(g, x, x, x, 1, 1, 2, 1, 1));
        result = ir_eval(g, mem, 1, &(ir_binding){"x", v}, &values);
    }
    ir_free(g);
    arena_free(mem);
    return result;
}

static void every_allocation_may_fail(void **state)
{
    static rc (*const stories[])(void) = {whole_story, evaluation};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(stories); i++) {
        rc result = E_MEMORY;
        long n = 0;
        while (result != OK) {
            assert_true(++n < 100000);
            mem_fail_at(n);
            result = stories[i]();
            mem_fail_at(0);
            if (result != OK && result != E_MEMORY)
                fail_msg("allocation %ld: %s: %s", n, err_name(result), err_text());
        }
        assert_true(n > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
