/* parse.c - MIL text to a program, by recursive descent.
 *
 *   program  = "program" "(" version ")" [ "[" "buildInfo" "=" dict "]" ] "{" func* "}"
 *   dict     = "dict" "<" type "," type ">" "(" "{" [ pair { "," pair } ] "}" ")"
 *   pair     = "{" STRING "," STRING "}"
 *   func     = "func" NAME "<" NAME ">" "(" [ var { "," var } ] ")"
 *              "{" op* "}" "->" "(" NAME { "," NAME } ")" [ ";" ]
 *   op       = var { "," var } "=" NAME "(" [ args ] ")" [ "[" [ args ] "]" ] ";"
 *   var      = type NAME
 *   type     = DTYPE | "tensor" "<" DTYPE "," "[" [ INT { "," INT } ] "]" ">"
 *   args     = NAME "=" value { "," NAME "=" value }
 *   value    = NAME | "(" value { "," value } ")" | bare | literal.c's typed literal
 *
 * Recursion is no deeper than a tuple (1) or a nested list (the rank), so no
 * text can exhaust the stack. Each function enters with the current token at
 * its first, and leaves it at the one after its last. */
#include <string.h>
#include "mil/parse.h"

rc mil_wanted(mil_parser *s, const char *wanted)
{
    char had[48];
    return mil_fail(s->program, s->lex.tok.pos, E_FORMAT, "wanted %s, had %s", wanted,
                    mil_tok_text(had, &s->lex.tok));
}

bool mil_at(const mil_parser *s, const char *text)
{
    return mil_tok_is(&s->lex.tok, text);
}

rc mil_step(mil_parser *s)
{
    return mil_lex_next(&s->lex);
}

rc mil_expect(mil_parser *s, const char *text, const char *where)
{
    char wanted[96];
    if (mil_at(s, text)) return mil_step(s);
    snprintf(wanted, sizeof wanted, "'%s' %s", text, where);
    return mil_wanted(s, wanted);
}

/* "," -> true and go on; `close` -> false and go past it; else an error. */
static rc more(mil_parser *s, const char *close, const char *what, bool *out)
{
    char wanted[96];
    *out = mil_at(s, ",");
    if (*out || mil_at(s, close)) return mil_step(s);
    snprintf(wanted, sizeof wanted, "',' or '%s' %s", close, what);
    return mil_wanted(s, wanted);
}

/* Any word: variables, arguments, operations and functions share one form, and
 * one set, in which each spelling is stored once. */
static rc name(mil_parser *s, const char *what, mil_name **out)
{
    const mil_tok *t = &s->lex.tok;
    if (t->kind != TOK_WORD) return mil_wanted(s, what);
    if (t->n > MIL_NAME_MAX)
        return mil_fail(s->program, t->pos, E_FORMAT,
                        "wanted a name of at most %d characters, had one of %zu",
                        MIL_NAME_MAX, t->n);
    *out = mil_name_of(&s->names, t->p, t->n);
    return *out ? mil_step(s) : E_MEMORY;
}

/* Count one more value against the bound of the whole program. */
static rc one_more(mil_parser *s, int n, const char *what)
{
    if (n >= MIL_ARGS_MAX)
        return mil_fail(s->program, s->lex.tok.pos, E_FORMAT, "more than %d %s",
                        MIL_ARGS_MAX, what);
    if (s->n_values++ < MIL_VALUES_MAX) return OK;
    return mil_fail(s->program, s->lex.tok.pos, E_FORMAT,
                    "a program of more than %u variables and arguments", MIL_VALUES_MAX);
}

/* A name may be defined once in a function; its mark says where it was. */
static rc define(mil_parser *s, mil_name *n, mil_pos at)
{
    if (n->mark == s->function)
        return mil_fail(s->program, at, E_FORMAT, "'%.64s' is defined a second time",
                        n->text);
    n->mark = s->function;
    return OK;
}

static rc used(mil_parser *s, const mil_name *n, mil_pos at)
{
    if (n->mark == s->function) return OK;
    return mil_fail(s->program, at, E_FORMAT, "'%.64s' is not defined before it is used",
                    n->text);
}

/* Type and name. The name is not defined yet: an input is at once, a result
 * only after its operation. true and false would be taken for literals. */
static rc variable(mil_parser *s, mil_var *out, mil_name **entry)
{
    TRY(mil_parse_type(s, &out->type));
    out->pos = s->lex.tok.pos;
    if (mil_at(s, "true") || mil_at(s, "false"))
        return mil_wanted(s, "a variable's name");
    TRY(name(s, "a variable's name", entry));
    out->name = (*entry)->text;
    return OK;
}

