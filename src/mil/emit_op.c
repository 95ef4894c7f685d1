/* emit_op.c - how each operation of the device dialect is spelled in MIL: its
 * arguments by name, in alphabetical order as coremltools prints them, every
 * constant argument as a named const. The operation's own name is in ops.def.
 *
 * A constant that an argument needs is declared the moment the speller asks for
 * it, so it stands just before the operation that reads it first. Sources of
 * the keywords: coremltools, maderix/ANE; where they disagree with a chip, the
 * planner stays away (plan), this file only spells. */
#include "mil/emit.h"

/* Fills the arguments of `d` for node `n`. */
typedef rc speller(mil_emitter *e, const ir_node *n, mil_draft *d);

static void add_ref(mil_draft *d, const char *name, const char *ref)
{
    d->arg[d->op.n_arg++] = (mil_arg){name, {.kind = MIL_REF, .ref = ref}};
}

/* A uniform constant may shrink to a scalar where another operand has the
 * result's shape by itself: broadcasting then makes the two equal. */
static bool may_be_scalar(const ir_node *n, int i)
{
    const ir_node *c = n->in[i];
    if (c->op != IR_constant || !c->uniform || (c->type != IR_FP16 && c->type != IR_FP32))
        return false;
    for (int j = 0; j < n->n_in; j++) {
        const ir_node *other = n->in[j];
        bool fixed = other->op != IR_constant || !other->uniform;
        if (j != i && fixed && ir_shape_eq(other->shape, n->shape)) return true;
    }
    return false;
}

static rc operand_name(mil_emitter *e, const ir_node *n, int i, bool broadcasts,
                       const char **ref)
{
    const ir_node *x = n->in[i];
    if (x->op == IR_constant)
        return mil_const_node(e, x, broadcasts && may_be_scalar(n, i), ref);
    *ref = e->value[x->id];
    return OK;
}

/* Operand i as argument `name`, in exactly its own shape. */
static rc operand(mil_emitter *e, const ir_node *n, int i, mil_draft *d, const char *name)
{
    const char *ref;
    TRY(operand_name(e, n, i, false, &ref));
    add_ref(d, name, ref);
    return OK;
}

/* Operand i of an operation that broadcasts. */
static rc broadcast_operand(mil_emitter *e, const ir_node *n, int i, mil_draft *d,
                            const char *name)
{
    const char *ref;
    TRY(operand_name(e, n, i, true, &ref));
    add_ref(d, name, ref);
    return OK;
}

/* Arguments that are constants of the operation, one function a type. */
static rc int_arg(mil_emitter *e, mil_draft *d, const char *name, int v)
{
    const char *ref;
    TRY(mil_const_int(e, v, &ref));
    add_ref(d, name, ref);
    return OK;
}

static rc bool_arg(mil_emitter *e, mil_draft *d, const char *name, bool v)
{
    const char *ref;
    TRY(mil_const_bool(e, v, &ref));
    add_ref(d, name, ref);
    return OK;
}

static rc text_arg(mil_emitter *e, mil_draft *d, const char *name, const char *v)
{
    const char *ref;
    TRY(mil_const_text(e, v, &ref));
    add_ref(d, name, ref);
    return OK;
}

static rc longs_arg(mil_emitter *e, mil_draft *d, const char *name, int n,
                    const int64_t *v)
{
    const char *ref;
    TRY(mil_const_ints(e, n, v, &ref));
    add_ref(d, name, ref);
    return OK;
}

static rc ints_arg(mil_emitter *e, mil_draft *d, const char *name, int n, const int *v)
{
    int64_t wide[IR_RANK];
    for (int i = 0; i < n; i++) wide[i] = v[i];
    return longs_arg(e, d, name, n, wide);
}

/* ---- one speller for each form of arguments ---- */

static rc spell_unary(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    return operand(e, n, 0, d, "x");
}

static rc spell_binary(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(broadcast_operand(e, n, 0, d, "x"));
    return broadcast_operand(e, n, 1, d, "y");
}

/* log(x + epsilon), rsqrt(x + epsilon): the argument must be given
 * (ANEForge); zero keeps the meaning of the graph. */
static rc spell_epsilon(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    const char *ref;
    TRY(mil_const_real(e, n->type, 0, &ref));
    add_ref(d, "epsilon", ref);
    return operand(e, n, 0, d, "x");
}

/* The mode must be named (ANEForge); the graph's gelu is the tanh form. */
static rc spell_gelu(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(text_arg(e, d, "mode", "TANH_APPROXIMATION"));
    return operand(e, n, 0, d, "x");
}

static rc spell_softmax(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(int_arg(e, d, "axis", n->attr.axis));
    return operand(e, n, 0, d, "x");
}

static rc spell_reduce(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    /* The graph has no rank 0: a vector reduced without keep stays [1]. */
    bool keep = n->attr.keep || n->in[0]->shape.rank == n->attr.n_axes;
    TRY(ints_arg(e, d, "axes", n->attr.n_axes, n->attr.axes));
    TRY(bool_arg(e, d, "keep_dims", keep));
    return operand(e, n, 0, d, "x");
}

/* Both flags always: the raw compiler wants them as consts (Orion). */
static rc spell_matmul(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(bool_arg(e, d, "transpose_x", n->attr.tx));
    TRY(bool_arg(e, d, "transpose_y", n->attr.ty));
    TRY(operand(e, n, 0, d, "x"));
    return operand(e, n, 1, d, "y");
}

/* pad is given in both cases, as every known writer does; with "valid" it is
 * zero. There is no bias argument: the raw compiler refuses one (Orion). */
