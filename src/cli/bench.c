/* bench.c - `anneal bench layer|step|gemm|programs`: time on a device, without
 * data; the sweeps are in bench_sweep.c. Rates are set against the processor's own fp32
 * FMA peak, measured in the same run, and against the chip's peak where its predicted
 * time is known. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/session.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "cli/bench.h"
#include "dev/cost.h"
#include "exec/exec.h"
#include "plan/anchors.h"
#include "plan/timeline.h"

typedef struct {
    const char *what;
    double ms, min_ms, flops, predicted_ms, peak_gflops;
    plan_times times; /* predicted_ms in parts */
    bool update;      /* with AdamW and staging */
    double *each;     /* ms of every repetition, in order; n_each of them */
    int n_each;
    double watts; /* of the engine while it was timed; NaN = no meter */
    int launches, loads;
} figures;

enum { PEAK_MS = 200 };

/* A graph with fp16 inputs and params, filled with small random numbers, timed
 * as a plan. */
typedef struct {
    plan *p;
    exec *x;
    float *weights, *grads;
} timed;

static rc fill(timed *t, const ir_graph *g, arena *mem)
{
    size_t total = 0, at = 0;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == IR_param) total += (size_t)ir_count(g->nodes[i]->shape);
    t->weights = mem_take((total + 1) * sizeof *t->weights);
    t->grads = mem_take((total + 1) * sizeof *t->grads);
    if (!t->weights || !t->grads) return E_MEMORY;
    for (size_t i = 0; i < total; i++)
        t->weights[i] = (float)(0.04 * rng_unit(1, 1, i) - 0.02);
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        size_t count = (size_t)ir_count(n->shape);
        if (n->op == IR_param) {
            TRY(exec_bind(t->x, n->name, t->weights + at, t->grads + at));
            at += count;
        } else if (n->op == IR_input) {
            float *v = arena_array(mem, count, sizeof *v);
            if (!v) return E_MEMORY;
            for (size_t j = 0; j < count; j++) v[j] = (float)(rng_unit(1, 2, j) - 0.5);
            TRY(exec_input(t->x, n->name, v, count * sizeof *v));
        }
    }
    return exec_stage(t->x);
}

static rc warm_up(timed *t, bool chip)
{
    bench_warm w = {0};
    exec_stats s;
    do TRY(exec_step(t->x, &s));
    while (!bench_warmed(&w, s.ms, chip));
    return OK;
}

static rc repeat_pass(timed *t, device *d, bool chip, int repeat, figures *f)
{
    exec_stats s = {0};
    dev_mean watts = {0};
    dev_sample unused;
    rc e = warm_up(t, chip);
    if (!e) e = dev_sample_of(d, &unused); /* what was before is over */
    for (int i = 0; !e && i < repeat; i++) {
        e = exec_step(t->x, &s);
        f->each[i] = s.ms;
        dev_mean_add(&watts, d, DEV_WATTS);
    }
    f->watts = dev_mean_of(&watts);
    f->flops = s.flops;
    f->launches = s.launches;
    return e;
}

/* Of every product, wherever it is computed. */
static double planned_flops(const plan *p)
{
    double flops = 0;
    for (int i = 0; i < p->n_programs; i++)
        flops += p->programs[i].flops * p->programs[i].calls;
    for (int i = 0; i < p->n_steps; i++)
        if (!p->steps[i].engine) flops += plan_host_flops(&p->steps[i]);
    return flops;
}

/* A device that computes nothing has nothing to time: the plan alone, and its
 * picture. */
static rc predict_only(const args *a, const plan *p, figures *f)
{
    str svg = {0};
    f->n_each = 0;
    f->watts = NAN;
    f->flops = planned_flops(p);
    f->launches = p->launches;
    if (!args_has(a, "svg")) return OK;
    rc e = cli_plan_svg(p, &svg);
    if (!e) e = file_replace(args_text(a, "svg", ""), svg.p, svg.n);
    str_free(&svg);
    return e;
}

