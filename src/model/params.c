/* params.c - a model's weights: one flat fp32 array, and a row per tensor that
 * says its public name, shape and place.
 *
 * Offsets are padded to 16 floats (one cache line), so that tensors can be
 * updated by different threads. The padding is zero and stays zero: it has no
 * gradient. The order of the rows is the order of use in the forward pass. */
#include <math.h>
#include <string.h>
#include "base/rng.h"
#include "model/model.h"

enum { PAD = 16, PER_LAYER = 11, MODEL_WIDE = 3 };

static void add(model *m, const char *name, int64_t rows, int64_t cols)
{
    model_param *p = &m->params[m->n_params++];
    p->name = name;
    p->rank = rows ? 2 : 1;
    p->shape[0] = rows ? rows : cols;
    p->shape[1] = rows ? cols : 0;
    p->count = (size_t)(rows ? rows * cols : cols);
    p->offset = m->n_floats;
    p->decay = rows != 0; /* matrices shrink; norm weights must not */
    m->n_floats += (p->count + PAD - 1) / PAD * PAD;
}

static void add_in(model *m, int layer, const char *name, int64_t rows, int64_t cols)
{
    const char *full = arena_printf(m->mem, "model.layers.%d.%s.weight", layer, name);
    add(m, full, rows, cols);
}

static void add_layer(model *m, int i)
{
    const model_config *c = &m->config;
    int q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    add_in(m, i, "input_layernorm", 0, c->dim);
    add_in(m, i, "self_attn.q_proj", q, c->dim);
    add_in(m, i, "self_attn.k_proj", kv, c->dim);
    add_in(m, i, "self_attn.v_proj", kv, c->dim);
    add_in(m, i, "self_attn.o_proj", c->dim, q);
    if (c->qk_norm) {
        add_in(m, i, "self_attn.q_norm", 0, c->head_dim);
        add_in(m, i, "self_attn.k_norm", 0, c->head_dim);
    }
    add_in(m, i, "post_attention_layernorm", 0, c->dim);
    add_in(m, i, "mlp.gate_proj", c->hidden, c->dim);
    add_in(m, i, "mlp.up_proj", c->hidden, c->dim);
    add_in(m, i, "mlp.down_proj", c->dim, c->hidden);
}

rc model_new_bare(const model_config *c, model **out)
{
    model_config finished = *c;
    TRY(model_config_finish(&finished));
    arena *mem = arena_new();
    if (!mem) return E_MEMORY;
    model *m = arena_take(mem, sizeof *m);
    size_t rows = (size_t)finished.layers * PER_LAYER + MODEL_WIDE;
    if (!m || !(m->params = arena_array(mem, rows, sizeof *m->params))) {
        arena_free(mem);
        return E_MEMORY;
    }
    m->mem = mem;
    m->config = finished;
    add(m, "model.embed_tokens.weight", finished.vocab, finished.dim);
    for (int i = 0; i < finished.layers; i++) add_layer(m, i);
    add(m, "model.norm.weight", 0, finished.dim);
    if (!finished.tied) add(m, "lm_head.weight", finished.vocab, finished.dim);
    bool named = true;
    for (int i = 0; i < m->n_params; i++) named = named && m->params[i].name;
    if (!named) {
        arena_free(mem);
        return E_MEMORY;
    }
    *out = m;
    return OK;
}

rc model_new(const model_config *c, model **out)
{
    model *m;
    TRY(model_new_bare(c, &m));
    m->weights = mem_take(mem_mul(m->n_floats, sizeof(float)));
    if (!m->weights) {
        model_free(m);
        return E_MEMORY;
    }
    *out = m;
    return OK;
}

void model_free(model *m)
{
    if (!m) return;
    mem_drop(m->weights);
    arena_free(m->mem);
}

const model_param *model_find(const model *m, const char *name)
{
    for (int i = 0; i < m->n_params; i++)
        if (!strcmp(m->params[i].name, name)) return &m->params[i];
    return NULL;
}

/* Four normals from one random block, by two Box-Muller pairs. A uniform of
 * 32 bits reaches 6.6 standard deviations. */
static void normals(uint64_t seed, uint64_t stream, uint64_t counter, float out[4])
{
    uint32_t u[4];
    rng_block(seed, stream, counter, u);
    for (int i = 0; i < 4; i += 2) {
        float radius = sqrtf(-2 * logf(((float)u[i] + 0.5f) * 0x1p-32f)),
              angle = 6.2831853f * 0x1p-32f * (float)u[i + 1];
        out[i] = radius * cosf(angle);
        out[i + 1] = radius * sinf(angle);
    }
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), e = strlen(end);
    return n >= e && !strcmp(name + n - e, end);
}

void model_init(model *m, uint64_t seed)
{
    float residual = 1 / sqrtf(2 * (float)m->config.layers);
    for (int i = 0; i < m->n_params; i++) {
        const model_param *p = &m->params[i];
        float *w = m->weights + p->offset, z[4];
        if (!p->decay) {
            for (size_t j = 0; j < p->count; j++) w[j] = 1;
            continue;
        }
        float scale = 0.02f;
        if (ends_with(p->name, "o_proj.weight") || ends_with(p->name, "down_proj.weight"))
            scale *= residual;
        uint64_t stream = rng_stream(p->name);
        for (size_t j = 0; j < p->count; j++) {
            if (j % 4 == 0) normals(seed, stream, j / 4, z);
            w[j] = scale * z[j % 4];
        }
    }
}
