/* What anneal.h promises: settings by name, errors kept by their handle, events,
 * stopping from elsewhere, two runs in two threads, a model opened again. Only
 * the public header is used, but for making the text. */
#include "test.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "anneal.h"
#include "base/file.h"
#include "base/str.h"
#include "data/data.h"

typedef struct {
    char dir[400], text[512];
} bench;

static int setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    char *dir = test_mkdir();
    str text = {0};
    snprintf(b->dir, sizeof b->dir, "%.390s", dir);
    snprintf(b->text, sizeof b->text, "%s/text.txt", b->dir);
    assert_ok(data_stories(1, 60000, &text));
    assert_ok(file_replace(b->text, text.p, text.n));
    str_free(&text);
    free(dir);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    file_remove_tree(b->dir);
    free(b);
    return 0;
}

static void set(anneal *a, const char *name, const char *value)
{
    if (anneal_set(a, name, value)) fail_msg("%s", anneal_error(a));
}

/* A model small enough that ten steps take a moment. */
static anneal *tiny(const bench *b, const char *steps)
{
    anneal *a;
    assert_int_equal(anneal_new(&a), ANNEAL_OK);
    set(a, "data.text", b->text);
    set(a, "model.layers", "1");
    set(a, "model.dim", "32");
    set(a, "model.heads", "2");
    set(a, "model.seq", "32");
    set(a, "train.batch", "2");
    set(a, "train.steps", steps);
    set(a, "train.eval_windows", "4");
    set(a, "device.uri", "emu:m4");
    set(a, "device.threads", "2");
    return a;
}

static const char *run_dir(const bench *b, const char *name, char out[512])
{
    snprintf(out, 512, "%s/runs/%s", b->dir, name);
    return out;
}

static void settings_are_checked_and_errors_stay_with_their_handle(void **state)
{
    anneal *a, *b;
    anneal_result r;
    assert_int_equal(anneal_new(&a), ANNEAL_OK);
    assert_int_equal(anneal_new(&b), ANNEAL_OK);
    assert_string_equal(anneal_error(a), "");
    assert_int_equal(anneal_set(a, "model.layer", "2"), ANNEAL_E_SETTING);
    assert_int_equal(anneal_set(b, "train.batch", "none"), ANNEAL_E_SETTING);
    assert_text_has(anneal_error(a), "did you mean 'model.layers'");
    assert_text_has(anneal_error(b), "'train.batch' is a whole number");
    assert_int_equal(anneal_read_recipe(b, "no/such.conf"), ANNEAL_E_FAILED);
    assert_text_has(anneal_error(b), "no/such.conf");
    assert_int_equal(anneal_train(a, "/nowhere/run", &r), ANNEAL_E_SETTING);
    assert_text_has(anneal_error(a), "data.text");
    assert_int_equal(anneal_set(a, "device.uri", "warp:m4"), ANNEAL_OK);
    assert_int_equal(anneal_set(a, "data.text", "x"), ANNEAL_OK);
    assert_int_equal(anneal_train(a, "/nowhere/run", NULL), ANNEAL_E_DEVICE);
    assert_text_has(anneal_error(a), "no device 'warp:m4'");
    assert_text_has(anneal_version(), "0.");
    anneal_free(a);
    anneal_free(b);
    anneal_free(NULL);
}

/* ---- events and stopping ---- */

typedef struct {
    anneal *a;
    int n_steps, n_starts, n_done, stop_at;
} heard;

static void hear(void *ctx, const char *json, size_t bytes)
{
    heard *h = ctx;
    assert_int_equal(strlen(json), bytes);
    assert_null(strchr(json, '\n'));
    h->n_starts += strstr(json, "\"kind\":\"start\"") != NULL;
    h->n_done += strstr(json, "\"kind\":\"done\"") != NULL;
    if (strstr(json, "\"kind\":\"step\"") && ++h->n_steps == h->stop_at)
        anneal_stop(h->a);
}

static void a_run_is_limited_stopped_and_gone_on_with(void **state)
{
    bench *b = *state;
    char dir[512];
    anneal *a = tiny(b, "10");
    anneal_result r;
    heard h = {.a = a, .stop_at = 6};
    run_dir(b, "a", dir);
    anneal_on_event(a, hear, &h);
    anneal_limit(a, 3, 0);
    assert_int_equal(anneal_train(a, dir, &r), ANNEAL_OK);
    assert_true(r.step == 3 && r.stopped && !r.finished);
    anneal_limit(a, 0, 0);
    assert_int_equal(anneal_train(a, dir, &r), ANNEAL_E_STOPPED);
    assert_true(r.step == 6 && r.stopped && !r.finished);
    assert_text_has(anneal_error(a), "stopped at step 6 of 10, saved");
    assert_int_equal(anneal_train(a, dir, &r), ANNEAL_OK);
    assert_true(r.step == 10 && r.finished && !r.stopped);
    assert_true(isfinite(r.loss) && isfinite(r.held_out) && isfinite(r.nats_per_byte));
    assert_true(r.tokens_per_s > 0);
    assert_int_equal(h.n_steps, 10);
    assert_int_equal(h.n_starts, 3);
    assert_int_equal(h.n_done, 1);
    anneal_free(a);
}

