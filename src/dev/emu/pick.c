/* pick.c - run ops that choose places: by maps made when compiling (take), and by
 * indices that are values themselves (gather and its kin, slice_update).
 *
 * A gather sees x as [rows, axis, inner] and the result as [rows, count, inner],
 * where inner elements stand together. Negative indices count from the end; one
 * outside its axis ends the run with an error, where the chip is not known to do
 * anything sensible. */
#include <string.h>
#include "dev/emu/emu.h"

/* ---- maps ---- */
typedef struct {
    const emu_take *t;
    const char *x;
    char *to;
    int64_t rows, per; /* rows along the last axis; of a piece of work */
} taking;

static void take_row(const emu_take *t, const char *x, bool nowhere, char *to)
{
    int64_t n = t->rank ? t->d[t->rank - 1] : 1, size = (int64_t)t->size;
    const int64_t *map = t->rank ? t->map[t->rank - 1] : NULL;
    for (int64_t i = 0; i < n; i++, to += size) {
        int64_t at = map ? map[i] : 0;
        memcpy(to, nowhere || at == EMU_NOWHERE ? (const char *)t->fill : x + at * size,
               t->size);
    }
}

static void take_piece(void *ctx, size_t piece)
{
    const taking *w = ctx;
    const emu_take *t = w->t;
    int64_t row = (int64_t)piece * w->per, end = row + w->per;
    int64_t size = (int64_t)t->size, width = t->rank ? t->d[t->rank - 1] : 1;
    if (end > w->rows) end = w->rows;
    for (; row < end; row++) {
        int64_t rest = row, off = 0;
        bool nowhere = false;
        for (int a = t->rank - 2; a >= 0; a--) {
            int64_t at = t->map[a][rest % t->d[a]];
            if (at == EMU_NOWHERE) nowhere = true;
            else off += at;
            rest /= t->d[a];
        }
        take_row(t, w->x + off * size, nowhere, w->to + row * width * size);
    }
}

void emu_take_run(kern *k, const emu_take *t, const char *x, char *to)
{
    taking w = {.t = t, .x = x, .to = to, .rows = 1};
    int64_t width = t->rank ? t->d[t->rank - 1] : 1;
    for (int i = 0; i < t->rank - 1; i++) w.rows *= t->d[i];
    w.per = 16384 / width + 1;
    kern_for(k, (size_t)((w.rows + w.per - 1) / w.per), take_piece, &w);
}

/* ---- indices ---- */
/* Place i of the indices on an axis of n; -1 if there is none. */
static int64_t place(const emu_plan *p, int val, int64_t i, int64_t n)
{
    int64_t at = (int64_t)mil_element(p->vals[val].store, emu_at(p, val), (size_t)i);
    if (at < 0) at += n;
    return at < 0 || at >= n ? -1 : at;
}

static rc outside(const emu_plan *p, const emu_node *node, int64_t i, int64_t n)
{
    double had = mil_element(p->vals[node->in[1]].store, emu_at(p, node->in[1]),
                             (size_t)i);
    return err_fail(E_SHAPE, "'%s' was given index %.0f on an axis of %lld places",
                    node->pick.op->mil->op, had, (long long)n);
}

/* The leading axes that indices share with x divide the rows in batches. */
static rc gather(const emu_plan *p, const emu_node *node)
{
    const emu_pick *k = &node->pick;
    const emu_val *v = &p->vals[node->in[0]];
    size_t bytes = mem_mul((size_t)k->inner, emu_size(v));
    const char *x = emu_at(p, node->in[0]);
    char *to = emu_at(p, node->out);
    int64_t batches = 1;
    for (int i = 0; i < (int)k->op->a.n; i++) batches *= v->d[i];
    for (int64_t r = 0; r < k->rows; r++)
        for (int64_t c = 0; c < k->count; c++, to += bytes) {
            int64_t i = r / (k->rows / batches) * k->count + c;
            int64_t at = place(p, node->in[1], i, k->axis);
            if (at < 0) return outside(p, node, i, k->axis);
            memcpy(to, x + (size_t)(r * k->axis + at) * bytes, bytes);
        }
    return OK;
}

/* indices [rows, count, depth]: a place on each of depth axes. */
static rc gather_nd(const emu_plan *p, const emu_node *node)
{
    const emu_pick *k = &node->pick;
    const emu_val *v = &p->vals[node->in[0]], *u = &p->vals[node->in[1]];
    size_t bytes = mem_mul((size_t)k->inner, emu_size(v));
    const char *x = emu_at(p, node->in[0]);
    char *to = emu_at(p, node->out);
    int first = (int)k->op->a.n, depth = (int)u->d[u->rank - 1];
    for (int64_t r = 0; r < k->rows * k->count; r++, to += bytes) {
        int64_t off = 0;
        for (int a = 0; a < depth; a++) {
            int64_t i = r * depth + a, n = v->d[first + a];
            int64_t at = place(p, node->in[1], i, n);
            if (at < 0) return outside(p, node, i, n);
            off = off * n + at;
        }
        memcpy(to, x + (size_t)(r / k->count * k->axis + off) * bytes, bytes);
    }
    return OK;
}

/* indices [rows, count, inner]: a place for each element. */
static rc gather_along(const emu_plan *p, const emu_node *node)
{
    const emu_pick *k = &node->pick;
    size_t size = emu_size(&p->vals[node->in[0]]);
    const char *x = emu_at(p, node->in[0]);
    char *to = emu_at(p, node->out);
    for (int64_t i = 0; i < k->rows * k->count * k->inner; i++, to += size) {
        int64_t at = place(p, node->in[1], i, k->axis);
        if (at < 0) return outside(p, node, i, k->axis);
        int64_t r = i / (k->count * k->inner);
        memcpy(to, x + (size_t)((r * k->axis + at) * k->inner + i % k->inner) * size,
               size);
    }
    return OK;
}

static rc update(const emu_plan *p, const emu_node *node)
{
    const emu_val *v = &p->vals[node->in[0]];
    char *to = emu_at(p, node->out);
    memcpy(to, emu_at(p, node->in[0]), mem_mul((size_t)emu_count(v), emu_size(v)));
    emu_copy_run(p->k, &node->pick.copy, emu_at(p, node->in[1]),
                 to + node->pick.off * (int64_t)emu_size(v));
    return OK;
}

rc emu_pick_run(const emu_plan *p, const emu_node *n)
{
    switch (n->pick.op->kind) {
    case DEV_OP_gather:
        return gather(p, n);
    case DEV_OP_gather_nd:
        return gather_nd(p, n);
    case DEV_OP_gather_along_axis:
        return gather_along(p, n);
    default:
        return update(p, n);
    }
}
