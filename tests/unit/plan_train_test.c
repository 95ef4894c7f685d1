/* plan_train_test.c - a small transformer, planned and carried out, gives the
 * loss and the gradients that the oracle gives for the graph it was made of. */
#include "plan/timeline.h"
#include "small_run.h"

static void gradients_equal_the_oracles(void **state)
{
    (void)state;
    const char *chips[] = {"m1", "m4", "emu:m1", "emu:m4", "emu:m1,rules=all"};
    for (int tied = 0; tied < 2; tied++)
        for (size_t c = 0; c < COUNT_OF(chips); c++)
            for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
                llama_shape s = run_small;
                s.tied = tied;
                s.interleaved = dw == PLAN_DW_HOST;
                run r = run_open(s, chips[c], &(plan_options){.dw = (plan_dw)dw});
                run_start(&r);
                run_equals_oracle(&r, chips[c], strchr(chips[c], ':') ? 1e-2 : 4e-3);
                run_close(&r);
            }
}

/* A vocabulary longer than any axis of an M1: the classifier is cut into pieces
 * that stand alone on surfaces, with the loss reading them one by one. */
static void long_vocabularies_are_cut(void **state)
{
    (void)state;
    const char *where[] = {"m1", "emu:m1"};
    for (size_t i = 0; i < COUNT_OF(where); i++) {
        llama_shape s = run_small;
        s.layers = 1, s.dim = s.hidden = 32, s.head_dim = 8, s.vocab = 20000, s.batch = 1;
        s.tied = i == 0;
        run r = run_open(s, where[i], NULL);
        int pieces = 0;
        for (int b = 0; b < r.p->n_buffers; b++)
            pieces += r.p->buffers[b].home == PLAN_WEIGHT &&
                      strcmp(r.p->buffers[b].name, s.tied ? "embed" : "head") == 0;
        assert_int_equal(pieces, 2); /* and not four: both directions read the same */
        run_start(&r);
        run_equals_oracle(&r, where[i], 1e-2);
        run_close(&r);
    }
}

/* Columns that are no multiple of 32 lie packed or in padded rows, as sizes
 * have it; the last piece of a vocabulary perhaps otherwise than the others. */
static void odd_sizes_are_right(void **state)
{
    (void)state;
    const int sizes[][3] = {{257, 1, 10}, {20001, 1, 7}, {96, 3, 11}, {33, 1, 1}};
    const char *where[] = {"m4", "emu:m1", "emu:m4"};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t w = 0; w < COUNT_OF(where); w++)
            for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
                llama_shape s = run_small;
                s.layers = 1, s.dim = 24, s.hidden = 40, s.head_dim = 6;
                s.vocab = sizes[i][0], s.batch = sizes[i][1], s.seq = sizes[i][2];
                s.tied = w == 0;
                run r = run_open(s, where[w], &(plan_options){.dw = (plan_dw)dw});
                run_start(&r);
                if (s.seq == 1) r.targets[0] = 1; /* or nothing would be counted */
                assert_ok(
                    exec_input(r.x, "targets", r.targets, (size_t)(s.batch * s.seq) * 4));
                run_equals_oracle(&r, where[w], 1e-2);
                run_close(&r);
            }
}

/* Elements of softmaxes in all programs. */
static int64_t scores_of(const plan *p)
{
    int64_t sum = 0;
    for (int i = 0; i < p->n_programs; i++)
        for (int k = 0; k < p->programs[i].graph->n_nodes; k++) {
            const ir_node *n = p->programs[i].graph->nodes[k];
            sum += n->op == IR_softmax ? ir_count(n->shape) : 0;
        }
    return sum;
}

/* Tiles of queries leave out what is masked: the rest is as it was, with grouped
 * heads, in batches, and where the last tile is narrower or there is but one. */
