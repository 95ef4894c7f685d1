/* Settings: read, refused with a suggestion, printed so that they read back. */
#include "test.h"
#include "api/config.h"

static rc parse(config *c, const char *text)
{
    return config_parse(c, text, strlen(text), "tiny.conf");
}

static void an_unknown_setting_names_file_line_and_the_nearest(void **state)
{
    config *c;
    assert_ok(config_new(&c));
    assert_fails(parse(c, "# x\n\ntrain.wramup = 3\n"), E_CONFIG,
                 "tiny.conf:3: no setting 'train.wramup'; did you mean 'train.warmup'?");
    config_free(c);
}

static void values_out_of_range_are_refused(void **state)
{
    config *c;
    assert_ok(config_new(&c));
    assert_fails(parse(c, "model.layers = 0"), E_CONFIG, "from 1 to 1024, not 0");
    assert_fails(parse(c, "model.layers = two"), E_CONFIG, "a whole number, not 'two'");
    assert_fails(parse(c, "train.lr = nan"), E_CONFIG, "a number");
    assert_fails(parse(c, "model.rope = full"), E_CONFIG, "half|interleaved");
    assert_fails(parse(c, "model.tied = maybe"), E_CONFIG, "true or false");
    assert_fails(parse(c, "train.loss_scale = -1"), E_CONFIG,
                 "'dynamic' or a number above 0");
    assert_fails(parse(c, "data.tokenizer = bpe:9"), E_CONFIG, "bpe:N");
    assert_fails(parse(c, "model.layers 3"), E_CONFIG, "section.key = value");
    assert_fails(config_set_pair(c, "model.layers"), E_CONFIG, "section.key=value");
    config_free(c);
}

/* Who asks for a smaller rate than the recipe's leaves its last one where it was. */
static void a_rate_that_would_rise_is_refused(void **state)
{
    config *c;
    train_options o;
    assert_ok(config_new(&c));
    assert_ok(parse(c, "train.lr = 1e-4\ntrain.min_lr = 1e-4"));
    assert_ok(config_train(c, &o));
    assert_ok(parse(c, "train.lr = 1e-5"));
    assert_fails(config_train(c, &o), E_CONFIG,
                 "train.min_lr, 0.0001, is above train.lr");
    assert_ok(parse(c, "train.schedule = constant"));
    assert_ok(config_train(c, &o));
    config_free(c);
}

static void a_printed_recipe_reads_back_the_same(void **state)
{
    config *c, *d;
    str a = {0}, b = {0};
    assert_ok(config_new(&c));
    assert_ok(parse(
        c, "data.text = a b.txt   # with a space\r\ntrain.lr=2e-4\nmodel.dim =96\n"));
    assert_string_equal(config_text(c, OPT_data_text), "a b.txt");
    assert_ok(config_print(c, &a));
    assert_ok(config_new(&d));
    assert_ok(parse(d, str_text(&a)));
    assert_ok(config_print(d, &b));
    assert_string_equal(str_text(&a), str_text(&b));
    assert_null(config_conflict(c, d));
    str_free(&a);
    str_free(&b);
    config_free(c);
    config_free(d);
}

/* Paths may hold anything; what is said on the command line is saved in the run
 * and must come back. */
static void any_value_survives_being_saved(void **state)
{
    static const char *const paths[] = {
        "a #1.txt", "#1.txt", "a#1.txt", " a ", "\"a\"",
        "a\\n\nb",  "\t",     "a = b",   "=",   "a\"b",
    };
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        config *c, *d;
        str a = {0};
        assert_ok(config_new(&c));
        assert_ok(config_new(&d));
        assert_ok(config_set(c, "data.text", paths[i]));
        assert_ok(config_print(c, &a));
        assert_ok(parse(d, str_text(&a)));
        assert_string_equal(config_text(d, OPT_data_text), paths[i]);
        str_free(&a);
        config_free(c);
        config_free(d);
    }
}

