/* reference.h - the cases of tests/reference/llama.py: the same weights made
 * here, the numbers PyTorch gave read from tests/data/reference. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "test.h"
#include "model/model.h"

enum { REF_BATCH = 2, REF_SEQ = 32, REF_CASES = 4 };

static const struct {
    const char *name;
    bool tied, interleaved, qk_norm;
} ref_cases[REF_CASES] = {
    {"half_tied", true, false, false},
    {"half_untied", false, false, false},
    {"interleaved_untied", false, true, false},
    {"qwen_tied", true, false, true},
};

/* `number` of llama.py */
static inline double ref_number(uint64_t tensor, uint64_t index)
{
    uint64_t x = index * 2654435769u + tensor * 97 + 1;
    for (int i = 0; i < 2; i++) {
        x &= 0xffffffffu;
        x = (x ^ x >> 15) * 0x2c1b3c6d;
    }
    x &= 0xffffffffu;
    x ^= x >> 13;
    return (double)(x >> 8) * 0x1p-24;
}

static inline model *ref_model(int i)
{
    model_config c = {.layers = 2,
                      .dim = 48,
                      .hidden = 64,
                      .heads = 4,
                      .kv_heads = 2,
                      .head_dim = 16,
                      .vocab = 80,
                      .seq = REF_SEQ,
                      .rope_theta = 10000,
                      .norm_eps = 1e-5,
                      .tied = ref_cases[i].tied,
                      .qk_norm = ref_cases[i].qk_norm,
                      .rope_interleaved = ref_cases[i].interleaved};
    model *m;
    assert_ok(model_new(&c, &m));
    for (int t = 0; t < m->n_params; t++) {
        const model_param *p = &m->params[t];
        bool of_head = strstr(p->name, "self_attn");
        for (size_t j = 0; j < p->count; j++) {
            double u = ref_number((uint64_t)t, j);
            u = p->decay ? (u - 0.5) / 4 : of_head ? 0.5 + u : 0.25 + 3 * u;
            m->weights[p->offset + j] = (float)u;
        }
    }
    return m;
}

static inline st_file *ref_open(int i)
{
    char path[256];
    st_file *f;
    snprintf(path, sizeof path, "tests/data/reference/%s.safetensors", ref_cases[i].name);
    assert_ok(st_open(path, &f));
    return f;
}

static inline void ref_ids(const st_file *f, int32_t ids[REF_BATCH * (REF_SEQ + 1)])
{
    const st_tensor *t = st_find(f, "ids");
    assert_non_null(t);
    assert_int_equal(t->bytes, REF_BATCH * (REF_SEQ + 1) * sizeof *ids);
    memcpy(ids, t->data, t->bytes);
}

/* Every tensor of `grads` (laid out like m->weights) against the file. */
static inline void ref_compare(const model *m, const st_file *f, const float *grads,
                               double l2, double cosine)
{
    for (int i = 0; i < m->n_params; i++) {
        const model_param *p = &m->params[i];
        const st_tensor *t = st_find(f, p->name);
        assert_non_null(t);
        float *want = malloc(t->bytes);
        assert_ok(st_floats(t, want, p->count));
        double off = 0, ww = 0, hh = 0, wh = 0;
        for (size_t j = 0; j < p->count; j++) {
            double w = want[j], h = grads[p->offset + j];
            off += (h - w) * (h - w), ww += w * w, hh += h * h, wh += w * h;
        }
        double rel = sqrt(off / ww), cos = wh / sqrt(ww * hh);
        if (!(rel <= l2 && cos >= cosine))
            fail_msg("%s: relative L2 error %.3g (allowed %.3g), cosine %.7f", p->name,
                     rel, l2, cos);
        free(want);
    }
}

#endif
