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
 * Values are channel-first, [1, C, 1, batch*seq].
 * Sources: Touvron et al., "LLaMA", 2023; "Qwen3 Technical Report", 2025 (norm
 * of each query and key head over its own channels, before the rotation). */
#include <math.h>
#include "model/blocks.h"

static ir_node *rotated(blocks *b, int batch, const char *proj, const char *norm,
                        int heads, ir_node *h)
{
    const model_config *c = b->c;
    ir_node *x = blocks_heads(b, proj, norm, heads, h);
    return ir_rope(b->g, x, heads, c->head_dim, batch, c->rope_theta, c->rope_interleaved,
                   false);
}

static ir_node *attention(blocks *b, int batch, ir_node *x)
{
    const model_config *c = b->c;
    int64_t q_rows = (int64_t)c->heads * c->head_dim;
    ir_node *h = blocks_norm(b, "input_layernorm", x);
    ir_node *q = rotated(b, batch, "self_attn.q_proj", "self_attn.q_norm", c->heads, h);
    ir_node *k = rotated(b, batch, "self_attn.k_proj", "self_attn.k_norm", c->kv_heads,
                         h);
    ir_node *v = blocks_linear(b, "self_attn.v_proj", (int64_t)c->kv_heads * c->head_dim,
                               c->dim, h);
    ir_node *a = ir_attention(b->g, q, k, v, c->heads, c->kv_heads, c->head_dim, batch,
                              1 / sqrt((double)c->head_dim));
    return ir_add(b->g, x, blocks_linear(b, "self_attn.o_proj", c->dim, q_rows, a));
}

static ir_node *layers(blocks *b, int batch, ir_node *x)
{
    for (int i = 0; i < b->c->layers; i++) {
        blocks_layer(b, i);
        x = blocks_feed_forward(b, attention(b, batch, x));
    }
    return x;
}

/* ids -> logits [1,V,1,T] */
static ir_node *forward(blocks *b, int batch)
{
    blocks_outside(b, "embed");
    ir_node *x = blocks_embed(b, ir_input(b->g, "ids", IR_INT32, ir_s1(b->columns)));
    x = layers(b, batch, x);
    blocks_outside(b, "head");
    return blocks_head(b, x);
}

/* Outputs "grad:PARAM" for every param, and "dx" for `x` if given: the slopes of
 * sum(y * seed). */
static rc add_gradients(ir_graph *g, ir_node *y, ir_node *seed, const ir_node *x)
{
    TRY(ir_rc(g));
    arena *mem = arena_new();
    if (!mem) return E_MEMORY;
    int n = 0;
    ir_node **wrt = arena_array(mem, (size_t)g->n_nodes, sizeof *wrt);
    ir_node **grad = arena_array(mem, (size_t)g->n_nodes, sizeof *grad);
    rc r = wrt && grad ? OK : E_MEMORY;
    for (int i = 0; r == OK && i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_param || g->nodes[i] == x) wrt[n++] = g->nodes[i];
    if (r == OK) r = ir_grad(g, y, seed, n, wrt, grad);
    for (int i = 0; r == OK && i < n; i++) {
        const char *name = wrt[i] == x ? "dx"
                                       : arena_printf(mem, "grad:%s", wrt[i]->name);
        if (!name) r = E_MEMORY;
        else if (grad[i]) ir_output(g, name, grad[i]);
    }
    arena_free(mem);
    return r;
}

static rc build_layers(blocks *b, int batch)
{
    ir_shape s = ir_s4(1, b->c->dim, 1, b->columns);
    ir_node *x = ir_input(b->g, "x", IR_FP16, s);
    ir_node *y = layers(b, batch, x), *dy = ir_input(b->g, "dy", IR_FP16, s);
    ir_output(b->g, "y", y);
    return add_gradients(b->g, y, dy, x);
}

static rc build(blocks *b, int batch, model_form form)
{
    if (form == MODEL_LAYERS) return build_layers(b, batch);
    ir_node *logits = forward(b, batch);
    if (form == MODEL_LOGITS) {
        ir_output(b->g, "logits", logits);
        return ir_rc(b->g);
    }
    ir_node *targets = ir_input(b->g, "targets", IR_INT32, ir_s1(b->columns));
    ir_node *loss = ir_cross_entropy(b->g, logits, targets);
    ir_output(b->g, "loss", loss);
    if (form == MODEL_LOSS) return ir_rc(b->g);
    /* Scaled at its seed, so that small gradients stay above the smallest half
     * float on the way down. */
    ir_node *scale = ir_input(b->g, "loss_scale", IR_FP32, ir_s1(1));
    return add_gradients(b->g, loss, scale, NULL);
}

rc model_graph(const model_config *c, model_form form, int batch, int seq, ir_graph **out)
{
    model_config finished = *c;
    TRY(model_config_finish(&finished));
    if (batch < 1 || seq < 1)
        return err_fail(E_CONFIG, "wanted a batch of at least 1 x 1, had %d x %d", batch,
                        seq);
    blocks b = {.g = ir_new(), .c = &finished, .columns = (int64_t)batch * seq};
    if (!b.g) return E_MEMORY;
    rc r = build(&b, batch, form);
    if (r != OK) {
        ir_free(b.g);
        return err_while(r, "building the graph of the model");
    }
    *out = b.g;
    return OK;
}
