/* plan_window_test.c - exponent windows change no meaning: whatever powers of
 * two are chosen, a step gives the same loss and gradients; and chosen well,
 * they keep the products that the engine would drop. */
#include "small_run.h"

/* Powers from `least` on, `span` of them. */
static int *some_factors(const plan_window *w, uint64_t seed, int least, int span)
{
    int *k = calloc((size_t)w->n_factors, sizeof *k), by;
    for (int i = 0; i < w->n_factors; i++)
        k[i] = (int)rng_below(seed, 1, (uint64_t)i, (uint64_t)span) + least;
    assert_int_equal(plan_window_misfit(w, k, &by), -1);
    return k;
}

/* 0 tiles: whatever weighing takes. */
static void open_window(run *r, llama_shape s, const char *where, plan_dw dw, bool on,
                        int tiles)
{
    plan_options o = {.dw = dw, .window = on ? PLAN_WINDOW_ON : PLAN_WINDOW_OFF};
    *r = run_open(s, where, &o);
    if (tiles) run_replan(r, &o, (plan_variant){.dw = dw, .layers = 1, .tiles = tiles});
    assert_int_equal(r->p->window != NULL, on);
    run_start(r);
}

static void set_factors(run *r, uint64_t seed, int least, int span)
{
    int *k = some_factors(r->p->window, seed, least, span);
    assert_ok(exec_window(r->x, k, true));
    free(k);
}

/* The loss is the same, and gradients but for units of 2^-24. */
static void equal_steps(run *off, run *on)
{
    float loss[2];
    run_step(off, NULL);
    run_step(on, NULL);
    assert_ok(exec_output(off->x, "loss", &loss[0], 1));
    assert_ok(exec_output(on->x, "loss", &loss[1], 1));
    assert_true(loss[0] == loss[1]);
    for (int i = 0; i < off->m.n; i++) {
        size_t n = (size_t)ir_count(off->m.param[i]->shape);
        double most = 0, size = 0;
        for (size_t j = 0; j < n; j++) {
            most = fmax(most, fabs((double)off->g[i][j] - (double)on->g[i][j]));
            size = fmax(size, fabs((double)off->g[i][j]));
        }
        if (!(most <= 1e-6 * size))
            fail_msg("%s: off by %.3g of %.3g", off->m.param[i]->name, most, size);
    }
}

/* fp32 tensors: a power of two costs no bit. Between programs values lie on
 * fp16 surfaces, where a gradient below 2^-14 loses bits that 2^k saves: units
 * of 2^-24, against elements of 10 and more. */
static void powers_of_two_cost_nothing_where_tensors_are_wide(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) { /* few values, so that none rounds otherwise */
        int dw = way % 2 ? PLAN_DW_ENGINE : PLAN_DW_HOST, tiles = 1 + way / 2;
        run off, on;
        llama_shape s = run_small;
        s.tied = dw == PLAN_DW_HOST, s.seq = 64 * tiles;
        open_window(&off, s, "emu:m4,wide", (plan_dw)dw, false, tiles);
        open_window(&on, s, "emu:m4,wide", (plan_dw)dw, true, tiles);
        set_factors(&on, 7, 0, 4); /* a gradient carries three: 2^9 times 81 is in fp16 */
        equal_steps(&off, &on);
        run_close(&off);
        run_close(&on);
    }
}

/* Where a factor is put is the planner's to weigh: on operands alone it moves the
 * same products, and takes more multiplications. */
static void factors_on_operands_are_taken_out_again(void **state)
{
    (void)state;
    for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
        plan_options o = {.dw = (plan_dw)dw, .window = PLAN_WINDOW_ON};
        run off, on = run_open(run_small, "emu:m4,wide", &o);
        int usual = on.p->window->n_muls;
        open_window(&off, run_small, "emu:m4,wide", (plan_dw)dw, false, 0);
        run_replan(&on, &o, (plan_variant){(plan_dw)dw, 1, .scale_operands = true});
        assert_true(on.p->window->n_muls > usual);
        for (int i = 0; i < on.p->window->n_factors; i++)
            assert_int_equal(on.p->window->factors[i].at, PLAN_ON_VALUE);
        run_start(&on);
        set_factors(&on, 7, 0, 4);
        equal_steps(&off, &on);
        run_close(&off);
        run_close(&on);
    }
}

/* The tolerances of steps that know no windows. */
static void gradients_equal_the_oracles_whatever_the_factors(void **state)
{
    (void)state;
    const char *chips[] = {"emu:m1", "emu:m4", "emu:m1,rules=all"};
    for (size_t c = 0; c < COUNT_OF(chips); c++)
        for (int way = 0; way < 4; way++) {
            run r;
            llama_shape s = run_small;
            int dw = way % 2 ? PLAN_DW_ENGINE : PLAN_DW_HOST, tiles = 1 + way / 2;
            s.tied = dw == PLAN_DW_HOST, s.seq = 32 * tiles;
            s.interleaved = dw != PLAN_DW_HOST;
            open_window(&r, s, chips[c], (plan_dw)dw, true, tiles);
            run_equals_oracle(&r, chips[c], 1e-2);
            set_factors(&r, 3 + c, -1, 4);
            run_equals_oracle(&r, chips[c], 1e-2);
            run_close(&r);
        }
}

