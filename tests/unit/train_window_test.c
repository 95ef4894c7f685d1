/* train_window_test.c - training with exponent windows on the engine's own
 * arithmetic: nearly no product is dropped, the loss follows that of fp32, and
 * factors survive a stop to the bit, tensors of zeros, and infinities. */
#include <jansson.h>
#include "base/rng.h"
#include "trainings.h"
#include "train/internal.h"

typedef struct {
    training t;
    long fail_memory; /* which allocation of a training fails; 0 = none */
} bench;

static int setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    training_make(&b->t, 20);
    b->t.job.options.checkpoint_every = 5;
    b->t.job.options.keep = 2;
    b->t.job.model.dim = 64;
    b->t.job.model.hidden = 128;
    b->t.job.plan.window = PLAN_WINDOW_ON;
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

static rc train(bench *b, const char *uri, train_result *out)
{
    train_job job = b->t.job;
    str_clear(&b->t.said);
    assert_ok(kern_open(2, NULL, &job.k));
    assert_ok(dev_open(uri, job.k, &job.dev));
    mem_fail_at(b->fail_memory);
    rc r = train_run(&job, out);
    mem_fail_at(0);
    dev_close(job.dev);
    kern_close(job.k);
    return r;
}

/* ---- what it is for ---- */
/* Products dropped in the last step that was said: its first number of that name. */
static double dropped(const bench *b)
{
    double last = 0;
    for (const char *p = b->t.said.p; (p = strstr(p, "\"kind\":\"step\"")) != NULL; p++) {
        const char *at = strstr(p, "\"dropped\":"), *end = strchr(p, '\n');
        if (at && (!end || at < end)) last = atof(at + strlen("\"dropped\":"));
    }
    return last;
}

static double held_out(bench *b, const char *uri, bool window, double *n_dropped)
{
    train_result r;
    b->t.job.plan.window = window ? PLAN_WINDOW_ON : PLAN_WINDOW_OFF;
    b->t.job.anew = true;
    assert_ok(train(b, uri, &r));
    *n_dropped = dropped(b);
    return r.held_out;
}

/* No loss scale: what the dynamic one hides. Of 12.7 million products a step (two
 * layers of 64 wide: 98k weights * 64 columns, forward and back, and attention;
 * weight gradients are the host's) the engine drops nearly a quarter without
 * windows. */
static void few_products_are_dropped_and_the_loss_is_that_of_fp32(void **state)
{
    bench *b = *state;
    double none, without, with;
    b->t.job.options.scale_dynamic = false;
    b->t.job.options.loss_scale = 1;
    double wide = held_out(b, "emu:m4,wide", false, &none);
    double off = held_out(b, "emu:m4,exact,count", false, &without);
    double on = held_out(b, "emu:m4,exact,count", true, &with);
    print_message("held out: fp32 %.5f, exact %.5f, exact with windows %.5f; dropped in "
                  "the last step: %.0f, %.0f\n",
                  wide, off, on, without, with);
    assert_true(none == 0 && without > 1e6);
    assert_true(with < without / 20);
    assert_true(fabs(on - wide) < fabs(off - wide) / 4);
}

/* The `step` events of a training of one update; the sum of `key` over `counts`,
 * which must be what the event says of all. */
static double counted(bench *b, int accum, const char *key)
{
    train_result r;
    json_t *o = NULL, *row;
    size_t i;
    double sum = 0;
    b->t.job.options.steps = 1;
    b->t.job.options.accum = accum;
    b->t.job.anew = true;
    assert_ok(train(b, "emu:m4,exact,count", &r));
    const char *at = strstr(b->t.said.p, "\"kind\":\"step\"");
    assert_non_null(at);
    while (at > b->t.said.p && at[-1] != '\n') at--;
    o = json_loads(at, JSON_DISABLE_EOF_CHECK, NULL);
    json_array_foreach(json_object_get(o, "counts"), i, row)
        sum += json_number_value(json_object_get(row, key));
    assert_true(i > 20 && sum == json_number_value(json_object_get(o, key)));
    json_decref(o);
    return sum;
}

/* A zero of fp16 here and there is all that two batches differ by. For how many
 * there are see above. */
static void kinds_of_products_add_up_over_micro_batches(void **state)
{
    bench *b = *state;
    b->t.job.plan.window = PLAN_WINDOW_OFF;
    double one = counted(b, 1, "products"), two = counted(b, 2, "products");
    assert_true(one > 12e6 && one < 14e6 && fabs(two - 2 * one) < 0.02 * one);
    assert_true(counted(b, 2, "dropped") > 1e5);
    assert_true(counted(b, 1, "saturated") == 0);
}

