/* Apple's driver on the fake framework: a training ends in the bits of the
 * software engine; a failure of any call is a clear error that leaves nothing
 * behind; a system that changed is refused by name. */
#include "dev_help.h"
#include "base/str.h"
#include "fake_controls.h"
#include "trainings.h"

#define MEMORY_URI "ane:lib=" FAKE_LIB ",memory"
#define CLIENT_URI "ane:lib=" FAKE_LIB ",client"
static const char *const routes[] = {MEMORY_URI, CLIENT_URI};

/* A folder of its own for staging, so that what is left there shows. */
typedef struct {
    char *dir;
    kern *k;
} bench;

static int setup(void **state)
{
    static char usual[512];
    bench *b = calloc(1, sizeof *b);
    if (!b || kern_open(2, NULL, &b->k) != OK) return -1;
    if (!*usual)
        snprintf(usual, sizeof usual, "%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    setenv("TMPDIR", usual, 1);
    b->dir = test_mkdir();
    setenv("TMPDIR", b->dir, 1);
    fake.reset();
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    fake.reset();
    kern_close(b->k);
    test_rmdir(b->dir);
    free(b);
    return 0;
}

static void expect_no_misuse(void)
{
    if (fake.misuses()) fail_msg("%s", fake.last_misuse());
}

/* ---- training ---- */
static void train_on(const bench *b, const char *uri, const char *data, const char *run)
{
    train_result result;
    train_job job = {.options = small_options(5, 2),
                     .model = small_model(),
                     .data_dir = data,
                     .run_dir = run,
                     .recipe_text = "model.dim = 32\n",
                     .k = b->k};
    job.options.keep = 2;
    job.model.rope_interleaved = true;
    assert_ok(dev_open(uri, b->k, &job.dev));
    assert_ok(train_run(&job, &result));
    assert_int_equal(result.step, 5);
    dev_close(job.dev);
}

static void expect_same_file(const char *a, const char *b, const char *name)
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

static void training_ends_in_the_bits_of_the_software_engine(void **state)
{
    bench *b = *state;
    char data[600], text_path[600], want[600], had[600];
    snprintf(data, sizeof data, "%s/data", b->dir);
    snprintf(text_path, sizeof text_path, "%s/text.txt", b->dir);
    snprintf(want, sizeof want, "%s/emu", b->dir);
    assert_ok(make_stories(data, text_path));
    train_on(b, "emu:m4", data, want);
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        int64_t live = fake.live_objects();
        snprintf(had, sizeof had, "%s/ane%zu", b->dir, i);
        train_on(b, routes[i], data, had);
        strcat(had, "/step-00000005");
        if (i == 0) strcat(want, "/step-00000005");
        expect_same_file(want, had, "model.safetensors");
        expect_same_file(want, had, "optim.safetensors");
        assert_int_equal(fake.live_objects(), live);
        assert_int_equal(fake.loaded(), 0);
    }
    assert_true(fake.evaluations() > 10);
    expect_no_misuse();
}

/* ---- failures ---- */
#define WEIGHTED                                                                         \
    PROGRAM(ROW32 " in_a, " ROW32 " in_b", LET(ROW32, "sum", "add(x = in_a, y = in_b)"), \
            "sum")

#define DIFFERENCE                                             \
    PROGRAM(ROW32 " in_b, " ROW32 " in_a",                     \
            LET(ROW32, "total", "add(x = in_a, y = in_b)")     \
                LET(ROW32, "diff", "sub(x = in_a, y = in_b)"), \
            "total, diff")

/* Open, load, write, run, read: OK with the right numbers, or an error. */
static rc one_life(const bench *b, const char *uri)
{
    device *d = NULL;
    dev_program *p = NULL;
    dev_surface *s[3] = {NULL};
    dev_source src = {"life", WEIGHTED, strlen(WEIGHTED), NULL, 0};
    dev_shape shape = {MIL_FP16, 4, {1, 4, 1, 32}, 49152};
    void *m;
    rc r = dev_open(uri, b->k, &d);
    if (r == OK) r = dev_load(d, &src, &p);
    for (int i = 0; r == OK && i < 3; i++) r = dev_surface_new(d, &shape, &s[i]);
    for (int i = 0; r == OK && i < 2; i++) {
        r = dev_map(s[i], &m);
        if (r != OK) break;
        for (int e = 0; e < 128; e++) ((half *)m)[e] = half_from_double(e + i);
        r = dev_unmap(s[i]);
    }
    if (r == OK) r = run_and_wait(p, s, 2, s + 2, 1, NULL);
    if (r == OK) r = dev_map(s[2], &m);
    if (r == OK) {
        for (int e = 0; e < 128; e++)
            assert_near(half_to_double(((half *)m)[e]), 2 * e + 1, 0);
        r = dev_unmap(s[2]);
    }
    for (int i = 0; i < 3; i++)
        if (s[i]) dev_drop(s[i]);
    if (p) dev_unload(p);
    if (d) dev_close(d);
    return r;
}

static void expect_nothing_staged(const bench *b)
{
    arena *mem = arena_new();
    char **names;
    size_t n;
    assert_ok(file_list(mem, b->dir, &names, &n));
    for (size_t i = 0; i < n; i++) /* a lock that is free may stay */
        if (!str_ends(names[i], "-lock")) fail_msg("%s was left staged", names[i]);
    arena_free(mem);
}

static uint64_t calls_of_a_life(const bench *b, const char *uri)
{
    uint64_t before = fake.calls();
    assert_ok(one_life(b, uri));
    return fake.calls() - before;
}

