/* chart.c - lines, marks and legend of a chart; chart_axis.c chooses the ticks.
 *
 * A picture is WIDTH wide; what is inside the axes keeps its height, and the
 * legend stands to the right of it, so that no name can hide a line.
 *
 * Colours are set by class in a style sheet that follows the page (light or dark);
 * a reader that knows no media queries shows the light one on its own ground.
 * Each series also has its own mark, for those who tell few colours apart. */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "watch/chart_axis.h"

enum { WIDTH = 900, HIGH = 400, LINE = 20 };
enum { NAME_LETTERS = 34, MARKS = 60, COLORS = 8, COLUMNS = 1600, SHAPES = 5 };

/* Each at least 3:1 against both grounds (WCAG 2.1, 1.4.11). */
static const char *const color[COLORS] = {"#3b82c4", "#d2691e", "#2a9461", "#d04a4a",
                                          "#8c6bd0", "#a0743c", "#c9559c", "#74808e"};

static void escaped(str *out, const char *text, size_t n)
{
    for (; *text && n; text++, n--) {
        if (*text == '&') str_add(out, "&amp;");
        else if (*text == '<') str_add(out, "&lt;");
        else if (*text == '>') str_add(out, "&gt;");
        else if (*text == '"') str_add(out, "&quot;");
        else str_addc(out, (unsigned char)*text < ' ' ? ' ' : *text);
    }
}

/* A name="number" of an element, to a tenth of a unit, in every locale. */
static void attr(str *out, const char *name, double v)
{
    str_addf(out, " %s=\"", name);
    str_add_real(out, round(v * 10) / 10);
    str_addc(out, '"');
}

static void text_at(str *out, double x, double y, const char *more, const char *text)
{
    str_add(out, "<text");
    attr(out, "x", x);
    attr(out, "y", y);
    if (*more) str_addc(out, ' ');
    str_add(out, more);
    str_addc(out, '>');
    escaped(out, text, SIZE_MAX);
    str_add(out, "</text>\n");
}

static void line(str *out, const char *class, double x1, double y1, double x2, double y2)
{
    str_addf(out, "<line class=\"%s\"", class);
    attr(out, "x1", x1);
    attr(out, "y1", y1);
    attr(out, "x2", x2);
    attr(out, "y2", y2);
    str_add(out, "/>\n");
}

