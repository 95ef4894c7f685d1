/* time_page.h - docs/time.md: the model of time, its constants, and every
 * published timing beside its prediction. Part of gen_docs.c. */
#ifndef TIME_PAGE_H
#define TIME_PAGE_H

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "fit.h"
#include "plan/like.h"

static void time_head(str *out)
{
    str_add(
        out,
        "# Predicted time\n\n"
        "Everywhere in anneal *predicted* means the model on this page, for the profile "
        "that is named, and within\nthe error that is named beside it. Made from "
        "`src/dev/cost.def`, `hosts.def`, `power.def`, `profiles.def` and\n"
        "`src/plan/anchors.def`; `make fit-time` fits the constants again, `make docs` "
        "writes this page.\n\n"
        "## The model\n\n"
        "A launch costs its floor, and then, operation by operation "
        "(`src/dev/cost.c`):\n\n"
        "| operation | takes |\n|---|---|\n"
        "| convolution, linear layer (constant weight) | the longest of: products at 16 "
        "cores x 256 a cycle (x 2 for int8 on both sides; 3x3 on M5 and M6 / 1.5, "
        "Winograd); weights at the rate of memory, or of prefetching if they fit the "
        "cores' 64 KiB buffers; the input, read once for each group of channels if it "
        "is larger than a tile of 2 MiB |\n"
        "| matmul of two values that are given or computed | products at a measured "
        "matmul rate: 10.0 of 19.4 TFLOP/s, the best square product measured "
        "(ANEForge, M5 Pro), or the fitted rate of large ones; never the rate of "
        "convolution chains |\n"
        "| elementwise operation, a pass of a reduction | elements x operands at the "
        "elementwise engine's rate |\n"
        "| transpose, slice, concat | its bytes at 116 GB/s (read; M6 study) |\n"
        "| surfaces | their bytes at the same rate |\n\n"
        "A group has as many channels (up to 16 a core) as have their weights in 64 KiB: "
        "products of 6144 and 8192\nfollow that count. From 32 MiB of working set on, "
        "what is read again comes at the rate `far`.\n\n"
        "The host beside it: fp32 products at `blas` times its clusters of fast cores, "
        "one core's vector passes,\nexponentials, copies and conversions, times its "
        "clock over 4.4 GHz. An evaluation blocks the host's thread, so engine\nand host "
        "take turns, except for weight gradients on other threads and for what a plan "
        "puts *beside* the engine.\n");
}

static void time_constants(str *out)
{
    static fit_set s;
    fit_collect(&s);
    str_addf(out,
             "## Fitted constants\n\n%d constants from %d anchors (at most a third). "
             "Each for all chips, or for a family.\n\n"
             "| constant | value | unit | what |\n|---|---|---|---|\n",
             s.constants, s.n);
    for (int i = 0; i < DEV_COSTS; i++)
        str_addf(out, "| `%s` | %.4g | %s | %s |\n", dev_cost_at(i)->name,
                 dev_costs_table()->v[i], dev_cost_at(i)->unit, dev_cost_at(i)->about);
}

static void known_cell(str *out, double v)
{
    if (dev_known(v)) str_addf(out, " %.4g |", v);
    else str_add(out, " |");
}

