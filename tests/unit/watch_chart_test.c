/* What is drawn can be read: ticks are round and labels apart, colours stand out
 * from both grounds, bad tables are refused by line, and no picture is broken. */
#include "test.h"
#include "base/arena.h"
#include "base/rng.h"
#include "watch/chart.h"
#include "watch/chart_axis.h"

static rc draw(const char *csv, bool log_x, bool log_y, str *out)
{
    chart_axes axes = {.title = "T & <t>", .x = "x", .y = "y"};
    axes.log_x = log_x;
    axes.log_y = log_y;
    str_clear(out);
    return chart_csv(&axes, csv, out);
}

static void check_apart(const chart_axis *a, double length, double line)
{
    assert_true(a->n >= 2);
    for (int i = 1; i < a->n; i++) {
        double half = line > 0 ? line / 2
                               : (double)(strlen(a->label[i]) + strlen(a->label[i - 1])) *
                                     CHART_LETTER / 2;
        double gap = chart_place(a, a->tick[i]) - chart_place(a, a->tick[i - 1]);
        assert_true(gap * length >= half);
        assert_string_not_equal(a->label[i], a->label[i - 1]);
    }
}

static void labels_never_touch_whatever_the_range(void **state)
{
    for (uint64_t i = 0; i < 4000; i++) {
        bool log = i & 1, flat = i & 2;
        double size = pow(10, 40 * rng_unit(1, 1, i) - 20);
        double width = pow(10, -5 + 20 * rng_unit(1, 2, i));
        chart_axis a = chart_axis_new(log);
        chart_axis_add(&a, size);
        chart_axis_add(&a, log ? size * (1 + width) : size - size * width);
        chart_axis_ticks(&a, flat ? 700 : 400, flat ? 0 : 26);
        check_apart(&a, flat ? 700 : 400, flat ? 0 : 26);
        assert_in_range((int)(1000 * chart_place(&a, size)), 0, 1000);
    }
}

static void ticks_are_round(void **state)
{
    chart_axis a = chart_axis_new(true);
    for (double v = 256; v <= 8192; v *= 2) chart_axis_add(&a, v);
    chart_axis_ticks(&a, 600, 0);
    assert_int_equal(a.n, 6);
    assert_string_equal(a.label[0], "256");
    assert_string_equal(a.label[5], "8192");
    a = chart_axis_new(false);
    chart_axis_add(&a, 3);
    chart_axis_add(&a, 19999);
    chart_axis_ticks(&a, 690, 0);
    assert_string_equal(a.label[0], "0");
    assert_string_equal(a.label[a.n - 1], "20k");
}

/* Of a colour #rrggbb, by WCAG 2.1. */
static double luminance(const char *hex)
{
    unsigned rgb = (unsigned)strtoul(hex + 1, NULL, 16);
    double part[3], of = 0, weight[3] = {0.2126, 0.7152, 0.0722};
    for (int i = 0; i < 3; i++) {
        part[i] = (double)(rgb >> (16 - 8 * i) & 255) / 255;
        of += weight[i] * (part[i] <= 0.03928 ? part[i] / 12.92
                                              : pow((part[i] + 0.055) / 1.055, 2.4));
    }
    return of;
}

static double contrast(double a, double b)
{
    return (fmax(a, b) + 0.05) / (fmin(a, b) + 0.05);
}

static void colours_stand_out_from_both_grounds(void **state)
{
    str out = {0};
    char rule[16];
    assert_ok(draw("x,a\n1,2\n3,4\n", false, false, &out));
    assert_text_has(out.p, "prefers-color-scheme:dark");
    for (int i = 0; i < 8; i++) {
        snprintf(rule, sizeof rule, ".s%d{stroke:", i);
        assert_text_has(out.p, rule);
        double l = luminance(strstr(out.p, rule) + strlen(rule));
        assert_true(contrast(l, luminance("#ffffff")) >= 3);
        assert_true(contrast(l, luminance("#0d1117")) >= 3);
    }
    str_free(&out);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text++) n++;
    return n;
}

