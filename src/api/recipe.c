/* recipe.c - settings from text and back: lines of `section.key = value`, and the
 * same as JSON. What is printed reads back as the same settings. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/config.h"
#include "base/arena.h"
#include "base/event.h"
#include "base/file.h"

enum { RECIPE_LIMIT = 1 << 20 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static char *skip_space(char *p)
{
    while (is_space(*p)) p++;
    return p;
}

/* A value in quotes, for paths with ' #' or spaces at their ends: \" \\ \n \r
 * and \t stand for what they do in C. Written over itself. */
static rc unquote(char *p, char **text)
{
    static const char marks[] = "\"\\nrt", means[] = "\"\\\n\r\t";
    char *to = p++;
    for (*text = to; *p != '"'; p++) {
        const char *m = *p == '\\' && p[1] ? strchr(marks, p[1]) : NULL;
        if (!*p) return err_fail(E_CONFIG, "a value in quotes has no end");
        if (*p == '\\' && !m)
            return err_fail(E_CONFIG, "wanted \\\" \\\\ \\n \\r or \\t, had '\\%c'",
                            p[1]);
        *to++ = m ? means[m - marks] : *p;
        p += m != NULL;
    }
    char *rest = skip_space(p + 1);
    *to = 0;
    return !*rest || *rest == '#'
               ? OK
               : err_fail(E_CONFIG, "nothing may follow a value in quotes, had '%.20s'",
                          rest);
}

/* Where a comment begins: '#' at the start of the line or after white space. */
static char *comment_in(char *p, const char *line)
{
    for (; *p; p++)
        if (*p == '#' && (p == line || is_space(p[-1]))) return p;
    return p;
}

/* Ends the text at `end`, or before if white space stands there. */
static void cut(char *text, char *end)
{
    while (end > text && is_space(end[-1])) end--;
    *end = 0;
}

/* One line without its newline, split at '='. An empty key: nothing on it. */
static rc split_line(char *line, char **key, char **text)
{
    *key = line = skip_space(line);
    char *comment = comment_in(line, line), *eq = strchr(line, '=');
    if (!eq || eq > comment) {
        cut(line, comment);
        if (!*line) return OK;
        return err_fail(E_CONFIG, "wanted 'section.key = value', had '%.60s'", line);
    }
    *text = skip_space(eq + 1);
    cut(line, eq);
    if (**text == '"') return unquote(*text, text);
    cut(*text, comment_in(*text, line));
    return OK;
}

/* A recipe may come from anybody: it names no library to be run, nor a folder
 * from which compiled programs are taken. */
static rc take_setting(config *c, const char *key, const char *value)
{
    if (!strcmp(key, opt_at(OPT_device_state)->name) && *value) {
        err_fail(E_CONFIG, "a recipe may not name a folder of one machine, had '%s'",
                 value);
        return err_hint(E_CONFIG, "on the command line: device.state=%s", value);
    }
    if (strcmp(key, opt_at(OPT_device_uri)->name) || !strstr(value, "lib="))
        return config_set(c, key, value);
    err_fail(E_CONFIG, "a recipe may not name a device's library, had '%s'", value);
    return err_hint(E_CONFIG, "on the command line: -d %s", value);
}

static rc take_line(config *c, char *text, const char *name, int line)
{
    char *key, *value = text;
    err_saved why;
    rc e = split_line(text, &key, &value);
    if (!e && *key) e = take_setting(c, key, value);
    if (!e) return OK;
    err_save(e, &why);
    return err_fail(e, "%s:%d: %s", name, line, why.text);
}

rc config_parse(config *c, const char *text, size_t n, const char *name)
{
    if (memchr(text, 0, n)) return err_fail(E_CONFIG, "%s: not a text file", name);
    arena *mem = arena_new();
    char *p = mem ? arena_textn(mem, text, n) : NULL;
    rc e = p ? OK : E_MEMORY;
    for (int line = 1; !e && p; line++) {
        char *next = strchr(p, '\n');
        if (next) *next++ = 0;
        e = take_line(c, p, name, line);
        p = next;
    }
    arena_free(mem);
    return e;
}

rc config_read(config *c, const char *path)
{
    char *text;
    size_t n;
    arena *mem = arena_new();
    rc e = mem ? file_read(mem, path, RECIPE_LIMIT, &text, &n) : E_MEMORY;
    e = e ? err_while(e, "reading recipe %s", path) : config_parse(c, text, n, path);
    arena_free(mem);
    return e;
}

