/* Products too large to pack at once: cut in strips of columns and groups of
 * the batch, they are still right, at sampled places. */
#include "test.h"
#include "kern_help.h"

static kern_mat random_matrix(size_t batch, size_t rows, size_t cols, bool turned,
                              uint64_t seed)
{
    size_t n = batch * rows * cols;
    half *p = malloc(n * 2);
    /* A short cycle of numbers is quick to make; its length shares no factor
     * with any stride here. */
    enum { CYCLE = 10007 };
    static half cycle[CYCLE];
    fill_random(KERN_F16, CYCLE, cycle, seed, -1, 1);
    for (size_t i = 0; i < n; i++) p[i] = cycle[i % CYCLE];
    ptrdiff_t r = (ptrdiff_t)rows, c = (ptrdiff_t)cols;
    return turned ? (kern_mat){p, KERN_F16, 1, r, r * c}
                  : (kern_mat){p, KERN_F16, c, 1, r * c};
}

static double value(kern_mat x, size_t b, size_t i, size_t j)
{
    ptrdiff_t at = (ptrdiff_t)b * x.batch + (ptrdiff_t)i * x.rs + (ptrdiff_t)j * x.cs;
    return load_value(KERN_F16, x.p, (size_t)at);
}

static void check_large(size_t batch, size_t m, size_t n, size_t kk, bool ta, bool tb)
{
    kern_mat a = random_matrix(batch, m, kk, ta, 1),
             b = random_matrix(batch, kk, n, tb, 2);
    float *c = malloc(batch * m * n * sizeof *c), *d = malloc(batch * m * n * sizeof *d);
    for (int threads = 1; threads <= 2; threads++) {
        kern *k = open_isa(threads, NULL);
        kern_out out = {threads == 1 ? c : d, KERN_F32, (ptrdiff_t)n, (ptrdiff_t)(m * n),
                        false};
        assert_ok(kern_gemm(k, batch, m, n, kk, a, b, out, NULL));
        kern_close(k);
    }
    assert_memory_equal(c, d, batch * m * n * sizeof *c);
    for (size_t s = 0; s < 300; s++) {
        size_t q = (size_t)((double)batch * uniform(3, s)),
               i = (size_t)((double)m * uniform(4, s));
        size_t j = (size_t)((double)n * uniform(5, s));
        double sum = 0, mag = 0;
        for (size_t p = 0; p < kk; p++) {
            double v = value(a, q, i, p) * value(b, q, p, j);
            sum += v, mag += fabs(v);
        }
        /* Blocks of 384 sums: far below the worst case of kk half ulps. */
        assert_near(c[q * m * n + i * n + j], sum, mag * 400 * 0x1p-24);
    }
    free((void *)a.p);
    free((void *)b.p);
    free(c);
    free(d);
}

static void a_long_sum_goes_in_strips_of_columns(void **state)
{
    (void)state;
    check_large(1, 400, 300, 16400, true, false);
}

static void a_large_batch_goes_in_groups(void **state)
{
    (void)state;
    check_large(5, 400, 300, 3000, false, true);
}

static void many_columns_go_to_many_tasks(void **state)
{
    (void)state;
    check_large(1, 160, 4096, 160, false, false);
    check_large(1, 33, 5000, 500, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_sum_goes_in_strips_of_columns),
        cmocka_unit_test(a_large_batch_goes_in_groups),
        cmocka_unit_test(many_columns_go_to_many_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
