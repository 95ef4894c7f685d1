/* print.c - a program as canonical text: one operation on a line, a blank
 * after every comma and round every '=', lists flat, reals as exact
 * hexadecimal floats. Reading that text and printing it again gives the same
 * bytes, so equal programs are equal text.
 *
 * What was spelled in two ways but means one thing is printed in one: nested
 * lists become flat, a bare `true` becomes bool(true), "0.5" becomes 0x1p-1.
 * What a device may tell apart is kept: fp16 against tensor<fp16, []>, the
 * order of arguments, the older spelling inside BLOBFILE. */
#include <string.h>
#include "mil/mil_in.h"

/* Quoted; every byte that could end the line or the string is escaped. Bytes
 * from 128 up pass as they are: text is UTF-8. */
static void print_string(str *out, const char *text)
{
    str_addc(out, '"');
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') str_addf(out, "\\%c", c);
        else if (c == '\n') str_add(out, "\\n");
        else if (c == '\t') str_add(out, "\\t");
        else if (c == '\r') str_add(out, "\\r");
        else if (c < ' ' || c == 127) str_addf(out, "\\x%02x", c);
        else str_addc(out, (char)c);
    }
    str_addc(out, '"');
}

void mil_print_type(str *out, const mil_type *t)
{
    if (!t->tensor) {
        str_add(out, mil_dtype_text(t->dtype));
        return;
    }
    str_addf(out, "tensor<%s, [", mil_dtype_text(t->dtype));
    for (int i = 0; i < t->rank; i++)
        str_addf(out, "%s%lld", i ? ", " : "", (long long)t->d[i]);
    str_add(out, "]>");
}

/* type(value): a scalar, a splat or rank 0 without brackets, else a flat list.
 * The reader knows a splat of a tensor by its missing brackets. */
static void print_literal(str *out, const mil_value *v)
{
    mil_print_type(out, &v->type);
    str_addc(out, '(');
    if (v->type.dtype == MIL_STRING) print_string(out, v->text);
    else if (v->splat || !v->type.rank) mil_number_print(out, v->type.dtype, v->data);
    else {
        const char *p = v->data;
        size_t width = mil_dtype_bytes(v->type.dtype);
        int64_t n = mil_count(&v->type);
        str_addc(out, '[');
        for (int64_t i = 0; i < n && !out->bad; i++, p += width) {
            if (i) str_add(out, ", ");
            mil_number_print(out, v->type.dtype, p);
        }
        str_addc(out, ']');
    }
    str_addc(out, ')');
}

/* path first, then offset, as coremltools writes them. */
static void print_blob(str *out, const mil_value *v)
{
    mil_print_type(out, &v->type);
    str_add(out,
            v->old ? "(BLOBFILE(path = tensor<string, []>(" : "(BLOBFILE(path = string(");
    print_string(out, v->text);
    str_addf(out,
             v->old ? "), offset = tensor<uint64, []>(%llu)))"
                    : "), offset = uint64(%llu)))",
             (unsigned long long)v->offset);
}

static void print_list(str *out, const mil_value *v)
{
    str_addc(out, '(');
    for (int i = 0; i < v->n; i++) {
        if (i) str_add(out, ", ");
        mil_print_value(out, &v->items[i]);
    }
    str_addc(out, ')');
}

/* Keys and values alternate in items; both have one spelling of their type. */
static void print_dict(str *out, const mil_value *v)
{
    const char *type = v->old ? "tensor<string, []>" : "string";
    str_addf(out, "dict<%s, %s>({", type, type);
    for (int i = 0; i + 1 < v->n; i += 2) {
        str_add(out, i ? ", {" : "{");
        print_string(out, v->items[i].text);
        str_add(out, ", ");
        print_string(out, v->items[i + 1].text);
        str_addc(out, '}');
    }
    str_add(out, "})");
}

void mil_print_value(str *out, const mil_value *v)
{
    switch (v->kind) {
    case MIL_REF:
        str_add(out, v->ref);
        break;
    case MIL_LIST:
        print_list(out, v);
        break;
    case MIL_LITERAL:
        print_literal(out, v);
        break;
    case MIL_BLOB:
        print_blob(out, v);
        break;
    case MIL_DICT:
        print_dict(out, v);
        break;
    }
}

static void print_vars(str *out, int n, const mil_var *v)
{
    for (int i = 0; i < n; i++) {
        if (i) str_add(out, ", ");
        mil_print_type(out, &v[i].type);
        str_addf(out, " %s", v[i].name);
    }
}

static void print_args(str *out, int n, const mil_arg *a)
{
    for (int i = 0; i < n; i++) {
        str_addf(out, "%s%s = ", i ? ", " : "", a[i].name);
        mil_print_value(out, &a[i].value);
    }
}

/* One line; an empty attribute list is left away, as reading allows. */
static void print_op(str *out, const mil_op *op)
{
    str_add(out, "        ");
    print_vars(out, op->n_out, op->out);
    str_addf(out, " = %s(", op->op);
    print_args(out, op->n_arg, op->arg);
    str_addc(out, ')');
    if (op->n_attr) {
        str_addc(out, '[');
        print_args(out, op->n_attr, op->attr);
        str_addc(out, ']');
    }
    str_add(out, ";\n");
}

/* A buildInfo that was read is printed even when it is empty. The buffer keeps
 * the first failure, so one check at the end is enough. */
rc mil_print(const mil_program *p, str *out)
{
    str_addf(out, "program(%d.%d)\n", p->major, p->minor);
    if (p->build_info.n || p->build_info.pos.line) {
        str_add(out, "[buildInfo = ");
        print_dict(out, &p->build_info);
        str_add(out, "]\n");
    }
    str_add(out, "{\n");
    for (int i = 0; i < p->n_func; i++) {
        const mil_func *f = &p->func[i];
        str_addf(out, "    func %s<%s>(", f->name, f->opset);
        print_vars(out, f->n_in, f->in);
        str_add(out, ") {\n");
        for (int j = 0; j < f->n_op; j++) print_op(out, &f->op[j]);
        str_add(out, "    } -> (");
        for (int j = 0; j < f->n_out; j++)
            str_addf(out, "%s%s", j ? ", " : "", f->out[j]);
        str_add(out, ");\n");
    }
    str_add(out, "}\n");
    return str_done(out);
}
