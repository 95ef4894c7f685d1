/* shapes_window.c - ops that look at windows: padding of all of them, pooling,
 * and transposed convolution.
 *
 * One spatial axis counts as two with a height of one, so arrays of two hold
 * {height, width}, and pad holds top, bottom, left, right. */
#include <string.h>
#include "dev/shapes.h"

/* Padding of one axis for pad_type "same": as little as keeps ceil(n/stride)
 * outputs; the odd one goes below ("same") or above ("same_lower"). */
static void pad_same(int64_t in, int64_t k, int64_t stride, bool lower, int64_t *lo,
                     int64_t *hi)
{
    int64_t outs = (in + stride - 1) / stride, all = (outs - 1) * stride + k - in;
    if (all < 0) all = 0;
    *lo = lower ? all - all / 2 : all / 2;
    *hi = all - *lo;
}

rc dev_padding(dev_code *c, dev_op *o, int type_slot, int pad_slot, int ns,
               const int64_t *in, const int64_t *kernel)
{
    const char *kind = "valid";
    TRY(dev_word(c, o, type_slot, "pad_type", &kind));
    int first = 2 - ns;
    if (!strcmp(kind, "custom")) {
        if (o->arg[pad_slot] < 0)
            return dev_bad(c, o, "pad_type custom needs argument 'pad'");
        TRY(dev_ints(c, o, pad_slot, "pad", 2 * ns, o->a.pad + 2 * first, 4, NULL));
    } else if (!strcmp(kind, "same") || !strcmp(kind, "same_lower")) {
        for (int i = 0; i < ns; i++)
            pad_same(in[i], (kernel[i] - 1) * o->a.dilation[first + i] + 1,
                     o->a.stride[first + i], !strcmp(kind, "same_lower"),
                     &o->a.pad[2 * (first + i)], &o->a.pad[2 * (first + i) + 1]);
    } else if (strcmp(kind, "valid") != 0) {
        return dev_bad(c, o, "pad_type '%s'; valid, same, same_lower or custom wanted",
                       kind);
    }
    for (int i = 0; i < 4; i++)
        if (o->a.pad[i] < 0 || o->a.pad[i] > INT32_MAX)
            return dev_bad(c, o, "%s padding %lld is out of range", o->mil->op,
                           (long long)o->a.pad[i]);
    return OK;
}

/* Strides and dilations: 1 where absent, positive, and small enough that
 * products of two cannot overflow. A slot of -1 is an argument the op lacks. */
static rc steps(dev_code *c, dev_op *o, int stride_slot, int dilation_slot, int ns)
{
    dev_attrs *a = &o->a;
    int first = 2 - ns;
    a->stride[0] = a->stride[1] = a->dilation[0] = a->dilation[1] = 1;
    if (o->arg[stride_slot] >= 0)
        TRY(dev_ints(c, o, stride_slot, "strides", ns, a->stride + first, 2, NULL));
    if (dilation_slot >= 0 && o->arg[dilation_slot] >= 0)
        TRY(dev_ints(c, o, dilation_slot, "dilations", ns, a->dilation + first, 2, NULL));
    for (int i = 0; i < 2; i++)
        if (a->stride[i] < 1 || a->dilation[i] < 1 || a->stride[i] > INT32_MAX ||
            a->dilation[i] > INT32_MAX)
            return dev_bad(c, o, "%s strides and dilations must be 1 or more",
                           o->mil->op);
    return OK;
}

/* Windows of one axis. With ceil_mode a last one may hang over the end, but it
 * must begin before the padding behind does (PyTorch's rule, which MIL names). */
static int64_t windows(const dev_attrs *a, int i, int64_t in)
{
    int64_t lo = a->pad[2 * i], span = in + lo + a->pad[2 * i + 1] - a->kernel[i];
    if (span < 0) return 0;
    int64_t n = span / a->stride[i] + 1;
    if (a->ceil && span % a->stride[i] && n * a->stride[i] < in + lo) n++;
    return n;
}

/* x [N,C,(H,)W] -> [N,C,(H',)W'] */
rc dev_shape_pool(dev_code *c, dev_op *o, mil_type *t)
{
    char text[96];
    TRY(dev_ranks(c, o, 3, 4));
    const mil_type *x = &dev_arg(c, o, 0)->type;
    int ns = x->rank - 2, first = 2 - ns;
    dev_attrs *a = &o->a;
    a->kernel[0] = 1;
    TRY(dev_ints(c, o, 1, "kernel_sizes", ns, a->kernel + first, 2, NULL));
    for (int i = 0; i < 2; i++)
        if (a->kernel[i] < 1 || a->kernel[i] > INT32_MAX)
            return dev_bad(c, o, "a pooling window of %lld places",
                           (long long)a->kernel[i]);
    TRY(steps(c, o, 2, -1, ns));
    TRY(dev_yes_no(c, o, 5, "ceil_mode", &a->ceil));
    if (o->kind == DEV_OP_avg_pool)
        TRY(dev_yes_no(c, o, 6, "exclude_padding_from_average", &a->exclude));
    TRY(dev_padding(c, o, 3, 4, ns, x->d + 2, a->kernel + first));
    for (int i = 0; i < 2; i++)
        if (a->ceil && a->pad[2 * i] != a->pad[2 * i + 1])
            return dev_bad(c, o, "ceil_mode needs equal padding on both sides");
    for (int i = 0; i < 2; i++)
        if (a->pad[2 * i] >= a->kernel[i] || a->pad[2 * i + 1] >= a->kernel[i])
            return dev_bad(c, o, "padding of %lld leaves a pooling window of %lld empty",
                           (long long)(a->pad[2 * i] > a->pad[2 * i + 1]
                                           ? a->pad[2 * i]
                                           : a->pad[2 * i + 1]),
                           (long long)a->kernel[i]);
    *t = *x;
    for (int i = 0; i < ns; i++) {
        t->d[2 + i] = windows(a, first + i, x->d[2 + i]);
        if (t->d[2 + i] < 1)
            return dev_bad(c, o, "the pooling window is larger than its input %s",
                           mil_type_text(text, x));
    }
    return OK;
}

