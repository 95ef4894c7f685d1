/* lower_mac.c - matmul, linear, conv and attention as products of strided
 * matrices.
 *
 * The product takes any strides, so transposed, sliced and repeated operands
 * need no copy. A result whose columns are contiguous instead of its rows is
 * the product of the transposed operands in the other order. */
#include <math.h>
#include <string.h>
#include "dev/emu/emu.h"

/* Result and operands share leading axes of sizes d; an operand that lacks or
 * repeats one has stride 0 there. */
static void batch_strides(const emu_val *v, int rank, int64_t *s)
{
    int skip = rank - (v->rank - 2);
    for (int i = 0; i < rank; i++)
        s[i] = i < skip || v->d[i - skip] == 1 ? 0 : v->v.st[i - skip];
}

/* C = A B  <=>  C^T = B^T A^T: exchange operands, their strides and the sizes. */
static void swap_sides(emu_gemm *g)
{
    kern_mat a = g->a;
    size_t m = g->m;
    int v = g->a_val;
    g->a = (kern_mat){.type = g->type, .rs = g->b.cs, .cs = g->b.rs};
    g->b = (kern_mat){.type = g->type, .rs = a.cs, .cs = a.rs};
    g->m = g->n;
    g->n = m;
    g->a_val = g->b_val;
    g->b_val = v;
    for (int i = 0; i < g->rank; i++) {
        int64_t s = g->sa[i];
        g->sa[i] = g->sb[i];
        g->sb[i] = s;
    }
}

/* Drop axes of one, merge neighbours that step alike, fold a batch that only
 * lengthens m into m, and give the last axis to the kernel's own batch. */
static void settle_batches(emu_gemm *g)
{
    int n = 0;
    for (int i = 0; i < g->rank; i++) {
        if (g->d[i] == 1) continue;
        bool merge = n > 0 && g->sa[n - 1] == g->sa[i] * g->d[i] &&
                     g->sb[n - 1] == g->sb[i] * g->d[i] &&
                     g->sc[n - 1] == g->sc[i] * g->d[i];
        int at = merge ? n - 1 : n++;
        g->d[at] = merge ? g->d[at] * g->d[i] : g->d[i];
        g->sa[at] = g->sa[i];
        g->sb[at] = g->sb[i];
        g->sc[at] = g->sc[i];
    }
    if (n && g->bias < 0 && g->sb[n - 1] == 0 &&
        g->sa[n - 1] == g->a.rs * (int64_t)g->m &&
        g->sc[n - 1] == g->c.rs * (int64_t)g->m) {
        g->m *= (size_t)g->d[n - 1];
        n--;
    }
    g->n_batch = 1;
    if (n) {
        n--;
        g->n_batch = (size_t)g->d[n];
        g->a.batch = g->sa[n];
        g->b.batch = g->sb[n];
        g->c.batch = g->sc[n];
    }
    g->rank = n;
}

/* out = alpha * x y (+ bias), over the leading axes. tx, ty: the last two axes
 * stand transposed. bias runs along the rows (or, by_column, the columns) of
 * the result. `out` has one of its last two strides equal to 1. */
static rc add_product(emu_plan *p, int x, int y, bool tx, bool ty, int out, float alpha,
                      int bias, bool by_column)
{
    emu_node *n = x < 0 || y < 0 || out < 0 ? NULL : emu_add_node(p, EMU_GEMM);
    if (!n) return E_MEMORY;
    const emu_val *a = &p->vals[x], *b = &p->vals[y], *c = &p->vals[out];
    emu_gemm *g = &n->gemm;
    n->n_in = bias >= 0 ? 3 : 2;
    n->in[0] = x;
    n->in[1] = y;
    n->in[2] = bias;
    n->out = out;
    int ar = a->rank - (tx ? 1 : 2), ac = a->rank - (tx ? 2 : 1);
    int br = b->rank - (ty ? 1 : 2), bc = b->rank - (ty ? 2 : 1);
    int64_t rs = c->v.st[c->rank - 2], cs = c->v.st[c->rank - 1];
    *g = (emu_gemm){.m = (size_t)a->d[ar],
                    .n = (size_t)b->d[bc],
                    .k = (size_t)a->d[ac],
                    .type = emu_kern_type(c->store),
                    .alpha = alpha,
                    .bias = bias,
                    .a_val = x,
                    .b_val = y,
                    .rank = c->rank - 2};
    g->a = (kern_mat){.type = g->type, .rs = a->v.st[ar], .cs = a->v.st[ac]};
    g->b = (kern_mat){.type = g->type, .rs = b->v.st[br], .cs = b->v.st[bc]};
    memcpy(g->d, c->d, sizeof g->d);
    batch_strides(a, g->rank, g->sa);
    batch_strides(b, g->rank, g->sb);
    batch_strides(c, g->rank, g->sc);
    bool swap = by_column || (cs != 1 && g->n != 1);
    if (swap) swap_sides(g);
    g->c = (kern_out){.type = g->type, .rs = swap ? cs : rs};
    settle_batches(g);
    return p->exact ? kern_exact_reserve(p->k, g->m, g->n, g->k)
                    : kern_gemm_reserve(p->k, g->m, g->n, g->k);
}

