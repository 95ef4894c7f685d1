/* literal.c - types and typed values of the reader.
 *
 *   type     = DTYPE | "tensor" "<" DTYPE "," "[" [ INT { "," INT } ] "]" ">"
 *   literal  = type "(" content ")"
 *   content  = STRING | element | list | nested | blob
 *   list     = "[" [ element { "," element } ] "]"       row-major, any rank
 *   nested   = brackets as deep as the rank, with the sizes of the type
 *   blob     = "BLOBFILE" "(" "path" "=" string "," "offset" "=" integer ")"
 *
 * One element without brackets for a tensor of another size than 1 is a splat.
 * Bare values (transpose_y = true, axis = 1) have the type their spelling has:
 * bool, int32, fp32, string. */
#include <string.h>
#include "mil/parse.h"

/* An unknown word gets the nearest known one as a hint: a slip in a type is
 * the most usual fault in text written by hand. */
static rc dtype(mil_parser *s, mil_dtype *out)
{
    const mil_tok *t = &s->lex.tok;
    const char *known[MIL_DTYPE_COUNT + 1];
    char word[48];
    if (t->kind != TOK_WORD)
        return mil_wanted(s, "a type such as fp16 or tensor<fp16, [1]>");
    for (int d = 0; d < MIL_DTYPE_COUNT; d++) {
        known[d] = mil_dtype_text((mil_dtype)d);
        if (!mil_tok_is(t, known[d])) continue;
        *out = (mil_dtype)d;
        return mil_step(s);
    }
    known[MIL_DTYPE_COUNT] = "tensor";
    snprintf(word, sizeof word, "%.*s", (int)(t->n < 40 ? t->n : 40), t->p);
    const char *near = err_nearest(word, known, MIL_DTYPE_COUNT + 1);
    mil_fail(s->program, t->pos, E_FORMAT, "no type is called '%s'", word);
    return near ? err_hint(E_FORMAT, "did you mean '%s'?", near) : E_FORMAT;
}

/* MIL itself knows '?' and symbols; the engine's compiler takes neither. */
static rc dimension(mil_parser *s, int64_t *out)
{
    const mil_tok *t = &s->lex.tok;
    if (mil_at(s, "?") || t->kind == TOK_WORD) {
        mil_wanted(s, "a size known beforehand");
        return err_hint(E_FORMAT, "sizes that vary do not run on the engine: "
                                  "write one program per size");
    }
    TRY(mil_number_read(s->program, t, MIL_INT64, out));
    if (*out < 0) return mil_wanted(s, "a size of at least 0");
    return mil_step(s);
}

static rc dimensions(mil_parser *s, mil_type *out)
{
    TRY(mil_expect(s, "[", "before the sizes of a tensor"));
    while (!mil_at(s, "]")) {
        if (out->rank) TRY(mil_expect(s, ",", "or ']' after a size"));
        if (out->rank == MIL_RANK)
            return mil_fail(s->program, s->lex.tok.pos, E_FORMAT,
                            "wanted at most %d sizes, had more", (int)MIL_RANK);
        TRY(dimension(s, &out->d[out->rank]));
        out->rank++;
    }
    return mil_step(s);
}

/* Counting the elements here, once, means that no later product of sizes can
 * overflow. */
rc mil_parse_type(mil_parser *s, mil_type *out)
{
    mil_pos at = s->lex.tok.pos;
    *out = (mil_type){0};
    out->tensor = mil_at(s, "tensor");
    if (!out->tensor) return dtype(s, &out->dtype);
    TRY(mil_step(s));
    TRY(mil_expect(s, "<", "after tensor"));
    TRY(dtype(s, &out->dtype));
    TRY(mil_expect(s, ",", "after the type of the elements"));
    TRY(dimensions(s, out));
    TRY(mil_expect(s, ">", "after the sizes of a tensor"));
    if (mil_count(out) < 0)
        return mil_fail(s->program, at, E_FORMAT, "a tensor of more than 2^63 elements");
    return OK;
}

