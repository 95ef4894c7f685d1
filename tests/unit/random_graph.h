/* random_graph.h - random legal graphs for property tests.
 *
 *   ir_graph *g = random_graph(seed);      5 to 40 nodes, outputs "out0", ...
 *   random_values(g, seed, mem, bind, &n)  inputs, params: exact in fp16, +-1
 *   random_noise(g, mem, ...)              how far rounding alone may move it
 *   random_coverage(g, count)              live nodes of each op
 *
 * Every op of the device dialect occurs, and of the rest those a layer is made
 * of (split, norms, rope, attention). Values are kept tame: the generator
 * carries a bound on the magnitude of each value and shrinks what grows, so
 * nothing overflows fp16 nor the engine's 32768. Comparisons are only made
 * between leaves, whose values are exact, so rounding cannot turn a choice. */
#ifndef RANDOM_GRAPH_H
#define RANDOM_GRAPH_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "ir/ir.h"

enum { RANDOM_NODES = 40, RANDOM_POOL = 128, RANDOM_OUTPUTS = 8, RANDOM_SIZE = 4096 };

typedef struct {
    ir_node *n;
    double most;
    bool leaf;
    int uses;
} random_value_;
typedef struct {
    ir_graph *g;
    uint64_t seed, at;
    random_value_ pool[RANDOM_POOL];
    int n, names;
    int64_t t; /* columns of sequences */
    int batch; /* sequences in them */
} random_;

static inline int64_t rnd(random_ *r, int64_t n)
{
    return (int64_t)rng_below(r->seed, 77, r->at++, (uint64_t)n);
}

static inline random_value_ *rnd_put(random_ *r, ir_node *n, double most)
{
    if (!n || r->n == RANDOM_POOL) return NULL;
    r->pool[r->n] = (random_value_){n, most, n->n_in == 0, 0};
    return &r->pool[r->n++];
}

static inline random_value_ *rnd_leaf(random_ *r, bool param, ir_shape s)
{
    char name[24];
    snprintf(name, sizeof name, "%s%d", param ? "w" : "x", r->names++);
    return rnd_put(r, param ? ir_param(r->g, name, s) : ir_input(r->g, name, IR_FP16, s),
                   1);
}

static inline ir_shape rnd_sequence(random_ *r)
{
    static const int64_t channels[] = {4, 6, 8, 12, 16, 24, 7, 32};
    return ir_s4(1, channels[rnd(r, 8)], 1, r->t);
}

/* Values already there, the unused ones first. */
static inline random_value_ *rnd_any(random_ *r)
{
    for (int tries = 0; tries < 6; tries++) {
        random_value_ *v = &r->pool[rnd(r, r->n)];
        if (v->n->type == IR_FP16 && (tries > 3 || (!v->uses && !v->leaf))) return v;
    }
    return rnd_leaf(r, false, rnd_sequence(r));
}

static inline bool rnd_is_sequence(const ir_node *n)
{
    return n->shape.rank == 4 && n->shape.d[0] == 1 && n->shape.d[2] == 1;
}

/* A [1,C,1,T] value, of the graph's own number of columns if `own`. */
static inline random_value_ *rnd_seq(random_ *r, bool own)
{
    for (int tries = 0; tries < 8; tries++) {
        random_value_ *v = rnd_any(r);
        if (rnd_is_sequence(v->n) && (!own || v->n->shape.d[3] == r->t)) return v;
    }
    return rnd_leaf(r, false, rnd_sequence(r));
}

static inline ir_node *rnd_use(random_value_ *v)
{
    return v->uses++, v->n;
}

/* v, made no larger than `limit` if it is. */
static inline random_value_ rnd_tame(random_ *r, random_value_ *v, double limit)
{
    random_value_ out = *v;
    out.n = rnd_use(v);
    if (v->most <= limit) return out;
    if (limit >= 1 && rnd(r, 2)) {
        out.n = ir_unary(r->g, IR_tanh, out.n);
        out.most = 1;
    } else {
        double f = exp2(floor(log2(limit / v->most))); /* exact in fp16 */
        out.n = ir_mul(r->g, out.n, ir_scalar(r->g, f));
        out.most = v->most * f;
    }
    return out;
}