rc emu_multiply(emu_plan *p, int x, int y, int out)
{
    return add_product(p, x, y, false, false, out, 1, -1, false);
}

/* Operands keep their layout whatever it is. */
rc emu_lower_matmul(emu_plan *p, const dev_op *o, int *out)
{
    int x = emu_value(p, o->arg[0]), y = emu_value(p, o->arg[1]);
    if (x < 0 || y < 0) return E_MEMORY;
    *out = emu_result(p, o->out[0]);
    return add_product(p, x, y, o->a.tx, o->a.ty, *out, 1, -1, false);
}

/* y[.., O] = x[.., I] W^T + bias: held as [O, T], so that the bias runs along
 * rows and is added before the one rounding, as the engine's is. */
rc emu_lower_linear(emu_plan *p, const dev_op *o, int *out)
{
    rc r;
    if (emu_lower_int8_linear(p, o, out, &r)) return r;
    int x = emu_packed(p, emu_value(p, o->arg[0])), w = emu_value(p, o->arg[1]);
    int bias = o->arg[2] < 0 ? -1 : emu_packed(p, emu_value(p, o->arg[2]));
    if (x < 0 || w < 0 || (o->arg[2] >= 0 && bias < 0)) return E_MEMORY;
    emu_val v = p->vals[x];
    int64_t width = v.d[v.rank - 1], rows = emu_count(&v) / width, outs = p->vals[w].d[0];
    const mil_type *t = &p->code->values[o->out[0]].type;
    int flat = emu_view_of(p, x, 2, (int64_t[]){rows, width},
                           (emu_view){v.v.root, v.v.off, {width, 1}});
    if (bias < 0) {
        *out = emu_result(p, o->out[0]);
        if (*out < 0) return E_MEMORY;
        int packed = emu_view_of(p, *out, 2, (int64_t[]){rows, outs},
                                 (emu_view){p->vals[*out].v.root, 0, {outs, 1}});
        return add_product(p, flat, w, false, true, packed, 1, -1, false);
    }
    int held = emu_add_val(p, 2, (int64_t[]){outs, rows}, v.store);
    if (held < 0) return E_MEMORY;
    int turned = emu_view_of(p, held, 2, (int64_t[]){rows, outs},
                             (emu_view){p->vals[held].v.root, 0, {1, rows}});
    emu_view w4 = {.root = p->vals[held].v.root};
    int64_t step = 1;
    for (int i = t->rank - 2; i >= 0; i--) {
        w4.st[i] = step;
        step *= t->d[i];
    }
    w4.st[t->rank - 1] = rows;
    *out = emu_view_of(p, held, t->rank, t->d, w4);
    return add_product(p, flat, w, false, true, turned, 1, bias, true);
}

/* ---- convolution: [O/g, k] x [k, places], k = I/g * kh * kw ---- */
static bool pointwise(const emu_im2col *c)
{
    return c->kh == 1 && c->kw == 1 && c->stride[0] == 1 && c->stride[1] == 1 &&
           !c->pad[0] && !c->pad[1] && c->oh == c->h && c->ow == c->w;
}

/* One row for each weight element of a channel, one column for each place. */
static int unfold(emu_plan *p, int image, const emu_im2col *c)
{
    int64_t d[2] = {c->ch * c->kh * c->kw, c->oh * c->ow};
    int v = emu_add_val(p, 2, d, p->vals[image].store);
    emu_node *n = v < 0 ? NULL : emu_add_node(p, EMU_IM2COL);
    if (!n) return -1;
    n->n_in = 1;
    n->in[0] = image;
    n->out = v;
    n->im2col = *c;
    return v;
}

/* One spatial axis is two with a height of one. */
static void window(const emu_plan *p, const dev_op *o, const emu_val *x, emu_im2col *c)
{
    const mil_type *w = &p->code->values[o->arg[1]].type;
    const mil_type *t = &p->code->values[o->out[0]].type;
    bool flat = x->rank == 3;
    *c = (emu_im2col){.ch = x->d[1],
                      .h = flat ? 1 : x->d[2],
                      .w = x->d[x->rank - 1],
                      .kh = flat ? 1 : w->d[2],
                      .kw = w->d[w->rank - 1],
                      .oh = flat ? 1 : t->d[2],
                      .ow = t->d[t->rank - 1],
                      .pad = {flat ? 0 : o->a.pad[0], o->a.pad[2]}};
    memcpy(c->stride, o->a.stride, sizeof c->stride);
    memcpy(c->dilation, o->a.dilation, sizeof c->dilation);
}

/* A weight that is not a constant is ignored by the engine (rule
 * conv_runtime_weight; only faithful mode comes here): zeros. */
