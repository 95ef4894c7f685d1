/* shapes_value.c - shape rules of functions with constants, norms, ops that give
 * a row for each row, and constants that are unpacked when bound. */
#include <math.h>
#include <string.h>
#include "dev/shapes.h"

/* ---- functions with constants, into o->a.value ---- */
rc dev_shape_alpha(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_number(c, o, 1, "alpha", &o->a.value[0]));
    return dev_shape_real(c, o, t);
}

rc dev_shape_alpha_beta(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_number(c, o, 2, "beta", &o->a.value[1]));
    return dev_shape_alpha(c, o, t);
}

/* A list with a number for each channel. */
static rc each_channel(dev_code *c, dev_op *o, int slot, const char *name)
{
    const dev_value *v = dev_arg(c, o, slot);
    const mil_type *x = &dev_arg(c, o, 0)->type;
    if (!v) return OK;
    TRY(dev_real_arg(c, o, slot, name));
    TRY(dev_same_dtype(c, o, 0, slot));
    if (v->type.rank != 1 || v->type.d[0] != x->d[1])
        return dev_bad(c, o, "'%s' of '%s' has %lld numbers, %lld channels wanted", name,
                       o->mil->op, (long long)mil_count(&v->type), (long long)x->d[1]);
    return OK;
}

/* x [N,C,...], alpha [C] */
rc dev_shape_prelu(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_ranks(c, o, 3, 5));
    TRY(each_channel(c, o, 1, "alpha"));
    *t = dev_arg(c, o, 0)->type;
    return OK;
}

/* ---- whole numbers and back: q = round(x / scale) + zero_point ---- */
static rc scales(dev_code *c, dev_op *o, const mil_type *x, mil_dtype q, mil_dtype real)
{
    int64_t axis = 0;
    const dev_value *s = dev_arg(c, o, 1), *z = dev_arg(c, o, 2);
    TRY(dev_one_result(c, o));
    if (q != MIL_INT8 && q != MIL_UINT8)
        return dev_bad(c, o, "'%s' knows int8 and uint8, not %s", o->mil->op,
                       mil_dtype_text(q));
    if (!dev_is_real(&s->type) || (real != s->type.dtype))
        return dev_bad(c, o, "scale of '%s' is %s, %s wanted", o->mil->op,
                       mil_dtype_text(s->type.dtype), mil_dtype_text(real));
    if (z && z->type.dtype != q)
        return dev_bad(c, o, "zero_point of '%s' is %s, %s wanted", o->mil->op,
                       mil_dtype_text(z->type.dtype), mil_dtype_text(q));
    if (o->arg[3] >= 0) {
        TRY(dev_whole(c, o, 3, "axis", &axis));
        TRY(dev_axis_of(c, o, axis, x->rank, &o->a.axis));
    }
    for (int i = 1; i <= 2; i++) {
        const dev_value *v = dev_arg(c, o, i);
        if (!v || mil_count(&v->type) == 1) continue;
        if (o->arg[3] < 0 || v->type.rank != 1 || v->type.d[0] != x->d[o->a.axis])
            return dev_bad(c, o,
                           "'%s' has %lld scales or zero points; one is wanted, or "
                           "one for each place along 'axis'",
                           o->mil->op, (long long)mil_count(&v->type));
    }
    return OK;
}

rc dev_shape_quantize(dev_code *c, dev_op *o, mil_type *t)
{
    const char *name = "";
    TRY(dev_real_arg(c, o, 0, "input"));
    TRY(dev_word(c, o, 4, "output_dtype", &name));
    mil_dtype q = !strcmp(name, "int8")    ? MIL_INT8
                  : !strcmp(name, "uint8") ? MIL_UINT8
                                           : MIL_STRING;
    *t = dev_arg(c, o, 0)->type;
    TRY(scales(c, o, t, q, t->dtype));
    t->dtype = q;
    return OK;
}

rc dev_shape_dequantize(dev_code *c, dev_op *o, mil_type *t)
{
    *t = dev_arg(c, o, 0)->type;
    TRY(scales(c, o, t, t->dtype, dev_arg(c, o, 1)->type.dtype));
    t->dtype = dev_arg(c, o, 1)->type.dtype;
    return OK;
}

