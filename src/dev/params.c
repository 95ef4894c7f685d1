/* params.c - the words after "emu:" in a device URI. */
#include <stdio.h>
#include <string.h>
#include "base/str.h"
#include "dev/soft.h"

/* The list is short enough to be the best help. */
static rc no_model(const char *driver, const char *model)
{
    const char *names[64];
    size_t n = 0;
    str all = {0};
    for (size_t i = 0; i < dev_profile_count() && n < 64; i++) {
        names[n] = dev_profile_at(i)->name;
        str_addf(&all, "%s%s", n++ ? ", " : "", names[i]);
    }
    rc r = err_fail(E_DEVICE, "no chip '%s' is known to %s; there are: %s", model, driver,
                    str_text(&all));
    str_free(&all);
    const char *near = err_nearest(model, names, n);
    return near ? err_hint(r, "did you mean '%s:%s'?", driver, near) : r;
}

/* A count in a word: bounded so that later sums of it cannot overflow. */
static rc whole_word(const char *word, const char *value, int64_t *out)
{
    if (str_to_int(value, out) == OK && *out >= 0 && *out <= INT32_MAX) return OK;
    return err_fail(E_DEVICE, "device word '%s' needs a whole number, had '%s'", word,
                    value);
}

/* None at all would run nothing, and must not be taken for no limit. */
static rc budget_word(const char *word, const char *value, const char *otherwise,
                      int64_t *out)
{
    TRY(whole_word(word, value, out));
    if (*out) return OK;
    err_fail(E_DEVICE, "device word '%s=0': a process that has none runs no program",
             word);
    return err_hint(E_DEVICE, "at least %s=1; %s", word, otherwise);
}

/* One word after the chip. Words about arithmetic mean nothing to a device that
 * computes nothing, and are refused there like any unknown word. */
rc soft_params_word(const char *driver, bool computes, const char *word, soft_params *p)
{
    static const char *const known[] = {"fast",      "wide",     "exact", "count",
                                        "strict",    "faithful", "isa=",  "rules=all",
                                        "compiles=", "slots=",   "fail="};
    int64_t n = 0;
    if (computes && !strcmp(word, "fast")) p->arithmetic = SOFT_FAST;
    else if (computes && !strcmp(word, "wide")) p->arithmetic = SOFT_WIDE;
    else if (computes && !strcmp(word, "exact")) p->arithmetic = SOFT_EXACT;
    else if (computes && !strcmp(word, "count")) p->count = true;
    else if (!strcmp(word, "strict")) p->faithful = false;
    else if (!strcmp(word, "faithful")) p->faithful = true;
    else if (!strcmp(word, "rules=all")) p->rules_all = true;
    else if (computes && str_starts(word, "isa=") && strlen(word + 4) < sizeof p->isa)
        strcpy(p->isa, word + 4);
    else if (!strcmp(word, "compiles=none")) p->compiles_max = 0;
    else if (str_starts(word, "compiles=")) {
        TRY(budget_word("compiles", word + 9, "'compiles=none' is no limit", &n));
        p->compiles_max = (int)n;
    } else if (str_starts(word, "slots=")) {
        TRY(budget_word("slots", word + 6, "leave 'slots=' out for the chip's own", &n));
        p->programs_max = (int)n;
    } else if (str_starts(word, "fail=")) {
        TRY(whole_word("fail", word + 5, &n));
        p->fail = (uint64_t)n;
    } else {
        rc r = err_fail(E_DEVICE, "device '%s' does not know the word '%s'", driver,
                        word);
        const char *near = err_nearest(word, known, sizeof known / sizeof *known);
        if (near) return err_hint(r, "did you mean '%s'?", near);
        return err_hint(r, "words: fast, wide, exact, strict, faithful, rules=all, "
                           "isa=NAME");
    }
    return OK;
}

/* The first word is the chip, all others may stand in any order; of two that
 * contradict each other the later one counts. */
rc soft_params_parse(const char *driver, bool computes, const char *text,
                     soft_params *out)
{
    *out = (soft_params){0};
    char word[64];
    bool first = true;
    do {
        size_t n = strcspn(text, ",");
        if (n >= sizeof word)
            return err_fail(E_DEVICE, "device word '%.40s...' is too long", text);
        memcpy(word, text, n);
        word[n] = 0;
        text += n;
        if (first) {
            out->profile = dev_profile_find(word);
            if (!out->profile) return no_model(driver, word);
            out->compiles_max = out->profile->compiles_max;
        } else {
            TRY(soft_params_word(driver, computes, word, out));
        }
        first = false;
    } while (*text++ == ',');
    return OK;
}
