/* apple.h - Apple's side of the boundary, from plain C.
 *
 * An Objective-C message is a C function call: the runtime finds the function
 * for (object, selector), and it is called with the object and the selector as
 * its first two arguments. So nothing is linked and no header of Apple's is
 * needed: symbols.def says which functions are looked up by name, and
 * selectors.def which methods, with the exact C type of each. One wrapper is
 * made from each row, and no method is called in any other way. When the
 * device is opened every row is compared with what the system says of it.
 *
 * Ownership: whatever a wrapper or a function of cf.c returns belongs to the
 * caller, who gives it back with ane_drop. `live` counts what is held. */
#ifndef DEV_ANE_APPLE_H
#define DEV_ANE_APPLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* Apple's opaque types. The tags are Apple's own, so that a checker of
 * function types sees the types which the functions are defined with. */
typedef struct objc_object *ane_id;
typedef struct objc_class *ane_class;
typedef struct objc_selector *ane_sel;
typedef struct objc_method *ane_method;
typedef void (*ane_imp)(void);
typedef const void *ane_ref;
typedef unsigned long ane_type;
typedef const struct __CFAllocator *ane_allocator;
typedef const struct __CFString *ane_string;
typedef const struct __CFData *ane_data;
typedef const struct __CFNumber *ane_number;
typedef const struct __CFArray *ane_array;
typedef const struct __CFDictionary *ane_dict;
typedef struct __CFDictionary *ane_mutable_dict;
typedef const struct __CFURL *ane_url;
typedef struct __CFError *ane_error;
typedef struct __IOSurface *ane_iosurface;
typedef struct IOReportSubscription *ane_subscription;
typedef struct CFArrayCallBacks ane_array_calls;
typedef struct CFDictionaryKeyCallBacks ane_key_calls;
typedef struct CFDictionaryValueCallBacks ane_value_calls;

typedef enum {
#define LIB(id, need, path) ANE_LIB_##id,
#define SYM(lib, need, ret, name, types)
#define DATA(lib, need, type, name)
#include "dev/ane/symbols.def"
#undef LIB
#undef SYM
#undef DATA
    ANE_LIBS
} ane_lib;

typedef enum {
#define CLASS(id, need, name) ANE_CLASS_##id,
#define SEL(...)
#include "dev/ane/selectors.def"
#undef CLASS
#undef SEL
    ANE_CLASSES
} ane_class_id;

typedef enum {
#define CLASS(id, need, name)
#define SEL(id, ...) ANE_SEL_##id,
#include "dev/ane/selectors.def"
#undef CLASS
#undef SEL
    ANE_SELS
} ane_sel_id;

/* Who cannot do without a row. */
typedef enum { ANE_MUST, ANE_MAY, ANE_BOTH, ANE_MEMORY, ANE_CLIENT, ANE_OR } ane_need;

/* What the system says of a row. */
typedef enum { ANE_FOUND, ANE_NO_CLASS, ANE_NO_METHOD, ANE_CHANGED } ane_state;

typedef struct {
#define LIB(id, need, path)
#define SYM(lib, need, ret, name, types) ret(*name) types;
#define DATA(lib, need, type, name) const type *name;
#include "dev/ane/symbols.def"
#undef LIB
#undef SYM
#undef DATA
    ane_id class_of[ANE_CLASSES]; /* NULL where missing */
    ane_sel sel[ANE_SELS];
    ane_state state[ANE_SELS];
    char had[ANE_SELS][64]; /* the encoding found, of rows that are ANE_CHANGED */
    atomic_long live;       /* references held */
} ane_sys;

/* A row of selectors.def, for messages and for whoever compares tables. */
typedef struct {
    ane_need need;
    char kind; /* '+' or '-' */
    ane_class_id owner;
    const char *id, *selector, *encoding, *source;
} ane_sel_row;
const ane_sel_row *ane_sel_at(int i); /* NULL past the end */
const char *ane_class_name(ane_class_id c);
ane_need ane_class_need(ane_class_id c);
/* A row of symbols.def; NULL past the end. */
typedef struct {
    ane_lib lib;
    ane_need need;
    const char *name;
    size_t at; /* of its pointer in ane_sys */
} ane_sym_row;
const ane_sym_row *ane_sym_at(int i);
const char *ane_lib_path(ane_lib l);

/* Open the libraries (`lib` instead of all of them, unless NULL), find every
 * symbol, class and method, compare every encoding. E_DEVICE names what is
 * missing among what every route needs. `a` is zeroed. Nothing is closed
 * again: a library with Objective-C classes cannot be unloaded. */
rc ane_sys_open(ane_sys *a, const char *lib);
/* May a route be taken: ANE_MEMORY or ANE_CLIENT? E_DEVICE names the first
 * class or method that is missing or changed. */
rc ane_sys_allows(const ane_sys *a, ane_need route);
static inline bool ane_has(const ane_sys *a, ane_sel_id s)
{
    return a->state[s] == ANE_FOUND;
}
/* An encoding without frame offsets and names: "B36@0:8I16" -> "B@:I". */
const char *ane_bare_encoding(char *out, size_t size, const char *encoding);

/* Give back a reference; NULL is fine. ane_keep takes one more. */
void ane_drop(const ane_sys *a, ane_ref r);
void *ane_keep(const ane_sys *a, ane_ref r);

/* ---- wrappers: ane_msg_ID(a, self, ...), self not NULL ---- */
#define ANE_RESULT_OBJECT(a, x) return ane_keep(a, x)
#define ANE_RESULT_PLAIN(a, x) return (x)
#define ANE_RESULT_NONE(a, x) x
#define CLASS(id, need, name)
#define SEL(id, need, kind, owner, selector, encoding, result, ret, params, types, args, \
            source)                                                                      \
    static inline ret ane_msg_##id params                                                \
    {                                                                                    \
        ane_sel sel = a->sel[ANE_SEL_##id];                                              \
        ret(*call) types = (ret(*) types)a->class_getMethodImplementation(               \
            a->object_getClass(self), sel);                                              \
        ANE_RESULT_##result(a, call args);                                               \
    }
#include "dev/ane/selectors.def"
#undef CLASS
#undef SEL

#endif
