/* plan_window_random_test.c - random graphs planned with exponent windows, with
 * random factors: they break no rule of a strict engine and equal the oracle,
 * within the tolerance that plan_property_slow_test.c measures for the plans
 * without windows. */
#include "exec/exec.h"
#include "random_graph.h"
#include "test.h"

enum { GRAPHS = 300 };
static const double MULTIPLE = 8, FLOOR = 1.0 / 4096; /* as explained there */

/* Results are off by no more than a small multiple of what a rounding of each
 * value does to them. */
static void compare(exec *x, const ir_graph *g, int n, const ir_binding *bind, double **v,
                    const char *uri, uint64_t seed)
{
    for (int o = 0; o < g->n_outputs; o++) {
        const ir_node *y = g->outputs[o].node;
        const char *name = g->outputs[o].name;
        size_t count = (size_t)ir_count(y->shape);
        float *had = malloc(count * sizeof *had);
        double sum = 0, square = 0;
        assert_ok(exec_output(x, name, had, count));
        for (size_t i = 0; i < count; i++) {
            double e = had[i] - v[y->id][i];
            sum += e * e;
            square += v[y->id][i] * v[y->id][i];
        }
        double rms = sqrt(sum / (double)count), scale = sqrt(square / (double)count);
        double allowed = MULTIPLE * random_noise(g, name, v[y->id], n, bind) +
                         FLOOR * fmax(1, scale);
        if (!(rms <= allowed))
            fail_msg("%s, seed %d, %s: off by %.3g (values %.3g), allowed %.3g", uri,
                     (int)seed, name, rms, scale, allowed);
        free(had);
    }
}

/* Factors of 1/2 to 4. */
static void choose(exec *x, const plan_window *w, uint64_t seed)
{
    int *k = calloc((size_t)w->n_factors + 1, sizeof *k);
    for (int i = 0; i < w->n_factors; i++)
        k[i] = (int)rng_below(seed, 5, (uint64_t)i, 4) - 1;
    assert_ok(exec_window(x, k, false));
    free(k);
}

/* Every product has a kind, those that lay out padded rows too. */
static bool names_padding(const plan *p)
{
    bool found = false;
    for (int i = 0; i < p->n_programs; i++)
        for (int j = 0; j < p->programs[i].n_products; j++) {
            assert_in_range(p->programs[i].products[j], 0, p->n_kinds - 1);
            found |= !strcmp(p->kinds[p->programs[i].products[j]].name, "padding");
        }
    return found;
}

/* How many products it has that a factor is moved for. */
static int try_graph(const char *uri, kern *k, uint64_t seed, int *padded)
{
    ir_graph *g = random_graph(seed);
    arena *mem = arena_new();
    ir_binding bind[160];
    float *data[160];
    int n, moved = 0;
    double **v;
    device *d;
    dev_caps caps;
    plan *p;
    exec *x;
    assert_true(random_values(g, seed, mem, bind, &n));
    assert_ok(ir_eval(g, mem, n, bind, &v));
    assert_ok(dev_open(uri, k, &d));
    assert_ok(dev_caps_of(d, &caps));
    if (plan_build(g, &caps, &(plan_options){.window = PLAN_WINDOW_ON}, &p) != OK)
        fail_msg("%s, seed %d: %s", uri, (int)seed, err_text());
    if (exec_open(p, d, k, &x) != OK)
        fail_msg("%s, seed %d: %s", uri, (int)seed, err_text());
    choose(x, p->window, seed);
    for (int i = 0; i < n; i++) {
        const ir_node *leaf = ir_find(g, bind[i].name);
        size_t count = (size_t)ir_count(leaf->shape);
        data[i] = malloc(count * sizeof *data[i]);
        for (size_t j = 0; j < count; j++) data[i][j] = (float)bind[i].v[j];
        if (!ir_find(p->given, bind[i].name)) continue;
        if (leaf->op == IR_param) assert_ok(exec_bind(x, bind[i].name, data[i], NULL));
        else assert_ok(exec_input(x, bind[i].name, data[i], count * 4));
    }
    assert_ok(exec_stage(x));
    if (exec_step(x, NULL) != OK) fail_msg("%s, seed %d: %s", uri, (int)seed, err_text());
    compare(x, g, n, bind, v, uri, seed);
    for (int i = 0; i < p->window->n_sites; i++) moved += p->window->sites[i].factor >= 0;
    *padded += names_padding(p);
    exec_close(x);
    plan_free(p);
    dev_close(d);
    for (int i = 0; i < n; i++) free(data[i]);
    arena_free(mem);
    ir_free(g);
    return moved;
}

static void random_graphs_keep_their_meaning_and_break_no_rule(void **state)
{
    (void)state;
    const char *chips[] = {"emu:m1,compiles=none,rules=all", "emu:m4,compiles=none",
                           "emu:m5,compiles=none"};
    kern *k;
    assert_ok(kern_open(2, NULL, &k));
    for (size_t c = 0; c < COUNT_OF(chips); c++) {
        int moved = 0, padded = 0;
        for (uint64_t seed = 0; seed < GRAPHS; seed++)
            moved += try_graph(chips[c], k, seed, &padded);
        assert_true(moved > GRAPHS / 2); /* or this would prove little */
        assert_true(c || padded);        /* where there is no concat */
    }
    kern_close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_keep_their_meaning_and_break_no_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
