/* emu_help.h - run a graph on a device and in the oracle, and compare. */
#ifndef EMU_HELP_H
#define EMU_HELP_H

#include "test.h"
#include "base/half.h"
#include "base/rng.h"
#include "dev/device.h"
#include "dev/profile.h"
#include "mil/mil.h"

typedef struct {
    arena *mem;
    dev_program *program;
    dev_ports ports;
    dev_surface **in, **out;
    dev_stats stats;
} test_program;

/* fp16 numbers in [lo, hi), the same for a seed. */
static inline double test_number(uint64_t seed, uint64_t i, double lo, double hi)
{
    return half_to_double(half_from_double(lo + (hi - lo) * rng_unit(seed, 7, i)));
}

static inline dev_surface *test_surface(device *d, const mil_type *t, size_t bytes)
{
    dev_shape shape = {.dtype = t->dtype, .rank = t->rank, .bytes = bytes};
    dev_surface *s;
    for (int i = 0; i < t->rank; i++) shape.d[i] = t->d[i];
    assert_ok(dev_surface_new(d, &shape, &s));
    return s;
}

static inline void test_open_ports(device *d, test_program *t)
{
    assert_ok(dev_ports_of(t->program, &t->ports));
    t->in = arena_array(t->mem, (size_t)t->ports.n_in + 1, sizeof *t->in);
    t->out = arena_array(t->mem, (size_t)t->ports.n_out + 1, sizeof *t->out);
    for (int i = 0; i < t->ports.n_in; i++)
        t->in[i] = test_surface(d, &t->ports.in[i].type, 0);
    for (int i = 0; i < t->ports.n_out; i++)
        t->out[i] = test_surface(d, &t->ports.out[i].type, 0);
}

static inline test_program test_load_text(device *d, const char *text)
{
    test_program t = {.mem = arena_new()};
    dev_source src = {.name = "test", .mil = text, .mil_bytes = strlen(text)};
    assert_ok(dev_load(d, &src, &t.program));
    test_open_ports(d, &t);
    return t;
}

static inline test_program test_load_graph(device *d, const ir_graph *g, int n_baked,
                                           const ir_binding *baked)
{
    test_program t = {.mem = arena_new()};
    mil_emitted e;
    dev_caps caps;
    assert_ok(ir_rc(g));
    assert_ok(dev_caps_of(d, &caps));
    mil_emit_options o = {.blob_path = "@model_path/weights/weight.bin",
                          .old_spelling = caps.profile->old_mil};
    assert_ok(mil_emit(t.mem, g, &o, n_baked, baked, &e));
    dev_source src = {"test", e.text.p, e.text.n, e.files, e.n_files};
    rc r = dev_load(d, &src, &t.program);
    if (r != OK) print_error("%s\n", e.text.p);
    assert_ok(r);
    str_free(&e.text);
    test_open_ports(d, &t);
    return t;
}

static inline void test_unload(test_program *t)
{
    for (int i = 0; i < t->ports.n_in; i++) dev_drop(t->in[i]);
    for (int i = 0; i < t->ports.n_out; i++) dev_drop(t->out[i]);
    dev_unload(t->program);
    arena_free(t->mem);
}

static inline size_t test_count(const mil_type *t)
{
    return (size_t)mil_count(t);
}

static inline void test_write(dev_surface *s, const mil_type *t, const double *v)
{
    void *p;
    assert_ok(dev_map(s, &p));
    for (size_t i = 0; i < test_count(t); i++) {
        switch (t->dtype) {
        case MIL_FP16:
            ((half *)p)[i] = half_from_double(v[i]);
            break;
        case MIL_FP32:
            ((float *)p)[i] = (float)v[i];
            break;
        case MIL_INT32:
            ((int32_t *)p)[i] = (int32_t)v[i];
            break;
        default:
            ((uint8_t *)p)[i] = (uint8_t)v[i];
            break;
        }
    }
    assert_ok(dev_unmap(s));
}

static inline void test_read(dev_surface *s, const mil_type *t, double *v)
{
    void *p;
    assert_ok(dev_map(s, &p));
    for (size_t i = 0; i < test_count(t); i++) {
        switch (t->dtype) {
        case MIL_FP16:
            v[i] = half_to_double(((half *)p)[i]);
            break;
        case MIL_FP32:
            v[i] = ((float *)p)[i];
            break;
        case MIL_INT32:
            v[i] = ((int32_t *)p)[i];
            break;
        default:
            v[i] = ((uint8_t *)p)[i];
            break;
        }
    }
    assert_ok(dev_unmap(s));
}

static inline void test_run(device *d, test_program *t)
{
    uint64_t ticket;
    assert_ok(dev_run(t->program, t->in, t->ports.n_in, t->out, t->ports.n_out, &ticket));
    assert_ok(dev_wait(d, ticket, &t->stats));
}

/* The number of an output by name; its values in the arena of t. */
static inline double *test_output(test_program *t, const char *name, size_t *n)
{
    for (int i = 0; i < t->ports.n_out; i++)
        if (!strcmp(t->ports.out[i].name, name)) {
            *n = test_count(&t->ports.out[i].type);
            double *v = arena_array(t->mem, *n, sizeof *v);
            test_read(t->out[i], &t->ports.out[i].type, v);
            return v;
        }
    print_error("no output '%s'\n", name);
    fail();
    return NULL;
}

static inline void test_input(test_program *t, const char *name, const double *v)
{
    for (int i = 0; i < t->ports.n_in; i++)
        if (!strcmp(t->ports.in[i].name, name)) {
            test_write(t->in[i], &t->ports.in[i].type, v);
            return;
        }
    print_error("no input '%s'\n", name);
    fail();
}

#endif
