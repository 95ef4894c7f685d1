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
#include "cli/verbs.h"

typedef struct {
    arena *mem;
    const char *dir;
    const plan *p;
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

/* A step leaves weights as they are. */
static rc keep_programs(void *ctx, exec *x)
{
    const place *to = ctx;
    for (int i = 0; i < to->p->n_programs; i++) TRY(keep_program(to, x, to->p, i));
    return OK;
}

rc cli_dump_step(const cli_trial *t, const char *dir)
{
    const plan *p = t->plan;
    place to = {arena_new(), dir, p};
    if (!to.mem) return E_MEMORY;
    rc e = p->caps.computes
               ? file_make_dirs(dir)
               : err_fail(E_DEVICE, "%s computes nothing, so there is no step to keep",
                          p->caps.uri);
    if (!e) e = cli_try_step(t, keep_port, keep_programs, &to);
    arena_free(to.mem);
    return e;
}
