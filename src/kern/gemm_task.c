/* gemm_task.c - the work of one thread in a matrix product: packing a panel,
 * multiplying a rectangle. gemm.h says what these are. */
#include "kern/gemm.h"

/* Packed B of more floats than this is read ahead: it does not stay in the last
 * cache. A smaller one comes soon enough by itself, and asking costs. */
#define FAR_FLOATS ((size_t)2 << 20)
#define PACK_ROOM 16 /* floats that packing may write behind a panel of A */

/* NULL where there is no matrix: an empty sum may come without. */
static const void *at(const kern_mat *x, size_t batch, size_t i, size_t j)
{
    if (!x->p) return NULL;
    ptrdiff_t e = (ptrdiff_t)batch * x->batch + (ptrdiff_t)i * x->rs +
                  (ptrdiff_t)j * x->cs;
    return (const char *)x->p + e * (ptrdiff_t)kern_size(x->type);
}

/* ---- packing B ---- */

/* Rows k0 .. k0 + kc of one panel of one product. */
static void pack_panel(const product *p, size_t batch, size_t panel, size_t k0, size_t kc,
                       float *out)
{
    size_t wide = p->table->tile_n, j = panel * wide;
    if (kc == 0) return; /* an empty sum may come without matrices */
    p->table->pack_b(p->b.type, smaller(wide, p->n - j), kc, at(&p->b, batch, k0, j),
                     p->b.rs, p->b.cs, out);
}

/* Task i packs one panel of one product. The products of a sum follow each
 * other in a panel. */
void gemm_pack_task(void *ctx, size_t i, int who)
{
    (void)who;
    const product *p = ctx;
    float *out = p->packed + i * p->kk * p->table->tile_n;
    size_t inner = p->n_summed > 1 ? p->n_summed : p->panels;
    size_t batch = p->n_summed > 1 ? i % inner : p->batch0 + i / inner;
    size_t panel = p->n_summed > 1 ? i / inner : i % inner;
    pack_panel(p, batch, p->panel0 + panel, 0, p->kk, out);
}

/* ---- scratch of a thread, in whole cache lines ---- */

static size_t lines(size_t floats)
{
    return ceil_div(floats, 16) * 16;
}

static size_t task_rows(const product *p)
{
    return ceil_div(p->n_tiles, p->tasks_m) * p->table->tile_m;
}

static size_t task_columns(const product *p)
{
    return ceil_div(p->panels, p->tasks_n) * p->table->tile_n;
}

size_t gemm_a_floats(const product *p)
{
    return lines(task_rows(p) * p->k_block) + PACK_ROOM;
}

size_t gemm_part_floats(const product *p)
{
    if (p->n_blocks * p->n_summed == 1) return 0;
    return lines(task_rows(p) * task_columns(p));
}

static size_t bias_floats(const product *p)
{
    return lines(p->turned ? task_columns(p) : task_rows(p));
}

static size_t own_b_floats(const product *p)
{
    return p->own_b ? p->k_block * p->table->tile_n : 0;
}

size_t gemm_own_floats(const product *p)
{
    return gemm_a_floats(p) + gemm_part_floats(p) + bias_floats(p) + own_b_floats(p);
}

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

/* `rows` x `cols` of x from (i, j), within so many turns. */
static ahead read_ahead(const kern_mat *x, size_t batch, size_t i, size_t rows, size_t j,
                        size_t cols, size_t turns)
{
    ptrdiff_t size = (ptrdiff_t)kern_size(x->type);
    ahead f = {.p = at(x, batch, i, j)};
    if (x->cs == 1) f.n = rows, f.bytes = cols * (size_t)size, f.step = x->rs * size;
    else if (x->rs == 1) f.n = cols, f.bytes = rows * (size_t)size, f.step = x->cs * size;
    f.at_once = ceil_div(f.n, turns);
    return f;
}

static void ask_for_some(ahead *f)
{
    for (size_t i = 0; i < f->at_once && f->n; i++, f->n--, f->p += f->step)
        for (size_t b = 0; b < f->bytes; b += 64) __builtin_prefetch(f->p + b, 0, 2);
}

/* A rectangle of one product of the batch. */
typedef struct {
    size_t batch;
    size_t tile0, tile1;   /* of m */
    size_t panel0, panel1; /* of the packed panels */
    const float *b;        /* packed panel 0, unless the task packs its own */
    float *a, *part, *bias, *own_b;
    ahead next_a, next_b;
} rect;

static size_t tile_row(const product *p, size_t tile)
{
    return tile * p->m / p->n_tiles;
}

/* The bias of the rows of C that r covers. */
static void load_bias(const product *p, const rect *r)
{
    size_t wide = p->table->tile_n, i0 = tile_row(p, r->tile0),
           i1 = tile_row(p, r->tile1);
    if (p->turned) {
        i0 = (p->panel0 + r->panel0) * wide;
        i1 = smaller(p->n, (p->panel0 + r->panel1) * wide);
    }
    const kern_tail *t = p->tail;
    const char *from = (const char *)t->row_bias + i0 * kern_size(t->row_bias_type);
    p->table->convert(t->row_bias_type, KERN_F32, i1 - i0, from, r->bias);
}

static void pack_tiles(const product *p, const rect *r, size_t batch, size_t k0,
                       size_t kc)
{
    float *out = r->a;
    if (kc == 0) return;
    for (size_t i = r->tile0; i < r->tile1; i++, out += kc * p->table->tile_m) {
        size_t row = tile_row(p, i);
        p->table->pack_a(p->a.type, tile_row(p, i + 1) - row, kc,
                         at(&p->a, batch, row, k0), p->a.rs, p->a.cs, out);
    }
}

