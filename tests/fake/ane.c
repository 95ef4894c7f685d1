/* ane.c - the private classes: descriptor, in-memory model, request, surface
 * wrapper, client, model at a directory, and facts about the device.
 *
 * A model is made (1), compiled (2), loaded (3), and after unload compiled
 * again; runs are taken in state 3 only (maderix/ANE probes). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bundle.h"
#include "engine.h"
#include "methods.h"
#include "base/sha256.h"

enum { MADE = 1, COMPILED = 2, LOADED = 3 };

static const char *text_of(id string)
{
    return ((fake_bytes *)string)->p;
}

static bool entries_are_sound(id weights);

/* ---- descriptor ---- */
/* NSString for the text gives nil (maderix/ANE api_exploration), and so does nil
 * for the weights (decompiled framework of iOS 17 to 26; what maderix/ANE 20cd236
 * saw as a compile that fails silently is a message to nil). */
id descriptor_make(id self, SEL op, id mil, id weights, id options)
{
    if (fake_fails() || !fake_is(mil, CLASS_data)) return NULL;
    if (!fake_is(weights, CLASS_dictionary) || !entries_are_sound(weights)) return NULL;
    id o = fake_new(CLASS_descriptor);
    fake_descriptor *d = (fake_descriptor *)o;
    d->mil = objc_retain(mil);
    d->weights = objc_retain(weights);
    d->options = objc_retain(options);
    return objc_autorelease(o);
}

void fake_drop_descriptor(id o)
{
    fake_descriptor *d = (fake_descriptor *)o;
    objc_release(d->mil);
    objc_release(d->weights);
    objc_release(d->options);
}

/* ---- identifier ----
 * SHA-256 of the text, of the weights, of the options, in capitals. Of the
 * weights: four bytes of zero, then the *first* value of each entry in the order
 * of the outer keys; names do not enter it (decompiled framework of iOS 17 to
 * 26; the order of the three: measured by a program on macOS 27). */
static int by_text(const void *a, const void *b)
{
    return strcmp(text_of(*(const id *)a), text_of(*(const id *)b));
}

/* The outer keys, sorted; new memory. */
static id *sorted_keys(const fake_dictionary *w)
{
    id *keys = fake_take((w->n + 1) * sizeof *keys);
    if (w->n) memcpy(keys, w->k, w->n * sizeof *keys);
    qsort(keys, w->n, sizeof *keys, by_text);
    return keys;
}

static id first_key(id entry)
{
    return ((const fake_dictionary *)entry)->k[fake_first(entry)];
}

static id first_value(id entry)
{
    return ((const fake_dictionary *)entry)->v[fake_first(entry)];
}

/* The framework sends -bytes to the first value and appends the first key to a
 * path. With anything but data and a text that is an exception, which ends
 * the process; here it is counted. An empty entry gives no descriptor. */
static bool entries_are_sound(id weights)
{
    const fake_dictionary *w = (const fake_dictionary *)weights;
    for (size_t i = 0; i < w->n; i++) {
        if (!fake_is(w->k[i], CLASS_string) || !fake_is(w->v[i], CLASS_dictionary)) {
            fake_misuse("weights that are no dictionaries by name: an exception");
            return false;
        }
        if (!((const fake_dictionary *)w->v[i])->n) return false;
        if (fake_is(first_value(w->v[i]), CLASS_data) &&
            fake_is(first_key(w->v[i]), CLASS_string))
            continue;
        fake_misuse("the first value of a weight entry is no data: an exception");
        return false;
    }
    return true;
}

static void hash_weights(sha256 *h, id weights)
{
    const fake_dictionary *w = (const fake_dictionary *)weights;
    sha256_add(h, "\0\0\0", 4);
    id *keys = sorted_keys(w);
    for (size_t i = 0; i < w->n; i++) {
        id data = first_value(fake_lookup_value(weights, text_of(keys[i])));
        sha256_add(h, text_of(data), ((fake_bytes *)data)->n);
    }
    free(keys);
}

static id identifier(const fake_descriptor *d)
{
    char text[3 * 65];
    for (int i = 0; i < 3; i++) {
        sha256 h;
        sha256_start(&h);
        id part = i == 0 ? d->mil : i == 2 ? d->options : NULL;
        if (fake_is(part, CLASS_data))
            sha256_add(&h, text_of(part), ((fake_bytes *)part)->n);
        if (i == 1) hash_weights(&h, d->weights);
        sha256_hex(&h, text + 65 * i);
        text[65 * i + 64] = i < 2 ? '_' : 0;
    }
    for (char *p = text; *p; p++) *p = (char)toupper((unsigned char)*p);
    return fake_string(text);
}

