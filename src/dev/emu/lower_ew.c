/* lower_ew.c - elementwise ops, and those along an axis, as nodes. */
#include <string.h>
#include "dev/emu/emu.h"

/* Can finite operands make an infinity? What cannot is not counted. */
static bool makes_infinity(emu_ew ew, int kernel)
{
    switch (ew) {
    case EMU_BINARY:
        return kernel != KERN_MAX2 && kernel != KERN_MIN2;
    case EMU_UNARY:
        return kernel == KERN_U_EXP || kernel == KERN_U_LOG || kernel == KERN_U_RSQRT ||
               kernel == KERN_U_INVERSE || kernel == KERN_U_SQUARE;
    case EMU_CONVERT:
    case EMU_CLAMP:
    case EMU_FUNCTION:
    case EMU_FLOORDIV:
        return true;
    default:
        return false;
    }
}

/* Operands may have any layout that broadcasts to the result's shape. */
rc emu_add_ew(emu_plan *p, emu_ew ew, int kernel, int n_in, const int *in, int out)
{
    for (int i = 0; i < n_in; i++)
        if (in[i] < 0) return E_MEMORY;
    if (p->exact && ew == EMU_UNARY && !emu_chip_table(p, kernel)) return E_MEMORY;
    if (p->exact && ew == EMU_BINARY && kernel == KERN_DIV &&
        !emu_chip_table(p, KERN_U_INVERSE))
        return E_MEMORY;
    emu_node *n = out < 0 ? NULL : emu_add_node(p, EMU_EW);
    if (!n) return E_MEMORY;
    n->ew = ew;
    n->kernel = kernel;
    n->counts = makes_infinity(ew, kernel);
    n->n_in = n_in;
    memcpy(n->in, in, (size_t)n_in * sizeof *in);
    n->out = out;
    return OK;
}

/* x^c for the exponents that have a kernel of their own: exact where pow of a
 * logarithm is not, and many times faster. -1: none. */
static int power_kernel(const emu_plan *p, const dev_op *o)
{
    const dev_value *e = &p->code->values[o->arg[1]];
    if (!e->constant || mil_count(&e->type) != 1 || e->blob) return -1;
    double v = dev_const_at(e, 0);
    return v == 2      ? KERN_U_SQUARE
           : v == 1    ? KERN_U_COPY
           : v == 0.5  ? KERN_U_SQRT
           : v == -0.5 ? KERN_U_RSQRT
           : v == -1   ? KERN_U_INVERSE
                       : -1;
}

/* A scalar constant made by the compiler. */
static int scalar(emu_plan *p, mil_dtype store, double x)
{
    int v = emu_add_val(p, 0, NULL, store);
    if (v < 0) return -1;
    emu_root *r = &p->roots[p->vals[v].v.root];
    r->where = EMU_CONST;
    r->data = arena_take(p->mem, r->bytes);
    if (!r->data) return -1;
    kern_fill(emu_kern_type(store), 1, (float)x, r->data);
    return v;
}

/* Mode EXACT is MIL's default; TANH_APPROXIMATION has a kernel of its own. */
static int unary_kernel(const emu_plan *p, const dev_op *o)
{
    const char *mode = o->kind != DEV_OP_gelu || o->arg[1] < 0
                           ? "EXACT"
                           : p->code->values[o->arg[1]].text;
    return o->kind == DEV_OP_gelu && !strcmp(mode, "EXACT") ? EMU_GELU_EXACT
                                                            : dev_op_kernel(o->kind);
}

static rc lower_unary(emu_plan *p, const dev_op *o, int out)
{
    int x = emu_value(p, o->arg[0]), kernel = unary_kernel(p, o);
    double eps = 0;
    if (o->kind != DEV_OP_gelu && o->arg[1] >= 0)
        eps = dev_const_at(&p->code->values[o->arg[1]], 0);
    if (x >= 0 && eps != 0 &&
        (p->vals[x].store == MIL_FP32 || (half_from_double(eps) & 0x7fff))) {
        /* An epsilon that the tensor's type can hold is added first. */
        int pair[2] = {x, scalar(p, p->vals[x].store, eps)};
        int sum = emu_add_val(p, p->vals[x].rank, p->vals[x].d, p->vals[x].store);
        TRY(emu_add_ew(p, EMU_BINARY, KERN_ADD, 2, pair, sum));
        x = sum;
    }
    return emu_add_ew(p, EMU_UNARY, kernel, 1, &x, out);
}

