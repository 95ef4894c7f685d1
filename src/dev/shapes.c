/* shapes.c - what each op gives for what it is given: one rule per shape of
 * op, named in ops.def.
 *
 * A rule reads constant arguments into o->attrs, checks its tensors, and says
 * the types of the results. Reals are fp16 and fp32; moving ops take any
 * type. Axes count from the end when negative, as in MIL. */
#include <math.h>
#include <string.h>
#include "dev/code.h"

typedef rc shape_rule(dev_code *c, dev_op *o, mil_type *t);

static const dev_value *arg(const dev_code *c, const dev_op *o, int slot)
{
    return o->arg[slot] < 0 ? NULL : &c->values[o->arg[slot]];
}

static bool is_real(const mil_type *t)
{
    return t->dtype == MIL_FP16 || t->dtype == MIL_FP32;
}

double dev_const_at(const dev_value *v, size_t i)
{
    const void *p = v->data;
    if (v->splat) i = 0;
    if (!p) return 0;
    switch (v->type.dtype) {
    case MIL_FP16:
        return half_to_double(((const half *)p)[i]);
    case MIL_FP32:
        return ((const float *)p)[i];
    case MIL_BOOL:
    case MIL_UINT8:
        return ((const uint8_t *)p)[i];
    case MIL_INT8:
        return ((const int8_t *)p)[i];
    case MIL_INT16:
        return ((const int16_t *)p)[i];
    case MIL_UINT16:
        return ((const uint16_t *)p)[i];
    case MIL_INT32:
        return ((const int32_t *)p)[i];
    case MIL_UINT32:
        return ((const uint32_t *)p)[i];
    case MIL_INT64:
        return (double)((const int64_t *)p)[i];
    case MIL_UINT64:
        return (double)((const uint64_t *)p)[i];
    default:
        return 0;
    }
}

static bool is_whole(mil_dtype d)
{
    return d == MIL_INT32 || d == MIL_UINT32 || d == MIL_INT64 || d == MIL_UINT64 ||
           d == MIL_INT16 || d == MIL_UINT16 || d == MIL_INT8 || d == MIL_UINT8;
}