static void queries_may_be_in_tiles(void **state)
{
    static const struct {
        int kv_heads, batch, seq, tiles;
        int scores; /* of a head and sequence */
    } rows[] = {{4, 1, 64, 2, 32 * 32 + 32 * 64},
                {2, 2, 128, 4, 32 * (32 + 64 + 96 + 128)},
                {1, 3, 96, 2, 64 * 64 + 32 * 96},
                {2, 1, 70, 2, 64 * 64 + 6 * 70},
                {4, 2, 100, 8, 32 * (32 + 64 + 96) + 4 * 100},
                {2, 2, 32, 2, 32 * 32}};
    const char *where[] = {"m1",        "m4",    "emu:m1", "emu:m1,rules=all",
                           "emu:m2pro", "emu:m4"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t w = 0; w < COUNT_OF(where); w++) {
            llama_shape s = run_small;
            s.layers = 1, s.kv_heads = rows[i].kv_heads;
            s.batch = rows[i].batch, s.seq = rows[i].seq;
            plan_variant v = {.dw = w % 2 ? PLAN_DW_HOST : PLAN_DW_ENGINE,
                              .layers = 1,
                              .tiles = rows[i].tiles};
            run r = run_open(s, where[w], NULL);
            run_replan(&r, NULL, v);
            assert_int_equal(scores_of(r.p), s.heads * s.batch * rows[i].scores);
            run_start(&r);
            run_equals_oracle(&r, where[w], r.d ? 1e-2 : 4e-3);
            run_close(&r);
        }
}

static int loads_of(int layers, const char *chip)
{
    llama_shape s = run_small;
    s.layers = layers;
    run r = run_open(s, chip, NULL);
    int loads = r.p->loads, launches = r.p->launches;
    assert_true(launches >= 2 * layers);
    plan_free(r.p);
    kern_close(r.k);
    ir_free(r.m.g);
    return loads;
}

static void equal_layers_share_their_programs(void **state)
{
    (void)state;
    assert_int_equal(loads_of(24, "m4"), loads_of(12, "m4"));
    assert_true(loads_of(12, "m4") <= 12);
    assert_int_equal(loads_of(5, "m1"), loads_of(3, "m1"));
}

/* The strict engine of each chip loads every program of its plan, with the
 * disputed rules as well. */
static void every_chip_takes_its_plan(void **state)
{
    (void)state;
    for (size_t i = 0; i < dev_profile_count(); i++)
        for (int all = 0; all < 2; all++) {
            char uri[64];
            snprintf(uri, sizeof uri, "%s:%s%s", all ? "emu" : "null",
                     dev_profile_at(i)->name, all ? ",rules=all" : "");
            run r = run_open(run_small, uri, NULL);
            run_start(&r);
            run_step(&r, NULL);
            run_close(&r);
        }
}

/* ---- norms ---- */
enum { WIDTH = 1024, COLUMNS = 32 };

/* Loss of a norm over `rms`-sized values with its gradients to input and
 * weight, on the engine against the oracle. A sum of 1024 squares of 20 is
 * beyond fp16, and its inverse root would be a silent zero; squares of 1e-3
 * are subnormal. */
