/* show.c - the bar is redrawn in place, at most ten times a second; lines come
 * about every two seconds. What is lasting (evaluations, checkpoints, notes)
 * is a line in both. */
#include "watch/show.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"

struct show {
    show_mode mode;
    bool terminal, drawn;
    int columns;
    FILE *talk, *product;
    double last_ms;             /* when something was drawn */
    double steps;               /* of the whole run, from `start` */
    double first_step, first_t; /* where this invocation began: time left is
                                   judged by its own pace */
    double rate;                /* tokens per second, smoothed */
};

enum {
    COLUMNS_UNKNOWN = 80,
    CELLS_MAX = 40,
    CELLS_MIN = 4,
    HEAD_CELLS = 13 /* "train  33% " and "| " */
};

rc show_new(show_mode mode, bool terminal, int columns, FILE *talk, FILE *product,
            show **out)
{
    show *s = mem_take(sizeof *s);
    if (!s) return E_MEMORY;
    if (mode == SHOW_AUTO) mode = terminal ? SHOW_BAR : SHOW_LINES;
    if (mode == SHOW_BAR && !terminal) mode = SHOW_LINES;
    *s = (show){.mode = mode,
                .terminal = terminal,
                .talk = talk,
                .product = product,
                .last_ms = -1e9,
                .rate = NAN};
    show_resize(s, columns);
    *out = s;
    return OK;
}

void show_resize(show *s, int columns)
{
    s->columns = columns > 0 ? columns : COLUMNS_UNKNOWN;
}

rc show_parse(const char *word, show_mode *out)
{
    static const char *const names[] = {"auto", "bar", "lines", "json", "none"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(word, names[i])) return *out = (show_mode)i, OK;
    return err_fail(E_USAGE, "--show is bar, lines, json or none, not '%s'", word);
}