/* ---- state ---- */
static char *saved_window(const bench *b, arena *mem, int step)
{
    char *text;
    assert_ok(checkpoint_window(mem, checkpoint_dir(mem, b->t.run, step), &text));
    assert_non_null(text);
    return text;
}

static model *saved_model(const bench *b, arena *mem, int step)
{
    model_config c;
    model *mo;
    char *dir = checkpoint_dir(mem, b->t.run, step);
    assert_ok(model_config_load(dir, &c));
    assert_ok(model_new(&c, &mo));
    assert_ok(model_load_weights(mo, dir));
    return mo;
}

static void stopping_and_going_on_changes_no_bit(void **state)
{
    bench *b = *state;
    const char *chips[] = {"emu:m4", "emu:m4,exact"};
    b->t.job.options.accum = 2;
    for (size_t c = 0; c < COUNT_OF(chips); c++) {
        train_result r;
        arena *mem = arena_new();
        b->t.job.anew = true;
        assert_ok(train(b, chips[c], &r));
        model *want = saved_model(b, mem, 20);
        char *factors = saved_window(b, mem, 20);
        assert_text_has(b->t.said.p, "\"kind\":\"window\"");
        b->t.job.stop_after = 10;
        assert_ok(train(b, chips[c], &r));
        assert_int_equal(r.step, 10);
        b->t.job.stop_after = 0;
        b->t.job.anew = false;
        assert_ok(train(b, chips[c], &r));
        model *had = saved_model(b, mem, 20);
        assert_memory_equal(had->weights, want->weights, want->n_floats * sizeof(float));
        assert_string_equal(saved_window(b, mem, 20), factors);
        model_free(want);
        model_free(had);
        arena_free(mem);
    }
}

static void memory_that_runs_out_ends_a_run_with_its_name(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.options.steps = 1000;
    b->t.job.stop_after = 1;
    assert_ok(train(b, "emu:m4", &r));
    for (long n = 1; n < 20000; n += 1 + n / 8) {
        b->fail_memory = n;
        rc bad = train(b, "emu:m4", &r);
        if (bad != OK) assert_int_equal(bad, E_MEMORY);
    }
    b->fail_memory = 0;
    assert_ok(train(b, "emu:m4", &r));
}

/* A run may go on with windows, or without. */
static void turning_windows_on_or_off_is_told(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.stop_after = 5;
    assert_ok(train(b, "emu:m4", &r));
    b->t.job.plan.window = PLAN_WINDOW_OFF;
    assert_ok(train(b, "emu:m4", &r));
    assert_text_has(b->t.said.p, "plan.window was on and is now off");
    b->t.job.plan.window = PLAN_WINDOW_ON;
    assert_ok(train(b, "emu:m4", &r));
    assert_text_has(b->t.said.p, "plan.window was off and is now on");
}

/* ---- steps by hand ---- */
typedef struct {
    model *mo;
    kern *k;
    device *d;
    session s;
    train_window *w;
    float *grads;
    int32_t ids[64], targets[64];
} hand;

static hand hand_open(const char *uri)
{
    hand h = {0};
    model_config c = {.layers = 1,
                      .dim = 64,
                      .heads = 4,
                      .kv_heads = 4,
                      .hidden = 96,
                      .seq = 32,
                      .vocab = 96,
                      .tied = true};
    assert_ok(kern_open(2, NULL, &h.k));
    assert_ok(dev_open(uri, h.k, &h.d));
    assert_ok(model_config_finish(&c));
    assert_ok(model_new(&c, &h.mo));
    model_init(h.mo, 1);
    h.grads = calloc(h.mo->n_floats, sizeof *h.grads);
    for (size_t i = 0; i < COUNT_OF(h.ids); i++) {
        h.ids[i] = (int32_t)rng_below(1, 1, i, 96);
        h.targets[i] = (int32_t)rng_below(1, 2, i, 96);
    }
    return h;
}

static void hand_start(hand *h)
{
    assert_ok(session_open(h->mo, MODEL_GRAD, 2, 32,
                           &(plan_options){.window = PLAN_WINDOW_ON}, h->d, h->k,
                           h->grads, &h->s));
    assert_ok(window_new(h->s.plan, &h->w));
    assert_ok(exec_window(h->s.exec, window_factors(h->w), true));
}

static void hand_close(hand *h)
{
    window_free(h->w);
    session_close(&h->s);
    model_free(h->mo);
    dev_close(h->d);
    kern_close(h->k);
    free(h->grads);
}

