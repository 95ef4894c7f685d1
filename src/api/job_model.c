/* job_model.c - the model that settings describe.
 *
 * Its shape is said by settings, or it is that of a model that exists
 * (model.init): then what the settings say must agree, and what they leave open is
 * said in them, so that the recipe that a run keeps is whole. */
#include <string.h>

#include "api/job.h"
#include "base/file.h"

/* model.init is a MODEL or a run: a path, or a name beside this run. */
static rc init_dir(const config *c, arena *mem, const char *run_dir, const char **out)
{
    const char *init = config_text(c, OPT_model_init), *slash = strrchr(run_dir, '/');
    *out = NULL;
    if (!*init) return OK;
    if (!file_is_dir(init) && !strchr(init, '/') && slash) {
        char *beside = arena_printf(mem, "%.*s/%s", (int)(slash - run_dir), run_dir,
                                    init);
        if (!beside) return E_MEMORY;
        if (file_is_dir(beside)) init = beside;
    }
    TRY_WHILE(session_model_dir(mem, init, out, NULL), "looking for model.init");
    return OK;
}

static rc differs(opt_id id, int said, int has, const char *dir)
{
    const char *name = opt_at(id)->name;
    err_fail(E_CONFIG, "%s is %d, but the model in %s has %d", name, said, dir, has);
    return err_hint(E_CONFIG, "leave %s out to take the model's, or %s=%d", name, name,
                    has);
}

/* The shape of an existing model. What a recipe says of it must agree; what
 * does not change the weights (window, rotary base, epsilon) may differ. */
static rc shape_of(const config *c, const char *dir, model_config *m)
{
    model_config said = *m, has;
    TRY(model_config_load(dir, &has));
    const struct {
        opt_id id;
        int said, has;
    } rows[] = {
        {OPT_model_layers, said.layers, has.layers},
        {OPT_model_dim, said.dim, has.dim},
        {OPT_model_hidden, said.hidden, has.hidden},
        {OPT_model_heads, said.heads, has.heads},
        {OPT_model_kv_heads, said.kv_heads, has.kv_heads},
        {OPT_model_head_dim, said.head_dim, has.head_dim},
        {OPT_model_vocab, said.vocab, has.vocab},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (config_is_set(c, rows[i].id) && rows[i].said && rows[i].said != rows[i].has)
            return differs(rows[i].id, rows[i].said, rows[i].has, dir);
    if (config_is_set(c, OPT_model_tied) && said.tied != has.tied)
        return differs(OPT_model_tied, said.tied, has.tied, dir);
    if (config_is_set(c, OPT_model_qk_norm) && said.qk_norm != has.qk_norm)
        return differs(OPT_model_qk_norm, said.qk_norm, has.qk_norm, dir);
    *m = has;
    if (config_is_set(c, OPT_model_seq)) m->seq = said.seq;
    if (config_is_set(c, OPT_model_rope)) m->rope_interleaved = said.rope_interleaved;
    if (config_is_set(c, OPT_model_rope_theta)) m->rope_theta = said.rope_theta;
    if (config_is_set(c, OPT_model_norm_eps)) m->norm_eps = said.norm_eps;
    return OK;
}

/* What was taken from a model is said in the settings, so that the recipe a run
 * keeps is whole. */
static rc say_shape(config *c, arena *mem, const model_config *m)
{
    const struct {
        opt_id id;
        double value;
    } rows[] = {
        {OPT_model_layers, m->layers},
        {OPT_model_dim, m->dim},
        {OPT_model_hidden, m->hidden},
        {OPT_model_heads, m->heads},
        {OPT_model_kv_heads, m->kv_heads},
        {OPT_model_head_dim, m->head_dim},
        {OPT_model_seq, m->seq},
        {OPT_model_vocab, m->vocab},
        {OPT_model_rope_theta, m->rope_theta},
        {OPT_model_norm_eps, m->norm_eps},
        {OPT_model_tied, m->tied},
        {OPT_model_qk_norm, m->qk_norm},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const opt_row *r = opt_at(rows[i].id);
        /* 15 digits give back every decimal that a config.json holds */
        char *text = r->kind == OPT_BOOL ? (rows[i].value != 0 ? "true" : "false")
                                         : arena_printf(mem, "%.15g", rows[i].value);
        if (!text) return E_MEMORY;
        TRY(config_set(c, r->name, text));
    }
    return OK;
}

rc session_model(config *c, arena *mem, const char *run_dir, const char **init,
                 model_config *out)
{
    config_model(c, out);
    TRY(init_dir(c, mem, run_dir, init));
    if (!*init) return OK;
    TRY(shape_of(c, *init, out));
    return say_shape(c, mem, out);
}
