/* Settings of a model: what follows from them, what is refused and how. */
#include "test.h"
#include "model/model.h"

static model_config small(void)
{
    return (model_config){.layers = 2,
                          .dim = 64,
                          .heads = 4,
                          .kv_heads = 2,
                          .hidden = 96,
                          .head_dim = 32,
                          .seq = 16,
                          .vocab = 96};
}

static void missing_settings_follow_from_the_others(void **state)
{
    model_config c = {.layers = 1, .dim = 256, .heads = 8, .seq = 16, .vocab = 257};
    assert_ok(model_config_finish(&c));
    assert_string_equal(c.kind, "llama");
    assert_int_equal(c.kv_heads, 8);
    assert_int_equal(c.head_dim, 32);
    assert_int_equal(c.hidden, 704); /* 8/3 * 256 = 682.7, up to 32 */
    assert_true(c.rope_theta == 10000 && c.norm_eps == 1e-5);
}

static void a_wrong_setting_is_named(void **state)
{
    model_config c = small();
    c.heads = 6, c.kv_heads = 4;
    assert_fails(model_config_finish(&c), E_CONFIG,
                 "model.heads 6 is not divisible by model.kv_heads 4");
    assert_fails(model_config_finish(&c), E_CONFIG, "hint: ");
    c = small(), c.head_dim = 0, c.heads = 6, c.kv_heads = 6;
    assert_fails(model_config_finish(&c), E_CONFIG,
                 "model.dim 64 is not divisible by model.heads 6");
    c = small(), c.head_dim = 7;
    assert_fails(model_config_finish(&c), E_CONFIG, "model.head_dim 7");
    c = small(), c.layers = 0;
    assert_fails(model_config_finish(&c), E_CONFIG, "model.layers is 0");
    c = small(), c.vocab = -3;
    assert_fails(model_config_finish(&c), E_CONFIG, "model.vocab is -3");
    c = small(), strcpy(c.kind, "mamba");
    assert_fails(model_config_finish(&c), E_CONFIG, "model.kind is 'mamba'");
    c = small(), c.norm_eps = NAN;
    assert_fails(model_config_finish(&c), E_CONFIG, "model.norm_eps");
}

static void params_do_not_overlap_and_are_counted(void **state)
{
    for (int form = 0; form < 4; form++) {
        model_config c = small();
        c.tied = form & 1, c.qk_norm = form & 2;
        model *m;
        assert_ok(model_new(&c, &m));
        size_t at = 0, count = 0;
        for (int i = 0; i < m->n_params; i++) {
            assert_int_equal(m->params[i].offset % 16, 0);
            assert_true(m->params[i].offset >= at);
            at = m->params[i].offset + m->params[i].count;
            count += m->params[i].count;
        }
        assert_true(at <= m->n_floats);
        assert_int_equal(count, model_param_count(&m->config));
        assert_true(!!model_find(m, "lm_head.weight") == !c.tied);
        assert_true(!!model_find(m, "model.layers.1.self_attn.k_norm.weight") ==
                    c.qk_norm);
        assert_false(model_find(m, "model.layers.0.input_layernorm.weight")->decay);
        model_free(m);
    }
}

static void first_weights_have_the_documented_spread(void **state)
{
    model_config c = small();
    c.vocab = 4096;
    model *m, *again;
    assert_ok(model_new(&c, &m));
    assert_ok(model_new(&c, &again));
    model_init(m, 7);
    model_init(again, 7);
    assert_memory_equal(m->weights, again->weights, m->n_floats * sizeof(float));
    const model_param *p = model_find(m, "model.embed_tokens.weight");
    double sum = 0, squares = 0;
    for (size_t i = 0; i < p->count; i++) {
        double w = m->weights[p->offset + i];
        sum += w, squares += w * w;
    }
    /* 262144 samples: the mean is good to 0.02/512, the spread to 0.14 % */
    assert_near(sum / (double)p->count, 0, 5 * 0.02 / 512);
    assert_rel(sqrt(squares / (double)p->count), 0.02, 5 * 0.0014);
    p = model_find(m, "model.layers.0.self_attn.o_proj.weight");
    squares = 0;
    for (size_t i = 0; i < p->count; i++) squares += pow(m->weights[p->offset + i], 2);
    /* 8192 samples: 0.8 %; two layers: 1/sqrt(4) */
    assert_rel(sqrt(squares / (double)p->count), 0.01, 5 * 0.008);
    model_init(again, 8);
    assert_memory_not_equal(m->weights, again->weights, m->n_floats * sizeof(float));
    model_free(m);
    model_free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_settings_follow_from_the_others),
        cmocka_unit_test(a_wrong_setting_is_named),
        cmocka_unit_test(params_do_not_overlap_and_are_counted),
        cmocka_unit_test(first_weights_have_the_documented_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