/* ---- reading constant arguments ---- */
/* Whole numbers of a constant: at most `max`, exactly `want` if > 0. */
static rc ints(dev_code *c, dev_op *o, int slot, const char *name, int want, int64_t *v,
               int max, int *n)
{
    const dev_value *a = arg(c, o, slot);
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

static rc whole(dev_code *c, dev_op *o, int slot, const char *name, int64_t *v)
{
    return o->arg[slot] < 0 ? OK : ints(c, o, slot, name, 1, v, 1, NULL);
}

static rc yes_no(dev_code *c, dev_op *o, int slot, const char *name, bool *v)
{
    const dev_value *a = arg(c, o, slot);
    if (!a) return OK;
    if (a->type.dtype != MIL_BOOL || mil_count(&a->type) != 1 || !a->data)
        return dev_bad(c, o, "argument '%s' of '%s' must be a bool", name, o->mil->op);
    *v = dev_const_at(a, 0) != 0;
    return OK;
}

static rc word(dev_code *c, dev_op *o, int slot, const char *name, const char **v)
{
    const dev_value *a = arg(c, o, slot);
    if (!a) return OK;
    if (a->type.dtype != MIL_STRING || !a->text)
        return dev_bad(c, o, "argument '%s' of '%s' must be a string", name, o->mil->op);
    *v = a->text;
    return OK;
}

static rc axis_of(dev_code *c, dev_op *o, int64_t v, int rank, int *axis)
{
    if (v < -rank || v >= rank)
        return dev_bad(c, o, "axis %lld of '%s' is outside rank %d", (long long)v,
                       o->mil->op, rank);
    *axis = (int)(v < 0 ? v + rank : v);
    return OK;
}

static rc one_result(dev_code *c, dev_op *o)
{
    if (o->mil->n_out == 1) return OK;
    return dev_bad(c, o, "'%s' has one result, %d are named", o->mil->op, o->mil->n_out);
}

/* A real tensor argument. */
static rc real_arg(dev_code *c, dev_op *o, int slot, const char *name)
{
    char text[96];
    const dev_value *a = arg(c, o, slot);
    if (!a || is_real(&a->type)) return OK;
    return dev_bad(c, o, "argument '%s' of '%s' is %s; fp16 or fp32 wanted", name,
                   o->mil->op, mil_type_text(text, &a->type));
}

static rc same_dtype(dev_code *c, dev_op *o, int a, int b)
{
    const dev_value *x = arg(c, o, a), *y = arg(c, o, b);
    if (!x || !y || x->type.dtype == y->type.dtype) return OK;
    return dev_bad(c, o, "'%s' joins %s and %s; cast one", o->mil->op,
                   mil_dtype_text(x->type.dtype), mil_dtype_text(y->type.dtype));
}

/* NumPy broadcasting of shapes, aligned at the last axis. */
static rc join(dev_code *c, dev_op *o, const mil_type *x, const mil_type *y, mil_type *t)
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

/* ---- constants ---- */
static rc shape_constant(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(one_result(c, o));
    *t = arg(c, o, 0)->type;
    return OK;
}

/* (q - zero_point) * scale, per tensor or along one axis. */
static rc shape_constexpr(dev_code *c, dev_op *o, mil_type *t)
{
    const dev_value *q = arg(c, o, 0), *s = arg(c, o, 1), *z = arg(c, o, 2);
    int64_t axis = 0;
    TRY(one_result(c, o));
    TRY(whole(c, o, 3, "axis", &axis));
    TRY(axis_of(c, o, axis, q->type.rank, &o->a.axis));
    if (q->type.dtype != MIL_INT8 && q->type.dtype != MIL_UINT8)
        return dev_bad(c, o, "quantized_data is %s; int8 or uint8 wanted",
                       mil_dtype_text(q->type.dtype));
    if (z->type.dtype != q->type.dtype || !is_real(&s->type))
        return dev_bad(c, o, "zero_point must be %s and scale fp16 or fp32",
                       mil_dtype_text(q->type.dtype));
    const dev_value *each[2] = {s, z};
    for (int i = 0; i < 2; i++) {
        int64_t n = mil_count(&each[i]->type);
        if (n != 1 && n != q->type.d[o->a.axis])
            return dev_bad(c, o, "%s has %lld numbers; 1 or %lld wanted",
                           i ? "zero_point" : "scale", (long long)n,
                           (long long)q->type.d[o->a.axis]);
    }
    *t = q->type;
    t->dtype = s->type.dtype;
    return OK;
}

/* ---- elementwise ---- */
static rc shape_real(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(one_result(c, o));
    TRY(real_arg(c, o, 0, "x"));
    *t = arg(c, o, 0)->type;
    return OK;
}

static rc shape_same(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(one_result(c, o));
    *t = arg(c, o, 0)->type;
    return OK;
}

static rc shape_gelu(dev_code *c, dev_op *o, mil_type *t)
{
    const char *mode = "EXACT";
    TRY(word(c, o, 1, "mode", &mode));
    if (strcmp(mode, "EXACT") && strcmp(mode, "TANH_APPROXIMATION"))
        return dev_bad(c, o, "gelu mode '%s'; EXACT or TANH_APPROXIMATION wanted", mode);
    return shape_real(c, o, t);
}

static rc shape_binary(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(one_result(c, o));
    TRY(real_arg(c, o, 0, "x"));
    TRY(real_arg(c, o, 1, "y"));
    TRY(same_dtype(c, o, 0, 1));
    return join(c, o, &arg(c, o, 0)->type, &arg(c, o, 1)->type, t);
}

static rc shape_compare(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(shape_binary(c, o, t));
    t->dtype = MIL_BOOL;
    return OK;
}

static rc shape_boolean(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(one_result(c, o));
    *t = arg(c, o, 0)->type;
    if (t->dtype != MIL_BOOL)
        return dev_bad(c, o, "'%s' takes bool, not %s", o->mil->op,
                       mil_dtype_text(t->dtype));
    return OK;
}

static rc shape_select(dev_code *c, dev_op *o, mil_type *t)
{
    mil_type both, cond = arg(c, o, 0)->type;
    TRY(one_result(c, o));
    if (cond.dtype != MIL_BOOL)
        return dev_bad(c, o, "argument 'cond' of 'select' is %s; bool wanted",
                       mil_dtype_text(cond.dtype));
    TRY(real_arg(c, o, 1, "a"));
    TRY(real_arg(c, o, 2, "b"));
    TRY(same_dtype(c, o, 1, 2));
    TRY(join(c, o, &arg(c, o, 1)->type, &arg(c, o, 2)->type, &both));
    TRY(join(c, o, &both, &cond, t));
    return OK;
}

static rc shape_cast(dev_code *c, dev_op *o, mil_type *t)
{
    const char *name = "";
    TRY(one_result(c, o));
    TRY(word(c, o, 1, "dtype", &name));
    *t = arg(c, o, 0)->type;
    static const mil_dtype known[] = {MIL_FP16, MIL_FP32,  MIL_INT32, MIL_BOOL,
                                      MIL_INT8, MIL_UINT8, MIL_INT16, MIL_UINT16};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, mil_dtype_text(known[i]))) {
            t->dtype = known[i];
            return OK;
        }
    return dev_bad(c, o, "cast to '%s'; fp16, fp32, bool or a whole type wanted", name);
}