/* A list being filled: `room` elements were reserved, `n` are there. */
typedef struct {
    char *data;
    size_t room, n, width;
    const mil_type *type;
} filler;

/* One more element. Only a list that is too long can meet a full reserve. */
static rc element(mil_parser *s, filler *f)
{
    if (f->n == f->room) {
        char type[96];
        return mil_fail(s->program, s->lex.tok.pos, E_FORMAT,
                        "%s has %lld elements, and more are listed",
                        mil_type_text(type, f->type), (long long)mil_count(f->type));
    }
    TRY(mil_number_read(s->program, &s->lex.tok, f->type->dtype,
                        f->data + f->n * f->width));
    f->n++;
    return mil_step(s);
}

/* Enters after '['. */
static rc flat_list(mil_parser *s, filler *f)
{
    bool again = !mil_at(s, "]");
    while (again) {
        TRY(element(s, f));
        again = mil_at(s, ",");
        if (again) TRY(mil_step(s));
    }
    if (!mil_at(s, "]")) return mil_wanted(s, "',' or ']' after an element");
    int64_t want = mil_count(f->type);
    if ((uint64_t)want != f->n) {
        char type[96];
        return mil_fail(s->program, s->lex.tok.pos, E_FORMAT,
                        "%s has %lld elements, but the list has %zu",
                        mil_type_text(type, f->type), (long long)want, f->n);
    }
    return mil_step(s);
}

/* Enters after '[': exactly d[axis] rows (or elements, on the last axis). */
static rc nested_list(mil_parser *s, filler *f, int axis)
{
    const mil_type *t = f->type;
    int64_t n = 0;
    bool again = !mil_at(s, "]");
    while (again) {
        if (axis == t->rank - 1) TRY(element(s, f));
        else {
            TRY(mil_expect(s, "[", "before a row of a nested list"));
            TRY(nested_list(s, f, axis + 1));
        }
        n++;
        again = mil_at(s, ",");
        if (again) TRY(mil_step(s));
    }
    if (!mil_at(s, "]")) return mil_wanted(s, "',' or ']' in a nested list");
    if (n != t->d[axis]) {
        char type[96];
        return mil_fail(s->program, s->lex.tok.pos, E_FORMAT,
                        "axis %d of %s has size %lld, but the list has %lld", axis,
                        mil_type_text(type, t), (long long)t->d[axis], (long long)n);
    }
    return mil_step(s);
}

/* Reserve for what the type says, but never more than the text can still
 * hold (an element and its comma are two bytes): a claim costs nothing. */
static rc reserve(mil_parser *s, const mil_type *t, filler *f)
{
    size_t left = (size_t)(s->lex.end - s->lex.tok.p) / 2 + 1;
    uint64_t want = (uint64_t)mil_count(t);
    f->type = t;
    f->width = mil_dtype_bytes(t->dtype);
    f->room = want < left ? (size_t)want : left;
    f->data = arena_array(s->mem, f->room, f->width);
    return f->data ? OK : E_MEMORY;
}

/* What stands between the parentheses of a numeric type. The first bracket
 * after the first decides between a nested and a flat list. */
static rc numbers(mil_parser *s, mil_value *out)
{
    filler f = {0};
    mil_type one = {.dtype = out->type.dtype};
    bool list = mil_at(s, "[");
    out->splat = !list && mil_count(&out->type) != 1;
    TRY(reserve(s, out->splat ? &one : &out->type, &f));
    out->data = f.data;
    if (!list) return element(s, &f);
    if (!out->type.rank) return mil_wanted(s, "one value without brackets");
    TRY(mil_step(s));
    return mil_at(s, "[") ? nested_list(s, &f, 0) : flat_list(s, &f);
}

