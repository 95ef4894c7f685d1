/* schedule.c - the learning rate as a function of the step, and the scale of
 * the loss as a function of what happened.
 *
 * lr: a straight line from 0 to lr over `warmup` steps, then down to min_lr
 * over the rest (cosine or line), or constant. Source of the cosine:
 * Loshchilov & Hutter, "SGDR", 2017. */
#include <math.h>
#include "train/internal.h"

double train_lr(const train_options *o, int64_t step)
{
    if (step < o->warmup) return o->lr * (double)(step + 1) / (double)o->warmup;
    int64_t span = o->steps - o->warmup;
    double done = span > 0 ? (double)(step - o->warmup) / (double)span : 1;
    if (done > 1) done = 1;
    switch (o->schedule) {
    case TRAIN_COSINE:
        return o->min_lr +
               (o->lr - o->min_lr) * 0.5 * (1 + cos(3.141592653589793 * done));
    case TRAIN_LINEAR:
        return o->lr + (o->min_lr - o->lr) * done;
    case TRAIN_CONSTANT:
        break;
    }
    return o->lr;
}

/* Gradients travel through fp16, whose smallest step is 6e-8: scaled up they
 * keep their bits; scaled too far they overflow. So the scale is halved by
 * each overflow and doubled after 200 steps without one, between 1 and 65536.
 * Source: Micikevicius et al., "Mixed precision training", 2018. It starts at
 * 1024, below their 65536, because an engine with a limit of 32768 on
 * products would otherwise spend the first steps falling. */
void scale_after(const train_options *o, bool overflow, train_state *s)
{
    s->good_steps = overflow ? 0 : s->good_steps + 1;
    if (!o->scale_dynamic) return;
    if (overflow && s->loss_scale > SCALE_MIN) s->loss_scale /= 2;
    if (s->good_steps < SCALE_PATIENCE || s->loss_scale >= SCALE_MAX) return;
    s->loss_scale *= 2;
    s->good_steps = 0;
}

bool scale_at_floor(const train_options *o, const train_state *s)
{
    return !o->scale_dynamic || s->loss_scale <= SCALE_MIN;
}
