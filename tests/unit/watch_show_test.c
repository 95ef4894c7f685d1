/* The bar on a faked terminal, plain lines elsewhere, JSON untouched. */
#include "test.h"
#include "watch/show.h"

typedef struct {
    FILE *talk, *product;
    show *s;
} view;

static view open_wide(show_mode mode, bool terminal, int columns)
{
    view v = {tmpfile(), tmpfile(), NULL};
    assert_non_null(v.talk);
    assert_non_null(v.product);
    assert_ok(show_new(mode, terminal, columns, v.talk, v.product, &v.s));
    return v;
}

static view open_view(show_mode mode, bool terminal)
{
    return open_wide(mode, terminal, 100);
}

static void say(view *v, const char *line)
{
    event_sink sink = show_sink(v->s);
    sink.put(sink.ctx, line, strlen(line));
}

/* What was written so far, in a buffer of the caller. */
static const char *written(FILE *f, char out[4096])
{
    fflush(f);
    rewind(f);
    size_t n = fread(out, 1, 4095, f);
    out[n] = 0;
    return out;
}

static void close_view(view *v)
{
    show_free(v->s);
    fclose(v->talk);
    fclose(v->product);
}

static const char start[] =
    "{\"t\":0,\"kind\":\"start\",\"run\":\"runs/a\",\"step\":0,\"device\":\"emu:m4\","
    "\"steps\":200,\"layers\":2,\"dim\":64,\"params\":115100,\"programs\":4,"
    "\"memory\":2900000}";
static const char step[] =
    "{\"t\":2.0,\"kind\":\"step\",\"step\":50,\"loss\":3.25,\"tok_s\":1900}";

static void a_terminal_gets_one_bar_redrawn(void **state)
{
    char text[4096];
    view v = open_view(SHOW_AUTO, true);
    say(&v, start);
    say(&v, step);
    written(v.talk, text);
    assert_text_has(text, "\r\033[Ktrain  25% ");
    assert_text_has(text, "█");
    assert_text_has(text, " 50/200  loss 3.2500    1.9K tok/s  00:02<00:06");
    assert_null(strchr(strstr(text, "train"), '\n'));
    close_view(&v);
}

static void a_lasting_line_clears_the_bar_first(void **state)
{
    char text[4096];
    view v = open_view(SHOW_BAR, true);
    say(&v, start);
    say(&v, step);
    say(&v,
        "{\"t\":3,\"kind\":\"eval\",\"step\":50,\"held_out\":1.5,\"nats_per_byte\":1.5}");
    written(v.talk, text);
    assert_text_has(text, "\r\033[Keval    step 50  held-out 1.5000");
    close_view(&v);
}

/* The last evaluation takes as long as many steps do. */
static void an_evaluation_shows_how_far_it_is(void **state)
{
    static const struct {
        show_mode mode;
        bool terminal;
        const char *text;
    } rows[] = {{SHOW_AUTO, true, "\r\033[Keval   25% "},
                {SHOW_AUTO, false, "eval    step 200  128/512 held-out windows\n"},
                {SHOW_NONE, true, ""},
                {SHOW_JSON, true, ""}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[4096], product[4096];
        view v = open_view(rows[i].mode, rows[i].terminal);
        show_evaluating(v.s, 200, 128, 512);
        written(v.talk, text);
        if (*rows[i].text) assert_text_has(text, rows[i].text);
        else assert_string_equal(text, "");
        show_evaluating(v.s, 200, 129, 512); /* at once: too soon to be drawn */
        assert_null(strstr(written(v.talk, text), "129"));
        assert_string_equal(written(v.product, product), "");
        if (!rows[i].terminal) assert_null(strpbrk(text, "\r\033"));
        close_view(&v);
    }
    char text[4096];
    view v = open_view(SHOW_BAR, true);
    show_evaluating(v.s, 200, 128, 512);
    say(&v, "{\"t\":3,\"kind\":\"eval\",\"step\":200,\"held_out\":1.5}");
    assert_text_has(written(v.talk, text),
                    "held-out windows\r\033[Keval    step 200  held");
    close_view(&v);
}

static void a_pipe_never_sees_a_bar(void **state)
{
    char text[4096];
    view v = open_view(SHOW_BAR, false);
    say(&v, start);
    say(&v, step);
    written(v.talk, text);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\r'));
    assert_text_has(text, "start   runs/a on emu:m4: 2 layers x 64, 115.1K parameters, "
                          "4 programs, 2.9 MB\n");
    assert_text_has(text, "step     50/200  loss 3.2500");
    close_view(&v);
}

