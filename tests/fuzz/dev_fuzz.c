/* dev_fuzz.c - any text as a program for a device. What loads on the null
 * device (checked, judged) is also compiled and run by the software engine, as
 * long as its tensors are small; the sanitizers see what goes wrong. Two chips: one
 * with the crop unit of the oldest family, one with all ops and its own arithmetic. */
#include <stdlib.h>
#include <string.h>
#include "dev/device.h"
#include "mil/mil.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { MOST_ELEMENTS = 1 << 16 };

static kern *pool;
static device *nothing, *engines[2];
static mil_blob_file file;

/* One weight file: a chunk of 64 fp16 ones. */
static rc make_file(void)
{
    static mil_blob_writer *w;
    half ones[64];
    uint64_t offset;
    for (int i = 0; i < 64; i++) ones[i] = 0x3c00;
    TRY(mil_blob_new(&w));
    TRY(mil_blob_add(w, MIL_FP16, ones, sizeof ones, &offset));
    file.path = "@model_path/weights/weight.bin";
    return mil_blob_bytes(w, &file.bytes, &file.size);
}

static void open_once(void)
{
    if (engines[0]) return;
    if (kern_open(1, "scalar", &pool) != OK || make_file() != OK) abort();
    if (dev_open("null:m1,compiles=none", pool, &nothing) != OK) abort();
    if (dev_open("emu:m1,faithful,compiles=none", pool, &engines[0]) != OK) abort();
    if (dev_open("emu:m6,exact,compiles=none", pool, &engines[1]) != OK) abort();
}

/* Work in a program: elements of all its values, and of its padded inputs. */
static bool small(const char *text, size_t n)
{
    arena *mem = arena_new();
    mil_program *p;
    double most = 0;
    if (!mem || mil_parse(mem, text, n, "fuzz.mil", &p) != OK) {
        arena_free(mem);
        return false;
    }
    for (int i = 0; i < p->n_func; i++) {
        const mil_func *f = &p->func[i];
        for (int k = 0; k < f->n_in; k++) most += (double)mil_count(&f->in[k].type);
        for (int k = 0; k < f->n_op; k++)
            for (int j = 0; j < f->op[k].n_out; j++)
                most += (double)mil_count(&f->op[k].out[j].type);
    }
    arena_free(mem);
    return most <= MOST_ELEMENTS;
}

static void run(device *engine, dev_program *p)
{
    dev_ports ports;
    dev_surface *s[256];
    uint64_t ticket;
    if (dev_ports_of(p, &ports) != OK) abort();
    int n = ports.n_in + ports.n_out;
    if (n > 256) abort(); /* rule surface_slots */
    for (int i = 0; i < n; i++) {
        const mil_type *t = i < ports.n_in ? &ports.in[i].type
                                           : &ports.out[i - ports.n_in].type;
        dev_shape shape = {.dtype = t->dtype, .rank = 1, .d = {mil_count(t)}};
        if (dev_surface_new(engine, &shape, &s[i]) != OK) {
            n = i;
            break;
        }
    }
    if (n == ports.n_in + ports.n_out &&
        dev_run(p, s, ports.n_in, s + ports.n_in, ports.n_out, &ticket) == OK)
        dev_wait(engine, ticket, NULL);
    for (int i = 0; i < n; i++) dev_drop(s[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    dev_source src = {"fuzz", (const char *)bytes, n, &file, 1};
    dev_program *p;
    open_once();
    if (dev_load(nothing, &src, &p) == OK) dev_unload(p);
    if (!small((const char *)bytes, n)) return 0;
    for (int i = 0; i < 2; i++) {
        if (dev_load(engines[i], &src, &p) != OK) continue;
        run(engines[i], p);
        dev_unload(p);
    }
    return 0;
}