static rc time_graph(const args *a, const ir_graph *g, const config *c, machine *m,
                     int repeat, figures *f)
{
    timed t = {0};
    dev_caps caps;
    plan_options o;
    arena *mem = arena_new();
    if (!mem) return E_MEMORY;
    config_plan(c, &o);
    rc e = dev_caps_of(m->dev, &caps);
    if (!e) e = plan_build(g, &caps, &o, &t.p);
    if (!e) f->times = plan_times_of(t.p), f->loads = t.p->loads;
    if (!e && !caps.computes) {
        e = predict_only(a, t.p, f);
    } else {
        if (!e) e = exec_open(t.p, m->dev, m->k, &t.x);
        if (!e) e = fill(&t, g, mem);
        if (!e) e = repeat_pass(&t, m->dev, caps.hardware, repeat, f);
    }
    if (t.x) exec_close(t.x);
    plan_free(t.p);
    mem_drop(t.weights);
    mem_drop(t.grads);
    arena_free(mem);
    return e;
}

static rc sizes(const args *a, bool layer, model_config *m)
{
    static const struct {
        const char *flag;
        size_t at;
        int64_t otherwise;
    } rows[] = {
        {"dim", offsetof(model_config, dim), 768},
        {"hidden", offsetof(model_config, hidden), 2048},
        {"heads", offsetof(model_config, heads), 12},
        {"kv-heads", offsetof(model_config, kv_heads), 0},
        {"layers", offsetof(model_config, layers), 12},
        {"seq", offsetof(model_config, seq), 256},
        {"vocab", offsetof(model_config, vocab), 32000},
    };
    *m = (model_config){
        .kind = "llama", .rope_theta = 10000, .norm_eps = 1e-5, .tied = true};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t v, otherwise = rows[i].otherwise;
        if (layer && !strcmp(rows[i].flag, "layers")) otherwise = 1;
        if (layer && !strcmp(rows[i].flag, "seq")) otherwise = 512;
        TRY(args_int(a, rows[i].flag, 1, 1 << 24, otherwise, &v));
        *(int *)((char *)m + rows[i].at) = (int)v;
    }
    return model_config_finish(m);
}

static rc bench_gemm(const args *a, const config *c, machine *mach, int repeat,
                     figures *f)
{
    int64_t m, n, k;
    TRY(args_int(a, "m", 1, 65536, 768, &m));
    TRY(args_int(a, "n", 1, 65536, 512, &n));
    TRY(args_int(a, "k", 1, 65536, 768, &k));
    ir_graph *g = ir_new();
    if (!g) return E_MEMORY;
    ir_node *w = ir_input(g, "w", IR_FP16, ir_s4(1, 1, m, k));
    ir_node *x = ir_input(g, "x", IR_FP16, ir_s4(1, 1, k, n));
    ir_output(g, "y", ir_matmul(g, w, x, false, false));
    rc e = ir_rc(g);
    if (!e) e = time_graph(a, g, c, mach, repeat, f);
    ir_free(g);
    return e;
}

static rc bench_layer(const args *a, const config *c, machine *mach, int repeat,
                      figures *f)
{
    model_config m;
    int64_t batch;
    ir_graph *g;
    TRY(sizes(a, true, &m));
    TRY(args_int(a, "batch", 1, 65536, 1, &batch));
    TRY(model_graph(&m, MODEL_LAYERS, (int)batch, m.seq, &g));
    rc e = time_graph(a, g, c, mach, repeat, f);
    ir_free(g);
    return e;
}

/* The model of --recipe, or of the size flags. */
static rc whole_model(const args *a, config *c, model_config *m, int64_t *batch)
{
    const char *recipe = args_text(a, "recipe", NULL);
    if (recipe) TRY(config_read(c, recipe));
    TRY(args_settings(a, a->n_word, c));
    TRY(args_int(a, "batch", 1, 65536, recipe ? config_int(c, OPT_train_batch) : 1,
                 batch));
    if (!recipe) return sizes(a, false, m);
    config_model(c, m);
    if (!m->vocab) m->vocab = 257;
    return model_config_finish(m);
}

