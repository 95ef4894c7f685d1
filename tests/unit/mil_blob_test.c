/* Weight files: the bytes that are written, what the reader refuses, and where
 * files are looked for. */
#include "mil_help.h"

static void put(unsigned char *p, size_t bytes, uint64_t v)
{
    for (size_t i = 0; i < bytes; i++) p[i] = (unsigned char)(v >> 8 * i);
}

/* Three chunks: 6 bytes of fp16, none of fp32, 65 of int8. */
enum { FIRST = 64, SECOND = 192, THIRD = 256, TOTAL = 320 + 65 };

static void write_three(mil_blob_writer **w, const void **bytes, size_t *n)
{
    uint64_t at;
    int8_t many[65];
    for (int i = 0; i < 65; i++) many[i] = (int8_t)(i - 32);
    assert_ok(mil_blob_new(w));
    assert_ok(mil_blob_add(*w, MIL_FP16, ((half[]){0x3c00, 0xc000, 0x7bff}), 6, &at));
    assert_int_equal(at, FIRST);
    assert_ok(mil_blob_add(*w, MIL_FP32, NULL, 0, &at));
    assert_int_equal(at, SECOND);
    assert_ok(mil_blob_add(*w, MIL_INT8, many, 65, &at));
    assert_int_equal(at, THIRD);
    assert_ok(mil_blob_bytes(*w, bytes, n));
}

static void the_layout_is_the_official_one_byte_for_byte(void **state)
{
    mil_blob_writer *w;
    const void *had;
    size_t n;
    unsigned char want[TOTAL] = {0};
    static const unsigned char data[] = {0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b};
    put(want, 4, 3);               /* chunks */
    put(want + 4, 4, 2);           /* version */
    put(want + 64, 4, 0xDEADBEEF); /* sentinel */
    put(want + 68, 4, 1);          /* fp16 */
    put(want + 72, 8, 6);          /* bytes */
    put(want + 80, 8, 128);        /* data, from the start of the file */
    memcpy(want + 128, data, 6);
    put(want + 192, 4, 0xDEADBEEF);
    put(want + 196, 4, 2);
    put(want + 208, 8, 256);
    /* the empty chunk's data and the next record share an offset */
    put(want + 256, 4, 0xDEADBEEF);
    put(want + 260, 4, 4);
    put(want + 264, 8, 65);
    put(want + 272, 8, 320);
    for (int i = 0; i < 65; i++) want[320 + i] = (unsigned char)(i - 32);
    write_three(&w, &had, &n);
    assert_int_equal(n, TOTAL);
    assert_memory_equal(had, want, TOTAL);
    mil_blob_free(w);
}

static void what_was_written_is_read(void **state)
{
    mil_blob_writer *w;
    const void *bytes, *data;
    size_t n, count;
    uint64_t *offsets;
    arena *mem = arena_new();
    write_three(&w, &bytes, &n);
    assert_ok(mil_blob_read(bytes, n, FIRST, MIL_FP16, 6, &data));
    assert_ptr_equal(data, (const char *)bytes + 128);
    assert_ok(mil_blob_read(bytes, n, SECOND, MIL_FP32, 0, &data));
    assert_ok(mil_blob_read(bytes, n, THIRD, MIL_INT8, 65, &data));
    assert_int_equal(((const int8_t *)data)[64], 32);
    assert_ok(mil_blob_list(mem, bytes, n, &offsets, &count));
    assert_int_equal(count, 3);
    assert_int_equal(offsets[0], FIRST);
    assert_int_equal(offsets[1], SECOND);
    assert_int_equal(offsets[2], THIRD);
    mil_blob_free(w);
    arena_free(mem);
}

static void every_type_with_a_code_goes_through_a_file(void **state)
{
    static const struct {
        mil_dtype type;
        int code; /* of the MILBlob headers of coremltools */
    } codes[] = {{MIL_FP16, 1},   {MIL_FP32, 2},   {MIL_UINT8, 3},
                 {MIL_INT8, 4},   {MIL_BF16, 5},   {MIL_INT16, 6},
                 {MIL_UINT16, 7}, {MIL_INT32, 14}, {MIL_UINT32, 15}};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        mil_blob_writer *w;
        const void *bytes, *data;
        size_t n;
        uint64_t at;
        assert_ok(mil_blob_new(&w));
        assert_ok(mil_blob_add(w, codes[i].type, "abcdefgh", 8, &at));
        assert_ok(mil_blob_bytes(w, &bytes, &n));
        assert_int_equal(((const unsigned char *)bytes)[68], codes[i].code);
        assert_ok(mil_blob_read(bytes, n, at, codes[i].type, 8, &data));
        assert_memory_equal(data, "abcdefgh", 8);
        mil_blob_free(w);
    }
}

