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

/* Frees what the straight run left. */
static void expect_the_same_end(bench *b, loaded *whole)
{
    loaded parts = load_step(&b->t, 10);
    expect_same_bits(whole, &parts);
    unload_step(whole);
    unload_step(&parts);
}

static void in_three_parts(bench *b)
{
    loaded whole = straight(b);
    assert_ok(file_remove_tree(b->t.run));
    train_result r;
    for (int i = 0; i < 3; i++) {
        b->t.job.stop_after = 4;
        assert_ok(train(b, &r));
    }
    expect_the_same_end(b, &whole);
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
    expect_the_same_end(b, &whole);
}

static void stopping_and_going_on_costs_no_bits(void **state)
{
    bench *b = *state;
    b->t.job.plan.weights = PLAN_BAKED;
    in_three_parts(b);
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
    expect_the_same_end(b, &whole);
}

/* ---- resident ---- */
/* AdamW in fp16 against fp32, from the same weights: the first update moves each
 * by lr, times a number whose size is rounded eight times in a row, each by 2^-11
 * at most. Gradients that fp16 holds badly (below 2^-14 on the surface, 6e-8 in
 * truth) move by more or less than they should: few, and by 2 lr at most. */
static void one_update_is_the_hosts(bench *b)
{
    const double lr = 1e-3;
    b->t.job.options.steps = 1;
    b->t.job.options.lr = lr;
    b->t.job.options.warmup = 0;
    b->t.job.plan.weights = PLAN_STREAMED;
    loaded streamed = straight(b);
    b->t.job.plan.weights = PLAN_RESIDENT;
    loaded resident = straight(b);
    assert_string_equal(resident.s.weights, "resident");
    size_t n = streamed.mo->n_floats, far = 0;
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        double d = ((double)resident.mo->weights[i] - streamed.mo->weights[i]) / lr;
        squares += d * d;
        far += fabs(d) > 8 * 0x1p-11;
        assert_true(fabs(d) < 2.01);
    }
    assert_true(squares > 0 && sqrt(squares / (double)n) < 0.002);
    assert_true(far < n / 1000);
    unload_step(&streamed);
    unload_step(&resident);
}

static void adamw_on_the_engine_is_the_hosts_to_half_a_percent(void **state)
{
    one_update_is_the_hosts(*state);
}

/* The classifier stays on the engine, or with the host if it is the embedding. */
static void with_a_classifier_of_its_own_too(void **state)
{
    bench *b = *state;
    b->t.job.model.tied = false;
    one_update_is_the_hosts(b);
}

/* Matrices move by up to a third of lr more; gains of 1 would by ten lr. */
static void matrices_decay_there_and_gains_do_not(void **state)
{
    bench *b = *state;
    b->t.job.options.weight_decay = 10;
    one_update_is_the_hosts(b);
}

/* Moments are what the clipped gradient makes of them: the first is (1 - b1) of it,
 * rounded four times in fp16. */
static void the_clip_reaches_the_engine(void **state)
{
    bench *b = *state;
    double sum[2] = {0};
    b->t.job.options.steps = 1;
    for (int clipped = 0; clipped < 2; clipped++) {
        b->t.job.options.clip = clipped ? 0.01 : 0;
        b->t.job.plan.weights = PLAN_STREAMED;
        loaded streamed = straight(b);
        b->t.job.plan.weights = PLAN_RESIDENT;
        loaded resident = straight(b);
        double squares = 0;
        for (size_t i = 0; i < streamed.mo->n_floats; i++) {
            double d = (double)resident.m[i] - streamed.m[i];
            squares += d * d;
            sum[clipped] += (double)resident.m[i] * resident.m[i];
        }
        assert_true(sqrt(squares) < 4 * 0x1p-11 * sqrt(sum[clipped]));
        unload_step(&streamed);
        unload_step(&resident);
    }
    assert_near(sqrt(sum[1]), 0.01 * 0.1, 1e-5); /* the norm is the clip's */
    assert_true(sum[0] > 4 * sum[1]);
}

/* Train a model one weight of which is `times` what it would be, with the largest
 * loss scale. */
static void begin_with(bench *b, const char *name, float times, char dir[600])
{
    b->t.job.model.tied = false;
    b->t.job.options.steps = 1;
    loaded l = straight(b);
    const model_param *p = model_find(l.mo, name);
    for (size_t i = 0; i < p->count; i++) l.mo->weights[p->offset + i] *= times;
    snprintf(dir, 600, "%s/init", b->t.root);
    assert_ok(file_make_dirs(dir));
    assert_ok(model_save(l.mo, dir));
    unload_step(&l);
    b->t.job.init_dir = dir;
    b->t.job.options.steps = 10;
    b->t.job.options.loss_scale = 65536;
    str_clear(&b->t.said);
}

/* A gradient that is not finite makes no update there, and the loss scale steps
 * back until they are. The classifier that sees numbers of 64 has one. */
