/* fake_help.h - what tests that train on the fake framework share: a
 * folder that shows what was left staged, and a model so small that it can be
 * trained a thousand times. */
#ifndef FAKE_HELP_H
#define FAKE_HELP_H

#include "dev_help.h"
#include "base/arena.h"
#include "fake_controls.h"
#include "trainings.h"

/* ---- a folder of its own, also for staging ---- */
typedef struct {
    char *dir, *staging, *data;
    kern *k;
} bench;

static inline char *copy_path(const char *dir, const char *name)
{
    char *p = malloc(strlen(dir) + strlen(name) + 2);
    if (!p) abort();
    sprintf(p, "%s/%s", dir, name);
    return p;
}

static inline int bench_setup(void **state)
{
    static char usual[512];
    bench *b = calloc(1, sizeof *b);
    if (!b || kern_open(2, NULL, &b->k) != OK) return -1;
    /* Thousands of checkpoints are saved: in memory where that can be. */
    if (!*usual && access("/dev/shm", W_OK) == 0) strcpy(usual, "/dev/shm");
    if (!*usual)
        snprintf(usual, sizeof usual, "%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    setenv("TMPDIR", usual, 1);
    b->dir = test_mkdir();
    b->staging = copy_path(b->dir, "staging");
    b->data = copy_path(b->dir, "data");
    fake.reset();
    fake.limits(1 << 20, 128);
    *state = b;
    char *text = copy_path(b->dir, "text.txt");
    rc r = file_make_dirs(b->staging);
    if (r == OK) r = make_stories(b->data, text);
    free(text);
    if (r != OK) return -1;
    return setenv("TMPDIR", b->staging, 1);
}

static inline int bench_teardown(void **state)
{
    bench *b = *state;
    fake.reset();
    kern_close(b->k);
    test_rmdir(b->dir);
    free(b->staging);
    free(b->data);
    free(b);
    return 0;
}

static inline void expect_no_misuse(void)
{
    if (fake.misuses()) fail_msg("%s", fake.last_misuse());
}

/* Not even a lock. */
static inline void expect_nothing_staged(const bench *b)
{
    arena *mem = arena_new();
    char **names;
    size_t n;
    assert_ok(file_list(mem, b->staging, &names, &n));
    if (n) fail_msg("%s was left staged", names[0]);
    arena_free(mem);
}

/* ---- training ---- */
/* One layer, UPDATES updates, a checkpoint after each. Nothing is left to weigh:
 * thousands of plans are made here, and what is tested begins after them. */
enum { UPDATES = 2 };
static const plan_options decided = {.dw = PLAN_DW_HOST,
                                     .loss = PLAN_LOSS_HOST,
                                     .tiles = 1,
                                     .recompute = PLAN_RECOMPUTE_NONE,
                                     .pack = PLAN_PACK_NONE,
                                     .host_said = true};
static inline rc train_small(const bench *b, device *d, const char *run, train_job *with,
                             train_result *result)
{
    train_job job = with ? *with : (train_job){.plan = decided};
    job.options = small_options(UPDATES, 2);
    job.options.eval_windows = 2;
    job.options.checkpoint_every = 1;
    job.model = small_model();
    job.model.layers = 1;
    job.model.rope_interleaved = true;
    job.data_dir = b->data;
    job.run_dir = run;
    job.recipe_text = "model.dim = 32\n";
    job.k = b->k;
    job.dev = d;
    return train_run(&job, result);
}

static inline void expect_same_file(const char *a, const char *b, const char *name)
{
    arena *mem = arena_new();
    char *x, *y;
    size_t n, m;
    assert_ok(file_read(mem, test_path(a, name), SIZE_MAX, &x, &n));
    assert_ok(file_read(mem, test_path(b, name), SIZE_MAX, &y, &m));
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    arena_free(mem);
}

/* Weights and moments after the last update. */
static inline void expect_same_end(const char *run, const char *other)
{
    char a[512], b[512]; /* mkdtemp folders are short */
    snprintf(a, sizeof a, "%s/step-%08d", run, UPDATES);
    snprintf(b, sizeof b, "%s/step-%08d", other, UPDATES);
    expect_same_file(a, b, "model.safetensors");
    expect_same_file(a, b, "optim.safetensors");
}

#endif
