/* The reader and printer of MIL text: every form the grammar has, every error
 * with its exact words and place, and the bounds on what a text may cost. */
#include "mil_help.h"

/* A statement inside a small program, and what it is printed as. */
typedef struct {
    const char *in, *out;
} form;

#define HEAD                                                                          \
    "program(1.3)\n{\n    func main<ios18>(tensor<fp16, [1, 4]> x, tensor<fp16, [1, " \
    "4]> y) {\n"
#define TAIL "    } -> (x);\n}\n"

static void check_form(const form *f)
{
    arena *mem = arena_new();
    char text[2048], want[2048];
    snprintf(text, sizeof text, HEAD "%s\n" TAIL, f->in);
    snprintf(want, sizeof want, HEAD "        %s\n" TAIL, f->out);
    str had = reprint(mem, text, strlen(text));
    assert_string_equal(str_text(&had), want);
    str_free(&had);
    arena_free(mem);
}

#define CONST(type, value) "fp16 k = const()[val = " type "(" value ")];"
#define BLOB "BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = uint64(64))"

static const form forms[] = {
    /* space is free, attributes keep their order */
    {"tensor<fp16,[1,4]>z=relu(x=x)[name=string(\"z\")];",
     "tensor<fp16, [1, 4]> z = relu(x = x)[name = string(\"z\")];"},
    {"\r\n\ttensor < fp16 ,\n[ 1 ,4 ] > z\t= relu ( x\n= x ) [ b = int32 ( 1 ) , a = "
     "bool(true) ] ;",
     "tensor<fp16, [1, 4]> z = relu(x = x)[b = int32(1), a = bool(true)];"},
    {"fp16 z = f();", "fp16 z = f();"},
    {"fp16 z = f()[];", "fp16 z = f();"},
    {"fp16 _a@1 = f(); fp16 b = g(in = _a@1);",
     "fp16 _a@1 = f();\n        fp16 b = g(in = _a@1);"},
    /* several results, tuples, inline literals */
    {"tensor<fp16, [1, 2]> a, tensor<fp16, [1, 2]> b = split(num_splits = 2, axis = -1, "
     "x = x);",
     "tensor<fp16, [1, 2]> a, tensor<fp16, [1, 2]> b = split(num_splits = int32(2), axis "
     "= "
     "int32(-1), x = x);"},
    {"fp16 z = concat(values=(x,y), axis = 1, interleave = false);",
     "fp16 z = concat(values = (x, y), axis = int32(1), interleave = bool(false));"},
    {"fp16 z = f(v = (x), w = (x, fp16(2), true), s = \"hi\", e = 1e-5);",
     "fp16 z = f(v = (x), w = (x, fp16(0x1p+1), bool(true)), s = string(\"hi\"), e = "
     "fp32(0x1.4f8b58p-17));"},
    {"fp16 z = matmul(transpose_x = bool(true), transpose_y = true, x = x, y = y);",
     "fp16 z = matmul(transpose_x = bool(true), transpose_y = bool(true), x = x, y = "
     "y);"},
    /* everything in the attribute list */
    {"tensor<fp16, [2, 1]> w = constexpr_affine_dequantize()[axis = int32(0), "
     "quantized_data = "
     "tensor<int8, [2, 1]>([-1, 2]), scale = fp16(0x1p-3), zero_point = int8(0)];",
     "tensor<fp16, [2, 1]> w = constexpr_affine_dequantize()[axis = int32(0), "
     "quantized_data = "
     "tensor<int8, [2, 1]>([-1, 2]), scale = fp16(0x1p-3), zero_point = int8(0)];"},
    /* numbers of a real type */
    {CONST("fp16", "0.125000"), CONST("fp16", "0x1p-3")},
    {CONST("fp16", "0x1p-3"), CONST("fp16", "0x1p-3")},
    {CONST("fp16", "0X1.8P+1"), CONST("fp16", "0x1.8p+1")},
    {CONST("fp16", "0x.8p1"), CONST("fp16", "0x1p+0")},
    {CONST("fp16", "0x18p-4"), CONST("fp16", "0x1.8p+0")},
    {CONST("fp16", "-1"), CONST("fp16", "-0x1p+0")},
    {CONST("fp16", "+2."), CONST("fp16", "0x1p+1")},
    {CONST("fp16", "1.5e+2"), CONST("fp16", "0x1.2cp+7")},
    {CONST("fp16", ".5E-1"), CONST("fp16", "0x1.998p-5")},
    {CONST("fp16", "-0.0"), CONST("fp16", "-0x0p+0")},
    {CONST("fp16", "65504"), CONST("fp16", "0x1.ffcp+15")},
    {CONST("fp16", "0x1p-24"), CONST("fp16", "0x1p-24")},
    {CONST("fp16", "1e-30"), CONST("fp16", "0x0p+0")},
    {CONST("fp16", "inf"), CONST("fp16", "inf")},
    {CONST("fp16", "-Infinity"), CONST("fp16", "-inf")},
    {CONST("fp16", "NaN"), CONST("fp16", "nan")},
    {CONST("fp16", "0x3c00"), CONST("fp16", "0x1p+0")},
    {CONST("fp16", "0xFC00"), CONST("fp16", "-inf")},
    {CONST("fp16", "0x7e01"), CONST("fp16", "0x7e01")},
    {CONST("fp32", "0x3f800000"), CONST("fp32", "0x1p+0")},
    {CONST("fp32", "0.1"), CONST("fp32", "0x1.99999ap-4")},
    {CONST("fp32", "0x1p-149"), CONST("fp32", "0x1p-149")},
    {CONST("fp32", "0x7fc00001"), CONST("fp32", "0x7fc00001")},
    {CONST("bf16", "3.14159"), CONST("bf16", "0x1.92p+1")},
    {CONST("bf16", "0x3f80"), CONST("bf16", "0x1p+0")},
    /* the digits past the last that counts still round it up */
    {CONST("fp32", "0x1.00000100000000000000001p+0"), CONST("fp32", "0x1.000002p+0")},
    /* whole numbers at their limits */
    {CONST("int8", "-128"), CONST("int8", "-128")},
    {CONST("uint8", "0xff"), CONST("uint8", "255")},
    {CONST("int16", "32767"), CONST("int16", "32767")},
    {CONST("uint16", "65535"), CONST("uint16", "65535")},
    {CONST("int32", "-2147483648"), CONST("int32", "-2147483648")},
    {CONST("uint32", "4294967295"), CONST("uint32", "4294967295")},
    {CONST("int64", "-9223372036854775808"), CONST("int64", "-9223372036854775808")},
    {CONST("uint64", "18446744073709551615"), CONST("uint64", "18446744073709551615")},
    {CONST("bool", "false"), CONST("bool", "false")},
    /* tensors: flat, nested, of rank 0, empty, splat */
    {CONST("tensor<fp16, [2, 2]>", "[1, -65504, 0, .5]"),
     CONST("tensor<fp16, [2, 2]>", "[0x1p+0, -0x1.ffcp+15, 0x0p+0, 0x1p-1]")},
    {CONST("tensor<int32, [2, 1, 2]>", "[[[1, 2]], [[3, 4]]]"),
     CONST("tensor<int32, [2, 1, 2]>", "[1, 2, 3, 4]")},
    {CONST("tensor<bool, [2]>", "[true, false]"),
     CONST("tensor<bool, [2]>", "[true, false]")},
    {CONST("tensor<int32, []>", "7"), CONST("tensor<int32, []>", "7")},
    {CONST("tensor<int32, [1]>", "7"), CONST("tensor<int32, [1]>", "[7]")},
    {CONST("tensor<int32, [0]>", "[]"), CONST("tensor<int32, [0]>", "[]")},
    {CONST("tensor<int32, [2, 0]>", "[[], []]"), CONST("tensor<int32, [2, 0]>", "[]")},
    {CONST("tensor<fp16, [1024, 1024, 1024, 1024]>", "0.5"),
     CONST("tensor<fp16, [1024, 1024, 1024, 1024]>", "0x1p-1")},
    {CONST("tensor<int8, [1, 1, 1, 1, 1, 1, 1, 1]>", "[3]"),
     CONST("tensor<int8, [1, 1, 1, 1, 1, 1, 1, 1]>", "[3]")},
    /* strings */
    {CONST("string", "\"\""), CONST("string", "\"\"")},
    {CONST("tensor<string, []>", "\"valid\""), CONST("tensor<string, []>", "\"valid\"")},
    {CONST("string", "\"a\\\"b\\\\c\\n\\t\\r\\x01\\x41\""),
     CONST("string", "\"a\\\"b\\\\c\\n\\t\\r\\x01A\"")},
    {CONST("string", "\"\xc3\xa4 // no comment\""),
     CONST("string", "\"\xc3\xa4 // no comment\"")},
    /* weight files, both spellings, fields in any order */
    {CONST("tensor<fp16, [4, 4]>", BLOB), CONST("tensor<fp16, [4, 4]>", BLOB)},
    {CONST("tensor<fp16, [4, 4]>",
           "BLOBFILE(offset=uint64(64),path=string(\"@model_path/weights/w.bin\"))"),
     CONST("tensor<fp16, [4, 4]>", BLOB)},
    {CONST("tensor<fp16, [4]>", "BLOBFILE(path = tensor<string, []>(\"p\"), offset = "
                                "tensor<uint64, []>(18446744073709551615))"),
     CONST("tensor<fp16, [4]>", "BLOBFILE(path = tensor<string, []>(\"p\"), offset = "
                                "tensor<uint64, []>(18446744073709551615))")},
};