static void equal_layers_stay_one_program_and_no_launch_is_added(void **state)
{
    (void)state;
    for (int on = 0; on < 2; on++) {
        run r = run_open(
            run_small, "m4",
            &(plan_options){.window = on ? PLAN_WINDOW_ON : PLAN_WINDOW_OFF});
        llama_shape s = run_small;
        s.layers = 7;
        run more = run_open(
            s, "m4", &(plan_options){.window = on ? PLAN_WINDOW_ON : PLAN_WINDOW_OFF});
        run off = run_open(s, "m4", NULL);
        assert_int_equal(r.p->loads, more.p->loads);
        assert_int_equal(off.p->loads, more.p->loads);
        assert_int_equal(off.p->launches, more.p->launches);
        run *all[] = {&r, &more, &off};
        for (int i = 0; i < 3; i++) {
            plan_free(all[i]->p);
            kern_close(all[i]->k);
            ir_free(all[i]->m.g);
        }
    }
}

/* Every product on the engine has a line that says what was done about it. */
static void every_product_is_in_the_plan(void **state)
{
    (void)state;
    for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
        plan_options o = {.window = PLAN_WINDOW_ON, .dw = (plan_dw)dw};
        run r = run_open(run_small, "m4", &o);
        int products = 0, kinds[3] = {0};
        for (int i = 0; i < r.p->n_programs; i++) {
            const plan_program *q = &r.p->programs[i];
            for (int j = 0; j < q->graph->n_nodes; j++)
                if (q->graph->nodes[j]->op == IR_matmul) products += q->calls;
        }
        for (int i = 0; i < r.p->window->n_sites; i++)
            products -= !r.p->window->sites[i].operand;
        assert_int_equal(products, 0);
        for (int i = 0; i < r.p->window->n_sites; i++) {
            const plan_site *s = &r.p->window->sites[i];
            assert_non_null(s->cause);
            kinds[s->kind]++;
            assert_true(s->factor < r.p->window->n_factors);
            for (int j = 0; j < i; j++)
                assert_string_not_equal(s->name, r.p->window->sites[j].name);
        }
        assert_true(kinds[PLAN_FORWARD] && kinds[PLAN_DX] && kinds[PLAN_DW]);
        plan_free(r.p);
        kern_close(r.k);
        ir_free(r.m.g);
    }
}

static int readers(const plan_window *w, int factor)
{
    int n = 0;
    for (int i = 0; i < w->n_sites; i++)
        n += !w->sites[i].operand && w->sites[i].factor == factor;
    return n;
}

static bool carries(const plan_window *w, const plan_site *s)
{
    const plan_form *f = &w->forms[s->form];
    for (int i = 0; i < f->n; i++)
        if (f->factor[i] == s->factor) return true;
    return false;
}

/* A sum over the batch is many places larger than the product for dx that reads the
 * same gradient, so they share no factor; and the host takes any form out of a
 * gradient, so none is taken out before, where it could leave fp16. */
static void the_factor_of_a_weight_gradient_is_its_own(void **state)
{
    (void)state;
    plan_options o = {.window = PLAN_WINDOW_ON, .dw = PLAN_DW_ENGINE};
    run r = run_open(run_small, "m4", &o);
    const plan_window *w = r.p->window;
    int seen = 0;
    for (int i = 0; i < w->n_sites; i++) {
        const plan_site *s = &w->sites[i];
        if (s->operand || s->kind != PLAN_DW || s->factor < 0) continue;
        assert_int_equal(readers(w, s->factor), 1);
        assert_true(carries(w, s));
        seen++;
    }
    assert_true(seen >= 9);
    plan_free(r.p);
    kern_close(r.k);
    ir_free(r.m.g);
}

static const ir_node *under_shape(const ir_node *n)
{
    while (n->op == IR_reshape || n->op == IR_transpose) n = n->in[0];
    return n;
}

/* The value that a factor of a program multiplies here, or NULL. */
static const ir_node *multiplied(const ir_node *n)
{
    n = under_shape(n);
    if (n->op != IR_mul || under_shape(n->in[1])->op != IR_slice) return NULL;
    const ir_node *from = under_shape(n->in[1])->in[0];
    return from->op == IR_input && strncmp(from->name, "window:", 7) == 0 ? n->in[0]
                                                                          : NULL;
}

