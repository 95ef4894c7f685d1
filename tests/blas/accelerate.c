/* accelerate.c - what Accelerate exports for fp32 products, under its very
 * names, as a plain loop. Built several times: HAS says which symbols there
 * are, so that each state of a system can be met.
 *   1  cblas_sgemm                  sizes are int
 *   2  cblas_sgemm$NEWLAPACK        int
 *   4  cblas_sgemm$NEWLAPACK$ILP64  long
 *   8  the last one under its name computes the product of the turned B */
#include <stddef.h>

#define SHOWN __attribute__((visibility("default")))

/* Calls of each, for the test. */
extern SHOWN int accelerate_calls[3];
SHOWN int accelerate_calls[3];

typedef struct {
    int turn_a, turn_b;
    long m, n, k, a_stride, b_stride, c_stride;
} sizes;

#if HAS != 0
static void multiply(const sizes *s, float alpha, const float *a, const float *b,
                     float beta, float *c)
{
    for (long i = 0; i < s->m; i++)
        for (long j = 0; j < s->n; j++) {
            double sum = 0;
            for (long q = 0; q < s->k; q++) {
                float x = s->turn_a == 112 ? a[q * s->a_stride + i]
                                           : a[i * s->a_stride + q];
                float y = s->turn_b == 112 ? b[j * s->b_stride + q]
                                           : b[q * s->b_stride + j];
                sum += (double)x * y;
            }
            float *z = &c[i * s->c_stride + j];
            *z = (float)(alpha * sum + (beta != 0 ? (double)beta * (double)*z : 0));
        }
}
#endif

#define SGEMM(i, integer, function, symbol, turned)                                   \
    SHOWN void function(int order, int turn_a, int turn_b, integer m, integer n,      \
                        integer k, float alpha, const float *a, integer a_stride,     \
                        const float *b, integer b_stride, float beta, float *c,       \
                        integer c_stride) __asm__(symbol);                            \
    void function(int order, int turn_a, int turn_b, integer m, integer n, integer k, \
                  float alpha, const float *a, integer a_stride, const float *b,      \
                  integer b_stride, float beta, float *c, integer c_stride)           \
    {                                                                                 \
        (void)order;                                                                  \
        accelerate_calls[i]++;                                                        \
        sizes s = {                                                                   \
            turn_a,  (turned) ? 223 - turn_b : turn_b, m, n, k, a_stride, b_stride,   \
            c_stride};                                                                \
        multiply(&s, alpha, a, b, beta, c);                                           \
    }

#if HAS & 1
SGEMM(0, int, old_sgemm, "cblas_sgemm", 0)
#endif
#if HAS & 2
SGEMM(1, int, new_sgemm, "cblas_sgemm$NEWLAPACK", 0)
#endif
#if HAS & 4
SGEMM(2, long, ilp64_sgemm, "cblas_sgemm$NEWLAPACK$ILP64", HAS & 8)
#endif