static void any_call_may_fail_and_leaves_nothing(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        char uri[300];
        snprintf(uri, sizeof uri, "%s,compiles=none", routes[i]);
        fake.limits(1 << 20, 128); /* many lives in one process */
        fake.symbols(2);
        uint64_t needed = calls_of_a_life(b, uri), failed = 0;
        fake.symbols(0);
        uint64_t n = calls_of_a_life(b, uri);
        int64_t live = fake.live_objects();
        assert_true(n > 50);
        for (uint64_t k = 1; k <= n; k++) {
            fake.fail_at(k);
            rc r = one_life(b, uri);
            fake.fail_at(0);
            if (r != OK) {
                failed++;
                if (!*err_first()) fail_msg("call %d: no text", (int)k);
            }
            if (fake.live_objects() != live || fake.loaded())
                fail_msg("%s: call %d: %d objects more, %d loaded; %s", uri, (int)k,
                         (int)(fake.live_objects() - live), fake.loaded(), err_text());
            expect_nothing_staged(b);
            expect_no_misuse();
        }
        /* A program's description is read if it can be; of the other calls some
         * are tried again or are not needed, most are. */
        assert_true(failed > needed / 2);
        assert_ok(one_life(b, uri));
    }
}

static void a_thousand_runs_leave_nothing(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        device *d;
        assert_ok(dev_open(routes[i], b->k, &d));
        dev_program *p = load(d, WEIGHTED);
        dev_surface *s[3] = {surface(d, 4, 32, 0), surface(d, 4, 32, 0),
                             surface(d, 4, 32, 0)};
        put_ramp(s[0], 128, 0, 1);
        put_ramp(s[1], 128, 1, 0);
        assert_ok(run_and_wait(p, s, 2, s + 2, 1, NULL));
        int64_t live = fake.live_objects();
        for (int n = 0; n < 1000; n++) assert_ok(run_and_wait(p, s, 2, s + 2, 1, NULL));
        assert_int_equal(fake.live_objects(), live);
        assert_ramp(s[2], 128, 1, 1);
        for (int n = 0; n < 3; n++) dev_drop(s[n]);
        dev_unload(p);
        dev_close(d);
    }
    expect_no_misuse();
}

/* a - b tells the order, b's surface is given second: the names that the system
 * reports decide where it goes, and without names the alphabet does. */
static void surfaces_go_where_the_system_puts_their_names(void **state)
{
    bench *b = *state;
    for (int how = 0; how < 3; how++)
        for (size_t i = 0; i < COUNT_OF(routes); i++) {
            device *d;
            fake.symbols(how);
            assert_ok(dev_open(routes[i], b->k, &d));
            dev_program *p = load(d, DIFFERENCE);
            dev_surface *in[2] = {surface(d, 4, 32, 0), surface(d, 4, 32, 0)};
            dev_surface *out[2] = {surface(d, 4, 32, 0), surface(d, 4, 32, 0)};
            put_ramp(in[0], 128, 0, 1);
            put_ramp(in[1], 128, 7, 0);
            assert_ok(run_and_wait(p, in, 2, out, 2, NULL));
            assert_ramp(out[0], 128, -7, 1); /* diff = a - b */
            assert_ramp(out[1], 128, 7, 1);  /* total = a + b */
            for (int n = 0; n < 2; n++) dev_drop(in[n]), dev_drop(out[n]);
            dev_unload(p);
            dev_close(d);
        }
    expect_no_misuse();
}

/* ---- a system that is not as expected ---- */
static void a_changed_system_is_one_error_that_names_what_changed(void **state)
{
    bench *b = *state;
    device *d;
    int64_t live = fake.live_objects();
    fake.hide("_ANERequest");
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        assert_fails(dev_open(routes[i], b->k, &d), E_DEVICE, "_ANERequest");
    fake.hide("evaluateWithQoS:options:request:error:");
    assert_fails(dev_open(MEMORY_URI, b->k, &d), E_DEVICE, "evaluateWithQoS");
    fake.hide("_ANEClient");
    assert_fails(dev_open(CLIENT_URI, b->k, &d), E_DEVICE, "_ANEClient");
    fake.hide(NULL);
    fake.recode("loadWithQoS:options:error:", "B32@0:8@16^@24");
    assert_fails(dev_open(MEMORY_URI, b->k, &d), E_DEVICE, "loadWithQoS");
    fake.recode(NULL, NULL);
    fake.absent(1);
    assert_fails(dev_open(MEMORY_URI, b->k, &d), E_DEVICE, NULL);
    fake.absent(0);
    assert_fails(dev_open("ane:lib=no/such/library.so", b->k, &d), E_DEVICE,
                 "no/such/library.so");
    assert_int_equal(fake.live_objects(), live);
    assert_ok(one_life(b, MEMORY_URI));
}

/* Sources differ on one argument's width; what the system says is called. */
static void the_client_may_take_a_wider_quality_of_service(void **state)
{
    fake.wide(1);
    assert_ok(one_life(*state, CLIENT_URI));
    expect_no_misuse();
}

int main(void)
{
#define ON_BENCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    /* The driver counts compiles per process: what needs many comes last. */
    const struct CMUnitTest tests[] = {
        ON_BENCH(a_changed_system_is_one_error_that_names_what_changed),
        ON_BENCH(the_client_may_take_a_wider_quality_of_service),
        ON_BENCH(training_ends_in_the_bits_of_the_software_engine),
        ON_BENCH(surfaces_go_where_the_system_puts_their_names),
        ON_BENCH(a_thousand_runs_leave_nothing),
        ON_BENCH(any_call_may_fail_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