static void every_form_of_a_statement_is_read_and_printed(void **state)
{
    for (size_t i = 0; i < COUNT_OF(forms); i++) check_form(&forms[i]);
}

/* A whole program of the kind people write: packed input, baked and streamed
 * weights, two functions, no semicolon at the end. */
static const char whole[] =
    "program(1.3)[buildInfo = "
    "dict<string,string>({{\"coremlc-component-MIL\",\"3520.4.1\"},\n"
    "  {\"coremlc-version\", \"3520.5.1\"}})]\n"
    "{ func main<ios18>(tensor<fp16, [1,8,1,48]> pack) {\n"
    "   tensor<int32, [4]> b = const()[name=string(\"b\"), val=tensor<int32, "
    "[4]>([0,0,0,0])];\n"
    "   tensor<int32, [4]> s = const()[val=tensor<int32, [4]>([1,8,1,32]), "
    "name=string(\"s\")];\n"
    "   tensor<fp16, [1,8,1,32]> act = "
    "slice_by_size(x=pack,begin=b,size=s)[name=string(\"act\")];\n"
    "   tensor<fp16, [4,8,1,1]> W = const()[name=string(\"W\"), val=tensor<fp16, "
    "[4,8,1,1]>\n"
    "     (BLOBFILE(path=string(\"@model_path/weights/w.bin\"), offset=uint64(64)))];\n"
    "   string pt = const()[name=string(\"pt\"), val=string(\"valid\")];\n"
    "   tensor<int32, [2]> one = const()[name=string(\"one\"), val=tensor<int32, "
    "[2]>([1,1])];\n"
    "   int32 gr = const()[name=string(\"gr\"), val=int32(1)];\n"
    "   tensor<fp16, [1,4,1,32]> h = "
    "conv(dilations=one,groups=gr,pad=b,pad_type=pt,strides=one,\n"
    "     weight=W,x=act)[name=string(\"h\")];\n"
    "   tensor<fp16, [1,4,1,32]> g = sigmoid(x=h)[name=string(\"gtt\")];\n"
    " } -> (g, h)\n"
    " func second<ios17>() { fp32 u = const()[name=string(\"u\"), val=fp32(1)]; } -> "
    "(u);\n"
    "}\n";