/* exact: by a constant number the engine multiplies with its inverse, which the
 * compiler makes (mil-hwx-compiler, H13 and H14). */
static rc lower_quotient(emu_plan *p, const dev_op *o, int *in, int out)
{
    const dev_value *y = &p->code->values[o->arg[1]];
    if (!p->exact || out < 0 || p->vals[out].store != MIL_FP16 || !y->constant ||
        y->blob || mil_count(&y->type) != 1)
        return emu_add_ew(p, EMU_BINARY, KERN_DIV, 2, in, out);
    if (in[1] < 0) return E_MEMORY;
    in[1] = scalar(p, MIL_FP16, 1 / dev_const_at(y, 0));
    return emu_add_ew(p, EMU_BINARY, KERN_MUL, 2, in, out);
}

static rc lower_binary(emu_plan *p, const dev_op *o, int *in, int out)
{
    int kernel = dev_op_kernel(o->kind);
    if (o->kind == DEV_OP_pow && power_kernel(p, o) >= 0)
        return emu_add_ew(p, EMU_UNARY, power_kernel(p, o), 1, in, out);
    if (kernel == KERN_DIV) return lower_quotient(p, o, in, out);
    return emu_add_ew(p, EMU_BINARY, kernel, 2, in, out);
}

/* The chip divides, which rounds, and then takes the floor (ane-guide app. A has no
 * op of its own for it). */
static rc lower_floor_div(emu_plan *p, const dev_op *o, int *in, int out)
{
    if (out < 0) return E_MEMORY;
    if (!p->exact || p->vals[out].store != MIL_FP16)
        return emu_add_ew(p, EMU_FLOORDIV, 0, 2, in, out);
    int quotient = emu_add_val(p, p->vals[out].rank, p->vals[out].d, MIL_FP16);
    TRY(lower_quotient(p, o, in, quotient));
    return emu_add_ew(p, EMU_UNARY, KERN_U_FLOOR, 1, &quotient, out);
}

static rc lower_function(emu_plan *p, const dev_op *o, int out)
{
    int x = emu_value(p, o->arg[0]);
    if (x < 0 || out < 0) return E_MEMORY;
    const emu_function *f = emu_function_of(p, o, p->vals[x].store);
    if (!f) return E_MEMORY;
    TRY(emu_add_ew(p, EMU_FUNCTION, 0, 1, &x, out));
    p->nodes[p->n_nodes - 1].f = f;
    return OK;
}

/* x where it is positive, else alpha x: alpha [C] seen as [C,1,..]. */
static rc lower_prelu(emu_plan *p, const dev_op *o, int out)
{
    int x = emu_value(p, o->arg[0]), alpha = emu_value(p, o->arg[1]);
    if (x < 0 || alpha < 0) return E_MEMORY;
    emu_val v = p->vals[x];
    int64_t d[MIL_RANK] = {v.d[1], 1, 1, 1};
    int pair[2] = {x, emu_reshaped(p, alpha, v.rank - 1, d)};
    int test[2] = {x, scalar(p, v.store, 0)};
    int less = emu_add_val(p, v.rank, v.d, v.store);
    int positive = emu_add_val(p, v.rank, v.d, MIL_BOOL);
    TRY(emu_add_ew(p, EMU_BINARY, KERN_MUL, 2, pair, less));
    TRY(emu_add_ew(p, EMU_COMPARE, DEV_GT, 2, test, positive));
    return emu_add_ew(p, EMU_SELECT, 0, 3, (int[]){positive, x, less}, out);
}

