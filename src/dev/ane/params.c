/* params.c - the words after "ane:" in a device URI. */
#include <stdio.h>
#include <string.h>
#include "base/str.h"
#include "dev/ane/ane.h"

static rc path_word(const char *word, const char *value, char *out, size_t size)
{
    int n = snprintf(out, size, "%s", value);
    if (n > 0 && (size_t)n < size) return OK;
    return err_fail(E_DEVICE, "device word '%.40s' needs a path of 1 to %zu bytes", word,
                    size - 1);
}

static rc cache_word(const char *word, uint64_t *mb)
{
    int64_t n = 0;
    bool off = !strcmp(word, "cache=off");
    if (!off && (str_to_int(word + 6, &n) != OK || n < 1 || n > 1 << 20))
        return err_fail(E_DEVICE, "device word '%s' wants 'off' or megabytes, 1 to %d",
                        word, 1 << 20);
    *mb = (uint64_t)n;
    return OK;
}

static rc take_word(const char *word, ane_params *p)
{
    if (!strcmp(word, "memory")) p->route = &ane_memory_route;
    else if (!strcmp(word, "client")) p->route = &ane_client_route;
    else if (str_starts(word, "lib="))
        return path_word(word, word + 4, p->lib, sizeof p->lib);
    else if (str_starts(word, "staging="))
        return path_word(word, word + 8, p->staging, sizeof p->staging);
    else if (str_starts(word, "cache=")) return cache_word(word, &p->cache_mb);
    else if (!strcmp(word, "weights=pairs")) p->weights = ANE_WEIGHTS_PAIRS;
    else if (!strcmp(word, "weights=files")) p->weights = ANE_WEIGHTS_FILES;
    else if (!strcmp(word, "rules=none")) p->no_rules = true;
    else if (str_starts(word, "rules=") || str_starts(word, "compiles=") ||
             str_starts(word, "fail="))
        return soft_params_word("ane", false, word, &p->soft);
    else {
        static const char *const known[] = {"memory",        "client",    "lib=",
                                            "staging=",      "rules=all", "rules=none",
                                            "compiles=",     "fail=",     "weights=pairs",
                                            "weights=files", "cache=off"};
        rc r = err_fail(E_DEVICE, "device 'ane' does not know the word '%s'", word);
        const char *near = err_nearest(word, known, sizeof known / sizeof *known);
        if (near) return err_hint(r, "did you mean '%s'?", near);
        return err_hint(r, "words: memory, client, staging=ram|FOLDER, "
                           "weights=pairs|files, cache=off|MB, "
                           "rules=all|none, compiles=N|none");
    }
    return OK;
}

rc ane_params_parse(const char *text, ane_params *out)
{
    char word[ANE_WORD + 16];
    *out = (ane_params){.soft = {.compiles_max = -1}, .cache_mb = ANE_CACHE_MB};
    while (*text) {
        size_t n = strcspn(text, ",");
        if (n >= sizeof word)
            return err_fail(E_DEVICE, "device word '%.40s...' is too long", text);
        memcpy(word, text, n);
        word[n] = 0;
        TRY(take_word(word, out));
        text += n;
        if (!*text) break;
        if (!*++text) return err_fail(E_DEVICE, "device 'ane' ends in a comma");
    }
    return OK;
}
