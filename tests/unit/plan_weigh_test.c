/* plan_weigh_test.c - what is decided by predicted time is decided by that of whole
 * plans, and the plan says so. */
#include <math.h>

#include "plan/timeline.h"
#include "small_run.h"

static double pass_of(const ir_graph *g, const dev_caps *caps, plan_variant v)
{
    plan *p;
    assert_ok(plan_build_one(g, caps, NULL, v, &p));
    double ms = plan_times_of(p).pass;
    plan_free(p);
    return ms;
}

static const plan_choice *choice(const plan *p, const char *what)
{
    for (int i = 0; i < p->n_choices; i++)
        if (!strcmp(p->choices[i].what, what)) return &p->choices[i];
    return NULL;
}

static dev_caps caps_on(const char *uri)
{
    device *d;
    dev_caps caps;
    assert_ok(dev_open(uri, NULL, &d));
    assert_ok(dev_caps_of(d, &caps));
    dev_close(d);
    return caps;
}

/* Sums of work do not tell these: on an M1 the host is done with the gradients of
 * 12 layers after the engine's pass, on an M4 those of one small layer before it. */
static void weight_gradients_go_where_a_pass_takes_less_time(void **state)
{
    static const struct {
        const char *uri;
        int dim, layers, batch;
    } rows[] = {{"null:m1", 768, 12, 1},
                {"null:m4", 768, 12, 1},
                {"null:m4", 128, 2, 8},
                {"null:m5", 384, 2, 4},
                {"null:m6", 64, 1, 1}};
    bool seen[2] = {false, false};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        llama_shape s = run_small;
        s.dim = rows[i].dim, s.hidden = 3 * s.dim, s.head_dim = 32;
        s.heads = s.kv_heads = s.dim / 32, s.layers = rows[i].layers;
        s.vocab = 2048, s.seq = 128, s.batch = rows[i].batch;
        llama m = llama_new(s);
        const ir_graph *g = m.g;
        dev_caps caps = caps_on(rows[i].uri);
        plan *p;
        double host = pass_of(g, &caps, (plan_variant){.dw = PLAN_DW_HOST, .layers = 1});
        double engine = pass_of(g, &caps,
                                (plan_variant){.dw = PLAN_DW_ENGINE, .layers = 1});
        assert_ok(plan_build(g, &caps, &(plan_options){.loss = PLAN_LOSS_HOST}, &p));
        const plan_choice *w = choice(p, "weight gradients");
        bool on_engine = engine < 0.95 * host;
        seen[on_engine] = true;
        assert_string_equal(w->taken, on_engine ? "engine" : "host");
        assert_near(w->ms, on_engine ? engine : host, 1e-9);
        assert_near(w->other_ms, on_engine ? host : engine, 1e-9);
        assert_true(plan_times_of(p).pass <= w->ms + 1e-9); /* what else was decided */
        assert_text_has(p->dw_cause, on_engine ? "on the engine" : "on the host");
        plan_free(p);
        ir_free(m.g);
    }
    assert_true(seen[0] && seen[1]);
}

/* Moving tiles about costs most where heads are wide and sequences short. */
static void queries_are_in_tiles_where_a_pass_takes_less_time(void **state)
{
    static const struct {
        int heads, head_dim, seq, batch;
    } rows[] = {{4, 16, 32, 2}, {4, 64, 64, 1}, {4, 16, 256, 2}, {2, 16, 1024, 1}};
    bool seen[9] = {false};
    (void)state;
    dev_caps caps = caps_on("null:m4");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        llama_shape s = run_small;
        s.heads = s.kv_heads = rows[i].heads, s.head_dim = rows[i].head_dim;
        s.seq = rows[i].seq, s.batch = rows[i].batch;
        llama m = llama_new(s);
        plan *p;
        plan_variant v = {.dw = PLAN_DW_HOST, .layers = 1};
        const plan_options o = {.dw = PLAN_DW_HOST, .loss = PLAN_LOSS_HOST};
        assert_ok(plan_build(m.g, &caps, &o, &p));
        const plan_choice *w = choice(p, "query tiles");
        assert_int_equal(w == NULL, s.seq <= 32); /* no row of a surface is cut */
        double best = pass_of(m.g, &caps, v);
        int taken = 1;
        for (int tiles = 2; w && tiles <= 8 && tiles <= s.seq / 32; tiles *= 2) {
            v.tiles = tiles;
            double ms = pass_of(m.g, &caps, v);
            if (ms < 0.99 * best) best = ms, taken = tiles;
        }
        if (w) assert_int_equal(atoi(w->taken), taken);
        if (w) assert_near(w->ms, best, 1e-9);
        assert_near(plan_times_of(p).pass, best, 1e-9);
        seen[taken] = true;
        plan_free(p);
        ir_free(m.g);
    }
    assert_true(seen[1] && seen[2] && seen[4]);
}

