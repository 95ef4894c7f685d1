/* hand.c - a run handed from one image of a process to the next, in memory.
 *
 * Two pieces of nameless memory (base/shared.h) survive exec:
 *
 *   arrays   weights | first moments | second moments | what fp32 lost of resident
 *            weights, if they are: floats, laid out like the model's. They stand
 *            there while the run trains, so that handing them over copies nothing
 *   parcel   a head, then parts one after another: 0 what the trainer knows, as
 *            JSON (the object of state.json, and the counters of the loop);
 *            1 events that are not in the file; then the caller's own texts
 *
 * and the descriptor of the run's lock, so that nobody gets in between. The
 * parcel is checked by its sum, and says which process it is for. Whatever is
 * not taken is gone when the process ends: a run that dies in between goes on
 * from its last checkpoint. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/clock.h"
#include "train/internal.h"
#include "train/state.h"

enum { OURS = 2, PARTS = OURS + TRAIN_PARTS, VERSION = 1 };
static const char magic[8] = "ANNEALHO";

typedef struct {
    char magic[8];
    int64_t version, pid;
    uint64_t bytes[PARTS], xxh3; /* of all that follows */
} head;

struct train_hand {
    arena *mem;
    shared parcel;
    train_part part[PARTS];
    json_t *root;
    shared arrays;
    int lock;
};

/* ---- the loop's counters, by name ---- */
typedef enum { INT64, INT, REAL, TRUTH } counter_kind;
typedef struct {
    const char *key;
    counter_kind kind;
    size_t at;
} counter;
#define COUNTER(kind, name)              \
    {                                    \
#name, kind, offsetof(run, name) \
    }
static const counter counters[] = {
    COUNTER(REAL, began_ms),    COUNTER(REAL, wall_before_s), COUNTER(INT64, began_step),
    COUNTER(INT64, saved_step), COUNTER(INT64, good_step),    COUNTER(INT64, bad_since),
    COUNTER(INT, overflows),    COUNTER(INT, hopeless),       COUNTER(REAL, tokens),
    COUNTER(REAL, step_ms),     COUNTER(TRUTH, in_round),     COUNTER(INT, restarts),
    COUNTER(INT, stuck),        COUNTER(INT64, lost_lines),   COUNTER(TRUTH, anew),
    COUNTER(INT64, found_step),
};
enum { N_COUNTERS = sizeof counters / sizeof *counters };

static json_t *counter_json(const counter *c, const run *r)
{
    const void *p = (const char *)r + c->at;
    switch (c->kind) {
    case INT64:
        return json_integer(*(const int64_t *)p);
    case INT:
        return json_integer(*(const int *)p);
    case REAL:
        return json_real(*(const double *)p);
    case TRUTH:
        return json_boolean(*(const bool *)p);
    }
    return NULL;
}

static bool counter_read(const counter *c, const json_t *j, run *r)
{
    void *p = (char *)r + c->at;
    switch (c->kind) {
    case INT64:
        return *(int64_t *)p = json_integer_value(j), json_is_integer(j);
    case INT:
        return *(int *)p = (int)json_integer_value(j), json_is_integer(j);
    case REAL:
        return *(double *)p = json_number_value(j), json_is_number(j);
    case TRUTH:
        return *(bool *)p = json_is_true(j), json_is_boolean(j);
    }
    return false;
}

/* ---- arrays ---- */

enum { ARRAYS = 4 };

static size_t array_bytes(const run *r)
{
    size_t n = mem_mul(r->mo->n_floats, sizeof(float));
    return mem_mul(policy_rest(r) ? ARRAYS : ARRAYS - 1, n);
}

static void point_into_arrays(run *r)
{
    size_t n = r->mo->n_floats;
    float *p = r->arrays.p;
    r->mo->weights = p;
    r->m = p + n;
    r->v = p + 2 * n;
    r->rest = policy_rest(r) ? p + 3 * n : NULL;
}

rc hand_arrays(run *r)
{
    TRY_WHILE(shared_new(array_bytes(r), &r->arrays),
              "making room for weights and moments that outlive a restart");
    point_into_arrays(r);
    return OK;
}

