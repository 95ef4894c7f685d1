/* mil_fuzz.c - any bytes as MIL text and as a weight file. What parses must
 * print, and the print must read back to the same print; what a weight file
 * says must lie inside it (the sanitizer sees a read outside). */
#include <stdlib.h>
#include <string.h>
#include "mil/mil.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void text(arena *mem, const char *bytes, size_t n)
{
    mil_program *p, *q;
    str first = {0}, second = {0};
    if (mil_parse(mem, bytes, n, "fuzz.mil", &p) != OK) {
        if (!strstr(err_text(), "fuzz.mil:")) abort(); /* every error has its place */
        return;
    }
    if (mil_print(p, &first) != OK) abort();
    if (mil_parse(mem, first.p, first.n, "printed.mil", &q) != OK) abort();
    if (mil_print(q, &second) != OK) abort();
    if (first.n != second.n || memcmp(first.p, second.p, first.n)) abort();
    str_free(&first);
    str_free(&second);
}

static unsigned sum(const void *data, size_t n)
{
    unsigned total = 0;
    for (size_t i = 0; i < n; i++) total += ((const unsigned char *)data)[i];
    return total;
}

static void blob(arena *mem, const uint8_t *bytes, size_t n)
{
    uint64_t *offsets, offset = 0;
    size_t count;
    const void *data;
    volatile unsigned total = 0;
    if (n >= sizeof offset) memcpy(&offset, bytes + n - sizeof offset, sizeof offset);
    for (int d = 0; d < MIL_DTYPE_COUNT; d++)
        for (size_t want = 0; want <= 64; want += 2) {
            if (mil_blob_read(bytes, n, 64, (mil_dtype)d, want, &data) == OK)
                total += sum(data, want);
            if (mil_blob_read(bytes, n, offset, (mil_dtype)d, want, &data) == OK)
                total += sum(data, want);
        }
    if (mil_blob_list(mem, bytes, n, &offsets, &count) == OK)
        for (size_t i = 0; i < count; i++)
            if (offsets[i] < 64 || offsets[i] % 64 || offsets[i] >= n) abort();
    (void)total; /* volatile, so that the bytes are really read */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    arena *mem = arena_new();
    if (!mem) return 0;
    text(mem, (const char *)bytes, n);
    blob(mem, bytes, n);
    arena_free(mem);
    return 0;
}
