/* parts.c - attention in primitive ops of the device dialect.
 *
 * Heads are stacked so that one product serves a whole key-value group: with
 * r = heads / kv_heads query heads per group and S columns a sequence,
 *
 *   q [1, Hkv*r*hd, 1, B*S] -> qh [B, Hkv, hd, r*S]   k, v -> [B, Hkv, hd, S]
 *   P  = softmax(qh^T kh * scale + mask)               [B, Hkv, r*S, S]
 *   out = vh P^T                                       [B, Hkv, hd, r*S]
 *
 * No key or value is repeated and no batch broadcasts. The scale goes on q
 * (the smallest operand); the mask is an added constant because the engine
 * ignores the mask of its fused attention (source: maderix/ANE). -10000 is
 * finite in fp16 and its exponential is 0.
 *
 * Half of P is behind the mask. In tiles of queries the keys that none of a
 * tile sees are left out: queries at..at+n of each sequence meet keys 0..at+n,
 * so n tiles compute (n + 1) / 2n of it. Queries are cut where the columns of a
 * head are the last axis, [B, Hkv*hd, r, S]; keys from 0 on, which every family
 * can along the width.
 *
 * The forward op and its gradients all expand through here, so after
 * ir_simplify the backward pass reads the forward pass's probabilities. */
#include "ir/grad.h"

#include <xxhash.h>

#define MASKED -10000.0

ir_node *ir_to_heads(ir_graph *g, ir_node *x, const ir_attr *a, int heads)
{
    if (!x) return NULL;
    int64_t kv = a->kv_heads, r = heads / a->kv_heads, hd = a->head_dim, b = a->batch;
    int64_t s = x->shape.d[3] / b;
    ir_shape out = ir_s4(b, kv, hd, r * s);
    if (b == 1 && r == 1) return ir_reshape(g, x, out);
    if (b == 1) {
        x = ir_reshape(g, x, ir_s4(kv, r, hd, s));
        x = ir_transpose(g, x, (int[]){0, 2, 1, 3});
    } else if (r == 1) {
        x = ir_reshape(g, x, ir_s4(1, kv * hd, b, s));
        x = ir_transpose(g, x, (int[]){0, 2, 1, 3});
    } else {
        x = ir_reshape(g, x, (ir_shape){5, {kv, r, hd, b, s}});
        x = ir_transpose(g, x, (int[]){3, 0, 2, 1, 4});
    }
    return ir_reshape(g, x, out);
}

ir_node *ir_from_heads(ir_graph *g, ir_node *x, const ir_attr *a, int heads)
{
    if (!x) return NULL;
    int64_t kv = a->kv_heads, r = heads / a->kv_heads, hd = a->head_dim, b = a->batch;
    int64_t s = x->shape.d[3] / r;
    ir_shape out = ir_s4(1, heads * hd, 1, b * s);
    if (b == 1 && r == 1) return ir_reshape(g, x, out);
    if (b == 1) {
        x = ir_reshape(g, x, ir_s4(kv, hd, r, s));
        x = ir_transpose(g, x, (int[]){0, 2, 1, 3});
    } else if (r == 1) {
        x = ir_reshape(g, x, ir_s4(1, b, kv * hd, s));
        x = ir_transpose(g, x, (int[]){0, 2, 1, 3});
    } else {
        x = ir_reshape(g, x, (ir_shape){5, {b, kv, hd, r, s}});
        x = ir_transpose(g, x, (int[]){1, 3, 2, 0, 4});
    }
    return ir_reshape(g, x, out);
}

/* One attention on its way: whole operands in heads, q scaled. */
typedef struct {
    ir_graph *g;
    const ir_attr *a;
    int64_t r, s, width; /* heads a group, columns a sequence, queries a tile */
    ir_node *q, *k, *v;
} heads;

/* Queries at..at+n. */
typedef struct {
    int64_t at, n;
    ir_node *k, *v, *probs; /* keys and values they see; [B, Hkv, r*n, at+n] */
} tile;

