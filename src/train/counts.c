/* counts.c - what the engine's accumulator did to the products of an update: sums
 * over its micro-batches, and how an event tells of them. */
#include "train/internal.h"

rc counts_open(run *r)
{
    const plan *p = r->step.plan;
    if (!p->caps.counts) return OK;
    r->kinds = mem_take(mem_mul((size_t)p->n_kinds + 1, sizeof *r->kinds));
    return r->kinds ? OK : E_MEMORY;
}

void counts_clear(run *r)
{
    r->products = r->dropped = r->saturated = r->flushed = 0;
    for (int i = 0; r->kinds && i < r->step.plan->n_kinds; i++)
        r->kinds[i] = (exec_count){0};
}

void counts_add(run *r, const exec_stats *s)
{
    r->products += s->products;
    r->dropped += s->dropped;
    r->saturated += s->saturated;
    r->flushed += s->flushed;
    for (int i = 0; s->kinds && r->kinds && i < r->step.plan->n_kinds; i++) {
        r->kinds[i].products += s->kinds[i].products;
        r->kinds[i].dropped += s->kinds[i].dropped;
        r->kinds[i].saturated += s->kinds[i].saturated;
    }
}

/* Names are words of our params and of the planner: nothing in them is escaped. */
static void add_kinds(event *e, const run *r)
{
    const plan *p = r->step.plan;
    str all = {0};
    for (int i = 0; i < p->n_kinds; i++) {
        const exec_count *c = &r->kinds[i];
        str_addf(&all,
                 "%s{\"name\":\"%s\",\"kind\":\"%s\",\"products\":%llu,"
                 "\"dropped\":%llu,\"saturated\":%llu}",
                 i ? "," : "[", p->kinds[i].name, plan_way_name(p->kinds[i].way),
                 (unsigned long long)c->products, (unsigned long long)c->dropped,
                 (unsigned long long)c->saturated);
    }
    str_add(&all, p->n_kinds ? "]" : "[]");
    if (str_done(&all) == OK) event_json(e, "counts", all.p);
    str_free(&all);
}

void counts_report(event *e, const run *r)
{
    if (!r->kinds) {
        if (r->saturated) event_int(e, "saturated", (int64_t)r->saturated);
        return;
    }
    event_int(e, "products", (int64_t)r->products);
    event_int(e, "dropped", (int64_t)r->dropped);
    event_int(e, "saturated", (int64_t)r->saturated);
    event_int(e, "flushed", (int64_t)r->flushed);
    add_kinds(e, r);
}
