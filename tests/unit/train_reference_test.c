/* Loss and gradients from the software engine are those of PyTorch: the whole
 * way from model to programs, fp16 arithmetic and back. */
#include "reference.h"
#include "train/train.h"

static void compare_on(const char *uri, kern *k)
{
    device *d;
    assert_ok(dev_open(uri, k, &d));
    for (int c = 0; c < REF_CASES; c++) {
        int32_t ids[REF_BATCH * (REF_SEQ + 1)];
        model *m = ref_model(c);
        st_file *f = ref_open(c);
        float *grads = calloc(m->n_floats, sizeof *grads), want;
        double loss;
        ref_ids(f, ids);
        assert_ok(train_grad(m, REF_BATCH, REF_SEQ, ids, 1024, d, k, &loss, grads));
        assert_ok(st_floats(st_find(f, "loss"), &want, 1));
        /* weights and activations have 11 bits: what the project promises */
        assert_near(loss, (double)want, 1e-3);
        ref_compare(m, f, grads, 1e-2, 0.9999);
        free(grads);
        st_close(f);
        model_free(m);
    }
    dev_close(d);
}

static void gradients_are_those_of_the_reference(void **state)
{
    static const char *const devices[] = {"emu:m4", "emu:m1", "emu:m5"};
    kern *k;
    assert_ok(kern_open(2, NULL, &k));
    for (size_t i = 0; i < COUNT_OF(devices); i++) compare_on(devices[i], k);
    kern_close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
