/* blas.h - the one product that a machine's own BLAS may do better: the host's
 * gradients of weights, fp32 results with no tail.
 *
 * On macOS that is Accelerate, which reaches the matrix unit of the processor;
 * elsewhere a CBLAS, when the build asks for one (make CBLAS=1). Neither has
 * fp16, so operands are widened first. Only a kern opened with isa "auto" uses
 * it: its bits are the library's. */
#ifndef KERN_BLAS_H
#define KERN_BLAS_H

#include "kern/table.h"

/* cblas_sgemm; the enums of cblas.h are ints. */
typedef void kern_sgemm(int order, int turn_a, int turn_b, int m, int n, int k,
                        float alpha, const float *a, int a_stride, const float *b,
                        int b_stride, float beta, float *c, int c_stride);

/* NULL where there is none; *name says which. */
kern_sgemm *blas_find(const char **name);
/* Whether such a product is one for the library. */
bool blas_wants(const kern *k, size_t m, size_t n, size_t kk, kern_mat a, kern_mat b,
                kern_out c, const kern_tail *tail);
/* C (+)= sum over the batch of A_i B_i. The pool is held by the caller. */
rc blas_sum(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
            kern_mat b, kern_out c);

#endif
