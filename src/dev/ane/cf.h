/* cf.h - Core Foundation values to and from C, with explicit ownership.
 *
 * What is made here belongs to the caller (ane_drop). Making fails with
 * E_MEMORY. Reading checks the type first: what the system answers is looked
 * at, not trusted. */
#ifndef DEV_ANE_CF_H
#define DEV_ANE_CF_H

#include "dev/ane/apple.h"

rc ane_make_text(const ane_sys *a, const char *utf8, ane_id *out);
rc ane_make_data(const ane_sys *a, const void *bytes, size_t n, ane_id *out); /* copies */
rc ane_make_number(const ane_sys *a, int64_t v, ane_id *out);
/* Both hold on to what is put in. */
rc ane_make_array(const ane_sys *a, const ane_id *items, size_t n, ane_id *out);
rc ane_make_dict(const ane_sys *a, const ane_id *keys, const ane_id *values, size_t n,
                 ane_id *out);
rc ane_make_folder_url(const ane_sys *a, const char *path, ane_id *out);

/* False (and an empty text) unless it is a string that fits. */
bool ane_get_text(const ane_sys *a, ane_ref r, char *out, size_t size);
bool ane_get_number(const ane_sys *a, ane_ref r, int64_t *out);
/* Items of an array, -1 if it is none; item i is borrowed. */
long ane_get_count(const ane_sys *a, ane_ref r);
ane_ref ane_get_item(const ane_sys *a, ane_ref r, long i);
/* Borrowed; NULL if r is no dictionary or has no such key. */
ane_ref ane_get(const ane_sys *a, ane_ref r, const char *key);

/* ---- error.c ---- */
/* "cannot WHAT: DOMAIN, code C[, status 0xS]: the system's text", a hint with
 * what it usually means (errors.def), and the code of that row; `otherwise`
 * where no row fits. `error` may be NULL: the system gave no reason. It is
 * borrowed, so the autorelease pool must still be open. */
rc ane_explain(const ane_sys *a, ane_id error, rc otherwise, const char *what);
/* The same from its parts. */
rc ane_say(const char *domain, long code, const char *said, rc otherwise,
           const char *what);
/* The number after "status=" or in "(0x...)" of an error's text, or -1. */
long ane_status_in(const char *text);

#endif
