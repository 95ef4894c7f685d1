/* plan_loss_test.c - cross-entropy and its gradient on the engine: the same numbers
 * as the host's, as far as fp16 goes, and no infinity lost. */
#include <math.h>

#include "base/half.h"
#include "plan/passes.h"
#include "plan/timeline.h"
#include "small_run.h"

static const plan_options on_engine = {.loss = PLAN_LOSS_ENGINE};

static int count_of(const ir_graph *g, ir_op op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) n += g->nodes[i]->op == op;
    return n;
}

/* ---- the graph ---- */
static double *values(arena *mem, size_t n, uint64_t stream, double spread)
{
    double *v = arena_array(mem, n, sizeof *v);
    for (size_t i = 0; i < n; i++) v[i] = spread * rng_normal(3, stream, i);
    return v;
}

/* Exactly, so in double nothing but the order of sums is left. */
static void the_rewritten_graph_is_the_same_function(void **state)
{
    static const struct {
        const char *chip;
        int vocab, columns;
    } rows[] = {{"m4", 2, 3},     {"m4", 96, 40},   {"m4", 257, 33},
                {"m1", 20000, 5}, {"m1", 20001, 5}, {"m4", 70000, 2}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t v = rows[i].vocab, t = rows[i].columns, width = 8;
        ir_graph *g = ir_new();
        ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, width, 1, t));
        ir_node *w = ir_param(g, "w", ir_s2(v, width)), *d[2], *wrt[] = {x, w};
        ir_node *ids = ir_input(g, "ids", IR_INT32, ir_s1(t));
        ir_node *loss = ir_cross_entropy(g, ir_linear(g, w, x), ids);
        ir_output(g, "loss", loss);
        assert_ok(ir_grad(g, loss, ir_input(g, "d", IR_FP32, ir_s1(1)), 2, wrt, d));
        ir_output(g, "dx", d[0]);
        ir_output(g, "grad:w", d[1]);
        dev_caps caps = caps_of(rows[i].chip);
        plan *p;
        assert_ok(plan_build(g, &caps, &on_engine, &p));
        assert_int_equal(count_of(p->legal, IR_cross_entropy), 0);
        assert_int_equal(count_of(p->legal, IR_cross_entropy_dx), 0);
        arena *mem = arena_new();
        double *target = values(mem, (size_t)t, 9, 1), **had, **want;
        for (int64_t j = 0; j < t; j++)
            target[j] = (double)rng_below(4, i, (uint64_t)j, (uint64_t)v);
        target[0] = (double)(v - 1);
        if (t > 4) target[3] = -1;
        const ir_binding bind[] = {{"x", values(mem, (size_t)(width * t), 1, 1)},
                                   {"w", values(mem, (size_t)(width * v), 2, 1)},
                                   {"ids", target},
                                   {"d", (double[]){256}}};
        assert_ok(ir_eval(g, mem, 4, bind, &want));
        assert_ok(ir_eval(p->legal, mem, 4, bind, &had));
        for (int o = 0; o < g->n_outputs; o++) {
            const ir_node *a = g->outputs[o].node,
                          *b = ir_find(p->legal, g->outputs[o].name);
            for (int64_t k = 0; k < ir_count(a->shape); k++)
                assert_near(had[b->id][k], want[a->id][k], 1e-10);
        }
        arena_free(mem);
        plan_free(p);
        ir_free(g);
    }
}

/* ---- a training step ---- */
static double worst_gradient(run *r, double **v, double scale)
{
    double worst = 0;
    for (int i = 0; i < r->m.n; i++) {
        char name[80];
        snprintf(name, sizeof name, "grad:%s", r->m.param[i]->name);
        size_t n = (size_t)ir_count(r->m.param[i]->shape);
        double *want = v[ir_find(r->m.g, name)->id];
        for (size_t k = 0; k < n; k++) r->g[i][k] *= (float)(256 / scale);
        worst = fmax(worst, run_off(r->g[i], want, n));
    }
    return worst;
}

