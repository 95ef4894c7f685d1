/* element.c - elements of any type as numbers, for work that has no kernel. */
#include "base/half.h"
#include "mil/mil.h"

double mil_element(mil_dtype t, const void *p, size_t i)
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
    case MIL_UINT32:
        return ((const uint32_t *)p)[i];
    case MIL_INT64:
        return (double)((const int64_t *)p)[i];
    case MIL_UINT64:
        return (double)((const uint64_t *)p)[i];
    case MIL_BOOL:
    case MIL_UINT8:
        return ((const uint8_t *)p)[i];
    default:
        return 0;
    }
}

static double clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x == x ? x : 0;
}

void mil_set_element(mil_dtype t, void *p, size_t i, double x)
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
