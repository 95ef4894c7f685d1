/* fit_time.c - fit the constants of the model of time and write them into its
 * table: `fit_time src/dev/cost.def` (make fit-time). `-n` only says what it
 * would write. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tools/fit.h"
#include "base/file.h"

static void print_anchors(const dev_costs *k)
{
    plan_anchor a;
    for (int i = 0; plan_anchor_at(i, &a); i++)
        printf("%-9s %-62s %10.4g %10.4g %-8s %+6.1f %%\n",
               !a.sure                    ? "not sure"
               : plan_anchor_held_out(&a) ? "held out"
                                          : "fit",
               a.name, a.measured, plan_anchor_predict(&a, k), a.unit,
               100 * plan_anchor_error(&a, k));
}

/* The table with new values: "COST(name, VALUE, start, ..." by name. */
static rc write_table(const char *path, const dev_costs *k)
{
    char *text;
    size_t n;
    str out = {0};
    arena *mem = arena_new();
    if (!mem) return E_MEMORY;
    rc e = file_read(mem, path, 1 << 20, &text, &n);
    const char *last = e ? NULL : text + n;
    for (const char *at = e ? NULL : text; at < last;) {
        const char *end = memchr(at, '\n', (size_t)(last - at));
        end = end ? end + 1 : last;
        int i = 0;
        char head[64] = "";
        for (; i < DEV_COSTS; i++) {
            snprintf(head, sizeof head, "COST(%s, ", dev_cost_at(i)->name);
            if (!strncmp(at, head, strlen(head))) break;
        }
        const char *rest = i < DEV_COSTS ? strchr(at + strlen(head), ',') : NULL;
        if (rest) {
            str_addf(&out, "%s%.4g", head, k->v[i]);
            at = rest;
        }
        str_addn(&out, at, (size_t)(end - at));
        at = end;
    }
    if (!e) e = str_done(&out);
    if (!e) e = file_replace(path, out.p, out.n);
    str_free(&out);
    arena_free(mem);
    return e;
}

int main(int argc, char **argv)
{
    static fit_set s;
    dev_costs k;
    int n;
    bool only_say = argc > 1 && !strcmp(argv[1], "-n");
    if (argc < 2) return fprintf(stderr, "usage: fit_time [-n] cost.def\n"), 2;
    fit_collect(&s);
    double loss = fit_constants(&s, &k);
    print_anchors(&k);
    for (int i = 0; i < DEV_COSTS; i++)
        printf("%-12s %10.4g %s\n", dev_cost_at(i)->name, k.v[i], dev_cost_at(i)->unit);
    printf("%d constants from %d anchors, mean |log| %.4f\n", s.constants, s.n, loss);
    double fit = plan_anchor_median(NULL, false, &k, &n);
    printf("median |error| %.1f %% of %d fitted", 100 * fit, n);
    double held = plan_anchor_median(NULL, true, &k, &n);
    printf(", %.1f %% of %d held out\n", 100 * held, n);
    if (only_say) return 0;
    if (write_table(argv[1], &k) == OK) return 0;
    fprintf(stderr, "fit_time: %s\n", err_text());
    return 1;
}