/* In a weight gradient it is what the forward pass made that is multiplied, not the
 * gradient; and what a norm sums over a batch leaves the program as it is. */
static void weight_gradients_multiply_the_activations(void **state)
{
    (void)state;
    plan_options o = {.window = PLAN_WINDOW_ON, .dw = PLAN_DW_ENGINE};
    run r = run_open(run_small, "m4", &o);
    int seen = 0;
    for (int i = 0; i < r.p->legal->n_outputs; i++) {
        const ir_node *n = under_shape(r.p->legal->outputs[i].node);
        if (strncmp(r.p->legal->outputs[i].name, "grad:", 5) != 0) continue;
        const ir_node *whole = multiplied(n); /* a form of too many factors ends */
        if (whole) n = under_shape(whole);
        if (n->op != IR_matmul) continue;
        const ir_node *a = multiplied(n->in[0]), *b = multiplied(n->in[1]);
        assert_true(!a != !b);
        const ir_node *x = under_shape(a ? a : b);
        if (x->op == IR_constant) assert_null(whole); /* a batch's sum, of a norm */
        else assert_false(x->backward);
        seen++;
    }
    assert_true(seen >= 9);
    plan_free(r.p);
    kern_close(r.k);
    ir_free(r.m.g);
}

/* A number that fp16 cannot hold is refused before it is written. */
static void factors_that_leave_fp16_are_refused(void **state)
{
    (void)state;
    run r;
    open_window(&r, run_small, "emu:m4", PLAN_DW_HOST, true, 0);
    int *k = calloc((size_t)r.p->window->n_factors, sizeof *k), by;
    for (int i = 0; i < r.p->window->n_factors; i++) k[i] = 40;
    assert_true(plan_window_misfit(r.p->window, k, &by) >= 0);
    assert_fails(exec_window(r.x, k, true), E_NUMERIC, "what fp16 can hold");
    run_step(&r, NULL); /* the old factors still hold */
    free(k);
    run_close(&r);
    open_window(&r, run_small, "emu:m4", PLAN_DW_HOST, false, 0);
    assert_fails(exec_window(r.x, &by, true), E_CONFIG, "no exponent windows");
    run_close(&r);
}

/* A vocabulary in pieces: the loss takes the factor out of each. */
static void long_vocabularies_lose_nothing(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        run r;
        llama_shape s = run_small;
        s.layers = 1, s.dim = s.hidden = 32, s.head_dim = 8, s.vocab = 20000, s.batch = 1;
        s.tied = tied;
        open_window(&r, s, "emu:m4", PLAN_DW_AUTO, true, 0);
        set_factors(&r, 11, 0, 3);
        bool carried = false;
        for (int i = 0; i < r.p->n_steps; i++) {
            if (r.p->steps[i].engine || r.p->steps[i].host != PLAN_HOST_LOSS) continue;
            carried |= r.p->steps[i].logits_form > 0 && r.p->steps[i].form > 0;
        }
        assert_true(carried);
        run_equals_oracle(&r, "20000 tokens", 1e-2);
        run_close(&r);
    }
}

static void auto_is_on_where_products_are_dropped_and_gradients_wanted(void **state)
{
    (void)state;
    const char *chips[] = {"emu:m4", "emu:m4,exact", "emu:m4,wide"};
    for (size_t c = 0; c < COUNT_OF(chips); c++)
        for (int grads = 0; grads < 2; grads++) {
            llama_shape s = run_small;
            s.grads = grads;
            run r = run_open(s, chips[c], &(plan_options){.window = PLAN_WINDOW_AUTO});
            assert_int_equal(r.p->window != NULL, c == 1 && grads);
            plan_free(r.p);
            dev_close(r.d);
            kern_close(r.k);
            ir_free(r.m.g);
        }
}

static void baked_weights_have_no_windows(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_of("m4");
    plan *p;
    assert_fails(
        plan_build(m.g, &caps,
                   &(plan_options){.window = PLAN_WINDOW_ON, .weights = PLAN_BAKED}, &p),
        E_CONFIG, "plan.window");
    ir_free(m.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_of_two_cost_nothing_where_tensors_are_wide),
        cmocka_unit_test(factors_on_operands_are_taken_out_again),
        cmocka_unit_test(gradients_equal_the_oracles_whatever_the_factors),
        cmocka_unit_test(equal_layers_stay_one_program_and_no_launch_is_added),
        cmocka_unit_test(every_product_is_in_the_plan),
        cmocka_unit_test(the_factor_of_a_weight_gradient_is_its_own),
        cmocka_unit_test(weight_gradients_multiply_the_activations),
        cmocka_unit_test(long_vocabularies_lose_nothing),
        cmocka_unit_test(auto_is_on_where_products_are_dropped_and_gradients_wanted),
        cmocka_unit_test(baked_weights_have_no_windows),
        cmocka_unit_test(factors_that_leave_fp16_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
