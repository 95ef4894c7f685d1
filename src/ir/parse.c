/* parse.c - reads the text that text.c prints (the grammar is at its head).
 *
 * The text may come from anywhere, so nothing in it is believed: every number
 * is range-checked, no call recurses, memory is bounded by the length of the
 * text and VALUES_MAX, and each node is built by the constructors, whose shape
 * rules decide. Statements end with the line; '#' begins a comment. Nodes are
 * numbered from 0 in order, so a reference is looked up by its number. */
#include "ir/table.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Values of all constants of one text that are not `all v`: 128 MiB,
 * a causal mask of 4 heads over 2048 positions. */
#define VALUES_MAX ((int64_t)1 << 24)
enum { WORD_MAX = 63 };

typedef struct {
    const char *p, *end, *line_start, *file;
    int line;
    ir_graph *g;
    int64_t n_values;
    str text;     /* of the string just read */
    ir_node **in; /* operands of the node being read */
    int n_in, cap_in;
} reader;

/* ---- characters ---- */
static int column(const reader *r)
{
    return (int)(r->p - r->line_start) + 1;
}

static rc fail(reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static rc fail(reader *r, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_fail(E_FORMAT, "%s:%d:%d: %s", r->file, r->line, column(r), text);
}

static int peek(const reader *r)
{
    return r->p < r->end ? (unsigned char)*r->p : '\n';
}

static void blanks(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r')) r->p++;
    if (r->p < r->end && *r->p == '#')
        while (r->p < r->end && *r->p != '\n') r->p++;
}

/* "wanted X, had" what stands here. */
static rc expected(reader *r, const char *what)
{
    int c = peek(r);
    if (r->p >= r->end) return fail(r, "wanted %s, had the end", what);
    if (c == '\n') return fail(r, "wanted %s, had the end of the line", what);
    if (c > ' ' && c < 0x7f) return fail(r, "wanted %s, had '%c'", what, c);
    return fail(r, "wanted %s, had the byte 0x%02x", what, c);
}

static bool take(reader *r, char c)
{
    blanks(r);
    if (r->p >= r->end || *r->p != c) return false;
    r->p++;
    return true;
}

static rc need(reader *r, char c)
{
    char what[4] = {'\'', c, '\'', 0};
    return take(r, c) ? OK : expected(r, what);
}

static rc need_line_end(reader *r)
{
    blanks(r);
    if (peek(r) != '\n') return expected(r, "end of line");
    if (r->p < r->end) {
        r->line_start = ++r->p;
        r->line++;
    }
    return OK;
}

/* ---- words, numbers, strings ---- */
static bool in_word(int c, const char *more)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || (c && strchr(more, c));
}

/* Letters, digits, '_' and `more`; empty if none stand here. */
static rc word(reader *r, const char *more, char out[WORD_MAX + 1])
{
    int n = 0;
    blanks(r);
    for (; r->p < r->end && in_word((unsigned char)*r->p, more); r->p++) {
        if (n == WORD_MAX) return fail(r, "a word of more than %d letters", WORD_MAX);
        out[n++] = *r->p;
    }
    out[n] = 0;
    return OK;
}

static rc whole(reader *r, int64_t lo, int64_t hi, int64_t *out)
{
    char text[WORD_MAX + 1];
    blanks(r);
    reader start = *r;
    TRY(word(r, "-", text));
    if (!text[0]) return expected(r, "a whole number");
    if (str_to_int(text, out) != OK)
        return fail(&start, "'%s' is not a whole number", text);
    if (*out < lo || *out > hi)
        return fail(&start, "wanted %lld to %lld, had %s", (long long)lo, (long long)hi,
                    text);
    return OK;
}

static rc real(reader *r, double *out)
{
    static const struct {
        const char *text;
        double v;
    } special[] = {{"inf", INFINITY}, {"-inf", -INFINITY}, {"nan", NAN}};
    char text[WORD_MAX + 1];
    blanks(r);
    reader start = *r;
    TRY(word(r, "+-.", text));
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, special[i].text) != 0) continue;
        *out = special[i].v;
        return OK;
    }
    if (!text[0]) return expected(r, "a number");
    return str_to_real(text, out) == OK ? OK : fail(&start, "'%s' is not a number", text);
}

