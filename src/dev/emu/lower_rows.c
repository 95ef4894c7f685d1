/* lower_rows.c - ops that are done a row at a time: what a row is, and what its
 * parameters are. The functions are in row_*.c; rows.c runs them. */
#include <string.h>
#include "dev/emu/emu.h"

static const struct {
    dev_op_kind op;
    emu_row_fn *fn;
} functions[] = {
    {DEV_OP_max_pool, emu_row_max_pool},
    {DEV_OP_avg_pool, emu_row_avg_pool},
    {DEV_OP_l2_pool, emu_row_l2_pool},
    {DEV_OP_resize_bilinear, emu_row_bilinear},
    {DEV_OP_upsample_bilinear, emu_row_bilinear},
    {DEV_OP_resample, emu_row_resample},
    {DEV_OP_affine, emu_row_affine},
    {DEV_OP_batch_norm, emu_row_batch_norm},
    {DEV_OP_layer_norm, emu_row_norm},
    {DEV_OP_instance_norm, emu_row_instance_norm},
    {DEV_OP_l2_norm, emu_row_l2_norm},
    {DEV_OP_local_response_norm, emu_row_local_norm},
    {DEV_OP_reduce_sum_square, emu_row_sum_square},
    {DEV_OP_reduce_l1_norm, emu_row_l1},
    {DEV_OP_reduce_l2_norm, emu_row_l2},
    {DEV_OP_reduce_log_sum, emu_row_log_sum},
    {DEV_OP_reduce_log_sum_exp, emu_row_log_sum_exp},
    {DEV_OP_cumsum, emu_row_cumsum},
    {DEV_OP_reduce_argmax, emu_row_arg_max},
    {DEV_OP_reduce_argmin, emu_row_arg_min},
    {DEV_OP_argsort, emu_row_sorted},
    {DEV_OP_topk, emu_row_sorted},
    {DEV_OP_quantize, emu_row_quantize},
    {DEV_OP_dequantize, emu_row_dequantize},
};

/* x and results are packed; the parameters are taken from the op's slots. */
static rc add_rows(emu_plan *p, const dev_op *o, int x, int out, size_t rows, int n_par,
                   const int *slots)
{
    int par[EMU_INPUTS - 1] = {-1, -1, -1, -1};
    if (x < 0 || out < 0) return E_MEMORY;
    for (int i = 0; i < n_par; i++) {
        if (o->arg[slots[i]] < 0) continue;
        par[i] = emu_packed(p, emu_value(p, o->arg[slots[i]]));
        if (par[i] < 0) return E_MEMORY;
    }
    emu_node *node = emu_add_node(p, EMU_ROWS);
    if (!node) return E_MEMORY;
    emu_rows *e = &node->rows;
    node->out = out;
    node->in[node->n_in++] = x;
    for (int i = 0; i < n_par; i++)
        if (par[i] >= 0) node->in[node->n_in++] = par[i];
    memcpy(e->par, par, sizeof par);
    e->op = o;
    e->rows = rows;
    e->n = (size_t)emu_count(&p->vals[x]) / rows;
    e->m = (size_t)emu_count(&p->vals[out]) / rows;
    e->sorts = o->kind == DEV_OP_topk || o->kind == DEV_OP_argsort;
    e->places = o->kind == DEV_OP_argsort;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (functions[i].op == o->kind) e->fn = functions[i].fn;
    size_t units = (size_t)kern_threads(p->k) * 4;
    e->units = rows < units ? rows : units;
    if (e->n * rows < 4096) e->units = 1;
    e->bytes = mem_add(mem_mul(e->m, sizeof(double)), mem_mul(e->n, sizeof(float)));
    if (e->sorts) e->bytes = mem_add(e->bytes, mem_mul(2 * e->n, sizeof(int32_t)));
    e->bytes = mem_add(e->bytes, 63) / 64 * 64;
    if (e->sorts && e->n > INT32_MAX)
        return err_fail(E_UNIMPL, "sorting %zu numbers", e->n);
    return e->fn ? OK : err_fail(E_FAILED, "'%s' has no function", o->mil->op);
}

/* The axes that are set moved to the end, packed; perm and back for others. */
static int axes_last(emu_plan *p, int val, const bool *set, int *back, size_t *rows)
{
    int perm[MIL_RANK], n = 0;
    if (val < 0) return -1;
    emu_val v = p->vals[val];
    *rows = 1;
    for (int i = 0; i < v.rank; i++)
        if (!set[i]) {
            perm[n++] = i;
            *rows *= (size_t)v.d[i];
        }
    for (int i = 0; i < v.rank; i++)
        if (set[i]) perm[n++] = i;
    for (int i = 0; i < v.rank; i++) back[perm[i]] = i;
    return emu_packed(p, emu_permuted(p, val, perm));
}

