/* The ane driver on the fake framework, beyond what every device must keep:
 * equal programs are one, different ones run at once and the numbers are still
 * those of one after the other, requests follow the surfaces, locks are never
 * held while the engine runs, errors say what they usually mean. */
#include <pthread.h>
#include <time.h>
#include "dev_help.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/str.h"
#include "dev/ane/ane.h"
#include "fake_controls.h"

static const char *const routes[] = {"ane:client,lib=" FAKE_LIB,
                                     "ane:memory,lib=" FAKE_LIB};

/* ---- one bench per route, in a temporary folder of its own ---- */
typedef struct {
    char *dir, uri[300];
    device *d;
    dev_caps caps;
    int64_t live;
} bench;

static int set_up(void **state)
{
    const char *route = *state;
    bench *b = calloc(1, sizeof *b);
    if (!b) return -1;
    *state = b;
    b->dir = test_mkdir();
    fake_begin(b->dir);
    b->live = fake.live_objects();
    snprintf(b->uri, sizeof b->uri, "%s,compiles=none", route);
    if (dev_open(b->uri, NULL, &b->d) != OK) return -1;
    return dev_caps_of(b->d, &b->caps) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    bench *b = *state;
    dev_close(b->d);
    int code = fake_end(b->live);
    test_rmdir(b->dir);
    free(b);
    return code;
}

#define PAIR(expr) \
    PROGRAM(ROW32 " in_a, " ROW32 " in_b", LET(ROW32, "made", expr), "made")
#define PLUS PAIR("add(x = in_a, y = in_b)")
#define MINUS PAIR("sub(x = in_a, y = in_b)")
#define LARGER PAIR("maximum(x = in_a, y = in_b)")

/* ---- the trial ---- */
/* A device whose numbers are wrong, or that binds otherwise than by the alphabet
 * without saying so, is found before anything is computed with it. */
static void the_trial_finds_an_engine_that_computes_otherwise(void **state)
{
    bench *b = *state;
    device *d;
    fake.tell("wrong=1");
    assert_fails(dev_open(b->uri, NULL, &d), E_DEVICE, "numbers of a trial are wrong");
    fake.tell("wrong=0");
    fake.symbols(3);
    assert_fails(dev_open(b->uri, NULL, &d), E_DEVICE, "in alphabetical order");
    fake.symbols(0);
    assert_ok(dev_open(b->uri, NULL, &d));
    dev_close(d);
}

/* ---- loading ---- */
/* An engine that is full for a while is waited for; another refusal is not
 * believed for long. */
static void a_transient_lack_of_room_is_waited_for(void **state)
{
    bench *b = *state;
    dev_program *p;
    dev_source src = {"late", MINUS, strlen(MINUS), NULL, 0};
    double start = clock_ms();
    fake.tell("refuse=load,no_resources,1,4");
    assert_ok(dev_load(b->d, &src, &p));
    assert_true(clock_ms() - start >= 100 + 200 + 400 + 800);
    dev_unload(p);
    fake.tell("refuse=load,not_compiled,1,4");
    assert_int_equal(dev_load(b->d, &src, &p), E_DEVICE);
    fake.tell("");
    assert_ok(dev_load(b->d, &src, &p));
    dev_unload(p);
}

/* ---- sharing ---- */
static void equal_programs_are_one_on_the_engine(void **state)
{
    bench *b = *state;
    dev_program *p = load(b->d, PLUS), *q = load(b->d, PLUS), *other = load(b->d, MINUS);
    dev_surface *s[3] = {surface(b->d, 4, 32, 0), surface(b->d, 4, 32, 0),
                         surface(b->d, 4, 32, 0)};
    assert_int_equal(fake.loaded(), 2);
    put_ramp(s[0], 128, 0, 1);
    put_ramp(s[1], 128, 5, 0);
    assert_ok(run_and_wait(p, s, 2, s + 2, 1, NULL));
    assert_ramp(s[2], 128, 5, 1);
    dev_unload(p);
    assert_int_equal(fake.loaded(), 2);
    assert_ok(run_and_wait(q, s, 2, s + 2, 1, NULL));
    assert_ok(run_and_wait(other, s, 2, s + 2, 1, NULL));
    assert_ramp(s[2], 128, -5, 1);
    dev_unload(q);
    dev_unload(other);
    assert_int_equal(fake.loaded(), 0);
    for (int i = 0; i < 3; i++) dev_drop(s[i]);
}

