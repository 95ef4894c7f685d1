/* living.c - a living run can be found and asked to save itself.
 *
 * It listens at a socket DIR/KEY-PID, where KEY is the checksum of the run's
 * whole path, so that a run is found by its name though it may have no folder.
 * DIR is a folder of mode 0700 of the user's own in a memory file system, so that
 * no disk is written. To connect is to ask. The trainer looks between two steps;
 * no thread waits.
 *
 * Texts become tokens in DIR/data-PID (api/job.c), which has no names left before
 * training begins. A run that is killed leaves its socket, and if it had come no
 * further, those: a run that opens its own removes what nobody listens for.
 *
 * Only Linux has such a file system without setting one up. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/verbs.h"

#ifdef __linux__
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <xxhash.h>

#include "base/shared.h"

#define TMPFS 0x01021994L /* statfs(2) */
#define RAMFS 0x858458f6L
enum { ANSWER_MAX = 4096 };

static bool in_memory(const char *dir)
{
    struct statfs s;
    return *dir == '/' && statfs(dir, &s) == 0 &&
           ((long)s.f_type == TMPFS || (unsigned long)s.f_type == RAMFS);
}

/* Where sockets of this user are, without making it; NULL: nowhere. */
static const char *place(char *path, size_t size)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && in_memory(runtime)) snprintf(path, size, "%.60s/anneal", runtime);
    else if (in_memory("/dev/shm"))
        snprintf(path, size, "/dev/shm/anneal-%ld", (long)geteuid());
    else return NULL;
    return path;
}

const char *cli_living_lacks(void)
{
    char dir[80];
    return place(dir, sizeof dir)
               ? NULL
               : "no memory file system here ($XDG_RUNTIME_DIR, /dev/shm)";
}

/* The name of the folder could be anybody's: ours, and closed to others. */
static bool ours(const char *dir)
{
    struct stat s;
    return lstat(dir, &s) == 0 && S_ISDIR(s.st_mode) && s.st_uid == geteuid() &&
           !(s.st_mode & 077);
}

const char *cli_living_place(arena *mem)
{
    char dir[80];
    if (!place(dir, sizeof dir) || (mkdir(dir, 0700) && errno != EEXIST) || !ours(dir))
        return NULL;
    return arena_text(mem, dir);
}

static uint64_t key_of(const char *run_dir)
{
    char path[8192], cwd[4096] = "";
    if (*run_dir != '/' && !getcwd(cwd, sizeof cwd)) *cwd = 0;
    while (str_starts(run_dir, "./")) run_dir += 2;
    snprintf(path, sizeof path, "%s/%s", cwd, run_dir);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    return XXH3_64bits(path, n);
}

static bool address(const char *dir, uint64_t key, long pid, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(out->sun_path, sizeof out->sun_path, "%s/%016llx-%ld", dir,
                     (unsigned long long)key, pid);
    return n > 0 && (size_t)n < sizeof out->sun_path;
}

/* ---- the run ---- */

/* A socket of another type is refused either way, and asks for nothing; how tells
 * a listener from a name that was left. */
static bool listens(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool gone = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) &&
                errno == ECONNREFUSED;
    if (fd >= 0) close(fd);
    return !gone;
}

/* The process that a name here belongs to; 0 = none. */
static int64_t owner(const char *name, bool *is_socket)
{
    const char *dash = strchr(name, '-');
    *is_socket = dash && dash - name == 16;
    bool data = str_starts(name, "data-");
    return *is_socket || data ? strtoll(dash + 1, NULL, 10) : 0;
}

static bool has_socket(char *const *names, size_t n, int64_t pid)
{
    bool is_socket, has = false;
    for (size_t i = 0; i < n; i++)
        has |= *names[i] && owner(names[i], &is_socket) == pid && is_socket;
    return has;
}

/* Sockets are listed after tokens and made before them, so none of a run that is
 * just beginning is missed. */
static rc sweep(arena *mem, const char *dir)
{
    char **old, **now, *path;
    size_t n_old, n_now;
    bool is_socket;
    TRY(file_list(mem, dir, &old, &n_old));
    TRY(file_list(mem, dir, &now, &n_now));
    for (size_t i = 0; i < n_now; i++) {
        if (!owner(now[i], &is_socket) || !is_socket) continue;
        if (!(path = file_join(mem, dir, now[i]))) return E_MEMORY;
        if (listens(path)) continue;
        unlink(path);
        *now[i] = 0;
    }
    for (size_t i = 0; i < n_old; i++) {
        int64_t pid = owner(old[i], &is_socket);
        if (!pid || is_socket || has_socket(now, n_now, pid)) continue;
        if (!(path = file_join(mem, dir, old[i]))) return E_MEMORY;
        TRY(file_remove_tree(path));
    }
    return OK;
}

static void clear_away(const char *dir)
{
    arena *mem = arena_new();
    if (!mem || sweep(mem, dir)) err_clear(); /* somebody else's turn, then */
    arena_free(mem);
}

