/* eval.c - `anneal eval RUN|MODEL [--text PATH]`. */
#include <math.h>
#include <stdio.h>

#include "api/session.h"
#include "base/file.h"
#include "cli/verbs.h"

rc verb_eval(args *a)
{
    config *c;
    eval_result r;
    TRY(args_words(a, 1, 1, "a run or a model folder"));
    TRY(cli_config(a, &c));
    const char *cache = file_join(a->mem, args_text(a, "runs", "runs"), ".data");
    const char *dir;
    rc e = cli_model(a, a->word[0], &dir);
    if (!e) e = session_eval(c, dir, args_text(a, "text", NULL), cache, 0, &r);
    config_free(c);
    if (e) return e;
    if (args_has(a, "json")) {
        json_t *o = json_object();
        cli_real(o, "held_out", r.held_out);
        cli_real(o, "nats_per_byte", r.nats_per_byte);
        cli_real(o, "perplexity", exp(r.held_out));
        json_object_set_new(o, "tokens", json_integer((json_int_t)r.tokens));
        return cli_put_json(o);
    }
    printf("held-out %.4f nats/token, %.4f nats/byte, perplexity %.3f, %llu tokens\n",
           r.held_out, r.nats_per_byte, exp(r.held_out), (unsigned long long)r.tokens);
    return OK;
}
