/* ports.c - what goes in and out of each program, on which surfaces, in which
 * order.
 *
 * Rows of a surface must be a multiple of 32 elements. A value whose last axis
 * is not is packed tightly into rows of 32 when its size allows, for which a
 * program needs one reshape, or else gets padded rows.
 *
 * The engine binds surfaces in alphabetical order of the names, so ports are
 * named in the order wanted: inputs from small to large and outputs from large
 * to small, because the M1 reads zeros otherwise (rule slot_sizes). */
#include "plan/passes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW = 32, LEAST_BYTES = 49152, PAGE = 16384 };

/* At least three pages, whole pages. */
static size_t allocation(planner *b, int64_t count)
{
    size_t n = (size_t)count * 2;
    if (plan_guards(b, RULE_surface_minimum, n < LEAST_BYTES)) n = LEAST_BYTES;
    if (plan_guards(b, RULE_surface_pages, n % PAGE)) n = (n + PAGE - 1) / PAGE * PAGE;
    return n;
}

/* Can n elements be cut into tight rows of 32, each a channel? */
static bool tight(const planner *b, int64_t n)
{
    const dev_profile *c = b->chip;
    return n % ROW == 0 &&
           n / ROW <= (c && c->max_channels > 0 ? c->max_channels : 65536);
}

/* How far apart rows of `width` lie in a value of n elements. */
static int64_t row_stride(const planner *b, int64_t n, int64_t width)
{
    bool as_is = width % ROW == 0 || tight(b, n) || !plan_keeps(b->p, RULE_row_multiple);
    return as_is ? width : (width + ROW - 1) / ROW * ROW;
}

int64_t plan_row_stride(const planner *b, const ir_node *n)
{
    plan_view v = plan_view_of(b, n);
    ir_shape s = plan_view_shape(v);
    int64_t width = s.d[s.rank - 1], own = n->shape.d[n->shape.rank - 1];
    if (row_stride(b, v.count, width) == width) return own;
    return own == width ? row_stride(b, v.count, width) : -1;
}

int64_t plan_pieces_stride(const planner *b, const ir_node *n)
{
    int64_t rows = n->shape.d[1], width = n->shape.d[3], stride = 0;
    int64_t piece = b->info[n->id].pieces ? plan_piece(rows) : rows;
    for (int64_t r = 0; r < rows; r += piece) {
        int64_t own = row_stride(b, (rows - r < piece ? rows - r : piece) * width, width);
        if (stride && own != stride) return -1;
        stride = own;
    }
    return stride;
}

void plan_port_shape(planner *b, ir_shape s, dev_shape *out, int64_t *row,
                     int64_t *stride)
{
    int64_t n = ir_count(s), width = s.d[s.rank - 1];
    int64_t height = s.rank > 1 ? s.d[s.rank - 2] : 1;
    dev_shape d = {
        .dtype = MIL_FP16, .rank = 4, .d = {1, n / (width * height), height, width}};
    *row = *stride = width;
    if (plan_guards(b, RULE_row_multiple, width % ROW)) {
        if (tight(b, n)) d.d[1] = n / ROW, d.d[2] = 1, d.d[3] = ROW;
        else d.d[3] = *stride = (width + ROW - 1) / ROW * ROW;
    }
    d.bytes = allocation(b, d.d[1] * d.d[2] * d.d[3]);
    *out = d;
}

size_t plan_packed_bytes(const dev_shape *s)
{
    size_t n = mil_dtype_bytes(s->dtype);
    for (int i = 0; i < s->rank; i++) n *= (size_t)s->d[i];
    return n;
}

/* With the guard off, names run against the order of the surfaces. */
void plan_port_name(planner *b, bool output, int i, char name[16])
{
    bool keep = !plan_guard_off(b->p, output ? RULE_output_order : RULE_input_order);
    snprintf(name, 16, "%c%03d", output ? 'o' : 'i', keep ? i : 999 - i);
}

static int falling(const void *x, const void *y)
{
    const plan_port *a = x, *b = y;
    if (a->shape.bytes != b->shape.bytes) return a->shape.bytes > b->shape.bytes ? -1 : 1;
    return a->order - b->order;
}

static int rising(const void *x, const void *y)
{
    const plan_port *a = x, *b = y;
    if (a->shape.bytes != b->shape.bytes) return a->shape.bytes < b->shape.bytes ? -1 : 1;
    return a->order - b->order;
}

