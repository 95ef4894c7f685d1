/* Activations of rms 20 over 1024 channels: their squares sum to 409600, far
 * beyond fp16. A norm that summed them there would turn into a silent zero;
 * here loss and gradients are still the oracle's. */
#include "test.h"
#include "base/rng.h"
#include "train/train.h"

enum { SEQ = 8, VOCAB = 32 };

static model *loud(void)
{
    model_config c = {.layers = 1,
                      .dim = 1024,
                      .heads = 2,
                      .head_dim = 16,
                      .hidden = 64,
                      .seq = SEQ,
                      .vocab = VOCAB};
    model *m;
    assert_ok(model_new(&c, &m));
    for (int i = 0; i < m->n_params; i++) {
        const model_param *p = &m->params[i];
        bool table = !strcmp(p->name, "model.embed_tokens.weight");
        for (size_t j = 0; j < p->count; j++) {
            double z = rng_normal(2, rng_stream(p->name), j);
            m->weights[p->offset + j] = (float)(table      ? 20 * z
                                                : p->decay ? z / 32
                                                           : 1 + 0.2 * z);
        }
    }
    return m;
}

static void oracle(const model *m, const int32_t *ids, double *loss, float *grads)
{
    arena *mem = arena_new();
    ir_graph *g;
    ir_binding bind[32];
    int n = 0;
    double in[SEQ], targets[SEQ], one = 1, **v;
    for (int i = 0; i < SEQ; i++) in[i] = ids[i], targets[i] = ids[i + 1];
    bind[n++] = (ir_binding){"ids", in};
    bind[n++] = (ir_binding){"targets", targets};
    bind[n++] = (ir_binding){"loss_scale", &one};
    for (int i = 0; i < m->n_params; i++) {
        const model_param *p = &m->params[i];
        double *w = arena_array(mem, p->count, sizeof *w);
        for (size_t j = 0; j < p->count; j++) w[j] = (double)m->weights[p->offset + j];
        bind[n++] = (ir_binding){p->name, w};
    }
    assert_ok(model_graph(&m->config, MODEL_GRAD, 1, SEQ, &g));
    assert_ok(ir_eval(g, mem, n, bind, &v));
    *loss = v[ir_find(g, "loss")->id][0];
    for (int i = 0; i < m->n_params; i++) {
        const model_param *p = &m->params[i];
        const double *d = v[ir_find(g, arena_printf(mem, "grad:%s", p->name))->id];
        for (size_t j = 0; j < p->count; j++) grads[p->offset + j] = (float)d[j];
    }
    ir_free(g);
    arena_free(mem);
}

static double relative(const float *had, const float *want, size_t n)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)had[i] - (double)want[i];
        off += d * d, all += (double)want[i] * (double)want[i];
    }
    return sqrt(off / all);
}

static void loud_activations_keep_their_gradients(void **state)
{
    static const char *const devices[] = {"emu:m4", "emu:m1"};
    int32_t ids[SEQ + 1];
    model *m = loud();
    float *had = calloc(m->n_floats, sizeof *had);
    float *want = calloc(m->n_floats, sizeof *want);
    double loss, exact;
    for (int i = 0; i <= SEQ; i++) ids[i] = (int32_t)rng_below(3, 1, (uint64_t)i, VOCAB);
    oracle(m, ids, &exact, want);
    for (size_t k = 0; k < COUNT_OF(devices); k++) {
        kern *cpu;
        device *d;
        assert_ok(kern_open(2, NULL, &cpu));
        assert_ok(dev_open(devices[k], cpu, &d));
        assert_ok(train_grad(m, 1, SEQ, ids, 1024, d, cpu, &loss, had));
        /* bounds of the comparison with the reference model */
        assert_near(loss, exact, 1e-3);
        for (int i = 0; i < m->n_params; i++) {
            const model_param *p = &m->params[i];
            double off = relative(had + p->offset, want + p->offset, p->count);
            if (!(off <= 1e-2))
                fail_msg("%s on %s: off by %.3g", p->name, devices[k], off);
        }
        dev_close(d);
        kern_close(cpu);
    }
    free(had);
    free(want);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loud_activations_keep_their_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
