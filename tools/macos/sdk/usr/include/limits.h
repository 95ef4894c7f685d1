/* limits.h - limits of POSIX; those of C are in the compiler's own header. */
#ifndef SDK_LIMITS_H
#define SDK_LIMITS_H

#define PATH_MAX 1024
#define NAME_MAX 255
#define SSIZE_MAX LONG_MAX
#define IOV_MAX 1024

#endif
