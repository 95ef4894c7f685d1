/* table.h - what an instruction set provides; kern's own files see this.
 *
 * The bodies in *_body.inc are written once over the vector words of a
 * vec_*.h and compiled once per instruction set, each into one const table.
 * kern_open() chooses the table; everything above it is plain C. */
#ifndef KERN_TABLE_H
#define KERN_TABLE_H

#include <pthread.h>
#include "kern/kern.h"
#include "kern/pool.h"

/* One register tile of C, [m <= tile_m, n <= tile_n], after one block of k.
 * While blocks remain the fp32 sum waits in `part`; after the last it gets
 * the tail and is rounded once into c. */
typedef struct {
    bool first, last; /* of the blocks of k */
    float *part;      /* [m][tile_n]; untouched when first && last */
    void *c;          /* element (0,0) */
    kern_type type;
    bool add;
    bool turned; /* the tile is of C transposed: its (r, j) is element (j, r) of C */
    ptrdiff_t rs;
    size_t n; /* columns that exist */
    float alpha;
    const float *bias; /* one for each row of C, or NULL */
    float limit;       /* |v| >= limit is stored as infinity */
    uint64_t n_inf;    /* out: infinities stored, added */
} kern_tile;

/* Per column and chunk of rows: maximum and sum of exp(x - maximum). */
typedef struct {
    float *max, *sum;
} kern_lse;

/* How a tile of the engine's own product adds up: by what is known of the sums
 * and products of a block of k. */
typedef enum {
    EXACT_SUMS, /* all sums stay within 2^22 units: added in floats */
    EXACT_EACH, /* each product does: rounded by a float, added as whole numbers */
    EXACT_ANY   /* no sum reaches 2^31 */
} exact_way;

typedef void (*kern_binary_fn)(kern_type t, size_t n, const void *x, int x_step,
                               const void *y, int y_step, void *z);
typedef void (*kern_unary_fn)(kern_type t, size_t n, const void *x, void *z);

typedef struct {
    const char *name;
    kern_binary_fn binary[KERN_BINARY_COUNT];
    kern_unary_fn unary[KERN_UNARY_COUNT];
    void (*select)(kern_type t, size_t n, const uint8_t *c, int c_step, const void *x,
                   int x_step, const void *y, int y_step, void *z);
    void (*convert)(kern_type from, kern_type to, size_t n, const void *x, void *z);
    uint64_t (*count_bad)(kern_type t, size_t n, const void *x);
    void (*transpose)(size_t size, size_t rows, size_t cols, const void *x,
                      size_t x_stride, void *z, size_t z_stride);
    float (*reduce_row)(kern_reduce_op op, kern_type t, size_t n, const void *x);
    void (*reduce_cols)(kern_reduce_op op, kern_type t, size_t rows, size_t n,
                        const void *x, size_t stride, float *z);
    void (*softmax_row)(kern_type t, size_t n, const void *x, void *z);
    double (*sum_squares)(size_t n, const float *x);
    void (*adamw)(size_t n, float *w, float *m, float *v, const float *g, half *w16,
                  const kern_adamw_args *args);
    /* rows x n_cols of logits, x * unit, into max, sum [n_cols]. */
    void (*lse)(kern_type t, size_t rows, size_t n_cols, const void *x, float unit,
                size_t stride, float *max, float *sum);
    /* d = exp(x * unit - max) * factor per column; factor 0 gives 0. */
    void (*softmax_cols)(kern_type t, size_t rows, size_t n_cols, const void *x,
                         float unit, void *d, size_t stride, const float *max,
                         const float *factor);
    /* Register tile, and packing into panels of tile_m rows of A, as [k][m],
     * and tile_n columns of B, as [k][tile_n] filled up with zeros. */
    size_t tile_m, tile_n;
    void (*pack_a)(kern_type t, size_t m, size_t kk, const void *p, ptrdiff_t rs,
                   ptrdiff_t cs, float *out);
    void (*pack_b)(kern_type t, size_t n, size_t kk, const void *p, ptrdiff_t rs,
                   ptrdiff_t cs, float *out);
    void (*tile)(size_t m, size_t kk, const float *a, const float *b, kern_tile *t);
    /* The engine's own arithmetic; exact.h says what these are. A register tile
     * of [exact_m][exact_n] sums, and panels packed as for `tile` above. */
    size_t exact_m, exact_n;
    void (*exact_decode)(size_t n, const half *h, float scale, int32_t nudge,
                         float *value, int32_t *e);
    float (*exact_top)(size_t n, const float *v); /* the greatest size */
    void (*exact_squares)(size_t wide, size_t kc, const float *v, float *sum);
    void (*exact_tile)(exact_way how, size_t m, size_t kk, const float *a,
                       const int32_t *a_least, const float *b, const int32_t *b_e,
                       int32_t *sum);
    void (*exact_watch)(size_t m, size_t kk, const float *a, const int32_t *a_least,
                        const float *b, const int32_t *b_e, int32_t *sum, int32_t *over);
    void (*exact_store)(size_t n, const int32_t *sum, half *out);
    double (*burn)(size_t turns); /* FMAs from registers; returns how many flops */
} kern_table;

extern const kern_table kern_table_scalar;
#if defined(__x86_64__)
extern const kern_table kern_table_avx2, kern_table_avx512;
#elif defined(__aarch64__)
extern const kern_table kern_table_neon;
#endif

/* The table named, or the best this processor has for NULL and "auto"; NULL if
 * it has none of that name. */
const kern_table *kern_choose(const char *isa);

/* A piece of memory that only grows. */
typedef struct {
    void *p;
    size_t bytes;
} kern_scratch;
rc kern_scratch_grow(kern_scratch *s, size_t bytes);

/* cblas_sgemm with sizes of either width; the enums of cblas.h are ints. */
typedef void kern_sgemm(int order, int turn_a, int turn_b, int m, int n, int k,
                        float alpha, const float *a, int a_stride, const float *b,
                        int b_stride, float beta, float *c, int c_stride);
typedef void kern_sgemm_wide(int order, int turn_a, int turn_b, long m, long n, long k,
                             float alpha, const float *a, long a_stride, const float *b,
                             long b_stride, float beta, float *c, long c_stride);
/* One of both, with its name; all NULL = our own kernels. See blas.h. */
typedef struct {
    const char *name;
    kern_sgemm *narrow;
    kern_sgemm_wide *wide;
} kern_library;

struct kern {
    const kern_table *table;
    kern_library library; /* a BLAS for the host's products */
    int n_threads;
    pool *pool;
    /* All scratch belongs to whoever holds the pool. */
    kern_scratch shared; /* packed B, partial sums of reductions */
    kern_scratch *own;   /* [n_threads] packed A and partial C */
};

#endif
