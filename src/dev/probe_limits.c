/* probe_limits.c - rules about counts, order and surfaces, which a single
 * program cannot break. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "dev/probe_case.h"

#define ROWS "tensor<fp16, [1, 4, 1, 32]>"
static const probe_port rows = {
    "in_a",
    {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 4, 1, 32}},
    {0, 0},
    {0, 0},
    0};

static rc load(device *d, const char *name, const probe_case *c, dev_program **out)
{
    str text = {0};
    probe_program(&text, c, c->body);
    rc r = probe_spell(d, &text);
    dev_source src = {name, text.p, text.n, NULL, 0};
    if (r == OK) r = dev_load(d, &src, out);
    str_free(&text);
    return r;
}

static const probe_case plus_one = {
    .in = {{"in_a",
            {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 4, 1, 32}},
            {0, 0},
            {0, 0},
            0}},
    .out = {{"out_a",
             {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 4, 1, 32}},
             {0, 0},
             {0, 0},
             0}},
    .body = "fp16 one = const()[name = string(\"one\"), val = fp16(0x1p+0)];\n" ROWS
            " out_a = add(x = in_a, y = one)[name = string(\"out_a\")];\n"};

/* Program i of many that differ: equal ones are one program on a chip. */
static rc load_another(device *d, const char *name, int i, dev_program **out)
{
    probe_case c = plus_one;
    char body[256];
    snprintf(body, sizeof body,
             "fp16 some = const()[name = string(\"some\"), val = fp16(%d)];\n" ROWS
             " out_a = add(x = in_a, y = some)[name = string(\"out_a\")];\n",
             i + 2);
    c.body = body;
    return load(d, name, &c, out);
}

static const probe_case tiled = {
    .in = {{"in_a",
            {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 4, 1, 32}},
            {0, 0},
            {0, 0},
            0}},
    .out = {{"out_a",
             {.dtype = MIL_FP16, .tensor = true, .rank = 4, .d = {1, 4, 1, 64}},
             {0, 0},
             {0, 0},
             0}},
    .body = "tensor<int32, [4]> reps = const()[name = string(\"reps\"), val = "
            "tensor<int32, [4]>([1, 1, 1, 2])];\n"
            "tensor<fp16, [1, 4, 1, 64]> out_a = tile(reps = reps, x = in_a)[name = "
            "string(\"out_a\")];\n"};

static void say(dev_sight *out, dev_seen seen, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(dev_sight *out, dev_seen seen, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out->detail, sizeof out->detail, fmt, ap);
    va_end(ap);
    out->seen = seen;
}

static rc run_once(dev_program *p, dev_surface *in, dev_surface *out)
{
    uint64_t ticket;
    TRY(dev_run(p, &in, 1, &out, 1, &ticket));
    return dev_wait(p->dev, ticket, NULL);
}

/* ---- packed_from_zero: rows written at a stride of twice their length ---- */
static rc read_strided(dev_program *p, dev_surface *in, dev_surface *to,
                       const dev_caps *caps, dev_sight *out)
{
    half *host;
    void *mem;
    TRY(dev_map(in, &mem));
    host = mem;
    for (int i = 0; i < 256; i++) host[i] = half_from_double(i % 64 < 32 ? 1 : 100);
    TRY(dev_unmap(in));
    rc r = run_once(p, in, to);
    if (r != OK) return probe_refused(out, DEV_SEEN_FAILED, r, false);
    if (!caps->computes) return OK;
    bool strided = true, packed = true;
    TRY(dev_map(to, &mem));
    host = mem;
    for (int i = 0; i < 128; i++) {
        double v = half_to_double(host[i]);
        strided &= v == 2;
        packed &= v == (i % 64 < 32 ? 2 : 101);
    }
    say(out,
        packed    ? DEV_SEEN_RULE
        : strided ? DEV_SEEN_RIGHT
                  : DEV_SEEN_WRONG,
        "rows at a stride were read %s",
        packed    ? "as one packed tensor"
        : strided ? "at that stride"
                  : "neither packed nor at that stride");
    return dev_unmap(to);
}

rc dev_probe_plain(device *d)
{
    dev_program *p = NULL;
    dev_surface *in = NULL, *to = NULL;
    rc r = load(d, "plain", &plus_one, &p);
    if (r == OK) r = probe_surface(d, &rows, &in);
    if (r == OK) r = probe_surface(d, &rows, &to);
    if (r == OK) r = probe_fill(in, &rows);
    if (r == OK) r = run_once(p, in, to);
    dev_unload(p);
    dev_drop(in);
    dev_drop(to);
    return r;
}