/* One step, as a run makes it; true: an infinity came of a factor. */
static bool hand_step(hand *h, double scale, bool *finite, window_moves *m)
{
    exec_stats stats;
    double loss;
    memset(h->grads, 0, h->mo->n_floats * sizeof *h->grads);
    assert_ok(session_step(&h->s, h->ids, h->targets, scale, &loss, &stats));
    assert_ok(window_watch(h->w, h->s.exec));
    *finite = isfinite(kern_sum_squares(h->k, h->mo->n_floats, h->grads)) &&
              !stats.infinities;
    bool ours = window_after(h->w, !*finite, stats.first_infinity, h->mo, h->k, m);
    assert_ok(exec_window(h->s.exec, window_factors(h->w), true));
    return ours;
}

/* Nothing to see of a tensor of zeros: its factors rise to a limit, and the
 * rest is as it would be. */
static void tensors_of_zeros_do_no_harm(void **state)
{
    (void)state;
    hand h = hand_open("emu:m4,exact");
    window_moves m;
    bool finite;
    for (int i = 0; i < h.mo->n_params; i++)
        if (strstr(h.mo->params[i].name, "o_proj") ||
            strstr(h.mo->params[i].name, "down_proj"))
            memset(h.mo->weights + h.mo->params[i].offset, 0,
                   h.mo->params[i].count * sizeof(float));
    hand_start(&h);
    for (int i = 0; i < 100; i++) {
        hand_step(&h, 1024, &finite, &m);
        assert_true(finite);
    }
    for (int i = 0; i < h.s.plan->window->n_factors; i++)
        assert_in_range(window_factors(h.w)[i] + 40, 0, 80);
    hand_close(&h);
}

/* Factors that are far too large, as after a sudden jump of the numbers: each
 * infinity makes those behind it step back, until there is none. */
static void infinities_of_factors_make_them_step_back(void **state)
{
    (void)state;
    hand h = hand_open("emu:m4,exact");
    window_moves m;
    bool finite = false;
    str text = {0};
    hand_start(&h);
    str_add(&text, "{\"good\":0,\"high\":{},\"factors\":{");
    for (int i = 0; i < h.s.plan->window->n_factors; i++) {
        const plan_factor *f = &h.s.plan->window->factors[i];
        bool up = f->param && strstr(f->param, "_proj");
        str_addf(&text, "%s\"%s\":%d", i ? "," : "", f->name, up ? 15 : 0);
    }
    str_add(&text, "}}");
    assert_ok(window_load(h.w, text.p));
    assert_ok(exec_window(h.s.exec, window_factors(h.w), true));
    int tries = 0;
    for (; !finite && tries < 16; tries++) {
        bool ours = hand_step(&h, 1024, &finite, &m);
        assert_true(ours == !finite);
    }
    assert_true(finite && tries > 1);
    str_free(&text);
    hand_close(&h);
}

/* The array reads an infinite operand as 65536, so products do not tell of it: what
 * is multiplied is watched itself. */
static void operands_stay_in_fp16(void **state)
{
    (void)state;
    hand h = hand_open("emu:m4,exact");
    window_moves m;
    bool finite = false;
    str text = {0};
    hand_start(&h);
    const plan_window *w = h.s.plan->window;
    bool *on = calloc((size_t)w->n_factors + 1, sizeof *on);
    float *peaks = calloc((size_t)w->n_sites + 1, sizeof *peaks);
    int operands = 0, tries = 0;
    for (int i = 0; i < w->n_sites; i++)
        if (w->sites[i].operand) on[w->sites[i].factor] = true;
    str_add(&text, "{\"good\":0,\"high\":{},\"factors\":{");
    for (int i = 0; i < w->n_factors; i++)
        str_addf(&text, "%s\"%s\":%d", i ? "," : "", w->factors[i].name, on[i] ? 15 : 0);
    str_add(&text, "}}");
    assert_ok(window_load(h.w, text.p));
    assert_ok(exec_window(h.s.exec, window_factors(h.w), true));
    while (!finite && tries++ < 16) hand_step(&h, 1 << 14, &finite, &m);
    assert_true(finite && tries > 1);
    hand_step(&h, 1 << 14, &finite, &m); /* what is near the end is lowered by now */
    assert_true(finite);
    assert_ok(exec_peaks(h.s.exec, peaks));
    for (int i = 0; i < w->n_sites; i++) {
        if (!w->sites[i].operand || !w->sites[i].peaks) continue;
        assert_true(peaks[i] < 32768);
        operands++;
    }
    assert_true(operands > 3);
    free(on);
    free(peaks);
    str_free(&text);
    hand_close(&h);
}

