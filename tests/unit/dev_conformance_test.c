/* What any driver must keep of device.h about surfaces, runs and threads;
 * opening and loading are in dev_conformance_load_test. A new driver adds its
 * URI in dev_suite.h and, where it cannot do something, a row to a list. */
#include "dev_suite.h"

static const exception never[] = {
    {"null:", "a_surface_in_use_cannot_be_mapped", "runs end as soon as they begin"},
    {NULL, NULL, NULL}};
static const exception expected_to_fail[] = {{NULL, NULL, NULL}};

/* ---- surfaces ---- */
static void larger_surfaces_are_read_packed_from_byte_0(void **state)
{
    bench *b = *state;
    dev_program *p = load(b->d, ADD_ONE);
    dev_surface *x = surface(b->d, 8, 64, 0), *y = surface(b->d, 8, 64, 0);
    put_ramp(x, 512, 0, 1);
    put_ramp(y, 512, -1, 0);
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 1, 1);
    double rest[512];
    get_values(y, MIL_FP16, rest, 512);
    for (int i = 128; i < 512; i++) assert_near(rest[i], -1, 0);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

static void surfaces_that_do_not_fit_are_refused(void **state)
{
    bench *b = *state;
    dev_surface *s = NULL;
    dev_shape small = {MIL_FP16, 4, {1, 64, 1, 512}, 16384};
    assert_fails(dev_surface_new(b->d, &small, &s), E_SHAPE, "too small");
    dev_shape none = {MIL_FP16, 4, {1, 0, 1, 32}, 0};
    assert_fails(dev_surface_new(b->d, &none, &s), E_SHAPE, NULL);
    dev_shape deep = {MIL_FP16, 6, {1, 1, 1, 1, 1}, 0};
    assert_fails(dev_surface_new(b->d, &deep, &s), E_SHAPE, NULL);
    dev_shape huge = {MIL_FP16, 2, {INT64_MAX / 2, 16}, 0};
    assert_fails(dev_surface_new(b->d, &huge, &s), E_SHAPE, NULL);
    dev_shape word = {MIL_STRING, 1, {4}, 0};
    assert_fails(dev_surface_new(b->d, &word, &s), E_SHAPE, NULL);
    assert_null(s);
}

