/* shapes_move.c - shape rules of ops that only move elements. */
#include <string.h>
#include "dev/shapes.h"

/* One extent may be -1: what the others leave. Known extents are multiplied
 * under the count of x, which cannot overflow. */
rc dev_shape_reshape(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t d[MIL_RANK], known = 1;
    int n, open = -1;
    char a[96];
    TRY(dev_one_result(c, o));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    TRY(dev_ints(c, o, 1, "shape", 0, d, MIL_RANK, &n));
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

/* perm must name every axis once; result axis i is axis perm[i] of x. */
rc dev_shape_transpose(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t p[MIL_RANK];
    bool seen[MIL_RANK] = {false};
    TRY(dev_one_result(c, o));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    TRY(dev_ints(c, o, 1, "perm", x->rank, p, MIL_RANK, NULL));
    *t = *x;
    for (int i = 0; i < x->rank; i++) {
        TRY(dev_axis_of(c, o, p[i], x->rank, &o->a.perm[i]));
        if (seen[o->a.perm[i]])
            return dev_bad(c, o, "perm names axis %d twice", o->a.perm[i]);
        seen[o->a.perm[i]] = true;
        t->d[i] = x->d[o->a.perm[i]];
    }
    return OK;
}

/* axes are places in the result. */
rc dev_shape_expand(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axes[MIL_RANK];
    bool fresh[MIL_RANK] = {false};
    int n;
    TRY(dev_one_result(c, o));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    TRY(dev_ints(c, o, 1, "axes", 0, axes, MIL_RANK, &n));
    if (x->rank + n > MIL_RANK) return dev_bad(c, o, "more than %d axes", MIL_RANK);
    for (int i = 0; i < n; i++) {
        int a = 0;
        TRY(dev_axis_of(c, o, axes[i], x->rank + n, &a));
        if (fresh[a]) return dev_bad(c, o, "axes names axis %d twice", a);
        fresh[a] = true;
    }
    *t = (mil_type){.dtype = x->dtype, .tensor = true, .rank = x->rank + n};
    for (int i = 0, j = 0; i < t->rank; i++) t->d[i] = fresh[i] ? 1 : x->d[j++];
    return OK;
}

/* Without axes, every axis of one goes. */
rc dev_shape_squeeze(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axes[MIL_RANK];
    bool gone[MIL_RANK] = {false};
    int n = 0;
    TRY(dev_one_result(c, o));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    if (o->arg[1] >= 0) TRY(dev_ints(c, o, 1, "axes", 0, axes, MIL_RANK, &n));
    for (int i = 0; i < n; i++) {
        int a = 0;
        TRY(dev_axis_of(c, o, axes[i], x->rank, &a));
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

/* A size of -1 runs to the end. The resolved sizes stay in o->a.size. */
rc dev_shape_slice(dev_code *c, dev_op *o, mil_type *t)
{
    char a[96];
    TRY(dev_one_result(c, o));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    TRY(dev_ints(c, o, 1, "begin", x->rank, o->a.begin, MIL_RANK, NULL));
    TRY(dev_ints(c, o, 2, "size", x->rank, o->a.size, MIL_RANK, NULL));
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

/* Equal parts by number, or parts of given sizes; together exactly the axis. */
rc dev_shape_split(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axis = 0, parts = 0, sizes[64], at = 0;
    char a[96];
    const mil_type *x = &dev_arg(c, o, 0)->type;
    int n = 0;
    TRY(dev_whole(c, o, 1, "axis", &axis));
    TRY(dev_axis_of(c, o, axis, x->rank, &o->a.axis));
    TRY(dev_whole(c, o, 2, "num_splits", &parts));
    if (o->arg[3] >= 0) {
        TRY(dev_ints(c, o, 3, "split_sizes", 0, sizes, 64, &n));
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

/* Each axis as often as reps says. */
rc dev_shape_tile(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_one_result(c, o));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    TRY(dev_ints(c, o, 1, "reps", x->rank, o->a.reps, MIL_RANK, NULL));
    *t = *x;
    for (int i = 0; i < x->rank; i++) {
        if (o->a.reps[i] < 1 || o->a.reps[i] > INT64_MAX / x->d[i])
            return dev_bad(c, o, "%lld repetitions of axis %d", (long long)o->a.reps[i],
                           i);
        t->d[i] *= o->a.reps[i];
    }
    return OK;
}

/* Interleaving would weave the parts element by element; the graph never asks
 * for it. */
rc dev_shape_concat(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axis = 0;
    bool interleave = false;
    char a[96], b[96];
    TRY(dev_one_result(c, o));
    TRY(dev_whole(c, o, 1, "axis", &axis));
    TRY(dev_yes_no(c, o, 2, "interleave", &interleave));
    if (o->n_list < 1) return dev_bad(c, o, "concat of nothing");
    const mil_type *x = &c->values[o->list[0]].type;
    TRY(dev_axis_of(c, o, axis, x->rank, &o->a.axis));
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
