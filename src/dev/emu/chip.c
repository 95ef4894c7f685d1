/* chip.c - the engine's elementwise unit in `exact`: fp16 in and out, one
 * rounding for each op, halves away from zero.
 *
 * What ane-guide ch. 3 measured on M1 for special values: NaN is read as
 * +infinity and never made; what has no value (inf - inf, 0 * inf, the root of
 * a negative number) is +0; no zero is negative.
 *
 * A function of one fp16 number has 65536 arguments, so it is computed once for
 * all of them and then looked up. */
#include <math.h>
#include <string.h>
#include "dev/emu/emu.h"

typedef enum { MATHS, TABLE, ODD, FRACTION8 } way;
typedef struct {
    way how;
    double first, step;
} chip_row;
static const chip_row rows[KERN_UNARY_COUNT] = {
#define CHIP(name, how, first, step, status) [KERN_U_##name] = {how, first, step},
#include "dev/emu/chip.def"
};

static double maths(int kernel, double x)
{
    switch (kernel) {
    case KERN_U_NEG:
        return -x;
    case KERN_U_ABS:
        return fabs(x);
    case KERN_U_EXP:
        return exp(x);
    case KERN_U_LOG:
        /* A finite sentinel (M1), and what ANEForge saw at the other end. */
        return x == 0 ? -45440 : x == INFINITY ? 0 : log(x);
    case KERN_U_SQRT:
        return sqrt(x);
    case KERN_U_RSQRT:
        return 1 / sqrt(x);
    case KERN_U_INVERSE:
        return 1 / x;
    case KERN_U_TANH:
        return tanh(x);
    case KERN_U_SIGMOID:
        return 1 / (1 + exp(-x));
    case KERN_U_RELU:
        return x > 0 ? x : 0;
    case KERN_U_SILU:
        return x / (1 + exp(-x));
    case KERN_U_GELU_TANH:
    case EMU_GELU_EXACT: /* both modes are one table on the engine */
        return 0.5 * x * erfc(-x * 0.70710678118654752);
    case KERN_U_SQUARE:
        return x * x;
    case KERN_U_ERF:
        return erf(x);
    case KERN_U_SIN:
        return sin(x);
    case KERN_U_COS:
        return x == INFINITY ? 0 : cos(x);
    case KERN_U_FLOOR:
        return floor(x);
    case KERN_U_CEIL:
        return ceil(x);
    case KERN_U_ROUND:
        return round(x);
    case KERN_U_SIGN:
        return x > 0 ? 1 : x < 0 ? -1 : 0;
    default:
        return x;
    }
}

static double to_half(double x)
{
    return half_to_double(half_from_double_away(x));
}

/* Between knots i and i + 1, which are fp16 themselves. */
static double interpolate(int kernel, const chip_row *r, double x)
{
    double place = (x - r->first) / r->step;
    if (place < 0) return maths(kernel, -INFINITY);
    if (place >= 32) return maths(kernel, INFINITY);
    double i = floor(place), t = place - i;
    if (r->how == FRACTION8) t = floor(t * 256 + 0.5) / 256;
    double low = to_half(maths(kernel, r->first + i * r->step));
    double high = to_half(maths(kernel, r->first + (i + 1) * r->step));
    return low + t * (high - low);
}

static half unary(int kernel, half h)
{
    static const chip_row plain = {MATHS, 0, 0};
    const chip_row *r = kernel < KERN_UNARY_COUNT ? &rows[kernel] : &plain;
    double x = half_to_double(h) + 0.0, y;
    if (isnan(x)) x = INFINITY;
    if (r->how == MATHS) y = maths(kernel, x);
    else if (r->how == ODD) y = copysign(interpolate(kernel, r, fabs(x)), x);
    else y = interpolate(kernel, r, x);
    half z = isnan(y) ? 0 : half_from_double_away(y);
    return z == 0x8000 ? 0 : z;
}

