/* config_json.c - config.json, as Hugging Face models carry it.
 *
 * Read: LlamaForCausalLM and Qwen3ForCausalLM. A setting that would change the
 * numbers and that we do not compute (biases, rescaled or partial rotary
 * positions, another activation, sliding windows) is refused by name rather
 * than ignored. */
#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "model/model.h"

enum { CONFIG_LIMIT = 1 << 20 };

static const struct {
    const char *key;
    size_t at;
    bool needed;
} sizes[] = {
    {"num_hidden_layers", offsetof(model_config, layers), true},
    {"hidden_size", offsetof(model_config, dim), true},
    {"intermediate_size", offsetof(model_config, hidden), true},
    {"num_attention_heads", offsetof(model_config, heads), true},
    {"num_key_value_heads", offsetof(model_config, kv_heads), false},
    {"head_dim", offsetof(model_config, head_dim), false},
    {"max_position_embeddings", offsetof(model_config, seq), true},
    {"vocab_size", offsetof(model_config, vocab), true},
};

static bool is_set(const json_t *v)
{
    return v && !json_is_null(v) && !json_is_false(v);
}

static rc read_kind(const json_t *root, model_config *c)
{
    const char *name = json_string_value(
        json_array_get(json_object_get(root, "architectures"), 0));
    if (!name)
        return err_fail(E_FORMAT, "'architectures' is missing, wanted "
                                  "LlamaForCausalLM or Qwen3ForCausalLM");
    strcpy(c->kind, "llama");
    c->qk_norm = !strcmp(name, "Qwen3ForCausalLM");
    if (c->qk_norm || !strcmp(name, "LlamaForCausalLM")) return OK;
    return err_fail(E_FORMAT,
                    "the model is a %.80s, wanted LlamaForCausalLM or Qwen3ForCausalLM",
                    name);
}

static rc read_sizes(const json_t *root, model_config *c)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const json_t *v = json_object_get(root, sizes[i].key);
        int *out = (int *)(void *)((char *)c + sizes[i].at);
        if (!is_set(v) && !sizes[i].needed) continue;
        if (!json_is_integer(v) || json_integer_value(v) < 1 ||
            json_integer_value(v) > INT32_MAX)
            return err_fail(E_FORMAT, "'%s' is missing or not a count", sizes[i].key);
        *out = (int)json_integer_value(v);
    }
    return OK;
}

static rc read_real(const json_t *root, const char *key, double *out)
{
    const json_t *v = json_object_get(root, key);
    if (!is_set(v)) return OK;
    if (!json_is_number(v)) return err_fail(E_FORMAT, "'%s' is not a number", key);
    *out = json_number_value(v);
    return OK;
}

/* Both spellings of rotary settings: flat "rope_theta" with "rope_scaling", or
 * one object "rope_parameters". */
static rc read_rope(const json_t *root, model_config *c)
{
    static const char *const nests[] = {"rope_scaling", "rope_parameters"};
    TRY(read_real(root, "rope_theta", &c->rope_theta));
    for (int i = 0; i < 2; i++) {
        const json_t *nest = json_object_get(root, nests[i]);
        if (!is_set(nest)) continue;
        const json_t *kind = json_object_get(nest, "rope_type");
        const char *type = json_string_value(kind ? kind : json_object_get(nest, "type"));
        if (!type || strcmp(type, "default"))
            return err_fail(E_FORMAT, "'%s' of type '%.40s' is not supported", nests[i],
                            type ? type : "none");
        TRY(read_real(nest, "rope_theta", &c->rope_theta));
    }
    return OK;
}

static rc refuse_others(const json_t *root)
{
    static const char *const off[] = {"attention_bias", "mlp_bias", "use_sliding_window",
                                      "quantization_config"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (is_set(json_object_get(root, off[i])))
            return err_fail(E_FORMAT, "'%s' is set, which is not supported", off[i]);
    const json_t *partial = json_object_get(root, "partial_rotary_factor");
    if (is_set(partial) && json_number_value(partial) != 1)
        return err_fail(E_FORMAT,
                        "'partial_rotary_factor' other than 1 is not supported");
    const json_t *act = json_object_get(root, "hidden_act");
    const char *name = json_string_value(act);
    if (act && (!name || strcmp(name, "silu")))
        return err_fail(E_FORMAT, "'hidden_act' is '%.40s', wanted 'silu'",
                        name ? name : "");
    return OK;
}

/* One id, or a list of which the first is meant. */
static void read_end(const json_t *root, model_config *c)
{
    const json_t *v = json_object_get(root, "eos_token_id");
    if (json_is_array(v)) v = json_array_get(v, 0);
    json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
    if (id >= 0 && id < c->vocab) c->end = (int)id + 1;
}

static rc read_config(const json_t *root, model_config *c)
{
    if (!json_is_object(root)) return err_fail(E_FORMAT, "wanted a JSON object");
    TRY(read_kind(root, c));
    TRY(refuse_others(root));
    TRY(read_sizes(root, c));
    c->norm_eps = 1e-6; /* what both architectures mean when it is absent */
    TRY(read_real(root, "rms_norm_eps", &c->norm_eps));
    TRY(read_rope(root, c));
    c->tied = is_set(json_object_get(root, "tie_word_embeddings"));
    read_end(root, c);
    return model_config_finish(c);
}

rc model_config_load(const char *dir, model_config *out)
{
    arena *mem = arena_new();
    char *path = mem ? file_join(mem, dir, "config.json") : NULL, *text;
    size_t n;
    json_error_t error;
    model_config c = {0};
    if (!path) {
        arena_free(mem);
        return E_MEMORY;
    }
    rc r = file_read(mem, path, CONFIG_LIMIT, &text, &n);
    if (r == OK) {
        json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
        if (!root)
            r = err_fail(E_FORMAT, "line %d is not JSON: %s", error.line, error.text);
        else r = read_config(root, &c);
        json_decref(root);
    }
    if (r == OK) *out = c;
    else err_while(r, "reading %s", path);
    arena_free(mem);
    return r;
}

/* What a reader would fill in for itself and get wrong is said: without the ids
 * other tools take 1 and 2 to begin and end a text. */
rc model_config_save(const model_config *c, const char *dir)
{
    bool qwen = c->qk_norm;
    json_t *root = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:b, s:s, s:b, "
        "s:s, s:n, s:o}",
        "architectures", qwen ? "Qwen3ForCausalLM" : "LlamaForCausalLM", "model_type",
        qwen ? "qwen3" : "llama", "num_hidden_layers", c->layers, "hidden_size", c->dim,
        "intermediate_size", c->hidden, "num_attention_heads", c->heads,
        "num_key_value_heads", c->kv_heads, "head_dim", c->head_dim,
        "max_position_embeddings", c->seq, "vocab_size", c->vocab, "rope_theta",
        c->rope_theta, "rms_norm_eps", c->norm_eps, "tie_word_embeddings", c->tied,
        "hidden_act", "silu", "attention_bias", 0, "torch_dtype", "float32",
        "bos_token_id", "eos_token_id", c->end ? json_integer(c->end - 1) : json_null());
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    str path = {0}, line = {0};
    str_addf(&path, "%s/config.json", dir);
    str_addf(&line, "%s\n", text ? text : "");
    rc r = text ? str_done(&path) : err_fail(E_MEMORY, "no memory for config.json");
    if (r == OK) r = str_done(&line);
    if (r == OK) r = file_replace(path.p, line.p, line.n);
    str_free(&path);
    str_free(&line);
    free(text);
    json_decref(root);
    return r;
}
