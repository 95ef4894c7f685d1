/* Near the cliffs: what the engine makes infinite, from where on, and that no
 * infinity vanishes uncounted. Numbers are device results published by ANEForge
 * (rooflines, issue 115) and the ane-guide. */
#include "dev_help.h"

enum { N = 128 };
static kern *pool;

static int open_pool(void **state)
{
    return kern_open(2, NULL, &pool) != OK;
}

static int close_pool(void **state)
{
    kern_close(pool);
    return 0;
}

/* One run of `text` on `uri`: n_in fp16 inputs in binding order, one output. */
typedef struct {
    const char *uri, *text;
    const double *in[2];
    size_t n_in[2];
    double out[N];
    dev_stats stats;
} once;

static void run_once(once *o)
{
    device *d;
    dev_ports ports;
    dev_surface *in[2], *out;
    assert_ok(dev_open(o->uri, pool, &d));
    dev_program *p = load(d, o->text);
    assert_ok(dev_ports_of(p, &ports));
    for (int i = 0; i < ports.n_in; i++) {
        in[i] = surface_of(d, &ports.in[i].type);
        put_values(in[i], ports.in[i].type.dtype, o->in[i], o->n_in[i]);
    }
    out = surface_of(d, &ports.out[0].type);
    assert_ok(run_and_wait(p, in, ports.n_in, &out, 1, &o->stats));
    get_values(out, ports.out[0].type.dtype, o->out,
               (size_t)mil_count(&ports.out[0].type));
    dev_unload(p);
    for (int i = 0; i < ports.n_in; i++) dev_drop(in[i]);
    dev_drop(out);
    dev_close(d);
}

/* ---- products: the accumulator decides, from 32768 on ---- */
static const struct {
    double sum, stored;
} cliff[] = {
    {32000, 32000},      {32752, 32752}, /* the largest result seen on hardware */
    {32764, 32768},                      /* below the cliff, rounds up to it */
    {32768, INFINITY},   {40000, INFINITY}, {65504, INFINITY},
    {-32000, -32000},    {-32752, -32752},  {-32768, -INFINITY},
    {-40000, -INFINITY}, {16, 16},          {0, 0},
};
enum { CLIFF = COUNT_OF(cliff), CLIFF_INF = 5 };

/* Column i, times two, sums to cliff[i]: the most of its half that fp16 can hold,
 * and what is missing; a sum that is over the edge on its way stays there. */
static void cliff_columns(double *x)
{
    for (int i = 0; i < 32; i++) {
        double sum = i < CLIFF ? cliff[i].sum / 2 : 0;
        half most = half_from_double(sum);
        if (fabs(half_to_double(most)) > fabs(sum)) most--;
        x[i] = half_to_double(most);
        x[32 + i] = sum - x[i];
    }
}

static void assert_cliff(const char *uri, const double *y, const dev_stats *s, int rows)
{
    bool wide = strstr(uri, "wide") != NULL;
    for (int i = 0; i < CLIFF * rows; i++) {
        int c = i % CLIFF;
        double want = wide ? half_to_double(half_from_double(cliff[c].sum))
                           : cliff[c].stored;
        double had = y[i / CLIFF * 32 + c];
        if (had != want)
            fail_msg("%s: %g gave %g, wanted %g", uri, cliff[c].sum, had, want);
    }
    assert_int_equal(s->infinities, wide ? 0 : CLIFF_INF * rows);
}

#define NO CONST("bool", "no", "false")
#define YES CONST("bool", "yes", "true")
static const char *const engines[] = {
    "emu:m4,isa=scalar", "emu:m4,isa=avx2", "emu:m4,isa=avx512",
    "emu:m4,isa=neon",   "emu:m1",          "emu:m6,faithful",
    "emu:m4,wide",       "emu:m4,exact"};

static bool can_open(const char *uri)
{
    device *d;
    if (dev_open(uri, pool, &d) != OK) return false; /* another processor's set */
    dev_close(d);
    return true;
}

