/* resident.c - weights and moments that stay on the engine (plan/resident.c).
 *
 * For each param there are two sets of surfaces: programs read the one, an
 * update writes the other, and when all of it has ended well they change places.
 * So an update that fails on the way has changed nothing. The host reads the
 * gradients, for their norm and whether they are finite, and gives back nine
 * numbers; it reads weights and moments only to save or evaluate.
 *
 * A checkpoint has them as fp32, as any other: w = hi + lo 2^-10 rounded, the
 * moments exactly (m 2^-10 and the square of r 2^-10 have few enough bits). What
 * rounding w has lost is saved beside it, so that going on is exact. */
#include <math.h>
#include <stdio.h>
#include "train/internal.h"

enum { HI, LO, M, R, STATES };
static const char *const names[STATES] = {"hi", "lo", "m", "r"};

typedef struct {
    const model_param *param;
    int weight, dw;                 /* places in the exec that makes gradients */
    int g, in[STATES], out[STATES]; /* in the update's */
    dev_surface *s[2][STATES];
} stay;

struct resident {
    run *r;
    exec *update;
    int n, front; /* the set that programs read */
    stay *stays;
    float *row; /* as long as the longest param */
    float numbers[PLAN_NUMBERS * 32];
};

/* ---- open ---- */
static void place_all(resident *t)
{
    for (int i = 0; i < t->n; i++) {
        stay *y = &t->stays[i];
        exec_place_put(t->r->step.exec, y->weight, y->s[t->front][HI]);
        for (int k = 0; k < STATES; k++) {
            exec_place_put(t->update, y->in[k], y->s[t->front][k]);
            exec_place_put(t->update, y->out[k], y->s[!t->front][k]);
        }
    }
}

static int place_of(const exec *x, const char *what, const char *param)
{
    char name[256];
    snprintf(name, sizeof name, "%s%s", what, param);
    return exec_place(x, name);
}

static rc find_places(resident *t, stay *y)
{
    char what[16];
    const char *name = y->param->name;
    bool all = (y->weight = place_of(t->r->step.exec, "", name)) >= 0 &&
               (y->dw = place_of(t->r->step.exec, "dw:", name)) >= 0 &&
               (y->g = place_of(t->update, "g:", name)) >= 0;
    for (int k = 0; k < STATES && all; k++) {
        snprintf(what, sizeof what, "%s:", names[k]);
        all &= (y->in[k] = place_of(t->update, what, name)) >= 0;
        snprintf(what, sizeof what, "new_%s:", names[k]);
        all &= (y->out[k] = place_of(t->update, what, name)) >= 0;
    }
    if (!all)
        return err_fail(E_FAILED, "the plan of the update has no place for %s", name);
    const dev_shape *shape = exec_place_shape(t->r->step.exec, y->weight);
    for (int k = 0; k < 2 * STATES; k++)
        TRY(dev_surface_new(t->r->job->dev, shape, &y->s[k / STATES][k % STATES]));
    return OK;
}

/* The state as the host has it, in the numbers the engine keeps. */
static rc push(resident *t, const stay *y)
{
    const run *r = t->r;
    size_t at = y->param->offset, n = y->param->count;
    const float low = (float)ldexp(1, PLAN_LOW_PLACES);
    const float unit = (float)ldexp(1, PLAN_MOMENT_PLACES);
    const float *w = r->mo->weights + at;
    for (int k = 0; k < STATES; k++) {
        for (size_t i = 0; i < n; i++) {
            /* what w lost when it was saved is at most half its last bit, and so
             * does not change which half is nearest but at a tie */
            float rest = r->rest[at + i];
            float hi = half_to_float(half_from_float(rest != 0 ? w[i] - rest : w[i]));
            t->row[i] = k == HI   ? hi
                        : k == LO ? (rest != 0 ? rest : w[i] - hi) * low
                        : k == M  ? r->m[at + i] * unit
                                  : sqrtf(r->v[at + i]) * unit;
        }
        TRY(exec_place_write(t->update, y->in[k], t->row));
    }
    return OK;
}

