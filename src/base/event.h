/* event.h - what a run has to say: one JSON object a line, `t` seconds and
 * `kind` first. The trainer emits; watch and cli show. Numbers are finite or
 * the key is left out.
 *
 *   event e = {0};                  one event may be used again and again
 *   event_begin(&e, t, "step");
 *   event_int(&e, "step", 120);
 *   event_real(&e, "loss", 3.2541);
 *   event_end(&e);                  -> e.line.p, without newline
 *   event_free(&e);                                                         */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include <stdbool.h>
#include "base/str.h"

typedef struct {
    str line;
} event;

void event_begin(event *e, double t, const char *kind); /* e is zeroed or used before */
void event_int(event *e, const char *key, int64_t v);
void event_real(event *e, const char *key, double v); /* left out unless finite */
void event_bool(event *e, const char *key, bool v);
void event_text(event *e, const char *key,
                const char *v); /* escaped; invalid UTF-8 replaced */
void event_json(event *e, const char *key, const char *raw); /* raw JSON value */
rc event_end(event *e);                                      /* OK or E_MEMORY */
void event_free(event *e);

/* Where events go. `put` gets one line without newline. */
typedef struct event_sink {
    void (*put)(void *ctx, const char *line, size_t n);
    void *ctx;
} event_sink;

#endif