static void an_empty_cell_is_no_point_and_nan_breaks_the_line(void **state)
{
    str out = {0};
    assert_ok(draw("x,a\n0,1\n1,\n2,3\n", false, false, &out));
    const char *line = strstr(out.p, "class=\"line s0\"");
    assert_non_null(line);
    assert_int_equal(count(out.p, "class=\"f0 edge\""), 3); /* two and the legend's */
    assert_true(strchr(line, 'L') < strstr(line, "/>"));
    assert_ok(draw("x,a\n0,1\n1,nan\n2,3\n", false, false, &out));
    line = strstr(out.p, "class=\"line s0\"");
    assert_null(strchr(line, 'L'));
    /* not above zero on a log axis: nothing there */
    assert_ok(draw("x,a\n0,1\n1,2\n2,3\n", true, false, &out));
    assert_int_equal(count(out.p, "class=\"f0 edge\""), 3);
    str_free(&out);
}

static void names_are_quoted_escaped_and_cut(void **state)
{
    str out = {0};
    assert_ok(draw("# a comment\n\nx,\"a,<b> \"\"c\"\"\","
                   "a name that is far too long to stand beside the picture\n1,2,3\n",
                   false, false, &out));
    assert_text_has(out.p, ">a,&lt;b&gt; &quot;c&quot;<");
    assert_text_has(out.p, "T &amp; &lt;t&gt;");
    assert_text_has(out.p, "<title>a name that is far too long to stand beside the "
                           "picture</title>");
    str_free(&out);
}

static void a_long_run_stays_small_and_keeps_its_outlier(void **state)
{
    str csv = {0}, out = {0};
    str_add(&csv, "step,loss\n");
    for (int i = 0; i < 100000; i++)
        str_addf(&csv, "%d,%d\n", i, i == 77777 ? 1000 : i % 2);
    assert_ok(draw(csv.p, false, false, &out));
    assert_true(out.n < 100000);
    const char *line = strstr(out.p, "class=\"line s0 thin\"");
    assert_non_null(line);
    char top[16]; /* 1000 is the end of the axis, which is at the top */
    snprintf(top, sizeof top, " %d", 16 + 24);
    assert_true(strstr(line, top) < strstr(line, "/>"));
    str_free(&csv);
    str_free(&out);
}

static void bad_tables_are_refused_by_line(void **state)
{
    static const struct {
        const char *csv, *part;
    } bad[] = {
        {"", "wanted a line of names"},
        {"x\n1\n", "line 1: wanted two columns"},
        {"x,a\n", "wanted points"},
        {"x,a\n1,\n", "wanted points"},
        {"x,a\n1,2\none,2\n", "line 3"},
        {"x,a\n1,2,3\n", "line 2: wanted 2 cells"},
        {"x,\"a\n1,2\n", "line 1: wanted a closing quote"},
        {"x,\"a\"b\n1,2\n", "line 1: wanted a comma"},
    };
    str out = {0};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_fails(draw(bad[i].csv, false, false, &out), E_FORMAT, bad[i].part);
    str_free(&out);
}

static void no_bytes_break_it(void **state)
{
    static const char piece[] = ",,\n\n\"# 019.-e\tnaif\r";
    char csv[64];
    str out = {0};
    for (uint64_t i = 0; i < 20000; i++) {
        size_t n = (size_t)(rng_unit(2, i, 0) * 60);
        for (size_t j = 0; j < n; j++)
            csv[j] = piece[(size_t)(rng_unit(2, i, j + 1) * (sizeof piece - 1))];
        csv[n] = 0;
        rc e = draw(csv, i & 1, i & 2, &out);
        assert_true(e == OK || e == E_FORMAT);
        if (!e) assert_true(!strstr(out.p, "\"nan") && !strstr(out.p, "inf"));
    }
    str_free(&out);
}

static void without_memory_it_says_so(void **state)
{
    str out = {0};
    for (long at = 1;; at++) {
        mem_fail_at(at);
        rc e = draw("x,a,\"b\"\n1,2,3\n2,3,4\n", true, false, &out);
        mem_fail_at(0);
        if (!e) break;
        assert_int_equal(e, E_MEMORY);
        str_free(&out);
    }
    str_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_never_touch_whatever_the_range),
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(colours_stand_out_from_both_grounds),
        cmocka_unit_test(an_empty_cell_is_no_point_and_nan_breaks_the_line),
        cmocka_unit_test(names_are_quoted_escaped_and_cut),
        cmocka_unit_test(a_long_run_stays_small_and_keeps_its_outlier),
        cmocka_unit_test(bad_tables_are_refused_by_line),
        cmocka_unit_test(no_bytes_break_it),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
