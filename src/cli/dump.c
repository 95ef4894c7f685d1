/* dump.c - one training step taken apart: each program of the plan as a file,
 * and what went in and came out of each run of it. `anneal run` on such a folder
 * repeats the run alone, bit for bit:
 *
 *   anneal run DIR/layer.fwd.mil --weights DIR/layer.fwd.weights \
 *       --in NAME=DIR/call-000-layer.fwd/in.NAME.npy ... --out NAME=FILE.npy ... */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/npy.h"
#include "base/rng.h"
#include "cli/verbs.h"

enum { SEED = 1, SCALE = 1024 };

typedef struct {
    arena *mem;
    const char *dir;
} place;

static rc keep_port(void *ctx, const exec_port *p)
{
    const place *to = ctx;
    char *dir = arena_printf(to->mem, "%s/call-%03d-%s", to->dir, p->call, p->program);
    char *path = dir ? arena_printf(to->mem, "%s/%s.%s.npy", dir,
                                    p->output ? "out" : "in", p->port)
                     : NULL;
    if (!path) return E_MEMORY;
    TRY(file_make_dirs(dir));
    return npy_write(path, cli_npy_descr(p->shape->dtype), p->shape->rank, p->shape->d,
                     p->data);
}

static rc keep_program(const place *to, const exec *x, const plan *p, int program)
{
    const plan_program *q = &p->programs[program];
    mil_blob_file *files;
    int n_files;
    char *mil = arena_printf(to->mem, "%s/%s.mil", to->dir, q->name);
    char *weights = arena_printf(to->mem, "%s/%s.weights", to->dir, q->name);
    if (!mil || !weights) return E_MEMORY;
    TRY(file_make_dirs(weights));
    TRY(exec_files(x, program, to->mem, &files, &n_files));
    for (int i = 0; i < n_files; i++) {
        char *path = file_join(to->mem, weights, file_base(files[i].path));
        if (!path) return E_MEMORY;
        TRY(file_replace(path, files[i].bytes, files[i].size));
    }
    return file_replace(mil, q->mil, q->mil_bytes);
}

static rc random_tokens(exec *x, const char *name, arena *mem, size_t n, int vocab)
{
    int32_t *id = arena_array(mem, n, sizeof *id);
    if (!id) return E_MEMORY;
    for (size_t i = 0; i < n; i++)
        id[i] = (int32_t)(rng_unit(SEED, rng_stream(name), i) * vocab);
    return exec_input(x, name, id, n * sizeof *id);
}

static rc bind(exec *x, model *mo, float *grads)
{
    for (int i = 0; i < mo->n_params; i++) {
        const model_param *p = &mo->params[i];
        TRY(exec_bind(x, p->name, mo->weights + p->offset, grads + p->offset));
    }
    return exec_stage(x);
}

static rc step(exec *x, const plan *p, model *mo, float *grads, size_t tokens, place *to)
{
    float scale = SCALE;
    exec_stats stats;
    TRY(bind(x, mo, grads));
    for (int i = 0; i < p->n_programs; i++) TRY(keep_program(to, x, p, i));
    TRY(random_tokens(x, "ids", to->mem, tokens, mo->config.vocab));
    TRY(random_tokens(x, "targets", to->mem, tokens, mo->config.vocab));
    TRY(exec_input(x, "loss_scale", &scale, sizeof scale));
    exec_tap_next(x, keep_port, to);
    return exec_step(x, &stats);
}

rc cli_dump_step(const plan *p, const machine *m, const model_config *c, int batch,
                 const char *dir)
{
    place to = {arena_new(), dir};
    model *mo = NULL;
    exec *x = NULL;
    float *grads = NULL;
    if (!to.mem) return E_MEMORY;
    rc e = p->caps.computes
               ? file_make_dirs(dir)
               : err_fail(E_DEVICE, "%s computes nothing, so there is no step to keep",
                          p->caps.uri);
    if (!e) e = model_new(c, &mo);
    if (!e) model_init(mo, SEED);
    if (!e && !(grads = mem_take(mem_mul(mo->n_floats, sizeof *grads)))) e = E_MEMORY;
    if (!e) e = exec_open(p, m->dev, m->k, &x);
    if (!e) e = step(x, p, mo, grads, (size_t)batch * (size_t)c->seq, &to);
    if (x) exec_close(x);
    mem_drop(grads);
    model_free(mo);
    arena_free(to.mem);
    return e;
}
