/* eval.c - the oracle: what a graph means, in double, by the plainest loops.
 *
 * Everything fast is tested against this, so nothing here is clever. Each op
 * is one loop named in ops.def; the value of one element of an elementwise op
 * stands there too. Precision of device types is not modelled. */
#include "ir/table.h"

#include <math.h>
#include <string.h>

static const ir_eval_loop loops[IR_OPS] = {
#define OP(name, mil, args, dialect, attrs, shape, eval, ...) ir_eval_##eval,
#include "ir/ops.def"
#undef OP
};

rc ir_eval_node(const ir_node *n, const double *const *in, double *out)
{
    TRY_WHILE(loops[n->op](n, in, out), "computing %%%d = %s", n->id, ir_op_name(n->op));
    return OK;
}

bool ir_is_each(ir_op op)
{
    return loops[op] == ir_eval_each;
}

void ir_strides(ir_shape s, int rank, int64_t out[IR_RANK])
{
    int64_t step = 1;
    for (int i = 0; i < rank; i++) out[i] = 0;
    for (int i = s.rank - 1; i >= 0; i--) {
        out[rank - s.rank + i] = s.d[i] == 1 ? 0 : step;
        step *= s.d[i];
    }
}

/* ---- elementwise ---- */
typedef double (*element)(double x, double y, double z);
#define OP(name, mil, args, dialect, attrs, shape, eval, value, ...) \
    static double value_##name(double x, double y, double z)         \
    {                                                                \
        return value;                                                \
    }
#include "ir/ops.def"
#undef OP
static const element elements[IR_OPS] = {
#define OP(name, ...) value_##name,
#include "ir/ops.def"
#undef OP
};

double ir_element(ir_op op, const double in[3])
{
    return elements[op](in[0], in[1], in[2]);
}

rc ir_eval_each(const ir_node *n, const double *const *in, double *out)
{
    const ir_shape s = n->shape;
    int64_t step[3][IR_RANK] = {{0}}, at[3] = {0}, count = ir_count(s);
    int64_t index[IR_RANK] = {0};
    for (int k = 0; k < n->n_in; k++) ir_strides(n->in[k]->shape, s.rank, step[k]);
    for (int64_t i = 0; i < count; i++) {
        double v[3] = {0};
        for (int k = 0; k < n->n_in; k++) v[k] = in[k][at[k]];
        out[i] = ir_element(n->op, v);
        for (int d = s.rank - 1; d >= 0; d--) {
            for (int k = 0; k < n->n_in; k++) at[k] += step[k][d];
            if (++index[d] < s.d[d]) break;
            for (int k = 0; k < n->n_in; k++) at[k] -= step[k][d] * s.d[d];
            index[d] = 0;
        }
    }
    return OK;
}

/* Only constants carry their value; the rest is bound from outside. */
rc ir_eval_leaf(const ir_node *n, const double *const *in, double *out)
{
    int64_t count = ir_count(n->shape);
    if (n->op != IR_constant)
        return err_fail(E_SHAPE, "%s '%s' has no value", ir_op_name(n->op), n->name);
    for (int64_t i = 0; i < count; i++) out[i] = n->data[n->uniform ? 0 : i];
    return OK;
}

/* ---- whole graphs ---- */
static rc bind(const ir_node *n, int n_bind, const ir_binding *b, double **value)
{
    for (int i = 0; i < n_bind; i++) {
        if (strcmp(b[i].name, n->name) != 0) continue;
        *value = (double *)(uintptr_t)b[i].v; /* read only: never an `out` */
        return OK;
    }
    return err_fail(E_SHAPE, "%s '%s' has no value", ir_op_name(n->op), n->name);
}

static rc eval_one(const ir_node *n, arena *mem, const double **in, double **v)
{
    for (int k = 0; k < n->n_in; k++) in[k] = v[n->in[k]->id];
    v[n->id] = arena_array(mem, (size_t)ir_count(n->shape), sizeof **v);
    if (!v[n->id]) return E_MEMORY;
    return ir_eval_node(n, in, v[n->id]);
}

static rc eval_live(const ir_graph *g, arena *mem, int n_bind, const ir_binding *bindings,
                    const char *live, double **v)
{
    int most = 1;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->n_in > most) most = g->nodes[i]->n_in;
    const double **in = arena_array(mem, (size_t)most, sizeof *in);
    if (!in) return E_MEMORY;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        if (!live[i]) continue;
        if (n->op == IR_input || n->op == IR_param) TRY(bind(n, n_bind, bindings, &v[i]));
        else TRY(eval_one(n, mem, in, v));
    }
    return OK;
}

rc ir_eval(const ir_graph *g, arena *mem, int n_bind, const ir_binding *bindings,
           double ***values)
{
    TRY(ir_rc(g));
    double **v = arena_array(mem, (size_t)g->n_nodes + 1, sizeof *v);
    char *live = ir_mark_live(g);
    rc result = v && live ? eval_live(g, mem, n_bind, bindings, live, v) : E_MEMORY;
    mem_drop(live);
    if (result == OK) *values = v;
    return result;
}
