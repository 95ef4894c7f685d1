/* lower.c - from checked code to nodes on views.
 *
 * Most ops that move data cost nothing here: reshape, slice, split and
 * transpose give a view into the same root, tile of an axis of one gives a
 * stride of zero. Only what cannot be said with strides is copied. */
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

int emu_view_of(emu_plan *p, int val, int rank, const int64_t *d, emu_view view)
{
    emu_val v = {.rank = rank, .store = p->vals[val].store, .v = view};
    if (rank) memcpy(v.d, d, (size_t)rank * sizeof *d);
    return push_val(p, &v);
}

emu_node *emu_add_node(emu_plan *p, emu_kind kind)
{
    emu_node *nodes = grow(p->mem, p->nodes, p->n_nodes, &p->cap_nodes, sizeof *nodes);
    if (!nodes) return NULL;
    p->nodes = nodes;
    emu_node *n = &nodes[p->n_nodes++];
    memset(n, 0, sizeof *n);
    n->kind = kind;
    n->group = -1;
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

bool emu_is_whole(const emu_plan *p, const emu_val *v)
{
    return v->v.off == 0 && emu_is_packed(v) &&
           p->roots[v->v.root].bytes == mem_mul((size_t)emu_count(v), emu_size(v));
}

static rc add_copy(emu_plan *p, int from, int to)
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
    return to < 0 || add_copy(p, val, to) != OK ? -1 : to;
}

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

static int reshaped(emu_plan *p, int val, int rank, const int64_t *d)
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
static mil_dtype store_of(const emu_plan *p, mil_dtype t)
{
    return t == MIL_FP16 && p->params->arithmetic == SOFT_WIDE ? MIL_FP32 : t;
}

static int constant_value(emu_plan *p, int id)
{
    const dev_value *c = &p->code->values[id];
    int v = emu_add_val(p, c->type.rank, c->type.d, store_of(p, c->type.dtype));
    if (v < 0) return -1;
    emu_root *r = &p->roots[p->vals[v].v.root];
    r->where = EMU_CONST;
    r->value = id;
    r->data = arena_take(p->mem, r->bytes);
    return r->data ? v : -1;
}