/* Attributes are part of an operation, not inputs of it, so they cannot refer
 * to variables. */
static rc reference(mil_parser *s, mil_value *out)
{
    mil_name *n;
    if (s->attributes)
        return mil_wanted(s, "a literal such as string(\"...\") as an attribute");
    out->kind = MIL_REF;
    TRY(name(s, "a value", &n));
    TRY(used(s, n, out->pos));
    out->ref = n->text;
    return OK;
}

static rc value(mil_parser *s, bool in_tuple, mil_value *out);

/* (a, b, ...), at least one; concat's values. Tuples do not nest. */
static rc tuple(mil_parser *s, mil_value *out)
{
    int cap = 0;
    bool again = true;
    out->kind = MIL_LIST;
    TRY(mil_step(s));
    while (again) {
        TRY(one_more(s, out->n, "values in one tuple"));
        TRY(mil_grow(s->mem, &out->items, out->n, &cap, sizeof *out->items));
        TRY(value(s, true, &out->items[out->n++]));
        TRY(more(s, ")", "after a value of a tuple", &again));
    }
    return OK;
}

/* A word is a reference unless '(' or '<' makes it a type. */
static rc value(mil_parser *s, bool in_tuple, mil_value *out)
{
    const mil_tok *t = &s->lex.tok;
    int next = mil_lex_peek(&s->lex);
    *out = (mil_value){.pos = t->pos};
    if (t->kind == TOK_WORD && !mil_at(s, "true") && !mil_at(s, "false"))
        return next == '(' || next == '<' ? mil_parse_literal(s, out) : reference(s, out);
    if (mil_at(s, "(") && !in_tuple && !s->attributes) return tuple(s, out);
    if (mil_at(s, "[")) {
        mil_wanted(s, "a value");
        return err_hint(E_FORMAT, "a list needs its type, as in "
                                  "tensor<int32, [2]>([1, 1])");
    }
    if (t->kind == TOK_MARK || t->kind == TOK_END || t->kind == TOK_ARROW)
        return mil_wanted(s, "a value");
    return mil_parse_bare(s, out);
}

/* name = value, ... up to `close`, which may come at once. Names are stored
 * once, so a repeated one is an equal pointer; with MIL_ARGS_MAX of them the
 * square is small. */
static rc arguments(mil_parser *s, const char *close, int *n, mil_arg **list)
{
    bool again = !mil_at(s, close), attributes = s->attributes;
    const char *what = attributes ? "attributes of one operation"
                                  : "arguments of one operation";
    int cap = 0;
    if (!again) return mil_step(s);
    while (again) {
        mil_name *key;
        mil_pos at = s->lex.tok.pos;
        TRY(one_more(s, *n, what));
        TRY(mil_grow(s->mem, list, *n, &cap, sizeof **list));
        TRY(name(s, attributes ? "an attribute's name" : "an argument's name", &key));
        for (int i = 0; i < *n; i++)
            if ((*list)[i].name == key->text)
                return mil_fail(s->program, at, E_FORMAT, "'%.64s' is given twice",
                                key->text);
        mil_arg *arg = &(*list)[(*n)++];
        arg->name = key->text;
        TRY(mil_expect(s, "=",
                       attributes ? "after an attribute's name"
                                  : "after an argument's name"));
        TRY(value(s, false, &arg->value));
        TRY(more(s, close, attributes ? "after an attribute" : "after an argument",
                 &again));
    }
    return OK;
}

/* One statement. */
static rc operation(mil_parser *s, mil_op *op)
{
    mil_name *entry, *outs[MIL_ARGS_MAX];
    int cap = 0;
    do {
        if (op->n_out) TRY(mil_step(s));
        TRY(one_more(s, op->n_out, "results of one operation"));
        TRY(mil_grow(s->mem, &op->out, op->n_out, &cap, sizeof *op->out));
        TRY(variable(s, &op->out[op->n_out], &outs[op->n_out]));
        op->n_out++;
    } while (mil_at(s, ","));
    TRY(mil_expect(s, "=", "after a variable's name"));
    op->pos = s->lex.tok.pos;
    TRY(name(s, "an operation", &entry));
    op->op = entry->text;
    TRY(mil_expect(s, "(", "after the operation"));
    TRY(arguments(s, ")", &op->n_arg, &op->arg));
    if (mil_at(s, "[")) {
        s->attributes = true;
        TRY(mil_step(s));
        TRY(arguments(s, "]", &op->n_attr, &op->attr));
        s->attributes = false;
    }
    TRY(mil_expect(s, ";", "after an operation"));
    /* Only now: an operation may not read its own results. */
    for (int i = 0; i < op->n_out; i++) TRY(define(s, outs[i], op->out[i].pos));
    return OK;
}

