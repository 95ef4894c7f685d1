/* limits.c - what a chip's compiler refuses of an op that it takes: limits.def. */
#include "dev/code.h"

typedef bool broken(const dev_code *c, const dev_op *o);

static bool top_three(const dev_code *c, const dev_op *o)
{
    return o->a.n == 3 || o->a.n == 4;
}

static bool pad_mode(const dev_code *c, const dev_op *o)
{
    return o->a.mode != DEV_PAD_CONSTANT;
}

static bool long_axis(const dev_code *c, const dev_op *o)
{
    return c->values[o->arg[0]].type.d[o->a.axis] > 2048;
}

/* Numbers in a weight file count as not zero while it is not bound. */
static bool zero_point(const dev_code *c, const dev_op *o)
{
    if (o->arg[2] < 0) return false;
    const dev_value *z = &c->values[o->arg[2]];
    int64_t n = z->splat ? 1 : mil_count(&z->type);
    for (int64_t i = 0; i < n; i++)
        if (!z->data || dev_const_at(z, (size_t)i) != 0) return true;
    return false;
}

static const struct {
    dev_limit row;
    dev_op_kind op;
    broken *check;
} rows[] = {
#define LIMIT(op, last, check, text, source) \
    {{#op, DEV_##last, text, source}, DEV_OP_##op, check},
#include "dev/limits.def"
#undef LIMIT
};

const dev_limit *dev_limit_at(size_t i)
{
    return i < sizeof rows / sizeof *rows ? &rows[i].row : NULL;
}

const dev_limit *dev_limit_broken(const dev_code *c, const dev_op *o, dev_family f)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].op == o->kind && f <= rows[i].row.last && rows[i].check(c, o))
            return &rows[i].row;
    return NULL;
}
