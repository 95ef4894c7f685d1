/* bundle.h - the folder of a program as the framework writes and checks it. */
#ifndef FAKE_BUNDLE_H
#define FAKE_BUNDLE_H

#include "objects.h"

bool bundle_make(const char *dir); /* with the folders above it */
/* NSData to dir/name. Folders in the name are not made: writeToFile: fails. */
bool bundle_write(const char *dir, const char *name, id data);
bool bundle_has(const char *dir, const char *name, id data); /* those contents? */
/* A symbolic link: the folder itself, or anything in it. */
bool bundle_has_links(const char *dir);
void bundle_remove(const char *dir);

#endif
