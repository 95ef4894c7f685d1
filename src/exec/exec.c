/* exec.c - one step: issue the plan's steps in order, each once what it waits
 * for is done. The engine runs while this thread issues and the worker sums
 * weight gradients; at the end everything is joined. */
#include "exec/internal.h"

#include <string.h>
#include "base/clock.h"

/* ---- open ---- */
/* The device must bind ports in the plan's order, or values would be swapped
 * without a word. */
rc exec_load(exec *x, int program, const mil_blob_file *files, int n_files)
{
    const plan_program *q = &x->p->programs[program];
    dev_source source = {q->name, q->mil, q->mil_bytes, files, n_files};
    dev_program *loaded = NULL;
    dev_ports ports;
    TRY(dev_load(x->d, &source, &loaded)); /* its error names it */
    x->programs[program] = loaded;
    TRY(dev_ports_of(loaded, &ports));
    bool same = ports.n_in == q->n_in && ports.n_out == q->n_out;
    for (int j = 0; same && j < q->n_in; j++)
        same = strcmp(ports.in[j].name, q->in_names[j]) == 0;
    for (int j = 0; same && j < q->n_out; j++)
        same = strcmp(ports.out[j].name, q->out_names[j]) == 0;
    /* A test that has switched off a guard wants the device to find out. */
    if (!same && !x->p->options.guards_off[0])
        return err_fail(
            E_DEVICE, "program %s: the device binds its ports in another order", q->name);
    return exec_counts_check(x, program);
}

/* Compile each program once; those with baked weights wait for the weights. */
static rc open_programs(exec *x)
{
    const plan *p = x->p;
    for (int i = 0; i < p->n_programs; i++)
        if (!p->programs[i].n_baked)
            TRY(exec_load(x, i, p->programs[i].files, p->programs[i].n_files));
    return OK;
}

size_t exec_warnings(const exec *x, int program, const char *const **lines)
{
    return x->programs[program] ? dev_warnings(x->programs[program], lines) : 0;
}

/* A slot holds values of many shapes, so its surface is just bytes: programs
 * read their tensor packed from byte 0. */
static rc make_slots(exec *x)
{
    const plan *p = x->p;
    for (int i = 0; i < p->n_slots; i++) {
        dev_shape s = {.dtype = MIL_FP16,
                       .rank = 4,
                       .d = {1, 1, 1, (int64_t)(p->slot_bytes[i] / 2)},
                       .bytes = p->slot_bytes[i]};
        TRY(dev_surface_new(x->d, &s, &x->slots[i]));
    }
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].slot >= 0) x->surfaces[i] = x->slots[p->buffers[i].slot];
    return OK;
}

static rc make_surface(exec *x, int buffer)
{
    const plan_buffer *q = &x->p->buffers[buffer];
    TRY_WHILE(dev_surface_new(x->d, &q->shape, &x->surfaces[buffer]),
              "making the surface of %s", q->name ? q->name : "a value");
    return OK;
}

/* What an op that failed half-way has left mapped. */
static void unmap_all(exec *x)
{
    for (int i = 0; i < x->p->n_buffers; i++) {
        if (x->surfaces[i] && x->mapped[i] > 0) dev_unmap(x->surfaces[i]);
        x->mapped[i] = 0;
    }
}

static void drop_slots(exec *x)
{
    for (int i = 0; i < x->p->n_buffers; i++)
        if (x->p->buffers[i].slot >= 0) x->surfaces[i] = NULL;
    for (int i = 0; i < x->p->n_slots; i++) {
        if (x->slots[i]) dev_drop(x->slots[i]);
        x->slots[i] = NULL;
    }
}

static rc open_surfaces(exec *x)
{
    const plan *p = x->p;
    TRY(make_slots(x));
    for (int i = 0; i < p->n_buffers; i++) {
        const plan_buffer *q = &p->buffers[i];
        x->mapping[i] = i;
        for (int j = 0; j < i && x->mapping[i] == i && q->slot >= 0; j++)
            if (p->buffers[j].slot == q->slot) x->mapping[i] = j;
        if (q->home == PLAN_HOST || q->home == PLAN_INPUT) {
            if (!(x->host[i] = arena_take(x->mem, q->bytes))) return E_MEMORY;
        } else if ((q->home == PLAN_SURFACE || q->home == PLAN_WEIGHT) && q->slot < 0) {
            TRY(make_surface(x, i));
        }
    }
    return OK;
}

