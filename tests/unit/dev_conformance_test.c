/* What any driver must keep of device.h, run against every software device.
 * A new driver adds its URI to `uris` and, where it cannot do something, a row
 * to one of the two lists below. */
#include <pthread.h>
#include <sys/wait.h>
#include "dev_help.h"
#include "base/arena.h"

static const char *const uris[] = {"null:m4", "emu:m4", "emu:m1,faithful", "emu:m4,wide",
                                   "emu:m4,isa=scalar"};

typedef struct {
    const char *uri, *test, *reason;
} exception;
/* Never supported: cannot be asked of that device. A URI may be a prefix. */
static const exception never[] = {
    {"null:", "a_surface_in_use_cannot_be_mapped", "runs end as soon as they begin"},
    {NULL, NULL, NULL},
};
/* Expected to fail: known faults. Each must still fail, so that a repaired one
 * is taken off the list. */
static const exception expected_to_fail[] = {
    {NULL, NULL, NULL},
};

typedef struct {
    const char *uri;
    kern *k;
    device *d;
    dev_caps caps;
} bench;

static device *open_with(const bench *b, const char *words)
{
    char uri[128];
    device *d = NULL;
    snprintf(uri, sizeof uri, "%s%s", b->uri, words);
    assert_ok(dev_open(uri, b->k, &d));
    return d;
}

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    if (!b) return -1;
    b->uri = *state;
    *state = b;
    if (kern_open(2, NULL, &b->k) != OK) return -1;
    if (dev_open(b->uri, b->k, &b->d) != OK) return -1;
    return dev_caps_of(b->d, &b->caps) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    bench *b = *state;
    dev_close(b->d);
    kern_close(b->k);
    free(b);
    return 0;
}

/* Results can only be asked of a device that computes. */
#define EXPECT_RAMP(b, s, n, first, step)                       \
    do {                                                        \
        if ((b)->caps.computes) assert_ramp(s, n, first, step); \
    } while (0)

#define ADD_ONE                                                                         \
    PROGRAM(ROW32 " in_a",                                                              \
            CONST("fp16", "one", "0x1p+0") LET(ROW32, "sum", "add(x = in_a, y = one)"), \
            "sum")
#define DOUBLE \
    PROGRAM(ROW32 " in_a", LET(ROW32, "twice", "add(x = in_a, y = in_a)"), "twice")

/* A few milliseconds of work: 64 products of 128 x 128, one after another. */
static dev_program *load_slow(device *d)
{
    str s = {0};
    str_add(
        &s,
        "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
        "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 1, 128, 128]> in_a) {\n"
        "bool no = const()[name = string(\"no\"), val = bool(false)];\n");
    for (int i = 0; i < 64; i++) {
        char from[16] = "in_a";
        if (i) snprintf(from, sizeof from, "mm_%d", i - 1);
        str_addf(&s,
                 "tensor<fp16, [1, 1, 128, 128]> mm_%d = matmul(transpose_x = no, "
                 "transpose_y = no, x = %s, y = in_a)[name = string(\"mm_%d\")];\n",
                 i, from, i);
    }
    str_add(&s, "} -> (mm_63); }\n");
    assert_ok(str_done(&s));
    dev_program *p = load(d, str_text(&s));
    str_free(&s);
    return p;
}

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
        {PROGRAM(ROW32 " in_a", LET(ROW32, "out", "cumsum(x = in_a)"), "out"), E_UNIMPL,
         "cumsum"},
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
    for (int i = 0; i < b->caps.compiles_max; i++) dev_unload(load(b->d, DOUBLE));
    assert_fails(try_load(b->d, DOUBLE, NULL, 0, &p), E_BUDGET, "119");
    assert_null(p);
    assert_ok(dev_sample_of(b->d, &reading));
    if (reading.valid & 1u << DEV_LOADS) assert_near(reading.value[DEV_LOADS], 119, 0);
    if (reading.valid & 1u << DEV_LOADED) assert_near(reading.value[DEV_LOADED], 0, 0);
}

