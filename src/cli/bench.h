/* bench.h - between the files of `anneal bench`. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/verbs.h"
#include "dev/cost.h"
#include "plan/plan.h"
#include "watch/chart.h"

/* Time each program of a plan by itself; a table, or rows[] with --json. */
rc cli_bench_programs(const args *a, const plan *p, device *dev, int repeat);

/* ---- sweeps: the same programs on any device ---- */

/* What is measured on. */
typedef struct {
    const args *a;
    device *dev;
    kern *k;
    dev_caps caps;
    int repeat;
    bool skipped; /* a row was too long to be run here, and was only predicted */
} bench_lab;

typedef enum { BENCH_FP16, BENCH_W8, BENCH_W8A8 } bench_form;
/* Zeroed before, bench_program_free after, whatever happened. */
typedef struct {
    str text;
    mil_blob_writer *blob; /* NULL = no weights */
    const char *word;      /* "string" as this chip's dialect spells it */
    bool old;
    double flops, weight_bytes;
    dev_cost cost; /* of one launch, by the model of time; chip NULL = no profile */
} bench_program;
/* A chain of 1 x 1 convolutions on [1, channels, high, wide]. What is too long for the
 * device has its figures, but neither text nor weights: it is only predicted. */
rc bench_chain(const bench_lab *l, bench_form form, int depth, int channels, int high,
               int wide, bench_program *p);
rc bench_product(const bench_lab *l, int64_t m, int64_t n, int64_t k, bench_program *p);
rc bench_small(const bench_lab *l, bench_program *p); /* next to nothing */
void bench_program_free(bench_program *p);
/* Is this much work, on so many bytes of weights, for the device to do? */
bool bench_runs(const bench_lab *l, double flops, double weight_bytes);
double bench_predicted(const bench_program *p); /* ms; NaN = no profile */

/* A program loaded on a device with surfaces of small numbers. */
typedef struct {
    device *dev;
    dev_program *program;
    dev_surface *in[4], *out[4];
    int n_in, n_out;
} bench_loaded;
rc bench_load(device *dev, const bench_program *p, bool fill, bench_loaded *out);
rc bench_run(const bench_loaded *r, uint64_t *ticket); /* queue it once */
void bench_unload(bench_loaded *r);

/* Runs before the first that counts: until the median of a group of them is within 3 %
 * of that of the group before, or the time for it is over. Zeroed at first; told what
 * each took. */
enum { BENCH_GROUP = 4 };
typedef struct {
    double start, before, ms[BENCH_GROUP];
    int n, runs;
} bench_warm;
bool bench_warmed(bench_warm *w, double ms, bool chip);

/* Adds to a row: predicted_ms where there is a model; where the device computes and
 * the program is not too long for it, ms (median), low_ms and high_ms (first and
 * last tenth), min_ms, warm_runs; rates, and watts where a meter or a published
 * figure is. */
rc bench_measure(bench_lab *l, const bench_program *p, json_t *row);
/* Sorts; the value that a part of the others lies below. */
double bench_part(double *v, size_t n, double part);

/* One sweep, by name; fills o (with rows[]) and draws its chart. */
typedef struct {
    const char *title, *x_label, *y_label, *note;
    bool log_x, log_y;
    const char *x;     /* key of a row */
    const char *group; /* key that tells series apart, or NULL */
    const char *y[3];  /* keys drawn */
    const char *y_name[3];
    double rule; /* a limit to draw, NaN = none */
    const char *rule_name;
} bench_chart;
rc bench_draw(const bench_chart *c, json_t *rows, const char *path);

/* Carry out a sweep and print it. base: an object whose members go before its own
 * (taken), or NULL. */
rc bench_sweep(const args *a, machine *m, int repeat, const char *what, json_t *base);
bool bench_is_sweep(const char *what);
/* The rows of one kind into o; what it draws into c. */
rc bench_peak(bench_lab *l, json_t *o, bench_chart *c);
rc bench_gemm_sizes(bench_lab *l, json_t *o, bench_chart *c);
rc bench_dispatch(bench_lab *l, json_t *o, bench_chart *c);
rc bench_sram(bench_lab *l, json_t *o, bench_chart *c);
rc bench_int8(bench_lab *l, json_t *o, bench_chart *c);
rc bench_compile(bench_lab *l, json_t *o, bench_chart *c);
rc bench_staging(bench_lab *l, json_t *o, bench_chart *c);

/* --like NAME: what a published trainer's step is predicted to take (like.c).
 * layers_only: without classifier and loss over a vocabulary. */
rc cli_like_explain(const args *a, const model_config *m, int64_t batch, device *dev);
rc cli_like_bench(const args *a, const model_config *m, bool layers_only, int64_t batch,
                  device *dev);

#endif
