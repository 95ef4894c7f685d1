/* half_wide.h - the same conversions eight at a time, where the processor has
 * them. Only half.c and its tests call these; each does a whole number of
 * groups and says how many elements it did, the caller does the rest. */
#ifndef BASE_HALF_WIDE_H
#define BASE_HALF_WIDE_H

#include "base/half.h"

size_t half_wide_to_floats(const half *in, float *out, size_t n);
size_t half_wide_from_floats(const float *in, half *out, size_t n);
size_t half_wide_from_floats_away(const float *in, half *out, size_t n);

#endif
