/* run.c - follow the list of steps. */
#include <math.h>
#include <string.h>
#include "dev/emu/emu.h"

typedef struct {
    emu_plan *p;
    soft_surface *const *s;
    atomic_ullong n_inf, flushed;
    uint64_t products, dropped, saturated;
} run;

/* ---- products ---- */
/* Results of the MAC array from 32768 on are infinite (rule mac_cliff). */
#define MAC_LIMIT 32768.0f

/* One product of the plan, in its arithmetic. */
static rc multiply(run *r, const emu_gemm *g, const kern_tail *tail)
{
    emu_plan *p = r->p;
    if (!p->exact || g->type != KERN_F16)
        return kern_gemm(p->k, g->n_batch, g->m, g->n, g->k, g->a, g->b, g->c, tail);
    uint64_t saturated = 0;
    kern_exact_tail t = {.alpha = tail->alpha,
                         .raw = g->raw,
                         .over_zero = p->over_zero,
                         .low_cliff = p->low_cliff,
                         .bias = tail->row_bias,
                         .bias_type = tail->row_bias_type,
                         .saturated = &saturated,
                         .products = p->params->count ? &r->products : NULL,
                         .dropped = p->params->count ? &r->dropped : NULL};
    TRY(kern_exact_gemm(p->k, g->n_batch, g->m, g->n, g->k, g->a, g->b, g->c, &t));
    if (g->raw) return OK; /* counted where they are joined */
    r->saturated += saturated;
    *tail->n_inf += saturated;
    return OK;
}

/* Outer batches one by one, the innermost by the kernel. Pointers are set on a
 * copy, so the plan stays as it was compiled. */
static rc run_gemm(run *r, const emu_node *node)
{
    emu_plan *p = r->p;
    emu_gemm g = node->gemm;
    uint64_t n_inf = 0;
    int64_t size = (int64_t)kern_size(g.type);
    kern_tail tail = {
        .alpha = g.alpha, .limit = p->finite_limit ? MAC_LIMIT : 0, .n_inf = &n_inf};
    if (g.bias >= 0) {
        tail.row_bias = emu_at(p, g.bias);
        tail.row_bias_type = emu_kern_type(p->vals[g.bias].store);
    }
    char *a = emu_at(p, g.a_val), *b = emu_at(p, g.b_val), *c = emu_at(p, node->out);
    int64_t at[MIL_RANK] = {0}, total = 1;
    for (int i = 0; i < g.rank; i++) total *= g.d[i];
    for (int64_t k = 0; k < total; k++) {
        int64_t oa = 0, ob = 0, oc = 0;
        for (int i = 0; i < g.rank; i++) {
            oa += at[i] * g.sa[i];
            ob += at[i] * g.sb[i];
            oc += at[i] * g.sc[i];
        }
        g.a.p = a + oa * size;
        g.b.p = b + ob * size;
        g.c.p = c + oc * size;
        TRY(multiply(r, &g, &tail));
        for (int i = g.rank - 1; i >= 0 && ++at[i] == g.d[i]; i--) at[i] = 0;
    }
    if (n_inf) atomic_fetch_add(&r->n_inf, n_inf);
    return OK;
}

/* ---- along an axis ---- */
typedef struct {
    run *r;
    const emu_reduce *e;
    const char *x;
    char *y;
    kern_type type;
    bool narrow;
    size_t per, pieces; /* rows or columns of one piece; pieces per outer index */
} axis_work;

/* A running sum in fp16, as the engine's reductions make it (rule
 * reduce_narrow): ones stand still at 2048. In which order the engine adds is
 * not known; this one is ascending. */
static float narrow_sum(const emu_plan *p, const half *x, size_t n, size_t stride)
{
    if (p->exact) return emu_chip_sum(x, n, stride);
    half sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = half_from_float(half_to_float(sum) + half_to_float(x[i * stride]));
    return half_to_float(sum);
}

/* A mean is scaled in fp32, before the one rounding. */
static void store_sums(axis_work *w, const float *sums, size_t n, char *y)
{
    float scaled[64];
    float scale = w->e->mean ? 1.0f / (float)w->e->n : 1.0f;
    for (size_t i = 0; i < n; i++) scaled[i] = sums[i] * scale;
    if (w->r->p->exact && w->type == KERN_F16)
        half_from_floats_away(scaled, (half *)y, n);
    else kern_convert(w->r->p->k, KERN_F32, w->type, n, scaled, y);
    uint64_t bad = kern_count_bad(w->r->p->k, w->type, n, y);
    if (bad) atomic_fetch_add(&w->r->n_inf, bad);
}

