/* methods.h - the C functions behind selectors.def, each with the exact
 * signature its encoding states. */
#ifndef FAKE_METHODS_H
#define FAKE_METHODS_H

#include "objects.h"

id descriptor_make(id self, SEL op, id mil, id weights, id options);
id memory_make(id self, SEL op, id descriptor);
id memory_hex(id self, SEL op);
bool memory_compile(id self, SEL op, unsigned qos, id options, id *error);
bool memory_load(id self, SEL op, unsigned qos, id options, id *error);
bool memory_evaluate(id self, SEL op, unsigned qos, id options, id request, id *error);
bool memory_unload(id self, SEL op, unsigned qos, id *error);
unsigned long memory_state(id self, SEL op);
id memory_attributes(id self, SEL op);
id memory_inner(id self, SEL op);
id model_attributes(id self, SEL op);
bool memory_compiled(id self, SEL op);
void memory_purge(id self, SEL op);
void memory_set_url(id self, SEL op, id url);
signed char memory_depth(id self, SEL op);
void memory_set_depth(id self, SEL op, signed char depth);
unsigned memory_mask(id self, SEL op);
void memory_set_mask(id self, SEL op, unsigned mask);
bool memory_map(id self, SEL op, id request, bool cache, id *error);
void memory_unmap(id self, SEL op, id request);
id wrapper_make(id self, SEL op, IOSurfaceRef surface);
id request_make(id self, SEL op, id in, id in_index, id out, id out_index, id weights,
                id stats, id procedure);
id client_shared(id self, SEL op);
bool client_compile(id self, SEL op, id model, id options, unsigned qos, id *error);
bool client_load(id self, SEL op, id model, id options, unsigned qos, id *error);
bool client_evaluate(id self, SEL op, id model, id options, id request, unsigned qos,
                     id *error);
bool client_unload(id self, SEL op, id model, id options, unsigned qos, id *error);
bool client_compile_wide(id self, SEL op, id model, id options, unsigned long qos,
                         id *error);
bool client_load_wide(id self, SEL op, id model, id options, unsigned long qos,
                      id *error);
bool client_evaluate_wide(id self, SEL op, id model, id options, id request,
                          unsigned long qos, id *error);
bool client_unload_wide(id self, SEL op, id model, id options, unsigned long qos,
                        id *error);
bool client_compiled(id self, SEL op, id model);
void client_purge(id self, SEL op, id model);
id model_make(id self, SEL op, id url, id key);
unsigned long model_state(id self, SEL op);
bool info_has(id self, SEL op);
bool info_virtual(id self, SEL op);
unsigned info_engines(id self, SEL op);
unsigned info_cores(id self, SEL op);
id info_sub_type(id self, SEL op);
id info_architecture(id self, SEL op);
id info_build(id self, SEL op);
id object_alloc(id self, SEL op);
id object_self(id self, SEL op);
Class object_class(id self, SEL op);
id object_retain(id self, SEL op);
void object_release(id self, SEL op);
id object_autorelease(id self, SEL op);
unsigned long object_count(id self, SEL op);
bool object_kind(id self, SEL op, Class c);
bool object_responds(id self, SEL op, SEL s);
id dictionary_keys(id self, SEL op);
const char *string_text(id self, SEL op);
unsigned long bytes_length(id self, SEL op);
const void *data_bytes(id self, SEL op);
long error_code(id self, SEL op);
id error_domain(id self, SEL op);
id error_text(id self, SEL op);
id error_info(id self, SEL op);

#endif