static void a_program_is_read_with_places_and_printed_as_stored(void **state)
{
    arena *mem = arena_new();
    mil_program *p;
    assert_ok(mil_parse(mem, whole, strlen(whole), "whole.mil", &p));
    assert_int_equal(p->major, 1);
    assert_int_equal(p->minor, 3);
    assert_int_equal(p->n_func, 2);
    assert_string_equal(p->build_info.items[3].text, "3520.5.1");
    const mil_func *f = mil_find_func(p, NULL);
    assert_string_equal(f->name, "main");
    assert_string_equal(f->opset, "ios18");
    assert_ptr_equal(mil_find_func(p, "second"), &p->func[1]);
    assert_null(mil_find_func(p, "third"));
    assert_int_equal(f->n_out, 2);
    assert_string_equal(f->out[0], "g");
    const mil_op *conv = &f->op[7];
    assert_string_equal(conv->op, "conv");
    assert_int_equal(conv->pos.line, 12);
    assert_int_equal(conv->pos.column, 33);
    assert_int_equal(conv->out[0].pos.column, 29);
    assert_string_equal(mil_arg_of(conv, "weight")->ref, "W");
    assert_null(mil_arg_of(conv, "bias"));
    assert_string_equal(mil_attr_of(conv, "name")->text, "h");
    const mil_value *v = mil_attr_of(&f->op[3], "val");
    assert_int_equal(v->kind, MIL_BLOB);
    assert_int_equal(v->offset, 64);
    assert_int_equal(mil_count(&v->type), 32);
    const mil_value *size = mil_attr_of(&f->op[1], "val");
    assert_memory_equal(size->data, ((int32_t[]){1, 8, 1, 32}), 16);
    str text = reprint(mem, whole, strlen(whole));
    assert_golden("whole", str_text(&text));
    str_free(&text);
    arena_free(mem);
}

