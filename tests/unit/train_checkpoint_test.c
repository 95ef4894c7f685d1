/* A checkpoint is complete or absent: whatever fails while one is saved, the
 * one before still loads, and a damaged one is seen. */
#include "test.h"
#include "train/train.h"

static model *small(bool interleaved)
{
    model_config c = {.layers = 1,
                      .dim = 16,
                      .heads = 2,
                      .kv_heads = 1,
                      .hidden = 32,
                      .seq = 8,
                      .vocab = 11,
                      .qk_norm = true,
                      .rope_interleaved = interleaved};
    model *m;
    assert_ok(model_new(&c, &m));
    return m;
}

/* the padding between tensors stays zero, as in training */
static void fill(const model *m, float *x, float base)
{
    for (int i = 0; i < m->n_params; i++)
        for (size_t j = 0; j < m->params[i].count; j++)
            x[m->params[i].offset + j] = base + (float)i + (float)j / 4096;
}

static train_state state_of(int64_t step)
{
    return (train_state){.step = step,
                         .updates = step - 1,
                         .example = 8 * (uint64_t)step,
                         .loss_scale = 2048,
                         .good_steps = 7,
                         .loss = 1.0 / 3,
                         .held_out = NAN,
                         .nats_per_byte = NAN,
                         .held_out_step = -1,
                         .best_held_out = 0.1,
                         .best_step = 5,
                         .wall_s = 12.75,
                         .data_checksum = 0xfedcba9876543210u,
                         .seed = UINT64_MAX,
                         .batch = 8,
                         .accum = 1,
                         .device = "emu:m4",
                         .isa = "scalar",
                         .threads = 2,
                         .steps = 100,
                         .lr = 3e-4};
}

typedef struct {
    model *mo;
    float *m, *v;
} weights;

static weights make(bool interleaved, float base)
{
    weights w = {.mo = small(interleaved)};
    w.m = calloc(w.mo->n_floats, sizeof *w.m);
    w.v = calloc(w.mo->n_floats, sizeof *w.v);
    fill(w.mo, w.mo->weights, base);
    fill(w.mo, w.m, base + 100);
    fill(w.mo, w.v, base + 200);
    return w;
}

static void drop(weights *w)
{
    model_free(w->mo);
    free(w->m);
    free(w->v);
}

static void expect_equal(const weights *a, const weights *b)
{
    size_t n = a->mo->n_floats * sizeof(float);
    assert_memory_equal(a->mo->weights, b->mo->weights, n);
    assert_memory_equal(a->m, b->m, n);
    assert_memory_equal(a->v, b->v, n);
}

static void all_of_it_comes_back_bit_for_bit(void **state)
{
    for (int form = 0; form < 2; form++) {
        weights a = make(form, 1), b = make(form, 0);
        train_state s = state_of(10 + form), t;
        if (form) strcpy(s.blas, "accelerate");
        assert_ok(checkpoint_save(*state, a.mo, a.m, a.v, &s, NULL));
        char dir[512];
        snprintf(dir, sizeof dir, "%s/step-%08d", (char *)*state, 10 + form);
        assert_ok(checkpoint_load(dir, b.mo, b.m, b.v, &t));
        expect_equal(&a, &b);
        assert_true(isnan(t.held_out) && isnan(t.nats_per_byte));
        t.held_out = s.held_out, t.nats_per_byte = s.nats_per_byte;
        assert_memory_equal(&s, &t, offsetof(train_state, device));
        assert_string_equal(t.device, "emu:m4");
        assert_string_equal(t.blas, form ? "accelerate" : ""); /* left out: our own */
        assert_true(t.lr == s.lr && t.threads == 2);
        drop(&a);
        drop(&b);
    }
}

