/* Restart in memory and runs that write nothing. The test plays the command:
 * a new device is a new process's budget, and what train_run leaves behind is
 * opened by its number, as after exec. */
#include "trainings.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "base/clock.h"

typedef struct {
    training t;
    const char *uri;
    int images;      /* begun by the last training */
    int die_between; /* the n-th hand-over is the last thing that happens */
    int damage;      /* flip a bit of what the first one left */
    atomic_int stop;
} bench;

static int setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    training_make(&b->t, 20);
    b->uri = "emu:m4";
    b->t.job.options.accum = 2;
    b->t.job.options.eval_every = 8;
    b->t.job.options.checkpoint_every = 5;
    b->t.job.options.keep = 2;
    b->t.job.options.eval_windows = 5;
    b->t.job.recipe_text = "model.dim = 32\n";
    b->t.job.may_restart = true;
    b->t.job.stop = &b->stop;
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

static rc one_image(bench *b, train_hand *taken, train_result *out)
{
    train_job job = b->t.job;
    job.taken = taken;
    TRY(kern_open(2, NULL, &job.k));
    rc r = dev_open(b->uri, job.k, &job.dev);
    if (r == OK) r = train_run(&job, out);
    if (job.dev) dev_close(job.dev);
    kern_close(job.k);
    return r;
}

static void flip(int fd)
{
    char c;
    assert_int_equal(pread(fd, &c, 1, 200), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, 200), 1);
}

static rc train(bench *b, train_result *out)
{
    train_hand *hand = NULL;
    str_clear(&b->t.said);
    b->images = 0;
    for (;;) {
        rc r = one_image(b, hand, out);
        train_hand_close(hand);
        if (++b->images == b->die_between) kill(getpid(), SIGKILL);
        if (r != E_RESTART) return r;
        assert_true(out->handed >= 0);
        assert_int_equal(fcntl(out->handed, F_GETFD), 0); /* would survive exec */
        if (b->damage) flip(out->handed);
        TRY(train_hand_open(out->handed, &hand));
        assert_true(fcntl(out->handed, F_GETFD) & FD_CLOEXEC);
    }
}

/* Events without what a clock says, what baking has cost, and restarts. */
static char *what_was_said(const char *lines)
{
    static const char *const clocks[] = {
        "\"t\":", "\"ms\":", "\"tok_s\":", "\"compiles\":"};
    char *out = calloc(1, strlen(lines) + 1), *to = out;
    for (const char *nl; (nl = strchr(lines, '\n')); lines = nl + 1) {
        char line[8192];
        assert_true((size_t)(nl - lines) < sizeof line);
        snprintf(line, sizeof line, "%.*s", (int)(nl - lines), lines);
        if (strstr(line, "\"kind\":\"restart\"")) continue;
        for (size_t i = 0; i < COUNT_OF(clocks); i++) {
            char *at = strstr(line, clocks[i]);
            if (!at) continue;
            char *end = at + strcspn(at, ",}");
            memmove(at, end, strlen(end) + 1);
        }
        to += sprintf(to, "%s\n", line);
    }
    return out;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

static char *read_all(const char *dir, const char *name)
{
    arena *mem = arena_new();
    char *text;
    size_t n;
    assert_ok(file_read(mem, test_path(dir, name), 0, &text, &n));
    char *copy = calloc(1, n + 1);
    memcpy(copy, text, n);
    arena_free(mem);
    return copy;
}

static uint64_t sum_of(bench *b, const char *name)
{
    arena *mem = arena_new();
    char *p;
    size_t n;
    uint64_t h = 14695981039346656037u;
    assert_ok(file_read(mem, test_path(b->t.run, name), 0, &p, &n));
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)p[i]) * 1099511628211u;
    arena_free(mem);
    return h;
}

typedef struct {
    uint64_t weights, moments, rest; /* rest 0: weights were the host's */
    char *said;
    train_state s;
} ending;

