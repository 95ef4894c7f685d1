/* grad.c - loss and gradients of one batch, for comparison with others. */
#include <string.h>
#include "train/internal.h"

static void split_windows(int batch, int seq, const int32_t *ids, int32_t *in,
                          int32_t *targets)
{
    for (int b = 0; b < batch; b++)
        for (int s = 0; s < seq; s++) {
            size_t at = (size_t)b * (size_t)seq + (size_t)s;
            in[at] = ids[at + (size_t)b]; /* a row has seq + 1 ids */
            targets[at] = ids[at + (size_t)b + 1];
        }
}

rc train_grad(model *mo, int batch, int seq, const int32_t *ids, double loss_scale,
              device *d, kern *k, double *loss, float *grads)
{
    static const plan_options streamed;
    exec_stats stats;
    session s = {0};
    size_t columns = (size_t)batch * (size_t)seq;
    for (size_t i = 0; i < columns + (size_t)batch; i++)
        if (ids[i] < 0 || ids[i] >= mo->config.vocab)
            return err_fail(E_CONFIG, "token id %d is outside the vocabulary of %d",
                            (int)ids[i], mo->config.vocab);
    int32_t *in = mem_take(mem_mul(2 * columns, sizeof *in));
    if (!in) return E_MEMORY;
    split_windows(batch, seq, ids, in, in + columns);
    memset(grads, 0, mo->n_floats * sizeof *grads);
    rc r = session_open(mo, MODEL_GRAD, batch, seq, &streamed, d, k, grads, &s);
    if (r == OK) r = session_step(&s, in, in + columns, loss_scale, loss, &stats);
    if (r == OK && stats.infinities)
        r = err_fail(E_NUMERIC,
                     "%llu infinities, the first in %s; try a loss scale below %g",
                     (unsigned long long)stats.infinities,
                     stats.first_infinity ? stats.first_infinity : "an unnamed program",
                     loss_scale);
    session_close(&s);
    mem_drop(in);
    for (size_t i = 0; r == OK && i < mo->n_floats; i++)
        grads[i] = (float)((double)grads[i] / loss_scale);
    return r;
}
