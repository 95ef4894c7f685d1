/* inspect_ours.c - files that anneal writes, and the public ones it reads: each is
 * opened by the reader that training uses, so what is called sound here is taken
 * there. What that reader refuses is said as the problem. */
#include <ctype.h>
#include <string.h>

#include "api/config.h"
#include "api/inspect_in.h"
#include "base/npy.h"
#include "base/str.h"
#include "data/data.h"
#include "data/tokens.h"
#include "model/model.h"

static bool begins(const inspect *f, const char *magic)
{
    size_t n = strlen(magic);
    return f->n >= n && !memcmp(f->p, magic, n);
}

static void shape(json_t *o, int rank, const int64_t *d)
{
    json_t *list = json_array();
    for (int i = 0; i < rank; i++) json_array_append_new(list, json_integer(d[i]));
    json_object_set_new(o, "shape", list);
}

/* ---- tensors, tokens, arrays ---- */

static bool safetensors(inspect *f)
{
    st_file *s;
    /* not by whether the header fits: of a file cut short that is what to say */
    if (f->n < 10 || f->p[8] != '{' || (f->p[9] != '"' && f->p[9] != '}')) return false;
    if (inspect_u64(f, 0) >> 32) return false;
    inspect_kind(f, "safetensors", "named tensors");
    if (st_open(f->path, &s)) {
        inspect_problem(f, "%s", err_first());
        return true;
    }
    double elements = 0;
    for (int i = 0; i < st_count(s); i++) {
        const st_tensor *t = st_at(s, i);
        json_t *o = inspect_row(f, "tensors");
        double n = 1;
        for (int k = 0; k < t->rank; k++) n *= (double)t->shape[k];
        elements += n;
        if (!o) continue;
        inspect_text(o, "name", t->name);
        inspect_text(o, "dtype", t->dtype);
        shape(o, t->rank, t->shape);
        inspect_int(o, "bytes", t->bytes);
        inspect_range(o, t->dtype, t->data, t->bytes);
    }
    inspect_int(f->o, "tensor_count", (uint64_t)st_count(s));
    inspect_real(f->o, "elements", elements);
    st_close(s);
    return true;
}

static bool token_file(inspect *f)
{
    tokens t;
    if (!begins(f, TOKENS_MAGIC)) return false;
    inspect_kind(f, "tokens", "the ids of a dataset");
    if (tokens_open(f->path, &t)) {
        inspect_problem(f, "%s", err_first());
        return true;
    }
    inspect_int(f->o, "tokens", t.h.count);
    inspect_int(f->o, "vocab", t.h.vocab);
    inspect_int(f->o, "bytes_per_id", t.h.width);
    inspect_int(f->o, "text_bytes", t.h.text_bytes);
    tokens_close(&t);
    return true;
}

static bool array(inspect *f)
{
    npy a;
    if (!begins(f, "\x93NUMPY")) return false;
    inspect_kind(f, "npy", "a NumPy array");
    if (npy_read(f->mem, f->path, &a)) {
        inspect_problem(f, "%s", err_first());
        return true;
    }
    inspect_text(f->o, "dtype", a.descr);
    shape(f->o, a.rank, a.shape);
    const char *type = !strcmp(a.descr, "<f2")   ? "F16"
                       : !strcmp(a.descr, "<f4") ? "F32"
                       : !strcmp(a.descr, "|i1") ? "I8"
                                                 : "";
    inspect_range(f->o, type, a.data, a.count * a.item);
    return true;
}

/* ---- JSON ---- */

/* What stands at the top of an object; of lists and objects only how many. */
static void members(inspect *f, json_t *from)
{
    const char *key;
    json_t *v;
    json_object_foreach(from, key, v)
    {
        json_t *o = inspect_row(f, "members");
        if (!o) return;
        inspect_text(o, "name", key);
        if (json_is_array(v)) inspect_int(o, "items", json_array_size(v));
        else if (json_is_object(v)) inspect_int(o, "items", json_object_size(v));
        else json_object_set(o, "value", v);
    }
}

static bool has(json_t *o, const char *a, const char *b)
{
    return json_object_get(o, a) && json_object_get(o, b);
}

static void tokenizer_file(inspect *f)
{
    tokenizer *t;
    inspect_kind(f, "tokenizer", "a tokenizer in Hugging Face's form");
    if (tokenizer_open(f->path, &t)) {
        inspect_problem(f, "%s", err_first());
        return;
    }
    inspect_text(f->o, "tokenizer", tokenizer_kind(t));
    inspect_int(f->o, "vocab", (uint64_t)tokenizer_vocab(t));
    tokenizer_free(t);
}

