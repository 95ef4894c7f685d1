/* trial.c - the tiny program by which a route proves itself when the device is
 * opened: two inputs declared against the alphabet, their difference, and their
 * sum with numbers of a weight file. A route that compiles nothing, runs nothing,
 * finds no weights or binds otherwise is found here, not in the middle of a
 * training run.
 *
 * The same program settles whether the surfaces of a side must have one size
 * (rule uniform_surfaces, which sources dispute): it is run once more with one
 * input and one output in larger surfaces. A plan for this machine then keeps
 * the rule, or saves the memory, because it is known. */
#include <stdio.h>
#include <string.h>
#include "base/half.h"
#include "dev/ane/ane.h"

enum { ELEMENTS = 32 * 32, A = 0, B, DIFFERENCE, SUM, PORTS };
enum { LARGER = 2 * 49152 };
#define TENSOR "tensor<fp16, [1, 32, 1, 32]>"
#define WEIGHT "tensor<fp16, [1, 32, 1, 1]>"
#define FILE_NAME "@model_path/weights/trial.bin"

static const char *const texts[2] = {
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-component-MIL\", "
    "\"3510.2.1\"}, {\"coremlc-version\", \"3505.4.1\"}})]\n"
    "{\n    func main<ios18>(" TENSOR " b_in, " TENSOR " a_in) {\n"
    "        " TENSOR " minus = sub(x = a_in, y = b_in)[name = string(\"minus\")];\n"
    "        " TENSOR " sum = add(x = a_in, y = b_in)[name = string(\"sum\")];\n"
    "        " WEIGHT " w = const()[name = string(\"w\"), val = " WEIGHT
    "(BLOBFILE(path = string(\"" FILE_NAME "\"), offset = uint64(64)))];\n"
    "        " TENSOR " plus = add(x = sum, y = w)[name = string(\"plus\")];\n"
    "    } -> (plus, minus);\n}\n",
    /* M1 and M2 are surer of the older spelling (maderix/ANE PR 6). */
    "program(1.0)\n[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{\"coremlc-"
    "version\", \"3505.4.1\"}})]\n"
    "{\n    func main<ios16>(" TENSOR " b_in, " TENSOR " a_in) {\n"
    "        " TENSOR " minus = sub(x = a_in, y = b_in)[name = tensor<string, "
    "[]>(\"minus\")];\n"
    "        " TENSOR
    " sum = add(x = a_in, y = b_in)[name = tensor<string, []>(\"sum\")];\n"
    "        " WEIGHT " w = const()[name = tensor<string, []>(\"w\"), val = " WEIGHT
    "(BLOBFILE(path = tensor<string, []>(\"" FILE_NAME
    "\"), offset = tensor<uint64, []>(64)))];\n"
    "        " TENSOR
    " plus = add(x = sum, y = w)[name = tensor<string, []>(\"plus\")];\n"
    "    } -> (plus, minus);\n}\n",
};

/* Of channel c. */
static double weight(int c)
{
    return c % 5;
}

static double value_at(int port, int i)
{
    double a = i % 100, b = i % 7; /* a - b is never b - a in all places */
    return port == A ? a : port == B ? b : port == SUM ? a + b + weight(i / 32) : a - b;
}

static rc fill(dev_surface *s, int port)
{
    void *host;
    TRY(ane_map(s, &host));
    for (int i = 0; i < ELEMENTS; i++)
        ((half *)host)[i] = half_from_double(value_at(port, i));
    return ane_unmap(s);
}

static rc compare(dev_surface *s, int port)
{
    void *host;
    int bad = 0, negative = 0, other = 0;
    TRY(ane_map(s, &host));
    for (int i = 0; i < ELEMENTS; i++) {
        double want = value_at(port, i), had = half_to_double(((half *)host)[i]);
        bad += had != want;
        negative += had == -want;
        other += had == value_at(DIFFERENCE + SUM - port, i);
    }
    TRY(ane_unmap(s));
    if (!bad) return OK;
    if (negative == ELEMENTS)
        return err_fail(E_DEVICE,
                        "the engine does not bind inputs in alphabetical order");
    if (other == ELEMENTS)
        return err_fail(E_DEVICE,
                        "the engine does not bind outputs in alphabetical order");
    return err_fail(E_DEVICE, "%d of %d numbers of a trial are wrong", bad,
                    (int)ELEMENTS);
}

/* One run with inputs and outputs in surfaces of these sizes. */
static rc run(ane_device *d, ane_model *m, const size_t *bytes)
{
    dev_surface *s[PORTS] = {NULL};
    ane_id objects[PORTS];
    const void *keys[PORTS];
    rc r = OK;
    for (int i = 0; i < PORTS && r == OK; i++) {
        dev_shape shape = {MIL_FP16, 4, {1, 32, 1, 32}, bytes[i]};
        r = ane_surface_new(&d->soft.base, &shape, &s[i]);
        if (r == OK) objects[i] = ((ane_surface *)s[i])->object;
        keys[i] = s[i];
    }
    if (r == OK) r = fill(s[A], A);
    if (r == OK) r = fill(s[B], B);
    if (r == OK) r = ane_model_run(&d->e, m, objects, keys, PORTS);
    if (r == OK) r = compare(s[DIFFERENCE], DIFFERENCE);
    if (r == OK) r = compare(s[SUM], SUM);
    for (int i = 0; i < PORTS; i++)
        if (s[i]) ane_surface_drop(s[i]);
    return r;
}

static rc run_both_ways(ane_device *d, ane_model *m)
{
    static const size_t same[PORTS] = {0}, in[PORTS] = {[B] = LARGER},
                        out[PORTS] = {[SUM] = LARGER};
    TRY(run(d, m, same));
    bool any = run(d, m, in) == OK && run(d, m, out) == OK;
    if (!any) err_clear();
    d->soft.caps.rule_holds[RULE_uniform_surfaces] = !any;
    d->soft.caps.rule_disputed[RULE_uniform_surfaces] = false;
    return OK;
}

static rc make_weights(mil_blob_writer **blob, mil_blob_file *weights)
{
    half w[32];
    uint64_t at;
    const void *bytes;
    for (int c = 0; c < 32; c++) w[c] = half_from_double(weight(c));
    TRY(mil_blob_new(blob));
    TRY(mil_blob_add(*blob, MIL_FP16, w, sizeof w, &at));
    TRY(mil_blob_bytes(*blob, &bytes, &weights->size));
    weights->bytes = bytes;
    return OK;
}

rc ane_trial(ane_device *d)
{
    static const mil_type type = {
        .dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 32, 1, 32}};
    const dev_port in[] = {{"a_in", type}, {"b_in", type}},
                   out[] = {{"minus", type}, {"plus", type}};
    const dev_ports ports = {2, 2, in, out};
    const char *text = texts[d->soft.params.profile->old_mil];
    mil_blob_file weights = {.path = FILE_NAME};
    dev_source src = {"trial", text, strlen(text), &weights, 1};
    ane_model *m = NULL;
    mil_blob_writer *blob = NULL;
    d->e.trial = true;
    rc r = make_weights(&blob, &weights);
    if (r == OK) r = ane_model_get(&d->e, &src, &ports, &m);
    if (r == OK) r = run_both_ways(d, m);
    ane_model_put(&d->e, m);
    mil_blob_free(blob);
    d->e.trial = false;
    return r;
}