/* ---- norms; epsilon last ---- */
static rc epsilon(dev_code *c, dev_op *o, int slot, double absent)
{
    o->a.value[0] = absent;
    return dev_number(c, o, slot, "epsilon", &o->a.value[0]);
}

rc dev_shape_batch_norm(dev_code *c, dev_op *o, mil_type *t)
{
    static const char *const names[] = {"", "mean", "variance", "gamma", "beta"};
    TRY(dev_ranks(c, o, 3, 5));
    for (int i = 1; i <= 4; i++) TRY(each_channel(c, o, i, names[i]));
    *t = dev_arg(c, o, 0)->type;
    return epsilon(c, o, 5, 1e-5);
}

rc dev_shape_instance_norm(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_ranks(c, o, 3, 4));
    TRY(each_channel(c, o, 1, "gamma"));
    TRY(each_channel(c, o, 2, "beta"));
    *t = dev_arg(c, o, 0)->type;
    return epsilon(c, o, 3, 1e-5);
}

/* Axes, all where absent, each once and in order, into o->a.axes. */
static rc some_axes(dev_code *c, dev_op *o, int slot, int rank)
{
    int64_t axes[MIL_RANK];
    bool in[MIL_RANK] = {false};
    int n = 0;
    if (o->arg[slot] >= 0) TRY(dev_ints(c, o, slot, "axes", 0, axes, MIL_RANK, &n));
    for (int i = 0; i < n; i++) {
        int a = 0;
        TRY(dev_axis_of(c, o, axes[i], rank, &a));
        in[a] = true;
    }
    for (int i = 0; i < rank; i++)
        if (in[i] || o->arg[slot] < 0) o->a.axes[o->a.n_axes++] = i;
    return OK;
}

/* gamma and beta have the extents of the normalized axes. */
rc dev_shape_layer_norm(dev_code *c, dev_op *o, mil_type *t)
{
    char text[96];
    TRY(dev_ranks(c, o, 1, 5));
    *t = dev_arg(c, o, 0)->type;
    TRY(some_axes(c, o, 1, t->rank));
    if (!o->a.n_axes) return dev_bad(c, o, "layer_norm over no axes");
    for (int s = 2; s <= 3; s++) {
        const dev_value *v = dev_arg(c, o, s);
        if (!v) continue;
        TRY(dev_same_dtype(c, o, 0, s));
        bool fits = v->type.rank == o->a.n_axes;
        for (int i = 0; fits && i < o->a.n_axes; i++)
            fits = v->type.d[i] == t->d[o->a.axes[i]];
        if (!fits)
            return dev_bad(c, o, "%s of layer_norm is %s; the extents of the axes wanted",
                           s == 2 ? "gamma" : "beta", mil_type_text(text, &v->type));
    }
    return epsilon(c, o, 4, 1e-5);
}

/* Over the last three axes together. */
rc dev_shape_l2_norm(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_ranks(c, o, 3, 5));
    *t = dev_arg(c, o, 0)->type;
    return epsilon(c, o, 1, 1e-6);
}

/* Over `size` neighbouring channels; value: k, alpha, beta. */
rc dev_shape_local_norm(dev_code *c, dev_op *o, mil_type *t)
{
    double *v = o->a.value;
    TRY(dev_ranks(c, o, 3, 4));
    *t = dev_arg(c, o, 0)->type;
    v[0] = 1;
    v[1] = 1e-4;
    v[2] = 0.75;
    TRY(dev_whole(c, o, 1, "size", &o->a.n));
    if (o->a.n < 1 || o->a.n > INT32_MAX)
        return dev_bad(c, o, "local_response_norm over %lld channels", (long long)o->a.n);
    TRY(dev_number(c, o, 2, "alpha", &v[1]));
    TRY(dev_number(c, o, 3, "beta", &v[2]));
    return dev_number(c, o, 4, "k", &v[0]);
}

