/* gemm.c - matrix products: what is packed when, and who multiplies what.
 *
 * The product is cut in three ways.
 *   k      in equal blocks of at most K_BLOCK, a function of k alone. Each
 *          element of C sums a block in registers, then adds the block to a
 *          partial sum in fp32: this is the whole order of a sum.
 *   n      in panels as wide as the register tile. B is packed panel by panel,
 *          [k][tile_n], by all threads, before anyone multiplies.
 *   m      in tiles of nearly equal height, at most the register tile's, so
 *          that no thin tile is left at the end.
 * A task is a rectangle of tiles x panels. It packs its tiles of A for one
 * block of k into the thread's own second-level cache, multiplies them with
 * its panels, and keeps the partial sums there too until the last block.
 *
 * Where all of A fits in a thread's cache, as in attention, tasks are cut along
 * n and the batch alone; then only one task wants a panel of B, and packs it
 * for itself just before use. */
#include <math.h>
#include <stdatomic.h>
#include "base/arena.h"
#include "kern/table.h"

#define K_BLOCK 384
#define TASK_TILES 8                    /* tiles of m in a task, at most */
#define TASK_COLUMNS 512                /* columns in a task, about, at most */
#define PACKED_FLOATS ((size_t)4 << 20) /* of B packed at a time, if it can be helped */
#define PACK_ROOM 16 /* floats that packing may write behind a panel of A */
#define OWN_FLOATS                                                      \
    ((size_t)128 << 10) /* of A, and of sums, where a task has all of m \
                         */
#define OWN_PANELS \
    4 /* such a task has at least so many panels, or A is packed too often */

typedef struct {
    const kern_table *table;
    size_t m, n, kk;
    kern_mat a, b;
    kern_out c;
    const kern_tail *tail;
    float alpha, limit;
    size_t k_block, n_blocks; /* of one product */
    size_t n_tiles, n_panels; /* of C */
    size_t n_summed;          /* products in one sum: 1, or the batch */
    /* the batch entries and panels in work */
    size_t batch0, n_batch, panel0, panels;
    /* how they are cut into tasks */
    size_t tasks_m, tasks_n;
    bool own_b; /* each task packs its panels of B for itself */
    float *packed;
    size_t n_threads;
    kern_scratch *own;
    _Atomic uint64_t n_inf;
} product;

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static const void *at(const kern_mat *x, size_t batch, size_t i, size_t j)
{
    ptrdiff_t e = (ptrdiff_t)batch * x->batch + (ptrdiff_t)i * x->rs +
                  (ptrdiff_t)j * x->cs;
    return (const char *)x->p + e * (ptrdiff_t)kern_size(x->type);
}

/* Floats of one packed panel of B: all k of all summed products. */
static size_t panel_floats(const product *p)
{
    return p->n_summed * p->kk * p->table->tile_n;
}

/* ---- packing B ---- */

/* Rows k0 .. k0 + kc of one panel of one product. */
static void pack_panel(const product *p, size_t batch, size_t panel, size_t k0, size_t kc,
                       float *out)
{
    size_t wide = p->table->tile_n, j = panel * wide;
    p->table->pack_b(p->b.type, smaller(wide, p->n - j), kc, at(&p->b, batch, k0, j),
                     p->b.rs, p->b.cs, out);
}

/* Task i packs one panel of one product. The products of a sum follow each
 * other in a panel. */
static void pack_task(void *ctx, size_t i, int who)
{
    (void)who;
    const product *p = ctx;
    float *out = p->packed + i * p->kk * p->table->tile_n;
    size_t inner = p->n_summed > 1 ? p->n_summed : p->panels;
    size_t batch = p->n_summed > 1 ? i % inner : p->batch0 + i / inner;
    size_t panel = p->n_summed > 1 ? i / inner : i % inner;
    pack_panel(p, batch, p->panel0 + panel, 0, p->kk, out);
}

/* ---- multiplying ---- */

