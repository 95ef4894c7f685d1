/* Runs that write nothing (memory_only) until they are asked to. */
#include "restarts.h"

static void a_run_in_memory_writes_nothing(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.options.memory_only = true;
    b->t.job.options.restart_every = 3;
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 7);
    assert_true(r.finished && r.saved_step == -1);
    assert_false(file_exists(b->t.run));
}

static void a_run_in_memory_is_saved_when_asked(void **state)
{
    expect_saved_when_asked(*state);
}

/* At step 7 another run of that name has been made, on the disk. */
static bool asked_after_another(void *ctx)
{
    asker *a = ctx;
    train_result r;
    if (!asked(ctx)) return false;
    train_job other = a->b->t.job;
    other.options.memory_only = false;
    other.options.steps = 2;
    other.options.restart_every = 0;
    other.ask = NULL;
    other.sink = (event_sink){0};
    assert_ok(kern_open(1, NULL, &other.k));
    assert_ok(dev_open("emu:m4", other.k, &other.dev));
    assert_ok(train_run(&other, &r));
    dev_close(other.dev);
    kern_close(other.k);
    return true;
}

static void a_run_in_memory_leaves_another_of_its_name_alone(void **state)
{
    bench *b = *state;
    train_result r;
    asker a = {.b = b, .after = "\"step\":7,\"loss\""};
    train_ask ask = {asked_after_another, told, &a};
    b->t.job.options.memory_only = true;
    b->t.job.options.restart_every = 3;
    b->t.job.ask = &ask;
    assert_ok(train(b, &r));
    assert_true(r.finished && a.bad == E_BUSY);
    assert_text_has(str_text(&a.answers), "holds another run: step 2");
    assert_ok(checkpoint_verify(test_path(b->t.run, "step-00000002"), NULL));
    assert_false(file_exists(test_path(b->t.run, "step-00000007")));
    str_free(&a.answers);
}

static void a_run_in_memory_may_keep_its_end(void **state)
{
    expect_end_is_kept(*state);
}

static void a_save_that_fails_does_not_end_the_run(void **state)
{
    bench *b = *state;
    train_result r;
    asker a = {.b = b, .after = "\"step\":5,\"loss\""};
    train_ask ask = {asked, told, &a};
    FILE *f = fopen(b->t.run, "w"); /* a file where the folder should be */
    fclose(f);
    b->t.job.options.memory_only = true;
    b->t.job.ask = &ask;
    assert_ok(train(b, &r));
    assert_true(r.finished && a.bad == E_IO);
    assert_text_has(b->t.said.p, "could not save as asked");
    str_free(&a.answers);
}

#define RUN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(a_run_in_memory_writes_nothing),
        RUN(a_run_in_memory_is_saved_when_asked),
        RUN(a_run_in_memory_leaves_another_of_its_name_alone),
        RUN(a_run_in_memory_may_keep_its_end),
        RUN(a_save_that_fails_does_not_end_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
