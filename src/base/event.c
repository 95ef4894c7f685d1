/* event.c - one JSON object a line, written straight into a str: an event is
 * flat, is made every step, and must not allocate once its line has grown. */
#include <math.h>
#include <string.h>
#include "base/event.h"

/* Bytes of the UTF-8 character at s, 0 if it is not one. Longer spellings than
 * needed, surrogates and numbers above 0x10ffff are not characters. The NUL
 * stops a character that is cut off. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    size_t n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    unsigned low = 0x80, high = 0xbf;
    if (s[0] == 0xe0) low = 0xa0;
    if (s[0] == 0xed) high = 0x9f;
    if (s[0] == 0xf0) low = 0x90;
    if (s[0] == 0xf4) high = 0x8f;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

static void add_quoted(str *line, const char *text)
{
    static const char plain[] = "\b\f\n\r\t\"\\", letter[] = "bfnrt\"\\";
    str_addc(line, '"');
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const char *at = strchr(plain, *s);
        size_t n = utf8_length(s);
        if (at) {
            str_addc(line, '\\');
            str_addc(line, letter[at - plain]);
        } else if (n == 0) {
            str_add(line, "\xef\xbf\xbd"); /* U+FFFD, the replacement character */
            n = 1;
        } else if (*s < 0x20 || *s == 0x7f) str_addf(line, "\\u%04x", *s);
        else str_addn(line, (const char *)s, n);
        s += n;
    }
    str_addc(line, '"');
}

static void add_key(event *e, const char *key)
{
    str_addc(&e->line, ',');
    add_quoted(&e->line, key);
    str_addc(&e->line, ':');
}

void event_begin(event *e, double t, const char *kind)
{
    str_clear(&e->line);
    str_add(&e->line, "{\"t\":");
    /* A millisecond is finer than any reader needs; an infinite time has no
     * spelling, and `t` must be there. */
    str_add_real(&e->line, isfinite(t) ? round(t * 1e3) / 1e3 : 0);
    add_key(e, "kind");
    add_quoted(&e->line, kind);
}

void event_int(event *e, const char *key, int64_t v)
{
    add_key(e, key);
    str_addf(&e->line, "%lld", (long long)v);
}

void event_real(event *e, const char *key, double v)
{
    if (!isfinite(v)) return;
    add_key(e, key);
    str_add_real(&e->line, v);
}

void event_bool(event *e, const char *key, bool v)
{
    add_key(e, key);
    str_add(&e->line, v ? "true" : "false");
}

void event_text(event *e, const char *key, const char *v)
{
    add_key(e, key);
    add_quoted(&e->line, v);
}

void event_json(event *e, const char *key, const char *raw)
{
    add_key(e, key);
    str_add(&e->line, raw);
}

rc event_end(event *e)
{
    str_addc(&e->line, '}');
    return str_done(&e->line);
}

void event_free(event *e)
{
    str_free(&e->line);
}
