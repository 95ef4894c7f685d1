/* process.h - another run of a program, its words and how it ended.
 *
 * What may crash, hang or spoil its process is done in a process of its own:
 * the same command, started anew; and what has used up what a process gets is
 * gone on with by a new image of it. A child is spawned, never forked: Objective-C does
 * not survive a fork without exec (macOS ends such a process). Nothing here
 * reads the environment; the caller hands it on. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

typedef struct {
    int code;       /* exit code; -1 if it was ended by a signal */
    int signal;     /* that ended it, or 0 */
    bool timed_out; /* it was killed because its time was over */
    double ms;
    str out, err; /* what it said, at most PROCESS_SAYS bytes of each */
} process_result;
enum { PROCESS_SAYS = 1 << 20 };

/* The path of the running program, in the arena; E_IO where the system does
 * not tell. */
rc process_self(arena *a, const char **path);

/* Run argv[0] (a path) with these words and this environment (both end with
 * NULL), stdin empty, and wait for its end, or kill it after limit_ms. An error
 * is only returned if it could not be started; `out` is then empty. Free with
 * process_result_free in either case. */
rc process_run(const char *const *argv, char *const *env, double limit_ms,
               process_result *out);
void process_result_free(process_result *r);

/* "ended by signal 11 (bad address)", "not answered after 60 s, and was
 * ended", "ended with code 3". */
const char *process_fate(const process_result *r, char *text, size_t size);

#endif
