/* emu.h - how a program becomes a plan, and what a plan is.
 *
 * lower.c turns checked code into nodes that work on values. A value is a
 * view (offset and strides) into a root; a root is one piece of memory: a
 * surface, a constant, or a place in the program's workspace. Reshapes, slices
 * and transposes only make new views. fuse.c joins elementwise nodes into
 * groups and puts the steps in order; group.c plans a group's tiles and
 * registers; memory.c gives roots their places by lifetime. run.c then only
 * follows the list: nothing is allocated or decided while a program runs. */
#ifndef DEV_EMU_EMU_H
#define DEV_EMU_EMU_H

#include <stdatomic.h>
#include "dev/soft.h"

enum { EMU_TILE = 2048, EMU_AXES = 16, EMU_GROUP_OPS = 48, EMU_INPUTS = 5 };

typedef enum { EMU_WORK, EMU_IN, EMU_OUT, EMU_CONST } emu_where;
typedef struct {
    emu_where where;
    int port;             /* IN, OUT: which surface */
    int value;            /* CONST: value of the code, for reloading */
    size_t bytes, offset; /* offset: in the workspace */
    int first, last;      /* steps between which a WORK root lives; last < 0 unused */
    void *data;           /* CONST */
} emu_root;

typedef struct {
    int root;
    int64_t off, st[MIL_RANK];
} emu_view; /* in elements */
typedef struct {
    int rank;
    int64_t d[MIL_RANK];
    mil_dtype store; /* how elements are held: fp16 is fp32 in wide */
    emu_view v;
} emu_val;

typedef enum {
    EMU_EW,
    EMU_COPY,
    EMU_GEMM,
    EMU_IM2COL,
    EMU_WINO,
    EMU_INT8,
    EMU_REDUCE,
    EMU_SOFTMAX,
    EMU_LOAD,
    EMU_STORE,
    EMU_ROWS,
    EMU_TAKE,
    EMU_PICK
} emu_kind;
/* Work of the multiply-accumulate array. */
static inline bool emu_multiplies(emu_kind k)
{
    return k == EMU_GEMM || k == EMU_WINO || k == EMU_INT8;
}

/* A kernel of EMU_UNARY beside those of kern: gelu by the error function. */
enum { EMU_GELU_EXACT = KERN_UNARY_COUNT };

/* Elementwise work; EMU_CLAMP is the width slice of H13 and H14. */
typedef enum {
    EMU_BINARY,
    EMU_UNARY,
    EMU_COMPARE,
    EMU_SELECT,
    EMU_NOT,
    EMU_CONVERT,
    EMU_CLAMP,
    EMU_FUNCTION, /* of one number, with constants (function.c) */
    EMU_FLOORDIV
} emu_ew;

/* f(x, a, b). fp16 has a table of all its results, rounded once. */
typedef struct emu_function emu_function;
struct emu_function {
    double (*f)(double x, double a, double b);
    double a, b;
    half *table; /* [65536]; NULL: values are fp32 */
    emu_function *next;
};

/* A strided copy of equal shapes. */
typedef struct {
    int rank;
    int64_t d[EMU_AXES], from[EMU_AXES], to[EMU_AXES];
    size_t size;
    bool transpose; /* the last two axes: source walks the first of them */
} emu_copy;

typedef struct {
    size_t m, n, k, n_batch;
    kern_type type;
    kern_mat a, b;
    kern_out c; /* pointers filled in by the run */
    int rank;
    int64_t d[MIL_RANK], sa[MIL_RANK], sb[MIL_RANK], sc[MIL_RANK]; /* outer batches */
    float alpha;
    bool raw;         /* exact: whole sums, INT32_MAX or MIN where one overflowed */
    int bias;         /* value of [m], -1 none */
    int a_val, b_val; /* values whose views a and b start from */
} emu_gemm;

typedef struct {
    size_t outer, n, inner;
    kern_reduce_op op;
    bool mean;
} emu_reduce;
typedef struct {
    size_t rows, n;
} emu_softmax;
/* Unfolded windows of one image: [I*kh*kw, oh*ow]. */
typedef struct {
    int64_t ch, h, w, kh, kw, oh, ow, stride[2], dilation[2], pad[2];
} emu_im2col;

/* exact: [m] results of int8 operands at each place (int8.c). */
typedef struct {
    int64_t m, k, places, groups;
    int64_t k_step, place_step, y_m, y_place; /* of x; of y */
    int x, w, x_scale, w_scale;               /* values of the code */
} emu_int8;

