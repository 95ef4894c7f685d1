/* The model of time: its constants are what the fit gives, its errors are what
 * was aimed at, and it has no free hand. */
#include "../../tools/fit.h"
#include "base/sha256.h"
#include "dev/cost.h"
#include "model/model.h"
#include "plan/like.h"
#include "plan/plan.h"
#include "test.h"

static void the_table_is_what_the_fit_gives(void **state)
{
    static fit_set s;
    dev_costs k;
    fit_collect(&s);
    fit_constants(&s, &k);
    for (int i = 0; i < DEV_COSTS; i++) {
        double have = dev_costs_table()->v[i];
        if (fabs(have / k.v[i] - 1) < 1e-3) continue; /* four digits are written */
        print_error("%s is %g, the fit gives %g; run: make fit-time\n",
                    dev_cost_at(i)->name, have, k.v[i]);
        fail();
    }
}

static void constants_are_at_most_a_third_of_what_they_are_fitted_to(void **state)
{
    static fit_set s;
    fit_collect(&s);
    assert_true(3 * s.constants <= s.n);
    for (int i = 0; i < DEV_COSTS; i++) assert_true(*dev_cost_at(i)->unit);
}

static void names_decide_what_is_held_out(void **state)
{
    plan_anchor a, b;
    int held = 0, n = 0;
    sha256 s;
    char hex[65];
    sha256_start(&s);
    sha256_add(&s, "abc", 3);
    sha256_hex(&s, hex); /* FIPS 180-4, appendix B.1 */
    assert_string_equal(
        hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (; plan_anchor_at(n, &a); n++) {
        assert_non_null(a.chip);
        assert_true(a.measured > 0 && *a.source);
        held += plan_anchor_held_out(&a);
        for (int i = 0; i < n; i++)
            if (plan_anchor_at(i, &b)) assert_string_not_equal(a.name, b.name);
    }
    assert_in_range(held, n / 3, 2 * n / 3); /* a coin of 200 throws */
}

/* The aims: 15 % in the middle of what the fit has not seen, and 20 % for each
 * training step. */
static void held_out_timings_are_predicted(void **state)
{
    int n;
    double middle = plan_anchor_median(NULL, true, NULL, &n);
    assert_true(n > 50);
    if (!(middle <= 0.15)) fail_msg("middle error %.1f %%", 100 * middle);
}

static void training_steps_are_predicted(void **state)
{
    plan_anchor a;
    for (int i = 0; plan_anchor_at(i, &a); i++) {
        double e = plan_anchor_error(&a, NULL);
        assert_true(isfinite(e) && e > -1);
        if (!a.sure || !plan_anchor_is_step(&a) || fabs(e) <= 0.2) continue;
        print_error("%s: %+.1f %%\n", a.name, 100 * e);
        fail();
    }
}

static void every_chip_has_a_host_a_launch_and_a_band(void **state)
{
    for (size_t i = 0; i < dev_profile_count(); i++) {
        const dev_profile *p = dev_profile_at(i);
        dev_cost c = dev_cost_launch(p, NULL);
        double band = plan_error_band(p);
        assert_non_null(dev_host_of(p));
        assert_true(dev_cost_ms(&c) > 0.02 && dev_cost_ms(&c) < 1);
        assert_true(band > 0 && band < 1);
        assert_true(dev_host_ms(p, NULL, DEV_HOST_BLAS, 1e9) > 0);
    }
    for (size_t i = 0; dev_power_at(i); i++)
        assert_non_null(dev_profile_find(dev_power_at(i)->chip));
}

/* What more work costs: more channels than fit a group, more than a tile, more
 * than the working set; int8 is faster, two inputs slower than a constant. */
static double conv_ms(double in, double out, double pixels, int bits)
{
    dev_cost c = dev_cost_launch(dev_profile_find("m4"), NULL);
    dev_cost_conv(&c, in, out, 1, pixels, bits);
    return dev_cost_ms(&c);
}

static void the_steps_of_the_hardware_show(void **state)
{
    dev_cost c = dev_cost_launch(dev_profile_find("m4"), NULL);
    dev_cost_matmul(&c, 1, 512, 512, 4096);
    assert_true(dev_cost_ms(&c) > conv_ms(512, 512, 4096, 16));
    assert_true(conv_ms(512, 512, 4096, 8) < conv_ms(512, 512, 4096, 16));
    /* 0.5 MiB of weights are fetched ahead, 2 MiB are not */
    assert_true(conv_ms(1024, 1024, 1, 16) - conv_ms(512, 512, 1, 16) > 0.03);
    /* 8192 channels: 4 a core and pass, twice as many passes as of 4096 */
    assert_true(conv_ms(8192, 4096, 4096, 16) > 3 * conv_ms(4096, 4096, 4096, 16));
}

/* A launch of what `last` makes of x, by each reader of it: the planner of its own
 * graph, and a device of the MIL text. */
static void timed(ir_graph *g, ir_node *last, double *planned, double *read)
{
    device *d;
    dev_caps caps;
    plan *p;
    dev_code *code;
    ir_output(g, "y", last);
    assert_ok(ir_rc(g));
    assert_ok(dev_open("null:m4", NULL, &d));
    assert_ok(dev_caps_of(d, &caps));
    assert_ok(plan_build(g, &caps, NULL, &p));
    assert_int_equal(p->n_programs, 1);
    const plan_program *q = &p->programs[0];
    dev_source source = {.name = q->name, .mil = q->mil, .mil_bytes = q->mil_bytes};
    assert_ok(dev_code_new(&source, &code));
    *planned = q->predicted_ms;
    *read = dev_cost_code(caps.profile, code);
    dev_code_free(code);
    plan_free(p);
    ir_free(g);
    dev_close(d);
}

/* A softmax reads and writes its values four times: for the largest of a row; for
 * the difference from it and the exponential, which are one pass; for their sum; and
 * for the quotient. So it takes as long as four operations of one value in its
 * place, whoever counts. */
static void a_softmax_is_four_passes_to_all_that_count_them(void **state)
{
    static const ir_op one_each[] = {IR_tanh, IR_exp, IR_sigmoid, IR_abs};
    double softmax[2], passes[2];
    ir_graph *g = ir_new();
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 64, 512));
    timed(g, ir_softmax(g, x, 3), &softmax[0], &softmax[1]);
    g = ir_new();
    x = ir_input(g, "x", IR_FP16, ir_s4(1, 8, 64, 512));
    for (size_t i = 0; i < COUNT_OF(one_each); i++) x = ir_unary(g, one_each[i], x);
    timed(g, x, &passes[0], &passes[1]);
    assert_rel(softmax[0], passes[0], 1e-12); /* sums of the same numbers */
    assert_rel(softmax[1], passes[1], 1e-12);
    assert_rel(softmax[0], softmax[1], 1e-12);
}

