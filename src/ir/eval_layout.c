/* eval_layout.c - the oracle's loops that move elements or reduce an axis.
 *
 * An axis cuts a row-major array in three: `outer` blocks of `n` elements
 * along the axis, each a run of `inner`. */
#include "ir/table.h"

#include <math.h>
#include <string.h>

typedef struct {
    int64_t outer, n, inner;
} cut;

static cut cut_at(ir_shape s, int axis)
{
    cut c = {1, s.d[axis], 1};
    for (int i = 0; i < axis; i++) c.outer *= s.d[i];
    for (int i = axis + 1; i < s.rank; i++) c.inner *= s.d[i];
    return c;
}

rc ir_eval_copy(const ir_node *n, const double *const *in, double *out)
{
    memcpy(out, in[0], (size_t)ir_count(n->shape) * sizeof *out);
    return OK;
}

/* out[i] = x[place], where place moves by step[d] along axis d of the result
 * and axis d wraps after wrap[d] steps. */
static void gather(ir_shape s, const int64_t *step, const int64_t *wrap, const double *x,
                   double *out)
{
    int64_t count = ir_count(s);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, at = 0;
        for (int d = s.rank - 1; d >= 0; d--) {
            at += rest % s.d[d] % wrap[d] * step[d];
            rest /= s.d[d];
        }
        out[i] = x[at];
    }
}

rc ir_eval_transpose(const ir_node *n, const double *const *in, double *out)
{
    int64_t step[IR_RANK], moved[IR_RANK];
    ir_strides(n->in[0]->shape, n->shape.rank, step);
    for (int i = 0; i < n->shape.rank; i++) moved[i] = step[n->attr.perm[i]];
    gather(n->shape, moved, n->shape.d, in[0], out);
    return OK;
}

rc ir_eval_slice(const ir_node *n, const double *const *in, double *out)
{
    int64_t step[IR_RANK], start = 0;
    ir_strides(n->in[0]->shape, n->shape.rank, step);
    for (int i = 0; i < n->shape.rank; i++) start += n->attr.begin[i] * step[i];
    gather(n->shape, step, n->shape.d, in[0] + start, out);
    return OK;
}

rc ir_eval_tile(const ir_node *n, const double *const *in, double *out)
{
    int64_t step[IR_RANK];
    ir_strides(n->in[0]->shape, n->shape.rank, step);
    gather(n->shape, step, n->in[0]->shape.d, in[0], out);
    return OK;
}

rc ir_eval_concat(const ir_node *n, const double *const *in, double *out)
{
    const cut c = cut_at(n->shape, n->attr.axis);
    for (int64_t o = 0; o < c.outer; o++) {
        for (int k = 0; k < n->n_in; k++) {
            int64_t run = n->in[k]->shape.d[n->attr.axis] * c.inner;
            memcpy(out, in[k] + o * run, (size_t)run * sizeof *out);
            out += run;
        }
    }
    return OK;
}

rc ir_eval_split(const ir_node *n, const double *const *in, double *out)
{
    const cut c = cut_at(n->in[0]->shape, n->attr.axis);
    int64_t run = c.n / n->attr.parts * c.inner;
    for (int64_t o = 0; o < c.outer; o++)
        memcpy(out + o * run, in[0] + (o * n->attr.parts + n->attr.index) * run,
               (size_t)run * sizeof *out);
    return OK;
}

/* To whole numbers toward zero, to bool by "not zero". */
rc ir_eval_cast(const ir_node *n, const double *const *in, double *out)
{
    int64_t count = ir_count(n->shape);
    for (int64_t i = 0; i < count; i++)
        out[i] = n->type == IR_INT32  ? trunc(in[0][i])
                 : n->type == IR_BOOL ? in[0][i] != 0
                                      : in[0][i];
    return OK;
}

rc ir_eval_reduce(const ir_node *n, const double *const *in, double *out)
{
    const ir_shape s = n->in[0]->shape;
    ir_shape kept = s;
    int64_t step[IR_RANK], count = ir_count(s), size = 1;
    for (int i = 0; i < n->attr.n_axes; i++) {
        size *= s.d[n->attr.axes[i]];
        kept.d[n->attr.axes[i]] = 1;
    }
    ir_strides(kept, s.rank, step);
    for (int64_t i = 0; n->op == IR_reduce_max && i < ir_count(kept); i++)
        out[i] = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, at = 0;
        for (int d = s.rank - 1; d >= 0; d--) {
            at += rest % s.d[d] * step[d];
            rest /= s.d[d];
        }
        if (n->op == IR_reduce_max) out[at] = fmax(out[at], in[0][i]);
        else out[at] += in[0][i];
    }
    for (int64_t i = 0; n->op == IR_reduce_mean && i < ir_count(kept); i++)
        out[i] /= (double)size;
    return OK;
}

rc ir_eval_softmax(const ir_node *n, const double *const *in, double *out)
{
    const cut c = cut_at(n->shape, n->attr.axis);
    for (int64_t l = 0; l < c.outer * c.inner; l++) {
        const int64_t at = l / c.inner * c.n * c.inner + l % c.inner;
        const double *x = in[0] + at;
        double *y = out + at, most = -INFINITY, sum = 0;
        for (int64_t i = 0; i < c.n; i++) most = fmax(most, x[i * c.inner]);
        for (int64_t i = 0; i < c.n; i++)
            sum += y[i * c.inner] = exp(x[i * c.inner] - most);
        for (int64_t i = 0; i < c.n; i++) y[i * c.inner] /= sum;
    }
    return OK;
}

/* ---- norms: the lines along one axis ---- */
static double mean_square(const double *x, cut c)
{
    double sum = 0;
    for (int64_t i = 0; i < c.n; i++) sum += x[i * c.inner] * x[i * c.inner];
    return sum / (double)c.n;
}

rc ir_eval_rms_scale(const ir_node *n, const double *const *in, double *out)
{
    const cut c = cut_at(n->in[0]->shape, n->attr.axis);
    for (int64_t l = 0; l < c.outer * c.inner; l++)
        out[l] = 1 /
                 sqrt(mean_square(in[0] + l / c.inner * c.n * c.inner + l % c.inner, c) +
                      n->attr.eps);
    return OK;
}

rc ir_eval_rms_norm(const ir_node *n, const double *const *in, double *out)
{
    const cut c = cut_at(n->shape, n->attr.axis);
    for (int64_t l = 0; l < c.outer * c.inner; l++) {
        const int64_t at = l / c.inner * c.n * c.inner + l % c.inner;
        double r = 1 / sqrt(mean_square(in[0] + at, c) + n->attr.eps);
        for (int64_t i = 0; i < c.n; i++)
            out[at + i * c.inner] = in[0][at + i * c.inner] * r * in[1][i];
    }
    return OK;
}

rc ir_eval_layer_norm(const ir_node *n, const double *const *in, double *out)
{
    const cut c = cut_at(n->shape, n->attr.axis);
    for (int64_t l = 0; l < c.outer * c.inner; l++) {
        const int64_t at = l / c.inner * c.n * c.inner + l % c.inner;
        const double *x = in[0] + at;
        double *y = out + at, mean = 0;
        for (int64_t i = 0; i < c.n; i++) mean += x[i * c.inner];
        mean /= (double)c.n;
        for (int64_t i = 0; i < c.n; i++) y[i * c.inner] = x[i * c.inner] - mean;
        double r = 1 / sqrt(mean_square(y, c) + n->attr.eps);
        for (int64_t i = 0; i < c.n; i++)
            y[i * c.inner] = y[i * c.inner] * r * in[1][i] + in[2][i];
    }
    return OK;
}
