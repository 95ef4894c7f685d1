/* lower.c - from checked code to nodes on views.
 *
 * Most ops that move data cost nothing here: reshape, slice, split and
 * transpose give a view into the same root, tile of an axis of one gives a
 * stride of zero. Only what cannot be said with strides is copied. */
#include <string.h>
#include "dev/emu/emu.h"

/* A view of the box at `begin` of extent d. */
static int part(emu_plan *p, int val, const int64_t *begin, const int64_t *d)
{
    emu_val v = p->vals[val];
    emu_view w = v.v;
    for (int i = 0; i < v.rank; i++) w.off += begin[i] * v.v.st[i];
    return emu_view_of(p, val, v.rank, d, w);
}

/* A slice; along the width of H13 and H14 from another place than the start it
 * passes a crop unit that scales by 16 and overflows (rule slice_clamp). Steps
 * (NULL: one) may be negative; where one is not one, the slice is copied. */
rc emu_add_slice(emu_plan *p, int x, const int64_t *begin, const int64_t *step,
                 const int64_t *d, int *out)
{
    int v = part(p, x, begin, d);
    bool steps = false;
    if (v < 0) return E_MEMORY;
    int last = p->vals[v].rank - 1;
    for (int i = 0; step && i <= last; i++) {
        p->vals[v].v.st[i] *= step[i];
        steps |= step[i] != 1;
    }
    if (steps) {
        int to = emu_add_val(p, last + 1, d, p->vals[v].store);
        if (to < 0) return E_MEMORY;
        TRY(emu_add_copy(p, v, to));
        v = to;
    }
    *out = v;
    if (!p->finite_limit || !p->params->profile->slice_clamp || last < 0 ||
        !begin[last] || p->vals[v].store != MIL_FP16)
        return OK;
    *out = emu_add_val(p, last + 1, d, MIL_FP16);
    return emu_add_ew(p, EMU_CLAMP, 0, 1, &v, *out);
}

/* Views that follow each other along the axis. */
static rc lower_split(emu_plan *p, const dev_op *o, int *out)
{
    int64_t begin[MIL_RANK] = {0};
    int x = emu_value(p, o->arg[0]);
    if (x < 0) return E_MEMORY;
    for (int i = 0; i < o->n_out; i++) {
        const mil_type *t = &p->code->values[o->out[i]].type;
        TRY(emu_add_slice(p, x, begin, NULL, t->d, &out[i]));
        begin[o->a.axis] += t->d[o->a.axis];
    }
    return OK;
}

/* Repeating an axis of one is a stride of zero. Otherwise each axis is written
 * as two, repetition and extent, of which the source ignores the first. */
static rc lower_tile(emu_plan *p, const dev_op *o, int x, int *out)
{
    emu_val v = p->vals[x];
    bool copies = false;
    for (int i = 0; i < v.rank; i++) copies |= o->a.reps[i] > 1 && v.d[i] > 1;
    const mil_type *t = &p->code->values[o->out[0]].type;
    if (!copies) {
        emu_view w = v.v;
        for (int i = 0; i < v.rank; i++)
            if (o->a.reps[i] > 1) w.st[i] = 0;
        *out = emu_view_of(p, x, v.rank, t->d, w);
        return *out < 0 ? E_MEMORY : OK;
    }
    *out = emu_result(p, o->out[0]);
    emu_node *n = *out < 0 ? NULL : emu_add_node(p, EMU_COPY);
    if (!n) return E_MEMORY;
    const emu_val *y = &p->vals[*out];
    n->n_in = 1;
    n->in[0] = x;
    n->out = *out;
    n->copy = (emu_copy){.rank = 2 * v.rank, .size = emu_size(&v)};
    for (int i = 0; i < v.rank; i++) {
        n->copy.d[2 * i] = o->a.reps[i];
        n->copy.from[2 * i] = 0;
        n->copy.to[2 * i] = y->v.st[i] * v.d[i];
        n->copy.d[2 * i + 1] = v.d[i];
        n->copy.from[2 * i + 1] = v.v.st[i];
        n->copy.to[2 * i + 1] = y->v.st[i];
    }
    emu_plan_copy(&n->copy);
    return OK;
}