/* ---- along axes ---- */
static rc shape_softmax(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axis = -1;
    TRY(shape_real(c, o, t));
    TRY(whole(c, o, 1, "axis", &axis));
    return axis_of(c, o, axis, t->rank, &o->a.axis);
}

static rc shape_reduce(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axes[MIL_RANK];
    bool gone[MIL_RANK] = {false};
    int n = 0;
    TRY(shape_real(c, o, t));
    TRY(yes_no(c, o, 2, "keep_dims", &o->a.keep));
    if (o->arg[1] >= 0) TRY(ints(c, o, 1, "axes", 0, axes, MIL_RANK, &n));
    else
        for (n = 0; n < t->rank; n++) axes[n] = n;
    for (int i = 0; i < n; i++) {
        int a = 0;
        TRY(axis_of(c, o, axes[i], t->rank, &a));
        gone[a] = true;
    }
    mil_type r = {.dtype = t->dtype};
    for (int i = 0; i < t->rank; i++) {
        if (gone[i]) o->a.axes[o->a.n_axes++] = i;
        if (!gone[i] || o->a.keep) r.d[r.rank++] = gone[i] ? 1 : t->d[i];
    }
    r.tensor = r.rank > 0;
    *t = r;
    return OK;
}

/* ---- products ---- */
static rc shape_matmul(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96];
    TRY(one_result(c, o));
    TRY(real_arg(c, o, 0, "x"));
    TRY(real_arg(c, o, 1, "y"));
    TRY(same_dtype(c, o, 0, 1));
    TRY(yes_no(c, o, 2, "transpose_x", &o->a.tx));
    TRY(yes_no(c, o, 3, "transpose_y", &o->a.ty));
    const mil_type *x = &arg(c, o, 0)->type, *y = &arg(c, o, 1)->type;
    if (x->rank < 2 || y->rank < 2)
        return dev_bad(c, o, "matmul of %s and %s: both need two axes at least",
                       mil_type_text(a, x), mil_type_text(b, y));
    int64_t m = x->d[x->rank - (o->a.tx ? 1 : 2)], k = x->d[x->rank - (o->a.tx ? 2 : 1)];
    int64_t k2 = y->d[y->rank - (o->a.ty ? 1 : 2)], n = y->d[y->rank - (o->a.ty ? 2 : 1)];
    if (k != k2)
        return dev_bad(c, o, "matmul of %s%s and %s%s: contracted axes are %lld and %lld",
                       mil_type_text(a, x), o->a.tx ? " transposed" : "",
                       mil_type_text(b, y), o->a.ty ? " transposed" : "", (long long)k,
                       (long long)k2);
    mil_type xb = *x, yb = *y;
    xb.rank -= 2;
    yb.rank -= 2;
    TRY(join(c, o, &xb, &yb, t));
    t->tensor = true;
    t->d[t->rank++] = m;
    t->d[t->rank++] = n;
    return OK;
}

