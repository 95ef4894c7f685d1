/* state.h - the counters and switches of the fake, behind fake.h. */
#ifndef FAKE_STATE_H
#define FAKE_STATE_H

#include "objects.h"

void fake_make_constants(void); /* strings and numbers that Apple exports */
bool fake_is_hidden(const char *name);
const char *fake_encoding(const char *selector, const char *usual);
void fake_count_object(int by);
bool fake_is_absent(void);
bool fake_is_wide(void); /* the last row of a selector counts, not the first */
int fake_symbols(void);  /* fake_ane_symbols */
bool fake_keys_turned(void);
int fake_system(void);
void fake_count_recalled(void);

/* Rows of refusals.def. */
typedef enum {
#define REFUSAL(name, ...) REFUSE_##name,
#include "refusals.def"
#undef REFUSAL
    REFUSALS
} fake_refusal;
/* Put the row's NSError (autoreleased) in *error, if wanted; always false. */
bool fake_refuse(fake_refusal why, id *error);

/* The calls that can be asked for by name (told.c). Count this one; true if it
 * is to be refused, with the error put in *error. */
typedef enum {
    FAKE_COMPILE,
    FAKE_LOAD,
    FAKE_EVALUATE,
    FAKE_UNLOAD,
    FAKE_CALLS
} fake_call;
bool fake_told(fake_call c, id *error);
void fake_told_nothing(void);
/* A program's text, before it is compiled: it may be told to end or to hang. */
void fake_told_program(const char *mil);
/* Are outputs to be zeros now? */
bool fake_told_wrong(void);

/* Budget: false = used up. Only a compile that failed is taken back. */
bool fake_count_compile(void);
void fake_uncount_compile(void);
/* A program slot: false = all are taken. */
bool fake_take_slot(void);
void fake_give_slot(void);
/* A place in the queue; waits while all are taken. */
void fake_enter_queue(void);
void fake_leave_queue(void);

#endif
