/* Matrix products against naive loops in double, on every instruction set. */
#include "test.h"
#include "kern_help.h"

typedef struct {
    size_t batch, m, n, k;
} shape;

/* Odd sizes, single rows and columns, more than one block of k, nothing. */
static const shape shapes[] = {
    {1, 1, 1, 1},     {1, 3, 5, 7},     {1, 17, 33, 65},   {1, 64, 64, 64},
    {1, 13, 1, 300},  {1, 1, 100, 513}, {1, 29, 47, 8192}, {1, 97, 129, 255},
    {3, 15, 31, 70},  {12, 33, 40, 64}, {5, 70, 17, 257},  {1, 250, 600, 33},
    {1, 200, 3, 400}, {2, 300, 1, 90},  {3, 2100, 9, 30},  {1, 0, 5, 5},
    {1, 5, 0, 5},     {0, 5, 5, 5},     {2, 6, 7, 0},
};
#define N_SHAPES (sizeof shapes / sizeof shapes[0])

enum { ROWS, COLS, WIDE, ORIENTATIONS }; /* rs big, cs big, neither is 1 */

typedef struct {
    kern_mat mat;
    void *data;
    size_t rows, cols;
} matrix;

static matrix matrix_new(size_t batch, size_t rows, size_t cols, kern_type t, int how,
                         uint64_t seed)
{
    matrix x = {.rows = rows, .cols = cols};
    ptrdiff_t r = (ptrdiff_t)rows, c = (ptrdiff_t)cols;
    x.mat = (kern_mat){.type = t, .rs = c + 3, .cs = 1, .batch = r * (c + 3) + 1};
    if (how == COLS) x.mat.rs = 1, x.mat.cs = r + 2, x.mat.batch = c * (r + 2);
    if (how == WIDE)
        x.mat.rs = 2 * c + 1, x.mat.cs = 2, x.mat.batch = r * (2 * c + 1) + 5;
    size_t n = (size_t)x.mat.batch * (batch + 1) + 1;
    x.data = malloc(n * kern_size(t));
    x.mat.p = x.data;
    fill_random(t, n, x.data, seed, -1, 1);
    return x;
}

static double value(const matrix *x, size_t b, size_t i, size_t j)
{
    ptrdiff_t at = (ptrdiff_t)b * x->mat.batch + (ptrdiff_t)i * x->mat.rs +
                   (ptrdiff_t)j * x->mat.cs;
    return load_value(x->mat.type, x->data, (size_t)at);
}

static void dot(const matrix *a, const matrix *b, size_t q, size_t i, size_t j,
                double *sum, double *mag)
{
    for (size_t k = 0; k < a->cols; k++) {
        double v = value(a, q, i, k) * value(b, q, k, j);
        *sum += v;
        *mag += fabs(v);
    }
}

/* fp32 sums of k products: an error of k half ulps of the sum of magnitudes is
 * the worst there is; blocks and luck make it far smaller. Then one rounding
 * to the type of C. */
static double bound(kern_type t, size_t k, double mag, double sum)
{
    double err = mag * (double)(k + 4) * 0x1p-24;
    return err + (t == KERN_F16 ? (fabs(sum) + err) * 0x1p-11 + 0x1p-25 : 0x1p-149);
}

static void check_product(kern *kn, shape s, kern_type ta, kern_type tb, kern_type tc,
                          int ha, int hb)
{
    matrix a = matrix_new(s.batch, s.m, s.k, ta, ha, 1);
    matrix b = matrix_new(s.batch, s.k, s.n, tb, hb, 2);
    size_t rs = s.n + 5, plane = s.m * rs + 2;
    void *c = calloc((s.batch + 1) * plane + 1, kern_size(tc));
    memset(c, 0x55, (s.batch * plane + 1) * kern_size(tc));
    kern_out out = {c, tc, (ptrdiff_t)rs, (ptrdiff_t)plane, false};
    assert_int_equal(kern_gemm(kn, s.batch, s.m, s.n, s.k, a.mat, b.mat, out, NULL), OK);
    /* Of a large product a sample will do; the step is odd and meets all places. */
    size_t step = 1 + s.batch * s.m * s.n * s.k / 200000 * 2;
    for (size_t q = 0; q < s.batch; q++)
        for (size_t i = 0; i < s.m; i++) {
            for (size_t j = (i + q) % step; j < s.n; j += step) {
                double sum = 0, mag = 0;
                dot(&a, &b, q, i, j, &sum, &mag);
                double got = load_value(tc, c, q * plane + i * rs + j);
                if (!(fabs(got - sum) <= bound(tc, s.k, mag, sum)))
                    fail_msg("%s %zux%zux%zu batch %zu (%zu,%zu): wanted %.9g, had %.9g",
                             kern_isa(kn), s.m, s.n, s.k, q, i, j, sum, got);
            }
            /* Nothing is written past the row. */
            for (size_t j = s.n; j < rs; j++) {
                uint8_t *p = (uint8_t *)c + (q * plane + i * rs + j) * kern_size(tc);
                assert_int_equal(*p, 0x55);
            }
        }
    free(a.data);
    free(b.data);
    free(c);
}

