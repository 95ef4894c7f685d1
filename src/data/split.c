/* split.c - from text to pieces, window by window.
 *
 * A split pattern looks at most a little beyond its match, so a piece that ends
 * MARGIN bytes before the end of what has come is what it would be with all the
 * text at hand; later ones wait. A piece that fills the window is cut.
 *
 * Bytes that are not valid UTF-8 (as in RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF) end a run of text; each unbroken row of
 * them is one piece. So any file has ids, and ids give back its bytes. */
#include <string.h>
#include "base/str.h"
#include "data/tokenizer.h"
#include "data/utf8.h"

#define MARGIN ((size_t)4096)
#define MATCH_LIMIT 10000000u /* steps: stops patterns that blow up */
#define STACK_LEAST ((size_t)32 << 10)
#define STACK_MOST ((size_t)1 << 20)

struct splitter {
    const tokenizer *t;
    pcre2_general_context *general;
    pcre2_match_context *match;
    pcre2_jit_stack *stack;
    pcre2_match_data *data[MAX_STEPS];
    str raw;  /* given, but not normalised yet */
    str text; /* not split yet */
    piece_fn fn;
    void *ctx;
};

static void *pcre_take(size_t n, void *unused)
{
    (void)unused;
    return mem_take(n);
}

static void pcre_drop(void *p, void *unused)
{
    (void)unused;
    mem_drop(p);
}

/* PCRE2 takes its memory through base, too. NULL when there is none. */
static pcre2_general_context *pcre_memory(void)
{
    return pcre2_general_context_create(pcre_take, pcre_drop, NULL);
}

rc split_compile(const char *pattern, size_t n, bool literal, pcre2_code **out)
{
    int error = PCRE2_ERROR_HEAP_FAILED;
    PCRE2_SIZE at = 0;
    /* \C could end a match inside a character */
    uint32_t how = PCRE2_UTF |
                   (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
    pcre2_general_context *memory = pcre_memory();
    pcre2_compile_context *context = memory ? pcre2_compile_context_create(memory) : NULL;
    *out = NULL;
    if (context) *out = pcre2_compile((PCRE2_SPTR)pattern, n, how, &error, &at, context);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(memory);
    if (*out) {
        /* without a compiler for this machine the pattern is interpreted */
        pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);
        return OK;
    }
    char why[120] = "";
    if (error == PCRE2_ERROR_HEAP_FAILED) return err_fail(E_MEMORY, "out of memory");
    pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
    return err_fail(E_FORMAT, "the split pattern is wrong at character %zu: %s",
                    (size_t)at, why);
}

rc splitter_new(const tokenizer *t, splitter **out)
{
    splitter *s = mem_take(sizeof *s);
    if (!s) return E_MEMORY;
    s->t = t;
    s->general = pcre_memory();
    s->match = s->general ? pcre2_match_context_create(s->general) : NULL;
    bool good = s->match;
    for (int i = 0; good && i < t->n_steps; i++)
        good = (s->data[i] = pcre2_match_data_create(1, s->general));
    if (!good) {
        splitter_free(s);
        return E_MEMORY;
    }
    pcre2_set_match_limit(s->match, MATCH_LIMIT);
    /* NULL without the compiler, and then not needed */
    s->stack = pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, s->general);
    if (s->stack) pcre2_jit_stack_assign(s->match, NULL, s->stack);
    *out = s;
    return OK;
}

void splitter_free(splitter *s)
{
    if (!s) return;
    for (int i = 0; i < MAX_STEPS; i++) pcre2_match_data_free(s->data[i]);
    pcre2_match_context_free(s->match);
    pcre2_jit_stack_free(s->stack);
    pcre2_general_context_free(s->general);
    str_free(&s->raw);
    str_free(&s->text);
    mem_drop(s);
}

/* Bytes from p that are valid, or, when p is not, that are not. */
static size_t run_length(const char *text, size_t n, bool *valid)
{
    size_t i = 0, k;
    *valid = utf8_char(text, n) > 0;
    if (!*valid) {
        while (i < n && !utf8_char(text + i, n - i)) i++;
        return i;
    }
    while (i < n) {
        uint64_t eight = 0x80;
        if (n - i >= 8) memcpy(&eight, text + i, 8);
        if (!(eight & 0x8080808080808080u)) i += 8;
        else if ((k = utf8_char(text + i, n - i))) i += k;
        else break;
    }
    return i;
}

static rc run_match(splitter *s, int step, const char *p, size_t n, size_t from,
                    size_t *a, size_t *b)
{
    const pcre2_code *code = s->t->step[step].code;
    uint32_t how = PCRE2_NO_UTF_CHECK;
    int r = pcre2_match(code, (PCRE2_SPTR)p, n, from, how, s->data[step], s->match);
    if (r == PCRE2_ERROR_JIT_STACKLIMIT)
        r = pcre2_match(code, (PCRE2_SPTR)p, n, from, how | PCRE2_NO_JIT, s->data[step],
                        s->match);
    if (r == PCRE2_ERROR_NOMATCH) {
        *a = *b = n;
        return OK;
    }
    if (r < 0) {
        char why[120] = "";
        pcre2_get_error_message(r, (PCRE2_UCHAR *)why, sizeof why);
        return err_fail(E_FORMAT,
                        "the split pattern of the tokenizer failed on the text: %s", why);
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->data[step]);
    *a = at[0], *b = at[1];
    if (*a >= from && *b >= *a) return OK;
    return err_fail(E_FORMAT, "the split pattern of the tokenizer matches backwards");
}

