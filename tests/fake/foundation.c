/* foundation.c - a stand-in for CoreFoundation and what Foundation adds to it.
 *
 * The CF types and the NS classes are the same objects, as on Apple's system
 * ("toll-free"). Functions named Create or Copy give count 1, Get borrows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "methods.h"
#include "state.h"

/* CFStringEncoding and CFNumberType values: Apple's public headers. */
enum { UTF8 = 0x08000100, ASCII = 0x0600, LATIN1 = 0x0201 };
/* clang-format off */
#define CF_NUMBERS(X)                                                          \
    X(1, int8_t, 0) X(2, int16_t, 0) X(3, int32_t, 0) X(4, int64_t, 0)         \
    X(5, float, 1) X(6, double, 1) X(7, char, 0) X(8, short, 0) X(9, int, 0)   \
    X(10, long, 0) X(11, long long, 0) X(12, float, 1) X(13, double, 1)        \
    X(14, long, 0) X(15, long, 0) X(16, double, 1)
/* clang-format on */

/* ---- bytes: strings, data, URLs ---- */
id fake_bytes_new(fake_class_id c, const void *p, size_t n)
{
    id o = fake_new(c);
    fake_bytes *b = (fake_bytes *)o;
    b->p = fake_take(n + 1);
    if (n) memcpy(b->p, p, n);
    b->n = n;
    return o;
}

void fake_drop_bytes(id o)
{
    free(((fake_bytes *)o)->p);
}

id fake_string(const char *text)
{
    return fake_bytes_new(CLASS_string, text, strlen(text));
}

id fake_constant(const char *text)
{
    id o = fake_new_immortal(CLASS_string);
    fake_bytes *b = (fake_bytes *)o;
    b->n = strlen(text);
    b->p = strcpy(fake_take(b->n + 1), text);
    return o;
}

static bool is_bytes(id o)
{
    return fake_is(o, CLASS_string) || fake_is(o, CLASS_data) || fake_is(o, CLASS_url);
}

bool fake_equal(id a, id b)
{
    if (a == b) return true;
    if (!a || !b || a->isa != b->isa) return false;
    if (is_bytes(a)) {
        const fake_bytes *x = (const fake_bytes *)a, *y = (const fake_bytes *)b;
        return x->n == y->n && !memcmp(x->p, y->p, x->n);
    }
    if (fake_is(a, CLASS_number)) {
        const fake_number *x = (const fake_number *)a, *y = (const fake_number *)b;
        return x->real == y->real && (x->real ? x->d == y->d : x->i == y->i);
    }
    return false;
}

const char *string_text(id self, SEL op)
{
    return ((fake_bytes *)self)->p;
}

unsigned long bytes_length(id self, SEL op)
{
    return ((fake_bytes *)self)->n;
}

const void *data_bytes(id self, SEL op)
{
    return ((fake_bytes *)self)->p;
}

/* ---- every type ---- */
CFTypeRef CFRetain(CFTypeRef o)
{
    if (!o) abort(); /* so does Apple's */
    return objc_retain(fake_id(o));
}

void CFRelease(CFTypeRef o)
{
    if (!o) abort();
    objc_release(fake_id(o));
}

CFIndex CFGetRetainCount(CFTypeRef o)
{
    return (CFIndex)object_count(fake_id(o), NULL);
}

Boolean CFEqual(CFTypeRef a, CFTypeRef b)
{
    return fake_equal(fake_id(a), fake_id(b));
}

/* The type's number is its class's place in the table, from 1. */
CFTypeID CFGetTypeID(CFTypeRef o)
{
    for (int c = 1; c < FAKE_CLASS_COUNT; c++)
        if (fake_is(fake_id(o), (fake_class_id)c)) return (CFTypeID)c + 1;
    return 1;
}

#define TYPE_ID(name, cls)         \
    CFTypeID name##GetTypeID(void) \
    {                              \
        return CLASS_##cls + 1ul;  \
    }
TYPE_ID(CFString, string)
TYPE_ID(CFData, data)
TYPE_ID(CFURL, url)
TYPE_ID(CFNumber, number)
TYPE_ID(CFArray, array)
TYPE_ID(CFDictionary, dictionary)
TYPE_ID(CFError, error)
TYPE_ID(IOSurface, surface)