/* x [.., I], weight [O, I], bias [O] -> [.., O] */
static rc shape_linear(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96];
    TRY(one_result(c, o));
    TRY(real_arg(c, o, 0, "x"));
    TRY(same_dtype(c, o, 0, 1));
    TRY(same_dtype(c, o, 0, 2));
    const mil_type *x = &arg(c, o, 0)->type, *w = &arg(c, o, 1)->type;
    const dev_value *bias = arg(c, o, 2);
    if (x->rank < 1 || w->rank != 2 || x->d[x->rank - 1] != w->d[1])
        return dev_bad(c, o, "linear of %s with weight %s; weight [out, in] wanted",
                       mil_type_text(a, x), mil_type_text(b, w));
    if (bias && mil_count(&bias->type) != w->d[0])
        return dev_bad(c, o, "linear bias has %lld numbers, %lld wanted",
                       (long long)mil_count(&bias->type), (long long)w->d[0]);
    *t = *x;
    t->d[t->rank - 1] = w->d[0];
    return OK;
}

/* Padding of one axis for pad_type "same": as little as keeps ceil(n/stride)
 * outputs; the odd one goes below ("same") or above ("same_lower"). */
static void pad_same(int64_t in, int64_t k, int64_t stride, bool lower, int64_t *lo,
                     int64_t *hi)
{
    int64_t outs = (in + stride - 1) / stride, all = (outs - 1) * stride + k - in;
    if (all < 0) all = 0;
    *lo = lower ? all - all / 2 : all / 2;
    *hi = all - *lo;
}

static rc conv_padding(dev_code *c, dev_op *o, const mil_type *x, const mil_type *w,
                       int ns)
{
    const char *kind = "valid";
    TRY(word(c, o, 4, "pad_type", &kind));
    int first = 2 - ns;
    if (!strcmp(kind, "custom")) {
        if (o->arg[5] < 0) return dev_bad(c, o, "pad_type custom needs argument 'pad'");
        TRY(ints(c, o, 5, "pad", 2 * ns, o->a.pad + 2 * first, 4, NULL));
    } else if (!strcmp(kind, "same") || !strcmp(kind, "same_lower")) {
        for (int i = 0; i < ns; i++)
            pad_same(x->d[2 + i], (w->d[2 + i] - 1) * o->a.dilation[first + i] + 1,
                     o->a.stride[first + i], !strcmp(kind, "same_lower"),
                     &o->a.pad[2 * (first + i)], &o->a.pad[2 * (first + i) + 1]);
    } else if (strcmp(kind, "valid") != 0) {
        return dev_bad(c, o, "pad_type '%s'; valid, same, same_lower or custom wanted",
                       kind);
    }
    for (int i = 0; i < 4; i++)
        if (o->a.pad[i] < 0 || o->a.pad[i] > INT32_MAX)
            return dev_bad(c, o, "conv padding %lld is out of range",
                           (long long)o->a.pad[i]);
    return OK;
}

