/* split.c - a list of nodes becomes a list of items: programs-to-be, and host
 * nodes between them.
 *
 * List scheduling: take the first engine node that can run, and with it every
 * node of the same scope and direction that can run once those before it have;
 * what the host does waits until that program is closed. A layer's forward
 * nodes thus make one program and its backward nodes another, which is what
 * `share` needs: equal layers, equal programs. What was moved to the host makes
 * items in the same way. */
#include "plan/grow.h"

#include <string.h>

typedef struct {
    planner *b;
    int *open;                   /* by node: operands (stored values) not yet made */
    int *first_user, *next_user; /* chains of users, by edge */
    int *user;
    int *n_readers; /* by node: users, outputs and sums that read it */
    grow size;
} schedule;

/* Which node's run makes this stored value? A fused loss comes with its
 * gradient. */
static const ir_node *maker(const planner *b, const ir_node *n)
{
    const ir_node *partner = b->info[n->id].partner;
    return partner && n->op == IR_cross_entropy ? partner : n;
}

static bool runs(const planner *b, const ir_node *n)
{
    const node_info *at = &b->info[n->id];
    if (at->at == PLACE_FREE) return at->handed_out;
    return (at->at == PLACE_ENGINE || at->at == PLACE_HOST) && maker(b, n) == n &&
           at->n_uses > 0;
}

rc plan_item_add(planner *b, const plan_item *item)
{
    TRY(plan_grow(b->mem, (void **)&b->items, b->n_items, &b->cap_items,
                  sizeof *b->items));
    b->items[b->n_items++] = *item;
    return OK;
}

/* ---- who waits for whom ---- */
/* Called twice: to count the edges, then with room for them. A node that reads
 * two parts of a value has two edges, and loses both when it is made. */
static rc count_open(schedule *s, int *edges)
{
    planner *b = s->b;
    plan_view *leaf = arena_array(b->mem, PLAN_LEAVES, sizeof *leaf);
    if (!leaf) return E_MEMORY;
    *edges = 0;
    for (int i = 0; i < b->g->n_nodes; i++) {
        const ir_node *n = b->g->nodes[i];
        if (!runs(b, n)) continue;
        int count = 0;
        for (int j = 0; j < n->n_in; j++) count = plan_leaves(b, n->in[j], leaf, count);
        if (count > PLAN_LEAVES)
            return err_fail(E_RULE, "%s of '%s' reads %d values, more than %d",
                            ir_op_name(n->op), n->scope, count, (int)PLAN_LEAVES);
        for (int j = 0; j < count; j++) {
            const ir_node *from = maker(b, leaf[j].base);
            if (b->info[from->id].at == PLACE_GIVEN) continue;
            if (s->user) {
                s->n_readers[leaf[j].base->id]++;
                s->user[*edges] = i;
                s->next_user[*edges] = s->first_user[from->id];
                s->first_user[from->id] = *edges;
            }
            if (s->user) s->open[i]++;
            ++*edges;
        }
    }
    return OK;
}

static void count_reader(schedule *s, const ir_node *n)
{
    plan_view leaf[PLAN_LEAVES];
    int count = plan_leaves(s->b, n, leaf, 0);
    for (int i = 0; i < count && i < PLAN_LEAVES; i++) s->n_readers[leaf[i].base->id]++;
}

static rc find_users(schedule *s)
{
    planner *b = s->b;
    int edges;
    TRY(count_open(s, &edges));
    size_t nodes = (size_t)b->g->n_nodes + 1, n = (size_t)edges + 1;
    s->open = arena_array(b->mem, nodes, sizeof *s->open);
    s->first_user = arena_array(b->mem, nodes, sizeof *s->first_user);
    s->next_user = arena_array(b->mem, n, sizeof *s->next_user);
    s->user = arena_array(b->mem, n, sizeof *s->user);
    s->n_readers = arena_array(b->mem, nodes, sizeof *s->n_readers);
    if (!s->open || !s->first_user || !s->next_user || !s->user || !s->n_readers)
        return E_MEMORY;
    for (size_t i = 0; i < nodes; i++) s->first_user[i] = -1;
    TRY(count_open(s, &edges));
    for (int i = 0; i < b->n_sinks; i++)
        if (b->sinks[i].stored) count_reader(s, b->sinks[i].node);
    for (int i = 0; i < b->g->n_outputs; i++)
        if (!plan_is_gradient(b->g->outputs[i].name))
            count_reader(s, b->g->outputs[i].node);
    return grow_new(b, s->n_readers, &s->size);
}

/* Its users wait for one thing less (by = 1), or more again (-1). */
static void made(schedule *s, const ir_node *n, int by)
{
    for (int e = s->first_user[n->id]; e >= 0; e = s->next_user[e])
        s->open[s->user[e]] -= by;
}