static void norm_gradients(double rms, const char *uri)
{
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x0", IR_FP16, ir_s4(1, WIDTH, 1, COLUMNS));
    ir_node *seed = ir_input(g, "seed", IR_FP16, ir_s4(1, WIDTH, 1, COLUMNS)), *d[2];
    ir_node *w = ir_param(g, "w", ir_s1(WIDTH));
    ir_node *y = ir_rms_norm(g, x, ir_reshape(g, w, ir_s4(1, WIDTH, 1, 1)), 1, 1e-5);
    ir_output(g, "y", y);
    assert_ok(ir_grad(g, y, seed, 2, (ir_node *[]){x, w}, d));
    ir_output(g, "dx", d[0]);
    ir_output(g, "grad:w", d[1]);
    assert_ok(ir_rc(g));

    size_t n = WIDTH * COLUMNS;
    float *xs = malloc(n * 4), *ss = malloc(n * 4), *had = malloc(n * 4), ws[WIDTH],
          gw[WIDTH] = {0};
    for (size_t i = 0; i < n; i++) {
        xs[i] = half_to_float(half_from_double(rms * rng_normal(3, 1, i)));
        ss[i] = half_to_float(half_from_double(rng_normal(3, 2, i)));
    }
    for (size_t i = 0; i < WIDTH; i++)
        ws[i] = half_to_float(half_from_double(0.5 + rng_unit(3, 3, i)));
    arena *mem = arena_new();
    double **v;
    ir_binding bind[] = {{"x0", run_doubles(mem, n, xs, NULL)},
                         {"seed", run_doubles(mem, n, ss, NULL)},
                         {"w", run_doubles(mem, WIDTH, ws, NULL)}};
    assert_ok(ir_eval(g, mem, 3, bind, &v));

    kern *k;
    device *dev;
    dev_caps caps;
    plan *p;
    exec *e;
    exec_stats stats;
    assert_ok(kern_open(1, NULL, &k));
    assert_ok(dev_open(uri, k, &dev));
    assert_ok(dev_caps_of(dev, &caps));
    assert_ok(plan_build(g, &caps, NULL, &p));
    assert_ok(exec_open(p, dev, k, &e));
    assert_ok(exec_bind(e, "w", ws, gw));
    assert_ok(exec_stage(e));
    assert_ok(exec_input(e, "x0", xs, n * 4));
    assert_ok(exec_input(e, "seed", ss, n * 4));
    assert_ok(exec_step(e, &stats));
    assert_int_equal(stats.infinities, 0);
    /* a dozen roundings of fp16, of relative 2^-11 each */
    assert_ok(exec_output(e, "y", had, n));
    assert_true(run_off(had, v[ir_find(g, "y")->id], n) < 3e-3);
    assert_ok(exec_output(e, "dx", had, n));
    assert_true(run_off(had, v[ir_find(g, "dx")->id], n) < 5e-3);
    assert_true(run_off(gw, v[ir_find(g, "grad:w")->id], WIDTH) < 5e-3);
    exec_close(e);
    plan_free(p);
    dev_close(dev);
    kern_close(k);
    arena_free(mem);
    ir_free(g);
    free(xs), free(ss), free(had);
}

static void norms_are_right_from_tiny_to_large_values(void **state)
{
    (void)state;
    const double rms[] = {1e-3, 0.03, 1, 20, 400};
    for (size_t i = 0; i < COUNT_OF(rms); i++) {
        norm_gradients(rms[i], "emu:m4");
        norm_gradients(rms[i], "emu:m1");
    }
}

/* ---- texts and limits ---- */
static void a_plan_beyond_the_memory_limit_is_refused(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_of("m4");
    plan *p = NULL;
    assert_fails(plan_build(m.g, &caps, &(plan_options){.memory_limit_bytes = 1e6}, &p),
                 E_MEMORY, "activations");
    assert_null(p);
    assert_text_has(err_text(), "the largest tensor is ");
    assert_text_has(err_text(), "try a smaller");
    plan_options stay = {.weights = PLAN_RESIDENT, .memory_limit_bytes = 1e6};
    assert_fails(plan_build(m.g, &caps, &stay, &p), E_MEMORY, "resident keeps eight");
    assert_ok(plan_build(m.g, &caps, &(plan_options){.memory_limit_bytes = 1e9}, &p));
    plan_free(p);
    ir_free(m.g);
}

