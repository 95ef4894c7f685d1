/* shapes.h - shape rules, and what they share. For shapes*.c and args.c. */
#ifndef DEV_SHAPES_H
#define DEV_SHAPES_H

#include "dev/code.h"

/* A rule fills in o->a and the types t[0..n_out) of the results. */
typedef rc dev_shape_rule(dev_code *c, dev_op *o, mil_type *t);
dev_shape_rule dev_shape_constant, dev_shape_constexpr, dev_shape_real, dev_shape_same,
    dev_shape_gelu, dev_shape_binary, dev_shape_compare, dev_shape_boolean,
    dev_shape_select, dev_shape_cast, dev_shape_softmax, dev_shape_reduce,
    dev_shape_matmul, dev_shape_linear, dev_shape_conv, dev_shape_sdpa, dev_shape_reshape,
    dev_shape_transpose, dev_shape_expand, dev_shape_squeeze, dev_shape_slice,
    dev_shape_split, dev_shape_tile, dev_shape_concat;

/* The value in a slot, NULL if absent. */
const dev_value *dev_arg(const dev_code *c, const dev_op *o, int slot);
bool dev_is_real(const mil_type *t);
/* Whole numbers of a constant: at most `max`, exactly `want` if > 0. */
rc dev_ints(dev_code *c, dev_op *o, int slot, const char *name, int want, int64_t *v,
            int max, int *n);
/* One number, bool or word; an absent argument leaves *v as it is. */
rc dev_whole(dev_code *c, dev_op *o, int slot, const char *name, int64_t *v);
rc dev_yes_no(dev_code *c, dev_op *o, int slot, const char *name, bool *v);
rc dev_word(dev_code *c, dev_op *o, int slot, const char *name, const char **v);
rc dev_axis_of(dev_code *c, dev_op *o, int64_t v, int rank, int *axis);
rc dev_one_result(dev_code *c, dev_op *o);
rc dev_real_arg(dev_code *c, dev_op *o, int slot, const char *name);
rc dev_same_dtype(dev_code *c, dev_op *o, int a, int b);
/* NumPy broadcasting of shapes, aligned at the last axis. */
rc dev_join(dev_code *c, dev_op *o, const mil_type *x, const mil_type *y, mil_type *t);

#endif