/* ---- reading ahead ----
 * Weights come from memory, and packing them would wait for every line. So
 * while one block is multiplied, the source of the next is asked for, a little
 * with each tile. */
typedef struct {
    const char *p;
    ptrdiff_t step;  /* bytes from one run of memory to the next */
    size_t n, bytes; /* runs, and the length of one */
    size_t at_once;
} ahead;

/* A rectangle of one product of the batch. */
typedef struct {
    size_t batch;
    size_t tile0, tile1;   /* of m */
    size_t panel0, panel1; /* of the packed panels */
    const float *b;        /* packed panel 0, unless the task packs its own */
    float *a, *part, *bias, *own_b;
    ahead next;
} rect;

static size_t tile_row(const product *p, size_t tile)
{
    return tile * p->m / p->n_tiles;
}

static void load_bias(const product *p, const rect *r)
{
    size_t i0 = tile_row(p, r->tile0), i1 = tile_row(p, r->tile1);
    const kern_tail *t = p->tail;
    const char *from = (const char *)t->row_bias + i0 * kern_size(t->row_bias_type);
    p->table->convert(t->row_bias_type, KERN_F32, i1 - i0, from, r->bias);
}

static void pack_tiles(const product *p, const rect *r, size_t batch, size_t k0,
                       size_t kc)
{
    float *out = r->a;
    for (size_t i = r->tile0; i < r->tile1; i++, out += kc * p->table->tile_m) {
        size_t row = tile_row(p, i);
        p->table->pack_a(p->a.type, tile_row(p, i + 1) - row, kc,
                         at(&p->a, batch, row, k0), p->a.rs, p->a.cs, out);
    }
}

/* Rows of tiles [tile0, tile1) of A and columns k0 .. of one product. */
static ahead read_ahead(const product *p, const rect *r, size_t batch, size_t k0)
{
    size_t row = tile_row(p, r->tile0), rows = tile_row(p, r->tile1) - row;
    size_t kc = smaller(p->k_block, p->kk - k0), size = kern_size(p->a.type);
    size_t turns = (r->tile1 - r->tile0) * (r->panel1 - r->panel0);
    ahead f = {.p = at(&p->a, batch, row, k0)};
    bool by_row = p->a.cs == 1;
    f.step = (by_row ? p->a.rs : p->a.cs) * (ptrdiff_t)size;
    f.n = by_row ? rows : kc;
    f.bytes = (by_row ? kc : rows) * size;
    f.at_once = ceil_div(f.n, turns);
    return f;
}

static void ask_for_some(ahead *f)
{
    for (size_t i = 0; i < f->at_once && f->n; i++, f->n--, f->p += f->step)
        for (size_t b = 0; b < f->bytes; b += 64) __builtin_prefetch(f->p + b, 0, 2);
}

/* What the tiles of one block have in common. */
static kern_tile tile_of(const product *p, bool first, bool last)
{
    return (kern_tile){.first = first,
                       .last = last,
                       .type = p->c.type,
                       .add = p->c.add,
                       .rs = p->c.rs,
                       .alpha = p->alpha,
                       .limit = p->limit};
}

/* Tile i of a packed block of A times one panel. */
static void multiply_tile(const product *p, rect *r, size_t i, size_t panel, size_t kc,
                          const float *b, kern_tile *tile)
{
    const kern_table *t = p->table;
    size_t row = tile_row(p, i), m = tile_row(p, i + 1) - row;
    size_t j = (p->panel0 + panel) * t->tile_n, n_tiles = r->tile1 - r->tile0;
    ptrdiff_t e = (ptrdiff_t)r->batch * p->c.batch + (ptrdiff_t)row * p->c.rs;
    size_t part = (panel - r->panel0) * n_tiles + i - r->tile0;
    tile->c = (char *)p->c.p + (e + (ptrdiff_t)j) * (ptrdiff_t)kern_size(p->c.type);
    tile->n = smaller(t->tile_n, p->n - j);
    tile->part = r->part + part * t->tile_m * t->tile_n;
    bool biased = p->tail && p->tail->row_bias;
    tile->bias = biased ? r->bias + (row - tile_row(p, r->tile0)) : NULL;
    ask_for_some(&r->next);
    t->tile(m, kc, r->a + (i - r->tile0) * kc * t->tile_m, b, tile);
}

