/* mman.h - mapped memory. */
#ifndef SDK_SYS_MMAN_H
#define SDK_SYS_MMAN_H

#include <sdk_types.h>

#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 0x1
#define MAP_PRIVATE 0x2
#define MAP_FIXED 0x10
#define MAP_ANON 0x1000
#define MAP_ANONYMOUS MAP_ANON
#define MAP_FAILED ((void *)-1)
#define MADV_NORMAL 0
#define MADV_RANDOM 1
#define MADV_SEQUENTIAL 2
#define MADV_WILLNEED 3
#define MADV_DONTNEED 4

void *mmap(void *at, size_t n, int how, int flags, int fd, off_t offset);
int munmap(void *p, size_t n);
int mprotect(void *p, size_t n, int how);
int madvise(void *p, size_t n, int advice);
int shm_open(const char *name, int how, ...);
int shm_unlink(const char *name);

#endif
