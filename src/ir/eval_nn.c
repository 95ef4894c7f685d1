/* eval_nn.c - the oracle's loops for products, convolutions, positions,
 * attention, embedding and loss. */
#include "ir/table.h"

#include <math.h>

/* ---- matmul ---- */
static void product(int64_t m, int64_t n, int64_t k, const double *x, int64_t xm,
                    int64_t xk, const double *y, int64_t yk, int64_t yn, double *z)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = 0; j < n; j++)
                z[i * n + j] += x[i * xm + p * xk] * y[p * yk + j * yn];
}

rc ir_eval_matmul(const ir_node *n, const double *const *in, double *out)
{
    const ir_shape s = n->shape;
    ir_shape x = n->in[0]->shape, y = n->in[1]->shape;
    const bool tx = n->attr.tx, ty = n->attr.ty;
    int64_t xc = x.d[x.rank - 1], yc = y.d[y.rank - 1];
    int64_t m = s.d[s.rank - 2], cols = s.d[s.rank - 1], k = tx ? x.d[x.rank - 2] : xc;
    int64_t xstep[IR_RANK], ystep[IR_RANK];
    ir_strides(x, s.rank, xstep);
    ir_strides(y, s.rank, ystep);
    for (int64_t b = 0; b < ir_count(s) / (m * cols); b++) {
        int64_t rest = b, xat = 0, yat = 0;
        for (int d = s.rank - 3; d >= 0; d--) {
            xat += rest % s.d[d] * xstep[d];
            yat += rest % s.d[d] * ystep[d];
            rest /= s.d[d];
        }
        product(m, cols, k, in[0] + xat, tx ? 1 : xc, tx ? xc : 1, in[1] + yat,
                ty ? 1 : yc, ty ? yc : 1, out + b * m * cols);
    }
    return OK;
}

/* ---- conv and its gradients ----
 * All three visit the same triples (x, w, y) with y += x * w; which of the
 * three is the result tells them apart. */
typedef struct {
    ir_shape x, w, y;
    const double *xv, *wv, *yv;
    double *out;
    ir_op op;
} triple;

static void visit_row(const triple *t, const ir_attr *a, int64_t b, int64_t o, int64_t c,
                      int64_t oh, int64_t kh)
{
    int64_t h = oh * a->stride[0] + kh * a->dilation[0] - a->pad[0];
    int64_t channel = o / (t->w.d[0] / a->groups) * t->w.d[1] + c;
    if (h < 0 || h >= t->x.d[2]) return;
    for (int64_t ow = 0; ow < t->y.d[3]; ow++) {
        for (int64_t kw = 0; kw < t->w.d[3]; kw++) {
            int64_t col = ow * a->stride[1] + kw * a->dilation[1] - a->pad[2];
            if (col < 0 || col >= t->x.d[3]) continue;
            int64_t ix = ((b * t->x.d[1] + channel) * t->x.d[2] + h) * t->x.d[3] + col;
            int64_t iw = ((o * t->w.d[1] + c) * t->w.d[2] + kh) * t->w.d[3] + kw;
            int64_t iy = ((b * t->y.d[1] + o) * t->y.d[2] + oh) * t->y.d[3] + ow;
            if (t->op == IR_conv) t->out[iy] += t->xv[ix] * t->wv[iw];
            if (t->op == IR_conv_dx) t->out[ix] += t->yv[iy] * t->wv[iw];
            if (t->op == IR_conv_dw) t->out[iw] += t->yv[iy] * t->xv[ix];
        }
    }
}

rc ir_eval_conv(const ir_node *n, const double *const *in, double *out)
{
    const ir_shape s0 = n->in[0]->shape, s1 = n->in[1]->shape;
    triple t = {.out = out, .op = n->op};
    if (n->op == IR_conv) t.x = s0, t.w = s1, t.y = n->shape, t.xv = in[0], t.wv = in[1];
    if (n->op == IR_conv_dx)
        t.x = n->shape, t.w = s0, t.y = s1, t.wv = in[0], t.yv = in[1];
    if (n->op == IR_conv_dw)
        t.x = s0, t.w = n->shape, t.y = s1, t.xv = in[0], t.yv = in[1];
    for (int64_t b = 0; b < t.y.d[0]; b++)
        for (int64_t o = 0; o < t.y.d[1]; o++)
            for (int64_t c = 0; c < t.w.d[1]; c++)
                for (int64_t oh = 0; oh < t.y.d[2]; oh++)
                    for (int64_t kh = 0; kh < t.w.d[2]; kh++)
                        visit_row(&t, &n->attr, b, o, c, oh, kh);
    return OK;
}

