/* bring.c - a program is brought onto the engine: from the cache if it was kept
 * and the system still has it, else staged, compiled and loaded; with its
 * weights in the form that the system takes. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "dev/ane/model.h"

/* A slot that was just given back is not always free at once (maderix/ANE
 * bridge: 100 ms). An engine that calls its lack of room transient (macOS 27:
 * "no ANE resources (transient; retry)") had room within seconds for others,
 * who doubled their pause from 100 ms on six times (ANEDVD). */
enum { PAUSE_MS = 100, PAUSE_AGAIN_MS = 500, PAUSES_FULL = 6 };

/* ---- the four calls ---- */
static rc make(ane_engine *e, const dev_source *src, ane_model *m)
{
    void *pool = e->sys.objc_autoreleasePoolPush();
    *m->kept = 0;
    if (e->cache.on) ane_cache_name(&e->cache, m->key, (int)m->form, m->kept);
    rc r = e->route->make(e, src, m);
    e->sys.objc_autoreleasePoolPop(pool);
    return r;
}

static void unmake(ane_engine *e, ane_model *m)
{
    void *pool = e->sys.objc_autoreleasePoolPush();
    ane_drop(&e->sys, m->object);
    m->object = NULL;
    e->sys.objc_autoreleasePoolPop(pool);
}

static rc compile(ane_engine *e, ane_model *m)
{
    const ane_sys *a = &e->sys;
    ane_id error = NULL;
    void *pool = a->objc_autoreleasePoolPush();
    rc r = e->route->compile(e, m, &error)
               ? OK
               : ane_explain(a, error, E_DEVICE, "compile the program");
    a->objc_autoreleasePoolPop(pool);
    return r;
}

static rc load_once(ane_engine *e, ane_model *m)
{
    const ane_sys *a = &e->sys;
    ane_id error = NULL;
    void *pool = a->objc_autoreleasePoolPush();
    m->loaded = e->route->load(e, m, &error);
    rc r = m->loaded ? OK : ane_explain(a, error, E_DEVICE, "load the program");
    a->objc_autoreleasePoolPop(pool);
    return r;
}

/* How long to wait after the n-th refusal, from 0; 0 = give up. */
static int pause_ms(int n, rc refused)
{
    if (refused == E_BUDGET && strstr(err_first(), "transient"))
        return n < PAUSES_FULL ? PAUSE_MS << n : 0;
    return n == 0 ? PAUSE_MS : n == 1 ? PAUSE_AGAIN_MS : 0;
}

static rc load(ane_engine *e, ane_model *m)
{
    rc r = load_once(e, m);
    for (int n = 0, ms; r != OK && (ms = pause_ms(n, r)) > 0; n++) {
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
        r = load_once(e, m);
    }
    return r;
}

/* ---- from the cache ---- */
/* Entries are changed under the lock beside their folder. On the client route
 * that is the staging folder itself, so its lock is held already. */
static bool lock_entry(ane_engine *e, ane_model *m, ane_stage *s)
{
    char dir[2 * ANE_PATH];
    *s = (ane_stage){0};
    if (e->route->in_place) return true;
    snprintf(dir, sizeof dir, "%s/%s", e->cache.root, m->kept);
    rc r = ane_stage_open(s, dir, NULL, 0);
    if (r == OK) return true;
    if (r != E_BUSY) e->cache.failed++;
    err_clear();
    return false;
}

/* Without compiling: OK; E_BUDGET if the engine is full, which compiling would
 * not help; else E_FAILED, without a text: compile it. If the system has the
 * program but refuses it, it is told to forget it. */
static rc load_kept(ane_engine *e, const dev_source *src, ane_model *m, ane_stage *stage)
{
    ane_cache *c = &e->cache;
    if (!ane_cache_has(c, m->kept) || !e->route->exists(e, m)) {
        c->misses++;
        return E_FAILED;
    }
    rc r = e->route->in_place ? OK : ane_cache_restore(c, m->kept, stage, src);
    if (r == OK) r = load_once(e, m);
    if (r == E_BUDGET) r = load(e, m); /* a slot may just be given back */
    if (r == OK) {
        c->loads++;
        ane_cache_touch(c, m->kept);
    }
    if (r == OK || r == E_BUDGET) return r;
    err_clear();
    c->refused++;
    e->route->purge(e, m);
    ane_cache_drop(c, m->kept);
    return E_FAILED;
}

