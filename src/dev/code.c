/* code.c - from MIL text to checked code.
 *
 * The parser has made sure of the grammar and that names are defined before
 * use. Here each op finds its row in ops.def, each argument its slot, each
 * constant its data; then shapes.c says what the results must be, and that is
 * compared with what the text declares. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "dev/code.h"

static const struct {
    const char *name, *args;
    dev_op_class cls;
    int kernel;
    dev_match match;
    dev_bound bound;
} rows[] = {
#define BITS              \
    {                     \
        DEV_BITS, 0, 0, 0 \
    }
#define UNITS(n)          \
    {                     \
        DEV_EACH, 0, n, 0 \
    }
#define WITHIN(x)         \
    {                     \
        DEV_EACH, x, 0, 0 \
    }
#define LEAST(least, x, n)    \
    {                         \
        DEV_EACH, x, n, least \
    }
#define TERMS(x)           \
    {                      \
        DEV_TERMS, x, 1, 0 \
    }
#define SUMS(n)           \
    {                     \
        DEV_SUMS, n, 1, 0 \
    }
#define PRODUCTS(x)           \
    {                         \
        DEV_PRODUCTS, x, 1, 0 \
    }
#define LARGEST(x)           \
    {                        \
        DEV_LARGEST, x, 1, 0 \
    }
#define DEVOP(id, args, rule, cls, kernel, match, bound) \
    {#id, args, DEV_##cls, kernel, DEV_##match, bound},
#include "dev/ops.def"
#undef DEVOP
};

dev_op_class dev_op_class_of(dev_op_kind k)
{
    return rows[k].cls;
}

int dev_op_kernel(dev_op_kind k)
{
    return rows[k].kernel;
}

dev_match dev_op_match(dev_op_kind k)
{
    return rows[k].match;
}

dev_bound dev_op_bound(dev_op_kind k)
{
    return rows[k].bound;
}

const char *dev_op_text(dev_op_kind k)
{
    return rows[k].name;
}

int dev_op_find(const char *op)
{
    for (int i = 0; i < DEV_OPS; i++)
        if (!strcmp(rows[i].name, op)) return i;
    return -1;
}

rc dev_bad(const dev_code *c, const dev_op *o, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mil_fail(c->mil, o->mil->pos, E_FORMAT, "%s", text);
}

/* ---- names to values: open addressing, a power of two ---- */
typedef struct {
    dev_code *c;
    int *slot; /* value number + 1 */
    size_t mask;
} names;

/* FNV-1a; names come from programs, and a slow table is the worst a bad choice
 * of them can do. */
