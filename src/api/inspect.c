/* inspect.c - which kind of file this is, by what it begins with and not by its
 * name, and the little that all kinds share in saying what they hold. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/inspect.h"
#include "api/inspect_in.h"
#include "base/file.h"
#include "base/half.h"
#include "base/str.h"

void inspect_kind(inspect *f, const char *kind, const char *about)
{
    inspect_text(f->o, "kind", kind);
    inspect_text(f->o, "about", about);
}

void inspect_problem(inspect *f, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_t *one = json_object();
    inspect_text(one, "it", text);
    json_array_append(json_object_get(f->o, "problems"), json_object_get(one, "it"));
    json_decref(one);
}

void inspect_textn(json_t *o, const char *key, const uint8_t *p, size_t n)
{
    char plain[256];
    json_t *v = json_stringn((const char *)p, n);
    if (!v || memchr(p, 0, n)) {
        size_t kept = n < sizeof plain ? n : sizeof plain;
        for (size_t i = 0; i < kept; i++)
            plain[i] = p[i] >= ' ' && p[i] < 0x7f ? (char)p[i] : '.';
        json_decref(v);
        v = json_stringn(plain, kept);
    }
    json_object_set_new(o, key, v);
}

void inspect_text(json_t *o, const char *key, const char *text)
{
    inspect_textn(o, key, (const uint8_t *)text, strlen(text));
}

void inspect_int(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
}

void inspect_real(json_t *o, const char *key, double v)
{
    if (isfinite(v)) json_object_set_new(o, key, json_real(v));
}

void inspect_hex(json_t *o, const char *key, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)v);
    inspect_text(o, key, text);
}

json_t *inspect_row(inspect *f, const char *key)
{
    json_t *list = json_object_get(f->o, key);
    if (!list) {
        list = json_array();
        json_object_set_new(f->o, key, list);
    }
    size_t n = json_array_size(list);
    if (n == INSPECT_ROWS) {
        char cut[64];
        snprintf(cut, sizeof cut, "%.40s_cut", key);
        if (!json_object_get(f->o, cut))
            inspect_problem(f, "more than %d %s; the others are not shown", INSPECT_ROWS,
                            key);
        json_object_set_new(f->o, cut, json_true());
        return NULL;
    }
    json_array_append_new(list, json_object());
    return json_array_get(list, n);
}

/* Element i, or NaN for a type that is passed over. */
typedef enum { NONE, F16, BF16, F32, I8, U8 } element;

static element element_of(const char *type, size_t *bytes)
{
    static const struct {
        const char *name;
        element e;
        size_t bytes;
    } row[] = {{"fp16", F16, 2}, {"F16", F16, 2}, {"bf16", BF16, 2}, {"BF16", BF16, 2},
               {"fp32", F32, 4}, {"F32", F32, 4}, {"int8", I8, 1},   {"I8", I8, 1},
               {"uint8", U8, 1}, {"U8", U8, 1}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (!strcmp(row[i].name, type)) return *bytes = row[i].bytes, row[i].e;
    return NONE;
}

static double value_of(element e, const uint8_t *p)
{
    uint32_t bits = (uint32_t)inspect_number(p, e == F32             ? 4
                                                : e == I8 || e == U8 ? 1
                                                                     : 2);
    float v;
    if (e == F16) return half_to_float((half)bits);
    if (e == I8) return (int8_t)bits;
    if (e == U8) return bits;
    if (e == BF16) bits <<= 16;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void inspect_range(json_t *o, const char *type, const uint8_t *p, size_t n)
{
    size_t bytes = 0, odd = 0;
    element e = element_of(type, &bytes);
    double least = INFINITY, most = -INFINITY;
    if (e == NONE) return;
    for (size_t i = 0; i < n / bytes; i++) {
        double v = value_of(e, p + i * bytes);
        if (!isfinite(v)) odd++;
        else least = fmin(least, v), most = fmax(most, v);
    }
    inspect_real(o, "least", least);
    inspect_real(o, "most", most);
    if (odd) inspect_int(o, "not_finite", odd);
}

/* What is known by its first bytes only. */
static bool by_magic(inspect *f)
{
    static const struct {
        const char *magic, *kind, *about;
    } row[] = {
        {"GGUF", "gguf", "a model for llama.cpp; only its first bytes were looked at"},
        {"pbze", "lzfse",
         "compressed with LZFSE, as newer Espresso models are; "
         "decompress it first"},
        {"PK\003\004", "zip", "a ZIP archive; unpack it first"},
        {"\x1f\x8b", "gzip", "compressed with gzip; decompress it first"},
        {"\xcf\xfa\xed\xfe", "mach-o",
         "a program or library for macOS, not for the "
         "Neural Engine"},
        {"\x7f"
         "ELF",
         "elf", "a program or library for Linux or another Unix"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        size_t n = strlen(row[i].magic);
        if (f->n < n || memcmp(f->p, row[i].magic, n)) continue;
        inspect_kind(f, row[i].kind, row[i].about);
        return true;
    }
    return false;
}

static void look(inspect *f)
{
    if (!f->n) {
        inspect_kind(f, "empty", "an empty file");
        return;
    }
    /* those with a magic number first: they cannot be mistaken */
    if (inspect_hwx(f) || inspect_blob(f) || inspect_ours(f) || by_magic(f) ||
        inspect_mil(f) || inspect_e5(f))
        return;
    char hex[3 * 16 + 1] = "";
    for (size_t i = 0; i < 16 && i < f->n; i++)
        snprintf(hex + 3 * i, 4, "%02x ", f->p[i]);
    inspect_kind(f, "unknown", "of no kind that is known here");
    inspect_text(f->o, "begins", hex);
}

static rc inspect_it(inspect *f, bool folder, json_t **out)
{
    f->name = file_base(f->path);
    f->o = json_object();
    f->mem = arena_new();
    rc e = f->o && f->mem ? OK : E_MEMORY;
    if (!e) {
        inspect_text(f->o, "path", f->path);
        json_object_set_new(f->o, "problems", json_array());
        if (!folder) inspect_int(f->o, "bytes", f->n);
        if (folder) inspect_folder(f);
        else look(f);
        err_clear(); /* what readers refused is a problem, not a failure */
        *out = json_incref(f->o);
    }
    arena_free(f->mem);
    json_decref(f->o);
    return e ? err_fail(e, "out of memory while looking at %s", f->path) : OK;
}

rc inspect_bytes(const char *path, const void *bytes, size_t n, json_t **out)
{
    inspect f = {.path = path, .p = bytes, .n = n};
    return inspect_it(&f, false, out);
}

rc inspect_path(const char *path, json_t **out)
{
    inspect folder = {.path = path};
    file_map_ map;
    if (file_is_dir(path)) return inspect_it(&folder, true, out);
    TRY(file_map(path, &map));
    rc e = inspect_bytes(path, map.p, map.n, out);
    file_unmap(&map);
    return e;
}