static void the_129th_loaded_program_is_refused(void **state)
{
    bench *b = *state;
    dev_program *p[129];
    device *d = open_with(b, ",compiles=0");
    for (int i = 0; i < 128; i++) p[i] = load(d, DOUBLE);
    assert_fails(try_load(d, DOUBLE, NULL, 0, &p[128]), E_BUDGET, "128");
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

/* ---- surfaces ---- */
static void larger_surfaces_are_read_packed_from_byte_0(void **state)
{
    bench *b = *state;
    dev_program *p = load(b->d, ADD_ONE);
    dev_surface *x = surface(b->d, 8, 64, 0), *y = surface(b->d, 8, 64, 0);
    put_ramp(x, 512, 0, 1);
    put_ramp(y, 512, -1, 0);
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 1, 1);
    double rest[512];
    get_values(y, MIL_FP16, rest, 512);
    for (int i = 128; i < 512; i++) assert_near(rest[i], -1, 0);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

static void surfaces_that_do_not_fit_are_refused(void **state)
{
    bench *b = *state;
    dev_surface *s = NULL;
    dev_shape small = {MIL_FP16, 4, {1, 64, 1, 512}, 16384};
    assert_fails(dev_surface_new(b->d, &small, &s), E_SHAPE, "too small");
    dev_shape none = {MIL_FP16, 4, {1, 0, 1, 32}, 0};
    assert_fails(dev_surface_new(b->d, &none, &s), E_SHAPE, NULL);
    dev_shape deep = {MIL_FP16, 6, {1, 1, 1, 1, 1}, 0};
    assert_fails(dev_surface_new(b->d, &deep, &s), E_SHAPE, NULL);
    dev_shape huge = {MIL_FP16, 2, {INT64_MAX / 2, 16}, 0};
    assert_fails(dev_surface_new(b->d, &huge, &s), E_SHAPE, NULL);
    dev_shape word = {MIL_STRING, 1, {4}, 0};
    assert_fails(dev_surface_new(b->d, &word, &s), E_SHAPE, NULL);
    assert_null(s);
}

static void a_run_refuses_surfaces_that_are_not_its_own(void **state)
{
    bench *b = *state;
    uint64_t t;
    dev_program *p = load(b->d, DOUBLE);
    device *d2 = open_with(b, "");
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    dev_surface *foreign = surface(d2, 4, 32, 0);
    dev_surface *pair[2] = {x, y}, *nothing = NULL;
    assert_fails(dev_run(p, pair, 2, &y, 1, &t), E_DEVICE, "1 inputs");
    assert_fails(dev_run(p, &x, 1, pair, 0, &t), E_DEVICE, "1 outputs");
    assert_fails(dev_run(p, &nothing, 1, &y, 1, &t), E_DEVICE, NULL);
    assert_fails(dev_run(p, &x, 1, &foreign, 1, &t), E_DEVICE, "another device");
    dev_shape ints = {MIL_INT32, 4, {1, 4, 1, 32}, 49152};
    dev_surface *whole;
    assert_ok(dev_surface_new(b->d, &ints, &whole));
    assert_fails(dev_run(p, &whole, 1, &y, 1, &t), E_DEVICE, "int32");
    assert_int_equal(t, 0);
    dev_drop(whole);
    dev_drop(foreign);
    dev_close(d2);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

/* Refused when queued, or the run itself fails: never a read past the end. */
static void a_run_on_a_surface_too_small_fails(void **state)
{
    bench *b = *state;
    uint64_t t;
    dev_program *p = load(b->d, DOUBLE);
    dev_surface *full = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    dev_surface *little = surface(b->d, 4, 16, 128);
    for (int side = 0; side < 2; side++) {
        rc r = dev_run(p, side ? &full : &little, 1, side ? &little : &y, 1, &t);
        if (r == OK) r = dev_wait(b->d, t, NULL);
        assert_true(r == E_RULE || r == E_DEVICE);
    }
    dev_unload(p);
    dev_drop(full);
    dev_drop(y);
    dev_drop(little);
}

static void a_surface_is_mapped_once_at_a_time(void **state)
{
    bench *b = *state;
    void *p, *q;
    uint64_t t;
    dev_program *prog = load(b->d, DOUBLE);
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    assert_fails(dev_unmap(x), E_DEVICE, "not mapped");
    assert_ok(dev_map(y, &p));
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_fails(dev_map(y, &q), E_DEVICE, "mapped");
    assert_null(q);
    assert_fails(dev_run(prog, &x, 1, &y, 1, &t), E_DEVICE, "mapped");
    assert_ok(dev_unmap(y));
    assert_ok(run_and_wait(prog, &x, 1, &y, 1, NULL));
    dev_unload(prog);
    dev_drop(x);
    dev_drop(y);
}

static void a_surface_in_use_cannot_be_mapped(void **state)
{
    bench *b = *state;
    uint64_t t = 0;
    void *p;
    dev_program *slow = load_slow(b->d);
    dev_surface *x = surface(b->d, 128, 128, 0), *y = surface(b->d, 128, 128, 0);
    put_ramp(x, 128 * 128, 0, 0);
    int refused = 0;
    /* The machine may look away for longer than the runs take: try again. */
    for (int turn = 0; turn < 20 && !refused; turn++) {
        for (int i = 0; i < 20; i++) assert_ok(dev_run(slow, &x, 1, &y, 1, &t));
        if (dev_map(y, &p) == OK) assert_ok(dev_unmap(y));
        else refused = 1, assert_text_has(err_text(), "in flight");
        assert_ok(dev_wait(b->d, t, NULL));
        assert_ok(dev_map(y, &p));
        assert_ok(dev_unmap(y));
    }
    assert_true(refused);
    dev_unload(slow);
    dev_drop(x);
    dev_drop(y);
}

static void an_output_may_be_the_input(void **state)
{
    bench *b = *state;
    uint64_t t = 0;
    dev_program *p = load(b->d, ADD_ONE);
    dev_surface *x = surface(b->d, 4, 32, 0);
    put_ramp(x, 128, 0, 1);
    for (int i = 0; i < 10; i++) assert_ok(dev_run(p, &x, 1, &x, 1, &t));
    assert_ok(dev_wait(b->d, t, NULL));
    EXPECT_RAMP(b, x, 128, 10, 1);
    dev_unload(p);
    /* Also where one element is needed after its place was written. */
    p = load(b->d, PROGRAM(ROW32 " in_a",
                           CONST("tensor<int32, [4]>", "order", "[0, 3, 2, 1]")
                               CONST("tensor<int32, [4]>", "form", "[1, 4, 1, 32]") LET(
                                   "tensor<fp16, [1, 32, 1, 4]>", "turned",
                                   "transpose(perm = order, x = in_a)")
                                   LET(ROW32, "out", "reshape(shape = form, x = turned)"),
                           "out"));
    put_ramp(x, 128, 0, 1);
    assert_ok(run_and_wait(p, &x, 1, &x, 1, NULL));
    double v[128];
    get_values(x, MIL_FP16, v, 128);
    for (int i = 0; i < 128 && b->caps.computes; i++)
        assert_near(v[i], i % 4 * 32 + i / 4, 0);
    dev_unload(p);
    dev_drop(x);
}

static void two_outputs_cannot_share_a_surface(void **state)
{
    bench *b = *state;
    uint64_t t;
    dev_program *p = load(b->d, PROGRAM(ROW32 " in_a",
                                        LET(ROW32, "out_a", "relu(x = in_a)")
                                            LET(ROW32, "out_b", "abs(x = in_a)"),
                                        "out_a, out_b"));
    dev_surface *x = surface(b->d, 4, 32, 0), *y = surface(b->d, 4, 32, 0);
    dev_surface *twice[2] = {y, y};
    assert_fails(dev_run(p, &x, 1, twice, 2, &t), E_DEVICE, "one surface");
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
}

/* ---- runs ---- */
static void each_ticket_has_its_own_result(void **state)
{
    bench *b = *state;
    device *d = open_with(b, ",fail=2");
    dev_program *p = load(d, DOUBLE);
    dev_surface *x = surface(d, 4, 32, 0), *y[3];
    uint64_t t[3];
    dev_stats stats;
    put_ramp(x, 128, 0, 1);
    for (int i = 0; i < 3; i++) {
        y[i] = surface(d, 4, 32, 0);
        assert_ok(dev_run(p, &x, 1, &y[i], 1, &t[i]));
    }
    assert_ok(dev_wait(d, t[2], &stats));
    assert_true(stats.ms >= 0);
    assert_fails(dev_wait(d, t[1], NULL), E_DEVICE, NULL);
    assert_ok(dev_wait(d, t[0], NULL));
    /* Waiting again gives the same answer, or says that it is gone. */
    assert_true(dev_wait(d, t[1], NULL) == E_DEVICE);
    rc again = dev_wait(d, t[0], NULL);
    assert_true(again == OK || again == E_DEVICE);
    assert_fails(dev_wait(d, t[2] + 1000, NULL), E_DEVICE, NULL);
    assert_fails(dev_wait(d, 0, NULL), E_DEVICE, NULL);
    EXPECT_RAMP(b, y[0], 128, 0, 2);
    EXPECT_RAMP(b, y[2], 128, 0, 2);
    dev_unload(p);
    dev_drop(x);
    for (int i = 0; i < 3; i++) dev_drop(y[i]);
    dev_close(d);
}

static void outputs_of_a_failed_run_are_invalid_until_written(void **state)
{
    bench *b = *state;
    device *d = open_with(b, ",fail=1");
    dev_program *p = load(d, DOUBLE);
    dev_surface *x = surface(d, 4, 32, 0), *y = surface(d, 4, 32, 0),
                *z = surface(d, 4, 32, 0);
    uint64_t t[2];
    void *host;
    put_ramp(x, 128, 1, 0);
    assert_ok(dev_run(p, &x, 1, &y, 1, &t[0]));
    assert_ok(dev_run(p, &y, 1, &z, 1, &t[1])); /* on what the first should have made */
    assert_fails(dev_wait(d, t[0], NULL), E_DEVICE, NULL);
    assert_fails(dev_wait(d, t[1], NULL), E_DEVICE, NULL);
    assert_fails(dev_map(y, &host), E_DEVICE, "failed");
    assert_fails(dev_map(z, &host), E_DEVICE, "failed");
    assert_ok(dev_map(x, &host)); /* its input is as it was */
    assert_ok(dev_unmap(x));
    assert_ok(run_and_wait(p, &x, 1, &y, 1, NULL));
    EXPECT_RAMP(b, y, 128, 2, 0);
    assert_fails(dev_map(z, &host), E_DEVICE, "failed");
    assert_ok(run_and_wait(p, &y, 1, &z, 1, NULL));
    EXPECT_RAMP(b, z, 128, 4, 0);
    dev_unload(p);
    dev_drop(x);
    dev_drop(y);
    dev_drop(z);
    dev_close(d);
}

/* 400 runs on two surfaces, far more than the queue holds; each reads what the
 * one before wrote, so one out of order would show. */
static void runs_start_in_the_order_queued(void **state)
{
    bench *b = *state;
    uint64_t t[400];
    dev_program *p = load(b->d, ADD_ONE), *q = load(b->d, DOUBLE);
    dev_surface *s[2] = {surface(b->d, 4, 32, 0), surface(b->d, 4, 32, 0)};
    put_ramp(s[0], 128, 0, 1);
    for (int i = 0; i < 400; i++) {
        assert_ok(dev_run(i == 100 ? q : p, &s[i % 2], 1, &s[(i + 1) % 2], 1, &t[i]));
        if (i) assert_true(t[i] > t[i - 1]);
    }
    for (int i = 399; i >= 0; i -= 7) assert_ok(dev_wait(b->d, t[i], NULL));
    EXPECT_RAMP(b, s[0], 128, 2 * 100 + 299, 2); /* (i + 100) * 2 + 299 */
    dev_unload(p);
    dev_unload(q);
    dev_drop(s[0]);
    dev_drop(s[1]);
}

static void letting_go_with_runs_in_flight_does_not_hang(void **state)
{
    bench *b = *state;
    for (int order = 0; order < 3; order++) {
        device *d = open_with(b, "");
        dev_program *slow = load_slow(d);
        dev_surface *x = surface(d, 128, 128, 0), *y = surface(d, 128, 128, 0);
        uint64_t t;
        put_ramp(x, 128 * 128, 0, 0);
        for (int i = 0; i < 10; i++) assert_ok(dev_run(slow, &x, 1, &y, 1, &t));
        if (order == 0) dev_unload(slow);
        dev_drop(order == 1 ? y : x);
        dev_drop(order == 1 ? x : y);
        if (order) dev_unload(slow);
        dev_close(d);
    }
}

static void stats_and_readings_are_of_this_device(void **state)
{
    bench *b = *state;
    dev_stats stats;
    dev_sample before, after;
    dev_program *slow = load_slow(b->d);
    dev_surface *x = surface(b->d, 128, 128, 0), *y = surface(b->d, 128, 128, 0);
    put_ramp(x, 128 * 128, 0, 0);
    assert_ok(dev_sample_of(b->d, &before));
    assert_ok(run_and_wait(slow, &x, 1, &y, 1, &stats));
    if (b->caps.computes) assert_near(stats.flops, 64 * 2 * pow(128, 3), 0);
    assert_int_equal(stats.infinities, 0);
    assert_ok(dev_sample_of(b->d, &after));
    assert_false(after.valid & 1u << DEV_WATTS); /* nothing measures it here */
    assert_near(after.value[DEV_WATTS], 0, 0);
    if (after.valid & 1u << DEV_BUSY)
        assert_true(after.value[DEV_BUSY] >= 0 && after.value[DEV_BUSY] <= 1);
    dev_unload(slow);
    dev_drop(x);
    dev_drop(y);
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
#define OF_EVERY_KIND                                                                                                   \
    PROGRAM(                                                                                                            \
        ROW32 " in_a",                                                                                                  \
        CONST("int32", "axis", "1") CONST("bool", "no", "false") CONST(                                                 \
            "tensor<int32, [4]>", "turn", "[0, 3, 2, 1]") CONST("tensor<int32, [2]>",                                   \
                                                                "halves", "[2, 2]")                                     \
            CONST("tensor<fp16, [4, 4, 1, 3]>", "weight", "0x1p-4") CONST(                                              \
                "string", "same",                                                                                       \
                "\"same\"") CONST("tensor<int32, [1]>", "axes",                                                         \
                                  "[3]") LET(ROW32, "mixed",                                                            \
                                             "conv(pad_type = same, weight = weight, x "                                \
                                             "= in_a)") LET("tensor<fp16, [1, 32, 1, "                                  \
                                                            "4]>",                                                      \
                                                            "turned",                                                   \
                                                            "transpose(perm = turn, x "                                 \
                                                            "= mixed)") LET("tensor<"                                   \
                                                                            "fp16, [1, "                                \
                                                                            "32, 1, "                                   \
                                                                            "4]>",                                      \
                                                                            "soft",                                     \
                                                                            "softmax("                                  \
                                                                            "axis = "                                   \
                                                                            "axis, x = "                                \
                                                                            "turned)")                                  \
                LET(ROW32, "again",                                                                                     \
                    "transpose(perm = turn, x = soft)") "tensor<fp16, [1, 2, 1, 32]> "                                  \
                                                        "left, tensor<fp16, [1, 2, 1, "                                 \
                                                        "32]> right = "                                                 \
                                                        "split(axis = axis, "                                           \
                                                        "split_sizes = halves, x = "                                    \
                                                        "again)[name = "                                                \
                                                        "string(\"p\")];\n" LET(                                        \
                                                            ROW32, "joined",                                            \
                                                            "concat(axis = axis, "                                      \
                                                            "interleave = no, values = "                                \
                                                            "(right, left))") CONST("bo"                                \
                                                                                    "o"                                 \
                                                                                    "l",                                \
                                                                                    "ye"                                \
                                                                                    "s",                                \
                                                                                    "tr"                                \
                                                                                    "u"                                 \
                                                                                    "e")                                \
                                                            CONST(                                                      \
                                                                "tensor<int32, [4]>",                                   \
                                                                "form",                                                 \
                                                                "[1, 4, 1, 32]") CONST("tensor<int32, [4]>",            \
                                                                                       "square",                        \
                                                                                       "[1, 1, 4, 32]")                 \
                                                                LET("tensor<fp16, [1, "                                 \
                                                                    "1, 4, 32]>",                                       \
                                                                    "rows",                                             \
                                                                    "reshape(shape = "                                  \
                                                                    "square, x = "                                      \
                                                                    "joined)") LET("ten"                                \
                                                                                   "sor"                                \
                                                                                   "<fp"                                \
                                                                                   "16,"                                \
                                                                                   " ["                                 \
                                                                                   "1, "                                \
                                                                                   "1, "                                \
                                                                                   "4, "                                \
                                                                                   "4]"                                 \
                                                                                   ">",                                 \
                                                                                   "sco"                                \
                                                                                   "re"                                 \
                                                                                   "s",                                 \
                                                                                   "mat"                                \
                                                                                   "mul"                                \
                                                                                   "(tr"                                \
                                                                                   "ans"                                \
                                                                                   "pos"                                \
                                                                                   "e_"                                 \
                                                                                   "x "                                 \
                                                                                   "= "                                 \
                                                                                   "no,"                                \
                                                                                   " tr"                                \
                                                                                   "ans"                                \
                                                                                   "pos"                                \
                                                                                   "e_"                                 \
                                                                                   "y "                                 \
                                                                                   "= "                                 \
                                                                                   "yes"                                \
                                                                                   ", "                                 \
                                                                                   "x "                                 \
                                                                                   "= "                                 \
                                                                                   "row"                                \
                                                                                   "s, "                                \
                                                                                   "y "                                 \
                                                                                   "= "                                 \
                                                                                   "row"                                \
                                                                                   "s)")                                \
                                                                    LET("tensor<fp16, "                                 \
                                                                        "[1, 1, 4, "                                    \
                                                                        "32]>",                                         \
                                                                        "product",                                      \
                                                                        "matmul("                                       \
                                                                        "transpose_x = "                                \
                                                                        "no, "                                          \
                                                                        "transpose_y = "                                \
                                                                        "no, x = "                                      \
                                                                        "scores, y = "                                  \
                                                                        "rows)") LET(ROW32,                             \
                                                                                     "f"                                \
                                                                                     "l"                                \
                                                                                     "a"                                \
                                                                                     "t",                               \
                                                                                     "r"                                \
                                                                                     "e"                                \
                                                                                     "s"                                \
                                                                                     "h"                                \
                                                                                     "a"                                \
                                                                                     "p"                                \
                                                                                     "e"                                \
                                                                                     "("                                \
                                                                                     "s"                                \
                                                                                     "h"                                \
                                                                                     "a"                                \
                                                                                     "p"                                \
                                                                                     "e"                                \
                                                                                     " "                                \
                                                                                     "="                                \
                                                                                     " "                                \
                                                                                     "f"                                \
                                                                                     "o"                                \
                                                                                     "r"                                \
                                                                                     "m"                                \
                                                                                     ","                                \
                                                                                     " "                                \
                                                                                     "x"                                \
                                                                                     " "                                \
                                                                                     "="                                \
                                                                                     " "                                \
                                                                                     "p"                                \
                                                                                     "r"                                \
                                                                                     "o"                                \
                                                                                     "d"                                \
                                                                                     "u"                                \
                                                                                     "c"                                \
                                                                                     "t"                                \
                                                                                     ")")                               \
                                                                        LET("tensor<"                                   \
                                                                            "fp16, [1, "                                \
                                                                            "4, 1, 1]>",                                \
                                                                            "sums",                                     \
                                                                            "reduce_"                                   \
                                                                            "sum(axes "                                 \
                                                                            "= axes, "                                  \
                                                                            "keep_dims "                                \
                                                                            "= yes, x "                                 \
                                                                            "= joined)")                                \
                                                                            LET(ROW32,                                  \
                                                                                "chain_"                                \
                                                                                "1",                                    \
                                                                                "mul(x "                                \
                                                                                "= "                                    \
                                                                                "flat, "                                \
                                                                                "y = "                                  \
                                                                                "sums)")                                \
                                                                                LET(ROW32,                              \
                                                                                    "ch"                                \
                                                                                    "ai"                                \
                                                                                    "n_"                                \
                                                                                    "2",                                \
                                                                                    "si"                                \
                                                                                    "gm"                                \
                                                                                    "oi"                                \
                                                                                    "d("                                \
                                                                                    "x "                                \
                                                                                    "= "                                \
                                                                                    "ch"                                \
                                                                                    "ai"                                \
                                                                                    "n_"                                \
                                                                                    "1"                                 \
                                                                                    ")")                                \
                                                                                    LET(ROW32,                          \
                                                                                        "out",                          \
                                                                                        "add(x = chain_2, y = mixed)"), \
        "out")

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
        r = try_load(d, OF_EVERY_KIND, NULL, 0, &p);
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
    dev_program *p = load(b->d, OF_EVERY_KIND);
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

/* ---- threads ---- */
typedef struct {
    const bench *b;
    double first, *got;
    rc code;
} worker;

static rc count_up(const worker *w, device *d)
{
    dev_source src = {"count", ADD_ONE, strlen(ADD_ONE), NULL, 0};
    dev_shape shape = {MIL_FP16, 4, {1, 4, 1, 32}, 49152};
    dev_program *p;
    dev_surface *s[2];
    uint64_t t = 0;
    void *host;
    TRY(dev_load(d, &src, &p));
    for (int i = 0; i < 2; i++) TRY(dev_surface_new(d, &shape, &s[i]));
    TRY(dev_map(s[0], &host));
    for (int i = 0; i < 128; i++) ((half *)host)[i] = half_from_double(w->first + i);
    TRY(dev_unmap(s[0]));
    for (int i = 0; i < 200; i++) TRY(dev_run(p, &s[i % 2], 1, &s[(i + 1) % 2], 1, &t));
    TRY(dev_wait(d, t, NULL));
    TRY(dev_map(s[0], &host));
    for (int i = 0; i < 128; i++) w->got[i] = half_to_double(((half *)host)[i]);
    TRY(dev_unmap(s[0]));
    dev_unload(p);
    for (int i = 0; i < 2; i++) dev_drop(s[i]);
    return OK;
}

static void *own_device(void *ctx)
{
    worker *w = ctx;
    device *d;
    w->code = dev_open(w->b->uri, w->b->k, &d);
    if (w->code != OK) return NULL;
    w->code = count_up(w, d);
    dev_close(d);
    return NULL;
}

static void *shared_device(void *ctx)
{
    worker *w = ctx;
    w->code = count_up(w, w->b->d);
    return NULL;
}

static void in_two_threads(const bench *b, void *(*body)(void *))
{
    double got[2][128];
    worker w[2] = {{b, 0, got[0], OK}, {b, 1000, got[1], OK}};
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, body, &w[1]), 0);
    body(&w[0]);
    pthread_join(other, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w[i].code, OK);
        for (int j = 0; j < 128 && b->caps.computes; j++)
            assert_near(got[i][j], w[i].first + 200 + j, 0);
    }
}

