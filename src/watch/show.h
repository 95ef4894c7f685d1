/* show.h - events of a run on a console: one progress bar, or plain lines.
 *
 *   train  33% ████████▎                | 662/2000  loss 3.2541  1.9k tok/s  04:12<08:31
 *
 * Reads event lines, knows nothing of the trainer's insides. */
#ifndef WATCH_SHOW_H
#define WATCH_SHOW_H

#include <stdbool.h>
#include <stdio.h>
#include "base/event.h"

typedef enum { SHOW_AUTO, SHOW_BAR, SHOW_LINES, SHOW_JSON, SHOW_NONE } show_mode;
typedef struct show show;
/* talk: where bar and lines go (stderr); product: where JSON goes (stdout).
 * terminal: talk is a terminal that may be redrawn (the caller looked at isatty,
 * NO_COLOR and TERM); AUTO is BAR on a terminal, LINES elsewhere. */
rc show_new(show_mode mode, bool terminal, int columns, FILE *talk, FILE *product,
            show **out);
/* The terminal has changed its width; 0 = unknown, then 80. */
void show_resize(show *s, int columns);
event_sink show_sink(show *s);
/* An evaluation goes on, `done` windows of `of`: as steps are shown, and no event. */
void show_evaluating(show *s, int64_t step, uint64_t done, uint64_t of);
/* Leaves the terminal on a fresh line. */
void show_free(show *s);
/* "bar", "lines", "json", "none"; E_USAGE otherwise. */
rc show_parse(const char *word, show_mode *out);

#endif
