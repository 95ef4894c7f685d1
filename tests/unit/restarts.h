/* restarts.h - what tests of runs over several images share. The test plays the
 * command: a new device is a new process's budget, and what train_run leaves behind
 * is opened by its number, as after exec. The checks at its end are asked of runs
 * whose state is the host's and of such whose state stays on the engine. */
#ifndef RESTARTS_H
#define RESTARTS_H

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include "trainings.h"

typedef struct {
    training t;
    const char *uri;
    int images;      /* begun by the last training */
    int die_between; /* the n-th hand-over is the last thing that happens */
    int damage;      /* flip a bit of what the first one left */
    atomic_int stop;
} bench;

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    bench *b = *state;
    training_drop(&b->t);
    free(b);
    return 0;
}

static inline rc one_image(bench *b, train_hand *taken, train_result *out)
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

static inline void flip(int fd)
{
    char c;
    assert_int_equal(pread(fd, &c, 1, 200), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, 200), 1);
}

static inline rc train(bench *b, train_result *out)
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
static inline char *what_was_said(const char *lines)
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

static inline int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

static inline char *read_all(const char *dir, const char *name)
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

static inline uint64_t sum_of(bench *b, const char *name)
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

static inline ending ended(bench *b)
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

static inline ending straight(bench *b)
{
    train_result r;
    assert_ok(train(b, &r));
    assert_int_equal(b->images, 1);
    ending e = ended(b);
    assert_ok(file_remove_tree(b->t.run));
    return e;
}

static inline void expect_same(ending *want, ending *had)
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

static inline int loads_of_a_step(bench *b)
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

/* ---- somebody asks a run in memory to save ---- */
typedef struct {
    const bench *b;
    const char *after; /* this was said, it is asked once */
    bool done;
    rc bad;
    str answers;
} asker;

static inline bool asked(void *ctx)
{
    asker *a = ctx;
    bool now = !a->done && strstr(str_text(&a->b->t.said), a->after);
    a->done |= now;
    return now;
}

static inline void told(void *ctx, rc bad, const char *text)
{
    asker *a = ctx;
    a->bad = bad;
    str_addf(&a->answers, "%s\n", text);
}

/* ---- checks, whoever holds the state ---- */
/* 20 steps, an image for each 3 of them: 7 images. */
static inline void expect_restarts_change_nothing(bench *b)
{
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

/* A step and an evaluation do not fit into one process: evaluations at 8, 16 and
 * 20, each with an image of its own, and the steps between. */
static inline void expect_a_step_of_budget_is_enough(bench *b)
{
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

static inline void expect_slots_in_turn_are_enough(bench *b)
{
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

static inline void expect_failed_allocations_are_told(bench *b)
{
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

static inline void expect_saved_when_asked(bench *b)
{
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

static inline void expect_end_is_kept(bench *b)
{
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

#endif
