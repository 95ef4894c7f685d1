/* exec_step_test.c - carrying out a plan: no allocation, the same bits however
 * it is run, failures that say where, nothing that bypasses MIL. */
#include "exec/internal.h"
#include "small_run.h"

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    for (int loss = PLAN_LOSS_HOST; loss <= PLAN_LOSS_ENGINE; loss++) {
        plan_options o = {.dw = PLAN_DW_HOST, .loss = (plan_loss)loss};
        run r = run_open(run_small, "emu:m4", &o);
        run_start(&r);
        run_step(&r, NULL);
        mem_fail_at(1); /* any allocation from now on fails, and the step with it */
        rc code = exec_step(r.x, NULL);
        mem_fail_at(0);
        assert_ok(code);
        run_close(&r);
    }
}

static void gradients_add_up(void **state)
{
    (void)state;
    run r = run_open(run_small, "emu:m4", NULL);
    run_start(&r);
    run_step(&r, NULL);
    float once = r.g[3][5];
    assert_ok(exec_step(r.x, NULL));
    assert_float_equal(r.g[3][5], 2 * once, 0);
    run_close(&r);
}

/* What the engine made is added where it lies, not to a copy of each gradient; and
 * adding is no product that counts again. */
static void gradients_of_the_engine_are_only_added(void **state)
{
    (void)state;
    exec_stats stats[2];
    size_t bytes[2], gradients = 0;
    for (int engine = 0; engine < 2; engine++) {
        plan_options o = {.dw = engine ? PLAN_DW_ENGINE : PLAN_DW_HOST};
        llama_shape s = run_small;
        s.dim = 128, s.hidden = 384, s.head_dim = 64;
        run r = run_open(s, "emu:m4", &o);
        run_start(&r);
        bytes[engine] = arena_bytes(r.x->mem);
        gradients = (size_t)r.p->memory.gradients;
        assert_ok(exec_step(r.x, &stats[engine]));
        run_close(&r);
    }
    assert_near(stats[1].flops, stats[0].flops, 0.01 * stats[0].flops);
    assert_true(gradients > 1 << 20);
    assert_true(bytes[1] < bytes[0] + gradients / 4);
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    run a = run_open_threads(run_small, "emu:m4", NULL, 1);
    run b = run_open_threads(run_small, "emu:m4", NULL, 3);
    run_start(&a);
    run_start(&b);
    for (int step = 0; step < 3; step++) {
        run_step(&a, NULL);
        run_step(&b, NULL);
        for (int i = 0; i < a.m.n; i++)
            assert_memory_equal(a.g[i], b.g[i],
                                (size_t)ir_count(a.m.param[i]->shape) * 4);
    }
    run_close(&a);
    run_close(&b);
}

/* ---- failures ---- */
static void a_failed_run_says_where_and_the_next_step_is_whole(void **state)
{
    (void)state;
    run good = run_open(run_small, "emu:m4", NULL);
    run_start(&good);
    run_step(&good, NULL);
    for (int n = 1; n <= good.p->launches; n++) {
        char uri[32];
        snprintf(uri, sizeof uri, "emu:m4,fail=%d", n);
        run r = run_open(run_small, uri, NULL);
        run_start(&r);
        assert_fails(exec_step(r.x, NULL), E_DEVICE, "while running step");
        run_step(&r, NULL);
        for (int i = 0; i < r.m.n; i++)
            assert_memory_equal(r.g[i], good.g[i],
                                (size_t)ir_count(r.m.param[i]->shape) * 4);
        run_close(&r);
    }
    run_close(&good);
}

static void a_token_beyond_the_vocabulary_is_refused(void **state)
{
    (void)state;
    run r = run_open(run_small, "emu:m4", NULL);
    run_start(&r);
    size_t n = (size_t)(run_small.batch * run_small.seq);
    r.ids[7] = run_small.vocab;
    assert_ok(exec_input(r.x, "ids", r.ids, n * 4));
    assert_fails(exec_step(r.x, NULL), E_NUMERIC, "token id 96 at 7");
    r.ids[7] = 0;
    assert_ok(exec_input(r.x, "ids", r.ids, n * 4));
    run_step(&r, NULL);
    r.targets[3] = 1000;
    assert_ok(exec_input(r.x, "targets", r.targets, n * 4));
    assert_true(exec_step(r.x, NULL) != OK);
    run_close(&r);
}

static void wrong_names_and_sizes_are_refused(void **state)
{
    (void)state;
    run r = run_open(run_small, "emu:m4", NULL);
    run_start(&r);
    float v[8] = {0};
    assert_fails(exec_input(r.x, "idz", v, 4), E_CONFIG, "idz");
    assert_fails(exec_input(r.x, "ids", v, 4), E_SHAPE, "wanted 256");
    assert_fails(exec_output(r.x, "logits", v, 1), E_CONFIG, "logits");
    assert_fails(exec_output(r.x, "loss", v, 2), E_SHAPE, "1 elements");
    assert_fails(exec_bind(r.x, "layers.9.q", v, v), E_CONFIG, "layers.9.q");
    run_close(&r);
}

