/* Every command that answers a question gives one JSON object with --json: the
 * keys that docs promise are there, with their types, and numbers are finite.
 * The command itself is run; ANNEAL names it. */
#include "test.h"

#include <jansson.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/str.h"
#include "data/data.h"

static char dir[512], command[1024];

static int setup(void **state)
{
    const char *given = getenv("ANNEAL");
    char *made = test_mkdir(), path[600];
    str text = {0};
    snprintf(dir, sizeof dir, "%.500s", made);
    free(made);
    if (given) snprintf(command, sizeof command, "%s", given);
    else if (!realpath("build/anneal", command)) return -1;
    snprintf(path, sizeof path, "%s/text.txt", dir);
    assert_ok(data_stories(1, 60000, &text));
    assert_ok(file_replace(path, text.p, text.n));
    str_free(&text);
    static const char recipe[] =
        "data.text = text.txt\nmodel.layers = 1\nmodel.dim = 32\n"
        "model.heads = 2\nmodel.seq = 32\ntrain.batch = 2\n"
        "train.steps = 6\ntrain.eval_every = 3\n"
        "train.eval_windows = 4\ntrain.checkpoint_every = 3\n";
    snprintf(path, sizeof path, "%s/tiny.conf", dir);
    assert_ok(file_replace(path, recipe, strlen(recipe)));
    return 0;
}

static int teardown(void **state)
{
    return file_remove_tree(dir) ? -1 : 0;
}

/* What `anneal WORDS` writes to stdout; it must succeed. */
static void ask(const char *words, str *out)
{
    char line[2048], buffer[4096];
    size_t n;
    snprintf(line, sizeof line, "cd %s && %s %s 2>err.txt", dir, command, words);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0) str_addn(out, buffer, n);
    int status = pclose(f);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("`anneal %s` ended with %d", words, WEXITSTATUS(status));
}

/* "key:t key:t": n number, i integer, s text, b truth, a array, o object. */
static void expect_keys(json_t *o, const char *keys, const char *of)
{
    char key[64], type;
    int used;
    for (const char *p = keys; sscanf(p, " %63[^:]:%c%n", key, &type, &used) == 2;
         p += used) {
        json_t *v = json_object_get(o, key);
        if (!v) fail_msg("%s: no key '%s'", of, key);
        bool good = type == 'n'   ? json_is_number(v)
                    : type == 'i' ? json_is_integer(v)
                    : type == 's' ? json_is_string(v)
                    : type == 'b' ? json_is_boolean(v)
                    : type == 'a' ? json_is_array(v)
                                  : json_is_object(v);
        if (!good) fail_msg("%s: '%s' is not of type %c", of, key, type);
        if (json_is_number(v) && !isfinite(json_number_value(v)))
            fail_msg("%s: '%s' is not finite", of, key);
    }
}

/* One object, nothing before or after it but a newline. */
static json_t *answer(const char *words, const char *keys)
{
    str out = {0};
    json_error_t error;
    ask(words, &out);
    json_t *o = json_loadb(str_text(&out), out.n, 0, &error);
    if (!json_is_object(o)) fail_msg("`anneal %s`: %s", words, str_text(&out));
    assert_int_equal(out.p[out.n - 1], '\n');
    expect_keys(o, keys, words);
    str_free(&out);
    return o;
}

static void expect(const char *words, const char *keys)
{
    json_decref(answer(words, keys));
}

/* ---- the events of a run ---- */

static int count_kind(const char *lines, const char *kind, const char *keys)
{
    int n = 0;
    for (const char *p = lines, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
        json_t *o = json_loadb(p, (size_t)(nl - p), 0, NULL);
        assert_non_null(o);
        expect_keys(o, "t:n kind:s", "an event");
        if (!strcmp(json_string_value(json_object_get(o, "kind")), kind)) {
            expect_keys(o, keys, kind);
            n++;
        }
        json_decref(o);
    }
    return n;
}

static void events_have_their_keys(void **state)
{
    str out = {0};
    ask("train tiny.conf --stop-after 4 --show json", &out);
    ask("train tiny --show json", &out);
    const char *t = str_text(&out);
    assert_int_equal(count_kind(t, "start",
                                "run:s device:s isa:s threads:i settings:o steps:i "
                                "batch:i params:i programs:i loads:i launches:i "
                                "memory:n predicted_step_ms:n"),
                     2);
    assert_int_equal(
        count_kind(t, "step", "step:i loss:n norm:n lr:n scale:n ms:n tok_s:n"), 6);
    assert_int_equal(count_kind(t, "eval", "step:i held_out:n nats_per_byte:n"), 2);
    assert_int_equal(count_kind(t, "checkpoint", "step:i path:s"), 3);
    assert_int_equal(count_kind(t, "restart", "step:i path:s"), 1);
    assert_int_equal(count_kind(t, "note", "step:i text:s"), 1);
    assert_int_equal(count_kind(t, "done", "step:i loss:n held_out:n nats_per_byte:n"),
                     1);
    str_free(&out);
}

static void the_log_is_what_was_shown(void **state)
{
    str out = {0};
    char *log, path[600];
    size_t n;
    arena *mem = arena_new();
    ask("train tiny.conf -n log --show json", &out);
    snprintf(path, sizeof path, "%s/runs/log/events.jsonl", dir);
    assert_ok(file_read(mem, path, 0, &log, &n));
    assert_string_equal(log, str_text(&out));
    arena_free(mem);
    str_free(&out);
}

static void settings_of_a_run_are_values(void **state)
{
    json_t *o = answer("explain tiny.conf --stage config --json",
                       "model.layers:i train.lr:n model.tied:b data.tokenizer:s");
    assert_int_equal(json_integer_value(json_object_get(o, "model.dim")), 32);
    json_decref(o);
}

