/* selfcheck.c - the three programs, as MIL text; see selfcheck.h. Shapes are
 * those of a small layer: 64 tokens, width 128, hidden 96. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"
#include "dev/check.h"
#include "dev/probe_case.h"
#include "dev/selfcheck.h"

#define HEAD                                                                  \
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", " \
    "\"3505.4.1\"}})]\n{ func main<ios18>("
#define T(rows, columns) "tensor<fp16, [1, 1, " #rows ", " #columns "]>"
#define LET(type, name, expr) type " " name " = " expr "[name = string(\"" name "\")];\n"
#define SET(type, name, val) \
    type " " name " = const()[name = string(\"" name "\"), val = " type "(" val ")];\n"
#define FLAGS SET("bool", "no", "false") SET("bool", "yes", "true")
#define MUL(a, b) "matmul(transpose_x = no, transpose_y = no, x = " a ", y = " b ")"

typedef struct {
    const char *name, *text;
    int n_in;
    int in[5]; /* elements of each input, by the alphabet */
    int out;
} program;

static const program programs[] = {
    {"a product",
     HEAD T(64, 128) " a_x, " T(128, 96) " b_w) {\n" FLAGS LET(
         T(64, 96), "z_out", MUL("a_x", "b_w")) "} -> (z_out); }\n",
     2,
     {64 * 128, 128 * 96},
     64 * 96},
    /* y = x + (silu(n w1) * (n w3)) w2, n = rms_norm(x) */
    {"a fused layer",
     HEAD T(64, 128) " a_x, " T(128, 96) " b_w1, " T(96, 128) " c_w2, " T(
         128, 96) " d_w3) {\n" FLAGS SET("tensor<int32, [1]>", "axes", "[3]")
         SET("fp16", "small", "0x1p-14") SET("fp16", "power", "-0x1p-1")
             LET(T(64, 128), "square", "mul(x = a_x, y = a_x)")
                 LET(T(64, 1), "mean",
                     "reduce_mean(axes = axes, keep_dims = yes, x = square)")
                     LET(T(64, 1), "safe", "add(x = mean, y = small)") LET(
                         T(64, 1), "root", "pow(x = safe, y = power)")
                         LET(T(64, 128), "norm", "mul(x = a_x, y = root)") LET(
                             T(64, 96), "gate", MUL("norm", "b_w1"))
                             LET(T(64, 96), "half_open", "sigmoid(x = gate)") LET(
                                 T(64, 96), "open", "mul(x = gate, y = half_open)")
                                 LET(T(64, 96), "up", MUL("norm", "d_w3")) LET(
                                     T(64, 96), "hidden", "mul(x = open, y = up)")
                                     LET(T(64, 128), "down", MUL("hidden", "c_w2")) LET(
                                         T(64, 128), "z_out",
                                         "add(x = a_x, y = down)") "} -> (z_out); }\n",
     4,
     {64 * 128, 128 * 96, 96 * 128, 128 * 96},
     64 * 128},
    /* d_w1 = n^T (d_h * up * s * (1 + gate * (1 - s))), s = sigmoid(gate) */
    {"a gradient",
     HEAD T(64, 128) " a_n, " T(64, 96) " b_gate, " T(64, 96) " c_up, " T(
         64, 96) " d_h) {\n" FLAGS SET("fp16", "one", "0x1p+0")
         LET(T(64, 96), "s", "sigmoid(x = b_gate)")
             LET(T(64, 96), "rest", "sub(x = one, y = s)")
                 LET(T(64, 96), "bent", "mul(x = b_gate, y = rest)")
                     LET(T(64, 96), "more", "add(x = bent, y = one)")
                         LET(T(64, 96), "slope", "mul(x = s, y = more)")
                             LET(T(64, 96), "through", "mul(x = d_h, y = c_up)")
                                 LET(T(64, 96), "d_gate", "mul(x = through, y = slope)")
                                     LET(T(128, 96), "z_out",
                                         "matmul(transpose_x = yes, transpose_y = no, x "
                                         "= a_n, y = d_gate)") "} -> (z_out); }\n",
     4,
     {64 * 128, 64 * 96, 64 * 96, 64 * 96},
     128 * 96},
};
enum { PROGRAMS = sizeof programs / sizeof *programs, LARGEST = 128 * 96 };

typedef struct {
    half in[4][LARGEST], had[LARGEST], want[LARGEST];
} room;

/* Numbers of about 1 in activations, of 1/8 in weights, as in a small model. */
static void fill(room *m, const program *p)
{
    for (int i = 0; i < p->n_in; i++)
        for (int k = 0; k < p->in[i]; k++)
            m->in[i][k] = half_from_double(rng_normal(7, (uint64_t)i, (uint64_t)k) *
                                           (p->in[i] == 128 * 96 ? 0.125 : 1));
}

static rc compare(device *d, device *twin, const program *p, room *m, dev_sight *out)
{
    const half *in[] = {m->in[0], m->in[1], m->in[2], m->in[3]};
    half *had[] = {m->had}, *want[] = {m->want};
    fill(m, p);
    TRY(check_compute(twin, p->name, p->text, in, want));
    rc r = check_compute(d, p->name, p->text, in, had);
    if (r != OK) return probe_refused(out, DEV_SEEN_REFUSED, r, true);
    double far = check_distance(m->had, m->want, (size_t)p->out);
    if (!(out->value >= far)) out->value = far;
    bool right = far <= DEV_SELF_BOUND;
    check_say(out, right ? DEV_SEEN_RIGHT : DEV_SEEN_WRONG,
              "%s is %.2g away from the software engine, at most %.2g is right", p->name,
              far, DEV_SELF_BOUND);
    return OK;
}

rc dev_self_check(device *d, const dev_caps *caps, dev_sight *out)
{
    char uri[64];
    device *twin = NULL;
    if (!caps->computes) {
        check_say(out, DEV_SEEN_UNKNOWN, "this device computes nothing");
        return OK;
    }
    room *m = mem_take(sizeof *m);
    if (!m) return E_MEMORY;
    snprintf(uri, sizeof uri, "emu:%s", caps->profile ? caps->profile->name : "m4");
    rc r = dev_open(uri, NULL, &twin);
    out->seen = DEV_SEEN_RIGHT;
    for (int i = 0; i < PROGRAMS && r == OK && out->seen == DEV_SEEN_RIGHT; i++)
        r = compare(d, twin, &programs[i], m, out);
    if (r == OK && out->seen == DEV_SEEN_RIGHT)
        check_say(out, DEV_SEEN_RIGHT, "%d programs agree, the worst is %.2g away",
                  (int)PROGRAMS, out->value);
    dev_close(twin);
    mem_drop(m);
    return r;
}