static void the_older_spelling_keeps_its_spelling(void **state)
{
    static const char text[] =
        "program(1.0)\n"
        "[buildInfo = dict<tensor<string, []>, tensor<string, "
        "[]>>({{\"coremlc-version\", "
        "\"3505.4.1\"}})]\n"
        "{\n"
        "    func main<ios16>(tensor<fp16, [1, 4]> x) {\n"
        "        tensor<int32, []> a = const()[name = tensor<string, []>(\"a\"), val = "
        "tensor<int32, []>(1)];\n"
        "        tensor<fp16, [1, 4]> s = softmax(axis = a, x = x)[name = tensor<string, "
        "[]>(\"s\")];\n"
        "    } -> (s);\n"
        "}\n";
    arena *mem = arena_new();
    str had = reprint(mem, text, strlen(text));
    assert_string_equal(str_text(&had), text);
    str_free(&had);
    arena_free(mem);
}

/* ---- errors ---- */

typedef struct {
    const char *text, *error;
} fault;

/* The body of a function, put after line 1; columns count from the body. */
#define IN "program(1.3) { func main<ios18>(fp16 x) {\n"
#define OUT "\n} -> (x); }"

static const fault faults[] = {
    {"",
     "t.mil:1:1: wanted 'program' at the start of a program, had the end of the text\n"
     "    1 | \n      | ^"},
    {"program(1.3)\n{\n}", "t.mil:3:1: wanted at least one function, had '}'"},
    {"program(1.3)\n{\nfun",
     "t.mil:3:1: wanted 'func' or '}' after the last function, had 'fun'"},
    {"program(one)", "t.mil:1:9: wanted a version such as 1.3, had 'one'\n"
                     "    1 | program(one)\n      |         ^"},
    {"program(1)", "t.mil:1:9: wanted a version such as 1.3, had '1'"},
    {"program(1.3) [x = 1] {",
     "t.mil:1:15: wanted 'buildInfo' as the only attribute of a "
     "program, had 'x'"},
    {"program(1.3) [buildInfo = dict<string, int32>({})] {",
     "t.mil:1:27: wanted a dict of strings to strings, had dict<string, int32>"},
    {"program(1.3) [buildInfo = dict<string, string>({{\"a\", 1}})] {",
     "t.mil:1:55: wanted a string, had '1'"},
    {"// hello\nprogram(1.3)",
     "t.mil:1:1: MIL text has no comments\n"
     "    1 | // hello\n      | ^\n"
     "  hint: remove everything from here to the end of the comment"},
    {IN "fp16 a = f(); # why" OUT, "t.mil:2:15: MIL text has no comments"},
    {IN "fp16 a = f($);" OUT, "t.mil:2:12: no token begins with '$'"},
    {IN "fp16 a = f(\xff);" OUT, "t.mil:2:12: no token begins with the byte 0xff"},
    {IN "fp16 a = f()" OUT, "t.mil:3:1: wanted ';' after an operation, had '}'"},
    {IN "\ttensor<fp61, [1]> a = f();" OUT, "t.mil:2:9: no type is called 'fp61'\n"
                                            "    2 | \ttensor<fp61, [1]> a = f();\n"
                                            "      | \t       ^\n"
                                            "  hint: did you mean 'fp16'?"},
    {IN "tensr<fp16, [1]> a = f();" OUT, "hint: did you mean 'tensor'?"},
    {IN "state<tensor<fp16, [1]>> a = f();" OUT, "t.mil:2:1: no type is called 'state'"},
    {IN "tensor<fp16, [?, 4]> a = f();" OUT,
     "t.mil:2:15: wanted a size known beforehand, had '?'"},
    {IN "tensor<fp16, [is0]> a = f();" OUT, "wanted a size known beforehand, had 'is0'"},
    {IN "tensor<fp16, [-1]> a = f();" OUT,
     "t.mil:2:15: wanted a size of at least 0, had '-1'"},
    {IN "tensor<fp16, [1.5]> a = f();" OUT,
     "t.mil:2:15: wanted a whole number, had '1.5'"},
    {IN "tensor<fp16, [9223372036854775808]> a = f();" OUT,
     "t.mil:2:15: '9223372036854775808' does not fit int64"},
    {IN "tensor<fp16, [4294967296, 4294967296]> a = f();" OUT,
     "t.mil:2:1: a tensor of more than 2^63 elements"},
    {IN "tensor<fp16, [0, 4294967296, 4294967296]> a = f();" OUT,
     "t.mil:2:1: a tensor of more than 2^63 elements"},
    {IN "tensor<fp16, [1,1,1,1,1,1,1,1,1]> a = f();" OUT,
     "t.mil:2:31: wanted at most 8 sizes, had more"},
    {IN "fp16 a = f(x = y);" OUT, "t.mil:2:16: 'y' is not defined before it is used\n"
                                  "    2 | fp16 a = f(x = y);\n"
                                  "      |                ^"},
    {IN "fp16 a = f(x = a);" OUT, "t.mil:2:16: 'a' is not defined before it is used"},
    {IN "fp16 x = f();" OUT, "t.mil:2:6: 'x' is defined a second time"},
    {IN "fp16 a, fp16 a = f();" OUT, "t.mil:2:14: 'a' is defined a second time"},
    {IN "fp16 true = f();" OUT, "t.mil:2:6: wanted a variable's name, had 'true'"},
    {IN "fp16 a = f(x = x, x = x);" OUT, "t.mil:2:19: 'x' is given twice"},
    {IN "fp16 a = f(x);" OUT, "t.mil:2:13: wanted '=' after an argument's name, had ')'"},
    {IN "fp16 a = f(x = x y = x);" OUT,
     "t.mil:2:18: wanted ',' or ')' after an argument, had 'y'"},
    {IN "fp16 a = f(x = x,);" OUT, "t.mil:2:18: wanted an argument's name, had ')'"},
    {IN "fp16 a = f(x = );" OUT, "t.mil:2:16: wanted a value, had ')'"},
    {IN "fp16 a = f(x = ());" OUT, "t.mil:2:17: wanted a value, had ')'"},
    {IN "fp16 a = f(x = ((x)));" OUT, "t.mil:2:17: wanted a value, had '('"},
    {IN "fp16 a = f(x = [1, 2]);" OUT,
     "t.mil:2:16: wanted a value, had '['\n"
     "    2 | fp16 a = f(x = [1, 2]);\n"
     "      |                ^\n"
     "  hint: a list needs its type, as in tensor<int32, [2]>([1, 1])"},
    {IN "fp16 a = f(x = mul(x = x));" OUT, "t.mil:2:16: no type is called 'mul'"},
    {IN "fp16 a = f()[name = x];" OUT,
     "t.mil:2:21: wanted a literal such as string(\"...\") as an attribute, had 'x'"},
    {IN "fp16 a = f()[name = string(\"a\"];" OUT,
     "t.mil:2:31: wanted ')' after a literal, had ']'"},
    {IN "fp16 a = f()[v = string(\"a];" OUT,
     "t.mil:2:25: a string is not closed before the end of its line"},
    {IN "fp16 a = f()[v = string(\"a\\q\")];" OUT,
     "t.mil:2:27: no escape is spelled '\\q'\n"
     "    2 | fp16 a = f()[v = string(\"a\\q\")];\n"
     "      |                           ^\n"
     "  hint: escapes are \\\" \\\\ \\n \\t \\r and \\x01 to \\xff"},
    {IN "fp16 a = f()[v = string(\"a\\x00\")];" OUT,
     "t.mil:2:27: no escape is spelled '\\x'"},
    {IN "fp16 a = f()[v = string(1)];" OUT,
     "t.mil:2:25: wanted a string in double quotes, had '1'"},
    {IN "fp16 a = f()[v = tensor<string, [2]>(\"a\")];" OUT,
     "t.mil:2:18: a tensor of strings has one value, of rank 0"},
    {IN "fp16 a = f()[v = fp16(\"a\")];" OUT, "t.mil:2:23: wanted a number, had '\"a\"'"},
    {IN "fp16 a = f()[v = fp16(one)];" OUT, "t.mil:2:23: wanted a number, had 'one'"},
    {IN "fp16 a = f()[v = fp16(1..2)];" OUT, "t.mil:2:23: wanted a number, had '1..2'"},
    {IN "fp16 a = f()[v = fp16(1e)];" OUT, "t.mil:2:23: wanted a number, had '1e'"},
    {IN "fp16 a = f()[v = fp16(-)];" OUT, "t.mil:2:23: wanted a number, had '-'"},
    {IN "fp16 a = f()[v = fp16(1e9)];" OUT,
     "t.mil:2:23: '1e9' is beyond the range of fp16\n"
     "    2 | fp16 a = f()[v = fp16(1e9)];\n"
     "      |                       ^\n"
     "  hint: infinity is spelled inf or -inf"},
    {IN "fp16 a = f()[v = fp16(65520)];" OUT, "'65520' is beyond the range of fp16"},
    {IN "fp16 a = f()[v = fp16(0x13c00)];" OUT,
     "t.mil:2:23: wanted the bit pattern of fp16, at most 4 hexadecimal digits, had "
     "'0x13c00'"},
    {IN "fp16 a = f()[v = fp16(-0x3c00)];" OUT, "wanted the bit pattern of fp16"},
    {IN "fp16 a = f()[v = fp16(0x1.8)];" OUT,
     "wanted at most 16 hexadecimal digits, or a float such as 0x1.8p+1, had '0x1.8'"},
    {IN "fp16 a = f()[v = fp16(0x1p)];" OUT,
     "wanted a hexadecimal float such as 0x1.8p+1, had '0x1p'"},
    {IN "fp16 a = f()[v = int32(1.5)];" OUT,
     "t.mil:2:24: wanted a whole number, had '1.5'"},
    {IN "fp16 a = f()[v = int32(2147483648)];" OUT, "'2147483648' does not fit int32"},
    {IN "fp16 a = f()[v = uint8(-1)];" OUT, "'-1' does not fit uint8"},
    {IN "fp16 a = f()[v = int32(inf)];" OUT, "wanted a whole number, had 'inf'"},
    {IN "fp16 a = f()[v = bool(1)];" OUT, "t.mil:2:23: wanted true or false, had '1'"},
    {IN "fp16 a = f(v = 3000000000);" OUT, "t.mil:2:16: '3000000000' does not fit int32"},
    {IN "fp16 a = f()[v = fp16([1])];" OUT,
     "t.mil:2:23: wanted one value without brackets, had '['"},
    {IN "fp16 a = f()[v = tensor<fp16, [2, 3]>([1, 2, 3, 4, 5])];" OUT,
     "t.mil:2:53: tensor<fp16, [2, 3]> has 6 elements, but the list has 5"},
    {IN "fp16 a = f()[v = tensor<fp16, [2]>([1, 2, 3])];" OUT,
     "t.mil:2:43: tensor<fp16, [2]> has 2 elements, and more are listed"},
    {IN "fp16 a = f()[v = tensor<fp16, [4611686018427387904]>([1, 2])];" OUT,
     "has 4611686018427387904 elements, but the list has 2"},
    {IN "fp16 a = f()[v = tensor<fp16, [2, 2]>([[1, 2], [3]])];" OUT,
     "t.mil:2:50: axis 1 of tensor<fp16, [2, 2]> has size 2, but the list has 1"},
    {IN "fp16 a = f()[v = tensor<fp16, [2, 2]>([[1, 2]])];" OUT,
     "t.mil:2:46: axis 0 of tensor<fp16, [2, 2]> has size 2, but the list has 1"},
    {IN "fp16 a = f()[v = tensor<fp16, [2, 2]>([[1, 2], 3, 4])];" OUT,
     "t.mil:2:48: wanted '[' before a row of a nested list, had '3'"},
    {IN "fp16 a = f()[v = tensor<fp16, [2]>([[1, 2]])];" OUT,
     "t.mil:2:37: wanted a number, had '['"},
    {IN "fp16 a = f()[v = tensor<fp16, [2]>([1 2])];" OUT,
     "t.mil:2:39: wanted ',' or ']' after an element, had '2'"},
    {IN "fp16 a = f()[v = tensor<fp16, [2]>(BLOBFILE(path = string(\"p\")))];" OUT,
     "t.mil:2:63: wanted offset = uint64(...) in BLOBFILE, had ')'"},
    {IN "fp16 a = f()[v = tensor<fp16, [2]>(BLOBFILE(offset = uint64(64)))];" OUT,
     "t.mil:2:64: wanted path = string(\"...\") in BLOBFILE, had ')'"},
    {IN "fp16 a = f()[v = tensor<fp16, [2]>(BLOBFILE(offset = int32(64), x = 1))];" OUT,
     "t.mil:2:54: wanted uint64(...) here, had int32"},
    {IN "fp16 a = f()[v = tensor<fp16, [2]>(BLOBFILE(offset = uint64(-1)))];" OUT,
     "t.mil:2:61: '-1' does not fit uint64"},
    {IN "fp16 a = f()[v = tensor<fp16, [2]>(BLOBFILE(file = string(\"p\")))];" OUT,
     "t.mil:2:45: wanted path = and offset =, once each, had 'file'"},
    {IN
     "fp16 a = f()[v = string(BLOBFILE(path = string(\"p\"), offset = uint64(64)))];" OUT,
     "t.mil:2:25: wanted a string in double quotes, had 'BLOBFILE'"},
    {"program(1.3) { func f<a>(fp16 x) { } -> (); }",
     "t.mil:1:42: wanted the name of an output, had ')'"},
    {"program(1.3) { func f<a>(fp16 x) { } -> (z); }",
     "t.mil:1:42: 'z' is not defined before it is used"},
    {"program(1.3) { func f<a>(fp16 x) { } -> (x, x); }",
     "t.mil:1:45: output 'x' is listed twice"},
    {"program(1.3) { func f<a>(fp16 x) { }; }",
     "t.mil:1:37: wanted '-> (outputs)' after the body of a function, had ';'"},
    {"program(1.3) { func f<a>(fp16 x, fp16 x) { } -> (x); }",
     "t.mil:1:39: 'x' is defined a second time"},
    {"program(1.3) { func f(fp16 x) { } -> (x); }",
     "t.mil:1:22: wanted '<' after the function's name, as in main<ios18>, had '('"},
    {"program(1.3) { func f<a>(fp16 x) { } -> (x) func f<a>(fp16 x) { } -> (x); }",
     "t.mil:1:50: function 'f' is defined twice"},
    {"program(1.3) { func f<a>(fp16 x) { } -> (x); } x",
     "t.mil:1:48: wanted nothing after the program, had 'x'"},
};

