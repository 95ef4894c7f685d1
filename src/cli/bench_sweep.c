/* bench_sweep.c - `anneal bench peak|gemm|dispatch|sram|int8|compile|staging`: what
 * an engine is measured by, one row for each size. A software engine runs the rows
 * that are short enough for it and predicts them all; a real one runs them all. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/session.h"
#include "base/file.h"
#include "cli/bench.h"
#include "plan/anchors.h"

static const struct {
    const char *name;
    rc (*run)(bench_lab *l, json_t *o, bench_chart *c);
} sweeps[] = {{"peak", bench_peak},         {"gemm", bench_gemm_sizes},
              {"dispatch", bench_dispatch}, {"sram", bench_sram},
              {"int8", bench_int8},         {"compile", bench_compile},
              {"staging", bench_staging}};

static size_t find(const char *what)
{
    size_t i = 0, n = sizeof sweeps / sizeof *sweeps;
    while (i < n && strcmp(sweeps[i].name, what)) i++;
    return i;
}

bool bench_is_sweep(const char *what)
{
    return find(what) < sizeof sweeps / sizeof *sweeps;
}

/* ---- the picture ---- */

typedef struct {
    chart_series s;
    double *x, *y, *low, *high;
} line;

static const char *group_of(const bench_chart *c, json_t *row)
{
    const char *text = c->group ? json_string_value(json_object_get(row, c->group))
                                : NULL;
    return text ? text : "";
}

static rc add_point(arena *mem, line *l, size_t room, double x, double y, double low,
                    double high)
{
    if (!l->x) {
        l->x = arena_array(mem, room, sizeof *l->x);
        l->y = arena_array(mem, room, sizeof *l->y);
        l->low = arena_array(mem, room, sizeof *l->low);
        l->high = arena_array(mem, room, sizeof *l->high);
        if (!l->x || !l->y || !l->low || !l->high) return E_MEMORY;
        l->s.x = l->x;
        l->s.y = l->y;
    }
    if (isfinite(low)) l->s.low = l->low, l->s.high = l->high;
    size_t i = l->s.n++;
    l->x[i] = x;
    l->y[i] = y;
    l->low[i] = isfinite(low) ? low : y;
    l->high[i] = isfinite(high) ? high : y;
    return OK;
}

