/* plan_property_slow_test.c - random legal graphs, planned for a chip, never
 * break a rule on its strict engine and equal the oracle.
 *
 * The tolerance is measured, not chosen: random_noise() says how far the
 * outputs of the very graph move when each value is off by a random rounding
 * of fp16. A plan computes the same values in a few more steps (norms and
 * sums are taken apart), so it may be off by a small multiple of that. */
#include "edge_graphs.h"
#include "exec/exec.h"
#include "random_graph.h"
#include "test.h"

/* Random graphs, and as many rounds of the graphs at the edges of rules. */
enum { GRAPHS = 500, OP_LEAST = 20, RULE_LEAST = 5 };
/* A norm is ten roundings where the noisy graph has one, and roundings of one
 * sign do not average out. */
static const double MULTIPLE = 8;
/* Results near nothing: half a unit in the last place of a value of 1. */
static const double FLOOR = 1.0 / 4096;

typedef struct {
    int op[IR_OPS], rule[DEV_RULES_MAX];
    double worst;
    uint64_t worst_seed;
} tally;

static float *floats(const double *v, int64_t n)
{
    float *f = malloc((size_t)n * sizeof *f);
    for (int64_t i = 0; i < n; i++) f[i] = (float)v[i];
    return f;
}

static void compare(exec *x, const ir_graph *g, int n_bind, const ir_binding *bind,
                    double **v, uint64_t seed, tally *t)
{
    for (int o = 0; o < g->n_outputs; o++) {
        const ir_node *n = g->outputs[o].node;
        const char *name = g->outputs[o].name;
        size_t count = (size_t)ir_count(n->shape);
        float *had = malloc(count * sizeof *had);
        double sum = 0, square = 0;
        assert_ok(exec_output(x, name, had, count));
        for (size_t i = 0; i < count; i++) {
            double e = had[i] - v[n->id][i];
            sum += e * e;
            square += v[n->id][i] * v[n->id][i];
        }
        double rms = sqrt(sum / (double)count), scale = sqrt(square / (double)count);
        double noise = random_noise(g, name, v[n->id], n_bind, bind);
        double allowed = MULTIPLE * noise + FLOOR * fmax(1, scale);
        if (!(rms <= allowed))
            fail_msg("seed %d, %s: off by %.3g (values %.3g), allowed %.3g", (int)seed,
                     name, rms, scale, allowed);
        if (rms / allowed > t->worst) t->worst = rms / allowed, t->worst_seed = seed;
        free(had);
    }
}

/* The rewritten graph means the same: only double rounds differently. */
static void compare_legal(const plan *p, const ir_graph *g, int n, const ir_binding *bind,
                          double **want, uint64_t seed)
{
    arena *mem = arena_new();
    double **v;
    assert_ok(ir_eval(p->legal, mem, n, bind, &v));
    for (int o = 0; o < g->n_outputs; o++) {
        const ir_node *a = g->outputs[o].node;
        const ir_node *b = ir_find(p->legal, g->outputs[o].name);
        double most = 1e-3;
        for (int64_t i = 0; i < ir_count(a->shape); i++)
            most = fmax(most, fabs(want[a->id][i]));
        for (int64_t i = 0; i < ir_count(a->shape); i++)
            if (!(fabs(v[b->id][i] - want[a->id][i]) <= 1e-9 * most))
                fail_msg("seed %d, %s: legal %.12g, given %.12g", (int)seed,
                         g->outputs[o].name, v[b->id][i], want[a->id][i]);
    }
    arena_free(mem);
}

