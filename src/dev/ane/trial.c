/* trial.c - the tiny program by which a route proves itself when the device is
 * opened: two inputs declared against the alphabet, one subtraction. A route
 * that compiles nothing, runs nothing, or binds otherwise is found here, not
 * in the middle of a training run. */
#include <stdio.h>
#include <string.h>
#include "base/half.h"
#include "dev/ane/ane.h"

enum { ELEMENTS = 32 * 32 };
#define TENSOR "tensor<fp16, [1, 32, 1, 32]>"

static const char *const texts[2] = {
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-component-MIL\", "
    "\"3510.2.1\"}, {\"coremlc-version\", \"3505.4.1\"}})]\n"
    "{\n    func main<ios18>(" TENSOR " b_in, " TENSOR " a_in) {\n"
    "        " TENSOR " out = sub(x = a_in, y = b_in)[name = string(\"out\")];\n"
    "    } -> (out);\n}\n",
    /* M1 and M2 are surer of the older spelling (maderix/ANE PR 6). */
    "program(1.0)\n[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{\"coremlc-"
    "version\", \"3505.4.1\"}})]\n"
    "{\n    func main<ios16>(" TENSOR " b_in, " TENSOR " a_in) {\n"
    "        " TENSOR " out = sub(x = a_in, y = b_in)[name = tensor<string, "
    "[]>(\"out\")];\n"
    "    } -> (out);\n}\n",
};

static double input_at(int port, int i)
{
    return port ? i % 7 : i % 100; /* a - b is never b - a in all places */
}

static rc fill(dev_surface *s, int port)
{
    void *host;
    TRY(ane_map(s, &host));
    for (int i = 0; i < ELEMENTS; i++)
        ((half *)host)[i] = half_from_double(input_at(port, i));
    return ane_unmap(s);
}

static rc compare(dev_surface *s)
{
    void *host;
    TRY(ane_map(s, &host));
    int bad = 0, swapped = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        double want = input_at(0, i) - input_at(1, i),
               had = half_to_double(((half *)host)[i]);
        bad += had != want;
        swapped += had == -want;
    }
    TRY(ane_unmap(s));
    if (!bad) return OK;
    if (swapped == ELEMENTS)
        return err_fail(E_DEVICE,
                        "the engine does not bind inputs in alphabetical order");
    return err_fail(E_DEVICE, "%d of %d numbers of a subtraction are wrong", bad,
                    (int)ELEMENTS);
}

static rc run(ane_device *d, ane_model *m, dev_surface *const *s)
{
    ane_id objects[3];
    const void *keys[3];
    for (int i = 0; i < 3; i++) {
        objects[i] = ((ane_surface *)s[i])->object;
        keys[i] = s[i];
    }
    TRY(fill(s[0], 0));
    TRY(fill(s[1], 1));
    TRY(ane_model_run(&d->e, m, objects, keys, 3));
    return compare(s[2]);
}

rc ane_trial(ane_device *d)
{
    static const mil_type type = {
        .dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 32, 1, 32}};
    const dev_port in[] = {{"a_in", type}, {"b_in", type}}, out[] = {{"out", type}};
    const dev_ports ports = {2, 1, in, out};
    const dev_shape shape = {MIL_FP16, 4, {1, 32, 1, 32}, 0};
    const char *text = texts[d->soft.params.profile->old_mil];
    dev_source src = {"trial", text, strlen(text), NULL, 0};
    dev_surface *s[3] = {NULL};
    ane_model *m = NULL;
    rc r = OK;
    d->e.trial = true;
    for (int i = 0; i < 3 && r == OK; i++)
        r = ane_surface_new(&d->soft.base, &shape, &s[i]);
    if (r == OK) r = ane_model_get(&d->e, &src, &ports, &m);
    if (r == OK) r = run(d, m, s);
    ane_model_put(&d->e, m);
    for (int i = 0; i < 3; i++)
        if (s[i]) ane_surface_drop(s[i]);
    d->e.trial = false;
    return r;
}
