/* check_contract.c - what device.h promises of any device, asked in a few
 * small programs. Whoever drives new hardware sees here first what is amiss;
 * the conformance tests ask the same things at length. */
#include <string.h>
#include "dev/check.h"
#include "dev/probe_case.h"

#define HEAD                                                                  \
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", " \
    "\"3505.4.1\"}})]\n{ func main<ios18>("
#define ROWS "tensor<fp16, [1, 4, 1, 32]>"
enum { N = 4 * 32 };

static const char minus_text[] = HEAD ROWS
    " in_b, " ROWS " in_a) {\n" ROWS
    " out_a = sub(x = in_a, y = in_b)[name = string(\"out_a\")];\n"
    "} -> (out_a); }\n";
static const char twice_text[] = HEAD ROWS
    " in_a) {\n" ROWS " out_a = add(x = in_a, y = in_a)[name = string(\"out_a\")];\n"
    "} -> (out_a); }\n";
const char check_weighted_text[] = HEAD ROWS
    " in_a) {\n" ROWS " w = const()[name = string(\"w\"), val = " ROWS
    "(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = "
    "uint64(64)))];\n" ROWS " out_a = add(x = in_a, y = w)[name = string(\"out_a\")];\n"
    "} -> (out_a); }\n";

/* ---- a program with its surfaces ---- */
enum { MOST = 3 };
typedef struct {
    dev_program *p;
    int n_in;
    dev_surface *s[MOST]; /* inputs, then the output */
} plain;

static rc new_surface(device *d, dev_surface **out)
{
    const probe_port row = {
        "in_a",
        {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 4, 1, 32}},
        {0, 0},
        {0, 0},
        0};
    return probe_surface(d, &row, out);
}

static rc open_plain(device *d, const char *text, const mil_blob_file *files, int n_files,
                     int n_in, plain *out)
{
    str spelled = {0};
    *out = (plain){.n_in = n_in};
    str_add(&spelled, text);
    rc r = probe_spell(d, &spelled);
    dev_source src = {"contract", spelled.p, spelled.n, files, n_files};
    if (r == OK) r = dev_load(d, &src, &out->p);
    for (int i = 0; i <= n_in && r == OK; i++) r = new_surface(d, &out->s[i]);
    str_free(&spelled);
    return r;
}

static void close_plain(plain *p)
{
    dev_unload(p->p);
    for (int i = 0; i < MOST; i++) dev_drop(p->s[i]);
}

/* Element i of the input is base + i % 32. */
static rc put(dev_surface *s, double base)
{
    void *host;
    TRY(dev_map(s, &host));
    for (int i = 0; i < N; i++) ((half *)host)[i] = half_from_double(base + i % 32);
    return dev_unmap(s);
}

/* Is every element scale * (i % 32) + base? */
static rc holds(dev_surface *s, double scale, double base, bool *out)
{
    void *host;
    *out = true;
    TRY(dev_map(s, &host));
    for (int i = 0; i < N; i++)
        *out &= half_to_double(((half *)host)[i]) == scale * (i % 32) + base;
    return dev_unmap(s);
}

static rc start(plain *p, uint64_t *ticket)
{
    return dev_run(p->p, p->s, p->n_in, &p->s[p->n_in], 1, ticket);
}

static rc run_and_look(plain *p, double scale, double base, bool *right)
{
    uint64_t ticket;
    TRY(start(p, &ticket));
    TRY(dev_wait(p->p->dev, ticket, NULL));
    return holds(p->s[p->n_in], scale, base, right);
}

/* A device that computes nothing keeps all but its numbers. */
static void judge(const dev_caps *caps, bool right, dev_sight *out)
{
    out->seen = right            ? DEV_SEEN_RIGHT
                : caps->computes ? DEV_SEEN_WRONG
                                 : DEV_SEEN_NOTHING;
}

static rc settle(rc r, dev_sight *out)
{
    return r == OK ? OK : probe_refused(out, DEV_SEEN_REFUSED, r, true);
}

rc check_run_one(dev_program *p, double in, double *out)
{
    plain one = {.p = p, .n_in = 1};
    bool right = false;
    void *host;
    rc r = new_surface(p->dev, &one.s[0]);
    if (r == OK) r = new_surface(p->dev, &one.s[1]);
    if (r == OK) r = put(one.s[0], in);
    if (r == OK) r = run_and_look(&one, 1, 0, &right);
    if (r == OK) r = dev_map(one.s[1], &host);
    if (r == OK) {
        *out = half_to_double(*(half *)host);
        r = dev_unmap(one.s[1]);
    }
    for (int i = 0; i < MOST; i++) dev_drop(one.s[i]);
    return r;
}

/* ---- the checks ---- */
static bool is_port(const dev_port *p, const char *name)
{
    return !strcmp(p->name, name) && p->type.dtype == MIL_FP16 &&
           mil_count(&p->type) == N;
}

rc contract_ports(device *d, const dev_caps *caps, dev_sight *out)
{
    plain p;
    dev_ports ports;
    rc r = open_plain(d, minus_text, NULL, 0, 2, &p);
    if (r == OK) r = dev_ports_of(p.p, &ports);
    if (r == OK) {
        bool right = ports.n_in == 2 && ports.n_out == 1 &&
                     is_port(&ports.in[0], "in_a") && is_port(&ports.in[1], "in_b") &&
                     is_port(&ports.out[0], "out_a");
        out->seen = right ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG;
    }
    close_plain(&p);
    return settle(r, out);
}