/* ---- CFData, CFString, CFURL ---- */
CFDataRef CFDataCreate(CFAllocatorRef allocator, const UInt8 *p, CFIndex n)
{
    if (fake_fails() || n < 0) return NULL;
    return (CFDataRef)fake_bytes_new(CLASS_data, p, (size_t)n);
}

CFIndex CFDataGetLength(CFDataRef o)
{
    return (CFIndex)((const fake_bytes *)o)->n;
}

const UInt8 *CFDataGetBytePtr(CFDataRef o)
{
    return (const UInt8 *)((const fake_bytes *)o)->p;
}

CFStringRef CFStringCreateWithBytes(CFAllocatorRef allocator, const UInt8 *p, CFIndex n,
                                    CFStringEncoding encoding, Boolean external)
{
    bool known = encoding == UTF8 || encoding == ASCII;
    if (fake_fails() || n < 0 || !known) return NULL;
    return (CFStringRef)fake_bytes_new(CLASS_string, p, (size_t)n);
}

CFStringRef CFStringCreateWithCString(CFAllocatorRef allocator, const char *text,
                                      CFStringEncoding encoding)
{
    return CFStringCreateWithBytes(allocator, (const UInt8 *)text, (CFIndex)strlen(text),
                                   encoding, 0);
}

/* Length is in UTF-16 units, not in bytes. */
CFIndex CFStringGetLength(CFStringRef o)
{
    const fake_bytes *b = (const fake_bytes *)o;
    CFIndex n = 0;
    for (size_t i = 0; i < b->n; i++) {
        unsigned char c = (unsigned char)b->p[i];
        n += (c & 0xc0) != 0x80; /* not a continuation */
        n += c >= 0xf0;          /* a pair of units */
    }
    return n;
}

CFIndex CFStringGetMaximumSizeForEncoding(CFIndex n, CFStringEncoding encoding)
{
    return encoding == UTF8 ? 3 * n : n;
}

Boolean CFStringGetCString(CFStringRef o, char *out, CFIndex size,
                           CFStringEncoding encoding)
{
    const fake_bytes *b = (const fake_bytes *)o;
    if (fake_fails() || size < 0 || (size_t)size < b->n + 1) return 0;
    if (encoding != UTF8 && encoding != ASCII && encoding != LATIN1) return 0;
    memcpy(out, b->p, b->n + 1);
    return 1;
}

/* May always answer NULL, and does: a caller must have another way. */
const char *CFStringGetCStringPtr(CFStringRef o, CFStringEncoding encoding)
{
    return NULL;
}

CFURLRef CFURLCreateFromFileSystemRepresentation(CFAllocatorRef allocator, const UInt8 *p,
                                                 CFIndex n, Boolean folder)
{
    if (fake_fails() || n < 0) return NULL;
    return (CFURLRef)fake_bytes_new(CLASS_url, p, (size_t)n);
}

CFURLRef CFURLCreateWithFileSystemPath(CFAllocatorRef allocator, CFStringRef path,
                                       CFURLPathStyle style, Boolean folder)
{
    const fake_bytes *b = (const fake_bytes *)path;
    if (fake_fails() || style != 0) return NULL; /* 0: POSIX */
    return (CFURLRef)fake_bytes_new(CLASS_url, b->p, b->n);
}

/* ---- CFNumber ---- */
id fake_number_new(int64_t v)
{
    id o = fake_new(CLASS_number);
    ((fake_number *)o)->i = v;
    ((fake_number *)o)->d = (double)v;
    return o;
}

int64_t fake_whole(id number)
{
    const fake_number *n = (const fake_number *)number;
    return n->real ? (int64_t)n->d : n->i;
}

CFNumberRef CFNumberCreate(CFAllocatorRef allocator, CFNumberType type, const void *p)
{
    if (fake_fails()) return NULL;
    switch (type) {
#define X(code, ctype, is_real)             \
    case code: {                            \
        ctype v;                            \
        memcpy(&v, p, sizeof v);            \
        id o = fake_number_new((int64_t)v); \
        ((fake_number *)o)->real = is_real; \
        ((fake_number *)o)->d = (double)v;  \
        return (CFNumberRef)o;              \
    }
        CF_NUMBERS(X)
#undef X
    default:
        return NULL;
    }
}

