/* shapes.c - what each op gives for what it is given: one rule per shape of
 * op, named in ops.def.
 *
 * A rule reads constant arguments into o->attrs, checks its tensors, and says
 * the types of the results. Reals are fp16 and fp32; moving ops take any type.
 * Here: constants, elementwise ops, ops along axes. */
#include <string.h>
#include "dev/shapes.h"

/* ---- constants ---- */
rc dev_shape_constant(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_one_result(c, o));
    *t = dev_arg(c, o, 0)->type;
    return OK;
}

/* (q - zero_point) * scale, per tensor or along one axis. */
rc dev_shape_constexpr(dev_code *c, dev_op *o, mil_type *t)
{
    const dev_value *q = dev_arg(c, o, 0), *s = dev_arg(c, o, 1), *z = dev_arg(c, o, 2);
    int64_t axis = 0;
    TRY(dev_one_result(c, o));
    TRY(dev_whole(c, o, 3, "axis", &axis));
    TRY(dev_axis_of(c, o, axis, q->type.rank, &o->a.axis));
    if (q->type.dtype != MIL_INT8 && q->type.dtype != MIL_UINT8)
        return dev_bad(c, o, "quantized_data is %s; int8 or uint8 wanted",
                       mil_dtype_text(q->type.dtype));
    if (z->type.dtype != q->type.dtype || !dev_is_real(&s->type))
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
rc dev_shape_real(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_one_result(c, o));
    TRY(dev_real_arg(c, o, 0, "x"));
    *t = dev_arg(c, o, 0)->type;
    return OK;
}

rc dev_shape_same(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_one_result(c, o));
    *t = dev_arg(c, o, 0)->type;
    return OK;
}

/* SIGMOID_APPROXIMATION is another function, not another precision. */
rc dev_shape_gelu(dev_code *c, dev_op *o, mil_type *t)
{
    const char *mode = "EXACT";
    TRY(dev_word(c, o, 1, "mode", &mode));
    if (strcmp(mode, "EXACT") && strcmp(mode, "TANH_APPROXIMATION"))
        return dev_bad(c, o, "gelu mode '%s'; EXACT or TANH_APPROXIMATION wanted", mode);
    return dev_shape_real(c, o, t);
}

rc dev_shape_binary(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_one_result(c, o));
    TRY(dev_real_arg(c, o, 0, "x"));
    TRY(dev_real_arg(c, o, 1, "y"));
    TRY(dev_same_dtype(c, o, 0, 1));
    return dev_join(c, o, &dev_arg(c, o, 0)->type, &dev_arg(c, o, 1)->type, t);
}

rc dev_shape_compare(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_shape_binary(c, o, t));
    t->dtype = MIL_BOOL;
    return OK;
}

rc dev_shape_boolean(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(dev_one_result(c, o));
    *t = dev_arg(c, o, 0)->type;
    if (t->dtype != MIL_BOOL)
        return dev_bad(c, o, "'%s' takes bool, not %s", o->mil->op,
                       mil_dtype_text(t->dtype));
    return OK;
}

/* All three broadcast against each other. */
rc dev_shape_select(dev_code *c, dev_op *o, mil_type *t)
{
    mil_type both, cond = dev_arg(c, o, 0)->type;
    TRY(dev_one_result(c, o));
    if (cond.dtype != MIL_BOOL)
        return dev_bad(c, o, "argument 'cond' of 'select' is %s; bool wanted",
                       mil_dtype_text(cond.dtype));
    TRY(dev_real_arg(c, o, 1, "a"));
    TRY(dev_real_arg(c, o, 2, "b"));
    TRY(dev_same_dtype(c, o, 1, 2));
    TRY(dev_join(c, o, &dev_arg(c, o, 1)->type, &dev_arg(c, o, 2)->type, &both));
    TRY(dev_join(c, o, &both, &cond, t));
    return OK;
}

/* The types that surfaces and intermediate values have; 64-bit ones and bf16
 * exist only in weight files and literals. */
rc dev_shape_cast(dev_code *c, dev_op *o, mil_type *t)
{
    const char *name = "";
    TRY(dev_one_result(c, o));
    TRY(dev_word(c, o, 1, "dtype", &name));
    *t = dev_arg(c, o, 0)->type;
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
rc dev_shape_softmax(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axis = -1;
    TRY(dev_shape_real(c, o, t));
    TRY(dev_whole(c, o, 1, "axis", &axis));
    return dev_axis_of(c, o, axis, t->rank, &o->a.axis);
}

/* Without axes all are reduced; without keep_dims they disappear. */
rc dev_shape_reduce(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t axes[MIL_RANK];
    bool gone[MIL_RANK] = {false};
    int n = 0;
    TRY(dev_shape_real(c, o, t));
    TRY(dev_yes_no(c, o, 2, "keep_dims", &o->a.keep));
    if (o->arg[1] >= 0) TRY(dev_ints(c, o, 1, "axes", 0, axes, MIL_RANK, &n));
    else
        for (n = 0; n < t->rank; n++) axes[n] = n;
    for (int i = 0; i < n; i++) {
        int a = 0;
        TRY(dev_axis_of(c, o, axes[i], t->rank, &a));
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

/* One table made from ops.def: a row without a rule does not compile. */
rc dev_infer(dev_code *c, dev_op *o, mil_type *t)
{
    static dev_shape_rule *const rules[] = {
#define DEVOP(id, args, rule, cls, kernel, match, bound) dev_shape_##rule,
#include "dev/ops.def"
#undef DEVOP
    };
    return rules[o->kind](c, o, t);
}

/* 2 for each multiply and add of products; everything else counts nothing, so
 * that rates compare with the engine's published ones. */
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
