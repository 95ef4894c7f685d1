/* int8.c - products of 8-bit operands in `exact`.
 *
 * Where a convolution or linear layer has int8 on both sides, an activation that
 * a dequantize makes and a weight stored as int8, the engine multiplies the whole
 * numbers themselves: sums are 32-bit whole numbers, infinite for good from 2^31
 * on, and the scales come after, with the one rounding to fp16. There is no limit of
 * 32768 (M6 microarchitecture study: a sum of 2^30 is exact, 2^31 infinite, results
 * reach 64512). Zero points must be 0. How a bias is added is not published:
 * here to the scaled sum, before its rounding. */
#include <math.h>
#include <string.h>
#include "dev/emu/emu.h"

/* ---- lowering ---- */
static const dev_op *maker(const emu_plan *p, int value)
{
    const dev_value *v = &p->code->values[value];
    return v->op < 0 ? NULL : &p->code->ops[v->op];
}

static bool all_zero(const emu_plan *p, int value)
{
    if (value < 0) return true;
    const dev_value *v = &p->code->values[value];
    for (int64_t i = 0; v->constant && i < mil_count(&v->type); i++)
        if (dev_const_at(v, (size_t)i) != 0) return false;
    return v->constant;
}

static bool is_int8(const emu_plan *p, int value)
{
    return p->code->values[value].type.dtype == MIL_INT8;
}

/* One number, or one for each of outs results. */
static bool scale_fits(const emu_plan *p, const dev_op *o, int64_t outs)
{
    const dev_value *s = &p->code->values[o->arg[1]];
    bool first = o->kind != DEV_OP_constexpr_affine_dequantize || o->a.axis == 0;
    int64_t n = mil_count(&s->type);
    return s->constant && (n == 1 || (n == outs && first && s->type.d[0] == outs));
}

/* The ops that make both operands of o from int8, if they are that. */
static bool find_sources(const emu_plan *p, const dev_op *o, emu_int8 *q)
{
    const dev_op *x = maker(p, o->arg[0]), *w = maker(p, o->arg[1]);
    if (!p->exact || !x || !w || x->kind != DEV_OP_dequantize) return false;
    if (w->kind != DEV_OP_constexpr_affine_dequantize &&
        w->kind != DEV_OP_constexpr_blockwise_shift_scale)
        return false;
    q->m = p->code->values[o->arg[1]].type.d[0];
    q->x_scale = x->arg[1];
    q->w_scale = w->arg[1];
    q->x = x->arg[0];
    q->w = w->arg[0];
    return is_int8(p, q->x) && is_int8(p, q->w) && all_zero(p, x->arg[2]) &&
           all_zero(p, w->arg[2]) && scale_fits(p, x, -1) && scale_fits(p, w, q->m) &&
           p->code->values[o->out[0]].type.dtype == MIL_FP16;
}

static rc add_node(emu_plan *p, const emu_int8 *q, int x, int w, int bias, int y)
{
    emu_node *n = x < 0 || w < 0 || y < 0 ? NULL : emu_add_node(p, EMU_INT8);
    if (!n) return E_MEMORY;
    n->n_in = bias < 0 ? 2 : 3;
    n->in[0] = x;
    n->in[1] = w;
    n->in[2] = bias;
    n->out = y;
    n->int8 = *q;
    return OK;
}

/* y [.., m] = x [.., k] w^T */
bool emu_lower_int8_linear(emu_plan *p, const dev_op *o, int *out, rc *r)
{
    emu_int8 q = {.groups = 1};
    if (!find_sources(p, o, &q)) return false;
    int x = emu_packed(p, emu_value(p, q.x)), w = emu_packed(p, emu_value(p, q.w));
    int bias = o->arg[2] < 0 ? -1 : emu_packed(p, emu_value(p, o->arg[2]));
    *out = emu_result(p, o->out[0]);
    q.k = p->code->values[o->arg[1]].type.d[1];
    q.places = x < 0 ? 0 : emu_count(&p->vals[x]) / q.k;
    q.k_step = q.y_m = 1;
    q.place_step = q.k;
    q.y_place = q.m;
    *r = o->arg[2] >= 0 && bias < 0 ? E_MEMORY : add_node(p, &q, x, w, bias, *out);
    return true;
}

