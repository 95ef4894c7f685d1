/* graph.c - the Llama family as a graph.
 *
 *   x = table[ids]                                       embed
 *   for each layer:                                      layer.N
 *     h = rms_norm(x) ; q,k,v = Wq h, Wk h, Wv h
 *     q,k = rope(norm?(q)), rope(norm?(k))               (norm: Qwen3)
 *     x = x + Wo attention(q, k, v)
 *     h = rms_norm(x)
 *     x = x + Wdown (silu(Wgate h) * Wup h)
 *   logits = Whead rms_norm(x) ; loss = cross_entropy    head
 *
 * Values are channel-first, [1, C, 1, batch*seq]. Norm weights are stored [C]
 * as in public files and viewed as [1,C,1,1], where they broadcast.
 * Sources: Touvron et al., "LLaMA", 2023; "Qwen3 Technical Report", 2025 (norm
 * of each query and key head over its own channels, before the rotation). */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "model/model.h"

typedef struct {
    ir_graph *g;
    const model_config *c;
    int batch, seq, layer;
} builder;

static ir_node *param(builder *b, const char *name, int64_t rows, int64_t cols)
{
    char full[96];
    if (b->layer >= 0)
        snprintf(full, sizeof full, "model.layers.%d.%s.weight", b->layer, name);
    else snprintf(full, sizeof full, "%s.weight", name);
    return ir_param(b->g, full, rows ? ir_s2(rows, cols) : ir_s1(cols));
}

static ir_node *linear(builder *b, const char *name, int64_t out, int64_t in, ir_node *x)
{
    return ir_linear(b->g, param(b, name, out, in), x);
}

/* x [1,D,1,T], normalised over its channels */
static ir_node *norm(builder *b, const char *name, ir_node *x)
{
    ir_node *w = param(b, name, 0, b->c->dim);
    w = ir_reshape(b->g, w, ir_s4(1, b->c->dim, 1, 1));
    return ir_rms_norm(b->g, x, w, 1, b->c->norm_eps);
}

/* x [1,heads*hd,1,T], each head normalised over its hd channels */
static ir_node *head_norm(builder *b, const char *name, int heads, ir_node *x)
{
    int64_t hd = b->c->head_dim, t = (int64_t)b->batch * b->seq;
    ir_node *w = param(b, name, 0, hd);
    w = ir_reshape(b->g, w, ir_s4(1, 1, hd, 1));
    x = ir_reshape(b->g, x, ir_s4(1, heads, hd, t));
    x = ir_rms_norm(b->g, x, w, 2, b->c->norm_eps);
    return ir_reshape(b->g, x, ir_s4(1, heads * hd, 1, t));
}

/* Queries or keys: project, normalise (Qwen3), rotate. */
static ir_node *rotated(builder *b, const char *proj, const char *head, int heads,
                        ir_node *h)
{
    const model_config *c = b->c;
    ir_node *x = linear(b, proj, (int64_t)heads * c->head_dim, c->dim, h);
    if (c->qk_norm) x = head_norm(b, head, heads, x);
    return ir_rope(b->g, x, heads, c->head_dim, b->batch, c->rope_theta,
                   c->rope_interleaved, false);
}

static ir_node *attention(builder *b, ir_node *x)
{
    const model_config *c = b->c;
    ir_node *h = norm(b, "input_layernorm", x);
    ir_node *q = rotated(b, "self_attn.q_proj", "self_attn.q_norm", c->heads, h);
    ir_node *k = rotated(b, "self_attn.k_proj", "self_attn.k_norm", c->kv_heads, h);
    ir_node *v = linear(b, "self_attn.v_proj", (int64_t)c->kv_heads * c->head_dim, c->dim,
                        h);
    ir_node *a = ir_attention(b->g, q, k, v, c->heads, c->kv_heads, c->head_dim, b->batch,
                              1 / sqrt((double)c->head_dim));
    ir_node *o = linear(b, "self_attn.o_proj", c->dim, (int64_t)c->heads * c->head_dim,
                        a);
    return ir_add(b->g, x, o);
}

