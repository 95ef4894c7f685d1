/* table.c - a list of JSON objects as a table: a column for each key, in the order
 * they are first met, numbers to the right. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/verbs.h"

enum { COLUMNS = 16, WIDEST = 60 };

/* A value in a cell or line; "" for what is not there. */
void cli_cell(const json_t *v, str *out)
{
    str_clear(out);
    if (json_is_string(v)) str_add(out, json_string_value(v));
    else if (json_is_integer(v)) str_addf(out, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v)) str_addf(out, "%.5g", json_real_value(v));
    else if (json_is_boolean(v)) str_add(out, json_is_true(v) ? "yes" : "no");
    else if (json_is_array(v)) {
        const json_t *item;
        size_t i;
        str_addc(out, '[');
        json_array_foreach((json_t *)v, i, item)
        {
            if (i) str_addc(out, ',');
            if (json_is_integer(item))
                str_addf(out, "%lld", (long long)json_integer_value(item));
        }
        str_addc(out, ']');
    }
}

typedef struct {
    const char *name;
    size_t wide;
    bool number; /* right-aligned */
} column;

static size_t columns_of(json_t *rows, column *c, str *text)
{
    size_t n = 0, i, k;
    json_t *row, *v;
    const char *key;
    json_array_foreach(rows, i, row)
    {
        json_object_foreach(row, key, v)
        {
            for (k = 0; k < n && strcmp(c[k].name, key); k++) continue;
            if (k == COLUMNS) continue;
            if (k == n) c[n++] = (column){key, strlen(key), json_is_number(v)};
            cli_cell(v, text);
            if (text->n > c[k].wide) c[k].wide = text->n;
            if (c[k].wide > WIDEST) c[k].wide = WIDEST;
        }
    }
    return n;
}

static void put(const column *c, const char *text, bool last)
{
    /* what is too wide is whole only at the end of a line */
    int most = last ? (int)strlen(text) : WIDEST;
    if (c->number) printf("  %*.*s", (int)c->wide, most, text);
    else if (last) printf("  %s", text);
    else printf("  %-*.*s", (int)c->wide, most, text);
}

void cli_table(const char *name, json_t *rows)
{
    column c[COLUMNS];
    str words = {0}, *text = &words;
    size_t n = columns_of(rows, c, text), i;
    json_t *row;
    printf("\n%s\n", name);
    for (size_t k = 0; k < n; k++) put(&c[k], c[k].name, k + 1 == n);
    putchar('\n');
    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < n; k++) {
            cli_cell(json_object_get(row, c[k].name), text);
            put(&c[k], str_text(text), k + 1 == n);
        }
        putchar('\n');
    }
    str_free(text);
}