/* Images one by one, unfolded; c is the window of o. */
bool emu_lower_int8_conv(emu_plan *p, const dev_op *o, const emu_im2col *c, int *out,
                         rc *r)
{
    emu_int8 q = {.groups = o->a.groups};
    if (!find_sources(p, o, &q)) return false;
    int x = emu_packed(p, emu_value(p, q.x)), w = emu_packed(p, emu_value(p, q.w));
    int bias = o->arg[2] < 0 ? -1 : emu_packed(p, emu_value(p, o->arg[2]));
    int y = *out = emu_result(p, o->out[0]);
    *r = x < 0 || w < 0 || y < 0 || (o->arg[2] >= 0 && bias < 0) ? E_MEMORY : OK;
    if (*r != OK) return true;
    q.k = c->ch / q.groups * c->kh * c->kw;
    q.places = q.k_step = q.y_m = c->oh * c->ow;
    q.place_step = q.y_place = 1;
    emu_view from = p->vals[x].v, to = p->vals[y].v;
    for (int64_t i = 0; i < p->vals[x].d[0] && *r == OK; i++) {
        emu_view xi = {
            from.root, from.off + i * c->ch * c->h * c->w, {c->h * c->w, c->w, 1}};
        emu_view yi = {to.root, to.off + i * q.m * q.places, {q.places, c->ow, 1}};
        int image = emu_view_of(p, x, 3, (int64_t[]){c->ch, c->h, c->w}, xi);
        int result = emu_view_of(p, y, 3, (int64_t[]){q.m, c->oh, c->ow}, yi);
        int64_t d[2] = {c->ch * c->kh * c->kw, q.places};
        int cols = emu_add_val(p, 2, d, MIL_INT8);
        emu_node *n = image < 0 || cols < 0 ? NULL : emu_add_node(p, EMU_IM2COL);
        if (!n) {
            *r = E_MEMORY;
            break;
        }
        n->n_in = 1;
        n->in[0] = image;
        n->out = cols;
        n->im2col = *c;
        *r = add_node(p, &q, cols, w, bias, result);
    }
    return true;
}

/* ---- running ---- */
typedef struct {
    const emu_plan *p;
    const emu_node *n;
    atomic_ullong *n_over;
} work;

/* Sticky from 2^31 on; no part of a sum can reach that unless k is huge. */
static int64_t sum_of(const emu_int8 *q, const int8_t *w, const int8_t *x, bool *over)
{
    int64_t sum = 0;
    const int64_t limit = (int64_t)1 << 31;
    *over = false;
    for (int64_t k = 0; k < q->k && !*over; k++) {
        sum += (int64_t)w[k] * x[k * q->k_step];
        *over = sum >= limit || sum < -limit;
    }
    return sum;
}

static double bias_of(const work *t, size_t m)
{
    if (t->n->n_in < 3) return 0;
    const emu_val *v = &t->p->vals[t->n->in[2]];
    const void *at = emu_at(t->p, t->n->in[2]);
    return v->store == MIL_FP32 ? (double)((const float *)at)[m]
                                : half_to_double(((const half *)at)[m]);
}

static double scale_of(const emu_plan *p, int value, size_t m)
{
    const dev_value *s = &p->code->values[value];
    return dev_const_at(s, mil_count(&s->type) > 1 ? m : 0);
}

/* All places of one result channel. */
static void channel(void *ctx, size_t m)
{
    const work *t = ctx;
    const emu_int8 *q = &t->n->int8;
    int64_t group = (int64_t)m / (q->m / q->groups);
    const int8_t *w = (const int8_t *)emu_at(t->p, t->n->in[1]) + (int64_t)m * q->k;
    const int8_t *x = (const int8_t *)emu_at(t->p, t->n->in[0]) +
                      (q->groups > 1 ? group * q->k * q->k_step : 0);
    half *y = (half *)emu_at(t->p, t->n->out) + (int64_t)m * q->y_m;
    double scale = scale_of(t->p, q->x_scale, 0) * scale_of(t->p, q->w_scale, m);
    double bias = bias_of(t, m);
    uint64_t n_over = 0;
    for (int64_t i = 0; i < q->places; i++) {
        bool over;
        int64_t sum = sum_of(q, w, x + i * q->place_step, &over);
        double v = (double)sum * scale + bias + 0.0;
        half h = !over     ? half_from_double_away(v)
                 : sum < 0 ? HALF_INF | 0x8000
                           : HALF_INF;
        y[i * q->y_place] = h == 0x8000 ? 0 : h;
        n_over += over;
    }
    if (n_over) atomic_fetch_add(t->n_over, n_over);
}

/* Numbers that are not zero, by k, on both sides. */
uint64_t emu_int8_products(const emu_plan *p, const emu_node *n)
{
    const emu_int8 *q = &n->int8;
    const int8_t *w = (const int8_t *)emu_at(p, n->in[1]);
    const int8_t *x = (const int8_t *)emu_at(p, n->in[0]);
    int64_t m = q->m / q->groups;
    uint64_t products = 0;
    for (int64_t i = 0; i < q->groups * q->k; i++) {
        int64_t group = i / q->k, k = i % q->k;
        uint64_t in_w = 0, in_x = 0;
        for (int64_t j = 0; j < m; j++) in_w += w[(group * m + j) * q->k + k] != 0;
        for (int64_t j = 0; j < q->places; j++)
            in_x += x[i * q->k_step + j * q->place_step] != 0;
        products += in_w * in_x;
    }
    return products;
}

void emu_int8_run(const emu_plan *p, const emu_node *n, atomic_ullong *n_over)
{
    work t = {p, n, n_over};
    kern_for(p->k, (size_t)n->int8.m, channel, &t);
}