static void a_failed_save_leaves_the_last_checkpoint(void **state)
{
    weights first = make(true, 1), second = make(true, 2), had = make(true, 0);
    train_state s = state_of(10), t;
    assert_ok(checkpoint_save(*state, first.mo, first.m, first.v, &s, NULL));
    char dir[512];
    snprintf(dir, sizeof dir, "%s/step-00000010", (char *)*state);
    s = state_of(20);
    long n = 0;
    for (rc r = E_IO; r != OK;) {
        assert_true(++n < 1000);
        file_fail_at(n);
        r = checkpoint_save(*state, second.mo, second.m, second.v, &s, NULL);
        file_fail_at(0);
        assert_true(r == OK || r == E_IO);
        assert_ok(checkpoint_load(dir, had.mo, had.m, had.v, &t));
        expect_equal(&first, &had);
        arena *mem = arena_new();
        int64_t *steps;
        size_t n_steps;
        /* the new one is whole or absent */
        assert_ok(checkpoint_list(mem, *state, &steps, &n_steps));
        for (size_t i = 0; i < n_steps; i++)
            assert_ok(checkpoint_verify(checkpoint_dir(mem, *state, steps[i]), &t));
        assert_false(file_exists(test_path(*state, ".new-00000020")));
        arena_free(mem);
    }
    assert_true(n > 10); /* several files, each written and synced */
    drop(&first);
    drop(&second);
    drop(&had);
}

static void damage_is_seen(void **state)
{
    static const char *const names[] = {"model.safetensors", "optim.safetensors",
                                        "config.json"};
    weights a = make(false, 1);
    train_state s = state_of(3);
    char path[512];
    const char *dir = test_path(*state, "step-00000003");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_ok(checkpoint_save(*state, a.mo, a.m, a.v, &s, NULL));
        assert_ok(checkpoint_verify(dir, NULL));
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        FILE *f = fopen(path, "r+b");
        fseek(f, -20, SEEK_END);
        int c = fgetc(f);
        fseek(f, -20, SEEK_END);
        fputc(c ^ 1, f);
        fclose(f);
        assert_fails(checkpoint_verify(dir, NULL), E_FORMAT, "checksum");
        assert_int_equal(truncate(path, 100), 0);
        assert_fails(checkpoint_verify(dir, NULL), E_FORMAT, "is 100 bytes");
        unlink(path);
        assert_fails(checkpoint_verify(dir, NULL), E_IO, names[i]);
    }
    snprintf(path, sizeof path, "%s/state.json", dir);
    const char *later = "{\"format\": 2}";
    assert_ok(file_replace(path, later, strlen(later)));
    assert_fails(checkpoint_verify(dir, NULL), E_FORMAT, "format version 2, wanted 1");
    drop(&a);
}

static void prune_keeps_the_newest_and_the_best(void **state)
{
    weights a = make(false, 1);
    arena *mem = arena_new();
    int64_t *steps;
    size_t n;
    for (int64_t step = 1; step <= 6; step++) {
        train_state s = state_of(step);
        assert_ok(checkpoint_save(*state, a.mo, NULL, NULL, &s, NULL));
    }
    assert_ok(file_make_dirs(test_path(*state, ".new-00000009")));
    assert_ok(file_make_dirs(test_path(*state, "step-x")));
    assert_ok(checkpoint_prune(*state, 0, 6, -1));
    assert_ok(checkpoint_list(mem, *state, &steps, &n));
    assert_int_equal(n, 6);
    assert_ok(checkpoint_prune(*state, 2, 5, 2));
    assert_ok(checkpoint_list(mem, *state, &steps, &n));
    assert_int_equal(n, 4);
    assert_true(steps[0] == 2 && steps[1] == 4 && steps[2] == 5 && steps[3] == 6);
    assert_false(file_exists(test_path(*state, ".new-00000009")));
    assert_false(file_exists(test_path(*state, ".old-00000001")));
    arena_free(mem);
    drop(&a);
}

#define IN_DIR(test) \
    cmocka_unit_test_setup_teardown(test, test_dir_setup, test_dir_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(all_of_it_comes_back_bit_for_bit),
        IN_DIR(a_failed_save_leaves_the_last_checkpoint),
        IN_DIR(damage_is_seen),
        IN_DIR(prune_keeps_the_newest_and_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
