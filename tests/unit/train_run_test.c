/* Whole runs on the software engine: a run that was stopped, killed or moved
 * to another number of threads ends in the same bits, and no failure of the
 * disk loses the last checkpoint. */
#include "trainings.h"
#include <signal.h>
#include <sys/wait.h>

typedef struct {
    training t;
    long fail_memory;  /* which allocation of a training fails; 0 = none */
    long fail_run;     /* which run on the device does; 0 = none */
    const char *where; /* NULL: emu:m4 */
} bench;

static int setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    training_make(&b->t, 20);
    b->t.job.options.accum = 2;
    b->t.job.options.eval_every = 8;
    b->t.job.options.checkpoint_every = 5;
    b->t.job.options.keep = 2;
    b->t.job.options.eval_windows = 5;
    b->t.job.model.rope_interleaved = true;
    b->t.job.recipe_text = "model.dim = 32\n";
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

static rc train(bench *b, int threads, train_result *out)
{
    train_job job = b->t.job;
    char uri[40];
    str_clear(&b->t.said);
    snprintf(uri, sizeof uri, "emu:m4,fail=%ld", b->fail_run);
    assert_ok(kern_open(threads, NULL, &job.k));
    assert_ok(dev_open(b->fail_run ? uri
                       : b->where  ? b->where
                                   : "emu:m4",
                       job.k, &job.dev));
    mem_fail_at(b->fail_memory);
    rc r = train_run(&job, out);
    mem_fail_at(0);
    dev_close(job.dev);
    kern_close(job.k);
    return r;
}

static const char *step_dir(const bench *b, int step)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/step-%08d", b->t.run, step);
    return path;
}

static int newest(bench *b)
{
    arena *mem = arena_new();
    int64_t *steps;
    size_t n;
    assert_ok(checkpoint_list(mem, b->t.run, &steps, &n));
    assert_true(n > 0);
    int step = (int)steps[n - 1];
    arena_free(mem);
    return step;
}

static loaded straight(bench *b)
{
    train_result r;
    assert_ok(train(b, 2, &r));
    assert_true(r.finished && !r.stopped && r.step == 20);
    loaded l = load_step(&b->t, 20);
    assert_ok(file_remove_tree(b->t.run));
    return l;
}

static void it_learns_and_says_so(void **state)
{
    bench *b = *state;
    train_result r;
    assert_ok(train(b, 2, &r));
    assert_true(r.held_out < 5.0 && r.nats_per_byte > 0); /* ln 257 is 5.55 */
    static const char *const parts[] = {
        "\"kind\":\"start\"",  "\"kind\":\"step\",\"step\":1,\"loss\":",
        "\"scale\":1024",      "\"tok_s\":",
        "\"kind\":\"eval\"",   "\"nats_per_byte\":",
        "\"kind\":\"done\"",   "\"kind\":\"checkpoint\"",
        "\"device\":\"emu:m4", "\"launches\":"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) assert_text_has(b->t.said.p, parts[i]);
    arena *mem = arena_new();
    char *text;
    size_t n;
    char path[600];
    snprintf(path, sizeof path, "%s/events.jsonl", b->t.run);
    assert_ok(file_read(mem, path, 0, &text, &n));
    assert_string_equal(text, b->t.said.p);
    int64_t *steps;
    assert_ok(checkpoint_list(mem, b->t.run, &steps, &n));
    assert_true(n >= 2 && steps[n - 1] == 20 && steps[n - 2] == 15);
    train_state last; /* the last evaluation is the last checkpoint's */
    assert_ok(checkpoint_verify(step_dir(b, 20), &last));
    assert_true(last.held_out_step == 20 && last.held_out == r.held_out);
    assert_true(last.best_held_out <= last.held_out);
    arena_free(mem);
    /* once more: nothing left to do */
    assert_ok(train(b, 2, &r));
    assert_true(r.finished && r.step == 20 && r.held_out < 5.0);
    assert_null(strstr(b->t.said.p, "\"kind\":\"step\""));
}

typedef struct {
    int64_t step;
    uint64_t done, of, most;
} told;

