/* What any driver must keep of device.h about opening, loading and limits; runs
 * and surfaces are in dev_conformance_test. A new driver adds its URI in
 * dev_suite.h and, where it cannot do something, a row to one of the lists. */
#include "dev_suite.h"

static const exception never[] = {
#ifdef FAKE_LIB
    {"ane:memory,", "the_129th_loaded_program_is_refused",
     "by this route the system's own budget of 119 compiles ends before its slots do"},
#endif
    {NULL, NULL, NULL}};
static const exception expected_to_fail[] = {{NULL, NULL, NULL}};

/* ---- opening ---- */
static void its_caps_name_it(void **state)
{
    bench *b = *state;
    device *again;
    dev_caps caps;
    assert_non_null(b->caps.profile);
    assert_string_equal(b->caps.profile->name, b->caps.model);
    assert_int_equal(b->caps.programs_max, 128);
    assert_int_equal(b->caps.compiles_max, 119);
    assert_int_equal(b->caps.queue_depth, 127);
    assert_ok(dev_open(b->caps.uri, b->k, &again));
    assert_ok(dev_caps_of(again, &caps));
    assert_string_equal(caps.uri, b->caps.uri);
    for (int i = 0; i < DEV_RULES; i++) {
        assert_int_equal(b->caps.rule_holds[i], caps.rule_holds[i]);
        if (b->caps.rule_disputed[i]) assert_true(b->caps.rule_holds[i]);
    }
    dev_close(again);
}

static void a_device_opens_without_a_kern_of_the_caller(void **state)
{
    bench *b = *state;
    device *d;
    assert_ok(dev_open(b->uri, NULL, &d));
    dev_program *p = load(d, DOUBLE);
    dev_surface *x = surface(d, 4, 32, 0), *y = surface(d, 4, 32, 0);
    put_ramp(x, 128, 0, 1);
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 0, 2);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
    dev_close(d);
}

/* ---- programs ---- */
static void ports_stand_in_alphabetical_order(void **state)
{
    bench *b = *state;
    dev_ports ports;
    dev_program *p = load(b->d, PROGRAM(ROW32 " b_in, " ROW32 " a_in, " ROW32 " C_in",
                                        LET(ROW32, "z", "add(x = a_in, y = b_in)")
                                            LET(ROW32, "Y", "mul(x = a_in, y = C_in)"),
                                        "z, Y"));
    assert_ok(dev_ports_of(p, &ports));
    assert_int_equal(ports.n_in, 3);
    assert_int_equal(ports.n_out, 2);
    static const char *const in[] = {"C_in", "a_in", "b_in"}; /* by byte value */
    for (int i = 0; i < 3; i++) {
        assert_string_equal(ports.in[i].name, in[i]);
        assert_int_equal(ports.in[i].type.dtype, MIL_FP16);
        assert_int_equal(mil_count(&ports.in[i].type), 128);
    }
    assert_string_equal(ports.out[0].name, "Y");
    assert_string_equal(ports.out[1].name, "z");
    dev_surface *s[5];
    for (int i = 0; i < 5; i++) s[i] = surface(b->d, 4, 32, 0);
    for (int i = 0; i < 3; i++) put_ramp(s[i], 128, i + 2, 0); /* C 2, a 3, b 4 */
    assert_ok(run_and_wait(p, s, 3, s + 3, 2, NULL));
    EXPECT_RAMP(b, s[3], 128, 6, 0);
    EXPECT_RAMP(b, s[4], 128, 7, 0);
    dev_unload(p);
    for (int i = 0; i < 5; i++) dev_drop(s[i]);
}

