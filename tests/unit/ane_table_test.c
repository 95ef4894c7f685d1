/* The tables of the ane driver, without Apple's libraries: every encoding is a
 * possible one, every row has what its selector needs, a missing library or
 * symbol is one error that names it, and URIs are read strictly. */
#include <ctype.h>
#include "test.h"
#include "base/str.h"
#include "dev/ane/ane.h"

/* Bytes of one argument in a frame: pointers and longs 8, ints 4; a bool or
 * char takes 4, as every argument is at least an int. */
static int frame_bytes(const char *type)
{
    return strchr("@#:^Qq*", *type) ? 8 : 4;
}

/* The length of one type: "^{__IOSurface=}" is one. */
static size_t type_length(const char *p)
{
    size_t n = 1;
    if (*p == '^') return 1 + type_length(p + 1);
    if (*p == '{') n = strcspn(p, "}") + 1;
    return n;
}

/* "B36@0:8I16@20^@28": a result with the size of the frame, then arguments with
 * their offsets, one after the other. */
static void check_encoding(const ane_sel_row *row)
{
    const char *p = row->encoding;
    int at = 0, arguments = -2, colons = 0;
    p += type_length(p);
    long frame = strtol(p, (char **)&p, 10);
    for (; *p; arguments++) {
        const char *type = p;
        char *end;
        p += type_length(p);
        long offset = strtol(p, &end, 10);
        if (end == p || offset != at)
            fail_msg("%s: argument %d stands at %ld, wanted %d", row->encoding,
                     arguments + 2, offset, at);
        p = end;
        at += frame_bytes(type);
    }
    if (frame != at) fail_msg("%s: the frame has %d bytes", row->encoding, at);
    for (const char *c = row->selector; *c; c++) colons += *c == ':';
    if (colons != arguments)
        fail_msg("%s takes %d arguments, its encoding has %d", row->selector, colons,
                 arguments);
}

static void every_encoding_is_one_that_a_compiler_makes(void **state)
{
    for (int i = 0; ane_sel_at(i); i++) check_encoding(ane_sel_at(i));
}

static void every_row_can_be_used(void **state)
{
    int n = 0;
    for (int i = 0; ane_sel_at(i); i++, n++) {
        const ane_sel_row *row = ane_sel_at(i), *before = ane_sel_at(i - 1);
        assert_true(row->kind == '+' || row->kind == '-');
        assert_true(*row->source && *row->id);
        if (row->need != ANE_OR) continue;
        assert_non_null(before);
        assert_string_equal(row->selector, before->selector);
        assert_int_equal(row->owner, before->owner);
        assert_true(strcmp(row->encoding, before->encoding) != 0);
    }
    assert_int_equal(n, ANE_SELS);
    for (int c = 0; c < ANE_CLASSES; c++)
        assert_true(str_starts(ane_class_name(c), "_ANE") ||
                    str_starts(ane_class_name(c), "NS"));
    for (int i = 0; ane_sym_at(i); i++)
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(ane_sym_at(i)->name, ane_sym_at(j)->name);
            assert_true(ane_sym_at(i)->at != ane_sym_at(j)->at);
        }
}

static void encodings_are_compared_without_offsets_and_names(void **state)
{
    static const struct {
        const char *full, *bare;
    } cases[] = {
        {"B36@0:8I16@20^@28", "B@:I@^@"},
        {"@24@0:8^{__IOSurface=}16", "@@:^{__IOSurface=}"},
        {"@\"NSString\"16@0:8", "@@:"},
        {"v@?", "v@?"},
        {"", ""},
    };
    char out[64], little[5];
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(ane_bare_encoding(out, sizeof out, cases[i].full),
                            cases[i].bare);
    assert_string_equal(ane_bare_encoding(little, sizeof little, "@@@@@@@@"), "@@@@");
}

static void the_status_is_found_in_the_text(void **state)
{
    assert_int_equal(ane_status_in("x() Failed with status=0x1d : statusType=0x9: no"),
                     0x1d);
    assert_int_equal(ane_status_in("loadModel:: Program load failure (0x50004)"),
                     0x50004);
    assert_int_equal(ane_status_in("returned 0xe00002e2"), 0xe00002e2L);
    assert_int_equal(ane_status_in("status=0x"), -1);
    assert_int_equal(ane_status_in("Program Inference error"), -1);
    assert_int_equal(ane_status_in(""), -1);
}

