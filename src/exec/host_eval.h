/* host_eval.h - ops of the graph that the host computes in fp32, row-major. */
#ifndef EXEC_HOST_EVAL_H
#define EXEC_HOST_EVAL_H

#include "exec/internal.h"

/* One node: its operands' values and room for its own. `in` of a product are
 * matrices (host_matmul). */
typedef struct {
    kern *k;
    const ir_node *n;
    const float *in[3];
    float *out;
    const float *table; /* rope: host_rope_table */
} host_op;

/* Each says whether it can do this node; the oracle does what it cannot. The first
 * asks the one that may; it knows nothing of products and concat. */
bool host_compute(const host_op *o);
bool host_each(const host_op *o);    /* elementwise, with broadcasting */
bool host_move(const host_op *o);    /* transpose, slice, split, tile */
bool host_reduce(const host_op *o);  /* over neighbouring axes */
bool host_softmax(const host_op *o); /* along the last axis */
bool host_norm(const host_op *o);    /* rms_norm, rms_scale */
bool host_rope(const host_op *o);
bool host_target_code(const host_op *o);
bool host_is_each(ir_op op); /* has a kernel of that kind */
/* Operand j of a concat of any number to its place. */
void host_join(kern *k, const ir_node *n, int j, const float *in, float *out);
/* cosines, then sines, [head_dim / 2, seq] each. */
size_t host_rope_floats(const ir_node *n);
void host_rope_table(const ir_node *n, float *out);

/* A product: operands as they lie, fp16 or fp32, `stride` apart row by row. */
typedef struct {
    const void *p;
    kern_type type;
    int64_t stride;
} host_matrix;
/* Has it one batch, or operands of the same batches? */
bool host_multiplies(const ir_node *n);
rc host_matmul(kern *k, const ir_node *n, const host_matrix in[2], void *out,
               kern_type type);
rc host_matmul_reserve(kern *k, const ir_node *n);

/* ---- a piece of the graph ---- */
typedef struct {
    const ir_node *root; /* itself, or what it only gives another shape */
    float *own;          /* of roots: scratch, or a constant; NULL for the others */
    const float *v;      /* of roots: the value, once it is there */
    const float *table;  /* rope */
    bool direct;         /* input: products read the surface; else: it is written to an
                            fp16 surface straight away */
} node_value;

struct host_eval {
    const ir_graph *g;
    node_value *at;      /* by node */
    host_matrix *raw;    /* by input, while mapped */
    int *input, *output; /* by node: index in step.in, step.out; -1 */
    arena *slow;         /* the oracle's, reset each time */
};

/* Other names for the operand's value: reshape, and cast from real to real. */
bool host_is_view(const ir_node *n);
bool host_on_surface(const exec *x, int buffer);

#endif