/* sigmoid(v) + 0.5: 0.5 to 1.5 */
static inline ir_node *rnd_positive(random_ *r, random_value_ *v)
{
    return ir_add(r->g, ir_unary(r->g, IR_sigmoid, rnd_use(v)), ir_scalar(r->g, 0.5));
}

/* Something that broadcasts to s. */
static inline random_value_ rnd_partner(random_ *r, ir_shape s)
{
    for (int tries = 0; tries < 4; tries++) {
        random_value_ *v = rnd_any(r);
        if (ir_shape_eq(v->n->shape, s) && v->most <= 64) return v->uses++, *v;
    }
    if (rnd(r, 4) == 0)
        return (random_value_){ir_scalar(r->g, 0.5 + (double)rnd(r, 4)), 4, true, 0};
    for (int i = 0; i < s.rank; i++)
        if (rnd(r, 2)) s.d[i] = 1;
    if (rnd(r, 3)) return *rnd_leaf(r, rnd(r, 2), s);
    double *v = malloc((size_t)ir_count(s) * sizeof *v);
    for (int64_t i = 0; v && i < ir_count(s); i++)
        v[i] = (double)(rnd(r, 257) - 128) / 128;
    ir_node *n = v ? ir_const(r->g, IR_FP16, s, v) : NULL;
    free(v);
    return (random_value_){n, 1, true, 0};
}

static inline void rnd_binary(random_ *r, ir_op op)
{
    random_value_ x = rnd_tame(r, rnd_any(r), 64), y = rnd_partner(r, x.n->shape);
    double most = op == IR_mul ? x.most * y.most : x.most + y.most;
    if (rnd(r, 4) == 0) {
        random_value_ swap = x;
        x = y;
        y = swap;
    }
    rnd_put(r, ir_binary(r->g, op, x.n, y.n), most);
}

static inline void rnd_div(random_ *r)
{
    random_value_ x = rnd_tame(r, rnd_any(r), 64), y = rnd_partner(r, x.n->shape);
    rnd_put(r, ir_div(r->g, x.n, rnd_positive(r, &y)), 2 * x.most);
}

static inline void rnd_pow(random_ *r)
{
    static const double powers[] = {2, 3, 0.5, 1.5, -1};
    ir_node *x = rnd_positive(r, rnd_any(r));
    rnd_put(r, ir_binary(r->g, IR_pow, x, ir_scalar(r->g, powers[rnd(r, 5)])), 3.5);
}

/* reach: the largest operand; positive ops get one that is. */
static inline void rnd_unary(random_ *r, ir_op op)
{
    random_value_ *v = rnd_any(r);
    if (op == IR_log || op == IR_sqrt || op == IR_rsqrt) {
        rnd_put(r, ir_unary(r->g, op, rnd_positive(r, v)), 1.5);
        return;
    }
    random_value_ x = rnd_tame(r, v, op == IR_exp ? 2 : 16);
    double most = op == IR_exp                        ? exp(x.most)
                  : op == IR_tanh || op == IR_sigmoid ? 1
                                                      : x.most;
    rnd_put(r, ir_unary(r->g, op, x.n), most);
}

static inline void rnd_softmax(random_ *r)
{
    random_value_ x = rnd_tame(r, rnd_any(r), 8);
    int axis = (int)rnd(r, x.n->shape.rank);
    for (int i = 0; i < x.n->shape.rank && x.n->shape.d[axis] == 1; i++)
        axis = (axis + 1) % x.n->shape.rank;
    rnd_put(r, ir_softmax(r->g, x.n, axis), 1);
}

static inline void rnd_reduce(random_ *r, ir_op op)
{
    random_value_ x = rnd_tame(r, rnd_any(r), 8);
    int axes[IR_RANK], n = 0, rank = x.n->shape.rank;
    double size = 1;
    for (int i = 0; i < rank; i++)
        if (rnd(r, 3) == 0 || (n == 0 && i == rank - 1)) {
            axes[n++] = i;
            size *= (double)x.n->shape.d[i];
        }
    rnd_put(r, ir_reduce(r->g, op, x.n, n, axes, rnd(r, 2)),
            op == IR_reduce_sum ? x.most * size : x.most);
}

