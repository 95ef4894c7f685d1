/* inspect_folder.c - folders that mean something as a whole: a checkpoint, a run, a
 * dataset, a model, what the engine's compiler leaves behind. */
#include <stdio.h>
#include <string.h>

#include "api/inspect_in.h"
#include "base/file.h"
#include "base/str.h"
#include "data/data.h"
#include "model/model.h"
#include "train/train.h"

static bool holds(const inspect *f, const char *name)
{
    char *path = file_join(f->mem, f->path, name);
    return path && file_exists(path);
}

static void files(inspect *f)
{
    char **names;
    size_t n;
    if (file_list(f->mem, f->path, &names, &n)) {
        inspect_problem(f, "%s", err_first());
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char *path = file_join(f->mem, f->path, names[i]);
        json_t *o = inspect_row(f, "files");
        uint64_t bytes;
        if (!o || !path) return;
        inspect_text(o, "name", names[i]);
        if (file_is_dir(path)) inspect_text(o, "what", "folder");
        else if (!file_size(path, &bytes)) inspect_int(o, "bytes", bytes);
    }
}

static void model_shape(inspect *f)
{
    model_config c;
    if (model_config_load(f->path, &c)) {
        inspect_problem(f, "%s", err_first());
        return;
    }
    inspect_int(f->o, "layers", (uint64_t)c.layers);
    inspect_int(f->o, "dim", (uint64_t)c.dim);
    inspect_int(f->o, "hidden", (uint64_t)c.hidden);
    inspect_int(f->o, "heads", (uint64_t)c.heads);
    inspect_int(f->o, "kv_heads", (uint64_t)c.kv_heads);
    inspect_int(f->o, "seq", (uint64_t)c.seq);
    inspect_int(f->o, "vocab", (uint64_t)c.vocab);
}

static void checkpoint(inspect *f)
{
    train_state s;
    inspect_kind(f, "checkpoint", "a saved state of a run, which is a model too");
    model_shape(f);
    if (checkpoint_verify(f->path, &s)) {
        inspect_problem(f, "%s", err_first());
        return;
    }
    inspect_int(f->o, "step", (uint64_t)s.step);
    inspect_int(f->o, "updates", (uint64_t)s.updates);
    inspect_real(f->o, "loss", s.loss);
    inspect_real(f->o, "held_out", s.held_out);
    inspect_real(f->o, "nats_per_byte", s.nats_per_byte);
    inspect_real(f->o, "loss_scale", s.loss_scale);
    inspect_real(f->o, "wall_s", s.wall_s);
    inspect_text(f->o, "device", s.device);
}

static void run(inspect *f)
{
    int64_t *steps;
    size_t n;
    inspect_kind(f, "run", "a training");
    if (checkpoint_list(f->mem, f->path, &steps, &n)) {
        inspect_problem(f, "%s", err_first());
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char *dir = checkpoint_dir(f->mem, f->path, steps[i]);
        json_t *o = inspect_row(f, "checkpoints");
        train_state s;
        if (!o || !dir) return;
        inspect_int(o, "step", (uint64_t)steps[i]);
        bool whole = !checkpoint_verify(dir, &s);
        json_object_set_new(o, "complete", json_boolean(whole));
        if (whole) {
            inspect_real(o, "loss", s.loss);
            inspect_real(o, "held_out", s.held_out);
        } else inspect_problem(f, "%s", err_first());
    }
}

static void data(inspect *f)
{
    dataset *d;
    data_facts facts;
    inspect_kind(f, "dataset", "text as tokens, with a held-out part");
    if (dataset_open(f->path, &d)) {
        inspect_problem(f, "%s", err_first());
        return;
    }
    dataset_facts(d, &facts);
    inspect_int(f->o, "tokens", facts.tokens);
    inspect_int(f->o, "held_out_tokens", facts.held_out_tokens);
    inspect_int(f->o, "documents", facts.documents);
    inspect_int(f->o, "vocab", (uint64_t)facts.vocab);
    dataset_close(d);
}

void inspect_folder(inspect *f)
{
    if (holds(f, "state.json")) checkpoint(f);
    else if (holds(f, "events.jsonl") || holds(f, "recipe.conf")) run(f);
    else if (holds(f, "meta.json")) data(f);
    else if (holds(f, "config.json")) {
        inspect_kind(f, "model", "a model in the public form");
        model_shape(f);
    } else if (holds(f, "model.mil") || holds(f, "net.plist") ||
               str_ends(f->name, ".bundle") || str_ends(f->name, ".mlmodelc"))
        inspect_kind(f, "bundle", "what the engine's compiler is given, or leaves");
    else inspect_kind(f, "folder", "a folder");
    files(f);
}
