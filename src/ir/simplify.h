/* simplify.h - between the pass (simplify.c) and its rules (rules.c). */
#ifndef IR_SIMPLIFY_H
#define IR_SIMPLIFY_H

#include "ir/table.h"

typedef struct {
    ir_graph *g;    /* being made */
    ir_table known; /* its nodes by contents */
} ir_simplifier;

/* The node of g equal to this draft: found, rewritten, folded or new. NULL
 * when the graph has failed. */
ir_node *ir_emit(ir_simplifier *s, ir_draft d);
/* A constant of g; v has 1 value when uniform. */
ir_node *ir_emit_constant(ir_simplifier *s, ir_type t, ir_shape shape, const double *v,
                          bool uniform);
/* The same value by fewer operations (through ir_emit), or NULL if no rule
 * applies. d is checked: its shape and type are the result's. */
ir_node *ir_rewrite(ir_simplifier *s, const ir_draft *d);

#endif
