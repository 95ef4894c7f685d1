/* emit.c - a graph of the device dialect becomes a MIL program.
 *
 * Only what an output needs is emitted, since an unused constant can make the
 * compiler refuse the program (h3.c-ane). Names are made up from the operation
 * and a running number, never from the graph's node numbers, and constants are
 * declared where they are first used: equal graphs give equal text, which is
 * what lets equal layers share one compiled program. */
#include <stdio.h>
#include <string.h>
#include "mil/emit.h"

static const mil_dtype dtype_of[IR_TYPES] = {
    [IR_FP16] = MIL_FP16,
    [IR_FP32] = MIL_FP32,
    [IR_INT32] = MIL_INT32,
    [IR_BOOL] = MIL_BOOL,
};

/* Values of the graph are tensors, also those of shape [1]. */
mil_type mil_node_type(const ir_node *n)
{
    mil_type t = {.dtype = dtype_of[n->type], .tensor = true, .rank = n->shape.rank};
    for (int i = 0; i < t.rank; i++) t.d[i] = n->shape.d[i];
    return t;
}

mil_type mil_scalar(const mil_emitter *e, mil_dtype d)
{
    return (mil_type){.dtype = d, .tensor = e->o->old_spelling};
}

/* base_0, base_1, ...: with the number it can be none of the names known to
 * break programs silently (x, y, c, var, mean, std, eps, mul, add, ...:
 * imperatormk/ane-train). */
const char *mil_new_name(mil_emitter *e, const char *base, int *counter)
{
    for (;;) {
        char text[MIL_NAME_MAX + 1];
        int n = snprintf(text, sizeof text, "%.200s_%d", base, (*counter)++);
        mil_name *name = mil_name_of(&e->names, text, (size_t)n);
        if (!name) return NULL;
        if (name->mark) continue;
        name->mark = 1;
        return name->text;
    }
}

const char *mil_plain_name(mil_emitter *e, const char *base)
{
    int again = 0;
    mil_name *name = mil_name_of(&e->names, base, strlen(base));
    if (!name) return NULL;
    if (name->mark) return mil_new_name(e, base, &again);
    name->mark = 1;
    return name->text;
}

/* Every operation carries a `name` attribute, as all known writers give it;
 * here it is the variable's own name. A const brings its attributes along. */
rc mil_push(mil_emitter *e, const mil_draft *d, const char *op, const char *name,
            mil_type type)
{
    mil_func *f = e->f;
    TRY(mil_grow(e->mem, &f->op, f->n_op, &e->cap_op, sizeof *f->op));
    mil_op *o = &f->op[f->n_op];
    *o = d->op;
    o->op = op;
    o->n_out = 1;
    o->out = arena_take(e->mem, sizeof *o->out);
    o->arg = arena_array(e->mem, (size_t)o->n_arg, sizeof *o->arg);
    if (!o->out || !o->arg) return E_MEMORY;
    *o->out = (mil_var){name, type, {0, 0}};
    memcpy(o->arg, d->arg, (size_t)o->n_arg * sizeof *o->arg);
    if (!o->n_attr) {
        o->attr = arena_take(e->mem, sizeof *o->attr);
        if (!o->attr) return E_MEMORY;
        mil_value text = {
            .kind = MIL_LITERAL, .type = mil_scalar(e, MIL_STRING), .text = name};
        *o->attr = (mil_arg){"name", text};
        o->n_attr = 1;
    }
    f->n_op++;
    return OK;
}

/* ---- names that are given ---- */

/* Names are not repaired: whoever binds surfaces by name must find them. */
static rc take_name(mil_emitter *e, const char *what, const char *name)
{
    if (!mil_is_name(name)) {
        err_fail(E_FORMAT, "the %s '%.80s' is not a name of MIL", what, name);
        return err_hint(E_FORMAT,
                        "a name has letters, digits, '_' and '@', and begins with "
                        "a letter or '_'");
    }
    mil_name *n = mil_name_of(&e->names, name, strlen(name));
    if (!n) return E_MEMORY;
    if (n->mark)
        return err_fail(E_FORMAT, "the %s '%.80s' has the name of another", what, name);
    n->mark = 1;
    return OK;
}