/* ---- along an axis ---- */
rc dev_shape_cumsum(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_shape_real(c, o, t));
    TRY(dev_yes_no(c, o, 2, "exclusive", &o->a.exclusive));
    TRY(dev_yes_no(c, o, 3, "reverse", &o->a.reverse));
    return dev_axis(c, o, 1, 0, t->rank);
}

/* The type of places: int32, or uint16 if a slot says so. */
static rc place_type(dev_code *c, dev_op *o, int slot, mil_dtype *t)
{
    const char *name = "int32";
    if (slot >= 0) TRY(dev_word(c, o, slot, "output_dtype", &name));
    *t = !strcmp(name, "uint16") ? MIL_UINT16 : MIL_INT32;
    if (*t == MIL_INT32 && strcmp(name, "int32") != 0)
        return dev_bad(c, o, "places of '%s' are int32 or uint16, not '%s'", o->mil->op,
                       name);
    return OK;
}

rc dev_shape_arg(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_shape_real(c, o, t));
    TRY(dev_axis(c, o, 1, -1, t->rank));
    TRY(dev_yes_no(c, o, 2, "keep_dims", &o->a.keep));
    TRY(place_type(c, o, 3, &t->dtype));
    if (o->a.keep) {
        t->d[o->a.axis] = 1;
        return OK;
    }
    for (int i = o->a.axis; i + 1 < t->rank; i++) t->d[i] = t->d[i + 1];
    t->tensor = --t->rank > 0;
    return OK;
}

rc dev_shape_argsort(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_shape_real(c, o, t));
    TRY(dev_axis(c, o, 1, -1, t->rank));
    TRY(dev_yes_no(c, o, 2, "ascending", &o->a.ascending));
    return place_type(c, o, -1, &t->dtype);
}

/* Values, and unless return_indices is false their places; always in order. */
rc dev_shape_topk(dev_code *c, dev_op *o, mil_type *t)
{
    bool places = true, sorted = true;
    int64_t k = 1;
    TRY(dev_real_arg(c, o, 0, "x"));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    TRY(dev_whole(c, o, 1, "k", &k));
    TRY(dev_axis(c, o, 2, -1, x->rank));
    TRY(dev_yes_no(c, o, 3, "ascending", &o->a.ascending));
    TRY(dev_yes_no(c, o, 4, "sort", &sorted));
    TRY(dev_yes_no(c, o, 5, "return_indices", &places));
    if (o->mil->n_out != (places ? 2 : 1))
        return dev_bad(c, o, "topk has %d results here, %d are named", places ? 2 : 1,
                       o->mil->n_out);
    if (k < 1 || k > x->d[o->a.axis])
        return dev_bad(c, o, "the top %lld of %lld", (long long)k,
                       (long long)x->d[o->a.axis]);
    o->a.n = k;
    t[0] = *x;
    t[0].d[o->a.axis] = k;
    if (!places) return OK;
    t[1] = t[0];
    return place_type(c, o, 6, &t[1].dtype);
}

/* ---- constants that are unpacked ---- */
/* Extents from a list; their product is checked by sound_type. */
static rc listed_shape(dev_code *c, dev_op *o, int slot, mil_type *t)
{
    int n;
    TRY(dev_ints(c, o, slot, "shape", 0, t->d, MIL_RANK, &n));
    for (int i = 0; i < n; i++)
        if (t->d[i] < 1)
            return dev_bad(c, o, "'%s' of extent %lld", o->mil->op, (long long)t->d[i]);
    t->rank = n;
    t->tensor = n > 0;
    if (mil_count(t) < 1) return dev_bad(c, o, "'%s' has too many elements", o->mil->op);
    return OK;
}

rc dev_shape_fill(dev_code *c, dev_op *o, mil_type *t)
{
    const dev_value *v = dev_arg(c, o, 1);
    TRY(dev_one_result(c, o));
    *t = (mil_type){.dtype = v ? v->type.dtype : MIL_FP32};
    if (v && (v->type.dtype == MIL_STRING || mil_count(&v->type) != 1 || v->blob))
        return dev_bad(c, o, "argument 'value' of 'fill' must be one number");
    return listed_shape(c, o, 0, t);
}

