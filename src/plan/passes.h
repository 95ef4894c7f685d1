/* passes.h - what the passes of the planner hand to each other.
 *
 * One `planner` lives as long as one plan_build. Passes fill in more of it:
 *
 *   legal   given graph            -> p->legal, all in ops that can be placed
 *   place   p->legal               -> info[] of each node: where, and why
 *   window  p->legal, info[]       -> p->legal with factors, p->window (if asked)
 *   split   info[]                 -> items[]: programs-to-be and host nodes,
 *                                     in an order in which they can run
 *   share   items[]                -> p->programs[], ports of each item
 *   pack    items[], ports         -> p->buffers[], p->steps[], slots, waits
 *
 * A node's value is stored once, under its *base*: a reshape, and a slice that
 * takes whole rows from the outermost axis, are only other names for memory
 * that exists already, so they are never stored and every program makes its
 * own copy of such a node. The same holds for constants and for bool values,
 * which may not leave a program. */
#ifndef PLAN_PASSES_H
#define PLAN_PASSES_H

#include "plan/plan.h"

/* GIVEN: input or param. FREE: made again wherever it is needed (constants,
 * views, bool). SUNK: only adds up into a gradient, so its operands are summed
 * there directly. JOINED: a concat whose parts are read one by one. */
typedef enum {
    PLACE_GIVEN,
    PLACE_FREE,
    PLACE_ENGINE,
    PLACE_HOST,
    PLACE_SUNK,
    PLACE_JOINED
} place_at;

/* Largest axis of a product that stays in one piece: what every family takes,
 * and small enough that the pieces of a classifier are tens of MB. */
enum { PLAN_CHUNK = 16384 };

typedef struct {
    place_at at;
    const char *cause;
    bool grad_only;         /* reaches outputs named "grad:..." only */
    bool parts_do;          /* every reader takes it in parts */
    const ir_node *partner; /* cross_entropy and its gradient, when one step does both */
    bool pieces;            /* cross_entropy_dx: stored and read in row pieces */
    bool moved;             /* HOST: could be the engine's; runs with others like it */
    bool on_surface;        /* a host value that must lie on a surface */
    bool read_outside;      /* ENGINE, moved: by other items or as an output */
    bool handed_out;        /* FREE, yet an output: the host makes it once */
    int n_uses;             /* by nodes and outputs */
    int sink;               /* index in sinks[], -1 = none */
    int item;               /* index in items[] of what computes it, -1 before split */
} node_info;

/* Memory of a value: `count` elements of base from element `at` on. */
typedef struct {
    const ir_node *base;
    int64_t at, count;
} plan_view;

/* "grad:PARAM" gets `node` added from element `at` on. */
typedef struct {
    const ir_node *node;
    const char *param;
    int64_t at;
    bool stored; /* the node's value is stored, then added */
    const char *cause;
} grad_sink;

/* A value that crosses into or out of a program. */
typedef struct {
    plan_view view;
    dev_shape shape;     /* as the program sees it, and its allocation */
    int64_t row, stride; /* rows of the value in it */
    int order;           /* of first use */
    bool baked;          /* a param given as a constant */
} plan_port;

typedef struct {
    bool engine;
    int n_nodes;
    const ir_node **nodes; /* in order; host: one, unless they were moved */
    const char *scope;
    bool backward;
    int n_in, n_out;
    plan_port *in, *out; /* engine, in port order; host: only the views, and
                            out only of what was moved */
    int program;
    plan_host host; /* host: what to do */
    int sink;       /* host: index in sinks[], -1 = none */
    const char *cause;
} plan_item;

/* One of the plans that are weighed (weigh.c). */
typedef struct {
    plan_dw dw;               /* never AUTO */
    int layers;               /* a program; 1 ... */
    int tiles;                /* of queries, of each attention; 0, 1: whole */
    plan_recompute recompute; /* AUTO: NONE */
    bool scale_operands; /* exponent windows: also where a weight or the loss could */
    bool loss_on_engine;
    unsigned on_host;    /* parts that are the host's: bits 1 << plan_movable */
    plan_packing packed; /* AUTO: NONE */
} plan_variant;

typedef struct {
    plan *p;
    arena *mem;              /* the plan's */
    const dev_profile *chip; /* NULL when unknown */
    plan_variant variant;
    ir_graph *g;     /* p->legal */
    node_info *info; /* by node id */
    int n_items, cap_items;
    plan_item *items;
    int n_sinks, cap_sinks;
    grad_sink *sinks;
    int cap_programs, cap_buffers, cap_notes;
    plan_view *views;                 /* of each buffer: what it holds */
    int *forms;                       /* window: by node; NULL = off */
    const char *moved[PLAN_MOVABLES]; /* causes */
    plan_kind *kinds; /* by node: of products on the engine; NULL before */
    int cap_kinds;
} planner;

/* One plan, without weighing it against others. */
rc plan_build_one(const ir_graph *given, const dev_caps *caps, const plan_options *o,
                  plan_variant v, plan **out);
/* Not a failure of ours, but a plan that may not be: then the text of the error. */
bool plan_refused(const plan_options *o, rc r);
/* The best of one weight policy (weigh.c), which is not AUTO. */
rc plan_weigh(const ir_graph *given, const dev_caps *caps, const plan_options *o,
              plan **out);
