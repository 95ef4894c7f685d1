/* npy.h - arrays in NumPy's .npy files, little-endian, C order.
 *
 * Format (NumPy documentation, "A simple file format for NumPy arrays"):
 *   \x93NUMPY, major 1|2|3, minor, u16 (v1) or u32 header length, then an ASCII
 *   dict {'descr': '<f2', 'fortran_order': False, 'shape': (1, 64), } padded
 *   with spaces and ended by a newline so that the data starts on 64 bytes. */
#ifndef BASE_NPY_H
#define BASE_NPY_H

#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"

enum { NPY_RANK = 8 };
typedef struct {
    char descr[8]; /* "<f2", "<f4", "<f8", "<i4", "|u1", "|i1", "|b1" ... */
    int rank;
    int64_t shape[NPY_RANK];
    size_t count;     /* elements */
    size_t item;      /* bytes of one */
    const void *data; /* count * item bytes */
} npy;

/* The array lives in the arena. E_FORMAT for anything but a little-endian
 * plain array in C order whose size fits the file. */
rc npy_read(arena *mem, const char *path, npy *out);
/* item and count are derived from descr and shape. */
rc npy_write(const char *path, const char *descr, int rank, const int64_t *shape,
             const void *data);

#endif
