/* config.c - the settings table at work. Values are kept as parsed numbers
 * beside their text, so that a resolved recipe prints what was typed. */
#include "api/config.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"

static const opt_row rows[OPT_COUNT] = {
#define GROUP(section, title)
#define OPT(section, key, kind, def, min, max, choices, help) \
    [OPT_##section##_##                                       \
        key] = {#section "." #key, #section, OPT_##kind, def, min, max, choices, help},
#include "api/opts.def"
#undef OPT
#undef GROUP
};
static const struct {
    const char *section, *title;
} groups[] = {
#define GROUP(section, title) {#section, title},
#define OPT(section, key, kind, def, min, max, choices, help)
#include "api/opts.def"
#undef OPT
#undef GROUP
};

typedef struct {
    bool set;
    int64_t i;
    double r;
    const char *text;
} value;
struct config {
    arena *mem;
    const machine_host *host;
    value v[OPT_COUNT];
};

/* A run keeps its data, model and order; the rest may change on the way. */
static const opt_id fixed[] = {
    OPT_data_text,   OPT_data_dir,       OPT_data_tokenizer,   OPT_data_held_out,
    OPT_model_kind,  OPT_model_layers,   OPT_model_dim,        OPT_model_hidden,
    OPT_model_heads, OPT_model_kv_heads, OPT_model_head_dim,   OPT_model_seq,
    OPT_model_vocab, OPT_model_rope,     OPT_model_rope_theta, OPT_model_norm_eps,
    OPT_model_tied,  OPT_model_qk_norm,  OPT_train_seed,       OPT_train_batch,
    OPT_train_accum,
};

const opt_row *opt_at(opt_id id)
{
    return &rows[id];
}

const char *opt_section_title(const char *section)
{
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (!strcmp(groups[i].section, section)) return groups[i].title;
    return "";
}

/* ---- one value ---- */

static rc out_of_range(const opt_row *r, const char *text)
{
    return err_fail(E_CONFIG, "setting '%s' is from %.15g to %.15g, not %s", r->name,
                    r->min, r->max, text);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; n && p;) {
        if (!strncmp(p, text, n) && (p[n] == '|' || !p[n])) return true;
        p = strchr(p, '|');
        if (p) p++;
    }
    return false;
}

static rc no_choice(const opt_row *r, const char *text)
{
    if (strchr(r->choices, '|'))
        return err_fail(E_CONFIG, "setting '%s' is one of %s, not '%s'", r->name,
                        r->choices, text);
    return err_fail(E_CONFIG, "setting '%s' can only be '%s', not '%s'", r->name,
                    r->choices, text);
}

static rc parse_bool(const opt_row *r, const char *text, value *v)
{
    static const char *const words[2][4] = {{"false", "no", "off", "0"},
                                            {"true", "yes", "on", "1"}};
    for (int truth = 0; truth < 2; truth++)
        for (int i = 0; i < 4; i++)
            if (!strcmp(text, words[truth][i])) return v->i = truth, OK;
    return err_fail(E_CONFIG, "setting '%s' is true or false, not '%s'", r->name, text);
}

static rc parse_int(const opt_row *r, const char *text, value *v)
{
    if (str_to_int(text, &v->i))
        return err_fail(E_CONFIG, "setting '%s' is a whole number, not '%s'", r->name,
                        text);
    v->r = (double)v->i;
    return v->r < r->min || v->r > r->max ? out_of_range(r, text) : OK;
}

static rc parse_real(const opt_row *r, const char *text, value *v)
{
    if (str_to_real(text, &v->r) || !isfinite(v->r))
        return err_fail(E_CONFIG, "setting '%s' is a number, not '%s'", r->name, text);
    return v->r < r->min || v->r > r->max ? out_of_range(r, text) : OK;
}

/* Some texts have a small grammar; a bad one is found before anything runs. */
static rc check_text(opt_id id, const char *text)
{
    int64_t n;
    double d;
    bool said;
    unsigned parts;
    if (id == OPT_plan_host) return plan_host_parse(text, &said, &parts);
    if (id == OPT_train_loss_scale && strcmp(text, "dynamic") &&
        (str_to_real(text, &d) || !(d > 0) || !isfinite(d)))
        return err_fail(
            E_CONFIG,
            "setting 'train.loss_scale' is 'dynamic' or a number above 0, not '%s'",
            text);
    if (id == OPT_data_tokenizer && !strncmp(text, "bpe:", 4) &&
        (str_to_int(text + 4, &n) || n < 257 || n > 1000000))
        return err_fail(
            E_CONFIG,
            "setting 'data.tokenizer' takes bpe:N with N from 257 to 1000000, not '%s'",
            text);
    return OK;
}

