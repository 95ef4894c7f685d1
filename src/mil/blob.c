/* blob.c - weight blob files, version 2: constants that a program names by
 * file and offset. Everything is little endian. Source: the MILBlob headers
 * of apple/coremltools.
 *
 *   byte 0     u32 count of chunks, u32 version = 2, zeros up to byte 64
 *   then for each chunk, on a multiple of 64:
 *     +0   u32 sentinel 0xDEADBEEF
 *     +4   u32 element type (1 fp16, 2 fp32, 3 uint8, 4 int8, ... see mil.h)
 *     +8   u64 bytes of data
 *     +16  u64 where the data begins, from the start of the file
 *     +24  u64 unused bits at the end of the data (types under a byte; else 0)
 *     +32  4 x u64 reserved, zero
 *   data directly after, the next chunk on the next multiple of 64.
 *
 * BLOBFILE(offset = ...) names the chunk's record, not its data: the first is
 * at 64. Writers found in the wild leave sizes or offsets zero; the reader
 * refuses those, since nothing then says what the data is. */
#include <string.h>
#include "mil/mil_in.h"

enum { ALIGN = 64, HEADER = 64, RECORD = 64, VERSION = 2 };
#define SENTINEL 0xDEADBEEFu

struct mil_blob_writer {
    unsigned char *p;
    size_t n, cap;
    uint32_t count;
};

/* By element type: its code in a record, 0 = it has none. */
static const int codes[] = {
#define X(id, text, bytes, blob) blob,
    MIL_DTYPES(X)
#undef X
};

/* Little endian by hand, so that a file is the same from any machine. */
static void put(unsigned char *p, size_t bytes, uint64_t v)
{
    for (size_t i = 0; i < bytes; i++) p[i] = (unsigned char)(v >> 8 * i);
}

