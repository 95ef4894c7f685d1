/* ownership.h - what the analyzer is told of Apple's functions, in front of each
 * file it reads. By names and types it knows Core Foundation's rule: what comes
 * from a function with Create or Copy in its name is the caller's, what comes
 * from another is borrowed. Of types that are not Core Foundation's it is told
 * here. */
#ifndef PROOF_OWNERSHIP_H
#define PROOF_OWNERSHIP_H

#include "apple.h" /* tests/fake: Apple's prototypes */

#define OWNED __attribute__((cf_returns_retained))

/* What a wrapper of a message returns, by its row in selectors.def. */
#define OWNED_OBJECT OWNED
#define OWNED_PLAIN
#define OWNED_NONE
OWNED __typeof__(IOSurfaceCreate) IOSurfaceCreate;
OWNED __typeof__(IOReportCreateSubscription) IOReportCreateSubscription;

/* An error is never OK: the analyzer does not see into other files. */
#include "base/err.h"
rc proof_any(void);
static inline rc proof_error(void)
{
    rc r = proof_any();
    return r == OK ? E_FAILED : r;
}
#define err_fail(code, ...) (code)
#define err_hint(code, ...) (code)
#define err_while(code, ...) (code)
#define err_restore(saved) proof_error()

#endif