static void programs_that_differ_in_weights_only_are_two(void **state)
{
    bench *b = *state;
    static const char text[] = PROGRAM(
        ROW32 " in_a",
        "        " ROW32 " w = const()[name = string(\"w\"), val = " ROW32
        "(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = "
        "uint64(64)))];\n" LET(ROW32, "made", "mul(x = in_a, y = w)"),
        "made");
    dev_program *p[2];
    mil_blob_writer *w[2];
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    put_ramp(x, 128, 0, 1);
    for (int i = 0; i < 2; i++) {
        half data[128];
        uint64_t offset;
        mil_blob_file f = {.path = "@model_path/weights/w.bin"};
        for (int k = 0; k < 128; k++) data[k] = half_from_double(i + 2);
        assert_ok(mil_blob_new(&w[i]));
        assert_ok(mil_blob_add(w[i], MIL_FP16, data, sizeof data, &offset));
        assert_ok(mil_blob_bytes(w[i], &f.bytes, &f.size));
        assert_ok(try_load(b->d, text, &f, 1, &p[i]));
    }
    assert_int_equal(fake.loaded(), 2);
    for (int i = 0; i < 2; i++) {
        assert_ok(run_and_wait(p[i], &x, 1, &y, 1, NULL));
        assert_ramp(y, 128, 0, i + 2);
        mil_blob_free(w[i]);
        dev_unload(p[i]);
    }
    dev_drop(x);
    dev_drop(y);
}

/* ---- order ---- */
/* 600 runs of three programs on six surfaces, picked at random: with workers
 * side by side the numbers are those of one run after the other. */
static void any_order_gives_the_numbers_of_one_after_the_other(void **state)
{
    enum { SURFACES = 6, RUNS = 600, N = 128 };
    static const char *const text[] = {PLUS, MINUS, LARGER};
    bench *b = *state;
    device *d[2] = {b->d, NULL};
    dev_program *p[2][3];
    dev_surface *s[2][SURFACES];
    uint64_t ticket[2];
    assert_ok(dev_open("emu:m4", NULL, &d[1]));
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 3; i++) p[k][i] = load(d[k], text[i]);
        for (int i = 0; i < SURFACES; i++) {
            s[k][i] = surface(d[k], 4, 32, 0);
            put_ramp(s[k][i], N, i, 0.25);
        }
    }
    uint64_t draws = 0;
    for (int n = 0; n < RUNS; n++) {
        int at[3], program = (int)rng_below(7, 0, draws++, 3);
        for (int i = 0; i < 3; i++) at[i] = (int)rng_below(7, 0, draws++, SURFACES);
        for (int k = 0; k < 2; k++) {
            dev_surface *in[2] = {s[k][at[0]], s[k][at[1]]};
            assert_ok(dev_run(p[k][program], in, 2, &s[k][at[2]], 1, &ticket[k]));
        }
        if (n % 97 == 0) assert_ok(dev_wait(d[0], ticket[0], NULL));
    }
    for (int k = 0; k < 2; k++) /* the last may end before the one before it */
        for (uint64_t t = 1; t <= ticket[k]; t++) assert_ok(dev_wait(d[k], t, NULL));
    for (int i = 0; i < SURFACES; i++) {
        double had[N], want[N];
        get_values(s[1][i], MIL_FP16, want, N);
        get_values(s[0][i], MIL_FP16, had, N);
        for (int e = 0; e < N; e++)
            if (had[e] != want[e] && (had[e] == had[e] || want[e] == want[e]))
                fail_msg("surface %d element %d is %g, wanted %g", i, e, had[e], want[e]);
    }
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 3; i++) dev_unload(p[k][i]);
        for (int i = 0; i < SURFACES; i++) dev_drop(s[k][i]);
    }
    dev_close(d[1]);
}

