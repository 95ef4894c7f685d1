/* winograd.c - 3 x 3 convolutions as M5 and M6 compute them in `exact`.
 *
 * Two neighbours of a row of results are made from four sums instead of six:
 * Winograd's F(2,3), along the width only. With d0..d3 four neighbours of a row
 * of the image and g0..g2 a row of the kernel,
 *
 *   V = d0 - d2, d1 + d2, d2 - d1, d1 - d3
 *   U = g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2
 *   m = the sums of U V over channels and the kernel's rows
 *   y = m0 + m1 + m2, m1 - m2 - m3
 *
 * Every V and U is rounded to fp16 once, m is a sum of the MAC array like any
 * other, and y is made of whole numbers and rounded once. This is the one form
 * found that gives the errors ANEForge published for M5 and M6 to the last
 * digit; M1 to M4 sum directly. Where a bias enters is not published: here at
 * the end. A row starts at column 0, so an odd width ends with half a pair. */
#include <math.h>
#include <string.h>
#include "dev/emu/emu.h"

/* ---- lowering ---- */
static emu_node *add_node(emu_plan *p, const emu_wino *w, emu_wino_part part, int n_in,
                          const int *in, int out)
{
    emu_node *n = out < 0 ? NULL : emu_add_node(p, EMU_WINO);
    if (!n) return NULL;
    n->n_in = n_in;
    memcpy(n->in, in, (size_t)n_in * sizeof *in);
    n->out = out;
    n->wino = *w;
    n->wino.part = part;
    return n;
}

bool emu_is_winograd(const emu_plan *p, const emu_im2col *c, mil_dtype store)
{
    return p->exact && p->params->profile->winograd && store == MIL_FP16 && c->kh == 3 &&
           c->kw == 3 && c->stride[0] == 1 && c->stride[1] == 1 && c->dilation[0] == 1 &&
           c->dilation[1] == 1;
}

/* m [4, outs, pairs] = U V */
static rc add_sums(emu_plan *p, int u, int v, int m)
{
    emu_node *n = m < 0 ? NULL : emu_add_node(p, EMU_GEMM);
    if (!n) return E_MEMORY;
    int64_t outs = p->vals[u].d[1], k = p->vals[u].d[2], pairs = p->vals[v].d[2];
    n->n_in = 2;
    n->in[0] = u;
    n->in[1] = v;
    n->out = m;
    n->gemm = (emu_gemm){.m = (size_t)outs,
                         .n = (size_t)pairs,
                         .k = (size_t)k,
                         .n_batch = 4,
                         .type = KERN_F16,
                         .a = {NULL, KERN_F16, k, 1, outs * k},
                         .b = {NULL, KERN_F16, pairs, 1, k * pairs},
                         .c = {.rs = pairs, .batch = outs * pairs},
                         .alpha = 1,
                         .raw = true,
                         .bias = -1,
                         .a_val = u,
                         .b_val = v};
    return kern_exact_reserve(p->k, (size_t)outs, (size_t)pairs, (size_t)k);
}

/* U [4, outs, 3 ch] once, then image by image V [4, 3 ch, pairs], m and y. */
rc emu_lower_winograd(emu_plan *p, int x, int weight, int bias, const emu_im2col *c,
                      int y)
{
    emu_view from = p->vals[x].v, to = p->vals[y].v;
    int64_t images = p->vals[x].d[0], outs = p->vals[weight].d[0];
    int64_t pairs = c->oh * ((c->ow + 1) / 2), k = 3 * c->ch;
    emu_wino w = {.image = *c, .outs = outs};
    int u = emu_add_val(p, 3, (int64_t[]){4, outs, k}, MIL_FP16);
    if (!add_node(p, &w, EMU_WINO_WEIGHT, 1, &weight, u)) return E_MEMORY;
    for (int64_t i = 0; i < images; i++) {
        emu_view xi = {
            from.root, from.off + i * c->ch * c->h * c->w, {c->h * c->w, c->w, 1}};
        emu_view yi = {
            to.root, to.off + i * outs * c->oh * c->ow, {c->oh * c->ow, c->ow, 1}};
        int image = emu_view_of(p, x, 3, (int64_t[]){c->ch, c->h, c->w}, xi);
        int result = emu_view_of(p, y, 3, (int64_t[]){outs, c->oh, c->ow}, yi);
        int v = emu_add_val(p, 3, (int64_t[]){4, k, pairs}, MIL_FP16);
        int m = emu_add_val(p, 3, (int64_t[]){4, outs, pairs}, MIL_INT32);
        if (image < 0 || !add_node(p, &w, EMU_WINO_IMAGE, 1, &image, v)) return E_MEMORY;
        TRY(add_sums(p, u, v, m));
        if (!add_node(p, &w, EMU_WINO_JOIN, bias < 0 ? 1 : 2, (int[]){m, bias}, result))
            return E_MEMORY;
    }
    return OK;
}

/* ---- running ---- */
typedef struct {
    const emu_wino *w;
    const void *x, *bias;
    bool bias_f32;
    void *z;
    atomic_ullong *n_inf;
} work;

/* NaN is infinity, and what has no value is zero, as elsewhere on the chip. */
static half rounded(float x)
{
    half h = x == x ? half_from_float_away(x) : 0;
    return h == 0x8000 ? 0 : h;
}

