/* nfc.c - take every character apart, put marks in order, put together again.
 *
 * Nearly all text is in form C already. So characters are only looked at for
 * two properties: does it JOIN what stands before it (a mark, the second half of
 * a pair), does it CHANGE alone. Text up to the character before the first of
 * these is copied; from there to the next character that does not join is a
 * segment, and segments are normalised one by one.
 *
 * A segment of more than MOST characters (a letter with a thousand accents) is
 * normalised in parts, like the stream-safe form of Annex 15. */
#include <string.h>
#include "base/arena.h"
#include "data/map.h"
#include "data/nfc.h"
#include "data/utf8.h"

#define TOP 0x30000u /* nothing above combines or comes apart */
#define MOST 1024
#define LONGEST ((size_t)64 << 10) /* bytes for which the end of a segment is waited */
#define DEEPEST 4                  /* code points of the longest full decomposition */
#define JOINS 1u
#define CHANGES 2u

#define L_FIRST 0x1100u /* Hangul: leading, vowel, trailing, syllables */
#define V_FIRST 0x1161u
#define T_FIRST 0x11A7u
#define S_FIRST 0xAC00u
#define L_COUNT 19u
#define V_COUNT 21u
#define T_COUNT 28u
#define S_COUNT (L_COUNT * V_COUNT * T_COUNT)

static const struct {
    uint32_t code, first, second; /* second 0: none */
    bool composes;
} parts[] = {
#define PAIR(c, a, b) {0x##c, 0x##a, 0x##b, true},
#define APART(c, a, b) {0x##c, 0x##a, 0x##b, false},
#define OTHER(c, a) {0x##c, 0x##a, 0, false},
#define CLASS(from, to, k)
#include "data/nfc.def"
#undef PAIR
#undef APART
#undef OTHER
#undef CLASS
};

static const struct {
    uint32_t from, to;
    uint8_t class;
} classes[] = {
#define PAIR(c, a, b)
#define APART(c, a, b)
#define OTHER(c, a)
#define CLASS(from, to, k) {0x##from, 0x##to, k},
#include "data/nfc.def"
#undef PAIR
#undef APART
#undef OTHER
#undef CLASS
};

struct nfc {
    uint8_t class[TOP];
    uint8_t flags[TOP];
    uint16_t row[TOP]; /* 1 + index of `parts`, 0 = stays whole */
    pair_map pairs;    /* first, second -> composed */
};

/* The full decomposition of c, at most DEEPEST code points. */
static size_t take_apart(const nfc *t, uint32_t c, uint32_t *out)
{
    if (c - S_FIRST < S_COUNT) {
        uint32_t s = c - S_FIRST, trail = s % T_COUNT;
        out[0] = L_FIRST + s / (V_COUNT * T_COUNT);
        out[1] = V_FIRST + s / T_COUNT % V_COUNT;
        out[2] = T_FIRST + trail;
        return trail ? 3 : 2;
    }
    if (c >= TOP || !t->row[c]) {
        out[0] = c;
        return 1;
    }
    size_t row = t->row[c] - 1u;
    size_t n = take_apart(t, parts[row].first, out);
    if (parts[row].second) n += take_apart(t, parts[row].second, out + n);
    return n;
}

static uint32_t put_together(const nfc *t, uint32_t a, uint32_t b)
{
    if (a - L_FIRST < L_COUNT && b - V_FIRST < V_COUNT)
        return S_FIRST + ((a - L_FIRST) * V_COUNT + (b - V_FIRST)) * T_COUNT;
    if (a - S_FIRST < S_COUNT && (a - S_FIRST) % T_COUNT == 0 &&
        b - T_FIRST - 1 < T_COUNT - 1)
        return a + (b - T_FIRST);
    uint32_t c = pair_map_get(&t->pairs, PAIR_KEY(a, b));
    return c == PAIR_NONE ? 0 : c;
}

static rc fill(nfc *t)
{
    size_t n = sizeof parts / sizeof *parts;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        for (uint32_t c = classes[i].from; c <= classes[i].to; c++)
            t->class[c] = classes[i].class;
    for (size_t i = 0; i < n; i++) {
        uint32_t *made;
        t->row[parts[i].code] = (uint16_t)(i + 1);
        if (!parts[i].composes) t->flags[parts[i].code] |= CHANGES;
        if (!parts[i].composes) continue;
        TRY(pair_map_put(&t->pairs, PAIR_KEY(parts[i].first, parts[i].second), &made));
        *made = parts[i].code;
        t->flags[parts[i].second] |= JOINS;
    }
    for (uint32_t c = V_FIRST; c < V_FIRST + V_COUNT; c++) t->flags[c] |= JOINS;
    for (uint32_t c = T_FIRST + 1; c < T_FIRST + T_COUNT; c++) t->flags[c] |= JOINS;
    for (uint32_t c = 0; c < TOP; c++)
        if (t->class[c]) t->flags[c] |= JOINS;
    /* what begins with a joining character joins */
    for (size_t i = 0; i < n; i++) {
        uint32_t whole[DEEPEST];
        take_apart(t, parts[i].code, whole);
        t->flags[parts[i].code] |= t->flags[whole[0]] & JOINS;
    }
    return OK;
}

