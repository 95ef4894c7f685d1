/* facts.h - what macOS says of the machine: chip, system, memory, cores.
 *
 * All of it comes from sysctl by name, needs no engine and no framework, and
 * may be asked for before a device is opened or after opening failed. What the
 * system does not answer is absent: an empty text, a zero, -1 for a yes or no.
 * Names: sysctl(3) and <sys/sysctl.h> of xnu; hw.perflevel*: Apple, "Addressing
 * architectural differences"; hw.optional.arm: Apple, "Determining
 * instruction set characteristics". */
#ifndef DEV_ANE_FACTS_H
#define DEV_ANE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int ane_sysctl(const char *name, void *old, size_t *n_old, void *next,
                       size_t n_next);

typedef struct {
    char chip[64];  /* "Apple M4 Pro" */
    char model[32]; /* "Mac16,8" */
    char os[32];    /* "15.3.1" */
    char build[32]; /* "24D70" */
    uint64_t memory_bytes;
    int cores, fast_cores, slow_cores;
    int fp16, bf16, i8mm, sme2; /* of the processor: 1, 0 or -1 */
} ane_facts;

/* The system's sysctlbyname, or that of a library that stands in for it (NULL
 * = the system's). NULL where there is none. */
ane_sysctl *ane_sysctl_find(const char *lib);
/* `ask` may be NULL: everything is absent. */
void ane_facts_read(ane_sysctl *ask, ane_facts *out);
/* The text of a name; "" and false if absent or longer than `size` holds. */
bool ane_fact_text(ane_sysctl *ask, const char *name, char *out, size_t size);

#endif