static void products_from_32768_on_are_infinite(void **state)
{
    static const struct {
        const char *text;
        int rows;
    } forms[] = {
        {PROGRAM("tensor<fp16, [1, 1, 4, 2]> in_a, tensor<fp16, [1, 1, 2, 32]> in_b",
                 NO LET("tensor<fp16, [1, 1, 4, 32]>", "out",
                        "matmul(transpose_x = no, transpose_y = no, x = in_a, y = in_b)"),
                 "out"),
         4},
        {PROGRAM("tensor<fp16, [1, 1, 2, 4]> in_a, tensor<fp16, [1, 1, 2, 32]> in_b",
                 NO YES LET(
                     "tensor<fp16, [1, 1, 4, 32]>", "out",
                     "matmul(transpose_x = yes, transpose_y = no, x = in_a, y = in_b)"),
                 "out"),
         4},
    };
    double two[8] = {2, 2, 2, 2, 2, 2, 2, 2}, x[64];
    cliff_columns(x);
    for (size_t u = 0; u < COUNT_OF(engines); u++)
        for (size_t f = 0; f < COUNT_OF(forms); f++) {
            if (!can_open(engines[u])) continue;
            once o = {.uri = engines[u],
                      .text = forms[f].text,
                      .in = {two, x},
                      .n_in = {8, 64}};
            run_once(&o);
            assert_cliff(engines[u], o.out, &o.stats, forms[f].rows);
        }
}

static void convolutions_from_32768_on_are_infinite(void **state)
{
    static const char *const forms[] = {
        PROGRAM("tensor<fp16, [1, 2, 1, 32]> in_a",
                CONST("tensor<fp16, [4, 2, 1, 1]>", "weight", "0x1p+1")
                    LET("tensor<fp16, [1, 4, 1, 32]>", "out",
                        "conv(weight = weight, x = in_a)"),
                "out"),
        /* linear sees the sums as rows: [32, 2] W^T with W [4, 2] */
        PROGRAM("tensor<fp16, [1, 2, 1, 32]> in_a",
                CONST("tensor<int32, [2]>", "flat", "[2, 32]")
                    CONST("tensor<int32, [2]>", "turn", "[1, 0]")
                        CONST("tensor<int32, [4]>", "form", "[1, 4, 1, 32]")
                            CONST("tensor<fp16, [4, 2]>", "weight", "0x1p+1")
                                LET("tensor<fp16, [2, 32]>", "rows",
                                    "reshape(shape = flat, x = in_a)")
                                    LET("tensor<fp16, [32, 2]>", "cols",
                                        "transpose(perm = turn, x = rows)")
                                        LET("tensor<fp16, [32, 4]>", "made",
                                            "linear(weight = weight, x = cols)")
                                            LET("tensor<fp16, [4, 32]>", "back",
                                                "transpose(perm = turn, x = made)")
                                                LET("tensor<fp16, [1, 4, 1, 32]>", "out",
                                                    "reshape(shape = form, x = back)"),
                "out"),
    };
    double x[64];
    cliff_columns(x);
    for (size_t u = 0; u < COUNT_OF(engines); u++)
        for (size_t f = 0; f < COUNT_OF(forms); f++) {
            if (!can_open(engines[u])) continue;
            once o = {
                .uri = engines[u], .text = forms[f], .in = {x, NULL}, .n_in = {64, 0}};
            run_once(&o);
            assert_cliff(engines[u], o.out, &o.stats, 4);
        }
}

/* The bias is part of the accumulator: 32000 + 800 is over the edge. */
static void a_bias_counts_towards_the_cliff(void **state)
{
    const char *text = PROGRAM(
        "tensor<fp16, [1, 2, 1, 32]> in_a",
        CONST("tensor<fp16, [4, 2, 1, 1]>", "weight", "0x1p+0")
            CONST("tensor<fp16, [4]>", "bias", "[0, 752, 768, -768]")
                LET("tensor<fp16, [1, 4, 1, 32]>", "out",
                    "conv(bias = bias, weight = weight, x = in_a)"),
        "out");
    double x[64];
    for (int i = 0; i < 64; i++) x[i] = 16000;
    once o = {.uri = "emu:m4", .text = text, .in = {x, NULL}, .n_in = {64, 0}};
    run_once(&o);
    const double want[4] = {32000, 32752, INFINITY, 31232};
    for (int i = 0; i < 4 * 32; i++) assert_near(o.out[i], want[i / 32], 0);
    assert_int_equal(o.stats.infinities, 32);
}

