/* err.c - the error chain of a thread.
 *
 * Three parts are kept apart (the fault, the context, the hints), so that
 * hints added deep down still come last; err_text() joins them. The parts are
 * fixed buffers in thread storage: reporting "out of memory" must not need
 * memory. A part that is full keeps what it has. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"

typedef struct {
    char fault[512];
    char context[768];
    char hints[384];
    char text[512 + 768 + 384];
    char first[512];
} chain;

static _Thread_local chain mine;

static const struct {
    const char *name, *about;
    int exit;
} codes[] = {
#define ERR(name, exit, text) {#name, text, exit},
#include "base/errors.def"
#undef ERR
};

#define LINE_MAX_BYTES 480
#define WHILE_MARK "\n  while "
#define HINT_MARK "\n  hint: "

/* Append `mark` and `line` whole, or nothing: half a mark would garble what
 * follows. */
static void add_line(char *part, size_t cap, const char *mark, const char *line)
{
    size_t have = strlen(part), need = strlen(mark) + strlen(line);
    if (have + need + 1 > cap) return;
    strcpy(part + have, mark);
    strcat(part, line);
}

/* Copy what fits; a message cut short is better than none. */
static void keep(char *part, size_t cap, const char *text)
{
    size_t n = strlen(text);
    if (n > cap - 1) n = cap - 1;
    memcpy(part, text, n);
    part[n] = 0;
}

/* What vsnprintf made of a line that wanted `n` bytes: if it was cut, say so,
 * and not within a character. */
static void end_line(char line[LINE_MAX_BYTES], int n)
{
    size_t at = LINE_MAX_BYTES - 4;
    if (n < LINE_MAX_BYTES) return;
    while (at > 0 && ((unsigned char)line[at] & 0xc0) == 0x80) at--;
    strcpy(line + at, "...");
}

rc err_fail(rc code, const char *fmt, ...)
{
    /* The arguments may point into the old chain, so it goes only after. */
    char line[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    end_line(line, vsnprintf(line, sizeof line, fmt, ap));
    va_end(ap);
    err_clear();
    strcpy(mine.fault, line);
    return code;
}

rc err_while(rc code, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    end_line(line, vsnprintf(line, sizeof line, fmt, ap));
    va_end(ap);
    if (!mine.fault[0]) strcpy(mine.fault, err_about(code));
    add_line(mine.context, sizeof mine.context, WHILE_MARK, line);
    return code;
}

rc err_hint(rc code, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    end_line(line, vsnprintf(line, sizeof line, fmt, ap));
    va_end(ap);
    if (!mine.fault[0]) strcpy(mine.fault, err_about(code));
    add_line(mine.hints, sizeof mine.hints, HINT_MARK, line);
    return code;
}

const char *err_text(void)
{
    snprintf(mine.text, sizeof mine.text, "%s%s%s", mine.fault, mine.context, mine.hints);
    return mine.text;
}

const char *err_first(void)
{
    size_t n = strcspn(mine.fault, "\n");
    memcpy(mine.first, mine.fault, n);
    mine.first[n] = 0;
    return mine.first;
}

void err_clear(void)
{
    mine.fault[0] = mine.context[0] = mine.hints[0] = 0;
}

void err_save(rc code, err_saved *out)
{
    out->code = code;
    keep(out->text, sizeof out->text, err_text());
}

/* Cut the text at its own marks, so that lines added later still land in the
 * right place. */
rc err_restore(const err_saved *saved)
{
    char text[sizeof saved->text];
    err_clear();
    keep(text, sizeof text, saved->text);
    char *hints = strstr(text, HINT_MARK);
    if (hints) {
        keep(mine.hints, sizeof mine.hints, hints);
        *hints = 0;
    }
    char *context = strstr(text, WHILE_MARK);
    if (context) {
        keep(mine.context, sizeof mine.context, context);
        *context = 0;
    }
    keep(mine.fault, sizeof mine.fault, text);
    return saved->code;
}

const char *err_name(rc code)
{
    return (unsigned)code < ERR_COUNT ? codes[code].name : "E_?";
}

const char *err_about(rc code)
{
    return (unsigned)code < ERR_COUNT ? codes[code].about : "an unknown failure";
}

int err_exit(rc code)
{
    return (unsigned)code < ERR_COUNT ? codes[code].exit : 1;
}

#define WORD_MAX                                                          \
    63 /* a setting's name is far shorter; a longer word has no neighbour \
        */

static int fold(char c)
{
    return tolower((unsigned char)c);
}

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, drop, replace, swap two neighbours) that turn a into b:
 * the optimal string alignment distance, by rows. */
static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    unsigned char rows[3][WORD_MAX + 1];
    unsigned char *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++) last[j] = (unsigned char)j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= nb; j++) {
            int differ = fold(a[i - 1]) != fold(b[j - 1]);
            size_t d = min2(min2(last[j] + 1u, row[j - 1] + 1u),
                            last[j - 1] + (size_t)differ);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]))
                d = min2(d, before[j - 2] + 1u);
            row[j] = (unsigned char)d;
        }
        unsigned char *free_row = before;
        before = last, last = row, row = free_row;
    }
    return last[nb];
}

static const char *tail(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

const char *err_nearest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t len = strlen(word), limit = len < 3 ? 1 : 1 + len / 4, best_d = limit + 1;
    if (!len || len > WORD_MAX) return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!names[i] || strlen(names[i]) > WORD_MAX) continue;
        size_t d = distance(word, names[i]);
        /* The right setting in the wrong section, or without one. */
        if (d > limit && strchr(names[i], '.') && !strcmp(tail(word), tail(names[i])))
            d = limit;
        if (d < best_d) best_d = d, best = names[i];
    }
    return best;
}
