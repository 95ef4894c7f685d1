/* cf.c - strings, data, numbers, arrays, dictionaries: in and out. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "base/arena.h"
#include "dev/ane/cf.h"

enum { UTF8 = 0x08000100, SINT64 = 4 }; /* kCFStringEncodingUTF8, kCFNumberSInt64Type */

/* The system says no more than that: it may be memory, or a text that is not
 * UTF-8. It is the device that failed, not our own memory. */
static rc made(const ane_sys *a, const void *r, const char *what, ane_id *out)
{
    *out = NULL;
    if (!r)
        return err_hint(err_fail(E_DEVICE, "the system could not make %s", what),
                        "its memory may be used up; end other programs and try again");
    atomic_fetch_add(&((ane_sys *)a)->live, 1);
    *out = (ane_id)(uintptr_t)r;
    return OK;
}

void ane_drop(const ane_sys *a, ane_ref r)
{
    if (!r) return;
    a->CFRelease(r);
    atomic_fetch_sub(&((ane_sys *)a)->live, 1);
}

void *ane_keep(const ane_sys *a, ane_ref r)
{
    if (!r) return NULL;
    atomic_fetch_add(&((ane_sys *)a)->live, 1);
    return (void *)(uintptr_t)a->CFRetain(r);
}

rc ane_make_text(const ane_sys *a, const char *utf8, ane_id *out)
{
    return made(a, a->CFStringCreateWithCString(NULL, utf8, UTF8), "a text", out);
}

rc ane_make_data(const ane_sys *a, const void *bytes, size_t n, ane_id *out)
{
    if (n > LONG_MAX) return err_fail(E_MEMORY, "%zu bytes are too many to hand over", n);
    return made(a, a->CFDataCreate(NULL, bytes, (long)n), "data", out);
}

rc ane_make_number(const ane_sys *a, int64_t v, ane_id *out)
{
    return made(a, a->CFNumberCreate(NULL, SINT64, &v), "a number", out);
}

rc ane_make_array(const ane_sys *a, const ane_id *items, size_t n, ane_id *out)
{
    const void **list = mem_take(mem_mul(n ? n : 1, sizeof *list));
    if (!list) return E_MEMORY;
    for (size_t i = 0; i < n; i++) list[i] = items[i];
    rc r = made(a, a->CFArrayCreate(NULL, list, (long)n, a->kCFTypeArrayCallBacks),
                "a list", out);
    mem_drop(list);
    return r;
}

rc ane_make_dict(const ane_sys *a, const ane_id *keys, const ane_id *values, size_t n,
                 ane_id *out)
{
    const void **list = mem_take(mem_mul(n ? n : 1, 2 * sizeof *list));
    if (!list) return E_MEMORY;
    for (size_t i = 0; i < n; i++) list[i] = keys[i], list[n + i] = values[i];
    rc r = made(a,
                a->CFDictionaryCreate(NULL, list, list + n, (long)n,
                                      a->kCFTypeDictionaryKeyCallBacks,
                                      a->kCFTypeDictionaryValueCallBacks),
                "a dictionary", out);
    mem_drop(list);
    return r;
}

rc ane_make_folder_url(const ane_sys *a, const char *path, ane_id *out)
{
    return made(a,
                a->CFURLCreateFromFileSystemRepresentation(
                    NULL, (const unsigned char *)path, (long)strlen(path), 1),
                "a path", out);
}

bool ane_get_text(const ane_sys *a, ane_ref r, char *out, size_t size)
{
    *out = 0;
    if (!r || a->CFGetTypeID(r) != a->CFStringGetTypeID()) return false;
    if (a->CFStringGetCString(r, out, (long)size, UTF8)) return true;
    *out = 0; /* what did not fit may have been written in part */
    return false;
}

bool ane_get_number(const ane_sys *a, ane_ref r, int64_t *out)
{
    if (!r || a->CFGetTypeID(r) != a->CFNumberGetTypeID()) return false;
    return a->CFNumberGetValue(r, SINT64, out) != 0;
}

long ane_get_count(const ane_sys *a, ane_ref r)
{
    if (!r || a->CFGetTypeID(r) != a->CFArrayGetTypeID()) return -1;
    return a->CFArrayGetCount(r);
}

ane_ref ane_get_item(const ane_sys *a, ane_ref r, long i)
{
    return i >= 0 && i < ane_get_count(a, r) ? a->CFArrayGetValueAtIndex(r, i) : NULL;
}

ane_ref ane_get(const ane_sys *a, ane_ref r, const char *key)
{
    ane_id name;
    if (!r || a->CFGetTypeID(r) != a->CFDictionaryGetTypeID()) return NULL;
    if (ane_make_text(a, key, &name) != OK) return NULL;
    ane_ref v = a->CFDictionaryGetValue(r, name);
    ane_drop(a, name);
    return v;
}