/* ---- elementwise: up to 65504 ---- */
#define TWO_IN ROW32 " in_a, " ROW32 " in_b"
static void elementwise_ops_reach_65504(void **state)
{
    static const struct {
        const char *op;
        double x, y, want;
    } cases[] = {
        {"add", 65504, 0, 65504},
        {"add", 40000, 25504, 65504},
        {"add", 65504, 8, 65504},
        {"add", 65504, 16, INFINITY},
        {"add", 60000, 6000, INFINITY},
        {"sub", -60000, 6000, -INFINITY},
        {"sub", 65504, 65504, 0},
        {"mul", 256, 255, 65280},
        {"mul", 256, 256, INFINITY},
        {"mul", -256, 256, -INFINITY},
        {"real_div", 64, 0.0009765625, INFINITY},
        {"real_div", 32, 0.0009765625, 32768}, /* no cliff here */
        {"pow", 181, 2, 32768},
        {"pow", 300, 2, INFINITY},
        {"maximum", 65504, -65504, 65504},
    };
    double x[N], y[N];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 PROGRAM(TWO_IN, LET(ROW32, "out", "%s(x = in_a, y = in_b)"), "out"),
                 cases[i].op);
        for (int k = 0; k < N; k++) x[k] = cases[i].x, y[k] = cases[i].y;
        once o = {.uri = "emu:m4", .text = text, .in = {x, y}, .n_in = {N, N}};
        run_once(&o);
        for (int k = 0; k < N; k++)
            if (o.out[k] != cases[i].want)
                fail_msg("%s(%g, %g) gave %g, wanted %g", cases[i].op, cases[i].x,
                         cases[i].y, o.out[k], cases[i].want);
        assert_int_equal(o.stats.infinities, isinf(cases[i].want) ? N : 0);
    }
}

/* The first infinity of exp was measured at 11.094 on an M1 (ane-guide). */
static void exp_overflows_at_11_094(void **state)
{
    double x[N] = {11.0859375, 11.09375, -20, 0};
    once o = {.uri = "emu:m1",
              .text = PROGRAM(ROW32 " in_a", LET(ROW32, "out", "exp(x = in_a)"), "out"),
              .in = {x, NULL},
              .n_in = {N, 0}};
    run_once(&o);
    assert_near(o.out[0], exp(11.0859375), 32); /* one step of fp16 there */
    assert_true(isinf(o.out[1]));
    assert_near(o.out[3], 1, 0);
    assert_int_equal(o.stats.infinities, 1);
}

static void sums_overflow_after_65504(void **state)
{
    double x[N] = {0};
    x[0] = 40000, x[32] = 25504;                 /* 65504 */
    x[1] = 40000, x[33] = 40000;                 /* over */
    x[2] = 60000, x[34] = 60000, x[66] = -60000; /* over only on its way */
    once o = {.uri = "emu:m4",
              .text = PROGRAM(ROW32 " in_a",
                              CONST("tensor<int32, [1]>", "axes", "[1]") YES LET(
                                  "tensor<fp16, [1, 1, 1, 32]>", "out",
                                  "reduce_sum(axes = axes, keep_dims = yes, x = in_a)"),
                              "out"),
              .in = {x, NULL},
              .n_in = {N, 0}};
    run_once(&o);
    assert_near(o.out[0], 65504, 0);
    assert_true(isinf(o.out[1]));
    assert_near(o.out[2], 60000, 32);
    assert_int_equal(o.stats.infinities, 1);
}

/* ---- the crop unit of M1 and M2 ---- */
#define CUT(from)                                                            \
    PROGRAM("tensor<fp16, [1, 4, 1, 64]> in_a",                              \
            CONST("tensor<int32, [4]>", "at", from)                          \
                CONST("tensor<int32, [4]>", "size", "[1, 2, 1, 32]")         \
                    LET("tensor<fp16, [1, 2, 1, 32]>", "out",                \
                        "slice_by_size(begin = at, size = size, x = in_a)"), \
            "out")