static void infinities_are_counted_and_named(void **state)
{
    (void)state;
    run r = run_open(run_small, "emu:m4", NULL);
    exec_stats stats;
    run_start(&r);
    run_step(&r, &stats);
    assert_int_equal(stats.infinities, 0);
    assert_null(stats.first_infinity);
    assert_ok(exec_input(r.x, "loss_scale", &(float){1e9f}, sizeof(float)));
    run_step(&r, &stats);
    assert_true(stats.infinities > 0);
    assert_text_has(stats.first_infinity, "backward");
    run_close(&r);
}

/* ---- weights ---- */
static void halves_written_in_place_are_what_staging_writes(void **state)
{
    (void)state;
    run r = run_open(run_small, "emu:m4", NULL);
    run_start(&r);
    run_step(&r, NULL);
    float want = r.g[2][0];
    int direct = 0;
    for (int i = 0; i < r.m.n; i++) /* spoil, then write as an optimizer would */
        for (int64_t k = 0; k < ir_count(r.m.param[i]->shape); k++) r.w[i][k] += 1;
    assert_ok(exec_stage(r.x));
    assert_ok(exec_halves_begin(r.x));
    for (int i = 0; i < r.m.n; i++) {
        size_t n = (size_t)ir_count(r.m.param[i]->shape);
        half *h = exec_half(r.x, r.m.param[i]->name);
        free(r.w[i]);
        r.w[i] = llama_fill(&r.m, i);
        assert_ok(exec_bind(r.x, r.m.param[i]->name, r.w[i], r.g[i]));
        if (h) half_from_floats(r.w[i], h, n), direct++;
    }
    assert_ok(exec_halves_end(r.x));
    for (int i = 0; i < r.m.n; i++)
        if (r.m.param[i]->shape.rank != 2 || strstr(r.m.param[i]->name, "embed"))
            assert_ok(exec_stage_param(r.x, r.m.param[i]->name));
    assert_true(direct >= 14); /* all matrices of two layers */
    run_step(&r, NULL);
    assert_float_equal(r.g[2][0], want, 0);
    run_close(&r);
}

/* Constants and inputs are the same numbers, so the results are the same bits;
 * staging new weights reloads the programs. */
static void baked_weights_compute_what_streamed_ones_do(void **state)
{
    (void)state;
    run s = run_open(run_small, "emu:m4", NULL), b;
    ir_binding bind[LLAMA_PARAMS];
    arena *mem = arena_new();
    for (int i = 0; i < s.m.n; i++) { /* to begin with: zeros */
        size_t n = (size_t)ir_count(s.m.param[i]->shape);
        bind[i] = (ir_binding){s.m.param[i]->name, arena_array(mem, n, sizeof(double))};
    }
    plan_options o = {.weights = PLAN_BAKED, .n_baked = s.m.n, .baked = bind};
    b = run_open(run_small, "emu:m4", &o);
    assert_true(b.p->loads > s.p->loads); /* layers are no longer equal */
    run_start(&s);
    run_start(&b);
    run_step(&s, NULL);
    run_step(&b, NULL);
    for (int i = 0; i < s.m.n; i++)
        assert_memory_equal(s.g[i], b.g[i], (size_t)ir_count(s.m.param[i]->shape) * 4);
    run_close(&s);
    run_close(&b);
    arena_free(mem);
}

/* Planned before there are weights, the programs are compiled by the first
 * exec_stage; after an update by the next step, once each, which refuses to
 * begin what the device has no compiles for. */
static void baked_programs_are_compiled_once_for_each_update(void **state)
{
    (void)state;
    plan_options o = {.weights = PLAN_BAKED};
    run b = run_open(run_small, "emu:m4,compiles=14", &o);
    exec_stats stats;
    dev_sample now;
    assert_int_equal(b.p->rebakes, 6); /* forward and backward: two layers, head */
    assert_int_equal(b.p->loads, 6);
    for (int i = 0; i < b.p->n_programs; i++)
        assert_int_equal(b.p->programs[i].n_files, 0);
    run_start(&b);
    run_step(&b, &stats);
    assert_int_equal(stats.compiles, 6);
    float first = b.g[2][0];
    run_step(&b, &stats);
    assert_int_equal(stats.compiles, 0);
    for (int i = 0; i < b.m.n; i++) {
        b.w[i][0] += 1;
        assert_ok(exec_stage_param(b.x, b.m.param[i]->name));
    }
    run_step(&b, &stats);
    assert_int_equal(stats.compiles, 6);
    assert_true(b.g[2][0] != first);
    assert_ok(dev_sample_of(b.d, &now));
    assert_near(now.value[DEV_LOADS], 12, 0);
    assert_near(now.value[DEV_LOADED], 6, 0);
    assert_ok(exec_stage(b.x));
    assert_fails(exec_step(b.x, NULL), E_BUDGET, "6 programs to compile");
    assert_text_has(err_text(), "2 left of 14");
    assert_ok(dev_sample_of(b.d, &now));
    assert_near(now.value[DEV_LOADS], 12, 0); /* none was wasted */
    run_close(&b);
}