/* "layer.3" -> 3; -1 for other scopes. */
int plan_layer_of(const char *scope);
/* ---- legal ---- */
rc plan_legal(planner *b);
/* As the variant says; E_RULE where a rule forbids it. Neither AUTO nor NONE. */
rc plan_pack_products(planner *b);
/* Has a legal graph, not packed, products that could be? */
rc plan_packable(const ir_graph *legal, bool *any);
/* Is n weights one below the other, made by packing? */
bool plan_joins_weights(const planner *b, const ir_node *n);
/* ---- place ---- */
rc plan_place(planner *b);
/* Which movable part is this a piece of? -1 = none. */
int plan_movable_of(const ir_node *n);
bool plan_moves(const planner *b, const ir_node *n); /* to the host, by the variant */
/* ---- window: after a first place, which is done again for the new graph ---- */
rc plan_window_pass(planner *b);
bool plan_is_peaks(const char *output); /* "peaks:SCOPE" */
bool plan_is_loss(const ir_node *n);    /* reads logits, in parts if it must */
/* Can the host do this loss where its logits lie? */
bool plan_loss_fits(const planner *b, const ir_node *n);
/* Weight gradients, and how they reach the gradients (gradients.c). */
rc plan_place_gradients(planner *b);
bool plan_is_gradient(const char *output); /* "grad:NAME" */
/* ---- recompute: at the end of place ---- */
rc plan_place_again(planner *b);
/* ---- products: what each of b->g is to the model ---- */
rc plan_name_products(planner *b);
/* Those of item go to the program made of it, or found equal. */
rc plan_take_products(planner *b, const plan_item *item, plan_program *q);
/* By node of g, the gradient it is, or is a term of: "grad:NAME", else NULL. */
void plan_find_gradients(const planner *b, const ir_graph *g, const char **of);
/* ---- split ---- */
rc plan_split(planner *b);
/* ---- share ---- */
rc plan_share(planner *b);
/* Find the ports of every item, and name them (ports.c). */
rc plan_find_ports(planner *b);
void plan_port_name(planner *b, bool output, int i, char name[16]);
/* The graph of one item's program; baked params are w000, w001, ... in the
 * order of the item's inputs. */
rc plan_build_program(planner *b, const plan_item *item, ir_graph **out);
/* The graph of a host item that is evaluated: inputs v0, v1, ..., output y. */
rc plan_build_eval(planner *b, const plan_item *item, ir_graph **out);
/* ---- resident: gradients stay on the engine; then a plan to use them ---- */
rc plan_resident_split(planner *b);
rc plan_resident_update(planner *b);
/* ---- limits ---- */
rc plan_limits(const planner *b); /* after plan_account has counted */
/* ---- pack ---- */
rc plan_pack(planner *b);
rc plan_sizes(planner *b);
rc plan_waits(planner *b);
rc plan_slots(planner *b);
rc plan_account(planner *b);

/* ---- shared questions ---- */
/* Is a rule to be kept: it holds for the device (or may hold) and no test has
 * switched its guard off? */
/* Room for one more element in an array of the arena. */
rc plan_grow(arena *mem, void **array, int n, int *cap, size_t size);
bool plan_keeps(const plan *p, dev_rule r);
/* A rule that costs something: kept where undisputed, or if asked for. */
bool plan_keeps_costly(const plan *p, dev_rule r);
/* Would the rule be broken (`needed`), and is it kept? Counted in p->kept. */
bool plan_guards(planner *b, dev_rule r, bool needed);
bool plan_guard_off(const plan *p, dev_rule r); /* a test said so */
rc plan_note(planner *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool plan_is_view(const planner *b, const ir_node *n);
plan_view plan_view_of(const planner *b, const ir_node *n);
/* Rows of a piece when an axis of n > PLAN_CHUNK is cut: all pieces but the
 * last are equal, so that they share programs. */
int64_t plan_piece(int64_t n);
/* The parts, in order, of a JOINED node, or its one view. At most `max`
 * written; returns how many there are. */
int plan_parts_of(const planner *b, const ir_node *n, plan_view *out, int max);
/* The stored values that operand n is made from: its own, or, for a FREE or
 * JOINED node, those of its operands; none for constants. Each once, added to
 * the `count` already in out. */
enum { PLAN_LEAVES = 192 };
int plan_leaves(const planner *b, const ir_node *n, plan_view *out, int count);
bool plan_view_eq(plan_view a, plan_view b);
/* Axes before `axis` are all 1: pieces along it follow each other in memory. */
bool plan_outermost(ir_shape s, int axis);
/* What the port of a value of this shape looks like: rank 4, last axis a
 * multiple of 32, its own bytes. *row, *stride: length and distance of rows
 * of the value in it (equal unless padded). */
void plan_port_shape(planner *b, ir_shape s, dev_shape *out, int64_t *row,
                     int64_t *stride);
/* Distance of the rows (last axis) of a value as it lies on its surface, read in
 * the shape of node n; -1 if padding falls elsewhere than between such rows. */
int64_t plan_row_stride(const planner *b, const ir_node *n);
/* The same for the gradient of logits [1,V,1,T], -1 if its pieces differ. */
int64_t plan_pieces_stride(const planner *b, const ir_node *n);
size_t plan_packed_bytes(const dev_shape *s); /* without what only pads the allocation */
/* The shape that a stored view has: whole values keep theirs, parts are rows. */
ir_shape plan_view_shape(plan_view v);

/* Append an item (copied). */
rc plan_item_add(planner *b, const plan_item *item);

#endif
