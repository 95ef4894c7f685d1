/* trial.c - one training step of a plan, on the weights a recipe begins with and
 * on random tokens: for what only a run can tell of a plan. */
#include "base/rng.h"
#include "cli/verbs.h"

enum { SCALE = 1024 }; /* where a dynamic loss scale begins */

typedef struct {
    const cli_trial *t;
    arena *mem;
    model *mo;
    float *grads;
    exec *x;
} tried;

static rc random_tokens(const tried *r, const char *name)
{
    size_t n = (size_t)r->t->batch * (size_t)r->t->model->seq;
    int32_t *id = arena_array(r->mem, n, sizeof *id);
    if (!id) return E_MEMORY;
    for (size_t i = 0; i < n; i++)
        id[i] = (int32_t)(rng_unit(r->t->seed, rng_stream(name), i) *
                          r->mo->config.vocab);
    return exec_input(r->x, name, id, n * sizeof *id);
}

static rc make_model(tried *r)
{
    TRY(model_new(r->t->model, &r->mo));
    r->grads = mem_take(mem_mul(r->mo->n_floats, sizeof *r->grads));
    if (!r->grads) return E_MEMORY;
    if (r->t->init) return model_load_weights(r->mo, r->t->init);
    model_init(r->mo, r->t->seed);
    return OK;
}

static rc bind(const tried *r)
{
    for (int i = 0; i < r->mo->n_params; i++) {
        const model_param *p = &r->mo->params[i];
        TRY(exec_bind(r->x, p->name, r->mo->weights + p->offset, r->grads + p->offset));
    }
    return exec_stage(r->x);
}

static rc step(const tried *r, exec_tap tap, void *ctx)
{
    float scale = r->t->loss_scale > 0 ? (float)r->t->loss_scale : SCALE;
    exec_stats stats;
    TRY(bind(r));
    TRY(random_tokens(r, "ids"));
    TRY(random_tokens(r, "targets"));
    TRY(exec_input(r->x, "loss_scale", &scale, sizeof scale));
    if (tap) exec_tap_next(r->x, tap, ctx);
    return exec_step(r->x, &stats);
}

rc cli_try_step(const cli_trial *t, exec_tap tap, cli_look *look, void *ctx)
{
    tried r = {.t = t, .mem = arena_new()};
    if (!r.mem) return E_MEMORY;
    rc e = make_model(&r);
    if (!e) e = exec_open(t->plan, t->m->dev, t->m->k, &r.x);
    if (!e) e = step(&r, tap, ctx);
    if (!e && look) e = look(ctx, r.x);
    if (r.x) exec_close(r.x);
    mem_drop(r.grads);
    model_free(r.mo);
    arena_free(r.mem);
    return e;
}