/* x [N,I,(H,)W], weight [O,I/groups,(kh,)kw] -> [N,O,(H',)W'] */
static rc shape_conv(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96];
    TRY(one_result(c, o));
    TRY(real_arg(c, o, 0, "x"));
    TRY(same_dtype(c, o, 0, 1));
    TRY(same_dtype(c, o, 0, 2));
    const mil_type *x = &arg(c, o, 0)->type, *w = &arg(c, o, 1)->type;
    const dev_value *bias = arg(c, o, 2);
    if ((x->rank != 3 && x->rank != 4) || w->rank != x->rank)
        return dev_bad(c, o, "conv of %s with weight %s; rank 3 or 4 wanted for both",
                       mil_type_text(a, x), mil_type_text(b, w));
    int ns = x->rank - 2, first = 2 - ns;
    o->a.groups = o->a.stride[0] = o->a.stride[1] = o->a.dilation[0] = o->a.dilation[1] =
        1;
    if (o->arg[3] >= 0) TRY(ints(c, o, 3, "strides", ns, o->a.stride + first, 2, NULL));
    if (o->arg[6] >= 0)
        TRY(ints(c, o, 6, "dilations", ns, o->a.dilation + first, 2, NULL));
    TRY(whole(c, o, 7, "groups", &o->a.groups));
    for (int i = 0; i < 2; i++)
        if (o->a.stride[i] < 1 || o->a.dilation[i] < 1 || o->a.stride[i] > INT32_MAX ||
            o->a.dilation[i] > INT32_MAX)
            return dev_bad(c, o, "conv strides and dilations must be 1 or more");
    TRY(conv_padding(c, o, x, w, ns));
    int64_t g = o->a.groups;
    if (g < 1 || x->d[1] % g || w->d[0] % g)
        return mil_fail(
            c->mil, o->mil->pos, E_RULE,
            "rule 'grouped_conv_limit': %lld input and %lld output channels in "
            "%lld groups",
            (long long)x->d[1], (long long)w->d[0], (long long)g);
    if (w->d[1] != x->d[1] / g)
        return dev_bad(
            c, o,
            "conv of %s with weight %s in %lld groups: the weight's second axis must be "
            "channels / groups",
            mil_type_text(a, x), mil_type_text(b, w), (long long)g);
    if (bias && mil_count(&bias->type) != w->d[0])
        return dev_bad(c, o, "conv bias has %lld numbers, %lld wanted",
                       (long long)mil_count(&bias->type), (long long)w->d[0]);
    *t = *x;
    t->d[1] = w->d[0];
    for (int i = 0; i < ns; i++) {
        int64_t span = x->d[2 + i] + o->a.pad[2 * (first + i)] +
                       o->a.pad[2 * (first + i) + 1];
        if (w->d[2 + i] > span ||
            o->a.dilation[first + i] > span / (w->d[2 + i] + 1) + span)
            return dev_bad(c, o, "conv kernel %s is larger than its input %s",
                           mil_type_text(b, w), mil_type_text(a, x));
        int64_t out = span - (o->a.dilation[first + i] * (w->d[2 + i] - 1) + 1);
        if (out < 0)
            return dev_bad(c, o, "conv kernel %s is larger than its input %s",
                           mil_type_text(b, w), mil_type_text(a, x));
        t->d[2 + i] = out / o->a.stride[first + i] + 1;
    }
    return OK;
}

/* query [.., L, E], key [.., S, E], value [.., S, V] -> [.., L, V] */
static rc shape_sdpa(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96], e[96];
    TRY(one_result(c, o));
    for (int i = 0; i < 3; i++) TRY(real_arg(c, o, i, "query"));
    TRY(same_dtype(c, o, 0, 1));
    TRY(same_dtype(c, o, 0, 2));
    const mil_type *q = &arg(c, o, 0)->type, *k = &arg(c, o, 1)->type,
                   *v = &arg(c, o, 2)->type;
    int r = q->rank;
    bool fits = r >= 3 && k->rank == r && v->rank == r && q->d[r - 1] == k->d[r - 1] &&
                k->d[r - 2] == v->d[r - 2];
    for (int i = 0; fits && i < r - 2; i++)
        fits = q->d[i] == k->d[i] && q->d[i] == v->d[i];
    if (!fits)
        return dev_bad(c, o, "attention over query %s, key %s, value %s does not fit",
                       mil_type_text(a, q), mil_type_text(b, k), mil_type_text(e, v));
    *t = *q;
    t->d[r - 1] = v->d[r - 1];
    return OK;
}

/* ---- moving ---- */
static rc shape_reshape(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t d[MIL_RANK], known = 1;
    int n, open = -1;
    char a[96];
    TRY(one_result(c, o));
    const mil_type *x = &arg(c, o, 0)->type;
    TRY(ints(c, o, 1, "shape", 0, d, MIL_RANK, &n));
    mil_type r = {.dtype = x->dtype, .tensor = n > 0, .rank = n};
    for (int i = 0; i < n; i++) {
        if (d[i] == -1 && open < 0) {
            open = i;
            continue;
        }
        if (d[i] < 1 || known > mil_count(x) / d[i])
            return dev_bad(c, o, "%s cannot be reshaped as asked", mil_type_text(a, x));
        known *= d[i];
        r.d[i] = d[i];
    }
    if (open >= 0) r.d[open] = mil_count(x) / known;
    if (mil_count(&r) != mil_count(x))
        return dev_bad(c, o, "%s has %lld elements, its new shape %lld",
                       mil_type_text(a, x), (long long)mil_count(x),
                       (long long)mil_count(&r));
    *t = r;
    return OK;
}

