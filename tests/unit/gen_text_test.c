/* Generation with keys and values kept gives what the whole sequence computed
 * at once gives, on the software engine, through chunks, steps and the ring. */
#include "test.h"
#include "base/rng.h"
#include "gen/gen.h"

enum { SEQ = 45, VOCAB = 50, PROMPTS = 5 };

typedef struct {
    kern *k;
    device *d;
} bench;

static int setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    assert_ok(kern_open(2, NULL, &b->k));
    assert_ok(dev_open("emu:m4", b->k, &b->d));
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    dev_close(b->d);
    kern_close(b->k);
    free(b);
    return 0;
}

static model *make(int form)
{
    model_config c = {.layers = 2,
                      .dim = 32,
                      .heads = 4,
                      .kv_heads = 2,
                      .head_dim = 16,
                      .hidden = 64,
                      .seq = SEQ,
                      .vocab = VOCAB,
                      .tied = form & 1,
                      .qk_norm = form & 1,
                      .rope_interleaved = form & 2};
    model *m;
    assert_ok(model_new(&c, &m));
    model_init(m, 3);
    for (int i = 0; i < m->n_params; i++) /* attention that is not flat */
        for (size_t j = 0; m->params[i].decay && j < m->params[i].count; j++)
            m->weights[m->params[i].offset + j] *= 5;
    return m;
}

static void some_ids(int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)rng_below(1, 2, i, VOCAB);
}

/* By the oracle, in double. */
static void whole(const model *m, const int32_t *ids, int n, double *logits)
{
    arena *mem = arena_new();
    ir_graph *g;
    ir_binding bind[64];
    int n_bind = 0;
    double *in = arena_array(mem, (size_t)n, sizeof *in), **v;
    for (int i = 0; i < n; i++) in[i] = ids[i];
    bind[n_bind++] = (ir_binding){"ids", in};
    for (int i = 0; i < m->n_params; i++) {
        const model_param *p = &m->params[i];
        double *w = arena_array(mem, p->count, sizeof *w);
        for (size_t j = 0; j < p->count; j++) w[j] = (double)m->weights[p->offset + j];
        bind[n_bind++] = (ir_binding){p->name, w};
    }
    assert_ok(model_graph(&m->config, MODEL_LOGITS, 1, n, &g));
    assert_ok(ir_eval(g, mem, n_bind, bind, &v));
    for (int i = 0; i < VOCAB; i++)
        logits[i] = v[ir_find(g, "logits")->id][(size_t)i * (size_t)n + (size_t)n - 1];
    ir_free(g);
    arena_free(mem);
}

static void compare_on(const char *uri, kern *k, const model *m, const int32_t *ids)
{
    static const int lengths[PROMPTS] = {1, 5, 32, 33, SEQ};
    device *d;
    gen *g;
    assert_ok(dev_open(uri, k, &d));
    assert_ok(gen_open(m, d, k, &g));
    for (int i = 0; i < PROMPTS; i++) {
        float had[VOCAB], want[VOCAB];
        double exact[VOCAB];
        assert_ok(gen_logits(g, ids, (size_t)lengths[i], had));
        whole(m, ids, lengths[i], exact);
        for (int j = 0; j < VOCAB; j++) want[j] = (float)exact[j];
        /* 2 layers of fp16 values, each rounding some 5e-4 */
        assert_all_rel(had, want, VOCAB, 0.02);
    }
    gen_close(g);
    dev_close(d);
}

static void logits_are_those_of_the_whole_sequence(void **state)
{
    static const char *const devices[] = {"emu:m4", "emu:m1", "emu:m5", "emu:m4,wide"};
    bench *b = *state;
    int32_t ids[SEQ];
    some_ids(ids, SEQ);
    for (int form = 0; form < 4; form++) {
        model *m = make(form);
        for (size_t i = 0; i < COUNT_OF(devices); i++)
            compare_on(devices[i], b->k, m, ids);
        model_free(m);
    }
}

typedef struct {
    int32_t id[128];
    int n, stop_at;
} heard;

static bool hear(void *ctx, int32_t id)
{
    heard *h = ctx;
    h->id[h->n++] = id;
    return h->n != h->stop_at;
}

static void a_seed_repeats_and_the_window_slides(void **state)
{
    bench *b = *state;
    model *m = make(0);
    gen *g;
    gen_options o = {.temperature = 1, .seed = 9, .top_k = 20};
    heard one = {0}, two = {0}, other = {0};
    gen_stats stats;
    int32_t ids[100];
    some_ids(ids, 100);
    assert_ok(gen_open(m, b->d, b->k, &g));
    assert_ok(gen_run(g, ids, 4, 2 * SEQ, -1, &o, hear, &one, &stats));
    assert_int_equal(one.n, 2 * SEQ);
    assert_int_equal(stats.n_tokens, 2 * SEQ);
    assert_true(stats.first_ms > 0 && stats.tokens_per_s > 0);
    assert_ok(gen_run(g, ids, 4, 2 * SEQ, -1, &o, hear, &two, NULL));
    assert_memory_equal(one.id, two.id, sizeof one.id);
    o.seed = 10;
    assert_ok(gen_run(g, ids, 4, 2 * SEQ, -1, &o, hear, &other, NULL));
    assert_memory_not_equal(one.id, other.id, sizeof one.id);
    /* of a prompt longer than the window only the end counts */
    float long_prompt[VOCAB], its_end[VOCAB];
    assert_ok(gen_logits(g, ids, 100, long_prompt));
    assert_ok(gen_logits(g, ids + 100 - SEQ, SEQ, its_end));
    assert_memory_equal(long_prompt, its_end, sizeof its_end);
    gen_close(g);
    model_free(m);
}

static void it_stops_when_told_and_refuses_what_is_no_token(void **state)
{
    bench *b = *state;
    model *m = make(1);
    gen *g;
    gen_options greedy = {0};
    heard h = {.stop_at = 3}, end = {0};
    int32_t ids[2] = {1, VOCAB};
    assert_ok(gen_open(m, b->d, b->k, &g));
    assert_ok(gen_run(g, ids, 1, 10, -1, &greedy, hear, &h, NULL));
    assert_int_equal(h.n, 3);
    assert_ok(gen_run(g, ids, 1, 10, h.id[0], &greedy, hear, &end, NULL));
    assert_int_equal(end.n, 0);
    assert_fails(gen_run(g, ids, 2, 10, -1, &greedy, hear, &h, NULL), E_CONFIG,
                 "token id 50 is outside the vocabulary of 50");
    assert_fails(gen_run(g, ids, 0, 10, -1, &greedy, hear, &h, NULL), E_CONFIG,
                 "prompt is empty");
    gen_close(g);
    device *null;
    assert_ok(dev_open("null:m4", b->k, &null));
    assert_fails(gen_open(m, null, b->k, &g), E_DEVICE, "runs no programs");
    dev_close(null);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_the_whole_sequence),
        cmocka_unit_test(a_seed_repeats_and_the_window_slides),
        cmocka_unit_test(it_stops_when_told_and_refuses_what_is_no_token),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
