/* process.c - spawning a child and listening to it, with what both Linux and
 * macOS have: two pipes that are read without blocking, and a look every few
 * milliseconds at whether it has ended or its time is over. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"

enum { PATH_ROOM = 4096, LOOK_EVERY_US = 2000 };

rc process_self(arena *a, const char **path)
{
    char *p = arena_take(a, PATH_ROOM);
    if (!p) return E_MEMORY;
#ifdef __APPLE__
    uint32_t size = PATH_ROOM;
    if (_NSGetExecutablePath(p, &size) != 0)
        return err_fail(E_IO, "this program's path is longer than %d bytes", PATH_ROOM);
#else
    ssize_t n = readlink("/proc/self/exe", p, PATH_ROOM - 1);
    if (n < 0) return file_fail("read", "/proc/self/exe", errno);
    p[n] = 0;
#endif
    *path = p;
    return OK;
}

/* ---- pipes ---- */
typedef struct {
    int from, to; /* -1 = closed */
} channel;

static void shut(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Neither end is inherited as it is; the parent's does not block. */
static rc open_channel(channel *c)
{
    int fd[2];
    if (pipe(fd)) return file_fail("make", "a pipe", errno);
    *c = (channel){fd[0], fd[1]};
    if (fcntl(fd[0], F_SETFD, FD_CLOEXEC) || fcntl(fd[1], F_SETFD, FD_CLOEXEC) ||
        fcntl(fd[0], F_SETFL, O_NONBLOCK))
        return file_fail("set up", "a pipe", errno);
    return OK;
}

/* All that is there now. What is beyond the room is read and dropped, so that
 * the child never waits for us. */
static void listen_to(channel *c, str *said)
{
    char part[4096];
    ssize_t n;
    while (c->from >= 0 && (n = read(c->from, part, sizeof part)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return;
        size_t room = said->n < PROCESS_SAYS ? PROCESS_SAYS - said->n : 0;
        str_addn(said, part, (size_t)n < room ? (size_t)n : room);
    }
    shut(&c->from);
}

/* ---- the child ---- */
static int spawn(const char *const *argv, char *const *env, const channel c[2],
                 pid_t *pid)
{
    posix_spawn_file_actions_t todo;
    int bad = posix_spawn_file_actions_init(&todo);
    if (bad) return bad;
    bad = posix_spawn_file_actions_addopen(&todo, 0, "/dev/null", O_RDONLY, 0);
    for (int i = 0; i < 2 && !bad; i++)
        bad = posix_spawn_file_actions_adddup2(&todo, c[i].to, i + 1);
    if (!bad) bad = posix_spawn(pid, argv[0], &todo, NULL, (char *const *)argv, env);
    posix_spawn_file_actions_destroy(&todo);
    return bad;
}

static void wait_for(pid_t pid, channel c[2], double limit_ms, process_result *out)
{
    double start = clock_ms();
    int status = 0;
    for (pid_t had = 0; had != pid;) {
        listen_to(&c[0], &out->out);
        listen_to(&c[1], &out->err);
        had = waitpid(pid, &status, WNOHANG);
        if (had < 0 && errno != EINTR) break; /* somebody else waited for it */
        out->ms = clock_ms() - start;
        if (had == pid) break;
        if (!out->timed_out && out->ms > limit_ms) {
            out->timed_out = true;
            kill(pid, SIGKILL);
        }
        usleep(LOOK_EVERY_US);
    }
    listen_to(&c[0], &out->out);
    listen_to(&c[1], &out->err);
    out->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

rc process_run(const char *const *argv, char *const *env, double limit_ms,
               process_result *out)
{
    channel c[2] = {{-1, -1}, {-1, -1}};
    pid_t pid = 0;
    *out = (process_result){.code = -1};
    rc r = open_channel(&c[0]);
    if (r == OK) r = open_channel(&c[1]);
    if (r == OK) {
        int bad = spawn(argv, env, c, &pid);
        if (bad) r = file_fail("start", argv[0], bad);
    }
    shut(&c[0].to); /* else its end is never seen */
    shut(&c[1].to);
    if (r == OK) wait_for(pid, c, limit_ms, out);
    shut(&c[0].from);
    shut(&c[1].from);
    if (r == OK && (out->out.bad || out->err.bad)) r = E_MEMORY;
    return r;
}

void process_result_free(process_result *r)
{
    str_free(&r->out);
    str_free(&r->err);
}

const char *process_fate(const process_result *r, char *text, size_t size)
{
    const char *name = r->signal == SIGSEGV || r->signal == SIGBUS   ? " (bad address)"
                       : r->signal == SIGABRT                        ? " (abort)"
                       : r->signal == SIGKILL                        ? " (killed)"
                       : r->signal == SIGILL || r->signal == SIGTRAP ? " (trap)"
                                                                     : "";
    if (r->timed_out)
        snprintf(text, size, "not answered after %.0f s, and was ended", r->ms / 1e3);
    else if (r->signal) snprintf(text, size, "ended by signal %d%s", r->signal, name);
    else snprintf(text, size, "ended with code %d", r->code);
    return text;
}
