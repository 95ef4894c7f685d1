/* source_split.c - which documents are held out.
 *
 * Units (files, or the parts of one file) are walked in order. Each adds
 * fraction * size to a debt; a unit is held out, and pays its size, once the
 * debt reaches a seeded random share of that size. So the choice is spread
 * over the whole collection, does not follow a fixed stride, and the bytes held
 * out stay within about one unit of what was wanted. A unit that would carry
 * the sum a quarter past the wanted bytes stays in training. When that leaves
 * nothing, the unit nearest to the wanted size is held out. A single document
 * gives its last part, cut at a line end where one is near. A fraction of 0 or 1
 * is taken at its word: nothing, or everything, for a text to evaluate on. */
#include <math.h>
#include <string.h>
#include "base/rng.h"
#include "data/source.h"

#define SLACK 1.25
#define NEAR ((size_t)4096) /* bytes in which a line end is looked for */

/* Documents [from, *to) are one unit; its bytes are returned. */
static uint64_t unit_at(const source *s, size_t from, size_t *to)
{
    bool by_file = s->units != s->n_docs;
    uint64_t bytes = s->doc[from].n;
    size_t i = from + 1;
    for (; by_file && i < s->n_docs && s->doc[i].file == s->doc[from].file; i++)
        bytes += s->doc[i].n;
    *to = i;
    return bytes;
}

static void hold(source *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        s->doc[i].held = true;
        s->held_bytes += s->doc[i].n;
    }
}

static void hold_spread(source *s, double fraction, uint64_t seed)
{
    double debt = 0, most = SLACK * fraction * (double)s->bytes;
    uint64_t unit = 0, stream = rng_stream("held out");
    for (size_t i = 0, to; i < s->n_docs; i = to, unit++) {
        uint64_t n = unit_at(s, i, &to), sum = s->held_bytes + n;
        debt += fraction * (double)n;
        if (sum == s->bytes || (double)sum > most) continue;
        if (debt < rng_unit(seed, stream, unit) * (double)n) continue;
        hold(s, i, to);
        debt -= (double)n;
    }
}

static void hold_nearest(source *s, double wanted)
{
    size_t from = 0, end = 0;
    double best = INFINITY;
    for (size_t i = 0, to; i < s->n_docs; i = to) {
        double off = fabs((double)unit_at(s, i, &to) - wanted);
        if (off < best) best = off, from = i, end = to;
    }
    hold(s, from, end);
}

/* Bytes of `text` to leave in training, so that the cut is not inside a line
 * or at least not inside a character of UTF-8. */
static size_t tidy_cut(const char *text, size_t n)
{
    const char *line = memchr(text, '\n', n);
    if (line && (size_t)(line - text) + 1 < n) return (size_t)(line - text) + 1;
    size_t i = 0;
    while (i < n && i < 4 && ((unsigned char)text[i] & 0xC0) == 0x80) i++;
    return i < n && i < 4 ? i : 0;
}

static rc hold_last_part(source *s, double fraction)
{
    source_doc *whole = &s->doc[0], rest = *whole;
    uint64_t n = whole->n, cut = n - (uint64_t)(fraction * (double)n);
    if (n < 2) return OK;
    if (cut == n) cut--;
    if (cut == 0) cut++;
    char text[NEAR];
    rest.at += cut, rest.n -= cut;
    size_t room = rest.n / 4 + 1 < NEAR ? (size_t)rest.n / 4 + 1 : NEAR, got;
    source_reader reader;
    source_reader_start(&reader, s);
    rc r = source_reader_seek(&reader, &rest);
    if (r == OK) r = source_read(&reader, text, room, &got);
    source_reader_stop(&reader);
    TRY(r);
    cut += got < rest.n ? tidy_cut(text, got) : 0;
    source_doc *two = mem_take(2 * sizeof *two);
    if (!two) return E_MEMORY;
    two[0] = two[1] = *whole;
    two[0].n = cut;
    two[1].at += cut, two[1].n -= cut;
    mem_drop(s->doc);
    s->doc = two, s->n_docs = s->cap_docs = 2;
    hold(s, 1, 2);
    return OK;
}

rc source_split(source *s, double fraction, uint64_t seed)
{
    if (!(fraction >= 0 && fraction <= 1))
        return err_fail(E_CONFIG, "wanted a held-out fraction from 0 to 1, had %g",
                        fraction);
    if (fraction == 0) return OK;
    if (fraction == 1) {
        hold(s, 0, s->n_docs);
        return OK;
    }
    if (s->units == 1) return hold_last_part(s, fraction);
    hold_spread(s, fraction, seed);
    if (!s->held_bytes) hold_nearest(s, fraction * (double)s->bytes);
    return OK;
}