static rc spell_conv(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    const ir_attr *a = &n->attr;
    bool padded = a->pad[0] || a->pad[1] || a->pad[2] || a->pad[3];
    TRY(ints_arg(e, d, "dilations", 2, a->dilation));
    TRY(int_arg(e, d, "groups", a->groups));
    TRY(ints_arg(e, d, "pad", 4, a->pad));
    TRY(text_arg(e, d, "pad_type", padded ? "custom" : "valid"));
    TRY(ints_arg(e, d, "strides", 2, a->stride));
    TRY(operand(e, n, 1, d, "weight"));
    return operand(e, n, 0, d, "x");
}

static rc spell_reshape(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(longs_arg(e, d, "shape", n->shape.rank, n->shape.d));
    return operand(e, n, 0, d, "x");
}

static rc spell_transpose(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(ints_arg(e, d, "perm", n->shape.rank, n->attr.perm));
    return operand(e, n, 0, d, "x");
}

static rc spell_slice(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(longs_arg(e, d, "begin", n->shape.rank, n->attr.begin));
    TRY(longs_arg(e, d, "size", n->shape.rank, n->attr.size));
    return operand(e, n, 0, d, "x");
}

static rc spell_tile(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(longs_arg(e, d, "reps", n->shape.rank, n->attr.reps));
    return operand(e, n, 0, d, "x");
}

/* interleave is required, though only false has a use here. */
static rc spell_concat(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(int_arg(e, d, "axis", n->attr.axis));
    TRY(bool_arg(e, d, "interleave", false));
    mil_value *items = arena_array(e->mem, (size_t)n->n_in, sizeof *items);
    if (!items) return E_MEMORY;
    for (int i = 0; i < n->n_in; i++) {
        items[i].kind = MIL_REF;
        TRY(operand_name(e, n, i, false, &items[i].ref));
    }
    d->arg[d->op.n_arg++] = (mil_arg){"values",
                                      {.kind = MIL_LIST, .n = n->n_in, .items = items}};
    return OK;
}

static rc spell_cast(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(text_arg(e, d, "dtype", ir_type_name(n->type)));
    return operand(e, n, 0, d, "x");
}

static rc spell_select(mil_emitter *e, const ir_node *n, mil_draft *d)
{
    TRY(broadcast_operand(e, n, 1, d, "a"));
    TRY(broadcast_operand(e, n, 2, d, "b"));
    return operand(e, n, 0, d, "cond");
}

/* Leaves and constants have no speller: they are not operations of a program. */
static speller *const spellers[IR_OPS] = {
    [IR_add] = spell_binary,         [IR_sub] = spell_binary,
    [IR_mul] = spell_binary,         [IR_real_div] = spell_binary,
    [IR_maximum] = spell_binary,     [IR_minimum] = spell_binary,
    [IR_pow] = spell_binary,         [IR_greater_equal] = spell_binary,
    [IR_abs] = spell_unary,          [IR_exp] = spell_unary,
    [IR_log] = spell_epsilon,        [IR_sqrt] = spell_unary,
    [IR_rsqrt] = spell_epsilon,      [IR_tanh] = spell_unary,
    [IR_sigmoid] = spell_unary,      [IR_relu] = spell_unary,
    [IR_silu] = spell_unary,         [IR_gelu] = spell_gelu,
    [IR_softmax] = spell_softmax,    [IR_reduce_sum] = spell_reduce,
    [IR_reduce_mean] = spell_reduce, [IR_reduce_max] = spell_reduce,
    [IR_matmul] = spell_matmul,      [IR_conv] = spell_conv,
    [IR_reshape] = spell_reshape,    [IR_transpose] = spell_transpose,
    [IR_slice] = spell_slice,        [IR_concat] = spell_concat,
    [IR_tile] = spell_tile,          [IR_cast] = spell_cast,
    [IR_select] = spell_select,
};

bool mil_can_emit(ir_op op)
{
    return (unsigned)op < IR_OPS && spellers[op] && ir_op_mil(op)[0];
}

/* A reduction of every axis has shape [1] in the graph, and would have rank 0
 * in MIL: it keeps its axes and is reshaped. */
static rc to_vector(mil_emitter *e, const ir_node *n, const char *from, const char *name)
{
    mil_draft d = {0};
    TRY(longs_arg(e, &d, "shape", 1, n->shape.d));
    add_ref(&d, "x", from);
    return mil_push(e, &d, "reshape", name, mil_node_type(n));
}

rc mil_emit_node(mil_emitter *e, const ir_node *n, const char *name)
{
    mil_draft d = {0};
    if (!mil_can_emit(n->op))
        return err_fail(E_UNIMPL, "wanted an op that MIL has, had %s", ir_op_name(n->op));
    const char *op = ir_op_mil(n->op);
    mil_type t = mil_node_type(n);
    TRY(spellers[n->op](e, n, &d));
    int rank = n->n_in ? n->in[0]->shape.rank : 0;
    bool all = spellers[n->op] == spell_reduce && n->attr.n_axes == rank && rank > 1;
    if (!all || n->attr.keep) return mil_push(e, &d, op, name, t);
    t.rank = rank;
    for (int i = 0; i < rank; i++) t.d[i] = 1;
    const char *kept = mil_new_name(e, op, &e->n_values);
    if (!kept) return E_MEMORY;
    TRY(mil_push(e, &d, op, kept, t));
    return to_vector(e, n, kept, name);
}

rc mil_emit_identity(mil_emitter *e, const ir_node *n, const char *from, const char *name)
{
    mil_draft d = {0};
    add_ref(&d, "x", from);
    return mil_push(e, &d, "identity", name, mil_node_type(n));
}