static void every_error_has_its_words_and_its_place(void **state)
{
    int bad = 0;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        arena *mem = arena_new();
        mil_program *p;
        const char *text = faults[i].text;
        err_clear();
        rc r = mil_parse(mem, text, strlen(text), "t.mil", &p);
        if (r != E_FORMAT || !strstr(err_text(), faults[i].error)) {
            print_error("of: %s\nhad: %s\nwanted: %s\n", text, err_text(),
                        faults[i].error);
            bad++;
        }
        arena_free(mem);
    }
    assert_int_equal(bad, 0);
}

/* The caret of a long line stands in a window, under the byte it names. */
static void a_long_line_is_shown_round_the_fault(void **state)
{
    arena *mem = arena_new();
    mil_program *p;
    str s = {0};
    str_add(&s, "program(1.3) { func main<ios18>(fp16 x) {\nfp16 a = f()[v = "
                "tensor<fp16, [200]>([");
    for (int i = 0; i < 100; i++) str_addf(&s, "%d, ", i);
    str_add(&s, "oops]) ];");
    assert_fails(mil_parse(mem, s.p, s.n, "t.mil", &p), E_FORMAT,
                 "t.mil:2:429: wanted a number");
    const char *caret = strchr(err_text(), '^'), *line = strchr(err_text(), '\n') + 1;
    const char *under = strchr(line, '\n') + 1;
    assert_int_equal(strncmp(line + (caret - under), "oops", 4), 0);
    assert_true(strlen(err_text()) < 320);
    str_free(&s);
    arena_free(mem);
}

