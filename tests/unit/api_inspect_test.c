/* What a file holds is said rightly for each kind, and no damage to a file keeps
 * inspect from an answer that is whole JSON. */
#include "test.h"

#include "api/inspect.h"
#include "base/npy.h"
#include "base/rng.h"
#include "data/data.h"
#include "inspect_samples.h"
#include "mil/mil.h"
#include "model/model.h"

static char *dir;

static int setup(void **state)
{
    return !(dir = test_mkdir());
}

static int teardown(void **state)
{
    test_rmdir(dir);
    return 0;
}

/* Not through base/file.h, which forces each file to the disk; nor over a file that
 * is there, which some file systems force too. */
static const char *put_file(const char *name, const void *bytes, size_t n)
{
    const char *path = test_path(dir, name);
    unlink(path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static json_t *look(const char *path, const char *kind)
{
    json_t *o;
    assert_ok(inspect_path(path, &o));
    assert_string_equal(json_string_value(json_object_get(o, "kind")), kind);
    return o;
}

static json_t *look_at(const char *name, const void *bytes, size_t n, const char *kind)
{
    return look(put_file(name, bytes, n), kind);
}

static size_t problems(json_t *o)
{
    return json_array_size(json_object_get(o, "problems"));
}

static const char *problem(json_t *o)
{
    const char *text = json_string_value(
        json_array_get(json_object_get(o, "problems"), 0));
    return text ? text : "none";
}

static json_t *row(json_t *o, const char *list, size_t i)
{
    json_t *r = json_array_get(json_object_get(o, list), i);
    if (!r) fail_msg("no row %zu of %s", i, list);
    return r;
}

static const char *text_of(json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "none";
}

static int64_t number(json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void a_published_program_of_m5_is_read(void **state)
{
    str s = {0};
    sample_hwx(9, relu_m5, COUNT_OF(relu_m5), &s);
    json_t *o = look_at("relu.hwx", s.p, s.n, "hwx");
    assert_int_equal(problems(o), 0);
    assert_string_equal(text_of(o, "engine"), "H17 (A18, M5)");
    assert_int_equal(number(o, "task_format"), 19);
    assert_string_equal(text_of(row(o, "segments", 0), "segment"), "__TEXT");
    assert_string_equal(text_of(row(o, "symbols", 0), "symbol"), "Kabc_ne_0");
    assert_string_equal(text_of(row(o, "names", 0), "text"), "y@output");
    assert_string_equal(text_of(row(o, "compiler", 0), "text"), "zin v1 -t h17g");
    assert_int_equal(json_array_size(json_object_get(o, "tasks")), 1);
    json_t *task = row(o, "tasks", 0);
    assert_string_equal(text_of(task, "at"), "0x10");
    assert_int_equal(number(task, "words"), 24);
    assert_string_equal(text_of(task, "in"), "64 x 1 x 1");
    assert_string_equal(text_of(task, "out"), "64 x 1 x 1");
    assert_string_equal(text_of(task, "blocks"), "common 11, kernel DMA 1");
    json_decref(o);
    str_free(&s);
}

static void linked_tasks_of_m1_are_read(void **state)
{
    str s = {0};
    sample_hwx(4, linked_h13, COUNT_OF(linked_h13), &s);
    json_t *o = look_at("conv.hwx", s.p, s.n, "hwx");
    assert_int_equal(problems(o), 0);
    assert_int_equal(json_array_size(json_object_get(o, "tasks")), 2);
    json_t *task = row(o, "tasks", 0);
    assert_int_equal(number(task, "task"), 7);
    assert_int_equal(number(task, "cycles"), 100);
    assert_string_equal(text_of(task, "in"), "16 x 30 x 20");
    assert_string_equal(text_of(task, "out"), "32 x 30 x 20");
    assert_string_equal(text_of(task, "kernel"), "1 x 3 x 3");
    assert_string_equal(text_of(row(o, "tasks", 1), "at"), "0x50");
    json_decref(o);
    s.p[0x200 + 28] = 0x10; /* the next task before this one: no loop */
    o = look_at("loop.hwx", s.p, s.n, "hwx");
    assert_text_has(problem(o), "not after it");
    json_decref(o);
    str_free(&s);
}

static void an_e5_bundle_is_walked(void **state)
{
    str s = {0};
    sample_e5(&s);
    json_t *o = look_at("no-name", s.p, s.n, "e5");
    assert_int_equal(problems(o), 0);
    assert_int_equal(number(o, "format_version"), 4);
    assert_string_equal(text_of(row(o, "symbols", 1), "symbol"), "AneInference");
    assert_string_equal(text_of(row(o, "fields", 0), "table"), "build_info");
    assert_string_equal(text_of(row(o, "fields", 1), "value"), "1.2.34");
    assert_string_equal(text_of(row(o, "fields", 3), "table"), "sections.2[0]");
    assert_int_equal(number(row(o, "fields", 3), "value"), 77);
    assert_string_equal(text_of(row(o, "fields", 4), "value"), "__text");
    json_decref(o);
    o = look_at("bad.e5", s.p, 20, "e5");
    assert_int_equal(problems(o), 1);
    json_decref(o);
    str_free(&s);
}

static const half some[64] = {0x3c00, 0xc000, 0x7c00}; /* 1, -2, infinity, 0 ... */

static void weight_files_are_read_even_those_made_by_hand(void **state)
{
    mil_blob_writer *w;
    const void *bytes;
    size_t n;
    uint64_t offset;
    int8_t q[3] = {-5, 0, 7};
    assert_ok(mil_blob_new(&w));
    assert_ok(mil_blob_add(w, MIL_FP16, some, sizeof some, &offset));
    assert_ok(mil_blob_add(w, MIL_INT8, q, sizeof q, &offset));
    assert_ok(mil_blob_bytes(w, &bytes, &n));
    json_t *o = look_at("weight.bin", bytes, n, "blob");
    assert_int_equal(problems(o), 0);
    assert_int_equal(number(o, "chunk_count"), 2);
    json_t *r = row(o, "chunks", 0);
    assert_string_equal(text_of(r, "type"), "fp16");
    assert_int_equal(number(r, "elements"), 64);
    assert_int_equal(number(r, "not_finite"), 1);
    assert_near(json_real_value(json_object_get(r, "least")), -2, 0);
    r = row(o, "chunks", 1);
    assert_int_equal(number(r, "offset"), offset);
    assert_near(json_real_value(json_object_get(r, "most")), 7, 0);
    json_decref(o);
    str s = {0};
    str_addn(&s, bytes, n);
    s.p[0] = 1;
    o = look_at("hand.bin", s.p, s.n, "blob");
    assert_int_equal(number(o, "chunk_count"), 2);
    assert_text_has(problem(o), "counts 1 chunks, 2 were found");
    json_decref(o);
    str_free(&s);
    mil_blob_free(w);
}

static const char program[] =
    "program(1.3)\n[buildInfo = dict<string, string>({{\"a\", \"b\"}})]\n"
    "{ func main<ios18>(tensor<fp16, [1, 4]> x) {\n"
    "  tensor<fp16, [1, 4]> w = const()[name = string(\"w\"), val = tensor<fp16, "
    "[1, 4]>(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), "
    "offset = uint64(64)))];\n"
    "  tensor<fp16, [1, 4]> z = add(x = x, y = w)[name = string(\"z\")];\n"
    "  tensor<fp16, [1, 4]> y = relu(x = z)[name = string(\"y\")];\n} -> (y); }\n";

static void a_program_is_summed_up_and_a_bad_one_points_at_the_line(void **state)
{
    json_t *o = look_at("p.mil", program, sizeof program - 1, "mil");
    assert_int_equal(problems(o), 0);
    assert_string_equal(text_of(row(o, "functions", 0), "opset"), "ios18");
    assert_string_equal(text_of(row(o, "ops", 2), "op"), "relu");
    assert_string_equal(text_of(row(o, "weights", 0), "file"),
                        "@model_path/weights/w.bin");
    assert_string_equal(text_of(row(o, "outputs", 0), "type"), "tensor<fp16, [1, 4]>");
    json_decref(o);
    o = look_at("p.mil", program, 200, "mil");
    assert_text_has(problem(o), "p.mil:");
    json_decref(o);
}

static void tensors_and_arrays_are_read(void **state)
{
    float x[6] = {1, 2, 3, -4, 5, 6};
    st_tensor t = {"a", "F32", 2, {2, 3}, x, sizeof x};
    const char *path = test_path(dir, "m.safetensors");
    assert_ok(st_write(path, 1, &t, 0, NULL));
    json_t *o = look(path, "safetensors");
    assert_int_equal(problems(o), 0);
    assert_near(json_real_value(json_object_get(o, "elements")), 6, 0);
    assert_near(json_real_value(json_object_get(row(o, "tensors", 0), "least")), -4, 0);
    json_decref(o);
    static const char cut[] = "\270\017\0\0\0\0\0\0{\"__metadata__\":{";
    o = look_at("cut.safetensors", cut, sizeof cut - 1, "safetensors");
    assert_text_has(problem(o), "the header would be 4024 bytes, the file has 17");
    json_decref(o);
    path = test_path(dir, "x.npy");
    int64_t shape[1] = {6};
    assert_ok(npy_write(path, "<f4", 1, shape, x));
    o = look(path, "npy");
    assert_string_equal(text_of(o, "dtype"), "<f4");
    json_decref(o);
}

static void settings_and_events_are_read(void **state)
{
    static const char recipe[] = "# mine\nmodel.layers = 3\ntrain.lr = 0.25\n";
    static const char said[] = "{\"t\":0,\"kind\":\"start\"}\n"
                               "{\"t\":1,\"kind\":\"step\",\"step\":7,\"loss\":2.5}\n"
                               "{\"t\":2,\"kind\":\"st"; /* torn: not yet */
    json_t *o = look_at("a.conf", recipe, sizeof recipe - 1, "recipe");
    assert_string_equal(text_of(row(o, "settings", 0), "setting"), "model.layers");
    assert_string_equal(text_of(row(o, "settings", 1), "value"), "0.25");
    json_decref(o);
    o = look_at("a.conf", "train.wramup = 3\n", 17, "recipe");
    assert_text_has(problem(o), "a.conf:1");
    json_decref(o);
    o = look_at("events.jsonl", said, sizeof said - 1, "events");
    assert_int_equal(problems(o), 0);
    assert_int_equal(number(o, "step"), 7);
    json_decref(o);
}

static void a_dataset_a_folder_and_strange_bytes_are_told_apart(void **state)
{
    str text = {0};
    data_options options = {.held_out = 0.1, .byte = true};
    assert_ok(data_stories(1, 20000, &text));
    const char *from = put_file("text.txt", text.p, text.n);
    char to[600];
    snprintf(to, sizeof to, "%s/set", dir);
    assert_ok(data_build(1, &from, &options, to, NULL));
    json_t *o = look(to, "dataset");
    assert_true(number(o, "tokens") > 10000);
    json_decref(o);
    snprintf(to, sizeof to, "%s/set/train.bin", dir);
    json_decref(look(to, "tokens"));
    snprintf(to, sizeof to, "%s/set/tokenizer.json", dir);
    o = look(to, "tokenizer");
    assert_int_equal(number(o, "vocab"), 257);
    json_decref(o);
    snprintf(to, sizeof to, "%s/other", dir);
    assert_ok(file_make_dirs(to));
    json_decref(look(to, "folder"));
    json_decref(look_at("void", "", 0, "empty"));
    json_decref(look_at("odd", "\1\2\3", 3, "unknown"));
    json_decref(look_at("g", "GGUF\3\0\0\0", 8, "gguf"));
    assert_fails(inspect_path(test_path(dir, "none"), &o), E_IO, "none");
    str_free(&text);
}

/* Cut at every length up to 1 KiB, and changed at random. */
static void damage(const char *name, const char *bytes, size_t n)
{
    char *copy = malloc(n);
    assert_non_null(copy);
    for (uint64_t i = 0; i < 2048; i++) {
        size_t kept = i < 1024 ? (size_t)i * n / 1024 : n;
        memcpy(copy, bytes, n);
        char *cut = malloc(kept ? kept : 1); /* so that a read past the end is seen */
        assert_non_null(cut);
        for (uint64_t k = 0; i >= 1024 && k <= i % 4; k++)
            copy[(size_t)(rng_unit(3, i, k) * (double)n)] = (char)(rng_unit(4, i, k) *
                                                                   256);
        json_t *o;
        memcpy(cut, copy, kept);
        assert_ok(inspect_bytes(name, cut, kept, &o));
        assert_non_null(json_object_get(o, "kind"));
        char *text = json_dumps(o, 0);
        assert_non_null(text);
        free(text);
        json_decref(o);
        free(cut);
    }
    free(copy);
}

static void no_damage_stops_it(void **state)
{
    str s = {0};
    mil_blob_writer *w;
    const void *bytes;
    size_t n;
    uint64_t offset;
    sample_hwx(9, relu_m5, COUNT_OF(relu_m5), &s);
    damage("a.hwx", s.p, s.n);
    str_clear(&s);
    sample_hwx(4, linked_h13, COUNT_OF(linked_h13), &s);
    damage("b.hwx", s.p, s.n);
    str_clear(&s);
    sample_e5(&s);
    damage("c.e5", s.p, s.n);
    assert_ok(mil_blob_new(&w));
    assert_ok(mil_blob_add(w, MIL_FP16, some, sizeof some, &offset));
    assert_ok(mil_blob_add(w, MIL_FP16, some, sizeof some, &offset));
    assert_ok(mil_blob_bytes(w, &bytes, &n));
    damage("d.bin", bytes, n);
    damage("e.mil", program, sizeof program - 1);
    mil_blob_free(w);
    str_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_program_of_m5_is_read),
        cmocka_unit_test(linked_tasks_of_m1_are_read),
        cmocka_unit_test(an_e5_bundle_is_walked),
        cmocka_unit_test(weight_files_are_read_even_those_made_by_hand),
        cmocka_unit_test(a_program_is_summed_up_and_a_bad_one_points_at_the_line),
        cmocka_unit_test(tensors_and_arrays_are_read),
        cmocka_unit_test(settings_and_events_are_read),
        cmocka_unit_test(a_dataset_a_folder_and_strange_bytes_are_told_apart),
        cmocka_unit_test(no_damage_stops_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
