/* loose.h - between the files of the data room: where a dataset's files are. */
#ifndef DATA_LOOSE_H
#define DATA_LOOSE_H

#include "base/arena.h"

/* Of a folder, or of a dataset without one. */
char *loose_path(arena *mem, const char *dir, const char *name);

#endif