static rc shape_transpose(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t p[MIL_RANK];
    bool seen[MIL_RANK] = {false};
    TRY(one_result(c, o));
    const mil_type *x = &arg(c, o, 0)->type;
    TRY(ints(c, o, 1, "perm", x->rank, p, MIL_RANK, NULL));
    *t = *x;
    for (int i = 0; i < x->rank; i++) {
        TRY(axis_of(c, o, p[i], x->rank, &o->a.perm[i]));
        if (seen[o->a.perm[i]])
            return dev_bad(c, o, "perm names axis %d twice", o->a.perm[i]);
        seen[o->a.perm[i]] = true;
        t->d[i] = x->d[o->a.perm[i]];
    }
    return OK;
}

static rc shape_expand(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axes[MIL_RANK];
    bool fresh[MIL_RANK] = {false};
    int n;
    TRY(one_result(c, o));
    const mil_type *x = &arg(c, o, 0)->type;
    TRY(ints(c, o, 1, "axes", 0, axes, MIL_RANK, &n));
    if (x->rank + n > MIL_RANK) return dev_bad(c, o, "more than %d axes", MIL_RANK);
    for (int i = 0; i < n; i++) {
        int a = 0;
        TRY(axis_of(c, o, axes[i], x->rank + n, &a));
        if (fresh[a]) return dev_bad(c, o, "axes names axis %d twice", a);
        fresh[a] = true;
    }
    *t = (mil_type){.dtype = x->dtype, .tensor = true, .rank = x->rank + n};
    for (int i = 0, j = 0; i < t->rank; i++) t->d[i] = fresh[i] ? 1 : x->d[j++];
    return OK;
}

static rc shape_squeeze(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axes[MIL_RANK];
    bool gone[MIL_RANK] = {false};
    int n = 0;
    TRY(one_result(c, o));
    const mil_type *x = &arg(c, o, 0)->type;
    if (o->arg[1] >= 0) TRY(ints(c, o, 1, "axes", 0, axes, MIL_RANK, &n));
    for (int i = 0; i < n; i++) {
        int a = 0;
        TRY(axis_of(c, o, axes[i], x->rank, &a));
        if (x->d[a] != 1)
            return dev_bad(c, o, "axis %d has %lld elements and cannot be squeezed", a,
                           (long long)x->d[a]);
        gone[a] = true;
    }
    if (o->arg[1] < 0)
        for (int i = 0; i < x->rank; i++) gone[i] = x->d[i] == 1;
    mil_type r = {.dtype = x->dtype};
    for (int i = 0; i < x->rank; i++)
        if (!gone[i]) r.d[r.rank++] = x->d[i];
    r.tensor = r.rank > 0;
    *t = r;
    return OK;
}

static rc shape_slice(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96];
    TRY(one_result(c, o));
    const mil_type *x = &arg(c, o, 0)->type;
    TRY(ints(c, o, 1, "begin", x->rank, o->a.begin, MIL_RANK, NULL));
    TRY(ints(c, o, 2, "size", x->rank, o->a.size, MIL_RANK, NULL));
    *t = *x;
    for (int i = 0; i < x->rank; i++) {
        int64_t b = o->a.begin[i], n = o->a.size[i];
        if (n == -1 && b >= 0 && b < x->d[i]) n = x->d[i] - b;
        if (b < 0 || n < 1 || b > x->d[i] || n > x->d[i] - b)
            return dev_bad(c, o, "slice [%lld, +%lld) of axis %d is outside %s",
                           (long long)b, (long long)n, i, mil_type_text(a, x));
        t->d[i] = o->a.size[i] = n;
    }
    return OK;
}

