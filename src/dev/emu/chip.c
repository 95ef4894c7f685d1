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

typedef enum { MATHS, LINES, ODD, EXP2, LOG2, ROOT, UNROOT, INVERT, WAVE } way;
typedef enum { SAMPLED, GELU, SILU } list;
enum { KNOTS = 33 };
typedef struct {
    way how;
    list knots;
    double first, step, least, below, most, above, tail[4];
} chip_row;
static const chip_row rows[KERN_UNARY_COUNT] = {
#define CHIP(name, how, knots, first, step, least, below, most, above, a, b, c, d, \
             status)                                                               \
    [KERN_U_##name] = {how, knots, first, step, least, below, most, above, {a, b, c, d}},
#include "dev/emu/chip.def"
};

/* Knots that are no samples: fitted by Apple's compiler, so that neither
 * function is 0 at 0. */
static const half fitted[][KNOTS] = {
    [GELU] = {0x0000, 0x8e8a, 0x9230, 0x9757, 0x9bf0, 0xa011, 0xa3bf, 0xa6ec, 0xa9bf,
              0xac75, 0xae67, 0xb03d, 0xb11e, 0xb184, 0xb104, 0xaecf, 0x922d, 0x3098,
              0x357e, 0x389f, 0x3ab8, 0x3c78, 0x3d9a, 0x3eb9, 0x3fd2, 0x4072, 0x40f8,
              0x417c, 0x41fe, 0x427f, 0x4300, 0x4380, 0x4400},
    [SILU] = {0x98cd, 0x9c5e, 0x9e65, 0xa0ef, 0xa37b, 0xa5a9, 0xa83b, 0xaa45, 0xac8e,
              0xae85, 0xb088, 0xb210, 0xb3a9, 0xb470, 0xb460, 0xb284, 0x96fb, 0x34be,
              0x39d0, 0x3ce4, 0x3f0b, 0x409f, 0x41b7, 0x42cc, 0x43dc, 0x4473, 0x44f8,
              0x457a, 0x45fc, 0x467e, 0x46fe, 0x477f, 0x47ff},
};

static double sample(int kernel, double x)
{
    switch (kernel) {
    case KERN_U_EXP:
        return exp2(x);
    case KERN_U_LOG:
        return log2(x);
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
    case KERN_U_ERF:
        return erf(x);
    default:
        return sin(x);
    }
}

static double to_half(double x)
{
    return half_to_double(half_from_double_away(x));
}

static double knot(int kernel, const chip_row *r, int i)
{
    return r->knots == SAMPLED ? to_half(sample(kernel, r->first + i * r->step))
                               : half_to_double(fitted[r->knots][i]);
}

/* The line between two knots at x, from the one that is nearer to 0. */
static double between(int kernel, const chip_row *r, double x)
{
    double place = (x - r->first) / r->step;
    int i = place >= KNOTS - 1 ? KNOTS - 2 : place > 0 ? (int)place : 0;
    double low = knot(kernel, r, i), high = knot(kernel, r, i + 1);
    double rise = to_half(high - low);
    return to_half(x < 0 ? high - to_half((i + 1 - place) * rise)
                         : low + to_half((place - i) * rise));
}

/* With clamps and tails. */
static double lines(int kernel, const chip_row *r, double x)
{
    double last = r->first + (KNOTS - 1) * r->step;
    if (x <= r->least) return r->below;
    if (x >= r->most) return r->above;
    if (x < r->first) return to_half(to_half(r->tail[0] * x) + r->tail[1]);
    if (x > last) return to_half(to_half(r->tail[2] * x) + r->tail[3]);
    return between(kernel, r, x);
}

/* A sine's phase in steps of the table, 32 of them a quarter of a period. */
static double wave(const chip_row *r, double x, double shift)
{
    double q = fmod(fabs(x) / r->step + shift, 128), sign = 1;
    if (!isfinite(x)) return 0;
    if (q > 64) {
        q -= 64;
        sign = -1;
    }
    if (q > 32) q = 64 - q;
    return sign * between(KERN_U_SIN, r, q * r->step);
}

#define LOG2_E 0x1.714p0 /* both as fp16 */
#define LN_2 0x1.63p-1

/* x > 0 and finite, as m 2^(each e); the table is of m. */
static double reduced(int kernel, const chip_row *r, double x)
{
    int e;
    double m = frexp(x, &e);
    bool square = r->how == ROOT || r->how == UNROOT;
    if (square && e & 1) {
        m *= 2;
        e--;
    }
    double y = between(kernel, r, m);
    if (r->how == LOG2) return to_half(e + y) * LN_2;
    if (square) e /= 2;
    return ldexp(y, r->how == ROOT ? e : -e);
}

/* The engine reads infinity as 65536, which log(0) shows: its table says
 * -infinity, and -65536 ln 2 is the -45440 that M1 gives. */
