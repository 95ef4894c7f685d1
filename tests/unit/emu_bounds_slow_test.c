/* Every op in both arithmetics, fast and exact, on the same operands: the results
 * differ by no more than its row of dev/ops.def says (dev_bound), and that says
 * something: somewhere they differ by a twentieth of it.
 *
 * Where a function of one number has a row, all its arguments are tried; else
 * numbers at random and such as are awkward: subnormals, zeros, ends of the range,
 * products that are dropped, sums that drift. */
#include "emu_bounds_cases.h"

static const struct {
    const net_case *cases;
    size_t n;
} tables[] = {{bound_cases, COUNT_OF(bound_cases)},
              {value_cases, COUNT_OF(value_cases)},
              {image_cases, COUNT_OF(image_cases)},
              {axis_cases, COUNT_OF(axis_cases)},
              {place_cases, COUNT_OF(place_cases)}};

/* Those whose bound is no use to reach: computed alike, rounded once, so only a tie
 * could differ, and none is met. */
static const char *const no_ties[] = {"layer_norm", "instance_norm",
                                      "l2_norm",    "local_response_norm",
                                      "l2_pool",    "reduce_log_sum_exp"};

/* How many terms are added up, at most. */
static const struct {
    const char *op, *what; /* what: "" for any */
    int k;
} terms[] = {
    {"reduce_", "of 64", 64},
    {"reduce_", "", 27},
    {"matmul", "", 96},
    {"linear", "little weights", 32},
    {"linear", "", 33},
    {"conv_transpose", "", 27},
    {"conv", "", 27},
    {"einsum", "i,j->ji", 1},
    {"einsum", "nchw,nwhu->nchu", 9},
    {"einsum", "", 27},
    {"batch_norm", "", 3},
    {"scaled_dot_product_attention", "", 24},
};

static double terms_now(void)
{
    for (size_t i = 0; i < COUNT_OF(terms); i++)
        if (str_starts(net_now->op, terms[i].op) &&
            (!*terms[i].what || !strcmp(terms[i].what, net_now->what)))
            return terms[i].k;
    return 0;
}

typedef enum {
    ANY,    /* each fp16 number that is finite, and not -0 */
    MIDDLE, /* any whose magnitude is below 256 */
    UNIT,   /* in [-1, 1) */
    EIGHTS, /* in [-8, 8), in eighths: there are ties */
    OWN,    /* as the case has it */
    LOST,   /* products of two are a little too small for the sum */
    DRIFT,  /* the first is 1, others are half of what 1 can take */
    SETS
} set;

static double finite_half(uint64_t seed, uint64_t i, double most)
{
    for (;; i += 1 << 20) {
        double v = half_to_double((half)(rng_unit(seed, 3, i) * 65536));
        if (fabs(v) <= most) return v;
    }
}

/* Operand `which`, element i of n. */
static double operand(set s, int which, const mil_type *t, int64_t i)
{
    double at = rng_unit(40 + (uint64_t)which, 7, (uint64_t)i), v;
    double lo = which ? net_now->b_lo : net_now->lo,
           hi = which ? net_now->b_hi : net_now->hi;
    dev_op_kind op = (dev_op_kind)dev_op_find(net_now->op);
    if (dev_op_class_of(op) == DEV_CONST) return 0; /* added to a constant */
    bool fp16 = t->dtype == MIL_FP16, places = which && !strcmp(net_now->op, "resample");
    if (!fp16 || places) s = OWN;
    switch (s) {
    case ANY:
        v = half_to_double((half)i);
        if (which || mil_count(t) < 65536 || !isfinite(v))
            v = finite_half(50 + (uint64_t)which, (uint64_t)i, 65504);
        break;
    case MIDDLE:
        v = finite_half(60 + (uint64_t)which, (uint64_t)i, 256);
        break;
    case UNIT:
        v = 2 * at - 1;
        break;
    case EIGHTS:
        v = floor(128 * at) / 8 - 8;
        break;
    case LOST:
        v = (1.9 + 0.0999 * at) * (which ? 0x1p-9 : 0x1p-8);
        break;
    case DRIFT: /* along the axis of 64 of T_EVERY; a square that is no less */
        v = i < 1024                                                     ? 1
            : strstr(net_now->op, "square") || strstr(net_now->op, "l2") ? 0x1.6a4p-6
                                                                         : 0x1p-11;
        break;
    default:
        v = lo < hi ? lo + (hi - lo) * at : 8 * at - 4;
        break;
    }
    return fp16 ? half_to_double(half_from_double(v)) + 0.0 : floor(v);
}

