/* gen_docs.c - pages made from the tables: docs/config.md, docs/cli.md,
 * docs/rules.md, docs/ops.md, docs/time.md (time_page.h), man/anneal.1 and completions.
 * `gen_docs DIR` writes them under DIR; a check compares them with what the tree holds.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "anneal.h"
#include "base/file.h"
#include "cli/args.h"
#include "dev/code.h"
#include "time_page.h"

/* A '|' would end a cell of a Markdown table. */
static void cell(str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') str_addc(out, '\\');
        str_addc(out, *text);
    }
}

static void range(str *out, const opt_row *r)
{
    switch (r->kind) {
    case OPT_INT:
    case OPT_REAL:
        str_addf(out, "%.15g to %.15g", r->min, r->max);
        break;
    case OPT_BOOL:
        str_add(out, "true, false");
        break;
    case OPT_TEXT:
        str_add(out, "text");
        break;
    case OPT_CHOICE:
        cell(out, r->choices);
        break;
    }
}

static void config_page(str *out)
{
    const char *section = "";
    str_add(
        out,
        "# Settings\n\n"
        "Recipes are lines of `section.key = value`; `#` starts a comment. The command\n"
        "line takes the same as `section.key=value` and wins over the recipe, which "
        "wins\n"
        "over the defaults. Made from `src/api/opts.def`.\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        const opt_row *r = opt_at((opt_id)i);
        if (strcmp(section, r->section)) {
            section = r->section;
            str_addf(out,
                     "\n## %s: %s\n\n| setting | default | range | meaning "
                     "|\n|---|---|---|---|\n",
                     section, opt_section_title(section));
        }
        str_addf(out, "| `%s` | %s | ", r->name, *r->def ? r->def : "none");
        range(out, r);
        str_add(out, " | ");
        cell(out, r->help);
        str_add(out, " |\n");
    }
}

static void flags_of(str *out, const cli_verb *v)
{
    bool any = false;
    for (size_t i = 0; cli_flag_at(i); i++) {
        const cli_flag *f = cli_flag_at(i);
        if (strcmp(f->verb, v->name)) continue;
        if (!any) str_add(out, "\n| flag | meaning |\n|---|---|\n");
        any = true;
        str_add(out, "| `");
        if (f->letter) str_addf(out, "-%c`, `", f->letter);
        str_addf(out, "--%s%s%s` | ", f->name, f->arg ? " " : "", f->arg ? f->arg : "");
        cell(out, f->help);
        str_add(out, " |\n");
    }
}

static const char *kind_of(char letter)
{
    return letter == 'n'   ? "number"
           : letter == 'i' ? "whole number"
           : letter == 's' ? "text"
           : letter == 'b' ? "truth"
           : letter == 'a' ? "list"
                           : "object";
}

/* "JSON: `tokens` (whole number), ..." */
static void keys_of(str *out, const cli_verb *v)
{
    const cli_keys_row *r;
    for (size_t i = 0; (r = cli_keys_at(i)); i++) {
        char key[64], type;
        int used, n = 0;
        if (strcmp(r->verb, v->name)) continue;
        if (*r->of) str_addf(out, "\nJSON, `%s`:", r->of);
        else str_add(out, "\nJSON:");
        for (const char *p = r->keys; sscanf(p, " %63[^:]:%c%n", key, &type, &used) == 2;
             p += used)
            str_addf(out, "%s `%s` (%s)", n++ ? "," : "", key, kind_of(type));
        str_add(out, ".\n");
    }
}

static void cli_page(str *out)
{
    str_add(out,
            "# The command line\n\n"
            "stdout is the product, stderr is talk. `--json` gives one object on stdout: "
            "times\n"
            "in ms, sizes in bytes, losses in nats; a number that is not finite or not "
            "known\nis left out. Made from `src/cli/verbs.def`.\n\n"
            "| exit code | meaning |\n|---|---|\n");
    str_add(out, "| 0 | good |\n| 1 | failed |\n| 2 | wrong use or bad setting |\n"
                 "| 3 | no such device, or it refused |\n| 4 | the numbers went bad |\n"
                 "| 130 | stopped by the user; the state is saved |\n");
    for (size_t i = 0; cli_verb_at(i); i++) {
        const cli_verb *v = cli_verb_at(i);
        str_addf(out, "\n## anneal %s\n\n    anneal %s %s\n\n%c%s.\n", v->name, v->name,
                 v->usage,
                 v->about[0] - ('a' <= v->about[0] && v->about[0] <= 'z' ? 32 : 0),
                 v->about + 1);
        flags_of(out, v);
        keys_of(out, v);
    }
}