static void width_slices_clamp_on_old_chips_only(void **state)
{
    static const struct {
        const char *uri, *text;
        bool clamps;
    } cases[] = {
        {"emu:m1", CUT("[0, 0, 0, 32]"), true},
        {"emu:m2max", CUT("[0, 1, 0, 1]"), true},
        {"emu:m1,faithful", CUT("[0, 0, 0, 7]"), true},
        {"emu:m1", CUT("[0, 0, 0, 0]"), false},
        {"emu:m1", CUT("[0, 2, 0, 0]"), false},
        {"emu:m1,wide", CUT("[0, 0, 0, 32]"), false},
        {"emu:m4", CUT("[0, 0, 0, 32]"), false},
        {"emu:m6", CUT("[0, 0, 0, 32]"), false},
    };
    static const double values[] = {4094, 4096, -4094, -4096, 100, 65504};
    double x[256];
    for (int i = 0; i < 256; i++) x[i] = values[i % 6];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        once o = {.uri = cases[i].uri,
                  .text = cases[i].text,
                  .in = {x, NULL},
                  .n_in = {256, 0}};
        uint64_t n_inf = 0;
        run_once(&o);
        for (int k = 0; k < 64; k++) {
            bool known = false;
            for (int v = 0; v < 6; v++) known |= o.out[k] == values[v];
            if (isinf(o.out[k])) n_inf++;
            else assert_true(known && (!cases[i].clamps || fabs(o.out[k]) <= 4094));
        }
        assert_int_equal(n_inf > 0, cases[i].clamps);
        assert_int_equal(o.stats.infinities, n_inf);
    }
}

/* ---- no infinity vanishes ---- */
/* Each maker overflows where in_a is 300 (the first channel) and gives
 * something finite where it is 1; each hider turns an infinity into something
 * that looks sound. Every pair must be counted, fused or not. */
