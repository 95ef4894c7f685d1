/* shared.h - memory without a name that outlives exec.
 *
 * The system keeps it while something has its descriptor or its mapping: a
 * program that starts itself anew hands it on by number, and when the process
 * ends, however it ends, it is gone. It is no file on any
 * disk: memfd_create on Linux, shm_open with the name removed at once on macOS.
 * Being a descriptor it is closed on exec until shared_keep says otherwise. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

typedef struct {
    int fd; /* -1 = none */
    void *p;
    size_t n;
} shared;

/* n zeroed bytes, mapped to read and write; where the system can, all of them
 * are reserved now, so that too little memory is an error here and not a signal
 * later. E_MEMORY says how much was wanted and what the system said. */
rc shared_new(size_t n, shared *out);
/* Map all of what another image of this process left under a number; it is
 * closed on exec again. E_FORMAT if the number is no memory of this kind. */
rc shared_open(int fd, shared *out);
/* Let a descriptor (this or any other) survive exec, or not. */
rc shared_keep(int fd, bool keep);
/* Take away the mapping, leave the descriptor. */
void shared_unmap(shared *s);
void shared_close(shared *s); /* of a zeroed one with fd -1 too */

#endif
