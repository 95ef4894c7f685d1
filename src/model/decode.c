/* decode.c - the next columns of one sequence, given the keys and values of
 * those before: what generation runs for each token.
 *
 * The keys of a layer lie in one value of `window` columns, K [1,kv*hd,1,W],
 * of which the caller has filled some; V alike. The step's own keys k
 * [kv*hd, columns] are put in their places by a product with a selection
 * matrix, place [columns, W], whose row for column j has a one where the
 * caller wants token j: each element of the result is one product and zeros,
 * so nothing is rounded. Places not yet filled must hold zeros in K and V.
 *
 *   K' = K + k place ; V' = V + v place
 *   scores = q K' / sqrt(hd) + mask ; out = V' softmax(scores)
 *
 * Positions come as cos and sin, so that a token may stand anywhere; the mask
 * (0 or a large negative number) says which places each column may see. Both
 * are inputs shared by all layers. Query heads that share a key head are put
 * side by side: their scores are one product. */
#include <math.h>
#include <stdio.h>
#include "model/blocks.h"

typedef struct {
    blocks b;
    int64_t window;
    ir_node *cosine, *sine, *place, *mask;
} decoder;

/* x * cos + partner(x) * sin, x [1,heads*hd,1,columns]. The partner of a
 * channel is the other one of its pair; its sign is in the sine. */
static ir_node *turn(decoder *d, int heads, ir_node *x)
{
    ir_graph *g = d->b.g;
    int64_t n = heads, hd = d->b.c->head_dim, t = d->b.columns;
    ir_shape by_head = ir_s4(1, n, hd, t), out = ir_s4(1, n * hd, 1, t);
    ir_shape pairs = d->b.c->rope_interleaved ? ir_s4(1, n * hd / 2, 2, t) : by_head;
    int64_t half = pairs.d[2] / 2, size[4] = {1, pairs.d[1], half, t};
    const int64_t low[4] = {0}, high[4] = {0, 0, half, 0};
    ir_node *p = ir_reshape(g, x, pairs);
    ir_node *swapped[] = {ir_slice(g, p, high, size), ir_slice(g, p, low, size)};
    ir_node *partner = ir_reshape(g, ir_concat(g, 2, swapped, 2), by_head);
    x = ir_mul(g, ir_reshape(g, x, by_head), d->cosine);
    return ir_reshape(g, ir_add(g, x, ir_mul(g, partner, d->sine)), out);
}

/* Name it for the caller's cache, and put it in its places of the old. */
static ir_node *remember(decoder *d, const char *what, ir_node *x)
{
    ir_graph *g = d->b.g;
    int64_t rows = (int64_t)d->b.c->kv_heads * d->b.c->head_dim;
    char name[48];
    snprintf(name, sizeof name, "%s.%d.new", what, d->b.layer);
    ir_output(g, name, x);
    snprintf(name, sizeof name, "%s.%d", what, d->b.layer);
    ir_node *old = ir_input(g, name, IR_FP16, ir_s4(1, rows, 1, d->window));
    x = ir_reshape(g, x, ir_s4(1, 1, rows, d->b.columns));
    x = ir_reshape(g, ir_matmul(g, x, d->place, false, false),
                   ir_s4(1, rows, 1, d->window));
    return ir_reshape(g, ir_add(g, old, x),
                      ir_s4(1, d->b.c->kv_heads, d->b.c->head_dim, d->window));
}

