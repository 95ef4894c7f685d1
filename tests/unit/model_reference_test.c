/* The model's graph, computed by the oracle, has the loss and gradients that
 * PyTorch gives for an independently written Llama. */
#include "reference.h"

static void the_graph_is_the_reference_model(void **state)
{
    for (int c = 0; c < REF_CASES; c++) {
        int32_t ids[REF_BATCH * (REF_SEQ + 1)];
        model *m = ref_model(c);
        st_file *f = ref_open(c);
        arena *mem = arena_new();
        ir_graph *g;
        ir_binding bind[64];
        int n = 0;
        double in[REF_BATCH * REF_SEQ], targets[REF_BATCH * REF_SEQ], scale = 1, **v;
        float *grads = calloc(m->n_floats, sizeof *grads), want;
        ref_ids(f, ids);
        for (int i = 0; i < REF_BATCH * REF_SEQ; i++) {
            int at = i + i / REF_SEQ;
            in[i] = ids[at], targets[i] = ids[at + 1];
        }
        bind[n++] = (ir_binding){"ids", in};
        bind[n++] = (ir_binding){"targets", targets};
        bind[n++] = (ir_binding){"loss_scale", &scale};
        for (int i = 0; i < m->n_params; i++) {
            const model_param *p = &m->params[i];
            double *w = arena_array(mem, p->count, sizeof *w);
            for (size_t j = 0; j < p->count; j++)
                w[j] = (double)m->weights[p->offset + j];
            bind[n++] = (ir_binding){p->name, w};
        }
        assert_ok(model_graph(&m->config, MODEL_GRAD, REF_BATCH, REF_SEQ, &g));
        assert_ok(ir_eval(g, mem, n, bind, &v));
        for (int i = 0; i < m->n_params; i++) {
            const model_param *p = &m->params[i];
            const double *d = v[ir_find(g, arena_printf(mem, "grad:%s", p->name))->id];
            for (size_t j = 0; j < p->count; j++) grads[p->offset + j] = (float)d[j];
        }
        assert_ok(st_floats(st_find(f, "loss"), &want, 1));
        /* both in double, the file in fp32: some 2^-24 of each number */
        assert_rel(v[ir_find(g, "loss")->id][0], (double)want, 1e-6);
        ref_compare(m, f, grads, 1e-6, 1 - 1e-9);
        free(grads);
        ir_free(g);
        arena_free(mem);
        st_close(f);
        model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_graph_is_the_reference_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