/* A function may have none, and more than an operation has arguments. */
static rc inputs(mil_parser *s, mil_func *f)
{
    int cap = 0;
    bool again = true;
    TRY(mil_expect(s, "(", "before the inputs of a function"));
    if (mil_at(s, ")")) return mil_step(s);
    while (again) {
        mil_name *entry;
        TRY(one_more(s, 0, "inputs"));
        TRY(mil_grow(s->mem, &f->in, f->n_in, &cap, sizeof *f->in));
        mil_var *v = &f->in[f->n_in++];
        TRY(variable(s, v, &entry));
        TRY(define(s, entry, v->pos));
        TRY(more(s, ")", "after an input", &again));
    }
    return OK;
}

/* The mark of a name turns negative once it is listed as an output. */
static rc outputs(mil_parser *s, mil_func *f)
{
    int cap = 0;
    bool again = true;
    if (s->lex.tok.kind != TOK_ARROW)
        return mil_wanted(s, "'-> (outputs)' after the body of a function");
    TRY(mil_step(s));
    TRY(mil_expect(s, "(", "before the outputs of a function"));
    while (again) {
        mil_name *entry;
        mil_pos at = s->lex.tok.pos;
        TRY(mil_grow(s->mem, &f->out, f->n_out, &cap, sizeof *f->out));
        TRY(name(s, "the name of an output", &entry));
        if (entry->mark == -s->function)
            return mil_fail(s->program, at, E_FORMAT, "output '%.64s' is listed twice",
                            entry->text);
        TRY(used(s, entry, at));
        entry->mark = -s->function;
        f->out[f->n_out++] = entry->text;
        TRY(more(s, ")", "after an output", &again));
    }
    return mil_at(s, ";") ? mil_step(s) : OK;
}

/* Each function has its own variables: its number marks those it defined. */
static rc function(mil_parser *s, mil_func *f)
{
    mil_name *entry;
    int cap = 0;
    s->function++;
    TRY(mil_expect(s, "func", "or '}' after the last function"));
    mil_pos at = s->lex.tok.pos;
    TRY(name(s, "the name of a function", &entry));
    if (mil_find_func(s->program, entry->text))
        return mil_fail(s->program, at, E_FORMAT, "function '%.64s' is defined twice",
                        entry->text);
    f->name = entry->text;
    TRY(mil_expect(s, "<", "after the function's name, as in main<ios18>"));
    TRY(name(s, "an operation set such as ios18", &entry));
    f->opset = entry->text;
    TRY(mil_expect(s, ">", "after the operation set"));
    TRY(inputs(s, f));
    TRY(mil_expect(s, "{", "before the body of a function"));
    while (!mil_at(s, "}")) {
        TRY(mil_grow(s->mem, &f->op, f->n_op, &cap, sizeof *f->op));
        TRY(operation(s, &f->op[f->n_op++]));
    }
    TRY(mil_step(s));
    return outputs(s, f);
}

/* {"key", "value"} */
static rc pair(mil_parser *s, mil_value *dict, int *cap)
{
    TRY(mil_expect(s, "{", "before a pair of a dict"));
    TRY(one_more(s, dict->n / 2, "pairs in a dict"));
    for (int i = 0; i < 2; i++) {
        TRY(mil_grow(s->mem, &dict->items, dict->n, cap, sizeof *dict->items));
        mil_value *item = &dict->items[dict->n++];
        *item = (mil_value){
            .kind = MIL_LITERAL, .pos = s->lex.tok.pos, .type = dict->type};
        if (s->lex.tok.kind != TOK_STRING) return mil_wanted(s, "a string");
        TRY(mil_tok_string(s->program, s->mem, &s->lex.tok, &item->text));
        TRY(mil_step(s));
        if (!i) TRY(mil_expect(s, ",", "after a key"));
    }
    return mil_expect(s, "}", "after a pair of a dict");
}