#define SQUARE "tensor<fp16, [1, 1, 256, 256]>"
#define PRODUCT(name)                                                       \
    PROGRAM(SQUARE " in_a",                                                 \
            CONST("bool", "no", "false")                                    \
                LET(SQUARE, name,                                           \
                    "matmul(transpose_x = no, transpose_y = no, x = in_a, " \
                    "y = in_a)"),                                           \
            name)

static void different_programs_run_at_once_and_one_never_with_itself(void **state)
{
    bench *b = *state;
    static const mil_type square = {
        .dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 1, 256, 256}};
    static const char *const text[] = {PRODUCT("one"), PRODUCT("two"), PRODUCT("three")};
    dev_program *p[3];
    dev_surface *in = surface_of(b->d, &square), *out[3];
    uint64_t t = 0;
    for (int i = 0; i < 3; i++) {
        p[i] = load(b->d, text[i]);
        out[i] = surface_of(b->d, &square);
    }
    assert_int_equal(fake.most_in_flight(), 1); /* so far */
    for (int n = 0; n < 60; n++) assert_ok(dev_run(p[0], &in, 1, &out[n % 3], 1, &t));
    assert_ok(dev_wait(b->d, t, NULL));
    assert_int_equal(fake.most_in_flight(), 1);
    for (int turn = 0; turn < 20 && fake.most_in_flight() < 2; turn++) {
        for (int n = 0; n < 30; n++)
            assert_ok(dev_run(p[n % 3], &in, 1, &out[n % 3], 1, &t));
        assert_ok(dev_wait(b->d, t, NULL));
    }
    assert_int_equal(fake.most_in_flight(), 2);
    for (int i = 0; i < 3; i++) {
        dev_unload(p[i]);
        dev_drop(out[i]);
    }
    dev_drop(in);
}

/* ---- surfaces ---- */
/* Mapped while it is queued, mapped while it is read: the engine never runs on
 * a surface that the host has locked (the fake refuses that). */
static void locks_of_the_host_do_not_meet_the_engine(void **state)
{
    bench *b = *state;
    dev_program *p = load(b->d, PLUS);
    dev_surface *s[3] = {surface(b->d, 4, 32, 0), surface(b->d, 4, 32, 0),
                         surface(b->d, 4, 32, 0)};
    void *host;
    uint64_t t = 0;
    put_ramp(s[1], 128, 1, 0);
    assert_ok(dev_map(s[0], &host)); /* written, queued, and only then unmapped */
    for (int i = 0; i < 128; i++) ((half *)host)[i] = half_from_double(i);
    assert_ok(dev_run(p, s, 2, s + 2, 1, &t));
    assert_ok(dev_wait(b->d, t, NULL));
    assert_ok(dev_unmap(s[0]));
    assert_ramp(s[2], 128, 1, 1);
    for (int n = 0; n < 50; n++) {
        for (int k = 0; k < 4; k++) assert_ok(dev_run(p, s, 2, s + 2, 1, &t));
        assert_ok(dev_map(s[0], &host)); /* runs read it */
        assert_near(half_to_double(((half *)host)[7]), 7, 0);
        assert_ok(dev_unmap(s[0]));
    }
    assert_ok(dev_wait(b->d, t, NULL));
    dev_unload(p);
    for (int i = 0; i < 3; i++) dev_drop(s[i]);
}

/* A surface that goes takes its requests along: one made later at the same
 * address is not mistaken for it. */
static void requests_follow_the_surfaces(void **state)
{
    bench *b = *state;
    dev_program *p = load(b->d, PLUS);
    dev_surface *a = surface(b->d, 4, 32, 0), *out = surface(b->d, 4, 32, 0);
    put_ramp(a, 128, 1, 0);
    dev_surface *pair[2] = {a, NULL};
    int64_t live = 0;
    for (int n = 0; n < 40; n++) {
        pair[1] = surface(b->d, 4, 32, 0);
        put_ramp(pair[1], 128, n, 1);
        assert_ok(run_and_wait(p, pair, 2, &out, 1, NULL));
        assert_ramp(out, 128, n + 1, 1);
        dev_drop(pair[1]);
        if (n == 0) live = fake.live_objects();
        assert_int_equal(fake.live_objects(), live);
    }
    dev_unload(p);
    dev_drop(a);
    dev_drop(out);
}

