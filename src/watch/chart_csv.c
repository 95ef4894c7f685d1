/* chart_csv.c - a chart from a table of comma-separated values. The table is read
 * twice: once to count, once to fill; each series keeps only the points it has. */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "watch/chart.h"

typedef struct {
    const char *at; /* what follows the last cell */
    int line;       /* of the last cell */
    bool last;      /* it ended its line */
} reader;

/* The next cell, without its quotes and the spaces around it, in the arena. */
static rc next_cell(reader *r, arena *mem, char **out)
{
    str text = {0};
    const char *p = r->at + strspn(r->at, " \t");
    if (*p == '"') {
        for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
            if (*p == '"') p++;
            str_addc(&text, *p);
        }
        if (*p != '"') {
            str_free(&text);
            return err_fail(E_FORMAT, "line %d: wanted a closing quote", r->line);
        }
        p += 1 + strspn(p + 1, " \t\r");
    } else {
        size_t n = strcspn(p, ",\n");
        const char *end = p + n;
        while (n && strchr(" \t\r", p[n - 1])) n--;
        str_addn(&text, p, n);
        p = end;
    }
    bool wrong = *p && *p != ',' && *p != '\n';
    r->last = *p != ',';
    r->at = p + (*p != 0);
    *out = arena_text(mem, str_text(&text));
    rc e = str_done(&text);
    str_free(&text);
    if (!e && !*out) e = E_MEMORY;
    return wrong && !e
               ? err_fail(E_FORMAT, "line %d: wanted a comma after \"%s\"", r->line, *out)
               : e;
}

/* To the next line with something on it; false at the end. */
static bool next_line(reader *r)
{
    for (; *r->at; r->line++) {
        const char *p = r->at + strspn(r->at, " \t\r");
        if (*p && *p != '\n' && *p != '#') break;
        r->at = p + strcspn(p, "\n");
        if (*r->at) r->at++;
    }
    return *r->at != 0;
}

static size_t count_lines(const char *text)
{
    size_t n = 1;
    for (; (text = strchr(text, '\n')); text++) n++;
    return n;
}

static rc number(const reader *r, const char *cell, double *out)
{
    if (!strcmp(cell, "nan") || !strcmp(cell, "NaN") || strstr(cell, "inf")) {
        *out = NAN;
        return OK;
    }
    return str_to_real(cell, out) ? err_while(E_FORMAT, "reading line %d", r->line) : OK;
}

typedef struct {
    chart_series *s; /* of column 1 on */
    double **x, **y;
    size_t n, room; /* series; points of each at most */
} table;

static rc read_names(reader *r, arena *mem, table *t)
{
    size_t columns = 1;
    if (!next_line(r)) return err_fail(E_FORMAT, "wanted a line of names, had nothing");
    for (const char *p = r->at; *p && *p != '\n'; p++) columns += *p == ',';
    t->s = arena_array(mem, columns, sizeof *t->s);
    t->x = arena_array(mem, columns, sizeof *t->x);
    t->y = arena_array(mem, columns, sizeof *t->y);
    if (!t->s || !t->x || !t->y) return E_MEMORY;
    for (size_t i = 0; i < columns; i++) {
        char *name;
        TRY(next_cell(r, mem, &name));
        if (i) {
            t->s[t->n].name = name;
            t->x[t->n] = arena_array(mem, t->room, sizeof **t->x);
            t->y[t->n] = arena_array(mem, t->room, sizeof **t->y);
            if (!t->x[t->n] || !t->y[t->n]) return E_MEMORY;
            t->s[t->n].x = t->x[t->n];
            t->s[t->n].y = t->y[t->n];
            t->n++;
        }
        if (r->last) break;
    }
    if (!t->n)
        return err_fail(E_FORMAT, "line %d: wanted two columns or more, had one",
                        r->line);
    r->line++;
    return OK;
}

static rc read_row(reader *r, arena *cells, table *t)
{
    double x, y;
    char *cell;
    TRY(next_cell(r, cells, &cell));
    TRY(number(r, cell, &x));
    for (size_t i = 0; !r->last; i++) {
        TRY(next_cell(r, cells, &cell));
        if (i >= t->n)
            return err_fail(E_FORMAT, "line %d: wanted %zu cells, had more", r->line,
                            t->n + 1);
        if (!*cell) continue;
        TRY(number(r, cell, &y));
        t->x[i][t->s[i].n] = x;
        t->y[i][t->s[i].n++] = y;
    }
    r->line++;
    return OK;
}

static rc read_all(const char *text, arena *mem, arena *cells, table *t)
{
    reader r = {.at = text, .line = 1};
    t->room = count_lines(text);
    TRY(read_names(&r, mem, t));
    while (next_line(&r)) {
        arena_reset(cells);
        TRY(read_row(&r, cells, t));
    }
    return OK;
}

rc chart_csv(const chart_axes *axes, const char *text, str *svg)
{
    table t = {0};
    arena *mem = arena_new(), *cells = arena_new();
    rc e = mem && cells ? read_all(text, mem, cells, &t) : E_MEMORY;
    if (!e) e = chart_draw(axes, t.s, t.n, svg);
    arena_free(cells);
    arena_free(mem);
    return e;
}