static void a_run_refuses_surfaces_that_are_not_its_own(void **state)
{
    bench *b = *state;
    uint64_t t;
    dev_program *p = load(b->d, DOUBLE);
    device *d2 = open_with(b, "");
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    dev_surface *foreign = surface(d2, 4, 32, 0);
    dev_surface *pair[2] = {x, y}, *nothing = NULL;
    assert_fails(dev_run(p, pair, 2, &y, 1, &t), E_DEVICE, "1 inputs");
    assert_fails(dev_run(p, &x, 1, pair, 0, &t), E_DEVICE, "1 outputs");
    assert_fails(dev_run(p, &nothing, 1, &y, 1, &t), E_DEVICE, NULL);
    assert_fails(dev_run(p, &x, 1, &foreign, 1, &t), E_DEVICE, "another device");
    dev_shape ints = {MIL_INT32, 4, {1, 4, 1, 32}, 49152};
    dev_surface *whole;
    assert_ok(dev_surface_new(b->d, &ints, &whole));
    assert_fails(dev_run(p, &whole, 1, &y, 1, &t), E_DEVICE, "int32");
    assert_int_equal(t, 0);
    dev_drop(whole);
    dev_drop(foreign);
    dev_close(d2);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

/* Refused when queued, or the run itself fails: never a read past the end. */
static void a_run_on_a_surface_too_small_fails(void **state)
{
    bench *b = *state;
    uint64_t t;
    dev_program *p = load(b->d, DOUBLE);
    dev_surface *full = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    dev_surface *little = surface(b->d, 4, 16, 128);
    for (int side = 0; side < 2; side++) {
        rc r = dev_run(p, side ? &full : &little, 1, side ? &little : &y, 1, &t);
        if (r == OK) r = dev_wait(b->d, t, NULL);
        assert_true(r == E_RULE || r == E_DEVICE);
    }
    dev_unload(p);
    dev_drop(full);
    dev_drop(y);
    dev_drop(little);
}

static void a_surface_is_mapped_once_at_a_time(void **state)
{
    bench *b = *state;
    void *p, *q;
    uint64_t t;
    dev_program *prog = load(b->d, DOUBLE);
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    assert_fails(dev_unmap(x), E_DEVICE, "not mapped");
    assert_ok(dev_map(y, &p));
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_fails(dev_map(y, &q), E_DEVICE, "mapped");
    assert_null(q);
    assert_fails(dev_run(prog, &x, 1, &y, 1, &t), E_DEVICE, "mapped");
    assert_ok(dev_unmap(y));
    assert_ok(run_and_wait(prog, &x, 1, &y, 1, NULL));
    dev_unload(prog);
    dev_drop(x);
    dev_drop(y);
}

static void a_surface_in_use_cannot_be_mapped(void **state)
{
    bench *b = *state;
    uint64_t t = 0;
    void *p;
    dev_program *slow = load_slow(b->d);
    dev_surface *x = surface(b->d, 128, 128, 0), *y = surface(b->d, 128, 128, 0);
    put_ramp(x, 128 * 128, 0, 0);
    int refused = 0;
    /* The machine may look away for longer than the runs take: try again. */
    for (int turn = 0; turn < 20 && !refused; turn++) {
        for (int i = 0; i < 20; i++) assert_ok(dev_run(slow, &x, 1, &y, 1, &t));
        if (dev_map(y, &p) == OK) assert_ok(dev_unmap(y));
        else refused = 1, assert_text_has(err_text(), "in flight");
        assert_ok(dev_wait(b->d, t, NULL));
        assert_ok(dev_map(y, &p));
        assert_ok(dev_unmap(y));
    }
    assert_true(refused);
    dev_unload(slow);
    dev_drop(x);
    dev_drop(y);
}

static void an_output_may_be_the_input(void **state)
{
    bench *b = *state;
    uint64_t t = 0;
    dev_program *p = load(b->d, ADD_ONE);
    dev_surface *x = surface(b->d, 4, 32, 0);
    put_ramp(x, 128, 0, 1);
    for (int i = 0; i < 10; i++) assert_ok(dev_run(p, &x, 1, &x, 1, &t));
    assert_ok(dev_wait(b->d, t, NULL));
    EXPECT_RAMP(b, x, 128, 10, 1);
    dev_unload(p);
    /* Also where one element is needed after its place was written. */
    p = load(b->d, PROGRAM(ROW32 " in_a",
                           CONST("tensor<int32, [4]>", "order", "[0, 3, 2, 1]")
                               CONST("tensor<int32, [4]>", "form", "[1, 4, 1, 32]") LET(
                                   "tensor<fp16, [1, 32, 1, 4]>", "turned",
                                   "transpose(perm = order, x = in_a)")
                                   LET(ROW32, "out", "reshape(shape = form, x = turned)"),
                           "out"));
    put_ramp(x, 128, 0, 1);
    assert_ok(run_and_wait(p, &x, 1, &x, 1, NULL));
    double v[128];
    get_values(x, MIL_FP16, v, 128);
    for (int i = 0; i < 128 && b->caps.computes; i++)
        assert_near(v[i], i % 4 * 32 + i / 4, 0);
    dev_unload(p);
    dev_drop(x);
}

static void two_outputs_cannot_share_a_surface(void **state)
{
    bench *b = *state;
    uint64_t t;
    dev_program *p = load(b->d, PROGRAM(ROW32 " in_a",
                                        LET(ROW32, "out_a", "relu(x = in_a)")
                                            LET(ROW32, "out_b", "abs(x = in_a)"),
                                        "out_a, out_b"));
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    dev_surface *twice[2] = {y, y};
    assert_fails(dev_run(p, &x, 1, twice, 2, &t), E_DEVICE, "one surface");
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

/* ---- runs ---- */
static void each_ticket_has_its_own_result(void **state)
{
    bench *b = *state;
    device *d = open_with(b, ",fail=2");
    dev_program *p = load(d, DOUBLE);
    dev_surface *x = surface(d, 4, 32, 0), *y[3];
    uint64_t t[3];
    dev_stats stats;
    put_ramp(x, 128, 0, 1);
    for (int i = 0; i < 3; i++) {
        y[i] = surface(d, 4, 32, 0);
        assert_ok(dev_run(p, &x, 1, &y[i], 1, &t[i]));
    }
    assert_ok(dev_wait(d, t[2], &stats));
    assert_true(stats.ms >= 0);
    assert_fails(dev_wait(d, t[1], NULL), E_DEVICE, NULL);
    assert_ok(dev_wait(d, t[0], NULL));
    /* Waiting again gives the same answer, or says that it is gone. */
    assert_true(dev_wait(d, t[1], NULL) == E_DEVICE);
    rc again = dev_wait(d, t[0], NULL);
    assert_true(again == OK || again == E_DEVICE);
    assert_fails(dev_wait(d, t[2] + 1000, NULL), E_DEVICE, NULL);
    assert_fails(dev_wait(d, 0, NULL), E_DEVICE, NULL);
    EXPECT_RAMP(b, y[0], 128, 0, 2);
    EXPECT_RAMP(b, y[2], 128, 0, 2);
    dev_unload(p);
    dev_drop(x);
    for (int i = 0; i < 3; i++) dev_drop(y[i]);
    dev_close(d);
}

static void outputs_of_a_failed_run_are_invalid_until_written(void **state)
{
    bench *b = *state;
    device *d = open_with(b, ",fail=1");
    dev_program *p = load(d, DOUBLE);
    dev_surface *x = surface(d, 4, 32, 0), *y = surface(d, 4, 32, 0),
                *z = surface(d, 4, 32, 0);
    uint64_t t[2];
    void *host;
    put_ramp(x, 128, 1, 0);
    assert_ok(dev_run(p, &x, 1, &y, 1, &t[0]));
    assert_ok(dev_run(p, &y, 1, &z, 1, &t[1])); /* on what the first should have made */
    assert_fails(dev_wait(d, t[0], NULL), E_DEVICE, NULL);
    assert_fails(dev_wait(d, t[1], NULL), E_DEVICE, NULL);
    assert_fails(dev_map(y, &host), E_DEVICE, "failed");
    assert_fails(dev_map(z, &host), E_DEVICE, "failed");
    assert_ok(dev_map(x, &host)); /* its input is as it was */
    assert_ok(dev_unmap(x));
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 2, 0);
    assert_fails(dev_map(z, &host), E_DEVICE, "failed");
    assert_ok(run_and_wait(p, &y, 1, &z, 1, NULL));
    EXPECT_RAMP(b, z, 128, 4, 0);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
    dev_drop(z);
    dev_close(d);
}

/* 400 runs on two surfaces, far more than the queue holds; each reads what the
 * one before wrote, so one out of order would show. */
static void runs_start_in_the_order_queued(void **state)
{
    bench *b = *state;
    uint64_t t[400];
    dev_program *p = load(b->d, ADD_ONE), *q = load(b->d, DOUBLE);
    dev_surface *s[2] = {surface(b->d, 4, 32, 0), surface(b->d, 4, 32, 0)};
    put_ramp(s[0], 128, 0, 1);
    for (int i = 0; i < 400; i++) {
        assert_ok(dev_run(i == 100 ? q : p, &s[i % 2], 1, &s[(i + 1) % 2], 1, &t[i]));
        if (i) assert_true(t[i] > t[i - 1]);
    }
    for (int i = 399; i >= 0; i -= 7) assert_ok(dev_wait(b->d, t[i], NULL));
    EXPECT_RAMP(b, s[0], 128, 2 * 100 + 299, 2); /* (i + 100) * 2 + 299 */
    dev_unload(p);
    dev_unload(q);
    dev_drop(s[0]);
    dev_drop(s[1]);
}

static void letting_go_with_runs_in_flight_does_not_hang(void **state)
{
    bench *b = *state;
    for (int order = 0; order < 3; order++) {
        device *d = open_with(b, "");
        dev_program *slow = load_slow(d);
        dev_surface *x = surface(d, 128, 128, 0), *y = surface(d, 128, 128, 0);
        uint64_t t;
        put_ramp(x, 128 * 128, 0, 0);
        for (int i = 0; i < 10; i++) assert_ok(dev_run(slow, &x, 1, &y, 1, &t));
        if (order == 0) dev_unload(slow);
        dev_drop(order == 1 ? y : x);
        dev_drop(order == 1 ? x : y);
        if (order) dev_unload(slow);
        dev_close(d);
    }
}

static void stats_and_readings_are_of_this_device(void **state)
{
    bench *b = *state;
    dev_stats stats;
    dev_sample before, after;
    dev_program *slow = load_slow(b->d);
    dev_surface *x = surface(b->d, 128, 128, 0), *y = surface(b->d, 128, 128, 0);
    put_ramp(x, 128 * 128, 0, 0);
    assert_ok(dev_sample_of(b->d, &before));
    assert_ok(run_and_wait(slow, &x, 1, &y, 1, &stats));
    if (b->caps.computes) assert_near(stats.flops, 64 * 2 * pow(128, 3), 0);
    assert_int_equal(stats.infinities, 0);
    assert_ok(dev_sample_of(b->d, &after));
    assert_false(after.valid & 1u << DEV_WATTS); /* nothing measures it here */
    assert_near(after.value[DEV_WATTS], 0, 0);
    if (after.valid & 1u << DEV_BUSY)
        assert_true(after.value[DEV_BUSY] >= 0 && after.value[DEV_BUSY] <= 1);
    dev_unload(slow);
    dev_drop(x);
    dev_drop(y);
}

/* ---- threads ---- */
typedef struct {
    const bench *b;
    double first, *got;
    rc code;
} worker;

static rc count_up(const worker *w, device *d)
{
    dev_source src = {"count", ADD_ONE, strlen(ADD_ONE), NULL, 0};
    dev_shape shape = {MIL_FP16, 4, {1, 4, 1, 32}, 49152};
    dev_program *p;
    dev_surface *s[2];
    uint64_t t = 0;
    void *host;
    TRY(dev_load(d, &src, &p));
    for (int i = 0; i < 2; i++) TRY(dev_surface_new(d, &shape, &s[i]));
    TRY(dev_map(s[0], &host));
    for (int i = 0; i < 128; i++) ((half *)host)[i] = half_from_double(w->first + i);
    TRY(dev_unmap(s[0]));
    for (int i = 0; i < 200; i++) TRY(dev_run(p, &s[i % 2], 1, &s[(i + 1) % 2], 1, &t));
    TRY(dev_wait(d, t, NULL));
    TRY(dev_map(s[0], &host));
    for (int i = 0; i < 128; i++) w->got[i] = half_to_double(((half *)host)[i]);
    TRY(dev_unmap(s[0]));
    dev_unload(p);
    for (int i = 0; i < 2; i++) dev_drop(s[i]);
    return OK;
}

static void *own_device(void *ctx)
{
    worker *w = ctx;
    device *d;
    w->code = dev_open(w->b->uri, w->b->k, &d);
    if (w->code != OK) return NULL;
    w->code = count_up(w, d);
    dev_close(d);
    return NULL;
}

static void *shared_device(void *ctx)
{
    worker *w = ctx;
    w->code = count_up(w, w->b->d);
    return NULL;
}

static void in_two_threads(const bench *b, void *(*body)(void *))
{
    double got[2][128];
    worker w[2] = {{b, 0, got[0], OK}, {b, 1000, got[1], OK}};
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, body, &w[1]), 0);
    body(&w[0]);
    pthread_join(other, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w[i].code, OK);
        for (int j = 0; j < 128 && b->caps.computes; j++)
            assert_near(got[i][j], w[i].first + 200 + j, 0);
    }
}