static void object_file(inspect *f, json_t *o)
{
    if (has(o, "model", "added_tokens")) {
        tokenizer_file(f);
        return;
    }
    if (has(o, "format", "files") && json_object_get(o, "step"))
        inspect_kind(f, "state", "where a run stood when it was saved");
    else if (json_object_get(o, "architectures"))
        inspect_kind(f, "config", "the shape of a model");
    else if (has(o, "format", "documents"))
        inspect_kind(f, "meta", "what a dataset was made from");
    else if (json_object_get(o, "weight_map"))
        inspect_kind(f, "index", "which file holds which tensor");
    else inspect_kind(f, "json", "a JSON object");
    members(f, o);
}

/* Events: an object a line. The last line may be torn by a killed run. */
static bool events(inspect *f)
{
    json_t *count = json_object(), *v, *last = NULL;
    const char *kind;
    size_t lines = 0, bad = 0;
    for (size_t at = 0; at < f->n;) {
        const uint8_t *end = memchr(f->p + at, '\n', f->n - at);
        size_t n = end ? (size_t)(end - f->p) - at : f->n - at;
        json_t *e = json_loadb((const char *)f->p + at, n, 0, NULL);
        kind = json_string_value(json_object_get(e, "kind"));
        if (kind) {
            json_int_t so_far = json_integer_value(json_object_get(count, kind));
            json_object_set_new(count, kind, json_integer(so_far + 1));
            if (!strcmp(kind, "step")) json_decref(last), last = json_incref(e);
            lines++;
        } else if (end) bad++;
        json_decref(e);
        if (!lines) break; /* the first line decides */
        at += n + 1;
    }
    if (lines) {
        inspect_kind(f, "events", "what a run said");
        if (bad) inspect_problem(f, "%zu lines are no events", bad);
        json_object_foreach(count, kind, v)
        {
            json_t *o = inspect_row(f, "events");
            if (!o) break;
            inspect_text(o, "kind", kind);
            json_object_set(o, "count", v);
        }
        if (last) {
            inspect_int(f->o, "step",
                        (uint64_t)json_integer_value(json_object_get(last, "step")));
            inspect_real(f->o, "loss", json_number_value(json_object_get(last, "loss")));
        }
    }
    json_decref(last);
    json_decref(count);
    return lines > 0;
}

static bool json(inspect *f)
{
    json_error_t where;
    size_t i = 0;
    while (i < f->n && isspace(f->p[i])) i++;
    if (i == f->n || f->p[i] != '{') return false;
    if (events(f)) return true;
    json_t *o = json_loadb((const char *)f->p, f->n, 0, &where);
    if (o) object_file(f, o);
    else {
        inspect_kind(f, "json", "a JSON object");
        inspect_problem(f, "line %d: %s", where.line, where.text);
    }
    json_decref(o);
    return true;
}

/* ---- recipes ---- */

/* The first line that says something is "section.key =". */
static bool like_recipe(const inspect *f)
{
    size_t i = 0;
    while (i < f->n && (isspace(f->p[i]) || f->p[i] == '#')) {
        if (f->p[i] == '#')
            while (i < f->n && f->p[i] != '\n') i++;
        else i++;
    }
    size_t dots = 0;
    for (; i < f->n && (islower(f->p[i]) || f->p[i] == '_' || f->p[i] == '.'); i++)
        dots += f->p[i] == '.';
    while (i < f->n && f->p[i] == ' ') i++;
    return dots == 1 && i < f->n && f->p[i] == '=';
}

static bool recipe(inspect *f)
{
    config *c;
    if (!like_recipe(f) || config_new(&c)) return false;
    inspect_kind(f, "recipe", "settings of a training");
    if (config_parse(c, (const char *)f->p, f->n, f->name))
        inspect_problem(f, "%s", err_first());
    for (int i = 0; i < OPT_COUNT; i++) {
        str value = {0};
        json_t *o;
        if (!config_is_set(c, (opt_id)i)) continue;
        if (!(o = inspect_row(f, "settings"))) break;
        inspect_text(o, "setting", opt_at((opt_id)i)->name);
        if (opt_at((opt_id)i)->kind == OPT_INT)
            str_addf(&value, "%lld", (long long)config_int(c, (opt_id)i));
        else if (opt_at((opt_id)i)->kind == OPT_REAL)
            str_add_real(&value, config_real(c, (opt_id)i));
        else if (opt_at((opt_id)i)->kind == OPT_BOOL)
            str_add(&value, config_bool(c, (opt_id)i) ? "true" : "false");
        else str_add(&value, config_text(c, (opt_id)i));
        inspect_text(o, "value", str_text(&value));
        str_free(&value);
    }
    config_free(c);
    return true;
}

bool inspect_ours(inspect *f)
{
    return safetensors(f) || token_file(f) || array(f) || json(f) || recipe(f);
}
