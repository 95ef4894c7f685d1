/* shapes_index.c - shape rules of ops whose results are places of their input:
 * slices with steps, padding, gathering, stacking; and einsum's letters. */
#include <string.h>
#include "dev/shapes.h"

/* ---- slices: place i of a result is begin + i * step of the input ---- */
/* One axis of n places, as NumPy reads begin:end:step. */
static rc slice_axis(dev_code *c, dev_op *o, int i, int64_t n, int64_t begin, int64_t end,
                     bool from_edge, bool to_edge, bool one)
{
    int64_t s = o->a.step[i];
    if (!s || s > INT32_MAX || s < -INT32_MAX)
        return dev_bad(c, o, "a stride of %lld along axis %d", (long long)s, i);
    if (begin < 0) begin += n;
    if (end < 0) end += n;
    if (one) {
        if (begin < 0 || begin >= n)
            return dev_bad(c, o, "place %lld is outside axis %d", (long long)begin, i);
        o->a.begin[i] = begin;
        o->a.step[i] = o->a.size[i] = 1;
        return OK;
    }
    if (s > 0) {
        begin = from_edge || begin < 0 ? 0 : begin > n ? n : begin;
        end = to_edge || end > n ? n : end;
        o->a.size[i] = end > begin ? (end - begin + s - 1) / s : 0;
    } else {
        begin = from_edge || begin > n - 1 ? n - 1 : begin;
        end = to_edge || end < -1 ? -1 : end;
        o->a.size[i] = begin > end ? (begin - end - s - 1) / -s : 0;
    }
    if (o->a.size[i] < 1) return dev_bad(c, o, "axis %d of a slice is empty", i);
    o->a.begin[i] = begin;
    return OK;
}

/* begin, end, stride, begin_mask, end_mask, squeeze_mask from a slot on. */
static rc slices(dev_code *c, dev_op *o, int slot, bool *squeeze)
{
    int64_t begin[MIL_RANK] = {0}, end[MIL_RANK] = {0};
    bool from[MIL_RANK], to[MIL_RANK];
    const mil_type *x = &dev_arg(c, o, 0)->type;
    TRY(dev_one_result(c, o));
    TRY(dev_ints(c, o, slot, "begin", x->rank, begin, MIL_RANK, NULL));
    TRY(dev_ints(c, o, slot + 1, "end", x->rank, end, MIL_RANK, NULL));
    for (int i = 0; i < x->rank; i++) o->a.step[i] = 1;
    if (o->arg[slot + 2] >= 0)
        TRY(dev_ints(c, o, slot + 2, "stride", x->rank, o->a.step, MIL_RANK, NULL));
    TRY(dev_bools(c, o, slot + 3, "begin_mask", x->rank, from));
    TRY(dev_bools(c, o, slot + 4, "end_mask", x->rank, to));
    TRY(dev_bools(c, o, slot + 5, "squeeze_mask", x->rank, squeeze));
    for (int i = 0; i < x->rank; i++)
        TRY(slice_axis(c, o, i, x->d[i], begin[i], end[i], from[i], to[i], squeeze[i]));
    return OK;
}

rc dev_shape_index(dev_code *c, dev_op *o, mil_type *t)
{
    bool squeeze[MIL_RANK];
    TRY(slices(c, o, 1, squeeze));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    *t = (mil_type){.dtype = x->dtype};
    for (int i = 0; i < x->rank; i++)
        if (!squeeze[i]) t->d[t->rank++] = o->a.size[i];
    t->tensor = t->rank > 0;
    return OK;
}

/* The slice of x that update takes the place of has update's shape. */
rc dev_shape_update(dev_code *c, dev_op *o, mil_type *t)
{
    bool squeeze[MIL_RANK];
    char a[96];
    int n = 0;
    TRY(slices(c, o, 2, squeeze));
    TRY(dev_same_dtype(c, o, 0, 1));
    const mil_type *x = &dev_arg(c, o, 0)->type, *u = &dev_arg(c, o, 1)->type;
    bool fits = true;
    for (int i = 0; i < x->rank; i++)
        if (!squeeze[i]) {
            fits = fits && n < u->rank && u->d[n] == o->a.size[i];
            n++;
        }
    if (!fits || n != u->rank)
        return dev_bad(c, o, "an update of %s does not fit its slice",
                       mil_type_text(a, u));
    *t = *x;
    return OK;
}

