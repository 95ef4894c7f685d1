/* graph.c - a graph's memory: nodes, names, scopes, outputs, first failure.
 *
 * A builder calls constructors without looking and asks ir_rc once. So the
 * first failure and its text are kept here: later ones, which only follow from
 * it, change nothing. Big constants with equal contents share one copy, since
 * 28 layers ask for the same causal mask. */
#include "ir/table.h"

#include <string.h>
#include <xxhash.h>

ir_graph *ir_new(void)
{
    arena *mem = arena_new();
    if (!mem) return NULL;
    ir_graph *g = arena_take(mem, sizeof *g);
    ir_memory *memory = arena_take(mem, sizeof *memory);
    if (!g || !memory) {
        arena_free(mem);
        return NULL;
    }
    *g = (ir_graph){.mem = mem, .scope = "", .memory = memory};
    return g;
}

void ir_free(ir_graph *g)
{
    if (g) arena_free(g->mem); /* g itself lies in it */
}

rc ir_rc(const ir_graph *g)
{
    if (!g) return E_MEMORY;
    return g->failed == OK ? OK : err_restore(&g->memory->error);
}

ir_node *ir_give_up(ir_graph *g, rc code)
{
    if (g->failed != OK) return NULL;
    if (g->scope[0]) err_while(code, "building %s", g->scope);
    g->failed = code;
    err_save(code, &g->memory->error);
    return NULL;
}

static uint64_t hash_text(const char *text)
{
    return XXH3_64bits(text, strlen(text));
}

const char *ir_scope_text(ir_graph *g, const char *scope)
{
    ir_table *t = &g->memory->scopes;
    uint64_t hash = hash_text(scope);
    char *known;
    if (!scope[0]) return "";
    for (size_t at = 0; (known = ir_table_next(t, hash, &at));)
        if (strcmp(known, scope) == 0) return known;
    known = arena_text(g->mem, scope);
    if (!known || ir_table_put(t, g->mem, hash, known) != OK) {
        ir_give_up(g, E_MEMORY);
        return "";
    }
    return known;
}

void ir_scope(ir_graph *g, const char *scope, bool backward)
{
    g->scope = ir_scope_text(g, scope);
    g->backward = backward;
}

/* ---- names ---- */
static ir_node *find_leaf(const ir_graph *g, const char *name, uint64_t hash)
{
    ir_node *n;
    for (size_t at = 0; (n = ir_table_next(&g->memory->names, hash, &at));)
        if (strcmp(n->name, name) == 0) return n;
    return NULL;
}

static int find_output(const ir_graph *g, const char *name, uint64_t hash)
{
    const char *known;
    for (size_t at = 0; (known = ir_table_next(&g->memory->outputs, hash, &at));) {
        if (strcmp(known, name) != 0) continue;
        for (int i = 0; i < g->n_outputs; i++)
            if (g->outputs[i].name == known) return i;
    }
    return -1;
}

ir_node *ir_find(const ir_graph *g, const char *name)
{
    uint64_t hash = hash_text(name);
    ir_node *n = find_leaf(g, name, hash);
    if (n) return n;
    int i = find_output(g, name, hash);
    return i < 0 ? NULL : g->outputs[i].node;
}

/* A fresh, non-empty name, copied; NULL and the graph's failure if not. */
static const char *claim_name(ir_graph *g, const char *what, const char *name)
{
    if (!name || !name[0]) {
        ir_give_up(g, err_fail(E_SHAPE, "%s: a name is wanted", what));
        return NULL;
    }
    if (ir_find(g, name)) {
        ir_give_up(g, err_fail(E_SHAPE, "%s: the name '%s' is taken", what, name));
        return NULL;
    }
    const char *copy = arena_text(g->mem, name);
    if (!copy) ir_give_up(g, E_MEMORY);
    return copy;
}

/* ---- nodes ---- */
static void *grow(ir_graph *g, void *old, int n, int *cap, size_t size)
{
    if (n < *cap) return old;
    int bigger = *cap ? 2 * *cap : 64;
    void *p = arena_array(g->mem, (size_t)bigger, size);
    if (!p) {
        ir_give_up(g, E_MEMORY);
        return NULL;
    }
    if (n) memcpy(p, old, (size_t)n * size);
    *cap = bigger;
    return p;
}

ir_node *ir_append(ir_graph *g, const ir_draft *d)
{
    ir_node *n = arena_take(g->mem, sizeof *n);
    ir_node **in = d->n_in ? arena_array(g->mem, (size_t)d->n_in, sizeof *in) : NULL;
    if (!n || (d->n_in && !in)) return ir_give_up(g, E_MEMORY);
    ir_node **nodes = grow(g, g->nodes, g->n_nodes, &g->cap, sizeof *nodes);
    if (!nodes) return NULL;
    g->nodes = nodes;
    if (in) memcpy(in, d->in, (size_t)d->n_in * sizeof *in);
    *n = (ir_node){.op = d->op,
                   .id = g->n_nodes,
                   .type = d->type,
                   .shape = d->shape,
                   .n_in = d->n_in,
                   .in = in,
                   .attr = d->attr,
                   .scope = g->scope,
                   .backward = g->backward,
                   .made_for = g->made_for == IR_input ? d->op : g->made_for};
    g->nodes[g->n_nodes++] = n;
    return n;
}

