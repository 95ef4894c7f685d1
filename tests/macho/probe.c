/* probe.c - a program for macOS that asks of the loader what anneal asks of the
 * system, and knows the answers: that files, errors, threads, signals and
 * children behave as Darwin's under Darwin's numbers, and that arguments
 * arrive. What it proves is the loader, not macOS. Prints a line a test.
 *
 * As `probe child` it is its own child: says its words, then ends as told. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <mach-o/dyld.h>
#include <mach/mach.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static int n_bad;

static void is(bool good, const char *what)
{
    printf("%sok %s\n", good ? "" : "not ", what);
    n_bad += !good;
}

static bool fails_with(int code, int number)
{
    return code < 0 && errno == number;
}

/* ---- files ---- */
static void files(void)
{
    struct stat s, l;
    char text[8] = {0};
    is(mkdir("probe.d", 0755) == 0 && fails_with(mkdir("probe.d", 0755), EEXIST),
       "mkdir, EEXIST");
    int fd = open("probe.d/f", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    is(fd >= 0 && write(fd, "seven..", 7) == 7 && fsync(fd) == 0, "open with a mode");
    is(fails_with(open("probe.d/f", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST), "O_EXCL");
    is(fstat(fd, &s) == 0 && s.st_size == 7 && S_ISREG(s.st_mode) &&
           (s.st_mode & 0777) == 0600 && s.st_nlink == 1,
       "fstat");
    is(s.st_mtimespec.tv_sec > 1600000000 && s.st_blksize > 0, "its time and block");
    is(fcntl(fd, F_FULLFSYNC) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "fcntl");
    is((fcntl(fd, F_GETFL) & (O_APPEND | O_RDWR)) == O_RDWR &&
           fcntl(fd, F_SETFL, O_APPEND) == 0 && fcntl(fd, F_GETFL) & O_APPEND,
       "flags of an open file");
    is(pread(fd, text, 5, 0) == 5 && !strcmp(text, "seven"), "pread");
    int other = open("probe.d/f", O_RDONLY);
    is(flock(fd, LOCK_EX | LOCK_NB) == 0 &&
           fails_with(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK),
       "flock, EWOULDBLOCK");
    char *p = mmap(NULL, 7, PROT_READ, MAP_PRIVATE, fd, 0);
    is(p != MAP_FAILED && !memcmp(p, "seven", 5) && munmap(p, 7) == 0, "mmap");
    int *zero = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_ANON | MAP_PRIVATE, -1, 0);
    is(zero != MAP_FAILED && zero[1000] == 0 && (zero[1000] = 1), "mmap of memory");
    close(other), close(fd);
    is(symlink("f", "probe.d/l") == 0 && lstat("probe.d/l", &l) == 0 &&
           S_ISLNK(l.st_mode) && stat("probe.d/l", &l) == 0 && l.st_ino == s.st_ino,
       "stat and lstat");
    is(fails_with(open("probe.d/l", O_RDONLY | O_NOFOLLOW), ELOOP), "O_NOFOLLOW, ELOOP");
    is(fails_with(open("probe.d/f", O_RDONLY | O_DIRECTORY), ENOTDIR), "O_DIRECTORY");
    is(fails_with(rmdir("probe.d"), ENOTEMPTY), "ENOTEMPTY");
    is(!strcmp(strerror(ENOTEMPTY), "Directory not empty"), "strerror");
    char name[400];
    memset(name, 'x', 399), name[399] = 0;
    is(fails_with(open(name, O_RDONLY), ENAMETOOLONG), "ENAMETOOLONG");
    bool seen = false;
    DIR *d = opendir("probe.d");
    for (struct dirent *e; d && (e = readdir(d));)
        seen |= !strcmp(e->d_name, "f") && e->d_type == DT_REG && e->d_namlen == 1;
    is(seen && closedir(d) == 0, "readdir");
    is(rename("probe.d/f", "probe.d/g") == 0 && unlink("probe.d/g") == 0 &&
           unlink("probe.d/l") == 0 && rmdir("probe.d") == 0 &&
           fails_with(stat("probe.d", &s), ENOENT),
       "rename, unlink, rmdir, ENOENT");
    errno = 0;
    is(strtod("1e999", NULL) == HUGE_VAL && errno == ERANGE, "ERANGE");
    errno = EAGAIN;
    is(errno == EAGAIN, "errno keeps what the program writes");
}

/* ---- threads ---- */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int n_once, n_done;
static _Thread_local long own = 7;

static void first(void)
{
    n_once++;
}

static void *work(void *p)
{
    pthread_once(&once, first);
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        n_done++, own++;
        pthread_cond_broadcast(&turn);
        pthread_mutex_unlock(&lock);
    }
    *(long *)p = own;
    return p;
}

