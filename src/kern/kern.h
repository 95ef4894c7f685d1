/* kern.h - dense and elementwise CPU kernels and the one thread pool.
 *
 * Knows nothing of programs or graphs: pointers, strides, counts. A `kern` is
 * a chosen instruction set plus a pool of threads. Everything here gives the
 * same bits for any number of threads (work is cut in fixed pieces, sums are
 * never split across threads); bits may differ between instruction sets,
 * except where a twin is promised.
 *
 * Numbers: KERN_F16 is IEEE half, widened on load, computed in fp32 (FMA),
 * rounded once on store, to nearest even. */
#ifndef KERN_KERN_H
#define KERN_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/half.h"

typedef struct kern kern;

/* threads 0 = one per core. isa NULL or "auto" takes the best this processor
 * has; "scalar", "avx2", "avx512", "neon" force one (E_CONFIG if absent). */
rc kern_open(int threads, const char *isa, kern **out);
void kern_close(kern *k);
const char *kern_isa(const kern *k);
int kern_threads(const kern *k);
/* The BLAS that fp32 products without a tail go to ("accelerate", "accelerate32",
 * "cblas"), or NULL. kern_open takes one only with isa "auto", on macOS or in a
 * build that asked for one; the bits of such products are the library's. */
const char *kern_blas(const kern *k);
/* Take another: "auto", "own" (none), or one of those names (E_CONFIG if absent).
 * `lib` stands in for the library it is looked for in; NULL = the system's. Not
 * while a product runs; what was reserved must be reserved again. */
rc kern_use_blas(kern *k, const char *which, const char *lib);

/* Run fn(ctx, i) for i in [0, n) on the pool; the caller works too and returns
 * when all are done. May be called from several threads at once: the calls
 * are served one after another (a pool is one machine). Not from inside fn. */
typedef void (*kern_task)(void *ctx, size_t i);
void kern_for(kern *k, size_t n, kern_task fn, void *ctx);

typedef enum { KERN_F16, KERN_F32 } kern_type;
static inline size_t kern_size(kern_type t)
{
    return t == KERN_F16 ? 2 : 4;
}

/* ---- matrix products ---------------------------------------------------
 * C[m,n] (+)= alpha * A[m,k] B[k,n], batched. Element (i,j) of batch b of a
 * matrix is at p + b*batch + i*rs + j*cs (in elements). One of rs, cs is 1
 * for A and B in fast paths; any strides work. C has cs = 1. */
typedef struct {
    const void *p;
    kern_type type;
    ptrdiff_t rs, cs, batch;
} kern_mat;
typedef struct {
    void *p;
    kern_type type;
    ptrdiff_t rs, batch;
    bool add; /* C += (fp32 C only, e.g. gradients) */
} kern_out;
typedef struct {
    float alpha;          /* applied to the fp32 sum; 0 means 1 */
    const void *row_bias; /* [m] added to the sum before rounding, or NULL */
    kern_type row_bias_type;
    float limit;     /* |sum| >= limit becomes +-infinity; 0 = none.
                        The engine's is 32768. */
    uint64_t *n_inf; /* infinities stored (overflow of fp16 too, NaN not) are
                        added here; may be NULL */
} kern_tail;
/* C = alpha * sum + bias, then C_before + that if add, then the limit, then one
 * rounding. Sums run over k in ascending blocks; the order is a function of k
 * alone, so an element has the same bits in a larger or smaller product, in any
 * batch, for any threads. tail may be NULL. Scratch for packing is kept by k
 * and grows on first use (E_MEMORY). E_SHAPE for adding to an fp16 C. */
rc kern_gemm(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
             kern_mat b, kern_out c, const kern_tail *tail);
/* Reserve the scratch of such a product beforehand, alone, in any batch, or
 * summed over a batch (then kk is that of all together): no allocation after. */
rc kern_gemm_reserve(kern *k, size_t m, size_t n, size_t kk);
/* A whole batch summed into one C: C += alpha * sum_b A_b B_b (weight
 * gradients over a batch). Same order rules. */
rc kern_gemm_sum(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
                 kern_mat b, kern_out c, const kern_tail *tail);

/* The engine's own product: A and B are fp16, sums are fixed point with 16
 * fraction bits (exact.h says how, and whence). The bits are the same for every
 * instruction set and number of threads. */
typedef struct {
    float alpha;      /* applied to the finished sum, before its rounding; 0 means 1 */
    const void *bias; /* [m], where sums begin, or NULL */
    kern_type bias_type;
    bool raw;            /* C is int32_t: the sum itself, INT32_MIN or INT32_MAX
                            where it overflowed; alpha is not applied */
    bool over_zero;      /* a sum that overflowed gives 0 instead of infinity */
    bool low_cliff;      /* one that rounds to 32768 has overflowed */
    uint64_t *saturated; /* sums that overflowed are added here; may be NULL */
    /* Both NULL: not counted, which costs nothing. */
    uint64_t *products; /* of operands that are both not zero; may be NULL */
    uint64_t *dropped;  /* those of them that were dropped */
} kern_exact_tail;
/* c.type and c.add are not looked at. E_SHAPE unless a and b are fp16. */
rc kern_exact_gemm(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
                   kern_mat b, kern_out c, const kern_exact_tail *tail);
