/* plan_pack_test.c - products of one value with several weights, made as one product,
 * are what they are apart: for the oracle, on the engine, and while training. */
#include "plan/passes.h"
#include "plan/timeline.h"
#include "small_run.h"

static const plan_packing packings[] = {PLAN_PACK_ALL, PLAN_PACK_BACKWARD};

static plan_variant variant(plan_packing packed, plan_dw dw)
{
    return (plan_variant){
        .dw = dw, .layers = 1, .recompute = PLAN_RECOMPUTE_NONE, .packed = packed};
}

/* A plan of that variant in the place of the one that was weighed. */
static void open_packed(run *r, llama_shape s, const char *where, plan_variant v,
                        const plan_options *o)
{
    *r = run_open(s, where, o);
    run_replan(r, o, v);
}

/* Grouped-query heads and as many as queries; on the oracle, and on engines, with
 * weights that are inputs and such that are constants. */
static void gradients_equal_the_oracles(void **state)
{
    static const char *const where[] = {"m4", "emu:m1", "emu:m4"};
    for (size_t k = 0; k < 2 * COUNT_OF(packings); k++)
        for (size_t c = 0; c < COUNT_OF(where); c++)
            for (int baked = 0; baked < (strchr(where[c], ':') ? 2 : 1); baked++)
                for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
                    run r;
                    llama_shape s = run_small;
                    plan_options o = {.weights = baked ? PLAN_BAKED : PLAN_STREAMED,
                                      .window = PLAN_WINDOW_OFF};
                    s.tied = s.interleaved = k & 1;
                    if (k & 1) s.kv_heads = s.heads;
                    open_packed(&r, s, where[c], variant(packings[k / 2], (plan_dw)dw),
                                &o);
                    run_start(&r);
                    run_equals_oracle(&r, where[c], strchr(where[c], ':') ? 1e-2 : 4e-3);
                    run_close(&r);
                }
}

/* Sizes that are no multiple of anything, and a vocabulary in pieces. */
static void odd_sizes_are_right(void **state)
{
    static const int sizes[][3] = {{257, 1, 10}, {20001, 1, 7}, {96, 3, 11}, {33, 1, 3}};
    static const char *const where[] = {"m4", "emu:m1", "emu:m4"};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t w = 0; w < COUNT_OF(where); w++)
            for (size_t k = 0; k < COUNT_OF(packings); k++) {
                run r;
                llama_shape s = run_small;
                s.layers = 1, s.dim = 24, s.hidden = 40, s.head_dim = 6;
                s.vocab = sizes[i][0], s.batch = sizes[i][1], s.seq = sizes[i][2];
                s.tied = w == 0;
                open_packed(&r, s, where[w],
                            variant(packings[k], k ? PLAN_DW_ENGINE : PLAN_DW_HOST),
                            NULL);
                run_start(&r);
                run_equals_oracle(&r, where[w], 1e-2);
                run_close(&r);
            }
}

/* ---- a layer as GPT-2 has it: norms with a bias, projections with a bias, GELU ---- */
enum { GPT_DIM = 64, GPT_HIDDEN = 160, GPT_HEADS = 4, GPT_COLUMNS = 48, GPT_PARAMS = 32 };

typedef struct {
    ir_graph *g;
    ir_node *x, *param[GPT_PARAMS];
    int n;
} gpt;

static ir_node *gpt_param(gpt *m, const char *name, ir_shape s)
{
    return m->param[m->n++] = ir_param(m->g, name, s);
}

static ir_node *gpt_vector(gpt *m, const char *name, int n)
{
    return ir_reshape(m->g, gpt_param(m, name, ir_s1(n)), ir_s4(1, n, 1, 1));
}

static ir_node *gpt_linear(gpt *m, const char *name, int out, int in, ir_node *x)
{
    char bias[32];
    snprintf(bias, sizeof bias, "%s.bias", name);
    ir_node *y = ir_linear(m->g, gpt_param(m, name, ir_s2(out, in)), x);
    return ir_add(m->g, y, gpt_vector(m, bias, out));
}

static ir_node *gpt_norm(gpt *m, const char *name, ir_node *x)
{
    char bias[32];
    snprintf(bias, sizeof bias, "%s.bias", name);
    ir_node *w = gpt_vector(m, name, GPT_DIM);
    return ir_layer_norm(m->g, x, w, gpt_vector(m, bias, GPT_DIM), 1, 1e-5);
}

