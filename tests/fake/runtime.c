/* runtime.c - classes, selectors, messages, reference counts, pools. See
 * runtime.h for the idea. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"
#include "methods.h"
#include "state.h"

struct objc_selector {
    struct objc_selector *next;
    char *name;
};
struct objc_method {
    Class owner; /* a metaclass for '+' */
    SEL sel;
    const char *encoding, *source;
    IMP imp;
};
struct objc_class {
    Class isa, super; /* isa NULL: this is a metaclass */
    const char *name;
    size_t size;
    void (*drop)(id o);
};
typedef struct {
    atomic_long count; /* < 0: lives as long as the library */
    long pad;          /* keeps the object at 16 bytes */
} head;

static struct objc_class classes[FAKE_CLASS_COUNT], metas[FAKE_CLASS_COUNT];

/* ---- selectors: one address per name ---- */
enum { SEL_LISTS = 256 };
static SEL sel_lists[SEL_LISTS];
static pthread_mutex_t sel_lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what, const char *a, const char *b)
{
    fprintf(stderr, "fake: %s %s %s\n", what, a, b);
    abort();
}

void *fake_take(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p) die("out of memory", "", "");
    return p;
}

SEL sel_registerName(const char *name)
{
    unsigned h = 5381;
    for (const char *c = name; *c; c++) h = h * 33 + (unsigned char)*c;
    pthread_mutex_lock(&sel_lock);
    SEL s = sel_lists[h % SEL_LISTS];
    while (s && strcmp(s->name, name)) s = s->next;
    if (!s) {
        s = fake_take(sizeof *s);
        s->name = fake_take(strlen(name) + 1);
        strcpy(s->name, name);
        s->next = sel_lists[h % SEL_LISTS];
        sel_lists[h % SEL_LISTS] = s;
    }
    pthread_mutex_unlock(&sel_lock);
    return s;
}

SEL sel_getUid(const char *name)
{
    return sel_registerName(name);
}

const char *sel_getName(SEL s)
{
    return s ? s->name : "<null selector>";
}

/* ---- classes and methods, from the tables ---- */
#define METHOD(cls, kind, sel, enc, fn, src) +1
enum {
    METHODS = 0
#include "selectors.def"
};
#undef METHOD
static struct objc_method methods[METHODS];
static const struct {
    fake_class_id cls;
    char kind;
    const char *sel, *encoding;
    IMP imp;
    const char *source;
} rows[] = {
#define METHOD(cls, kind, sel, enc, fn, src) {CLASS_##cls, kind, sel, enc, (IMP)fn, src},
#include "selectors.def"
#undef METHOD
};

static void (*const drops[FAKE_CLASS_COUNT])(id) = {
    [CLASS_string] = fake_drop_bytes,
    [CLASS_data] = fake_drop_bytes,
    [CLASS_url] = fake_drop_bytes,
    [CLASS_array] = fake_drop_array,
    [CLASS_dictionary] = fake_drop_dictionary,
    [CLASS_error] = fake_drop_error,
    [CLASS_surface] = fake_drop_surface,
    [CLASS_descriptor] = fake_drop_descriptor,
    [CLASS_memory] = fake_drop_memory,
    [CLASS_wrapper] = fake_drop_wrapper,
    [CLASS_request] = fake_drop_request,
    [CLASS_model] = fake_drop_model,
};

static void add_class(fake_class_id c, const char *name, fake_class_id super, size_t size)
{
    bool root = super == c;
    classes[c] = (struct objc_class){&metas[c], root ? NULL : &classes[super], name, size,
                                     drops[c]};
    /* The root's metaclass inherits from the root class, as Apple's does. */
    metas[c] = (struct objc_class){NULL, root ? &classes[c] : &metas[super], name,
                                   sizeof(struct objc_class), NULL};
}

/* Runs when the library is loaded, before any thread can ask. */
__attribute__((constructor)) static void make_classes(void)
{
#define X(id, name, super, type) add_class(CLASS_##id, name, CLASS_##super, sizeof(type));
    FAKE_CLASSES(X)
#undef X
    for (size_t i = 0; i < METHODS; i++)
        methods[i] = (struct objc_method){
            rows[i].kind == '+' ? &metas[rows[i].cls] : &classes[rows[i].cls],
            sel_registerName(rows[i].sel), rows[i].encoding, rows[i].source, rows[i].imp};
    fake_make_constants();
}

Class fake_class(fake_class_id c)
{
    return &classes[c];
}

bool fake_is(id o, fake_class_id c)
{
    if (!o) return false;
    for (Class k = o->isa; k; k = k->super)
        if (k == &classes[c]) return true;
    return false;
}

static Method method_of(Class c, SEL s)
{
    if (!s || fake_is_hidden(s->name)) return NULL;
    for (Method found = NULL; c; c = c->super) {
        for (size_t i = 0; i < METHODS && (!found || fake_is_wide()); i++)
            if (methods[i].owner == c && methods[i].sel == s) found = &methods[i];
        if (found) return found;
    }
    return NULL;
}

static id nothing(id self, SEL op)
{
    return NULL;
}

/* Called by objc_msgSend. A message to nil answers zero. */
IMP fake_method_for(id self, SEL s);
IMP fake_method_for(id self, SEL s)
{
    if (!self) return (IMP)nothing;
    Method m = method_of(self->isa, s);
    if (!m)
        die("unrecognized selector sent to", ((Class)self->isa)->name, sel_getName(s));
    return m->imp;
}

