/* route.c - the two ways to the engine, as tables of what each sends.
 *
 * What the system does with it (decompiled sources of iOS 17 to 26, maderix/ANE
 * issue 54): the in-memory model writes the text as net.plist into its folder,
 * makes an _ANEModel there, and asks the shared client to compile it with the
 * identifier in the options; loading asks the service for the compiled program
 * by that identifier; unloading removes the folder. Where it writes the weight
 * files depends on how they are given (weights.c), which is why they are
 * staged here. A model that was told its place (setModelURL:) writes nothing
 * itself, and its folder can be anywhere. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/str.h"
#include "dev/ane/model.h"

/* ---- in memory ---- */
static rc name_folder(char out[ANE_PATH], const char *folder, const char *name)
{
    int n = snprintf(out, ANE_PATH, "%s%s%s", folder, str_ends(folder, "/") ? "" : "/",
                     name);
    if (n > 0 && n < ANE_PATH) return OK;
    return err_fail(E_IO, "the path of the staging folder %.60s... is too long", folder);
}

/* The place that the system fixes, or another: told, or by a link. */
static rc memory_place(ane_engine *e, ane_model *m, const char *name)
{
    const ane_sys *a = &e->sys;
    ane_id url = NULL;
    TRY(name_folder(m->fixed, e->temp, name));
    snprintf(m->dir, sizeof m->dir, "%s", m->fixed);
    if (!*e->staging || !ane_has(a, ANE_SEL_memory_place)) return OK;
    TRY(name_folder(m->dir, e->staging, name));
    TRY(ane_make_folder_url(a, m->dir, &url));
    ane_msg_memory_place(a, m->object, url);
    ane_drop(a, url);
    return OK;
}

static rc memory_make(ane_engine *e, const dev_source *src, ane_model *m)
{
    const ane_sys *a = &e->sys;
    ane_id text = NULL, weights = NULL, descriptor = NULL, id = NULL;
    char name[512];
    rc r = ane_make_data(a, src->mil, src->mil_bytes, &text);
    if (r == OK) r = ane_weight_dict(e, src, m->form, &weights);
    if (r == OK) {
        descriptor = ane_msg_descriptor(a, a->class_of[ANE_CLASS_DESCRIPTOR], text,
                                        weights, NULL);
        if (descriptor)
            m->object = ane_msg_memory_model(a, a->class_of[ANE_CLASS_MEMORY],
                                             descriptor);
        if (!m->object)
            r = err_fail(E_DEVICE, "the system makes no %s of the program",
                         descriptor ? "model" : "descriptor");
    }
    if (r == OK) {
        id = ane_msg_identifier(a, m->object);
        if (!ane_get_text(a, id, name, sizeof name) || !*name || strchr(name, '/'))
            r = err_fail(E_DEVICE, "the system gives no identifier for the program");
    }
    if (r == OK) r = memory_place(e, m, name);
    ane_drop(a, text);
    ane_drop(a, weights);
    ane_drop(a, descriptor);
    ane_drop(a, id);
    return r;
}

static bool memory_compile(ane_engine *e, ane_model *m, ane_id *error)
{
    return ane_msg_memory_compile(&e->sys, m->object, ANE_QOS, e->none, error);
}

static bool memory_load(ane_engine *e, ane_model *m, ane_id *error)
{
    return ane_msg_memory_load(&e->sys, m->object, ANE_QOS, e->none, error);
}

static bool memory_evaluate(ane_engine *e, ane_model *m, ane_id request, ane_id *error)
{
    return ane_msg_memory_evaluate(&e->sys, m->object, ANE_QOS, e->none, request, error);
}

/* The system removes the folder it has fixed for the program when it unloads
 * it. Another process may be staging the same one, or begin to, so this takes
 * the lock even where there is no folder yet; but not where nothing of ours is
 * to be written there, not even an empty lock. */
static bool memory_unload(ane_engine *e, ane_model *m, ane_id *error)
{
    ane_stage s;
    err_saved before; /* taking down after an error must not hide it */
    struct stat st;
    err_save(E_FAILED, &before);
    bool elsewhere = strcmp(m->dir, m->fixed) != 0 && lstat(m->fixed, &st) != 0;
    bool held = !elsewhere && ane_stage_open(&s, m->fixed, NULL, ANE_STAGE_WAIT_MS) == OK;
    if (!held && !elsewhere) err_restore(&before);
    bool done = ane_msg_memory_unload(&e->sys, m->object, ANE_QOS, error);
    if (held) ane_stage_close(&s);
    return done;
}

/* Of the model inside where there is one; see selectors.def. */
static ane_id memory_attributes(const ane_sys *a, ane_id model)
{
    ane_id inner = NULL, attributes;
    if (ane_has(a, ANE_SEL_memory_inner) && ane_has(a, ANE_SEL_model_attributes))
        inner = ane_msg_memory_inner(a, model);
    attributes = inner ? ane_msg_model_attributes(a, inner)
                       : ane_msg_memory_attributes(a, model);
    ane_drop(a, inner);
    return attributes;
}

