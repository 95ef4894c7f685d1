/* The tables of chips, rules and op support against what their sources say,
 * copied here with the source a second time, so that a slip of the pen in one
 * of the two shows. */
#include <ctype.h>
#include "dev_help.h"
#include "dev/cost.h"
#include "ir/ir.h"

/* ---- chips ---- */
static void every_chip_has_a_source_and_no_guess(void **state)
{
    static const char *const wanted[] = {"m1",    "m1max",   "m2pro", "m2max",
                                         "m3pro", "m3ultra", "m4",    "m4pro",
                                         "m4max", "m5",      "m5pro", "m6"};
    assert_int_equal(dev_profile_count(), COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const dev_profile *p = dev_profile_find(wanted[i]);
        if (!p) fail_msg("no chip '%s'", wanted[i]);
        assert_true(strlen(p->source) > 10);
        assert_true(str_starts(p->chip, "Apple M"));
        assert_true((unsigned)p->family < DEV_FAMILIES);
        /* M(n) is H(n + 12). */
        assert_int_equal(p->family, p->name[1] - '1');
        const double known[] = {p->peak_tflops, p->gemm_tflops, p->clock_mhz,
                                p->dispatch_us, p->weight_gbs,  p->activation_gbs,
                                p->dram_gbs,    p->idle_off_ms, p->wake_ms};
        int n_known = 0;
        for (size_t k = 0; k < COUNT_OF(known); k++) {
            if (!dev_known(known[k])) continue;
            n_known++;
            if (known[k] <= 0) fail_msg("%s: number %zu is %g", p->name, k, known[k]);
        }
        assert_true(n_known >= 2);
        assert_true(p->clock_steps > 0 || p->clock_steps == -1);
        assert_true(!(p->gemm_tflops > p->peak_tflops)); /* also where unknown */
        assert_true(p->cores == 16 * p->engines);
    }
}

static void unknown_numbers_are_not_filled_in(void **state)
{
    /* Nobody has published these. */
    assert_false(dev_known(dev_profile_find("m3ultra")->gemm_tflops));
    assert_false(dev_known(dev_profile_find("m3ultra")->dispatch_us));
    assert_false(dev_known(dev_profile_find("m4pro")->dispatch_us));
    assert_false(dev_known(dev_profile_find("m4")->weight_gbs));
    assert_int_equal(dev_profile_find("m3ultra")->clock_steps, -1);
    assert_null(dev_profile_find("m9"));
    assert_null(dev_profile_at(dev_profile_count()));
}

#define AT(field) offsetof(dev_profile, field)
static const struct {
    const char *chip;
    size_t at;
    double value;
    const char *source;
} published[] = {
    {"m1", AT(gemm_tflops), 4.33, "ANEForge rooflines, M1 Air, square products"},
    {"m1", AT(clock_mhz), 1428, "ane-guide ch. 20: 10 steps 396-1428 MHz"},
    {"m1", AT(dispatch_us), 190, "ane-guide ch. 10: 25 + 16 + 3 + 130 + 10 us"},
    {"m1", AT(weight_gbs), 51, "ane-guide ch. 9: weight stream"},
    {"m1", AT(activation_gbs), 24, "ane-guide ch. 9: activation stream"},
    {"m1", AT(dram_gbs), 85, "ane-guide ch. 9: DRAM"},
    {"m1", AT(idle_off_ms), 5000, "ane-guide ch. 11: rails off after 5 s"},
    {"m1", AT(wake_ms), 260, "ane-guide ch. 11: first call after that"},
    {"m1max", AT(gemm_tflops), 4.6, "ANEForge rooflines, M1 Max"},
    {"m1max", AT(clock_mhz), 1464, "ane-guide ch. 20, H13g"},
    {"m2pro", AT(gemm_tflops), 3.4, "ANEForge rooflines, M2 Pro"},
    {"m2pro", AT(clock_mhz), 1938, "ane-guide ch. 20, H14: 9 steps 528-1938"},
    {"m2pro", AT(dispatch_us), 100, "ane-guide ch. 18, fit of H14g"},
    {"m2max", AT(gemm_tflops), 5.38, "ANEForge rooflines, M2 Max"},
    {"m3pro", AT(clock_mhz), 2064, "ane-guide ch. 20, H15: 20 steps 408-2064"},
    {"m3pro", AT(gemm_tflops), 7.61, "slavko ANE-Training: feed-forward product"},
    {"m4", AT(gemm_tflops), 5.44, "ANEForge rooflines, M4"},
    {"m4", AT(clock_mhz), 2364, "M6 study, H16g: 26 steps 504-2364"},
    {"m4", AT(dispatch_us), 95, "maderix/ANE: XPC and IOKit evaluate"},
    {"m4pro", AT(gemm_tflops), 6.20, "ANEForge rooflines, M4 Pro"},
    {"m4max", AT(gemm_tflops), 8.87, "ANEForge rooflines, M4 Max, 2048"},
    {"m5", AT(gemm_tflops), 8.71, "ANEForge rooflines, M5"},
    {"m5", AT(clock_mhz), 2172, "ane-guide ch. 20, H17"},
    {"m5", AT(dispatch_us), 117, "ane-infer: evaluateWithQoS"},
    {"m5", AT(weight_gbs), 145, "ane-guide ch. 9: two channels"},
    {"m5pro", AT(gemm_tflops), 10.0, "ANEForge rooflines, M5 Pro"},
    {"m5pro", AT(clock_mhz), 2364, "ane-guide ch. 20, H17s: 25 steps"},
    {"m5pro", AT(dispatch_us), 93, "Midas: floor of a direct call"},
    {"m6", AT(gemm_tflops), 10.77, "ANEForge rooflines, M6, one engine"},
    {"m6", AT(clock_mhz), 2580, "M6 study: 32 steps 804-2580"},
    {"m6", AT(weight_gbs), 150, "M6 study: shared by both engines"},
    {"m6", AT(idle_off_ms), 5680, "M6 study"},
    {"m6", AT(wake_ms), 50, "M6 study: first call after 5.68 s"},
};

