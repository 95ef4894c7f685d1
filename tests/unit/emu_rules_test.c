/* Every row of rules.def is broken on purpose: strict engines refuse by the
 * rule's name, disputed rows warn and are refused with rules=all, a faithful
 * engine does what the chip does, and a chip without the rule runs the program
 * right. The programs are the library's own (dev/probe_cases.c), which `device
 * check` uses as well. */
#include "dev_help.h"
#include "dev/probe_case.h"

/* What a mode of an engine should show of a broken rule that holds. */
typedef struct {
    dev_rule rule;
    dev_seen faithful;
    bool at_run; /* seen when surfaces are given: no warning when loading */
    bool always; /* a limit or the engine's way of working: every mode shows it */
    bool values; /* depends on the numbers: strict only warns */
} expectation;
static const expectation expected[] = {
    {.rule = RULE_input_order, .faithful = DEV_SEEN_RULE, .at_run = true},
    {.rule = RULE_output_order, .faithful = DEV_SEEN_RULE, .at_run = true},
    {.rule = RULE_slot_sizes, .faithful = DEV_SEEN_ZEROS, .at_run = true},
    {.rule = RULE_uniform_surfaces, .faithful = DEV_SEEN_FAILED, .at_run = true},
    {.rule = RULE_surface_minimum, .faithful = DEV_SEEN_FAILED, .at_run = true},
    {.rule = RULE_surface_pages, .faithful = DEV_SEEN_FAILED, .at_run = true},
    {.rule = RULE_row_multiple, .faithful = DEV_SEEN_FAILED},
    {.rule = RULE_packed_from_zero, .faithful = DEV_SEEN_RULE, .always = true},
    {.rule = RULE_inputs_used, .faithful = DEV_SEEN_FAILED},
    {.rule = RULE_outputs_computed, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_surface_slots, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_rank_limit, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_matmul_rank, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_matmul_batch, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_axis_limit, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_concat_pairs, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_concat_refused, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_tile_poison, .faithful = DEV_SEEN_RULE},
    {.rule = RULE_rsqrt_refused, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_gelu_refused, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_conv_bias, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_conv_runtime_weight, .faithful = DEV_SEEN_RULE},
    {.rule = RULE_conv_kernel_width, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_grouped_conv_limit, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_sdpa_mask, .faithful = DEV_SEEN_RULE},
    {.rule = RULE_inline_bool, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_build_info, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_risky_names, .faithful = DEV_SEEN_ZEROS},
    {.rule = RULE_blob_count, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_blob_single_file, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_baked_bytes, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_graph_depth, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_mul_zero_after_reduce, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_fp16_io, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_cast_int32, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_bool_io, .faithful = DEV_SEEN_REFUSED},
    {.rule = RULE_slice_clamp, .faithful = DEV_SEEN_RULE, .always = true},
    {.rule = RULE_mac_cliff, .faithful = DEV_SEEN_RULE, .always = true},
    {.rule = RULE_reduce_narrow, .faithful = DEV_SEEN_RULE, .values = true},
    {.rule = RULE_compile_budget, .faithful = DEV_SEEN_RULE, .always = true},
    {.rule = RULE_program_slots, .faithful = DEV_SEEN_RULE, .always = true},
    {.rule = RULE_queue_depth, .faithful = DEV_SEEN_RULE, .always = true},
    {.rule = RULE_one_in_flight, .faithful = DEV_SEEN_RULE, .always = true},
};

static kern *pool;

static const expectation *expectation_of(dev_rule r)
{
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        if (expected[i].rule == r) return &expected[i];
    return NULL;
}

static void every_rule_has_a_case(void **state)
{
    for (int r = 0; r < DEV_RULES; r++) {
        const probe_case *c = probe_case_of((dev_rule)r);
        if (!expectation_of((dev_rule)r) || (!c->ask && !c->in[0].name))
            fail_msg("rule '%s' has no case", dev_rule_at((dev_rule)r)->id);
    }
    assert_int_equal(COUNT_OF(expected), DEV_RULES);
}

/* A device whose limits do not come before the rule that is asked about. */
static device *open_for(dev_rule r, const char *uri)
{
    char text[96];
    device *d;
    snprintf(text, sizeof text, "%s%s", uri,
             r == RULE_program_slots ? ",compiles=none" : "");
    assert_ok(dev_open(text, pool, &d));
    return d;
}

static dev_sight sight(dev_rule r, const char *uri)
{
    dev_sight s;
    device *d = open_for(r, uri);
    assert_ok(dev_break(d, r, &s));
    dev_close(d);
    return s;
}

static void wrong(dev_rule r, const char *uri, const dev_sight *s, const char *want)
{
    fail_msg("rule '%s' on %s: wanted %s; saw: %s: %s%s", dev_rule_at(r)->id, uri, want,
             dev_seen_text(s->seen), s->detail, s->warned ? " (warned)" : "");
}

