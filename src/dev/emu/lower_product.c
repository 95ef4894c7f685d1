/* lower_product.c - ops that are a matmul or a convolution once their operands
 * are put in order: einsum and transposed convolution. Their sums are made where
 * those of matmul and conv are, with the same arithmetic. */
#include <string.h>
#include "dev/emu/emu.h"

/* Rows of letters end with zeros. */
static bool holds(const signed char *label, signed char ch)
{
    return memchr(label, ch, MIL_RANK) != NULL;
}

/* What a letter is to the product: in both operands and the result, in one
 * operand and the result, or summed over. */
enum { BATCH, OWN, SUMMED };
static int kind_of(const dev_op *o, signed char ch)
{
    if (!holds(o->a.label[0], ch) || !holds(o->a.label[1], ch)) return OWN;
    return holds(o->a.label[2], ch) ? BATCH : SUMMED;
}

typedef struct {
    int64_t d[3]; /* elements of each kind */
    int perm[MIL_RANK];
} sides;

/* x: batches, its own, summed; y: batches, summed, its own. Batches and summed
 * letters come in x's order in both. */
static sides sort_axes(const dev_op *o, const emu_val *v, int which)
{
    static const int passes[2][3] = {{BATCH, OWN, SUMMED}, {BATCH, SUMMED, OWN}};
    const signed char *l = o->a.label[which];
    sides s = {.d = {1, 1, 1}};
    int at = 0;
    for (int pass = 0; pass < 3; pass++) {
        int kind = passes[which][pass];
        const signed char *order = kind == OWN ? l : o->a.label[0];
        for (int i = 0; i < MIL_RANK && order[i]; i++) {
            if (kind_of(o, order[i]) != kind) continue;
            s.perm[at] = (int)((const signed char *)memchr(l, order[i], MIL_RANK) - l);
            s.d[kind] *= v->d[s.perm[at++]];
        }
    }
    return s;
}

/* [batches, m, n] of the product seen as the result's axes. */
static int in_result_order(emu_plan *p, const dev_op *o, int product, const emu_val *x,
                           const emu_val *y, const sides *sx, const sides *sy)
{
    const mil_type *t = &p->code->values[o->out[0]].type;
    int64_t d[MIL_RANK] = {0};
    signed char letters[MIL_RANK] = {0};
    int perm[MIL_RANK] = {0}, n = 0;
    for (int i = 0; i < x->rank; i++) {
        signed char ch = o->a.label[0][sx->perm[i]];
        if (kind_of(o, ch) == SUMMED) continue;
        letters[n] = ch;
        d[n++] = x->d[sx->perm[i]];
    }
    for (int i = 0; i < y->rank; i++) {
        signed char ch = o->a.label[1][sy->perm[i]];
        if (kind_of(o, ch) != OWN) continue;
        letters[n] = ch;
        d[n++] = y->d[sy->perm[i]];
    }
    for (int i = 0; i < t->rank; i++)
        for (int k = 0; k < n; k++)
            if (letters[k] == o->a.label[2][i]) perm[i] = k;
    return emu_permuted(p, emu_reshaped(p, product, n, d), perm);
}

rc emu_lower_einsum(emu_plan *p, const dev_op *o, int *out)
{
    int x = emu_value(p, o->list[0]), y = emu_value(p, o->list[1]);
    if (x < 0 || y < 0) return E_MEMORY;
    emu_val vx = p->vals[x], vy = p->vals[y];
    sides sx = sort_axes(o, &vx, 0), sy = sort_axes(o, &vy, 1);
    int a = emu_reshaped(p, emu_permuted(p, x, sx.perm), 3,
                         (int64_t[]){sx.d[BATCH], sx.d[OWN], sx.d[SUMMED]});
    int b = emu_reshaped(p, emu_permuted(p, y, sy.perm), 3,
                         (int64_t[]){sy.d[BATCH], sy.d[SUMMED], sy.d[OWN]});
    int c = emu_add_val(p, 3, (int64_t[]){sx.d[BATCH], sx.d[OWN], sy.d[OWN]}, vx.store);
    if (a < 0 || b < 0 || c < 0) return E_MEMORY;
    TRY(emu_multiply(p, a, b, c));
    *out = in_result_order(p, o, c, &vx, &vy, &sx, &sy);
    return *out < 0 ? E_MEMORY : OK;
}

