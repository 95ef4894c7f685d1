/* ir.h - what a computation is: a graph of operations on shaped values.
 *
 * One IR with two levels: any op of ops.def, and the device dialect, the
 * subset a device program may hold (ir_verify_dialect checks it). A node is
 * one operation with one result. Nodes are made by constructors (ir_add, ...)
 * that check shapes; a constructor given a NULL operand, or one that fails,
 * returns NULL and the graph remembers the first failure (ir_rc), so a
 * builder checks once at the end. Nodes are numbered in the order they are
 * made, which is always a valid order to compute them.
 *
 * Layout. Sequences are channel-first: [1, C, 1, T], T = batch * seq columns,
 * column b*seq + s. This is the engine's [1,C,1,S] and needs no transposes
 * around linear layers: y[1,O,1,T] = reshape(matmul(W[1,1,O,I], x[1,1,I,T])). */
#ifndef IR_IR_H
#define IR_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { IR_RANK = 5 };
typedef enum {
#define OP(name, ...) IR_##name,
#include "ir/ops.def"
#undef OP
    IR_OPS
} ir_op;
/* IR_FP16 is the type of device values; IR_FP32 of host values such as the
 * loss; ids are IR_INT32. The oracle computes all real types in double. */
typedef enum { IR_FP16, IR_FP32, IR_INT32, IR_BOOL, IR_TYPES } ir_type;

typedef struct {
    int rank;
    int64_t d[IR_RANK];
} ir_shape;
static inline ir_shape ir_s1(int64_t a)
{
    return (ir_shape){1, {a}};
}
static inline ir_shape ir_s2(int64_t a, int64_t b)
{
    return (ir_shape){2, {a, b}};
}
static inline ir_shape ir_s4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (ir_shape){4, {a, b, c, d}};
}
int64_t ir_count(ir_shape s); /* elements; checked on creation */
bool ir_shape_eq(ir_shape a, ir_shape b);
const char *ir_shape_text(char out[64], ir_shape s); /* "[1,768,1,256]" */

/* Attributes: only the fields an op names are used; the rest stay zero. */
typedef struct {
    int axis;                  /* softmax, concat, split, norms; always >= 0 */
    int n_axes, axes[IR_RANK]; /* reductions, ascending */
    bool keep;                 /* reductions keep the axis as 1 */
    bool tx, ty;               /* matmul */
    int perm[IR_RANK];         /* transpose */
    int64_t begin[IR_RANK], size[IR_RANK]; /* slice */
    int64_t reps[IR_RANK];                 /* tile */
    int index, parts;                      /* split; index: attention_dx, the operand */
    int stride[2], pad[4], dilation[2], groups; /* conv: pad top bottom left right */
    int64_t in_shape[4]; /* conv_dx: shape of x; conv_dw: of the weight */
    double eps;          /* norms */
    int heads, kv_heads, head_dim, batch; /* attention, rope */
    double scale;                         /* attention: on q.k */
    double theta;                         /* rope base */
    bool interleaved;                     /* rope: pairs (2i,2i+1), else (i, i+hd/2) */
    bool inverse;                         /* rope: rotate by minus the angle */
    int64_t vocab;                        /* embedding_dw: rows of the table */
} ir_attr;

/* Where a node belongs: a scope id (layer, block) that plan/split cuts on, and
 * whether it is of the backward pass. Set by ir_scope() for nodes made after. */
typedef struct ir_node ir_node;
struct ir_node {
    ir_op op;
    int id; /* index in graph->nodes */
    ir_type type;
    ir_shape shape;
    int n_in;
    ir_node **in;
    ir_attr attr;
    const char *name;  /* inputs, params, outputs; else NULL */
    const char *scope; /* e.g. "layer.3.attn"; never NULL, "" = none */
    bool backward;
    ir_op made_for;     /* op of the given graph: its own, or the one whose gradient or
                           rewriting it is part of */
    const double *data; /* constant: ir_count(shape) values (or 1 if uniform) */
    bool uniform;       /* constant: one value for all elements */
};

