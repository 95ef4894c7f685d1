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
 * The forward op and the gradient both expand through here, so after
 * ir_simplify the backward pass reads the forward pass's probabilities. */
#include "ir/table.h"

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

/* [1, 1, r*S, S]: row j*S + i sees columns 0..i. One node a graph and size. */
static ir_node *causal_mask(ir_graph *g, ir_type t, int64_t r, int64_t s)
{
    const int64_t key[] = {r, s, (int64_t)t};
    uint64_t hash = XXH3_64bits(key, sizeof key);
    ir_table *masks = &g->memory->masks;
    ir_node *known;
    for (size_t at = 0; (known = ir_table_next(masks, hash, &at));)
        if (known->type == t && known->shape.d[2] == r * s && known->shape.d[3] == s)
            return known;
    double *v = mem_take(mem_mul(mem_mul((size_t)(r * s), (size_t)s), sizeof *v));
    if (!v) return ir_give_up(g, E_MEMORY);
    for (int64_t i = 0; i < r * s; i++)
        for (int64_t j = i % s + 1; j < s; j++) v[i * s + j] = MASKED;
    known = ir_const(g, t, ir_s4(1, 1, r * s, s), v);
    mem_drop(v);
    if (!known) return NULL;
    if (ir_table_put(masks, g->mem, hash, known) != OK) return ir_give_up(g, E_MEMORY);
    return known;
}

bool ir_attention_heads(ir_graph *g, ir_node *q, ir_node *k, ir_node *v, const ir_attr *a,
                        ir_heads *out)
{
    ir_node *in[] = {q, k, v};
    ir_draft d = {.op = IR_attention, .n_in = 3, .in = in, .attr = *a};
    if (g->failed != OK || !q || !k || !v) return false;
    rc failed = ir_draft_check(&d);
    if (failed != OK) {
        ir_give_up(g, failed);
        return false;
    }
    int64_t s = q->shape.d[3] / a->batch, r = a->heads / a->kv_heads;
    ir_node *scale = ir_fill(g, q->type, ir_s1(1), a->scale);
    out->q = ir_to_heads(g, ir_mul(g, q, scale), a, a->heads);
    out->k = ir_to_heads(g, k, a, a->kv_heads);
    out->v = ir_to_heads(g, v, a, a->kv_heads);
    ir_node *scores = ir_matmul(g, out->q, out->k, true, false);
    scores = ir_add(g, scores, causal_mask(g, q->type, r, s));
    out->probs = ir_softmax(g, scores, 3);
    out->out = ir_matmul(g, out->v, out->probs, false, true);
    return out->out != NULL;
}

ir_node *ir_attention_parts(ir_graph *g, ir_node *q, ir_node *k, ir_node *v,
                            const ir_attr *a, ir_node **probs)
{
    ir_heads h;
    if (!ir_attention_heads(g, q, k, v, a, &h)) return NULL;
    if (probs) *probs = h.probs;
    return ir_from_heads(g, h.out, a, a->heads);
}
