/* A plan that is accepted for one arithmetic of a chip is accepted for the other:
 * of every recipe there is, of random graphs and of those at the edges of rules,
 * for every chip. Programs of a plan for `fast` load on `exact` and the other way
 * round; what one refuses, the other does with the same words. */
#include <dirent.h>
#include "api/session.h"
#include "edge_graphs.h"
#include "random_graph.h"
#include "test.h"

enum { FAST, EXACT, BOTH, GRAPHS = 5 };
static const char *const word[BOTH] = {"fast", "exact"};

typedef struct {
    kern *k;
    device *d[BOTH];
    dev_caps caps[BOTH];
    const char *chip;
    int plans, programs, refused;
} pair;

static void open_pair(pair *t, const char *chip, const char *rules)
{
    t->chip = chip;
    assert_ok(kern_open(1, NULL, &t->k));
    for (int i = 0; i < BOTH; i++) {
        char uri[64];
        snprintf(uri, sizeof uri, "emu:%s,%s,compiles=none%s", chip, word[i], rules);
        assert_ok(dev_open(uri, t->k, &t->d[i]));
        assert_ok(dev_caps_of(t->d[i], &t->caps[i]));
    }
}

static void close_pair(pair *t)
{
    for (int i = 0; i < BOTH; i++) dev_close(t->d[i]);
    kern_close(t->k);
}

/* Each program of a plan, on each of the two. */
static void load_on_both(pair *t, const plan *p, const char *name)
{
    for (int i = 0; i < p->n_programs; i++)
        for (int on = 0; on < BOTH; on++) {
            const plan_program *q = &p->programs[i];
            dev_source source = {q->name, q->mil, q->mil_bytes, q->files, q->n_files};
            dev_program *loaded;
            if (dev_load(t->d[on], &source, &loaded) != OK)
                fail_msg("%s, program %s on %s,%s: %s", name, q->name, t->chip, word[on],
                         err_text());
            dev_unload(loaded);
            t->programs++;
        }
}

/* A chip whose arithmetic nobody has measured is noted where it is computed. */
static int notes_of_arithmetic(const plan *p)
{
    int n = 0;
    for (int i = 0; i < p->n_notes; i++)
        n += strstr(p->notes[i], "was not measured") != NULL;
    return n;
}

static void plan_for_both(pair *t, const ir_graph *g, const plan_options *o,
                          const char *name)
{
    plan *p[BOTH] = {NULL, NULL};
    char said[BOTH][1024] = {"", ""};
    rc r[BOTH];
    for (int i = 0; i < BOTH; i++) {
        r[i] = plan_build(g, &t->caps[i], o, &p[i]);
        if (r[i] != OK) snprintf(said[i], sizeof said[i], "%s", err_text());
    }
    if (r[FAST] != r[EXACT] || strcmp(said[FAST], said[EXACT]))
        fail_msg("%s on %s: fast %d %s, exact %d %s", name, t->chip, (int)r[FAST],
                 said[FAST], (int)r[EXACT], said[EXACT]);
    for (int i = 0; i < BOTH && r[i] == OK; i++) {
        bool assumed = !t->caps[i].profile->exact_measured;
        assert_int_equal(notes_of_arithmetic(p[i]), i == EXACT && assumed);
        load_on_both(t, p[i], name);
    }
    t->plans += r[FAST] == OK;
    t->refused += r[FAST] != OK;
    plan_free(p[FAST]);
    plan_free(p[EXACT]);
}

static void plan_each_way(pair *t, const ir_graph *g, const char *name)
{
    static const plan_windows windows[] = {PLAN_WINDOW_AUTO, PLAN_WINDOW_ON,
                                           PLAN_WINDOW_OFF};
    for (size_t i = 0; i < COUNT_OF(windows); i++)
        plan_for_both(t, g, &(plan_options){.window = windows[i]}, name);
    plan_for_both(t, g, &(plan_options){.memory_limit_bytes = 1}, name);
}

/* Tokenizers decide the vocabulary of a recipe that leaves it open. */
static ir_graph *graph_of(const char *path)
{
    config *c;
    arena *mem = arena_new();
    model_config m;
    const char *init;
    ir_graph *g;
    assert_ok(config_new(&c));
    assert_ok(config_read(c, path));
    assert_ok(session_model(c, mem, "runs/.", &init, &m));
    if (m.vocab == 0) m.vocab = 257;
    assert_ok(model_config_finish(&m));
    assert_ok(
        model_graph(&m, MODEL_GRAD, (int)config_int(c, OPT_train_batch), m.seq, &g));
    config_free(c);
    arena_free(mem);
    return g;
}

static void a_recipe(const char *path)
{
    ir_graph *g = graph_of(path);
    for (size_t c = 0; c < dev_profile_count(); c++) {
        pair t = {0};
        open_pair(&t, dev_profile_at(c)->name, "");
        plan_for_both(&t, g, &(plan_options){.window = PLAN_WINDOW_AUTO}, path);
        assert_int_equal(t.plans, 1);
        close_pair(&t);
    }
    ir_free(g);
}

static void every_recipe(void **state)
{
    DIR *dir = opendir("recipes");
    int n = 0;
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[512];
        if (!strstr(e->d_name, ".conf")) continue;
        snprintf(path, sizeof path, "recipes/%s", e->d_name);
        a_recipe(path);
        n++;
    }
    closedir(dir);
    assert_true(n >= 6);
}

static void graphs_on(const char *chip, const char *rules, uint64_t seed)
{
    pair t = {0};
    char name[64];
    open_pair(&t, chip, rules);
    for (uint64_t i = seed; i < seed + GRAPHS; i++) {
        ir_graph *g = random_graph(i);
        assert_non_null(g);
        snprintf(name, sizeof name, "seed %d", (int)i);
        plan_each_way(&t, g, name);
        ir_free(g);
    }
    for (size_t i = 0; i < COUNT_OF(edge_graphs); i++) {
        net n = edge_net(i);
        snprintf(name, sizeof name, "edge %d", (int)i);
        plan_each_way(&t, n.g, name);
        edge_free(&n);
    }
    print_message("%s%s: %d plans, %d programs, %d plans refused\n", chip, rules, t.plans,
                  t.programs, t.refused);
    assert_true(t.plans > 0 && t.refused > 0);
    close_pair(&t);
}

static void random_graphs_and_edges(void **state)
{
    for (size_t c = 0; c < dev_profile_count(); c++) {
        graphs_on(dev_profile_at(c)->name, c % 2 ? "" : ",rules=all", 1 + c * GRAPHS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recipe),
        cmocka_unit_test(random_graphs_and_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
