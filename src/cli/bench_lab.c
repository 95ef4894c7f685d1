/* bench_lab.c - how one program is timed.
 *
 * A chip's clock climbs while it works and falls when it idles, caches and pages are
 * cold at first; so a program is run in groups until the median of one group is
 * within 3 % of that of the group before (or the time for it is over), and only then
 * measured. What is said is the median and the first and last tenth, never a mean:
 * an interruption makes one run longer and none shorter.
 *
 * Predictions are those of the model of time (dev/cost.h) for what the program was
 * written to do, on any device whose chip has a profile. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "cli/bench.h"

/* Work that a software engine is given at a time; a real one is given any. */
enum { PAGE = 16384 };
static const double soft_flops = 1.2e10, soft_bytes = 4e7, settle_ms = 300,
                    settle_chip_ms = 2000;

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

double bench_part(double *v, size_t n, double part)
{
    if (!n) return NAN;
    qsort(v, n, sizeof *v, by_value);
    size_t at = (size_t)(part * (double)n);
    return v[at < n ? at : n - 1];
}

/* Small numbers that differ; a row of 4096 again and again is quick to write. */
static rc fill(dev_surface *surface, size_t n)
{
    half some[4096];
    void *p;
    for (size_t i = 0; i < 4096; i++)
        some[i] = half_from_float((float)(rng_unit(1, 3, i) - 0.5));
    TRY(dev_map(surface, &p));
    for (size_t at = 0; at < n; at += 4096)
        memcpy((half *)p + at, some, (n - at < 4096 ? n - at : 4096) * sizeof *some);
    return dev_unmap(surface);
}

static rc surface_for(device *dev, const dev_port *port, bool filled, dev_surface **out)
{
    dev_caps caps;
    dev_shape shape = {.dtype = port->type.dtype, .rank = port->type.rank};
    size_t n = 1;
    TRY(dev_caps_of(dev, &caps));
    for (int i = 0; i < shape.rank; i++) {
        shape.d[i] = port->type.d[i];
        n *= (size_t)shape.d[i];
    }
    shape.bytes = (n * mil_dtype_bytes(shape.dtype) + PAGE - 1) / PAGE * PAGE;
    if (shape.bytes < caps.surface_min_bytes) shape.bytes = caps.surface_min_bytes;
    TRY(dev_surface_new(dev, &shape, out));
    return filled ? fill(*out, n) : OK;
}

rc bench_load(device *dev, const bench_program *p, bool filled, bench_loaded *out)
{
    mil_blob_file file = {.path = "@model_path/weights/w.bin"};
    dev_source src = {.name = "bench", .mil = p->text.p, .mil_bytes = p->text.n};
    dev_ports ports;
    *out = (bench_loaded){.dev = dev};
    if (p->blob) {
        TRY(mil_blob_bytes(p->blob, &file.bytes, &file.size));
        src.files = &file;
        src.n_files = 1;
    }
    TRY(dev_load(dev, &src, &out->program));
    TRY(dev_ports_of(out->program, &ports));
    for (; out->n_in < ports.n_in && out->n_in < 4; out->n_in++)
        TRY(surface_for(dev, &ports.in[out->n_in], filled, &out->in[out->n_in]));
    for (; out->n_out < ports.n_out && out->n_out < 4; out->n_out++)
        TRY(surface_for(dev, &ports.out[out->n_out], false, &out->out[out->n_out]));
    return OK;
}

rc bench_run(const bench_loaded *r, uint64_t *ticket)
{
    return dev_run(r->program, r->in, r->n_in, r->out, r->n_out, ticket);
}

void bench_unload(bench_loaded *r)
{
    for (int i = 0; i < 4; i++) {
        if (r->in[i]) dev_drop(r->in[i]);
        if (r->out[i]) dev_drop(r->out[i]);
    }
    if (r->program) dev_unload(r->program);
    *r = (bench_loaded){0};
}