/* What a failed run should have written cannot be touched again: new surfaces
 * for all that programs write. Weights and inputs keep theirs. */
static rc renew_surfaces(exec *x)
{
    const plan *p = x->p;
    unmap_all(x);
    drop_slots(x);
    for (int i = 0; i < p->n_steps; i++)
        for (int j = 0; p->steps[i].engine && j < p->steps[i].n_out; j++) {
            int buffer = p->steps[i].out[j];
            if (p->buffers[buffer].slot >= 0 || x->lent[buffer]) continue;
            if (x->surfaces[buffer]) dev_drop(x->surfaces[buffer]);
            x->surfaces[buffer] = NULL;
            TRY(make_surface(x, buffer));
        }
    return make_slots(x);
}

/* Params by name, and which of them each buffer belongs to. */
static rc open_bindings(exec *x)
{
    const plan *p = x->p;
    const ir_graph *g = p->given;
    x->bindings = arena_array(x->mem, (size_t)g->n_nodes + 1, sizeof *x->bindings);
    if (!x->bindings) return E_MEMORY;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_param)
            x->bindings[x->n_bindings++] = (binding){
                .name = g->nodes[i]->name, .count = ir_count(g->nodes[i]->shape)};
    for (int i = 0; i < p->n_buffers; i++) {
        plan_home home = p->buffers[i].home;
        x->bound[i] = -1;
        if (home != PLAN_WEIGHT && home != PLAN_MASTER && home != PLAN_GRAD) continue;
        for (int j = 0; j < x->n_bindings; j++)
            if (strcmp(x->bindings[j].name, p->buffers[i].name) == 0) x->bound[i] = j;
    }
    return OK;
}

/* All that a step writes to, so that a step takes nothing. */
static rc take_arrays(exec *x)
{
    const plan *p = x->p;
    size_t buffers = (size_t)p->n_buffers + 1, steps = (size_t)p->n_steps + 1, ports = 1;
    for (int i = 0; i < p->n_programs; i++)
        if (ports < (size_t)(p->programs[i].n_in + p->programs[i].n_out))
            ports = (size_t)(p->programs[i].n_in + p->programs[i].n_out);
    struct {
        void **at;
        size_t n, size;
    } all[] = {
        {(void **)&x->programs, (size_t)p->n_programs + 1, sizeof *x->programs},
        {(void **)&x->stale, (size_t)p->n_programs + 1, sizeof *x->stale},
        {(void **)&x->surfaces, buffers, sizeof *x->surfaces},
        {(void **)&x->slots, (size_t)p->n_slots + 1, sizeof *x->slots},
        {(void **)&x->lent, buffers, sizeof *x->lent},
        {(void **)&x->host, buffers, sizeof *x->host},
        {(void **)&x->bound, buffers, sizeof *x->bound},
        {(void **)&x->mapping, buffers, sizeof *x->mapping},
        {(void **)&x->mapped, buffers, sizeof *x->mapped},
        {(void **)&x->address, buffers, sizeof *x->address},
        {(void **)&x->work, steps, sizeof *x->work},
        {(void **)&x->state, steps, sizeof *x->state},
        {(void **)&x->ticket, steps, sizeof *x->ticket},
        {(void **)&x->queue, steps, sizeof *x->queue},
        {(void **)&x->args, ports, sizeof *x->args},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(*all[i].at = arena_array(x->mem, all[i].n, all[i].size))) return E_MEMORY;
    return OK;
}

static rc open_all(exec *x)
{
    TRY(take_arrays(x));
    TRY(open_bindings(x));
    TRY(open_programs(x));
    TRY(open_surfaces(x));
    for (int i = 0; i < x->p->n_steps; i++)
        if (!x->p->steps[i].engine) TRY(exec_host_prepare(x, i));
    TRY(exec_window_open(x));
    TRY(exec_counts_open(x));
    return exec_worker_start(x);
}

rc exec_open(const plan *p, device *d, kern *k, exec **out)
{
    arena *mem = arena_new();
    exec *x = mem ? arena_take(mem, sizeof *x) : NULL;
    if (!x) {
        arena_free(mem);
        return E_MEMORY;
    }
    *x = (exec){.p = p, .d = d, .k = k, .mem = mem};
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->moved, NULL);
    rc r = open_all(x);
    if (r != OK) {
        err_saved why;
        err_save(r, &why);
        exec_close(x);
        return err_restore(&why);
    }
    *out = x;
    return OK;
}

