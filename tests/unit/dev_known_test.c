/* Reports and self-checks on disk: heeded for the machine they are of, put
 * aside with a reason otherwise, and never fatal. */
#include "test.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "dev/known.h"

static char *dir;
static const dev_machine mine = {"Apple M4", "15.3.1", "24D70", ""};

/* A report of `m` in dir: row_multiple does not hold, concat_refused does, and 40
 * programs could be compiled. */
static void write_report(const dev_machine *m, const char *key, json_t *value)
{
    arena *a = arena_new();
    json_t *o = dev_known_head(m);
    json_object_set_new(o, "route", json_string("client"));
    json_object_set_new(
        o, "rules",
        json_pack("[{s:s,s:b},{s:s,s:b},{s:s,s:n},{s:s,s:b,s:f},{s:s,s:b}]", "name",
                  "row_multiple", "holds", 0, "name", "concat_refused", "holds", 1,
                  "name", "mac_cliff", "holds", "name", "compile_budget", "holds", 1,
                  "value", 40.0, "name", "a_rule_of_the_future", "holds", 1));
    if (key) json_object_set_new(o, key, value);
    assert_ok(dev_known_write(dir, DEV_REPORT_NAME, o, a, NULL));
    arena_free(a);
}

static void write_text(const char *name, const char *text)
{
    arena *a = arena_new();
    assert_ok(file_replace(file_join(a, dir, name), text, strlen(text)));
    arena_free(a);
}

static dev_caps table_of(const char *model)
{
    dev_caps c = {.profile = dev_profile_find(model)};
    dev_profile_rules(c.profile, &c);
    c.compiles_max = 119;
    c.programs_max = 128;
    return c;
}

static void what_was_seen_takes_the_place_of_the_tables(void **state)
{
    dev_report r;
    dev_caps c = table_of("m4");
    write_report(&mine, NULL, NULL);
    assert_ok(dev_report_read(dir, &mine, &r));
    assert_true(r.there);
    dev_report_apply(&r, "client", &c);
    assert_false(c.rule_holds[RULE_row_multiple]);
    assert_true(c.rule_holds[RULE_concat_refused]);
    assert_false(c.rule_disputed[RULE_concat_refused]);
    assert_true(c.rule_holds[RULE_mac_cliff]); /* not asked: as the table says */
    assert_true(c.rule_holds[RULE_gelu_refused] && c.rule_disputed[RULE_gelu_refused]);
    assert_int_equal(c.compiles_max, 40);
    assert_int_equal(c.programs_max, 128);
    assert_text_has(c.learned, "rules from the report of 20");
}

/* Budgets were met on one way to the engine; the other need not have them. */
static void limits_are_those_of_the_route(void **state)
{
    dev_report r;
    dev_caps c = table_of("m4");
    write_report(&mine, NULL, NULL);
    assert_ok(dev_report_read(dir, &mine, &r));
    dev_report_apply(&r, "memory", &c);
    assert_int_equal(c.compiles_max, 119);
    assert_true(c.rule_holds[RULE_concat_refused]);
}

static void expect_aside(const dev_machine *m, const char *reason)
{
    dev_report r;
    dev_caps c = table_of("m4"), before = c;
    assert_ok(dev_report_read(dir, m, &r));
    assert_false(r.there);
    dev_report_apply(&r, "client", &c);
    assert_memory_equal(c.rule_holds, before.rule_holds, sizeof c.rule_holds);
    assert_memory_equal(c.rule_disputed, before.rule_disputed, sizeof c.rule_disputed);
    assert_int_equal(c.compiles_max, 119);
    if (*reason) assert_text_has(c.learned, reason);
    else assert_string_equal(c.learned, "");
}

static void a_report_of_another_machine_is_put_aside(void **state)
{
    dev_machine other = mine;
    write_report(&mine, NULL, NULL);
    snprintf(other.build, sizeof other.build, "24E12");
    expect_aside(&other, "another build of the system (24D70, this is 24E12)");
    other = mine;
    snprintf(other.chip, sizeof other.chip, "Apple M5");
    expect_aside(&other, "another chip");
    other = mine;
    snprintf(other.lib, sizeof other.lib, "/tmp/other.so");
    expect_aside(&other, "another library");
    write_report(&mine, "anneal", json_string("0.0.1"));
    expect_aside(&mine, "another version of anneal (0.0.1, this is ");
    write_report(&mine, "format", json_integer(2));
    expect_aside(&mine, "is of format 2, this is 1");
    write_report(&(dev_machine){"", "", "", ""}, NULL, NULL);
    expect_aside(&(dev_machine){"", "", "", ""}, "does not tell its chip and build");
}

static void a_damaged_report_is_put_aside(void **state)
{
    static const char *const torn[] = {
        "",         "{",   "[]", "{\"format\": 1, \"anneal\":", "{\"format\": \"x\"}",
        "\xff\xfe", "null"};
    char *whole;
    size_t n;
    arena *a = arena_new();
    for (size_t i = 0; i < sizeof torn / sizeof *torn; i++) {
        write_text(DEV_REPORT_NAME, torn[i]);
        expect_aside(&mine, "the report of an earlier check is");
    }
    write_report(&mine, NULL, NULL);
    assert_ok(file_read(a, file_join(a, dir, DEV_REPORT_NAME), 0, &whole, &n));
    for (size_t cut = 1; cut < n - 2; cut += 7) { /* the last byte is the brace */
        char *part = arena_textn(a, whole, cut);
        write_text(DEV_REPORT_NAME, part);
        expect_aside(&mine, "is damaged");
    }
    arena_free(a);
}

