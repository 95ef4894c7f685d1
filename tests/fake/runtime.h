/* runtime.h - a small Objective-C runtime, enough to stand in for Apple's.
 *
 * An object is a word that points at its class; a class is an object whose
 * class is its metaclass; a message is a walk from the class upwards until a
 * method has the selector. The reference count stands before the object, as it
 * does not belong to what a subclass may read. Classes and methods come from
 * selectors.def and never change after the library is loaded, so looking them
 * up needs no lock.
 *
 * What Apple's runtime answers with a crash (a message nobody understands, one
 * release too many) ends the process here too, with a line that names it; what
 * Apple lets pass but is a fault of the caller (a base address read without a
 * lock, an autorelease without a pool) is counted, see fake.h. */
#ifndef FAKE_RUNTIME_H
#define FAKE_RUNTIME_H

#include "apple.h"

struct objc_object {
    Class isa;
};

/* Every class of the fake: identifier, name, superclass identifier (or the
 * class itself for the root), C type of an instance. */
/* clang-format off */
#define FAKE_CLASSES(X)                                                        \
    X(object,     "NSObject",                     object, struct objc_object)  \
    X(string,     "NSString",                     object, fake_bytes)          \
    X(data,       "NSData",                       object, fake_bytes)          \
    X(url,        "NSURL",                        object, fake_bytes)          \
    X(number,     "NSNumber",                     object, fake_number)         \
    X(array,      "NSArray",                      object, fake_array)          \
    X(dictionary, "NSDictionary",                 object, fake_dictionary)     \
    X(error,      "NSError",                      object, fake_error)          \
    X(surface,    "IOSurface",                    object, fake_surface)        \
    X(descriptor, "_ANEInMemoryModelDescriptor",  object, fake_descriptor)     \
    X(memory,     "_ANEInMemoryModel",            object, fake_memory)         \
    X(wrapper,    "_ANEIOSurfaceObject",          object, fake_wrapper)        \
    X(request,    "_ANERequest",                  object, fake_request)        \
    X(client,     "_ANEClient",                   object, struct objc_object)  \
    X(model,      "_ANEModel",                    object, fake_model)          \
    X(info,       "_ANEDeviceInfo",               object, struct objc_object)
/* clang-format on */
typedef enum {
#define X(id, ...) CLASS_##id,
    FAKE_CLASSES(X)
#undef X
        FAKE_CLASS_COUNT
} fake_class_id;

Class fake_class(fake_class_id c);
bool fake_is(id o, fake_class_id c); /* false for nil */

/* A zeroed object with count 1; its class's destructor runs at zero. */
id fake_new(fake_class_id c);
/* One that lives as long as the library and is not counted. */
id fake_new_immortal(fake_class_id c);
void *fake_take(size_t bytes); /* zeroed; out of memory ends the process */

/* Core Foundation's objects are Objective-C's: a reference is the object. */
static inline id fake_id(CFTypeRef ref)
{
    return (id)(uintptr_t)ref;
}

/* What the calls of the fake have in common: count this one, and say whether
 * it is the one that was told to fail. */
bool fake_fails(void);
/* A fault of the caller that Apple's code would not report. */
void fake_misuse(const char *what);

#endif