/* Each value is copied to its place in the result. */
static rc lower_concat(emu_plan *p, const dev_op *o, int *out)
{
    int64_t begin[MIL_RANK] = {0};
    *out = emu_result(p, o->out[0]);
    if (*out < 0) return E_MEMORY;
    for (int i = 0; i < o->n_list; i++) {
        int x = emu_value(p, o->list[i]);
        if (x < 0) return E_MEMORY;
        emu_val v = p->vals[x];
        int to = part(p, *out, begin, v.d);
        if (to < 0) return E_MEMORY;
        TRY(emu_add_copy(p, x, to));
        begin[o->a.axis] += v.d[o->a.axis];
    }
    return OK;
}

/* Views of the parts of the result, each without its new axis. */
static rc lower_stack(emu_plan *p, const dev_op *o, int *out)
{
    *out = emu_result(p, o->out[0]);
    if (*out < 0) return E_MEMORY;
    for (int i = 0; i < o->n_list; i++) {
        int x = emu_value(p, o->list[i]);
        if (x < 0) return E_MEMORY;
        emu_val y = p->vals[*out];
        emu_view w = {.root = y.v.root, .off = y.v.off + i * y.v.st[o->a.axis]};
        int rank = p->vals[x].rank;
        for (int k = 0; k < rank; k++) w.st[k] = y.v.st[k < o->a.axis ? k : k + 1];
        int to = emu_view_of(p, *out, rank, p->vals[x].d, w);
        if (to < 0) return E_MEMORY;
        TRY(emu_add_copy(p, x, to));
    }
    return OK;
}

static rc lower_view(emu_plan *p, const dev_op *o, int *out)
{
    const mil_type *t = &p->code->values[o->out[0]].type;
    int x = emu_value(p, o->arg[0]);
    if (x < 0) return E_MEMORY;
    switch (o->kind) {
    case DEV_OP_identity:
        *out = x;
        return OK;
    case DEV_OP_transpose:
        *out = emu_permuted(p, x, o->a.perm);
        break;
    case DEV_OP_slice_by_size:
        return emu_add_slice(p, x, o->a.begin, NULL, o->a.size, out);
    case DEV_OP_split:
        return lower_split(p, o, out);
    case DEV_OP_tile:
        return lower_tile(p, o, x, out);
    default:
        *out = emu_reshaped(p, x, t->rank, t->d);
        break;
    }
    return *out < 0 ? E_MEMORY : OK;
}

/* out has one place for each result. */
static rc lower_op(emu_plan *p, const dev_op *o, int *out)
{
    switch (dev_op_class_of(o->kind)) {
    case DEV_CONST:
        return OK; /* made when first used */
    case DEV_VIEW:
        return lower_view(p, o, out);
    case DEV_CONCAT:
        return lower_concat(p, o, out);
    case DEV_STACK:
        return lower_stack(p, o, out);
    case DEV_TAKE:
        return emu_lower_take(p, o, out);
    case DEV_SHUFFLE:
        return emu_lower_shuffle(p, o, out);
    case DEV_PICK:
        return emu_lower_pick(p, o, out);
    case DEV_ROWS:
    case DEV_ARGS:
    case DEV_WINDOW:
    case DEV_NORM:
    case DEV_RESIZE:
    case DEV_QUANT:
        return emu_lower_rows(p, o, out);
    case DEV_EINSUM:
        return emu_lower_einsum(p, o, out);
    case DEV_DECONV:
        return emu_lower_deconv(p, o, out);
    case DEV_SOFTMAX:
        *out = emu_add_softmax(p, emu_value(p, o->arg[0]), o->a.axis);
        return *out < 0 ? E_MEMORY : OK;
    case DEV_REDUCE:
        return emu_lower_reduce(p, o, out);
    case DEV_MATMUL:
        return o->kind == DEV_OP_linear ? emu_lower_linear(p, o, out)
                                        : emu_lower_matmul(p, o, out);
    case DEV_CONV:
        return emu_lower_conv(p, o, out);
    case DEV_SDPA:
        return emu_lower_sdpa(p, o, out);
    default:
        return emu_lower_ew(p, o, out);
    }
}

