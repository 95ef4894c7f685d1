/* memory.c - a place in the workspace for every root, by lifetime.
 *
 * A root lives from the first step that writes it to the last that reads it.
 * The largest are placed first, each at the lowest address where it meets no
 * root that lives at the same time. */
#include <stdlib.h>
#include <string.h>
#include "dev/emu/emu.h"

/* The root behind a value lives at this step. */
static void touch(emu_plan *p, int val, int step)
{
    if (val < 0) return;
    emu_root *r = &p->roots[p->vals[val].v.root];
    if (r->last < 0) r->first = step;
    r->last = step;
}

/* Values inside a group never get here: only its ports have memory. */
static void find_lifetimes(emu_plan *p)
{
    for (int s = 0; s < p->n_steps; s++) {
        const emu_step *step = &p->steps[s];
        if (step->kind == EMU_EW) {
            for (int i = 0; i < step->group->n_in + step->group->n_out; i++)
                touch(p, step->group->port[i].val, s);
            continue;
        }
        for (int i = 0; i < step->node->n_in; i++) touch(p, step->node->in[i], s);
        touch(p, step->node->out, s);
    }
}

typedef struct {
    int root;
    size_t bytes;
} sized;

static int by_size(const void *a, const void *b)
{
    const sized *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->root - y->root;
}

static size_t round_up(size_t n)
{
    return mem_add(n, 63) / 64 * 64;
}

/* The lowest gap for root r among those placed that live when it does;
 * `placed` is sorted by offset. */
static size_t find_gap(const emu_plan *p, const int *placed, int n, const emu_root *r)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        const emu_root *o = &p->roots[placed[i]];
        if (o->last < r->first || r->last < o->first) continue;
        if (o->offset >= mem_add(at, r->bytes)) break;
        if (o->offset + round_up(o->bytes) > at) at = o->offset + round_up(o->bytes);
    }
    return at;
}

/* Insertion keeps `placed` sorted by address for find_gap. */
static rc place_roots(emu_plan *p)
{
    sized *order = arena_array(p->mem, (size_t)p->n_roots + 1, sizeof *order);
    int *placed = arena_array(p->mem, (size_t)p->n_roots + 1, sizeof *placed);
    int n = 0, done = 0;
    if (!order || !placed) return E_MEMORY;
    for (int i = 0; i < p->n_roots; i++)
        if (p->roots[i].where == EMU_WORK && p->roots[i].last >= 0)
            order[n++] = (sized){i, p->roots[i].bytes};
    qsort(order, (size_t)n, sizeof *order, by_size);
    for (int i = 0; i < n; i++) {
        emu_root *r = &p->roots[order[i].root];
        r->offset = find_gap(p, placed, done, r);
        int at = done++;
        for (; at > 0 && p->roots[placed[at - 1]].offset > r->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = order[i].root;
        size_t end = mem_add(r->offset, round_up(r->bytes));
        if (end > p->work_bytes) p->work_bytes = end;
    }
    return OK;
}

/* One workspace and one set of registers for all steps, taken once. */
rc emu_place(emu_plan *p)
{
    find_lifetimes(p);
    TRY(place_roots(p));
    for (int i = 0; i < p->n_steps; i++) {
        const emu_group *g = p->steps[i].group;
        size_t bytes = g ? mem_mul(mem_mul(g->units, (size_t)g->n_regs), g->reg_bytes)
                         : 0;
        if (p->steps[i].kind == EMU_ROWS)
            bytes = mem_mul(p->steps[i].node->rows.units, p->steps[i].node->rows.bytes);
        if (bytes > p->scratch_bytes) p->scratch_bytes = bytes;
    }
    p->base = arena_array(p->mem, (size_t)p->n_roots + 1, sizeof *p->base);
    p->stage = arena_array(p->mem, (size_t)p->code->n_out + 1, sizeof *p->stage);
    p->work = mem_take(p->work_bytes ? p->work_bytes : 64);
    p->scratch = mem_take(p->scratch_bytes ? p->scratch_bytes : 64);
    if (!p->base || !p->stage || !p->work || !p->scratch) return E_MEMORY;
    for (int i = 0; i < p->n_roots; i++) {
        emu_root *r = &p->roots[i];
        p->base[i] = r->where == EMU_WORK ? p->work + r->offset : r->data;
    }
    return OK;
}