static void chips_have_the_published_numbers(void **state)
{
    for (size_t i = 0; i < COUNT_OF(published); i++) {
        const dev_profile *p = dev_profile_find(published[i].chip);
        double had;
        memcpy(&had, (const char *)p + published[i].at, sizeof had);
        if (had != published[i].value)
            fail_msg("%s: had %g, but %s says %g", p->name, had, published[i].source,
                     published[i].value);
    }
}

/* Watts belong to a load: those of a peak say nothing of a training. */
static void published_power_is_that_of_its_load(void **state)
{
    static const struct {
        const char *chip;
        double watts; /* 0: none */
        const char *doing;
    } training[] = {{"m1", 1.66, "sustained"},
                    {"m4", 0.91, "training"},
                    {"m3pro", 0, ""},
                    {"m4max", 0, ""},
                    {"m5", 0, ""},
                    {"m6", 0, ""}};
    for (size_t i = 0; i < COUNT_OF(training); i++) {
        const dev_power *w = dev_power_training(dev_profile_find(training[i].chip));
        if ((training[i].watts > 0) != (w != NULL)) fail_msg("%s", training[i].chip);
        if (!w) continue;
        assert_true(w->watts == training[i].watts);
        assert_string_equal(w->doing, training[i].doing);
    }
    const dev_profile *m4 = dev_profile_find("m4");
    assert_true(dev_power_while(m4, "conv chain, peak")->watts == 2.8);
    assert_null(dev_power_while(m4, "linear"));
}

/* ane-guide app. A; maderix/ANE 1.7; ANEForge and Midas; ANEForge and ane-infer. */
static void limits_are_those_of_the_families(void **state)
{
    for (size_t i = 0; i < dev_profile_count(); i++) {
        const dev_profile *p = dev_profile_at(i);
        assert_int_equal(p->max_axis, p->family < DEV_H16 ? 16384 : 65536);
        assert_int_equal(p->max_channels, 65536);
        assert_int_equal(p->compiles_max, 119);
        assert_int_equal(p->programs_max, 128);
        assert_int_equal(p->queue_depth, 127);
        /* Width slices clamp on M1 and M2 (ANEForge); convolution is Winograd on
         * M5 and M6 (published 3 x 3 errors); the old spelling is M1's and M2's. */
        assert_int_equal(p->slice_clamp, p->family <= DEV_H14);
        assert_int_equal(p->winograd, p->family >= DEV_H17);
        assert_int_equal(p->old_mil, p->family <= DEV_H14);
        assert_int_equal(p->slice_clamp, dev_rule_holds(RULE_slice_clamp, p->family));
    }
}

/* ---- rules ---- */
static void every_rule_is_complete(void **state)
{
    static const char *const kinds = "surface op program arithmetic limit";
    static const char *const guards = "planner emitter driver none";
    for (int i = 0; i < DEV_RULES; i++) {
        const dev_rule_row *r = dev_rule_at((dev_rule)i);
        int holds = 0;
        if (!strstr(kinds, r->kind) || !strstr(guards, r->guard))
            fail_msg("rule '%s': kind '%s', guard '%s'", r->id, r->kind, r->guard);
        assert_true(strlen(r->text) > 10 && strlen(r->symptom) > 3 &&
                    strlen(r->source) > 3);
        for (int f = 0; f < DEV_FAMILIES; f++)
            holds += dev_rule_holds((dev_rule)i, (dev_family)f);
        if (!holds) fail_msg("rule '%s' holds nowhere: '%s'", r->id, r->where);
        assert_int_equal(holds == DEV_FAMILIES, !strcmp(r->where, "all"));
        assert_int_equal(dev_rule_find(r->id), i);
        for (const char *c = r->id; *c; c++)
            assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) ||
                        *c == '_');
    }
    assert_int_equal(dev_rule_find("no_such_rule"), -1);
    assert_null(dev_rule_at(DEV_RULES));
    assert_true((int)DEV_RULES <= (int)DEV_RULES_MAX);
}

