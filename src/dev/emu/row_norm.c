/* row_norm.c - a row is what is normalized together: norms, and scales of whole
 * numbers.
 *
 * Computed in double and rounded once. The chip makes layer_norm of several passes
 * whose roundings are not published; batch_norm is its gain and offset for each
 * channel, held in fp16 (ane-guide ch. 3), and that is what `exact` does. */
#include <math.h>
#include "dev/emu/emu.h"

static double to_half(double x)
{
    return half_to_double(half_from_double_away(x));
}

/* Parameters: mean, variance, gamma, beta; a row is one channel of one image. */
void emu_row_batch_norm(const emu_row *r, const float *x, double *y)
{
    size_t c = r->row % (size_t)r->p->code->values[r->e->op->arg[0]].type.d[1];
    double mean = emu_param(r, 1, c, 0), variance = emu_param(r, 2, c, 1);
    double gain = emu_param(r, 3, c, 1) / sqrt(variance + r->e->op->a.value[0]);
    double offset = emu_param(r, 4, c, 0) - mean * gain;
    if (r->chip) {
        gain = to_half(gain);
        offset = to_half(emu_param(r, 4, c, 0) - mean * gain);
    }
    for (size_t i = 0; i < r->e->n; i++) y[i] = gain * (double)x[i] + offset;
}

/* (x - mean) / sqrt(variance + epsilon), the variance about the mean. */
static void normalize(const emu_row *r, const float *x, double *y)
{
    size_t n = r->e->n;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        y[i] = (double)x[i] - mean;
        squares += y[i] * y[i];
    }
    double scale = 1 / sqrt(squares / (double)n + r->e->op->a.value[0]);
    for (size_t i = 0; i < n; i++) y[i] *= scale;
}

/* Parameters: gamma, beta, each as long as the row. */
void emu_row_norm(const emu_row *r, const float *x, double *y)
{
    normalize(r, x, y);
    for (size_t i = 0; i < r->e->n; i++)
        y[i] = y[i] * emu_param(r, 1, i, 1) + emu_param(r, 2, i, 0);
}

/* Parameters: gamma, beta, a number for each channel. */
void emu_row_instance_norm(const emu_row *r, const float *x, double *y)
{
    size_t c = r->row % (size_t)r->p->code->values[r->e->op->arg[0]].type.d[1];
    double gamma = emu_param(r, 1, c, 1), beta = emu_param(r, 2, c, 0);
    normalize(r, x, y);
    for (size_t i = 0; i < r->e->n; i++) y[i] = y[i] * gamma + beta;
}

void emu_row_l2_norm(const emu_row *r, const float *x, double *y)
{
    double sum = 0;
    for (size_t i = 0; i < r->e->n; i++) sum += (double)x[i] * (double)x[i];
    double length = sqrt(sum + r->e->op->a.value[0]);
    for (size_t i = 0; i < r->e->n; i++) y[i] = (double)x[i] / length;
}

/* x / (k + alpha / size * (sum of squares of neighbouring channels))^beta. Of an
 * even number of channels the one more stands before (PyTorch's rule). */
void emu_row_local_norm(const emu_row *r, const float *x, double *y)
{
    const dev_attrs *a = &r->e->op->a;
    int64_t ch = r->p->code->values[r->e->op->arg[0]].type.d[1];
    int64_t places = (int64_t)r->e->n / ch;
    int64_t before = a->n / 2, after = (a->n - 1) / 2;
    for (int64_t c = 0; c < ch; c++) {
        int64_t lo = c - before < 0 ? 0 : c - before;
        int64_t hi = c + after >= ch ? ch - 1 : c + after;
        for (int64_t i = 0; i < places; i++) {
            double sum = 0;
            for (int64_t j = lo; j <= hi; j++)
                sum += (double)x[j * places + i] * (double)x[j * places + i];
            y[c * places + i] = (double)x[c * places + i] /
                                pow(a->value[0] + a->value[1] / (double)a->n * sum,
                                    a->value[2]);
        }
    }
}

/* ---- whole numbers: parameters: scale, zero_point; a row has one of each ---- */
static size_t scale_of(const emu_row *r, int k)
{
    const dev_op *o = r->e->op;
    const mil_type *t = &r->p->code->values[o->arg[0]].type;
    int v = r->e->par[k - 1];
    bool many = v >= 0 && emu_count(&r->p->vals[v]) > 1;
    return many ? r->row % (size_t)t->d[o->a.axis] : 0;
}

/* Ties go away from zero on the chip, to even elsewhere; the result saturates. */
void emu_row_quantize(const emu_row *r, const float *x, double *y)
{
    double scale = emu_param(r, 1, scale_of(r, 1), 1);
    double zero = emu_param(r, 2, scale_of(r, 2), 0);
    for (size_t i = 0; i < r->e->n; i++) {
        double q = (double)x[i] / scale;
        y[i] = (r->chip ? round(q) : nearbyint(q)) + zero;
    }
}

void emu_row_dequantize(const emu_row *r, const float *x, double *y)
{
    double scale = emu_param(r, 1, scale_of(r, 1), 1);
    double zero = emu_param(r, 2, scale_of(r, 2), 0);
    for (size_t i = 0; i < r->e->n; i++) y[i] = ((double)x[i] - zero) * scale;
}
