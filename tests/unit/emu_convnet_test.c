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

/* Whichever allocation fails while a program is loaded, loading says so. */
static void no_memory_is_an_error_like_others(void **state)
{
    kern *pool;
    assert_ok(kern_open(1, NULL, &pool));
    for (size_t t = 0; t < COUNT_OF(tables); t++)
        for (size_t i = 0; i < tables[t].n; i++) {
            str text = {0};
            device *d;
            dev_program *p = NULL;
            net_now = &tables[t].cases[i];
            net_program(&text);
            assert_ok(dev_open("emu:m6,exact,compiles=none", pool, &d));
            rc r = E_MEMORY;
            for (long n = 1; r != OK; n++) {
                mem_fail_at(n);
                r = try_load(d, str_text(&text), NULL, 0, &p);
                mem_fail_at(0);
                if (r != OK && r != E_MEMORY)
                    fail_msg("%s %s without memory: %s", net_now->op, net_now->what,
                             err_text());
            }
            dev_unload(p);
            dev_close(d);
            str_free(&text);
        }
    kern_close(pool);
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

/* ---- programs that are not sound ---- */
#define IMG "tensor<fp16, [1, 4, 6, 8]>"
#define BAD(body) PROGRAM(IMG " in_a", body, "out")
#define MAX_POOL(args) \
    LET(IMG, "out", "max_pool(kernel_sizes = kernel, " args "x = in_a)")
static void unsound_programs_say_what_was_wanted(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {BAD(INTS("1", "kernel", "[2]") MAX_POOL("")),
         "'kernel_sizes' of 'max_pool' has 1"},
        {BAD(INTS("2", "kernel", "[7, 2]") MAX_POOL("")), "larger than its input"},
        {BAD(INTS("2", "kernel", "[0, 2]") MAX_POOL("")), "a pooling window of 0 places"},
        {BAD(INTS("2", "kernel", "[2, 2]") WORDS("edge", "around")
                 MAX_POOL("pad_type = edge, ")),
         "valid, same, same_lower or custom wanted"},
        {BAD(INTS("2", "kernel", "[2, 2]") WORDS("edge", "custom")
                 MAX_POOL("pad_type = edge, ")),
         "pad_type custom needs argument 'pad'"},
        {BAD(INTS("2", "kernel", "[2, 2]") INTS("4", "pads", "[2, 0, 0, 0]")
                 WORDS("edge", "custom") MAX_POOL("pad = pads, pad_type = edge, ")),
         "leaves a pooling window of 2 empty"},
        {BAD(INTS("2", "pads", "[8, 0]") WORDS("how", "reflect")
                 LET(IMG, "out", "pad(mode = how, pad = pads, x = in_a)")),
         "reflect padding of 8 and 0; 0 to 7 wanted"},
        {BAD(INTS("3", "pads", "[1, 0, 1]") LET(IMG, "out", "pad(pad = pads, x = in_a)")),
         "pad of 3 numbers"},
        {BAD(INTS("4", "from", "[0, 0, 0, 9]") INTS("4", "upto", "[1, 4, 6, 9]")
                 LET(IMG, "out", "slice_by_index(begin = from, end = upto, x = in_a)")),
         "axis 3 of a slice is empty"},
        {BAD(INTS("4", "from", "[0, 0, 0, 0]") INTS("4", "step", "[1, 1, 1, 0]") LET(
             IMG, "out",
             "slice_by_index(begin = from, end = from, stride = step, x = in_a)")),
         "is empty"},
        {BAD(CONST("int32", "two", "3")
                 LET(IMG, "out", "pixel_shuffle(upscale_factor = two, x = in_a)")),
         "4 channels do not make blocks of 3 x 3"},
        {BAD(CONST("int32", "two", "5")
                 LET(IMG, "out", "space_to_depth(block_size = two, x = in_a)")),
         "do not make blocks of 5 x 5"},
        {BAD(CONST("int32", "many", "9") LET(IMG, "out", "topk(k = many, x = in_a)")),
         "topk has 2 results here"},
        {BAD(CONST("tensor<fp16, [3]>", "slope", "[1, 2, 3]")
                 LET(IMG, "out", "prelu(alpha = slope, x = in_a)")),
         "'alpha' of 'prelu' has 3 numbers, 4 channels wanted"},
        {BAD(LET(IMG, "out", "leaky_relu(x = in_a)")), "needs argument 'alpha'"},
        {BAD(INTS("1", "axes", "[4]")
                 LET(IMG, "out", "layer_norm(axes = axes, x = in_a)")),
         "axis 4 of 'layer_norm' is outside rank 4"},
        {BAD(WORDS("sum", "nchw,nchw->q")
                 LET("tensor<fp16, [1]>", "out",
                     "einsum(equation = sum, values = (in_a, in_a))")),
         "letter 'q' of einsum 'nchw,nchw->q' stands alone"},
        {BAD(WORDS("sum", "nchh,nchw->n")
                 LET("tensor<fp16, [1]>", "out",
                     "einsum(equation = sum, values = (in_a, in_a))")),
         "a letter for each axis wanted"},
        {BAD(WORDS("mode", "SOMEHOW")
                 LET(IMG, "out", "resize_bilinear(sampling_mode = mode, x = in_a)")),
         "sampling_mode 'SOMEHOW'"},
        {BAD(CONST("fp32", "scale", "0.01")
                 LET(IMG, "out",
                     "upsample_nearest_neighbor(scale_factor_width = scale, x = in_a)")),
         "a scale factor of 0.01"},
        {BAD(LET(IMG, "out", "gather(indices = in_a, x = in_a)")),
         "indices of 'gather' are fp16"},
        {BAD(CONST("tensor<fp16, [3, 1, 2, 2]>", "weight",
                   "[[[[1, 1], [1, 1]]], [[[1, 1], [1, 1]]], [[[1, 1], [1, 1]]]]")
                 LET(IMG, "out", "conv_transpose(weight = weight, x = in_a)")),
         "[in, out / groups, ...] of equal rank wanted"},
        {BAD(CONST("fp16", "size", "1") WORDS("byte", "int16") LET(
             IMG, "out", "quantize(input = in_a, output_dtype = byte, scale = size)")),
         "knows int8 and uint8"},
        {BAD("tensor<fp16, [4]> w_1 = constexpr_sparse_to_dense()[mask = tensor<uint8, "
             "[1]>([7]), name = string(\"w_1\"), nonzero_data = tensor<fp16, [2]>([1, "
             "2]), "
             "shape = tensor<uint32, [1]>([4])];\n" LET(IMG, "out", "relu(x = in_a)")),
         "the mask keeps 3 places, but 2 numbers are given"},
        {BAD("tensor<fp16, [4]> w_1 = constexpr_lut_to_dense()[indices = tensor<uint8, "
             "[1]>([7]), lut = tensor<fp16, [3]>([1, 2, 3]), name = string(\"w_1\"), "
             "shape "
             "= tensor<uint32, [1]>([4])];\n" LET(IMG, "out", "relu(x = in_a)")),
         "a table of 3; 2, 4, 16, 64 or 256 wanted"},
    };
    device *d;
    int wrong = 0;
    assert_ok(dev_open("null:m4,compiles=none", NULL, &d));
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        dev_program *p = NULL;
        rc r = try_load(d, bad[i].text, NULL, 0, &p);
        if (r == E_FORMAT && strstr(err_text(), bad[i].part) &&
            strstr(err_text(), "test:"))
            continue;
        print_error("wanted '%s', had %s\n", bad[i].part, r ? err_text() : "a program");
        wrong++;
        if (r == OK) dev_unload(p);
    }
    dev_close(d);
    assert_int_equal(wrong, 0);
}

