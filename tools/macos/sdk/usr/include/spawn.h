/* spawn.h - starting another program without a fork. */
#ifndef SDK_SPAWN_H
#define SDK_SPAWN_H

#include <sdk_types.h>

typedef void *posix_spawn_file_actions_t; /* made by _init */
typedef void *posix_spawnattr_t;

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *todo,
                const posix_spawnattr_t *how, char *const argv[], char *const env[]);
int posix_spawn_file_actions_init(posix_spawn_file_actions_t *todo);
int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *todo);
int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *todo, int from, int to);
int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *todo, int fd,
                                     const char *path, int how, mode_t mode);

#endif
