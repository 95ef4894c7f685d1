/* loader.h - the two halves of the loader: Mach-O files, and Darwin's C library. */
#ifndef MACHO_LOADER_H
#define MACHO_LOADER_H

/* The address of a Darwin name such as "_strlen", or NULL. */
void *libsystem_find(const char *name);

#endif
