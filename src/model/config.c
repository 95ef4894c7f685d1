/* config.c - what a model's settings must satisfy, and what follows from them.
 *
 * A recipe may leave most settings out. What is missing is filled in the
 * order heads, head size, kv heads, hidden, so that each default only looks
 * at settings already known. Upper limits are far beyond any model; they are
 * there so that no product of two settings can overflow. */
#include <string.h>
#include "model/model.h"

enum { DIM_MAX = 1 << 20, VOCAB_MAX = 1 << 24, LAYERS_MAX = 4096 };

static rc in_range(const char *key, int v, int low, int high)
{
    if (v >= low && v <= high) return OK;
    return err_fail(E_CONFIG, "%s is %d, wanted %d to %d", key, v, low, high);
}

static rc divisible(const char *key, int v, const char *by_key, int by)
{
    if (v % by == 0) return OK;
    return err_fail(E_CONFIG, "%s %d is not divisible by %s %d", key, v, by_key, by);
}

static rc fill_heads(model_config *c)
{
    if (!c->heads) {
        int size = c->head_dim ? c->head_dim : 64;
        c->heads = c->dim >= size ? c->dim / size : 1;
    }
    TRY(in_range("model.heads", c->heads, 1, DIM_MAX));
    if (!c->kv_heads) c->kv_heads = c->heads;
    TRY(in_range("model.kv_heads", c->kv_heads, 1, DIM_MAX));
    rc r = divisible("model.heads", c->heads, "model.kv_heads", c->kv_heads);
    if (r != OK)
        return err_hint(r,
                        "each key head serves the same number of query heads; "
                        "try model.kv_heads=%d",
                        c->heads);
    if (!c->head_dim) {
        r = divisible("model.dim", c->dim, "model.heads", c->heads);
        if (r != OK)
            return err_hint(r, "give the head size itself, as in model.head_dim=64");
        c->head_dim = c->dim / c->heads;
    }
    TRY(in_range("model.head_dim", c->head_dim, 2, 4096));
    r = divisible("model.head_dim", c->head_dim, "the rotary pair size", 2);
    if (r != OK) return err_hint(r, "try model.head_dim=%d", c->head_dim + 1);
    if (c->heads > DIM_MAX / c->head_dim)
        return err_fail(E_CONFIG, "model.heads %d of model.head_dim %d is wider than %d",
                        c->heads, c->head_dim, DIM_MAX);
    return OK;
}

static rc fill_reals(model_config *c)
{
    if (c->rope_theta == 0) c->rope_theta = 10000;
    if (c->norm_eps == 0) c->norm_eps = 1e-5;
    if (!(c->rope_theta > 1 && c->rope_theta <= 1e12))
        return err_fail(E_CONFIG, "model.rope_theta is %g, wanted more than 1",
                        c->rope_theta);
    if (!(c->norm_eps > 0 && c->norm_eps <= 0.1))
        return err_fail(E_CONFIG, "model.norm_eps is %g, wanted above 0, at most 0.1",
                        c->norm_eps);
    return OK;
}

rc model_config_finish(model_config *c)
{
    if (!c->kind[0]) strcpy(c->kind, "llama");
    if (strcmp(c->kind, "llama")) {
        err_fail(E_CONFIG, "model.kind is '%.15s', wanted 'llama'", c->kind);
        return err_hint(E_CONFIG, "model.kind=llama");
    }
    TRY(in_range("model.layers", c->layers, 1, LAYERS_MAX));
    TRY(in_range("model.dim", c->dim, 1, DIM_MAX));
    TRY(in_range("model.seq", c->seq, 1, DIM_MAX));
    TRY(in_range("model.vocab", c->vocab, 2, VOCAB_MAX));
    TRY(fill_heads(c));
    if (!c->hidden) c->hidden = (c->dim * 8 / 3 + 31) / 32 * 32;
    TRY(in_range("model.hidden", c->hidden, 1, DIM_MAX));
    TRY(fill_reals(c));
    /* 16 bytes a weight (master, moments, gradient) must fit an address */
    double bytes = 16.0 *
                   ((double)c->vocab * c->dim * 2 +
                    (double)c->layers * c->dim *
                        (2.0 * (c->heads + c->kv_heads) * c->head_dim + 3.0 * c->hidden));
    if (bytes > (double)(SIZE_MAX / 4))
        return err_fail(E_CONFIG, "the model is too large: %g bytes to train", bytes);
    return OK;
}

size_t model_param_count(const model_config *c)
{
    size_t dim = (size_t)c->dim, q = (size_t)c->heads * (size_t)c->head_dim,
           kv = (size_t)c->kv_heads * (size_t)c->head_dim,
           tables = (size_t)c->vocab * dim * (c->tied ? 1 : 2),
           layer = 2 * dim + dim * (2 * q + 2 * kv + 3 * (size_t)c->hidden) +
                   (c->qk_norm ? 2 * (size_t)c->head_dim : 0);
    return tables + dim + (size_t)c->layers * layer;
}
