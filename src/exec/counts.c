/* counts.c - what the engine's accumulator did to the products of a step.
 *
 * A device that counts does so for each program, since it was loaded, so a step
 * is the difference of two looks. Equal layers share a program and add up; what
 * is told apart are kinds of products (plan.kinds). */
#include <string.h>
#include "exec/internal.h"

rc exec_counts_check(exec *x, int program)
{
    const plan_program *q = &x->p->programs[program];
    dev_counts c;
    if (!x->p->caps.counts) return OK;
    TRY(dev_counts_of(x->programs[program], &c));
    if (c.n == q->n_products) return OK;
    return err_fail(E_DEVICE,
                    "program %s: the device counts %d products, the plan has %d", q->name,
                    c.n, q->n_products);
}

rc exec_counts_open(exec *x)
{
    const plan *p = x->p;
    int all = 0;
    if (!p->caps.counts) return OK;
    x->counted_at = arena_array(x->mem, (size_t)p->n_programs + 1, sizeof(int));
    x->kinds = arena_array(x->mem, (size_t)p->n_kinds + 1, sizeof *x->kinds);
    if (!x->counted_at || !x->kinds) return E_MEMORY;
    for (int i = 0; i < p->n_programs; i++) {
        x->counted_at[i] = all; /* where its counts before this step are kept */
        all += p->programs[i].n_products;
    }
    x->counted = arena_array(x->mem, (size_t)all + 1, sizeof *x->counted);
    return x->counted ? OK : E_MEMORY;
}

rc exec_counts_step(exec *x)
{
    const plan *p = x->p;
    if (!x->counted) return OK;
    memset(x->kinds, 0, (size_t)p->n_kinds * sizeof *x->kinds);
    for (int i = 0; i < p->n_programs; i++) {
        dev_counts c;
        if (!x->programs[i]) continue; /* baked weights that failed to compile */
        TRY(dev_counts_of(x->programs[i], &c));
        for (int j = 0; j < c.n; j++) {
            exec_count *was = &x->counted[x->counted_at[i] + j];
            exec_count *sum = &x->kinds[p->programs[i].products[j]];
            const dev_product *now = &c.product[j];
            sum->products += now->products - was->products;
            sum->dropped += now->dropped - was->dropped;
            sum->saturated += now->saturated - was->saturated;
            *was = (exec_count){now->products, now->dropped, now->saturated};
        }
    }
    for (int i = 0; i < p->n_kinds; i++) x->stats.products += x->kinds[i].products;
    x->stats.kinds = x->kinds;
    return OK;
}

rc exec_counts(exec *x, int program, dev_counts *out)
{
    return dev_counts_of(x->programs[program], out);
}
