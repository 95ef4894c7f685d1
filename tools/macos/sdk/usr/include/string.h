/* string.h - bytes and text. */
#ifndef SDK_STRING_H
#define SDK_STRING_H

#include <sdk_types.h>

void *memchr(const void *p, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *p, int c, size_t n);
void *memmem(const void *in, size_t n, const void *what, size_t m);
char *strcat(char *restrict to, const char *restrict from);
char *strchr(const char *s, int c);
int strcmp(const char *a, const char *b);
int strcoll(const char *a, const char *b);
char *strcpy(char *restrict to, const char *restrict from);
size_t strcspn(const char *s, const char *set);
char *strdup(const char *s);
char *strndup(const char *s, size_t n);
char *strerror(int error);
int strerror_r(int error, char *p, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t most);
char *strncat(char *restrict to, const char *restrict from, size_t n);
int strncmp(const char *a, const char *b, size_t n);
char *strncpy(char *restrict to, const char *restrict from, size_t n);
char *strpbrk(const char *s, const char *set);
char *strrchr(const char *s, int c);
size_t strspn(const char *s, const char *set);
char *strsignal(int sig);
char *strstr(const char *in, const char *what);
char *strtok(char *s, const char *set);
char *strtok_r(char *s, const char *set, char **rest);
int strcasecmp(const char *a, const char *b);
int strncasecmp(const char *a, const char *b, size_t n);

#endif