typedef struct {
    size_t n;
    double *in[2], *out, most[2]; /* most: largest operands */
} values;

/* The operands: made, or those of `like`, or their magnitudes with the constants'
 * (sizes). */
static void operands(const dev_ports *ports, set s, const values *like, bool sizes,
                     values *v)
{
    bool positive = !strcmp(net_now->op, "reduce_log_sum");
    for (int i = 0; i < ports->n_in; i++) {
        const mil_type *t = &ports->in[i].type;
        size_t n = (size_t)mil_count(t);
        v->in[i] = calloc(n, sizeof(double));
        for (size_t k = 0; k < n; k++) {
            double x = like ? like->in[i][k] : operand(s, i, t, (int64_t)k);
            v->in[i][k] = positive || sizes ? fabs(x) : x;
            v->most[i] = fmax(v->most[i], fabs(x));
        }
    }
}

static values run(const char *uri, kern *pool, set s, const values *like, bool sizes)
{
    device *d;
    dev_program *p = NULL;
    dev_ports ports;
    dev_surface *in[2], *out;
    values v = {0};
    str text = {0};
    net_sizes = sizes;
    net_program(&text);
    net_sizes = false;
    assert_ok(dev_open(uri, pool, &d));
    if (try_load(d, str_text(&text), NULL, 0, &p) != OK)
        fail_msg("%s: %s\n%s", net_now->op, err_text(), str_text(&text));
    assert_ok(dev_ports_of(p, &ports));
    operands(&ports, s, like, sizes, &v);
    for (int i = 0; i < ports.n_in; i++) {
        const mil_type *t = &ports.in[i].type;
        in[i] = surface_of(d, t);
        put_values(in[i], t->dtype, v.in[i], (size_t)mil_count(t));
    }
    const mil_type *t = &ports.out[0].type;
    v.n = (size_t)mil_count(t);
    v.out = calloc(v.n, sizeof(double));
    out = surface_of(d, t);
    assert_ok(run_and_wait(p, in, ports.n_in, &out, 1, NULL));
    get_values(out, t->dtype, v.out, v.n);
    dev_unload(p);
    for (int i = 0; i < ports.n_in; i++) dev_drop(in[i]);
    dev_drop(out);
    dev_close(d);
    str_free(&text);
    return v;
}

static void drop(values *v)
{
    free(v->in[0]);
    free(v->in[1]);
    free(v->out);
}

static double number(double x)
{
    return isinf(x) ? copysign(65536, x) : x;
}

static double unit(double x)
{
    int e;
    frexp(number(x), &e);
    return fabs(x) < 0x1p-14 ? 0x1p-24 : ldexp(1, e - 11);
}

/* What the row allows result i; negative: it says nothing of it. */
static double allowed(const dev_bound *b, const values *fast, const values *exact,
                      const values *sizes, size_t i)
{
    double k = terms_now(), more = 0;
    if (isnan(fast->out[i])) return -1;
    if (b->least > 0 && fabs(fast->in[fast->in[1] != NULL][i]) < b->least) return -1;
    switch (b->kind) {
    case DEV_BITS:
        return 0;
    case DEV_EACH:
        more = b->number;
        break;
    case DEV_TERMS:
        if (isinf(exact->out[i])) return -1;
        more = b->number * k;
        break;
    case DEV_SUMS:
        if (isinf(exact->out[i])) return -1;
        more = b->number * k * unit(sizes->out[i]);
        break;
    case DEV_PRODUCTS:
        if (sizes->out[i] > 32752) return -1;
        more = (b->number + sizes->out[i] * 0x1p-24) * k;
        break;
    default: /* of 16 numbers: the score is at most 4 times the largest product */
        if (fast->most[0] * fast->most[1] > 4) return -1;
        more = b->number * fast->most[1] + 0x1p-15 * k;
        break;
    }
    return more + b->units * unit(fmax(fabs(fast->out[i]), fabs(exact->out[i])));
}

typedef struct {
    double part;   /* of the bound, reached at most */
    size_t n, bad; /* compared; over it */
} reached;

static const char *const isas[] = {"scalar", "avx2", "avx512", "neon"};
static kern *pools[COUNT_OF(isas)]; /* NULL: not on this processor */

