/* plan_rules_test.c - for each rule that the planner guards: with the guard a
 * graph runs on the strict engine and is right; without it the strict engine
 * refuses by the rule's name, and the faithful one does the wrong thing that
 * the chip does. */
#include "edge_graphs.h"
#include "exec/exec.h"

typedef struct {
    rc code;
    bool wrong;
    char text[1024];
} outcome;

static bool outputs_wrong(exec *x, const net *t)
{
    ir_binding bind[160];
    double **v;
    bool wrong = false;
    arena *mem = arena_new();
    for (int i = 0; i < t->n; i++) bind[i] = (ir_binding){t->name[i], t->v[i]};
    assert_ok(ir_eval(t->g, mem, t->n, bind, &v));
    for (int o = 0; o < t->g->n_outputs; o++) {
        const ir_node *n = t->g->outputs[o].node;
        size_t count = (size_t)ir_count(n->shape);
        float *had = malloc(count * sizeof *had);
        double most = 0;
        assert_ok(exec_output(x, t->g->outputs[o].name, had, count));
        for (size_t i = 0; i < count; i++) most = fmax(most, fabs(v[n->id][i]));
        for (size_t i = 0; i < count; i++) /* a few roundings of fp16 */
            wrong |= !(fabs(had[i] - v[n->id][i]) <= 0.004 * most);
        free(had);
    }
    arena_free(mem);
    return wrong;
}

static rc carry_out(const net *t, const char *uri, const plan_options *o, outcome *out)
{
    static kern *k;
    device *d = NULL;
    dev_caps caps;
    plan *p = NULL;
    exec *x = NULL;
    if (!k) assert_ok(kern_open(1, NULL, &k));
    assert_ok(dev_open(uri, k, &d));
    assert_ok(dev_caps_of(d, &caps));
    rc r = plan_build(t->g, &caps, o, &p);
    if (r == OK) r = exec_open(p, d, k, &x);
    for (int i = 0; i < t->n && r == OK; i++) {
        size_t n = (size_t)ir_count(ir_find(t->g, t->name[i])->shape);
        float *f = malloc(n * sizeof *f);
        for (size_t j = 0; j < n; j++) f[j] = (float)t->v[i][j];
        r = exec_input(x, t->name[i], f, n * sizeof *f);
        free(f);
    }
    for (int step = 0; step < 2 && r == OK; step++)
        r = exec_step(x, NULL); /* poison shows late */
    if (r == OK) out->wrong = outputs_wrong(x, t);
    out->code = r;
    if (r != OK) snprintf(out->text, sizeof out->text, "%s", err_text());
    exec_close(x);
    plan_free(p);
    dev_close(d);
    return r;
}

static outcome try(size_t i, const char *words, uint64_t off)
{
    net t = edge_net(i);
    outcome out = {OK, false, ""};
    char uri[64];
    plan_options o = {.host_said = true}; /* all of it on the engine */
    o.guards_off[0] = off;
    snprintf(uri, sizeof uri, "emu:%s,rules=all%s", edge_graphs[i].chip, words);
    carry_out(&t, uri, &o, &out);
    edge_free(&t);
    return out;
}

/* Surfaces of one size are in order of size too, so for slot_sizes both guards
 * go, and the device names the one that it meets first. */
static const char *off(size_t i, uint64_t *bits)
{
    dev_rule r = edge_graphs[i].rule;
    *bits = (uint64_t)1 << r;
    if (r != RULE_slot_sizes) return dev_rule_at(r)->id;
    *bits |= (uint64_t)1 << RULE_uniform_surfaces;
    return dev_rule_at(RULE_uniform_surfaces)->id;
}
_Static_assert(DEV_RULES <= 64, "bits of the rules fit one word");

/* Rules without an edge, because a graph cannot say it: rank_limit (no value
 * has more than 5 axes), outputs_computed (the emitter copies what would be
 * handed through), conv_bias and sdpa_mask (no such op). baked_bytes would need
 * 2 GB of weights. */
static void with_the_guard_it_is_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(edge_graphs); i++) {
        outcome o = try(i, "", 0);
        if (o.code != OK || o.wrong)
            fail_msg("%s: %s %s", dev_rule_at(edge_graphs[i].rule)->id, o.text,
                     o.wrong ? "wrong" : "");
    }
}

/* Rules of arithmetic are no one's to refuse: the strict engine computes as
 * the chip does, except that its own narrow sums are wide. */
static void without_it_strict_refuses_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(edge_graphs); i++) {
        uint64_t bits;
        const char *name = off(i, &bits);
        dev_rule r = edge_graphs[i].rule;
        outcome o = try(i, "", bits);
        bool good = o.code == E_RULE && strstr(o.text, name);
        if (r == RULE_slice_clamp || r == RULE_mac_cliff) good = o.code == OK && o.wrong;
        if (r == RULE_reduce_narrow) good = o.code == OK && !o.wrong;
        if (!good) fail_msg("%s: %s", name, o.code == OK ? "not refused" : o.text);
    }
}

static void without_it_faithful_fails_as_the_chip_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(edge_graphs); i++) {
        uint64_t bits;
        const char *name = off(i, &bits);
        outcome o = try(i, ",faithful", bits);
        if (o.code == OK ? !o.wrong : o.code != E_DEVICE)
            fail_msg("%s: %s", name, o.code == OK ? "right without its guard" : o.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_the_guard_it_is_right),
        cmocka_unit_test(without_it_strict_refuses_by_name),
        cmocka_unit_test(without_it_faithful_fails_as_the_chip_does),
    };
    return cmocka_run_group_tests_name("plan_rules", tests, NULL, NULL);
}