static void what_the_user_says_is_not_weighed(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_on("null:m4");
    for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
        plan *p;
        assert_ok(plan_build(m.g, &caps, &(plan_options){.dw = (plan_dw)dw}, &p));
        assert_null(choice(p, "weight gradients"));
        assert_text_has(p->dw_cause,
                        dw == PLAN_DW_HOST ? "plan.dw says host" : "plan.dw says engine");
        plan_free(p);
    }
    ir_free(m.g);
}

static double step_of(const ir_graph *g, const dev_caps *caps, plan_options o,
                      plan_weights w)
{
    plan *p;
    o.weights = w;
    assert_ok(plan_build(g, caps, &o, &p));
    double ms = p->step_ms;
    plan_free(p);
    return ms;
}

static const plan_choice *of_weights(const plan *p, const char *other)
{
    for (int i = 0; i < p->n_choices; i++)
        if (p->choices[i].of_step && !strcmp(p->choices[i].other, other))
            return &p->choices[i];
    return NULL;
}

/* Policies are compared by whole steps; baked weights that serve enough passes do
 * gain, since their products are faster ones. */
static void weights_are_of_the_policy_whose_step_takes_least(void **state)
{
    (void)state;
    llama_shape s = run_small;
    dev_caps caps = caps_on("null:m4,compiles=none");
    s.dim = 512, s.hidden = 1536, s.head_dim = 32, s.heads = s.kv_heads = 16;
    s.layers = 2, s.seq = 256, s.vocab = 512;
    llama m = llama_new(s);
    plan *p;
    plan_options o = {.weights = PLAN_WEIGHTS_AUTO};
    double streamed = step_of(m.g, &caps, o, PLAN_STREAMED);
    assert_ok(plan_build(m.g, &caps, &o, &p));
    assert_int_equal(p->options.weights, PLAN_STREAMED);
    assert_near(of_weights(p, "resident")->ms, streamed, 1e-9);
    assert_near(of_weights(p, "resident")->other_ms,
                step_of(m.g, &caps, o, PLAN_RESIDENT), 1e-9);
    double bound = of_weights(p, "baked over")->other_ms;
    assert_true(bound > streamed && bound <= step_of(m.g, &caps, o, PLAN_BAKED));
    plan_free(p);
    o.bake_every = 60000;
    streamed = step_of(m.g, &caps, o, PLAN_STREAMED); /* of the same passes, too */
    double baked = step_of(m.g, &caps, o, PLAN_BAKED);
    assert_true(baked < 0.95 * streamed);
    assert_ok(plan_build(m.g, &caps, &o, &p));
    assert_int_equal(p->options.weights, PLAN_BAKED);
    assert_near(p->step_ms, baked, 1e-9);
    assert_near(of_weights(p, "streamed")->other_ms, streamed, 1e-9);
    plan_free(p);
    ir_free(m.g);
}

static void a_policy_that_may_not_be_says_why(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_on("null:m4");
    plan *p;
    plan_options o = {.weights = PLAN_WEIGHTS_AUTO, .accumulates = true};
    assert_ok(plan_build(m.g, &caps, &o, &p));
    const plan_choice *c = of_weights(p, "resident");
    assert_true(isnan(c->other_ms));
    assert_text_has(c->why, "several passes make an update");
    plan_free(p);
    o = (plan_options){.weights = PLAN_WEIGHTS_AUTO, .dw = PLAN_DW_HOST};
    assert_ok(plan_build(m.g, &caps, &o, &p));
    assert_text_has(of_weights(p, "resident")->why, "plan.dw says host");
    plan_free(p);
    ir_free(m.g);
    caps = caps_on("null:m4,compiles=4");
    m = llama_new(run_small);
    o = (plan_options){.weights = PLAN_WEIGHTS_AUTO};
    assert_ok(plan_build(m.g, &caps, &o, &p));
    assert_text_has(of_weights(p, "resident")->why, "compile_budget");
    str text = {0};
    assert_ok(plan_print(p, &text));
    assert_text_has(text.p, ", resident refused: what is not streamed has to gain");
    str_free(&text);
    plan_free(p);
    ir_free(m.g);
}

/* A step begins when what it waits for and what is before it in its lane are done,
 * and the longest of it is the time that plans are weighed by. */
