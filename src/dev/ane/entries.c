/* entries.c - NAME.entry, a text:
 *
 *   anneal-program 1
 *   machine TEXT
 *   file kept|text|weight:N BYTES HASH NAME      for each file
 *   end HASH                                     of all that stands before
 *
 * HASH is XXH3-128 in hexadecimal. Names go to the end of the line. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include "base/str.h"
#include "dev/ane/cache.h"

enum { ENTRY_MAX = 1 << 20 };
#define FIRST_LINE "anneal-program 1\n"

static void hash_text(const char *p, size_t n, char out[33])
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64, (uint64_t)h.low64);
}

rc ane_entry_write(const char *path, const ane_entry *e)
{
    str s = {0};
    char hash[33];
    str_addf(&s, FIRST_LINE "machine %s\n", e->machine);
    for (int i = 0; i < e->n; i++) {
        const ane_kept_file *f = &e->files[i];
        if (f->as == ANE_IS_WEIGHT) str_addf(&s, "file weight:%d", f->weight);
        else str_addf(&s, "file %s", f->as == ANE_IS_TEXT ? "text" : "kept");
        str_addf(&s, " %" PRIu64 " %016" PRIx64 "%016" PRIx64 " %s\n", f->bytes,
                 f->hash[1], f->hash[0], f->name);
    }
    rc r = str_done(&s);
    if (r == OK) {
        hash_text(s.p, s.n, hash);
        str_addf(&s, "end %s\n", hash);
        r = str_done(&s);
    }
    if (r == OK) r = file_replace(path, s.p, s.n);
    str_free(&s);
    return r;
}

static rc torn(const char *path)
{
    return err_fail(E_FORMAT, "%s is not whole", path);
}

/* The line at *p without its end, which becomes a NUL; NULL if there is none. */
static char *cut_line(char **p)
{
    char *line = *p, *end = strchr(line, '\n');
    if (!end) return NULL;
    *end = 0;
    *p = end + 1;
    return line;
}

static bool read_file_line(char *line, ane_kept_file *f)
{
    char as[24];
    int at = 0;
    if (sscanf(line, "file %23s %" SCNu64 " %16" SCNx64 "%16" SCNx64 " %n", as, &f->bytes,
               &f->hash[1], &f->hash[0], &at) != 4 ||
        !at || !line[at])
        return false;
    f->name = line + at;
    if (strstr(f->name, "..") || *f->name == '/') return false;
    if (!strcmp(as, "kept")) f->as = ANE_KEPT;
    else if (!strcmp(as, "text")) f->as = ANE_IS_TEXT;
    else if (sscanf(as, "weight:%d", &f->weight) == 1) f->as = ANE_IS_WEIGHT;
    else return false;
    return true;
}

rc ane_entry_read(arena *mem, const char *path, ane_entry *out)
{
    char *text, hash[33], *line;
    size_t n, lines = 0;
    *out = (ane_entry){0};
    TRY(file_read(mem, path, ENTRY_MAX, &text, &n));
    /* "end " + 32 digits + newline; a NUL in the text makes its end differ. */
    if (n < 37 + strlen(FIRST_LINE) || memcmp(text + n - 37, "end ", 4))
        return torn(path);
    hash_text(text, n - 37, hash);
    if (memcmp(text + n - 33, hash, 32) || text[n - 1] != '\n') return torn(path);
    text[n - 37] = 0;
    for (char *p = text; *p; p++) lines += *p == '\n';
    out->files = arena_array(mem, lines + 1, sizeof *out->files);
    if (!out->files) return E_MEMORY;
    if (!str_starts(text, FIRST_LINE)) return torn(path);
    text += strlen(FIRST_LINE);
    line = cut_line(&text);
    if (!line || !str_starts(line, "machine ")) return torn(path);
    out->machine = line + 8;
    while ((line = cut_line(&text))) {
        ane_kept_file *f = &out->files[out->n];
        if (!read_file_line(line, f)) return torn(path);
        if (f->as == ANE_KEPT) out->bytes += f->bytes;
        out->n++;
    }
    return *text ? torn(path) : OK;
}