static run open_where(llama_shape s, const char *uri, plan_loss loss, plan_dw dw)
{
    return run_open(s, uri,
                    &(plan_options){.dw = dw, .loss = loss, .window = PLAN_WINDOW_OFF});
}

typedef struct {
    uint64_t infinities;
    double off; /* of the worst gradient, from the oracle's */
    double loss;
} outcome;

static outcome step_at(run *r, double **v, float scale)
{
    exec_stats stats;
    float loss;
    assert_ok(exec_input(r->x, "loss_scale", &scale, sizeof scale));
    run_step(r, &stats);
    assert_ok(exec_output(r->x, "loss", &loss, 1));
    return (outcome){stats.infinities, worst_gradient(r, v, (double)scale), loss};
}

/* By the oracle of the graph as given. Beside the host's loss, of the same step, so
 * that what fp16 loses elsewhere is not taken for this: where gradients are below
 * fp16's normal range (scale 1) or above it (65536) neither is good. */
static void a_step_has_the_oracles_loss_and_gradients(void **state)
{
    static const struct {
        const char *uri;
        int vocab, batch, seq;
        bool tied;
    } rows[] = {{"m4", 96, 2, 32, false},
                {"emu:m4", 96, 2, 32, true},
                {"emu:m4", 257, 1, 10, true},
                {"emu:m1", 96, 3, 11, false},
                {"emu:m4", 9205, 1, 64, true},
                {"emu:m1", 20000, 1, 32, true},
                {"emu:m1", 20001, 1, 7, false},
                {"emu:m4", 33000, 1, 32, false},
                {"emu:m1,rules=all", 17000, 2, 32, false}};
    static const float scales[] = {1, 256, 65536};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
            llama_shape s = run_small;
            s.vocab = rows[i].vocab, s.batch = rows[i].batch, s.seq = rows[i].seq;
            s.layers = 1, s.dim = s.hidden = 32, s.head_dim = 8, s.tied = rows[i].tied;
            run host = open_where(s, rows[i].uri, PLAN_LOSS_HOST, (plan_dw)dw);
            run engine = open_where(s, rows[i].uri, PLAN_LOSS_ENGINE, (plan_dw)dw);
            run_start(&host);
            run_start(&engine);
            assert_int_equal(count_of(engine.p->legal, IR_target_loss), 1);
            arena *mem = arena_new();
            double **v = run_oracle(&host, mem);
            double loss = v[ir_find(host.m.g, "loss")->id][0];
            for (size_t k = 0; k < COUNT_OF(scales); k++) {
                outcome a = step_at(&host, v, scales[k]),
                        b = step_at(&engine, v, scales[k]);
                assert_int_equal(a.infinities > 0, b.infinities > 0);
                if (a.infinities) continue;
                assert_near(b.loss, loss, 4e-3);
                if (!(b.off <= 5e-3 && b.off < 1.25 * a.off))
                    fail_msg("%s, vocabulary %d, scale %g: off by %.3g, the host's %.3g",
                             rows[i].uri, s.vocab, (double)scales[k], b.off, a.off);
            }
            arena_free(mem);
            run_close(&host);
            run_close(&engine);
        }
}

/* ---- one element of the gradient ---- */
typedef struct {
    ir_graph *g;
    plan *p;
    exec *x;
    kern *k;
    device *d;
} head;

