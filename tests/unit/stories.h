/* stories.h - what tests of training share: 20,000 bytes of stories as tokens,
 * and a place where the events of a run are kept. */
#ifndef STORIES_H
#define STORIES_H

#include "base/file.h"
#include "base/str.h"
#include "data/data.h"

/* An event_sink into a str, one event a line. */
static inline void keep_event(void *ctx, const char *line, size_t n)
{
    str_addn(ctx, line, n);
    str_addc(ctx, '\n');
}

/* The text as `text_path`, its tokens in folder `dir`. */
static inline rc make_stories(const char *dir, const char *text_path)
{
    str text = {0};
    data_facts facts;
    data_options o = {.byte = true, .held_out = 0.1, .seed = 1};
    rc r = data_stories(1, 20000, &text);
    if (r == OK) r = file_replace(text_path, text.p, text.n);
    if (r == OK) r = data_build(1, &text_path, &o, dir, &facts);
    str_free(&text);
    return r;
}

#endif