/* dict<string, string>, either spelling of string, kept in `old`. */
static rc dict_type(mil_parser *s, mil_value *dict)
{
    mil_type key, val;
    char a[96], b[96];
    TRY(mil_expect(s, "dict", "after buildInfo ="));
    TRY(mil_expect(s, "<", "after dict"));
    TRY(mil_parse_type(s, &key));
    TRY(mil_expect(s, ",", "after the type of a key"));
    TRY(mil_parse_type(s, &val));
    TRY(mil_expect(s, ">", "after the type of a value"));
    if (key.dtype != MIL_STRING || val.dtype != MIL_STRING || key.rank || val.rank)
        return mil_fail(s->program, dict->pos, E_FORMAT,
                        "wanted a dict of strings to strings, had dict<%s, %s>",
                        mil_type_text(a, &key), mil_type_text(b, &val));
    dict->type = key;
    dict->old = key.tensor || val.tensor;
    return OK;
}

/* [buildInfo = dict<string, string>({{"key", "value"}, ...})] */
static rc build_info(mil_parser *s, mil_value *dict)
{
    int cap = 0;
    bool again = true;
    TRY(mil_step(s));
    TRY(mil_expect(s, "buildInfo", "as the only attribute of a program"));
    TRY(mil_expect(s, "=", "after buildInfo"));
    *dict = (mil_value){.kind = MIL_DICT, .pos = s->lex.tok.pos};
    TRY(dict_type(s, dict));
    TRY(mil_expect(s, "(", "after the type of a dict"));
    TRY(mil_expect(s, "{", "before the pairs of a dict"));
    if (mil_at(s, "}")) {
        again = false;
        TRY(mil_step(s));
    }
    while (again) {
        TRY(pair(s, dict, &cap));
        TRY(more(s, "}", "after a pair of a dict", &again));
    }
    TRY(mil_expect(s, ")", "after a dict"));
    return mil_expect(s, "]", "after the attributes of a program");
}

/* "1.3", whole numbers of at most 4 digits. */
static rc version(mil_parser *s)
{
    const mil_tok *t = &s->lex.tok;
    mil_program *p = s->program;
    int part[2] = {0, 0}, digits = 0, at = 0;
    bool good = t->kind == TOK_NUMBER;
    for (size_t i = 0; good && i < t->n; i++) {
        if (t->p[i] == '.' && !at && digits) at = 1, digits = 0;
        else if (t->p[i] < '0' || t->p[i] > '9' || ++digits > 4) good = false;
        else part[at] = part[at] * 10 + t->p[i] - '0';
    }
    if (!good || !at || !digits) return mil_wanted(s, "a version such as 1.3");
    p->major = part[0], p->minor = part[1];
    return mil_step(s);
}

/* A function joins the program when it is complete, so that a search for its
 * name while it is read finds only the ones before it. */
static rc whole_program(mil_parser *s)
{
    mil_program *p = s->program;
    int cap = 0;
    TRY(mil_step(s));
    TRY(mil_expect(s, "program", "at the start of a program"));
    TRY(mil_expect(s, "(", "after program"));
    TRY(version(s));
    TRY(mil_expect(s, ")", "after the version"));
    if (mil_at(s, "[")) TRY(build_info(s, &p->build_info));
    TRY(mil_expect(s, "{", "before the functions of a program"));
    while (!mil_at(s, "}")) {
        mil_func f = {0};
        TRY(function(s, &f));
        TRY(mil_grow(s->mem, &p->func, p->n_func, &cap, sizeof *p->func));
        p->func[p->n_func++] = f;
    }
    if (!p->n_func) return mil_wanted(s, "at least one function");
    TRY(mil_step(s));
    if (s->lex.tok.kind != TOK_END) return mil_wanted(s, "nothing after the program");
    return OK;
}

rc mil_parse(arena *mem, const char *text, size_t n, const char *file, mil_program **out)
{
    mil_program *p = arena_take(mem, sizeof *p);
    if (!p) return E_MEMORY;
    p->build_info.kind = MIL_DICT;
    p->source = text, p->source_bytes = n;
    p->file = arena_text(mem, file && *file ? file : "program");
    if (!p->file) return E_MEMORY;
    if (n > MIL_TEXT_MAX)
        return mil_fail(p, (mil_pos){0, 0}, E_FORMAT,
                        "wanted at most %zu bytes of MIL text, had %zu", MIL_TEXT_MAX, n);
    mil_parser s = {.mem = mem, .program = p, .names = {.mem = mem}};
    s.lex = (mil_lex){
        .program = p, .p = text, .end = text + n, .line_start = text, .line = 1};
    TRY(whole_program(&s));
    *out = p;
    return OK;
}