/* One block of k: rows k0 .. k0 + kc of product `s` of the sum. */
static uint64_t multiply_block(const product *p, rect *r, size_t s, size_t k0)
{
    size_t kc = smaller(p->k_block, p->kk - k0), wide = p->table->tile_n;
    size_t batch = p->n_summed > 1 ? s : r->batch;
    bool first = s == 0 && k0 == 0, last = s + 1 == p->n_summed && k0 + kc == p->kk;
    kern_tile tile = tile_of(p, first, last);
    const float *b = r->b + (s * p->kk + k0) * wide;
    pack_tiles(p, r, batch, k0, kc);
    if (p->own_b)
        for (size_t j = r->panel0; j < r->panel1; j++) {
            pack_panel(p, batch, p->panel0 + j, k0, kc, r->own_b);
            for (size_t i = r->tile0; i < r->tile1; i++)
                multiply_tile(p, r, i, j, kc, r->own_b, &tile);
        }
    else
        for (size_t j = r->panel0; j < r->panel1; j++)
            for (size_t i = r->tile0; i < r->tile1; i++)
                multiply_tile(p, r, i, j, kc, b + j * panel_floats(p), &tile);
    return tile.n_inf;
}

/* All blocks of k, one after another; `then` is read ahead at the end. */
static void multiply(product *p, rect *r, const rect *then)
{
    uint64_t n_inf = 0;
    if (p->tail && p->tail->row_bias) load_bias(p, r);
    for (size_t s = 0; s < p->n_summed; s++)
        for (size_t q = 0; q < p->n_blocks; q++) {
            size_t batch = p->n_summed > 1 ? s : r->batch;
            r->next = (ahead){0};
            if (q + 1 < p->n_blocks)
                r->next = read_ahead(p, r, batch, (q + 1) * p->k_block);
            else if (then) r->next = read_ahead(p, then, then->batch, 0);
            n_inf += multiply_block(p, r, s, q * p->k_block);
        }
    if (n_inf) atomic_fetch_add_explicit(&p->n_inf, n_inf, memory_order_relaxed);
}

/* Floats of a thread's own scratch, in the order of carve(); whole cache lines
 * each. */
static size_t lines(size_t floats)
{
    return ceil_div(floats, 16) * 16;
}

static size_t task_rows(const product *p)
{
    return ceil_div(p->n_tiles, p->tasks_m) * p->table->tile_m;
}

static size_t a_floats(const product *p)
{
    return lines(task_rows(p) * p->k_block) + PACK_ROOM;
}

static size_t part_floats(const product *p)
{
    if (p->n_blocks * p->n_summed == 1) return 0;
    return lines(task_rows(p) * ceil_div(p->panels, p->tasks_n) * p->table->tile_n);
}

static size_t bias_floats(const product *p)
{
    return lines(task_rows(p));
}

static size_t own_b_floats(const product *p)
{
    return p->own_b ? p->k_block * p->table->tile_n : 0;
}

static size_t own_floats(const product *p)
{
    return a_floats(p) + part_floats(p) + bias_floats(p) + own_b_floats(p);
}

static rect rect_of(const product *p, size_t i)
{
    size_t tm = i % p->tasks_m, tn = i / p->tasks_m % p->tasks_n;
    return (rect){.batch = p->batch0 + i / p->tasks_m / p->tasks_n,
                  .tile0 = tm * p->n_tiles / p->tasks_m,
                  .tile1 = (tm + 1) * p->n_tiles / p->tasks_m,
                  .panel0 = tn * p->panels / p->tasks_n,
                  .panel1 = (tn + 1) * p->panels / p->tasks_n};
}

