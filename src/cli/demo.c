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
enum { STORY_BYTES = 4 << 20 };

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

static rc sample(const config *c, const char *run_dir, str *out)
{
    writer *w;
    gen_stats stats;
    gen_options o = {.temperature = 0.7, .top_p = 0.95, .seed = 1};
    TRY(writer_open(c, run_dir, &w));
    rc e = writer_run(w, "The ", 320, &o, put_piece, out, &stats);
    writer_close(w);
    return e;
}

typedef struct {
    double bigram, trigram;
    const char *device;
} yardstick;

static rc report(const args *a, const config *c, const char *run_dir,
                 const train_result *r, const yardstick *y)
{
    str text = {0};
    if (args_has(a, "json")) {
        json_t *o = json_object();
        cli_real(o, "nats_per_byte", r->nats_per_byte);
        cli_real(o, "bigram", y->bigram);
        cli_real(o, "trigram", y->trigram);
        json_object_set_new(o, "steps", json_integer(r->step));
        cli_real(o, "tokens_per_s", r->tokens_per_s);
        json_object_set_new(o, "device", json_string(y->device));
        json_object_set_new(o, "run", json_string(run_dir));
        return cli_put_json(o);
    }
    rc e = sample(c, run_dir, &text);
    if (!e)
        printf("\nheld-out loss, nats per byte (text never seen in training)\n"
               "  byte bigram            %.4f\n"
               "  interpolated trigram   %.4f\n"
               "  this model             %.4f   after %lld updates on %s\n\n"
               "sample: The %s\n\nrun: %s\n",
               y->bigram, y->trigram, r->nats_per_byte, (long long)r->step, y->device,
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

static rc run(args *a, config *c)
{
    const char *runs = args_text(a, "runs", "runs"), *text = args_text(a, "text", NULL);
    const char *run_dir = file_join(a->mem, runs, "demo");
    yardstick y;
    train_result r;
    prepared p;
    if (!run_dir) return E_MEMORY;
    if (!text && !args_has(a, "embedded")) {
        err_fail(E_USAGE,
                 "wanted a text: --text PATH, or --embedded for built-in stories");
        return err_hint(E_USAGE, "`make demo` fetches one");
    }
    if (!text) TRY(write_stories(a->mem, runs, &text));
    TRY(config_parse(c, cli_demo_recipe, strlen(cli_demo_recipe), "demo"));
    TRY(config_set(c, "data.text", text));
    TRY(args_settings(a, 0, c));
    if (args_has(a, "force") && file_is_dir(run_dir)) TRY(file_remove_tree(run_dir));
    TRY(device_name(c, a->mem, &y.device));
    TRY(cli_train(a, c, run_dir, &r));
    TRY(session_prepare(c, a->mem, file_join(a->mem, runs, ".data"), &p));
    TRY(data_ngram(p.dir, &y.bigram, &y.trigram));
    return report(a, c, run_dir, &r, &y);
}

rc verb_demo(args *a)
{
    config *c;
    TRY(config_new(&c));
    rc e = run(a, c);
    config_free(c);
    return e;
}