static void how_far(void *ctx, int64_t step, uint64_t done, uint64_t of)
{
    told *t = ctx;
    if (step == t->step) assert_true(done > t->done && of == t->of);
    assert_true(done <= of);
    *t = (told){step, done, of, of > t->most ? of : t->most};
}

/* Nothing that happens is told of an evaluation before its number; how far it is, is. */
static void evaluations_tell_how_far_they_are(void **state)
{
    bench *b = *state;
    train_result r;
    told t = {.step = -1};
    b->t.job.progress = (train_progress){how_far, &t};
    assert_ok(train(b, 2, &r));
    assert_int_equal(t.step, 20);
    assert_true(t.done == t.of);
    assert_true(t.of == t.most && t.of > 5); /* the last: all windows */
}

static void stopping_and_going_on_changes_no_bit(void **state)
{
    bench *b = *state;
    train_result r;
    loaded want = straight(b);
    b->t.job.stop_after = 10;
    assert_ok(train(b, 2, &r));
    assert_true(r.stopped && r.step == 10);
    b->t.job.stop_after = 0;
    assert_ok(train(b, 1, &r)); /* and with another number of threads */
    assert_text_has(b->t.said.p, "\"kind\":\"restart\"");
    assert_text_has(b->t.said.p, "device.threads was 2 and is now 1");
    loaded had = load_step(&b->t, 20);
    expect_same_bits(&want, &had);
    unload_step(&want);
    unload_step(&had);
}

/* Kill the process after it has said its line for `step`. */
static void die_at(void *ctx, const char *line, size_t n)
{
    if (strstr(line, ctx)) kill(getpid(), SIGKILL);
}

static void a_killed_run_goes_on_from_its_last_checkpoint(void **state)
{
    bench *b = *state;
    train_result r;
    int status;
    loaded want = straight(b);
    pid_t child = fork();
    if (child == 0) {
        b->t.job.sink = (event_sink){die_at, (void *)(uintptr_t) "\"step\":13,\"loss\""};
        train(b, 2, &r);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    /* it may have died while it wrote a line or a checkpoint */
    char path[600];
    snprintf(path, sizeof path, "%s/events.jsonl", b->t.run);
    FILE *f = fopen(path, "ab");
    fputs("{\"t\":1.2,\"ki", f);
    fclose(f);
    snprintf(path, sizeof path, "%s/.new-00000015", b->t.run);
    assert_ok(file_make_dirs(path));
    assert_ok(train(b, 2, &r));
    assert_text_has(b->t.said.p, "step-00000010");
    assert_false(file_exists(path));
    loaded had = load_step(&b->t, 20);
    expect_same_bits(&want, &had);
    unload_step(&want);
    unload_step(&had);
}

static void a_damaged_checkpoint_is_passed_over(void **state)
{
    bench *b = *state;
    train_result r;
    char path[700];
    b->t.job.stop_after = 10;
    assert_ok(train(b, 2, &r));
    snprintf(path, sizeof path, "%s/optim.safetensors", step_dir(b, 10));
    assert_int_equal(truncate(path, 1000), 0);
    b->t.job.stop_after = 1;
    assert_ok(train(b, 2, &r));
    assert_int_equal(r.step, 6);
    assert_text_has(b->t.said.p, "step-00000010 cannot be used: ");
    static const int all[] = {5, 6, 10};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        snprintf(path, sizeof path, "%s/state.json", step_dir(b, all[i]));
        assert_int_equal(truncate(path, 100), 0);
    }
    assert_fails(train(b, 2, &r), E_FORMAT, "is whole");
}

static void a_disk_that_fails_loses_nothing(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.options.steps = 6;
    b->t.job.options.eval_every = 0;
    b->t.job.options.checkpoint_every = 3;
    b->t.job.stop_after = 3;
    assert_ok(train(b, 2, &r));
    b->t.job.stop_after = 0;
    rc bad = E_IO;
    long n = 0;
    for (; bad != OK; n++) {
        assert_true(n < 400);
        file_fail_at(n + 1);
        bad = train(b, 2, &r);
        file_fail_at(0);
        assert_true(bad == OK || bad == E_IO);
        loaded l = load_step(&b->t, newest(b));
        unload_step(&l);
    }
    assert_true(n > 10);
    assert_true(r.finished);
}

