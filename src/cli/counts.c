/* counts.c - what the engine's accumulator does to each product of a plan in its
 * first step, where the device counts. */
#include <jansson.h>
#include <stdlib.h>

#include "cli/verbs.h"

typedef struct {
    const plan *p;
    str *text;   /* or */
    json_t *all; /* the list */
} counted;

static const plan_kind *kind_of(const plan *p, int program, int product)
{
    return &p->kinds[p->programs[program].products[product]];
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? 100 * (double)part / (double)whole : 0;
}

static void tell(const counted *to, int i, const dev_counts *c)
{
    const plan_program *q = &to->p->programs[i];
    char t[32];
    str_addf(to->text, "  %s x%d: %llu infinities, %llu results flushed\n", q->name,
             q->calls, (unsigned long long)c->infinities, (unsigned long long)c->flushed);
    for (int j = 0; j < c->n; j++) {
        const plan_kind *k = kind_of(to->p, i, j);
        const dev_product *d = &c->product[j];
        str_addf(to->text,
                 "    %-14s %-7s %10s products, %llu dropped (%.3g %%), %llu sums over\n",
                 k->name, plan_way_name(k->way), str_count(t, (double)d->products),
                 (unsigned long long)d->dropped, share(d->dropped, d->products),
                 (unsigned long long)d->saturated);
    }
}

static rc list(const counted *to, int i, const dev_counts *c)
{
    const plan_program *q = &to->p->programs[i];
    json_t *products = json_array();
    for (int j = 0; j < c->n; j++) {
        const plan_kind *k = kind_of(to->p, i, j);
        const dev_product *d = &c->product[j];
        json_array_append_new(products,
                              json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", k->name,
                                        "kind", plan_way_name(k->way), "result", d->name,
                                        "products", (json_int_t)d->products, "dropped",
                                        (json_int_t)d->dropped, "saturated",
                                        (json_int_t)d->saturated));
    }
    json_t *row = json_pack("{s:s, s:i, s:I, s:I, s:o}", "program", q->name, "calls",
                            q->calls, "infinities", (json_int_t)c->infinities, "flushed",
                            (json_int_t)c->flushed, "products", products);
    return row && !json_array_append_new(to->all, row) ? OK : E_MEMORY;
}

static rc look(void *ctx, exec *x)
{
    const counted *to = ctx;
    if (to->text)
        str_addf(to->text,
                 "counts: one step of random tokens, on first weights%s; of each "
                 "program's calls together\n",
                 to->p->window ? " and factors of 1" : "");
    for (int i = 0; i < to->p->n_programs; i++) {
        dev_counts c;
        TRY(exec_counts(x, i, &c));
        if (to->text) tell(to, i, &c);
        else TRY(list(to, i, &c));
    }
    return OK;
}

rc cli_print_counts(const cli_trial *t, str *text)
{
    counted to = {.p = t->plan, .text = text};
    return cli_try_step(t, NULL, look, &to);
}

/* *json is an object without them. */
rc cli_add_counts(const cli_trial *t, str *json)
{
    json_t *all = json_loadb(json->p, json->n, 0, NULL);
    counted to = {.p = t->plan, .all = json_array()};
    rc e = all && to.all ? cli_try_step(t, NULL, look, &to) : E_MEMORY;
    json_object_set_new(all, "counts", to.all);
    char *dumped = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (!e && !dumped) e = E_MEMORY;
    str_clear(json);
    if (!e) str_add(json, dumped);
    free(dumped);
    json_decref(all);
    return e ? e : str_done(json);
}