static int conv_weight(emu_plan *p, const dev_op *o)
{
    int w = emu_value(p, o->arg[1]);
    if (w < 0 || p->code->values[o->arg[1]].constant || !p->params->faithful)
        return emu_packed(p, w);
    emu_val v = p->vals[w];
    int z = emu_add_val(p, v.rank, v.d, v.store);
    if (z < 0) return -1;
    emu_root *r = &p->roots[p->vals[z].v.root];
    r->where = EMU_CONST;
    r->data = arena_take(p->mem, r->bytes);
    return r->data ? z : -1;
}

/* y = x conv w + bias over packed values: y [N,O,oh,ow], w [O,I/g,kh,kw].
 * Images one by one; groups are a batch of products unless a bias, which runs
 * along the rows of one product, needs them apart. */
rc emu_add_conv(emu_plan *p, int x, int w, int bias, const emu_im2col *c, int64_t g,
                int y)
{
    if (x < 0 || w < 0 || y < 0) return E_MEMORY;
    emu_val v = p->vals[x];
    int64_t places = c->oh * c->ow, outs = p->vals[w].d[0];
    int64_t k = c->ch / g * c->kh * c->kw, image = c->ch * c->h * c->w;
    int wv = emu_view_of(
        p, w, 3, (int64_t[]){g, outs / g, k},
        (emu_view){p->vals[w].v.root, p->vals[w].v.off, {outs / g * k, k, 1}});
    for (int64_t n = 0; n < v.d[0]; n++) {
        emu_view at = {v.v.root, v.v.off + n * image, {c->h * c->w, c->w, 1}};
        int one = emu_view_of(p, x, 3, (int64_t[]){c->ch, c->h, c->w}, at);
        if (one < 0) return E_MEMORY;
        int cols = pointwise(c) ? one : unfold(p, one, c);
        if (cols < 0) return E_MEMORY;
        emu_view src = p->vals[cols].v, dst = {.root = p->vals[y].v.root};
        memcpy(src.st, (int64_t[]){k * places, places, 1}, 3 * sizeof(int64_t));
        int xv = emu_view_of(p, cols, 3, (int64_t[]){g, k, places}, src);
        if (xv < 0) return E_MEMORY;
        /* A bias runs along all channels, so groups with one go one by one. */
        for (int64_t b = 0; b < (bias >= 0 ? g : 1); b++) {
            int64_t many = bias >= 0 ? 1 : g;
            emu_view wb = p->vals[wv].v, xb = p->vals[xv].v;
            wb.off += b * wb.st[0];
            xb.off += b * xb.st[0];
            dst.off = (n * outs + b * (outs / g)) * places;
            memcpy(dst.st, (int64_t[]){outs / g * places, places, 1},
                   3 * sizeof(int64_t));
            int wi = emu_view_of(p, wv, 3, (int64_t[]){many, outs / g, k}, wb);
            int xi = emu_view_of(p, xv, 3, (int64_t[]){many, k, places}, xb);
            int yi = emu_view_of(p, y, 3, (int64_t[]){many, outs / g, places}, dst);
            int bi = bias < 0
                         ? -1
                         : emu_view_of(p, bias, 1, (int64_t[]){outs / g},
                                       (emu_view){p->vals[bias].v.root,
                                                  p->vals[bias].v.off + b * (outs / g),
                                                  {1}});
            TRY(add_product(p, wi, xi, false, false, yi, 1, bi, false));
        }
    }
    return OK;
}

rc emu_lower_conv(emu_plan *p, const dev_op *o, int *out)
{
    rc r;
    emu_im2col c;
    int x = emu_packed(p, emu_value(p, o->arg[0])), w = conv_weight(p, o);
    int bias = o->arg[2] < 0 ? -1 : emu_packed(p, emu_value(p, o->arg[2]));
    if (x < 0 || w < 0 || (o->arg[2] >= 0 && bias < 0)) return E_MEMORY;
    window(p, o, &p->vals[x], &c);
    if (emu_lower_int8_conv(p, o, &c, out, &r)) return r;
    *out = emu_result(p, o->out[0]);
    if (*out >= 0 && o->a.groups == 1 && emu_is_winograd(p, &c, p->vals[x].store))
        return emu_lower_winograd(p, x, w, bias, &c, *out);
    return emu_add_conv(p, x, w, bias, &c, o->a.groups, *out);
}

/* softmax(q k^T / sqrt(E)) v; a mask is ignored (rule sdpa_mask; strict mode
 * has refused it). */
rc emu_lower_sdpa(emu_plan *p, const dev_op *o, int *out)
{
    int q = emu_value(p, o->arg[0]), k = emu_value(p, o->arg[1]),
        v = emu_value(p, o->arg[2]);
    if (q < 0 || k < 0 || v < 0) return E_MEMORY;
    emu_val s = p->vals[q];
    float scale = (float)(1.0 / sqrt((double)s.d[s.rank - 1]));
    s.d[s.rank - 1] = p->vals[k].d[s.rank - 2];
    int scores = emu_add_val(p, s.rank, s.d, s.store);
    TRY(add_product(p, q, k, false, true, scores, scale, -1, false));
    int probs = emu_add_softmax(p, scores, s.rank - 1);
    *out = emu_result(p, o->out[0]);
    return add_product(p, probs, v, false, false, *out, 1, -1, false);
}
