/* runs.c - `anneal runs [ls|show NAME]`: what past runs left in their folders. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/verbs.h"

typedef struct {
    const char *name;
    int64_t step;
    double held_out, nats_per_byte, steps;
    const char *device;
} row;

/* The newest of each figure in events.jsonl; a torn last line is not yet. */
static void read_events(const char *text, arena *mem, row *r)
{
    for (const char *p = text, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
        json_t *o = json_loadb(p, (size_t)(nl - p), 0, NULL), *v;
        if ((v = json_object_get(o, "step")) && json_is_integer(v))
            r->step = json_integer_value(v);
        if ((v = json_object_get(o, "held_out"))) r->held_out = json_number_value(v);
        if ((v = json_object_get(o, "nats_per_byte")))
            r->nats_per_byte = json_number_value(v);
        if ((v = json_object_get(o, "steps"))) r->steps = json_number_value(v);
        if ((v = json_object_get(o, "device")) && json_string_value(v))
            r->device = arena_text(mem, json_string_value(v));
        json_decref(o);
    }
}

static rc read_row(arena *mem, const char *runs, const char *name, row *r)
{
    char *text, *path = file_join(mem, file_join(mem, runs, name), "events.jsonl");
    size_t n;
    *r = (row){
        .name = name, .held_out = NAN, .nats_per_byte = NAN, .steps = NAN, .device = ""};
    if (!path) return E_MEMORY;
    if (!file_exists(path)) {
        err_fail(E_IO, "no run '%s' in %s", name, runs);
        return err_hint(E_IO, "`anneal runs ls` lists them");
    }
    TRY(file_read(mem, path, 0, &text, &n));
    read_events(text, mem, r);
    return OK;
}

static json_t *as_json(const row *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(r->name));
    json_object_set_new(o, "step", json_integer(r->step));
    cli_real(o, "steps", r->steps);
    cli_real(o, "held_out", r->held_out);
    cli_real(o, "nats_per_byte", r->nats_per_byte);
    json_object_set_new(o, "device", json_string(r->device));
    return o;
}

static void print_row(const row *r)
{
    char held[24] = "-";
    if (isfinite(r->held_out)) snprintf(held, sizeof held, "%.4f", r->held_out);
    printf("%-20s %8lld  %9s  %s\n", r->name, (long long)r->step, held, r->device);
}

static rc list(const args *a, const char *runs)
{
    char **names;
    size_t n, shown = 0;
    json_t *all = args_has(a, "json") ? json_array() : NULL;
    if (!file_is_dir(runs)) n = 0;
    else TRY(file_list(a->mem, runs, &names, &n));
    for (size_t i = 0; i < n; i++) {
        char *events = file_join(a->mem, file_join(a->mem, runs, names[i]),
                                 "events.jsonl");
        row r;
        if (!events || !file_exists(events)) continue;
        TRY(read_row(a->mem, runs, names[i], &r));
        if (all) json_array_append_new(all, as_json(&r));
        else {
            if (!shown++)
                printf("%-20s %8s  %9s  %s\n", "run", "step", "held-out", "device");
            print_row(&r);
        }
    }
    if (!all) return shown ? OK : puts("no runs yet") < 0 ? E_IO : OK;
    json_t *o = json_object();
    json_object_set_new(o, "runs", all);
    return cli_put_json(o);
}

static rc one(const args *a, const char *runs, const char *name)
{
    row r;
    char *recipe, *path = file_join(a->mem, file_join(a->mem, runs, name), "recipe.conf");
    size_t n;
    TRY(read_row(a->mem, runs, name, &r));
    if (args_has(a, "json")) return cli_put_json(as_json(&r));
    print_row(&r);
    if (!path || !file_exists(path)) return OK;
    TRY(file_read(a->mem, path, 0, &recipe, &n));
    printf("\n%s", recipe);
    return OK;
}

rc verb_runs(args *a)
{
    const char *runs = args_text(a, "runs", "runs"),
               *what = a->n_word ? a->word[0] : "ls";
    if (!strcmp(what, "ls")) return args_words(a, 0, 1, "") ? E_USAGE : list(a, runs);
    if (strcmp(what, "show"))
        return err_fail(E_USAGE, "wanted `runs ls` or `runs show NAME`, had '%s'", what);
    TRY(args_words(a, 2, 2, "the name of a run"));
    return one(a, runs, a->word[1]);
}
