/* simplify.c - the same graph with less work: live nodes are emitted in order
 * into a new graph; on the way each is rewritten by the rules, folded if all
 * its operands are constants, and looked up among the nodes already there.
 * What the rules left without a user goes at the end. One hash lookup a node:
 * time is linear in the graph. */
#include "ir/simplify.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

/* Folding computes with the oracle; beyond these it would cost more than it
 * saves, or make big constants of small ones. */
#define FOLD_VALUES (1 << 16)
#define FOLD_FLOPS 1e6
#define HALF_LARGEST 65504.0

/* ---- contents of a node ---- */
static uint64_t mix(uint64_t hash, int64_t v)
{
    return XXH64(&v, sizeof v, hash);
}

static bool commutes(ir_op op)
{
    return op == IR_add || op == IR_mul;
}

static uint64_t hash_draft(const ir_draft *d)
{
    uint64_t h = mix((uint64_t)d->op, (int64_t)d->type * 8 + d->shape.rank);
    for (int i = 0; i < d->shape.rank; i++) h = mix(h, d->shape.d[i]);
    for (int id = 0; id < IR_ATTRS; id++) {
        const ir_attr_row *row = &ir_attrs[id];
        if (!(ir_ops[d->op].attrs >> id & 1u)) continue;
        double real = row->kind == IR_KIND_REAL ? ir_attr_real(row, &d->attr) : 0;
        h = XXH64(&real, sizeof real, h);
        for (int i = 0; i < row->cap; i++) h = mix(h, ir_attr_int(row, &d->attr, i));
    }
    if (commutes(d->op)) /* either order, one hash */
        return h + mix(h, d->in[0]->id) + mix(h, d->in[1]->id);
    for (int i = 0; i < d->n_in; i++) h = mix(h, d->in[i]->id);
    return h;
}

static bool same_operands(const ir_draft *d, const ir_node *n)
{
    if (d->n_in != n->n_in) return false;
    if (commutes(d->op) && d->in[0] == n->in[1] && d->in[1] == n->in[0]) return true;
    for (int i = 0; i < d->n_in; i++)
        if (d->in[i] != n->in[i]) return false;
    return true;
}

static ir_node *find(ir_simplifier *s, uint64_t hash, const ir_draft *d)
{
    ir_node *n;
    for (size_t at = 0; (n = ir_table_next(&s->known, hash, &at));)
        if (n->op == d->op && n->type == d->type && ir_shape_eq(n->shape, d->shape) &&
            same_operands(d, n) && ir_attr_equal(&n->attr, &d->attr))
            return n;
    return NULL;
}

static ir_node *remember(ir_simplifier *s, uint64_t hash, ir_node *n)
{
    if (n && ir_table_put(&s->known, s->g->mem, hash, n) != OK)
        return ir_give_up(s->g, E_MEMORY);
    return n;
}

ir_node *ir_emit_constant(ir_simplifier *s, ir_type t, ir_shape shape, const double *v,
                          bool uniform)
{
    size_t count = uniform ? 1 : (size_t)ir_count(shape);
    uint64_t hash = mix(XXH3_64bits(v, count * sizeof *v), (int64_t)t);
    for (int i = 0; i < shape.rank; i++) hash = mix(hash, shape.d[i]);
    ir_node *n;
    for (size_t at = 0; (n = ir_table_next(&s->known, hash, &at));)
        if (n->op == IR_constant && n->type == t && ir_shape_eq(n->shape, shape) &&
            n->uniform == uniform && memcmp(n->data, v, count * sizeof *v) == 0)
            return n;
    n = uniform ? ir_fill(s->g, t, shape, v[0]) : ir_const(s->g, t, shape, v);
    return remember(s, hash, n);
}

/* ---- folding ---- */
static bool is_layout(ir_op op)
{
    return op == IR_reshape || op == IR_transpose || op == IR_slice || op == IR_split ||
           op == IR_tile;
}

/* What a device could not hold is left for the device to run into. */
static bool can_hold(ir_type t, const double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(v[i]) || (t == IR_FP16 && fabs(v[i]) > HALF_LARGEST)) return false;
    return true;
}

/* Elementwise on operands of one value each: one value. */
static ir_node *fold_uniform(ir_simplifier *s, const ir_draft *d)
{
    double in[3] = {0};
    for (int i = 0; i < d->n_in; i++) in[i] = d->in[i]->data[0];
    double v = ir_element(d->op, in);
    return can_hold(d->type, &v, 1) ? ir_emit_constant(s, d->type, d->shape, &v, true)
                                    : NULL;
}

