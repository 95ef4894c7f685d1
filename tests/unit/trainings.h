/* trainings.h - what tests of training share: a small job on made-up stories, a folder
 * that it works in, and what its checkpoints hold. */
#ifndef TRAININGS_H
#define TRAININGS_H

#include "stories.h"
#include "test.h"
#include "train/train.h"

/* The same learning wherever a test says nothing else. */
static inline train_options small_options(int64_t steps, int64_t warmup)
{
    return (train_options){.steps = steps,
                           .batch = 2,
                           .accum = 1,
                           .lr = 3e-3,
                           .min_lr = 3e-4,
                           .warmup = warmup,
                           .weight_decay = 0.1,
                           .beta1 = 0.9,
                           .beta2 = 0.95,
                           .clip = 1,
                           .scale_dynamic = true,
                           .seed = 5};
}

static inline model_config small_model(void)
{
    return (model_config){.layers = 2,
                          .dim = 32,
                          .heads = 4,
                          .kv_heads = 2,
                          .hidden = 64,
                          .seq = 32,
                          .tied = true};
}

typedef struct {
    char root[480], data[512], run[512];
    train_job job; /* without kern and device */
    str said;      /* events, one a line */
} training;

/* In a new folder, which training_drop removes. t stays where it is: the job
 * points into it. */
static inline void training_make(training *t, int64_t steps)
{
    char *dir = test_mkdir(), text[600];
    snprintf(t->root, sizeof t->root, "%.400s", dir);
    snprintf(t->data, sizeof t->data, "%.400s/data", dir);
    snprintf(t->run, sizeof t->run, "%.400s/run", dir);
    snprintf(text, sizeof text, "%.400s/text.txt", dir);
    free(dir);
    assert_ok(make_stories(t->data, text));
    t->job = (train_job){.options = small_options(steps, 4),
                         .model = small_model(),
                         .data_dir = t->data,
                         .run_dir = t->run,
                         .sink = {keep_event, &t->said}};
}

static inline void training_drop(training *t)
{
    file_remove_tree(t->root);
    str_free(&t->said);
}

/* ---- what a run left behind ---- */
typedef struct {
    model *mo;
    float *m, *v;
    train_state s;
} loaded;

static inline loaded load_step(const training *t, int64_t step)
{
    loaded l;
    model_config c;
    arena *mem = arena_new();
    char *dir = checkpoint_dir(mem, t->run, step);
    assert_ok(model_config_load(dir, &c));
    assert_ok(model_new(&c, &l.mo));
    l.m = calloc(l.mo->n_floats, sizeof *l.m);
    l.v = calloc(l.mo->n_floats, sizeof *l.v);
    assert_ok(checkpoint_load(dir, l.mo, l.m, l.v, &l.s));
    arena_free(mem);
    return l;
}

static inline void unload_step(loaded *l)
{
    model_free(l->mo);
    free(l->m);
    free(l->v);
}

static inline void expect_same_bits(const loaded *a, const loaded *b)
{
    size_t n = a->mo->n_floats * sizeof(float);
    assert_memory_equal(a->mo->weights, b->mo->weights, n);
    assert_memory_equal(a->m, b->m, n);
    assert_memory_equal(a->v, b->v, n);
    assert_int_equal(a->s.example, b->s.example);
    assert_int_equal(a->s.updates, b->s.updates);
    assert_int_equal(a->s.good_steps, b->s.good_steps);
    assert_true(a->s.held_out == b->s.held_out && a->s.loss == b->s.loss);
}

#endif
