/* strings.h - in string.h here. */
#ifndef SDK_STRINGS_H
#define SDK_STRINGS_H

#include <string.h>

#endif
