/* emit_const.c - constants of an emitted program.
 *
 * Arguments such as axis or perm must be named constants (the raw compiler
 * takes no inline booleans: Orion), so equal ones share one declaration.
 * Numbers are rounded once, from double to nearest, ties to even. A small
 * tensor stands in the text; a large one goes to the weight file. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "mil/emit.h"

static void attribute(mil_arg *a, const char *name, mil_value value)
{
    a->name = name;
    a->value = value;
}

/* Declare `type name = const()[name = ..., val = value]`. */
static rc declare(mil_emitter *e, const char *name, mil_value value)
{
    mil_draft d = {0};
    mil_arg *attr = arena_array(e->mem, 2, sizeof *attr);
    if (!attr) return E_MEMORY;
    mil_value text = {
        .kind = MIL_LITERAL, .type = mil_scalar(e, MIL_STRING), .text = name};
    attribute(&attr[0], "name", text);
    attribute(&attr[1], "val", value);
    d.op.n_attr = 2;
    d.op.attr = attr;
    return mil_push(e, &d, "const", name, value.type);
}

/* The same value as a chunk of the weight file in hand (below). */
static rc to_blob(mil_emitter *e, const mil_value *v, size_t bytes, mil_value *out);

/* Too long for the text, and of a type a weight file can hold? */
static bool is_large(const mil_emitter *e, const mil_value *v)
{
    return v->data && v->type.dtype != MIL_BOOL &&
           (uint64_t)mil_count(&v->type) > e->inline_max;
}

/* The constant with this type and content, declared now if it is new, under
 * the name `what` or a numbered one. Content is compared as bytes, so 0 and -0
 * stay two constants. A large one is found again as well: its bytes stay in
 * the arena, and the program holds the offset. */
static rc shared(mil_emitter *e, const char *what, const mil_value *v, size_t n,
                 const char **name)
{
    const void *bytes = v->text ? v->text : v->data;
    uint64_t h = mil_hash(bytes, n,
                          (uint64_t)v->type.dtype * 64 + (uint64_t)v->type.rank);
    mil_const **at = &e->bucket[h % MIL_BUCKETS];
    for (; *at; at = &(*at)->next) {
        mil_const *c = *at;
        *name = c->name;
        if (c->n == n && mil_type_eq(&c->type, &v->type) && !memcmp(c->bytes, bytes, n))
            return OK;
    }
    mil_const *c = arena_take(e->mem, sizeof *c);
    *name = what ? mil_plain_name(e, what) : mil_new_name(e, "const", &e->n_consts);
    if (!c || !*name) return E_MEMORY;
    *c = (mil_const){NULL, v->type, bytes, n, *name};
    *at = c;
    mil_value value = *v;
    if (is_large(e, v)) TRY(to_blob(e, v, n, &value));
    return declare(e, *name, value);
}

/* A shared constant from bytes on the caller's stack. */
static rc literal(mil_emitter *e, const char *what, mil_type t, const void *data,
                  size_t n, const char **name)
{
    void *copy = arena_take(e->mem, n);
    if (!copy) return E_MEMORY;
    memcpy(copy, data, n);
    mil_value v = {.kind = MIL_LITERAL, .type = t, .data = copy};
    return shared(e, what, &v, n, name);
}

/* Arguments are named by what they hold (ints_0_1_3_2, bool_false), since
 * operations of different kinds share them: the strides of a convolution and
 * the shape of a reshape may be one constant. Attributes of the device dialect
 * are never negative, so the content always makes a name. */
rc mil_const_ints(mil_emitter *e, int n, const int64_t *v, const char **name)
{
    mil_type t = {MIL_INT32, true, 1, {n}};
    int32_t narrow[IR_RANK];
    char what[MIL_NAME_MAX] = "ints";
    size_t at = strlen(what);
    for (int i = 0; i < n; i++) {
        narrow[i] = (int32_t)v[i];
        at += (size_t)snprintf(what + at, sizeof what - at, "_%ld", (long)narrow[i]);
    }
    return literal(e, what, t, narrow, (size_t)n * sizeof *narrow, name);
}

rc mil_const_int(mil_emitter *e, int v, const char **name)
{
    int32_t narrow = v;
    char what[32];
    snprintf(what, sizeof what, "int_%d", v);
    return literal(e, what, mil_scalar(e, MIL_INT32), &narrow, sizeof narrow, name);
}

rc mil_const_bool(mil_emitter *e, bool v, const char **name)
{
    unsigned char byte = v;
    return literal(e, v ? "bool_true" : "bool_false", mil_scalar(e, MIL_BOOL), &byte, 1,
                   name);
}

rc mil_const_text(mil_emitter *e, const char *text, const char **name)
{
    char what[64];
    snprintf(what, sizeof what, "text_%s", text);
    mil_value v = {.kind = MIL_LITERAL, .type = mil_scalar(e, MIL_STRING), .text = text};
    return shared(e, what, &v, strlen(text), name);
}

/* ---- numbers ---- */

/* Infinity may be meant (a mask); a finite number that would become one is not. */
static rc beyond(double v, ir_type t)
{
    err_fail(E_NUMERIC, "the constant %g is beyond the range of %s", v, ir_type_name(t));
    return t == IR_FP16 ? err_hint(E_NUMERIC, "the largest finite fp16 is 65504")
                        : E_NUMERIC;
}