typedef struct ir_graph ir_graph;
struct ir_graph {
    arena *mem;
    ir_node **nodes;
    int n_nodes, cap;
    struct {
        ir_node *node;
        const char *name;
    } * outputs;
    int n_outputs, cap_outputs;
    const char *scope;
    bool backward;  /* given to new nodes */
    ir_op made_for; /* the same; IR_input: each is made for itself */
    rc failed;
    struct ir_memory *memory; /* names, shared constants, first error (table.h) */
};

ir_graph *ir_new(void); /* owns an arena */
void ir_free(ir_graph *g);
rc ir_rc(const ir_graph *g); /* first failure of a constructor */
void ir_scope(ir_graph *g, const char *scope, bool backward); /* copied */
void ir_output(ir_graph *g, const char *name, ir_node *n);
ir_node *ir_find(const ir_graph *g,
                 const char *name); /* input/param/output by name, or NULL */

/* ---- constructors ---- */
ir_node *ir_input(ir_graph *g, const char *name, ir_type t, ir_shape s);
ir_node *ir_param(ir_graph *g, const char *name, ir_shape s);           /* fp16 typed */
ir_node *ir_const(ir_graph *g, ir_type t, ir_shape s, const double *v); /* copied */
ir_node *ir_fill(ir_graph *g, ir_type t, ir_shape s, double v);
ir_node *ir_scalar(ir_graph *g, double v); /* fp16, shape [1] */
ir_node *ir_binary(ir_graph *g, ir_op op, ir_node *x,
                   ir_node *y);                       /* add..pow; NumPy broadcasting */
ir_node *ir_unary(ir_graph *g, ir_op op, ir_node *x); /* abs..gelu */
ir_node *ir_add(ir_graph *g, ir_node *x, ir_node *y);
ir_node *ir_sub(ir_graph *g, ir_node *x, ir_node *y);
ir_node *ir_mul(ir_graph *g, ir_node *x, ir_node *y);
ir_node *ir_div(ir_graph *g, ir_node *x, ir_node *y);
ir_node *ir_softmax(ir_graph *g, ir_node *x, int axis);
ir_node *ir_reduce(ir_graph *g, ir_op op, ir_node *x, int n_axes, const int *axes,
                   bool keep);
ir_node *ir_matmul(ir_graph *g, ir_node *x, ir_node *y, bool tx, bool ty);
ir_node *ir_conv(ir_graph *g, ir_node *x, ir_node *w, const int stride[2],
                 const int pad[4], const int dilation[2], int groups);
ir_node *ir_reshape(ir_graph *g, ir_node *x, ir_shape s);
ir_node *ir_transpose(ir_graph *g, ir_node *x, const int *perm);
ir_node *ir_slice(ir_graph *g, ir_node *x, const int64_t *begin, const int64_t *size);
ir_node *ir_concat(ir_graph *g, int n, ir_node *const *x, int axis);
ir_node *ir_split(ir_graph *g, ir_node *x, int axis, int parts, int index);
ir_node *ir_tile(ir_graph *g, ir_node *x, const int64_t *reps);
ir_node *ir_cast(ir_graph *g, ir_node *x, ir_type t);
ir_node *ir_select(ir_graph *g, ir_node *c, ir_node *a, ir_node *b);
ir_node *ir_greater_equal(ir_graph *g, ir_node *x, ir_node *y);
ir_node *ir_rms_norm(ir_graph *g, ir_node *x, ir_node *w, int axis,
                     double eps); /* w broadcasts: [1,C,1,1] */
ir_node *ir_rms_scale(ir_graph *g, ir_node *x, int axis, double eps);
ir_node *ir_layer_norm(ir_graph *g, ir_node *x, ir_node *w, ir_node *b, int axis,
                       double eps);
/* x [1, heads*head_dim, 1, batch*seq]; position = column mod seq. */
ir_node *ir_rope(ir_graph *g, ir_node *x, int heads, int head_dim, int batch,
                 double theta, bool interleaved, bool inverse);
/* q [1,heads*hd,1,batch*seq], k and v [1,kv_heads*hd,1,batch*seq]; causal
 * within each sequence; query head h reads kv head h / (heads/kv_heads).
 * -> [1,heads*hd,1,batch*seq] */