/* [1, 1, r*n, at+n]: row j*n + i sees columns 0..at+i. One node a graph and size. */
static ir_node *causal_mask(const heads *h, int64_t at, int64_t n)
{
    ir_graph *g = h->g;
    const ir_type t = h->q->type;
    const int64_t rows = h->r * n, columns = at + n, key[] = {h->r, n, at, (int64_t)t};
    uint64_t hash = XXH3_64bits(key, sizeof key);
    ir_table *masks = &g->memory->masks;
    ir_node *known;
    for (size_t i = 0; (known = ir_table_next(masks, hash, &i));)
        if (known->type == t && known->shape.d[2] == rows && known->shape.d[3] == columns)
            return known;
    double *v = mem_take(mem_mul(mem_mul((size_t)rows, (size_t)columns), sizeof *v));
    if (!v) return ir_give_up(g, E_MEMORY);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = at + i % n + 1; j < columns; j++) v[i * columns + j] = MASKED;
    known = ir_const(g, t, ir_s4(1, 1, rows, columns), v);
    mem_drop(v);
    if (!known) return NULL;
    if (ir_table_put(masks, g->mem, hash, known) != OK) return ir_give_up(g, E_MEMORY);
    return known;
}

/* Columns at..at+n of the last axis. */
static ir_node *columns(ir_graph *g, ir_node *x, int64_t at, int64_t n)
{
    int64_t begin[] = {0, 0, 0, at}, size[4];
    if (!x || x->shape.d[3] == n) return x;
    for (int i = 0; i < 3; i++) size[i] = x->shape.d[i];
    size[3] = n;
    return ir_slice(g, x, begin, size);
}

/* [B, Hkv, c, r*S] -> [B, Hkv, c, r*n] */
static ir_node *cut_queries(const heads *h, ir_node *x, const tile *t)
{
    if (!x || t->n == h->s) return x;
    ir_shape s = x->shape;
    x = ir_reshape(h->g, x, ir_s4(s.d[0], s.d[1] * s.d[2], h->r, h->s));
    x = columns(h->g, x, t->at, t->n);
    return ir_reshape(h->g, x, ir_s4(s.d[0], s.d[1], s.d[2], h->r * t->n));
}

/* The way back: `next` stands behind what `all` has so far, [B, Hkv*hd, r, ...]. */
static ir_node *join_queries(const heads *h, ir_node *all, ir_node *next, const tile *t)
{
    if (!next || t->n == h->s) return next;
    ir_shape s = next->shape;
    next = ir_reshape(h->g, next, ir_s4(s.d[0], s.d[1] * s.d[2], h->r, t->n));
    ir_node *pair[] = {all, next};
    if (t->at) next = ir_concat(h->g, 2, pair, 3);
    if (t->at + t->n < h->s) return next;
    return ir_reshape(h->g, next, ir_s4(s.d[0], s.d[1], s.d[2], h->r * h->s));
}

/* Sums over queries, of which `all` are those before this tile: for fewer keys. */
static ir_node *add_keys(const heads *h, ir_node *all, ir_node *next, const tile *t)
{
    if (!all || !next) return t->at ? NULL : next;
    ir_shape s = all->shape;
    s.d[3] = t->n;
    ir_node *pair[] = {all, ir_fill(h->g, all->type, s, 0)};
    return ir_add(h->g, ir_concat(h->g, 2, pair, 3), next);
}

static bool open_heads(heads *h, ir_graph *g, ir_node *const *in, const ir_attr *a,
                       int64_t width)
{
    if (g->failed != OK || !in[0] || !in[1] || !in[2]) return false;
    ir_draft d = {.op = IR_attention, .n_in = 3, .in = in, .attr = *a};
    rc failed = ir_draft_check(&d);
    if (failed != OK) {
        ir_give_up(g, failed);
        return false;
    }
    *h = (heads){.g = g, .a = a, .r = a->heads / a->kv_heads};
    h->s = in[0]->shape.d[3] / a->batch;
    h->width = width > 0 && width < h->s ? width : h->s;
    ir_node *scale = ir_fill(g, in[0]->type, ir_s1(1), a->scale);
    h->q = ir_to_heads(g, ir_mul(g, in[0], scale), a, a->heads);
    h->k = ir_to_heads(g, in[1], a, a->kv_heads);
    h->v = ir_to_heads(g, in[2], a, a->kv_heads);
    return ir_rc(g) == OK;
}

