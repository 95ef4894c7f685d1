/* lex.c - MIL text to tokens.
 *
 * Space is free. A token is a word, a number (with its sign), a string in
 * double quotes on one line, the arrow, or one mark of punctuation. The
 * grammar has no comments; they get an error of their own.
 *
 * The text is not terminated: every look at a byte goes through byte_at(),
 * which gives -1 at the end. A token is a piece of the text, not a copy; what
 * it is worth is decided by whoever wanted it, since "0x10" is sixteen in an
 * int32 and a bit pattern in an fp16. */
#include <stdio.h>
#include <string.h>
#include "mil/mil_in.h"

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}
static bool is_first(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_word(int c)
{
    return is_first(c) || is_digit(c) || c == '@';
}
static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int byte_at(const mil_lex *l, const char *p)
{
    return p < l->end ? (unsigned char)*p : -1;
}

/* A number with its sign: 1, -2.5e-3, 0x1.8p+3, 0x3c00, -inf. The sign of an
 * exponent belongs to it; what it is worth, number.c decides. */
static const char *number_end(const mil_lex *l, const char *p)
{
    int before = 0;
    if (*p == '+' || *p == '-') p++;
    bool hex = byte_at(l, p) == '0' && (byte_at(l, p + 1) | 32) == 'x';
    for (;; p++) {
        int c = byte_at(l, p);
        bool sign = (c == '+' || c == '-') && (before | 32) == (hex ? 'p' : 'e');
        if (c != '.' && !is_word(c) && !sign) return p;
        before = c;
    }
}

/* Past the closing quote. A backslash hides the next byte, whatever it is; if
 * the two mean anything, mil_tok_string decides. */
static rc string_end(const mil_lex *l, const char **end)
{
    const mil_tok *t = &l->tok;
    const char *p = t->p + 1;
    for (; byte_at(l, p) != '"'; p++) {
        if (byte_at(l, p) == '\\') p++;
        int c = byte_at(l, p);
        if (c < 0 || c == '\n')
            return mil_fail(l->program, t->pos, E_FORMAT,
                            "a string is not closed before the end of its line");
        if (c == 0)
            return mil_fail(l->program, t->pos, E_FORMAT, "a string holds a zero byte");
    }
    *end = p + 1;
    return OK;
}

/* A byte that begins nothing. People do try comments. */
static rc strange(const mil_lex *l)
{
    int c = byte_at(l, l->p), d = byte_at(l, l->p + 1);
    mil_pos at = l->tok.pos;
    if (c == '#' || (c == '/' && (d == '/' || d == '*'))) {
        mil_fail(l->program, at, E_FORMAT, "MIL text has no comments");
        return err_hint(E_FORMAT,
                        "remove everything from here to the end of the comment");
    }
    if (c > ' ' && c < 127)
        return mil_fail(l->program, at, E_FORMAT, "no token begins with '%c'", c);
    return mil_fail(l->program, at, E_FORMAT, "no token begins with the byte 0x%02x", c);
}

/* Lines count from 1 at each '\n', columns from 1 in bytes. '?' is a mark only
 * so that sizes that vary get an error that knows what they are. */
rc mil_lex_next(mil_lex *l)
{
    mil_tok *t = &l->tok;
    for (; l->p < l->end && is_space(*l->p); l->p++)
        if (*l->p == '\n') l->line++, l->line_start = l->p + 1;
    t->p = l->p;
    t->pos = (mil_pos){l->line, (int)(l->p - l->line_start) + 1};
    int c = byte_at(l, l->p), d = byte_at(l, l->p + 1);
    if (c < 0) t->kind = TOK_END;
    else if (is_first(c)) {
        t->kind = TOK_WORD;
        while (is_word(byte_at(l, l->p))) l->p++;
    } else if (c == '-' && d == '>') {
        t->kind = TOK_ARROW;
        l->p += 2;
    } else if (is_digit(c) || c == '-' || c == '+' || (c == '.' && is_digit(d))) {
        t->kind = TOK_NUMBER;
        l->p = number_end(l, l->p);
    } else if (c == '"') {
        t->kind = TOK_STRING;
        TRY(string_end(l, &l->p));
    } else if (strchr("(){}[]<>=,;?", c) && c) {
        t->kind = TOK_MARK;
        l->p++;
    } else return strange(l);
    t->n = (size_t)(l->p - t->p);
    return OK;
}

int mil_lex_peek(const mil_lex *l)
{
    const char *p = l->p;
    while (p < l->end && is_space(*p)) p++;
    return byte_at(l, p);
}

bool mil_tok_is(const mil_tok *t, const char *text)
{
    return (t->kind == TOK_WORD || t->kind == TOK_MARK) && strlen(text) == t->n &&
           !memcmp(t->p, text, t->n);
}

const char *mil_tok_text(char out[48], const mil_tok *t)
{
    size_t n = t->n < 36 ? t->n : 36;
    if (t->kind == TOK_END) snprintf(out, 48, "the end of the text");
    else snprintf(out, 48, "'%.*s%s'", (int)n, t->p, n < t->n ? "..." : "");
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127) *p = '?';
    return out;
}

static int hex_digit(int c)
{
    if (is_digit(c)) return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape after its backslash: \" \\ \n \t \r \xHH; -1 for any other. A
 * zero byte would end the string early for every reader in C, so \x00 is
 * refused by the caller. */
static int escape(const char **at, const char *end)
{
    static const char from[] = "\"\\ntr", to[] = "\"\\\n\t\r";
    const char *p = *at, *hit = *p ? strchr(from, *p) : NULL;
    *at = p + 1;
    if (hit) return (unsigned char)to[hit - from];
    if (*p != 'x' || end - p < 3) return -1;
    int high = hex_digit(p[1]), low = hex_digit(p[2]);
    *at = p + 3;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

rc mil_tok_string(const mil_program *p, arena *mem, const mil_tok *t, const char **out)
{
    char *text = arena_take(mem, t->n);
    const char *at = t->p + 1, *end = t->p + t->n - 1;
    if (!text) return E_MEMORY;
    *out = text;
    while (at < end) {
        int c = (unsigned char)*at++;
        const char *start = at - 1;
        if (c == '\\') c = escape(&at, end);
        if (c <= 0) {
            mil_pos where = t->pos;
            where.column += (int)(start - t->p);
            mil_fail(p, where, E_FORMAT, "no escape is spelled '%.2s'", start);
            return err_hint(E_FORMAT,
                            "escapes are \\\" \\\\ \\n \\t \\r and \\x01 to \\xff");
        }
        *text++ = (char)c;
    }
    return OK;
}