/* q [1,heads*hd,1,columns], keys and values [1,kv,hd,window] */
static ir_node *attend(decoder *d, ir_node *q, ir_node *keys, ir_node *values)
{
    static const int perm[] = {0, 1, 3, 2};
    ir_graph *g = d->b.g;
    const model_config *c = d->b.c;
    int64_t hd = c->head_dim, kv = c->kv_heads, share = c->heads / kv, t = d->b.columns;
    ir_shape heads = ir_s4(1, c->heads, hd, t), turned = ir_s4(1, c->heads, t, hd);
    q = ir_transpose(g, ir_reshape(g, q, heads), perm);
    q = ir_reshape(g, q, ir_s4(1, kv, share * t, hd));
    q = ir_mul(g, q, ir_scalar(g, 1 / sqrt((double)hd)));
    ir_node *scores = ir_add(g, ir_matmul(g, q, keys, false, false), d->mask);
    ir_node *out = ir_matmul(g, ir_softmax(g, scores, 3), values, false, true);
    out = ir_transpose(g, ir_reshape(g, out, turned), perm);
    return ir_reshape(g, out, ir_s4(1, c->heads * hd, 1, t));
}

static ir_node *attention(decoder *d, ir_node *x)
{
    blocks *b = &d->b;
    const model_config *c = b->c;
    int64_t q_rows = (int64_t)c->heads * c->head_dim;
    ir_node *h = blocks_norm(b, "input_layernorm", x);
    ir_node *q = blocks_heads(b, "self_attn.q_proj", "self_attn.q_norm", c->heads, h);
    ir_node *k = blocks_heads(b, "self_attn.k_proj", "self_attn.k_norm", c->kv_heads, h);
    ir_node *v = blocks_linear(b, "self_attn.v_proj", (int64_t)c->kv_heads * c->head_dim,
                               c->dim, h);
    ir_node *keys = remember(d, "keys", turn(d, c->kv_heads, k));
    ir_node *values = remember(d, "values", v);
    ir_node *a = attend(d, turn(d, c->heads, q), keys, values);
    return ir_add(b->g, x, blocks_linear(b, "self_attn.o_proj", c->dim, q_rows, a));
}

static rc build(decoder *d)
{
    blocks *b = &d->b;
    ir_graph *g = b->g;
    int64_t t = b->columns, share = b->c->heads / b->c->kv_heads;
    blocks_outside(b, "embed");
    ir_node *ids = ir_input(g, "ids", IR_INT32, ir_s1(t));
    d->cosine = ir_input(g, "cosine", IR_FP16, ir_s4(1, 1, b->c->head_dim, t));
    d->sine = ir_input(g, "sine", IR_FP16, ir_s4(1, 1, b->c->head_dim, t));
    d->place = ir_input(g, "place", IR_FP16, ir_s4(1, 1, t, d->window));
    d->mask = ir_input(g, "mask", IR_FP16, ir_s4(1, 1, share * t, d->window));
    ir_node *x = blocks_embed(b, ids);
    for (int i = 0; i < b->c->layers; i++) {
        blocks_layer(b, i);
        x = blocks_feed_forward(b, attention(d, x));
    }
    blocks_outside(b, "head");
    ir_output(g, "logits", blocks_head(b, x));
    return ir_rc(g);
}

rc model_decode_graph(const model_config *c, int columns, int window, ir_graph **out)
{
    model_config finished = *c;
    TRY(model_config_finish(&finished));
    if (columns < 1 || window < columns)
        return err_fail(E_CONFIG, "wanted at least 1 column in its window, had %d of %d",
                        columns, window);
    decoder d = {.b = {.g = ir_new(), .c = &finished, .columns = columns},
                 .window = window};
    if (!d.b.g) return E_MEMORY;
    rc r = build(&d);
    if (r != OK) {
        ir_free(d.b.g);
        return err_while(r, "building the graph that continues a sequence");
    }
    *out = d.b.g;
    return OK;
}

void model_rotary(const model_config *c, int64_t position, double *cosine, double *sine)
{
    int hd = c->head_dim;
    for (int i = 0; i < hd; i++) {
        int pair = c->rope_interleaved ? i / 2 : i % (hd / 2);
        bool second = c->rope_interleaved ? i % 2 : i >= hd / 2;
        double angle = (double)position * pow(c->rope_theta, -2.0 * pair / hd);
        cosine[i] = cos(angle);
        sine[i] = second ? sin(angle) : -sin(angle);
    }
}