rc kern_exact_reserve(kern *k, size_t m, size_t n, size_t kk);

/* ---- elementwise -------------------------------------------------------
 * n elements; a step of 0 repeats one element, 1 walks. x, y, z may be the
 * same array. Serial: callers cut work and use kern_for. f16 forms compute in
 * fp32 and round once, to nearest even. Transcendentals: error <= 4 ulp of fp32
 * before rounding (vector polynomials), saturating as the maths does.
 * MAX2, MIN2 and RELU keep a NaN; POW has the special cases of C99; ROUND takes
 * ties away from zero; SIGN of a zero or NaN is itself. */
typedef enum {
#define KBIN(name) KERN_##name,
#define KUN(name)
#include "kern/elementwise.def"
    KERN_BINARY_COUNT
} kern_binary_op;
typedef enum {
#define KBIN(name)
#define KUN(name) KERN_U_##name,
#include "kern/elementwise.def"
    KERN_UNARY_COUNT
} kern_unary_op;

void kern_binary(const kern *k, kern_binary_op op, kern_type t, size_t n, const void *x,
                 int x_step, const void *y, int y_step, void *z);
void kern_unary(const kern *k, kern_unary_op op, kern_type t, size_t n, const void *x,
                void *z);
/* z = c ? x : y, c is bytes, any but 0 is true. */
void kern_select(const kern *k, kern_type t, size_t n, const uint8_t *c, int c_step,
                 const void *x, int x_step, const void *y, int y_step, void *z);
void kern_convert(const kern *k, kern_type from, kern_type to, size_t n, const void *x,
                  void *z);
void kern_fill(kern_type t, size_t n, float v, void *z);
/* Infinities (or NaNs) among n elements. */
uint64_t kern_count_bad(const kern *k, kern_type t, size_t n, const void *x);
/* Transpose a matrix of rows x cols elements of `size` bytes (1, 2, 4). */
void kern_transpose(const kern *k, size_t size, size_t rows, size_t cols, const void *x,
                    size_t x_stride, void *z, size_t z_stride);

/* ---- reductions over one axis ------------------------------------------
 * Row form: n contiguous elements to one. Column form: for each of n columns
 * over `rows` rows of stride `stride`. Accumulated in fp32 in fixed chunks. Of
 * nothing: 0, -infinity, infinity. NaN anywhere gives NaN. */
typedef enum { KERN_SUM, KERN_MAX, KERN_MIN } kern_reduce_op;
float kern_reduce_row(const kern *k, kern_reduce_op op, kern_type t, size_t n,
                      const void *x);
void kern_reduce_cols(const kern *k, kern_reduce_op op, kern_type t, size_t rows,
                      size_t n, const void *x, size_t stride, float *z);
/* softmax of one contiguous row, maximum subtracted; in may equal out. */
void kern_softmax_row(const kern *k, kern_type t, size_t n, const void *x, void *z);

/* ---- training ----------------------------------------------------------
 * Sum of squares in double, in fixed chunks (any thread count, same bits). */
double kern_sum_squares(kern *k, size_t n, const float *x);
/* True when every element is finite. */
bool kern_all_finite(kern *k, size_t n, const float *x);
typedef struct {
    float lr, beta1, beta2, eps, weight_decay;
    float grad_scale;   /* multiplies g first (unscale, clip, accumulation) */
    float bias1, bias2; /* 1 - beta^t */
    float half_scale;   /* of the fp16 copy alone, a power of two; 0 means 1 */
} kern_adamw_args;
/* Fused AdamW over n parameters, threaded; the fp16 copy of the new weights is
 * written to w16 when it is not NULL. Loshchilov & Hutter 2019. */
void kern_adamw(kern *k, size_t n, float *w, float *m, float *v, const float *g,
                half *w16, const kern_adamw_args *args);
/* Cross-entropy of one column set: logits are n_parts blocks of rows
 * [rows_i, n_cols] (vocabulary over all parts), targets[c] in [0, vocab).
 * Writes loss per column (nats, double precision sums) and, when d != NULL,
 * d_logits = (softmax - onehot) * d_scale in place of/into d parts (may equal
 * the logits; all parts have d, or none). A target < 0 is ignored (loss 0,
 * gradient 0); one >= vocab is E_SHAPE. A NaN or +infinity among the logits of a
 * column makes its loss not finite. Threaded. */
typedef struct {
    const void *logits;
    void *d;
    size_t rows;
    float unit; /* a logit is its number times this; 0 means 1 */
} kern_ce_part;
rc kern_cross_entropy(kern *k, kern_type t, size_t n_parts, const kern_ce_part *parts,
                      size_t n_cols, size_t stride, const int32_t *targets, float d_scale,
                      double *loss);

/* The processor's own fp32 FMA peak with these threads, GFLOP/s, measured in
 * about `ms` milliseconds from registers alone; with the best instruction set it
 * has, whichever k uses. */
double kern_peak_gflops(kern *k, double ms);

#endif