static void two_devices_run_in_two_threads(void **state)
{
    in_two_threads(*state, own_device);
}

static void one_device_serves_two_threads(void **state)
{
    in_two_threads(*state, shared_device);
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
        {"emu:m4,fats", "did you mean fast"},
        {"emu:m4,", "''"},
        {"emu:m4,isa=mmx", NULL},
        {"emu:m4,compiles=many", "whole number"},
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

/* ---- the suite ---- */
#define CHECK(f) \
    {            \
#f, f    \
    }
static const struct {
    const char *name;
    void (*body)(void **);
} checks[] = {
    CHECK(its_caps_name_it),
    CHECK(a_device_opens_without_a_kern_of_the_caller),
    CHECK(ports_stand_in_alphabetical_order),
    CHECK(bad_programs_are_refused_with_a_place),
    CHECK(reload_changes_all_weights_or_none),
    CHECK(a_weight_past_the_end_is_refused),
    CHECK(two_programs_do_not_disturb_each_other),
    CHECK(unloading_frees_the_slot_but_not_the_compile_budget),
    CHECK(the_129th_loaded_program_is_refused),
    CHECK(larger_surfaces_are_read_packed_from_byte_0),
    CHECK(surfaces_that_do_not_fit_are_refused),
    CHECK(a_run_refuses_surfaces_that_are_not_its_own),
    CHECK(a_run_on_a_surface_too_small_fails),
    CHECK(a_surface_is_mapped_once_at_a_time),
    CHECK(a_surface_in_use_cannot_be_mapped),
    CHECK(an_output_may_be_the_input),
    CHECK(two_outputs_cannot_share_a_surface),
    CHECK(each_ticket_has_its_own_result),
    CHECK(outputs_of_a_failed_run_are_invalid_until_written),
    CHECK(runs_start_in_the_order_queued),
    CHECK(letting_go_with_runs_in_flight_does_not_hang),
    CHECK(stats_and_readings_are_of_this_device),
    CHECK(it_says_what_it_supports),
    CHECK(running_out_of_memory_while_loading_is_an_error),
    CHECK(running_out_of_memory_leaves_nothing_half_made),
    CHECK(a_run_takes_no_memory),
    CHECK(two_devices_run_in_two_threads),
    CHECK(one_device_serves_two_threads),
};
enum { CHECKS = COUNT_OF(checks), URIS = COUNT_OF(uris) };

static bool listed(const exception *list, const char *uri, const char *test)
{
    for (; list->uri; list++)
        if (str_starts(uri, list->uri) && !strcmp(list->test, test)) return true;
    return false;
}

/* Runs a check in a process of its own, where it must fail. */
typedef struct {
    const char *uri;
    int check;
} doubtful;
static void fails_as_expected(void **state)
{
    const doubtful *it = *state;
    pid_t child = fork();
    if (child == 0) {
        const struct CMUnitTest one[] = {{checks[it->check].name, checks[it->check].body,
                                          set_up, tear_down, (void *)it->uri}};
        _exit(cmocka_run_group_tests(one, NULL, NULL) ? 1 : 0);
    }
    int status = 0;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status == 0)
        fail_msg("%s passes %s: take it off the list", it->uri, checks[it->check].name);
}