/* What a recipe names is loaded by whoever is sent the recipe. */
static void a_library_is_named_on_the_command_line_only(void **state)
{
    static const struct {
        const char *uri, *printed;
    } cases[] = {
        {"ane:lib=/tmp/x.so", "device.uri = ane "},
        {"ane:memory,lib=/tmp/x.so", "device.uri = ane:memory "},
        {"ane:lib=/tmp/x.so,client,rules=all", "device.uri = ane:client,rules=all "},
        {"emu:m4,wide", "device.uri = emu:m4,wide "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config *c, *again;
        char line[128];
        str text = {0};
        assert_ok(config_new(&c));
        assert_ok(config_new(&again));
        snprintf(line, sizeof line, "device.uri = %s\n", cases[i].uri);
        rc e = config_parse(c, line, strlen(line), "r.conf");
        if (strstr(cases[i].uri, "lib=")) assert_fails(e, E_CONFIG, "r.conf:1:");
        else assert_ok(e);
        assert_ok(config_set(c, "device.uri", cases[i].uri));
        assert_ok(config_print(c, &text));
        assert_text_has(str_text(&text), cases[i].printed);
        assert_ok(config_parse(again, text.p, text.n, "printed"));
        str_free(&text);
        config_free(c);
        config_free(again);
    }
}

/* Compiled programs are taken from it: a recipe of another's must not choose it,
 * and a run's own recipe must not carry it to another machine. */
static void a_folder_of_this_machine_stays_out_of_recipes(void **state)
{
    config *c;
    str text = {0}, json = {0};
    assert_ok(config_new(&c));
    assert_fails(parse(c, "device.state = /tmp/theirs\n"), E_CONFIG,
                 "a recipe may not name a folder of one machine");
    assert_ok(config_set(c, "device.state", "/tmp/mine"));
    assert_ok(config_print(c, &text));
    assert_ok(config_json(c, &json));
    assert_null(strstr(str_text(&text), "/tmp/mine"));
    assert_null(strstr(str_text(&json), "/tmp/mine"));
    assert_text_has(str_text(&text), "device.state = ");
    assert_ok(parse(c, str_text(&text)));
    str_free(&text);
    str_free(&json);
    config_free(c);
}

static void quotes_are_read_whole(void **state)
{
    config *c;
    assert_ok(config_new(&c));
    assert_ok(parse(c, "data.text = \"a # b\"# note\ndata.dir =#c\nmodel.dim = 64 #4=8\n"
                       "# train.lr = 7\n  #\n"));
    assert_string_equal(config_text(c, OPT_data_text), "a # b");
    assert_string_equal(config_text(c, OPT_data_dir), "#c");
    assert_int_equal(config_int(c, OPT_model_dim), 64);
    assert_fails(parse(c, "\ndata.text = \"a"), E_CONFIG,
                 ":2: a value in quotes has no end");
    assert_fails(parse(c, "data.text = \"a\" b"), E_CONFIG, "nothing may follow");
    assert_fails(parse(c, "data.text = \"\\x\""), E_CONFIG, "had '\\x'");
    config_free(c);
}

static void only_what_fixes_a_run_conflicts(void **state)
{
    config *c, *d;
    assert_ok(config_new(&c));
    assert_ok(config_copy(c, &d));
    assert_ok(config_set(d, "train.steps", "5"));
    assert_ok(config_set(d, "train.lr", "5e-5"));
    assert_ok(config_set(d, "device.threads", "1"));
    assert_null(config_conflict(c, d));
    assert_ok(config_set(d, "train.batch", "3"));
    assert_string_equal(config_conflict(c, d), "train.batch");
    config_free(c);
    config_free(d);
}

static void every_default_is_legal_and_every_row_has_help(void **state)
{
    config *c;
    assert_ok(config_new(&c));
    for (int i = 0; i < OPT_COUNT; i++) {
        assert_ok(config_set(c, opt_at((opt_id)i)->name, opt_at((opt_id)i)->def));
        assert_true(strlen(opt_at((opt_id)i)->help) > 3);
        assert_true(strlen(opt_section_title(opt_at((opt_id)i)->section)) > 3);
    }
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_setting_names_file_line_and_the_nearest),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(a_rate_that_would_rise_is_refused),
        cmocka_unit_test(a_printed_recipe_reads_back_the_same),
        cmocka_unit_test(any_value_survives_being_saved),
        cmocka_unit_test(a_library_is_named_on_the_command_line_only),
        cmocka_unit_test(a_folder_of_this_machine_stays_out_of_recipes),
        cmocka_unit_test(quotes_are_read_whole),
        cmocka_unit_test(only_what_fixes_a_run_conflicts),
        cmocka_unit_test(every_default_is_legal_and_every_row_has_help),
    };
    return cmocka_run_group_tests_name("api config", tests, NULL, NULL);
}
