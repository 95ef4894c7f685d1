/* timeline.c - a plan's steps one after the other and beside each other.
 *
 * Three things can happen at once: the engine runs one program, the host does
 * what the next program waits for, and a second thread of the host sums
 * gradients. The picture ends with the update, during which the engine has
 * nothing to do but AdamW of weights that stay there: the norm of all gradients is
 * known only when the last is there. */
#include "plan/timeline.h"
#include "plan/cost.h"

#include <math.h>
#include <string.h>

const char *plan_lane_name(int lane)
{
    static const char *const names[PLAN_LANES] = {"engine", "host", "beside", "staging"};
    return lane >= 0 && lane < PLAN_LANES ? names[lane] : NULL;
}

static plan_lane lane_of(const plan_step *s)
{
    return s->engine       ? PLAN_LANE_ENGINE
           : s->background ? PLAN_LANE_BESIDE
                           : PLAN_LANE_HOST;
}

/* An update's parts follow each other. */
enum { UPDATE_PARTS = 4 };

static void add_update(const plan *p, plan_block *all, int *n, double *end)
{
    double there = p->update ? p->update->engine_ms : 0;
    const plan_block parts[] = {
        {PLAN_LANE_HOST, "optimizer", "",
         p->update ? "the norm of gradients, and AdamW on weights that are the host's"
                   : "AdamW on the fp32 weights",
         0, p->optimizer_ms - there},
        {PLAN_LANE_ENGINE, "AdamW", "", "of weights that stay on the engine", 0, there},
        {PLAN_LANE_STAGING, "weights", "", "new weights as fp16 to their surfaces", 0,
         p->staging_ms},
        {PLAN_LANE_STAGING, "compile", "", "programs with new weights, a pass's share", 0,
         p->compile_ms},
    };
    _Static_assert(sizeof parts == UPDATE_PARTS * sizeof *parts, "room for all");
    for (int i = 0; i < UPDATE_PARTS; i++) {
        if (!(parts[i].ms > 0)) continue;
        all[*n] = parts[i];
        all[(*n)++].from_ms = *end;
        *end += parts[i].ms;
    }
}

rc plan_blocks(const plan *p, arena *mem, plan_block **out, int *n, double *end_ms)
{
    double free_at[PLAN_LANES] = {0}, end = 0;
    plan_block *all = arena_array(mem, (size_t)p->n_steps + UPDATE_PARTS, sizeof *all);
    if (!all) return E_MEMORY;
    for (int i = 0; i < p->n_steps; i++) {
        const plan_step *s = &p->steps[i];
        plan_lane lane = lane_of(s);
        double t = free_at[lane];
        for (int j = 0; j < s->n_wait; j++)
            t = fmax(t, all[s->wait[j]].from_ms + all[s->wait[j]].ms);
        const char *name = s->engine ? p->programs[s->program].name : s->what;
        all[i] = (plan_block){lane, name, s->scope, s->cause, t, s->predicted_ms};
        free_at[lane] = t + s->predicted_ms;
        end = fmax(end, free_at[lane]);
    }
    *n = p->n_steps;
    add_update(p, all, n, &end);
    *out = all;
    *end_ms = end;
    return OK;
}

static double optimizer_floor(const plan *p)
{
    double bytes = PLAN_OPTIMIZER_BYTES * p->memory.weights / 4;
    if (!p->caps.profile || !(p->memory.moments > 0)) return 0;
    if (p->options.bake_every > 1) bytes /= p->options.bake_every;
    return dev_host_ms(p->caps.profile, NULL, DEV_HOST_MEMORY, bytes);
}

plan_times plan_times_of(const plan *p)
{
    double update = p->optimizer_ms + p->staging_ms + p->compile_ms;
    return (plan_times){.step = p->step_ms,
                        .pass = p->step_ms - update,
                        .engine = p->engine_ms,
                        .host = p->host_ms,
                        .staging = p->staging_ms,
                        .optimizer = p->optimizer_ms,
                        .serial = p->engine_ms + p->host_ms + update,
                        .floor = optimizer_floor(p)};
}

/* ---- as text ---- */
enum { COLUMNS = 72, KINDS = 52 };

/* Blocks of one name in one lane have one letter. */
typedef struct {
    plan_lane lane;
    const char *name;
    int times;
    double from, to, ms;
} kind;

static int kind_of(kind *kinds, int *n, const plan_block *b)
{
    int k = 0;
    while (k < *n && (kinds[k].lane != b->lane || strcmp(kinds[k].name, b->name) != 0))
        k++;
    if (k == KINDS) k = KINDS - 1; /* the last letter is all others' */
    if (k == *n) kinds[(*n)++] = (kind){b->lane, b->name, 0, b->from_ms, 0, 0};
    kinds[k].times++;
    kinds[k].ms += b->ms;
    kinds[k].to = fmax(kinds[k].to, b->from_ms + b->ms);
    return k;
}

static char letter(int k)
{
    return (char)(k < 26 ? 'A' + k : 'a' + k - 26);
}

/* How much of each column a block takes, added to its letter's. */
static void fill_columns(double (*share)[KINDS], const plan_block *b, int k,
                         double column)
{
    double from = b->from_ms / column, to = (b->from_ms + b->ms) / column;
    for (int c = (int)from; c < COLUMNS && c < to; c++)
        share[c][k] += fmin(to, c + 1) - fmax(from, c);
}

/* A column shows what takes most of it, or a dot if nothing takes half. */
static void print_lane(double (*share)[KINDS], const kind *kinds, int n, int lane,
                       str *out)
{
    double busy = 0;
    for (int k = 0; k < n; k++)
        busy += kinds[k].lane == (plan_lane)lane ? kinds[k].ms : 0;
    if (!(busy > 0)) return;
    str_addf(out, "  %-8s", plan_lane_name(lane));
    for (int c = 0; c < COLUMNS; c++) {
        double all = 0, most = 0;
        int which = 0;
        for (int k = 0; k < n; k++) {
            if (kinds[k].lane != (plan_lane)lane) continue;
            all += share[c][k];
            if (share[c][k] > most) most = share[c][k], which = k;
        }
        str_addc(out, all >= 0.5 ? letter(which) : '.');
    }
    str_addf(out, " %.3f ms\n", busy);
}

rc plan_print_timeline(const plan *p, str *out)
{
    plan_block *b;
    int n, n_kinds = 0;
    double end;
    kind kinds[KINDS];
    arena *mem = arena_new();
    double(*share)[KINDS] = mem ? arena_array(mem, COLUMNS, sizeof *share) : NULL;
    rc e = share ? plan_blocks(p, mem, &b, &n, &end) : E_MEMORY;
    if (!e && end > 0) {
        for (int i = 0; i < n; i++)
            fill_columns(share, &b[i], kind_of(kinds, &n_kinds, &b[i]), end / COLUMNS);
        str_addf(out, "timeline: a column is %.3g ms, predicted\n", end / COLUMNS);
        for (int lane = 0; lane < PLAN_LANES; lane++)
            print_lane(share, kinds, n_kinds, lane, out);
        for (int k = 0; k < n_kinds; k++)
            str_addf(out, "  %c %s %s x%d: %.3f ms, between %.3f and %.3f\n", letter(k),
                     plan_lane_name((int)kinds[k].lane), kinds[k].name, kinds[k].times,
                     kinds[k].ms, kinds[k].from, kinds[k].to);
    }
    arena_free(mem);
    return e ? e : str_done(out);
}
