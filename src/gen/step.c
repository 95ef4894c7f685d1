/* step.c - feed tokens: the inputs of a step, and the keys and values kept
 * between steps.
 *
 * The surfaces "keys.N" and "values.N" are a ring of `window` places: the
 * token at position p stands in place p mod window, and only distances
 * between positions enter attention, so the ring may turn for ever. The
 * device leaves the old surfaces as they were; after a step the host copies
 * the few new columns into them. A place is zeroed before its token comes,
 * because the step adds to it. */
#include <stdio.h>
#include <string.h>
#include "gen/internal.h"

#define UNSEEN -30000.0f /* exp of it is 0 in fp16, and it stays finite there */

static int place_of(const gen *g, int64_t position)
{
    return (int)(position % g->window);
}

/* Columns [from, from+n) of one ring: from `fresh`, or zeros. */
static rc put_columns(gen *g, const char *what, int layer, int n, const float *fresh)
{
    const model_config *c = &g->m->config;
    size_t rows = (size_t)c->kv_heads * (size_t)c->head_dim, stride;
    char name[32];
    half *p;
    snprintf(name, sizeof name, "%s.%d", what, layer);
    TRY(exec_map_input(g->exec, name, &p, &stride));
    for (int j = 0; j < n; j++) {
        half *column = p + place_of(g, g->length + j);
        for (size_t r = 0; r < rows; r++)
            column[r * stride] = fresh ? half_from_float(fresh[r * COLUMNS + (size_t)j])
                                       : 0;
    }
    return exec_unmap_input(g->exec, name);
}

static rc put_all(gen *g, int n, bool zero)
{
    static const char *const what[] = {"keys", "values"};
    const model_config *c = &g->m->config;
    size_t count = (size_t)c->kv_heads * (size_t)c->head_dim * COLUMNS;
    char name[40];
    for (int i = 0; i < c->layers; i++)
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "%s.%d.new", what[k], i);
            if (!zero) TRY(exec_output(g->exec, name, g->fresh, count));
            TRY(put_columns(g, what[k], i, n, zero ? NULL : g->fresh));
        }
    return OK;
}

rc gen_forget(gen *g)
{
    g->length = 0;
    return put_all(g, g->window, true);
}

static void set_rotary(gen *g, int n)
{
    int hd = g->m->config.head_dim;
    for (int j = 0; j < n; j++) {
        model_rotary(&g->m->config, g->length + j, g->angle, g->angle + hd);
        for (int i = 0; i < hd; i++) {
            g->cosine[i * COLUMNS + j] = (float)g->angle[i];
            g->sine[i * COLUMNS + j] = (float)g->angle[hd + i];
        }
    }
}

/* Column j sees what was there, itself, and the columns before it. Columns of
 * no token see everything: their results are not read. */
static void set_places(gen *g, int n)
{
    size_t width = (size_t)g->width;
    int share = g->m->config.heads / g->m->config.kv_heads;
    memset(g->place, 0, COLUMNS * width * sizeof *g->place);
    for (int j = 0; j < n; j++)
        g->place[(size_t)j * width + (size_t)place_of(g, g->length + j)] = 1;
    for (int j = 0; j < COLUMNS; j++) {
        float *row = g->mask + (size_t)j * width;
        int64_t last = j < n ? g->length + j : g->length + n - 1;
        for (int i = 0; i < g->width; i++)
            row[i] = i < g->window && (last >= g->window || i <= last) ? 0 : UNSEEN;
    }
    for (int s = 1; s < share; s++)
        memcpy(g->mask + (size_t)s * COLUMNS * width, g->mask,
               COLUMNS * width * sizeof *g->mask);
}

static rc set_inputs(gen *g, const int32_t *ids, int n)
{
    int32_t padded[COLUMNS] = {0};
    const model_config *c = &g->m->config;
    size_t rows = COLUMNS * sizeof(float), share = (size_t)(c->heads / c->kv_heads);
    memcpy(padded, ids, (size_t)n * sizeof *ids);
    set_rotary(g, n);
    set_places(g, n);
    TRY(exec_input(g->exec, "ids", padded, sizeof padded));
    TRY(exec_input(g->exec, "cosine", g->cosine, (size_t)c->head_dim * rows));
    TRY(exec_input(g->exec, "sine", g->sine, (size_t)c->head_dim * rows));
    TRY(exec_input(g->exec, "place", g->place, (size_t)g->width * rows));
    return exec_input(g->exec, "mask", g->mask, share * (size_t)g->width * rows);
}

/* 1 to COLUMNS tokens. Once the ring is full a step takes one token, since a
 * second one's place would still be seen by the first. */
static rc step(gen *g, const int32_t *ids, int n)
{
    exec_stats stats;
    if (g->length >= g->window) TRY(put_all(g, n, true));
    TRY(set_inputs(g, ids, n));
    TRY(exec_step(g->exec, &stats));
    if (stats.infinities)
        return err_fail(E_NUMERIC, "%llu infinities, the first in %s",
                        (unsigned long long)stats.infinities,
                        stats.first_infinity ? stats.first_infinity
                                             : "an unnamed program");
    TRY(put_all(g, n, false));
    g->length += n;
    size_t vocab = (size_t)g->m->config.vocab;
    TRY(exec_output(g->exec, "logits", g->all, vocab * COLUMNS));
    for (size_t i = 0; i < vocab; i++)
        g->logits[i] = g->all[i * COLUMNS + (size_t)(n - 1)];
    return OK;
}

rc gen_feed(gen *g, const int32_t *ids, size_t n)
{
    int vocab = g->m->config.vocab;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return err_fail(E_CONFIG, "token id %d is outside the vocabulary of %d",
                            (int)ids[i], vocab);
    while (n) {
        int64_t room = g->window - g->length;
        int take = room > COLUMNS ? COLUMNS : room > 0 ? (int)room : 1;
        if ((size_t)take > n) take = (int)n;
        TRY(step(g, ids, take));
        ids += take, n -= (size_t)take;
    }
    return OK;
}