/* A run that did not expect to restart has them elsewhere. */
static rc move_arrays(run *r)
{
    size_t n = r->mo->n_floats * sizeof(float);
    float *from[ARRAYS] = {r->mo->weights, r->m, r->v, r->rest};
    if (r->arrays.fd >= 0) return OK;
    TRY(hand_arrays(r));
    float *to[ARRAYS] = {r->mo->weights, r->m, r->v, r->rest};
    for (int i = 0; i < ARRAYS; i++) {
        if (from[i]) memcpy(to[i], from[i], n);
        mem_drop(from[i]);
    }
    return OK;
}

/* ---- handing over ---- */

static char *knowledge(run *r)
{
    json_t *root = json_object(), *loop = json_object();
    json_t *state = state_json(&r->s, 0, NULL);
    bool bad = !state;
    for (int i = 0; i < N_COUNTERS; i++)
        bad |= json_object_set_new(loop, counters[i].key, counter_json(&counters[i], r));
    bad |= json_object_set_new(root, "state", state);
    bad |= json_object_set_new(root, "loop", loop);
    bad |= json_object_set_new(root, "arrays", json_integer(r->arrays.fd));
    bad |= json_object_set_new(root, "lock", json_integer(r->locked ? r->lock.fd : -1));
    char *text = bad ? NULL : json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(root);
    return text;
}

static rc pack(const train_part *part, shared *out)
{
    head h = {.version = VERSION, .pid = (int64_t)getpid()};
    size_t all = sizeof h;
    memcpy(h.magic, magic, sizeof magic);
    for (int i = 0; i < PARTS; i++) all = mem_add(all, part[i].n);
    TRY(shared_new(all, out));
    char *p = (char *)out->p + sizeof h;
    for (int i = 0; i < PARTS; i++) {
        h.bytes[i] = part[i].n;
        if (part[i].n) memcpy(p, part[i].p, part[i].n);
        p += part[i].n;
    }
    h.xxh3 = XXH3_64bits((char *)out->p + sizeof h, all - sizeof h);
    memcpy(out->p, &h, sizeof h);
    return OK;
}

/* All or nothing survives. */
static rc keep_open(run *r, int parcel)
{
    TRY(shared_keep(r->arrays.fd, true));
    TRY(shared_keep(parcel, true));
    return r->locked ? shared_keep(r->lock.fd, true) : OK;
}

rc hand_over(run *r, int *fd)
{
    shared parcel = {.fd = -1};
    train_part part[PARTS] = {{0}};
    session_unload(&r->held); /* what they compile meanwhile reads the weights */
    TRY(budget_unload_step(r));
    r->s.wall_s = run_seconds(r);
    r->s.window = NULL;
    if (r->window) TRY(window_save(r->window, &r->s.window));
    TRY(move_arrays(r));
    r->restarts++;
    char *text = knowledge(r);
    if (!text) return err_fail(E_MEMORY, "no memory to hand the run over");
    part[0] = (train_part){text, strlen(text)};
    part[1] = (train_part){str_text(&r->kept), r->kept.n};
    for (int i = 0; r->job->parts && i < TRAIN_PARTS; i++)
        part[OURS + i] = r->job->parts[i];
    rc bad = pack(part, &parcel);
    free(text);
    if (bad == OK) bad = keep_open(r, parcel.fd);
    if (bad != OK) {
        shared_close(&parcel);
        return bad;
    }
    *fd = parcel.fd;
    shared_unmap(&parcel);
    r->locked = false; /* the descriptors are the next image's */
    shared_unmap(&r->arrays);
    r->arrays = (shared){.fd = -1};
    r->mo->weights = r->m = r->v = r->rest = NULL;
    return OK;
}

/* ---- taking ---- */

