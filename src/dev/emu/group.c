/* group.c - plan one fused group: its collapsed axes, its ports (values read
 * from and written to memory), its registers and its tiles.
 *
 * A tile is rows x cols elements in the order of the domain. A value that
 * lives only inside the group is never in memory: it stands in a register, a
 * tile's worth of elements in the first-level cache. */
#include <string.h>
#include "dev/emu/emu.h"

typedef struct {
    emu_plan *p;
    emu_group *g;
    int n;
    const int *nodes;
    const emu_val *domain;
    int *holder; /* operand that holds each node's result */
    int *last;   /* member that reads it last */
    bool *leaves;
} planner;

/* The member whose result is the whole root of value v, or -1. */
static int made_by(const planner *b, int v)
{
    for (int i = 0; i < b->n; i++)
        if (b->p->vals[b->p->nodes[b->nodes[i]].out].v.root == b->p->vals[v].v.root)
            return i;
    return -1;
}

/* Read outside the group, or by a surface. */
static bool leaves_group(const planner *b, int node)
{
    const emu_plan *p = b->p;
    int root = p->vals[p->nodes[node].out].v.root;
    if (p->roots[root].where != EMU_WORK) return true;
    for (int i = 0; i < p->n_nodes; i++) {
        if (p->nodes[i].kind == EMU_EW && p->nodes[i].group == p->nodes[node].group)
            continue;
        for (int k = 0; k < p->nodes[i].n_in; k++)
            if (p->vals[p->nodes[i].in[k]].v.root == root) return true;
    }
    return false;
}

/* Strides of a value over the domain's axes (0 where it repeats). */
static void spread_strides(const emu_val *domain, const emu_val *v, int64_t *st)
{
    int skip = domain->rank - v->rank;
    bool whole = emu_is_packed(v) && emu_count(v) == emu_count(domain);
    for (int i = 0; i < domain->rank; i++)
        st[i] = i < skip || v->d[i - skip] == 1 ? 0 : v->v.st[i - skip];
    if (!whole) return;
    int64_t step = 1;
    for (int i = domain->rank - 1; i >= 0; i--) {
        st[i] = domain->d[i] == 1 ? 0 : step;
        step *= domain->d[i];
    }
}

/* Drop axes of one of each member's shape, so that ports of members that name
 * the domain differently meet on the same axes. */
static void squeeze(const emu_val *shape, int64_t *st)
{
    int n = 0;
    for (int i = 0; i < shape->rank; i++)
        if (shape->d[i] != 1) st[n++] = st[i];
    for (; n < MIL_RANK; n++) st[n] = 0;
}

static int add_port(planner *b, int val, const emu_val *domain)
{
    emu_group *g = b->g;
    const emu_val *v = &b->p->vals[val];
    emu_port port = {.val = val, .store = v->store};
    spread_strides(domain, v, port.st);
    squeeze(domain, port.st);
    for (int i = 0; i < g->n_in + g->n_out; i++)
        if (g->port[i].val == val && !memcmp(g->port[i].st, port.st, sizeof port.st))
            return i;
    g->port[g->n_in + g->n_out] = port;
    return g->n_in + g->n_out;
}

/* Inputs first, so that operands count inputs, outputs, registers. */
static void find_ports(planner *b)
{
    emu_group *g = b->g;
    for (int i = 0; i < b->n; i++) {
        const emu_node *node = &b->p->nodes[b->nodes[i]];
        for (int k = 0; k < node->n_in; k++) {
            int from = made_by(b, node->in[k]);
            if (from >= 0) {
                b->last[from] = i;
                continue;
            }
            /* Members may call the one domain by different shapes. */
            if (add_port(b, node->in[k], &b->p->vals[node->out]) == g->n_in) g->n_in++;
        }
    }
    for (int i = 0; i < b->n; i++)
        if (b->leaves[i]) {
            const emu_val *v = &b->p->vals[b->p->nodes[b->nodes[i]].out];
            b->holder[i] = g->n_in + g->n_out;
            add_port(b, b->p->nodes[b->nodes[i]].out, v);
            g->n_out++;
        }
}

/* Neighbouring axes over which every port steps alike are one axis: long rows,
 * few of them. */
static void collapse(emu_group *g)
{
    int n = 0, ports = g->n_in + g->n_out;
    for (int i = 0; i < g->rank; i++) {
        bool merge = n > 0;
        for (int k = 0; k < ports && merge; k++)
            merge = g->port[k].st[n - 1] == g->port[k].st[i] * g->d[i];
        int at = merge ? n - 1 : n++;
        g->d[at] = merge ? g->d[at] * g->d[i] : g->d[i];
        for (int k = 0; k < ports; k++) g->port[k].st[at] = g->port[k].st[i];
    }
    g->rank = n;
}

/* Registers are sized for the widest type of the group. */
static size_t widest(const planner *b)
{
    size_t most = 1;
    for (int i = 0; i < b->g->n_in + b->g->n_out; i++)
        if (mil_dtype_bytes(b->g->port[i].store) > most)
            most = mil_dtype_bytes(b->g->port[i].store);
    for (int i = 0; i < b->n; i++) {
        size_t s = emu_size(&b->p->vals[b->p->nodes[b->nodes[i]].out]);
        if (s > most) most = s;
    }
    return most;
}

/* Whole rows as many as fit, or parts of one row. A few units for each thread
 * even out what the machine does besides. */