/* Logits are given, so all that is lost is lost in the loss. */
static head head_open(int64_t v, int64_t t, const char *uri, plan_loss loss)
{
    head h = {.g = ir_new()};
    dev_caps caps;
    ir_node *x = ir_input(h.g, "x", IR_FP16, ir_s4(1, v, 1, t)), *d;
    ir_node *y = ir_cross_entropy(h.g, x, ir_input(h.g, "ids", IR_INT32, ir_s1(t)));
    ir_output(h.g, "loss", y);
    assert_ok(ir_grad(h.g, y, ir_input(h.g, "d", IR_FP32, ir_s1(1)), 1, &x, &d));
    ir_output(h.g, "dx", d);
    assert_ok(kern_open(2, NULL, &h.k));
    assert_ok(dev_open(uri, h.k, &h.d));
    assert_ok(dev_caps_of(h.d, &caps));
    assert_ok(plan_build(h.g, &caps,
                         &(plan_options){.loss = loss, .window = PLAN_WINDOW_OFF}, &h.p));
    assert_ok(exec_open(h.p, h.d, h.k, &h.x));
    assert_ok(exec_stage(h.x));
    return h;
}

static void head_close(head *h)
{
    exec_close(h->x);
    plan_free(h->p);
    dev_close(h->d);
    kern_close(h->k);
    ir_free(h->g);
}

static void head_step(head *h, const float *x, const int32_t *ids, float d, float *loss,
                      float *dx, exec_stats *stats)
{
    size_t n = (size_t)ir_count(ir_find(h->g, "x")->shape);
    size_t t = (size_t)ir_count(ir_find(h->g, "ids")->shape);
    assert_ok(exec_input(h->x, "x", x, n * sizeof *x));
    assert_ok(exec_input(h->x, "ids", ids, t * sizeof *ids));
    assert_ok(exec_input(h->x, "d", &d, sizeof d));
    assert_ok(exec_step(h->x, stats));
    assert_ok(exec_output(h->x, "loss", loss, 1));
    assert_ok(exec_output(h->x, "dx", dx, n));
}

/* Columns of all kinds: flat, of a spread of 1 and of 4, and certain of the target;
 * more, with an id not counted. */
static void fill_columns(int64_t v, int64_t t, float *x, int32_t *ids)
{
    for (int64_t j = 0; j < t; j++) {
        ids[j] = (int32_t)rng_below(5, 1, (uint64_t)j, (uint64_t)v);
        for (int64_t i = 0; i < v; i++) {
            double z = rng_normal(5, 2, (uint64_t)(i * t + j));
            double y = j % 4 == 0 ? 0.125 : j % 4 == 1 ? z : j % 4 == 2 ? 4 * z : z;
            x[i * t + j] = half_to_float(half_from_float((float)y));
        }
        if (j % 4 == 3) x[ids[j] * t + j] = 14;
    }
    ids[t - 1] = -1;
}

/* The bound that legal_loss.c states; and each column adds up to 0. */
static void each_element_of_the_gradient_keeps_its_bound(void **state)
{
    static const int vocab[] = {300, 32000, 151936};
    static const float scales[] = {1, 64, 16384};
    enum { T = 16, LEFT = 3 };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vocab); i++) {
        int64_t v = vocab[i];
        bool all_scales = v < 100000; /* of the longest, the time of one */
        size_t n = (size_t)v * T;
        float *x = malloc(n * sizeof *x), *dx = malloc(n * sizeof *dx);
        int32_t ids[T];
        fill_columns(v, T, x, ids);
        head h = head_open(v, T, "emu:m4", PLAN_LOSS_ENGINE);
        for (size_t k = all_scales ? 0 : 1; k < (all_scales ? COUNT_OF(scales) : 2);
             k++) {
            double d = (double)scales[k] / (T - 1), all = 0, worst = 0;
            exec_stats stats;
            float loss;
            head_step(&h, x, ids, scales[k], &loss, dx, &stats);
            assert_int_equal(stats.infinities, 0);
            for (int64_t j = 0; j < T; j++) {
                double m = -INFINITY, s = 0, sum = 0;
                for (int64_t c = 0; c < v; c++) m = fmax(m, x[c * T + j]);
                for (int64_t c = 0; c < v; c++) s += exp(x[c * T + j] - m);
                if (ids[j] >= 0) all += m + log(s) - x[ids[j] * T + j];
                for (int64_t c = 0; c < v; c++) {
                    double y = x[c * T + j], p = exp(y - m) / s, had = dx[c * T + j];
                    double want = ids[j] < 0 ? 0 : d * (p - (c == ids[j]));
                    double one = fmax(fabs(want), d * p) * (m - y + LEFT + 1);
                    double allowed = ldexp(one, -11) + ldexp(2 + d / s, -25);
                    sum += had;
                    if (ids[j] < 0) assert_true(had == 0);
                    else if (fabs(had - want) > allowed)
                        fail_msg("vocabulary %d, scale %g, column %d: %g instead of %g, "
                                 "allowed %g",
                                 (int)v, (double)scales[k], (int)j, had, want, allowed);
                }
                /* each element's own rounding, the sign of which is chance */
                worst = fmax(worst, fabs(sum) / d);
            }
            assert_true(worst < 2e-3);
            /* sums, of terms and of pieces, are fp16 in between: 2^-11 and less */
            assert_near(loss, all / (T - 1), 5e-4);
        }
        head_close(&h);
        free(x);
        free(dx);
    }
}

