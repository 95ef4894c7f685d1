/* shapes_image.c - shape rules of ops that change what an image is: blocks of
 * places as channels or as images of their own, other sizes, sampling anywhere. */
#include <math.h>
#include <string.h>
#include "dev/shapes.h"

/* ---- blocks of places as channels or images ---- */
static rc block_size(dev_code *c, dev_op *o, mil_type *t, int64_t *b)
{
    TRY(dev_one_result(c, o));
    *t = dev_arg(c, o, 0)->type;
    if (t->rank != 4) return dev_bad(c, o, "'%s' takes four axes", o->mil->op);
    TRY(dev_whole(c, o, 1, "block size", b));
    if (*b < 1 || *b > 65536)
        return dev_bad(c, o, "'%s' by blocks of %lld", o->mil->op, (long long)*b);
    o->a.block[0] = o->a.block[1] = *b;
    return OK;
}

/* [N,C,H,W] -> [N,C/b^2,Hb,Wb] */
rc dev_shape_to_space(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t b = 0;
    TRY(block_size(c, o, t, &b));
    if (t->d[1] % (b * b))
        return dev_bad(c, o, "%lld channels do not make blocks of %lld x %lld",
                       (long long)t->d[1], (long long)b, (long long)b);
    t->d[1] /= b * b;
    t->d[2] *= b;
    t->d[3] *= b;
    return OK;
}

/* [N,C,H,W] -> [N,Cb^2,H/b,W/b] */
rc dev_shape_to_depth(dev_code *c, dev_op *o, mil_type *t)
{
    int64_t b = 0;
    TRY(block_size(c, o, t, &b));
    if (t->d[2] % b || t->d[3] % b)
        return dev_bad(c, o, "%lld x %lld places do not make blocks of %lld x %lld",
                       (long long)t->d[2], (long long)t->d[3], (long long)b,
                       (long long)b);
    t->d[1] *= b * b;
    t->d[2] /= b;
    t->d[3] /= b;
    return OK;
}

/* block_shape [2]; edges [2, 2], which may be a matrix, into a.pad. */
static rc block_shape(dev_code *c, dev_op *o, const char *edges, mil_type *t)
{
    TRY(dev_one_result(c, o));
    *t = dev_arg(c, o, 0)->type;
    const dev_value *e = dev_arg(c, o, 2);
    if (t->rank != 4) return dev_bad(c, o, "'%s' takes four axes", o->mil->op);
    TRY(dev_ints(c, o, 1, "block_shape", 2, o->a.block, 2, NULL));
    if (mil_count(&e->type) != 4 || e->type.dtype != MIL_INT32 || e->blob || !e->data)
        return dev_bad(c, o, "argument '%s' of '%s' must be int32 [2, 2]", edges,
                       o->mil->op);
    for (int i = 0; i < 4; i++) {
        o->a.pad[i] = (int64_t)dev_const_at(e, (size_t)i);
        if (o->a.pad[i] < 0)
            return dev_bad(c, o, "%s of %lld", edges, (long long)o->a.pad[i]);
    }
    for (int i = 0; i < 2; i++)
        if (o->a.block[i] < 1 || o->a.block[i] > 65536)
            return dev_bad(c, o, "blocks of %lld", (long long)o->a.block[i]);
    return OK;
}

/* [N,C,H,W] -> [N b0 b1, C, (H + pads) / b0, (W + pads) / b1] */
rc dev_shape_to_batch(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(block_shape(c, o, "paddings", t));
    for (int i = 0; i < 2; i++) {
        int64_t n = t->d[2 + i] + o->a.pad[2 * i] + o->a.pad[2 * i + 1];
        if (n % o->a.block[i])
            return dev_bad(c, o, "%lld padded places do not make blocks of %lld",
                           (long long)n, (long long)o->a.block[i]);
        if (t->d[0] > INT64_MAX / o->a.block[i])
            return dev_bad(c, o, "blocks of %lld", (long long)o->a.block[i]);
        t->d[2 + i] = n / o->a.block[i];
        t->d[0] *= o->a.block[i];
    }
    return OK;
}

/* [N,C,H,W] -> [N / b0 b1, C, H b0 - crops, W b1 - crops] */
rc dev_shape_from_batch(dev_code *c, dev_op *o, mil_type *t)
{
    TRY(block_shape(c, o, "crops", t));
    if (t->d[0] % (o->a.block[0] * o->a.block[1]))
        return dev_bad(c, o, "%lld images do not make blocks of %lld x %lld",
                       (long long)t->d[0], (long long)o->a.block[0],
                       (long long)o->a.block[1]);
    t->d[0] /= o->a.block[0] * o->a.block[1];
    for (int i = 0; i < 2; i++) {
        t->d[2 + i] = t->d[2 + i] * o->a.block[i] - o->a.pad[2 * i] - o->a.pad[2 * i + 1];
        if (t->d[2 + i] < 1) return dev_bad(c, o, "crops leave nothing");
    }
    return OK;
}