static const struct {
    const char *name, *text;
} makers[] = {
    {"mul", LET(ROW32, "made", "mul(x = in_a, y = in_a)")},
    {"square", LET(ROW32, "made", "square(x = in_a)")},
    {"exp", LET(ROW32, "made", "exp(x = in_a)")},
    {"add", CONST("fp16", "big", "200") LET(ROW32, "much", "mul(x = in_a, y = big)")
                LET(ROW32, "made", "add(x = much, y = much)")},
    {"sub", CONST("fp16", "big", "-200") LET(ROW32, "much", "mul(x = in_a, y = big)")
                LET(ROW32, "most", "sub(x = in_a, y = much)")
                    LET(ROW32, "made", "sub(x = most, y = much)")},
    {"real_div",
     CONST("fp16", "tiny", "0.001") LET(ROW32, "made", "real_div(x = in_a, y = tiny)")},
    {"pow", CONST("fp16", "cube", "3") LET(ROW32, "made", "pow(x = in_a, y = cube)")},
    {"inverse", CONST("fp16", "big", "300") LET(ROW32, "gap", "sub(x = in_a, y = big)")
                    LET(ROW32, "made", "inverse(x = gap)")},
    {"rsqrt", CONST("fp16", "big", "300") LET(ROW32, "gap", "sub(x = big, y = in_a)")
                  LET(ROW32, "made", "rsqrt(x = gap)")},
    {"cast", CONST("string", "long", "\"fp32\"") CONST("string", "short", "\"fp16\"") LET(
                 "tensor<fp32, [1, 4, 1, 32]>", "wider", "cast(dtype = long, x = in_a)")
                 LET("tensor<fp32, [1, 4, 1, 32]>", "much", "mul(x = wider, y = wider)")
                     LET(ROW32, "made", "cast(dtype = short, x = much)")},
    {"conv",
     CONST("tensor<fp16, [4, 1, 1, 1]>", "weight", "200") CONST("int32", "many", "4")
         LET(ROW32, "made", "conv(groups = many, weight = weight, x = in_a)")},
    {"reduce_sum",
     CONST("fp16", "big", "50") LET(ROW32, "much", "mul(x = in_a, y = big)")
         CONST("tensor<int32, [1]>", "along", "[3]") CONST("bool", "kept", "true")
             LET("tensor<fp16, [1, 4, 1, 1]>", "sum",
                 "reduce_sum(axes = along, keep_dims = kept, x = much)")
                 LET(ROW32, "made", "maximum(x = sum, y = in_a)")},
};
#define ONE CONST("fp16", "one", "0x1p+0")
#define NEG CONST("fp16", "minus", "-1") LET(ROW32, "neg", "mul(x = made, y = minus)")
static const struct {
    const char *name, *text;
} hiders[] = {
    {"minimum", ONE LET(ROW32, "out", "minimum(x = made, y = one)")},
    {"inverse", LET(ROW32, "out", "inverse(x = made)")},
    {"rsqrt", LET(ROW32, "out", "rsqrt(x = made)")},
    {"tanh", LET(ROW32, "out", "tanh(x = made)")},
    {"sigmoid", LET(ROW32, "out", "sigmoid(x = made)")},
    {"erf", LET(ROW32, "out", "erf(x = made)")},
    {"sign", LET(ROW32, "out", "sign(x = made)")},
    {"relu", NEG LET(ROW32, "out", "relu(x = neg)")},
    {"exp", NEG LET(ROW32, "out", "exp(x = neg)")},
    {"maximum", ONE NEG LET(ROW32, "out", "maximum(x = neg, y = one)")},
    {"real_div", ONE LET(ROW32, "out", "real_div(x = one, y = made)")},
    {"pow", CONST("fp16", "minus", "-1") LET(ROW32, "out", "pow(x = made, y = minus)")},
    {"select",
     ONE LET("tensor<bool, [1, 4, 1, 32]>", "more", "greater(x = made, y = one)")
         LET(ROW32, "out", "select(a = one, b = made, cond = more)")},
    {"comparison",
     ONE CONST("string", "to", "\"fp16\"")
         LET("tensor<bool, [1, 4, 1, 32]>", "more", "greater(x = made, y = one)")
             LET(ROW32, "out", "cast(dtype = to, x = more)")},
    {"slice", CONST("tensor<int32, [4]>", "at", "[0, 1, 0, 0]")
                  CONST("tensor<int32, [4]>", "size", "[1, 3, 1, 32]")
                      LET("tensor<fp16, [1, 3, 1, 32]>", "out",
                          "slice_by_size(begin = at, size = size, x = made)")},
    {"reduce_min", CONST("tensor<int32, [1]>", "axes", "[1]")
                       YES LET("tensor<fp16, [1, 1, 1, 32]>", "out",
                               "reduce_min(axes = axes, keep_dims = yes, x = made)")},
    {"reduce_max", CONST("tensor<int32, [1]>", "axes", "[1]")
                       YES NEG LET("tensor<fp16, [1, 1, 1, 32]>", "out",
                                   "reduce_max(axes = axes, keep_dims = yes, x = neg)")},
    {"softmax",
     CONST("int32", "axis", "1") NEG LET(ROW32, "out", "softmax(axis = axis, x = neg)")},
    {"cast to uint8",
     CONST("string", "whole", "\"uint8\"") CONST("string", "to", "\"fp16\"")
         LET("tensor<uint8, [1, 4, 1, 32]>", "cut", "cast(dtype = whole, x = made)")
             LET(ROW32, "out", "cast(dtype = to, x = cut)")},
    {"nothing reads it", LET(ROW32, "out", "abs(x = in_a)")},
};

static void no_infinity_vanishes(void **state)
{
    double x[N];
    int lost = 0;
    for (int i = 0; i < N; i++) x[i] = i < 32 ? 300 : 1;
    for (size_t m = 0; m < COUNT_OF(makers); m++)
        for (size_t h = 0; h < COUNT_OF(hiders); h++) {
            char text[4096];
            bool dead = !strcmp(hiders[h].name, "nothing reads it");
            int n = snprintf(text, sizeof text, PROGRAM(ROW32 " in_a", "%s%s", "out"),
                             makers[m].text, hiders[h].text);
            assert_true(n > 0 && (size_t)n < sizeof text);
            once o = {.uri = "emu:m4", .text = text, .in = {x, NULL}, .n_in = {N, 0}};
            run_once(&o);
            if (dead || o.stats.infinities) continue;
            print_error("%s, hidden by %s: not counted; the result begins with %g\n",
                        makers[m].name, hiders[h].name, o.out[0]);
            lost++;
        }
    assert_int_equal(lost, 0);
}

/* What computes with no overflow counts none, also beside infinite inputs that
 * a mask may hold. */