/* A cast between types held alike is nothing at all. */
rc emu_lower_ew(emu_plan *p, const dev_op *o, int *result)
{
    int in[3] = {-1, -1, -1}, kernel = dev_op_kernel(o->kind), out;
    dev_op_class cls = dev_op_class_of(o->kind);
    if (cls == DEV_CAST) {
        in[0] = emu_value(p, o->arg[0]);
        if (in[0] < 0) return E_MEMORY;
        if (p->vals[in[0]].store ==
            emu_store_of(p, p->code->values[o->out[0]].type.dtype)) {
            *result = in[0];
            return OK;
        }
    }
    *result = out = emu_result(p, o->out[0]);
    if (cls == DEV_FUNCTION) return lower_function(p, o, out);
    if (cls == DEV_PRELU) return lower_prelu(p, o, out);
    int n = cls == DEV_SELECT                                                ? 3
            : cls == DEV_BINARY || cls == DEV_COMPARE || cls == DEV_FLOORDIV ? 2
                                                                             : 1;
    for (int i = 0; i < n; i++) in[i] = emu_value(p, o->arg[i]);
    switch (cls) {
    case DEV_UNARY:
        return lower_unary(p, o, out);
    case DEV_BINARY:
        return lower_binary(p, o, in, out);
    case DEV_FLOORDIV:
        return lower_floor_div(p, o, in, out);
    case DEV_COMPARE:
        return emu_add_ew(p, EMU_COMPARE, kernel, 2, in, out);
    case DEV_SELECT:
        return emu_add_ew(p, EMU_SELECT, 0, 3, in, out);
    case DEV_NOT:
        return emu_add_ew(p, EMU_NOT, 0, 1, in, out);
    default:
        return emu_add_ew(p, EMU_CONVERT, 0, 1, in, out);
    }
}

/* ---- along an axis ---- */
/* axis last, the others in order */
static void axis_last(int rank, int axis, int *perm, int *back)
{
    int n = 0;
    for (int i = 0; i < rank; i++)
        if (i != axis) perm[n++] = i;
    perm[n] = axis;
    for (int i = 0; i < rank; i++) back[perm[i]] = i;
}

/* Rows are made contiguous if they are not; the result keeps that layout and is
 * only viewed in the order asked for. */
int emu_add_softmax(emu_plan *p, int val, int axis)
{
    int perm[MIL_RANK], back[MIL_RANK];
    if (val < 0) return -1;
    int rank = p->vals[val].rank;
    if (p->exact &&
        (!emu_chip_table(p, KERN_U_EXP) || !emu_chip_table(p, KERN_U_INVERSE)))
        return -1;
    axis_last(rank, axis, perm, back);
    int x = emu_packed(p, emu_permuted(p, val, perm));
    if (x < 0) return -1;
    emu_val v = p->vals[x];
    int y = emu_add_val(p, rank, v.d, v.store);
    emu_node *n = y < 0 ? NULL : emu_add_node(p, EMU_SOFTMAX);
    if (!n) return -1;
    n->n_in = 1;
    n->in[0] = x;
    n->out = y;
    n->softmax.n = (size_t)v.d[rank - 1];
    n->softmax.rows = (size_t)(emu_count(&v) / v.d[rank - 1]);
    return emu_permuted(p, y, back);
}

/* Reduced axes that do not stand together are moved to the end. */
static int gather_axes(emu_plan *p, int val, const dev_attrs *a, int *first)
{
    int perm[MIL_RANK], n = 0, r = 0;
    bool gone[MIL_RANK] = {false};
    *first = a->n_axes ? a->axes[0] : 0;
    if (val < 0) return -1;
    if (!a->n_axes || a->axes[a->n_axes - 1] - a->axes[0] == a->n_axes - 1)
        return emu_packed(p, val);
    for (int i = 0; i < a->n_axes; i++) gone[a->axes[i]] = true;
    int rank = p->vals[val].rank;
    for (int i = 0; i < rank; i++)
        if (!gone[i]) perm[n++] = i;
    *first = n;
    for (int i = 0; i < rank; i++)
        if (gone[i]) perm[n + r++] = i;
    return emu_packed(p, emu_permuted(p, val, perm));
}

/* Seen as [outer, n, inner] with n the reduced axes together. */
rc emu_lower_reduce(emu_plan *p, const dev_op *o, int *result)
{
    int first;
    int x = gather_axes(p, emu_value(p, o->arg[0]), &o->a, &first);
    int out = *result = emu_result(p, o->out[0]);
    emu_node *n = x < 0 || out < 0 ? NULL : emu_add_node(p, EMU_REDUCE);
    if (!n) return E_MEMORY;
    const emu_val *v = &p->vals[x];
    n->n_in = 1;
    n->in[0] = x;
    n->out = out;
    n->reduce = (emu_reduce){1, 1, 1, (kern_reduce_op)dev_op_kernel(o->kind),
                             o->kind == DEV_OP_reduce_mean};
    for (int i = 0; i < v->rank; i++) {
        size_t d = (size_t)v->d[i];
        if (i < first) n->reduce.outer *= d;
        else if (i < first + o->a.n_axes) n->reduce.n *= d;
        else n->reduce.inner *= d;
    }
    return OK;
}
