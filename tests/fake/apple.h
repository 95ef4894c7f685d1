/* apple.h - what the fake exports of Apple's C interfaces, with Apple's types.
 *
 * Typed from what Apple publishes: Objective-C Runtime reference and objc4's
 * runtime.h and objc-abi.h; Core Foundation's reference and its open headers
 * (CFBase.h, CFString.h ...); Foundation Functions; IOSurface reference. CFIndex is
 * a long, CFTypeID an unsigned long, CFStringEncoding a UInt32, Boolean an
 * unsigned char; enumerations declared over CFIndex are written as CFIndex.
 * The tags of opaque types are Apple's too, so that a checker of function types
 * (clang's -fsanitize=function) compares a caller's idea of a function with
 * this one. The driver's table is typed apart from this file. */
#ifndef FAKE_APPLE_H
#define FAKE_APPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_EXPORT __attribute__((visibility("default")))

/* ---- the Objective-C runtime ---- */
typedef struct objc_class *Class;
typedef struct objc_object *id;
typedef struct objc_selector *SEL;
typedef struct objc_method *Method;
typedef void (*IMP)(void); /* cast to the method's own type before a call */

FAKE_EXPORT SEL sel_registerName(const char *name);
FAKE_EXPORT SEL sel_getUid(const char *name);
FAKE_EXPORT const char *sel_getName(SEL s);
FAKE_EXPORT Class objc_getClass(const char *name);
FAKE_EXPORT Class objc_lookUpClass(const char *name);
FAKE_EXPORT Class object_getClass(id o);
FAKE_EXPORT const char *object_getClassName(id o);
FAKE_EXPORT const char *class_getName(Class c);
FAKE_EXPORT Class class_getSuperclass(Class c);
FAKE_EXPORT Method class_getInstanceMethod(Class c, SEL s);
FAKE_EXPORT Method class_getClassMethod(Class c, SEL s);
FAKE_EXPORT IMP class_getMethodImplementation(Class c, SEL s);
FAKE_EXPORT bool class_respondsToSelector(Class c, SEL s);
FAKE_EXPORT SEL method_getName(Method m);
FAKE_EXPORT IMP method_getImplementation(Method m);
FAKE_EXPORT const char *method_getTypeEncoding(Method m);
FAKE_EXPORT id objc_retain(id o);
FAKE_EXPORT void objc_release(id o);
FAKE_EXPORT id objc_autorelease(id o);
FAKE_EXPORT id objc_retainAutoreleasedReturnValue(id o);
FAKE_EXPORT void *objc_autoreleasePoolPush(void);
FAKE_EXPORT void objc_autoreleasePoolPop(void *pool);
/* msgsend.S: to be cast to the method's own type. */
FAKE_EXPORT void objc_msgSend(void);

/* ---- Core Foundation ---- */
typedef unsigned char Boolean;
typedef uint8_t UInt8;
typedef uint32_t UInt32;
typedef signed long CFIndex;
typedef unsigned long CFTypeID;
typedef UInt32 CFStringEncoding;
typedef CFIndex CFNumberType, CFURLPathStyle;
typedef const void *CFTypeRef;
typedef const struct __CFAllocator *CFAllocatorRef;
typedef const struct __CFString *CFStringRef;
typedef const struct __CFData *CFDataRef;
typedef const struct __CFNumber *CFNumberRef;
typedef const struct __CFBoolean *CFBooleanRef;
typedef const struct __CFArray *CFArrayRef;
typedef const struct __CFDictionary *CFDictionaryRef;
typedef struct __CFDictionary *CFMutableDictionaryRef;
typedef const struct __CFURL *CFURLRef;
typedef struct __CFError *CFErrorRef;

/* Call-backs are only ever passed on; that they are there is what matters. */
typedef struct CFArrayCallBacks {
    CFIndex version;
    void (*calls[4])(void);
} CFArrayCallBacks;
typedef struct CFDictionaryKeyCallBacks {
    CFIndex version;
    void (*calls[5])(void);
} CFDictionaryKeyCallBacks;
typedef struct CFDictionaryValueCallBacks {
    CFIndex version;
    void (*calls[4])(void);
} CFDictionaryValueCallBacks;
extern FAKE_EXPORT const CFArrayCallBacks kCFTypeArrayCallBacks;
extern FAKE_EXPORT const CFDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks;
extern FAKE_EXPORT const CFDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks;
extern FAKE_EXPORT CFAllocatorRef kCFAllocatorDefault;
extern FAKE_EXPORT CFBooleanRef kCFBooleanTrue, kCFBooleanFalse;
extern FAKE_EXPORT CFStringRef kCFErrorLocalizedDescriptionKey;

