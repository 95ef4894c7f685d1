/* number.c - one element of a literal, read and printed without loss.
 *
 * A real type is printed as a hexadecimal float ("0x1.8p+1"), which is exact.
 * It is read from a decimal, a hexadecimal float, inf or nan, or from a plain
 * hexadecimal whole number, which then is the bit pattern: fp16(0x3c00) is 1.
 * The point is '.' whatever the locale, so printf and strtod stay out. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "mil/mil_in.h"

/* A token taken apart, before it is known which type wants it. */
typedef struct {
    bool negative, hex;
    enum { WHOLE, REAL } form;
    uint64_t whole; /* WHOLE: the magnitude */
    double real;    /* the magnitude, of both forms */
} number;

static rc bad(const mil_program *p, const mil_tok *t, const char *wanted)
{
    char had[48];
    return mil_fail(p, t->pos, E_FORMAT, "wanted %s, had %s", wanted,
                    mil_tok_text(had, t));
}

/* The worth of a digit, or -1. A capital letter differs from a small one in
 * bit 5 alone. */
static int digit_of(char c, int base)
{
    int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' ? (c | 32) - 'a' + 10 : 99;
    return d < base ? d : -1;
}

/* Digits only; false on anything else or on more than 64 bits. */
static bool whole_of(const char *s, size_t n, int base, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int d = digit_of(s[i], base);
        if (d < 0 || v > (UINT64_MAX - (uint64_t)d) / (uint64_t)base) return false;
        v = v * (uint64_t)base + (uint64_t)d;
    }
    *out = v;
    return n > 0;
}

/* "1.8p+1" after the 0x. Bits that a double has no room for only set its
 * lowest one (rounding to odd), so that rounding to the narrower type later
 * is right, as if it were the only one. */