static int hex(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static rc escape(reader *r)
{
    int c = peek(r);
    if (c == '"' || c == '\\') {
        str_addc(&r->text, (char)c);
        r->p++;
        return OK;
    }
    int hi = c == 'x' && r->end - r->p > 2 ? hex((unsigned char)r->p[1]) : -1;
    int lo = hi >= 0 ? hex((unsigned char)r->p[2]) : -1;
    if (lo < 0 || hi + lo == 0) return expected(r, "\\\", \\\\ or \\x01 to \\xff");
    str_addc(&r->text, (char)(hi * 16 + lo));
    r->p += 3;
    return OK;
}

/* "..." into r->text. */
static rc string(reader *r)
{
    str_clear(&r->text);
    TRY(need(r, '"'));
    for (;;) {
        int c = peek(r);
        if (r->p >= r->end || c < ' ' || c == 0x7f) return expected(r, "'\"'");
        r->p++;
        if (c == '"') return str_done(&r->text);
        if (c == '\\') TRY(escape(r));
        else str_addc(&r->text, (char)c);
    }
}

static rc reference(reader *r, ir_node **out)
{
    int64_t id;
    TRY(need(r, '%'));
    if (r->g->n_nodes == 0) return fail(r, "no node stands before this one");
    TRY(whole(r, 0, r->g->n_nodes - 1, &id));
    *out = r->g->nodes[id];
    return OK;
}

/* ---- parts of a node ---- */
static rc type_and_shape(reader *r, ir_type *t, ir_shape *s)
{
    char name[WORD_MAX + 1];
    TRY(need(r, ':'));
    blanks(r);
    reader start = *r;
    TRY(word(r, "", name));
    for (*t = 0; *t < IR_TYPES; (*t)++)
        if (strcmp(name, ir_type_name(*t)) == 0) break;
    if (*t == IR_TYPES)
        return fail(&start, "wanted fp16, fp32, int32 or bool, had '%s'", name);
    *s = (ir_shape){0};
    TRY(need(r, '['));
    do {
        if (s->rank == IR_RANK) return fail(r, "a shape has at most %d axes", IR_RANK);
        TRY(whole(r, 1, IR_MAX_DIM, &s->d[s->rank++]));
    } while (take(r, ','));
    return need(r, ']');
}

static rc operands(reader *r)
{
    r->n_in = 0;
    TRY(need(r, '('));
    do {
        if (r->n_in == r->cap_in) {
            int cap = r->cap_in ? 2 * r->cap_in : 16;
            ir_node **more = mem_take((size_t)cap * sizeof *more);
            if (!more) return E_MEMORY;
            if (r->n_in) memcpy(more, r->in, (size_t)r->n_in * sizeof *more);
            mem_drop(r->in);
            r->in = more;
            r->cap_in = cap;
        }
        TRY(reference(r, &r->in[r->n_in++]));
    } while (take(r, ','));
    return need(r, ')');
}

static rc attr_list(reader *r, const ir_attr_row *row, ir_attr *a)
{
    int rank = r->in[0]->shape.rank, n = 0;
    int most = row->many == IR_MANY_RANK ? rank : row->cap;
    int64_t lo = row->kind == IR_KIND_INT ? INT_MIN : INT64_MIN;
    int64_t hi = row->kind == IR_KIND_INT ? INT_MAX : INT64_MAX, v;
    TRY(need(r, '['));
    do {
        if (n == most) return fail(r, "%s takes at most %d values", row->name, most);
        TRY(whole(r, lo, hi, &v));
        ir_attr_set_int(row, a, n++, v);
    } while (take(r, ','));
    if (row->many == IR_MANY_AXES) a->n_axes = n;
    else if (n < most) return fail(r, "%s takes %d values, got %d", row->name, most, n);
    return need(r, ']');
}

static rc attr_value(reader *r, const ir_attr_row *row, ir_attr *a)
{
    char text[WORD_MAX + 1];
    double v;
    int64_t i;
    if (row->kind == IR_KIND_REAL) {
        TRY(real(r, &v));
        ir_attr_set_real(row, a, v);
    } else if (row->kind == IR_KIND_FLAG) {
        blanks(r);
        reader start = *r;
        TRY(word(r, "", text));
        bool yes = strcmp(text, "true") == 0;
        if (!yes && strcmp(text, "false") != 0)
            return fail(&start, "%s is true or false, had '%s'", row->name, text);
        ir_attr_set_int(row, a, 0, yes);
    } else if (row->many == 1) {
        bool is_int = row->kind == IR_KIND_INT;
        TRY(whole(r, is_int ? INT_MIN : INT64_MIN, is_int ? INT_MAX : INT64_MAX, &i));
        ir_attr_set_int(row, a, 0, i);
    } else {
        return attr_list(r, row, a);
    }
    return OK;
}

static rc unknown_attr(reader *at, ir_op op, const char *name)
{
    const char *names[IR_ATTRS];
    size_t n = 0;
    for (int id = 0; id < IR_ATTRS; id++)
        if (ir_ops[op].attrs >> id & 1u) names[n++] = ir_attrs[id].name;
    const char *near = err_nearest(name, names, n);
    rc code = fail(at, "%s has no attribute '%s'", ir_op_name(op), name);
    return near ? err_hint(code, "did you mean '%s'", near) : code;
}

/* name=value ... up to ':', each attribute of the op once, in any order. */
static rc attributes(reader *r, ir_op op, ir_attr *a)
{
    const unsigned all = ir_ops[op].attrs;
    unsigned seen = 0;
    char name[WORD_MAX + 1];
    for (blanks(r); peek(r) != ':'; blanks(r)) {
        reader start = *r;
        int id = 0;
        TRY(word(r, "", name));
        if (!name[0]) return expected(r, "an attribute or ':'");
        while (id < IR_ATTRS && strcmp(ir_attrs[id].name, name) != 0) id++;
        if (id == IR_ATTRS || !(all >> id & 1u)) return unknown_attr(&start, op, name);
        if (seen >> id & 1u) return fail(&start, "attribute '%s' is given twice", name);
        seen |= 1u << id;
        TRY(need(r, '='));
        TRY(attr_value(r, &ir_attrs[id], a));
    }
    for (int id = 0; id < IR_ATTRS; id++)
        if ((all & ~seen) >> id & 1u)
            return fail(r, "%s wants the attribute '%s'", ir_op_name(op),
                        ir_attrs[id].name);
    return OK;
}

/* ---- constants ---- */
/* v or v*run ... up to '}', exactly n values. */
static rc values(reader *r, double *v, int64_t n)
{
    int64_t at = 0, run;
    while (!take(r, '}')) {
        double x;
        TRY(real(r, &x));
        run = 1;
        if (peek(r) == '*') {
            r->p++;
            TRY(whole(r, 1, INT64_MAX, &run));
        }
        if (run > n - at)
            return fail(r, "more values than the %lld of the shape", (long long)n);
        while (run-- > 0) v[at++] = x;
    }
    return at == n
               ? OK
               : fail(r, "%lld values for a shape of %lld", (long long)at, (long long)n);
}

/* The shape stands after the values, so they are read in a second visit. */
static rc listed(reader *r)
{
    ir_type t;
    ir_shape s;
    reader first = *r;
    while (r->p < r->end && *r->p != '}' && *r->p != '\n' && *r->p != '#') r->p++;
    TRY(need(r, '}'));
    TRY(type_and_shape(r, &t, &s));
    TRY_WHILE(ir_shape_check("constant", s), "while reading %s:%d:%d", r->file, r->line,
              column(r));
    int64_t n = ir_count(s);
    if (n > VALUES_MAX - r->n_values)
        return fail(r, "more than %lld listed values", (long long)VALUES_MAX);
    r->n_values += n;
    double *v = mem_take((size_t)n * sizeof *v);
    if (!v) return E_MEMORY;
    rc result = values(&first, v, n);
    if (result == OK) ir_const(r->g, t, s, v);
    mem_drop(v);
    return result;
}

static rc constant(reader *r)
{
    char text[WORD_MAX + 1];
    ir_type t;
    ir_shape s;
    double v;
    if (take(r, '{')) return listed(r);
    TRY(word(r, "", text));
    if (strcmp(text, "all") != 0) return expected(r, "'{' or all");
    TRY(real(r, &v));
    TRY(type_and_shape(r, &t, &s));
    ir_fill(r->g, t, s, v);
    return OK;
}

/* ---- statements ---- */
static rc named_leaf(reader *r, ir_op op)
{
    ir_type t;
    ir_shape s;
    TRY(string(r));
    TRY(type_and_shape(r, &t, &s));
    ir_leaf(r->g, op, str_text(&r->text), t, s);
    return OK;
}

static rc operation(reader *r, ir_op op)
{
    ir_attr a;
    ir_type t;
    ir_shape s;
    char is[64], says[64];
    memset(&a, 0, sizeof a);
    TRY(operands(r));
    TRY(attributes(r, op, &a));
    TRY(type_and_shape(r, &t, &s));
    const ir_node *n = ir_make(r->g, op, r->n_in, r->in, t, s, &a);
    if (n && (!ir_shape_eq(n->shape, s) || n->type != t))
        return fail(r, "%s gives %s%s, the text says %s%s", ir_op_name(op),
                    ir_type_name(n->type), ir_shape_text(is, n->shape), ir_type_name(t),
                    ir_shape_text(says, s));
    return OK;
}

static rc unknown_op(reader *at, const char *name)
{
    const char *names[IR_OPS];
    for (int i = 0; i < IR_OPS; i++) names[i] = ir_ops[i].name;
    const char *near = err_nearest(name, names, IR_OPS);
    rc code = fail(at, "no op '%s'", name);
    return near ? err_hint(code, "did you mean '%s'", near) : code;
}

static rc node(reader *r)
{
    char name[WORD_MAX + 1];
    int64_t id;
    reader start = *r;
    TRY(need(r, '%'));
    TRY(whole(r, 0, INT_MAX, &id));
    if (id != r->g->n_nodes)
        return fail(&start, "nodes are numbered in order: wanted %%%d, had %%%lld",
                    r->g->n_nodes, (long long)id);
    TRY(need(r, '='));
    blanks(r);
    start = *r;
    TRY(word(r, "", name));
    int op = ir_op_find(name);
    if (op < 0) return unknown_op(&start, name);
    if (op == IR_constant) return constant(r);
    return op == IR_input || op == IR_param ? named_leaf(r, (ir_op)op)
                                            : operation(r, (ir_op)op);
}

static rc scope(reader *r)
{
    char text[WORD_MAX + 1];
    TRY(string(r));
    blanks(r);
    reader start = *r;
    TRY(word(r, "", text));
    if (text[0] && strcmp(text, "backward") != 0)
        return fail(&start, "wanted backward or end of line, had '%s'", text);
    ir_scope(r->g, str_text(&r->text), text[0] != 0);
    return OK;
}

static rc output(reader *r)
{
    ir_node *n;
    TRY(string(r));
    TRY(reference(r, &n));
    ir_output(r->g, str_text(&r->text), n);
    return OK;
}

static rc statement(reader *r)
{
    char text[WORD_MAX + 1];
    blanks(r);
    reader start = *r;
    if (peek(r) == '\n') return need_line_end(r);
    if (peek(r) == '%') {
        TRY(node(r));
    } else {
        TRY(word(r, "", text));
        if (!text[0]) return expected(r, "a statement");
        bool is_scope = strcmp(text, "scope") == 0;
        if (!is_scope && strcmp(text, "output") != 0)
            return fail(&start, "wanted %%n = ..., scope or output, had '%s'", text);
        TRY(is_scope ? scope(r) : output(r));
    }
    if (ir_rc(r->g) != OK)
        return err_while(r->g->failed, "reading %s:%d:%d", r->file, start.line,
                         column(&start));
    return need_line_end(r);
}

static rc all_statements(reader *r)
{
    char text[WORD_MAX + 1];
    int64_t version;
    blanks(r);
    while (r->p < r->end && peek(r) == '\n') {
        TRY(need_line_end(r));
        blanks(r);
    }
    TRY(word(r, "", text));
    if (strcmp(text, "ir") != 0) return fail(r, "wanted 'ir 1' first");
    TRY(whole(r, 1, 1, &version));
    TRY(need_line_end(r));
    while (r->p < r->end) TRY(statement(r));
    return OK;
}

rc ir_parse(const char *text, size_t n, const char *file, ir_graph **out)
{
    reader r = {.p = text,
                .end = text + n,
                .line_start = text,
                .line = 1,
                .file = file ? file : "text",
                .g = ir_new()};
    if (!r.g) return E_MEMORY;
    rc result = all_statements(&r);
    str_free(&r.text);
    mem_drop(r.in);
    if (result == OK) *out = r.g;
    else ir_free(r.g);
    return result;
}
