/* The questions of `device check`: every one has an answer on software devices,
 * and none passes by not being asked. Rules are in emu_rules_test. */
#include "test.h"
#include <string.h>
#include "dev/check.h"
#include "dev/selfcheck.h"

static kern *pool;

typedef struct {
    const char *uri;
    bool numbers, computes; /* what can be asked there */
} place;
static const place places[] = {
    {"emu:m4", false, true},      {"emu:m4,exact", true, true},
    {"emu:m1,exact", true, true}, {"emu:m3pro,exact", true, true},
    {"emu:m4,wide", false, true}, {"null:m4", false, false}};

static void ask_all(const place *p)
{
    device *d;
    dev_caps expected;
    assert_ok(dev_open(p->uri, pool, &d));
    assert_ok(dev_probe_table(d, &expected));
    for (size_t i = 0; i < dev_question_count(); i++) {
        dev_question q;
        dev_sight s;
        dev_probe_result r;
        bool spoiled;
        dev_question_at(i, &q);
        if (q.kind == DEV_ASK_RULE) continue;
        assert_ok(dev_ask(d, i, &s, &spoiled));
        dev_answer(&expected, i, &s, &r);
        bool asked = q.kind == DEV_ASK_CONTRACT ||
                     (q.kind == DEV_ASK_NUMBERS && p->numbers);
        if (r.verdict == DEV_PROBE_FAIL || !*r.detail ||
            (asked && p->computes && r.verdict != DEV_PROBE_PASS))
            fail_msg("%s: %s: %s", p->uri, q.id, r.detail);
        if (!asked) assert_int_equal(r.verdict, DEV_PROBE_SKIP);
    }
    dev_close(d);
}

static void software_devices_keep_every_promise(void **state)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) ask_all(&places[i]);
}

static void every_question_is_found_by_its_name(void **state)
{
    int rules = 0;
    for (size_t i = 0; i < dev_question_count(); i++) {
        dev_question q;
        dev_question_at(i, &q);
        assert_int_equal(dev_question_find(q.id), (int)i);
        assert_true(*q.text && *q.source);
        rules += q.kind == DEV_ASK_RULE;
    }
    assert_int_equal(rules, DEV_RULES);
    assert_int_equal(dev_question_find("no such"), -1);
}

/* What the chip does to large sums is what the points are there to see. */
static void wrong_arithmetic_is_seen(void **state)
{
    static const char *const points[] = {"half_away", "exact_product"};
    device *d;
    dev_caps caps;
    assert_ok(dev_open("emu:m4,wide", pool, &d));
    assert_ok(dev_caps_of(d, &caps));
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        dev_sight s = {.seen = DEV_SEEN_NOTHING};
        dev_probe_result r;
        int q = dev_question_find(points[i]);
        rc (*const ask[])(device *, const dev_caps *, dev_sight *) = {numbers_half_away,
                                                                      numbers_product};
        assert_ok(ask[i](d, &caps, &s));
        dev_answer(&caps, (size_t)q, &s, &r);
        assert_int_equal(r.verdict, DEV_PROBE_FAIL);
        assert_false(r.holds);
    }
    dev_close(d);
}

static void distance_tells_noise_from_faults(void **state)
{
    half want[4], had[4];
    for (int i = 0; i < 4; i++) want[i] = had[i] = half_from_double(i + 1);
    assert_true(check_distance(had, want, 4) == 0);
    had[3] = half_from_double(4.0078125);
    assert_true(check_distance(had, want, 4) < DEV_SELF_BOUND);
    had[3] = 0;
    assert_true(check_distance(had, want, 4) > 0.5);
    had[3] = half_from_double(1e9);
    assert_true(isinf(check_distance(had, want, 4)));
}

/* A process that ended is an answer; of the tables it is judged like any other. */
static void what_did_not_survive_holds_as_a_rule(void **state)
{
    dev_caps expected = {.profile = dev_profile_find("m4")};
    dev_sight s = {.seen = DEV_SEEN_DIED, .value = NAN};
    dev_probe_result r;
    dev_profile_rules(expected.profile, &expected);
    dev_answer(&expected, (size_t)dev_question_find("tile_poison"), &s, &r);
    assert_true(r.holds);
    assert_int_equal(r.verdict, DEV_PROBE_PASS); /* disputed: an answer */
    dev_answer(&expected, (size_t)dev_question_find("concat_refused"), &s, &r);
    assert_true(r.holds);
    assert_int_equal(r.verdict, DEV_PROBE_FAIL); /* the tables have it on h13 only */
    dev_answer(&expected, (size_t)dev_question_find("tickets"), &s, &r);
    assert_false(r.holds);
    assert_int_equal(r.verdict, DEV_PROBE_FAIL);
}

static int open_pool(void **state)
{
    return kern_open(2, NULL, &pool) != OK;
}

static int close_pool(void **state)
{
    kern_close(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(software_devices_keep_every_promise),
        cmocka_unit_test(every_question_is_found_by_its_name),
        cmocka_unit_test(wrong_arithmetic_is_seen),
        cmocka_unit_test(distance_tells_noise_from_faults),
        cmocka_unit_test(what_did_not_survive_holds_as_a_rule),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
