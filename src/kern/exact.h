/* exact.h - matrix products with the engine's own arithmetic, bit for bit.
 *
 * The multiply-accumulate array of M1 to M6 sums in 32-bit fixed point with 16
 * fraction bits. That is no description by its maker: it is the one arithmetic
 * found that gives the errors which ANEForge measured on those chips, to the
 * last digit (tests/data/golden).
 *
 *   operands  fp16. Exponent field 0 means 2^-14 without a leading one, field
 *             31 is a number like any other: infinity is 65536.
 *   product   dropped whole if e(a) + e(b) <= -17, whatever the fractions; else
 *             rounded to a multiple of 2^-16, halves away from zero.
 *   sum       begins with the bias, rounded alike, and takes the products in
 *             ascending k. From |sum| = 2^15 on it is infinite and stays so.
 *   result    the sum rounded once to fp16, halves away from zero; there is no
 *             negative zero.
 *
 * Whole numbers add up to the same sum in any order unless one overflows on the
 * way. By Cauchy and Schwarz no part of a sum is over |a| |b| (Euclidean lengths
 * of the parts of row and column) and half a unit for each rounding. Over each
 * block of k, the bound of a tile tells which of the kernels of exact_way may
 * add it up, and the sum of these bounds, with the bias, whether any sum can
 * have overflowed. From the block on in which one can, the tile is added up
 * one product after another, in ascending k, each sum being watched. So bits
 * depend on nothing but the numbers. */
#ifndef KERN_EXACT_H
#define KERN_EXACT_H

#include <stdatomic.h>
#include "kern/table.h"

#define EXACT_BLOCK 256   /* of k: a panel of B stays in the second-level cache */
#define EXACT_COUNTED 64  /* of k: counted at a time */
#define EXACT_TILES 4     /* tiles of m in a task */
#define EXACT_COLUMNS 512 /* of a task, at most about */
#define EXACT_LEAST (-16) /* of e(a) + e(b) that is kept */

typedef struct {
    const kern_table *t;
    size_t m, n, kk;
    kern_mat a, b;
    kern_out c;
    const kern_exact_tail *tail;
    size_t n_tiles, n_panels, n_blocks;
    /* Batch entries and panels in work, and tasks made of them. */
    size_t batch0, n_batch, panel0, panels, tasks_m, tasks_n;
    float *packed; /* panels of B */
    kern_scratch *own;
    _Atomic uint64_t saturated, products, dropped;
} exact_product;

/* Where the sums of row i begin. */
int64_t exact_bias(const exact_product *p, size_t i);

/* Floats of a packed panel of B: numbers, exponents, bounds. */
size_t exact_panel_floats(const exact_product *p);
size_t exact_own_bytes(const exact_product *p);

/* Tasks for the pool; ctx is the product. */
void exact_pack_task(void *ctx, size_t i, int who);     /* n_batch * panels */
void exact_multiply_task(void *ctx, size_t i, int who); /* n_batch * tasks_n * tasks_m */
/* All batches * blocks of k. */
void exact_count_task(void *ctx, size_t i, int who);

#endif
