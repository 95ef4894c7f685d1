/* Reductions, softmax, norms, AdamW and cross-entropy against sums in double,
 * on every instruction set and number of threads. */
#include "test.h"
#include "kern_help.h"

static void row_reductions_equal_sums_in_double(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5, 15, 16, 17, 64, 100, 1023, 1024, 1025, 5000};
    enum { MAX = 5000 };
    static float x[MAX];
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (int t = KERN_F16; t <= KERN_F32; t++)
            for (size_t s = 0; s < COUNT_OF(sizes); s++) {
                size_t n = sizes[s];
                double sum = 0, mag = 0, max = -INFINITY, min = INFINITY;
                fill_random(t, MAX, x, 40 + s, -3, -1);
                for (size_t i = 0; i < n; i++) {
                    double e = load_value(t, x, i);
                    sum += e, mag += fabs(e), max = fmax(max, e), min = fmin(min, e);
                }
                /* Chains of at most 64 additions, then the chunks. */
                assert_near(kern_reduce_row(k, KERN_SUM, t, n, x), sum, mag * 0x1p-17);
                assert_true(kern_reduce_row(k, KERN_MAX, t, n, x) == max);
                assert_true(kern_reduce_row(k, KERN_MIN, t, n, x) == min);
                if (!n) continue;
                store_value(t, x, n / 2, NAN);
                for (int op = KERN_SUM; op <= KERN_MIN; op++)
                    assert_true(isnan(kern_reduce_row(k, op, t, n, x)));
            }
        kern_close(k);
    }
}

static void column_reductions_equal_sums_in_double(void **state)
{
    (void)state;
    static const size_t dims[][2] = {{0, 5},   {1, 1},   {3, 16},
                                     {64, 17}, {65, 40}, {200, 33}};
    static float x[200 * 64], z[64];
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (int t = KERN_F16; t <= KERN_F32; t++)
            for (size_t d = 0; d < COUNT_OF(dims); d++)
                for (int op = KERN_SUM; op <= KERN_MIN; op++) {
                    size_t rows = dims[d][0], n = dims[d][1], stride = n + 7;
                    fill_random(t, rows * stride, x, 50 + d, 1, 3);
                    z[n] = 77;
                    kern_reduce_cols(k, op, t, rows, n, x, stride, z);
                    for (size_t j = 0; j < n; j++) {
                        double sum = 0, max = -INFINITY, min = INFINITY;
                        for (size_t r = 0; r < rows; r++) {
                            double e = load_value(t, x, r * stride + j);
                            sum += e, max = fmax(max, e), min = fmin(min, e);
                        }
                        double want = op == KERN_SUM ? sum : op == KERN_MAX ? max : min;
                        assert_near(z[j], want, op == KERN_SUM ? sum * 0x1p-18 : 0);
                    }
                    assert_true(z[n] == 77);
                }
        kern_close(k);
    }
}

static void softmax_rows_equal_softmax_in_double(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 16, 31, 256, 1000, 2500};
    enum { MAX = 2500 };
    static float x[MAX], z[MAX + 1];
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        for (int t = KERN_F16; t <= KERN_F32; t++)
            for (size_t s = 0; s < COUNT_OF(sizes); s++) {
                size_t n = sizes[s];
                double sum = 0, top = -INFINITY;
                fill_random(t, n, x, 60 + s, -9, 9);
                if (n > 2) store_value(t, x, 1, -INFINITY); /* a masked place */
                for (size_t i = 0; i < n; i++) top = fmax(top, load_value(t, x, i));
                for (size_t i = 0; i < n; i++) sum += exp(load_value(t, x, i) - top);
                kern_softmax_row(k, t, n, x, z);
                for (size_t i = 0; i < n; i++) {
                    double want = exp(load_value(t, x, i) - top) / sum;
                    double step = t == KERN_F16 ? 0x1p-11 + 0x1p-20 : 0x1p-20;
                    assert_near(load_value(t, z, i), want, want * step + 0x1p-25);
                }
                kern_softmax_row(k, t, n, x, x); /* in place, the same bits */
                assert_memory_equal(x, z, n * kern_size(t));
            }
        kern_close(k);
    }
}

