/* A small residual network of 109 lines of MIL text, tests/data/mil/resnet.mil,
 * run by `anneal run` from an .npy file to .npy files on several chips and in each
 * arithmetic, against the same network in double, written out by hand below. The
 * weights are those of the text. */
#include "test.h"

#include <sys/wait.h>

#include "base/half.h"
#include "base/npy.h"
#include "base/rng.h"
#include "mil/mil.h"

static char dir[512], command[1024], text_path[1024];
static arena *mem;
static const mil_func *net;

static int setup(void **state)
{
    const char *given = getenv("ANNEAL");
    char *made = test_mkdir(), *text;
    size_t n;
    mil_program *p;
    snprintf(dir, sizeof dir, "%.500s", made);
    free(made);
    if (given) snprintf(command, sizeof command, "%s", given);
    else if (!realpath("build/anneal", command)) return -1;
    if (!realpath("tests/data/mil/resnet.mil", text_path)) return -1;
    mem = arena_new();
    assert_ok(file_read(mem, text_path, 0, &text, &n));
    assert_ok(mil_parse(mem, text, n, "resnet.mil", &p));
    net = mil_find_func(p, "main");
    return 0;
}

static int teardown(void **state)
{
    arena_free(mem);
    return file_remove_tree(dir) ? -1 : 0;
}

/* ---- the network in double ---- */
static const half *weight(const char *name)
{
    for (int i = 0; i < net->n_op; i++)
        if (!strcmp(net->op[i].out[0].name, name)) {
            const mil_value *v = mil_attr_of(&net->op[i], "val");
            return v ? v->data : NULL;
        }
    fail_msg("no weight '%s'", name);
    return NULL;
}

typedef struct {
    int c, h, w;
    double *v;
} image;

static image blank(int c, int h, int w)
{
    image x = {c, h, w, arena_array(mem, (size_t)(c * h * w), sizeof(double))};
    assert_non_null(x.v);
    return x;
}

static image conv(image x, const char *name, int outs, int k, int stride)
{
    image y = blank(outs, x.h / stride, x.w / stride);
    const half *w = weight(name);
    for (int o = 0; o < outs; o++)
        for (int i = 0; i < y.h; i++)
            for (int j = 0; j < y.w; j++)
                for (int t = 0; t < x.c * k * k; t++) {
                    int p = i * stride + t / k % k - k / 2,
                        q = j * stride + t % k - k / 2;
                    if (p < 0 || p >= x.h || q < 0 || q >= x.w) continue;
                    y.v[(o * y.h + i) * y.w + j] +=
                        x.v[(t / (k * k) * x.h + p) * x.w + q] *
                        half_to_double(w[o * x.c * k * k + t]);
                }
    return y;
}

static image even(image x, const char *name)
{
    static const char *const kinds[] = {"mean", "spread", "gain", "shift"};
    const half *w[4];
    for (int k = 0; k < 4; k++) {
        char full[64];
        snprintf(full, sizeof full, "%s_of_%s", kinds[k], name);
        w[k] = weight(full);
    }
    for (int i = 0; i < x.c * x.h * x.w; i++) {
        int c = i / (x.h * x.w);
        x.v[i] = (x.v[i] - half_to_double(w[0][c])) /
                     sqrt(half_to_double(w[1][c]) + 0x1p-10) * half_to_double(w[2][c]) +
                 half_to_double(w[3][c]);
    }
    return x;
}

static image relu(image x, double slope)
{
    for (int i = 0; i < x.c * x.h * x.w; i++)
        if (x.v[i] < 0) x.v[i] *= slope;
    return x;
}

static image halved(image x)
{
    image y = blank(x.c, x.h / 2, x.w / 2);
    for (int i = 0; i < x.c * y.h * y.w; i++) {
        const double *v = x.v + i / y.w * 2 * x.w + i % y.w * 2;
        y.v[i] = fmax(fmax(v[0], v[1]), fmax(v[x.w], v[x.w + 1]));
    }
    return y;
}

static image softmax_of_means(image x)
{
    image mean = blank(x.c, 1, 1);
    double sum = 0;
    for (int i = 0; i < x.c * x.h * x.w; i++)
        mean.v[i / (x.h * x.w)] += x.v[i] / (x.h * x.w);
    image y = conv(mean, "w_scores", 10, 1, 1);
    for (int i = 0; i < 10; i++) sum += exp(y.v[i]);
    for (int i = 0; i < 10; i++) y.v[i] = exp(y.v[i]) / sum;
    return y;
}