static void what_no_file_can_hold_is_refused(void **state)
{
    mil_blob_writer *w;
    uint64_t at;
    const void *data;
    assert_ok(mil_blob_new(&w));
    assert_fails(mil_blob_add(w, MIL_BOOL, "\1", 1, &at), E_FORMAT,
                 "a weight file cannot hold elements of type bool");
    assert_fails(mil_blob_add(w, MIL_FP16, "abc", 3, &at), E_FORMAT,
                 "wanted whole elements of 2 bytes, had 3 bytes");
    assert_fails(mil_blob_read("", 0, 64, MIL_STRING, 1, &data), E_FORMAT,
                 "cannot hold elements of type string");
    mil_blob_free(w);
}

/* One field of a good file changed, and the words that come back. */
typedef struct {
    size_t at, bytes;
    uint64_t v;
    const char *error;
} damage;

static const damage damages[] = {
    {4, 4, 1, "wanted a weight file of version 2, had version 1"},
    {4, 4, 0xffffffff, "had version 4294967295"},
    {64, 4, 0, "wanted 0xdeadbeef at offset 64, had 0x00000000"},
    {64, 4, 0xEFBEADDE, "had 0xefbeadde"},
    {68, 4, 2, "wanted fp16 in the chunk at 64, had fp32 (code 2)"},
    {68, 4, 99, "had an unknown type (code 99)"},
    {72, 8, 4, "wanted 6 bytes in the chunk at 64, had 4"},
    {72, 8, 258, "the chunk at 64 has 258 bytes from 128 on, but the file has 385 bytes"},
    {72, 8, UINT64_MAX, "has 18446744073709551615 bytes from 128 on"},
    /* a 32-bit reader would see 6 */
    {72, 8, ((uint64_t)1 << 32) + 6, "has 4294967302 bytes"},
    {80, 8, 0,
     "wanted the data of the chunk at 64 on a multiple of 64 after its record, "
     "had offset 0"},
    {80, 8, 64, "had offset 64"},
    {80, 8, 130, "had offset 130"},
    {80, 8, 448, "has 6 bytes from 448 on, but the file has 385 bytes"},
    {80, 8, ((uint64_t)1 << 32) + 128, "from 4294967424 on"},
    {80, 8, UINT64_MAX - 63, "from 18446744073709551552 on"},
    {88, 8, 3, "wanted no padding bits in the chunk at 64, had 3"},
};

static void every_damaged_field_is_found(void **state)
{
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        mil_blob_writer *w;
        const void *bytes, *data;
        size_t n;
        unsigned char copy[TOTAL];
        write_three(&w, &bytes, &n);
        memcpy(copy, bytes, n);
        put(copy + damages[i].at, damages[i].bytes, damages[i].v);
        assert_fails(mil_blob_read(copy, n, FIRST, MIL_FP16, 6, &data), E_FORMAT,
                     damages[i].error);
        mil_blob_free(w);
    }
}

static void an_offset_must_name_a_record(void **state)
{
    mil_blob_writer *w;
    const void *bytes, *data;
    size_t n;
    write_three(&w, &bytes, &n);
    assert_fails(mil_blob_read(bytes, n, 0, MIL_FP16, 6, &data), E_FORMAT,
                 "wanted a chunk at a multiple of 64 from 64 on, had offset 0");
    assert_fails(mil_blob_read(bytes, n, 65, MIL_FP16, 6, &data), E_FORMAT,
                 "had offset 65");
    assert_fails(mil_blob_read(bytes, n, 128, MIL_FP16, 6, &data), E_FORMAT,
                 "wanted 0xdeadbeef at offset 128");
    assert_fails(mil_blob_read(bytes, n, 384, MIL_FP16, 6, &data), E_FORMAT,
                 "wanted a chunk at offset 384, but the file has 385 bytes");
    assert_fails(mil_blob_read(bytes, n, UINT64_MAX - 63, MIL_FP16, 6, &data), E_FORMAT,
                 "wanted a chunk at offset 18446744073709551552");
    assert_fails(mil_blob_read(bytes, 63, 64, MIL_FP16, 6, &data), E_FORMAT,
                 "wanted a weight file of at least 64 bytes, had 63");
    for (size_t cut = 0; cut < 134; cut++)
        assert_fails(mil_blob_read(bytes, cut, FIRST, MIL_FP16, 6, &data), E_FORMAT,
                     NULL);
    assert_ok(mil_blob_read(bytes, 134, FIRST, MIL_FP16, 6, &data));
    mil_blob_free(w);
}

static void a_list_must_fill_the_file(void **state)
{
    mil_blob_writer *w;
    const void *bytes;
    size_t n, count;
    uint64_t *offsets;
    unsigned char copy[TOTAL + 64] = {0};
    arena *mem = arena_new();
    write_three(&w, &bytes, &n);
    memcpy(copy, bytes, n);
    put(copy, 4, 2);
    assert_fails(mil_blob_list(mem, copy, n, &offsets, &count), E_FORMAT,
                 "129 bytes follow the last of 2 chunks");
    put(copy, 4, 4);
    assert_fails(mil_blob_list(mem, copy, n, &offsets, &count), E_FORMAT,
                 "wanted a chunk at offset 448, but the file has 385 bytes");
    put(copy, 4, 0xffffffff);
    assert_fails(mil_blob_list(mem, copy, n, &offsets, &count), E_FORMAT,
                 "4294967295 chunks do not fit into a file of 385 bytes");
    put(copy, 4, 3);
    assert_ok(mil_blob_list(mem, copy, 448, &offsets, &count)); /* padded to 64 */
    mil_blob_free(w);
    arena_free(mem);
}