static void compare(const dev_bound *b, const values *fast, const values *exact,
                    const values *sizes, const char *isa, reached *r)
{
    for (size_t i = 0; i < fast->n; i++) {
        double most = allowed(b, fast, exact, sizes, i);
        if (most < 0) continue;
        double off = fabs(number(fast->out[i]) - number(exact->out[i]));
        if (most > 0) r->part = fmax(r->part, off / most);
        r->n++;
        if (off <= most || r->bad++) continue;
        print_error("%s %s, isa=%s [%zu]: fast %.9g, exact %.9g; allowed %.3g\n",
                    net_now->op, net_now->what, isa, i, fast->out[i], exact->out[i],
                    most);
    }
}

/* Exact is the same on every instruction set (exact_bits_test), fast is not. */
static void each_isa(const dev_bound *b, set s, reached *r)
{
    values exact = run("emu:m4,exact", pools[0], s, NULL, false), sizes = {0};
    if (b->kind == DEV_SUMS || b->kind == DEV_PRODUCTS)
        sizes = run("emu:m4,wide", pools[0], s, &exact, true);
    for (size_t k = 0; k < COUNT_OF(isas); k++) {
        char uri[64];
        if (!pools[k]) continue;
        snprintf(uri, sizeof uri, "emu:m4,fast,isa=%s", isas[k]);
        values fast = run(uri, pools[k], s, &exact, false);
        compare(b, &fast, &exact, &sizes, isas[k], r);
        drop(&fast);
    }
    drop(&exact);
    drop(&sizes);
}

/* Where nothing may differ, numbers of each kind do. */
static bool worth(const dev_bound *b, set s)
{
    return b->kind != DEV_BITS || s == ANY || s == EIGHTS || s == OWN;
}

static void each_case(dev_op_kind op, reached *r)
{
    dev_bound b = dev_op_bound(op);
    for (size_t t = 0; t < COUNT_OF(tables); t++)
        for (size_t i = 0; i < tables[t].n; i++) {
            net_now = &tables[t].cases[i];
            if (strcmp(net_now->op, dev_op_text(op))) continue;
            for (set s = 0; s < SETS; s++)
                if (worth(&b, s)) each_isa(&b, s, r);
        }
}

static bool without_ties(const char *op)
{
    for (size_t i = 0; i < COUNT_OF(no_ties); i++)
        if (!strcmp(no_ties[i], op)) return true;
    return false;
}

static void every_op_keeps_its_bound(void **state)
{
    int wrong = 0;
    for (int op = 0; op < DEV_OPS; op++) {
        const char *name = dev_op_text((dev_op_kind)op);
        bool some = dev_op_bound((dev_op_kind)op).kind != DEV_BITS;
        reached at = {0};
        each_case((dev_op_kind)op, &at);
        bool loose = some && at.part < 1.0 / 20 && !without_ties(name);
        if (some) print_message("%-30s %.3f of the bound\n", name, at.part);
        if (!at.n) print_error("%s: no result is compared\n", name);
        if (loose) print_error("%s: the bound is loose\n", name);
        wrong += at.bad || loose || !at.n;
    }
    assert_int_equal(wrong, 0);
}

/* Convolutions of 3 x 3 on M5 and M6, whose weights are 1 at most. */
static void winograd_adds_no_more_than_is_said(void **state)
{
    static const char *const chips[] = {"m5", "m6"};
    for (size_t c = 0; c < COUNT_OF(chips); c++)
        for (size_t i = 0; i < COUNT_OF(bound_cases); i++) {
            net_now = &bound_cases[i];
            if (strcmp(net_now->op, "conv")) continue;
            for (set s = UNIT; s < DRIFT; s++) {
                char uri[64];
                snprintf(uri, sizeof uri, "emu:%s,exact", chips[c]);
                values exact = run(uri, pools[0], s, NULL, false);
                values fast = run("emu:m4,fast", pools[0], s, &exact, false);
                dev_bound b = {DEV_EACH, 0, 1, 0};
                b.number = 27 * (0x1p-15 + DEV_WINOGRAD * exact.most[0]);
                reached r = {0};
                compare(&b, &fast, &exact, NULL, chips[c], &r);
                assert_int_equal(r.bad, 0);
                drop(&fast);
                drop(&exact);
            }
        }
}

static int open_pools(void **state)
{
    for (size_t k = 0; k < COUNT_OF(isas); k++)
        if (kern_open(1, isas[k], &pools[k]) != OK) pools[k] = NULL;
    return 0;
}

static int close_pools(void **state)
{
    for (size_t k = 0; k < COUNT_OF(isas); k++) kern_close(pools[k]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_keeps_its_bound),
        cmocka_unit_test(winograd_adds_no_more_than_is_said),
    };
    return cmocka_run_group_tests(tests, open_pools, close_pools);
}
