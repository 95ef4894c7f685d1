/* Drawing a token: frequencies are the probabilities asked for, cuts keep what
 * they should, and a seed repeats. */
#include "test.h"
#include "gen/internal.h"

enum { N = 5, DRAWS = 20000 };
static const float logits[N] = {1.0f, 3.0f, 2.0f, -1.0f, 2.5f};

static void count(const gen_options *o, double share[N])
{
    int32_t order[N];
    memset(share, 0, N * sizeof *share);
    for (uint64_t i = 0; i < DRAWS; i++) {
        float z[N];
        memcpy(z, logits, sizeof z);
        share[sample_draw(z, N, o, i, order)] += 1.0 / DRAWS;
    }
}

/* softmax(logits / t) over the ids in `kept` */
static void expect(const double *share, double t, const bool *kept)
{
    double p[N], sum = 0;
    for (int i = 0; i < N; i++) sum += p[i] = kept[i] ? exp((double)logits[i] / t) : 0;
    for (int i = 0; i < N; i++) {
        double want = p[i] / sum;
        /* a share of 20000 draws has a deviation of at most 0.0036 */
        assert_near(share[i], want, kept[i] ? 5 * 0.0036 : 0);
    }
}

static void frequencies_are_the_softmax(void **state)
{
    static const bool all[N] = {true, true, true, true, true};
    double share[N];
    count(&(gen_options){.temperature = 1, .seed = 1}, share);
    expect(share, 1, all);
    count(&(gen_options){.temperature = 2, .seed = 1, .top_p = 1, .top_k = N}, share);
    expect(share, 2, all);
}

static void cuts_keep_the_likeliest(void **state)
{
    static const bool three[N] = {false, true, true, false, true};
    static const bool two[N] = {false, true, false, false, true};
    double share[N];
    count(&(gen_options){.temperature = 1, .top_k = 3}, share);
    expect(share, 1, three);
    /* probabilities 0.06 0.45 0.17 0.008 0.28 (ids 0 to 4) */
    count(&(gen_options){.temperature = 1, .top_p = 0.6}, share);
    expect(share, 1, two);
    count(&(gen_options){.temperature = 1, .top_p = 0.85}, share);
    expect(share, 1, three);
    /* of the three of top_k, 0.5 0.31 0.19, two hold 0.75 */
    count(&(gen_options){.temperature = 1, .top_k = 3, .top_p = 0.75}, share);
    expect(share, 1, two);
}

static void temperature_zero_takes_the_largest_and_a_seed_repeats(void **state)
{
    int32_t order[N], a[50], b[50];
    float z[N];
    memcpy(z, logits, sizeof z);
    assert_int_equal(sample_draw(z, N, &(gen_options){.temperature = 0}, 3, order), 1);
    int differs = 0;
    for (uint64_t seed = 1; seed < 3; seed++)
        for (int round = 0; round < 2; round++)
            for (uint64_t i = 0; i < 50; i++) {
                gen_options o = {.temperature = 1.5, .seed = seed, .top_p = 0.95};
                memcpy(z, logits, sizeof z);
                int32_t id = sample_draw(z, N, &o, i, order);
                if (round) assert_int_equal(id, a[i]);
                else if (seed == 1) b[i] = a[i] = id;
                else differs += b[i] != (a[i] = id);
            }
    assert_true(differs > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_are_the_softmax),
        cmocka_unit_test(cuts_keep_the_likeliest),
        cmocka_unit_test(temperature_zero_takes_the_largest_and_a_seed_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