rc nfc_new(nfc **out)
{
    nfc *t = mem_take(sizeof *t);
    if (!t) return E_MEMORY;
    rc r = fill(t);
    if (r == OK) *out = t;
    else nfc_free(t);
    return r;
}

void nfc_free(nfc *t)
{
    if (!t) return;
    pair_map_free(&t->pairs);
    mem_drop(t);
}

static uint8_t class_of(const nfc *t, uint32_t c)
{
    return c < TOP ? t->class[c] : 0;
}

/* Marks in the order of their classes; equal ones keep theirs. */
static void sort_marks(const nfc *t, uint32_t *c, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint8_t k = class_of(t, c[i]);
        uint32_t code = c[i];
        size_t j = i;
        for (; k && j && class_of(t, c[j - 1]) > k; j--) c[j] = c[j - 1];
        c[j] = code;
    }
}

/* A mark composes with the starter unless one of the same or a higher class,
 * or another starter, stands between them. */
static size_t compose(const nfc *t, uint32_t *c, size_t n)
{
    size_t starter = 0, out = 1;
    bool has_starter = class_of(t, c[0]) == 0;
    uint8_t last = 0;
    for (size_t i = 1; i < n; i++) {
        uint8_t k = class_of(t, c[i]);
        bool next = out == starter + 1;
        bool open = has_starter && (next || (last && last < k));
        uint32_t made = open ? put_together(t, c[starter], c[i]) : 0;
        if (made) {
            c[starter] = made;
            continue;
        }
        if (k == 0) starter = out, has_starter = true;
        last = k;
        c[out++] = c[i];
    }
    return out;
}

static void add_segment(const nfc *t, const char *p, size_t n, str *out)
{
    uint32_t c[MOST + DEEPEST];
    size_t have = 0;
    for (size_t i = 0, k; i < n;) {
        for (; i < n && have < MOST; i += k) {
            k = utf8_char(p + i, n - i);
            have += take_apart(t, utf8_code(p + i, k), c + have);
        }
        sort_marks(t, c, have);
        have = compose(t, c, have);
        for (size_t j = 0; j < have; j++) {
            char bytes[4];
            str_addn(out, bytes, utf8_put(c[j], bytes));
        }
        have = 0;
    }
}

/* Flags of the character at p, its length in *k (1 for a byte that is none). */
static unsigned look(const nfc *t, const char *p, size_t n, size_t *k)
{
    *k = utf8_char(p, n);
    if (*k < 2) {
        *k = 1;
        return 0;
    }
    uint32_t c = utf8_code(p, *k);
    return c < TOP ? t->flags[c] : 0;
}

/* Bytes at the end that may be the start of a character. */
static size_t cut_character(const char *text, size_t n)
{
    for (size_t i = 1; i <= 3 && i <= n; i++) {
        unsigned char c = (unsigned char)text[n - i];
        if ((c & 0xC0) == 0x80) continue;
        size_t k = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
        return c >= 0xC2 && k > i ? i : 0;
    }
    return 0;
}

rc nfc_add(const nfc *t, const char *text, size_t n, bool last, str *out, size_t *used)
{
    size_t done = 0, before = 0, i = 0, k;
    if (!last) n -= cut_character(text, n);
    while (i < n) {
        uint64_t eight = 0x80;
        if (n - i >= 8) memcpy(&eight, text + i, 8);
        bool plain = !(eight & 0x8080808080808080u);
        unsigned flags = plain ? 0 : look(t, text + i, n - i, &k);
        if (!flags) {
            before = plain ? i + 7 : i;
            i += plain ? 8 : k;
            continue;
        }
        /* a segment begins before a joining character, if that is a character */
        bool join = flags & JOINS && before < i && utf8_char(text + before, n - before);
        size_t start = join ? before : i;
        for (i += k; i < n && look(t, text + i, n - i, &k) & JOINS;) i += k;
        before = start;
        if (i == n && !last && n - start < LONGEST) break;
        str_addn(out, text + done, start - done);
        add_segment(t, text + start, i - start, out);
        done = before = i;
    }
    /* the last character, or the segment that is not over, waits */
    *used = last ? n : before;
    str_addn(out, text + done, *used - done);
    return str_done(out);
}