static void a_caret_counts_letters_not_bytes(void **state)
{
    arena *mem = arena_new();
    mil_program *p;
    static const char text[] = IN
        "fp16 a = f()[v = string(\"\xc3\xa4\xc3\xb6\"), w = zzz];" OUT;
    assert_fails(mil_parse(mem, text, strlen(text), "t.mil", &p), E_FORMAT,
                 "      |                                    ^");
    arena_free(mem);
}

/* ---- bounds ---- */

static void too_many_of_anything_is_refused(void **state)
{
    arena *mem = arena_new();
    mil_program *p;
    str s = {0};
    str_add(&s, IN "fp16 a = f(");
    for (int i = 0; i < 257; i++) str_addf(&s, "%sa%d = 1", i ? ", " : "", i);
    str_add(&s, ");" OUT);
    assert_fails(mil_parse(mem, s.p, s.n, "t.mil", &p), E_FORMAT,
                 "more than 256 arguments of one operation");
    str_clear(&s);
    str_add(&s, IN "fp16 ");
    for (int i = 0; i < 300; i++) str_add(&s, "a");
    str_add(&s, " = f();" OUT);
    assert_fails(mil_parse(mem, s.p, s.n, "t.mil", &p), E_FORMAT,
                 "wanted a name of at most 255 characters, had one of 300");
    str_free(&s);
    arena_free(mem);
}

