/* Public formats: files of others are read strictly, ours come back as they
 * went, and rotary order does not change what a model is. */
#include "test.h"
#include "base/half.h"
#include "model/model.h"

static void put(const char *path, const char *header, uint64_t claim, size_t data)
{
    uint8_t size[8];
    file *f;
    uint8_t zeros[64] = {0};
    for (int i = 0; i < 8; i++) size[i] = (uint8_t)(claim >> 8 * i);
    assert_ok(file_create(path, &f));
    assert_ok(file_write(f, size, 8));
    assert_ok(file_write(f, header, strlen(header)));
    assert_ok(file_write(f, zeros, data));
    assert_ok(file_close(f));
}

static void broken_files_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *header;
        uint64_t claim; /* 0: the header's own length */
        size_t data;
        const char *says;
    } cases[] = {
        {"{}", UINT64_MAX, 0, "at most 100 MB"},
        {"{}", 100, 0, "the file has 2"},
        {"{", 0, 0, "not JSON"},
        {"[]", 0, 0, "not a JSON object"},
        {"{\"a\":3}", 0, 0, "no description"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[],\"data_offsets\":[0,4]}}", 0, 4, "F31"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 0, 4, "no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 0, 4,
         "its shape and dtype want 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 4,
         "ends at byte 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 0, 4,
         "out of order"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 0, 4,
         "not a whole number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":"
         "[0,0]}}",
         0, 0, "too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         0, 4, "another tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 0, 8,
         "no tensor before"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 0, 8,
         "4 bytes at the end"},
        {"{\"__metadata__\":{\"a\":1}}", 0, 0, "__metadata__ 'a'"},
    };
    const char *path = test_path(*state, "x.safetensors");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        st_file *f;
        put(path, cases[i].header,
            cases[i].claim ? cases[i].claim : strlen(cases[i].header), cases[i].data);
        assert_fails(st_open(path, &f), E_FORMAT, cases[i].says);
    }
}

static void tensors_come_back_as_written(void **state)
{
    float a[6] = {1, -2, 3.5f, 0, 5, 6e-8f};
    half h[2] = {half_from_float(1.5f), half_from_float(-0.25f)};
    uint16_t b[2] = {0x3fc0, 0xc000}; /* bfloat16 1.5, -2 */
    st_tensor t[] = {{"weird \"name\"\\", "F32", 2, {2, 3}, a, sizeof a},
                     {"empty", "F32", 2, {0, 3}, NULL, 0},
                     {"scalar", "F32", 0, {0}, a, 4},
                     {"half", "F16", 1, {2}, h, 4},
                     {"brain", "BF16", 1, {2}, b, 4}};
    const char *meta[] = {"format", "pt", "note", "a \"b\""};
    const char *path = test_path(*state, "x.safetensors");
    st_file *f;
    float out[6];
    assert_ok(st_write(path, 5, t, 2, meta));
    assert_ok(st_open(path, &f));
    assert_int_equal(st_count(f), 5);
    assert_string_equal(st_meta(f, "note"), "a \"b\"");
    assert_null(st_meta(f, "absent"));
    const st_tensor *r = st_find(f, "weird \"name\"\\");
    assert_non_null(r);
    assert_true(r->rank == 2 && r->shape[0] == 2 && r->shape[1] == 3);
    assert_memory_equal(r->data, a, sizeof a);
    assert_ok(st_floats(st_find(f, "half"), out, 2));
    assert_true(out[0] == 1.5f && out[1] == -0.25f);
    assert_ok(st_floats(st_find(f, "brain"), out, 2));
    assert_true(out[0] == 1.5f && out[1] == -2);
    assert_fails(st_floats(r, out, 5), E_SHAPE, "has 6 elements, wanted 5");
    st_close(f);
}

static model *filled(bool interleaved, bool tied, bool qk_norm)
{
    model_config c = {.layers = 2,
                      .dim = 16,
                      .heads = 4,
                      .kv_heads = 2,
                      .head_dim = 8,
                      .hidden = 24,
                      .seq = 12,
                      .vocab = 11,
                      .tied = tied,
                      .qk_norm = qk_norm,
                      .rope_interleaved = interleaved,
                      .rope_theta = 5000,
                      .norm_eps = 1e-6};
    model *m;
    assert_ok(model_new(&c, &m));
    for (int i = 0; i < m->n_params; i++)
        for (size_t j = 0; j < m->params[i].count; j++)
            m->weights[m->params[i].offset + j] = (float)(i + 1) + (float)j / 1024;
    return m;
}

static void a_model_comes_back_from_its_folder(void **state)
{
    for (int form = 0; form < 4; form++) {
        model *m = filled(false, form & 1, form & 2), *back;
        assert_ok(model_save(m, *state));
        assert_ok(model_load(*state, &back));
        assert_memory_equal(&back->config, &m->config, sizeof m->config);
        assert_memory_equal(back->weights, m->weights, m->n_floats * sizeof(float));
        model_free(m);
        model_free(back);
    }
}