static void bindings_without_end_do_not_fill_the_memory(void **state)
{
    enum { SURFACES = 9 };
    bench *b = *state;
    dev_program *p = load(b->d, PLUS);
    dev_surface *s[SURFACES];
    for (int i = 0; i < SURFACES; i++) {
        s[i] = surface(b->d, 4, 32, 0);
        put_ramp(s[i], 128, 0, 0);
    }
    ane_model *m = ((ane_program *)p)->model;
    for (int i = 0; i < SURFACES * SURFACES * SURFACES; i++) {
        dev_surface *in[2] = {s[i % SURFACES], s[i / SURFACES % SURFACES]};
        assert_ok(run_and_wait(p, in, 2, &s[i / SURFACES / SURFACES], 1, NULL));
        assert_true(m->n_bindings <= 256);
    }
    for (int i = 0; i < SURFACES; i++) dev_drop(s[i]);
    assert_int_equal(m->n_bindings, 0);
    dev_unload(p);
}

/* ---- what opening found out ---- */
static void the_trial_settles_whether_surfaces_have_one_size(void **state)
{
    bench *b = *state;
    /* The fake refuses unequal sizes, so here the rule is known to hold. */
    assert_true(b->caps.rule_holds[RULE_uniform_surfaces]);
    assert_false(b->caps.rule_disputed[RULE_uniform_surfaces]);
    assert_string_equal(b->caps.model, "m4");
    assert_true(str_starts(b->caps.uri, "ane:client") ||
                str_starts(b->caps.uri, "ane:memory"));
    assert_int_equal(b->caps.surface_min_bytes, 49152);
    assert_int_equal(b->caps.surface_align, 16384);
}

static void a_route_is_found_without_being_told(void **state)
{
    device *d;
    dev_caps caps;
    assert_ok(dev_open("ane:compiles=none,lib=" FAKE_LIB, NULL, &d));
    assert_ok(dev_caps_of(d, &caps));
    assert_true(str_starts(caps.uri, "ane:client,lib="));
    dev_close(d);
}

static void assert_nothing_staged(const bench *b)
{
    arena *mem = arena_new();
    char **names;
    size_t n;
    assert_ok(file_list(mem, b->dir, &names, &n));
    if (n) fail_msg("%s is left", names[0]);
    arena_free(mem);
}

static void nothing_is_staged_while_programs_run(void **state)
{
    bench *b = *state;
    dev_program *p = load(b->d, PLUS);
    assert_nothing_staged(b);
    dev_unload(p);
    assert_nothing_staged(b);
    dev_program *q = NULL;
    assert_true(try_load(b->d, "program(1.3) {", NULL, 0, &q) != OK);
    assert_nothing_staged(b);
}

static void programs_can_be_staged_on_another_disk(void **state)
{
    bench *b = *state;
    char uri[400];
    const char *ram = test_path(b->dir, "ram");
    device *d;
    assert_ok(file_make_dirs(ram));
    snprintf(uri, sizeof uri, "%s,staging=%s", b->uri, ram);
    assert_ok(dev_open(uri, NULL, &d));
    dev_program *p = load(d, MINUS);
    dev_unload(p);
    dev_close(d);
    assert_ok(file_remove(ram)); /* empty again */
    assert_nothing_staged(b);
    snprintf(uri, sizeof uri, "%s,staging=%s/none", b->uri, b->dir);
    assert_fails(dev_open(uri, NULL, &d), E_DEVICE, "none");
}

