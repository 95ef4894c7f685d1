/* elementwise.c - the serial kernels: one hop through the table. */
#include "kern/table.h"

void kern_binary(const kern *k, kern_binary_op op, kern_type t, size_t n, const void *x,
                 int x_step, const void *y, int y_step, void *z)
{
    k->table->binary[op](t, n, x, x_step, y, y_step, z);
}

void kern_unary(const kern *k, kern_unary_op op, kern_type t, size_t n, const void *x,
                void *z)
{
    k->table->unary[op](t, n, x, z);
}

void kern_select(const kern *k, kern_type t, size_t n, const uint8_t *c, int c_step,
                 const void *x, int x_step, const void *y, int y_step, void *z)
{
    k->table->select(t, n, c, c_step, x, x_step, y, y_step, z);
}

void kern_convert(const kern *k, kern_type from, kern_type to, size_t n, const void *x,
                  void *z)
{
    k->table->convert(from, to, n, x, z);
}

void kern_fill(kern_type t, size_t n, float v, void *z)
{
    half h = half_from_float(v), *z16 = z;
    float *z32 = z;
    if (t == KERN_F16)
        for (size_t i = 0; i < n; i++) z16[i] = h;
    else
        for (size_t i = 0; i < n; i++) z32[i] = v;
}

uint64_t kern_count_bad(const kern *k, kern_type t, size_t n, const void *x)
{
    return k->table->count_bad(t, n, x);
}

void kern_transpose(const kern *k, size_t size, size_t rows, size_t cols, const void *x,
                    size_t x_stride, void *z, size_t z_stride)
{
    k->table->transpose(size, rows, cols, x, x_stride, z, z_stride);
}

float kern_reduce_row(const kern *k, kern_reduce_op op, kern_type t, size_t n,
                      const void *x)
{
    return k->table->reduce_row(op, t, n, x);
}

void kern_reduce_cols(const kern *k, kern_reduce_op op, kern_type t, size_t rows,
                      size_t n, const void *x, size_t stride, float *z)
{
    k->table->reduce_cols(op, t, rows, n, x, stride, z);
}

void kern_softmax_row(const kern *k, kern_type t, size_t n, const void *x, void *z)
{
    k->table->softmax_row(t, n, x, z);
}