static bool ready(const schedule *s, const ir_node *n)
{
    const node_info *at = &s->b->info[n->id];
    return runs(s->b, n) && at->item < 0 && s->open[n->id] == 0;
}

/* ---- host items ---- */
static plan_host host_work(const planner *b, const ir_node *n)
{
    const node_info *at = &b->info[n->id];
    if (n->op == IR_embedding_dw && at->sink >= 0) return PLAN_HOST_EMBEDDING_DW;
    if (n->op == IR_matmul && at->sink >= 0) return PLAN_HOST_MATMUL;
    if (n->op == IR_embedding && n->in[0]->op == IR_param && n->in[1]->op == IR_input)
        return PLAN_HOST_EMBEDDING;
    if (plan_is_loss(n) && plan_loss_fits(b, n)) return PLAN_HOST_LOSS;
    return PLAN_HOST_EVAL;
}

static rc add_host_item(schedule *s, const ir_node *n, const ir_node **nodes, int count)
{
    planner *b = s->b;
    node_info *at = &b->info[n->id];
    plan_item item = {.n_nodes = count,
                      .nodes = nodes,
                      .scope = n->scope,
                      .backward = n->backward,
                      .program = -1,
                      .host = host_work(b, n),
                      .sink = at->sink,
                      .cause = at->cause};
    if (!item.cause) item.cause = "a constant is handed out";
    return plan_item_add(b, &item);
}

static rc add_host(schedule *s, const ir_node *n)
{
    node_info *at = &s->b->info[n->id];
    const ir_node **self = arena_array(s->b->mem, 1, sizeof *self);
    if (!self) return E_MEMORY;
    self[0] = n;
    TRY(add_host_item(s, n, self, 1));
    at->item = s->b->n_items - 1;
    if (at->partner) s->b->info[at->partner->id].item = at->item;
    made(s, n, 1);
    return OK;
}

/* Values that are stored first and then added to a gradient. */
static rc add_stored_sinks(schedule *s, bool *done)
{
    planner *b = s->b;
    for (int i = 0; i < b->n_sinks; i++) {
        grad_sink *k = &b->sinks[i];
        const ir_node *base = plan_view_of(b, k->node).base;
        const node_info *at = &b->info[base->id];
        if (!k->stored || done[i] || (at->at != PLACE_GIVEN && at->item < 0)) continue;
        plan_item item = {.n_nodes = 1,
                          .nodes = &k->node,
                          .scope = k->node->scope,
                          .program = -1,
                          .backward = true,
                          .host = PLAN_HOST_ADD,
                          .sink = i,
                          .cause = k->cause};
        TRY(plan_item_add(b, &item));
        done[i] = true;
    }
    return OK;
}

/* What sums straight into a gradient waits for nobody and makes nobody wait. */
static bool runs_with_others(const planner *b, const ir_node *n)
{
    return b->info[n->id].moved && b->info[n->id].sink < 0;
}

/* All that can be done now: host nodes may follow from one another. */
static rc add_host_nodes(schedule *s, bool *sinks_done)
{
    planner *b = s->b;
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < b->g->n_nodes; i++) {
            const ir_node *n = b->g->nodes[i];
            if (b->info[i].at == PLACE_ENGINE || runs_with_others(b, n) || !ready(s, n))
                continue;
            TRY(add_host(s, n));
            again = true;
        }
    }
    return add_stored_sinks(s, sinks_done);
}

/* ---- programs ---- */
int plan_layer_of(const char *scope)
{
    static const char stem[] = "layer.";
    size_t at = sizeof stem - 1, digits;
    int layer = 0;
    if (strncmp(scope, stem, at) != 0) return -1;
    digits = strspn(scope + at, "0123456789");
    if (!digits || digits > 6 || scope[at + digits]) return -1;
    for (; scope[at]; at++) layer = 10 * layer + (scope[at] - '0');
    return layer;
}

static bool same_key(const planner *b, const ir_node *x, const ir_node *y)
{
    int layer = plan_layer_of(x->scope), k = b->variant.layers;
    if (x->backward != y->backward) return false;
    if (k > 1 && layer >= 0) {
        int other = plan_layer_of(y->scope);
        return other >= 0 && other / k == layer / k;
    }
    return strcmp(x->scope, y->scope) == 0;
}

/* What was moved to the host: all of the scope and direction of `first` that can run
 * from there on, as in a program. */
static rc add_moved(schedule *s, const ir_node *first)
{
    planner *b = s->b;
    int n = 0, all = b->g->n_nodes;
    const ir_node **nodes = arena_array(b->mem, (size_t)(all - first->id), sizeof *nodes);
    if (!nodes) return E_MEMORY;
    for (int i = first->id; i < all; i++) {
        const ir_node *node = b->g->nodes[i];
        if (!runs_with_others(b, node) || !ready(s, node) || !same_key(b, node, first))
            continue;
        nodes[n++] = node;
        b->info[i].item = b->n_items;
        made(s, node, 1);
    }
    return add_host_item(s, first, nodes, n);
}

