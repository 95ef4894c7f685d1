/* emit.h - what the three parts of the emitter share: emit.c walks the graph,
 * emit_op.c knows how each operation is spelled, emit_const.c declares
 * constants. */
#ifndef MIL_EMIT_H
#define MIL_EMIT_H

#include "mil/mil_in.h"

enum { MIL_BUCKETS = 256, MIL_DRAFT_ARGS = 8 };

/* A constant that was declared, found again by its type and content. */
typedef struct mil_const {
    struct mil_const *next;
    mil_type type;
    const void *bytes;
    size_t n;
    const char *name;
} mil_const;

typedef struct {
    arena *mem;
    const ir_graph *g;
    const mil_emit_options *o;
    size_t inline_max;
    int n_baked;
    const ir_binding *baked;
    mil_names names; /* mark 1: taken */
    mil_func *f;
    int cap_op;
    bool *live;         /* by node id: an output needs it */
    const char **value; /* by node id: its variable, NULL = none yet */
    mil_const *bucket[MIL_BUCKETS];
    int n_values, n_consts;   /* made up so far, for their names */
    mil_blob_writer *weights; /* NULL until the first blob */
    mil_blob_file *files;
    int n_files, cap_files;
} mil_emitter;

/* An operation being put together; arguments are added in text order. */
typedef struct {
    mil_op op;
    mil_var out;
    mil_arg arg[MIL_DRAFT_ARGS];
    mil_arg name;
} mil_draft;

/* ---- emit.c ---- */
mil_type mil_node_type(const ir_node *n);
mil_type mil_scalar(const mil_emitter *e, mil_dtype d); /* in the chosen spelling */
const char *mil_new_name(mil_emitter *e, const char *base, int *counter); /* base_N */
const char *mil_plain_name(mil_emitter *e, const char *base); /* base, if it is free */
/* Append the finished operation with result `name`; copies the draft. */
rc mil_push(mil_emitter *e, const mil_draft *d, const char *op, const char *name,
            mil_type type);

/* ---- emit_const.c: each gives the variable that holds the constant ---- */
rc mil_const_int(mil_emitter *e, int v, const char **name);
rc mil_const_bool(mil_emitter *e, bool v, const char **name);
rc mil_const_text(mil_emitter *e, const char *v, const char **name);
rc mil_const_real(mil_emitter *e, ir_type t, double v, const char **name);
/* tensor<int32, [n]> */
rc mil_const_ints(mil_emitter *e, int n, const int64_t *v, const char **name);
/* A constant node: in its own shape, or as a scalar that broadcasts. */
rc mil_const_node(mil_emitter *e, const ir_node *n, bool scalar, const char **name);
/* A param with data, always a blob: its variable is named already. */
rc mil_const_baked(mil_emitter *e, const ir_node *n, const double *v);
/* Close the weight file in hand, if any. */
rc mil_close_weights(mil_emitter *e);

/* ---- emit_op.c ---- */
rc mil_emit_node(mil_emitter *e, const ir_node *n, const char *name);
/* `name` = identity(x = from) */
rc mil_emit_identity(mil_emitter *e, const ir_node *n, const char *from,
                     const char *name);
bool mil_can_emit(ir_op op);

#endif