static void rules_page(str *out)
{
    str_add(
        out,
        "# Hardware rules\n\n"
        "What the engine gets wrong or refuses, by public sources. A disputed rule is\n"
        "stated by some sources and contradicted by others; the sources say which. Made\n"
        "from `src/dev/rules.def`.\n\n"
        "| rule | kind | kept by | families | what holds | broken | source |\n"
        "|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < DEV_RULES; i++) {
        const dev_rule_row *r = dev_rule_at((dev_rule)i);
        str_addf(out, "| `%s`%s | %s | %s | %s | ", r->id,
                 r->disputed ? " (disputed)" : "", r->kind, r->guard, r->where);
        cell(out, r->text);
        str_add(out, " | ");
        cell(out, r->symptom);
        str_add(out, " | ");
        cell(out, r->source);
        str_add(out, " |\n");
    }
}

/* Does any family run it, and how well do we? "not", or the word for its match. */
static bool runs_somewhere(const char *op)
{
    return dev_op_supported(op, (dev_family)(DEV_FAMILIES - 1), NULL);
}

static const char *emulated(const char *op)
{
    int k = dev_op_find(op);
    if (k < 0) return "not";
    return dev_op_match((dev_op_kind)k) == DEV_SAME ? "exactly" : "approximately";
}

/* A power of two as one. */
static void amount(str *out, double x)
{
    int e;
    if (frexp(x, &e) == 0.5 && x < 0.1) str_addf(out, "2^%d", e - 1);
    else str_addf(out, "%g", x);
}

static void bound_of(str *out, const char *op)
{
    int k = dev_op_find(op);
    if (k < 0) return;
    dev_bound b = dev_op_bound((dev_op_kind)k);
    static const char *const of[] = {[DEV_BITS] = "0",
                                     [DEV_TERMS] = " k",
                                     [DEV_SUMS] = " k u(S)",
                                     [DEV_PRODUCTS] = " k + 2^-24 k S",
                                     [DEV_LARGEST] = " of the largest + 2^-15 k"};
    if (b.number != 0) amount(out, b.number);
    if (of[b.kind]) str_add(out, of[b.kind]);
    if (b.units != 0) str_addf(out, "%s%g u", b.number != 0 ? " + " : "", b.units);
    if (b.least > 0) {
        str_add(out, " from ");
        amount(out, b.least);
    }
}

static void limits_of(str *out, const char *op)
{
    const dev_limit *l;
    for (size_t i = 0; (l = dev_limit_at(i)); i++) {
        if (strcmp(l->op, op)) continue;
        if ((int)l->last + 1 < DEV_FAMILIES)
            str_addf(out, "up to %s ", dev_family_name(l->last));
        cell(out, l->text);
        str_addf(out, " (%s)", l->source);
    }
}

static void op_row(str *out, size_t i)
{
    const char *op = dev_support_op(i), *why = NULL;
    str_addf(out, "| `%s` |", op);
    for (int f = 0; f < DEV_FAMILIES; f++) {
        const char *no;
        bool yes = dev_op_supported(op, (dev_family)f, &no);
        str_add(out, yes ? " yes |" : " no |");
        if (!yes) why = no;
    }
    str_addf(out, " %s | ", emulated(op));
    bound_of(out, op);
    str_add(out, " | ");
    if (why) cell(out, why);
    limits_of(out, op);
    str_add(out, " | ");
    cell(out, dev_support_source(i));
    str_add(out, " |\n");
}