/* The tile from query `at` on; false past the last. */
static bool next_tile(const heads *h, tile *t, int64_t at)
{
    ir_graph *g = h->g;
    if (at >= h->s || g->failed != OK) return false;
    *t = (tile){.at = at, .n = h->s - at < h->width ? h->s - at : h->width};
    ir_node *q = cut_queries(h, h->q, t);
    t->k = columns(g, h->k, 0, at + t->n);
    t->v = columns(g, h->v, 0, at + t->n);
    ir_node *scores = ir_matmul(g, q, t->k, true, false);
    scores = ir_add(g, scores, causal_mask(h, at, t->n));
    t->probs = ir_softmax(g, scores, 3);
    return t->probs != NULL;
}

/* [B, Hkv, hd, r*S] */
static ir_node *attend(const heads *h)
{
    tile t;
    ir_node *out = NULL;
    for (int64_t at = 0; next_tile(h, &t, at); at += t.n)
        out = join_queries(h, out, ir_matmul(h->g, t.v, t.probs, false, true), &t);
    return out;
}

ir_node *ir_attention_parts(ir_graph *g, ir_node *const in[3], const ir_attr *a,
                            int64_t width)
{
    heads h;
    if (!open_heads(&h, g, in, a, width)) return NULL;
    return ir_from_heads(g, attend(&h), a, a->heads);
}

/* ---- gradients ----
 * S = q^T k (q scaled), P = softmax(S + mask), O = v P^T, per head:
 *   dv = dO P        dP = dO^T v        dS = P (dP - D)
 *   dq = k dS^T      dk = q dS          D = row sums of P dP = sum_c dO O
 * D is taken from dO and O because they are hd high where P is seq wide; as a
 * product with ones it accumulates wide. Source of D: Dao et al., 2022. */
static ir_node *row_sums(const heads *h, ir_node *d)
{
    ir_graph *g = h->g;
    ir_node *out = attend(h);
    if (!out) return NULL;
    const ir_shape s = out->shape;
    ir_node *ones = ir_fill(g, out->type, ir_s4(s.d[0], s.d[1], 1, s.d[2]), 1);
    return ir_matmul(g, ones, ir_mul(g, d, out), false, false);
}

/* dS of a tile; d: dO of its queries. */
static ir_node *d_scores(const heads *h, const tile *t, ir_node *d, ir_node *sums)
{
    ir_graph *g = h->g;
    ir_node *rows = cut_queries(h, sums, t);
    if (!rows || !d) return NULL;
    const ir_shape s = rows->shape;
    rows = ir_reshape(g, rows, ir_s4(s.d[0], s.d[1], s.d[3], 1));
    ir_node *dp = ir_matmul(g, d, t->v, true, false);
    return ir_mul(g, t->probs, ir_sub(g, dp, rows));
}

ir_node *ir_attention_dx_parts(ir_graph *g, ir_node *const in[4], const ir_attr *a,
                               int64_t width)
{
    heads h;
    tile t;
    ir_node *all = NULL, *sums = NULL;
    if (!in[3] || !open_heads(&h, g, in, a, width)) return NULL;
    ir_node *dy = ir_to_heads(g, in[3], a, a->heads);
    if (a->index != 2) sums = row_sums(&h, dy);
    for (int64_t at = 0; next_tile(&h, &t, at); at += t.n) {
        ir_node *d = cut_queries(&h, dy, &t);
        if (a->index == 2) {
            all = add_keys(&h, all, ir_matmul(g, d, t.probs, false, false), &t);
            continue;
        }
        ir_node *ds = d_scores(&h, &t, d, sums);
        if (a->index == 0) {
            all = join_queries(&h, all, ir_matmul(g, t.k, ds, false, true), &t);
        } else {
            ir_node *q = cut_queries(&h, h.q, &t);
            all = add_keys(&h, all, ir_matmul(g, q, ds, false, false), &t);
        }
    }
    if (a->index) return ir_from_heads(g, all, a, a->kv_heads);
    return ir_scaled(g, ir_from_heads(g, all, a, a->heads), a->scale);
}
