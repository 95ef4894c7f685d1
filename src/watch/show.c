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
    double last_ms;
    double steps;               /* of the whole run, from `start` */
    double first_step, first_t; /* of this invocation: time left counts from here */
    bool begun;
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
                .columns = columns < 40 ? 80 : columns,
                .talk = talk,
                .product = product,
                .last_ms = -1e9};
    *out = s;
    return OK;
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

static void add_figures(show *s, json_t *o, str *out)
{
    char rate[32], spent[32], left[32];
    double step = number(o, "step"), t = number(o, "t");
    double per_step = (t - s->first_t) / fmax(1, step - s->first_step);
    str_addf(out, "%.0f/%.0f  loss %.4f  %s tok/s  %s<%s", step, s->steps,
             number(o, "loss"), str_count(rate, number(o, "tok_s")), str_clock(spent, t),
             str_clock(left, fmax(0, s->steps - step) * per_step));
}

static void on_step(show *s, json_t *o)
{
    double now = clock_ms(), step = number(o, "step");
    if (!s->begun) s->begun = true, s->first_step = step - 1, s->first_t = 0;
    bool last = step >= s->steps;
    if (!last && now - s->last_ms < (s->mode == SHOW_BAR ? 100 : 2000)) return;
    s->last_ms = now;
    str line = {0};
    double part = s->steps > 0 ? fmin(1, step / s->steps) : 0;
    if (s->mode == SHOW_BAR) {
        str figures = {0};
        add_figures(s, o, &figures);
        int cells = s->columns - 1 - 14 - (int)figures.n;
        str_addf(&line, "\r\033[Ktrain %3.0f%% ", 100 * part);
        bar(&line, part, cells > 40 ? 40 : cells < 4 ? 4 : cells);
        str_addf(&line, "| %s", str_text(&figures));
        str_free(&figures);
    } else {
        str_add(&line, "step ");
        add_figures(s, o, &line);
        str_addc(&line, '\n');
    }
    fputs(str_text(&line), s->talk);
    fflush(s->talk);
    s->drawn = s->mode == SHOW_BAR;
    str_free(&line);
}

static void on_start(show *s, json_t *o)
{
    json_t *settings = json_object_get(o, "settings");
    s->steps = number(o, "steps");
    if (isnan(s->steps)) s->steps = number(settings, "train.steps");
    fprintf(s->talk, "start   %s", text(o, "device"));
    if (*text(o, "summary")) fprintf(s->talk, ": %s", text(o, "summary"));
    fputc('\n', s->talk);
}

static void on_rest(show *s, const char *kind, json_t *o)
{
    FILE *f = s->talk;
    if (!strcmp(kind, "eval"))
        fprintf(f, "eval    step %.0f  held-out %.4f nats/token, %.4f nats/byte\n",
                number(o, "step"), number(o, "held_out"), number(o, "nats_per_byte"));
    else if (!strcmp(kind, "overflow"))
        fprintf(f, "skipped step %.0f  overflow%s%s, loss scale now %.0f\n",
                number(o, "step"), *text(o, "scope") ? " in " : "", text(o, "scope"),
                number(o, "scale"));
    else if (!strcmp(kind, "checkpoint"))
        fprintf(f, "saved   step %.0f  %s\n", number(o, "step"), text(o, "path"));
    else if (!strcmp(kind, "restart"))
        fprintf(f, "resume  step %.0f\n", number(o, "step"));
    else if (!strcmp(kind, "note")) fprintf(f, "note    %s\n", text(o, "text"));
    else if (!strcmp(kind, "failed")) fprintf(f, "failed  %s\n", text(o, "text"));
    else if (!strcmp(kind, "done"))
        fprintf(f, "done    step %.0f  held-out %.4f nats/token, %.4f nats/byte\n",
                number(o, "step"), number(o, "held_out"), number(o, "nats_per_byte"));
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
        else on_rest(s, kind, o);
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
