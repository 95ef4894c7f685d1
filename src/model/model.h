/* model.h - settings -> forward graph and first weights; weights in public
 * formats. The Llama family: RMSNorm, rotary positions, grouped-query
 * attention, SwiGLU, tied or separate classifier, optional q/k norm.
 *
 * Knows no device, no plan. Weights are fp32, one flat array; each param has a
 * public name and an offset:
 *   model.embed_tokens.weight [V,D]            lm_head.weight [V,D] (if not tied)
 *   model.layers.N.input_layernorm.weight [D]  ...post_attention_layernorm.weight [D]
 *   model.layers.N.self_attn.{q,k,v,o}_proj.weight [out,in]
 *   model.layers.N.self_attn.{q,k}_norm.weight [head_dim] (qk_norm)
 *   model.layers.N.mlp.{gate,up,down}_proj.weight [out,in]
 *   model.norm.weight [D] */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "ir/ir.h"

typedef struct {
    char kind[16]; /* "llama" */
    int layers, dim, hidden, heads, kv_heads, head_dim, seq, vocab;
    bool rope_interleaved; /* pairs (2i,2i+1); else half-split */
    double rope_theta, norm_eps;
    bool tied, qk_norm;
    int end; /* 1 + id of the token that ends a document; 0: not known */
} model_config;
/* Fill zeros with what follows from the rest (kv_heads = heads, head_dim =
 * dim/heads, hidden = 8/3 dim rounded up to 32 ...) and refuse what cannot be
 * (E_CONFIG, naming the key `model.x`). */
rc model_config_finish(model_config *c);
size_t model_param_count(const model_config *c);

typedef struct {
    const char *name;
    int rank;
    int64_t shape[2];
    size_t offset, count; /* in floats, in the flat array */
    bool decay;           /* weight decay applies (matrices, not norms) */
} model_param;
typedef struct model model;
struct model {
    arena *mem;
    model_config config;
    int n_params;
    model_param *params;
    size_t n_floats; /* offsets padded to 16 floats */
    float *weights;  /* owned; n_floats */
};
rc model_new(const model_config *c, model **out); /* weights zero */
/* The same with weights NULL: the caller sets them, and sets NULL again before
 * model_free if they are not mem_take'd. */
rc model_new_bare(const model_config *c, model **out);
void model_free(model *m);
const model_param *model_find(const model *m, const char *name);
/* Normal(0, 0.02), residual outputs (o_proj, down_proj) scaled by
 * 1/sqrt(2*layers), norms 1; a pure function of (seed, tensor name, index). */
void model_init(model *m, uint64_t seed);

/* Graphs. Inputs: "ids" int32 [batch*seq], for the loss "targets" int32
 * [batch*seq] (-1 = not counted). Params carry the public names. Scopes:
 * "embed", "layer.N", "head". */
typedef enum {
    MODEL_LOSS,   /* output "loss" */
    MODEL_GRAD,   /* + input "loss_scale" fp32 [1], outputs "grad:PARAM" */
    MODEL_LOGITS, /* output "logits" [1,V,1,batch*seq] */
    MODEL_LAYERS, /* the layers alone, for timing: inputs "x", "dy" fp16
                     [1,D,1,batch*seq], outputs "y", "dx", "grad:PARAM" */
} model_form;
rc model_graph(const model_config *c, model_form form, int batch, int seq,
               ir_graph **out);

/* The next `columns` tokens of one sequence, given keys and values of earlier
 * ones (decode.c): what generation runs. Inputs: "ids" int32 [columns]; fp16
 * "cosine", "sine" [1,1,hd,columns] (model_rotary, a column a token), "place"
 * [1,1,columns,window] (row j is 1 where token j goes), "mask"
 * [1,1,heads/kv_heads*columns,window] (added to scores; row s*columns + j is
 * column j), "keys.N", "values.N" [1,kv_heads*hd,1,window] (zero where nothing
 * is yet). Outputs "logits" [1,V,1,columns], "keys.N.new", "values.N.new"
 * [1,kv_heads*hd,1,columns]. */
rc model_decode_graph(const model_config *c, int columns, int window, ir_graph **out);
/* cos and signed sin of the angles at a position: head_dim each. */
void model_rotary(const model_config *c, int64_t position, double *cosine, double *sine);

/* ---- public formats ----
 * A MODEL folder: config.json + model.safetensors (F32/F16/BF16, sharded too,
 * LlamaForCausalLM or Qwen3ForCausalLM). Interleaved models permute q/k rows
 * (and q/k norms) on saving, so files always are half-split. */
rc model_load(const char *dir, model **out);
/* Writes config.json and model.safetensors into an existing folder. */
rc model_save(const model *m, const char *dir);
rc model_config_load(const char *dir, model_config *out);
rc model_config_save(const model_config *c, const char *dir);
/* Weights of a folder (of any public form) into a model whose config is known;
 * E_SHAPE or E_FORMAT naming the tensor that does not fit. */
rc model_load_weights(model *m, const char *dir);
/* n arrays laid out like m->weights (weights, gradients, moments) as one
 * safetensors file of F32 tensors named prefix[i] + public name, in the public
 * order of rows; and back. */
rc model_write(const model *m, int n, const float *const *flat, const char *const *prefix,
               const char *path);
rc model_read(const model *m, int n, float *const *flat, const char *const *prefix,
              const char *path);

/* safetensors, one file (st_read.c, st_write.c): named tensors. */
typedef struct {
    const char *name;
    const char *dtype;
    int rank;
    int64_t shape[8];
    const void *data;
    size_t bytes;
} st_tensor;
typedef struct st_file st_file;
/* Maps the file; header limits and every offset are checked (E_FORMAT). */
rc st_open(const char *path, st_file **out);
void st_close(st_file *f);
int st_count(const st_file *f);
const st_tensor *st_at(const st_file *f, int i);
const st_tensor *st_find(const st_file *f, const char *name);
const char *st_meta(const st_file *f, const char *key); /* of __metadata__, or NULL */
/* data pointers borrowed; meta = flat JSON strings, pairs key,value or NULL. */
rc st_write(const char *path, int n, const st_tensor *t, int n_meta,
            const char *const *meta);
/* As fp32 (F32, F16, BF16). */
rc st_floats(const st_tensor *t, float *out, size_t n);

#endif
