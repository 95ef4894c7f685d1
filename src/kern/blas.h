/* blas.h - the one product that a machine's own BLAS may do better: the host's
 * gradients of weights, fp32 results with no tail.
 *
 * On macOS that is Accelerate, which reaches the matrix unit of the processor;
 * elsewhere a CBLAS, when the build asks for one (make CBLAS=1). Neither has
 * fp16, so operands are widened first. Its bits are the library's own, so a run
 * records which was used (kern_blas) and device.blas can name one.
 *
 * Accelerate has its sgemm three times (the framework's list of symbols;
 * Apple, "Accelerate / BLAS", cblas_new.h):
 *   cblas_sgemm$NEWLAPACK$ILP64  sizes are `long`; macOS 13.3 and later
 *   cblas_sgemm$NEWLAPACK        the same with `int`; macOS 13.3 and later
 *   cblas_sgemm                  the old one, `int`; any macOS, deprecated
 * A program compiled against Apple's headers never sees these names: a macro
 * picks one. Here the first is taken on purpose: it is the one that Apple
 * maintains, and sizes need no narrowing. The old one serves macOS 13.0 to
 * 13.2; the middle one is nowhere where the first is not. They are looked up
 * by dlsym, so nothing of Apple's is linked and a machine without them falls
 * back to our kernels. A name says nothing of a width, so a tiny product is
 * asked first; what gets it wrong is not used. */
#ifndef KERN_BLAS_H
#define KERN_BLAS_H

#include "kern/table.h"

/* Find `which` ("auto", "own" or a library of blas.c by name) in the library `lib`,
 * NULL = where it is. "auto" never fails: *out is zero where there is
 * none. E_CONFIG: the one named is not there, or computes something else. */
rc blas_find(const char *which, const char *lib, kern_library *out);
/* Whether such a product is one for the library. */
bool blas_wants(const kern *k, size_t m, size_t n, size_t kk, kern_mat a, kern_mat b,
                kern_out c, const kern_tail *tail);
/* C (+)= sum over the batch of A_i B_i. The pool is held by the caller. */
rc blas_sum(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
            kern_mat b, kern_out c);

#endif
