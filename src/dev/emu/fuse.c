/* fuse.c - which elementwise nodes run together, and the order of steps.
 *
 * Nodes of one domain (the same shape without axes of one) that hand values to
 * each other element by element can run as one group, tile by tile. Two groups
 * may be joined unless a third stands on a path between them, or one reads the
 * other's result in another layout and so needs all of it. Both questions are
 * answered by bit sets kept on the contracted graph: before[g], the groups
 * that must end before g begins, and whole[g], those of which g needs the
 * whole result. */
#include <string.h>
#include "dev/emu/emu.h"

typedef struct {
    emu_plan *p;
    int n; /* nodes */
    size_t words;
    uint64_t *before, *whole;        /* [n][words], for groups */
    int *group;                      /* of each node; groups are named by a node */
    int *size, *ports;               /* nodes and operands of each group */
    int *writer_first, *writer_next; /* nodes that write each root */
} fuse;

static uint64_t *row(const fuse *f, uint64_t *bits, int i)
{
    return bits + (size_t)i * f->words;
}

static bool has(const uint64_t *b, int i)
{
    return b[i / 64] >> (i % 64) & 1;
}

static void put(uint64_t *b, int i)
{
    b[i / 64] |= (uint64_t)1 << (i % 64);
}

static void unput(uint64_t *b, int i)
{
    b[i / 64] &= ~((uint64_t)1 << (i % 64));
}

/* Equal extents once axes of one are left out. */
static bool same_domain(const emu_val *a, const emu_val *b)
{
    int i = 0, j = 0;
    for (;;) {
        while (i < a->rank && a->d[i] == 1) i++;
        while (j < b->rank && b->d[j] == 1) j++;
        if (i == a->rank || j == b->rank) return i == a->rank && j == b->rank;
        if (a->d[i++] != b->d[j++]) return false;
    }
}

/* Does node i read value v of another group element by element? */
static bool elementwise_use(const emu_plan *p, const emu_node *node, int v)
{
    return node->kind == EMU_EW && emu_is_whole(p, &p->vals[v]) &&
           same_domain(&p->vals[v], &p->vals[node->out]);
}

/* Groups that node i depends on, into before and whole. */
static void collect(fuse *f, int i, uint64_t *before, uint64_t *whole)
{
    emu_plan *p = f->p;
    const emu_node *node = &p->nodes[i];
    for (int k = 0; k < node->n_in; k++) {
        const emu_val *v = &p->vals[node->in[k]];
        for (int w = f->writer_first[v->v.root]; w >= 0; w = f->writer_next[w]) {
            if (w >= i) continue;
            int g = f->group[w];
            put(before, g);
            for (size_t x = 0; x < f->words; x++) before[x] |= row(f, f->before, g)[x];
            if (!elementwise_use(p, node, node->in[k])) put(whole, g);
        }
    }
}

/* Every group that must come after g must now come after all of before[g]. */
static void spread(fuse *f, int upto, int g)
{
    for (int h = 0; h <= upto; h++) {
        if (f->group[h] != h || !has(row(f, f->before, h), g)) continue;
        for (size_t x = 0; x < f->words; x++)
            row(f, f->before, h)[x] |= row(f, f->before, g)[x];
    }
}

/* Is there a group h after a and before b? */
static bool path_through(const fuse *f, int upto, int a, const uint64_t *before_b, int b)
{
    for (int h = 0; h <= upto; h++)
        if (f->group[h] == h && h != a && h != b && has(before_b, h) &&
            has(row(f, f->before, h), a))
            return true;
    return false;
}

/* Sizes are bounded so that operands and registers fit their tables. */
static bool can_join(const fuse *f, int upto, int a, int b)
{
    const emu_plan *p = f->p;
    const uint64_t *ba = row(f, f->before, a), *bb = row(f, f->before, b);
    return a != b && p->nodes[a].kind == EMU_EW && p->nodes[b].kind == EMU_EW &&
           same_domain(&p->vals[p->nodes[a].out], &p->vals[p->nodes[b].out]) &&
           f->size[a] + f->size[b] <= EMU_GROUP_OPS &&
           f->ports[a] + f->ports[b] <= EMU_PORTS && !has(row(f, f->whole, a), b) &&
           !has(row(f, f->whole, b), a) && !path_through(f, upto, a, bb, b) &&
           !path_through(f, upto, b, ba, a);
}