/* ---- rope ----
 * Pair i of a head turns by position * theta^(-2i/head_dim).
 * Source: Su et al., RoFormer, 2021; `interleaved` pairs neighbours as
 * llama2.c does, else the two halves as Hugging Face models do. */
rc ir_eval_rope(const ir_node *n, const double *const *in, double *out)
{
    const ir_attr *a = &n->attr;
    const int64_t t = n->shape.d[3], seq = t / a->batch, half = a->head_dim / 2;
    for (int64_t h = 0; h < a->heads; h++) {
        for (int64_t i = 0; i < half; i++) {
            int64_t c1 = h * a->head_dim + (a->interleaved ? 2 * i : i);
            int64_t c2 = c1 + (a->interleaved ? 1 : half);
            double rate = pow(a->theta, -2.0 * (double)i / a->head_dim);
            for (int64_t j = 0; j < t; j++) {
                double angle = (double)(j % seq) * rate * (a->inverse ? -1 : 1);
                double x1 = in[0][c1 * t + j], x2 = in[0][c2 * t + j];
                out[c1 * t + j] = x1 * cos(angle) - x2 * sin(angle);
                out[c2 * t + j] = x1 * sin(angle) + x2 * cos(angle);
            }
        }
    }
    return OK;
}

/* ---- attention ---- */
/* A query column j of head channels q0.., and its keys: channels k0.. of columns
 * first..j. */
typedef struct {
    int64_t q0, k0, first, j;
} query;

/* p: a weight a key. */
static void look(const ir_node *n, const double *const *in, query a, double *p)
{
    const int64_t t = n->shape.d[3], hd = n->attr.head_dim, seen = a.j - a.first + 1;
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < seen; i++) {
        double dot = 0;
        for (int64_t c = 0; c < hd; c++)
            dot += in[0][(a.q0 + c) * t + a.j] * in[1][(a.k0 + c) * t + a.first + i];
        p[i] = dot * n->attr.scale;
        most = fmax(most, p[i]);
    }
    for (int64_t i = 0; i < seen; i++) sum += p[i] = exp(p[i] - most);
    for (int64_t i = 0; i < seen; i++) p[i] /= sum;
}

static void attend(const ir_node *n, const double *const *in, query a, double *p,
                   double *out)
{
    const int64_t t = n->shape.d[3], hd = n->attr.head_dim, seen = a.j - a.first + 1;
    look(n, in, a, p);
    for (int64_t c = 0; c < hd; c++)
        for (int64_t i = 0; i < seen; i++)
            out[(a.q0 + c) * t + a.j] += p[i] * in[2][(a.k0 + c) * t + a.first + i];
}

/* With dp = dy.v: d score = p (dp - sum of p dp). p has room for two rows. */
static void attend_dx(const ir_node *n, const double *const *in, query a, double *p,
                      double *out)
{
    const double *q = in[0], *k = in[1], *v = in[2], *dy = in[3];
    const int64_t t = n->shape.d[3], hd = n->attr.head_dim, seen = a.j - a.first + 1;
    double *ds = p + seen, along = 0;
    look(n, in, a, p);
    for (int64_t i = 0; i < seen; i++) {
        ds[i] = 0;
        for (int64_t c = 0; c < hd; c++)
            ds[i] += dy[(a.q0 + c) * t + a.j] * v[(a.k0 + c) * t + a.first + i];
        along += p[i] * ds[i];
    }
    for (int64_t i = 0; i < seen; i++) ds[i] = p[i] * (ds[i] - along) * n->attr.scale;
    for (int64_t c = 0; c < hd; c++)
        for (int64_t i = 0; i < seen; i++) {
            const int64_t here = (a.q0 + c) * t + a.j, key = (a.k0 + c) * t + a.first + i;
            if (n->attr.index == 0) out[here] += ds[i] * k[key];
            if (n->attr.index == 1) out[key] += ds[i] * q[here];
            if (n->attr.index == 2) out[key] += p[i] * dy[here];
        }
}

static rc each_query(const ir_node *n, const double *const *in, double *out,
                     void (*one)(const ir_node *, const double *const *, query, double *,
                                 double *))
{
    const ir_attr *a = &n->attr;
    const int64_t t = n->shape.d[3], seq = t / a->batch, r = a->heads / a->kv_heads;
    double *p = mem_take(mem_mul((size_t)seq, 2 * sizeof *p));
    if (!p) return E_MEMORY;
    for (int64_t h = 0; h < a->heads; h++)
        for (int64_t j = 0; j < t; j++)
            one(n, in, (query){h * a->head_dim, h / r * a->head_dim, j - j % seq, j}, p,
                out);
    mem_drop(p);
    return OK;
}

rc ir_eval_attention(const ir_node *n, const double *const *in, double *out)
{
    return each_query(n, in, out, attend);
}

