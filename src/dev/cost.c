/* cost.c - how long a launch takes, and work on the host.
 *
 * An engine is an array of multipliers behind a memory. Each core makes 256
 * fp16 products a cycle (twice that of int8) for its own output channels. It
 * holds 64 KiB of weights: from that follows how many of its channels are
 * computed in one pass over the input, and the input is read once a pass. So
 * an operation takes as long as the slowest of three streams: products, weights,
 * input (M6 study, "performance model of the compiler", found again in
 * measurements: ANEForge's products of 6144 and 8192 follow the number of passes
 * to a percent). Elementwise work has an engine of its own. A launch has a floor,
 * whatever it does.
 *
 * A program with weights that fit the buffers has the next operation's fetched
 * while one computes; larger ones come in at the rate of memory. That is why
 * chains of 512 and 640 channels run near the peak and chains of 768 do not. */
#include "dev/cost.h"

#include <math.h>
#include <string.h>

static const dev_costs table = {{
#define COST(name, value, start, unit, about) value,
#include "dev/cost.def"
#undef COST
}};
static const dev_cost_row rows[] = {
#define COST(name, value, start, unit, about) {#name, unit, about, start},
#include "dev/cost.def"
#undef COST
};
_Static_assert(sizeof rows / sizeof *rows == DEV_COSTS, "a row of cost.def is lost");

const dev_costs *dev_costs_table(void)
{
    return &table;
}

const dev_cost_row *dev_cost_at(int i)
{
    return i >= 0 && i < DEV_COSTS ? &rows[i] : NULL;
}

/* ---- the engine ---- */
static const double products_per_cycle = 256;   /* of a core, fp16: M6 study */
static const double weight_buffer = 64 << 10;   /* bytes a core: M6 study */
static const double operand_tile = 2 << 20;     /* bytes: maderix/ANE 4, M6 study */
static const double working_set = 32 << 20;     /* bytes: maderix/ANE, part 2 */
static const double most_channels = 16;         /* of a core in one pass: M6 study */
static const double activation_gbs = 116;       /* read: the compiler's, by M6 study */
static const double matmul_share = 10.0 / 19.4; /* best square product measured, of the
                                                   peak: M5 Pro, ANEForge */
static const double winograd_gain = 1.5;        /* of 9 taps: F(2,3) along the width */

static double of(const dev_cost *c, dev_cost_id id)
{
    return c->k->v[id];
}

/* M6's engines work on one program together, those of an M3 Ultra do not. */
static double cores(const dev_profile *p)
{
    return p->family >= DEV_H18 ? p->cores : (double)p->cores / p->engines;
}

static dev_cost_id floor_of(dev_family f)
{
    static const dev_cost_id ids[DEV_FAMILIES] = {COST_floor_h13, COST_floor_h14,
                                                  COST_floor_h15, COST_floor_h16,
                                                  COST_floor_h17, COST_floor_h18};
    return ids[f];
}

dev_cost dev_cost_launch(const dev_profile *chip, const dev_costs *k)
{
    dev_cost c = {chip, k ? k : &table, 0};
    c.us = of(&c, floor_of(chip->family));
    return c;
}

/* us for products of the whole array at `share` of its rate. */
static double array_us(const dev_cost *c, double products, double share)
{
    return products / (cores(c->chip) * products_per_cycle * c->chip->clock_mhz * share);
}

/* Of operands that are read again; `all` is the working set. */
static double read_us(const dev_cost *c, double bytes, double all)
{
    return bytes / (1e3 * (all > working_set ? of(c, COST_far) : activation_gbs));
}

/* How often an input of `in` channels is read for `out` of them. */
static double passes(const dev_cost *c, double in_bytes, double out)
{
    double group = most_channels;
    while (group > 1 && group * in_bytes > weight_buffer) group /= 2;
    return ceil(out / (cores(c->chip) * group));
}

static double weight_gbs(const dev_cost *c, double bytes)
{
    if (bytes <= weight_buffer * cores(c->chip)) return of(c, COST_prefetch);
    return dev_known(c->chip->weight_gbs) ? c->chip->weight_gbs : of(c, COST_stream);
}

/* size: bytes of an element. */
static double stream_us(const dev_cost *c, double in, double taps, double out,
                        double pixels, double size)
{
    double weights = size * in * taps * out, input = size * in * pixels;
    double all = weights + input + size * out * pixels;
    double again = input > operand_tile ? passes(c, in * taps * size, out) : 1;
    /* Weights are read once whatever the size: no reuse is lost. */
    return fmax(weights / (weight_gbs(c, weights) * 1e3), read_us(c, again * input, all));
}

