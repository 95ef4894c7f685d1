/* The driver's tables and the fake's were typed apart, from what Apple
 * publishes and from public programs. Here they meet: every symbol and every
 * method is in both, with one C type and one encoding. Types are compared when
 * this file is compiled. */
#include <dlfcn.h>
#include "test.h"
#include "dev/ane/apple.h"
#include "fake.h"
#include "methods.h"

#define SAME_TYPE(a, b) __builtin_types_compatible_p(__typeof__(a), __typeof__(b))

/* ---- functions and constants ---- */
#define FAKED_OBJC(...) __VA_ARGS__
#define FAKED_CF(...) __VA_ARGS__
#define FAKED_NS(...) __VA_ARGS__
#define FAKED_SURFACE(...) __VA_ARGS__
#define FAKED_SYSTEM(...) __VA_ARGS__
#define FAKED_REPORT(...) __VA_ARGS__

#define LIB(id, need, path)
#define SYM(lib, need, ret, name, types)                          \
    FAKED_##lib(_Static_assert(SAME_TYPE(&name, ret(*) types),    \
                               #name " has two types in the two " \
                                     "tables");)
#define DATA(lib, need, type, name) \
    FAKED_##lib(_Static_assert(SAME_TYPE(name, type), #name " has two types");)
#include "dev/ane/symbols.def"
#undef SYM
#undef DATA

static const char *const faked[] = {
#define SYM(lib, need, ret, name, types) FAKED_##lib(#name, )
#define DATA(lib, need, type, name) FAKED_##lib(#name, )
#include "dev/ane/symbols.def"
#undef SYM
#undef DATA
};
#undef LIB

static void *lib;

static int open_library(void **state)
{
    lib = dlopen(FAKE_LIB, RTLD_NOW | RTLD_LOCAL);
    if (!lib) print_error("%s\n", dlerror());
    return lib ? 0 : -1;
}

static void every_symbol_is_in_the_fake(void **state)
{
    for (size_t i = 0; i < COUNT_OF(faked); i++)
        if (!dlsym(lib, faked[i])) fail_msg("the fake exports no %s", faked[i]);
    assert_true(COUNT_OF(faked) >= 40);
}

/* ---- methods ---- */
/* The driver's row | the function behind the fake's row. */
#define PAIRS(X)                                  \
    X(descriptor, descriptor_make)                \
    X(memory_model, memory_make)                  \
    X(identifier, memory_hex)                     \
    X(memory_compile, memory_compile)             \
    X(memory_load, memory_load)                   \
    X(memory_evaluate, memory_evaluate)           \
    X(memory_unload, memory_unload)               \
    X(memory_attributes, memory_attributes)       \
    X(memory_inner, memory_inner)                 \
    X(memory_place, memory_set_url)               \
    X(memory_exists, memory_compiled)             \
    X(memory_depth, memory_depth)                 \
    X(memory_purge, memory_purge)                 \
    X(client, client_shared)                      \
    X(model_at, model_make)                       \
    X(client_compile, client_compile)             \
    X(client_compile_wide, client_compile_wide)   \
    X(client_load, client_load)                   \
    X(client_load_wide, client_load_wide)         \
    X(client_evaluate, client_evaluate)           \
    X(client_evaluate_wide, client_evaluate_wide) \
    X(client_unload, client_unload)               \
    X(client_unload_wide, client_unload_wide)     \
    X(model_attributes, model_attributes)         \
    X(client_exists, client_compiled)             \
    X(client_purge, client_purge)                 \
    X(surface, wrapper_make)                      \
    X(request, request_make)                      \
    X(all_keys, dictionary_keys)                  \
    X(has_engine, info_has)                       \
    X(is_virtual, info_virtual)                   \
    X(n_engines, info_engines)                    \
    X(sub_type, info_sub_type)