/* exact, M5 and M6: a 3 x 3 convolution in parts (winograd.c). */
typedef enum { EMU_WINO_WEIGHT, EMU_WINO_IMAGE, EMU_WINO_JOIN } emu_wino_part;
typedef struct {
    emu_wino_part part;
    emu_im2col image;
    int64_t outs;
} emu_wino;

/* ---- work that is done a row at a time (rows.c) ---- */
typedef struct emu_plan emu_plan;
typedef struct emu_rows emu_rows;
typedef struct {
    const emu_plan *p;
    const emu_rows *e;
    size_t row;
    int32_t *extra; /* 2 n of them, for rows that are sorted */
    bool chip;      /* fp16 in exact */
} emu_row;
/* One row of results from one row of the input. Results are rounded once, by the
 * caller. */
typedef void emu_row_fn(const emu_row *r, const float *x, double *y);
struct emu_rows {
    emu_row_fn *fn;
    const dev_op *op;
    size_t rows, n, m;       /* rows; elements of each, in and out */
    int64_t d[4];            /* images: height and width, in and out */
    int par[EMU_INPUTS - 1]; /* values of parameters, -1 absent */
    bool sorts, places;      /* places: of topk's results, not the values */
    size_t units, bytes;     /* pieces of work, and the scratch of each */
};

/* result[i, j, ..] = x[map[0][i] + map[1][j] + ..], or the filling where any of
 * them is EMU_NOWHERE. Maps hold offsets in elements. */
#define EMU_NOWHERE INT64_MIN
typedef struct {
    int rank;
    int64_t d[MIL_RANK], *map[MIL_RANK];
    size_t size;
    unsigned char fill[8];
} emu_take;

/* Places that are values: gather, gather_nd, gather_along_axis; slice_update. */
typedef struct {
    const dev_op *op;
    int64_t rows, count, axis, inner; /* see pick.c */
    emu_copy copy;                    /* slice_update */
    int64_t off;
} emu_pick;

typedef struct {
    emu_kind kind;
    int n_in, in[EMU_INPUTS], out; /* values */
    int group;                     /* EW: fused with the nodes of equal group */
    int product;                   /* exact: index in the plan's table, -1 none */
    emu_ew ew;
    int kernel;
    bool counts;           /* EW; counts: can make an infinity */
    const emu_function *f; /* FUNCTION */
    union {
        emu_copy copy;
        emu_gemm gemm;
        emu_reduce reduce;
        emu_softmax softmax;
        emu_im2col im2col;
        emu_wino wino;
        emu_int8 int8;
        emu_rows rows;
        emu_take take;
        emu_pick pick;
        int port;
    };
} emu_node;

/* ---- a fused group ---- */
enum { EMU_PORTS = 64, EMU_OPERANDS = 192 };
typedef struct {
    int val;
    mil_dtype store;
    int64_t st[MIL_RANK]; /* over the group's collapsed axes */
    bool walk;            /* read by an op that takes no repeated element */
} emu_port;
typedef struct {
    emu_ew ew;
    int kernel;
    const emu_function *f;
    bool counts;
    mil_dtype store, to; /* of the operands, of the result */
    int src[3], dst;     /* operands: ports, then registers; each port also
                            has the register of its number, for gathering */
} emu_tile_op;
typedef struct {
    int rank;
    int64_t d[MIL_RANK];
    int n_in, n_out;
    emu_port port[EMU_PORTS]; /* inputs, then outputs */
    int n_ops;
    emu_tile_op *op;
    int n_regs;
    size_t tile, reg_bytes; /* elements of a tile, bytes of a register */
    int64_t rows, cols;     /* of a tile */
    size_t tiles, units;    /* units: pieces of work handed to threads */
} emu_group;

typedef struct {
    emu_kind kind;
    const emu_node *node;
    emu_group *group; /* EW */
} emu_step;

struct emu_plan {
    arena *mem;
    const dev_code *code;
    const soft_params *params;
    kern *k;
    int n_vals, cap_vals;
    emu_val *vals;
    int n_roots, cap_roots;
    emu_root *roots;
    int n_nodes, cap_nodes;
    emu_node *nodes;
    int *of; /* value of the code -> value of the plan, -1 not yet */
    int n_steps;
    emu_step *steps;
    char **base; /* address of each root during a run */
    char *work;
    size_t work_bytes;
    char *scratch;
    size_t scratch_bytes;      /* registers of all units */
    char **stage;              /* per output: own memory when it is also an input */
    bool exact;                /* the chip's own arithmetic */
    bool over_zero, low_cliff; /* exact: switches.def */
    /* exact: functions of one fp16 number, by kernel; NULL: not in use */
    const half *table[EMU_GELU_EXACT + 1];
    emu_function *functions;
    bool finite_limit; /* the 32768 cliff holds (not in wide) */
    dev_counts counts; /* of `product`, while the device is asked to count */
    dev_product *product;
};

