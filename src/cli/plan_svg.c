/* plan_svg.c - a plan's step as a picture: what the engine does, what the host
 * does meanwhile, by predicted time. Steps are laid out as exec issues them: each
 * in its lane after what it waits for; hovering shows the cause. */
#include <math.h>
#include <string.h>

#include "cli/verbs.h"
#include "plan/timeline.h"

enum { WIDTH = 1200, LEFT = 70, TOP = 46, LANE = 44, GAP = 14, LANES = 3, LETTER = 7 };
static const char *const lane_name[LANES] = {"engine", "host", "beside"};
static const char *const lane_color[LANES] = {"#4e79a7", "#f28e2b", "#76b7b2"};

static int lane_of(const plan_step *s)
{
    return s->engine ? 0 : s->background ? 2 : 1;
}

static const char *name_of(const plan *p, const plan_step *s)
{
    return s->engine ? p->programs[s->program].name : ir_op_name(s->node->op);
}

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

typedef struct {
    const char *name, *scope, *cause;
    int lane;
    double ms, from; /* both in ms */
} block;

static void draw_block(const block *b, double scale, str *out)
{
    double x = LEFT + b->from * scale, wide = b->ms * scale;
    int y = TOP + b->lane * (LANE + GAP);
    str_add(out, "<g><title>");
    escaped(out, b->name);
    str_add(out, *b->scope ? " of " : "");
    escaped(out, b->scope);
    str_addf(out, ", %.3f ms: ", b->ms);
    escaped(out, b->cause);
    str_addf(out,
             "</title><rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" "
             "fill=\"%s\" stroke=\"#fff\" stroke-width=\"0.5\"/>",
             x, y, fmax(wide, 0.5), LANE, lane_color[b->lane]);
    if (wide > LETTER * (double)strlen(b->name)) {
        str_addf(out, "<text x=\"%.2f\" y=\"%d\" fill=\"#fff\">", x + 4,
                 y + LANE / 2 + 4);
        escaped(out, b->name);
        str_add(out, "</text>");
    }
    str_add(out, "</g>\n");
}

/* What follows the last step of the plan. */
static void draw_update(const plan *p, double from, double scale, str *out)
{
    block b = {"optimizer", "", "AdamW on the fp32 weights", 1, p->optimizer_ms, from};
    draw_block(&b, scale, out);
    b = (block){"staging",
                "",
                "values and weights to and from surfaces",
                1,
                p->staging_ms,
                from + p->optimizer_ms};
    draw_block(&b, scale, out);
}

/* Ticks at 1, 2 or 5 times a power of ten, about ten of them. */
static void draw_axis(double end, double scale, str *out)
{
    double raw = end / 10, unit = pow(10, floor(log10(raw))), step = unit;
    int y = TOP + LANES * (LANE + GAP);
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

rc cli_plan_svg(const plan *p, str *out)
{
    double *start = mem_take(mem_mul((size_t)p->n_steps + 1, sizeof *start));
    if (!start) return E_MEMORY;
    double steps_end = plan_timeline(p, start);
    double end = fmax(steps_end + p->optimizer_ms + p->staging_ms, 1e-6);
    double scale = (WIDTH - LEFT - 30) / end;
    str_addf(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
             "font-family=\"sans-serif\" font-size=\"12\">\n"
             "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
             "<text x=\"%d\" y=\"24\" font-size=\"15\">one step on %s, predicted: %d "
             "programs, %d launches</text>\n",
             WIDTH, TOP + LANES * (LANE + GAP) + 24, LEFT, p->caps.uri, p->loads,
             p->launches);
    draw_axis(end, scale, out);
    for (int i = 0; i < LANES; i++)
        str_addf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
                 TOP + i * (LANE + GAP) + LANE / 2 + 4, lane_name[i]);
    for (int i = 0; i < p->n_steps; i++) {
        const plan_step *s = &p->steps[i];
        block b = {name_of(p, s), s->scope,        s->cause,
                   lane_of(s),    s->predicted_ms, start[i]};
        draw_block(&b, scale, out);
    }
    draw_update(p, steps_end, scale, out);
    str_add(out, "</svg>\n");
    mem_drop(start);
    return str_done(out);
}