/* NULL: no memory. */
const half *emu_chip_table(emu_plan *p, int kernel)
{
    if (p->table[kernel]) return p->table[kernel];
    half *t = arena_take(p->mem, 65536 * sizeof *t);
    if (!t) return NULL;
    for (unsigned i = 0; i < 65536; i++) t[i] = unary(kernel, (half)i);
    return p->table[kernel] = t;
}

/* ---- two operands ---- */
enum { PART = 256 };

static void widen(size_t n, const half *x, int step, float *f)
{
    if (step) half_to_floats(x, f, n);
    else
        for (size_t i = 0; i < n; i++) f[i] = half_to_float(*x);
    for (size_t i = 0; i < n; i++) f[i] = f[i] == f[i] ? f[i] : INFINITY;
}

/* In floats: a product of fp16 numbers is exact there; a sum or quotient can
 * never be rounded onto the middle between two fp16 numbers, because none but
 * itself is that near to one (11 bits against 24). */
#define EACH(what) \
    for (size_t i = 0; i < n; i++) a[i] = (what)
static void compute(kern_binary_op op, size_t n, float *a, const float *b)
{
    switch (op) {
    case KERN_ADD:
        EACH(a[i] + b[i]);
        break;
    case KERN_SUB:
        EACH(a[i] - b[i]);
        break;
    case KERN_MUL:
        EACH(a[i] * b[i]);
        break;
    case KERN_DIV:
        EACH((a[i] + 0.0f) / (b[i] + 0.0f)); /* 1 / -0 is +infinity */
        break;
    case KERN_MAX2:
        EACH(a[i] > b[i] ? a[i] : b[i]);
        break;
    case KERN_MIN2:
        EACH(a[i] < b[i] ? a[i] : b[i]);
        break;
    default:
        EACH((float)pow(a[i] + 0.0, b[i] + 0.0));
        break;
    }
    EACH(a[i] == a[i] ? a[i] + 0.0f : 0.0f);
}

/* Results that vanish by rounding lose their sign too. */
static void narrow(size_t n, const float *f, half *z)
{
    half_from_floats_away(f, z, n);
    for (size_t i = 0; i < n; i++)
        if (z[i] == 0x8000) z[i] = 0;
}

void emu_chip_binary(kern_binary_op op, size_t n, const half *x, int x_step,
                     const half *y, int y_step, half *z)
{
    float a[PART], b[PART];
    for (size_t i = 0; i < n; i += PART) {
        size_t part = n - i < PART ? n - i : PART;
        widen(part, x + (x_step ? i : 0), x_step, a);
        widen(part, y + (y_step ? i : 0), y_step, b);
        compute(op, part, a, b);
        narrow(part, a, z + i);
    }
}

/* ---- along an axis ---- */

/* A running sum in fp16 (rule reduce_narrow): ones stand still at 2048 + 2,
 * which rounding away reaches. The order is not known for every shape; this one
 * is ascending. */
float emu_chip_sum(const half *x, size_t n, size_t stride)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        float v = half_to_float(x[i * stride]);
        sum += v == v ? v : INFINITY;
        sum = sum == sum ? half_to_float(half_from_float_away(sum)) : 0;
    }
    return sum;
}

/* The greatest is taken off first, so equal numbers have equal shares; the sum
 * of the shares is wide. `e` is the table of exp. */
void emu_chip_softmax(const half *e, size_t n, const half *x, half *z)
{
    float top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        float v = half_to_float(x[i]);
        top = v > top ? v : v == v ? top : INFINITY;
    }
    for (size_t i = 0; i < n; i++) {
        float v = half_to_float(x[i]) - top;
        half d = v == v ? half_from_float_away(v) : 0; /* inf - inf */
        z[i] = e[d];
        sum += half_to_float(z[i]);
    }
    for (size_t i = 0; i < n; i++)
        z[i] = half_from_double_away((double)half_to_float(z[i]) / (double)sum);
}