rc contract_again(device *d, const dev_caps *caps, dev_sight *out)
{
    enum { TIMES = 10 };
    plain p;
    bool right = true, now;
    rc r = open_plain(d, minus_text, NULL, 0, 2, &p);
    for (int i = 0; i < TIMES && r == OK; i++) {
        r = put(p.s[0], 10 * i); /* in_a: the difference to in_b is all that is left */
        if (r == OK) r = put(p.s[1], 4);
        if (r == OK) r = run_and_look(&p, 0, 10 * i - 4, &now);
        right &= r != OK || now;
    }
    if (r == OK) judge(caps, right, out);
    close_plain(&p);
    return settle(r, out);
}

static rc both_in_flight(plain *a, plain *b, bool *right)
{
    uint64_t first, second;
    bool right_a = false;
    TRY(put(a->s[0], 50));
    TRY(put(a->s[1], 8));
    TRY(put(b->s[0], 1));
    TRY(start(a, &first));
    TRY(start(b, &second));
    TRY(dev_wait(b->p->dev, second, NULL));
    TRY(holds(b->s[1], 2, 2, right));
    TRY(dev_wait(a->p->dev, first, NULL));
    TRY(holds(a->s[2], 0, 42, &right_a));
    *right &= right_a;
    return OK;
}

rc contract_tickets(device *d, const dev_caps *caps, dev_sight *out)
{
    plain a, b = {0};
    bool right = false;
    rc r = open_plain(d, minus_text, NULL, 0, 2, &a);
    if (r == OK) r = open_plain(d, twice_text, NULL, 0, 1, &b);
    if (r == OK) r = both_in_flight(&a, &b, &right);
    if (r == OK) judge(caps, right, out);
    close_plain(&a);
    close_plain(&b);
    return settle(r, out);
}

rc contract_bad_text(device *d, const dev_caps *caps, dev_sight *out)
{
    static const char text[] = HEAD ROWS " in_a) { this is no program }\n";
    dev_source src = {"bad", text, sizeof text - 1, NULL, 0};
    dev_program *none = NULL;
    plain p = {0};
    bool right = false;
    rc bad = dev_load(d, &src, &none);
    dev_unload(none);
    if (bad == E_MEMORY) return bad;
    if (bad == OK) {
        check_say(out, DEV_SEEN_WRONG, "text that is no program was loaded");
        return OK;
    }
    err_clear();
    rc r = open_plain(d, twice_text, NULL, 0, 1, &p);
    if (r == OK) r = put(p.s[0], 3);
    if (r == OK) r = run_and_look(&p, 2, 6, &right);
    if (r == OK) judge(caps, right, out);
    close_plain(&p);
    return settle(r, out);
}

rc contract_bad_surfaces(device *d, const dev_caps *caps, dev_sight *out)
{
    plain p;
    uint64_t ticket;
    rc r = open_plain(d, minus_text, NULL, 0, 2, &p);
    if (r == OK) {
        bool few = dev_run(p.p, p.s, 1, &p.s[2], 1, &ticket) != OK;
        dev_surface *gap[2] = {p.s[0], NULL};
        bool none = dev_run(p.p, gap, 2, &p.s[2], 1, &ticket) != OK;
        err_clear();
        if (few && none) out->seen = DEV_SEEN_RIGHT;
        else check_say(out, DEV_SEEN_WRONG, "a run without all its surfaces was taken");
    }
    close_plain(&p);
    return settle(r, out);
}

rc check_blob(double value, mil_blob_writer **w, mil_blob_file *file)
{
    half h[N];
    uint64_t offset;
    for (int i = 0; i < N; i++) h[i] = half_from_double(value);
    TRY(mil_blob_new(w));
    TRY(mil_blob_add(*w, MIL_FP16, h, sizeof h, &offset));
    file->path = "@model_path/weights/w.bin";
    return mil_blob_bytes(*w, &file->bytes, &file->size);
}

rc contract_reload(device *d, const dev_caps *caps, dev_sight *out)
{
    mil_blob_writer *w[2] = {NULL, NULL};
    mil_blob_file file[2];
    plain p = {0};
    bool before = false, after = false;
    rc r = check_blob(5, &w[0], &file[0]);
    if (r == OK) r = check_blob(7, &w[1], &file[1]);
    if (r == OK) r = open_plain(d, check_weighted_text, &file[0], 1, 1, &p);
    if (r == OK) r = put(p.s[0], 0);
    if (r == OK) r = run_and_look(&p, 1, 5, &before);
    if (r == OK) r = dev_reload(p.p, &file[1], 1);
    if (r == OK) r = run_and_look(&p, 1, 7, &after);
    if (r == OK) judge(caps, before && after, out);
    close_plain(&p);
    for (int i = 0; i < 2; i++)
        if (w[i]) mil_blob_free(w[i]);
    return settle(r, out);
}

rc contract_live_again(device *d, const dev_caps *caps, dev_sight *out)
{
    bool right = true, now;
    rc r = OK;
    for (int i = 0; i < 2 && r == OK; i++) {
        plain p;
        r = open_plain(d, twice_text, NULL, 0, 1, &p);
        if (r == OK) r = put(p.s[0], i);
        if (r == OK) r = run_and_look(&p, 2, 2 * i, &now);
        right &= r != OK || now;
        close_plain(&p);
    }
    if (r == OK) judge(caps, right, out);
    return settle(r, out);
}