static void published_steps_have_their_launches(void **state)
{
    const dev_profile *m4 = dev_profile_find("m4");
    const plan_dims layer = {768, 2048, 12, 12, 64, 1, 512, 0},
                    stories = {768, 2048, 12, 12, 64, 12, 256, 32000},
                    qwen = {1024, 3072, 16, 8, 128, 28, 256, 151936};
    plan_likeness l;
    plan_like_predict(PLAN_LIKE_SEED, &layer, m4, NULL, &l);
    assert_int_equal(l.launches, 6);
    plan_like_predict(PLAN_LIKE_STATIC, &stories, m4, NULL, &l);
    assert_int_equal(l.launches, 72);
    assert_int_equal(l.loads, 72);
    assert_int_equal((int)l.programs[0].in_bytes, 393216); /* maderix/ANE 5.1 */
    assert_int_equal((int)l.programs[0].out_bytes, 2359296);
    assert_true(fabs(l.programs[1].flops - 2415.9e6) < 1e5);
    plan_like_predict(PLAN_LIKE_DYNAMIC, &stories, m4, NULL, &l);
    assert_int_equal(l.launches, 108);
    assert_int_equal(l.loads, 9);
    assert_int_equal(l.vocab, 9205);
    plan_like_predict(PLAN_LIKE_DYNAMIC, &qwen, m4, NULL, &l);
    assert_int_equal(l.launches, 280);
    assert_int_equal((int)l.programs[0].in_bytes, 8912896); /* 5.3 */
    assert_int_equal((int)l.programs[0].out_bytes, 3670016);
    plan_like_predict(PLAN_LIKE_DW_ENGINE, &stories, m4, NULL, &l);
    assert_int_equal(l.launches, 87);
    assert_int_equal((int)l.programs[0].out_bytes, 8257536); /* 16128 x 256 halves */
    for (int i = 0; i < PLAN_LIKES; i++)
        assert_int_equal(plan_like_find(plan_like_name(i)), i);
    assert_int_equal(plan_like_find("other"), PLAN_LIKES);
}