static gpt gpt_new(void)
{
    gpt m = {.g = ir_new()};
    ir_graph *g = m.g;
    ir_scope(g, "layer.0", false);
    ir_node *x = m.x = ir_input(g, "x", IR_FP16, ir_s4(1, GPT_DIM, 1, GPT_COLUMNS));
    ir_node *n = gpt_norm(&m, "norm1", x);
    ir_node *q = gpt_linear(&m, "q", GPT_DIM, GPT_DIM, n);
    ir_node *k = gpt_linear(&m, "k", GPT_DIM, GPT_DIM, n);
    ir_node *v = gpt_linear(&m, "v", GPT_DIM, GPT_DIM, n);
    ir_node *a = ir_attention(g, q, k, v, GPT_HEADS, GPT_HEADS, GPT_DIM / GPT_HEADS, 2,
                              sqrt(1.0 * GPT_HEADS / GPT_DIM));
    x = ir_add(g, x, gpt_linear(&m, "o", GPT_DIM, GPT_DIM, a));
    n = gpt_norm(&m, "norm2", x);
    ir_node *up = ir_unary(g, IR_gelu, gpt_linear(&m, "up", GPT_HIDDEN, GPT_DIM, n));
    x = ir_add(g, x, gpt_linear(&m, "down", GPT_DIM, GPT_HIDDEN, up));
    ir_output(g, "y", x);
    ir_node *grad[GPT_PARAMS];
    ir_node *dy = ir_input(g, "dy", IR_FP16, ir_s4(1, GPT_DIM, 1, GPT_COLUMNS));
    assert_ok(ir_grad(g, x, dy, m.n, m.param, grad));
    for (int i = 0; i < m.n; i++) {
        char name[40];
        snprintf(name, sizeof name, "grad:%s", m.param[i]->name);
        ir_output(g, name, grad[i]);
    }
    ir_node *dx;
    assert_ok(ir_grad(g, x, dy, 1, &m.x, &dx));
    ir_output(g, "dx", dx);
    assert_ok(ir_rc(g));
    return m;
}

static float *random_values(int tag, size_t n, double scale, double shift)
{
    float *v = calloc(n, sizeof *v);
    for (size_t i = 0; i < n; i++) {
        double r = shift + scale * rng_normal(11, (uint64_t)tag, i);
        v[i] = half_to_float(half_from_double(r));
    }
    return v;
}

/* What a plan of it gives, beside what the oracle does. */
static void check_gpt(const gpt *m, const char *uri, plan_variant v)
{
    device *d;
    dev_caps caps;
    kern *k;
    plan *p;
    exec *x;
    arena *mem = arena_new();
    ir_binding bind[GPT_PARAMS + 2];
    double **want;
    float *in[2], *w[GPT_PARAMS], *g[GPT_PARAMS];
    size_t n = (size_t)GPT_DIM * GPT_COLUMNS;
    plan_options o = {.window = PLAN_WINDOW_OFF};
    assert_ok(kern_open(2, NULL, &k));
    assert_ok(dev_open(uri, k, &d));
    assert_ok(dev_caps_of(d, &caps));
    assert_ok(plan_build_one(m->g, &caps, &o, v, &p));
    assert_ok(exec_open(p, d, k, &x));
    for (int i = 0; i < m->n; i++) {
        ir_shape s = m->param[i]->shape;
        size_t count = (size_t)ir_count(s);
        bool norm = s.rank == 1 && !strstr(m->param[i]->name, "bias");
        w[i] = random_values(i, count, s.rank == 1 ? 0.3 : 1 / sqrt((double)s.d[1]),
                             norm ? 1 : 0);
        g[i] = calloc(count, sizeof(float));
        bind[i] = (ir_binding){m->param[i]->name, run_doubles(mem, count, w[i], NULL)};
        assert_ok(exec_bind(x, m->param[i]->name, w[i], g[i]));
    }
    for (int i = 0; i < 2; i++) {
        in[i] = random_values(100 + i, n, 1, 0);
        bind[m->n + i] = (ir_binding){i ? "dy" : "x", run_doubles(mem, n, in[i], NULL)};
        assert_ok(exec_input(x, i ? "dy" : "x", in[i], n * sizeof(float)));
    }
    assert_ok(exec_stage(x));
    assert_ok(exec_step(x, NULL));
    assert_ok(ir_eval(m->g, mem, m->n + 2, bind, &want));
    float *had = calloc(n, sizeof *had);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "dx" : "y";
        assert_ok(exec_output(x, name, had, n));
        assert_true(run_off(had, want[ir_find(m->g, name)->id], n) < 4e-3);
    }
    for (int i = 0; i < m->n; i++) {
        char name[40];
        size_t count = (size_t)ir_count(m->param[i]->shape);
        const double *is = want[0];
        snprintf(name, sizeof name, "grad:%s", m->param[i]->name);
        is = want[ir_find(m->g, name)->id];
        /* a key's bias moves all scores of a query alike: its gradient is nothing */
        if (!strcmp(m->param[i]->name, "k.bias")) continue;
        double e = run_off(g[i], is, count);
        if (!(e < 1e-2)) print_error("%s: relative error %.3g\n", name, e);
        assert_true(e < 1e-2);
    }
    for (int i = 0; i < m->n; i++) free(w[i]), free(g[i]);
    free(in[0]), free(in[1]), free(had);
    exec_close(x);
    plan_free(p);
    dev_close(d);
    kern_close(k);
    arena_free(mem);
}

