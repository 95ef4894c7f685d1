/* engine.c - artefacts and programs on the software engine; see engine.h.
 *
 * What is kept of an artefact is in kept.c. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/file.h"
#include "base/str.h"
#include "dev/device.h"
#include "engine.h"

struct fake_program {
    dev_program *program;
    dev_ports ports;
    dev_surface **in, **out; /* the engine's own memory for each port */
    arena *mem;
    int symbols;          /* fake_ane_symbols when it was loaded */
    pthread_mutex_t busy; /* a program does not overlap with itself */
};

/* Two devices of one kind: compiling must not take slots of the loaded. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *uri = "emu:m4,faithful,compiles=none";
static kern *host;
static device *compiler, *engine;

void engine_use(const char *text)
{
    pthread_mutex_lock(&lock);
    uri = text;
    pthread_mutex_unlock(&lock);
}

void engine_close(void)
{
    pthread_mutex_lock(&lock);
    if (compiler) dev_close(compiler);
    if (engine) dev_close(engine);
    if (host) kern_close(host);
    compiler = engine = NULL;
    host = NULL;
    uri = "emu:m4,faithful,compiles=none";
    pthread_mutex_unlock(&lock);
}

/* Called with the lock held. */
static rc open_devices(void)
{
    if (engine) return OK;
    if (!host) TRY(kern_open(0, NULL, &host));
    if (!compiler) TRY(dev_open(uri, host, &compiler));
    return dev_open(uri, host, &engine);
}

static dev_source source_of(const fake_artefact *a)
{
    return (dev_source){"model", a->mil, a->mil_bytes, a->files, a->n_files};
}

/* ---- compiling ---- */
static rc check(const fake_artefact *a)
{
    dev_program *p = NULL;
    dev_source src = source_of(a);
    pthread_mutex_lock(&lock);
    rc r = open_devices();
    if (r == OK) r = dev_load(compiler, &src, &p);
    if (r == OK) dev_unload(p);
    pthread_mutex_unlock(&lock);
    return r;
}

static fake_refusal compile(fake_artefact *a, const char *dir, const char *name)
{
    char *text;
    mil_program *p;
    const char *path = file_join(a->mem, dir, name);
    const char *weights = file_join(a->mem, dir, "weights");
    if (!path || !weights) return REFUSE_told_compile;
    if (file_read(a->mem, path, SIZE_MAX, &text, &a->mil_bytes) != OK)
        return REFUSE_no_text;
    a->mil = text;
    fake_told_program(text);
    if (mil_parse(a->mem, text, a->mil_bytes, "model.mil", &p) != OK)
        return REFUSE_bad_program;
    if (mil_load_blobs(a->mem, p, weights, &a->files, &a->n_files) != OK)
        return REFUSE_no_weights;
    return check(a) == OK ? REFUSALS : REFUSE_bad_program;
}

fake_artefact *engine_artefact(void)
{
    fake_artefact *a = fake_take(sizeof *a);
    a->mem = arena_new();
    return a;
}

void engine_forget(fake_artefact *a)
{
    if (!a) return;
    arena_free(a->mem);
    free(a);
}

fake_refusal engine_compile(const char *dir, const char *text, fake_artefact **out)
{
    fake_artefact *a = engine_artefact();
    fake_refusal r = compile(a, dir, text);
    if (r == REFUSALS) *out = a;
    else engine_forget(a);
    err_clear();
    return r;
}

/* ---- programs ---- */
static rc own_surfaces(fake_program *p, int n, const dev_port *ports, dev_surface ***out)
{
    *out = arena_array(p->mem, (size_t)n + 1, sizeof **out);
    if (!*out) return E_MEMORY;
    memset(*out, 0, ((size_t)n + 1) * sizeof **out);
    for (int i = 0; i < n; i++) {
        const mil_type *t = &ports[i].type;
        dev_shape s = {.dtype = t->dtype, .rank = t->rank};
        for (int d = 0; d < t->rank && d < 5; d++) s.d[d] = t->d[d];
        /* Large enough for every rule about surfaces; the rules for the
         * caller's surfaces are kept in engine_run. */
        size_t bytes = (size_t)mil_count(t) * mil_dtype_bytes(t->dtype);
        s.bytes = bytes < 49152 ? 49152 : (bytes + 16383) / 16384 * 16384;
        TRY(dev_surface_new(engine, &s, &(*out)[i]));
    }
    return OK;
}