/* The planner's own plan by the same model, like for like: one pass with all
 * gradients, without update and staging, which they left out. */
static double ours(const model_config *c, model_form form, int *launches)
{
    device *d;
    dev_caps caps;
    ir_graph *g;
    plan *p;
    assert_ok(dev_open("null:m4", NULL, &d));
    assert_ok(dev_caps_of(d, &caps));
    assert_ok(model_graph(c, form, 1, c->seq, &g));
    assert_ok(plan_build(g, &caps, NULL, &p));
    double ms = p->step_ms - p->optimizer_ms - p->staging_ms;
    *launches = p->launches;
    print_message("%d launches, %.2f ms: engine %.2f, host %.2f\n", p->launches, ms,
                  p->engine_ms, p->host_ms);
    plan_free(p);
    ir_free(g);
    dev_close(d);
    return ms;
}

static double theirs(plan_like like, const model_config *c, int vocab)
{
    plan_dims d = {c->dim,      c->hidden, c->heads, c->kv_heads,
                   c->head_dim, c->layers, c->seq,   vocab};
    plan_likeness l;
    plan_like_predict(like, &d, dev_profile_find("m4"), NULL, &l);
    return l.step_ms;
}

static model_config sized(int dim, int hidden, int heads, int kv, int head_dim,
                          int layers, int seq)
{
    model_config c = {.kind = "llama",
                      .dim = dim,
                      .hidden = hidden,
                      .heads = heads,
                      .kv_heads = kv,
                      .head_dim = head_dim,
                      .layers = layers,
                      .seq = seq,
                      .vocab = 9205,
                      .rope_theta = 10000,
                      .norm_eps = 1e-5,
                      .tied = true};
    assert_ok(model_config_finish(&c));
    return c;
}

static void our_plans_beat_the_published_steps(void **state)
{
    int launches;
    model_config layer = sized(768, 2048, 12, 12, 64, 1, 512);
    model_config stories = sized(768, 2048, 12, 12, 64, 12, 256);
    model_config qwen = sized(1024, 3072, 16, 8, 128, 28, 256);
    double ms = ours(&layer, MODEL_LAYERS, &launches);
    assert_true(launches <= 6);
    assert_true(ms <= 0.75 * theirs(PLAN_LIKE_SEED, &layer, 0));
    ms = ours(&stories, MODEL_GRAD, &launches);
    assert_true(ms <= 0.6 * theirs(PLAN_LIKE_DYNAMIC, &stories, 32000));
    ms = ours(&qwen, MODEL_GRAD, &launches);
    assert_true(ms <= 0.6 * theirs(PLAN_LIKE_DYNAMIC, &qwen, 151936));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_what_the_fit_gives),
        cmocka_unit_test(constants_are_at_most_a_third_of_what_they_are_fitted_to),
        cmocka_unit_test(names_decide_what_is_held_out),
        cmocka_unit_test(held_out_timings_are_predicted),
        cmocka_unit_test(training_steps_are_predicted),
        cmocka_unit_test(every_chip_has_a_host_a_launch_and_a_band),
        cmocka_unit_test(the_steps_of_the_hardware_show),
        cmocka_unit_test(a_softmax_is_four_passes_to_all_that_count_them),
        cmocka_unit_test(published_steps_have_their_launches),
        cmocka_unit_test(our_plans_beat_the_published_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