static void readings_are_of_the_process(void **state)
{
    bench *b = *state;
    dev_sample before, after;
    assert_ok(dev_sample_of(b->d, &before));
    dev_program *p = load(b->d, PLUS);
    assert_ok(dev_sample_of(b->d, &after));
    assert_near(after.value[DEV_LOADS] - before.value[DEV_LOADS], 1, 0);
    assert_near(after.value[DEV_LOADED] - before.value[DEV_LOADED], 1, 0);
    assert_false(after.valid & 1u << DEV_WATTS); /* no meters here */
    dev_unload(p);
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* Two runs of 60 ms at once, then a rest of 60 ms: busy is the time in which
 * there was a run, not the sum of their times. */
static void busy_is_the_time_in_which_anything_ran(void **state)
{
    bench *b = *state;
    dev_sample s;
    uint64_t ticket[2];
    dev_program *p[2] = {load(b->d, PLUS), load(b->d, MINUS)};
    dev_surface *x = surface(b->d, 4, 32, 0), *in[2] = {x, x},
                *y[2] = {surface(b->d, 4, 32, 0), surface(b->d, 4, 32, 0)};
    put_ramp(x, 128, 0, 1);
    fake.tell("pause=evaluate,60");
    assert_ok(dev_sample_of(b->d, &s));
    double start = clock_ms();
    for (int i = 0; i < 2; i++) assert_ok(dev_run(p[i], in, 2, &y[i], 1, &ticket[i]));
    for (int i = 0; i < 2; i++) assert_ok(dev_wait(b->d, ticket[i], NULL));
    double ran = clock_ms() - start;
    pause_ms(60);
    double least = clock_ms() - start;
    assert_ok(dev_sample_of(b->d, &s));
    double most = clock_ms() - start;
    assert_true(s.valid & 1u << DEV_BUSY);
    assert_true(s.value[DEV_BUSY] <= ran / least);
    assert_true(s.value[DEV_BUSY] >= 60 / (most + 5)); /* the first sample took some */
    fake.tell("");
    /* A run that has not ended counts as far as it has come. */
    fake.tell("pause=evaluate,200");
    assert_ok(dev_sample_of(b->d, &s));
    assert_ok(dev_run(p[0], in, 2, &y[0], 1, &ticket[0]));
    pause_ms(60);
    assert_ok(dev_sample_of(b->d, &s));
    assert_true(s.value[DEV_BUSY] > 0);
    assert_ok(dev_wait(b->d, ticket[0], NULL));
    fake.tell("");
    for (int i = 0; i < 2; i++) dev_unload(p[i]), dev_drop(y[i]);
    dev_drop(x);
}

static void keep_fact(void *ctx, const dev_fact *f)
{
    str_addf(ctx, "%s %s = %s; ", f->kind, f->name, f->had);
}

/* Meters and facts through the whole driver; the rules of believing them are
 * tested with ane_report alone. */
static void meters_are_read_while_the_engine_works(void **state)
{
    bench *b = *state;
    dev_sample s;
    device *d;
    str told = {0};
    fake.tell("meters=m1;sysctl=kern.osversion,24D70;sysctl=hw.memsize,17179869184");
    assert_ok(dev_open(b->uri, NULL, &d));
    dev_program *p = load(d, PLUS);
    dev_surface *x = surface(d, 4, 32, 0), *in[2] = {x, x}, *y = surface(d, 4, 32, 0);
    put_ramp(x, 128, 0, 1);
    for (int i = 0; i < 3; i++) {
        assert_ok(run_and_wait(p, in, 2, &y, 1, NULL));
        pause_ms(ANE_REPORT_EVERY_MS + 10);
        assert_ok(dev_sample_of(d, &s));
        assert_int_equal(s.valid >> DEV_WATTS & 1, i > 0); /* believed the second time */
        assert_int_equal(s.valid >> DEV_GBS & 1, i > 0);
    }
    assert_true(s.value[DEV_WATTS] > 0 && s.value[DEV_WATTS] <= 0.040 / 0.25);
    assert_ok(dev_facts_of(b->uri, keep_fact, &told));
    assert_text_has(str_text(&told), "machine build = 24D70; machine memory = 16 GB; ");
    assert_text_has(str_text(&told),
                    "meter watts = Energy Model: ANE0 (mJ); meter gbs = ");
    str_free(&told);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
    dev_close(d);
    fake.tell("");
    fake.meters(NULL);
}

/* ---- errors ---- */
static void a_failed_run_names_the_cause_and_spoils_only_its_outputs(void **state)
{
    bench *b = *state;
    dev_program *p = load(b->d, PLUS);
    dev_surface *s[3] = {surface(b->d, 4, 32, 0), surface(b->d, 4, 32, 0),
                         surface(b->d, 4, 32, 0)};
    void *host;
    put_ramp(s[0], 128, 0, 1);
    put_ramp(s[1], 128, 0, 1);
    assert_ok(run_and_wait(p, s, 2, s + 2, 1, NULL));
    uint64_t first = fake.calls();
    assert_ok(run_and_wait(p, s, 2, s + 2, 1, NULL));
    uint64_t of_a_run = fake.calls() - first;
    bool seen = false;
    for (uint64_t n = 1; n <= of_a_run; n++) {
        fake.fail_at(n);
        rc r = run_and_wait(p, s, 2, s + 2, 1, NULL);
        fake.fail_at(0);
        if (r == OK) continue;
        assert_int_equal(r, E_DEVICE);
        if (strstr(err_text(), "com.apple.appleneuralengine, code 8, status 0x")) {
            seen = true;
            assert_text_has(err_text(), "hint: ");
            assert_text_has(err_text(), "cannot run the program");
        }
        assert_fails(dev_map(s[2], &host), E_DEVICE, "failed");
        assert_ramp(s[0], 128, 0, 1);
        assert_ok(run_and_wait(p, s, 2, s + 2, 1, NULL));
        assert_ramp(s[2], 128, 0, 2);
    }
    assert_true(seen);
    dev_unload(p);
    for (int i = 0; i < 3; i++) dev_drop(s[i]);
}

static void the_systems_errors_are_explained(void **state)
{
    static const struct {
        const char *domain;
        long code;
        const char *said;
        rc result;
        const char *part;
    } cases[] = {
        {"com.apple.appleneuralengine", 8,
         "f: ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9: "
         "Program Inference error",
         E_DEVICE, "a surface is too small"},
        {"com.apple.appleneuralengine", 8, "Program Inference error", E_DEVICE, "power"},
        {"com.apple.appleneuralengine", 6, "loadModel: Program load failure (0x50004)",
         E_BUDGET, "slots"},
        {"com.apple.appleneuralengine", 22, "f: Host too old, ANE hardware not available",
         E_DEVICE, "virtual machine"},
        {"com.apple.appleneuralengine", 9, "f: file access failure", E_DEVICE, "sandbox"},
        {"com.apple.appleneuralengine.compiler", 1,
         "_ANECompiler : ANECCompile() FAILED err=(InvalidMILProgram)", E_RULE, "text"},
        {"com.apple.appleneuralengine.compiler", 1,
         "_ANECompiler : ANECCompile() FAILED err=()", E_RULE, "119"},
        {"com.apple.appleneuralengine", 8, "kernel said 0xe00002e2", E_DEVICE, "trust"},
        {"NSCocoaErrorDomain", 4099, "connection invalid", E_DEVICE, "service"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(
            ane_say(cases[i].domain, cases[i].code, cases[i].said, E_FAILED, "try"),
            cases[i].result);
        assert_text_has(err_text(), cases[i].domain);
        assert_text_has(err_text(), "hint: ");
        assert_text_has(err_text(), cases[i].part);
    }
    assert_int_equal(ane_say("NSPOSIXErrorDomain", 28, "no\nspace", E_IO, "try"), E_IO);
    assert_string_equal(err_text(), "cannot try: NSPOSIXErrorDomain, code 28: no space");
}

static void the_fakes_limits_are_told_as_limits(void **state)
{
    bench *b = *state;
    dev_program *p = NULL;
    device *d;
    char uri[300];
    snprintf(uri, sizeof uri, "%.*s,compiles=100000",
             (int)(strlen(b->uri) - strlen(",compiles=none")), b->uri);
    fake.limits(fake.compiles() + 2, 128);
    if (dev_open(uri, NULL, &d) != OK) return; /* used up by opening */
    rc r = OK;
    for (int i = 0; i < 3 && r == OK; i++) {
        dev_unload(p);
        p = NULL;
        r = try_load(d, i ? MINUS : PLUS, NULL, 0, &p);
    }
    if (r != OK) assert_text_has(err_text(), "119 compiles");
    dev_unload(p);
    dev_close(d);
}

/* The tables refuse an input that is not used; without them the system does,
 * in its own words. */
static void without_rules_the_system_refuses(void **state)
{
    static const char text[] = PROGRAM(ROW32 " in_a, " ROW32 " in_b",
                                       LET(ROW32, "made", "relu(x = in_a)"), "made");
    bench *b = *state;
    dev_program *p = NULL;
    device *d;
    char uri[320];
    assert_fails(try_load(b->d, text, NULL, 0, &p), E_RULE, "rule 'inputs_used'");
    snprintf(uri, sizeof uri, "%s,rules=none", b->uri);
    assert_ok(dev_open(uri, NULL, &d));
    rc r = try_load(d, text, NULL, 0, &p);
    if (r == OK) { /* the fake may let it pass and fail when it runs */
        dev_surface *s[3] = {surface(d, 4, 32, 0), surface(d, 4, 32, 0),
                             surface(d, 4, 32, 0)};
        r = run_and_wait(p, s, 2, s + 2, 1, NULL);
        for (int i = 0; i < 3; i++) dev_drop(s[i]);
    }
    assert_true(r == E_RULE || r == E_DEVICE);
    assert_text_has(err_text(), "com.apple.appleneuralengine");
    if (p) dev_unload(p);
    dev_close(d);
}

/* ---- ports ---- */
static ane_id text_of(const ane_sys *a, const char *s)
{
    ane_id t;
    assert_ok(ane_make_text(a, s, &t));
    return t;
}

static ane_id list_of(const ane_sys *a, const ane_id *items, size_t n)
{
    ane_id list;
    assert_ok(ane_make_array(a, items, n, &list));
    for (size_t i = 0; i < n; i++) ane_drop(a, items[i]);
    return list;
}

static ane_id dict_of(const ane_sys *a, const char *const *names, const ane_id *values,
                      size_t n)
{
    ane_id keys[8] = {NULL}, dict;
    for (size_t i = 0; i < n; i++) keys[i] = text_of(a, names[i]);
    assert_ok(ane_make_dict(a, keys, values, n, &dict));
    for (size_t i = 0; i < n; i++) {
        ane_drop(a, keys[i]);
        ane_drop(a, values[i]);
    }
    return dict;
}

static ane_id number_of(const ane_sys *a, int64_t v)
{
    ane_id n;
    assert_ok(ane_make_number(a, v, &n));
    return n;
}

/* Attributes as a loaded program gives them: names of inputs, one output, and
 * the stride at which rows of the first input are read. */
static ane_id attributes(const ane_sys *a, const char *first, const char *second,
                         int64_t stride)
{
    static const char *const d_keys[] = {"kANEFModelInputSymbolsArrayKey",
                                         "kANEFModelOutputSymbolsArrayKey"},
                             *const port_keys[] = {"Name",      "Width",
                                                   "Height",    "Channels",
                                                   "RowStride", "PlaneStride"},
                             *const net_keys[] = {"LiveInputList"},
                             *const keys[] = {"ANEFModelDescription",
                                              "NetworkStatusList"};
    ane_id in = list_of(a, (ane_id[]){text_of(a, first), text_of(a, second)}, 2);
    ane_id out = list_of(a, (ane_id[]){text_of(a, "made@output")}, 1);
    ane_id description = dict_of(a, d_keys, (ane_id[]){in, out}, 2);
    ane_id port = dict_of(a, port_keys,
                          (ane_id[]){text_of(a, first), number_of(a, 32), number_of(a, 1),
                                     number_of(a, 4), number_of(a, stride),
                                     number_of(a, stride)},
                          6);
    ane_id list = list_of(a, &port, 1);
    ane_id network = dict_of(a, net_keys, &list, 1);
    ane_id networks = list_of(a, &network, 1);
    return dict_of(a, keys, (ane_id[]){description, networks}, 2);
}

static void ports_are_bound_where_the_program_says(void **state)
{
    static ane_sys a;
    mil_type row = {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 4, 1, 32}};
    const dev_port in[] = {{"in_a", row}, {"in_b", row}}, out[] = {{"made", row}};
    const dev_ports ports = {2, 1, in, out};
    int in_at[2] = {0, 1}, out_at[1] = {0}, told;
    assert_ok(ane_sys_open(&a, FAKE_LIB));
    ane_id t = attributes(&a, "in_b", "in_a", 64);
    assert_ok(ane_read_ports(&a, t, &ports, in_at, out_at, &told));
    assert_int_equal(told, 2);
    assert_int_equal(in_at[0], 1);
    assert_int_equal(in_at[1], 0);
    assert_int_equal(out_at[0], 0);
    ane_drop(&a, t);
    t = attributes(&a, "in_a", "in_c", 64);
    assert_fails(ane_read_ports(&a, t, &ports, in_at, out_at, &told), E_DEVICE, "in_b");
    ane_drop(&a, t);
    t = attributes(&a, "in_a", "in_b", 128);
    assert_fails(ane_read_ports(&a, t, &ports, in_at, out_at, &told), E_RULE,
                 "row_multiple");
    ane_drop(&a, t);
    in_at[0] = 7; /* nothing said, nothing changed */
    assert_ok(ane_read_ports(&a, NULL, &ports, in_at, out_at, &told));
    assert_int_equal(told, 0);
    t = number_of(&a, 3);
    assert_ok(ane_read_ports(&a, t, &ports, in_at, out_at, &told));
    assert_int_equal(in_at[0], 7);
    ane_drop(&a, t);
    assert_int_equal(a.live, 0);
}

/* ---- the list ---- */
#define ON_ROUTES(f)                                                       \
    {#f " (client)", f, set_up, tear_down, (void *)(uintptr_t)routes[0]},  \
    {                                                                      \
#f " (memory)", f, set_up, tear_down, (void *)(uintptr_t)routes[1] \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ROUTES(the_trial_finds_an_engine_that_computes_otherwise),
        ON_ROUTES(a_transient_lack_of_room_is_waited_for),
        ON_ROUTES(equal_programs_are_one_on_the_engine),
        ON_ROUTES(programs_that_differ_in_weights_only_are_two),
        ON_ROUTES(any_order_gives_the_numbers_of_one_after_the_other),
        ON_ROUTES(different_programs_run_at_once_and_one_never_with_itself),
        ON_ROUTES(locks_of_the_host_do_not_meet_the_engine),
        ON_ROUTES(requests_follow_the_surfaces),
        ON_ROUTES(bindings_without_end_do_not_fill_the_memory),
        ON_ROUTES(the_trial_settles_whether_surfaces_have_one_size),
        ON_ROUTES(nothing_is_staged_while_programs_run),
        ON_ROUTES(programs_can_be_staged_on_another_disk),
        ON_ROUTES(readings_are_of_the_process),
        ON_ROUTES(busy_is_the_time_in_which_anything_ran),
        ON_ROUTES(meters_are_read_while_the_engine_works),
        ON_ROUTES(a_failed_run_names_the_cause_and_spoils_only_its_outputs),
        ON_ROUTES(the_fakes_limits_are_told_as_limits),
        ON_ROUTES(without_rules_the_system_refuses),
        cmocka_unit_test(a_route_is_found_without_being_told),
        cmocka_unit_test(the_systems_errors_are_explained),
        cmocka_unit_test(ports_are_bound_where_the_program_says),
    };
    alarm(300); /* a queue that hangs must end the test, not the day */
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
