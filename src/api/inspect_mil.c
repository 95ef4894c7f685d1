/* inspect_mil.c - what goes into the engine's compiler: MIL text, and the weight
 * files it names. The reader of weight files in src/mil is strict, as what runs
 * must be; this one goes on as far as it can and says what is wrong, since files
 * written by hand are known to have counts of 1 and chunks that do not stand on 64
 * bytes (maderix/ANE), and compilers take them. */
#include <stdio.h>
#include <string.h>

#include "api/inspect_in.h"
#include "mil/mil.h"

/* ---- MIL text ---- */

static bool begins_as_program(const inspect *f)
{
    size_t i = 0;
    while (i < f->n && strchr(" \t\r\n", f->p[i]) && f->p[i]) i++;
    return f->n - i >= 7 && !memcmp(f->p + i, "program", 7);
}

static void ports(inspect *f, const mil_func *fn)
{
    char text[96];
    for (int i = 0; i < fn->n_in; i++) {
        json_t *o = inspect_row(f, "inputs");
        if (!o) return;
        inspect_text(o, "function", fn->name);
        inspect_text(o, "name", fn->in[i].name);
        inspect_text(o, "type", mil_type_text(text, &fn->in[i].type));
    }
}

static const mil_type *type_of(const mil_func *fn, const char *name)
{
    for (int i = fn->n_op; i-- > 0;)
        for (int k = 0; k < fn->op[i].n_out; k++)
            if (!strcmp(fn->op[i].out[k].name, name)) return &fn->op[i].out[k].type;
    for (int i = 0; i < fn->n_in; i++)
        if (!strcmp(fn->in[i].name, name)) return &fn->in[i].type;
    return NULL;
}

static void outputs(inspect *f, const mil_func *fn)
{
    char text[96];
    for (int i = 0; i < fn->n_out; i++) {
        const mil_type *t = type_of(fn, fn->out[i]);
        json_t *o = inspect_row(f, "outputs");
        if (!o) return;
        inspect_text(o, "function", fn->name);
        inspect_text(o, "name", fn->out[i]);
        if (t) inspect_text(o, "type", mil_type_text(text, t));
    }
}

/* A row for each kind of operation, in the order of first use. */
static void operations(inspect *f, const mil_func *fn)
{
    json_t *count = json_object();
    const char *op;
    json_t *v;
    for (int i = 0; i < fn->n_op; i++) {
        json_t *n = json_object_get(count, fn->op[i].op);
        json_object_set_new(count, fn->op[i].op, json_integer(json_integer_value(n) + 1));
    }
    json_object_foreach(count, op, v)
    {
        json_t *o = inspect_row(f, "ops");
        if (!o) break;
        inspect_text(o, "function", fn->name);
        inspect_text(o, "op", op);
        json_object_set(o, "count", v);
    }
    json_decref(count);
}

/* Weights in files, wherever in a value they stand. */
static void weights(inspect *f, const mil_value *v, int depth)
{
    char text[96];
    if (v->kind == MIL_BLOB) {
        json_t *o = inspect_row(f, "weights");
        if (!o) return;
        inspect_text(o, "file", v->text);
        inspect_int(o, "offset", v->offset);
        inspect_text(o, "type", mil_type_text(text, &v->type));
    }
    if (v->kind != MIL_LIST && v->kind != MIL_DICT) return;
    for (int i = 0; depth < 16 && i < v->n; i++) weights(f, &v->items[i], depth + 1);
}

static void function(inspect *f, const mil_func *fn)
{
    json_t *o = inspect_row(f, "functions");
    if (!o) return;
    inspect_text(o, "function", fn->name);
    inspect_text(o, "opset", fn->opset);
    inspect_int(o, "inputs", (uint64_t)fn->n_in);
    inspect_int(o, "ops", (uint64_t)fn->n_op);
    inspect_int(o, "outputs", (uint64_t)fn->n_out);
    ports(f, fn);
    outputs(f, fn);
    operations(f, fn);
    for (int i = 0; i < fn->n_op; i++) {
        for (int k = 0; k < fn->op[i].n_arg; k++) weights(f, &fn->op[i].arg[k].value, 0);
        for (int k = 0; k < fn->op[i].n_attr; k++)
            weights(f, &fn->op[i].attr[k].value, 0);
    }
}