/* The exact array drops products below 2^-16. Terms of 2^-18 (e^-12.5) beside one of 1
 * are an eighth of a sum of 32000, and are there all the same; of 20011, a prime, whose
 * rows cannot be parted, they are lost. */
static void small_terms_are_summed_where_products_are_dropped(void **state)
{
    static const int vocab[] = {32000, 9205, 20011};
    enum { T = 16 };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vocab); i++) {
        int64_t v = vocab[i];
        float *x = malloc((size_t)v * T * sizeof *x), loss;
        float *dx = malloc((size_t)v * T * sizeof *dx);
        int32_t ids[T];
        exec_stats stats;
        for (int64_t k = 0; k < v * T; k++) x[k] = k / T == v / 2 ? 8.0f : -4.5f;
        for (int j = 0; j < T; j++) ids[j] = 1 + (int32_t)v / T * j;
        head h = head_open(v, T, "emu:m4,exact", PLAN_LOSS_ENGINE);
        head_step(&h, x, ids, 64, &loss, dx, &stats);
        double want = 12.5 + log(1 + (double)(v - 1) * exp(-12.5));
        if (i < 2) assert_near(loss, want, 2e-3);
        else assert_true(loss < want - 0.05);
        head_close(&h);
        free(x);
        free(dx);
    }
}

/* As with the host's loss: an infinite logit gives a loss that is not finite, and a
 * gradient that is not, so that the step is skipped. A loss scale beyond fp16 too. */
static void infinities_are_not_lost(void **state)
{
    enum { V = 96, T = 64 };
    static const float bad[] = {INFINITY, NAN};
    float x[V * T], dx[V * T], loss;
    int32_t ids[T];
    exec_stats stats;
    (void)state;
    for (int where = PLAN_LOSS_HOST; where <= PLAN_LOSS_ENGINE; where++) {
        head h = head_open(V, T, "emu:m4", (plan_loss)where);
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
            fill_columns(V, T, x, ids);
            x[20 * T + 7] = bad[i];
            head_step(&h, x, ids, 64, &loss, dx, &stats);
            assert_false(isfinite(loss));
            assert_false(isfinite(dx[20 * T + 7]));
        }
        fill_columns(V, T, x, ids);
        x[20 * T + 7] = -INFINITY; /* what is impossible has no gradient */
        head_step(&h, x, ids, 64, &loss, dx, &stats);
        assert_true(ids[7] != 20 && isfinite(loss) && dx[20 * T + 7] == 0);
        if (where == PLAN_LOSS_HOST) { /* of given logits in double: not fp16's */
            head_close(&h);
            continue;
        }
        head_step(&h, x, ids, 1e9f, &loss, dx, &stats);
        assert_false(isfinite(dx[ids[0] * T]));
        head_close(&h);
    }
}