/* An input: its surface, or in wide a fresh tensor that it is widened into. */
static int input_value(emu_plan *p, int id, int port)
{
    const mil_type *t = &p->code->values[id].type;
    mil_dtype store = store_of(p, t->dtype);
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
static int result_value(emu_plan *p, int id)
{
    const mil_type *t = &p->code->values[id].type;
    return emu_add_val(p, t->rank, t->d, store_of(p, t->dtype));
}

/* ---- elementwise ---- */
/* Can finite operands make an infinity? What cannot is not counted. */
static bool makes_infinity(emu_ew ew, int kernel)
{
    switch (ew) {
    case EMU_BINARY:
        return kernel != KERN_MAX2 && kernel != KERN_MIN2;
    case EMU_UNARY:
        return kernel == KERN_U_EXP || kernel == KERN_U_LOG || kernel == KERN_U_RSQRT ||
               kernel == KERN_U_INVERSE || kernel == KERN_U_SQUARE;
    case EMU_CONVERT:
    case EMU_CLAMP:
        return true;
    default:
        return false;
    }
}

static rc add_ew(emu_plan *p, emu_ew ew, int kernel, int n_in, const int *in, int out)
{
    for (int i = 0; i < n_in; i++)
        if (in[i] < 0) return E_MEMORY;
    emu_node *n = out < 0 ? NULL : emu_add_node(p, EMU_EW);
    if (!n) return E_MEMORY;
    n->ew = ew;
    n->kernel = kernel;
    n->counts = makes_infinity(ew, kernel);
    n->n_in = n_in;
    memcpy(n->in, in, (size_t)n_in * sizeof *in);
    n->out = out;
    return OK;
}

/* x^c for the exponents that have a kernel of their own: exact where pow of a
 * logarithm is not, and many times faster. -1: none. */
static int power_kernel(const emu_plan *p, const dev_op *o)
{
    const dev_value *e = &p->code->values[o->arg[1]];
    if (!e->constant || mil_count(&e->type) != 1 || e->blob) return -1;
    double v = dev_const_at(e, 0);
    return v == 2      ? KERN_U_SQUARE
           : v == 1    ? KERN_U_COPY
           : v == 0.5  ? KERN_U_SQRT
           : v == -0.5 ? KERN_U_RSQRT
           : v == -1   ? KERN_U_INVERSE
                       : -1;
}

/* A scalar constant made by the compiler. */
static int scalar(emu_plan *p, mil_dtype store, double x)
{
    int v = emu_add_val(p, 0, NULL, store);
    if (v < 0) return -1;
    emu_root *r = &p->roots[p->vals[v].v.root];
    r->where = EMU_CONST;
    r->data = arena_take(p->mem, r->bytes);
    if (!r->data) return -1;
    kern_fill(emu_kern_type(store), 1, (float)x, r->data);
    return v;
}

/* Mode EXACT is MIL's default; TANH_APPROXIMATION has a kernel of its own. */
static int unary_kernel(const emu_plan *p, const dev_op *o)
{
    const char *mode = o->kind != DEV_OP_gelu || o->arg[1] < 0
                           ? "EXACT"
                           : p->code->values[o->arg[1]].text;
    return o->kind == DEV_OP_gelu && !strcmp(mode, "EXACT") ? EMU_GELU_EXACT
                                                            : dev_op_kernel(o->kind);
}

static rc lower_unary(emu_plan *p, const dev_op *o, int out)
{
    int x = emu_value(p, o->arg[0]), kernel = unary_kernel(p, o);
    double eps = 0;
    if (o->kind != DEV_OP_gelu && o->arg[1] >= 0)
        eps = dev_const_at(&p->code->values[o->arg[1]], 0);
    if (x >= 0 && eps != 0 &&
        (p->vals[x].store == MIL_FP32 || (half_from_double(eps) & 0x7fff))) {
        /* An epsilon that the tensor's type can hold is added first. */
        int pair[2] = {x, scalar(p, p->vals[x].store, eps)};
        int sum = emu_add_val(p, p->vals[x].rank, p->vals[x].d, p->vals[x].store);
        TRY(add_ew(p, EMU_BINARY, KERN_ADD, 2, pair, sum));
        x = sum;
    }
    return add_ew(p, EMU_UNARY, kernel, 1, &x, out);
}

static rc lower_ew(emu_plan *p, const dev_op *o, int *result)
{
    int in[3] = {-1, -1, -1}, kernel = dev_op_kernel(o->kind), out;
    dev_op_class cls = dev_op_class_of(o->kind);
    if (cls == DEV_CAST) {
        in[0] = emu_value(p, o->arg[0]);
        if (in[0] < 0) return E_MEMORY;
        if (p->vals[in[0]].store == store_of(p, p->code->values[o->out[0]].type.dtype)) {
            *result = in[0];
            return OK;
        }
    }
    *result = out = result_value(p, o->out[0]);
    int n = cls == DEV_SELECT ? 3 : cls == DEV_BINARY || cls == DEV_COMPARE ? 2 : 1;
    for (int i = 0; i < n; i++) in[i] = emu_value(p, o->arg[i]);
    switch (cls) {
    case DEV_UNARY:
        return lower_unary(p, o, out);
    case DEV_BINARY:
        if (o->kind == DEV_OP_pow && power_kernel(p, o) >= 0)
            return add_ew(p, EMU_UNARY, power_kernel(p, o), 1, in, out);
        return add_ew(p, EMU_BINARY, kernel, 2, in, out);
    case DEV_COMPARE:
        return add_ew(p, EMU_COMPARE, kernel, 2, in, out);
    case DEV_SELECT:
        return add_ew(p, EMU_SELECT, 0, 3, in, out);
    case DEV_NOT:
        return add_ew(p, EMU_NOT, 0, 1, in, out);
    default:
        return add_ew(p, EMU_CONVERT, 0, 1, in, out);
    }
}

/* ---- along an axis ---- */
/* axis last, the others in order */
static void axis_last(int rank, int axis, int *perm, int *back)
{
    int n = 0;
    for (int i = 0; i < rank; i++)
        if (i != axis) perm[n++] = i;
    perm[n] = axis;
    for (int i = 0; i < rank; i++) back[perm[i]] = i;
}

int emu_add_softmax(emu_plan *p, int val, int axis)
{
    int perm[MIL_RANK], back[MIL_RANK];
    if (val < 0) return -1;
    int rank = p->vals[val].rank;
    axis_last(rank, axis, perm, back);
    int x = emu_packed(p, emu_permuted(p, val, perm));
    if (x < 0) return -1;
    emu_val v = p->vals[x];
    int y = emu_add_val(p, rank, v.d, v.store);
    emu_node *n = y < 0 ? NULL : emu_add_node(p, EMU_SOFTMAX);
    if (!n) return -1;
    n->n_in = 1;
    n->in[0] = x;
    n->out = y;
    n->softmax.n = (size_t)v.d[rank - 1];
    n->softmax.rows = (size_t)(emu_count(&v) / v.d[rank - 1]);
    return emu_permuted(p, y, back);
}

/* Reduced axes that do not stand together are moved to the end. */
static int gather_axes(emu_plan *p, int val, const dev_attrs *a, int *first)
{
    int perm[MIL_RANK], n = 0, r = 0;
    bool gone[MIL_RANK] = {false};
    *first = a->n_axes ? a->axes[0] : 0;
    if (val < 0) return -1;
    if (!a->n_axes || a->axes[a->n_axes - 1] - a->axes[0] == a->n_axes - 1)
        return emu_packed(p, val);
    for (int i = 0; i < a->n_axes; i++) gone[a->axes[i]] = true;
    int rank = p->vals[val].rank;
    for (int i = 0; i < rank; i++)
        if (!gone[i]) perm[n++] = i;
    *first = n;
    for (int i = 0; i < rank; i++)
        if (gone[i]) perm[n + r++] = i;
    return emu_packed(p, emu_permuted(p, val, perm));
}

static rc lower_reduce(emu_plan *p, const dev_op *o, int *result)
{
    int first;
    int x = gather_axes(p, emu_value(p, o->arg[0]), &o->a, &first);
    int out = *result = result_value(p, o->out[0]);
    emu_node *n = x < 0 || out < 0 ? NULL : emu_add_node(p, EMU_REDUCE);
    if (!n) return E_MEMORY;
    const emu_val *v = &p->vals[x];
    n->n_in = 1;
    n->in[0] = x;
    n->out = out;
    n->reduce = (emu_reduce){1, 1, 1, (kern_reduce_op)dev_op_kernel(o->kind),
                             o->kind == DEV_OP_reduce_mean};
    for (int i = 0; i < v->rank; i++) {
        size_t d = (size_t)v->d[i];
        if (i < first) n->reduce.outer *= d;
        else if (i < first + o->a.n_axes) n->reduce.n *= d;
        else n->reduce.inner *= d;
    }
    return OK;
}

/* ---- moving ---- */
static int part(emu_plan *p, int val, const int64_t *begin, const int64_t *d)
{
    emu_val v = p->vals[val];
    emu_view w = v.v;
    for (int i = 0; i < v.rank; i++) w.off += begin[i] * v.v.st[i];
    return emu_view_of(p, val, v.rank, d, w);
}

/* A slice; along the width of H13 and H14 from another place than the start it
 * passes a crop unit that scales by 16 and overflows (rule slice_clamp). */
static rc add_slice(emu_plan *p, int x, const int64_t *begin, const int64_t *d, int *out)
{
    int v = *out = part(p, x, begin, d);
    if (v < 0) return E_MEMORY;
    int last = p->vals[v].rank - 1;
    if (!p->finite_limit || !p->params->profile->slice_clamp || last < 0 ||
        !begin[last] || p->vals[v].store != MIL_FP16)
        return OK;
    *out = emu_add_val(p, p->vals[v].rank, d, MIL_FP16);
    return add_ew(p, EMU_CLAMP, 0, 1, &v, *out);
}

static rc lower_split(emu_plan *p, const dev_op *o, int *out)
{
    int64_t begin[MIL_RANK] = {0};
    int x = emu_value(p, o->arg[0]);
    if (x < 0) return E_MEMORY;
    for (int i = 0; i < o->n_out; i++) {
        const mil_type *t = &p->code->values[o->out[i]].type;
        TRY(add_slice(p, x, begin, t->d, &out[i]));
        begin[o->a.axis] += t->d[o->a.axis];
    }
    return OK;
}

static rc lower_tile(emu_plan *p, const dev_op *o, int x, int *out)
{
    emu_val v = p->vals[x];
    bool copies = false;
    for (int i = 0; i < v.rank; i++) copies |= o->a.reps[i] > 1 && v.d[i] > 1;
    const mil_type *t = &p->code->values[o->out[0]].type;
    if (!copies) {
        emu_view w = v.v;
        for (int i = 0; i < v.rank; i++)
            if (o->a.reps[i] > 1) w.st[i] = 0;
        *out = emu_view_of(p, x, v.rank, t->d, w);
        return *out < 0 ? E_MEMORY : OK;
    }
    *out = result_value(p, o->out[0]);
    emu_node *n = *out < 0 ? NULL : emu_add_node(p, EMU_COPY);
    if (!n) return E_MEMORY;
    const emu_val *y = &p->vals[*out];
    n->n_in = 1;
    n->in[0] = x;
    n->out = *out;
    n->copy = (emu_copy){.rank = 2 * v.rank, .size = emu_size(&v)};
    for (int i = 0; i < v.rank; i++) {
        n->copy.d[2 * i] = o->a.reps[i];
        n->copy.from[2 * i] = 0;
        n->copy.to[2 * i] = y->v.st[i] * v.d[i];
        n->copy.d[2 * i + 1] = v.d[i];
        n->copy.from[2 * i + 1] = v.v.st[i];
        n->copy.to[2 * i + 1] = y->v.st[i];
    }
    emu_plan_copy(&n->copy);
    return OK;
}

static rc lower_concat(emu_plan *p, const dev_op *o, int *out)
{
    int64_t begin[MIL_RANK] = {0};
    *out = result_value(p, o->out[0]);
    if (*out < 0) return E_MEMORY;
    for (int i = 0; i < o->n_list; i++) {
        int x = emu_value(p, o->list[i]);
        if (x < 0) return E_MEMORY;
        emu_val v = p->vals[x];
        int to = part(p, *out, begin, v.d);
        if (to < 0) return E_MEMORY;
        TRY(add_copy(p, x, to));
        begin[o->a.axis] += v.d[o->a.axis];
    }
    return OK;
}

static rc lower_view(emu_plan *p, const dev_op *o, int *out)
{
    const mil_type *t = &p->code->values[o->out[0]].type;
    int x = emu_value(p, o->arg[0]);
    if (x < 0) return E_MEMORY;
    switch (o->kind) {
    case DEV_OP_identity:
        *out = x;
        return OK;
    case DEV_OP_transpose:
        *out = emu_permuted(p, x, o->a.perm);
        break;
    case DEV_OP_slice_by_size:
        return add_slice(p, x, o->a.begin, o->a.size, out);
    case DEV_OP_split:
        return lower_split(p, o, out);
    case DEV_OP_tile:
        return lower_tile(p, o, x, out);
    default:
        *out = reshaped(p, x, t->rank, t->d);
        break;
    }
    return *out < 0 ? E_MEMORY : OK;
}

static rc lower_op(emu_plan *p, const dev_op *o, int *out)
{
    switch (dev_op_class_of(o->kind)) {
    case DEV_CONST:
        return OK; /* made when first used */
    case DEV_VIEW:
        return lower_view(p, o, out);
    case DEV_CONCAT:
        return lower_concat(p, o, out);
    case DEV_SOFTMAX:
        *out = emu_add_softmax(p, emu_value(p, o->arg[0]), o->a.axis);
        return *out < 0 ? E_MEMORY : OK;
    case DEV_REDUCE:
        return lower_reduce(p, o, out);
    case DEV_MATMUL:
        return o->kind == DEV_OP_linear ? emu_lower_linear(p, o, out)
                                        : emu_lower_matmul(p, o, out);
    case DEV_CONV:
        return emu_lower_conv(p, o, out);
    case DEV_SDPA:
        return emu_lower_sdpa(p, o, out);
    default:
        return lower_ew(p, o, out);
    }
}

/* Bring a result to its surface: give the surface's memory to the root that
 * holds it, or copy where that root is not the result alone. */
static rc lower_output(emu_plan *p, int id, int port)
{
    const mil_type *t = &p->code->values[id].type;
    int v = emu_value(p, id);
    if (v < 0) return E_MEMORY;
    if (p->vals[v].store != t->dtype) {
        v = emu_packed(p, v);
        emu_node *n = v < 0 ? NULL : emu_add_node(p, EMU_STORE);
        if (!n) return E_MEMORY;
        n->n_in = 1;
        n->in[0] = v;
        n->out = -1;
        n->port = port;
        return OK;
    }
    emu_root *r = &p->roots[p->vals[v].v.root];
    if (r->where != EMU_WORK || !emu_is_whole(p, &p->vals[v])) {
        int to = emu_add_val(p, t->rank, t->d, t->dtype);
        if (to < 0) return E_MEMORY;
        TRY(add_copy(p, v, to));
        r = &p->roots[p->vals[to].v.root];
    }
    r->where = EMU_OUT;
    r->port = port;
    return OK;
}

rc emu_lower(emu_plan *p)
{
    const dev_code *c = p->code;
    p->finite_limit = p->params->arithmetic != SOFT_WIDE;
    p->of = arena_array(p->mem, (size_t)c->n_values + 1, sizeof *p->of);
    if (!p->of) return E_MEMORY;
    for (int i = 0; i < c->n_values; i++) p->of[i] = -1;
    for (int i = 0; i < c->n_in; i++) {
        int id = c->in[c->in_order[i]];
        p->of[id] = input_value(p, id, i);
        if (p->of[id] < 0) return E_MEMORY;
    }
    for (int i = 0; i < c->n_ops; i++) {
        int out[64];
        if (c->ops[i].n_out > 64) return err_fail(E_UNIMPL, "an op with over 64 results");
        TRY(lower_op(p, &c->ops[i], out));
        if (dev_op_class_of(c->ops[i].kind) == DEV_CONST) continue;
        for (int j = 0; j < c->ops[i].n_out; j++) p->of[c->ops[i].out[j]] = out[j];
    }
    for (int i = 0; i < c->n_out; i++) TRY(lower_output(p, c->out[c->out_order[i]], i));
    return OK;
}

/* ---- constants ---- */
static void fill_constant(emu_plan *p, emu_root *r)
{
    const dev_value *c = &p->code->values[r->value];
    mil_dtype t = c->type.dtype, store = store_of(p, t);
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
