/* legal_pack.c - products of one value with several weights, as one product.
 *
 *   forward    y_i = W_i x              [W_0; W_1; ...] x, cut into y_0, y_1, ...
 *   backward   dx = sum of W_i^T d_i    [W_0; W_1; ...]^T [d_0; d_1; ...]
 *
 * Queries, keys and values are such products, and gate and up. It saves operations,
 * and in the backward pass the sums of fp16 values, which then are made in the
 * accumulator. What it costs is putting values elsewhere: weights next to each other
 * (nothing if they are constants), the gradients likewise, and the result apart.
 *
 * The joined weight is a value that each program makes of its own weights (PLACE_FREE),
 * so surfaces, staging and the optimizer know nothing of it. Not done with exponent
 * windows, where each weight has a factor of its own, nor with weights that stay on
 * the engine, whose surfaces the update writes (plan.c). */
#include "plan/legal.h"

#include <string.h>

enum { MOST = 16 }; /* products in one, and terms in a sum */

/* The param that n is, whole and as a matrix [1,1,O,I]; NULL if it is none. */
static const ir_node *weight_of(const ir_node *n)
{
    ir_shape s = n->shape;
    if (s.rank != 4 || s.d[0] != 1 || s.d[1] != 1) return NULL;
    while (n->op == IR_reshape) n = n->in[0];
    return n->op == IR_param ? n : NULL;
}

static bool is_forward(const ir_node *n)
{
    return n->op == IR_matmul && !n->backward && !n->attr.tx && !n->attr.ty &&
           weight_of(n->in[0]);
}

static bool is_backward(const ir_node *n)
{
    return n->op == IR_matmul && n->backward && n->attr.tx && !n->attr.ty &&
           weight_of(n->in[0]);
}

static bool same_place(const ir_node *x, const ir_node *y)
{
    return strcmp(x->scope, y->scope) == 0 && x->backward == y->backward;
}

/* ---- which belong together ---- */
typedef struct {
    const ir_graph *g;
    int *uses;
    const ir_node **user; /* the last one that reads it */
} reading;

static rc read_graph(const ir_graph *g, arena *mem, reading *r)
{
    size_t n = (size_t)g->n_nodes + 1;
    *r = (reading){.g = g};
    r->uses = arena_array(mem, n, sizeof *r->uses);
    r->user = arena_array(mem, n, sizeof *r->user);
    if (!r->uses || !r->user) return E_MEMORY;
    for (int i = 0; i < g->n_nodes; i++)
        for (int j = 0; j < g->nodes[i]->n_in; j++) {
            int id = g->nodes[i]->in[j]->id;
            r->uses[id]++;
            r->user[id] = g->nodes[i];
        }
    for (int i = 0; i < g->n_outputs; i++) r->uses[g->outputs[i].node->id] += 2;
    return OK;
}

/* rest: what else a sum is of. */
typedef struct {
    int n, n_rest;
    const ir_node *product[MOST], *rest[MOST];
    int64_t rows; /* of all weights */
} group;

static void add_product(group *k, const ir_node *p)
{
    k->rows += p->in[0]->shape.d[2];
    if (k->n < MOST) k->product[k->n] = p;
    k->n++;
}

/* Few enough, and no longer than an axis may be: no rule cuts the product again. */
static bool worth_it(const group *k)
{
    return k->n > 1 && k->n + k->n_rest <= MOST && k->rows <= PLAN_CHUNK;
}

/* All products of one value with weights of which n is the first. */
static bool forward_group(const reading *r, const ir_node *n, group *k)
{
    *k = (group){0};
    if (!is_forward(n)) return false;
    for (int i = 0; i < r->g->n_nodes; i++) {
        const ir_node *m = r->g->nodes[i];
        if (!is_forward(m) || m->in[1] != n->in[1] || !same_place(m, n)) continue;
        if (i < n->id) return false;
        add_product(k, m);
    }
    return worth_it(k);
}

/* Is n added up further, and read by nothing else? */
static bool inner_sum(const reading *r, const ir_node *n)
{
    const ir_node *by = r->user[n->id];
    return r->uses[n->id] == 1 && by->op == IR_add && ir_shape_eq(by->shape, n->shape) &&
           same_place(by, n);
}

/* A term that is a product with a weight, and nothing but a term of this sum. */
static const ir_node *product_of(const reading *r, const ir_node *root,
                                 const ir_node *term)
{
    const ir_node *n = term;
    for (; n->op == IR_reshape; n = n->in[0])
        if (r->uses[n->id] != 1) return NULL;
    return is_backward(n) && r->uses[n->id] == 1 && same_place(n, root) ? n : NULL;
}

static void add_terms(const reading *r, const ir_node *n, const ir_node *root, group *k)
{
    bool sum = n->op == IR_add && ir_shape_eq(n->in[0]->shape, n->shape) &&
               ir_shape_eq(n->in[1]->shape, n->shape);
    if (sum && (n == root || inner_sum(r, n))) {
        add_terms(r, n->in[0], root, k);
        add_terms(r, n->in[1], root, k);
        return;
    }
    const ir_node *p = product_of(r, root, n);
    if (p && (!k->n || ir_shape_eq(p->shape, k->product[0]->shape))) {
        add_product(k, p);
        return;
    }
    if (k->n_rest < MOST) k->rest[k->n_rest] = n;
    k->n_rest++;
}

