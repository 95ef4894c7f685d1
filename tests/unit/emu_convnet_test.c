/* The ops that convolution networks use and the transformer's dialect does not,
 * each in every arithmetic and on every chip, against plain loops; with
 * emu_ops_test and emu_mil_ops_test this covers dev/ops.def. */
#include "emu_net_axes.h"
#include "emu_net_images.h"
#include "emu_net_places.h"

static const struct {
    const net_case *cases;
    size_t n;
} tables[] = {{value_cases, COUNT_OF(value_cases)},
              {image_cases, COUNT_OF(image_cases)},
              {axis_cases, COUNT_OF(axis_cases)},
              {place_cases, COUNT_OF(place_cases)}};

/* Ops on a chip that lacks them are refused with the reason, by name. */
static int refused(device *d, const char *uri, const char *why)
{
    str text = {0};
    dev_program *p = NULL;
    net_program(&text);
    rc r = try_load(d, str_text(&text), NULL, 0, &p);
    int wrong = r != E_RULE || !strstr(err_text(), why) ||
                !strstr(err_text(), net_now->op);
    if (wrong)
        print_error("%s on %s: %d, %s; wanted: %s\n", net_now->op, uri, (int)r,
                    r ? err_text() : "ran", why);
    if (p) dev_unload(p);
    str_free(&text);
    return wrong;
}

/* Cases that break a row of limits.def, and the last family that has it. */
static const struct {
    const char *op, *what;
    dev_family last;
    const char *text;
} limited[] = {{"pad", "reflect", DEV_H13, "mode is constant"},
               {"pad", "replicate", DEV_H13, "mode is constant"},
               {"quantize", "to uint8", DEV_H13, "zero_point is 0"},
               {"quantize", "along an axis", DEV_H13, "zero_point is 0"},
               {"dequantize", "", DEV_H13, "zero_point is 0"}};

static const char *limit_of(dev_family f)
{
    for (size_t i = 0; i < COUNT_OF(limited); i++)
        if (f <= limited[i].last && !strcmp(limited[i].op, net_now->op) &&
            !strcmp(limited[i].what, net_now->what))
            return limited[i].text;
    return NULL;
}

static int run_all(const char *uri, kern *pool)
{
    int wrong = 0;
    for (size_t t = 0; t < COUNT_OF(tables); t++)
        for (size_t i = 0; i < tables[t].n; i++) {
            device *d;
            dev_caps caps;
            const char *why;
            net_now = &tables[t].cases[i];
            assert_ok(dev_open(uri, pool, &d));
            assert_ok(dev_caps_of(d, &caps));
            if (dev_op_supported(net_now->op, caps.profile->family, &why))
                why = limit_of(caps.profile->family);
            if (!why) wrong += net_check(d, uri);
            else wrong += refused(d, uri, why);
            dev_close(d);
        }
    return wrong;
}

static void ops_agree_with_plain_loops(void **state)
{
    static const char *const words[] = {"fast", "wide", "exact"};
    static const char *const chips[] = {"m1", "m2pro", "m3pro", "m4", "m5", "m6"};
    int wrong = 0;
    kern *pool;
    assert_ok(kern_open(2, NULL, &pool));
    for (size_t c = 0; c < COUNT_OF(chips); c++)
        for (size_t w = 0; w < COUNT_OF(words); w++) {
            char uri[64];
            snprintf(uri, sizeof uri, "emu:%s,%s", chips[c], words[w]);
            wrong += run_all(uri, pool);
        }
    kern_close(pool);
    assert_int_equal(wrong, 0);
}

static void every_op_of_networks_has_a_case(void **state)
{
    for (int k = 0; k < DEV_OPS; k++) {
        const char *op = dev_op_text((dev_op_kind)k);
        bool found = !net_op((dev_op_kind)k);
        for (size_t t = 0; t < COUNT_OF(tables); t++)
            for (size_t i = 0; i < tables[t].n; i++)
                found |= !strcmp(tables[t].cases[i].op, op);
        if (!found) fail_msg("op '%s' has no case", op);
    }
}

/* Every row of limits.def: refused up to its last family, and run after it. */
#define TOP(k)                                                                   \
    PROGRAM(ROW32 " in_a",                                                       \
            CONST("int32", "many", k) "tensor<fp16, [1, 4, 1, " k "]> out, "     \
                                      "tensor<int32, [1, 4, 1, " k "]> place = " \
                                      "topk(k = many, x = in_a)[name = "         \
                                      "string(\"top\")];\n",                     \
            "out")
