/* kernels_avx2.c - the kernels for AVX2; nothing on other machines. */
#if defined(__AVX2__)
#include "kern/vec_avx2.h"
#include "kern/all_body.inc"
#else
typedef int kernels_avx2_absent; /* C wants something in every file */
#endif