Class objc_getClass(const char *name)
{
    if (fake_fails() || fake_is_hidden(name)) return NULL;
    for (int i = 0; i < FAKE_CLASS_COUNT; i++)
        if (!strcmp(classes[i].name, name)) return &classes[i];
    return NULL;
}

Class objc_lookUpClass(const char *name)
{
    return objc_getClass(name);
}

Class object_getClass(id o)
{
    return o ? o->isa : NULL;
}

const char *class_getName(Class c)
{
    return c ? c->name : "nil";
}

const char *object_getClassName(id o)
{
    return class_getName(o ? o->isa : NULL);
}

Class class_getSuperclass(Class c)
{
    return c ? c->super : NULL;
}

Method class_getInstanceMethod(Class c, SEL s)
{
    return method_of(c, s);
}

Method class_getClassMethod(Class c, SEL s)
{
    return c ? method_of(c->isa, s) : NULL;
}

const char *method_getTypeEncoding(Method m)
{
    return m ? fake_encoding(m->sel->name, m->encoding) : NULL;
}

SEL method_getName(Method m)
{
    return m ? m->sel : NULL;
}

IMP method_getImplementation(Method m)
{
    return m ? m->imp : NULL;
}

IMP class_getMethodImplementation(Class c, SEL s)
{
    return method_getImplementation(method_of(c, s));
}

bool class_respondsToSelector(Class c, SEL s)
{
    return method_of(c, s) != NULL;
}

FAKE_EXPORT int fake_ane_method_at(size_t i, fake_ane_method *out)
{
    if (i >= METHODS) return 0;
    *out = (fake_ane_method){classes[rows[i].cls].name, rows[i].sel, rows[i].encoding,
                             rows[i].source, rows[i].kind == '+'};
    return 1;
}

/* ---- objects and their counts ---- */
static bool is_class(id o)
{
    uintptr_t p = (uintptr_t)o;
    return (p >= (uintptr_t)classes && p < (uintptr_t)(classes + FAKE_CLASS_COUNT)) ||
           (p >= (uintptr_t)metas && p < (uintptr_t)(metas + FAKE_CLASS_COUNT));
}

static head *head_of(id o)
{
    return (head *)(void *)o - 1;
}

static id make(fake_class_id c, long count)
{
    head *h = fake_take(sizeof *h + classes[c].size);
    id o = (id)(void *)(h + 1);
    atomic_init(&h->count, count);
    o->isa = &classes[c];
    return o;
}

id fake_new(fake_class_id c)
{
    fake_count_object(1);
    return make(c, 1);
}

id fake_new_immortal(fake_class_id c)
{
    return make(c, -1);
}

id objc_retain(id o)
{
    if (o && !is_class(o) && atomic_load(&head_of(o)->count) >= 0)
        atomic_fetch_add(&head_of(o)->count, 1);
    return o;
}

void objc_release(id o)
{
    if (!o || is_class(o) || atomic_load(&head_of(o)->count) < 0) return;
    long left = atomic_fetch_sub(&head_of(o)->count, 1) - 1;
    if (left < 0) die("released once too often:", o->isa->name, "");
    if (left) return;
    if (o->isa->drop) o->isa->drop(o);
    fake_count_object(-1);
    free(head_of(o));
}

/* ---- autorelease pools: a stack per thread ---- */
typedef struct pool pool;
struct pool {
    pool *below;
    size_t n, cap;
    id *v;
};
static _Thread_local pool *top;

void *objc_autoreleasePoolPush(void)
{
    pool *p = fake_take(sizeof *p);
    p->below = top;
    return top = p;
}

void objc_autoreleasePoolPop(void *which)
{
    for (bool found = false; !found;) {
        pool *p = top;
        if (!p) die("popped a pool that is not there", "", "");
        for (size_t i = 0; i < p->n; i++) objc_release(p->v[i]);
        found = p == which;
        top = p->below;
        free(p->v);
        free(p);
    }
}

id objc_autorelease(id o)
{
    if (!o || is_class(o) || atomic_load(&head_of(o)->count) < 0) return o;
    if (!top) {
        fake_misuse("an object was autoreleased without a pool, and leaks");
        return o;
    }
    if (top->n == top->cap) {
        top->cap = top->cap ? 2 * top->cap : 16;
        id *v = realloc(top->v, top->cap * sizeof *v);
        if (!v) die("out of memory", "", "");
        top->v = v;
    }
    return top->v[top->n++] = o;
}

id objc_retainAutoreleasedReturnValue(id o)
{
    return objc_retain(o);
}

/* ---- NSObject ---- */
id object_alloc(id self, SEL op)
{
    Class c = (Class)(void *)self;
    return fake_fails() ? NULL : fake_new((fake_class_id)(c - classes));
}

id object_self(id self, SEL op)
{
    return self;
}

Class object_class(id self, SEL op)
{
    return self->isa;
}

id object_retain(id self, SEL op)
{
    return objc_retain(self);
}

void object_release(id self, SEL op)
{
    objc_release(self);
}

id object_autorelease(id self, SEL op)
{
    return objc_autorelease(self);
}

unsigned long object_count(id self, SEL op)
{
    return is_class(self) ? 1 : (unsigned long)atomic_load(&head_of(self)->count);
}

bool object_kind(id self, SEL op, Class c)
{
    for (Class k = self->isa; k; k = k->super)
        if (k == c) return true;
    return false;
}

bool object_responds(id self, SEL op, SEL s)
{
    return method_of(self->isa, s) != NULL;
}