static void more_text_than_the_limit_is_refused_unread(void **state)
{
    arena *mem = arena_new();
    mil_program *p;
    assert_fails(mil_parse(mem, "program", ((size_t)64 << 20) + 1, "t.mil", &p), E_FORMAT,
                 "t.mil: wanted at most 67108864 bytes of MIL text, had 67108865");
    arena_free(mem);
}

/* A tensor's claim is not allocated: 2^40 elements in a text of 80 bytes. */
static void a_claimed_size_costs_nothing(void **state)
{
    arena *mem = arena_new();
    mil_program *p;
    static const char text[] = IN
        "fp16 a = f()[v = tensor<int64, [1099511627776]>([1])];" OUT;
    assert_fails(mil_parse(mem, text, strlen(text), "t.mil", &p), E_FORMAT,
                 "but the list has 1");
    assert_true(arena_bytes(mem) < 65536);
    arena_free(mem);
}

static void text_cut_anywhere_is_an_error(void **state)
{
    size_t n = strlen(whole);
    while (strchr(" \n", whole[n - 1])) n--;
    for (size_t i = 0; i < n; i++) {
        arena *mem = arena_new();
        mil_program *p;
        char *cut = malloc(i ? i : 1); /* exact, so that a sanitizer sees the end */
        assert_non_null(cut);
        memcpy(cut, whole, i);
        assert_fails(mil_parse(mem, cut, i, "t.mil", &p), E_FORMAT, "t.mil:");
        free(cut);
        arena_free(mem);
    }
}

