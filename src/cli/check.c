/* check.c - `anneal device check [URI]`: every question of dev/check.h put to a
 * device, and a report.
 *
 * Software devices answer in this process. A chip is asked by children, one
 * question each, since a rule that is broken may crash, hang or spoil the
 * process that breaks it; that is then the answer. Children follow each other
 * slowly: started quickly again and again they exhaust the system's compile
 * service, until the machine is started anew (slavko ANE-Training). What a chip
 * answered is written to the state folder, from where the driver takes its
 * rules (dev/known.h) and which a user can send in. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verbs.h"
#include "dev/known.h"

enum { QUESTIONS_MAX = DEV_RULES_MAX + 64 };
enum { GIVE_UP_AFTER = 3 };    /* children in a row that did not open the device */
enum { AFTER_DEATH_S = 15 };   /* ANEForge paces the service so after a crash */
enum { OPENING_COMPILES = 3 }; /* assumed of a child that did not tell */

typedef struct {
    dev_question q;
    dev_probe_result r;
    dev_sight s;
    bool spoiled;
    double ms;
} answer;

typedef struct {
    const args *a;
    const config *c;
    const char *uri;
    dev_caps expected;
    json_t *facts, *opened; /* a chip's; NULL */
    char failed[480];       /* why a chip could not be opened */
    int n, compiles, unopened;
    int rules[3], checks[3]; /* by verdict */
    answer all[QUESTIONS_MAX];
} check;

/* ---- output ---- */
static const char *const verdicts[] = {
    [DEV_PROBE_PASS] = "ok", [DEV_PROBE_FAIL] = "FAILED", [DEV_PROBE_SKIP] = "skipped"};

static json_t *yes_or_no(const dev_probe_result *r)
{
    return r->verdict == DEV_PROBE_SKIP ? json_null() : json_boolean(r->holds);
}

static const char *table_says(const dev_caps *c, dev_rule r)
{
    return !c->rule_holds[r]     ? "does not hold"
           : c->rule_disputed[r] ? "disputed"
                                 : "holds";
}

static json_t *answer_json(const check *k, const answer *x)
{
    bool rule = x->q.kind == DEV_ASK_RULE;
    json_t *o = rule ? json_pack("{s:i,s:s}", "id", (int)x->q.rule, "name", x->q.id)
                     : json_pack("{s:s,s:s}", "check", x->q.id, "kind",
                                 dev_ask_kind_text(x->q.kind));
    json_object_set_new(o, rule ? "holds" : "right", yes_or_no(&x->r));
    json_object_set_new(o, "detail", json_string(x->r.detail));
    json_object_set_new(o, "verdict", json_string(verdicts[x->r.verdict]));
    json_object_set_new(o, "seen", json_string(dev_seen_text(x->s.seen)));
    if (rule)
        json_object_set_new(o, "table", json_string(table_says(&k->expected, x->q.rule)));
    if (x->spoiled) json_object_set_new(o, "spoiled", json_true());
    cli_real(o, "value", x->s.value);
    cli_real(o, "ms", x->ms);
    return o;
}

/* How much of a text fits a line of the terminal behind `used` columns, cut
 * after a word with room for "..."; all of it elsewhere: files are searched. */
static size_t room_for(const char *text, int used)
{
    size_t n = strlen(text), room, at;
    int columns = cli_columns(1);
    if (columns < used + 20 || n <= (size_t)(columns - used)) return n;
    at = room = (size_t)(columns - used) - 3;
    while (at > 0 && text[at] != ' ') at--;
    if (at) return at;
    while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80) room--;
    return room; /* one long word; not within a character */
}

static void print_answer(const answer *x)
{
    static const char *const words[][2] = {[DEV_ASK_CONTRACT] = {"wrong", "right"},
                                           [DEV_ASK_NUMBERS] = {"differs", "the same"},
                                           [DEV_ASK_CHIP] = {"no", "yes"},
                                           [DEV_ASK_RULE] = {"does not", "holds"}};
    bool skipped = x->r.verdict == DEV_PROBE_SKIP;
    size_t n = room_for(x->r.detail, 41);
    printf("%-8s%-22s %-9s %.*s%s\n", verdicts[x->r.verdict], x->q.id,
           skipped ? "" : words[x->q.kind][x->r.holds], (int)n, x->r.detail,
           x->r.detail[n] ? "..." : "");
    fflush(stdout); /* on a chip the next line may take a while */
}

/* `into` gets all keys of the answer. */
static void add_answers(const check *k, json_t *into)
{
    static const char *const counts[2][3] = {
        {"passed", "failed", "skipped"},
        {"checks_passed", "checks_failed", "checks_skipped"}};
    json_t *rules = json_array(), *checks = json_array();
    for (int i = 0; i < k->n; i++)
        json_array_append_new(k->all[i].q.kind == DEV_ASK_RULE ? rules : checks,
                              answer_json(k, &k->all[i]));
    for (int v = 0; v < 3; v++) {
        json_object_set_new(into, counts[0][v], json_integer(k->rules[v]));
        json_object_set_new(into, counts[1][v], json_integer(k->checks[v]));
    }
    json_object_set_new(into, "rules", rules);
    json_object_set_new(into, "checks", checks);
}

