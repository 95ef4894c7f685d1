/* The recipe inside `anneal demo` is the one in recipes/demo.conf. */
#include "test.h"
#include "cli/verbs.h"

static void the_demo_is_its_recipe(void **state)
{
    config *inside, *outside;
    str a = {0}, b = {0};
    assert_ok(config_new(&inside));
    assert_ok(config_new(&outside));
    assert_ok(config_parse(inside, cli_demo_recipe, strlen(cli_demo_recipe), "demo"));
    assert_ok(config_read(outside, "recipes/demo.conf"));
    assert_ok(config_print(inside, &a));
    assert_ok(config_print(outside, &b));
    assert_string_equal(str_text(&a), str_text(&b));
    str_free(&a);
    str_free(&b);
    config_free(inside);
    config_free(outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_demo_is_its_recipe)};
    return cmocka_run_group_tests_name("cli demo", tests, NULL, NULL);
}
