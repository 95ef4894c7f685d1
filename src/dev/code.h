/* code.h - a program that was read and found sound.
 *
 * Software drivers turn MIL text into dev_code: one function, its values
 * numbered, every argument in its slot, attributes resolved to numbers, types
 * and shapes checked against what is declared. Chip rules are not judged here
 * but in rulecheck.h. Everything lives in the code's arena. */
#ifndef DEV_CODE_H
#define DEV_CODE_H

#include "dev/device.h"
#include "dev/profile.h"

enum { DEV_SLOTS = 9 };
enum { DEV_EQ, DEV_NE, DEV_GT, DEV_GE, DEV_LT, DEV_LE };
typedef enum {
#define DEVOP(id, args, rule, cls, kernel, match, bound) DEV_OP_##id,
#include "dev/ops.def"
#undef DEVOP
    DEV_OPS
} dev_op_kind;
typedef enum {
    DEV_CONST,
    DEV_BINARY,
    DEV_COMPARE,
    DEV_UNARY,
    DEV_NOT,
    DEV_SELECT,
    DEV_CAST,
    DEV_SOFTMAX,
    DEV_REDUCE,
    DEV_MATMUL,
    DEV_CONV,
    DEV_SDPA,
    DEV_VIEW,
    DEV_CONCAT,
    DEV_FUNCTION, /* of one number, with constants */
    DEV_FLOORDIV,
    DEV_PRELU,
    DEV_QUANT,  /* quantize, dequantize */
    DEV_ROWS,   /* each row of the input gives a row of the result */
    DEV_ARGS,   /* the same, but the result is places */
    DEV_WINDOW, /* pooling */
    DEV_NORM,
    DEV_RESIZE,
    DEV_TAKE,    /* a place of the result is a place of the input, or a constant */
    DEV_SHUFFLE, /* blocks of places become channels or images, or back */
    DEV_PICK,    /* places are values: gather; slice_update */
    DEV_STACK,
    DEV_EINSUM,
    DEV_DECONV
} dev_op_class;

/* In `exact`, does an op give the chip's own bits? SAME: they follow from
 * published measurements or from what the op is. NEAR: as exactly as can be
 * computed, where the chip's tables or order of sums are not known. */
typedef enum { DEV_SAME, DEV_NEAR } dev_match;

/* How far a result of `fast` may be from that of `exact`, on the same fp16 operands
 * (inputs and constants), at most:
 *
 *   BITS      nothing: they are equal, but that -0 is 0
 *   EACH      number
 *   TERMS     number k; k terms are added, none of them negative
 *   SUMS      number k u(S); S is the sum of the k terms' magnitudes
 *   PRODUCTS  (number + S 2^-24) k; of products: dropped whole, or rounded; fast
 *             rounds its sums to fp32
 *   LARGEST   number times the largest magnitude of the last operand
 *
 * and `units` times the result's u more. u(y) is the distance of fp16 numbers at y, 2^-24
 * at least; infinity counts as 65536. It says nothing of operands that are not finite or
 * (the last one) nearer to 0 than `least`, where fast has no number, nor where S leaves
 * what a sum can hold: 65504, of products 32752. */
typedef enum {
    DEV_BITS,
    DEV_EACH,
    DEV_TERMS,
    DEV_SUMS,
    DEV_PRODUCTS,
    DEV_LARGEST
} dev_bound_kind;
typedef struct {
    dev_bound_kind kind;
    double number, units, least;
} dev_bound;
/* What Winograd's form of a convolution (M5, M6: profiles.def) adds to that of
 * each of its k terms, of the largest product of an operand and a weight. */
#define DEV_WINOGRAD 0x1p-8

typedef struct {
    const char *name; /* NULL for a literal written in place */
    mil_type type;
    mil_pos pos;
    int op;   /* that makes it, -1 for an input */
    int uses; /* by ops and as output */
    /* Constants: mil_count elements (one if splat), borrowed from the arena or,
     * for blobs, from the files given last. */
    bool constant, splat;
    const void *data;
    const char *text;      /* string constants */
    const mil_value *blob; /* where it comes from a file */
} dev_value;