/* E_BUSY: somebody is at the same program for long; that is an error only where
 * it has to be compiled. */
static rc from_cache(ane_engine *e, const dev_source *src, ane_model *m)
{
    ane_stage stage, entry;
    rc r = E_FAILED;
    if (!*m->kept) return r;
    if (ane_stage_open(&stage, m->dir, NULL, ANE_STAGE_WAIT_MS) != OK) {
        err_clear();
        return r;
    }
    if (lock_entry(e, m, &entry)) {
        r = load_kept(e, src, m, &stage);
        ane_stage_leave(&entry);
    }
    if (r != E_FAILED && e->route->in_place) ane_stage_leave(&stage);
    else ane_stage_close(&stage);
    return r;
}

static bool keep(ane_engine *e, const dev_source *src, ane_model *m)
{
    ane_stage entry;
    if (!*m->kept || !lock_entry(e, m, &entry)) return false;
    bool kept = ane_cache_store(&e->cache, m->kept, m->dir, e->route->in_place, src);
    ane_stage_leave(&entry);
    return kept && e->route->in_place;
}

/* ---- compiled ---- */
/* A folder that cannot be written, or is held by another process, is one way
 * for the engine not to be there: the caller's own files are well. */
static rc as_device(rc r)
{
    err_saved why;
    if (r != E_IO && r != E_BUSY) return r;
    err_save(E_DEVICE, &why);
    return err_restore(&why);
}

/* How far it came, beside what came of it. */
typedef struct {
    bool staged;  /* the files could be written */
    bool refused; /* the compile failed, and not for a rule or a limit */
} progress;

static rc compile_and_load(ane_engine *e, const dev_source *src, ane_model *m,
                           progress *at)
{
    ane_stage stage;
    bool linked = *e->staging && !strcmp(m->dir, m->fixed), stays = false;
    *at = (progress){0};
    rc r = ane_stage_open(&stage, m->dir, linked ? e->staging : NULL, ANE_STAGE_WAIT_MS);
    if (r == OK) r = ane_stage_write(&stage, src);
    at->staged = r == OK;
    r = as_device(r);
    if (r == OK) r = ane_budget_compile(e->compiles_max); /* asked for: used */
    if (r == OK) {
        r = compile(e, m);
        at->refused = r == E_DEVICE;
    }
    if (r == OK) r = load(e, m);
    if (r == OK) stays = keep(e, src, m);
    if (stays) ane_stage_leave(&stage);
    else ane_stage_close(&stage);
    return r;
}

/* A full disk where programs are kept is no reason not to run: do without. */
static rc bring(ane_engine *e, const dev_source *src, ane_model *m, bool *refused)
{
    progress at = {0};
    *refused = false;
    TRY(make(e, src, m));
    rc r = from_cache(e, src, m);
    if (r != E_FAILED) return r;
    if (*m->kept) { /* a load that failed may have left its traces */
        unmake(e, m);
        TRY(make(e, src, m));
    }
    r = compile_and_load(e, src, m, &at);
    if (!at.staged && r != OK && *m->kept && e->route->in_place) {
        err_clear();
        e->cache.failed++;
        ane_cache_off(&e->cache, "off: programs cannot be written to its folder");
        unmake(e, m);
        TRY(make(e, src, m));
        r = compile_and_load(e, src, m, &at);
    }
    *refused = at.refused;
    return r;
}

/* The same with the weights given in the other form, once, where it is not yet
 * known which the system takes. */
static rc try_other(ane_engine *e, const dev_source *src, ane_model *m, rc first)
{
    int several = src->n_files > 1;
    bool refused;
    err_saved why;
    err_save(first, &why);
    unmake(e, m);
    m->form = e->other[several];
    if (bring(e, src, m, &refused) != OK) return err_restore(&why);
    err_clear();
    e->form[several] = m->form;
    return OK;
}

rc ane_bring_up(ane_engine *e, const dev_source *src, const dev_ports *ports,
                ane_model *m)
{
    int several = src->n_files > 1;
    bool refused;
    m->form = e->form[several];
    rc r = bring(e, src, m, &refused);
    if (refused && src->n_files && e->other[several]) r = try_other(e, src, m, r);
    TRY(r);
    if (src->n_files) e->other[several] = ANE_WEIGHTS_BY_TRIAL;
    return ane_describe(e, m, ports);
}