/* Each view once. */
static rc add_port(planner *b, plan_port **ports, int *n, int *cap, plan_view v)
{
    for (int i = 0; i < *n; i++)
        if (plan_view_eq((*ports)[i].view, v)) return OK;
    TRY(plan_grow(b->mem, (void **)ports, *n, cap, sizeof **ports));
    plan_port *p = &(*ports)[*n];
    *p = (plan_port){.view = v, .order = *n};
    p->baked = b->p->options.weights == PLAN_BAKED && v.base->op == IR_param;
    plan_port_shape(b, plan_view_shape(v), &p->shape, &p->row, &p->stride);
    ++*n;
    return OK;
}

/* What an item reads that it does not make itself. */
static rc find_inputs(planner *b, int index, plan_view *leaf)
{
    plan_item *item = &b->items[index];
    int cap = 0;
    for (int i = 0; i < item->n_nodes; i++)
        for (int j = 0; j < item->nodes[i]->n_in; j++) {
            int n = plan_leaves(b, item->nodes[i]->in[j], leaf, 0);
            for (int l = 0; l < n; l++) {
                const node_info *at = &b->info[leaf[l].base->id];
                if (at->at == PLACE_GIVEN || at->item != index)
                    TRY(add_port(b, &item->in, &item->n_in, &cap, leaf[l]));
            }
        }
    return OK;
}

/* Values that leave the program that makes them become its outputs. */
static void mark_read(planner *b, int by, const plan_view *leaf, int n)
{
    for (int i = 0; i < n; i++) {
        node_info *at = &b->info[leaf[i].base->id];
        bool ours = at->at == PLACE_ENGINE || at->moved;
        if (ours && at->item != by) at->read_outside = true;
    }
}

static rc mark_all_read(planner *b, plan_view *leaf)
{
    for (int i = 0; i < b->n_items; i++)
        for (int j = 0; j < b->items[i].n_nodes; j++) {
            const ir_node *n = b->items[i].nodes[j];
            if (b->items[i].host == PLAN_HOST_ADD)
                mark_read(b, i, leaf, plan_leaves(b, n, leaf, 0));
            else
                for (int k = 0; k < n->n_in; k++)
                    mark_read(b, i, leaf, plan_leaves(b, n->in[k], leaf, 0));
        }
    for (int i = 0; i < b->g->n_outputs; i++)
        if (!plan_is_gradient(b->g->outputs[i].name))
            mark_read(b, -1, leaf, plan_leaves(b, b->g->outputs[i].node, leaf, 0));
    return OK;
}

static bool out_of_order(const plan_port *p, int n,
                         int (*order)(const void *, const void *))
{
    for (int i = 1; i < n; i++)
        if (order(&p[i - 1], &p[i]) > 0) return true;
    return false;
}

static void sort_ports(planner *b, plan_item *item)
{
    bool moves = out_of_order(item->in, item->n_in, rising) ||
                 out_of_order(item->out, item->n_out, falling);
    plan_guards(b, RULE_input_order, item->n_in > 1);
    plan_guards(b, RULE_output_order, item->n_out > 1);
    plan_guards(b, RULE_slot_sizes, moves);
    if (plan_guard_off(b->p, RULE_slot_sizes)) return;
    qsort(item->in, (size_t)item->n_in, sizeof *item->in, rising);
    qsort(item->out, (size_t)item->n_out, sizeof *item->out, falling);
}

/* Only what is read becomes an input; with the guard off, one thing more. */
static rc take_unused(planner *b, plan_item *item)
{
    int cap = item->n_in; /* grows by copying */
    plan_guards(b, RULE_inputs_used, item->n_in > 0);
    for (int i = 0; plan_guard_off(b->p, RULE_inputs_used) && i < b->g->n_nodes; i++) {
        const ir_node *n = b->g->nodes[i];
        if (b->info[i].at == PLACE_GIVEN && n->type == IR_FP16)
            TRY(add_port(b, &item->in, &item->n_in, &cap, plan_view_of(b, n)));
    }
    return OK;
}

rc plan_find_ports(planner *b)
{
    plan_view *leaf = arena_array(b->mem, PLAN_LEAVES, sizeof *leaf);
    if (!leaf) return E_MEMORY;
    TRY(mark_all_read(b, leaf));
    for (int i = 0; i < b->n_items; i++) {
        plan_item *item = &b->items[i];
        int cap = 0;
        if (item->host != PLAN_HOST_ADD || item->engine) TRY(find_inputs(b, i, leaf));
        for (int j = 0; j < item->n_nodes; j++) {
            const node_info *at = &b->info[item->nodes[j]->id];
            if (at->read_outside && (item->engine || item->host == PLAN_HOST_EVAL))
                TRY(add_port(b, &item->out, &item->n_out, &cap,
                             plan_view_of(b, item->nodes[j])));
        }
        if (!item->engine) continue;
        TRY(take_unused(b, item));
        sort_ports(b, item);
    }
    return OK;
}