static void power_is_shown_where_it_is_known(void **state)
{
    static const char powered[] =
        "{\"t\":2.0,\"kind\":\"step\",\"step\":50,\"loss\":3.25,\"tok_s\":1900,"
        "\"watts\":1.856,\"gbs\":12.5}";
    for (int terminal = 0; terminal < 2; terminal++) {
        char text[4096];
        view v = open_view(SHOW_AUTO, terminal);
        say(&v, start);
        say(&v, powered);
        written(v.talk, text);
        assert_text_has(text, "1.9K tok/s   1.86 W  00:02<00:06");
        close_view(&v);
    }
}

static void json_lines_pass_unchanged_to_the_product(void **state)
{
    char text[4096];
    view v = open_view(SHOW_JSON, true);
    say(&v, step);
    assert_string_equal(written(v.talk, text), "");
    written(v.product, text);
    assert_int_equal(strncmp(text, step, strlen(step)), 0);
    assert_string_equal(text + strlen(step), "\n");
    close_view(&v);
}

/* Cells a terminal would need for what follows the last redraw. */
static int width_of(const char *text)
{
    int n = 0;
    const char *last = text, *p;
    for (p = text; (p = strstr(p, "\033[K")); p += 3) last = p + 3;
    for (p = last; *p && *p != '\n'; p++) n += ((unsigned char)*p & 0xC0) != 0x80;
    return n;
}

static void no_width_makes_the_bar_wrap(void **state)
{
    for (int columns = 1; columns < 130; columns++) {
        char text[4096];
        view v = open_wide(SHOW_BAR, true, columns);
        say(&v, start);
        say(&v, step);
        written(v.talk, text);
        assert_true(width_of(text) < columns || columns == 1);
        close_view(&v);
    }
}

static void a_window_may_change_its_width(void **state)
{
    char text[4096];
    view v = open_wide(SHOW_BAR, true, 120);
    say(&v, start);
    show_resize(v.s, 30);
    say(&v, step);
    written(v.talk, text);
    assert_int_equal(width_of(text), 29);
    assert_null(strstr(text, "tok/s"));
    close_view(&v);
}

/* 100 of 200 steps took an hour, then the machine slept: what is left is judged
 * by the pace of this invocation. */
static void time_left_after_going_on_is_judged_by_the_new_pace(void **state)
{
    char text[4096];
    view v = open_view(SHOW_BAR, true);
    say(&v, "{\"t\":3600,\"kind\":\"start\",\"step\":100,\"steps\":200}");
    say(&v, "{\"t\":3610,\"kind\":\"step\",\"step\":110,\"loss\":2,\"tok_s\":100}");
    written(v.talk, text);
    assert_text_has(text, "110/200  loss 2.0000     100 tok/s  1:00:10<01:30");
    close_view(&v);
}

static void what_is_not_a_number_is_not_shown_as_one(void **state)
{
    char text[4096];
    view v = open_view(SHOW_LINES, false);
    say(&v, start);
    say(&v, "{\"t\":3,\"kind\":\"eval\",\"step\":50}");
    say(&v, "{\"t\":3,\"kind\":\"failed\",\"step\":50,\"error\":\"the loss is bad\"}");
    say(&v, "not JSON at all");
    say(&v, "{\"t\":9,\"kind\":\"done\",\"step\":200,\"loss\":2}");
    written(v.talk, text);
    assert_text_has(text, "eval    step 50  held-out not finite\n");
    assert_text_has(text, "done    step 200\n");
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "the loss is bad"));
    close_view(&v);
}

static void unknown_ways_to_show_are_refused(void **state)
{
    show_mode m;
    assert_ok(show_parse("lines", &m));
    assert_int_equal(m, SHOW_LINES);
    assert_fails(show_parse("loud", &m), E_USAGE, "bar, lines, json or none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_gets_one_bar_redrawn),
        cmocka_unit_test(a_lasting_line_clears_the_bar_first),
        cmocka_unit_test(an_evaluation_shows_how_far_it_is),
        cmocka_unit_test(a_pipe_never_sees_a_bar),
        cmocka_unit_test(power_is_shown_where_it_is_known),
        cmocka_unit_test(json_lines_pass_unchanged_to_the_product),
        cmocka_unit_test(no_width_makes_the_bar_wrap),
        cmocka_unit_test(a_window_may_change_its_width),
        cmocka_unit_test(time_left_after_going_on_is_judged_by_the_new_pace),
        cmocka_unit_test(what_is_not_a_number_is_not_shown_as_one),
        cmocka_unit_test(unknown_ways_to_show_are_refused),
    };
    return cmocka_run_group_tests_name("watch show", tests, NULL, NULL);
}