/* ---- in-memory model ---- */
id memory_make(id self, SEL op, id descriptor)
{
    if (fake_fails() || !fake_is(descriptor, CLASS_descriptor)) return NULL;
    id o = fake_new(CLASS_memory);
    fake_memory *m = (fake_memory *)o;
    m->descriptor = objc_retain(descriptor);
    m->hex = identifier((fake_descriptor *)descriptor);
    m->depth = 127;
    atomic_store(&m->state, MADE);
    return objc_autorelease(o);
}

/* The model inside is made by loading; it shares the program. */
static void drop_inner(fake_memory *m)
{
    if (m->inner) ((fake_model *)m->inner)->program = NULL;
    objc_release(m->inner);
    m->inner = NULL;
}

static void make_inner(fake_memory *m)
{
    drop_inner(m);
    m->inner = fake_new(CLASS_model);
    ((fake_model *)m->inner)->program = m->program;
    atomic_store(&((fake_model *)m->inner)->state, LOADED);
}

/* Nobody has said what becomes of a slot whose model just goes, so no caller
 * may count on it (assumed; every public program unloads first). */
static void let_go(const fake_program *p, const atomic_bool *unloaded)
{
    if (p && !atomic_load(unloaded)) fake_misuse("a loaded model was let go");
}

void fake_drop_memory(id o)
{
    fake_memory *m = (fake_memory *)o;
    let_go(m->program, &m->unloaded);
    drop_inner(m);
    engine_unload(m->program);
    objc_release(m->descriptor);
    objc_release(m->hex);
    objc_release(m->url);
}

id memory_hex(id self, SEL op)
{
    if (fake_fails()) return NULL;
    return objc_autorelease(objc_retain(((fake_memory *)self)->hex));
}

/* The directory the framework fixes, as new memory. */
static char *staging(const fake_memory *m)
{
    id tmp = fake_temporary_directory(), hex = m->hex;
    char *dir = fake_take(((fake_bytes *)tmp)->n + ((fake_bytes *)hex)->n + 1);
    strcat(strcpy(dir, text_of(tmp)), text_of(hex));
    objc_release(tmp);
    return dir;
}

/* saveModelFiles: the text as net.plist, and of each entry the first value under
 * the first key's name. Nothing is written where the model has a URL already,
 * and it has one afterwards. */
static fake_refusal save_files(fake_memory *m, const char *dir)
{
    const fake_descriptor *d = (fake_descriptor *)m->descriptor;
    const fake_dictionary *w = (const fake_dictionary *)d->weights;
    bool ok = bundle_make(dir) && bundle_write(dir, "net.plist", d->mil);
    for (size_t i = 0; ok && i < w->n; i++)
        ok = bundle_write(dir, text_of(first_key(w->v[i])), first_value(w->v[i]));
    if (!ok) return REFUSE_not_saved;
    m->url = fake_bytes_new(CLASS_url, dir, strlen(dir));
    return REFUSALS;
}

/* macOS 27 compares each named file with the hash of its contents, so two
 * entries that name different contents alike cannot both be right, and a name
 * that is not in the folder is missing. */
static bool hashes_hold(const fake_memory *m)
{
    const fake_descriptor *d = (fake_descriptor *)m->descriptor;
    const fake_dictionary *w = (const fake_dictionary *)d->weights;
    for (size_t i = 0; i < w->n; i++)
        if (!bundle_has(text_of(m->url), text_of(first_key(w->v[i])),
                        first_value(w->v[i])))
            return false;
    return true;
}

static fake_refusal compile_memory(fake_memory *m)
{
    fake_refusal why = REFUSALS;
    fake_artefact *a = NULL;
    char *dir = staging(m);
    if (!m->url) why = save_files(m, dir);
    free(dir);
    if (why == REFUSALS && fake_system() >= 27 &&
        (bundle_has_links(text_of(m->url)) || !hashes_hold(m)))
        why = REFUSE_invalid_model;
    if (why == REFUSALS) why = engine_compile(text_of(m->url), "model.mil", &a);
    if (why == REFUSALS) engine_keep(a, text_of(m->hex));
    engine_forget(a);
    return why;
}

