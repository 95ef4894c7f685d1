/* The fake framework by itself, before a driver stands on it: what its rows say
 * is what a caller meets, messages carry every kind of argument, and every
 * object is given back. */
#include <dlfcn.h>
#include "test.h"
#include "apple.h"
#include "fake.h"

typedef id obj;
static void *lib;

static void *find(const char *name)
{
    void *p = dlsym(lib, name);
    if (!p) fail_msg("%s is not exported", name);
    return p;
}

/* A function of the library with the type it is declared with: an address as
 * POSIX gives it, read as a function through a union, as ISO C has no cast. */
#define GET(name)               \
    ((union {                   \
         void *address;         \
         __typeof__(&name) f;   \
     }){.address = find(#name)} \
         .f)

/* Core Foundation's objects are Objective-C's. */
static obj object(const void *ref)
{
    return (obj)(uintptr_t)ref;
}
#define REF(o) ((const void *)(o))
#define SURFACE(o) ((IOSurfaceRef)(void *)(o))

static obj cls(const char *name)
{
    Class c = GET(objc_getClass)(name);
    assert_non_null(c);
    return object(c);
}

static SEL sel(const char *name)
{
    return GET(sel_registerName)(name);
}

#define SEND(ret, types, to, name, ...) \
    ((ret(*) types)GET(objc_msgSend))(to, sel(name), __VA_ARGS__)

static obj text(const char *s)
{
    return object(GET(CFStringCreateWithCString)(NULL, s, 0x08000100));
}

static obj number(int64_t v)
{
    return object(GET(CFNumberCreate)(NULL, 4, &v));
}

static void give(obj o)
{
    GET(CFRelease)(o);
}

static obj dict(int n, obj *k, obj *v)
{
    const void *list[16];
    assert_true(n <= 8);
    for (int i = 0; i < n; i++) list[i] = k[i], list[8 + i] = v[i];
    obj d = object(GET(CFDictionaryCreate)(NULL, list, list + 8, n,
                                           find("kCFTypeDictionaryKeyCallBacks"),
                                           find("kCFTypeDictionaryValueCallBacks")));
    for (int i = 0; i < n; i++) give(k[i]), give(v[i]);
    return d;
}

/* An array of one, which takes `o` over. */
static obj one(obj o)
{
    const void *list[] = {o};
    obj a = object(GET(CFArrayCreate)(NULL, list, 1, find("kCFTypeArrayCallBacks")));
    give(o);
    return a;
}

static obj surface(int64_t bytes)
{
    obj k[] = {text("IOSurfaceWidth"), text("IOSurfaceHeight"),
               text("IOSurfaceBytesPerElement"), text("IOSurfaceBytesPerRow"),
               text("IOSurfaceAllocSize")};
    obj v[] = {number(bytes), number(1), number(1), number(bytes), number(bytes)};
    obj d = dict(5, k, v), s = object(GET(IOSurfaceCreate)(REF(d)));
    give(d);
    assert_non_null(s);
    return s;
}

/* Which rows of refusals.def a test has met. */
static bool met[64];

/* The error is that of the row; none where the row has none. */
static void error_is(obj error, const char *refusal)
{
    fake_ane_refusal r = {0};
    size_t i = 0;
    while (GET(fake_ane_refusal_at)(i, &r) && strcmp(r.name, refusal)) i++;
    assert_string_equal(r.name, refusal);
    met[i] = true;
    if (!r.domain) {
        assert_null(error);
        return;
    }
    assert_non_null(error);
    char had[256];
    CFErrorRef e = (CFErrorRef)(void *)error;
    assert_true(GET(CFStringGetCString)(GET(CFErrorGetDomain)(e), had, 256, 0x08000100));
    assert_string_equal(had, r.domain);
    assert_int_equal(GET(CFErrorGetCode)(e), r.code);
    obj about = object(GET(CFErrorCopyDescription)(e));
    assert_true(GET(CFStringGetCString)(REF(about), had, 256, 0x08000100));
    assert_string_equal(had, r.text);
    give(about);
}

#define PROGRAM                                                                   \
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "     \
    "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 64, 1, 64]> in_a) {\n" \
    "tensor<fp16, [1, 64, 1, 64]> twice = add(x = in_a, y = in_a)[name = "        \
    "string(\"twice\")];\n} -> (twice); }\n"
enum { N = 64 * 64, BYTES = 49152 };

/* ---- route A ---- */
static obj data_of(const char *mil)
{
    return object(GET(CFDataCreate)(NULL, (const UInt8 *)mil, (long)strlen(mil)));
}

static obj model_of(const char *mil)
{
    obj data = data_of(mil);
    obj none = dict(0, NULL, NULL);
    obj d = SEND(obj, (obj, SEL, obj, obj, obj), cls("_ANEInMemoryModelDescriptor"),
                 "modelWithMILText:weights:optionsPlist:", data, none, NULL);
    assert_non_null(d);
    obj m = SEND(obj, (obj, SEL, obj), cls("_ANEInMemoryModel"),
                 "inMemoryModelWithDescriptor:", d);
    give(data);
    give(none);
    return m;
}

/* { name: data } behind "@model_path/weights/w.bin". */
static obj one_entry(const char *name, const char *contents)
{
    obj at = text(name), data = data_of(contents), inner = dict(1, &at, &data);
    obj key = text("@model_path/weights/w.bin");
    return dict(1, &key, &inner);
}

static obj model_with(const char *mil, obj weights)
{
    obj data = data_of(mil);
    obj d = SEND(obj, (obj, SEL, obj, obj, obj), cls("_ANEInMemoryModelDescriptor"),
                 "modelWithMILText:weights:optionsPlist:", data, weights, NULL);
    assert_non_null(d);
    give(data);
    give(weights);
    return SEND(obj, (obj, SEL, obj), cls("_ANEInMemoryModel"),
                "inMemoryModelWithDescriptor:", d);
}

static void stage(const char *dir, obj model, const char *mil)
{
    char path[1024];
    obj hex = ((obj(*)(obj, SEL))GET(objc_msgSend))(model, sel("hexStringIdentifier"));
    const char *name = ((const char *(*)(obj, SEL))GET(objc_msgSend))(hex,
                                                                      sel("UTF8String"));
    snprintf(path, sizeof path, "%s/%s/weights", dir, name);
    assert_ok(file_make_dirs(path));
    snprintf(path, sizeof path, "%s/%s/model.mil", dir, name);
    assert_ok(file_replace(path, mil, strlen(mil)));
}

typedef _Bool (*qos_fn)(obj, SEL, unsigned, obj, obj *);
static _Bool with_qos(obj model, const char *name, obj *error)
{
    return ((qos_fn)GET(objc_msgSend))(model, sel(name), 21, NULL, error);
}

static _Bool evaluate(obj model, obj request, obj *error)
{
    return SEND(_Bool, (obj, SEL, unsigned, obj, obj, obj *), model,
                "evaluateWithQoS:options:request:error:", 21, NULL, request, error);
}

static obj request_on(obj in, obj out, int64_t index)
{
    obj w = cls("_ANEIOSurfaceObject"), side[] = {in, out};
    for (int i = 0; i < 2; i++) {
        side[i] = SEND(obj, (obj, SEL, IOSurfaceRef), w,
                       "objectWithIOSurface:", SURFACE(side[i]));
        GET(CFRetain)(side[i]);
    }
    obj a[] = {one(side[0]), one(number(index)), one(side[1]), one(number(0)), number(0)};
    obj r = SEND(obj, (obj, SEL, obj, obj, obj, obj, obj, obj, obj), cls("_ANERequest"),
                 "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:"
                 "perfStats:procedureIndex:",
                 a[0], a[1], a[2], a[3], NULL, NULL, a[4]);
    for (int i = 0; i < 5; i++) give(a[i]);
    return r;
}

static uint16_t *lock(obj s)
{
    assert_int_equal(GET(IOSurfaceLock)(SURFACE(s), 0, NULL), 0);
    return GET(IOSurfaceGetBaseAddress)(SURFACE(s));
}

static void unlock(obj s)
{
    assert_int_equal(GET(IOSurfaceUnlock)(SURFACE(s), 0, NULL), 0);
}

static void a_model_runs_and_refuses_what_comes_in_the_wrong_order(void **state)
{
    int64_t live = GET(fake_ane_live_objects)();
    void *pool = GET(objc_autoreleasePoolPush)();
    obj e = NULL;
    obj m = model_of(PROGRAM), x = surface(BYTES), y = surface(BYTES);
    obj small = surface(4096), r = request_on(x, y, 0);
    assert_false(with_qos(m, "loadWithQoS:options:error:", &e));
    error_is(e, "not_compiled");
    assert_false(with_qos(m, "compileWithQoS:options:error:", &e));
    error_is(e, "no_text");
    stage(*state, m, PROGRAM);
    assert_true(with_qos(m, "compileWithQoS:options:error:", NULL));
    assert_false(evaluate(m, r, &e));
    error_is(e, "not_loaded");
    assert_true(with_qos(m, "loadWithQoS:options:error:", NULL));
    assert_int_equal(GET(fake_ane_loaded)() & 0xffff, 1);

    uint16_t *p = lock(x);
    for (int i = 0; i < N; i++) p[i] = 0x3c00; /* 1.0 */
    assert_false(evaluate(m, r, &e));
    error_is(e, "locked");
    unlock(x);
    assert_false(evaluate(m, request_on(small, y, 0), &e));
    error_is(e, "sizes");
    assert_true(evaluate(m, r, NULL));
    p = lock(y);
    for (int i = 0; i < N; i++) assert_int_equal(p[i], 0x4000); /* 2.0 */
    unlock(y);
    assert_true(
        SEND(_Bool, (obj, SEL, unsigned, obj *), m, "unloadWithQoS:error:", 21, NULL));
    give(x);
    give(y);
    give(small);
    GET(objc_autoreleasePoolPop)(pool);
    assert_int_equal(GET(fake_ane_live_objects)(), live);
    assert_int_equal(GET(fake_ane_misuses)(), 0);
}

/* The budget of the in-memory route is not given back; told to fail, a call
 * fails once. */
static void the_budget_leaks_and_calls_fail_when_told(void **state)
{
    void *pool = GET(objc_autoreleasePoolPush)();
    obj e = NULL;
    GET(fake_ane_reset)();
    GET(fake_ane_limits)(3, 128);
    obj m = model_of(PROGRAM);
    stage(*state, m, PROGRAM);
    GET(fake_ane_fail_at)(1);
    assert_false(with_qos(m, "compileWithQoS:options:error:", &e));
    error_is(e, "told_compile");
    for (int i = 0; i < 3; i++)
        assert_true(with_qos(m, "compileWithQoS:options:error:", NULL));
    assert_false(with_qos(m, "compileWithQoS:options:error:", &e));
    error_is(e, "over_budget");
    GET(objc_autoreleasePoolPop)(pool);
    GET(fake_ane_reset)();
}

static obj descriptor_of(obj text_object, obj weights)
{
    return SEND(obj, (obj, SEL, obj, obj, obj), cls("_ANEInMemoryModelDescriptor"),
                "modelWithMILText:weights:optionsPlist:", text_object, weights, NULL);
}

static void refuses(obj model, const char *selector, const char *refusal)
{
    obj e = NULL;
    assert_false(with_qos(model, selector, &e));
    error_is(e, refusal);
}

#define COMPILE "compileWithQoS:options:error:"
#define LOAD "loadWithQoS:options:error:"
#define BAD "program(1.3) { func main<ios18>( }"
#define WEIGHED                                                                   \
    "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", "     \
    "\"3505.4.1\"}})]\n{ func main<ios18>(tensor<fp16, [1, 64, 1, 64]> in_a) {\n" \
    "tensor<fp16, [1, 64, 1, 1]> w = const()[name = string(\"w\"), val = "        \
    "tensor<fp16, [1, 64, 1, 1]>(BLOBFILE(path = "                                \
    "string(\"@model_path/weights/w.bin\"), offset = uint64(64)))];\n"            \
    "tensor<fp16, [1, 64, 1, 64]> out = mul(x = in_a, y = w)[name = "             \
    "string(\"out\")];\n} -> (out); }\n"

static void what_is_put_together_wrongly_is_refused(void **state)
{
    void *pool = GET(objc_autoreleasePoolPush)();
    obj none = dict(0, NULL, NULL), words = text(PROGRAM), data = data_of(PROGRAM);
    assert_null(descriptor_of(words, none)); /* NSString for NSData */
    assert_null(descriptor_of(data, NULL));  /* nil for no weights */
    obj m = model_of(BAD);
    stage(*state, m, BAD);
    refuses(m, COMPILE, "bad_program");
    m = model_of(WEIGHED);
    stage(*state, m, WEIGHED);
    refuses(m, COMPILE, "no_weights");
    m = model_with(WEIGHED, one_entry("weights/w.bin", "w")); /* no such folder */
    refuses(m, COMPILE, "not_saved");
    GET(fake_ane_system)(27);
    obj url = object(GET(CFURLCreateFromFileSystemRepresentation)(
        NULL, *state, (long)strlen(*state), 1));
    SEND(void, (obj, SEL, obj), m, "setModelURL:", url);
    refuses(m, COMPILE, "invalid_model"); /* the named file is not there */
    GET(fake_ane_system)(26);
    give(url);
    give(none);
    give(words);
    give(data);
    GET(objc_autoreleasePoolPop)(pool);
}

/* Measured on macOS 27 by another project: without weights and options the last
 * two parts are these, the hash of four bytes of zero and of nothing. */
static void the_identifier_is_as_measured(void **state)
{
    obj pool = GET(objc_autoreleasePoolPush)();
    obj hex = ((obj(*)(obj, SEL))GET(objc_msgSend))(model_of(PROGRAM),
                                                    sel("hexStringIdentifier"));
    const char *name = ((const char *(*)(obj, SEL))GET(objc_msgSend))(hex,
                                                                      sel("UTF8String"));
    assert_int_equal(strlen(name), 3 * 64 + 2);
    assert_memory_equal(name + 64, "_DF3F6198", 9);
    assert_memory_equal(name + 129, "_E3B0C442", 9);
    GET(objc_autoreleasePoolPop)(pool);
}

static void slots_indices_and_calls_told_to_fail_are_refused(void **state)
{
    void *pool = GET(objc_autoreleasePoolPush)();
    obj e = NULL;
    void (*fail_at)(uint64_t) = GET(fake_ane_fail_at);
    GET(fake_ane_reset)();
    GET(fake_ane_engine)("emu:m4,faithful,compiles=none,fail=2");
    GET(fake_ane_limits)(119, 1);
    obj m = model_of(PROGRAM), other = model_of(PROGRAM);
    obj x = surface(BYTES), y = surface(BYTES), r = request_on(x, y, 0);
    stage(*state, m, PROGRAM);
    assert_true(with_qos(m, COMPILE, NULL));
    fail_at(1);
    refuses(m, LOAD, "told_load");
    assert_true(with_qos(m, LOAD, NULL));
    refuses(other, LOAD, "no_slot");
    assert_false(evaluate(m, request_on(x, y, 1), &e));
    error_is(e, "wrong_index");
    e = NULL;
    assert_false(evaluate(m, request_on(x, y, 255), &e)); /* no such index at all */
    error_is(e, "not_valid");
    fail_at(1);
    assert_false(evaluate(m, r, &e));
    error_is(e, "told_evaluate");
    assert_true(evaluate(m, r, NULL));
    assert_false(evaluate(m, r, &e)); /* the engine's second run */
    error_is(e, "run_failed");
    fail_at(1);
    e = NULL;
    assert_false(
        SEND(_Bool, (obj, SEL, unsigned, obj *), m, "unloadWithQoS:error:", 21, &e));
    error_is(e, "told_unload");
    give(x);
    give(y);
    GET(objc_autoreleasePoolPop)(pool);
    assert_int_equal(GET(fake_ane_misuses)(), 0);
    GET(fake_ane_reset)();
}

static void calls_are_refused_as_told_in_words(void **state)
{
    void *pool = GET(objc_autoreleasePoolPush)();
    obj e = NULL;
    void (*tell)(const char *) = GET(fake_ane_tell);
    GET(fake_ane_reset)();
    obj m = model_of(PROGRAM);
    obj x = surface(BYTES), y = surface(BYTES), r = request_on(x, y, 0);
    stage(*state, m, PROGRAM);
    tell("refuse=load,denied;refuse=evaluate,power_lost,3");
    assert_true(with_qos(m, COMPILE, NULL));
    refuses(m, LOAD, "denied");
    refuses(m, LOAD, "denied"); /* not only once */
    tell("refuse=evaluate,power_lost,3;pause=evaluate,1");
    assert_true(with_qos(m, LOAD, NULL));
    for (int i = 0; i < 2; i++) assert_true(evaluate(m, r, NULL));
    assert_false(evaluate(m, r, &e));
    error_is(e, "power_lost");
    tell("refuse=evaluate,aborted;refuse=load,no_resources"); /* those of macOS 27 */
    assert_false(evaluate(m, r, &e));
    error_is(e, "aborted");
    refuses(model_of(PROGRAM), LOAD, "no_resources");
    tell("refuse=evaluate,queue_full,2");
    assert_true(evaluate(m, r, NULL));
    assert_false(evaluate(m, r, &e));
    error_is(e, "queue_full");
    tell(""); /* nothing any more */
    assert_true(evaluate(m, r, NULL));
    assert_true(
        SEND(_Bool, (obj, SEL, unsigned, obj *), m, "unloadWithQoS:error:", 21, NULL));
    give(x);
    give(y);
    GET(objc_autoreleasePoolPop)(pool);
    GET(fake_ane_reset)();
}

/* Runs last: a row that no test meets guards nothing. */
static void every_refusal_was_met(void **state)
{
    fake_ane_refusal r;
    for (size_t i = 0; GET(fake_ane_refusal_at)(i, &r); i++)
        if (!met[i] || !*r.source) fail_msg("no test meets '%s'", r.name);
}

/* ---- rows ---- */
static void every_row_is_what_the_runtime_answers(void **state)
{
    fake_ane_method m;
    size_t n = 0;
    for (; GET(fake_ane_method_at)(n, &m); n++) {
        Class c = (Class)(void *)cls(m.owner);
        SEL name = sel(m.selector);
        int same = 0;
        for (int wide = 0; wide < 2; wide++) {
            GET(fake_ane_wide)(wide);
            Method got = m.is_class_method ? GET(class_getClassMethod)(c, name)
                                           : GET(class_getInstanceMethod)(c, name);
            same += !strcmp(GET(method_getTypeEncoding)(got), m.encoding);
        }
        GET(fake_ane_wide)(0);
        if (!same) fail_msg("%s never has %s", m.selector, m.encoding);
        assert_true(*m.source != 0);
    }
    assert_true(n > 30);
}

/* Offsets in an encoding follow from the types: a slip of the pen shows. */
static void encodings_add_up(void **state)
{
    fake_ane_method m;
    for (size_t i = 0; GET(fake_ane_method_at)(i, &m); i++) {
        const char *p = m.encoding;
        long total = -1, offset = 0, want = 0;
        for (bool result = true; *p; result = false) {
            size_t width = 8;
            p += strspn(p, "rV");
            if (*p == '^') p++;
            else if (strchr("BIc", *p)) width = 4;
            if (*p == '{') p = strchr(p, '}');
            offset = strtol(p + 1, (char **)&p, 10);
            if (result) total = offset;
            else {
                assert_int_equal(offset, want);
                want += (long)width;
            }
        }
        assert_int_equal(total, want);
    }
}

static int open_library(void **state)
{
    lib = dlopen(FAKE_LIB, RTLD_NOW | RTLD_LOCAL);
    if (!lib) print_error("%s\n", dlerror());
    return lib ? 0 : -1;
}

static int folder(void **state)
{
    static char *usual;
    if (!usual) usual = strdup(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    setenv("TMPDIR", usual, 1);
    char *dir = test_mkdir();
    setenv("TMPDIR", dir, 1);
    *state = dir;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_model_runs_and_refuses_what_comes_in_the_wrong_order, folder,
            test_dir_teardown),
        cmocka_unit_test_setup_teardown(the_budget_leaks_and_calls_fail_when_told, folder,
                                        test_dir_teardown),
        cmocka_unit_test_setup_teardown(what_is_put_together_wrongly_is_refused, folder,
                                        test_dir_teardown),
        cmocka_unit_test_setup_teardown(slots_indices_and_calls_told_to_fail_are_refused,
                                        folder, test_dir_teardown),
        cmocka_unit_test_setup_teardown(calls_are_refused_as_told_in_words, folder,
                                        test_dir_teardown),
        cmocka_unit_test(the_identifier_is_as_measured),
        cmocka_unit_test(every_refusal_was_met),
        cmocka_unit_test(every_row_is_what_the_runtime_answers),
        cmocka_unit_test(encodings_add_up),
    };
    return cmocka_run_group_tests(tests, open_library, NULL);
}