static void threads(void)
{
    pthread_t t[4];
    long had[4] = {0};
    void *result;
    bool good = true;
    for (int i = 0; i < 4; i++) good &= pthread_create(&t[i], NULL, work, &had[i]) == 0;
    pthread_mutex_lock(&lock);
    while (n_done < 4000) pthread_cond_wait(&turn, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 4; i++)
        good &= pthread_join(t[i], &result) == 0 && result == &had[i] && had[i] == 1007;
    is(good && n_done == 4000 && n_once == 1 && own == 7,
       "threads, locks, own variables");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&lock);
    is(pthread_cond_timedwait(&turn, &lock, &now) == ETIMEDOUT, "ETIMEDOUT");
    is(pthread_mutex_trylock(&lock) == EBUSY, "EBUSY");
    pthread_mutex_unlock(&lock);
}

/* ---- signals: a leaf function may keep its variables below the stack ---- */
static volatile sig_atomic_t got;

static void note(int sig)
{
    char room[512];
    memset(room, 0xff, sizeof room);
    got = room[0] ? sig : 0;
}

static void signals(void)
{
    struct sigaction to = {.sa_flags = SA_RESTART}, had;
    to.sa_handler = note;
    is(sigaction(SIGUSR1, &to, NULL) == 0 && raise(SIGUSR1) == 0 && got == SIGUSR1,
       "sigaction and raise");
    is(sigaction(SIGUSR1, NULL, &had) == 0 && had.sa_handler == note, "the old action");
    is(signal(SIGTERM, SIG_IGN) == SIG_DFL && raise(SIGTERM) == 0, "signal, SIG_IGN");
    is(signal(SIGTERM, SIG_DFL) == SIG_IGN, "and back");
}

/* ---- children ---- */
static int child(const char *const *word)
{
    printf("%s %s", word[0], getenv("PROBE"));
    fflush(stdout);
    if (!strcmp(word[1], "bus")) raise(SIGBUS);
    return atoi(word[1]);
}

/* Its status, and what it said. */
static int spawned(const char *end, char *said, size_t size)
{
    char self[4096];
    uint32_t n = sizeof self;
    int fd[2], status = -1;
    pid_t pid = 0;
    posix_spawn_file_actions_t todo;
    if (_NSGetExecutablePath(self, &n) || pipe(fd)) return -1;
    const char *argv[] = {self, "child", "words", end, NULL};
    setenv("PROBE", "heard", 1);
    fcntl(fd[0], F_SETFD, FD_CLOEXEC), fcntl(fd[1], F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_init(&todo);
    posix_spawn_file_actions_addopen(&todo, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&todo, fd[1], 1);
    int bad = posix_spawn(&pid, self, &todo, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&todo);
    close(fd[1]);
    ssize_t got_bytes = read(fd[0], said, size - 1);
    said[got_bytes > 0 ? got_bytes : 0] = 0;
    close(fd[0]);
    return bad || waitpid(pid, &status, 0) != pid ? -1 : status;
}

static void children(void)
{
    char said[64];
    int s = spawned("42", said, sizeof said);
    is(WIFEXITED(s) && WEXITSTATUS(s) == 42, "a child of the same program ends with 42");
    is(!strcmp(said, "words heard"), "after its words and the environment came through");
    s = spawned("bus", said, sizeof said);
    is(WIFSIGNALED(s) && WTERMSIG(s) == SIGBUS,
       "one that is killed says by which signal");
}

/* ---- arguments ---- */
static void arguments(void)
{
    char text[128], word[16];
    int i = 0;
    double x = 0;
    snprintf(text, sizeof text, "%d %s %.3f %zu %c %g %lld", -1, "two", 3.0, (size_t)4,
             '5', 0.1f, 1LL << 40);
    is(!strcmp(text, "-1 two 3.000 4 5 0.1 1099511627776"), "snprintf");
    is(sscanf("12 ab 2.5", "%d %15s %lf", &i, word, &x) == 3 && i == 12 && x == 2.5 &&
           !strcmp(word, "ab"),
       "sscanf");
    json_t *j = json_pack("{s:i, s:f, s:[s, b], s:I}", "i", 7, "f", 0.5, "list", "a", 1,
                          "I", (json_int_t)1 << 40);
    json_int_t large = 0;
    const char *a = "";
    x = 0, i = 0;
    is(j && json_unpack(j, "{s:s}", "i", &a) < 0,
       "json_unpack refuses what does not fit");
    is(json_unpack(j, "{s:i, s:F, s:[s], s:I}", "i", &i, "f", &x, "list", &a, "I",
                   &large) == 0 &&
           i == 7 && x == 0.5 && large == (json_int_t)1 << 40 && !strcmp(a, "a"),
       "json_pack and json_unpack");
    json_decref(j);
}

static void machine(void)
{
    struct mach_task_basic_info info;
    mach_msg_type_number_t n = MACH_TASK_BASIC_INFO_COUNT;
    struct rusage use;
    is(task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&info, &n) == 0 &&
           info.resident_size > 100000,
       "memory in use");
    is(getrusage(RUSAGE_SELF, &use) == 0 && use.ru_maxrss > 1000000,
       "the most, in bytes");
    is(sysconf(_SC_NPROCESSORS_ONLN) > 0 && sysconf(_SC_PAGESIZE) >= 4096, "sysconf");
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "child"))
        return child((const char *const *)argv + 2);
    files();
    threads();
    signals();
    children();
    arguments();
    machine();
    return n_bad != 0;
}