bool memory_compile(id self, SEL op, unsigned qos, id options, id *error)
{
    fake_memory *m = (fake_memory *)self;
    if (fake_told(FAKE_COMPILE, error)) return false;
    /* Only this route uses up the budget; a compile that succeeds is never
     * given back. */
    if (!fake_count_compile()) return fake_refuse(REFUSE_over_budget, error);
    fake_refusal why = compile_memory(m);
    if (why != REFUSALS) {
        fake_uncount_compile();
        return fake_refuse(why, error);
    }
    m->compiled = true;
    if (atomic_load(&m->state) == MADE) atomic_store(&m->state, COMPILED);
    return true;
}

/* By the identifier, from the service; the folder is not looked at. */
bool memory_load(id self, SEL op, unsigned qos, id options, id *error)
{
    fake_memory *m = (fake_memory *)self;
    if (fake_told(FAKE_LOAD, error)) return false;
    if (m->program) return true;
    fake_artefact *a = NULL;
    if (!engine_recall(text_of(m->hex), &a))
        return fake_refuse(REFUSE_not_compiled, error);
    fake_refusal why = engine_load(a, &m->program);
    engine_forget(a);
    if (why != REFUSALS) return fake_refuse(why, error);
    if (!m->compiled) fake_count_recalled();
    make_inner(m);
    atomic_store(&m->unloaded, false);
    atomic_store(&m->state, LOADED);
    return true;
}

/* ---- a run, by either route ---- */
static fake_refusal evaluate(fake_program *p, id request)
{
    if (!p || !fake_is(request, CLASS_request)) return REFUSE_not_loaded;
    fake_enter_queue();
    fake_refusal why = engine_run(p, (fake_request *)request);
    fake_leave_queue();
    return why;
}

bool memory_evaluate(id self, SEL op, unsigned qos, id options, id request, id *error)
{
    if (fake_told(FAKE_EVALUATE, error)) return false;
    fake_refusal why = evaluate(((fake_memory *)self)->program, request);
    return why == REFUSALS ? true : fake_refuse(why, error);
}

bool memory_unload(id self, SEL op, unsigned qos, id *error)
{
    fake_memory *m = (fake_memory *)self;
    atomic_store(&m->unloaded, true);
    if (fake_told(FAKE_UNLOAD, error)) return false;
    if (m->program) atomic_store(&m->state, COMPILED);
    drop_inner(m);
    engine_unload(m->program);
    m->program = NULL;
    char *dir = staging(m); /* localModelPath, wherever the model's URL is */
    bundle_remove(dir);
    free(dir);
    return true;
}

unsigned long memory_state(id self, SEL op)
{
    return (unsigned long)atomic_load(&((fake_memory *)self)->state);
}

id memory_inner(id self, SEL op)
{
    id inner = ((fake_memory *)self)->inner;
    return fake_fails() || !inner ? NULL : objc_autorelease(objc_retain(inner));
}

/* What a loaded program says of itself; nothing before. On macOS 27 it was seen
 * to raise an exception (pmetal), which ends the process; here it is counted. */
id memory_attributes(id self, SEL op)
{
    if (fake_system() >= 27)
        fake_misuse("attributes of an in-memory model: an exception");
    fake_program *p = ((fake_memory *)self)->program;
    return fake_fails() || !p ? NULL : objc_autorelease(engine_attributes(p));
}

bool memory_compiled(id self, SEL op)
{
    fake_artefact *a = NULL;
    bool there = engine_recall(text_of(((fake_memory *)self)->hex), &a);
    engine_forget(a);
    return there;
}

void memory_purge(id self, SEL op)
{
    engine_purge(text_of(((fake_memory *)self)->hex));
}

void memory_set_url(id self, SEL op, id url)
{
    fake_memory *m = (fake_memory *)self;
    if (url && !fake_is(url, CLASS_url)) {
        fake_misuse("setModelURL: of something not a URL");
        return;
    }
    objc_release(m->url);
    m->url = objc_retain(url);
}

/* Accepted and without effect, as on the chip. */
signed char memory_depth(id self, SEL op)
{
    return ((fake_memory *)self)->depth;
}

void memory_set_depth(id self, SEL op, signed char depth)
{
    ((fake_memory *)self)->depth = depth;
}

unsigned memory_mask(id self, SEL op)
{
    return ((fake_memory *)self)->stats_mask;
}

void memory_set_mask(id self, SEL op, unsigned mask)
{
    ((fake_memory *)self)->stats_mask = mask;
}

bool memory_map(id self, SEL op, id request, bool cache, id *error)
{
    if (fake_fails()) return fake_refuse(REFUSE_told_evaluate, error);
    if (((fake_memory *)self)->program && fake_is(request, CLASS_request)) return true;
    return fake_refuse(REFUSE_not_loaded, error);
}

