/* products.c - what each product on the engine is to the model, in words that are
 * the same for all layers, so that counts of a training can be added up by them.
 *
 * A product with a weight is called by the weight: "q_proj"; with several that are
 * joined, by all: "q_proj+k_proj+v_proj". Of attention, the
 * product that a softmax reads is "scores", and the one that reads a softmax
 * "averages". Products with a constant only add up (norms and losses do): "sums"; but
 * that of a loss with its targets' code is "targets", and those that a program is given
 * besides, to lay out rows that are padded, are "padding". What hands a
 * gradient back has the name of the product it belongs to: of Y = A B these are dA = dY
 * B^T and dB = A^T dY, so each still has one operand of the forward product, and that
 * tells which it was. */
#include <ctype.h>
#include <string.h>
#include "plan/passes.h"

const char *plan_way_name(plan_product way)
{
    static const char *const names[] = {
        [PLAN_FORWARD] = "forward", [PLAN_DX] = "dx", [PLAN_DW] = "dw"};
    return names[way];
}

void plan_find_gradients(const planner *b, const ir_graph *g, const char **of)
{
    for (int i = 0; i < g->n_outputs; i++)
        if (plan_is_gradient(g->outputs[i].name))
            of[g->outputs[i].node->id] = g->outputs[i].name;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const ir_node *n = g->nodes[i];
        bool passes = n->op == IR_reshape || b->info[i].at == PLACE_SUNK;
        for (int j = 0; of[i] && passes && j < n->n_in; j++) of[n->in[j]->id] = of[i];
    }
}

static bool is_product(const ir_node *n)
{
    return n->op == IR_matmul || n->op == IR_conv;
}

static bool only_moves(const ir_node *n)
{
    return n->op == IR_reshape || n->op == IR_transpose || n->op == IR_slice ||
           n->op == IR_tile;
}

/* What n is a view, a copy or a multiple of, NULL if it is none. */
static const ir_node *under(const ir_node *n)
{
    if (only_moves(n)) return n->in[0];
    if (n->op != IR_mul) return NULL;
    if (ir_count(n->in[1]->shape) == 1) return n->in[0];
    return ir_count(n->in[0]->shape) == 1 ? n->in[1] : NULL;
}

static const ir_node *origin(const ir_node *n)
{
    for (const ir_node *x; (x = under(n)) != NULL;) n = x;
    return n;
}

/* "model.layers.3.self_attn.q_proj.weight" -> "q_proj": the last word that is
 * neither a number nor says that it is a weight. */
static const char *short_name(arena *mem, const char *param)
{
    const char *word = param;
    size_t n = strlen(param);
    for (const char *s = param; *s;) {
        size_t len = strcspn(s, ".");
        bool plain = len && !isdigit((unsigned char)*s) &&
                     !(len == 6 && strncmp(s, "weight", 6) == 0);
        if (plain) word = s, n = len;
        s += len + (s[len] == '.');
    }
    return arena_textn(mem, word, n);
}

/* Of a weight, or of weights that are joined; NULL if n is none. */
static const char *weight_name(const planner *b, const ir_node *n)
{
    n = origin(n);
    if (n->op == IR_param) return short_name(b->mem, n->name);
    if (!plan_joins_weights(b, n)) return NULL;
    const char *name = weight_name(b, n->in[0]);
    for (int i = 1; name && i < n->n_in; i++) {
        const char *next = weight_name(b, n->in[i]);
        name = next ? arena_printf(b->mem, "%s+%s", name, next) : NULL;
    }
    return name;
}

/* ---- naming ---- */
typedef struct {
    planner *b;
    const ir_graph *g;
    const char **gradient; /* by node */
    bool *scores;          /* by node: a softmax reads it */
    const char **reader;   /* by node: the forward product that has it as operand */
} naming;

static rc start(planner *b, naming *k)
{
    size_t n = (size_t)b->g->n_nodes + 1;
    *k = (naming){.b = b, .g = b->g};
    k->gradient = arena_array(b->mem, n, sizeof *k->gradient);
    k->scores = arena_array(b->mem, n, sizeof *k->scores);
    k->reader = arena_array(b->mem, n, sizeof *k->reader);
    b->kinds = arena_array(b->mem, n, sizeof *b->kinds);
    return k->gradient && k->scores && k->reader && b->kinds ? OK : E_MEMORY;
}

/* A window may take a factor out of a gradient on the engine. */
static void find_gradients(naming *k)
{
    plan_find_gradients(k->b, k->g, k->gradient);
    for (int i = k->g->n_nodes - 1; i >= 0; i--) {
        const ir_node *x = under(k->g->nodes[i]);
        if (x && k->gradient[i]) k->gradient[x->id] = k->gradient[i];
    }
}

