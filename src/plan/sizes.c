/* sizes.c - one allocation size for all inputs of a program, one for all its
 * outputs.
 *
 * Some sources say the engine wants that (rule uniform_surfaces), others run
 * without. It is dear: a norm's weight then takes as much memory as the
 * largest matrix beside it, and since an output of one program is an input of
 * the next, nearly all surfaces end up with one size. So it is kept where it
 * is undisputed or asked for, and its price is noted where it is not.
 *
 * Surfaces that two plans share (resident.c) must have one size in both: then it is
 * that of the largest of all. */
#include "plan/passes.h"

/* Buffers that must have one size form a set; sets are trees of parents. */
static int root(const int *parent, int i)
{
    while (parent[i] != i) i = parent[i];
    return i;
}

static void join(int *parent, const int *list, int n)
{
    for (int i = 1; i < n; i++) {
        int a = root(parent, list[0]), b = root(parent, list[i]);
        parent[a > b ? a : b] = a < b ? a : b;
    }
}

/* A set takes as much as its largest; of a plan that shares its surfaces, all. */
static void grow(const plan *p, const int *parent, size_t *most)
{
    size_t all = p->options.surface_bytes;
    for (int i = 0; i < p->n_buffers; i++) {
        int r = root(parent, i);
        if (p->buffers[i].bytes > most[r]) most[r] = p->buffers[i].bytes;
    }
    if (!all && p->options.weights != PLAN_RESIDENT) return;
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].shape.rank && p->buffers[i].bytes > all)
            all = p->buffers[i].bytes;
    for (int i = 0; i < p->n_buffers; i++) most[i] = all;
}

rc plan_sizes(planner *b)
{
    plan *p = b->p;
    size_t n = (size_t)p->n_buffers + 1;
    int *parent = arena_array(b->mem, n, sizeof *parent);
    size_t *most = arena_array(b->mem, n, sizeof *most);
    double more = 0;
    if (!parent || !most) return E_MEMORY;
    for (int i = 0; i < p->n_buffers; i++) parent[i] = i;
    for (int i = 0; i < p->n_steps; i++) {
        if (!p->steps[i].engine) continue;
        join(parent, p->steps[i].in, p->steps[i].n_in);
        join(parent, p->steps[i].out, p->steps[i].n_out);
    }
    grow(p, parent, most);
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].shape.rank)
            more += (double)(most[root(parent, i)] - p->buffers[i].bytes);
    if (more <= 0 || !plan_keeps(p, RULE_uniform_surfaces)) return OK;
    if (!plan_keeps_costly(p, RULE_uniform_surfaces)) {
        char t[32];
        return plan_note(
            b,
            "rule uniform_surfaces is disputed and not kept: surfaces of one size "
            "would take up to %s more",
            str_bytes(t, more));
    }
    plan_guards(b, RULE_uniform_surfaces, true);
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].shape.rank)
            p->buffers[i].bytes = p->buffers[i].shape.bytes = most[root(parent, i)];
    return OK;
}
