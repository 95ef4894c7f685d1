/* bake.c - weights that are constants of programs: new weight files from the
 * caller's fp32 masters, and the programs compiled again with them.
 *
 * After an update every program that holds a changed param is stale. The next
 * step compiles them in the order in which it needs them, on a thread of their
 * own: the engine runs those that are ready while the later ones compile, and
 * no program ever runs with weights other than the masters. Before the first is
 * compiled the whole set is held against the compile budget, so that running
 * out leaves the masters those of a whole update. */
#include "exec/internal.h"

#include <string.h>
#include "base/clock.h"

/* Does the program hold this param, or any? */
static bool has(const plan_program *q, const char *param)
{
    for (int i = 0; i < q->n_baked; i++)
        if (!param || strcmp(q->baked[i].param, param) == 0) return true;
    return false;
}

void exec_bake_stale(exec *x, const char *param)
{
    for (int i = 0; i < x->p->n_programs; i++)
        if (has(&x->p->programs[i], param)) x->stale[i] = true;
}

static rc values_of(const exec *x, const char *param, arena *mem, ir_binding *out)
{
    const binding *b = NULL;
    for (int i = 0; i < x->n_bindings; i++)
        if (strcmp(x->bindings[i].name, param) == 0) b = &x->bindings[i];
    if (!b || !b->weights) return err_fail(E_FAILED, "no weights bound for %s", param);
    double *v = arena_array(mem, (size_t)b->count, sizeof *v);
    if (!v) return E_MEMORY;
    for (int64_t i = 0; i < b->count; i++) v[i] = b->weights[i];
    *out = (ir_binding){param, v};
    return OK;
}

rc exec_files(const exec *x, int program, arena *mem, mil_blob_file **files, int *n_files)
{
    const plan_program *q = &x->p->programs[program];
    if (!q->n_baked) {
        *files = q->files;
        *n_files = q->n_files;
        return OK;
    }
    ir_binding *values = arena_array(mem, (size_t)q->n_baked, sizeof *values);
    if (!values) return E_MEMORY;
    for (int i = 0; i < q->n_baked; i++)
        TRY(values_of(x, q->baked[i].param, mem, &values[i]));
    return plan_bake(x->p, program, q->n_baked, values, mem, files, n_files);
}

static rc bake(exec *x, int i, arena *mem)
{
    mil_blob_file *files;
    int n_files;
    TRY(exec_files(x, i, mem, &files, &n_files));
    return x->programs[i] ? dev_reload(x->programs[i], files, n_files)
                          : exec_load(x, i, files, n_files);
}

/* In the order of steps. Stops at the first failure; what is stale stays so. */
static void bake_all(exec *x)
{
    for (int s = 0; s < x->p->n_steps && x->bake_failure.code == OK; s++) {
        int i = x->p->steps[s].program;
        if (!x->p->steps[s].engine || !x->stale[i]) continue;
        double from = clock_ms();
        arena *mem = arena_new();
        rc r = mem ? bake(x, i, mem) : E_MEMORY;
        arena_free(mem);
        if (r != OK) err_while(r, "baking weights into %s", x->p->programs[i].name);
        pthread_mutex_lock(&x->lock);
        if (r != OK) err_save(r, &x->bake_failure);
        else x->stale[i] = false, x->stats.compiles++;
        x->stats.compile_ms += clock_ms() - from;
        pthread_cond_broadcast(&x->moved);
        pthread_mutex_unlock(&x->lock);
    }
    pthread_mutex_lock(&x->lock);
    x->baking = false;
    pthread_cond_broadcast(&x->moved);
    pthread_mutex_unlock(&x->lock);
}

static void *work(void *ctx)
{
    bake_all(ctx);
    return NULL;
}

/* A driver that does not count its compiles refuses by itself, when it must. */
static rc check_budget(exec *x, int wanted)
{
    dev_caps caps;
    dev_sample now;
    TRY(dev_caps_of(x->d, &caps));
    if (!caps.compiles_max) return OK;
    TRY(dev_sample_of(x->d, &now));
    if (!(now.valid & 1u << DEV_LOADS)) return OK;
    int left = caps.compiles_max - (int)now.value[DEV_LOADS];
    if (wanted <= left) return OK;
    err_fail(
        E_BUDGET,
        "the compile budget is used up: the next weights are %d programs to compile, "
        "this process has %d left of %d",
        wanted, left > 0 ? left : 0, caps.compiles_max);
    return err_hint(E_BUDGET, "start a new process, or bake less often: plan.bake_every");
}

rc exec_bake(exec *x, bool beside)
{
    int wanted = 0;
    for (int i = 0; i < x->p->n_programs; i++) wanted += x->stale[i];
    if (!wanted) return OK;
    TRY(check_budget(x, wanted));
    x->bake_failure.code = OK;
    x->baking = true;
    if (beside && pthread_create(&x->baker, NULL, work, x) == 0) {
        x->baker_runs = true;
        return OK;
    }
    bake_all(x);
    return x->bake_failure.code == OK ? OK : err_restore(&x->bake_failure);
}

rc exec_bake_wait(exec *x, int program)
{
    pthread_mutex_lock(&x->lock);
    while (x->stale[program] && x->baking) pthread_cond_wait(&x->moved, &x->lock);
    bool ready = !x->stale[program];
    pthread_mutex_unlock(&x->lock);
    return ready ? OK : err_restore(&x->bake_failure);
}

void exec_bake_join(exec *x)
{
    if (!x->baker_runs) return;
    pthread_join(x->baker, NULL);
    x->baker_runs = false;
}