/* Either packed indices with a shape (iOS 16), or a byte for each place and a
 * table for each block of them (iOS 18): lut [blocks..., 256, 1]. */
rc dev_shape_lut(dev_code *c, dev_op *o, mil_type *t)
{
    const dev_value *q = dev_arg(c, o, 0), *lut = dev_arg(c, o, 1);
    TRY(dev_one_result(c, o));
    if (q->type.dtype != MIL_UINT8)
        return dev_bad(c, o, "indices are %s, uint8 wanted",
                       mil_dtype_text(q->type.dtype));
    *t = (mil_type){.dtype = lut->type.dtype};
    if (o->arg[2] >= 0) {
        int64_t n = lut->type.rank == 1 ? lut->type.d[0] : 0, bits = 0;
        while ((int64_t)1 << bits < n && bits < 8) bits++;
        TRY(listed_shape(c, o, 2, t));
        if ((int64_t)1 << bits != n || n < 2 || bits == 3 || bits == 5 || bits == 7)
            return dev_bad(c, o, "a table of %lld; 2, 4, 16, 64 or 256 wanted",
                           (long long)n);
        o->a.n = bits;
        int64_t bytes = mil_count(t) > INT64_MAX / 16 ? -1
                                                      : (mil_count(t) * bits + 7) / 8;
        if (mil_count(&q->type) != bytes)
            return dev_bad(c, o, "%lld bytes of indices, %lld wanted",
                           (long long)mil_count(&q->type), (long long)bytes);
        return OK;
    }
    int r = q->type.rank;
    bool fits = r >= 1 && lut->type.rank == r + 2 && lut->type.d[r] == 256 &&
                lut->type.d[r + 1] == 1;
    for (int i = 0; fits && i < r; i++)
        fits = lut->type.d[i] > 0 && q->type.d[i] % lut->type.d[i] == 0;
    if (!fits)
        return dev_bad(c, o,
                       "tables for %d axes of byte indices must be [blocks of "
                       "each..., 256, 1]",
                       r);
    *t = q->type;
    t->dtype = lut->type.dtype;
    return OK;
}

rc dev_shape_sparse(dev_code *c, dev_op *o, mil_type *t)
{
    const dev_value *x = dev_arg(c, o, 0), *mask = dev_arg(c, o, 1);
    TRY(dev_one_result(c, o));
    *t = (mil_type){.dtype = x->type.dtype};
    TRY(listed_shape(c, o, 2, t));
    if (x->type.rank != 1 || x->type.dtype == MIL_STRING || mask->type.rank != 1 ||
        mask->type.dtype != MIL_UINT8 || mil_count(&mask->type) != (mil_count(t) + 7) / 8)
        return dev_bad(c, o, "mask must hold a bit for each of %lld places",
                       (long long)mil_count(t));
    return OK;
}

/* scale and offset: one for each block along every axis. */
rc dev_shape_blockwise(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96];
    const dev_value *q = dev_arg(c, o, 0), *s = dev_arg(c, o, 1), *z = dev_arg(c, o, 2);
    TRY(dev_one_result(c, o));
    TRY(dev_real_arg(c, o, 1, "scale"));
    if (q->type.dtype != MIL_INT8 && q->type.dtype != MIL_UINT8 && !dev_is_real(&q->type))
        return dev_bad(c, o, "data is %s; int8, uint8, fp16 or fp32 wanted",
                       mil_dtype_text(q->type.dtype));
    bool fits = q->type.rank >= 1 && s->type.rank == q->type.rank;
    for (int i = 0; fits && i < q->type.rank; i++)
        fits = s->type.d[i] > 0 && q->type.d[i] % s->type.d[i] == 0;
    for (int i = 0; fits && z && i < q->type.rank; i++)
        fits = z->type.rank == s->type.rank && z->type.d[i] == s->type.d[i];
    if (!fits || (z && z->type.dtype != q->type.dtype && !dev_is_real(&z->type)))
        return dev_bad(c, o, "scales %s do not divide %s in blocks",
                       mil_type_text(a, &s->type), mil_type_text(b, &q->type));
    *t = q->type;
    t->dtype = s->type.dtype;
    return OK;
}
