/* inspect_e5.c - the table of contents of an E5 bundle, a FlatBuffer.
 *
 * A FlatBuffer is tables that point forward to others: u32 at 0 is the place of the
 * root table; a table begins with an i32, how far before it its vtable lies; a
 * vtable is u16 words: its own bytes, the table's bytes, then for each field the
 * place in the table (0 = not there). Texts and vectors are a u32 count and what
 * follows; a field holds how far from itself they lie.
 *
 * Known of E5 (ane-guide app. C): the root has four fields, the names of symbols,
 * build information, sections, and the format's version, 4; below them functions of
 * blocks of operations. Which field of those means what is not published, so they
 * are shown as they are: what a field looks like, not what it is for. Source of the
 * container: the FlatBuffers documentation, "internals". */
#include <stdio.h>
#include <string.h>

#include "api/inspect_in.h"

enum { FIELDS = 32, DEPTH = 6, SYMBOLS = 0, BUILD = 1, SECTIONS = 2, VERSION = 3 };

typedef struct {
    size_t at, bytes; /* of the table */
    int n;            /* fields */
    uint16_t field[FIELDS];
} table;

static bool read_table(const inspect *f, size_t at, table *t)
{
    if (at % 4 || !inspect_has(f, at, 4)) return false;
    int64_t v = (int64_t)at - (int32_t)inspect_u32(f, at);
    if (v < 0 || v % 2 || !inspect_has(f, (uint64_t)v, 4)) return false;
    size_t size = (size_t)inspect_number(f->p + v, 2);
    *t = (table){.at = at, .bytes = (size_t)inspect_number(f->p + v + 2, 2)};
    if (size < 4 || size % 2 || t->bytes < 4 || !inspect_has(f, (uint64_t)v, size) ||
        !inspect_has(f, at, t->bytes))
        return false;
    t->n = (int)(size / 2) - 2;
    if (t->n > FIELDS) t->n = FIELDS;
    for (int i = 0; i < t->n; i++) {
        t->field[i] = (uint16_t)inspect_number(f->p + v + 4 + 2 * i, 2);
        if (t->field[i] && (t->field[i] < 4 || t->field[i] >= t->bytes)) return false;
    }
    return true;
}

/* Where a field that points leads; 0 = nowhere. */
static size_t follow(const inspect *f, size_t at)
{
    if (at % 4 || !inspect_has(f, at, 4)) return 0;
    uint64_t far = inspect_u32(f, at);
    return far >= 4 && inspect_has(f, at + far, 4) ? (size_t)(at + far) : 0;
}

static size_t target(const inspect *f, const table *t, int i)
{
    if (i >= t->n || !t->field[i] || t->field[i] + 4u > t->bytes) return 0;
    return follow(f, t->at + t->field[i]);
}

/* The text at a place, ended by a zero as FlatBuffers does. */
static bool text_at(const inspect *f, size_t at, const uint8_t **p, size_t *n)
{
    if (!at || !inspect_has(f, at, 4)) return false;
    *n = inspect_u32(f, at);
    if (!inspect_has(f, at + 4, (uint64_t)*n + 1) || f->p[at + 4 + *n]) return false;
    *p = f->p + at + 4;
    for (size_t i = 0; i < *n; i++)
        if ((*p)[i] < ' ' || (*p)[i] == 0x7f) return false;
    return *n > 0;
}

/* The count of a vector of pointers; 0 = it is none. */
static uint32_t pointers_at(const inspect *f, size_t at)
{
    if (!at) return 0;
    uint64_t n = inspect_u32(f, at);
    if (!n || !inspect_has(f, at + 4, n * 4)) return 0;
    for (uint64_t i = 0; i < n && i < 16; i++)
        if (!follow(f, at + 4 + i * 4)) return 0;
    return (uint32_t)n;
}

static bool table_of_pointer(const inspect *f, size_t at, table *t)
{
    size_t to = follow(f, at);
    return to && read_table(f, to, t);
}

