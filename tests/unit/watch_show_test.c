/* The bar on a faked terminal, plain lines elsewhere, JSON untouched. */
#include "test.h"
#include "watch/show.h"

typedef struct {
    FILE *talk, *product;
    show *s;
} view;

static view open_view(show_mode mode, bool terminal)
{
    view v = {tmpfile(), tmpfile(), NULL};
    assert_non_null(v.talk);
    assert_non_null(v.product);
    assert_ok(show_new(mode, terminal, 100, v.talk, v.product, &v.s));
    return v;
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
    "{\"t\":0,\"kind\":\"start\",\"steps\":200,\"device\":\"emu:m4\"}";
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
    assert_text_has(text, "50/200  loss 3.2500  1.9K tok/s");
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

static void a_pipe_never_sees_a_bar(void **state)
{
    char text[4096];
    view v = open_view(SHOW_BAR, false);
    say(&v, start);
    say(&v, step);
    written(v.talk, text);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\r'));
    assert_text_has(text, "step 50/200  loss 3.2500");
    close_view(&v);
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
        cmocka_unit_test(a_pipe_never_sees_a_bar),
        cmocka_unit_test(json_lines_pass_unchanged_to_the_product),
        cmocka_unit_test(unknown_ways_to_show_are_refused),
    };
    return cmocka_run_group_tests_name("watch show", tests, NULL, NULL);
}
