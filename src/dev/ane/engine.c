/* engine.c - programs on the engine: made, shared, run, taken off.
 *
 * Every call into the system stands between the opening and the closing of an
 * autorelease pool, and its error is read before the pool closes. */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include "dev/ane/model.h"

enum { BINDINGS_MAX = 256 };

/* ---- opening ---- */
static rc read_temp(ane_engine *e)
{
    const ane_sys *a = &e->sys;
    ane_id path = a->NSTemporaryDirectory();
    if (ane_get_text(a, path, e->temp, sizeof e->temp) && *e->temp == '/') return OK;
    return err_fail(E_DEVICE, "the system names no temporary folder");
}

static rc make_options(ane_engine *e)
{
    static const char *const words[] = {"kANEFModelType", "kANEFModelMIL",
                                        "kANEFNetPlistFilenameKey", "model.mil"};
    const ane_sys *a = &e->sys;
    ane_id t[4] = {NULL};
    rc r = OK;
    for (int i = 0; i < 4 && r == OK; i++) r = ane_make_text(a, words[i], &t[i]);
    if (r == OK)
        r = ane_make_dict(a, (ane_id[]){t[0], t[2]}, (ane_id[]){t[1], t[3]}, 2,
                          &e->mil_options);
    for (int i = 0; i < 4; i++) ane_drop(a, t[i]);
    return r;
}

rc ane_engine_open(ane_engine *e)
{
    const ane_sys *a = &e->sys;
    if (pthread_mutex_init(&e->lock, NULL) || pthread_mutex_init(&e->loading, NULL))
        return err_fail(E_FAILED, "no lock could be made for the engine");
    e->opened = true;
    void *pool = a->objc_autoreleasePoolPush();
    rc r = read_temp(e);
    if (r == OK) r = ane_make_dict(a, NULL, NULL, 0, &e->none);
    if (r == OK) r = ane_make_number(a, 0, &e->zero);
    if (r == OK) r = make_options(e);
    a->objc_autoreleasePoolPop(pool);
    if (r != OK) return r;
    ane_stage_sweep(e->temp, *e->staging ? e->staging : NULL);
    if (*e->staging) ane_stage_sweep(e->staging, NULL);
    return OK;
}

rc ane_engine_use(ane_engine *e, const ane_route *route)
{
    const ane_sys *a = &e->sys;
    TRY(ane_sys_allows(a, route->need));
    if (route == &ane_client_route && !e->client) {
        void *pool = a->objc_autoreleasePoolPush();
        e->client = ane_msg_client(a, a->class_of[ANE_CLASS_CLIENT]);
        a->objc_autoreleasePoolPop(pool);
        if (!e->client)
            return err_fail(E_DEVICE, "the system gives no connection to the engine");
    }
    if (route == &ane_memory_route) TRY(ane_weights_open(e));
    e->route = route;
    return OK;
}

void ane_engine_close(ane_engine *e)
{
    const ane_sys *a = &e->sys;
    if (!e->opened) return;
    void *pool = a->objc_autoreleasePoolPush();
    ane_drop(a, e->client);
    ane_drop(a, e->none);
    ane_drop(a, e->zero);
    ane_drop(a, e->mil_options);
    a->objc_autoreleasePoolPop(pool);
    pthread_mutex_destroy(&e->lock);
    pthread_mutex_destroy(&e->loading);
}

/* ---- making ---- */
static rc make_key(const dev_source *src, uint64_t key[2])
{
    XXH3_state_t *s = XXH3_createState();
    if (!s) return err_fail(E_MEMORY, "no memory to hash a program");
    XXH3_128bits_reset(s);
    XXH3_128bits_update(s, src->mil, src->mil_bytes);
    for (int i = 0; i < src->n_files; i++) {
        /* lengths between, so that no two lists of files read the same */
        uint64_t size[2] = {strlen(src->files[i].path), src->files[i].size};
        XXH3_128bits_update(s, size, sizeof size);
        XXH3_128bits_update(s, src->files[i].path, size[0]);
        XXH3_128bits_update(s, src->files[i].bytes, src->files[i].size);
    }
    XXH128_hash_t h = XXH3_128bits_digest(s);
    XXH3_freeState(s);
    key[0] = h.low64;
    key[1] = h.high64;
    return OK;
}