rc ir_eval_attention_dx(const ir_node *n, const double *const *in, double *out)
{
    return each_query(n, in, out, attend_dx);
}

/* ---- embedding and loss ---- */
static rc check_id(double id, int64_t rows, bool may_skip)
{
    if ((may_skip && id < 0) || (id >= 0 && id < (double)rows && id == floor(id)))
        return OK;
    return err_fail(E_SHAPE, "id %g is not one of %lld rows", id, (long long)rows);
}

rc ir_eval_embedding(const ir_node *n, const double *const *in, double *out)
{
    const int64_t d = n->shape.d[1], t = n->shape.d[3];
    for (int64_t j = 0; j < t; j++) {
        TRY(check_id(in[1][j], n->in[0]->shape.d[0], false));
        for (int64_t c = 0; c < d; c++) out[c * t + j] = in[0][(int64_t)in[1][j] * d + c];
    }
    return OK;
}

rc ir_eval_embedding_dw(const ir_node *n, const double *const *in, double *out)
{
    const int64_t d = n->shape.d[1], t = n->in[1]->shape.d[3];
    for (int64_t j = 0; j < t; j++) {
        TRY(check_id(in[0][j], n->shape.d[0], false));
        for (int64_t c = 0; c < d; c++)
            out[(int64_t)in[0][j] * d + c] += in[1][c * t + j];
    }
    return OK;
}

/* ln of the sum of exponentials of column j. */
static double log_sum(const double *x, int64_t v, int64_t t, int64_t j)
{
    double most = -INFINITY, sum = 0;
    for (int64_t c = 0; c < v; c++) most = fmax(most, x[c * t + j]);
    for (int64_t c = 0; c < v; c++) sum += exp(x[c * t + j] - most);
    return most + log(sum);
}

/* Targets that count; none of them gives loss 0 and gradient 0. */
static rc counted(const double *ids, int64_t t, int64_t v, double *out)
{
    *out = 0;
    for (int64_t j = 0; j < t; j++) {
        TRY(check_id(ids[j], v, true));
        *out += ids[j] >= 0;
    }
    return OK;
}

rc ir_eval_cross_entropy(const ir_node *n, const double *const *in, double *out)
{
    const int64_t v = n->in[0]->shape.d[1], t = n->in[0]->shape.d[3];
    double count, sum = 0;
    TRY(counted(in[1], t, v, &count));
    for (int64_t j = 0; j < t; j++)
        if (in[1][j] >= 0)
            sum += log_sum(in[0], v, t, j) - in[0][(int64_t)in[1][j] * t + j];
    out[0] = count > 0 ? sum / count : 0;
    return OK;
}

rc ir_eval_cross_entropy_dx(const ir_node *n, const double *const *in, double *out)
{
    const int64_t v = n->shape.d[1], t = n->shape.d[3];
    double count;
    TRY(counted(in[1], t, v, &count));
    for (int64_t j = 0; j < t; j++) {
        if (in[1][j] < 0) continue;
        double all = log_sum(in[0], v, t, j);
        for (int64_t c = 0; c < v; c++)
            out[c * t + j] = (exp(in[0][c * t + j] - all) - (c == (int64_t)in[1][j])) *
                             in[2][0] / count;
    }
    return OK;
}

/* ---- a loss that a device computes ----
 * A product of target_code with the same code of +-1 of any row of the vocabulary is
 * d n/2 at the target and at least d less elsewhere. */
rc ir_eval_target_code(const ir_node *n, const double *const *in, double *out)
{
    const int64_t bits = n->shape.d[1] - 1, t = n->shape.d[3];
    double count;
    TRY(counted(in[0], t, n->attr.vocab, &count));
    for (int64_t j = 0; j < t; j++) {
        double d = in[0][j] >= 0 ? in[1][0] / count : 0;
        int64_t id = in[0][j] >= 0 ? (int64_t)in[0][j] : 0;
        for (int64_t i = 0; i < bits; i++) out[i * t + j] = id >> i & 1 ? d / 2 : -d / 2;
        out[bits * t + j] = d;
    }
    return OK;
}

rc ir_eval_target_loss(const ir_node *n, const double *const *in, double *out)
{
    const int64_t v = n->in[0]->shape.d[1], t = n->in[0]->shape.d[3];
    double count, sum = 0;
    TRY(counted(in[1], t, v, &count));
    for (int64_t j = 0; j < t; j++)
        if (in[1][j] >= 0)
            sum += in[2][j] + log(in[3][j] * n->attr.scale) -
                   in[0][(int64_t)in[1][j] * t + j];
    out[0] = count > 0 ? sum / count : 0;
    return OK;
}