void dev_cost_conv(dev_cost *c, double in, double out, double taps, double pixels,
                   int bits)
{
    double n = cores(c->chip), gain = taps == 9 && c->chip->winograd ? winograd_gain : 1;
    double products = in * taps * ceil(out / n) * n * pixels / gain;
    if (bits == 8) products /= 2;
    c->us += of(c, COST_layer) + fmax(array_us(c, products, of(c, COST_mac)),
                                      stream_us(c, in, taps, out, pixels, bits / 8));
}

/* Neither operand can be arranged or fetched before: the rate is one measured of
 * products, in which it is included that operands are read. */
void dev_cost_matmul(dev_cost *c, double batch, double m, double k, double n)
{
    double all = batch * 2 * (m * k + k * n + m * n);
    bool again = all > working_set && 2 * m * k > operand_tile &&
                 2 * k * n > operand_tile;
    double share = again ? of(c, COST_matmul_large) : matmul_share;
    c->us += of(c, COST_layer) + array_us(c, batch * m * k * n, share);
}

void dev_cost_each(dev_cost *c, double n, int operands)
{
    dev_cost_id id = c->chip->family == DEV_H13 ? COST_each_h13 : COST_each;
    double scale = cores(c->chip) / 16 * c->chip->clock_mhz / 2500;
    c->us += of(c, COST_layer) + n * operands / (of(c, id) * 1e3 * scale);
}

void dev_cost_move(dev_cost *c, double n)
{
    c->us += 2 * n / (activation_gbs * 1e3);
}

void dev_cost_surfaces(dev_cost *c, double bytes)
{
    c->us += bytes / (activation_gbs * 1e3);
}

/* M4, M4 Pro and M4 Max differ in their memory alone. */
void dev_cost_python(dev_cost *c, double bytes)
{
    dev_family f = c->chip->family;
    dev_cost_id id = f <= DEV_H14   ? COST_python_h13
                     : f <= DEV_H16 ? COST_python_h16
                                    : COST_python_h17;
    double memory = id == COST_python_h16 ? sqrt(dev_host_of(c->chip)->gbs / 273) : 1;
    c->us += bytes / (of(c, id) * 1e3 * memory);
}

double dev_cost_ms(const dev_cost *c)
{
    return c->us * 1e-3;
}

/* ---- the host ---- */
#define U DEV_UNKNOWN
static const dev_host hosts[] = {
#define HOST(id, ghz, clusters, gbs, source) {#id, ghz, clusters, gbs, source},
#include "dev/hosts.def"
#undef HOST
};
#undef U

const dev_host *dev_host_of(const dev_profile *chip)
{
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (!strcmp(hosts[i].name, chip->name)) return &hosts[i];
    return NULL;
}

double dev_host_ms(const dev_profile *chip, const dev_costs *k, dev_host_work w, double n)
{
    const dev_host *h = dev_host_of(chip);
    if (!h || !dev_known(h->ghz)) h = dev_host_of(dev_profile_find("m5"));
    const double *v = k ? k->v : table.v, clock = h->ghz / 4.4;
    switch (w) {
    case DEV_HOST_BLAS:
        return n / (v[COST_blas] * clock * h->clusters) * 1e-6;
    case DEV_HOST_PASS:
        return n * v[COST_pass] / clock * 1e-6;
    case DEV_HOST_EXP:
        return n * v[COST_exp] / clock * 1e-6;
    case DEV_HOST_COPY:
        return n / (v[COST_copy] * clock) * 1e-6;
    case DEV_HOST_CAST:
        return n / (v[COST_cast] * clock) * 1e-6;
    case DEV_HOST_SCALAR:
        return n / (v[COST_scalar] * clock) * 1e-6;
    case DEV_HOST_MEMORY:
        break;
    }
    return n / h->gbs * 1e-6;
}

/* ---- power ---- */
const dev_power *dev_power_at(size_t i)
{
    static const dev_power all[] = {
#define POWER(id, ...) {#id, __VA_ARGS__},
#include "dev/power.def"
#undef POWER
    };
    return i < sizeof all / sizeof *all ? &all[i] : NULL;
}

const dev_power *dev_power_while(const dev_profile *chip, const char *doing)
{
    const dev_power *w;
    for (size_t i = 0; (w = dev_power_at(i)); i++)
        if (!strcmp(w->chip, chip->name) && !strcmp(w->rail, "engine") &&
            !strcmp(w->doing, doing))
            return w;
    return NULL;
}

const dev_power *dev_power_training(const dev_profile *chip)
{
    const dev_power *w = dev_power_while(chip, "training");
    return w ? w : dev_power_while(chip, "sustained");
}
