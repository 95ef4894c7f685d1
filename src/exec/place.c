/* place.c - surfaces that a caller puts in the place of the plan's own. */
#include <string.h>
#include "exec/internal.h"

int exec_place(const exec *x, const char *name)
{
    const plan *p = x->p;
    for (int i = 0; i < p->n_buffers; i++) {
        const plan_buffer *q = &p->buffers[i];
        bool kept = q->home == PLAN_WEIGHT || q->home == PLAN_SURFACE;
        if (kept && q->slot < 0 && q->name && strcmp(q->name, name) == 0) return i;
    }
    return -1;
}

const dev_shape *exec_place_shape(const exec *x, int place)
{
    return &x->p->buffers[place].shape;
}

dev_surface *exec_place_get(const exec *x, int place)
{
    return x->surfaces[place];
}

void exec_place_put(exec *x, int place, dev_surface *s)
{
    if (!x->lent[place] && x->surfaces[place]) dev_drop(x->surfaces[place]);
    x->surfaces[place] = s;
    x->lent[place] = true;
}

rc exec_place_read(exec *x, int place, float *out)
{
    return exec_read(x, place, out);
}

rc exec_place_write(exec *x, int place, const float *in)
{
    return exec_write(x, place, in);
}