/* A name that was taken, in the arena of the program: the graph may go first. */
static const char *own(mil_emitter *e, const char *name)
{
    return mil_name_of(&e->names, name, strlen(name))->text;
}

/* NULL for anything but a param that was given values. */
static const double *baked_values(const mil_emitter *e, const ir_node *n)
{
    for (int i = 0; n->op == IR_param && i < e->n_baked; i++)
        if (!strcmp(e->baked[i].name, n->name)) return e->baked[i].v;
    return NULL;
}

static bool is_leaf(const ir_node *n)
{
    return n->op == IR_input || n->op == IR_param;
}

/* Does output i hand a leaf of the same name straight through? */
static bool passes_through(const mil_emitter *e, int i)
{
    const ir_node *n = e->g->outputs[i].node;
    return is_leaf(n) && !baked_values(e, n) && !strcmp(n->name, e->g->outputs[i].name);
}

/* Inputs and params in node order are the function's inputs, used or not: the
 * caller binds them. Every given name is taken before any is made up. */
static rc declare_inputs(mil_emitter *e)
{
    const ir_graph *g = e->g;
    int cap = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        if (!is_leaf(n)) continue;
        TRY(take_name(e, n->op == IR_param ? "param" : "input", n->name));
        if (baked_values(e, n)) continue;
        TRY(mil_grow(e->mem, &e->f->in, e->f->n_in, &cap, sizeof *e->f->in));
        e->value[n->id] = own(e, n->name);
        e->f->in[e->f->n_in++] = (mil_var){e->value[n->id], mil_node_type(n), {0, 0}};
    }
    for (int i = 0; i < g->n_outputs; i++)
        if (!passes_through(e, i)) TRY(take_name(e, "output", g->outputs[i].name));
    for (int i = 0; i < e->n_baked; i++) {
        const ir_node *n = ir_find(g, e->baked[i].name);
        if (!n || n->op != IR_param)
            return err_fail(E_FORMAT, "values were given for '%.80s', which is no param",
                            e->baked[i].name);
    }
    return OK;
}

/* ---- the walk ---- */

/* Operands come before their users, so one pass from the end marks all. */
static void find_live(mil_emitter *e)
{
    const ir_graph *g = e->g;
    for (int i = 0; i < g->n_outputs; i++) e->live[g->outputs[i].node->id] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int j = 0; e->live[i] && j < g->nodes[i]->n_in; j++)
            e->live[g->nodes[i]->in[j]->id] = true;
}

/* The first output that names this node, or a name made up. */
static const char *name_for(mil_emitter *e, const ir_node *n)
{
    for (int i = 0; i < e->g->n_outputs; i++)
        if (e->g->outputs[i].node == n) return own(e, e->g->outputs[i].name);
    return mil_new_name(e, ir_op_mil(n->op), &e->n_values);
}

/* Baked params are declared where they are first read, as all constants. */
static rc bake_operands(mil_emitter *e, const ir_node *n)
{
    for (int i = 0; i < n->n_in; i++) {
        const ir_node *x = n->in[i];
        if (x->op != IR_param || e->value[x->id]) continue;
        e->value[x->id] = own(e, x->name);
        TRY(mil_const_baked(e, x, baked_values(e, x)));
    }
    return OK;
}

/* Node order is an order of computation, and so becomes statement order.
 * Constants have no turn of their own: whoever reads one declares it. */
static rc emit_nodes(mil_emitter *e)
{
    for (int i = 0; i < e->g->n_nodes; i++) {
        const ir_node *n = e->g->nodes[i];
        if (!e->live[i] || is_leaf(n) || n->op == IR_constant) continue;
        TRY(bake_operands(e, n));
        const char *name = name_for(e, n);
        if (!name) return E_MEMORY;
        TRY_WHILE(mil_emit_node(e, n, name), "writing %s '%s'", ir_op_name(n->op), name);
        e->value[i] = name;
    }
    return OK;
}