static void memory_that_runs_out_loses_nothing(void **state)
{
    bench *b = *state;
    train_result r;
    int failed = 0;
    b->t.job.options.steps = 1000;
    b->t.job.options.eval_every = 2;
    b->t.job.stop_after = 2;
    assert_ok(train(b, 2, &r));
    /* the first pieces one by one, then ever fewer of the thousands */
    for (long n = 1; n < 20000; n += 1 + n / 16) {
        b->fail_memory = n;
        rc bad = train(b, 2, &r);
        if (bad != OK) assert_int_equal(bad, E_MEMORY);
        failed += bad != OK;
        loaded l = load_step(&b->t, newest(b));
        unload_step(&l);
    }
    assert_true(failed > 50);
    b->fail_memory = 0;
    assert_ok(train(b, 2, &r));
}

/* In a forward pass, a backward pass, an evaluation, the last evaluation: the
 * masters are the host's, so the last whole step is there and goes on. */
static void a_device_that_fails_loses_no_step(void **state)
{
    bench *b = *state;
    train_result r;
    loaded want = straight(b);
    rc bad = E_DEVICE;
    int unsaved = 0, at_the_end = 0;
    b->t.job.options.checkpoint_every = 0;
    for (b->fail_run = 3; bad != OK; b->fail_run += 29) {
        assert_true(b->fail_run < 5000);
        bad = train(b, 2, &r);
        if (bad == OK) break;
        assert_int_equal(bad, E_DEVICE);
        assert_text_has(b->t.said.p, "\"kind\":\"failed\"");
        if (r.step) {
            assert_int_equal(newest(b), r.step);
            assert_text_has(err_text(), "is saved; the same command goes on");
        }
        unsaved += !r.step;
        at_the_end += r.step == 20;
        long n = b->fail_run;
        b->fail_run = 0;
        assert_ok(train(b, 2, &r));
        assert_true(r.finished && isfinite(r.held_out));
        loaded had = load_step(&b->t, 20);
        expect_same_bits(&want, &had);
        unload_step(&had);
        assert_ok(file_remove_tree(b->t.run));
        b->fail_run = n;
    }
    assert_true(unsaved > 0 && at_the_end > 0);
    unload_step(&want);
}

static void what_may_not_change_is_refused_by_name(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.stop_after = 2;
    assert_ok(train(b, 2, &r));
    bench other = *b;
    other.t.said = (str){0};
    other.t.job.sink.ctx = &other.t.said;
    other.t.job.model.dim = 64;
    assert_fails(train(&other, 2, &r), E_CONFIG, "model.dim was 32 and is now 64");
    other.t.job.model.dim = 32, other.t.job.options.batch = 3;
    assert_fails(train(&other, 2, &r), E_CONFIG, "train.batch was 2 and is now 3");
    other.t.job.options.batch = 2, other.t.job.options.seed = 6;
    assert_fails(train(&other, 2, &r), E_CONFIG, "train.seed");
    other.t.job.options.seed = 5, other.t.job.options.lr = 1e-3;
    assert_ok(train(&other, 2, &r));
    assert_text_has(other.t.said.p, "train.lr was 0.003 and is now 0.001");
    other.t.job.model.seq = 30000;
    other.t.job.run_dir = test_path(b->t.data, "none");
    assert_fails(train(&other, 2, &r), E_CONFIG, "one window wants 30001");
    str_free(&other.t.said);
}

static void a_run_in_use_refuses_a_second_training(void **state)
{
    bench *b = *state;
    train_result r;
    file_lock_ lock;
    char path[600];
    assert_ok(file_make_dirs(b->t.run));
    snprintf(path, sizeof path, "%s/lock", b->t.run);
    assert_ok(file_lock(path, &lock));
    assert_fails(train(b, 2, &r), E_BUSY, "in use by another training");
    file_unlock(&lock);
}

