/* time.h - the time of day. */
#ifndef SDK_SYS_TIME_H
#define SDK_SYS_TIME_H

#include <sdk_types.h>

int gettimeofday(struct timeval *out, void *zone);

#endif
