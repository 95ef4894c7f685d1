/* blocks.c - the parts of a layer that need no position: projections, norms,
 * the feed-forward block, embedding and classifier.
 *
 * Norm weights are stored [C] as in public files and viewed as [1,C,1,1],
 * where they broadcast over columns. */
#include "model/blocks.h"
#include <stdio.h>

void blocks_outside(blocks *b, const char *scope)
{
    b->layer = -1;
    ir_scope(b->g, scope, false);
}

void blocks_layer(blocks *b, int layer)
{
    char scope[32];
    b->layer = layer;
    snprintf(scope, sizeof scope, "layer.%d", layer);
    ir_scope(b->g, scope, false);
}

static ir_node *param(blocks *b, const char *name, int64_t rows, int64_t cols)
{
    char full[96];
    if (b->layer >= 0)
        snprintf(full, sizeof full, "model.layers.%d.%s.weight", b->layer, name);
    else snprintf(full, sizeof full, "%s.weight", name);
    return ir_param(b->g, full, rows ? ir_s2(rows, cols) : ir_s1(cols));
}

ir_node *blocks_embed(blocks *b, ir_node *ids)
{
    b->table = param(b, "model.embed_tokens", b->c->vocab, b->c->dim);
    return ir_embedding(b->g, b->table, ids);
}

ir_node *blocks_linear(blocks *b, const char *name, int64_t out, int64_t in, ir_node *x)
{
    return ir_linear(b->g, param(b, name, out, in), x);
}

ir_node *blocks_norm(blocks *b, const char *name, ir_node *x)
{
    ir_node *w = param(b, name, 0, b->c->dim);
    w = ir_reshape(b->g, w, ir_s4(1, b->c->dim, 1, 1));
    return ir_rms_norm(b->g, x, w, 1, b->c->norm_eps);
}

/* Qwen3: each head normalised over its hd channels. */
static ir_node *head_norm(blocks *b, const char *name, int heads, ir_node *x)
{
    int64_t hd = b->c->head_dim;
    ir_node *w = param(b, name, 0, hd);
    w = ir_reshape(b->g, w, ir_s4(1, 1, hd, 1));
    x = ir_reshape(b->g, x, ir_s4(1, heads, hd, b->columns));
    x = ir_rms_norm(b->g, x, w, 2, b->c->norm_eps);
    return ir_reshape(b->g, x, ir_s4(1, heads * hd, 1, b->columns));
}

ir_node *blocks_heads(blocks *b, const char *proj, const char *norm, int heads,
                      ir_node *h)
{
    ir_node *x = blocks_linear(b, proj, (int64_t)heads * b->c->head_dim, b->c->dim, h);
    return b->c->qk_norm ? head_norm(b, norm, heads, x) : x;
}

ir_node *blocks_feed_forward(blocks *b, ir_node *x)
{
    const model_config *c = b->c;
    ir_node *h = blocks_norm(b, "post_attention_layernorm", x);
    ir_node *gate = blocks_linear(b, "mlp.gate_proj", c->hidden, c->dim, h);
    ir_node *up = blocks_linear(b, "mlp.up_proj", c->hidden, c->dim, h);
    h = ir_mul(b->g, ir_unary(b->g, IR_silu, gate), up);
    return ir_add(b->g, x, blocks_linear(b, "mlp.down_proj", c->dim, c->hidden, h));
}

ir_node *blocks_head(blocks *b, ir_node *x)
{
    x = blocks_norm(b, "model.norm", x);
    if (b->c->tied) return ir_linear(b->g, b->table, x);
    return blocks_linear(b, "lm_head", b->c->vocab, b->c->dim, x);
}
