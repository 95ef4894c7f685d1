/* ports.c - what a surface of a value looks like to a program.
 *
 * Rows of a surface must be a multiple of 32 elements. A value whose last axis
 * is not is packed tightly into rows of 32 when its size allows, for which a
 * program needs one reshape, or else gets padded rows. */
#include "plan/passes.h"

enum { ROW = 32, LEAST_BYTES = 49152, PAGE = 16384 };

static size_t allocation(const plan *p, int64_t count)
{
    size_t n = (size_t)count * 2;
    if (n < LEAST_BYTES && plan_keeps(p, RULE_surface_minimum)) n = LEAST_BYTES;
    if (plan_keeps(p, RULE_surface_pages)) n = (n + PAGE - 1) / PAGE * PAGE;
    return n;
}

void plan_port_shape(const plan *p, ir_shape s, dev_shape *out, int64_t *row,
                     int64_t *stride)
{
    const dev_profile *c = p->caps.profile;
    int64_t channels = c && c->max_channels > 0 ? c->max_channels : 65536;
    int64_t n = ir_count(s), width = s.d[s.rank - 1];
    int64_t height = s.rank > 1 ? s.d[s.rank - 2] : 1;
    dev_shape d = {
        .dtype = MIL_FP16, .rank = 4, .d = {1, n / (width * height), height, width}};
    *row = *stride = width;
    if (width % ROW && plan_keeps(p, RULE_row_multiple)) {
        if (n % ROW == 0 && n / ROW <= channels) {
            d.d[1] = n / ROW, d.d[2] = 1, d.d[3] = ROW;
        } else {
            d.d[3] = *stride = (width + ROW - 1) / ROW * ROW;
        }
    }
    d.bytes = allocation(p, d.d[1] * d.d[2] * d.d[3]);
    *out = d;
}
