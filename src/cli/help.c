/* help.c - help grouped by need, made from the tables. */
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"

static void list_verbs(void)
{
    const char *group = "";
    puts("anneal - train transformers on neural engines\n\nusage: anneal COMMAND [...]");
    for (size_t i = 0; cli_verb_at(i); i++) {
        const cli_verb *v = cli_verb_at(i);
        if (strcmp(group, v->group)) printf("\n%s\n", group = v->group);
        printf("  %-11s %s\n", v->name, v->about);
    }
    puts("\nmore\n"
         "  anneal help COMMAND    flags of one command\n"
         "  anneal help settings   every setting of recipes and key=value\n"
         "  anneal --version");
}

static void one_verb(const cli_verb *v)
{
    printf("anneal %s - %s\n\nusage: anneal %s %s\n", v->name, v->about, v->name,
           v->usage);
    bool any = false;
    for (size_t i = 0; cli_flag_at(i); i++) {
        const cli_flag *f = cli_flag_at(i);
        char left[48], letter[8] = "    ";
        if (strcmp(f->verb, v->name)) continue;
        if (f->letter) snprintf(letter, sizeof letter, "-%c, ", f->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, f->name, f->arg ? " " : "",
                 f->arg ? f->arg : "");
        printf("%s  %-24s %s\n", any ? "" : "\n", left, f->help);
        any = true;
    }
}

static void list_settings(void)
{
    const char *section = "";
    for (int i = 0; i < OPT_COUNT; i++) {
        const opt_row *r = opt_at((opt_id)i);
        if (strcmp(section, r->section)) {
            section = r->section;
            printf("%s%s: %s\n", i ? "\n" : "", section, opt_section_title(section));
        }
        printf("  %-24s %-10s %s%s%s%s\n", r->name, *r->def ? r->def : "-", r->help,
               *r->choices ? " (" : "", r->choices, *r->choices ? ")" : "");
    }
}

rc cli_help(const char *topic)
{
    const cli_verb *v = topic ? cli_find(topic) : NULL;
    if (v) one_verb(v);
    else if (!topic) list_verbs();
    else if (!strcmp(topic, "settings")) list_settings();
    else return cli_unknown_verb(topic);
    return OK;
}
