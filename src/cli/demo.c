/* demo.c - `anneal demo`: data, training and text, once through. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/session.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/verbs.h"

/* The demo's own recipe, so that the command works in any folder; a test holds
 * it against recipes/demo.conf, which has the comments. */
const char cli_demo_recipe[] = "data.tokenizer = byte\n"
                               "model.layers = 4\n"
                               "model.dim = 128\n"
                               "model.hidden = 384\n"
                               "model.heads = 4\n"
                               "model.seq = 256\n"
                               "train.steps = 1600\n"
                               "train.batch = 8\n"
                               "train.lr = 4e-3\n"
                               "train.min_lr = 1e-4\n"
                               "train.warmup = 60\n"
                               "train.eval_every = 400\n"
                               "train.checkpoint_every = 400\n";
enum { STORY_BYTES = 4 << 20, EVAL_WINDOWS = 256 };
#define PROMPT "The "

static rc write_stories(arena *mem, const char *runs, const char **path)
{
    str text = {0};
    *path = file_join(mem, runs, ".data/stories.txt");
    if (!*path) return E_MEMORY;
    if (file_exists(*path)) return OK;
    TRY(file_make_dirs(file_join(mem, runs, ".data")));
    rc e = data_stories(1, STORY_BYTES, &text);
    if (!e) e = file_replace(*path, text.p, text.n);
    str_free(&text);
    return e;
}

static bool put_piece(void *ctx, int32_t id, const char *bytes, size_t n)
{
    (void)id;
    str_addn(ctx, bytes, n);
    return true;
}

static rc sample(const config *c, const char *dir, str *out)
{
    writer *w;
    gen_stats stats;
    gen_options o = {.temperature = 0.7, .top_p = 0.95, .seed = 1};
    TRY(writer_open(c, dir, &w));
    rc e = writer_run(w, PROMPT, 320, &o, put_piece, out, &stats);
    writer_close(w);
    return e;
}

typedef struct {
    double bigram, trigram, nats_per_byte;
    const char *device, *dir; /* the checkpoint */
} figures;

/* All three on held-out bytes. A finished run has looked at all of them, as the
 * yardsticks do; one that was stopped is judged by windows spread evenly. */
static rc measure(const args *a, const config *c, const session_run *r,
                  const train_result *out, figures *f)
{
    const char *data, *cache = file_join(a->mem, args_text(a, "runs", "runs"), ".data");
    eval_result e = {.nats_per_byte = out->nats_per_byte};
    if (!cache) return E_MEMORY;
    TRY(cli_model(a, r->run_dir, &f->dir));
    TRY(session_data(c, a->mem, cache, &data));
    TRY(data_ngram(data, &f->bigram, &f->trigram));
    if (!out->finished || !isfinite(e.nats_per_byte))
        TRY(session_eval(c, f->dir, NULL, cache, EVAL_WINDOWS, &e));
    f->nats_per_byte = e.nats_per_byte;
    return OK;
}

static rc put_json(const char *run_dir, const train_result *r, const figures *f)
{
    json_t *o = json_object();
    cli_real(o, "nats_per_byte", f->nats_per_byte);
    cli_real(o, "bigram", f->bigram);
    cli_real(o, "trigram", f->trigram);
    json_object_set_new(o, "steps", json_integer(r->step));
    cli_real(o, "tokens_per_s", r->tokens_per_s);
    json_object_set_new(o, "device", json_string(f->device));
    json_object_set_new(o, "run", json_string(run_dir));
    return cli_put_json(o);
}

static rc put_text(const config *c, const char *run_dir, const train_result *r,
                   const figures *f)
{
    str text = {0};
    rc e = sample(c, f->dir, &text);
    if (!e)
        printf("\nheld-out loss, nats per byte (text never seen in training)\n"
               "  byte bigram            %.4f\n"
               "  interpolated trigram   %.4f\n"
               "  this model             %.4f   after %lld updates on %s\n\n"
               "sample: " PROMPT "%s\n\nrun: %s\n",
               f->bigram, f->trigram, f->nats_per_byte, (long long)r->step, f->device,
               str_text(&text), run_dir);
    str_free(&text);
    return e;
}

static rc device_name(const config *c, arena *mem, const char **out)
{
    machine m;
    dev_caps caps;
    TRY(machine_open(c, &m));
    rc e = dev_caps_of(m.dev, &caps);
    machine_close(&m);
    *out = e ? "" : arena_text(mem, caps.uri);
    return e ? e : *out ? OK : E_MEMORY;
}

static rc settings(const args *a, config *c)
{
    const char *text = args_text(a, "text", NULL);
    if (text && args_has(a, "embedded"))
        return err_fail(E_USAGE, "wanted one text, had --text and --embedded");
    if (!text && !args_has(a, "embedded")) {
        err_fail(E_USAGE,
                 "wanted a text: --text PATH, or --embedded for built-in stories");
        return err_hint(E_USAGE, "`make demo` fetches one");
    }
    if (!text) TRY(write_stories(a->mem, args_text(a, "runs", "runs"), &text));
    TRY(config_parse(c, cli_demo_recipe, strlen(cli_demo_recipe), "demo"));
    TRY(config_set(c, "data.text", text));
    return args_settings(a, 0, c);
}

static rc run(args *a, config *c)
{
    figures f = {0};
    train_result out;
    session_run r = {.run_dir = args_new_run(a, args_text(a, "name", "demo")),
                     .anew = args_has(a, "force")};
    if (!r.run_dir) return E_MEMORY;
    TRY(settings(a, c));
    if (cli_again_waits()) config_host(c, NULL); /* it was said which device */
    TRY(device_name(c, a->mem, &f.device));
    TRY(cli_train(a, c, &r, &out));
    TRY(measure(a, c, &r, &out, &f));
    return args_has(a, "json") ? put_json(r.run_dir, &out, &f)
                               : put_text(c, r.run_dir, &out, &f);
}

rc verb_demo(args *a)
{
    config *c;
    TRY(config_new(&c));
    rc e = run(a, c);
    config_free(c);
    return e;
}
