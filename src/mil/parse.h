/* parse.h - what the two halves of the reader share: parse.c reads programs,
 * literal.c types and typed values. */
#ifndef MIL_PARSE_H
#define MIL_PARSE_H

#include <stdio.h>
#include "mil/mil_in.h"

typedef struct {
    arena *mem;
    mil_program *program;
    mil_lex lex;
    mil_names names;
    int function;      /* 1, 2, ...: the mark of names defined in it */
    bool attributes;   /* inside [ ... ] of an operation */
    unsigned n_values; /* against MIL_VALUES_MAX */
} mil_parser;

/* "wanted X, had TOKEN" at the current token. */
rc mil_wanted(mil_parser *s, const char *wanted);
bool mil_at(const mil_parser *s, const char *text); /* is it the current token? */
rc mil_step(mil_parser *s);                         /* to the next token */
rc mil_expect(mil_parser *s, const char *text, const char *where); /* and step past it */

/* ---- literal.c ---- */
rc mil_parse_type(mil_parser *s, mil_type *out);
/* TYPE(...), BLOBFILE among them; out->pos is set already. */
rc mil_parse_literal(mil_parser *s, mil_value *out);
/* true, 3, 0.5 or "text" without a type. */
rc mil_parse_bare(mil_parser *s, mil_value *out);

#endif
