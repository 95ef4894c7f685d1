/* job.c - settings turned into a training: which run, which data, which model.
 *
 * Settings come from the command line, else the recipe, else, when going on,
 * the recipe that the run saved, else the defaults. A run begins with its first
 * checkpoint: from then on it keeps its data, model, seed and batch. Before, a
 * start that failed binds nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/session.h"
#include "base/file.h"

/* ---- data ---- */

rc session_data(const config *c, arena *mem, const char *cache_root, const char **dir)
{
    const char *text = config_text(c, OPT_data_text);
    const char *made = config_text(c, OPT_data_dir);
    if (*made) return (*dir = arena_text(mem, made)) ? OK : E_MEMORY;
    if (!*text) {
        err_fail(E_CONFIG,
                 "nothing to learn from: neither data.text nor data.dir is set");
        return err_hint(E_CONFIG, "add data.text=FILE");
    }
    data_options o;
    config_data(c, &o);
    return data_cached(1, &text, &o, cache_root, mem, dir);
}

/* ---- model ---- */

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

/* ---- which settings ---- */

static bool has_checkpoint(arena *mem, const char *run_dir)
{
    int64_t *steps;
    size_t n = 0;
    if (!file_is_dir(run_dir) || checkpoint_list(mem, run_dir, &steps, &n)) err_clear();
    return n > 0;
}

/* Paths are kept whole, so that a run can be gone on with from any folder. */
static rc whole_paths(config *c)
{
    static const opt_id paths[] = {OPT_data_text, OPT_data_dir, OPT_data_tokenizer,
                                   OPT_model_init};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const char *text = config_text(c, paths[i]);
        bool word = paths[i] == OPT_data_tokenizer &&
                    (!strcmp(text, "byte") || str_starts(text, "bpe:"));
        char *whole = *text && !word ? realpath(text, NULL) : NULL;
        rc e = whole ? config_set(c, opt_at(paths[i])->name, whole) : OK;
        free(whole);
        TRY(e);
    }
    return OK;
}

/* Nor does a recipe name a library: the word is left out of a saved URI. */
static rc without_library(config *c)
{
    str uri = {0};
    const char *p = config_text(c, OPT_device_uri), *colon = strchr(p, ':');
    if (!colon || !strstr(colon, "lib=")) return OK;
    str_addn(&uri, p, (size_t)(colon - p));
    char mark = ':';
    for (p = colon; *p; p += 1 + strcspn(p + 1, ",")) {
        if (str_starts(p + 1, "lib=")) continue;
        str_addc(&uri, mark);
        str_addn(&uri, p + 1, strcspn(p + 1, ","));
        mark = ',';
    }
    rc e = str_done(&uri);
    if (!e) e = config_set(c, "device.uri", str_text(&uri));
    str_free(&uri);
    return e;
}

/* The run's own recipe has whole paths; what is said now may have others. */
static rc conflict(const config *old, const config *now, const char **key)
{
    config *whole;
    TRY(config_copy(now, &whole));
    rc e = whole_paths(whole);
    *key = e ? NULL : config_conflict(old, whole);
    config_free(whole);
    return e;
}

static rc take_from(config *now, const char *path, bool bound, const char *run_dir)
{
    config *old;
    TRY(config_new(&old));
    rc e = config_read(old, path);
    for (int i = 0; !e && i < OPT_COUNT; i++)
        if (!config_is_set(now, (opt_id)i))
            e = config_set(now, opt_at((opt_id)i)->name, config_text(old, (opt_id)i));
    const char *key = NULL;
    if (!e && bound) e = conflict(old, now, &key);
    if (key) {
        e = err_fail(E_CONFIG, "setting '%s' may not change when going on with %s", key,
                     run_dir);
        err_hint(E_CONFIG, "take another name with -n NAME, or start over with --force");
    }
    config_free(old);
    return e;
}

static rc settings_of(const config *c, const session_run *r, bool begun, arena *mem,
                      config **out)
{
    bool bound = begun && !r->anew;
    char *path = file_join(mem, r->run_dir, "recipe.conf");
    if (!path) return E_MEMORY;
    TRY(config_copy(c, out));
    if (!file_exists(path) || !(bound || r->own_recipe)) return OK;
    return take_from(*out, path, bound, r->run_dir);
}

/* ---- the whole job ---- */

enum { VOCAB_ANY = 257 }; /* while the tokenizer's is not known yet */

struct session_job {
    arena *mem;
    config *settings;
    machine box;
    str recipe, json;
    train_job job;
    str settings_dump, limits; /* for another image */
    train_part part[TRAIN_PARTS];
    bool handed; /* what is open is the next image's */
};
enum { PART_SETTINGS, PART_RUN, PART_DATA, PART_RECIPE, PART_JSON, PART_LIMITS };