rc probe_packed(device *d, const dev_caps *caps, dev_sight *out)
{
    probe_port wide = rows;
    dev_program *p = NULL;
    dev_surface *in = NULL, *to = NULL;
    wide.type.d[3] = 64;
    rc r = load(d, "packed_from_zero", &plus_one, &p);
    if (r == OK) r = probe_surface(d, &wide, &in);
    if (r == OK) r = probe_surface(d, &rows, &to);
    r = r == OK ? read_strided(p, in, to, caps, out)
                : probe_refused(out, DEV_SEEN_REFUSED, r, false);
    dev_unload(p);
    dev_drop(in);
    dev_drop(to);
    return r;
}

/* ---- tile_poison: does another program still run after one with tile? ---- */
static rc poison(device *d, dev_program **p, dev_surface **s, dev_sight *out)
{
    probe_port wide = rows;
    const char *const *lines;
    rc r = load(d, "tile_poison", &tiled, &p[0]);
    if (r != OK) return probe_refused(out, DEV_SEEN_REFUSED, r, false);
    for (size_t i = 0, n = dev_warnings(p[0], &lines); i < n; i++)
        out->warned |= strstr(lines[i], "'tile_poison'") != NULL;
    TRY(load(d, "after_tile", &plus_one, &p[1]));
    wide.type.d[3] = 64;
    TRY(probe_surface(d, &rows, &s[0]));
    TRY(probe_surface(d, &wide, &s[1]));
    TRY(probe_surface(d, &rows, &s[2]));
    TRY(probe_fill(s[0], &rows));
    r = run_once(p[0], s[0], s[1]);
    if (r != OK) return probe_refused(out, DEV_SEEN_FAILED, r, false);
    r = run_once(p[1], s[0], s[2]);
    if (r != OK) return probe_refused(out, DEV_SEEN_RULE, r, false);
    say(out, DEV_SEEN_RIGHT, "a program ran after one with tile");
    return OK;
}

rc probe_poison(device *d, const dev_caps *caps, dev_sight *out)
{
    dev_program *p[2] = {NULL, NULL};
    dev_surface *s[3] = {NULL, NULL, NULL};
    rc r = poison(d, p, s, out);
    for (int i = 0; i < 2; i++) dev_unload(p[i]);
    for (int i = 0; i < 3; i++) dev_drop(s[i]);
    return r;
}

/* Refused after n that were not. */
static rc after_some(dev_sight *out, int n, rc code)
{
    char why[512];
    TRY(probe_refused(out, DEV_SEEN_RULE, code, false));
    snprintf(why, sizeof why, "%.*s", (int)sizeof why - 1, out->detail);
    say(out, out->seen, "after %d: %s", n, why);
    return OK;
}

/* ---- compile_budget: load and unload until it is refused ---- */
rc probe_budget(device *d, const dev_caps *caps, dev_sight *out)
{
    int most = (caps->compiles_max ? caps->compiles_max : 119) + 16;
    for (int i = 0; i < most; i++) {
        dev_program *p = NULL;
        rc r = load_another(d, "compile_budget", i, &p);
        out->value = i;
        if (r != OK) return after_some(out, i, r);
        dev_unload(p);
    }
    out->value = most;
    say(out, DEV_SEEN_RIGHT, "%d programs were compiled in a row", most);
    return OK;
}

/* ---- program_slots: load until it is refused ---- */
rc probe_slots(device *d, const dev_caps *caps, dev_sight *out)
{
    enum { MOST = 144 };
    dev_program *p[MOST] = {NULL};
    rc r = OK;
    int n = 0;
    if (caps->compiles_max && caps->compiles_max <= caps->programs_max) {
        say(out, DEV_SEEN_UNKNOWN, "the compile budget of %d is used up before the slots",
            caps->compiles_max);
        return OK;
    }
    while (n < MOST && r == OK) {
        r = load_another(d, "program_slots", n, &p[n]);
        if (r == OK) n++;
    }
    out->value = n;
    if (r == OK) say(out, DEV_SEEN_RIGHT, "%d programs were loaded at a time", n);
    else r = after_some(out, n, r);
    for (int i = 0; i < n; i++) dev_unload(p[i]);
    return r;
}

/* ---- queue_depth: when run n has been queued, run n - 127 has ended, so its
 * output can be mapped ---- */
enum { DEPTH = 127, RUNS = DEPTH + 33 };

static rc fill_queue(dev_program *p, dev_surface *in, dev_surface **to, dev_sight *out)
{
    uint64_t ticket = 0;
    bool bounded = true;
    for (int i = 0; i < RUNS; i++) {
        void *host;
        rc r = dev_run(p, &in, 1, &to[i], 1, &ticket);
        if (r != OK) return probe_refused(out, DEV_SEEN_REFUSED, r, false);
        if (i < DEPTH) continue;
        if (dev_map(to[i - DEPTH], &host) == OK) TRY(dev_unmap(to[i - DEPTH]));
        else bounded = false;
    }
    rc r = dev_wait(p->dev, ticket, NULL);
    if (r != OK) return probe_refused(out, DEV_SEEN_FAILED, r, false);
    say(out, bounded ? DEV_SEEN_RULE : DEV_SEEN_RIGHT, "%s %d runs were in flight",
        bounded ? "never more than" : "more than", DEPTH);
    return OK;
}

