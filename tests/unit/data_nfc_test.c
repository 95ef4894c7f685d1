/* Normalisation form C, against cases made by another implementation, whole
 * and in portions. */
#include "test.h"
#include "base/arena.h"
#include "data/nfc.h"
#include "data/utf8.h"

static nfc *table;

static int setup(void **state)
{
    return nfc_new(&table);
}

static int teardown(void **state)
{
    nfc_free(table);
    return 0;
}

static str whole(const char *text, size_t n)
{
    str out = {0};
    size_t used;
    assert_ok(nfc_add(table, text, n, true, &out, &used));
    assert_int_equal(used, n);
    return out;
}

/* In portions of `step` bytes, as a stream comes. */
static str portions(const char *text, size_t n, size_t step)
{
    str out = {0}, wait = {0};
    for (size_t at = 0; at < n; at += step) {
        size_t used, k = n - at < step ? n - at : step;
        str_addn(&wait, text + at, k);
        assert_ok(nfc_add(table, wait.p, wait.n, at + k == n, &out, &used));
        memmove(wait.p, wait.p + used, wait.n - used);
        wait.n -= used;
    }
    assert_int_equal(wait.n, 0);
    str_free(&wait);
    return out;
}

static void assert_form(const char *text, size_t n, const char *want, size_t n_want)
{
    str had = whole(text, n);
    assert_int_equal(had.n, n_want);
    assert_memory_equal(str_text(&had), want, n_want);
    str_free(&had);
    for (size_t step = 1; step < 5 && n; step++) {
        had = portions(text, n, step);
        assert_int_equal(had.n, n_want);
        assert_memory_equal(str_text(&had), want, n_want);
        str_free(&had);
    }
}

static void read_codes(const char *p, const char *end, str *out)
{
    str_clear(out);
    while (p < end) {
        char *next, bytes[4];
        unsigned long c = strtoul(p, &next, 16);
        if (next == p) break;
        str_addn(out, bytes, utf8_put((uint32_t)c, bytes));
        p = next;
    }
}

static void the_cases_of_another_implementation_agree(void **state)
{
    arena *a = arena_new();
    char *text;
    size_t n, cases = 0;
    str in = {0}, want = {0};
    assert_ok(file_read(a, "tests/data/nfc_cases.txt", 0, &text, &n));
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        char *mid = memchr(line, ';', (size_t)(end - line));
        if (*line == '#') continue;
        read_codes(line, mid, &in);
        read_codes(mid + 1, end, &want);
        assert_form(in.p, in.n, want.p, want.n);
        assert_form(want.p, want.n, want.p, want.n); /* form C is its own form C */
        cases++;
    }
    assert_true(cases >= 700);
    str_free(&in);
    str_free(&want);
    arena_free(a);
}

static void all_together_is_each_alone_with_letters_between(void **state)
{
    str in = {0}, want = {0};
    for (int i = 0; i < 3000; i++) {
        str_add(&in, "plain words e\xcc\x81 x");
        str_add(&want, "plain words \xc3\xa9 x");
    }
    str had = portions(in.p, in.n, 1000);
    assert_int_equal(had.n, want.n);
    assert_memory_equal(had.p, want.p, want.n);
    str_free(&had);
    str_free(&in);
    str_free(&want);
}

static void bytes_that_are_not_utf8_stay_and_combine_with_nothing(void **state)
{
    static const char *const same[] = {
        "\xff\xcc\x81",         "e\xff\xcc\x81", "\xcc", "e\xcc", "\xcc\x81",
        "\xed\xa0\x80\xcc\x81", "\xc3\x28",      "",     "a"};
    for (size_t i = 0; i < COUNT_OF(same); i++)
        assert_form(same[i], strlen(same[i]), same[i], strlen(same[i]));
    assert_form("\xff"
                "e\xcc\x81",
                4, "\xff\xc3\xa9", 3);
}

/* A segment without end is not kept back without end. */
static void a_million_marks_pass(void **state)
{
    str in = {0};
    str_addc(&in, 'e');
    for (int i = 0; i < 1000000; i++) str_add(&in, "\xcc\x81");
    str had = portions(in.p, in.n, 4096);
    assert_int_equal(had.n, in.n - 1); /* one of them is in the letter */
    str_free(&had);
    str_free(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cases_of_another_implementation_agree),
        cmocka_unit_test(all_together_is_each_alone_with_letters_between),
        cmocka_unit_test(bytes_that_are_not_utf8_stay_and_combine_with_nothing),
        cmocka_unit_test(a_million_marks_pass),
    };
    return cmocka_run_group_tests_name("data_nfc", tests, setup, teardown);
}