/* ---- asking ---- */
static void note_answer(check *k, answer *x, size_t i)
{
    dev_answer(&k->expected, i, &x->s, &x->r);
    if (x->spoiled)
        snprintf(x->r.detail, sizeof x->r.detail, "%s; nothing ran after it",
                 x->s.detail);
    (x->q.kind == DEV_ASK_RULE ? k->rules : k->checks)[x->r.verdict]++;
    /* of a chip that does not open there is but one thing to say */
    if (!args_has(k->a, "json") && !*k->failed) print_answer(x);
}

static rc ask_here(check *k)
{
    machine m;
    TRY(machine_open(k->c, &m));
    rc e = dev_probe_table(m.dev, &k->expected);
    for (size_t i = 0; !e && i < dev_question_count(); i++) {
        answer *x = &k->all[k->n++];
        x->ms = NAN;
        dev_question_at(i, &x->q);
        e = dev_ask(m.dev, i, &x->s, &x->spoiled);
        if (!e) note_answer(k, x, i);
    }
    machine_close(&m);
    return e;
}

static void unknown(dev_sight *s, const char *why)
{
    *s = (dev_sight){.seen = DEV_SEEN_UNKNOWN, .value = NAN};
    snprintf(s->detail, sizeof s->detail, "%.*s", DEV_PROBE_TEXT - 1, why);
}

static void rest(const check *k, bool died)
{
    double s = config_real(k->c, OPT_device_check_pause);
    if (died && s > 0 && s < AFTER_DEATH_S) s = AFTER_DEATH_S;
    for (; s > 0; s -= 0.5) usleep(s < 0.5 ? (unsigned)(s * 1e6) : 500000);
}

/* One child's word, or what its silence means. */
static bool read_child(check *k, const cli_child *ch, answer *x)
{
    char why[480], text[DEV_PROBE_TEXT];
    const json_t *compiles = json_object_get(ch->said, "compiles");
    k->compiles += json_is_integer(compiles) ? (int)json_integer_value(compiles)
                                             : OPENING_COMPILES;
    x->ms = ch->end.ms;
    k->unopened = ch->opened ? 0 : k->unopened + 1;
    if (cli_sight_read(ch->said, &x->s, &x->spoiled)) return false;
    cli_child_why(ch, why, sizeof why);
    bool died = ch->end.signal || ch->end.timed_out;
    snprintf(text, sizeof text, "%s%s",
             ch->opened ? "" : "the device did not open: ", why);
    unknown(&x->s, text);
    if (ch->opened && died) x->s.seen = DEV_SEEN_DIED;
    return died;
}

static rc ask_child(check *k, size_t i, answer *x)
{
    cli_child ch;
    int most = (int)config_int(k->c, OPT_device_check_compiles);
    if (k->unopened >= GIVE_UP_AFTER) {
        unknown(&x->s, "the device does not open any more");
        return OK;
    }
    if (k->compiles >= most) {
        unknown(&x->s, "device.check_compiles were asked for already");
        return OK;
    }
    if (i) rest(k, false);
    rc e = cli_ask_child(k->c, k->uri, x->q.id, &ch);
    if (!e && read_child(k, &ch, x)) rest(k, true);
    cli_child_free(&ch);
    return e;
}

/* The two questions before all others; an answer or none. */
static rc ask_ahead(check *k, const char *question, json_t **out, char *why, size_t size)
{
    cli_child ch;
    rc e = cli_ask_child(k->c, k->uri, question, &ch);
    if (!e && !ch.said) cli_child_why(&ch, why, size);
    *out = e ? NULL : json_incref(ch.said);
    cli_child_free(&ch);
    return e;
}

static const char *opened_text(const check *k, const char *key)
{
    const char *t = json_string_value(json_object_get(k->opened, key));
    return t ? t : "";
}

/* What is as it should be has no line here; the report has them all. */
static void print_facts(const check *k)
{
    const char *uri = opened_text(k, "uri");
    size_t i;
    json_t *f;
    json_array_foreach(k->facts, i, f)
    {
        const char *kind = json_string_value(json_object_get(f, "kind"));
        const char *what = json_string_value(json_object_get(f, "what"));
        const char *had = json_string_value(json_object_get(f, "had"));
        const char *wanted = json_string_value(json_object_get(f, "expected"));
        if (!kind || !what || !had || !wanted) continue;
        if (!strcmp(kind, "machine") || !strcmp(kind, "meter"))
            printf("%-8s%-22s %s\n", kind, what, had);
        else if (!json_is_true(json_object_get(f, "ok")))
            printf("%-8s%s: wanted %s, had %s\n", kind, what, *wanted ? wanted : "it",
                   *had ? had : "nothing");
    }
    if (*uri) printf("opened  %s\n", uri);
}

