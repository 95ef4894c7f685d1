/* child.c - one question of `device check`, here or in a process of its own.
 *
 * The parent starts this same command as
 *
 *   anneal device check URI --only QUESTION --json device.state=DIR
 *
 * --only is not in the help. QUESTION is an id of dev/check.h, or `facts` (the
 * machine and what the driver stands on; nothing is opened) or `open` (what an
 * opened device says of itself). The child writes "opened" on stderr once the
 * device is open, then one JSON object on stdout. No object: it crashed, hung
 * or could not open, and the parent says which. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verbs.h"

extern char **environ; /* handed on to the child as it is */

static const char opened_word[] = "opened\n";

/* ---- a sight as JSON ---- */
json_t *cli_sight_json(const dev_sight *s, bool spoiled)
{
    json_t *o = json_pack("{s:i,s:i,s:b,s:b,s:s}", "seen", (int)s->seen, "code",
                          (int)s->code, "warned", s->warned, "spoiled", spoiled, "detail",
                          s->detail);
    if (o) cli_real(o, "value", s->value);
    return o;
}

bool cli_sight_read(const json_t *o, dev_sight *s, bool *spoiled)
{
    const json_t *seen = json_object_get(o, "seen"), *v = json_object_get(o, "value");
    const char *detail = json_string_value(json_object_get(o, "detail"));
    json_int_t code = json_integer_value(json_object_get(o, "code"));
    if (!json_is_integer(seen) || json_integer_value(seen) < 0 ||
        json_integer_value(seen) > DEV_SEEN_DIED || !detail)
        return false;
    *s = (dev_sight){.seen = (dev_seen)json_integer_value(seen),
                     .code = code > 0 && code < ERR_COUNT ? (rc)code : OK,
                     .warned = json_is_true(json_object_get(o, "warned")),
                     .value = json_is_number(v) ? json_number_value(v) : NAN};
    snprintf(s->detail, sizeof s->detail, "%s", detail);
    *spoiled = json_is_true(json_object_get(o, "spoiled"));
    return true;
}

/* ---- the child ---- */
static void add_fact(void *ctx, const dev_fact *f)
{
    json_array_append_new(ctx, json_pack("{s:s,s:s,s:s,s:s,s:b}", "kind", f->kind, "what",
                                         f->name, "expected", f->expected, "had", f->had,
                                         "ok", f->ok));
}

static rc tell_facts(const char *uri)
{
    json_t *all = json_array();
    rc e = all ? dev_facts_of(uri, add_fact, all) : E_MEMORY;
    if (e) return json_decref(all), e;
    return cli_put_json(json_pack("{s:o}", "facts", all));
}

static rc tell_open(device *d)
{
    dev_caps c;
    TRY(dev_caps_of(d, &c));
    return cli_put_json(json_pack("{s:s,s:s,s:i,s:i,s:i}", "uri", c.uri, "model", c.model,
                                  "compiles_max", c.compiles_max, "programs_max",
                                  c.programs_max, "queue_depth", c.queue_depth));
}

static rc tell_answer(device *d, int question)
{
    dev_sight s;
    dev_sample now = {{0}, 0, 0};
    bool spoiled;
    TRY(dev_ask(d, (size_t)question, &s, &spoiled));
    json_t *o = cli_sight_json(&s, spoiled);
    if (!o) return E_MEMORY;
    if (!dev_sample_of(d, &now) && now.valid & 1u << DEV_LOADS)
        json_object_set_new(o, "compiles",
                            json_integer((json_int_t)now.value[DEV_LOADS]));
    return cli_put_json(o);
}

/* Rules are broken with nothing of ours in the way; and nothing that an earlier
 * check wrote down may answer for the chip. */
static rc open_for(const char *uri, const dev_question *q, const char *state,
                   device **out)
{
    char probe[640];
    const char *params;
    const dev_driver *driver = dev_driver_of(uri, &params);
    bool limit = q && q->kind == DEV_ASK_RULE &&
                 (q->rule == RULE_compile_budget || q->rule == RULE_program_slots);
    bool cached = q && !strcmp(q->id, "cache_reload"); /* as it is used */
    if (driver && driver->chip && q && q->kind != DEV_ASK_CONTRACT && !cached) {
        dev_probe_uri(uri, limit, probe, sizeof probe);
        uri = probe;
    }
    return dev_open_at(uri, NULL, cached ? state : NULL, out);
}

rc cli_check_only(const args *a, const config *c, const char *question)
{
    const char *uri = config_text(c, OPT_device_uri);
    const char *state = config_text(c, OPT_device_state);
    int i = dev_question_find(question);
    bool open = !strcmp(question, "open");
    dev_question q;
    device *d;
    if (!strcmp(question, "facts")) return tell_facts(uri);
    if (i < 0 && !open)
        return err_fail(E_USAGE, "`device check` has no question '%s'", question);
    if (!open) dev_question_at((size_t)i, &q);
    TRY(open_for(uri, open ? NULL : &q, *state ? state : NULL, &d));
    fputs(opened_word, stderr);
    rc e = open ? tell_open(d) : tell_answer(d, i);
    dev_close(d);
    return e;
}

/* ---- the parent ---- */
rc cli_ask_child(const config *c, const char *uri, const char *question, cli_child *out)
{
    *out = (cli_child){.said = NULL};
    arena *mem = arena_new();
    const char *self;
    const char *state = mem ? arena_printf(mem, "device.state=%s",
                                           config_text(c, OPT_device_state))
                            : NULL;
    rc e = state ? process_self(mem, &self) : E_MEMORY;
    if (!e) {
        const char *const words[] = {self,     "device", "check", uri, "--only",
                                     question, "--json", state,   NULL};
        e = process_run(words, environ, 1e3 * config_real(c, OPT_device_check_limit),
                        &out->end);
    }
    if (!e && !out->end.code)
        out->said = json_loadb(str_text(&out->end.out), out->end.out.n, 0, NULL);
    out->opened = strstr(str_text(&out->end.err), opened_word) != NULL;
    arena_free(mem);
    return e;
}

void cli_child_free(cli_child *ch)
{
    json_decref(ch->said);
    process_result_free(&ch->end);
}

const char *cli_child_why(const cli_child *ch, char *text, size_t size)
{
    static const char mark[] = "anneal: error: ";
    const char *said = strstr(str_text(&ch->end.err), mark);
    if (ch->end.code > 0 && said) {
        said += sizeof mark - 1;
        snprintf(text, size, "%.*s", (int)strcspn(said, "\n"), said);
        return text;
    }
    return process_fate(&ch->end, text, size);
}