FAKE_EXPORT CFTypeRef CFRetain(CFTypeRef o);
FAKE_EXPORT void CFRelease(CFTypeRef o);
FAKE_EXPORT CFIndex CFGetRetainCount(CFTypeRef o);
FAKE_EXPORT Boolean CFEqual(CFTypeRef a, CFTypeRef b);
FAKE_EXPORT CFTypeID CFGetTypeID(CFTypeRef o);
FAKE_EXPORT CFTypeID CFStringGetTypeID(void);
FAKE_EXPORT CFTypeID CFDataGetTypeID(void);
FAKE_EXPORT CFTypeID CFURLGetTypeID(void);
FAKE_EXPORT CFTypeID CFNumberGetTypeID(void);
FAKE_EXPORT CFTypeID CFArrayGetTypeID(void);
FAKE_EXPORT CFTypeID CFDictionaryGetTypeID(void);
FAKE_EXPORT CFTypeID CFErrorGetTypeID(void);
FAKE_EXPORT CFDataRef CFDataCreate(CFAllocatorRef allocator, const UInt8 *p, CFIndex n);
FAKE_EXPORT CFIndex CFDataGetLength(CFDataRef o);
FAKE_EXPORT const UInt8 *CFDataGetBytePtr(CFDataRef o);
FAKE_EXPORT CFStringRef CFStringCreateWithBytes(CFAllocatorRef allocator, const UInt8 *p,
                                                CFIndex n, CFStringEncoding encoding,
                                                Boolean external);
FAKE_EXPORT CFStringRef CFStringCreateWithCString(CFAllocatorRef allocator,
                                                  const char *text,
                                                  CFStringEncoding encoding);
FAKE_EXPORT CFIndex CFStringGetLength(CFStringRef o);
FAKE_EXPORT CFIndex CFStringGetMaximumSizeForEncoding(CFIndex n,
                                                      CFStringEncoding encoding);
FAKE_EXPORT Boolean CFStringGetCString(CFStringRef o, char *out, CFIndex size,
                                       CFStringEncoding encoding);
FAKE_EXPORT const char *CFStringGetCStringPtr(CFStringRef o, CFStringEncoding encoding);
FAKE_EXPORT CFURLRef CFURLCreateFromFileSystemRepresentation(CFAllocatorRef allocator,
                                                             const UInt8 *p, CFIndex n,
                                                             Boolean folder);
FAKE_EXPORT CFURLRef CFURLCreateWithFileSystemPath(CFAllocatorRef allocator,
                                                   CFStringRef path, CFURLPathStyle style,
                                                   Boolean folder);
FAKE_EXPORT CFNumberRef CFNumberCreate(CFAllocatorRef allocator, CFNumberType type,
                                       const void *p);
FAKE_EXPORT Boolean CFNumberGetValue(CFNumberRef o, CFNumberType type, void *out);
FAKE_EXPORT CFArrayRef CFArrayCreate(CFAllocatorRef allocator, const void **v, CFIndex n,
                                     const CFArrayCallBacks *calls);
FAKE_EXPORT CFIndex CFArrayGetCount(CFArrayRef o);
FAKE_EXPORT const void *CFArrayGetValueAtIndex(CFArrayRef o, CFIndex i);
FAKE_EXPORT CFDictionaryRef CFDictionaryCreate(CFAllocatorRef allocator, const void **k,
                                               const void **v, CFIndex n,
                                               const CFDictionaryKeyCallBacks *key_calls,
                                               const CFDictionaryValueCallBacks *calls);
FAKE_EXPORT CFMutableDictionaryRef CFDictionaryCreateMutable(
    CFAllocatorRef allocator, CFIndex capacity, const CFDictionaryKeyCallBacks *key_calls,
    const CFDictionaryValueCallBacks *calls);
FAKE_EXPORT void CFDictionarySetValue(CFMutableDictionaryRef o, const void *key,
                                      const void *value);
FAKE_EXPORT const void *CFDictionaryGetValue(CFDictionaryRef o, const void *key);
FAKE_EXPORT CFIndex CFDictionaryGetCount(CFDictionaryRef o);
FAKE_EXPORT CFIndex CFErrorGetCode(CFErrorRef o);
FAKE_EXPORT CFStringRef CFErrorGetDomain(CFErrorRef o);
FAKE_EXPORT CFStringRef CFErrorCopyDescription(CFErrorRef o);