static void assert_seen(dev_rule r, const char *uri, const dev_sight *s, dev_seen want)
{
    if (s->seen != want) wrong(r, uri, s, dev_seen_text(want));
}

static bool names(const dev_sight *s, const char *id)
{
    char quoted[64];
    if (!id) return false;
    snprintf(quoted, sizeof quoted, "rule '%s'", id);
    return strstr(s->detail, quoted) != NULL;
}

/* Refused with the rule's own name in the first line. */
static void assert_refused(const expectation *e, const char *uri, const dev_sight *s)
{
    assert_seen(e->rule, uri, s, DEV_SEEN_REFUSED);
    if (s->code != E_RULE ||
        (!names(s, dev_rule_at(e->rule)->id) && !names(s, probe_case_of(e->rule)->also)))
        wrong(e->rule, uri, s, "its name");
}

/* One chip of each kind of rule: old (H13, H14) and new. */
static const char *const models[] = {"m1", "m2pro", "m4", "m6"};
static bool holds_on(dev_rule r, const char *model)
{
    return dev_rule_holds(r, dev_profile_find(model)->family);
}

/* The rule that is broken with it on this chip, or -1. */
static int also_on(dev_rule r, const char *model)
{
    const char *also = probe_case_of(r)->also;
    return also && holds_on((dev_rule)dev_rule_find(also), model) ? dev_rule_find(also)
                                                                  : -1;
}

static void strict_engines_refuse_what_holds(void **state)
{
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        for (size_t m = 0; m < COUNT_OF(models); m++) {
            const expectation *e = &expected[i];
            char uri[32];
            if (!holds_on(e->rule, models[m]) || dev_rule_at(e->rule)->disputed) continue;
            snprintf(uri, sizeof uri, "emu:%s", models[m]);
            dev_sight s = sight(e->rule, uri);
            if (e->always) assert_seen(e->rule, uri, &s, DEV_SEEN_RULE);
            else if (!e->values) assert_refused(e, uri, &s);
            else if (s.seen != DEV_SEEN_RIGHT || !s.warned)
                wrong(e->rule, uri, &s, "right numbers and a warning");
        }
}

static void disputed_rules_warn_and_hold_with_rules_all(void **state)
{
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        for (size_t m = 0; m < COUNT_OF(models); m++) {
            const expectation *e = &expected[i];
            char uri[32];
            if (!holds_on(e->rule, models[m]) || !dev_rule_at(e->rule)->disputed ||
                e->always)
                continue;
            snprintf(uri, sizeof uri, "emu:%s", models[m]);
            dev_sight s = sight(e->rule, uri);
            assert_seen(e->rule, uri, &s, DEV_SEEN_RIGHT);
            if (!e->at_run && !s.warned) wrong(e->rule, uri, &s, "a warning");
            snprintf(uri, sizeof uri, "emu:%s,rules=all", models[m]);
            s = sight(e->rule, uri);
            assert_refused(e, uri, &s);
        }
}

static void faithful_engines_go_wrong_as_the_chip_does(void **state)
{
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        for (size_t m = 0; m < COUNT_OF(models); m++) {
            const expectation *e = &expected[i];
            char uri[48];
            if (!holds_on(e->rule, models[m])) continue;
            snprintf(uri, sizeof uri, "emu:%s,faithful%s", models[m],
                     dev_rule_at(e->rule)->disputed ? ",rules=all" : "");
            dev_sight s = sight(e->rule, uri);
            int also = also_on(e->rule, models[m]);
            if (s.seen != e->faithful &&
                (also < 0 || s.seen != expectation_of((dev_rule)also)->faithful))
                wrong(e->rule, uri, &s, dev_seen_text(e->faithful));
            /* The chip gives no reasons, save where its compiler does. */
            bool says = e->rule == RULE_grouped_conv_limit ||
                        e->faithful == DEV_SEEN_RULE;
            if (!says && names(&s, dev_rule_at(e->rule)->id))
                wrong(e->rule, uri, &s, "no name of a rule");
        }
}

static void chips_without_a_rule_run_what_breaks_it(void **state)
{
    int n = 0;
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        for (size_t m = 0; m < COUNT_OF(models); m++) {
            const expectation *e = &expected[i];
            char uri[32];
            if (holds_on(e->rule, models[m])) continue;
            if (also_on(e->rule, models[m]) >= 0) continue;
            snprintf(uri, sizeof uri, "emu:%s,rules=all", models[m]);
            dev_sight s = sight(e->rule, uri);
            if (s.seen != DEV_SEEN_RIGHT || s.warned)
                wrong(e->rule, uri, &s, "right numbers and no warning");
            n++;
        }
    assert_true(n >= 10);
}

