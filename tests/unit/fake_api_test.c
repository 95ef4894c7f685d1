/* The library on an engine that fails: every call of it returns ANNEAL_E_DEVICE
 * with the text, leaves nothing of the framework's behind, and the handle goes
 * on to be used. Only the public header is, but for the fake's controls. */
#include "fake_help.h"
#include "anneal.h"

static const char *const routes[] = {"ane:client,compiles=none,lib=" FAKE_LIB,
                                     "ane:memory,compiles=none,lib=" FAKE_LIB};

static void set(anneal *a, const char *name, const char *value)
{
    if (anneal_set(a, name, value)) fail_msg("%s", anneal_error(a));
}

static anneal *tiny(const bench *b, const char *uri)
{
    anneal *a;
    char text[600];
    snprintf(text, sizeof text, "%s/text.txt", b->dir);
    assert_int_equal(anneal_new(&a), ANNEAL_OK);
    set(a, "data.text", text);
    set(a, "model.layers", "1");
    set(a, "model.dim", "32");
    set(a, "model.heads", "2");
    set(a, "model.seq", "32");
    set(a, "train.batch", "2");
    set(a, "train.steps", "6");
    set(a, "train.eval_windows", "4");
    set(a, "device.threads", "2");
    set(a, "device.uri", uri);
    return a;
}

static void expect_refused(int code, const anneal *a, const char *part)
{
    if (code != ANNEAL_E_DEVICE) fail_msg("%d: %s", code, anneal_error(a));
    assert_text_has(anneal_error(a), part);
    assert_text_has(anneal_error(a), "hint:");
    assert_int_equal(fake.live_objects(), 0);
    assert_int_equal(fake.loaded(), 0);
}

static void a_training_goes_on_after_the_engine_came_back(void **state)
{
    const bench *b = *state;
    char whole[600], run[600], want[640], had[640];
    anneal_result r;
    snprintf(whole, sizeof whole, "%s/whole", b->dir);
    anneal *a = tiny(b, "emu:m4");
    if (anneal_train(a, whole, NULL)) fail_msg("%s", anneal_error(a));
    anneal_free(a);
    snprintf(want, sizeof want, "%s/step-00000006", whole);
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        snprintf(run, sizeof run, "%s/run%zu", b->dir, i);
        snprintf(had, sizeof had, "%s/step-00000006", run);
        a = tiny(b, routes[i]);
        fake.tell("absent");
        expect_refused(anneal_train(a, run, &r), a, "no Neural Engine");
        fake.absent(0);
        fake.tell("refuse=load,no_slot");
        expect_refused(anneal_train(a, run, &r), a, "code 6, status 0x50004");
        fake.tell("refuse=evaluate,power_lost,20");
        expect_refused(anneal_train(a, run, &r), a, "code 23, status 0xe");
        assert_true(r.step > 0 && r.step < 6 && !r.finished);
        assert_text_has(anneal_error(a), "is saved");
        fake.tell("");
        if (anneal_train(a, run, &r)) fail_msg("%s", anneal_error(a));
        assert_true(r.finished && r.step == 6);
        expect_same_file(want, had, "model.safetensors");
        expect_same_file(want, had, "optim.safetensors");
        anneal_free(a);
        expect_nothing_staged(b);
    }
    expect_no_misuse();
}

static int hear(void *ctx, const char *text, size_t n)
{
    (void)text;
    *(size_t *)ctx += n;
    return 0;
}

/* With call n of the framework failing, for ever larger n. */
static void evaluating_and_writing_fail_clearly(void **state)
{
    const bench *b = *state;
    char run[600];
    anneal_sampling greedy = {0};
    snprintf(run, sizeof run, "%s/run", b->dir);
    anneal *a = tiny(b, "emu:m4");
    if (anneal_train(a, run, NULL)) fail_msg("%s", anneal_error(a));
    anneal_free(a);
    /* Programs that do not describe themselves: reading a description may fail
     * many times in a row without harm, which would end the loop below. */
    fake.tell("symbols=2");
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        int failed = 0, went = 0;
        double want, loss;
        size_t want_bytes = 0, bytes;
        anneal_model *m;
        a = tiny(b, routes[i]);
        if (anneal_eval(a, run, NULL, &want, NULL)) fail_msg("%s", anneal_error(a));
        if (anneal_open_model(a, run, &m) ||
            anneal_generate(m, "once", 4, &greedy, hear, &want_bytes))
            fail_msg("%s", anneal_error(a));
        anneal_close_model(m);
        for (uint64_t n = 1; went < 10; n += 7) {
            assert_true(n < 20000);
            fake.fail_at(n);
            int code = anneal_eval(a, run, NULL, &loss, NULL);
            if (code) assert_int_equal(code, ANNEAL_E_DEVICE);
            else assert_true(loss == want);
            assert_int_equal(fake.live_objects(), 0);
            fake.fail_at(n);
            int opened = anneal_open_model(a, run, &m);
            bytes = 0;
            int wrote = opened ? opened
                               : anneal_generate(m, "once", 4, &greedy, hear, &bytes);
            if (wrote) assert_int_equal(wrote, ANNEAL_E_DEVICE);
            else assert_int_equal(bytes, want_bytes);
            if (wrote) assert_true(strlen(anneal_error(a)) > 20);
            if (!opened) anneal_close_model(m);
            fake.fail_at(0);
            assert_int_equal(fake.live_objects(), 0);
            assert_int_equal(fake.loaded(), 0);
            expect_nothing_staged(b);
            failed += (code != 0) + (wrote != 0);
            went = code || wrote ? 0 : went + 1;
        }
        assert_true(failed > 20);
        anneal_free(a);
    }
    expect_no_misuse();
}

int main(void)
{
#define ON_BENCH(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        ON_BENCH(a_training_goes_on_after_the_engine_came_back),
        ON_BENCH(evaluating_and_writing_fail_clearly),
    };
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
