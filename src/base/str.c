/* str.c - growing text, strict numbers, and numbers for people.
 *
 * The decimal point is always '.', in and out, whatever locale the program
 * that embeds us has set: a recipe must mean the same everywhere. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/str.h"

/* Room for `more` bytes and the NUL. */
static bool grow(str *s, size_t more)
{
    size_t need = mem_add(mem_add(s->n, more), 1);
    if (s->bad) return false;
    if (need <= s->cap) return true;
    size_t cap = s->cap ? s->cap : 64;
    while (cap < need) cap = mem_mul(cap, 2);
    char *p = mem_take(cap);
    if (!p) {
        s->bad = true;
        return false;
    }
    if (s->n) memcpy(p, s->p, s->n);
    mem_drop(s->p);
    s->p = p, s->cap = cap;
    return true;
}

void str_addn(str *s, const char *bytes, size_t n)
{
    if (!grow(s, n)) return;
    if (n) memcpy(s->p + s->n, bytes, n);
    s->n += n;
    s->p[s->n] = 0;
}

void str_add(str *s, const char *text)
{
    str_addn(s, text, strlen(text));
}

void str_addc(str *s, char c)
{
    str_addn(s, &c, 1);
}

void str_addf(str *s, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) s->bad = true;
    else if (grow(s, (size_t)n)) {
        vsnprintf(s->p + s->n, (size_t)n + 1, fmt, again);
        s->n += (size_t)n;
    }
    va_end(again);
}

static char decimal_point(void)
{
    const char *point = localeconv()->decimal_point;
    return point[0] && !point[1] ? point[0] : '.';
}

void str_add_real(str *s, double v)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (!(strtod(text, NULL) != v)) break;
    }
    char point = decimal_point(), *at = point == '.' ? NULL : strchr(text, point);
    if (at) *at = '.';
    str_add(s, text);
}

rc str_done(const str *s)
{
    return s->bad ? err_fail(E_MEMORY,
                             "out of memory: a text of %zu bytes could not grow", s->n)
                  : OK;
}

const char *str_text(const str *s)
{
    return s->p ? s->p : "";
}

void str_clear(str *s)
{
    s->n = 0;
    s->bad = false;
    if (s->p) s->p[0] = 0;
}

void str_free(str *s)
{
    mem_drop(s->p);
    *s = (str){0};
}

rc str_to_int(const char *word, int64_t *out)
{
    const char *digits = word + (*word == '-' || *word == '+');
    if (!*digits || digits[strspn(digits, "0123456789")])
        return err_fail(E_FORMAT, "wanted a whole number, had '%s'", word);
    errno = 0;
    long long v = strtoll(word, NULL, 10);
    if (errno == ERANGE)
        return err_fail(E_FORMAT, "wanted a whole number that fits 64 bits, had '%s'",
                        word);
    *out = v;
    return OK;
}

rc str_to_real(const char *word, double *out)
{
    char text[128];
    size_t n = strlen(word);
    /* strtod would also take spaces, hexadecimal, "nan" and "infinity". */
    if (!n || n >= sizeof text || word[strspn(word, "+-.0123456789eE")])
        return err_fail(E_FORMAT, "wanted a number, had '%.80s'", word);
    memcpy(text, word, n + 1);
    char *point = strchr(text, '.'), *end;
    if (point) *point = decimal_point();
    double v = strtod(text, &end);
    if (*end || end == text) return err_fail(E_FORMAT, "wanted a number, had '%s'", word);
    if (!isfinite(v))
        return err_fail(E_FORMAT, "wanted a number below 1.8e308, had '%s'", word);
    *out = v;
    return OK;
}

bool str_starts(const char *s, const char *prefix)
{
    return !strncmp(s, prefix, strlen(prefix));
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && !strcmp(s + n - m, suffix);
}

/* Scale by 1000 until one decimal is enough; 999.95 would print as 1000.0. */
static int thousands(double *v, int last)
{
    int step = 0;
    while (step < last && fabs(*v) >= 999.95) *v /= 1000, step++;
    return step;
}

const char *str_count(char out[32], double n)
{
    static const char unit[][2] = {"", "K", "M", "B", "T"};
    int step = thousands(&n, 4);
    snprintf(out, 32, "%.*f%s", step == 0 && n == floor(n) ? 0 : 1, n, unit[step]);
    return out;
}

const char *str_bytes(char out[32], double bytes)
{
    static const char unit[][3] = {"B", "kB", "MB", "GB", "TB", "PB"};
    int step = thousands(&bytes, 5);
    snprintf(out, 32, "%.*f %s", step == 0 ? 0 : 1, bytes, unit[step]);
    return out;
}

const char *str_clock(char out[32], double seconds)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(out, 32, "--:--");
        return out;
    }
    long s = (long)seconds, hours = s / 3600;
    if (hours) snprintf(out, 32, "%ld:%02ld:%02ld", hours, s / 60 % 60, s % 60);
    else snprintf(out, 32, "%02ld:%02ld", s / 60, s % 60);
    return out;
}
