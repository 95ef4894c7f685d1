/* values.c - the plan's values: views into roots, and where those come from. */
#include <string.h>
#include "dev/emu/emu.h"

/* ---- growing lists in the plan's arena ---- */
static void *grow(arena *mem, void *old, int n, int *cap, size_t size)
{
    if (n < *cap) return old;
    int more = *cap ? *cap * 2 : 64;
    void *p = arena_array(mem, (size_t)more, size);
    if (p && n) memcpy(p, old, (size_t)n * size);
    if (p) *cap = more;
    return p;
}

/* Roots begin unused (last < 0); memory.c skips those that stay so. */
static int add_root(emu_plan *p, emu_where where, size_t bytes)
{
    emu_root *roots = grow(p->mem, p->roots, p->n_roots, &p->cap_roots, sizeof *roots);
    if (!roots) return -1;
    p->roots = roots;
    roots[p->n_roots] = (emu_root){
        .where = where, .value = -1, .bytes = bytes, .last = -1};
    return p->n_roots++;
}

static int push_val(emu_plan *p, const emu_val *v)
{
    emu_val copy = *v; /* v may point into the list that moves */
    emu_val *vals = grow(p->mem, p->vals, p->n_vals, &p->cap_vals, sizeof *vals);
    if (!vals) return -1;
    p->vals = vals;
    vals[p->n_vals] = copy;
    return p->n_vals++;
}

/* Row-major. */
static void pack_strides(emu_val *v)
{
    int64_t step = 1;
    for (int i = v->rank - 1; i >= 0; i--) {
        v->v.st[i] = step;
        step *= v->d[i];
    }
}

int64_t emu_count(const emu_val *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++) n *= v->d[i];
    return n;
}

int emu_add_val(emu_plan *p, int rank, const int64_t *d, mil_dtype store)
{
    emu_val v = {.rank = rank, .store = store};
    if (rank) memcpy(v.d, d, (size_t)rank * sizeof *d);
    pack_strides(&v);
    v.v.root = add_root(p, EMU_WORK, mem_mul((size_t)emu_count(&v), emu_size(&v)));
    return v.v.root < 0 ? -1 : push_val(p, &v);
}

/* Also for views of other views: strides are always over the root. */
int emu_view_of(emu_plan *p, int val, int rank, const int64_t *d, emu_view view)
{
    emu_val v = {.rank = rank, .store = p->vals[val].store, .v = view};
    if (rank) memcpy(v.d, d, (size_t)rank * sizeof *d);
    return push_val(p, &v);
}

/* Cleared, in no group. */
emu_node *emu_add_node(emu_plan *p, emu_kind kind)
{
    emu_node *nodes = grow(p->mem, p->nodes, p->n_nodes, &p->cap_nodes, sizeof *nodes);
    if (!nodes) return NULL;
    p->nodes = nodes;
    emu_node *n = &nodes[p->n_nodes++];
    memset(n, 0, sizeof *n);
    n->kind = kind;
    n->group = n->product = -1;
    return n;
}

/* ---- packed or not ---- */
bool emu_is_packed(const emu_val *v)
{
    int64_t step = 1;
    for (int i = v->rank - 1; i >= 0; i--) {
        if (v->d[i] != 1 && v->v.st[i] != step) return false;
        step *= v->d[i];
    }
    return true;
}

/* Then the elements in order are the root's elements in order, whatever shape
 * either is called by. */
bool emu_is_whole(const emu_plan *p, const emu_val *v)
{
    return v->v.off == 0 && emu_is_packed(v) &&
           p->roots[v->v.root].bytes == mem_mul((size_t)emu_count(v), emu_size(v));
}

/* Shapes are equal; layouts are what differs. */
rc emu_add_copy(emu_plan *p, int from, int to)
{
    emu_node *n = emu_add_node(p, EMU_COPY);
    if (!n) return E_MEMORY;
    const emu_val *a = &p->vals[from], *b = &p->vals[to];
    n->n_in = 1;
    n->in[0] = from;
    n->out = to;
    n->copy = (emu_copy){.rank = a->rank, .size = emu_size(a)};
    for (int i = 0; i < a->rank; i++) {
        n->copy.d[i] = a->d[i];
        n->copy.from[i] = a->v.st[i];
        n->copy.to[i] = b->v.st[i];
    }
    emu_plan_copy(&n->copy);
    return OK;
}

int emu_packed(emu_plan *p, int val)
{
    if (val < 0 || emu_is_packed(&p->vals[val])) return val;
    emu_val v = p->vals[val];
    int to = emu_add_val(p, v.rank, v.d, v.store);
    return to < 0 || emu_add_copy(p, val, to) != OK ? -1 : to;
}