static float number(half h)
{
    float x = half_to_float(h);
    return x == x ? x : INFINITY;
}

/* All channels of one result. */
static void turn_weight(void *ctx, size_t o)
{
    const work *t = ctx;
    size_t n = 3 * (size_t)t->w->image.ch, plane = (size_t)t->w->outs * n;
    const half *g = (const half *)t->x + o * n * 3;
    half *u = (half *)t->z + o * n;
    for (size_t i = 0; i < n; i++, g += 3) {
        float a = number(g[0]), b = number(g[1]), c = number(g[2]);
        u[i] = rounded(a);
        /* Three fp16 numbers of any size are one double's sum. */
        double even = ((double)a + c) / 2, odd = (double)b / 2;
        half plus = isnan(even + odd) ? 0 : half_from_double_away(even + odd);
        half minus = isnan(even - odd) ? 0 : half_from_double_away(even - odd);
        u[plane + i] = plus == 0x8000 ? 0 : plus;
        u[2 * plane + i] = minus == 0x8000 ? 0 : minus;
        u[3 * plane + i] = rounded(c);
    }
}

/* One channel: three rows of each of the four. Outside of the image is zero. */
static void turn_image(void *ctx, size_t ch)
{
    const work *t = ctx;
    const emu_im2col *c = &t->w->image;
    int64_t pairs = (c->ow + 1) / 2, row = c->oh * pairs, plane = 3 * c->ch * row;
    const half *x = (const half *)t->x + (int64_t)ch * c->h * c->w;
    half *z = (half *)t->z + 3 * (int64_t)ch * row;
    for (int64_t ky = 0; ky < 3; ky++)
        for (int64_t oy = 0; oy < c->oh; oy++) {
            int64_t y = oy + ky - c->pad[0];
            for (int64_t i = 0; i < pairs; i++, z++) {
                float d[4] = {0};
                for (int64_t j = 0; j < 4; j++) {
                    int64_t at = 2 * i + j - c->pad[1];
                    if (y >= 0 && y < c->h && at >= 0 && at < c->w)
                        d[j] = number(x[y * c->w + at]);
                }
                z[0] = rounded(d[0] - d[2]);
                z[plane] = rounded(d[1] + d[2]);
                z[2 * plane] = rounded(d[2] - d[1]);
                z[3 * plane] = rounded(d[1] - d[3]);
            }
        }
}

/* Three sums, each with its sign; the first that overflowed decides. */
static half joined(const int32_t *m, const int *sign, int64_t bias, uint64_t *over)
{
    int64_t sum = bias;
    for (int i = 0; i < 3; i++) {
        if (m[i] == INT32_MAX || m[i] == INT32_MIN) {
            ++*over;
            return (m[i] < 0) == (sign[i] < 0) ? HALF_INF : HALF_INF | 0x8000;
        }
        sum += sign[i] * (int64_t)m[i];
    }
    if (sum >= (int64_t)1 << 31 || sum <= -((int64_t)1 << 31)) {
        ++*over;
        return sum < 0 ? HALF_INF | 0x8000 : HALF_INF;
    }
    return half_from_double_away((double)sum * 0x1p-16);
}

/* One channel of the result. */
static void join(void *ctx, size_t o)
{
    static const int first[3] = {1, 1, 1}, second[3] = {1, -1, -1};
    const work *t = ctx;
    const emu_im2col *c = &t->w->image;
    int64_t pairs = (c->ow + 1) / 2, plane = t->w->outs * c->oh * pairs, bias = 0;
    const int32_t *m = (const int32_t *)t->x + (int64_t)o * c->oh * pairs;
    half *z = (half *)t->z + (int64_t)o * c->oh * c->ow;
    uint64_t over = 0;
    if (t->bias) {
        double b = t->bias_f32 ? (double)((const float *)t->bias)[o]
                               : (double)number(((const half *)t->bias)[o]);
        bias = (int64_t)round(fmax(fmin(b, 0x1p20), -0x1p20) * 0x1p16);
    }
    for (int64_t y = 0; y < c->oh; y++, z += c->ow)
        for (int64_t i = 0; i < pairs; i++, m++) {
            int32_t s[4] = {m[0], m[plane], m[2 * plane], m[3 * plane]};
            z[2 * i] = joined(s, first, bias, &over);
            if (2 * i + 1 < c->ow) z[2 * i + 1] = joined(s + 1, second, bias, &over);
        }
    if (over) atomic_fetch_add(t->n_inf, over);
}

void emu_winograd_run(const emu_plan *p, const emu_node *n, atomic_ullong *n_over)
{
    work t = {
        .w = &n->wino, .x = emu_at(p, n->in[0]), .z = emu_at(p, n->out), .n_inf = n_over};
    if (n->wino.part == EMU_WINO_WEIGHT)
        kern_for(p->k, (size_t)n->wino.outs, turn_weight, &t);
    else if (n->wino.part == EMU_WINO_IMAGE)
        kern_for(p->k, (size_t)n->wino.image.ch, turn_image, &t);
    else {
        if (n->n_in > 1) {
            t.bias = emu_at(p, n->in[1]);
            t.bias_f32 = p->vals[n->in[1]].store == MIL_FP32;
        }
        kern_for(p->k, (size_t)n->wino.outs, join, &t);
    }
}
