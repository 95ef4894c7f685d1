/* peak.c - how fast this processor can multiply and add at all, the number
 * that the speed of a product is compared to: with the best instructions it
 * has, whichever the kernels were told to use. */
#include <stdatomic.h>
#include "base/clock.h"
#include "kern/table.h"

#define TURN_MS 2.0 /* one timing: long enough for the clock, short for the noise */

typedef struct {
    const kern_table *table;
    size_t turns;
    atomic_int here; /* threads that have come: all burn at the same time */
    int n_threads;
    double flops[1024];
} burner;

static void burn(void *ctx, size_t i, int who)
{
    (void)who;
    burner *b = ctx;
    b->flops[i] = b->table->burn(b->turns);
}

static double rate(kern *k, burner *b)
{
    double start = clock_ms(), flops = 0;
    pool_run(k->pool, (size_t)b->n_threads, burn, b);
    double ms = clock_ms() - start;
    for (int i = 0; i < b->n_threads; i++) flops += b->flops[i];
    return ms > 0 ? flops / ms / 1e6 : 0;
}

double kern_peak_gflops(kern *k, double ms)
{
    burner b = {.table = kern_choose(NULL), .turns = 1000, .n_threads = k->n_threads};
    pool_hold(k->pool);
    double end = clock_ms() + ms, best = 0;
    double start = clock_ms();
    b.table->burn(b.turns);
    double once = clock_ms() - start;
    b.turns = once > 0 ? (size_t)(1000 * TURN_MS / once) + 1 : 100000;
    do {
        double r = rate(k, &b);
        if (r > best) best = r;
    } while (clock_ms() < end);
    pool_release(k->pool);
    return best;
}
