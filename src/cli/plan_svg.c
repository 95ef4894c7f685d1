/* plan_svg.c - a plan's step as a picture: what the engine does, what the host
 * does meanwhile, by predicted time. Steps are laid out as exec issues them: each
 * in its lane after what it waits for; hovering shows the cause. */
#include <math.h>
#include <string.h>

#include "cli/verbs.h"
#include "plan/anchors.h"
#include "plan/timeline.h"

enum { WIDTH = 1200, LEFT = 70, RIGHT = 110, TOP = 64, LANE = 44, GAP = 14, LETTER = 7 };
static const char *const lane_color[PLAN_LANES] = {"#4e79a7", "#f28e2b", "#76b7b2",
                                                   "#b07aa1"};

static void escaped(str *out, const char *text)
{
    for (; *text; text++) switch (*text) {
        case '&':
            str_add(out, "&amp;");
            break;
        case '<':
            str_add(out, "&lt;");
            break;
        case '>':
            str_add(out, "&gt;");
            break;
        default:
            str_addc(out, *text);
        }
}

static int top_of(int lane)
{
    return TOP + lane * (LANE + GAP);
}

static void draw_block(const plan_block *b, double scale, str *out)
{
    double x = LEFT + b->from_ms * scale, wide = b->ms * scale;
    int y = top_of((int)b->lane);
    str_add(out, "<g><title>");
    escaped(out, b->name);
    str_add(out, *b->scope ? " of " : "");
    escaped(out, b->scope);
    str_addf(out, ", %.3f ms from %.3f: ", b->ms, b->from_ms);
    escaped(out, b->cause);
    str_addf(out,
             "</title><rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" "
             "fill=\"%s\" stroke=\"#fff\" stroke-width=\"%s\"/>",
             x, y, fmax(wide, 0.5), LANE, lane_color[b->lane], wide > 2 ? "0.5" : "0");
    if (wide > LETTER * (double)strlen(b->name) + 8) {
        str_addf(out, "<text x=\"%.2f\" y=\"%d\" fill=\"#fff\">", x + 4,
                 y + LANE / 2 + 4);
        escaped(out, b->name);
        str_add(out, "</text>");
    }
    str_add(out, "</g>\n");
}

/* Each lane's name before it, and how long it is busy after it. */
static void draw_lanes(const plan_block *b, int n, double end, str *out)
{
    for (int lane = 0; lane < PLAN_LANES; lane++) {
        double busy = 0;
        int y = top_of(lane) + LANE / 2 + 4;
        for (int i = 0; i < n; i++) busy += (int)b[i].lane == lane ? b[i].ms : 0;
        str_addf(out,
                 "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
                 "fill=\"#f4f4f4\"/><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>"
                 "<text x=\"%d\" y=\"%d\">%.2f ms, %.0f %%</text>\n",
                 LEFT, top_of(lane), WIDTH - LEFT - RIGHT, LANE, LEFT - 8, y,
                 plan_lane_name(lane), WIDTH - RIGHT + 8, y, busy, 100 * busy / end);
    }
}

/* Ticks at 1, 2 or 5 times a power of ten, about ten of them. */
static void draw_axis(double end, double scale, str *out)
{
    double raw = end / 10, unit = pow(10, floor(log10(raw))), step = unit;
    int y = top_of(PLAN_LANES);
    if (raw > 5 * unit) step = 10 * unit;
    else if (raw > 2 * unit) step = 5 * unit;
    else if (raw > unit) step = 2 * unit;
    for (int i = 0; i * step <= end; i++)
        str_addf(out,
                 "<line x1=\"%.2f\" y1=\"%d\" x2=\"%.2f\" y2=\"%d\" stroke=\"#ddd\"/>"
                 "<text x=\"%.2f\" y=\"%d\" text-anchor=\"middle\">%g ms</text>\n",
                 LEFT + i * step * scale, TOP, LEFT + i * step * scale, y,
                 LEFT + i * step * scale, y + 14, i * step);
}

static void draw_head(const plan *p, double end, str *out)
{
    plan_times t = plan_times_of(p);
    str_addf(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
             "font-family=\"sans-serif\" font-size=\"12\">\n"
             "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
             "<text x=\"%d\" y=\"24\" font-size=\"15\">one step on %s: predicted %.3f ms "
             "in %d launches of %d programs",
             WIDTH, top_of(PLAN_LANES) + 24, LEFT, p->caps.uri, end, p->launches,
             p->loads);
    if (p->caps.profile)
        str_addf(out, ", within %.0f %% as a rule",
                 100 * plan_error_band(p->caps.profile));
    str_addf(
        out,
        "</text>\n<text x=\"%d\" y=\"44\" fill=\"#555\">a pass %.3f ms; optimizer "
        "%.3f, of which the bandwidth of memory is %.3f; staging %.3f; %.3f if nothing "
        "overlapped</text>\n",
        LEFT, t.pass, t.optimizer, t.floor, t.staging, t.serial);
}

rc cli_plan_svg(const plan *p, str *out)
{
    plan_block *b;
    int n;
    double end;
    arena *mem = arena_new();
    rc e = mem ? plan_blocks(p, mem, &b, &n, &end) : E_MEMORY;
    if (!e) {
        end = fmax(end, 1e-6);
        double scale = (WIDTH - LEFT - RIGHT) / end;
        draw_head(p, end, out);
        draw_lanes(b, n, end, out);
        draw_axis(end, scale, out);
        for (int i = 0; i < n; i++) draw_block(&b[i], scale, out);
        str_add(out, "</svg>\n");
    }
    arena_free(mem);
    return e ? e : str_done(out);
}