/* What a field looks like, and what of it can be gone into. */
static void say_field(inspect *f, const char *path, const table *t, int i)
{
    const uint8_t *p;
    size_t n, to = target(f, t, i);
    uint32_t count;
    table inner;
    json_t *o = inspect_row(f, "fields");
    if (!o) return;
    inspect_text(o, "table", path);
    inspect_int(o, "field", (uint64_t)i);
    if (text_at(f, to, &p, &n)) {
        inspect_text(o, "looks_like", "text");
        inspect_textn(o, "value", p, n);
    } else if (to && read_table(f, to, &inner) && inner.n) {
        inspect_text(o, "looks_like", "table");
    } else if ((count = pointers_at(f, to))) {
        inspect_text(o, "looks_like", "list");
        inspect_int(o, "count", count);
    } else {
        size_t room = t->bytes - t->field[i];
        inspect_text(o, "looks_like", "number");
        inspect_int(o, "value",
                    inspect_number(f->p + t->at + t->field[i], room < 4 ? (int)room : 4));
    }
}

/* Depth first; rows are capped, and a table is gone into only DEPTH deep, so that
 * tables which share or repeat others cost no more than the cap. */
static void say_table(inspect *f, const char *path, const table *t, int depth)
{
    const uint8_t *p;
    size_t n;
    for (int i = 0; i < t->n; i++) {
        char below[128];
        table inner;
        if (!t->field[i]) continue;
        if (json_object_get(f->o, "fields_cut")) return;
        say_field(f, path, t, i);
        size_t to = target(f, t, i);
        if (depth == DEPTH || !to || text_at(f, to, &p, &n)) continue;
        if (read_table(f, to, &inner) && inner.n) {
            snprintf(below, sizeof below, "%.100s.%d", path, i);
            say_table(f, below, &inner, depth + 1);
            continue;
        }
        uint32_t count = pointers_at(f, to);
        for (uint32_t k = 0; k < count && k < INSPECT_ROWS; k++) {
            snprintf(below, sizeof below, "%.100s.%d[%u]", path, i, (unsigned)k);
            if (table_of_pointer(f, to + 4 + k * (size_t)4, &inner))
                say_table(f, below, &inner, depth + 1);
        }
    }
}

static void say_symbols(inspect *f, const table *root)
{
    size_t at = target(f, root, SYMBOLS);
    uint32_t n = pointers_at(f, at);
    inspect_int(f->o, "symbol_count", n);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *p;
        size_t size;
        if (!text_at(f, follow(f, at + 4 + i * (size_t)4), &p, &size)) {
            inspect_problem(f, "symbol %u is no text", (unsigned)i);
            return;
        }
        json_t *o = inspect_row(f, "symbols");
        if (!o) return;
        inspect_textn(o, "symbol", p, size);
    }
}

bool inspect_e5(inspect *f)
{
    static const char *const part[] = {"build_info", "sections"};
    const char *dot = strrchr(f->name, '.');
    bool named = dot && !strcmp(dot, ".e5");
    table root;
    bool sound = f->n >= 24 && read_table(f, inspect_u32(f, 0), &root) && root.n == 4 &&
                 root.bytes == 20 && pointers_at(f, target(f, &root, SYMBOLS)) &&
                 target(f, &root, SECTIONS);
    if (!sound && !named) return false;
    inspect_kind(f, "e5", "the table of contents of an E5 bundle (a FlatBuffer)");
    if (!sound) {
        inspect_problem(f, "wanted a root table of four fields, as E5 version 4 has");
        return true;
    }
    uint32_t version = inspect_u32(f, root.at + root.field[VERSION]);
    inspect_int(f->o, "format_version", version);
    if (version != 4)
        inspect_problem(f, "wanted format version 4, had %u", (unsigned)version);
    say_symbols(f, &root);
    for (int i = BUILD; i <= SECTIONS; i++) {
        table t = root;
        for (int k = 0; k < t.n; k++)
            if (k != i) t.field[k] = 0;
        say_table(f, part[i - BUILD], &t, 0);
    }
    return true;
}