static void drop_bindings(ane_engine *e, ane_model *m)
{
    while (m->bindings) {
        ane_binding *b = m->bindings;
        m->bindings = b->next;
        ane_drop(&e->sys, b->request);
        mem_drop(b);
    }
}

/* Take a model off the engine. A slot whose unloading failed stays counted. */
static void take_down(ane_engine *e, ane_model *m)
{
    const ane_sys *a = &e->sys;
    ane_id error = NULL;
    void *pool = a->objc_autoreleasePoolPush();
    drop_bindings(e, m);
    bool gone = !m->loaded || e->route->unload(e, m, &error);
    if (gone) ane_budget_free_slot();
    ane_drop(a, m->object);
    a->objc_autoreleasePoolPop(pool);
    mem_drop(m->in_at);
    mem_drop(m);
}

static ane_model *find(ane_engine *e, const uint64_t key[2])
{
    ane_model *m = e->models;
    while (m && (m->key[0] != key[0] || m->key[1] != key[1])) m = m->next;
    return m;
}

static rc make_model(ane_engine *e, const dev_source *src, const dev_ports *ports,
                     const uint64_t key[2], ane_model **out)
{
    ane_model *m = mem_take(sizeof *m);
    if (m)
        m->in_at = mem_take(
            mem_mul((size_t)(ports->n_in + ports->n_out) + 1, sizeof *m->in_at));
    if (!m || !m->in_at) {
        mem_drop(m);
        return E_MEMORY;
    }
    m->n_in = ports->n_in;
    m->n_out = ports->n_out;
    m->out_at = m->in_at + m->n_in;
    m->refs = 1;
    memcpy(m->key, key, sizeof m->key);
    rc r = ane_budget_slot(e->programs_max);
    if (r != OK) {
        mem_drop(m->in_at);
        mem_drop(m);
        return r;
    }
    r = ane_bring_up(e, src, ports, m);
    if (r != OK) {
        err_saved why;
        err_save(r, &why);
        take_down(e, m);
        return err_restore(&why);
    }
    *out = m;
    return OK;
}

rc ane_model_get(ane_engine *e, const dev_source *src, const dev_ports *ports,
                 ane_model **out)
{
    uint64_t key[2] = {0};
    rc r = OK;
    TRY(make_key(src, key));
    pthread_mutex_lock(&e->loading);
    pthread_mutex_lock(&e->lock);
    ane_model *m = find(e, key);
    if (m) m->refs++;
    pthread_mutex_unlock(&e->lock);
    if (!m) {
        r = make_model(e, src, ports, key, &m);
        if (r == OK) {
            pthread_mutex_lock(&e->lock);
            m->next = e->models;
            e->models = m;
            pthread_mutex_unlock(&e->lock);
        }
    }
    pthread_mutex_unlock(&e->loading);
    *out = r == OK ? m : NULL;
    return r;
}

void ane_model_put(ane_engine *e, ane_model *m)
{
    if (!m) return;
    pthread_mutex_lock(&e->loading);
    pthread_mutex_lock(&e->lock);
    bool last = --m->refs == 0;
    for (ane_model **at = &e->models; last && *at; at = &(*at)->next)
        if (*at == m) {
            *at = m->next;
            break;
        }
    pthread_mutex_unlock(&e->lock);
    if (last) take_down(e, m);
    pthread_mutex_unlock(&e->loading);
}

/* ---- running ---- */
static rc index_array(ane_engine *e, const int *at, int n, ane_id *out)
{
    const ane_sys *a = &e->sys;
    ane_id *list = mem_take(mem_mul((size_t)n + 1, sizeof *list));
    rc r = list ? OK : E_MEMORY;
    for (int i = 0; i < n && r == OK; i++) r = ane_make_number(a, at[i], &list[i]);
    if (r == OK) r = ane_make_array(a, list, (size_t)n, out);
    for (int i = 0; list && i < n; i++) ane_drop(a, list[i]);
    mem_drop(list);
    return r;
}