ir_node *ir_attention(ir_graph *g, ir_node *q, ir_node *k, ir_node *v, int heads,
                      int kv_heads, int head_dim, int batch, double scale);
ir_node *ir_embedding(ir_graph *g, ir_node *table, ir_node *ids); /* ids int32 [T] */
ir_node *ir_cross_entropy(ir_graph *g, ir_node *logits,
                          ir_node *ids); /* ids < 0 are not counted; -> fp32 [1] */
/* Bits that tell the ids of a vocabulary apart; target_code has as many rows and one
 * more: bit i of an id below 2^n is +d/2 or -d/2, and all of an id < 0 is 0. */
int ir_target_bits(int64_t vocab);
/* Any op from its parts (the text reader and rewriters use this). Copies
 * attr; checks everything. */
ir_node *ir_make(ir_graph *g, ir_op op, int n_in, ir_node *const *in, ir_type t,
                 ir_shape hint, const ir_attr *attr);

/* linear layer: w [O,I] (param), x [1,I,1,T] -> [1,O,1,T] */
ir_node *ir_linear(ir_graph *g, ir_node *w, ir_node *x);

/* attention (q, k, v), and attention_dx (q, k, v, dy), in primitive ops of the
 * device dialect. Expanded with equal arguments their common parts are equal, and
 * meet in ir_simplify. No broadcasting of matmul batches, rank <= 5. `width` > 0:
 * in tiles of so many queries a sequence, which leave out keys none of them sees. */
ir_node *ir_attention_parts(ir_graph *g, ir_node *const in[3], const ir_attr *a,
                            int64_t width);
ir_node *ir_attention_dx_parts(ir_graph *g, ir_node *const in[4], const ir_attr *a,
                               int64_t width);

/* ---- gradients (grad.c) ----
 * d(sum(y * seed))/d(each of wrt), appended to g. seed NULL = 1, else a node of
 * y's shape (loss scaling is a scalar mul). out[i] NULL when y does not depend
 * on wrt[i]. Nodes made carry the scope of the forward node they undo, with
 * backward = true. */
rc ir_grad(ir_graph *g, ir_node *y, ir_node *seed, int n, ir_node *const *wrt,
           ir_node **out);

/* Do both compute the same, node by node, whatever their scopes? */
bool ir_same(const ir_graph *x, const ir_graph *y);

/* ---- passes ---- */
rc ir_verify(const ir_graph *g); /* arity, shapes, order, types */
rc ir_verify_dialect(
    const ir_graph *g); /* + only device ops, rank <= 5, one result type */
/* Fold constants, merge common subexpressions (scope of the first wins), drop
 * identities and dead nodes. A new graph; *map (arena of the result), if
 * wanted, gives the new node of each old id or NULL. */
rc ir_simplify(const ir_graph *g, ir_graph **out, ir_node ***map);

/* ---- text (text.c): printed and parsed; round trip is the identity ---- */
rc ir_print(const ir_graph *g, str *out);
rc ir_parse(const char *text, size_t n, const char *file, ir_graph **out);

/* ---- oracle (eval.c): naive loops in double ----
 * Values of inputs and params by name; results for every node id (arrays in
 * the arena, NULL where not needed by an output). Ints are doubles too. */
typedef struct {
    const char *name;
    const double *v;
} ir_binding;
rc ir_eval(const ir_graph *g, arena *mem, int n_bind, const ir_binding *bind,
           double ***values);

/* One node's value from its operands'; out is zeroed by the caller. */
rc ir_eval_node(const ir_node *n, const double *const *in, double *out);

const char *ir_op_name(ir_op op);
const char *ir_op_mil(ir_op op); /* "" where none */
bool ir_op_in_dialect(ir_op op);
int ir_op_find(const char *name);    /* -1 if unknown */
const char *ir_type_name(ir_type t); /* "fp16" */
/* 2*MAC of matmul, conv and their gradients, attention parts; 0 for others. */
double ir_flops(const ir_node *n);

#endif
