/* chart_axis.c - where ticks stand. On a plain axis they are 1, 2 or 5 times a
 * power of ten apart. On a log axis they are powers of ten (of two, where every
 * point is one), each n-th if there are many, and 2 and 5 between if few. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "watch/chart_axis.h"

chart_axis chart_axis_new(bool log)
{
    return (chart_axis){.log = log, .binary = log, .least = INFINITY, .top = -INFINITY};
}

bool chart_shows(const chart_axis *a, double v)
{
    return fabs(v) <= 1e300 && (!a->log || v >= 1e-300);
}

void chart_axis_add(chart_axis *a, double v)
{
    int exponent;
    if (!chart_shows(a, v)) return;
    if (frexp(v, &exponent) != 0.5) a->binary = false;
    a->least = fmin(a->least, v);
    a->top = fmax(a->top, v);
}

double chart_place(const chart_axis *a, double v)
{
    if (!a->log) return (v - a->least) / (a->top - a->least);
    return log(v / a->least) / log(a->top / a->least);
}

/* 1234567 is 1.234567M: by letter from ten thousand on. */
static void name_tick(char out[CHART_LABEL], double v)
{
    static const char *const unit[] = {"", "k", "M", "G", "T"};
    int u = 0;
    if (fabs(v) >= 1e4 && fabs(v) < 1e15)
        for (; fabs(v) >= 1e3; u++) v /= 1e3;
    snprintf(out, CHART_LABEL, "%.8g%s", v, unit[u]);
    for (char *p = out; *p; p++)
        if (*p == ',') *p = '.'; /* the point of some locales */
}

/* The rules of one choice of ticks: multiples of `step`, or powers of `base`, each
 * `every`-th, with 2 and 5 times them between. */
typedef struct {
    double step, base;
    int every;
    bool between;
} rule;

static bool put(chart_axis *a, double v)
{
    if (v < a->least * (a->least > 0 ? 1 - 1e-12 : 1 + 1e-12) - 1e-300 ||
        v > a->top + fabs(a->top) * 1e-12)
        return true;
    if (a->n == CHART_TICKS) return false;
    a->tick[a->n] = v;
    name_tick(a->label[a->n++], v);
    return true;
}

static bool put_powers(chart_axis *a, const rule *r)
{
    int first = (int)floor(log(a->least) / log(r->base)) - 1;
    int last = (int)ceil(log(a->top) / log(r->base));
    for (int i = first; i <= last; i++) {
        double v = pow(r->base, i);
        if (i % r->every) continue;
        if (!put(a, v)) return false;
        if (r->between && (!put(a, 2 * v) || !put(a, 5 * v))) return false;
    }
    return true;
}

static bool put_steps(chart_axis *a, const rule *r)
{
    double first = ceil(a->least / r->step - 1e-9);
    for (int i = 0; i <= CHART_TICKS; i++) {
        double v = (first + i) * r->step;
        if (v > a->top + r->step * 1e-9) return true;
        if (!put(a, v)) return false;
    }
    return false;
}

/* Take the ticks of a rule, if there are two or more and all have their room. */
static bool take(chart_axis *a, const rule *r, double length, double line_high)
{
    a->n = 0;
    a->letters = 0;
    if (!(r->step > 0 ? put_steps(a, r) : put_powers(a, r)) || a->n < 2) return false;
    for (int i = 0; i < a->n; i++) {
        size_t n = strlen(a->label[i]);
        a->letters = n > a->letters ? n : a->letters;
    }
    double need = line_high > 0 ? line_high : ((double)a->letters + 2) * CHART_LETTER;
    for (int i = 1; i < a->n; i++) {
        double gap = chart_place(a, a->tick[i]) - chart_place(a, a->tick[i - 1]);
        if (gap * length < need) return false;
    }
    return true;
}

static bool take_powers(chart_axis *a, double length, double line_high)
{
    if (take(a, &(rule){.base = 10, .every = 1, .between = true}, length, line_high) &&
        !a->binary)
        return true;
    for (int every = 1; every <= 128; every++) {
        rule r = {.base = a->binary ? 2 : 10, .every = every};
        if (take(a, &r, length, line_high)) return true;
    }
    return false;
}

/* The finest steps of 1, 2 or 5 times a power of ten that have room. The ends of a
 * plain axis are then multiples of the step. */
static void take_steps(chart_axis *a, double length, double line_high)
{
    double least = a->least, top = a->top, unit = pow(10, floor(log10(top - least)) - 2);
    static const double of[] = {1, 2, 5};
    for (int i = 0; i < 12; i++) {
        rule r = {.step = unit * of[i % 3] * pow(10, i / 3)};
        if (!a->log) {
            a->least = floor(least / r.step + 1e-9) * r.step;
            a->top = ceil(top / r.step - 1e-9) * r.step;
        }
        if (take(a, &r, length, line_high) && a->n <= 11) return;
    }
}

/* Readings that stand far from zero by less than their own size begin at zero; a
 * single reading stands in the middle. */
static void choose_ends(chart_axis *a)
{
    double size = fmax(fabs(a->least), fabs(a->top));
    bool flat = a->top - a->least <= size * 1e-6;
    if (a->log) {
        double pad = flat ? 2 : pow(a->top / a->least, 0.03);
        a->least /= pad;
        a->top *= pad;
    } else if (flat) {
        a->least -= size > 0 ? size / 10 : 1;
        a->top += size > 0 ? size / 10 : 1;
    } else if (a->least > 0 && a->least < a->top / 2) a->least = 0;
}

void chart_axis_ticks(chart_axis *a, double length, double line_high)
{
    choose_ends(a);
    if (a->log && take_powers(a, length, line_high)) return;
    take_steps(a, length, line_high);
}