static void a_step_begins_when_what_it_waits_for_is_done(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_on("null:m4");
    plan *p;
    plan_block *all;
    int n;
    double end, last = 0;
    arena *mem = arena_new();
    assert_ok(plan_build(m.g, &caps, &(plan_options){.dw = PLAN_DW_HOST}, &p));
    assert_ok(plan_blocks(p, mem, &all, &n, &end));
    for (int i = 0; i < p->n_steps; i++) {
        double ready = 0;
        for (int j = 0; j < i; j++)
            if (all[j].lane == all[i].lane)
                ready = fmax(ready, all[j].from_ms + all[j].ms);
        for (int j = 0; j < p->steps[i].n_wait; j++) {
            const plan_block *w = &all[p->steps[i].wait[j]];
            ready = fmax(ready, w->from_ms + w->ms);
        }
        assert_near(all[i].from_ms, ready, 1e-9);
        last = fmax(last, all[i].from_ms + all[i].ms);
    }
    assert_near(plan_times_of(p).pass, last, 1e-9);
    assert_near(p->step_ms, end, 1e-9);
    arena_free(mem);
    plan_free(p);
    ir_free(m.g);
}

/* A layer's weight gradients are one line, which counts them and names each. */
static void steps_that_only_differ_in_the_param_are_one_line(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_on("null:m4");
    plan *p;
    str text = {0};
    int lines = 0, steps = 0;
    assert_ok(plan_build(m.g, &caps, &(plan_options){.dw = PLAN_DW_HOST}, &p));
    assert_ok(plan_print(p, &text));
    const char *end = strstr(text.p, "timeline:");
    for (char *at = strstr(text.p, "steps:\n") + 7; at < end; lines++) {
        char *next = strchr(at, '\n'), *many, *name = at;
        *next = 0;
        assert_int_equal(atoi(at), steps);
        many = strstr(at, " x");
        steps += many ? atoi(many + 2) : 1;
        for (int i = 1; many && i < atoi(many + 2); i++)
            assert_non_null(name = strstr(name + 1, ", "));
        at = next + 1;
    }
    assert_int_equal(steps, p->n_steps);
    assert_true(lines < steps - 6);
    str_free(&text);
    plan_free(p);
    ir_free(m.g);
}

/* Six small layers cost six launches, or one, without a program more to load. */
static void forward_plans_hold_several_layers_where_launches_count(void **state)
{
    enum { LAYERS = 6 };
    llama_shape s = run_small;
    float *logits[2];
    plan *p;
    (void)state;
    s.layers = LAYERS, s.grads = false;
    size_t n = (size_t)(s.vocab * s.batch * s.seq);
    for (int one = 0; one < 2; one++) {
        run r = run_open(s, "emu:m4", NULL);
        if (!one) {
            const plan_choice *c = choice(r.p, "layers a program");
            assert_int_equal(r.p->launches, 2);
            assert_int_equal(r.p->loads, 2);
            assert_string_equal(c->taken, "6");
            assert_true(c->ms < 0.95 * c->other_ms);
        } else {
            dev_caps caps = r.p->caps;
            assert_ok(plan_build_one(
                r.m.g, &caps, NULL, (plan_variant){.dw = PLAN_DW_HOST, .layers = 1}, &p));
            plan_free(r.p);
            r.p = p;
            assert_int_equal(p->launches, LAYERS + 1);
            assert_int_equal(p->loads, 2);
        }
        run_start(&r);
        assert_ok(exec_step(r.x, NULL));
        logits[one] = calloc(n, sizeof(float));
        assert_ok(exec_output(r.x, "logits", logits[one], n));
        run_close(&r);
    }
    /* What crosses from layer to layer is fp16 either way; but fused operations round
     * once, and may now be fused across a layer's end: a unit of fp16. */
    double num = 0, den = 0;
    for (size_t i = 0; i < n; i++) {
        num += (logits[0][i] - logits[1][i]) * (logits[0][i] - logits[1][i]);
        den += logits[1][i] * logits[1][i];
    }
    assert_true(sqrt(num / den) < 1e-3);
    free(logits[0]);
    free(logits[1]);
}

static void training_plans_keep_a_program_a_layer(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_on("null:m4");
    plan *p;
    assert_ok(plan_build(m.g, &caps, NULL, &p));
    assert_true(p->launches >= 2 * run_small.layers);
    assert_text_has(choice(p, "layers a program")->why, "told by its layer");
    plan_free(p);
    ir_free(m.g);
}

/* Weights of two layers are twice the ports: where a program may not have that
 * many, it holds fewer layers, and none is cut up. */