static rc unpack(train_hand *h)
{
    head got;
    size_t at = sizeof got;
    if (h->parcel.n < sizeof got) return err_fail(E_FORMAT, "it is too short");
    memcpy(&got, h->parcel.p, sizeof got);
    if (memcmp(got.magic, magic, sizeof magic) || got.version != VERSION)
        return err_fail(E_FORMAT, "it is nothing that this version has handed over");
    if (got.pid != (int64_t)getpid())
        return err_fail(E_FORMAT, "it was handed over by process %lld",
                        (long long)got.pid);
    const char *p = h->parcel.p;
    for (int i = 0; i < PARTS; i++) {
        if (got.bytes[i] > h->parcel.n - at)
            return err_fail(E_FORMAT, "part %d ends behind its end", i);
        h->part[i] = (train_part){p + at, (size_t)got.bytes[i]};
        at += (size_t)got.bytes[i];
    }
    /* some systems round its size up to whole pages */
    if (XXH3_64bits(p + sizeof got, at - sizeof got) == got.xxh3) return OK;
    return err_fail(E_FORMAT, "its checksum is wrong");
}

static rc open_parts(train_hand *h)
{
    json_error_t error;
    TRY(unpack(h));
    h->root = json_loadb(h->part[0].p, h->part[0].n, 0, &error);
    const json_t *arrays = json_object_get(h->root, "arrays"),
                 *lock = json_object_get(h->root, "lock");
    if (!json_is_integer(arrays) || !json_is_integer(lock))
        return err_fail(E_FORMAT, "what it knows of the run is malformed");
    h->lock = (int)json_integer_value(lock);
    if (h->lock >= 0) TRY(shared_keep(h->lock, false));
    return shared_open((int)json_integer_value(arrays), &h->arrays);
}

rc train_hand_open(int fd, train_hand **out)
{
    arena *mem = arena_new();
    train_hand *h = mem ? arena_take(mem, sizeof *h) : NULL;
    if (!h) {
        arena_free(mem);
        return E_MEMORY;
    }
    *h = (train_hand){.mem = mem, .parcel = {.fd = -1}, .arrays = {.fd = -1}, .lock = -1};
    rc bad = shared_open(fd, &h->parcel);
    if (bad == OK) bad = open_parts(h);
    if (bad == OK) return *out = h, OK;
    err_saved why;
    err_save(bad, &why);
    train_hand_close(h);
    bad = err_restore(&why);
    return err_while(bad, "taking over the run from before the restart");
}

train_part train_hand_part(const train_hand *h, int i)
{
    return i >= 0 && i < TRAIN_PARTS ? h->part[OURS + i] : (train_part){0};
}

void train_hand_close(train_hand *h)
{
    if (!h) return;
    json_decref(h->root);
    shared_close(&h->parcel);
    shared_close(&h->arrays);
    if (h->lock >= 0) close(h->lock);
    arena_free(h->mem);
}

/* From now on they are the run's. */
static rc take_descriptors(run *r, train_hand *h)
{
    if (h->arrays.fd < 0 || h->arrays.n < array_bytes(r))
        return err_fail(E_FORMAT, "the arrays handed over are not those of this model");
    r->arrays = h->arrays;
    h->arrays = (shared){.fd = -1};
    point_into_arrays(r);
    r->lock.fd = h->lock;
    r->locked = h->lock >= 0;
    h->lock = -1;
    return OK;
}

static rc take_window(run *r, arena *mem, const json_t *state)
{
    char *text;
    TRY(state_window_of(mem, state, &text));
    return text && r->window ? window_load(r->window, text) : OK;
}

static rc take_all(run *r, train_hand *h, arena *mem)
{
    const json_t *state = json_object_get(h->root, "state"),
                 *loop = json_object_get(h->root, "loop");
    train_state had;
    state_file *files;
    int n;
    TRY(state_from(mem, state, &had, &n, &files));
    TRY(take_descriptors(r, h));
    for (int i = 0; i < N_COUNTERS; i++)
        if (!counter_read(&counters[i], json_object_get(loop, counters[i].key), r))
            return err_fail(E_FORMAT, "'%s' is missing or malformed", counters[i].key);
    str_addn(&r->kept, h->part[1].p, h->part[1].n);
    TRY(str_done(&r->kept));
    TRY(take_window(r, mem, state));
    r->taken = true;
    r->image_step = had.step;
    if (r->locked) TRY(run_folder(r));
    return run_go_on(r, &had);
}

rc hand_take(run *r)
{
    arena *mem = arena_new();
    rc bad = mem ? take_all(r, r->job->taken, mem) : E_MEMORY;
    arena_free(mem);
    return bad == OK ? OK : err_while(bad, "going on after a restart in memory");
}
