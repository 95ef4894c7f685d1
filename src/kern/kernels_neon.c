/* kernels_neon.c - the kernels for 64-bit ARM; nothing on other machines. */
#if defined(__aarch64__)
#include "kern/vec_neon.h"
#include "kern/all_body.inc"
#else
typedef int kernels_neon_absent; /* C wants something in every file */
#endif
