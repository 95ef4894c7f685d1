/* Weight policies: whatever way weights reach the engine, a run learns the same,
 * ends in the same bits when it was stopped on the way, and what cannot be is
 * refused before it begins. */
#include "trainings.h"

typedef struct {
    training t;
    const char *uri;
} bench;

static int setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    training_make(&b->t, 10);
    b->uri = "emu:m4,compiles=none";
    b->t.job.options.eval_every = 4;
    b->t.job.options.eval_windows = 5;
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    training_drop(&b->t);
    free(b);
    return 0;
}

static rc train(bench *b, train_result *out)
{
    train_job job = b->t.job;
    assert_ok(kern_open(2, NULL, &job.k));
    assert_ok(dev_open(b->uri, job.k, &job.dev));
    rc r = train_run(&job, out);
    dev_close(job.dev);
    kern_close(job.k);
    return r;
}

/* From the beginning to the end in one process. */
static loaded straight(bench *b)
{
    train_result r;
    if (file_exists(b->t.run)) assert_ok(file_remove_tree(b->t.run));
    assert_ok(train(b, &r));
    assert_true(r.finished);
    return load_step(&b->t, b->t.job.options.steps);
}

/* ---- baked ---- */
/* A constant and an input are the same numbers, and a layer's program adds up in
 * the same order: the bits of the streamed run. */
static void baked_weights_train_as_streamed_ones(void **state)
{
    bench *b = *state;
    loaded streamed = straight(b);
    b->t.job.plan.weights = PLAN_BAKED;
    loaded baked = straight(b);
    expect_same_bits(&streamed, &baked);
    assert_string_equal(streamed.s.weights, "");
    assert_string_equal(baked.s.weights, "baked");
    unload_step(&streamed);
    unload_step(&baked);
}

/* One set of programs serves plan.bake_every passes, whose gradients make one
 * update: the numbers of train.accum. */
static void and_so_they_do_on_the_chips_accumulator(void **state)
{
    bench *b = *state;
    b->uri = "emu:m4,exact,count,compiles=none";
    b->t.job.options.steps = 4;
    b->t.job.plan.window = PLAN_WINDOW_OFF;
    baked_weights_train_as_streamed_ones(state);
}

static void baking_less_often_is_accumulation(void **state)
{
    bench *b = *state;
    b->t.job.options.accum = 6;
    loaded streamed = straight(b);
    b->t.job.plan = (plan_options){.weights = PLAN_BAKED, .bake_every = 3};
    b->t.job.options.accum = 2;
    loaded baked = straight(b);
    expect_same_bits(&streamed, &baked);
    assert_int_equal(baked.s.accum, 6);
    /* 6 programs: forward and backward of two layers and of the head */
    assert_text_has(b->t.said.p, "\"compiles_per_update\":6");
    unload_step(&streamed);
    unload_step(&baked);
}

/* Every process compiles as much as the budget allows, saves, and the next goes
 * on; 2 programs evaluate, 6 train: 4 updates' worth in 26. */
static void a_budget_that_runs_out_costs_no_bits(void **state)
{
    bench *b = *state;
    b->t.job.plan.weights = PLAN_BAKED;
    loaded whole = straight(b);
    assert_ok(file_remove_tree(b->t.run));
    b->uri = "emu:m4,compiles=26";
    train_result r;
    rc e;
    int processes = 0;
    for (int64_t last = 0; (e = train(b, &r)) == E_BUDGET; last = r.step) {
        assert_int_equal(r.step, last + 4);
        assert_text_has(err_text(), "compile budget");
        assert_text_has(err_text(), "is saved");
        processes++;
    }
    assert_ok(e);
    assert_int_equal(processes, 2);
    loaded parts = load_step(&b->t, 10);
    expect_same_bits(&whole, &parts);
    unload_step(&whole);
    unload_step(&parts);
}

static void stopping_and_going_on_costs_no_bits(void **state)
{
    bench *b = *state;
    b->t.job.plan.weights = PLAN_BAKED;
    loaded whole = straight(b);
    assert_ok(file_remove_tree(b->t.run));
    train_result r;
    for (int i = 0; i < 3; i++) {
        b->t.job.stop_after = 4;
        assert_ok(train(b, &r));
    }
    loaded parts = load_step(&b->t, 10);
    expect_same_bits(&whole, &parts);
    unload_step(&whole);
    unload_step(&parts);
}

/* The masters are fp32 under either policy, so a run may change it on the way. */
static void a_run_may_change_its_policy(void **state)
{
    bench *b = *state;
    loaded whole = straight(b);
    assert_ok(file_remove_tree(b->t.run));
    train_result r;
    b->t.job.stop_after = 5;
    assert_ok(train(b, &r));
    b->t.job.plan.weights = PLAN_BAKED;
    assert_ok(train(b, &r));
    assert_text_has(b->t.said.p, "plan.weights was streamed and is now baked");
    loaded parts = load_step(&b->t, 10);
    expect_same_bits(&whole, &parts);
    unload_step(&whole);
    unload_step(&parts);
}

/* ---- refused before anything is written ---- */
static void what_cannot_be_is_refused_before_it_begins(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.plan = (plan_options){.weights = PLAN_BAKED, .bake_every = 11};
    assert_fails(train(b, &r), E_CONFIG, "plan.bake_every is 11, more than the 10");
    b->t.job.plan.bake_every = -1;
    assert_fails(train(b, &r), E_CONFIG, "plan.bake_every is -1");
    b->t.job.plan.bake_every = 1;
    b->uri = "emu:m4,compiles=5";
    assert_fails(train(b, &r), E_BUDGET, "rule 'compile_budget'");
    assert_text_has(err_text(), "model.embed_tokens.weight");
    assert_text_has(err_text(), "plan.weights=streamed");
    b->uri = "emu:m4,compiles=7"; /* training fits, evaluating does not */
    assert_fails(train(b, &r), E_BUDGET, "6 programs to train and 2 to evaluate");
    assert_false(file_exists(b->t.run));
}

static void other_passes_an_update_are_refused_on_going_on(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.plan = (plan_options){.weights = PLAN_BAKED, .bake_every = 2};
    b->t.job.stop_after = 1;
    assert_ok(train(b, &r));
    b->t.job.plan.bake_every = 3;
    assert_fails(train(b, &r), E_CONFIG, "plan.bake_every was 2 and is now 3");
}

int main(void)
{
#define RUN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        RUN(baked_weights_train_as_streamed_ones),
        RUN(and_so_they_do_on_the_chips_accumulator),
        RUN(baking_less_often_is_accumulation),
        RUN(a_budget_that_runs_out_costs_no_bits),
        RUN(stopping_and_going_on_costs_no_bits),
        RUN(a_run_may_change_its_policy),
        RUN(what_cannot_be_is_refused_before_it_begins),
        RUN(other_passes_an_update_are_refused_on_going_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
