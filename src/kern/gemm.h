/* gemm.h - how a matrix product is cut, for the two files that do it.
 *
 * The product is cut in three ways.
 *   k      in equal blocks of at most K_BLOCK, a function of k alone. Each
 *          element of C sums a block in registers, then adds the block to a
 *          partial sum in fp32: this is the whole order of a sum.
 *   n      in panels as wide as the register tile. B is packed panel by panel,
 *          [k][tile_n], by all threads, before anyone multiplies.
 *   m      in tiles of nearly equal height, at most the register tile's, so
 *          that no thin tile is left at the end.
 * A task is a rectangle of tiles x panels. It packs its tiles of A for one
 * block of k into the thread's own second-level cache, multiplies them with
 * its panels, and keeps the partial sums there too until the last block.
 *
 * A product with few columns is turned: C^T = B^T A^T, so that vectors run along
 * m; the sums are the same, only their way into C is longer.
 *
 * Where all of A fits in a thread's cache, as in attention, tasks are cut along
 * n and the batch alone; then only one task wants a panel of B, and packs it
 * for itself just before use. */
#ifndef KERN_GEMM_H
#define KERN_GEMM_H

#include <stdatomic.h>
#include "kern/table.h"

/* Half a megabyte of B's panel, A's tiles and C's sums: what a core keeps to
 * itself on every processor of the last ten years but the smallest. */
#define K_BLOCK 384

typedef struct {
    const kern_table *table;
    size_t m, n, kk;
    kern_mat a, b;
    kern_out c;
    const kern_tail *tail;
    float alpha, limit;
    bool turned; /* m and n, A and B below are those of the transposed product */
    size_t k_block, n_blocks; /* of one product */
    size_t n_tiles, n_panels; /* of C */
    size_t n_summed;          /* products in one sum: 1, or the batch */
    /* The batch entries and panels in work, and how they are cut into tasks:
     * task = (batch * tasks_n + column) * tasks_m + row. */
    size_t batch0, n_batch, panel0, panels;
    size_t tasks_m, tasks_n;
    bool own_b; /* each task packs its panels of B for itself */
    size_t n_threads;
    float *packed;     /* [n_batch][panels][n_summed][kk][tile_n] */
    kern_scratch *own; /* [n_threads] */
    _Atomic uint64_t n_inf;
} product;

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Floats of one packed panel of B: all k of all summed products. */
static inline size_t panel_floats(const product *p)
{
    return p->n_summed * p->kk * p->table->tile_n;
}

/* Floats of a thread's own scratch: packed A, partial sums, bias, a panel of
 * B; a function of the shape and of tasks_m, tasks_n, panels and own_b. */
size_t gemm_a_floats(const product *p);
size_t gemm_part_floats(const product *p);
size_t gemm_own_floats(const product *p);

/* Tasks for the pool; ctx is the product. */
void gemm_pack_task(void *ctx, size_t i, int who);     /* n_batch * panels * n_summed */
void gemm_multiply_task(void *ctx, size_t i, int who); /* n_batch * tasks_n * tasks_m */

#endif
