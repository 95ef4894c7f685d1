/* inspect.c - `anneal inspect FILE`: what the object says (api/inspect.h), as text:
 * plain members a line each, lists as tables, what is wrong at the end. */
#include <stdio.h>
#include <string.h>

#include "api/inspect.h"
#include "base/str.h"
#include "cli/verbs.h"

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
        cli_cell(v, &text);
        printf("  %-16s %s\n", key, str_text(&text));
    }
    json_object_foreach(o, key, v) if (is_table(v) && v != problems) cli_table(key, v);
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