Boolean CFNumberGetValue(CFNumberRef o, CFNumberType type, void *out)
{
    const fake_number *n = (const fake_number *)o;
    switch (type) {
#define X(code, ctype, is_real)                        \
    case code: {                                       \
        ctype v = n->real ? (ctype)n->d : (ctype)n->i; \
        memcpy(out, &v, sizeof v);                     \
        return 1;                                      \
    }
        CF_NUMBERS(X)
#undef X
    default:
        return 0;
    }
}

/* ---- CFArray ---- */
CFArrayRef CFArrayCreate(CFAllocatorRef allocator, const void **v, CFIndex n,
                         const CFArrayCallBacks *calls)
{
    if (fake_fails() || n < 0) return NULL;
    if (!calls) fake_misuse("an array was made that does not retain its values");
    id o = fake_new(CLASS_array);
    fake_array *a = (fake_array *)o;
    a->v = fake_take((size_t)n * sizeof *a->v);
    for (a->n = 0; a->n < (size_t)n; a->n++) a->v[a->n] = objc_retain(fake_id(v[a->n]));
    return (CFArrayRef)o;
}

id fake_array_new(size_t n)
{
    id o = fake_new(CLASS_array);
    ((fake_array *)o)->v = fake_take(n * sizeof(id));
    ((fake_array *)o)->n = n;
    return o;
}

void fake_drop_array(id o)
{
    fake_array *a = (fake_array *)o;
    for (size_t i = 0; i < a->n; i++) objc_release(a->v[i]);
    free(a->v);
}

CFIndex CFArrayGetCount(CFArrayRef o)
{
    return (CFIndex)((const fake_array *)o)->n;
}

const void *CFArrayGetValueAtIndex(CFArrayRef o, CFIndex i)
{
    const fake_array *a = (const fake_array *)o;
    if (i < 0 || (size_t)i >= a->n) abort(); /* so does Apple's */
    return a->v[i];
}

/* ---- CFDictionary ---- */
static size_t place(const fake_dictionary *d, id key)
{
    size_t i = 0;
    while (i < d->n && !(d->owns ? fake_equal(d->k[i], key) : d->k[i] == key)) i++;
    return i;
}

static void set(fake_dictionary *d, id key, id value)
{
    size_t i = place(d, key);
    if (d->owns) objc_retain(value);
    if (i < d->n) {
        if (d->owns) objc_release(d->v[i]);
        d->v[i] = value;
        return;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 8;
        id *k = fake_take(cap * sizeof *k), *v = fake_take(cap * sizeof *v);
        if (d->n) memcpy(k, d->k, d->n * sizeof *k), memcpy(v, d->v, d->n * sizeof *v);
        free(d->k);
        free(d->v);
        d->k = k;
        d->v = v;
        d->cap = cap;
    }
    d->k[d->n] = d->owns ? objc_retain(key) : key;
    d->v[d->n++] = value;
}

CFMutableDictionaryRef CFDictionaryCreateMutable(CFAllocatorRef allocator,
                                                 CFIndex capacity,
                                                 const CFDictionaryKeyCallBacks *keys,
                                                 const CFDictionaryValueCallBacks *values)
{
    if (fake_fails()) return NULL;
    id o = fake_new(CLASS_dictionary);
    ((fake_dictionary *)o)->owns = keys && values;
    return (CFMutableDictionaryRef)(void *)o;
}

CFDictionaryRef CFDictionaryCreate(CFAllocatorRef allocator, const void **k,
                                   const void **v, CFIndex n,
                                   const CFDictionaryKeyCallBacks *keys,
                                   const CFDictionaryValueCallBacks *values)
{
    CFMutableDictionaryRef o = CFDictionaryCreateMutable(allocator, n, keys, values);
    if (!o) return NULL;
    fake_dictionary *d = (fake_dictionary *)(void *)o;
    for (CFIndex i = 0; i < n; i++) set(d, fake_id(k[i]), fake_id(v[i]));
    d->fixed = true;
    return o;
}

void CFDictionarySetValue(CFMutableDictionaryRef o, const void *key, const void *value)
{
    fake_dictionary *d = (fake_dictionary *)(void *)o;
    if (d->fixed) fake_misuse("a fixed dictionary was changed");
    else set(d, fake_id(key), fake_id(value));
}