/* The sum that ends in n. */
static bool backward_group(const reading *r, const ir_node *n, group *k)
{
    *k = (group){0};
    if (n->op != IR_add || !n->backward || inner_sum(r, n)) return false;
    add_terms(r, n, n, k);
    return worth_it(k);
}

rc plan_packable(const ir_graph *g, bool *any)
{
    arena *mem = arena_new();
    reading r;
    group k;
    *any = false;
    rc e = mem ? read_graph(g, mem, &r) : E_MEMORY;
    for (int i = 0; e == OK && i < g->n_nodes; i++)
        *any |= forward_group(&r, g->nodes[i], &k) || backward_group(&r, g->nodes[i], &k);
    arena_free(mem);
    return e;
}

/* ---- making them one ---- */
typedef struct {
    legal l;
    ir_node **map; /* by old node */
} packing;

/* A weight may come later in the old graph than the first that reads it. */
static ir_node *weight_again(packing *k, const ir_node *n)
{
    ir_node *x = NULL;
    if (k->map[n->id]) return k->map[n->id];
    if (n->op == IR_reshape && !(x = weight_again(k, n->in[0]))) return NULL;
    return k->map[n->id] = legal_copy(&k->l, n, &x);
}

static ir_node *joined_weight(packing *k, const group *g)
{
    ir_node *w[MOST];
    for (int i = 0; i < g->n; i++)
        if (!(w[i] = weight_again(k, g->product[i]->in[0]))) return NULL;
    return legal_join(&k->l, g->n, w, 2);
}

static void pack_forward(packing *k, const group *g)
{
    int64_t at = 0;
    ir_node *w = joined_weight(k, g), *x = k->map[g->product[0]->in[1]->id];
    ir_node *y = w ? ir_matmul(k->l.to, w, x, false, false) : NULL;
    for (int i = 0; y && i < g->n; i++) {
        int64_t rows = g->product[i]->shape.d[2];
        k->map[g->product[i]->id] = legal_cut(&k->l, y, 2, at, rows);
        at += rows;
    }
}

static void pack_backward(packing *k, const group *g, const ir_node *root)
{
    ir_graph *to = k->l.to;
    to->made_for = g->product[0]->made_for;
    ir_node *d[MOST], *w = joined_weight(k, g);
    for (int i = 0; i < g->n; i++) d[i] = k->map[g->product[i]->in[1]->id];
    ir_node *y = w ? ir_matmul(to, w, legal_join(&k->l, g->n, d, 2), true, false) : NULL;
    y = y ? ir_reshape(to, y, root->shape) : NULL;
    to->made_for = root->made_for;
    for (int i = 0; y && i < g->n_rest; i++) y = ir_add(to, y, k->map[g->rest[i]->id]);
    k->map[root->id] = y;
}

/* Terms and sums that are not read any more are dropped when the graph is simplified. */
static rc rewrite(planner *b, const ir_graph *from, ir_graph *to)
{
    packing k = {.l = {.b = b, .to = to}};
    reading r;
    group g;
    bool forward = b->variant.packed == PLAN_PACK_ALL;
    k.map = arena_array(to->mem, (size_t)from->n_nodes + 1, sizeof *k.map);
    if (!k.map) return E_MEMORY;
    TRY(read_graph(from, to->mem, &r));
    for (int i = 0; i < from->n_nodes; i++) {
        const ir_node *n = from->nodes[i];
        ir_node **in = arena_array(to->mem, (size_t)n->n_in + 1, sizeof *in);
        if (!in) return E_MEMORY;
        ir_scope(to, n->scope, n->backward);
        to->made_for = n->made_for;
        if (k.map[i]) continue;
        for (int j = 0; j < n->n_in; j++) in[j] = k.map[n->in[j]->id];
        if (forward && forward_group(&r, n, &g)) pack_forward(&k, &g);
        else if (backward_group(&r, n, &g)) pack_backward(&k, &g, n);
        else k.map[i] = legal_copy(&k.l, n, in);
        if (!k.map[i]) return ir_rc(to) != OK ? ir_rc(to) : E_MEMORY;
    }
    for (int i = 0; i < from->n_outputs; i++)
        ir_output(to, from->outputs[i].name, k.map[from->outputs[i].node->id]);
    return ir_rc(to);
}

rc plan_pack_products(planner *b)
{
    ir_graph *packed, *to;
    if (plan_keeps_costly(b->p, RULE_concat_refused))
        return err_fail(E_RULE, "rule concat_refused: weights cannot be joined");
    if (!(to = ir_new())) return E_MEMORY;
    rc r = rewrite(b, b->g, to);
    if (r == OK) r = ir_simplify(to, &packed, NULL);
    ir_free(to);
    if (r != OK) return r;
    ir_free(b->g);
    b->g = b->p->legal = packed;
    return OK;
}

bool plan_joins_weights(const planner *b, const ir_node *n)
{
    if (b->variant.packed <= PLAN_PACK_NONE || n->op != IR_concat) return false;
    for (int i = 0; i < n->n_in; i++)
        if (!weight_of(n->in[i]) && !plan_joins_weights(b, n->in[i])) return false;
    return true;
}
