/* model.h - a program on the engine, whichever way it got there.
 *
 * Two routes lead to the engine without an entitlement:
 *   memory  _ANEInMemoryModelDescriptor -> _ANEInMemoryModel: compile, load,
 *           evaluate, unload on the model. Best proved; each model leaks, and
 *           a process can make about 119 (maderix/ANE 1.7, issue 54).
 *   client  _ANEModel at a folder, and _ANEClient that compiles, loads,
 *           evaluates and unloads it. What the other route does inside;
 *           reported not to leak.
 * Both stage the same files and take the same requests; a route is a table of
 * five functions. Equal programs that are alive at the same time are one
 * program on the engine, counted by its references. */
#ifndef DEV_ANE_MODEL_H
#define DEV_ANE_MODEL_H

#include <pthread.h>
#include "dev/ane/cache.h"
#include "dev/ane/cf.h"
#include "dev/ane/stage.h"
#include "dev/soft.h"

enum {
    ANE_QOS = 21
}; /* QOS_CLASS_DEFAULT; 0 to 63 make no difference (maderix/ANE 1.5) */

typedef struct ane_engine ane_engine;
typedef struct ane_model ane_model;
typedef struct ane_binding ane_binding;

/* How weight files are given to an in-memory model: weights.c. */
typedef enum { ANE_WEIGHTS_BY_TRIAL, ANE_WEIGHTS_PAIRS, ANE_WEIGHTS_FILES } ane_weights;

typedef struct {
    const char *name; /* the word in a URI */
    ane_need need;
    /* Make m->object and m->dir. */
    rc (*make)(ane_engine *e, const dev_source *src, ane_model *m);
    bool (*compile)(ane_engine *e, ane_model *m, ane_id *error);
    bool (*load)(ane_engine *e, ane_model *m, ane_id *error);
    bool (*evaluate)(ane_engine *e, ane_model *m, ane_id request, ane_id *error);
    bool (*unload)(ane_engine *e, ane_model *m, ane_id *error);
    /* Does the system say that it has the program compiled (true where it cannot
     * be asked)? Have it forgotten. */
    bool (*exists)(ane_engine *e, ane_model *m);
    void (*purge)(ane_engine *e, ane_model *m);
    bool in_place;             /* the cache's folder is where the system looks */
    ane_sel_id has_attributes; /* is the row of the next there? */
    ane_id (*attributes)(const ane_sys *a, ane_id model);
} ane_route;
extern const ane_route ane_memory_route, ane_client_route;

/* What one opened device shares. */
struct ane_engine {
    ane_sys sys;
    const ane_route *route;
    ane_id client;          /* client route: the shared connection */
    ane_id none, zero;      /* an empty dictionary, the number 0 */
    ane_id mil_options;     /* client route: "this is MIL, in model.mil" */
    char temp[ANE_PATH];    /* the user's temporary folder */
    char staging[ANE_PATH]; /* "" or another folder to write to */
    int compiles_max, programs_max;
    /* As asked for; what is used for programs of one file [0] and of several
     * [1]; what to try once if that is refused (BY_TRIAL = nothing more). */
    ane_weights weights, form[2], other[2];
    /* The first program is only a trial: if what it says of its ports makes no
     * sense, programs are not asked for it (silent) and the alphabet holds,
     * which the trial's numbers then prove or refute. */
    bool trial, silent;
    int told;    /* sides of which the trial's program said where they go: 0 to 2 */
    bool opened; /* the locks are made */
    pthread_mutex_t lock;    /* models, their references and bindings */
    pthread_mutex_t loading; /* one compile at a time; the cache, the forms */
    ane_cache cache;
    ane_model *models;
};

/* A request for one choice of surfaces. Changing a surface under a request is
 * not seen by the engine (imperatormk), so each choice has its own. */
struct ane_binding {
    ane_binding *next;
    ane_id request;
    int n;
    const void *surface[]; /* inputs, then outputs */
};

struct ane_model {
    ane_model *next;
    uint64_t key[2]; /* XXH3-128 of the text and the weight files */
    int refs;
    ane_id object;
    char dir[ANE_PATH];   /* of its files */
    char fixed[ANE_PATH]; /* memory route: where the system looks by itself */
    ane_weights form;
    char kept[ANE_CACHE_NAME]; /* its name in the cache, "" = not to be kept */
    int busy;                  /* a run is on the engine; guarded by the queue's lock */
    bool loaded;
    /* Where port i of the alphabet is bound. */
    int n_in, n_out;
    int *in_at, *out_at;
    ane_binding *bindings;
    int n_bindings;
};

/* Fill in a zeroed engine after its sys is open and its route chosen; close
 * takes back what was made, however far opening came. */
rc ane_engine_open(ane_engine *e);
void ane_engine_close(ane_engine *e);
rc ane_engine_use(ane_engine *e, const ane_route *route);

/* The program on the engine for this text and these weights: one that is there
 * already, or compiled and loaded now. E_BUDGET when the process has compiled
 * or holds as many as it may. `ports` are in binding order. */
rc ane_model_get(ane_engine *e, const dev_source *src, const dev_ports *ports,
                 ane_model **out);
void ane_model_put(ane_engine *e, ane_model *m);

/* Run it once and wait. `objects` are _ANEIOSurfaceObjects in port order,
 * `keys` what identifies them. */
rc ane_model_run(ane_engine *e, ane_model *m, const ane_id *objects,
                 const void *const *keys, int n);
/* The request for these surfaces; the caller owns it. */
rc ane_make_request(ane_engine *e, ane_model *m, const ane_id *objects, ane_id *out);
/* A surface goes: forget the requests that hold it. */
void ane_forget_surface(ane_engine *e, const void *key);

/* ---- bring.c ---- */
/* Make, compile and load a zeroed m with a slot; whatever came of it, taking it
 * down is the caller's. */
rc ane_bring_up(ane_engine *e, const dev_source *src, const dev_ports *ports,
                ane_model *m);

/* ---- weights.c ---- */
/* Settle e->form and e->other; E_DEVICE if the form asked for cannot be. */
rc ane_weights_open(ane_engine *e);
/* { "@model_path/weights/x.bin": entry, ... } */
rc ane_weight_dict(ane_engine *e, const dev_source *src, ane_weights form, ane_id *out);

/* ---- ports.c ---- */
/* What the loaded program says of its ports: fill in_at and out_at. Without a
 * description they are bound by the alphabet. E_RULE if it reads rows at a
 * stride that is not that of packed rows; E_DEVICE if it has other ports. */
rc ane_describe(ane_engine *e, ane_model *m, const dev_ports *ports);
/* The same from attributes at hand; what they do not say stays as it is, and *told
 * is how many sides (0 to 2) they place. */
rc ane_read_ports(const ane_sys *a, ane_ref attributes, const dev_ports *ports,
                  int *in_at, int *out_at, int *told);

/* ---- budget.c: what this process has used up, whatever opened it ---- */
/* Take a compile, just before it is asked for: it is used whatever comes of it.
 * Take a program slot. A max of 0 is none. */
rc ane_budget_compile(int max);
rc ane_budget_slot(int max);
void ane_budget_free_slot(void);
void ane_budget_now(int *compiles, int *programs);

#endif