/* Compile p's code; everything lives in a fresh arena of the plan. */
rc emu_compile(const dev_code *c, const soft_params *params, kern *k, emu_plan **out);
void emu_plan_free(emu_plan *p);
/* Take constants anew from the code (after dev_code_bind). */
rc emu_fill_constants(emu_plan *p);
/* Run on surfaces in binding order. */
rc emu_run(emu_plan *p, soft_surface *const *s, dev_stats *stats);

/* ---- values.c; -1 = out of memory, also where a value given is -1 ---- */
/* A fresh packed value with a root of its own. */
int emu_add_val(emu_plan *p, int rank, const int64_t *d, mil_dtype store);
int emu_view_of(emu_plan *p, int val, int rank, const int64_t *d, emu_view v);
/* NULL: no memory. The address lasts until the next node is added. */
emu_node *emu_add_node(emu_plan *p, emu_kind kind);
rc emu_add_copy(emu_plan *p, int from, int to);
/* The same elements packed: itself, or a copy. */
int emu_packed(emu_plan *p, int val);
int emu_permuted(emu_plan *p, int val, const int *perm);
int emu_reshaped(emu_plan *p, int val, int rank, const int64_t *d);
bool emu_is_packed(const emu_val *v);
bool emu_is_whole(const emu_plan *p, const emu_val *v); /* packed, and all of its root */
int64_t emu_count(const emu_val *v);
static inline size_t emu_size(const emu_val *v)
{
    return mil_dtype_bytes(v->store);
}
static inline kern_type emu_kern_type(mil_dtype s)
{
    return s == MIL_FP16 ? KERN_F16 : KERN_F32;
}
mil_dtype emu_store_of(const emu_plan *p, mil_dtype t);
/* The value of a value of the code: known already, or a constant made now. */
int emu_value(emu_plan *p, int code_value);
int emu_input(emu_plan *p, int code_value, int port);
/* A fresh packed value of the type of a code value. */
int emu_result(emu_plan *p, int code_value);

/* ---- lower*.c ---- */
rc emu_lower(emu_plan *p);
rc emu_lower_ew(emu_plan *p, const dev_op *o, int *out);
rc emu_add_ew(emu_plan *p, emu_ew ew, int kernel, int n_in, const int *in, int out);
int emu_add_softmax(emu_plan *p, int val, int axis);
rc emu_lower_reduce(emu_plan *p, const dev_op *o, int *out);
rc emu_lower_matmul(emu_plan *p, const dev_op *o, int *out);
rc emu_lower_linear(emu_plan *p, const dev_op *o, int *out);
rc emu_lower_conv(emu_plan *p, const dev_op *o, int *out);
rc emu_lower_sdpa(emu_plan *p, const dev_op *o, int *out);
/* out = x y over the last two axes; out has a stride of 1 in one of them. */
rc emu_multiply(emu_plan *p, int x, int y, int out);
rc emu_add_conv(emu_plan *p, int x, int w, int bias, const emu_im2col *c, int64_t groups,
                int y);

/* ---- int8.c: exact. False: not an op of int8 operands; else r says how it went ---- */
bool emu_lower_int8_linear(emu_plan *p, const dev_op *o, int *out, rc *r);
bool emu_lower_int8_conv(emu_plan *p, const dev_op *o, const emu_im2col *c, int *out,
                         rc *r);
void emu_int8_run(const emu_plan *p, const emu_node *n, atomic_ullong *n_over);
uint64_t emu_int8_products(const emu_plan *p, const emu_node *n); /* of no zeros */

/* ---- winograd.c: exact ---- */
bool emu_is_winograd(const emu_plan *p, const emu_im2col *c, mil_dtype store);
/* Packed values, as for emu_add_conv without groups. */
rc emu_lower_winograd(emu_plan *p, int x, int w, int bias, const emu_im2col *c, int y);
/* Adds the results that overflowed to *n_over. */
void emu_winograd_run(const emu_plan *p, const emu_node *n, atomic_ullong *n_over);
/* A slice of width-contiguous places, with the crop unit of H13 and H14. */
rc emu_add_slice(emu_plan *p, int x, const int64_t *begin, const int64_t *step,
                 const int64_t *d, int *out);