static void plan_tiles(planner *b)
{
    emu_group *g = b->g;
    int64_t cols = g->rank ? g->d[g->rank - 1] : 1;
    int64_t rows = g->rank > 1 ? g->d[g->rank - 2] : 1, outer = 1;
    for (int i = 0; i < g->rank - 2; i++) outer *= g->d[i];
    g->cols = cols < EMU_TILE ? cols : EMU_TILE;
    g->rows = cols < EMU_TILE ? EMU_TILE / cols : 1;
    if (g->rows > rows) g->rows = rows;
    g->tile = (size_t)(g->rows * g->cols);
    g->tiles = (size_t)(outer * ((rows + g->rows - 1) / g->rows) *
                        ((cols + g->cols - 1) / g->cols));
    g->reg_bytes = (g->tile * widest(b) + 63) / 64 * 64;
    size_t units = (size_t)kern_threads(b->p->k) * 4;
    g->units = g->tiles < units ? g->tiles : units;
}

/* A register whose last reader has run can be written again; also by that
 * reader itself where operand and result have one type, which kernels allow. */
static rc plan_ops(planner *b)
{
    emu_group *g = b->g;
    int ports = g->n_in + g->n_out;
    int busy[EMU_OPERANDS], n = 0;
    g->op = arena_array(b->p->mem, (size_t)b->n, sizeof *g->op);
    if (!g->op) return E_MEMORY;
    /* Operand r is register r; those of the ports are never shared. */
    for (; n < ports; n++) busy[n] = b->n;
    for (int i = 0; i < b->n; i++) {
        const emu_node *node = &b->p->nodes[b->nodes[i]];
        emu_tile_op *o = &g->op[g->n_ops++];
        *o = (emu_tile_op){.ew = node->ew,
                           .kernel = node->kernel,
                           .f = node->f,
                           .counts = node->counts,
                           .to = b->p->vals[node->out].store};
        bool in_place = node->ew == EMU_BINARY || node->ew == EMU_UNARY;
        for (int k = 0; k < node->n_in; k++) {
            int from = made_by(b, node->in[k]);
            o->src[k] = from >= 0 ? b->holder[from]
                                  : add_port(b, node->in[k], &b->p->vals[node->out]);
        }
        if (node->ew != EMU_BINARY && node->ew != EMU_SELECT && node->ew != EMU_COMPARE &&
            o->src[0] < g->n_in)
            g->port[o->src[0]].walk = true;
        o->store = b->p->vals[node->in[node->ew == EMU_SELECT ? 1 : 0]].store;
        if (!b->leaves[i]) {
            int r = 0;
            while (r < n && busy[r] >= i + (in_place ? 1 : 0)) r++;
            if (r == EMU_OPERANDS)
                return err_fail(E_FAILED, "a fused group needs more than %d registers",
                                EMU_OPERANDS);
            if (r == n) n++;
            busy[r] = b->last[i];
            b->holder[i] = r;
        }
        o->dst = b->holder[i];
    }
    g->n_regs = n;
    return OK;
}

/* Does an op pass every infinity of its operands on (perhaps as NaN)? */
static bool passes_infinity(const emu_tile_op *o)
{
    switch (o->ew) {
    case EMU_BINARY:
        return o->kernel == KERN_ADD || o->kernel == KERN_SUB || o->kernel == KERN_MUL;
    case EMU_UNARY:
        return o->kernel == KERN_U_ABS || o->kernel == KERN_U_SQUARE;
    case EMU_CLAMP:
        return true;
    default:
        return false;
    }
}

/* Infinities are counted where they would otherwise be lost sight of: a result
 * that another counted op passes on is counted there. */
static void plan_counting(planner *b)
{
    for (int i = 0; i < b->n; i++)
        for (int j = i + 1; j < b->n && b->g->op[i].counts; j++) {
            const emu_node *reader = &b->p->nodes[b->nodes[j]];
            if (!b->g->op[j].counts || !passes_infinity(&b->g->op[j])) continue;
            for (int k = 0; k < reader->n_in; k++)
                if (made_by(b, reader->in[k]) == i) b->g->op[i].counts = false;
        }
}

/* Ports are found on the uncollapsed axes, where equal values have equal
 * strides; only then axes are merged. */
rc emu_plan_group(emu_plan *p, int n, const int *nodes, emu_group **out)
{
    planner b = {.p = p, .n = n, .nodes = nodes};
    b.g = *out = arena_take(p->mem, sizeof *b.g);
    b.holder = arena_array(p->mem, (size_t)n, sizeof *b.holder);
    b.last = arena_array(p->mem, (size_t)n, sizeof *b.last);
    b.leaves = arena_array(p->mem, (size_t)n, sizeof *b.leaves);
    if (!b.g || !b.holder || !b.last || !b.leaves) return E_MEMORY;
    b.domain = &p->vals[p->nodes[nodes[0]].out];
    for (int i = 0; i < b.domain->rank; i++)
        if (b.domain->d[i] != 1) b.g->d[b.g->rank++] = b.domain->d[i];
    for (int i = 0; i < n; i++) b.leaves[i] = leaves_group(&b, nodes[i]);
    find_ports(&b);
    TRY(plan_ops(&b));
    plan_counting(&b);
    collapse(b.g);
    plan_tiles(&b);
    return OK;
}