static uint64_t get(const unsigned char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static uint64_t align(uint64_t n)
{
    return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

/* ---- writing ---- */

/* Room for `need` bytes in all, by doubling; SIZE_MAX is what an overflow
 * became, and no allocation gives that. */
static rc reserve(mil_blob_writer *w, size_t need)
{
    if (need <= w->cap) return OK;
    size_t cap = w->cap ? w->cap : 4096;
    while (cap < need) cap = mem_mul(cap, 2);
    unsigned char *p = mem_take(cap);
    if (!p) return E_MEMORY;
    if (w->n) memcpy(p, w->p, w->n);
    mem_drop(w->p);
    w->p = p, w->cap = cap;
    return OK;
}

rc mil_blob_new(mil_blob_writer **out)
{
    mil_blob_writer *w = mem_take(sizeof *w);
    if (!w) return E_MEMORY;
    rc r = reserve(w, HEADER);
    if (r != OK) {
        mem_drop(w);
        return r;
    }
    w->n = HEADER;
    put(w->p + 4, 4, VERSION);
    *out = w;
    return OK;
}

/* The gap before the record and the record's reserved words are zeroed here:
 * nothing of what the memory held before may get into a file. */
rc mil_blob_add(mil_blob_writer *w, mil_dtype t, const void *data, size_t bytes,
                uint64_t *offset)
{
    size_t width = mil_dtype_bytes(t);
    if ((unsigned)t >= MIL_DTYPE_COUNT || !codes[t])
        return err_fail(E_FORMAT, "a weight file cannot hold elements of type %s",
                        mil_dtype_text(t));
    if (bytes % width)
        return err_fail(E_FORMAT, "wanted whole elements of %zu bytes, had %zu bytes",
                        width, bytes);
    size_t record = (size_t)align(w->n), end = mem_add(record + RECORD, bytes);
    TRY(reserve(w, end));
    memset(w->p + w->n, 0, record + RECORD - w->n);
    unsigned char *p = w->p + record;
    put(p, 4, SENTINEL);
    put(p + 4, 4, (uint64_t)codes[t]);
    put(p + 8, 8, bytes);
    put(p + 16, 8, record + RECORD);
    if (bytes) memcpy(p + RECORD, data, bytes);
    w->n = end;
    put(w->p, 4, ++w->count);
    *offset = record;
    return OK;
}

rc mil_blob_bytes(mil_blob_writer *w, const void **bytes, size_t *n)
{
    *bytes = w->p;
    *n = w->n;
    return OK;
}

void mil_blob_free(mil_blob_writer *w)
{
    if (!w) return;
    mem_drop(w->p);
    mem_drop(w);
}

/* ---- reading ---- */

typedef struct {
    uint32_t code;
    uint64_t bytes, data, padding;
} record;

/* Version 1 is Espresso's older format, of another layout. */
static rc read_header(const unsigned char *p, size_t n, uint32_t *count)
{
    if (n < HEADER)
        return err_fail(E_FORMAT, "wanted a weight file of at least %d bytes, had %zu",
                        (int)HEADER, n);
    uint32_t version = (uint32_t)get(p + 4, 4);
    if (version != VERSION)
        return err_fail(E_FORMAT, "wanted a weight file of version %d, had version %u",
                        (int)VERSION, (unsigned)version);
    *count = (uint32_t)get(p, 4);
    return OK;
}

/* The record at `offset`, with every field checked against the file. All
 * comparisons are in 64 bits and written so that none can wrap: "n - offset <
 * RECORD" after "offset > n", never "offset + RECORD > n". */
static rc read_record(const unsigned char *p, size_t n, uint64_t offset, record *out)
{
    typedef unsigned long long big;
    if (offset % ALIGN || offset < HEADER)
        return err_fail(E_FORMAT,
                        "wanted a chunk at a multiple of %d from %d on, had offset %llu",
                        (int)ALIGN, (int)HEADER, (big)offset);
    if (offset > n || n - offset < RECORD)
        return err_fail(E_FORMAT,
                        "wanted a chunk at offset %llu, but the file has %zu bytes",
                        (big)offset, n);
    const unsigned char *r = p + offset;
    uint32_t sentinel = (uint32_t)get(r, 4);
    if (sentinel != SENTINEL)
        return err_fail(E_FORMAT, "wanted 0xdeadbeef at offset %llu, had 0x%08lx",
                        (big)offset, (unsigned long)sentinel);
    *out = (record){(uint32_t)get(r + 4, 4), get(r + 8, 8), get(r + 16, 8),
                    get(r + 24, 8)};
    if (out->data % ALIGN || out->data < offset + RECORD)
        return err_fail(E_FORMAT,
                        "wanted the data of the chunk at %llu on a multiple of %d after "
                        "its record, had offset %llu",
                        (big)offset, (int)ALIGN, (big)out->data);
    if (out->data > n || out->bytes > n - out->data)
        return err_fail(E_FORMAT,
                        "the chunk at %llu has %llu bytes from %llu on, but the file "
                        "has %zu bytes",
                        (big)offset, (big)out->bytes, (big)out->data, n);
    return OK;
}

static const char *code_text(uint32_t code)
{
    for (int d = 0; d < MIL_DTYPE_COUNT; d++)
        if (codes[d] && (uint32_t)codes[d] == code) return mil_dtype_text((mil_dtype)d);
    return "an unknown type";
}

/* The count in the header is not asked: writers of files with several chunks
 * are known to leave it at 1 (maderix/ANE), and the offset says it all. */
rc mil_blob_read(const void *bytes, size_t n, uint64_t offset, mil_dtype want,
                 size_t want_bytes, const void **data)
{
    record r;
    uint32_t count = 0;
    if ((unsigned)want >= MIL_DTYPE_COUNT || !codes[want])
        return err_fail(E_FORMAT, "a weight file cannot hold elements of type %s",
                        mil_dtype_text(want));
    TRY(read_header(bytes, n, &count));
    TRY(read_record(bytes, n, offset, &r));
    if (r.code != (uint32_t)codes[want])
        return err_fail(E_FORMAT, "wanted %s in the chunk at %llu, had %s (code %lu)",
                        mil_dtype_text(want), (unsigned long long)offset,
                        code_text(r.code), (unsigned long)r.code);
    if (r.bytes != want_bytes)
        return err_fail(E_FORMAT, "wanted %zu bytes in the chunk at %llu, had %llu",
                        want_bytes, (unsigned long long)offset,
                        (unsigned long long)r.bytes);
    if (r.padding)
        return err_fail(E_FORMAT, "wanted no padding bits in the chunk at %llu, had %llu",
                        (unsigned long long)offset, (unsigned long long)r.padding);
    *data = (const unsigned char *)bytes + r.data;
    return OK;
}

/* Here the count matters, since nothing else says where the chunks end. */
rc mil_blob_list(arena *mem, const void *bytes, size_t n, uint64_t **offsets,
                 size_t *count)
{
    uint32_t claimed = 0;
    record r;
    TRY(read_header(bytes, n, &claimed));
    /* A chunk takes a record at least, which bounds what a claim can cost. */
    if (claimed > (n - HEADER) / RECORD)
        return err_fail(E_FORMAT, "%lu chunks do not fit into a file of %zu bytes",
                        (unsigned long)claimed, n);
    *offsets = arena_array(mem, claimed, sizeof **offsets);
    if (!*offsets) return E_MEMORY;
    uint64_t at = HEADER;
    for (*count = 0; *count < claimed; ++*count) {
        TRY(read_record(bytes, n, at, &r));
        (*offsets)[*count] = at;
        at = align(r.data + r.bytes);
    }
    if (at < n)
        return err_fail(E_FORMAT, "%zu bytes follow the last of %lu chunks",
                        n - (size_t)at, (unsigned long)claimed);
    return OK;
}
