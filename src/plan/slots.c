/* slots.c - memory reused by lifetime, and who must wait for whom.
 *
 * Two values that are never needed at the same time may lie in the same slot,
 * if their surfaces have the same size (surfaces of one size keep the order of
 * sizes that some engines want). Reuse makes new waits: a step that overwrites
 * a slot waits for those that read what was there before. A value that a
 * background step reads is kept for a few programs more, or the engine would
 * wait for the host where it should run ahead. */
#include "plan/passes.h"

#include <string.h>

/* Programs that may be started before memory read by a background step is
 * used again. */
enum { AHEAD = 3 };

typedef struct {
    int first, last;
} life;

/* From the step that writes a buffer to the last that reads it, or, if that is
 * a background step, AHEAD programs more. Outputs live to the end. */
static rc find_lives(planner *b, life *lives)
{
    plan *p = b->p;
    int *ahead = arena_array(b->mem, (size_t)p->n_steps + 1, sizeof *ahead);
    if (!ahead) return E_MEMORY;
    for (int i = 0; i < p->n_steps; i++) { /* the step AHEAD programs later */
        int at = i;
        for (int left = AHEAD; at + 1 < p->n_steps && left > 0; at++)
            left -= p->steps[at + 1].engine;
        ahead[i] = at;
    }
    for (int i = 0; i < p->n_buffers; i++) lives[i] = (life){-1, -1};
    for (int i = 0; i < p->n_steps; i++) {
        const plan_step *s = &p->steps[i];
        int until = s->background ? ahead[i] : i;
        for (int j = 0; j < s->n_in; j++)
            if (lives[s->in[j]].last < until) lives[s->in[j]].last = until;
        for (int j = 0; j < s->n_out; j++) {
            life *l = &lives[s->out[j]];
            if (l->first < 0) l->first = i;
            if (l->last < until) l->last = until;
        }
    }
    for (int i = 0; i < p->n_outputs; i++)
        for (int j = 0; j < p->outputs[i].n_parts; j++)
            lives[p->outputs[i].part[j]].last = p->n_steps;
    return OK;
}

/* The gradient of the logits may be written over the logits: the kernel reads
 * each column before it writes it. */
static int over_logits(const plan *p, const life *lives, int step, int out)
{
    const plan_step *s = &p->steps[step];
    int parts = s->n_out - s->n_loss;
    if (s->engine || s->host != PLAN_HOST_LOSS || s->node->op != IR_cross_entropy_dx ||
        parts != s->n_parts || out >= parts)
        return -1;
    const plan_buffer *x = &p->buffers[s->in[out]], *y = &p->buffers[s->out[out]];
    bool same = x->bytes == y->bytes && x->row == y->row &&
                x->row_stride == y->row_stride && lives[s->in[out]].last == step;
    return same ? x->slot : -1;
}

/* In order of steps, each new value takes any slot of its size that is free by
 * then. All sizes of one layer recur in the next, so sizes need not mix. */
rc plan_slots(planner *b)
{
    plan *p = b->p;
    size_t n = (size_t)p->n_buffers + 1;
    life *lives = arena_array(b->mem, n, sizeof *lives);
    int *until = arena_array(b->mem, n, sizeof *until); /* by slot: last step */
    p->slot_bytes = arena_array(b->mem, n, sizeof *p->slot_bytes);
    if (!lives || !until || !p->slot_bytes) return E_MEMORY;
    TRY(find_lives(b, lives));
    for (int i = 0; i < p->n_steps; i++)
        for (int j = 0; j < p->steps[i].n_out; j++) {
            plan_buffer *q = &p->buffers[p->steps[i].out[j]];
            const life *l = &lives[p->steps[i].out[j]];
            if (q->home != PLAN_SURFACE || q->input || l->first != i ||
                l->last >= p->n_steps || q->slot >= 0)
                continue;
            int slot = over_logits(p, lives, i, j);
            for (int k = 0; slot < 0 && k < p->n_slots; k++)
                if (until[k] < i && p->slot_bytes[k] == q->bytes) slot = k;
            if (slot < 0) p->slot_bytes[slot = p->n_slots++] = q->bytes;
            q->slot = slot;
            until[slot] = l->last;
        }
    return OK;
}

/* ---- waits ---- */
typedef struct {
    int writer, n_readers, cap;
    int *readers;
} place;

/* Once each, and never for itself. */
static rc wait_for(planner *b, plan_step *s, int *cap, int step)
{
    if (step < 0 || step == (int)(s - b->p->steps)) return OK;
    for (int i = 0; i < s->n_wait; i++)
        if (s->wait[i] == step) return OK;
    TRY(plan_grow(b->mem, (void **)&s->wait, s->n_wait, cap, sizeof *s->wait));
    s->wait[s->n_wait++] = step;
    return OK;
}

static place *place_of(const plan *p, place *places, int buffer)
{
    int slot = p->buffers[buffer].slot;
    return &places[slot >= 0 ? p->n_buffers + slot : buffer];
}

/* Leave out what another wait implies. `seen` holds, for each step, a row of
 * bits: all steps it comes after. */
static rc thin_waits(planner *b)
{
    plan *p = b->p;
    size_t words = ((size_t)p->n_steps + 63) / 64;
    uint64_t *seen = arena_array(b->mem, mem_mul(words, (size_t)p->n_steps) + 1,
                                 sizeof *seen);
    if (!seen) return E_MEMORY;
    for (int i = 0; i < p->n_steps; i++) {
        plan_step *s = &p->steps[i];
        uint64_t *mine = seen + words * (size_t)i;
        for (int j = 0; j < s->n_wait; j++)
            for (size_t k = 0; k < words; k++)
                mine[k] |= seen[words * (size_t)s->wait[j] + k];
        int kept = 0;
        for (int j = 0; j < s->n_wait; j++)
            if (!(mine[s->wait[j] / 64] >> (s->wait[j] % 64) & 1))
                s->wait[kept++] = s->wait[j];
        s->n_wait = kept;
        for (int j = 0; j < kept; j++)
            mine[s->wait[j] / 64] |= (uint64_t)1 << (s->wait[j] % 64);
    }
    return OK;
}

/* Three reasons to wait: to read what was written, to overwrite what was
 * written, to overwrite what was read. Memory is a slot or a buffer of its own;
 * a gradient is read and written by each step that sums into it. */
rc plan_waits(planner *b)
{
    plan *p = b->p;
    place *places = arena_array(b->mem, (size_t)(p->n_buffers + p->n_slots) + 1,
                                sizeof *places);
    if (!places) return E_MEMORY;
    for (int i = 0; i < p->n_buffers + p->n_slots; i++) places[i].writer = -1;
    for (int i = 0; i < p->n_steps; i++) {
        plan_step *s = &p->steps[i];
        int cap = 0;
        for (int j = 0; j < s->n_in; j++) {
            place *at = place_of(p, places, s->in[j]);
            TRY(wait_for(b, s, &cap, at->writer));
            TRY(plan_grow(b->mem, (void **)&at->readers, at->n_readers, &at->cap,
                          sizeof *at->readers));
            at->readers[at->n_readers++] = i;
        }
        for (int j = 0; j < s->n_out; j++) {
            place *at = place_of(p, places, s->out[j]);
            TRY(wait_for(b, s, &cap, at->writer));
            for (int k = 0; k < at->n_readers; k++)
                TRY(wait_for(b, s, &cap, at->readers[k]));
            at->writer = i;
            at->n_readers = 0;
        }
    }
    return thin_waits(b);
}