#define CLASS(id, need, name)
#define SEL(id, need, kind, cls, selector, encoding, result, ret, params, types, args, \
            source)                                                                    \
    typedef ret(*type_of_##id) types;
#include "dev/ane/selectors.def"
#undef CLASS
#undef SEL
#define X(id, fn)                                                                 \
    _Static_assert(SAME_TYPE(&fn, type_of_##id), #id " has two types in the two " \
                                                     "tables");
PAIRS(X)
#undef X

static const struct {
    ane_sel_id row;
    const char *function;
} pairs[] = {
#define X(id, fn) {ANE_SEL_##id, #fn},
    PAIRS(X)
#undef X
};
_Static_assert(COUNT_OF(pairs) == ANE_SELS, "a row of the driver has no pair");

/* The fake's rows with the names of their functions, in fake_ane_method_at's
 * order. */
static const char *const functions[] = {
#define METHOD(cls, kind, sel, encoding, fn, source) #fn,
#include "selectors.def"
#undef METHOD
};

static bool method_at(size_t i, fake_ane_method *out)
{
    int (*at)(size_t, fake_ane_method *);
    void *p = dlsym(lib, "fake_ane_method_at");
    assert_non_null(p);
    memcpy(&at, &p, sizeof at);
    return at(i, out) != 0;
}

static bool same_method(const ane_sel_row *r, const fake_ane_method *m)
{
    return !strcmp(ane_class_name(r->owner), m->owner) &&
           !strcmp(r->selector, m->selector) && (r->kind == '+') == !!m->is_class_method;
}

static void every_method_has_one_encoding_in_both_tables(void **state)
{
    fake_ane_method m = {0};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        const ane_sel_row *r = ane_sel_at((int)pairs[i].row);
        size_t k = 0;
        assert_int_equal(pairs[i].row, i); /* each once, in the table's order */
        while (k < COUNT_OF(functions) && strcmp(functions[k], pairs[i].function)) k++;
        if (!method_at(k, &m)) fail_msg("the fake has no %s", pairs[i].function);
        if (!same_method(r, &m))
            fail_msg("%s is not the fake's %c[%s %s]", r->id,
                     m.is_class_method ? '+' : '-', m.owner, m.selector);
        if (strcmp(r->encoding, m.encoding))
            fail_msg("%s: the driver has %s, the fake %s", r->selector, r->encoding,
                     m.encoding);
        assert_true(*m.source != 0);
    }
}

/* What the private classes of the fake have beyond what the driver sends: a
 * test of the fake sends them, or whoever looks at a running system. */
static const char *const beyond[] = {
    "state",
    "setQueueDepth:",
    "perfStatsMask",
    "setPerfStatsMask:",
    "numANECores",
    "mapIOSurfacesWithRequest:cacheInference:error:",
    "buildVersion",
    "unmapIOSurfacesWithRequest:",
    "aneArchitectureType",
};

static void the_fake_has_no_method_that_nobody_knows(void **state)
{
    fake_ane_method m;
    bool used[COUNT_OF(beyond)] = {false};
    for (size_t i = 0; method_at(i, &m); i++) {
        bool known = strncmp(m.owner, "_ANE", 4) != 0;
        for (int k = 0; ane_sel_at(k); k++) known |= same_method(ane_sel_at(k), &m);
        for (size_t k = 0; !known && k < COUNT_OF(beyond); k++)
            if (!strcmp(m.selector, beyond[k])) known = used[k] = true;
        if (!known) fail_msg("the driver has no [%s %s]", m.owner, m.selector);
    }
    for (size_t k = 0; k < COUNT_OF(beyond); k++)
        if (!used[k]) fail_msg("%s is in both tables, or in none", beyond[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_symbol_is_in_the_fake),
        cmocka_unit_test(every_method_has_one_encoding_in_both_tables),
        cmocka_unit_test(the_fake_has_no_method_that_nobody_knows),
    };
    return cmocka_run_group_tests(tests, open_library, NULL);
}
