/* lower_take.c - ops that only choose places: where every place of the result
 * comes from is known when the program is compiled, axis by axis.
 *
 * Slices with steps of one stay views; blocks of places that become channels are a
 * view in another order, copied once. The rest is a map for each axis. */
#include <string.h>
#include "dev/emu/emu.h"

/* Maps of places become maps of offsets; a value without maps as it stands. */
int emu_add_take(emu_plan *p, int x, const int64_t *d, int64_t *const *map, double fill)
{
    if (x < 0) return -1;
    emu_val v = p->vals[x];
    int out = emu_add_val(p, v.rank, d, v.store);
    if (out < 0) return -1;
    emu_take t = {.rank = v.rank, .size = emu_size(&v)};
    mil_set_element(v.store, (char *)t.fill, 0, fill);
    for (int i = 0; i < v.rank; i++) {
        t.d[i] = d[i];
        t.map[i] = arena_array(p->mem, (size_t)d[i], sizeof **t.map);
        if (!t.map[i]) return -1;
        for (int64_t k = 0; k < d[i]; k++) {
            int64_t at = map[i] ? map[i][k] : k;
            t.map[i][k] = at == EMU_NOWHERE ? at : at * v.v.st[i];
        }
    }
    emu_node *n = emu_add_node(p, EMU_TAKE);
    if (!n) return -1;
    n->n_in = 1;
    n->in[0] = x;
    n->out = out;
    n->take = t;
    return out;
}

/* The place of x that padded place i of an axis of n repeats. */
static int64_t padded(int mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n) return i;
    if (mode == DEV_PAD_REFLECT) return i < 0 ? -i : 2 * (n - 1) - i;
    if (mode == DEV_PAD_REPLICATE) return i < 0 ? 0 : n - 1;
    return EMU_NOWHERE;
}

/* pad, and sizes by the nearest place: floor(i n_in / n_out). */
static rc lower_map(emu_plan *p, const dev_op *o, int *out)
{
    const mil_type *x = &p->code->values[o->arg[0]].type;
    const mil_type *t = &p->code->values[o->out[0]].type;
    int64_t *map[MIL_RANK] = {NULL};
    for (int i = 0; i < x->rank; i++) {
        if (t->d[i] == x->d[i]) continue;
        map[i] = arena_array(p->mem, (size_t)t->d[i], sizeof **map);
        if (!map[i]) return E_MEMORY;
        for (int64_t k = 0; k < t->d[i]; k++)
            map[i][k] = o->kind == DEV_OP_pad
                            ? padded(o->a.mode, k - o->a.begin[i], x->d[i])
                            : (int64_t)((double)k * (double)x->d[i] / (double)t->d[i]);
    }
    *out = emu_add_take(p, emu_value(p, o->arg[0]), t->d, map, o->a.value[0]);
    return *out < 0 ? E_MEMORY : OK;
}

/* Slices, reversed axes, crops: begin, step, and an extent for each axis. */
rc emu_lower_take(emu_plan *p, const dev_op *o, int *out)
{
    const mil_type *t = &p->code->values[o->out[0]].type;
    if (o->kind == DEV_OP_pad || o->kind == DEV_OP_resize_nearest_neighbor ||
        o->kind == DEV_OP_upsample_nearest_neighbor)
        return lower_map(p, o, out);
    int x = emu_value(p, o->arg[0]);
    if (x < 0) return E_MEMORY;
    if (o->kind == DEV_OP_reverse) { /* no slice: the crop unit is not used */
        emu_val v = p->vals[x];
        emu_view w = v.v;
        for (int i = 0; i < v.rank; i++) {
            w.off += o->a.begin[i] * v.v.st[i];
            w.st[i] *= o->a.step[i];
        }
        int back = emu_view_of(p, x, v.rank, v.d, w);
        int to = emu_add_val(p, v.rank, v.d, v.store);
        if (back < 0 || to < 0) return E_MEMORY;
        *out = to;
        return emu_add_copy(p, back, to);
    }
    const int64_t *d = o->kind == DEV_OP_slice_by_index ? o->a.size : t->d;
    TRY(emu_add_slice(p, x, o->a.begin, o->a.step, d, out));
    if (*out >= 0 && t->rank != p->vals[*out].rank)
        *out = emu_reshaped(p, *out, t->rank, t->d);
    return *out < 0 ? E_MEMORY : OK;
}

/* ---- blocks ---- */
/* x seen as d, its axes in the order of perm, packed and seen as the result. */
static rc reorder(emu_plan *p, const dev_op *o, int x, const int64_t *d, const int *perm,
                  int *out)
{
    const mil_type *t = &p->code->values[o->out[0]].type;
    int seen = emu_permuted(p, emu_reshaped(p, x, 6, d), perm);
    *out = emu_reshaped(p, seen, t->rank, t->d);
    return *out < 0 ? E_MEMORY : OK;
}

/* depth_to_space takes the block's place from the slowest part of the channel,
 * pixel_shuffle from the fastest. */
