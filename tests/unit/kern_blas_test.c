/* Handing products to a BLAS: every layout arrives as it should. The BLAS here
 * is a plain loop, so that this is tested on machines without one. */
#include "test.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
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
    lib->library = (kern_library){.name = "plain", .narrow = plain_sgemm};
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
    assert_true(kern_blas(k) == NULL); /* a forced instruction set never has one */
    k->library = (kern_library){.name = "plain", .narrow = plain_sgemm};
    kern_mat a = {NULL, KERN_F16, 1000, 1, 0}, wide = {NULL, KERN_F16, 2000, 2, 0};
    kern_out c = {NULL, KERN_F32, 1000, 0, true},
             half_c = {NULL, KERN_F16, 1000, 0, false};
    kern_tail tail = {.alpha = 2};
    assert_true(blas_wants(k, 1000, 1000, 1000, a, a, c, NULL));
    assert_false(blas_wants(k, 10, 10, 10, a, a, c, NULL));
    assert_false(blas_wants(k, 1000, 1000, 1000, a, a, half_c, NULL));
    assert_false(blas_wants(k, 1000, 1000, 1000, wide, a, c, NULL));
    assert_false(blas_wants(k, 1000, 1000, 1000, a, a, c, &tail));
    size_t much = (size_t)INT_MAX + 1; /* more than an int holds */
    assert_false(blas_wants(k, much, 1000, 1000, a, a, c, NULL));
    assert_ok(kern_use_blas(k, "own", NULL));
    assert_false(blas_wants(k, 1000, 1000, 1000, a, a, c, NULL));
    assert_true(kern_blas(k) == NULL);
    kern_close(k);
}

/* ---- Accelerate's names, in libraries that stand in for it ---- */
static const char *stand_in(int has)
{
    static char path[256];
    snprintf(path, sizeof path, BLAS_LIB, has);
    return path;
}

static int *counts(int has)
{
    void *lib = dlopen(stand_in(has), RTLD_NOW);
    int *n = lib ? dlsym(lib, "accelerate_calls") : NULL;
    assert_non_null(n);
    n[0] = n[1] = n[2] = 0;
    return n;
}

/* The products of the host's gradients: fp16 operands, one turned, added up. */
static void multiply_both_ways(kern *lib)
{
    kern *own = open_isa(2, "scalar");
    static half a[M * K], b[K * N];
    static float want[M * N], had[M * N];
    fill_random(KERN_F16, M * K, a, 5, -1, 1);
    fill_random(KERN_F16, K * N, b, 6, -1, 1);
    kern_fill(KERN_F32, M * N, 0.25f, want);
    kern_fill(KERN_F32, M * N, 0.25f, had);
    kern_mat x = {a, KERN_F16, K, 1, 0}, y = {b, KERN_F16, 1, K, 0};
    kern_out c = {want, KERN_F32, N, 0, true};
    assert_ok(kern_gemm(own, 1, M, N, K, x, y, c, NULL));
    c.p = had;
    assert_ok(kern_gemm(lib, 1, M, N, K, x, y, c, NULL));
    assert_all_rel(had, want, M * N, 1e-5); /* fp32 sums of 150 against double */
    kern_close(own);
}

static void the_maintained_symbol_comes_first(void **state)
{
    (void)state;
    static const struct {
        int has;
        const char *which, *name;
        int called; /* which counter */
    } cases[] = {
        {5, "auto", "accelerate", 2}, /* macOS 13.3 */
        {7, "auto", "accelerate", 2},
        {7, "accelerate", "accelerate", 2},
        {7, "accelerate32", "accelerate32", 0}, /* asked for */
        {1, "auto", "accelerate32", 0},         /* macOS 13.0 */
        {13, "auto", "accelerate32", 0},        /* the name means something else */
        {1, "cblas", "cblas", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        kern *k = open_isa(2, "scalar");
        assert_ok(kern_use_blas(k, cases[i].which, stand_in(cases[i].has)));
        assert_string_equal(kern_blas(k), cases[i].name);
        int *n = counts(cases[i].has), others = 0;
        multiply_both_ways(k);
        for (int j = 0; j < 3; j++) others += j != cases[i].called ? n[j] : 0;
        assert_int_equal(n[cases[i].called], 1);
        assert_int_equal(others, 0);
        kern_close(k);
    }
}

static void without_the_symbol_our_kernels_stay(void **state)
{
    (void)state;
    kern *k = open_isa(2, "scalar");
    assert_ok(kern_use_blas(k, "auto", stand_in(0)));
    assert_null(kern_blas(k));
    assert_ok(kern_use_blas(k, "auto", "/nowhere/Accelerate"));
    assert_null(kern_blas(k));
    multiply_both_ways(k);
    kern_close(k);
}

/* One that others made, where it is installed. */
static void a_real_cblas_agrees(void **state)
{
    (void)state;
    static const char *const libraries[] = {"libopenblas.so.0", "libblis.so.4",
                                            "libcblas.so.3"};
    kern *k = open_isa(2, "scalar");
    for (size_t i = 0; !kern_blas(k) && i < COUNT_OF(libraries); i++)
        if (kern_use_blas(k, "cblas", libraries[i]) != OK) err_clear();
    bool found = kern_blas(k) != NULL;
    if (found) multiply_both_ways(k);
    kern_close(k);
    if (!found) skip();
}

static void a_library_that_is_asked_for_must_be_there(void **state)
{
    (void)state;
    kern *k = open_isa(1, "scalar");
    assert_ok(kern_use_blas(k, "accelerate", stand_in(7)));
    assert_fails(kern_use_blas(k, "accelerate", stand_in(1)), E_CONFIG,
                 "'accelerate' is not on this machine");
    assert_fails(kern_use_blas(k, "accelerate", stand_in(13)), E_CONFIG,
                 "computes something else");
    assert_fails(kern_use_blas(k, "accelerate32", stand_in(0)), E_CONFIG,
                 "'accelerate32' is not on this machine");
    assert_fails(kern_use_blas(k, "mkl", NULL), E_CONFIG, "'mkl' is not known");
    assert_string_equal(kern_blas(k), "accelerate"); /* what it had */
    kern_close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_and_kernels_agree),
        cmocka_unit_test(the_machine_has_a_good_one),
        cmocka_unit_test(what_is_not_for_the_library_stays),
        cmocka_unit_test(the_maintained_symbol_comes_first),
        cmocka_unit_test(without_the_symbol_our_kernels_stay),
        cmocka_unit_test(a_real_cblas_agrees),
        cmocka_unit_test(a_library_that_is_asked_for_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