/* A result whose last axis has m places, seen in the order of the input. */
static rc rows_back(emu_plan *p, const dev_op *o, int x, const int *back, size_t rows,
                    int result, int n_par, const int *slots, int *out)
{
    if (x < 0) return E_MEMORY;
    emu_val v = p->vals[x];
    const mil_type *t = &p->code->values[o->out[result]].type;
    for (int i = 0; i < v.rank; i++) v.d[back[i]] = t->d[i];
    int y = emu_add_val(p, v.rank, v.d, emu_store_of(p, t->dtype));
    TRY(add_rows(p, o, x, y, rows, n_par, slots));
    p->nodes[p->n_nodes - 1].rows.places |= result == 1;
    *out = emu_permuted(p, y, back);
    return *out < 0 ? E_MEMORY : OK;
}

/* Along o->a.axis, a row of results for each row. */
static rc lower_axis(emu_plan *p, const dev_op *o, int *out)
{
    bool set[MIL_RANK] = {false};
    int back[MIL_RANK];
    size_t rows;
    set[o->a.axis] = true;
    int x = axes_last(p, emu_value(p, o->arg[0]), set, back, &rows);
    for (int i = 0; i < o->n_out; i++)
        TRY(rows_back(p, o, x, back, rows, i, 0, NULL, &out[i]));
    return OK;
}

/* Over axes, one result for each row. */
static rc lower_reduction(emu_plan *p, const dev_op *o, int *out)
{
    bool set[MIL_RANK] = {false};
    int back[MIL_RANK];
    size_t rows;
    for (int i = 0; i < o->a.n_axes; i++) set[o->a.axes[i]] = true;
    if (dev_op_class_of(o->kind) == DEV_ARGS) set[o->a.axis] = true;
    int x = axes_last(p, emu_value(p, o->arg[0]), set, back, &rows);
    *out = emu_result(p, o->out[0]);
    return add_rows(p, o, x, *out, rows, 0, NULL);
}

static rc lower_layer_norm(emu_plan *p, const dev_op *o, int *out)
{
    bool set[MIL_RANK] = {false};
    int back[MIL_RANK];
    size_t rows;
    for (int i = 0; i < o->a.n_axes; i++) set[o->a.axes[i]] = true;
    int x = axes_last(p, emu_value(p, o->arg[0]), set, back, &rows);
    return rows_back(p, o, x, back, rows, 0, 2, (const int[]){2, 3}, out);
}

/* Rows are all but the last `last` axes. */
static rc lower_inner(emu_plan *p, const dev_op *o, int last, int n_par, const int *slots,
                      int *out)
{
    int x = emu_packed(p, emu_value(p, o->arg[0]));
    size_t rows = 1;
    *out = emu_result(p, o->out[0]);
    if (x < 0 || *out < 0) return E_MEMORY;
    for (int i = 0; i < p->vals[x].rank - last; i++) rows *= (size_t)p->vals[x].d[i];
    return add_rows(p, o, x, *out, rows, n_par, slots);
}

/* The last two axes, or one, which then has a height of one. */
static rc lower_image(emu_plan *p, const dev_op *o, int *out)
{
    const mil_type *x = &p->code->values[o->arg[0]].type;
    const mil_type *t = &p->code->values[o->out[0]].type;
    bool flat = dev_op_class_of(o->kind) == DEV_WINDOW && x->rank == 3;
    bool placed = o->kind == DEV_OP_resample || o->kind == DEV_OP_affine;
    TRY(lower_inner(p, o, flat ? 1 : 2, placed, (const int[]){1}, out));
    int64_t *d = p->nodes[p->n_nodes - 1].rows.d;
    d[0] = flat ? 1 : x->d[x->rank - 2];
    d[1] = x->d[x->rank - 1];
    d[2] = flat ? 1 : t->d[x->rank - 2];
    d[3] = t->d[x->rank - 1];
    return OK;
}

static rc lower_norm(emu_plan *p, const dev_op *o, int *out)
{
    int rank = p->code->values[o->arg[0]].type.rank;
    switch (o->kind) {
    case DEV_OP_batch_norm:
        return lower_inner(p, o, rank - 2, 4, (const int[]){1, 2, 3, 4}, out);
    case DEV_OP_instance_norm:
        return lower_inner(p, o, rank - 2, 2, (const int[]){1, 2}, out);
    case DEV_OP_l2_norm:
        return lower_inner(p, o, 3, 0, NULL, out);
    case DEV_OP_local_response_norm:
        return lower_inner(p, o, rank - 1, 0, NULL, out);
    default:
        return lower_layer_norm(p, o, out);
    }
}

rc emu_lower_rows(emu_plan *p, const dev_op *o, int *out)
{
    int rank = p->code->values[o->arg[0]].type.rank;
    switch (dev_op_class_of(o->kind)) {
    case DEV_WINDOW:
    case DEV_RESIZE:
        return lower_image(p, o, out);
    case DEV_NORM:
        return lower_norm(p, o, out);
    case DEV_QUANT: /* a row has one scale */
        return lower_inner(p, o, o->arg[3] < 0 ? rank > 0 : rank - o->a.axis - 1, 2,
                           (const int[]){1, 2}, out);
    case DEV_ARGS:
        if (o->kind == DEV_OP_topk || o->kind == DEV_OP_argsort)
            return lower_axis(p, o, out);
        return lower_reduction(p, o, out);
    default:
        return o->kind == DEV_OP_cumsum ? lower_axis(p, o, out)
                                        : lower_reduction(p, o, out);
    }
}
