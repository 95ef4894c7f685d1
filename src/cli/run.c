/* run.c - `anneal run PROGRAM.mil`: one program, on any device, from .npy files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/session.h"
#include "base/file.h"
#include "base/npy.h"
#include "base/str.h"
#include "cli/verbs.h"

typedef struct {
    device *dev;
    dev_program *prog;
    dev_ports ports;
    dev_surface **in, **out;
} job;

/* NAME=FILE of a repeated flag, for port `name`; NULL when it has none. */
static const char *file_for(const args *a, const char *flag, const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; args_nth(a, flag, i); i++) {
        const char *pair = args_nth(a, flag, i);
        if (!strncmp(pair, name, n) && pair[n] == '=') return pair + n + 1;
    }
    return NULL;
}

/* "the program has no input 'k'; hint: there are a_in, b_in" */
static rc no_port(const char *flag, const char *name, int length, int n,
                  const dev_port *ports)
{
    str all = {0};
    rc e = err_fail(E_USAGE, "the program has no %sput '%.*s'", flag, length, name);
    for (int i = 0; i < n; i++) str_addf(&all, "%s%s", i ? ", " : "", ports[i].name);
    if (n) e = err_hint(e, "there %s %s", n > 1 ? "are" : "is", str_text(&all));
    str_free(&all);
    return e;
}

static rc check_names(const args *a, const char *flag, int n, const dev_port *ports)
{
    for (int i = 0; args_nth(a, flag, i); i++) {
        const char *pair = args_nth(a, flag, i), *eq = strchr(pair, '=');
        bool found = false;
        if (!eq)
            return err_fail(E_USAGE, "--%s wants NAME=FILE.npy, had '%s'", flag, pair);
        for (int j = 0; j < n; j++)
            found = found || (strlen(ports[j].name) == (size_t)(eq - pair) &&
                              !strncmp(ports[j].name, pair, (size_t)(eq - pair)));
        if (!found) return no_port(flag, pair, (int)(eq - pair), n, ports);
    }
    return OK;
}

static rc make_surfaces(job *j, arena *mem, int n, const dev_port *ports,
                        dev_surface ***out)
{
    *out = arena_array(mem, (size_t)n + 1, sizeof **out);
    if (!*out) return E_MEMORY;
    for (int i = 0; i < n; i++) {
        dev_shape s = {.dtype = ports[i].type.dtype, .rank = ports[i].type.rank};
        for (int d = 0; d < s.rank && d < 5; d++) s.d[d] = ports[i].type.d[d];
        TRY_WHILE(dev_surface_new(j->dev, &s, &(*out)[i]), "making surface '%s'",
                  ports[i].name);
    }
    return OK;
}

static rc fill(const args *a, const dev_port *p, dev_surface *s)
{
    const char *path = file_for(a, "in", p->name);
    npy x;
    void *host;
    if (!path) {
        err_fail(E_USAGE, "input '%s' has no value", p->name);
        return err_hint(E_USAGE, "--in %s=FILE.npy", p->name);
    }
    TRY(npy_read(a->mem, path, &x));
    size_t n = (size_t)mil_count(&p->type), item = mil_dtype_bytes(p->type.dtype);
    bool narrow = p->type.dtype == MIL_FP16 && !strcmp(x.descr, "<f4");
    if (x.count != n || (x.item != item && !narrow))
        return err_fail(E_SHAPE,
                        "%s: wanted %zu elements of %zu bytes for '%s', had %zu of %zu",
                        path, n, item, p->name, x.count, x.item);
    TRY(dev_map(s, &host));
    if (narrow) half_from_floats(x.data, host, n);
    else memcpy(host, x.data, n * item);
    return dev_unmap(s);
}

static rc keep(const args *a, const dev_port *p, dev_surface *s)
{
    const char *path = file_for(a, "out", p->name);
    void *host;
    if (!path) return OK;
    TRY(dev_map(s, &host));
    rc e = npy_write(path, cli_npy_descr(p->type.dtype), p->type.rank, p->type.d, host);
    rc f = dev_unmap(s);
    return e ? e : f;
}

static int by_ms(const void *x, const void *y)
{
    double d = ((const dev_stats *)x)->ms - ((const dev_stats *)y)->ms;
    return d < 0 ? -1 : d > 0;
}

static rc repeat(const args *a, job *j, dev_stats *median)
{
    int64_t n;
    uint64_t ticket;
    TRY(args_int(a, "repeat", 1, 100000, 1, &n));
    dev_stats *all = arena_array(a->mem, (size_t)n, sizeof *all);
    if (!all) return E_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        TRY(dev_run(j->prog, j->in, j->ports.n_in, j->out, j->ports.n_out, &ticket));
        TRY(dev_wait(j->dev, ticket, &all[i]));
    }
    qsort(all, (size_t)n, sizeof *all, by_ms);
    *median = all[n / 2];
    return OK;
}

/* Of one run: all of them read the same inputs. */
static rc counts_of_run(const args *a, job *j, dev_counts *c)
{
    TRY(dev_counts_of(j->prog, c));
    dev_product *each = arena_array(a->mem, (size_t)c->n + 1, sizeof *each);
    if (!each) return E_MEMORY;
    for (int i = 0; i < c->n; i++) {
        each[i] = c->product[i];
        each[i].products /= c->runs;
        each[i].dropped /= c->runs;
        each[i].saturated /= c->runs;
    }
    c->product = each;
    return OK;
}

static void print_products(const dev_counts *c)
{
    for (int i = 0; i < c->n; i++) {
        const dev_product *p = &c->product[i];
        printf("  %s (%s): %llu products, %llu dropped, %llu sums over\n", p->name, p->op,
               (unsigned long long)p->products, (unsigned long long)p->dropped,
               (unsigned long long)p->saturated);
    }
}

