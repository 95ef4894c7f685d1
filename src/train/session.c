/* session.c - from a model to something that can be stepped: graph -> plan ->
 * programs on the device, weights and gradients bound to their buffers. */
#include <string.h>
#include "train/internal.h"

static rc bind_all(model *mo, float *grads, exec *x)
{
    for (int i = 0; i < mo->n_params; i++) {
        const model_param *p = &mo->params[i];
        float *g = grads ? grads + p->offset : NULL;
        TRY(exec_bind(x, p->name, mo->weights + p->offset, g));
    }
    return exec_stage(x);
}

rc session_layout(const model_config *c, model_form form, int batch, int seq,
                  const plan_options *o, device *d, session *out)
{
    ir_graph *graph = NULL;
    dev_caps caps;
    *out = (session){.batch = batch, .seq = seq};
    TRY(dev_caps_of(d, &caps));
    if (!caps.computes) {
        err_fail(E_DEVICE, "%s runs no programs, so it has no numbers to give", caps.uri);
        return err_hint(E_DEVICE, "-d emu:m4 computes; `anneal device ls` lists others");
    }
    TRY(model_graph(c, form, batch, seq, &graph));
    rc r = plan_build(graph, &caps, o, &out->plan);
    ir_free(graph);
    return r;
}

rc session_load(session *s, model *mo, device *d, kern *k, float *grads)
{
    TRY(exec_open(s->plan, d, k, &s->exec));
    return bind_all(mo, grads, s->exec);
}

rc session_open(model *mo, model_form form, int batch, int seq, const plan_options *o,
                device *d, kern *k, float *grads, session *out)
{
    rc r = session_layout(&mo->config, form, batch, seq, o, d, out);
    if (r == OK) r = session_load(out, mo, d, k, grads);
    if (r != OK) session_close(out);
    return r;
}

void session_unload(session *s)
{
    if (s->exec) exec_close(s->exec);
    s->exec = NULL;
}

void session_close(session *s)
{
    session_unload(s);
    if (s->plan) plan_free(s->plan);
    *s = (session){0};
}

rc session_step(session *s, const int32_t *ids, const int32_t *targets, double scale,
                double *loss, exec_stats *stats)
{
    size_t n = (size_t)s->batch * (size_t)s->seq;
    float scale32 = (float)scale, loss32 = 0;
    exec_stats unwanted;
    TRY(exec_input(s->exec, "ids", ids, n * sizeof *ids));
    TRY(exec_input(s->exec, "targets", targets, n * sizeof *targets));
    if (scale != 0) TRY(exec_input(s->exec, "loss_scale", &scale32, sizeof scale32));
    TRY(exec_step(s->exec, stats ? stats : &unwanted));
    TRY(exec_output(s->exec, "loss", &loss32, 1));
    *loss = (double)loss32;
    return OK;
}