static rc bench_step(const args *a, config *c, machine *mach, int repeat, figures *f)
{
    model_config m;
    plan_options o;
    dev_caps caps;
    train_timing t;
    int64_t batch;
    TRY(whole_model(a, c, &m, &batch));
    config_plan(c, &o);
    f->update = true;
    TRY(dev_caps_of(mach->dev, &caps));
    if (!caps.computes) {
        ir_graph *g;
        TRY(model_graph(&m, MODEL_GRAD, (int)batch, m.seq, &g));
        rc e = time_graph(a, g, c, mach, repeat, f);
        ir_free(g);
        return e;
    }
    TRY(train_time(&m, (int)batch, repeat, &o, mach->dev, mach->k, f->each, &t));
    f->flops = t.flops;
    f->times = t.predicted;
    f->watts = t.watts;
    f->launches = t.launches;
    f->loads = t.loads;
    return OK;
}

static rc bench_programs(const args *a, config *c, machine *mach, int repeat)
{
    model_config m;
    plan_options o;
    dev_caps caps;
    int64_t batch;
    ir_graph *g;
    plan *p = NULL;
    TRY(whole_model(a, c, &m, &batch));
    TRY(model_graph(&m, MODEL_GRAD, (int)batch, m.seq, &g));
    config_plan(c, &o);
    rc e = dev_caps_of(mach->dev, &caps);
    if (!e) e = plan_build(g, &caps, &o, &p);
    if (!e) e = cli_bench_programs(a, p, mach->dev, repeat);
    plan_free(p);
    ir_free(g);
    return e;
}

/* What one watt gives: what was done by what was drawn meanwhile, where the
 * device has a meter; else what is predicted by what was published for a load that
 * is named. NaN where neither is known. */
typedef struct {
    double watts, tflops_per_watt;
    const char *source, *load, *from; /* load and from: published alone */
} power;

static power power_of(const figures *f, const dev_profile *p, double done,
                      double predicted)
{
    if (f->watts > 0)
        return (power){
            .watts = f->watts, .tflops_per_watt = done / f->watts, .source = "measured"};
    const dev_power *w = p ? dev_power_training(p) : NULL;
    if (!w) return (power){.watts = NAN, .tflops_per_watt = NAN};
    return (power){w->watts, predicted / w->watts, "published", w->doing, w->source};
}

static void print_power(const power *w)
{
    if (!isfinite(w->tflops_per_watt)) return;
    printf("  %.2f TFLOP/s per watt, of %.2f W %s", w->tflops_per_watt, w->watts,
           w->source);
    if (w->load) printf(" of another load (%s; %s)", w->load, w->from);
    puts("");
}

static void add_power(const power *w, json_t *o)
{
    if (!isfinite(w->tflops_per_watt)) return;
    cli_real(o, "tflops_per_watt", w->tflops_per_watt);
    cli_real(o, "watts", w->watts);
    json_object_set_new(o, "watts_source", json_string(w->source));
    if (!w->load) return;
    json_object_set_new(o, "watts_load", json_string(w->load));
    json_object_set_new(o, "watts_from", json_string(w->from));
}

/* Every repetition as a point: what varies, and how. */
static rc draw(const args *a, const figures *f, const dev_caps *caps)
{
    bench_chart c = {.note = caps->uri,
                     .x_label = "repetition",
                     .y_label = "ms, measured",
                     .x = "repetition",
                     .y = {"time"},
                     .y_name = {f->what},
                     .rule = f->predicted_ms > 0 ? f->predicted_ms : (double)NAN,
                     .rule_name = "predicted on the chip"};
    const char *path = args_text(a, "svg", NULL);
    json_t *rows = json_array();
    rc e = rows ? OK : E_MEMORY;
    c.title = arena_printf(a->mem, "bench %s", f->what);
    if (!c.title) e = E_MEMORY;
    for (int i = 0; !e && i < f->n_each; i++)
        json_array_append_new(
            rows, json_pack("{s:i,s:f}", "repetition", i + 1, "time", f->each[i]));
    if (!e && path) e = bench_draw(&c, rows, path);
    json_decref(rows);
    return e;
}

