/* bench_host.c - what lies around the arithmetic: dispatch, compile, staging. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/bench.h"
#include "plan/cost.h"

enum { PROGRAMS = 8, TICKETS = 64 };

static json_t *new_row(json_t *o)
{
    json_t *rows = json_object_get(o, "rows");
    if (!rows) json_object_set_new(o, "rows", rows = json_array());
    json_array_append_new(rows, json_object());
    return json_array_get(rows, json_array_size(rows) - 1);
}

static void say_spread(json_t *row, double *ms, size_t n)
{
    cli_real(row, "ms", bench_part(ms, n, 0.5));
    cli_real(row, "low_ms", bench_part(ms, n, 0.1));
    cli_real(row, "high_ms", bench_part(ms, n, 0.9));
    cli_real(row, "min_ms", ms[0]);
}

/* ---- dispatch ---- */

/* `flight` runs queued, over the programs in turn, then all waited for; the time of
 * one is what the batch took over how many it was. */
static rc batch(const bench_loaded *r, int programs, int flight, double *ms)
{
    uint64_t ticket[TICKETS];
    rc e = OK;
    int n = 0;
    double start = clock_ms();
    for (; !e && n < flight; n++) e = bench_run(&r[n % programs], &ticket[n]);
    if (e) n--; /* the last one was not queued */
    for (int i = 0; i < n; i++) {
        rc w = dev_wait(r->dev, ticket[i], NULL);
        if (!e) e = w;
    }
    *ms = (clock_ms() - start) / flight;
    return e;
}

static rc batches(bench_lab *l, const bench_loaded *r, int programs, int flight,
                  json_t *row)
{
    size_t n = (size_t)l->repeat * 10;
    double *ms = mem_take(n * sizeof *ms), warm = clock_ms(), unused;
    rc e = ms ? OK : E_MEMORY;
    /* a chip's clock climbs while it works */
    while (!e && clock_ms() - warm < (l->caps.hardware ? 500 : 20))
        e = batch(r, programs, flight, &unused);
    for (size_t i = 0; !e && i < n; i++) e = batch(r, programs, flight, &ms[i]);
    json_object_set_new(row, "programs", json_integer(programs));
    json_object_set_new(row, "in_flight", json_integer(flight));
    if (!e) {
        say_spread(row, ms, n);
        cli_real(row, "p99_ms", bench_part(ms, n, 0.99));
    }
    mem_drop(ms);
    return e;
}

static rc all_batches(bench_lab *l, const bench_loaded *r, json_t *o)
{
    static const int flights[] = {1, 2, 4, 8, 16, 64};
    double least = INFINITY;
    for (int programs = 1; programs <= PROGRAMS; programs *= 2)
        for (size_t i = 0; i < sizeof flights / sizeof *flights; i++) {
            json_t *row;
            char name[32];
            if (flights[i] < programs ||
                (l->caps.queue_depth && flights[i] > l->caps.queue_depth))
                continue;
            row = new_row(o);
            snprintf(name, sizeof name, "%d program%s", programs,
                     programs > 1 ? "s" : "");
            json_object_set_new(row, "which", json_string(name));
            TRY(batches(l, r, programs, flights[i], row));
            least = fmin(least, json_number_value(json_object_get(row, "min_ms")));
        }
    cli_real(o, "floor_ms", least);
    return OK;
}

rc bench_dispatch(bench_lab *l, json_t *o, bench_chart *c)
{
    bench_program p = {0};
    bench_loaded r[PROGRAMS];
    int n = 0;
    rc e = bench_small(l, &p);
    cli_real(o, "floor_predicted_ms", bench_predicted(&p));
    for (; !e && n < PROGRAMS; n++) e = bench_load(l->dev, &p, true, &r[n]);
    if (!e) e = all_batches(l, r, o);
    while (n-- > 0) bench_unload(&r[n]);
    bench_program_free(&p);
    c->title = "dispatch: the time of one launch";
    c->x_label = "launches in flight";
    c->y_label = "ms a launch";
    c->x = "in_flight";
    c->group = "which";
    c->log_x = true;
    c->y[0] = "ms";
    c->y_name[0] = "";
    c->note = "; measured by the clock, first to last tenth";
    return e;
}

