/* wait.h - how children end. */
#ifndef SDK_SYS_WAIT_H
#define SDK_SYS_WAIT_H

#include <sdk_types.h>

#define WNOHANG 1
#define WUNTRACED 2
#define WTERMSIG(s) ((s)&0177)
#define WIFEXITED(s) (WTERMSIG(s) == 0)
#define WIFSIGNALED(s) (WTERMSIG(s) != 0 && WTERMSIG(s) != 0177)
#define WEXITSTATUS(s) (((s) >> 8) & 0xff)

pid_t wait(int *status);
pid_t waitpid(pid_t pid, int *status, int how);

#endif