static void try_graph(const char *uri, kern *k, uint64_t seed, tally *t)
{
    net edge = {0};
    if (seed >= GRAPHS) edge = edge_net((seed - GRAPHS) % COUNT_OF(edge_graphs));
    ir_graph *g = edge.g ? edge.g : random_graph(seed);
    arena *mem = arena_new();
    ir_binding bind[160];
    float *data[160];
    int n;
    double **v;
    device *d;
    dev_caps caps;
    plan *p;
    exec *x;
    assert_non_null(g);
    assert_true(random_values(g, seed, mem, bind, &n));
    assert_ok(ir_eval(g, mem, n, bind, &v));
    assert_ok(dev_open(uri, k, &d));
    assert_ok(dev_caps_of(d, &caps));
    /* In every fourth graph the host does all that it may. */
    plan_options o = {.host_said = true};
    if (seed < GRAPHS && seed % 4 == 3) o.host = (1u << PLAN_MOVABLES) - 1;
    if (plan_build(g, &caps, &o, &p) != OK)
        fail_msg("seed %d: %s", (int)seed, err_text());
    compare_legal(p, g, n, bind, v, seed);
    if (exec_open(p, d, k, &x) != OK) fail_msg("seed %d: %s", (int)seed, err_text());
    for (int i = 0; i < n; i++) {
        const ir_node *leaf = ir_find(g, bind[i].name);
        bool used = ir_find(p->given, bind[i].name) != NULL;
        int64_t count = ir_count(leaf->shape);
        data[i] = floats(bind[i].v, count);
        if (!used) continue;
        if (leaf->op == IR_param) assert_ok(exec_bind(x, bind[i].name, data[i], NULL));
        else assert_ok(exec_input(x, bind[i].name, data[i], (size_t)count * 4));
    }
    assert_ok(exec_stage(x));
    if (exec_step(x, NULL) != OK) fail_msg("seed %d: %s", (int)seed, err_text());
    compare(x, g, n, bind, v, seed, t);
    random_coverage(g, t->op);
    for (int i = 0; i < DEV_RULES; i++) t->rule[i] += p->kept[i] > 0;
    exec_close(x);
    plan_free(p);
    dev_close(d);
    for (int i = 0; i < n; i++) free(data[i]);
    arena_free(mem);
    if (edge.g) edge_free(&edge);
    else ir_free(g);
}

/* Ops that only the host has are in no random graph; guards that cost
 * something act only where a rule is undisputed (rules=all), and the rest of
 * those left out have no edge (plan_rules_test.c). */
static bool op_expected(int op)
{
    return op != IR_conv_dx && op != IR_conv_dw && op != IR_attention_dx &&
           op != IR_embedding && op != IR_embedding_dw && op != IR_cross_entropy &&
           op != IR_cross_entropy_dx && op != IR_target_code && op != IR_target_loss;
}

static bool rule_expected(int r, const dev_caps *c)
{
    if (strcmp(dev_rule_at((dev_rule)r)->guard, "planner") != 0 || !c->rule_holds[r])
        return false;
    if ((r == RULE_uniform_surfaces || r == RULE_blob_count) && c->rule_disputed[r])
        return false;
    return r != RULE_rank_limit && r != RULE_outputs_computed && r != RULE_conv_bias &&
           r != RULE_sdpa_mask && r != RULE_baked_bytes;
}

static void check_coverage(const tally *t, const dev_caps *c)
{
    for (int i = 0; i < IR_OPS; i++)
        if (op_expected(i) && t->op[i] < OP_LEAST)
            fail_msg("%s occurs %d times", ir_op_name((ir_op)i), t->op[i]);
    for (int i = 0; i < DEV_RULES; i++)
        if (rule_expected(i, c) && t->rule[i] < RULE_LEAST)
            fail_msg("rule %s was approached %d times", dev_rule_at((dev_rule)i)->id,
                     t->rule[i]);
}

static void try_all(const char *uri)
{
    tally t = {0};
    kern *k;
    device *d;
    dev_caps caps;
    assert_ok(kern_open(1, NULL, &k));
    assert_ok(dev_open(uri, k, &d));
    assert_ok(dev_caps_of(d, &caps));
    dev_close(d);
    uint64_t all = GRAPHS + RULE_LEAST * COUNT_OF(edge_graphs);
    for (uint64_t seed = 0; seed < all; seed++) try_graph(uri, k, seed, &t);
    kern_close(k);
    printf("%s: %d graphs, worst %.2f of what is allowed (seed %d)\n  ops:", uri,
           (int)all, t.worst, (int)t.worst_seed);
    for (int i = 0; i < IR_OPS; i++)
        if (t.op[i]) printf(" %s %d", ir_op_name((ir_op)i), t.op[i]);
    printf("\n  rules:");
    for (int i = 0; i < DEV_RULES; i++)
        if (t.rule[i]) printf(" %s %d", dev_rule_at((dev_rule)i)->id, t.rule[i]);
    printf("\n");
    check_coverage(&t, &caps);
}

static void graphs_on_m1(void **state)
{
    (void)state;
    try_all("emu:m1,compiles=none");
    try_all("emu:m1,compiles=none,rules=all");
}

static void graphs_on_m3(void **state)
{
    (void)state;
    try_all("emu:m3pro,compiles=none,rules=all");
}

static void graphs_on_m4(void **state)
{
    (void)state;
    try_all("emu:m4,compiles=none");
}

static void graphs_on_m5(void **state)
{
    (void)state;
    try_all("emu:m5,compiles=none,rules=all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_on_m1),
        cmocka_unit_test(graphs_on_m3),
        cmocka_unit_test(graphs_on_m4),
        cmocka_unit_test(graphs_on_m5),
    };
    return cmocka_run_group_tests_name("plan_property_slow", tests, NULL, NULL);
}
