/* apple.c - find everything in symbols.def and selectors.def, once, and say
 * clearly what is missing or no longer what it was. */
#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include "dev/ane/apple.h"

static const struct {
    ane_need need;
    const char *path;
} libs[] = {
#define LIB(id, need, path) {ANE_##need, path},
#define SYM(lib, need, ret, name, types)
#define DATA(lib, need, type, name)
#include "dev/ane/symbols.def"
#undef LIB
#undef SYM
#undef DATA
};

static const ane_sym_row syms[] = {
#define LIB(id, need, path)
#define SYM(lib, need, ret, name, types) \
    {ANE_LIB_##lib, ANE_##need, #name, offsetof(ane_sys, name)},
#define DATA(lib, need, type, name) \
    {ANE_LIB_##lib, ANE_##need, #name, offsetof(ane_sys, name)},
#include "dev/ane/symbols.def"
#undef LIB
#undef SYM
#undef DATA
};

static const struct {
    ane_need need;
    const char *name;
} classes[] = {
#define CLASS(id, need, name) {ANE_##need, name},
#define SEL(...)
#include "dev/ane/selectors.def"
#undef CLASS
#undef SEL
};

static const ane_sel_row sels[] = {
#define CLASS(id, need, name)
#define SEL(id, need, kind, owner, selector, encoding, result, ret, params, types, args, \
            source)                                                                      \
    {ANE_##need, kind, ANE_CLASS_##owner, #id, selector, encoding, source},
#include "dev/ane/selectors.def"
#undef CLASS
#undef SEL
};
_Static_assert(sizeof sels / sizeof *sels == ANE_SELS, "a row of selectors.def is lost");
_Static_assert(sizeof(void *) == sizeof(ane_imp), "dlsym gives functions as pointers");

const ane_sel_row *ane_sel_at(int i)
{
    return i >= 0 && i < ANE_SELS ? &sels[i] : NULL;
}

const ane_sym_row *ane_sym_at(int i)
{
    return i >= 0 && (size_t)i < sizeof syms / sizeof *syms ? &syms[i] : NULL;
}

const char *ane_class_name(ane_class_id c)
{
    return classes[c].name;
}

ane_need ane_class_need(ane_class_id c)
{
    return classes[c].need;
}

const char *ane_lib_path(ane_lib l)
{
    return libs[l].path;
}

/* ---- libraries and symbols ---- */
static rc no_library(const char *path, const char *lib)
{
    const char *why = dlerror();
    if (!why) why = "no reason given";
    if (lib) return err_fail(E_DEVICE, "the library %s cannot be opened: %s", path, why);
#ifdef __APPLE__
    rc r = err_fail(E_DEVICE, "the Neural Engine's framework was not found: %s", why);
#else
    rc r = err_fail(
        E_DEVICE,
        "the Neural Engine's framework was not found: this is not macOS, there "
        "is no %s",
        path);
#endif
    return err_hint(r,
                    "the engine needs macOS on Apple silicon; `-d emu:m4` runs the same "
                    "programs anywhere");
}

static rc open_libraries(const char *lib, void *handle[ANE_LIBS])
{
    for (int i = 0; i < ANE_LIBS; i++) {
        const char *path = lib ? lib : libs[i].path;
        handle[i] = lib && i ? handle[0] : dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle[i] && (lib || libs[i].need == ANE_MUST)) return no_library(path, lib);
    }
    return OK;
}

static rc find_symbols(ane_sys *a, const char *lib, void *const handle[ANE_LIBS])
{
    for (size_t i = 0; i < sizeof syms / sizeof *syms; i++) {
        const ane_sym_row *s = &syms[i];
        void *p = handle[s->lib] ? dlsym(handle[s->lib], s->name) : NULL;
        if (!p && s->need == ANE_MUST)
            return err_fail(E_DEVICE, "%s has no symbol '%s'",
                            lib ? lib : libs[s->lib].path, s->name);
        memcpy((char *)a + s->at, &p, sizeof p);
    }
    return OK;
}

/* ---- classes and methods ---- */
const char *ane_bare_encoding(char *out, size_t size, const char *encoding)
{
    size_t n = 0;
    bool quoted = false;
    for (const char *p = encoding; *p && n + 1 < size; p++) {
        if (*p == '"') quoted = !quoted;
        else if (!quoted && !isdigit((unsigned char)*p)) out[n++] = *p;
    }
    out[n] = 0;
    return out;
}

static ane_state look_at(ane_sys *a, int i)
{
    const ane_sel_row *r = &sels[i];
    char want[64];
    ane_class c = (ane_class)a->class_of[r->owner];
    if (!c) return ANE_NO_CLASS;
    ane_method m = r->kind == '+' ? a->class_getClassMethod(c, a->sel[i])
                                  : a->class_getInstanceMethod(c, a->sel[i]);
    if (!m) return ANE_NO_METHOD;
    const char *had = a->method_getTypeEncoding(m);
    ane_bare_encoding(a->had[i], sizeof a->had[i], had ? had : "");
    ane_bare_encoding(want, sizeof want, r->encoding);
    return strcmp(a->had[i], want) ? ANE_CHANGED : ANE_FOUND;
}

static rc refused(const ane_sys *a, int i)
{
    const ane_sel_row *r = &sels[i];
    const char *owner = classes[r->owner].name;
    char want[64];
    rc code = E_DEVICE;
    if (a->state[i] == ANE_NO_CLASS)
        code = err_fail(E_DEVICE, "the engine's framework has no class '%s'", owner);
    else if (a->state[i] == ANE_NO_METHOD)
        code = err_fail(E_DEVICE, "the engine's framework has no method '%c[%s %s]'",
                        r->kind, owner, r->selector);
    else
        code = err_fail(E_DEVICE,
                        "the method '%c[%s %s]' has changed: its types were '%s', now "
                        "they are '%s'",
                        r->kind, owner, r->selector,
                        ane_bare_encoding(want, sizeof want, r->encoding), a->had[i]);
    return err_hint(code, "this version of the system is not known to anneal yet; "
                          "`-d emu:m4` runs anywhere");
}

rc ane_sys_allows(const ane_sys *a, ane_need route)
{
    for (int i = 0; i < ANE_SELS; i++) {
        bool wanted = sels[i].need == route || sels[i].need == ANE_BOTH;
        if (!wanted || a->state[i] == ANE_FOUND) continue;
        if (i + 1 < ANE_SELS && sels[i + 1].need == ANE_OR &&
            a->state[i + 1] == ANE_FOUND)
            continue;
        return refused(a, i);
    }
    return OK;
}

rc ane_sys_open(ane_sys *a, const char *lib)
{
    void *handle[ANE_LIBS];
    TRY(open_libraries(lib, handle));
    TRY(find_symbols(a, lib, handle));
    void *pool = a->objc_autoreleasePoolPush(); /* classes set themselves up */
    for (int i = 0; i < ANE_CLASSES; i++)
        a->class_of[i] = (ane_id)a->objc_getClass(classes[i].name);
    for (int i = 0; i < ANE_SELS; i++) {
        a->sel[i] = a->sel_registerName(sels[i].selector);
        a->state[i] = look_at(a, i);
    }
    a->objc_autoreleasePoolPop(pool);
    return ane_sys_allows(a, ANE_BOTH);
}