static void bad_programs_are_refused_with_a_place(void **state)
{
    bench *b = *state;
    static const struct {
        const char *text;
        rc code;
        const char *part;
    } bad[] = {
        {"program(1.3) {", E_FORMAT, "test:1:"},
        {PROGRAM(ROW32 " in_a", LET(ROW32, "out", "softmux(x = in_a)"), "out"), E_FORMAT,
         "did you mean 'softmax'"},
        {PROGRAM(ROW32 " in_a", LET(ROW32, "out", "dropout(x = in_a)"), "out"), E_UNIMPL,
         "dropout"},
        {PROGRAM(ROW32 " in_a", LET(ROW32, "out", "mod(x = in_a, y = in_a)"), "out"),
         E_RULE, "op 'mod' does not run on any chip: no path on any family"},
        {PROGRAM(ROW32 " in_a", LET(ROW32, "out", "relu(x = nobody)"), "out"), E_FORMAT,
         "nobody"},
        {PROGRAM(ROW32 " in_a", LET(ROW32, "out", "relu(y = in_a)"), "out"), E_FORMAT,
         "'y'"},
        {PROGRAM(ROW32 " in_a", LET(ROW32, "out", "relu()"), "out"), E_FORMAT, "'x'"},
        {PROGRAM(ROW32 " in_a",
                 LET("tensor<fp16, [1, 4, 1, 31]>", "out", "relu(x = in_a)"), "out"),
         E_FORMAT, "declared"},
        {PROGRAM(ROW32 " in_a",
                 LET("tensor<fp32, [1, 4, 1, 32]>", "out", "relu(x = in_a)"), "out"),
         E_FORMAT, "declared"},
        {PROGRAM("tensor<fp16, [4611686018427387904, 4, 1, 32]> in_a",
                 LET("tensor<fp16, [4611686018427387904, 4, 1, 32]>", "out",
                     "relu(x = in_a)"),
                 "out"),
         E_FORMAT, "test:4:"},
        {PROGRAM(ROW32 " in_a",
                 "        " ROW32 " w = const()[name = string(\"w\"), val = " ROW32
                 "(BLOBFILE(path = string(\"@model_path/weights/no.bin\"), offset = "
                 "uint64(64)))];\n" LET(ROW32, "out", "add(x = in_a, y = w)"),
                 "out"),
         E_FORMAT, "no.bin"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        dev_program *p = NULL;
        assert_fails(try_load(b->d, bad[i].text, NULL, 0, &p), bad[i].code, bad[i].part);
        assert_null(p);
        assert_text_has(err_text(), "while loading program 'test'");
        assert_null(strstr(err_text(), "while while"));
    }
}

/* A weight file of one chunk of 128 fp16 elements, all v. */
static mil_blob_file weight_file(mil_blob_writer *w, double v, uint64_t *offset)
{
    half data[128];
    mil_blob_file f = {.path = "@model_path/weights/w.bin"};
    for (int i = 0; i < 128; i++) data[i] = half_from_double(v);
    assert_ok(mil_blob_add(w, MIL_FP16, data, sizeof data, offset));
    assert_ok(mil_blob_bytes(w, &f.bytes, &f.size));
    return f;
}

#define WITH_WEIGHT(offset)                                                       \
    PROGRAM(ROW32 " in_a",                                                        \
            "        " ROW32 " w = const()[name = string(\"w\"), val = " ROW32    \
            "(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = "   \
            "uint64(" offset ")))];\n" LET(ROW32, "out", "mul(x = in_a, y = w)"), \
            "out")

static void reload_changes_all_weights_or_none(void **state)
{
    bench *b = *state;
    mil_blob_writer *three, *five;
    uint64_t offset;
    assert_ok(mil_blob_new(&three));
    assert_ok(mil_blob_new(&five));
    mil_blob_file f3 = weight_file(three, 3, &offset), f5 = weight_file(five, 5, &offset);
    assert_int_equal(offset, 64);
    dev_program *p = NULL;
    assert_ok(try_load(b->d, WITH_WEIGHT("64"), &f3, 1, &p));
    mil_blob_free(three); /* the program owns copies of all it needs */
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    put_ramp(x, 128, 2, 0);
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 6, 0);
    assert_ok(dev_reload(p, &f5, 1));
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 10, 0);
    mil_blob_file other = {"@model_path/weights/v.bin", f5.bytes, f5.size};
    assert_fails(dev_reload(p, &other, 1), E_FORMAT, "w.bin");
    mil_blob_file torn = {f5.path, f5.bytes, f5.size - 64};
    assert_fails(dev_reload(p, &torn, 1), E_FORMAT, NULL);
    mil_blob_free(five);
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 10, 0);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

static void a_weight_past_the_end_is_refused(void **state)
{
    bench *b = *state;
    mil_blob_writer *w;
    uint64_t offset;
    dev_program *p;
    assert_ok(mil_blob_new(&w));
    mil_blob_file f = weight_file(w, 1, &offset);
    assert_fails(try_load(b->d, WITH_WEIGHT("4096"), &f, 1, &p), E_FORMAT, "4096");
    assert_fails(try_load(b->d, WITH_WEIGHT("18446744073709551552"), &f, 1, &p), E_FORMAT,
                 NULL);
    assert_fails(try_load(b->d, WITH_WEIGHT("65"), &f, 1, &p), E_FORMAT, NULL);
    mil_blob_free(w);
}