/* What the predicted time is made of. */
static void print_parts(const figures *f)
{
    const plan_times *t = &f->times;
    if (!(t->serial > 0)) return;
    printf("    engine %.3f ms, host %.3f", t->engine, t->host);
    if (f->update)
        printf(", staging %.3f, optimizer %.3f (the bandwidth of memory, 28 bytes a "
               "parameter: %.3f)",
               t->staging, t->optimizer, t->floor);
    printf("; %.3f if nothing overlapped\n", f->update ? t->serial : t->engine + t->host);
}

static void add_parts(const figures *f, json_t *o)
{
    const plan_times *t = &f->times;
    cli_real(o, "engine_ms", t->engine);
    cli_real(o, "host_ms", t->host);
    cli_real(o, "serial_ms", f->update ? t->serial : t->engine + t->host);
    if (!f->update) return;
    cli_real(o, "pass_ms", t->pass);
    cli_real(o, "staging_ms", t->staging);
    cli_real(o, "optimizer_ms", t->optimizer);
    cli_real(o, "optimizer_floor_ms", t->floor);
}

/* sweep: a product of the usual size is followed by one of each size. */
static rc report(const args *a, figures *f, machine *m, bool sweep)
{
    dev_caps caps;
    TRY(dev_caps_of(m->dev, &caps));
    f->predicted_ms = f->update ? f->times.step : f->times.pass;
    if (!sweep && f->n_each) TRY(draw(a, f, &caps));
    size_t n = (size_t)f->n_each;
    double low = bench_part(f->each, n, 0.1), high = bench_part(f->each, n, 0.9);
    f->ms = bench_part(f->each, n, 0.5);
    f->min_ms = n ? f->each[0] : (double)NAN;
    double gflops = caps.computes ? f->flops / f->ms / 1e6 : (double)NAN;
    double predicted = f->predicted_ms;
    double tflops = predicted > 0 ? f->flops / predicted / 1e9 : NAN;
    double peak = caps.profile ? caps.profile->peak_tflops : NAN;
    double band = caps.profile ? plan_error_band(caps.profile) : NAN;
    power w = power_of(f, caps.profile, gflops / 1e3, tflops);
    if (!args_has(a, "json")) {
        printf("%s on %s, %d threads (%s)\n", f->what, caps.uri, kern_threads(m->k),
               kern_isa(m->k));
        if (caps.computes)
            printf("  %.2f ms median (%.2f to %.2f, %.2f least); %.1f GFLOP/s, %.3f of "
                   "this processor's %.0f\n",
                   f->ms, low, high, f->min_ms, gflops, gflops / f->peak_gflops,
                   f->peak_gflops);
        if (isfinite(tflops))
            printf("  predicted on %s (within %.0f %% as a rule) %.3f ms, %.2f TFLOP/s, "
                   "%.1f %% of %.1f\n",
                   caps.profile->name, 100 * band, predicted, tflops, 100 * tflops / peak,
                   peak);
        print_parts(f);
        print_power(&w);
        printf("  %d launches, %d loads, peak memory %.2f GB\n", f->launches, f->loads,
               (double)clock_peak_rss() / 1e9);
        return sweep ? bench_sweep(a, m, f->n_each, f->what, NULL) : OK;
    }
    json_t *o = json_object();
    cli_real(o, "ms", f->ms);
    cli_real(o, "min_ms", f->min_ms);
    cli_real(o, "low_ms", low);
    cli_real(o, "high_ms", high);
    if (predicted > 0) cli_real(o, "predicted_ms", predicted);
    add_parts(f, o);
    if (caps.profile) json_object_set_new(o, "profile", json_string(caps.profile->name));
    cli_real(o, "error_band", band);
    cli_real(o, "gflops", gflops);
    cli_real(o, "peak_gflops", f->peak_gflops);
    cli_real(o, "fraction_of_peak", gflops / f->peak_gflops);
    json_object_set_new(o, "launches", json_integer(f->launches));
    json_object_set_new(o, "loads", json_integer(f->loads));
    cli_real(o, "tflops_predicted", tflops);
    cli_real(o, "peak_tflops", peak);
    cli_real(o, "utilisation", tflops / peak);
    add_power(&w, o);
    json_object_set_new(o, "peak_rss_bytes", json_integer((json_int_t)clock_peak_rss()));
    if (caps.profile) json_object_set_new(o, "source", json_string(caps.profile->source));
    json_object_set_new(o, "device", json_string(caps.uri));
    return sweep ? bench_sweep(a, m, f->n_each, f->what, o) : cli_put_json(o);
}

