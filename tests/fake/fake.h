/* fake.h - how a test drives the fake framework: find these by dlsym.
 *
 * build/libfakeane.so exports Apple's names (a small Objective-C runtime, some
 * of CoreFoundation and IOSurface, the private classes of the Neural Engine)
 * and, beside them, the controls below. Rows of the fake: selectors.def
 * (selectors and encodings), refusals.def (what is refused, with which error);
 * each row cites its source. */
#ifndef FAKE_H
#define FAKE_H

#include <stddef.h>
#include <stdint.h>

/* Calls that can fail, since the library was loaded or reset. */
uint64_t fake_ane_calls(void);
/* The n-th such call from now fails (1 = the next), once; 0 = none. */
void fake_ane_fail_at(uint64_t n);
/* Objects that are alive, of any class; those that live as long as the library
 * (constants, classes, the shared connection) do not count. */
int64_t fake_ane_live_objects(void);
/* Programs loaded now, and compiles that count against the budget. */
int fake_ane_loaded(void);
int fake_ane_compiles(void);
/* Evaluations that ran, and the most that were in flight at one time. */
uint64_t fake_ane_evaluations(void);
int fake_ane_most_in_flight(void);
/* Faults of the caller that Apple's code would let pass: how many, and the
 * text of the last one ("" for none). */
uint64_t fake_ane_misuses(void);
const char *fake_ane_last_misuse(void);

/* Back to the start: counters, budget, hidden names, engine. Objects that are
 * alive stay alive and counted; no program may be loaded. */
void fake_ane_reset(void);
/* The software engine that stands behind the next program loaded, default
 * "emu:m4,faithful,compiles=none". Takes effect after a reset. */
void fake_ane_engine(const char *uri);
/* Limits; the defaults are refusals.def's. */
void fake_ane_limits(int compiles, int programs);
/* A system without an engine (a virtual machine): +hasANE answers no. */
void fake_ane_absent(int absent);
/* How programs loaded from now number their surfaces. 0: by the alphabet, and
 * the model's attributes say so; 1: backwards, and the attributes say so; 2: by
 * the alphabet, without attributes; 3: backwards, and nothing says so. */
void fake_ane_symbols(int how);
/* A system whose client takes the quality of service as an NSUInteger. */
void fake_ane_wide(int wide);
/* Dictionaries give their keys: 0, as Core Foundation does; 1, backwards. */
void fake_ane_keys(int how);
/* The system's version; from 27 on files in memory models are compared with
 * hashes, and folders with links in them are refused. Default 26. */
void fake_ane_system(int major);
/* What the system's service keeps of compiled programs. NULL: for as long as
 * this process; a folder: there, so that another process finds it. */
void fake_ane_daemon(const char *folder);
/* Programs that were loaded without being compiled before, by that model. */
uint64_t fake_ane_recalled(void);
/* A system that changed: the class or selector is not there; the selector has
 * another encoding. NULL = as usual. The text must stay valid. */
void fake_ane_hide(const char *class_or_selector);
void fake_ane_recode(const char *selector, const char *encoding);

/* The machine's meters are those of a set of channels.def: "m1", "m4" ...; NULL,
 * as at first, none. Each evaluation moves every counter one step on, and so
 * does a test that says so. The text must stay valid. */
void fake_ane_meters(const char *which);
void fake_ane_meters_move(int64_t steps);
/* What sysctlbyname answers to a name: a text, or the number it spells; at first
 * nothing. NULL: nothing at all again. At most 16. */
void fake_ane_sysctl(const char *name, const char *text);

/* The same and more in words; told.c lists them. A command that a test spawns
 * is told by the environment variable FAKE_ANE. Told anew, it forgets which
 * calls were to be refused; a reset forgets all. */
void fake_ane_tell(const char *words);

/* The rows, for comparison with another table: false past the end. */
typedef struct {
    const char *owner, *selector, *encoding, *source;
    int is_class_method;
} fake_ane_method;
int fake_ane_method_at(size_t i, fake_ane_method *out);
typedef struct {
    const char *name, *domain, *text, *source;
    long code;
} fake_ane_refusal;
int fake_ane_refusal_at(size_t i, fake_ane_refusal *out);

#endif
