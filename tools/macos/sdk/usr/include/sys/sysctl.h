/* sysctl.h - facts of the machine. */
#ifndef SDK_SYS_SYSCTL_H
#define SDK_SYS_SYSCTL_H

#include <sdk_types.h>

int sysctlbyname(const char *name, void *old, size_t *n_old, void *next, size_t n_next);

#endif