static void a_layer_of_gpt_equals_the_oracles(void **state)
{
    gpt m = gpt_new();
    for (int packed = PLAN_PACK_NONE; packed <= PLAN_PACK_BACKWARD; packed++)
        for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++)
            check_gpt(&m, "emu:m4", variant((plan_packing)packed, (plan_dw)dw));
    ir_free(m.g);
}

/* ---- what is made one, and where ---- */
static int products_of(const plan *p, const char *program)
{
    int n = 0;
    for (int i = 0; i < p->n_programs; i++)
        if (!strcmp(p->programs[i].name, program)) n += p->programs[i].n_products;
    return n;
}

static bool has_product(const plan *p, const char *name, plan_product way)
{
    for (int i = 0; i < p->n_kinds; i++)
        if (p->kinds[i].way == way && !strcmp(p->kinds[i].name, name)) return true;
    return false;
}

static plan *planned(const ir_graph *g, const char *uri, const plan_options *o,
                     plan_packing packed)
{
    device *d;
    dev_caps caps;
    plan *p;
    assert_ok(dev_open(uri, NULL, &d));
    assert_ok(dev_caps_of(d, &caps));
    assert_ok(plan_build_one(g, &caps, o, variant(packed, PLAN_DW_HOST), &p));
    dev_close(d);
    return p;
}

/* Three fewer a layer in each direction: two of q, k and v, one of gate and up. Equal
 * layers stay one program, and what crosses between programs is the same. */
static void five_products_of_a_layer_become_two(void **state)
{
    llama m = llama_new(run_small);
    plan *apart = planned(m.g, "null:m4", NULL, PLAN_PACK_NONE);
    plan *all = planned(m.g, "null:m4", NULL, PLAN_PACK_ALL);
    plan *backward = planned(m.g, "null:m4", NULL, PLAN_PACK_BACKWARD);
    int forward = products_of(apart, "layer.fwd"), back = products_of(apart, "layer.bwd");
    assert_int_equal(products_of(all, "layer.fwd"), forward - 3);
    assert_int_equal(products_of(all, "layer.bwd"), back - 3);
    assert_int_equal(products_of(backward, "layer.fwd"), forward);
    assert_int_equal(products_of(backward, "layer.bwd"), back - 3);
    assert_int_equal(all->loads, apart->loads);
    assert_int_equal(all->launches, apart->launches);
    assert_near(all->memory.surfaces, apart->memory.surfaces, 0);
    assert_near(all->memory.activations, apart->memory.activations, 0);
    assert_true(apart->joinable);
    assert_true(has_product(all, "q+k+v", PLAN_FORWARD));
    assert_true(has_product(all, "gate+up", PLAN_FORWARD));
    assert_true(!has_product(all, "q", PLAN_FORWARD));
    assert_true(has_product(apart, "q", PLAN_FORWARD));
    for (int i = 0; i < all->n_kinds; i++)
        assert_string_not_equal(all->kinds[i].name, "other");
    plan_free(apart);
    plan_free(all);
    plan_free(backward);
    ir_free(m.g);
}

