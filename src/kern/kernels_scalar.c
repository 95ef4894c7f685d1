/* kernels_scalar.c - the kernels in plain C, for any machine. */
#include "kern/vec_scalar.h"
#include "kern/all_body.inc"
