/* ports.c - where a program's ports really are.
 *
 * People found that surfaces bind in alphabetical order of names (Orion,
 * h3.c-ane). A loaded program also says so itself, in its attributes:
 *   ANEFModelDescription
 *     kANEFModelInputSymbolsArrayKey   [ "a_in", "b_in" ]
 *     kANEFModelOutputSymbolsArrayKey  [ "out@output" ]
 *     ANEFModelProcedures [ { ANEFModelInputSymbolIndexArray [ 0, 1 ],
 *                             ANEFModelOutputSymbolIndexArray [ 0 ] } ]
 *   NetworkStatusList [ { LiveInputList [ { Name, Width, Height, Channels,
 *                                           RowStride, PlaneStride } ], ... } ]
 * (ane-infer; dumps of such dictionaries in several public projects). Where it
 * speaks it is believed, and where it reads rows at a stride that is not that
 * of packed rows the program is refused: its numbers would be silently wrong.
 * Where it is silent the alphabet holds. */
#include <stdio.h>
#include <string.h>
#include "dev/ane/model.h"

enum { NAME = 256, SIDE_MAX = 1 << 28 }; /* no surface has such a side */

/* The place of `name` in a list of symbols; outputs carry "@output". -1 if it
 * is not there. */
static int symbol_of(const ane_sys *a, ane_ref symbols, const char *name)
{
    char text[NAME];
    long n = ane_get_count(a, symbols);
    for (long i = 0; i < n; i++) {
        if (!ane_get_text(a, ane_get_item(a, symbols, i), text, sizeof text)) continue;
        text[strcspn(text, "@")] = 0;
        if (!strcmp(text, name)) return (int)i;
    }
    return -1;
}

/* Which is counted in *told where it is described. */
static rc place_side(const ane_sys *a, ane_ref symbols, const dev_port *ports, int n,
                     int *at, const char *what, int *told)
{
    long had = ane_get_count(a, symbols);
    if (had < 0) return OK; /* not described */
    ++*told;
    if (had != n)
        return err_fail(E_DEVICE, "the compiled program has %ld %s, its text has %d", had,
                        what, n);
    for (int i = 0; i < n; i++) {
        at[i] = symbol_of(a, symbols, ports[i].name);
        if (at[i] < 0)
            return err_fail(E_DEVICE, "the compiled program has no '%s' among its %s",
                            ports[i].name, what);
    }
    return OK;
}

/* ---- strides ---- */
static int64_t number_at(const ane_sys *a, ane_ref port, const char *key)
{
    int64_t v;
    return ane_get_number(a, ane_get(a, port, key), &v) ? v : -1;
}

static rc check_port(const ane_sys *a, ane_ref live, const dev_port *p)
{
    int64_t width = number_at(a, live, "Width"), height = number_at(a, live, "Height"),
            planes = number_at(a, live, "Channels"),
            row = number_at(a, live, "RowStride"),
            plane = number_at(a, live, "PlaneStride");
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX) return OK;
    int64_t packed = width * (int64_t)mil_dtype_bytes(p->type.dtype);
    if (height > 1 && row > 0 && row != packed)
        return err_fail(
            E_RULE,
            "rule 'row_multiple': the engine reads the rows of '%s' every %lld "
            "bytes, packed they have %lld",
            p->name, (long long)row, (long long)packed);
    if (planes > 1 && plane > 0 && plane != packed * height)
        return err_fail(E_RULE,
                        "rule 'row_multiple': the engine reads the planes of '%s' every "
                        "%lld bytes, packed they have %lld",
                        p->name, (long long)plane, (long long)(packed * height));
    return OK;
}

static rc check_side(const ane_sys *a, ane_ref list, const dev_port *ports, int n)
{
    char name[NAME];
    long had = ane_get_count(a, list);
    for (long i = 0; i < had; i++) {
        ane_ref live = ane_get_item(a, list, i);
        if (!ane_get_text(a, ane_get(a, live, "Name"), name, sizeof name)) continue;
        name[strcspn(name, "@")] = 0;
        for (int j = 0; j < n; j++)
            if (!strcmp(name, ports[j].name)) TRY(check_port(a, live, &ports[j]));
    }
    return OK;
}

rc ane_read_ports(const ane_sys *a, ane_ref attributes, const dev_ports *ports,
                  int *in_at, int *out_at, int *told)
{
    *told = 0;
    ane_ref d = ane_get(a, attributes, "ANEFModelDescription");
    ane_ref network = ane_get_item(a, ane_get(a, attributes, "NetworkStatusList"), 0);
    TRY(place_side(a, ane_get(a, d, "kANEFModelInputSymbolsArrayKey"), ports->in,
                   ports->n_in, in_at, "inputs", told));
    TRY(place_side(a, ane_get(a, d, "kANEFModelOutputSymbolsArrayKey"), ports->out,
                   ports->n_out, out_at, "outputs", told));
    TRY(check_side(a, ane_get(a, network, "LiveInputList"), ports->in, ports->n_in));
    return check_side(a, ane_get(a, network, "LiveOutputList"), ports->out, ports->n_out);
}

/* What could not be read may have been said: where the trial's program told both
 * sides, a guess would be wrong numbers whenever the alphabet is not the order. */
static rc check_told(ane_engine *e, int told)
{
    if (e->trial) e->told = told;
    if (told >= e->told) return OK;
    return err_hint(err_fail(E_DEVICE, "the system does not say where the inputs and "
                                       "outputs of the program go, as it did before"),
                    "try again; if it stays, end other programs that use the engine");
}

rc ane_describe(ane_engine *e, ane_model *m, const dev_ports *ports)
{
    const ane_sys *a = &e->sys;
    for (int i = 0; i < ports->n_in; i++) m->in_at[i] = i;
    for (int i = 0; i < ports->n_out; i++) m->out_at[i] = i;
    if (e->silent || !ane_has(a, e->route->has_attributes)) return OK;
    void *pool = a->objc_autoreleasePoolPush();
    ane_id attributes = e->route->attributes(a, m->object);
    int told;
    rc r = ane_read_ports(a, attributes, ports, m->in_at, m->out_at, &told);
    if (r == OK) r = check_told(e, told);
    ane_drop(a, attributes);
    a->objc_autoreleasePoolPop(pool);
    if (r == OK || !e->trial) return r;
    e->silent = true;
    e->told = 0;
    err_clear();
    return ane_describe(e, m, ports);
}
