/* tap.c - show what goes in and comes out of each engine run. */
#include "exec/internal.h"

static rc show(exec *x, const exec_port *port, int buffer)
{
    exec_port seen = *port;
    void *p;
    TRY(exec_map(x, buffer, &p));
    seen.data = p;
    rc r = x->tap(x->tap_ctx, &seen);
    rc closed = exec_unmap(x, buffer);
    return r != OK ? r : closed;
}

rc exec_show_call(exec *x, int step, bool outputs)
{
    const plan_step *s = &x->p->steps[step];
    const plan_program *q = &x->p->programs[s->program];
    int n = outputs ? s->n_out : s->n_in;
    for (int i = 0; i < n; i++) {
        exec_port port = {.call = x->stats.launches - (outputs ? 1 : 0),
                          .program = q->name,
                          .port = outputs ? q->out_names[i] : q->in_names[i],
                          .output = outputs,
                          .shape = outputs ? &q->out_shapes[i] : &q->in_shapes[i]};
        TRY(show(x, &port, outputs ? s->out[i] : s->in[i]));
    }
    return OK;
}

void exec_tap_next(exec *x, exec_tap tap, void *ctx)
{
    x->tap = tap;
    x->tap_ctx = ctx;
}