rc dev_shape_reverse(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axes[MIL_RANK];
    int n = 0;
    TRY(dev_one_result(c, o));
    *t = dev_arg(c, o, 0)->type;
    if (o->arg[1] >= 0) TRY(dev_ints(c, o, 1, "axes", 0, axes, MIL_RANK, &n));
    else
        for (; n < t->rank; n++) axes[n] = n;
    for (int i = 0; i < t->rank; i++) o->a.step[i] = 1;
    for (int i = 0; i < n; i++) {
        int a = 0;
        TRY(dev_axis_of(c, o, axes[i], t->rank, &a));
        o->a.step[a] = -1;
        o->a.begin[a] = t->d[a] - 1;
    }
    return OK;
}

/* Places cut off before and after, of the last two axes. */
rc dev_shape_crop(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t cut[2][2];
    TRY(dev_ranks(c, o, 3, 5));
    TRY(dev_ints(c, o, 1, "crop_height", 2, cut[0], 2, NULL));
    TRY(dev_ints(c, o, 2, "crop_width", 2, cut[1], 2, NULL));
    *t = dev_arg(c, o, 0)->type;
    for (int i = 0; i < t->rank; i++) o->a.step[i] = 1;
    for (int k = 0; k < 2; k++) {
        int i = t->rank - 2 + k;
        if (cut[k][0] < 0 || cut[k][1] < 0 || cut[k][0] >= t->d[i] ||
            cut[k][1] >= t->d[i] - cut[k][0])
            return dev_bad(c, o, "cropping %lld and %lld of %lld places",
                           (long long)cut[k][0], (long long)cut[k][1],
                           (long long)t->d[i]);
        o->a.begin[i] = cut[k][0];
        t->d[i] -= cut[k][0] + cut[k][1];
    }
    return OK;
}

/* begin: places added before; of the last axes when pad is shorter. */
rc dev_shape_pad(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t pad[2 * MIL_RANK];
    int n = 0;
    const char *mode = "constant";
    TRY(dev_ranks(c, o, 1, 5));
    *t = dev_arg(c, o, 0)->type;
    TRY(dev_ints(c, o, 1, "pad", 0, pad, 2 * MIL_RANK, &n));
    TRY(dev_word(c, o, 2, "mode", &mode));
    TRY(dev_number(c, o, 3, "constant_val", &o->a.value[0]));
    if (!strcmp(mode, "reflect")) o->a.mode = DEV_PAD_REFLECT;
    else if (!strcmp(mode, "replicate")) o->a.mode = DEV_PAD_REPLICATE;
    else if (strcmp(mode, "constant") != 0)
        return dev_bad(c, o, "pad mode '%s'; constant, reflect or replicate wanted",
                       mode);
    if (n % 2 || n / 2 > t->rank)
        return dev_bad(c, o, "pad of %d numbers for %d axes; two for each wanted", n,
                       t->rank);
    for (int k = 0; k < n / 2; k++) {
        int i = t->rank - n / 2 + k;
        int64_t most = o->a.mode == DEV_PAD_REFLECT     ? t->d[i] - 1
                       : o->a.mode == DEV_PAD_REPLICATE ? t->d[i]
                                                        : INT32_MAX;
        if (pad[2 * k] < 0 || pad[2 * k] > most || pad[2 * k + 1] < 0 ||
            pad[2 * k + 1] > most)
            return dev_bad(c, o, "%s padding of %lld and %lld; 0 to %lld wanted", mode,
                           (long long)pad[2 * k], (long long)pad[2 * k + 1],
                           (long long)most);
        o->a.begin[i] = pad[2 * k];
        t->d[i] += pad[2 * k] + pad[2 * k + 1];
    }
    return OK;
}