void memory_unmap(id self, SEL op, id request)
{
    if (!fake_is(request, CLASS_request)) fake_misuse("unmap of something not a request");
}

/* ---- request and surface wrapper ---- */
id wrapper_make(id self, SEL op, IOSurfaceRef surface)
{
    if (fake_fails() || !fake_is(fake_id(surface), CLASS_surface)) return NULL;
    id o = fake_new(CLASS_wrapper);
    ((fake_wrapper *)o)->surface = objc_retain(fake_id(surface));
    return objc_autorelease(o);
}

void fake_drop_wrapper(id o)
{
    objc_release(((fake_wrapper *)o)->surface);
}

static bool all_are(id array, fake_class_id c)
{
    if (!fake_is(array, CLASS_array)) return false;
    const fake_array *a = (const fake_array *)array;
    for (size_t i = 0; i < a->n; i++)
        if (!fake_is(a->v[i], c)) return false;
    return true;
}

/* weightsBuffer, perfStats and procedureIndex have no effect (maderix/ANE). */
id request_make(id self, SEL op, id in, id in_index, id out, id out_index, id weights,
                id stats, id procedure)
{
    if (fake_fails() || !all_are(in, CLASS_wrapper) || !all_are(out, CLASS_wrapper) ||
        !all_are(in_index, CLASS_number) || !all_are(out_index, CLASS_number))
        return NULL;
    id o = fake_new(CLASS_request);
    fake_request *r = (fake_request *)o;
    r->in = objc_retain(in);
    r->in_index = objc_retain(in_index);
    r->out = objc_retain(out);
    r->out_index = objc_retain(out_index);
    return objc_autorelease(o);
}

void fake_drop_request(id o)
{
    fake_request *r = (fake_request *)o;
    objc_release(r->in);
    objc_release(r->in_index);
    objc_release(r->out);
    objc_release(r->out_index);
}

/* ---- client route ---- */
static id connection;

void fake_make_connection(void)
{
    connection = fake_new_immortal(CLASS_client);
}

id client_shared(id self, SEL op)
{
    return fake_fails() ? NULL : connection;
}

id model_make(id self, SEL op, id url, id key)
{
    if (fake_fails() || !fake_is(url, CLASS_url) || !fake_is(key, CLASS_string))
        return NULL;
    id o = fake_new(CLASS_model);
    fake_model *m = (fake_model *)o;
    m->url = objc_retain(url);
    m->key = objc_retain(key);
    atomic_store(&m->state, MADE);
    return objc_autorelease(o);
}

void fake_drop_model(id o)
{
    fake_model *m = (fake_model *)o;
    let_go(m->program, &m->unloaded);
    engine_unload(m->program);
    engine_forget(m->artefact);
    objc_release(m->url);
    objc_release(m->key);
}

id model_attributes(id self, SEL op)
{
    fake_program *p = ((fake_model *)self)->program;
    return fake_fails() || !p ? NULL : objc_autorelease(engine_attributes(p));
}

unsigned long model_state(id self, SEL op)
{
    return (unsigned long)atomic_load(&((fake_model *)self)->state);
}

/* The text's file name from the options, which must say that it is MIL: else
 * the framework looks for another kind of network. */
static const char *mil_file(id options)
{
    id kind = fake_lookup_value(options, "kANEFModelType");
    id name = fake_lookup_value(options, "kANEFNetPlistFilenameKey");
    bool mil = fake_is(kind, CLASS_string) && !strcmp(text_of(kind), "kANEFModelMIL");
    return mil && fake_is(name, CLASS_string) ? text_of(name) : NULL;
}

/* The service knows a model in a folder by the folder and the key. */
static char *service_name(const fake_model *m)
{
    const fake_bytes *u = (fake_bytes *)m->url, *k = (fake_bytes *)m->key;
    char *name = fake_take(u->n + k->n + 2);
    snprintf(name, u->n + k->n + 2, "%s\n%s", u->p, k->p);
    return name;
}

static bool recall_model(const fake_model *m, fake_artefact **out)
{
    char *name = service_name(m);
    bool there = engine_recall(name, out);
    free(name);
    return there;
}

