/* dev_help.h - what the tests of the device room share: programs written as
 * MIL text, and numbers put on surfaces and taken off them.
 *
 * Surfaces made here have at least 48 KiB in multiples of 16 KiB, so that no
 * rule about surfaces, disputed or not, is broken by accident. */
#ifndef DEV_HELP_H
#define DEV_HELP_H

#include "test.h"
#include "base/half.h"
#include "dev/device.h"
#include "dev/profile.h"

/* PROGRAM("TYPE in_a, TYPE in_b", LET(...) LET(...), "out") */
#define PROGRAM(in, body, out)                                                    \
    "program(1.3)\n"                                                              \
    "[buildInfo = dict<string, string>({{\"coremlc-version\", \"3505.4.1\"}})]\n" \
    "{\n    func main<ios18>(" in ") {\n" body "    } -> (" out ");\n}\n"
#define LET(type, name, expr) \
    "        " type " " name " = " expr "[name = string(\"" name "\")];\n"
#define CONST(type, name, val)                                                     \
    "        " type " " name " = const()[name = string(\"" name "\"), val = " type \
    "(" val ")];\n"
#define ROW32 "tensor<fp16, [1, 4, 1, 32]>" /* 128 elements */

static inline rc try_load(device *d, const char *text, const mil_blob_file *files,
                          int n_files, dev_program **out)
{
    dev_source src = {"test", text, strlen(text), files, n_files};
    return dev_load(d, &src, out);
}

static inline dev_program *load(device *d, const char *text)
{
    dev_program *p = NULL;
    assert_ok(try_load(d, text, NULL, 0, &p));
    return p;
}

static inline size_t roomy(size_t bytes)
{
    if (bytes < 49152) bytes = 49152;
    return (bytes + 16383) / 16384 * 16384;
}

static inline dev_surface *surface_of(device *d, const mil_type *t)
{
    dev_surface *s = NULL;
    dev_shape shape = {.dtype = t->dtype, .rank = t->rank};
    for (int i = 0; i < t->rank; i++) shape.d[i] = t->d[i];
    shape.bytes = roomy((size_t)mil_count(t) * mil_dtype_bytes(t->dtype));
    assert_ok(dev_surface_new(d, &shape, &s));
    return s;
}

/* fp16 [1, c, 1, s] in `bytes`, 0 = roomy. */
static inline dev_surface *surface(device *d, int64_t c, int64_t s, size_t bytes)
{
    dev_surface *out = NULL;
    dev_shape shape = {MIL_FP16, 4, {1, c, 1, s}, bytes};
    if (!bytes) shape.bytes = roomy((size_t)(c * s) * 2);
    assert_ok(dev_surface_new(d, &shape, &out));
    return out;
}

/* Values of any type, from and to doubles. */
static inline void store_value(mil_dtype t, void *p, size_t i, double v)
{
    switch (t) {
    case MIL_FP16:
        ((half *)p)[i] = half_from_double(v);
        break;
    case MIL_FP32:
        ((float *)p)[i] = (float)v;
        break;
    case MIL_INT32:
        ((int32_t *)p)[i] = (int32_t)v;
        break;
    case MIL_INT16:
        ((int16_t *)p)[i] = (int16_t)v;
        break;
    case MIL_UINT16:
        ((uint16_t *)p)[i] = (uint16_t)v;
        break;
    case MIL_INT8:
        ((int8_t *)p)[i] = (int8_t)v;
        break;
    default:
        ((uint8_t *)p)[i] = (uint8_t)v;
        break;
    }
}

static inline double load_value(mil_dtype t, const void *p, size_t i)
{
    switch (t) {
    case MIL_FP16:
        return half_to_double(((const half *)p)[i]);
    case MIL_FP32:
        return ((const float *)p)[i];
    case MIL_INT32:
        return ((const int32_t *)p)[i];
    case MIL_INT16:
        return ((const int16_t *)p)[i];
    case MIL_UINT16:
        return ((const uint16_t *)p)[i];
    case MIL_INT8:
        return ((const int8_t *)p)[i];
    default:
        return ((const uint8_t *)p)[i];
    }
}

static inline void put_values(dev_surface *s, mil_dtype t, const double *v, size_t n)
{
    void *p;
    assert_ok(dev_map(s, &p));
    for (size_t i = 0; i < n; i++) store_value(t, p, i, v[i]);
    assert_ok(dev_unmap(s));
}

static inline void get_values(dev_surface *s, mil_dtype t, double *v, size_t n)
{
    void *p;
    assert_ok(dev_map(s, &p));
    for (size_t i = 0; i < n; i++) v[i] = load_value(t, p, i);
    assert_ok(dev_unmap(s));
}

/* n fp16 elements, all of one value or counting up from `first` by `step`. */
static inline void put_ramp(dev_surface *s, size_t n, double first, double step)
{
    void *p;
    assert_ok(dev_map(s, &p));
    for (size_t i = 0; i < n; i++)
        ((half *)p)[i] = half_from_double(first + step * (double)i);
    assert_ok(dev_unmap(s));
}

static inline void assert_ramp(dev_surface *s, size_t n, double first, double step)
{
    void *p;
    assert_ok(dev_map(s, &p));
    for (size_t i = 0; i < n; i++)
        assert_near(half_to_double(((half *)p)[i]), first + step * (double)i, 0);
    assert_ok(dev_unmap(s));
}

static inline rc run_and_wait(dev_program *p, dev_surface *const *in, int n_in,
                              dev_surface *const *out, int n_out, dev_stats *stats)
{
    uint64_t ticket;
    TRY(dev_run(p, in, n_in, out, n_out, &ticket));
    return dev_wait(p->dev, ticket, stats);
}

#endif