/* A row that names no device or no test guards nothing. */
static void the_lists_name_what_exists(void **state)
{
    const exception *lists[] = {never, expected_to_fail};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (const exception *e = lists[i]; e->uri; e++) {
            bool uri = false, test = false;
            for (int u = 0; u < URIS; u++) uri |= str_starts(uris[u], e->uri);
            for (int c = 0; c < CHECKS; c++) test |= !strcmp(checks[c].name, e->test);
            assert_true(uri && test && *e->reason);
        }
}

int main(void)
{
    static const struct CMUnitTest once[] = {
        cmocka_unit_test(unknown_uris_are_answered_with_what_there_is),
        cmocka_unit_test(every_chip_opens_on_every_software_driver),
        cmocka_unit_test(auto_says_what_it_took),
        cmocka_unit_test(the_lists_name_what_exists),
    };
    static struct CMUnitTest tests[COUNT_OF(once) + (size_t)CHECKS * URIS];
    static char names[CHECKS * URIS][128];
    static doubtful doubts[CHECKS * URIS];
    size_t n = COUNT_OF(once);
    alarm(300); /* a queue that hangs must end the test, not the day */
    memcpy(tests, once, sizeof once);
    for (int u = 0; u < URIS; u++)
        for (int c = 0; c < CHECKS; c++) {
            char *name = names[u * CHECKS + c];
            doubtful *doubt = &doubts[u * CHECKS + c];
            if (listed(never, uris[u], checks[c].name)) continue;
            snprintf(name, sizeof names[0], "%s: %s", uris[u], checks[c].name);
            *doubt = (doubtful){uris[u], c};
            tests[n++] = listed(expected_to_fail, uris[u], checks[c].name)
                             ? (struct CMUnitTest){name, fails_as_expected, NULL, NULL,
                                                   doubt}
                             : (struct CMUnitTest){name, checks[c].body, set_up,
                                                   tear_down, (void *)uris[u]};
        }
    return _cmocka_run_group_tests("device", tests, n, NULL, NULL);
}