static void sum_of_squares_neither_overflows_nor_depends_on_threads(void **state)
{
    (void)state;
    enum { N = 300001 };
    float *x = malloc(N * 4);
    fill_random(KERN_F32, N, x, 70, -1, 1);
    x[5] = 3e38f;
    double want = 0;
    for (size_t i = 0; i < N; i++) want += (double)x[i] * x[i];
    for (size_t v = 0; v < N_ISAS; v++) {
        double first = 0;
        for (int threads = 1; threads <= 4; threads++) {
            kern *k = open_isa(threads, isas[v]);
            if (!k) continue;
            double had = kern_sum_squares(k, N, x);
            assert_rel(had, want, 1e-13);
            if (threads == 1) first = had;
            assert_true(had == first);
            assert_true(kern_sum_squares(k, 0, x) == 0);
            assert_rel(kern_sum_squares(k, 3, x),
                       (double)x[0] * x[0] + (double)x[1] * x[1] + (double)x[2] * x[2],
                       1e-15);
            kern_close(k);
        }
    }
    free(x);
}

static void adamw_equals_the_paper_in_double(void **state)
{
    (void)state;
    enum { N = 40003, STEPS = 3 };
    float *p = malloc(8 * N * 4);
    float *w = p, *m = p + N, *s = p + 2 * N, *g = p + 3 * N, *first = p + 4 * N;
    half *w16 = malloc(N * 2);
    double *want = malloc(3 * N * sizeof *want);
    for (size_t v = 0; v < N_ISAS; v++)
        for (int threads = 1; threads <= 3; threads++) {
            kern *k = open_isa(threads, isas[v]);
            if (!k) continue;
            fill_random(KERN_F32, N, w, 80, -1, 1);
            memset(m, 0, 2 * N * 4);
            for (size_t i = 0; i < N; i++)
                want[i] = w[i], want[N + i] = want[2 * N + i] = 0;
            for (int t = 1; t <= STEPS; t++) {
                fill_random(KERN_F32, N, g, 80 + (uint64_t)t, -4, 4);
                g[7] = 0;
                double b1 = (double)0.9f, b2 = (double)0.95f, lr = (double)1e-3f;
                double c1 = 1 - pow(b1, t), c2 = 1 - pow(b2, t);
                kern_adamw_args args = {1e-3f,     0.9f,      0.95f,
                                        1e-8f,     0.1f,      0.25f,
                                        (float)c1, (float)c2, threads == 1 ? 0 : 32.0f};
                kern_adamw(k, N, w, m, s, g, t == STEPS ? w16 : NULL, &args);
                for (size_t i = 0; i < N; i++) {
                    double gi = g[i] * 0.25, *mi = &want[N + i], *si = &want[2 * N + i];
                    *mi = b1 * *mi + (1 - b1) * gi;
                    *si = b2 * *si + (1 - b2) * gi * gi;
                    double ratio = *mi / c1 / (sqrt(*si / c2) + (double)1e-8f);
                    want[i] -= lr * (ratio + (double)0.1f * want[i]);
                }
            }
            /* more threads: the fp16 copy, and it alone, is asked for 32 times larger */
            for (size_t i = 0; i < N; i++) {
                assert_near(w[i], want[i], 3e-7); /* a few roundings of numbers near 1 */
                assert_int_equal(w16[i],
                                 half_from_float(w[i] * (threads == 1 ? 1 : 32.0f)));
            }
            if (threads == 1) memcpy(first, p, 3 * N * 4);
            else assert_memory_equal(first, p, 3 * N * 4);
            kern_close(k);
        }
    free(p);
    free(w16);
    free(want);
}

enum { PARTS = 3, COLS = 37, STRIDE = 40 };
static const size_t part_rows[PARTS] = {1, 2050, 1030};
#define VOCAB (1 + 2050 + 1030)

typedef struct {
    void *x[PARTS], *d[PARTS];
    kern_ce_part part[PARTS];
    int32_t target[COLS];
    double loss[COLS];
} entropy_case;

static void entropy_new(entropy_case *e, kern_type t)
{
    for (size_t p = 0; p < PARTS; p++) {
        size_t n = part_rows[p] * STRIDE;
        e->x[p] = malloc(n * kern_size(t));
        e->d[p] = malloc(n * kern_size(t));
        fill_random(t, n, e->x[p], 90 + p, -8, 8);
        memset(e->d[p], 0x5a, n * kern_size(t));
        e->part[p] = (kern_ce_part){e->x[p], e->d[p], part_rows[p], 0};
    }
    for (size_t c = 0; c < COLS; c++) e->target[c] = (int32_t)(c * 997 % VOCAB);
    e->target[0] = 0;         /* the first row of all */
    e->target[1] = VOCAB - 1; /* the last */
    e->target[2] = -1;        /* none */
}