static void a_plan_is_told_in_words_and_in_json(void **state)
{
    (void)state;
    llama_shape s = run_small;
    s.hidden = 1024;
    llama m = llama_new(s);
    dev_caps caps = caps_of("m4");
    plan *p;
    str text = {0};
    assert_ok(plan_build(m.g, &caps, NULL, &p));
    assert_ok(plan_json(p, &text));
    const char *keys[] = {"programs",
                          "name",
                          "calls",
                          "in_bytes",
                          "out_bytes",
                          "flops",
                          "cause",
                          "predicted_ms",
                          "loads",
                          "launches_per_step",
                          "host",
                          "op",
                          "memory",
                          "weights",
                          "moments",
                          "gradients",
                          "surfaces",
                          "activations",
                          "predicted_step_ms",
                          "engine_ms",
                          "host_ms",
                          "staging_ms",
                          "optimizer_ms",
                          "compiles_per_update",
                          "staged_bytes",
                          "compile_ms"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char quoted[40];
        snprintf(quoted, sizeof quoted, "\"%s\":", keys[i]);
        assert_text_has(str_text(&text), quoted);
    }
    str_clear(&text);
    assert_ok(plan_print(p, &text));
    assert_text_has(str_text(&text), "layer.fwd      x2");
    assert_text_has(str_text(&text), "rule uniform_surfaces is disputed");
    str_free(&text);
    plan_free(p);
    ir_free(m.g);
}

/* Baked, each layer's weights are its own: nothing is shared but the text of
 * what has no weights, and nothing is staged. */
static void baked_plans_need_no_values_and_say_what_they_compile(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_of("m4");
    plan_options o = {.weights = PLAN_BAKED, .bake_every = 4};
    plan *p, *streamed;
    str text = {0};
    assert_ok(plan_build(m.g, &caps, NULL, &streamed));
    assert_ok(plan_build(m.g, &caps, &o, &p));
    assert_int_equal(p->launches, streamed->launches);
    assert_int_equal(p->rebakes, p->launches);
    assert_true(streamed->rebakes == 0 && streamed->staged_bytes > 0);
    assert_near(p->staged_bytes, 0, 0);
    assert_near(p->step_ms - p->compile_ms, streamed->step_ms - streamed->staging_ms,
                0.5 * streamed->step_ms);
    assert_near(p->optimizer_ms, streamed->optimizer_ms / 4, 1e-9); /* a pass's share */
    assert_near(plan_times_of(p).floor, plan_times_of(streamed).floor / 4, 1e-9);
    assert_ok(plan_print(p, &text));
    assert_text_has(str_text(&text), "6 programs compiled again for each update of 4");
    arena *mem = arena_new();
    mil_blob_file *files;
    int n_files;
    assert_int_equal(p->programs[0].n_files, 0);
    assert_ok(plan_bake(p, 0, 0, NULL, mem, &files, &n_files));
    assert_true(n_files > 0);
    arena_free(mem);
    str_free(&text);
    plan_free(p);
    plan_free(streamed);
    ir_free(m.g);
}

/* AdamW of equal layers is one program, on every chip and with every rule kept;
 * what the host looks up stays with it, and all else is staged no more. */
static void resident_plans_update_on_the_engine(void **state)
{
    (void)state;
    static const char *const chips[] = {"m1", "m2pro", "m4", "m5"};
    for (size_t i = 0; i < 2 * COUNT_OF(chips); i++) {
        llama_shape config = run_small;
        config.hidden = i & 1 ? 704 : config.hidden; /* not all of the least size */
        llama m = llama_new(config);
        dev_caps caps = caps_of(chips[i / 2]);
        plan_options o = {.weights = PLAN_RESIDENT, .rules_all = i & 1};
        plan *p;
        str text = {0};
        assert_ok(plan_build(m.g, &caps, &o, &p));
        assert_non_null(p->update);
        assert_int_equal(p->update->launches, 3); /* two layers and the head */
        assert_int_equal(p->update->loads, 2);
        for (int k = 0; k < p->update->n_steps; k++)
            assert_true(p->update->steps[k].engine);
        for (int k = 0; k < p->n_buffers; k++) {
            const plan_buffer *q = &p->buffers[k];
            if (q->home == PLAN_GRAD) assert_false(plan_stays(p, q->name));
            if (q->home == PLAN_WEIGHT && !plan_stays(p, q->name))
                assert_text_has(q->name, "embed");
        }
        assert_ok(plan_print(p, &text));
        assert_text_has(str_text(&text), "update.layer.fwd x2");
        assert_text_has(str_text(&text), "embed stays with the host");
        str_clear(&text);
        assert_ok(plan_json(p, &text));
        assert_text_has(str_text(&text), "update.head.fwd");
        str_free(&text);
        plan_free(p);
        ir_free(m.g);
    }
}

