/* half.h - IEEE binary16 ("fp16") as uint16_t, with bit-exact conversions.
 *
 * half_from_float rounds to nearest, ties to even (what CPUs do);
 * half_from_float_away rounds ties away from zero (what the engine does on
 * store; facts: M1..M6 agree). Overflow gives infinity, NaN stays NaN.
 * Vector forms give the same bits as the scalar twins. */
#ifndef BASE_HALF_H
#define BASE_HALF_H

#include <stddef.h>
#include <stdint.h>

typedef uint16_t half;

float half_to_float(half h);
half half_from_float(float f);
half half_from_float_away(float f);
double half_to_double(half h);
half half_from_double(double d);      /* one rounding, to nearest even */
half half_from_double_away(double d); /* one rounding, ties away */

void half_to_floats(const half *in, float *out, size_t n);
void half_from_floats(const float *in, half *out, size_t n);
void half_from_floats_away(const float *in, half *out, size_t n);

#define HALF_MAX 65504.0f
#define HALF_INF 0x7c00u

#endif
