/* args.c - what shape rules read from an op: constant arguments as numbers, and
 * what its tensors have in common. Axes count from the end when negative, as in
 * MIL. */
#include <string.h>
#include "dev/shapes.h"

const dev_value *dev_arg(const dev_code *c, const dev_op *o, int slot)
{
    return o->arg[slot] < 0 ? NULL : &c->values[o->arg[slot]];
}

bool dev_is_real(const mil_type *t)
{
    return t->dtype == MIL_FP16 || t->dtype == MIL_FP32;
}

/* Values of weight files can be absent (not bound yet): 0 then. */
double dev_const_at(const dev_value *v, size_t i)
{
    return v->data ? mil_element(v->type.dtype, v->data, v->splat ? 0 : i) : 0;
}

static bool is_whole(mil_dtype d)
{
    return d == MIL_INT32 || d == MIL_UINT32 || d == MIL_INT64 || d == MIL_UINT64 ||
           d == MIL_INT16 || d == MIL_UINT16 || d == MIL_INT8 || d == MIL_UINT8;
}

/* ---- reading constant arguments ---- */
/* Whole numbers of a constant: at most `max`, exactly `want` if > 0. */
rc dev_ints(dev_code *c, dev_op *o, int slot, const char *name, int want, int64_t *v,
            int max, int *n)
{
    const dev_value *a = dev_arg(c, o, slot);
    int64_t count = mil_count(&a->type);
    if (!is_whole(a->type.dtype) || a->type.rank > 1 || a->blob || !a->data)
        return dev_bad(c, o, "argument '%s' of '%s' must be a list of whole numbers",
                       name, o->mil->op);
    if (count > max || (want > 0 && count != want))
        return dev_bad(c, o, "argument '%s' of '%s' has %lld numbers, %d wanted", name,
                       o->mil->op, (long long)count, want > 0 ? want : max);
    for (int i = 0; i < (int)count; i++) v[i] = (int64_t)dev_const_at(a, (size_t)i);
    if (n) *n = (int)count;
    return OK;
}

rc dev_whole(dev_code *c, dev_op *o, int slot, const char *name, int64_t *v)
{
    return o->arg[slot] < 0 ? OK : dev_ints(c, o, slot, name, 1, v, 1, NULL);
}

rc dev_yes_no(dev_code *c, dev_op *o, int slot, const char *name, bool *v)
{
    const dev_value *a = dev_arg(c, o, slot);
    if (!a) return OK;
    if (a->type.dtype != MIL_BOOL || mil_count(&a->type) != 1 || !a->data)
        return dev_bad(c, o, "argument '%s' of '%s' must be a bool", name, o->mil->op);
    *v = dev_const_at(a, 0) != 0;
    return OK;
}

rc dev_word(dev_code *c, dev_op *o, int slot, const char *name, const char **v)
{
    const dev_value *a = dev_arg(c, o, slot);
    if (!a) return OK;
    if (a->type.dtype != MIL_STRING || !a->text)
        return dev_bad(c, o, "argument '%s' of '%s' must be a string", name, o->mil->op);
    *v = a->text;
    return OK;
}

/* -1 is the last axis. */
rc dev_axis_of(dev_code *c, dev_op *o, int64_t v, int rank, int *axis)
{
    if (v < -rank || v >= rank)
        return dev_bad(c, o, "axis %lld of '%s' is outside rank %d", (long long)v,
                       o->mil->op, rank);
    *axis = (int)(v < 0 ? v + rank : v);
    return OK;
}

rc dev_number(dev_code *c, dev_op *o, int slot, const char *name, double *v)
{
    const dev_value *a = dev_arg(c, o, slot);
    if (!a) return OK;
    if ((!dev_is_real(&a->type) && !is_whole(a->type.dtype)) ||
        mil_count(&a->type) != 1 || a->blob || !a->data)
        return dev_bad(c, o, "argument '%s' of '%s' must be a number", name, o->mil->op);
    *v = dev_const_at(a, 0);
    return OK;
}

rc dev_bools(dev_code *c, dev_op *o, int slot, const char *name, int want, bool *v)
{
    const dev_value *a = dev_arg(c, o, slot);
    for (int i = 0; i < want; i++) v[i] = false;
    if (!a) return OK;
    if (a->type.dtype != MIL_BOOL || a->type.rank > 1 || mil_count(&a->type) != want ||
        a->blob || !a->data)
        return dev_bad(c, o, "argument '%s' of '%s' must be a list of %d bools", name,
                       o->mil->op, want);
    for (int i = 0; i < want; i++) v[i] = dev_const_at(a, (size_t)i) != 0;
    return OK;
}

rc dev_axis(dev_code *c, dev_op *o, int slot, int64_t axis, int rank)
{
    TRY(dev_whole(c, o, slot, "axis", &axis));
    return dev_axis_of(c, o, axis, rank, &o->a.axis);
}

rc dev_ranks(dev_code *c, dev_op *o, int lo, int hi)
{
    char text[96];
    const mil_type *x = &dev_arg(c, o, 0)->type;
    TRY(dev_one_result(c, o));
    TRY(dev_real_arg(c, o, 0, "x"));
    if (x->rank < lo || x->rank > hi)
        return dev_bad(c, o, "'%s' of %s; rank %d to %d wanted", o->mil->op,
                       mil_type_text(text, x), lo, hi);
    return OK;
}

/* Split and topk have several. */
rc dev_one_result(dev_code *c, dev_op *o)
{
    if (o->mil->n_out == 1) return OK;
    return dev_bad(c, o, "'%s' has one result, %d are named", o->mil->op, o->mil->n_out);
}

/* A real tensor argument. */
rc dev_real_arg(dev_code *c, dev_op *o, int slot, const char *name)
{
    char text[96];
    const dev_value *a = dev_arg(c, o, slot);
    if (!a || dev_is_real(&a->type)) return OK;
    return dev_bad(c, o, "argument '%s' of '%s' is %s; fp16 or fp32 wanted", name,
                   o->mil->op, mil_type_text(text, &a->type));
}

rc dev_same_dtype(dev_code *c, dev_op *o, int a, int b)
{
    const dev_value *x = dev_arg(c, o, a), *y = dev_arg(c, o, b);
    if (!x || !y || x->type.dtype == y->type.dtype) return OK;
    return dev_bad(c, o, "'%s' joins %s and %s; cast one", o->mil->op,
                   mil_dtype_text(x->type.dtype), mil_dtype_text(y->type.dtype));
}

/* NumPy broadcasting of shapes, aligned at the last axis. */
rc dev_join(dev_code *c, dev_op *o, const mil_type *x, const mil_type *y, mil_type *t)
{
    char a[96], b[96];
    int rank = x->rank > y->rank ? x->rank : y->rank;
    mil_type r = {.dtype = x->dtype, .tensor = rank > 0, .rank = rank};
    for (int i = 0; i < rank; i++) {
        int xi = i - (rank - x->rank), yi = i - (rank - y->rank);
        int64_t m = xi < 0 ? 1 : x->d[xi], n = yi < 0 ? 1 : y->d[yi];
        if (m != n && m != 1 && n != 1)
            return dev_bad(c, o, "shapes %s and %s of '%s' do not broadcast",
                           mil_type_text(a, x), mil_type_text(b, y), o->mil->op);
        r.d[i] = m == 1 ? n : m;
    }
    *t = r;
    return OK;
}
