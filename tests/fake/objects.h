/* objects.h - what an instance of each class of the fake holds. */
#ifndef FAKE_OBJECTS_H
#define FAKE_OBJECTS_H

#include <stdatomic.h>
#include "runtime.h"

/* NSString (UTF-8), NSData, NSURL (path); a NUL follows the n bytes. */
typedef struct {
    struct objc_object o;
    size_t n;
    char *p;
} fake_bytes;

typedef struct {
    struct objc_object o;
    bool real;
    int64_t i;
    double d;
} fake_number;

typedef struct {
    struct objc_object o;
    size_t n;
    id *v;
} fake_array;

/* `owns`: made with call-backs, so that keys and values are retained and keys
 * compared by value; without them they are bare addresses. */
typedef struct {
    struct objc_object o;
    bool owns, fixed;
    size_t n, cap;
    id *k, *v;
} fake_dictionary;

typedef struct {
    struct objc_object o;
    id domain, text; /* text NULL: no description was given */
    long code;
} fake_error;

typedef struct {
    struct objc_object o;
    void *base;
    size_t width, height, element, row, alloc;
    atomic_int writing, reading; /* locks held by the processor */
    atomic_int running;          /* evaluations under way */
} fake_surface;

typedef struct {
    struct objc_object o;
    id mil, weights, options;
} fake_descriptor;

typedef struct fake_artefact fake_artefact;
typedef struct fake_program fake_program;

/* A model by either route. state: 1 made, 2 compiled, 3 loaded. */
typedef struct {
    struct objc_object o;
    id descriptor, hex, url; /* url: where its files are, NULL = not saved yet */
    id inner;                /* the fake_model of a loaded one; its program is ours */
    atomic_int state;
    atomic_bool unloaded; /* unloading was asked for, whatever came of it */
    signed char depth;
    unsigned stats_mask;
    fake_program *program;
    bool compiled; /* this model was */
} fake_memory;

typedef struct {
    struct objc_object o;
    id url, key;
    atomic_int state;
    atomic_bool unloaded; /* unloading was asked for, whatever came of it */
    fake_artefact *artefact;
    fake_program *program;
} fake_model;

typedef struct {
    struct objc_object o;
    id surface;
} fake_wrapper;

typedef struct {
    struct objc_object o;
    id in, in_index, out, out_index;
} fake_request;

/* Destructors: give back what the instance holds, not the instance. */
void fake_drop_bytes(id o);
void fake_drop_array(id o);
void fake_drop_dictionary(id o);
void fake_drop_error(id o);
void fake_drop_surface(id o);
void fake_drop_descriptor(id o);
void fake_drop_memory(id o);
void fake_drop_model(id o);
void fake_drop_wrapper(id o);
void fake_drop_request(id o);

/* New objects, count 1. */
id fake_string(const char *text);
id fake_bytes_new(fake_class_id c, const void *p, size_t n);
bool fake_equal(id a, id b);
id fake_lookup_value(id dictionary, const char *key); /* borrowed, NULL if none */
size_t fake_first(id dictionary);                     /* index of its first key, n > 0 */
int64_t fake_whole(id number);
id fake_number_new(int64_t v);
id fake_array_new(size_t n); /* of nil; fill .v with objects it then owns */
id fake_dictionary_new(void);
void fake_put(id dictionary, const char *key, id value); /* takes value over */
id fake_constant(const char *text); /* NSString that is never released */
void fake_make_surface_keys(void);
void fake_make_connection(void);
id fake_temporary_directory(void); /* NSString, count 1, ends in "/" */

#endif
