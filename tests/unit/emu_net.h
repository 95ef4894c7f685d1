/* emu_net.h - how a case of the matrix of ops that convolution networks use is
 * written down, and run: a small program on two inputs against plain loops in
 * double, in each arithmetic, on each chip whose family has the op.
 *
 * Tolerance: results are computed wide and rounded once, so with fp16 tensors a
 * value is off by at most 2^-11 of its size; `k` more roundings where a case has
 * them, of the largest value; half a step of the smallest fp16. `wide` holds fp32,
 * and is rounded to fp16 when its result is stored. In `exact` a case says what the
 * chip's arithmetic adds (chip). */
#ifndef EMU_NET_H
#define EMU_NET_H

#include "dev_help.h"
#include "base/rng.h"
#include "emu_net_ops.h"
#include "kern/kern.h"

#define WORDS(name, val) CONST("string", name, "\"" val "\"")
#define INTS(n, name, val) CONST("tensor<int32, [" n "]>", name, val)
#define YES CONST("bool", "yes", "true")
#define NO CONST("bool", "no", "false")

/* A constant of the program: base + slope * (5 i % mod). */
typedef struct {
    const char *name;
    int rank, d[4];
    double base, slope;
    int mod;
} net_param;

typedef struct net_case net_case;
struct net_case {
    const char *op, *what;
    const char *in; /* "tensor<..> in_a", perhaps "tensor<..> in_b" after it */
    const char *body;
    double lo, hi; /* of in_a; whole numbers where b_whole and in_b */
    double b_lo, b_hi;
    net_param param[4];
    void (*want)(const double *a, const double *b, double *y);
    double k, chip; /* chip: what `exact` may add, of the largest value */
};

static const net_case *net_now; /* the case that runs, for net_value */
static bool net_away;           /* ties go away from zero: exact */
static bool net_sizes;          /* constants as magnitudes; means as negative ones */

static inline double net_value(int param, int i)
{
    const net_param *p = &net_now->param[param];
    double v = half_to_double(half_from_double(p->base + p->slope * (i * 5 % p->mod)));
    return !net_sizes ? v : p->name[0] == 'm' ? -fabs(v) : fabs(v);
}

/* Nested brackets, one pair for each axis. */
static inline void net_literal(str *s, int param, int axis, int *i)
{
    const net_param *p = &net_now->param[param];
    if (axis == p->rank) {
        str_addf(s, "%.9g", net_value(param, (*i)++));
        return;
    }
    str_add(s, "[");
    for (int k = 0; k < p->d[axis]; k++) {
        if (k) str_add(s, ", ");
        net_literal(s, param, axis + 1, i);
    }
    str_add(s, "]");
}

static inline void net_program(str *s)
{
    str_addf(s,
             "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "
             "\"3505.4.1\"}})]\n{\n    func main<ios18>(%s) {\n",
             net_now->in);
    for (int k = 0; k < 4 && net_now->param[k].name; k++) {
        const net_param *p = &net_now->param[k];
        char type[96] = "tensor<fp16, [";
        for (int a = 0; a < p->rank; a++)
            snprintf(type + strlen(type), sizeof type - strlen(type), "%s%d",
                     a ? ", " : "", p->d[a]);
        strcat(type, "]>");
        int i = 0;
        str_addf(s, "%s %s = const()[name = string(\"%s\"), val = %s(", type, p->name,
                 p->name, type);
        net_literal(s, k, 0, &i);
        str_add(s, ")];\n");
    }
    str_add(s, net_now->body);
    str_add(s, "    } -> (out);\n}\n");
}

static inline void net_fill(const mil_type *t, double lo, double hi, uint64_t seed,
                            double *v)
{
    for (int64_t i = 0; i < mil_count(t); i++) {
        v[i] = lo + (hi - lo) * rng_unit(seed, 7, (uint64_t)i);
        v[i] = t->dtype == MIL_FP16 ? half_to_double(half_from_double(v[i]))
                                    : floor(v[i]);
    }
}

/* Wrong values, said once for a program. */
static inline int net_check(device *d, const char *uri)
{
    str text = {0};
    dev_ports ports;
    dev_surface *in[2], *out;
    double *v[2] = {NULL, NULL};
    net_program(&text);
    dev_program *p = NULL;
    if (try_load(d, str_text(&text), NULL, 0, &p) != OK) {
        print_error("%s %s on %s: %s\n%s\n", net_now->op, net_now->what, uri, err_text(),
                    str_text(&text));
        str_free(&text);
        return 1;
    }
    assert_ok(dev_ports_of(p, &ports));
    assert_int_equal(ports.n_out, 1);
    for (int i = 0; i < ports.n_in; i++) {
        const mil_type *t = &ports.in[i].type;
        v[i] = calloc((size_t)mil_count(t), sizeof(double));
        in[i] = surface_of(d, t);
        net_fill(t, i ? net_now->b_lo : net_now->lo, i ? net_now->b_hi : net_now->hi,
                 20 + (uint64_t)i, v[i]);
        put_values(in[i], t->dtype, v[i], (size_t)mil_count(t));
    }
    const mil_type *t = &ports.out[0].type;
    size_t n = (size_t)mil_count(t);
    double *had = calloc(n, sizeof *had), *want = calloc(n, sizeof *want), most = 0;
    out = surface_of(d, t);
    dev_stats stats = {0};
    rc ran = run_and_wait(p, in, ports.n_in, &out, 1, &stats);
    if (ran != OK)
        print_error("%s %s on %s: %s\n", net_now->op, net_now->what, uri, err_text());
    assert_ok(ran);
    get_values(out, t->dtype, had, n);
    net_away = strstr(uri, "exact") != NULL;
    net_now->want(v[0], v[1], want);
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    int wrong = 0;
    for (size_t i = 0; i < n && !wrong; i++) {
        double allowed = ldexp(fabs(want[i]), -11) + ldexp(1, -24) + ldexp(most, -20);
        if (!strstr(uri, "wide")) allowed += net_now->k * ldexp(most, -11);
        if (net_away) allowed += net_now->chip * most;
        if (fabs(had[i] - want[i]) <= allowed) continue;
        print_error("%s %s on %s [%zu]: had %.9g, wanted %.9g, allowed %.3g\n",
                    net_now->op, net_now->what, uri, i, had[i], want[i], allowed);
        wrong = 1;
    }
    assert_int_equal(stats.infinities, 0);
    dev_unload(p);
    for (int i = 0; i < ports.n_in; i++) {
        dev_drop(in[i]);
        free(v[i]);
    }
    dev_drop(out);
    free(had);
    free(want);
    str_free(&text);
    return wrong;
}

#endif