static void infinities_skip_the_update(void **state)
{
    bench *b = *state;
    train_result r;
    char dir[600];
    model_config c;
    model *loud;
    begin_with(b, "model.norm.weight", 64, dir);
    assert_ok(model_config_load(dir, &c));
    assert_ok(model_new(&c, &loud));
    assert_ok(model_load_weights(loud, dir));
    b->t.job.plan.weights = PLAN_RESIDENT;
    assert_ok(file_remove_tree(b->t.run));
    b->t.job.stop_after = 1;
    assert_ok(train(b, &r));
    loaded first = load_step(&b->t, 1);
    assert_int_equal(first.s.updates, 0);
    for (size_t i = 0; i < loud->n_floats; i++) {
        float w = loud->weights[i];
        assert_true(first.m[i] == 0 && first.v[i] == 0);
        /* as it is kept: 22 bits, and no finer than fp16's smallest, 2^-10 of it */
        assert_near(first.mo->weights[i], w, 0x1p-21 * fabs(w) + 0x1p-34);
    }
    b->t.job.stop_after = 0;
    assert_ok(train(b, &r));
    loaded end = load_step(&b->t, 10);
    int overflows = 0;
    const char *at = b->t.said.p;
    while ((at = strstr(at, "\"kind\":\"overflow\""))) overflows++, at++;
    assert_true(overflows > 0 && end.s.updates > 0);
    assert_int_equal(end.s.updates, 10 - overflows);
    assert_true(end.s.loss_scale == ldexp(65536, -overflows));
    assert_true(isfinite(end.s.held_out));
    model_free(loud);
    unload_step(&first);
    unload_step(&end);
}

static void also_those_of_a_loss_on_the_engine(void **state)
{
    bench *b = *state;
    b->t.job.plan.loss = PLAN_LOSS_ENGINE;
    infinities_skip_the_update(state);
}

/* 20 updates of 1e-5 at most: fp16 weights of 1 have steps of 10^-3, so that each
 * would be lost. hi and lo together lose none. */
static void small_updates_are_not_lost(void **state)
{
    bench *b = *state;
    b->t.job.options.steps = 20;
    b->t.job.options.lr = b->t.job.options.min_lr = 1e-5;
    b->t.job.options.warmup = 0;
    loaded streamed = straight(b);
    b->t.job.plan.weights = PLAN_RESIDENT;
    loaded resident = straight(b);
    const float *w = resident.mo->weights, *want = streamed.mo->weights;
    int gains = 0;
    for (int i = 0; i < resident.mo->n_params; i++) {
        const model_param *p = &resident.mo->params[i];
        if (p->decay) continue; /* gains began at 1 */
        for (size_t j = p->offset; j < p->offset + p->count; j++) {
            if (fabsf(want[j] - 1) < 1e-4f) continue;
            assert_near(w[j] - 1, want[j] - 1, 0.02 * fabs(want[j] - 1) + 1e-6);
            gains++;
        }
    }
    assert_true(gains > 20);
    unload_step(&streamed);
    unload_step(&resident);
}

/* Two runs that round otherwise part slowly: after 80 updates the losses agree
 * to a thousandth of what was learned. */
static void train_apart(bench *b, int steps, double tolerance)
{
    b->t.job.options.steps = steps;
    loaded streamed = straight(b);
    b->t.job.plan.weights = PLAN_RESIDENT;
    loaded resident = straight(b);
    assert_true(streamed.s.held_out < 5.0); /* ln 257 is 5.55: it has learned */
    assert_near(resident.s.held_out, streamed.s.held_out, tolerance);
    assert_near(resident.s.loss, streamed.s.loss, 2 * tolerance);
    unload_step(&streamed);
    unload_step(&resident);
}

static void resident_weights_learn_what_streamed_ones_do(void **state)
{
    train_apart(*state, 80, 0.003);
}

/* Rounded otherwise than the host's, by 2^-11 an element; of one another they keep the
 * bits, or what resident weights keep. */
static void so_does_a_loss_on_the_engine_with_weights_of_each_policy(void **state)
{
    bench *b = *state;
    b->t.job.options.steps = 30;
    b->t.job.plan.loss = PLAN_LOSS_HOST;
    loaded host = straight(b);
    b->t.job.plan.loss = PLAN_LOSS_ENGINE;
    loaded streamed = straight(b);
    assert_near(streamed.s.held_out, host.s.held_out, 0.003);
    assert_near(streamed.s.loss, host.s.loss, 0.006);
    assert_true(streamed.s.loss != host.s.loss);
    b->t.job.plan.weights = PLAN_BAKED;
    loaded baked = straight(b);
    expect_same_bits(&streamed, &baked);
    b->t.job.plan.weights = PLAN_STREAMED;
    train_apart(b, 80, 0.003);
    unload_step(&host);
    unload_step(&streamed);
    unload_step(&baked);
}

static void and_on_the_chips_accumulator(void **state)
{
    bench *b = *state;
    b->uri = "emu:m4,exact";
    b->t.job.plan.window = PLAN_WINDOW_OFF;
    train_apart(b, 30, 0.01); /* roots and quotients are the chip's */
}

