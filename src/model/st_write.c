/* st_write.c - writing safetensors (the form is described in st_read.c).
 *
 * Tensors are laid out in the order given. The header is padded with spaces
 * so that the data begins on a 64-byte line and a reader that maps the file
 * may use it in place. */
#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "base/str.h"
#include "model/model.h"

/* "text" as JSON, appended */
static void add_quoted(str *s, const char *text)
{
    json_t *j = json_string(text);
    char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    if (quoted) str_add(s, quoted);
    else s->bad = true;
    free(quoted);
    json_decref(j);
}

static void add_tensor(str *s, const st_tensor *t, size_t at)
{
    add_quoted(s, t->name);
    str_addf(s, ":{\"dtype\":\"%s\",\"shape\":[", t->dtype);
    for (int i = 0; i < t->rank; i++)
        str_addf(s, "%s%lld", i ? "," : "", (long long)t->shape[i]);
    str_addf(s, "],\"data_offsets\":[%zu,%zu]}", at, at + t->bytes);
}

static rc make_header(int n, const st_tensor *t, int n_meta, const char *const *meta,
                      str *s)
{
    size_t at = 0;
    str_addn(s, "\0\0\0\0\0\0\0\0{", 9);
    for (int i = 0; i < n_meta; i++) {
        str_add(s, i ? "," : "\"__metadata__\":{");
        add_quoted(s, meta[2 * i]);
        str_add(s, ":");
        add_quoted(s, meta[2 * i + 1]);
    }
    if (n_meta) str_add(s, n ? "}," : "}");
    for (int i = 0; i < n; i++) {
        if (i) str_add(s, ",");
        add_tensor(s, &t[i], at);
        at = mem_add(at, t[i].bytes);
    }
    str_add(s, "}");
    while (s->n % 64 && !s->bad) str_addc(s, ' ');
    TRY(str_done(s));
    for (int i = 0; i < 8; i++) s->p[i] = (char)((s->n - 8) >> 8 * i & 0xff);
    return OK;
}

rc st_write(const char *path, int n, const st_tensor *t, int n_meta,
            const char *const *meta)
{
    str header = {0};
    file *f = NULL;
    rc r = make_header(n, t, n_meta, meta, &header);
    if (r == OK) r = file_create(path, &f);
    if (r == OK) r = file_write(f, header.p, header.n);
    for (int i = 0; r == OK && i < n; i++)
        if (t[i].bytes) r = file_write(f, t[i].data, t[i].bytes);
    if (r == OK) r = file_sync(f);
    str_free(&header);
    if (r == OK) return file_close(f);
    file_drop(f);
    return r;
}
