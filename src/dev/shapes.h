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
    dev_shape_split, dev_shape_tile, dev_shape_concat, dev_shape_lut, dev_shape_sparse,
    dev_shape_blockwise, dev_shape_fill, dev_shape_alpha, dev_shape_alpha_beta,
    dev_shape_prelu, dev_shape_quantize, dev_shape_dequantize, dev_shape_batch_norm,
    dev_shape_layer_norm, dev_shape_instance_norm, dev_shape_l2_norm,
    dev_shape_local_norm, dev_shape_pool, dev_shape_cumsum, dev_shape_arg,
    dev_shape_argsort, dev_shape_topk, dev_shape_stack, dev_shape_pad, dev_shape_index,
    dev_shape_reverse, dev_shape_crop, dev_shape_update, dev_shape_gather,
    dev_shape_gather_along, dev_shape_gather_nd, dev_shape_to_space, dev_shape_to_depth,
    dev_shape_to_batch, dev_shape_from_batch, dev_shape_resize, dev_shape_upsample,
    dev_shape_einsum, dev_shape_deconv, dev_shape_resample, dev_shape_affine;

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
/* One real or whole constant; absent leaves *v. */
rc dev_number(dev_code *c, dev_op *o, int slot, const char *name, double *v);
/* A list of bools, `want` of them; absent: all false. */
rc dev_bools(dev_code *c, dev_op *o, int slot, const char *name, int want, bool *v);
/* The axis in a slot, `axis` if absent, into o->a.axis. */
rc dev_axis(dev_code *c, dev_op *o, int slot, int64_t axis, int rank);
/* A real tensor x of lo..hi axes in slot 0. */
rc dev_ranks(dev_code *c, dev_op *o, int lo, int hi);
/* o->a.pad (top, bottom, left, right) by pad_type and pad, for windows of
 * kernel[i] places, o->a.dilation apart, over `ns` axes of in[i] places. */
rc dev_padding(dev_code *c, dev_op *o, int type_slot, int pad_slot, int ns,
               const int64_t *in, const int64_t *kernel);
rc dev_axis_of(dev_code *c, dev_op *o, int64_t v, int rank, int *axis);
rc dev_one_result(dev_code *c, dev_op *o);
rc dev_real_arg(dev_code *c, dev_op *o, int slot, const char *name);
rc dev_same_dtype(dev_code *c, dev_op *o, int a, int b);
/* NumPy broadcasting of shapes, aligned at the last axis. */
rc dev_join(dev_code *c, dev_op *o, const mil_type *x, const mil_type *y, mil_type *t);

#endif
