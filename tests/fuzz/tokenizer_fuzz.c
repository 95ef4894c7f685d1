/* tokenizer_fuzz.c - any bytes as a tokenizer.json, and what follows the first
 * zero byte as a text for it. Every id must be in the vocabulary, and where no
 * part of the text is changed or dropped the ids must spell it. */
#include <stdlib.h>
#include <string.h>
#include "data/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool keeps_text(const tokenizer *t)
{
    for (int i = 0; i < t->n_steps; i++)
        if (t->step[i].drop_gaps) return false;
    return !t->nfc && t->unknown < 0;
}

static void check(const tokenizer *t, const char *text, size_t n)
{
    token_list l = {0};
    size_t at = 0;
    if (tokenizer_encode(t, text, n, &l) != OK) {
        if (l.n) abort(); /* an error leaves no ids */
        token_list_free(&l);
        return;
    }
    for (size_t i = 0; i < l.n; i++) {
        if (l.id[i] < 0 || l.id[i] >= t->vocab) abort();
        const token_piece *p = &t->piece[l.id[i]];
        if (!keeps_text(t)) continue;
        if (p->n > n - at || memcmp(p->p, text + at, p->n)) abort();
        at += p->n;
    }
    if (keeps_text(t) && at != n) abort();
    token_list_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *json = (const char *)bytes, *zero = memchr(json, 0, n);
    size_t json_n = zero ? (size_t)(zero - json) : n;
    tokenizer *t;
    if (tokenizer_parse(json, json_n, "fuzz.json", &t) != OK) {
        if (!strstr(err_text(), "fuzz.json")) abort(); /* every error has its place */
        return 0;
    }
    if (zero) check(t, zero + 1, n - json_n - 1);
    check(t, json, json_n);
    tokenizer_free(t);
    return 0;
}
