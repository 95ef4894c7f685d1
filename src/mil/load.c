/* load.c - the weight files a program names, read from a folder.
 *
 * A program says "@model_path/weights/NAME"; the folder stands for the part
 * before NAME. NAME comes out of a text that anyone may have written, so it
 * may not lead out of the folder. */
#include <string.h>
#include "base/file.h"
#include "mil/mil_in.h"

#define PREFIX "@model_path/weights/"
#define FILE_MAX ((size_t)16 << 30) /* larger than any engine's address space */

/* One walk over a program: the files found so far, and the paths seen. */
typedef struct {
    arena *mem;
    const mil_program *program;
    const char *dir;
    mil_names seen;
    mil_blob_file *files;
    int n, cap;
} loader;

/* No empty, "." or ".." part between slashes, and no backslash, which is a
 * separator on other systems. A link inside the folder is the owner's choice. */
static bool stays_inside(const char *name)
{
    while (true) {
        size_t n = strcspn(name, "/");
        if (!n || strchr(name, '\\')) return false;
        if (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.'))) return false;
        if (!name[n]) return true;
        name += n + 1;
    }
}

/* Read the file of one blob, unless it was read before. */
static rc load(loader *l, const mil_value *v)
{
    mil_blob_file f = {.path = v->text};
    char *bytes;
    mil_name *name = mil_name_of(&l->seen, v->text, strlen(v->text));
    if (!name) return E_MEMORY;
    if (name->mark) return OK;
    name->mark = 1;
    if (!str_starts(v->text, PREFIX) || !stays_inside(v->text + strlen(PREFIX)))
        return mil_fail(l->program, v->pos, E_FORMAT,
                        "wanted a path like '" PREFIX "weight.bin', had '%.100s'",
                        v->text);
    if (!l->dir) {
        mil_fail(l->program, v->pos, E_IO,
                 "the program reads '%.100s', and no folder of "
                 "weights was given",
                 v->text);
        return err_hint(E_IO, "name the folder with --weights DIR");
    }
    char *path = file_join(l->mem, l->dir, v->text + strlen(PREFIX));
    if (!path) return E_MEMORY;
    TRY_WHILE(file_read(l->mem, path, FILE_MAX, &bytes, &f.size), "reading '%s' of %s",
              v->text, l->program->file ? l->program->file : "the program");
    f.bytes = bytes;
    TRY(mil_grow(l->mem, &l->files, l->n, &l->cap, sizeof *l->files));
    l->files[l->n++] = f;
    return OK;
}

/* A blob may stand as an argument, in a tuple, or as an attribute. */
static rc load_all(loader *l, int n, const mil_arg *args)
{
    for (int i = 0; i < n; i++) {
        const mil_value *v = &args[i].value;
        if (v->kind == MIL_BLOB) TRY(load(l, v));
        for (int j = 0; v->kind == MIL_LIST && j < v->n; j++)
            if (v->items[j].kind == MIL_BLOB) TRY(load(l, &v->items[j]));
    }
    return OK;
}

rc mil_load_blobs(arena *mem, const mil_program *p, const char *weights_dir,
                  mil_blob_file **files, int *n)
{
    loader l = {.mem = mem, .program = p, .dir = weights_dir, .seen = {.mem = mem}};
    for (int i = 0; i < p->n_func; i++)
        for (int j = 0; j < p->func[i].n_op; j++) {
            const mil_op *op = &p->func[i].op[j];
            TRY(load_all(&l, op->n_arg, op->arg));
            TRY(load_all(&l, op->n_attr, op->attr));
        }
    *files = l.files;
    *n = l.n;
    return OK;
}