/* b becomes part of a. */
static void join(fuse *f, int upto, int a, int b)
{
    uint64_t *ba = row(f, f->before, a), *wa = row(f, f->whole, a);
    for (size_t x = 0; x < f->words; x++) {
        ba[x] |= row(f, f->before, b)[x];
        wa[x] |= row(f, f->whole, b)[x];
    }
    unput(ba, a);
    unput(ba, b);
    for (int h = 0; h <= upto; h++) {
        if (f->group[h] == b) f->group[h] = a;
        if (has(row(f, f->before, h), b)) {
            unput(row(f, f->before, h), b);
            put(row(f, f->before, h), a);
        }
        if (has(row(f, f->whole, h), b)) {
            unput(row(f, f->whole, h), b);
            put(row(f, f->whole, h), a);
        }
    }
    f->size[a] += f->size[b];
    f->ports[a] += f->ports[b];
    spread(f, upto, a);
}

/* Nodes come in an order in which they could run, so everything node i reads is
 * grouped already, and nothing that is grouped can depend on it. */
static void group_node(fuse *f, int i)
{
    emu_plan *p = f->p;
    const emu_node *node = &p->nodes[i];
    f->group[i] = i;
    f->size[i] = 1;
    f->ports[i] = node->n_in + 1;
    collect(f, i, row(f, f->before, i), row(f, f->whole, i));
    for (int k = 0; k < node->n_in && node->kind == EMU_EW; k++) {
        int root = p->vals[node->in[k]].v.root;
        for (int w = f->writer_first[root]; w >= 0; w = f->writer_next[w]) {
            if (w >= i) continue;
            int mine = f->group[i], other = f->group[w];
            if (can_join(f, i, other, mine)) join(f, i, other, mine);
        }
    }
}

/* A root can have several writers (the parts of a concat); a reader of any view
 * of it depends on all of them. */
static rc find_writers(fuse *f)
{
    emu_plan *p = f->p;
    f->writer_first = arena_array(p->mem, (size_t)p->n_roots + 1, sizeof(int));
    f->writer_next = arena_array(p->mem, (size_t)f->n + 1, sizeof(int));
    if (!f->writer_first || !f->writer_next) return E_MEMORY;
    for (int i = 0; i < p->n_roots; i++) f->writer_first[i] = -1;
    for (int i = f->n - 1; i >= 0; i--) {
        f->writer_next[i] = -1;
        if (p->nodes[i].out < 0) continue;
        int root = p->vals[p->nodes[i].out].v.root;
        f->writer_next[i] = f->writer_first[root];
        f->writer_first[root] = i;
    }
    return OK;
}

/* A step for each group, in an order that keeps every dependence; among the
 * ready ones the group named by the lowest node comes first. */
static rc order_steps(fuse *f)
{
    emu_plan *p = f->p;
    bool *done = arena_array(p->mem, (size_t)f->n + 1, sizeof *done);
    int *members = arena_array(p->mem, (size_t)f->n + 1, sizeof *members);
    int left = 0;
    for (int i = 0; i < f->n; i++) left += f->group[i] == i;
    p->steps = arena_array(p->mem, (size_t)left + 1, sizeof *p->steps);
    if (!done || !members || !p->steps) return E_MEMORY;
    while (left > 0) {
        int g = 0;
        for (; g < f->n; g++) {
            bool ready = f->group[g] == g && !done[g];
            for (int h = 0; ready && h < f->n; h++)
                ready = !has(row(f, f->before, g), h) || done[h];
            if (ready) break;
        }
        if (g == f->n) return err_fail(E_FAILED, "the steps of a program have a cycle");
        done[g] = true;
        left--;
        emu_step *s = &p->steps[p->n_steps++];
        *s = (emu_step){.kind = p->nodes[g].kind, .node = &p->nodes[g]};
        if (s->kind != EMU_EW) continue;
        int n = 0;
        for (int i = 0; i < f->n; i++)
            if (f->group[i] == g) {
                p->nodes[i].group = g;
                members[n++] = i;
            }
        TRY(emu_plan_group(p, n, members, &s->group));
    }
    return OK;
}

/* Quadratic in nodes with a small factor: a program of 1000 nodes takes some
 * milliseconds. */
rc emu_fuse(emu_plan *p)
{
    fuse f = {.p = p, .n = p->n_nodes};
    size_t n = (size_t)f.n + 1;
    f.words = n / 64 + 1;
    f.before = arena_array(p->mem, mem_mul(n, f.words), sizeof(uint64_t));
    f.whole = arena_array(p->mem, mem_mul(n, f.words), sizeof(uint64_t));
    f.group = arena_array(p->mem, n, sizeof(int));
    f.size = arena_array(p->mem, n, sizeof(int));
    f.ports = arena_array(p->mem, n, sizeof(int));
    if (!f.before || !f.whole || !f.group || !f.size || !f.ports) return E_MEMORY;
    for (int i = 0; i < f.n; i++) f.group[i] = -1;
    TRY(find_writers(&f));
    for (int i = 0; i < f.n; i++) group_node(&f, i);
    /* Which values of a group leave it: marked before groups are planned. */
    for (int i = 0; i < f.n; i++) p->nodes[i].group = f.group[i];
    return order_steps(&f);
}
