/* ask.c - two questions that need the engine's own calls.
 *
 * delta_reload: a program is unloaded, other weights are written where the
 * system staged the first, and it is loaded again without a compile. Orion saw
 * the new weights used; others saw the old, or a refusal. Only the numbers tell.
 * cache_reload: a program that was kept is loaded again; did the system compile
 * for it, and are the numbers right? */
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "dev/ane/ane.h"
#include "dev/check.h"
#include "dev/probe_case.h"

enum { BEFORE = 5, AFTER = 7, STAGE_WAIT_MS = 2000 };

/* ---- delta_reload ---- */
/* The calls of a route without a compile between them. */
static rc load_other(ane_device *d, ane_model *m, const dev_source *src, dev_sight *out)
{
    ane_engine *e = &d->e;
    ane_id error = NULL;
    ane_stage stage;
    void *pool = e->sys.objc_autoreleasePoolPush();
    bool gone = e->route->unload(e, m, &error);
    rc r = gone ? OK : ane_explain(&e->sys, error, E_DEVICE, "unload the program");
    e->sys.objc_autoreleasePoolPop(pool);
    TRY(r);
    m->loaded = false;
    TRY(ane_stage_open(&stage, m->dir, NULL, STAGE_WAIT_MS));
    r = ane_stage_write(&stage, src);
    if (r == OK) {
        error = NULL;
        pool = e->sys.objc_autoreleasePoolPush();
        m->loaded = e->route->load(e, m, &error);
        if (!m->loaded) {
            ane_explain(&e->sys, error, E_DEVICE, "load the program");
            check_say(out, DEV_SEEN_REFUSED, "a load without a compile: %s", err_first());
            err_clear();
        }
        e->sys.objc_autoreleasePoolPop(pool);
    }
    ane_stage_close(&stage);
    return r;
}

static rc delta(ane_device *d, ane_program *p, const dev_source *src, dev_sight *out)
{
    double had;
    TRY(check_run_one(&p->soft.base, 0, &had));
    if (had != BEFORE) {
        check_say(out, DEV_SEEN_UNKNOWN, "the first weights gave %g, wanted %d", had,
                  BEFORE);
        return OK;
    }
    pthread_mutex_lock(&d->e.loading);
    rc r = load_other(d, p->model, src, out);
    pthread_mutex_unlock(&d->e.loading);
    if (r != OK || !p->model->loaded) return r;
    TRY(check_run_one(&p->soft.base, 0, &had));
    check_say(out, had == AFTER ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG,
              "a load without a compile gave %s",
              had == AFTER    ? "the new weights"
              : had == BEFORE ? "the old weights"
                              : "neither the old nor the new weights");
    return OK;
}

static rc ask_delta(device *dev, dev_sight *out)
{
    mil_blob_writer *w[2] = {NULL, NULL};
    mil_blob_file weights[2];
    dev_program *p = NULL;
    str text = {0};
    str_add(&text, check_weighted_text);
    rc r = probe_spell(dev, &text);
    dev_source src = {"delta", text.p, text.n, weights, 1};
    if (r == OK) r = check_blob(BEFORE, &w[0], &weights[0]);
    if (r == OK) r = check_blob(AFTER, &w[1], &weights[1]);
    if (r == OK) r = dev_load(dev, &src, &p);
    src.files = &weights[1];
    if (r == OK) r = delta((ane_device *)dev, (ane_program *)p, &src, out);
    dev_unload(p);
    for (int i = 0; i < 2; i++)
        if (w[i]) mil_blob_free(w[i]);
    str_free(&text);
    return r;
}

/* ---- cache_reload ---- */
/* One load and run; the value is right? How long the load took. */
static rc load_and_run(device *dev, const dev_source *src, bool *right, double *ms)
{
    dev_program *p = NULL;
    double had = 0, start = clock_ms();
    rc r = dev_load(dev, src, &p);
    *ms = clock_ms() - start;
    if (r == OK) r = check_run_one(p, 0, &had);
    *right = had == BEFORE;
    dev_unload(p);
    return r;
}

static rc ask_cache(device *dev, dev_sight *out)
{
    ane_cache *c = &((ane_device *)dev)->e.cache;
    mil_blob_writer *w = NULL;
    mil_blob_file weights;
    bool first, second;
    double ms[2];
    str text = {0};
    if (!c->on) {
        check_say(out, c->usable ? DEV_SEEN_REFUSED : DEV_SEEN_UNKNOWN,
                  "programs are not kept: %s",
                  c->why ? c->why : "no folder to keep them");
        return OK;
    }
    str_add(&text, check_weighted_text);
    rc r = probe_spell(dev, &text);
    dev_source src = {"cache", text.p, text.n, &weights, 1};
    if (r == OK) r = check_blob(BEFORE, &w, &weights);
    if (r == OK) r = load_and_run(dev, &src, &first, &ms[0]);
    uint64_t loads = c->loads;
    if (r == OK) r = load_and_run(dev, &src, &second, &ms[1]);
    if (r == OK && c->loads == loads)
        check_say(out, DEV_SEEN_REFUSED, "the system had to compile again");
    else if (r == OK)
        check_say(out, first && second ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG,
                  "loaded again without a compile in %.0f ms, first in %.0f ms", ms[1],
                  ms[0]);
    if (w) mil_blob_free(w);
    str_free(&text);
    return r;
}

rc ane_ask(device *dev, const char *id, dev_sight *out)
{
    rc r = !strcmp(id, "delta_reload")   ? ask_delta(dev, out)
           : !strcmp(id, "cache_reload") ? ask_cache(dev, out)
                                         : OK;
    if (r == OK || r == E_MEMORY) return r;
    out->code = r;
    check_say(out, DEV_SEEN_REFUSED, "%s", err_first());
    err_clear();
    return OK;
}
