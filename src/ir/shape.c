/* shape.c - sizes, and the shape rules of elementwise and layout ops.
 *
 * A rule reads a draft's operands and attributes, refuses what does not fit,
 * and sets the result's type and shape. It is the only judge: constructors,
 * the text reader and ir_verify all go through ir_draft_check. */
#include "ir/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int64_t ir_count(ir_shape s)
{
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++) n *= s.d[i];
    return n;
}

bool ir_shape_eq(ir_shape a, ir_shape b)
{
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.d[i] != b.d[i]) return false;
    return true;
}

const char *ir_shape_text(char out[64], ir_shape s)
{
    int at = snprintf(out, 64, "[");
    for (int i = 0; i < s.rank && i < IR_RANK && at < 60; i++)
        at += snprintf(out + at, 64 - (size_t)at, "%s%lld", i ? "," : "",
                       (long long)s.d[i]);
    if (at < 63) snprintf(out + at, 64 - (size_t)at, "]");
    return out;
}

rc ir_shape_check(const char *what, ir_shape s)
{
    if (s.rank < 1 || s.rank > IR_RANK)
        return err_fail(E_SHAPE, "%s: rank must be 1 to %d, got %d", what, IR_RANK,
                        s.rank);
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++) {
        if (s.d[i] < 1 || s.d[i] > IR_MAX_DIM)
            return err_fail(E_SHAPE, "%s: size of axis %d must be 1 to %lld, got %lld",
                            what, i, (long long)IR_MAX_DIM, (long long)s.d[i]);
        if (n > IR_MAX_COUNT / s.d[i])
            return err_fail(E_SHAPE, "%s: more than 2^40 elements", what);
        n *= s.d[i];
    }
    return OK;
}

rc ir_bad(const ir_draft *d, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_fail(E_SHAPE, "%s: %s", ir_op_name(d->op), text);
}

bool ir_broadcast(ir_shape a, ir_shape b, ir_shape *out)
{
    ir_shape s = {a.rank > b.rank ? a.rank : b.rank, {0}};
    for (int i = 1; i <= s.rank; i++) { /* from the last axis */
        int64_t x = i <= a.rank ? a.d[a.rank - i] : 1;
        int64_t y = i <= b.rank ? b.d[b.rank - i] : 1;
        if (x != y && x != 1 && y != 1) return false;
        s.d[s.rank - i] = x == 1 ? y : x;
    }
    *out = s;
    return true;
}

rc ir_draft_check(ir_draft *d)
{
    if ((unsigned)d->op >= IR_OPS)
        return err_fail(E_SHAPE, "no op number %d", (int)d->op);
    const ir_op_row *row = &ir_ops[d->op];
    if (row->n_in < 0 ? d->n_in < 1 : d->n_in != row->n_in)
        return ir_bad(d, "takes %s%d operands, got %d", row->n_in < 0 ? "at least " : "",
                      row->n_in < 0 ? 1 : row->n_in, d->n_in);
    if (row->attrs & AT(axes) && (d->attr.n_axes < 1 || d->attr.n_axes > IR_RANK))
        return ir_bad(d, "number of axes must be 1 to %d, got %d", IR_RANK,
                      d->attr.n_axes);
    int rank = d->n_in > 0 ? d->in[0]->shape.rank : 0;
    d->attr = ir_attr_only(row->attrs, &d->attr, rank);
    TRY(row->rule(d));
    return ir_shape_check(row->name, d->shape);
}

/* ---- rules ---- */
rc ir_rule_leaf(ir_draft *d)
{
    if ((unsigned)d->type >= IR_TYPES)
        return ir_bad(d, "no type number %d", (int)d->type);
    return OK;
}

static rc broadcast_pair(ir_draft *d, const ir_node *x, const ir_node *y, ir_shape *out)
{
    char a[64], b[64];
    if (x->type != y->type)
        return ir_bad(d, "operands must be of one type, got %s and %s",
                      ir_type_name(x->type), ir_type_name(y->type));
    if (!ir_broadcast(x->shape, y->shape, out))
        return ir_bad(d, "%s and %s do not broadcast", ir_shape_text(a, x->shape),
                      ir_shape_text(b, y->shape));
    return OK;
}

rc ir_rule_broadcast(ir_draft *d)
{
    TRY(broadcast_pair(d, d->in[0], d->in[1], &d->shape));
    d->type = d->in[0]->type;
    if (d->type == IR_BOOL) return ir_bad(d, "operands must be numbers, got bool");
    return OK;
}

rc ir_rule_compare(ir_draft *d)
{
    TRY(ir_rule_broadcast(d));
    d->type = IR_BOOL;
    return OK;
}

rc ir_rule_select(ir_draft *d)
{
    ir_shape s;
    char a[64], b[64];
    if (d->in[0]->type != IR_BOOL)
        return ir_bad(d, "the condition must be bool, got %s",
                      ir_type_name(d->in[0]->type));
    TRY(broadcast_pair(d, d->in[1], d->in[2], &s));
    if (!ir_broadcast(d->in[0]->shape, s, &d->shape))
        return ir_bad(d, "condition %s and values %s do not broadcast",
                      ir_shape_text(a, d->in[0]->shape), ir_shape_text(b, s));
    d->type = d->in[1]->type;
    return OK;
}

rc ir_rule_same(ir_draft *d)
{
    d->shape = d->in[0]->shape;
    d->type = d->in[0]->type;
    if (!ir_is_real(d->type))
        return ir_bad(d, "the operand must be fp16 or fp32, got %s",
                      ir_type_name(d->type));
    return OK;
}

