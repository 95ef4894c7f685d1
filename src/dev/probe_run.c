/* probe_run.c - put one case to a device and say what was seen. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "dev/probe_case.h"

/* ---- text ---- */
static void add_blobs(str *s, const probe_case *c)
{
    for (int i = 0; i < c->n_blobs; i++)
        str_addf(
            s,
            "tensor<fp16, [1, 4, 1, 32]> w_%d = const()[name = string(\"w_%d\"), val = "
            "tensor<fp16, [1, 4, 1, 32]>(BLOBFILE(path = "
            "string(\"@model_path/weights/w%d.bin\"), offset = uint64(%d)))];\n",
            i, i, c->one_file ? 0 : i, c->one_file ? 64 + i * 320 : 64);
}

void probe_program(str *s, const probe_case *c, const char *body)
{
    char type[96];
    str_addf(
        s, "program(1.3)\n[buildInfo = dict<string, string>({{\"%s\", \"3505.4.1\"}})]\n",
        c->no_version ? "component" : "coremlc-version");
    str_add(s, "{ func main<ios18>(");
    for (int i = 0; i < PROBE_PORTS && c->in[i].name; i++)
        str_addf(s, "%s%s %s", i ? ", " : "", mil_type_text(type, &c->in[i].type),
                 c->in[i].name);
    str_add(s, ") {\n");
    add_blobs(s, c);
    str_add(s, body);
    str_add(s, "} -> (");
    for (int i = 0; i < PROBE_PORTS && c->out[i].name; i++)
        str_addf(s, "%s%s", i ? ", " : "", c->out[i].name);
    str_add(s, "); }\n");
}

rc probe_refused(dev_sight *out, dev_seen seen, rc code, bool unsound)
{
    bool unread = (code == E_FORMAT && !unsound) || code == E_UNIMPL || code == E_SHAPE;
    if (code == E_MEMORY) return code;
    out->code = code;
    out->seen = unread ? DEV_SEEN_UNKNOWN : seen;
    snprintf(out->detail, sizeof out->detail, "%s", err_first());
    err_clear();
    return OK;
}

/* ---- surfaces ---- */
static double at(const probe_ramp *r, size_t i)
{
    return r->slope == 0 ? r->base : r->base + r->slope * (double)(i % 8);
}

rc probe_surface(device *d, const probe_port *p, dev_surface **out)
{
    dev_shape shape = {.dtype = p->type.dtype, .rank = p->type.rank, .bytes = p->bytes};
    size_t packed = (size_t)mil_count(&p->type) * mil_dtype_bytes(p->type.dtype);
    for (int i = 0; i < shape.rank; i++) shape.d[i] = p->type.d[i];
    if (!shape.bytes)
        shape.bytes = packed < 49152 ? 49152 : (packed + 16383) / 16384 * 16384;
    return dev_surface_new(d, &shape, out);
}

rc probe_fill(dev_surface *s, const probe_port *p)
{
    void *host;
    TRY(dev_map(s, &host));
    for (size_t i = 0; i < (size_t)mil_count(&p->type); i++) {
        double v = at(&p->value, i);
        if (p->type.dtype == MIL_FP16) ((half *)host)[i] = half_from_double(v);
        else if (p->type.dtype == MIL_FP32) ((float *)host)[i] = (float)v;
        else ((uint8_t *)host)[i] = (uint8_t)v;
    }
    return dev_unmap(s);
}

/* ---- what came out ---- */
typedef struct {
    bool right, wrong, zeros;
    double first;
} found;

/* Results may be rounded: 2^-9 of their size is 4 roundings of fp16, and no
 * case has a right and a wrong number so close. */
static bool near(double had, double want)
{
    if (isinf(want)) return had == want;
    return fabs(had - want) <= ldexp(fabs(want), -9);
}

static rc read_back(dev_surface *s, const probe_port *p, found *f)
{
    void *host;
    TRY(dev_map(s, &host));
    for (size_t i = 0; i < (size_t)mil_count(&p->type); i++) {
        double v = p->type.dtype == MIL_FP16   ? half_to_double(((half *)host)[i])
                   : p->type.dtype == MIL_FP32 ? ((float *)host)[i]
                                               : ((uint8_t *)host)[i];
        bool right = near(v, at(&p->value, i));
        if (!right && f->right) f->first = v;
        f->right &= right;
        f->wrong &= near(v, at(&p->wrong, i));
        f->zeros &= v == 0;
    }
    return dev_unmap(s);
}

static void judge(const probe_case *c, const found *f, dev_sight *out)
{
    out->seen = f->right               ? DEV_SEEN_RIGHT
                : c->shows && f->wrong ? DEV_SEEN_RULE
                : f->zeros             ? DEV_SEEN_ZEROS
                                       : DEV_SEEN_WRONG;
    if (f->right) return;
    snprintf(out->detail, sizeof out->detail, "it ran, and gave %s (first %g)",
             out->seen == DEV_SEEN_RULE    ? "what the rule says"
             : out->seen == DEV_SEEN_ZEROS ? "zeros"
                                           : "wrong numbers",
             f->first);
}