static atomic_int flag;
static void stop_at_three(void *ctx, const char *line, size_t n)
{
    keep_event(ctx, line, n);
    if (strstr(line, "\"step\":3,\"loss\"")) flag = 1;
}

static void a_stop_saves_the_state(void **state)
{
    bench *b = *state;
    train_result r;
    flag = 0;
    b->t.job.stop = &flag;
    b->t.job.sink.put = stop_at_three;
    assert_fails(train(b, 2, &r), E_STOPPED, "stopped at step 3 of 20, saved");
    assert_true(r.stopped && r.step == 3);
    assert_ok(checkpoint_verify(step_dir(b, 3), NULL));
}

/* A new run from weights that no engine can multiply: every step overflows. */
static void spoil(bench *b, char *dir, char *run)
{
    train_result r;
    b->t.job.options.steps = 3;
    assert_ok(train(b, 2, &r));
    loaded l = load_step(&b->t, 3);
    const model_param *p = model_find(l.mo, "model.layers.1.mlp.up_proj.weight");
    for (size_t i = 0; i < p->count; i++) l.mo->weights[p->offset + i] = 60000;
    snprintf(dir, 600, "%s/bad", b->t.run);
    assert_ok(file_make_dirs(dir));
    assert_ok(model_save(l.mo, dir));
    unload_step(&l);
    b->t.job.init_dir = dir;
    snprintf(run, 600, "%s-2", b->t.run);
    b->t.job.run_dir = run;
    b->t.job.options.steps = 100;
    b->t.job.model.rope_interleaved = false;
}

static void hopeless_numbers_end_the_run(bench *b)
{
    train_result r;
    char dir[600], run[600];
    spoil(b, dir, run);
    assert_fails(train(b, 2, &r), E_NUMERIC, "layer.1");
    assert_text_has(err_text(), "model.layers.1.mlp.up_proj.weight");
    assert_text_has(b->t.said.p, "\"kind\":\"overflow\"");
    assert_text_has(b->t.said.p, "\"scale\":512");
    assert_text_has(b->t.said.p, "\"kind\":\"failed\"");
}

static void overflows_skip_the_update_and_hopeless_numbers_end_the_run(void **state)
{
    hopeless_numbers_end_the_run(*state);
}

static void so_they_do_in_the_chips_own_arithmetic(void **state)
{
    bench *b = *state;
    b->where = "emu:m4,exact";
    hopeless_numbers_end_the_run(b);
}

/* A scale that is fixed has nothing to back off to: each infinity is told, and some
 * in a row are the end. The chip reads what is no number as one, so the loss is finite.
 */
static void a_fixed_scale_tells_its_infinities_and_ends(void **state)
{
    bench *b = *state;
    train_result r;
    char dir[600], run[600];
    b->where = "emu:m4,exact";
    spoil(b, dir, run);
    b->t.job.options.scale_dynamic = false;
    b->t.job.options.loss_scale = 256;
    assert_fails(train(b, 2, &r), E_NUMERIC, "the gradients are not finite since step 1");
    assert_text_has(err_text(), "model.layers.1.mlp.up_proj.weight");
    assert_text_has(b->t.said.p, "\"kind\":\"overflow\"");
    assert_text_has(b->t.said.p, "\"scale\":256");
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(it_learns_and_says_so),
        RUN(evaluations_tell_how_far_they_are),
        RUN(stopping_and_going_on_changes_no_bit),
        RUN(a_killed_run_goes_on_from_its_last_checkpoint),
        RUN(a_damaged_checkpoint_is_passed_over),
        RUN(a_disk_that_fails_loses_nothing),
        RUN(memory_that_runs_out_loses_nothing),
        RUN(a_device_that_fails_loses_no_step),
        RUN(what_may_not_change_is_refused_by_name),
        RUN(a_run_in_use_refuses_a_second_training),
        RUN(a_stop_saves_the_state),
        RUN(overflows_skip_the_update_and_hopeless_numbers_end_the_run),
        RUN(so_they_do_in_the_chips_own_arithmetic),
        RUN(a_fixed_scale_tells_its_infinities_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
