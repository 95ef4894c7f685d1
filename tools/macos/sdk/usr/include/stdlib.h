/* stdlib.h - memory, text to number, sorting, the environment. */
#ifndef SDK_STDLIB_H
#define SDK_STDLIB_H

#include <sdk_types.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
#define RAND_MAX 0x7fffffff

void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void *aligned_alloc(size_t align, size_t n);
int posix_memalign(void **out, size_t align, size_t n);
void free(void *p);
void abort(void) __attribute__((noreturn));
void exit(int code) __attribute__((noreturn));
void _Exit(int code) __attribute__((noreturn));
int atexit(void (*run)(void));
char *getenv(const char *name);
int setenv(const char *name, const char *value, int over);
int unsetenv(const char *name);
int system(const char *command);
int abs(int x);
long labs(long x);
long long llabs(long long x);
int atoi(const char *text);
long atol(const char *text);
double atof(const char *text);
long strtol(const char *text, char **end, int base);
long long strtoll(const char *text, char **end, int base);
unsigned long strtoul(const char *text, char **end, int base);
unsigned long long strtoull(const char *text, char **end, int base);
double strtod(const char *text, char **end);
float strtof(const char *text, char **end);
int rand(void);
void srand(unsigned seed);
void qsort(void *p, size_t n, size_t size, int (*order)(const void *, const void *));
void *bsearch(const void *key, const void *p, size_t n, size_t size,
              int (*order)(const void *, const void *));
char *realpath(const char *path, char *out);
char *mkdtemp(char *pattern);
int mkstemp(char *pattern);

#endif
