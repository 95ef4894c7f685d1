/* sample.c - `anneal sample RUN|MODEL`: the text on stdout as it is drawn. */
#include <stdio.h>

#include "api/session.h"
#include "base/str.h"
#include "cli/verbs.h"

typedef struct {
    bool live;
    str text;
    json_t *ids;
    size_t n;
} sink;

static bool take(void *ctx, int32_t id, const char *bytes, size_t n)
{
    sink *s = ctx;
    if (s->live) {
        fwrite(bytes, 1, n, stdout);
        fflush(stdout);
    }
    s->n++;
    str_addn(&s->text, bytes, n);
    json_array_append_new(s->ids, json_integer(id));
    return !cli_stop;
}

/* JSON holds text, not bytes: what is not UTF-8 becomes U+FFFD. */
static json_t *text_value(const str *s)
{
    json_t *v = json_stringn(str_text(s), s->n);
    if (v) return v;
    event e = {{0}};
    event_begin(&e, 0, "x");
    event_text(&e, "v", str_text(s));
    event_end(&e);
    json_t *o = json_loadb(e.line.p, e.line.n, 0, NULL);
    v = json_incref(json_object_get(o, "v"));
    json_decref(o);
    event_free(&e);
    return v;
}

static rc draw(args *a, const config *c)
{
    gen_options o = {0};
    gen_stats stats = {0};
    int64_t tokens, top_k, seed;
    const char *prompt = args_text(a, "prompt", "");
    TRY(args_int(a, "tokens", 1, 1000000, 200, &tokens));
    TRY(args_real(a, "temperature", 0, 100, 0.8, &o.temperature));
    TRY(args_real(a, "top-p", 0, 1, 0.95, &o.top_p));
    TRY(args_int(a, "top-k", 0, 1000000, 0, &top_k));
    TRY(args_int(a, "seed", 0, INT64_MAX, 1, &seed));
    o.top_k = (int)top_k;
    o.seed = (uint64_t)seed;
    writer *w;
    const char *dir;
    TRY(cli_model(a, a->word[0], &dir));
    TRY(writer_open(c, dir, &w));
    sink s = {.live = !args_has(a, "json"), .ids = json_array()};
    cli_catch_interrupt();
    if (s.live) fputs(prompt, stdout);
    rc e = writer_run(w, prompt, (size_t)tokens, &o, take, &s, &stats);
    writer_close(w);
    if (!e && s.live) putchar('\n');
    else if (!e) {
        json_t *out = json_object();
        json_object_set_new(out, "text", text_value(&s.text));
        json_object_set(out, "ids", s.ids);
        cli_real(out, "tokens_per_s", stats.tokens_per_s);
        cli_real(out, "first_ms", stats.first_ms);
        e = cli_put_json(out);
    }
    if (!e && cli_stop) e = err_fail(E_STOPPED, "stopped after %zu tokens", s.n);
    json_decref(s.ids);
    str_free(&s.text);
    return e;
}

rc verb_sample(args *a)
{
    config *c;
    TRY(args_words(a, 1, 1, "a run or a model folder"));
    TRY(cli_config(a, &c));
    rc e = draw(a, c);
    config_free(c);
    return e;
}