#define LONGEST(n)                                                                   \
    PROGRAM("tensor<fp16, [1, 32, 1, " n "]> in_a",                                  \
            WORDS("half_word", "fp16")                                               \
                LET("tensor<int32, [1, 32, 1]>", "place", "reduce_argmax(x = in_a)") \
                    LET("tensor<fp16, [1, 32, 1]>", "out",                           \
                        "cast(dtype = half_word, x = place)"),                       \
            "out")
#define ZERO(z)                                                                    \
    PROGRAM("tensor<fp16, [1, 32]> in_a",                                          \
            "tensor<fp16, [1, 1]> w_1 = constexpr_affine_dequantize()[axis = "     \
            "int32(0), name = string(\"w_1\"), quantized_data = tensor<int8, [1, " \
            "1]>([[4]]), scale = fp16(0x1p-1), zero_point = int8(" z               \
            ")];\n" LET("tensor<fp16, [1, 32]>", "out", "add(x = in_a, y = w_1)"), \
            "out")
static void limits_are_refused_by_name(void **state)
{
    static const struct {
        const char *uri, *text, *part; /* part NULL: it runs */
    } programs[] = {
        {"emu:m2pro", TOP("3"), "k is neither 3 nor 4"},
        {"emu:m6", TOP("4"), "op 'topk' on h18"},
        {"emu:m6", TOP("5"), NULL},
        {"emu:m6", TOP("2"), NULL},
        {"emu:m1", LONGEST("2080"), "at most 2048 places"},
        {"emu:m1", LONGEST("2048"), NULL},
        {"emu:m2pro", LONGEST("2080"), NULL},
        {"emu:m1", ZERO("1"), "op 'constexpr_affine_dequantize' on h13: zero_point is 0"},
        {"emu:m1", ZERO("0"), NULL},
        {"emu:m2pro", ZERO("1"), NULL},
    };
    kern *pool;
    assert_ok(kern_open(1, NULL, &pool));
    for (size_t i = 0; i < COUNT_OF(programs); i++) {
        device *d;
        dev_program *p = NULL;
        assert_ok(dev_open(programs[i].uri, pool, &d));
        rc r = try_load(d, programs[i].text, NULL, 0, &p);
        if (programs[i].part) {
            if (r != E_RULE || !strstr(err_text(), programs[i].part))
                print_error("%s: %s\n", programs[i].uri, r ? err_text() : "ran");
            assert_int_equal(r, E_RULE);
            assert_non_null(strstr(err_text(), programs[i].part));
        } else {
            assert_ok(r);
            dev_unload(p);
        }
        dev_close(d);
    }
    kern_close(pool);
    for (size_t i = 0; dev_limit_at(i); i++) {
        bool found = false;
        for (size_t k = 0; k < COUNT_OF(limited); k++)
            found |= strstr(dev_limit_at(i)->text, limited[k].text) != NULL;
        for (size_t k = 0; k < COUNT_OF(programs); k++)
            found |= programs[k].part && strstr(programs[k].text, dev_limit_at(i)->op);
        if (!found) fail_msg("the limit of '%s' has no case", dev_limit_at(i)->op);
    }
}

/* What the tables of `exact` say of a function, chip.def, and what ops.def says of
 * the op must agree. */
static void the_match_of_functions_is_that_of_their_tables(void **state)
{
    enum { MEASURED = DEV_SAME, MODEL = DEV_SAME, FITTED = DEV_NEAR, GUESSED = DEV_NEAR };
    static const struct {
        int kernel, match;
    } tables_of_chip[] = {
#define CHIP(name, way, knots, first, step, least, below, most, above, ls, lo, us, uo, \
             status)                                                                   \
    {KERN_U_##name, status},
#include "dev/emu/chip.def"
    };
    for (int k = 0; k < DEV_OPS; k++)
        for (size_t i = 0; i < COUNT_OF(tables_of_chip); i++)
            if (dev_op_class_of((dev_op_kind)k) == DEV_UNARY &&
                dev_op_kernel((dev_op_kind)k) == tables_of_chip[i].kernel &&
                (int)dev_op_match((dev_op_kind)k) != tables_of_chip[i].match)
                fail_msg("ops.def and chip.def disagree about '%s'",
                         dev_op_text((dev_op_kind)k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_of_networks_has_a_case),
        cmocka_unit_test(limits_are_refused_by_name),
        cmocka_unit_test(the_match_of_functions_is_that_of_their_tables),
        cmocka_unit_test(ops_agree_with_plain_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