static void bounds_said(str *out)
{
    str_add(
        out,
        "`fast` is within so much of `exact`, for one operation on the same fp16\n"
        "operands. 0: the numbers are equal. u is the distance of fp16 numbers at the\n"
        "result, 2^-24 at least; k terms are added up, and S is the sum of their\n"
        "magnitudes (of a mean, their mean). \"from x\": of operands, for a quotient of\n"
        "divisors, that are no nearer to 0. \"of the largest\": of the values, where no\n"
        "score is over 16. A bound does not speak of operands that are not finite or\n"
        "-0, which `exact` reads as 0; of results that are no number; of sums that can\n"
        "leave their range, 65504, of products 32752; of negative terms of a\n"
        "`reduce_log_sum`. By Winograd's form (3 x 3 on M5 and M6) each term of a\n"
        "convolution is off by 2^-8 of the largest product more. `emu_bounds_slow_test` "
        "runs\n"
        "every operation, on every instruction set there is, and asks too that a\n"
        "twentieth of each bound is reached.\n\n");
}

static void ops_page(str *out)
{
    size_t n = dev_support_count(), run = 0, exact = 0, near = 0;
    for (size_t i = 0; i < n; i++) {
        run += runs_somewhere(dev_support_op(i));
        exact += !strcmp(emulated(dev_support_op(i)), "exactly");
        near += !strcmp(emulated(dev_support_op(i)), "approximately");
    }
    str_addf(
        out,
        "# MIL operations\n\n"
        "%zu operations are in the tables; %zu run on some family of engines. The "
        "software\n"
        "engine runs %zu, in each of its arithmetics ([devices.md](devices.md)).\n\n"
        "| in `exact` | operations | |\n|---|---|---|\n"
        "| exactly | %zu | the bits follow from published measurements, or from "
        "what the operation is |\n"
        "| approximately | %zu | computed wide and rounded once, or as is most likely: "
        "the chip's tables or order of sums are not known |\n"
        "| not | %zu | refused by name when a program is loaded |\n\n",
        n, run, exact + near, exact, near, n - exact - near);
    str_add(out,
            "Arguments and defaults are those of Core ML's MIL. An operation that a "
            "chip's family does not\n"
            "run is refused with the reason, whatever the arithmetic. Made from "
            "`src/dev/support.def`,\n`src/dev/ops.def` and `src/dev/limits.def`.\n\n");
    bounds_said(out);
    str_add(out, "| operation |");
    for (int f = 0; f < DEV_FAMILIES; f++)
        str_addf(out, " %s |", dev_family_name((dev_family)f));
    str_add(out, " emulated | `fast` is within | limits | source |\n|---|");
    for (int f = 0; f < DEV_FAMILIES; f++) str_add(out, "---|");
    str_add(out, "---|---|---|---|\n");
    for (size_t i = 0; i < n; i++) op_row(out, i);
}

/* roff: a '-' is a minus so that flags can be searched and copied; a leading
 * dot would be a request. */
static void roff(str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '-' || *text == '\\') str_addc(out, '\\');
        str_addc(out, *text);
    }
}

static void man_page(str *out)
{
    str_addf(out, ".TH ANNEAL 1 \"\" \"anneal %s\" \"User Commands\"\n", ANNEAL_VERSION);
    str_add(out, ".SH NAME\nanneal \\- train transformers on neural engines\n"
                 ".SH SYNOPSIS\n.B anneal\n.I COMMAND\n[...]\n.SH COMMANDS\n");
    for (size_t i = 0; cli_verb_at(i); i++) {
        const cli_verb *v = cli_verb_at(i);
        str_add(out, ".SS anneal ");
        roff(out, v->name);
        str_addc(out, ' ');
        roff(out, v->usage);
        str_addc(out, '\n');
        roff(out, v->about);
        str_add(out, ".\n");
        for (size_t j = 0; cli_flag_at(j); j++) {
            const cli_flag *f = cli_flag_at(j);
            if (strcmp(f->verb, v->name)) continue;
            str_add(out, ".TP\n.B ");
            if (f->letter) str_addf(out, "\\-%c, ", f->letter);
            str_add(out, "\\-\\-");
            roff(out, f->name);
            if (f->arg) str_addf(out, " \\fI%s\\fR", f->arg);
            str_addc(out, '\n');
            roff(out, f->help);
            str_addc(out, '\n');
        }
    }
    str_add(out, ".SH SETTINGS\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        const opt_row *r = opt_at((opt_id)i);
        str_addf(out, ".TP\n.B %s\n", r->name);
        roff(out, r->help);
        str_add(out, *r->def ? " (" : "");
        roff(out, r->def);
        str_add(out, *r->def ? ")\n" : "\n");
    }
    str_add(out, ".SH EXIT STATUS\n0 good, 1 failed, 2 wrong use or bad setting, 3 no "
                 "such device or "
                 "it refused, 4 the numbers went bad, 130 stopped by the user with the "
                 "state saved.\n");
}