/* Through what stands between a product and its softmax: shapes and a mask. */
static void find_scores(naming *k)
{
    for (int i = k->g->n_nodes - 1; i >= 0; i--) {
        const ir_node *n = k->g->nodes[i];
        bool on = n->op == IR_softmax;
        on |= k->scores[i] &&
              (only_moves(n) || n->op == IR_add || n->op == IR_mul || n->op == IR_select);
        for (int j = 0; on && j < n->n_in; j++) k->scores[n->in[j]->id] = true;
    }
}

static bool only_sums(const ir_node *n)
{
    return origin(n->in[0])->op == IR_constant || origin(n->in[1])->op == IR_constant;
}

static const char *name_of(const naming *k, const ir_node *n)
{
    arena *mem = k->b->mem;
    const ir_node *x[2] = {origin(n->in[0]), origin(n->in[1])};
    const char *gradient = k->gradient[n->id];
    for (int j = 0; j < 2; j++)
        if (x[j]->op == IR_target_code) return "targets";
    if (only_sums(n)) return "sums";
    if (gradient) return short_name(mem, gradient + strlen("grad:"));
    for (int j = 0; j < 2; j++) {
        const char *name = weight_name(k->b, x[j]);
        if (name) return name;
    }
    if (!n->backward && k->scores[n->id]) return "scores";
    for (int j = 0; j < 2; j++)
        if (x[j]->op == IR_softmax) return "averages";
    for (int j = 0; n->backward && j < 2; j++)
        if (k->reader[x[j]->id]) return k->reader[x[j]->id];
    return "other";
}

rc plan_name_products(planner *b)
{
    naming k;
    TRY(start(b, &k));
    find_gradients(&k);
    find_scores(&k);
    for (int i = 0; i < b->g->n_nodes; i++) {
        const ir_node *n = b->g->nodes[i];
        if (!is_product(n)) continue;
        plan_kind *kind = &b->kinds[i];
        bool dw = k.gradient[i] && !only_sums(n);
        kind->way = !n->backward ? PLAN_FORWARD : dw ? PLAN_DW : PLAN_DX;
        if (!(kind->name = name_of(&k, n))) return E_MEMORY;
        for (int j = 0; !n->backward && j < 2; j++)
            k.reader[origin(n->in[j])->id] = kind->name;
    }
    return OK;
}

/* ---- programs ---- */
static rc number_of(planner *b, const char *name, plan_product way, int *out)
{
    plan *p = b->p;
    for (*out = 0; *out < p->n_kinds; ++*out)
        if (p->kinds[*out].way == way && strcmp(p->kinds[*out].name, name) == 0)
            return OK;
    TRY(plan_grow(b->mem, (void **)&p->kinds, p->n_kinds, &b->cap_kinds,
                  sizeof *p->kinds));
    p->kinds[p->n_kinds++] = (plan_kind){name, way};
    return OK;
}

/* Equal programs are nearly always the same part of equal layers. Counts of one
 * that is not cannot be told apart, and the name says so: "k_proj or q_proj". */
static rc take_one(planner *b, const plan_kind *kind, bool known, int *at)
{
    const plan_kind *had = known ? &b->p->kinds[*at] : NULL;
    if (had && strcmp(had->name, kind->name) == 0) return OK;
    const char *name = kind->name;
    if (had && strstr(had->name, kind->name)) return OK;
    if (had) name = arena_printf(b->mem, "%s or %s", had->name, kind->name);
    return name ? number_of(b, name, had ? had->way : kind->way, at) : E_MEMORY;
}

rc plan_take_products(planner *b, const plan_item *item, plan_program *q)
{
    bool known = q->products != NULL;
    int n = 0, made = 0;
    for (int i = 0; i < q->graph->n_nodes; i++) made += is_product(q->graph->nodes[i]);
    if (!known) q->products = arena_array(b->mem, (size_t)made + 1, sizeof *q->products);
    if (!q->products) return E_MEMORY;
    for (int i = 0; i < item->n_nodes; i++) {
        const ir_node *node = item->nodes[i];
        if (!is_product(node)) continue;
        if (n < made) TRY(take_one(b, &b->kinds[node->id], known, &q->products[n]));
        n++;
    }
    q->n_products = made;
    /* Behind those come what lays out padded rows where there is no concat. */
    plan_kind padding = {"padding", item->backward ? PLAN_DX : PLAN_FORWARD};
    for (int i = n; i < made; i++) TRY(take_one(b, &padding, known, &q->products[i]));
    if (n <= made) return OK;
    return err_fail(E_FAILED, "program %s has %d products, made of %d", q->name, made, n);
}