static rc shape_split(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axis = 0, parts = 0, sizes[64], at = 0;
    char a[96];
    const mil_type *x = &arg(c, o, 0)->type;
    int n = 0;
    TRY(whole(c, o, 1, "axis", &axis));
    TRY(axis_of(c, o, axis, x->rank, &o->a.axis));
    TRY(whole(c, o, 2, "num_splits", &parts));
    if (o->arg[3] >= 0) {
        TRY(ints(c, o, 3, "split_sizes", 0, sizes, 64, &n));
    } else {
        if (parts < 1 || parts > 64 || x->d[o->a.axis] % parts)
            return dev_bad(c, o, "%s does not split into %lld equal parts",
                           mil_type_text(a, x), (long long)parts);
        for (n = 0; n < (int)parts; n++) sizes[n] = x->d[o->a.axis] / parts;
    }
    if (n != o->mil->n_out)
        return dev_bad(c, o, "split into %d parts, but %d results are named", n,
                       o->mil->n_out);
    for (int i = 0; i < n; i++) {
        if (sizes[i] < 1 || sizes[i] > x->d[o->a.axis] - at)
            return dev_bad(c, o, "split sizes do not fit %s", mil_type_text(a, x));
        t[i] = *x;
        t[i].d[o->a.axis] = sizes[i];
        at += sizes[i];
    }
    if (at != x->d[o->a.axis])
        return dev_bad(c, o, "split sizes do not fit %s", mil_type_text(a, x));
    return OK;
}

static rc shape_tile(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(one_result(c, o));
    const mil_type *x = &arg(c, o, 0)->type;
    TRY(ints(c, o, 1, "reps", x->rank, o->a.reps, MIL_RANK, NULL));
    *t = *x;
    for (int i = 0; i < x->rank; i++) {
        if (o->a.reps[i] < 1 || o->a.reps[i] > INT64_MAX / x->d[i])
            return dev_bad(c, o, "%lld repetitions of axis %d", (long long)o->a.reps[i],
                           i);
        t->d[i] *= o->a.reps[i];
    }
    return OK;
}

static rc shape_concat(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axis = 0;
    bool interleave = false;
    char a[96], b[96];
    TRY(one_result(c, o));
    TRY(whole(c, o, 1, "axis", &axis));
    TRY(yes_no(c, o, 2, "interleave", &interleave));
    if (o->n_list < 1) return dev_bad(c, o, "concat of nothing");
    const mil_type *x = &c->values[o->list[0]].type;
    TRY(axis_of(c, o, axis, x->rank, &o->a.axis));
    if (interleave)
        return mil_fail(c->mil, o->mil->pos, E_UNIMPL,
                        "interleaved concat is not in the software engines");
    *t = *x;
    for (int j = 1; j < o->n_list; j++) {
        const mil_type *y = &c->values[o->list[j]].type;
        bool fits = y->rank == x->rank && y->dtype == x->dtype;
        for (int i = 0; fits && i < x->rank; i++)
            fits = i == o->a.axis || y->d[i] == x->d[i];
        if (!fits || y->d[o->a.axis] > INT64_MAX - t->d[o->a.axis])
            return dev_bad(c, o, "%s and %s do not join along axis %d",
                           mil_type_text(a, x), mil_type_text(b, y), o->a.axis);
        t->d[o->a.axis] += y->d[o->a.axis];
    }
    return OK;
}

rc dev_infer(dev_code *c, dev_op *o, mil_type *t)
{
    static shape_rule *const rules[] = {
#define DEVOP(id, args, rule, cls, kernel) shape_##rule,
#include "dev/ops.def"
#undef DEVOP
    };
    return rules[o->kind](c, o, t);
}

double dev_flops(const dev_code *c, const dev_op *o)
{
    const mil_type *r = o->n_out ? &c->values[o->out[0]].type : NULL;
    if (!r || o->arg[0] < 0) return 0;
    double n = (double)mil_count(r);
    const mil_type *x = &c->values[o->arg[0]].type;
    switch (o->kind) {
    case DEV_OP_matmul:
        return 2 * n * (double)x->d[x->rank - (o->a.tx ? 2 : 1)];
    case DEV_OP_linear:
        return 2 * n * (double)x->d[x->rank - 1];
    case DEV_OP_conv: {
        const mil_type *w = &c->values[o->arg[1]].type;
        return 2 * n * (double)mil_count(w) / (double)w->d[0];
    }
    case DEV_OP_scaled_dot_product_attention: {
        const mil_type *k = &c->values[o->arg[1]].type;
        double scores = (double)k->d[k->rank - 2];
        return 2 * n * scores +
               2 * n / (double)r->d[r->rank - 1] * scores * (double)x->d[x->rank - 1];
    }
    default:
        return 0;
    }
}