/* ---- single numbers ---- */
/* Runs a program of in_a [1,1,1,32] on the numbers given; output 0 comes back. */
static rc run_numbers(const char *uri, const char *body, const char *type, int n,
                      const double *x, int n_out, double *y)
{
    device *d;
    dev_ports ports;
    str text = {0};
    assert_ok(dev_open(uri, NULL, &d));
    str_addf(
        &text,
        "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
        "\"3505.4.1\"}})]\n{\n    func main<ios18>(%s in_a) {\n%s    } -> (out);\n}\n",
        type, body);
    dev_program *p = load(d, str_text(&text));
    assert_ok(dev_ports_of(p, &ports));
    dev_surface *in = surface_of(d, &ports.in[0].type);
    dev_surface *out = surface_of(d, &ports.out[0].type);
    put_values(in, ports.in[0].type.dtype, x, (size_t)n);
    rc r = run_and_wait(p, &in, 1, &out, 1, NULL);
    if (r == OK) get_values(out, ports.out[0].type.dtype, y, (size_t)n_out);
    dev_unload(p);
    dev_drop(in);
    dev_drop(out);
    dev_close(d);
    str_free(&text);
    return r;
}

static void places_outside_an_axis_end_the_run(void **state)
{
    double at[2] = {1, 4}, y[2];
    static const char *const bodies[] = {
        CONST("tensor<fp16, [4]>", "held", "[1, 2, 3, 4]")
            LET("tensor<fp16, [2]>", "out", "gather(indices = in_a, x = held)"),
        CONST("tensor<fp16, [4]>", "held", "[1, 2, 3, 4]") LET(
            "tensor<fp16, [2]>", "out", "gather_along_axis(indices = in_a, x = held)")};
    for (int i = 0; i < 2; i++) {
        rc r = run_numbers("emu:m4", bodies[i], "tensor<int32, [2]>", 2, at, 2, y);
        assert_int_equal(r, E_SHAPE);
        assert_non_null(strstr(err_text(), "index 4 on an axis of 4 places"));
    }
    at[1] = -4;
    for (int i = 0; i < 2; i++) {
        assert_ok(run_numbers("emu:m4", bodies[i], "tensor<int32, [2]>", 2, at, 2, y));
        assert_true(y[0] == 2 && y[1] == 1);
    }
}