static const char kinds[] =
    "layer, step, gemm, programs, peak, dispatch, sram, int8, compile and staging";

/* The processor's peak is taken before and after and the larger one counts, so
 * that a slow moment does not flatter the fraction. */
static rc measure_one(args *a, config *c, machine *m, int repeat, figures *f)
{
    bool one = args_has(a, "m") || args_has(a, "n") || args_has(a, "k");
    double before = kern_peak_gflops(m->k, PEAK_MS);
    if (!strcmp(f->what, "gemm")) TRY(bench_gemm(a, c, m, repeat, f));
    else if (!strcmp(f->what, "layer")) TRY(bench_layer(a, c, m, repeat, f));
    else TRY(bench_step(a, c, m, repeat, f));
    f->peak_gflops = fmax(before, kern_peak_gflops(m->k, PEAK_MS));
    return report(a, f, m, !strcmp(f->what, "gemm") && !one);
}

static rc like(const args *a, config *c, machine *mach)
{
    model_config m;
    int64_t batch;
    bool layer = !strcmp(a->word[0], "layer");
    if (layer) TRY(sizes(a, true, &m));
    if (layer) TRY(args_int(a, "batch", 1, 65536, 1, &batch));
    if (!layer && strcmp(a->word[0], "step"))
        return err_fail(E_USAGE, "--like is for layer and step, not for %s", a->word[0]);
    if (!layer) TRY(whole_model(a, c, &m, &batch));
    return cli_like_bench(a, &m, layer, batch, mach->dev);
}

static rc measure(args *a, config *c, machine *m)
{
    const char *what = a->word[0];
    figures f = {.what = what};
    int64_t repeat;
    if (args_has(a, "like")) return like(a, c, m);
    TRY(args_int(a, "repeat", 1, 100000, 10, &repeat));
    if (!strcmp(what, "programs")) return bench_programs(a, c, m, (int)repeat);
    if (strcmp(what, "gemm") && bench_is_sweep(what))
        return bench_sweep(a, m, (int)repeat, what, NULL);
    if (strcmp(what, "gemm") && strcmp(what, "layer") && strcmp(what, "step"))
        return err_fail(E_USAGE, "no benchmark '%s'; there are %s", what, kinds);
    f.n_each = (int)repeat;
    f.each = mem_take(sizeof *f.each * (size_t)repeat);
    rc e = f.each ? measure_one(a, c, m, (int)repeat, &f) : E_MEMORY;
    mem_drop(f.each);
    return e;
}

rc verb_bench(args *a)
{
    config *c;
    machine m = {0};
    TRY(args_words(a, 1, 1, "what to time"));
    TRY(config_new(&c));
    rc e = config_set(c, "device.uri", args_text(a, "device", "emu:m4"));
    if (!e && args_has(a, "threads"))
        e = config_set(c, "device.threads", args_text(a, "threads", ""));
    if (!e) e = machine_open(c, &m);
    if (!e) e = measure(a, c, &m);
    machine_close(&m);
    config_free(c);
    return e;
}
