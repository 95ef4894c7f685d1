/* state.c - state.json: where a run stands, and what its files must hash to.
 *
 *   {"format": 1, "step": 20, ..., "files":
 *     {"model.safetensors": {"bytes": 1234, "xxh3": "0123456789abcdef"}, ...}}
 *
 * 64-bit patterns (seed, checksums) are hexadecimal texts, because JSON
 * readers may keep numbers as doubles. A number that is not finite is left
 * out, and so is an empty text of a kind that may be empty. Reals are written with 17
 * digits, which read back as the same bits. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include "base/file.h"
#include "train/state.h"

enum { FORMAT = 1, STATE_LIMIT = 1 << 20, PIECE = 1 << 20 };

typedef enum { INT64, INT, REAL, HEX, TEXT, MAYBE } field_kind;
typedef struct {
    const char *key;
    field_kind kind;
    size_t at, size;
} field;
#define AT(kind, name)                                                             \
    {                                                                              \
#name, kind, offsetof(train_state, name), sizeof(((train_state *)0)->name) \
    }
static const field fields[] = {
    AT(INT64, step),          AT(INT64, updates),
    AT(INT64, example),       AT(REAL, loss_scale),
    AT(INT64, good_steps),    AT(REAL, loss),
    AT(REAL, held_out),       AT(REAL, nats_per_byte),
    AT(INT64, held_out_step), AT(REAL, best_held_out),
    AT(INT64, best_step),     AT(REAL, wall_s),
    AT(HEX, data_checksum),   AT(HEX, seed),
    AT(INT, batch),           AT(INT, accum),
    AT(TEXT, device),         AT(TEXT, isa),
    AT(MAYBE, blas),          AT(INT, threads),
    AT(INT64, steps),         AT(REAL, lr),
    AT(MAYBE, weights),
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static json_t *hex_text(uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)v);
    return json_string(text);
}

static bool hex_value(const json_t *j, uint64_t *out)
{
    const char *text = json_string_value(j);
    unsigned long long v;
    int used = 0;
    if (!text || strlen(text) != 16) return false;
    if (sscanf(text, "%16llx%n", &v, &used) != 1 || used != 16) return false;
    *out = v;
    return true;
}

static json_t *field_json(const field *f, const train_state *s)
{
    const char *p = (const char *)s + f->at;
    int64_t whole = 0;
    uint64_t bits = 0;
    int word = 0;
    double real = 0;
    switch (f->kind) {
    case INT64:
        memcpy(&whole, p, sizeof whole);
        return json_integer(whole);
    case INT:
        memcpy(&word, p, sizeof word);
        return json_integer(word);
    case REAL:
        memcpy(&real, p, sizeof real);
        return json_real(real);
    case HEX:
        memcpy(&bits, p, sizeof bits);
        return hex_text(bits);
    case TEXT:
    case MAYBE:
        return json_string(p);
    }
    return NULL;
}

static bool field_left_out(const field *f, const train_state *s)
{
    double real;
    if (f->kind == MAYBE) return !*((const char *)s + f->at);
    if (f->kind != REAL) return false;
    memcpy(&real, (const char *)s + f->at, sizeof real);
    return !isfinite(real);
}

static bool field_read(const field *f, const json_t *j, train_state *s)
{
    char *p = (char *)s + f->at;
    int64_t whole = json_integer_value(j);
    double real = j ? json_number_value(j) : (double)NAN;
    uint64_t bits = 0;
    int word = (int)whole;
    switch (f->kind) {
    case INT64:
        memcpy(p, &whole, sizeof whole);
        return json_is_integer(j);
    case INT:
        memcpy(p, &word, sizeof word);
        return json_is_integer(j) && word == whole;
    case REAL:
        memcpy(p, &real, sizeof real);
        return !j || json_is_number(j);
    case HEX: {
        bool good = hex_value(j, &bits);
        memcpy(p, &bits, sizeof bits);
        return good;
    }
    case TEXT:
    case MAYBE:
        snprintf(p, f->size, "%s", json_is_string(j) ? json_string_value(j) : "");
    }
    return json_is_string(j) || (!j && f->kind == MAYBE);
}

static json_t *files_json(int n, const state_file *files)
{
    json_t *all = json_object();
    for (int i = 0; i < n; i++) {
        json_t *one = json_object();
        json_object_set_new(one, "bytes", json_integer((json_int_t)files[i].bytes));
        json_object_set_new(one, "xxh3", hex_text(files[i].xxh3));
        json_object_set_new(all, files[i].name, one);
    }
    return all;
}

json_t *state_json(const train_state *s, int n, const state_file *files)
{
    json_t *root = json_object();
    int bad = json_object_set_new(root, "format", json_integer(FORMAT));
    for (int i = 0; i < N_FIELDS; i++)
        if (!field_left_out(&fields[i], s))
            bad |= json_object_set_new(root, fields[i].key, field_json(&fields[i], s));
    if (s->window)
        bad |= json_object_set_new(root, "window", json_loads(s->window, 0, NULL));
    bad |= json_object_set_new(root, "files", files_json(n, files));
    if (!bad) return root;
    json_decref(root);
    return NULL;
}

rc state_write(const char *path, const train_state *s, int n, const state_file *files)
{
    json_t *root = state_json(s, n, files);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    rc r = text ? file_replace(path, text, strlen(text))
                : err_fail(E_MEMORY, "no memory for %s", path);
    free(text);
    json_decref(root);
    return r;
}

static rc read_files(arena *mem, const json_t *all, int *n, state_file **out)
{
    const char *name;
    json_t *one;
    if (!json_is_object(all)) return err_fail(E_FORMAT, "'files' is missing");
    state_file *f = arena_array(mem, json_object_size(all) + 1, sizeof *f);
    *n = 0;
    *out = f;
    if (!f) return E_MEMORY;
    json_object_foreach((json_t *)(uintptr_t)all, name, one)
    {
        const json_t *bytes = json_object_get(one, "bytes");
        f->name = arena_text(mem, name);
        if (!f->name) return E_MEMORY;
        f->bytes = (uint64_t)json_integer_value(bytes);
        if (strchr(name, '/') || !json_is_integer(bytes) ||
            !hex_value(json_object_get(one, "xxh3"), &f->xxh3))
            return err_fail(E_FORMAT, "the entry of '%.200s' is malformed", name);
        f++, (*n)++;
    }
    return OK;
}

rc state_from(arena *mem, const json_t *root, train_state *s, int *n, state_file **files)
{
    *s = (train_state){0};
    const json_t *format = json_object_get(root, "format");
    if (!json_is_integer(format)) return err_fail(E_FORMAT, "'format' is missing");
    if (json_integer_value(format) != FORMAT)
        return err_fail(E_FORMAT, "format version %lld, wanted %d",
                        (long long)json_integer_value(format), FORMAT);
    for (int i = 0; i < N_FIELDS; i++)
        if (!field_read(&fields[i], json_object_get(root, fields[i].key), s))
            return err_fail(E_FORMAT, "'%s' is missing or malformed", fields[i].key);
    if (s->step < 0) return err_fail(E_FORMAT, "'step' is negative");
    return read_files(mem, json_object_get(root, "files"), n, files);
}

rc state_read(arena *mem, const char *path, train_state *s, int *n, state_file **files)
{
    char *text;
    size_t bytes;
    json_error_t error;
    *s = (train_state){0};
    TRY(file_read(mem, path, STATE_LIMIT, &text, &bytes));
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    rc r = root ? state_from(mem, root, s, n, files)
                : err_fail(E_FORMAT, "line %d is not JSON: %s", error.line, error.text);
    json_decref(root);
    return r == OK ? OK : err_while(r, "reading %s", path);
}

rc state_window_of(arena *mem, const json_t *root, char **text)
{
    const json_t *window = json_object_get(root, "window");
    char *line = window ? json_dumps(window, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    *text = line ? arena_text(mem, line) : NULL;
    free(line);
    return window && !*text ? E_MEMORY : OK;
}

rc state_window(arena *mem, const char *path, char **text)
{
    char *all;
    size_t bytes;
    *text = NULL;
    TRY(file_read(mem, path, STATE_LIMIT, &all, &bytes));
    json_t *root = json_loadb(all, bytes, JSON_REJECT_DUPLICATES, NULL);
    rc r = state_window_of(mem, root, text);
    json_decref(root);
    return r;
}

rc state_hash(const char *path, state_file *out)
{
    XXH3_state_t *hash = XXH3_createState();
    char *piece = mem_take(PIECE);
    FILE *f = fopen(path, "rb");
    rc r = hash && piece ? OK : err_fail(E_MEMORY, "no memory to check %s", path);
    if (r == OK && !f) r = file_fail("read", path, errno);
    if (r == OK) XXH3_64bits_reset(hash);
    out->bytes = 0;
    for (size_t got; r == OK && (got = fread(piece, 1, PIECE, f)) > 0;) {
        XXH3_64bits_update(hash, piece, got);
        out->bytes += got;
    }
    if (r == OK && ferror(f)) r = file_fail("read", path, errno);
    if (r == OK) out->xxh3 = XXH3_64bits_digest(hash);
    if (f) fclose(f);
    mem_drop(piece);
    XXH3_freeState(hash);
    return r;
}