/* ---- op support: 187 ops of ane-guide app. A and ANEForge's catalogue ---- */
static const struct {
    dev_family first;
    const char *ops;
} catalogue[] = {
    {DEV_H13,
     " conv conv_transpose linear matmul einsum avg_pool max_pool l2_pool "
     "scaled_dot_product_attention batch_norm layer_norm instance_norm l2_norm "
     "local_response_norm abs add sub mul real_div floor_div pow square sqrt rsqrt "
     "inverse "
     "maximum minimum equal not_equal greater greater_equal less less_equal logical_not "
     "select "
     "relu relu6 leaky_relu prelu clamped_relu thresholded_relu threshold clip elu "
     "sigmoid "
     "sigmoid_hard tanh scaled_tanh gelu silu softmax softplus softsign erf exp exp2 log "
     "sign "
     "ceil floor round reduce_sum reduce_mean reduce_max reduce_min reduce_sum_square "
     "reduce_l1_norm reduce_l2_norm reduce_log_sum reduce_log_sum_exp reduce_argmax "
     "reshape "
     "transpose concat split stack pad slice_by_size slice_by_index slice_update reverse "
     "tile "
     "gather gather_along_axis depth_to_space space_to_depth pixel_shuffle "
     "pixel_unshuffle "
     "space_to_batch batch_to_space identity fill crop cast quantize dequantize "
     "constexpr_lut_to_dense constexpr_sparse_to_dense constexpr_affine_dequantize "
     "constexpr_blockwise_shift_scale cumsum atan const expand_dims squeeze "
     "resize_bilinear resize_nearest_neighbor upsample_bilinear "
     "upsample_nearest_neighbor "},
    {DEV_H14, " crop_resize resample affine gather_nd argsort topk "},
    {DEV_H15, " sin cos random_uniform dropout reduce_argmin "},
    {DEV_FAMILIES,
     " reduce_prod scatter scatter_along_axis scatter_nd mod one_hot non_zero band_part "
     "reverse_sequence shape sliding_windows logical_and logical_or logical_xor gru lstm "
     "rnn tan "
     "asin acos sinh cosh asinh acosh atanh random_bernoulli random_categorical "
     "random_normal "
     "constexpr_cast cond while_loop non_maximum_suppression read_state write_state "},
};

static bool listed(const char *list, const char *op)
{
    char word[64];
    snprintf(word, sizeof word, " %s ", op);
    return strstr(list, word) != NULL;
}

static void supported_ops_are_those_of_the_catalogue(void **state)
{
    size_t named = 0;
    for (size_t g = 0; g < COUNT_OF(catalogue); g++) {
        char op[64];
        int n;
        for (const char *at = catalogue[g].ops; sscanf(at, " %63s%n", op, &n) == 1;
             at += n) {
            named++;
            for (int f = 0; f < DEV_FAMILIES; f++) {
                const char *why = "";
                bool had = dev_op_supported(op, (dev_family)f, &why);
                bool want = f >= (int)catalogue[g].first;
                if (had != want)
                    fail_msg("'%s' on %s: the table says %s", op,
                             dev_family_name((dev_family)f), had ? "yes" : why);
                if (!had && (!why || !*why))
                    fail_msg("'%s' is refused without a reason", op);
                if (had && why) fail_msg("'%s' runs, and has a reason why not", op);
            }
        }
    }
    for (size_t i = 0; i < dev_support_count(); i++) {
        bool found = false;
        for (size_t g = 0; g < COUNT_OF(catalogue); g++)
            found |= listed(catalogue[g].ops, dev_support_op(i));
        if (!found) fail_msg("'%s' is no op of the catalogue", dev_support_op(i));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(dev_support_op(i), dev_support_op(k));
    }
    assert_int_equal(named, dev_support_count());
    assert_false(dev_op_supported("softmux", DEV_H16, NULL));
}

static void every_op_of_the_dialect_has_a_row_for_each_family(void **state)
{
    for (int op = 0; op < IR_OPS; op++)
        for (int f = 0; f < DEV_FAMILIES; f++) {
            const char *mil = ir_op_mil((ir_op)op), *why = NULL;
            if (!ir_op_in_dialect((ir_op)op) || !*mil) continue;
            if (!dev_op_supported(mil, (dev_family)f, &why))
                fail_msg("'%s' does not run on %s: %s", mil,
                         dev_family_name((dev_family)f), why);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chip_has_a_source_and_no_guess),
        cmocka_unit_test(unknown_numbers_are_not_filled_in),
        cmocka_unit_test(chips_have_the_published_numbers),
        cmocka_unit_test(published_power_is_that_of_its_load),
        cmocka_unit_test(limits_are_those_of_the_families),
        cmocka_unit_test(every_rule_is_complete),
        cmocka_unit_test(supported_ops_are_those_of_the_catalogue),
        cmocka_unit_test(every_op_of_the_dialect_has_a_row_for_each_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