static void entropy_free(entropy_case *e)
{
    for (size_t p = 0; p < PARTS; p++) free(e->x[p]), free(e->d[p]);
}

/* Element (row of the whole vocabulary, column). */
static double entropy_at(void *const *parts, kern_type t, size_t row, size_t c)
{
    size_t p = 0;
    while (row >= part_rows[p]) row -= part_rows[p++];
    return load_value(t, parts[p], row * STRIDE + c);
}

static void check_entropy(kern *k, entropy_case *e, kern_type t, float scale)
{
    double want_d_step = t == KERN_F16 ? 0x1p-11 : 0x1p-20;
    for (size_t c = 0; c < COLS; c++) {
        double top = -INFINITY, sum = 0;
        for (size_t r = 0; r < VOCAB; r++) top = fmax(top, entropy_at(e->x, t, r, c));
        for (size_t r = 0; r < VOCAB; r++) sum += exp(entropy_at(e->x, t, r, c) - top);
        bool none = e->target[c] < 0;
        double hit = none ? 0 : entropy_at(e->x, t, (size_t)e->target[c], c);
        assert_near(e->loss[c], none ? 0 : log(sum) + top - hit, 1e-6);
        for (size_t r = 0; r < VOCAB; r++) {
            double p = exp(entropy_at(e->x, t, r, c) - top) / sum;
            double want = none ? 0 : (p - (r == (size_t)e->target[c])) * (double)scale;
            double had = entropy_at(e->d, t, r, c);
            if (!(fabs(had - want) <= fabs(want) * want_d_step * 1.01 + 0x1p-25))
                fail_msg("%s: gradient (%zu, %zu): wanted %.9g, had %.9g", kern_isa(k), r,
                         c, want, had);
        }
    }
}

static void scale_logits(entropy_case *e, kern_type t, float by)
{
    for (size_t p = 0; p < PARTS; p++)
        for (size_t i = 0; i < part_rows[p] * STRIDE; i++) {
            half *h = (half *)e->x[p] + i;
            if (t == KERN_F16) *h = half_from_float(half_to_float(*h) * by);
            else ((float *)e->x[p])[i] *= by;
        }
}

static void cross_entropy_and_its_gradient_are_right(void **state)
{
    (void)state;
    for (size_t v = 0; v < N_ISAS; v++)
        for (int t = KERN_F16; t <= KERN_F32; t++)
            for (int threads = 1; threads <= 3; threads++) {
                kern *k = open_isa(threads, isas[v]);
                if (!k) continue;
                entropy_case e;
                double with_d[COLS];
                entropy_new(&e, t);
                assert_ok(kern_cross_entropy(k, t, PARTS, e.part, COLS, STRIDE, e.target,
                                             512, e.loss));
                check_entropy(k, &e, t, 512);
                memcpy(with_d, e.loss, sizeof with_d);
                /* The columns past n_cols are left alone. */
                for (size_t i = COLS * kern_size(t); i < STRIDE * kern_size(t); i++)
                    assert_int_equal(((uint8_t *)e.d[0])[i], 0x5a);
                /* Without a gradient: the same loss. In place: the same bits. */
                kern_ce_part part[PARTS];
                memcpy(part, e.part, sizeof part);
                for (size_t p = 0; p < PARTS; p++) part[p].d = NULL;
                assert_ok(kern_cross_entropy(k, t, PARTS, part, COLS, STRIDE, e.target,
                                             512, e.loss));
                assert_memory_equal(with_d, e.loss, sizeof with_d);
                /* Logits 64 times as large, in units of 1/64: the same again. */
                scale_logits(&e, t, 64);
                for (size_t p = 0; p < PARTS; p++) part[p].unit = 1.0f / 64;
                assert_ok(kern_cross_entropy(k, t, PARTS, part, COLS, STRIDE, e.target,
                                             512, e.loss));
                assert_memory_equal(with_d, e.loss, sizeof with_d);
                for (size_t p = 0; p < PARTS; p++) part[p].d = e.x[p];
                assert_ok(kern_cross_entropy(k, t, PARTS, part, COLS, STRIDE, e.target,
                                             512, e.loss));
                for (size_t r = 0; r < VOCAB; r++)
                    for (size_t c = 0; c < COLS; c++)
                        assert_true(entropy_at(e.x, t, r, c) == entropy_at(e.d, t, r, c));
                entropy_free(&e);
                kern_close(k);
            }
}