/* ---- sizes ---- */
rc dev_shape_resize(dev_code *c, dev_op *o, mil_type *t)
{
    static const char *const modes[] = {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS",
                                        "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"};
    const char *mode = "DEFAULT";
    int64_t size[2] = {1, 1};
    TRY(dev_ranks(c, o, 3, 5));
    TRY(dev_whole(c, o, 1, "target_size_height", &size[0]));
    TRY(dev_whole(c, o, 2, "target_size_width", &size[1]));
    if (o->kind == DEV_OP_resize_bilinear) TRY(dev_word(c, o, 3, "sampling_mode", &mode));
    int m = 0;
    while (m < 5 && strcmp(modes[m], mode) != 0) m++;
    if (m == 5)
        return dev_bad(c, o,
                       "sampling_mode '%s'; DEFAULT, ALIGN_CORNERS, "
                       "STRICT_ALIGN_CORNERS, OFFSET_CORNERS or UNALIGN_CORNERS "
                       "wanted",
                       mode);
    o->a.mode = m;
    *t = dev_arg(c, o, 0)->type;
    for (int i = 0; i < 2; i++) {
        if (size[i] < 1 || size[i] > INT32_MAX)
            return dev_bad(c, o, "a target size of %lld", (long long)size[i]);
        t->d[t->rank - 2 + i] = size[i];
    }
    return OK;
}

/* floor(n * scale); sampling then goes by the sizes alone. */
rc dev_shape_upsample(dev_code *c, dev_op *o, mil_type *t)
{
    double scale[2] = {1, 1};
    bool align = true;
    TRY(dev_ranks(c, o, 3, 5));
    TRY(dev_number(c, o, 1, "scale_factor_height", &scale[0]));
    TRY(dev_number(c, o, 2, "scale_factor_width", &scale[1]));
    if (o->kind == DEV_OP_upsample_bilinear)
        TRY(dev_yes_no(c, o, 3, "align_corners", &align));
    o->a.mode = align ? DEV_SAMPLE_STRICT_ALIGN : DEV_SAMPLE_UNALIGN;
    *t = dev_arg(c, o, 0)->type;
    for (int i = 0; i < 2; i++) {
        double n = floor((double)t->d[t->rank - 2 + i] * scale[i]);
        if (!(n >= 1 && n <= INT32_MAX))
            return dev_bad(c, o, "a scale factor of %g", scale[i]);
        t->d[t->rank - 2 + i] = (int64_t)n;
    }
    return OK;
}

/* ---- images at given places ---- */
/* One of n words, by number. */
static rc one_word(dev_code *c, dev_op *o, int slot, const char *name, int n,
                   const char *const *words, int *which)
{
    const char *had = words[0];
    TRY(dev_word(c, o, slot, name, &had));
    for (*which = 0; *which < n; ++*which)
        if (!strcmp(words[*which], had)) return OK;
    return dev_bad(c, o, "%s '%s' of '%s'; '%s' would be one", name, had, o->mil->op,
                   words[0]);
}

/* sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners. */
static rc sampling(dev_code *c, dev_op *o, int slot)
{
    static const char *const modes[] = {"bilinear", "nearest"};
    static const char *const edges[] = {"constant", "border", "reflection", "symmetric"};
    static const char *const units[] = {"unnormalized", "normalized_minus_one_to_one",
                                        "normalized_zero_to_one"};
    int mode;
    TRY(dev_ranks(c, o, 4, 4));
    TRY(one_word(c, o, slot, "sampling_mode", 2, modes, &mode));
    o->a.nearest = mode == 1;
    TRY(one_word(c, o, slot + 1, "padding_mode", 4, edges, &o->a.edge));
    TRY(dev_number(c, o, slot + 2, "padding_value", &o->a.value[0]));
    TRY(one_word(c, o, slot + 3, "coordinates_mode", 3, units, &o->a.unit));
    return dev_yes_no(c, o, slot + 4, "align_corners", &o->a.align);
}

/* x [B,C,H,W] at coordinates [B,H',W',2], (w, h) -> [B,C,H',W'] */
rc dev_shape_resample(dev_code *c, dev_op *o, mil_type *t)
{
    char text[96];
    TRY(sampling(c, o, 2));
    TRY(dev_real_arg(c, o, 1, "coordinates"));
    const mil_type *x = &dev_arg(c, o, 0)->type, *at = &dev_arg(c, o, 1)->type;
    if (at->rank != 4 || at->d[0] != x->d[0] || at->d[3] != 2)
        return dev_bad(c, o, "coordinates %s; [%lld, height, width, 2] wanted",
                       mil_type_text(text, at), (long long)x->d[0]);
    *t = *x;
    t->d[2] = at->d[1];
    t->d[3] = at->d[2];
    return OK;
}

/* What coremltools names for affine is all there is of it. */
rc dev_shape_affine(dev_code *c, dev_op *o, mil_type *t)
{
    char text[96];
    TRY(sampling(c, o, 4));
    TRY(dev_real_arg(c, o, 1, "transform_matrix"));
    const mil_type *x = &dev_arg(c, o, 0)->type, *m = &dev_arg(c, o, 1)->type;
    if (m->rank != 2 || (m->d[0] != 1 && m->d[0] != x->d[0]) || m->d[1] != 6)
        return dev_bad(c, o, "transform_matrix %s; [1 or %lld, 6] wanted",
                       mil_type_text(text, m), (long long)x->d[0]);
    if (o->a.nearest || o->a.edge != DEV_EDGE_CONSTANT || o->a.value[0] != 0 ||
        o->a.unit != DEV_UNIT_MINUS_ONE_TO_ONE || !o->a.align)
        return dev_bad(c, o,
                       "affine is bilinear, padded with 0, in coordinates "
                       "normalized_minus_one_to_one with aligned corners");
    *t = *x;
    TRY(dev_whole(c, o, 2, "output_height", &t->d[2]));
    TRY(dev_whole(c, o, 3, "output_width", &t->d[3]));
    if (t->d[2] < 1 || t->d[3] < 1 || t->d[2] > INT32_MAX || t->d[3] > INT32_MAX)
        return dev_bad(c, o, "affine to %lld x %lld places", (long long)t->d[2],
                       (long long)t->d[3]);
    return OK;
}
