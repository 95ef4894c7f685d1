/* Any call into the engine's framework may fail in the middle of a training:
 * compile, load, evaluate, unload, the making of any object or surface, a lock.
 * For each of them: the run ends with an error that says what failed (exit code 3),
 * nothing of the framework's is kept, nothing is left staged, and the same
 * command goes on to the very bits of a run that never failed.
 *
 * A training has 2500 calls, much the same in each update, and takes them again
 * for each that fails. EVERY=1 in the environment lets each fail (minutes); else
 * it is one of several, from another one on for each route. */
#include "fake_help.h"
#include "dev/cache.h"

static const char *const routes[] = {"ane:client,compiles=none,lib=" FAKE_LIB,
                                     "ane:memory,compiles=none,lib=" FAKE_LIB};

static void expect_good_error(rc r, uint64_t call)
{
    const char *first = err_first();
    if (r != E_DEVICE && r != E_BUDGET && r != E_RULE)
        fail_msg("call %d: %s is no refusal of a device: %s", (int)call, err_name(r),
                 err_text());
    if (err_exit(r) != 3) fail_msg("call %d: exit code", (int)call);
    if (!*first || strlen(first) < 20) fail_msg("call %d: '%s'", (int)call, first);
    /* The framework's own errors come with domain and code and what they mean. */
    if (strstr(first, "com.apple") &&
        (!strstr(first, ", code ") || !strstr(err_text(), "hint:")))
        fail_msg("call %d: %s", (int)call, err_text());
}

/* The losses of a run: of each update, in order, as text. */
static char *losses(arena *mem, const char *run)
{
    char *all, *out, *at;
    size_t n;
    assert_ok(file_read(mem, test_path(run, "events.jsonl"), SIZE_MAX, &all, &n));
    assert_non_null(at = out = arena_take(mem, n + 1));
    for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
        const char *loss = strstr(line, "\"loss\":"), *step = strstr(line, "\"step\":");
        if (!strstr(line, "\"kind\":\"step\"") || !loss || !step) continue;
        at += sprintf(at, "%.*s %.*s\n", (int)strcspn(step, ",}"), step,
                      (int)strcspn(loss, ",}"), loss);
    }
    return out;
}

typedef struct {
    const bench *b;
    const char *whole; /* a run that nothing disturbed */
    const char *state; /* NULL: no cache */
    char *losses;
    device *d;
    int64_t live;
} scene;

/* One run in which the n-th call fails. False if it went well all the same. */
static bool one_failure(const scene *s, uint64_t n)
{
    arena *mem = arena_new();
    train_result result;
    char *run = copy_path(s->b->dir, "run");
    size_t removed;
    uint64_t bytes;
    /* Every other time the programs are compiled and kept anew. */
    if (s->state && n % 2) assert_ok(dev_cache_clear(s->state, NULL, &removed, &bytes));
    fake.fail_at(n);
    rc r = train_small(s->b, s->d, run, NULL, &result);
    fake.fail_at(0);
    bool failed = r != OK;
    if (failed) expect_good_error(r, n);
    err_clear();
    if (fake.live_objects() != s->live || fake.loaded())
        fail_msg("call %d: %d objects more, %d programs loaded", (int)n,
                 (int)(fake.live_objects() - s->live), fake.loaded());
    expect_nothing_staged(s->b);
    expect_no_misuse();
    if (failed) assert_ok(train_small(s->b, s->d, run, NULL, &result));
    assert_int_equal(result.step, UPDATES);
    expect_same_end(s->whole, run);
    /* Every update was counted once, none from a run that failed. */
    if (strcmp(losses(mem, run), s->losses))
        fail_msg("call %d: had\n%s, wanted\n%s", (int)n, losses(mem, run), s->losses);
    assert_ok(file_remove_tree(run));
    arena_free(mem);
    free(run);
    return failed;
}

static void any_call_may_fail(const bench *b, const char *uri, const char *state,
                              uint64_t skip, uint64_t first)
{
    scene s = {.b = b, .state = state};
    arena *mem = arena_new();
    train_result result;
    uint64_t failed = 0;
    const char *every = getenv("EVERY");
    if (every) skip = strtoul(every, NULL, 10);
    assert_true(skip > 0);
    s.whole = copy_path(b->dir, "whole");
    assert_ok(dev_open_at(uri, b->k, state, &s.d));
    s.live = fake.live_objects();
    uint64_t before = fake.calls();
    assert_ok(train_small(b, s.d, s.whole, NULL, &result));
    uint64_t n = fake.calls() - before;
    s.losses = losses(mem, s.whole);
    assert_int_equal(fake.live_objects(), s.live);
    for (uint64_t i = 1 + first % skip; i <= n; i += skip) failed += one_failure(&s, i);
    print_message("%s: %d calls, %d ended the run\n", uri, (int)n, (int)failed);
    assert_true(failed > n / skip / 3);
    dev_cache cache;
    assert_ok(dev_cache_of(s.d, &cache));
    if (state)
        print_message("  %s; %d programs came from the cache, %d were put there\n",
                      cache.why, (int)cache.loads, (int)cache.stored);
    assert_true(state ? cache.on && cache.loads > n / skip : !cache.loads);
    dev_close(s.d);
    assert_ok(file_remove_tree(s.whole));
    free((char *)s.whole);
    arena_free(mem);
}