int cli_living_open(const char *run_dir, int handed)
{
    char dir[80];
    struct sockaddr_un at;
    if (handed >= 0) return shared_keep(handed, false) == OK ? handed : -1;
    if (!place(dir, sizeof dir)) return -1;
    if ((mkdir(dir, 0700) && errno != EEXIST) || !ours(dir) ||
        !address(dir, key_of(run_dir), (long)getpid(), &at)) {
        err_fail(E_IO, "%s is no folder of this user's own", dir);
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return file_fail("make", "a socket", errno), -1;
    unlink(at.sun_path); /* of a process of the same number, long gone */
    mode_t was = umask(0177);
    bool bad = bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 8);
    umask(was);
    if (!bad) return clear_away(dir), fd;
    file_fail("listen at", at.sun_path, errno);
    close(fd);
    return -1;
}

void cli_living_close(const char *run_dir, int fd)
{
    char dir[80];
    struct sockaddr_un at;
    close(fd);
    if (place(dir, sizeof dir) && address(dir, key_of(run_dir), (long)getpid(), &at)) {
        unlink(at.sun_path);
        rmdir(dir); /* if it was the last */
    }
}

bool cli_living_asked(void *living)
{
    cli_living *l = living;
    if (l->fd < 0 || l->caller >= 0) return false;
    l->caller = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return l->caller >= 0;
}

/* The answer is short enough for the socket's own buffer; who does not read it
 * is not waited for. */
void cli_living_told(void *living, rc bad, const char *text)
{
    cli_living *l = living;
    char line[ANSWER_MAX], cwd[2048] = "";
    if (l->caller < 0) return; /* it was a signal */
    bool whole = bad || *text == '/' || !getcwd(cwd, sizeof cwd);
    int n = snprintf(line, sizeof line, "%s %s%s%s", bad ? "failed" : "saved",
                     whole ? "" : cwd, whole ? "" : "/", text);
    size_t bytes = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    if (send(l->caller, line, bytes, MSG_NOSIGNAL) < 0) bytes = 0;
    close(l->caller);
    l->caller = -1;
}

/* ---- who asks ---- */

static int call(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0) return fd;
    if (errno == ECONNREFUSED) unlink(path); /* nobody is there any more */
    if (fd >= 0) close(fd);
    return -1;
}

/* The first socket of this key (or process) that somebody listens at. */
static rc find_and_call(arena *mem, const char *dir, uint64_t key, int64_t pid, int *fd,
                        int64_t *by)
{
    char **names, wanted[32];
    size_t n = 0;
    *fd = -1;
    if (!ours(dir)) return OK;
    TRY(file_list(mem, dir, &names, &n));
    snprintf(wanted, sizeof wanted, "%016llx-", (unsigned long long)key);
    for (size_t i = 0; i < n && *fd < 0; i++) {
        const char *dash = strchr(names[i], '-');
        if (!dash || str_to_int(dash + 1, by)) continue;
        if (pid > 0 ? *by != pid : !str_starts(names[i], wanted)) continue;
        char *path = file_join(mem, dir, names[i]);
        if (!path) return E_MEMORY;
        *fd = call(path);
    }
    return OK;
}

static rc read_answer(int fd, arena *mem, const char **said)
{
    char line[ANSWER_MAX];
    ssize_t n;
    size_t all = 0;
    while (all < sizeof line - 1 && (n = read(fd, line + all, sizeof line - 1 - all)) > 0)
        all += (size_t)n;
    line[all] = 0;
    if (str_starts(line, "saved ")) {
        *said = arena_text(mem, line + 6);
        return *said ? OK : E_MEMORY;
    }
    if (str_starts(line, "failed ")) return err_fail(E_IO, "%s", line + 7);
    return err_fail(E_IO, "the run ended without saving");
}

rc cli_living_save(arena *mem, const char *run_dir, int64_t pid, const char **said,
                   int64_t *by)
{
    char dir[80];
    int fd;
    if (!place(dir, sizeof dir)) {
        err_fail(E_IO, "%s, so living runs cannot be found", cli_living_lacks());
        return err_hint(E_IO, "kill -USR1 PID makes that run save itself");
    }
    TRY(find_and_call(mem, dir, run_dir ? key_of(run_dir) : 0, pid, &fd, by));
    if (fd < 0 && pid > 0)
        return err_fail(E_IO, "no run of this user has the process number %lld",
                        (long long)pid);
    if (fd < 0) {
        err_fail(E_IO, "no living run at %s", run_dir);
        return err_hint(E_IO, "--pid N asks the run of process N, wherever it is");
    }
    rc e = read_answer(fd, mem, said);
    close(fd);
    return e ? err_while(e, "asking process %lld to save", (long long)*by) : OK;
}

#else /* no memory file system: the signal alone */
#include <signal.h>

const char *cli_living_lacks(void)
{
    return "no memory file system here";
}

const char *cli_living_place(arena *mem)
{
    return NULL;
}

int cli_living_open(const char *run_dir, int handed)
{
    return -1;
}

void cli_living_close(const char *run_dir, int fd) {}

bool cli_living_asked(void *living)
{
    return false;
}

void cli_living_told(void *living, rc bad, const char *text) {}

/* The number was typed by somebody who knows it. */
rc cli_living_save(arena *mem, const char *run_dir, int64_t pid, const char **said,
                   int64_t *by)
{
    if (pid <= 0) {
        err_fail(E_IO, "%s, so a run cannot be found by its name", cli_living_lacks());
        return err_hint(E_IO, "--pid N asks the run of process N");
    }
    if (kill((pid_t)pid, SIGUSR1))
        return err_fail(E_IO, "no run of this user has the process number %lld",
                        (long long)pid);
    *by = pid;
    *said = "";
    return OK;
}
#endif