static void multiply_task(void *ctx, size_t i, int who)
{
    product *p = ctx;
    rect r = rect_of(p, i);
    r.a = p->own[who].p;
    r.part = r.a + a_floats(p);
    r.bias = r.part + part_floats(p);
    r.own_b = r.bias + bias_floats(p);
    r.b = p->packed + (r.batch - p->batch0) * p->panels * panel_floats(p);
    /* A guess at the task this thread gets next; the other threads' will do. */
    size_t after = i + p->n_threads;
    bool more = after < p->n_batch * p->tasks_n * p->tasks_m;
    rect then = more ? rect_of(p, after) : r;
    multiply(p, &r, more ? &then : NULL);
}

/* ---- cutting ---- */

/* A number of tasks that the threads share evenly. */
static bool fair(size_t tasks, size_t n_threads)
{
    return tasks >= 8 * n_threads || tasks % n_threads == 0;
}

/* Tasks that have all of m; false when there are none that fit. */
static bool cut_own_b(product *p, size_t n_batch, size_t n_threads)
{
    p->own_b = true;
    p->n_batch = n_batch;
    p->panels = p->n_panels;
    p->tasks_m = 1;
    if (p->n_summed > 1 || a_floats(p) > OWN_FLOATS) return p->own_b = false;
    for (p->tasks_n = 1; p->panels >= p->tasks_n * OWN_PANELS || p->tasks_n == 1;
         p->tasks_n++)
        if (part_floats(p) <= OWN_FLOATS && fair(n_batch * p->tasks_n, n_threads))
            return true;
    return p->own_b = false;
}

static void cut_shared_b(product *p, size_t n_threads)
{
    p->tasks_n = ceil_div(p->panels * p->table->tile_n, TASK_COLUMNS);
    p->tasks_n = smaller(p->tasks_n, p->panels);
    p->tasks_m = ceil_div(p->n_tiles, TASK_TILES);
    if (n_threads == 1) return;
    for (; p->tasks_m < p->n_tiles; p->tasks_m++) {
        size_t tasks = p->n_batch * p->tasks_n * p->tasks_m;
        if (tasks >= 4 * n_threads && fair(tasks, n_threads)) break;
    }
}

static rc get_scratch(kern *k, product *p)
{
    for (int i = 0; i < k->n_threads; i++)
        TRY(kern_scratch_grow(&k->own[i], mem_mul(own_floats(p), sizeof(float))));
    if (!p->own_b) {
        size_t floats = mem_mul(p->n_batch * p->panels, panel_floats(p));
        TRY(kern_scratch_grow(&k->shared, mem_mul(floats, sizeof(float))));
    }
    p->own = k->own;
    p->n_threads = (size_t)k->n_threads;
    p->packed = k->shared.p;
    return OK;
}

/* Pack and multiply the batch entries and panels in work. */
static rc run_group(kern *k, product *p)
{
    if (!p->own_b) cut_shared_b(p, (size_t)k->n_threads);
    TRY(get_scratch(k, p));
    if (!p->own_b) pool_run(k->pool, p->n_batch * p->panels * p->n_summed, pack_task, p);
    pool_run(k->pool, p->n_batch * p->tasks_n * p->tasks_m, multiply_task, p);
    return OK;
}

/* Panels that a packing of B holds: what fits, but never so few that A would
 * be packed again for every handful of columns. */
static size_t panels_at_a_time(const product *p)
{
    size_t panel = panel_floats(p), least = ceil_div(256, p->table->tile_n);
    size_t panels = panel ? PACKED_FLOATS / panel : p->n_panels;
    return smaller(panels < least ? least : panels, p->n_panels);
}

