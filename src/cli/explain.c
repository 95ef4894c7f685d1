/* explain.c - `anneal explain RECIPE`: each stage of what a recipe becomes, as
 * text. Needs no data: the vocabulary comes from the settings, and where a device
 * counts what its arithmetic drops, a step is made with random tokens. */
#include <stdio.h>
#include <string.h>

#include "api/session.h"
#include "base/file.h"
#include "cli/bench.h"

/* The vocabulary that the tokenizer will have, without the text. */
static rc guess_vocab(const config *c, model_config *m)
{
    data_options o;
    config_data(c, &o);
    if (m->vocab) return OK;
    if (o.byte) m->vocab = 257;
    else if (o.bpe_vocab) m->vocab = o.bpe_vocab;
    else {
        tokenizer *t;
        TRY(tokenizer_open(o.tokenizer_path, &t));
        m->vocab = tokenizer_vocab(t);
        tokenizer_free(t);
    }
    return OK;
}

static rc print_graph(const config *c, const model_config *m, model_form form)
{
    ir_graph *g;
    str text = {0};
    TRY(model_graph(m, form, (int)config_int(c, OPT_train_batch), m->seq, &g));
    rc e = ir_print(g, &text);
    if (!e) fputs(str_text(&text), stdout);
    str_free(&text);
    ir_free(g);
    return e;
}

/* All of a plan's programs, or the one that is wanted. */
static bool print_programs(const plan *p, const char *want)
{
    bool any = false;
    for (int i = 0; p && i < p->n_programs; i++) {
        const plan_program *q = &p->programs[i];
        if (want && strcmp(want, q->name)) continue;
        any = true;
        if (!want) printf("// %s: %d calls a step\n", q->name, q->calls);
        fwrite(q->mil, 1, q->mil_bytes, stdout);
    }
    return any;
}

static rc print_mil(const args *a, const plan *p)
{
    const char *want = args_text(a, "program", NULL);
    bool any = print_programs(p, want);
    if (print_programs(p->update, want) || any) return OK;
    err_fail(E_USAGE, "the plan has no program '%s'", want ? want : "");
    return err_hint(E_USAGE, "`anneal explain` without --program lists them");
}

static rc draw(const plan *p, const char *path)
{
    str svg = {0};
    rc e = cli_plan_svg(p, &svg);
    if (!e) e = file_replace(path, svg.p, svg.n);
    str_free(&svg);
    return e;
}

static rc say_plan(const args *a, const cli_trial *t)
{
    bool json = args_has(a, "json");
    str text = {0};
    rc e = json ? plan_json(t->plan, &text) : plan_print(t->plan, &text);
    if (!e && t->plan->caps.counts && !args_has(a, "forward"))
        e = json ? cli_add_counts(t, &text) : cli_print_counts(t, &text);
    if (!e) fputs(str_text(&text), stdout);
    if (!e && json) putchar('\n');
    str_free(&text);
    return e;
}

static rc look_at(const args *a, const cli_trial *t, const char *stage)
{
    if (args_has(a, "svg")) TRY(draw(t->plan, args_text(a, "svg", "")));
    if (args_has(a, "save") && args_has(a, "forward"))
        return err_fail(E_USAGE,
                        "--save runs a whole step, --forward plans a part of one");
    if (args_has(a, "save")) TRY(cli_dump_step(t, args_text(a, "save", "")));
    return !strcmp(stage, "mil") ? print_mil(a, t->plan) : say_plan(a, t);
}

static rc with_plan(const args *a, const config *c, const model_config *m,
                    const char *init, const char *stage)
{
    machine box;
    dev_caps caps;
    plan_options o;
    train_options train;
    ir_graph *g = NULL;
    plan *p = NULL;
    TRY(config_train(c, &train));
    TRY(machine_open(c, &box));
    config_plan(c, &o);
    if (args_has(a, "like")) {
        rc said = cli_like_explain(a, m, config_int(c, OPT_train_batch), box.dev);
        machine_close(&box);
        return said;
    }
    rc e = dev_caps_of(box.dev, &caps);
    model_form form = args_has(a, "forward") ? MODEL_LOSS : MODEL_GRAD;
    if (!e) e = model_graph(m, form, train.batch, m->seq, &g);
    if (!e) e = plan_build(g, &caps, &o, &p);
    cli_trial t = {p, &box, m, train.batch, init, train.seed, train.loss_scale};
    if (!e) e = look_at(a, &t, stage);
    plan_free(p);
    ir_free(g);
    machine_close(&box);
    return e;
}

static rc print_config(const args *a, const config *c)
{
    str text = {0};
    rc e = args_has(a, "json") ? config_json(c, &text) : config_print(c, &text);
    if (!e) fputs(str_text(&text), stdout);
    if (!e && args_has(a, "json")) putchar('\n');
    str_free(&text);
    return e;
}

static rc stage_of(args *a, config *c)
{
    static const char *const stages[] = {"config", "forward", "grad", "plan", "mil"};
    const char *word = a->word[0], *stage = args_text(a, "stage", "plan");
    const char *path;
    TRY(cli_recipe(a, word, &path));
    if (!path) {
        err_fail(E_USAGE, "no recipe '%s'", word);
        return err_hint(E_USAGE, "recipes are files such as recipes/text.conf");
    }
    TRY(config_read(c, path));
    TRY(args_settings(a, 1, c));
    model_config m;
    const char *init;
    TRY(session_model(c, a->mem, "runs/.", &init, &m));
    TRY(guess_vocab(c, &m));
    TRY(model_config_finish(&m));
    if (!strcmp(stage, "config")) return print_config(a, c);
    if (!strcmp(stage, "forward")) return print_graph(c, &m, MODEL_LOSS);
    if (!strcmp(stage, "grad")) return print_graph(c, &m, MODEL_GRAD);
    if (!strcmp(stage, "plan") || !strcmp(stage, "mil"))
        return with_plan(a, c, &m, init, stage);
    const char *near = err_nearest(stage, stages, 5);
    return err_fail(E_USAGE, "no stage '%s'%s%s%s", stage, near ? "; did you mean '" : "",
                    near ? near : "", near ? "'?" : "");
}

rc verb_explain(args *a)
{
    config *c;
    TRY(args_words(a, 1, -1, "a recipe"));
    TRY(config_new(&c));
    rc e = stage_of(a, c);
    config_free(c);
    return e;
}
