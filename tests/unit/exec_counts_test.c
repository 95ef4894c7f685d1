/* exec_counts_test.c - products of a step by what they are to the model: every one
 * has a name, the same in all plans, and the sums over names are the device's. */
#include "small_run.h"

static const char *const linear[] = {"q", "k", "v", "o", "gate", "up", "down"};

static int find(const plan *p, const char *name, plan_product way)
{
    for (int i = 0; i < p->n_kinds; i++)
        if (p->kinds[i].way == way && !strcmp(p->kinds[i].name, name)) return i;
    return -1;
}

/* Weights of both passes, and what attention and norms multiply; and a loss on the
 * engine finds its targets by a product. */
static void check_names(const plan *p, const char *classifier, bool dw, const char *of)
{
    int known = 0;
    const char *all[12] = {"sums", "scores", "averages", classifier};
    for (size_t i = 0; i < COUNT_OF(linear); i++) all[4 + i] = linear[i];
    for (size_t i = 0; i < 4 + COUNT_OF(linear); i++)
        for (int way = PLAN_FORWARD; way <= PLAN_DW; way++) {
            bool wanted = way != PLAN_DW || (dw && i >= 3);
            bool had = find(p, all[i], (plan_product)way) >= 0;
            if (had != wanted)
                fail_msg("%s: %s %s is %sthere", of, all[i],
                         plan_way_name((plan_product)way), had ? "" : "not ");
            known += had;
        }
    known += find(p, "targets", PLAN_DX) >= 0;
    for (int i = 0; i < p->n_kinds && known != p->n_kinds; i++)
        print_message("%s %s\n", p->kinds[i].name, plan_way_name(p->kinds[i].way));
    assert_int_equal(known, p->n_kinds);
}

static void every_product_has_its_name_in_every_plan(void **state)
{
    (void)state;
    const char *chips[] = {"emu:m1", "emu:m4", "emu:m6,rules=all"};
    for (size_t c = 0; c < COUNT_OF(chips); c++)
        for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++)
            for (int w = PLAN_WINDOW_OFF; w <= PLAN_WINDOW_ON; w++) {
                llama_shape s = run_small;
                s.tied = w == PLAN_WINDOW_OFF;
                s.interleaved = c == 1;
                s.kv_heads = c == 1 ? 4 : 2;
                run r = run_open(
                    s, chips[c],
                    &(plan_options){.dw = (plan_dw)dw, .window = (plan_windows)w});
                check_names(r.p, s.tied ? "embed" : "head", dw == PLAN_DW_ENGINE,
                            chips[c]);
                run_close(&r);
            }
}

/* Pieces of a classifier are products with rows of one weight. */
static void pieces_of_a_long_vocabulary_have_one_name(void **state)
{
    (void)state;
    for (int w = PLAN_WINDOW_OFF; w <= PLAN_WINDOW_ON; w++) {
        llama_shape s = run_small;
        s.vocab = 40000;
        run r = run_open(s, "emu:m4",
                         &(plan_options){.dw = PLAN_DW_HOST, .window = (plan_windows)w});
        check_names(r.p, "head", false, "40000 words");
        run_close(&r);
    }
}

/* ---- numbers ---- */
static run counting(const char *uri, plan_dw dw)
{
    run r = run_open(run_small, uri,
                     &(plan_options){.dw = dw, .window = PLAN_WINDOW_OFF});
    run_start(&r);
    return r;
}

static exec_count sum_of(const run *r, const exec_stats *s)
{
    exec_count sum = {0};
    for (int i = 0; i < r->p->n_kinds; i++) {
        assert_true(s->kinds[i].dropped <= s->kinds[i].products);
        sum.products += s->kinds[i].products;
        sum.dropped += s->kinds[i].dropped;
        sum.saturated += s->kinds[i].saturated;
    }
    return sum;
}

static void sums_over_names_are_those_of_the_step(void **state)
{
    (void)state;
    for (int dw = PLAN_DW_HOST; dw <= PLAN_DW_ENGINE; dw++) {
        exec_stats s;
        run r = counting("emu:m4,exact,count", (plan_dw)dw);
        run_step(&r, &s);
        exec_count sum = sum_of(&r, &s);
        assert_true(s.dropped > 0);
        assert_int_equal(sum.products, s.products);
        assert_int_equal(sum.dropped, s.dropped);
        assert_int_equal(sum.saturated, s.saturated);
        /* No weight and few values are 0: two layers of O x I weights, 64 columns. */
        const exec_count *q = &s.kinds[find(r.p, "q", PLAN_FORWARD)];
        const exec_count *down = &s.kinds[find(r.p, "down", PLAN_DX)];
        double most = 2.0 * 64 * 64 * 64, wide = 2.0 * 64 * 96 * 64;
        assert_true(q->products > 0.99 * most && q->products <= most);
        assert_true(down->products > 0.9 * wide && down->products <= wide);
        run_close(&r);
    }
}

static exec_count *copy_of(const run *r, const exec_stats *s)
{
    size_t bytes = (size_t)r->p->n_kinds * sizeof *s->kinds;
    exec_count *all = malloc(bytes);
    memcpy(all, s->kinds, bytes);
    return all;
}

/* The device counts from its loading on. */
static void each_step_counts_for_itself_also_after_one_that_failed(void **state)
{
    (void)state;
    exec_stats first, s;
    run good = counting("emu:m4,exact,count", PLAN_DW_HOST);
    run_step(&good, &first);
    size_t bytes = (size_t)good.p->n_kinds * sizeof *first.kinds;
    exec_count *want = copy_of(&good, &first);
    run_step(&good, &s);
    assert_memory_equal(s.kinds, want, bytes);
    assert_int_equal(s.products, first.products);
    run bad = counting("emu:m4,exact,count,fail=5", PLAN_DW_HOST);
    assert_int_not_equal(exec_step(bad.x, NULL), OK);
    run_step(&bad, &s);
    assert_memory_equal(s.kinds, want, bytes);
    assert_int_equal(s.dropped, first.dropped);
    free(want);
    run_close(&good);
    run_close(&bad);
}

static void a_step_that_counts_allocates_nothing(void **state)
{
    (void)state;
    run r = counting("emu:m4,exact,count", PLAN_DW_HOST);
    run_step(&r, NULL);
    mem_fail_at(1);
    rc code = exec_step(r.x, NULL);
    mem_fail_at(0);
    assert_ok(code);
    run_close(&r);
}

static void other_devices_have_no_counts(void **state)
{
    (void)state;
    const char *uris[] = {"emu:m4", "emu:m4,wide", "emu:m4,exact"};
    for (size_t i = 0; i < COUNT_OF(uris); i++) {
        exec_stats s;
        dev_counts c;
        run r = counting(uris[i], PLAN_DW_HOST);
        run_step(&r, &s);
        assert_null(s.kinds);
        assert_true(s.products == 0 && s.dropped == 0 && s.flushed == 0);
        assert_fails(exec_counts(r.x, 0, &c), E_UNIMPL, "does not count products");
        run_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_product_has_its_name_in_every_plan),
        cmocka_unit_test(pieces_of_a_long_vocabulary_have_one_name),
        cmocka_unit_test(sums_over_names_are_those_of_the_step),
        cmocka_unit_test(each_step_counts_for_itself_also_after_one_that_failed),
        cmocka_unit_test(a_step_that_counts_allocates_nothing),
        cmocka_unit_test(other_devices_have_no_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
