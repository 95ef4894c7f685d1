/* anchors.c - each row of anchors.def as a program or a piece of host work. */
#include "plan/anchors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/sha256.h"
#include "plan/like.h"

enum {
    LAUNCH,
    CHAIN,
    CONV,
    MATMUL,
    PACKED,
    PCONV,
    PCONVS,
    PLINEAR,
    POP,
    PATTN,
    HCOPY,
    HSTAGE,
    HCAST,
    STEP
};
enum { RELU, GELU, SUM, SOFTMAX, LAYER_NORM, RMS_NORM };
/* Passes over the elements, as a compiler cuts them up. */
static const int op_passes[] = {1, 1, 1, 4, 7, 5};
enum { SEED, STATIC, DYNAMIC, DW_ENGINE };
enum { LAYER, STORIES, QWEN };
static const plan_dims models[] = {{768, 2048, 12, 12, 64, 1, 512, 0},
                                   {768, 2048, 12, 12, 64, 12, 256, 32000},
                                   {1024, 3072, 16, 8, 128, 28, 256, 151936}};
enum {
    WHOLE,
    ENGINE_FORWARD,
    ENGINE_BACKWARD,
    STAGING_FORWARD,
    STAGING_BACKWARD,
    CLASSIFIER,
    ELEMENTWISE,
    SILU,
    NORMS
};