/* Axis i of the result is axis perm[i]. */
int emu_permuted(emu_plan *p, int val, const int *perm)
{
    if (val < 0) return -1;
    emu_val v = p->vals[val];
    emu_view w = {.root = v.v.root, .off = v.v.off};
    int64_t d[MIL_RANK] = {0};
    for (int i = 0; i < v.rank; i++) {
        d[i] = v.d[perm[i]];
        w.st[i] = v.v.st[perm[i]];
    }
    return emu_view_of(p, val, v.rank, d, w);
}

/* Strides of v under another shape, where that can be said without copying:
 * walk both shapes in matching runs of axes; a run of v must be mergeable. */
static bool reshape_view(const emu_val *v, int rank, const int64_t *d, emu_view *w)
{
    int64_t od[MIL_RANK], os[MIL_RANK];
    int on = 0, i = 0, j = 0;
    for (int a = 0; a < v->rank; a++)
        if (v->d[a] != 1) {
            od[on] = v->d[a];
            os[on++] = v->v.st[a];
        }
    *w = (emu_view){.root = v->v.root, .off = v->v.off};
    while (i < on) {
        int i1 = i + 1, j1 = j + 1;
        int64_t a = od[i], b = j < rank ? d[j] : 1;
        while (a != b) {
            if (a < b) a *= od[i1++];
            else b *= d[j1++];
        }
        for (int k = i; k < i1 - 1; k++)
            if (os[k] != os[k + 1] * od[k + 1]) return false;
        int64_t step = os[i1 - 1];
        for (int k = j1 - 1; k >= j; k--) {
            w->st[k] = step;
            step *= d[k];
        }
        i = i1;
        j = j1;
    }
    return true;
}

/* A copy is made only where strides cannot say it. */
int emu_reshaped(emu_plan *p, int val, int rank, const int64_t *d)
{
    emu_view w;
    if (val < 0) return -1;
    if (!reshape_view(&p->vals[val], rank, d, &w)) {
        val = emu_packed(p, val);
        if (val < 0 || !reshape_view(&p->vals[val], rank, d, &w)) return -1;
    }
    return emu_view_of(p, val, rank, d, w);
}

/* ---- values of the code ---- */
mil_dtype emu_store_of(const emu_plan *p, mil_dtype t)
{
    return t == MIL_FP16 && p->params->arithmetic == SOFT_WIDE ? MIL_FP32 : t;
}

/* Its memory is the plan's: files may go away after loading. */
static int constant_value(emu_plan *p, int id)
{
    const dev_value *c = &p->code->values[id];
    int v = emu_add_val(p, c->type.rank, c->type.d, emu_store_of(p, c->type.dtype));
    if (v < 0) return -1;
    emu_root *r = &p->roots[p->vals[v].v.root];
    r->where = EMU_CONST;
    r->value = id;
    r->data = arena_take(p->mem, r->bytes);
    return r->data ? v : -1;
}

/* An input: its surface, or in wide a fresh tensor that it is widened into. */
int emu_input(emu_plan *p, int id, int port)
{
    const mil_type *t = &p->code->values[id].type;
    mil_dtype store = emu_store_of(p, t->dtype);
    int v = emu_add_val(p, t->rank, t->d, store);
    if (v < 0) return -1;
    if (store == t->dtype) {
        p->roots[p->vals[v].v.root].where = EMU_IN;
        p->roots[p->vals[v].v.root].port = port;
        return v;
    }
    emu_node *n = emu_add_node(p, EMU_LOAD);
    if (!n) return -1;
    n->out = v;
    n->port = port;
    return v;
}

int emu_value(emu_plan *p, int id)
{
    if (p->of[id] < 0 && p->code->values[id].constant) p->of[id] = constant_value(p, id);
    return p->of[id];
}

/* A fresh packed value of the type of a code value. */
int emu_result(emu_plan *p, int id)
{
    const mil_type *t = &p->code->values[id].type;
    return emu_add_val(p, t->rank, t->d, emu_store_of(p, t->dtype));
}

/* ---- constants ---- */
static void fill_constant(emu_plan *p, emu_root *r)
{
    const dev_value *c = &p->code->values[r->value];
    mil_dtype t = c->type.dtype, store = emu_store_of(p, t);
    size_t n = (size_t)mil_count(&c->type), size = mil_dtype_bytes(t);
    if (!c->data || !size) return;
    if (store != t) {
        if (c->splat) kern_fill(KERN_F32, n, (float)dev_const_at(c, 0), r->data);
        else kern_convert(p->k, KERN_F16, KERN_F32, n, c->data, r->data);
    } else if (c->splat) {
        for (size_t i = 0; i < n; i++) memcpy((char *)r->data + i * size, c->data, size);
    } else {
        memcpy(r->data, c->data, n * size);
    }
}

rc emu_fill_constants(emu_plan *p)
{
    for (int i = 0; i < p->n_roots; i++)
        if (p->roots[i].where == EMU_CONST && p->roots[i].value >= 0)
            fill_constant(p, &p->roots[i]);
    return OK;
}