static rc emit(splitter *s, int step, const char *p, size_t n);

/* The pieces of p[0..n) by one step, up to those that end after `limit`;
 * *used is where the first that was not taken begins. */
static rc split_run(splitter *s, int step, const char *p, size_t n, size_t limit,
                    size_t *used)
{
    *used = 0;
    while (*used < n) {
        size_t a = 0, b = 0, from = *used;
        do { /* an empty match splits nothing: look on at the next character */
            TRY(run_match(s, step, p, n, from, &a, &b));
            for (from = b + 1; from < n && ((unsigned char)p[from] & 0xC0) == 0x80;)
                from++;
        } while (a == b && from < n);
        if (a == b) a = b = n;
        if (a > *used) { /* what lies before the match */
            if (a > limit) return OK;
            if (!s->t->step[step].drop_gaps) TRY(emit(s, step + 1, p + *used, a - *used));
            *used = a;
        }
        if (b > a) {
            if (b > limit) return OK;
            TRY(emit(s, step + 1, p + a, b - a));
            *used = b;
        }
    }
    return OK;
}

/* A piece of step - 1: through the steps that are left, then out. */
static rc emit(splitter *s, int step, const char *p, size_t n)
{
    size_t used;
    if (step >= s->t->n_steps) return s->fn(s->ctx, p, n, -1);
    return split_run(s, step, p, n, n, &used);
}

/* The added token at p, the longest of several, or NULL. */
static const added_token *added_at(const tokenizer *t, const char *p, size_t n)
{
    unsigned char first = (unsigned char)*p;
    for (uint32_t i = t->added_from[first]; i < t->added_from[first + 1]; i++) {
        const added_token *a = &t->added[i];
        if (a->n <= n && !memcmp(p, a->p, a->n)) return a;
    }
    return NULL;
}

static const added_token *find_added(const tokenizer *t, const char *p, size_t n,
                                     size_t *at)
{
    const added_token *a = NULL;
    for (*at = 0; *at < n; ++*at) {
        unsigned char first = (unsigned char)p[*at];
        if (t->added_from[first] == t->added_from[first + 1]) continue;
        if ((a = added_at(t, p + *at, n - *at))) break;
    }
    return a;
}

/* Text without added tokens; pieces that end after `limit` are not taken. */
static rc split_text(splitter *s, const char *p, size_t n, size_t limit, size_t *used)
{
    *used = 0;
    while (*used < n) {
        bool valid;
        size_t run = run_length(p + *used, n - *used, &valid), got = run;
        size_t room = limit > *used ? limit - *used : 0;
        if (valid && s->t->n_steps) {
            TRY(split_run(s, 0, p + *used, run, room, &got));
        } else if (run > room) {
            got = 0;
        } else TRY(s->fn(s->ctx, p + *used, run, -1));
        *used += got;
        if (got < run) break;
    }
    return OK;
}

/* A window that is all one piece: give what is sure to be inside it. */
static rc force(splitter *s, const char *text, size_t n, size_t *used)
{
    *used = n - MARGIN;
    while (*used > n - MARGIN - 4 && ((unsigned char)text[*used] & 0xC0) == 0x80) --*used;
    bool valid = utf8_char(text, n) > 0;
    return valid ? emit(s, 1, text, *used) : s->fn(s->ctx, text, *used, -1);
}

/* Split what has come so far; *used is where the first piece begins that must
 * wait for more. */
static rc split_window(splitter *s, const char *text, size_t n, bool last, size_t *used)
{
    size_t limit = last ? n : n - MARGIN;
    *used = 0;
    while (*used < n) {
        size_t at, got;
        const added_token *a = find_added(s->t, text + *used, n - *used, &at);
        TRY(split_text(s, text + *used, at, limit > *used ? limit - *used : 0, &got));
        *used += got;
        if (got < at || !a || *used > limit) break;
        TRY(s->fn(s->ctx, a->p, a->n, a->id));
        *used += a->n;
    }
    return *used || last ? OK : force(s, text, n, used);
}

static void drop_front(str *s, size_t n)
{
    if (!n) return;
    memmove(s->p, s->p + n, s->n - n);
    s->n -= n;
}

/* Move text on: through the normalisation if there is one. */
static rc take_in(splitter *s, const char *text, size_t n, bool last)
{
    size_t used;
    if (!s->t->nfc) {
        str_addn(&s->text, text, n);
        return str_done(&s->text);
    }
    str_addn(&s->raw, text, n);
    TRY(str_done(&s->raw));
    TRY(nfc_add(s->t->nfc, str_text(&s->raw), s->raw.n, last, &s->text, &used));
    drop_front(&s->raw, used);
    return OK;
}

rc splitter_add(splitter *s, const char *text, size_t n, piece_fn fn, void *ctx)
{
    s->fn = fn, s->ctx = ctx;
    for (size_t k, used; n; text += k, n -= k) {
        k = n < SPLIT_WINDOW ? n : SPLIT_WINDOW;
        TRY(take_in(s, text, k, false));
        if (s->text.n < SPLIT_WINDOW) continue;
        TRY(split_window(s, s->text.p, s->text.n, false, &used));
        drop_front(&s->text, used);
    }
    return OK;
}

rc splitter_end(splitter *s, piece_fn fn, void *ctx)
{
    size_t used;
    s->fn = fn, s->ctx = ctx;
    TRY(take_in(s, "", 0, true));
    TRY(split_window(s, str_text(&s->text), s->text.n, true, &used));
    str_clear(&s->text);
    return OK;
}
