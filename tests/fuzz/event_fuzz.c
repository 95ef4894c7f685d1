/* Any bytes as the text of an event give one line of strict JSON; and what
 * the strict number readers accept is finite and is read the same again. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void demand(int holds)
{
    if (!holds) abort();
}

static void one_event(const char *text)
{
    event e = {0};
    event_begin(&e, 1, text);
    event_text(&e, "text", text);
    demand(event_end(&e) == OK && !strchr(e.line.p, '\n'));
    json_t *j = json_loads(e.line.p, JSON_REJECT_DUPLICATES, NULL);
    demand(j != NULL);
    json_decref(j);
    event_free(&e);
}

static void one_number(const char *text)
{
    int64_t whole;
    double real, again;
    str s = {0};
    if (str_to_int(text, &whole) == OK)
        demand(str_to_real(text, &real) == OK || strlen(text) > 100);
    if (str_to_real(text, &real) == OK) {
        demand(isfinite(real));
        str_add_real(&s, real);
        demand(str_to_real(str_text(&s), &again) == OK && again == real);
    }
    str_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    arena *a = arena_new();
    char *text = a ? arena_textn(a, (const char *)bytes, n) : NULL;
    demand(text != NULL);
    one_event(text);
    one_number(text);
    arena_free(a);
    return 0;
}