/* ---- gathering ---- */
static rc places(dev_code *c, dev_op *o, const mil_type **x, const mil_type **at)
{
    TRY(dev_one_result(c, o));
    *x = &dev_arg(c, o, 0)->type;
    *at = &dev_arg(c, o, 1)->type;
    switch ((*at)->dtype) {
    case MIL_INT32:
    case MIL_INT16:
    case MIL_UINT16:
    case MIL_INT8:
    case MIL_UINT8:
        return OK;
    default:
        return dev_bad(c, o, "indices of '%s' are %s; a whole type up to int32 wanted",
                       o->mil->op, mil_dtype_text((*at)->dtype));
    }
}

/* The leading axes that x and indices share one by one, into o->a.n. */
static rc batches(dev_code *c, dev_op *o, int slot, const mil_type *x, const mil_type *at)
{
    TRY(dev_whole(c, o, slot, "batch_dims", &o->a.n));
    if (o->a.n < 0 || o->a.n > at->rank || o->a.n > x->rank)
        return dev_bad(c, o, "batch_dims %lld", (long long)o->a.n);
    for (int i = 0; i < (int)o->a.n; i++)
        if (x->d[i] != at->d[i])
            return dev_bad(c, o, "axis %d of '%s' differs between x and indices", i,
                           o->mil->op);
    return OK;
}

static rc add_axes(dev_code *c, dev_op *o, mil_type *t, const mil_type *from, int first,
                   int end)
{
    for (int i = first; i < end; i++) {
        if (t->rank == MIL_RANK)
            return dev_bad(c, o, "the result of '%s' has more than %d axes", o->mil->op,
                           MIL_RANK);
        t->d[t->rank++] = from->d[i];
    }
    t->tensor = t->rank > 0;
    return OK;
}

/* x[:axis] + indices[batch:] + x[axis + 1:] */
rc dev_shape_gather(dev_code *c, dev_op *o, mil_type *t)
{
    const mil_type *x, *at;
    TRY(places(c, o, &x, &at));
    TRY(dev_axis(c, o, 2, 0, x->rank));
    TRY(batches(c, o, 3, x, at));
    if (o->a.axis < o->a.n)
        return dev_bad(c, o, "gather along axis %d of %lld batch axes", o->a.axis,
                       (long long)o->a.n);
    *t = (mil_type){.dtype = x->dtype};
    TRY(add_axes(c, o, t, x, 0, o->a.axis));
    TRY(add_axes(c, o, t, at, (int)o->a.n, at->rank));
    return add_axes(c, o, t, x, o->a.axis + 1, x->rank);
}

rc dev_shape_gather_along(dev_code *c, dev_op *o, mil_type *t)
{
    const mil_type *x, *at;
    char a[96], b[96];
    TRY(places(c, o, &x, &at));
    TRY(dev_axis(c, o, 2, 0, x->rank));
    bool fits = x->rank == at->rank;
    for (int i = 0; fits && i < x->rank; i++)
        fits = i == o->a.axis || x->d[i] == at->d[i];
    if (!fits)
        return dev_bad(c, o, "indices %s along axis %d of %s", mil_type_text(a, at),
                       o->a.axis, mil_type_text(b, x));
    *t = *at;
    t->dtype = x->dtype;
    return OK;
}

/* The last axis of indices holds the places of the first axes of x. */
rc dev_shape_gather_nd(dev_code *c, dev_op *o, mil_type *t)
{
    const mil_type *x, *at;
    TRY(places(c, o, &x, &at));
    TRY(batches(c, o, 2, x, at));
    int64_t k = at->rank ? at->d[at->rank - 1] : 0;
    if (at->rank <= o->a.n || k < 1 || k > x->rank - o->a.n)
        return dev_bad(c, o, "gather_nd by %lld numbers a place", (long long)k);
    *t = (mil_type){.dtype = x->dtype};
    TRY(add_axes(c, o, t, at, 0, at->rank - 1));
    return add_axes(c, o, t, x, (int)(o->a.n + k), x->rank);
}

