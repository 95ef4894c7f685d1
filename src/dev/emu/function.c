/* function.c - elementwise functions of one number with constants of the program:
 * relu6, clip, elu and their like.
 *
 * fp16 has 65536 numbers, so in fp16 a function is computed once for all of them,
 * rounded once, and then looked up; two ops with equal constants share a table. In
 * `exact` rounding is half away from zero, NaN is read as +infinity and never made,
 * and no zero is negative (chip.c). */
#include <math.h>
#include "dev/emu/emu.h"

static double exp2_of(double x, double a, double b)
{
    return exp2(x);
}

static double atan_of(double x, double a, double b)
{
    return atan(x);
}

static double clip(double x, double a, double b)
{
    return x < a ? a : x > b ? b : x;
}

static double threshold(double x, double a, double b)
{
    return x < a ? a : x;
}

static double relu6(double x, double a, double b)
{
    return clip(x, 0, 6);
}

static double leaky_relu(double x, double a, double b)
{
    return x < 0 ? a * x : x;
}

static double clamped_relu(double x, double a, double b)
{
    double y = leaky_relu(x, a, b);
    return y > b ? b : y;
}

static double thresholded_relu(double x, double a, double b)
{
    return x < a ? 0 : x;
}

static double elu(double x, double a, double b)
{
    return x <= 0 ? a * expm1(x) : x;
}

static double sigmoid_hard(double x, double a, double b)
{
    return clip(a * x + b, 0, 1);
}

static double scaled_tanh(double x, double a, double b)
{
    return a * tanh(b * x);
}

static double softplus(double x, double a, double b)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double softsign(double x, double a, double b)
{
    return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
}

/* At the end of their tables the chip's softplus and softsign give 0 for +infinity
 * (ane-guide ch. 3, M1). */
static double chip_softplus(double x, double a, double b)
{
    return x == INFINITY ? 0 : softplus(x, a, b);
}

static double chip_softsign(double x, double a, double b)
{
    return x == INFINITY ? 0 : softsign(x, a, b);
}

typedef double one_number(double x, double a, double b);
static const struct {
    dev_op_kind op;
    one_number *f, *chip; /* chip: where `exact` differs */
} rows[] = {
    {DEV_OP_exp2, exp2_of, exp2_of},
    {DEV_OP_atan, atan_of, atan_of},
    {DEV_OP_clip, clip, clip},
    {DEV_OP_threshold, threshold, threshold},
    {DEV_OP_relu6, relu6, relu6},
    {DEV_OP_leaky_relu, leaky_relu, leaky_relu},
    {DEV_OP_clamped_relu, clamped_relu, clamped_relu},
    {DEV_OP_thresholded_relu, thresholded_relu, thresholded_relu},
    {DEV_OP_elu, elu, elu},
    {DEV_OP_sigmoid_hard, sigmoid_hard, sigmoid_hard},
    {DEV_OP_scaled_tanh, scaled_tanh, scaled_tanh},
    {DEV_OP_softplus, softplus, chip_softplus},
    {DEV_OP_softsign, softsign, chip_softsign},
};

static rc fill_table(emu_plan *p, emu_function *f)
{
    f->table = arena_take(p->mem, 65536 * sizeof *f->table);
    if (!f->table) return E_MEMORY;
    for (unsigned i = 0; i < 65536; i++) {
        double x = half_to_double((half)i) + 0.0;
        if (p->exact && isnan(x)) x = INFINITY;
        double y = f->f(x, f->a, f->b);
        emu_round(p, MIL_FP16, 1, &y, (char *)&f->table[i]);
    }
    return OK;
}

const emu_function *emu_function_of(emu_plan *p, const dev_op *o, mil_dtype store)
{
    size_t i = 0;
    while (i < sizeof rows / sizeof *rows && rows[i].op != o->kind) i++;
    if (i == sizeof rows / sizeof *rows) {
        err_fail(E_FAILED, "'%s' has no function", o->mil->op);
        return NULL;
    }
    bool half_wide = store == MIL_FP16;
    one_number *fn = p->exact && half_wide ? rows[i].chip : rows[i].f;
    double a = o->a.value[0], b = o->a.value[1];
    for (emu_function *f = p->functions; f; f = f->next)
        if (f->f == fn && f->a == a && f->b == b && half_wide == (f->table != NULL))
            return f;
    emu_function *f = arena_take(p->mem, sizeof *f);
    if (!f) return NULL;
    *f = (emu_function){.f = fn, .a = a, .b = b, .next = p->functions};
    if (half_wide && fill_table(p, f) != OK) return NULL;
    return p->functions = f;
}
