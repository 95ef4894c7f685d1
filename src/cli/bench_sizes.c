/* bench_sizes.c - sweeps over sizes of products: peak, gemm, sram, int8. The sizes
 * are those that public benchmarks of the engine use (maderix/ANE inmem_peak,
 * sram_bench, ane_int8_bench), so that rows can be laid beside theirs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"

static json_t *new_row(json_t *o)
{
    json_t *rows = json_object_get(o, "rows");
    if (!rows) json_object_set_new(o, "rows", rows = json_array());
    json_array_append_new(rows, json_object());
    return json_array_get(rows, json_array_size(rows) - 1);
}

static double best(json_t *o, const char *key)
{
    size_t i;
    json_t *row;
    double most = -INFINITY;
    json_array_foreach(json_object_get(o, "rows"), i, row)
    {
        json_t *v = json_object_get(row, key);
        if (v) most = fmax(most, json_number_value(v));
    }
    return most;
}

/* Measured on an engine; on a software engine its host's rate would be no peak. */
static void say_best(const bench_lab *l, json_t *o)
{
    cli_real(o, "best_tflops_predicted", best(o, "tflops_predicted"));
    if (l->caps.hardware) cli_real(o, "best_tflops", best(o, "tflops"));
}

static void two_lines(const bench_lab *l, bench_chart *c)
{
    c->y[0] = "tflops_predicted";
    c->y_name[0] = "";
    c->y_label = "TFLOP/s, predicted";
    if (!l->caps.hardware) return; /* the host's rate has no place beside a chip's */
    c->y_label = "TFLOP/s";
    c->y_name[0] = "predicted";
    c->y[1] = "tflops";
    c->y_name[1] = "measured";
}

static void chip_limit(const bench_lab *l, bench_chart *c)
{
    if (!l->caps.profile) return;
    c->rule = l->caps.profile->peak_tflops;
    c->rule_name = "published peak";
}

/* ---- peak ---- */

/* What such chains draw is published for few chips; another load's watts would
 * flatter, so without them there is no rate for a watt. */
static double say_power(const bench_lab *l, json_t *o)
{
    const dev_profile *chip = l->caps.profile;
    const dev_power *w = chip ? dev_power_while(chip, "conv chain, peak") : NULL;
    if (!w) return NAN;
    double rate = best(o, "tflops_predicted") / w->watts;
    cli_real(o, "published_watts", w->watts);
    cli_real(o, "tflops_per_watt_predicted", rate);
    json_object_set_new(o, "watts_source", json_string(w->source));
    return rate;
}

/* The A100's figure that the reports set against the engine, as they computed it
 * and as a like-for-like one: both from NVIDIA's data sheet. `ours`: the engine's
 * rate for a watt, NaN = unknown. */
static void say_a100(json_t *o, double ours)
{
    static const double reports = 0.08, tensor = 312.0 / 400;
    json_t *a = json_object();
    cli_real(a, "reports", reports);
    cli_real(a, "fp32_tflops", 19.5);
    cli_real(a, "fp32_watts", 250);
    cli_real(a, "fp16_tensor_tflops", 312);
    cli_real(a, "fp16_tensor_watts", 400);
    cli_real(a, "fp16_tensor_tflops_per_watt", tensor);
    cli_real(a, "times_reports", ours / reports);
    cli_real(a, "times_fp16_tensor", ours / tensor);
    json_object_set_new(
        a, "how",
        json_string("0.08 is fp32 outside the tensor cores over the PCIe card's power; "
                    "in fp16, as the engine computes, it is 312 over 400 W"));
    json_object_set_new(o, "a100", a);
}

rc bench_peak(bench_lab *l, json_t *o, bench_chart *c)
{
    static const int channels[] = {256, 512, 1024}, depth[] = {1, 16, 64, 128};
    static const int side[][2] = {{1, 64}, {64, 64}};
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 3; i++)
            for (int d = 0; d < 4; d++) {
                char chain[64];
                bench_program p = {0};
                json_t *row = new_row(o);
                snprintf(chain, sizeof chain, "%d channels, %d px", channels[i],
                         side[s][0] * side[s][1]);
                json_object_set_new(row, "chain", json_string(chain));
                json_object_set_new(row, "depth", json_integer(depth[d]));
                rc e = bench_chain(l, BENCH_FP16, depth[d], channels[i], side[s][0],
                                   side[s][1], &p);
                if (!e) e = bench_measure(l, &p, row);
                bench_program_free(&p);
                if (e) return err_while(e, "measuring %d layers of %s", depth[d], chain);
            }
    say_best(l, o);
    say_a100(o, say_power(l, o));
    c->title = "peak: chains of 1 x 1 convolutions, fp16";
    c->x_label = "convolutions in the chain";
    c->x = "depth";
    c->group = "chain";
    c->log_x = true;
    two_lines(l, c);
    chip_limit(l, c);
    return OK;
}

/* ---- gemm ---- */

rc bench_gemm_sizes(bench_lab *l, json_t *o, bench_chart *c)
{
    for (int n = 256; n <= 8192; n *= 2) {
        bench_program p = {0};
        json_t *row = new_row(o);
        json_object_set_new(row, "n", json_integer(n));
        rc e = bench_product(l, n, n, n, &p);
        if (!e) e = bench_measure(l, &p, row);
        bench_program_free(&p);
        if (e) return err_while(e, "measuring a product of %d x %d", n, n);
    }
    say_best(l, o);
    c->title = "gemm: square products of two inputs, fp16";
    c->x_label = "rows and columns";
    c->x = "n";
    c->log_x = true;
    two_lines(l, c);
    chip_limit(l, c);
    return OK;
}