#define MS "ms"
#define US "us"
#define TFLOPS "TFLOP/s"
#define GBS "GB/s"
enum { SURE = 1, UNSURE = 0 };
static const struct {
    const char *name, *chip;
    bool sure;
    int what;
    double a[4], measured;
    const char *unit, *source;
} rows[] = {
#define ANCHOR(name, chip, sure, what, a, b, c, d, measured, unit, source) \
    {name, #chip, sure, what, {a, b, c, d}, measured, unit, source},
#include "plan/anchors.def"
#undef ANCHOR
};

bool plan_anchor_at(int i, plan_anchor *out)
{
    if (i < 0 || (size_t)i >= sizeof rows / sizeof *rows) return false;
    *out = (plan_anchor){.name = rows[i].name,
                         .chip = dev_profile_find(rows[i].chip),
                         .sure = rows[i].sure,
                         .what = rows[i].what,
                         .measured = rows[i].measured,
                         .unit = rows[i].unit,
                         .source = rows[i].source};
    memcpy(out->a, rows[i].a, sizeof out->a);
    return true;
}

bool plan_anchor_held_out(const plan_anchor *a)
{
    sha256 s;
    char digits[65];
    sha256_start(&s);
    sha256_add(&s, a->name, strlen(a->name));
    sha256_hex(&s, digits);
    return strchr("13579bdf", digits[63]) != NULL;
}

bool plan_anchor_is_step(const plan_anchor *a)
{
    return a->what == STEP && a->a[2] == WHOLE;
}

/* ---- programs ---- */
static void chain(dev_cost *c, const double a[4])
{
    for (int i = 0; i < (int)a[1]; i++) dev_cost_conv(c, a[0], a[0], 1, a[2], (int)a[3]);
    dev_cost_surfaces(c, 4 * a[0] * a[2]);
}

static void conv(dev_cost *c, const double a[4])
{
    dev_cost_conv(c, a[0], a[1], a[3] * a[3], a[2], 16);
    dev_cost_surfaces(c, 2 * (a[0] + a[1]) * a[2]);
}

static void matmul(dev_cost *c, const double a[4])
{
    dev_cost_matmul(c, 1, a[0], a[1], a[2]);
    dev_cost_surfaces(c, 2 * (a[0] * a[1] + a[1] * a[2] + a[0] * a[2]));
}

/* A slice is the weight; values and results are transposed around the product. */
static void packed(dev_cost *c, const double a[4])
{
    dev_cost_move(c, a[0] * a[1] + (a[0] + a[1]) * a[2]);
    dev_cost_matmul(c, 1, a[1], a[0], a[2]);
    dev_cost_surfaces(c, 2 * (a[0] * (a[1] + a[2]) + a[1] * a[2]));
}

static void python_convs(dev_cost *c, const double a[4], int layers, double kernel)
{
    double pixels = a[1] * a[2] * a[2];
    for (int i = 0; i < layers; i++)
        dev_cost_conv(c, a[0], a[0], kernel * kernel, pixels, 16);
    dev_cost_python(c, 4 * a[0] * pixels);
}

static void python_linear(dev_cost *c, const double a[4])
{
    dev_cost_conv(c, a[1], a[2], 1, a[0], 16);
    dev_cost_python(c, 2 * a[0] * (a[1] + a[2]));
}

static void python_op(dev_cost *c, const double a[4])
{
    int op = (int)a[0];
    for (int i = 0; i < op_passes[op]; i++) dev_cost_each(c, a[1], 1);
    dev_cost_python(c, 2 * (op == SUM ? a[1] + a[1] / a[2] : 2 * a[1]));
}

static void python_attention(dev_cost *c, const double a[4])
{
    double heads = a[0], columns = a[1], width = a[2];
    dev_cost_matmul(c, heads, columns, width, columns);
    for (int i = 0; i < 5; i++) dev_cost_each(c, heads * columns * columns, 1);
    dev_cost_matmul(c, heads, columns, columns, width);
    dev_cost_python(c, 8 * heads * columns * width);
}

static double step_ms(const plan_anchor *a, const dev_costs *k)
{
    plan_likeness l;
    plan_like_predict((plan_like)a->a[0], &models[(int)a->a[1]], a->chip, k, &l);
    switch ((int)a->a[2]) {
    case ENGINE_FORWARD:
        return l.engine_ms[0];
    case ENGINE_BACKWARD:
        return l.engine_ms[1];
    case STAGING_FORWARD:
        return l.host_ms[0][PLAN_HOST_STAGING];
    case STAGING_BACKWARD:
        return l.host_ms[1][PLAN_HOST_STAGING];
    case CLASSIFIER: /* STATIC's clock is read in its forward pass only */
        return l.host_ms[0][PLAN_HOST_CLASSIFIER] +
               (a->a[0] == STATIC ? 0 : l.host_ms[1][PLAN_HOST_CLASSIFIER]);
    case ELEMENTWISE:
        return l.host_ms[0][PLAN_HOST_ELEMENTWISE];
    case SILU:
        return l.host_ms[1][PLAN_HOST_SILU];
    case NORMS:
        return l.host_ms[0][PLAN_HOST_NORMS] + l.host_ms[1][PLAN_HOST_NORMS];
    }
    return l.step_ms;
}

static double host_ms(const plan_anchor *a, const dev_costs *k)
{
    if (a->what == HCOPY) return dev_host_ms(a->chip, k, DEV_HOST_COPY, a->a[0]);
    if (a->what == HCAST) return dev_host_ms(a->chip, k, DEV_HOST_SCALAR, a->a[0]);
    return dev_host_ms(a->chip, k, DEV_HOST_SCALAR, 4 * a->a[0] * a->a[1]);
}

static double predicted_ms(const plan_anchor *a, const dev_costs *k)
{
    dev_cost c = dev_cost_launch(a->chip, k);
    if (a->what == STEP) return step_ms(a, k);
    if (a->what >= HCOPY) return host_ms(a, k);
    if (a->what == CHAIN) chain(&c, a->a);
    if (a->what == CONV) conv(&c, a->a);
    if (a->what == MATMUL) matmul(&c, a->a);
    if (a->what == PACKED) packed(&c, a->a);
    if (a->what == PCONV) python_convs(&c, a->a, 1, a->a[3]);
    if (a->what == PCONVS) python_convs(&c, a->a, (int)a->a[3], 3);
    if (a->what == PLINEAR) python_linear(&c, a->a);
    if (a->what == POP) python_op(&c, a->a);
    if (a->what == PATTN) python_attention(&c, a->a);
    return dev_cost_ms(&c);
}

/* ---- units ---- */
/* What a rate is a rate of: FLOP, or bytes. */
static double work(const plan_anchor *r)
{
    const double *a = r->a;
    switch (r->what) {
    case CHAIN:
        return 2 * a[0] * a[0] * a[1] * a[2];
    case CONV:
        return 2 * a[0] * a[1] * a[2] * a[3] * a[3];
    case MATMUL:
    case PACKED:
    case PLINEAR:
        return 2 * a[0] * a[1] * a[2];
    case PCONV:
        return 2 * a[0] * a[0] * a[1] * a[2] * a[2] * a[3] * a[3];
    case PCONVS:
        return 18 * a[0] * a[0] * a[1] * a[2] * a[2] * a[3];
    }
    return a[0]; /* bytes */
}

double plan_anchor_predict(const plan_anchor *a, const dev_costs *k)
{
    double ms = predicted_ms(a, k);
    if (!strcmp(a->unit, US)) return 1e3 * ms;
    if (!strcmp(a->unit, TFLOPS)) return work(a) / ms * 1e-9;
    if (!strcmp(a->unit, GBS)) return work(a) / ms * 1e-6;
    return ms;
}

double plan_anchor_error(const plan_anchor *a, const dev_costs *k)
{
    double p = plan_anchor_predict(a, k);
    bool rate = !strcmp(a->unit, TFLOPS) || !strcmp(a->unit, GBS);
    return (rate ? a->measured / p : p / a->measured) - 1;
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

double plan_anchor_median(const dev_profile *chip, bool held_out, const dev_costs *k,
                          int *n)
{
    double error[sizeof rows / sizeof *rows];
    plan_anchor a;
    *n = 0;
    for (int i = 0; plan_anchor_at(i, &a); i++)
        if (a.sure && (!chip || a.chip == chip) && plan_anchor_held_out(&a) == held_out)
            error[(*n)++] = fabs(plan_anchor_error(&a, k));
    if (!*n) return NAN;
    qsort(error, (size_t)*n, sizeof *error, by_value);
    return *n % 2 ? error[*n / 2] : (error[*n / 2 - 1] + error[*n / 2]) / 2;
}

double plan_error_band(const dev_profile *chip)
{
    int n;
    double own = plan_anchor_median(chip, true, NULL, &n);
    return n >= 5 ? own : plan_anchor_median(NULL, true, NULL, &n);
}