/* 64 rows at a time, so that their results are converted together. */
static void reduce_rows(void *ctx, size_t piece)
{
    axis_work *w = ctx;
    const emu_reduce *e = w->e;
    size_t size = kern_size(w->type), end = (piece + 1) * w->per;
    if (end > e->outer) end = e->outer;
    for (size_t i = piece * w->per; i < end; i += 64) {
        float sums[64];
        size_t n = end - i < 64 ? end - i : 64;
        for (size_t k = 0; k < n; k++)
            sums[k] = w->narrow ? narrow_sum(w->r->p, (const half *)w->x + (i + k) * e->n,
                                             e->n, 1)
                                : kern_reduce_row(w->r->p->k, e->op, w->type, e->n,
                                                  w->x + (i + k) * e->n * size);
        store_sums(w, sums, n, w->y + i * size);
    }
}

/* 64 columns are one cache line of fp16 in each row, and enough pieces for all
 * threads. Pieces do not depend on the number of threads, and no sum is split. */
static void reduce_columns(void *ctx, size_t piece)
{
    axis_work *w = ctx;
    const emu_reduce *e = w->e;
    size_t size = kern_size(w->type), o = piece / w->pieces;
    size_t c = piece % w->pieces * w->per;
    size_t n = e->inner - c < w->per ? e->inner - c : w->per;
    const char *x = w->x + (o * e->n * e->inner + c) * size;
    float sums[64];
    if (!w->narrow)
        kern_reduce_cols(w->r->p->k, e->op, w->type, e->n, n, x, e->inner, sums);
    for (size_t i = 0; w->narrow && i < n; i++)
        sums[i] = narrow_sum(w->r->p, (const half *)x + i, e->n, e->inner);
    store_sums(w, sums, n, w->y + (o * e->inner + c) * size);
}

/* [outer, n, inner] over n: rows where inner is one, else columns. */
static void run_reduce(run *r, const emu_node *node)
{
    const emu_reduce *e = &node->reduce;
    emu_plan *p = r->p;
    axis_work w = {.r = r,
                   .e = e,
                   .x = emu_at(p, node->in[0]),
                   .y = emu_at(p, node->out),
                   .type = emu_kern_type(p->vals[node->out].store)};
    w.narrow = (p->params->faithful || p->exact) && e->op == KERN_SUM &&
               w.type == KERN_F16;
    if (e->inner == 1) {
        w.per = 16384 / e->n + 1;
        kern_for(p->k, (e->outer + w.per - 1) / w.per, reduce_rows, &w);
    } else {
        w.per = 64;
        w.pieces = (e->inner + 63) / 64;
        kern_for(p->k, e->outer * w.pieces, reduce_columns, &w);
    }
}

/* A row is one thread's: its sum is never split. */
static void softmax_rows(void *ctx, size_t piece)
{
    axis_work *w = ctx;
    size_t n = w->e->n, rows = w->e->outer, row = n * kern_size(w->type);
    size_t end = (piece + 1) * w->per < rows ? (piece + 1) * w->per : rows;
    const emu_plan *p = w->r->p;
    for (size_t i = piece * w->per; i < end; i++)
        if (p->exact && w->type == KERN_F16)
            emu_chip_softmax(p->table[KERN_U_EXP], p->table[KERN_U_INVERSE], n,
                             (const half *)(w->x + i * row), (half *)(w->y + i * row));
        else kern_softmax_row(w->r->p->k, w->type, n, w->x + i * row, w->y + i * row);
}

static void run_softmax(run *r, const emu_node *node)
{
    emu_plan *p = r->p;
    emu_reduce e = {.outer = node->softmax.rows, .n = node->softmax.n};
    axis_work w = {.r = r,
                   .e = &e,
                   .x = emu_at(p, node->in[0]),
                   .y = emu_at(p, node->out),
                   .type = emu_kern_type(p->vals[node->out].store),
                   .per = 8192 / node->softmax.n + 1};
    kern_for(p->k, (e.outer + w.per - 1) / w.per, softmax_rows, &w);
}

/* ---- surfaces of another precision (wide) ---- */
static void run_load(run *r, const emu_node *node)
{
    emu_plan *p = r->p;
    const soft_surface *s = r->s[node->port];
    size_t n = (size_t)emu_count(&p->vals[node->out]);
    kern_convert(p->k, s->shape.dtype == MIL_FP16 ? KERN_F16 : KERN_F32, KERN_F32, n,
                 s->mem, emu_at(p, node->out));
}

static void run_store(run *r, const emu_node *node)
{
    emu_plan *p = r->p;
    const soft_surface *s = r->s[p->code->n_in + node->port];
    size_t n = (size_t)emu_count(&p->vals[node->in[0]]);
    kern_convert(p->k, KERN_F32, s->shape.dtype == MIL_FP16 ? KERN_F16 : KERN_F32, n,
                 emu_at(p, node->in[0]), s->mem);
}

/* Products that are no gemm, which tell of sums that overflowed. */
static void run_counted(run *r, const emu_node *node,
                        void (*fn)(const emu_plan *, const emu_node *, atomic_ullong *))
{
    atomic_ullong over;
    atomic_init(&over, 0);
    fn(r->p, node, &over);
    r->saturated += atomic_load(&over);
    atomic_fetch_add(&r->n_inf, atomic_load(&over));
}