/* ---- sram ---- */

/* The knee: the largest working set that is still worked on at `kept` of the best rate,
 * if all larger ones are slower than that. A launch's floor is taken off, else a
 * small program would seem slow. 0 = no knee in the sweep. */
static double knee(json_t *rows, const char *key, double floor_ms)
{
    static const double kept = 0.8;
    size_t i;
    json_t *row;
    double most = 0, at = 0;
    bool fell = false;
    json_array_foreach(rows, i, row)
    {
        json_t *ms = json_object_get(row, key);
        double bytes = json_number_value(json_object_get(row, "working_set"));
        double work = json_number_value(json_object_get(row, "flops"));
        double rate = work / (json_number_value(ms) - floor_ms);
        if (!ms || !(rate > 0)) continue;
        most = fmax(most, rate);
        if (rate >= kept * most) at = bytes, fell = false;
        else fell = true;
    }
    return fell ? at : 0;
}

static rc floor_of(bench_lab *l, json_t *row)
{
    bench_program p = {0};
    rc e = bench_small(l, &p);
    if (!e) e = bench_measure(l, &p, row);
    if (l->caps.profile) { /* predicted: a launch that does nothing at all */
        dev_cost bare = dev_cost_launch(l->caps.profile, NULL);
        cli_real(row, "predicted_ms", dev_cost_ms(&bare));
    }
    bench_program_free(&p);
    return e;
}

static void say_knee(json_t *o, json_t *tiny, const char *key, const char *as)
{
    double at = knee(json_object_get(o, "rows"), key,
                     json_number_value(json_object_get(tiny, key)));
    if (at > 0) json_object_set_new(o, as, json_integer((json_int_t)at));
}

/* One product on 64 columns: as many operations for a byte of weights whatever the
 * size, so that what changes the rate is where the bytes come from. */
rc bench_sram(bench_lab *l, json_t *o, bench_chart *c)
{
    static const int channels[] = {256,  512,  768,  1024, 1440, 2048,
                                   2560, 2880, 4096, 5760, 8192};
    json_t *tiny = json_object();
    rc e = floor_of(l, tiny);
    for (size_t i = 0; !e && i < sizeof channels / sizeof *channels; i++) {
        bench_program p = {0};
        json_t *row = new_row(o);
        double n = channels[i];
        json_object_set_new(row, "channels", json_integer(channels[i]));
        json_object_set_new(row, "working_set",
                            json_integer((json_int_t)(2 * n * n + 2 * 2 * n * 64)));
        e = bench_chain(l, BENCH_FP16, 1, channels[i], 1, 64, &p);
        if (!e) e = bench_measure(l, &p, row);
        bench_program_free(&p);
        if (e) e = err_while(e, "measuring %d channels", channels[i]);
    }
    say_knee(o, tiny, "predicted_ms", "knee_predicted_bytes");
    if (l->caps.hardware) say_knee(o, tiny, "ms", "knee_bytes"); /* else the host's */
    json_decref(tiny);
    c->title = "sram: one product by its working set";
    c->x_label = "weights, input and output, bytes";
    c->y_label = "ms";
    c->x = "working_set";
    c->log_x = c->log_y = true;
    c->y[0] = "predicted_ms";
    c->y_name[0] = "predicted";
    c->y[1] = "ms";
    c->y_name[1] = l->caps.hardware ? "measured" : "this host, as emulator";
    return e;
}

/* ---- int8 ---- */

/* Of 64 x 64 pixels and up to 128 layers, as in the public benchmark. */
static const char *const form_name[] = {"fp16", "weights int8", "W8A8"};

static void speed_up(json_t *row, json_t *fp16, const char *key, const char *as)
{
    json_t *a = json_object_get(fp16, key), *b = json_object_get(row, key);
    if (a && b) cli_real(row, as, json_number_value(a) / json_number_value(b));
}

rc bench_int8(bench_lab *l, json_t *o, bench_chart *c)
{
    static const int size[][3] = {{256, 16, 16}, {512, 64, 64}, {512, 64, 128}};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        json_t *fp16 = NULL;
        for (int form = BENCH_FP16; form <= BENCH_W8A8; form++) {
            bench_program p = {0};
            json_t *row = new_row(o);
            if (!fp16) fp16 = row;
            json_object_set_new(row, "form", json_string(form_name[form]));
            json_object_set_new(row, "channels", json_integer(size[i][0]));
            json_object_set_new(row, "side", json_integer(size[i][1]));
            json_object_set_new(row, "depth", json_integer(size[i][2]));
            rc e = bench_chain(l, (bench_form)form, size[i][2], size[i][0], size[i][1],
                               size[i][1], &p);
            if (!e) e = bench_measure(l, &p, row);
            json_object_set_new(row, "weight_bytes",
                                json_integer((json_int_t)p.weight_bytes));
            bench_program_free(&p);
            if (e) return err_while(e, "measuring %s", form_name[form]);
            speed_up(row, fp16, "predicted_ms", "speedup_predicted");
            if (l->caps.hardware) speed_up(row, fp16, "ms", "speedup");
        }
    }
    c->title = "int8: chains of convolutions, weights alone and with activations";
    c->x_label = "convolutions in the chain";
    c->x = "depth";
    c->group = "form";
    two_lines(l, c);
    chip_limit(l, c);
    return OK;
}