static bool hex_real(const char *s, size_t n, double *out)
{
    uint64_t m = 0, sticky = 0, e = 0;
    long shift = 0;
    size_t i = 0, digits = 0;
    bool point = false, minus = false;
    for (; i < n && (s[i] | 32) != 'p'; i++) {
        int d = digit_of(s[i], 16);
        if (s[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (d < 0) return false;
        digits++;
        if (m >> 56) sticky |= (uint64_t)d, shift += 4;
        else m = m * 16 + (uint64_t)d;
        if (point) shift -= 4;
    }
    if (!digits || i == n) return false;
    if (++i < n && (s[i] == '+' || s[i] == '-')) minus = s[i++] == '-';
    if (!whole_of(s + i, n - i, 10, &e)) return false;
    if (e > 100000) e = 100000;
    for (; m >> 53; m >>= 1, shift++) sticky |= m & 1;
    *out = ldexp((double)(m | (sticky != 0)),
                 (int)(shift + (minus ? -(long)e : (long)e)));
    return true;
}

static bool word_is(const char *s, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (!word[i] || (s[i] | 32) != word[i]) return false;
    return !word[n];
}

/* The three spellings: a word, a hexadecimal number (float with 'p', else
 * whole), a decimal number (whole if it has digits only). */
static rc take_apart(const mil_program *p, const mil_tok *t, number *out)
{
    const char *s = t->p;
    size_t n = t->n;
    char text[128];
    if (!n) return bad(p, t, "a number"); /* the end of the text: nothing to read */
    *out = (number){.negative = *s == '-'};
    if (*s == '-' || *s == '+') s++, n--;
    out->form = REAL;
    if (word_is(s, n, "inf") || word_is(s, n, "infinity")) {
        out->real = INFINITY;
        return OK;
    }
    if (word_is(s, n, "nan")) {
        out->real = NAN;
        return OK;
    }
    if (t->kind != TOK_NUMBER || !n) return bad(p, t, "a number");
    out->hex = n > 2 && s[0] == '0' && (s[1] | 32) == 'x';
    if (out->hex && (memchr(s, 'p', n) || memchr(s, 'P', n)))
        return hex_real(s + 2, n - 2, &out->real)
                   ? OK
                   : bad(p, t, "a hexadecimal float such as 0x1.8p+1");
    size_t skip = out->hex ? 2 : 0;
    if (whole_of(s + skip, n - skip, out->hex ? 16 : 10, &out->whole)) {
        out->form = WHOLE;
        out->real = (double)out->whole;
        return OK;
    }
    if (out->hex)
        return bad(p, t, "at most 16 hexadecimal digits, or a float such as 0x1.8p+1");
    if (n >= sizeof text) return bad(p, t, "a number of at most 127 characters");
    memcpy(text, s, n);
    text[n] = 0;
    return str_to_real(text, &out->real) == OK ? OK : bad(p, t, "a number");
}

/* bfloat16 is the upper half of a float: round to nearest, ties to even, by
 * adding just under half of the last bit that stays, and that bit itself. The
 * carry may reach infinity, as it should. A NaN must keep a fraction bit. */
static uint16_t bf16_from_double(double v)
{
    float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if (isnan(f)) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static double bf16_to_double(uint16_t b)
{
    uint32_t u = (uint32_t)b << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* A plain hexadecimal number is the bit pattern of a real. */
static rc read_bits(const mil_program *p, const mil_tok *t, mil_dtype d, const number *v,
                    void *out)
{
    size_t bytes = mil_dtype_bytes(d);
    if (v->negative || v->whole >> (8 * bytes)) {
        char had[48];
        return mil_fail(
            p, t->pos, E_FORMAT,
            "wanted the bit pattern of %s, at most %d hexadecimal digits, had %s",
            mil_dtype_text(d), (int)(2 * bytes), mil_tok_text(had, t));
    }
    uint16_t h = (uint16_t)v->whole;
    uint32_t w = (uint32_t)v->whole;
    memcpy(out, bytes == 2 ? (void *)&h : (void *)&w, bytes);
    return OK;
}

/* One value of fp16, fp32 or bf16. A finite number that turns infinite would
 * change a program silently, so it is an error; infinity has a spelling. */
static rc read_real(const mil_program *p, const mil_tok *t, mil_dtype d, const number *v,
                    void *out)
{
    if (v->form == WHOLE && v->hex) return read_bits(p, t, d, v, out);
    double real = v->negative ? -v->real : v->real, back;
    if (d == MIL_FP32) {
        float f = (float)real;
        memcpy(out, &f, sizeof f);
        back = f;
    } else {
        uint16_t h = d == MIL_FP16 ? half_from_double(real) : bf16_from_double(real);
        if (isnan(real)) h = d == MIL_FP16 ? 0x7e00 : 0x7fc0;
        memcpy(out, &h, sizeof h);
        back = d == MIL_FP16 ? half_to_double(h) : bf16_to_double(h);
    }
    if (isinf(back) && !isinf(real)) {
        char had[48];
        mil_fail(p, t->pos, E_FORMAT, "%s is beyond the range of %s",
                 mil_tok_text(had, t), mil_dtype_text(d));
        return err_hint(E_FORMAT, "infinity is spelled inf or -inf");
    }
    return OK;
}

static const struct {
    uint64_t lowest, highest; /* magnitude of the most negative, most positive */
} range[MIL_DTYPE_COUNT] = {
    [MIL_INT8] = {128, 127},
    [MIL_UINT8] = {0, 255},
    [MIL_INT16] = {32768, 32767},
    [MIL_UINT16] = {0, 65535},
    [MIL_INT32] = {2147483648u, 2147483647},
    [MIL_UINT32] = {0, UINT32_MAX},
    [MIL_INT64] = {(uint64_t)1 << 63, INT64_MAX},
    [MIL_UINT64] = {0, UINT64_MAX},
};

/* One value of an integer type, in its width and two's complement. */
static rc read_whole(const mil_program *p, const mil_tok *t, mil_dtype d, const number *v,
                     void *out)
{
    char had[48];
    if (v->form != WHOLE) return bad(p, t, "a whole number");
    if (v->whole > (v->negative ? range[d].lowest : range[d].highest))
        return mil_fail(p, t->pos, E_FORMAT, "%s does not fit %s", mil_tok_text(had, t),
                        mil_dtype_text(d));
    uint64_t w = v->negative ? 0 - v->whole : v->whole;
    uint8_t w8 = (uint8_t)w;
    uint16_t w16 = (uint16_t)w;
    uint32_t w32 = (uint32_t)w;
    size_t bytes = mil_dtype_bytes(d);
    const void *from = bytes == 1   ? (const void *)&w8
                       : bytes == 2 ? (const void *)&w16
                       : bytes == 4 ? (const void *)&w32
                                    : (const void *)&w;
    memcpy(out, from, bytes);
    return OK;
}

rc mil_number_read(const mil_program *p, const mil_tok *t, mil_dtype d, void *out)
{
    number v;
    if (d == MIL_BOOL) {
        unsigned char b = mil_tok_is(t, "true");
        if (!b && !mil_tok_is(t, "false")) return bad(p, t, "true or false");
        memcpy(out, &b, 1);
        return OK;
    }
    if (d == MIL_STRING) return bad(p, t, "a string in double quotes");
    TRY(take_apart(p, t, &v));
    if (d == MIL_FP16 || d == MIL_FP32 || d == MIL_BF16)
        return read_real(p, t, d, &v, out);
    return read_whole(p, t, d, &v, out);
}

/* ---- printing ---- */

/* The bits of the double, printed from the top: sign, 1.fraction, exponent.
 * printf's %a may not be used: it follows the locale, and C libraries differ
 * in the leading digit. */
static void print_real(str *out, double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    if (u >> 63) str_addc(out, '-');
    if (isinf(v)) {
        str_add(out, "inf");
        return;
    }
    u &= ~(uint64_t)0 >> 1;
    if (!u) {
        str_add(out, "0x0p+0");
        return;
    }
    /* A float or a half is always a normal double: the leading digit is 1. */
    uint64_t fraction = u & 0xfffffffffffffu;
    str_add(out, fraction ? "0x1." : "0x1");
    for (; fraction; fraction = fraction << 4 & 0xfffffffffffffu)
        str_addc(out, "0123456789abcdef"[fraction >> 48]);
    str_addf(out, "p%+d", (int)(u >> 52) - 1023);
}

/* The one NaN that "nan" reads as; others keep their bits as a pattern. */
static void print_bits_or_real(str *out, uint32_t bits, uint32_t nan, int digits,
                               double v)
{
    if (!isnan(v)) print_real(out, v);
    else if (bits == nan) str_add(out, "nan");
    else str_addf(out, "0x%0*lx", digits, (unsigned long)bits);
}

/* Widen without sign, then give the sign back to those that have one. */
static void print_whole(str *out, mil_dtype d, const void *element)
{
    size_t bytes = mil_dtype_bytes(d);
    const unsigned char *p = element;
    uint64_t w = 0;
    uint8_t w8 = p[0];
    uint16_t w16;
    uint32_t w32;
    if (bytes == 1) w = w8;
    if (bytes == 2) memcpy(&w16, p, 2), w = w16;
    if (bytes == 4) memcpy(&w32, p, 4), w = w32;
    if (bytes == 8) memcpy(&w, p, 8);
    /* A signed type reaches its sign bit; an unsigned one has lowest 0. */
    if (range[d].lowest && w > range[d].highest) {
        uint64_t wrap = bytes == 8 ? 0 : (uint64_t)1 << (8 * bytes);
        str_addf(out, "-%llu", (unsigned long long)(wrap - w));
    } else str_addf(out, "%llu", (unsigned long long)w);
}

void mil_number_print(str *out, mil_dtype d, const void *element)
{
    uint16_t h;
    uint32_t u;
    float f;
    switch (d) {
    case MIL_FP16:
        memcpy(&h, element, 2);
        print_bits_or_real(out, h, 0x7e00, 4, half_to_double(h));
        break;
    case MIL_BF16:
        memcpy(&h, element, 2);
        print_bits_or_real(out, h, 0x7fc0, 4, bf16_to_double(h));
        break;
    case MIL_FP32:
        memcpy(&u, element, 4);
        memcpy(&f, element, 4);
        print_bits_or_real(out, u, 0x7fc00000, 8, f);
        break;
    case MIL_BOOL:
        str_add(out, *(const unsigned char *)element ? "true" : "false");
        break;
    default:
        print_whole(out, d, element);
    }
}
