/* Every command that answers a question gives one JSON object with --json: the
 * keys that verbs.def promises are there, with their types, and numbers are
 * finite. The command itself is run; ANNEAL names it. */
#include "test.h"

#include <jansson.h>
#include <sys/wait.h>

#include "base/npy.h"
#include "base/str.h"
#include "cli/args.h"
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

/* The row of verbs.def. */
static const char *promised(const char *verb, const char *of)
{
    const cli_keys_row *r;
    for (size_t i = 0; (r = cli_keys_at(i)); i++)
        if (!strcmp(r->verb, verb) && !strcmp(r->of, of)) return r->keys;
    fail_msg("verbs.def promises no keys of '%s' '%s'", verb, of);
    return "";
}

static const char *verb_of(const char *words)
{
    static char verb[32];
    sscanf(words, "%31s", verb);
    return verb;
}

/* The answer has what its verb promises. */
static json_t *expect(const char *words)
{
    return answer(words, promised(verb_of(words), ""));
}

static void expect_only(const char *words)
{
    json_decref(expect(words));
}

/* So has the list (its first element) or object of that name in it. */
static void expect_part(json_t *o, const char *verb, const char *of)
{
    json_t *v = json_object_get(o, of);
    expect_keys(json_is_array(v) ? json_array_get(v, 0) : v, promised(verb, of), of);
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

static json_t *last_step(const char *lines)
{
    json_t *last = NULL;
    for (const char *p = lines, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
        json_t *o = json_loadb(p, (size_t)(nl - p), 0, NULL);
        bool step = !strcmp(json_string_value(json_object_get(o, "kind")), "step");
        if (step) json_decref(last);
        if (step) last = o;
        else json_decref(o);
    }
    assert_non_null(last);
    return last;
}

static json_int_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void steps_tell_what_each_kind_of_product_lost_where_that_is_counted(void **state)
{
    static const char *const silent[] = {"emu:m4,wide", "emu:m4", "emu:m4,exact"};
    static const char *const keys[] = {"products", "dropped", "flushed", "counts"};
    str out = {0};
    size_t i;
    json_t *row, *o;
    ask("train tiny.conf --runs apart -n counted -d emu:m4,exact,count --stop-after 2 "
        "--show json",
        &out);
    o = last_step(str_text(&out));
    expect_keys(o, "products:i dropped:i saturated:i flushed:i counts:a", "step");
    json_int_t products = 0, dropped = 0, saturated = 0;
    json_array_foreach(json_object_get(o, "counts"), i, row)
    {
        expect_keys(row, "name:s kind:s products:i dropped:i saturated:i", "counts");
        products += number(row, "products");
        dropped += number(row, "dropped");
        saturated += number(row, "saturated");
        /* this small model's weight gradients are the host's */
        assert_string_not_equal(json_string_value(json_object_get(row, "kind")), "dw");
    }
    assert_true(i > 10 && products > 0);
    assert_int_equal(products, number(o, "products"));
    assert_int_equal(dropped, number(o, "dropped"));
    assert_int_equal(saturated, number(o, "saturated"));
    json_decref(o);
    for (size_t k = 0; k < sizeof silent / sizeof *silent; k++) {
        char words[200];
        snprintf(
            words, sizeof words,
            "train tiny.conf --runs apart -n silent%zu -d %s --stop-after 1 --show json",
            k, silent[k]);
        str_clear(&out);
        ask(words, &out);
        o = last_step(str_text(&out));
        for (i = 0; i < sizeof keys / sizeof *keys; i++)
            assert_null(json_object_get(o, keys[i]));
        json_decref(o);
    }
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
    expect_only("data text.txt -o set --held-out 0.2 --json");
    expect_only("eval tiny --json");
    expect_only("eval tiny --text tiny.conf --json");
    json_t *o = expect("sample tiny --prompt 'Once upon' --tokens 7 --json");
    assert_int_equal(json_array_size(json_object_get(o, "ids")), 7);
    json_decref(o);
}

static void answers_about_runs_have_their_keys(void **state)
{
    json_t *o = expect("runs ls --json");
    expect_part(o, "runs", "runs");
    json_decref(o);
    json_decref(answer("runs show tiny --json", promised("runs", "runs")));
    o = expect("checkpoint ls tiny --json");
    expect_keys(json_array_get(json_object_get(o, "checkpoints"), 1),
                promised("checkpoint", "checkpoints"), "the last checkpoint");
    json_decref(o);
    json_decref(
        answer("checkpoint show tiny --json", promised("checkpoint", "checkpoints")));
}

static void a_demo_that_is_stopped_early_has_all_its_keys(void **state)
{
    json_t *o = expect("demo --text text.txt --stop-after 1 --show none --json");
    assert_int_equal(json_integer_value(json_object_get(o, "steps")), 1);
    json_decref(o);
}

static void write_ids(const char *path)
{
    const int32_t ids[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    const int64_t shape[2] = {2, 5};
    assert_ok(npy_write(path, "<i4", 2, shape, ids));
}

static void answers_of_the_engine_have_their_keys(void **state)
{
    char path[600];
    str out = {0};
    snprintf(path, sizeof path, "%s/ids.npy", dir);
    write_ids(path);
    expect_only("grad tiny --tokens ids.npy -o g.safetensors --json");
    ask("explain tiny.conf --save step -d emu:m4", &out);
    expect_only("run step/head.fwd.mil --weights step/head.fwd.weights --repeat 3 "
                "-d emu:m4 $(cd step/call-001-head.fwd && for f in in.*.npy; do "
                "p=${f#in.}; echo --in ${p%.npy}=step/call-001-head.fwd/$f; done) "
                "--json");
    json_t *o = expect("explain tiny.conf --json");
    expect_part(o, "explain", "programs");
    expect_part(o, "explain", "host");
    expect_part(o, "explain", "memory");
    expect_part(o, "explain", "timeline");
    expect_part(o, "explain", "choices");
    assert_null(json_object_get(o, "counts"));
    json_decref(o);
    str_free(&out);
}

static void inspect_has_its_keys(void **state)
{
    expect_only("inspect tiny.conf --json");
    expect_only("inspect text.txt --json");
    expect_only("inspect runs/tiny --json");
}

static const char repeat_head[] =
    "run count/head.fwd.mil --weights count/head.fwd.weights --repeat 3 -d "
    "emu:m4,exact $(cd count/call-001-head.fwd && for f in in.*.npy; do p=${f#in.}; echo "
    "--in ${p%.npy}=count/call-001-head.fwd/$f; done) --json";

/* The step that explain makes, and one of its runs by itself. */
static void counts_of_a_plan_are_those_of_its_programs(void **state)
{
    str out = {0};
    size_t i, k;
    json_t *row, *found = NULL;
    ask("explain tiny.conf -d emu:m4,exact,count --save count", &out);
    assert_non_null(strstr(str_text(&out), "counts: one step of random tokens"));
    json_t *o = expect("explain tiny.conf -d emu:m4,exact,count --json");
    json_t *counts = json_object_get(o, "counts");
    expect_part(o, "explain", "counts");
    assert_int_equal(json_array_size(counts),
                     json_array_size(json_object_get(o, "programs")));
    json_array_foreach(counts, i, row)
    {
        json_t *each;
        json_array_foreach(json_object_get(row, "products"), k, each) expect_keys(
            each, "name:s kind:s result:s products:i dropped:i saturated:i", "products");
        if (!strcmp(json_string_value(json_object_get(row, "program")), "head.fwd"))
            found = json_object_get(row, "products");
    }
    json_t *ran = expect(repeat_head), *alone = json_object_get(ran, "products");
    expect_part(ran, "run", "products");
    assert_int_equal(json_array_size(alone), json_array_size(found));
    json_array_foreach(found, i, row) for (k = 0; k < 3; k++)
    {
        const char *key = (const char *[]){"products", "dropped", "saturated"}[k];
        assert_int_equal(number(row, key), number(json_array_get(alone, i), key));
    }
    json_decref(o);
    json_decref(ran);
    str_free(&out);
}

static void answers_about_devices_have_their_keys(void **state)
{
    json_decref(answer("device ls --json", promised("device", "ls")));
    json_decref(answer("device info emu:m4 --json", promised("device", "info")));
    json_decref(answer("device info null:m5 --json", promised("device", "info")));
    json_t *o = answer("device info emu:m4 --json", promised("device", "info"));
    expect_part(o, "device", "cache");
    json_decref(o);
    json_decref(answer("device cache ls --json", promised("device", "cache ls")));
    json_decref(answer("device cache clear --json", promised("device", "cache clear")));
    o = answer("device check emu:m4 --json", promised("device", "check"));
    expect_part(o, "device", "rules");
    json_decref(o);
}

static void benchmarks_have_their_keys(void **state)
{
    expect_only("bench gemm --m 64 --n 64 --k 64 --repeat 3 --json");
    expect_only("bench layer --dim 64 --hidden 128 --heads 2 --seq 64 --repeat 2 --json");
    json_t *o = expect("bench step --dim 64 --hidden 128 --heads 2 --layers 1 --seq 32 "
                       "--vocab 300 --repeat 2 --threads 1 --json");
    expect_keys(o, promised("bench", "step"), "bench step");
    json_decref(o);
    o = answer("bench programs --dim 64 --hidden 128 --heads 2 --layers 1 "
               "--seq 32 --vocab 300 --json --svg p.svg",
               promised("bench", "programs"));
    expect_part(o, "bench", "rows");
    json_decref(o);
    assert_true(file_exists(test_path(dir, "p.svg")));
}

static double real(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    assert_true(json_is_real(v));
    return json_real_value(v);
}

/* The same plan, asked in two ways; where nothing is computed nothing is timed. */
static void a_step_in_parts_is_the_same_to_bench_and_to_explain(void **state)
{
    str out = {0};
    ask("explain tiny.conf -d null:m4 --json --svg plan.svg", &out);
    json_t *e = json_loads(str_text(&out), 0, NULL);
    str_free(&out);
    ask("bench step --recipe tiny.conf -d null:m4 --json --svg step.svg", &out);
    json_t *b = json_loads(str_text(&out), 0, NULL), *part;
    str_free(&out);
    static const char *const same[] = {"pass_ms",           "engine_ms",    "host_ms",
                                       "staging_ms",        "optimizer_ms", "serial_ms",
                                       "optimizer_floor_ms"};
    for (size_t i = 0; i < COUNT_OF(same); i++)
        assert_near(real(b, same[i]), real(e, same[i]), 1e-6);
    assert_near(real(b, "predicted_ms"), real(e, "predicted_step_ms"), 1e-6);
    assert_true(real(e, "predicted_step_ms") < real(e, "serial_ms"));
    assert_true(real(e, "optimizer_ms") >= real(e, "optimizer_floor_ms"));
    assert_null(json_object_get(b, "ms"));
    /* the timeline ends when the step does */
    double end = 0;
    size_t i;
    json_array_foreach(json_object_get(e, "timeline"), i, part)
        end = fmax(end, real(part, "from_ms") + real(part, "ms"));
    assert_near(end, real(e, "predicted_step_ms"), 1e-6);
    json_decref(b);
    json_decref(e);
}

/* A rate for a watt is of watts that were drawn, or published for a load that is
 * said; nothing stands in for what nobody has published. */
static void watts_are_those_of_a_load_or_absent(void **state)
{
#define LAYER "bench layer --dim 64 --hidden 128 --heads 2 --seq 64 --json -d "
    static const char *const keys[] = {"watts", "tflops_per_watt", "watts_source",
                                       "watts_load", "watts_from"};
    json_t *m4 = answer(LAYER "null:m4", "tflops_predicted:n");
    json_t *m5 = answer(LAYER "null:m5", "tflops_predicted:n");
    json_t *peak = answer("bench peak -d null:m5 --json", "a100:o"), *a100;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        assert_non_null(json_object_get(m4, keys[i]));
        assert_null(json_object_get(m5, keys[i]));
        assert_null(json_object_get(peak, keys[i]));
    }
    assert_string_equal(json_string_value(json_object_get(m4, "watts_load")), "training");
    assert_null(json_object_get(json_object_get(peak, "a100"), "times_reports"));
    json_decref(m4);
    json_decref(m5);
    json_decref(peak);
    peak = answer("bench peak -d null:m4 --json", "a100:o");
    a100 = json_object_get(peak, "a100");
    double ours = real(peak, "tflops_per_watt_predicted");
    assert_near(real(a100, "times_reports"), ours / 0.08, 1e-6);
    assert_near(real(a100, "times_fp16_tensor"), ours / 0.78, 1e-6);
    json_decref(peak);
}

/* On the null device, which takes no time: rows are predicted. */
static void sweeps_have_their_keys_and_are_drawn(void **state)
{
    static const char *const what[] = {"peak", "dispatch", "sram",   "int8",
                                       "gemm", "compile",  "staging"};
    for (size_t i = 0; i < COUNT_OF(what); i++) {
        char words[128], rows[64], path[600], *svg;
        size_t n;
        arena *mem = arena_new();
        snprintf(words, sizeof words,
                 "bench %s -d null:m4 --repeat 2 --json --svg %s.svg", what[i], what[i]);
        json_t *o = answer(words, promised("bench", "gemm, peak, dispatch, sram, int8, "
                                                    "compile, staging"));
        snprintf(rows, sizeof rows, "rows of %s", what[i]);
        json_t *row = json_array_get(json_object_get(o, "rows"), 0);
        expect_keys(row, promised("bench", rows), rows);
        assert_null(json_object_get(row, "watts")); /* no meter: absent, not zero */
        json_decref(o);
        snprintf(path, sizeof path, "%s/%s.svg", dir, what[i]);
        assert_ok(file_read(mem, path, 0, &svg, &n));
        assert_int_equal(strncmp(svg, "<svg", 4), 0);
        arena_free(mem);
    }
    /* no published power for the engine of this chip, so no rate for a watt */
    json_t *o = answer("bench sram -d null:m5 --repeat 1 --json", "rows:a");
    assert_null(json_object_get(o, "published_watts"));
    assert_null(json_object_get(json_array_get(json_object_get(o, "rows"), 0),
                                "tflops_per_watt"));
    json_decref(o);
    str out = {0};
    ask("bench peak -d null:m4", &out);
    assert_text_has(str_text(&out), "times_fp16_tensor");
    assert_text_has(str_text(&out), "312 over 400 W");
    str_clear(&out);
    ask("bench layer --dim 64 --hidden 128 --heads 2 --seq 64 --repeat 4 --svg l.svg",
        &out);
    str_free(&out);
}

/* A compile's prediction has the chip's own band, and none where none is published. */
static void a_compile_is_predicted_as_published_of_the_chip(void **state)
{
    json_t *o = answer("bench compile -d null:m4 --json", "predicted:o rows:a"), *row;
    size_t i;
    json_t *p = json_object_get(o, "predicted");
    expect_keys(p, promised("bench", "predicted of compile"), "predicted");
    assert_string_equal(json_string_value(json_object_get(p, "profile")), "m4");
    double ms = json_number_value(json_object_get(p, "predicted_ms"));
    assert_true(json_number_value(json_object_get(p, "low_ms")) < ms &&
                ms < json_number_value(json_object_get(p, "high_ms")));
    json_array_foreach(json_object_get(o, "rows"), i, row)
        assert_true(json_number_value(json_object_get(row, "predicted_ms")) == ms);
    json_decref(o);
    o = answer("bench compile -d null:m5 --json", "predicted:o rows:a");
    p = json_object_get(o, "predicted");
    expect_keys(p, "how:s profile:s predicted_ms:n", "predicted for m5");
    assert_text_has(json_string_value(json_object_get(p, "how")), "nothing is published");
    assert_null(json_object_get(p, "low_ms"));
    assert_null(json_object_get(p, "high_ms"));
    assert_null(json_object_get(o, "error_band")); /* that is of launches */
    json_decref(o);
    str out = {0};
    ask("bench compile -d null:m4", &out);
    assert_text_has(str_text(&out), "predicted: a program compiled as new on m4");
    str_free(&out);
}

/* A command that gains --json says here what it holds. */
static void every_command_with_json_promises_keys(void **state)
{
    const cli_flag *f;
    for (size_t i = 0; (f = cli_flag_at(i)); i++) {
        bool found = false;
        if (strcmp(f->name, "json")) continue;
        const cli_keys_row *r;
        for (size_t j = 0; (r = cli_keys_at(j)); j++) found |= !strcmp(r->verb, f->verb);
        if (!found) fail_msg("'%s' has --json and promises nothing", f->verb);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_have_their_keys),
        cmocka_unit_test(steps_tell_what_each_kind_of_product_lost_where_that_is_counted),
        cmocka_unit_test(the_log_is_what_was_shown),
        cmocka_unit_test(settings_of_a_run_are_values),
        cmocka_unit_test(answers_about_data_and_models_have_their_keys),
        cmocka_unit_test(answers_about_runs_have_their_keys),
        cmocka_unit_test(a_demo_that_is_stopped_early_has_all_its_keys),
        cmocka_unit_test(answers_of_the_engine_have_their_keys),
        cmocka_unit_test(inspect_has_its_keys),
        cmocka_unit_test(counts_of_a_plan_are_those_of_its_programs),
        cmocka_unit_test(answers_about_devices_have_their_keys),
        cmocka_unit_test(benchmarks_have_their_keys),
        cmocka_unit_test(a_step_in_parts_is_the_same_to_bench_and_to_explain),
        cmocka_unit_test(watts_are_those_of_a_load_or_absent),
        cmocka_unit_test(sweeps_have_their_keys_and_are_drawn),
        cmocka_unit_test(a_compile_is_predicted_as_published_of_the_chip),
        cmocka_unit_test(every_command_with_json_promises_keys),
    };
    return cmocka_run_group_tests_name("cli json", tests, setup, teardown);
}
