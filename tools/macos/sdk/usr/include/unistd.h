/* unistd.h - descriptors and processes. */
#ifndef SDK_UNISTD_H
#define SDK_UNISTD_H

#include <sdk_types.h>

#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2
#define F_OK 0
#define X_OK 1
#define W_OK 2
#define R_OK 4
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define _SC_OPEN_MAX 5
#define _SC_PAGESIZE 29
#define _SC_NPROCESSORS_CONF 57
#define _SC_NPROCESSORS_ONLN 58
#define _SC_PHYS_PAGES 200

int access(const char *path, int how);
unsigned alarm(unsigned seconds);
int chdir(const char *path);
int close(int fd);
int dup(int fd);
int dup2(int from, int to);
int execv(const char *path, char *const argv[]);
int execve(const char *path, char *const argv[], char *const env[]);
int execvp(const char *file, char *const argv[]);
void _exit(int code) __attribute__((noreturn));
pid_t fork(void);
int fsync(int fd);
int ftruncate(int fd, off_t n);
char *getcwd(char *p, size_t n);
uid_t geteuid(void);
pid_t getpid(void);
pid_t getppid(void);
uid_t getuid(void);
int gethostname(char *p, size_t n);
int isatty(int fd);
int link(const char *from, const char *to);
off_t lseek(int fd, off_t at, int from);
int pipe(int fd[2]);
ssize_t pread(int fd, void *p, size_t n, off_t at);
ssize_t pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t read(int fd, void *p, size_t n);
ssize_t readlink(const char *path, char *p, size_t n);
int rmdir(const char *path);
unsigned sleep(unsigned seconds);
int symlink(const char *to, const char *path);
long sysconf(int what);
int truncate(const char *path, off_t n);
int unlink(const char *path);
int usleep(unsigned microseconds);
ssize_t write(int fd, const void *p, size_t n);

#endif