/* The words of a device's URI that name no library: what is saved is a recipe
 * again, and may be sent to anybody. */
static void add_without_library(str *out, const char *uri)
{
    size_t n = strcspn(uri, ":");
    char mark = ':';
    str_addn(out, uri, n);
    for (const char *word = uri + n; *word; word += strcspn(word, ",")) {
        word++;
        if (str_starts(word, "lib=")) continue;
        str_addc(out, mark);
        str_addn(out, word, strcspn(word, ","));
        mark = ',';
    }
}

/* What a setting is in a recipe: that of a machine's own folder is left out. */
static const char *saved_text(const config *c, opt_id id)
{
    return id == OPT_device_state ? "" : config_text(c, id);
}

/* A value as split_line reads it back. */
static void add_value(str *out, const char *text)
{
    static const char marks[] = "\"\\nrt", means[] = "\"\\\n\r\t";
    size_t n = strlen(text);
    bool quote = *text == '"' || *text == '#' || strpbrk(text, "\n\r\t") ||
                 strstr(text, " #") || (n && (*text == ' ' || text[n - 1] == ' '));
    if (!quote) {
        str_add(out, text);
        return;
    }
    str_addc(out, '"');
    for (; *text; text++) {
        const char *m = strchr(means, *text);
        if (m) str_addf(out, "\\%c", marks[m - means]);
        else str_addc(out, *text);
    }
    str_addc(out, '"');
}

rc config_print(const config *c, str *out)
{
    const char *section = "";
    for (int i = 0; i < OPT_COUNT; i++) {
        if (strcmp(section, opt_at((opt_id)i)->section)) {
            section = opt_at((opt_id)i)->section;
            str_addf(out, "%s# %s: %s\n", i ? "\n" : "", section,
                     opt_section_title(section));
        }
        size_t before = out->n;
        str_addf(out, "%s = ", opt_at((opt_id)i)->name);
        if (i == OPT_device_uri) {
            str uri = {0};
            add_without_library(&uri, config_text(c, (opt_id)i));
            add_value(out, str_text(&uri));
            out->bad |= uri.bad;
            str_free(&uri);
        } else {
            add_value(out, saved_text(c, (opt_id)i));
        }
        int used = (int)(out->n - before);
        str_addf(out, "%*s # %s\n", used < 34 ? 34 - used : 0, "",
                 opt_at((opt_id)i)->help);
    }
    return str_done(out);
}

rc config_dump(const config *c, str *out)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        str_add(out, config_text(c, (opt_id)i));
        str_addc(out, 0);
    }
    return str_done(out);
}

rc config_undump(config *c, const char *p, size_t n)
{
    const char *end = p + n;
    for (int i = 0; i < OPT_COUNT; i++) {
        const char *nul = p < end ? memchr(p, 0, (size_t)(end - p)) : NULL;
        if (!nul) return err_fail(E_FORMAT, "%d settings, wanted %d", i, OPT_COUNT);
        TRY(config_set(c, opt_at((opt_id)i)->name, p));
        p = nul + 1;
    }
    return OK;
}

/* A JSON string of any bytes; the event builder knows how to escape. */
static rc add_json_text(str *out, const char *text)
{
    event e = {{0}};
    event_begin(&e, 0, "x");
    event_text(&e, "v", text);
    rc bad = event_end(&e);
    const char *v = bad ? NULL : strstr(str_text(&e.line), "\"v\":");
    if (v) str_addn(out, v + 4, strlen(v) - 5);
    event_free(&e);
    return bad;
}

rc config_json(const config *c, str *out)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        str_addf(out, "%s\"%s\":", i ? "," : "{", opt_at((opt_id)i)->name);
        switch (opt_at((opt_id)i)->kind) {
        case OPT_INT:
            str_addf(out, "%" PRId64, config_int(c, (opt_id)i));
            break;
        case OPT_REAL:
            str_add_real(out, config_real(c, (opt_id)i));
            break;
        case OPT_BOOL:
            str_add(out, config_bool(c, (opt_id)i) ? "true" : "false");
            break;
        default:
            TRY(add_json_text(out, saved_text(c, (opt_id)i)));
        }
    }
    str_addc(out, '}');
    return str_done(out);
}