static double special(const chip_row *r, double x)
{
    double y = x < 0 ? NAN : x == 0 ? r->below : r->above;
    return r->how == LOG2 && isinf(y) ? copysign(65536, y) * LN_2 : y;
}

static double tabled(int kernel, const chip_row *r, double x)
{
    switch (r->how) {
    case LINES:
        return lines(kernel, r, x);
    case ODD:
        return copysign(lines(kernel, r, fabs(x)), x);
    case EXP2: {
        if (x <= r->least) return r->below;
        if (x >= r->most) return r->above;
        double y = to_half(x * LOG2_E), whole = floor(y);
        return ldexp(between(kernel, r, y - whole), (int)whole);
    }
    case INVERT: /* a sign is only carried over; -0 is +0 */
        return x != 0 && isfinite(x) ? copysign(reduced(kernel, r, fabs(x)), x)
                                     : special(r, fabs(x));
    case WAVE:
        return kernel == KERN_U_COS ? wave(r, x, 32) : copysign(1, x) * wave(r, x, 0);
    default:
        return x > 0 && isfinite(x) ? reduced(kernel, r, x) : special(r, x);
    }
}

static double maths(int kernel, double x)
{
    switch (kernel) {
    case KERN_U_NEG:
        return -x;
    case KERN_U_ABS:
        return fabs(x);
    case KERN_U_RELU:
        return x > 0 ? x : 0;
    case KERN_U_SQUARE:
        return x * x;
    case KERN_U_FLOOR:
        return floor(x);
    case KERN_U_CEIL:
        return ceil(x);
    case KERN_U_ROUND: /* adds a half in fp16: 1025 becomes 1026 (ANEForge #116) */
        return copysign(floor(to_half(fabs(x) + 0.5)), x);
    case KERN_U_SIGN:
        return x > 0 ? 1 : x < 0 ? -1 : 0;
    default:
        return x;
    }
}

/* NaN is +infinity; what has no value, and -0, is +0. */
static half unary(int kernel, half h)
{
    if (kernel == EMU_GELU_EXACT) kernel = KERN_U_GELU_TANH; /* one table for both */
    const chip_row *r = &rows[kernel];
    double x = half_to_double(h) + 0.0;
    if (isnan(x)) x = INFINITY;
    double y = r->how == MATHS ? maths(kernel, x) : tabled(kernel, r, x);
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

/* In floats: a product of fp16 numbers is exact there; a sum can
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
    case KERN_DIV: /* b is inverted already */
    case KERN_MUL:
        EACH(a[i] * b[i]);
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

/* A quotient is two tasks on the engine: the table of inverses, then a product. */
void emu_chip_binary(kern_binary_op op, size_t n, const half *x, int x_step,
                     const half *y, int y_step, half *z, const half *inverse,
                     uint64_t *flushed)
{
    float a[PART], b[PART];
    half turned[PART];
    for (size_t i = 0; i < n; i += PART) {
        size_t part = n - i < PART ? n - i : PART;
        const half *from = y + (y_step ? i : 0);
        for (size_t k = 0; op == KERN_DIV && k < (y_step ? part : 1); k++)
            turned[k] = inverse[from[k]];
        widen(part, x + (x_step ? i : 0), x_step, a);
        widen(part, op == KERN_DIV ? turned : from, y_step, b);
        compute(op, part, a, b);
        narrow(part, a, z + i);
        uint32_t lost = 0;
        for (size_t k = 0; flushed && k < part; k++)
            lost += (z[i + k] == 0) & (a[k] != 0);
        if (lost) *flushed += lost;
    }
}

/* z = table[x]. What of x is a number but 0, and gives 0, is flushed where only
 * rounding can do that. */
void emu_chip_unary(const half *table, int kernel, size_t n, const half *x, half *z,
                    uint64_t *flushed)
{
    bool tells = kernel == KERN_U_EXP || kernel == KERN_U_INVERSE ||
                 kernel == KERN_U_SIGMOID || kernel == KERN_U_SQUARE;
    if (!flushed || !tells) {
        for (size_t i = 0; i < n; i++) z[i] = table[x[i]];
        return;
    }
    uint64_t lost = 0;
    for (size_t i = 0; i < n; i++) {
        half size = x[i] & 0x7fff;
        z[i] = table[x[i]];
        lost += (z[i] == 0) & (size != 0) & (size < HALF_INF);
    }
    *flushed += lost;
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

/* The greatest is taken off first, so equal numbers have equal shares; the sum of
 * the exponentials is wide. Tables of exp and of inverses stand in what Apple's
 * compiler writes for a softmax (mil-hwx-compiler); in which order the engine adds
 * is not known (docs/exact.md). */
void emu_chip_softmax(const half *e, const half *inverse, size_t n, const half *x,
                      half *z)
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
    float factor = half_to_float(inverse[half_from_float_away(sum)]);
    for (size_t i = 0; i < n; i++)
        z[i] = half_from_float_away(half_to_float(z[i]) * factor);
}