/* The other side of every case: programs that break nothing pass the
 * strictest engine there is. */
static void breaking_nothing_is_never_refused(void **state)
{
    for (size_t i = 0; i < dev_profile_count(); i++) {
        char uri[48];
        snprintf(uri, sizeof uri, "emu:%s,rules=all", dev_profile_at(i)->name);
        dev_sight s = sight(RULE_one_in_flight, uri);
        assert_seen(RULE_one_in_flight, uri, &s, DEV_SEEN_RULE);
    }
}

/* ---- at the limit, and one past it ---- */
static void axis(str *s, int n)
{
    str_addf(s,
             "tensor<fp16, [1, 1, 1, %d]> in_a) {\ntensor<fp16, [1, 1, 1, %d]> out_a = "
             "relu(x = in_a)[name = string(\"out_a\")];\n} -> (out_a); }",
             n, n);
}

static void channels(str *s, int n)
{
    str_addf(s,
             "tensor<fp16, [1, %d, 1, 32]> in_a) {\ntensor<fp16, [1, %d, 1, 32]> out_a = "
             "relu(x = in_a)[name = string(\"out_a\")];\n} -> (out_a); }",
             n, n);
}

static void rank(str *s, int n)
{
    str type = {0};
    for (int i = 2; i < n; i++) str_add(&type, "1, ");
    str_addf(s,
             "tensor<fp16, [1, 32]> in_a) {\n" CONST(
                 "tensor<int32, [2]>", "flat",
                 "[1, 32]") "tensor<int32, [%d]> deep = const()[name = string(\"deep\"), "
                            "val = "
                            "tensor<int32, [%d]>([%s1, 32])];\n"
                            "tensor<fp16, [%s1, 32]> more = reshape(shape = deep, x = "
                            "in_a)[name = "
                            "string(\"more\")];\n" LET(
                                "tensor<fp16, [1, 32]>", "back",
                                "reshape(shape = flat, x = more)") "} -> (back); }",
             n, n, str_text(&type), str_text(&type));
    str_free(&type);
}

static void kernel(str *s, int n)
{
    str_addf(s,
             "tensor<fp16, [1, 4, 1, %d]> in_a) {\ntensor<fp16, [4, 4, 1, %d]> weight = "
             "const()[name = string(\"weight\"), val = tensor<fp16, [4, 4, 1, "
             "%d]>(0x1p-4)];\n" LET(ROW32, "out_a",
                                    "conv(weight = weight, x = in_a)") "} -> (out_a); }",
             32 + n - 1, n, n);
}

static void chain(str *s, int n)
{
    str_add(s, ROW32 " v_0) {\n");
    for (int i = 1; i <= n; i++)
        str_addf(s, ROW32 " v_%d = relu(x = v_%d)[name = string(\"v_%d\")];\n", i, i - 1,
                 i);
    str_addf(s, "} -> (v_%d); }", n);
}

/* A layer's result as int8 and back: still one layer. */
static void int8_chain(str *s, int n)
{
    str_add(s, ROW32 " v_0) {\n"
                     "string t8 = const()[name = string(\"t8\"), val = "
                     "string(\"int8\")];\n"
                     "fp16 unit = const()[name = string(\"unit\"), val = "
                     "fp16(0x1p-4)];\n");
    for (int i = 1; i <= n; i++)
        str_addf(s,
                 ROW32
                 " r_%d = relu(x = v_%d)[name = string(\"r_%d\")];\n"
                 "tensor<int8, [1, 4, 1, 32]> q_%d = quantize(input = r_%d, "
                 "output_dtype = t8, scale = unit)[name = string(\"q_%d\")];\n" ROW32
                 " v_%d = dequantize(input = q_%d, scale = unit)[name = "
                 "string(\"v_%d\")];\n",
                 i, i - 1, i, i, i, i, i, i, i);
    str_addf(s, "} -> (v_%d); }", n);
}

static void ports(str *s, int n)
{
    for (int i = 0; i < n - 1; i++) str_addf(s, "%s" ROW32 " in_%d", i ? ", " : "", i);
    str_add(s, ") {\n" LET(ROW32, "v_0", "relu(x = in_0)"));
    for (int i = 1; i < n - 1; i++)
        str_addf(s, ROW32 " v_%d = add(x = v_%d, y = in_%d)[name = string(\"v_%d\")];\n",
                 i, i - 1, i, i);
    str_addf(s, "} -> (v_%d); }", n - 2);
}

