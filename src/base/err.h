/* err.h - how every room reports failure.
 *
 * A function that can fail returns an rc; OK is zero. The text of a failure is
 * a per-thread chain: err_fail() starts it where the fault was found,
 * err_while() adds a line of context on the way up, err_hint() says what to
 * type next. Only the command line prints the chain.
 *
 * Grammar: lower case, no full stop, what was wanted and what was had. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

typedef enum {
#define ERR(name, exit, text) name,
#include "base/errors.def"
#undef ERR
    ERR_COUNT
} rc;

#if defined(__GNUC__)
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#else
#define PRINTF_LIKE(f, a)
#endif

/* Start a chain (drops the old one), add context, add a hint. Each returns
 * `code`, so `return err_fail(E_IO, ...)` works. The marks "while " and
 * "hint: " are put in front here: err_while(r, "reading %s", path). Without a
 * chain, err_about(code) becomes its fault. */
rc err_fail(rc code, const char *fmt, ...) PRINTF_LIKE(2, 3);
rc err_while(rc code, const char *fmt, ...) PRINTF_LIKE(2, 3);
rc err_hint(rc code, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The chain of this thread as text, one line each:
 *   "fault\n  while ...\n  hint: ...". Never NULL; valid until the next
 * err_* call of this thread. */
const char *err_text(void);
/* The first line alone. */
const char *err_first(void);
/* Forget the chain. */
void err_clear(void);
/* Carry a chain to another thread: save copies it, restore puts it back. */
typedef struct {
    char text[1024];
    rc code;
} err_saved;
void err_save(rc code, err_saved *out);
rc err_restore(const err_saved *saved);

const char *err_name(rc code);  /* "E_IO" */
const char *err_about(rc code); /* "a file could not be read or written" */
int err_exit(rc code);          /* exit code of the command line */

/* Nearest of `n` names to `word` for "did you mean", or NULL if none is near. */
const char *err_nearest(const char *word, const char *const *names, size_t n);

#define TRY(call)                  \
    do {                           \
        rc rc_ = (call);           \
        if (rc_ != OK) return rc_; \
    } while (0)
#define TRY_WHILE(call, ...)                               \
    do {                                                   \
        rc rc_ = (call);                                   \
        if (rc_ != OK) return err_while(rc_, __VA_ARGS__); \
    } while (0)

#endif
