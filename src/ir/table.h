/* table.h - the tables of this room, for its own files.
 *
 * ops.def and attrs.def become two arrays here: ir_ops[] (one row an op, with
 * its shape rule) and ir_attrs[] (one row an attribute, with its place in
 * ir_attr). Whatever walks "all ops" or "all attributes" walks these, so a new
 * row is a new op everywhere, and a missing function does not compile. */
#ifndef IR_TABLE_H
#define IR_TABLE_H

#include "ir/ir.h"

/* gelu's tanh form: 0.5 x (1 + tanh(A (x + B x^3))), A = sqrt(2/pi).
 * Source: Hendrycks & Gimpel 2016. */
#define IR_GELU_A 0.79788456080286535588
#define IR_GELU_B 0.044715

/* Bounds that keep every size computation inside int64. */
#define IR_MAX_DIM ((int64_t)INT32_MAX)
#define IR_MAX_COUNT ((int64_t)1 << 40)
#define IR_MAX_STEP (1 << 20) /* stride, padding, dilation */

/* ---- attributes ---- */
typedef enum {
#define ATTR(field, kind, many) IR_ATTR_##field,
#include "ir/attrs.def"
#undef ATTR
    IR_ATTRS
} ir_attr_id;

typedef enum { IR_KIND_INT, IR_KIND_LONG, IR_KIND_FLAG, IR_KIND_REAL } ir_kind;
enum { IR_MANY_RANK = -1, IR_MANY_AXES = -2 };

typedef struct {
    const char *name;
    ir_kind kind;
    int many;      /* values, or IR_MANY_* */
    int cap;       /* room in ir_attr */
    size_t offset; /* in ir_attr */
} ir_attr_row;
extern const ir_attr_row ir_attrs[IR_ATTRS];

/* Values of attribute `row` of a node whose first operand has rank `rank`. */
int ir_attr_many(const ir_attr_row *row, const ir_attr *a, int rank);
/* One value as the widest type of its kind. */
int64_t ir_attr_int(const ir_attr_row *row, const ir_attr *a, int i);
double ir_attr_real(const ir_attr_row *row, const ir_attr *a);
void ir_attr_set_int(const ir_attr_row *row, ir_attr *a, int i, int64_t v);
void ir_attr_set_real(const ir_attr_row *row, ir_attr *a, double v);
/* A copy with every field the set does not name left zero, so that equal nodes
 * have equal attributes. */
ir_attr ir_attr_only(unsigned set, const ir_attr *a, int rank);
bool ir_attr_equal(const ir_attr *a, const ir_attr *b); /* every field */

#define AT(field) (1u << IR_ATTR_##field)
enum {
    AT_none = 0,
    AT_axis = AT(axis),
    AT_reduce = AT(axes) | AT(keep),
    AT_matmul = AT(tx) | AT(ty),
    AT_conv = AT(stride) | AT(pad) | AT(dilation) | AT(groups),
    AT_conv_d = AT_conv | AT(in_shape),
    AT_perm = AT(perm),
    AT_slice = AT(begin) | AT(size),
    AT_split = AT(axis) | AT(index) | AT(parts),
    AT_reps = AT(reps),
    AT_norm = AT(axis) | AT(eps),
    AT_rope = AT(heads) | AT(head_dim) | AT(batch) | AT(theta) | AT(interleaved) |
              AT(inverse),
    AT_attention = AT(heads) | AT(kv_heads) | AT(head_dim) | AT(batch) | AT(scale),
    AT_attention_d = AT_attention | AT(index),
    AT_vocab = AT(vocab),
    AT_scale = AT(scale)
};

/* ---- operations ---- */
/* A node before it exists: what a shape rule reads and completes. On entry
 * `shape` is the target of a reshape and `type` that of a cast; a rule sets
 * both to the result's. */
typedef struct {
    ir_op op;
    int n_in;
    ir_node *const *in;
    ir_attr attr;
    ir_type type;
    ir_shape shape;
} ir_draft;

