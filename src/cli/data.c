/* data.c - `anneal data PATH... -o DIR`. */
#include <stdio.h>

#include "api/config.h"
#include "cli/verbs.h"

static rc build(args *a, config *c, data_facts *facts)
{
    data_options o;
    double part;
    const char *dir = args_text(a, "output", NULL);
    if (!dir) return err_fail(E_USAGE, "wanted -o DIR, the folder to write");
    TRY(args_real(a, "held-out", 0, 0.9, 0.1, &part));
    TRY(config_set(c, "data.tokenizer", args_text(a, "tokenizer", "byte")));
    config_data(c, &o);
    o.held_out = part;
    return data_build(a->n_word, a->word, &o, dir, facts);
}

rc verb_data(args *a)
{
    config *c;
    data_facts f;
    TRY(args_words(a, 1, -1, "a text file or folder"));
    TRY(config_new(&c));
    rc e = build(a, c, &f);
    config_free(c);
    if (e) return e;
    if (args_has(a, "json")) {
        json_t *o = json_object();
        json_object_set_new(o, "tokens", json_integer((json_int_t)f.tokens));
        json_object_set_new(o, "held_out_tokens",
                            json_integer((json_int_t)f.held_out_tokens));
        json_object_set_new(o, "vocab", json_integer(f.vocab));
        json_object_set_new(o, "documents", json_integer((json_int_t)f.documents));
        return cli_put_json(o);
    }
    printf(
        "%llu tokens to learn from, %llu held out, vocabulary %d, %llu documents: %s\n",
        (unsigned long long)f.tokens, (unsigned long long)f.held_out_tokens, f.vocab,
        (unsigned long long)f.documents, args_text(a, "output", ""));
    return OK;
}