/* ---- compile ---- */

static rc compiled(bench_lab *l, const bench_program *p, double *ms, double *unload)
{
    bench_loaded r;
    double start = clock_ms();
    rc e = bench_load(l->dev, p, false, &r);
    *ms = clock_ms() - start;
    start = clock_ms();
    bench_unload(&r);
    *unload = clock_ms() - start;
    return e;
}

/* Compiled once as new, then again: what a cache, ours or the system's, gives. Few
 * turns, since each takes from the budget of a process. */
static rc compile_row(bench_lab *l, int depth, int channels, json_t *row)
{
    enum { AGAIN = 3 };
    bench_program p = {0};
    double first = NAN, unload = NAN, again[AGAIN];
    rc e = bench_chain(l, BENCH_FP16, depth, channels, 1, 64, &p);
    json_object_set_new(row, "layers", json_integer(depth));
    json_object_set_new(row, "weight_bytes", json_integer((json_int_t)p.weight_bytes));
    if (!e) e = compiled(l, &p, &first, &unload);
    for (int i = 0; !e && i < AGAIN; i++) e = compiled(l, &p, &again[i], &unload);
    bench_program_free(&p);
    if (e) return err_while(e, "compiling %d layers of %d channels", depth, channels);
    if (l->caps.profile)
        cli_real(row, "predicted_ms", plan_compile_of(l->caps.profile)->ms);
    cli_real(row, "first_ms", first);
    say_spread(row, again, AGAIN);
    cli_real(row, "unload_ms", unload);
    return OK;
}

/* The model of time knows no sizes here: nobody has published how a compile grows.
 * Its band is what was published of the very chip, and absent for others. */
static rc say_predicted(const bench_lab *l, json_t *o)
{
    const dev_profile *chip = l->caps.profile;
    if (!chip) return OK;
    const plan_compile *t = plan_compile_of(chip);
    bool own = !strcmp(t->chip, chip->name);
    const char *how = arena_printf(
        l->a->mem, "a program compiled as new on %s, %s%s (%s)", chip->name,
        own ? "as published of it" : "of which nothing is published: as on ",
        own ? "" : t->chip, t->source);
    json_t *p = json_object();
    if (!how || !p) return E_MEMORY;
    json_object_set_new(p, "how", json_string(how));
    json_object_set_new(p, "profile", json_string(chip->name));
    cli_real(p, "predicted_ms", t->ms);
    if (own) {
        cli_real(p, "low_ms", t->low);
        cli_real(p, "high_ms", t->high);
    }
    json_object_set_new(o, "predicted", p);
    json_object_del(o, "error_band"); /* of launches */
    return OK;
}

rc bench_compile(bench_lab *l, json_t *o, bench_chart *c)
{
    static const int size[][2] = {{1, 64}, {1, 512}, {16, 64}, {16, 512}, {64, 512}};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        TRY(compile_row(l, size[i][0], size[i][1], new_row(o)));
    TRY(say_predicted(l, o));
    c->title = "compile: from text and weights to a loaded program";
    c->x_label = "bytes of weights";
    c->y_label = "ms";
    c->x = "weight_bytes";
    c->log_x = c->log_y = true;
    c->y[0] = "first_ms";
    c->y_name[0] = "first";
    c->y[1] = "ms";
    c->y_name[1] = "again";
    c->y[2] = "predicted_ms";
    c->y_name[2] = "predicted on the chip";
    c->note = "; measured by the clock";
    return OK;
}

/* ---- staging ---- */

typedef struct {
    void *surface;
    half *halves;
    float *floats;
    size_t channels, columns;
} stage;