static void no_report_is_nothing_to_speak_of(void **state)
{
    arena *a = arena_new();
    file_remove(file_join(a, dir, DEV_REPORT_NAME));
    err_clear();
    expect_aside(&mine, "");
    dev_report r;
    assert_ok(dev_report_read(NULL, &mine, &r));
    assert_false(r.there);
    arena_free(a);
}

/* Odd values in a file that is ours by its head do no harm. */
static void odd_values_do_no_harm(void **state)
{
    dev_report r;
    dev_caps c = table_of("m4");
    write_report(&mine, "rules",
                 json_pack("[s,{},{s:i},{s:s,s:s},{s:s,s:b,s:f},{s:s,s:b,s:f}]", "text",
                           "name", 7, "name", "mac_cliff", "holds", "yes", "name",
                           "compile_budget", "holds", 1, "value", -3e300, "name",
                           "program_slots", "holds", 1, "value", 1e300));
    assert_ok(dev_report_read(dir, &mine, &r));
    dev_report_apply(&r, "client", &c);
    assert_int_equal(c.compiles_max, 119);
    assert_int_equal(c.programs_max, 128);
    write_report(&mine, "rules", json_integer(1));
    assert_ok(dev_report_read(dir, &mine, &r));
}

static void a_selfcheck_is_remembered_with_its_reason(void **state)
{
    dev_self_known s;
    dev_machine other = mine;
    assert_ok(dev_self_read(dir, &mine, &s));
    assert_false(s.there);
    assert_text_has(s.detail, "no self-check");
    assert_ok(dev_self_write(dir, &mine, true, "all is well"));
    assert_ok(dev_self_read(dir, &mine, &s));
    assert_true(s.there && s.passed);
    assert_ok(dev_self_write(dir, &mine, false, "a product is wrong"));
    assert_ok(dev_self_read(dir, &mine, &s));
    assert_true(s.there && !s.passed);
    assert_string_equal(s.detail, "a product is wrong");
    snprintf(other.build, sizeof other.build, "25A1");
    assert_ok(dev_self_read(dir, &other, &s));
    assert_false(s.there);
    assert_text_has(s.detail, "another build");
    write_text(DEV_SELF_NAME, "{\"passed\": true");
    assert_ok(dev_self_read(dir, &mine, &s));
    assert_false(s.there || s.passed);
    assert_text_has(s.detail, "is damaged");
}

/* A disk that is full while a report is written leaves the one before. */
static void a_report_is_written_whole_or_not_at_all(void **state)
{
    dev_report r;
    arena *a = arena_new();
    write_report(&mine, NULL, NULL);
    for (long n = 1;; n++) {
        file_fail_at(n);
        rc e = dev_known_write(dir, DEV_REPORT_NAME,
                               json_pack("{s:i}", "format", DEV_KNOWN_FORMAT), a, NULL);
        file_fail_at(0);
        if (e == OK) break;
        assert_int_equal(e, E_IO);
        assert_ok(dev_report_read(dir, &mine, &r));
        assert_null(strstr(r.why, "damaged")); /* the old one or the new one */
        assert_true(n < 20);
    }
    assert_ok(dev_report_read(dir, &mine, &r));
    assert_false(r.there);
    arena_free(a);
}

/* ---- auto ---- */
static void auto_without_a_chip_takes_the_software_engine(void **state)
{
    device *d;
    dev_caps c;
    char chip[128];
    assert_ok(dev_open_at("auto", NULL, dir, &d));
    assert_ok(dev_caps_of(d, &c));
    assert_text_has(c.uri, "emu:m4");
    assert_true(*dev_why(d));
    dev_close(d);
    assert_ok(dev_open("emu:m4", NULL, &d));
    assert_string_equal(dev_why(d), "");
    dev_close(d);
    assert_true(dev_auto_chip("auto:lib=x", chip, sizeof chip));
    assert_text_has(chip, ":lib=x");
    assert_false(dev_auto_chip("automatic", chip, sizeof chip));
    assert_false(dev_auto_chip("emu:m4", chip, sizeof chip));
}

static int make_dir(void **state)
{
    dir = test_mkdir();
    return 0;
}

static int drop_dir(void **state)
{
    file_remove_tree(dir);
    free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_seen_takes_the_place_of_the_tables),
        cmocka_unit_test(limits_are_those_of_the_route),
        cmocka_unit_test(a_report_of_another_machine_is_put_aside),
        cmocka_unit_test(a_damaged_report_is_put_aside),
        cmocka_unit_test(no_report_is_nothing_to_speak_of),
        cmocka_unit_test(odd_values_do_no_harm),
        cmocka_unit_test(a_selfcheck_is_remembered_with_its_reason),
        cmocka_unit_test(a_report_is_written_whole_or_not_at_all),
        cmocka_unit_test(auto_without_a_chip_takes_the_software_engine),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
