/* inspect.c - `anneal inspect FILE`: what the object says (api/inspect.h), as text:
 * plain members a line each, lists as tables, what is wrong at the end. */
#include <stdio.h>
#include <string.h>

#include "api/inspect.h"
#include "base/str.h"
#include "cli/verbs.h"

enum { COLUMNS = 16, WIDEST = 60 };

/* A value in a cell or line; "" for what is not there. */
static void cell(const json_t *v, str *out)
{
    str_clear(out);
    if (json_is_string(v)) str_add(out, json_string_value(v));
    else if (json_is_integer(v)) str_addf(out, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v)) str_addf(out, "%.6g", json_real_value(v));
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
            cell(v, text);
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

static void table(const char *name, json_t *rows, str *text)
{
    column c[COLUMNS];
    size_t n = columns_of(rows, c, text), i;
    json_t *row;
    printf("\n%s\n", name);
    for (size_t k = 0; k < n; k++) put(&c[k], c[k].name, k + 1 == n);
    putchar('\n');
    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < n; k++) {
            cell(json_object_get(row, c[k].name), text);
            put(&c[k], str_text(text), k + 1 == n);
        }
        putchar('\n');
    }
}

static bool is_table(const json_t *v)
{
    return json_is_array(v) && json_is_object(json_array_get(v, 0));
}

static void print(json_t *o)
{
    const char *key;
    json_t *v, *problems = json_object_get(o, "problems");
    size_t i;
    str text = {0};
    printf("%s: %s\n", json_string_value(json_object_get(o, "path")),
           json_string_value(json_object_get(o, "about")));
    json_object_foreach(o, key, v)
    {
        if (is_table(v) || v == problems || !strcmp(key, "path") || !strcmp(key, "about"))
            continue;
        cell(v, &text);
        printf("  %-16s %s\n", key, str_text(&text));
    }
    json_object_foreach(o, key, v) if (is_table(v) && v != problems) table(key, v, &text);
    if (json_array_size(problems)) printf("\nproblems\n");
    json_array_foreach(problems, i, v) printf("  %s\n", json_string_value(v));
    str_free(&text);
}

rc verb_inspect(args *a)
{
    json_t *o;
    TRY(args_words(a, 1, 1, "a file or a folder"));
    TRY(inspect_path(a->word[0], &o));
    if (args_has(a, "json")) return cli_put_json(o);
    print(o);
    json_decref(o);
    return OK;
}
