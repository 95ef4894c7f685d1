/* The held-out loss is the mean over held-out tokens of what each window gives
 * alone, and a few windows stand for all of them. */
#include "test.h"
#include "train/train.h"

enum { SEQ = 24 };

typedef struct {
    char *dir, data[512];
    kern *k;
    device *d;
    model *m;
} bench;

static int setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    str text = {0};
    data_facts facts;
    data_options o = {.byte = true, .held_out = 0.1, .seed = 1};
    b->dir = test_mkdir();
    snprintf(b->data, sizeof b->data, "%.400s/data", b->dir);
    const char *path = test_path(b->dir, "text.txt");
    assert_ok(data_stories(4, 20000, &text));
    assert_ok(file_replace(path, text.p, text.n));
    assert_ok(data_build(1, &path, &o, b->data, &facts));
    str_free(&text);
    model_config c = {.layers = 1,
                      .dim = 32,
                      .heads = 2,
                      .hidden = 64,
                      .seq = SEQ,
                      .vocab = facts.vocab,
                      .tied = true};
    assert_ok(model_new(&c, &b->m));
    model_init(b->m, 1);
    for (size_t i = 0; i < b->m->n_floats; i++) b->m->weights[i] *= 4;
    assert_ok(kern_open(2, NULL, &b->k));
    assert_ok(dev_open("emu:m4", b->k, &b->d));
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    dev_close(b->d);
    kern_close(b->k);
    model_free(b->m);
    test_rmdir(b->dir);
    free(b);
    return 0;
}

static void the_loss_is_the_mean_over_windows(void **state)
{
    bench *b = *state;
    dataset *data;
    eval_result all, few;
    double sum = 0;
    uint64_t n = 0;
    assert_ok(train_eval(b->m, b->data, b->d, b->k, 0, &all));
    assert_ok(dataset_open(b->data, &data));
    uint64_t windows = dataset_held_windows(data, SEQ);
    assert_true(windows > 40);
    float *grads = calloc(b->m->n_floats, sizeof *grads);
    /* all but the last window, which may be short */
    for (uint64_t w = 0; w + 1 < windows; w++) {
        int32_t ids[SEQ + 1], targets[SEQ];
        double loss;
        assert_ok(dataset_held(data, w, SEQ, ids, targets));
        ids[SEQ] = targets[SEQ - 1];
        device *d; /* a new one each time: a device compiles so many programs */
        assert_ok(dev_open("emu:m4", b->k, &d));
        assert_ok(train_grad(b->m, 1, SEQ, ids, 1, d, b->k, &loss, grads));
        dev_close(d);
        sum += loss * SEQ;
        n += SEQ;
    }
    assert_true(all.tokens > n && all.tokens <= n + SEQ);
    /* the last window is some 1 % of all, and no loss is far from the mean */
    assert_rel(all.held_out, sum / (double)n, 0.01);
    double per_token = dataset_held_bytes_per_token(data);
    assert_rel(all.nats_per_byte, all.held_out / per_token, 1e-12);
    assert_ok(train_eval(b->m, b->data, b->d, b->k, 16, &few));
    assert_true(few.tokens <= 16 * SEQ && few.tokens > 15 * SEQ);
    /* 16 windows of 24 tokens: a deviation of some 5 % of the mean */
    assert_rel(few.held_out, all.held_out, 0.15);
    free(grads);
    dataset_close(data);
}

static void a_model_too_small_for_the_data_is_refused(void **state)
{
    bench *b = *state;
    model_config c = b->m->config;
    model *small;
    eval_result e;
    c.vocab = 100;
    assert_ok(model_new(&c, &small));
    assert_fails(train_eval(small, b->data, b->d, b->k, 0, &e), E_CONFIG,
                 "the data has 257 token ids, the model 100");
    model_free(small);
    int32_t ids[SEQ + 1] = {0, -1};
    double loss;
    assert_fails(train_grad(b->m, 1, SEQ, ids, 1, b->d, b->k, &loss, NULL), E_CONFIG,
                 "token id -1 is outside");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_is_the_mean_over_windows),
        cmocka_unit_test(a_model_too_small_for_the_data_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
