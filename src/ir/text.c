/* text.c - a graph as text, one line a node:
 *
 *   ir 1
 *   scope "layer.0.mlp"
 *   %0 = input "x" : fp16[1,64,1,32]
 *   %1 = constant {0*3 1} : fp16[4]          runs as value*count
 *   %2 = constant all 0.5 : fp16[1]          one value everywhere
 *   scope "layer.0.mlp" backward
 *   %3 = softmax(%0) axis=1 : fp16[1,64,1,32]
 *   output "y" %3
 *
 * A scope line holds for the nodes after it. Attributes stand in the order of
 * attrs.def; reals have as many digits as it takes to read the same bits. */
#include "ir/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_quoted(str *out, const char *text)
{
    str_addc(out, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\') str_addf(out, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f) str_addf(out, "\\x%02x", *p);
        else str_addc(out, (char)*p);
    }
    str_addc(out, '"');
}

static void print_real(str *out, double v)
{
    char text[40];
    if (isnan(v)) {
        str_add(out, "nan");
        return;
    }
    if (isinf(v)) {
        str_add(out, v < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 6; digits <= 17; digits += digits == 6 ? 9 : 1) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    /* a locale may write the point otherwise */
    for (char *c = text; *c; c++)
        if (!strchr("0123456789+-e", *c)) *c = '.';
    str_add(out, text);
}

static void print_shape(str *out, ir_type t, ir_shape s)
{
    char text[64];
    str_addf(out, "%s%s", ir_type_name(t), ir_shape_text(text, s));
}

static void print_constant(str *out, const ir_node *n)
{
    if (n->uniform) {
        str_add(out, " all ");
        print_real(out, n->data[0]);
        return;
    }
    int64_t count = ir_count(n->shape);
    str_add(out, " {");
    for (int64_t i = 0, run; i < count; i += run) {
        for (run = 1; i + run < count; run++)
            if (memcmp(&n->data[i + run], &n->data[i], sizeof(double)) != 0) break;
        if (i) str_addc(out, ' ');
        print_real(out, n->data[i]);
        if (run > 1) str_addf(out, "*%lld", (long long)run);
    }
    str_addc(out, '}');
}

static void print_attrs(str *out, const ir_node *n)
{
    int rank = n->n_in ? n->in[0]->shape.rank : 0;
    for (int id = 0; id < IR_ATTRS; id++) {
        const ir_attr_row *row = &ir_attrs[id];
        if (!(ir_ops[n->op].attrs >> id & 1u)) continue;
        str_addf(out, " %s=", row->name);
        if (row->kind == IR_KIND_REAL) {
            print_real(out, ir_attr_real(row, &n->attr));
        } else if (row->kind == IR_KIND_FLAG) {
            str_add(out, ir_attr_int(row, &n->attr, 0) ? "true" : "false");
        } else if (row->many == 1) {
            str_addf(out, "%lld", (long long)ir_attr_int(row, &n->attr, 0));
        } else {
            int many = ir_attr_many(row, &n->attr, rank);
            for (int i = 0; i < many; i++)
                str_addf(out, "%c%lld", i ? ',' : '[',
                         (long long)ir_attr_int(row, &n->attr, i));
            str_addc(out, ']');
        }
    }
}

static void print_node(str *out, const ir_node *n)
{
    str_addf(out, "%%%d = %s", n->id, ir_op_name(n->op));
    if (n->op == IR_constant) {
        print_constant(out, n);
    } else if (n->n_in == 0) {
        str_addc(out, ' ');
        print_quoted(out, n->name);
    } else {
        for (int i = 0; i < n->n_in; i++)
            str_addf(out, "%s%%%d", i ? ", " : "(", n->in[i]->id);
        str_addc(out, ')');
        print_attrs(out, n);
    }
    str_add(out, " : ");
    print_shape(out, n->type, n->shape);
    str_addc(out, '\n');
}

rc ir_print(const ir_graph *g, str *out)
{
    const char *scope = "";
    bool backward = false;
    str_add(out, "ir 1\n");
    for (int i = 0; i < g->n_nodes; i++) {
        const ir_node *n = g->nodes[i];
        if (strcmp(n->scope, scope) != 0 || n->backward != backward) {
            scope = n->scope;
            backward = n->backward;
            str_add(out, "scope ");
            print_quoted(out, scope);
            str_add(out, backward ? " backward\n" : "\n");
        }
        print_node(out, n);
    }
    for (int i = 0; i < g->n_outputs; i++) {
        str_add(out, "output ");
        print_quoted(out, g->outputs[i].name);
        str_addf(out, " %%%d\n", g->outputs[i].node->id);
    }
    return str_done(out);
}