/* ---- transposed convolution ----
 * A convolution of x with zeros between its places, padded by (k - 1) dilation
 * - pad before and by what the result needs behind, with the kernel turned round.
 * A product with a zero adds nothing, so the sums are those of the terms alone. */

/* Place k of the stretched axis, EMU_NOWHERE for a zero. */
static int64_t stretched(int64_t k, int64_t lead, int64_t stride, int64_t n)
{
    int64_t at = k - lead;
    return at < 0 || at % stride || at / stride >= n ? EMU_NOWHERE : at / stride;
}

/* x [N,I,(H,)W] stretched; d: the extents, with a height of one where flat. */
static int stretch(emu_plan *p, const dev_op *o, int x, const emu_im2col *c, int64_t *d)
{
    emu_val v = p->vals[x];
    int64_t *map[MIL_RANK] = {NULL}, size[4] = {v.d[0], v.d[1]};
    int ns = v.rank - 2;
    d[0] = d[1] = 1;
    for (int i = 0; i < ns; i++) {
        int a = 2 - ns + i;
        int64_t reach = ((a ? c->kw : c->kh) - 1) * c->dilation[a];
        d[a] = size[2 + i] = (a ? c->ow : c->oh) + reach;
        map[2 + i] = arena_array(p->mem, (size_t)d[a], sizeof **map);
        if (!map[2 + i]) return -1;
        for (int64_t k = 0; k < d[a]; k++)
            map[2 + i][k] = stretched(k, reach - o->a.pad[2 * a], o->a.stride[a],
                                      v.d[2 + i]);
    }
    return emu_add_take(p, x, size, map, 0);
}

/* weight [I,O/g,..] to [O,I/g,..], every kernel turned round. */
static int turned(emu_plan *p, const dev_op *o, int w)
{
    static const int perm[5] = {0, 2, 1, 3, 4};
    emu_val v = p->vals[w];
    int64_t g = o->a.groups, *map[MIL_RANK] = {NULL};
    for (int i = 2; i < v.rank; i++) {
        map[i] = arena_array(p->mem, (size_t)v.d[i], sizeof **map);
        if (!map[i]) return -1;
        for (int64_t k = 0; k < v.d[i]; k++) map[i][k] = v.d[i] - 1 - k;
    }
    int64_t kh = v.rank == 4 ? v.d[2] : 1, kw = v.d[v.rank - 1];
    int seen = emu_reshaped(p, emu_add_take(p, w, v.d, map, 0), 5,
                            (int64_t[]){g, v.d[0] / g, v.d[1], kh, kw});
    int whole = emu_packed(p, emu_permuted(p, seen, perm));
    return emu_reshaped(p, whole, 4, (int64_t[]){g * v.d[1], v.d[0] / g, kh, kw});
}

rc emu_lower_deconv(emu_plan *p, const dev_op *o, int *out)
{
    const mil_type *t = &p->code->values[o->out[0]].type;
    int x = emu_value(p, o->arg[0]), w = emu_value(p, o->arg[1]);
    int bias = o->arg[2] < 0 ? -1 : emu_packed(p, emu_value(p, o->arg[2]));
    int64_t d[2];
    if (x < 0 || w < 0 || (o->arg[2] >= 0 && bias < 0)) return E_MEMORY;
    emu_val v = p->vals[w];
    bool flat = t->rank == 3;
    emu_im2col c = {.ch = p->vals[x].d[1],
                    .kh = flat ? 1 : v.d[2],
                    .kw = v.d[v.rank - 1],
                    .oh = flat ? 1 : t->d[2],
                    .ow = t->d[t->rank - 1],
                    .stride = {1, 1},
                    .dilation = {o->a.dilation[0], o->a.dilation[1]}};
    int z = stretch(p, o, x, &c, d), turn = turned(p, o, w);
    c.h = d[0];
    c.w = d[1];
    *out = emu_result(p, o->out[0]);
    return emu_add_conv(p, z, turn, bias, &c, o->a.groups, *out);
}
