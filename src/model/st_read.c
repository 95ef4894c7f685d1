/* st_read.c - reading safetensors, strictly.
 *
 *   u64 n, little endian | n bytes of JSON | data
 *
 * The JSON is an object of tensors, padded at its end with spaces:
 *   {"NAME": {"dtype": "F32", "shape": [O,I], "data_offsets": [begin,end]},
 *    "__metadata__": {"KEY": "TEXT"}}
 * Offsets count from the first byte of data. Tensors are row-major, lie one
 * after another without overlap or hole, and end where the file ends. A file
 * may come from anywhere, so nothing of it is believed: n <= 100 MB, products
 * of shapes are checked for overflow, and end - begin must be exactly the
 * bytes of the shape. Source: the format page of huggingface/safetensors. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/half.h"
#include "model/model.h"

enum { HEADER_MAX = 100 * 1000 * 1000, RANK_MAX = 8 };

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
              {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
              {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E5M2", 1}, {"F8_E4M3", 1}};

struct st_file {
    arena *mem;
    file_map_ map;
    json_t *header;
    int n;
    st_tensor *tensor;
};

static rc bad(const char *name, const char *what)
{
    return err_fail(E_FORMAT, "tensor '%.200s' has %s", name, what);
}

static rc read_dtype(const char *name, const json_t *entry, st_tensor *t, size_t *size)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (!text) return bad(name, "no dtype");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(dtypes[i].name, text)) continue;
        t->dtype = dtypes[i].name;
        *size = dtypes[i].bytes;
        return OK;
    }
    return err_fail(E_FORMAT, "tensor '%.200s' has the unknown dtype '%.40s'", name,
                    text);
}

static rc read_shape(const char *name, const json_t *entry, st_tensor *t, size_t *bytes)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return bad(name, "no shape");
    if (json_array_size(shape) > RANK_MAX) return bad(name, "more than 8 axes");
    t->rank = (int)json_array_size(shape);
    for (int i = 0; i < t->rank; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return bad(name, "an axis that is not a whole number");
        t->shape[i] = json_integer_value(d);
        if ((uint64_t)t->shape[i] > SIZE_MAX) return bad(name, "too large an axis");
        *bytes = mem_mul(*bytes, (size_t)t->shape[i]);
    }
    return *bytes == SIZE_MAX ? bad(name, "a shape too large to count") : OK;
}

static rc read_tensor(st_file *f, size_t data_at, const char *name, const json_t *entry,
                      st_tensor *t)
{
    size_t bytes = 0;
    if (!json_is_object(entry)) return bad(name, "no description");
    t->name = name;
    TRY(read_dtype(name, entry, t, &bytes));
    TRY(read_shape(name, entry, t, &bytes));
    const json_t *span = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(span, 0), *end = json_array_get(span, 1);
    if (json_array_size(span) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return bad(name, "no pair of data_offsets");
    json_int_t b = json_integer_value(begin), e = json_integer_value(end);
    size_t room = f->map.n - data_at;
    if (b < 0 || e < b) return bad(name, "data_offsets out of order");
    if ((uint64_t)e > room)
        return err_fail(E_FORMAT,
                        "tensor '%.200s' ends at byte %lld of the data, the file has %zu",
                        name, (long long)e, room);
    if ((uint64_t)(e - b) != bytes)
        return err_fail(E_FORMAT,
                        "tensor '%.200s' has %lld bytes, its shape and dtype want %zu",
                        name, (long long)(e - b), bytes);
    t->data = f->map.p + data_at + (size_t)b;
    t->bytes = bytes;
    return OK;
}

static int by_place(const void *x, const void *y)
{
    const st_tensor *a = x, *b = y;
    const char *p = a->data, *q = b->data;
    if (p != q) return p < q ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Sorted by place, each tensor must begin where the one before it ended. */
static rc check_cover(st_file *f, size_t data_at)
{
    const uint8_t *at = f->map.p + data_at, *end = f->map.p + f->map.n;
    qsort(f->tensor, (size_t)f->n, sizeof *f->tensor, by_place);
    for (int i = 0; i < f->n; i++) {
        const uint8_t *p = f->tensor[i].data;
        if (p < at) return bad(f->tensor[i].name, "bytes that belong to another tensor");
        if (p > at) return bad(f->tensor[i].name, "bytes of no tensor before it");
        at = p + f->tensor[i].bytes;
    }
    if (at == end) return OK;
    return err_fail(E_FORMAT, "%zu bytes at the end belong to no tensor",
                    (size_t)(end - at));
}

