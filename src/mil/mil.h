/* mil.h - MIL text and weight blobs, out and in.
 *
 * MIL text is the boundary everything hangs on: the program a device takes.
 *
 *   program(1.3)
 *   [buildInfo = dict<string, string>({{"k", "v"}})]
 *   { func main<ios18>(tensor<fp16, [1,64,1,32]> x) {
 *         tensor<fp16, [1,64,1,32]> y = relu(x = x)[name = string("y")];
 *     } -> (y); }
 *
 * This room knows the grammar and the blob layout, not which op exists, which
 * chip runs it, nor any hardware rule. Everything parsed or built lives in the
 * caller's arena. Source of the grammar: coremltools MIL, maderix/ANE. */
#ifndef MIL_MIL_H
#define MIL_MIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/half.h"
#include "base/str.h"
#include "ir/ir.h"

/* Element types: spelling in text, bytes (0 = not fixed), blob code (0 none). */
/* clang-format off */
#define MIL_DTYPES(X)           \
    X(FP16,   "fp16",   2, 1)   \
    X(FP32,   "fp32",   4, 2)   \
    X(UINT8,  "uint8",  1, 3)   \
    X(INT8,   "int8",   1, 4)   \
    X(BF16,   "bf16",   2, 5)   \
    X(INT16,  "int16",  2, 6)   \
    X(UINT16, "uint16", 2, 7)   \
    X(INT32,  "int32",  4, 14)  \
    X(UINT32, "uint32", 4, 15)  \
    X(INT64,  "int64",  8, 0)   \
    X(UINT64, "uint64", 8, 0)   \
    X(BOOL,   "bool",   1, 0)   \
    X(STRING, "string", 0, 0)
/* clang-format on */
typedef enum {
#define X(id, text, bytes, blob) MIL_##id,
    MIL_DTYPES(X)
#undef X
        MIL_DTYPE_COUNT
} mil_dtype;
enum { MIL_RANK = 8 };

typedef struct {
    mil_dtype dtype;
    bool tensor;         /* "tensor<fp16, [1]>" against plain "fp16" */
    int rank;            /* 0 for a scalar, also tensor<fp16, []> */
    int64_t d[MIL_RANK]; /* >= 0; unknown "?" dims are refused */
} mil_type;
int64_t mil_count(const mil_type *t); /* elements, 1 for scalars; -1 on overflow */
bool mil_type_eq(const mil_type *a, const mil_type *b); /* tensor<T,[]> equals T */
const char *mil_type_text(char out[96], const mil_type *t);
const char *mil_dtype_text(mil_dtype d);
size_t mil_dtype_bytes(mil_dtype d);
/* Element i of an array: as a number (0 for types without one), and from a
 * number, rounded to nearest; whole types saturate and take 0 for NaN. Written
 * are types that surfaces hold: others as uint8. */
double mil_element(mil_dtype t, const void *p, size_t i);
void mil_set_element(mil_dtype t, void *p, size_t i, double x);

/* Where something stands in the text, for errors with a caret. */
typedef struct {
    int line, column;
} mil_pos;

typedef enum { MIL_REF, MIL_LIST, MIL_LITERAL, MIL_BLOB, MIL_DICT } mil_kind;
typedef struct mil_value mil_value;
struct mil_value {
    mil_kind kind;
    mil_pos pos;
    const char *ref; /* REF: variable name */
    int n;
    mil_value *items; /* LIST: (a, b); DICT: keys and values alternate */
    mil_type type;    /* LITERAL, BLOB */
    /* LITERAL: mil_count elements packed in dtype (fp16 as half; bool bytes;
     * ints as their width); a string literal has text instead. One element for
     * a whole tensor means "splat" and has splat = true. */
    const void *data;
    bool splat;
    const char *text; /* LITERAL string; BLOB: path */
    uint64_t offset;  /* BLOB: of the chunk header */
    bool old;         /* BLOB, DICT: inner types as tensor<string, []> */
};
typedef struct {
    const char *name;
    mil_value value;
} mil_arg;
typedef struct {
    const char *name;
    mil_type type;
    mil_pos pos;
} mil_var;
typedef struct {
    const char *op; /* "matmul", "const", ... */
    mil_pos pos;
    int n_out;
    mil_var *out;
    int n_arg;
    mil_arg *arg; /* in text order */
    int n_attr;
    mil_arg *attr; /* the [name = string("...")] list */
} mil_op;
typedef struct {
    const char *name, *opset; /* "main", "ios18" */
    int n_in;
    mil_var *in;
    int n_op;
    mil_op *op;
    int n_out;
    const char **out;
} mil_func;
typedef struct {
    int major, minor;     /* program(1.3) */
    mil_value build_info; /* DICT or n = 0 */
    int n_func;
    mil_func *func;
    const char *file; /* for messages */
    const char *source;
    size_t source_bytes; /* for carets; may be NULL */
} mil_program;

