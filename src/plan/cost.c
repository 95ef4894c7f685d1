/* cost.c - predicted times, from the chip's profile.
 *
 * A program costs one launch, and then whichever is longer: its products at
 * the best measured matmul rate, or its memory traffic. What the profile does
 * not know is left out, so a prediction is a lower bound. */
#include "plan/passes.h"

#include <math.h>

/* The host beside an engine: single-precision products through Apple's BLAS,
 * whose matrix unit gives 1.4 TFLOP/s on an M1 and more since, and memory that
 * the engine reads at the same time (68 GB/s on an M1). */
static const double host_gflops = 1400, host_gbs = 50;

static double known(double v)
{
    return dev_known(v) && v > 0 ? v : INFINITY;
}

double plan_cost_program(const planner *b, double flops, double bytes_moved,
                         double weight_bytes)
{
    const dev_profile *c = b->chip;
    if (!c) return 0;
    double rate = dev_known(c->gemm_tflops) ? c->gemm_tflops : c->peak_tflops;
    double maths = flops / known(rate) * 1e-9;
    double moved = bytes_moved / known(c->activation_gbs) * 1e-6 +
                   weight_bytes / known(c->weight_gbs) * 1e-6;
    double launch = dev_known(c->dispatch_us) ? c->dispatch_us * 1e-3 : 0;
    return launch + fmax(maths, moved);
}

/* 60 programs of a trained model's size in 3.3 to 3.7 s on an M4 (maderix/ANE
 * 1.7); 30 to 80 ms and a load of 30 each (Orion). */
double plan_cost_compile(int programs)
{
    return 58.0 * programs;
}

double plan_cost_host(double flops, double bytes)
{
    return fmax(flops / host_gflops, bytes / host_gbs) * 1e-6;
}