static ir_node *feed_forward(builder *b, ir_node *x)
{
    const model_config *c = b->c;
    ir_node *h = norm(b, "post_attention_layernorm", x);
    ir_node *gate = linear(b, "mlp.gate_proj", c->hidden, c->dim, h);
    ir_node *up = linear(b, "mlp.up_proj", c->hidden, c->dim, h);
    h = ir_mul(b->g, ir_unary(b->g, IR_silu, gate), up);
    return ir_add(b->g, x, linear(b, "mlp.down_proj", c->dim, c->hidden, h));
}

/* ids -> logits [1,V,1,T] */
static ir_node *forward(builder *b)
{
    const model_config *c = b->c;
    int64_t t = (int64_t)b->batch * b->seq;
    char scope[32];
    b->layer = -1;
    ir_scope(b->g, "embed", false);
    ir_node *ids = ir_input(b->g, "ids", IR_INT32, ir_s1(t));
    ir_node *table = param(b, "model.embed_tokens", c->vocab, c->dim);
    ir_node *x = ir_embedding(b->g, table, ids);
    for (int i = 0; i < c->layers; i++) {
        b->layer = i;
        snprintf(scope, sizeof scope, "layer.%d", i);
        ir_scope(b->g, scope, false);
        x = feed_forward(b, attention(b, x));
    }
    b->layer = -1;
    ir_scope(b->g, "head", false);
    x = norm(b, "model.norm", x);
    if (c->tied) return ir_linear(b->g, table, x);
    return linear(b, "lm_head", c->vocab, c->dim, x);
}

/* Outputs "grad:PARAM" for every param. The loss is scaled at its seed, so
 * that small gradients stay above the smallest half float on the way down. */
static rc add_gradients(ir_graph *g, ir_node *loss)
{
    ir_node *scale = ir_input(g, "loss_scale", IR_FP32, ir_s1(1));
    TRY(ir_rc(g));
    arena *mem = arena_new();
    if (!mem) return E_MEMORY;
    int n = 0;
    ir_node **wrt = arena_array(mem, (size_t)g->n_nodes, sizeof *wrt);
    ir_node **grad = arena_array(mem, (size_t)g->n_nodes, sizeof *grad);
    rc r = wrt && grad ? OK : E_MEMORY;
    for (int i = 0; r == OK && i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_param) wrt[n++] = g->nodes[i];
    if (r == OK) r = ir_grad(g, loss, scale, n, wrt, grad);
    for (int i = 0; r == OK && i < n; i++) {
        const char *name = arena_printf(mem, "grad:%s", wrt[i]->name);
        if (!name) r = E_MEMORY;
        else if (grad[i]) ir_output(g, name, grad[i]);
    }
    arena_free(mem);
    return r;
}

static rc build(builder *b, model_form form)
{
    ir_node *logits = forward(b);
    if (form == MODEL_LOGITS) {
        ir_output(b->g, "logits", logits);
        return ir_rc(b->g);
    }
    ir_node *targets = ir_input(b->g, "targets", IR_INT32,
                                ir_s1((int64_t)b->batch * b->seq));
    ir_node *loss = ir_cross_entropy(b->g, logits, targets);
    ir_output(b->g, "loss", loss);
    if (form == MODEL_GRAD) TRY(add_gradients(b->g, loss));
    return ir_rc(b->g);
}

rc model_graph(const model_config *c, model_form form, int batch, int seq, ir_graph **out)
{
    model_config finished = *c;
    TRY(model_config_finish(&finished));
    if (batch < 1 || seq < 1)
        return err_fail(E_CONFIG, "wanted a batch of at least 1 x 1, had %d x %d", batch,
                        seq);
    builder b = {.g = ir_new(), .c = &finished, .batch = batch, .seq = seq};
    if (!b.g) return E_MEMORY;
    rc r = build(&b, form);
    if (r != OK) {
        ir_free(b.g);
        return err_while(r, "building the graph of the model");
    }
    *out = b.g;
    return OK;
}