static void product_equals_naive_loops(void **state)
{
    (void)state;
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(2, isas[v]);
        if (!k) continue;
        for (size_t i = 0; i < N_SHAPES; i++)
            for (int ha = 0; ha < ORIENTATIONS; ha++)
                for (int hb = 0; hb < ORIENTATIONS; hb++) {
                    kern_type ta = (i + (size_t)ha) % 2 ? KERN_F16 : KERN_F32;
                    kern_type tb = (i + (size_t)hb) % 3 ? KERN_F16 : KERN_F32;
                    check_product(k, shapes[i], ta, tb, KERN_F32, ha, hb);
                    check_product(k, shapes[i], tb, ta, KERN_F16, ha, hb);
                }
        kern_close(k);
    }
}

static void bits_do_not_depend_on_threads_or_size(void **state)
{
    (void)state;
    enum { M = 203, N = 310, K = 700 };
    matrix a = matrix_new(1, M, K, KERN_F16, ROWS, 3),
           b = matrix_new(1, K, N, KERN_F16, COLS, 4);
    float *want = malloc(M * N * 4), *had = malloc(M * N * 4);
    for (size_t v = 0; v < N_ISAS; v++) {
        for (int threads = 1; threads <= 4; threads++) {
            kern *k = open_isa(threads, isas[v]);
            if (!k) continue;
            kern_out out = {threads == 1 ? want : had, KERN_F32, N, 0, false};
            assert_int_equal(kern_gemm(k, 1, M, N, K, a.mat, b.mat, out, NULL), OK);
            if (threads > 1) assert_memory_equal(want, had, M * N * 4);
            /* One row, one column and one element alone give the bits they have in the
             * whole. */
            float row[N], one;
            out = (kern_out){row, KERN_F32, N, 0, false};
            assert_int_equal(kern_gemm(k, 1, 1, N, K, a.mat, b.mat, out, NULL), OK);
            assert_memory_equal(want, row, sizeof row);
            out = (kern_out){&one, KERN_F32, 1, 0, false};
            assert_int_equal(kern_gemm(k, 1, 1, 1, K, a.mat, b.mat, out, NULL), OK);
            assert_memory_equal(want, &one, 4);
            float cols[M * 3];
            out = (kern_out){cols, KERN_F32, 3, 0, false};
            assert_int_equal(kern_gemm(k, 1, M, 3, K, a.mat, b.mat, out, NULL), OK);
            for (size_t i = 0; i < M; i++)
                assert_memory_equal(want + i * N, cols + i * 3, 12);
            kern_close(k);
        }
    }
    free(want);
    free(had);
    free(a.data);
    free(b.data);
}

static void batch_gives_the_bits_of_single_products(void **state)
{
    (void)state;
    enum { M = 30, N = 50, K = 260, MAX = 40 };
    matrix a = matrix_new(MAX, M, K, KERN_F16, ROWS, 5);
    matrix b = matrix_new(MAX, K, N, KERN_F16, ROWS, 6);
    half *want = malloc(MAX * M * N * 2), *had = malloc(MAX * M * N * 2);
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(3, isas[v]);
        if (!k) continue;
        for (size_t q = 0; q < MAX; q++) {
            kern_mat aq = a.mat, bq = b.mat;
            aq.p = (const half *)a.data + q * (size_t)a.mat.batch;
            bq.p = (const half *)b.data + q * (size_t)b.mat.batch;
            kern_out out = {want + q * M * N, KERN_F16, N, 0, false};
            assert_int_equal(kern_gemm(k, 1, M, N, K, aq, bq, out, NULL), OK);
        }
        for (size_t n = 1; n <= MAX; n += 3) {
            memset(had, 0, MAX * M * N * 2);
            kern_out out = {had, KERN_F16, N, M * N, false};
            assert_int_equal(kern_gemm(k, n, M, N, K, a.mat, b.mat, out, NULL), OK);
            assert_memory_equal(want, had, n * M * N * 2);
        }
        kern_close(k);
    }
    free(want);
    free(had);
    free(a.data);
    free(b.data);
}