/* ---- nothing bypasses MIL ---- */
enum { PORTS = 64 };
typedef struct {
    const plan *p;
    device *d;
    int call, n_in, n_out, checked;
    const char *program;
    dev_surface *in[PORTS];
    const char *name[PORTS];
} replay;

static dev_surface *surface_of(replay *y, const dev_shape *shape, const void *data)
{
    dev_surface *s;
    void *p;
    assert_ok(dev_surface_new(y->d, shape, &s));
    assert_ok(dev_map(s, &p));
    memset(p, 0, shape->bytes);
    size_t n = 2;
    for (int i = 0; i < shape->rank; i++) n *= (size_t)shape->d[i];
    if (data) memcpy(p, data, n);
    assert_ok(dev_unmap(s));
    return s;
}

/* Load the program from its text alone and run it on the inputs kept. */
static void run_alone(replay *y, const exec_port *port)
{
    dev_program *g = NULL;
    dev_surface *out[PORTS];
    const plan_program *q = NULL;
    uint64_t ticket;
    int which = -1;
    void *p;
    for (int i = 0; i < y->p->n_programs; i++)
        if (strcmp(y->p->programs[i].name, port->program) == 0) q = &y->p->programs[i];
    dev_source source = {q->name, q->mil, q->mil_bytes, q->files, q->n_files};
    assert_ok(dev_load(y->d, &source, &g));
    for (int i = 0; i < q->n_out; i++) {
        out[i] = surface_of(y, &q->out_shapes[i], NULL);
        if (strcmp(q->out_names[i], port->port) == 0) which = i;
    }
    assert_ok(dev_run(g, y->in, y->n_in, out, q->n_out, &ticket));
    assert_ok(dev_wait(y->d, ticket, NULL));
    assert_ok(dev_map(out[which], &p));
    size_t n = 2;
    for (int i = 0; i < port->shape->rank; i++) n *= (size_t)port->shape->d[i];
    assert_memory_equal(p, port->data, n);
    assert_ok(dev_unmap(out[which]));
    for (int i = 0; i < q->n_out; i++) dev_drop(out[i]);
    dev_unload(g);
    y->checked++;
}

static rc keep_or_check(void *ctx, const exec_port *port)
{
    replay *y = ctx;
    if (port->output) {
        run_alone(y, port);
        return OK;
    }
    if (port->call != y->call) {
        for (int i = 0; i < y->n_in; i++) dev_drop(y->in[i]);
        y->n_in = 0;
        y->call = port->call;
    }
    y->in[y->n_in++] = surface_of(y, port->shape, port->data);
    return OK;
}

static void every_run_repeated_from_its_text_gives_the_same_bits(void **state)
{
    (void)state;
    run r = run_open(run_small, "emu:m4", NULL);
    replay y = {.p = r.p, .call = -1};
    int outputs = 0;
    assert_ok(dev_open("emu:m4,compiles=none", r.k, &y.d));
    run_start(&r);
    exec_tap_next(r.x, keep_or_check, &y);
    run_step(&r, NULL);
    for (int i = 0; i < r.p->n_programs; i++)
        outputs += r.p->programs[i].calls * r.p->programs[i].n_out;
    assert_int_equal(y.checked, outputs);
    run_step(&r, NULL); /* one step only is shown */
    assert_int_equal(y.checked, outputs);
    for (int i = 0; i < y.n_in; i++) dev_drop(y.in[i]);
    dev_close(y.d);
    run_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(gradients_add_up),
        cmocka_unit_test(gradients_of_the_engine_are_only_added),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(a_failed_run_says_where_and_the_next_step_is_whole),
        cmocka_unit_test(a_token_beyond_the_vocabulary_is_refused),
        cmocka_unit_test(wrong_names_and_sizes_are_refused),
        cmocka_unit_test(infinities_are_counted_and_named),
        cmocka_unit_test(halves_written_in_place_are_what_staging_writes),
        cmocka_unit_test(baked_weights_compute_what_streamed_ones_do),
        cmocka_unit_test(baked_programs_are_compiled_once_for_each_update),
        cmocka_unit_test(every_run_repeated_from_its_text_gives_the_same_bits),
    };
    return cmocka_run_group_tests_name("exec_step", tests, NULL, NULL);
}
