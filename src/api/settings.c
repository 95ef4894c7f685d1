/* settings.c - the flat table of settings turned into what each room takes. */
#include "api/config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void config_model(const config *c, model_config *out)
{
    *out = (model_config){
        .layers = (int)config_int(c, OPT_model_layers),
        .dim = (int)config_int(c, OPT_model_dim),
        .hidden = (int)config_int(c, OPT_model_hidden),
        .heads = (int)config_int(c, OPT_model_heads),
        .kv_heads = (int)config_int(c, OPT_model_kv_heads),
        .head_dim = (int)config_int(c, OPT_model_head_dim),
        .seq = (int)config_int(c, OPT_model_seq),
        .vocab = (int)config_int(c, OPT_model_vocab),
        .rope_interleaved = !strcmp(config_text(c, OPT_model_rope), "interleaved"),
        .rope_theta = config_real(c, OPT_model_rope_theta),
        .norm_eps = config_real(c, OPT_model_norm_eps),
        .tied = config_bool(c, OPT_model_tied),
        .qk_norm = config_bool(c, OPT_model_qk_norm),
    };
    snprintf(out->kind, sizeof out->kind, "%s", config_text(c, OPT_model_kind));
}

rc config_train(const config *c, train_options *out)
{
    const char *scale = config_text(c, OPT_train_loss_scale);
    const char *schedule = config_text(c, OPT_train_schedule);
    *out = (train_options){
        .steps = config_int(c, OPT_train_steps),
        .batch = (int)config_int(c, OPT_train_batch),
        .accum = (int)config_int(c, OPT_train_accum),
        .lr = config_real(c, OPT_train_lr),
        .min_lr = config_real(c, OPT_train_min_lr),
        .warmup = config_int(c, OPT_train_warmup),
        .schedule = !strcmp(schedule, "cosine")   ? TRAIN_COSINE
                    : !strcmp(schedule, "linear") ? TRAIN_LINEAR
                                                  : TRAIN_CONSTANT,
        .weight_decay = config_real(c, OPT_train_weight_decay),
        .beta1 = config_real(c, OPT_train_beta1),
        .beta2 = config_real(c, OPT_train_beta2),
        .eps = 1e-8,
        .clip = config_real(c, OPT_train_clip),
        .scale_dynamic = !strcmp(scale, "dynamic"),
        .seed = (uint64_t)config_int(c, OPT_train_seed),
        .eval_every = config_int(c, OPT_train_eval_every),
        .eval_windows = config_int(c, OPT_train_eval_windows),
        .checkpoint_every = config_int(c, OPT_train_checkpoint_every),
        .keep = (int)config_int(c, OPT_train_keep),
        .memory_only = config_bool(c, OPT_train_memory_only),
        .save_end = config_bool(c, OPT_train_save_end),
        .restart_every = config_int(c, OPT_train_restart_every),
        .restart_pause = config_real(c, OPT_train_restart_pause),
    };
    if (out->min_lr > out->lr && out->schedule != TRAIN_CONSTANT)
        return err_hint(
            err_fail(E_CONFIG,
                     "train.min_lr, %g, is above train.lr, %g: the rate would "
                     "rise to the end",
                     out->min_lr, out->lr),
            "try train.min_lr=%g, or train.schedule=constant", out->lr / 10);
    if (!out->scale_dynamic) TRY(str_to_real(scale, &out->loss_scale));
    return OK;
}

/* Nine tenths of the machine: what is left keeps the system alive. */
static double machine_share(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? 0.9 * (double)pages * (double)size : 0;
}

void config_plan(const config *c, plan_options *out)
{
    const char *weights = config_text(c, OPT_plan_weights);
    const char *dw = config_text(c, OPT_plan_dw);
    const char *loss = config_text(c, OPT_plan_loss);
    const char *pack = config_text(c, OPT_plan_pack);
    const char *window = config_text(c, OPT_plan_window);
    const char *again = config_text(c, OPT_plan_recompute);
    bool host_said;
    unsigned host;
    plan_host_parse(config_text(c, OPT_plan_host), &host_said, &host); /* was checked */
    double limit = config_real(c, OPT_plan_memory_gb) * 1e9;
    *out = (plan_options){
        .weights = !strcmp(weights, "baked")      ? PLAN_BAKED
                   : !strcmp(weights, "resident") ? PLAN_RESIDENT
                   : !strcmp(weights, "streamed") ? PLAN_STREAMED
                                                  : PLAN_WEIGHTS_AUTO,
        .accumulates = config_int(c, OPT_train_accum) > 1,
        .bake_every = (int)config_int(c, OPT_plan_bake_every),
        .dw = !strcmp(dw, "host")     ? PLAN_DW_HOST
              : !strcmp(dw, "engine") ? PLAN_DW_ENGINE
                                      : PLAN_DW_AUTO,
        .tiles = (int)config_int(c, OPT_plan_tiles),
        .recompute = !strcmp(again, "none")       ? PLAN_RECOMPUTE_NONE
                     : !strcmp(again, "elements") ? PLAN_RECOMPUTE_ELEMENTS
                     : !strcmp(again, "layers")   ? PLAN_RECOMPUTE_LAYERS
                                                  : PLAN_RECOMPUTE_AUTO,
        .pack = !strcmp(pack, "none")       ? PLAN_PACK_NONE
                : !strcmp(pack, "all")      ? PLAN_PACK_ALL
                : !strcmp(pack, "backward") ? PLAN_PACK_BACKWARD
                                            : PLAN_PACK_AUTO,
        .loss = !strcmp(loss, "host")     ? PLAN_LOSS_HOST
                : !strcmp(loss, "engine") ? PLAN_LOSS_ENGINE
                                          : PLAN_LOSS_AUTO,
        .host_said = host_said,
        .host = host,
        .window = !strcmp(window, "on")    ? PLAN_WINDOW_ON
                  : !strcmp(window, "off") ? PLAN_WINDOW_OFF
                                           : PLAN_WINDOW_AUTO,
        .memory_limit_bytes = limit > 0 ? limit : machine_share(),
    };
}

void config_data(const config *c, data_options *out)
{
    const char *t = config_text(c, OPT_data_tokenizer);
    int64_t n;
    *out = (data_options){.held_out = config_real(c, OPT_data_held_out), .seed = 1};
    if (!strcmp(t, "byte")) out->byte = true;
    else if (!strncmp(t, "bpe:", 4) && !str_to_int(t + 4, &n)) out->bpe_vocab = (int)n;
    else out->tokenizer_path = t;
}