/* A layer that hardly counts has gradients of 1e-9. The chip divides by the root of
 * their second moment by multiplying with its inverse, which must be finite. */
static void gradients_near_nothing_make_no_infinity(void **state)
{
    bench *b = *state;
    char dir[600];
    begin_with(b, "model.layers.1.mlp.down_proj.weight", 1e-5f, dir);
    b->uri = "emu:m4,exact";
    b->t.job.plan.weights = PLAN_RESIDENT;
    b->t.job.plan.window = PLAN_WINDOW_OFF;
    b->t.job.options.steps = 3;
    b->t.job.options.lr = b->t.job.options.min_lr = 1e-6; /* it stays one */
    loaded l = straight(b);
    const model_param *p = model_find(l.mo, "model.layers.1.mlp.up_proj.weight");
    size_t small = 0;
    for (size_t i = p->offset; i < p->offset + p->count; i++)
        small += l.v[i] > 0 && l.v[i] < 1e-17f; /* its root below 3e-9 */
    assert_true(small > 0);
    for (size_t i = 0; i < l.mo->n_floats; i++) assert_true(isfinite(l.mo->weights[i]));
    assert_int_equal(l.s.updates, 3);
    unload_step(&l);
}

static void state_on_the_engine_is_saved_to_the_bit(void **state)
{
    bench *b = *state;
    b->t.job.plan.weights = PLAN_RESIDENT;
    in_three_parts(b);
}

static void also_on_the_chips_accumulator(void **state)
{
    bench *b = *state;
    b->uri = "emu:m4,exact";
    b->t.job.plan.weights = PLAN_RESIDENT;
    in_three_parts(b);
}

/* Whichever run of a step fails, one that updates too, the state is that of the
 * step before, which is saved. */
static void an_update_that_fails_has_changed_nothing(void **state)
{
    bench *b = *state;
    b->t.job.plan.weights = PLAN_RESIDENT;
    b->t.job.options.eval_every = 0;
    loaded whole = straight(b);
    /* 6 runs make gradients, 3 update: the head and two layers */
    for (int fail = 19; fail < 28; fail++) {
        char uri[64];
        train_result r;
        snprintf(uri, sizeof uri, "emu:m4,compiles=none,fail=%d", fail);
        assert_ok(file_remove_tree(b->t.run));
        b->uri = uri;
        assert_fails(train(b, &r), E_DEVICE, "step 2 is saved");
        b->uri = "emu:m4,compiles=none";
        assert_ok(train(b, &r));
        loaded parts = load_step(&b->t, 10);
        expect_same_bits(&whole, &parts);
        unload_step(&parts);
    }
    unload_step(&whole);
}

static void state_may_leave_the_engine_and_come_back(void **state)
{
    bench *b = *state;
    train_result r;
    static const plan_weights way[] = {PLAN_RESIDENT, PLAN_STREAMED, PLAN_RESIDENT};
    b->t.job.stop_after = 3;
    for (size_t i = 0; i < COUNT_OF(way); i++) {
        b->t.job.plan.weights = way[i];
        assert_ok(train(b, &r));
    }
    assert_text_has(b->t.said.p, "plan.weights was streamed and is now resident");
    assert_int_equal(r.step, 9);
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
    b->uri = "emu:m4";
    b->t.job.plan = (plan_options){.weights = PLAN_RESIDENT};
    b->t.job.options.accum = 4;
    assert_fails(train(b, &r), E_CONFIG, "train.accum is 4, but resident weights");
    b->t.job.options.accum = 1;
    b->t.job.plan.window = PLAN_WINDOW_ON;
    assert_fails(train(b, &r), E_CONFIG, "these stay on the engine");
    b->t.job.plan = (plan_options){.weights = PLAN_RESIDENT, .bake_every = 2};
    assert_fails(train(b, &r), E_CONFIG, "plan.bake_every is 2, but plan.weights is");
    b->t.job.plan.weights = PLAN_STREAMED;
    assert_fails(train(b, &r), E_CONFIG, "plan.weights is streamed");
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
        RUN(adamw_on_the_engine_is_the_hosts_to_half_a_percent),
        RUN(with_a_classifier_of_its_own_too),
        RUN(matrices_decay_there_and_gains_do_not),
        RUN(the_clip_reaches_the_engine),
        RUN(infinities_skip_the_update),
        RUN(also_those_of_a_loss_on_the_engine),
        RUN(small_updates_are_not_lost),
        RUN(resident_weights_learn_what_streamed_ones_do),
        RUN(so_does_a_loss_on_the_engine_with_weights_of_each_policy),
        RUN(and_on_the_chips_accumulator),
        RUN(gradients_near_nothing_make_no_infinity),
        RUN(state_on_the_engine_is_saved_to_the_bit),
        RUN(also_on_the_chips_accumulator),
        RUN(an_update_that_fails_has_changed_nothing),
        RUN(state_may_leave_the_engine_and_come_back),
        RUN(what_cannot_be_is_refused_before_it_begins),
        RUN(other_passes_an_update_are_refused_on_going_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