static rc once(const bench_loaded *r, dev_stats *s)
{
    uint64_t ticket;
    TRY(bench_run(r, &ticket));
    return dev_wait(r->dev, ticket, s);
}

bool bench_warmed(bench_warm *w, double ms, bool chip)
{
    if (!w->runs++) w->start = clock_ms() - ms, w->before = INFINITY;
    w->ms[w->n++] = ms;
    if (clock_ms() - w->start > (chip ? settle_chip_ms : settle_ms)) return true;
    if (w->n < BENCH_GROUP) return false;
    double now = bench_part(w->ms, BENCH_GROUP, 0.5);
    bool settled = fabs(now - w->before) < 0.03 * w->before;
    w->before = now;
    w->n = 0;
    return settled;
}

static rc settle(const bench_lab *l, const bench_loaded *r, int *runs)
{
    bench_warm w = {0};
    dev_stats s;
    do TRY(once(r, &s));
    while (!bench_warmed(&w, s.ms, l->caps.hardware));
    *runs = w.runs;
    return OK;
}

static void rates(const bench_lab *l, double flops, double ms, double predicted,
                  double watts, json_t *row)
{
    const dev_profile *chip = l->caps.profile;
    double done = flops / ms / 1e9, should = flops / predicted / 1e9;
    if (!(flops > 0)) return;
    cli_real(row, "tflops", done);
    cli_real(row, "tflops_predicted", should);
    if (chip) cli_real(row, "utilisation", should / chip->peak_tflops);
    if (watts > 0) {
        cli_real(row, "watts", watts);
        cli_real(row, "tflops_per_watt", done / watts);
    }
}

static rc timed(bench_lab *l, const bench_program *p, double *median, double *watts,
                json_t *row)
{
    bench_loaded r;
    dev_mean meter = {0};
    dev_sample unused;
    int warm = 0;
    double *ms = mem_take(sizeof *ms * (size_t)l->repeat);
    rc e = ms ? bench_load(l->dev, p, true, &r) : E_MEMORY;
    if (!ms) return e;
    if (!e) e = settle(l, &r, &warm);
    if (!e) e = dev_sample_of(l->dev, &unused); /* what was before is over */
    for (int i = 0; !e && i < l->repeat; i++) {
        dev_stats s;
        e = once(&r, &s);
        ms[i] = s.ms;
        dev_mean_add(&meter, l->dev, DEV_WATTS);
    }
    if (!e) {
        size_t n = (size_t)l->repeat;
        *median = bench_part(ms, n, 0.5);
        *watts = dev_mean_of(&meter);
        cli_real(row, "ms", *median);
        cli_real(row, "low_ms", bench_part(ms, n, 0.1));
        cli_real(row, "high_ms", bench_part(ms, n, 0.9));
        cli_real(row, "min_ms", ms[0]);
        json_object_set_new(row, "warm_runs", json_integer(warm));
    }
    bench_unload(&r);
    mem_drop(ms);
    return e;
}

/* On a device that computes nothing a program is only held to the chip's rules. */
static rc judged(bench_lab *l, const bench_program *p)
{
    bench_loaded r;
    rc e = bench_load(l->dev, p, false, &r);
    bench_unload(&r);
    return e;
}

bool bench_runs(const bench_lab *l, double flops, double weight_bytes)
{
    return l->caps.hardware || (flops <= soft_flops && weight_bytes <= soft_bytes);
}

rc bench_measure(bench_lab *l, const bench_program *p, json_t *row)
{
    double ms = NAN, should = bench_predicted(p), watts = NAN;
    cli_real(row, "predicted_ms", should);
    if (!bench_runs(l, p->flops, p->weight_bytes)) l->skipped |= l->caps.computes;
    else if (l->caps.computes) TRY(timed(l, p, &ms, &watts, row));
    else TRY(judged(l, p));
    if (p->flops > 0) cli_real(row, "flops", p->flops);
    rates(l, p->flops, ms, should, watts, row);
    return OK;
}
