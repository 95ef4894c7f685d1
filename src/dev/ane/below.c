/* below.c - programs that our own reader refuses, or does not know, put to the
 * system all the same: it says itself what it takes. See below.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "dev/ane/below.h"
#include "dev/probe_case.h"

#define HEAD                                                                  \
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", " \
    "\"3505.4.1\"}})]\n{ func main<ios18>("
#define ROWS "tensor<fp16, [1, 4, 1, 32]>"
#define TYPE4(a, b, c, e)                                                 \
    {                                                                     \
        .dtype = MIL_FP16, .tensor = true, .rank = 4, .d = { a, b, c, e } \
    }

const dev_port below_in = {"in_a", TYPE4(1, 4, 1, 32)};
const dev_port below_out = {"out_a", TYPE4(1, 4, 1, 32)};

rc below_load(ane_device *d, const char *name, const char *text, const dev_ports *ports,
              ane_model **out)
{
    str spelled = {0};
    str_add(&spelled, text);
    rc r = probe_spell(&d->soft.base, &spelled);
    dev_source src = {name, spelled.p, spelled.n, NULL, 0};
    if (r == OK) r = ane_model_get(&d->e, &src, ports, out);
    str_free(&spelled);
    return r;
}

static rc surface_of(ane_device *d, const dev_port *port, dev_surface **out)
{
    probe_port p = {.name = port->name, .type = port->type};
    TRY(probe_surface(&d->soft.base, &p, out));
    return probe_fill(*out, &p); /* zeros */
}

/* ---- surface_slots: one surface for 128 inputs, and one output ---- */
enum { MANY = 128 };

static void sum_of_many(str *s, dev_port *in, char names[][8])
{
    str_add(s, HEAD);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "in_%03d", i);
        in[i] = (dev_port){names[i], below_in.type};
        str_addf(s, "%s" ROWS " %s", i ? ", " : "", names[i]);
    }
    str_add(s, ") {\n");
    for (int i = 1; i < MANY; i++) {
        char from[16], to[16];
        snprintf(from, sizeof from, i > 1 ? "sum_%d" : "in_%03d", i - 1);
        snprintf(to, sizeof to, i + 1 < MANY ? "sum_%d" : "out_a", i);
        str_addf(s, ROWS " %s = add(x = %s, y = in_%03d)[name = string(\"%s\")];\n", to,
                 from, i, to);
    }
    str_add(s, "} -> (out_a); }\n");
}

static rc run_many(ane_device *d, ane_model *m)
{
    dev_surface *in = NULL, *to = NULL;
    ane_id objects[MANY + 1];
    const void *keys[MANY + 1];
    rc r = surface_of(d, &below_in, &in);
    if (r == OK) r = surface_of(d, &below_out, &to);
    for (int i = 0; i <= MANY && r == OK; i++) {
        keys[i] = i < MANY ? in : to;
        objects[i] = ((ane_surface *)keys[i])->object;
    }
    if (r == OK) r = ane_model_run(&d->e, m, objects, keys, MANY + 1);
    dev_drop(in);
    dev_drop(to);
    return r;
}

rc below_slots(ane_device *d, dev_sight *out)
{
    dev_port in[MANY];
    char names[MANY][8];
    const dev_ports ports = {MANY, 1, in, &below_out};
    ane_model *m = NULL;
    str text = {0};
    sum_of_many(&text, in, names);
    rc r = str_done(&text);
    if (r == OK) r = below_load(d, "surface_slots", str_text(&text), &ports, &m);
    if (r == OK) r = run_many(d, m);
    if (r == OK) check_say(out, DEV_SEEN_RIGHT, "a run took %d surfaces", MANY + 1);
    ane_model_put(&d->e, m);
    str_free(&text);
    return r;
}

/* ---- grouped_conv_limit ---- */
rc below_groups(ane_device *d, dev_sight *out)
{
    static const char text[] = HEAD
        "tensor<fp16, [1, 6, 1, 32]> in_a) {\n"
        "tensor<fp16, [8, 1, 1, 1]> weight = const()[name = string(\"weight\"), val = "
        "tensor<fp16, [8, 1, 1, 1]>([1, 1, 1, 1, 1, 1, 1, 1])];\n"
        "int32 many = const()[name = string(\"many\"), val = int32(4)];\n"
        "tensor<fp16, [1, 8, 1, 32]> out_a = conv(groups = many, weight = weight, x = "
        "in_a)[name = string(\"out_a\")];\n} -> (out_a); }\n";
    static const dev_port in = {"in_a", TYPE4(1, 6, 1, 32)};
    static const dev_port to = {"out_a", TYPE4(1, 8, 1, 32)};
    const dev_ports ports = {1, 1, &in, &to};
    ane_model *m = NULL;
    TRY(below_load(d, "grouped_conv_limit", text, &ports, &m));
    check_say(out, DEV_SEEN_RIGHT, "6 channels in 4 groups were compiled and loaded");
    ane_model_put(&d->e, m);
    return OK;
}

