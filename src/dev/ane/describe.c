/* describe.c - the machine, and everything that the driver stands on, told
 * without opening the engine: each library, symbol, class and method of the
 * tables with what the system has in its place. Whoever looks why a route is
 * closed, or what a new version of macOS changed, looks here first. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include "dev/ane/ane.h"
#include "dev/ane/facts.h"

typedef struct {
    dev_fact_sink *put;
    void *ctx;
} sink;

static void tell(const sink *s, const char *kind, const char *name, const char *expected,
                 const char *had, bool ok)
{
    dev_fact f = {kind, name, expected, had, ok};
    s->put(s->ctx, &f);
}

rc ane_machine(const char *params, dev_machine *out)
{
    ane_params p;
    ane_facts f;
    TRY(ane_params_parse(params, &p));
#ifndef __APPLE__
    if (!*p.lib)
        return err_fail(E_DEVICE, "there is no Neural Engine here: this is not macOS");
#endif
    ane_facts_read(ane_sysctl_find(*p.lib ? p.lib : NULL), &f);
    if (*f.chip && strncmp(f.chip, "Apple", 5))
        return err_fail(E_DEVICE, "there is no Neural Engine beside a processor '%s'",
                        f.chip);
    snprintf(out->chip, sizeof out->chip, "%s", f.chip);
    snprintf(out->os, sizeof out->os, "%s", f.os);
    snprintf(out->build, sizeof out->build, "%s", f.build);
    snprintf(out->lib, sizeof out->lib, "%s", p.lib);
    return OK;
}

/* Every library and symbol; are all there that every route needs? */
static bool tell_symbols(const sink *s, const char *lib)
{
    void *handle[ANE_LIBS];
    bool whole = true;
    for (int i = 0; i < ANE_LIBS; i++) {
        const char *path = lib ? lib : ane_lib_path((ane_lib)i);
        handle[i] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (lib && i) continue;
        tell(s, "library", path, "", handle[i] ? "there" : "", handle[i] != NULL);
    }
    const ane_sym_row *row;
    for (int i = 0; (row = ane_sym_at(i)); i++) {
        bool there = handle[row->lib] && dlsym(handle[row->lib], row->name);
        bool must = row->need == ANE_MUST;
        tell(s, "symbol", row->name, must ? "there" : "", there ? "there" : "",
             there || !must);
        whole &= there || !must;
    }
    return whole;
}

/* The other form of a method (need OR) stands in for the row above it. */
static bool row_ok(const ane_sys *a, int i)
{
    ane_need need = ane_sel_at(i)->need;
    const ane_sel_row *next = ane_sel_at(i + 1);
    if (a->state[i] == ANE_FOUND || need == ANE_OR) return true;
    if (need == ANE_MAY) return a->state[i] != ANE_CHANGED;
    return next && next->need == ANE_OR && a->state[i + 1] == ANE_FOUND;
}

static void tell_methods(const sink *s, const ane_sys *a)
{
    char name[192], bare[64];
    for (int c = 0; c < ANE_CLASSES; c++)
        tell(s, "class", ane_class_name((ane_class_id)c), "there",
             a->class_of[c] ? "there" : "",
             a->class_of[c] || ane_class_need((ane_class_id)c) == ANE_MAY);
    for (int i = 0; i < ANE_SELS; i++) {
        const ane_sel_row *row = ane_sel_at(i);
        bool there = a->state[i] == ANE_FOUND || a->state[i] == ANE_CHANGED;
        snprintf(name, sizeof name, "%c[%s %s]", row->kind, ane_class_name(row->owner),
                 row->selector);
        tell(s, "method", name, ane_bare_encoding(bare, sizeof bare, row->encoding),
             there ? a->had[i] : "", row_ok(a, i));
    }
}

static void tell_routes(const sink *s, const ane_sys *a)
{
    static const struct {
        ane_need need;
        const char *name;
    } routes[] = {{ANE_CLIENT, "client"}, {ANE_MEMORY, "memory"}};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        bool whole = ane_sys_allows(a, routes[i].need) == OK;
        tell(s, "route", routes[i].name, "complete", whole ? "complete" : err_first(),
             whole);
        err_clear();
    }
}

rc ane_tell_facts(const char *params, dev_fact_sink *put, void *ctx)
{
    const sink s = {put, ctx};
    ane_params p;
    TRY(ane_params_parse(params, &p));
    const char *lib = *p.lib ? p.lib : NULL;
    ane_machine_facts(lib, put, ctx);
    if (!tell_symbols(&s, lib)) return OK; /* without them nothing can be asked */
    ane_sys *a = mem_take(sizeof *a);
    if (!a) return E_MEMORY;
    rc r = ane_sys_open(a, lib);
    if (r != E_MEMORY) { /* what is missing is told row by row */
        err_clear();
        r = OK;
        tell_methods(&s, a);
        tell_routes(&s, a);
        ane_meter_facts(a, put, ctx);
    }
    mem_drop(a);
    return r;
}