/* fast rounds to even, exact away from zero; NaN is +infinity on the chip, and the
 * tables of softplus and softsign end with 0 there. */
static void ties_and_infinities_are_those_of_the_arithmetic(void **state)
{
    static const double tie[2] = {1, 1 + 0x1p-10}, odd[2] = {-NAN, INFINITY};
    double y[2];
    const char *mean = INTS("1", "kernel", "[2]") LET(
        "tensor<fp16, [1, 1, 1]>", "out", "avg_pool(kernel_sizes = kernel, x = in_a)");
    const char *most = INTS("1", "kernel", "[1]") LET(
        "tensor<fp16, [1, 1, 2]>", "out", "max_pool(kernel_sizes = kernel, x = in_a)");
    const char *t = "tensor<fp16, [1, 1, 2]>";
    const char *soft = LET("tensor<fp16, [1, 1, 2]>", "out", "softplus(x = in_a)");
    const char *sign = LET("tensor<fp16, [1, 1, 2]>", "out", "softsign(x = in_a)");
    assert_ok(run_numbers("emu:m4,fast", mean, t, 2, tie, 1, y));
    assert_true(y[0] == 1);
    assert_ok(run_numbers("emu:m4,exact", mean, t, 2, tie, 1, y));
    assert_true(y[0] == 1 + 0x1p-10);
    assert_ok(run_numbers("emu:m4,fast", most, t, 2, odd, 2, y));
    assert_true(isnan(y[0]) && y[1] == INFINITY);
    assert_ok(run_numbers("emu:m4,exact", most, t, 2, odd, 2, y));
    assert_true(y[0] == INFINITY && y[1] == INFINITY);
    assert_ok(run_numbers("emu:m4,fast", soft, t, 2, odd, 2, y));
    assert_true(isnan(y[0]) && y[1] == INFINITY);
    assert_ok(run_numbers("emu:m4,exact", soft, t, 2, odd, 2, y));
    assert_true(y[0] == 0 && y[1] == 0);
    assert_ok(run_numbers("emu:m4,exact", sign, t, 2, odd, 2, y));
    assert_true(y[0] == 0 && y[1] == 0);
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
        cmocka_unit_test(unsound_programs_say_what_was_wanted),
        cmocka_unit_test(places_outside_an_axis_end_the_run),
        cmocka_unit_test(ties_and_infinities_are_those_of_the_arithmetic),
        cmocka_unit_test(the_match_of_functions_is_that_of_their_tables),
        cmocka_unit_test(ops_agree_with_plain_loops),
        cmocka_unit_test(no_memory_is_an_error_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