/* ---- the files of a program ---- */

#define PROGRAM(path)                                                           \
    "program(1.3) { func main<ios18>(fp16 x) {\n"                               \
    "  fp16 a = const()[val = tensor<fp16, [3]>(BLOBFILE(path = string(\"" path \
    "\"), offset = uint64(64)))];\n"                                            \
    "  fp16 b = f(w = tensor<fp16, [3]>(BLOBFILE(path = string(\"" path         \
    "\"), offset = uint64(64))), v = (x, tensor<int8, [1]>(BLOBFILE(path = "    \
    "string(\"@model_path/weights/sub/two.bin\"), offset = uint64(64)))));\n"   \
    "} -> (b); }"

static void weight_files_are_read_once_each(void **state)
{
    const char *dir = *state, *text = PROGRAM("@model_path/weights/one.bin");
    arena *mem = arena_new();
    mil_program *p;
    mil_blob_file *files;
    int n;
    assert_ok(file_make_dirs(test_path(dir, "sub")));
    assert_ok(file_replace(test_path(dir, "one.bin"), "11", 2));
    assert_ok(file_replace(test_path(dir, "sub/two.bin"), "222", 3));
    assert_ok(mil_parse(mem, text, strlen(text), "p.mil", &p));
    assert_ok(mil_load_blobs(mem, p, dir, &files, &n));
    assert_int_equal(n, 2);
    assert_string_equal(files[0].path, "@model_path/weights/one.bin");
    assert_int_equal(files[0].size, 2);
    assert_string_equal(files[1].path, "@model_path/weights/sub/two.bin");
    assert_memory_equal(files[1].bytes, "222", 3);
    arena_free(mem);
}

static void a_missing_weight_file_is_named(void **state)
{
    const char *dir = *state, *text = PROGRAM("@model_path/weights/one.bin");
    arena *mem = arena_new();
    mil_program *p;
    mil_blob_file *files;
    int n;
    assert_ok(mil_parse(mem, text, strlen(text), "p.mil", &p));
    assert_fails(mil_load_blobs(mem, p, dir, &files, &n), E_IO,
                 "while reading '@model_path/weights/one.bin' of p.mil");
    assert_fails(
        mil_load_blobs(mem, p, NULL, &files, &n), E_IO,
        "p.mil:2:26: the program reads '@model_path/weights/one.bin', and no folder of "
        "weights was given");
    arena_free(mem);
}

static void a_path_may_not_leave_the_folder(void **state)
{
    static const char *const texts[] = {PROGRAM("@model_path/weights/../one.bin"),
                                        PROGRAM("@model_path/weights/a/../../b"),
                                        PROGRAM("@model_path/weights/"),
                                        PROGRAM("@model_path/weights//etc/passwd"),
                                        PROGRAM("@model_path/weights/./one.bin"),
                                        PROGRAM("@model_path/weights/a\\\\..\\\\b"),
                                        PROGRAM("/etc/passwd"),
                                        PROGRAM("@model_path/one.bin"),
                                        PROGRAM("one.bin"),
                                        PROGRAM("")};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        arena *mem = arena_new();
        mil_program *p;
        mil_blob_file *files;
        int n;
        assert_ok(mil_parse(mem, texts[i], strlen(texts[i]), "p.mil", &p));
        assert_fails(
            mil_load_blobs(mem, p, *state, &files, &n), E_FORMAT,
            "p.mil:2:26: wanted a path like '@model_path/weights/weight.bin', had '");
        arena_free(mem);
    }
}

static void a_program_without_weights_needs_no_folder(void **state)
{
    static const char text[] = "program(1.3) { func main<ios18>(fp16 x) { } -> (x); }";
    arena *mem = arena_new();
    mil_program *p;
    mil_blob_file *files;
    int n = 7;
    assert_ok(mil_parse(mem, text, strlen(text), "p.mil", &p));
    assert_ok(mil_load_blobs(mem, p, NULL, &files, &n));
    assert_int_equal(n, 0);
    arena_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_is_the_official_one_byte_for_byte),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(every_type_with_a_code_goes_through_a_file),
        cmocka_unit_test(what_no_file_can_hold_is_refused),
        cmocka_unit_test(every_damaged_field_is_found),
        cmocka_unit_test(an_offset_must_name_a_record),
        cmocka_unit_test(a_list_must_fill_the_file),
        cmocka_unit_test_setup_teardown(weight_files_are_read_once_each, test_dir_setup,
                                        test_dir_teardown),
        cmocka_unit_test_setup_teardown(a_missing_weight_file_is_named, test_dir_setup,
                                        test_dir_teardown),
        cmocka_unit_test_setup_teardown(a_path_may_not_leave_the_folder, test_dir_setup,
                                        test_dir_teardown),
        cmocka_unit_test(a_program_without_weights_needs_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
