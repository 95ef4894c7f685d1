/* element.c - elements of any type as numbers, for work that has no kernel. */
#include <math.h>
#include "dev/emu/emu.h"

double emu_element(mil_dtype t, const char *p, size_t i)
{
    switch (t) {
    case MIL_FP16:
        return half_to_double(((const half *)p)[i]);
    case MIL_FP32:
        return ((const float *)p)[i];
    case MIL_INT8:
        return ((const int8_t *)p)[i];
    case MIL_INT16:
        return ((const int16_t *)p)[i];
    case MIL_UINT16:
        return ((const uint16_t *)p)[i];
    case MIL_INT32:
        return ((const int32_t *)p)[i];
    default:
        return ((const uint8_t *)p)[i];
    }
}

/* Conversions to whole types saturate, NaN becomes 0: never undefined. */
static double clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x == x ? x : 0;
}

void emu_set_element(mil_dtype t, char *p, size_t i, double x)
{
    switch (t) {
    case MIL_FP16:
        ((half *)p)[i] = half_from_double(x);
        break;
    case MIL_FP32:
        ((float *)p)[i] = (float)x;
        break;
    case MIL_INT8:
        ((int8_t *)p)[i] = (int8_t)clamp(x, -128, 127);
        break;
    case MIL_INT16:
        ((int16_t *)p)[i] = (int16_t)clamp(x, -32768, 32767);
        break;
    case MIL_UINT16:
        ((uint16_t *)p)[i] = (uint16_t)clamp(x, 0, 65535);
        break;
    case MIL_INT32:
        ((int32_t *)p)[i] = (int32_t)clamp(x, INT32_MIN, INT32_MAX);
        break;
    case MIL_BOOL:
        ((uint8_t *)p)[i] = x != 0;
        break;
    default:
        ((uint8_t *)p)[i] = (uint8_t)clamp(x, 0, 255);
        break;
    }
}

/* On the chip what has no value is +0, and no zero is negative (chip.c). */
void emu_round(const emu_plan *p, mil_dtype t, size_t n, const double *x, char *to)
{
    bool chip = p->exact && t == MIL_FP16;
    for (size_t i = 0; i < n; i++) {
        if (!chip) {
            emu_set_element(t, to, i, x[i]);
            continue;
        }
        half h = isnan(x[i]) ? 0 : half_from_double_away(x[i]);
        ((half *)to)[i] = (half)(h == 0x8000 ? 0 : h);
    }
}
