/* Random numbers: the published vectors, and what the rest of us rely on. */
#include "test.h"
#include "base/rng.h"

/* Known-answer vectors for philox4x32-10 from Random123's kat_vectors file
 * (D. E. Shaw Research, distributed with the paper's code): counter, key,
 * result. */
static const struct {
    uint32_t counter[4], key[2], want[4];
} known[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static uint64_t join(const uint32_t w[2])
{
    return (uint64_t)w[1] << 32 | w[0];
}

static void blocks_match_published_vectors(void **state)
{
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        uint32_t had[4];
        rng_block(join(known[i].key), join(known[i].counter + 2), join(known[i].counter),
                  had);
        assert_memory_equal(had, known[i].want, sizeof had);
    }
}

static void unit_is_in_range_and_even(void **state)
{
    enum { N = 100000 };
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = rng_unit(1, 2, i);
        assert_true(u >= 0 && u < 1);
        sum += u, squares += u * u;
    }
    /* five standard errors: sqrt(1/12/N) and sqrt(4/45/N) */
    assert_near(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    assert_near(squares / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
}

static void normal_has_the_moments_of_a_normal(void **state)
{
    enum { N = 100000 };
    double m[5] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double x = rng_normal(3, 4, i), p = 1;
        assert_true(isfinite(x));
        for (int k = 1; k <= 4; k++) m[k] += p *= x;
    }
    /* five standard errors; the variances of x..x^4 are 1, 2, 15, 96 */
    assert_near(m[1] / N, 0, 5 * sqrt(1.0 / N));
    assert_near(m[2] / N, 1, 5 * sqrt(2.0 / N));
    assert_near(m[3] / N, 0, 5 * sqrt(15.0 / N));
    assert_near(m[4] / N, 3, 5 * sqrt(96.0 / N));
}

static void below_stays_below_and_reaches_all(void **state)
{
    size_t seen[7] = {0};
    for (uint64_t i = 0; i < 7000; i++) {
        uint64_t v = rng_below(5, 6, i, 7);
        assert_true(v < 7);
        seen[v]++;
    }
    /* a count of 1000 has a deviation of sqrt(7000 * 6/49) = 29 */
    for (int v = 0; v < 7; v++) assert_near(seen[v], 1000, 5 * 29);
    assert_int_equal(rng_below(1, 1, 1, 1), 0);
    assert_true(rng_below(1, 1, 1, UINT64_MAX) < UINT64_MAX);
    /* the high half of the product, against values worked out by hand: with
     * n = 2^63 it is the random word without its last bit */
    uint32_t w[4];
    rng_block(9, 8, 7, w);
    assert_true(rng_below(9, 8, 7, (uint64_t)1 << 63) == join(w) >> 1);
}

static void permute_is_a_permutation(void **state)
{
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 100, 1000, 4096, 65537};
    for (size_t k = 0; k < COUNT_OF(sizes); k++) {
        unsigned char *seen = calloc(1, (size_t)sizes[k]);
        for (uint64_t i = 0; i < sizes[k]; i++) {
            uint64_t at = rng_permute(11, k, i, sizes[k]);
            assert_true(at < sizes[k]);
            assert_false(seen[at]);
            seen[at] = 1;
        }
        free(seen);
    }
}

static void permute_mixes(void **state)
{
    /* the mean distance between neighbours of a random order is n/3 */
    enum { N = 1000 };
    double sum = 0;
    int same = 0;
    for (uint64_t i = 0; i < N; i++) {
        double a = (double)rng_permute(1, 1, i, N),
               b = (double)rng_permute(1, 1, (i + 1) % N, N);
        sum += fabs(a - b);
        same += rng_permute(1, 1, i, N) == rng_permute(2, 1, i, N);
    }
    assert_near(sum / N, N / 3.0, N / 20.0);
    assert_true(same < 10); /* one is expected between two orders */
}

static void permute_serves_the_largest_sizes(void **state)
{
    assert_true(rng_permute(1, 2, UINT64_MAX - 1, UINT64_MAX) < UINT64_MAX);
    assert_true(rng_permute(1, 2, 5, (uint64_t)1 << 63) < (uint64_t)1 << 63);
    assert_true(rng_permute(1, 2, 10, 3) < 3); /* a place outside still ends */
}

static void streams_of_names_differ(void **state)
{
    uint64_t seen[200];
    char name[32];
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        snprintf(name, sizeof name, "layers.%zu.wq", i);
        seen[i] = rng_stream(name);
        for (size_t j = 0; j < i; j++) assert_true(seen[i] != seen[j]);
    }
    assert_true(rng_stream("a") == rng_stream("a"));
    assert_true(rng_u32(1, seen[0], 0) != rng_u32(1, seen[1], 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_match_published_vectors),
        cmocka_unit_test(unit_is_in_range_and_even),
        cmocka_unit_test(normal_has_the_moments_of_a_normal),
        cmocka_unit_test(below_stays_below_and_reaches_all),
        cmocka_unit_test(permute_is_a_permutation),
        cmocka_unit_test(permute_mixes),
        cmocka_unit_test(permute_serves_the_largest_sizes),
        cmocka_unit_test(streams_of_names_differ),
    };
    return cmocka_run_group_tests_name("base rng", tests, NULL, NULL);
}