static void interleaved_rows_are_moved_and_moved_back(void **state)
{
    model *m = filled(true, false, true), *open, *back;
    assert_ok(model_save(m, *state));
    assert_ok(model_load(*state, &open));
    assert_false(open->config.rope_interleaved);
    const model_param *q = model_find(m, "model.layers.1.self_attn.k_proj.weight");
    const float *from = m->weights + q->offset, *to = open->weights + q->offset;
    /* head 1, pair 2: rows 8+4, 8+5 of ours are 8+2, 8+6 of the file */
    assert_memory_equal(to + 10 * 16, from + 12 * 16, 16 * sizeof(float));
    assert_memory_equal(to + 14 * 16, from + 13 * 16, 16 * sizeof(float));
    assert_ok(model_new(&m->config, &back));
    assert_ok(model_load_weights(back, *state));
    assert_memory_equal(back->weights, m->weights, m->n_floats * sizeof(float));
    model_free(m);
    model_free(open);
    model_free(back);
}

static void shards_are_read_by_their_index(void **state)
{
    model *m = filled(false, true, false), *back;
    assert_ok(model_save(m, *state));
    st_file *f;
    st_tensor t[2][64];
    int n[2] = {0};
    str index = {0};
    str_add(&index, "{\"weight_map\":{");
    assert_ok(st_open(test_path(*state, "model.safetensors"), &f));
    for (int i = 0; i < st_count(f); i++) {
        t[i % 2][n[i % 2]++] = *st_at(f, i);
        str_addf(&index, "%s\"%s\":\"s%d.safetensors\"", i ? "," : "", st_at(f, i)->name,
                 i % 2);
    }
    str_add(&index, "}}");
    assert_ok(st_write(test_path(*state, "s0.safetensors"), n[0], t[0], 0, NULL));
    assert_ok(st_write(test_path(*state, "s1.safetensors"), n[1], t[1], 0, NULL));
    st_close(f);
    assert_ok(file_remove(test_path(*state, "model.safetensors")));
    const char *path = test_path(*state, "model.safetensors.index.json");
    assert_ok(file_replace(path, index.p, index.n));
    assert_ok(model_load(*state, &back));
    assert_memory_equal(back->weights, m->weights, m->n_floats * sizeof(float));
    const char *outside = "{\"weight_map\":{\"a\":\"../x\"}}";
    assert_ok(file_replace(path, outside, strlen(outside)));
    assert_fails(model_load_weights(back, *state), E_FORMAT, "names no file");
    str_free(&index);
    model_free(m);
    model_free(back);
}

static void foreign_models_are_refused_by_name(void **state)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{", "not JSON"},
        {"{}", "architectures"},
        {"{\"architectures\":[\"GPT2LMHeadModel\"]}", "GPT2LMHeadModel"},
        {"{\"architectures\":[\"LlamaForCausalLM\"],\"attention_bias\":true}",
         "attention_bias"},
        {"{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_act\":\"gelu\"}", "gelu"},
        {"{\"architectures\":[\"LlamaForCausalLM\"],\"num_hidden_layers\":2.5}",
         "num_hidden_layers"},
    };
    model_config c;
    const char *path = test_path(*state, "config.json");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_ok(file_replace(path, cases[i].json, strlen(cases[i].json)));
        assert_fails(model_config_load(*state, &c), E_FORMAT, cases[i].says);
    }
}

static void a_tensor_that_does_not_fit_is_named(void **state)
{
    model *m = filled(false, true, false), *other;
    model_config c = m->config;
    assert_ok(model_save(m, *state));
    c.hidden = 25;
    assert_ok(model_new(&c, &other));
    assert_fails(model_load_weights(other, *state), E_SHAPE,
                 "mlp.gate_proj.weight is [24,16], wanted [25,16]");
    model_free(other);
    c = m->config, c.layers = 3;
    assert_ok(model_new(&c, &other));
    assert_fails(model_load_weights(other, *state), E_FORMAT, "model.layers.2.");
    model_free(other);
    c = m->config, c.layers = 1;
    assert_ok(model_new(&c, &other));
    assert_fails(model_load_weights(other, *state), E_FORMAT,
                 "is not part of this kind of model");
    model_free(other);
    model_free(m);
}

#define IN_DIR(test) \
    cmocka_unit_test_setup_teardown(test, test_dir_setup, test_dir_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(broken_files_are_refused_with_the_reason),
        IN_DIR(tensors_come_back_as_written),
        IN_DIR(a_model_comes_back_from_its_folder),
        IN_DIR(interleaved_rows_are_moved_and_moved_back),
        IN_DIR(shards_are_read_by_their_index),
        IN_DIR(foreign_models_are_refused_by_name),
        IN_DIR(a_tensor_that_does_not_fit_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
