/* gemm.c - matrix products: into how many tasks they are cut, and the calls of
 * kern.h. gemm.h says how. */
#include <math.h>
#include "base/arena.h"
#include "kern/blas.h"
#include "kern/gemm.h"

#define TASK_TILES 8     /* tiles of m in a task, at most */
#define THIN_TILES 6     /* and at least, if the threads have work without */
#define TASK_COLUMNS 512 /* columns in a task, about, at most */
/* Floats of B packed at a time, where that leaves columns enough. */
#define PACKED_FLOATS ((size_t)4 << 20)
/* Where a task has all of m: floats of A and of sums it may keep, and the least
 * panels that are worth packing A again for. */
#define OWN_FLOATS ((size_t)128 << 10)
#define OWN_PANELS 4
/* Multiply-adds that one thread finishes before another would have begun. */
#define SMALL_WORK ((size_t)1 << 18)

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
    if (p->n_summed > 1 || gemm_a_floats(p) > OWN_FLOATS) return p->own_b = false;
    bool small = p->m * p->n * p->kk <= SMALL_WORK;
    size_t first = smaller(ceil_div(p->n, TASK_COLUMNS), p->panels);
    for (size_t t = first; t == first || p->panels >= t * OWN_PANELS; t++) {
        p->tasks_n = t;
        if (gemm_part_floats(p) <= OWN_FLOATS && (small || fair(n_batch * t, n_threads)))
            return true;
    }
    return p->own_b = false;
}

/* Rectangles of tiles and panels, small enough for a cache, and enough of them;
 * but not so thin that B is read from afar for a few rows. */
static void cut_shared_b(product *p, size_t n_threads)
{
    p->tasks_n = smaller(ceil_div(p->panels * p->table->tile_n, TASK_COLUMNS), p->panels);
    p->tasks_m = ceil_div(p->n_tiles, TASK_TILES);
    for (; p->tasks_m < p->n_tiles; p->tasks_m++) {
        size_t tasks = p->n_batch * p->tasks_n * p->tasks_m;
        bool enough = tasks >= 4 * n_threads ||
                      p->n_tiles / (p->tasks_m + 1) < THIN_TILES;
        if (n_threads == 1 || (enough && fair(tasks, n_threads))) break;
    }
}

static rc get_scratch(kern *k, product *p)
{
    for (int i = 0; i < k->n_threads; i++)
        TRY(kern_scratch_grow(&k->own[i], mem_mul(gemm_own_floats(p), sizeof(float))));
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
    if (!p->own_b)
        pool_run(k->pool, p->n_batch * p->panels * p->n_summed, gemm_pack_task, p);
    pool_run(k->pool, p->n_batch * p->tasks_n * p->tasks_m, gemm_multiply_task, p);
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

/* Few columns would leave most of each register tile empty. */
static bool few_columns(const kern_table *t, size_t m, size_t n)
{
    return 2 * n <= t->tile_n && m >= 2 * t->tile_n;
}

static kern_mat transposed(kern_mat x)
{
    return (kern_mat){x.p, x.type, x.cs, x.rs, x.batch};
}

static void set_shape(product *p, const kern_table *t, size_t m, size_t n, size_t kk)
{
    p->table = t;
    p->turned = few_columns(t, m, n);
    if (p->turned) {
        kern_mat a = transposed(p->b);
        size_t rows = n;
        p->b = transposed(p->a), p->a = a;
        n = m, m = rows;
    }
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
    bool library = n_batch == 1 && blas_wants(k, m, n, kk, a, b, c, tail);
    pool_hold(k->pool);
    rc code = library ? blas_sum(k, n_summed, m, n, kk, a, b, c)
                      : run_product(k, &p, n_batch);
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
    /* As many floats as any cut of such a k may want, a sum's too. */
    p.k_block = smaller(kk, K_BLOCK);
    p.n_blocks = 2;
    size_t shared = panels_at_a_time(&p) * panel_floats(&p);
    p.panels = smaller(p.n_panels, ceil_div(TASK_COLUMNS, p.table->tile_n));
    p.tasks_n = 1;
    p.tasks_m = ceil_div(p.n_tiles, TASK_TILES);
    size_t own = gemm_own_floats(&p);
    /* In a batch there may be more products at a time, or tasks with all of m. */
    if (shared < PACKED_FLOATS) shared = PACKED_FLOATS;
    p.own_b = true;
    p.tasks_m = 1;
    size_t alone = gemm_own_floats(&p) - gemm_part_floats(&p) + OWN_FLOATS;
    if (own < alone && gemm_a_floats(&p) <= OWN_FLOATS) own = alone;
    if (k->library.name && shared < (m + n) * kk) shared = (m + n) * kk;
    pool_hold(k->pool);
    rc code = kern_scratch_grow(&k->shared, mem_mul(shared, sizeof(float)));
    for (int i = 0; i < k->n_threads && code == OK; i++)
        code = kern_scratch_grow(&k->own[i], mem_mul(own, sizeof(float)));
    pool_release(k->pool);
    return code;
}