/* Longer than an axis may be, so it would be cut again: left as it is. */
static void what_would_be_too_long_stays_apart(void **state)
{
    llama_shape s = run_small;
    s.layers = 1, s.hidden = 8224; /* twice that is beyond PLAN_CHUNK */
    llama m = llama_new(s);
    plan *apart = planned(m.g, "null:m4", NULL, PLAN_PACK_NONE);
    plan *all = planned(m.g, "null:m4", NULL, PLAN_PACK_ALL);
    assert_int_equal(products_of(all, "layer.fwd"), products_of(apart, "layer.fwd") - 2);
    assert_true(has_product(all, "q+k+v", PLAN_FORWARD));
    assert_true(has_product(all, "gate", PLAN_FORWARD));
    plan_free(apart);
    plan_free(all);
    ir_free(m.g);
}

static void what_cannot_be_joined_is_refused(void **state)
{
    static const struct {
        const char *uri;
        plan_options o;
        const char *part;
    } rows[] = {{"null:m4", {.window = PLAN_WINDOW_ON}, "plan.window=off"},
                {"null:m4", {.weights = PLAN_RESIDENT}, "stay on the engine"},
                {"emu:m1,rules=all", {.rules_all = true}, "concat_refused"}};
    llama m = llama_new(run_small);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        device *d;
        dev_caps caps;
        plan *p;
        assert_ok(dev_open(rows[i].uri, NULL, &d));
        assert_ok(dev_caps_of(d, &caps));
        assert_fails(plan_build_one(m.g, &caps, &rows[i].o,
                                    variant(PLAN_PACK_ALL, PLAN_DW_HOST), &p),
                     i < 2 ? E_CONFIG : E_RULE, rows[i].part);
        assert_ok(plan_build_one(m.g, &caps, &rows[i].o,
                                 variant(PLAN_PACK_NONE, PLAN_DW_HOST), &p));
        assert_int_equal(p->joinable, i == 2); /* the rule is asked where it is needed */
        plan_free(p);
        assert_ok(plan_build(m.g, &caps, &rows[i].o, &p)); /* and goes another way */
        plan_free(p);
        dev_close(d);
    }
    ir_free(m.g);
}

/* ---- training ---- */
enum { STEPS = 16 };

/* Plain descent on fp32 masters, in steps small enough to go down evenly. */
static void descend(plan_packing packed, plan_weights weights, float loss[STEPS])
{
    run r;
    plan_options o = {.weights = weights, .window = PLAN_WINDOW_OFF};
    open_packed(&r, run_small, "emu:m4,compiles=none", variant(packed, PLAN_DW_HOST), &o);
    run_start(&r);
    for (int step = 0; step < STEPS; step++) {
        run_step(&r, NULL);
        assert_ok(exec_output(r.x, "loss", &loss[step], 1));
        for (int i = 0; i < r.m.n; i++) {
            size_t n = (size_t)ir_count(r.m.param[i]->shape);
            for (size_t k = 0; k < n; k++) r.w[i][k] -= 0.005f / 256 * r.g[i][k];
        }
        assert_ok(exec_stage(r.x));
    }
    run_close(&r);
}

/* Forward the sums are the same, bit for bit. Backward a sum of three is rounded once,
 * or after each term: 2^-11 of gradients that move the loss by 0.3 a step. */
static void training_is_the_same_to_roundings(void **state)
{
    float apart[STEPS], packed[COUNT_OF(packings)][STEPS];
    for (int weights = PLAN_STREAMED; weights <= PLAN_BAKED; weights++) {
        descend(PLAN_PACK_NONE, (plan_weights)weights, apart);
        for (size_t k = 0; k < COUNT_OF(packings); k++)
            descend(packings[k], (plan_weights)weights, packed[k]);
        assert_memory_equal(packed[0], packed[1], sizeof packed[0]);
        assert_float_equal(packed[0][0], apart[0], 0);
        for (int i = 0; i < STEPS; i++) assert_near(packed[0][i], apart[i], 1e-3);
        print_message("%s: loss %.4f, after %d steps %.4f, joined %.4f\n",
                      weights == PLAN_BAKED ? "baked" : "streamed", (double)apart[0],
                      STEPS, (double)apart[STEPS - 1], (double)packed[0][STEPS - 1]);
        assert_true(apart[STEPS - 1] < 0.6f * apart[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_equal_the_oracles),
        cmocka_unit_test(odd_sizes_are_right),
        cmocka_unit_test(a_layer_of_gpt_equals_the_oracles),
        cmocka_unit_test(five_products_of_a_layer_become_two),
        cmocka_unit_test(what_would_be_too_long_stays_apart),
        cmocka_unit_test(what_cannot_be_joined_is_refused),
        cmocka_unit_test(training_is_the_same_to_roundings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