/* ---- lower_take.c: places ---- */
rc emu_lower_take(emu_plan *p, const dev_op *o, int *out);
rc emu_lower_shuffle(emu_plan *p, const dev_op *o, int *out);
rc emu_lower_pick(emu_plan *p, const dev_op *o, int *out);
/* A packed value of extents d; map[i] NULL: as it stands. The maps hold places of
 * x along each axis, EMU_NOWHERE for the filling. -1: no memory. */
int emu_add_take(emu_plan *p, int x, const int64_t *d, int64_t *const *map, double fill);
void emu_take_run(kern *k, const emu_take *t, const char *x, char *to);
/* E_SHAPE: an index is outside its axis. */
rc emu_pick_run(const emu_plan *p, const emu_node *n);

/* ---- lower_rows.c, row_*.c ---- */
rc emu_lower_rows(emu_plan *p, const dev_op *o, int *out);
uint64_t emu_rows_run(const emu_plan *p, const emu_node *n); /* infinities made */
/* Element i of parameter k (from 1), `absent` if there is none. */
double emu_param(const emu_row *r, int k, size_t i, double absent);
emu_row_fn emu_row_max_pool, emu_row_avg_pool, emu_row_l2_pool, emu_row_bilinear,
    emu_row_batch_norm, emu_row_norm, emu_row_instance_norm, emu_row_l2_norm,
    emu_row_local_norm, emu_row_sum_square, emu_row_l1, emu_row_l2, emu_row_log_sum,
    emu_row_log_sum_exp, emu_row_cumsum, emu_row_arg_max, emu_row_arg_min, emu_row_sorted,
    emu_row_quantize, emu_row_dequantize, emu_row_resample, emu_row_affine;

/* ---- lower_product.c ---- */
rc emu_lower_einsum(emu_plan *p, const dev_op *o, int *out);
rc emu_lower_deconv(emu_plan *p, const dev_op *o, int *out);

/* ---- function.c; NULL: no memory ---- */
const emu_function *emu_function_of(emu_plan *p, const dev_op *o, mil_dtype store);

/* ---- element.c ---- */
/* A real result, rounded as the plan's arithmetic does. */
void emu_round(const emu_plan *p, mil_dtype t, size_t n, const double *x, char *to);

/* ---- chip.c: exact ---- */
const half *emu_chip_table(emu_plan *p, int kernel); /* [65536]; NULL: no memory */
/* `inverse` is the table of INVERSE, for DIV. flushed: NULL, or results that are 0
 * by rounding are added. z may be x or y. */
void emu_chip_binary(kern_binary_op op, size_t n, const half *x, int x_step,
                     const half *y, int y_step, half *z, const half *inverse,
                     uint64_t *flushed);
void emu_chip_unary(const half *table, int kernel, size_t n, const half *x, half *z,
                    uint64_t *flushed);
float emu_chip_sum(const half *x, size_t n, size_t stride);
void emu_chip_softmax(const half *e, const half *inverse, size_t n, const half *x,
                      half *z);

/* ---- fuse.c, group.c, memory.c ---- */
rc emu_fuse(emu_plan *p);
rc emu_plan_group(emu_plan *p, int n, const int *nodes, emu_group **out);
rc emu_place(emu_plan *p);

/* ---- tile.c, move.c ---- */
typedef struct {
    const emu_plan *p;
    const emu_group *g;
    atomic_ullong *n_inf, *flushed;
} emu_tiles;
void emu_tile_unit(void *ctx, size_t unit); /* a kern_task over emu_tiles */
void emu_plan_copy(emu_copy *c);
void emu_copy_run(kern *k, const emu_copy *c, const char *from, char *to);
/* rows x cols of `size` bytes from strides rs, cs into packed rows. */
void emu_gather(const kern *k, size_t size, int64_t rows, int64_t cols, const char *from,
                int64_t rs, int64_t cs, char *to);
void emu_im2col_run(kern *k, const emu_im2col *c, size_t size, const char *x, char *to);

/* The address of a value's first element. */
static inline char *emu_at(const emu_plan *p, int val)
{
    const emu_val *v = &p->vals[val];
    return p->base[v->v.root] + v->v.off * (int64_t)mil_dtype_bytes(v->store);
}

#endif
