/* auto.c - what `auto` asks of the command around the library.
 *
 * The chip of this machine is taken only after it has proved itself: three
 * small programs against the software engine (dev/selfcheck.h), in a child,
 * once for each chip, build of the system and version of anneal. What came of
 * it is remembered, good or bad; that a chip could not be opened is not, since
 * it may be busy, and is asked again next time. */
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"
#include "dev/known.h"

static bool quiet(const args *a)
{
    return !strcmp(args_text(a, "show", ""), "none");
}

/* A failure of numbers, a crash or a hang is the chip's answer. */
static rc remember(const cli_child *ch, const char *state, const dev_machine *m,
                   const args *a)
{
    dev_sight s;
    bool spoiled;
    char why[DEV_PROBE_TEXT];
    if (!ch->opened) {
        if (!quiet(a))
            fprintf(stderr, "note    the engine was not tried: %s\n",
                    cli_child_why(ch, why, sizeof why));
        return OK;
    }
    if (!cli_sight_read(ch->said, &s, &spoiled))
        return dev_self_write(state, m, false, cli_child_why(ch, why, sizeof why));
    if (s.code == E_BUDGET) return OK; /* no free slots: not now */
    return dev_self_write(state, m, s.seen == DEV_SEEN_RIGHT, s.detail);
}

static rc before_auto(const config *c, const char *chip, const char *state, void *ctx)
{
    const args *a = ctx;
    dev_machine m;
    dev_self_known self;
    cli_child ch;
    rc e = dev_machine_of(chip, &m);
    if (!e) e = dev_self_read(state, &m, &self);
    if (e == E_DEVICE) return err_clear(), OK; /* nothing to be checked here */
    if (e || self.there) return e;
    if (!quiet(a))
        fputs("note    trying this machine's engine, once: a few seconds\n", stderr);
    e = cli_ask_child(c, chip, "self", &ch);
    if (!e) e = remember(&ch, state, &m, a);
    cli_child_free(&ch);
    if (!e || e == E_MEMORY) return e;
    /* a folder that cannot be written is no reason not to train */
    if (!quiet(a)) fprintf(stderr, "note    %s\n", err_first());
    err_clear();
    return OK;
}

/* Where there can be no such chip nothing was decided, and nothing is said. */
static void after_auto(const char *chip, const char *uri, const char *why, void *ctx)
{
    dev_machine m;
    bool possible = dev_machine_of(chip, &m) == OK;
    if (!possible) err_clear();
    if (possible && !quiet(ctx)) fprintf(stderr, "device  %s: %s\n", uri, why);
}

const machine_host *cli_host(const args *a)
{
    machine_host *h = arena_take(a->mem, sizeof *h);
    if (h) *h = (machine_host){before_auto, after_auto, (void *)(uintptr_t)a};
    return h;
}
