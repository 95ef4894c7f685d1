/* grad.c - `anneal grad RUN|MODEL --tokens IDS.npy -o OUT.safetensors`: for
 * comparing gradients with other programs. */
#include <stdio.h>
#include <string.h>

#include "api/session.h"
#include "base/npy.h"
#include "cli/verbs.h"

static rc read_ids(const args *a, const model *m, npy *ids)
{
    const char *path = args_text(a, "tokens", NULL);
    if (!path) return err_fail(E_USAGE, "wanted --tokens IDS.npy, int32 [B,T+1]");
    TRY(npy_read(a->mem, path, ids));
    if (strcmp(ids->descr, "<i4") || ids->rank != 2 || ids->shape[0] < 1 ||
        ids->shape[1] < 2)
        return err_fail(E_USAGE, "%s: wanted int32 [B,T+1], had %s of rank %d", path,
                        ids->descr, ids->rank);
    if (ids->shape[1] - 1 > m->config.seq)
        return err_fail(E_USAGE, "%s: %lld tokens, the model takes %d", path,
                        (long long)ids->shape[1] - 1, m->config.seq);
    const int32_t *id = ids->data;
    for (size_t i = 0; i < ids->count; i++)
        if (id[i] < 0 || id[i] >= m->config.vocab)
            return err_fail(E_USAGE, "%s: id %d at %zu is beyond the vocabulary of %d",
                            path, id[i], i, m->config.vocab);
    return OK;
}

static rc write_grads(const args *a, const model *m, const float *g)
{
    const char *path = args_text(a, "output", NULL);
    st_tensor *t = arena_array(a->mem, (size_t)m->n_params, sizeof *t);
    if (!path) return OK;
    if (!t) return E_MEMORY;
    for (int i = 0; i < m->n_params; i++) {
        const model_param *p = &m->params[i];
        t[i] = (st_tensor){.name = p->name,
                           .dtype = "F32",
                           .rank = p->rank,
                           .data = g + p->offset,
                           .bytes = p->count * sizeof *g};
        for (int j = 0; j < p->rank; j++) t[i].shape[j] = p->shape[j];
    }
    return st_write(path, m->n_params, t, 0, NULL);
}

static rc compute(args *a, const config *c, model *m)
{
    npy ids;
    machine box;
    double loss = 0;
    TRY(read_ids(a, m, &ids));
    float *g = mem_take(mem_mul(m->n_floats, sizeof *g));
    if (!g) return E_MEMORY;
    rc e = machine_open(c, &box);
    if (!e)
        e = train_grad(m, (int)ids.shape[0], (int)ids.shape[1] - 1, ids.data, 1024,
                       box.dev, box.k, &loss, g);
    machine_close(&box);
    if (!e) e = write_grads(a, m, g);
    mem_drop(g);
    if (e) return e;
    if (!args_has(a, "json")) return printf("loss %.6f\n", loss) < 0 ? E_IO : OK;
    json_t *o = json_object();
    cli_real(o, "loss", loss);
    return cli_put_json(o);
}

rc verb_grad(args *a)
{
    config *c;
    model *m = NULL;
    const char *dir;
    TRY(args_words(a, 1, 1, "a run or a model folder"));
    TRY(cli_config(a, &c));
    rc e = cli_model(a, a->word[0], &dir);
    if (!e) e = model_load(dir, &m);
    if (!e) e = compute(a, c, m);
    model_free(m);
    config_free(c);
    return e;
}