static ending ended(bench *b)
{
    ending e = {sum_of(b, "step-00000020/model.safetensors"),
                sum_of(b, "step-00000020/optim.safetensors"),
                0,
                what_was_said(b->t.said.p),
                {0}};
    assert_ok(checkpoint_verify(test_path(b->t.run, "step-00000020"), &e.s));
    if (b->t.job.plan.weights == PLAN_RESIDENT)
        e.rest = sum_of(b, "step-00000020/rest.safetensors");
    char *log = read_all(b->t.run, "events.jsonl");
    assert_string_equal(log, b->t.said.p); /* nothing lost, nothing twice */
    free(log);
    return e;
}

static ending straight(bench *b)
{
    train_result r;
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 1);
    ending e = ended(b);
    assert_ok(file_remove_tree(b->t.run));
    return e;
}

static void expect_same(ending *want, ending *had)
{
    assert_true(want->weights == had->weights && want->moments == had->moments);
    assert_true(want->rest == had->rest);
    assert_string_equal(want->said, had->said);
    assert_true(want->s.example == had->s.example && want->s.loss == had->s.loss &&
                want->s.good_steps == had->s.good_steps &&
                want->s.best_step == had->s.best_step &&
                want->s.held_out == had->s.held_out);
    free(want->said);
    free(had->said);
}

/* 20 steps, an image for each 3 of them: 7 images. */
static void restarts_change_no_bit_and_no_event(void **state)
{
    bench *b = *state;
    train_result r;
    ending want = straight(b);
    b->t.job.options.restart_every = 3;
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 7);
    assert_true(r.finished && r.step == 20);
    assert_int_equal(count(b->t.said.p, "\"kind\":\"restart\""), 6);
    assert_int_equal(count(b->t.said.p, "\"kind\":\"start\""), 1);
    ending had = ended(b);
    expect_same(&want, &had);
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

static int loads_of_a_step(bench *b)
{
    train_result r;
    arena *mem = arena_new();
    b->t.job.options.steps = 1;
    assert_ok(train(b, &r));
    const char *at = strstr(b->t.said.p, "\"loads\":");
    int loads = at ? atoi(at + 8) : 0;
    b->t.job.options.steps = 20;
    assert_ok(file_remove_tree(b->t.run));
    arena_free(mem);
    return loads;
}

/* A step and an evaluation do not fit into one process: evaluations at 8, 16 and
 * 20, each with an image of its own, and the steps between. */
static void a_budget_that_holds_only_a_step_is_enough(void **state)
{
    bench *b = *state;
    train_result r;
    char uri[64];
    ending want = straight(b);
    int loads = loads_of_a_step(b);
    assert_true(loads > 1);
    snprintf(uri, sizeof uri, "emu:m4,compiles=%d", loads);
    b->uri = uri;
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 6);
    ending had = ended(b);
    expect_same(&want, &had);
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
    bench *b = *state;
    train_result r;
    char uri[64];
    ending want = straight(b);
    snprintf(uri, sizeof uri, "emu:m4,slots=%d", loads_of_a_step(b));
    b->uri = uri;
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 1);
    ending had = ended(b);
    expect_same(&want, &had);
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
    bench *b = *state;
    train_result r;
    b->t.job.options.steps = 3;
    b->t.job.options.restart_every = 2;
    b->t.job.options.eval_every = b->t.job.options.checkpoint_every = 0;
    bool done = false;
    for (long n = 1; !done; n += 37) {
        mem_fail_at(n);
        rc e = train(b, &r);
        mem_fail_at(0);
        done = e == OK;
        if (e != OK) assert_int_equal(e, E_MEMORY);
        file_remove_tree(b->t.run);
    }
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

/* ---- memory_only ---- */
typedef struct {
    const bench *b;
    const char *after; /* this was said, it is asked once */
    bool done;
    rc bad;
    str answers;
} asker;

