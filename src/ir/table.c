/* table.c - the arrays made from ops.def and attrs.def, and the small hash
 * table that keeps graph work linear. */
#include "ir/table.h"

#include <string.h>

#define MANY_1 1
#define MANY_2 2
#define MANY_4 4
#define MANY_RANK IR_MANY_RANK
#define MANY_AXES IR_MANY_AXES
#define TYPE_INT int
#define TYPE_LONG int64_t
#define TYPE_FLAG bool
#define TYPE_REAL double

const ir_attr_row ir_attrs[IR_ATTRS] = {
#define ATTR(field, kind, many)                                  \
    {#field, IR_KIND_##kind, MANY_##many,                        \
     (int)(sizeof(((ir_attr *)0)->field) / sizeof(TYPE_##kind)), \
     offsetof(ir_attr, field)},
#include "ir/attrs.def"
#undef ATTR
};
_Static_assert(IR_ATTRS <= 32, "attribute sets are 32-bit");

const ir_op_row ir_ops[IR_OPS] = {
#define OP(name, mil, args, dialect, attrs, shape, ...) \
    {#name, mil, args, dialect, AT_##attrs, ir_rule_##shape},
#include "ir/ops.def"
#undef OP
};

int ir_attr_many(const ir_attr_row *row, const ir_attr *a, int rank)
{
    int n = row->many;
    if (n == IR_MANY_RANK) n = rank;
    if (n == IR_MANY_AXES) n = a->n_axes;
    return n < 0 ? 0 : n > row->cap ? row->cap : n;
}

int64_t ir_attr_int(const ir_attr_row *row, const ir_attr *a, int i)
{
    const char *p = (const char *)a + row->offset;
    switch (row->kind) {
    case IR_KIND_INT:
        return ((const int *)(const void *)p)[i];
    case IR_KIND_LONG:
        return ((const int64_t *)(const void *)p)[i];
    case IR_KIND_FLAG:
        return *(const bool *)(const void *)p;
    case IR_KIND_REAL:
        break;
    }
    return 0;
}

double ir_attr_real(const ir_attr_row *row, const ir_attr *a)
{
    return *(const double *)(const void *)((const char *)a + row->offset);
}

void ir_attr_set_int(const ir_attr_row *row, ir_attr *a, int i, int64_t v)
{
    char *p = (char *)a + row->offset;
    switch (row->kind) {
    case IR_KIND_INT:
        ((int *)(void *)p)[i] = (int)v;
        break;
    case IR_KIND_LONG:
        ((int64_t *)(void *)p)[i] = v;
        break;
    case IR_KIND_FLAG:
        *(bool *)(void *)p = v != 0;
        break;
    case IR_KIND_REAL:
        break;
    }
}

void ir_attr_set_real(const ir_attr_row *row, ir_attr *a, double v)
{
    *(double *)(void *)((char *)a + row->offset) = v;
}

ir_attr ir_attr_only(unsigned set, const ir_attr *a, int rank)
{
    ir_attr out;
    memset(&out, 0, sizeof out);
    if (set & AT(axes)) out.n_axes = a->n_axes;
    for (int id = 0; id < IR_ATTRS; id++) {
        const ir_attr_row *row = &ir_attrs[id];
        if (!(set >> id & 1u)) continue;
        if (row->kind == IR_KIND_REAL) {
            ir_attr_set_real(row, &out, ir_attr_real(row, a));
            continue;
        }
        for (int i = 0; i < ir_attr_many(row, a, rank); i++)
            ir_attr_set_int(row, &out, i, ir_attr_int(row, a, i));
    }
    return out;
}

bool ir_attr_equal(const ir_attr *a, const ir_attr *b)
{
    for (int id = 0; id < IR_ATTRS; id++) {
        const ir_attr_row *row = &ir_attrs[id];
        for (int i = 0; i < row->cap; i++)
            if (ir_attr_int(row, a, i) != ir_attr_int(row, b, i)) return false;
        const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
        if (row->kind == IR_KIND_REAL && memcmp(x, y, sizeof(double)) != 0) return false;
    }
    return a->n_axes == b->n_axes;
}

void *ir_table_next(const ir_table *t, uint64_t hash, size_t *at)
{
    if (t->cap == 0) return NULL;
    size_t mask = t->cap - 1;
    for (; *at < t->cap; (*at)++) {
        const ir_slot *s = &t->slot[(hash + *at) & mask];
        if (!s->item) return NULL;
        if (s->hash != hash) continue;
        (*at)++;
        return s->item;
    }
    return NULL;
}

static void put(ir_table *t, uint64_t hash, void *item)
{
    size_t mask = t->cap - 1, i = hash & mask;
    while (t->slot[i].item) i = (i + 1) & mask;
    t->slot[i] = (ir_slot){hash, item};
    t->n++;
}

rc ir_table_put(ir_table *t, arena *mem, uint64_t hash, void *item)
{
    if (2 * (t->n + 1) > t->cap) {
        ir_table bigger = {NULL, t->cap ? 2 * t->cap : 64, 0};
        bigger.slot = arena_array(mem, bigger.cap, sizeof *bigger.slot);
        if (!bigger.slot) return E_MEMORY;
        for (size_t i = 0; i < t->cap; i++)
            if (t->slot[i].item) put(&bigger, t->slot[i].hash, t->slot[i].item);
        *t = bigger;
    }
    put(t, hash, item);
    return OK;
}

const char *ir_op_name(ir_op op)
{
    return (unsigned)op < IR_OPS ? ir_ops[op].name : "?";
}

const char *ir_op_mil(ir_op op)
{
    return (unsigned)op < IR_OPS ? ir_ops[op].mil : "";
}

bool ir_op_in_dialect(ir_op op)
{
    return (unsigned)op < IR_OPS && ir_ops[op].dialect;
}

int ir_op_find(const char *name)
{
    for (int op = 0; op < IR_OPS; op++)
        if (strcmp(ir_ops[op].name, name) == 0) return op;
    return -1;
}

const char *ir_type_name(ir_type t)
{
    static const char *const names[IR_TYPES] = {"fp16", "fp32", "int32", "bool"};
    return (unsigned)t < IR_TYPES ? names[t] : "?";
}