/* The width of a text of so many letters; UTF-8 counts once a letter. */
static size_t letters(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

typedef struct {
    double left, top, right, bottom; /* of what is inside the axes */
    int wide, high;                  /* of the picture */
    chart_axis x, y;
} frame;

static double across(const frame *f, double x)
{
    return f->left + chart_place(&f->x, x) * (f->right - f->left);
}

static double up(const frame *f, double y)
{
    return f->bottom - chart_place(&f->y, y) * (f->bottom - f->top);
}

static bool shown(const frame *f, double x, double y)
{
    return chart_shows(&f->x, x) && chart_shows(&f->y, y);
}

static rc measure(const chart_axes *axes, const chart_series *s, size_t n, frame *f)
{
    size_t widest = 0, points = 0, names = 0;
    *f = (frame){.x = chart_axis_new(axes->log_x), .y = chart_axis_new(axes->log_y)};
    for (size_t i = 0; i < n; i++) {
        if (*s[i].name) names++;
        size_t own = letters(s[i].name);
        widest = own > widest ? own : widest;
        for (size_t j = 0; j < s[i].n; j++) {
            if (!shown(f, s[i].x[j], s[i].y[j])) continue;
            points++;
            chart_axis_add(&f->x, s[i].x[j]);
            chart_axis_add(&f->y, s[i].y[j]);
            if (s[i].low) chart_axis_add(&f->y, s[i].low[j]);
            if (s[i].high) chart_axis_add(&f->y, s[i].high[j]);
        }
    }
    if (!points)
        return err_fail(E_FORMAT, "wanted points to draw, had none that can be shown");
    widest = widest > NAME_LETTERS ? NAME_LETTERS : widest;
    f->top = 16 + (axes->title ? 24 : 0) + (axes->note ? LINE : 0);
    f->bottom = f->top + HIGH;
    chart_axis_ticks(&f->y, HIGH, 2 * CHART_FONT);
    f->left = 20 + (axes->y ? LINE : 0) + (double)f->y.letters * CHART_LETTER;
    f->right = WIDTH - 24.0 - (names ? 34 + (double)widest * CHART_LETTER : 0);
    chart_axis_ticks(&f->x, f->right - f->left, 0);
    f->wide = WIDTH;
    f->high = (int)fmax(f->bottom + 30 + (axes->x ? LINE : 0),
                        f->top + (double)n * LINE + LINE);
    return OK;
}

static void head(const frame *f, const chart_axes *axes, str *out)
{
    str_addf(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
             "width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"%d\">\n",
             f->wide, f->high, f->wide, f->high, CHART_FONT);
    str_add(out, "<style>\n"
                 ".ground{fill:#fff}text{fill:#24292f}.soft{fill:#57606a}\n"
                 ".grid{stroke:#d8dee4}.axis{stroke:#57606a}.edge{stroke:#fff}\n"
                 "@media(prefers-color-scheme:dark){.ground{fill:#0d1117}"
                 "text{fill:#e6edf3}.soft{fill:#9aa4af}\n"
                 ".grid{stroke:#2b323b}.axis{stroke:#9aa4af}.edge{stroke:#0d1117}}\n");
    for (int i = 0; i < COLORS; i++)
        str_addf(out, ".s%d{stroke:%s}.f%d{fill:%s}\n", i, color[i], i, color[i]);
    str_add(out, ".line{fill:none;stroke-width:2;stroke-linejoin:round}"
                 ".rule{stroke-dasharray:7 5}"
                 ".thin{stroke-width:1;opacity:.8}\n</style>\n"
                 "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n");
    if (axes->title) text_at(out, f->left, 24, "font-size=\"16\"", axes->title);
    if (axes->note) text_at(out, f->left, f->top - 14, "class=\"soft\"", axes->note);
}

static void draw_axes(const frame *f, const chart_axes *axes, str *out)
{
    for (int i = 0; i < f->x.n; i++) {
        double x = across(f, f->x.tick[i]);
        line(out, "grid", x, f->top, x, f->bottom);
        text_at(out, x, f->bottom + 18, "class=\"soft\" text-anchor=\"middle\"",
                f->x.label[i]);
    }
    for (int i = 0; i < f->y.n; i++) {
        double y = up(f, f->y.tick[i]);
        line(out, "grid", f->left, y, f->right, y);
        text_at(out, f->left - 8, y + 4, "class=\"soft\" text-anchor=\"end\"",
                f->y.label[i]);
    }
    line(out, "axis", f->left, f->bottom, f->right, f->bottom);
    line(out, "axis", f->left, f->top, f->left, f->bottom);
    if (axes->x)
        text_at(out, (f->left + f->right) / 2, f->bottom + 18 + LINE,
                "text-anchor=\"middle\"", axes->x);
    if (axes->y) {
        str turn = {0};
        str_addf(&turn, "text-anchor=\"middle\" transform=\"rotate(-90 18 %d)\"",
                 (int)((f->top + f->bottom) / 2));
        text_at(out, 18, floor((f->top + f->bottom) / 2), str_text(&turn), axes->y);
        out->bad |= turn.bad;
        str_free(&turn);
    }
}

/* One of SHAPES marks: disc, square, triangle, diamond, cross. */
static void mark(str *out, int kind, double x, double y)
{
    static const char *const path[SHAPES] = {
        "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "m-3.5-3.5h7v7h-7z", "m0-5l4.5 8h-9z",
        "m0-5l5 5l-5 5l-5-5z", "m-4-2l2-2l2 2l2-2l2 2l-2 2l2 2l-2 2l-2-2l-2 2l-2-2l2-2z"};
    str_addf(out, "<path class=\"f%d edge\" d=\"M", kind % COLORS);
    str_add_real(out, round(x * 10) / 10);
    str_addc(out, ' ');
    str_add_real(out, round(y * 10) / 10);
    str_addf(out, "%s\"/>\n", path[kind % SHAPES]);
}

static void spread(const frame *f, const chart_series *s, int kind, str *out)
{
    char class[8] = "s0";
    class[1] = (char)('0' + kind % COLORS);
    for (size_t i = 0; i < s->n; i++) {
        double low = s->low[i], high = s->high[i], x = s->x[i];
        if (!shown(f, x, s->y[i]) || !shown(f, x, low) || !shown(f, x, high)) continue;
        x = across(f, x);
        line(out, class, x, up(f, low), x, up(f, high));
        line(out, class, x - 4, up(f, low), x + 4, up(f, low));
        line(out, class, x - 4, up(f, high), x + 4, up(f, high));
    }
}

/* The path of a line. Where readings stand closer than can be seen only the least
 * and the largest of each column are kept, so that a long run stays a small file
 * and no outlier is lost. */
typedef struct {
    str *out;
    bool broken;           /* the next point begins a new piece */
    double column, at;     /* of the points not yet written; their last x */
    double least, largest; /* in the order `falling` says */
    bool falling, waiting;
} pen;

static void pen_to(pen *p, double x, double y)
{
    str_addc(p->out, p->broken ? 'M' : 'L');
    str_add_real(p->out, round(x * 10) / 10);
    str_addc(p->out, ' ');
    str_add_real(p->out, round(y * 10) / 10);
    p->broken = false;
}

static void pen_flush(pen *p)
{
    if (!p->waiting) return;
    pen_to(p, p->at, p->falling ? p->largest : p->least);
    if (p->largest > p->least) pen_to(p, p->at, p->falling ? p->least : p->largest);
    p->waiting = false;
}

static void pen_add(pen *p, bool dense, double x, double y)
{
    double column = dense ? floor(x * 2) : x;
    if (!dense || !p->waiting || column != p->column) {
        pen_flush(p);
        p->least = p->largest = y;
        p->column = column;
        p->waiting = true;
    } else if (y < p->least) p->least = y, p->falling = true;
    else if (y > p->largest) p->largest = y, p->falling = false;
    p->at = x;
}

static void draw_series(const frame *f, const chart_series *s, int kind, str *out)
{
    pen p = {.out = out, .broken = true};
    if (s->low && s->high) spread(f, s, kind, out);
    str_addf(out, "<path class=\"line s%d%s%s\" d=\"", kind % COLORS,
             s->rule ? " rule" : "", s->n > COLUMNS ? " thin" : "");
    for (size_t i = 0; i < s->n; i++) {
        if (shown(f, s->x[i], s->y[i])) {
            pen_add(&p, s->n > COLUMNS, across(f, s->x[i]), up(f, s->y[i]));
            continue;
        }
        pen_flush(&p);
        p.broken = true;
    }
    pen_flush(&p);
    str_add(out, "\"/>\n");
    for (size_t i = 0; !s->rule && s->n <= MARKS && i < s->n; i++)
        if (shown(f, s->x[i], s->y[i]))
            mark(out, kind, across(f, s->x[i]), up(f, s->y[i]));
}

/* A name too long is cut, and whole when pointed at. */
static void entry(const frame *f, const chart_series *s, int kind, str *out)
{
    double x = f->right + 18, y = f->top + LINE * (kind + 0.5);
    bool cut = letters(s->name) > NAME_LETTERS;
    size_t bytes = 0, seen = 0;
    for (; cut && s->name[bytes]; bytes++) {
        if (((unsigned char)s->name[bytes] & 0xc0) != 0x80) seen++;
        if (seen == NAME_LETTERS) break;
    }
    str_addf(out, "<path class=\"line s%d%s\" d=\"M", kind % COLORS,
             s->rule ? " rule" : "");
    str_add_real(out, x);
    str_addc(out, ' ');
    str_add_real(out, y);
    str_add(out, "h20\"/>\n");
    if (!s->rule) mark(out, kind, x + 10, y);
    str_add(out, "<text");
    attr(out, "x", x + 26);
    attr(out, "y", y + 4);
    str_addc(out, '>');
    escaped(out, s->name, cut ? bytes : SIZE_MAX);
    if (cut) {
        str_add(out, "\xe2\x80\xa6<title>");
        escaped(out, s->name, SIZE_MAX);
        str_add(out, "</title>");
    }
    str_add(out, "</text>\n");
}

rc chart_draw(const chart_axes *axes, const chart_series *series, size_t n_series,
              str *svg)
{
    frame f;
    TRY(measure(axes, series, n_series, &f));
    head(&f, axes, svg);
    draw_axes(&f, axes, svg);
    for (size_t i = 0; i < n_series; i++) draw_series(&f, &series[i], (int)i, svg);
    for (size_t i = 0; i < n_series; i++)
        if (*series[i].name) entry(&f, &series[i], (int)i, svg);
    str_add(svg, "</svg>\n");
    return str_done(svg);
}