/* How many factors that stepped back in this scope are saved with the ceiling they
 * stepped back to. */
static int ceilings_saved(const char *saved, const plan_window *w, const int *was)
{
    json_t *all = json_loads(saved, 0, NULL), *most = json_object_get(all, "most"), *k;
    int n = 0;
    for (int v = 0; v < w->n_factors; v++) {
        const char *name = w->factors[v].name;
        if (strncmp(name, "layer.0 backward/", 17) != 0 || was[v] <= 0) continue;
        k = json_object_get(most, name);
        n += json_is_integer(k) && json_integer_value(k) == was[v] - 4;
    }
    json_decref(all);
    return n;
}

/* An infinity that no product saw: all of its scope steps back, and stays below a
 * ceiling that a resumed run has too. */
static void an_infinity_between_products_lowers_its_scope(void **state)
{
    (void)state;
    hand h = hand_open("emu:m4,exact");
    window_moves m;
    bool finite;
    const char *saved;
    hand_start(&h);
    for (int i = 0; i < 3; i++) hand_step(&h, 1, &finite, &m);
    const plan_window *w = h.s.plan->window;
    int *was = calloc((size_t)w->n_factors + 1, sizeof *was), back = 0;
    memcpy(was, window_factors(h.w), (size_t)w->n_factors * sizeof *was);
    assert_true(window_after(h.w, true, "layer.0 backward", h.mo, h.k, &m));
    assert_null(m.burst);
    for (int v = 0; v < w->n_factors; v++) {
        int k = window_factors(h.w)[v];
        if (strncmp(w->factors[v].name, "layer.0 backward/", 17) != 0 || was[v] <= 0)
            continue;
        assert_int_equal(k, was[v] - 4);
        back++;
    }
    assert_true(back > 3);
    assert_ok(window_save(h.w, &saved));
    assert_text_has(saved, "\"lost\":true");
    assert_int_equal(ceilings_saved(saved, w, was), back);
    char *text = strdup(saved);
    assert_ok(window_load(h.w, text));
    assert_ok(window_save(h.w, &saved));
    assert_string_equal(saved, text);
    assert_ok(exec_window(h.s.exec, window_factors(h.w), true));
    for (int i = 0; i < 17; i++) hand_step(&h, 1, &finite, &m); /* a period */
    for (int v = 0; v < w->n_factors; v++)
        if (strncmp(w->factors[v].name, "layer.0 backward/", 17) == 0 && was[v] > 0)
            assert_true(window_factors(h.w)[v] <= was[v] - 4 + 1);
    free(text);
    free(was);
    hand_close(&h);
}

/* Gradients beyond fp16 whatever the factors: the loss scale's to mend. */
static void infinities_of_the_numbers_are_left_to_the_loss_scale(void **state)
{
    (void)state;
    hand h = hand_open("emu:m4,exact");
    window_moves m;
    bool finite;
    hand_start(&h);
    assert_false(hand_step(&h, 1e9, &finite, &m)); /* all factors are 0 */
    assert_false(finite);
    hand_close(&h);
}

static void malformed_factors_are_refused(void **state)
{
    (void)state;
    hand h = hand_open("emu:m4");
    hand_start(&h);
    const char *bad[] = {"", "[]", "{\"good\":1,\"factors\":[],\"high\":{}}",
                         "{\"good\":1,\"factors\":{\"loss\":1e9},\"high\":{}}",
                         "{\"good\":1,\"factors\":{\"loss\":\"a\"},\"high\":{}}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_fails(window_load(h.w, bad[i]), E_FORMAT, "window");
    hand_close(&h);
}

#define BENCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH(few_products_are_dropped_and_the_loss_is_that_of_fp32),
        BENCH(kinds_of_products_add_up_over_micro_batches),
        BENCH(stopping_and_going_on_changes_no_bit),
        BENCH(memory_that_runs_out_ends_a_run_with_its_name),
        BENCH(turning_windows_on_or_off_is_told),
        cmocka_unit_test(tensors_of_zeros_do_no_harm),
        cmocka_unit_test(infinities_of_factors_make_them_step_back),
        cmocka_unit_test(operands_stay_in_fp16),
        cmocka_unit_test(an_infinity_between_products_lowers_its_scope),
        cmocka_unit_test(infinities_of_the_numbers_are_left_to_the_loss_scale),
        cmocka_unit_test(malformed_factors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
