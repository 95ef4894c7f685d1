/* told.c - what a test asks of the fake in words, so that a command it spawns
 * can be asked too: the environment variable FAKE_ANE is read when the library
 * is loaded. Words are separated by semicolons:
 *
 *   absent                  no engine, as on a virtual machine
 *   hide=NAME               a class or selector that is not there
 *   recode=SELECTOR,TYPES   a selector with another encoding
 *   wide                    fake_ane_wide
 *   symbols=N               fake_ane_symbols
 *   keys=N                  fake_ane_keys
 *   system=N                fake_ane_system
 *   daemon=FOLDER           fake_ane_daemon
 *   limits=COMPILES,PROGRAMS
 *   engine=URI              fake_ane_engine
 *   meters=SET              fake_ane_meters
 *   sysctl=NAME,TEXT        fake_ane_sysctl
 *   fail=N                  the N-th call fails, once
 *   refuse=CALL,ROW[,FROM[,TO]]
 *                           CALL is compile, load, evaluate or unload; it is
 *                           refused with that row of refusals.def, from the
 *                           FROM-th such call on (1, all, unless given) to the
 *                           TO-th
 *   pause=CALL,MS           each such call takes that much longer
 *   kill=CALL,N             the process is killed in the N-th such call
 *   crash=TEXT              a program whose MIL holds TEXT ends the process with
 *                           a bad address when it is compiled
 *   hang=TEXT               such a program is compiled for ten minutes
 *   wrong=N                 outputs are zeros from the N-th evaluation on
 *   tell=FILE               what was counted, written when the process exits
 *
 * A word that is not known ends the process: a test must not pass because its
 * wish was not understood. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "fake.h"
#include "state.h"

static const char *const call_names[FAKE_CALLS] = {"compile", "load", "evaluate",
                                                   "unload"};
static const fake_refusal usual[FAKE_CALLS] = {REFUSE_told_compile, REFUSE_told_load,
                                               REFUSE_told_evaluate, REFUSE_told_unload};
static struct {
    atomic_int row; /* REFUSALS: none */
    atomic_ulong made, from, to, kill_at, pause_ms;
} told[FAKE_CALLS];

static _Atomic(const char *) crash_text, hang_text;
static atomic_ulong wrong_from;

static char words[4096]; /* the fake keeps pointers into it */
static char tell_path[1024];

/* ---- the words ---- */
static void not_understood(const char *word)
{
    fprintf(stderr, "fake: FAKE_ANE: '%s' is not understood\n", word);
    abort();
}

/* Cut `text` at the next comma; NULL if there is none. */
static char *rest_of(char *text)
{
    char *comma = text ? strchr(text, ',') : NULL;
    if (!comma) return NULL;
    *comma = 0;
    return comma + 1;
}

static unsigned long number(const char *text, const char *word)
{
    char *end;
    unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || end == text || *end) not_understood(word);
    return n;
}

static fake_call call_of(const char *name)
{
    for (int i = 0; i < FAKE_CALLS; i++)
        if (!strcmp(call_names[i], name)) return (fake_call)i;
    not_understood(name);
    return FAKE_CALLS;
}

static int row_of(const char *name)
{
    fake_ane_refusal r;
    for (size_t i = 0; name && fake_ane_refusal_at(i, &r); i++)
        if (!strcmp(r.name, name)) return (int)i;
    not_understood(name ? name : "refuse");
    return REFUSALS;
}

static void take_refuse(char *value)
{
    char *row = rest_of(value), *from = rest_of(row), *to = rest_of(from);
    fake_call c = call_of(value);
    atomic_store(&told[c].from, from ? number(from, "refuse") : 1);
    atomic_store(&told[c].to, to ? number(to, "refuse") : ULONG_MAX);
    atomic_store(&told[c].row, row_of(row));
}