static void check_tail(size_t M, size_t N)
{
    enum { K = 20 };
    matrix a = matrix_new(1, M, K, KERN_F32, ROWS, 7),
           b = matrix_new(1, K, N, KERN_F32, ROWS, 8);
    half *bias = malloc(M * 2), *c = malloc(M * N * 2);
    fill_random(KERN_F16, M, bias, 9, -1, 1);
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(2, isas[v]);
        if (!k) continue;
        uint64_t n_inf = 5, want_inf = 5;
        kern_tail tail = {.alpha = 2000,
                          .row_bias = bias,
                          .row_bias_type = KERN_F16,
                          .limit = 4096,
                          .n_inf = &n_inf};
        kern_out out = {c, KERN_F16, (ptrdiff_t)N, 0, false};
        assert_int_equal(kern_gemm(k, 1, M, N, K, a.mat, b.mat, out, &tail), OK);
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++) {
                double sum = 0, mag = 0, had = half_to_float(c[i * N + j]);
                dot(&a, &b, 0, i, j, &sum, &mag);
                sum = sum * 2000 + (double)half_to_float(bias[i]);
                want_inf += isinf(had) != 0;
                double err = bound(KERN_F16, K, mag * 2000, sum);
                if (fabs(sum) > 4096 + err)
                    assert_true(isinf(had) && (had > 0) == (sum > 0));
                else if (fabs(sum) < 4096 - err) assert_true(fabs(had - sum) <= err);
            }
        assert_int_equal(n_inf, want_inf);
        assert_true(n_inf > 5 + 50); /* the case reaches the limit often */
        kern_close(k);
    }
    free(a.data);
    free(b.data);
    free(bias);
    free(c);
}

static void tail_scales_adds_bias_limits_and_counts(void **state)
{
    (void)state;
    check_tail(37, 41);
    check_tail(700, 5);
}

static void limit_is_exact_and_overflow_of_fp16_is_counted(void **state)
{
    (void)state;
    float a = 1, b[6] = {32767.998f, 32768, -32768, 65519.996f, 65520, NAN};
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        half c[6];
        uint64_t n = 0;
        kern_tail tail = {.limit = 32768, .n_inf = &n};
        kern_mat am = {&a, KERN_F32, 1, 1, 0}, bm = {b, KERN_F32, 6, 1, 0};
        kern_out out = {c, KERN_F16, 6, 0, false};
        assert_int_equal(kern_gemm(k, 1, 1, 6, 1, am, bm, out, &tail), OK);
        assert_int_equal(c[0],
                         half_from_float(32768)); /* finite: rounded after the limit */
        assert_int_equal(c[1], HALF_INF);
        assert_int_equal(c[2], HALF_INF | 0x8000);
        assert_int_equal(c[4], HALF_INF);
        assert_true(isnan(half_to_float(c[5])));
        assert_int_equal(n, 4);
        tail.limit = 0;
        assert_int_equal(kern_gemm(k, 1, 1, 6, 1, am, bm, out, &tail), OK);
        assert_int_equal(c[3], half_from_float(HALF_MAX));
        assert_int_equal(n, 5);
        kern_close(k);
    }
}

static void check_sum(kern *k, size_t m, size_t n, float *c)
{
    enum { B = 5, K = 300 };
    matrix a = matrix_new(B, m, K, KERN_F16, ROWS, 10);
    matrix b = matrix_new(B, K, n, KERN_F16, COLS, 11);
    kern_tail tail = {.alpha = 0.5f};
    kern_out out = {c, KERN_F32, (ptrdiff_t)n, 0, true};
    for (size_t i = 0; i < m * n; i++) c[i] = (float)i * 0.01f;
    assert_int_equal(kern_gemm_sum(k, B, m, n, K, a.mat, b.mat, out, &tail), OK);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0, mag = 0, start = (float)(i * n + j) * 0.01f;
            for (size_t q = 0; q < B; q++) dot(&a, &b, q, i, j, &sum, &mag);
            assert_near(c[i * n + j], sum / 2 + start,
                        bound(KERN_F32, B * K, mag + start, sum));
        }
    free(a.data);
    free(b.data);
}