static void layers_are_joined_only_as_far_as_programs_hold_them(void **state)
{
    llama_shape s = run_small;
    dev_caps caps = caps_on("null:m6");
    plan *p;
    (void)state;
    s.layers = 16, s.grads = false;
    llama m = llama_new(s);
    assert_ok(plan_build(m.g, &caps, NULL, &p));
    assert_int_equal(p->loads, 2);
    assert_true(p->launches > 2 && p->launches < 17);
    for (int i = 0; i < p->n_programs; i++)
        assert_true(p->programs[i].n_in + p->programs[i].n_out <= 128);
    plan_free(p);
    ir_free(m.g);
}

/* Each way is told with the time of its own plan, and taken if it gains enough. */
static void products_of_one_value_are_joined_where_that_gains(void **state)
{
    static const struct {
        int dim, seq;
        plan_weights weights;
        bool grads;
    } rows[] = {{64, 32, PLAN_STREAMED, true},
                {512, 128, PLAN_STREAMED, true},
                {64, 32, PLAN_BAKED, true},
                {64, 32, PLAN_STREAMED, false}};
    dev_caps caps = caps_on("null:m4");
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        llama_shape s = run_small;
        s.dim = rows[i].dim, s.hidden = 2 * s.dim, s.head_dim = s.dim / s.heads;
        s.seq = rows[i].seq, s.batch = 1, s.grads = rows[i].grads;
        llama m = llama_new(s);
        plan_options o = {.weights = rows[i].weights, .dw = PLAN_DW_HOST};
        plan_variant v = {
            .dw = PLAN_DW_HOST, .layers = 1, .recompute = PLAN_RECOMPUTE_NONE};
        plan *p, *way[3];
        int told = 0, taken = 0, n = s.grads ? 3 : 2;
        assert_ok(plan_build(m.g, &caps, &o, &p));
        for (int k = 0; k < n; k++) {
            v.packed = (plan_packing)(PLAN_PACK_NONE + k);
            assert_ok(plan_build_one(m.g, &caps, &o, v, &way[k]));
            if (plan_times_of(way[k]).pass < 0.98 * plan_times_of(way[taken]).pass)
                taken = k;
        }
        for (int k = 0; k < p->n_choices; k++) {
            const plan_choice *c = &p->choices[k];
            if (strcmp(c->what, "products of one value") != 0) continue;
            const char *other = c->other;
            int at = !strcmp(other, "apart") ? 0 : !strcmp(other, "joined") ? 1 : 2;
            told++;
            assert_true(at < n && at != taken);
            assert_near(c->ms, plan_times_of(way[taken]).pass, 1e-9);
            assert_near(c->other_ms, plan_times_of(way[at]).pass, 1e-9);
        }
        assert_int_equal(told, n - 1);
        for (int k = 0; k < n; k++) plan_free(way[k]);
        plan_free(p);
        ir_free(m.g);
    }
    llama m = llama_new(run_small);
    plan *p;
    assert_ok(plan_build(m.g, &caps, &(plan_options){.window = PLAN_WINDOW_ON}, &p));
    assert_null(choice(p, "products of one value")); /* not asked with windows */
    plan_free(p);
    plan_options said = {.weights = PLAN_WEIGHTS_AUTO, .pack = PLAN_PACK_ALL};
    assert_ok(plan_build(m.g, &caps, &said, &p));
    assert_null(choice(p, "products of one value")); /* the user said */
    bool joined = false;
    for (int i = 0; i < p->n_kinds; i++) joined |= !strcmp(p->kinds[i].name, "gate+up");
    assert_true(joined);
    plan_free(p);
    ir_free(m.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weight_gradients_go_where_a_pass_takes_less_time),
        cmocka_unit_test(queries_are_in_tiles_where_a_pass_takes_less_time),
        cmocka_unit_test(what_the_user_says_is_not_weighed),
        cmocka_unit_test(weights_are_of_the_policy_whose_step_takes_least),
        cmocka_unit_test(a_policy_that_may_not_be_says_why),
        cmocka_unit_test(a_step_begins_when_what_it_waits_for_is_done),
        cmocka_unit_test(steps_that_only_differ_in_the_param_are_one_line),
        cmocka_unit_test(forward_plans_hold_several_layers_where_launches_count),
        cmocka_unit_test(products_of_one_value_are_joined_where_that_gains),
        cmocka_unit_test(training_plans_keep_a_program_a_layer),
        cmocka_unit_test(layers_are_joined_only_as_far_as_programs_hold_them),
    };
    return cmocka_run_group_tests_name("plan_weigh", tests, NULL, NULL);
}
