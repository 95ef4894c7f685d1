/* known.c - reports and self-checks on disk; known.h says what they are.
 *
 * report.json has, beside the head, "route" and "rules": a list of objects with
 * "name" (the rule's), "holds" (true, false, or null: not asked) and for limits
 * "value". All else in it is for people. selfcheck.json has "passed" and
 * "detail". */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/str.h"
#include "dev/known.h"

enum { FILE_LIMIT = 8 << 20 };

/* ---- writing ---- */
json_t *dev_known_head(const dev_machine *m)
{
    char date[32] = "";
    time_t now = time(NULL);
    struct tm t;
    if (gmtime_r(&now, &t)) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &t);
    return json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s}", "format", DEV_KNOWN_FORMAT,
                     "anneal", DEV_VERSION, "date", date, "chip", m->chip, "os", m->os,
                     "build", m->build, "lib", m->lib);
}

rc dev_known_write(const char *state, const char *name, json_t *o, arena *mem,
                   const char **path)
{
    char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!text) return err_fail(E_MEMORY, "out of memory while writing %s", name);
    char *at = file_join(mem, state, name);
    char *dir = at ? arena_text(mem, at) : NULL;
    rc r = dir ? OK : E_MEMORY;
    if (r == OK) {
        *strrchr(dir, '/') = 0;
        r = file_make_dirs(dir);
    }
    if (r == OK) r = file_replace(at, text, strlen(text));
    if (r == OK && path) *path = at;
    free(text);
    return r;
}

/* ---- reading ---- */
static const char *text_of(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t ? t : "";
}

/* Is the file of this machine? *why, unless NULL on return, says why not. */
static bool is_ours(const json_t *o, const dev_machine *m, str *why)
{
    const struct {
        const char *key, *have, *what;
    } rows[] = {{"anneal", DEV_VERSION, "another version of anneal"},
                {"lib", m->lib, "another library"},
                {"chip", m->chip, "another chip"},
                {"build", m->build, "another build of the system"}};
    json_int_t format = json_integer_value(json_object_get(o, "format"));
    if (format != DEV_KNOWN_FORMAT) {
        str_addf(why, "is of format %lld, this is %d", (long long)format,
                 DEV_KNOWN_FORMAT);
        return false;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *had = text_of(o, rows[i].key);
        if (!strcmp(had, rows[i].have)) continue;
        str_addf(why, "is of %s (%.60s, this is %.60s)", rows[i].what,
                 *had ? had : "unknown", *rows[i].have ? rows[i].have : "unknown");
        return false;
    }
    /* On the system's own frameworks an unknown build could be any. */
    if (*m->lib || (*m->chip && *m->build)) return true;
    str_add(why, "is of no use: the system does not tell its chip and build");
    return false;
}

/* The object, if it is there and of this machine; else `why` says what is
 * wrong with it, or stays empty if there is none. */
static rc read_ours(const char *state, const char *name, const dev_machine *m,
                    json_t **out, str *why)
{
    char *text;
    size_t n;
    *out = NULL;
    if (!state) return OK;
    arena *mem = arena_new();
    char *path = mem ? file_join(mem, state, name) : NULL;
    rc r = path ? OK : E_MEMORY;
    if (r == OK && file_exists(path)) {
        r = file_read(mem, path, FILE_LIMIT, &text, &n);
        if (r == OK) *out = json_loadb(text, n, 0, NULL);
        if (r == OK && !json_is_object(*out)) str_add(why, "is damaged");
        else if (r == OK && is_ours(*out, m, why)) r = OK;
        else if (r != OK && r != E_MEMORY) str_add(why, "cannot be read");
        if (r != E_MEMORY) r = OK;
        if (why->n) {
            json_decref(*out);
            *out = NULL;
            err_clear();
        }
    }
    arena_free(mem);
    return r == OK ? str_done(why) : r;
}

static void take_rule(const json_t *row, dev_report *out)
{
    int r = dev_rule_find(text_of(row, "name"));
    const json_t *holds = json_object_get(row, "holds");
    const json_t *value = json_object_get(row, "value");
    if (r < 0 || !json_is_boolean(holds)) return;
    out->seen[r] = json_is_true(holds) ? 1 : -1;
    if (json_is_number(value)) out->value[r] = json_number_value(value);
}

rc dev_report_read(const char *state, const dev_machine *m, dev_report *out)
{
    str why = {0};
    json_t *o;
    *out = (dev_report){.there = false};
    for (int i = 0; i < DEV_RULES; i++) out->value[i] = NAN;
    rc r = read_ours(state, DEV_REPORT_NAME, m, &o, &why);
    if (r == OK && o) {
        size_t i;
        const json_t *row;
        json_array_foreach(json_object_get(o, "rules"), i, row) take_rule(row, out);
        snprintf(out->route, sizeof out->route, "%s", text_of(o, "route"));
        snprintf(out->why, sizeof out->why, "rules from the report of %.40s",
                 text_of(o, "date"));
        out->there = true;
    } else if (r == OK && why.n) {
        snprintf(out->why, sizeof out->why, "the report of an earlier check %s",
                 str_text(&why));
    }
    json_decref(o);
    str_free(&why);
    return r;
}

/* A limit that was met counts as met; one that was not met is none. */
static int limit_of(const dev_report *known, dev_rule r, int otherwise)
{
    if (known->seen[r] < 0) return 0;
    double v = known->value[r];
    return known->seen[r] > 0 && v >= 1 && v < 100000 ? (int)v : otherwise;
}

void dev_report_apply(const dev_report *known, const char *route, dev_caps *caps)
{
    snprintf(caps->learned, sizeof caps->learned, "%s", known->why);
    if (!known->there) return;
    for (int i = 0; i < DEV_RULES; i++)
        if (known->seen[i]) {
            caps->rule_holds[i] = known->seen[i] > 0;
            caps->rule_disputed[i] = false;
        }
    if (strcmp(known->route, route)) return;
    caps->compiles_max = limit_of(known, RULE_compile_budget, caps->compiles_max);
    caps->programs_max = limit_of(known, RULE_program_slots, caps->programs_max);
}

/* ---- self-checks ---- */
rc dev_self_read(const char *state, const dev_machine *m, dev_self_known *out)
{
    str why = {0};
    json_t *o;
    *out = (dev_self_known){.there = false};
    rc r = read_ours(state, DEV_SELF_NAME, m, &o, &why);
    if (r == OK && o) {
        out->there = true;
        out->passed = json_is_true(json_object_get(o, "passed"));
        snprintf(out->date, sizeof out->date, "%s", text_of(o, "date"));
        snprintf(out->detail, sizeof out->detail, "%s", text_of(o, "detail"));
    } else if (r == OK) {
        snprintf(out->detail, sizeof out->detail, "%s%s",
                 why.n ? "the self-check of its engine "
                       : "no self-check of its engine was made yet",
                 str_text(&why));
    }
    json_decref(o);
    str_free(&why);
    return r;
}

rc dev_self_write(const char *state, const dev_machine *m, bool passed,
                  const char *detail)
{
    json_t *o = dev_known_head(m);
    if (o) {
        json_object_set_new(o, "passed", json_boolean(passed));
        json_object_set_new(o, "detail", json_string(detail));
    }
    arena *mem = arena_new();
    rc r = mem ? dev_known_write(state, DEV_SELF_NAME, o, mem, NULL) : E_MEMORY;
    arena_free(mem);
    return r;
}