/* runs/NAME -> runs/.data, where tokenised texts are kept. */
static const char *cache_beside(arena *mem, const char *run_dir)
{
    const char *slash = strrchr(run_dir, '/');
    return slash ? arena_printf(mem, "%.*s/.data", (int)(slash - run_dir), run_dir)
                 : ".data";
}

/* A model that is trained on keeps its tokenizer unless another is named. */
static rc tokenizer_of_init(config *now, arena *mem, const char *init)
{
    if (!init || config_is_set(now, OPT_data_tokenizer)) return OK;
    char *path = file_join(mem, init, "tokenizer.json");
    if (!path) return E_MEMORY;
    return file_exists(path) ? config_set(now, "data.tokenizer", path) : OK;
}

/* Tokens that are there already, else without a folder. */
static rc data_in_memory(const config *c, arena *mem, const session_run *r,
                         const char *cache, const char **dir)
{
    const char *text = config_text(c, OPT_data_text);
    data_options o;
    if (*config_text(c, OPT_data_dir) || !*text) return session_data(c, mem, cache, dir);
    config_data(c, &o);
    TRY(data_cached_find(1, &text, &o, cache, mem, dir));
    if (*dir) return OK;
    if (!r->memory_dir) {
        err_fail(E_CONFIG,
                 "train.memory_only writes nothing, and there is no memory "
                 "file system for the tokens of %s",
                 text);
        return err_hint(E_CONFIG, "`anneal data %s -o DIR` once, then data.dir=DIR",
                        text);
    }
    char *made = arena_printf(mem, "%s/data-%ld", r->memory_dir, (long)getpid());
    if (!made) return E_MEMORY;
    TRY(data_build(1, &text, &o, made, NULL));
    return data_loosen(made, mem, dir);
}

static rc model_and_data(session_job *j, const session_run *r, bool begun)
{
    config *now = j->settings;
    const char *init = NULL, *cache = cache_beside(j->mem, r->run_dir);
    if (!cache) return E_MEMORY;
    /* once begun, the weights are the run's own, and its recipe says their shape */
    if (begun && !r->anew) config_model(now, &j->job.model);
    else {
        TRY(session_model(now, j->mem, r->run_dir, &init, &j->job.model));
        TRY(tokenizer_of_init(now, j->mem, init));
        j->job.init_dir = init;
    }
    /* a wrong model is found before a large text is read */
    model_config known = j->job.model;
    if (!known.vocab) known.vocab = VOCAB_ANY;
    TRY(model_config_finish(&known));
    if (!config_bool(now, OPT_train_memory_only))
        return session_data(now, j->mem, cache, &j->job.data_dir);
    return data_in_memory(now, j->mem, r, cache, &j->job.data_dir);
}

static rc fill_run(session_job *j, const session_run *r)
{
    train_job *t = &j->job;
    t->run_dir = r->run_dir;
    t->anew = r->anew;
    t->dev = j->box.dev;
    t->k = j->box.k;
    t->still_writes = j->box.still_writes;
    t->sink = r->sink;
    t->stop_after = r->stop_after;
    t->stop_minutes = r->stop_minutes;
    t->stop = r->stop;
    t->ask = r->ask;
    t->may_restart = r->may_restart;
    t->taken = r->taken;
    config_plan(j->settings, &t->plan);
    return config_train(j->settings, &t->options);
}

/* ---- over a restart in memory ---- */

static void set_part(session_job *j, int i, const char *p)
{
    j->part[i] = (train_part){p, strlen(p)};
}

/* What `auto` has become is what it stays. */
static rc say_device(session_job *j, config *said)
{
    dev_caps caps;
    char chip[512];
    const char *uri = config_text(said, OPT_device_uri);
    if (!dev_auto_chip(uri, chip, sizeof chip)) return OK;
    TRY(dev_caps_of(j->box.dev, &caps));
    return config_set(said, "device.uri", caps.hardware ? chip : caps.uri);
}

/* While the settings are still those that were given. */
static rc dump_settings(session_job *j)
{
    config *said;
    TRY(config_copy(j->settings, &said));
    rc e = say_device(j, said);
    if (!e) e = config_dump(said, &j->settings_dump);
    config_free(said);
    return e;
}

static rc fill_parts(session_job *j)
{
    train_job *t = &j->job;
    str_addf(&j->limits, "%lld %.17g", (long long)t->stop_after, t->stop_minutes);
    TRY(str_done(&j->limits));
    j->part[PART_SETTINGS] = (train_part){j->settings_dump.p, j->settings_dump.n};
    set_part(j, PART_RUN, t->run_dir);
    set_part(j, PART_DATA, t->data_dir);
    set_part(j, PART_RECIPE, t->recipe_text);
    set_part(j, PART_JSON, t->settings_json);
    set_part(j, PART_LIMITS, str_text(&j->limits));
    t->parts = j->part;
    return OK;
}