/* Bring a result to its surface: give the surface's memory to the root that
 * holds it, or copy where that root is not the result alone. */
static rc lower_output(emu_plan *p, int id, int port)
{
    const mil_type *t = &p->code->values[id].type;
    int v = emu_value(p, id);
    if (v < 0) return E_MEMORY;
    if (p->vals[v].store != t->dtype) {
        v = emu_packed(p, v);
        emu_node *n = v < 0 ? NULL : emu_add_node(p, EMU_STORE);
        if (!n) return E_MEMORY;
        n->n_in = 1;
        n->in[0] = v;
        n->out = -1;
        n->port = port;
        return OK;
    }
    emu_root *r = &p->roots[p->vals[v].v.root];
    if (r->where != EMU_WORK || !emu_is_whole(p, &p->vals[v])) {
        int to = emu_add_val(p, t->rank, t->d, t->dtype);
        if (to < 0) return E_MEMORY;
        TRY(emu_add_copy(p, v, to));
        r = &p->roots[p->vals[to].v.root];
    }
    r->where = EMU_OUT;
    r->port = port;
    return OK;
}

static bool is_on(const soft_params *p, const char *chip, bool disputed)
{
    bool here = !strcmp(chip, "all") || !strcmp(chip, p->profile->name);
    return here && (!disputed || p->rules_all);
}

static void set_switches(emu_plan *p)
{
#define SWITCH(name, chip, disputed, what, source) \
    p->name = p->exact && is_on(p->params, chip, disputed);
#include "dev/emu/switches.def"
}

/* The work that o has become, from node `first` on, is one row of the table. */
static void add_product(emu_plan *p, const dev_op *o, int first)
{
    bool any = false;
    for (int i = first; i < p->n_nodes; i++) {
        emu_node *n = &p->nodes[i];
        if (!emu_multiplies(n->kind)) continue;
        if (n->kind == EMU_GEMM && n->gemm.type != KERN_F16) continue;
        n->product = p->counts.n;
        any = true;
    }
    if (!any) return;
    p->product[p->counts.n++] = (dev_product){.name = p->code->values[o->out[0]].name,
                                              .op = dev_op_text(o->kind)};
}

/* Inputs are numbered in binding order, so a port is its surface's place. */
rc emu_lower(emu_plan *p)
{
    const dev_code *c = p->code;
    p->finite_limit = p->params->arithmetic != SOFT_WIDE;
    p->exact = p->params->arithmetic == SOFT_EXACT;
    set_switches(p);
    p->of = arena_array(p->mem, (size_t)c->n_values + 1, sizeof *p->of);
    p->product = arena_array(p->mem, (size_t)c->n_ops + 1, sizeof *p->product);
    p->counts.product = p->product;
    if (!p->of || !p->product) return E_MEMORY;
    for (int i = 0; i < c->n_values; i++) p->of[i] = -1;
    for (int i = 0; i < c->n_in; i++) {
        int id = c->in[c->in_order[i]];
        p->of[id] = emu_input(p, id, i);
        if (p->of[id] < 0) return E_MEMORY;
    }
    for (int i = 0; i < c->n_ops; i++) {
        int out[64], first = p->n_nodes;
        if (c->ops[i].n_out > 64) return err_fail(E_UNIMPL, "an op with over 64 results");
        TRY(lower_op(p, &c->ops[i], out));
        if (p->exact && p->params->count) add_product(p, &c->ops[i], first);
        if (dev_op_class_of(c->ops[i].kind) == DEV_CONST) continue;
        for (int j = 0; j < c->ops[i].n_out; j++) p->of[c->ops[i].out[j]] = out[j];
    }
    for (int i = 0; i < c->n_out; i++) TRY(lower_output(p, c->out[c->out_order[i]], i));
    return OK;
}