static void running_out_of_memory_is_an_error(void **state)
{
    rc r = E_MEMORY;
    for (long n = 1; r != OK; n++) {
        arena *mem = arena_new();
        mil_program *p;
        str s = {0};
        mem_fail_at(n);
        r = mil_parse(mem, whole, strlen(whole), "t.mil", &p);
        if (r == OK) r = mil_print(p, &s);
        mem_fail_at(0);
        assert_true(r == OK || r == E_MEMORY);
        str_free(&s);
        arena_free(mem);
        assert_true(n < 10000);
    }
}

/* ---- types and places ---- */

static void types_compare_count_and_print(void **state)
{
    mil_type scalar = {.dtype = MIL_FP16}, rank0 = {.dtype = MIL_FP16, .tensor = true};
    mil_type t = {MIL_INT8, true, 3, {2, 0, 5}};
    char text[96];
    assert_true(mil_type_eq(&scalar, &rank0));
    assert_false(mil_type_eq(&scalar, &t));
    assert_int_equal(mil_count(&scalar), 1);
    assert_int_equal(mil_count(&t), 0);
    assert_string_equal(mil_type_text(text, &scalar), "fp16");
    assert_string_equal(mil_type_text(text, &rank0), "tensor<fp16, []>");
    assert_string_equal(mil_type_text(text, &t), "tensor<int8, [2, 0, 5]>");
    t.d[1] = INT64_MAX;
    assert_int_equal(mil_count(&t), -1);
    for (int d = 0; d < MIL_DTYPE_COUNT; d++) {
        assert_true(strlen(mil_dtype_text((mil_dtype)d)) > 0);
        assert_true(mil_dtype_bytes((mil_dtype)d) > 0 || d == MIL_STRING);
    }
}

static void an_error_without_a_place_names_the_file(void **state)
{
    mil_program p = {.file = "f.mil"};
    assert_int_equal(mil_fail(&p, (mil_pos){0, 0}, E_RULE, "no %s", "way"), E_RULE);
    assert_string_equal(err_text(), "f.mil: no way");
    /* a place, but no source to show */
    assert_int_equal(mil_fail(&p, (mil_pos){3, 4}, E_RULE, "no way"), E_RULE);
    assert_string_equal(err_text(), "f.mil:3:4: no way");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_statement_is_read_and_printed),
        cmocka_unit_test(a_program_is_read_with_places_and_printed_as_stored),
        cmocka_unit_test(the_older_spelling_keeps_its_spelling),
        cmocka_unit_test(every_error_has_its_words_and_its_place),
        cmocka_unit_test(a_long_line_is_shown_round_the_fault),
        cmocka_unit_test(a_caret_counts_letters_not_bytes),
        cmocka_unit_test(too_many_of_anything_is_refused),
        cmocka_unit_test(more_text_than_the_limit_is_refused_unread),
        cmocka_unit_test(a_claimed_size_costs_nothing),
        cmocka_unit_test(text_cut_anywhere_is_an_error),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(types_compare_count_and_print),
        cmocka_unit_test(an_error_without_a_place_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