static rc quoted(mil_parser *s, const char **out)
{
    if (s->lex.tok.kind != TOK_STRING) return mil_wanted(s, "a string in double quotes");
    TRY(mil_tok_string(s->program, s->mem, &s->lex.tok, out));
    return mil_step(s);
}

/* string("...") or uint64(64), in either spelling of the type; `old` tells. */
static rc blob_field(mil_parser *s, mil_dtype want, bool *old, void *out)
{
    mil_type t;
    char had[96];
    mil_pos at = s->lex.tok.pos;
    TRY(mil_parse_type(s, &t));
    if (t.dtype != want || t.rank)
        return mil_fail(s->program, at, E_FORMAT, "wanted %s(...) here, had %s",
                        mil_dtype_text(want), mil_type_text(had, &t));
    *old = t.tensor;
    TRY(mil_expect(s, "(", "after the type"));
    if (want == MIL_STRING) TRY(quoted(s, out));
    else {
        TRY(mil_number_read(s->program, &s->lex.tok, want, out));
        TRY(mil_step(s));
    }
    return mil_expect(s, ")", "after the value");
}

/* Only the reference: the file itself is read and checked by mil_blob_read,
 * when somebody knows where it is. */
static rc blob(mil_parser *s, mil_value *out)
{
    bool have_path = false, have_offset = false, again = true;
    out->kind = MIL_BLOB;
    if (!mil_dtype_bytes(out->type.dtype))
        return mil_wanted(s, "a string in double quotes");
    TRY(mil_step(s));
    TRY(mil_expect(s, "(", "after BLOBFILE"));
    while (again) {
        bool path = mil_at(s, "path"), *have = path ? &have_path : &have_offset;
        if ((!path && !mil_at(s, "offset")) || *have)
            return mil_wanted(s, "path = and offset =, once each");
        *have = true;
        TRY(mil_step(s));
        TRY(mil_expect(s, "=", "after the name of a field"));
        if (path) TRY(blob_field(s, MIL_STRING, &out->old, &out->text));
        else TRY(blob_field(s, MIL_UINT64, &out->old, &out->offset));
        again = mil_at(s, ",");
        if (again) TRY(mil_step(s));
    }
    if (!have_path) return mil_wanted(s, "path = string(\"...\") in BLOBFILE");
    if (!have_offset) return mil_wanted(s, "offset = uint64(...) in BLOBFILE");
    return mil_expect(s, ")", "after BLOBFILE");
}

/* A tensor of strings of rank 1 and more exists in MIL, and no operation of
 * the engine takes one. */
rc mil_parse_literal(mil_parser *s, mil_value *out)
{
    out->kind = MIL_LITERAL;
    TRY(mil_parse_type(s, &out->type));
    TRY(mil_expect(s, "(", "after the type of a literal"));
    if (mil_at(s, "BLOBFILE")) TRY(blob(s, out));
    else if (out->type.dtype != MIL_STRING) TRY(numbers(s, out));
    else if (out->type.rank)
        return mil_fail(s->program, out->pos, E_FORMAT,
                        "a tensor of strings has one value, of rank 0");
    else TRY(quoted(s, &out->text));
    return mil_expect(s, ")", "after a literal");
}

/* Is a number token a whole number without exponent? */
static bool looks_whole(const mil_tok *t)
{
    size_t i = *t->p == '-' || *t->p == '+';
    for (; i < t->n; i++)
        if (t->p[i] < '0' || t->p[i] > '9') return false;
    return true;
}

/* A spelling without a type; printed, it gets one. */
rc mil_parse_bare(mil_parser *s, mil_value *out)
{
    const mil_tok *t = &s->lex.tok;
    out->kind = MIL_LITERAL;
    out->type.dtype = t->kind == TOK_STRING ? MIL_STRING
                      : t->kind == TOK_WORD ? MIL_BOOL
                      : looks_whole(t)      ? MIL_INT32
                                            : MIL_FP32;
    return t->kind == TOK_STRING ? quoted(s, &out->text) : numbers(s, out);
}