bool inspect_mil(inspect *f)
{
    mil_program *p;
    char version[32];
    if (!begins_as_program(f)) return false;
    inspect_kind(f, "mil", "a program in MIL text");
    if (mil_parse(f->mem, (const char *)f->p, f->n, f->name, &p)) {
        inspect_problem(f, "%s", err_first());
        return true;
    }
    snprintf(version, sizeof version, "%d.%d", p->major, p->minor);
    inspect_text(f->o, "version", version);
    for (int i = 0; i < p->n_func; i++) function(f, &p->func[i]);
    return true;
}

/* ---- weight files ---- */

enum { HEADER = 64, RECORD = 64, SENTINEL_BYTES = 4 };
#define SENTINEL 0xdeadbeefu

/* Codes of element types, and bits of one element (coremltools, MILBlob). */
static const struct {
    const char *name;
    int bits;
} elements[] = {{"unknown", 0}, {"fp16", 16},  {"fp32", 32},  {"uint8", 8},
                {"int8", 8},    {"bf16", 16},  {"int16", 16}, {"uint16", 16},
                {"int4", 4},    {"uint1", 1},  {"uint2", 2},  {"uint4", 4},
                {"uint3", 3},   {"uint6", 6},  {"int32", 32}, {"uint32", 32},
                {"fp8e4m3", 8}, {"fp8e5m2", 8}};

/* One chunk; returns where the next could begin, 0 = cannot be said. */
static uint64_t chunk(inspect *f, uint64_t at)
{
    uint32_t code = inspect_u32(f, (size_t)at + 4);
    uint64_t bytes = inspect_u64(f, (size_t)at + 8);
    uint64_t data = inspect_u64(f, (size_t)at + 16);
    json_t *o = inspect_row(f, "chunks");
    if (!o) return 0;
    if (code >= sizeof elements / sizeof *elements) code = 0;
    inspect_int(o, "offset", at);
    inspect_text(o, "type", elements[code].name);
    inspect_int(o, "bytes", bytes);
    inspect_int(o, "data", data);
    if (!code)
        inspect_problem(f, "the chunk at %llu has elements of an unknown type, %u",
                        (unsigned long long)at, (unsigned)inspect_u32(f, (size_t)at + 4));
    if (at % 64 || data % 64)
        inspect_problem(f, "the chunk at %llu or its data does not stand on 64 bytes",
                        (unsigned long long)at);
    if (data < at + RECORD || !inspect_has(f, data, bytes)) {
        inspect_problem(f,
                        "the chunk at %llu has %llu bytes from %llu on, which are "
                        "not in the file",
                        (unsigned long long)at, (unsigned long long)bytes,
                        (unsigned long long)data);
        return 0;
    }
    if (code) inspect_int(o, "elements", bytes * 8 / (uint64_t)elements[code].bits);
    inspect_range(o, elements[code].name, f->p + data, (size_t)bytes);
    return data + bytes;
}

static bool sentinel_at(const inspect *f, uint64_t at)
{
    return inspect_has(f, at, RECORD) && inspect_u32(f, (size_t)at) == SENTINEL;
}

bool inspect_blob(inspect *f)
{
    bool bare = f->n >= RECORD && inspect_u32(f, 0) == SENTINEL;
    if (!bare && !(f->n >= HEADER + SENTINEL_BYTES && inspect_u32(f, 4) <= 2 &&
                   inspect_u32(f, HEADER) == SENTINEL))
        return false;
    inspect_kind(f, "blob", "weights for MIL programs");
    if (bare)
        inspect_problem(f, "a chunk without the file's own header of 64 bytes; no "
                           "compiler is known to take it");
    else inspect_int(f->o, "version", inspect_u32(f, 4));
    if (!bare && inspect_u32(f, 4) != 2)
        inspect_problem(f, "wanted version 2, had %u", (unsigned)inspect_u32(f, 4));
    uint64_t n = 0, at = bare ? 0 : HEADER, end = at, next;
    for (; sentinel_at(f, at); n++) {
        if (!(next = chunk(f, at))) break;
        end = next;
        at = (end + 63) / 64 * 64;
        /* written by hand: right after the data */
        if (!sentinel_at(f, at)) at = end;
    }
    inspect_int(f->o, "chunk_count", n);
    if (!bare && inspect_u32(f, 0) != n)
        inspect_problem(f, "the header counts %u chunks, %llu were found",
                        (unsigned)inspect_u32(f, 0), (unsigned long long)n);
    if (end < f->n && f->n - end >= 64)
        inspect_problem(f, "%llu bytes follow the last chunk",
                        (unsigned long long)(f->n - end));
    return true;
}