static inline void rnd_matmul(random_ *r)
{
    if (rnd(r, 2)) {
        random_value_ x = rnd_tame(r, rnd_seq(r, false), 8);
        int64_t o = rnd_sequence(r).d[1], i = x.n->shape.d[1];
        ir_node *w = rnd_use(rnd_leaf(r, true, ir_s2(o, i)));
        rnd_put(r, ir_linear(r->g, w, x.n), x.most * (double)i);
        return;
    }
    random_value_ x = rnd_tame(r, rnd_any(r), 8);
    ir_shape s = x.n->shape, t = s;
    if (s.rank < 2) return;
    bool tx = rnd(r, 2), ty = rnd(r, 2);
    int64_t k = s.d[s.rank - (tx ? 2 : 1)], n = 1 + rnd(r, 16);
    t.d[s.rank - 2] = ty ? n : k;
    t.d[s.rank - 1] = ty ? k : n;
    random_value_ y = rnd_tame(r, rnd_leaf(r, rnd(r, 2), t), 1);
    rnd_put(r, ir_matmul(r->g, x.n, y.n, tx, ty), x.most * (double)k);
}

/* A sequence as an image where its columns allow, else one row. */
static inline void rnd_conv(random_ *r)
{
    random_value_ x = rnd_tame(r, rnd_seq(r, false), 8);
    ir_shape s = x.n->shape;
    int groups = s.d[1] % 2 == 0 && rnd(r, 2) ? 2 : 1;
    int stride[2] = {1, 1}, pad[4] = {0}, dilation[2] = {1, 1};
    int64_t k[2] = {1, 1};
    if (rnd(r, 2)) {
        bool image = s.d[3] % 4 == 0 && rnd(r, 2);
        if (image) x.n = ir_reshape(r->g, x.n, ir_s4(1, s.d[1], 4, s.d[3] / 4));
        for (int i = image ? 0 : 1; i < 2; i++) {
            k[i] = 1 + 2 * rnd(r, 2);
            pad[2 * i] = pad[2 * i + 1] = (int)k[i] / 2;
            stride[i] = 1 + (int)rnd(r, 2);
        }
    }
    ir_shape w = ir_s4(groups * (2 + rnd(r, 6)), s.d[1] / groups, k[0], k[1]);
    ir_node *y = ir_conv(r->g, x.n, rnd_use(rnd_leaf(r, true, w)), stride, pad, dilation,
                         groups);
    rnd_put(r, y, x.most * (double)(ir_count(w) / w.d[0]));
}

static inline void rnd_reshape(random_ *r)
{
    random_value_ *v = rnd_any(r);
    const ir_shape s = v->n->shape;
    ir_shape t = s;
    if (s.rank == 4 && s.d[1] % 2 == 0 && rnd(r, 2))
        t = rnd(r, 2) ? ir_s4(1, 2, s.d[1] / 2, ir_count(s) / s.d[1])
                      : (ir_shape){
                            5, {1, 2, s.d[1] / 2, s.d[2], ir_count(s) / s.d[1] / s.d[2]}};
    else t = ir_s4(1, s.d[s.rank - 1], 1, ir_count(s) / s.d[s.rank - 1]);
    rnd_put(r, ir_reshape(r->g, rnd_use(v), t), v->most);
}

static inline void rnd_transpose(random_ *r)
{
    random_value_ *v = rnd_any(r);
    int perm[IR_RANK], rank = v->n->shape.rank;
    for (int i = 0; i < rank; i++) perm[i] = i;
    for (int i = rank - 1; i > 0; i--) {
        int k = (int)rnd(r, i + 1), swap = perm[i];
        perm[i] = perm[k];
        perm[k] = swap;
    }
    rnd_put(r, ir_transpose(r->g, rnd_use(v), perm), v->most);
}

static inline void rnd_slice(random_ *r)
{
    random_value_ *v = rnd_any(r);
    int64_t begin[IR_RANK] = {0}, size[IR_RANK];
    for (int i = 0; i < v->n->shape.rank; i++) {
        int64_t d = v->n->shape.d[i];
        size[i] = rnd(r, 2) ? d : 1 + rnd(r, d);
        begin[i] = rnd(r, d - size[i] + 1);
    }
    rnd_put(r, ir_slice(r->g, rnd_use(v), begin, size), v->most);
}