static void contraction(str *s, int n)
{
    str_addf(
        s,
        "tensor<fp16, [1, 1, 32, %d]> in_a, tensor<fp16, [1, 1, 32, %d]> in_b) {\n" CONST(
            "bool", "no", "false") CONST("bool", "yes", "true")
            LET("tensor<fp16, [1, 1, 32, 32]>", "out_a",
                "matmul(transpose_x = no, transpose_y = yes, x = in_a, y = "
                "in_b)") "} -> (out_a); }",
        n, n);
}

static const struct {
    dev_rule rule;
    const char *uri;
    void (*text)(str *s, int n);
    int most;
} limits[] = {
    {RULE_axis_limit, "emu:m1", axis, 16384},
    {RULE_axis_limit, "emu:m3pro", axis, 16384},
    {RULE_axis_limit, "emu:m4", axis, 65536},
    {RULE_axis_limit, "emu:m1", channels, 65536},
    {RULE_axis_limit, "emu:m6", channels, 65536},
    {RULE_axis_limit, "emu:m1", contraction, 16384},
    {RULE_axis_limit, "emu:m5", contraction, 65536},
    {RULE_rank_limit, "emu:m4", rank, 5},
    {RULE_conv_kernel_width, "emu:m1", kernel, 13},
    {RULE_conv_kernel_width, "emu:m2pro", kernel, 15},
    {RULE_conv_kernel_width, "emu:m4", kernel, 15},
    {RULE_graph_depth, "emu:m4", chain, 383},
    {RULE_graph_depth, "emu:m4", int8_chain, 383},
    {RULE_surface_slots, "emu:m4", ports, 128},
};

static void limits_themselves_are_allowed(void **state)
{
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        for (int over = 0; over < 2; over++) {
            str s = {0};
            device *d;
            dev_program *p;
            str_add(
                &s,
                "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\","
                " \"3505.4.1\"}})]\n{ func main<ios18>(");
            limits[i].text(&s, limits[i].most + over);
            assert_ok(str_done(&s));
            assert_ok(dev_open(limits[i].uri, pool, &d));
            rc r = try_load(d, s.p, NULL, 0, &p);
            if (r != (over ? E_RULE : OK) ||
                (over && !strstr(err_text(), dev_rule_at(limits[i].rule)->id)))
                fail_msg("%s on %s: %d is %s: %s", dev_rule_at(limits[i].rule)->id,
                         limits[i].uri, limits[i].most + over, err_name(r),
                         r == OK ? "" : err_text());
            dev_unload(p);
            dev_close(d);
            str_free(&s);
        }
}

/* ---- the same, as `device check` puts it ---- */
static void check_of(const char *uri, int passed_at_least)
{
    dev_probe_result r[DEV_RULES_MAX];
    device *d;
    int n = 0, count[3] = {0};
    bool seen[DEV_RULES] = {false};
    assert_ok(dev_open(uri, pool, &d));
    assert_ok(dev_probe(d, r, &n));
    dev_close(d);
    assert_int_equal(n, DEV_RULES);
    for (int i = 0; i < n; i++) {
        assert_false(seen[r[i].rule]);
        seen[r[i].rule] = true;
        count[r[i].verdict]++;
        assert_true(*r[i].detail);
        if (r[i].verdict == DEV_PROBE_FAIL)
            fail_msg("%s does not keep '%s': %s", uri, dev_rule_at(r[i].rule)->id,
                     r[i].detail);
        if (r[i].verdict == DEV_PROBE_SKIP) assert_false(r[i].holds);
    }
    if (count[DEV_PROBE_PASS] < passed_at_least)
        fail_msg("%s: only %d of %d rules were answered", uri, count[DEV_PROBE_PASS], n);
}

static void the_check_passes_on_engines_that_keep_their_tables(void **state)
{
    check_of("emu:m4", DEV_RULES - 2);
    check_of("emu:m1", DEV_RULES - 2);
    check_of("emu:m4,rules=all", DEV_RULES - 3);
    check_of("emu:m4,faithful", DEV_RULES - 2);
    check_of("emu:m1,faithful,rules=all", DEV_RULES - 2);
    check_of("emu:m4,wide", DEV_RULES - 5); /* no arithmetic of the chip */
    check_of("null:m4", 20);                /* no numbers */
}

static int open_pool(void **state)
{
    return kern_open(2, NULL, &pool) != OK;
}

static int close_pool(void **state)
{
    kern_close(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_has_a_case),
        cmocka_unit_test(strict_engines_refuse_what_holds),
        cmocka_unit_test(disputed_rules_warn_and_hold_with_rules_all),
        cmocka_unit_test(faithful_engines_go_wrong_as_the_chip_does),
        cmocka_unit_test(chips_without_a_rule_run_what_breaks_it),
        cmocka_unit_test(breaking_nothing_is_never_refused),
        cmocka_unit_test(limits_themselves_are_allowed),
        cmocka_unit_test(the_check_passes_on_engines_that_keep_their_tables),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
