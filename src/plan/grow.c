/* grow.c - how far a program may grow.
 *
 * Nodes are offered in order. After each the measures of a program that ended
 * there are known: chained ops, surfaces, weight blobs, baked bytes. The
 * program ends after the last node at which all were within limits; surfaces
 * may be too many in between, since a value stops being an output once all its
 * readers are inside. */
#include "plan/grow.h"

enum { CHAIN_MAX = 383, SURFACES_MAX = 128, BLOBS_MAX = 15 };
/* A port whose rows are padded takes a slice before and a concat after. */
enum { CHAIN_OF_PORTS = 2, BLOB_LEAST = 65 };
static const double BAKED_MAX = 2e9;

rc grow_new(planner *b, const int *n_readers, grow *out)
{
    size_t n = (size_t)b->g->n_nodes + 1;
    *out = (grow){.b = b, .n_readers = n_readers};
    out->depth = arena_array(b->mem, n, sizeof *out->depth);
    out->seen = arena_array(b->mem, n, sizeof *out->seen);
    out->left = arena_array(b->mem, n, sizeof *out->left);
    out->imports = arena_array(b->mem, PLAN_LEAVES, sizeof *out->imports);
    out->leaf = arena_array(b->mem, PLAN_LEAVES, sizeof *out->leaf);
    bool ok = out->depth && out->seen && out->left && out->imports && out->leaf;
    return ok ? OK : E_MEMORY;
}

void grow_start(grow *w, int program)
{
    w->program = program + 1; /* marks of this program; 0 is no program's */
    w->n_imports = w->open = w->blobs = 0;
    w->baked = 0;
    w->broken = -1;
}

/* Constants and params that the node brings in, through what is made again. */
static void take_constants(grow *w, const ir_node *n)
{
    planner *b = w->b;
    if (w->seen[n->id] == w->program) return;
    w->seen[n->id] = w->program;
    if (n->op == IR_constant) w->blobs += ir_count(n->shape) >= BLOB_LEAST;
    if (n->op == IR_param && b->p->options.weights == PLAN_BAKED) {
        w->blobs += ir_count(n->shape) >= BLOB_LEAST;
        w->baked += 2.0 * (double)ir_count(n->shape);
    }
    if (b->info[n->id].at != PLACE_FREE) return;
    for (int i = 0; i < n->n_in; i++) take_constants(w, n->in[i]);
}

/* Length of the longest chain in this program that ends in n. */
static int depth_of(const grow *w, const ir_node *n)
{
    int deepest = 0;
    const node_info *at = &w->b->info[n->id];
    if (at->at == PLACE_ENGINE) return at->item == w->program - 1 ? w->depth[n->id] : 0;
    if (at->at != PLACE_FREE) return 0;
    for (int i = 0; i < n->n_in; i++) {
        int d = depth_of(w, n->in[i]);
        if (d > deepest) deepest = d;
    }
    return deepest + (n->op != IR_reshape && n->op != IR_constant);
}

/* New inputs; and values of this program that have lost a reader outside. */
static void take_imports(grow *w, const ir_node *n)
{
    planner *b = w->b;
    int count = 0;
    for (int i = 0; i < n->n_in; i++) count = plan_leaves(b, n->in[i], w->leaf, count);
    for (int i = 0; i < count; i++) {
        const ir_node *base = w->leaf[i].base;
        if (b->info[base->id].at == PLACE_ENGINE &&
            b->info[base->id].item == w->program - 1) {
            if (--w->left[base->id] == 0) w->open--; /* its last reader is inside */
            continue;
        }
        if (base->op == IR_param && b->p->options.weights == PLAN_BAKED) continue;
        int k = 0;
        while (k < w->n_imports && k < PLAN_LEAVES &&
               !plan_view_eq(w->imports[k], w->leaf[i]))
            k++;
        if (k < w->n_imports) continue;
        if (w->n_imports < PLAN_LEAVES) w->imports[w->n_imports] = w->leaf[i];
        w->n_imports++;
    }
}

static bool within(grow *w, const ir_node *n)
{
    const plan *p = w->b->p;
    w->broken = -1;
    if (w->depth[n->id] > CHAIN_MAX - CHAIN_OF_PORTS && plan_keeps(p, RULE_graph_depth))
        w->broken = RULE_graph_depth;
    else if (w->n_imports + w->open > SURFACES_MAX && plan_keeps(p, RULE_surface_slots))
        w->broken = RULE_surface_slots;
    else if (w->blobs > BLOBS_MAX && plan_keeps_costly(p, RULE_blob_count))
        w->broken = RULE_blob_count;
    else if (w->baked > BAKED_MAX && plan_keeps(p, RULE_baked_bytes))
        w->broken = RULE_baked_bytes;
    return w->broken < 0;
}

bool grow_take(grow *w, const ir_node *n)
{
    int deepest = 0;
    for (int i = 0; i < n->n_in; i++) {
        int d = depth_of(w, n->in[i]);
        if (d > deepest) deepest = d;
        take_constants(w, n->in[i]);
    }
    take_imports(w, n);
    w->depth[n->id] = deepest + 1;
    w->left[n->id] = w->n_readers[n->id];
    w->open++;
    return within(w, n);
}