static void two_programs_do_not_disturb_each_other(void **state)
{
    bench *b = *state;
    dev_program *one = load(b->d, ADD_ONE), *two = load(b->d, DOUBLE);
    dev_surface *s[4];
    uint64_t t[3];
    for (int i = 0; i < 4; i++) s[i] = surface(b->d, 4, 32, 0);
    put_ramp(s[0], 128, 0, 1);
    assert_ok(dev_run(one, &s[0], 1, &s[1], 1, &t[0])); /* i + 1 */
    assert_ok(dev_run(two, &s[1], 1, &s[2], 1, &t[1])); /* 2i + 2 */
    assert_ok(dev_run(one, &s[2], 1, &s[3], 1, &t[2])); /* 2i + 3 */
    for (int i = 0; i < 3; i++) assert_ok(dev_wait(b->d, t[i], NULL));
    EXPECT_RAMP(b, s[2], 128, 2, 2);
    dev_unload(one);
    put_ramp(s[0], 128, 1, 0);
    assert_ok(run_and_wait(two, &s[0], 1, &s[3], 1, NULL));
    EXPECT_RAMP(b, s[3], 128, 2, 0);
    dev_unload(two);
    for (int i = 0; i < 4; i++) dev_drop(s[i]);
}

/* ---- limits ---- */
static void unloading_frees_the_slot_but_not_the_compile_budget(void **state)
{
    bench *b = *state;
    dev_program *p = NULL;
    dev_sample reading;
    /* Opening may have used some; a device without the reading used none. */
    assert_ok(dev_sample_of(b->d, &reading));
    int used = reading.valid & 1u << DEV_LOADS ? (int)reading.value[DEV_LOADS] : 0;
    assert_true(used <= 2);
    for (int i = used; i < b->caps.compiles_max; i++) dev_unload(load(b->d, DOUBLE));
    assert_fails(try_load(b->d, DOUBLE, NULL, 0, &p), E_BUDGET, "119");
    assert_null(p);
    assert_ok(dev_sample_of(b->d, &reading));
    if (reading.valid & 1u << DEV_LOADS) assert_near(reading.value[DEV_LOADS], 119, 0);
    if (reading.valid & 1u << DEV_LOADED) assert_near(reading.value[DEV_LOADED], 0, 0);
}

/* Adds i: equal programs may be one on the engine, so each is another. */
static rc load_adder(device *d, int i, dev_program **out)
{
    char text[1024];
    snprintf(text, sizeof text,
             PROGRAM(ROW32 " in_a",
                     CONST("fp16", "add_i", "%d.0")
                         LET(ROW32, "sum", "add(x = in_a, y = add_i)"),
                     "sum"),
             i);
    return try_load(d, text, NULL, 0, out);
}

static void the_129th_loaded_program_is_refused(void **state)
{
    bench *b = *state;
    dev_program *p[129];
    device *d = open_with(b, ",compiles=none");
    for (int i = 0; i < 128; i++) assert_ok(load_adder(d, i, &p[i]));
    assert_fails(load_adder(d, 128, &p[128]), E_BUDGET, "128");
    dev_unload(p[7]);
    p[7] = load(d, ADD_ONE);
    dev_surface *x = surface(d, 4, 32, 0), *y = surface(d, 4, 32, 0);
    put_ramp(x, 128, 0, 1);
    assert_ok(run_and_wait(p[7], &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 1, 1);
    for (int i = 0; i < 128; i++) dev_unload(p[i]);
    dev_drop(x);
    dev_drop(y);
    dev_close(d);
}

static void it_says_what_it_supports(void **state)
{
    bench *b = *state;
    const char *why = NULL;
    mil_type t = {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 4, 32, 32}};
    mil_type pair[2] = {t, t};
    assert_ok(dev_supports(b->d, "matmul", 2, pair, &why));
    assert_null(why);
    assert_ok(dev_supports(b->d, "relu", 1, &t, NULL));
    assert_true(dev_supports(b->d, "non_zero", 1, &t, &why) != OK);
    assert_non_null(why);
    assert_true(dev_supports(b->d, "no_such_op", 1, &t, &why) != OK);
    assert_non_null(why);
    t.rank = 6;
    t.d[4] = t.d[5] = 1;
    assert_true(dev_supports(b->d, "relu", 1, &t, &why) != OK);
    assert_text_has(why, "5 axes");
    t = pair[0];
    t.d[3] = 1 << 20;
    assert_true(dev_supports(b->d, "relu", 1, &t, &why) != OK);
}