/* ---- Foundation: an NSString * is an id to C ---- */
extern FAKE_EXPORT id NSLocalizedDescriptionKey;
FAKE_EXPORT id NSTemporaryDirectory(void);

/* ---- IOSurface ---- */
typedef struct __IOSurface *IOSurfaceRef;
typedef int IOReturn; /* kern_return_t */
typedef uint32_t IOSurfaceLockOptions;
#define IOSURFACE_KEYS(X)                                    \
    X(kIOSurfaceAllocSize, "IOSurfaceAllocSize")             \
    X(kIOSurfaceWidth, "IOSurfaceWidth")                     \
    X(kIOSurfaceHeight, "IOSurfaceHeight")                   \
    X(kIOSurfaceBytesPerElement, "IOSurfaceBytesPerElement") \
    X(kIOSurfaceBytesPerRow, "IOSurfaceBytesPerRow")         \
    X(kIOSurfacePixelFormat, "IOSurfacePixelFormat")         \
    X(kIOSurfaceIsGlobal, "IOSurfaceIsGlobal")               \
    X(kIOSurfaceName, "IOSurfaceName")
#define X(name, text) extern FAKE_EXPORT CFStringRef name;
IOSURFACE_KEYS(X)
#undef X
FAKE_EXPORT CFTypeID IOSurfaceGetTypeID(void);
FAKE_EXPORT IOSurfaceRef IOSurfaceCreate(CFDictionaryRef properties);
FAKE_EXPORT IOReturn IOSurfaceLock(IOSurfaceRef s, IOSurfaceLockOptions options,
                                   uint32_t *seed);
FAKE_EXPORT IOReturn IOSurfaceUnlock(IOSurfaceRef s, IOSurfaceLockOptions options,
                                     uint32_t *seed);
FAKE_EXPORT void *IOSurfaceGetBaseAddress(IOSurfaceRef s);
FAKE_EXPORT size_t IOSurfaceGetAllocSize(IOSurfaceRef s);
FAKE_EXPORT size_t IOSurfaceGetWidth(IOSurfaceRef s);
FAKE_EXPORT size_t IOSurfaceGetHeight(IOSurfaceRef s);
FAKE_EXPORT size_t IOSurfaceGetBytesPerRow(IOSurfaceRef s);
FAKE_EXPORT size_t IOSurfaceGetBytesPerElement(IOSurfaceRef s);

/* ---- IOReport, which is private: as socpowerbuddy, macmon and anemon declare it ---- */
typedef struct IOReportSubscription *IOReportSubscriptionRef;
FAKE_EXPORT CFMutableDictionaryRef IOReportCopyChannelsInGroup(CFStringRef group,
                                                               CFStringRef subgroup,
                                                               uint64_t a, uint64_t b,
                                                               uint64_t c);
FAKE_EXPORT IOReportSubscriptionRef
IOReportCreateSubscription(void *a, CFMutableDictionaryRef wanted,
                           CFMutableDictionaryRef *chosen, uint64_t channel, CFTypeRef b);
FAKE_EXPORT CFDictionaryRef IOReportCreateSamples(IOReportSubscriptionRef subscription,
                                                  CFMutableDictionaryRef chosen,
                                                  CFTypeRef a);
FAKE_EXPORT CFDictionaryRef IOReportCreateSamplesDelta(CFDictionaryRef before,
                                                       CFDictionaryRef after,
                                                       CFTypeRef a);
FAKE_EXPORT CFStringRef IOReportChannelGetChannelName(CFDictionaryRef channel);
FAKE_EXPORT CFStringRef IOReportChannelGetUnitLabel(CFDictionaryRef channel);
FAKE_EXPORT int32_t IOReportChannelGetFormat(CFDictionaryRef channel);
FAKE_EXPORT int64_t IOReportSimpleGetIntegerValue(CFDictionaryRef channel, int32_t a);
FAKE_EXPORT int32_t IOReportStateGetCount(CFDictionaryRef channel);
FAKE_EXPORT CFStringRef IOReportStateGetNameForIndex(CFDictionaryRef channel, int32_t i);
FAKE_EXPORT int64_t IOReportStateGetResidency(CFDictionaryRef channel, int32_t i);

/* ---- sysctl(3) ---- */
FAKE_EXPORT int sysctlbyname(const char *name, void *old, size_t *n_old, void *next,
                             size_t n_next);

#endif
