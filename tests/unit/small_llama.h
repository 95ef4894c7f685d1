/* small_llama.h - a Llama of any size as a graph, written out op by op, for
 * tests of planner and exec. Norm weights are far from 1 in fill(). */
#ifndef SMALL_LLAMA_H
#define SMALL_LLAMA_H

#include "base/rng.h"
#include "ir/ir.h"
#include "test.h"

typedef struct {
    int layers, dim, hidden, heads, kv_heads, head_dim, vocab, batch, seq;
    bool tied, interleaved, grads;
} llama_shape;

enum { LLAMA_PARAMS = 256 };
typedef struct {
    ir_graph *g;
    llama_shape s;
    int n;
    ir_node *param[LLAMA_PARAMS];
} llama;

static inline ir_node *llama_param(llama *m, ir_shape s, const char *fmt, int layer)
{
    char name[64];
    snprintf(name, sizeof name, fmt, layer);
    return m->param[m->n++] = ir_param(m->g, name, s);
}

static inline ir_node *llama_norm(llama *m, ir_node *x, const char *fmt, int layer)
{
    ir_node *w = llama_param(m, ir_s1(m->s.dim), fmt, layer);
    return ir_rms_norm(m->g, x, ir_reshape(m->g, w, ir_s4(1, m->s.dim, 1, 1)), 1, 1e-5);
}

static inline ir_node *llama_layer(llama *m, ir_node *x, int i)
{
    ir_graph *g = m->g;
    llama_shape s = m->s;
    int q_dim = s.heads * s.head_dim, kv_dim = s.kv_heads * s.head_dim;
    ir_node *n = llama_norm(m, x, "layers.%d.norm1", i);
    ir_node *q = ir_linear(g, llama_param(m, ir_s2(q_dim, s.dim), "layers.%d.q", i), n);
    ir_node *k = ir_linear(g, llama_param(m, ir_s2(kv_dim, s.dim), "layers.%d.k", i), n);
    ir_node *v = ir_linear(g, llama_param(m, ir_s2(kv_dim, s.dim), "layers.%d.v", i), n);
    q = ir_rope(g, q, s.heads, s.head_dim, s.batch, 10000, s.interleaved, false);
    k = ir_rope(g, k, s.kv_heads, s.head_dim, s.batch, 10000, s.interleaved, false);
    ir_node *a = ir_attention(g, q, k, v, s.heads, s.kv_heads, s.head_dim, s.batch,
                              1 / sqrt((double)s.head_dim));
    x = ir_add(g, x,
               ir_linear(g, llama_param(m, ir_s2(s.dim, q_dim), "layers.%d.o", i), a));
    n = llama_norm(m, x, "layers.%d.norm2", i);
    ir_node *gate = ir_linear(
        g, llama_param(m, ir_s2(s.hidden, s.dim), "layers.%d.gate", i), n);
    ir_node *up = ir_linear(g, llama_param(m, ir_s2(s.hidden, s.dim), "layers.%d.up", i),
                            n);
    ir_node *h = ir_mul(g, ir_unary(g, IR_silu, gate), up);
    return ir_add(
        g, x,
        ir_linear(g, llama_param(m, ir_s2(s.dim, s.hidden), "layers.%d.down", i), h));
}

static inline llama llama_new(llama_shape s)
{
    llama m = {.g = ir_new(), .s = s};
    ir_graph *g = m.g;
    ir_node *grad[LLAMA_PARAMS];
    char scope[32];
    ir_node *ids = ir_input(g, "ids", IR_INT32, ir_s1(s.batch * s.seq));
    ir_scope(g, "embed", false);
    ir_node *table = llama_param(&m, ir_s2(s.vocab, s.dim), "embed", 0);
    ir_node *x = ir_embedding(g, table, ids);
    for (int i = 0; i < s.layers; i++) {
        snprintf(scope, sizeof scope, "layer.%d", i);
        ir_scope(g, scope, false);
        x = llama_layer(&m, x, i);
    }
    ir_scope(g, "head", false);
    x = llama_norm(&m, x, "norm", 0);
    ir_node *w = s.tied ? table : llama_param(&m, ir_s2(s.vocab, s.dim), "head", 0);
    ir_node *logits = ir_linear(g, w, x);
    if (!s.grads) {
        ir_output(g, "logits", logits);
        assert_ok(ir_rc(g));
        return m;
    }
    ir_node *targets = ir_input(g, "targets", IR_INT32, ir_s1(s.batch * s.seq));
    ir_node *loss = ir_cross_entropy(g, logits, targets);
    ir_output(g, "loss", loss);
    ir_node *seed = ir_input(g, "loss_scale", IR_FP32, ir_s1(1));
    assert_ok(ir_grad(g, loss, seed, m.n, m.param, grad));
    for (int i = 0; i < m.n; i++) {
        char name[80];
        assert_non_null(grad[i]);
        snprintf(name, sizeof name, "grad:%s", m.param[i]->name);
        ir_output(g, name, grad[i]);
    }
    assert_ok(ir_rc(g));
    return m;
}

/* Weights of param i: 1/sqrt(inputs) for matrices, 0.5 to 2 for norms; the
 * values are exact in fp16, so that staging changes nothing. */
static inline float *llama_fill(const llama *m, int i)
{
    ir_shape s = m->param[i]->shape;
    size_t n = (size_t)ir_count(s);
    float *v = malloc(n * sizeof *v);
    for (size_t k = 0; k < n; k++) {
        double r = s.rank == 1 ? 0.5 + 1.5 * rng_unit(7, (uint64_t)i, k)
                               : rng_normal(7, (uint64_t)i, k) / sqrt((double)s.d[1]);
        v[k] = half_to_float(half_from_double(r));
    }
    return v;
}

#endif
