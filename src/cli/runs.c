/* runs.c - `anneal runs [ls|show RUN]`: what past runs left in their folders. All
 * is read from events.jsonl; that a run goes on now is known by its lock. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/verbs.h"

typedef struct {
    const char *name;
    int64_t step, steps;
    double held_out, nats_per_byte;
    const char *state, *device;
} row;

static void take_event(arena *mem, const char *line, size_t n, row *r)
{
    json_t *o = json_loadb(line, n, 0, NULL), *v;
    const char *kind = json_string_value(json_object_get(o, "kind"));
    if (kind && !strcmp(kind, "done")) r->state = "done";
    else if (kind && !strcmp(kind, "failed")) r->state = "failed";
    else if (kind && strcmp(kind, "note")) r->state = "stopped";
    if ((v = json_object_get(o, "step"))) r->step = json_integer_value(v);
    if ((v = json_object_get(o, "steps"))) r->steps = json_integer_value(v);
    if ((v = json_object_get(o, "held_out"))) r->held_out = json_number_value(v);
    if ((v = json_object_get(o, "nats_per_byte")))
        r->nats_per_byte = json_number_value(v);
    if ((v = json_object_get(o, "device")) && json_string_value(v))
        r->device = arena_text(mem, json_string_value(v));
    json_decref(o);
}

/* Of the steps, which are nearly all lines, only the last is looked at. A line
 * without its end is not written yet. */
static void read_events(const char *text, arena *mem, row *r)
{
    for (const char *p = text, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
        const char *kind = strstr(p, "\"kind\":\"");
        bool step = kind && kind < nl && str_starts(kind + 8, "step\"");
        if (!step || !strchr(nl + 1, '\n')) take_event(mem, p, (size_t)(nl - p), r);
    }
}

static bool goes_on_now(arena *mem, const char *dir)
{
    file_lock_ lock;
    char *path = file_join(mem, dir, "lock");
    if (!path || !file_exists(path)) return false;
    rc e = file_lock(path, &lock);
    if (!e) file_unlock(&lock);
    return e == E_BUSY;
}

static rc read_row(arena *mem, const char *dir, row *r)
{
    char *text, *path = file_join(mem, dir, "events.jsonl");
    size_t n;
    *r = (row){.name = file_base(dir),
               .held_out = NAN,
               .nats_per_byte = NAN,
               .state = "empty",
               .device = ""};
    if (!path) return E_MEMORY;
    if (!file_exists(path)) {
        err_fail(E_IO, "no run at %s", dir);
        return err_hint(E_IO, "`anneal runs ls` lists them");
    }
    TRY(file_read(mem, path, 0, &text, &n));
    read_events(text, mem, r);
    if (goes_on_now(mem, dir)) r->state = "running";
    return OK;
}

static json_t *as_json(const row *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(r->name));
    json_object_set_new(o, "state", json_string(r->state));
    json_object_set_new(o, "step", json_integer(r->step));
    json_object_set_new(o, "steps", json_integer(r->steps));
    cli_real(o, "held_out", r->held_out);
    cli_real(o, "nats_per_byte", r->nats_per_byte);
    json_object_set_new(o, "device", json_string(r->device));
    return o;
}

static void print_head(void)
{
    printf("%-20s %-8s %15s %9s %10s  %s\n", "run", "state", "step", "held-out",
           "nats/byte", "device");
}

static void print_row(const row *r)
{
    char step[48], held[24] = "-", bytes[24] = "-";
    snprintf(step, sizeof step, "%lld/%lld", (long long)r->step, (long long)r->steps);
    if (isfinite(r->held_out)) snprintf(held, sizeof held, "%.4f", r->held_out);
    if (isfinite(r->nats_per_byte))
        snprintf(bytes, sizeof bytes, "%.4f", r->nats_per_byte);
    printf("%-20s %-8s %15s %9s %10s  %s\n", r->name, r->state, step, held, bytes,
           r->device);
}

static rc list(const args *a)
{
    const char *runs = args_text(a, "runs", "runs");
    char **names;
    size_t n = 0, shown = 0;
    json_t *all = args_has(a, "json") ? json_array() : NULL;
    if (file_is_dir(runs)) TRY(file_list(a->mem, runs, &names, &n));
    for (size_t i = 0; i < n; i++) {
        char *dir = file_join(a->mem, runs, names[i]);
        char *events = dir ? file_join(a->mem, dir, "events.jsonl") : NULL;
        row r;
        if (!events) return E_MEMORY;
        if (!file_exists(events)) continue;
        TRY(read_row(a->mem, dir, &r));
        if (!shown++ && !all) print_head();
        if (all) json_array_append_new(all, as_json(&r));
        else print_row(&r);
    }
    if (!all) return shown ? OK : puts("no runs yet") < 0 ? E_IO : OK;
    json_t *o = json_object();
    json_object_set_new(o, "runs", all);
    return cli_put_json(o);
}

static rc one(const args *a, const char *word)
{
    row r;
    char *recipe;
    size_t n;
    const char *dir = args_run(a, word);
    char *path = dir ? file_join(a->mem, dir, "recipe.conf") : NULL;
    if (!path) return E_MEMORY;
    TRY(read_row(a->mem, dir, &r));
    if (args_has(a, "json")) return cli_put_json(as_json(&r));
    print_head();
    print_row(&r);
    if (!file_exists(path)) return OK;
    TRY(file_read(a->mem, path, 0, &recipe, &n));
    printf("\n%s", recipe);
    return OK;
}

rc verb_runs(args *a)
{
    const char *what = a->n_word ? a->word[0] : "ls";
    if (!strcmp(what, "ls")) {
        TRY(args_words(a, 0, 1, ""));
        return list(a);
    }
    if (strcmp(what, "show"))
        return err_fail(E_USAGE, "wanted `runs ls` or `runs show RUN`, had '%s'", what);
    TRY(args_words(a, 2, 2, "the name of a run"));
    return one(a, a->word[1]);
}