/* [16,4,8] to [4,8,16]: every place becomes a block of 2 x 2. */
static image doubled(image x, int outs)
{
    image y = blank(outs, x.h * 2, x.w * 2);
    const half *w = weight("w_up");
    for (int o = 0; o < outs; o++)
        for (int i = 0; i < y.h; i++)
            for (int j = 0; j < y.w; j++)
                for (int c = 0; c < x.c; c++)
                    y.v[(o * y.h + i) * y.w + j] +=
                        x.v[(c * x.h + i / 2) * x.w + j / 2] *
                        half_to_double(w[(c * outs + o) * 4 + i % 2 * 2 + j % 2]);
    return y;
}

static void forward(image x, image *chances, image *mask)
{
    image small = halved(relu(even(conv(x, "w_stem", 8, 3, 1), "stem_even"), 0));
    image left = relu(even(conv(small, "w_left_1", 8, 3, 1), "left_even"), 0);
    left = even(conv(left, "w_left_2", 8, 3, 1), "left_out");
    for (int i = 0; i < left.c * left.h * left.w; i++) left.v[i] += small.v[i];
    image down = relu(conv(relu(left, 0), "w_down", 16, 1, 2), 0.125);
    *chances = softmax_of_means(down);
    *mask = doubled(down, 4);
}

/* ---- the command ---- */
/* The largest error of an output, in units of its largest value. */
static double error_of(const char *name, image want)
{
    char path[600];
    npy had;
    double most = 0, worst = 0;
    snprintf(path, sizeof path, "%s/%s.npy", dir, name);
    assert_ok(npy_read(mem, path, &had));
    assert_int_equal(had.count, want.c * want.h * want.w);
    for (size_t i = 0; i < had.count; i++) most = fmax(most, fabs(want.v[i]));
    for (size_t i = 0; i < had.count; i++)
        worst = fmax(worst,
                     fabs(half_to_double(((const half *)had.data)[i]) - want.v[i]));
    return worst / most;
}

/* Tolerances, of the largest value. wide: one rounding when the result is stored.
 * fast: 15 ops on the way round by 2^-11 at most each, half up, half down: what
 * four of them make together. exact: the same; products are rounded to 2^-16 as well,
 * which is less for values of this size. */
static void a_small_network_gives_what_it_should(void **state)
{
    static const struct {
        const char *uri;
        double most;
    } devices[] = {{"emu:m4,wide", 0x1p-11}, {"emu:m4,fast", 0x1p-9},
                   {"emu:m1,fast", 0x1p-9},  {"emu:m1,exact", 0x1p-9},
                   {"emu:m4,exact", 0x1p-9}, {"emu:m6,exact", 0x1p-9}};
    image x = blank(3, 16, 32), chances, mask;
    half in[3 * 16 * 32];
    char path[600], line[4096];
    for (size_t i = 0; i < COUNT_OF(in); i++) {
        in[i] = half_from_double(2 * rng_unit(5, 1, i) - 1);
        x.v[i] = half_to_double(in[i]);
    }
    snprintf(path, sizeof path, "%s/image.npy", dir);
    assert_ok(npy_write(path, "<f2", 4, (int64_t[]){1, 3, 16, 32}, in));
    forward(x, &chances, &mask);
    for (size_t i = 0; i < COUNT_OF(devices); i++) {
        snprintf(
            line, sizeof line,
            "cd %s && %s run %s -d %s --in image=image.npy --out chances=chances.npy "
            "--out mask=mask.npy >out.txt 2>err.txt",
            dir, command, text_path, devices[i].uri);
        int status = system(line);
        if (!WIFEXITED(status) || WEXITSTATUS(status))
            fail_msg("`anneal run` on %s ended with %d", devices[i].uri,
                     WEXITSTATUS(status));
        double a = error_of("chances", chances), b = error_of("mask", mask);
        print_message("%s: %.2g, %.2g\n", devices[i].uri, a, b);
        assert_true(a <= devices[i].most && b <= devices[i].most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_network_gives_what_it_should),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
