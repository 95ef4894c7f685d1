/* dyld.h - what the loader tells of this program. */
#ifndef SDK_MACH_O_DYLD_H
#define SDK_MACH_O_DYLD_H

#include <stdint.h>

/* 0, or -1 and in *size the bytes that the path wants. */
int _NSGetExecutablePath(char *path, uint32_t *size);

#endif
