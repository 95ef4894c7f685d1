/* Events are JSON that a strict parser reads, whatever goes in. */
#include <jansson.h>
#include "test.h"
#include "base/arena.h"
#include "base/event.h"
#include "base/rng.h"

static json_t *parsed(const event *e)
{
    json_error_t error;
    json_t *j = json_loads(str_text(&e->line), JSON_REJECT_DUPLICATES, &error);
    if (!j) fail_msg("not JSON: %s: %s", error.text, str_text(&e->line));
    return j;
}

static void an_event_reads_as_written(void **state)
{
    event e = {0};
    event_begin(&e, 12.4, "step");
    event_int(&e, "step", 120);
    event_real(&e, "loss", 3.2541);
    event_bool(&e, "last", false);
    event_text(&e, "note", "a \"b\" \\ /\n\t\x01 \xc3\xa9");
    event_json(&e, "plan", "{\"programs\":[1,2]}");
    assert_ok(event_end(&e));
    assert_string_equal(e.line.p,
                        "{\"t\":12.4,\"kind\":\"step\",\"step\":120,\"loss\":3.2541,"
                        "\"last\":false,\"note\":\"a \\\"b\\\" \\\\ /\\n\\t\\u0001 "
                        "\xc3\xa9\",\"plan\":{\"programs\":[1,2]}}");
    json_decref(parsed(&e));
    event_begin(&e, 1.00049, "done");
    assert_ok(event_end(&e));
    assert_string_equal(e.line.p, "{\"t\":1,\"kind\":\"done\"}");
    event_free(&e);
}

static void numbers_without_a_value_are_left_out(void **state)
{
    event e = {0};
    event_begin(&e, NAN, "step");
    event_real(&e, "a", NAN);
    event_real(&e, "b", INFINITY);
    event_real(&e, "c", -INFINITY);
    event_int(&e, "d", INT64_MIN);
    assert_ok(event_end(&e));
    assert_string_equal(e.line.p,
                        "{\"t\":0,\"kind\":\"step\",\"d\":-9223372036854775808}");
    json_decref(parsed(&e));
    event_free(&e);
}

static void invalid_utf8_is_replaced(void **state)
{
#define R "\xef\xbf\xbd"
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"a\xff z", "a" R " z"},
        {"\xc3", R},                              /* cut off */
        {"\xe2\x82", R R},                        /* cut off after two */
        {"\xc0\x80", R R},                        /* a longer spelling of NUL */
        {"\xed\xa0\x80", R R R},                  /* a surrogate */
        {"\xf4\x90\x80\x80", R R R R},            /* above 0x10ffff */
        {"\xf0\x9f\x99\x82", "\xf0\x9f\x99\x82"}, /* four bytes, valid */
        {"\xe2\x82\xac", "\xe2\x82\xac"},
    };
    event e = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        event_begin(&e, 0, "note");
        event_text(&e, "text", cases[i].in);
        assert_ok(event_end(&e));
        json_t *j = parsed(&e);
        assert_string_equal(json_string_value(json_object_get(j, "text")), cases[i].want);
        json_decref(j);
    }
    event_free(&e);
}

static void any_bytes_make_an_event(void **state)
{
    event e = {0};
    for (uint64_t i = 0; i < 3000; i++) {
        char text[9] = {0};
        uint32_t w[4];
        rng_block(1, 1, i, w);
        memcpy(text, w, 8);
        event_begin(&e, (double)i, "note");
        event_text(&e, text, text);
        assert_ok(event_end(&e));
        assert_null(strchr(e.line.p, '\n'));
        json_decref(parsed(&e));
    }
    event_free(&e);
}

static void lack_of_memory_is_reported(void **state)
{
    event e = {0};
    mem_fail_at(1);
    event_begin(&e, 0, "note");
    assert_fails(event_end(&e), E_MEMORY, "out of memory");
    event_begin(&e, 0, "note");
    assert_ok(event_end(&e));
    /* once the line has grown, a later event allocates nothing */
    mem_fail_at(1);
    event_begin(&e, 1, "note");
    assert_ok(event_end(&e));
    mem_fail_at(0);
    event_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_reads_as_written),
        cmocka_unit_test(numbers_without_a_value_are_left_out),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(any_bytes_make_an_event),
        cmocka_unit_test(lack_of_memory_is_reported),
    };
    return cmocka_run_group_tests_name("base event", tests, NULL, NULL);
}