static double real_of(json_t *row, const char *key)
{
    json_t *v = json_object_get(row, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* The line of a row for y[k]: found by its name, or a new one. */
static rc line_of(arena *mem, const bench_chart *c, json_t *row, int k, line *lines,
                  size_t *n, line **out)
{
    const char *group = group_of(c, row);
    const char *name = arena_printf(mem, "%s%s%s", group,
                                    *group && *c->y_name[k] ? ", " : "", c->y_name[k]);
    size_t i = 0;
    if (!name) return E_MEMORY;
    while (i < *n && strcmp(lines[i].s.name, name)) i++;
    if (i == *n) lines[(*n)++] = (line){.s.name = name};
    *out = &lines[i];
    return OK;
}

static rc make_lines(arena *mem, const bench_chart *c, json_t *rows, line *lines,
                     size_t *n)
{
    size_t i, room = json_array_size(rows);
    json_t *row;
    double first = INFINITY, last = -INFINITY;
    json_array_foreach(rows, i, row)
    {
        double x = real_of(row, c->x);
        for (int k = 0; k < 3 && c->y[k]; k++) {
            line *l;
            double y = real_of(row, c->y[k]);
            bool spread = !strcmp(c->y[k], "ms");
            if (!isfinite(y) || !isfinite(x)) continue;
            first = fmin(first, x);
            last = fmax(last, x);
            TRY(line_of(mem, c, row, k, lines, n, &l));
            TRY(add_point(mem, l, room, x, y, spread ? real_of(row, "low_ms") : NAN,
                          spread ? real_of(row, "high_ms") : NAN));
        }
    }
    if (isfinite(c->rule) && *n) {
        line *l = &lines[(*n)++];
        *l = (line){.s = {.name = c->rule_name, .rule = true}};
        TRY(add_point(mem, l, 2, first, c->rule, NAN, NAN));
        TRY(add_point(mem, l, 2, last, c->rule, NAN, NAN));
    }
    return OK;
}

rc bench_draw(const bench_chart *c, json_t *rows, const char *path)
{
    arena *mem = arena_new();
    size_t n = 0, room = json_array_size(rows) * 3 + 1;
    line *lines = mem ? arena_array(mem, room, sizeof *lines) : NULL;
    chart_series *s = mem ? arena_array(mem, room, sizeof *s) : NULL;
    chart_axes axes = {c->title, c->note, c->x_label, c->y_label, c->log_x, c->log_y};
    str svg = {0};
    rc e = lines && s ? make_lines(mem, c, rows, lines, &n) : E_MEMORY;
    for (size_t i = 0; !e && i < n; i++) s[i] = lines[i].s;
    if (!e) e = chart_draw(&axes, s, n, &svg);
    if (!e) e = file_replace(path, svg.p, svg.n);
    str_free(&svg);
    arena_free(mem);
    return e;
}

/* ---- one sweep ---- */

static void say_device(const bench_lab *l, const char *what, json_t *o)
{
    json_object_set_new(o, "what", json_string(what));
    json_object_set_new(o, "device", json_string(l->caps.uri));
    if (!l->caps.profile) return;
    const dev_profile *chip = l->caps.profile;
    json_object_set_new(o, "chip", json_string(chip->chip));
    cli_real(o, "peak_tflops", chip->peak_tflops);
    cli_real(o, "error_band", plan_error_band(chip));
    json_object_set_new(o, "source", json_string(chip->source));
}

/* Numbers of the whole sweep, and what it is set beside. */
static void print_figures(json_t *o, int indent)
{
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v)
    {
        if (json_is_number(v))
            printf("%*s%-*s %.5g\n", indent, "", 28 - indent, key, json_number_value(v));
        if (!json_is_object(v)) continue;
        printf("%*s%s: %s\n", indent, "", key,
               json_string_value(json_object_get(v, "how")));
        print_figures(v, indent + 2);
    }
}

static void print(const bench_lab *l, json_t *o)
{
    printf("%s on %s\n", json_string_value(json_object_get(o, "what")), l->caps.uri);
    print_figures(o, 2);
    cli_table("rows", json_object_get(o, "rows"));
    if (!l->caps.hardware)
        printf("ms are this machine's, as it stands in for the engine; predicted_ms are "
               "the chip's\n");
    if (l->skipped)
        printf("rows without ms are too long for a software engine: predicted only\n");
}

static rc finish(bench_lab *l, json_t *o, bench_chart *c)
{
    const char *svg = args_text(l->a, "svg", NULL);
    char note[200], band[80] = "";
    if (l->caps.profile)
        snprintf(band, sizeof band,
                 "; predicted for %.16s, half of the time within %.0f %%",
                 l->caps.profile->name, 100 * plan_error_band(l->caps.profile));
    snprintf(note, sizeof note, "%.80s%s", l->caps.uri, c->note ? c->note : band);
    c->note = note;
    if (svg) TRY(bench_draw(c, json_object_get(o, "rows"), svg));
    if (args_has(l->a, "json")) return cli_put_json(json_incref(o));
    print(l, o);
    return OK;
}

rc bench_sweep(const args *a, machine *m, int repeat, const char *what, json_t *base)
{
    bench_lab l = {.a = a, .dev = m->dev, .k = m->k, .repeat = repeat};
    bench_chart c = {.rule = NAN};
    json_t *o = base ? base : json_object();
    rc e = o ? dev_caps_of(m->dev, &l.caps) : E_MEMORY;
    if (!e) {
        say_device(&l, what, o);
        e = sweeps[find(what)].run(&l, o, &c);
    }
    if (!e) e = finish(&l, o, &c);
    json_decref(o);
    return e;
}