static bool memory_exists(ane_engine *e, ane_model *m)
{
    return !ane_has(&e->sys, ANE_SEL_memory_exists) ||
           ane_msg_memory_exists(&e->sys, m->object);
}

static void memory_purge(ane_engine *e, ane_model *m)
{
    if (ane_has(&e->sys, ANE_SEL_memory_purge)) ane_msg_memory_purge(&e->sys, m->object);
}

const ane_route ane_memory_route = {
    .name = "memory",
    .need = ANE_MEMORY,
    .make = memory_make,
    .compile = memory_compile,
    .load = memory_load,
    .evaluate = memory_evaluate,
    .unload = memory_unload,
    .exists = memory_exists,
    .purge = memory_purge,
    .has_attributes = ANE_SEL_memory_attributes,
    .attributes = memory_attributes,
};

/* ---- by the client ---- */
static rc client_make(ane_engine *e, const dev_source *src, ane_model *m)
{
    const ane_sys *a = &e->sys;
    ane_id url = NULL, key = NULL;
    char name[64];
    (void)src;
    snprintf(name, sizeof name, "anneal-%016llx%016llx", (unsigned long long)m->key[1],
             (unsigned long long)m->key[0]);
    if (*m->kept) snprintf(name, sizeof name, "%s", m->kept);
    rc r = name_folder(m->dir,
                       *m->kept      ? e->cache.root
                       : *e->staging ? e->staging
                                     : e->temp,
                       name);
    if (r == OK) r = ane_make_folder_url(a, m->dir, &url);
    if (r == OK) r = ane_make_text(a, name, &key);
    if (r == OK) {
        m->object = ane_msg_model_at(a, a->class_of[ANE_CLASS_MODEL], url, key);
        if (!m->object)
            r = err_fail(E_DEVICE, "the system makes no model of the program");
    }
    ane_drop(a, url);
    ane_drop(a, key);
    return r;
}

/* The QoS is an unsigned int or an NSUInteger: as the system says it is. */
static bool client_compile(ane_engine *e, ane_model *m, ane_id *error)
{
    const ane_sys *a = &e->sys;
    if (ane_has(a, ANE_SEL_client_compile))
        return ane_msg_client_compile(a, e->client, m->object, e->mil_options, ANE_QOS,
                                      error);
    return ane_msg_client_compile_wide(a, e->client, m->object, e->mil_options, ANE_QOS,
                                       error);
}

/* The kind of program is told again: the service compiles at loading what it no
 * longer has, and takes it for a Core ML network otherwise (decompiled aned).
 * ane_pmu_profiler and the framework's own in-memory model tell it too; MLX-ANE
 * and maderix/ANE give an empty dictionary. Both run. */
static bool client_load(ane_engine *e, ane_model *m, ane_id *error)
{
    const ane_sys *a = &e->sys;
    if (ane_has(a, ANE_SEL_client_load))
        return ane_msg_client_load(a, e->client, m->object, e->mil_options, ANE_QOS,
                                   error);
    return ane_msg_client_load_wide(a, e->client, m->object, e->mil_options, ANE_QOS,
                                    error);
}

static bool client_evaluate(ane_engine *e, ane_model *m, ane_id request, ane_id *error)
{
    const ane_sys *a = &e->sys;
    if (ane_has(a, ANE_SEL_client_evaluate))
        return ane_msg_client_evaluate(a, e->client, m->object, e->none, request, ANE_QOS,
                                       error);
    return ane_msg_client_evaluate_wide(a, e->client, m->object, e->none, request,
                                        ANE_QOS, error);
}

static bool client_unload(ane_engine *e, ane_model *m, ane_id *error)
{
    const ane_sys *a = &e->sys;
    if (ane_has(a, ANE_SEL_client_unload))
        return ane_msg_client_unload(a, e->client, m->object, e->none, ANE_QOS, error);
    return ane_msg_client_unload_wide(a, e->client, m->object, e->none, ANE_QOS, error);
}

static bool client_exists(ane_engine *e, ane_model *m)
{
    return !ane_has(&e->sys, ANE_SEL_client_exists) ||
           ane_msg_client_exists(&e->sys, e->client, m->object);
}

static void client_purge(ane_engine *e, ane_model *m)
{
    if (ane_has(&e->sys, ANE_SEL_client_purge))
        ane_msg_client_purge(&e->sys, e->client, m->object);
}

const ane_route ane_client_route = {
    .name = "client",
    .need = ANE_CLIENT,
    .make = client_make,
    .compile = client_compile,
    .load = client_load,
    .evaluate = client_evaluate,
    .unload = client_unload,
    .exists = client_exists,
    .purge = client_purge,
    .in_place = true,
    .has_attributes = ANE_SEL_model_attributes,
    .attributes = ane_msg_model_attributes,
};