/* An output that is not the variable of its node yet (a leaf, a constant, a
 * node with two names) is a copy of it. */
static rc emit_outputs(mil_emitter *e)
{
    const ir_graph *g = e->g;
    e->f->out = arena_array(e->mem, (size_t)g->n_outputs, sizeof *e->f->out);
    if (!e->f->out) return E_MEMORY;
    for (int i = 0; i < g->n_outputs; i++) {
        const ir_node *n = g->outputs[i].node;
        const char *name = own(e, g->outputs[i].name), *from = e->value[n->id];
        e->f->out[e->f->n_out++] = name;
        if (from && !strcmp(from, name)) continue;
        if (n->op == IR_constant) TRY(mil_const_node(e, n, false, &from));
        if (!from) {
            from = e->value[n->id] = own(e, n->name);
            TRY(mil_const_baked(e, n, baked_values(e, n)));
        }
        TRY(mil_emit_identity(e, n, from, name));
    }
    return OK;
}

/* The pairs the compiler wants to see; their values do not matter (maderix/ANE,
 * ANEForge), the older spelling carries one. */
static rc build_info(mil_emitter *e, mil_value *dict)
{
    static const char *const pairs[] = {"coremlc-component-MIL",
                                        "3510.2.1",
                                        "coremlc-version",
                                        "3505.4.1",
                                        "coremltools-component-milinternal",
                                        "",
                                        "coremltools-version",
                                        "9.0"};
    bool old = e->o->old_spelling;
    *dict = (mil_value){.kind = MIL_DICT, .type = mil_scalar(e, MIL_STRING), .old = old};
    dict->n = old ? 2 : 8;
    dict->items = arena_array(e->mem, (size_t)dict->n, sizeof *dict->items);
    if (!dict->items) return E_MEMORY;
    for (int i = 0; i < dict->n; i++)
        dict->items[i] = (mil_value){
            .kind = MIL_LITERAL, .type = dict->type, .text = pairs[i + (old ? 2 : 0)]};
    return OK;
}

/* The whole of it, in order. Names that were given are taken first, since a
 * made-up name must step aside for an output that comes last. */
static rc emit(mil_emitter *e, mil_program *p)
{
    const ir_graph *g = e->g;
    if (!g->n_outputs) return err_fail(E_SHAPE, "a program needs at least one output");
    e->live = arena_array(e->mem, (size_t)g->n_nodes, sizeof *e->live);
    e->value = arena_array(e->mem, (size_t)g->n_nodes, sizeof *e->value);
    if (!e->live || !e->value) return E_MEMORY;
    TRY(build_info(e, &p->build_info));
    find_live(e);
    TRY(declare_inputs(e));
    TRY(emit_nodes(e));
    TRY(emit_outputs(e));
    return mil_close_weights(e);
}

rc mil_emit(arena *mem, const ir_graph *g, const mil_emit_options *o, int n_baked,
            const ir_binding *baked, mil_emitted *out)
{
    static const mil_emit_options plain = {0};
    mil_emitter e = {
        .mem = mem, .g = g, .o = o ? o : &plain, .n_baked = n_baked, .baked = baked};
    mil_program *p = arena_take(mem, sizeof *p);
    *out = (mil_emitted){0};
    if (!p || !(p->func = arena_take(mem, sizeof *p->func))) return E_MEMORY;
    e.inline_max = e.o->inline_max ? e.o->inline_max : 64;
    e.names.mem = mem;
    e.f = p->func;
    p->n_func = 1;
    p->func->name = "main";
    p->func->opset = e.o->old_spelling ? "ios16" : "ios18";
    p->major = 1;
    p->minor = e.o->old_spelling ? 0 : 3;
    rc r = ir_verify(g);
    if (r == OK) r = emit(&e, p);
    if (r == OK) r = mil_print(p, &out->text);
    mil_blob_free(e.weights);
    if (r != OK) {
        str_free(&out->text);
        return r;
    }
    out->program = p;
    out->n_files = e.n_files;
    out->files = e.files;
    return OK;
}