/* n values (or one n times) in the type of the program, from double with one
 * rounding: going through float first would round ties twice. */
static rc round_values(ir_type t, const double *v, bool uniform, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++) {
        double x = v[uniform ? 0 : i];
        half h = half_from_double(x);
        float f = (float)x;
        if (t == IR_INT32 && !(fabs(x) <= INT32_MAX)) return beyond(x, t);
        int32_t w = t == IR_INT32 ? (int32_t)x : 0;
        if (t == IR_FP16) memcpy((half *)out + i, &h, sizeof h);
        else if (t == IR_FP32) memcpy((float *)out + i, &f, sizeof f);
        else if (t == IR_INT32) memcpy((int32_t *)out + i, &w, sizeof w);
        else ((unsigned char *)out)[i] = x != 0;
        bool lost = t == IR_FP16 ? (h & 0x7fffu) == HALF_INF : t == IR_FP32 && isinf(f);
        if (lost && isfinite(x)) return beyond(x, t);
    }
    return OK;
}

rc mil_const_real(mil_emitter *e, ir_type t, double v, const char **name)
{
    unsigned char bytes[8];
    mil_type type = mil_scalar(e, t == IR_FP32 ? MIL_FP32 : MIL_FP16);
    TRY(round_values(t, &v, true, 1, bytes));
    return literal(e, NULL, type, bytes, mil_dtype_bytes(type.dtype), name);
}

/* ---- weight files ---- */

/* "@model_path/weights/weight.bin" -> "...weight3.bin" */
static const char *numbered(mil_emitter *e, const char *path, int number)
{
    size_t n = strlen(path), tail = str_ends(path, ".bin") ? 4 : 0;
    return arena_printf(e->mem, "%.*s%d%s", (int)(n - tail), path, number,
                        path + n - tail);
}

/* The bytes move to the arena of the program, which outlives the writer. */
rc mil_close_weights(mil_emitter *e)
{
    const void *bytes;
    size_t n;
    if (!e->weights) return OK;
    mil_blob_file *f = &e->files[e->n_files - 1];
    TRY(mil_blob_bytes(e->weights, &bytes, &n));
    void *copy = arena_take(e->mem, n);
    if (!copy) return E_MEMORY;
    memcpy(copy, bytes, n);
    f->bytes = copy;
    f->size = n;
    mil_blob_free(e->weights);
    e->weights = NULL;
    return OK;
}

/* A file to write the next chunk to: the one in hand, or with blob_each a new
 * one for every chunk. */
static rc open_weights(mil_emitter *e)
{
    if (e->weights && !e->o->blob_each) return OK;
    TRY(mil_close_weights(e));
    TRY(mil_grow(e->mem, &e->files, e->n_files, &e->cap_files, sizeof *e->files));
    const char *path = e->o->blob_path ? e->o->blob_path
                                       : "@model_path/weights/weight.bin";
    path = e->o->blob_each ? numbered(e, path, e->n_files) : arena_text(e->mem, path);
    if (!path) return E_MEMORY;
    e->files[e->n_files++] = (mil_blob_file){.path = path};
    return mil_blob_new(&e->weights);
}

static rc to_blob(mil_emitter *e, const mil_value *v, size_t bytes, mil_value *out)
{
    *out = (mil_value){.kind = MIL_BLOB, .type = v->type, .old = e->o->old_spelling};
    TRY(open_weights(e));
    out->text = e->files[e->n_files - 1].path;
    return mil_blob_add(e->weights, v->type.dtype, v->data, bytes, &out->offset);
}

/* ---- constants of the graph ---- */

/* All values of a node in its own shape and type, a uniform one spread out. */
static rc values_of(mil_emitter *e, const ir_node *n, const double *v, bool uniform,
                    mil_value *out, size_t *bytes)
{
    size_t count = (size_t)ir_count(n->shape);
    mil_type t = mil_node_type(n);
    *bytes = mem_mul(count, mil_dtype_bytes(t.dtype));
    void *data = arena_take(e->mem, *bytes);
    if (!data) return E_MEMORY;
    *out = (mil_value){.kind = MIL_LITERAL, .type = t, .data = data};
    return round_values(n->type, v, uniform, count, data);
}

rc mil_const_node(mil_emitter *e, const ir_node *n, bool scalar, const char **name)
{
    mil_value v;
    size_t bytes;
    if (scalar) return mil_const_real(e, n->type, n->data[0], name);
    TRY(values_of(e, n, n->data, n->uniform, &v, &bytes));
    return shared(e, NULL, &v, bytes, name);
}

/* Not shared, however equal or small: the text must not change when the values
 * do, or a program retrained every few updates would be compiled anew each time
 * two of its weights happen to agree. */
rc mil_const_baked(mil_emitter *e, const ir_node *n, const double *values)
{
    mil_value v, blob;
    size_t bytes;
    TRY(values_of(e, n, values, false, &v, &bytes));
    TRY(to_blob(e, &v, bytes, &blob));
    return declare(e, e->value[n->id], blob);
}