static rc read_header(st_file *f, size_t *data_at)
{
    uint64_t n = 0;
    if (f->map.n < 8)
        return err_fail(E_FORMAT, "the file is shorter than its 8-byte size");
    for (int i = 0; i < 8; i++) n |= (uint64_t)f->map.p[i] << 8 * i;
    if (n > HEADER_MAX)
        return err_fail(E_FORMAT, "the header would be %llu bytes, wanted at most 100 MB",
                        (unsigned long long)n);
    if (n > f->map.n - 8)
        return err_fail(E_FORMAT, "the header would be %llu bytes, the file has %zu",
                        (unsigned long long)n, f->map.n - 8);
    *data_at = 8 + (size_t)n;
    json_error_t error;
    const char *text = (const char *)f->map.p + 8;
    f->header = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, &error);
    if (!f->header)
        return err_fail(E_FORMAT, "the header is not JSON: %s at byte %d", error.text,
                        8 + error.position);
    if (!json_is_object(f->header))
        return err_fail(E_FORMAT, "the header is not a JSON object");
    return OK;
}

static rc check_meta(const json_t *meta)
{
    const char *key;
    json_t *value;
    if (!json_is_object(meta)) return err_fail(E_FORMAT, "__metadata__ is not an object");
    json_object_foreach((json_t *)(uintptr_t)meta, key, value) if (
        !json_is_string(
            value)) return err_fail(E_FORMAT, "__metadata__ '%.200s' is not a text", key);
    return OK;
}

static rc read_file(st_file *f)
{
    size_t data_at = 0;
    const char *name;
    json_t *entry;
    TRY(read_header(f, &data_at));
    f->tensor = arena_array(f->mem, json_object_size(f->header) + 1, sizeof *f->tensor);
    if (!f->tensor) return E_MEMORY;
    json_object_foreach(f->header, name, entry)
    {
        if (!strcmp(name, "__metadata__")) TRY(check_meta(entry));
        else TRY(read_tensor(f, data_at, name, entry, &f->tensor[f->n++]));
    }
    return check_cover(f, data_at);
}

rc st_open(const char *path, st_file **out)
{
    arena *mem = arena_new();
    st_file *f = mem ? arena_take(mem, sizeof *f) : NULL;
    if (!f) {
        arena_free(mem);
        return E_MEMORY;
    }
    f->mem = mem;
    rc r = file_map(path, &f->map);
    if (r == OK && (r = read_file(f)) != OK) err_while(r, "reading %s", path);
    if (r != OK) st_close(f);
    else *out = f;
    return r;
}

void st_close(st_file *f)
{
    if (!f) return;
    json_decref(f->header);
    file_unmap(&f->map);
    arena_free(f->mem);
}

int st_count(const st_file *f)
{
    return f->n;
}

const st_tensor *st_at(const st_file *f, int i)
{
    return &f->tensor[i];
}

const st_tensor *st_find(const st_file *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (!strcmp(f->tensor[i].name, name)) return &f->tensor[i];
    return NULL;
}

const char *st_meta(const st_file *f, const char *key)
{
    return json_string_value(
        json_object_get(json_object_get(f->header, "__metadata__"), key));
}

rc st_floats(const st_tensor *t, float *out, size_t n)
{
    bool f32 = !strcmp(t->dtype, "F32"), f16 = !strcmp(t->dtype, "F16"),
         bf16 = !strcmp(t->dtype, "BF16");
    const uint8_t *p = t->data;
    if (!f32 && !f16 && !bf16)
        return err_fail(E_FORMAT, "tensor '%.200s' is %s, wanted F32, F16 or BF16",
                        t->name, t->dtype);
    if (t->bytes / (f32 ? 4 : 2) != n)
        return err_fail(E_SHAPE, "tensor '%.200s' has %zu elements, wanted %zu", t->name,
                        t->bytes / (f32 ? 4 : 2), n);
    if (f32 && n) memcpy(out, p, t->bytes);
    /* data may lie at odd addresses: headers of others are not padded */
    for (size_t i = 0; i < n && !f32; i++) {
        uint16_t bits = (uint16_t)(p[2 * i] | p[2 * i + 1] << 8);
        uint32_t wide = (uint32_t)bits << 16; /* a bfloat16 is a float's upper half */
        if (f16) out[i] = half_to_float(bits);
        else memcpy(&out[i], &wide, sizeof wide);
    }
    return OK;
}