typedef struct {
    const char *name, *mil;
    int n_in; /* -1: one or more */
    bool dialect;
    unsigned attrs; /* bits AT(field) */
    rc (*rule)(ir_draft *d);
} ir_op_row;
extern const ir_op_row ir_ops[IR_OPS];

#define OP(name, mil, args, dialect, attrs, shape, ...) rc ir_rule_##shape(ir_draft *d);
#include "ir/ops.def"
#undef OP

/* Complete a draft: arity, attributes, shape, type. Every node passes here,
 * when it is made and again in ir_verify. */
rc ir_draft_check(ir_draft *d);
/* E_SHAPE "op: ..." */
rc ir_bad(const ir_draft *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Rank 1..IR_RANK, every size in range, no overflow; names `what` on failure. */
rc ir_shape_check(const char *what, ir_shape s);
/* NumPy broadcasting; false when the shapes do not meet. */
bool ir_broadcast(ir_shape a, ir_shape b, ir_shape *out);
static inline bool ir_is_real(ir_type t)
{
    return t == IR_FP16 || t == IR_FP32;
}

/* ---- a graph's private memory ---- */
/* Open addressing; keys are 64-bit hashes, equal hashes are told apart by the
 * caller walking ir_table_next. Grows in the arena. */
typedef struct {
    uint64_t hash;
    void *item;
} ir_slot;
typedef struct {
    ir_slot *slot;
    size_t cap, n;
} ir_table;
/* Items with this hash, one a call; *at starts at 0. NULL at the end. */
void *ir_table_next(const ir_table *t, uint64_t hash, size_t *at);
rc ir_table_put(ir_table *t, arena *mem, uint64_t hash, void *item);

typedef struct ir_memory {
    ir_table names;     /* ir_node, by name: inputs and params */
    ir_table outputs;   /* ir_node, by output name */
    ir_table constants; /* ir_node with data, by content */
    ir_table scopes;    /* char, by text */
    ir_table masks;     /* ir_node, causal masks by size */
    err_saved error;    /* text of the first failure */
} ir_memory;

/* Remember the failure `code`, whose chain is current, unless an earlier one
 * is known. Always NULL. */
ir_node *ir_give_up(ir_graph *g, rc code);
/* A checked draft becomes a node. */
ir_node *ir_append(ir_graph *g, const ir_draft *d);
/* Leaves with everything given; `v` is NULL unless a constant. */
ir_node *ir_leaf(ir_graph *g, ir_op op, const char *name, ir_type t, ir_shape s);
/* By node id: 1 for every node an output needs. Free with mem_drop. */
char *ir_mark_live(const ir_graph *g);
/* Make names findable again after nodes were taken out. */
rc ir_rename(ir_graph *g);
/* The name of a scope as the graph keeps it (equal text, equal pointer). */
const char *ir_scope_text(ir_graph *g, const char *scope);

/* ---- attention in parts (parts.c) ---- */
/* [1, heads*hd, 1, B*S] <-> [B, kv_heads, hd, r*S] */
ir_node *ir_to_heads(ir_graph *g, ir_node *x, const ir_attr *a, int heads);
ir_node *ir_from_heads(ir_graph *g, ir_node *x, const ir_attr *a, int heads);

/* ---- the oracle's loops (eval*.c) ---- */
/* in[i] and out hold ir_count values; out is zeroed. */
typedef rc (*ir_eval_loop)(const ir_node *n, const double *const *in, double *out);
#define OP(name, mil, args, dialect, attrs, shape, eval, ...) \
    rc ir_eval_##eval(const ir_node *n, const double *const *in, double *out);
#include "ir/ops.def"
#undef OP
/* Is op elementwise? */
bool ir_is_each(ir_op op);
/* One element of an elementwise op, from one of each operand. */
double ir_element(ir_op op, const double in[3]);
/* Row-major strides of s; `like` rank axes, 0 where s has size 1 (broadcast). */
void ir_strides(ir_shape s, int rank, int64_t out[IR_RANK]);

#endif