static rc run_product(kern *k, product *p, size_t n_batch)
{
    if (cut_own_b(p, n_batch, (size_t)k->n_threads)) return run_group(k, p);
    size_t panels = panels_at_a_time(p), all = p->n_panels * panel_floats(p);
    size_t group = all && all < PACKED_FLOATS ? PACKED_FLOATS / all : 1;
    for (p->batch0 = 0; p->batch0 < n_batch; p->batch0 += p->n_batch) {
        p->n_batch = smaller(group, n_batch - p->batch0);
        for (p->panel0 = 0; p->panel0 < p->n_panels; p->panel0 += p->panels) {
            p->panels = smaller(panels, p->n_panels - p->panel0);
            TRY(run_group(k, p));
        }
    }
    return OK;
}

static void set_shape(product *p, const kern_table *t, size_t m, size_t n, size_t kk)
{
    p->table = t;
    p->m = m;
    p->n = n;
    p->kk = kk;
    p->n_blocks = kk ? ceil_div(kk, K_BLOCK) : 1;
    p->k_block = ceil_div(kk, p->n_blocks);
    p->n_tiles = ceil_div(m, t->tile_m);
    p->n_panels = ceil_div(n, t->tile_n);
}

static void set_tail(product *p, const kern_tail *tail)
{
    float limit = tail && tail->limit > 0 ? tail->limit : INFINITY;
    /* The least that rounds to infinity in fp16 is half a step above 65504. */
    if (p->c.type == KERN_F16 && limit > 65520.0f) limit = 65520.0f;
    p->limit = limit;
    p->alpha = tail && tail->alpha != 0 ? tail->alpha : 1;
    p->tail = tail;
}

static rc start(kern *k, size_t n_batch, size_t n_summed, size_t m, size_t n, size_t kk,
                kern_mat a, kern_mat b, kern_out c, const kern_tail *tail)
{
    if (c.add && c.type != KERN_F32)
        return err_fail(E_SHAPE, "adding to a product wants an fp32 result, had fp16");
    if (m == 0 || n == 0 || n_batch == 0) return OK;
    product p = {.a = a, .b = b, .c = c, .n_summed = n_summed};
    set_shape(&p, k->table, m, n, kk);
    set_tail(&p, tail);
    pool_hold(k->pool);
    rc code = run_product(k, &p, n_batch);
    pool_release(k->pool);
    if (tail && tail->n_inf) *tail->n_inf += p.n_inf;
    return code;
}

rc kern_gemm(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
             kern_mat b, kern_out c, const kern_tail *tail)
{
    return start(k, n_batch, 1, m, n, kk, a, b, c, tail);
}

rc kern_gemm_sum(kern *k, size_t n_batch, size_t m, size_t n, size_t kk, kern_mat a,
                 kern_mat b, kern_out c, const kern_tail *tail)
{
    /* An empty sum is a product with no k. */
    if (n_batch == 0) return start(k, 1, 1, m, n, 0, a, b, c, tail);
    return start(k, 1, n_batch, m, n, kk, a, b, c, tail);
}

rc kern_gemm_reserve(kern *k, size_t m, size_t n, size_t kk)
{
    if (m == 0 || n == 0) return OK;
    product p = {.n_summed = 1, .n_batch = 1};
    set_shape(&p, k->table, m, n, kk);
    p.panels = panels_at_a_time(&p);
    cut_shared_b(&p, 1);
    size_t own = own_floats(&p), shared = p.panels * panel_floats(&p);
    /* In a batch: more products at a time, or tasks with all of m. */
    if (shared < PACKED_FLOATS) shared = PACKED_FLOATS;
    p.own_b = true;
    p.tasks_m = 1;
    size_t alone = 2 * OWN_FLOATS + lines(p.n_tiles * p.table->tile_m) + own_b_floats(&p);
    if (own < alone && a_floats(&p) <= OWN_FLOATS) own = alone;
    pool_hold(k->pool);
    rc code = kern_scratch_grow(&k->shared, mem_mul(shared, sizeof(float)));
    for (int i = 0; i < k->n_threads && code == OK; i++)
        code = kern_scratch_grow(&k->own[i], mem_mul(own, sizeof(float)));
    pool_release(k->pool);
    return code;
}