static rc load(fake_program *p, const fake_artefact *a)
{
    dev_source src = source_of(a);
    p->mem = arena_new();
    if (!p->mem) return E_MEMORY;
    TRY(dev_load(engine, &src, &p->program));
    TRY(dev_ports_of(p->program, &p->ports));
    TRY(own_surfaces(p, p->ports.n_in, p->ports.in, &p->in));
    return own_surfaces(p, p->ports.n_out, p->ports.out, &p->out);
}

static bool backwards(const fake_program *p)
{
    return p->symbols == 1 || p->symbols == 3;
}

fake_refusal engine_load(const fake_artefact *a, fake_program **out)
{
    if (!fake_take_slot()) return REFUSE_no_slot;
    fake_program *p = fake_take(sizeof *p);
    pthread_mutex_init(&p->busy, NULL);
    p->symbols = fake_symbols();
    pthread_mutex_lock(&lock);
    rc r = open_devices();
    if (r == OK) r = load(p, a);
    pthread_mutex_unlock(&lock);
    err_clear();
    if (r == OK) *out = p;
    else engine_unload(p);
    return r == OK ? REFUSALS : REFUSE_not_compiled;
}

void engine_unload(fake_program *p)
{
    if (!p) return;
    for (dev_surface **s = p->in; s && *s; s++) dev_drop(*s);
    for (dev_surface **s = p->out; s && *s; s++) dev_drop(*s);
    if (p->program) dev_unload(p->program);
    arena_free(p->mem);
    pthread_mutex_destroy(&p->busy);
    free(p);
    fake_give_slot();
}

/* ---- what a program says of itself ---- */
/* Names by number; those of outputs end in "@output". */
static id names(const fake_program *p, int n, const dev_port *ports, const char *end)
{
    id list = fake_array_new((size_t)n);
    for (int i = 0; i < n; i++) {
        str s = {0};
        str_addf(&s, "%s%s", ports[backwards(p) ? n - 1 - i : i].name, end);
        ((fake_array *)list)->v[i] = fake_string(str_text(&s));
        str_free(&s);
    }
    return list;
}

static id numbers(int n)
{
    id list = fake_array_new((size_t)n);
    for (int i = 0; i < n; i++) ((fake_array *)list)->v[i] = fake_number_new(i);
    return list;
}

/* What the engine reads and writes: rows of the innermost dimension, which it
 * keeps at multiples of 64 bytes (ANEForge and the ane-guide), one after the
 * other within a channel's plane. */
static id live(int n, const dev_port *ports, const char *end)
{
    id list = fake_array_new((size_t)n);
    for (int i = 0; i < n; i++) {
        const mil_type *t = &ports[i].type;
        int64_t d[4] = {1, 1, 1, 1};
        for (int k = 0; k < t->rank && k < 4; k++) d[4 - t->rank + k] = t->d[k];
        int64_t row = d[3] * (int64_t)mil_dtype_bytes(t->dtype);
        if (d[2] > 1) row = (row + 63) / 64 * 64;
        id o = fake_dictionary_new();
        str s = {0};
        str_addf(&s, "%s%s", ports[i].name, end);
        fake_put(o, "Name", fake_string(str_text(&s)));
        fake_put(o, "Batches", fake_number_new(d[0]));
        fake_put(o, "Channels", fake_number_new(d[1]));
        fake_put(o, "Height", fake_number_new(d[2]));
        fake_put(o, "Width", fake_number_new(d[3]));
        fake_put(o, "RowStride", fake_number_new(row));
        fake_put(o, "PlaneStride", fake_number_new(row * d[2]));
        ((fake_array *)list)->v[i] = o;
        str_free(&s);
    }
    return list;
}

id engine_attributes(const fake_program *p)
{
    if (p->symbols >= 2) return NULL;
    const dev_ports *q = &p->ports;
    id all = fake_dictionary_new(), about = fake_dictionary_new();
    id one = fake_dictionary_new(), list = fake_array_new(1), ids = fake_dictionary_new();
    fake_put(one, "ANEFModelProcedureID", fake_number_new(0));
    fake_put(one, "ANEFModelInputSymbolIndexArray", numbers(q->n_in));
    fake_put(one, "ANEFModelOutputSymbolIndexArray", numbers(q->n_out));
    ((fake_array *)list)->v[0] = one;
    fake_put(ids, "main", fake_number_new(0));
    fake_put(about, "ANEFModelProcedures", list);
    fake_put(about, "kANEFModelProcedureNameToIDMapKey", ids);
    fake_put(about, "kANEFModelInputSymbolsArrayKey", names(p, q->n_in, q->in, ""));
    fake_put(about, "kANEFModelOutputSymbolsArrayKey",
             names(p, q->n_out, q->out, "@output"));
    id network = fake_dictionary_new(), status = fake_array_new(1);
    fake_put(network, "LiveInputList", live(q->n_in, q->in, ""));
    fake_put(network, "LiveOutputList", live(q->n_out, q->out, "@output"));
    ((fake_array *)status)->v[0] = network;
    fake_put(all, "ANEFModelDescription", about);
    fake_put(all, "NetworkStatusList", status);
    return all;
}