/* Every allocation of a load fails once: it is refused, nothing is kept, and
 * the device goes on. */
static void running_out_of_memory_while_loading_is_an_error(void **state)
{
    bench *b = *state;
    mil_blob_writer *w;
    uint64_t offset;
    dev_program *p = NULL;
    assert_ok(mil_blob_new(&w));
    mil_blob_file f = weight_file(w, 3, &offset);
    long n = 0;
    rc r;
    do {
        mem_fail_at(++n);
        r = try_load(b->d, WITH_WEIGHT("64"), &f, 1, &p);
        mem_fail_at(0);
        if (r != OK) assert_int_equal(r, E_MEMORY);
        assert_true(n < 10000);
    } while (r != OK);
    assert_true(n > 3);
    mil_blob_free(w);
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    put_ramp(x, 128, 0, 1);
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 0, 3);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

/* Of every kind of work a piece: products, moves, sums, fused chains. */
/* clang-format off */
static const char of_every_kind[] =
    PROGRAM(ROW32 " in_a",
        CONST("int32", "axis", "1") CONST("bool", "no", "false") CONST("bool", "yes", "true")
        CONST("tensor<int32, [4]>", "turn", "[0, 3, 2, 1]")
        CONST("tensor<int32, [2]>", "halves", "[2, 2]")
        CONST("tensor<int32, [1]>", "axes", "[3]")
        CONST("tensor<int32, [4]>", "form", "[1, 4, 1, 32]")
        CONST("tensor<int32, [4]>", "square", "[1, 1, 4, 32]")
        CONST("tensor<fp16, [4, 4, 1, 3]>", "weight", "0x1p-4")
        CONST("string", "same", "\"same\"")
        LET(ROW32, "mixed", "conv(pad_type = same, weight = weight, x = in_a)")
        LET("tensor<fp16, [1, 32, 1, 4]>", "turned", "transpose(perm = turn, x = mixed)")
        LET("tensor<fp16, [1, 32, 1, 4]>", "soft", "softmax(axis = axis, x = turned)")
        LET(ROW32, "again", "transpose(perm = turn, x = soft)")
        "tensor<fp16, [1, 2, 1, 32]> left, tensor<fp16, [1, 2, 1, 32]> right = "
        "split(axis = axis, split_sizes = halves, x = again)[name = string(\"parts\")];\n"
        LET(ROW32, "joined",
            "concat(axis = axis, interleave = no, values = (right, left))")
        LET("tensor<fp16, [1, 1, 4, 32]>", "rows", "reshape(shape = square, x = joined)")
        LET("tensor<fp16, [1, 1, 4, 4]>", "scores",
            "matmul(transpose_x = no, transpose_y = yes, x = rows, y = rows)")
        LET("tensor<fp16, [1, 1, 4, 32]>", "product",
            "matmul(transpose_x = no, transpose_y = no, x = scores, y = rows)")
        LET(ROW32, "flat", "reshape(shape = form, x = product)")
        LET("tensor<fp16, [1, 4, 1, 1]>", "sums",
            "reduce_sum(axes = axes, keep_dims = yes, x = joined)")
        LET(ROW32, "chain_1", "mul(x = flat, y = sums)")
        LET(ROW32, "chain_2", "sigmoid(x = chain_1)")
        LET(ROW32, "out", "add(x = chain_2, y = mixed)"),
        "out");
/* clang-format on */

/* Every allocation of opening and of a larger load fails once. */
static void running_out_of_memory_leaves_nothing_half_made(void **state)
{
    bench *b = *state;
    device *d = NULL;
    dev_program *p = NULL;
    rc r = E_MEMORY;
    for (long n = 1; r != OK; n++) {
        mem_fail_at(n);
        r = dev_open(b->uri, b->k, &d);
        mem_fail_at(0);
        if (r != OK) assert_int_equal(r, E_MEMORY);
        assert_int_equal(r == OK, d != NULL);
    }
    r = E_MEMORY;
    for (long n = 1; r != OK; n++) {
        mem_fail_at(n);
        r = try_load(d, of_every_kind, NULL, 0, &p);
        mem_fail_at(0);
        if (r != OK) assert_int_equal(r, E_MEMORY);
        assert_int_equal(r == OK, p != NULL);
    }
    dev_surface *s = NULL;
    dev_shape shape = {MIL_FP16, 4, {1, 4, 1, 32}, 0};
    for (long n = 1; !s; n++) {
        mem_fail_at(n);
        r = dev_surface_new(d, &shape, &s);
        mem_fail_at(0);
        if (!s) assert_int_equal(r, E_MEMORY);
    }
    dev_drop(s);
    dev_unload(p);
    dev_close(d);
}