static void two_devices_run_in_two_threads(void **state)
{
    in_two_threads(*state, own_device);
}

static void one_device_serves_two_threads(void **state)
{
    in_two_threads(*state, shared_device);
}

static void counts_are_given_where_they_are_promised(void **state)
{
    bench *b = *state;
    dev_counts c;
    dev_program *p = load_slow(b->d);
    rc r = dev_counts_of(p, &c);
    if (b->caps.counts) {
        assert_ok(r);
        assert_true(c.runs == 0 && c.n == 64 && !strcmp(c.product[63].name, "mm_63"));
    } else {
        assert_fails(r, E_UNIMPL, "does not count");
        assert_true(c.n == 0 && !c.product);
    }
    dev_unload(p);
}

static const check checks[] = {
    CHECK(larger_surfaces_are_read_packed_from_byte_0),
    CHECK(surfaces_that_do_not_fit_are_refused),
    CHECK(a_run_refuses_surfaces_that_are_not_its_own),
    CHECK(a_run_on_a_surface_too_small_fails),
    CHECK(a_surface_is_mapped_once_at_a_time),
    CHECK(a_surface_in_use_cannot_be_mapped),
    CHECK(an_output_may_be_the_input),
    CHECK(two_outputs_cannot_share_a_surface),
    CHECK(each_ticket_has_its_own_result),
    CHECK(outputs_of_a_failed_run_are_invalid_until_written),
    CHECK(runs_start_in_the_order_queued),
    CHECK(letting_go_with_runs_in_flight_does_not_hang),
    CHECK(stats_and_readings_are_of_this_device),
    CHECK(counts_are_given_where_they_are_promised),
    CHECK(two_devices_run_in_two_threads),
    CHECK(one_device_serves_two_threads),
};

int main(void)
{
    const suite s = {checks, COUNT_OF(checks), never, expected_to_fail};
    return run_suite(&s, NULL, 0);
}