rc ane_make_request(ane_engine *e, ane_model *m, const ane_id *objects, ane_id *out)
{
    const ane_sys *a = &e->sys;
    ane_id in = NULL, in_at = NULL, to = NULL, to_at = NULL;
    rc r = ane_make_array(a, objects, (size_t)m->n_in, &in);
    if (r == OK) r = index_array(e, m->in_at, m->n_in, &in_at);
    if (r == OK) r = ane_make_array(a, objects + m->n_in, (size_t)m->n_out, &to);
    if (r == OK) r = index_array(e, m->out_at, m->n_out, &to_at);
    if (r == OK) {
        *out = ane_msg_request(a, a->class_of[ANE_CLASS_REQUEST], in, in_at, to, to_at,
                               NULL, NULL, e->zero);
        if (!*out) r = err_fail(E_DEVICE, "the system makes no request of the surfaces");
    }
    ane_drop(a, in);
    ane_drop(a, in_at);
    ane_drop(a, to);
    ane_drop(a, to_at);
    return r;
}

static ane_binding *find_binding(ane_model *m, const void *const *keys, int n)
{
    ane_binding *b = m->bindings;
    while (b && memcmp(b->surface, keys, (size_t)n * sizeof *keys)) b = b->next;
    return b;
}

/* The oldest goes, so that a caller that never binds the same twice does not
 * fill the memory; a run that uses it holds it. */
static void trim_bindings(ane_engine *e, ane_model *m)
{
    ane_binding **at = &m->bindings;
    if (m->n_bindings < BINDINGS_MAX || !*at) return;
    while ((*at)->next) at = &(*at)->next;
    ane_drop(&e->sys, (*at)->request);
    mem_drop(*at);
    *at = NULL;
    m->n_bindings--;
}

static rc add_binding(ane_engine *e, ane_model *m, const ane_id *objects,
                      const void *const *keys, int n, ane_binding **out)
{
    ane_binding *b = mem_take(sizeof *b + (size_t)n * sizeof *keys);
    if (!b) return E_MEMORY;
    rc r = ane_make_request(e, m, objects, &b->request);
    if (r != OK) {
        mem_drop(b);
        return r;
    }
    trim_bindings(e, m);
    b->n = n;
    memcpy(b->surface, keys, (size_t)n * sizeof *keys);
    b->next = m->bindings;
    m->bindings = b;
    m->n_bindings++;
    *out = b;
    return OK;
}

rc ane_model_run(ane_engine *e, ane_model *m, const ane_id *objects,
                 const void *const *keys, int n)
{
    const ane_sys *a = &e->sys;
    ane_id error = NULL, request = NULL;
    rc r = OK;
    void *pool = a->objc_autoreleasePoolPush();
    pthread_mutex_lock(&e->lock);
    ane_binding *b = find_binding(m, keys, n);
    if (!b) r = add_binding(e, m, objects, keys, n, &b);
    if (r == OK) request = ane_keep(a, b->request);
    pthread_mutex_unlock(&e->lock);
    if (r == OK && !e->route->evaluate(e, m, request, &error))
        r = ane_explain(a, error, E_DEVICE, "run the program");
    ane_drop(a, request);
    a->objc_autoreleasePoolPop(pool);
    return r;
}

void ane_forget_surface(ane_engine *e, const void *key)
{
    void *pool = e->sys.objc_autoreleasePoolPush();
    pthread_mutex_lock(&e->lock);
    for (ane_model *m = e->models; m; m = m->next)
        for (ane_binding **at = &m->bindings; *at;) {
            ane_binding *b = *at;
            bool holds = false;
            for (int i = 0; i < b->n; i++) holds |= b->surface[i] == key;
            if (!holds) {
                at = &b->next;
                continue;
            }
            *at = b->next;
            m->n_bindings--;
            ane_drop(&e->sys, b->request);
            mem_drop(b);
        }
    pthread_mutex_unlock(&e->lock);
    e->sys.objc_autoreleasePoolPop(pool);
}
