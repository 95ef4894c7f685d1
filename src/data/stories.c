/* stories.c - short stories out of the rows of stories.def.
 *
 * A story is a walk through a grammar. Some rows are chosen once per story (who
 * it is about, what was lost, where), so the same words come back sentences
 * later: there is something to learn that counts of three bytes cannot hold.
 * Random numbers are a function of (seed, story, count), so any story can be
 * made alone and all are the same on every machine. */
#include <ctype.h>
#include <string.h>
#include "base/rng.h"
#include "data/data.h"

enum {
#define WORDS(name, text) RULE_##name,
#define ONCE(name, text) RULE_##name,
#define SAME(name, of, text) RULE_##name,
#include "data/stories.def"
#undef WORDS
#undef ONCE
#undef SAME
    N_RULES
};

typedef enum { FRESH, FIXED, WITH } how;
static const struct {
    const char *name, *text;
    how how;
    int of; /* WITH: whose choice it follows */
} rule[] = {
#define WORDS(name, text) {#name, text, FRESH, 0},
#define ONCE(name, text) {#name, text, FIXED, 0},
#define SAME(name, of, text) {#name, text, WITH, RULE_##of},
#include "data/stories.def"
#undef WORDS
#undef ONCE
#undef SAME
};

typedef struct {
    uint64_t seed, story, drawn;
    int chosen[N_RULES]; /* 1 + alternative of a fixed row, 0 before */
    str *out;
    bool sentence; /* the next letter begins one */
    char last;
} teller;

static int alternatives(const char *text)
{
    int n = 1;
    for (; *text; text++) n += *text == '|';
    return n;
}

/* Weights 1/(k+3): walk along their sum. */
static int draw(teller *t, int n)
{
    double all = 0;
    for (int k = 0; k < n; k++) all += 1.0 / (k + 3);
    double at = rng_unit(t->seed, t->story, t->drawn++) * all;
    int k = 0;
    while (k < n - 1 && (at -= 1.0 / (k + 3)) >= 0) k++;
    return k;
}

static int choose(teller *t, int r)
{
    int n = alternatives(rule[r].text);
    if (rule[r].how == FRESH) return draw(t, n);
    if (rule[r].how == WITH) return choose(t, rule[r].of) % n;
    if (!t->chosen[r]) t->chosen[r] = 1 + draw(t, n);
    return t->chosen[r] - 1;
}

static int find_rule(const char *name, size_t n)
{
    for (int r = 0; r < N_RULES; r++)
        if (!strncmp(rule[r].name, name, n) && !rule[r].name[n]) return r;
    return -1;
}

static void put(teller *t, char c)
{
    if (t->sentence && isalpha((unsigned char)c)) {
        c = (char)toupper((unsigned char)c);
        t->sentence = false;
    }
    if (c == '.' || c == '!' || c == '?') t->sentence = true;
    if (c == '"' && (t->last == '!' || t->last == '?')) t->sentence = false;
    t->last = c;
    str_addc(t->out, c);
}

static void tell(teller *t, int r, bool article);

/* "{name}" or "{a name}" at p; returns its end. */
static const char *tell_slot(teller *t, const char *p)
{
    const char *end = strchr(p, '}');
    bool article = p[1] == 'a' && p[2] == ' ';
    const char *name = p + (article ? 3 : 1);
    int r = find_rule(name, (size_t)(end - name));
    if (r >= 0) tell(t, r, article);
    return end + 1;
}

static void tell(teller *t, int r, bool article)
{
    const char *p = rule[r].text;
    for (int k = choose(t, r); k; p++) k -= *p == '|';
    if (article) {
        put(t, 'a');
        if (strchr("aeiou", *p)) put(t, 'n');
        put(t, ' ');
    }
    while (*p && *p != '|') {
        if (*p == '{') p = tell_slot(t, p);
        else put(t, *p++);
    }
}

static void tell_story(teller *t)
{
    memset(t->chosen, 0, sizeof t->chosen);
    t->drawn = 0;
    t->sentence = true;
    tell(t, RULE_opening, false);
    str_addc(t->out, ' ');
    if (draw(t, 2)) {
        tell(t, RULE_between, false);
        str_addc(t->out, ' ');
    }
    tell(t, RULE_plot, false);
    str_addc(t->out, ' ');
    if (draw(t, 3) == 1) {
        tell(t, RULE_between, false);
        str_addc(t->out, ' ');
    }
    tell(t, RULE_ending, false);
    str_add(t->out, "\n");
}

rc data_stories(uint64_t seed, size_t bytes, str *out)
{
    teller t = {.seed = seed, .out = out};
    size_t stop = out->n + bytes;
    for (; out->n < stop && !out->bad; t.story++) {
        if (t.story) str_add(out, "<|endoftext|>\n");
        tell_story(&t);
    }
    TRY(str_done(out));
    out->n = stop; /* the last story is cut to the length asked for */
    if (out->p) out->p[stop] = 0;
    return OK;
}