typedef struct {
    anneal *a;
    int n_steps;
    char path[512];
} saving;

static void save_at_fourth(void *ctx, const char *json, size_t bytes)
{
    saving *s = ctx;
    const char *at = strstr(json, "\"path\":\"");
    (void)bytes;
    if (strstr(json, "\"kind\":\"step\"") && ++s->n_steps == 4) anneal_save(s->a);
    if (strstr(json, "\"kind\":\"checkpoint\"") && at)
        snprintf(s->path, sizeof s->path, "%.*s", (int)strcspn(at + 8, "\""), at + 8);
}

/* The run goes on, and writes no more than it was asked for. */
static void a_run_that_writes_nothing_saves_when_it_is_asked(void **state)
{
    bench *b = *state;
    char dir[512];
    anneal *a = tiny(b, "8");
    anneal_result r;
    saving s = {.a = a};
    run_dir(b, "made", dir); /* its tokens: the library makes none in memory */
    anneal_limit(a, 1, 0);
    if (anneal_train(a, dir, &r)) fail_msg("%s", anneal_error(a));
    anneal_limit(a, 0, 0);
    run_dir(b, "asked", dir);
    set(a, "train.memory_only", "true");
    anneal_on_event(a, save_at_fourth, &s);
    if (anneal_train(a, dir, &r)) fail_msg("%s", anneal_error(a));
    assert_true(r.step == 8 && r.finished);
    assert_text_has(s.path, "runs/asked/step-00000004");
    assert_true(file_is_dir(s.path));
    assert_false(file_is_dir(test_path(dir, "step-00000008")));
    anneal_free(a);
}

static anneal *interrupted;
/* The library looks into no folder by itself; with one, `auto` consults it, and a
 * machine without a chip has nothing to keep there. */
static void a_folder_for_what_is_remembered_is_a_setting(void **state)
{
    bench *b = *state;
    char dir[600], run[600];
    anneal *a = tiny(b, "1");
    anneal_result r;
    snprintf(dir, sizeof dir, "%s/state", b->dir);
    snprintf(run, sizeof run, "%s/runs/state", b->dir);
    set(a, "device.state", dir);
    set(a, "device.uri", "auto");
    if (anneal_train(a, run, &r)) fail_msg("%s", anneal_error(a));
    assert_int_equal(r.step, 1);
    anneal_free(a);
}

static void on_signal(int sig)
{
    (void)sig;
    anneal_stop(interrupted);
}

static void raise_at_second(void *ctx, const char *json, size_t bytes)
{
    (void)ctx, (void)bytes;
    if (strstr(json, "\"step\":2,\"loss\"")) raise(SIGUSR1);
}

static void a_signal_handler_may_stop_a_run(void **state)
{
    bench *b = *state;
    char dir[512];
    anneal_result r;
    interrupted = tiny(b, "100");
    anneal_on_event(interrupted, raise_at_second, NULL);
    void (*before)(int) = signal(SIGUSR1, on_signal);
    assert_int_equal(anneal_train(interrupted, run_dir(b, "s", dir), &r),
                     ANNEAL_E_STOPPED);
    signal(SIGUSR1, before);
    assert_int_equal(r.step, 2);
    anneal_free(interrupted);
}

/* ---- threads ---- */

typedef struct {
    anneal *a;
    char dir[512];
    anneal_result r;
    int code;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int steps; /* under lock */
} worker;

static void count(void *ctx, const char *json, size_t bytes)
{
    worker *w = ctx;
    (void)bytes;
    if (!strstr(json, "\"kind\":\"step\"")) return;
    pthread_mutex_lock(&w->lock);
    w->steps++;
    pthread_cond_signal(&w->moved);
    pthread_mutex_unlock(&w->lock);
}

static void *work(void *ctx)
{
    worker *w = ctx;
    w->code = anneal_train(w->a, w->dir, &w->r);
    return NULL;
}