/* The first run may make scratch space; those after it take nothing. */
static void a_run_takes_no_memory(void **state)
{
    bench *b = *state;
    dev_program *p = load(b->d, of_every_kind);
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    put_ramp(x, 128, -1, 0x1p-6);
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    mem_fail_at(1);
    rc r = OK;
    for (int i = 0; i < 5 && r == OK; i++) r = run_and_wait(p, &x, 1, &y, 1, NULL);
    void *first = mem_take(1); /* fails if nothing was taken before */
    mem_fail_at(0);
    mem_drop(first);
    assert_int_equal(r, OK);
    assert_null(first);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

/* ---- URIs ---- */
static void unknown_uris_are_answered_with_what_there_is(void **state)
{
    static const struct {
        const char *uri, *part;
    } bad[] = {
        {"", "auto"},
        {"emo:m4", "did you mean 'emu:m4'"},
        {"cuda:0", "null:MODEL"},
        {"null", "there are"},
        {"emu:", "m3ultra"},
        {"emu:m44", "did you mean 'emu:m4'"},
        {"null:m9000", "m5pro"},
        {"emu:m4,fats", "did you mean 'fast'"},
        {"emu:m4,", "''"},
        {"emu:m4,isa=mmx", NULL},
        {"emu:m4,compiles=many", "whole number"},
        {"emu:m4,compiles=0", "compiles=none"},
        {"null:m4,compiles=-1", "whole number"},
        {"emu:m4,slots=0", "leave 'slots=' out"},
        {"null:m4,wide", "wide"},
        {"emu:m4,"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "too long"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        device *d = NULL;
        rc r = dev_open(bad[i].uri, NULL, &d);
        if (r == OK) fail_msg("'%s' was opened", bad[i].uri);
        assert_true(r == E_DEVICE || r == E_CONFIG);
        if (bad[i].part) assert_text_has(err_text(), bad[i].part);
        assert_null(d);
    }
}

static void every_chip_opens_on_every_software_driver(void **state)
{
    kern *k;
    assert_ok(kern_open(1, NULL, &k));
    for (size_t i = 0; i < dev_driver_count(); i++)
        for (size_t j = 0; j < dev_profile_count(); j++) {
            char uri[64];
            device *d;
            dev_caps caps;
            if (!str_ends(dev_driver_at(i)->form, ":MODEL")) continue;
            snprintf(uri, sizeof uri, "%s:%s", dev_driver_at(i)->name,
                     dev_profile_at(j)->name);
            assert_ok(dev_open(uri, k, &d));
            assert_ok(dev_caps_of(d, &caps));
            assert_ptr_equal(caps.profile, dev_profile_at(j));
            dev_close(d);
        }
    kern_close(k);
}

static void auto_says_what_it_took(void **state)
{
    device *d;
    dev_caps caps;
    assert_ok(dev_open("auto", NULL, &d));
    assert_ok(dev_caps_of(d, &caps));
    assert_true(str_starts(caps.uri, "emu:m4"));
    assert_true(caps.computes);
    dev_close(d);
}

static const check checks[] = {
    CHECK(its_caps_name_it),
    CHECK(a_device_opens_without_a_kern_of_the_caller),
    CHECK(ports_stand_in_alphabetical_order),
    CHECK(bad_programs_are_refused_with_a_place),
    CHECK(reload_changes_all_weights_or_none),
    CHECK(a_weight_past_the_end_is_refused),
    CHECK(two_programs_do_not_disturb_each_other),
    CHECK(unloading_frees_the_slot_but_not_the_compile_budget),
    CHECK(the_129th_loaded_program_is_refused),
    CHECK(it_says_what_it_supports),
    CHECK(running_out_of_memory_while_loading_is_an_error),
    CHECK(running_out_of_memory_leaves_nothing_half_made),
    CHECK(a_run_takes_no_memory),
};

int main(void)
{
    static const struct CMUnitTest once[] = {
        cmocka_unit_test(unknown_uris_are_answered_with_what_there_is),
        cmocka_unit_test(every_chip_opens_on_every_software_driver),
        cmocka_unit_test(auto_says_what_it_took),
    };
    const suite s = {checks, COUNT_OF(checks), never, expected_to_fail};
    return run_suite(&s, once, COUNT_OF(once));
}