/* The tiles of r in the block of k from k0. */
static ahead ahead_a(const product *p, const rect *r, size_t batch, size_t k0)
{
    size_t row = tile_row(p, r->tile0), rows = tile_row(p, r->tile1) - row;
    size_t turns = (r->tile1 - r->tile0) * (r->panel1 - r->panel0);
    return read_ahead(&p->a, batch, row, rows, k0, smaller(p->k_block, p->kk - k0),
                      turns);
}

/* One panel in the block of k from k0, within one panel's tiles. */
static ahead ahead_b(const product *p, const rect *r, size_t batch, size_t k0,
                     size_t panel)
{
    size_t wide = p->table->tile_n, j = panel * wide;
    return read_ahead(&p->b, batch, k0, smaller(p->k_block, p->kk - k0), j,
                      smaller(wide, p->n - j), r->tile1 - r->tile0);
}

/* What the tiles of one block have in common. */
static kern_tile tile_of(const product *p, bool first, bool last)
{
    return (kern_tile){.first = first,
                       .last = last,
                       .type = p->c.type,
                       .add = p->c.add,
                       .turned = p->turned,
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
    size_t part = (panel - r->panel0) * n_tiles + i - r->tile0;
    ptrdiff_t e = (ptrdiff_t)r->batch * p->c.batch;
    e += p->turned ? (ptrdiff_t)j * p->c.rs + (ptrdiff_t)row
                   : (ptrdiff_t)row * p->c.rs + (ptrdiff_t)j;
    tile->c = (char *)p->c.p + e * (ptrdiff_t)kern_size(p->c.type);
    tile->n = smaller(t->tile_n, p->n - j);
    tile->part = r->part + part * t->tile_m * t->tile_n;
    tile->bias = NULL;
    if (p->tail && p->tail->row_bias)
        tile->bias = r->bias + (p->turned ? (panel - r->panel0) * t->tile_n
                                          : row - tile_row(p, r->tile0));
    ask_for_some(&r->next_a);
    ask_for_some(&r->next_b);
    t->tile(m, kc, r->a + (i - r->tile0) * kc * t->tile_m, b, tile);
}

/* The panels of one block of k, packed here just before use. */
static void multiply_own(const product *p, rect *r, size_t batch, size_t k0,
                         kern_tile *tile)
{
    size_t kc = smaller(p->k_block, p->kk - k0);
    for (size_t j = r->panel0; j < r->panel1; j++) {
        pack_panel(p, batch, j, k0, kc, r->own_b);
        if (j + 1 < r->panel1) r->next_b = ahead_b(p, r, batch, k0, j + 1);
        for (size_t i = r->tile0; i < r->tile1; i++)
            multiply_tile(p, r, i, j, kc, r->own_b, tile);
    }
}

/* The panels of one block of k, which starts at `b` in the first packed one. */
static void multiply_shared(const product *p, rect *r, size_t kc, const float *b,
                            kern_tile *tile)
{
    size_t one = panel_floats(p), wide = p->table->tile_n, n_tiles = r->tile1 - r->tile0;
    bool far = one * p->panels > FAR_FLOATS;
    for (size_t j = r->panel0; j < r->panel1; j++) {
        kern_mat next = {b + (j + 1) * one, KERN_F32, (ptrdiff_t)wide, 1, 0};
        if (far && j + 1 < r->panel1)
            r->next_b = read_ahead(&next, 0, 0, kc, 0, wide, n_tiles);
        for (size_t i = r->tile0; i < r->tile1; i++)
            multiply_tile(p, r, i, j, kc, b + j * one, tile);
    }
}

/* One block of k: rows k0 .. k0 + kc of product `s` of the sum. */
static uint64_t multiply_block(const product *p, rect *r, size_t s, size_t k0)
{
    size_t kc = smaller(p->k_block, p->kk - k0);
    size_t batch = p->n_summed > 1 ? s : r->batch;
    bool first = s == 0 && k0 == 0, last = s + 1 == p->n_summed && k0 + kc == p->kk;
    kern_tile tile = tile_of(p, first, last);
    pack_tiles(p, r, batch, k0, kc);
    if (p->own_b) multiply_own(p, r, batch, k0, &tile);
    else multiply_shared(p, r, kc, r->b + (s * p->kk + k0) * p->table->tile_n, &tile);
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
            r->next_a = r->next_b = (ahead){0};
            if (q + 1 < p->n_blocks)
                r->next_a = ahead_a(p, r, batch, (q + 1) * p->k_block);
            else if (then) r->next_a = ahead_a(p, then, then->batch, 0);
            n_inf += multiply_block(p, r, s, q * p->k_block);
        }
    if (n_inf) atomic_fetch_add_explicit(&p->n_inf, n_inf, memory_order_relaxed);
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

void gemm_multiply_task(void *ctx, size_t i, int who)
{
    product *p = ctx;
    rect r = rect_of(p, i);
    r.a = p->own[who].p;
    r.part = r.a + gemm_a_floats(p);
    r.bias = r.part + gemm_part_floats(p);
    r.own_b = r.bias + bias_floats(p);
    if (p->packed) /* else each task packs its own */
        r.b = p->packed + (r.batch - p->batch0) * p->panels * panel_floats(p);
    /* A guess at the task this thread gets next; the other threads' will do. */
    size_t after = i + p->n_threads;
    bool more = p->kk && after < p->n_batch * p->tasks_n * p->tasks_m;
    rect then = more ? rect_of(p, after) : r;
    multiply(p, &r, more ? &then : NULL);
}
