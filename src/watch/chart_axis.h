/* chart_axis.h - one axis of a chart: its range, and ticks that are round numbers
 * and whose labels do not touch. */
#ifndef WATCH_CHART_AXIS_H
#define WATCH_CHART_AXIS_H

#include <stdbool.h>
#include "watch/chart.h"

/* Letters are not measured but taken as CHART_LETTER wide, which is more than they
 * are on average in any common sans-serif at CHART_FONT: what fits by that fits. */
enum { CHART_TICKS = 24, CHART_LABEL = 24, CHART_LETTER = 8, CHART_FONT = 13 };

typedef struct {
    bool log, binary;  /* binary: all on a log axis are powers of two */
    double least, top; /* of what was added; then the ends of the axis */
    int n;             /* ticks, from the least */
    size_t letters;    /* of the longest label */
    double tick[CHART_TICKS];
    char label[CHART_TICKS][CHART_LABEL];
} chart_axis;

chart_axis chart_axis_new(bool log);
/* Whether v can stand on the axis at all: finite, and above zero on a log axis
 * (with room to the ends of what a double holds). */
bool chart_shows(const chart_axis *a, double v);
/* Widen the range to v, if it can be shown. */
void chart_axis_add(chart_axis *a, double v);
/* Choose ends and ticks of an axis so many units long. Labels stand side by side,
 * or, with line_high > 0, one above the other. */
void chart_axis_ticks(chart_axis *a, double length, double line_high);
/* Where v stands: 0 at the least end, 1 at the other. */
double chart_place(const chart_axis *a, double v);

#endif
