/* Restart in memory: no bit and no event is lost, it is told before a run begins who
 * cannot restart, and what goes wrong on the way is seen. */
#include "restarts.h"
#include <sys/resource.h>
#include "base/clock.h"

static void restarts_change_no_bit_and_no_event(void **state)
{
    expect_restarts_change_nothing(*state);
}

static void windows_go_over_a_restart(void **state)
{
    bench *b = *state;
    train_result r;
    b->uri = "emu:m4,exact";
    b->t.job.plan.window = PLAN_WINDOW_ON;
    ending want = straight(b);
    b->t.job.options.restart_every = 3;
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 7);
    ending had = ended(b);
    expect_same(&want, &had);
}

static void a_budget_that_holds_only_a_step_is_enough(void **state)
{
    expect_a_step_of_budget_is_enough(*state);
}

/* Each image makes as many updates as it has compiles for. */
static void baked_weights_go_on_when_the_compiles_are_used_up(void **state)
{
    bench *b = *state;
    train_result r;
    char uri[64];
    b->t.job.plan.weights = PLAN_BAKED;
    b->uri = "emu:m4,compiles=none";
    ending want = straight(b);
    int loads = loads_of_a_step(b);
    snprintf(uri, sizeof uri, "emu:m4,compiles=%d", 2 * loads);
    b->uri = uri;
    assert_ok(train(b, &r));
    assert_true(b->images > 5);
    ending had = ended(b);
    expect_same(&want, &had);
}

static void who_cannot_restart_is_told_before_it_begins(void **state)
{
    bench *b = *state;
    train_result r;
    char uri[64];
    int loads = loads_of_a_step(b);
    b->t.job.may_restart = false;
    snprintf(uri, sizeof uri, "emu:m4,compiles=%d", loads);
    b->uri = uri;
    assert_fails(train(b, &r), E_BUDGET, "an evaluation");
    assert_false(file_exists(b->t.run));
}

static void a_budget_that_no_process_can_keep_is_refused(void **state)
{
    bench *b = *state;
    train_result r;
    b->uri = "emu:m4,compiles=1";
    assert_fails(train(b, &r), E_BUDGET, "a process compiles 1");
    assert_false(file_exists(b->t.run));
}

static void restarting_seldom_is_not_restarting(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.options.restart_every = 1000;
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 1);
}

static void one_slot_after_another(void **state)
{
    expect_slots_in_turn_are_enough(*state);
}

/* The same device again: what was used up stays used up. */
static void restarts_without_progress_end(void **state)
{
    bench *b = *state;
    train_result r;
    char uri[64];
    train_hand *hand = NULL;
    train_job job = b->t.job;
    snprintf(uri, sizeof uri, "emu:m4,compiles=%d", loads_of_a_step(b));
    assert_ok(kern_open(2, NULL, &job.k));
    assert_ok(dev_open(uri, job.k, &job.dev));
    rc e;
    int images = 0;
    while (job.taken = hand, images++, (e = train_run(&job, &r)) == E_RESTART) {
        train_hand_close(hand);
        assert_true(images < 5);
        assert_ok(train_hand_open(r.handed, &hand));
    }
    train_hand_close(hand);
    assert_fails(e, E_BUDGET, "2 restarts in memory brought nothing at step 8");
    assert_int_equal(images, 3);
    assert_ok(checkpoint_verify(test_path(b->t.run, "step-00000005"), NULL));
    dev_close(job.dev);
    kern_close(job.k);
}

static void dying_between_two_images_loses_no_checkpoint(void **state)
{
    bench *b = *state;
    train_result r;
    int status;
    ending want = straight(b);
    pid_t child = fork();
    if (child == 0) {
        b->t.job.options.restart_every = 6;
        b->die_between = 2; /* at step 12 */
        train(b, &r);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_ok(train(b, &r)); /* also: the lock died with it */
    assert_text_has(b->t.said.p, "step-00000010");
    uint64_t weights = sum_of(b, "step-00000020/model.safetensors");
    assert_true(weights == want.weights);
    free(want.said);
}

static void damage_on_the_way_is_seen(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.options.restart_every = 6;
    b->damage = 1;
    assert_fails(train(b, &r), E_FORMAT, "its checksum is wrong");
    train_hand *hand;
    assert_fails(train_hand_open(0, &hand), E_FORMAT, NULL);
    assert_fails(train_hand_open(999, &hand), E_FORMAT, "999");
}

static void what_another_process_left_is_not_taken(void **state)
{
    bench *b = *state;
    train_result r;
    train_hand *hand;
    int status;
    b->t.job.options.restart_every = 6;
    str_clear(&b->t.said);
    assert_int_equal(one_image(b, NULL, &r), E_RESTART);
    pid_t child = fork();
    if (child == 0) _exit(train_hand_open(r.handed, &hand) == E_FORMAT ? 7 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_ok(train_hand_open(r.handed, &hand));
    train_hand_close(hand);
}

static void too_little_shared_memory_is_told_before_it_begins(void **state)
{
    bench *b = *state;
    train_result r;
    struct rlimit was, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = (struct rlimit){4096, was.rlim_max};
    b->t.job.options.restart_every = 6;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    rc e = train(b, &r);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_fails(e, E_MEMORY, "no shared memory of");
    assert_false(file_exists(b->t.run));
}

static void every_failed_allocation_of_a_hand_over_is_told(void **state)
{
    expect_failed_allocations_are_told(*state);
}

static void restarts_are_paced(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.options.steps = 6;
    b->t.job.options.restart_every = 2;
    b->t.job.options.restart_pause = 0.4;
    double before = clock_ms();
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 3);
    assert_true(clock_ms() - before >= 800);
}

static void stop_during(void *ctx, const char *line, size_t n)
{
    bench *b = ctx;
    keep_event(&b->t.said, line, n);
    if (strstr(line, "\"kind\":\"step\",\"step\":4")) b->stop = 1;
}

/* In the pause before the second restart: the run ends there, saved. */
static void a_stop_is_heeded_instead_of_a_restart(void **state)
{
    bench *b = *state;
    train_result r;
    b->t.job.options.restart_every = 4;
    b->t.job.options.restart_pause = 600;
    b->t.job.sink = (event_sink){stop_during, b};
    assert_fails(train(b, &r), E_STOPPED, "saved");
    assert_int_equal(b->images, 1);
    assert_ok(checkpoint_verify(test_path(b->t.run, "step-00000004"), NULL));
}

#define RUN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(restarts_change_no_bit_and_no_event),
        RUN(windows_go_over_a_restart),
        RUN(a_budget_that_holds_only_a_step_is_enough),
        RUN(baked_weights_go_on_when_the_compiles_are_used_up),
        RUN(who_cannot_restart_is_told_before_it_begins),
        RUN(a_budget_that_no_process_can_keep_is_refused),
        RUN(restarting_seldom_is_not_restarting),
        RUN(one_slot_after_another),
        RUN(restarts_without_progress_end),
        RUN(dying_between_two_images_loses_no_checkpoint),
        RUN(damage_on_the_way_is_seen),
        RUN(what_another_process_left_is_not_taken),
        RUN(too_little_shared_memory_is_told_before_it_begins),
        RUN(every_failed_allocation_of_a_hand_over_is_told),
        RUN(restarts_are_paced),
        RUN(a_stop_is_heeded_instead_of_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