/* ---- answers ---- */

static void answers_about_data_and_models_have_their_keys(void **state)
{
    expect("data text.txt -o set --held-out 0.2 --json",
           "tokens:i held_out_tokens:i vocab:i documents:i");
    expect("eval tiny --json", "held_out:n nats_per_byte:n perplexity:n tokens:i");
    expect("eval tiny --text tiny.conf --json",
           "held_out:n nats_per_byte:n perplexity:n tokens:i");
    json_t *o = answer("sample tiny --prompt 'Once upon' --tokens 7 --json",
                       "text:s ids:a tokens_per_s:n first_ms:n");
    assert_int_equal(json_array_size(json_object_get(o, "ids")), 7);
    json_decref(o);
    expect("runs ls --json", "runs:a");
    expect("runs show tiny --json", "name:s step:i held_out:n");
    o = answer("checkpoint ls tiny --json", "checkpoints:a");
    expect_keys(json_array_get(json_object_get(o, "checkpoints"), 0),
                "path:s complete:b step:i", "a checkpoint");
    json_decref(o);
    expect("checkpoint show tiny --json", "path:s complete:b step:i loss:n");
}

static void a_demo_that_is_stopped_early_has_all_its_keys(void **state)
{
    json_t *o = answer("demo --text text.txt --stop-after 1 --show none --json",
                       "nats_per_byte:n bigram:n trigram:n steps:i tokens_per_s:n "
                       "device:s run:s");
    assert_int_equal(json_integer_value(json_object_get(o, "steps")), 1);
    json_decref(o);
}

static void write_ids(const char *path)
{
    static const unsigned char head[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0};
    static const char dict[] =
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 5), }";
    const int32_t ids[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    str s = {0};
    str_addn(&s, (const char *)head, sizeof head);
    str_addf(&s, "%-117s\n", dict);
    str_addn(&s, (const char *)ids, sizeof ids);
    assert_ok(file_replace(path, s.p, s.n));
    str_free(&s);
}

static void answers_of_the_engine_have_their_keys(void **state)
{
    char path[600];
    str out = {0};
    snprintf(path, sizeof path, "%s/ids.npy", dir);
    write_ids(path);
    expect("grad tiny --tokens ids.npy -o g.safetensors --json", "loss:n");
    ask("explain tiny.conf --save step -d emu:m4", &out);
    expect("run step/head.fwd.mil --weights step/head.fwd.weights --repeat 3 -d emu:m4 "
           "$(cd step/call-001-head.fwd && for f in in.*.npy; do p=${f#in.}; "
           "echo --in ${p%.npy}=step/call-001-head.fwd/$f; done) --json",
           "ms:n predicted_ms:n flops:n dropped_products:i saturated:i infinities:i");
    json_t *o = answer("explain tiny.conf --json",
                       "programs:a loads:i launches_per_step:i host:a memory:o "
                       "predicted_step_ms:n engine_ms:n host_ms:n staging_ms:n "
                       "optimizer_ms:n");
    expect_keys(json_array_get(json_object_get(o, "programs"), 0),
                "name:s calls:i in_bytes:i out_bytes:i flops:n cause:s predicted_ms:n",
                "a program");
    expect_keys(json_array_get(json_object_get(o, "host"), 0), "op:s cause:s",
                "host work");
    expect_keys(json_object_get(o, "memory"),
                "weights:n moments:n gradients:n surfaces:n activations:n", "memory");
    json_decref(o);
    str_free(&out);
}

static void answers_about_devices_have_their_keys(void **state)
{
    json_t *o;
    expect("device ls --json", "drivers:a");
    expect("device info emu:m4 --json", "uri:s model:s computes:b");
    expect("device info null:m5 --json", "uri:s model:s computes:b");
    o = answer("device check emu:m4 --json", "passed:i failed:i skipped:i rules:a");
    expect_keys(json_array_get(json_object_get(o, "rules"), 0),
                "id:i name:s holds:b detail:s", "a rule");
    json_decref(o);
}

static void benchmarks_have_their_keys(void **state)
{
    static const char keys[] = "ms:n min_ms:n predicted_ms:n gflops:n peak_gflops:n "
                               "fraction_of_peak:n launches:i tflops_predicted:n "
                               "peak_tflops:n source:s utilisation:n tflops_per_watt:n "
                               "peak_rss_bytes:i";
    expect("bench gemm --m 64 --n 64 --k 64 --repeat 3 --json", keys);
    expect("bench layer --dim 64 --hidden 128 --heads 2 --seq 64 --repeat 2 --json",
           keys);
    expect("bench step --dim 64 --hidden 128 --heads 2 --layers 1 --seq 32 --vocab 300 "
           "--repeat 2 --threads 1 --json",
           keys);
    expect("bench programs --dim 64 --hidden 128 --heads 2 --layers 1 --seq 32 --vocab "
           "300 --json",
           "programs:a loads:i launches_per_step:i");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_have_their_keys),
        cmocka_unit_test(the_log_is_what_was_shown),
        cmocka_unit_test(settings_of_a_run_are_values),
        cmocka_unit_test(answers_about_data_and_models_have_their_keys),
        cmocka_unit_test(a_demo_that_is_stopped_early_has_all_its_keys),
        cmocka_unit_test(answers_of_the_engine_have_their_keys),
        cmocka_unit_test(answers_about_devices_have_their_keys),
        cmocka_unit_test(benchmarks_have_their_keys),
    };
    return cmocka_run_group_tests_name("cli json", tests, setup, teardown);
}
