/* inspect.h - says what a file or a folder holds: of ours, of the public formats
 * around neural engines, and of their compilers as far as that is known.
 *
 * A file may come from anywhere, and nothing of it is believed: every offset is
 * checked before it is followed, so any bytes give an answer. */
#ifndef API_INSPECT_H
#define API_INSPECT_H

#include <jansson.h>
#include "base/err.h"

/* *out: an object, the caller's to give back (json_decref), with
 *   "path", "kind" (a word), "about" (a sentence), "bytes",
 *   "problems": texts, what is wrong with it; empty for a sound file,
 * and what the kind has: plain members, and lists of objects ("tensors",
 * "chunks", "functions", "segments", "tasks" ...), one row each. A list that
 * would have more than 4096 rows is cut, which a problem says.
 * Errors are of the system alone: E_IO, E_MEMORY. */
rc inspect_path(const char *path, json_t **out);
/* The same of `n` bytes that are, or could be, the file at `path`. Tensors, tokens,
 * arrays and tokenizers have readers that open the path themselves. */
rc inspect_bytes(const char *path, const void *bytes, size_t n, json_t **out);

#endif
