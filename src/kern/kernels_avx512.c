/* kernels_avx512.c - the kernels for AVX-512; nothing on other machines. */
#if defined(__AVX512F__)
#include "kern/vec_avx512.h"
#include "kern/all_body.inc"
#else
typedef int kernels_avx512_absent; /* C wants something in every file */
#endif