rc dev_shape_stack(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96];
    TRY(dev_one_result(c, o));
    if (o->n_list < 1) return dev_bad(c, o, "stack of nothing");
    const mil_type *x = &c->values[o->list[0]].type;
    if (x->rank == MIL_RANK) return dev_bad(c, o, "more than %d axes", MIL_RANK);
    TRY(dev_axis(c, o, 1, 0, x->rank + 1));
    for (int j = 1; j < o->n_list; j++)
        if (!mil_type_eq(&c->values[o->list[j]].type, x))
            return dev_bad(c, o, "%s and %s do not stack", mil_type_text(a, x),
                           mil_type_text(b, &c->values[o->list[j]].type));
    *t = (mil_type){.dtype = x->dtype, .tensor = true, .rank = x->rank + 1};
    for (int i = 0, j = 0; i < t->rank; i++)
        t->d[i] = i == o->a.axis ? o->n_list : x->d[j++];
    return OK;
}

/* ---- einsum ---- */
/* Letters up to one of `ends`, into a row of labels; how many, or -1. */
static int letters(const char **at, const char *ends, signed char *label)
{
    int n = 0;
    for (; **at && !strchr(ends, **at); ++*at) {
        char ch = **at;
        if (ch == ' ') continue;
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!letter || n == MIL_RANK || (n && memchr(label, ch, (size_t)n))) return -1;
        label[n++] = (signed char)ch;
    }
    return n;
}

static int find(const signed char *label, int n, signed char ch)
{
    for (int i = 0; i < n; i++)
        if (label[i] == ch) return i;
    return -1;
}

/* Two operands, no letter twice in one, and a letter of one operand alone is in
 * the result: then it is one product of matrices for each batch. */
rc dev_shape_einsum(dev_code *c, dev_op *o, mil_type *t)
{
    const char *text = "", *at;
    signed char(*l)[MIL_RANK] = o->a.label;
    TRY(dev_one_result(c, o));
    TRY(dev_word(c, o, 1, "equation", &text));
    if (o->n_list != 2)
        return dev_bad(c, o, "einsum of %d values; two wanted", o->n_list);
    const mil_type *x = &c->values[o->list[0]].type, *y = &c->values[o->list[1]].type;
    at = text;
    int nx = letters(&at, ",", l[0]);
    if (*at == ',') at++;
    int ny = nx < 0 ? -1 : letters(&at, "-", l[1]);
    int nz = ny < 0 || strncmp(at, "->", 2) ? -1 : (at += 2, letters(&at, "", l[2]));
    if (nz < 0 || nx != x->rank || ny != y->rank)
        return dev_bad(c, o,
                       "einsum equation '%s'; a letter for each axis wanted, like "
                       "'nchw,nwhu->nchu', no letter twice in an operand",
                       text);
    if (!dev_is_real(x) || x->dtype != y->dtype)
        return dev_bad(c, o, "einsum joins %s and %s", mil_dtype_text(x->dtype),
                       mil_dtype_text(y->dtype));
    *t = (mil_type){.dtype = x->dtype, .tensor = nz > 0, .rank = nz};
    for (int i = 0; i < nx + ny + nz; i++) {
        const signed char ch = i < nx        ? l[0][i]
                               : i < nx + ny ? l[1][i - nx]
                                             : l[2][i - nx - ny];
        int xi = find(l[0], nx, ch), yi = find(l[1], ny, ch), zi = find(l[2], nz, ch);
        if ((xi < 0) + (yi < 0) + (zi < 0) > 1)
            return dev_bad(c, o, "letter '%c' of einsum '%s' stands alone", ch, text);
        if (xi >= 0 && yi >= 0 && x->d[xi] != y->d[yi])
            return dev_bad(c, o, "letter '%c' of einsum is %lld and %lld", ch,
                           (long long)x->d[xi], (long long)y->d[yi]);
        if (zi >= 0) t->d[zi] = xi >= 0 ? x->d[xi] : y->d[yi];
    }
    return OK;
}
