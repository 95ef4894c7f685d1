/* mil.c - types, look-ups, and errors that point into the text. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "mil/mil_in.h"

static const struct {
    const char *text;
    size_t bytes;
} dtypes[] = {
#define X(id, text, bytes, blob) {text, bytes},
    MIL_DTYPES(X)
#undef X
};

const char *mil_dtype_text(mil_dtype d)
{
    return (unsigned)d < MIL_DTYPE_COUNT ? dtypes[d].text : "?";
}

size_t mil_dtype_bytes(mil_dtype d)
{
    return (unsigned)d < MIL_DTYPE_COUNT ? dtypes[d].bytes : 0;
}

/* The product without its zeros must fit too, so that no reordering of a
 * later computation of strides can overflow. */
int64_t mil_count(const mil_type *t)
{
    int64_t n = 1;
    bool none = false;
    if (t->rank < 0 || t->rank > MIL_RANK) return -1;
    for (int i = 0; i < t->rank; i++) {
        if (t->d[i] < 0) return -1;
        if (t->d[i] == 0) none = true;
        else if (n > INT64_MAX / t->d[i]) return -1;
        else n *= t->d[i];
    }
    return none ? 0 : n;
}

bool mil_type_eq(const mil_type *a, const mil_type *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->d[i] != b->d[i]) return false;
    return true;
}

/* 96 bytes hold any type that passed mil_count: at most 19 digits over all
 * sizes above 1, and 8 sizes. */
const char *mil_type_text(char out[96], const mil_type *t)
{
    size_t n = 0;
    if (!t->tensor) {
        snprintf(out, 96, "%s", mil_dtype_text(t->dtype));
        return out;
    }
    n += (size_t)snprintf(out, 96, "tensor<%s, [", mil_dtype_text(t->dtype));
    for (int i = 0; i < t->rank && n < 96; i++)
        n += (size_t)snprintf(out + n, 96 - n, "%s%lld", i ? ", " : "",
                              (long long)t->d[i]);
    if (n < 96) snprintf(out + n, 96 - n, "]>");
    return out;
}

const mil_func *mil_find_func(const mil_program *p, const char *name)
{
    if (!name) return p->n_func ? &p->func[0] : NULL;
    for (int i = 0; i < p->n_func; i++)
        if (!strcmp(p->func[i].name, name)) return &p->func[i];
    return NULL;
}

/* Operations have a handful of arguments; a walk is the fastest search. */
static const mil_value *named(int n, const mil_arg *list, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) return &list[i].value;
    return NULL;
}

const mil_value *mil_arg_of(const mil_op *op, const char *name)
{
    return named(op->n_arg, op->arg, name);
}

const mil_value *mil_attr_of(const mil_op *op, const char *name)
{
    return named(op->n_attr, op->attr, name);
}

/* ---- errors ---- */

enum { VIEW = 76, BEFORE = 56 }; /* columns of source shown; of them before the caret */

/* The bytes of source line `line`, or NULL. Searched from the start: an error
 * ends the reading, so it happens once. */
static const char *source_line(const mil_program *p, int line, size_t *n)
{
    const char *at = p->source, *end = at ? at + p->source_bytes : NULL;
    for (int i = 1; at && i < line; i++) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (at) at++;
    }
    if (!at || line < 1) return NULL;
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    *n = (size_t)((stop ? stop : end) - at);
    if (*n && at[*n - 1] == '\r') --*n;
    return at;
}

/* "\n  12 | source\n     |    ^", where a tab stands under a tab, so that the
 * caret is right for any tab width; a byte inside a UTF-8 character takes no
 * column. Of a long line a window round the column is shown. */
static void show_source(char *out, size_t room, const mil_program *p, mil_pos at)
{
    size_t n = 0, from = 0, column = at.column > 0 ? (size_t)at.column - 1 : 0;
    const char *line = source_line(p, at.line, &n);
    char view[VIEW + 1], under[VIEW + 1];
    if (!line || column > n) return;
    if (column > BEFORE) from = column - BEFORE;
    size_t take = n - from < VIEW ? n - from : VIEW, under_n = 0;
    for (size_t i = 0; i < take; i++) {
        unsigned char c = (unsigned char)line[from + i];
        view[i] = c == '\t' || (c >= ' ' && c != 127) ? (char)c : '?';
        if (from + i < column && (c & 0xc0) != 0x80)
            under[under_n++] = c == '\t' ? '\t' : ' ';
    }
    view[take] = under[under_n] = 0;
    snprintf(out, room, "\n%5d | %s\n      | %s^", at.line, view, under);
}

/* The source lines are part of the fault, not context: they come right after
 * the message, before what callers add on the way up. */
rc mil_fail(const mil_program *p, mil_pos at, rc code, const char *fmt, ...)
{
    char message[256], shown[2 * VIEW + 40] = "";
    const char *file = p->file && *p->file ? p->file : "program";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (at.line < 1) return err_fail(code, "%.120s: %s", file, message);
    show_source(shown, sizeof shown, p, at);
    return err_fail(code, "%.100s:%d:%d: %s%s", file, at.line, at.column, message, shown);
}
