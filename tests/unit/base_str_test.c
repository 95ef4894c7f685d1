/* Text, numbers in text, and time. */
#include <float.h>
#include <locale.h>
#include "test.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/str.h"

static void text_grows(void **state)
{
    str s = {0};
    assert_string_equal(str_text(&s), "");
    str_addn(&s, NULL, 0);
    for (int i = 0; i < 1000; i++)
        str_addf(&s, "%d,", i), str_add(&s, "ab"), str_addc(&s, ';');
    assert_ok(str_done(&s));
    assert_int_equal(s.n, strlen(s.p));
    assert_true(str_starts(s.p, "0,ab;1,ab;2,ab;"));
    assert_true(str_ends(s.p, "998,ab;999,ab;"));
    str_clear(&s);
    assert_string_equal(str_text(&s), "");
    str_addn(&s, "a\0b", 3);
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "a\0b", 4);
    str_free(&s);
    assert_null(s.p);
}

static void failed_growth_is_seen_at_the_end(void **state)
{
    str s = {0};
    str_add(&s, "before");
    mem_fail_at(1);
    str_addf(&s, "%100d", 1);
    str_add(&s, "after");
    assert_fails(str_done(&s), E_MEMORY, "out of memory");
    assert_string_equal(str_text(&s), "before");
    str_clear(&s);
    str_add(&s, "again");
    assert_ok(str_done(&s));
    str_free(&s);
}

static void whole_numbers_are_strict(void **state)
{
    static const struct {
        const char *word;
        int64_t want;
    } good[] = {{"0", 0},
                {"-12", -12},
                {"+7", 7},
                {"007", 7},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      "1 ",
                                      " 1",
                                      "1.0",
                                      "0x10",
                                      "--1",
                                      "1e3",
                                      "ten",
                                      "9223372036854775808",
                                      "-9223372036854775809"};
    int64_t v = 5;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_fails(str_to_int(bad[i], &v), E_FORMAT, "wanted a whole number");
        assert_true(v == 5);
    }
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(str_to_int(good[i].word, &v));
        assert_true(v == good[i].want);
    }
}

static void numbers_are_strict(void **state)
{
    static const struct {
        const char *word;
        double want;
    } good[] = {{"0", 0},  {"-1.5", -1.5}, {"3e-4", 3e-4}, {"+.5", .5},
                {"5.", 5}, {"1E3", 1000},  {"1e-400", 0}};
    static const char *const bad[] = {"",    ".",     "-",     "e5",     "1e",
                                      "1 ",  " 1",    "nan",   "inf",    "0x1p3",
                                      "1,5", "1.2.3", "1e999", "-1e999", "1f"};
    double v = 5;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_fails(str_to_real(bad[i], &v), E_FORMAT, "wanted a number");
        assert_true(v == 5);
    }
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(str_to_real(good[i].word, &v));
        assert_true(v == good[i].want);
    }
}

static void numbers_print_short_and_come_back(void **state)
{
    static const struct {
        double v;
        const char *want;
    } cases[] = {{0, "0"},           {12.4, "12.4"},    {3.2541, "3.2541"},
                 {-3e-4, "-0.0003"}, {1e300, "1e+300"}, {1.0 / 3, "0.3333333333333333"},
                 {4096, "4096"}};
    str s = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        str_clear(&s);
        str_add_real(&s, cases[i].v);
        assert_string_equal(str_text(&s), cases[i].want);
    }
    for (uint64_t i = 0; i < 2000; i++) {
        double v = rng_normal(1, 1, i) * pow(10, rng_unit(1, 2, i) * 600 - 300), back;
        str_clear(&s);
        str_add_real(&s, v);
        assert_ok(str_to_real(str_text(&s), &back));
        assert_true(v == back);
    }
    str_free(&s);
}

/* A locale with a comma, where the system has one, changes nothing. */
static void the_locale_does_not_matter(void **state)
{
    static const char *const comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8",
                                        "nl_NL.UTF-8"};
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(comma) && !found; i++)
        found = setlocale(LC_NUMERIC, comma[i]) != NULL;
    if (!found) skip();
    str s = {0};
    double v;
    str_add_real(&s, 1.5);
    rc r = str_to_real("2.5", &v);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(str_text(&s), "1.5");
    assert_ok(r);
    assert_true(v == 2.5);
    str_free(&s);
}

static void numbers_for_people(void **state)
{
    char out[32];
    assert_string_equal(str_count(out, 0), "0");
    assert_string_equal(str_count(out, 999), "999");
    assert_string_equal(str_count(out, 12.34), "12.3");
    assert_string_equal(str_count(out, 1234567), "1.2M");
    assert_string_equal(str_count(out, 999960), "1.0M");
    assert_string_equal(str_count(out, -1500), "-1.5K");
    assert_string_equal(str_count(out, 1.1e9), "1.1B");
    assert_string_equal(str_bytes(out, 12), "12 B");
    assert_string_equal(str_bytes(out, 1234567), "1.2 MB");
    assert_string_equal(str_bytes(out, 7e18), "7000.0 PB");
    assert_string_equal(str_clock(out, 83), "01:23");
    assert_string_equal(str_clock(out, 3599.9), "59:59");
    assert_string_equal(str_clock(out, 3723), "1:02:03");
    assert_string_equal(str_clock(out, -1), "--:--");
    assert_string_equal(str_clock(out, NAN), "--:--");
    assert_string_equal(str_clock(out, INFINITY), "--:--");
    str_count(out, DBL_MAX);
    str_bytes(out, -DBL_MAX);
    assert_true(strlen(out) < 32);
}

static void ends_of_texts(void **state)
{
    assert_true(str_starts("abc", "") && str_starts("abc", "ab") &&
                !str_starts("ab", "abc"));
    assert_true(str_ends("abc", "") && str_ends("abc", "bc") && !str_ends("bc", "abc"));
}

static void time_goes_forward(void **state)
{
    double t = clock_ms(), unix_time = clock_unix();
    for (int i = 0; i < 1000; i++) {
        double now = clock_ms();
        assert_true(now >= t);
        t = now;
    }
    usleep(20000);
    /* a sleep is never shorter than asked */
    assert_true(clock_ms() - t >= 19.9);
    assert_true(clock_unix() > unix_time && unix_time > 1.6e9);
}

static void memory_of_the_process_is_seen(void **state)
{
    size_t n = (size_t)64 << 20, now = clock_now_rss();
    unsigned char *p = mem_take(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i += 512) p[i] = 1;
    assert_true(clock_peak_rss() >= n);
    /* zero means that this system does not say */
    if (now) assert_true(clock_now_rss() >= n && clock_now_rss() <= 2 * clock_peak_rss());
    assert_int_equal(p[512], 1);
    mem_drop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows),
        cmocka_unit_test(failed_growth_is_seen_at_the_end),
        cmocka_unit_test(whole_numbers_are_strict),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(numbers_print_short_and_come_back),
        cmocka_unit_test(the_locale_does_not_matter),
        cmocka_unit_test(numbers_for_people),
        cmocka_unit_test(ends_of_texts),
        cmocka_unit_test(time_goes_forward),
        cmocka_unit_test(memory_of_the_process_is_seen),
    };
    return cmocka_run_group_tests_name("base str and clock", tests, NULL, NULL);
}