static rc set_row(config *c, opt_id id, const char *text, bool given)
{
    const opt_row *r = &rows[id];
    value v = {.set = c->v[id].set || given};
    switch (r->kind) {
    case OPT_INT:
        TRY(parse_int(r, text, &v));
        break;
    case OPT_REAL:
        TRY(parse_real(r, text, &v));
        break;
    case OPT_BOOL:
        TRY(parse_bool(r, text, &v));
        break;
    case OPT_TEXT:
        TRY(check_text(id, text));
        break;
    case OPT_CHOICE:
        if (!is_choice(r->choices, text)) return no_choice(r, text);
        break;
    }
    v.text = arena_text(c->mem, text);
    if (!v.text) return E_MEMORY;
    c->v[id] = v;
    return OK;
}

/* ---- whole configurations ---- */

rc config_new(config **out)
{
    arena *mem = arena_new();
    config *c = mem ? arena_take(mem, sizeof *c) : NULL;
    if (!c) return arena_free(mem), E_MEMORY;
    c->mem = mem;
    for (int i = 0; i < OPT_COUNT; i++) {
        rc e = set_row(c, (opt_id)i, rows[i].def, false);
        if (e) return config_free(c), e;
    }
    *out = c;
    return OK;
}

void config_free(config *c)
{
    if (c) arena_free(c->mem);
}

rc config_copy(const config *c, config **out)
{
    config *d;
    TRY(config_new(&d));
    for (int i = 0; i < OPT_COUNT; i++) {
        rc e = set_row(d, (opt_id)i, c->v[i].text, c->v[i].set);
        if (e) return config_free(d), e;
    }
    d->host = c->host;
    *out = d;
    return OK;
}

void config_host(config *c, const machine_host *h)
{
    c->host = h;
}

const machine_host *config_host_of(const config *c)
{
    return c->host;
}

rc config_set(config *c, const char *key, const char *text)
{
    const char *names[OPT_COUNT];
    for (int i = 0; i < OPT_COUNT; i++) {
        if (!strcmp(rows[i].name, key)) return set_row(c, (opt_id)i, text, true);
        names[i] = rows[i].name;
    }
    const char *near = err_nearest(key, names, OPT_COUNT);
    if (near) return err_fail(E_CONFIG, "no setting '%s'; did you mean '%s'?", key, near);
    err_fail(E_CONFIG, "no setting '%s'", key);
    return err_hint(E_CONFIG, "`anneal help settings` lists them");
}

rc config_set_pair(config *c, const char *pair)
{
    const char *eq = strchr(pair, '=');
    if (!eq || eq == pair)
        return err_fail(E_CONFIG, "wanted section.key=value, had '%s'", pair);
    char key[96];
    size_t n = (size_t)(eq - pair);
    if (n >= sizeof key) return err_fail(E_CONFIG, "no setting '%.80s...'", pair);
    memcpy(key, pair, n);
    key[n] = 0;
    return config_set(c, key, eq + 1);
}

/* ---- reading values ---- */

bool config_is_set(const config *c, opt_id id)
{
    return c->v[id].set;
}
int64_t config_int(const config *c, opt_id id)
{
    return c->v[id].i;
}
double config_real(const config *c, opt_id id)
{
    return c->v[id].r;
}
bool config_bool(const config *c, opt_id id)
{
    return c->v[id].i != 0;
}
const char *config_text(const config *c, opt_id id)
{
    return c->v[id].text;
}

const char *config_conflict(const config *old, const config *now)
{
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const value *a = &old->v[fixed[i]], *b = &now->v[fixed[i]];
        opt_kind kind = rows[fixed[i]].kind;
        bool text = kind == OPT_TEXT || kind == OPT_CHOICE;
        if (text ? strcmp(a->text, b->text) != 0 : a->i != b->i || a->r != b->r)
            return rows[fixed[i]].name;
    }
    return NULL;
}
