/* constexpr.c - constants that are stored packed: 8-bit numbers with scales, places
 * in a table, the numbers that are not zero. They are unpacked when weight files
 * are bound; the engine does it when it loads them (ane-guide ch. 7), and computes
 * with the same fp16 numbers. */
#include <string.h>
#include "dev/code.h"

/* What take_results took for it. */
static void *memory_of(const dev_value *w)
{
    return (void *)(uintptr_t)w->data;
}

static void put(const dev_value *w, int64_t i, double v)
{
    mil_set_element(w->type.dtype, memory_of(w), (size_t)i, v);
}

static const dev_value *arg(const dev_code *c, const dev_op *o, int slot)
{
    return o->arg[slot] < 0 ? NULL : &c->values[o->arg[slot]];
}

/* w = (q - zero_point) * scale, rounded once; scales along one axis. */
static void affine(const dev_code *c, const dev_op *o, const dev_value *w)
{
    const dev_value *q = arg(c, o, 0), *s = arg(c, o, 1), *z = arg(c, o, 2);
    int64_t inner = 1, axis = q->type.d[o->a.axis];
    bool many_s = mil_count(&s->type) > 1, many_z = mil_count(&z->type) > 1;
    for (int i = o->a.axis + 1; i < q->type.rank; i++) inner *= q->type.d[i];
    for (int64_t i = 0; i < mil_count(&q->type); i++) {
        size_t at = (size_t)(i / inner % axis);
        put(w, i,
            (dev_const_at(q, (size_t)i) - dev_const_at(z, many_z ? at : 0)) *
                dev_const_at(s, many_s ? at : 0));
    }
}

/* The number of the block that place i of t lies in, where blocks has how many
 * there are along each axis. */
static size_t block_of(const mil_type *t, const int64_t *blocks, int64_t i)
{
    size_t at = 0, step = 1;
    for (int a = t->rank - 1; a >= 0; a--) {
        int64_t k = i % t->d[a] / (t->d[a] / blocks[a]);
        at += (size_t)k * step;
        step *= (size_t)blocks[a];
        i /= t->d[a];
    }
    return at;
}

/* w = (q - offset) * scale, with one of each for a block. */
static void blockwise(const dev_code *c, const dev_op *o, const dev_value *w)
{
    const dev_value *q = arg(c, o, 0), *s = arg(c, o, 1), *z = arg(c, o, 2);
    for (int64_t i = 0; i < mil_count(&q->type); i++) {
        size_t at = block_of(&q->type, s->type.d, i);
        put(w, i,
            (dev_const_at(q, (size_t)i) - (z ? dev_const_at(z, at) : 0)) *
                dev_const_at(s, at));
    }
}

/* Indices of o->a.n bits, the lowest first, or a byte each with a table for each
 * block. */
static void look_up(const dev_code *c, const dev_op *o, const dev_value *w)
{
    const dev_value *q = arg(c, o, 0), *lut = arg(c, o, 1);
    for (int64_t i = 0; i < mil_count(&w->type); i++) {
        size_t at = 0, bit = (size_t)i * (size_t)o->a.n;
        if (!o->a.n)
            at = block_of(&w->type, lut->type.d, i) * 256 +
                 (size_t)dev_const_at(q, (size_t)i);
        for (int k = 0; k < (int)o->a.n; k++, bit++)
            at |= (size_t)((unsigned)dev_const_at(q, bit / 8) >> bit % 8 & 1) << k;
        put(w, i, dev_const_at(lut, at));
    }
}

/* bind.c has made sure that the mask has as many bits as there are numbers. */
static void spread(const dev_code *c, const dev_op *o, const dev_value *w)
{
    const dev_value *x = arg(c, o, 0), *mask = arg(c, o, 1);
    size_t next = 0;
    for (int64_t i = 0; i < mil_count(&w->type); i++) {
        bool keep = (unsigned)dev_const_at(mask, (size_t)i / 8) >> i % 8 & 1;
        put(w, i, keep ? dev_const_at(x, next++) : 0);
    }
}

void dev_unpack(const dev_code *c, const dev_op *o)
{
    const dev_value *w = o->n_out ? &c->values[o->out[0]] : NULL;
    switch (o->kind) {
    case DEV_OP_constexpr_affine_dequantize:
        affine(c, o, w);
        break;
    case DEV_OP_constexpr_blockwise_shift_scale:
        blockwise(c, o, w);
        break;
    case DEV_OP_constexpr_lut_to_dense:
        look_up(c, o, w);
        break;
    case DEV_OP_constexpr_sparse_to_dense:
        spread(c, o, w);
        break;
    default:
        break;
    }
}