/* By whole plans, where there is a choice: not of few targets, whose codes would
 * overflow with the largest loss scale, and not where losses are only reported. */
static void it_goes_where_a_pass_takes_less_time(void **state)
{
    static const struct {
        int vocab, batch, seq;
        bool asked, takes;
    } rows[] = {{32000, 1, 256, true, true},
                {300, 1, 64, true, false},
                {32000, 1, 32, false, false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        llama_shape s = run_small;
        s.vocab = rows[i].vocab, s.batch = rows[i].batch, s.seq = rows[i].seq;
        llama m = llama_new(s);
        dev_caps caps = caps_of("m4");
        plan *p, *one[2];
        plan_variant v = {.dw = PLAN_DW_HOST, .layers = 1};
        plan_options o = {.dw = PLAN_DW_HOST};
        for (int k = 0; k < 2; k++, v.loss_on_engine = true)
            assert_ok(plan_build_one(m.g, &caps, &o, v, &one[k]));
        double host = plan_times_of(one[0]).pass, engine = plan_times_of(one[1]).pass;
        bool take = engine < 0.95 * host;
        const plan_choice *c = NULL;
        assert_ok(plan_build(m.g, &caps, &o, &p));
        for (int k = 0; k < p->n_choices; k++)
            if (!strcmp(p->choices[k].what, "cross-entropy")) c = &p->choices[k];
        assert_int_equal(c != NULL, rows[i].asked);
        assert_int_equal(count_of(p->legal, IR_target_loss), c && take);
        if (c) assert_string_equal(c->taken, take ? "engine" : "host");
        if (c) assert_near(c->ms, take ? engine : host, 1e-9);
        if (c) assert_near(c->other_ms, take ? host : engine, 1e-9);
        assert_int_equal(take && rows[i].asked, rows[i].takes);
        plan_free(one[0]);
        plan_free(one[1]);
        plan_free(p);
        ir_free(m.g);
    }
}

static void a_target_outside_the_vocabulary_is_refused(void **state)
{
    (void)state;
    run r = open_where(run_small, "emu:m4", PLAN_LOSS_ENGINE, PLAN_DW_HOST);
    size_t bytes = (size_t)(run_small.batch * run_small.seq) * sizeof *r.targets;
    run_start(&r);
    r.targets[3] = run_small.vocab;
    assert_ok(exec_input(r.x, "targets", r.targets, bytes));
    assert_fails(exec_step(r.x, NULL), E_SHAPE, "96 is not one of 96 rows");
    r.targets[3] = run_small.vocab - 1;
    assert_ok(exec_input(r.x, "targets", r.targets, bytes));
    assert_ok(exec_step(r.x, NULL));
    run_close(&r);
}

static void windows_keep_the_loss_on_the_host(void **state)
{
    (void)state;
    llama m = llama_new(run_small);
    dev_caps caps = caps_of("m4");
    plan *p;
    plan_options o = {.loss = PLAN_LOSS_ENGINE, .window = PLAN_WINDOW_ON};
    assert_fails(plan_build(m.g, &caps, &o, &p), E_CONFIG, "plan.loss=engine, but");
    o.loss = PLAN_LOSS_AUTO;
    assert_ok(plan_build(m.g, &caps, &o, &p));
    assert_int_equal(count_of(p->legal, IR_cross_entropy), 1);
    plan_free(p);
    ir_free(m.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rewritten_graph_is_the_same_function),
        cmocka_unit_test(a_step_has_the_oracles_loss_and_gradients),
        cmocka_unit_test(each_element_of_the_gradient_keeps_its_bound),
        cmocka_unit_test(small_terms_are_summed_where_products_are_dropped),
        cmocka_unit_test(infinities_are_not_lost),
        cmocka_unit_test(it_goes_where_a_pass_takes_less_time),
        cmocka_unit_test(a_target_outside_the_vocabulary_is_refused),
        cmocka_unit_test(windows_keep_the_loss_on_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
