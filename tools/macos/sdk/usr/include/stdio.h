/* stdio.h - streams. */
#ifndef SDK_STDIO_H
#define SDK_STDIO_H

#include <sdk_types.h>
#include <stdarg.h>

typedef struct sdk_file FILE;
extern FILE *__stdinp, *__stdoutp, *__stderrp;
#define stdin __stdinp
#define stdout __stdoutp
#define stderr __stderrp

#define EOF (-1)
#define BUFSIZ 1024
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define _IOFBF 0
#define _IOLBF 1
#define _IONBF 2

#define SDK_PRINTS(at, first) __attribute__((__format__(__printf__, at, first)))
#define SDK_SCANS(at, first) __attribute__((__format__(__scanf__, at, first)))

FILE *fopen(const char *path, const char *mode);
FILE *fdopen(int fd, const char *mode);
FILE *freopen(const char *path, const char *mode, FILE *f);
int fclose(FILE *f);
int fileno(FILE *f);
int fflush(FILE *f);
int feof(FILE *f);
int ferror(FILE *f);
void clearerr(FILE *f);
size_t fread(void *p, size_t size, size_t n, FILE *f);
size_t fwrite(const void *p, size_t size, size_t n, FILE *f);
int fseek(FILE *f, long at, int from);
int fseeko(FILE *f, off_t at, int from);
long ftell(FILE *f);
off_t ftello(FILE *f);
void rewind(FILE *f);
int setvbuf(FILE *f, char *buffer, int how, size_t n);
int fgetc(FILE *f);
int getc(FILE *f);
int getchar(void);
int ungetc(int c, FILE *f);
char *fgets(char *p, int n, FILE *f);
int fputc(int c, FILE *f);
int putc(int c, FILE *f);
int putchar(int c);
int fputs(const char *text, FILE *f);
int puts(const char *text);
void perror(const char *text);
int remove(const char *path);
int rename(const char *from, const char *to);
FILE *tmpfile(void);
FILE *popen(const char *command, const char *mode);
int pclose(FILE *f);
ssize_t getline(char **line, size_t *cap, FILE *f);

int printf(const char *format, ...) SDK_PRINTS(1, 2);
int fprintf(FILE *f, const char *format, ...) SDK_PRINTS(2, 3);
int dprintf(int fd, const char *format, ...) SDK_PRINTS(2, 3);
int sprintf(char *p, const char *format, ...) SDK_PRINTS(2, 3);
int snprintf(char *p, size_t n, const char *format, ...) SDK_PRINTS(3, 4);
int vprintf(const char *format, va_list v) SDK_PRINTS(1, 0);
int vfprintf(FILE *f, const char *format, va_list v) SDK_PRINTS(2, 0);
int vsnprintf(char *p, size_t n, const char *format, va_list v) SDK_PRINTS(3, 0);
int scanf(const char *format, ...) SDK_SCANS(1, 2);
int fscanf(FILE *f, const char *format, ...) SDK_SCANS(2, 3);
int sscanf(const char *text, const char *format, ...) SDK_SCANS(2, 3);

#endif