static void copy(const stage *s)
{
    memcpy(s->surface, s->halves, s->channels * s->columns * sizeof *s->halves);
}

static void convert(const stage *s)
{
    half_from_floats(s->floats, s->surface, s->channels * s->columns);
}

/* The host holds a token's channels together, the surface a channel's tokens. */
static void turn(const stage *s)
{
    half *to = s->surface;
    for (size_t c = 0; c < s->channels; c++)
        for (size_t t = 0; t < s->columns; t++)
            to[c * s->columns + t] = half_from_float(s->floats[t * s->channels + c]);
}

static void read_back(const stage *s)
{
    half_to_floats(s->surface, s->floats, s->channels * s->columns);
}

static rc stage_row(bench_lab *l, dev_surface *surface, stage *s,
                    void (*move)(const stage *s), json_t *row)
{
    double bytes = 2.0 * (double)s->channels * (double)s->columns;
    double *ms = mem_take(sizeof *ms * (size_t)l->repeat);
    rc e = ms ? OK : E_MEMORY;
    for (int i = -1; !e && i < l->repeat; i++) { /* the first counts for nothing */
        double start = clock_ms();
        e = dev_map(surface, &s->surface);
        if (!e) move(s);
        if (!e) e = dev_unmap(surface);
        if (i >= 0) ms[i] = clock_ms() - start;
    }
    if (!e) {
        say_spread(row, ms, (size_t)l->repeat);
        cli_real(row, "gbs", bytes / bench_part(ms, (size_t)l->repeat, 0.5) / 1e6);
    }
    mem_drop(ms);
    return e;
}

static rc stage_size(bench_lab *l, size_t columns, json_t *o)
{
    static const struct {
        const char *name;
        void (*move)(const stage *s);
        dev_host_work work; /* as the model of time has it, ... */
        double bytes;       /* ... of so many bytes an element */
    } ways[] = {{"fp16 copied", copy, DEV_HOST_COPY, 2},
                {"fp32 converted", convert, DEV_HOST_CAST, 4},
                {"fp32 turned and converted", turn, DEV_HOST_SCALAR, 4},
                {"fp16 read back to fp32", read_back, DEV_HOST_CAST, 4}};
    stage s = {.channels = 768, .columns = columns};
    dev_shape shape = {.dtype = MIL_FP16, .rank = 4, .d = {1, 768, 1, (int64_t)columns}};
    dev_surface *surface = NULL;
    size_t n = s.channels * columns;
    s.halves = mem_take(n * sizeof *s.halves);
    s.floats = mem_take(n * sizeof *s.floats);
    rc e = s.halves && s.floats ? dev_surface_new(l->dev, &shape, &surface) : E_MEMORY;
    for (size_t i = 0; !e && i < sizeof ways / sizeof *ways; i++) {
        json_t *row = new_row(o);
        json_object_set_new(row, "way", json_string(ways[i].name));
        json_object_set_new(row, "bytes", json_integer((json_int_t)n * 2));
        if (l->caps.profile)
            cli_real(row, "predicted_ms",
                     dev_host_ms(l->caps.profile, NULL, ways[i].work,
                                 ways[i].bytes * (double)n));
        e = stage_row(l, surface, &s, ways[i].move, row);
    }
    if (surface) dev_drop(surface);
    mem_drop(s.halves);
    mem_drop(s.floats);
    return e;
}

rc bench_staging(bench_lab *l, json_t *o, bench_chart *c)
{
    for (size_t columns = 64; columns <= 16384; columns *= 4)
        TRY(stage_size(l, columns, o));
    c->title = "staging: values of the host to and from a surface, one thread";
    c->x_label = "bytes on the surface";
    c->y_label = "GB/s";
    c->x = "bytes";
    c->group = "way";
    c->log_x = true;
    c->y[0] = "gbs";
    c->y_name[0] = "";
    c->note = "; measured by the clock";
    return OK;
}