/* Nodes of the same scope and direction that can run in one program from
 * `first` on, as many as the limits allow. *broken: the rule that ended it, or
 * -1. */
static int gather(schedule *s, const ir_node *first, const ir_node **nodes, int *broken)
{
    planner *b = s->b;
    int n = 0, fits = 0;
    *broken = -1;
    grow_start(&s->size, b->n_items);
    for (int i = first->id; i < b->g->n_nodes; i++) {
        const ir_node *node = b->g->nodes[i];
        if (b->info[i].at != PLACE_ENGINE || !ready(s, node) || !same_key(b, node, first))
            continue;
        nodes[n++] = node;
        b->info[i].item = b->n_items;
        made(s, node, 1);
        if (grow_take(&s->size, node)) fits = n;
        else *broken = s->size.broken;
    }
    if (fits == n) *broken = -1;
    if (fits == 0) fits = 1; /* one node alone is as small as it gets */
    for (; n > fits; n--) {  /* the rest is for the next program */
        b->info[nodes[n - 1]->id].item = -1;
        made(s, nodes[n - 1], -1);
    }
    return n;
}

static rc add_program(schedule *s, const ir_node *first)
{
    planner *b = s->b;
    const char *where = *first->scope ? first->scope : "the graph";
    const char *way = first->backward ? ", backward" : "", *cause;
    int broken;
    if (b->variant.layers > 1 && plan_layer_of(first->scope) >= 0)
        where = arena_printf(b->mem, "%s and its neighbours, %d layers", where,
                             b->variant.layers);
    if (!where) return E_MEMORY;
    const ir_node **nodes = arena_array(b->mem, (size_t)(b->g->n_nodes - first->id),
                                        sizeof *nodes);
    if (!nodes) return E_MEMORY;
    int n = gather(s, first, nodes, &broken);
    if (broken < 0) {
        cause = arena_printf(b->mem, "nodes of %s%s that need nothing in between", where,
                             way);
    } else {
        cause = arena_printf(b->mem, "as many nodes of %s%s as rule %s allows", where,
                             way, dev_rule_at((dev_rule)broken)->id);
        plan_guards(b, (dev_rule)broken, true);
    }
    if (!cause) return E_MEMORY;
    plan_item item = {.engine = true,
                      .n_nodes = n,
                      .nodes = nodes,
                      .scope = first->scope,
                      .backward = first->backward,
                      .program = -1,
                      .sink = -1,
                      .cause = cause};
    return plan_item_add(b, &item);
}

/* A constant or bool that is an output has to be put somewhere once. */
static void hand_out(planner *b, const ir_node *n)
{
    node_info *at = &b->info[plan_view_of(b, n).base->id];
    if (at->at == PLACE_FREE) at->handed_out = true;
}

static void hand_out_outputs(planner *b)
{
    for (int i = 0; i < b->n_sinks; i++) hand_out(b, b->sinks[i].node);
    for (int i = 0; i < b->g->n_outputs; i++)
        if (!plan_is_gradient(b->g->outputs[i].name)) hand_out(b, b->g->outputs[i].node);
}

/* Left to be put into a program, or into what the host does in its place. */
static bool waits(const planner *b, const ir_node *n)
{
    bool here = b->info[n->id].at == PLACE_ENGINE || runs_with_others(b, n);
    return here && b->info[n->id].item < 0 && runs(b, n);
}

/* Host work that only the host does goes first, as soon as it can; then a program, or
 * what was moved, from the first node on that can run: parts of a gradient that read
 * values of the forward pass alone can run long before they are wanted. And again. */
rc plan_split(planner *b)
{
    schedule s = {.b = b};
    bool *sinks_done = arena_array(b->mem, (size_t)b->n_sinks + 1, sizeof *sinks_done);
    if (!sinks_done) return E_MEMORY;
    hand_out_outputs(b);
    TRY(find_users(&s));
    for (int from = 0;;) {
        ir_node *const *n = b->g->nodes;
        TRY(add_host_nodes(&s, sinks_done));
        while (from < b->g->n_nodes && !waits(b, n[from])) from++;
        int next = from;
        while (next < b->g->n_nodes && !(waits(b, n[next]) && ready(&s, n[next]))) next++;
        if (next == b->g->n_nodes) break;
        if (b->info[next].at == PLACE_ENGINE) TRY(add_program(&s, n[next]));
        else TRY(add_moved(&s, n[next]));
    }
    for (int i = 0; i < b->g->n_nodes; i++)
        if (runs(b, b->g->nodes[i]) && b->info[i].item < 0)
            return err_fail(E_FAILED, "planner: %s of '%s' is never ready",
                            ir_op_name(b->g->nodes[i]->op), b->g->nodes[i]->scope);
    return OK;
}