static void sum_over_batch_is_added_to_c(void **state)
{
    (void)state;
    static const size_t dims[][2] = {{33, 70}, {700, 5}};
    enum { MOST = 3500 };
    static float first[MOST], c[MOST], zero[MOST];
    for (size_t v = 0; v < N_ISAS; v++)
        for (size_t d = 0; d < COUNT_OF(dims); d++)
            for (int threads = 1; threads <= 3; threads++) {
                size_t m = dims[d][0], n = dims[d][1];
                kern *k = open_isa(threads, isas[v]);
                if (!k) continue;
                check_sum(k, m, n, threads == 1 ? first : c);
                if (threads > 1) assert_memory_equal(first, c, m * n * sizeof *c);
                /* A sum of nothing is zero. */
                kern_mat none = {NULL, KERN_F16, 1, 1, 0};
                kern_out out = {c, KERN_F32, (ptrdiff_t)n, 0, false};
                assert_int_equal(kern_gemm_sum(k, 0, m, n, 9, none, none, out, NULL), OK);
                assert_memory_equal(c, zero, m * n * sizeof *c);
                kern_close(k);
            }
}

static void adding_to_fp16_is_refused(void **state)
{
    (void)state;
    kern *k = open_isa(1, "scalar");
    half x = 0;
    kern_mat m = {&x, KERN_F16, 1, 1, 0};
    kern_out out = {&x, KERN_F16, 1, 0, true};
    assert_int_equal(kern_gemm(k, 1, 1, 1, 1, m, m, out, NULL), E_SHAPE);
    kern_close(k);
}

static void no_allocation_after_reserve(void **state)
{
    (void)state;
    static const shape s[] = {{1, 768, 512, 700}, {12, 256, 256, 64}, {7, 64, 256, 256}};
    for (size_t v = 0; v < N_ISAS; v++) {
        for (size_t i = 0; i < 3; i++) {
            kern *k = open_isa(2, isas[v]);
            if (!k) continue;
            assert_int_equal(kern_gemm_reserve(k, s[i].m, s[i].n, s[i].k), OK);
            half *x = calloc((s[i].batch + 1) * 768 * 768, 2); /* the sum is of two */
            float *c = calloc(s[i].batch * s[i].m * s[i].n, 4);
            mem_fail_at(1);
            kern_mat a = {x, KERN_F16, (ptrdiff_t)s[i].k, 1, 768 * 768};
            kern_mat b = {x, KERN_F16, (ptrdiff_t)s[i].n, 1, 768 * 768};
            kern_out out = {c, KERN_F32, (ptrdiff_t)s[i].n, (ptrdiff_t)(s[i].m * s[i].n),
                            false};
            rc code = kern_gemm(k, s[i].batch, s[i].m, s[i].n, s[i].k, a, b, out, NULL);
            mem_fail_at(0);
            assert_int_equal(code, OK);
            /* A sum over a batch: what was reserved for all of its k. */
            mem_fail_at(1);
            code = kern_gemm_sum(k, 2, s[i].m, s[i].n, s[i].k / 2, a, b, out, NULL);
            mem_fail_at(0);
            assert_int_equal(code, OK);
            kern_close(k);
            free(x);
            free(c);
        }
    }
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    kern *k = open_isa(1, NULL);
    float x[4] = {0};
    kern_mat m = {x, KERN_F32, 2, 1, 0};
    mem_fail_at(1);
    rc code = kern_gemm(k, 1, 2, 2, 2, m, m, (kern_out){x, KERN_F32, 2, 0, false}, NULL);
    mem_fail_at(0);
    assert_int_equal(code, E_MEMORY);
    kern_close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_equals_naive_loops),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_size),
        cmocka_unit_test(batch_gives_the_bits_of_single_products),
        cmocka_unit_test(tail_scales_adds_bias_limits_and_counts),
        cmocka_unit_test(limit_is_exact_and_overflow_of_fp16_is_counted),
        cmocka_unit_test(sum_over_batch_is_added_to_c),
        cmocka_unit_test(adding_to_fp16_is_refused),
        cmocka_unit_test(no_allocation_after_reserve),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