typedef struct {
    int axis, n_axes, axes[MIL_RANK];
    bool keep, tx, ty;
    int perm[MIL_RANK];
    int64_t begin[MIL_RANK], size[MIL_RANK]; /* slice; begin[0..] also of each split */
    int64_t reps[MIL_RANK];
    int64_t stride[2], dilation[2], pad[4]; /* conv: pad top bottom left right */
    int64_t groups;
    int64_t kernel[2];      /* pooling: height, width */
    bool ceil, exclude;     /* pooling: round sizes up; count no padding */
    int64_t step[MIL_RANK]; /* slices; begin is where they start */
    int64_t block[2];       /* shuffles and resizes: height, width */
    int mode;               /* DEV_PAD_*, DEV_SAMPLE_* */
    double value[4];        /* alpha, beta, epsilon, ... in the order of the row */
    int64_t n;              /* topk: k; local_response_norm: channels */
    bool reverse, exclusive, ascending;
    signed char label[3][MIL_RANK]; /* einsum: of x, y, the result */
    bool nearest, align;            /* resample: not bilinear; corners are places */
    int edge, unit;                 /* resample: DEV_EDGE_*, DEV_UNIT_* */
} dev_attrs;
enum { DEV_PAD_CONSTANT, DEV_PAD_REFLECT, DEV_PAD_REPLICATE };
/* What lies outside an image, and in which units its places are given. */
enum { DEV_EDGE_CONSTANT, DEV_EDGE_BORDER, DEV_EDGE_REFLECTION, DEV_EDGE_SYMMETRIC };
enum { DEV_UNIT_PLACE, DEV_UNIT_MINUS_ONE_TO_ONE, DEV_UNIT_ZERO_TO_ONE };
/* Where output place i of n_out samples an axis of n_in places. */
enum {
    DEV_SAMPLE_STRICT_ALIGN, /* i (n_in - 1) / (n_out - 1) */
    DEV_SAMPLE_ALIGN,        /* the same; the middle for n_out = 1 */
    DEV_SAMPLE_DEFAULT,      /* i n_in / n_out */
    DEV_SAMPLE_OFFSET,       /* (i + 1/2) max(1, n_in - 1) / n_out */
    DEV_SAMPLE_UNALIGN       /* (i + 1/2) n_in / n_out - 1/2 */
};

typedef struct {
    dev_op_kind kind;
    const mil_op *mil;
    int arg[DEV_SLOTS]; /* value numbers by slot, -1 absent */
    int n_list, *list;  /* concat */
    int n_out, *out;
    dev_attrs a;
} dev_op;

typedef struct {
    arena *mem;
    mil_program *mil;
    const mil_func *func;
    int n_values;
    dev_value *values;
    int n_ops;
    dev_op *ops;
    int n_in, *in; /* value numbers, as declared */
    int n_out, *out;
    const char **out_names;
    /* Binding order: in[in_order[i]] is bound to surface i. */
    int *in_order, *out_order;
    double flops; /* 2*MAC */
    double const_bytes;
} dev_code;

/* Read, check, resolve. E_FORMAT with line and column for anything unsound;
 * E_UNIMPL for an op that exists but that no software driver has. */
rc dev_code_new(const dev_source *src, dev_code **out);
void dev_code_free(dev_code *c);
/* Point every blob constant into other files; all or nothing. */
rc dev_code_bind(dev_code *c, const mil_blob_file *files, int n);

/* ---- limits.c: what families up to `last` refuse of an op they take ---- */
typedef struct {
    const char *op;
    dev_family last;
    const char *text, *source;
} dev_limit;
const dev_limit *dev_limit_at(size_t i); /* NULL past the end */
/* The limit that o breaks on a family, or NULL. */
const dev_limit *dev_limit_broken(const dev_code *c, const dev_op *o, dev_family f);

/* constexpr.c: compute the constant that o unpacks; nothing for other ops. */
void dev_unpack(const dev_code *c, const dev_op *o);

dev_op_class dev_op_class_of(dev_op_kind k);
int dev_op_kernel(dev_op_kind k);
const char *dev_op_text(dev_op_kind k);
int dev_op_find(const char *op); /* -1 if software drivers lack it */
dev_match dev_op_match(dev_op_kind k);
dev_bound dev_op_bound(dev_op_kind k);
/* Is an op one that only renames or moves elements? */
static inline bool dev_op_moves(dev_op_kind k)
{
    dev_op_class c = dev_op_class_of(k);
    return c == DEV_VIEW || c == DEV_CONCAT || c == DEV_TAKE || c == DEV_SHUFFLE ||
           c == DEV_STACK || c == DEV_PICK;
}
/* A constant's element i as a number. */
double dev_const_at(const dev_value *v, size_t i);
double dev_flops(const dev_code *c, const dev_op *o); /* 2*MAC of one op */

/* ---- shapes.c: infer the types of o's results into t[0..n_out) ---- */
rc dev_infer(dev_code *c, dev_op *o, mil_type *t);
/* E_FORMAT at an op. */
rc dev_bad(const dev_code *c, const dev_op *o, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