static inline void rnd_concat(random_ *r)
{
    random_value_ *v = rnd_any(r);
    ir_node *in[3] = {rnd_use(v)};
    double most = v->most > 1 ? v->most : 1;
    int axis = (int)rnd(r, v->n->shape.rank), n = 2 + (int)rnd(r, 2);
    if (ir_count(v->n->shape) > RANDOM_SIZE / 4) return;
    ir_shape s = v->n->shape;
    for (int i = 1; i < n; i++) {
        s.d[axis] = 1 + rnd(r, 6);
        in[i] = rnd(r, 2) ? in[0] : rnd_use(rnd_leaf(r, false, s));
    }
    rnd_put(r, ir_concat(r->g, n, in, axis), most);
}

static inline void rnd_split(random_ *r)
{
    random_value_ *v = rnd_any(r);
    const ir_shape s = v->n->shape;
    int axis = (int)rnd(r, s.rank), parts = 1;
    for (int i = 0; i < s.rank && parts == 1; i++, axis = (axis + 1) % s.rank)
        for (int p = 4; p > 1 && parts == 1; p--)
            if (s.d[axis] % p == 0) parts = p;
    axis = (axis + s.rank - 1) % s.rank;
    if (s.d[axis] % parts) return;
    rnd_put(r, ir_split(r->g, rnd_use(v), axis, parts, (int)rnd(r, parts)), v->most);
}

static inline void rnd_tile(random_ *r)
{
    random_value_ *v = rnd_any(r);
    int64_t reps[IR_RANK], size = ir_count(v->n->shape);
    for (int i = 0; i < v->n->shape.rank; i++) {
        reps[i] = size <= RANDOM_SIZE / 8 && rnd(r, 2) ? 2 : 1;
        size *= reps[i];
    }
    rnd_put(r, ir_tile(r->g, rnd_use(v), reps), v->most);
}

static inline void rnd_cast(random_ *r)
{
    random_value_ *v = rnd_any(r);
    ir_node *wide = ir_cast(r->g, rnd_use(v), IR_FP32);
    rnd_put(r, ir_cast(r->g, wide, IR_FP16), v->most);
}

static inline void rnd_select(random_ *r)
{
    random_value_ a = rnd_tame(r, rnd_any(r), 64), b = rnd_partner(r, a.n->shape);
    ir_shape s = a.n->shape;
    if (rnd(r, 2)) s.d[rnd(r, s.rank)] = 1;
    ir_node *x = rnd_use(rnd_leaf(r, false, s));
    ir_node *c = ir_greater_equal(r->g, x, ir_scalar(r->g, (double)rnd(r, 3) / 4 - 0.25));
    rnd_put(r, ir_select(r->g, c, a.n, b.n), a.most + b.most);
}

static inline void rnd_norm(random_ *r, ir_op op)
{
    random_value_ x = rnd_tame(r, rnd_seq(r, false), 16);
    ir_shape s = ir_s4(1, x.n->shape.d[1], 1, 1);
    double c = sqrt((double)s.d[1]);
    if (op == IR_rms_scale) {
        rnd_put(r, ir_rms_scale(r->g, x.n, 1, 0.25), 2);
        return;
    }
    ir_node *w = rnd_use(rnd_leaf(r, true, s));
    if (op == IR_rms_norm) rnd_put(r, ir_rms_norm(r->g, x.n, w, 1, 0.0625), c);
    else
        rnd_put(r, ir_layer_norm(r->g, x.n, w, rnd_use(rnd_leaf(r, true, s)), 1, 0.0625),
                c + 1);
}

/* A sequence of exactly c channels: an old one if there is, else an input. */
static inline random_value_ rnd_channels(random_ *r, int64_t c)
{
    for (int i = 0; i < r->n; i++) {
        random_value_ *v = &r->pool[i];
        if (rnd_is_sequence(v->n) && v->n->shape.d[3] == r->t && v->n->shape.d[1] == c &&
            rnd(r, 2))
            return rnd_tame(r, v, 1);
    }
    return rnd_tame(r, rnd_leaf(r, false, ir_s4(1, c, 1, r->t)), 1);
}

static inline void rnd_rope(random_ *r)
{
    random_value_ *v = rnd_seq(r, true);
    int hd = v->n->shape.d[1] % 4 == 0 && rnd(r, 2) ? 4 : 2;
    if (v->n->shape.d[1] % hd) return;
    rnd_put(r,
            ir_rope(r->g, rnd_use(v), (int)v->n->shape.d[1] / hd, hd, r->batch, 100,
                    rnd(r, 2), rnd(r, 2)),
            2 * v->most);
}

