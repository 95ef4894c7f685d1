/* types.h - the shared types. */
#ifndef SDK_SYS_TYPES_H
#define SDK_SYS_TYPES_H

#include <sdk_types.h>

#endif