static void start(worker *w, const bench *b, const char *name, const char *steps,
                  pthread_t *thread)
{
    w->a = tiny(b, steps);
    w->steps = 0;
    run_dir(b, name, w->dir);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->moved, NULL);
    anneal_on_event(w->a, count, w);
    assert_int_equal(pthread_create(thread, NULL, work, w), 0);
}

static void two_runs_in_two_threads_are_two_runs(void **state)
{
    bench *b = *state;
    static worker w[3];
    pthread_t thread[3];
    start(&w[0], b, "t0", "8", &thread[0]);
    start(&w[1], b, "t1", "100000", &thread[1]);
    start(&w[2], b, "t0", "8", &thread[2]); /* the same folder: one is refused */
    pthread_mutex_lock(&w[1].lock);
    while (w[1].steps < 5) pthread_cond_wait(&w[1].moved, &w[1].lock);
    pthread_mutex_unlock(&w[1].lock);
    anneal_stop(w[1].a); /* from this thread */
    for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    assert_int_equal(w[1].code, ANNEAL_E_STOPPED);
    assert_true(w[1].r.step >= 5);
    assert_text_has(anneal_error(w[1].a), "stopped at step");
    /* either both trained one after the other, or the later was told */
    int first = w[0].code == ANNEAL_OK ? 0 : 2;
    assert_int_equal(w[first].code, ANNEAL_OK);
    assert_int_equal(w[first].r.step, 8);
    if (w[2 - first].code != ANNEAL_OK)
        assert_text_has(anneal_error(w[2 - first].a), "in use by another training");
    for (int i = 0; i < 3; i++) {
        pthread_mutex_destroy(&w[i].lock);
        pthread_cond_destroy(&w[i].moved);
        anneal_free(w[i].a);
    }
}

/* ---- models ---- */

typedef struct {
    str text;
    size_t calls, stop_at;
} writing;

static int take(void *ctx, const char *text, size_t bytes)
{
    writing *w = ctx;
    str_addn(&w->text, text, bytes);
    return ++w->calls == w->stop_at;
}

static void generate(anneal *a, const char *dir, uint64_t seed, writing *out)
{
    anneal_model *m;
    anneal_sampling s = {.temperature = 0.9, .top_p = 0.95, .seed = seed};
    if (anneal_open_model(a, dir, &m)) fail_msg("%s", anneal_error(a));
    assert_int_equal(anneal_generate(m, "The ", 20, &s, take, out), ANNEAL_OK);
    anneal_close_model(m);
}

static void a_model_is_opened_again_and_writes_the_same(void **state)
{
    bench *b = *state;
    char dir[512];
    anneal *a = tiny(b, "6");
    writing w[4] = {{.stop_at = 0}, {.stop_at = 0}, {.stop_at = 0}, {.stop_at = 3}};
    double nats, bytes, other;
    assert_int_equal(anneal_train(a, run_dir(b, "m", dir), NULL), ANNEAL_OK);
    generate(a, dir, 1, &w[0]);
    generate(a, dir, 1, &w[1]);
    generate(a, dir, 2, &w[2]);
    generate(a, dir, 1, &w[3]);
    assert_string_equal(str_text(&w[0].text), str_text(&w[1].text));
    assert_int_equal(w[0].calls, 20);
    assert_string_not_equal(str_text(&w[0].text), str_text(&w[2].text));
    assert_int_equal(w[3].calls, 3);
    assert_int_equal(anneal_eval(a, dir, NULL, &nats, &bytes), ANNEAL_OK);
    assert_true(nats > 1 && nats < 8 && bytes > 1 && bytes < 8);
    assert_int_equal(anneal_eval(a, "gone", NULL, &nats, NULL), ANNEAL_E_FAILED);
    assert_true(isnan(nats));
    assert_int_equal(anneal_eval(a, dir, "no/such/text", &other, NULL), ANNEAL_E_FAILED);
    anneal_model *none = NULL;
    assert_int_equal(anneal_open_model(a, b->dir, &none), ANNEAL_E_FAILED);
    assert_null(none);
    for (int i = 0; i < 4; i++) str_free(&w[i].text);
    anneal_close_model(NULL);
    anneal_free(a);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(settings_are_checked_and_errors_stay_with_their_handle),
        RUN(a_run_is_limited_stopped_and_gone_on_with),
        RUN(a_run_that_writes_nothing_saves_when_it_is_asked),
        RUN(a_folder_for_what_is_remembered_is_a_setting),
        RUN(a_signal_handler_may_stop_a_run),
        RUN(two_runs_in_two_threads_are_two_runs),
        RUN(a_model_is_opened_again_and_writes_the_same),
    };
    return cmocka_run_group_tests_name("api library", tests, NULL, NULL);
}