void exec_close(exec *x)
{
    if (!x) return;
    const plan *p = x->p;
    exec_worker_stop(x);
    for (int i = 0; x->args && i < p->n_steps; i++) exec_host_release(x, i);
    if (x->args) unmap_all(x);
    for (int i = 0; x->args && i < p->n_buffers; i++)
        if (x->surfaces[i] && p->buffers[i].slot < 0 && !x->lent[i])
            dev_drop(x->surfaces[i]);
    if (x->args) drop_slots(x);
    for (int i = 0; x->args && i < p->n_programs; i++)
        if (x->programs[i]) dev_unload(x->programs[i]);
    pthread_cond_destroy(&x->moved);
    pthread_mutex_destroy(&x->lock);
    arena_free(x->mem);
}

/* ---- one step ---- */
/* Queue one run when what it waits for is done; do not wait for it. */
static rc issue_engine(exec *x, int i)
{
    const plan_step *s = &x->p->steps[i];
    rc r = OK;
    for (int w = 0; w < s->n_wait && r == OK; w++) r = exec_await(x, s->wait[w]);
    if (r == OK) r = exec_bake_wait(x, s->program);
    if (r == OK && x->tap) r = exec_show_call(x, i, false);
    for (int j = 0; j < s->n_in; j++) x->args[j] = x->surfaces[s->in[j]];
    for (int j = 0; j < s->n_out; j++) x->args[s->n_in + j] = x->surfaces[s->out[j]];
    if (r == OK)
        r = dev_run(x->programs[s->program], x->args, s->n_in, x->args + s->n_in,
                    s->n_out, &x->ticket[i]);
    pthread_mutex_lock(&x->lock);
    x->state[i] = r == OK ? STEP_FLYING : STEP_DONE;
    pthread_cond_broadcast(&x->moved);
    pthread_mutex_unlock(&x->lock);
    if (r != OK) exec_fail(x, i, r);
    else x->stats.launches++;
    if (r == OK && x->tap && (r = exec_await(x, i)) == OK) {
        r = exec_show_call(x, i, true);
        if (r != OK) exec_fail(x, i, r);
    }
    return r;
}

static void begin(exec *x)
{
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < x->p->n_steps; i++) x->state[i] = STEP_WAITING;
    x->queue_n = x->queue_at = 0;
    x->failure.code = OK;
    x->failed_step = x->infinite_step = -1;
    exec_stats since = x->stats; /* the last step */
    x->stats = (exec_stats){.staging_ms = since.staging_ms,
                            .compiles = since.compiles,
                            .compile_ms = since.compile_ms};
    pthread_mutex_unlock(&x->lock);
}

/* Join everything that was issued, then report the first failure, if any. */
static rc end(exec *x, int issued, double from, exec_stats *stats)
{
    double waiting = clock_ms();
    for (int i = 0; i < issued; i++) exec_await(x, i);
    exec_bake_join(x);
    x->stats.wait_ms = clock_ms() - waiting;
    x->stats.ms = clock_ms() - from;
    if (x->infinite_step >= 0)
        x->stats.first_infinity = x->p->steps[x->infinite_step].scope;
    rc counts = exec_counts_step(x);
    if (stats) *stats = x->stats;
    x->stats.staging_ms = x->stats.compile_ms = 0;
    x->stats.compiles = 0;
    x->tap = NULL;
    if (x->failure.code == OK) return counts;
    x->renew = true;
    rc r = err_restore(&x->failure);
    const plan_step *s = &x->p->steps[x->failed_step];
    return err_while(r, "running step %d, %s%s%s", x->failed_step,
                     s->engine ? x->p->programs[s->program].name : s->what,
                     *s->scope ? " of " : "", s->scope);
}

rc exec_step(exec *x, exec_stats *stats)
{
    double from = clock_ms();
    int i = 0;
    TRY(exec_halves_end(x));
    if (x->renew) TRY_WHILE(renew_surfaces(x), "starting again after a failed step");
    x->renew = false;
    begin(x);
    TRY(exec_bake(x, true));
    for (rc r = OK; i < x->p->n_steps && r == OK; i++) {
        const plan_step *s = &x->p->steps[i];
        if (s->engine) r = issue_engine(x, i);
        else if (s->background) exec_worker_give(x, i);
        else r = exec_run_host(x, i);
    }
    return end(x, i, from, stats);
}