static void what_the_host_sums_cannot_stay(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_of("m4");
    plan_options o = {.weights = PLAN_RESIDENT, .dw = PLAN_DW_HOST};
    plan *p;
    assert_fails(plan_build(m.g, &caps, &o, &p), E_CONFIG,
                 "plan.dw=host, but plan.weights=resident");
    ir_free(m.g);
}

/* Which rule, which tensor, what to change. */
static void a_plan_no_process_can_hold_is_refused(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    plan_options o = {.weights = PLAN_BAKED};
    plan *p;
    dev_caps caps = caps_of("m4");
    caps.compiles_max = 5;
    assert_fails(
        plan_build(m.g, &caps, &o, &p), E_BUDGET,
        "rule 'compile_budget': the plan needs 6 programs, a process compiles 5");
    assert_text_has(err_text(), "the largest constant is");
    assert_text_has(err_text(), "plan.weights=streamed");
    o.weights = PLAN_RESIDENT;
    assert_fails(
        plan_build(m.g, &caps, &o, &p), E_BUDGET,
        "rule 'compile_budget': the plan needs 6 programs, a process compiles 5");
    assert_text_has(err_text(), "2 programs more, for AdamW on the engine");
    assert_text_has(err_text(), "plan.weights=streamed needs 4");
    o.weights = PLAN_BAKED;
    assert_ok(plan_build(m.g, &caps, NULL, &p)); /* as both say */
    plan_free(p);
    caps.compiles_max = 3;
    assert_fails(plan_build(m.g, &caps, NULL, &p), E_BUDGET, "rule 'compile_budget'");
    assert_text_has(err_text(), "layer.fwd, head.fwd, head.bwd, layer.bwd");
    assert_text_has(err_text(), "compiles=4 or more");
    assert_text_has(err_text(), "compiles=4"); /* or more */
    caps.compiles_max = 0;
    caps.programs_max = 6; /* and one to compile while the old one is there */
    assert_fails(plan_build(m.g, &caps, &o, &p), E_BUDGET,
                 "rule 'program_slots': the plan needs 7 programs, a process holds 6");
    caps.programs_max = 7;
    assert_ok(plan_build(m.g, &caps, &o, &p));
    plan_free(p);
    ir_free(m.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_equal_the_oracles),
        cmocka_unit_test(long_vocabularies_are_cut),
        cmocka_unit_test(odd_sizes_are_right),
        cmocka_unit_test(queries_may_be_in_tiles),
        cmocka_unit_test(equal_layers_share_their_programs),
        cmocka_unit_test(every_chip_takes_its_plan),
        cmocka_unit_test(norms_are_right_from_tiny_to_large_values),
        cmocka_unit_test(a_plan_beyond_the_memory_limit_is_refused),
        cmocka_unit_test(a_plan_is_told_in_words_and_in_json),
        cmocka_unit_test(baked_plans_need_no_values_and_say_what_they_compile),
        cmocka_unit_test(resident_plans_update_on_the_engine),
        cmocka_unit_test(what_the_host_sums_cannot_stay),
        cmocka_unit_test(a_plan_no_process_can_hold_is_refused),
    };
    return cmocka_run_group_tests_name("plan_train", tests, NULL, NULL);
}
