/* The questions of `device check` that are put below the driver, on the fake
 * framework: each has the answer that the framework gives, whichever it is. */
#include "dev_help.h"
#include "dev/check.h"
#include "fake_controls.h"

/* Ask as a child of `device check` does. */
static dev_sight ask(const char *route, const char *question, const char *words)
{
    char uri[300];
    device *d;
    dev_sight s;
    bool spoiled;
    snprintf(uri, sizeof uri, "ane:%s,rules=none,compiles=none,lib=" FAKE_LIB, route);
    assert_ok(dev_open(uri, NULL, &d));
    fake.tell(words);
    assert_ok(dev_ask(d, (size_t)dev_question_find(question), &s, &spoiled));
    fake.tell("");
    dev_close(d);
    print_message("%s: %s\n", question, s.detail);
    return s;
}

static const char *const routes[] = {"client", "memory"};

static void more_runs_than_the_queue_holds_are_put_at_once(void **state)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        uint64_t before = fake.evaluations();
        dev_sight s = ask(routes[i], "queue_depth", "");
        assert_int_equal(s.seen, DEV_SEEN_RULE);
        assert_true(s.value == 127);
        assert_true(fake.evaluations() - before >= 320);
        assert_true(fake.most_in_flight() <= 127);
    }
}

static void a_queue_that_refuses_is_counted(void **state)
{
    dev_sight s = ask("memory", "queue_depth", "refuse=evaluate,queue_full,128");
    assert_int_equal(s.seen, DEV_SEEN_RULE);
    assert_true(s.value == 127);
    assert_non_null(strstr(s.detail, "127 were taken, the rest refused with code 5"));
    s = ask("client", "queue_depth", "refuse=evaluate,aborted,40");
    assert_int_equal(s.seen, DEV_SEEN_FAILED);
    assert_non_null(strstr(s.detail, "request aborted"));
}

/* Where the framework names no depth, nothing is claimed. */
static void without_a_name_the_depth_is_not_known(void **state)
{
    fake.hide("queueDepth");
    dev_sight s = ask("client", "queue_depth", "");
    assert_int_equal(s.seen, DEV_SEEN_UNKNOWN);
    assert_non_null(strstr(s.detail, "160 runs at once on one program: all were taken"));
    fake.hide(NULL);
}

static void runs_of_one_program_follow_each_other(void **state)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        dev_sight s = ask(routes[i], "one_in_flight", "");
        assert_int_equal(s.seen, DEV_SEEN_RULE);
    }
    dev_sight s = ask("client", "one_in_flight", "refuse=evaluate,aborted,20");
    assert_int_equal(s.seen, DEV_SEEN_FAILED);
}

/* As macOS 27 does, and where no other form is tried. */
static void two_weight_files_are_taken_or_refused_by_the_system(void **state)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        dev_sight s = ask(routes[i], "two_files", "");
        assert_int_equal(s.seen, DEV_SEEN_RIGHT);
        assert_non_null(strstr(s.detail, "pairs"));
    }
    fake.system(27);
    dev_sight s = ask("memory", "two_files", "system=27");
    assert_int_equal(s.seen, DEV_SEEN_RIGHT);
    assert_non_null(strstr(s.detail, "files"));
    s = ask("memory,weights=pairs", "two_files", "system=27");
    assert_int_equal(s.seen, DEV_SEEN_REFUSED);
    assert_non_null(strstr(s.detail, "code 10"));
}

/* Our reader knows these rules; the answer is the system's own. */
static void what_our_reader_refuses_reaches_the_system(void **state)
{
    static const char *const rules[] = {"surface_slots", "grouped_conv_limit"};
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        dev_sight s = ask("client", rules[i], "");
        assert_int_equal(s.seen, DEV_SEEN_REFUSED);
        assert_non_null(strstr(s.detail, "cannot compile the program: com.apple"));
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(more_runs_than_the_queue_holds_are_put_at_once),
        TEST(a_queue_that_refuses_is_counted),
        TEST(without_a_name_the_depth_is_not_known),
        TEST(runs_of_one_program_follow_each_other),
        TEST(two_weight_files_are_taken_or_refused_by_the_system),
        TEST(what_our_reader_refuses_reaches_the_system),
    };
    return cmocka_run_group_tests(tests, open_fake, NULL);
}