static void sound_programs_count_no_infinity(void **state)
{
    double x[N];
    for (int i = 0; i < N; i++) x[i] = i % 7 - 3;
    for (size_t h = 0; h < COUNT_OF(hiders); h++) {
        char text[4096];
        snprintf(text, sizeof text, PROGRAM(ROW32 " in_a", "%s%s", "out"),
                 CONST("fp16", "half", "0.5") LET(ROW32, "abs_a", "abs(x = in_a)")
                     LET(ROW32, "made", "add(x = abs_a, y = half)"),
                 hiders[h].text);
        once o = {.uri = "emu:m4", .text = text, .in = {x, NULL}, .n_in = {N, 0}};
        run_once(&o);
        if (!strcmp(hiders[h].name, "rsqrt") || !strcmp(hiders[h].name, "relu")) continue;
        if (o.stats.infinities)
            fail_msg("%s: %llu infinities counted in a sound program", hiders[h].name,
                     (unsigned long long)o.stats.infinities);
    }
}

/* Infinities and NaN go through as IEEE 754 has it. */
static void infinite_inputs_stay_what_they_are(void **state)
{
    static const struct {
        const char *op;
        double x, y, want;
    } cases[] = {
        {"add", INFINITY, 1, INFINITY}, {"add", INFINITY, -INFINITY, NAN},
        {"mul", INFINITY, 0, NAN},      {"mul", -INFINITY, 2, -INFINITY},
        {"maximum", -INFINITY, 3, 3},   {"minimum", INFINITY, 3, 3},
        {"real_div", 1, INFINITY, 0},   {"sub", NAN, 1, NAN},
        {"maximum", NAN, 1, NAN},       {"minimum", 1, NAN, NAN},
    };
    double x[N], y[N];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 PROGRAM(TWO_IN, LET(ROW32, "out", "%s(x = in_a, y = in_b)"), "out"),
                 cases[i].op);
        for (int k = 0; k < N; k++) x[k] = cases[i].x, y[k] = cases[i].y;
        once o = {.uri = "emu:m4", .text = text, .in = {x, y}, .n_in = {N, N}};
        run_once(&o);
        for (int k = 0; k < N; k++)
            if (isnan(cases[i].want) ? !isnan(o.out[k]) : o.out[k] != cases[i].want)
                fail_msg("%s(%g, %g) gave %g", cases[i].op, x[k], y[k], o.out[k]);
    }
}

/* Softmax takes the largest away first, so that it overflows nowhere, and a
 * column masked by -10000 or -inf gives zero. */
static void softmax_is_safe(void **state)
{
    double x[N];
    for (int i = 0; i < N; i++)
        x[i] = i % 32 == 0 ? 60000 : i % 32 == 1 ? -INFINITY : i % 32 == 2 ? 50000 : 0;
    for (int i = 96; i < N; i++) x[i] = i % 2 ? -10000 : -3;
    once o = {.uri = "emu:m4",
              .text = PROGRAM(ROW32 " in_a",
                              CONST("int32", "axis", "3")
                                  LET(ROW32, "out", "softmax(axis = axis, x = in_a)"),
                              "out"),
              .in = {x, NULL},
              .n_in = {N, 0}};
    run_once(&o);
    for (int i = 0; i < 96; i++) assert_near(o.out[i], i % 32 == 0, 0);
    for (int i = 96; i < N; i++) assert_near(o.out[i], i % 2 ? 0 : 1.0 / 16, 0);
    assert_int_equal(o.stats.infinities, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_from_32768_on_are_infinite),
        cmocka_unit_test(convolutions_from_32768_on_are_infinite),
        cmocka_unit_test(a_bias_counts_towards_the_cliff),
        cmocka_unit_test(elementwise_ops_reach_65504),
        cmocka_unit_test(exp_overflows_at_11_094),
        cmocka_unit_test(sums_overflow_after_65504),
        cmocka_unit_test(width_slices_clamp_on_old_chips_only),
        cmocka_unit_test(no_infinity_vanishes),
        cmocka_unit_test(sound_programs_count_no_infinity),
        cmocka_unit_test(infinite_inputs_stay_what_they_are),
        cmocka_unit_test(softmax_is_safe),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