static bool asked(void *ctx)
{
    asker *a = ctx;
    bool now = !a->done && strstr(str_text(&a->b->t.said), a->after);
    a->done |= now;
    return now;
}

static void told(void *ctx, rc bad, const char *text)
{
    asker *a = ctx;
    a->bad = bad;
    str_addf(&a->answers, "%s\n", text);
}

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
    bench *b = *state;
    train_result r;
    asker a = {.b = b, .after = "\"step\":11,\"loss\""};
    train_ask ask = {asked, told, &a};
    ending want = straight(b);
    b->t.job.options.memory_only = true;
    b->t.job.options.restart_every = 3;
    b->t.job.ask = &ask;
    assert_ok(train(b, &r));
    assert_true(a.bad == OK && r.saved_step == 11);
    assert_text_has(str_text(&a.answers), "run/step-00000011");
    char *log = read_all(b->t.run, "events.jsonl"); /* all until then */
    assert_text_has(log, "\"kind\":\"start\"");
    assert_text_has(log, "\"step\":11,\"loss\"");
    assert_null(strstr(log, "\"step\":12,\"loss\""));
    free(log);
    b->t.job.ask = NULL; /* gone on with, it is the same run */
    b->t.job.options.memory_only = false;
    assert_ok(train(b, &r));
    assert_true(want.weights == sum_of(b, "step-00000020/model.safetensors"));
    str_free(&a.answers);
    free(want.said);
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
    bench *b = *state;
    train_result r;
    ending want = straight(b);
    b->t.job.options.memory_only = b->t.job.options.save_end = true;
    b->t.job.options.restart_every = 7;
    assert_ok(train(b, &r));
    assert_int_equal(r.saved_step, 20);
    char *log = read_all(b->t.run, "events.jsonl");
    assert_int_equal(count(log, "\"loss\""), 21); /* 20 steps and the end */
    free(log);
    assert_true(want.weights == sum_of(b, "step-00000020/model.safetensors"));
    free(want.said);
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

/* ---- weights and moments that stay on the engine ---- */
static void stay(bench *b)
{
    b->t.job.plan.weights = PLAN_RESIDENT;
    b->t.job.options.accum = 1;
}

static void state_on_the_engine_goes_over_a_restart(void **state)
{
    stay(*state);
    restarts_change_no_bit_and_no_event(state);
}

static void and_on_the_chips_accumulator(void **state)
{
    bench *b = *state;
    b->uri = "emu:m4,exact";
    state_on_the_engine_goes_over_a_restart(state);
}

/* It comes to the host before an evaluation in another image, and before one that
 * takes the slots of the step's programs. */
static void it_makes_room_for_an_evaluation(void **state)
{
    bench *b = *state;
    stay(b);
    a_budget_that_holds_only_a_step_is_enough(state);
    assert_ok(file_remove_tree(b->t.run));
    b->uri = "emu:m4";
    one_slot_after_another(state);
}

static void it_is_saved_when_asked(void **state)
{
    stay(*state);
    a_run_in_memory_is_saved_when_asked(state);
}

static void it_is_saved_when_a_run_in_memory_ends(void **state)
{
    stay(*state);
    a_run_in_memory_may_keep_its_end(state);
}

static void no_allocation_that_fails_loses_it(void **state)
{
    stay(*state);
    every_failed_allocation_of_a_hand_over_is_told(state);
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
        RUN(a_run_in_memory_writes_nothing),
        RUN(a_run_in_memory_is_saved_when_asked),
        RUN(a_run_in_memory_leaves_another_of_its_name_alone),
        RUN(a_run_in_memory_may_keep_its_end),
        RUN(a_save_that_fails_does_not_end_the_run),
        RUN(state_on_the_engine_goes_over_a_restart),
        RUN(and_on_the_chips_accumulator),
        RUN(it_makes_room_for_an_evaluation),
        RUN(it_is_saved_when_asked),
        RUN(it_is_saved_when_a_run_in_memory_ends),
        RUN(no_allocation_that_fails_loses_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
