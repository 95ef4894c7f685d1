/* common.c - what several verbs share. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "api/session.h"
#include "base/file.h"
#include "cli/verbs.h"
#include "watch/show.h"

atomic_int cli_stop; /* zero; lock-free, so a handler may write it */

static void on_interrupt(int sig)
{
    if (cli_stop) signal(sig, SIG_DFL), raise(sig);
    cli_stop = 1;
}

void cli_catch_interrupt(void)
{
    struct sigaction s;
    memset(&s, 0, sizeof s);
    s.sa_handler = on_interrupt;
    sigaction(SIGINT, &s, NULL);
    sigaction(SIGTERM, &s, NULL);
}

rc cli_put_json(json_t *o)
{
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!text) return err_fail(E_MEMORY, "out of memory while writing JSON");
    puts(text);
    free(text);
    return OK;
}

void cli_real(json_t *o, const char *key, double v)
{
    if (isfinite(v)) json_object_set_new(o, key, json_real(v));
}

rc cli_config(const args *a, config **out)
{
    TRY(config_new(out));
    rc e = args_settings(a, a->n_word, *out);
    if (e) config_free(*out);
    return e;
}

rc cli_state(arena *mem, config *c)
{
#ifdef __APPLE__
    static const char usual[] = "Library/Caches";
#else
    static const char usual[] = ".cache";
#endif
    /* the XDG base directory specification: a path that is not whole is ignored */
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const char *dir = cache && *cache == '/' ? arena_printf(mem, "%s/anneal", cache)
                      : home && *home == '/'
                          ? arena_printf(mem, "%s/%s/anneal", home, usual)
                          : "";
    return dir ? config_set(c, "device.state", dir) : E_MEMORY;
}

rc cli_recipe(const args *a, const char *word, const char **path)
{
    const char *named = arena_printf(a->mem, "recipes/%s.conf", word);
    if (!named) return E_MEMORY;
    *path = file_exists(word) && !file_is_dir(word) ? word
            : file_exists(named)                    ? named
                                                    : NULL;
    return OK;
}

rc cli_model(const args *a, const char *word, const char **dir)
{
    str notes = {0};
    const char *path = args_run(a, word);
    rc e = path ? session_model_dir(a->mem, path, dir, &notes) : E_MEMORY;
    for (const char *p = str_text(&notes), *nl; (nl = strchr(p, '\n')); p = nl + 1)
        fprintf(stderr, "note    %.*s\n", (int)(nl - p), p);
    str_free(&notes);
    return e;
}

const char *cli_npy_descr(mil_dtype t)
{
    static const struct {
        mil_dtype t;
        const char *descr;
    } map[] = {{MIL_FP16, "<f2"},  {MIL_FP32, "<f4"},  {MIL_INT8, "|i1"},
               {MIL_UINT8, "|u1"}, {MIL_INT16, "<i2"}, {MIL_UINT16, "<u2"},
               {MIL_INT32, "<i4"}, {MIL_BOOL, "|b1"}};
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if (map[i].t == t) return map[i].descr;
    return "|u1";
}

/* A terminal that may be redrawn: NO_COLOR and TERM=dumb ask for plain lines. */
static bool may_redraw(void)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    return isatty(2) && !(plain && *plain) && term && strcmp(term, "dumb");
}

int cli_columns(int fd)
{
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

/* Between the run and the view: windows change their width meanwhile. */
static void put(void *ctx, const char *line, size_t n)
{
    event_sink view = show_sink(ctx);
    show_resize(ctx, cli_columns(2));
    view.put(view.ctx, line, n);
}

static void evaluating(void *ctx, int64_t step, uint64_t done, uint64_t of)
{
    show_resize(ctx, cli_columns(2));
    show_evaluating(ctx, step, done, of);
}

rc cli_train(const args *a, const config *c, session_run *r, train_result *out)
{
    show_mode mode = SHOW_AUTO;
    show *s;
    TRY(show_parse(args_text(a, "show", "auto"), &mode));
    TRY(args_int(a, "stop-after", 1, INT64_MAX, 0, &r->stop_after));
    TRY(args_real(a, "minutes", 0, 1e9, 0, &r->stop_minutes));
    TRY(show_new(mode, may_redraw(), cli_columns(2), stderr, stdout, &s));
    r->sink = (event_sink){put, s};
    r->progress = (train_progress){evaluating, s};
    r->stop = &cli_stop;
    cli_catch_interrupt();
    rc e = cli_again_train(a->mem, c, r, out);
    show_free(s);
    if (e != E_RESTART) return e;
    r->sink = (event_sink){0};
    r->progress = (train_progress){0};
    return cli_again_start(a->mem, r, out);
}