/* ---- transposed convolution ---- */
/* Channels and groups fit; x [N,I,(H,)W], weight [I,O/groups,(kh,)kw]. */
static rc deconv_fits(dev_code *c, dev_op *o, const mil_type *x, const mil_type *w)
{
    char a[96], b[96];
    int64_t g = o->a.groups;
    const dev_value *bias = dev_arg(c, o, 2);
    if (w->rank != x->rank || w->d[0] != x->d[1])
        return dev_bad(c, o,
                       "conv_transpose of %s with weight %s; [in, out / groups, ...] "
                       "of equal rank wanted",
                       mil_type_text(a, x), mil_type_text(b, w));
    if (g < 1 || x->d[1] % g || g > INT32_MAX || w->d[1] > INT32_MAX)
        return mil_fail(c->mil, o->mil->pos, E_RULE,
                        "rule 'grouped_conv_limit': %lld input channels in %lld groups",
                        (long long)x->d[1], (long long)g);
    if (bias && mil_count(&bias->type) != w->d[1] * g)
        return dev_bad(c, o, "conv_transpose bias has %lld numbers, %lld wanted",
                       (long long)mil_count(&bias->type), (long long)(w->d[1] * g));
    return OK;
}

/* The places of one axis, and in pad how many of the full result's n go away at
 * its ends (behind, fewer than none: zeros are added). */
static rc deconv_axis(dev_code *c, dev_op *o, int i, int64_t in, int64_t k,
                      const char *kind, int64_t wanted, int64_t *out)
{
    dev_attrs *a = &o->a;
    if (in > INT32_MAX || k > INT32_MAX || in > INT64_MAX / 4 / a->stride[i] ||
        k > INT64_MAX / 4 / a->dilation[i])
        return dev_bad(c, o, "the result of conv_transpose is too large");
    int64_t full = (in - 1) * a->stride[i] + (k - 1) * a->dilation[i] + 1;
    bool same = !strcmp(kind, "same") || !strcmp(kind, "same_lower");
    *out = wanted ? wanted
           : same ? in * a->stride[i]
                  : full - a->pad[2 * i] - a->pad[2 * i + 1];
    if (same) {
        int64_t cut = full > *out ? full - *out : 0;
        a->pad[2 * i] = !strcmp(kind, "same") ? cut / 2 : cut - cut / 2;
    }
    if (*out < 1 || *out > full - a->pad[2 * i] + a->stride[i])
        return dev_bad(c, o, "conv_transpose cannot have %lld places along an axis",
                       (long long)*out);
    return OK;
}

/* -> [N,O,(H',)W'], H' = (H - 1) stride + (kh - 1) dilation + 1 - pad */
rc dev_shape_deconv(dev_code *c, dev_op *o, mil_type *t)
{
    const char *kind = "valid";
    int64_t wanted[4] = {0};
    TRY(dev_ranks(c, o, 3, 4));
    TRY(dev_same_dtype(c, o, 0, 1));
    TRY(dev_same_dtype(c, o, 0, 2));
    const mil_type *x = &dev_arg(c, o, 0)->type, *w = &dev_arg(c, o, 1)->type;
    int ns = x->rank - 2, first = 2 - ns;
    TRY(steps(c, o, 6, 7, ns));
    o->a.groups = 1;
    TRY(dev_whole(c, o, 8, "groups", &o->a.groups));
    TRY(deconv_fits(c, o, x, w));
    TRY(dev_word(c, o, 5, "pad_type", &kind));
    TRY(dev_padding(c, o, 5, 3, ns, x->d + 2, w->d + 2));
    if (o->arg[4] >= 0) TRY(dev_ints(c, o, 4, "output_shape", x->rank, wanted, 4, NULL));
    *t = *x;
    t->d[1] = w->d[1] * o->a.groups;
    for (int i = 0; i < 2 && o->arg[4] >= 0; i++)
        if (wanted[i] != t->d[i])
            return dev_bad(c, o, "output_shape begins with %lld images, %lld channels",
                           (long long)t->d[0], (long long)t->d[1]);
    double most = 1, kept = 1;
    for (int i = 0; i < ns; i++) {
        TRY(deconv_axis(c, o, first + i, x->d[2 + i], w->d[2 + i], kind, wanted[2 + i],
                        &t->d[2 + i]));
        kept *= (double)t->d[2 + i];
        most *= (double)t->d[2 + i] +
                (double)((w->d[2 + i] - 1) * o->a.dilation[first + i]);
    }
    /* The kernel's reach is memory (emu/lower_product.c); without such padding it
     * is less than four times the result. */
    if (most > 64 * kept + 65536)
        return dev_bad(c, o, "conv_transpose throws away nearly all that it computes");
    return OK;
}