static char *part_text(const train_hand *h, int i, arena *mem)
{
    train_part p = train_hand_part(h, i);
    return arena_textn(mem, p.p, p.n);
}

rc session_take_over(train_hand *h, arena *mem, config **c, session_run *r)
{
    long long after;
    train_part said = train_hand_part(h, PART_SETTINGS);
    char *run = part_text(h, PART_RUN, mem), *limits = part_text(h, PART_LIMITS, mem);
    if (!run || !limits) return E_MEMORY;
    if (sscanf(limits, "%lld %lf", &after, &r->stop_minutes) != 2)
        return err_fail(E_FORMAT, "the limits handed over are malformed");
    r->stop_after = after;
    r->run_dir = run;
    r->own_recipe = r->anew = false;
    r->taken = h;
    TRY(config_new(c));
    rc e = config_undump(*c, said.p, said.n);
    if (e) config_free(*c), *c = NULL;
    return e;
}

static rc fill_taken(session_job *j, const config *c, const session_run *r)
{
    train_job *t = &j->job;
    TRY(config_copy(c, &j->settings));
    TRY(machine_open(j->settings, &j->box));
    TRY(dump_settings(j));
    TRY(fill_run(j, r));
    config_model(j->settings, &t->model);
    t->data_dir = part_text(r->taken, PART_DATA, j->mem);
    t->recipe_text = part_text(r->taken, PART_RECIPE, j->mem);
    t->settings_json = part_text(r->taken, PART_JSON, j->mem);
    if (!t->data_dir || !t->recipe_text || !t->settings_json) return E_MEMORY;
    return data_loose_keep(t->data_dir, false);
}

/* ---- */

static rc fill_new(session_job *j, const config *c, const session_run *r)
{
    train_job *t = &j->job;
    bool begun = has_checkpoint(j->mem, r->run_dir);
    TRY(settings_of(c, r, begun, j->mem, &j->settings));
    TRY(machine_open(j->settings, &j->box));
    TRY(model_and_data(j, r, begun));
    TRY(dump_settings(j));
    TRY(fill_run(j, r));
    TRY(whole_paths(j->settings));
    TRY(without_library(j->settings));
    TRY(config_print(j->settings, &j->recipe));
    TRY(config_json(j->settings, &j->json));
    t->recipe_text = str_text(&j->recipe);
    t->settings_json = str_text(&j->json);
    return OK;
}

static rc fill_job(session_job *j, const config *c, const session_run *r)
{
    TRY(r->taken ? fill_taken(j, c, r) : fill_new(j, c, r));
    TRY(fill_parts(j));
    return train_check(&j->job, &j->job.model);
}

rc session_job_open(const config *c, const session_run *r, session_job **out)
{
    arena *mem = arena_new();
    session_job *j = mem ? arena_take(mem, sizeof *j) : NULL;
    if (!j) return arena_free(mem), E_MEMORY;
    *j = (session_job){.mem = mem};
    rc e = fill_job(j, c, r);
    if (e) return session_job_close(j), e;
    *out = j;
    return OK;
}

void session_job_close(session_job *j)
{
    if (!j) return;
    if (j->job.data_dir && !j->handed) data_loose_close(j->job.data_dir);
    machine_close(&j->box);
    config_free(j->settings);
    str_free(&j->recipe);
    str_free(&j->json);
    str_free(&j->settings_dump);
    str_free(&j->limits);
    arena_free(j->mem);
}

const train_job *session_job_of(const session_job *j)
{
    return &j->job;
}

rc session_train(const config *c, const session_run *r, train_result *out)
{
    session_job *j;
    *out = (train_result){.loss = NAN,
                          .held_out = NAN,
                          .nats_per_byte = NAN,
                          .saved_step = -1,
                          .handed = -1};
    TRY(session_job_open(c, r, &j));
    rc e = train_run(&j->job, out);
    if (e == E_RESTART) {
        rc kept = data_loose_keep(j->job.data_dir, true);
        j->handed = true;
        if (kept) e = kept;
    }
    session_job_close(j);
    return e;
}

rc session_plan(const session_job *j, plan **out)
{
    const train_job *t = &j->job;
    ir_graph *g;
    dev_caps caps;
    TRY(dev_caps_of(t->dev, &caps));
    TRY(model_graph(&t->model, MODEL_GRAD, t->options.batch, t->model.seq, &g));
    rc e = plan_build(g, &caps, &t->plan, out);
    ir_free(g);
    return e;
}