/* A single tile is not worth waking threads for. */
static void run_group(run *r, const emu_group *g)
{
    emu_tiles w = {r->p, g, &r->n_inf, &r->flushed};
    if (g->units == 1) emu_tile_unit(&w, 0);
    else kern_for(r->p->k, g->units, emu_tile_unit, &w);
}

static rc run_step(run *r, const emu_step *s)
{
    emu_plan *p = r->p;
    const emu_node *n = s->node;
    switch (s->kind) {
    case EMU_EW:
        run_group(r, s->group);
        break;
    case EMU_GEMM:
        return run_gemm(r, n);
    case EMU_COPY:
        emu_copy_run(p->k, &n->copy, emu_at(p, n->in[0]), emu_at(p, n->out));
        break;
    case EMU_IM2COL:
        emu_im2col_run(p->k, &n->im2col, emu_size(&p->vals[n->out]), emu_at(p, n->in[0]),
                       emu_at(p, n->out));
        break;
    case EMU_WINO:
        run_counted(r, n, emu_winograd_run);
        break;
    case EMU_INT8:
        run_counted(r, n, emu_int8_run);
        if (p->params->count) r->products += emu_int8_products(p, n);
        break;
    case EMU_REDUCE:
        run_reduce(r, n);
        break;
    case EMU_SOFTMAX:
        run_softmax(r, n);
        break;
    case EMU_ROWS:
        atomic_fetch_add(&r->n_inf, emu_rows_run(p, n));
        break;
    case EMU_TAKE:
        emu_take_run(p->k, &n->take, emu_at(p, n->in[0]), emu_at(p, n->out));
        break;
    case EMU_PICK:
        return emu_pick_run(p, n);
    case EMU_LOAD:
        run_load(r, n);
        break;
    case EMU_STORE:
        run_store(r, n);
        break;
    }
    return OK;
}

/* What a step adds to the counts of its product. */
static rc run_counting(run *r, const emu_step *s)
{
    int i = s->kind == EMU_EW ? -1 : s->node->product;
    if (i < 0) return run_step(r, s);
    uint64_t products = r->products, dropped = r->dropped, saturated = r->saturated;
    TRY(run_step(r, s));
    dev_product *c = &r->p->product[i];
    c->products += r->products - products;
    c->dropped += r->dropped - dropped;
    c->saturated += r->saturated - saturated;
    return OK;
}

/* ---- binding ---- */
static bool is_input(const run *r, const soft_surface *out)
{
    for (int i = 0; i < r->p->code->n_in; i++)
        if (r->s[i] == out) return true;
    return false;
}

/* An output on a surface that is also an input (state that stays on the
 * engine) is made beside it and copied at the end. */
static rc bind(run *r)
{
    emu_plan *p = r->p;
    int n_in = p->code->n_in;
    for (int i = 0; i < p->n_roots; i++) {
        const emu_root *root = &p->roots[i];
        if (root->where == EMU_IN) p->base[i] = r->s[root->port]->mem;
        if (root->where != EMU_OUT) continue;
        p->base[i] = r->s[n_in + root->port]->mem;
        if (!is_input(r, r->s[n_in + root->port])) continue;
        if (!p->stage[root->port]) p->stage[root->port] = mem_take(root->bytes);
        if (!p->stage[root->port]) return E_MEMORY;
        p->base[i] = p->stage[root->port];
    }
    return OK;
}

/* Outputs that were made beside an input surface go there now that all is read. */
static void unbind(run *r)
{
    emu_plan *p = r->p;
    for (int i = 0; i < p->n_roots; i++) {
        const emu_root *root = &p->roots[i];
        if (root->where == EMU_OUT && p->base[i] == p->stage[root->port])
            memcpy(r->s[p->code->n_in + root->port]->mem, p->base[i], root->bytes);
    }
}

/* The first failing step ends the run; the queue marks its outputs invalid. */
rc emu_run(emu_plan *p, soft_surface *const *s, dev_stats *stats)
{
    run r = {.p = p, .s = s};
    atomic_init(&r.n_inf, 0);
    atomic_init(&r.flushed, 0);
    TRY(bind(&r));
    for (int i = 0; i < p->n_steps; i++) TRY(run_counting(&r, &p->steps[i]));
    unbind(&r);
    stats->flops = p->code->flops;
    stats->infinities = atomic_load(&r.n_inf);
    stats->exact = p->exact;
    stats->counted = p->exact && p->params->count;
    stats->saturated = r.saturated;
    stats->dropped_products = r.dropped;
    stats->flushed = atomic_load(&r.flushed);
    p->counts.runs++;
    p->counts.infinities += stats->infinities;
    p->counts.flushed += stats->flushed;
    return OK;
}
