/* chart.h - series of points as a picture (SVG) that needs nothing else: axes,
 * ticks, legend. One file is readable on a light and on a dark page. */
#ifndef WATCH_CHART_H
#define WATCH_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include "base/str.h"

typedef struct {
    const char *title, *note; /* note: a line below the title; both may be NULL */
    const char *x, *y;        /* what the axes are, with unit; may be NULL */
    bool log_x, log_y;        /* points not above zero are then left out */
} chart_axes;

/* Points in the order they are joined. A y that is not finite breaks the line;
 * an x that is not leaves its point out. Names and numbers stay the caller's. */
typedef struct {
    const char *name;
    const double *x, *y;
    const double *low, *high; /* the spread of each y, drawn as a bar; may be NULL */
    size_t n;
    bool rule; /* a limit rather than readings: dashed, no marks */
} chart_series;

/* Append the picture. Without a point that can be drawn: E_FORMAT. */
rc chart_draw(const chart_axes *axes, const chart_series *series, size_t n_series,
              str *svg);

/* The same from a table of comma-separated values: a line of names, then the
 * numbers. The first column is x, each other a series; an empty cell is no
 * point of its series, "nan" breaks its line; cells may stand in "quotes". Lines
 * that begin with # are comments. E_FORMAT names the line that is wrong. */
rc chart_csv(const chart_axes *axes, const char *text, str *svg);

#endif