ir_node *ir_leaf(ir_graph *g, ir_op op, const char *name, ir_type t, ir_shape s)
{
    ir_draft d = {.op = op, .type = t, .shape = s};
    if (g->failed != OK) return NULL;
    for (int i = s.rank < 0 ? 0 : s.rank; i < IR_RANK; i++) d.shape.d[i] = 0;
    rc failed = ir_draft_check(&d);
    if (failed != OK)
        return ir_give_up(g, name ? err_while(failed, "making '%s'", name) : failed);
    if (op == IR_constant) return ir_append(g, &d);
    const char *own = claim_name(g, ir_op_name(op), name);
    ir_node *n = own ? ir_append(g, &d) : NULL;
    if (!n) return NULL;
    n->name = own;
    if (ir_table_put(&g->memory->names, g->mem, hash_text(own), n) != OK)
        return ir_give_up(g, E_MEMORY);
    return n;
}

ir_node *ir_input(ir_graph *g, const char *name, ir_type t, ir_shape s)
{
    return ir_leaf(g, IR_input, name ? name : "", t, s);
}

ir_node *ir_param(ir_graph *g, const char *name, ir_shape s)
{
    return ir_leaf(g, IR_param, name ? name : "", IR_FP16, s);
}

void ir_output(ir_graph *g, const char *name, ir_node *n)
{
    if (g->failed != OK) return;
    if (!n) {
        ir_give_up(g, err_fail(E_SHAPE, "output '%s': no value given", name ? name : ""));
        return;
    }
    const char *own = claim_name(g, "output", name);
    if (!own) return;
    void *p = grow(g, g->outputs, g->n_outputs, &g->cap_outputs, sizeof *g->outputs);
    if (!p) return;
    g->outputs = p;
    if (ir_table_put(&g->memory->outputs, g->mem, hash_text(own),
                     (void *)(uintptr_t)own) != OK) {
        ir_give_up(g, E_MEMORY);
        return;
    }
    g->outputs[g->n_outputs].node = n;
    g->outputs[g->n_outputs++].name = own;
    if (!n->name) n->name = own;
}

char *ir_mark_live(const ir_graph *g)
{
    char *live = mem_take((size_t)g->n_nodes + 1);
    if (!live) return NULL;
    for (int i = 0; i < g->n_outputs; i++) live[g->outputs[i].node->id] = 1;
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int k = 0; live[i] && k < g->nodes[i]->n_in; k++)
            live[g->nodes[i]->in[k]->id] = 1;
    return live;
}

rc ir_rename(ir_graph *g)
{
    g->memory->names = (ir_table){0};
    for (int i = 0; i < g->n_nodes; i++) {
        ir_node *n = g->nodes[i];
        if (n->op != IR_input && n->op != IR_param) continue;
        TRY(ir_table_put(&g->memory->names, g->mem, hash_text(n->name), n));
    }
    return OK;
}

/* ---- constants ---- */
static bool all_equal(const double *v, size_t n)
{
    /* as bytes, so that -0 and NaN keep their bits */
    for (size_t i = 1; i < n; i++)
        if (memcmp(&v[i], &v[0], sizeof *v) != 0) return false;
    return true;
}

/* The graph's copy of n values: one for all constants of these contents. */
static const double *keep_values(ir_graph *g, const double *v, size_t n)
{
    ir_table *t = &g->memory->constants;
    size_t bytes = n * sizeof *v;
    uint64_t hash = XXH3_64bits(v, bytes);
    const ir_node *known;
    for (size_t at = 0; (known = ir_table_next(t, hash, &at));)
        if ((size_t)ir_count(known->shape) == n && memcmp(known->data, v, bytes) == 0)
            return known->data;
    double *copy = arena_array(g->mem, n, sizeof *v);
    if (copy) memcpy(copy, v, bytes);
    return copy;
}

ir_node *ir_const(ir_graph *g, ir_type t, ir_shape s, const double *v)
{
    ir_node *n = ir_leaf(g, IR_constant, NULL, t, s);
    if (!n) return NULL;
    size_t count = (size_t)ir_count(s);
    n->uniform = all_equal(v, count);
    n->data = keep_values(g, v, n->uniform ? 1 : count);
    if (!n->data) return ir_give_up(g, E_MEMORY);
    if (!n->uniform && ir_table_put(&g->memory->constants, g->mem,
                                    XXH3_64bits(v, count * sizeof *v), n) != OK)
        return ir_give_up(g, E_MEMORY);
    return n;
}

ir_node *ir_fill(ir_graph *g, ir_type t, ir_shape s, double v)
{
    ir_node *n = ir_leaf(g, IR_constant, NULL, t, s);
    if (!n) return NULL;
    n->uniform = true;
    n->data = keep_values(g, &v, 1);
    return n->data ? n : ir_give_up(g, E_MEMORY);
}

ir_node *ir_scalar(ir_graph *g, double v)
{
    return ir_fill(g, IR_FP16, ir_s1(1), v);
}