const void *CFDictionaryGetValue(CFDictionaryRef o, const void *key)
{
    const fake_dictionary *d = (const fake_dictionary *)o;
    size_t i = place(d, fake_id(key));
    return i < d->n ? d->v[i] : NULL;
}

CFIndex CFDictionaryGetCount(CFDictionaryRef o)
{
    return (CFIndex)((const fake_dictionary *)o)->n;
}

id fake_dictionary_new(void)
{
    id o = fake_new(CLASS_dictionary);
    ((fake_dictionary *)o)->owns = true;
    return o;
}

void fake_put(id o, const char *key, id value)
{
    id k = fake_string(key);
    set((fake_dictionary *)o, k, value);
    objc_release(k);
    objc_release(value);
}

void fake_drop_dictionary(id o)
{
    fake_dictionary *d = (fake_dictionary *)o;
    for (size_t i = 0; d->owns && i < d->n; i++) {
        objc_release(d->k[i]);
        objc_release(d->v[i]);
    }
    free(d->k);
    free(d->v);
}

id fake_lookup_value(id o, const char *key)
{
    const fake_dictionary *d = (const fake_dictionary *)o;
    if (!fake_is(o, CLASS_dictionary)) return NULL;
    for (size_t i = 0; i < d->n; i++)
        if (fake_is(d->k[i], CLASS_string) && !strcmp(((fake_bytes *)d->k[i])->p, key))
            return d->v[i];
    return NULL;
}

/* ---- CFError ---- */
void fake_drop_error(id o)
{
    objc_release(((fake_error *)o)->domain);
    objc_release(((fake_error *)o)->text);
}

CFIndex CFErrorGetCode(CFErrorRef o)
{
    return ((fake_error *)(void *)o)->code;
}

CFStringRef CFErrorGetDomain(CFErrorRef o)
{
    return (CFStringRef)((fake_error *)(void *)o)->domain;
}

CFStringRef CFErrorCopyDescription(CFErrorRef o)
{
    if (fake_fails()) return NULL;
    return (CFStringRef)objc_retain(((fake_error *)(void *)o)->text);
}

long error_code(id self, SEL op)
{
    return ((fake_error *)self)->code;
}

id error_domain(id self, SEL op)
{
    return ((fake_error *)self)->domain;
}

id error_text(id self, SEL op)
{
    if (fake_fails()) return NULL;
    return objc_autorelease(objc_retain(((fake_error *)self)->text));
}

id error_info(id self, SEL op)
{
    id o = fake_dictionary_new();
    fake_put(o, "NSLocalizedDescription", objc_retain(((fake_error *)self)->text));
    return objc_autorelease(o);
}

/* ---- constants and folders ---- */
const CFDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks;
const CFDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks;
const CFArrayCallBacks kCFTypeArrayCallBacks;
CFAllocatorRef kCFAllocatorDefault;
CFBooleanRef kCFBooleanTrue, kCFBooleanFalse;
id NSLocalizedDescriptionKey;
CFStringRef kCFErrorLocalizedDescriptionKey;

void fake_make_constants(void)
{
    id yes = fake_new_immortal(CLASS_number);
    ((fake_number *)yes)->i = 1;
    kCFBooleanTrue = (CFBooleanRef)yes;
    kCFBooleanFalse = (CFBooleanRef)fake_new_immortal(CLASS_number);
    NSLocalizedDescriptionKey = fake_constant("NSLocalizedDescription");
    kCFErrorLocalizedDescriptionKey = (CFStringRef)NSLocalizedDescriptionKey;
    fake_make_surface_keys();
    fake_make_connection();
}

/* TMPDIR counts where it is set, as on Apple's system. */
id fake_temporary_directory(void)
{
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir) dir = "/tmp";
    size_t n = strlen(dir);
    id o = fake_bytes_new(CLASS_string, dir, n + 1);
    fake_bytes *b = (fake_bytes *)o;
    while (n > 1 && b->p[n - 1] == '/') n--;
    if (b->p[n - 1] != '/') b->p[n++] = '/';
    b->p[n] = 0;
    b->n = n;
    return o;
}

id NSTemporaryDirectory(void)
{
    return fake_fails() ? NULL : objc_autorelease(fake_temporary_directory());
}
