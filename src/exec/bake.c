/* bake.c - weights that are constants of programs: new weight files from the
 * caller's fp32 masters, and the programs loaded again with them. */
#include "exec/internal.h"

#include <string.h>

/* Does the program hold this param, or any? */
static bool has(const plan_program *q, const char *param)
{
    for (int i = 0; i < q->n_baked; i++)
        if (!param || strcmp(q->baked[i].param, param) == 0) return true;
    return false;
}

static rc values_of(exec *x, const char *param, arena *mem, ir_binding *out)
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

static rc reload(exec *x, int program, arena *mem)
{
    const plan_program *q = &x->p->programs[program];
    ir_binding *values = arena_array(mem, (size_t)q->n_baked, sizeof *values);
    mil_blob_file *files;
    int n_files;
    if (!values) return E_MEMORY;
    for (int i = 0; i < q->n_baked; i++)
        TRY(values_of(x, q->baked[i].param, mem, &values[i]));
    TRY(plan_bake(x->p, program, q->n_baked, values, mem, &files, &n_files));
    return dev_reload(x->programs[program], files, n_files);
}

rc exec_bake(exec *x, const char *param)
{
    for (int i = 0; i < x->p->n_programs; i++) {
        if (!has(&x->p->programs[i], param)) continue;
        arena *mem = arena_new();
        rc r = mem ? reload(x, i, mem) : E_MEMORY;
        arena_free(mem);
        if (r != OK)
            return err_while(r, "baking weights into %s", x->p->programs[i].name);
    }
    return OK;
}
