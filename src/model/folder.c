/* folder.c - a MODEL folder: config.json beside model.safetensors, or beside
 * shards that model.safetensors.index.json names ({"weight_map": {TENSOR:
 * FILE}}). Our own checkpoints are such folders; so are those of others. */
#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "model/layout.h"
#include "model/model.h"

enum { SHARDS_MAX = 1024, INDEX_LIMIT = 64 << 20 };

/* Tensors that may be there and are not weights of ours: a tied classifier
 * stored again, and rotary tables of old exporters. Anything else is a part of
 * the model that we would leave out, so the file is refused. */
static rc check_foreign(const model *m, const st_file *f)
{
    for (int i = 0; i < st_count(f); i++) {
        const char *name = st_at(f, i)->name;
        if (model_find(m, name) || strstr(name, "rotary_emb.inv_freq")) continue;
        if (m->config.tied && !strcmp(name, "lm_head.weight")) continue;
        return err_fail(E_FORMAT, "tensor '%.200s' is not part of this kind of model",
                        name);
    }
    return OK;
}

static rc read_shard(model *m, const char *path, bool *have)
{
    st_file *f;
    TRY(st_open(path, &f));
    rc r = check_foreign(m, f);
    for (int i = 0; r == OK && i < m->n_params; i++) {
        const st_tensor *t = st_find(f, m->params[i].name);
        if (!t) continue;
        have[i] = true;
        r = model_read_tensor(m, &m->params[i], t, m->weights + m->params[i].offset);
    }
    st_close(f);
    return r == OK ? OK : err_while(r, "reading %s", path);
}

/* Files named by model.safetensors.index.json, each once. A name may not
 * leave the folder. */
static rc list_shards(arena *mem, const char *path, const char ***out, int *n)
{
    char *text;
    size_t bytes;
    json_error_t error;
    const char *name;
    json_t *value;
    TRY(file_read(mem, path, INDEX_LIMIT, &text, &bytes));
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    json_t *map = json_object_get(root, "weight_map");
    const char **list = arena_array(mem, SHARDS_MAX, sizeof *list);
    rc r = !list ? E_MEMORY : map ? OK : err_fail(E_FORMAT, "%s has no weight_map", path);
    *n = 0;
    json_object_foreach(map, name, value)
    {
        const char *shard = json_string_value(value);
        if (r != OK) break;
        if (!shard || !*shard || strchr(shard, '/') || shard[0] == '.') {
            r = err_fail(E_FORMAT, "%s names no file of the folder for '%.200s'", path,
                         name);
            break;
        }
        int i = 0;
        while (i < *n && strcmp(list[i], shard)) i++;
        if (i < *n) continue;
        if (i == SHARDS_MAX) r = err_fail(E_FORMAT, "%s names over %d files", path, i);
        else if (!(list[(*n)++] = arena_text(mem, shard))) r = E_MEMORY;
    }
    json_decref(root);
    *out = list;
    return r;
}

rc model_load_weights(model *m, const char *dir)
{
    static const char *const single[] = {"model.safetensors"};
    const char **files = (const char **)(uintptr_t)single;
    int n = 1;
    arena *mem = arena_new();
    bool *have = mem ? arena_array(mem, (size_t)m->n_params, sizeof *have) : NULL;
    char *path = have ? file_join(mem, dir, single[0]) : NULL;
    char *index = path ? file_join(mem, dir, "model.safetensors.index.json") : NULL;
    rc r = index ? OK : E_MEMORY;
    if (r == OK && !file_exists(path) && file_exists(index))
        r = list_shards(mem, index, &files, &n);
    for (int i = 0; r == OK && i < n; i++) {
        path = file_join(mem, dir, files[i]);
        r = path ? read_shard(m, path, have) : E_MEMORY;
    }
    for (int i = 0; r == OK && i < m->n_params; i++)
        if (!have[i])
            r = err_fail(E_FORMAT, "%s has no tensor %s", dir, m->params[i].name);
    arena_free(mem);
    return r;
}

rc model_load(const char *dir, model **out)
{
    model_config c;
    model *m;
    TRY(model_config_load(dir, &c));
    TRY(model_new(&c, &m));
    rc r = model_load_weights(m, dir);
    if (r == OK) *out = m;
    else model_free(m);
    return r;
}

rc model_save(const model *m, const char *dir)
{
    const float *flat[] = {m->weights};
    static const char *const prefix[] = {""};
    str path = {0};
    str_addf(&path, "%s/model.safetensors", dir);
    rc r = str_done(&path);
    if (r == OK) r = model_write(m, 1, flat, prefix, path.p);
    str_free(&path);
    if (r == OK) r = model_config_save(&m->config, dir);
    return r;
}