static size_t hash(const char *s)
{
    uint64_t h = 1469598103934665603u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

/* Where a name is or would be. The table is at most half full, so this ends. */
static int *name_slot(names *t, const char *name)
{
    size_t i = hash(name) & t->mask;
    while (t->slot[i] && strcmp(t->c->values[t->slot[i] - 1].name, name) != 0)
        i = (i + 1) & t->mask;
    return &t->slot[i];
}

/* Most values a function can have: inputs, results, literals in place. */
static size_t count_values(const mil_func *f)
{
    size_t n = (size_t)f->n_in;
    for (int i = 0; i < f->n_op; i++) {
        n += (size_t)f->op[i].n_out;
        n += (size_t)f->op[i].n_arg + (size_t)f->op[i].n_attr;
        for (int j = 0; j < f->op[i].n_arg; j++)
            if (f->op[i].arg[j].value.kind == MIL_LIST)
                n += (size_t)f->op[i].arg[j].value.n;
    }
    return n;
}

/* Counts are kept far from the edge of 64 bits: strides and sums of extents are
 * computed from them without further checks. */
static rc sound_type(const dev_code *c, mil_pos pos, const char *name, const mil_type *t)
{
    char text[96];
    int64_t n = mil_count(t);
    if (n < 0 || n > PTRDIFF_MAX / 16)
        return mil_fail(c->mil, pos, E_FORMAT, "'%s' is a %s: too many elements to hold",
                        name, mil_type_text(text, t));
    if (n == 0)
        return mil_fail(c->mil, pos, E_FORMAT, "'%s' is a %s: an axis is zero", name,
                        mil_type_text(text, t));
    return OK;
}

/* The list was sized beforehand (count_values), so adding cannot fail. */
static int add_value(names *t, const char *name, const mil_type *type, mil_pos pos,
                     int op)
{
    int id = t->c->n_values++;
    t->c->values[id] = (dev_value){.name = name, .type = *type, .pos = pos, .op = op};
    if (name) *name_slot(t, name) = id + 1;
    return id;
}

static void set_literal(dev_value *v, const mil_value *m)
{
    v->constant = true;
    v->type = m->type;
    v->data = m->kind == MIL_LITERAL ? m->data : NULL;
    v->splat = m->kind == MIL_LITERAL && m->splat;
    v->text = m->kind == MIL_LITERAL ? m->text : NULL;
    v->blob = m->kind == MIL_BLOB ? m : NULL;
}

/* The value an argument stands for; literals become values of their own. */
static rc resolve(names *t, const mil_value *m, int op, int *id)
{
    if (m->kind == MIL_REF) {
        *id = *name_slot(t, m->ref) - 1;
        if (*id < 0)
            return mil_fail(t->c->mil, m->pos, E_FORMAT, "'%s' is not defined", m->ref);
        t->c->values[*id].uses++;
        return OK;
    }
    if (m->kind != MIL_LITERAL && m->kind != MIL_BLOB)
        return mil_fail(t->c->mil, m->pos, E_FORMAT, "a value was wanted here");
    *id = add_value(t, NULL, &m->type, m->pos, op);
    set_literal(&t->c->values[*id], m);
    t->c->values[*id].uses = 1;
    return OK;
}

/* ---- arguments to slots ---- */
/* The next word of an argument list: name and marks. False at the end. */
static bool next_arg(const char **spec, char name[32], bool *fixed, bool *optional,
                     bool *list)
{
    const char *s = *spec;
    s += strspn(s, " ");
    size_t n = strcspn(s, " "), len = strcspn(s, " =?*");
    if (!n || len >= 32) return false;
    memcpy(name, s, len);
    name[len] = 0;
    *fixed = memchr(s, '=', n) != NULL;
    *optional = memchr(s, '?', n) != NULL;
    *list = memchr(s, '*', n) != NULL;
    *spec = s + n;
    return true;
}

/* constexpr ops carry their arguments among the attributes. */
static const mil_value *find_arg(const mil_op *m, const char *name)
{
    const mil_value *v = mil_arg_of(m, name);
    return v ? v : mil_attr_of(m, name);
}

/* `values = a` is read like `values = (a)`. */
static rc take_list(names *t, dev_op *o, const mil_value *v, int op)
{
    int n = v->kind == MIL_LIST ? v->n : 1;
    o->list = arena_array(t->c->mem, (size_t)(n ? n : 1), sizeof *o->list);
    if (!o->list) return E_MEMORY;
    o->n_list = n;
    for (int i = 0; i < n; i++)
        TRY(resolve(t, v->kind == MIL_LIST ? &v->items[i] : v, op, &o->list[i]));
    return OK;
}

/* A misspelt optional argument would otherwise be silently ignored. */
static rc known_args(names *t, const dev_op *o)
{
    const char *args = rows[o->kind].args;
    for (int i = 0; i < o->mil->n_arg; i++) {
        const char *spec = args;
        char name[32];
        bool fixed, optional, list, found = false;
        while (!found && next_arg(&spec, name, &fixed, &optional, &list))
            found = !strcmp(name, o->mil->arg[i].name);
        if (!found)
            return dev_bad(t->c, o, "op '%s' has no argument '%s'; it takes: %s",
                           o->mil->op, o->mil->arg[i].name, args);
    }
    return OK;
}

/* Slots are given out in the order of the row's list, absent ones included, so
 * that a slot's number means the same argument in every program. */
static rc take_args(names *t, dev_op *o, int op)
{
    const char *spec = rows[o->kind].args;
    char name[32];
    bool fixed, optional, list;
    TRY(known_args(t, o));
    for (int slot = 0; slot < DEV_SLOTS; slot++) o->arg[slot] = -1;
    for (int slot = 0; next_arg(&spec, name, &fixed, &optional, &list); slot++) {
        const mil_value *v = find_arg(o->mil, name);
        if (!v) {
            if (optional) continue;
            return dev_bad(t->c, o, "op '%s' needs argument '%s'", o->mil->op, name);
        }
        if (list) {
            TRY(take_list(t, o, v, op));
            continue;
        }
        TRY(resolve(t, v, op, &o->arg[slot]));
        if (fixed && !t->c->values[o->arg[slot]].constant)
            return dev_bad(t->c, o, "argument '%s' of '%s' must be a constant", name,
                           o->mil->op);
    }
    return OK;
}

/* ---- results ---- */
static rc take_results(names *t, dev_op *o, int op)
{
    const mil_op *m = o->mil;
    char want[96], had[96];
    o->n_out = m->n_out;
    o->out = arena_array(t->c->mem, (size_t)m->n_out + 1, sizeof *o->out);
    mil_type *got = arena_array(t->c->mem, (size_t)m->n_out + 1, sizeof *got);
    if (!o->out || !got) return E_MEMORY;
    TRY(dev_infer(t->c, o, got));
    for (int i = 0; i < m->n_out; i++) {
        TRY(sound_type(t->c, m->out[i].pos, m->out[i].name, &got[i]));
        if (!mil_type_eq(&got[i], &m->out[i].type))
            return mil_fail(t->c->mil, m->out[i].pos, E_FORMAT,
                            "'%s' is declared as %s, but '%s' gives %s", m->out[i].name,
                            mil_type_text(want, &m->out[i].type), m->op,
                            mil_type_text(had, &got[i]));
        o->out[i] = add_value(t, m->out[i].name, &got[i], m->out[i].pos, op);
    }
    if (dev_op_class_of(o->kind) == DEV_CONST && o->kind != DEV_OP_const) {
        dev_value *v = &t->c->values[o->out[0]];
        bool fill = o->kind == DEV_OP_fill;
        void *data = arena_array(t->c->mem, fill ? 1 : (size_t)mil_count(&v->type),
                                 mil_dtype_bytes(v->type.dtype));
        if (!data) return E_MEMORY;
        v->constant = true;
        v->splat = fill;
        v->data = data; /* filled in by dev_unpack() */
        if (fill && o->arg[1] >= 0) v->data = t->c->values[o->arg[1]].data;
    }
    if (o->kind == DEV_OP_const) {
        dev_value *v = &t->c->values[o->out[0]], *lit = &t->c->values[o->arg[0]];
        v->constant = true;
        v->data = lit->data;
        v->splat = lit->splat;
        v->text = lit->text;
        v->blob = lit->blob;
        lit->blob = NULL; /* bound once, through the named value */
    }
    return OK;
}

/* An op of the engine that software lacks is another thing than a misspelling. */
static rc unknown_op(const dev_code *c, const mil_op *m)
{
    const char *near[256];
    size_t n = 0;
    for (size_t i = 0; i < dev_support_count(); i++) {
        if (!strcmp(dev_support_op(i), m->op)) {
            const char *why;
            if (!dev_op_supported(m->op, (dev_family)(DEV_FAMILIES - 1), &why))
                return mil_fail(c->mil, m->pos, E_RULE,
                                "op '%s' does not run on any chip: %s", m->op, why);
            return mil_fail(c->mil, m->pos, E_UNIMPL,
                            "op '%s' exists, but software engines do not have it", m->op);
        }
        if (n < 256) near[n++] = dev_support_op(i);
    }
    rc r = mil_fail(c->mil, m->pos, E_FORMAT, "no op '%s' is known", m->op);
    const char *hit = err_nearest(m->op, near, n);
    return hit ? err_hint(r, "did you mean '%s'?", hit) : r;
}

static rc read_inputs(names *t, const mil_func *f)
{
    dev_code *c = t->c;
    c->n_in = f->n_in;
    c->in = arena_array(c->mem, (size_t)f->n_in + 1, sizeof *c->in);
    if (!c->in) return E_MEMORY;
    for (int i = 0; i < f->n_in; i++) {
        TRY(sound_type(c, f->in[i].pos, f->in[i].name, &f->in[i].type));
        c->in[i] = add_value(t, f->in[i].name, &f->in[i].type, f->in[i].pos, -1);
    }
    return OK;
}

/* An output is named, not made: it must be a value of the function. */
static rc read_outputs(names *t, const mil_func *f)
{
    dev_code *c = t->c;
    c->n_out = f->n_out;
    c->out = arena_array(c->mem, (size_t)f->n_out + 1, sizeof *c->out);
    if (!c->out) return E_MEMORY;
    c->out_names = f->out;
    for (int i = 0; i < f->n_out; i++) {
        c->out[i] = *name_slot(t, f->out[i]) - 1;
        if (c->out[i] < 0)
            return err_fail(E_FORMAT, "%s: output '%s' is not defined", c->mil->file,
                            f->out[i]);
        for (int j = 0; j < i; j++)
            if (c->out[j] == c->out[i])
                return err_fail(E_FORMAT, "%s: output '%s' is given twice", c->mil->file,
                                f->out[i]);
        c->values[c->out[i]].uses++;
    }
    return OK;
}

static rc read_ops(names *t, const mil_func *f)
{
    dev_code *c = t->c;
    c->ops = arena_array(c->mem, (size_t)f->n_op + 1, sizeof *c->ops);
    if (!c->ops) return E_MEMORY;
    for (int i = 0; i < f->n_op; i++) {
        dev_op *o = &c->ops[c->n_ops++];
        int kind = dev_op_find(f->op[i].op);
        if (kind < 0) return unknown_op(c, &f->op[i]);
        o->kind = (dev_op_kind)kind;
        o->mil = &f->op[i];
        TRY(take_args(t, o, i));
        TRY(take_results(t, o, i));
        c->flops += dev_flops(c, o);
    }
    return OK;
}

/* Surfaces bind in alphabetical order of names (rules input_order and
 * output_order), whatever the order in the text. */
static int *binding_order(dev_code *c, const int *ids, int n)
{
    int *order = arena_array(c->mem, (size_t)n + 1, sizeof *order);
    for (int i = 0; order && i < n; i++) {
        int j = i;
        for (; j > 0 &&
               strcmp(c->values[ids[order[j - 1]]].name, c->values[ids[i]].name) > 0;
             j--)
            order[j] = order[j - 1];
        order[j] = i;
    }
    return order;
}

/* Several functions are procedures of one program; the engine starts `main`. */
static rc read_function(dev_code *c)
{
    const mil_func *f = mil_find_func(c->mil, "main");
    if (!f) f = mil_find_func(c->mil, NULL);
    if (!f) return err_fail(E_FORMAT, "%s: the program has no function", c->mil->file);
    c->func = f;
    names t = {.c = c};
    size_t n = count_values(f), cap = 16;
    while (cap < n * 2) cap *= 2;
    t.mask = cap - 1;
    t.slot = arena_array(c->mem, cap, sizeof *t.slot);
    c->values = arena_array(c->mem, n + 1, sizeof *c->values);
    if (!t.slot || !c->values) return E_MEMORY;
    TRY(read_inputs(&t, f));
    TRY(read_ops(&t, f));
    TRY(read_outputs(&t, f));
    c->in_order = binding_order(c, c->in, c->n_in);
    c->out_order = binding_order(c, c->out, c->n_out);
    return c->in_order && c->out_order ? OK : E_MEMORY;
}

/* Named constants only: literals in place are parts of ops. */
static void count_constants(dev_code *c)
{
    for (int i = 0; i < c->n_values; i++)
        if (c->values[i].constant && c->values[i].name)
            c->const_bytes += (double)mil_count(&c->values[i].type) *
                              (double)mil_dtype_bytes(c->values[i].type.dtype);
}

/* The text is copied first: errors and values point into it for the whole life
 * of the code. */
rc dev_code_new(const dev_source *src, dev_code **out)
{
    *out = NULL;
    arena *mem = arena_new();
    dev_code *c = mem ? arena_take(mem, sizeof *c) : NULL;
    char *text = c ? arena_textn(mem, src->mil, src->mil_bytes) : NULL;
    char *name = text ? arena_text(mem, src->name ? src->name : "program") : NULL;
    if (!name) {
        arena_free(mem);
        return E_MEMORY;
    }
    c->mem = mem;
    rc r = mil_parse(mem, text, src->mil_bytes, name, &c->mil);
    if (r == OK) r = read_function(c);
    if (r == OK) r = dev_code_bind(c, src->files, src->n_files);
    if (r != OK) {
        dev_code_free(c);
        return r;
    }
    count_constants(c);
    *out = c;
    return OK;
}

void dev_code_free(dev_code *c)
{
    if (c) arena_free(c->mem);
}
