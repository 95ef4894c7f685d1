/* The graph of the model, computed by the oracle in double: its gradients are
 * those of its loss, and its forms and rotary orders agree. */
#include "test.h"
#include "base/rng.h"
#include "model/model.h"

enum { BATCH = 2, SEQ = 5, COLUMNS = BATCH * SEQ };

static model_config tiny(int form)
{
    return (model_config){.layers = 2,
                          .dim = 8,
                          .heads = 4,
                          .kv_heads = 2,
                          .head_dim = 6,
                          .hidden = 10,
                          .seq = SEQ,
                          .vocab = 7,
                          .tied = form & 1,
                          .qk_norm = form & 2,
                          .rope_interleaved = form & 4};
}

/* Large enough that every weight matters, norms far from 1 */
static model *make(model_config c)
{
    model *m;
    assert_ok(model_new(&c, &m));
    for (int i = 0; i < m->n_params; i++)
        for (size_t j = 0; j < m->params[i].count; j++) {
            double z = rng_normal(3, rng_stream(m->params[i].name), j);
            m->weights[m->params[i].offset + j] =
                (float)(m->params[i].decay ? 0.3 * z : 1.5 + 0.5 * z);
        }
    return m;
}

typedef struct {
    arena *mem;
    ir_graph *g;
    ir_binding bind[64];
    int n;
} ready;

static double *widen(arena *mem, const float *x, size_t n)
{
    double *d = arena_array(mem, n, sizeof *d);
    assert_non_null(d);
    for (size_t i = 0; i < n; i++) d[i] = (double)x[i];
    return d;
}

static ready prepare(const model *m, model_form form, double scale)
{
    ready r = {.mem = arena_new()};
    assert_ok(model_graph(&m->config, form, BATCH, SEQ, &r.g));
    double *ids = arena_array(r.mem, COLUMNS, sizeof *ids);
    double *targets = arena_array(r.mem, COLUMNS, sizeof *targets);
    double *s = arena_take(r.mem, sizeof *s);
    *s = scale;
    for (int i = 0; i < COLUMNS; i++) {
        ids[i] = (i * 5 + 1) % 7;
        targets[i] = i == 3 ? -1 : (i * 3 + 2) % 7;
    }
    r.bind[r.n++] = (ir_binding){"ids", ids};
    if (form != MODEL_LOGITS) r.bind[r.n++] = (ir_binding){"targets", targets};
    if (form == MODEL_GRAD) r.bind[r.n++] = (ir_binding){"loss_scale", s};
    for (int i = 0; i < m->n_params; i++) {
        const model_param *p = &m->params[i];
        r.bind[r.n++] = (ir_binding){p->name,
                                     widen(r.mem, m->weights + p->offset, p->count)};
    }
    return r;
}

static const double *value(ready *r, const char *output)
{
    double **v;
    assert_ok(ir_eval(r->g, r->mem, r->n, r->bind, &v));
    ir_node *n = ir_find(r->g, output);
    assert_non_null(n);
    assert_non_null(v[n->id]);
    return v[n->id];
}

static void done(ready *r)
{
    ir_free(r->g);
    arena_free(r->mem);
}

static double *bound(ready *r, const char *name)
{
    for (int i = 0; i < r->n; i++)
        if (!strcmp(r->bind[i].name, name)) return (double *)(uintptr_t)r->bind[i].v;
    return NULL;
}

static void gradients_are_slopes_of_the_loss(void **state)
{
    const double scale = 8, h = 1e-4;
    for (int form = 0; form < 8; form++) {
        model *m = make(tiny(form));
        ready grad = prepare(m, MODEL_GRAD, scale), loss = prepare(m, MODEL_LOSS, 0);
        assert_true(value(&grad, "loss")[0] == value(&loss, "loss")[0]);
        for (int i = 0; i < m->n_params; i++) {
            const model_param *p = &m->params[i];
            char name[128];
            snprintf(name, sizeof name, "grad:%s", p->name);
            size_t j = p->count / 3;
            double *w = bound(&loss, p->name), w0 = w[j];
            double had = value(&grad, name)[j];
            w[j] = w0 + h;
            double up = value(&loss, "loss")[0];
            w[j] = w0 - h;
            double down = value(&loss, "loss")[0];
            w[j] = w0;
            /* central differences: error h^2 * third derivative, some 1e-7 */
            assert_near(had, scale * (up - down) / (2 * h), 2e-6 + 1e-5 * fabs(had));
        }
        done(&grad);
        done(&loss);
        model_free(m);
    }
}

static void the_loss_is_that_of_the_logits(void **state)
{
    model *m = make(tiny(3));
    ready loss = prepare(m, MODEL_LOSS, 0), logits = prepare(m, MODEL_LOGITS, 0);
    const double *z = value(&logits, "logits"), *targets = bound(&loss, "targets");
    double sum = 0, counted = 0;
    for (int t = 0; t < COLUMNS; t++) {
        double total = 0;
        if (targets[t] < 0) continue;
        for (int v = 0; v < 7; v++) total += exp(z[v * COLUMNS + t]);
        sum += log(total) - z[(int)targets[t] * COLUMNS + t];
        counted++;
    }
    assert_near(value(&loss, "loss")[0], sum / counted, 1e-12);
    done(&loss);
    done(&logits);
    model_free(m);
}

static void a_token_does_not_see_later_ones_or_other_sequences(void **state)
{
    model *m = make(tiny(2));
    ready a = prepare(m, MODEL_LOGITS, 0), b = prepare(m, MODEL_LOGITS, 0);
    bound(&b, "ids")[3] = (int)(bound(&b, "ids")[3] + 1) % 7;
    const double *x = value(&a, "logits"), *y = value(&b, "logits");
    for (int t = 0; t < COLUMNS; t++) {
        double off = 0;
        for (int v = 0; v < 7; v++)
            off = fmax(off, fabs(x[v * COLUMNS + t] - y[v * COLUMNS + t]));
        if (t == 3 || t == 4) assert_true(off > 1e-3);
        else assert_true(off < 1e-12);
    }
    done(&a);
    done(&b);
    model_free(m);
}

static void an_interleaved_model_saved_half_split_has_equal_logits(void **state)
{
    model *m = make(tiny(4 + 2)), *open;
    assert_ok(model_save(m, *state));
    assert_ok(model_load(*state, &open));
    assert_true(m->config.rope_interleaved && !open->config.rope_interleaved);
    ready a = prepare(m, MODEL_LOGITS, 0), b = prepare(open, MODEL_LOGITS, 0);
    const double *x = value(&a, "logits"), *y = value(&b, "logits");
    /* the sums over a head run in another order: last bits of a double */
    for (int i = 0; i < 7 * COLUMNS; i++) assert_near(x[i], y[i], 1e-12);
    done(&a);
    done(&b);
    model_free(m);
    model_free(open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes_of_the_loss),
        cmocka_unit_test(the_loss_is_that_of_the_logits),
        cmocka_unit_test(a_token_does_not_see_later_ones_or_other_sequences),
        cmocka_unit_test_setup_teardown(
            an_interleaved_model_saved_half_split_has_equal_logits, test_dir_setup,
            test_dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
