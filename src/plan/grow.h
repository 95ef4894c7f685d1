/* grow.h - inside plan/split: the limits of one program while it grows. */
#ifndef PLAN_GROW_H
#define PLAN_GROW_H

#include "plan/passes.h"

typedef struct {
    planner *b;
    const int *n_readers; /* by node: readers of the stored value, outputs too */
    int program;          /* item index + 1 */
    int *depth, *seen;    /* by node */
    int *left;            /* by node of the program: readers not yet inside */
    plan_view *imports, *leaf;
    int n_imports, open, blobs; /* open: values that still have readers outside */
    double baked;
    int broken; /* rule over which the last node went, or -1 */
} grow;

rc grow_new(planner *b, const int *n_readers, grow *out);
/* Begin the program that will be item `program`. */
void grow_start(grow *w, int program);
/* Add a node (its item is set already); may the program end after it? */
bool grow_take(grow *w, const ir_node *n);

#endif
