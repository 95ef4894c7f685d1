/* emu.c - the software Neural Engine as a driver: loading compiles a program
 * to a plan, the worker runs plans. What it shares with every software device
 * is in dev/soft.h. */
#include "dev/emu/emu.h"

extern const dev_driver dev_emu_driver;

typedef struct {
    soft_program soft;
    emu_plan *plan;
} emu_program;

/* The passes in order; each reads what the ones before it left in the plan. */
rc emu_compile(const dev_code *c, const soft_params *params, kern *k, emu_plan **out)
{
    *out = NULL;
    arena *mem = arena_new();
    emu_plan *p = mem ? arena_take(mem, sizeof *p) : NULL;
    if (!p) {
        arena_free(mem);
        return E_MEMORY;
    }
    *p = (emu_plan){.mem = mem, .code = c, .params = params, .k = k};
    rc r = emu_lower(p);
    if (r == OK) r = emu_fuse(p);
    if (r == OK) r = emu_place(p);
    if (r == OK) r = emu_fill_constants(p);
    if (r != OK) {
        emu_plan_free(p);
        return r;
    }
    *out = p;
    return OK;
}

void emu_plan_free(emu_plan *p)
{
    if (!p) return;
    for (int i = 0; p->stage && i < p->code->n_out; i++) mem_drop(p->stage[i]);
    mem_drop(p->work);
    mem_drop(p->scratch);
    arena_free(p->mem);
}

/* Called by the worker alone, so a plan is never run twice at once. */
static rc emu_execute(soft_device *d, soft_job *job, dev_stats *stats)
{
    return emu_run(((emu_program *)job->program)->plan, job->s, stats);
}

/* The kernels are the caller's unless isa= asks for others (soft_start). */
static rc emu_open(const char *text, kern *k, const char *state, device **out)
{
    soft_params params;
    TRY(soft_params_parse("emu", true, text, &params));
    soft_device *d = mem_take(sizeof *d);
    if (!d) return E_MEMORY;
    rc r = soft_start(d, &dev_emu_driver, &params, k, emu_execute);
    if (r != OK) {
        soft_stop(d);
        mem_drop(d);
        return r;
    }
    *out = &d->base;
    return OK;
}

static void emu_close(device *d)
{
    soft_stop((soft_device *)d);
    mem_drop(d);
}

/* Checking and judging come first: what is refused is never compiled. Only a
 * program that is complete counts against the compile budget. */
static rc emu_load(device *dev, const dev_source *src, dev_program **out)
{
    soft_device *d = (soft_device *)dev;
    emu_program *p = mem_take(sizeof *p);
    if (!p) return E_MEMORY;
    rc r = soft_load(d, src, &p->soft);
    if (r == OK) {
        r = emu_compile(p->soft.code, &d->params, d->k, &p->plan);
        if (r != OK) dev_code_free(p->soft.code);
    }
    if (r != OK) {
        mem_drop(p);
        return r;
    }
    soft_loaded(&p->soft);
    *out = &p->soft.base;
    return OK;
}

/* Constants are copies in the plan's memory, so a program whose runs have ended
 * needs nothing but new contents. The chip would compile, so it is counted. */
static rc emu_reload(dev_program *program, const mil_blob_file *files, int n)
{
    emu_program *p = (emu_program *)program;
    TRY(soft_rebind(&p->soft, files, n));
    return emu_fill_constants(p->plan);
}

/* The plan reads the code, so it goes first. */
static void emu_unload(dev_program *program)
{
    emu_program *p = (emu_program *)program;
    soft_settle(&p->soft);
    emu_plan_free(p->plan);
    soft_unload(&p->soft);
    mem_drop(p);
}

/* Only the worker adds to the table, so it is still once no run is in flight. */
static rc emu_counts(dev_program *program, dev_counts *out)
{
    emu_program *p = (emu_program *)program;
    soft_settle(&p->soft);
    *out = p->plan->counts;
    return OK;
}

const dev_driver dev_emu_driver = {
    .name = "emu",
    .form = "emu:MODEL",
    .about = "software Neural Engine: runs MIL programs with a chip's limits and rules",
    .open = emu_open,
    .close = emu_close,
    .caps = soft_caps,
    .load = emu_load,
    .reload = emu_reload,
    .unload = emu_unload,
    .ports = soft_ports,
    .surface = soft_surface_new,
    .map = soft_map,
    .unmap = soft_unmap,
    .drop = soft_drop,
    .run = soft_run,
    .wait = soft_wait,
    .sample = soft_sample,
    .supports = soft_supports,
    .warnings = soft_warnings,
    .counts = emu_counts,
};
