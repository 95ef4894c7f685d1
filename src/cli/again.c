/* again.c - the command starts itself anew in the same process.
 *
 * session_train comes back with E_RESTART and a descriptor. Everything of this
 * image that could be lost is put away by then: the device and its threads are
 * closed, the view has ended its line. What is left:
 *
 *   signals   INT, TERM and USR1 are blocked, so that one that comes now waits
 *             for the next image and does not end it; one that came already is
 *             heeded here (stop), or passed on (save)
 *   words     the very same argv and environment, and one variable more:
 *             ANNEAL_AGAIN=HANDED,LISTENING,BLOCKED,ASKED (descriptors, bits)
 *   exec      same process id: parent, terminal, pipes and batch jobs see nothing
 *
 * The next image takes the variable out before anything else sees it. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/shared.h"
#include "cli/verbs.h"

#define VARIABLE "ANNEAL_AGAIN"
extern char **environ;

static const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
enum { N_SIGNALS = sizeof signals / sizeof *signals };

/* A command has one run at a time. */
static struct {
    char **argv;
    int handed, listening; /* of the image before; -1 = none */
    int blocked;           /* bit i: it blocked signals[i] for us */
    cli_living living;
} again = {.handed = -1, .listening = -1, .living = {-1, -1}};
static volatile sig_atomic_t save_asked;

static void on_save(int sig)
{
    (void)sig;
    save_asked = 1;
}

void cli_again_begin(char **argv)
{
    int asked = 0, handed, listening, blocked;
    const char *left = getenv(VARIABLE);
    again.argv = argv;
    if (!left) return;
    if (sscanf(left, "%d,%d,%d,%d", &handed, &listening, &blocked, &asked) == 4) {
        again.handed = handed;
        again.listening = listening;
        again.blocked = blocked;
        save_asked = asked != 0;
    }
    unsetenv(VARIABLE);
}

bool cli_again_waits(void)
{
    return again.handed >= 0;
}

/* ---- signals ---- */

static void catch_save(void)
{
    struct sigaction s;
    memset(&s, 0, sizeof s);
    s.sa_handler = on_save;
    s.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &s, NULL);
}

/* Only what nobody had blocked before us is ours to let through again. */
static void block(void)
{
    sigset_t ours, before;
    sigemptyset(&ours);
    for (int i = 0; i < N_SIGNALS; i++) sigaddset(&ours, signals[i]);
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    again.blocked = 0;
    for (int i = 0; i < N_SIGNALS; i++)
        if (!sigismember(&before, signals[i])) again.blocked |= 1 << i;
}

static void unblock(void)
{
    sigset_t ours;
    sigemptyset(&ours);
    for (int i = 0; i < N_SIGNALS; i++)
        if (again.blocked & 1 << i) sigaddset(&ours, signals[i]);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    again.blocked = 0;
}

/* ---- into the next image ---- */

/* Another image of the running program: same process, these words, this
 * environment. Only comes back if the system refused. Its own path is executed,
 * so that it keeps its name in lists of processes; where another program has
 * been put there meanwhile, the one that runs. */
static rc become(char *const *argv, char *const *env)
{
    arena *a = arena_new();
    const char *self = NULL;
    rc r = a ? process_self(a, &self) : E_MEMORY;
#ifdef __linux__
    struct stat running, there;
    const char *proc = "/proc/self/exe";
    if (r == OK && (stat(proc, &running) || stat(self, &there) ||
                    running.st_dev != there.st_dev || running.st_ino != there.st_ino))
        self = proc;
#endif
    if (r == OK) {
        execve(self, argv, env);
        r = file_fail("start again", self, errno);
    }
    arena_free(a);
    return r;
}

static rc environment(arena *mem, int handed, int listening, char ***out)
{
    size_t n = 0;
    while (environ[n]) n++;
    char **env = arena_array(mem, n + 2, sizeof *env);
    if (!env) return E_MEMORY;
    memcpy(env, environ, n * sizeof *env);
    env[n] = arena_printf(mem, VARIABLE "=%d,%d,%d,%d", handed, listening, again.blocked,
                          (int)save_asked);
    *out = env;
    return env[n] ? OK : E_MEMORY;
}

/* Comes back only if it could not be done, or a signal asks to stop. */
static rc start_again(arena *mem, int handed, int listening)
{
    char **env;
    block();
    if (cli_stop) return E_STOPPED;
    rc e = environment(mem, handed, listening, &env);
    if (!e && (fflush(stdout) || ferror(stdout)))
        e = err_fail(E_IO, "could not write to standard output");
    if (!e && listening >= 0) e = shared_keep(listening, true);
    return e ? e : become(again.argv, env);
}

/* ---- training ---- */

/* SIGUSR1 or the socket. */
static bool asked(void *ctx)
{
    bool by_signal = save_asked;
    if (by_signal) save_asked = 0;
    return cli_living_asked(ctx) || by_signal;
}

static rc take(arena *mem, int handed, train_hand **h, config **c, session_run *r)
{
    TRY(train_hand_open(handed, h));
    return session_take_over(*h, mem, c, r);
}

static void listen_on(const config *c, const char *run_dir)
{
    again.living = (cli_living){cli_living_open(run_dir, again.listening), -1};
    bool told = again.listening >= 0 || again.handed >= 0;
    again.listening = again.handed = -1;
    if (again.living.fd >= 0 || told || !config_bool(c, OPT_train_memory_only)) return;
    const char *why = cli_living_lacks();
    fprintf(stderr, "note    %s; to save this run: kill -USR1 %ld\n",
            why ? why : err_first(), (long)getpid());
}

rc cli_again_train(arena *mem, const config *c, session_run *r, train_result *out)
{
    train_ask ask = {asked, cli_living_told, &again.living};
    train_hand *h = NULL;
    config *taken = NULL;
    rc e = OK;
    *out = (train_result){.saved_step = -1, .handed = -1};
    catch_save();
    if (cli_again_waits()) e = take(mem, again.handed, &h, &taken, r);
    if (!e) {
        if (taken) c = taken;
        listen_on(c, r->run_dir);
        r->ask = &ask;
        r->may_restart = true;
        r->memory_dir = again.living.fd >= 0 ? cli_living_place(mem) : NULL;
        unblock();
        e = session_train(c, r, out);
    }
    config_free(taken);
    train_hand_close(h);
    r->taken = NULL;
    r->ask = NULL;
    if (e != E_RESTART && again.living.fd >= 0)
        cli_living_close(r->run_dir, again.living.fd);
    return e;
}

/* No next image: the run is taken back, only to be saved. */
static rc save_instead(arena *mem, rc why, session_run *r, train_result *out)
{
    train_hand *h = NULL;
    config *c = NULL;
    err_saved text;
    bool stopped = why == E_STOPPED;
    err_save(why, &text);
    cli_stop = 1;
    rc e = take(mem, out->handed, &h, &c, r);
    if (!e) e = session_train(c, r, out);
    config_free(c);
    train_hand_close(h);
    unblock();
    if (stopped || (e && e != E_STOPPED)) return e;
    why = err_restore(&text);
    if (out->saved_step >= 0)
        err_hint(why, "step %lld is saved; the same command goes on",
                 (long long)out->saved_step);
    return err_while(why, "restarting in memory at step %lld", (long long)out->step);
}

rc cli_again_start(arena *mem, session_run *r, train_result *out)
{
    rc e = start_again(mem, out->handed, again.living.fd);
    e = save_instead(mem, e, r, out);
    if (again.living.fd >= 0) cli_living_close(r->run_dir, again.living.fd);
    return e;
}