static double number(json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *text(json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t ? t : "";
}

static void wipe(show *s)
{
    if (s->drawn) fputs("\r\033[K", s->talk);
    s->drawn = false;
}

/* `cells` cells filled to `part` of 1, an eighth of a cell at a time. */
static void bar(str *out, double part, int cells)
{
    static const char *const eighth[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int e = (int)(part * cells * 8 + 0.5);
    int full = e / 8, rest = e % 8;
    for (int i = 0; i < full; i++) str_add(out, "█");
    str_add(out, eighth[rest]);
    for (int i = full + (rest > 0); i < cells; i++) str_addc(out, ' ');
}

/* Padded so that the bar keeps its length while numbers grow. */
static void add_figures(const show *s, json_t *o, bool rate_too, str *out)
{
    char rate[32], spent[32], left[32], all[32];
    double step = number(o, "step"), t = number(o, "t");
    double per_step = (t - s->first_t) / fmax(1, step - s->first_step);
    int width = snprintf(all, sizeof all, "%.0f", s->steps);
    str_addf(out, "%*.0f/%s  loss %.4f  ", width, step, all, number(o, "loss"));
    if (rate_too && isfinite(s->rate))
        str_addf(out, "%6s tok/s  ", str_count(rate, s->rate));
    if (rate_too && isfinite(number(o, "watts")))
        str_addf(out, "%5.2f W  ", number(o, "watts"));
    str_addf(out, "%s<%s", str_clock(spent, t),
             str_clock(left, fmax(0, s->steps - step) * per_step));
}

/* One line that never wraps: a wrapped line cannot be drawn over. In a narrow
 * terminal the rate goes first, then the bar, then what does not fit. */
static void draw_bar(show *s, const char *word, double part, const str *all,
                     const str *few)
{
    str line = {0};
    int room = s->columns - 1, cells = room - HEAD_CELLS - (int)all->n;
    const str *figures = all;
    if (cells < CELLS_MIN) {
        figures = few;
        cells = room - HEAD_CELLS - (int)few->n;
    }
    str_add(&line, "\r\033[K");
    if (cells >= CELLS_MIN) {
        str_addf(&line, "%-5s %3.0f%% ", word, floor(100 * part));
        bar(&line, part, cells > CELLS_MAX ? CELLS_MAX : cells);
        str_addf(&line, "| %s", str_text(figures));
    } else str_addf(&line, "%.*s", room, str_text(figures));
    fputs(str_text(&line), s->talk);
    s->drawn = true;
    str_free(&line);
}

static void draw(show *s, const char *word, double part, const str *all, const str *few)
{
    if (s->mode == SHOW_BAR)
        draw_bar(s, !strcmp(word, "step") ? "train" : word, part, all, few);
    else fprintf(s->talk, "%-7s %s\n", word, str_text(all));
    fflush(s->talk);
}

/* Has it been long enough since something was drawn? */
static bool due(show *s, bool always)
{
    double now = clock_ms();
    if (!always && now - s->last_ms < (s->mode == SHOW_BAR ? 100 : 2000)) return false;
    s->last_ms = now;
    return true;
}

static void on_step(show *s, json_t *o)
{
    double step = number(o, "step"), rate = number(o, "tok_s");
    str all = {0}, few = {0};
    if (isfinite(rate)) s->rate = isnan(s->rate) ? rate : 0.9 * s->rate + 0.1 * rate;
    if (!due(s, step >= s->steps)) return;
    add_figures(s, o, true, &all);
    add_figures(s, o, false, &few);
    draw(s, "step", s->steps > 0 ? fmin(1, step / s->steps) : 0, &all, &few);
    str_free(&all);
    str_free(&few);
}

void show_evaluating(show *s, int64_t step, uint64_t done, uint64_t of)
{
    str text = {0};
    if (s->mode == SHOW_NONE || s->mode == SHOW_JSON || !of || !due(s, false)) return;
    str_addf(&text, "step %lld  %llu/%llu held-out windows", (long long)step,
             (unsigned long long)done, (unsigned long long)of);
    draw(s, "eval", (double)done / (double)of, &text, &text);
    str_free(&text);
}

static void on_start(show *s, json_t *o)
{
    char params[32], memory[32];
    s->steps = number(o, "steps");
    s->first_step = number(o, "step");
    s->first_t = number(o, "t");
    fprintf(s->talk, "start   %s on %s", text(o, "run"), text(o, "device"));
    if (isfinite(number(o, "params")))
        fprintf(s->talk, ": %.0f layers x %.0f, %s parameters", number(o, "layers"),
                number(o, "dim"), str_count(params, number(o, "params")));
    if (isfinite(number(o, "programs")))
        fprintf(s->talk, ", %.0f programs, %s", number(o, "programs"),
                str_bytes(memory, number(o, "memory")));
    fputc('\n', s->talk);
}

/* The run goes on in a new image of its process, and so does this view. */
static void on_restart(show *s, json_t *o)
{
    s->steps = number(o, "steps");
    s->first_step = number(o, "step");
    s->first_t = number(o, "t");
    s->last_ms = clock_ms();
    fprintf(s->talk, "restart step %.0f  in memory, no. %.0f\n", number(o, "step"),
            number(o, "restarts"));
}

/* What was found on held-out text; nothing may have been held out. */
static void held_out(const char *word, json_t *o, FILE *f)
{
    double nats = number(o, "held_out"), bytes = number(o, "nats_per_byte");
    fprintf(f, "%-7s step %.0f", word, number(o, "step"));
    if (isfinite(nats)) fprintf(f, "  held-out %.4f nats/token", nats);
    if (isfinite(bytes)) fprintf(f, ", %.4f nats/byte", bytes);
    if (!isfinite(nats) && !strcmp(word, "eval")) fputs("  held-out not finite", f);
    fputc('\n', f);
}

/* `failed` is not shown: the caller has the error itself, with its hints. */
static void on_rest(const char *kind, json_t *o, FILE *f)
{
    if (!strcmp(kind, "eval") || !strcmp(kind, "done")) held_out(kind, o, f);
    else if (!strcmp(kind, "overflow"))
        fprintf(f, "skipped step %.0f  overflow%s%s, loss scale now %.0f\n",
                number(o, "step"), *text(o, "scope") ? " in " : "", text(o, "scope"),
                number(o, "scale"));
    else if (!strcmp(kind, "checkpoint"))
        fprintf(f, "saved   step %.0f  %s\n", number(o, "step"), text(o, "path"));
    else if (!strcmp(kind, "restart"))
        fprintf(f, "resume  step %.0f  %s\n", number(o, "step"), text(o, "path"));
    else if (!strcmp(kind, "note")) fprintf(f, "note    %s\n", text(o, "text"));
}

static void put(void *ctx, const char *line, size_t n)
{
    show *s = ctx;
    if (s->mode == SHOW_NONE) return;
    if (s->mode == SHOW_JSON) {
        fwrite(line, 1, n, s->product);
        fputc('\n', s->product);
        fflush(s->product);
        return;
    }
    json_t *o = json_loadb(line, n, 0, NULL);
    const char *kind = text(o, "kind");
    if (!strcmp(kind, "step")) on_step(s, o);
    else {
        wipe(s);
        if (!strcmp(kind, "start")) on_start(s, o);
        else if (!strcmp(kind, "restart") && json_is_true(json_object_get(o, "memory")))
            on_restart(s, o);
        else on_rest(kind, o, s->talk);
        fflush(s->talk);
    }
    json_decref(o);
}

event_sink show_sink(show *s)
{
    return (event_sink){put, s};
}

void show_free(show *s)
{
    if (!s) return;
    if (s->drawn) fputc('\n', s->talk);
    mem_drop(s);
}
