/* bench_programs.c - `anneal bench programs`: each program of a model's plan,
 * loaded and run by itself on surfaces of small random numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/rng.h"
#include "cli/bench.h"

typedef struct {
    device *dev;
    dev_program *program;
    dev_surface **ports; /* inputs, then outputs */
    int n_in, n_out;
} solo;

static void drop(solo *s)
{
    for (int i = 0; s->ports && i < s->n_in + s->n_out; i++)
        if (s->ports[i]) dev_drop(s->ports[i]);
    if (s->program) dev_unload(s->program);
}

/* Near zero, as activations and weights are: 0.02 keeps every product far from
 * the cliff of the engine. */
static rc fill(dev_surface *surface, const dev_shape *shape)
{
    void *p;
    size_t n = 1;
    for (int i = 0; i < shape->rank; i++) n *= (size_t)shape->d[i];
    TRY(dev_map(surface, &p));
    for (size_t i = 0; i < n; i++)
        ((half *)p)[i] = half_from_float((float)(0.04 * rng_unit(1, 3, i) - 0.02));
    return dev_unmap(surface);
}

/* Baked weights are zeros here: a program takes as long whatever they are. */
static rc prepare(solo *s, const plan *p, int program, arena *mem)
{
    const plan_program *q = &p->programs[program];
    dev_source src = {.name = q->name,
                      .mil = q->mil,
                      .mil_bytes = q->mil_bytes,
                      .files = q->files,
                      .n_files = q->n_files};
    mil_blob_file *zeros;
    if (q->n_baked) {
        TRY(plan_bake(p, program, 0, NULL, mem, &zeros, &src.n_files));
        src.files = zeros;
    }
    s->n_in = q->n_in;
    s->n_out = q->n_out;
    s->ports = arena_array(mem, (size_t)(q->n_in + q->n_out), sizeof *s->ports);
    if (!s->ports) return E_MEMORY;
    TRY(dev_load(s->dev, &src, &s->program));
    for (int i = 0; i < q->n_in; i++) {
        TRY(dev_surface_new(s->dev, &q->in_shapes[i], &s->ports[i]));
        TRY(fill(s->ports[i], &q->in_shapes[i]));
    }
    for (int i = 0; i < q->n_out; i++)
        TRY(dev_surface_new(s->dev, &q->out_shapes[i], &s->ports[q->n_in + i]));
    return OK;
}

static int by_ms(const void *x, const void *y)
{
    double d = ((const dev_stats *)x)->ms - ((const dev_stats *)y)->ms;
    return d < 0 ? -1 : d > 0;
}

static rc run(const solo *s, dev_stats *out)
{
    uint64_t ticket;
    TRY(dev_run(s->program, s->ports, s->n_in, s->ports + s->n_in, s->n_out, &ticket));
    return dev_wait(s->dev, ticket, out);
}

static rc time_runs(const solo *s, int repeat, dev_stats *runs)
{
    bench_warm w = {0};
    dev_caps caps;
    TRY(dev_caps_of(s->dev, &caps));
    do TRY(run(s, runs));
    while (!bench_warmed(&w, runs->ms, caps.hardware));
    for (int i = 0; i < repeat; i++) TRY(run(s, &runs[i]));
    qsort(runs, (size_t)repeat, sizeof *runs, by_ms);
    return OK;
}

static json_t *row(const plan_program *q, const dev_stats *runs, int repeat, int number)
{
    const dev_stats *median = &runs[repeat / 2];
    json_t *o = json_pack("{s:s,s:i,s:i}", "name", q->name, "number", number, "calls",
                          q->calls);
    cli_real(o, "ms", median->ms);
    cli_real(o, "low_ms", runs[repeat / 10].ms);
    cli_real(o, "high_ms", runs[repeat * 9 / 10].ms);
    cli_real(o, "min_ms", runs[0].ms);
    if (q->predicted_ms >= 0) cli_real(o, "predicted_ms", q->predicted_ms);
    cli_real(o, "flops", q->flops);
    cli_real(o, "gflops", q->flops / median->ms / 1e6);
    return o;
}

static rc time_program(const plan *p, int program, device *dev, int repeat, json_t *rows)
{
    const plan_program *q = &p->programs[program];
    arena *mem = arena_new();
    solo s = {.dev = dev};
    dev_stats *runs = mem ? arena_array(mem, (size_t)repeat, sizeof *runs) : NULL;
    rc e = runs ? prepare(&s, p, program, mem) : E_MEMORY;
    if (!e) e = time_runs(&s, repeat, runs);
    if (!e) json_array_append_new(rows, row(q, runs, repeat, program + 1));
    drop(&s);
    arena_free(mem);
    return e ? err_while(e, "timing program %s", q->name) : OK;
}

static rc draw(const char *path, json_t *rows, device *dev)
{
    dev_caps caps;
    TRY(dev_caps_of(dev, &caps));
    bench_chart c = {.title = "programs of a step, each run alone",
                     .note = caps.uri,
                     .x_label = "program, in the order of the plan",
                     .y_label = "ms",
                     .x = "number",
                     .log_y = true,
                     .y = {"ms", "predicted_ms"},
                     .y_name = {caps.hardware ? "measured" : "this machine, as emulator",
                                "predicted on the chip"},
                     .rule = NAN};
    return bench_draw(&c, rows, path);
}

rc cli_bench_programs(const args *a, const plan *p, device *dev, int repeat)
{
    const char *path = args_text(a, "svg", NULL);
    json_t *rows = json_array();
    rc e = rows ? OK : E_MEMORY;
    for (int i = 0; !e && i < p->n_programs; i++)
        e = time_program(p, i, dev, repeat, rows);
    if (!e && path) e = draw(path, rows, dev);
    if (!e && args_has(a, "json")) e = cli_put_json(json_pack("{s:O}", "rows", rows));
    else if (!e) cli_table("programs", rows);
    json_decref(rows);
    return e;
}