static void take_word(char *word)
{
    char *value = strchr(word, '=');
    if (value) *value++ = 0;
    bool whole = !strcmp(word, "refuse") || !strcmp(word, "engine") ||
                 !strcmp(word, "crash") || !strcmp(word, "hang");
    char *rest = whole ? NULL : rest_of(value);
    if (!strcmp(word, "absent") && !value) fake_ane_absent(1);
    else if (!strcmp(word, "wide") && !value) fake_ane_wide(1);
    else if (!value) not_understood(word);
    else if (!strcmp(word, "hide")) fake_ane_hide(value);
    else if (!strcmp(word, "recode") && rest) fake_ane_recode(value, rest);
    else if (!strcmp(word, "symbols")) fake_ane_symbols((int)number(value, word));
    else if (!strcmp(word, "keys")) fake_ane_keys((int)number(value, word));
    else if (!strcmp(word, "system")) fake_ane_system((int)number(value, word));
    else if (!strcmp(word, "daemon")) fake_ane_daemon(value);
    else if (!strcmp(word, "limits"))
        fake_ane_limits((int)number(value, word), (int)number(rest, word));
    else if (!strcmp(word, "engine")) fake_ane_engine(value);
    else if (!strcmp(word, "meters")) fake_ane_meters(value);
    else if (!strcmp(word, "sysctl") && rest) fake_ane_sysctl(value, rest);
    else if (!strcmp(word, "fail")) fake_ane_fail_at(number(value, word));
    else if (!strcmp(word, "refuse")) take_refuse(value);
    else if (!strcmp(word, "pause"))
        atomic_store(&told[call_of(value)].pause_ms, number(rest, word));
    else if (!strcmp(word, "kill"))
        atomic_store(&told[call_of(value)].kill_at, number(rest, word));
    else if (!strcmp(word, "crash")) atomic_store(&crash_text, value);
    else if (!strcmp(word, "hang")) atomic_store(&hang_text, value);
    else if (!strcmp(word, "wrong")) atomic_store(&wrong_from, number(value, word));
    else if (!strcmp(word, "tell")) snprintf(tell_path, sizeof tell_path, "%s", value);
    else not_understood(word);
}

void fake_told_nothing(void)
{
    *tell_path = 0;
    atomic_store(&crash_text, NULL);
    atomic_store(&hang_text, NULL);
    atomic_store(&wrong_from, 0);
    for (int i = 0; i < FAKE_CALLS; i++) {
        atomic_store(&told[i].row, REFUSALS);
        atomic_store(&told[i].made, 0);
        atomic_store(&told[i].from, 0);
        atomic_store(&told[i].to, 0);
        atomic_store(&told[i].kill_at, 0);
        atomic_store(&told[i].pause_ms, 0);
    }
}

FAKE_EXPORT void fake_ane_tell(const char *text)
{
    fake_told_nothing();
    if (snprintf(words, sizeof words, "%s", text) >= (int)sizeof words)
        not_understood(text);
    for (char *word = words, *next; word; word = next) {
        next = strchr(word, ';');
        if (next) *next++ = 0;
        if (*word) take_word(word);
    }
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("FAKE_ANE");
    fake_ane_tell(text ? text : "");
}

__attribute__((destructor)) static void tell(void)
{
    FILE *f = *tell_path ? fopen(tell_path, "w") : NULL;
    if (!f) return;
    fprintf(f,
            "objects %lld\nloaded %d\ncompiles %d\nevaluations %llu\ncalls %llu\n"
            "recalled %llu\n",
            (long long)fake_ane_live_objects(), fake_ane_loaded(), fake_ane_compiles(),
            (unsigned long long)fake_ane_evaluations(),
            (unsigned long long)fake_ane_calls(),
            (unsigned long long)fake_ane_recalled());
    fprintf(f, "misuses %llu %s\n", (unsigned long long)fake_ane_misuses(),
            fake_ane_last_misuse());
    fclose(f);
}

/* ---- the calls ---- */
bool fake_told(fake_call c, id *error)
{
    unsigned long n = atomic_fetch_add(&told[c].made, 1) + 1;
    unsigned long ms = atomic_load(&told[c].pause_ms);
    int row = atomic_load(&told[c].row);
    if (n == atomic_load(&told[c].kill_at)) raise(SIGKILL);
    if (ms)
        nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000},
                  NULL);
    if (row != REFUSALS && n >= atomic_load(&told[c].from) &&
        n <= atomic_load(&told[c].to)) {
        fake_refuse((fake_refusal)row, error);
        return true;
    }
    if (!fake_fails()) return false;
    fake_refuse(usual[c], error);
    return true;
}

void fake_told_program(const char *mil)
{
    const char *crash = atomic_load(&crash_text), *hang = atomic_load(&hang_text);
    if (crash && strstr(mil, crash)) raise(SIGSEGV);
    if (hang && strstr(mil, hang)) nanosleep(&(struct timespec){600, 0}, NULL);
}

bool fake_told_wrong(void)
{
    unsigned long from = atomic_load(&wrong_from);
    return from && atomic_load(&told[FAKE_EVALUATE].made) >= from;
}