/* Texts seen on macOS 27 (pmetal, oMLX, ANEDVD), where codes are others. */
static void what_the_system_says_is_explained(void **state)
{
    static const struct {
        long code;
        const char *said, *meaning;
        rc result;
    } cases[] = {
        {54, "Program load failed - no ANE resources (transient; retry) (underlying=0x5)",
         "all programs of the machine", E_BUDGET},
        {6, "loadModel:: Program load failure (0x50004)", "slots", E_BUDGET},
        {53, "Program load failed - no memory (transient; retry) (underlying=0x1)",
         "too little memory", E_DEVICE},
        {47, "Inference failed - request aborted (underlying=0x15)", "took too long",
         E_DEVICE},
        {10, "verifyBundleAtPath: invalid model", "unset TMPDIR", E_DEVICE},
        {8, "Failed with status=0x1d : statusType=0x9: Program Inference error",
         "too small", E_DEVICE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        rc r = ane_say("com.apple.appleneuralengine", cases[i].code, cases[i].said,
                       E_FAILED, "load the program");
        assert_int_equal(r, cases[i].result);
        assert_text_has(err_text(), cases[i].meaning);
        err_clear();
    }
}

/* ---- opening ---- */
#if !defined(__APPLE__)
static void without_macos_it_says_so_and_exits_3(void **state)
{
    device *d = NULL;
    assert_fails(dev_open("ane", NULL, &d), E_DEVICE, "this is not macOS");
    assert_text_has(err_text(), "emu:m4");
    assert_int_equal(err_exit(E_DEVICE), 3);
    assert_null(d);
}
#endif

static void a_library_that_is_not_there_is_named(void **state)
{
    device *d;
    assert_fails(dev_open("ane:lib=/no/such/thing.so", NULL, &d), E_DEVICE,
                 "/no/such/thing.so");
}

static void a_library_without_the_symbols_is_named_with_the_first(void **state)
{
    device *d;
    const char *other = "libm.so.6";
#ifdef __APPLE__
    other = "/usr/lib/libSystem.B.dylib";
#endif
    char uri[64];
    snprintf(uri, sizeof uri, "ane:memory,lib=%s", other);
    assert_fails(dev_open(uri, NULL, &d), E_DEVICE, "has no symbol 'objc_getClass'");
    assert_text_has(err_text(), other);
}

/* ---- URIs ---- */
static void words_are_read_in_any_order(void **state)
{
    ane_params p;
    assert_ok(ane_params_parse("", &p));
    assert_null(p.route);
    assert_int_equal(p.soft.compiles_max, -1);
    assert_ok(
        ane_params_parse("lib=/a b/c.so,memory,compiles=7,staging=/ram,fail=3", &p));
    assert_ptr_equal(p.route, &ane_memory_route);
    assert_string_equal(p.lib, "/a b/c.so");
    assert_string_equal(p.staging, "/ram");
    assert_int_equal(p.soft.compiles_max, 7);
    assert_int_equal(p.soft.fail, 3);
    assert_ok(ane_params_parse("client,rules=all", &p));
    assert_ptr_equal(p.route, &ane_client_route);
    assert_true(p.soft.rules_all);
    assert_false(p.no_rules);
    assert_ok(ane_params_parse("rules=none", &p));
    assert_true(p.no_rules);
    assert_int_equal(p.weights, ANE_WEIGHTS_BY_TRIAL);
    assert_ok(ane_params_parse("memory,weights=files", &p));
    assert_int_equal(p.weights, ANE_WEIGHTS_FILES);
    assert_ok(ane_params_parse("weights=pairs", &p));
    assert_int_equal(p.weights, ANE_WEIGHTS_PAIRS);
}

static void words_it_does_not_know_are_refused(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"memry", "did you mean 'memory'"},
        {"faithful", "does not know"},
        {"wide", "does not know"},
        {"nonsense of a length", "compiles=N|none"}, /* what there is instead */
        {"m4", "does not know"},
        {"memory,", "comma"},
        {",memory", "''"},
        {"lib=", "path"},
        {"staging=", "path"},
        {"compiles=some", "whole number"},
        {"rules=some", "rules=some"},
        {"weights=some", "did you mean 'weights="},
    };
    ane_params p;
    char longer[512];
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_fails(ane_params_parse(bad[i].text, &p), E_DEVICE, bad[i].part);
    memset(longer, 'x', sizeof longer);
    memcpy(longer, "lib=", 4);
    longer[sizeof longer - 1] = 0;
    assert_fails(ane_params_parse(longer, &p), E_DEVICE, "too long");
    longer[ANE_WORD + 5] = 0;
    assert_fails(ane_params_parse(longer, &p), E_DEVICE, "path");
}

/* ---- budget ---- */
static void compiles_are_used_up_and_slots_are_given_back(void **state)
{
    int compiles, programs;
    assert_ok(ane_budget_compile(2));
    assert_ok(ane_budget_compile(2));
    assert_fails(ane_budget_compile(2), E_BUDGET, "2 programs of 2");
    assert_ok(ane_budget_slot(2));
    assert_ok(ane_budget_slot(2));
    assert_fails(ane_budget_slot(2), E_BUDGET, "all 2 program slots");
    ane_budget_free_slot();
    assert_fails(ane_budget_compile(2), E_BUDGET, "compile budget");
    assert_ok(ane_budget_compile(0));
    ane_budget_free_slot();
    ane_budget_now(&compiles, &programs);
    assert_int_equal(compiles, 3);
    assert_int_equal(programs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_encoding_is_one_that_a_compiler_makes),
        cmocka_unit_test(every_row_can_be_used),
        cmocka_unit_test(encodings_are_compared_without_offsets_and_names),
        cmocka_unit_test(the_status_is_found_in_the_text),
        cmocka_unit_test(what_the_system_says_is_explained),
#if !defined(__APPLE__)
        cmocka_unit_test(without_macos_it_says_so_and_exits_3),
#endif
        cmocka_unit_test(a_library_that_is_not_there_is_named),
        cmocka_unit_test(a_library_without_the_symbols_is_named_with_the_first),
        cmocka_unit_test(words_are_read_in_any_order),
        cmocka_unit_test(words_it_does_not_know_are_refused),
        cmocka_unit_test(compiles_are_used_up_and_slots_are_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
