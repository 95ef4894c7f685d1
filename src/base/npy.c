/* npy.c - a small strict reader: the header is a Python literal, of which only
 * the three keys that NumPy writes are understood. */
#include "base/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

static const char magic[] = "\x93NUMPY";

/* Size of one element, 0 for types not understood. */
static size_t item_size(const char *descr)
{
    static const char *const known[] = {"<f2", "<f4", "<f8", "<i2", "<i4", "<i8",
                                        "<u2", "<u4", "<u8", "|i1", "|u1", "|b1"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(descr, known[i])) return (size_t)(descr[2] - '0');
    return 0;
}

static const char *after(const char *header, const char *key)
{
    const char *p = strstr(header, key);
    if (!p) return NULL;
    for (p += strlen(key); *p == ' ' || *p == ':';) p++;
    return p;
}

static rc parse_shape(const char *p, npy *out)
{
    if (!p || *p != '(') return err_fail(E_FORMAT, "no shape in the header");
    for (p++; *p != ')';) {
        char *end;
        long long v = strtoll(p, &end, 10);
        if (end == p || v < 0 || out->rank == NPY_RANK)
            return err_fail(E_FORMAT, "bad shape");
        out->shape[out->rank++] = v;
        for (p = end; *p == ',' || *p == ' ';) p++;
    }
    out->count = 1;
    for (int i = 0; i < out->rank; i++)
        out->count = mem_mul(out->count, (size_t)out->shape[i]);
    return OK;
}

static rc parse_header(const char *header, npy *out)
{
    const char *d = after(header, "'descr'"), *order = after(header, "'fortran_order'");
    if (!d || *d != '\'' || strlen(d) < 5 || d[4] != '\'')
        return err_fail(E_FORMAT, "wanted a plain element type");
    memcpy(out->descr, d + 1, 3);
    out->item = item_size(out->descr);
    if (!out->item)
        return err_fail(E_FORMAT, "element type '%s' is not understood", out->descr);
    if (!order || strncmp(order, "False", 5))
        return err_fail(E_FORMAT, "wanted C order, had Fortran order");
    return parse_shape(after(header, "'shape'"), out);
}

static rc parse(arena *mem, const char *bytes, size_t n, npy *out)
{
    const unsigned char *u = (const unsigned char *)bytes;
    if (n < 12 || memcmp(bytes, magic, 6)) return err_fail(E_FORMAT, "not a .npy file");
    size_t start = u[6] == 1 ? 10 : 12;
    size_t len = u[8] | (size_t)u[9] << 8;
    if (u[6] > 1) len |= (size_t)u[10] << 16 | (size_t)u[11] << 24;
    if (len > n - start) return err_fail(E_FORMAT, "the header runs past the end");
    char *header = arena_textn(mem, bytes + start, len);
    if (!header) return E_MEMORY;
    TRY(parse_header(header, out));
    size_t want = mem_mul(out->count, out->item), have = n - start - len;
    if (want != have)
        return err_fail(E_FORMAT, "wanted %zu bytes of data, had %zu", want, have);
    void *data = arena_take(mem, want ? want : 1);
    if (!data) return E_MEMORY;
    memcpy(data, bytes + start + len, want);
    out->data = data;
    return OK;
}

rc npy_read(arena *mem, const char *path, npy *out)
{
    char *bytes;
    size_t n;
    *out = (npy){0};
    TRY(file_read(mem, path, 0, &bytes, &n));
    TRY_WHILE(parse(mem, bytes, n, out), "reading %s", path);
    return OK;
}

rc npy_write(const char *path, const char *descr, int rank, const int64_t *shape,
             const void *data)
{
    str h = {0};
    size_t bytes = item_size(descr);
    file *f;
    if (!bytes) return err_fail(E_FORMAT, "no element type '%s'", descr);
    str_addf(&h, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < rank; i++) {
        str_addf(&h, "%lld,%s", (long long)shape[i], i + 1 < rank ? " " : "");
        bytes = mem_mul(bytes, (size_t)shape[i]);
    }
    str_add(&h, "), }");
    while ((10 + h.n + 1) % 64) str_addc(&h, ' ');
    str_addc(&h, '\n');
    rc e = str_done(&h);
    if (!e) e = file_create(path, &f);
    if (e) return str_free(&h), e;
    unsigned char head[10] = {
        0, 0, 0, 0, 0, 0, 1, 0, (unsigned char)h.n, (unsigned char)(h.n >> 8)};
    memcpy(head, magic, 6);
    e = file_write(f, head, sizeof head);
    if (!e) e = file_write(f, h.p, h.n);
    if (!e && bytes) e = file_write(f, data, bytes);
    str_free(&h);
    if (e) return file_drop(f), e;
    return file_close(f);
}
