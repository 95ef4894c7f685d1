/* legal.h - inside plan/legal*: one rewrite function per op. */
#ifndef PLAN_LEGAL_H
#define PLAN_LEGAL_H

#include "plan/passes.h"

typedef struct {
    planner *b;
    ir_graph *to; /* nodes are made here, in the scope of the old one */
    int n_turns;  /* rotations whose tables are made: all layers have the same */
    struct {
        const ir_node *rope;
        ir_node *cosine, *sine;
    } turns[4];
} legal;

/* The new value of old node n, whose operands have become in[]. */
typedef ir_node *(*legal_rule)(legal *l, const ir_node *n, ir_node *const *in);

/* The same op on the new operands. */
ir_node *legal_copy(legal *l, const ir_node *n, ir_node *const *in);

/* First round: layers into primitive ops. */
ir_node *legal_attention(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_attention_dx(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_rope(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_rms_scale(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_rms_norm(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_layer_norm(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_gelu(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_rsqrt(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_split(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_conv(legal *l, const ir_node *n, ir_node *const *in);

/* Second round: primitive ops under the rules of the device. */
ir_node *legal_concat(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_tile(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_slice(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_reduce(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_matmul(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_mul(legal *l, const ir_node *n, ir_node *const *in);

/* Third round, where the variant says so: losses (legal_loss.c). */
ir_node *legal_loss(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_loss_dx(legal *l, const ir_node *n, ir_node *const *in);
ir_node *legal_loss_piece(legal *l, const ir_node *n, ir_node *const *in);

/* x y, or of either transposed, in pieces that no axis of is too long. */
ir_node *legal_product(legal *l, ir_node *x, ir_node *y, bool tx, bool ty);
/* Joined two by two, as evenly as it goes. */
ir_node *legal_join(legal *l, int n, ir_node *const *x, int axis);
ir_node *legal_repeat(legal *l, ir_node *x, int axis, int64_t times);
/* x from element `at` of an axis of `all`, zeros around it. */
ir_node *legal_place(ir_graph *g, ir_node *x, int axis, int64_t all, int64_t at);
/* Elements [begin, begin+size) of one axis. */
ir_node *legal_cut(legal *l, ir_node *x, int axis, int64_t begin, int64_t size);

#endif