static rc channels(emu_plan *p, const dev_op *o, int x, int *out)
{
    static const int depth[2][6] = {{0, 3, 4, 1, 5, 2}, {0, 3, 5, 1, 2, 4}};
    static const int pixel[2][6] = {{0, 1, 4, 2, 5, 3}, {0, 1, 3, 5, 2, 4}};
    emu_val v = p->vals[x];
    int64_t b = o->a.block[0], c = v.d[1] / (b * b);
    bool pixels = o->kind == DEV_OP_pixel_shuffle || o->kind == DEV_OP_pixel_unshuffle;
    if (o->kind == DEV_OP_space_to_depth || o->kind == DEV_OP_pixel_unshuffle)
        return reorder(p, o, x, (int64_t[]){v.d[0], v.d[1], v.d[2] / b, b, v.d[3] / b, b},
                       pixels ? pixel[1] : depth[1], out);
    if (pixels)
        return reorder(p, o, x, (int64_t[]){v.d[0], c, b, b, v.d[2], v.d[3]}, pixel[0],
                       out);
    return reorder(p, o, x, (int64_t[]){v.d[0], b, b, c, v.d[2], v.d[3]}, depth[0], out);
}

/* [N,C,H,W], padded, to [b0 b1 N,C,H/b0,W/b1]: the block's place is slowest. */
static rc to_batch(emu_plan *p, const dev_op *o, int x, int *out)
{
    static const int perm[6] = {3, 5, 0, 1, 2, 4};
    const int64_t *b = o->a.block, *pad = o->a.pad;
    emu_val v = p->vals[x];
    int64_t d[4] = {v.d[0], v.d[1], 0, 0}, *map[MIL_RANK] = {NULL};
    for (int i = 0; i < 2; i++) {
        d[2 + i] = v.d[2 + i] + pad[2 * i] + pad[2 * i + 1];
        map[2 + i] = arena_array(p->mem, (size_t)d[2 + i], sizeof **map);
        if (!map[2 + i]) return E_MEMORY;
        for (int64_t k = 0; k < d[2 + i]; k++)
            map[2 + i][k] = padded(DEV_PAD_CONSTANT, k - pad[2 * i], v.d[2 + i]);
    }
    if (d[2] != v.d[2] || d[3] != v.d[3]) x = emu_add_take(p, x, d, map, 0);
    return reorder(p, o, x, (int64_t[]){d[0], d[1], d[2] / b[0], b[0], d[3] / b[1], b[1]},
                   perm, out);
}

/* And back, with places cut off at the edges. */
static rc from_batch(emu_plan *p, const dev_op *o, int x, int *out)
{
    static const int perm[6] = {2, 3, 4, 0, 5, 1};
    const mil_type *t = &p->code->values[o->out[0]].type;
    const int64_t *b = o->a.block;
    emu_val v = p->vals[x];
    int64_t begin[4] = {0, 0, o->a.pad[0], o->a.pad[2]};
    int64_t d[6] = {b[0], b[1], v.d[0] / (b[0] * b[1]), v.d[1], v.d[2], v.d[3]};
    int seen = emu_permuted(p, emu_reshaped(p, x, 6, d), perm);
    int whole = emu_reshaped(p, seen, 4,
                             (int64_t[]){d[2], d[3], d[4] * b[0], d[5] * b[1]});
    if (whole < 0) return E_MEMORY;
    return emu_add_slice(p, whole, begin, NULL, t->d, out);
}

rc emu_lower_shuffle(emu_plan *p, const dev_op *o, int *out)
{
    int x = emu_value(p, o->arg[0]);
    if (x < 0) return E_MEMORY;
    if (o->kind == DEV_OP_space_to_batch) return to_batch(p, o, x, out);
    if (o->kind == DEV_OP_batch_to_space) return from_batch(p, o, x, out);
    return channels(p, o, x, out);
}

/* ---- places that are values ---- */
rc emu_lower_pick(emu_plan *p, const dev_op *o, int *out)
{
    int x = emu_packed(p, emu_value(p, o->arg[0]));
    int at = emu_packed(p, emu_value(p, o->arg[1]));
    *out = emu_result(p, o->out[0]);
    if (x < 0 || at < 0 || *out < 0) return E_MEMORY;
    emu_pick k = {.op = o, .rows = 1, .count = 1, .axis = 1, .inner = 1};
    emu_val v = p->vals[x], u = p->vals[at], y = p->vals[*out];
    if (o->kind == DEV_OP_slice_update) {
        int n = 0;
        k.copy = (emu_copy){.rank = 0, .size = emu_size(&v)};
        for (int i = 0; i < v.rank; i++) k.off += o->a.begin[i] * y.v.st[i];
        /* The update's packed elements in order are those of the slice. */
        for (int64_t i = v.rank - 1, step = 1; i >= 0; i--) {
            k.copy.d[i] = o->a.size[i];
            k.copy.from[i] = step;
            k.copy.to[i] = y.v.st[i] * o->a.step[i];
            step *= o->a.size[i];
            n++;
        }
        k.copy.rank = n;
        emu_plan_copy(&k.copy);
    } else {
        int first = o->kind == DEV_OP_gather_nd ? (int)o->a.n : o->a.axis;
        int last = o->kind == DEV_OP_gather_nd ? first + (int)u.d[u.rank - 1] : first + 1;
        for (int i = 0; i < first; i++) k.rows *= v.d[i];
        for (int i = first; i < last; i++) k.axis *= v.d[i];
        for (int i = last; i < v.rank; i++) k.inner *= v.d[i];
        k.count = emu_count(&y) / k.rows / k.inner;
    }
    emu_node *n = emu_add_node(p, EMU_PICK);
    if (!n) return E_MEMORY;
    n->n_in = 2;
    n->in[0] = x;
    n->in[1] = at;
    n->out = *out;
    n->pick = k;
    return OK;
}
