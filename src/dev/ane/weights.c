/* weights.c - how weight files are given to an in-memory model.
 *
 * The outer key is the name in the text, "@model_path/weights/x.bin". What
 * stands behind it is a dictionary, of which the system uses *the first key and
 * the first value*: the value is hashed into the program's identifier and
 * written to the folder under the key's name (decompiled framework of iOS 17 to
 * 26). Two forms answer that:
 *
 *   pairs  { "offset": 0, "data": the file }, what every public program passes
 *          and what has run on chips from M1 to M5, macOS 15 to 27. It works
 *          because "data" comes first in the order of Foundation's hash tables,
 *          which nobody promises: were it "offset", the system would ask a
 *          number for its bytes, which ends the process. All files are written
 *          under one name, "data", and from macOS 27 on, where each file is
 *          compared with its hash, several are then refused (oMLX issue 3124,
 *          pmetal; both got round it with one file for each program).
 *   files  { "weights/x.bin": the file }: one key, so nothing depends on an
 *          order, and every file lies where the text names it. It follows from
 *          the decompiled source; no report of it from a chip is known.
 *
 * So pairs are taken, after asking such a dictionary for its keys as the system
 * will; files are taken where "data" would not come first, and where pairs
 * were tried and refused: by the trial, or by the first program that has
 * several files. */
#include <string.h>
#include "base/str.h"
#include "dev/ane/model.h"

static rc pair_entry(ane_engine *e, const void *bytes, size_t n, ane_id *out)
{
    const ane_sys *a = &e->sys;
    ane_id keys[2] = {NULL, NULL}, values[2] = {e->zero, NULL};
    rc r = ane_make_text(a, "offset", &keys[0]);
    if (r == OK) r = ane_make_text(a, "data", &keys[1]);
    if (r == OK) r = ane_make_data(a, bytes, n, &values[1]);
    if (r == OK) r = ane_make_dict(a, keys, values, 2, out);
    ane_drop(a, keys[0]);
    ane_drop(a, keys[1]);
    ane_drop(a, values[1]);
    return r;
}

static rc file_entry(ane_engine *e, const mil_blob_file *f, ane_id *out)
{
    const ane_sys *a = &e->sys;
    ane_id key = NULL, data = NULL;
    const char *name;
    TRY(ane_stage_name(f->path, &name));
    rc r = ane_make_text(a, name, &key);
    if (r == OK) r = ane_make_data(a, f->bytes, f->size, &data);
    if (r == OK) r = ane_make_dict(a, &key, &data, 1, out);
    ane_drop(a, key);
    ane_drop(a, data);
    return r;
}

rc ane_weights_open(ane_engine *e)
{
    const ane_sys *a = &e->sys;
    ane_id entry = NULL, keys = NULL;
    char first[16] = "";
    void *pool = a->objc_autoreleasePoolPush();
    rc r = pair_entry(e, "", 0, &entry);
    if (r == OK && ane_has(a, ANE_SEL_all_keys)) {
        keys = ane_msg_all_keys(a, entry);
        ane_get_text(a, ane_get_item(a, keys, 0), first, sizeof first);
    }
    ane_drop(a, keys);
    ane_drop(a, entry);
    a->objc_autoreleasePoolPop(pool);
    TRY(r);
    bool sound = !strcmp(first, "data");
    if (e->weights == ANE_WEIGHTS_PAIRS && !sound)
        return err_hint(err_fail(E_DEVICE,
                                 "weights cannot be given as pairs here: the system "
                                 "would take '%s' for the contents",
                                 *first ? first : "nothing"),
                        "leave out 'weights=pairs'");
    e->form[0] = e->form[1] = e->weights ? e->weights
                              : sound    ? ANE_WEIGHTS_PAIRS
                                         : ANE_WEIGHTS_FILES;
    e->other[0] = e->other[1] = !e->weights && sound ? ANE_WEIGHTS_FILES
                                                     : ANE_WEIGHTS_BY_TRIAL;
    return OK;
}

rc ane_weight_dict(ane_engine *e, const dev_source *src, ane_weights form, ane_id *out)
{
    const ane_sys *a = &e->sys;
    size_t n = (size_t)src->n_files;
    ane_id *keys = mem_take(mem_mul(2 * n + 1, sizeof *keys));
    if (!keys) return E_MEMORY;
    ane_id *values = keys + n;
    rc r = OK;
    for (size_t i = 0; i < n && r == OK; i++) {
        const mil_blob_file *f = &src->files[i];
        r = ane_make_text(a, f->path, &keys[i]);
        if (r != OK) break;
        r = form == ANE_WEIGHTS_FILES ? file_entry(e, f, &values[i])
                                      : pair_entry(e, f->bytes, f->size, &values[i]);
    }
    if (r == OK) r = ane_make_dict(a, keys, values, n, out); /* empty, never nil */
    for (size_t i = 0; i < n; i++) {
        ane_drop(a, keys[i]);
        ane_drop(a, values[i]);
    }
    mem_drop(keys);
    return r;
}