static void cross_entropy_of_odd_logits(void **state)
{
    (void)state;
    enum { ROWS = 2000 };
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(2, isas[v]);
        if (!k) continue;
        /* Column 0: half of the vocabulary masked; 1: a NaN; 2: an infinity;
         * 3: far apart. */
        static float x[ROWS * 4], d[ROWS * 4];
        for (size_t r = 0; r < ROWS; r++) {
            x[r * 4] = r < ROWS / 2 ? -INFINITY : 0;
            x[r * 4 + 1] = x[r * 4 + 2] = 1;
            x[r * 4 + 3] = r ? -1e30f : 1e30f;
        }
        x[777 * 4 + 1] = NAN;
        x[1500 * 4 + 2] = INFINITY;
        int32_t target[4] = {ROWS - 1, 0, 0, 0};
        double loss[4];
        kern_ce_part part = {x, d, ROWS, 0};
        assert_ok(kern_cross_entropy(k, KERN_F32, 1, &part, 4, 4, target, 1, loss));
        assert_near(loss[0], log(ROWS / 2), 1e-6);
        assert_true(!isfinite(loss[1]) && !isfinite(loss[2])); /* never a wrong number */
        assert_near(loss[3], 0, 0);
        assert_true(d[0] == 0);
        assert_near(d[(ROWS - 1) * 4], 2.0 / ROWS - 1, 1e-6);
        assert_true(isnan(d[4 * 5 + 1]));
        /* An ignored column is clean whatever it holds. */
        target[1] = target[2] = -1;
        assert_ok(kern_cross_entropy(k, KERN_F32, 1, &part, 4, 4, target, 1, loss));
        assert_true(loss[1] == 0 && loss[2] == 0);
        for (size_t r = 0; r < ROWS; r++)
            assert_true(d[r * 4 + 1] == 0 && d[r * 4 + 2] == 0);
        kern_close(k);
    }
}

static void cross_entropy_refuses_what_does_not_fit(void **state)
{
    (void)state;
    kern *k = open_isa(1, NULL);
    float x[8] = {0};
    double loss[2];
    kern_ce_part part[2] = {{x, x, 2, 0}, {x + 4, NULL, 2, 0}};
    assert_fails(
        kern_cross_entropy(k, KERN_F32, 1, part, 2, 2, (int32_t[]){0, 2}, 1, loss),
        E_SHAPE, "target 2 of column 1 is outside the vocabulary of 2");
    assert_fails(
        kern_cross_entropy(k, KERN_F32, 2, part, 2, 2, (int32_t[]){0, 1}, 1, loss),
        E_SHAPE, "part 1 of the logits has no gradient");
    mem_fail_at(1);
    rc code = kern_cross_entropy(k, KERN_F32, 1, part, 2, 2, (int32_t[]){0, 1}, 1, loss);
    mem_fail_at(0);
    assert_int_equal(code, E_MEMORY);
    kern_close(k);
}

static void peak_is_a_plausible_number(void **state)
{
    (void)state;
    for (size_t v = 0; v < N_ISAS; v++) {
        kern *k = open_isa(1, isas[v]);
        if (!k) continue;
        double peak = kern_peak_gflops(k, 1);
        assert_true(peak > 0.001 && peak < 1e5);
        kern_close(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_reductions_equal_sums_in_double),
        cmocka_unit_test(column_reductions_equal_sums_in_double),
        cmocka_unit_test(softmax_rows_equal_softmax_in_double),
        cmocka_unit_test(sum_of_squares_neither_overflows_nor_depends_on_threads),
        cmocka_unit_test(adamw_equals_the_paper_in_double),
        cmocka_unit_test(cross_entropy_and_its_gradient_are_right),
        cmocka_unit_test(cross_entropy_of_odd_logits),
        cmocka_unit_test(cross_entropy_refuses_what_does_not_fit),
        cmocka_unit_test(peak_is_a_plausible_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