/* ---- one run ---- */
typedef struct {
    device *d;
    const probe_case *c;
    dev_program *p;
    int n_in, n_out;
    dev_surface *in[PROBE_PORTS], *out[PROBE_PORTS];
    mil_blob_writer *blobs[32];
    mil_blob_file files[32];
    char paths[32][40];
    int n_files;
} session;

static rc make_blobs(session *s)
{
    half ones[PROBE_BLOB_ELEMENTS];
    uint64_t offset;
    for (int i = 0; i < PROBE_BLOB_ELEMENTS; i++) ones[i] = half_from_double(1);
    for (int i = 0; i < s->c->n_blobs; i++) {
        int file = s->c->one_file ? 0 : i;
        if (file == s->n_files) {
            TRY(mil_blob_new(&s->blobs[file]));
            snprintf(s->paths[file], sizeof s->paths[0], "@model_path/weights/w%d.bin",
                     file);
            s->n_files++;
        }
        TRY(mil_blob_add(s->blobs[file], MIL_FP16, ones, sizeof ones, &offset));
    }
    for (int i = 0; i < s->n_files; i++) {
        s->files[i].path = s->paths[i];
        TRY(mil_blob_bytes(s->blobs[i], &s->files[i].bytes, &s->files[i].size));
    }
    return OK;
}

/* Surfaces in the order in which they are handed to the run: that of the
 * names, or for cases about the order that of the declaration. */
static int place_of(const probe_case *c, const probe_port *list, int n, int i)
{
    int place = 0;
    if (c->declared) return i;
    for (int k = 0; k < n; k++) place += strcmp(list[k].name, list[i].name) < 0;
    return place;
}

static rc run(session *s, dev_sight *out)
{
    found f = {.right = true, .wrong = true, .zeros = true};
    dev_surface *in[PROBE_PORTS], *to[PROBE_PORTS];
    const probe_case *c = s->c;
    uint64_t ticket;
    dev_caps caps;
    for (int i = 0; i < s->n_in; i++) {
        rc r = probe_surface(s->d, &c->in[i], &s->in[i]);
        if (r != OK) return probe_refused(out, DEV_SEEN_REFUSED, r, false);
        TRY(probe_fill(s->in[i], &c->in[i]));
        in[place_of(c, c->in, s->n_in, i)] = s->in[i];
    }
    for (int i = 0; i < s->n_out; i++) {
        rc r = probe_surface(s->d, &c->out[i], &s->out[i]);
        if (r != OK) return probe_refused(out, DEV_SEEN_REFUSED, r, false);
        to[place_of(c, c->out, s->n_out, i)] = s->out[i];
    }
    rc r = dev_run(s->p, in, s->n_in, to, s->n_out, &ticket);
    if (r != OK) return probe_refused(out, DEV_SEEN_REFUSED, r, false);
    r = dev_wait(s->d, ticket, NULL);
    if (r != OK) return probe_refused(out, DEV_SEEN_FAILED, r, false);
    TRY(dev_caps_of(s->d, &caps));
    if (!caps.computes) return OK;
    for (int i = 0; i < s->n_out; i++) TRY(read_back(s->out[i], &c->out[i], &f));
    judge(c, &f, out);
    return OK;
}

static bool warned(dev_program *p, dev_rule r)
{
    const char *const *lines;
    size_t n = dev_warnings(p, &lines), id = strlen(dev_rule_at(r)->id);
    for (size_t i = 0; i < n; i++) {
        const char *quote = strchr(lines[i], '\'');
        if (quote && !strncmp(quote + 1, dev_rule_at(r)->id, id) && quote[1 + id] == '\'')
            return true;
    }
    return false;
}

static void end(session *s)
{
    if (s->p) dev_unload(s->p);
    for (int i = 0; i < PROBE_PORTS; i++) {
        dev_drop(s->in[i]);
        dev_drop(s->out[i]);
    }
    for (int i = 0; i < s->n_files; i++) mil_blob_free(s->blobs[i]);
}

rc probe_run_case(device *d, const dev_caps *caps, dev_rule rule, const probe_case *row,
                  dev_sight *out)
{
    probe_case c = *row;
    session s = {.d = d, .c = &c};
    str body = {0}, text = {0};
    str_add(&body, c.body ? c.body : "");
    if (c.prepare) c.prepare(&c, caps, &body);
    while (s.n_in < PROBE_PORTS && c.in[s.n_in].name) s.n_in++;
    while (s.n_out < PROBE_PORTS && c.out[s.n_out].name) s.n_out++;
    probe_program(&text, &c, str_text(&body));
    rc r = str_done(&body) == OK ? probe_spell(d, &text) : E_MEMORY;
    if (r == OK) r = make_blobs(&s);
    if (r == OK) {
        dev_source src = {dev_rule_at(rule)->id, text.p, text.n, s.files, s.n_files};
        r = dev_load(d, &src, &s.p);
        if (r != OK) r = probe_refused(out, DEV_SEEN_REFUSED, r, c.unsound);
    }
    if (r == OK && s.p) {
        out->warned = warned(s.p, rule);
        r = run(&s, out);
    }
    end(&s);
    str_free(&body);
    str_free(&text);
    return r;
}