static inline void rnd_attention(random_ *r)
{
    int kv = 1 + (int)rnd(r, 2), heads = kv * (1 + (int)rnd(r, 3)), hd = 2 << rnd(r, 2);
    random_value_ q = rnd_channels(r, heads * hd), k = rnd_channels(r, kv * hd);
    random_value_ v = rnd_channels(r, kv * hd);
    rnd_put(r, ir_attention(r->g, q.n, k.n, v.n, heads, kv, hd, r->batch, 1 / sqrt(hd)),
            1);
}

static inline void rnd_node(random_ *r)
{
    static const ir_op binary[] = {IR_add, IR_sub, IR_mul, IR_maximum, IR_minimum};
    static const ir_op unary[] = {IR_abs,  IR_exp,     IR_log,  IR_sqrt, IR_rsqrt,
                                  IR_tanh, IR_sigmoid, IR_relu, IR_silu, IR_gelu};
    static const ir_op reduce[] = {IR_reduce_sum, IR_reduce_mean, IR_reduce_max};
    static const ir_op norm[] = {IR_rms_norm, IR_rms_scale, IR_layer_norm};
    switch (rnd(r, 22)) {
    case 0:
    case 1:
    case 2:
        rnd_binary(r, binary[rnd(r, 5)]);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        rnd_unary(r, unary[rnd(r, 10)]);
        break;
    case 7:
        rnd_div(r);
        break;
    case 8:
        rnd_pow(r);
        break;
    case 9:
        rnd_softmax(r);
        break;
    case 10:
        rnd_reduce(r, reduce[rnd(r, 3)]);
        break;
    case 11:
        rnd_matmul(r);
        break;
    case 12:
        rnd_conv(r);
        break;
    case 13:
        rnd_reshape(r);
        break;
    case 14:
        rnd_transpose(r);
        break;
    case 15:
        rnd_slice(r);
        break;
    case 16:
        rnd(r, 2) ? rnd_concat(r) : rnd_split(r);
        break;
    case 17:
        rnd_tile(r);
        break;
    case 18:
        rnd_cast(r);
        break;
    case 19:
        rnd_select(r);
        break;
    case 20:
        rnd_norm(r, norm[rnd(r, 3)]);
        break;
    default:
        rnd(r, 2) ? rnd_attention(r) : rnd_rope(r);
        break;
    }
}

/* Values nobody reads become outputs, as sequences. */
static inline void rnd_outputs(random_ *r)
{
    int n = 0, end = r->n;
    for (int i = end - 1; i >= 0 && n < RANDOM_OUTPUTS; i--) {
        ir_node *y = r->pool[i].n;
        char name[16];
        if (r->pool[i].uses || r->pool[i].leaf) continue;
        int64_t c = y->shape.rank > 1 ? y->shape.d[1] : 1;
        if (!rnd_is_sequence(y))
            y = ir_reshape(r->g, y, ir_s4(1, c, 1, ir_count(y->shape) / c));
        snprintf(name, sizeof name, "out%d", n++);
        ir_output(r->g, name, y);
    }
}

/* NULL only when memory ran out (or the generator is wrong: see err_text). */
static inline ir_graph *random_graph(uint64_t seed)
{
    static const int64_t columns[] = {8, 16, 12, 6, 32, 10};
    random_ r = {.g = ir_new(), .seed = seed};
    if (!r.g) return NULL;
    r.t = columns[rnd(&r, 6)];
    r.batch = 1 + (int)rnd(&r, 2);
    rnd_leaf(&r, false, rnd_sequence(&r));
    int most = 5 + (int)rnd(&r, 20);
    while (r.g->n_nodes < most && r.n < RANDOM_POOL && ir_rc(r.g) == OK) {
        if (r.g->n_nodes > most / 2) ir_scope(r.g, "second", false);
        rnd_node(&r);
    }
    rnd_outputs(&r);
    if (ir_rc(r.g) == OK && r.g->n_outputs > 0) return r.g;
    if (ir_rc(r.g) == OK) { /* rare: nothing but leaves */
        ir_output(r.g, "out0", ir_unary(r.g, IR_relu, r.pool[0].n));
        return r.g;
    }
    ir_free(r.g);
    return NULL;
}