static rc ask_by_children(check *k, dev_machine *m)
{
    char why[480] = "";
    json_t *told;
    TRY(dev_machine_of(k->uri, m));
    TRY(ask_ahead(k, "facts", &told, why, sizeof why));
    k->facts = json_incref(json_object_get(told, "facts"));
    json_decref(told);
    rest(k, false);
    TRY(ask_ahead(k, "open", &k->opened, k->failed, sizeof k->failed));
    k->compiles = OPENING_COMPILES;
    k->expected.profile = dev_profile_find(opened_text(k, "model"));
    if (k->expected.profile) dev_profile_rules(k->expected.profile, &k->expected);
    if (!args_has(k->a, "json")) print_facts(k);
    for (size_t i = 0; i < dev_question_count(); i++) {
        answer *x = &k->all[k->n++];
        dev_question_at(i, &x->q);
        if (k->opened) TRY(ask_child(k, i, x));
        else unknown(&x->s, k->failed);
        note_answer(k, x, i);
    }
    return OK;
}

/* ---- the report of a chip ---- */
static void add_machine(const check *k, json_t *o)
{
    const char *uri = opened_text(k, "uri"), *way = strchr(uri, ':');
    json_object_set_new(o, "uri", json_string(*uri ? uri : k->uri));
    json_object_set_new(o, "model", json_string(opened_text(k, "model")));
    json_object_set_new(
        o, "route", way ? json_stringn(way + 1, strcspn(way + 1, ",")) : json_string(""));
    if (!k->opened) json_object_set_new(o, "error", json_string(k->failed));
    json_object_set_new(o, "compiles", json_integer(k->compiles));
    if (k->facts) json_object_set(o, "facts", k->facts);
}

static rc write_report(check *k, const dev_machine *m, const char **path)
{
    const char *state = config_text(k->c, OPT_device_state);
    json_t *o = dev_known_head(m);
    *path = NULL;
    if (!*state) return json_decref(o), OK;
    if (o) {
        add_machine(k, o);
        add_answers(k, o);
    }
    return dev_known_write(state, DEV_REPORT_NAME, o, k->a->mem, path);
}

/* What `auto` would find out is known now. */
static rc write_self(const check *k, const dev_machine *m)
{
    const char *state = config_text(k->c, OPT_device_state);
    for (int i = 0; i < k->n && *state; i++)
        if (!strcmp(k->all[i].q.id, "self") && k->all[i].r.verdict != DEV_PROBE_SKIP)
            return dev_self_write(state, m, k->all[i].r.holds, k->all[i].r.detail);
    return OK;
}

static rc conclude(check *k, const dev_machine *chip)
{
    const char *path = NULL;
    rc written = OK;
    err_saved why;
    bool json = args_has(k->a, "json");
    if (chip) {
        written = write_report(k, chip, &path);
        if (written == OK) written = write_self(k, chip);
        if (written != OK) err_save(written, &why);
    }
    if (json) {
        json_t *o = chip ? dev_known_head(chip) : json_object();
        if (chip) add_machine(k, o);
        if (path) json_object_set_new(o, "report", json_string(path));
        add_answers(k, o);
        TRY(cli_put_json(o));
    } else {
        printf("%d passed, %d failed, %d skipped", k->checks[0], k->checks[1],
               k->checks[2]);
        printf(" of the contract and the arithmetic\n%d passed, %d failed, %d skipped\n",
               k->rules[0], k->rules[1], k->rules[2]);
        if (path) printf("report  %s\n", path);
    }
    if (written != OK) return err_restore(&why); /* the answers are told all the same */
    int failed = k->rules[DEV_PROBE_FAIL] + k->checks[DEV_PROBE_FAIL];
    if (chip && !k->opened) return err_fail(E_DEVICE, "%s", k->failed);
    return failed ? err_fail(E_FAILED, "%d answers are not as the tables say", failed)
                  : OK;
}

/* `auto` is whatever it takes: a chip is not to be asked in this process. */
static rc settle_uri(check *k)
{
    char chip[512];
    machine m;
    dev_caps caps;
    if (!dev_auto_chip(k->uri, chip, sizeof chip)) return OK;
    TRY(machine_open(k->c, &m));
    rc e = dev_caps_of(m.dev, &caps);
    machine_close(&m);
    if (!e) k->uri = arena_text(k->a->mem, caps.uri);
    return e || k->uri ? e : E_MEMORY;
}

rc cli_check(const args *a, const config *c)
{
    check *k = arena_take(a->mem, sizeof *k);
    const char *params;
    dev_machine m;
    if (!k) return E_MEMORY;
    _Static_assert(sizeof k->all / sizeof *k->all > DEV_RULES, "room for every rule");
    *k = (check){.a = a, .c = c, .uri = config_text(c, OPT_device_uri)};
    TRY(settle_uri(k));
    const dev_driver *d = dev_driver_of(k->uri, &params);
    bool chip = d && d->chip;
    if (dev_question_count() > QUESTIONS_MAX) return E_FAILED;
    rc e = chip ? ask_by_children(k, &m) : ask_here(k);
    if (!e) e = conclude(k, chip ? &m : NULL);
    json_decref(k->facts);
    json_decref(k->opened);
    return e;
}