static rc open_all(resident *t)
{
    run *r = t->r;
    const plan *p = r->step.plan;
    size_t longest = 1;
    TRY(exec_open(p->update, r->job->dev, r->job->k, &t->update));
    t->stays = mem_take(mem_mul((size_t)r->mo->n_params, sizeof *t->stays));
    if (!t->stays) return E_MEMORY;
    for (int i = 0; i < r->mo->n_params; i++) {
        const model_param *q = &r->mo->params[i];
        if (!plan_stays(p, q->name)) continue;
        if (q->count > longest) longest = q->count;
        t->stays[t->n].param = q;
        TRY(find_places(t, &t->stays[t->n++]));
    }
    t->row = mem_take(mem_mul(longest, sizeof *t->row));
    if (!t->row) return E_MEMORY;
    place_all(t);
    for (int i = 0; i < t->n; i++) TRY(push(t, &t->stays[i]));
    return OK;
}

rc resident_open(run *r)
{
    resident *t = mem_take(sizeof *t);
    if (!t) return E_MEMORY;
    *t = (resident){.r = r};
    r->resident = t;
    return open_all(t);
}

/* After the exec that it has put its surfaces into, before that one's plan. */
void resident_close(resident *t)
{
    if (!t) return;
    exec_close(t->update);
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < 2 * STATES; k++)
            if (t->stays[i].s[k / STATES][k % STATES])
                dev_drop(t->stays[i].s[k / STATES][k % STATES]);
    mem_drop(t->stays);
    mem_drop(t->row);
    mem_drop(t);
}

/* ---- a step ---- */
rc resident_gradients(resident *t)
{
    for (int i = 0; i < t->n; i++)
        TRY(exec_place_read(t->r->step.exec, t->stays[i].dw,
                            t->r->grads + t->stays[i].param->offset));
    return OK;
}

static rc give_numbers(resident *t)
{
    const plan *p = t->r->step.plan->update;
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].input && str_starts(p->buffers[i].name, PLAN_NUMBERS_NAME))
            TRY(exec_input(t->update, p->buffers[i].name, t->numbers, sizeof t->numbers));
    return OK;
}

rc resident_update(resident *t, const kern_adamw_args *a)
{
    exec *from = t->r->step.exec;
    plan_update_numbers(a, t->numbers);
    TRY(give_numbers(t));
    for (int i = 0; i < t->n; i++) /* a step that failed has made new ones */
        exec_place_put(t->update, t->stays[i].g, exec_place_get(from, t->stays[i].dw));
    TRY_WHILE(exec_step(t->update, NULL), "updating weights on the engine");
    t->front = !t->front;
    place_all(t);
    return OK;
}

/* ---- back to the host ---- */
static rc pull(resident *t, const stay *y)
{
    run *r = t->r;
    size_t at = y->param->offset, n = y->param->count;
    float *w = r->mo->weights + at, *rest = r->rest + at;
    float *m = r->m + at, *v = r->v + at;
    const float low = (float)ldexp(1, -PLAN_LOW_PLACES);
    const float unit = (float)ldexp(1, -PLAN_MOMENT_PLACES);
    TRY(exec_place_read(t->update, y->in[HI], w));
    TRY(exec_place_read(t->update, y->in[LO], rest));
    TRY(exec_place_read(t->update, y->in[M], m));
    TRY(exec_place_read(t->update, y->in[R], v));
    for (size_t i = 0; i < n; i++) {
        rest[i] *= low;
        w[i] += rest[i];
        m[i] *= unit;
        v[i] = v[i] * unit * (v[i] * unit);
    }
    return OK;
}

rc resident_pull(resident *t)
{
    for (int i = 0; i < t->n; i++)
        TRY_WHILE(pull(t, &t->stays[i]), "reading %s from the engine",
                  t->stays[i].param->name);
    return OK;
}