static ir_node *fold_all(ir_simplifier *s, const ir_draft *d)
{
    const ir_node n = {.op = d->op,
                       .type = d->type,
                       .shape = d->shape,
                       .n_in = d->n_in,
                       .in = (ir_node **)(uintptr_t)d->in,
                       .attr = d->attr};
    int64_t count = ir_count(d->shape), at = count;
    if (count > FOLD_VALUES || ir_flops(&n) > FOLD_FLOPS) return NULL;
    for (int i = 0; i < d->n_in; i++) {
        int64_t more = ir_count(d->in[i]->shape);
        if (more > FOLD_VALUES || (at += more) > 8 * FOLD_VALUES) return NULL;
    }
    double *room = mem_take(mem_mul((size_t)at, sizeof *room)), *next = room + count;
    const double **in = mem_take((size_t)d->n_in * sizeof *in);
    ir_node *out = NULL;
    if (room && in) {
        for (int i = 0; i < d->n_in; i++) {
            const ir_node *x = d->in[i];
            in[i] = next;
            ir_eval_leaf(x, NULL, next);
            next += ir_count(x->shape);
        }
        if (ir_eval_node(&n, in, room) == OK && can_hold(d->type, room, count)) {
            bool uniform = true;
            for (int64_t i = 1; i < count && uniform; i++)
                uniform = memcmp(&room[i], room, sizeof *room) == 0;
            out = ir_emit_constant(s, d->type, d->shape, room, uniform);
        }
    }
    mem_drop(in);
    mem_drop(room);
    return out;
}

static ir_node *fold(ir_simplifier *s, const ir_draft *d)
{
    bool uniform = true;
    if (d->type == IR_BOOL) return NULL; /* programs have no bool constants */
    for (int i = 0; i < d->n_in; i++) {
        if (d->in[i]->op != IR_constant) return NULL;
        uniform &= d->in[i]->uniform;
    }
    const ir_node *x = d->in[0];
    if (is_layout(d->op) && (uniform || d->op == IR_reshape))
        return ir_emit_constant(s, d->type, d->shape, x->data, x->uniform);
    if (uniform && ir_is_each(d->op)) return fold_uniform(s, d);
    return fold_all(s, d);
}

/* ---- emitting ---- */
ir_node *ir_emit(ir_simplifier *s, ir_draft d)
{
    if (s->g->failed != OK) return NULL;
    rc failed = ir_draft_check(&d);
    if (failed != OK) return ir_give_up(s->g, failed);
    uint64_t hash = hash_draft(&d);
    ir_node *n = find(s, hash, &d);
    if (n) return n;
    n = ir_rewrite(s, &d);
    if (!n) n = fold(s, &d);
    if (n || s->g->failed != OK) return n;
    return remember(s, hash, ir_append(s->g, &d));
}

static ir_node *emit_old(ir_simplifier *s, const ir_node *n, ir_node **map, ir_node **in)
{
    s->g->scope = ir_scope_text(s->g, n->scope);
    s->g->backward = n->backward;
    s->g->made_for = n->made_for;
    if (n->op == IR_constant)
        return ir_emit_constant(s, n->type, n->shape, n->data, n->uniform);
    if (n->n_in == 0) return ir_leaf(s->g, n->op, n->name, n->type, n->shape);
    for (int i = 0; i < n->n_in; i++) in[i] = map[n->in[i]->id];
    ir_draft d = {.op = n->op,
                  .n_in = n->n_in,
                  .in = in,
                  .attr = n->attr,
                  .type = n->type,
                  .shape = n->shape};
    return ir_emit(s, d);
}

/* Renumber the nodes some output needs; the others get id -1. */
static rc drop_dead(ir_graph *g)
{
    char *live = ir_mark_live(g);
    int kept = 0;
    if (!live) return E_MEMORY;
    for (int i = 0; i < g->n_nodes; i++) {
        ir_node *n = g->nodes[i];
        n->id = live[i] ? kept : -1;
        if (live[i]) g->nodes[kept++] = n;
    }
    g->n_nodes = kept;
    mem_drop(live);
    return ir_rename(g);
}

static rc simplify(const ir_graph *old, ir_simplifier *s, ir_node **map, const char *live)
{
    int most = 1;
    for (int i = 0; i < old->n_nodes; i++)
        if (old->nodes[i]->n_in > most) most = old->nodes[i]->n_in;
    ir_node **in = mem_take(mem_mul((size_t)most, sizeof(ir_node *)));
    if (!in) return E_MEMORY;
    for (int i = 0; i < old->n_nodes && s->g->failed == OK; i++)
        if (live[i]) map[i] = emit_old(s, old->nodes[i], map, in);
    mem_drop(in);
    for (int i = 0; i < old->n_outputs; i++)
        ir_output(s->g, old->outputs[i].name, map[old->outputs[i].node->id]);
    ir_scope(s->g, old->scope, old->backward);
    s->g->made_for = old->made_for;
    TRY(ir_rc(s->g));
    TRY(drop_dead(s->g));
    for (int i = 0; i < old->n_nodes; i++)
        if (map[i] && map[i]->id < 0) map[i] = NULL;
    return OK;
}

rc ir_simplify(const ir_graph *g, ir_graph **out, ir_node ***map_out)
{
    TRY(ir_rc(g));
    ir_simplifier s = {.g = ir_new()};
    if (!s.g) return E_MEMORY;
    ir_node **map = arena_array(s.g->mem, (size_t)g->n_nodes + 1, sizeof *map);
    char *live = ir_mark_live(g);
    rc result = map && live ? simplify(g, &s, map, live) : E_MEMORY;
    mem_drop(live);
    if (result != OK) {
        ir_free(s.g);
        return result;
    }
    *out = s.g;
    if (map_out) *map_out = map;
    return OK;
}