/* Parse; every error but E_MEMORY is E_FORMAT, "file:line:col: ..." with the
 * source line and a caret under it. Checks the grammar and that every reference is
 * defined before use and defined once; not op names. `text` must outlive the program. */
rc mil_parse(arena *mem, const char *text, size_t n, const char *file, mil_program **out);
/* Append the canonical text; parse(print(p)) prints the same bytes. */
rc mil_print(const mil_program *p, str *out);
/* An error about a place in the program, with line, column, caret. */
rc mil_fail(const mil_program *p, mil_pos at, rc code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

const mil_func *mil_find_func(const mil_program *p, const char *name); /* NULL = first */
const mil_value *mil_arg_of(const mil_op *op, const char *name); /* NULL if absent */
const mil_value *mil_attr_of(const mil_op *op, const char *name);

/* ---- weight blobs, v2 (official layout: 64-byte header {u32 count, u32
 * version=2}; per blob a 64-byte record {u32 0xDEADBEEF, u32 dtype, u64 bytes,
 * u64 offset of data from the file's start, u64 padding bits, 4 x u64} on a
 * 64-byte boundary, data on the next) ---- */
typedef struct {
    const char *path;
    const void *bytes;
    size_t size;
} mil_blob_file; /* path "@model_path/weights/x.bin" */
typedef struct mil_blob_writer mil_blob_writer;
rc mil_blob_new(mil_blob_writer **out);
/* Append a chunk; *offset is what BLOBFILE(offset=) must say. */
rc mil_blob_add(mil_blob_writer *w, mil_dtype t, const void *data, size_t bytes,
                uint64_t *offset);
/* The file's bytes, owned by the writer until mil_blob_free. */
rc mil_blob_bytes(mil_blob_writer *w, const void **bytes, size_t *n);
void mil_blob_free(mil_blob_writer *w);
/* Strict reading of the chunk whose header is at `offset`: *data points into
 * `bytes`. Every field that does not fit is E_FORMAT. */
rc mil_blob_read(const void *bytes, size_t n, uint64_t offset, mil_dtype want,
                 size_t want_bytes, const void **data);
/* Number of chunks and their header offsets, walking the file. */
rc mil_blob_list(arena *mem, const void *bytes, size_t n, uint64_t **offsets,
                 size_t *count);

/* Read every weight file the program names into `mem`: the file NAME under
 * `weights_dir` for "@model_path/weights/NAME". A path of another form, or one
 * that leads out of the folder, is E_FORMAT; a folder of NULL is fine for a
 * program without weight files. */
rc mil_load_blobs(arena *mem, const mil_program *p, const char *weights_dir,
                  mil_blob_file **files, int *n);

/* ---- graph to MIL ---- */
typedef struct {
    bool old_spelling;     /* program(1.0)/ios16 with tensor<string, []> (M1/M2) */
    const char *blob_path; /* "@model_path/weights/weight.bin" */
    size_t inline_max;     /* constants of more elements go to the blob (default 64) */
    /* Constants in one blob file of several chunks, or (M1: several chunks in
     * a file fail) one file each: path with a number before ".bin". */
    bool blob_each;
} mil_emit_options;
typedef struct {
    mil_program *program; /* without places: nothing to point at with a caret */
    str text;             /* the caller's: str_free */
    int n_files;
    mil_blob_file *files; /* bytes live in mem */
} mil_emitted;
/* `g` is in the device dialect, and may be freed afterwards. Inputs and params
 * become function inputs in node order, used or not; a param that `baked` has
 * values for becomes a constant in a weight file instead. Inputs, params and
 * outputs keep their names, which must be identifiers. Risky names (var, mean,
 * std, eps, x..c, those imperatormk/ane-train lists) are never made up. Equal
 * graphs give equal text, whatever the baked values. `o` may be NULL. A finite
 * constant beyond its type is E_NUMERIC, an op without a spelling E_UNIMPL. */
rc mil_emit(arena *mem, const ir_graph *g, const mil_emit_options *o, int n_baked,
            const ir_binding *baked, mil_emitted *out);

#endif