static json_t *json_products(const dev_counts *c)
{
    json_t *all = json_array();
    for (int i = 0; i < c->n; i++) {
        const dev_product *p = &c->product[i];
        json_array_append_new(all,
                              json_pack("{s:s, s:s, s:I, s:I, s:I}", "result", p->name,
                                        "op", p->op, "products", (json_int_t)p->products,
                                        "dropped", (json_int_t)p->dropped, "saturated",
                                        (json_int_t)p->saturated));
    }
    return all;
}

/* An arithmetic without the chip's accumulator drops nothing and has no sum that
 * can go over: 0 is the count. Of a real engine there is none. */
static rc report(const args *a, job *j, const dev_caps *caps, const dev_stats *s)
{
    dev_counts counts = {0};
    if (caps->counts) TRY(counts_of_run(a, j, &counts));
    bool none = !caps->hardware && !caps->drops;
    if (!args_has(a, "json")) {
        printf("%.4f ms", s->ms);
        if (s->predicted_ms >= 0) printf(", predicted %.4f ms", s->predicted_ms);
        printf(", %.0f flops, %llu infinities", s->flops,
               (unsigned long long)s->infinities);
        if (s->exact) printf(", %llu sums over", (unsigned long long)s->saturated);
        if (s->counted)
            printf(", %llu products dropped, %llu results flushed",
                   (unsigned long long)s->dropped_products,
                   (unsigned long long)s->flushed);
        printf("\n");
        print_products(&counts);
        return OK;
    }
    json_t *o = json_object();
    cli_real(o, "ms", s->ms);
    if (s->predicted_ms >= 0) cli_real(o, "predicted_ms", s->predicted_ms);
    cli_real(o, "flops", s->flops);
    if (s->counted || none) {
        json_object_set_new(o, "dropped_products",
                            json_integer((json_int_t)s->dropped_products));
        json_object_set_new(o, "flushed", json_integer((json_int_t)s->flushed));
    }
    if (s->exact || none)
        json_object_set_new(o, "saturated", json_integer((json_int_t)s->saturated));
    json_object_set_new(o, "infinities", json_integer((json_int_t)s->infinities));
    if (caps->counts) json_object_set_new(o, "products", json_products(&counts));
    return cli_put_json(o);
}

/* Disputed rules that the program breaks: talk, once each. */
static void warn(dev_program *p)
{
    const char *const *lines;
    size_t n = dev_warnings(p, &lines);
    for (size_t i = 0; i < n; i++) fprintf(stderr, "anneal: note: %s\n", lines[i]);
}

static rc load(const args *a, job *j)
{
    const char *path = a->word[0];
    mil_program *p;
    dev_source src = {.name = file_base(path)};
    mil_blob_file *files = NULL;
    char *text;
    TRY(file_read(a->mem, path, 0, &text, &src.mil_bytes));
    src.mil = text;
    TRY(mil_parse(a->mem, text, src.mil_bytes, path, &p));
    TRY(mil_load_blobs(a->mem, p, args_text(a, "weights", NULL), &files, &src.n_files));
    src.files = files;
    TRY(dev_load(j->dev, &src, &j->prog));
    warn(j->prog);
    return dev_ports_of(j->prog, &j->ports);
}

static rc whole(const args *a, job *j)
{
    dev_stats stats;
    dev_caps caps;
    TRY(load(a, j));
    TRY(dev_caps_of(j->dev, &caps));
    if (!caps.computes && args_has(a, "out")) {
        err_fail(E_DEVICE, "%s computes nothing, so there is no output to keep",
                 caps.uri);
        return err_hint(E_DEVICE, "-d emu:%s computes", caps.model);
    }
    TRY(check_names(a, "in", j->ports.n_in, j->ports.in));
    TRY(check_names(a, "out", j->ports.n_out, j->ports.out));
    TRY(make_surfaces(j, a->mem, j->ports.n_in, j->ports.in, &j->in));
    TRY(make_surfaces(j, a->mem, j->ports.n_out, j->ports.out, &j->out));
    for (int i = 0; i < j->ports.n_in; i++) TRY(fill(a, &j->ports.in[i], j->in[i]));
    TRY(repeat(a, j, &stats));
    for (int i = 0; i < j->ports.n_out; i++) TRY(keep(a, &j->ports.out[i], j->out[i]));
    return report(a, j, &caps, &stats);
}

/* What exact arithmetic loses is counted for whoever asks for the numbers. */
static rc count_losses(const args *a, config *c)
{
    const char *uri = config_text(c, OPT_device_uri);
    if (!args_has(a, "json") || !strstr(uri, ",exact") || strstr(uri, ",count"))
        return OK;
    const char *counting = arena_printf(a->mem, "%s,count", uri);
    return counting ? config_set(c, "device.uri", counting) : E_MEMORY;
}

rc verb_run(args *a)
{
    config *c;
    machine m = {0};
    TRY(args_words(a, 1, 1, "a MIL program"));
    TRY(cli_config(a, &c));
    rc e = count_losses(a, c);
    if (!e) e = machine_open(c, &m);
    job j = {.dev = m.dev};
    if (!e) e = whole(a, &j);
    for (int i = 0; j.in && i < j.ports.n_in; i++)
        if (j.in[i]) dev_drop(j.in[i]);
    for (int i = 0; j.out && i < j.ports.n_out; i++)
        if (j.out[i]) dev_drop(j.out[i]);
    if (j.prog) dev_unload(j.prog);
    machine_close(&m);
    config_free(c);
    return e;
}
