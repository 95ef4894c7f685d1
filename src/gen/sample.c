/* sample.c - which token comes next.
 *
 * Probabilities are softmax(logits / temperature), cut to the top_k likeliest,
 * then to the fewest of those that hold top_p of what is left. The random
 * number is a function of (seed, how many were drawn), so the same call gives
 * the same text. Ties go to the smaller id.
 * Source of the top-p cut: Holtzman et al., "The curious case of neural text
 * degeneration", 2020. */
#include <math.h>
#include "base/rng.h"
#include "gen/internal.h"

static int32_t likeliest(const float *logits, int n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static bool before(const float *p, int32_t a, int32_t b)
{
    return p[a] > p[b] || (p[a] == p[b] && a < b);
}

/* Sink entry i of a heap of n whose root comes first in the order. */
static void sink(const float *p, int32_t *heap, int n, int i)
{
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(p, heap[child + 1], heap[child])) child++;
        if (!before(p, heap[child], heap[i])) return;
        int32_t t = heap[i];
        heap[i] = heap[child], heap[child] = t;
    }
}

/* Probabilities (not normalised) in place; returns their sum. */
static double soften(float *logits, int n, double temperature)
{
    double top = (double)logits[likeliest(logits, n)], sum = 0;
    for (int i = 0; i < n; i++) {
        logits[i] = (float)exp(((double)logits[i] - top) / temperature);
        sum += (double)logits[i];
    }
    return sum;
}

/* The heap gives the likeliest first, so only as many are ordered as are
 * kept. They end up at the end of `heap`, last first. Returns how many, and in
 * *sum what they sum to. */
static int keep(const float *p, int32_t *heap, int n, const gen_options *o, double *sum)
{
    int most = o->top_k > 0 && o->top_k < n ? o->top_k : n, kept = 0;
    bool cut = o->top_p > 0 && o->top_p < 1;
    double all = *sum, part = 0;
    for (int i = 0; i < n; i++) heap[i] = i;
    for (int i = n / 2; i-- > 0;) sink(p, heap, n, i);
    while (kept < most && !(cut && most == n && part >= all * o->top_p)) {
        int last = n - ++kept;
        int32_t top = heap[0];
        part += (double)p[top];
        heap[0] = heap[last], heap[last] = top;
        sink(p, heap, last, 0);
    }
    *sum = part;
    if (!cut || most == n) return kept;
    int fewest = 0; /* top_p is of what top_k leaves */
    for (part = 0; fewest < kept && part < *sum * o->top_p; fewest++)
        part += (double)p[heap[n - 1 - fewest]];
    *sum = part;
    return fewest;
}

int32_t sample_draw(float *logits, int n, const gen_options *o, uint64_t count,
                    int32_t *order)
{
    if (!(o->temperature > 0)) return likeliest(logits, n);
    double sum = soften(logits, n, o->temperature);
    double u = rng_unit(o->seed, rng_stream("sample"), count), at = 0;
    bool all = (o->top_k <= 0 || o->top_k >= n) && !(o->top_p > 0 && o->top_p < 1);
    int n_kept = n;
    if (!all) n_kept = keep(logits, order, n, o, &sum);
    for (int i = 0; i < n_kept; i++) {
        int32_t id = all ? i : order[n - 1 - i];
        at += (double)logits[id];
        if (u * sum < at) return id;
    }
    return all ? n - 1 : order[n - n_kept];
}
