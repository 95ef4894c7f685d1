/* plot.c - a table of comma-separated values as a picture:
 *
 *   build/plot --title T --x X --y Y [--note N] [--logx] [--logy] <table.csv >out.svg
 *
 * The first line names the columns; the first column is x, each other a series. */
#include <stdio.h>
#include <string.h>

#include "watch/chart.h"

static int usage(const char *what)
{
    fprintf(stderr,
            "plot: error: %s\n  hint: plot [--title T] [--note N] [--x X] [--y Y] "
            "[--logx] [--logy] <table.csv >out.svg\n",
            what);
    return 2;
}

static bool all_of(FILE *in, str *out)
{
    char part[65536];
    for (size_t n; (n = fread(part, 1, sizeof part, in)) > 0;) str_addn(out, part, n);
    return !ferror(in) && !str_done(out);
}

int main(int n, char **word)
{
    chart_axes axes = {0};
    struct {
        const char *flag, **to;
    } texts[] = {{"--title", &axes.title},
                 {"--note", &axes.note},
                 {"--x", &axes.x},
                 {"--y", &axes.y}};
    for (int i = 1; i < n; i++) {
        size_t j = 0;
        if (!strcmp(word[i], "--logx")) axes.log_x = true;
        else if (!strcmp(word[i], "--logy")) axes.log_y = true;
        else {
            while (j < 4 && strcmp(word[i], texts[j].flag)) j++;
            if (j == 4 || i + 1 == n)
                return usage(j == 4 ? "no such flag" : "a flag wants a text");
            *texts[j].to = word[++i];
        }
    }
    str text = {0}, svg = {0};
    if (!all_of(stdin, &text) || chart_csv(&axes, str_text(&text), &svg)) {
        fprintf(stderr, "plot: error: %s\n", err_text());
        return 1;
    }
    bool written = fwrite(svg.p, 1, svg.n, stdout) == svg.n && !fflush(stdout);
    str_free(&text);
    str_free(&svg);
    return written ? 0 : 1;
}