bool client_compile(id self, SEL op, id model, id options, unsigned qos, id *error)
{
    if (fake_told(FAKE_COMPILE, error)) return false;
    if (!fake_is(model, CLASS_model)) return fake_refuse(REFUSE_no_text, error);
    fake_model *m = (fake_model *)model;
    const char *file = mil_file(options);
    fake_artefact *a = NULL;
    fake_refusal why = file ? REFUSALS : REFUSE_no_text;
    if (why == REFUSALS && fake_system() >= 27 && bundle_has_links(text_of(m->url)))
        why = REFUSE_invalid_model;
    if (why == REFUSALS) why = engine_compile(text_of(m->url), file, &a);
    if (why != REFUSALS) return fake_refuse(why, error);
    char *name = service_name(m);
    engine_keep(a, name);
    free(name);
    engine_forget(m->artefact);
    m->artefact = a;
    if (atomic_load(&m->state) == MADE) atomic_store(&m->state, COMPILED);
    return true;
}

bool client_load(id self, SEL op, id model, id options, unsigned qos, id *error)
{
    if (fake_told(FAKE_LOAD, error)) return false;
    fake_model *m = (fake_model *)model;
    if (!fake_is(model, CLASS_model)) return fake_refuse(REFUSE_not_compiled, error);
    if (m->program) return true;
    bool compiled = m->artefact != NULL;
    if (!compiled && !recall_model(m, &m->artefact))
        return fake_refuse(REFUSE_not_compiled, error);
    fake_refusal why = engine_load(m->artefact, &m->program);
    if (why != REFUSALS) return fake_refuse(why, error);
    if (!compiled) fake_count_recalled();
    atomic_store(&m->unloaded, false);
    atomic_store(&m->state, LOADED);
    return true;
}

bool client_evaluate(id self, SEL op, id model, id options, id request, unsigned qos,
                     id *error)
{
    if (fake_told(FAKE_EVALUATE, error)) return false;
    fake_program *p = fake_is(model, CLASS_model) ? ((fake_model *)model)->program : NULL;
    fake_refusal why = evaluate(p, request);
    return why == REFUSALS ? true : fake_refuse(why, error);
}

bool client_unload(id self, SEL op, id model, id options, unsigned qos, id *error)
{
    fake_model *m = (fake_model *)model;
    if (fake_is(model, CLASS_model)) atomic_store(&m->unloaded, true);
    if (fake_told(FAKE_UNLOAD, error)) return false;
    if (!fake_is(model, CLASS_model)) return fake_refuse(REFUSE_not_loaded, error);
    if (m->program) atomic_store(&m->state, COMPILED);
    engine_unload(m->program);
    m->program = NULL;
    return true;
}

/* The same with a wider QoS, should a system have it so. */
bool client_compile_wide(id self, SEL op, id model, id options, unsigned long qos,
                         id *error)
{
    return client_compile(self, op, model, options, (unsigned)qos, error);
}

bool client_load_wide(id self, SEL op, id model, id options, unsigned long qos, id *error)
{
    return client_load(self, op, model, options, (unsigned)qos, error);
}

bool client_evaluate_wide(id self, SEL op, id model, id options, id request,
                          unsigned long qos, id *error)
{
    return client_evaluate(self, op, model, options, request, (unsigned)qos, error);
}

bool client_unload_wide(id self, SEL op, id model, id options, unsigned long qos,
                        id *error)
{
    return client_unload(self, op, model, options, (unsigned)qos, error);
}

bool client_compiled(id self, SEL op, id model)
{
    fake_artefact *a = NULL;
    bool there = fake_is(model, CLASS_model) && recall_model((fake_model *)model, &a);
    engine_forget(a);
    return there;
}

void client_purge(id self, SEL op, id model)
{
    if (!fake_is(model, CLASS_model)) {
        fake_misuse("purge of something not a model");
        return;
    }
    char *name = service_name((fake_model *)model);
    engine_purge(name);
    free(name);
}

/* ---- facts about the device: those of an M4 ---- */
bool info_has(id self, SEL op)
{
    return !fake_is_absent();
}

bool info_virtual(id self, SEL op)
{
    return fake_is_absent(); /* what has no engine here is a virtual machine */
}

unsigned info_engines(id self, SEL op)
{
    return !fake_is_absent();
}

unsigned info_cores(id self, SEL op)
{
    return fake_is_absent() ? 0 : 16;
}

static id fact(const char *text)
{
    return fake_is_absent() ? NULL : objc_autorelease(fake_string(text));
}

id info_sub_type(id self, SEL op)
{
    return fact("h16");
}

id info_architecture(id self, SEL op)
{
    return fact("h16g");
}

id info_build(id self, SEL op)
{
    return fact("fake");
}