static void time_chips(str *out)
{
    str_add(out, "\n## Chips and their hosts\n\nFacts, not fitted. Empty: not published; "
                 "such a host is taken for an M5's.\n\n"
                 "| profile | engine MHz | cores | weights GB/s | host GHz | clusters | "
                 "memory GB/s | error band | of anchors |\n"
                 "|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < dev_profile_count(); i++) {
        const dev_profile *p = dev_profile_at(i);
        const dev_host *h = dev_host_of(p);
        int n;
        plan_anchor_median(p, true, NULL, &n);
        str_addf(out, "| %s |", p->name);
        known_cell(out, p->clock_mhz);
        known_cell(out, p->cores);
        known_cell(out, p->weight_gbs);
        known_cell(out, h->ghz);
        known_cell(out, h->clusters);
        known_cell(out, h->gbs);
        str_addf(out, " %.0f %% | %s |\n", 100 * plan_error_band(p),
                 n >= 5 ? "its own" : "all chips");
    }
    str_add(out, "\nThe error band is the middle |error| of the held-out anchors of the "
                 "chip, or of all where it has fewer than 5.\n\n"
                 "## Power, as published\n\n| profile | rail | while | W | source |\n"
                 "|---|---|---|---|---|\n");
    for (size_t i = 0; dev_power_at(i); i++) {
        const dev_power *w = dev_power_at(i);
        str_addf(out, "| %s | %s | %s | %.3g | %s |\n", w->chip, w->rail, w->doing,
                 w->watts, w->source);
    }
}

static void time_score(str *out)
{
    int fit_n, held_n, steps = 0, within = 0;
    double fit = plan_anchor_median(NULL, false, NULL, &fit_n);
    double held = plan_anchor_median(NULL, true, NULL, &held_n), worst = 0;
    plan_anchor a;
    for (int i = 0; plan_anchor_at(i, &a); i++)
        if (a.sure && plan_anchor_is_step(&a)) {
            double e = fabs(plan_anchor_error(&a, NULL));
            steps++;
            within += e <= 0.2;
            worst = fmax(worst, e);
        }
    str_addf(out,
             "\n## How good it is\n\n"
             "| | anchors | middle abs. error |\n|---|---|---|\n"
             "| held out | %d | **%.1f %%** |\n| fitted | %d | %.1f %% |\n\n"
             "Whole training steps: %d of %d within 20 %%, the worst off by %.1f %%. The "
             "best public model reports 31 %%\n(ane-guide ch. 18, of 68 operations).\n\n",
             held_n, 100 * held, fit_n, 100 * fit, within, steps, 100 * worst);
    str_add(
        out,
        "Held out are the anchors whose name has an odd SHA-256 (its last hex digit); "
        "the table was complete before the\nfirst fit. The constants have never seen "
        "them. The *form* of the model (which rates there are, what overlaps)\nwas "
        "settled while their errors could be seen, so the held-out figure is a little "
        "kinder than that of new\nmeasurements will be: M3 got a floor and M1 an "
        "elementwise rate of its own, products of two inputs a published rate,\nand the "
        "programs of `dw-engine` were read up in its source after a guess at them "
        "missed. Rows that are not sure (the "
        "chip, or what exactly ran) are shown and count nowhere.\n\n"
        "What it does not explain: depths of 32 to 64 layers on M4 Max, which took "
        "longer than 96 and 128; small\nconvolutions with wide weights on M1; relu of 8 "
        "M elements on M4 Pro, and softmax and norms of 8 M on M6, out of\nline with "
        "their neighbours; norms in M5 Pro's table; the classifier of the static trainer "
        "alone.\n\n");
}

static const char *time_set(const plan_anchor *a)
{
    if (!a->sure) return "not sure";
    return plan_anchor_held_out(a) ? "held out" : "fit";
}

static void time_anchors(str *out)
{
    plan_anchor a;
    str_add(out, "\n## Every anchor\n\nError is predicted time over measured time, less "
                 "1: above 0 the model is too slow.\n\n"
                 "| anchor | set | measured | predicted | unit | error | source |\n"
                 "|---|---|---|---|---|---|---|\n");
    for (int i = 0; plan_anchor_at(i, &a); i++)
        str_addf(out, "| %s | %s | %.4g | %.4g | %s | %+.1f %% | %s |\n", a.name,
                 time_set(&a), a.measured, plan_anchor_predict(&a, NULL), a.unit,
                 100 * plan_anchor_error(&a, NULL), a.source);
}

static void time_page(str *out)
{
    time_head(out);
    time_score(out);
    time_constants(out);
    time_chips(out);
    time_anchors(out);
}

#endif
