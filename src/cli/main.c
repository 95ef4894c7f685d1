/* main.c - the command: find the verb, run it, print what went wrong.
 *
 * stdout is the product, stderr is talk. The exit code comes from the table of
 * errors: 0 good, 1 failed, 2 wrong use, 3 device, 4 numbers, 130 stopped. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "anneal.h"
#include "cli/verbs.h"

static int complain(rc e)
{
    if (e == OK) return 0;
    if (e == E_STOPPED) return fprintf(stderr, "anneal: %s\n", err_text()), err_exit(e);
    fprintf(stderr, "anneal: error: %s\n", err_text());
    return err_exit(e);
}

static rc run_verb(const cli_verb *v, int argc, char **argv)
{
    args a;
    arena *mem = arena_new();
    if (!mem) return E_MEMORY;
    rc e = args_parse(v, argc, argv, mem, &a);
    if (!e) e = v->run(&a);
    if (!e && (fflush(stdout) || ferror(stdout)))
        e = err_fail(E_IO, "could not write to standard output");
    arena_free(mem);
    return e;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "help";
    cli_again_begin(argv);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then an error of write */
    if (!strcmp(word, "--version") || !strcmp(word, "version"))
        return puts("anneal " ANNEAL_VERSION) < 0;
    if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h")) {
        rc e = cli_help(argc > 2 ? argv[2] : NULL);
        return argc > 1 || e ? complain(e) : err_exit(E_USAGE);
    }
    const cli_verb *v = cli_find(word);
    if (!v) return complain(cli_unknown_verb(word));
    for (int i = 2; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return complain(cli_help(word));
    return complain(run_verb(v, argc - 2, argv + 2));
}