/* Primes: they do not fall in with the calls of an update. */
enum { FEW = 5, SOME = 17 };

static void any_call_of_a_training_by_the_client_may_fail(void **state)
{
    any_call_may_fail(*state, routes[0], NULL, FEW, 0);
}

static void any_call_of_a_training_in_memory_may_fail(void **state)
{
    any_call_may_fail(*state, routes[1], NULL, FEW, 2);
}

/* The system tells each program's ports, and they are not in the order of the
 * alphabet: a program of which it cannot be asked is refused, not run on
 * surfaces in the wrong places. */
static void where_ports_go_is_not_guessed(void **state)
{
    const bench *b = *state;
    fake.tell("symbols=1");
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        any_call_may_fail(b, routes[i], NULL, SOME, 3 + 8 * i);
}

/* Programs come from the cache, or are put there: what a failure leaves of one
 * there is not taken for a program. */
static void any_call_of_a_training_with_a_cache_may_fail(void **state)
{
    const bench *b = *state;
    char *remembered = copy_path(b->dir, "state");
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        any_call_may_fail(b, routes[i], remembered, SOME, 5 + 8 * i);
    free(remembered);
}

/* ---- our own memory and files ---- */
/* Pieces of memory: the first ones one by one, then ever fewer of the
 * thousands. The framework's own are not ours: its calls failed above. */
static void any_piece_of_memory_may_be_missing(void **state)
{
    const bench *b = *state;
    char *run = copy_path(b->dir, "run");
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        train_result result;
        int64_t live = fake.live_objects();
        int failed = 0, went = 0;
        for (long n = 1; went < 40; n += 1 + n / 64) {
            device *d = NULL;
            assert_true(n < 1000000);
            mem_fail_at(n);
            rc r = dev_open(routes[i], b->k, &d);
            if (r == OK) r = train_small(b, d, run, NULL, &result);
            mem_fail_at(0);
            if (r != OK) assert_int_equal(r, E_MEMORY);
            dev_close(d);
            if (fake.live_objects() != live || fake.loaded())
                fail_msg("piece %ld: %d objects more, %d programs loaded", n,
                         (int)(fake.live_objects() - live), fake.loaded());
            /* Removing takes memory too; who opens the engine next does it. */
            assert_ok(dev_open(routes[i], b->k, &d));
            dev_close(d);
            expect_nothing_staged(b);
            failed += r != OK;
            went = r == OK ? went + 1 : 0;
            if (file_exists(run)) assert_ok(file_remove_tree(run));
        }
        print_message("%s: %d pieces were missed\n", routes[i], failed);
        assert_true(failed > 100);
    }
    expect_no_misuse();
    free(run);
}

/* Writes, also those of staging: what the engine could not be given is its
 * failure, what the run could not write is the disk's. */
static void any_write_may_fail(void **state)
{
    const bench *b = *state;
    char *run = copy_path(b->dir, "run"), *whole = copy_path(b->dir, "whole");
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        train_result result;
        device *d;
        int staging = 0, failed = 0;
        assert_ok(dev_open(routes[i], b->k, &d));
        int64_t live = fake.live_objects();
        if (i == 0) assert_ok(train_small(b, d, whole, NULL, &result));
        rc r = E_IO;
        for (long n = 1; r != OK; n++) {
            assert_true(n < 2000);
            file_fail_at(n);
            r = train_small(b, d, run, NULL, &result);
            file_fail_at(0);
            bool staged = r != OK && strstr(err_text(), "staging the program");
            if (r != OK) assert_int_equal(r, staged ? E_DEVICE : E_IO);
            staging += staged;
            failed += r != OK;
            if (fake.live_objects() != live || fake.loaded())
                fail_msg("write %ld: %d objects more, %d programs loaded", n,
                         (int)(fake.live_objects() - live), fake.loaded());
            expect_nothing_staged(b);
            if (r != OK) assert_ok(train_small(b, d, run, NULL, &result));
            expect_same_end(whole, run);
            assert_ok(file_remove_tree(run));
        }
        print_message("%s: %d writes failed, %d of staging\n", routes[i], failed,
                      staging);
        assert_true(staging > 3 && failed > staging + 10);
        dev_close(d);
    }
    expect_no_misuse();
    free(run);
    free(whole);
}

int main(void)
{
#define ON_BENCH(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        ON_BENCH(any_call_of_a_training_by_the_client_may_fail),
        ON_BENCH(any_call_of_a_training_in_memory_may_fail),
        ON_BENCH(where_ports_go_is_not_guessed),
        ON_BENCH(any_call_of_a_training_with_a_cache_may_fail),
        ON_BENCH(any_piece_of_memory_may_be_missing),
        ON_BENCH(any_write_may_fail),
    };
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