/* Multiples of 1/512 in [-1, 1], which fp16 holds exactly. bind has room for
 * all inputs and params. */
static inline bool random_values(const ir_graph *g, uint64_t seed, arena *mem,
                                 ir_binding *bind, int *n_bind)
{
    *n_bind = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        if (n->op != IR_input && n->op != IR_param) continue;
        int64_t count = ir_count(n->shape);
        double *v = arena_array(mem, (size_t)count, sizeof *v);
        if (!v) return false;
        for (int64_t k = 0; k < count; k++)
            v[k] = (double)rng_below(seed, rng_stream(n->name), (uint64_t)k, 1025) / 512 -
                   1;
        bind[(*n_bind)++] = (ir_binding){n->name, v};
    }
    return true;
}

/* The same graph with every computed value changed by a random factor
 * 1 +- 2^-11, the rounding of fp16: outputs then differ from the exact ones as
 * a device's may. The ground for the tolerance of a comparison. */
static inline ir_graph *random_noisy(const ir_graph *g, uint64_t seed)
{
    ir_graph *out = ir_new();
    ir_node **map = calloc((size_t)g->n_nodes, sizeof *map), *in[8];
    for (int i = 0; out && map && i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        int64_t count = ir_count(n->shape);
        for (int k = 0; k < n->n_in && k < 8; k++) in[k] = map[n->in[k]->id];
        if (n->op == IR_input) map[i] = ir_input(out, n->name, n->type, n->shape);
        else if (n->op == IR_param) map[i] = ir_param(out, n->name, n->shape);
        else if (n->op == IR_constant && n->uniform)
            map[i] = ir_fill(out, n->type, n->shape, n->data[0]);
        else if (n->op == IR_constant) map[i] = ir_const(out, n->type, n->shape, n->data);
        else map[i] = ir_make(out, n->op, n->n_in, in, n->type, n->shape, &n->attr);
        if (!n->n_in || n->type != IR_FP16) continue;
        double *v = malloc((size_t)count * sizeof *v);
        for (int64_t k = 0; v && k < count; k++)
            v[k] = 1 + (2 * rng_unit(seed, 100 + (uint64_t)i, (uint64_t)k) - 1) / 2048;
        if (v) map[i] = ir_mul(out, map[i], ir_const(out, IR_FP16, n->shape, v));
        free(v);
    }
    for (int i = 0; out && map && i < g->n_outputs; i++)
        ir_output(out, g->outputs[i].name, map[g->outputs[i].node->id]);
    free(map);
    return out;
}

/* Root mean square of what such noise does to output `name`, whose exact
 * values are `exact`; -1 if it cannot be computed. */
static inline double random_noise(const ir_graph *g, const char *name,
                                  const double *exact, int n_bind, const ir_binding *bind)
{
    double sum = 0, **v;
    int64_t count = ir_count(ir_find(g, name)->shape);
    enum { TRIALS = 3 };
    for (int trial = 0; trial < TRIALS; trial++) {
        ir_graph *noisy = random_noisy(g, (uint64_t)trial);
        arena *mem = arena_new();
        bool ok = noisy && mem && ir_eval(noisy, mem, n_bind, bind, &v) == OK;
        const double *y = ok ? v[ir_find(noisy, name)->id] : NULL;
        for (int64_t i = 0; ok && i < count; i++)
            sum += (y[i] - exact[i]) * (y[i] - exact[i]);
        arena_free(mem);
        ir_free(noisy);
        if (!ok) return -1;
    }
    return sqrt(sum / (double)(count * TRIALS));
}

/* Add the live nodes of each op to count[IR_OPS]. */
static inline void random_coverage(const ir_graph *g, int *count)
{
    char *live = calloc((size_t)g->n_nodes, 1);
    for (int i = 0; live && i < g->n_outputs; i++) live[g->outputs[i].node->id] = 1;
    for (int i = g->n_nodes - 1; live && i >= 0; i--) {
        if (!live[i]) continue;
        count[g->nodes[i]->op]++;
        for (int k = 0; k < g->nodes[i]->n_in; k++) live[g->nodes[i]->in[k]->id] = 1;
    }
    free(live);
}

#endif