/* ---- int8_product: quantized activations times weights of int8 ----
 * Summed as integers, results reach 64512; in fp16 they are infinite from 32768
 * on (M6 study). Channel 2k + 1 of the output has sums of 1536 times the input,
 * at most 48 * 1024; channel 2k, whose weights are -1/2, 0 and 1/2 in turn, has
 * minus a half of it. All of these are exact in fp16. */
enum { SIDE = 64, WIDTH = 32 };

static const char w8a8_head[] = HEAD
    "tensor<fp16, [1, 64, 1, 32]> in_a) {\n"
    "fp16 two = const()[name = string(\"two\"), val = fp16(0x1p+1)];\n"
    "string eight = const()[name = string(\"eight\"), val = string(\"int8\")];\n"
    "tensor<int8, [1, 64, 1, 32]> q = quantize(input = in_a, output_dtype = eight, "
    "scale = two)[name = string(\"q\")];\n"
    "tensor<fp16, [1, 64, 1, 32]> x = dequantize(input = q, scale = two)[name = "
    "string(\"x\")];\n"
    "tensor<fp16, [64, 64, 1, 1]> w = constexpr_affine_dequantize()[axis = int32(0), "
    "name = string(\"w\"), quantized_data = tensor<int8, [64, 64, 1, 1]>([";
static const char w8a8_tail[] =
    "]), scale = fp16(0x1p-1), zero_point = int8(0)];\n"
    "tensor<fp16, [1, 64, 1, 32]> out_a = conv(weight = w, x = x)[name = "
    "string(\"out_a\")];\n} -> (out_a); }\n";

static int w8a8_in(int column) /* two times 0 to 16 */
{
    return 2 * (column % 17);
}

static rc w8a8_run(ane_device *d, ane_model *m, const dev_port *p, dev_surface **s,
                   dev_sight *out)
{
    void *host;
    bool small = true, large = true, infinite = true;
    for (int i = 0; i < 2; i++) TRY(surface_of(d, &p[i], &s[i]));
    TRY(dev_map(s[0], &host));
    for (int i = 0; i < SIDE * WIDTH; i++)
        ((half *)host)[i] = half_from_double(w8a8_in(i % WIDTH));
    TRY(dev_unmap(s[0]));
    const ane_id objects[] = {((ane_surface *)s[0])->object,
                              ((ane_surface *)s[1])->object};
    TRY(ane_model_run(&d->e, m, objects, (const void *const[]){s[0], s[1]}, 2));
    TRY(dev_map(s[1], &host));
    for (int i = 0; i < SIDE * WIDTH; i++) {
        double had = half_to_double(((half *)host)[i]), in = w8a8_in(i % WIDTH);
        double want = i / WIDTH % 2 ? 1536 * in : -0.5 * in;
        if (want >= 32768) {
            large &= had == want;
            infinite &= isinf(had);
        } else {
            small &= had == want;
        }
    }
    check_say(out, small && large ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG, "%s",
              !small     ? "neither small nor large sums are right"
              : large    ? "sums up to 49152 are right: they are not of fp16's kind"
              : infinite ? "small sums are right, from 32768 on they are infinite"
                         : "small sums are right, those from 32768 on are not");
    return dev_unmap(s[1]);
}

rc below_w8a8(ane_device *d, dev_sight *out)
{
    static const dev_port p[] = {{"in_a", TYPE4(1, SIDE, 1, WIDTH)},
                                 {"out_a", TYPE4(1, SIDE, 1, WIDTH)}};
    const dev_ports ports = {1, 1, &p[0], &p[1]};
    dev_surface *s[2] = {NULL, NULL};
    ane_model *m = NULL;
    str text = {0};
    str_add(&text, w8a8_head);
    for (int i = 0; i < SIDE * SIDE; i++)
        str_addf(&text, "%s%d", i ? ", " : "", i / SIDE % 2 ? 48 : (i % SIDE) % 3 - 1);
    str_add(&text, w8a8_tail);
    rc r = str_done(&text);
    if (r == OK) r = below_load(d, "int8_product", str_text(&text), &ports, &m);
    if (r == OK) r = w8a8_run(d, m, p, s, out);
    for (int i = 0; i < 2; i++) dev_drop(s[i]);
    ane_model_put(&d->e, m);
    str_free(&text);
    return r;
}