rc probe_queue(device *d, const dev_caps *caps, dev_sight *out)
{
    dev_surface *in = NULL, *to[RUNS] = {NULL};
    dev_program *p = NULL;
    rc r = load(d, "queue_depth", &plus_one, &p);
    if (r == OK) r = probe_surface(d, &rows, &in);
    if (r == OK) r = probe_fill(in, &rows);
    for (int i = 0; i < RUNS && r == OK; i++) r = probe_surface(d, &rows, &to[i]);
    r = r == OK ? fill_queue(p, in, to, out)
                : probe_refused(out, DEV_SEEN_REFUSED, r, false);
    dev_unload(p);
    dev_drop(in);
    for (int i = 0; i < RUNS; i++) dev_drop(to[i]);
    return r;
}

/* ---- one_in_flight: a program that adds one to its own surface ---- */
static rc count(device *d, dev_program *p, dev_surface *s, const dev_caps *caps,
                dev_sight *out)
{
    uint64_t ticket = 0;
    void *host;
    bool all = true;
    TRY(probe_fill(s, &rows));
    for (int i = 0; i < 64; i++) {
        rc r = dev_run(p, &s, 1, &s, 1, &ticket);
        if (r != OK) return probe_refused(out, DEV_SEEN_REFUSED, r, false);
    }
    rc r = dev_wait(d, ticket, NULL);
    if (r != OK) return probe_refused(out, DEV_SEEN_FAILED, r, false);
    if (!caps->computes) return OK;
    TRY(dev_map(s, &host));
    for (int i = 0; i < 128; i++) all &= half_to_double(((half *)host)[i]) == 64;
    say(out, all ? DEV_SEEN_RULE : DEV_SEEN_WRONG, "%s runs on one surface %s",
        all ? "all" : "of 64", all ? "followed each other" : "some overlapped");
    return dev_unmap(s);
}

rc probe_overlap(device *d, const dev_caps *caps, dev_sight *out)
{
    dev_program *p = NULL;
    dev_surface *s = NULL;
    rc r = load(d, "one_in_flight", &plus_one, &p);
    if (r == OK) r = probe_surface(d, &rows, &s);
    r = r == OK ? count(d, p, s, caps, out)
                : probe_refused(out, DEV_SEEN_REFUSED, r, false);
    dev_unload(p);
    dev_drop(s);
    return r;
}

/* ---- surface_slots: the sum of 128 inputs, with its output one too many ---- */
static void sum_of_inputs(str *s, int n)
{
    str_add(s, "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
               "\"3505.4.1\"}})]\n{ func main<ios18>(");
    for (int i = 0; i < n; i++) str_addf(s, "%s" ROWS " in_%d", i ? ", " : "", i);
    str_add(s, ") {\n");
    for (int i = 1; i < n; i++)
        str_addf(s,
                 ROWS " sum_%d = add(x = %s_%d, y = in_%d)[name = string(\"sum_%d\")];\n",
                 i, i > 1 ? "sum" : "in", i - 1, i, i);
    str_addf(s, "} -> (sum_%d); }\n", n - 1);
}

static rc run_many(device *d, dev_program *p, int n, dev_sight *out)
{
    enum { MOST = 128 };
    dev_surface *in = NULL, *to = NULL, *all[MOST];
    uint64_t ticket;
    rc r = probe_surface(d, &rows, &in);
    if (r == OK) r = probe_surface(d, &rows, &to);
    if (r == OK) r = probe_fill(in, &rows);
    for (int i = 0; i < n; i++) all[i] = in;
    if (r == OK) r = dev_run(p, all, n, &to, 1, &ticket);
    if (r != OK) {
        r = probe_refused(out, DEV_SEEN_REFUSED, r, false);
    } else {
        r = dev_wait(d, ticket, NULL);
        if (r != OK) r = probe_refused(out, DEV_SEEN_FAILED, r, false);
        else say(out, DEV_SEEN_RIGHT, "a run took %d surfaces", n + 1);
    }
    dev_drop(in);
    dev_drop(to);
    return r;
}

rc probe_many_surfaces(device *d, const dev_caps *caps, dev_sight *out)
{
    str text = {0};
    dev_program *p = NULL;
    sum_of_inputs(&text, 128);
    rc r = str_done(&text);
    dev_source src = {"surface_slots", text.p, text.n, NULL, 0};
    if (r == OK) r = dev_load(d, &src, &p);
    r = r == OK ? run_many(d, p, 128, out)
                : probe_refused(out, DEV_SEEN_REFUSED, r, false);
    dev_unload(p);
    str_free(&text);
    return r;
}
