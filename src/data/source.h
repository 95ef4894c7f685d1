/* source.h - the user's text, as documents, without holding it in memory.
 *
 * A source is made by one pass over the files. It knows for each document the
 * file, the place and the length (24 bytes of memory each), never the text.
 * Documents are the parts between <|endoftext|> marks; parts of white space
 * alone are left out. The unit of the held-out split is the file when there
 * are several, else the part. */
#ifndef DATA_SOURCE_H
#define DATA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"

#define END_MARK "<|endoftext|>"
#define END_MARK_N 13

typedef struct {
    const char *path;
    uint64_t size;
    int64_t mtime_ns;
    bool listed; /* found in a folder: left out, not refused, when binary */
    bool binary;
} source_file;

typedef struct {
    uint64_t at, n; /* bytes of the file */
    uint32_t file;
    bool held;
} source_doc;

typedef struct {
    arena *mem;
    source_file *file;
    size_t n_files, cap_files;
    source_doc *doc;
    size_t n_docs, cap_docs;
    uint64_t units; /* what the split counts: files, or parts of one file */
    uint64_t bytes, held_bytes;
} source;

/* List the files of the paths (folders recursively, by name, without hidden
 * names), sizes and times only. Errors: a path that cannot be read (E_IO), no
 * file in a folder (E_FORMAT). Give back with source_close, also after an
 * error. */
rc source_list(source *s, int n_paths, const char *const *paths);
/* Read everything once and find the documents. Errors: E_IO; a zero byte in a
 * file that was named (E_FORMAT); nothing but white space (E_FORMAT). */
rc source_scan(source *s);
/* Mark about `fraction` of the bytes as held out (source_split.c). */
rc source_split(source *s, double fraction, uint64_t seed);
void source_close(source *s);

/* Reading one document after the other, in pieces. */
typedef struct {
    const source *s;
    int fd;
    uint32_t file;
    const source_doc *doc;
    uint64_t done; /* bytes of the document given so far */
} source_reader;
void source_reader_start(source_reader *r, const source *s);
rc source_reader_seek(source_reader *r, const source_doc *doc);
/* Up to `n` bytes; *got < n only at the end of the document. */
rc source_read(source_reader *r, char *p, size_t n, size_t *got);
void source_reader_stop(source_reader *r);

#endif