/* ---- running ---- */
enum { SLOTS = 128, SIDE = 255 }; /* surfaces per run: slavko; of a side: validate */

static size_t port_bytes(const dev_port *p)
{
    return (size_t)mil_count(&p->type) * mil_dtype_bytes(p->type.dtype);
}

/* The caller's surface for each port: a surface goes to the port its index
 * names, and all of one side must be of one size. */
static fake_refusal bind(id list, id index, bool backwards, int n, const dev_port *ports,
                         fake_surface **out)
{
    const fake_array *a = (const fake_array *)list, *k = (const fake_array *)index;
    if (!a->n || a->n > SIDE || a->n != k->n) return REFUSE_not_valid;
    for (size_t i = 0; i < k->n; i++)
        if (fake_whole(k->v[i]) < 0 || fake_whole(k->v[i]) >= SIDE)
            return REFUSE_not_valid;
    if (a->n != (size_t)n || k->n != (size_t)n || n > SLOTS) return REFUSE_sizes;
    memset(out, 0, (size_t)n * sizeof *out);
    for (int i = 0; i < n; i++) {
        int64_t at = fake_whole(k->v[i]);
        if (backwards) at = n - 1 - at;
        if (at < 0 || at >= n || out[at]) return REFUSE_wrong_index;
        out[at] = (fake_surface *)((fake_wrapper *)a->v[i])->surface;
    }
    for (int i = 0; i < n; i++) {
        if (atomic_load(&out[i]->writing) || atomic_load(&out[i]->reading))
            return REFUSE_locked;
        if (out[i]->alloc != out[0]->alloc || out[i]->alloc < port_bytes(&ports[i]))
            return REFUSE_sizes;
    }
    return REFUSALS;
}

static rc copy(dev_surface *s, void *host_memory, size_t n, bool in)
{
    void *p;
    TRY(dev_map(s, &p));
    if (in) memcpy(p, host_memory, n);
    else memcpy(host_memory, p, n);
    return dev_unmap(s);
}

static rc run(fake_program *p, fake_surface *const *in, fake_surface *const *out)
{
    uint64_t ticket;
    const dev_ports *q = &p->ports;
    for (int i = 0; i < q->n_in; i++)
        TRY(copy(p->in[i], in[i]->base, port_bytes(&q->in[i]), true));
    TRY(dev_run(p->program, p->in, q->n_in, p->out, q->n_out, &ticket));
    TRY(dev_wait(engine, ticket, NULL));
    for (int i = 0; i < q->n_out; i++)
        TRY(copy(p->out[i], out[i]->base, port_bytes(&q->out[i]), false));
    for (int i = 0; i < q->n_out && fake_told_wrong(); i++)
        memset(out[i]->base, 0, port_bytes(&q->out[i]));
    return OK;
}

fake_refusal engine_run(fake_program *p, const fake_request *r)
{
    fake_surface *in[SLOTS], *out[SLOTS];
    const dev_ports *q = &p->ports;
    if (q->n_in + q->n_out > SLOTS) return REFUSE_sizes;
    fake_refusal why = bind(r->in, r->in_index, backwards(p), q->n_in, q->in, in);
    if (why == REFUSALS)
        why = bind(r->out, r->out_index, backwards(p), q->n_out, q->out, out);
    if (why != REFUSALS) return why;
    pthread_mutex_lock(&p->busy);
    for (int i = 0; i < q->n_in; i++) atomic_fetch_add(&in[i]->running, 1);
    for (int i = 0; i < q->n_out; i++) atomic_fetch_add(&out[i]->running, 1);
    rc done = run(p, in, out);
    for (int i = 0; i < q->n_in; i++) atomic_fetch_sub(&in[i]->running, 1);
    for (int i = 0; i < q->n_out; i++) atomic_fetch_sub(&out[i]->running, 1);
    pthread_mutex_unlock(&p->busy);
    err_clear();
    return done == OK ? REFUSALS : REFUSE_run_failed;
}
