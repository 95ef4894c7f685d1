/* anneal.c - the public library: handles, codes, error texts. Everything real
 * happens in session.c and writer.c. */
#include "anneal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/session.h"

struct anneal {
    config *settings;
    anneal_event_fn on_event;
    void *event_ctx;
    int64_t stop_after;
    double stop_minutes;
    atomic_int stop, save; /* set by another thread or a signal handler */
    char error[1024];
};
struct anneal_model {
    anneal *owner;
    writer *w;
};

const char *anneal_version(void)
{
    return ANNEAL_VERSION;
}

/* Keeps the text of a failure with the handle and gives the public code. */
static int told(anneal *a, rc code)
{
    err_saved s;
    if (!code) return ANNEAL_OK;
    err_save(code, &s);
    memcpy(a->error, s.text, sizeof a->error);
    a->error[sizeof a->error - 1] = 0;
    return err_exit(code);
}

int anneal_new(anneal **out)
{
    anneal *a = mem_take(sizeof *a);
    if (!a) return ANNEAL_E_FAILED;
    if (config_new(&a->settings)) return mem_drop(a), ANNEAL_E_FAILED;
    *out = a;
    return ANNEAL_OK;
}

void anneal_free(anneal *a)
{
    if (!a) return;
    config_free(a->settings);
    mem_drop(a);
}

const char *anneal_error(const anneal *a)
{
    return a->error;
}

int anneal_set(anneal *a, const char *name, const char *value)
{
    return told(a, config_set(a->settings, name, value));
}

int anneal_read_recipe(anneal *a, const char *path)
{
    return told(a, config_read(a->settings, path));
}

void anneal_on_event(anneal *a, anneal_event_fn fn, void *ctx)
{
    a->on_event = fn;
    a->event_ctx = ctx;
}

void anneal_limit(anneal *a, int64_t updates, double minutes)
{
    a->stop_after = updates;
    a->stop_minutes = minutes;
}

void anneal_stop(anneal *a)
{
    atomic_store(&a->stop, 1);
}

void anneal_save(anneal *a)
{
    atomic_store(&a->save, 1);
}

static bool asked_to_save(void *ctx)
{
    anneal *a = ctx;
    return atomic_exchange(&a->save, 0);
}

static void saved(void *ctx, rc bad, const char *text)
{
    (void)ctx, (void)bad, (void)text; /* an event says it */
}

static void pass_event(void *ctx, const char *line, size_t n)
{
    anneal *a = ctx;
    if (a->on_event) a->on_event(a->event_ctx, line, n);
}

int anneal_train(anneal *a, const char *run_dir, anneal_result *out)
{
    train_result r;
    train_ask ask = {asked_to_save, saved, a};
    session_run run = {.run_dir = run_dir,
                       .sink = {pass_event, a},
                       .stop_after = a->stop_after,
                       .stop_minutes = a->stop_minutes,
                       .stop = &a->stop,
                       .ask = &ask};
    rc e = session_train(a->settings, &run, &r);
    atomic_store(&a->stop, 0);
    if (out)
        *out = (anneal_result){r.step,         r.loss,     r.held_out, r.nats_per_byte,
                               r.tokens_per_s, r.finished, r.stopped};
    return told(a, e);
}

static void tell_notes(anneal *a, const str *notes)
{
    event e = {{0}};
    for (const char *p = str_text(notes), *nl; (nl = strchr(p, '\n')); p = nl + 1) {
        char line[1024];
        snprintf(line, sizeof line, "%.*s", (int)(nl - p), p);
        event_begin(&e, 0, "note");
        event_text(&e, "text", line);
        if (!event_end(&e)) pass_event(a, e.line.p, e.line.n);
    }
    event_free(&e);
}

/* The MODEL folder that the caller's path names; notes go to its events. */
static rc find_model(anneal *a, arena *mem, const char *path, const char **dir)
{
    str notes = {0};
    rc e = mem ? session_model_dir(mem, path, dir, &notes) : E_MEMORY;
    tell_notes(a, &notes);
    str_free(&notes);
    return e;
}

int anneal_eval(anneal *a, const char *model_dir, const char *text_path,
                double *per_token, double *per_byte)
{
    eval_result r = {NAN, NAN, 0};
    const char *dir;
    arena *mem = arena_new();
    rc e = find_model(a, mem, model_dir, &dir);
    if (!e) e = session_eval(a->settings, dir, text_path, "runs/.data", 0, &r);
    arena_free(mem);
    if (per_token) *per_token = r.held_out;
    if (per_byte) *per_byte = r.nats_per_byte;
    return told(a, e);
}

int anneal_open_model(anneal *a, const char *model_dir, anneal_model **out)
{
    anneal_model *m = mem_take(sizeof *m);
    const char *dir;
    arena *mem = arena_new();
    rc e = m ? find_model(a, mem, model_dir, &dir) : E_MEMORY;
    if (!e) e = writer_open(a->settings, dir, &m->w);
    arena_free(mem);
    if (e) return mem_drop(m), told(a, e);
    m->owner = a;
    *out = m;
    return ANNEAL_OK;
}

void anneal_close_model(anneal_model *m)
{
    if (!m) return;
    writer_close(m->w);
    mem_drop(m);
}

typedef struct {
    anneal_text_fn fn;
    void *ctx;
} text_relay;

static bool pass_text(void *ctx, int32_t id, const char *bytes, size_t n)
{
    text_relay *t = ctx;
    (void)id;
    return t->fn(t->ctx, bytes, n) == 0;
}

int anneal_generate(anneal_model *m, const char *prompt, int tokens,
                    const anneal_sampling *s, anneal_text_fn fn, void *ctx)
{
    gen_options o = {0};
    gen_stats stats;
    text_relay t = {fn, ctx};
    if (s) o = (gen_options){s->temperature, s->top_p, s->top_k, s->seed};
    return told(m->owner, writer_run(m->w, prompt, tokens > 0 ? (size_t)tokens : 0, &o,
                                     pass_text, &t, &stats));
}
