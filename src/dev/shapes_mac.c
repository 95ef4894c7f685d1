/* shapes_mac.c - shape rules of products: matmul, linear, conv, attention. */
#include <string.h>
#include "dev/shapes.h"

/* x [.., M, K] y [.., K, N] -> [.., M, N]; transpose_x and transpose_y mean
 * that the last two axes stand the other way round. Leading axes broadcast. */
rc dev_shape_matmul(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96];
    TRY(dev_one_result(c, o));
    TRY(dev_real_arg(c, o, 0, "x"));
    TRY(dev_real_arg(c, o, 1, "y"));
    TRY(dev_same_dtype(c, o, 0, 1));
    TRY(dev_yes_no(c, o, 2, "transpose_x", &o->a.tx));
    TRY(dev_yes_no(c, o, 3, "transpose_y", &o->a.ty));
    const mil_type *x = &dev_arg(c, o, 0)->type, *y = &dev_arg(c, o, 1)->type;
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
    TRY(dev_join(c, o, &xb, &yb, t));
    t->tensor = true;
    t->d[t->rank++] = m;
    t->d[t->rank++] = n;
    return OK;
}

/* x [.., I], weight [O, I], bias [O] -> [.., O] */
rc dev_shape_linear(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96];
    TRY(dev_one_result(c, o));
    TRY(dev_real_arg(c, o, 0, "x"));
    TRY(dev_same_dtype(c, o, 0, 1));
    TRY(dev_same_dtype(c, o, 0, 2));
    const mil_type *x = &dev_arg(c, o, 0)->type, *w = &dev_arg(c, o, 1)->type;
    const dev_value *bias = dev_arg(c, o, 2);
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

/* x [N,I,(H,)W], weight [O,I/groups,(kh,)kw] -> [N,O,(H',)W'] */
rc dev_shape_conv(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96];
    TRY(dev_one_result(c, o));
    TRY(dev_real_arg(c, o, 0, "x"));
    TRY(dev_same_dtype(c, o, 0, 1));
    TRY(dev_same_dtype(c, o, 0, 2));
    const mil_type *x = &dev_arg(c, o, 0)->type, *w = &dev_arg(c, o, 1)->type;
    const dev_value *bias = dev_arg(c, o, 2);
    if ((x->rank != 3 && x->rank != 4) || w->rank != x->rank)
        return dev_bad(c, o, "conv of %s with weight %s; rank 3 or 4 wanted for both",
                       mil_type_text(a, x), mil_type_text(b, w));
    int ns = x->rank - 2, first = 2 - ns;
    o->a.groups = o->a.stride[0] = o->a.stride[1] = o->a.dilation[0] = o->a.dilation[1] =
        1;
    if (o->arg[3] >= 0)
        TRY(dev_ints(c, o, 3, "strides", ns, o->a.stride + first, 2, NULL));
    if (o->arg[6] >= 0)
        TRY(dev_ints(c, o, 6, "dilations", ns, o->a.dilation + first, 2, NULL));
    TRY(dev_whole(c, o, 7, "groups", &o->a.groups));
    for (int i = 0; i < 2; i++)
        if (o->a.stride[i] < 1 || o->a.dilation[i] < 1 || o->a.stride[i] > INT32_MAX ||
            o->a.dilation[i] > INT32_MAX)
            return dev_bad(c, o, "conv strides and dilations must be 1 or more");
    TRY(dev_padding(c, o, 4, 5, ns, x->d + 2, w->d + 2));
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
rc dev_shape_sdpa(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96], b[96], e[96];
    TRY(dev_one_result(c, o));
    for (int i = 0; i < 3; i++) TRY(dev_real_arg(c, o, i, "query"));
    TRY(dev_same_dtype(c, o, 0, 1));
    TRY(dev_same_dtype(c, o, 0, 2));
    const mil_type *q = &dev_arg(c, o, 0)->type, *k = &dev_arg(c, o, 1)->type,
                   *v = &dev_arg(c, o, 2)->type;
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