static void verb_words(str *out)
{
    for (size_t i = 0; cli_verb_at(i); i++)
        str_addf(out, "%s%s", i ? " " : "", cli_verb_at(i)->name);
}

static void bash_completion(str *out)
{
    str_add(out, "_anneal() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
                 "    if [ \"$COMP_CWORD\" = 1 ]; then words='help ");
    verb_words(out);
    str_add(out, "'\n    else case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; cli_verb_at(i); i++) {
        str_addf(out, "        %s) words='", cli_verb_at(i)->name);
        for (size_t j = 0; cli_flag_at(j); j++)
            if (!strcmp(cli_flag_at(j)->verb, cli_verb_at(i)->name))
                str_addf(out, "--%s ", cli_flag_at(j)->name);
        if (!strcmp(cli_verb_at(i)->name, "train") ||
            !strcmp(cli_verb_at(i)->name, "explain"))
            for (int k = 0; k < OPT_COUNT; k++)
                str_addf(out, "%s= ", opt_at((opt_id)k)->name);
        str_add(out, "';;\n");
    }
    str_add(out, "    esac; fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\") "
                 "$(compgen -f -- \"$cur\"))\n"
                 "}\ncomplete -F _anneal anneal\n");
}

/* Inside single quotes of a shell. */
static void quoted(str *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\'') str_add(out, "'\\''");
        else str_addc(out, *text);
}

static void zsh_completion(str *out)
{
    str_add(out, "#compdef anneal\nlocal -a verbs\nverbs=(\n");
    for (size_t i = 0; cli_verb_at(i); i++) {
        str_addf(out, "  '%s:", cli_verb_at(i)->name);
        quoted(out, cli_verb_at(i)->about);
        str_add(out, "'\n");
    }
    str_add(out, ")\nif (( CURRENT == 2 )); then _describe command verbs; return; fi\n"
                 "case $words[2] in\n");
    for (size_t i = 0; cli_verb_at(i); i++) {
        str_addf(out, "  %s) _arguments", cli_verb_at(i)->name);
        for (size_t j = 0; cli_flag_at(j); j++) {
            const cli_flag *f = cli_flag_at(j);
            if (strcmp(f->verb, cli_verb_at(i)->name)) continue;
            str_addf(out, " '--%s%s[", f->name, f->arg ? "=" : "");
            quoted(out, f->help);
            str_addf(out, "]%s'", f->arg ? ":value:_files" : "");
        }
        str_add(out, " '*:file:_files';;\n");
    }
    str_add(out, "esac\n");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*make)(str *);
    } pages[] = {
        {"docs/config.md", config_page},
        {"docs/cli.md", cli_page},
        {"docs/rules.md", rules_page},
        {"docs/ops.md", ops_page},
        {"docs/time.md", time_page},
        {"man/anneal.1", man_page},
        {"completions/anneal.bash", bash_completion},
        {"completions/_anneal", zsh_completion},
    };
    if (argc != 2) return fputs("usage: gen_docs DIR\n", stderr), 2;
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        char path[4096];
        str text = {0};
        snprintf(path, sizeof path, "%s/%s", argv[1], pages[i].path);
        pages[i].make(&text);
        rc e = str_done(&text);
        if (!e) e = file_replace(path, text.p, text.n);
        str_free(&text);
        if (e) return fprintf(stderr, "gen_docs: %s\n", err_text()), 1;
    }
    return 0;
}