static rc check_axis(const ir_draft *d, int axis)
{
    int rank = d->in[0]->shape.rank;
    char a[64];
    if (axis < 0 || axis >= rank)
        return ir_bad(d, "axis must be 0 to %d for %s, got %d", rank - 1,
                      ir_shape_text(a, d->in[0]->shape), axis);
    return OK;
}

rc ir_rule_axis(ir_draft *d)
{
    TRY(ir_rule_same(d));
    return check_axis(d, d->attr.axis);
}

rc ir_rule_reduce1(ir_draft *d)
{
    TRY(ir_rule_axis(d));
    d->shape.d[d->attr.axis] = 1;
    if (!(d->attr.eps >= 0) || isinf(d->attr.eps))
        return ir_bad(d, "eps must be finite and not negative, got %g", d->attr.eps);
    return OK;
}

/* Without keep the axes go; what reduces to nothing keeps shape [1]. */
rc ir_rule_reduce(ir_draft *d)
{
    TRY(ir_rule_same(d));
    const ir_attr *a = &d->attr;
    for (int i = 0; i < a->n_axes; i++) {
        TRY(check_axis(d, a->axes[i]));
        if (i > 0 && a->axes[i] <= a->axes[i - 1]) return ir_bad(d, "axes must ascend");
        d->shape.d[a->axes[i]] = a->keep ? 1 : 0;
    }
    if (a->keep) return OK;
    int rank = 0;
    for (int i = 0; i < d->shape.rank; i++)
        if (d->shape.d[i] != 0) d->shape.d[rank++] = d->shape.d[i];
    for (int i = rank; i < IR_RANK; i++) d->shape.d[i] = 0;
    d->shape.rank = rank;
    if (rank == 0) d->shape = ir_s1(1);
    return OK;
}

rc ir_rule_reshape(ir_draft *d)
{
    char a[64], b[64];
    TRY(ir_shape_check("reshape", d->shape));
    d->type = d->in[0]->type;
    if (ir_count(d->shape) != ir_count(d->in[0]->shape))
        return ir_bad(d, "%s has %lld elements, %s has %lld",
                      ir_shape_text(a, d->in[0]->shape),
                      (long long)ir_count(d->in[0]->shape), ir_shape_text(b, d->shape),
                      (long long)ir_count(d->shape));
    return OK;
}

rc ir_rule_transpose(ir_draft *d)
{
    const ir_shape s = d->in[0]->shape;
    unsigned seen = 0;
    d->type = d->in[0]->type;
    d->shape = (ir_shape){s.rank, {0}};
    for (int i = 0; i < s.rank; i++) {
        int p = d->attr.perm[i];
        if (p < 0 || p >= s.rank || seen >> p & 1u)
            return ir_bad(d, "perm must hold each of 0 to %d once", s.rank - 1);
        seen |= 1u << p;
        d->shape.d[i] = s.d[p];
    }
    return OK;
}

rc ir_rule_slice(ir_draft *d)
{
    const ir_shape s = d->in[0]->shape;
    d->type = d->in[0]->type;
    d->shape = (ir_shape){s.rank, {0}};
    for (int i = 0; i < s.rank; i++) {
        int64_t begin = d->attr.begin[i], size = d->attr.size[i];
        if (begin < 0 || size < 1 || begin > s.d[i] || size > s.d[i] - begin)
            return ir_bad(d, "axis %d has %lld elements, wanted %lld from %lld", i,
                          (long long)s.d[i], (long long)size, (long long)begin);
        d->shape.d[i] = size;
    }
    return OK;
}

rc ir_rule_concat(ir_draft *d)
{
    const int axis = d->attr.axis;
    char a[64], b[64];
    TRY(check_axis(d, axis));
    d->type = d->in[0]->type;
    d->shape = d->in[0]->shape;
    for (int i = 1; i < d->n_in; i++) {
        ir_shape s = d->in[i]->shape, want = d->shape;
        if (d->in[i]->type != d->type)
            return ir_bad(d, "operands must be of one type, got %s and %s",
                          ir_type_name(d->type), ir_type_name(d->in[i]->type));
        if (s.rank == want.rank) want.d[axis] = s.d[axis];
        if (!ir_shape_eq(s, want))
            return ir_bad(d, "%s and %s differ beside axis %d",
                          ir_shape_text(a, d->in[0]->shape), ir_shape_text(b, s), axis);
        d->shape.d[axis] += s.d[axis];
        TRY(ir_shape_check("concat", d->shape));
    }
    return OK;
}

rc ir_rule_split(ir_draft *d)
{
    const ir_attr *a = &d->attr;
    TRY(check_axis(d, a->axis));
    d->type = d->in[0]->type;
    d->shape = d->in[0]->shape;
    if (a->parts < 1 || a->index < 0 || a->index >= a->parts)
        return ir_bad(d, "index must be 0 to parts - 1, got %d of %d", a->index,
                      a->parts);
    if (d->shape.d[a->axis] % a->parts)
        return ir_bad(d, "%lld elements of axis %d do not split in %d equal parts",
                      (long long)d->shape.d[a->axis], a->axis, a->parts);
    d->shape.d[a->axis] /= a->parts;
    return OK;
}

rc ir_rule_tile(ir_draft *d)
{
    d->type = d->in[0]->type;
    d->shape = d->in[0]->shape;
    for (int i = 0; i < d->shape.rank; i++) {
        int64_t reps = d->attr.reps[i];
        if (reps < 1 || reps > IR_MAX_DIM / d->shape.d[i])
            return ir_bad(d, "cannot repeat axis %d of %lld elements %lld times", i,
                          (long long)d->shape.d[i], (long long)reps);
        d->shape.d[i] *= reps;
    }
    return OK;
}

rc ir_rule_cast(ir_draft *d)
{
    d->shape = d->in[0]->shape;
    return ir_rule_leaf(d);
}
