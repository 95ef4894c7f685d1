/* Handing products to a BLAS: every layout arrives as it should. The BLAS here
 * is a plain loop, so that this is tested on machines without one. */
#include "test.h"
#include "kern/blas.h"
#include "kern_help.h"

static int calls;

static void plain_sgemm(int order, int turn_a, int turn_b, int m, int n, int k,
                        float alpha, const float *a, int a_stride, const float *b,
                        int b_stride, float beta, float *c, int c_stride)
{
    calls++;
    assert_int_equal(order, 101);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int q = 0; q < k; q++) {
                float x = turn_a == 112 ? a[q * a_stride + i] : a[i * a_stride + q];
                float y = turn_b == 112 ? b[j * b_stride + q] : b[q * b_stride + j];
                sum += (double)x * y;
            }
            float *z = &c[i * c_stride + j];
            *z = (float)(alpha * sum + (beta != 0 ? (double)beta * (double)*z : 0));
        }
}

enum { M = 170, N = 180, K = 150, BATCH = 2 };

static kern_mat layout(void *p, kern_type t, bool turned, ptrdiff_t rows, ptrdiff_t cols)
{
    if (turned) return (kern_mat){p, t, 1, rows + 3, cols * (rows + 3)};
    return (kern_mat){p, t, cols + 2, 1, rows * (cols + 2)};
}

static void library_and_kernels_agree(void **state)
{
    (void)state;
    kern *own = open_isa(2, "scalar"), *lib = open_isa(2, "scalar");
    size_t len = BATCH * (N + 4) * (N + 4);
    void *a = malloc(len * 4), *b = malloc(len * 4);
    float *want = malloc(M * N * 4), *had = malloc(M * N * 4);
    lib->sgemm = plain_sgemm;
    for (int how = 0; how < 32; how++) {
        kern_type ta = how & 4 ? KERN_F16 : KERN_F32, tb = how & 8 ? KERN_F16 : KERN_F32;
        kern_mat x = layout(a, ta, how & 1, M, K), y = layout(b, tb, how & 2, K, N);
        fill_random(ta, len, a, 1, -1, 1);
        fill_random(tb, len, b, 2, -1, 1);
        kern_fill(KERN_F32, M * N, 0.5f, want);
        kern_fill(KERN_F32, M * N, 0.5f, had);
        kern_out c = {want, KERN_F32, N, 0, how & 16};
        assert_ok(kern_gemm_sum(own, BATCH, M, N, K, x, y, c, NULL));
        c.p = had;
        calls = 0;
        assert_ok(kern_gemm_reserve(lib, M, N, K));
        mem_fail_at(1);
        rc code = kern_gemm_sum(lib, BATCH, M, N, K, x, y, c, NULL);
        mem_fail_at(0);
        assert_int_equal(code, OK);
        assert_int_equal(calls, BATCH);
        assert_all_rel(had, want, M * N, 1e-5); /* fp32 sums of 300 against double */
    }
    kern_close(own);
    kern_close(lib);
    free(a);
    free(b);
    free(want);
    free(had);
}

static void the_machine_has_a_good_one(void **state)
{
    (void)state;
    kern *own = open_isa(2, "scalar"), *lib = open_isa(2, NULL);
    if (!kern_blas(lib)) {
        kern_close(own);
        kern_close(lib);
        skip();
    }
    static float a[M * K], b[K * N], want[M * N], had[M * N];
    fill_random(KERN_F32, M * K, a, 3, -1, 1);
    fill_random(KERN_F32, K * N, b, 4, -1, 1);
    kern_mat x = {a, KERN_F32, 1, M, 0}, y = {b, KERN_F32, N, 1, 0};
    assert_ok(
        kern_gemm(own, 1, M, N, K, x, y, (kern_out){want, KERN_F32, N, 0, false}, NULL));
    assert_ok(
        kern_gemm(lib, 1, M, N, K, x, y, (kern_out){had, KERN_F32, N, 0, false}, NULL));
    assert_all_rel(had, want, M * N, 1e-5);
    kern_close(own);
    kern_close(lib);
}

static void what_is_not_for_the_library_stays(void **state)
{
    (void)state;
    kern *k = open_isa(1, "scalar");
    k->sgemm = plain_sgemm;
    kern_mat a = {NULL, KERN_F16, 1000, 1, 0}, wide = {NULL, KERN_F16, 2000, 2, 0};
    kern_out c = {NULL, KERN_F32, 1000, 0, true},
             half_c = {NULL, KERN_F16, 1000, 0, false};
    kern_tail tail = {.alpha = 2};
    assert_true(blas_wants(k, 1000, 1000, 1000, a, a, c, NULL));
    assert_false(blas_wants(k, 10, 10, 10, a, a, c, NULL));
    assert_false(blas_wants(k, 1000, 1000, 1000, a, a, half_c, NULL));
    assert_false(blas_wants(k, 1000, 1000, 1000, wide, a, c, NULL));
    assert_false(blas_wants(k, 1000, 1000, 1000, a, a, c, &tail));
    k->sgemm = NULL;
    assert_false(blas_wants(k, 1000, 1000, 1000, a, a, c, NULL));
    assert_true(kern_blas(k) == NULL); /* a forced instruction set never has one */
    kern_close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_and_kernels_agree),
        cmocka_unit_test(the_machine_has_a_good_one),
        cmocka_unit_test(what_is_not_for_the_library_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
