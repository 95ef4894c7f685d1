/* mil_in.h - what the files of this room share, and nobody else needs. */
#ifndef MIL_MIL_IN_H
#define MIL_MIL_IN_H

#include "mil/mil.h"

/* Bounds of the reader. A program beyond them is refused, so that no text,
 * however made, takes more than about 1 GB to read. Real programs hold a few
 * thousand values; large constants belong into blobs. */
#define MIL_TEXT_MAX ((size_t)64 << 20) /* bytes of text */
#define MIL_VALUES_MAX (1u << 20)       /* variables, arguments, attributes */
#define MIL_ARGS_MAX 256                /* arguments, attributes or outputs of one op */
#define MIL_NAME_MAX 255                /* bytes of a name */

/* ---- names.c: each spelling is stored once, so equal names are one pointer */
typedef struct {
    int mark; /* the user's: e.g. the function that defined it */
    char text[];
} mil_name;
typedef struct {
    arena *mem;
    mil_name **slot;
    size_t cap, n;
} mil_names;
/* The entry of a name, made with mark 0 when new; NULL: out of memory. */
mil_name *mil_name_of(mil_names *set, const char *text, size_t n);
bool mil_is_name(const char *text); /* [A-Za-z_][A-Za-z0-9_@]*, not too long */
uint64_t mil_hash(const void *bytes, size_t n, uint64_t seed); /* FNV-1a */

/* Make room for one more element of a growing array in an arena. */
rc mil_grow(arena *mem, void *array, int n, int *cap, size_t size);

/* ---- lex.c ---- */
typedef enum { TOK_END, TOK_WORD, TOK_NUMBER, TOK_STRING, TOK_MARK, TOK_ARROW } tok_kind;
typedef struct {
    tok_kind kind;
    const char *p; /* spelling; of a string with its quotes */
    size_t n;
    mil_pos pos;
} mil_tok;
typedef struct {
    const mil_program *program; /* for errors */
    const char *p, *end, *line_start;
    int line;
    mil_tok tok; /* the current token */
} mil_lex;
rc mil_lex_next(mil_lex *l);
int mil_lex_peek(const mil_lex *l); /* byte after the current token, spaces skipped; -1 */
bool mil_tok_is(const mil_tok *t, const char *text); /* word or mark with this spelling */
const char *mil_tok_text(char out[48], const mil_tok *t); /* for messages */
/* The bytes a string token stands for, in the arena. */
rc mil_tok_string(const mil_program *p, arena *mem, const mil_tok *t, const char **out);

/* ---- number.c: one element of a literal ---- */
rc mil_number_read(const mil_program *p, const mil_tok *t, mil_dtype d, void *out);
void mil_number_print(str *out, mil_dtype d, const void *element);

/* ---- print.c ---- */
void mil_print_value(str *out, const mil_value *v);
void mil_print_type(str *out, const mil_type *t);

#endif
